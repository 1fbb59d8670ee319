"""Veins that walk: along sulci, over the brain, to the ventricles, and the large ones by name."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from second import channels as ch
from second.anatomy import Anatomy
from second.smooth import Mask, Volume, at_places, blurred
from second.tissue import FLUID, WHITE

Vector = npt.NDArray[np.float64]
STEP_MM = 0.7
LEAST_POINTS = 10
CHI_PPM = (0.28, 0.45)
"""Venous blood against water."""
TIP_MM, TAPER = 0.12, 0.10
"""Radius at the ends of a vein, and what each millimetre from them may add."""
TO_VENTRICLE_STEPS = 60


@dataclass(frozen=True, slots=True, eq=False)
class Vein:
    """A line of points in the template with a radius at each, and the blood's susceptibility."""

    points_mm: Vector
    radii_mm: Vector
    chi_ppm: float


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """A volume on the template's grid that a walk feels, with its slope."""

    volume: Volume
    slopes: tuple[Volume, ...]

    def height(self, place_mm: Vector) -> float:
        """Return the volume at a place."""
        return float(at_places(self.volume, (place_mm - ch.ORIGIN_MM)[None])[0])

    def uphill(self, place_mm: Vector) -> Vector:
        """Return the direction in which the volume grows."""
        at = (place_mm - ch.ORIGIN_MM)[None]
        return _unit(np.array([at_places(slope, at)[0] for slope in self.slopes]))


