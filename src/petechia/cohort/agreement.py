"""How far raters, sequences or visits agree: ICC, Fleiss, Gwet, specific agreement, F1.

Cohen's kappa and limits of agreement are in `petechia.core.agreement`. What is not defined is
NaN, and the result says why; nothing here raises because people agree, or because few were rated.
"""

from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats

from petechia.core.agreement import Floats, Index, require_counts, weight_matrix
from petechia.core.intervals import bootstrap
from petechia.errors import ParameterError

ICC_FORMS = {
    "ICC(1,1)": "one rating; each subject rated by other raters",
    "ICC(2,1)": "absolute agreement of one rating; raters are a sample of raters",
    "ICC(3,1)": "consistency of one rating; these raters, differences of level forgiven",
    "ICC(1,k)": "mean of k ratings; each subject rated by other raters",
    "ICC(2,k)": "absolute agreement of the mean of k raters",
    "ICC(3,k)": "consistency of the mean of k raters",
}
"""Names of Shrout & Fleiss. McGraw & Wong's: ICC(1), ICC(A,1), ICC(C,1), ICC(k), ICC(A,k),
ICC(C,k)."""
MISSING: tuple[Hashable, ...] = (None, "", "n/a")


def icc(ratings: npt.ArrayLike, form: str = "ICC(2,1)", level: float = 0.95) -> Index:
    """Return an intraclass correlation with its F-based interval.

    Parameters
    ----------
    ratings : (N, k) array of float
        Subjects by raters. A row with a value that is missing (NaN) is left out: `n` counts the
        rows that are whole.
    form : str
        One of `ICC_FORMS`.
    level : float
        Of the interval.

    Notes
    -----
    From the mean squares of the analysis of variance. The interval assumes normal errors; counts
    that are mostly 0 do not have them. NaN with fewer than two whole rows or two raters, and
    where nothing varies. The standard error is not defined.

    References
    ----------
    .. [1] Shrout & Fleiss (1979), Psychol. Bull. 86, 420-428, doi:10.1037/0033-2909.86.2.420.
    .. [2] McGraw & Wong (1996), Psychol. Methods 1, 30-46, doi:10.1037/1082-989X.1.1.30.
    """
    if form not in ICC_FORMS:
        raise ParameterError(
            f"form {form!r}", where="icc", mend=f"Choose one of {', '.join(ICC_FORMS)}."
        )
    x = np.asarray(ratings, dtype=np.float64)
    if x.ndim != 2:
        raise ParameterError(
            f"ratings of shape {x.shape}", where="icc", mend="Give subjects by raters."
        )
    x = x[np.isfinite(x).all(axis=1)]
    n, k = x.shape
    if k < 2 or n < 2:
        return Index.undefined(n, f"{n} subjects with all of {k} ratings; 2 of each are needed")
    if np.ptp(x) == 0:
        return Index.undefined(n, "all ratings are the same: nothing varies")
    squares = _mean_squares(x)
    value, low, high = _ICC[form[4]](n, k, squares, (1 - level) / 2)
    if form.endswith("k)"):
        if not 1 + (k - 1) * min(value, low if np.isfinite(low) else value) > 0:
            said = "raters differ more than subjects do: the mean of ratings has no reliability"
            return Index.undefined(n, said)
        value, low, high = (_stepped_up(v, k) for v in (value, low, high))
    why = "" if np.isfinite([value, low, high]).all() else "the subjects do not differ"
    low, high = (float(np.clip(v, -1.0, 1.0)) for v in (low, high))
    return Index(value=value, se=float("nan"), low=low, high=high, n=n, why=why)


def _mean_squares(x: Floats) -> tuple[float, float, float, float]:
    """Return mean squares between rows, between columns, of error, and within rows."""
    n, k = x.shape
    rows, columns, grand = x.mean(axis=1), x.mean(axis=0), x.mean()
    between = k * ((rows - grand) ** 2).sum() / (n - 1)
    raters = n * ((columns - grand) ** 2).sum() / (k - 1)
    left = x - rows[:, None] - columns[None, :] + grand
    error = (left**2).sum() / ((n - 1) * (k - 1))
    within = ((x - rows[:, None]) ** 2).sum() / (n * (k - 1))
    # rounding: what is equal to the last bits is equal
    floor = 1e-14 * max(1.0, float((x**2).max()))
    told = [0.0 if v < floor else float(v) for v in (between, raters, error, within)]
    return told[0], told[1], told[2], told[3]


def _ratio(above: float, below: float) -> float:
    return above / below if below else float("nan")


def _one_way(
    n: int, k: int, squares: tuple[float, float, float, float], tail: float
) -> tuple[float, float, float]:
    between, _, _, within = squares
    return _from_f(between, within, k, n - 1, n * (k - 1), tail)


def _consistency(
    n: int, k: int, squares: tuple[float, float, float, float], tail: float
) -> tuple[float, float, float]:
    between, _, error, _ = squares
    return _from_f(between, error, k, n - 1, (n - 1) * (k - 1), tail)


