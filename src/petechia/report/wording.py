"""The words of a report: vocabularies of the contract in plain English, and text made safe."""

import re
from collections.abc import Mapping
from typing import Any

from petechia.report.data import number
from petechia.report.language import said, t

CLASSES = {
    "microbleed": ("microbleed", "microbleeds"),
    "macrobleed": ("macrobleed", "macrobleeds"),
    "calcification": ("calcification", "calcifications"),
    "vessel": ("vessel", "vessels"),
    "iron": ("iron deposit", "iron deposits"),
    "air_tissue": ("air-tissue artefact", "air-tissue artefacts"),
    "siderosis": ("siderosis", "siderosis foci"),
    "undetermined": ("undetermined", "undetermined"),
}
CLASS_SAYS = {
    "microbleed": "Looks like a microbleed, but its probability is below the operating point.",
    "macrobleed": "A bleed whose apparent diameter is above 10 mm.",
    "calcification": "Diamagnetic: calcium, not blood.",
    "vessel": "A tube in three dimensions: a vein or a flow void.",
    "iron": "Iron of the deep nuclei, not a bleed.",
    "air_tissue": "Signal loss from the border of air and tissue.",
    "siderosis": "Blood products along the surface of the cortex.",
    "undetermined": "The measurements do not settle what this is.",
}
SIGNS = {
    "paramagnetic": "paramagnetic, like blood",
    "diamagnetic": "diamagnetic, like calcium",
    "unclear": "unclear",
    "not_assessed": "not assessed",
}
MARS = {"definite": "definite", "possible": "possible", "n/a": "not graded"}
CATEGORIES = {
    "none": "No microbleed counted",
    "strictly_lobar": "Strictly lobar",
    "strictly_deep_or_infratentorial": "Strictly deep or infratentorial",
    "mixed": "Mixed: lobar, and deep or infratentorial",
    "unknown_site": "Unknown: the sites of counted findings are not known",
    "not_assessable": "Not assessable",
}
BINS = {"0": "0", "1-4": "1 to 4", ">=5": "5 or more"}
STATUSES = {
    "ok": ("✓", "OK"),
    "limited": ("!", "Limited"),
    "refused": ("✕", "Refused"),
    "unknown": ("?", "Unknown"),
}
PHASES = {
    "none": "none: magnitude only",
    "absolute": "of every echo",
    "difference": "difference of two echoes",
}
METHODS = {
    "romeo": "ROMEO",
    "laplacian": "Laplacian unwrapping",
    "vsharp": "V-SHARP",
    "tkd": "TKD",
    "tv": "TV",
    "arlo": "ARLO",
    "loglinear": "a weighted log-linear fit",
    "nonlinear": "a nonlinear fit above the noise floor",
    "swi": "classic SWI",
    "clear_swi": "CLEAR-SWI",
}
TIMES = " \N{MULTIPLICATION SIGN} "
SITES = {
    "deep_periventricular_wm": "deep and periventricular white matter",
}

_START = r"(?<![\w./])(?<!:/)(?:~|\.{1,2})?/(?=[\w.~-])"
_PATH = re.compile(
    r"file:/[^\s\"'<>,;()\[\]]*"
    rf"|{_START}[^\n:\"'<>]*(?=: )"  # all before a colon: folders may have spaces in them
    rf"|{_START}(?:[^\n\"'<>,;:()\[\]/]{{0,60}}/)+[^\s\"'<>,;:()\[\]]*"
    r"|(?<!\w)[A-Za-z]:[\\/][^\n\"'<>,;:()\[\]]*[\\/][^\s\"'<>,;:()\[\]]*"
    r"|(?<!\w)[A-Za-z]:[\\/][^\s\"'<>,;:()\[\]]+"
    r"|\\\\[^\s\"'<>,;()\[\]]+"
)
_FILE = re.compile(r"\S*\.(?:nii|nii\.gz|dcm|ima|json|toml|tsv|csv|zip|par|rec|mat|npz)", re.I)
_ROOTED = re.compile(r"(?:~|\.{1,2})?/[\w.][^\n]*|[A-Za-z]:\\[^\n]*|\\\\[^\n]*")


def plain(text: Any) -> str:
    """Return `text` without the places of files: a report goes to people who must not see them."""
    return _PATH.sub("[path]", str(text)).strip()


def setting_text(value: Any) -> str:
    """Return a setting as people read it; a file or a place is said to be one, not named."""
    if value is None:
        return t("not set")
    if isinstance(value, bool):
        return t("yes") if value else t("no")
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        return ", ".join(setting_text(item) for item in value) or t("none")
    if isinstance(value, Mapping):
        return ", ".join(f"{plain(k)} {setting_text(v)}" for k, v in value.items()) or t("none")
    text = str(value)
    if _FILE.fullmatch(text) or _ROOTED.fullmatch(text):
        return t("a file given by the user")
    return plain(text)


def count_of(kind: str, n: int) -> str:
    """Return `3 vessels`, `1 microbleed`."""
    single, several = CLASSES.get(kind, (spaced(kind), spaced(kind)))
    return t("{n} {kind}", n=n, kind=said(single if n == 1 else several))


def spaced(word: Any) -> str:
    """Return a vocabulary word without underscores."""
    return said(SITES.get(str(word), plain(str(word).replace("_", " "))))


def capital(text: str) -> str:
    """Return `text` with a capital first letter and the others as they were."""
    return text[:1].upper() + text[1:]


def number_text(value: Any, digits: int, unit: str = "") -> str:
    """Return a number with `digits` decimals, a true minus, and its unit; else `not measured`."""
    found = number(value)
    if found is None:
        return t("not measured")
    rounded = f"{found:.{digits}f}"
    rounded = rounded.lstrip("-") if float(rounded) == 0 else rounded
    return rounded.replace("-", "\N{MINUS SIGN}") + (f" {unit}" if unit else "")


def moment_text(value: Any, error: Any) -> str:
    """Return `2.31 ± 0.12 ppm mm³`, without the error where there is none."""
    if number(value) is None:
        return t("not measured")
    if number(error) is None:
        return number_text(value, 2, "ppm mm³")
    return f"{number_text(value, 2)} ± {number_text(error, 2)} ppm mm³"


def te_text(te_s: Any) -> str:
    """Return an echo time in milliseconds, `not stated` without one."""
    found = number(te_s)
    return t("not stated") if found is None else f"{1000 * found:.4g} ms"


def size_text(lengths_mm: Any, digits: int = 2) -> str:
    """Return `0.94 × 0.94 × 5.00 mm`."""
    values = [number(length) for length in lengths_mm or ()]
    if not values or any(value is None for value in values):
        return t("not stated")
    return TIMES.join(f"{value:.{digits}f}" for value in values) + " mm"
