"""Unwrapping along the most reliable edges first, whole regions at a time."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.core.compiled import compiled
from petechia.core.echoes import check_echo_times
from petechia.core.grid import Grid
from petechia.phase.images import Mask, Volume, checked_mask, checked_phase
from petechia.phase.unwrap.weights import TWO_PI, wrapped

LEVELS = 65535
"""Classes of reliability that edges are sorted into."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BestPathParams:
    """Settings of `best_path`: none."""


def best_path(
    phase_rad: npt.NDArray[np.floating],
    te_s: tuple[float, ...],
    mask: npt.NDArray[np.bool_],
    grid: Grid,
    params: BestPathParams | None = None,
) -> Volume:
    r"""Unwrap each echo by joining regions over their most reliable edges.

    A voxel is the more reliable the smaller the second differences of the phase are, over the
    13 lines through its neighbours,

    .. math:: R = \Big( \sum_l \big( \gamma(\varphi_{-l} - \varphi)
        - \gamma(\varphi - \varphi_{l}) \big)^2 \Big)^{-1/2}

    and an edge by the sum of its ends. Edges are taken from the best to the worst; each joins
    two regions, of which the smaller takes the turns that make the edge fit.

    Parameters
    ----------
    phase_rad : (E, I, J, K) ndarray of float
        Wrapped phase [rad].
    te_s : tuple of float
        Time over which each image evolved, increasing [s].
    mask : (I, J, K) ndarray of bool
        Where to unwrap; parts without a common face are unwrapped each by itself.
    grid : Grid
    params : BestPathParams, optional

    Returns
    -------
    unwrapped_rad : (E, I, J, K) ndarray of float32
        `phase_rad` plus whole turns in the mask, 0 outside [rad].

    Raises
    ------
    InputError
        If shapes disagree, the mask is empty or a voxel is not finite.
    ParameterError
        If echo times do not fit.

    Notes
    -----
    The whole turns common to a part are not in the data: in the first echo those that leave
    its mean nearest to 0, in the others those that fit the echo before by echo time, in the
    median; so the phase must be free of an offset common to all echoes. No magnitude is asked
    for; `romeo` uses it, and the other echoes, in the path. Lines that leave the mask count as
    noise, where the paper gives voxels at the edge no reliability at all.

    References
    ----------
    .. [1] Abdul-Rahman, Gdeisat, Burton et al. (2007), Appl. Opt. 46, 6623-6635,
       doi:10.1364/AO.46.006623.
    """
    phase = checked_phase(phase_rad, grid)
    mask = checked_mask(mask, grid)
    check_echo_times(tuple(te_s), len(phase), "best_path.te_s")
    out = np.zeros(phase.shape, dtype=np.float32)
    for e, image in enumerate(phase):
        turns, parts = _turns(image, mask)
        np.multiply(image + np.float32(TWO_PI) * turns, mask, out=out[e])
        before = out[e - 1] * np.float32(te_s[e] / te_s[e - 1]) if e > 0 else None
        _settle_common(out[e], before, parts, mask)
    return out


