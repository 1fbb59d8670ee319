"""Trees and network together."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.lesions.classification.boosted import boosted
from petechia.lesions.classification.network import network
from petechia.lesions.features import Described


@dataclass(frozen=True, slots=True, kw_only=True)
class CombinedParams:
    """No settings: how they are joined is in the model."""


def combined(
    told: Described, model: Any, grid: Any = None, params: CombinedParams | None = None
) -> npt.NDArray[np.float64]:
    """Return the log-odds (N, 2) of trees and network.

    Parameters
    ----------
    told : Described
        Features and cubes of voids.
    model : Model
        The trained one.
    """
    return np.concatenate([boosted(told, model), network(told, model)], axis=1)
