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
from petechia.phase.unwrap.growth import Labels, grown
from petechia.phase.unwrap.weights import TWO_PI, WEIGHTS, edge_bins, wrapped


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
    follow : str
        What the other echoes follow: "fit", the line through 0 and all echoes unwrapped so
        far, weighted with squared magnitude; "neighbour", as published, the last one alone.
    """

    template: int = 0
    weights: str = "auto"
    individual: bool = False
    follow: str = "fit"

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
        if self.follow not in ("fit", "neighbour"):
            raise ParameterError(
                f"follow = {self.follow!r}",
                where="RomeoParams.follow",
                mend="Choose fit or neighbour.",
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
    edge at its rim. Each other echo takes the turns that bring it nearest to the line
    through 0 and the echoes before it, so the offset must be removed first
    (`remove_offsets`) or `params.individual` set.

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
    16 bytes of work space a voxel, and up to 12 a voxel of the mask.

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
    parts = cast("tuple[Labels, int]", ndimage.label(mask))
    out = np.zeros(phase.shape, dtype=np.float32)
    in_space = range(len(phase)) if params.individual else (template,)
    for e in in_space:
        _unwrap_in_space(phase, m, te_s, mask, parts, e, params, out[e])
    del parts
    if not params.individual:
        _follow(phase, m, te_s, mask, params, out)
    return out


def _neighbour(echo: int, n_echoes: int) -> int | None:
    """Return the echo whose gradients are compared with those of `echo`."""
    if n_echoes == 1:
        return None
    return echo + 1 if echo == 0 else echo - 1


def _unwrap_in_space(
    phase: Volume,
    magnitude: Volume | None,
    te_s: tuple[float, ...],
    mask: Mask,
    parts: tuple[Labels, int],
    echo: int,
    params: RomeoParams,
    out: Volume,
) -> None:
    """Fill `out` with one echo, unwrapped by itself."""
    labels, n_parts = parts
    near = _neighbour(echo, len(phase))
    bins = edge_bins(
        phase[echo],
        None if near is None else phase[near],
        1.0 if near is None else te_s[echo] / te_s[near],
        None if magnitude is None else magnitude[echo],
        mask,
        params.weights,
    )
    unwrapped = grown(phase[echo], bins, labels, n_parts)
    del bins
    ratio = 0.0
    if near is not None and not params.individual:
        ratio = te_s[near] / te_s[echo]
    sums = np.zeros((n_parts + 1, 4))
    _sum_parts(unwrapped, phase[echo if near is None else near], labels, ratio, sums)
    _add_common(unwrapped, labels, common_turns(sums, ratio), out)


def common_turns(sums: npt.NDArray[np.float64], ratio: float) -> npt.NDArray[np.float32]:
    """Return the turns to add to each part, consistent over time, nearest to 0 [rad].

    `sums` has a row for each part: voxels, phase, and sine and cosine of what the near echo
    is off the phase times `ratio`; 0 for no near echo.
    """
    mean = sums[:, 1] / np.maximum(sums[:, 0], 1) / TWO_PI
    tries = -np.round(mean) + np.arange(-2, 3)[:, None]
    cost = 0.25 * np.abs(mean + tries)
    if ratio > 0:
        away = np.arctan2(sums[:, 2], sums[:, 3]) / TWO_PI - tries * ratio
        cost = cost + 2 * np.abs(away - np.round(away))
    best = np.take_along_axis(tries, cost.argmin(axis=0)[None], axis=0)[0]
    return np.asarray(TWO_PI * best, dtype=np.float32)


@compiled
def _sum_parts(unwrapped: Any, other: Any, labels: Any, ratio: float, sums: Any) -> None:
    for i in range(labels.shape[0]):
        for j in range(labels.shape[1]):
            for k in range(labels.shape[2]):
                part = labels[i, j, k]
                if part == 0:
                    continue
                here = unwrapped[i, j, k]
                sums[part, 0] += 1
                sums[part, 1] += here
                if ratio > 0:
                    away = np.float32(wrapped(other[i, j, k] - ratio * here))
                    sums[part, 2] += np.sin(away)
                    sums[part, 3] += np.cos(away)


@compiled
def _add_common(unwrapped: Any, labels: Any, common: Any, out: Any) -> None:
    for i in range(labels.shape[0]):
        for j in range(labels.shape[1]):
            for k in range(labels.shape[2]):
                part = labels[i, j, k]
                out[i, j, k] = unwrapped[i, j, k] + common[part] if part > 0 else 0.0


def _follow(
    phase: Volume,
    magnitude: Volume | None,
    te_s: tuple[float, ...],
    mask: Mask,
    params: RomeoParams,
    out: Volume,
) -> None:
    """Unwrap all echoes but the template, in place, each after those before it."""
    n, template = len(phase), params.template
    order = np.array([*range(template, -1, -1), *range(template + 1, n)])
    m = phase if magnitude is None else magnitude
    _follow_echoes(
        phase.reshape(n, -1),
        m.reshape(n, -1),
        magnitude is not None,
        np.asarray(te_s, dtype=np.float32),
        order,
        params.follow == "fit",
        mask.ravel(),
        out.reshape(n, -1),
    )


@compiled
def _follow_echoes(
    p: Any, m: Any, weighted: bool, te: Any, order: Any, fit: bool, mask: Any, out: Any
) -> None:
    """Add the turns that bring each echo nearest to the line through 0 and those before it."""
    turn, part, half = np.float32(TWO_PI), np.float32(1 / TWO_PI), np.float32(0.5)
    for v in range(mask.size):
        if not mask[v]:
            continue
        up, down = np.float32(0), np.float32(1e-30)
        for n in range(1, order.size):
            e, last = order[n], order[n - 1]
            if fit:
                w = np.float32(1)
                if weighted:
                    w = m[last, v] * m[last, v] + np.float32(1e-20)
                up += w * te[last] * out[last, v]
                down += w * te[last] * te[last]
                expected = up / down * te[e]
            else:
                near = e + 1 if e < order[0] else e - 1
                expected = out[near, v] / te[near] * te[e]
            out[e, v] = p[e, v] + turn * np.floor((expected - p[e, v]) * part + half)
