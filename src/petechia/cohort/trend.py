"""Does the share rise with the dose: Cochran-Armitage; linear-by-linear for two ordered scales."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats
from scipy.special import gammaln

from petechia.cohort.estimates import NAN, Floats
from petechia.errors import ParameterError


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """A test of a trend: z (positive when it rises with the score), two-sided p.

    Attributes
    ----------
    z, p : float
        Large-sample test.
    p_exact : float
        Of the permutation distribution given the margins; NaN where it was not asked for.
    slope : float
        Least-squares rise of the share for each unit of score; for two scales, the correlation.
    scores : tuple of float
        Of the groups (rows).
    method : str
        In words.
    n : int
        People.
    why : str
        Why there is no test.
    """

    z: float
    p: float
    p_exact: float
    slope: float
    scores: tuple[float, ...]
    method: str
    n: int
    why: str = ""


def cochran_armitage(
    cases: Sequence[int],
    totals: Sequence[int],
    scores: Sequence[float] | None = None,
    *,
    exact: bool = False,
) -> Trend:
    r"""Return the trend of cases / totals over scores (0, 1, 2, ... where not given).

    .. math:: z = \frac{\sum s_i (x_i - n_i \bar p)}
        {\sqrt{\bar p (1 - \bar p)(\sum n_i s_i^2 - (\sum n_i s_i)^2 / N)}}

    Parameters
    ----------
    cases, totals : sequence of int
        Of each group, in order of dose.
    scores : sequence of float, optional
        Dose of each group.
    exact : bool
        Also give the exact conditional p: probability of a sum of scores at least as far from
        what is expected. For cohorts of some hundreds.

    References
    ----------
    .. [1] Cochran (1954), Biometrics 10, 417-451, doi:10.2307/3001616.
    .. [2] Armitage (1955), Biometrics 11, 375-386, doi:10.2307/3001775.
    """
    x, n = np.asarray(cases, dtype=np.float64), np.asarray(totals, dtype=np.float64)
    s = _scores(scores, len(x))
    if not x.shape == n.shape == s.shape or ((x < 0) | (x > n)).any():
        raise ParameterError(
            f"{x.size} cases, {n.size} totals, {s.size} scores", where="cochran_armitage",
            mend="Give cases of 0 to the total and a score for each group.",
        )  # fmt: skip
    all_, p = float(n.sum()), float(x.sum() / n.sum()) if n.sum() else NAN
    spread = float((n * s**2).sum() - (n * s).sum() ** 2 / all_) if all_ else 0.0
    method = "Cochran-Armitage"
    if not 0 < p < 1 or spread <= 0:
        why = "all or none are cases" if spread > 0 else "everybody has the same score"
        return _nothing(s, method, all_, why)
    pull = float((s * (x - n * p)).sum())
    z = pull / float(np.sqrt(p * (1 - p) * spread))
    return Trend(
        z=z, p=float(2 * stats.norm.sf(abs(z))), p_exact=_exact(x, n, s) if exact else NAN,
        slope=pull / spread, scores=tuple(s.tolist()), method=method, n=int(all_),
    )  # fmt: skip


def _exact(x: Floats, n: Floats, s: Floats) -> float:
    """Return the chance of a sum of scores as far from its mean, cases drawn at random."""
    cases = int(x.sum())
    ways: dict[tuple[int, float], float] = {(0, 0.0): 0.0}  # (cases so far, sum): log of ways
    for total, score in zip(n, s, strict=True):
        more: dict[tuple[int, float], list[float]] = {}
        for (so_far, held), log in ways.items():
            for k in range(min(int(total), cases - so_far) + 1):
                own = gammaln(total + 1) - gammaln(k + 1) - gammaln(total - k + 1)
                key = (so_far + k, round(held + k * score, 9))
                more.setdefault(key, []).append(log + own)
        ways = {key: float(np.logaddexp.reduce(logs)) for key, logs in more.items()}
    sums = np.array([held for so_far, held in ways if so_far == cases])
    logs = np.array([log for (so_far, _), log in ways.items() if so_far == cases])
    chance = np.exp(logs - np.logaddexp.reduce(logs))
    mean = cases * float((n * s).sum() / n.sum())
    far = abs(float((s * x).sum()) - mean)
    return float(min(1.0, chance[np.abs(sums - mean) >= far - 1e-7].sum()))


def linear_by_linear(
    table: npt.ArrayLike,
    row_scores: Sequence[float] | None = None,
    column_scores: Sequence[float] | None = None,
) -> Trend:
    """Return Mantel's test of association of two ordered scales, (N - 1) r^2.

    Parameters
    ----------
    table : (R, C) array of int
        Counts; 0, 1, 2, ... are the scores where none are given.

    References
    ----------
    .. [1] Mantel (1963), J. Am. Stat. Assoc. 58, 690-700, doi:10.1080/01621459.1963.10500879.
    """
    t = np.asarray(table, dtype=np.float64)
    if t.ndim != 2 or (t < 0).any():
        raise ParameterError(
            f"table of shape {t.shape}", where="linear_by_linear", mend="Give rows of counts."
        )
    u = _scores(row_scores, t.shape[0])
    v = _scores(column_scores, t.shape[1])
    n = float(t.sum())
    kind = "linear-by-linear (Mantel)"
    nothing = _nothing(u, kind, n, "one of the scales does not vary")
    if n < 2:
        return nothing
    rows, columns = t.sum(axis=1), t.sum(axis=0)
    u0, v0 = u - (rows @ u) / n, v - (columns @ v) / n
    below = float(np.sqrt((rows @ u0**2) * (columns @ v0**2)))
    if below <= 0:
        return nothing
    r = float(u0 @ t @ v0) / below
    z = r * float(np.sqrt(n - 1))
    return Trend(
        z=z, p=float(2 * stats.norm.sf(abs(z))), p_exact=NAN, slope=r, scores=tuple(u.tolist()),
        method=kind, n=int(n),
    )  # fmt: skip


def _scores(given: Sequence[float] | None, n: int) -> Floats:
    return np.arange(n, dtype=np.float64) if given is None else np.asarray(given, dtype=np.float64)


def _nothing(scores: Floats, method: str, n: float, why: str) -> Trend:
    told = tuple(scores.tolist())
    return Trend(
        z=NAN, p=NAN, p_exact=NAN, slope=NAN, scores=told, method=method, n=int(n), why=why
    )
