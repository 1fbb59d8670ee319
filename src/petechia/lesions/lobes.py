"""Sources that are no point: one void, two lobes."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from petechia.core.grid import Grid
from petechia.lesions.void import Void

Floats = npt.NDArray[np.float64]
Voxels = npt.NDArray[np.int64]
GAIN = 0.02
"""Two lobes are believed when they explain so much more of the field than one point does.

Of one simulated person under two protocols (30 microbleeds, 1 mm and 0.8 x 0.8 x 1.6 mm) what is
one sphere lost by it, 0.00 to 0.17; what has two lobes gained 0.03 to 0.31."""
LEAST_LOSS = 0.02
ROUNDS = 20


def lobes(
    void: Void, signal: npt.NDArray[np.floating], grid: Grid
) -> Iterator[tuple[Voxels, Floats, Floats]]:
    """Yield a void's voxels, where two lobes in them may lie, and their shares of its moment.

    The lost signal is parted in two by its distance from two centres, from both sides of its
    longest axis on. Once with the tail, which may be a lobe behind a waist, once without.

    Parameters
    ----------
    void : Void
        Of two voxels or more; of a smaller one nothing is said.
    signal : (I, J, K) ndarray of float
        Magnitude relative to its surroundings.
    grid : Grid
        Geometry.

    Yields
    ------
    voxels : (N, 3) ndarray of int
        The void's body, then body and tail.
    places_vox : (2, 3) ndarray of float
        Centres [voxel indices].
    share : (2,) ndarray of float
        They sum to 1.
    """
    regions = [void.body, np.concatenate([void.body, void.tail])]
    for voxels in regions[: 1 + (len(void.tail) > 0)]:
        loss = np.maximum(1 - signal[tuple(voxels.T)].astype(np.float64), LEAST_LOSS)
        first = _parted(voxels * grid.spacing_mm, loss)
        if first is not None:
            sides = np.stack([first, ~first])
            share = sides @ loss
            centres = (sides * loss) @ voxels / share[:, None]
            yield voxels, centres, share / share.sum()


def _parted(places_mm: npt.NDArray[np.float64], weight: Floats) -> npt.NDArray[np.bool_] | None:
    """Return which places are the first of two groups (two means); None when there is one."""
    away = places_mm - np.average(places_mm, axis=0, weights=weight)
    axis = np.linalg.eigh((away * weight[:, None]).T @ away)[1][:, -1]
    first = away @ axis > 0
    for _ in range(ROUNDS):
        if first.all() or not first.any():
            return None
        centres = [np.average(away[side], axis=0, weights=weight[side]) for side in (first, ~first)]
        one, other = (((away - c) ** 2).sum(axis=1) for c in centres)
        before, first = first, one < other
        if (first == before).all():
            break
    return None if first.all() or not first.any() else first
