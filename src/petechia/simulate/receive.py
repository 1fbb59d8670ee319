"""What the receiver adds: coil shading, phase offset, noise."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.core.grid import Grid
from petechia.simulate.fields import shim_terms

Complex = npt.NDArray[np.complex64]


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


def receive(
    images: Complex, receiver: Receiver, grid: Grid, noise: float, rng: np.random.Generator
) -> Complex:
    """Return what comes out of the coil: `images` shaded, offset and noisy.

    Parameters
    ----------
    images : (E, I, J, K) ndarray of complex64
        Noise-free; used up.
    receiver : Receiver
        The coil.
    grid : Grid
        Of the images; harmonics are about the isocentre.
    noise : float
        Standard deviation of the real and of the imaginary part, where the gain is 1.
    rng : Generator
        Of the noise.
    """
    for i in range(grid.shape[0]):
        index = np.stack(np.meshgrid([i], *map(np.arange, grid.shape[1:]), indexing="ij"), -1)
        places = grid.to_mm(index.reshape(-1, 3))
        terms = shim_terms(places)
        # surface coils: the rim is brighter than the middle
        rim = 0.25 * np.minimum((places**2).sum(axis=1) / 80.0**2, 2.0)
        gain = np.exp(terms @ receiver.log_gain + rim) * np.exp(1j * terms @ receiver.offset_rad)
        images[:, i] *= gain.reshape(grid.shape[1:]).astype(np.complex64)
    for image in images:
        parts = image.view(np.float32)
        parts += np.float32(noise) * rng.standard_normal(parts.shape, dtype=np.float32)
    return images
