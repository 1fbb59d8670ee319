"""Susceptibility from the total field in one step: no background removal in between."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from petechia.core.checks import checked_weights, require_between, require_finite
from petechia.core.compiled import compiled
from petechia.core.fourier import padded_grid
from petechia.core.grid import Grid
from petechia.core.kernels import dipole_kernel, smv_kernel
from petechia.core.morphology import Mask, bounding_box, fill_holes
from petechia.errors import ParameterError
from petechia.phase.background.spheres import least_radius, less_spherical_means, no_sphere
from petechia.qsm.inversion.admm import (
    AdmmParams,
    Part,
    Problem,
    Volume,
    problem_of,
    solve_parts,
)
from petechia.qsm.inversion.medi import away_from_edges


@dataclass(frozen=True, slots=True, kw_only=True)
class SpheresParams(AdmmParams):
    """Settings of inversions of the total field by spheres: `AdmmParams`, and the following.

    Attributes
    ----------
    radius_max_mm, radius_min_mm : float
        Largest and smallest sphere [mm]. The smallest is raised to the longest side of a
        voxel, as in V-SHARP.
    n_radii : int
        Spheres, their radii in geometric steps. Two transforms an iteration each.
    """

    strength: float = 0.2
    tolerance: float = 0.005
    iterations: int = 30
    radius_max_mm: float = 8.0
    radius_min_mm: float = 1.0
    n_radii: int = 3

    def __post_init__(self) -> None:
        # not super(): a dataclass with slots is a new class, which the name in it is not
        AdmmParams.__post_init__(self)
        where = type(self).__name__
        require_between(self.radius_min_mm, 0.1, 50.0, f"{where}.radius_min_mm", "1 is usual.")
        require_between(self.radius_max_mm, 0.1, 100.0, f"{where}.radius_max_mm", "8 is usual.")
        require_between(self.n_radii, 1, 20, f"{where}.n_radii", "3 is usual.")
        if self.radius_max_mm < self.radius_min_mm:
            raise ParameterError(
                f"{self.radius_max_mm:g} is below radius_min_mm = {self.radius_min_mm:g}",
                where=f"{where}.radius_max_mm",
                mend="Give the larger radius first.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleStepParams(SpheresParams):
    """Settings of `single_step`: those of `SpheresParams`, and the following.

    Attributes
    ----------
    edges : float
        Share of the mask whose gradient of the magnitude counts as an edge, 0 to 0.95.
    """

    edges: float = 0.5

    def __post_init__(self) -> None:
        # not super(): a dataclass with slots is a new class, which the name in it is not
        SpheresParams.__post_init__(self)
        usual = "0.1 to 0.9 is usual."
        require_between(self.edges, 0.0, 0.95, "SingleStepParams.edges", usual)


def single_step(
    total_field_ppm: npt.NDArray[np.floating],
    weights: npt.NDArray[np.floating] | None,
    magnitude: npt.NDArray[np.floating],
    mask: Mask,
    grid: Grid,
    params: SingleStepParams = SingleStepParams(),
) -> Volume:
    r"""Invert the total field; what comes from outside cancels in the data term.

    A background field is harmonic: over a sphere :math:`S_r` that lies in the mask its mean
    is its value in the centre. So both sides are compared after the mean is taken off,

    .. math::
        \min_\chi \tfrac{1}{2} \sum_r \| W M_r (\delta - S_r) * (d * \chi - f) \|_2^2
        + \lambda \sum_x M(x) |\nabla \chi(x)|_2

    with :math:`M_r` the voxels whose largest sphere in the mask has radius r. V-SHARP solves
    the left half of this by a division that is wrong near the edge of the mask, where the
    radius changes; here nothing is divided.

    Parameters
    ----------
    total_field_ppm : (I, J, K) ndarray of float
        Field with its background [ppm].
    weights : (I, J, K) ndarray of float, or None
        Trust in each voxel's field, not negative, any scale; 0 leaves a voxel out. None
        trusts all of `mask`.
    magnitude : (I, J, K) ndarray of float
        Echoes combined, whose edges are those of the anatomy.
    mask : (I, J, K) ndarray of bool
        Where `total_field_ppm` is known. Beyond the volume counts as outside the mask.
    grid : Grid
        Geometry; its affine gives the direction of the main field.
    params : SingleStepParams
        Settings.

    Returns
    -------
    chi_ppm : (I, J, K) ndarray of float32
        Susceptibility [ppm], not yet referenced; 0 outside `mask`.

    Raises
    ------
    GridMismatchError
        If an array is not on `grid`.
    InputError
        If the field or the weights are not finite, or a weight is negative.
    UnfitError
        If the smallest sphere fits nowhere.

    Notes
    -----
    Edges of the magnitude guide the penalty as in `medi`. Where no sphere fits (the outermost
    voxels, and what lies in untrusted ones) there is no data of its own: the map there is
    what the fields of its neighbours and the penalty make of it. Untrusted voxels that
    trusted ones enclose, such as the void of a lesion, still count as known to the spheres.

    References
    ----------
    .. [1] Chatnuntawech, McDaniel, Cauley et al. (2017), NMR Biomed. 30, e3570,
       doi:10.1002/nbm.3570.
    .. [2] Wu, Li, Guidon & Liu (2012), Magn. Reson. Med. 67, 137-147,
       doi:10.1002/mrm.23000.
    """
    grid.require(magnitude, "magnitude")
    require_finite(magnitude, "magnitude")
    prepared = less_background(total_field_ppm, weights, mask, grid, params)
    if prepared is None:
        return np.zeros(grid.shape, dtype=np.float32)
    problem, parts = prepared
    smooth = _smooth(problem, magnitude, mask, grid, params)
    return problem.whole(solve_parts(problem, params, parts, smooth), mask)


def less_background(
    total_field_ppm: npt.NDArray[np.floating],
    weights: npt.NDArray[np.floating] | None,
    mask: Mask,
    grid: Grid,
    params: SpheresParams,
) -> tuple[Problem, list[Part]] | None:
    """Return the field less its spherical means as a problem, and how a map makes each part.

    None when there is nothing in it. Raises as `single_step`.
    """
    grid.require(total_field_ppm, "total_field_ppm")
    require_finite(total_field_ppm, "total_field_ppm")
    grid.require(mask, "mask")
    mask = np.asarray(mask, dtype=np.bool_)
    if not mask.any():
        return None
    trust = checked_weights(weights, mask, grid)
    known = fill_holes(trust > 0) & mask
    level = np.float32(np.median(np.asarray(total_field_ppm)[known])) if known.any() else 0
    high, which, radii = _high_passed(total_field_ppm - level, known, grid, params)
    trust[which < 0] = 0
    problem = problem_of(high, trust, mask, grid, params.pad_mm)
    if problem is None:
        return None
    layers = (problem.padded(which + np.float32(1)) - 1).astype(np.int8)  # -1 in the padding
    dipole = dipole_kernel(problem.grid)
    return problem, [
        Part(dipole * (1 - smv_kernel(problem.grid, r)), partial(layered_step, layers, n))
        for n, r in enumerate(radii)
    ]


def _smooth(
    problem: Problem,
    magnitude: npt.NDArray[np.floating],
    mask: Mask,
    grid: Grid,
    params: SingleStepParams,
) -> Mask:
    """Return where the map must be smooth: away from the magnitude's edges, and outside."""
    edges = problem.padded(away_from_edges(magnitude, mask, grid, params.edges)) == 0
    edges &= problem.inside
    return np.asarray(~edges, dtype=np.bool_)


