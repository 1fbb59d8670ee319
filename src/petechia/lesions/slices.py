"""Which slices are thick: one limit for the models, their calibration and the order of voids."""

import numpy as np
import numpy.typing as npt

THICK_MM = 3.0
"""From here on slices are thick [mm]."""
ROUNDING_MM = 1e-3
"""So much less is as thick: a header's affine is rounded, that of oblique slices of 3 mm gives
2.9999999."""


def is_thick(slice_mm: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Return whether slices are thick.

    Parameters
    ----------
    slice_mm : array_like of float
        Longest edge of the voxels [mm].

    Examples
    --------
    >>> is_thick([2.9, 2.9999999, 3.0]).tolist()
    [False, True, True]
    """
    return np.asarray(np.asarray(slice_mm) >= THICK_MM - ROUNDING_MM)