def _ground(volume: Volume, sigma: float = 0.0) -> Ground:
    smooth = blurred(volume, sigma) if sigma else volume
    slopes = tuple(np.ascontiguousarray(s, np.float32) for s in np.gradient(smooth))
    return Ground(np.ascontiguousarray(volume), slopes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gait:
    """How a vein walks.

    Attributes
    ----------
    wobble : float
        Turn of each millimetre.
    in_sheet : bool
        It keeps to the middle of a sulcus.
    depth_mm : float or None
        It keeps to this depth below the surface of the brain.
    towards_mm : (3,) ndarray or None
        Place that draws it, and where it ends.
    """

    wobble: float
    in_sheet: bool = False
    depth_mm: float | None = None
    towards_mm: Vector | None = None


@dataclass(slots=True, eq=False)
class Garden:
    """Where veins grow."""

    rng: np.random.Generator
    sheet: Ground
    depth: Ground
    veins: list[Vein] = field(default_factory=list)

    def add(self, points_mm: npt.ArrayLike, radii_mm: npt.ArrayLike) -> None:
        """Keep a vein, with a susceptibility of its own."""
        chi = float(self.rng.uniform(*CHI_PPM))
        self.veins.append(Vein(np.asarray(points_mm), np.asarray(radii_mm), chi))

    def walk(
        self,
        start_mm: Vector,
        heading: Vector,
        length_mm: float,
        radii_mm: tuple[float, float],
        gait: Gait,
    ) -> None:
        """Grow a vein from a place; one that soon leaves the brain is none."""
        places = [start_mm, *self._steps(start_mm, _unit(heading), length_mm, gait)]
        if len(places) < LEAST_POINTS:
            return
        points = np.array(places)
        smooth = ndimage.gaussian_filter1d(points, 1.5, axis=0, mode="nearest")
        points[1:-1] = smooth[1:-1]
        along = np.arange(len(points)) * STEP_MM
        thin = TIP_MM + TAPER * np.minimum(along, along[-1] - along)
        self.add(points, np.minimum(np.linspace(*radii_mm, len(points)), thin))

    def _steps(
        self, place: Vector, heading: Vector, length_mm: float, gait: Gait
    ) -> Iterator[Vector]:
        for _ in range(int(length_mm / STEP_MM)):
            heading = heading + gait.wobble * STEP_MM * self.rng.standard_normal(3)
            heading = self._turned(place, _unit(heading), gait)
            place = self._kept(place + STEP_MM * heading, gait)
            towards = gait.towards_mm
            arrived = towards is not None and np.linalg.norm(towards - place) < 3
            if arrived or self.depth.height(place) < 0.6:
                return
            yield place

    def _turned(self, place: Vector, heading: Vector, gait: Gait) -> Vector:
        if gait.towards_mm is not None:
            heading = _unit(heading + 0.08 * _unit(gait.towards_mm - place))
        if gait.in_sheet:
            across = self.sheet.uphill(place)
            heading = _unit(heading - (heading @ across) * across)
        if gait.depth_mm is not None:
            inward = self.depth.uphill(place)
            heading = _unit(heading - 0.8 * (heading @ inward) * inward)
        return heading

    def _kept(self, place: Vector, gait: Gait) -> Vector:
        """Return a place drawn back to its sheet or its depth."""
        if gait.in_sheet:
            off = np.clip(self.sheet.height(place), -1, 1)
            place = place - 0.5 * off * self.sheet.uphill(place)
        if gait.depth_mm is not None:
            off = gait.depth_mm - self.depth.height(place)
            place = place + 0.4 * off * self.depth.uphill(place)
        return place

    def starts(self, where: Mask, number: int) -> Vector:
        """Return so many places of a mask (template mm)."""
        places = np.argwhere(where)
        return np.asarray(places[self.rng.choice(len(places), number)] + ch.ORIGIN_MM)

    def thread(self, points_mm: Sequence[npt.ArrayLike], radii_mm: tuple[float, float],
               spread_mm: float) -> None:  # fmt: skip
        """Grow a smooth vein through points, each moved a little."""
        knots = np.array(points_mm, dtype=float)
        knots += self.rng.normal(0, spread_mm, knots.shape)
        along = np.linspace(0, len(knots) - 1, 12 * len(knots))[None]
        order = min(3, len(knots) - 1)
        lines = [
            ndimage.map_coordinates(axis, along, order=order, mode="nearest") for axis in knots.T
        ]
        self.add(np.stack(lines, -1), np.linspace(*radii_mm, len(lines[0])))


def veins_of(rng: np.random.Generator, anatomy: Anatomy) -> list[Vein]:
    """Return the veins of a person."""
    depth = _ground(anatomy.channel(ch.INSIDE_MM), 1.5)
    garden = Garden(rng, _ground(anatomy.channel(ch.SHEET_MM)), depth)
    _sulcal(garden, anatomy)
    _superficial(garden, anatomy)
    _cerebellar(garden, anatomy)
    _medullary(garden, anatomy)
    _deep(garden, anatomy)
    _named(garden)
    _sinuses(garden)
    return garden.veins


def _unit(vector: Vector) -> Vector:
    return np.asarray(vector / (np.linalg.norm(vector) + 1e-9))


def _sulcal(garden: Garden, anatomy: Anatomy) -> None:
    rng, inside = garden.rng, anatomy.channel(ch.INSIDE_MM)
    within = (inside > 1.2) & (inside < anatomy.channel(ch.FOLD_MM) - 1)
    middle = np.abs(anatomy.channel(ch.SHEET_MM)) < 0.5
    fluid = (anatomy.tissue == FLUID) & (anatomy.channel(ch.VENTRICLE) < 0.1)
    for place in garden.starts(within & middle & fluid & ~anatomy.parts["hindbrain"], 230):
        radius = min(float(np.exp(rng.normal(np.log(0.5), 0.35))), 1.2)
        start, heading = place + rng.uniform(-0.4, 0.4, 3), rng.standard_normal(3)
        gait = Gait(wobble=0.15, in_sheet=True)
        garden.walk(start, heading, rng.uniform(14, 45), (radius, 0.5 * radius), gait)


def _superficial(garden: Garden, anatomy: Anatomy) -> None:
    """Grow veins over the brain towards the sagittal sinus."""
    rng, inside = garden.rng, anatomy.channel(ch.INSIDE_MM)
    for place in garden.starts((inside > 1) & (inside < 2) & (anatomy.height_mm > 5), 45):
        radius = float(rng.uniform(0.5, 1.4))
        top = np.array([0.0, place[1] - 10, 75.0])
        gait = Gait(wobble=0.25, depth_mm=1.3, towards_mm=top)
        heading = rng.standard_normal(3)
        garden.walk(place, heading, rng.uniform(20, 70), (0.4 * radius, radius), gait)


def _cerebellar(garden: Garden, anatomy: Anatomy) -> None:
    """Grow veins over the hemispheres, and straight ones within: none coils with the folia."""
    rng, inside = garden.rng, anatomy.channel(ch.INSIDE_MM)
    hindbrain = anatomy.parts["hindbrain"]
    for place in garden.starts((inside > 0.8) & (inside < 2.5) & hindbrain, 22):
        radius, heading = float(rng.uniform(0.3, 0.8)), rng.standard_normal(3)
        gait = Gait(wobble=0.12, depth_mm=1.3)
        garden.walk(place, heading, rng.uniform(12, 40), (radius, 0.6 * radius), gait)
    for place in garden.starts((inside > 3) & hindbrain, 22):
        radius, heading = float(rng.uniform(0.2, 0.6)), rng.standard_normal(3)
        gait = Gait(wobble=0.10)
        garden.walk(place, heading, rng.uniform(10, 30), (radius, 0.7 * radius), gait)


def _medullary(garden: Garden, anatomy: Anatomy) -> None:
    """Grow veins through white matter, down the distance to the ventricles."""
    rng = garden.rng
    ventricles = anatomy.parts["lateral_ventricle"]
    distance = ndimage.distance_transform_edt(~ventricles).astype(np.float32)
    ground = _ground(distance, 1.0)
    within = (distance > 8) & (distance < 24) & (anatomy.tissue == WHITE)
    for place in garden.starts(within & (anatomy.height_mm > 8), 150):
        places, heading = [place], -ground.uphill(place)
        for _ in range(TO_VENTRICLE_STEPS):
            places.append(places[-1] + STEP_MM * heading)
            if ground.height(places[-1]) < 0.8:
                break
            drawn = 0.12 * rng.standard_normal(3) - 0.35 * ground.uphill(places[-1])
            heading = _unit(heading + drawn)
        radius = float(rng.uniform(0.2, 0.45))
        garden.add(places, np.linspace(0.7 * radius, 1.25 * radius, len(places)))


def _deep(garden: Garden, anatomy: Anatomy) -> None:
    """Grow veins upwards through the nuclei, and backwards through the brainstem."""
    rng, parts = garden.rng, anatomy.parts
    nuclei = parts["putamen"] | parts["thalamus"] | parts["caudate"]
    for place in garden.starts(nuclei, 24):
        heading = np.array([0, 0, 1.0]) + 0.4 * rng.standard_normal(3)
        radii = (float(rng.uniform(0.2, 0.45)), 0.2)
        garden.walk(place, heading, rng.uniform(9, 18), radii, Gait(wobble=0.15))
    within = (anatomy.channel(ch.INSIDE_MM) > 2) & (anatomy.height_mm > -50)
    for place in garden.starts(parts["brainstem"] & within, 12):
        heading = np.array([0, -1.0, 0]) + 0.5 * rng.standard_normal(3)
        radii = (float(rng.uniform(0.2, 0.4)), 0.2)
        garden.walk(place, heading, rng.uniform(8, 16), radii, Gait(wobble=0.15))


def _named(garden: Garden) -> None:
    for s in (-1, 1):
        internal_cerebral = [
            (18, -12, 20), (12, 4, 20), (4, 6, 12), (2.5, -8, 13), (2, -28, 12), (0, -40, 12),
        ]  # fmt: skip
        basal = [(14, 8, -18), (15, -8, -18), (20, -24, -8), (10, -36, 4), (0, -42, 10)]
        septal = [(3, 30, 8), (3, 20, 16), (3, 6, 14)]
        for points, radii, spread_mm in (
            (internal_cerebral, (0.6, 1.3), 0.6),
            (basal, (0.6, 1.3), 0.8),
            (septal, (0.4, 0.7), 0.5),
        ):
            garden.thread([(s * x, y, z) for x, y, z in points], radii, spread_mm)
    straight_sinus = [(0, -40, 12), (0, -52, 14), (0, -66, 6), (0, -80, -4), (0, -92, -10)]
    garden.thread(straight_sinus, (1.8, 2.6), 0.5)


def _sinuses(garden: Garden) -> None:
    """Lay the sagittal sinus and both transverse sinuses along the rim of the brain."""
    turns = np.radians(np.linspace(15, 215, 60))
    rays = np.stack([0 * turns, np.cos(turns), np.sin(turns)], -1)
    rim = _rim(garden, np.array([0.0, -15.0, -5.0]) + 0 * rays, rays, (30, 130), -0.5)
    garden.add(rim, np.linspace(1.2, 3.4, len(rim)))
    for s in (-1, 1):
        turns = np.radians(np.linspace(5, 80, 30))
        rays = np.stack([s * np.sin(turns), -np.cos(turns), 0 * turns], -1)
        down = -14 - 16 * np.linspace(0, 1, 30)
        middle = np.stack([0 * turns, 0 * turns - 30, down], -1)
        rim = _rim(garden, middle, rays, (25, 110), -0.3)
        if len(rim) > 5:
            garden.add(rim, np.full(len(rim), garden.rng.uniform(2, 3.2)))


def _rim(
    garden: Garden, starts: Vector, rays: Vector, span_mm: tuple[float, float], depth_mm: float
) -> Vector:
    """Return where rays first come above a depth below the brain's surface."""
    away = np.arange(*span_mm, 0.5)
    rim = []
    for start, ray in zip(starts, rays, strict=True):
        places = start + away[:, None] * ray
        out = at_places(garden.depth.volume, places - ch.ORIGIN_MM) < depth_mm
        if out.any() and not out[0]:
            rim.append(places[np.argmax(out)])
    return np.array(rim).reshape(-1, 3)
