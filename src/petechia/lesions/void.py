"""Voids: from proposed places to disjoint sets of voxels on the scan's own grid."""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.core.compiled import compiled
from petechia.core.distance import distance_to_outside
from petechia.core.grid import Grid
from petechia.errors import ParameterError

Signal = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
BRIGHTEST = 1.1
"""Surroundings are taken for no brighter: half of the way from fluid to a void is tissue."""
Part = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class VoidParams:
    """Settings of `grow_voids`.

    Attributes
    ----------
    snap_mm : float
        A place moves to the darkest voxel within this distance, step by step [mm].
    least_depth : float
        Least loss of signal at the darkest voxel, as a share of the background.
    least_depth_sd : float
        The same, in units of texture.
    half : float
        The void ends where this share of the depth is left.
    reach_mm : float
        No void grows farther than this from its seed [mm].
    merge, merge_far : float
        Two seeds are one void when the ridge between them rises less than this share of
        the shallower depth; the second for seeds farther apart than `near_mm`, which are
        more often two.
    floor, floor_sd : float
        A ridge darker than this share of the background parts nothing, nor one darker than so
        many units of texture (but never more than twice `floor`; 0: every ridge may part): at the
        bottom of a large void it is noise.
    near_mm : float
        Seeds so near, or within 1.5 of the largest side of a voxel, are near [mm].
    body_radii : float
        Voxels farther from the core than this many of its inscribed radii are tails
        (veins that run into the void), not body.
    least_part_mm3 : float
        A part of a tail so large, of two voxels or more and with a proposed place in it, is
        a void of its own when it is compact: a spot may touch another or a vein [mm^3].
    compact : float
        Least share of such a part that is body.
    """

    snap_mm: float = 2.0
    least_depth: float = 0.15
    least_depth_sd: float = 3.0
    half: float = 0.5
    reach_mm: float = 12.0
    merge: float = 0.3
    merge_far: float = 0.1
    floor: float = 0.15
    floor_sd: float = 2.5
    near_mm: float = 3.0
    body_radii: float = 2.2
    least_part_mm3: float = 1.0
    compact: float = 0.6

    def __post_init__(self) -> None:
        if (
            min(self.snap_mm, self.reach_mm, self.body_radii, self.least_part_mm3) <= 0
            or not 0 < self.least_depth < 1
            or not 0 < self.half < 1
            or not 0 <= self.compact <= 1
            or not 0 <= self.merge_far <= self.merge < 1
            or not 0 <= self.floor < 0.25
            or min(self.near_mm, self.floor_sd) < 0
        ):
            raise ParameterError(
                f"{self}",
                where="VoidParams",
                mend="Distances and volumes above 0; least_depth, half, compact and merge between "
                "0 and 1; merge_far at most merge; floor below 0.25, floor_sd at least 0.",
            )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Void:
    """One void.

    Attributes
    ----------
    body : (N, 3) ndarray of int
        Voxels that are measured and labelled.
    tail : (M, 3) ndarray of int
        Further voxels as dark, connected, but beyond the body. Parts of it that are large
        enough are bodies of further voids.
    seed_vox : (3,) ndarray of int
        Its darkest voxel.
    background : float
        Relative signal around it.
    least : float
        Relative signal of its darkest voxel.
    inscribed_mm : float
        Radius of the largest ball inside [mm].
    """

    body: npt.NDArray[np.int64]
    tail: npt.NDArray[np.int64]
    seed_vox: npt.NDArray[np.int64]
    background: float
    least: float
    inscribed_mm: float

    @property
    def depth(self) -> float:
        """Loss of signal at the darkest voxel, as a share of the background."""
        return 1 - self.least / self.background

    @property
    def unread(self) -> float:
        """Share of it that lies beyond the body."""
        return len(self.tail) / (len(self.body) + len(self.tail))

    def moved(self, by_vox: npt.NDArray[np.int64]) -> Self:
        """Return it with its voxels so far off."""
        return replace(
            self, body=self.body + by_vox, tail=self.tail + by_vox, seed_vox=self.seed_vox + by_vox
        )

    def without(self, bodies: Mask) -> Self:
        """Return it without what of its tail is the body of a void."""
        return replace(self, tail=self.tail[~bodies[tuple(self.tail.T)]])

    def joined_by(self, others: Sequence[Self], shape: tuple[int, ...]) -> Self:
        """Return it with the bodies and tails of others in a volume of that shape."""
        voids, own = (self, *others), np.zeros(shape, dtype=bool)
        body = np.concatenate([v.body for v in voids])
        own[tuple(body.T)] = True
        tail = np.unique(np.concatenate([v.tail for v in voids]), axis=0)
        return replace(self, body=body, tail=tail).without(own)


