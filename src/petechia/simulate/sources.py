"""Magnetised spheres: microbleeds, drawn with the sizes real ones have, where real ones lie."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.errors import ParameterError
from petechia.simulate.atlas import (
    BRAINSTEM,
    CEREBELLUM,
    LOBES,
    NOWHERE,
    PLACES,
    Atlas,
    Place,
)
from petechia.simulate.bodies import Body
from petechia.simulate.head import HeadParams, from_template

# Where real microbleeds lie and how many a patient with any has: aggregates over 811 annotated
# microbleeds of public tables (SWI and T2*-GRE).
LOCATION_FRACTION = {
    "subcortical_wm": 0.3884,
    "cortex": 0.3440,
    "basal_ganglia": 0.0838,
    "cerebellum": 0.0740,
    "thalamus": 0.0592,
    "brainstem": 0.0419,
    "other_deep": 0.0086,
}
COUNT_QUANTILES = {0.25: 1.0, 0.5: 2.0, 0.75: 5.0, 0.9: 12.0, 0.99: 46.84}

# Moments whose simulated voids have the apparent sizes of those microbleeds
MOMENT_PPM_MM3 = (0.4, 2.3, 25.0)
"""5th, 50th and 95th percentile of the moment of microbleeds."""

PATTERNS = {
    "mixed": tuple(LOCATION_FRACTION),
    "lobar": ("subcortical_wm", "cortex"),
    "deep": ("basal_ganglia", "thalamus", "brainstem", "other_deep"),
}
"""Locations by clinical pattern."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sphere:
    """One ball of constant susceptibility.

    Attributes
    ----------
    centre_mm : tuple of float
        In head millimetres.
    radius_mm : float
        True radius.
    chi_ppm : float
        Above the tissue around it.
    substance : str
        A name of `tissues.SUBSTANCES`.
    """

    centre_mm: tuple[float, float, float]
    radius_mm: float
    chi_ppm: float
    substance: str = "hemosiderin"

    @property
    def moment_ppm_mm3(self) -> float:
        """Susceptibility times volume, signed."""
        return self.chi_ppm * self.volume_mm3

    @property
    def volume_mm3(self) -> float:
        """True volume."""
        return 4 / 3 * np.pi * self.radius_mm**3


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Source:
    """One lesion, of spheres that may touch, or of extended bodies, or of both.

    Attributes
    ----------
    kind : str
        A class of the output contract: 'microbleed', 'calcification', ...
    spheres : tuple of Sphere
        Small parts, whose fields are exact.
    bodies : tuple of Body
        Large parts of any shape.
    place : Place
        Site, side and compartment.
    structure : str
        Where it lies in words, when a site does not say it: 'pineal'.
    title : str
        What it is in words, when the class does not say it: 'cavernoma'.
    """

    kind: str
    spheres: tuple[Sphere, ...] = ()
    bodies: tuple[Body, ...] = ()
    place: Place = NOWHERE
    structure: str = ""
    title: str = ""

    @property
    def parts(self) -> tuple[Sphere | Body, ...]:
        """All that it is made of."""
        return (*self.spheres, *self.bodies)

    @property
    def moment_ppm_mm3(self) -> float:
        """Sum over its parts."""
        return sum(p.moment_ppm_mm3 for p in self.parts)

    @property
    def volume_mm3(self) -> float:
        """True volume."""
        return sum(p.volume_mm3 for p in self.parts)

    @property
    def chi_ppm(self) -> float:
        """Mean over its volume."""
        return self.moment_ppm_mm3 / self.volume_mm3

    @property
    def diameter_mm(self) -> float:
        """Of the sphere of equal volume."""
        return float(2 * (self.volume_mm3 * 3 / (4 * np.pi)) ** (1 / 3))

    @property
    def centre_mm(self) -> npt.NDArray[np.float64]:
        """Centre of the moment, in head millimetres."""
        weights = np.array([abs(p.moment_ppm_mm3) for p in self.parts])
        return np.average(np.array([p.centre_mm for p in self.parts]), axis=0, weights=weights)

    @property
    def spots(self) -> npt.NDArray[np.float64]:
        """Places all over it and the size of the void around each: (N, 4) [mm].

        The size is the cube root of the moment that lies there.
        """
        balls = [(*s.centre_mm, abs(s.moment_ppm_mm3) ** (1 / 3)) for s in self.spheres]
        return np.concatenate([np.array(balls).reshape(-1, 4), *(b.spots for b in self.bodies)])


