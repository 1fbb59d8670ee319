"""Unwrapping by solving for the phase whose Laplacian is that of the wrapped phase."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import fft

from petechia.core.compiled import compiled
from petechia.core.echoes import check_echo_times
from petechia.core.grid import Grid
from petechia.phase.images import Mask, Volume, checked_mask, checked_phase
from petechia.phase.unwrap.romeo import common_turns
from petechia.phase.unwrap.weights import TWO_PI


@dataclass(frozen=True, slots=True, kw_only=True)
class LaplacianParams:
    """Settings of `laplacian`: none."""


def laplacian(
    phase_rad: npt.NDArray[np.floating],
    te_s: tuple[float, ...],
    mask: npt.NDArray[np.bool_],
    grid: Grid,
    params: LaplacianParams | None = None,
) -> Volume:
    r"""Unwrap each echo by one Poisson equation.

    .. math:: \nabla^2 u = \cos\varphi\,\nabla^2\sin\varphi - \sin\varphi\,\nabla^2\cos\varphi

    The right side is the divergence of the phase gradient, which wraps do not touch. It is
    taken here from wrapped differences of neighbours (the sine form agrees to third order
    but shrinks local detail on a steep background), and solved exactly with mirrored ends.

    Parameters
    ----------
    phase_rad : (E, I, J, K) ndarray of float
        Wrapped phase [rad].
    te_s : tuple of float
        Time over which each image evolved, increasing [s].
    mask : (I, J, K) ndarray of bool
        Edges with an end outside it are left out.
    grid : Grid
    params : LaplacianParams, optional

    Returns
    -------
    unwrapped_rad : (E, I, J, K) ndarray of float32
        Unwrapped phase, 0 outside the mask [rad].

    Raises
    ------
    InputError
        If shapes disagree, the mask is empty or a voxel is not finite.
    ParameterError
        If echo times do not fit.

    Notes
    -----
    Exact up to a whole-mask constant when the mask is the whole volume and no two
    neighbours differ by half a turn. Inside a smaller mask a smooth *harmonic* field is
    lost, which background removal would take away; the sum is not congruent with
    `phase_rad` modulo 2 pi, so do not read a total field from it. The whole turns common to
    an echo are not in the equation: the mean of the first is the one nearest to 0 that agrees
    with the second, that of each later one fits the echo before by echo time; so the phase
    must be free of an offset common to all echoes.

    References
    ----------
    .. [1] Schofield & Zhu (2003), Opt. Lett. 28, 1194-1196, doi:10.1364/OL.28.001194.
    """
    phase = checked_phase(phase_rad, grid)
    mask = checked_mask(mask, grid)
    check_echo_times(tuple(te_s), len(phase), "laplacian.te_s")
    inverse = _inverse_laplacian(grid)
    out = np.empty(phase.shape, dtype=np.float32)
    for e, image in enumerate(phase):
        spectrum = fft.dctn(_divergence(image, mask, grid), type=2, norm="ortho", overwrite_x=True)
        spectrum *= inverse
        solved = fft.idctn(spectrum, type=2, norm="ortho", overwrite_x=True)
        # the equation leaves a constant open: the one nearest the wrapped phase
        away = image[mask] - solved[mask]
        solved += np.arctan2(np.sin(away).sum(), np.cos(away).sum(), dtype=np.float32)
        np.multiply(solved, mask, out=out[e])
    means = np.array([image[mask].mean(dtype=np.float64) for image in out])
    for image, turns in zip(out, _turns(means, te_s), strict=True):
        image += np.float32(TWO_PI * turns) * mask
    return out


def _turns(means: npt.NDArray[np.float64], te_s: tuple[float, ...]) -> npt.NDArray[np.float64]:
    """Return the whole turns to add to each echo, given its mean phase [rad]."""
    turns = np.zeros(len(means))
    ratio = te_s[1] / te_s[0] if len(means) > 1 else 0.0
    away = means[1] - ratio * means[0] if len(means) > 1 else 0.0
    sums = np.array([[1.0, means[0], np.sin(away), np.cos(away)]])
    turns[0] = common_turns(sums, ratio)[0] / TWO_PI
    for e in range(1, len(means)):
        expected = (means[e - 1] + TWO_PI * turns[e - 1]) * te_s[e] / te_s[e - 1]
        turns[e] = np.round((expected - means[e]) / TWO_PI)
    return turns


def _divergence(image: Volume, mask: Mask, grid: Grid) -> Volume:
    """Return the sum of wrapped differences to the neighbours over the squared spacing."""
    out = np.zeros(image.shape, dtype=np.float32)
    _sum_differences(image, mask, (1 / grid.spacing_mm**2).astype(np.float32), out)
    return out


@compiled
def _sum_differences(p: Any, mask: Any, per_mm2: Any, out: Any) -> None:
    turn, part, half = np.float32(TWO_PI), np.float32(1 / TWO_PI), np.float32(0.5)
    for i in range(p.shape[0]):
        for j in range(p.shape[1]):
            for k in range(p.shape[2]):
                if not mask[i, j, k]:
                    continue
                for axis in range(3):
                    x, y, z = i + int(axis == 0), j + int(axis == 1), k + int(axis == 2)
                    if x == p.shape[0] or y == p.shape[1] or z == p.shape[2]:
                        continue
                    if mask[x, y, z]:
                        step = p[x, y, z] - p[i, j, k]
                        step -= turn * np.floor(step * part + half)
                        step *= per_mm2[axis]
                        out[i, j, k] += step
                        out[x, y, z] -= step


def _inverse_laplacian(grid: Grid) -> Volume:
    """Return the inverse eigenvalues of the mirrored 7-point Laplacian, 0 for the mean."""
    total = np.zeros(grid.shape)
    for axis, (n, d) in enumerate(zip(grid.shape, grid.spacing_mm, strict=True)):
        values = (2 * np.cos(np.pi * np.arange(n) / n) - 2) / d**2
        total += values.reshape([-1 if a == axis else 1 for a in range(3)])
    total[0, 0, 0] = 1.0
    inverse = (1 / total).astype(np.float32)
    inverse[0, 0, 0] = 0.0
    return inverse