def grow_voids(
    signal: Signal,
    texture: float,
    mask: Mask,
    places_vox: npt.NDArray[np.floating],
    grid: Grid,
    params: VoidParams | None = None,
) -> list[Void]:
    """Grow each place into the void around it.

    Places move to the darkest voxel near them; the background is read in shells around
    it; the void is all that is connected to it and darker than half its depth. All voids
    grow at once, darkest voxels first, so that touching ones part along the ridge
    between them (a watershed); seeds parted by a shallow ridge only, or by one as dark as the
    bottom of a void, are one.

    Parameters
    ----------
    signal : (I, J, K) ndarray of float32
        1 in undisturbed tissue, 0 in a void.
    texture : float
        Its robust standard deviation in undisturbed tissue.
    mask : (I, J, K) ndarray of bool
        Voids stay inside.
    places_vox : (N, 3) ndarray of float
        Proposed places.
    grid : Grid
        Geometry.
    params : VoidParams
        Settings.

    Returns
    -------
    list of Void
        Their bodies are disjoint; in the order of their first place; places without a void
        give none.
    """
    p = params or VoidParams()
    grid.require(signal, "signal")
    grid.require(mask, "mask")
    if not len(places_vox) or not mask.any():
        return []
    spacing = grid.spacing_mm
    start = np.clip(np.rint(places_vox).astype(np.int64), 0, np.asarray(grid.shape) - 1)
    seeds = _snap(signal, mask, start, p.snap_mm, spacing)
    flat = np.ravel_multi_index(tuple(seeds.T), grid.shape)
    _, first = np.unique(flat, return_index=True)
    seeds = seeds[np.sort(first)]
    seeds = seeds[mask[tuple(seeds.T)]]
    if not len(seeds):
        return []
    background = _surroundings(signal, mask, seeds, spacing)
    least = signal[tuple(seeds.T)].astype(np.float64)
    depth = background - least
    deep = depth > np.maximum(p.least_depth * background, p.least_depth_sd * texture)
    seeds, background, least = seeds[deep], background[deep], least[deep]
    if not len(seeds):
        return []
    threshold = least + (1 - p.half) * (background - least)
    threshold = np.minimum(threshold, background - np.minimum(1.5 * texture, 0.5 * depth[deep]))
    near = max(p.near_mm, 1.5 * float(spacing.max()))
    floor = min(max(p.floor, p.floor_sd * texture), 2 * p.floor)
    merge = (p.merge, p.merge_far, near, floor)
    labels, parent = _flood(signal, mask, seeds, threshold, background, p.reach_mm, spacing, merge)
    boxes = ndimage.find_objects(labels, len(seeds))
    proposed = np.zeros(grid.shape, dtype=bool)
    proposed[tuple(seeds.T)] = True
    out = []
    for n, box in enumerate(boxes):
        if parent[n] != n or box is None:
            continue
        region, seeded = np.pad(labels[box] == n + 1, 1), np.pad(proposed[box], 1)
        level = np.pad(signal[box], 1)
        corner = np.array([s.start for s in box]) - 1
        for body, tail, inscribed in _bodies(region, seeded, level, grid, p):
            body, tail = body + corner, tail + corner
            values = signal[tuple(body.T)]
            darkest = _middle(body, values <= values.min() + 1e-3, grid)
            out.append(
                Void(
                    body=body,
                    tail=tail,
                    seed_vox=body[darkest],
                    background=float(background[n]),
                    least=float(values[darkest]),
                    inscribed_mm=inscribed,
                )
            )
    return out


def _middle(voxels: npt.NDArray[np.int64], some: npt.NDArray[np.bool_], grid: Grid) -> int:
    """Return which of `some` voxels lies nearest to the centre of all."""
    gap = np.linalg.norm((voxels - voxels.mean(axis=0)) * grid.spacing_mm, axis=1)
    return int(np.argmin(np.where(some, gap.round(6), np.inf)))


