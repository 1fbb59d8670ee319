"""The alternating direction method that the total-variation inversions share.

They differ in how the field that a map makes is held to the measured one (squared, on the
circle, absolute) and in where edges are allowed; each is a step in closed form, or a few of
Newton's, on one voxel.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.core.checks import checked_weights, require_between, require_finite
from petechia.core.compiled import compiled
from petechia.core.fourier import irfft3, pad_to, padded_grid, rfft3
from petechia.core.grid import Grid
from petechia.core.kernels import dipole_kernel
from petechia.core.morphology import Mask, bounding_box
from petechia.core.robust import robust_sd
from petechia.qsm.inversion.gradients import gradient_adjoint, laplacian_spectrum, shrink_gradient

log = logging.getLogger(__name__)
Volume = npt.NDArray[np.float32]
NOISE_FLOOR = 0.1
"""Least noise assumed, as a fraction of the field's rms: keeps noise-free fields regular."""

FieldStep = Callable[["Problem", Volume, Volume, Volume, np.float32], None]
"""step(problem, predicted, data, source, nu): `data` what the splitting was given,
`source` what it hands on; both are overwritten. `source` may be `predicted` itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmmParams:
    """Settings of every inversion by total variation.

    Attributes
    ----------
    strength : float
        Weight of the total variation, in units of the field's own noise times the voxel
        size: one value serves every protocol, and the map scales with the field.
    gradient_penalty : float
        ADMM penalty of the gradient's splitting, in units of the regularisation weight.
        Changes the speed, not the solution.
    field_penalty : float
        ADMM penalty of the field's splitting, in units of the mean squared data weight.
        Changes the speed, not the solution.
    tolerance : float
        Stop once the map changes by less than this fraction of its norm.
    iterations : int
        Stop after this many at the latest.
    pad_mm : float
        Zeros between the mask and its periodic copy [mm].
    outside : float
        Weight of the total variation outside the mask, in units of that inside, 0 to 1.
        Below 1, sources there may take up what a background removal has left: better maps
        from measured phase, slightly worse ones from a field that has no background.
    """

    strength: float = 0.1
    gradient_penalty: float = 1.0
    field_penalty: float = 0.3
    tolerance: float = 0.01
    iterations: int = 40
    pad_mm: float = 20.0
    outside: float = 0.1

    def __post_init__(self) -> None:
        where = type(self).__name__
        speed = "It changes the speed only: leave it at its default."
        fraction = "Give a fraction below 0.5, e.g. 0.01; 0 runs all iterations."
        regular = "Larger is smoother: 0.03 to 0.3 is usual."
        require_between(self.strength, 1e-6, 1e3, f"{where}.strength", regular)
        require_between(self.gradient_penalty, 1e-3, 1e3, f"{where}.gradient_penalty", speed)
        require_between(self.field_penalty, 1e-3, 1e3, f"{where}.field_penalty", speed)
        require_between(self.tolerance, 0.0, 0.5, f"{where}.tolerance", fraction)
        require_between(self.iterations, 1, 10_000, f"{where}.iterations", "Give 20 to 100.")
        require_between(self.pad_mm, 0.0, 500.0, f"{where}.pad_mm", "Give millimetres, e.g. 20.")
        require_between(self.outside, 0.0, 1.0, f"{where}.outside", "0.1 is usual; 1: all alike.")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Problem:
    """A field laid on a padded grid, ready to be inverted.

    Attributes
    ----------
    field : (I, J, K) ndarray of float32
        Local field over `rms`, 0 where it is not known.
    weight_squared : (I, J, K) ndarray of float32
        Squared trust, of mean square 1 in the mask.
    inside : (I, J, K) ndarray of bool
        The mask.
    grid : Grid
        Padded.
    box : tuple of slice
        Where the unpadded part lies in the whole volume.
    rms : float
        Of the weighted field in the mask [ppm].
    noise : float
        Of the field, over `rms`; at least `NOISE_FLOOR`.
    """

    field: Volume
    weight_squared: Volume
    inside: Mask
    grid: Grid
    box: tuple[slice, slice, slice]
    rms: float
    noise: float

    def padded(self, volume: npt.NDArray[np.floating]) -> Volume:
        """Return a volume of the whole scan on this problem's grid."""
        return pad_to(volume[self.box], self.grid.shape)

    def made_by(self, chi: Volume) -> Volume:
        """Return the field of a map, both on this problem's grid and in its units."""
        spectrum = rfft3(chi)
        spectrum *= dipole_kernel(self.grid)
        return np.asarray(irfft3(spectrum, self.grid.shape), dtype=np.float32)

    def lower_weight_of_outliers(self, misfit: Volume, outlier: float) -> None:
        """Divide the weight of a voxel by its misfit over the limit, where it is beyond.

        The limit is `outlier` robust standard deviations of the weighted misfit, or of the
        field's noise if that is more; `misfit` is overwritten.
        """
        np.abs(misfit, out=misfit)
        misfit *= np.sqrt(self.weight_squared)
        spread = robust_sd(misfit[self.weight_squared > 0], 0.0)
        over = np.maximum(misfit / np.float32(outlier * max(spread, self.noise)), 1)
        self.weight_squared[...] /= over * over

    def whole(self, chi: Volume, mask: Mask) -> Volume:
        """Return a solution as a volume of the whole scan [ppm], 0 outside `mask`."""
        out = np.zeros(mask.shape, dtype=np.float32)
        i, j, k = (s.stop - s.start for s in self.box)
        out[self.box] = np.float32(self.rms) * chi[:i, :j, :k] * mask[self.box]
        return out


