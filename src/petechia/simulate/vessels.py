"""Veins: sinuses, deep veins, trees of cortical veins, medullary veins, as tubes.

Trees grow from their trunk outwards. At every fork the radii obey Murray's law,
r0^3 = r1^3 + r2^3; a twig ends where it is thinner than `smallest_mm`, or leaves the head.
Cortical twigs follow fluid (sulci) and keep near the surface; medullary veins run straight
away from the ventricle; intracortical veins, thinner than any voxel, stand in the cortex.

References
----------
.. [1] Murray (1926), doi:10.1073/pnas.12.3.207.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.errors import ParameterError
from petechia.simulate.atlas import VENTRICLES, Atlas
from petechia.simulate.head import HeadParams, from_template
from petechia.simulate.tissues import venous_chi_ppm

Points = npt.NDArray[np.float64]
PIAL_MM, SMALL_PIAL_MM, MEDULLARY_MM, SMALL_MEDULLARY_MM = 0.42, 0.25, 0.20, 0.12
"""Median radius where a tree or vein begins."""
TREE_TURN, MEDULLARY_TURN = 0.10, 0.07
"""How far a tip of a tree usually turns by chance in 1 mm, and a medullary vein in 2 mm [rad]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VesselParams:
    """How many veins, and how they grow.

    Attributes
    ----------
    n_bridging : int
        Trunks that leave the superior sagittal sinus on each side.
    n_pial : int
        Trunks that begin elsewhere on the surface.
    n_medullary : int
        Veins that leave the lateral ventricles.
    n_small_pial, n_small_medullary : int
        Smaller ones besides, at the limit of what a scan shows.
    n_intracortical : int
        Veins that rise through the cortex to its surface.
    smallest_mm : float
        Radius at which twigs end.
    fork_per_mm : float
        Chance of a fork in each millimetre.
    winding_per_mm : float
        How far a tip turns by chance in each millimetre of a tree [rad, standard deviation along
        each axis]; medullary veins wind by it in proportion.
    saturation, hematocrit : tuple of float
        Ranges, 0..1.
    """

    n_bridging: int = 13
    n_pial: int = 170
    n_medullary: int = 170
    n_small_pial: int = 90
    n_small_medullary: int = 260
    n_intracortical: int = 12_000
    smallest_mm: float = 0.13
    fork_per_mm: float = 0.045
    winding_per_mm: float = TREE_TURN
    saturation: tuple[float, float] = (0.56, 0.72)
    hematocrit: tuple[float, float] = (0.37, 0.47)

    def __post_init__(self) -> None:
        numbers = (
            self.n_bridging, self.n_pial, self.n_medullary, self.n_small_pial,
            self.n_small_medullary, self.n_intracortical,
        )  # fmt: skip
        if min(numbers) < 0 or self.smallest_mm <= 0 or not 0 <= self.winding_per_mm <= 1:
            raise ParameterError(
                f"{self}",
                where="VesselParams",
                mend="Numbers of veins are 0 or more, smallest_mm is above 0, winding is 0 to 1.",
            )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Vessels:
    """Veins of one person.

    Attributes
    ----------
    segments : (N, 7) ndarray of float64
        Both ends in head millimetres and the radius: x0 y0 z0 x1 y1 z1 r [mm].
    chi_ppm : float
        Of the blood, against water.
    """

    segments: Points
    chi_ppm: float


def sample_vessels(
    atlas: Atlas, head: HeadParams, rng: np.random.Generator, params: VesselParams | None = None
) -> Vessels:
    """Draw the veins of a head."""
    chosen = params or VesselParams()
    terrain = _Terrain(atlas)
    sagittal = _sagittal_sinus(atlas)
    parts = [tube(path, radii) for path, radii in _trunks(terrain, sagittal, rng)]
    parts += _bridging(terrain, sagittal, chosen, rng)
    parts += _pial(terrain, chosen.n_pial, PIAL_MM, chosen, rng)
    turn = MEDULLARY_TURN * (chosen.winding_per_mm / TREE_TURN)
    parts += _medullary(atlas, chosen.n_medullary, MEDULLARY_MM, turn, rng)
    fine = rng.spawn(1)[0]
    parts += _pial(terrain, chosen.n_small_pial, SMALL_PIAL_MM, chosen, fine)
    parts += _medullary(atlas, chosen.n_small_medullary, SMALL_MEDULLARY_MM, turn, fine)
    parts += _intracortical(atlas, terrain, chosen, fine)
    segments = np.concatenate(parts)
    ends = from_template(segments[:, :6].reshape(-1, 3), head, atlas).reshape(-1, 6)
    return Vessels(
        segments=np.ascontiguousarray(np.column_stack([ends, segments[:, 6]])),
        chi_ppm=venous_chi_ppm(rng.uniform(*chosen.saturation), rng.uniform(*chosen.hematocrit)),
    )


