"""The orders of dark spots that `shortlist.py` has grown in a work folder."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from petechia.core.grid import Grid
from petechia.lesions.slices import is_thick
from petechia.lesions.trees import Trees

FILE = "orders.npz"
NAMES = ("order_", "order_thick_")
"""Prefixes of the arrays of thin slices and of thick ones."""


@dataclass(frozen=True, eq=False)
class Orders:
    """The orders for thin slices and for thick ones.

    Attributes
    ----------
    grown : dict of str to Trees
        Grown on everybody, by `NAMES`: what is shipped.
    by_others : dict of str to list of Trees
        Grown without the people of each fold.
    fold : dict of str to dict
        Fold of each person.
    facts : dict
        By thin and thick: on what they were grown, and what they keep.
    digest : str
        What names these orders.
    """

    grown: dict[str, Trees]
    by_others: dict[str, list[Trees]]
    fold: dict[str, dict[str, int]]
    facts: dict[str, Any]
    digest: str = ""

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the arrays of what is shipped."""
        return {k: v for name, trees in self.grown.items() for k, v in trees.arrays(name).items()}

    def of(self, grid: Grid, person: str) -> Trees:
        """Return the order for a person's slices, grown on others: on everybody for a stranger."""
        name = NAMES[int(is_thick(grid.spacing_mm.max()))]
        fold = self.fold[name].get(person)
        return self.grown[name] if fold is None else self.by_others[name][fold]

    def require(self, looks: Iterable[Mapping[str, Any]]) -> None:
        """Refuse looks that were made by other orders."""
        other = [look["scan"] for look in looks if look.get("orders") != self.digest]
        if other:
            raise SystemExit(
                f"{len(other)} looks ({other[0]}, ...) were made by other orders of dark spots "
                f"than {FILE}. Delete them and make them again (training/examples.py, cases.py)."
            )

    def write(self, work: Path) -> None:
        """Keep them in a work folder."""
        arrays = self.arrays()
        for name, trees in self.by_others.items():
            for k, one in enumerate(trees):
                arrays |= one.arrays(f"fold_{k}_{name}")
        told = json.dumps({"fold": self.fold, "facts": self.facts})
        np.savez_compressed(work / FILE, told=np.array(told), **arrays)

    @classmethod
    def read(cls, work: Path) -> Self:
        """Return those of a work folder."""
        path = work / FILE
        if not path.exists():
            raise SystemExit(f"{path}: no orders of dark spots. Run training/shortlist.py first.")
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        told = json.loads(str(arrays.pop("told")))
        return cls(
            grown={name: Trees.from_arrays(arrays, name) for name in NAMES},
            by_others={
                name: [
                    Trees.from_arrays(arrays, f"fold_{k}_{name}")
                    for k in range(max(told["fold"][name].values()) + 1)
                ]
                for name in NAMES
            },
            fold=told["fold"],
            facts=told["facts"],
            digest=hashlib.sha256(path.read_bytes()).hexdigest()[:16],
        )
