"""Coded words of the objects: SNOMED CT and DICOM where they have one, else our own scheme.

Codes were checked against the context groups of PS3.16; what has none there (the moment, the
probability, iron, siderosis) is said in the private scheme 99PETECHIA rather than bent to fit.
"""

from collections.abc import Mapping
from types import MappingProxyType

from pydicom.sr.coding import Code

SCHEME = "99PETECHIA"


def own(value: str, meaning: str) -> Code:
    """Return a code of our own scheme."""
    return Code(value, SCHEME, meaning)


def sct(value: str, meaning: str) -> Code:
    """Return a code of SNOMED CT."""
    return Code(value, "SCT", meaning)


def dcm(value: str, meaning: str) -> Code:
    """Return a code of PS3.16."""
    return Code(value, "DCM", meaning)


def ucum(value: str, meaning: str) -> Code:
    """Return a unit."""
    return Code(value, "UCUM", meaning)


MICROBLEED = sct("723857007", "Silent micro-hemorrhage of brain")
CLASSES: Mapping[str, Code] = MappingProxyType(
    {
        "microbleed": MICROBLEED,
        "macrobleed": sct("274100004", "Cerebral hemorrhage"),
        "calcification": sct("18115005", "Pathologic calcification, calcified structure"),
        "vessel": sct("59820001", "Blood Vessel"),
        "iron": own("IRON", "Physiologic iron deposit"),
        "air_tissue": Code("RID11372", "RADLEX", "Tissue magnetic susceptibility effect"),
        "siderosis": own("SIDEROSIS", "Superficial siderosis"),
        "undetermined": sct("82334004", "Indeterminate"),
    }
)
"""What each finding class is called."""
ABNORMAL = sct("49755003", "Morphologically Abnormal Structure")
NORMAL = sct("91723000", "Anatomical Structure")
RELATION = sct("309825002", "Spatial and Relational Concept")
CATEGORIES: Mapping[str, Code] = MappingProxyType(
    {
        "microbleed": ABNORMAL,
        "macrobleed": ABNORMAL,
        "calcification": ABNORMAL,
        "vessel": NORMAL,
        "iron": ABNORMAL,
        "air_tissue": RELATION,
        "siderosis": ABNORMAL,
        "undetermined": ABNORMAL,
    }
)
"""The category of each class in a segmentation."""
SITES: Mapping[str, Code] = MappingProxyType(
    {
        "frontal": sct("83251001", "Frontal lobe"),
        "parietal": sct("16630005", "Parietal lobe"),
        "temporal": sct("78277001", "Temporal lobe"),
        "occipital": sct("31065004", "Occipital lobe"),
        "insula": sct("36169008", "Insula"),
        "basal_ganglia": own("BASAL_GANGLIA", "Basal ganglia"),
        "thalamus": sct("42695009", "Thalamus"),
        "internal_capsule": sct("85637007", "internal capsule"),
        "external_capsule": sct("10517005", "external capsule"),
        "corpus_callosum": sct("88442005", "Corpus callosum"),
        "deep_periventricular_wm": own("DEEP_WM", "Deep and periventricular white matter"),
        "brainstem": sct("119238007", "Brain Stem"),
        "cerebellum": sct("113305005", "Cerebellum"),
        "n/a": sct("12738006", "Brain"),
    }
)
"""Anatomical sites; the whole brain where none is known."""
SIDES: Mapping[str, Code] = MappingProxyType(
    {
        "left": sct("7771000", "Left"),
        "right": sct("24028007", "Right"),
        "midline": sct("261129000", "Midline"),
    }
)
YES, NO = sct("373066001", "Yes"), sct("373067005", "No")
BRAIN = SITES["n/a"]