class _Terrain:
    """What growing veins feel: depth below the brain's surface, and where fluid lies."""

    def __init__(self, atlas: Atlas) -> None:
        self.origin = atlas.grid.affine[:3, 3]
        self.step = float(atlas.grid.spacing_mm[0])
        brain = atlas.brain > 0.5
        inside = ndimage.distance_transform_edt(brain) * self.step
        outside = ndimage.distance_transform_edt(~brain) * self.step
        self.depth = ndimage.gaussian_filter((inside - outside).astype(np.float32), 0.7)
        self.up = np.stack(np.gradient(self.depth, self.step), 0)
        fluid = ndimage.gaussian_filter(atlas.fluid, 0.8)
        self.fluid = fluid
        slope = np.stack(np.gradient(fluid, self.step), 0)
        self.to_fluid = slope / (0.02 + np.linalg.norm(slope, axis=0))
        # strips of a 2 mm gradient are noisy: veins should not zigzag
        self.to_fluid = ndimage.gaussian_filter(self.to_fluid, (0, 0.5, 0.5, 0.5))

    def at(self, volume: npt.NDArray[np.floating], places: Points) -> Points:
        """Return a volume, or the components of a vector field, at places (N, 3) [mm]."""
        index = ((places - self.origin) / self.step).T
        if volume.ndim == 4:
            return np.stack(
                [ndimage.map_coordinates(v, index, order=1, mode="nearest") for v in volume], -1
            ).astype(np.float64)
        out = ndimage.map_coordinates(volume, index, order=1, mode="nearest")
        return np.asarray(out, dtype=np.float64)

    def to_surface(self, places: Points, depth_mm: float) -> Points:
        """Return places moved along the gradient of depth to `depth_mm`."""
        moved = places.copy()
        for _ in range(6):
            slope = unit(self.at(self.up, moved))
            moved += slope * (depth_mm - self.at(self.depth, moved))[:, None] * 0.7
        return moved


def unit(vectors: Points) -> Points:
    """Return vectors (..., 3) of length 1."""
    out: Points = vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
    return out


def tube(path: Points, radii: npt.ArrayLike) -> Points:
    """Return the segments of a polyline resampled to about 2 mm; radii go linearly."""
    path = np.asarray(path, dtype=np.float64)
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    stops = np.linspace(0, along[-1], max(2, int(along[-1] / 2.0) + 1))
    fine = np.stack([np.interp(stops, along, path[:, a]) for a in range(3)], axis=1)
    given = np.asarray(radii, dtype=np.float64)
    radius = np.interp(stops, np.linspace(0, along[-1], len(given)), given)
    return np.column_stack([fine[:-1], fine[1:], 0.5 * (radius[:-1] + radius[1:])])


def _sagittal_sinus(atlas: Atlas) -> Points:
    """Return the superior sagittal sinus: the midline rim of the brain, front to torcula."""
    middle = round(atlas.grid.to_index([0.0, 0.0, 0.0])[0])
    section = ndimage.gaussian_filter(atlas.brain[middle - 3 : middle + 4].max(axis=0), 0.7)
    out = []
    for angle in np.deg2rad(np.linspace(8, 192, 60)):  # from the forehead over the top
        ray = np.arange(30.0, 130.0, 0.5)
        y, z = -18.0 + ray * np.cos(angle), 2.0 + ray * np.sin(angle)
        index = atlas.grid.to_index(np.stack([0 * y, y, z], -1))[:, 1:].T
        brain = ndimage.map_coordinates(section, index, order=1, mode="constant") > 0.5
        if brain.any():
            edge = ray[np.flatnonzero(brain)[-1]] + 2.5
            out.append((0.0, -18.0 + edge * np.cos(angle), 2.0 + edge * np.sin(angle)))
    return np.asarray(out)


