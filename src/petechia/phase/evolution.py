"""How the phase evolves from the first echo to the second, without what coils add.

Readouts of alternating direction (bipolar) leave a phase between odd and even echoes: mostly
linear along the readout, from gradient delays and eddy currents. Three echoes tell it from
the field.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_between
from petechia.core.grid import Grid
from petechia.errors import ParameterError
from petechia.phase.images import Mask, Volume
from petechia.phase.smooth import (
    block_phasors,
    blocks_for,
    blurred,
    difference,
    voxel_angle,
)
from petechia.phase.unwrap.romeo import romeo

BIPOLAR_RAD = 0.05
"""Phase between odd and even echoes, root mean square, from which a scan counts as bipolar."""
BEYOND_CHANCE = 3.0
"""How many of its standard errors it must be besides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class McpcParams:
    """Settings of `remove_offsets`, `mcpc3ds` and `combine_coils`.

    Attributes
    ----------
    smooth_mm : float
        Standard deviation of the Gaussian that smooths the offset [mm].
    bipolar : str
        Whether even echoes are read backwards: "no", "yes", or "auto" by the data.
    """

    smooth_mm: float = 7.0
    bipolar: str = "auto"

    def __post_init__(self) -> None:
        require_between(
            self.smooth_mm, 0.5, 50, "McpcParams.smooth_mm", "Offsets are smooth: take 5 to 10."
        )
        if self.bipolar not in ("no", "yes", "auto"):
            raise ParameterError(
                f"bipolar = {self.bipolar!r}",
                where="McpcParams.bipolar",
                mend="Choose no, yes or auto.",
            )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Evolution:
    """The phase that the field makes between the first two echoes.

    Attributes
    ----------
    step_rad : (I, J, K) ndarray of float32
        Unwrapped; 0 outside the mask [rad].
    step_s : float
        Time between the first two echoes [s].
    bipolar_rad : (I, J, K) ndarray of float32, or None
        What even echoes (the second, the fourth) have more than odd ones [rad].
    alternation_rad : float, or None
        Root mean square of its linear part in the mask; None when not looked for [rad].
    """

    step_rad: Volume
    step_s: float
    bipolar_rad: Volume | None = None
    alternation_rad: float | None = None


def evolve(
    first_rad: Volume,
    first_weight: Volume,
    later_rad: Volume | None,
    later_weight: Volume | None,
    te_s: tuple[float, ...],
    mask: Mask,
    grid: Grid,
    params: McpcParams,
) -> Evolution:
    r"""Return the evolution from phase differences against the first echo.

    With :math:`u = U(\varphi_2 - \varphi_1)`, :math:`q = (t_3 - t_1) / (t_2 - t_1)` and b the
    phase of even echoes, :math:`\varphi_3 - \varphi_1 - q u = -q b`.

    Parameters
    ----------
    first_rad, later_rad : (I, J, K) ndarray of float32
        Wrapped phase of the second, and of the third echo, less that of the first [rad].
    first_weight, later_weight : (I, J, K) ndarray of float32
        Products of the magnitudes.
    te_s : tuple of float
        Of all echoes [s].
    mask : (I, J, K) ndarray of bool
    grid : Grid
    params : McpcParams

    Returns
    -------
    Evolution
    """
    step_s = te_s[1] - te_s[0]
    step = romeo(first_rad[None], np.sqrt(first_weight)[None], (step_s,), mask, grid)[0]
    if later_rad is None or later_weight is None or params.bipolar == "no":
        return Evolution(step_rad=step, step_s=step_s)
    q = (te_s[2] - te_s[0]) / step_s
    left = later_rad - np.float32(q) * step
    bipolar, alternation = _alternating(left, weight_of(later_weight, mask), q, grid, params)
    if bipolar is not None:
        step -= np.where(mask, bipolar, 0)
    return Evolution(step_rad=step, step_s=step_s, bipolar_rad=bipolar, alternation_rad=alternation)


def weight_of(product: Volume, mask: Mask) -> Volume:
    """Return products of magnitudes as weights: 0 outside the mask, at most 1."""
    limit = float(np.percentile(product[mask], 90)) or 1.0
    return np.where(mask, np.minimum(product / np.float32(limit), 1), 0).astype(np.float32)


def _alternating(
    left: Volume, weight: Volume, q: float, grid: Grid, params: McpcParams
) -> tuple[Volume | None, float]:
    """Return the phase of even echoes, None for a monopolar scan, and its size [rad].

    A linear model of `left`, free of wraps, then what is smooth on top. The constant is open
    by 1/q turns; the one nearest to 0 is taken.
    """
    blocks = blocks_for(grid, params.smooth_mm)
    sums = block_phasors(left, weight, blocks)
    size = np.abs(sums)
    total = float(size.sum()) or 1.0
    ramp, variance = np.zeros((1, 1, 1), dtype=np.float32), 0.0
    for axis in range(3):
        slope, error = _slope(sums, axis)
        n = sums.shape[axis]
        along = size.sum(axis=tuple(a for a in range(3) if a != axis))
        middle = float((along * np.arange(n)).sum()) / total
        line = (slope * (np.arange(n) - middle)).astype(np.float32)
        ramp = ramp + line.reshape([-1 if a == axis else 1 for a in range(3)])
        variance += error**2 * float((along * (np.arange(n) - middle) ** 2).sum()) / total
    sums *= np.exp(-1j * ramp)
    constant, error = _mean_angle(sums)
    alternation = float(np.sqrt((size * (ramp + constant) ** 2).sum() / total)) / q
    chance = BEYOND_CHANCE * float(np.sqrt(variance + error**2)) / q
    if params.bipolar == "auto" and alternation < max(BIPOLAR_RAD, chance):
        return None, alternation
    smooth = blurred(sums * np.complex64(np.exp(-1j * constant)), blocks.coarse, params.smooth_mm)
    modelled = blocks.expand(np.asarray(ramp + np.float32(constant), dtype=np.float32))
    modelled += voxel_angle(smooth, blocks)
    return modelled * np.float32(-1 / q), alternation


def _slope(sums: npt.NDArray[np.complex64], axis: int) -> tuple[float, float]:
    """Return the mean step of the phase between blocks along an axis, its error [rad]."""
    n = sums.shape[axis]
    before, after = np.take(sums, range(n - 1), axis), np.take(sums, range(1, n), axis)
    return _mean_angle(after * before.conj())


def _mean_angle(phasors: npt.NDArray[np.complex64]) -> tuple[float, float]:
    """Return the angle of the sum of phasors and its standard error by their scatter [rad]."""
    mean = float(np.angle(phasors.sum()))
    across = (phasors * np.complex64(np.exp(-1j * mean))).imag
    scatter = float(np.sqrt(np.square(across, dtype=np.float64).sum()))
    return mean, scatter / (float(np.abs(phasors.sum())) or 1.0)


def against_first(phase: Volume, echo: int) -> Volume:
    """Return the wrapped phase of one echo less that of the first."""
    return difference(phase[echo], phase[0])
