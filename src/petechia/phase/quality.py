"""How far the phase can be trusted, and whether it was filtered before we got it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.core.blocks import Blocks, blur
from petechia.core.checks import require_finite
from petechia.core.compiled import compiled
from petechia.core.echoes import check_echo_times
from petechia.core.grid import Grid
from petechia.core.units import wrap
from petechia.phase.images import (
    Mask,
    Volume,
    checked_mask,
    checked_phase,
    matching_magnitude,
)
from petechia.phase.unwrap.weights import TWO_PI, edge_bins, voxel_quality

SMOOTH_MM = 8.0
"""Standard deviation of the scale that a high-pass filter empties [mm]."""
FINE_MM = 2.0
"""Standard deviation of the scale that it leaves [mm]."""
LEAST_FINE_RAD = 0.01
"""Fine phase of a brain is more than this, at any usable echo time (rms) [rad]."""
LEAST_SMOOTH_PPM, HEAD_ML = 0.005, 300.0
"""Air around and in a head gives the brain a smooth field of 0.05 ppm and more (rms): far below,
in a mask as large as a brain, it was taken out."""
FAINT_SMOOTH_PPM = 0.0125
"""A quarter of that: less may have been taken out in part, as by a small window."""
FEW = 0.75
"""Where the typical smooth phase is more than this times the typical fine one, the fine phase comes
from a few strong sources alone, and the smooth phase is theirs: nothing was filtered."""
LEAST_COHERENCE = 0.25
"""Phase of less than this is noise."""
ENOUGH = 20_000
"""Voxels of a mask from which on that is said; a brain has more, in any voxel."""
SMALL_MM = 60.0
"""A mask narrower than this along two axes is a crop, judged with caution [mm]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HighpassEvidence:
    """Whether a vendor has high-pass filtered the phase.

    Attributes
    ----------
    filtered : bool
    faint : bool
        Not filtered so that it is sure, but the smooth part is fainter than heads have it.
    score : float
        0: smooth phase is as strong as fine phase. 1: there is no smooth phase at all.
    says : str
        The finding in one sentence.
    """

    filtered: bool
    faint: bool
    score: float
    says: str


def phase_quality(
    phase_rad: npt.NDArray[np.floating],
    magnitude: npt.NDArray[np.floating] | None,
    te_s: tuple[float, ...],
    mask: npt.NDArray[np.bool_],
    grid: Grid,
) -> Volume:
    r"""Return how far the phase of each voxel can be trusted, from all echoes.

    An edge between neighbours i and j has, in echo e, with :math:`d_e = \gamma(\varphi_{ei} -
    \varphi_{ej})` and :math:`f(w) = 0.1 + 0.9 w` as in ROMEO [1]_,

    .. math::
        q_e = f\left(1 - \frac{|d_e|}{\pi}\right)
        f\left(1 - \frac{1}{\pi} \left|\gamma\left(d_e - d_{e-1}
        \frac{t_e}{t_{e-1}}\right)\right|\right)
        f\left(\frac{\min^2 m_e}{\max^2 m_e}\right),

    and their mean weighted with :math:`\min^2 m_e`; a voxel has the mean of its edges. One
    echo has the mean ROMEO weight.

    Parameters
    ----------
    phase_rad : (E, I, J, K) ndarray of float
        Wrapped phase; a smooth offset does no harm [rad].
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

    References
    ----------
    .. [1] Dymerska, Eckstein et al. (2021), Magn. Reson. Med. 85, 2294-2308,
       doi:10.1002/mrm.28563.
    """
    phase = checked_phase(phase_rad, grid)
    mask = checked_mask(mask, grid)
    check_echo_times(tuple(te_s), len(phase), "phase_quality.te_s")
    m = matching_magnitude(phase, magnitude, grid)
    if len(phase) == 1:
        return voxel_quality(edge_bins(phase[0], None, 1.0, None if m is None else m[0], mask))
    total = np.zeros(grid.shape, dtype=np.float32)
    edges = np.zeros(grid.shape, dtype=np.uint8)
    ratios = np.array([0.0, *np.divide(te_s[1:], te_s[:-1])], dtype=np.float32)
    _add_edges(phase, phase if m is None else m, m is not None, ratios, mask, total, edges)
    total /= np.maximum(edges, 1)
    return total


