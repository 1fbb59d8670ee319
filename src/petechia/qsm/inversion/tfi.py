"""TFI: sources inside and outside the mask at once, preconditioned so that both come."""

import logging
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_between, require_finite
from petechia.core.compiled import compiled
from petechia.core.fourier import convolved, irfft3, rfft3
from petechia.core.grid import Grid
from petechia.core.kernels import dipole_kernel, smv_kernel
from petechia.core.morphology import Mask, bounding_box
from petechia.phase.background.pdf import without_far_sources
from petechia.qsm.inversion.admm import NOISE_FLOOR, Problem, Volume, field_noise, problem_of
from petechia.qsm.inversion.medi import away_from_edges

log = logging.getLogger(__name__)
SMOOTHED_VOXELS = 4.0
"""Radius of the mean that is taken off to tell the size of the local field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TfiParams:
    """Settings of `tfi`.

    Attributes
    ----------
    strength : float
        Weight of the total variation, in units of the field's noise times the voxel size.
    outside : float
        The preconditioner: how much larger sources outside the mask are taken to be; 30 in the
        paper. With less, part of the background is still inside when the steps end; with more,
        sources inside come so slowly that a sphere has lost a third of its moment by then.
    edges : float
        Share of the mask whose gradient of the magnitude counts as an edge, 0 to 0.95.
    rounds : int
        How often the total variation is approached by a weighted square.
    iterations : int
        Steps of conjugate gradients in each round.
    pad_mm : float
        Room for sources between the mask and its periodic copy [mm].
    """

    strength: float = 0.2
    outside: float = 10.0
    edges: float = 0.3
    rounds: int = 4
    iterations: int = 40
    pad_mm: float = 30.0

    def __post_init__(self) -> None:
        where = "TfiParams"
        require_between(self.strength, 1e-6, 1e3, f"{where}.strength", "Larger is smoother.")
        require_between(self.outside, 1.0, 1e4, f"{where}.outside", "10 to 100 is usual.")
        require_between(self.edges, 0.0, 0.95, f"{where}.edges", "0.1 to 0.9 is usual.")
        require_between(self.rounds, 1, 100, f"{where}.rounds", "3 to 10 is usual.")
        require_between(self.iterations, 1, 10_000, f"{where}.iterations", "10 to 50 is usual.")
        require_between(self.pad_mm, 0.0, 500.0, f"{where}.pad_mm", "Give millimetres, e.g. 30.")


def tfi(
    total_field_ppm: npt.NDArray[np.floating],
    weights: npt.NDArray[np.floating] | None,
    magnitude: npt.NDArray[np.floating],
    mask: Mask,
    grid: Grid,
    params: TfiParams = TfiParams(),
) -> Volume:
    r"""Invert the total field: what makes the background is a map, too.

    .. math::
        \min_y \tfrac12 \| W (d * P y - f) \|_2^2 + \lambda \sum_r M(r) |\nabla P y(r)|_2,
        \qquad \chi = P y

    with P `outside` beyond the mask and 1 in it, and M 0 at edges of the magnitude. Without P
    the strong sources outside take hundreds of steps to come, and stand inside meanwhile.

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
        Where `total_field_ppm` is valid.
    grid : Grid
        Geometry; its affine gives the direction of the main field.
    params : TfiParams
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

    Notes
    -----
    Two round trips of transforms a step; no voxel of the rim is lost. What no source within the
    padding could make (a harmonic polynomial of second order) is taken off first, as in `pdf`.
    The misfit is that of an unwrapped field, not of the complex signal.

    References
    ----------
    .. [1] Liu, Kee, Zhou, Wang & Spincemaille (2017), Magn. Reson. Med. 78, 303-315,
       doi:10.1002/mrm.26331.
    """
    for name, array in (("total_field_ppm", total_field_ppm), ("magnitude", magnitude)):
        grid.require(array, name)
        require_finite(array, name)
    grid.require(mask, "mask")
    mask = np.asarray(mask, dtype=np.bool_)
    if not mask.any():
        return np.zeros(grid.shape, dtype=np.float32)
    box = bounding_box(mask)
    field = np.zeros(grid.shape, dtype=np.float32)
    inner = np.where(mask[box], total_field_ppm[box], 0).astype(np.float32)
    field[box] = without_far_sources(inner, mask[box], grid.cut(box))
    problem = problem_of(field, weights, mask, grid, params.pad_mm)
    if problem is None:
        return np.zeros(grid.shape, dtype=np.float32)
    smooth = problem.padded(away_from_edges(magnitude, mask, grid, params.edges)) > 0
    return problem.whole(_inverted(problem, smooth & problem.inside, params), mask)


def _noise(problem: Problem) -> float:
    """Return the noise of the field, at least a part of the size of the *local* field."""
    shape = problem.grid.shape
    radius = SMOOTHED_VOXELS * float(problem.grid.spacing_mm.min())
    mean = smv_kernel(problem.grid, radius)
    high = problem.field - irfft3(rfft3(problem.field) * mean, shape)
    # at the rim the sphere is cut, and the mean is not that of the background
    whole = irfft3(rfft3(problem.inside.astype(np.float32)) * mean, shape) > 0.999
    whole &= problem.weight_squared > 0
    size = float(np.sqrt(np.mean(np.square(high[whole]), dtype=float))) if whole.any() else 1.0
    weight = np.sqrt(problem.weight_squared)
    own = field_noise(problem.field * weight, problem.weight_squared > 0)
    return max(own, NOISE_FLOOR * size)


def _inverted(problem: Problem, smooth: Mask, params: TfiParams) -> Volume:
    """Return the map everywhere, by weighted squares and conjugate gradients."""
    grid = problem.grid
    shape = grid.shape
    kernel = dipole_kernel(grid)
    per_mm = tuple(np.float32(1 / d) for d in grid.spacing_mm)
    noise = _noise(problem)
    voxel_mm = grid.voxel_mm3 ** (1 / 3)
    strength = np.float32(params.strength * noise * voxel_mm)
    # gradients well below this one count as none
    least = np.float32(0.1 * noise / voxel_mm)
    scale = np.where(problem.inside, np.float32(1), np.float32(params.outside))
    chi, force = np.zeros(shape, dtype=np.float32), np.zeros(shape, dtype=np.float32)
    stiff = np.zeros(shape, dtype=np.float32)

    misfit = problem.weight_squared * problem.field
    for _ in range(params.rounds):
        _stiffness(chi, smooth, strength, least, stiff, *per_mm)
        _pull(chi, stiff, force, *per_mm)
        residual = convolved(misfit, kernel)
        residual -= force
        residual *= scale
        step = residual.copy()
        first = now = float(np.vdot(residual, residual))
        n = 0
        while n < params.iterations and now > 1e-6 * first:
            n += 1
            moved = scale * step
            change = convolved(moved, kernel)
            change *= problem.weight_squared
            _pull(moved, stiff, force, *per_mm)
            bent = convolved(change, kernel)
            bent += force
            bent *= scale
            length = np.float32(now / max(float(np.vdot(step, bent)), 1e-30))
            chi += length * moved
            misfit -= length * change
            residual -= length * bent
            before, now = now, float(np.vdot(residual, residual))
            step *= np.float32(now / before)
            step += residual
        log.info("TFI: %d steps, gradient %.2g", n, np.sqrt(now / max(first, 1e-30)))
    return chi


@compiled(fastmath=True)
def _stiffness(chi, smooth, strength, least, out, per0, per1, per2):  # type: ignore[no-untyped-def]
    """Write strength / |gradient| where the map shall be smooth, 0 elsewhere."""
    n0, n1, n2 = chi.shape
    for i in range(n0):
        i_up = i + 1 if i + 1 < n0 else 0
        for j in range(n1):
            j_up = j + 1 if j + 1 < n1 else 0
            for k in range(n2):
                k_up = k + 1 if k + 1 < n2 else 0
                out[i, j, k] = 0
                if (
                    smooth[i, j, k]
                    and smooth[i_up, j, k]
                    and smooth[i, j_up, k]
                    and smooth[i, j, k_up]
                ):
                    c = chi[i, j, k]
                    x = (chi[i_up, j, k] - c) * per0
                    y = (chi[i, j_up, k] - c) * per1
                    z = (chi[i, j, k_up] - c) * per2
                    out[i, j, k] = strength / np.sqrt(x * x + y * y + z * z + least * least)


@compiled(fastmath=True)
def _pull(u, stiff, out, per0, per1, per2):  # type: ignore[no-untyped-def]
    """Write grad^H (stiffness x grad u), periodic."""
    n0, n1, n2 = u.shape
    p0, p1, p2 = per0 * per0, per1 * per1, per2 * per2
    for i in range(n0):
        i_up = i + 1 if i + 1 < n0 else 0
        for j in range(n1):
            j_up = j + 1 if j + 1 < n1 else 0
            for k in range(n2):
                k_up = k + 1 if k + 1 < n2 else 0
                c, s = u[i, j, k], stiff[i, j, k]
                out[i, j, k] = (
                    p0 * (s * (c - u[i_up, j, k]) + stiff[i - 1, j, k] * (c - u[i - 1, j, k]))
                    + p1 * (s * (c - u[i, j_up, k]) + stiff[i, j - 1, k] * (c - u[i, j - 1, k]))
                    + p2 * (s * (c - u[i, j, k_up]) + stiff[i, j, k - 1] * (c - u[i, j, k - 1]))
                )
