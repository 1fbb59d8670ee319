"""How far the phase can be trusted, and whether it was filtered before we got it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.core.blocks import Blocks, blur
from petechia.core.checks import require_finite
from petechia.core.echoes import check_echo_times
from petechia.core.grid import Grid
from petechia.phase.images import (
    Mask,
    Volume,
    checked_mask,
    checked_phase,
    matching_magnitude,
)
from petechia.phase.unwrap.weights import edge_bins, voxel_quality

SMOOTH_MM = 8.0
"""Standard deviation of the scale that a high-pass filter empties [mm]."""
FINE_MM = 2.0
"""Standard deviation of the scale that it leaves [mm]."""
SMALL_MM = 60.0
"""A mask narrower than this along two axes is a crop, judged with caution [mm]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HighpassEvidence:
    """Whether a vendor has high-pass filtered the phase.

    Attributes
    ----------
    filtered : bool
    score : float
        0: smooth phase is as strong as fine phase. 1: there is no smooth phase at all.
    says : str
        The finding in one sentence.
    """

    filtered: bool
    score: float
    says: str


def phase_quality(
    phase_rad: npt.NDArray[np.floating],
    magnitude: npt.NDArray[np.floating] | None,
    te_s: tuple[float, ...],
    mask: npt.NDArray[np.bool_],
    grid: Grid,
) -> Volume:
    """Return the mean ROMEO weight of the edges of each voxel.

    Parameters
    ----------
    phase_rad : (E, I, J, K) ndarray of float
        Wrapped phase, offset removed when there are several echoes [rad].
    magnitude : (E, I, J, K) ndarray of float, or None
    te_s : tuple of float
        [s]
    mask : (I, J, K) ndarray of bool
    grid : Grid

    Returns
    -------
    quality : (I, J, K) ndarray of float32
        0 (noise, outside the mask, a voxel by itself) to 1. Air is about 0.1 to 0.3, good
        tissue above 0.7.

    Raises
    ------
    InputError, ParameterError
        If shapes or echo times do not fit.
    """
    phase = checked_phase(phase_rad, grid)
    mask = checked_mask(mask, grid)
    check_echo_times(tuple(te_s), len(phase), "phase_quality.te_s")
    m = matching_magnitude(phase, magnitude, grid)
    several = len(phase) > 1
    bins = edge_bins(
        phase[0],
        phase[1] if several else None,
        te_s[0] / te_s[1] if several else 1.0,
        None if m is None else m[0],
        mask,
    )
    return voxel_quality(bins)


def highpass_evidence(
    phase_rad: npt.NDArray[np.floating], mask: npt.NDArray[np.bool_], grid: Grid
) -> HighpassEvidence:
    r"""Judge whether phase was high-pass filtered, from the missing smooth part.

    With :math:`z_\sigma` the phasor in the mask under a Gaussian of sigma, a homodyne
    filter makes :math:`\arg z_\mathrm{8 mm}` about 0 everywhere, while
    :math:`\arg(z_\mathrm{2 mm} \bar z_\mathrm{8 mm})` keeps veins and tissue. Measured
    phase has more of the first than of the second. The score is
    :math:`1 - 2\,\mathrm{rms}_\mathrm{smooth} / \mathrm{rms}_\mathrm{fine}`, not below 0.

    Parameters
    ----------
    phase_rad : (I, J, K) or (E, I, J, K) ndarray of float
        As stored by the scanner, in radians; of several echoes the last is judged.
    mask : (I, J, K) ndarray of bool
        Brain.
    grid : Grid

    Returns
    -------
    HighpassEvidence
        `filtered` above a score of 0.5; in a crop narrower than 60 mm above 0.75.

    Raises
    ------
    InputError
        If shapes disagree, the mask is empty or a voxel is not finite.

    Notes
    -----
    Fields from which a harmonic background was removed keep smooth tissue contrast, and
    are not what this looks for.
    """
    image = phase_rad[-1] if phase_rad.ndim == 4 else phase_rad
    grid.require(image, "phase_rad")
    require_finite(image, "phase_rad")
    mask = checked_mask(mask, grid)
    smooth, fine = _scales(np.asarray(image, dtype=np.float32), mask, grid)
    score = max(0.0, 1 - 2 * smooth / fine) if fine > 0 else 0.0
    wide = sorted(
        float(np.ptp(np.flatnonzero(mask.any(axis=other))) + 1) * d
        for other, d in zip(((1, 2), (0, 2), (0, 1)), grid.spacing_mm, strict=True)
    )
    crop = wide[1] < SMALL_MM
    filtered = score > (0.75 if crop else 0.5) and smooth < 0.2
    found = f"smooth phase {smooth:.2g} rad, fine phase {fine:.2g} rad (rms)"
    if filtered:
        says = f"The phase was high-pass filtered before it reached us: {found}."
    elif crop:
        says = f"No clear sign of a high-pass filter, in a crop too small to be sure: {found}."
    else:
        says = f"The phase was not high-pass filtered: {found}."
    return HighpassEvidence(filtered=filtered, score=round(score, 4), says=says)


def _scales(phase: Volume, mask: Mask, grid: Grid) -> tuple[float, float]:
    """Return the rms of the smooth phase and of the fine phase on top of it [rad]."""
    blocks = Blocks.of(grid, FINE_MM)
    weight = blocks.reduce(mask)
    parts = [blocks.reduce(np.where(mask, turn(phase), 0)) for turn in (np.cos, np.sin)]
    coarse = blocks.coarse
    inside = (weight > 0.5) & (blur(weight, coarse, SMOOTH_MM) > 0.5)
    if not inside.any():
        inside = weight > 0
    smooth, fine = (
        blur(parts[0], coarse, sigma) + 1j * blur(parts[1], coarse, sigma)
        for sigma in (SMOOTH_MM, FINE_MM)
    )
    low = np.angle(smooth)[inside]
    high = np.angle(fine * np.conj(smooth))[inside]
    return float(np.sqrt(np.mean(low**2))), float(np.sqrt(np.mean(high**2)))
