"""A head laid in the scanner: fine maps of signal, decay and field over the field of view.

The field is solved on two grids. A smoothed head with a long neck makes the wide part, on a
coarse grid with much room around it; what smoothing took away makes the rest, on the fine
grid of the field of view, where it dies off within millimetres. The sum is the field of the
whole head in air.
"""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from numba import prange
from scipy import fft, ndimage

from petechia.core.compiled import compiled
from petechia.core.grid import Grid
from petechia.simulate.fields import (
    Spectrum,
    field_of,
    grid_field,
    shim,
    shim_terms,
    spectrum_of,
)
from petechia.simulate.flow import Flow, filled_tubes
from petechia.simulate.head import CENTRE_MM, Head, HeadMaps
from petechia.simulate.protocols import Protocol, rotation
from petechia.simulate.texture import GRAIN_PPM, GRAIN_WATER, grain, shares_seen
from petechia.simulate.tissues import AIR_PPM, BLOOD, RELAXIVITY_HZ_PER_PPM, spoiled_gre
from petechia.simulate.tubes import draw_tubes
from petechia.simulate.vessels import Vessels

Volume = npt.NDArray[np.float32]
SMOOTH = 1.5
"""Width of the smoothing, in voxels of the coarse grid."""
NECK_MM = 110.0
MARGIN_MM = 36.0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Pose:
    """How a head lies: scanner = turn @ (head - centre of the brain) + shift.

    Attributes
    ----------
    turn : (3, 3) ndarray
        Rotation.
    shift_mm : (3,) ndarray
        Of the brain's centre from the isocentre.
    """

    turn: npt.NDArray[np.float64]
    shift_mm: npt.NDArray[np.float64]

    def to_scanner(self, places_mm: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return scanner places of head places (..., 3) [mm]."""
        away = np.asarray(places_mm, dtype=np.float64) - CENTRE_MM
        return cast("npt.NDArray[np.float64]", away @ self.turn.T + self.shift_mm)

    def to_head(self, places_mm: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return head places of scanner places (..., 3) [mm]."""
        away = np.asarray(places_mm, dtype=np.float64) - self.shift_mm
        return cast("npt.NDArray[np.float64]", away @ self.turn + CENTRE_MM)


def sample_pose(rng: np.random.Generator) -> Pose:
    """Draw how a head lies on its cushion: mostly nodding."""
    angles = np.deg2rad(rng.normal((3.0, 0.0, 0.0), (5.0, 2.0, 2.5)))
    return Pose(turn=rotation(*angles), shift_mm=rng.normal(0.0, (2.0, 3.0, 3.0)))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FineGrid:
    """Points of the simulation over a scan's field of view.

    Places are in *axis millimetres*: along the scan's axes from the centre of its voxel
    (0, 0, 0).

    Attributes
    ----------
    shape : tuple of int
        Points along each axis.
    spacing_mm, origin_mm : (3,) ndarray
        Spacing, and place of point (0, 0, 0).
    scan : Grid
        The scan's own grid.
    """

    shape: tuple[int, int, int]
    spacing_mm: npt.NDArray[np.float64]
    origin_mm: npt.NDArray[np.float64]
    scan: Grid

    def to_axis_mm(self, scanner_mm: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Return axis millimetres of scanner places (..., 3)."""
        return self.scan.to_index(scanner_mm) * self.scan.spacing_mm

    @property
    def axes(self) -> npt.NDArray[np.float64]:
        """Directions of the axes in the scanner: columns (3, 3)."""
        return self.scan.affine[:3, :3] / self.scan.spacing_mm


def fine_grid(protocol: Protocol) -> FineGrid:
    """Return the simulation's grid: the scan's field of view, finer.

    k-space is cropped along encoded axes, which keeps the first point where it was; along
    2D slices points fill the voxels evenly.
    """
    scan = protocol.grid
    shape = tuple(
        fft.next_fast_len(int(np.ceil(n * f)))
        for n, f in zip(scan.shape, protocol.fine, strict=True)
    )
    spacing = np.asarray(scan.shape) * scan.spacing_mm / np.asarray(shape)
    origin = np.zeros(3)
    if protocol.acquisition_type == "2D":
        origin[2] = -0.5 * scan.spacing_mm[2] + 0.5 * spacing[2]
    return FineGrid(
        shape=cast("tuple[int, int, int]", shape), spacing_mm=spacing, origin_mm=origin, scan=scan
    )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FineMaps:
    """What the fine grid holds, without lesions.

    Attributes
    ----------
    grid : FineGrid
        Geometry.
    chi_ppm : (I, J, K) ndarray of float32
        Against water; 9.2 in air.
    field_ppm : (I, J, K) ndarray of float32
        Shimmed field.
    s0, r2star : (I, J, K) ndarray of float32
        Signal before decay, and decay [1/s].
    fat : (I, J, K) ndarray of uint8
        Part that precesses as fat, 0..255.
    vein : (I, J, K) ndarray of float32
        Part of each voxel that is venous blood.
    """

    grid: FineGrid
    chi_ppm: Volume
    field_ppm: Volume
    s0: Volume
    r2star: Volume
    fat: npt.NDArray[np.uint8]
    vein: Volume


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class WideSource:
    """The smoothed head, in itself and in k-space: the same in every scanner and position."""

    grid: Grid
    chi_ppm: Volume
    spectrum: Spectrum


def render(
    head: Head,
    maps: HeadMaps,
    vessels: Vessels,
    pose: Pose,
    protocol: Protocol,
    flow: Flow | None = None,
    source: WideSource | None = None,
) -> FineMaps:
    """Return the fine maps of a head in the scanner, before lesions.

    `source` is the head's own (`wide_source`), worked out here unless given.
    """
    grid = fine_grid(protocol)
    wide = wide_field(head, source or wide_source(head.grid, maps.chi_ppm), pose)
    chi, smooth, s0, r2star, fat = _sampled(head, maps, wide, pose, grid, protocol.b0_t)
    vein = np.zeros(grid.shape, dtype=np.float32)
    for other in () if flow is None else filled_tubes(flow, pose.to_scanner, protocol):
        ends = grid.to_axis_mm(other.segments[:, :6].reshape(-1, 3)).reshape(-1, 6)
        tubes = np.column_stack([ends, other.segments[:, 6]])
        draw_tubes(vein, np.ascontiguousarray(tubes), grid.spacing_mm, grid.origin_mm)
        _fill_tubes(chi, s0, r2star, vein, other.chi_ppm - AIR_PPM, other.s0, other.r2star)
        vein[:] = 0.0
    ends = pose.to_scanner(vessels.segments[:, :6].reshape(-1, 3))
    tubes = np.column_stack([grid.to_axis_mm(ends).reshape(-1, 6), vessels.segments[:, 6]])
    draw_tubes(vein, np.ascontiguousarray(tubes), grid.spacing_mm, grid.origin_mm)
    blood = spoiled_gre(BLOOD.pd, BLOOD.t1_at(protocol.b0_t), protocol.tr_s, protocol.flip_deg)
    _fill_tubes(
        chi, s0, r2star, vein, vessels.chi_ppm - AIR_PPM, blood, BLOOD.r2star_at(protocol.b0_t)
    )
    chi -= smooth
    field = grid_field(chi, grid.spacing_mm, grid.scan.b0_dir)
    chi += smooth
    chi += np.float32(AIR_PPM)
    _add_wide(field, wide, pose, grid)
    return FineMaps(
        grid=grid, chi_ppm=chi, field_ppm=field, s0=s0, r2star=r2star, fat=fat, vein=vein
    )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class WideField:
    """The smoothed head and its shimmed field, on a coarse grid in head millimetres."""

    grid: Grid
    chi_ppm: Volume
    field_ppm: Volume


def wide_source(own: Grid, chi_ppm: Volume) -> WideSource:
    """Return the smooth part of a head's susceptibility (against air), neck and room around."""
    stride = max(1, int(2.5 / own.spacing_mm[0]))
    coarse_mm = float(own.spacing_mm[0]) * stride
    sigma = SMOOTH * stride
    wide = [int(np.ceil(MARGIN_MM / coarse_mm))] * 3
    below = int(np.ceil(NECK_MM / coarse_mm))
    # the neck goes on below the head before smoothing, or smoothing would see its cut
    grown = np.pad(chi_ppm, ((0, 0), (0, 0), (below * stride, 0)), mode="edge")
    smooth = ndimage.gaussian_filter(grown, sigma, mode="nearest")[::stride, ::stride, ::stride]
    chi = np.pad(smooth, ((wide[0], wide[0]), (wide[1], wide[1]), (0, wide[2])))
    affine = np.diag([coarse_mm, coarse_mm, coarse_mm, 1.0])
    affine[:3, 3] = own.affine[:3, 3] - np.array([wide[0], wide[1], below]) * coarse_mm
    i, j, k = chi.shape
    return WideSource(grid=Grid((i, j, k), affine), chi_ppm=chi, spectrum=spectrum_of(chi, pad=0.4))


def wide_field(head: Head, source: WideSource, pose: Pose) -> WideField:
    """Return the smooth part of the susceptibility and its field in the scanner, shimmed."""
    b0_dir = pose.turn.T @ np.array([0.0, 0.0, 1.0])
    field = field_of(source.spectrum, source.grid.spacing_mm, b0_dir)
    shimmed = _shimmed(field, source.grid, head)
    return WideField(grid=source.grid, chi_ppm=source.chi_ppm, field_ppm=shimmed)


def _shimmed(field: Volume, grid: Grid, head: Head) -> Volume:
    """Return the field less what second-order shims over the brain take away."""
    brain = np.argwhere(head.brain[::3, ::3, ::3] > 0.5) * 3
    places = head.grid.to_mm(brain)
    values = ndimage.map_coordinates(field, grid.to_index(places).T, order=1)
    coefficients = shim(values, places - CENTRE_MM)
    out = field.copy()
    for i in range(grid.shape[0]):  # a plane at a time: nine columns of all would be large
        index = np.stack(np.meshgrid([i], *map(np.arange, grid.shape[1:]), indexing="ij"), -1)
        terms = shim_terms(grid.to_mm(index.reshape(-1, 3)) - CENTRE_MM)
        out[i] -= (terms @ coefficients).reshape(grid.shape[1:]).astype(np.float32)
    return out


def _index_map(
    grid: FineGrid, pose: Pose, into: Grid
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the matrix and shift from fine indices to indices of a grid in head mm."""
    points = np.concatenate([np.zeros((1, 3)), np.eye(3)])
    scanner = (points * grid.spacing_mm + grid.origin_mm) @ grid.axes.T + grid.scan.affine[:3, 3]
    index = into.to_index(pose.to_head(scanner))
    return np.ascontiguousarray((index[1:] - index[0]).T), index[0]


def _sampled(
    head: Head, maps: HeadMaps, wide: WideField, pose: Pose, grid: FineGrid, b0_t: float
) -> tuple[Volume, Volume, Volume, Volume, npt.NDArray[np.uint8]]:
    chi, smooth, s0, r2star = (np.zeros(grid.shape, dtype=np.float32) for _ in range(4))
    fat = np.zeros(grid.shape, dtype=np.uint8)
    matter = head.fractions["gm"] + head.fractions["wm"]
    stack = np.stack([maps.chi_ppm, maps.s0, maps.r2star, maps.fat, matter], axis=-1)
    matrix, shift = _index_map(grid, pose, head.grid)
    _sample_head(
        stack, matrix, shift, head.grid.affine[:3, 3], float(head.grid.spacing_mm[0]),
        shares_seen(grid.spacing_mm), 0 if head.params is None else head.params.seed,
        RELAXIVITY_HZ_PER_PPM * b0_t / 3.0, chi, s0, r2star, fat,
    )  # fmt: skip
    matrix, shift = _index_map(grid, pose, wide.grid)
    _sample_add(wide.chi_ppm, matrix, shift, smooth)
    return chi, smooth, s0, r2star, fat


def _add_wide(field: Volume, wide: WideField, pose: Pose, grid: FineGrid) -> None:
    matrix, shift = _index_map(grid, pose, wide.grid)
    _sample_add(wide.field_ppm, matrix, shift, field)


@compiled(parallel=True, fastmath=True)
def _sample_head(
    stack: Any, matrix: Any, shift: Any, origin: Any, step: float, shares: Any, seed: int,
    relaxivity: float, chi: Any, s0: Any, r2star: Any, fat: Any,
) -> None:  # fmt: skip
    """Interpolate the four maps of a head linearly, with the grain of its tissue; 0 outside."""
    n0, n1, n2, _ = stack.shape
    amount, water = np.float32(GRAIN_PPM), np.float32(GRAIN_WATER)
    for i in prange(chi.shape[0]):
        total = np.zeros(5, dtype=np.float32)
        for j in range(chi.shape[1]):
            for k in range(chi.shape[2]):
                x = matrix[0, 0] * i + matrix[0, 1] * j + matrix[0, 2] * k + shift[0]
                y = matrix[1, 0] * i + matrix[1, 1] * j + matrix[1, 2] * k + shift[1]
                z = matrix[2, 0] * i + matrix[2, 1] * j + matrix[2, 2] * k + shift[2]
                if x <= 0 or y <= 0 or z >= n2 - 1 or x >= n0 - 1 or y >= n1 - 1:
                    continue
                z = max(z, 0.0)  # the neck goes on
                bx, by, bz = int(x), int(y), int(z)
                tx, ty, tz = np.float32(x - bx), np.float32(y - by), np.float32(z - bz)
                total[:] = 0.0
                for p in range(2):
                    for q in range(2):
                        wxy = (tx if p else 1 - tx) * (ty if q else 1 - ty)
                        for c in range(5):
                            total[c] += wxy * (
                                (1 - tz) * stack[bx + p, by + q, bz, c]
                                + tz * stack[bx + p, by + q, bz + 1, c]
                            )
                chi[i, j, k] = total[0]
                s0[i, j, k] = total[1]
                r2star[i, j, k] = total[2]
                fat[i, j, k] = np.uint8(min(max(total[3], 0.0), 1.0) * 255)
                if total[4] > np.float32(0.02):
                    x, y, z = origin[0] + step * x, origin[1] + step * y, origin[2] + step * z
                    iron, myelin = grain(x, y, z, shares, seed)
                    chi[i, j, k] += total[4] * amount * (iron - myelin)
                    s0[i, j, k] *= np.float32(1.0) - total[4] * water * myelin
                    more = total[4] * amount * np.float32(relaxivity) * (iron + myelin)
                    r2star[i, j, k] = max(r2star[i, j, k] + more, np.float32(0.0))


@compiled(parallel=True, fastmath=True)
def _sample_add(volume: Any, matrix: Any, shift: Any, out: Any) -> None:
    """Add `volume`, interpolated linearly, to `out`; nothing outside."""
    n0, n1, n2 = volume.shape
    for i in prange(out.shape[0]):
        for j in range(out.shape[1]):
            for k in range(out.shape[2]):
                x = matrix[0, 0] * i + matrix[0, 1] * j + matrix[0, 2] * k + shift[0]
                y = matrix[1, 0] * i + matrix[1, 1] * j + matrix[1, 2] * k + shift[1]
                z = matrix[2, 0] * i + matrix[2, 1] * j + matrix[2, 2] * k + shift[2]
                if x <= 0 or y <= 0 or z <= 0 or x >= n0 - 1 or y >= n1 - 1 or z >= n2 - 1:
                    continue
                bx, by, bz = int(x), int(y), int(z)
                tx, ty, tz = np.float32(x - bx), np.float32(y - by), np.float32(z - bz)
                total = np.float32(0.0)
                for p in range(2):
                    for q in range(2):
                        wxy = (tx if p else 1 - tx) * (ty if q else 1 - ty)
                        total += wxy * (
                            (1 - tz) * volume[bx + p, by + q, bz]
                            + tz * volume[bx + p, by + q, bz + 1]
                        )
                out[i, j, k] += total


@compiled(parallel=True)
def _fill_tubes(
    chi: Any, s0: Any, r2star: Any, vein: Any, blood_chi: float, blood_s0: float, blood_r2: float
) -> None:
    """Mix a fluid into every voxel that a tube touches; tubes end where the head does."""
    for i in prange(chi.shape[0]):
        for j in range(chi.shape[1]):
            for k in range(chi.shape[2]):
                part = vein[i, j, k]
                if part <= 0.0:
                    continue
                if s0[i, j, k] <= 0.0:
                    vein[i, j, k] = 0.0
                    continue
                chi[i, j, k] += part * (blood_chi - chi[i, j, k])
                whole = (1 - part) * s0[i, j, k] + part * blood_s0
                r2star[i, j, k] = (
                    (1 - part) * s0[i, j, k] * r2star[i, j, k] + part * blood_s0 * blood_r2
                ) / whole
                s0[i, j, k] = whole
