"""How far an edge between two voxels can be trusted: the weights of ROMEO."""

from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.core.compiled import compiled
from petechia.phase.images import Mask, Volume

Bins = npt.NDArray[np.uint8]

TWO_PI = 2 * np.pi
PER_TURN = 1 / TWO_PI
N_BINS = 256
WEIGHTS = {
    "romeo2": ("coherence", "gradient"),
    "romeo3": ("coherence", "gradient", "similar"),
    "romeo4": ("coherence", "gradient", "linear", "similar"),
    "romeo6": ("coherence", "gradient", "linear", "similar", "level"),
}
"""Published sets; "level" is two weights, against very low and very high magnitude."""


def edge_bins(
    phase_rad: Volume,
    other_rad: Volume | None,
    te_ratio: float,
    magnitude: Volume | None,
    mask: Mask,
    weights: str = "auto",
) -> Bins:
    r"""Return the quality class of every edge inside `mask`.

    With :math:`\gamma` the wrap into a half turn either way, i and j the voxels of an edge,
    h and k the next ones in line, the weights of [1]_ are, each as :math:`0.1 + 0.9 w`:

    .. math::
        w_\mathrm{coherence} &= 1 - |\gamma(\varphi_i - \varphi_j)| / \pi \\
        w_\mathrm{gradient} &= \max(0, 1 - |\gamma(\varphi_i - \varphi_j)
            - \gamma(\varphi'_i - \varphi'_j)\, t / t'|) \\
        w_\mathrm{linear} &= \max(0, 1 - |\gamma(\varphi_h - 2\varphi_i + \varphi_j)| / 2)
            \max(0, 1 - |\gamma(\varphi_i - 2\varphi_j + \varphi_k)| / 2) \\
        w_\mathrm{similar} &= (\min m / \max m)^2 \\
        w_\mathrm{level} &= \tfrac14 (1 + \min(1, \min m / \tfrac12 M))
            (1 + \min(1, \tfrac12 M / \max m))

    where M is the 95th percentile of the magnitude in the mask. The line is 0.9 where it
    leaves the mask.

    Parameters
    ----------
    phase_rad : (I, J, K) ndarray of float32
        Wrapped phase of the echo to unwrap [rad].
    other_rad : (I, J, K) ndarray of float32, or None
        Wrapped phase of a second echo; None leaves the gradient weight out.
    te_ratio : float
        Echo time of `phase_rad` over that of `other_rad`.
    magnitude : (I, J, K) ndarray of float32, or None
        Magnitude at the echo to unwrap; None leaves its weights out.
    mask : (I, J, K) ndarray of bool
    weights : str
        A set of `WEIGHTS`; "auto" is romeo3, and romeo4 when there is one echo or no
        magnitude.

    Returns
    -------
    bins : (I, J, K, 3) ndarray of uint8
        1 (best) to 255 for the edge to the next voxel along each axis; 0: no edge.

    References
    ----------
    .. [1] Dymerska, Eckstein et al. (2021), Magn. Reson. Med. 85, 2294-2308,
       doi:10.1002/mrm.28563.
    """
    if weights == "auto":
        weights = "romeo4" if other_rad is None or magnitude is None else "romeo3"
    used = set(WEIGHTS[weights])
    if other_rad is None:
        used -= {"gradient"}
    if magnitude is None:
        used -= {"similar", "level"}
    half = 0.0
    if magnitude is not None:
        half = 0.5 * float(np.percentile(magnitude[mask], 95))
    bins = np.zeros((*mask.shape, 3), dtype=np.uint8)
    _fill_bins(
        phase_rad,
        phase_rad if other_rad is None else other_rad,
        te_ratio,
        phase_rad if magnitude is None else magnitude,
        half,
        mask,
        "gradient" in used,
        "linear" in used,
        "similar" in used,
        "level" in used and half > 0,
        bins,
    )
    return bins


