"""NIfTI outside BIDS: a folder as dcm2niix writes it, or files named one by one.

In a folder, files are put together by series: a magnitude series takes the phase, real or
imaginary series on the same grid with the same echo times, of the same acquisition time
where the sidecars tell it, else nearest in series number. Projections, inversion recovery,
spin echo, echo planar images and localizers are left out; so is a short-echo series (all
echo times below 4 ms) without phase, which has no contrast of susceptibility.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from petechia.core.checks import require_between
from petechia.core.echoes import check_echo_times
from petechia.core.grid import Grid
from petechia.errors import FileError, InputError, PetechiaError
from petechia.files.echo_parts import Image
from petechia.files.images import load_scan, scan_ref
from petechia.files.nifti import is_nifti, read_geometry, stem_of
from petechia.files.scan import Scan, ScanRef, subject_name
from petechia.files.series import Found, by_series, pair
from petechia.files.sidecars import (
    DIFFERENCE,
    IMAGINARY,
    MAGNITUDE,
    PHASE,
    REAL,
    facts_of,
    is_gradient_echo,
    is_projection,
    read_json,
    role_in,
    text,
)
from petechia.files.walk import names_below

log = logging.getLogger(__name__)

SHOWN = 5
"""Files that are named of those left aside for one reason."""
_ROLE_TOKENS = {
    "ph": PHASE, "pha": PHASE, "phase": PHASE, "phasediff": DIFFERENCE, "real": REAL, "re": REAL,
    "imaginary": IMAGINARY, "imag": IMAGINARY, "im": IMAGINARY, "mag": MAGNITUDE,
    "magn": MAGNITUDE, "magnitude": MAGNITUDE,
}  # fmt: skip
_ECHO_TOKEN = re.compile(r"(?:e|echo-?)0*(\d+)([a-z]?)")
_LOCALIZER = re.compile(r"locali[sz]er|scout|survey", re.IGNORECASE)


def find_nifti_scans(
    folder: Path, *, subject: str = "01", phase_scale: float | None = None
) -> list[ScanRef]:
    """List the gradient-echo scans in a folder of NIfTI + JSON.

    Parameters
    ----------
    folder : Path
        Searched with its subfolders.
    subject : str
        What the scans are called; `run-<n>` by series order when there are several.
    phase_scale : float, optional
        Factor from phase values to radians, when the user states it.

    Raises
    ------
    FileError
        No NIfTI file, or none that is a gradient echo: the message says why each was left out.
    """
    folder = Path(folder)
    paths = sorted(folder / name for name in names_below(folder)[0] if is_nifti(name))
    if not paths:
        raise FileError(
            "no .nii or .nii.gz files",
            where=str(folder),
            mend="Give a folder that dcm2niix wrote.",
        )
    left_out: dict[str, str] = {}
    found = [one for path in paths if (one := _look(path, folder, left_out)) is not None]
    scans = pair(by_series(found), left_out)
    for name, why in left_out.items():
        log.info("%s left out: %s", name, why)
    if not scans:
        raise _none_usable(folder, left_out)
    names = [subject_name(subject, n if len(scans) > 1 else None) for n in range(1, len(scans) + 1)]
    notes = _left_out(left_out)
    return [
        scan_ref(name, "NIfTI", [f.image for f in images], phase_scale=phase_scale, notes=notes)
        for name, images in zip(names, scans, strict=True)
    ]


def scan_from_files(
    mag: Sequence[Path],
    phase: Sequence[Path] = (),
    te_s: Sequence[float] = (),
    b0_t: float | None = None,
    phase_scale: float | None = None,
    subject: str = "01",
) -> Scan:
    """Read one scan from files named one by one.

    Parameters
    ----------
    mag : sequence of Path
        One 3-D file per echo, or one 4-D file.
    phase : sequence of Path
        Likewise; empty for magnitude only.
    te_s : sequence of float
        Echo time of each echo, in the order of the files [s]. Empty takes them from the
        JSON beside the files.
    b0_t : float, optional
        Field [T]; None takes it from the JSON.
    phase_scale : float, optional
        Factor from phase values to radians; None finds out.
    subject : str
        What the scan is called.

    Raises
    ------
    FileError, InputError
        A file is missing, broken, empty, or does not fit the others.
    """
    name = subject_name(subject)
    times = tuple(float(t) for t in te_s)
    images = [
        image
        for paths, role in ((mag, MAGNITUDE), (phase, PHASE))
        for image in _named(paths, role, times)
    ]
    notes: tuple[str, ...] = ()
    if times:
        notes += ("echo times as given on the command line",)
    if b0_t is not None:
        require_between(b0_t, 0.05, 25, "--b0", "Give the field in tesla, e.g. 1.5, 3 or 7.")
        notes += ("field as given on the command line",)
    return load_scan(tuple(images), name, "NIfTI", phase_scale=phase_scale, b0_t=b0_t, notes=notes)


def ref_from_files(
    mag: Sequence[Path],
    phase: Sequence[Path] = (),
    te_s: Sequence[float] = (),
    b0_t: float | None = None,
    phase_scale: float | None = None,
    subject: str = "01",
) -> ScanRef:
    """Return the reference whose `load` calls `scan_from_files` with these arguments."""
    load = partial(
        scan_from_files, tuple(mag), tuple(phase), tuple(te_s), b0_t, phase_scale, subject
    )
    paths = tuple(str(p) for p in (*mag, *phase))
    return ScanRef(name=subject_name(subject), kind="NIfTI", paths=paths, load=load)


# --- files named one by one


def _named(paths: Sequence[Path], role: str, times: tuple[float, ...]) -> list[Image]:
    """Return the images of one role with the echo times they are given."""
    chosen = [Path(p) for p in paths]
    if not chosen:
        if role == MAGNITUDE:
            raise InputError("no file given", where="--mag", mend="Give the magnitude.")
        return []
    if role == PHASE and len(chosen) == 1 and _is_difference(chosen[0]):
        role, times = DIFFERENCE, ()
    each = tuple((t,) for t in times) if len(chosen) > 1 else (times,)
    if times:
        if len(each) != len(chosen):
            raise InputError(
                f"{len(times)} echo times {times} for {len(chosen)} {role} files",
                where="--te",
                mend=_missing_mend(role, chosen, times),
            )
        check_echo_times(tuple(sorted(times)), len(times), "--te")
    return [
        Image(
            path=str(path),
            shown=path.name,
            role=role,
            echo=n if len(chosen) > 1 else None,
            sidecars=_beside(path),
            te_s=each[n - 1] if times else (),
        )
        for n, path in enumerate(chosen, start=1)
    ]


def _is_difference(path: Path) -> bool:
    return any(role_in(read_json(Path(p)), PHASE) == DIFFERENCE for p in _beside(path))


def _missing_mend(role: str, paths: Sequence[Path], times: tuple[float, ...]) -> str:
    last = paths[-1].name
    few = f"echo {len(paths) + 1} has no {role} (the last is {last})"
    return f"Give one file per echo, or one 4-D file: {few if len(paths) < len(times) else last}."


def _beside(path: Path) -> tuple[str, ...]:
    json = path.with_name(stem_of(path.name) + ".json")
    return (str(json),) if json.is_file() else ()


# --- a folder


def _look(path: Path, folder: Path, left_out: dict[str, str]) -> Found | None:
    """Return what a file is; None, with the reason in `left_out`, when it is no use."""
    shown = str(path.relative_to(folder))
    sidecars = _beside(path)
    sidecar: Mapping[str, Any] = {}
    grid: Grid | None = None
    te_s: tuple[float, ...] = ()
    try:
        sidecar = read_json(Path(sidecars[0])) if sidecars else {}
        if reason := _why_not(sidecar):
            left_out[shown] = reason
            return None
        te_s = facts_of(sidecar, shown).te_s
        grid = read_geometry(path)
    except PetechiaError as error:
        log.warning("%s", error)  # and again from `load`, should this scan be wanted
    base, echo, role = parse_stem(stem_of(path.name))
    image = Image(
        path=str(path),
        shown=shown,
        role=role_in(sidecar, role),
        echo=echo,
        sidecars=sidecars,
    )
    base = str(path.parent / base)
    return Found(image=image, base=base, sidecar=sidecar, grid=grid, te_s=te_s)


def parse_stem(stem: str) -> tuple[str, int | None, str]:
    """Return (base, echo number, role) of a name such as `gre_5_e2_ph`."""
    base: list[str] = []
    echo, role = None, MAGNITUDE
    for token in re.split(r"[_.]", stem):
        low = token.lower().removeprefix("part-")
        matched = _ECHO_TOKEN.fullmatch(low)
        if matched:
            echo = int(matched[1])
            base += [matched[2]] if matched[2] else []
        elif low in _ROLE_TOKENS:
            role = _ROLE_TOKENS[low]
        else:
            base.append(token)
    return "_".join(base), echo, role


def _why_not(sidecar: Mapping[str, Any]) -> str | None:
    if is_projection(sidecar):
        return "an intensity projection"
    if is_gradient_echo(sidecar) is False:
        said = sidecar.get("ScanningSequence") or sidecar.get("PulseSequenceType")
        return f"not a plain gradient echo ({said or 'inversion recovery'})"
    named = f"{text(sidecar.get('SeriesDescription'))} {text(sidecar.get('ProtocolName'))}"
    if _LOCALIZER.search(named):
        return "a localizer"
    return None


def _left_out(left_out: Mapping[str, str]) -> tuple[str, ...]:
    """Return the notes on files that are part of no scan, those of one reason together."""
    files: dict[str, list[str]] = {}
    for name, why in left_out.items():
        files.setdefault(why, []).append(name)
    return tuple(f"left aside: {_some(names)}: {why}" for why, names in files.items())


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _none_usable(folder: Path, left_out: Mapping[str, str]) -> FileError:
    first = "; ".join(f"{name}: {why}" for name, why in list(left_out.items())[:5])
    more = f"; and {len(left_out) - 5} more" if len(left_out) > 5 else ""
    return FileError(
        f"no gradient-echo scan among its NIfTI files ({first}{more})",
        where=str(folder),
        mend="Give the folder of the gradient echo, or its files by --mag, --phase, --te, --b0.",
    )
