"""ROMEO: unwrap along the best edges first, then carry the result over the echoes."""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.core.compiled import compiled
from petechia.core.echoes import check_echo_times
from petechia.core.grid import Grid
from petechia.errors import ParameterError
from petechia.phase.images import Mask, Volume, checked_mask, checked_phase, matching_magnitude
from petechia.phase.unwrap.weights import N_BINS, TWO_PI, WEIGHTS, edge_bins

Turns = npt.NDArray[np.int16]
Labels = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class RomeoParams:
    """Settings of `romeo`.

    Attributes
    ----------
    template : int
        Echo that is unwrapped in space, from 0; the others follow it by echo time.
    weights : str
        "auto", or a published set: romeo2, romeo3, romeo4, romeo6.
    individual : bool
        Unwrap each echo in space by itself: for phase whose offset is still in.
    """

    template: int = 0
    weights: str = "auto"
    individual: bool = False

    def __post_init__(self) -> None:
        if self.template < 0:
            raise ParameterError(
                f"template echo {self.template}",
                where="RomeoParams.template",
                mend="Count echoes from 0.",
            )
        if self.weights != "auto" and self.weights not in WEIGHTS:
            raise ParameterError(
                f"no set of weights {self.weights!r}",
                where="RomeoParams.weights",
                mend=f"Choose auto or one of {', '.join(WEIGHTS)}.",
            )


def romeo(
    phase_rad: npt.NDArray[np.floating],
    magnitude: npt.NDArray[np.floating] | None,
    te_s: tuple[float, ...],
    mask: npt.NDArray[np.bool_],
    grid: Grid,
    params: RomeoParams | None = None,
) -> Volume:
    """Unwrap phase exactly, by a path of best edges, over space and echoes.

    The template echo grows from one seed in each part of the mask, always over the best
    edge at its rim. Each other echo takes the turns that bring it nearest to its
    neighbour scaled by echo time, so the offset must be removed first (`mcpc3ds`) or
    `params.individual` set.

    Parameters
    ----------
    phase_rad : (E, I, J, K) ndarray of float
        Wrapped phase [rad].
    magnitude : (E, I, J, K) ndarray of float, or None
        Magnitude of the same echoes; of both echoes for one phase difference.
    te_s : tuple of float
        Time over which each image evolved, increasing [s].
    mask : (I, J, K) ndarray of bool
        Where to unwrap; parts without a common face are unwrapped each by itself.
    grid : Grid
    params : RomeoParams, optional

    Returns
    -------
    unwrapped_rad : (E, I, J, K) ndarray of float32
        `phase_rad` plus whole turns in the mask, 0 outside [rad].

    Raises
    ------
    InputError
        If shapes disagree, the mask is empty or a voxel is not finite.
    ParameterError
        If echo times do not fit or the template is not among the echoes.

    Notes
    -----
    The whole turns common to a connected part are not in the data of one echo: they are
    chosen to agree with the second echo and to leave the mean nearest to 0. About
    16 bytes of work space a voxel.

    References
    ----------
    .. [1] Dymerska, Eckstein et al. (2021), Magn. Reson. Med. 85, 2294-2308,
       doi:10.1002/mrm.28563.
    """
    params = params or RomeoParams()
    phase = checked_phase(phase_rad, grid)
    mask = checked_mask(mask, grid)
    m = matching_magnitude(phase, magnitude, grid)
    check_echo_times(tuple(te_s), len(phase), "romeo.te_s")
    template = params.template
    if template >= len(phase):
        raise ParameterError(
            f"template echo {template} of {len(phase)} echoes",
            where="RomeoParams.template",
            mend=f"Choose 0 to {len(phase) - 1}.",
        )
    labels, n_parts = cast("tuple[Labels, int]", ndimage.label(mask))
    out = np.zeros(phase.shape, dtype=np.float32)
    in_space = range(len(phase)) if params.individual else (template,)
    for e in in_space:
        near = _neighbour(e, len(phase))
        turns = _turns_in_space(phase, m, te_s, mask, labels, n_parts, e, near, params)
        _add_turns(phase[e], turns, mask, out[e])
    if not params.individual:
        for e in (*range(template - 1, -1, -1), *range(template + 1, len(phase))):
            source = e + 1 if e < template else e - 1
            _follow(out[source], te_s[e] / te_s[source], phase[e], mask, out[e])
    return out


def _neighbour(echo: int, n_echoes: int) -> int | None:
    """Return the echo whose gradients are compared with those of `echo`."""
    if n_echoes == 1:
        return None
    return echo + 1 if echo == 0 else echo - 1


