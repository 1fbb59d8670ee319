"""Gradient-boosted trees as plain arrays: what a training library has grown, without it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from petechia.core.compiled import compiled
from petechia.errors import InputError

Floats = npt.NDArray[np.float64]
ARRAYS = (
    "baseline", "column", "feature", "threshold", "left", "right", "missing_left", "value", "root",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Trees:
    """A forest whose leaves add up to log-odds or scores.

    Attributes
    ----------
    baseline : (K,) ndarray of float64
        Score of each output before the first tree.
    root, column : (T,) ndarray of int32
        Node at which a tree begins; the output that it adds to.
    feature : (M,) ndarray of int16
        Column of the table that a node asks for; -1 in a leaf.
    threshold : (M,) ndarray of float64
        What is at most so large goes left.
    left, right : (M,) ndarray of int32
        Nodes that follow.
    missing_left : (M,) ndarray of bool
        Where NaN goes.
    value : (M,) ndarray of float64
        What a leaf adds.
    """

    baseline: Floats
    root: npt.NDArray[np.int32]
    column: npt.NDArray[np.int32]
    feature: npt.NDArray[np.int16]
    threshold: Floats
    left: npt.NDArray[np.int32]
    right: npt.NDArray[np.int32]
    missing_left: npt.NDArray[np.bool_]
    value: Floats

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]], prefix: str = "") -> Self:
        """Return trees from the arrays that `arrays` gave, with a prefix to their names."""
        missing = [name for name in ARRAYS if f"{prefix}{name}" not in arrays]
        if missing:
            raise InputError(
                f"no {', '.join(prefix + name for name in missing)}",
                where="Trees.from_arrays",
                mend="The model is not one that training/shortlist.py and fit.py have written.",
            )
        return cls(**{name: arrays[f"{prefix}{name}"] for name in ARRAYS})

    def arrays(self, prefix: str = "") -> dict[str, npt.NDArray[Any]]:
        """Return all that it is made of, by name."""
        return {f"{prefix}{name}": getattr(self, name) for name in ARRAYS}

    def scores(self, table: npt.NDArray[np.floating]) -> Floats:
        """Return the sums of leaves, (N, K).

        Parameters
        ----------
        table : (N, F) ndarray of float
            Features in the order of the training; NaN where missing.
        """
        rows = np.ascontiguousarray(table, dtype=np.float64)
        out = np.tile(self.baseline, (len(rows), 1))
        _add(
            rows, self.root, self.column, self.feature, self.threshold, self.left, self.right,
            self.missing_left, self.value, out,
        )  # fmt: skip
        return out

    def reasons(self, row: npt.NDArray[np.floating]) -> tuple[Floats, Floats]:
        """Return what each feature adds to the first output of one row, along its paths.

        The change of the mean value of a subtree at every split is put down to the feature
        asked there: these sum to the score less its mean over the roots.

        Returns
        -------
        share : (F,) ndarray
            What each adds.
        high : (F,) ndarray
            What of it was added where the feature lay above the threshold.
        """
        means = _means(self.left, self.right, self.feature, self.value)
        out, high = np.zeros(len(row)), np.zeros(len(row))
        one = np.asarray(row, dtype=np.float64)
        for root, column in zip(self.root, self.column, strict=True):
            if column:
                continue
            node = int(root)
            while self.feature[node] >= 0:
                x = one[self.feature[node]]
                goes_left = self.missing_left[node] if np.isnan(x) else x <= self.threshold[node]
                nxt = int(self.left[node] if goes_left else self.right[node])
                out[self.feature[node]] += means[nxt] - means[node]
                high[self.feature[node]] += 0.0 if goes_left else means[nxt] - means[node]
                node = nxt
        return out, high


@compiled
def _add(  # type: ignore[no-untyped-def]
    rows, root, column, feature, threshold, left, right, missing_left, value, out
):
    for n in range(len(rows)):
        for t in range(len(root)):
            node = root[t]
            while feature[node] >= 0:
                x = rows[n, feature[node]]
                goes_left = missing_left[node] if np.isnan(x) else x <= threshold[node]
                node = left[node] if goes_left else right[node]
            out[n, column[t]] += value[node]


@compiled
def _means(left, right, feature, value):  # type: ignore[no-untyped-def]
    """Return the mean of the two halves below every node; children come after parents."""
    out = value.copy()
    for node in range(len(value) - 1, -1, -1):
        if feature[node] >= 0:
            out[node] = 0.5 * (out[left[node]] + out[right[node]])
    return out
