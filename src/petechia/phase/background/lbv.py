"""LBV: the harmonic field that agrees with the total one at the edge of the mask."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.core.checks import require_between, require_finite
from petechia.core.grid import Grid
from petechia.core.morphology import bounding_box, erode_mm
from petechia.core.poisson import minus_laplacian, solve_poisson
from petechia.errors import UnfitError
from petechia.phase.images import Mask, Volume, checked_mask


@dataclass(frozen=True, slots=True, kw_only=True)
class LbvParams:
    """Settings of `lbv`.

    Attributes
    ----------
    peel_mm : float
        What is taken off the edge of the mask first, where the field is often wrong [mm].
    tolerance : float
        Stop once the residual of Laplace's equation is below this fraction of the first one.
    iterations : int
        Stop after so many steps at the latest.
    """

    peel_mm: float = 0.0
    tolerance: float = 1e-3
    iterations: int = 30

    def __post_init__(self) -> None:
        require_between(self.peel_mm, 0.0, 50.0, "LbvParams.peel_mm", "0 to 3 is usual.")
        require_between(self.tolerance, 0.0, 0.9, "LbvParams.tolerance", "0.001 is usual.")
        require_between(self.iterations, 1, 10_000, "LbvParams.iterations", "10 to 30.")


def lbv(
    field_ppm: npt.NDArray[np.floating],
    mask: npt.NDArray[np.bool_],
    grid: Grid,
    params: LbvParams | None = None,
) -> tuple[Volume, Mask]:
    r"""Remove the background as the solution of Laplace's equation in the mask.

    .. math:: \nabla^2 b = 0 \text{ in the mask}, \qquad b = f \text{ at its edge}

    The local field f - b is 0 at the edge, where it is small unless a source lies there;
    solved for directly, :math:`\nabla^2 f_\mathrm{local} = \nabla^2 f`.

    Parameters
    ----------
    field_ppm : (I, J, K) ndarray of float
        Total field [ppm].
    mask : (I, J, K) ndarray of bool
        Where the field is known. Beyond the volume counts as outside the mask.
    grid : Grid
        Any spacing.
    params : LbvParams, optional

    Returns
    -------
    local_field_ppm : (I, J, K) ndarray of float32
        0 outside `mask_inner` [ppm].
    mask_inner : (I, J, K) ndarray of bool
        The mask without the voxels at its edge, which the equation takes as they are.

    Raises
    ------
    UnfitError
        If no voxel of the mask has all six neighbours in it.
    InputError
        If shapes disagree, the mask is empty or the field is not finite.

    Notes
    -----
    Finite differences, solved by multigrid (`solve_poisson`): no transforms. Noise and
    errors at the edge spread inwards: peel what is not trusted.

    References
    ----------
    .. [1] Zhou, Liu, Spincemaille & Wang (2014), NMR Biomed. 27, 312-319,
       doi:10.1002/nbm.3064.
    """
    params = params or LbvParams()
    grid.require(field_ppm, "field_ppm")
    require_finite(field_ppm, "field_ppm")
    mask = checked_mask(mask, grid)
    known = mask
    if params.peel_mm > 0:
        # the border of the volume is an edge as any other
        padded = Grid(tuple(n + 2 for n in grid.shape), grid.affine)  # type: ignore[arg-type]
        known = erode_mm(np.pad(mask, 1), padded, params.peel_mm)[1:-1, 1:-1, 1:-1]
    inner = ndimage.binary_erosion(known)
    if not inner.any():
        raise UnfitError(
            f"no voxel lies inside the mask of {int(mask.sum())} voxels",
            where="lbv",
            mend="Give a larger mask or a smaller peel_mm.",
        )
    out = np.zeros(grid.shape, dtype=np.float32)
    box = bounding_box(known)
    free = np.pad(inner[box], 1)
    level = np.float32(np.median(np.asarray(field_ppm)[known]))
    field = np.pad(np.where(known[box], field_ppm[box] - level, 0).astype(np.float32), 1)
    right = minus_laplacian(field, free, grid.spacing_mm)
    size = float(np.abs(right).max())
    if size > 0:
        right /= np.float32(size)
        solved = solve_poisson(right, free, grid.spacing_mm, params.iterations, params.tolerance)
        out[box] = np.float32(size) * solved[1:-1, 1:-1, 1:-1]
    return out, inner
