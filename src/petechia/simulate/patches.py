"""Many small patches for training, from heads that were laid in a scanner once.

The scan of a head without lesions is kept, with its fine maps. For each patch a lesion or a mimic
is put somewhere into it: close by, the fine points are evolved anew with its exact field and
sampled as the scanner would; further off, where its field is smooth, the voxels only turn.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.core.grid import Grid
from petechia.core.units import hz_per_ppm
from petechia.errors import ParameterError
from petechia.simulate.atlas import Atlas
from petechia.simulate.fields import add_spheres
from petechia.simulate.head import head_maps, make_head
from petechia.simulate.mimics import CALCIFICATION_PPM_MM3
from petechia.simulate.patient import WHITE_MATTER_UNITS, Patient
from petechia.simulate.protocols import Protocol
from petechia.simulate.receive import receive, sample_receiver
from petechia.simulate.render import FineMaps, Pose, render, sample_pose
from petechia.simulate.signal import (
    acquire,
    evolved,
    matter_of,
    near_sources,
    slab_profile,
    slice_profiles,
    voxel_means,
)
from petechia.simulate.sources import Sphere, draw_moment, row_of_spheres, split
from petechia.simulate.tissues import TISSUES, spoiled_gre
from petechia.simulate.truth import VOID_LOSS

Volume = npt.NDArray[np.float32]
Complex = npt.NDArray[np.complex64]
KINDS = ("background", "microbleed", "calcification", "vessel")
SIDE = 32
SUPPORT = 8
"""Voxels to each side over which the scanner's sampling is followed."""
NEAR_VOXELS = (3.5, 6.0)
"""Least and largest half side of the block that is evolved anew."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CachedHead:
    """A head in a scanner, without lesions.

    Attributes
    ----------
    images : (E, I, J, K) ndarray of complex64
        Noise-free, shaded and offset by the coil.
    coil : (I, J, K) ndarray of complex64
        What the coil multiplied them by, and their unit.
    maps : FineMaps
        On the fine grid.
    vein : (I, J, K) ndarray of float32
        Part of each voxel that is venous blood.
    inside : (N, 3) ndarray of int
        Voxels of grey and white matter in which a patch fits.
    veins : (M, 3) ndarray of int
        Of those, the ones in which a vein shows.
    protocol : Protocol
        How it was acquired.
    """

    images: Complex
    coil: Complex
    maps: FineMaps
    vein: Volume
    inside: npt.NDArray[np.int64]
    veins: npt.NDArray[np.int64]
    protocol: Protocol


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Patches:
    """Patches with their truth.

    Attributes
    ----------
    signal : (N, E, 32, 32, 32) ndarray of complex64
        With noise.
    void : (N, 32, 32, 32) ndarray of bool
        Voxels that a source darkens by 30 % or more at the reading echo.
    kind : (N,) ndarray of int
        Index into `KINDS`.
    moment_ppm_mm3 : (N,) ndarray
        Of the source; 0 without one.
    centre : (N, 3) ndarray
        Of the source, or of the vein, in voxels of the patch.
    """

    signal: Complex
    void: npt.NDArray[np.bool_]
    kind: npt.NDArray[np.int64]
    moment_ppm_mm3: npt.NDArray[np.float64]
    centre: npt.NDArray[np.float64]


def cache_head(
    patient: Patient,
    protocol: Protocol,
    atlas: Atlas,
    rng: np.random.Generator,
    pose: Pose | None = None,
) -> CachedHead:
    """Return a patient's head under a protocol, all lesions left out."""
    if min(protocol.shape) < SIDE and protocol.acquisition_type == "3D":
        raise ParameterError(
            f"shape = {protocol.shape}", where="cache_head", mend=f"Give {SIDE} voxels or more."
        )
    pose = pose or sample_pose(rng)
    head = make_head(patient.head, atlas, protocol.head_mm)
    seen = head_maps(head, protocol.b0_t, protocol.tr_s, protocol.flip_deg)
    maps = render(head, seen, patient.vessels, pose, protocol, patient.flow)
    grid = protocol.grid
    coil = np.ones((1, *grid.shape), dtype=np.complex64)
    coil = receive(coil, sample_receiver(rng, protocol.b0_t), grid, 0.0, rng)[0]
    white = TISSUES["wm"]
    unit = spoiled_gre(white.pd, white.t1_at(protocol.b0_t), protocol.tr_s, protocol.flip_deg)
    coil *= np.float32(WHITE_MATTER_UNITS / float(unit))
    images = acquire(maps, protocol, protocol.te_s) * coil
    vein = voxel_means(maps.vein, maps.grid)
    matter = head.fractions["gm"] + head.fractions["wm"]
    inside = _matter_voxels(matter, head.grid, pose, grid)
    return CachedHead(
        images=images,
        coil=coil,
        maps=maps,
        vein=vein,
        inside=inside,
        veins=inside[vein[tuple(inside.T)] > 0.25],
        protocol=protocol,
    )


