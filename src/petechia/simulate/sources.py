"""Magnetised spheres: microbleeds and calcifications, drawn with the sizes real ones have."""

from collections.abc import Sequence
from dataclasses import dataclass
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
CALCIFICATION_PPM_MM3 = (1.5, 8.0, 45.0)
"""The same, of calcifications, as absolute values."""

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
    """

    centre_mm: tuple[float, float, float]
    radius_mm: float
    chi_ppm: float

    @property
    def moment_ppm_mm3(self) -> float:
        """Susceptibility times volume, signed."""
        return self.chi_ppm * 4 / 3 * np.pi * self.radius_mm**3


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One lesion, of one or more touching spheres.

    Attributes
    ----------
    kind : str
        'microbleed' or 'calcification'.
    spheres : tuple of Sphere
        What it is made of.
    place : Place
        Site, side and compartment.
    structure : str
        Where it lies in words, when a site does not say it: 'pineal'.
    """

    kind: str
    spheres: tuple[Sphere, ...]
    place: Place = NOWHERE
    structure: str = ""

    @property
    def moment_ppm_mm3(self) -> float:
        """Sum over its spheres."""
        return sum(s.moment_ppm_mm3 for s in self.spheres)

    @property
    def volume_mm3(self) -> float:
        """True volume."""
        return sum(4 / 3 * np.pi * s.radius_mm**3 for s in self.spheres)

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
        weights = np.array([abs(s.moment_ppm_mm3) for s in self.spheres])
        return np.average(np.array([s.centre_mm for s in self.spheres]), axis=0, weights=weights)


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
    n: int, atlas: Atlas, head: HeadParams, rng: np.random.Generator, pattern: str = "mixed"
) -> tuple[Source, ...]:
    """Draw `n` microbleeds in the places of `pattern`, apart from one another."""
    if pattern not in PATTERNS:
        raise ParameterError(
            f"pattern = {pattern!r}",
            where="sample_microbleeds",
            mend=f"Choose one of {', '.join(PATTERNS)}.",
        )
    names = PATTERNS[pattern]
    weights = np.array([LOCATION_FRACTION[name] for name in names])
    masks = _location_masks(atlas)
    taken: list[npt.NDArray[np.float64]] = []
    out = []
    for name in rng.choice(names, n, p=weights / weights.sum()):
        at, label = _pick(masks[str(name)], atlas, taken, rng)
        taken.append(at)
        chi = float(np.clip(rng.normal(0.9, 0.35), 0.35, 2.0))
        centre = from_template(at, head, atlas)
        spheres = _split(centre, draw_moment(rng), chi, rng)
        out.append(Source(kind="microbleed", spheres=spheres, place=PLACES.get(label, NOWHERE)))
    return tuple(out)


def sample_calcifications(
    n: int, atlas: Atlas, head: HeadParams, rng: np.random.Generator
) -> tuple[Source, ...]:
    """Draw `n` calcifications: pineal, pallidal, of the choroid plexus."""
    spots: list[tuple[tuple[float, float, float], str]] = [
        ((0.0, -30.0, 1.0), "pineal"),
        ((-19.0, -4.0, -1.0), "pallidum"),
        ((19.0, -4.0, -1.0), "pallidum"),
        ((-23.0, -40.0, 9.0), "choroid plexus"),
        ((23.0, -40.0, 9.0), "choroid plexus"),
    ]
    out = []
    for index in rng.permutation(np.arange(n) % len(spots)):
        spot, structure = spots[int(index)]
        at = np.asarray(spot) + rng.normal(0, 1.2, 3)
        moment = -draw_moment(rng, CALCIFICATION_PPM_MM3)
        chi = -float(rng.uniform(0.7, 2.4))
        centre = from_template(at, head, atlas)
        out.append(
            Source(
                kind="calcification",
                spheres=_split(centre, moment, chi, rng),
                place=PLACES.get(_label_at(atlas, at), NOWHERE),
                structure=structure,
            )
        )
    return tuple(out)


def _split(
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
    middle = np.average(places, axis=0, weights=shares)
    return tuple(
        Sphere(centre_mm=_triple(centre + place - middle), radius_mm=float(r), chi_ppm=chi)
        for place, r in zip(places, radii, strict=True)
    )


def _triple(vector: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = (float(v) for v in vector)
    return x, y, z


def _location_masks(atlas: Atlas) -> dict[str, npt.NDArray[np.bool_]]:
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


def _pick(
    mask: npt.NDArray[np.bool_],
    atlas: Atlas,
    taken: list[npt.NDArray[np.float64]],
    rng: np.random.Generator,
) -> tuple[npt.NDArray[np.float64], int]:
    """Return a place of `mask` [template mm], 9 mm from others where there is room."""
    candidates = np.argwhere(mask)
    spacing = float(atlas.grid.spacing_mm[0])
    for _ in range(60):
        voxel = candidates[rng.integers(len(candidates))]
        at = atlas.grid.to_mm(voxel + rng.uniform(-0.5, 0.5, 3) * min(1.0, 2.0 / spacing))
        if all(np.linalg.norm(at - other) > 9.0 for other in taken):
            break
    return at, _label_at(atlas, at)


def _label_at(atlas: Atlas, place_mm: npt.ArrayLike) -> int:
    index = np.round(atlas.grid.to_index(place_mm)).astype(int)
    i, j, k = np.clip(index, 0, np.asarray(atlas.grid.shape) - 1)
    return int(atlas.regions[i, j, k])
