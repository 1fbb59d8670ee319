"""Several studies in one: DerSimonian-Laird, Hartung-Knapp, heterogeneity, prediction."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
from scipy import stats

from petechia.cohort.estimates import NAN, Estimate, Floats
from petechia.errors import ParameterError

SCALES = ("raw", "log ratio", "logit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """A meta-analysis, on the scale of analysis (log ratio, logit or raw).

    Attributes
    ----------
    names : tuple of str
        Of the studies.
    effects, variances, weights : (K,) array of float
        Of the studies; weights of the random-effects mean sum to 1.
    fixed, random, hartung_knapp : Estimate
        Inverse variance; DerSimonian-Laird; the same mean with Hartung-Knapp's interval. All on
        the scale of analysis.
    prediction : tuple of float
        Interval of the effect in a new study (Student's, K - 2); NaN below three studies.
    q, p_q, tau2, i2 : float
        Heterogeneity: Cochran's Q, its p, variance between studies, share of it (0 to 1).
    scale : str
        'raw', 'log ratio' or 'logit': how to turn it back.
    mantel_haenszel : Estimate
        Of tables only: the ratio itself, with fixed effect.
    notes : tuple of str
        Studies left out, cells that were filled.
    """

    names: tuple[str, ...]
    effects: Floats
    variances: Floats
    weights: Floats
    fixed: Estimate
    random: Estimate
    hartung_knapp: Estimate
    prediction: tuple[float, float]
    q: float
    p_q: float
    tau2: float
    i2: float
    scale: str
    mantel_haenszel: Estimate = field(default_factory=Estimate)
    notes: tuple[str, ...] = ()

    def back(self, value: float) -> float:
        """Return a value of the scale of analysis as a ratio, a proportion or itself."""
        if self.scale == "log ratio":
            return float(np.exp(value))
        return float(1 / (1 + np.exp(-value))) if self.scale == "logit" else float(value)


def meta_analysis(
    effects: npt.ArrayLike,
    variances: npt.ArrayLike,
    names: Sequence[str] = (),
    scale: str = "raw",
    level: float = 0.95,
) -> Meta:
    r"""Return the pooled effect of studies with known variances.

    Parameters
    ----------
    effects, variances : (K,) array of float
        On the scale of analysis; variances above 0.
    names : sequence of str
        Of the studies.
    scale : str
        One of 'raw', 'log ratio', 'logit': what the effects are.
    level : float
        Of the intervals.

    Notes
    -----
    :math:`\tau^2 = \max(0, (Q - (K-1)) / (\sum w - \sum w^2 / \sum w))`, w = 1/v. Hartung-Knapp's
    error is not let fall below DerSimonian-Laird's, which with few like studies it may.

    References
    ----------
    .. [1] DerSimonian & Laird (1986), Control. Clin. Trials 7, 177-188,
       doi:10.1016/0197-2456(86)90046-2.
    .. [2] Hartung & Knapp (2001), Stat. Med. 20, 3875-3889, doi:10.1002/sim.1009.
    .. [3] Higgins, Thompson & Spiegelhalter (2009), J. R. Stat. Soc. A 172, 137-159,
       doi:10.1111/j.1467-985X.2008.00552.x (prediction).
    .. [4] Higgins & Thompson (2002), Stat. Med. 21, 1539-1558, doi:10.1002/sim.1186 (I2).
    """
    y, v = np.asarray(effects, dtype=np.float64), np.asarray(variances, dtype=np.float64)
    if y.shape != v.shape or y.ndim != 1 or not (np.isfinite(y).all() and (v > 0).all()):
        raise ParameterError(
            f"{y.size} effects, {v.size} variances", where="meta_analysis",
            mend="Give finite effects, each with a variance above 0.",
        )  # fmt: skip
    if scale not in SCALES:
        raise ParameterError(
            f"scale {scale!r}", where="meta_analysis", mend=f"Choose one of {', '.join(SCALES)}."
        )
    k = len(y)
    told = tuple(names) or tuple(f"study {n + 1}" for n in range(k))
    if not k:
        none = Estimate(why="no study")
        return Meta(
            names=(), effects=y, variances=v, weights=y, fixed=none, random=none,
            hartung_knapp=none, prediction=(NAN, NAN), q=NAN, p_q=NAN, tau2=NAN, i2=NAN,
            scale=scale,
        )  # fmt: skip
    w = 1 / v
    mean = float((w * y).sum() / w.sum())
    q = float((w * (y - mean) ** 2).sum())
    room = float(w.sum() - (w**2).sum() / w.sum())
    tau2 = max(0.0, (q - (k - 1)) / room) if k > 1 and room > 0 else 0.0
    wr = 1 / (v + tau2)
    pooled = float((wr * y).sum() / wr.sum())
    se = float(np.sqrt(1 / wr.sum()))
    reach = float(stats.t.ppf(0.5 + level / 2, k - 2)) * np.sqrt(tau2 + se**2) if k > 2 else NAN
    return Meta(
        names=told, effects=y, variances=v, weights=wr / wr.sum(),
        fixed=_estimate(mean, float(np.sqrt(1 / w.sum())), np.inf, k, level, "inverse variance"),
        random=_estimate(pooled, se, np.inf, k, level, "DerSimonian-Laird"),
        hartung_knapp=_knapp(y, wr, pooled, se, level),
        prediction=(float(pooled - reach), float(pooled + reach)),
        q=q, p_q=float(stats.chi2.sf(q, k - 1)) if k > 1 else NAN, tau2=tau2,
        i2=max(0.0, 1 - (k - 1) / q) if q > 0 else 0.0, scale=scale,
    )  # fmt: skip


def _estimate(
    value: float, se: float, df: float, k: int, level: float, method: str, why: str = ""
) -> Estimate:
    reach = float(stats.t.ppf(0.5 + level / 2, df)) * se
    return Estimate(
        value=value, low=value - reach, high=value + reach, se=se, n=k,
        p=float(2 * stats.t.sf(abs(value) / se, df)), measure="effect", method=method, why=why,
    )  # fmt: skip


def _knapp(y: Floats, w: Floats, pooled: float, least: float, level: float) -> Estimate:
    k = len(y)
    if k < 2:
        return Estimate(
            value=pooled, n=k, measure="effect", method="Hartung-Knapp", why="one study"
        )
    se = float(np.sqrt((w * (y - pooled) ** 2).sum() / ((k - 1) * w.sum())))
    why = "" if se >= least else "its error was below DerSimonian-Laird's, which was taken"
    return _estimate(pooled, max(se, least), k - 1, k, level, "Hartung-Knapp", why)


def meta_ratios(
    cases: Sequence[int],
    totals: Sequence[int],
    cases_0: Sequence[int],
    totals_0: Sequence[int],
    names: Sequence[str] = (),
    measure: str = "odds ratio",
    level: float = 0.95,
) -> Meta:
    """Return pooled odds or risk ratios of tables; 0.5 is added where a cell is empty.

    Studies in which nobody, or everybody, of both groups is a case say nothing of a ratio and are
    left out with a note. The Mantel-Haenszel ratio uses the counts as they are.

    References
    ----------
    .. [1] Mantel & Haenszel (1959), J. Natl. Cancer Inst. 22, 719-748.
    .. [2] Robins, Breslow & Greenland (1986), Biometrics 42, 311-323, doi:10.2307/2531052.
    .. [3] Greenland & Robins (1985), Biometrics 41, 55-68, doi:10.2307/2530643 (risk ratio).
    """
    if measure not in ("odds ratio", "risk ratio"):
        raise ParameterError(
            f"measure {measure!r}", where="meta_ratios", mend="Choose odds ratio or risk ratio."
        )
    a, n, c, m = (np.asarray(v, dtype=np.float64) for v in (cases, totals, cases_0, totals_0))
    if (
        not a.shape == n.shape == c.shape == m.shape
        or ((a > n) | (c > m) | (a < 0) | (c < 0)).any()
    ):
        raise ParameterError(
            "cases and totals that do not fit", where="meta_ratios",
            mend="Give four lists of one length, cases from 0 to the total.",
        )  # fmt: skip
    told = np.array(tuple(names) or [f"study {k + 1}" for k in range(len(a))], dtype=object)
    says = (a + c > 0) & (a + c < n + m) & (n > 0) & (m > 0)
    notes = [f"{name} says nothing of a ratio: left out" for name in told[~says]]
    a, n, c, m, told = a[says], n[says], c[says], m[says], told[says]
    b, d = n - a, m - c
    empty = (a == 0) | (b == 0) | (c == 0) | (d == 0)
    notes += [f"{name}: 0.5 added to each cell" for name in told[empty]]
    fill = np.where(empty, 0.5, 0.0)
    af, bf, cf, df = a + fill, b + fill, c + fill, d + fill
    if measure == "odds ratio":
        effects, variances = np.log(af * df / (bf * cf)), 1 / af + 1 / bf + 1 / cf + 1 / df
    else:
        effects = np.log(af / (af + bf) * (cf + df) / cf)
        variances = 1 / af - 1 / (af + bf) + 1 / cf - 1 / (cf + df)
    made = meta_analysis(effects, variances, tuple(told), "log ratio", level)
    return replace(made, mantel_haenszel=_mantel(a, b, c, d, measure, level), notes=tuple(notes))


def _mantel(a: Floats, b: Floats, c: Floats, d: Floats, measure: str, level: float) -> Estimate:
    n = a + b + c + d
    about = {"measure": measure, "method": "Mantel-Haenszel", "n": len(a)}
    if measure == "odds ratio":
        r, s = a * d / n, b * c / n
        p, q = (a + d) / n, (b + c) / n
        up, down = float(r.sum()), float(s.sum())
    else:
        r, s = a * (c + d) / n, c * (a + b) / n
        up, down = float(r.sum()), float(s.sum())
    if not (up and down):
        return Estimate(why="no ratio: a total is 0", **about)  # type: ignore[arg-type]
    if measure == "odds ratio":
        variance = (
            (p * r).sum() / (2 * up**2)
            + (p * s + q * r).sum() / (2 * up * down)
            + (q * s).sum() / (2 * down**2)
        )
    else:
        variance = (((a + b) * (c + d) * (a + c) - a * c * n) / n**2).sum() / (up * down)
    log, se = float(np.log(up / down)), float(np.sqrt(variance))
    z = float(stats.norm.ppf(0.5 + level / 2))
    return Estimate(
        value=up / down, low=float(np.exp(log - z * se)), high=float(np.exp(log + z * se)), se=se,
        p=float(2 * stats.norm.sf(abs(log) / se)), **about,  # type: ignore[arg-type]
    )  # fmt: skip


def meta_proportions(
    cases: Sequence[int], totals: Sequence[int], names: Sequence[str] = (), level: float = 0.95
) -> Meta:
    """Return the pooled proportion, of logits (0.5 added where none or all are cases)."""
    x, n = np.asarray(cases, dtype=np.float64), np.asarray(totals, dtype=np.float64)
    if x.shape != n.shape or ((x < 0) | (x > n) | (n <= 0)).any():
        raise ParameterError(
            "cases and totals that do not fit", where="meta_proportions",
            mend="Give two lists of one length, cases from 0 to the total.",
        )  # fmt: skip
    told = tuple(names) or tuple(f"study {k + 1}" for k in range(len(x)))
    edge = (x == 0) | (x == n)
    xf, rest = np.where(edge, x + 0.5, x), np.where(edge, n - x + 0.5, n - x)
    notes = tuple(f"{name}: 0.5 added" for name, at in zip(told, edge, strict=True) if at)
    made = meta_analysis(np.log(xf / rest), 1 / xf + 1 / rest, told, "logit", level)
    return replace(made, notes=notes)