VOLUME = sct("118565006", "Volume")
DIAMETER = sct("81827009", "Diameter")
SUSCEPTIBILITY = dcm("126396", "Magnetic Susceptibility")
R2STAR = dcm("126395", "R2*")
MOMENT = own("MOMENT", "Magnetic moment (excess susceptibility times volume)")
MOMENT_SE = own("MOMENT_SE", "Standard error of the magnetic moment")
PROBABILITY = own("P_MICROBLEED", "Probability that the finding is a microbleed")
COUNTED = own("COUNTED", "Counted as a microbleed")
SIGN = own("SIGN", "Sign of the susceptibility against the tissue")
SIGNS: Mapping[str, Code] = MappingProxyType(
    {
        "paramagnetic": own("PARAMAGNETIC", "Paramagnetic"),
        "diamagnetic": own("DIAMAGNETIC", "Diamagnetic"),
        "unclear": own("SIGN_UNCLEAR", "Sign unclear"),
        "not_assessed": own("NOT_ASSESSED", "Not assessed"),
    }
)
MARS = own("MARS", "Grade by the Microbleed Anatomical Rating Scale")
GRADES: Mapping[str, Code] = MappingProxyType(
    {"definite": own("DEFINITE", "Definite"), "possible": own("POSSIBLE", "Possible")}
)
COUNT = own("N_MICROBLEEDS", "Number of counted microbleeds")
COUNTS: Mapping[str, Code] = MappingProxyType(
    {
        "lobar": own("N_LOBAR", "Number of counted microbleeds, lobar"),
        "deep": own("N_DEEP", "Number of counted microbleeds, deep"),
        "infratentorial": own("N_INFRATENTORIAL", "Number of counted microbleeds, infratentorial"),
    }
)
ASSESSABLE = own("ASSESSABLE", "Microbleeds assessable on this scan")

SIGN_NAMES: Mapping[str, Code] = MappingProxyType(
    {
        "fazekas_periventricular": own(
            "WMH_PV", "Periventricular white matter hyperintensity, grade 0 to 3"
        ),
        "fazekas_deep": own("WMH_DEEP", "Deep white matter hyperintensity, grade 0 to 3"),
        "subcortical_spots": own("WMH_SPOTS", "Small subcortical hyperintensities"),
        "lacunes": own("LACUNES", "Lacunes"),
        "basal_ganglia_pvs": own("PVS_BG", "Perivascular spaces of the basal ganglia"),
        "centrum_semiovale_pvs": own("PVS_CSO", "Perivascular spaces of the centrum semiovale"),
        "edema": own("EDEMA_PATCHES", "Patches like vasogenic edema"),
        "sulcal_effusion": own("SULCAL_EFFUSION", "Sulcal effusion"),
    }
)
"""Signs on FLAIR; their grades are measured by rules of our own, so no scale's code fits."""
STATE = own("SIGN_STATE", "Whether the sign was found")
STATES: Mapping[str, Code] = MappingProxyType(
    {
        "yes": YES,
        "no": NO,
        "unsure": own("UNSURE", "Left open by the software"),
        "not_assessed": own("NOT_ASSESSED", "Not assessed"),
    }
)
LEAST = own("SIGN_LEAST", "Lowest grade or number that the measure may stand for")
MOST = own("SIGN_MOST", "Highest grade or number that the measure may stand for")
LOADS: Mapping[str, Code] = MappingProxyType(
    {
        "hyperintensity_ml": own("WMH_VOLUME", "Volume of white matter hyperintensity"),
        "periventricular_ml": own("WMH_VOLUME_PV", "Volume of it near the ventricles"),
        "deep_ml": own("WMH_VOLUME_DEEP", "Volume of it elsewhere"),
    }
)
"""Volumes that a FLAIR gives."""
ML, NUMBER = ucum("mL", "milliliter"), ucum("{number}", "number")

MM, MM3 = ucum("mm", "millimeter"), ucum("mm3", "cubic millimeter")
PPM, PPM_MM3 = ucum("[ppm]", "parts per million"), ucum("[ppm].mm3", "ppm mm3")
PER_S = ucum("/s", "per second")
ONE, EACH = ucum("1", "no units"), ucum("{microbleeds}", "microbleeds")

SOURCE_PURPOSE = dcm("121322", "Source image for image processing operation")
SCANNER = dcm("109101", "Acquisition Equipment")
SEGMENTED = dcm("113076", "Segmentation")
PROJECTED = dcm("113079", "Minimum intensity projection")
WEIGHTED = dcm("113053", "Pixel by pixel multiplication")
INVERTED = own("QSM", "Quantitative susceptibility mapping")
FITTED = own("R2STAR_FIT", "Fit of the decay over echo times")
