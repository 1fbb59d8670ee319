"""What is done to each attribute, and the few exceptions that reading a scan needs."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from pydicom.dataelem import DataElement
from pydicom.sr.coding import Code

BASIC_PROFILE = Code("113100", "DCM", "Basic Application Confidentiality Profile")
CLEAN_FACE = Code("113102", "DCM", "Clean Recognizable Visual Features Option")
CLEAN_CONTENT = Code("113104", "DCM", "Clean Structured Content Option")
CLEAN_DESCRIPTORS = Code("113105", "DCM", "Clean Descriptors Option")
MODIFIED_DATES = Code(
    "113107", "DCM", "Retain Longitudinal Temporal Information Modified Dates Option"
)
CHARACTERISTICS = Code("113108", "DCM", "Retain Patient Characteristics Option")
SAFE_PRIVATE = Code("113111", "DCM", "Retain Safe Private Option")


@dataclass(frozen=True, slots=True)
class Safe:
    """A private element that is kept: group, beginning of the creator, element, and why."""

    group: int
    creator: str
    element: int
    why: str


SAFE = (
    Safe(0x2005, "Philips MR Imaging DD", 0x0E, "scale slope: display values to signal"),
    Safe(0x2005, "Philips MR Imaging DD", 0x0D, "scale intercept, its companion"),
    Safe(0x2005, "Philips MR Imaging DD", 0x11, "magnitude, phase, real or imaginary"),
    Safe(0x2005, "Philips MR Imaging DD", 0x0F, "holds the three above in enhanced images"),
    Safe(0x0043, "GEMS_PARM_01", 0x2F, "magnitude, phase, real or imaginary"),
    Safe(0x0021, "SIEMENS MR SD", 0x75, "image type of enhanced images"),
)
"""Private elements kept, of numbers and fixed words. Siemens's CSA headers (0029,xx10), (0029,xx20)
are not among them: they hold a whole protocol with free text, and no step here needs them."""

_WORDS = """
swi swan swip venbold gre megre flash fl2d fl3d ffe tfe qsm t1 t1w t2 t2w t2star star flair
mprage space tse localizer localiser scout survey field fieldmap map mag magnitude pha phase
ph real imag imaginary mip minip mnip images image tra ax axial sag sagittal cor coronal obl
2d 3d me multi echo echoes iso mm ms te tr p2 p3 grappa sense cs nd norm dis2d dis3d brain
head cerebrum venous bold hemo epi asl dwi adc pre post
"""
WORDS = frozenset(_WORDS.split())
"""Words of sequence and series names that a cleaned description may keep."""
_SMALL_NUMBER = re.compile(r"\d{1,2}(?:mm|ms|t|d|x)?")
DESCRIPTIONS = ("SeriesDescription", "ProtocolName", "StudyDescription")
"""Cleaned rather than removed."""
PERSON_FACTS = ("PatientSex", "PatientAge", "PatientSize", "PatientWeight")
"""Kept when patient characteristics are; ages above 89 years become 90."""


@cache
def actions() -> Mapping[str, str]:
    """Return the action of each attribute of the profile, by keyword or eight-digit number."""
    text = resources.files(__package__).joinpath("basic_profile.toml").read_text("utf-8")
    return {name: action for action, names in tomllib.loads(text).items() for name in names}


def action_of(element: DataElement) -> str:
    """Return what the profile does to an element; "" where it says nothing."""
    known = actions()
    return known.get(element.keyword) or known.get(f"{int(element.tag):08X}", "")


def cleaned(description: str) -> str:
    """Return the words of a description that name a sequence, and nothing else of it."""
    words = re.findall(r"[A-Za-z0-9]+", description)
    kept = [w for w in words if w.lower() in WORDS or _SMALL_NUMBER.fullmatch(w.lower())]
    return " ".join(kept)


def is_safe(group: int, creator: str, element: int) -> bool:
    """Whether a private element may stay."""
    return any(
        s.group == group and creator.startswith(s.creator) and s.element == element for s in SAFE
    )
