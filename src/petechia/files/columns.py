"""What each column of each table means, for the JSON beside it."""

from collections.abc import Mapping, Sequence
from typing import Any

from petechia.files.contract import contract

Description = Mapping[str, Any]

_LEVELS = {
    "class": {
        "microbleed": "Cerebral microbleed, at most 10 mm across",
        "macrobleed": "Bleed of more than 10 mm",
        "calcification": "Diamagnetic focus",
        "vessel": "Vein or artery seen along or across",
        "iron": "Physiological iron of a deep nucleus",
        "air_tissue": "Field of air next to tissue",
        "siderosis": "Superficial siderosis",
        "undetermined": "None of these with enough evidence",
    },
    "sign": {
        "paramagnetic": "More paramagnetic than the tissue around it, as blood is",
        "diamagnetic": "More diamagnetic than the tissue around it, as calcium is",
        "unclear": "The field does not decide",
        "not_assessed": "No usable phase",
    },
    "mars": {
        "definite": "Meets the criteria of the Microbleed Anatomical Rating Scale",
        "possible": "Meets them in part",
    },
    "counted": {"1": "Counted as a microbleed", "0": "Not counted"},
    "visible": {"1": "Visible", "0": "Not visible"},
}

_TEXT: dict[str, tuple[str, str | None]] = {
    "criteria": ("Each criterion of the definition: met, not met or not assessed", None),
    "index": ("Value of the voxels in the label image of the same name", None),
    "name": ("Name of the label", None),
    "class": ("What it is", None),
    "sign": ("Sign of the susceptibility against the tissue around it", None),
    "probability": (
        "Probability that this finding is a microbleed, whatever its class; the summary says "
        "whether it is calibrated",
        None,
    ),
    "counted": ("{counted}", None),
    "mars": ("Certainty by the Microbleed Anatomical Rating Scale", None),
    "x_mm": ("To the right; {xyz}", "mm"),
    "y_mm": ("To the front; {xyz}", "mm"),
    "z_mm": ("Upwards; {xyz}", "mm"),
    "source_x_mm": ("To the right; fitted place of the magnetic source", "mm"),
    "source_y_mm": ("To the front; fitted place of the magnetic source", "mm"),
    "source_z_mm": ("Upwards; fitted place of the magnetic source", "mm"),
    "iron_ug": (
        "Mass of iron if all of it is hemosiderin; blood of a clear sign only",
        "ug",
    ),
    "iron_se_ug": ("Standard error of iron_ug, with 30 % for the conversion", "ug"),
    "volume_mm3": ("Volume of the label; {size}", "mm^3"),
    "diameter_mm": ("Diameter; {size}", "mm"),
    "moment_ppm_mm3": ("{moment}", "ppm mm^3"),
    "moment_se_ppm_mm3": ("Standard error of moment_ppm_mm3", "ppm mm^3"),
    "chi_mean_ppm": ("{chi_mean}", "ppm"),
    "side": ("Side of the body", None),
    "site": ("Anatomical site", None),
    "compartment": ("Compartment by which a pattern is read", None),
    "parenchyma_fraction": ("Part of the surface that touches brain tissue, 0 to 1", None),
    "sphericity": ("Surface of the sphere of equal volume over the surface, 0 to 1", None),
    "margin_sharpness": ("Steepness of the edge against the noise", None),
    "homogeneity": ("Evenness of the signal inside, 0 to 1", None),
    "ct_hu": (
        "Density on a CT of the same person, 95th percentile within the void, 1 mm around it and "
        "the uncertainty of the registration",
        "HU",
    ),
    "ct_calcified": ("Whether ct_hu is 100 or more, as only calcium is", None),
    "evidence": ("The reasons for the class, in words", None),
    "reader": ("Who decided on it; several where they agree", None),
    "reader_class": ("What the reader called it", None),
    "software_class": ("What the software called it", None),
    "software_counted": ("1 where the software alone counted it, else 0", None),
    "review_note": ("What else is to be known of the decision, in words", None),
    "true_diameter_mm": ("Diameter of the simulated source", "mm"),
    "apparent_diameter_mm": ("Longest in-plane diameter of the signal void", "mm"),
    "apparent_volume_mm3": ("Volume of the signal void", "mm^3"),
    "chi_ppm": ("Susceptibility of the source against its surroundings", "ppm"),
    "visible": ("{visible}", None),
}


def describe(columns: Sequence[str]) -> dict[str, Description]:
    """Return the BIDS description of each of `columns` that is known here."""
    return {column: _describe(column) for column in columns if column in _TEXT}


def _describe(column: str) -> Description:
    text, units = _TEXT[column]
    agreed = contract()
    out: dict[str, Any] = {
        "Description": text.format(**agreed.meaning, visible=agreed.truth.visible)
    }
    if units:
        out["Units"] = units
    if column == "index":
        out["Format"] = "integer"  # as the standard defines this column
    if column in _LEVELS:
        out["Levels"] = _LEVELS[column]
    elif column in agreed.words:
        out["Levels"] = {w: w.replace("_", " ") for w in agreed.words[column] if w != "n/a"}
    return out