def draw_moment(
    rng: np.random.Generator, quantiles: tuple[float, float, float] = MOMENT_PPM_MM3
) -> float:
    """Return a moment of a two-piece log-normal with these 5, 50 and 95 % points.

    Cut at a quarter of the lowest and four times the highest.
    """
    low, middle, high = np.log(quantiles)
    z = rng.standard_normal()
    spread = (middle - low if z < 0 else high - middle) / 1.6448536
    return float(np.clip(np.exp(middle + spread * z), quantiles[0] / 4, quantiles[2] * 4))


def draw_count(rng: np.random.Generator) -> int:
    """Return how many microbleeds a patient who has any may have."""
    levels = np.array([0.0, *COUNT_QUANTILES])
    counts = np.log([1.0, *COUNT_QUANTILES.values()])
    return max(1, round(float(np.exp(np.interp(rng.random(), levels, counts)))))


def sample_microbleeds(
    n: int,
    atlas: Atlas,
    head: HeadParams,
    rng: np.random.Generator,
    pattern: str = "mixed",
    *,
    clustered: float = 0.0,
    elongated: float = 0.0,
) -> tuple[Source, ...]:
    """Draw `n` microbleeds in the places of `pattern`.

    Parameters
    ----------
    n : int
        How many.
    atlas, head
        The template and the person.
    rng : Generator
        Source of randomness.
    pattern : str
        A name of `PATTERNS`.
    clustered : float
        Part of them that lies 4 to 9 mm from another; the rest keep 9 mm apart where there
        is room.
    elongated : float
        Part of them that is a row of touching spheres.
    """
    if pattern not in PATTERNS:
        raise ParameterError(
            f"pattern = {pattern!r}",
            where="sample_microbleeds",
            mend=f"Choose one of {', '.join(PATTERNS)}.",
        )
    names = PATTERNS[pattern]
    weights = np.array([LOCATION_FRACTION[name] for name in names])
    masks = location_masks(atlas)
    near, long = rng.spawn(2)
    taken: list[npt.NDArray[np.float64]] = []
    out = []
    for name in rng.choice(names, n, p=weights / weights.sum()):
        mask = masks[str(name)]
        if taken and near.random() < clustered:
            at, label = _pick_beside(mask, atlas, taken, near)
        else:
            at, label = pick(mask, atlas, rng, taken)
        taken.append(at)
        chi = float(np.clip(rng.normal(0.9, 0.35), 0.35, 2.0))
        centre = from_template(at, head, atlas)
        moment = draw_moment(rng)
        spheres = split(centre, moment, chi, rng)
        if long.random() < elongated:
            spheres = row_of_spheres(centre, moment, chi, long)
        out.append(Source(kind="microbleed", spheres=spheres, place=PLACES.get(label, NOWHERE)))
    return tuple(out)


def row_of_spheres(
    centre: npt.NDArray[np.float64], moment: float, chi: float, rng: np.random.Generator
) -> tuple[Sphere, ...]:
    """Return three to five touching spheres in a bent row: an elongated lesion."""
    n = int(rng.integers(3, 6))
    shares = rng.dirichlet(np.full(n, 12.0))
    radii = (abs(moment / chi) * shares * 3 / (4 * np.pi)) ** (1 / 3)
    way = rng.normal(0, 1, 3)
    places = [np.zeros(3)]
    for before, after in pairwise(radii):
        way = way / np.linalg.norm(way) + rng.normal(0, 0.15, 3)
        places.append(places[-1] + (before + after) * way / np.linalg.norm(way))
    return _joined(centre, places, radii, shares, chi)


def split(
    centre: npt.NDArray[np.float64], moment: float, chi: float, rng: np.random.Generator
) -> tuple[Sphere, ...]:
    """Return one sphere of `moment`; one in seven times two or three that touch."""
    n = int(rng.choice([1, 2, 3], p=[0.86, 0.09, 0.05]))
    shares = rng.dirichlet(np.full(n, 4.0))
    radii = (abs(moment / chi) * shares * 3 / (4 * np.pi)) ** (1 / 3)
    places = [np.zeros(3)]
    for before, after in pairwise(radii):
        way = rng.normal(0, 1, 3)
        places.append(places[-1] + (before + after) * way / np.linalg.norm(way))
    return _joined(centre, places, radii, shares, chi)


