"""What happens to an image on its way through k-space, and in the vendor's reconstruction.

Truncation, partial Fourier and elliptical sampling leave parts of k-space empty. Breathing shifts
the frequency from line to line, motion shifts the head: lines that do not fit together make
ghosts. Bipolar readouts leave a phase between odd and even echoes. Some vendors store SWI phase
only after a high-pass filter.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft

from petechia.core.units import hz_per_ppm
from petechia.simulate.protocols import Protocol
from petechia.simulate.tissues import FAT_SHIFT_PPM

Complex = npt.NDArray[np.complex64]
BREATH_S = (3.0, 5.0)
"""Range of the period of breathing [s]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Disturbance:
    """What went on during a scan, as drawn.

    Attributes
    ----------
    breath_s, breath_turn : float
        Period of breathing [s], and where in it the scan begins [rad].
    moves : tuple of (float, tuple of float)
        When, as a part of the scan, and by how much along the array axes [mm] the head
        moved. It stays where it came to.
    bipolar_rad, bipolar_rad_mm : float
        Phase of even echoes against odd ones: constant, and along the readout.
    """

    breath_s: float
    breath_turn: float
    moves: tuple[tuple[float, tuple[float, float, float]], ...]
    bipolar_rad: float
    bipolar_rad_mm: float


def sample_disturbance(rng: np.random.Generator, protocol: Protocol) -> Disturbance:
    """Draw what goes on during a scan."""
    n = int(rng.integers(1, 4)) if protocol.motion_mm > 0 else 0
    moves = []
    for _ in range(n):
        x, y, z = (float(v) for v in rng.normal(0, protocol.motion_mm, 3))
        moves.append((float(rng.uniform(0.05, 0.95)), (x, y, z)))
    return Disturbance(
        breath_s=float(rng.uniform(*BREATH_S)),
        breath_turn=float(rng.uniform(0, 2 * np.pi)),
        moves=tuple(moves),
        bipolar_rad=float(rng.normal(0, 0.5)),
        bipolar_rad_mm=float(rng.normal(0, 0.01)),
    )


def disturbed(images: Complex, protocol: Protocol, happened: Disturbance) -> Complex:
    """Return images (E, I, J, K) as they come out of an imperfect k-space."""
    if protocol.bipolar:
        images = _bipolar(images, protocol, happened)
    axes = (0, 1, 2) if protocol.acquisition_type == "3D" else (0, 1)
    mask = sampled_part(protocol)
    still = protocol.respiration_ppm == 0 and not happened.moves
    if still and mask.all():
        return images
    out = np.empty_like(images)
    for e, te_s in enumerate(protocol.te_s):
        spectrum = fft.fftn(images[e], axes=axes) * mask
        if not still:
            spectrum *= _inconsistency(protocol, happened, te_s)
        out[e] = fft.ifftn(spectrum, axes=axes)
    return out


def sampled_part(protocol: Protocol) -> npt.NDArray[np.float32]:
    """Return 1 where k-space was recorded and 0 where it was left empty; broadcasts.

    Frequencies are in the order of the discrete Fourier transform.
    """
    encoded = [0, 1, 2] if protocol.acquisition_type == "3D" else [0, 1]
    edge = [
        np.abs(fft.fftfreq(protocol.shape[a]) * 2).reshape([-1 if b == a else 1 for b in range(3)])
        for a in encoded
    ]
    kept = np.ones([protocol.shape[a] if a in encoded else 1 for a in range(3)], dtype=bool)
    for far in edge:
        kept &= far <= protocol.acquired
    if protocol.elliptical:
        turning = [protocol.phase_axis, 2] if 2 in encoded else encoded
        kept &= sum(edge[a] ** 2 for a in turning) <= protocol.acquired**2
    line = fft.fftfreq(protocol.shape[protocol.phase_axis]) * 2
    along = [-1 if a == protocol.phase_axis else 1 for a in range(3)]
    kept &= (line >= -protocol.acquired * (2 * protocol.partial_fourier - 1)).reshape(along)
    return kept.astype(np.float32)


