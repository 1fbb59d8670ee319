"""Symmetry about a place at several scales: shells, how alike their parts are, rays."""

import numpy as np
import numpy.typing as npt

from petechia.lesions.features.patches import BALL, SIDE, STEP_MM, Cubes
from petechia.lesions.tube import sphere_directions

Floats = npt.NDArray[np.float64]
SHELLS_MM = ((0.0, 1.0), (1.0, 2.0), (2.0, 3.0), (3.0, 4.5), (4.5, 6.0), (6.0, 8.0))
UNEVEN_MM = (2.5, 4.0, 6.0)
"""Radii at which a shell's parts are compared."""
BALLS_MM = (3.0, 5.0, 7.0)
"""Balls in which the share of variance is taken that the distance alone explains."""
RAY_MM = ((2.4, 4.0), (4.0, 6.4))
"""Stretches of rays that are followed outwards."""
NAMES = (
    *(f"shell_{n}" for n in range(len(SHELLS_MM))),
    *(f"uneven_{r:g}" for r in UNEVEN_MM),
    *(f"round_{r:g}" for r in BALLS_MM),
    *(f"{what}_{n}" for n in range(len(RAY_MM)) for what in ("ray", "through")),
)
_DIRECTIONS = sphere_directions(48)


def _point_index(offset_mm: Floats) -> npt.NDArray[np.int64]:
    """Return the flat index of the cube's point nearest to an offset [mm]."""
    at = np.clip(np.rint(offset_mm / STEP_MM + (SIDE - 1) / 2), 0, SIDE - 1).astype(np.int64)
    return np.asarray((at[..., 0] * SIDE + at[..., 1]) * SIDE + at[..., 2])


_SHELL = [(BALL.radius_mm >= a) & (BALL.radius_mm < b) for a, b in SHELLS_MM]
_UNEVEN = [_point_index(r * _DIRECTIONS) for r in UNEVEN_MM]
_RAYS = [
    _point_index(np.arange(a, b + 1e-6, STEP_MM)[:, None, None] * _DIRECTIONS[None])
    for a, b in RAY_MM
]
_OPPOSITE = _DIRECTIONS @ _DIRECTIONS.T < -0.7
_BIN = np.minimum((BALL.radius_mm / STEP_MM).astype(np.int64), SIDE)


def radial_features(cubes: Cubes) -> Floats:
    """Return `NAMES` of one channel, in rows.

    Parameters
    ----------
    cubes : (N, 20, 20, 20) ndarray of float32
        One channel of `cut_cubes`: 0 in undisturbed tissue, positive where something is.

    Returns
    -------
    table : (N, len(NAMES)) ndarray
        Mean of shells; spread over a shell's directions; share of variance that distance
        alone explains; strongest ray outwards (its weakest part) and the weaker of the
        strongest two on opposite sides.
    """
    flat = cubes.reshape(len(cubes), -1).astype(np.float64)
    columns = [flat[:, shell].mean(axis=1) for shell in _SHELL]
    columns += [flat[:, at].std(axis=1) for at in _UNEVEN]
    columns += [_explained(flat, r) for r in BALLS_MM]
    for at in _RAYS:
        along = flat[:, at].min(axis=1)
        columns.append(along.max(axis=1))
        pairs = np.minimum(along[:, :, None], along[:, None, :])
        columns.append(np.where(_OPPOSITE, pairs, -np.inf).max(axis=(1, 2)))
    return np.stack(columns, axis=1)


def _explained(flat: Floats, radius_mm: float) -> Floats:
    """Return the share of variance in a ball that the mean at each distance explains."""
    inside = BALL.radius_mm < radius_mm
    values, bins = flat[:, inside], _BIN[inside]
    whole = values.var(axis=1)
    count = np.bincount(bins)
    rest = np.zeros(len(flat))
    for b in np.flatnonzero(count):
        rest += values[:, bins == b].var(axis=1) * count[b]
    return np.asarray(1 - rest / len(bins) / np.maximum(whole, 1e-12))
