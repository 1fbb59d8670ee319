"""What the simulator knows of the template: its arrays, its labels, a few places.

Region labels are those of the vendored region atlas: twelve paired MARS sites with an unsplit
brainstem, then the ventricles. Nuclei without a label there are ellipsoids at their usual
stereotaxic place.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.core.grid import Grid
from petechia.errors import InputError

Volume = npt.NDArray[np.float32]

PAIRED_SITES = (
    "frontal", "parietal", "temporal", "occipital", "insula", "basal_ganglia", "thalamus",
    "internal_capsule", "external_capsule", "corpus_callosum", "deep_periventricular_wm",
)  # fmt: skip
LOBES = PAIRED_SITES[:5]
BRAINSTEM, CEREBELLUM, VENTRICLES = 23, (24, 25), (26, 27, 28)


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the brain: words of the output contract."""

    site: str
    side: str
    compartment: str


def _places() -> dict[int, Place]:
    out = {}
    for n, site in enumerate(PAIRED_SITES):
        compartment = "lobar" if site in LOBES else "deep"
        for side_index, side in enumerate(("left", "right")):
            out[2 * n + 1 + side_index] = Place(site, side, compartment)
    out[BRAINSTEM] = Place("brainstem", "midline", "infratentorial")
    for label, side in zip(CEREBELLUM, ("left", "right"), strict=True):
        out[label] = Place("cerebellum", side, "infratentorial")
    for label, side in zip(VENTRICLES, ("left", "right", "midline"), strict=True):
        out[label] = Place("n/a", side, "n/a")
    return out


PLACES = _places()
"""Region label to place."""

NOWHERE = Place("n/a", "n/a", "n/a")

CEREBRA_NUCLEI = {
    "caudate": (49, 100),
    "putamen": (21, 72),
    "pallidum": (27, 78),
    "thalamus": (40, 91),
}
"""CerebrA labels of the nuclei that it has."""

ELLIPSOID_NUCLEI = {
    "red_nucleus": ((5.0, -20.0, -9.0), (3.0, 3.2, 3.8), 0.0),
    "substantia_nigra": ((10.5, -17.5, -11.5), (2.6, 6.5, 3.2), 35.0),
    "subthalamic": ((11.0, -13.0, -6.5), (3.6, 3.6, 2.2), 20.0),
    "dentate": ((14.5, -58.0, -34.0), (4.2, 7.5, 4.8), 25.0),
}
"""Right-hand centre and half axes [mm], and turn about z [degrees]; mirrored on the left."""

NUCLEI_CHI_PPM = {
    "pallidum": (0.12, 0.20),
    "substantia_nigra": (0.10, 0.17),
    "red_nucleus": (0.08, 0.14),
    "dentate": (0.07, 0.12),
    "subthalamic": (0.08, 0.14),
    "putamen": (0.04, 0.10),
    "caudate": (0.03, 0.07),
    "thalamus": (0.0, 0.02),
}
"""Range of the susceptibility of nuclei in adults against water."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Atlas:
    """The template, ready to be warped.

    Attributes
    ----------
    grid : Grid
        Of all arrays.
    t1 : (I, J, K) ndarray of float32
        T1-weighted, sharpened, 0..255.
    brain, head, air : (I, J, K) ndarray of float32
        Soft masks 0..1: brain with its sulcal fluid; everything inside the skin; air
        in sinuses, ear canals and mastoid cells.
    nuclei : dict of str to (I, J, K) ndarray of float32
        Soft masks of grey nuclei.
    regions : (I, J, K) ndarray of int16
        Labels of `PLACES`.
    """

    grid: Grid
    t1: Volume
    brain: Volume
    head: Volume
    air: Volume
    nuclei: dict[str, Volume]
    regions: npt.NDArray[np.int16]

    @property
    def places_mm(self) -> npt.NDArray[np.float64]:
        """Template millimetres of every voxel, (I, J, K, 3)."""
        return places_of(self.grid)

    @property
    def fluid(self) -> Volume:
        """How much of each voxel of the brain is cerebrospinal fluid, 0..1."""
        return fluid_fraction(self.t1) * self.brain


NEEDED = ("t1", "t2", "brain_mask", "cerebra", "regions", "affine")


def atlas_from(arrays: Mapping[str, npt.NDArray[np.generic]]) -> Atlas:
    """Return the atlas made of template arrays.

    Parameters
    ----------
    arrays : mapping
        't1', 't2', 'brain_mask', 'cerebra', 'regions' on one grid, and its 'affine'.

    Raises
    ------
    InputError
        When one is missing or has another shape.
    """
    missing = [name for name in NEEDED if name not in arrays]
    if missing:
        raise InputError(
            f"no {', '.join(missing)} among {', '.join(arrays) or 'nothing'}",
            where="template_arrays",
            mend="Pass the arrays of the vendored template.",
        )
    affine = np.asarray(arrays["affine"], dtype=np.float64)
    i, j, k = arrays["t1"].shape
    grid = Grid((i, j, k), affine)
    for name in NEEDED[1:-1]:
        grid.require(arrays[name], f"template_arrays[{name!r}]")
    key = hash(tuple(np.ascontiguousarray(arrays[name]).tobytes() for name in NEEDED))
    if key not in _LAST:
        _LAST.clear()
        _LAST[key] = _made(arrays, grid)
    return _LAST[key]


_LAST: dict[int, Atlas] = {}
"""The atlas made last, by what it was made of: everyone uses the same template."""


def _made(arrays: Mapping[str, npt.NDArray[np.generic]], grid: Grid) -> Atlas:
    t1 = np.asarray(arrays["t1"], dtype=np.float32)
    t2 = np.asarray(arrays["t2"], dtype=np.float32)
    brain = _tidied(np.asarray(arrays["brain_mask"]) > 0)
    head = _head(t1, brain)
    return Atlas(
        grid=grid,
        t1=_sharpened(t1),
        brain=_soft(brain, 0.6),
        head=_soft(head, 0.6),
        air=_soft(_cavities(t1, t2, brain, head, grid), 0.5),
        nuclei=_nuclei(np.asarray(arrays["cerebra"]), grid),
        regions=np.asarray(arrays["regions"], dtype=np.int16),
    )


def places_of(grid: Grid) -> npt.NDArray[np.float64]:
    """Return world millimetres of every voxel, (I, J, K, 3)."""
    i, j, k = (np.arange(n, dtype=np.float64) for n in grid.shape)
    return grid.to_mm(np.stack(np.meshgrid(i, j, k, indexing="ij"), axis=-1))


def fluid_fraction(t1: Volume) -> Volume:
    """Return how fluid-like a T1 intensity of the template's brain is, 0..1."""
    return np.asarray(np.clip((150.0 - t1) / 75.0, 0.0, 1.0), dtype=np.float32)


