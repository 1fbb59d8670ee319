"""A kept scan of `heads.py`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.core.grid import Grid
from petechia.lesions.slices import is_thick


@dataclass(frozen=True, eq=False)
class Kept:
    """A scan of `heads.py`."""

    facts: dict[str, Any]
    arrays: dict[str, npt.NDArray[Any]]
    grid: Grid

    @property
    def thick(self) -> bool:
        """Whether its slices are thick."""
        return bool(is_thick(self.grid.spacing_mm.max()))


def read_kept(path: Path) -> Kept:
    """Read a scan."""
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files if name != "facts"}
        facts = json.loads(str(stored["facts"]))
    shape = arrays["brain_mask"].shape
    return Kept(facts, arrays, Grid(shape, np.asarray(facts["affine"])))
