"""How far two ratings of the same things agree: kappa, and limits of agreement."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import stats

from petechia.errors import ParameterError

Floats = npt.NDArray[np.float64]
WEIGHTS = ("none", "linear", "quadratic")
SCALES = ("raw", "root", "log_ratio")
NAN = float("nan")
NO_WIDTH = 1e-6
"""An interval narrower than this has no width."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """An index of agreement with its interval.

    Attributes
    ----------
    value, se, low, high : float
        The index, its standard error and its interval; NaN where they are not defined.
    n : int
        Things (scans, findings) that it is made of.
    why : str
        Why something is not defined; empty when all is.
    """

    value: float
    se: float
    low: float
    high: float
    n: int
    why: str = ""

    @classmethod
    def undefined(cls, n: int, why: str) -> "Index":
        """Return the index that does not exist, and why."""
        return cls(value=NAN, se=NAN, low=NAN, high=NAN, n=n, why=why)

    def shown(self) -> "Index":
        """Return the index as it is shown: without an interval of no width, and why.

        Where all cases are alike (full agreement, a single case) the formulas find no spread.
        That says nothing of how sure the index is, and would look as if it were certain.
        """
        if not self.high - self.low < NO_WIDTH:
            return self
        why = self.why or "no interval: the cases show no spread to make it of"
        return replace(self, se=NAN, low=NAN, high=NAN, why=why)


def weight_matrix(n: int, weights: str) -> Floats:
    """Return the agreement (n, n) that each pair of words earns: 1 for the same word.

    'none': 0 for any other; 'linear' and 'quadratic', for ordered words: 1 less the steps
    between them over the most there can be, or less its square.
    """
    if weights not in WEIGHTS:
        raise ParameterError(
            f"weights {weights!r}", where="agreement", mend=f"Choose one of {', '.join(WEIGHTS)}."
        )
    if weights == "none" or n < 2:
        return np.eye(n)
    steps = np.abs(np.subtract.outer(np.arange(n), np.arange(n))) / (n - 1)
    return np.asarray(1 - steps if weights == "linear" else 1 - steps**2, dtype=np.float64)


def cross_table(
    first: Sequence[Hashable], second: Sequence[Hashable], words: Sequence[Hashable]
) -> npt.NDArray[np.int64]:
    """Return how often each pair of words was said: first by row, second by column.

    Raises
    ------
    KeyError
        A word that is not among `words`.
    """
    at = {word: n for n, word in enumerate(words)}
    counts = np.zeros((len(words), len(words)), dtype=np.int64)
    for one, other in zip(first, second, strict=True):
        counts[at[one], at[other]] += 1
    return counts


def require_counts(table: Floats, where: str) -> None:
    """Raise `ParameterError` for a table that holds anything but numbers from 0."""
    if not (np.isfinite(table) & (table >= 0)).all():
        raise ParameterError(
            f"counts {table.tolist()}", where=where, mend="Give counts from 0, none missing."
        )


def kappa(counts: npt.ArrayLike, weights: str = "none", level: float = 0.95) -> Index:
    r"""Return Cohen's kappa of a square table, plain or weighted.

    .. math:: \kappa = \frac{p_o - p_e}{1 - p_e}

    Parameters
    ----------
    counts : (n, n) array of int
        Cases by first (row) and second (column) rating.
    weights : str
        'none'; for ordered words 'linear' or 'quadratic': disagreement grows with the steps
        between, or with their square.
    level : float
        Of the interval, which is normal: value -/+ z times the standard error, at most 1.

    Notes
    -----
    The standard error is that of large samples when kappa is not 0 [2]_. It is 0 when all
    agree, and then says nothing of how sure that is (`Index.shown` leaves it out). NaN without
    cases, and where chance alone agrees fully (one word everywhere).

    References
    ----------
    .. [1] Cohen (1968), Psychol. Bull. 70, 213-220, doi:10.1037/h0026256.
    .. [2] Fleiss, Cohen & Everitt (1969), Psychol. Bull. 72, 323-327, doi:10.1037/h0028106.

    Examples
    --------
    >>> round(kappa([[20, 5], [10, 15]]).value, 3)
    0.4
    """
    table = np.asarray(counts, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] != table.shape[1]:
        raise ParameterError(
            f"counts of shape {table.shape}",
            where="kappa",
            mend="Give a square table of counts from 0.",
        )
    require_counts(table, "kappa")
    earned = weight_matrix(len(table), weights)
    n = table.sum()
    if n == 0:
        return Index.undefined(0, "nothing was rated")
    p = table / n
    rows, columns = p.sum(axis=1), p.sum(axis=0)
    observed = float((earned * p).sum())
    expected = float(rows @ earned @ columns)
    if 1 - expected < 1e-12:
        return Index.undefined(int(n), "both said one and the same word everywhere")
    value = (observed - expected) / (1 - expected)
    mean = (earned @ columns)[:, None] + (rows @ earned)[None, :]
    spread = (p * (earned - mean * (1 - value)) ** 2).sum()
    variance = (spread - (value - expected * (1 - value)) ** 2) / (n * (1 - expected) ** 2)
    se = float(np.sqrt(max(variance, 0.0)))
    half = float(stats.norm.ppf(0.5 + level / 2)) * se
    return Index(
        value=value, se=se, low=max(-1.0, value - half), high=min(1.0, value + half), n=int(n)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BlandAltman:
    """Agreement of two ways to measure: second minus first, on a stated scale.

    Attributes
    ----------
    bias, sd : float
        Mean and standard deviation (n - 1) of the differences.
    low, high : float
        Limits of agreement: bias -/+ 1.96 sd.
    n : int
        Pairs.
    scale : str
        What was subtracted: 'raw' values, 'root' (square roots), or 'log_ratio': logarithms of
        value + 1.
    bias_low, bias_high : float
        Interval of the bias.
    limit_se : float
        Standard error of each limit.

    References
    ----------
    .. [1] Bland & Altman (1986), Lancet 327, 307-310, doi:10.1016/S0140-6736(86)90837-8.
    .. [2] Bland & Altman (1999), Stat. Methods Med. Res. 8, 135-160,
       doi:10.1177/096228029900800204 (intervals).
    """

    bias: float
    sd: float
    low: float
    high: float
    n: int
    scale: str = "raw"
    bias_low: float = NAN
    bias_high: float = NAN
    limit_se: float = NAN

    def around(self, value: float) -> tuple[float, float]:
        """Return between what a second measurement is expected when the first is `value`.

        The limits of agreement on the scale of the values themselves: they widen with the value
        on the scales for counts.
        """
        if self.scale == "root":
            low, high = (max(0.0, np.sqrt(value) + d) ** 2 for d in (self.low, self.high))
        elif self.scale == "log_ratio":
            low, high = (max(0.0, (value + 1) * np.exp(d) - 1) for d in (self.low, self.high))
        else:
            low, high = value + self.low, value + self.high
        return float(low), float(high)


def bland_altman(
    first: npt.ArrayLike, second: npt.ArrayLike, scale: str = "raw", level: float = 0.95
) -> BlandAltman:
    """Return bias and limits of agreement of the pairs where both are known.

    Parameters
    ----------
    first, second : (N,) array of float
        Measurements of the same things; NaN where there is none. From 0 on the scales for counts.
    scale : str
        'raw'; or, for counts, whose differences widen with them: 'root' (a count that is Poisson
        has the same spread everywhere on it) or 'log_ratio' (ratio of count + 1).
    level : float
        Of the interval of the bias (Student's).

    Raises
    ------
    ParameterError
        An unknown scale, lists of different length, or a count below 0.
    """
    one, other = np.asarray(first, float).ravel(), np.asarray(second, float).ravel()
    if scale not in SCALES or one.shape != other.shape:
        raise ParameterError(
            f"scale {scale!r} of {len(one)} and {len(other)} values",
            where="bland_altman",
            mend=f"Give pairs, and a scale of {', '.join(SCALES)}.",
        )
    if scale != "raw" and min(np.nanmin(one, initial=0.0), np.nanmin(other, initial=0.0)) < 0:
        raise ParameterError(
            "a count below 0", where=f"bland_altman on scale {scale}", mend="Counts start at 0."
        )
    if scale == "root":
        one, other = np.sqrt(one), np.sqrt(other)
    elif scale == "log_ratio":
        one, other = np.log1p(one), np.log1p(other)
    apart = other - one
    apart = apart[np.isfinite(apart)]
    n = len(apart)
    if not n:
        return BlandAltman(bias=NAN, sd=NAN, low=NAN, high=NAN, n=0, scale=scale)
    bias = float(apart.mean())
    if n == 1:
        return BlandAltman(bias=bias, sd=NAN, low=NAN, high=NAN, n=1, scale=scale)
    sd = float(apart.std(ddof=1))
    half = float(stats.t.ppf(0.5 + level / 2, n - 1)) * sd / np.sqrt(n)
    return BlandAltman(
        bias=bias,
        sd=sd,
        low=bias - 1.96 * sd,
        high=bias + 1.96 * sd,
        n=n,
        scale=scale,
        bias_low=bias - half,
        bias_high=bias + half,
        limit_se=float(sd * np.sqrt(1 / n + 1.96**2 / (2 * (n - 1)))),
    )
