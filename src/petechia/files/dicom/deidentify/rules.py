"""What is done to each attribute, and the few exceptions that reading a scan needs."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

from pydicom.dataelem import DataElement
from pydicom.sr.coding import Code

from petechia.files.dicom.results import codes

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
    """A private element that is kept: group, creator, element, value representation, and why."""

    group: int
    creator: str
    element: int
    vr: str
    why: str


PHILIPS, PHILIPS_ENHANCED = "Philips MR Imaging DD 001", "Philips MR Imaging DD 005"
SIEMENS_XA = "SIEMENS MR SDI 02"
SAFE = (
    Safe(0x2005, PHILIPS, 0x0E, "FL", "scale slope: display values to signal"),
    Safe(0x2005, PHILIPS, 0x0D, "FL", "scale intercept, its companion"),
    Safe(0x2005, PHILIPS, 0x11, "CS", "magnitude, phase, real or imaginary"),
    Safe(0x2005, PHILIPS_ENHANCED, 0x0F, "SQ", "holds the three above in enhanced images"),
    Safe(0x0043, "GEMS_PARM_01", 0x2F, "SS", "magnitude, phase, real or imaginary"),
    Safe(0x0021, SIEMENS_XA, 0x75, "CS", "image type of enhanced images"),
    Safe(0x0021, SIEMENS_XA, 0xFE, "SQ", "holds it in enhanced images"),
)
"""Private elements kept, of numbers and fixed words. Siemens's CSA headers (0029,xx10), (0029,xx20)
are not among them: they hold a whole protocol with free text, and no step here needs them."""

BEYOND = {
    "PatientBirthDateInAlternativeCalendar": "X",
    "PatientDeathDateInAlternativeCalendar": "X",
    "PatientAlternativeCalendar": "X",
    "EncryptedAttributesSequence": "X",
}
"""Attributes that the profile's table does not name, and that tell of the person."""
TEXTS = ("AE", "LO", "LT", "SH", "ST", "UC", "UR", "UT")
"""Value representations of free text: an attribute of these is removed unless it is named below."""
_SCANNER_TEXTS = """
Manufacturer ManufacturerModelName ManufacturerRelatedModelGroup SoftwareVersions
CodeValue LongCodeValue CodingSchemeDesignator CodingSchemeVersion CodeMeaning
CodingSchemeRegistry CodingSchemeName CodingSchemeResponsibleOrganization MappingResourceName
SequenceName PulseSequenceName ImagedNucleus ReceiveCoilName TransmitCoilName
MultiCoilElementName MultiCoilConfiguration ReceiveCoilManufacturerName
TransmitCoilManufacturerName ApplicableSafetyStandardDescription ContrastBolusRoute
TriggerSourceOrType CardiacFramingType RescaleType ModalityLUTType StackID
DimensionDescriptionLabel DimensionIndexPrivateCreator FunctionalGroupPrivateCreator
PositionReferenceIndicator MIMETypeOfEncapsulatedDocument DocumentTitle TextValue
CompletionFlagDescription AlgorithmName AlgorithmVersion AlgorithmParameters AlgorithmSource
"""
SCANNER_TEXTS = frozenset(_SCANNER_TEXTS.split())
"""Attributes of text that images and our results need; scanners and programs fill them in."""
_LABELS = """
ContentLabel ContentDescription SegmentLabel SegmentDescription SegmentAlgorithmName TrackingID
LUTLabel LUTExplanation PixelSpacingCalibrationDescription
"""
LABELS = frozenset(_LABELS.split())
"""Attributes of text that must be there, and that people fill in: cleaned, but in our results."""
_FIXED_TEXTS = """
Manufacturer ManufacturerModelName CodingSchemeDesignator CodingSchemeVersion ImagedNucleus
RescaleType StackID DimensionDescriptionLabel MIMETypeOfEncapsulatedDocument
SeriesDescription ProtocolName StudyDescription PatientID DeidentificationMethod
"""
FIXED_TEXTS = frozenset(_FIXED_TEXTS.split())
"""Attributes of text that no person fills in, or that were cleaned: nobody need read them."""
PUBLIC_SCHEMES = frozenset(
    {"DCM", "SCT", "SRT", "SNM3", "LN", "UCUM", "RADLEX", "FMA", "UMLS", "NCIt", codes.SCHEME}
)
"""Coding schemes whose meanings are printed somewhere; those of a house may say anything."""

_WORDS = """
swi swan swip venbold gre megre flash fl2d fl3d ffe tfe qsm t1 t1w t2 t2w t2star star flair
mprage space tse localizer localiser scout survey field fieldmap map mag magnitude pha phase
ph real imag imaginary mip minip mnip images image tra ax axial sag sagittal cor coronal obl
2d 3d me multi echo echoes iso mm ms te tr p2 p3 grappa sense cs nd norm dis2d dis3d brain
head cerebrum venous bold hemo epi asl dwi adc pre post
"""
WORDS = frozenset(_WORDS.split())
"""Words of sequence and series names that a cleaned description may keep."""
NUMBERED = frozenset({"te", "tr", "me", "multi", "echo", "echoes", "iso", "sense", "grappa"})
UNITS = frozenset({"mm", "ms", "t", "d"})
_MEASURED = re.compile(r"\d{1,2}(?:mm|ms|t|d|x)")
_BARE = re.compile(r"\d{1,2}")
_MAKERS = """
siemens healthineers philips ge general electric medical systems healthcare canon toshiba hitachi
united imaging uih bruker petechia developers
"""
MAKERS = frozenset(_MAKERS.split())
"""Words of makers' names."""
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
    """Return what is done to an element; "" where nothing is said of it."""
    known = actions()
    by_number = known.get(f"{int(element.tag):08X}", "")
    return known.get(element.keyword) or BEYOND.get(element.keyword) or by_number


def cleaned(description: str) -> str:
    """Return the words of a description that name a sequence, and nothing else of it.

    A number stays with its unit, or behind a word that has one (`TE 12`): several in a row may be
    a date.
    """
    words = re.findall(r"[A-Za-z0-9]+", description)
    small = [w.lower() for w in words]
    near = ["", *small, ""]
    kept = [
        word
        for word, before, this, after in zip(words, near, small, near[2:], strict=False)
        if this in WORDS or _MEASURED.fullmatch(this) or _counts(before, this, after)
    ]
    return " ".join(kept)


def _counts(before: str, this: str, after: str) -> bool:
    """Whether a bare number between two words is one of a sequence."""
    if not _BARE.fullmatch(this) or before.isdigit() or after.isdigit():
        return False
    return before in NUMBERED or after in UNITS or _MEASURED.fullmatch(after) is not None


def safe(group: int, creator: str, element: int) -> Safe | None:
    """Return what is known of a private element that may stay; None for all others."""
    wanted = (group, creator.strip(), element)
    return next((s for s in SAFE if (s.group, s.creator, s.element) == wanted), None)
