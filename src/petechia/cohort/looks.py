"""How a lesion looks in an image: contrast to what surrounds it, and evenness inside."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.core.grid import Grid
from petechia.core.morphology import widened_box

SHELL_MM = (1.0, 4.0)
"""What surrounds a lesion: between so far and so far from its border."""
LEAST_VOXELS = 8
"""A shell of fewer voxels tells nothing."""
CONSPICUOUS, HOMOGENEOUS = 5.0, 0.5
"""A lesion is called unambiguous from these on: ours, no reader's (Rose's criterion and a half)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One lesion in one image.

    Attributes
    ----------
    conspicuity : float
        |mean inside - mean of the shell| / standard deviation of the shell.
    homogeneity : float
        1 - SD / |mean| of what is inside, less the shell's mean.
    """

    conspicuity: float
    homogeneity: float

    @property
    def unambiguous(self) -> bool:
        """Whether both are as high as is asked for."""
        return self.conspicuity >= CONSPICUOUS and self.homogeneity >= HOMOGENEOUS


def homogeneity(values: npt.ArrayLike) -> float:
    """Return 1 - SD / |mean| of a lesion's voxels; NaN with fewer than two or a mean of 0."""
    told = np.asarray(values, dtype=np.float64).ravel()
    if len(told) < 2 or not told.mean():
        return float("nan")
    return float(1 - told.std() / abs(told.mean()))


def looks(
    image: npt.NDArray[np.floating],
    labels: npt.NDArray[np.integer],
    mask: npt.NDArray[np.bool_],
    grid: Grid,
) -> dict[int, Look]:
    """Return how each label looks; NaN where its shell is too small.

    Parameters
    ----------
    image : (I, J, K) ndarray of float
        Susceptibility [ppm] or intensities.
    labels : (I, J, K) ndarray of int
        0 outside lesions. The shell leaves out every label, not the own alone.
    mask : (I, J, K) ndarray of bool
        Brain.
    """
    for name, volume in (("image", image), ("labels", labels), ("mask", mask)):
        grid.require(volume, name)
    spacing = np.asarray(grid.spacing_mm)
    pad = np.ceil(SHELL_MM[1] / spacing).astype(int) + 1
    out = {}
    for index, box in enumerate(ndimage.find_objects(np.asarray(labels)), 1):
        if box is None:
            continue
        near = widened_box(box, pad, labels.shape)
        own = labels[near] == index
        apart = ndimage.distance_transform_edt(~own, sampling=spacing)
        shell = (apart >= SHELL_MM[0]) & (apart <= SHELL_MM[1]) & (labels[near] == 0) & mask[near]
        around, inside = image[near][shell], image[near][own]
        if len(around) < LEAST_VOXELS or not around.std():
            out[index] = Look(conspicuity=float("nan"), homogeneity=float("nan"))
            continue
        depth = inside.astype(np.float64) - around.mean()
        out[index] = Look(
            conspicuity=float(abs(depth.mean()) / around.std()), homogeneity=homogeneity(depth)
        )
    return out
