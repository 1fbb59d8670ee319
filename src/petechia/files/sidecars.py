"""JSON sidecars: reading, inheritance, and the facts in them that matter here."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from petechia.core.checks import B0_T
from petechia.core.units import GAMMA_HZ_PER_T
from petechia.errors import FileError, MetadataError
from petechia.files.scan import Header

Sidecar = Mapping[str, Any]
MAGNITUDE, PHASE, DIFFERENCE, REAL, IMAGINARY = (
    "magnitude", "phase", "difference", "real", "imaginary",
)  # fmt: skip
_ROLE_WORDS = {
    "P": PHASE,
    "PHASE": PHASE,
    "PHASE MAP": PHASE,
    "PHASE_MAP": PHASE,
    "PHASE DIFFERENCE": DIFFERENCE,
    "PHASE_DIFFERENCE": DIFFERENCE,
    "PHASEDIFF": DIFFERENCE,
    "REAL": REAL,
    "R": REAL,
    "R_FFE": REAL,
    "IMAGINARY": IMAGINARY,
    "I": IMAGINARY,
    "I_FFE": IMAGINARY,
    "M": MAGNITUDE,
    "M_FFE": MAGNITUDE,
    "MAGNITUDE": MAGNITUDE,
}
_ROLE_ORDER = (DIFFERENCE, REAL, IMAGINARY, PHASE, MAGNITUDE)
PROTON = frozenset({"1H", "H1", "H"})
SAME_FIELD = 0.05
"""How far the field by the frequency may be from the stated one: makers call 2.89 T 3 T."""
PROJECTION_WORDS = frozenset({"MNIP", "MINIP", "MIP", "PROJECTION IMAGE", "MIN_IP"})


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises
    ------
    FileError
        Missing, unreadable, not JSON, or not an object.
    """
    try:
        data = json.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise FileError(
            f"cannot be read ({error.strerror})",
            where=str(path),
            mend="Check that the file exists and that you may read it.",
        ) from error
    except ValueError as error:
        raise FileError(
            f"not valid JSON ({error})", where=str(path), mend="Mend the file, or write it again."
        ) from error
    if not isinstance(data, dict):
        raise FileError(
            f"holds a {type(data).__name__}, not an object",
            where=str(path),
            mend='A sidecar looks like {"EchoTime": 0.02}.',
        )
    return data


def merged(paths: Iterable[Path]) -> dict[str, Any]:
    """Return one sidecar from those that apply, the later winning."""
    out: dict[str, Any] = {}
    for path in paths:
        out.update(read_json(path))
    return out


def applies(
    sidecar: Mapping[str, str], sidecar_suffix: str, image: Mapping[str, str], image_suffix: str
) -> bool:
    """Return True when BIDS inheritance hands a sidecar's facts on to an image.

    That is when suffixes agree and the image has every entity of the sidecar, with the
    same value; folders are the caller's business.
    """
    return sidecar_suffix == image_suffix and sidecar.items() <= image.items()


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is taken from one image's sidecar; None or empty where it does not say."""

    te_s: tuple[float, ...] = ()
    delta_te_s: float | None = None
    b0_t: float | None = None
    units: str | None = None
    image_type: tuple[str, ...] = ()
    header: Header = field(default_factory=Header)


def facts_of(sidecar: Sidecar, where: str) -> Facts:
    """Return the facts of a sidecar; `MetadataError` for impossible ones."""
    image_type = words(sidecar.get("ImageType"))
    return Facts(
        te_s=_echo_times(sidecar, where),
        delta_te_s=_delta_te(sidecar, where),
        b0_t=_field_strength(sidecar, where),
        units=text(sidecar.get("Units")),
        image_type=image_type,
        header=Header(
            manufacturer=text(sidecar.get("Manufacturer")),
            model=text(sidecar.get("ManufacturersModelName", sidecar.get("ManufacturerModelName"))),
            software=text(sidecar.get("SoftwareVersions")),
            acquisition_type=text(sidecar.get("MRAcquisitionType")),
            slice_thickness_mm=number(sidecar.get("SliceThickness")),
            slice_spacing_mm=number(sidecar.get("SpacingBetweenSlices")),
            tr_s=number(sidecar.get("RepetitionTimeExcitation", sidecar.get("RepetitionTime"))),
            flip_deg=number(sidecar.get("FlipAngle")),
            pixel_bandwidth_hz=number(sidecar.get("PixelBandwidth")),
            sequence_name=_sequence(sidecar),
            image_type=image_type,
        ),
    )


def role_in(sidecar: Sidecar, named: str) -> str:
    """Return the role that ImageType states, or else the one the file is `named` by.

    A phase with two echo times is a phase difference.
    """
    stated = {_ROLE_WORDS.get(word) for word in words(sidecar.get("ImageType"))}
    role = next((role for role in _ROLE_ORDER if role in stated), named)
    both = "EchoTime1" in sidecar and "EchoTime2" in sidecar
    return DIFFERENCE if both and role == PHASE else role


def is_projection(sidecar: Sidecar) -> bool:
    """Return True for a minimum or maximum-intensity projection."""
    return bool(PROJECTION_WORDS & set(words(sidecar.get("ImageType"))))


