"""A person's anatomy: the template's brain with folds, iron, cavities and a skull drawn anew."""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.assets.store import load_arrays
from second import channels as ch
from second.smooth import Mask, Volume, blurred, signed_distance_mm, smooth_noise

CEREBRA = {
    "third_ventricle": (29, 80),
    "fourth_ventricle": (37, 88),
    "lateral_ventricle": (41, 92),
    "inferior_lateral_ventricle": (5, 56),
    "brainstem": (11, 62),
    "ventral_diencephalon": (26, 77),
    "cerebellum": (46, 97, 39, 90),
    "vermis": (50, 101, 2, 53, 20, 71),
    "thalamus": (40, 91),
    "caudate": (49, 100),
    "putamen": (21, 72),
    "pallidum": (27, 78),
    "accumbens": (4, 55),
    "hippocampus": (48, 99),
    "amygdala": (19, 70),
    "basal_forebrain": (25, 76),
    "optic_chiasm": (17, 68),
}
"""CerebrA labels, right and left (half a vermis each); every other label is cortex."""

IRON_PPM = {
    "caudate": 0.055, "putamen": 0.065, "pallidum": 0.15, "thalamus": 0.012, "accumbens": 0.03,
}  # fmt: skip
"""Mean susceptibility of iron in labelled nuclei."""


@dataclass(frozen=True, slots=True)
class Ellipsoid:
    """A place on the right, or the middle, of the template; radii along x, y and z."""

    centre_mm: tuple[float, float, float]
    radii_mm: tuple[float, float, float]


NUCLEI_WITHOUT_LABEL = (
    (Ellipsoid((5, -20, -9), (3, 3.2, 4)), 0.11),
    (Ellipsoid((10, -17, -13), (5, 4, 2.2)), 0.14),
    (Ellipsoid((14, -57, -35), (7, 6, 4)), 0.10),
)
"""Red nucleus, substantia nigra and dentate nucleus with their iron [ppm]; mirrored."""
DENTATE_HILUM = Ellipsoid((14, -55.5, -34), (4.5, 3.5, 2))
"""White matter that the dentate nucleus is folded around; mirrored."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Anatomy:
    """A head on the 1 mm grid of the template, before it is warped.

    Attributes
    ----------
    atrophy : float
        0 to 1: by it ventricles, sulci and the fluid over the brain are wide.
    channels : (I, J, K, CHANNELS) ndarray of float32
        As `second.channels` names them.
    half_sulcus_mm : float
        Half the width of sulci.
    tissue : (I, J, K) ndarray of uint8
        By the rules of `second.channels`.
    parts : dict of str to (I, J, K) ndarray of bool
        By the names of `CEREBRA`, with 'cortex' and 'hindbrain', the soft cerebellum.
    regions : (A, B, C) ndarray of uint8
        The project's regions of the 2 mm template, the nearest where there was none.
    """

    atrophy: float
    channels: npt.NDArray[np.float32]
    half_sulcus_mm: float
    tissue: npt.NDArray[np.uint8]
    parts: dict[str, Mask]
    regions: npt.NDArray[np.uint8]

    def channel(self, which: int) -> Volume:
        """Return one channel."""
        volume: Volume = self.channels[..., which]
        return volume

    @property
    def height_mm(self) -> Volume:
        """Template z of every slice, to be compared with volumes."""
        return np.asarray(np.arange(self.tissue.shape[2]) + ch.ORIGIN_MM[2], dtype=np.float32)

    def region_at(self, place_mm: npt.NDArray[np.floating]) -> int:
        """Return the project's region at a place of the template."""
        at = np.rint((place_mm - ch.ORIGIN_MM) / 2).astype(int)
        i, j, k = np.clip(at, 0, np.array(self.regions.shape) - 1)
        return int(self.regions[i, j, k])


