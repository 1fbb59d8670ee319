"""Gradient-boosted trees on the table of features."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.lesions.features import Described


@dataclass(frozen=True, slots=True, kw_only=True)
class BoostedParams:
    """No settings: all of it is in the model."""


def boosted(
    told: Described, model: Any, grid: Any = None, params: BoostedParams | None = None
) -> npt.NDArray[np.float64]:
    """Return the log-odds (N, 1) of a microbleed, not yet calibrated.

    Parameters
    ----------
    told : Described
        Features of voids.
    model : Model
        The trained one.

    References
    ----------
    .. [1] Friedman (2001), Ann. Stat. 29, 1189-1232, doi:10.1214/aos/1013203451.
    """
    return np.asarray(model.grown(told.table)[:, None], dtype=np.float64)
