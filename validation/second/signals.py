"""From a head to the complex signal of one echo, and what coils and noise make of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import fft

from petechia.core.compiled import compiled
from second.body import Body
from second.geometry import Geometry
from second.lesions import CALCIFICATION, MICROBLEED, Lesion
from second.protocols import Protocol
from second.smooth import Volume
from second.spheres import add_spheres, sum_spins
from second.tissue import FAT_SHIFT_PPM, GREY, GYROMAGNETIC_MHZ_T, Contrast
from second.warp import Warp

Vector = npt.NDArray[np.float64]
Complex = npt.NDArray[np.complex64]
SPINS = 5
"""Along each axis of a fine voxel near a lesion."""
STEEP_CYCLES = 0.12
"""Dephasing within a fine voxel from which its spins are summed one by one."""
NEAR_MM = 25.0
"""Lesions whose field is put together from all spheres there."""
INSIDE = {MICROBLEED: (0.75, 70.0), CALCIFICATION: (0.35, 60.0)}
"""Signal inside a lesion, and R2* that it adds to grey matter at 3 T [1/s]."""
COILS = 8
TAPER, EDGE_LEFT = 0.3, 0.2
"""Part of k-space, from its edge, in which signal falls, and what is left at the edge."""
FILTER_WIDTH = 64
"""Samples of k-space that homodyne filtering takes for the background."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Laid:
    """A lesion in the scanner.

    Attributes
    ----------
    lesion : Lesion
    place_mm, scan_mm : (3,) ndarray
        In scanner RAS, and in scan millimetres.
    spheres : (N, 7) ndarray
        By the columns of `second.spheres`.
    in_slab : bool
        It lies where signal is encoded.
    """

    lesion: Lesion
    place_mm: Vector
    scan_mm: Vector
    spheres: Vector
    in_slab: bool


def laid_lesions(
    lesions: Sequence[Lesion], warp: Warp, geometry: Geometry, contrast: Contrast, b0_t: float
) -> list[Laid]:
    """Return lesions in the scanner: their places are warped, their shapes are not."""
    return [
        laid_lesion(lesion, warp.to_world(lesion.place_mm[None])[0], geometry, contrast, b0_t)
        for lesion in lesions
    ]


def laid_lesion(
    lesion: Lesion, place_mm: Vector, geometry: Geometry, contrast: Contrast, b0_t: float
) -> Laid:
    """Return a lesion at a place of the scanner."""
    signal, added_hz = INSIDE[lesion.kind]
    r2star = contrast.r2star_hz[GREY] + added_hz * b0_t / 3
    n = len(lesion.radii_mm)
    alike = np.tile([lesion.sphere_chi_ppm, signal, r2star], (n, 1))
    centres = geometry.to_scan_mm(place_mm + lesion.offsets_mm)
    return Laid(
        lesion=lesion,
        place_mm=place_mm,
        scan_mm=geometry.to_scan_mm(place_mm),
        spheres=np.column_stack([centres, lesion.radii_mm, alike]),
        in_slab=geometry.fully_in_slab(place_mm),
    )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Magnet:
    """A head in the field, ready to be scanned with any of its lesions.

    Attributes
    ----------
    body : Body
    field_ppm : (I, J, K) ndarray of float32
        Without lesions, shimmed.
    geometry : Geometry
    protocol : Protocol
    sensitivity : (A, B, C) ndarray of float32
        Of the coils, over the voxels of the scan.
    """

    body: Body
    field_ppm: Volume
    geometry: Geometry
    protocol: Protocol
    sensitivity: Volume

    def echo(self, te_s: float, lesions: Sequence[Laid]) -> Complex:
        """Return the signal at an echo time without noise and coil phase.

        Its phase grows where the field is higher.
        """
        geometry, b0_dir = self.geometry, self.geometry.b0_dir
        radian = 2 * np.pi * GYROMAGNETIC_MHZ_T * self.protocol.b0_t * te_s
        field = self.field_ppm
        if lesions:
            field = field.copy()
            every = np.concatenate([one.spheres for one in lesions])
            add_spheres(field, every, geometry.fine_mm, b0_dir)
        body, fine = self.body, np.zeros(geometry.slab, np.complex64)
        tissue = (body.signal, body.r2star_hz, body.fatty)
        _dephased(fine, field, tissue, (radian, te_s, radian * FAT_SHIFT_PPM), geometry.below)
        base = (self.field_ppm, body.signal, body.r2star_hz)
        for one in lesions:
            if one.in_slab:
                box = self._steep_box(one, te_s)
                near = _around(one, lesions)
                split = (SPINS, geometry.below)
                turns = (radian, te_s)
                sum_spins(fine, base, near, geometry.fine_mm, b0_dir, box, turns, split)
        encoded = encode(fine, geometry, in_slices=self.protocol.in_slices)
        return np.asarray(encoded * self.sensitivity)

    def _steep_box(self, one: Laid, te_s: float) -> npt.NDArray[np.int64]:
        """Return the fine voxels in which a lesion's field is steep."""
        geometry, fine_mm = self.geometry, self.geometry.fine_mm
        # the gradient of a dipole on its axis is 6 m / (4 pi r^4)
        cycles = GYROMAGNETIC_MHZ_T * self.protocol.b0_t * te_s * fine_mm.max()
        steepest = 6 * abs(one.lesion.moment_ppm_mm3) / (4 * np.pi) * cycles
        radii, offsets = one.lesion.radii_mm, one.lesion.offsets_mm
        reach = max((steepest / STEEP_CYCLES) ** 0.25, radii.max() * 1.4 + 0.5)
        reach += np.linalg.norm(offsets, axis=1).max()
        first, last = np.array([0, 0, geometry.below]), np.array(geometry.slab)
        last[2] += geometry.below
        low = np.floor((one.scan_mm - reach) / fine_mm).astype(int)
        high = np.floor((one.scan_mm + reach) / fine_mm).astype(int) + 2
        return np.stack([np.maximum(low, first + 1), np.minimum(high, last - 2)], axis=1)


