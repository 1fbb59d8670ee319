"""Many tests at once: Benjamini-Hochberg's false discovery rate, Holm's familywise error."""

import numpy.typing as npt

from petechia.cohort.estimates import Floats

METHODS = ("fdr", "holm")


def adjusted_p(p: npt.ArrayLike, method: str = "fdr") -> Floats:
    """Return adjusted p-values; NaN stay NaN and are not counted among the tests."""
    raise NotImplementedError
