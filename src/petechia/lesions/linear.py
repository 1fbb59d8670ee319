"""A weighted sum of features, each over its own spread, as plain arrays."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
REACH = 3.0
"""No feature speaks louder than at so many of its spreads: no scan is like all others."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Linear:
    """Log-odds as a weighted sum of features, one sum for each kind of scan.

    Attributes
    ----------
    middle, spread : (M, F) ndarray
        Of each feature, where the sum of each kind was fitted.
    weight : (M, F) ndarray
        What a feature adds to the log-odds for each of its spreads.
    """

    middle: Floats
    spread: Floats
    weight: Floats

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]], prefix: str) -> Self:
        """Return it from arrays whose names begin with `prefix`."""
        return cls(**{
            name: np.asarray(arrays[f"{prefix}{name}"], dtype=np.float64)
            for name in ("middle", "spread", "weight")
        })  # fmt: skip

    def arrays(self, prefix: str) -> dict[str, Floats]:
        """Return its arrays, their names with `prefix`."""
        return {f"{prefix}{name}": getattr(self, name) for name in self.__slots__}

    def standard(self, table: npt.NDArray[np.floating], kinds: npt.NDArray[np.int64]) -> Floats:
        """Return how many spreads each feature lies off its middle; what is missing says nothing.

        Parameters
        ----------
        table : (N, F) ndarray
            Features.
        kinds : (N,) ndarray of int
            Which sum each row is told by.
        """
        off = (np.asarray(table, dtype=np.float64) - self.middle[kinds]) / self.spread[kinds]
        return np.nan_to_num(np.clip(off, -REACH, REACH))

    def scores(self, table: npt.NDArray[np.floating], kinds: npt.NDArray[np.int64]) -> Floats:
        """Return the log-odds (N,) of rows of features (N, F), each by the sum of its kind."""
        return np.asarray((self.standard(table, kinds) * self.weight[kinds]).sum(axis=1))
