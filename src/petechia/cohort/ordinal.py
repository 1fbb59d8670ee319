"""Proportional odds for ordered categories (count bins, grades), with a check of the assumption."""

from collections.abc import Sequence

from petechia.cohort.design_matrix import Design
from petechia.cohort.estimates import Fit


def proportional_odds(
    design: Design, words: Sequence[str] | None = None, level: float = 0.95
) -> Fit:
    """Return odds ratios of a higher category; y holds 0, 1, 2, ... in order.

    `statistics` has 'p_proportional' (Brant) and a note says when the assumption is doubtful.
    """
    raise NotImplementedError