def _soft(mask: npt.NDArray[np.bool_], sigma_vox: float) -> Volume:
    return np.asarray(ndimage.gaussian_filter(mask.astype(np.float32), sigma_vox), np.float32)


def _sharpened(t1: Volume) -> Volume:
    """Return the averaged template with some of its lost detail put back."""
    sharp = np.clip(2.0 * t1 - ndimage.gaussian_filter(t1, 1.2), 0.0, 255.0)
    return np.asarray(sharp, dtype=np.float32)


def _tidied(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return the brain mask without its ragged shreds at the roof of the orbits."""
    ball = ndimage.generate_binary_structure(3, 1)
    opened = ndimage.binary_opening(mask, ball, iterations=3)
    return np.asarray(ndimage.binary_closing(opened, ball, iterations=2), dtype=bool)


def _head(t1: Volume, brain: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return everything inside the skin, cavities filled slice by slice."""
    wide = ndimage.binary_closing(np.pad(t1 > 62, 4), iterations=3)[4:-4, 4:-4, 4:-4] | brain
    labels, _ = ndimage.label(wide)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    head = labels == sizes.argmax()
    for axis in range(3):
        for n in range(head.shape[axis]):
            where = [slice(None)] * 3
            where[axis] = slice(n, n + 1)
            section = head[tuple(where)]
            head[tuple(where)] = ndimage.binary_fill_holes(section.squeeze(axis)).reshape(
                section.shape
            )
    return np.asarray(head, dtype=bool)


def _cavities(
    t1: Volume,
    t2: Volume,
    brain: npt.NDArray[np.bool_],
    head: npt.NDArray[np.bool_],
    grid: Grid,
) -> npt.NDArray[np.bool_]:
    """Return air inside the head: dark in both contrasts, where sinuses and ears are.

    Bone is as dark as air on the averaged template; place and distance tell them apart:
    nasal cavity and paranasal sinuses lie in front of the sphenoid near the midline, ear
    canals and mastoid cells beside the posterior fossa, and a lamella of bone of about
    2 mm parts each from the brain.
    """
    x, y, z = (places_of(grid)[..., a] for a in range(3))
    face = (np.abs(x) < 24) & (y > 2) & (z < -8) & (t1 < 75) & (t2 < 75)
    frontal = (np.abs(x) < 20) & (y > 62) & (z >= -8) & (z < 14) & (t1 < 62)
    ears = (np.abs(x) > 26) & (y > -62) & (y < 2) & (z < -20) & (t1 < 50) & (t2 < 42)
    from_brain = ndimage.distance_transform_edt(~brain, sampling=grid.spacing_mm)
    from_skin = ndimage.distance_transform_edt(head, sampling=grid.spacing_mm)
    deep = (from_brain > 2.5) & ((from_skin > 5.0) | (ears & (from_skin > 0)))
    found = (face | frontal | ears) & deep & head
    return np.asarray(ndimage.binary_opening(found) | (found & face), dtype=bool)


def _nuclei(cerebra: npt.NDArray[np.generic], grid: Grid) -> dict[str, Volume]:
    out = {name: _soft(np.isin(cerebra, both), 0.5) for name, both in CEREBRA_NUCLEI.items()}
    places = places_of(grid)
    for name, (centre, axes, turn) in ELLIPSOID_NUCLEI.items():
        soft = np.zeros(grid.shape, dtype=np.float32)
        for sign in (-1.0, 1.0):
            c, s = np.cos(np.deg2rad(sign * turn)), np.sin(np.deg2rad(sign * turn))
            away = places - np.asarray(centre) * (sign, 1.0, 1.0)
            turned = np.stack(
                [
                    c * away[..., 0] + s * away[..., 1],
                    -s * away[..., 0] + c * away[..., 1],
                    away[..., 2],
                ],
                axis=-1,
            )
            radius = np.linalg.norm(turned / np.asarray(axes), axis=-1)
            edge = 1.0 / (float(np.mean(axes)) * 0.5)  # 2 mm from full to empty
            soft = np.maximum(soft, np.clip(0.5 + (1.0 - radius) / edge, 0.0, 1.0))
        out[name] = soft.astype(np.float32)
    # the dentate is a crumpled sheet, not a ball: hollow it
    core = ndimage.gaussian_filter(out["dentate"], 1.0)
    out["dentate"] *= np.clip(1.6 - core, 0.0, 1.0)
    return out
