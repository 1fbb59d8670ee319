"""Size and form of a void: what `lesions.shape` measured, as numbers that compare across scans."""

import numpy as np
import numpy.typing as npt

from petechia.lesions.shape import Shape
from petechia.lesions.void import Void

NAMES = (
    "log_volume", "diameter", "sphericity", "elongation", "flatness", "sharpness", "homogeneity",
    "parenchyma", "outside", "depth", "depth_over_noise", "log_voxels", "tail", "inscribed",
    "surrounding",
)  # fmt: skip


def form_features(void: Void, shape: Shape, noise: float) -> npt.NDArray[np.float64]:
    """Return `NAMES` of one void.

    Parameters
    ----------
    void, shape : Void, Shape
        It, and what was measured on it.
    noise : float
        Spread of relative signal in undisturbed tissue.
    """
    return np.array(
        [
            np.log(max(shape.volume_mm3, 1e-3)),
            shape.stored_mm,
            shape.sphericity,
            min(shape.elongation, 10.0),
            min(shape.flatness, 10.0),
            shape.margin_sharpness,
            shape.homogeneity,
            shape.parenchyma_fraction,
            shape.outside_fraction,
            shape.depth,
            min(shape.depth / max(noise, 1e-3), 50.0),
            np.log(max(shape.n_voxels, 1)),
            len(void.tail) / max(len(void.body), 1),
            void.inscribed_mm / max(shape.radius_mm, 1e-3),
            void.background,
        ]
    )