def _inconsistency(protocol: Protocol, happened: Disturbance, te_s: float) -> Complex:
    """Return by what every point of k-space is multiplied; lines are recorded in order."""
    axis = protocol.phase_axis
    lines = fft.fftfreq(protocol.shape[axis])
    when = (lines - lines.min()) / np.ptp(lines)
    partitions = protocol.shape[2] if protocol.acquisition_type == "3D" else 1
    seconds = when * len(lines) * protocol.tr_s * partitions
    breath = np.sin(2 * np.pi * seconds / happened.breath_s + happened.breath_turn)
    hertz = protocol.respiration_ppm * hz_per_ppm(protocol.b0_t) * breath
    along = [-1 if a == axis else 1 for a in range(3)]
    phase = (2 * np.pi * te_s * hertz).reshape(along)
    for a in range(3 if partitions > 1 else 2):
        shift = np.zeros(len(lines))
        for part, way in happened.moves:
            shift += np.where(when >= part, way[a], 0.0)
        frequency = fft.fftfreq(protocol.shape[a], protocol.spacing_mm[a])
        frequency = frequency.reshape([-1 if b == a else 1 for b in range(3)])
        phase = phase - 2 * np.pi * frequency * shift.reshape(along)
    return np.asarray(np.exp(1j * phase), dtype=np.complex64)


def _bipolar(images: Complex, protocol: Protocol, happened: Disturbance) -> Complex:
    axis = 1 - protocol.phase_axis
    n, step = protocol.shape[axis], protocol.spacing_mm[axis]
    place = (np.arange(n) - (n - 1) / 2) * step
    phase = happened.bipolar_rad + happened.bipolar_rad_mm * place
    out = images.copy()
    turn = np.exp(1j * phase).astype(np.complex64)
    out[1::2] *= turn.reshape([-1 if a == axis else 1 for a in range(3)])
    return out


def fat_shift_voxels(protocol: Protocol, echo: int) -> float:
    """Return by how many voxels fat is displaced along the readout; backwards when bipolar."""
    if protocol.bandwidth_hz is None:
        return 0.0
    sense = -1.0 if protocol.bipolar and echo % 2 else 1.0
    return sense * FAT_SHIFT_PPM * hz_per_ppm(protocol.b0_t) / protocol.bandwidth_hz


def displaced_along(image: Complex, axis: int, voxels: float) -> Complex:
    """Return an image moved along an axis by a part of its voxels, through k-space."""
    n = image.shape[axis]
    frequency = fft.fftfreq(n)
    if n % 2 == 0:
        frequency[n // 2] = 0.0  # has no negative of its own
    ramp = np.exp(-2j * np.pi * frequency * voxels).astype(np.complex64)
    along = [-1 if a == axis else 1 for a in range(image.ndim)]
    moved = fft.ifft(fft.fft(image, axis=axis) * ramp.reshape(along), axis=axis)
    return np.asarray(moved, dtype=np.complex64)


def vendor_filtered(images: Complex, window: int) -> Complex:
    """Return images whose phase went through a homodyne filter, slice by slice.

    The image is divided by itself at low resolution: a Hann window of `window` frequencies
    along the first two axes. The magnitude stays.
    """
    weights = []
    for axis in (1, 2):
        away = np.abs(fft.fftfreq(images.shape[axis]) * images.shape[axis])
        hann = np.where(away < window / 2, np.cos(np.pi * away / window) ** 2, 0.0)
        weights.append(hann.astype(np.float32))
    low = weights[0][:, None, None] * weights[1][None, :, None]
    out = np.empty_like(images)
    for e, image in enumerate(images):
        smooth = fft.ifftn(fft.fftn(image, axes=(0, 1)) * low, axes=(0, 1))
        turn = image * smooth.conj()
        out[e] = np.abs(image) * np.exp(1j * np.angle(turn))
    return out
