"""Findings as a DICOM segmentation: one segment for each class, counted microbleeds first.

Binary, not a label map: PACS show binary segmentations today, and so does the free checker
(`dciodvfy`), which has not met label maps yet.
"""

from collections.abc import Mapping, Sequence

import highdicom as hd
import numpy as np
import numpy.typing as npt
from highdicom.seg import SegmentAlgorithmTypeValues, Segmentation, SegmentDescription
from pydicom.dataset import Dataset

from petechia import __version__
from petechia.files.dicom.kinds import MODEL
from petechia.files.dicom.results import codes
from petechia.files.dicom.results.identity import Identity, refer_by_place

COUNTED, NOT_COUNTED = "microbleed, counted", "microbleed, not counted"
COLOURS = {
    COUNTED: (230, 30, 30),
    NOT_COUNTED: (240, 150, 40),
    "macrobleed": (150, 20, 90),
    "calcification": (60, 120, 230),
    "vessel": (80, 190, 90),
    "iron": (170, 120, 60),
    "air_tissue": (140, 140, 140),
    "siderosis": (200, 60, 200),
    "undetermined": (220, 220, 60),
}
"""Recommended display colour of each segment, sRGB."""


def segment_of(row: Mapping[str, str]) -> str:
    """Return the segment that a finding belongs to."""
    if row["class"] != "microbleed":
        return row["class"]
    return COUNTED if row["counted"] == "1" else NOT_COUNTED


def segment_names(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the segments there are, in order; that of counted microbleeds always, be it empty."""
    there = {COUNTED, *map(segment_of, rows)}
    return [name for name in COLOURS if name in there]


def segmentation(
    identity: Identity,
    rows: Sequence[Mapping[str, str]],
    labels: npt.NDArray[np.integer],
    *,
    reviewed: bool = False,
) -> Dataset:
    """Return the segmentation of all findings.

    Parameters
    ----------
    identity : Identity
        Names and source.
    rows : sequence of mappings
        The table of findings.
    labels : (slices, rows, columns) ndarray of int
        Voxel value = `index` of the finding.
    reviewed : bool
        True when a reader had a say in it.
    """
    names = segment_names(rows)
    numbers = np.zeros(max([int(labels.max()), *(int(row["index"]) for row in rows)]) + 1, np.uint8)
    for row in rows:
        numbers[int(row["index"])] = names.index(segment_of(row)) + 1
    out = Segmentation(
        source_images=list(identity.origin.slices),
        pixel_array=numbers[labels],
        segmentation_type="BINARY",
        segment_descriptions=[
            _described(n, name, reviewed) for n, name in enumerate(names, start=1)
        ],
        content_label="MICROBLEEDS",
        content_description="Dark spots by class; see the structured report",
        series_description=identity.description("Petechia findings"),
        content_creator_name="Petechia",
        **identity.series("seg"),
        **identity.equipment(),
    )
    refer_by_place(out, identity.origin, codes.SEGMENTED)
    return out


def _described(number: int, name: str, reviewed: bool) -> SegmentDescription:
    kind = name.partition(",")[0]
    types = SegmentAlgorithmTypeValues
    return SegmentDescription(
        segment_number=number,
        segment_label=name.replace("_", " ").capitalize(),
        segmented_property_category=codes.CATEGORIES[kind],
        segmented_property_type=codes.CLASSES[kind],
        algorithm_type=types.SEMIAUTOMATIC if reviewed else types.AUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=MODEL,
            family=codes.dcm("123110", "Artificial Intelligence"),
            version=__version__,
            source="Petechia developers",
        ),
        anatomic_regions=[codes.BRAIN],
        display_color=hd.color.CIELabColor.from_rgb(*COLOURS[name]),
    )