def _trunks(
    terrain: _Terrain, sagittal: Points, rng: np.random.Generator
) -> list[tuple[Points, list[float]]]:
    """Return the sinuses and named deep veins as polylines with radii [mm]."""
    torcula = sagittal[-1]
    out: list[tuple[Points, list[float]]] = [
        (sagittal, [1.2, 2.2, 3.0, 3.6]),
        (np.array([(0, -40, 1), (0, -46, 5), (0, -52, 7)]), [1.8, 2.0, 2.0]),
        (np.array([(0, -52, 7), (0, -72, -1), torcula]), [1.8, 2.0, 2.4]),
    ]
    for side in (-1.0, 1.0):
        lateral = np.array(
            [torcula, (side * 22, -96, -18), (side * 44, -78, -22), (side * 60, -52, -24)]
        )
        stops = np.linspace(0, 3, 16)
        lateral = np.stack([np.interp(stops, range(4), lateral[:, a]) for a in range(3)], 1)
        lateral[1:] = terrain.to_surface(lateral[1:], -2.5)
        out.append((lateral, list(rng.uniform(0.7, 1.1) * np.array([3.0, 3.2, 3.2]))))
        deep = {
            "internal cerebral": (
                [(3, 2, 10), (3, -12, 15), (3, -26, 14), (1, -38, 8), (0, -40, 1)],
                [0.8, 1.0, 1.2],
            ),
            "thalamostriate": ([(3, 2, 10), (9, 0, 16), (15, -10, 19), (20, -24, 20)],
                               [0.8, 0.6, 0.4]),
            "septal": ([(3, 2, 10), (3, 12, 10), (6, 22, 9), (12, 27, 6)], [0.5, 0.4, 0.25]),
            "basal": ([(0, -40, 1), (9, -38, -4), (17, -26, -9), (16, -12, -15), (11, 0, -16)],
                      [0.9, 0.8, 0.7, 0.5]),
            "atrial": ([(1, -38, 8), (10, -44, 11), (20, -44, 12)], [0.6, 0.4]),
        }  # fmt: skip
        for path, radii in deep.values():
            bent = np.asarray(path, dtype=np.float64) * (side, 1.0, 1.0)
            bent[1:-1] += rng.normal(0, 0.8, bent[1:-1].shape)
            out.append((bent, list(np.asarray(radii) * rng.uniform(0.8, 1.2))))
    return out


def _bridging(
    terrain: _Terrain, sagittal: Points, params: VesselParams, rng: np.random.Generator
) -> list[Points]:
    """Return the trees that drain into the superior sagittal sinus."""
    n = params.n_bridging
    where = np.linspace(6, len(sagittal) - 14, n).astype(int)
    parts = []
    for side in (-1.0, 1.0):
        start = sagittal[where] + rng.normal(0, 1.5, (n, 3)) * (0, 1, 1)
        start[:, 0] = side * 2.5
        heading = unit(
            np.stack([np.full(n, side), rng.normal(0.25, 0.5, n), rng.normal(-0.2, 0.2, n)], -1)
        )
        parts.append(_grow(terrain, start, heading, rng.uniform(0.6, 1.2, n), params, rng))
    return parts


def _pial(
    terrain: _Terrain, n: int, radius_mm: float, params: VesselParams, rng: np.random.Generator
) -> list[Points]:
    """Return `n` trees that begin anywhere on the surface and dive into sulci."""
    if not n:
        return []
    shell = np.argwhere((terrain.depth > 0.5) & (terrain.depth < 18.0) & (terrain.fluid > 0.22))
    start = shell[rng.choice(len(shell), n)] * terrain.step + terrain.origin
    start = start + rng.normal(0, 0.7, start.shape)
    inward = unit(terrain.at(terrain.up, start))
    heading = unit(rng.normal(0, 0.7, start.shape) + 0.5 * inward)
    radii = np.exp(rng.normal(np.log(radius_mm), 0.35, n)).clip(0.2, 1.0)
    return [_grow(terrain, start, heading, radii, params, rng)]