@compiled
def _add_edges(
    p: Any, m: Any, weighted: bool, ratios: Any, mask: Any, total: Any, edges: Any
) -> None:
    """Add the quality of each edge inside the mask to both of its voxels."""
    part, half = np.float32(1 / TWO_PI), np.float32(0.5)
    least, most = np.float32(0.1), np.float32(0.9)
    for i in range(p.shape[1]):
        for j in range(p.shape[2]):
            for k in range(p.shape[3]):
                if not mask[i, j, k]:
                    continue
                for axis in range(3):
                    x, y, z = i + int(axis == 0), j + int(axis == 1), k + int(axis == 2)
                    if x == p.shape[1] or y == p.shape[2] or z == p.shape[3]:
                        continue
                    if not mask[x, y, z]:
                        continue
                    last, sum_q, sum_w = np.float32(0), np.float32(0), np.float32(1e-20)
                    for e in range(p.shape[0]):
                        d = (p[e, i, j, k] - p[e, x, y, z]) * part  # in turns
                        d -= np.floor(d + half)
                        q = least + most * (np.float32(1) - np.float32(2) * abs(d))
                        if e > 0:
                            off = d - last * ratios[e]
                            off -= np.floor(off + half)
                            q *= least + most * (np.float32(1) - np.float32(2) * abs(off))
                        last = d
                        w = np.float32(1)
                        if weighted:
                            low, high = m[e, i, j, k], m[e, x, y, z]
                            if low > high:
                                low, high = high, low
                            w = low * low
                            alike = w / (high * high) if high > 0 else np.float32(0)
                            q *= least + most * alike
                        sum_q += w * q
                        sum_w += w
                    total[i, j, k] += sum_q / sum_w
                    total[x, y, z] += sum_q / sum_w
                    edges[i, j, k] += 1
                    edges[x, y, z] += 1


def phase_coherence(
    phase_rad: npt.NDArray[np.floating],
    mask: npt.NDArray[np.bool_],
    magnitude: npt.NDArray[np.floating],
) -> float:
    r"""Return how much the phase of neighbours has in common.

    The largest over axes of :math:`|\sum m_a m_b e^{i (\varphi_a - \varphi_b)}| / \sum m_a m_b`
    over neighbours a, b in the mask. A slope of the phase does no harm, nor does air.

    Parameters
    ----------
    phase_rad : (I, J, K) ndarray of float
        Of one echo, the first of several: later ones turn faster [rad].
    mask : (I, J, K) ndarray of bool
        Brain.
    magnitude : (I, J, K) ndarray of float
        Of the same echo.

    Returns
    -------
    coherence : float
        0: noise. Heads have 0.7 and more. 1 where no two neighbours are in the mask.
    """
    found = []
    for axis in range(3):
        low, high = (
            tuple(slice(*cut) if n == axis else slice(None) for n in range(3))
            for cut in ((None, -1), (1, None))
        )
        both = mask[low] & mask[high]
        weight = magnitude[low][both].astype(np.float64) * magnitude[high][both]
        if weight.sum() > 0:
            turned = np.exp(1j * (phase_rad[high][both] - phase_rad[low][both]))
            found.append(float(np.abs((weight * turned).sum()) / weight.sum()))
    return max(found, default=1.0)


