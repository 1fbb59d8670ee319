"""Microbleeds and calcifications: spheres, ellipsoids and lobes of a known moment."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage, special

from second import channels as ch
from second.anatomy import Anatomy
from second.smooth import Mask, at_places
from second.tissue import GREY, NUCLEUS, WHITE
from second.veins import Vein

Vector = npt.NDArray[np.float64]
MICROBLEED, CALCIFICATION = "microbleed", "calcification"
SITES = {
    "subcortical white matter": 0.36,
    "cortex": 0.35,
    "basal ganglia": 0.08,
    "thalamus": 0.06,
    "brainstem": 0.06,
    "cerebellum": 0.09,
}
"""How often microbleeds lie where."""
MEDIAN_PPM_MM3, LOG_SD_BELOW, LOG_SD_ABOVE = 2.3, 1.06, 1.45
LEAST_PPM_MM3, MOST_PPM_MM3 = 0.3, 45.0
"""Moments of microbleeds: two halves of log-normals."""
LEAST_MM, MOST_MM = 0.7, 4.6
"""Diameters of microbleeds."""
CALCIFICATIONS: tuple[tuple[str, tuple[float, float, float], float], ...] = (
    ("choroid plexus", (27, -42, 12), 2.0),
    ("pallidum", (19, -4, -1), 3.0),
    ("pineal gland", (0, -29, 2), 1.2),
    ("falx", (0, 20, 46.5), 0.4),
    ("subcortical white matter", (0, 0, 0), 0.0),
    ("choroid plexus", (-27, -42, 12), 2.0),
    ("pallidum", (-19, -4, -1), 3.0),
    ("choroid plexus", (10, -8, 20), 1.5),
)
"""Where calcium lies (template mm) and how far from there; the first five come first."""
FALX_MM = (30.0, 8.5)
"""How far to both sides calcium of the falx lies along y and z."""
TRIES = 60
POINTS = 60_000
"""Points by which the volume of overlapping spheres is measured."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Lesion:
    """One lesion.

    Attributes
    ----------
    kind : str
        `MICROBLEED` or `CALCIFICATION`.
    where : str
        In words.
    place_mm : (3,) ndarray
        Template.
    offsets_mm : (N, 3) ndarray
        Centres of its spheres from its place, in the scanner: lesions are not warped.
    radii_mm : (N,) ndarray
        Of its spheres, which may overlap; their susceptibilities then add up.
    sphere_chi_ppm : float
        Of each sphere, by which the moments of the spheres sum up to that of the lesion.
    chi_ppm : float
        Moment over the volume of the lesion.
    moment_ppm_mm3 : float
        Above 0 for blood, below for calcium.
    shape : str
        'sphere', 'ellipsoid' or 'lobed'.
    """

    kind: str
    where: str
    place_mm: Vector
    offsets_mm: Vector
    radii_mm: Vector
    sphere_chi_ppm: float
    chi_ppm: float
    moment_ppm_mm3: float
    shape: str

    @property
    def diameter_mm(self) -> float:
        """Diameter of the sphere of the same volume."""
        return ball_diameter_mm(self.moment_ppm_mm3 / self.chi_ppm)


def ball_diameter_mm(volume_mm3: float) -> float:
    """Return the diameter of a ball."""
    return float(np.cbrt(6 * volume_mm3 / np.pi))


def lesion_of(
    rng: np.random.Generator,
    kind: str,
    where: str,
    place_mm: Vector,
    moment_ppm_mm3: float,
    chi_ppm: float,
) -> Lesion:
    """Return a lesion of a moment and a susceptibility, of any shape."""
    volume = moment_ppm_mm3 / chi_ppm
    shape, offsets, radii = _shape(rng, volume)
    low, high = (offsets - radii[:, None]).min(0), (offsets + radii[:, None]).max(0)
    points = rng.uniform(low, high, (POINTS, 3))
    away = np.linalg.norm(points[:, None] - offsets, axis=2)
    union = (away < radii).any(axis=1).mean() * (high - low).prod()
    scale = np.cbrt(volume / union)
    radii = radii * scale
    return Lesion(
        kind=kind,
        where=where,
        place_mm=place_mm,
        offsets_mm=offsets * scale,
        radii_mm=radii,
        sphere_chi_ppm=float(moment_ppm_mm3 / (4 / 3 * np.pi * radii**3).sum()),
        chi_ppm=chi_ppm,
        moment_ppm_mm3=moment_ppm_mm3,
        shape=shape,
    )


def _shape(rng: np.random.Generator, volume_mm3: float) -> tuple[str, Vector, Vector]:
    """Return centres and radii of spheres, not yet of the right size."""
    drawn = rng.random()
    if drawn < 0.5 or volume_mm3 < 0.6:
        return "sphere", np.zeros((1, 3)), np.ones(1)
    if drawn < 0.78:
        along = _direction(rng) * rng.uniform(0.5, 1.2)
        offsets = np.array([-1, -0.5, 0, 0.5, 1])[:, None] * along
        return "ellipsoid", offsets, np.array([0.7, 0.9, 1.0, 0.9, 0.7])
    lobes = int(rng.integers(1, 4))
    radii = rng.uniform(0.5, 0.95, lobes)
    reach = rng.uniform(0.7, 1.1, lobes) * (1 + radii) * 0.62
    lobe_mm = np.array([_direction(rng) for _ in range(lobes)]) * reach[:, None]
    return "lobed", np.vstack([np.zeros(3), lobe_mm]), np.append(1.0, radii)


def _direction(rng: np.random.Generator) -> Vector:
    drawn = rng.standard_normal(3)
    return np.asarray(drawn / np.linalg.norm(drawn))