def problem_of(
    field_ppm: npt.NDArray[np.floating],
    weights: npt.NDArray[np.floating] | None,
    mask: Mask,
    grid: Grid,
    pad_mm: float,
) -> Problem | None:
    """Check the inputs of an inversion and lay them out; None when there is nothing in them.

    Raises
    ------
    GridMismatchError
        If an array is not on `grid`.
    InputError
        If the field or the weights are not finite, or the weights are 0 in the whole mask.
    ParameterError
        If a weight is negative.
    """
    grid.require(field_ppm, "field_ppm")
    grid.require(mask, "mask")
    require_finite(field_ppm, "field_ppm")
    mask = np.asarray(mask, dtype=np.bool_)
    if not mask.any():
        return None
    box = bounding_box(mask)
    weight = checked_weights(weights, mask, grid)[box]
    field = np.where(weight > 0, field_ppm[box], 0).astype(np.float32)
    rms = float(np.sqrt(np.mean(np.square(field[mask[box]] * weight[mask[box]]), dtype=float)))
    if rms == 0:
        return None
    wide = padded_grid(grid.cut(box), pad_mm)
    field /= np.float32(rms)
    return Problem(
        field=pad_to(field, wide.shape),
        weight_squared=pad_to(weight * weight, wide.shape),
        inside=pad_to(mask[box], wide.shape) > 0,
        grid=wide,
        box=box,
        rms=rms,
        noise=max(field_noise(field * weight, weight > 0), NOISE_FLOOR),
    )


