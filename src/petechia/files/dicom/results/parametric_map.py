"""Susceptibility and R2* as DICOM parametric maps: the float32 values of the NIfTI map."""

from dataclasses import dataclass

import highdicom as hd
import numpy as np
import numpy.typing as npt
from highdicom.pm import DerivedPixelContrastValues, ParametricMap, RealWorldValueMapping
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from petechia.files.dicom.results import codes
from petechia.files.dicom.results.identity import RESEARCH, Identity, refer_by_place, say_body_part


@dataclass(frozen=True, slots=True)
class MapKind:
    """What a map says: label, words, unit, quantity, derivation, and the window it opens in."""

    label: str
    words: str
    unit: Code
    quantity: Code
    how: Code
    window: tuple[float, float]


KINDS = {
    "chi": MapKind(
        "CHI",
        "Magnetic susceptibility, referenced; 0 outside the brain",
        codes.PPM,
        codes.SUSCEPTIBILITY,
        codes.INVERTED,
        (0.0, 0.4),
    ),
    "r2star": MapKind(
        "R2STAR",
        "Effective transverse relaxation rate R2*; 0 outside the brain",
        codes.PER_S,
        codes.R2STAR,
        codes.FITTED,
        (40.0, 80.0),
    ),
}


def parametric_map(identity: Identity, kind: str, values: npt.NDArray[np.float32]) -> Dataset:
    """Return a parametric map.

    Parameters
    ----------
    identity : Identity
        Names and source.
    kind : str
        'chi' or 'r2star'.
    values : (slices, rows, columns) ndarray of float32
        In the unit of the kind: [ppm], [1/s].
    """
    row = KINDS[kind]
    values = np.ascontiguousarray(values, dtype=np.float32)
    centre, width = row.window
    out = ParametricMap(
        source_images=list(identity.origin.slices),
        pixel_array=values,
        contains_recognizable_visual_features=False,  # nothing outside the brain
        real_world_value_mappings=[
            RealWorldValueMapping(
                lut_label=row.label,
                lut_explanation=row.words,
                unit=row.unit,
                value_range=(float(values.min()), float(values.max())),
                slope=1.0,
                intercept=0.0,
                quantity_definition=row.quantity,
            )
        ],
        voi_lut_transformations=[
            hd.VOILUTTransformation(
                window_center=centre, window_width=width, voi_lut_function="LINEAR_EXACT"
            )
        ],
        content_label=row.label,
        content_description=row.words,
        content_creator_name="Petechia",
        derived_pixel_contrast=DerivedPixelContrastValues.QUANTITY,
        derivation=row.how,
        series_description=f"Petechia {row.quantity.meaning} [{row.unit.value}]. {RESEARCH}",
        **identity.series(kind),
        **identity.equipment(),
    )
    say_body_part(out)
    refer_by_place(out, identity.origin, row.how)
    return out