def _matter_voxels(matter: Volume, own: Grid, pose: Pose, scan: Grid) -> npt.NDArray[np.int64]:
    corners = pose.to_head(scan.to_mm(np.concatenate([np.zeros((1, 3)), np.eye(3)])))
    index = own.to_index(corners)
    part = ndimage.affine_transform(
        matter, (index[1:] - index[0]).T, index[0], output_shape=scan.shape, order=1
    )
    voxels = np.argwhere(part > 0.8)
    half = np.minimum(SIDE // 2, np.asarray(scan.shape) // 2 - 1)
    fits = (voxels >= half) & (voxels < np.asarray(scan.shape) - half)
    return np.asarray(voxels[fits.all(axis=1)])


def make_patches(
    heads: Sequence[CachedHead],
    n: int,
    rng: np.random.Generator,
    weights: tuple[float, ...] = (0.15, 0.4, 0.15, 0.3),
) -> Patches:
    """Return `n` patches of 32 voxels a side, from one head after another.

    Parameters
    ----------
    heads : sequence of CachedHead
        With equally many echoes.
    n : int
        How many.
    rng : Generator
        Source of randomness.
    weights : tuple of float
        Chance of each of `KINDS`.
    """
    n_echoes = heads[0].images.shape[0]
    out = Patches(
        signal=np.empty((n, n_echoes, SIDE, SIDE, SIDE), dtype=np.complex64),
        void=np.zeros((n, SIDE, SIDE, SIDE), dtype=bool),
        kind=rng.choice(len(KINDS), n, p=weights),
        moment_ppm_mm3=np.zeros(n),
        centre=np.zeros((n, 3)),
    )
    for number in range(n):
        head = heads[number % len(heads)]
        kind = KINDS[out.kind[number]]
        pool = head.veins if kind == "vessel" and len(head.veins) else head.inside
        voxel = pool[rng.integers(len(pool))]
        shift = rng.integers(-5, 6, 3)
        shape = np.asarray(head.protocol.shape)
        corner = np.clip(voxel - SIDE // 2 + shift, 0, np.maximum(shape - SIDE, 0))
        at = voxel + rng.uniform(-0.5, 0.5, 3)
        spheres = _drawn(kind, rng)
        clean, void = _patch(head, corner, at, spheres)
        noise = WHITE_MATTER_UNITS / head.protocol.snr
        parts = np.ascontiguousarray(clean).view(np.float32)
        parts += np.float32(noise) * rng.standard_normal(parts.shape, dtype=np.float32)
        out.signal[number] = parts.view(np.complex64)
        out.void[number] = void
        out.moment_ppm_mm3[number] = sum(s.moment_ppm_mm3 for s in spheres)
        out.centre[number] = at - corner
    return out


def _drawn(kind: str, rng: np.random.Generator) -> tuple[Sphere, ...]:
    if kind not in ("microbleed", "calcification"):
        return ()
    if kind == "microbleed":
        moment, chi = draw_moment(rng), float(np.clip(rng.normal(0.9, 0.35), 0.35, 2.0))
    else:
        moment = -draw_moment(rng, CALCIFICATION_PPM_MM3)
        chi = -float(rng.uniform(0.7, 2.4))
    make = row_of_spheres if rng.random() < 0.15 else split
    return make(np.zeros(3), moment, chi, rng)


def _patch(
    head: CachedHead,
    corner: npt.NDArray[np.int64],
    at: npt.NDArray[np.float64],
    spheres: Sequence[Sphere],
) -> tuple[Complex, npt.NDArray[np.bool_]]:
    """Return one noise-free patch (E, 32, 32, 32) and its void; short axes repeat their end."""
    window = [
        np.minimum(np.arange(c, c + SIDE), n - 1)
        for c, n in zip(corner, head.protocol.shape, strict=True)
    ]
    x, y, z = np.ix_(*window)
    before = head.images[:, x, y, z]
    if not spheres:
        return before, np.zeros((SIDE, SIDE, SIDE), dtype=bool)
    grid, protocol = head.maps.grid, head.protocol
    spacing = grid.scan.spacing_mm
    rows = [(*(at * spacing + s.centre_mm), s.radius_mm, s.chi_ppm) for s in spheres]
    table = np.array(rows, dtype=np.float64)
    after = before * _turned(table, corner, protocol, grid.scan)
    _evolve_near(head, table, [s.substance for s in spheres], at, corner, before, after)
    reading = protocol.te_s.index(protocol.reading_te_s)
    void = np.abs(after[reading]) < (1 - VOID_LOSS) * np.abs(before[reading])
    places = (np.indices((SIDE, SIDE, SIDE)) + (corner - at)[:, None, None, None]).astype(
        np.float32
    )
    reach = 3.0 * abs(sum(s.moment_ppm_mm3 for s in spheres)) ** (1 / 3) + 1.5 * spacing.max()
    scaled = places * spacing.astype(np.float32)[:, None, None, None]
    return after, void & (np.einsum("a...,a...->...", scaled, scaled) < reach**2)


def _turned(
    table: npt.NDArray[np.float64], corner: npt.NDArray[np.int64], protocol: Protocol, scan: Grid
) -> Complex:
    """Return by how much the spheres' fields turn each voxel of a patch, (E, 32, 32, 32)."""
    field = np.zeros((SIDE, SIDE, SIDE), dtype=np.float32)
    add_spheres(field, table, scan.spacing_mm, corner * scan.spacing_mm, scan.b0_dir, 2e-4)
    radians = 2 * np.pi * hz_per_ppm(protocol.b0_t) * np.asarray(protocol.te_s)
    phase = radians.astype(np.float32)[:, None, None, None] * field
    out = np.empty(phase.shape, dtype=np.complex64)
    out.real, out.imag = np.cos(phase), np.sin(phase)
    return out


def _evolve_near(
    head: CachedHead,
    table: npt.NDArray[np.float64],
    substances: Sequence[str],
    at: npt.NDArray[np.float64],
    corner: npt.NDArray[np.int64],
    before: Complex,
    after: Complex,
) -> None:
    """Write into `after` what the fine points around a source say, fading at the block's rim."""
    grid, protocol = head.maps.grid, head.protocol
    spacing = grid.scan.spacing_mm
    size = 2.2 * abs((table[:, 4] * 4.19 * table[:, 3] ** 3).sum()) ** (1 / 3) + table[:, 3].max()
    half = np.clip(size / spacing + 2.0, *NEAR_VOXELS)
    low = np.floor(((at - half) * spacing - grid.origin_mm) / grid.spacing_mm).astype(int)
    high = np.ceil(((at + half) * spacing - grid.origin_mm) / grid.spacing_mm).astype(int) + 1
    low, high = np.maximum(low, 0), np.minimum(high, grid.shape)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    i, j, k = (int(n) for n in high - low)
    block = replace(grid, shape=(i, j, k), origin_mm=grid.origin_mm + low * grid.spacing_mm)
    maps = FineMaps(
        grid=block,
        chi_ppm=head.maps.chi_ppm[box],
        field_ppm=np.ascontiguousarray(head.maps.field_ppm[box]),
        s0=np.ascontiguousarray(head.maps.s0[box]),
        r2star=np.ascontiguousarray(head.maps.r2star[box]),
        fat=np.ascontiguousarray(head.maps.fat[box]),
        vein=head.maps.vein[box],
    )
    profile = slab_profile(grid, protocol)[box[2]]
    without = evolved(maps, protocol, profile)
    near = near_sources(maps, table, matter_of(substances, protocol), protocol, protocol.te_s)
    add_spheres(maps.field_ppm, table, block.spacing_mm, block.origin_mm, grid.scan.b0_dir, 2e-4)
    changed = evolved(maps, protocol, profile)
    changed.reshape(len(changed), -1)[:, near.index] = near.signal * profile[near.index % k]
    changed -= without
    fades, samplers, voxels = [], [], []
    for axis in range(3):
        points = block.origin_mm[axis] + np.arange(block.shape[axis]) * block.spacing_mm[axis]
        fades.append(_fade(points / spacing[axis] - at[axis], half[axis]))
        first = max(int(np.floor(at[axis] - half[axis])) - SUPPORT, corner[axis])
        last = min(
            int(np.ceil(at[axis] + half[axis])) + SUPPORT + 1,
            corner[axis] + SIDE,
            protocol.shape[axis],
        )
        samplers.append(_sampler(head, axis, points, first, last) * fades[axis])
        voxels.append(np.arange(first, last))
    for axis, sampler in enumerate(samplers):
        changed = np.moveaxis(
            np.tensordot(sampler.astype(np.complex64), changed, axes=(1, axis + 1)), 0, axis + 1
        )
    fade = np.ones((1, 1, 1), dtype=np.float32)
    for axis in range(3):
        weight = _fade(voxels[axis] - at[axis], half[axis])
        fade = fade * weight.reshape([-1 if a == axis else 1 for a in range(3)])
    x, y, z = (slice(v[0] - c, v[-1] + 1 - c) for v, c in zip(voxels, corner, strict=True))
    coil = head.coil[tuple(slice(v[0], v[-1] + 1) for v in voxels)]
    here = after[:, x, y, z]
    after[:, x, y, z] = fade * before[:, x, y, z] + (1 - fade) * here + changed * coil


def _fade(away: npt.NDArray[np.float64], half: float) -> Volume:
    """Return 1 in the middle of a block, falling to 0 over its last two voxels."""
    t = np.clip((half - np.abs(away)) / 2.0, 0, 1)
    return np.asarray(t * t * (3 - 2 * t), dtype=np.float32)


def _sampler(
    head: CachedHead, axis: int, points: npt.NDArray[np.float64], first: int, last: int
) -> Volume:
    """Return the weights (voxels, points) with which a scanner samples an axis."""
    grid, protocol = head.maps.grid, head.protocol
    if protocol.acquisition_type == "2D" and axis == 2:
        low = round((points[0] - grid.origin_mm[2]) / grid.spacing_mm[2])
        return slice_profiles(grid, protocol)[first:last, low : low + len(points)]
    step = grid.scan.spacing_mm[axis]
    away = (points[None, :] - np.arange(first, last)[:, None] * step) / step
    share = grid.spacing_mm[axis] / step
    return np.asarray(share * np.sinc(away), dtype=np.float32)
