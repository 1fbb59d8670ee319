"""What receivers add: coil shading, phase offset, noise; one combined coil, or several."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import prange

from petechia.core.compiled import compiled
from petechia.core.grid import Grid

Complex = npt.NDArray[np.complex64]
Record = Callable[[Complex, Complex], Complex]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Receiver:
    """One combined coil, as drawn.

    Attributes
    ----------
    log_gain, offset_rad : (9,) ndarray
        Coefficients of the solid harmonics (to second order, over 80 mm) of the logarithm
        of the gain and of the phase at echo time 0.
    """

    log_gain: npt.NDArray[np.float64]
    offset_rad: npt.NDArray[np.float64]


def sample_receiver(rng: np.random.Generator, b0_t: float) -> Receiver:
    """Draw a coil: brighter near the skin, offsets of some radians, more so at high field."""
    gain = rng.normal(0.0, 0.06, 9)
    gain[7:] *= 0.5
    offset = rng.normal(0.0, 0.5 + 0.12 * b0_t, 9)
    offset[0] = rng.uniform(-np.pi, np.pi)
    return Receiver(log_gain=gain, offset_rad=offset)


def multiplied(images: Complex, gain: Complex) -> Complex:
    """Return what a coil of `gain` records of a head that keeps still."""
    return images * gain


def receive(
    images: Complex,
    receiver: Receiver,
    grid: Grid,
    noise: float,
    rng: np.random.Generator,
    record: Record = multiplied,
) -> Complex:
    """Return what comes out of the coil: `images` shaded, offset and noisy.

    Parameters
    ----------
    images : (E, I, J, K) ndarray of complex64
        Noise-free.
    receiver : Receiver
        The coil.
    grid : Grid
        Of the images; harmonics are about the isocentre.
    noise : float
        Standard deviation of the real and of the imaginary part, where the gain is 1.
    rng : Generator
        Of the noise.
    record : callable
        Of the images and the gain of the coil: what it records of them.
    """
    images = record(images, coil_gain(receiver, grid))
    for image in images:
        parts = image.view(np.float32)
        parts += np.float32(noise) * rng.standard_normal(parts.shape, dtype=np.float32)
    return images


def coil_gain(receiver: Receiver, grid: Grid) -> Complex:
    """Return what a combined coil multiplies an image by, (I, J, K)."""
    out = np.empty(grid.shape, dtype=np.complex64)
    _fill_gain(out, grid.affine, receiver.log_gain, receiver.offset_rad)
    return out


@compiled(parallel=True)
def _fill_gain(out: Any, affine: Any, log_gain: Any, offset_rad: Any) -> None:
    """Fill `out` with the gain of a coil and its phase at each voxel."""
    for i in prange(out.shape[0]):
        for j in range(out.shape[1]):
            for k in range(out.shape[2]):
                x = affine[0, 0] * i + affine[0, 1] * j + affine[0, 2] * k + affine[0, 3]
                y = affine[1, 0] * i + affine[1, 1] * j + affine[1, 2] * k + affine[1, 3]
                z = affine[2, 0] * i + affine[2, 1] * j + affine[2, 2] * k + affine[2, 3]
                x, y, z = x / 80.0, y / 80.0, z / 80.0
                # the solid harmonics of `shim_terms`
                terms = (
                    1.0, x, y, z, x * y, y * z, x * z, x * x - y * y, 2 * z * z - x * x - y * y
                )  # fmt: skip
                # surface coils: the rim is brighter than the middle
                size = 0.25 * min(x * x + y * y + z * z, 2.0)
                phase = 0.0
                for n in range(9):
                    size += terms[n] * log_gain[n]
                    phase += terms[n] * offset_rad[n]
                size = np.exp(size)
                out[i, j, k] = np.complex64(complex(size * np.cos(phase), size * np.sin(phase)))


def add_noise(images: Complex, noise: float, rng: np.random.Generator) -> None:
    """Add complex Gaussian noise to images where they lie, some times faster than `normal`.

    Parameters
    ----------
    images : ndarray of complex64
        Contiguous.
    noise : float
        Standard deviation of the real and of the imaginary part.
    rng : Generator
        Of the noise.

    References
    ----------
    .. [1] Box & Muller (1958), A note on the generation of random normal deviates,
       Ann. Math. Statist. 29, 610-611, doi:10.1214/aoms/1177706645.
    """
    bits = rng.integers(0, 1 << 64, images.size, dtype=np.uint64)
    _add_noise(images.reshape(-1).view(np.float32), bits, noise)


@compiled(fastmath=True)
def _add_noise(parts: Any, bits: Any, noise: float) -> None:
    """Add a radius from the lower, and a turn from the upper half of each random number.

    Without a branch, so that the processor does several at once.
    """
    one, root_half = np.float32(1.0), np.float32(0.7071068)
    scale = np.float32(-2.0 * np.log(2.0) * noise * noise)
    of_log = np.float32(2.0 / np.log(2.0))
    least, bias = np.int32(0x3F3504F3), np.int32(0x3F800000 - 0x3F3504F3)  # of sqrt(1/2) and 1
    for n in range(len(bits)):
        low = np.int32(np.uint32(bits[n] & np.uint64(0x7FFFFFFF)))
        even = (np.float32(low) + np.float32(0.5)) * np.float32(2**-31)
        whole = np.float32(even).view(np.int32) + bias
        m = np.int32((whole & 0x7FFFFF) + least).view(np.float32)  # 0.7 to 1.4
        t = (m - one) / (m + one)
        y = t * t
        series = t * (one + y * (np.float32(1 / 3) + y * (np.float32(1 / 5) + y / np.float32(7))))
        log2 = np.float32((whole >> 23) - 127) + of_log * series
        radius = root_half * np.sqrt(max(scale * log2, np.float32(0.0)))
        # a turn within a quadrant, seen from its middle, and two signs
        high = np.int32(np.uint32(bits[n] >> np.uint64(32)))
        x = np.float32((high >> 8) & 0x3FFFFF) * np.float32(np.pi * 2**-23) - np.float32(np.pi / 4)
        y = x * x
        sine = x * (
            one - y * (np.float32(1 / 6) - y * (np.float32(1 / 120) - y / np.float32(5040)))
        )
        cosine = one - y * (np.float32(0.5) - y * (np.float32(1 / 24) - y / np.float32(720)))
        parts[2 * n] += radius * (cosine - sine) * np.float32(1 - 2 * ((high >> 30) & 1))
        parts[2 * n + 1] += radius * (cosine + sine) * np.float32(1 - 2 * ((high >> 31) & 1))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Coils:
    """Several receivers around the head, as drawn.

    Attributes
    ----------
    place_mm : (C, 3) ndarray
        In the scanner.
    phase_rad : (C,) ndarray
        Of each.
    reach_mm : float
        Where the sensitivity has halved.
    """

    place_mm: npt.NDArray[np.float64]
    phase_rad: npt.NDArray[np.float64]
    reach_mm: float = 110.0

    def sensitivity(self, n: int, grid: Grid) -> Complex:
        """Return the sensitivity of coil `n`, (I, J, K): its phase turns with the distance."""
        out = np.empty(grid.shape, dtype=np.complex64)
        for i in range(grid.shape[0]):
            index = np.stack(np.meshgrid([i], *map(np.arange, grid.shape[1:]), indexing="ij"), -1)
            away = np.linalg.norm(grid.to_mm(index.reshape(-1, 3)) - self.place_mm[n], axis=1)
            size = 1.0 / (1.0 + (away / self.reach_mm) ** 2)
            turn = np.exp(1j * (self.phase_rad[n] + away / 150.0))
            out[i] = (size * turn).reshape(grid.shape[1:])
        return out


def sample_coils(rng: np.random.Generator, n: int) -> Coils:
    """Draw `n` receivers on a helmet of about 130 mm."""
    way = rng.normal(0, 1, (n, 3))
    way[:, 2] = np.abs(way[:, 2])
    way *= rng.uniform(120.0, 140.0, n)[:, None] / np.linalg.norm(way, axis=1, keepdims=True)
    return Coils(place_mm=way, phase_rad=rng.uniform(-np.pi, np.pi, n))


def coil_images(
    images: Complex,
    coils: Coils,
    grid: Grid,
    noise: float,
    rng: np.random.Generator,
    record: Record = multiplied,
) -> Iterator[tuple[Complex, Complex]]:
    """Yield what each coil receives, uncombined, (E, I, J, K), with its sensitivity.

    Parameters
    ----------
    images : (E, I, J, K) ndarray of complex64
        Noise-free.
    coils : Coils
        The receivers.
    grid : Grid
        Of the images.
    noise : float
        Standard deviation of the real and of the imaginary part, in every coil.
    rng : Generator
        Of the noise.
    record : callable
        Of the images and the sensitivity of a coil: what it records of them.
    """
    for n in range(len(coils.place_mm)):
        sensitivity = coils.sensitivity(n, grid)
        out = record(images, sensitivity)
        parts = out.view(np.float32)
        parts += np.float32(noise) * rng.standard_normal(parts.shape, dtype=np.float32)
        yield out, sensitivity


def combined(
    images: Complex,
    coils: Coils,
    grid: Grid,
    noise: float,
    rng: np.random.Generator,
    record: Record = multiplied,
    keep: list[Complex] | None = None,
) -> Complex:
    """Return the images of several coils combined by their sensitivities, noise as stated.

    The weights are the conjugate sensitivities over their root sum of squares, which leaves
    the noise alike everywhere; the root sum of squares stays as shading, of mean 1 at
    the middle. What each coil saw is added to `keep`.
    """
    total = np.zeros_like(images)
    power = np.zeros(grid.shape, dtype=np.float32)
    for seen, sensitivity in coil_images(images, coils, grid, noise, rng, record):
        total += sensitivity.conj() * seen
        power += np.abs(sensitivity) ** 2
        if keep is not None:
            keep.append(seen)
    total /= np.sqrt(power)
    return total
