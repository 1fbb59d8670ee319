"""The detector is not sure: its probabilities carried into prevalence and count models.

A finding is there with its calibrated probability. Counts are drawn so, the model is fitted to
each draw, and Rubin's rules join them: what the detector does not know widens the interval. It
holds as far as the probabilities hold, in each group that is compared; what was never found as a
candidate is not in them.
"""

from collections.abc import Callable, Collection, Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats

from petechia.cohort.design_matrix import Design
from petechia.cohort.estimates import Columns, Estimate, Fit
from petechia.cohort.missing import impute, pooled_fit
from petechia.core.counts import CountDoubt, chance_of_any, draw_count
from petechia.errors import ParameterError

Doubts = Sequence[CountDoubt | None] | None
"""Of each scan, what its findings have in common; None: nothing."""


def draw_counts(
    probabilities: Sequence[npt.ArrayLike],
    rng: np.random.Generator,
    n_draws: int = 50,
    doubts: Doubts = None,
) -> npt.NDArray[np.int64]:
    """Return (n_draws, N) counts, each of the law of its scan (`core.counts`)."""
    each = doubts if doubts is not None else [None] * len(probabilities)
    counts = np.zeros((n_draws, len(probabilities)), dtype=np.int64)
    for n, (p, doubt) in enumerate(zip(probabilities, each, strict=True)):
        counts[:, n] = draw_count(p, rng, n_draws, doubt)
    return counts


def uncertain_prevalence(
    probabilities: Sequence[npt.ArrayLike], level: float = 0.95, doubts: Doubts = None
) -> Estimate:
    r"""Return the prevalence of any, with sampling and detection both in the interval.

    Parameters
    ----------
    probabilities : sequence of arrays
        Of all findings of each assessable scan (none: an empty array).
    doubts : sequence of CountDoubt or None, optional
        Of each scan.

    Notes
    -----
    The value is the mean over scans of the chance :math:`a_i` of at least one. Were counts drawn
    from the probabilities without end, Rubin's variances would be
    :math:`B = \sum a_i (1 - a_i) / n^2` between draws and
    :math:`W = (\bar a (1 - \bar a) - B) / n` within; the interval is Wilson's of
    :math:`n W / (W + B)` people.

    References
    ----------
    .. [1] Lott & Reiter (2020), Am. Stat. 74, 109-115, doi:10.1080/00031305.2018.1473796.
    """
    n = len(probabilities)
    about = {"measure": "proportion", "method": "Wilson's, over the chances of any", "n": n}
    if not n:
        return Estimate(why="no scan", **about)  # type: ignore[arg-type]
    each = doubts if doubts is not None else [None] * n
    chance = np.array([chance_of_any(p, d) for p, d in zip(probabilities, each, strict=True)])
    value = float(chance.mean())
    between = float((chance * (1 - chance)).sum()) / n**2
    within = max(value * (1 - value) - between, 0.0) / n
    people = n * within / (within + between) if between else float(n)
    if not people:
        return Estimate(value=value, why="one scan that may be either", **about)  # type: ignore[arg-type]
    z2 = float(stats.norm.ppf(0.5 + level / 2)) ** 2 / people
    centre = (value + z2 / 2) / (1 + z2)
    half = float(np.sqrt(z2 * (value * (1 - value) + z2 / 4))) / (1 + z2)
    return Estimate(
        value=value, low=max(0.0, centre - half), high=min(1.0, centre + half),
        se=float(np.sqrt(within + between)), **about,  # type: ignore[arg-type]
    )  # fmt: skip


def fit_uncertain(
    design: Design,
    probabilities: Sequence[npt.ArrayLike],
    fit: Callable[[Design], Fit],
    rng: np.random.Generator,
    n_draws: int = 50,
    level: float = 0.95,
    doubts: Doubts = None,
) -> Fit:
    """Draw counts, refit, pool by Rubin's rules.

    `statistics['fraction_missing']` of the pooled fit tells what the detector's doubt costs.

    Parameters
    ----------
    design : Design
        Outcome: counts, or presence (0 or 1) when `fit` is of presence.
    probabilities : sequence of arrays
        Of all findings of each row of the table that the design was built of (`design.rows`
        picks from it).
    fit : callable
        From a design whose outcome is drawn counts to a fit.
    doubts : sequence of CountDoubt or None, optional
        Of each scan.

    References
    ----------
    .. [1] Rubin (1987), Multiple Imputation for Nonresponse in Surveys, Wiley,
       doi:10.1002/9780470316696.
    """
    if len(design.rows) and int(design.rows.max()) >= len(probabilities):
        raise ParameterError(
            f"probabilities of {len(probabilities)} scans, row {int(design.rows.max())} asked for",
            where="fit_uncertain", mend="Give those of every row of the table.",
        )  # fmt: skip
    own = [probabilities[int(row)] for row in design.rows]
    own_doubts = None if doubts is None else [doubts[int(row)] for row in design.rows]
    drawn = draw_counts(own, rng, n_draws, own_doubts)
    fits = [fit(design.with_outcome(counts)) for counts in drawn]
    return pooled_fit(fits, level)


def fit_uncertain_imputed(
    table: Columns,
    names: Sequence[str],
    outcome: str,
    probabilities: Sequence[npt.ArrayLike],
    fit: Callable[[Columns], Fit],
    rng: np.random.Generator,
    n_draws: int = 50,
    level: float = 0.95,
    person: npt.ArrayLike | None = None,
    doubts: Doubts = None,
    factors: Collection[str] = (),
) -> Fit:
    """Draw counts, complete what is missing of people by them, refit, pool: both doubts at once.

    Parameters
    ----------
    table : columns
        The whole table.
    names : sequence of str
        Columns of the imputation besides the outcome.
    outcome : str
        Column of the counts; log(1 + count) tells of the missing values.
    probabilities : sequence of arrays
        Of all findings of each row.
    fit : callable
        From a completed table, its outcome drawn, to a fit.
    person, factors
        See `missing.impute`.
    doubts : sequence of CountDoubt or None, optional
        Of each scan.
    """
    whole = {str(name): table[name] for name in table}
    fits = []
    for counts in draw_counts(probabilities, rng, n_draws, doubts):
        drawn = whole | {outcome: counts.astype(np.float64), "log_drawn": np.log1p(counts)}
        (completed,) = impute(drawn, [*names, "log_drawn"], rng, 1, person=person, factors=factors)
        fits.append(fit(drawn | completed))
    return pooled_fit(fits, level)
