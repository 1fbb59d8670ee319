"""Where the brain ends: a surface near a first guess, moved to where tissue gives way to bone."""

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.anatomy.resample import coarse_grid, to_grid
from petechia.core.grid import Grid
from petechia.core.morphology import (
    Mask,
    close_mm,
    distance_inside_mm,
    fill_holes,
    largest_component,
    open_mm,
)
from petechia.errors import ParameterError

Volume = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class BrainMaskParams:
    """Settings of `brain_mask`.

    Attributes
    ----------
    work_mm : float
        Voxels on which the boundary is found [mm].
    reach_in_mm, reach_out_mm : float
        How far the boundary may move from the template's [mm].
    hold_in_mm, hold_out_mm : float
        Standard deviation of the boundary about the template's, where the image is silent [mm];
        smaller outwards, where thin bone lets scalp and orbit in.
    smooth_mm : float
        Over what distance neighbouring normals share their costs [mm].
    fine_mm : float
        Voxels on which the boundary follows the signal in the end [mm].
    follow_in_mm, follow_out_mm : float
        How far it does [mm].
    margin_mm : float
        Kept around the brain, so that the cortex at its surface stays inside, also where its
        signal is gone; none at the foramen magnum [mm].
    """

    work_mm: float = 2.0
    reach_in_mm: float = 8.0
    reach_out_mm: float = 10.0
    hold_in_mm: float = 5.0
    hold_out_mm: float = 3.5
    smooth_mm: float = 4.0
    fine_mm: float = 1.0
    follow_in_mm: float = 0.7
    follow_out_mm: float = 1.0
    margin_mm: float = 0.5

    def __post_init__(self) -> None:
        for field in fields(self):
            name = field.name
            if not getattr(self, name) > 0:
                raise ParameterError(
                    f"{name} = {getattr(self, name)}",
                    where="BrainMaskParams",
                    mend="Give a distance above 0 mm.",
                )


def signed_distance_mm(mask: Mask, grid: Grid) -> Volume:
    """Return the distance to the surface of `mask`, negative inside [mm]."""
    return distance_inside_mm(~mask, grid) - distance_inside_mm(mask, grid)


def refine(
    image: Volume,
    grid: Grid,
    distance: Volume,
    height: Volume,
    floor_mm: float,
    params: BrainMaskParams,
) -> Volume:
    """Move the surface `distance` = 0 to where tissue ends.

    Parameters
    ----------
    image : (I, J, K) ndarray of float32
        Magnitude on a coarse grid.
    grid : Grid
        Its geometry.
    distance : (I, J, K) ndarray of float32
        Signed distance to the first guess, negative inside [mm].
    height : (I, J, K) ndarray of float32
        Template z [mm].
    floor_mm : float
        Below this height the surface may not move outwards: the cord goes on.
    params : BrainMaskParams
        Settings.

    Returns
    -------
    surface : (I, J, K) ndarray of float32
        Signed distance to it, negative in the brain, which is filled and one piece [mm].
    """
    level = brain_level(image, distance, grid)
    ratio = image / level
    evidence = tissue_evidence(ratio, bone_threshold(ratio, distance))
    shell = (np.abs(distance) <= 0.75 * float(grid.spacing_mm.max())) & _interior(grid)
    points = np.argwhere(shell)
    if len(points) == 0:
        return distance
    steps = np.arange(-params.reach_in_mm, params.reach_out_mm + 0.5, 1.0)
    start = distance[shell]
    costs = _profile_costs(evidence, distance, points, start, steps, grid)
    costs += 0.5 * (steps / np.where(steps < 0, params.hold_in_mm, params.hold_out_mm)) ** 2
    low = height[shell] < floor_mm
    costs[np.ix_(low, steps > 0)] += 1e3
    move = _share(costs, steps, shell, grid, params.smooth_mm)
    moved = np.zeros(grid.shape, dtype=np.float32)
    moved[shell] = move
    nearest = ndimage.distance_transform_edt(
        ~shell, sampling=grid.spacing_mm, return_distances=False, return_indices=True
    )
    shift = ndimage.gaussian_filter(moved[tuple(nearest)], 2.0 / grid.spacing_mm)
    surface = distance - shift
    brain = open_mm(surface < 0, grid, 3.0)  # no spikes along thin bone
    brain = fill_holes(largest_component(brain))
    least = np.float32(0.25)  # on the right side of the surface, at least
    signed = np.where(brain, np.minimum(surface, -least), np.maximum(surface, least))
    return np.asarray(signed, dtype=np.float32)


