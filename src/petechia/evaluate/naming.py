"""Is it called by its name: classes against true classes, blood against calcium."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.core.matching import one_to_one
from petechia.evaluate.spots import Case

NOT_FOUND = "not found"
NO_LESION = "no true lesion"
BLOOD = ("microbleed", "macrobleed")
CALCIUM = ("calcification",)
SURE = 5.0
"""Moment over its standard error from which a sign is called sure."""

Pairs = npt.NDArray[np.int64]


def pairs_of_any_class(case: Case) -> Pairs:
    """Return (lesion, finding) rows matched one to one whatever their class, visible ones only."""
    rows = np.flatnonzero(case.truth.visible)
    met = one_to_one(case.truth.place_mm[rows], case.predicted.place_mm, case.radius_mm)
    return np.stack([rows[met.pairs[:, 0]], met.pairs[:, 1]], axis=1).astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Confusion:
    """True classes (rows) against the tool's (columns).

    Attributes
    ----------
    rows, columns : tuple of str
        The last row is `NO_LESION`: findings where the truth has nothing (a truth that does
        not list veins has every vein there). The last column is `NOT_FOUND`.
    counts : (R, C) ndarray of int
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    counts: npt.NDArray[np.int64]


def confusion(cases: Sequence[Case]) -> Confusion:
    """Return the class confusion matrix over all findings and all visible true lesions."""
    true = dict.fromkeys(w for c in cases for w in sorted(set(c.truth.kind.tolist())))
    told = dict.fromkeys(w for c in cases for w in sorted(set(c.predicted.kind.tolist())))
    rows, columns = (*true, NO_LESION), (*dict.fromkeys([*true, *told]), NOT_FOUND)
    counts = np.zeros((len(rows), len(columns)), dtype=np.int64)
    for case in cases:
        pairs = pairs_of_any_class(case)
        met = dict(pairs.tolist())
        for n in np.flatnonzero(case.truth.visible).tolist():
            name = case.predicted.kind[met[n]] if n in met else NOT_FOUND
            counts[rows.index(case.truth.kind[n]), columns.index(name)] += 1
        alone = np.setdiff1d(np.arange(len(case.predicted)), pairs[:, 1])
        for n in alone.tolist():
            counts[-1, columns.index(case.predicted.kind[n])] += 1
    return Confusion(rows=rows, columns=columns, counts=counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignScore:
    """Blood against calcium over matched findings.

    Attributes
    ----------
    right, wrong, unclear, not_assessed : int
        Signs that agree, disagree, are left open, or could not be had (no phase).
    accuracy : float
        right / (right + wrong); NaN when none was decided.
    unclear_rate : float
        unclear / (right + wrong + unclear); NaN when none was assessed.
    """

    right: int
    wrong: int
    unclear: int
    not_assessed: int
    accuracy: float
    unclear_rate: float


def blood_or_calcium(cases: Sequence[Case], *, least_ratio: float = 0.0) -> SignScore:
    """Score the sign of findings on true bleeds and calcifications.

    Parameters
    ----------
    cases : sequence of Case
        Truth must name classes.
    least_ratio : float
        Only findings whose moment is at least so many standard errors; 0 takes all, also
        those without a moment.
    """
    tally = dict.fromkeys(("right", "wrong", "unclear", "not_assessed"), 0)
    for case in cases:
        found = case.predicted
        size = np.abs(found.moment)
        ratio = np.divide(
            size, found.moment_se, out=np.full(len(size), np.nan), where=found.moment_se > 0
        )
        for n, p in pairs_of_any_class(case).tolist():
            kind = str(case.truth.kind[n])
            if kind not in BLOOD + CALCIUM or (least_ratio > 0 and not ratio[p] >= least_ratio):
                continue
            tally[_judged(kind, str(found.sign[p]))] += 1
    decided = tally["right"] + tally["wrong"]
    assessed = decided + tally["unclear"]
    nan = float("nan")
    return SignScore(
        **tally,
        accuracy=tally["right"] / decided if decided else nan,
        unclear_rate=tally["unclear"] / assessed if assessed else nan,
    )


def _judged(kind: str, sign: str) -> str:
    if sign not in ("paramagnetic", "diamagnetic"):
        return "unclear" if sign == "unclear" else "not_assessed"
    return "right" if (sign == "paramagnetic") == (kind in BLOOD) else "wrong"