def field_noise(field: npt.NDArray[np.floating], valid: Mask) -> float:
    """Return a robust standard deviation of the voxel-wise noise in `field`.

    The median of the differences over all three axes at once (the finest diagonal
    wavelet), which a field that is smooth over most of the mask leaves to the noise.
    0 where no 2 x 2 x 2 block is valid.
    """
    detail, inside = np.asarray(field, dtype=np.float32), np.asarray(valid, dtype=bool)
    for axis in range(3):
        if detail.shape[axis] < 2:
            return 0.0
        first = tuple(slice(None, -1) if axis == a else slice(None) for a in range(3))
        second = tuple(slice(1, None) if axis == a else slice(None) for a in range(3))
        detail, inside = detail[second] - detail[first], inside[second] & inside[first]
    if not inside.any():
        return 0.0
    return robust_sd(detail[inside], 0.0) / float(np.sqrt(8))


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One set of data: how the map makes it, and the step that holds it to what was measured.

    Attributes
    ----------
    kernel : half spectrum of float32
        From the map to the field of this part.
    step : FieldStep
        Called with what the map predicts.
    """

    kernel: Volume
    step: FieldStep


def solve(
    problem: Problem,
    params: AdmmParams,
    field_step: FieldStep,
    smooth: Mask | None = None,
    start: Volume | None = None,
) -> Volume:
    """Return the minimiser, on the problem's grid and in its units.

    Only where `smooth` is true is variation penalised (None: everywhere). `start` is a map
    to begin with; it changes the speed, not the solution.
    """
    parts = [Part(dipole_kernel(problem.grid), field_step)]
    return solve_parts(problem, params, parts, smooth, start)


def solve_parts(
    problem: Problem,
    params: AdmmParams,
    parts: Sequence[Part],
    smooth: Mask | None = None,
    start: Volume | None = None,
) -> Volume:
    """Return the minimiser for data in several parts, no voxel in two.

    The scaled multipliers are not stored: they follow from what each splitting was last given.
    """
    grid = problem.grid
    voxel_mm = grid.voxel_mm3 ** (1 / 3)
    strength = params.strength * problem.noise
    mu = np.float32(strength * params.gradient_penalty * voxel_mm**2)
    nu = np.float32(params.field_penalty)
    limits, row = limits_of(problem, params, smooth)
    del smooth
    inverse = _inverse_of_normal(parts, grid, mu, nu)
    per_mm = tuple(np.float32(1 / d) for d in grid.spacing_mm)

    chi = np.zeros(grid.shape, dtype=np.float32)
    data = np.zeros(grid.shape, dtype=np.float32)
    split = np.zeros((3, *grid.shape), dtype=np.float32)
    reflection = np.full(grid.shape, -1, dtype=np.float32)
    from_field = np.zeros(inverse.shape, dtype=np.complex64)
    begun = None if start is None else rfft3(start)
    for part in parts:
        volume = np.zeros(grid.shape, dtype=np.float32)
        if begun is not None:
            volume = np.asarray(irfft3(begun * part.kernel, grid.shape), dtype=np.float32)
        part.step(problem, volume, data, volume, nu)
        gather(from_field, rfft3(volume), part.kernel)
    volume = np.zeros(grid.shape, dtype=np.float32)
    if start is not None:  # as if nothing had been shrunken yet
        shrink_gradient(start, start, split, reflection, np.zeros_like(limits), row, *per_mm)
        gradient_adjoint(split, reflection, volume, *per_mm)
    del begun, start
    iteration, change, size = 0, np.inf, 1.0
    while iteration < params.iterations:
        iteration += 1
        spectrum = rfft3(volume)  # of what the gradient asks
        del volume  # as soon as may be, here and below: it is the memory that counts
        _solve(spectrum, from_field, inverse, mu, nu)
        del from_field
        before, chi = chi, np.asarray(irfft3(spectrum.copy(), grid.shape), dtype=np.float32)
        change, size = shrink_gradient(chi, before, split, reflection, limits, row, *per_mm)
        del before
        if change <= params.tolerance**2 * size:
            break
        from_field = np.zeros(inverse.shape, dtype=np.complex64)
        for part in parts:
            volume = np.asarray(irfft3(spectrum * part.kernel, grid.shape), dtype=np.float32)
            part.step(problem, volume, data, volume, nu)
            if part is parts[-1]:
                del spectrum
            gather(from_field, rfft3(volume), part.kernel)
        gradient_adjoint(split, reflection, volume, *per_mm)
    ended = float(np.sqrt(change / max(size, 1e-30)))
    log.info("total variation: %d iterations, last change %.2g", iteration, ended)
    return chi


def limits_of(
    problem: Problem, params: AdmmParams, smooth: Mask | None
) -> tuple[Volume, npt.NDArray[np.uint8]]:
    """Return what shrinkage takes off a gradient [units/mm], as a table and each voxel's row."""
    voxel_mm = problem.grid.voxel_mm3 ** (1 / 3)
    whole = 1 / (params.gradient_penalty * voxel_mm)
    table = np.array([0, whole, params.outside * whole], dtype=np.float32)
    row = np.where(problem.inside, np.uint8(1), np.uint8(2))
    if smooth is not None:
        row *= smooth
    return table, row


def _inverse_of_normal(parts: Sequence[Part], grid: Grid, mu: np.float32, nu: np.float32) -> Volume:
    """Return 1 / (mu grad^H grad + nu sum D^2) on the half spectrum, 0 at the mean."""
    normal = laplacian_spectrum(grid)
    normal *= mu
    for part in parts:
        normal += nu * part.kernel * part.kernel
    normal[0, 0, 0] = np.inf  # the mean makes no field: left at 0
    return np.asarray(np.float32(1) / normal, dtype=np.float32)


@compiled(fastmath=True)
def gather(total, spectrum, kernel):  # type: ignore[no-untyped-def]
    """Add what one part asks of the map."""
    n0, n1, n2 = kernel.shape
    for i in range(n0):
        for j in range(n1):
            for k in range(n2):
                total[i, j, k] += kernel[i, j, k] * spectrum[i, j, k]


@compiled(fastmath=True)
def _solve(spectrum, from_field, inverse, mu, nu):  # type: ignore[no-untyped-def]
    """Overwrite the spectrum of what the gradient asks with that of the new map."""
    n0, n1, n2 = inverse.shape
    for i in range(n0):
        for j in range(n1):
            for k in range(n2):
                both = mu * spectrum[i, j, k] + nu * from_field[i, j, k]
                spectrum[i, j, k] = inverse[i, j, k] * both
