"""Do tool and truth say the same of a patient: counts, count bins, lobar, deep or mixed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.core.agreement import BlandAltman, bland_altman, cross_table, kappa
from petechia.evaluate.spots import MICROBLEED, UNKNOWN, Case, Words

COUNT_BINS = ("0", "1-4", ">=5")
CATEGORIES = ("none", "strictly_lobar", "strictly_deep_or_infratentorial", "mixed", "unknown_site")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Table:
    """Truth against tool.

    Attributes
    ----------
    words : tuple of str
        Names of rows and columns.
    counts : (n, n) ndarray of int
        Scans by true (row) and told (column) word.
    right : float
        Part on the diagonal.
    kappa : float
        Cohen's kappa; NaN when chance alone agrees fully (one word everywhere).
    """

    words: tuple[str, ...]
    counts: npt.NDArray[np.int64]
    right: float
    kappa: float


def agreement_table(
    true: Sequence[str], told: Sequence[str], words: Sequence[str], weights: str = "none"
) -> Table:
    """Return the table of two lists of words."""
    counts = cross_table(true, told, words)
    n = int(counts.sum())
    return Table(
        words=tuple(words),
        counts=counts,
        right=float(np.trace(counts)) / n if n else float("nan"),
        kappa=kappa(counts, weights).value,
    )


def count_bin(count: int) -> str:
    """Return '0', '1-4' or '>=5'."""
    return COUNT_BINS[0] if count == 0 else COUNT_BINS[1] if count < 5 else COUNT_BINS[2]


def category_of(compartments: Words) -> str:
    """Return the patient's category from the compartments of counted microbleeds."""
    places = set(compartments.tolist())
    if "lobar" in places and places & {"deep", "infratentorial"}:
        return "mixed"
    if UNKNOWN in places:
        return "unknown_site"
    if not places:
        return "none"
    return "strictly_lobar" if "lobar" in places else "strictly_deep_or_infratentorial"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CountAgreement:
    """Counts of scans, and what a clinician would conclude from them.

    Attributes
    ----------
    true, told : (N,) ndarray of int
        Visible microbleeds, and findings that the tool counts.
    mean_absolute, root_mean_square : float
        Of told minus true.
    difference : BlandAltman
        Of the same.
    bins : Table
        0, 1-4, >=5, with linearly weighted kappa.
    category : Table or None
        None, lobar, deep or infratentorial, mixed; None where the tool names no compartment.
    """

    true: npt.NDArray[np.int64]
    told: npt.NDArray[np.int64]
    mean_absolute: float
    root_mean_square: float
    difference: BlandAltman
    bins: Table
    category: Table | None


def count_agreement(cases: Sequence[Case]) -> CountAgreement:
    """Compare counts scan by scan; the truth counts its visible microbleeds."""
    seen = [(c.truth.kind == MICROBLEED) & c.truth.visible for c in cases]
    true = np.array([int(s.sum()) for s in seen])
    told = np.array([int(c.predicted.counted.sum()) for c in cases])
    apart = (told - true).astype(float)
    return CountAgreement(
        true=true,
        told=told,
        mean_absolute=float(np.abs(apart).mean()),
        root_mean_square=float(np.sqrt((apart**2).mean())),
        difference=bland_altman(true.astype(float), told.astype(float)),
        bins=agreement_table(
            [count_bin(n) for n in true.tolist()],
            [count_bin(n) for n in told.tolist()],
            COUNT_BINS,
            weights="linear",
        ),
        category=_categories(cases),
    )


def _categories(cases: Sequence[Case]) -> Table | None:
    found = [c.predicted.compartment[c.predicted.counted] for c in cases]
    named = [c.truth.compartment[(c.truth.kind == MICROBLEED) & c.truth.visible] for c in cases]
    for places in (found, named):
        told = np.concatenate(places)
        if len(told) and (told == UNKNOWN).all():
            return None
    return agreement_table(
        [category_of(places) for places in named],
        [category_of(places) for places in found],
        CATEGORIES,
    )