def _around(one: Laid, lesions: Sequence[Laid]) -> Vector:
    near = [
        other.spheres
        for other in lesions
        if other is not one and np.linalg.norm(other.place_mm - one.place_mm) < NEAR_MM
    ]
    return np.concatenate([one.spheres, *near])


@compiled(fastmath=True)
def _dephased(out: Any, field: Any, tissue: Any, turns: Any, below: int) -> None:
    """Write the signal of the slab, each fine voxel dephased by the slope of the field in it.

    tissue: signal, R2*, fat. turns: radians a ppm, echo time [s], radians of fat.
    """
    signal, r2star, fatty = tissue
    radian, te, fat = turns
    ni, nj, nk = field.shape
    for i in range(ni):
        im, ip = max(i - 1, 0), min(i + 1, ni - 1)
        for j in range(nj):
            jm, jp = max(j - 1, 0), min(j + 1, nj - 1)
            for slice_ in range(out.shape[2]):
                k = slice_ + below
                if signal[i, j, k] == 0:
                    continue
                km, kp = max(k - 1, 0), min(k + 1, nk - 1)
                left = signal[i, j, k] * np.exp(-r2star[i, j, k] * te)
                for slope in (
                    field[ip, j, k] - field[im, j, k],
                    field[i, jp, k] - field[i, jm, k],
                    field[i, j, kp] - field[i, j, km],
                ):
                    half = 0.25 * radian * slope
                    if abs(half) > 1e-3:
                        left *= np.sin(half) / half if abs(half) < np.pi else 0.0
                phase = radian * field[i, j, k]
                if fatty[i, j, k]:
                    phase += fat
                out[i, j, slice_] = left * (np.cos(phase) + 1j * np.sin(phase))


def encode(fine: Complex, geometry: Geometry, *, in_slices: bool) -> Complex:
    """Return the voxels of the scan: of k-space only what is acquired, tapered at its edge."""
    if in_slices:
        out: Complex = np.tensordot(fine, _slice_profiles(geometry), (2, 0)).astype(np.complex64)
    else:
        out = crop_k(fine * _slab_profile(geometry), 2, int(geometry.shape[2]))
    for axis in (0, 1):
        out = crop_k(out, axis, int(geometry.shape[axis]))
    return out


def _slab_profile(geometry: Geometry) -> Volume:
    """Return how well each fine slice of a slab is excited: less at its ends."""
    place = np.arange(geometry.slab[2]) * geometry.fine_mm[2]
    ends = 1 / (1 + np.exp(-(place - 2.5) / 0.8))
    return np.asarray(ends * ends[::-1], dtype=np.float32)