@dataclass(frozen=True, slots=True, eq=False)
class Room:
    """What is taken: by veins, and by the lesions so far."""

    vein_mm: Vector
    vein_radius_mm: Vector
    lesions: list[Lesion]

    def is_free(self, place_mm: Vector, radius_mm: float) -> bool:
        """Return whether a lesion of a radius (with room around it) can lie at a place."""
        for other in self.lesions:
            apart = np.linalg.norm(place_mm - other.place_mm)
            if apart < radius_mm + 3.5 + other.diameter_mm / 2:
                return False
        away = np.linalg.norm(self.vein_mm - place_mm, axis=1)
        return bool((away - self.vein_radius_mm).min() > 0.3)


def lesions_of(
    rng: np.random.Generator, anatomy: Anatomy, veins: Sequence[Vein], microbleeds: int
) -> list[Lesion]:
    """Return the lesions of a person: so many microbleeds, and five to eight calcifications.

    One that finds no room is left out.
    """
    room = Room(
        np.concatenate([vein.points_mm for vein in veins]),
        np.concatenate([vein.radii_mm for vein in veins]),
        [],
    )
    sites = {name: np.argwhere(mask) for name, mask in site_masks(anatomy).items()}
    # one from each part of the distribution: every person has small ones and large ones
    quantiles = (np.arange(microbleeds) + rng.uniform(0, 1, microbleeds)) / max(microbleeds, 1)
    for quantile in rng.permutation(quantiles):
        lesion = _microbleed(rng, float(quantile), anatomy, sites, room)
        if lesion is not None:
            room.lesions.append(lesion)
    order = [0, 1, 2, 3, 4, *rng.permutation([5, 6, 7])]
    for which in order[: int(rng.integers(5, 9))]:
        room.lesions.append(_calcification(rng, int(which), sites, room))
    return room.lesions


def site_masks(anatomy: Anatomy) -> dict[str, Mask]:
    """Return where in the template's brain microbleeds may lie, by the names of `SITES`."""
    parts, inside = anatomy.parts, anatomy.channel(ch.INSIDE_MM)
    height, tissue = anatomy.height_mm, anatomy.tissue
    stem = parts["brainstem"] | parts["ventral_diencephalon"]
    cerebrum = (inside > 0.8) & ~parts["hindbrain"] & ~stem & (height > -45)
    from_cortex = ndimage.distance_transform_edt(~parts["cortex"])
    ventricles = parts["lateral_ventricle"] | parts["third_ventricle"]
    periventricular = ndimage.distance_transform_edt(~ventricles) <= 8
    white = (tissue == WHITE) & (from_cortex < 9) & ~periventricular
    masks = {
        "subcortical white matter": white & cerebrum,
        "cortex": (tissue == GREY) & (from_cortex < 2) & cerebrum,
        "basal ganglia": parts["caudate"] | parts["putamen"] | parts["pallidum"],
        "thalamus": parts["thalamus"],
        "brainstem": parts["brainstem"] & (inside > 2) & (height > -52),
        "cerebellum": (parts["cerebellum"] | parts["vermis"]) & (inside > 1.5),
    }
    return {name: mask & np.isin(tissue, (GREY, WHITE, NUCLEUS)) for name, mask in masks.items()}


def _microbleed(
    rng: np.random.Generator,
    quantile: float,
    anatomy: Anatomy,
    sites: dict[str, npt.NDArray[np.int64]],
    room: Room,
) -> Lesion | None:
    log_sd = LOG_SD_ABOVE if quantile > 0.5 else LOG_SD_BELOW
    drawn = MEDIAN_PPM_MM3 * np.exp(log_sd * special.ndtri(quantile))
    moment = float(np.clip(drawn, LEAST_PPM_MM3, MOST_PPM_MM3))
    names, often = list(SITES), np.array(list(SITES.values()))
    for _ in range(TRIES):
        site = names[rng.choice(len(names), p=often / often.sum())]
        voxel = sites[site][rng.integers(len(sites[site]))] + rng.uniform(-0.5, 0.5, 3)
        chi = np.exp(rng.normal(np.log(0.9), 0.45)) * (moment / MEDIAN_PPM_MM3) ** 0.12
        chi = max(float(np.clip(chi, 0.3, 3.0)), moment / (np.pi / 6 * MOST_MM**3))
        diameter = ball_diameter_mm(moment / chi)
        depth = at_places(anatomy.channel(ch.INSIDE_MM), voxel[None])[0]
        place = voxel + ch.ORIGIN_MM
        if diameter < LEAST_MM or depth < diameter / 2 + 0.6:
            continue
        if room.is_free(place, 4 + diameter / 2):
            return lesion_of(rng, MICROBLEED, site, place, moment, chi)
    return None


def _calcification(
    rng: np.random.Generator, which: int, sites: dict[str, npt.NDArray[np.int64]], room: Room
) -> Lesion:
    where, usual_mm, spread_mm = CALCIFICATIONS[which]
    for _ in range(TRIES):
        if where in sites:
            place = sites[where][rng.integers(len(sites[where]))] + ch.ORIGIN_MM
        else:
            place = np.array(usual_mm) + rng.normal(0, spread_mm, 3)
        if where == "falx":  # anywhere on the sheet
            place[1:] += rng.uniform(-1, 1, 2) * FALX_MM
        if room.is_free(place, 5.0):
            break
    moment = float(np.clip(np.exp(rng.normal(np.log(4), 1.0)), 0.5, 40))
    chi = float(np.clip(np.exp(rng.normal(np.log(0.9), 0.4)), 0.35, 2.2))
    return lesion_of(rng, CALCIFICATION, where, place, -moment, -max(chi, moment / 60))
