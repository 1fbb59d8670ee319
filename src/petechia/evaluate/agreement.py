"""Do tool and truth say the same of a patient: counts, count bins, lobar, deep or mixed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.errors import ParameterError
from petechia.evaluate.spots import MICROBLEED, UNKNOWN, Case, Floats, Words

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


@dataclass(frozen=True, slots=True, kw_only=True)
class BlandAltman:
    """Agreement of two ways to measure: told minus true.

    Attributes
    ----------
    bias, sd : float
        Mean and standard deviation (n - 1) of the differences.
    low, high : float
        Limits of agreement: bias -/+ 1.96 sd.
    n : int
        Pairs.

    References
    ----------
    .. [1] Bland & Altman (1986), Lancet 327, 307-310, doi:10.1016/S0140-6736(86)90837-8.
    """

    bias: float
    sd: float
    low: float
    high: float
    n: int


def bland_altman(true: Floats, told: Floats) -> BlandAltman:
    """Return bias and limits of agreement of the pairs where both are known."""
    apart = (np.asarray(told, float) - np.asarray(true, float)).ravel()
    apart = apart[np.isfinite(apart)]
    if not len(apart):
        nan = float("nan")
        return BlandAltman(bias=nan, sd=nan, low=nan, high=nan, n=0)
    bias = float(apart.mean())
    sd = float(apart.std(ddof=1)) if len(apart) > 1 else float("nan")
    return BlandAltman(bias=bias, sd=sd, low=bias - 1.96 * sd, high=bias + 1.96 * sd, n=len(apart))


def kappa(counts: npt.ArrayLike, weights: str = "none") -> float:
    """Return Cohen's kappa of a square table.

    Parameters
    ----------
    counts : (n, n) array of int
        Cases by first (row) and second (column) rating.
    weights : str
        'none', or 'linear' for ordered words: disagreement grows with the steps between.

    References
    ----------
    .. [1] Cohen (1960), Educ. Psychol. Meas. 20, 37-46, doi:10.1177/001316446002000104.
    """
    table = np.asarray(counts, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] != table.shape[1] or (table < 0).any():
        raise ParameterError(
            f"counts of shape {table.shape}",
            where="kappa",
            mend="Give a square table of counts from 0.",
        )
    if weights not in ("none", "linear"):
        raise ParameterError(
            f"weights {weights!r}", where="kappa", mend="Choose 'none' or 'linear'."
        )
    n = table.sum()
    if n == 0:
        return float("nan")
    steps = np.abs(np.subtract.outer(np.arange(len(table)), np.arange(len(table)))).astype(float)
    penalty = steps if weights == "linear" else (steps > 0).astype(float)
    by_chance = np.outer(table.sum(axis=1), table.sum(axis=0)) / n
    expected = float((penalty * by_chance).sum())
    return 1.0 - float((penalty * table).sum()) / expected if expected > 0 else float("nan")


def agreement_table(
    true: Sequence[str], told: Sequence[str], words: Sequence[str], weights: str = "none"
) -> Table:
    """Return the table of two lists of words."""
    at = {word: n for n, word in enumerate(words)}
    counts = np.zeros((len(words), len(words)), dtype=np.int64)
    for one, other in zip(true, told, strict=True):
        counts[at[one], at[other]] += 1
    n = int(counts.sum())
    return Table(
        words=tuple(words),
        counts=counts,
        right=float(np.trace(counts)) / n if n else float("nan"),
        kappa=kappa(counts, weights),
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
