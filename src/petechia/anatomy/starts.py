"""Where a registration begins: over places and turns of the head, and against its header.

A header may lie about how the head lies: a patient position entered wrongly, a converter that
lost the orientation. So the head is also tried in the 23 other orientations that a cube can be
put down in. When one of them fits better, the header is wrong, and then nobody knows whether
it is wrong about left and right too: the template is symmetric, and a mirrored head fits it as
well as a turned one. Such a scan is not registered.
"""

from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
import numpy.typing as npt

from petechia.anatomy.compared import Fixed, Moving, agreement
from petechia.anatomy.optimise import metric, optimise

Matrix = npt.NDArray[np.float64]

VERTEX_MM = np.array([0.0, -18.0, 92.0])
"""The template's vertex, 12 mm of air above it."""
BELOW_MM = 110.0
"""So much under the top of the head is cranium, which tells its middle."""
TURNS_DEG = ((-18, 0, 0), (0, 0, 0), (18, 0, 0))
FAR_TURNS_DEG = ((-36, 0, 0), (36, 0, 0), (0, -35, 0), (0, 35, 0), (0, 0, -35), (0, 0, 35))
"""Turns about x, y and z at which heads are tried."""
BINS = 16
MOST_TURN_DEG = 62.0
"""Further from its header's orientation a head does not lie in a scanner."""
RIVAL = 0.9
"""Another orientation that agrees this well, in parts of the best, leaves it undecided."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Start:
    """Where to begin.

    Attributes
    ----------
    matrix : (4, 4) ndarray of float
        Scan RAS to template RAS [mm], rigid.
    agreement, rival : float
        Entropy correlation of this, and of the best that contradicts the header.
    """

    matrix: Matrix
    agreement: float
    rival: float


def find_start(scan: Fixed, there: Moving, *, followed: int, bins: int, iterations: int) -> Start:
    """Return the best rigid map that the header allows, and how well others do.

    Parameters
    ----------
    scan, there : Fixed, Moving
        What is compared, on voxels of several millimetres.
    followed : int
        How many of the best starts are followed, of those the header allows and of others.
    bins, iterations : int
        Of `optimise`.
    """
    near = [
        start
        for turn in TURNS_DEG
        for start in _starts(scan, turned(turn), (-60, -40, -20, 0, 20), (-16, 0, 16))
    ]
    near += [s for t in FAR_TURNS_DEG for s in _starts(scan, turned(t), (-40, -20, 0), (0,))]
    far = [s for turn in other_orientations() for s in _starts(scan, turn, (-40, -20, 0), (0,))]
    allowed: list[tuple[float, Matrix]] = []
    denied: list[float] = []
    for starts in (near, far):
        scored = sorted((metric(scan, there, start), n) for n, start in enumerate(starts))
        for _, n in scored[:followed]:
            fit = optimise(scan, there, starts[n], "rigid", bins=bins, iterations=iterations)
            agrees = agreement(scan, there, fit, BINS)
            if turn_deg(fit) <= MOST_TURN_DEG:
                allowed.append((agrees, fit))
            else:
                denied.append(agrees)
    if not allowed:
        allowed.append((0.0, near[0]))
    best, matrix = max(allowed, key=lambda pair: pair[0])
    return Start(matrix=matrix, agreement=best, rival=max(denied, default=0.0))


def turned(turn_deg: tuple[float, float, float]) -> Matrix:
    """Return the rotation by angles about x, then y, then z."""
    out = np.eye(3)
    for axis, angle in enumerate(np.deg2rad(turn_deg)):
        one, other = ((1, 2), (2, 0), (0, 1))[axis]
        step = np.eye(3)
        step[one, one] = step[other, other] = np.cos(angle)
        step[one, other], step[other, one] = -np.sin(angle), np.sin(angle)
        out = step @ out
    return out


def other_orientations() -> list[Matrix]:
    """Return the 23 rotations, but for none, that bring axes onto axes."""
    out = []
    for order, signs in product(permutations(range(3)), product((1.0, -1.0), repeat=3)):
        matrix = np.zeros((3, 3))
        matrix[range(3), order] = signs
        if np.linalg.det(matrix) > 0 and not np.array_equal(matrix, np.eye(3)):
            out.append(matrix)
    return out


def turn_deg(matrix: Matrix) -> float:
    """Return by how much a map turns, whatever it stretches [degrees]."""
    left, _, right = np.linalg.svd(matrix[:3, :3])
    return float(np.rad2deg(np.arccos(np.clip((np.trace(left @ right) - 1) / 2, -1, 1))))


def _starts(
    scan: Fixed, turn: Matrix, dz_mm: tuple[float, ...], dy_mm: tuple[float, ...]
) -> list[Matrix]:
    """Return maps that bring the top of the turned head about to the template's vertex."""
    head = scan.grid.to_mm(np.argwhere(scan.where)) @ turn.T
    top = float(np.percentile(head[:, 2], 99))
    cranium = head[head[:, 2] > top - BELOW_MM]
    centre = np.array([*np.median(cranium[:, :2], axis=0), top])
    out = []
    for dz, dy in product(dz_mm, dy_mm):
        matrix = np.eye(4)
        matrix[:3, :3] = turn
        matrix[:3, 3] = VERTEX_MM - centre + (0, dy, dz)
        out.append(matrix)
    return out
