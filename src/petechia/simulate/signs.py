"""Signs of small-vessel disease beside microbleeds, drawn into a head for its T2w and FLAIR scans.

White-matter hyperintensities (caps, bands and halos at the ventricles, foci apart from them),
lacunes with a bright rim, perivascular spaces, and a patch of vasogenic edema. Shapes and numbers
are set by the words of the scales, not fitted to scans of people.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.core.distance import distance_to_outside
from petechia.errors import ParameterError
from petechia.simulate.atlas import LOBES, PAIRED_SITES, PLACES, VENTRICLES, Atlas
from petechia.simulate.head import Head, from_template, to_template
from petechia.simulate.sources import location_masks
from petechia.simulate.vessels import unit

Volume = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int16]
Points = npt.NDArray[np.float64]

BAND_MM = {0: (0.0, 0.0), 1: (2.5, 4.0), 2: (6.0, 8.5), 3: (11.5, 15.0)}
"""Thickness of hyperintensity at the lateral ventricles by grade [mm]."""
FOCI = {0: (0, 0), 1: (3, 14), 2: (8, 18), 3: (10, 20)}
"""Number of foci apart from the ventricles by grade."""
LARGEST_MM = {1: (3.0, 8.0), 2: (12.0, 17.0), 3: (24.0, 36.0)}
"""Diameter of the largest focus by grade [mm]; the others are small."""
FROM_VENTRICLE_MM = 12.0
"""Foci that are called deep lie so far from the ventricles."""
HORNS_BELOW_MM = -4.0
"""Temporal horns lie below; bands spare them [head mm]."""
EDGE_MM = 0.6
"""Width of the border of what is drawn [mm]."""
CENTRUM_ABOVE_MM, GANGLIA_BELOW_MM = 22.0, 12.0
"""Template heights between which perivascular spaces are drawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignsParams:
    """What a person has; None is drawn.

    Attributes
    ----------
    periventricular, deep : int or None
        Grade of hyperintensity, 0 to 3.
    lacunes, centrum_spaces, ganglia_spaces : int or None
        Numbers in the whole brain.
    edema : bool or None
        Whether there is a patch of vasogenic edema.
    """

    periventricular: int | None = None
    deep: int | None = None
    lacunes: int | None = None
    centrum_spaces: int | None = None
    ganglia_spaces: int | None = None
    edema: bool | None = None

    def __post_init__(self) -> None:
        most = {"periventricular": 3, "deep": 3}
        for name in ("periventricular", "deep", "lacunes", "centrum_spaces", "ganglia_spaces"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= most.get(name, 500):
                raise ParameterError(
                    f"{name} = {value}",
                    where="SignsParams",
                    mend="Grades go from 0 to 3, numbers from 0 to 500.",
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class Lacune:
    """A fluid-filled cavity: centre in the head, mean diameter [mm], place, whether rimmed."""

    centre_mm: tuple[float, float, float]
    diameter_mm: float
    site: str
    side: str
    rim: bool


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Signs:
    """What a person's T2w and FLAIR scans show, on the head's grid.

    Attributes
    ----------
    hyperintense, edema, fluid : (I, J, K) ndarray of float32
        Part of each voxel, 0 to 1; fluid is that of lacunes and perivascular spaces.
    cavities : (I, J, K) ndarray of float32
        The lacunes alone.
    regions : (I, J, K) ndarray of int16
        Labels of `atlas.PLACES`.
    near_ventricle_mm : (I, J, K) ndarray of float32
        Distance from the lateral ventricles.
    periventricular, deep : int
        Grades as drawn.
    lacunes : tuple of Lacune
    spaces : (N, 7) ndarray of float64
        Perivascular spaces: both ends and the radius in the head [mm].
    in_centrum : (N,) ndarray of bool
        Whether a space lies in the centrum semiovale; else in the basal ganglia.
    t2_s, edema_t2_s : float
        Of hyperintense white matter and of edema.
    """

    hyperintense: Volume
    edema: Volume
    fluid: Volume
    cavities: Volume
    regions: Labels
    near_ventricle_mm: Volume
    periventricular: int
    deep: int
    lacunes: tuple[Lacune, ...]
    spaces: Points
    in_centrum: npt.NDArray[np.bool_]
    t2_s: float
    edema_t2_s: float


def sample_signs(
    head: Head,
    atlas: Atlas,
    rng: np.random.Generator,
    params: SignsParams | None = None,
    spaces: Points | None = None,
) -> Signs:
    """Draw what a person's T2w and FLAIR scans show.

    Parameters
    ----------
    head : Head
        Anatomy.
    atlas : Atlas
        What it was made of.
    rng : Generator
        Each sign has a stream of its own.
    params : SignsParams, optional
        What is not left to chance.
    spaces : (N, 7) ndarray of float64, optional
        Perivascular spaces that the person has already: both ends and radius [head mm].
    """
    p = params or SignsParams()
    of_load, of_white, of_holes, of_tubes, of_edema = rng.spawn(5)
    regions = _regions(head, atlas)
    white = head.fractions["wm"] > 0.5
    sites = np.array([""] + [PLACES[n].site for n in sorted(PLACES)])
    fluid = (head.fractions["csf"] > 0.5) & np.isin(regions, VENTRICLES[:2])
    away = distance_to_outside(~fluid, head.grid.spacing_mm)
    supratentorial = white & np.isin(sites[regions], PAIRED_SITES)
    periventricular = int(of_load.integers(0, 4))
    near = int(np.clip(periventricular + of_load.integers(-1, 2), 0, 3))
    periventricular = periventricular if p.periventricular is None else p.periventricular
    deep = near if p.deep is None else p.deep
    rough = _rough(head, of_white, 5.0)
    hyper = _bands(periventricular, away, supratentorial, rough, of_white, head)
    lobar = white & np.isin(sites[regions], [*LOBES, "deep_periventricular_wm"])
    hyper |= _foci(deep, away, lobar, rough, of_white, head)
    soft = _soft(hyper, head)
    cavities, rims, holes = _lacunes(head, regions, sites, away, of_holes, p.lacunes)
    soft = np.maximum(soft, rims)
    tubes, in_centrum = _spaces(atlas, head, of_tubes, p, spaces)
    filled = np.maximum(cavities, tube_shares(tubes, head))
    wanted = bool(of_edema.random() < 0.35) if p.edema is None else p.edema
    swollen = _edema(head, regions, sites, away, of_edema) if wanted else np.zeros_like(soft)
    return Signs(
        hyperintense=soft * (1 - swollen) * (1 - filled),
        edema=swollen * (1 - filled),
        fluid=filled,
        cavities=cavities,
        regions=regions,
        near_ventricle_mm=away,
        periventricular=periventricular,
        deep=deep,
        lacunes=holes,
        spaces=tubes,
        in_centrum=in_centrum,
        t2_s=float(of_load.uniform(0.100, 0.130)),
        edema_t2_s=float(of_load.uniform(0.110, 0.150)),
    )


def _regions(head: Head, atlas: Atlas) -> Labels:
    out = np.zeros(head.grid.shape, dtype=np.int16)
    inside = head.brain > 0.5
    places = to_template(head.grid.to_mm(np.argwhere(inside)), head.params, atlas)
    index = atlas.grid.to_index(places).T
    out[inside] = ndimage.map_coordinates(atlas.regions, index, order=0, mode="nearest")
    return out


def _rough(head: Head, rng: np.random.Generator, width_mm: float) -> Volume:
    """Return smooth noise of unit variance, drawn on coarse nodes."""
    step = width_mm / 2
    shape = tuple(
        int(np.ceil(n * d / step)) + 2
        for n, d in zip(head.grid.shape, head.grid.spacing_mm, strict=True)
    )
    noise = ndimage.gaussian_filter(rng.standard_normal(shape), 2.0, mode="wrap")
    noise = np.asarray(noise / noise.std(), dtype=np.float32)
    scale = head.grid.spacing_mm / step
    return np.asarray(
        ndimage.affine_transform(noise, scale, output_shape=head.grid.shape, order=1, mode="wrap"),
        dtype=np.float32,
    )


def _soft(mask: npt.NDArray[np.bool_], head: Head) -> Volume:
    sigma = EDGE_MM / head.grid.spacing_mm
    return np.asarray(ndimage.gaussian_filter(mask.astype(np.float32), sigma), dtype=np.float32)


def _bands(
    grade: int,
    away: Volume,
    white: npt.NDArray[np.bool_],
    rough: Volume,
    rng: np.random.Generator,
    head: Head,
) -> npt.NDArray[np.bool_]:
    """Return hyperintensity at the ventricles: caps (1), a halo (2), far into the white matter."""
    thick = rng.uniform(*BAND_MM[grade])
    if grade == 0:
        return np.zeros_like(white)
    if grade == 1:  # caps on the horns, hardly a lining elsewhere
        y_mm = head.grid.to_mm(np.argwhere(white & (away < 6)))[:, 1]
        caps = np.zeros_like(white)
        caps[white & (away < 6)] = (y_mm > 18) | (y_mm < -55)
        return white & (away <= np.where(caps, thick, 1.0))
    k = np.arange(white.shape[2])
    above = head.grid.to_mm(np.stack([0 * k, 0 * k, k], axis=-1))[:, 2] > HORNS_BELOW_MM
    return white & above & (away <= thick * (1 + 0.15 * rough.clip(-2, 2) - 0.1))


def _foci(
    grade: int,
    away: Volume,
    white: npt.NDArray[np.bool_],
    rough: Volume,
    rng: np.random.Generator,
    head: Head,
) -> npt.NDArray[np.bool_]:
    """Return foci apart from the ventricles; the largest has the size of the grade."""
    out = np.zeros_like(white)
    low, high = FOCI[grade]
    deep = distance_to_outside(white, head.grid.spacing_mm)
    n = int(rng.integers(low, high + 1)) if high else 0
    for at in range(n):
        if at == 0:
            diameter = rng.uniform(*LARGEST_MM[grade])
        else:
            diameter = float(np.exp(rng.normal(np.log(4.0), 0.35)).clip(2.5, 9.0))
        # a large area has its middle in the depth of the white matter, a small focus anywhere
        room = white & (deep > min(diameter / 3, 5.0)) & (away > FROM_VENTRICLE_MM + diameter / 3)
        places = np.argwhere(room)
        if not len(places):
            continue
        centre = places[rng.integers(len(places))]
        axes = 0.5 * diameter * rng.uniform(0.8, 1.25, 3)
        _ellipsoid(out, centre, axes, rough, head)
    return out & white & (away > FROM_VENTRICLE_MM - 1.0)


def _ellipsoid(
    out: npt.NDArray[np.bool_], centre: Points, axes_mm: Points, rough: Volume, head: Head
) -> None:
    """Set voxels within a bumpy ellipsoid about a voxel."""
    spacing = head.grid.spacing_mm
    reach = np.ceil(1.5 * axes_mm.max() / spacing).astype(int) + 1
    low = np.maximum(centre - reach, 0)
    high = np.minimum(centre + reach + 1, out.shape)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    index = np.moveaxis(np.indices(out[box].shape), 0, -1) + low - centre
    radius = np.linalg.norm(index * spacing / axes_mm, axis=-1)
    out[box] |= radius <= 1 + 0.2 * rough[box].clip(-2, 2)


def _lacunes(
    head: Head,
    regions: Labels,
    sites: npt.NDArray[np.str_],
    away: Volume,
    rng: np.random.Generator,
    wanted: int | None,
) -> tuple[Volume, Volume, tuple[Lacune, ...]]:
    """Return cavities, rims of gliosis, and a list of them."""
    n = int(rng.choice([0, 0, 1, 2, 3, 5])) if wanted is None else wanted
    solid = head.fractions["csf"] < 0.05
    inner = distance_to_outside(solid, head.grid.spacing_mm)
    at_home = np.isin(
        sites[regions],
        ["basal_ganglia", "thalamus", "internal_capsule", "deep_periventricular_wm", "brainstem"],
    )
    hollow, rimmed = (np.zeros(away.shape, dtype=bool) for _ in range(2))
    flat = np.zeros_like(away)
    found: list[Lacune] = []
    for _ in range(n):
        diameter = float(rng.uniform(3.5, 11.0))
        room = at_home & (inner > diameter / 2 + 3.0) & (away > diameter / 2 + 4.0)
        for other in found:
            index = np.argwhere(room)
            near = np.linalg.norm(head.grid.to_mm(index) - other.centre_mm, axis=1) < 18.0
            room[tuple(index[near].T)] = False
        places = np.argwhere(room)
        if not len(places):
            continue
        at = places[rng.integers(len(places))]
        axes = 0.5 * diameter * rng.uniform(0.85, 1.2, 3)
        rim = bool(rng.random() < 0.8)
        _ellipsoid(hollow, at, axes, flat, head)
        if rim:
            _ellipsoid(rimmed, at, axes + rng.uniform(1.5, 2.5), flat, head)
        x, y, z = (float(v) for v in head.grid.to_mm(at))
        label = int(regions[tuple(at)])
        found.append(
            Lacune(
                centre_mm=(x, y, z), diameter_mm=float(2 * np.prod(axes) ** (1 / 3)),
                site=PLACES[label].site, side=PLACES[label].side, rim=rim,
            )
        )  # fmt: skip
    return _soft(hollow, head), _soft(rimmed, head), tuple(found)


def _spaces(
    atlas: Atlas,
    head: Head,
    rng: np.random.Generator,
    p: SignsParams,
    own: Points | None,
) -> tuple[Points, npt.NDArray[np.bool_]]:
    """Return perivascular spaces: those a person has, and more up to what is wanted."""
    masks, z_mm = location_masks(atlas), atlas.places_mm[..., 2]
    tubes = np.zeros((0, 7)) if own is None else np.asarray(own, dtype=np.float64)
    heights = to_template(tubes[:, :3].reshape(-1, 3), head.params, atlas)[:, 2]
    in_centrum = heights > GANGLIA_BELOW_MM
    places = (
        (masks["subcortical_wm"] & (z_mm > CENTRUM_ABOVE_MM), False, p.centrum_spaces,
         int(rng.choice([0, 20, 60, 120, 200]))),
        (masks["basal_ganglia"] & (z_mm < GANGLIA_BELOW_MM), True, p.ganglia_spaces,
         int(rng.choice([0, 10, 30, 60]))),
    )  # fmt: skip
    middle = atlas.grid.to_mm(np.argwhere(np.isin(atlas.regions, VENTRICLES))).mean(axis=0)
    drawn, centrum = [tubes], [in_centrum]
    for mask, rising, wanted, chance in places:
        here = int((in_centrum != rising).sum())
        more = chance if wanted is None else max(wanted - here, 0)
        candidates = np.argwhere(mask)
        start = atlas.grid.to_mm(candidates[rng.integers(len(candidates), size=more)])
        way = np.tile([0.0, 0.0, 1.0], (more, 1)) if rising else unit(start - middle)
        way = unit(way + rng.normal(0, 0.25, way.shape)) if more else way
        half = 0.5 * rng.uniform(3.0, 10.0, more)[:, None] * way
        ends = from_template(
            np.concatenate([start - half, start + half]).reshape(-1, 3), head.params, atlas
        )
        radius = np.exp(rng.normal(np.log(0.6), 0.3, more)).clip(0.25, 1.4)
        drawn.append(np.column_stack([ends[:more], ends[more:], radius]))
        centrum.append(np.full(more, not rising))
    return np.concatenate(drawn), np.concatenate(centrum)


def tube_shares(tubes: Points, head: Head) -> Volume:
    """Return the part of each voxel that lies in tubes (both ends, radius) [head mm]."""
    out = np.zeros(head.grid.shape, dtype=np.float32)
    disc = np.stack(np.meshgrid(*[(np.arange(5) + 0.5) / 2.5 - 1] * 2), -1).reshape(-1, 2)
    disc = disc[np.linalg.norm(disc, axis=1) <= 1]
    for row in tubes:
        one, other, radius = row[:3], row[3:6], float(row[6])
        length = float(np.linalg.norm(other - one))
        if length < 1e-6:
            continue
        way = (other - one) / length
        across = np.cross(way, np.eye(3)[np.argmin(np.abs(way))])
        across /= np.linalg.norm(across)
        sides = np.stack([across, np.cross(way, across)])
        n = max(int(np.ceil(length / 0.25)), 2)
        along = one + ((np.arange(n) + 0.5) / n)[:, None] * (other - one)
        points = (along[:, None] + radius * (disc @ sides)[None]).reshape(-1, 3)
        share = np.pi * radius**2 * length / len(points) / head.grid.voxel_mm3
        index = np.rint(head.grid.to_index(points)).astype(int)
        index = index[((index >= 0) & (index < out.shape)).all(axis=1)]
        np.add.at(out, tuple(index.T), np.float32(share))
    return np.minimum(out, np.float32(1.0))


def _edema(
    head: Head,
    regions: Labels,
    sites: npt.NDArray[np.str_],
    away: Volume,
    rng: np.random.Generator,
) -> Volume:
    """Return a patch of edema: white matter below a stretch of cortex, and part of that."""
    lobar = np.isin(sites[regions], LOBES)
    white, grey = head.fractions["wm"], head.fractions["gm"]
    size = float(rng.uniform(11.0, 24.0))
    room = np.argwhere(lobar & (white > 0.5) & (away > size + 6.0))
    if not len(room):
        room = np.argwhere(lobar & (white > 0.5) & (away > 15.0))
    at = room[rng.integers(len(room))]
    rough = _rough(head, rng, 12.0)
    shape = np.zeros(away.shape, dtype=bool)
    _ellipsoid(shape, at, size * rng.uniform(0.8, 1.2, 3), rough, head)
    side = np.char.find(np.array([PLACES[n].side for n in PLACES]), "left") >= 0
    left = np.concatenate([[False], side])[regions]
    shape &= (left == left[tuple(at)]) & lobar & (away > 6.0)
    return np.asarray(_soft(shape, head) * (white + 0.6 * grey), dtype=np.float32)