def _from_f(
    between: float, error: float, k: int, over: int, under: int, tail: float
) -> tuple[float, float, float]:
    """Return (F - 1) / (F + k - 1) of F and of its limits."""
    value = _ratio(between - error, between + (k - 1) * error)
    if not error:  # perfect: F has no limit
        return value, value, value
    f = between / error
    lower = f / stats.f.ppf(1 - tail, over, under)
    upper = f * stats.f.ppf(1 - tail, under, over)
    low, high = (float((v - 1) / (v + k - 1)) for v in (lower, upper))
    return value, low, high


def _absolute(
    n: int, k: int, squares: tuple[float, float, float, float], tail: float
) -> tuple[float, float, float]:
    between, raters, error, _ = squares
    below = between + (k - 1) * error + k * (raters - error) / n
    value = _ratio(between - error, below)
    if not raters and not error:
        return value, value, value
    if not np.isfinite(value) or value >= 1:
        return value, float("nan"), float("nan")
    a = k * value / (n * (1 - value))
    b = 1 + a * (n - 1)
    parts = (a * raters) ** 2 / (k - 1) + (b * error) ** 2 / ((n - 1) * (k - 1))
    free = _ratio((a * raters + b * error) ** 2, parts)
    upper_f = stats.f.ppf(1 - tail, n - 1, free)
    lower_f = stats.f.ppf(1 - tail, free, n - 1)
    rest = k * raters + (k * n - k - n) * error
    low = n * (between - upper_f * error) / (upper_f * rest + n * between)
    high = n * (lower_f * between - error) / (rest + n * lower_f * between)
    return value, float(low), float(high)


_ICC = {"1": _one_way, "2": _absolute, "3": _consistency}


def _stepped_up(value: float, k: int) -> float:
    """Return the reliability of the mean of k ratings (Spearman-Brown)."""
    return _ratio(k * value, 1 + (k - 1) * value)


def fleiss_kappa(
    ratings: Sequence[Sequence[Hashable]],
    words: Sequence[Hashable],
    weights: str = "none",
    level: float = 0.95,
) -> Index:
    """Return Fleiss' kappa of any number of raters, some of whose ratings may be missing.

    Parameters
    ----------
    ratings : (N, k) nested sequence
        Subjects by raters: a word each; None, NaN, "" or "n/a" where there is none.
    words : sequence
        All words that could be said; ordered when weighted.
    weights : str
        'none', 'linear' or 'quadratic'.
    level : float
        Of the interval (Student's, N - 1 degrees of freedom).

    Notes
    -----
    The standard error is Gwet's, over subjects, for the present raters. A subject without any
    rating is left out (`n`); one with a single rating tells of chance, not of agreement.

    References
    ----------
    .. [1] Fleiss (1971), Psychol. Bull. 76, 378-382, doi:10.1037/h0031619.
    .. [2] Gwet (2008), Br. J. Math. Stat. Psychol. 61, 29-48, doi:10.1348/000711006X126600.
    """
    earned = weight_matrix(len(words), weights)
    return _chance_corrected(ratings, words, earned, earned, 1.0, level)


def gwet(
    ratings: Sequence[Sequence[Hashable]],
    words: Sequence[Hashable],
    weights: str = "none",
    level: float = 0.95,
) -> Index:
    """Return Gwet's AC1 (AC2 when weighted): it does not fall when one word is rare.

    Parameters and notes as of `fleiss_kappa`.

    References
    ----------
    .. [1] Gwet (2008), Br. J. Math. Stat. Psychol. 61, 29-48, doi:10.1348/000711006X126600.
    """
    q = len(words)
    earned = weight_matrix(q, weights)
    chance = (np.ones((q, q)) - np.eye(q)) if q > 1 else np.zeros((q, q))
    scale = float(earned.sum()) / (q * (q - 1)) if q > 1 else 0.0
    return _chance_corrected(ratings, words, earned, chance, scale, level)


def _chance_corrected(
    ratings: Sequence[Sequence[Hashable]],
    words: Sequence[Hashable],
    earned: Floats,
    chance: Floats,
    scale: float,
    level: float,
) -> Index:
    """Return (observed - chance) / (1 - chance), chance being scale * share' chance share."""
    counts = rating_counts(ratings, words)
    told = counts.sum(axis=1)
    counts, told = counts[told > 0], told[told > 0]
    n = len(counts)
    if n < 2 or not (told >= 2).any():
        return Index.undefined(n, f"{n} subjects with a rating; 2 are needed, one of them twice")
    share = (counts / told[:, None]).mean(axis=0)
    pairs = told * (told - 1)
    met = (counts * (counts @ earned - 1)).sum(axis=1)
    observed_of = np.divide(met, pairs, out=np.zeros(n), where=pairs > 0)
    rated_twice = told >= 2
    observed = float(observed_of[rated_twice].mean())
    expected = scale * float(share @ chance @ share)
    if 1 - expected < 1e-12:
        return Index.undefined(n, "one and the same word was said everywhere")
    value = (observed - expected) / (1 - expected)
    own = (n / rated_twice.sum()) * (observed_of - expected * rated_twice) / (1 - expected)
    expected_of = scale * (counts @ (chance @ share)) / told
    own = own - 2 * (1 - value) * (expected_of - expected) / (1 - expected)
    se = float(np.sqrt(((own - value) ** 2).sum() / (n * (n - 1))))
    half = float(stats.t.ppf(0.5 + level / 2, n - 1)) * se
    low, high = max(-1.0, value - half), min(1.0, value + half)
    return Index(value=value, se=se, low=low, high=high, n=n)


