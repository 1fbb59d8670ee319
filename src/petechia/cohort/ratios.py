"""Ratio of two totals over people, whose lesions and scans come together."""

import numpy as np
import numpy.typing as npt
from scipy import stats

from petechia.cohort.estimates import NAN, Estimate

LEAST_PEOPLE = 5
"""From so few people a spread cannot be told: the interval would be a number that means nothing."""


def ratio_of_totals(
    above: npt.ArrayLike,
    below: npt.ArrayLike,
    person: npt.ArrayLike | None = None,
    *,
    level: float = 0.95,
    measure: str = "ratio",
    name: str = "",
    offset_above: npt.ArrayLike | None = None,
    offset_below: npt.ArrayLike | None = None,
) -> Estimate:
    r"""Return :math:`\sum a / \sum b` with an interval that lets people differ.

    Parameters
    ----------
    above, below : (N,) array of float
        Counts, or count and person-years.
    person : (N,) array, optional
        Whose each row is; every row is a person of its own where it is not given.
    offset_above, offset_below : (N,) array of float, optional
        Times in which each was counted: the ratio is then one of rates.

    Notes
    -----
    Linearised on the logarithm: the variance is of the sums over people of
    a/A - b/B, with m/(m - 1) and Student's t of m - 1, m being the people who tell something: of a
    ratio of counts, those who have any. It is the sandwich of a Poisson model with a log link.
    p is of the ratio 1, and NaN for a measure that is a 'rate'. With m below `LEAST_PEOPLE` there
    is a ratio, but no interval and no p, and `why` says so.

    References
    ----------
    .. [1] Cochran (1977), Sampling Techniques, 3rd ed., Wiley, ch. 6.
    """
    a, b = np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64)
    ta = np.ones_like(a) if offset_above is None else np.asarray(offset_above, dtype=np.float64)
    tb = np.ones_like(b) if offset_below is None else np.asarray(offset_below, dtype=np.float64)
    total_a, total_b = float(a.sum()), float(b.sum())
    method = "robust over people, Student's t on the logarithm"
    _, who = np.unique(
        np.arange(len(a)) if person is None else np.asarray(person), return_inverse=True
    )
    n = int(who.max()) + 1 if len(who) else 0

    def undefined(value: float, why: str) -> Estimate:
        return Estimate(name=name, value=value, n=n, measure=measure, method=method, why=why)

    if not total_b:
        return undefined(NAN, "nothing to compare with: the lower total is 0")
    scale = float(tb.sum() / ta.sum())
    value = total_a / total_b * scale
    if not total_a:
        return undefined(0.0, "the upper total is 0: no interval")
    counted = offset_above is None and offset_below is None and measure != "rate"
    # who has none in either tells nothing of the ratio of two counts
    m = len(np.unique(who[(a != 0) | (b != 0)])) if counted else n
    if m < LEAST_PEOPLE:
        some = "with any" if counted else "seen"
        people = f"{m} people" if m > 1 else "one person"
        return undefined(value, f"too few: {people} {some}; an interval asks for {LEAST_PEOPLE}")
    own = (a - ta * total_a / ta.sum()) / total_a - (b - tb * total_b / tb.sum()) / total_b
    if measure == "rate":  # below is time, no count of its own
        own = a / total_a - b / total_b
    pulls = np.zeros(n)
    np.add.at(pulls, who, own)
    se = float(np.sqrt(m / (m - 1) * (pulls**2).sum()))
    if not se > 1e-12:
        return undefined(value, "people do not differ: no interval")
    reach = float(stats.t.ppf(0.5 + level / 2, m - 1)) * se
    p = NAN if measure == "rate" else float(2 * stats.t.sf(abs(np.log(value)) / se, m - 1))
    return Estimate(
        name=name, value=value, low=float(value * np.exp(-reach)),
        high=float(value * np.exp(reach)), se=se, p=p, n=n, measure=measure, method=method,
    )  # fmt: skip
