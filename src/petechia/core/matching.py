"""Which predicted spot is which true one: the rules that the literature counts by."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from petechia.errors import InputError

Points = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Matches:
    """Who met whom.

    Attributes
    ----------
    hit : (T,) ndarray of bool
        True spots that were found.
    good : (P,) ndarray of bool
        Predictions that meet a true spot; the others are false positives.
    pairs : (M, 2) ndarray of int
        (true, predicted) rows that belong together; a spot may occur in several pairs
        unless the rule is one to one.
    """

    hit: npt.NDArray[np.bool_]
    good: npt.NDArray[np.bool_]
    pairs: npt.NDArray[np.int64]


def _matches(n_true: int, n_predicted: int, pairs: npt.NDArray[np.int64]) -> Matches:
    hit, good = np.zeros(n_true, dtype=bool), np.zeros(n_predicted, dtype=bool)
    hit[pairs[:, 0]] = True
    good[pairs[:, 1]] = True
    return Matches(hit=hit, good=good, pairs=pairs)


def distances_mm(true_mm: Points, predicted_mm: Points) -> npt.NDArray[np.float64]:
    """Return the (T, P) distances between two lists of places [mm]."""
    for name, points in (("true_mm", true_mm), ("predicted_mm", predicted_mm)):
        if points.ndim != 2 or points.shape[1] != 3:
            raise InputError(
                f"shape {points.shape} is not (n, 3)",
                where=name,
                mend="Give one row of x, y, z per spot; an empty list has shape (0, 3).",
            )
        if not np.isfinite(points).all():
            raise InputError(
                "a place is not finite", where=name, mend="Leave out rows without coordinates."
            )
    apart: npt.NDArray[np.float64] = np.linalg.norm(
        true_mm[:, None, :] - predicted_mm[None, :, :], axis=2
    )
    return apart


def within(true_mm: Points, predicted_mm: Points, radius_mm: float) -> Matches:
    """Match every pair of places at most `radius_mm` apart; one may serve several.

    Parameters
    ----------
    true_mm : (T, 3) ndarray of float
        True places, scanner RAS [mm].
    predicted_mm : (P, 3) ndarray of float
        Predicted places [mm].
    radius_mm : float
        The largest distance that counts as found; 5 is usual.
    """
    near = distances_mm(true_mm, predicted_mm) <= radius_mm
    return _matches(len(true_mm), len(predicted_mm), np.argwhere(near))


def one_to_one(
    true_mm: Points, predicted_mm: Points, radius_mm: float | npt.NDArray[np.floating]
) -> Matches:
    """Match places one to one: most pairs first, then least total distance.

    Parameters
    ----------
    true_mm, predicted_mm : (T, 3), (P, 3) ndarray of float
        Places [mm].
    radius_mm : float or (T, P) ndarray of float
        The largest distance of a pair; one for all, or one for each [mm].

    Raises
    ------
    InputError
        If a list is not (n, 3) or has places that are not finite.

    References
    ----------
    .. [1] Crouse (2016), IEEE Trans. Aerosp. Electron. Syst. 52, 1679-1696,
       doi:10.1109/TAES.2016.140952 (the assignment algorithm).
    """
    apart = distances_mm(true_mm, predicted_mm)
    # a forbidden pair costs more than every allowed pair together
    widest = float(np.max(radius_mm)) if apart.size else 0.0
    forbidden = widest * (min(apart.shape) + 1) + 1.0
    cost = np.where(apart <= radius_mm, apart, forbidden)
    rows, columns = linear_sum_assignment(cost)
    allowed = (apart <= radius_mm)[rows, columns]
    pairs = np.stack([rows[allowed], columns[allowed]], axis=1)
    return _matches(len(true_mm), len(predicted_mm), pairs.astype(np.int64))


def touching(
    true_labels: npt.NDArray[np.integer], predicted_labels: npt.NDArray[np.integer]
) -> Matches:
    """Match labels that share at least one voxel.

    Parameters
    ----------
    true_labels, predicted_labels : (I, J, K) ndarray of int
        Consecutive labels 1..T and 1..P, 0 elsewhere (e.g. `core.morphology.label_26`).
    """
    if true_labels.shape != predicted_labels.shape:
        raise InputError(
            f"shapes {true_labels.shape} and {predicted_labels.shape} differ",
            where="touching",
            mend="Resample the prediction onto the truth's grid.",
        )
    both = (true_labels > 0) & (predicted_labels > 0)
    pairs = np.unique(
        np.stack([true_labels[both], predicted_labels[both]], axis=1).astype(np.int64), axis=0
    )
    return _matches(int(true_labels.max()), int(predicted_labels.max()), pairs - 1)
