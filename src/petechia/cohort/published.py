"""Numbers of the founding review and its sources, and the same numbers by this package."""

from collections.abc import Callable
from dataclasses import dataclass
from math import log

from petechia.cohort.agreement import ICC_FORMS, icc
from petechia.cohort.before_after import mcnemar
from petechia.cohort.meta import meta_analysis, meta_ratios
from petechia.cohort.prevalence import prevalence
from petechia.cohort.trend import cochran_armitage
from petechia.cohort.two_by_two import TwoByTwo, two_by_two
from petechia.core.agreement import kappa

GE = "Ge 2011, Can. J. Neurol. Sci. 38, 863"
THORN = "Thorn 2019, doi:10.2337/dc18-1302"
CHARIDIMOU = "Charidimou 2015, Neurology (10 studies)"
CHENG = "Cheng 2013, doi:10.1161/STROKEAHA.113.002267"
LEE = "Lee 2022, doi:10.1111/jon.13054"
IQBAL = "Iqbal 2025, doi:10.1007/s00062-025-01529-0"
SHROUT = "Shrout & Fleiss 1979, doi:10.1037/0033-2909.86.2.420"
BCG = "Colditz 1994 (13 BCG trials), as in metafor's dat.bcg"

SHROUT_FLEISS = (
    (9, 2, 5, 8), (6, 1, 3, 2), (8, 4, 6, 8), (7, 1, 2, 6), (10, 5, 6, 9), (6, 2, 4, 7),
)  # fmt: skip
"""Six subjects, four raters."""
BCG_TRIALS = {
    "Aronson 1948": (4, 123, 11, 139),
    "Ferguson & Simes 1949": (6, 306, 29, 303),
    "Rosenthal 1960": (3, 231, 11, 220),
    "Hart & Sutherland 1977": (62, 13598, 248, 12867),
    "Frimodt-Moller 1973": (33, 5069, 47, 5808),
    "Stein & Aronson 1953": (180, 1541, 372, 1451),
    "Vandiviere 1973": (8, 2545, 10, 629),
    "TPT Madras 1980": (505, 88391, 499, 88391),
    "Coetzee & Berjak 1968": (29, 7499, 45, 7277),
    "Rosenthal 1961": (17, 1716, 65, 1665),
    "Comstock 1974": (186, 50634, 141, 27338),
    "Comstock & Webster 1969": (5, 2498, 3, 2341),
    "Comstock 1976": (27, 16913, 29, 17854),
}
"""Tuberculosis among vaccinated, vaccinated; the same of those who were not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduced:
    """A published number beside ours.

    Attributes
    ----------
    source, what, inputs : str
        Where it was printed; what it is; the counts it can be made of again.
    published : str
        As printed; 'n/a' where only the counts were.
    ours, difference : float
        Ours, and ours less the printed one (NaN without one).
    agrees : str
        'yes' within the printed digits, 'no', or 'n/a' (nothing to compare with).
    remark : str
        Where the printed number and its own table disagree, in words.
    """

    source: str
    what: str
    inputs: str
    published: str
    ours: float
    difference: float
    agrees: str
    remark: str = ""


def _row(
    source: str, what: str, inputs: str, published: str, ours: float, remark: str = ""
) -> Reproduced:
    """Return a row; a printed number agrees when ours rounds to its digits ('<x' when below)."""
    difference, agrees = float("nan"), "n/a"
    if published.startswith("<"):
        agrees = "yes" if ours < float(published[1:]) else "no"
    elif published != "n/a":
        number = float(published.rstrip("%"))
        shown = ours * 100 if published.endswith("%") else ours
        digits = len(published.rstrip("%").partition(".")[2])
        difference = shown - number
        agrees = "yes" if abs(difference) <= 0.5 * 10**-digits + 1e-9 else "no"
        difference = round(difference / (100 if published.endswith("%") else 1), 12)
    return Reproduced(
        source=source, what=what, inputs=inputs, published=published, ours=ours,
        difference=difference, agrees=agrees, remark=remark,
    )  # fmt: skip


def reproduce() -> tuple[Reproduced, ...]:
    """Return every number that can be made again from its printed table.

    Rows are in a fixed order; nothing is drawn at random.
    """
    parts: tuple[Callable[[], list[Reproduced]], ...] = (
        _ge, _thorn, _charidimou, _luo, _cheng, _lee, _iqbal, _methods,
    )  # fmt: skip
    return tuple(row for part in parts for row in part())


def _inputs(t: TwoByTwo) -> str:
    return f"{t.cases}/{t.total} v {t.cases_0}/{t.total_0}"


def _table(source: str, what: str, t: TwoByTwo) -> list[Reproduced]:
    """Return the numbers that the source does not print."""
    at = _inputs(t)
    odds, risk, apart = t.odds_ratio, t.risk_ratio, t.risk_difference
    return [
        _row(source, f"{what}: {name}", at, "n/a", value)
        for name, value in (
            ("odds ratio, low", odds.low), ("odds ratio, high", odds.high),
            ("risk ratio", risk.value), ("risk difference", apart.value),
            ("risk difference, low (Newcombe)", apart.low),
            ("risk difference, high (Newcombe)", apart.high), ("p, Fisher", t.p_fisher),
        )
    ]  # fmt: skip


def _ge() -> list[Reproduced]:
    cmb, ich = two_by_two(60, 150, 18, 150), two_by_two(42, 150, 2, 150)
    long = two_by_two(42, 68, 18, 82)
    dose = cochran_armitage([18, 18, 42], [150, 82, 68])
    misprint = "the printed ratio does not follow from the printed counts, which give 4.889"
    return [
        _row(GE, "microbleeds, aspirin: share", "60/150", "40%", 60 / 150),
        _row(GE, "microbleeds, none: share", "18/150", "12%", 18 / 150),
        _row(GE, "microbleeds: odds ratio", _inputs(cmb), "4.899", cmb.odds_ratio.value, misprint),
        _row(GE, "microbleeds: p (chi-square)", _inputs(cmb), "<0.0001", cmb.p_chi2),
        *_table(GE, "microbleeds", cmb),
        _row(GE, "haemorrhage, aspirin: share", "42/150", "28%", 42 / 150),
        _row(GE, "haemorrhage, none: share", "2/150", "1%", 2 / 150),
        _row(GE, "haemorrhage: odds ratio", _inputs(ich), "28.778", ich.odds_ratio.value),
        _row(GE, "haemorrhage: p (chi-square)", _inputs(ich), "<0.0001", ich.p_chi2),
        *_table(GE, "haemorrhage", ich),
        _row(GE, "over 5 years v up to 5: odds ratio", _inputs(long), "5.744",
             long.odds_ratio.value),
        _row(GE, "over 5 years v up to 5: p (chi-square)", _inputs(long), "<0.0001", long.p_chi2),
        _row(GE, "trend 0, <=5, >5 years: z (Cochran-Armitage)",
             "18/150, 18/82, 42/68", "n/a", dose.z),
    ]  # fmt: skip


def _thorn() -> list[Reproduced]:
    any_, cmb = two_by_two(67, 191, 3, 30), two_by_two(45, 191, 1, 30)
    other, white = two_by_two(46, 191, 1, 30), two_by_two(33, 191, 2, 30)
    odd = "46 of 191 fits the printed share, not the printed p; 45 of 191 fits both"
    return [
        _row(THORN, "any small-vessel disease: share", "67/191", "35%", 67 / 191),
        _row(THORN, "any small-vessel disease: p (Fisher)", _inputs(any_), "0.005", any_.p_fisher),
        _row(THORN, "microbleeds: share", "45/191", "24%", 45 / 191),
        _row(THORN, "microbleeds, none diabetic: share", "1/30", "3.3%", 1 / 30),
        _row(THORN, "microbleeds: p (Fisher)", _inputs(cmb), "0.008", cmb.p_fisher),
        _row(THORN, "microbleeds: p (Fisher)", _inputs(other), "0.008", other.p_fisher, odd),
        _row(THORN, "white matter: p (Fisher)", _inputs(white), "0.182", white.p_fisher),
        _row(THORN, "lacunes: p (Fisher)", "4/191 v 0/30", "1.000",
             two_by_two(4, 191, 0, 30).p_fisher),
        _row(THORN, "microbleeds: odds ratio", _inputs(cmb), "n/a", cmb.odds_ratio.value),
        *_table(THORN, "microbleeds", cmb),
    ]  # fmt: skip


def _charidimou() -> list[Reproduced]:
    t = two_by_two(40, 472, 61, 1556)
    with_, without = prevalence([1] * 40 + [0] * 432), prevalence([1] * 61 + [0] * 1495)
    pooled = (
        "the printed ratio is pooled over ten studies (Mantel-Haenszel); the sum of their tables"
        " gives another number, and need not give the same"
    )
    return [
        _row(CHARIDIMOU, "prevalence of microbleeds", "472/2028", "23.3%", 472 / 2028),
        _row(CHARIDIMOU, "haemorrhage with microbleeds: share", "40/472", "8.5%", with_.share),
        _row(CHARIDIMOU, "the same: low (exact)", "40/472", "6.1%", with_.exact[0]),
        _row(CHARIDIMOU, "the same: high (exact)", "40/472", "11.4%", with_.exact[1]),
        _row(CHARIDIMOU, "haemorrhage without: share", "61/1556", "3.9%", without.share),
        _row(CHARIDIMOU, "the same: low (exact)", "61/1556", "3%", without.exact[0]),
        _row(CHARIDIMOU, "the same: high (exact)", "61/1556", "5%", without.exact[1]),
        _row(CHARIDIMOU, "haemorrhage: odds ratio", _inputs(t), "2.26", t.odds_ratio.value, pooled),
        _row(CHARIDIMOU, "the same: low", _inputs(t), "1.46", t.odds_ratio.low, pooled),
        _row(CHARIDIMOU, "the same: high", _inputs(t), "3.49", t.odds_ratio.high, pooled),
        _row(CHARIDIMOU, "haemorrhage: p (chi-square)", _inputs(t), "<0.0001", t.p_chi2),
        *_table(CHARIDIMOU, "haemorrhage", t)[2:],
    ]  # fmt: skip


def _luo() -> list[Reproduced]:
    luo = prevalence([1] * 25 + [0] * 174)
    told = (
        ("prevalence of microbleeds", luo.share), ("low (Wilson)", luo.wilson[0]),
        ("high (Wilson)", luo.wilson[1]), ("low (exact)", luo.exact[0]),
        ("high (exact)", luo.exact[1]),
    )  # fmt: skip
    return [_row("Luo, as cited by the review", what, "25/199", "n/a", v) for what, v in told]


def _cheng() -> list[Reproduced]:
    note = "totals over three raters, not pairs of lesions: no interval can be had from them"
    return [
        _row(CHENG, "microbleeds, SWI over GRE", "1432 / 1146", "n/a", 1432 / 1146, note),
        _row(CHENG, "controls with any on GRE", "6/22", "n/a", 6 / 22),
        _row(CHENG, "controls with any on SWI", "5/22", "n/a", 5 / 22),
    ]


def _lee() -> list[Reproduced]:
    note = "a ratio of frequencies (560 lesions), not of intensities; the counts are not printed"
    middle = (0.2386 * 0.4386) ** 0.5
    return [
        _row(LEE, "unambiguous intensity, SWI over QSM: centre of its interval (log scale)",
             "0.2386, 0.4386", "0.3235", middle, note),
        _row(LEE, "the same, QSM over SWI", "1 / 0.3235", "3", 1 / 0.3235, note),
        _row(LEE, "standard error of its logarithm", "0.2386, 0.4386", "n/a",
             log(0.4386 / 0.2386) / (2 * 1.959964)),
    ]  # fmt: skip


def _iqbal() -> list[Reproduced]:
    called = prevalence([1] * 25 + [0])
    seen = mcnemar(261, 33, 73, 0)
    note = (
        "lesions taken one by one give a smaller p than printed; those of a person are alike,"
        " and the printed test is not said to be this one"
    )
    return [
        _row(IQBAL, "calcifications called microbleeds on 2D GRE: share", "25/26", "n/a",
             called.share),
        _row(IQBAL, "the same: low (Wilson)", "25/26", "n/a", called.wilson[0]),
        _row(IQBAL, "better seen on QSM v on GRE: p (sign test)", "73 v 33", "0.00975",
             seen.p_exact, note),
    ]  # fmt: skip


def _methods() -> list[Reproduced]:
    printed = dict(zip(ICC_FORMS, ("0.17", "0.29", "0.71", "0.44", "0.62", "0.91"), strict=True))
    rows = [
        _row(SHROUT, form, "6 subjects, 4 raters", text, icc(SHROUT_FLEISS, form).value)
        for form, text in printed.items()
    ]
    k = kappa([[20, 5], [10, 15]])
    pairs = mcnemar(101, 121, 59, 33)
    ill, all_, ill_0, all_0 = ([trial[n] for trial in BCG_TRIALS.values()] for n in range(4))
    bcg = meta_ratios(ill, all_, ill_0, all_0, tuple(BCG_TRIALS), "risk ratio")
    again = meta_analysis(bcg.effects, bcg.variances)
    rows += [
        _row("textbook table", "Cohen's kappa", "[[20,5],[10,15]]", "0.40", k.value),
        _row("textbook table", "McNemar, corrected chi-square", "[[101,121],[59,33]]", "n/a",
             pairs.chi2_corrected),
        _row("textbook table", "McNemar, exact p", "[[101,121],[59,33]]", "n/a", pairs.p_exact),
    ]  # fmt: skip
    for what, text, value in (
        ("log risk ratio (DerSimonian-Laird)", "-0.7141", bcg.random.value),
        ("its standard error", "0.1787", bcg.random.se),
        ("Q", "152.2330", bcg.q),
        ("variance between trials", "0.3088", bcg.tau2),
        ("I2", "92.12%", bcg.i2),
        ("log risk ratio, low (Hartung-Knapp)", "n/a", again.hartung_knapp.low),
        ("log risk ratio, high (Hartung-Knapp)", "n/a", again.hartung_knapp.high),
    ):
        rows.append(_row(BCG, what, "13 tables", text, value))
    return rows
