"""Does something dark continue beyond the void? Veins do, microbleeds do not."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.core.compiled import compiled
from petechia.core.grid import Grid
from petechia.errors import ParameterError
from petechia.lesions.shape import Shape

Directions = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class TubeParams:
    """Settings of `continuation`.

    Attributes
    ----------
    length_mm : float
        A continuation is followed so far, but at least over 1.5 slices [mm].
    step_mm : float
        Step along it [mm].
    bend_deg : float
        Largest change of direction in one step [degrees].
    directions : int
        Starting directions over the sphere.
    """

    length_mm: float = 5.0
    step_mm: float = 0.8
    bend_deg: float = 35.0
    directions: int = 96

    def __post_init__(self) -> None:
        if min(self.length_mm, self.step_mm) <= 0 or not 0 < self.bend_deg < 90:
            raise ParameterError(
                f"{self}", where="TubeParams", mend="Lengths above 0, bend_deg below 90."
            )
        if self.directions < 12:
            raise ParameterError(
                f"{self.directions} directions",
                where="TubeParams.directions",
                mend="Give 12 or more, e.g. 96.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tube:
    """How far a void is part of a tube.

    Attributes
    ----------
    through : float
        Strength of the weaker of the two best continuations on opposite sides, over that
        of the void itself: 1 for a vein cut anywhere, about 0 for a lone sphere. Where
        one side leaves the brain, what is seen on the other side counts alone.
    one_way : float
        Strength of the best continuation on any side.
    """

    through: float
    one_way: float


def sphere_directions(count: int) -> Directions:
    """Return `count` unit vectors spread evenly over the sphere (golden spiral)."""
    n = np.arange(count) + 0.5
    polar, turn = np.arccos(1 - 2 * n / count), np.pi * (1 + 5**0.5) * n
    return np.stack(
        [np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar)], axis=1
    )


def continuation(
    darkness: npt.NDArray[np.floating],
    mask: npt.NDArray[np.bool_],
    shape: Shape,
    grid: Grid,
    params: TubeParams | None = None,
    strength: float | None = None,
) -> Tube:
    """Follow whatever is strong in `darkness` outwards from a void.

    From the rim of the void in every direction, the path turns within a cone to the
    strongest next step (veins bend); its strength is the mean of its weaker half, over
    the strength of the void.

    Parameters
    ----------
    darkness : (I, J, K) ndarray of float
        0 in undisturbed tissue, positive where there is a vein: loss of signal,
        susceptibility, likeness to a vessel.
    mask : (I, J, K) ndarray of bool
        Where `darkness` is known.
    shape : Shape
        The void.
    grid : Grid
        Geometry.
    params : TubeParams
        Settings.
    strength : float, optional
        Darkness that counts as 1; the void's depth by default. Below 0, what is negative
        is followed.
    """
    p = params or TubeParams()
    spacing = grid.spacing_mm
    length = max(p.length_mm, 1.5 * float(spacing.max()))
    steps = max(2, int(np.ceil(length / p.step_mm)))
    # in the scanner's axes: the order and the signs of the array's do not matter
    rays = sphere_directions(p.directions) @ (grid.affine[:3, :3] / spacing)
    centre = np.asarray(shape.centre_vox, dtype=np.float64)
    start = shape.radius_mm + 0.5 * float(spacing.min())
    unit = shape.depth if strength is None else strength
    scores = _follow(
        np.ascontiguousarray(darkness, dtype=np.float32),
        centre,
        start,
        rays,
        float(np.cos(np.deg2rad(p.bend_deg))),
        p.step_mm,
        steps,
        spacing,
        # between thick slices there is nothing to interpolate: take the nearest
        spacing > 2 * spacing.min(),
        1.0 if unit >= 0 else -1.0,
    )
    scores = np.clip(scores / max(abs(unit), 1e-6), 0, 1)
    beyond = np.where(_leaves(centre * spacing, start + 0.5 * length, rays, mask, spacing), 1.0, 0)
    opposite = rays @ rays.T < -0.5
    other = np.maximum(scores, beyond)
    through = float(np.where(opposite, np.minimum(scores[:, None], other[None]), 0).max())
    return Tube(through=through, one_way=float(scores.max()))


def _leaves(
    centre_mm: npt.NDArray[np.float64],
    away_mm: float,
    rays: Directions,
    mask: npt.NDArray[np.bool_],
    spacing_mm: npt.NDArray[np.float64],
) -> npt.NDArray[np.bool_]:
    """Return which rays have left the mask or the volume at `away_mm`."""
    at = np.rint((centre_mm + away_mm * rays) / spacing_mm).astype(np.int64)
    inside = ((at >= 0) & (at < np.asarray(mask.shape))).all(axis=1)
    at = np.clip(at, 0, np.asarray(mask.shape) - 1)
    return np.asarray(~(inside & mask[tuple(at.T)]), dtype=bool)


@compiled
def _sample(volume, i, j, k, nearest):  # type: ignore[no-untyped-def]
    """Return `volume` interpolated linearly; 0 beyond the faces of its outermost voxels."""
    s = volume.shape
    if i < -0.5 or j < -0.5 or k < -0.5 or i > s[0] - 0.5 or j > s[1] - 0.5 or k > s[2] - 0.5:
        return 0.0
    i, j, k = (
        min(max(i, 0.0), s[0] - 1.0),
        min(max(j, 0.0), s[1] - 1.0),
        min(max(k, 0.0), s[2] - 1.0),
    )
    if nearest[0]:
        i = np.floor(i + 0.5)
    if nearest[1]:
        j = np.floor(j + 0.5)
    if nearest[2]:
        k = np.floor(k + 0.5)
    i0, j0, k0 = int(i), int(j), int(k)
    i1, j1, k1 = min(i0 + 1, s[0] - 1), min(j0 + 1, s[1] - 1), min(k0 + 1, s[2] - 1)
    u, v, w = i - i0, j - j0, k - k0
    c00 = volume[i0, j0, k0] * (1 - u) + volume[i1, j0, k0] * u
    c10 = volume[i0, j1, k0] * (1 - u) + volume[i1, j1, k0] * u
    c01 = volume[i0, j0, k1] * (1 - u) + volume[i1, j0, k1] * u
    c11 = volume[i0, j1, k1] * (1 - u) + volume[i1, j1, k1] * u
    return (c00 * (1 - v) + c10 * v) * (1 - w) + (c01 * (1 - v) + c11 * v) * w


@compiled
def _follow(  # type: ignore[no-untyped-def]
    darkness, centre, start_mm, rays, bend, step_mm, steps, spacing, nearest, sign
):
    scores = np.zeros(len(rays))
    taken = np.zeros(steps)
    for n in range(len(rays)):
        x = centre[0] * spacing[0] + start_mm * rays[n, 0]
        y = centre[1] * spacing[1] + start_mm * rays[n, 1]
        z = centre[2] * spacing[2] + start_mm * rays[n, 2]
        u, v, w = rays[n, 0], rays[n, 1], rays[n, 2]
        for t in range(steps):
            best, to = -1.0, n
            for q in range(len(rays)):
                if rays[q, 0] * u + rays[q, 1] * v + rays[q, 2] * w < bend:
                    continue
                back = 0.0
                for a in range(3):
                    back += rays[q, a] * rays[n, a]
                if back < 0.5:  # never back towards the void
                    continue
                here = sign * _sample(
                    darkness,
                    (x + step_mm * rays[q, 0]) / spacing[0],
                    (y + step_mm * rays[q, 1]) / spacing[1],
                    (z + step_mm * rays[q, 2]) / spacing[2],
                    nearest,
                )
                if here > best:
                    best, to = here, q
            u, v, w = rays[to, 0], rays[to, 1], rays[to, 2]
            x += step_mm * u
            y += step_mm * v
            z += step_mm * w
            taken[t] = max(best, 0.0)
        order = np.sort(taken)
        half = (steps + 1) // 2
        scores[n] = order[:half].mean()
    return scores
