"""What is truly there: the void of each lesion, and the table of lesions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial.distance import pdist

from petechia.anatomy.sites import REGIONS
from petechia.core.grid import Grid
from second import channels as ch
from second.anatomy import Anatomy
from second.body import VEIN_FULL
from second.geometry import Geometry
from second.signals import Complex, Laid, Magnet
from second.smooth import Volume, at_places

LOST, CLEAR_LOSS, SIGMAS = 0.15, 0.30, 3.0
"""Part of the signal whose loss makes a void, and a clear one; and the loss over the noise."""
NEAR_MM, NEAR_VOXELS = 4.0, 0.8
"""How near its centre a void begins: the larger of the two."""
WIDEST_MM = 10.0
"""How far from its centre a void may reach."""
COLUMNS = {
    "visible": {
        "Description": f"1 where a voxel near the centre loses {LOST:.0%} of its signal or more, "
        f"and more than {SIGMAS:g} standard deviations of noise, at the last echo against the "
        "same scan without lesions of this class",
        "Levels": {"1": "Visible", "0": "Not visible"},
    },
    "clearly_visible": {
        "Description": f"The same with {CLEAR_LOSS:.0%}",
        "Levels": {"1": "Visible", "0": "Not visible"},
    },
    "largest_loss": {"Description": "Largest part of the signal that a voxel near it loses"},
    "largest_loss_sd": {
        "Description": "Largest loss of a voxel near it, in standard deviations of noise"
    },
    "depth_mm": {"Description": "Depth of its centre below the brain's surface", "Units": "mm"},
    "shape": {"Description": "Of the source: spheres that overlap"},
}
"""Columns whose meaning is this simulator's own, as BIDS describes them."""


@dataclass(frozen=True, slots=True, eq=False)
class Loss:
    """What lesions of one class take: a part of the signal, and that over the noise."""

    part: Volume
    over_noise: Volume


def losses(
    magnet: Magnet, lesions: Sequence[Laid], last_echo: Complex, noise_sd: float
) -> dict[str, Loss]:
    """Return, for each class of lesions, what it takes from the last echo, without noise."""
    out = {}
    for kind in sorted({one.lesion.kind for one in lesions}):
        others = [one for one in lesions if one.lesion.kind != kind]
        without: Volume = np.abs(magnet.echo(magnet.protocol.te_s[-1], others))
        lost: Volume = without - np.abs(last_echo)
        # where there is no signal nothing can be lost: the noise is the least that counts
        part: Volume = lost / without.clip(2 * noise_sd)
        out[kind] = Loss(part, lost / np.float32(noise_sd))
    return out


@dataclass(frozen=True, slots=True, eq=False)
class Void:
    """Voxels of one lesion's void (N, 3), and the most that a voxel near it loses."""

    voxels: npt.NDArray[np.int64]
    largest_loss: float
    largest_loss_sd: float
    clear: bool


NO_VOID = Void(np.empty((0, 3), np.int64), 0.0, 0.0, False)


def void_of(
    one: Laid, lesions: Sequence[Laid], taken: Mapping[str, Loss], geometry: Geometry
) -> Void:
    """Return the void of a lesion: voxels nearer to it than to any other, in one piece with it."""
    shape, centre = geometry.shape, geometry.to_index(one.place_mm)
    at = np.rint(centre).astype(int)
    if not one.in_slab or (at < 0).any() or (at >= shape).any():
        return NO_VOID
    margin = np.ceil(WIDEST_MM / geometry.voxel_mm).astype(int)
    low, high = np.maximum(at - margin, 0), np.minimum(at + margin + 1, shape)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    index = np.moveaxis(np.indices(tuple(high - low)), 0, -1) + low
    away = np.linalg.norm((index - centre) * geometry.voxel_mm, axis=-1)
    own = away <= WIDEST_MM
    for other in lesions:
        if other is not one:
            there = (index - geometry.to_index(other.place_mm)) * geometry.voxel_mm
            own &= np.linalg.norm(there, axis=-1) > away
    near = own & (away < max(NEAR_MM, NEAR_VOXELS * geometry.voxel_mm.max()))
    if not near.any():
        return NO_VOID
    loss = taken[one.lesion.kind]
    part, over_noise = loss.part[box], loss.over_noise[box]
    void = (part >= LOST) & (over_noise > SIGMAS) & own
    pieces, _ = ndimage.label(void, structure=np.ones((3, 3, 3)))
    connected = np.isin(pieces, np.unique(pieces[near & void])) & void
    return Void(
        voxels=np.argwhere(connected) + low,
        largest_loss=float(part[near].max()),
        largest_loss_sd=float(over_noise[near].max()),
        clear=bool((near & void & (part >= CLEAR_LOSS)).any()),
    )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Truth:
    """The truth of one scan, as it is stored.

    Attributes
    ----------
    rows : list of dict
        The contract's columns of each lesion, and those of `COLUMNS`.
    labels : (I, J, K) ndarray of int16
        Void of each lesion, by the index of its row; an invisible one has the voxel at its
        centre.
    maps : dict of str to (I, J, K) ndarray
        'desc-brain_mask', and 'desc-veins_probseg', the part of each voxel that is vein.
    """

    rows: list[dict[str, Any]]
    labels: npt.NDArray[np.int16]
    maps: dict[str, npt.NDArray[Any]]


