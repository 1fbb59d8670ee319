"""How many have it, of those in whom it could be seen: Wilson's and the exact interval."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import stats

from petechia.cohort.estimates import NAN, Estimate, Floats
from petechia.core.intervals import clopper_pearson, wilson
from petechia.errors import ParameterError

AGE_BANDS = (0.0, 45.0, 55.0, 65.0, 75.0, 85.0)
"""Lower ends of bands of age [years]; the last one is open."""
FEW = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Prevalence:
    """A share with both intervals and its denominator explained.

    Attributes
    ----------
    name : str
        Group or band.
    cases, assessable, not_assessable : int
        With the finding; in whom it could be seen (the denominator); left out.
    share : float
        cases / assessable; NaN where nobody was assessable.
    wilson, exact : tuple of float
        Low and high.
    few : bool
        Fewer than ten people: show the counts, not the percentage alone.
    """

    name: str
    cases: int
    assessable: int
    not_assessable: int
    share: float
    wilson: tuple[float, float]
    exact: tuple[float, float]
    few: bool = False


def prevalence(
    present: npt.ArrayLike,
    assessable: npt.ArrayLike | None = None,
    name: str = "all",
    level: float = 0.95,
) -> Prevalence:
    """Return the share of people with a finding.

    Parameters
    ----------
    present : (N,) array of bool or float
        Whether each has it; NaN: not known (not assessable).
    assessable : (N,) array of bool, optional
        Whether it could have been seen; all where not given.
    name : str
        Of the row.
    level : float
        Of the intervals.
    """
    has = np.asarray(present, dtype=np.float64)
    seen = _seen(has, assessable)
    cases, total = int((has[seen] > 0).sum()), int(seen.sum())
    return Prevalence(
        name=name, cases=cases, assessable=total, not_assessable=int(len(has) - total),
        share=cases / total if total else NAN, wilson=wilson(cases, total, level),
        exact=clopper_pearson(cases, total, level), few=total < FEW,
    )  # fmt: skip


def _seen(has: Floats, assessable: npt.ArrayLike | None) -> npt.NDArray[np.bool_]:
    seen: npt.NDArray[np.bool_] = np.isfinite(has)
    if assessable is None:
        return seen
    could = np.asarray(assessable, dtype=bool)
    if could.shape != has.shape:
        raise ParameterError(
            f"{has.shape} findings, {could.shape} assessable", where="prevalence",
            mend="Give one value for each person.",
        )  # fmt: skip
    both: npt.NDArray[np.bool_] = seen & could
    return both


def prevalence_by(
    present: npt.ArrayLike,
    group: Sequence[object],
    assessable: npt.ArrayLike | None = None,
    level: float = 0.95,
) -> tuple[Prevalence, ...]:
    """Return a row for each group, sorted by name; people of no known group form 'unknown'."""
    has = np.asarray(present, dtype=np.float64)
    names = np.array([_name(item) for item in group], dtype=object)
    _same_length(has, names)
    seen = _seen(has, assessable)
    order = sorted(set(names.tolist()), key=lambda name: (name == "unknown", name))
    return tuple(prevalence(has[names == n], seen[names == n], n, level) for n in order)


def _same_length(has: Floats, other: npt.NDArray[np.generic]) -> None:
    if len(has) != len(other):
        raise ParameterError(
            f"{len(has)} findings, {len(other)} groups or ages", where="prevalence",
            mend="Give one value for each person.",
        )  # fmt: skip


def _name(item: object) -> str:
    if item is None or type(item).__name__ == "NAType" or item != item:
        return "unknown"
    if isinstance(item, float) and item.is_integer():
        return str(int(item))
    return "unknown" if str(item).strip().lower() in ("", "n/a") else str(item)


def prevalence_by_age(
    present: npt.ArrayLike,
    age_years: npt.ArrayLike,
    assessable: npt.ArrayLike | None = None,
    bands: Sequence[float] = AGE_BANDS,
    level: float = 0.95,
) -> tuple[Prevalence, ...]:
    """Return a row for each band of age that anybody is in ('55-64', '85+', 'unknown')."""
    edges = list(bands)
    if not edges or sorted(set(edges)) != edges:
        raise ParameterError(
            f"bands {edges}", where="prevalence_by_age", mend="Give rising lower ends."
        )
    has, age = np.asarray(present, dtype=np.float64), np.asarray(age_years, dtype=np.float64)
    _same_length(has, age)
    seen = _seen(has, assessable)
    rows = []
    for n, low in enumerate(edges):
        last = n + 1 == len(edges)
        inside = age >= low if last else (age >= low) & (age < edges[n + 1])
        if inside.any():
            name = f"{low:g}+" if last else f"{low:g}-{edges[n + 1] - 1:g}"
            rows.append(prevalence(has[inside], seen[inside], name, level))
    odd = ~(age >= edges[0])
    if odd.any():
        rows.append(prevalence(has[odd], seen[odd], "unknown", level))
    return tuple(rows)


def age_standardised(
    rows: Sequence[Prevalence], weights: npt.ArrayLike, level: float = 0.95
) -> Estimate:
    """Return the prevalence at a standard population's ages (direct standardisation).

    Parameters
    ----------
    rows : sequence of Prevalence
        One for each band.
    weights : (K,) array of float
        People of the standard population in each band.

    Notes
    -----
    The interval is normal on the logit. NaN where a band that has weight has nobody assessable.
    """
    w = np.asarray(weights, dtype=np.float64)
    if len(w) != len(rows) or (w < 0).any() or not w.sum():
        raise ParameterError(
            f"{len(w)} weights for {len(rows)} bands", where="age_standardised",
            mend="Give a weight of 0 or more for each.",
        )  # fmt: skip
    w = w / w.sum()
    n = np.array([row.assessable for row in rows], dtype=np.float64)
    about = Estimate(measure="proportion", n=int(n.sum()), method="direct, normal on the logit")
    if ((n == 0) & (w > 0)).any():
        return replace(about, why="a band of the standard population has nobody assessable")
    share = np.array([row.share if row.assessable else 0.0 for row in rows])
    value = float((w * share).sum())
    # Agresti-Coull's share, so that bands without a case do not pretend to be sure
    held = (share * n + 2) / (n + 4)
    se = float(np.sqrt((w**2 * held * (1 - held) / (n + 4)).sum()))
    if not 0 < value < 1:
        return replace(about, value=value, se=se, why="no case, or only cases: no interval")
    reach = float(stats.norm.ppf(0.5 + level / 2)) * se / (value * (1 - value))
    centre = np.log(value / (1 - value))
    low, high = (float(1 / (1 + np.exp(-(centre + r)))) for r in (-reach, reach))
    return replace(about, value=value, low=low, high=high, se=se)