def rating_counts(ratings: Sequence[Sequence[Hashable]], words: Sequence[Hashable]) -> Floats:
    """Return how many raters said each word of each subject (N, q); missing ones said none.

    Raises
    ------
    ParameterError
        A word that is not among `words`.
    """
    at = {word: n for n, word in enumerate(words)}
    counts = np.zeros((len(ratings), len(words)))
    for row, said in enumerate(ratings):
        for word in said:
            if word in MISSING or word != word:
                continue
            if word not in at:
                raise ParameterError(
                    f"rating {word!r}",
                    where="agreement",
                    mend=f"Ratings are of {', '.join(map(str, words))}.",
                )
            counts[row, at[word]] += 1
    return counts


def specific_agreement(counts: npt.ArrayLike, level: float = 0.95) -> tuple[Index, Index]:
    """Return positive and negative agreement of a 2 x 2 table.

    Of those that one rater calls positive (negative), the part that the other one does too, both
    ways together. Positive agreement is the F1 of one rater against the other.

    Parameters
    ----------
    counts : (2, 2) array of int
        First rater by row, second by column; negative, then positive.
    level : float
        Of the interval, which is normal, within 0 and 1.

    References
    ----------
    .. [1] Cicchetti & Feinstein (1990), J. Clin. Epidemiol. 43, 551-558,
       doi:10.1016/0895-4356(90)90159-M.
    .. [2] Graham & Bull (1998), J. Clin. Epidemiol. 51, 763-771 (standard error).
    """
    table = np.asarray(counts, dtype=np.float64)
    if table.shape != (2, 2):
        raise ParameterError(
            f"counts of shape {table.shape}",
            where="specific_agreement",
            mend="Give a 2 x 2 table of counts from 0.",
        )
    require_counts(table, "specific_agreement")
    apart, n = float(table[0, 1] + table[1, 0]), int(table.sum())
    z = float(stats.norm.ppf(0.5 + level / 2))
    return (
        _specific(float(table[1, 1]), apart, n, z, "neither rater called one positive"),
        _specific(float(table[0, 0]), apart, n, z, "neither rater called one negative"),
    )


def _specific(both: float, apart: float, n: int, z: float, why: str) -> Index:
    total = 2 * both + apart
    if not total:
        return Index.undefined(n, why)
    value = 2 * both / total
    se = float(2 * np.sqrt(both * apart * (both + apart)) / total**2)
    return Index(
        value=value, se=se, low=max(0.0, value - z * se), high=min(1.0, value + z * se), n=n
    )


def lesion_f1(
    both: npt.ArrayLike,
    only_first: npt.ArrayLike,
    only_second: npt.ArrayLike,
    rng: np.random.Generator,
    *,
    person: npt.ArrayLike | None = None,
    n_resamples: int = 2000,
    level: float = 0.95,
) -> Index:
    """Return F1 of one rater's lesions against another's, with an interval over people.

    Parameters
    ----------
    both, only_first, only_second : (N,) array of int
        Lesions of each scan that both marked, and that one marked alone.
    rng : numpy Generator
        Of the bootstrap.
    person : (N,) array of int, optional
        Number of the person of each scan; scans of one person are drawn together. Each scan is
        a person of its own where it is not given.

    Returns
    -------
    Index
        `n` counts lesions. NaN when nobody marked one; the interval is NaN where one
        person has any.
    """
    table = np.stack([np.asarray(v, float) for v in (both, only_first, only_second)], axis=1)
    who = np.arange(len(table)) if person is None else np.asarray(person, dtype=np.intp)
    total = table.sum(axis=0)
    if not total.sum():
        return Index.undefined(0, "nobody marked a lesion")
    by_person = np.zeros((int(who.max()) + 1, 3))
    np.add.at(by_person, who, table)
    by_person = by_person[by_person.any(axis=1)]  # who has no lesion of either tells nothing

    def f1(drawn: npt.NDArray[np.intp]) -> float:
        met, one, other = by_person[drawn].sum(axis=0)
        return float(2 * met / (2 * met + one + other)) if met + one + other else float("nan")

    n = len(by_person)
    value, nothing = f1(np.arange(n)), (float("nan"), float("nan"))
    low, high = bootstrap(f1, n, rng, n_resamples=n_resamples, level=level) if n > 1 else nothing
    why = "" if n > 1 else "one person: no interval"
    return Index(value=value, se=float("nan"), low=low, high=high, n=int(total.sum()), why=why)