def anatomy_of(rng: np.random.Generator) -> Anatomy:
    """Return the anatomy of a new person."""
    atrophy = float(rng.uniform(0, 1))
    template = load_arrays("template")
    parts = _parts(template["cerebra"])
    t1w, brain = _finer(template["t1"], 3), _finer_mask(template["brain_mask"] > 0, 0.5)
    inside = blurred(signed_distance_mm(brain), 0.8)
    iron, nuclei = _nuclei(rng, parts)
    drawn = {
        ch.GREY_PART: _sharpened(_finer(template["gm"], 3)),
        ch.WHITE_PART: _sharpened(_finer(template["wm"], 3)),
        ch.INSIDE_MM: inside,
        ch.VENTRICLE: _ventricles(parts, atrophy),
        ch.NUCLEI: nuclei,
        ch.CAVITY: _cavities(rng, inside),
        ch.IRON_PPM: iron,
        ch.T1W: t1w,
        ch.SKIN_MM: _below_skin_mm(t1w),
        **_folds(rng, parts),
        **_coats(rng, inside.shape, atrophy),
    }
    volumes = np.empty((*inside.shape, ch.CHANNELS), np.float32)
    for which, volume in drawn.items():
        volumes[..., which] = volume
    half_sulcus_mm = 0.45 + 0.45 * atrophy
    nearest = ndimage.distance_transform_edt(
        template["regions"] == 0, return_distances=False, return_indices=True
    )
    return Anatomy(
        atrophy=atrophy,
        channels=volumes,
        half_sulcus_mm=half_sulcus_mm,
        tissue=ch.tissues_of(volumes, half_sulcus_mm),
        parts=parts,
        regions=template["regions"][tuple(nearest)],
    )


def _finer(volume: npt.NDArray[Any], order: int) -> Volume:
    """Return a 2 mm volume at 1 mm, the outermost voxels in their place."""
    factors = [(2 * n - 1) / n for n in volume.shape]
    return cast("Volume", ndimage.zoom(volume.astype(np.float32), factors, order=order))


def _finer_mask(mask: Mask, sigma: float = 0.6) -> Mask:
    # blurred first: the border of a mask that is only interpolated keeps its steps of 2 mm
    return np.asarray(_finer(blurred(mask, sigma), 1) > 0.5)


def _sharpened(part: Volume) -> Volume:
    return np.asarray(part + 0.9 * (part - blurred(part, 1.6)))


def _parts(cerebra: npt.NDArray[np.uint8]) -> dict[str, Mask]:
    known = [label for labels in CEREBRA.values() for label in labels]
    parts = {name: _finer_mask(np.isin(cerebra, labels)) for name, labels in CEREBRA.items()}
    parts["cortex"] = _finer_mask((cerebra > 0) & ~np.isin(cerebra, known))
    whole = parts["cerebellum"] | parts["vermis"]
    return {**parts, "hindbrain": blurred(whole, 1.5) > 0.4}


def _ventricles(parts: dict[str, Mask], atrophy: float) -> Volume:
    names = ["third_ventricle", "lateral_ventricle", "inferior_lateral_ventricle"]
    if atrophy > 0.3:  # a wide blur that is lifted moves the threshold outwards
        wide = np.logical_or.reduce([parts[name] for name in names])
        return np.asarray(blurred(wide, 1.6) * np.float32(1 + 0.8 * atrophy))
    return blurred(np.logical_or.reduce([parts[n] for n in [*names, "fourth_ventricle"]]), 0.8)


def _folds(rng: np.random.Generator, parts: dict[str, Mask]) -> dict[int, Volume]:
    """Return sulci: sheets where a noise of the width of gyri passes zero."""
    hindbrain = parts["hindbrain"]
    shape = hindbrain.shape
    stem = parts["brainstem"] | parts["ventral_diencephalon"]
    reach = np.clip(11 + 5 * smooth_noise(rng, shape, 12), 3, 20)
    reach = np.where(hindbrain, 9, reach) * (blurred(stem, 3) < 0.05)
    cerebrum, folia = _sheets_mm(rng, shape, 5.5), _sheets_mm(rng, shape, 1.7)
    return {ch.SHEET_MM: np.where(hindbrain, folia, cerebrum), ch.FOLD_MM: blurred(reach, 1)}


def _sheets_mm(rng: np.random.Generator, shape: tuple[int, ...], sigma: float) -> Volume:
    """Return the signed distance to where a band-passed noise is zero, to first order."""
    noise = smooth_noise(rng, shape, sigma)
    noise -= blurred(noise, 2.2 * sigma)
    slope = np.sqrt(sum(np.square(g) for g in np.gradient(noise)))
    return np.asarray(np.clip(noise / (slope + 0.25 * slope.mean()), -20, 20))