def _slice_profiles(geometry: Geometry) -> Volume:
    """Return the part of each fine slice in each slice that is excited by itself."""
    slice_mm = geometry.voxel_mm[2]
    fine = np.arange(geometry.slab[2])[:, None] * geometry.fine_mm[2]
    off = fine - np.arange(geometry.shape[2]) * slice_mm
    edge = np.clip((slice_mm / 2 + 0.3 - np.abs(off)) / 0.6, 0, 1)
    weight = edge * np.clip(1 - 0.25 * (2 * off / slice_mm) ** 2, 0, None)
    return np.asarray(weight / weight.sum(0), dtype=np.float32)


def crop_k(volume: Complex, axis: int, n: int) -> Complex:
    """Return a volume with `n` voxels along an axis, from the middle of its k-space."""
    wide = volume.shape[axis]
    k = np.fft.fftfreq(n, 1 / n).astype(int)
    kept = np.take(fft.fft(volume, axis=axis), k % wide, axis=axis)
    beyond = np.clip((np.abs(k) / (n / 2) - 1 + TAPER) / TAPER, 0, 1)
    window = EDGE_LEFT + (1 - EDGE_LEFT) * (0.5 + 0.5 * np.cos(np.pi * beyond))
    kept *= np.moveaxis((window * n / wide).astype(np.float32)[:, None, None], 0, axis)
    return np.asarray(fft.ifft(kept, axis=axis, overwrite_x=True))


def sensitivity_of(rng: np.random.Generator, geometry: Geometry, b0_t: float) -> Volume:
    """Return what coils around the head and, at 7 T, the transmitter make of signal."""
    x, y, z = _axes_100mm(geometry)
    total = np.zeros(tuple(geometry.shape), np.float32)
    for n in range(COILS):
        turn = 2 * np.pi * n / COILS + rng.uniform(-0.3, 0.3)
        a, b, c = 1.25 * np.cos(turn), 1.4 * np.sin(turn), rng.uniform(-0.4, 0.8)
        square = (x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2
        total += rng.uniform(0.7, 1.3) / (0.45 + square)
    received = (total / total.mean()) ** 0.8
    if b0_t > 3:
        received = received * np.clip(1.15 - 0.45 * (x**2 + (y - 0.1) ** 2) / 0.8, 0.35, None)
    return np.asarray(received, dtype=np.float32)


def coil_phase_of(rng: np.random.Generator, geometry: Geometry) -> Volume:
    """Return the smooth phase that the receiver adds at every echo [rad]."""
    x, y, z = _axes_100mm(geometry)
    a, b, c = rng.normal(0, 1.2, 3)
    d, e, f = rng.normal(0, [0.5, 0.7, 0.4])
    square = d * x * y + e * (y**2 - x**2) + f * z**2
    phase = rng.uniform(-3, 3) + a * x + b * y + c * z + square
    return np.asarray(phase, dtype=np.float32)


def _axes_100mm(geometry: Geometry) -> tuple[Vector, Vector, Vector]:
    """Return places along each axis from the middle of the scan, a unit 100 mm."""
    x, y, z = (
        (np.arange(n) - n / 2) * d / 100
        for n, d in zip(geometry.shape, geometry.voxel_mm, strict=True)
    )
    return x[:, None, None], y[None, :, None], z[None, None]


def received(
    echo: Complex, coil_phase: Volume, noise_sd: float, handedness: int, rng: np.random.Generator
) -> Complex:
    """Return an echo with coil phase and noise, its phase turned as the vendor turns it."""
    noise = rng.standard_normal((2, *echo.shape), dtype=np.float32)
    noisy = echo * np.exp(1j * coil_phase) + np.float32(noise_sd) * (noise[0] + 1j * noise[1])
    return np.asarray(noisy if handedness > 0 else noisy.conj(), dtype=np.complex64)


def filtered_phase(image: Complex) -> Volume:
    """Return phase after homodyne filtering, slice by slice [rad]."""
    spectrum = fft.fftshift(fft.fft2(image, axes=(0, 1)), axes=(0, 1))
    for axis in (0, 1):
        n, half = image.shape[axis], FILTER_WIDTH // 2
        window = np.zeros(n, np.float32)
        window[n // 2 - half : n // 2 + half] = np.hanning(FILTER_WIDTH)
        spectrum *= np.moveaxis(window[:, None, None], 0, axis)
    smooth = fft.ifft2(fft.ifftshift(spectrum, axes=(0, 1)), axes=(0, 1))
    return np.asarray(np.angle(image * smooth.conj()), dtype=np.float32)
