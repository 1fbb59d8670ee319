"""The orders of dark spots that `shortlist.py` has grown in a work folder."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.core.grid import Grid
from petechia.lesions.slices import is_thick
from petechia.lesions.trees import Trees

FILE = "orders.npz"
NAMES = ("order_", "order_thick_")
"""Prefixes of the arrays of thin slices and of thick ones."""
OrderOf = Callable[[Grid], Trees]


def read_orders(work: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of both orders."""
    path = work / FILE
    if not path.exists():
        raise SystemExit(f"{path}: no orders of dark spots. Run training/shortlist.py first.")
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def order_of(arrays: Mapping[str, npt.NDArray[Any]]) -> OrderOf:
    """Return what gives the order for the slices of a grid."""
    trees = [Trees.from_arrays(arrays, name) for name in NAMES]
    return lambda grid: trees[int(is_thick(grid.spacing_mm.max()))]
