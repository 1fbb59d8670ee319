"""The orders of dark spots that `shortlist.py` has grown in a work folder."""

import json
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


def write_orders(
    work: Path, arrays: Mapping[str, npt.NDArray[Any]], facts: Mapping[str, Any]
) -> None:
    """Keep the arrays of both orders, and what is told of them."""
    np.savez_compressed(work / FILE, facts=np.array(json.dumps(facts)), **arrays)


def read_orders(work: Path) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """Return the arrays of both orders, and what is told of them."""
    path = work / FILE
    if not path.exists():
        raise SystemExit(f"{path}: no orders of dark spots. Run training/shortlist.py first.")
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files if name != "facts"}
        return arrays, json.loads(str(stored["facts"]))


def order_of(work: Path) -> OrderOf:
    """Return what gives the order for the slices of a grid."""
    arrays, _ = read_orders(work)
    trees = [Trees.from_arrays(arrays, name) for name in NAMES]
    return lambda grid: trees[int(is_thick(grid.spacing_mm.max()))]
