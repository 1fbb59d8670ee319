"""Two masks of one shape laid upon each other: the surface of one in the distances of the other."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage, optimize
from scipy.spatial.transform import Rotation

from petechia.core.grid import Grid
from petechia.core.morphology import Mask

Points = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float64]

TURN_DEG = 20.0
"""About each axis to either side: where fits begin, besides at no turn."""
SHIFTS_MM = (-25.0, 0.0, 25.0)
"""Along the scanner's z beyond the masks' middles: one of them may be cut."""
ROBUST_MM = 3.0
"""Farther apart than this counts less and less."""
COARSE, FINE = 300, 3000
"""Points of the surface in the search and in the last fit."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Distances:
    """Signed distance to the surface of a mask, positive inside.

    Attributes
    ----------
    mm : (I, J, K) ndarray of float32
        The distance.
    seen : (I, J, K) ndarray of float32
        1 where the mask's image is, 0 beyond.
    grid : Grid
        Of both.
    """

    mm: npt.NDArray[np.float32]
    seen: npt.NDArray[np.float32]
    grid: Grid

    @classmethod
    def of(cls, mask: Mask, seen: Mask, grid: Grid) -> "Distances":
        """Return the distances of a mask; what lies beyond the view is no edge."""
        inside = ndimage.distance_transform_edt(mask | ~seen, grid.spacing_mm)
        outside = ndimage.distance_transform_edt(~mask | ~seen, grid.spacing_mm)
        half = 0.5 * float(grid.spacing_mm.mean())  # the surface lies between voxels
        mm = np.where(mask, inside - half, half - outside)
        return cls(mm=mm.astype(np.float32), seen=seen.astype(np.float32), grid=grid)

    def at(self, places_mm: Points) -> tuple[Points, Points]:
        """Return distance [mm] and whether it is seen (0..1) at places (N, 3)."""
        index = self.grid.to_index(places_mm).T
        away = ndimage.map_coordinates(self.mm, index, order=1, mode="nearest")
        seen = ndimage.map_coordinates(self.seen, index, order=1, mode="constant")
        return np.asarray(away, dtype=np.float64), np.asarray(seen, dtype=np.float64)


def surface_points(mask: Mask, grid: Grid, rng: np.random.Generator, most: int) -> Points:
    """Return places all over the surface of a mask (N, 3) [mm]; faces of the view are none."""
    edge = np.argwhere(mask & ~ndimage.binary_erosion(mask, border_value=1))
    # a voxel's face counts by its area, so that thick slices are not favoured: thin evenly
    places = grid.to_mm(edge)
    chosen = rng.permutation(len(places))[:most]
    return np.asarray(places[np.sort(chosen)], dtype=np.float64)


def fitted(points: Points, there: Distances, start: Matrix, most: int = 25) -> tuple[Matrix, float]:
    """Return the rigid map that lays points upon a surface, and the cost of it [mm].

    A constant distance between the two surfaces (the space between brain and bone) is fitted
    with it. Points beyond the view cost as much as those that lie `ROBUST_MM` apart.
    """
    middle = points.mean(axis=0)

    def moved(p: npt.NDArray[np.float64]) -> Points:
        turn = Rotation.from_rotvec(p[:3] / 50.0).as_matrix() @ start[:3, :3]
        goal = start[:3, :3] @ middle + start[:3, 3] + p[3:6]
        return np.asarray((points - middle) @ turn.T + goal, dtype=np.float64)

    def apart(p: npt.NDArray[np.float64]) -> Points:
        away, seen = there.at(moved(p))
        return np.asarray(seen * (away - p[6]) + (1 - seen) * ROBUST_MM)

    found = optimize.least_squares(
        apart, np.zeros(7), loss="soft_l1", f_scale=ROBUST_MM, diff_step=1e-3, max_nfev=most,
        bounds=([-np.inf] * 6 + [-1.0], [np.inf] * 6 + [5.0]),
    )  # fmt: skip
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(found.x[:3] / 50.0).as_matrix() @ start[:3, :3]
    matrix[:3, 3] = start[:3, :3] @ middle + start[:3, 3] + found.x[3:6] - matrix[:3, :3] @ middle
    return matrix, float(np.sqrt(2 * found.cost / len(points)))


def laid_upon(mask: Mask, grid: Grid, there: Distances, middle_mm: Points) -> tuple[Matrix, float]:
    """Return the best rigid map of a mask to a surface, from many starts, and its cost [mm].

    Parameters
    ----------
    mask : (I, J, K) ndarray of bool
        Of a scan.
    grid : Grid
        Of it.
    there : Distances
        To the surface that it is laid upon.
    middle_mm : (3,) ndarray of float
        Middle of that one's mask.
    """
    rng = np.random.default_rng(0)
    points = surface_points(mask, grid, rng, FINE)
    few = points[:: max(len(points) // COARSE, 1)]
    own = grid.to_mm(np.argwhere(mask).mean(axis=0))
    signs = np.stack(np.meshgrid(*[(-1.0, 1.0)] * 3, indexing="ij"), -1).reshape(-1, 3)
    found = []
    for turn in TURN_DEG * np.concatenate([np.zeros((1, 3)), signs]):
        for shift in SHIFTS_MM:
            start = np.eye(4)
            start[:3, :3] = Rotation.from_euler("xyz", turn, degrees=True).as_matrix()
            start[:3, 3] = middle_mm + np.array([0, 0, shift]) - start[:3, :3] @ own
            found.append(fitted(few, there, start, 12))
    found.sort(key=lambda pair: pair[1])
    return fitted(points, there, found[0][0])
