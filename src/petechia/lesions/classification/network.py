"""A small 3-D network on cubes of several images."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.lesions.features import Described


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkParams:
    """No settings: all of it is in the model."""


def network(
    told: Described, model: Any, grid: Any = None, params: NetworkParams | None = None
) -> npt.NDArray[np.float64]:
    """Return the log-odds (N, 1) of a microbleed, not yet calibrated.

    Parameters
    ----------
    told : Described
        Cubes around voids.
    model : Model
        The trained one.

    References
    ----------
    .. [1] Dou et al. (2016), IEEE Trans. Med. Imaging 35, 1182-1195,
       doi:10.1109/TMI.2016.2528129 (a 3-D network that tells candidates).
    """
    return np.asarray(model.seen(told.cubes)[:, None], dtype=np.float64)