def _high_passed(
    field_ppm: npt.NDArray[np.floating], mask: Mask, grid: Grid, params: SpheresParams
) -> tuple[Volume, npt.NDArray[np.int8], list[float]]:
    """Return the field less its spherical means, which sphere each voxel has (-1: none), radii."""
    smallest = least_radius(params.radius_min_mm, grid)
    largest = max(params.radius_max_mm, smallest)
    n_radii = params.n_radii if largest > smallest else 1
    if not mask.any():
        raise no_sphere(smallest, mask, "inversion", "radius_min_mm")
    box = bounding_box(mask)
    near = grid.cut(box)
    high, which = np.zeros(grid.shape, np.float32), np.full(grid.shape, -1, np.int8)
    radii: list[float] = []
    wide = padded_grid(near, largest)
    for radius, _, fits, left in less_spherical_means(
        field_ppm[box], mask[box], near, wide, np.geomspace(largest, smallest, n_radii)
    ):
        high[box][fits] = left[fits]
        which[box][fits] = len(radii)
        radii.append(radius)
    if not radii:
        raise no_sphere(smallest, mask, "inversion", "radius_min_mm")
    return high, which, radii


def layered_step(
    layers: npt.NDArray[np.int8],
    layer: int,
    problem: Problem,
    predicted: Volume,
    data: Volume,
    source: Volume,
    nu: np.float32,
) -> None:
    """Hold the field of one sphere to the measured one, in the voxels it has."""
    squares = problem.weight_squared
    _layered(predicted, problem.field, squares, layers, np.int8(layer), nu, data, source)


@compiled(fastmath=True)
def _layered(predicted, field, weight_squared, layers, layer, nu, data, source):  # type: ignore[no-untyped-def]
    """Step as `tv` does where the voxel is of this layer; elsewhere nothing is asked."""
    n0, n1, n2 = field.shape
    for i in range(n0):
        for j in range(n1):
            for k in range(n2):
                if layers[i, j, k] == layer:
                    w = weight_squared[i, j, k]
                    given = predicted[i, j, k] + data[i, j, k]
                    z = (w * field[i, j, k] + nu * given) / (w + nu)
                    data[i, j, k] = given - z
                    source[i, j, k] = z - data[i, j, k]
                else:
                    source[i, j, k] = predicted[i, j, k]
