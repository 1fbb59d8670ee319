"""Which voids are pieces of one lesion.

A strong or bilobed source does not always make one convex void, and the watershed may cut it.
Two lesions side by side make two voids that touch, too. A reader takes them for two where there
is a waist between them.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from petechia.core.grid import Grid
from petechia.lesions.criteria import LARGEST_MM
from petechia.lesions.shape import in_plane_diameter, sphericity

Body = npt.NDArray[np.int64]
STEPS = np.argwhere(np.ones((3, 3, 3))) - 1
LINES = STEPS[len(STEPS) // 2 + 1 :].astype(np.float64)
"""Half of the directions to a voxel's neighbours."""
ROUND_TOGETHER = 0.7
"""Pieces of one void: their union is at least so compact. Two touching balls of one size: 0.6."""
WAIST = 0.4
"""Or the face they share has at least so much of the cross-section of the smaller, taken for a
ball: a waist of less than 0.63 of its diameter parts two."""


def wholes_of(
    bodies: Sequence[Body], grid: Grid, n_likely: int | None = None, largest: float = np.inf
) -> list[list[int]]:
    """Return the numbers of the voids of each lesion, that of the first void first.

    Voids that touch are one lesion when they are round together or have no waist between them,
    and are not too wide for a microbleed. What was put together is asked again with the next.

    Parameters
    ----------
    bodies : sequence of (N, 3) ndarray of int
        Voxels of voids, disjoint: likely microbleeds, the likeliest first, then what may be a
        piece of one.
    grid : Grid
        Geometry.
    n_likely : int, optional
        How many are likely; all of them when None. The others are lesions of no one's own.
    largest : float
        What is not likely joins nothing that it is more than so many times as large as.
    """
    n_likely = len(bodies) if n_likely is None else n_likely
    wholes = [[n] for n in range(len(bodies))]
    joined = list(bodies)
    owner = {tuple(at): n for n, body in enumerate(bodies) for at in body.tolist()}
    n = 0
    while n < n_likely:
        for other in _touching(joined[n], n, owner):
            if other >= n_likely and len(joined[other]) > largest * len(joined[n]):
                continue
            if one_lesion(joined[n], joined[other], grid):
                first, last = min(n, other), max(n, other)
                owner |= dict.fromkeys(map(tuple, joined[last].tolist()), first)
                joined[first] = np.concatenate([joined[first], joined[last]])
                joined[last] = joined[last][:0]
                wholes[first] += wholes[last]
                wholes[last] = []
                n = first - 1
                break
        n += 1
    return [whole for whole in wholes[:n_likely] if whole]


def one_lesion(one: Body, other: Body, grid: Grid) -> bool:
    """Return whether two voids that touch are pieces of one lesion."""
    both = np.concatenate([one, other])
    if too_wide(both, grid):
        return False
    return sphericity(both, grid) >= ROUND_TOGETHER or waist(one, other, grid) >= WAIST


def too_wide(body: Body, grid: Grid) -> bool:
    """Return whether a body is wider than a microbleed, in the table or in any direction."""
    told = round(in_plane_diameter(body, grid), 1)
    return max(extent_mm(body, grid), told) > LARGEST_MM


def extent_mm(body: Body, grid: Grid) -> float:
    """Return the greatest distance of voxels along 13 directions, in slices and across [mm]."""
    along = LINES / np.linalg.norm(LINES, axis=1, keepdims=True)
    return float(np.ptp(body * grid.spacing_mm @ along.T, axis=0).max())


def waist(one: Body, other: Body, grid: Grid) -> float:
    """Return the area of the face two voids share over the smaller's cross-section as a ball.

    The area is that of the face as a plane, whatever way it lies through the voxels.
    """
    volume = min(len(one), len(other)) * grid.voxel_mm3
    section = np.pi * np.cbrt(0.75 / np.pi * volume) ** 2
    there = set(map(tuple, other.tolist()))
    shared = [
        sum(at in there for way in (-1, 1) for at in map(tuple, (one + way * step).tolist()))
        for step in np.eye(3, dtype=np.int64)
    ]
    area = np.linalg.norm(np.array(shared) * grid.voxel_mm3 / grid.spacing_mm)
    return float(area / section)


def _touching(body: Body, own: int, owner: dict[tuple[int, ...], int]) -> list[int]:
    """Return the other wholes that touch a body, the likeliest first."""
    near = map(tuple, (body[:, None] + STEPS[None]).reshape(-1, 3).tolist())
    return sorted({owner[at] for at in near if at in owner} - {own})