def _coats(rng: np.random.Generator, shape: tuple[int, ...], atrophy: float) -> dict[int, Volume]:
    """Return texture, the fluid over the brain and the skull."""
    fine, middle, broad = (smooth_noise(rng, shape, s) for s in (1.0, 3.0, 9.0))
    fluid = 1.2 + 1.5 * atrophy + (0.8 + 0.6 * atrophy) * smooth_noise(rng, shape, 9)
    skull = np.clip(6.5 + 1.5 * smooth_noise(rng, shape, 14), 3.5, 11)
    y, z = (np.arange(n) + o for n, o in zip(shape[1:], ch.ORIGIN_MM[1:], strict=True))
    thin = z[None] <= -25 + 0.2 * y[:, None]  # the base of the skull
    return {
        ch.TEXTURE: 0.6 * fine + 0.5 * middle + 0.4 * broad,
        ch.FLUID_MM: np.clip(fluid, 0.3, 7),
        ch.SKULL_MM: skull * np.where(thin, 0.35, 1.0),
    }


def _below_skin_mm(t1w: Volume) -> Volume:
    head = ndimage.binary_opening(ndimage.binary_fill_holes(t1w > 22), iterations=2)
    labels, _ = ndimage.label(head)
    head = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
    for k in range(head.shape[2]):
        head[:, :, k] = ndimage.binary_fill_holes(head[:, :, k])
    return blurred(signed_distance_mm(head), 1.0)


def _nuclei(rng: np.random.Generator, parts: dict[str, Mask]) -> tuple[Volume, Volume]:
    """Return the iron of nuclei [ppm] and where nuclei are, both soft."""
    scale = rng.uniform(0.8, 1.25)
    iron = np.zeros(parts["thalamus"].shape, np.float32)
    nuclei = np.zeros(iron.shape, bool)
    for name, ppm in IRON_PPM.items():
        nuclei |= parts[name]
        iron[parts[name]] = ppm * scale
    hilum = _filled(iron.shape, _both(DENTATE_HILUM))
    for ellipsoid, ppm in NUCLEI_WITHOUT_LABEL:
        where = _filled(iron.shape, _both(ellipsoid)) & ~hilum
        nuclei |= where
        iron[where] = ppm * scale
    return blurred(iron, 0.7), blurred(nuclei, 0.7)


def _cavities(rng: np.random.Generator, inside: Volume) -> Volume:
    """Return air in sinuses, nose, throat, ears and mastoids, with bony septa."""
    size = float(rng.uniform(0.5, 1.3))
    frontal_mm, mastoid_mm, sphenoid_mm = rng.normal(0, [1, 2, 2])
    paired = (
        Ellipsoid((9, 44, -38), (7, 17, 10)),
        Ellipsoid((9 + frontal_mm, 78, -12), (9 * size, 7, 13 * size)),
        Ellipsoid((32, 42, -60), (13, 15, 15)),
        Ellipsoid((54, -40 + mastoid_mm, -40), (8, 10, 12)),
        Ellipsoid((62, -22, -42), (18, 3.5, 3.5)),
    )
    middle = (
        Ellipsoid((sphenoid_mm, 14, -39), (13, 12, 8)),
        Ellipsoid((0, 58, -62), (11, 26, 16)),
        Ellipsoid((0, 8, -88), (11, 9, 34)),
    )
    every = [*middle, *(one for ellipsoid in paired for one in _both(ellipsoid))]
    air = _filled(inside.shape, every) & (inside < -3.0)
    return blurred(air & (smooth_noise(rng, inside.shape, 2.0) < 1.3), 0.6)


def _both(ellipsoid: Ellipsoid) -> tuple[Ellipsoid, Ellipsoid]:
    x, y, z = ellipsoid.centre_mm
    return ellipsoid, Ellipsoid((-x, y, z), ellipsoid.radii_mm)


def _filled(shape: tuple[int, ...], ellipsoids: list[Ellipsoid] | tuple[Ellipsoid, ...]) -> Mask:
    """Return which voxels lie in any of the ellipsoids."""
    where = np.zeros(shape, bool)
    axes = [np.arange(n) + o for n, o in zip(shape, ch.ORIGIN_MM, strict=True)]
    for ellipsoid in ellipsoids:
        parts = zip(axes, ellipsoid.centre_mm, ellipsoid.radii_mm, strict=True)
        x, y, z = (np.square((axis - c) / r) for axis, c, r in parts)
        where |= x[:, None, None] + y[:, None] + z < 1
    return where