def _bodies(
    region: Mask, seeded: Mask, signal: Signal, grid: Grid, params: VoidParams
) -> Iterator[Part]:
    """Yield body, tail and inscribed radius of a region, and of compact parts of its tail."""
    body, tail, inscribed = _body(region, signal, grid.spacing_mm, params.body_radii)
    yield body, tail, inscribed
    beyond = np.zeros_like(region)
    beyond[tuple(tail.T)] = True
    parts, _ = ndimage.label(beyond, structure=np.ones((3, 3, 3)))
    sizes = np.bincount(parts.ravel())
    for part in np.unique(parts[seeded & beyond]):
        if sizes[part] >= 2 and sizes[part] * grid.voxel_mm3 >= params.least_part_mm3:
            own, rest, radius = _body(parts == part, signal, grid.spacing_mm, params.body_radii)
            if len(own) >= params.compact * sizes[part]:
                yield own, rest, radius


def _body(region: Mask, signal: Signal, spacing_mm: npt.NDArray[np.float64], radii: float) -> Part:
    """Return voxels near the core of `region`, the others, and the inscribed radius."""
    inside = distance_to_outside(region, spacing_mm)
    # the distance runs to the centre of the first voxel outside: half a voxel too far
    half = 0.5 * float(spacing_mm.min())
    inscribed = float(inside.max()) - half
    core = np.argwhere(inside >= inside.max() - 1e-6)
    gap = (((core - core.mean(axis=0)) * spacing_mm) ** 2).sum(axis=1).round(6)
    middles = core[gap == gap.min()]
    if np.ptp(middles, axis=0).max() > 1:  # two cores: the darker one's body
        middles = middles[[np.argmin(signal[tuple(middles.T)])]]
    voxels = np.argwhere(region)
    # half a voxel of grace along each axis: thick slices must not cut a void in two
    offset = np.maximum(np.abs(voxels - middles.mean(axis=0)) - 0.5, 0) * spacing_mm
    near = np.linalg.norm(offset, axis=1) <= radii * inscribed + 1e-6
    kept = np.zeros_like(region)
    kept[tuple(voxels[near].T)] = True
    parts, n = ndimage.label(kept, structure=np.ones((3, 3, 3)))
    if n > 1:
        kept = parts == parts[tuple(middles[0])]
    return np.argwhere(kept), np.argwhere(region & ~kept), inscribed


@compiled
def _snap(signal, mask, places, reach_mm, spacing):  # type: ignore[no-untyped-def]
    """Return for each place the voxel reached by steepest descent within `reach_mm`."""
    shape = signal.shape
    out = places.copy()
    for n in range(len(places)):
        i, j, k = places[n, 0], places[n, 1], places[n, 2]
        for _ in range(40):
            best = signal[i, j, k] if mask[i, j, k] else np.float32(9.0)
            to = (i, j, k)
            for a in range(-1, 2):
                for b in range(-1, 2):
                    for c in range(-1, 2):
                        i2, j2, k2 = i + a, j + b, k + c
                        if i2 < 0 or j2 < 0 or k2 < 0:
                            continue
                        if i2 >= shape[0] or j2 >= shape[1] or k2 >= shape[2]:
                            continue
                        if not mask[i2, j2, k2] or signal[i2, j2, k2] >= best:
                            continue
                        x = (i2 - places[n, 0]) * spacing[0]
                        y = (j2 - places[n, 1]) * spacing[1]
                        z = (k2 - places[n, 2]) * spacing[2]
                        near = x * x + y * y + z * z <= reach_mm * reach_mm
                        # the next voxel may always be tried, however thick
                        first = (
                            abs(i2 - places[n, 0]) <= 1
                            and abs(j2 - places[n, 1]) <= 1
                            and abs(k2 - places[n, 2]) <= 1
                        )
                        if near or first:
                            best = signal[i2, j2, k2]
                            to = (i2, j2, k2)
            if to == (i, j, k):
                break
            i, j, k = to
        out[n, 0], out[n, 1], out[n, 2] = i, j, k
    return out


@compiled
def _shell_median(signal, mask, seed, inner, outer, spacing):  # type: ignore[no-untyped-def]
    values = []
    reach = [int(outer / spacing[0]), int(outer / spacing[1]), int(outer / spacing[2])]
    for a in range(-reach[0], reach[0] + 1):
        for b in range(-reach[1], reach[1] + 1):
            for c in range(-reach[2], reach[2] + 1):
                i, j, k = seed[0] + a, seed[1] + b, seed[2] + c
                if i < 0 or j < 0 or k < 0:
                    continue
                if i >= signal.shape[0] or j >= signal.shape[1] or k >= signal.shape[2]:
                    continue
                x, y, z = a * spacing[0], b * spacing[1], c * spacing[2]
                r2 = x * x + y * y + z * z
                if inner * inner < r2 <= outer * outer and mask[i, j, k]:
                    values.append(signal[i, j, k])
    if len(values) < 8:
        return 1.0
    return float(np.median(np.array(values)))


