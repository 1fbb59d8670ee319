"""Trees and network, and a sum of features beside them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.lesions.classification.combined import combined
from petechia.lesions.features import Described


@dataclass(frozen=True, slots=True, kw_only=True)
class RefinedParams:
    """No settings: how they are joined is in the model."""


def refined(
    told: Described, model: Any, grid: Any = None, params: RefinedParams | None = None
) -> npt.NDArray[np.float64]:
    """Return the log-odds (N, 3) of trees, of the network, and of a sum of features.

    The sum is fitted to what trees and network said of people they were not trained on, for each
    kind of scan by itself.

    Parameters
    ----------
    told : Described
        Features and cubes of voids.
    model : Model
        The trained one.
    """
    added = model.added(told.table)[:, None]
    return np.concatenate([combined(told, model), added], axis=1)