def _joined(
    centre: npt.NDArray[np.float64],
    places: Sequence[npt.NDArray[np.float64]],
    radii: npt.NDArray[np.float64],
    shares: npt.NDArray[np.float64],
    chi: float,
) -> tuple[Sphere, ...]:
    middle = np.average(places, axis=0, weights=shares)
    return tuple(
        Sphere(
            centre_mm=triple(centre + place - middle),
            radius_mm=float(r),
            chi_ppm=chi,
            substance="hemosiderin" if chi > 0 else "calcium",
        )
        for place, r in zip(places, radii, strict=True)
    )


def triple(vector: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    """Return a vector as three floats."""
    x, y, z = (float(v) for v in vector)
    return x, y, z


@lru_cache(maxsize=2)
def location_masks(atlas: Atlas) -> dict[str, npt.NDArray[np.bool_]]:
    """Return where on the template each of `LOCATION_FRACTION` is."""
    regions = atlas.regions
    label_of = {(p.site, p.side): label for label, p in PLACES.items()}

    def labels(sites: Sequence[str]) -> npt.NDArray[np.bool_]:
        wanted = [label_of[site, side] for site in sites for side in ("left", "right")]
        return np.isin(regions, wanted)

    deep_inside = ndimage.binary_erosion(atlas.brain > 0.5)
    white = atlas.t1 > 215
    lobes = labels(LOBES) & deep_inside
    wet = atlas.fluid > 0.3
    return {
        "subcortical_wm": (lobes | labels(["deep_periventricular_wm"])) & white & deep_inside,
        "cortex": lobes & ~white & ~wet,
        "basal_ganglia": labels(["basal_ganglia"]) & ~wet,
        "cerebellum": np.isin(regions, CEREBELLUM) & deep_inside & ~wet,
        "thalamus": labels(["thalamus"]) & ~wet,
        "brainstem": (regions == BRAINSTEM) & deep_inside & ~wet,
        "other_deep": labels(["internal_capsule", "external_capsule", "corpus_callosum"]) & ~wet,
    }


def pick(
    mask: npt.NDArray[np.bool_],
    atlas: Atlas,
    rng: np.random.Generator,
    taken: Sequence[npt.NDArray[np.float64]] = (),
) -> tuple[npt.NDArray[np.float64], int]:
    """Return a place of `mask` [template mm], 9 mm from others where there is room."""
    candidates = np.argwhere(mask)
    spacing = float(atlas.grid.spacing_mm[0])
    for _ in range(60):
        voxel = candidates[rng.integers(len(candidates))]
        at = atlas.grid.to_mm(voxel + rng.uniform(-0.5, 0.5, 3) * min(1.0, 2.0 / spacing))
        if all(np.linalg.norm(at - other) > 9.0 for other in taken):
            break
    return at, label_at(atlas, at)


def _pick_beside(
    mask: npt.NDArray[np.bool_],
    atlas: Atlas,
    taken: Sequence[npt.NDArray[np.float64]],
    rng: np.random.Generator,
) -> tuple[npt.NDArray[np.float64], int]:
    """Return a place of the brain 4 to 9 mm from a taken one, in `mask` where it can be."""
    for attempt in range(200):
        way = rng.normal(0, 1, 3)
        beside = taken[int(rng.integers(len(taken)))]
        at = beside + way / np.linalg.norm(way) * rng.uniform(4.0, 9.0)
        i, j, k = np.round(atlas.grid.to_index(at)).astype(int)
        inside = mask if attempt < 120 else atlas.brain > 0.9
        if inside[i, j, k] and all(np.linalg.norm(at - other) >= 4.0 for other in taken):
            return at, label_at(atlas, at)
    return pick(mask, atlas, rng, taken)


def label_at(atlas: Atlas, place_mm: npt.ArrayLike) -> int:
    """Return the region label at a place of the template [mm]."""
    index = np.round(atlas.grid.to_index(place_mm)).astype(int)
    i, j, k = np.clip(index, 0, np.asarray(atlas.grid.shape) - 1)
    return int(atlas.regions[i, j, k])