def _turns(image: Volume, mask: Mask) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Return the whole turns of every voxel, and the part it is in by a voxel of it."""
    reliability = np.zeros(image.shape, dtype=np.float32)
    _reliability(image, mask, reliability)
    n = int(mask.sum())
    first, axis = np.empty(3 * n, dtype=np.int64), np.empty(3 * n, dtype=np.uint8)
    quality = np.empty(3 * n, dtype=np.float32)
    n_edges = _edges(reliability, mask, first, axis, quality)
    quality = quality[:n_edges]
    # a logarithm and 65535 classes: their order is that of the qualities, sorted by counting
    level = np.log(quality)
    low, high = (float(level.min()), float(level.max())) if n_edges else (0.0, 1.0)
    per = LEVELS / max(high - low, 1e-9)
    order = np.argsort(((high - level) * per).astype(np.uint16), kind="stable")
    turns = np.zeros(image.size, dtype=np.int32)
    parent = np.arange(image.size, dtype=np.int64)
    step = np.array([image.shape[1] * image.shape[2], image.shape[2], 1], dtype=np.int64)
    _join(image.ravel(), first, axis, order, step, parent, turns)
    return turns.reshape(image.shape), parent.reshape(image.shape)


def _settle_common(out: Volume, before: Volume | None, parts: Any, mask: Mask) -> None:
    """Add the turns common to each part, in place."""
    roots, index = np.unique(parts[mask], return_inverse=True)
    values = out[mask].astype(np.float64)
    counts = np.bincount(index, minlength=roots.size)
    if before is None:
        away = np.bincount(index, values, minlength=roots.size) / counts
    else:
        away = _medians(values - before[mask], index, counts)
    common = -np.round(away / TWO_PI)
    out[mask] += (TWO_PI * common[index]).astype(np.float32)


def _medians(values: Any, index: Any, counts: Any) -> Any:
    """Return the lower median of each group."""
    order = np.lexsort((values, index))
    begin = np.cumsum(counts) - counts
    return values[order[begin + (counts - 1) // 2]]


@compiled
def _reliability(p: Any, mask: Any, out: Any) -> None:
    """Write 1 over the root of the mean squared second difference."""
    n0, n1, n2 = p.shape
    for i in range(n0):
        for j in range(n1):
            for k in range(n2):
                if not mask[i, j, k]:
                    continue
                total, n = 0.0, 0
                here = p[i, j, k]
                for line in range(14, 27):
                    a, b, c = line // 9 - 1, line // 3 % 3 - 1, line % 3 - 1
                    x, y, z, u, v, w = i + a, j + b, k + c, i - a, j - b, k - c
                    if min(x, y, z, u, v, w) < 0 or max(x, u) >= n0:
                        continue
                    if max(y, v) >= n1 or max(z, w) >= n2:
                        continue
                    if mask[x, y, z] and mask[u, v, w]:
                        d = wrapped(p[u, v, w] - here) - wrapped(here - p[x, y, z])
                        total += d * d
                        n += 1
                # at the rim few lines are whole: half of them missing counts as noise
                missing = 13 - n
                out[i, j, k] = 1 / np.sqrt((total + 0.3 * missing) / 13 + 1e-12)


@compiled
def _edges(reliability: Any, mask: Any, first: Any, axis: Any, quality: Any) -> int:
    """List the edges in the mask; return their number."""
    n0, n1, n2 = mask.shape
    n = 0
    for i in range(n0):
        for j in range(n1):
            for k in range(n2):
                if not mask[i, j, k]:
                    continue
                for a in range(3):
                    x, y, z = i + int(a == 0), j + int(a == 1), k + int(a == 2)
                    if x < n0 and y < n1 and z < n2 and mask[x, y, z]:
                        first[n] = (i * n1 + j) * n2 + k
                        axis[n] = a
                        quality[n] = reliability[i, j, k] + reliability[x, y, z]
                        n += 1
    return n


@compiled
def _find(v: int, parent: Any, turns: Any) -> int:
    """Return the root of a voxel; its turns are then relative to the root."""
    root, total = v, 0
    while parent[root] != root:
        total += turns[root]
        root = parent[root]
    while parent[v] != root and v != root:
        above, own = parent[v], turns[v]
        parent[v], turns[v] = root, total
        total -= own
        v = above
    return root


@compiled
def _join(p: Any, first: Any, axis: Any, order: Any, step: Any, parent: Any, turns: Any) -> None:
    """Join regions over edges in order; then make all turns relative to the roots."""
    size = np.ones(p.size, dtype=np.int32)
    for n in range(order.size):
        v = first[order[n]]
        u = v + step[axis[order[n]]]
        a, b = _find(v, parent, turns), _find(u, parent, turns)
        if a == b:
            continue
        # a root has no turns of its own
        own = turns[v] if v != a else 0
        other = turns[u] if u != b else 0
        # turns of u's region so that the two ends lie within half a turn
        more = own - other - int(np.floor((p[u] - p[v]) / TWO_PI + 0.5))
        if size[a] < size[b]:
            a, b, more = b, a, -more
        parent[b] = a
        turns[b] = more
        size[a] += size[b]
    for v in range(p.size):
        _find(v, parent, turns)
