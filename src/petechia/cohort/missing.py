"""What is missing is said; multiple imputation by chained equations; Rubin's rules."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import stats

from petechia.cohort.design_matrix import Column, known, read_column
from petechia.cohort.estimates import NAN, Columns, Estimate, Fit, Floats, Term
from petechia.cohort.logistic import FIRTH
from petechia.core.logistic import expit
from petechia.errors import ParameterError

DONORS = 5
WALD = (
    "intervals of single sets are of the penalised profile, the pooled one is Wald's and may be "
    "narrower"
)
LEAST_SHARE = 0.8
"""Of completed sets that must fit, for the pooled result to be given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missingness:
    """One column: how much of it is missing, and whether that goes with the outcome.

    Attributes
    ----------
    name : str
        Column.
    known, missing : int
        Rows.
    share : float
        Missing / all.
    p_with_outcome : float
        Mann-Whitney's of the outcome where it is missing against where it is known; a small one
        says that complete rows are not like the others. NaN where it cannot be tested.
    """

    name: str
    known: int
    missing: int
    share: float
    p_with_outcome: float


def missingness(
    table: Columns, names: Sequence[str], outcome: str | None = None
) -> tuple[Missingness, ...]:
    """Return a row for each column; p of a difference of the outcome where it is missing."""
    y = None if outcome is None else read_column(table, outcome)
    rows = []
    for name in names:
        there = known(read_column(table, name))
        p = NAN
        if y is not None and y.dtype != object and name != outcome:
            one, other = (np.asarray(y[k & known(y)], dtype=np.float64) for k in (there, ~there))
            if len(one) > 1 and len(other) > 1 and np.ptp(np.concatenate([one, other])) > 0:
                p = float(stats.mannwhitneyu(one, other, method="asymptotic").pvalue)
        rows.append(
            Missingness(
                name=name, known=int(there.sum()), missing=int((~there).sum()),
                share=float((~there).mean()) if len(there) else NAN, p_with_outcome=p,
            )
        )  # fmt: skip
    return tuple(rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooled:
    """Rubin's rules: `estimate`, with within and between variance and what was lost.

    Attributes
    ----------
    estimate : Estimate
        Mean over sets, with Student's interval.
    within, between : float
        Mean variance; variance of the estimates between sets.
    df : float
        Barnard & Rubin's.
    fraction_missing : float
        Of the information.
    n_sets : int
        Completed sets.
    """

    estimate: Estimate
    within: float
    between: float
    df: float
    fraction_missing: float
    n_sets: int


def rubin(
    values: npt.ArrayLike,
    variances: npt.ArrayLike,
    *,
    df_complete: float = float("inf"),
    level: float = 0.95,
    name: str = "",
    ratio: bool = False,
) -> Pooled:
    r"""Pool estimates of M completed data sets.

    .. math:: T = \bar W + (1 + 1/M) B

    Parameters
    ----------
    values, variances : (M,) array of float
        Of each set; `ratio`: values are logarithms of one, and the estimate is given as a ratio.
    df_complete : float
        Degrees of freedom had nothing been missing.

    References
    ----------
    .. [1] Rubin (1987), Multiple Imputation for Nonresponse in Surveys, Wiley,
       doi:10.1002/9780470316696.
    .. [2] Barnard & Rubin (1999), Biometrika 86, 948-955, doi:10.1093/biomet/86.4.948.
    """
    q, u = np.asarray(values, dtype=np.float64), np.asarray(variances, dtype=np.float64)
    if q.shape != u.shape or q.ndim != 1 or not len(q):
        raise ParameterError(
            f"{q.size} estimates, {u.size} variances", where="rubin", mend="Give one of each a set."
        )
    m = len(q)
    mean, within = float(q.mean()), float(u.mean())
    between = float(q.var(ddof=1)) if m > 1 else 0.0
    extra = (1 + 1 / m) * between
    total = within + extra
    df, lost = _freedom(extra, total, m, df_complete)
    se = float(np.sqrt(total))
    reach = float(stats.t.ppf(0.5 + level / 2, df)) * se
    p = float(2 * stats.t.sf(abs(mean) / se, df)) if se else NAN
    edges = (mean, mean - reach, mean + reach)
    value, low, high = (float(np.exp(v)) for v in edges) if ratio else edges
    estimate = Estimate(
        name=name, value=value, low=low, high=high, se=se, p=p, n=m,
        measure="ratio" if ratio else "difference", method="Rubin's rules, Barnard-Rubin",
    )  # fmt: skip
    return Pooled(
        estimate=estimate, within=within, between=between, df=df, fraction_missing=lost, n_sets=m
    )


def _freedom(extra: float, total: float, m: int, df_complete: float) -> tuple[float, float]:
    """Return Barnard & Rubin's degrees of freedom and the fraction of information missing."""
    if extra <= 0 or total <= 0 or m < 2:
        return df_complete, 0.0
    share = extra / total
    old = (m - 1) / share**2
    if not np.isfinite(df_complete):
        df = old
    else:
        seen = (df_complete + 1) / (df_complete + 3) * df_complete * (1 - share)
        df = old * seen / (old + seen)
    r = share / (1 - share) if share < 1 else np.inf
    lost = (r + 2 / (df + 3)) / (r + 1) if np.isfinite(r) else 1.0
    return float(df), float(lost)


def impute(
    table: Columns,
    names: Sequence[str],
    rng: np.random.Generator,
    n_sets: int = 20,
    n_cycles: int = 10,
    person: npt.ArrayLike | None = None,
    factors: Collection[str] = (),
) -> tuple[dict[str, npt.NDArray[np.generic]], ...]:
    """Return completed copies of the named columns.

    Parameters
    ----------
    table : columns
        The whole table; only the named columns are read.
    names : sequence of str
        Outcome, exposures and covariates of the analysis together, and what tells of the missing
        values besides: a column left out is taken to have no bearing on the others.
    rng : numpy Generator
        The only source of randomness.
    n_sets, n_cycles : int
        Completed tables; rounds of the chain before each is taken.
    person : (N,) array, optional
        Whose each row is, where people have several. A column that never differs within a person
        is completed once for each, from the person's means of the others, and is then the same in
        all rows; what differs is completed row by row.
    factors : collection of str
        Columns whose values name groups though they may look like numbers.

    Notes
    -----
    Numbers: predictive mean matching, of the five nearest means, coefficients drawn from their
    posterior. Words: logistic models, one a level, drawn likewise. Valid when what is missing
    depends only on what is seen.

    References
    ----------
    .. [1] van Buuren & Groothuis-Oudshoorn (2011), J. Stat. Softw. 45(3),
       doi:10.18637/jss.v045.i03.
    """
    columns = {name: read_column(table, name, name in factors) for name in dict.fromkeys(names)}
    for name, column in columns.items():
        if not known(column).any():
            raise ParameterError(
                f"column {name!r} has no value at all", where="impute", mend="Leave it out."
            )
    if person is None:
        return tuple(_completed(columns, rng, n_cycles) for _ in range(n_sets))
    _, who = np.unique(np.asarray(person).astype(str), return_inverse=True)
    return tuple(_completed_by_person(columns, who, rng, n_cycles) for _ in range(n_sets))


def _completed_by_person(
    columns: dict[str, Column], who: npt.NDArray[np.intp], rng: np.random.Generator, n_cycles: int
) -> dict[str, npt.NDArray[np.generic]]:
    """Return the table completed for people first, then row by row."""
    rows = [np.flatnonzero(who == n) for n in range(int(who.max()) + 1)]
    people: dict[str, Column] = {}
    steady = []
    for name, column in columns.items():
        own = [column[at][known(column[at])] for at in rows]
        if all(len(set(told.tolist())) < 2 for told in own):
            steady.append(name)
        if column.dtype == object:
            words = np.empty(len(rows), dtype=object)
            words[:] = [told[0] if len(told) else None for told in own]
            people[name] = words
        else:
            people[name] = np.array([told.mean() if len(told) else np.nan for told in own])
    completed = _completed(people, rng, n_cycles)
    filled = {
        name: np.asarray(completed[name])[who] if name in steady else column
        for name, column in columns.items()
    }
    return _completed(filled, rng, n_cycles)


def _completed(
    columns: dict[str, Column], rng: np.random.Generator, n_cycles: int
) -> dict[str, npt.NDArray[np.generic]]:
    lacking = sorted(
        (name for name, column in columns.items() if not known(column).all()),
        key=lambda name: int((~known(columns[name])).sum()),
    )
    now = {name: column.copy() for name, column in columns.items()}
    for name in lacking:
        gap = ~known(columns[name])
        now[name][gap] = rng.choice(columns[name][~gap], int(gap.sum()))
    for _ in range(n_cycles if len(lacking) > 1 else min(n_cycles, 1)):
        for name in lacking:
            gap = ~known(columns[name])
            x = _others(now, name)
            told = columns[name][~gap]
            if told.dtype == object:
                now[name][gap] = _drawn_words(x, told, gap, rng)
            else:
                now[name][gap] = _drawn_numbers(x, told.astype(np.float64), gap, rng)
    return dict(now)


def _others(now: dict[str, Column], name: str) -> Floats:
    """Return all other columns, standardised, words as indicators, after an intercept."""
    parts = [np.ones(len(now[name]))]
    for other, column in now.items():
        if other == name:
            continue
        if column.dtype != object:
            parts.append(column.astype(np.float64))
        else:
            for level in sorted(set(column.tolist()))[1:]:
                parts.append((column == level).astype(np.float64))
    x = np.stack(parts, axis=1)
    mean, sd = x[:, 1:].mean(axis=0), x[:, 1:].std(axis=0)
    x[:, 1:] = (x[:, 1:] - mean) / np.where(sd > 0, sd, 1.0)
    return x


def _ridged(information: Floats) -> Floats:
    """Return the information with a touch on its diagonal: like columns do no harm."""
    k = len(information)
    touched: Floats = information + 1e-5 * np.trace(information) / k * np.eye(k)
    return touched


def _drawn_numbers(
    x: Floats, told: Floats, gap: npt.NDArray[np.bool_], rng: np.random.Generator
) -> Floats:
    seen = x[~gap]
    n, k = seen.shape
    inverse = np.linalg.inv(_ridged(seen.T @ seen))
    b = inverse @ seen.T @ told
    left = told - seen @ b
    sigma = np.sqrt((left @ left) / max(rng.chisquare(max(n - k, 1)), 1e-9))
    drawn = b + sigma * np.linalg.cholesky(inverse) @ rng.standard_normal(k)
    near = np.abs((x[gap] @ drawn)[:, None] - (seen @ b)[None, :])
    nearest = np.argsort(near, axis=1, kind="stable")[:, : min(DONORS, n)]
    pick = rng.integers(0, nearest.shape[1], len(nearest))
    chosen: Floats = told[nearest[np.arange(len(nearest)), pick]]
    return chosen


def _drawn_words(
    x: Floats, told: Column, gap: npt.NDArray[np.bool_], rng: np.random.Generator
) -> npt.NDArray[np.object_]:
    levels = sorted(set(told.tolist()))
    chances = np.stack(
        [_drawn_chance(x, (told == level).astype(np.float64), gap, rng) for level in levels], axis=1
    )
    edges = np.cumsum(chances / chances.sum(axis=1, keepdims=True), axis=1)
    at = (rng.random((len(edges), 1)) > edges).sum(axis=1).clip(max=len(levels) - 1)
    words = np.empty(len(at), dtype=object)
    words[:] = [levels[n] for n in at]
    return words


def _drawn_chance(
    x: Floats, y: Floats, gap: npt.NDArray[np.bool_], rng: np.random.Generator
) -> Floats:
    """Return chances where the value is missing, of coefficients drawn from their posterior.

    A weak normal prior (SD 2.5 on standardised columns) keeps a separated outcome finite.
    """
    seen = x[~gap]
    hold = np.full(x.shape[1], 2.5**-2)
    hold[0] = 10.0**-2
    b = np.zeros(x.shape[1])
    for _ in range(50):
        p = expit(seen @ b)
        bend = (seen * (p * (1 - p))[:, None]).T @ seen + np.diag(hold)
        step = np.linalg.solve(bend, seen.T @ (y - p) - hold * b)
        b = b + np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-8:
            break
    root = np.linalg.cholesky(np.linalg.inv(bend))
    return expit(x[gap] @ (b + root @ rng.standard_normal(len(b))))


def pooled_fit(fits: Sequence[Fit], level: float = 0.95) -> Fit:
    """Pool one model fitted to every completed set; failed ones are counted and said.

    Parameters
    ----------
    fits : sequence of Fit
        At least four fifths must have fitted, with the same terms. A spread that some sets have
        at its bound 0, and therefore not among their terms, is not pooled; all else is.

    Notes
    -----
    Intervals are Wald's also where those of single sets are of a profile (Firth's penalty).
    AIC and log-likelihood are not pooled. `statistics` holds the largest fraction of missing
    information.
    """
    if not fits:
        raise ParameterError("no fit", where="pooled_fit", mend="Give one for each completed set.")
    good = _alike([fit for fit in fits if fit.ok])
    # the fullest, whose notes do not speak of a bound that other sets are not at
    first = max(good, key=lambda fit: len(fit.terms)) if good else fits[0]
    lost = len(fits) - len(good)
    if len(good) < max(2, LEAST_SHARE * len(fits)):
        bad = next((fit for fit in fits if not fit.ok), first)
        return replace(
            bad, status=bad.status if not bad.ok else "not_converged",
            said=f"{lost} of {len(fits)} completed sets could not be fitted ({bad.said})",
            terms=tuple(Term(name=t.name, part=t.part) for t in first.terms),
            log_likelihood=NAN, aic=NAN, covariance=np.zeros((0, 0)),
        )  # fmt: skip
    m = len(good)
    held = [sum((t.name, t.part) in _names(fit) for fit in good) for t in first.terms]
    shared = [t for t, n in zip(first.terms, held, strict=True) if n == m]
    at_bound = tuple(
        f"{t.name} at its bound 0 in {m - n} of {m} sets: not pooled"
        for t, n in zip(first.terms, held, strict=True)
        if n < m
    )
    terms, total, worst = _pooled_terms(good, shared, first, level)
    note = f"pooled over {m} sets by Rubin's rules"
    failed = (f"{lost} sets could not be fitted",) if lost else ()
    said = f"converged in {m} sets" if lost else "converged in every set"
    if any(fit.model == FIRTH for fit in good):
        said += f"; {WALD}"
    return replace(
        first, said=said, terms=terms, notes=(*first.notes, note, *at_bound, *failed),
        log_likelihood=NAN, aic=NAN, covariance=total,
        statistics={"sets": float(m), "fraction_missing": worst},
    )  # fmt: skip


def _pooled_terms(
    fits: Sequence[Fit], shared: Sequence[Term], first: Fit, level: float
) -> tuple[tuple[Term, ...], Floats, float]:
    """Return pooled terms, their covariance, and the largest fraction of missing information."""
    m, k = len(fits), len(shared)
    values, own = np.zeros((m, k)), np.zeros((m, k, k))
    for n, fit in enumerate(fits):
        names = _names(fit)
        at = [names.index((t.name, t.part)) for t in shared]
        values[n] = [fit.terms[place].coefficient for place in at]
        own[n] = fit.covariance[np.ix_(at, at)]
    between = np.atleast_2d(np.cov(values, rowvar=False))
    # people or sites are the units where rows are grouped
    df_complete = max(1.0, float(first.statistics.get("groups", first.n)) - k)
    terms, worst = [], 0.0
    for n, term in enumerate(shared):
        pooled = rubin(values[:, n], own[:, n, n], df_complete=df_complete, level=level)
        worst = max(worst, pooled.fraction_missing)
        e, plain = pooled.estimate, not np.isfinite(term.ratio)
        exp = [NAN] * 3 if plain else [float(np.exp(v)) for v in (e.value, e.low, e.high)]
        terms.append(
            Term(
                name=term.name, part=term.part, coefficient=e.value, se=e.se, low=e.low,
                high=e.high, p=NAN if term.part == "spread" else e.p, ratio=exp[0],
                ratio_low=exp[1], ratio_high=exp[2],
            )
        )  # fmt: skip
    return tuple(terms), own.mean(axis=0) + (1 + 1 / m) * between, worst


def _names(fit: Fit) -> list[tuple[str, str]]:
    return [(t.name, t.part) for t in fit.terms]


def _alike(fits: Sequence[Fit]) -> list[Fit]:
    """Return the fits with the commonest terms, whatever spread they have besides."""
    names = [tuple(pair for pair in _names(fit) if pair[1] != "spread") for fit in fits]
    commonest = max(names, key=names.count, default=())
    return [fit for fit, own in zip(fits, names, strict=True) if own == commonest]


def fit_imputed(
    table: Columns,
    names: Sequence[str],
    fit: Callable[[Columns], Fit],
    rng: np.random.Generator,
    n_sets: int = 20,
    level: float = 0.95,
    person: npt.ArrayLike | None = None,
    factors: Collection[str] = (),
) -> Fit:
    """Impute, fit each completed table, pool.

    Parameters
    ----------
    table : columns
        The table; columns besides `names` are handed to `fit` as they are.
    names : sequence of str
        Columns of the imputation: outcome, exposures, covariates.
    fit : callable
        From a completed table to a fit.
    person, factors
        See `impute`.
    """
    whole = {str(name): table[name] for name in table}
    sets = impute(table, names, rng, n_sets, person=person, factors=factors)
    return pooled_fit([fit({**whole, **completed}) for completed in sets], level)