def truth_of(
    anatomy: Anatomy,
    magnet: Magnet,
    lesions: Sequence[Laid],
    last_echo: Complex,
    noise_sd: float,
) -> Truth:
    """Return the truth of a scan from its last echo without noise."""
    geometry, taken = magnet.geometry, losses(magnet, lesions, last_echo, noise_sd)
    labels, rows = np.zeros(tuple(geometry.shape), np.int16), []
    voids = [void_of(one, lesions, taken, geometry) for one in lesions]
    for n, (one, void) in enumerate(zip(lesions, voids, strict=True), start=1):
        labels[tuple(void.voxels.T)] = n
        mark_centre(labels, geometry.to_index(one.place_mm), n)
    stored, grid = geometry.stored(labels), geometry.grid
    for n, (one, void) in enumerate(zip(lesions, voids, strict=True), start=1):
        across = in_plane_mm(np.argwhere(stored == n), grid) if len(void.voxels) else 0.0
        rows.append({"index": n, **_row(one, void, anatomy, across, grid.voxel_mm3)})
    return Truth(
        rows=rows,
        labels=stored,
        maps={
            "desc-brain_mask": geometry.stored(geometry.sampled(magnet.body.brain)),
            "desc-veins_probseg": geometry.stored(vein_part(magnet.body.vein, geometry)),
        },
    )


def mark_centre(labels: npt.NDArray[np.int16], centre: npt.NDArray[np.floating], n: int) -> None:
    """Label the voxel at a lesion's centre, when it is in the scan and nobody's."""
    at = np.rint(centre).astype(int)
    if (at >= 0).all() and (at < labels.shape).all() and not labels[tuple(at)]:
        labels[tuple(at)] = n


def in_plane_mm(voxels: npt.NDArray[np.integer], grid: Grid) -> float:
    """Return the longest diameter of a void within a slice, with a voxel's own width [mm]."""
    axes = [axis for axis in range(3) if axis != grid.slice_axis]
    spacing, longest = grid.spacing_mm[axes], 0.0
    for number in np.unique(voxels[:, grid.slice_axis]):
        places = voxels[voxels[:, grid.slice_axis] == number][:, axes] * spacing
        if len(places) > 1:
            longest = max(longest, float(pdist(places).max()))
    return longest + float(spacing.mean())


def _row(
    one: Laid, void: Void, anatomy: Anatomy, across_mm: float, voxel_mm3: float
) -> dict[str, Any]:
    lesion = one.lesion
    region = REGIONS[anatomy.region_at(lesion.place_mm) - 1]
    depth = at_places(anatomy.channel(ch.INSIDE_MM), (lesion.place_mm - ch.ORIGIN_MM)[None])[0]
    x, y, z = (round(float(mm), 3) for mm in one.place_mm)
    return {
        "name": f"{lesion.kind}, {lesion.shape}, {lesion.where}",
        "class": lesion.kind,
        "x_mm": x,
        "y_mm": y,
        "z_mm": z,
        "true_diameter_mm": round(lesion.diameter_mm, 3),
        "apparent_diameter_mm": round(across_mm, 3),
        "apparent_volume_mm3": round(len(void.voxels) * voxel_mm3, 3),
        "chi_ppm": round(lesion.chi_ppm, 4),
        "moment_ppm_mm3": round(lesion.moment_ppm_mm3, 4),
        "side": region.side,
        "site": region.site,
        "compartment": region.compartment,
        "visible": int(len(void.voxels) > 0),
        "clearly_visible": int(void.clear),
        "largest_loss": round(void.largest_loss, 3),
        "largest_loss_sd": round(void.largest_loss_sd, 1),
        "depth_mm": round(float(depth), 1),
        "shape": lesion.shape,
    }


def vein_part(vein: npt.NDArray[np.uint8], geometry: Geometry) -> Volume:
    """Return how much of each voxel of the scan is vein, 0 to 1."""
    part = vein[:, :, geometry.below : geometry.below + geometry.slab[2]]
    for axis in (2, 1, 0):
        fine = int(geometry.refine[axis])
        # a voxel is centred at a fine voxel: of an even number it takes half of those at its ends
        weights = np.full(fine + 1 - fine % 2, 1.0 / fine)
        weights[[0, -1]] *= 1.0 if fine % 2 else 0.5
        smooth = ndimage.correlate1d(part, weights, axis, np.float32, mode="nearest")
        part = smooth.take(range(0, smooth.shape[axis], fine), axis)
    return np.asarray(part / VEIN_FULL, dtype=np.float32)
