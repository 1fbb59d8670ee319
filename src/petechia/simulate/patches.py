"""Many small patches for training, from heads that were laid in a scanner once.

The scan of a head without lesions is kept, with its fine maps. For each patch a lesion or a mimic
is put somewhere into it (`implant`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.core.grid import Grid
from petechia.errors import ParameterError
from petechia.simulate.atlas import Atlas
from petechia.simulate.head import head_maps
from petechia.simulate.heads import Heads
from petechia.simulate.implant import change_near, implant
from petechia.simulate.mimics import CALCIFICATION_PPM_MM3
from petechia.simulate.patient import WHITE_MATTER_UNITS, Patient
from petechia.simulate.protocols import Protocol
from petechia.simulate.receive import add_noise, receive, sample_receiver
from petechia.simulate.render import FineMaps, Pose, render, sample_pose
from petechia.simulate.signal import acquire, voxel_means
from petechia.simulate.sources import Sphere, draw_moment, row_of_spheres, split
from petechia.simulate.tissues import TISSUES, spoiled_gre
from petechia.simulate.truth import VOID_LOSS

Volume = npt.NDArray[np.float32]
Complex = npt.NDArray[np.complex64]
KINDS = ("background", "microbleed", "calcification", "vessel")
SIDE = 32


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
    heads: Heads | None = None,
) -> CachedHead:
    """Return a patient's head under a protocol, all lesions left out.

    `heads` keeps the anatomy for further protocols of the same patient.
    """
    if min(protocol.shape) < SIDE and protocol.acquisition_type == "3D":
        raise ParameterError(
            f"shape = {protocol.shape}", where="cache_head", mend=f"Give {SIDE} voxels or more."
        )
    pose = pose or sample_pose(rng)
    own = (heads or Heads(most=0)).of(patient.head, atlas, protocol.head_mm)
    head = own.head
    seen = head_maps(head, protocol.b0_t, protocol.tr_s, protocol.flip_deg, own.chi_ppm)
    maps = render(head, seen, patient.vessels, pose, protocol, patient.flow, own.wide)
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
        out.void[number] = patch_into(out.signal[number], head, corner, at, spheres)
        add_noise(out.signal[number], WHITE_MATTER_UNITS / head.protocol.snr, rng)
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


def patch_into(
    out: Complex,
    head: CachedHead,
    corner: npt.NDArray[np.int64],
    at: npt.NDArray[np.float64],
    spheres: Sequence[Sphere],
) -> npt.NDArray[np.bool_]:
    """Fill one noise-free patch and return the void of its source.

    Parameters
    ----------
    out : (E, 32, 32, 32) ndarray of complex64
        Filled; axes of the scan that are shorter repeat their end.
    head : CachedHead
        The scan.
    corner : (3,) ndarray of int
        Voxel of the scan with which the patch begins.
    at : (3,) ndarray
        Centre of the source, in voxels of the scan.
    spheres : sequence of Sphere
        The source about its centre; none leaves the head as it is.

    Returns
    -------
    void : (32, 32, 32) ndarray of bool
        Voxels near the source that lose 30 % or more at the reading echo.
    """
    _cut(head.images, corner, out)
    if not spheres:
        return np.zeros(out.shape[1:], dtype=bool)
    protocol, spacing = head.protocol, head.maps.grid.scan.spacing_mm
    rows = [(*(at * spacing + s.centre_mm), s.radius_mm, s.chi_ppm) for s in spheres]
    table = np.array(rows, dtype=np.float64)
    reading = protocol.te_s.index(protocol.reading_te_s)
    before = np.abs(out[reading])
    substances = [s.substance for s in spheres]
    change = change_near(head.maps, protocol, table, substances, corner, SIDE)
    implant(out, corner, change, table, head.coil, protocol)
    reach = 3.0 * abs(sum(s.moment_ppm_mm3 for s in spheres)) ** (1 / 3) + 1.5 * spacing.max()
    x, y, z = ((np.arange(SIDE) + c - a) * d for c, a, d in zip(corner, at, spacing, strict=True))
    near = (x**2)[:, None, None] + (y**2)[:, None] + z**2 < reach**2
    return np.asarray(near & (np.abs(out[reading]) < np.float32(1 - VOID_LOSS) * before))


def _cut(images: Complex, corner: npt.NDArray[np.int64], out: Complex) -> None:
    """Fill `out` with a window of images; beyond their end the last voxel is repeated."""
    kept = [min(SIDE, n - int(c)) for c, n in zip(corner, images.shape[1:], strict=True)]
    i, j, k = kept
    x, y, z = (slice(c, c + n) for c, n in zip(corner, kept, strict=True))
    out[:, :i, :j, :k] = images[:, x, y, z]
    out[:, i:] = out[:, i - 1 : i]
    out[:, :, j:] = out[:, :, j - 1 : j]
    out[:, :, :, k:] = out[:, :, :, k - 1 : k]