def brain_level(
    image: Volume, distance: Volume, grid: Grid, deep_mm: float = 6.0, width_mm: float = 14.0
) -> Volume:
    """Return the signal of the brain nearby, carried on outwards; above 0.

    Of what lies `deep_mm` below the surface, smoothed by a Gaussian of `width_mm`.
    """
    core = distance < -deep_mm
    top = np.percentile(image[core], 98) if core.any() else float(image.max())
    sigma = width_mm / grid.spacing_mm
    weight = ndimage.gaussian_filter(core.astype(np.float32), sigma)
    level = ndimage.gaussian_filter(np.minimum(image, top) * core, sigma)
    far = weight < 1e-3  # the deep level is carried on outwards where the window sees none
    level = level / np.maximum(weight, 1e-3)
    if far.any() and not far.all():
        places = ndimage.distance_transform_edt(far, return_distances=False, return_indices=True)
        level = level[tuple(places)]
    return np.asarray(np.maximum(level, np.finfo(np.float32).tiny), dtype=np.float32)


def bone_threshold(ratio: Volume, distance: Volume) -> float:
    """Return which part of the brain's signal is half way to that of the bone around it."""
    skull = ratio[(distance > 3.0) & (distance < 10.0)]
    dark = float(np.percentile(skull, 20)) if skull.size else 0.1
    return float(np.clip(dark + 0.5 * (1 - dark), 0.3, 0.65))


def tissue_evidence(ratio: Volume, threshold: float) -> Volume:
    """Return +1 where signal is like that of the brain nearby, -1 where it is like bone."""
    return np.asarray(np.clip((ratio - threshold) / 0.2, -1, 1), dtype=np.float32)


def followed(
    image: Volume,
    grid: Grid,
    surface: Volume,
    level: Volume,
    threshold: float,
    small: Grid,
    params: BrainMaskParams,
) -> Mask:
    """Let a surface found on coarse voxels follow the signal of the scan's own.

    Parameters
    ----------
    image : (I, J, K) ndarray of float32
        Magnitude on `grid`.
    grid : Grid
        Of the scan.
    surface, level : (A, B, C) ndarray of float32
        Signed distance, negative in the brain [mm], and signal of the brain nearby.
    threshold : float
        Which part of `level` is no longer tissue.
    small : Grid
        Of `surface` and `level`.
    params : BrainMaskParams
        Settings.

    Returns
    -------
    brain : (I, J, K) ndarray of bool
        Filled; voxels of signal 0 around it are left out, for they were stripped.
    """
    fine = coarse_grid(grid, params.fine_mm)
    box = _box(surface < 4.0, small, fine)
    near = fine.cut(box)
    source = image if fine.shape == grid.shape else to_grid(image, grid, fine)
    seen = np.asarray(source, dtype=np.float32)[box]
    nearby = np.asarray(to_grid(level, small, near), dtype=np.float32)
    ratio = np.asarray(seen / nearby, dtype=np.float32)
    evidence = ndimage.gaussian_filter(tissue_evidence(ratio, threshold), 0.6 / near.spacing_mm)
    away = np.asarray(to_grid(surface, small, near))
    # outwards to an edge only: where no bone is near, what is bright may be scalp or dura
    reach = 2 * np.rint((params.follow_out_mm + 0.5) / near.spacing_mm).astype(int) + 1
    dark = ndimage.minimum_filter(np.where(away > 0, evidence, 1), tuple(reach)) < 0
    out = np.where(dark, params.follow_out_mm, 0)
    away -= evidence * np.where(evidence > 0, out, params.follow_in_mm)
    if (seen == 0).mean() > 0.01:
        away[~fill_holes(close_mm(seen > 0, near, 4.0))] = 4.0
    whole = np.full(fine.shape, 4.0, dtype=np.float32)
    whole[box] = away
    if fine.shape != grid.shape:
        whole = np.asarray(to_grid(whole, fine, grid), dtype=np.float32)
    return fill_holes(largest_component(whole < 0))