@compiled
def _surroundings(signal, mask, seeds, spacing):  # type: ignore[no-untyped-def]
    """Return the median signal of the nearest shell that is clearly brighter than the seed."""
    shells = ((2.5, 4.0), (4.0, 6.0), (6.0, 9.0))
    thick = max(spacing[0], max(spacing[1], spacing[2]))
    out = np.ones(len(seeds))
    for n in range(len(seeds)):
        least = signal[seeds[n, 0], seeds[n, 1], seeds[n, 2]]
        for inner, outer in shells:
            if outer - inner < 0.3 * thick:
                inner = outer - 0.3 * thick
            median = _shell_median(signal, mask, seeds[n], inner, outer, spacing)
            if median > least + 0.55 * (1 - least):
                out[n] = min(max(median, 0.5), BRIGHTEST)
                break
    return out


@compiled
def _root(parent, n):  # type: ignore[no-untyped-def]
    while parent[n] != n:
        parent[n] = parent[parent[n]]
        n = parent[n]
    return n


@compiled
def _flood(  # type: ignore[no-untyped-def]
    signal, mask, seeds, threshold, background, reach_mm, spacing, merge
):
    """Return labels (seed + 1) and the seed each seed was merged into.

    Of what is reached at one level, the darkest comes first, then what is nearest to its seed:
    neither the order of the seeds nor that of the axes matters.
    """
    shape = signal.shape
    labels = np.zeros(shape, dtype=np.int32)
    parent = np.arange(len(seeds))
    least = np.zeros(len(seeds))
    heap = [(np.float32(0), np.float32(0), 0.0, np.int64(0), np.int64(0))]
    heap.pop()
    for n in range(len(seeds)):
        i, j, k = seeds[n, 0], seeds[n, 1], seeds[n, 2]
        least[n] = signal[i, j, k]
        flat = (i * shape[1] + j) * shape[2] + k
        heapq.heappush(heap, (signal[i, j, k], signal[i, j, k], 0.0, np.int64(flat), np.int64(n)))
    while len(heap) > 0:
        level, _, _, flat, claim = heapq.heappop(heap)
        i, j, k = flat // (shape[1] * shape[2]), (flat // shape[2]) % shape[1], flat % shape[2]
        own = _root(parent, claim)
        if labels[i, j, k] != 0:
            there = _root(parent, labels[i, j, k] - 1)
            if there != own:
                shallow = own if least[own] > least[there] else there
                deep = there if shallow == own else own
                rise = level - least[shallow]
                gap = 0.0
                for a in range(3):
                    gap += ((seeds[own, a] - seeds[there, a]) * spacing[a]) ** 2
                share = merge[0] if gap <= merge[2] * merge[2] else merge[1]
                if level < merge[3] * background[shallow] or rise < share * (
                    background[shallow] - least[shallow]
                ):
                    parent[shallow] = deep
            continue
        if level >= threshold[own]:
            continue
        labels[i, j, k] = own + 1
        for a in range(3):
            for way in range(-1, 2, 2):
                i2, j2, k2 = i + way * (a == 0), j + way * (a == 1), k + way * (a == 2)
                if i2 < 0 or j2 < 0 or k2 < 0:
                    continue
                if i2 >= shape[0] or j2 >= shape[1] or k2 >= shape[2]:
                    continue
                if not mask[i2, j2, k2]:
                    continue
                there = labels[i2, j2, k2]
                if there != 0 and _root(parent, there - 1) == own:
                    continue
                if there == 0 and signal[i2, j2, k2] >= threshold[own]:
                    continue
                x = (i2 - seeds[own, 0]) * spacing[0]
                y = (j2 - seeds[own, 1]) * spacing[1]
                z = (k2 - seeds[own, 2]) * spacing[2]
                far = x * x + y * y + z * z
                if far > reach_mm * reach_mm:
                    continue
                flat2 = (np.int64(i2) * shape[1] + j2) * shape[2] + k2
                value = signal[i2, j2, k2]
                key = (max(level, value), value, np.round(far, 6), np.int64(flat2), np.int64(own))
                heapq.heappush(heap, key)
    for i in range(shape[0]):
        for j in range(shape[1]):
            for k in range(shape[2]):
                if labels[i, j, k] != 0:
                    labels[i, j, k] = np.int32(_root(parent, labels[i, j, k] - 1) + 1)
    return labels, parent
