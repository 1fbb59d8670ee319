"""Where they lie: lobar, deep or both; per region and volume; what goes with which pattern."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy.typing as npt

from petechia.cohort.design_matrix import Design
from petechia.cohort.estimates import Columns, Estimate, Fit

PATTERNS = ("none", "lobar_only", "deep_only", "mixed")
"""'deep_only' is deep or infratentorial."""


def pattern_of(
    lobar: npt.ArrayLike, deep: npt.ArrayLike, infratentorial: npt.ArrayLike
) -> tuple[str, ...]:
    """Return each scan's pattern from its counts; '' where a count is not known."""
    raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionRate:
    """Microbleeds of one region: count, share of all, rate per scan and per litre."""

    region: str
    count: int
    scans: int
    share: float
    per_scan: Estimate
    per_litre: Estimate


def region_rates(
    counts: Columns,
    regions: Sequence[str],
    volume_ml: Mapping[str, npt.ArrayLike] | None = None,
    level: float = 0.95,
) -> tuple[RegionRate, ...]:
    """Return rates of each region; a scan in which a region was not assessable (NaN) is left out.

    Intervals are of the mean over scans (robust: the lesions of a person come together).
    `volume_ml` has the volume of each region in each scan; NaN rates without it.
    """
    raise NotImplementedError


def pattern_regression(design: Design, words: Sequence[str] = PATTERNS, level: float = 0.95) -> Fit:
    """Return multinomial odds ratios of each pattern against the first; part = the pattern.

    `design.y` holds the place of the pattern in `words`.
    """
    raise NotImplementedError
