"""What every fit of the field makes of its images before, and of its lines after."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.core.echoes import check_echo_times
from petechia.core.grid import Grid
from petechia.core.units import radians_per_ppm
from petechia.phase.fieldmap.lines import MISFIT, SLOPE, WEIGHT, Lines
from petechia.phase.fieldmap.neighbours import Neighbours, noise_of_phase, slope_noise
from petechia.phase.images import Mask, Volume, checked_mask, checked_phase, matching_magnitude


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Prepared:
    """Checked images as the kernels read them, N voxels in all.

    Attributes
    ----------
    phase, signal : (E, N) ndarray of float32
        Phase [rad] and magnitude.
    scale : float
        What makes the largest magnitude 1.
    te_s : (E,) ndarray of float64
        Echo times [s].
    mask : (I, J, K) ndarray of bool
    at : (M,) ndarray of int
        Places of the mask's voxels among N.
    near : Neighbours
        Of the mask.
    offset : bool
        Every voxel has a phase at echo time 0 of its own.
    """

    phase: npt.NDArray[np.float32]
    signal: npt.NDArray[np.float32]
    scale: float
    te_s: npt.NDArray[np.float64]
    mask: Mask
    at: npt.NDArray[np.intp]
    near: Neighbours
    offset: bool

    @property
    def spare(self) -> int:
        """Echoes beyond those that a line needs."""
        return len(self.te_s) - (2 if self.offset else 1)


def prepared(
    unwrapped_rad: npt.NDArray[np.floating],
    magnitude: npt.NDArray[np.floating] | None,
    te_s: tuple[float, ...],
    mask: npt.NDArray[np.bool_],
    grid: Grid,
    fit_offset: bool,
) -> Prepared:
    """Return checked inputs; without magnitude all echoes weigh alike."""
    phase = checked_phase(unwrapped_rad, grid)
    mask = checked_mask(mask, grid)
    check_echo_times(tuple(te_s), len(phase), "te_s")
    m = matching_magnitude(phase, magnitude, grid)
    signal = np.ones_like(phase) if m is None else m
    largest = float(signal.max())
    return Prepared(
        phase=phase.reshape(len(phase), -1),
        signal=signal.reshape(len(phase), -1),
        scale=1 / largest if largest > 0 else 1.0,
        te_s=np.asarray(te_s, dtype=np.float64),
        mask=mask,
        at=np.flatnonzero(mask),
        near=Neighbours(mask),
        offset=fit_offset and len(phase) >= 3,
    )


def maps(
    data: Prepared, lines: Lines, sigma: float | None, b0_t: float
) -> tuple[Volume, Volume, Volume]:
    """Return field [ppm], its noise [ppm] and the residual [rad] as volumes."""
    per_ppm = np.float32(radians_per_ppm(b0_t, 1.0))
    if sigma is None:
        first, size = data.phase[0].reshape(data.mask.shape), data.signal[0]
        sigma = data.scale * noise_of_phase(first, size.reshape(data.mask.shape), data.mask)
    noise = slope_noise(lines, sigma, data.spare, data.offset, data.near)
    residual = np.sqrt(lines[MISFIT] / lines[WEIGHT])
    return (
        _spread(lines[SLOPE] / per_ppm, data.mask),
        _spread(noise / per_ppm, data.mask),
        _spread(residual, data.mask),
    )


def _spread(values: npt.NDArray[np.float32], mask: Mask) -> Volume:
    out = np.zeros(mask.shape, dtype=np.float32)
    out[mask] = values
    return out