def highpass_evidence(
    phase_rad: npt.NDArray[np.floating],
    mask: npt.NDArray[np.bool_],
    grid: Grid,
    turn_rad: float | None = None,
) -> HighpassEvidence:
    r"""Judge whether phase was high-pass filtered, from the missing smooth part.

    With :math:`z_\sigma` the phasor in the mask under a Gaussian of sigma, a homodyne
    filter makes :math:`\arg z_\mathrm{8 mm}` about 0 everywhere, while
    :math:`\arg(z_\mathrm{2 mm} \bar z_\mathrm{8 mm})` keeps veins and tissue. Measured
    phase has more of the first than of the second. The score is
    :math:`1 - 2\,\mathrm{rms}_\mathrm{smooth} / \mathrm{rms}_\mathrm{fine}`, not below 0.
    Strong or soft windows leave as little of both: with the field and the echo time, a smooth part
    that no head has tells them.

    Parameters
    ----------
    phase_rad : (I, J, K) or (E, I, J, K) ndarray of float
        As stored by the scanner, in radians; of several echoes the last is judged.
    mask : (I, J, K) ndarray of bool
        Brain.
    grid : Grid
    turn_rad : float, optional
        Radians that 1 ppm makes at the echo judged.

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
    are not what this looks for. Nor is phase with hardly any fine part, or with one of few
    strong sources in an even field, as in phantoms: their far field is smooth, and it is there.
    """
    image = phase_rad[-1] if phase_rad.ndim == 4 else phase_rad
    grid.require(image, "phase_rad")
    require_finite(image, "phase_rad")
    mask = checked_mask(mask, grid)
    low, high = _scales(np.asarray(image, dtype=np.float32), mask, grid)
    smooth, fine = (float(np.sqrt(np.mean(part**2))) for part in (low, high))
    spread = float(np.median(np.abs(low))) < FEW * float(np.median(np.abs(high)))
    score = max(0.0, 1 - 2 * smooth / fine) if fine > 0 else 0.0
    wide = sorted(
        float(np.ptp(np.flatnonzero(mask.any(axis=other))) + 1) * d
        for other, d in zip(((1, 2), (0, 2), (0, 1)), grid.spacing_mm, strict=True)
    )
    crop = wide[1] < SMALL_MM
    clear = score > (0.75 if crop else 0.5) and smooth < 0.2
    some_ml = float(mask.sum() * np.prod(grid.spacing_mm) / 1000)
    gone = turn_rad is not None and some_ml > HEAD_ML and 0 < smooth < LEAST_SMOOTH_PPM * turn_rad
    least = FAINT_SMOOTH_PPM * (turn_rad or 0.0)
    faint = not gone and some_ml > HEAD_ML and not crop and 0 < smooth < least
    filtered = gone or (clear and fine > LEAST_FINE_RAD and spread)
    found = f"smooth phase {smooth:.2g} rad, fine phase {fine:.2g} rad (rms)"
    if filtered:
        how = " or its background was removed" if gone else ""
        says = f"The phase was high-pass filtered before it reached us{how}: {found}."
    elif crop:
        says = f"No clear sign of a high-pass filter, in a crop too small to be sure: {found}."
    else:
        says = f"The phase was not high-pass filtered: {found}."
        if faint:
            says = f"The smooth part of the phase is fainter than heads have it: {found}."
    return HighpassEvidence(
        filtered=filtered, faint=faint and not filtered, score=round(score, 4), says=says
    )


def _scales(phase: Volume, mask: Mask, grid: Grid) -> tuple[Volume, Volume]:
    """Return the smooth phase of blocks in the mask, and the fine phase on top of it [rad]."""
    box = ndimage.find_objects(mask.astype(np.int8))[0]
    phase, mask = phase[box], mask[box]
    blocks = Blocks.of(Grid.from_spacing(mask.shape, grid.spacing_mm), FINE_MM)
    weight = blocks.reduce(mask)
    parts = [blocks.reduce(np.where(mask, turn(phase), 0)) for turn in (np.cos, np.sin)]
    coarse = blocks.coarse
    inside = (weight > 0.5) & (_wide(weight, coarse) > 0.5)
    if not inside.any():
        inside = weight > 0
    wide = [_wide(part, coarse)[inside] for part in parts]
    near = [blur(part, coarse, FINE_MM)[inside] for part in parts]
    low = np.arctan2(wide[1], wide[0])
    high = wrap(np.arctan2(near[1], near[0]) - low)
    return low, high


def _wide(volume: Volume, grid: Grid) -> Volume:
    """Return a volume under the Gaussian of `SMOOTH_MM`, made on blocks."""
    blocks = Blocks.of(grid, SMOOTH_MM / 2.5)
    return blocks.expand(blur(blocks.reduce(volume), blocks.coarse, SMOOTH_MM))
