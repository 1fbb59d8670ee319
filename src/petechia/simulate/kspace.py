"""What happens to an image on its way through k-space, and in the vendor's reconstruction.

Truncation, partial Fourier and elliptical sampling leave parts of k-space empty. Bipolar readouts
leave a phase between odd and even echoes, and displace fat the other way. Some vendors store SWI
phase only after a high-pass filter.
"""

import numpy as np
import numpy.typing as npt
from scipy import fft

from petechia.core.units import hz_per_ppm
from petechia.simulate.motion import Disturbance
from petechia.simulate.protocols import Protocol
from petechia.simulate.tissues import FAT_SHIFT_PPM

Complex = npt.NDArray[np.complex64]


def disturbed(images: Complex, protocol: Protocol, happened: Disturbance) -> Complex:
    """Return images (E, I, J, K) as they come out of an imperfect k-space."""
    if protocol.bipolar:
        images = _bipolar(images, protocol, happened)
    mask = sampled_part(protocol)
    if mask.all():
        return images
    axes = (0, 1, 2) if protocol.acquisition_type == "3D" else (0, 1)
    out = np.empty_like(images)
    for image, kept in zip(images, out, strict=True):
        kept[:] = fft.ifftn(fft.fftn(image, axes=axes) * mask, axes=axes)
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
