"""One scan of one person: every echo, and the truth."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from second.body import Body, body_of
from second.field import head_field, shim
from second.geometry import Geometry, geometry_of
from second.person import Person
from second.protocols import Protocol
from second.signals import (
    Complex,
    Laid,
    Magnet,
    coil_phase_of,
    laid_lesions,
    received,
    sensitivity_of,
)
from second.smooth import Mask
from second.tissue import contrast_of
from second.truth import Truth, truth_of

SLAB_CENTRE_MM = np.array([[0.0, -17.0, 14.0]])
"""Place of the template in the middle of every slab."""
LEAST_SIGNAL = 0.3
"""Voxels of the brain with less do not tell the noise that an SNR asks for."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SecondScan:
    """A scan, before it is stored.

    Attributes
    ----------
    images : list of (I, J, K) ndarray of complex64
        Each echo with noise; white matter is about 1.
    noise_sd : float
        Of the real and of the imaginary part.
    geometry : Geometry
    protocol : Protocol
    truth : Truth
    """

    images: list[Complex]
    noise_sd: float
    geometry: Geometry
    protocol: Protocol
    truth: Truth


def scan_of(person: Person, name: str, protocol: Protocol, seed: Sequence[int]) -> SecondScan:
    """Return a scan of a person.

    Parameters
    ----------
    person : Person
    name : str
        Of the protocol: each has noise, coils and shim of its own.
    protocol : Protocol
    seed : sequence of int
        Of the person.
    """
    rng = np.random.default_rng([*seed, zlib.crc32(name.encode()), 6])
    geometry = geometry_of(protocol, person.warp.to_world(SLAB_CENTRE_MM)[0])
    contrast = contrast_of(protocol.b0_t, protocol.tr_s, protocol.flip_deg)
    body = body_of(person.anatomy, person.warp, person.veins, person.spaces, geometry, contrast)
    magnet = magnet_of(body, geometry, protocol, rng)
    laid = laid_lesions(person.lesions, person.warp, geometry, contrast, protocol.b0_t)
    images, last, noise_sd = acquire(magnet, laid, rng)
    return SecondScan(
        images=images,
        noise_sd=noise_sd,
        geometry=geometry,
        protocol=protocol,
        truth=truth_of(person.anatomy, magnet, laid, last, noise_sd),
    )


def magnet_of(
    body: Body, geometry: Geometry, protocol: Protocol, rng: np.random.Generator
) -> Magnet:
    """Return a head in the field; its susceptibility is no longer needed, and let go."""
    field = head_field(body.chi_ppm, geometry.fine_mm, geometry.b0_dir)
    shim(field, body.brain, geometry.fine_mm, rng)
    return Magnet(
        body=replace(body, chi_ppm=np.empty((0, 0, 0), np.float32)),
        field_ppm=field,
        geometry=geometry,
        protocol=protocol,
        sensitivity=sensitivity_of(rng, geometry, protocol.b0_t),
    )


def acquire(
    magnet: Magnet, lesions: Sequence[Laid], rng: np.random.Generator
) -> tuple[list[Complex], Complex, float]:
    """Return every echo with noise, the last one without, and the noise's deviation."""
    protocol, geometry = magnet.protocol, magnet.geometry
    coil_phase = coil_phase_of(rng, geometry)
    brain = geometry.sampled(magnet.body.brain)
    images: list[Complex] = []
    noise_sd = 0.0
    for te_s in protocol.te_s:
        echo = magnet.echo(te_s, lesions)
        if not images:
            noise_sd = noise_of(np.abs(echo), brain, protocol.snr)
        images.append(received(echo, coil_phase, noise_sd, protocol.handedness, rng))
    return images, echo, noise_sd


def noise_of(magnitude: npt.NDArray[np.floating], brain: Mask, snr: float) -> float:
    """Return the noise that leaves the median of the brain's signal at an SNR."""
    signal = magnitude[brain & (magnitude > LEAST_SIGNAL)]
    return float(np.median(signal)) / snr
