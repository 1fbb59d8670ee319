"""What an image shows: magnitude, phase, real or imaginary part; or nothing for a scan."""

import re
from typing import Any, Protocol


class Facts(Protocol):
    """How header facts are asked for (see `frames.Lookup`)."""

    def value(self, *keywords: str) -> Any: ...  # noqa: D102
    def text(self, *keywords: str) -> str | None: ...  # noqa: D102
    def private(self, tag: int, creator: str) -> Any: ...  # noqa: D102


GE_PARTS = ("mag", "phase", "real", "imag")
COMPONENTS = {"MAGNITUDE": "mag", "PHASE": "phase", "REAL": "real", "IMAGINARY": "imag"}
WORDS = {
    "phase": {"P", "PHASE", "PHASE MAP", "PHASE_MAP", "P_FFE", "PHASE DIFFERENCE"},
    "real": {"R", "REAL", "R_FFE"},
    "imag": {"I", "IMAGINARY", "I_FFE"},
    "mag": {"M", "MAGNITUDE", "M_FFE", "M_PCA", "FFE"},
}
PROJECTIONS = {"MIP", "MNIP", "MINIP", "MIN IP", "MAX IP", "PROJECTION IMAGE", "MINIMUM INTENSITY"}
PROCESSED = {
    "SWI_PHASE", "MPR", "SUBTRACTION", "ADC", "B0", "B0 MAP", "B0_MAP", "FIELD_MAP", "QSM",
    "T1 MAP", "T2 MAP", "T2_STAR MAP", "T2STAR MAP", "T2*", "R2 MAP", "R2*", "R2_STAR MAP", "B1",
    "B1 MAP", "VELOCITY MAP", "CSA MPR", "CSA REPORT", "CSA RESAMPLED", "SCREEN SAVE", "PASTED",
    "WATER", "FAT", "FAT_FRACTION", "IN_PHASE", "OUT_PHASE", "MOSAIC",
}  # fmt: skip
WEIGHTED = "processed image, weighted by the scanner (SWI)"
"""What is said of the scanner's own SWI; it serves when there is no plain magnitude."""
MAKER, MODEL = "Petechia developers", "Petechia"
"""Who made our results, in every one of them."""
LOCALIZERS = {"LOCALIZER", "SCOUT", "SURVEY"}
LOCALIZER_NAME = re.compile(r"localizer|localiser|scout|survey|3[- ]?pl\b|3[- ]?plane", re.I)
PROJECTION_NAME = re.compile(r"(?:^|[\W_])mi?n?ip(?:$|[\W_])|minip", re.I)
PROCESSED_NAME = re.compile(r"^swi_images|^swi processed|^processed swi", re.I)
FIELD_MAP = re.compile(r"field.?map|fieldmap|phase.?diff|\bfm2d|\*fm", re.I)


def part_of(look: Facts, tokens: tuple[str, ...]) -> tuple[str, bool]:
    """Return the part ('mag', 'phase', 'real', 'imag') and whether it is from a field map.

    Asked in turn: GE's private raw data type, the frame's complex image component, the
    words of the image type, Philips's private image type; without any it is magnitude.
    """
    names = " ".join(
        look.text(k) or ""
        for k in ("SequenceName", "PulseSequenceName", "SeriesDescription", "ProtocolName")
    )
    difference = bool(FIELD_MAP.search(names)) or any("DIFF" in t for t in tokens)
    return _part(look, tokens), difference


def _part(look: Facts, tokens: tuple[str, ...]) -> str:
    ge = look.private(0x0043102F, "GEMS_PARM")
    if isinstance(ge, int) and 0 <= ge < len(GE_PARTS):
        return GE_PARTS[ge]
    component = COMPONENTS.get((look.text("ComplexImageComponent") or "").upper())
    if component is not None:
        return component
    # the first two words say original or derived, primary or secondary
    philips = str(look.private(0x20051011, "Philips") or "").strip().upper()
    for part, words in WORDS.items():
        if words & set(tokens[2:]):
            return part
    if any(t.startswith("PHASE") for t in tokens):
        return "phase"
    return next((part for part, words in WORDS.items() if philips in words), "mag")


def why_aside(look: Facts, tokens: tuple[str, ...]) -> str | None:
    """Return why an image is no use for a gradient-echo scan, or None."""
    if (look.text("Manufacturer"), look.text("ManufacturerModelName")) == (MAKER, MODEL):
        return "result of Petechia"
    words = set(tokens)
    name = look.text("SeriesDescription") or ""
    if words & LOCALIZERS or LOCALIZER_NAME.search(name):
        return "localizer"
    if words & PROJECTIONS or PROJECTION_NAME.search(name):
        return "intensity projection"
    if words & PROCESSED:
        return "processed image, not magnitude or phase"
    if "SWI" in words or PROCESSED_NAME.search(name):
        return WEIGHTED if _part(look, tokens) == "mag" else "processed image, no plain phase"
    if "DERIVED" in words and not any(t.startswith("DIS") for t in words):
        return "derived image"
    if int(look.value("SamplesPerPixel") or 1) != 1:
        return "colour image"
    return _other_sequence(look)


def _other_sequence(look: Facts) -> str | None:
    """Return why this is no plain gradient echo, or None."""
    codes = look.value("ScanningSequence")
    sequence = {codes} if isinstance(codes, str) else set(codes or ())
    inverted = look.text("InversionRecovery") == "YES" or "IR" in sequence
    if look.text("EchoPulseSequence") in ("SPIN", "BOTH") or "SE" in sequence:
        return "spin echo"
    if inverted:
        return "inversion recovery"
    flat = look.text("MRAcquisitionType") != "3D"
    if flat and ("EP" in sequence or look.text("EchoPlanarPulseSequence") == "YES"):
        return "echo planar imaging"
    if look.text("TimeOfFlightContrast") == "YES" or look.text("AngioFlag") == "Y":
        return "angiography"
    if look.text("PhaseContrast") == "YES":
        return "flow imaging"
    return None