def _grow(
    terrain: _Terrain,
    start: Points,
    heading: Points,
    radii: Points,
    params: VesselParams,
    rng: np.random.Generator,
) -> Points:
    """Return the segments of trees, all tips advancing together by 1 mm a step."""
    place, way, radius = start.copy(), heading.copy(), radii.copy()
    out = []
    for _ in range(160):
        depth = terrain.at(terrain.depth, place)
        up = unit(terrain.at(terrain.up, place))
        fluid = terrain.at(terrain.to_fluid, place)
        # trunks run on the surface; twigs may follow a sulcus down, but not leave the brain
        trunk = np.clip((0.5 - depth) / 4.0, -0.6, 0.6)
        pull = np.where(radius > 0.5, trunk, np.clip((2.0 - depth) / 8.0, 0.0, 0.4))
        turn = rng.normal(0, params.winding_per_mm, way.shape)
        way = unit(way + 0.20 * fluid + up * pull[:, None] + turn)
        ahead = place + way
        out.append(np.column_stack([place, ahead, radius]))
        radius = radius * 0.995
        place, way, radius = _fork(ahead, way, radius, params, rng)
        depth = terrain.at(terrain.depth, place)
        alive = (radius > params.smallest_mm) & (depth > -4.0) & (depth < 24.0)
        place, way, radius = place[alive], way[alive], radius[alive]
        if not len(place):
            break
    return np.concatenate(out)


def _fork(
    place: Points, way: Points, radius: Points, params: VesselParams, rng: np.random.Generator
) -> tuple[Points, Points, Points]:
    """Split some tips in two by Murray's law; the thinner child turns more."""
    forks = rng.random(len(place)) < params.fork_per_mm
    n = int(forks.sum())
    share = rng.uniform(0.5, 0.9, n)
    side = unit(np.cross(way[forks], rng.normal(0, 1, (n, 3))))
    child_way = unit(way[forks] + side * rng.uniform(0.6, 1.3, n)[:, None])
    child_radius = radius[forks] * (1 - share) ** (1 / 3)
    way, radius = way.copy(), radius.copy()
    way[forks] = unit(way[forks] - side * 0.15)
    radius[forks] *= share ** (1 / 3)
    return (
        np.concatenate([place, place[forks]]),
        np.concatenate([way, child_way]),
        np.concatenate([radius, child_radius]),
    )


def _medullary(
    atlas: Atlas, n: int, radius_mm: float, turn: float, rng: np.random.Generator
) -> list[Points]:
    """Return `n` veins that leave the lateral ventricles and fan out through white matter."""
    if not n:
        return []
    ventricle = np.isin(atlas.regions, VENTRICLES[:2])
    step = float(atlas.grid.spacing_mm[0])
    away = ndimage.distance_transform_edt(~ventricle).astype(np.float32) * step
    slope = np.stack(np.gradient(ndimage.gaussian_filter(away, 1.5), step), 0)
    white = (atlas.t1 > 205) & (atlas.brain > 0.9)
    z_mm = atlas.places_mm[..., 2]
    wall = np.argwhere((away > 1.0) & (away < 4.5) & white & (z_mm > 2))
    chosen = wall[rng.choice(len(wall), n)]
    place = chosen * step + atlas.grid.affine[:3, 3] + rng.normal(0, 0.6, (len(chosen), 3))
    index = tuple(chosen.T)
    way = unit(np.stack([s[index] for s in slope], -1).astype(np.float64))
    radius = np.exp(rng.normal(np.log(radius_mm), 0.3, len(place))).clip(0.5 * radius_mm, 0.4)
    length = rng.uniform(8.0, 26.0, len(place))
    out = []
    for step_mm in np.arange(0.0, 26.0, 2.0):
        ahead = place + 2.0 * way
        keep = step_mm < length
        out.append(np.column_stack([place, ahead, radius])[keep])
        place, radius = ahead, radius * 0.96
        way = unit(way + rng.normal(0, turn, way.shape))
    return out


def _intracortical(
    atlas: Atlas, terrain: _Terrain, params: VesselParams, rng: np.random.Generator
) -> list[Points]:
    """Return short veins from inside the cortex to the fluid outside it."""
    if not params.n_intracortical:
        return []
    grey = (atlas.t1 > 140) & (atlas.t1 < 215) & (atlas.brain > 0.5) & (terrain.depth < 25.0)
    banks = np.argwhere(grey & (terrain.fluid > 0.1))
    chosen = banks[rng.choice(len(banks), params.n_intracortical)]
    place = chosen * terrain.step + terrain.origin
    place = place + terrain.step * rng.uniform(-0.5, 0.5, place.shape)
    way = unit(terrain.at(terrain.to_fluid, place) + rng.normal(0, 0.1, place.shape))
    half = 0.5 * rng.uniform(1.0, 3.0, len(place))[:, None] * way
    radius = np.exp(rng.normal(np.log(0.06), 0.35, len(place))).clip(0.03, 0.15)
    return [np.column_stack([place - half, place + half, radius])]