def _turns_in_space(
    phase: Volume,
    magnitude: Volume | None,
    te_s: tuple[float, ...],
    mask: Mask,
    labels: Labels,
    n_parts: int,
    echo: int,
    near: int | None,
    params: RomeoParams,
) -> Turns:
    """Return the whole turns that unwrap one echo."""
    bins = edge_bins(
        phase[echo],
        None if near is None else phase[near],
        1.0 if near is None else te_s[echo] / te_s[near],
        None if magnitude is None else magnitude[echo],
        mask,
        params.weights,
    )
    seeds = np.zeros(n_parts, dtype=np.int64)
    _find_seeds(bins.reshape(-1, 3), labels.ravel(), seeds)
    turns = np.zeros(mask.shape, dtype=np.int16)
    strides = np.array([mask.shape[1] * mask.shape[2], mask.shape[2], 1], dtype=np.int64)
    _grow(phase[echo].ravel(), bins.reshape(-1, 3), strides, seeds, turns.ravel())
    common = _common_turns(phase, turns, labels, n_parts, te_s, echo, near, params.individual)
    turns += common[labels]
    return turns


def _common_turns(
    phase: Volume,
    turns: Turns,
    labels: Labels,
    n_parts: int,
    te_s: tuple[float, ...],
    echo: int,
    near: int | None,
    individual: bool,
) -> Turns:
    """Return the turns to add to each labelled part: consistent over time, nearest to 0."""
    at = labels.ravel()
    unwrapped = (phase[echo] + TWO_PI * turns).ravel()
    n = np.bincount(at, minlength=n_parts + 1)
    mean = np.bincount(at, unwrapped, minlength=n_parts + 1) / np.maximum(n, 1) / TWO_PI
    tries = -np.round(mean) + np.arange(-2, 3)[:, None]
    cost = 0.25 * np.abs(mean + tries)
    if near is not None and not individual:
        ratio = te_s[near] / te_s[echo]
        misfit = phase[near].ravel() - ratio * unwrapped
        angle = np.arctan2(
            np.bincount(at, np.sin(misfit), minlength=n_parts + 1),
            np.bincount(at, np.cos(misfit), minlength=n_parts + 1),
        )
        away = angle / TWO_PI - tries * ratio
        cost = cost + 2 * np.abs(away - np.round(away))
    best = np.take_along_axis(tries, cost.argmin(axis=0)[None], axis=0)[0]
    best[0] = 0
    return cast("Turns", best.astype(np.int16))


@compiled
def _find_seeds(bins: Any, labels: Any, seeds: Any) -> None:
    """Set the voxel with the best forward edges of each part."""
    best = np.full(seeds.size, -1, dtype=np.int64)
    for v in range(labels.size):
        part = labels[v] - 1
        if part < 0:
            continue
        score = 0
        for axis in range(3):
            if bins[v, axis] > 0:
                score += N_BINS - bins[v, axis]
        if score > best[part]:
            best[part] = score
            seeds[part] = v


@compiled
def _put(v: int, bins: Any, strides: Any, seen: Any, first: Any, following: Any) -> int:
    """Put the edges of `v` to unseen voxels into their buckets; return the best bucket."""
    best = N_BINS
    for axis in range(3):
        b = bins[v, axis]
        if b > 0 and not seen[v + strides[axis]]:
            edge = 3 * v + axis
            following[edge], first[b] = first[b], edge
            best = min(best, b)
        u = v - strides[axis]
        if u >= 0 and bins[u, axis] > 0 and not seen[u]:
            b = bins[u, axis]
            edge = 3 * u + axis
            following[edge], first[b] = first[b], edge
            best = min(best, b)
    return best


@compiled
def _grow(p: Any, bins: Any, strides: Any, seeds: Any, turns: Any) -> None:
    """Grow from the seeds; a bucket is a linked list, since an edge is put only once."""
    seen = np.zeros(p.size, dtype=np.bool_)
    first = np.full(N_BINS, -1, dtype=np.int64)
    following = np.empty(3 * p.size, dtype=np.int32)
    bucket = N_BINS
    for s in seeds:
        seen[s] = True
        bucket = min(bucket, _put(s, bins, strides, seen, first, following))
    while bucket < N_BINS:
        edge = first[bucket]
        if edge < 0:
            bucket += 1
            continue
        first[bucket] = following[edge]
        old = edge // 3
        new = old + strides[edge % 3]
        if seen[new]:
            old, new = new, old
            if seen[new]:
                continue
        turns[new] = turns[old] + np.floor((p[old] - p[new]) / TWO_PI + 0.5)
        seen[new] = True
        bucket = min(bucket, _put(new, bins, strides, seen, first, following))


@compiled
def _add_turns(p: Any, turns: Any, mask: Any, out: Any) -> None:
    for i in range(p.shape[0]):
        for j in range(p.shape[1]):
            for k in range(p.shape[2]):
                if mask[i, j, k]:
                    out[i, j, k] = p[i, j, k] + TWO_PI * turns[i, j, k]


@compiled
def _follow(source: Any, ratio: float, p: Any, mask: Any, out: Any) -> None:
    """Add the turns that bring `p` nearest to `source` scaled by `ratio`."""
    for i in range(p.shape[0]):
        for j in range(p.shape[1]):
            for k in range(p.shape[2]):
                if mask[i, j, k]:
                    away = (source[i, j, k] * ratio - p[i, j, k]) / TWO_PI
                    out[i, j, k] = p[i, j, k] + TWO_PI * np.floor(away + 0.5)