def is_processed_swi(sidecar: Sidecar) -> bool:
    """Return True when the scanner has multiplied phase into this magnitude already."""
    return "SWI" in words(sidecar.get("ImageType"))


def is_gradient_echo(sidecar: Sidecar) -> bool | None:
    """Return whether a sidecar tells of a plain gradient echo; None when it doesn't say.

    Inversion recovery, spin echo and echo-planar images are not.
    """
    if "InversionTime" in sidecar:
        return False
    sequence = set(words(sidecar.get("ScanningSequence")))
    if sequence:
        return "GR" in sequence and not sequence & {"IR", "SE", "EP"}
    named = " ".join(
        (text(sidecar.get(key)) or "").upper() for key in ("PulseSequenceType", "SequenceName")
    )
    if any(word in named for word in ("EPI", "MPRAGE", "TFL", "SPIN", "TSE", "FSE", "IR")):
        return False
    gradient = ("GR", "SPGR", "FLASH", "FFE", "FL2D", "FL3D", "SWI", "SWAN", "GRADIENT")
    return True if any(word in named for word in gradient) else None


def words(value: object) -> tuple[str, ...]:
    r"""Return a list, or a string with backslashes, as upper-case words."""
    if isinstance(value, str):
        value = value.replace("_", "\\").split("\\") if _code_list(value) else value.split("\\")
    if not isinstance(value, list | tuple):
        return ()
    return tuple(str(item).strip().upper() for item in value)


def _code_list(value: str) -> bool:
    # "GR_IR" as dcm2niix writes ScanningSequence; ImageType comes as a list
    return all(len(part) == 2 for part in value.split("_"))


def text(value: object) -> str | None:
    """Return a non-empty string, or None."""
    if isinstance(value, list | tuple):
        value = " ".join(str(item) for item in value)
    return str(value).strip() or None if isinstance(value, str | int | float) else None


def number(value: object) -> float | None:
    """Return a finite number, also from a string, or None."""
    try:
        out = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return out if math.isfinite(out) else None


def _sequence(sidecar: Sidecar) -> str | None:
    for key in ("SequenceName", "PulseSequenceName", "PulseSequenceDetails", "PulseSequenceType"):
        if found := text(sidecar.get(key)):
            return found
    return None


def _echo_times(sidecar: Sidecar, where: str) -> tuple[float, ...]:
    stated = sidecar.get("EchoTime", sidecar.get("EchoTimes"))
    if stated is None:
        return ()
    return tuple(
        _seconds("EchoTime", one, where)
        for one in (stated if isinstance(stated, list) else [stated])
    )


def _delta_te(sidecar: Sidecar, where: str) -> float | None:
    if "EchoTime1" not in sidecar or "EchoTime2" not in sidecar:
        return None
    first, second = (_seconds(key, sidecar[key], where) for key in ("EchoTime1", "EchoTime2"))
    if first == second:
        raise MetadataError(
            f"EchoTime1 and EchoTime2 are both {first} s",
            where=where,
            mend="A phase difference needs two unlike echo times: correct the sidecar.",
        )
    return round(abs(second - first), 9)


def _seconds(key: str, value: object, where: str) -> float:
    seconds = number(value)
    if seconds is None or not 0 < seconds <= 0.5:
        raise MetadataError(
            f"{key} is {value!r}",
            where=where,
            mend="Echo times are in seconds (20 ms is 0.02): correct the sidecar.",
        )
    return seconds


def _field_strength(sidecar: Sidecar, where: str) -> float | None:
    stated = sidecar.get("MagneticFieldStrength")
    if stated is not None:
        b0_t = number(stated)
        if b0_t is None or not B0_T[0] <= b0_t <= B0_T[1]:
            raise MetadataError(
                f"MagneticFieldStrength is {stated!r}",
                where=where,
                mend="It is in tesla, e.g. 1.5, 3 or 7: correct the sidecar.",
            )
        _require_one_field(b0_t, _field_of_frequency(sidecar), where)
        return b0_t
    return _field_of_frequency(sidecar)


def _field_of_frequency(sidecar: Sidecar) -> float | None:
    """Return the field in which protons have the stated frequency [T]."""
    frequency_mhz = number(sidecar.get("ImagingFrequency"))
    nucleus = text(sidecar.get("ImagedNucleus", sidecar.get("ResonantNucleus"))) or "1H"
    if frequency_mhz is None or nucleus.upper() not in PROTON:
        return None
    if frequency_mhz > 1e6:  # some converters write Hz
        frequency_mhz /= 1e6
    if not 2 <= frequency_mhz <= 1100:
        return None
    return round(frequency_mhz * 1e6 / GAMMA_HZ_PER_T, 4)


def _require_one_field(stated_t: float, by_frequency_t: float | None, where: str) -> None:
    if by_frequency_t is None or abs(by_frequency_t / stated_t - 1) <= SAME_FIELD:
        return
    raise MetadataError(
        f"MagneticFieldStrength is {stated_t:g} T, but its ImagingFrequency is that of protons "
        f"at {by_frequency_t:.2f} T",
        where=where,
        mend="Every moment goes with the field: find out which is right (the scanner's name "
        "tells), and correct the other or take it out.",
    )