def voxel_quality(bins: Bins) -> Volume:
    """Return the mean weight of each voxel's edges, 0 to 1; 0 where it has none."""
    out = np.empty(bins.shape[:3], dtype=np.float32)
    _mean_weight(bins, out)
    return out


@compiled
def wrapped(d: float) -> float:
    """Return `d` less whole turns: -pi to pi."""
    out: float = d - TWO_PI * np.floor(d * PER_TURN + 0.5)
    return out


@compiled
def _line(p: Any, mask: Any, i: int, j: int, k: int, di: int, dj: int, dk: int) -> float:
    """Return the linearity of the edge from (i, j, k) along (di, dj, dk)."""
    hi, hj, hk = i - di, j - dj, k - dk
    ki, kj, kk = i + 2 * di, j + 2 * dj, k + 2 * dk
    if hi < 0 or hj < 0 or hk < 0:
        return 0.9
    if ki >= p.shape[0] or kj >= p.shape[1] or kk >= p.shape[2]:
        return 0.9
    if not (mask[hi, hj, hk] and mask[ki, kj, kk]):
        return 0.9
    here, there = p[i, j, k], p[i + di, j + dj, k + dk]
    before: float = max(0.0, 1 - abs(wrapped(p[hi, hj, hk] - 2 * here + there)) / 2)
    after: float = max(0.0, 1 - abs(wrapped(here - 2 * there + p[ki, kj, kk])) / 2)
    return before * after


@compiled
def _fill_bins(
    p: Any,
    other: Any,
    ratio: float,
    m: Any,
    half: float,
    mask: Any,
    gradient: bool,
    linear: bool,
    similar: bool,
    level: bool,
    bins: Any,
) -> None:
    for axis in range(3):
        di, dj, dk = int(axis == 0), int(axis == 1), int(axis == 2)
        for i in range(p.shape[0] - di):
            for j in range(p.shape[1] - dj):
                for k in range(p.shape[2] - dk):
                    if not (mask[i, j, k] and mask[i + di, j + dj, k + dk]):
                        continue
                    d = wrapped(p[i, j, k] - p[i + di, j + dj, k + dk])
                    w = 0.1 + 0.9 * (1 - abs(d) / np.pi)
                    if gradient:
                        d2 = wrapped(other[i, j, k] - other[i + di, j + dj, k + dk])
                        w *= 0.1 + 0.9 * max(0.0, 1 - abs(d - d2 * ratio))
                    if linear:
                        w *= 0.1 + 0.9 * _line(p, mask, i, j, k, di, dj, dk)
                    if similar or level:
                        low, high = m[i, j, k], m[i + di, j + dj, k + dk]
                        if low > high:
                            low, high = high, low
                        alike = low / high if high > 0 else 0.0
                        if similar:
                            w *= 0.1 + 0.9 * alike * alike
                        if level:
                            w *= 0.1 + 0.9 * (0.5 + 0.5 * min(1.0, low / half))
                            much = half / high if high > half else 1.0
                            w *= 0.1 + 0.9 * (0.5 + 0.5 * much)
                    bins[i, j, k, axis] = max(1, int((1 - w) * (N_BINS - 1) + 0.5))


@compiled
def _mean_weight(bins: Any, out: Any) -> None:
    ni, nj, nk = out.shape
    for i in range(ni):
        for j in range(nj):
            for k in range(nk):
                total, n = 0, 0
                for axis in range(3):
                    b = bins[i, j, k, axis]
                    if b > 0:
                        total, n = total + b, n + 1
                    pi, pj, pk = i - int(axis == 0), j - int(axis == 1), k - int(axis == 2)
                    if pi >= 0 and pj >= 0 and pk >= 0 and bins[pi, pj, pk, axis] > 0:
                        total, n = total + bins[pi, pj, pk, axis], n + 1
                out[i, j, k] = 1 - total / (n * (N_BINS - 1.0)) if n > 0 else 0.0
