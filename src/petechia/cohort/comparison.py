"""Two sequences or two readers of the same people: subjects, counts, lesions, looks."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.cohort.before_after import McNemar
from petechia.cohort.estimates import Estimate
from petechia.core.agreement import BlandAltman, Index


@dataclass(frozen=True, slots=True, kw_only=True)
class ProportionalBias:
    """Slope of the differences over the means on the scale of Bland-Altman, and its limits."""

    slope: Estimate
    intercept: float
    residual_sd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CountComparison:
    """Counts of the same scans by two ways.

    Attributes
    ----------
    totals : tuple of int
    ratio : Estimate
        Second total over first (robust, over people).
    presence : McNemar
        Of any at all.
    limits : BlandAltman
        On `scale` ('root' or 'log_ratio').
    proportional : ProportionalBias
    icc_absolute, icc_consistency, kappa_presence : Index
    p_signed_rank : float
    """

    names: tuple[str, str]
    pairs: int
    left_out: int
    totals: tuple[int, int]
    ratio: Estimate
    presence: McNemar
    limits: BlandAltman
    proportional: ProportionalBias
    icc_absolute: Index
    icc_consistency: Index
    kappa_presence: Index
    p_signed_rank: float


def compare_counts(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    names: tuple[str, str] = ("first", "second"),
    scale: str = "log_ratio",
    level: float = 0.95,
) -> CountComparison:
    """Return how counts of the same scans by two sequences or readers differ."""
    raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionComparison:
    """Lesions that both ways show, and that one alone does; clustered by person."""

    both: int
    only_first: int
    only_second: int
    f1: Index
    gain: Estimate
    """Second's lesions over first's, bootstrap over people."""
    p_clustered: float
    """McNemar's with clusters (Obuchowski)."""


def compare_lesions(
    both: npt.ArrayLike,
    only_first: npt.ArrayLike,
    only_second: npt.ArrayLike,
    rng: np.random.Generator,
    person: Sequence[Hashable] | None = None,
    level: float = 0.95,
) -> LesionComparison:
    """Return lesion-level agreement from each scan's matched and unmatched lesions."""
    raise NotImplementedError


def paired_frequency(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    person: Sequence[Hashable] | None = None,
    level: float = 0.95,
) -> Estimate:
    """Return how often a look (conspicuous, homogeneous) is found: first over second.

    The frequency ratio of Lee 2022: of the same lesions, the share that is rated so in one
    sequence over that in the other; it is no ratio of intensities. Robust over people.
    """
    raise NotImplementedError


def homogeneity(values: npt.ArrayLike) -> float:
    """Return 1 - SD / |mean| of a lesion's voxels; NaN with fewer than two or a mean of 0."""
    raise NotImplementedError