def _box(mask: Mask, source: Grid, target: Grid) -> tuple[slice, slice, slice]:
    """Return the box of `target` that holds the voxels of `mask` on the same field of view."""
    step = np.array(target.shape) / np.array(source.shape)
    low, high = np.argwhere(mask).min(axis=0), np.argwhere(mask).max(axis=0) + 1
    start = np.floor(low * step).astype(int)
    stop = np.minimum(np.ceil(high * step).astype(int), target.shape)
    i, j, k = (slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    return i, j, k


def _interior(grid: Grid) -> Mask:
    """Voxels off the border, where the surface is that of the brain and not of the view."""
    inner = np.zeros(grid.shape, dtype=bool)
    inner[tuple(slice(1, -1) if n > 2 else slice(None) for n in grid.shape)] = True
    return inner


def _profile_costs(
    evidence: Volume,
    distance: Volume,
    points: npt.NDArray[np.intp],
    start: Volume,
    steps: npt.NDArray[np.float64],
    grid: Grid,
) -> npt.NDArray[np.float64]:
    """Return the cost of each boundary position along each normal, (points, steps)."""
    smooth = ndimage.gaussian_filter(distance, 3.0 / grid.spacing_mm)
    slope = [g[tuple(points.T)] for g in np.gradient(smooth, *grid.spacing_mm)]
    normal = np.stack(slope, axis=1)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-6)
    along = steps[None, :] - start[:, None]  # so that step 0 lies on the first guess
    places = points[:, :, None] + normal[:, :, None] * along[:, None, :] / grid.spacing_mm[:, None]
    seen = ndimage.map_coordinates(
        evidence, places.transpose(1, 0, 2).reshape(3, -1), order=1, mode="nearest"
    ).reshape(len(points), len(steps))
    # once bone has begun, what follows is scalp
    bone = (seen[:, :-1] < -0.3) & (seen[:, 1:] < -0.3) & (steps[:-1] > -3.0)
    begun = np.cumsum(np.pad(bone, ((0, 0), (0, 1))), axis=1) > 0
    seen = np.where(begun, -1.0, seen)
    # dark signal inside the guess may be a lesion or a sinus void: half its weight
    seen = np.where((steps < 0) & (seen < 0), 0.25 * seen, seen)
    return -np.cumsum(seen, axis=1) * 0.5


def _share(
    costs: npt.NDArray[np.float64],
    steps: npt.NDArray[np.float64],
    shell: Mask,
    grid: Grid,
    width_mm: float,
) -> Volume:
    """Average the costs over neighbouring surface voxels and return the best move [mm]."""
    sigma = width_mm / grid.spacing_mm
    weight = ndimage.gaussian_filter(shell.astype(np.float32), sigma)[shell]
    volume = np.zeros(shell.shape, dtype=np.float32)
    best, where = np.full(len(costs), np.inf), np.zeros(len(costs))
    for column, step in zip(costs.T, steps, strict=True):
        volume[shell] = column
        cost = ndimage.gaussian_filter(volume, sigma)[shell] / weight
        where = np.where(cost < best, step, where)
        best = np.minimum(cost, best)
    return where.astype(np.float32)
