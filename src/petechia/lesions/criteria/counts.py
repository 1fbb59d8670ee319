"""Counts of microbleeds: the patient's category, published bins, the law of the count."""

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np

from petechia.core.counts import CountDoubt, count_distribution
from petechia.errors import ParameterError
from petechia.lesions.criteria.definition import CriteriaParams

FOCAL_SULCI = 3
"""Superficial siderosis in up to so many sulci is focal."""
HIGH_BURDEN_ABOVE = 10
"""More microbleeds than this are called a high burden."""


class Placed(Protocol):
    """What the category asks of a finding."""

    @property
    def counted(self) -> bool:
        """Whether it is a microbleed that counts."""

    @property
    def site(self) -> str:
        """In the contract's words."""

    @property
    def compartment(self) -> str:
        """In the contract's words."""


def patient_category(findings: Iterable[Placed], params: CriteriaParams | None = None) -> str:
    """Return none, strictly_lobar, strictly_deep_or_infratentorial, mixed or unknown_site.

    Only counted findings enter. One in an unknown place leaves the category
    unknown, unless it is mixed without it.
    """
    p = params or CriteriaParams()
    places = [(f.site, f.compartment) for f in findings if f.counted]
    if p.cerebellum == "ignored":
        places = [place for place in places if place[0] != "cerebellum"]
    lobar = any(c == "lobar" for _, c in places)
    deep = any(c in ("deep", "infratentorial") for _, c in places)
    if lobar and deep:
        return "mixed"
    if any(c == "n/a" for _, c in places):
        return "unknown_site"
    if not places:
        return "none"
    return "strictly_lobar" if lobar else "strictly_deep_or_infratentorial"


def count_bin(count: int) -> str:
    """Return "0", "1-4" or ">=5"."""
    if count < 0:
        raise ParameterError(f"count of {count}", where="count_bin", mend="Counts start at 0.")
    return "0" if count == 0 else "1-4" if count < 5 else ">=5"


def count_bins(count: int) -> dict[str, str | bool]:
    """Return the count in each published division, and whether it is a high burden."""
    coarse = count_bin(count)
    return {
        "0, 1-4, >=5": coarse,
        "0, 1, 2-4, >=5": {1: "1"}.get(count, "2-4" if coarse == "1-4" else coarse),
        "high_burden": count > HIGH_BURDEN_ABOVE,
    }


def extent(n_sulci: int) -> str:
    """Return how far superficial siderosis reaches: "none", "focal" or "disseminated".

    References
    ----------
    Linn et al. 2010, 10.1212/WNL.0b013e3181dad605
    """
    return "none" if n_sulci == 0 else "focal" if n_sulci <= FOCAL_SULCI else "disseminated"


def count_interval(
    probabilities: Sequence[float], level: float = 0.95, doubt: CountDoubt | None = None
) -> tuple[int, int]:
    """Return the central interval of the count, given each finding's probability.

    `doubt` is what the findings of a scan have in common: see `core.counts.count_distribution`.
    """
    summed = np.cumsum(count_distribution(probabilities, doubt))
    tail = (1 - level) / 2
    # 1e-12: rounding of the sums must not move a certain count
    low = int(np.searchsorted(summed, tail + 1e-12))
    high = int(np.searchsorted(summed, 1 - tail - 1e-12))
    most = len(summed) - 1
    return min(low, most), min(high, most)
