"""What goes on while a scan lasts: breathing and moves of the head.

Lines of k-space are recorded one after another. Each sees the head where it then is, through a
coil that stays, in a field that goes with the breath; lines that do not fit together make ghosts.
"""

from dataclasses import dataclass
from math import factorial

import numpy as np
import numpy.typing as npt
from scipy import fft

from petechia.core.grid import Grid
from petechia.core.units import hz_per_ppm
from petechia.simulate.protocols import Protocol

Complex = npt.NDArray[np.complex64]
Volume = npt.NDArray[np.float32]
BREATH_S = (3.0, 5.0)
"""Range of the period of breathing [s]."""
CHEST_MM = 300.0
"""How far below the isocentre the lungs lie."""
LEFT_OUT = 2e-3
"""How far the turn of a line may be from its breath's, for fewer transforms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One move of the head, which stays where it came to until the next.

    Attributes
    ----------
    when : float
        As a part of the scan, 0..1.
    shift_mm : tuple of float
        Along the array axes.
    turn_rad : tuple of float
        About the array axes, through the isocentre; by the right hand where the axes are
        right-handed.
    """

    when: float
    shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    turn_rad: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Disturbance:
    """What went on during a scan, as drawn.

    Attributes
    ----------
    breath_s, breath_turn : float
        Period of breathing [s], and where in it the scan begins [rad].
    moves : tuple of Move
        In any order; where several were made they add up.
    bipolar_rad, bipolar_rad_mm : float
        Phase of even echoes against odd ones: constant, and along the readout.
    """

    breath_s: float
    breath_turn: float
    moves: tuple[Move, ...]
    bipolar_rad: float
    bipolar_rad_mm: float


def sample_disturbance(rng: np.random.Generator, protocol: Protocol) -> Disturbance:
    """Draw what goes on during a scan."""
    n = int(rng.integers(1, 4)) if protocol.motion_mm > 0 or protocol.motion_deg > 0 else 0
    steps = []
    for _ in range(n):
        x, y, z = (float(v) for v in rng.normal(0, protocol.motion_mm, 3))
        steps.append((float(rng.uniform(0.05, 0.95)), (x, y, z)))
    breath_s, breath_turn = float(rng.uniform(*BREATH_S)), float(rng.uniform(0, 2 * np.pi))
    constant, slope = float(rng.normal(0, 0.5)), float(rng.normal(0, 0.01))
    moves = []
    for when, shift_mm in steps:
        a, b, c = (float(v) for v in np.deg2rad(rng.normal(0, protocol.motion_deg, 3)))
        moves.append(Move(when=when, shift_mm=shift_mm, turn_rad=(a, b, c)))
    return Disturbance(
        breath_s=breath_s,
        breath_turn=breath_turn,
        moves=tuple(moves),
        bipolar_rad=constant,
        bipolar_rad_mm=slope,
    )


def recorded(images: Complex, gain: Complex, protocol: Protocol, happened: Disturbance) -> Complex:
    """Return what a coil of `gain` records of a head that moves and breathes.

    Parameters
    ----------
    images : (E, I, J, K) ndarray of complex64
        Of the head at rest, noise-free, before the coil.
    gain : (I, J, K) ndarray of complex64
        Of the coil, which stays where it is.
    protocol : Protocol
        Order and times of the lines, strength of the breath.
    happened : Disturbance
        Breath and moves.

    Notes
    -----
    A field that goes with the breath b(t) turns the image by exp(i p b) with another p
    everywhere. Between a few values of b that is interpolated by polynomials (Chebyshev
    nodes), each with a transform of its own. The field of the head turns with it; that it
    would also change a little with its direction to B0 is left out.
    """
    if protocol.respiration_ppm == 0 and not happened.moves:
        return images * gain
    axes = (protocol.phase_axis, 2) if protocol.acquisition_type == "3D" else (protocol.phase_axis,)
    seconds = line_times(protocol)
    breath = np.sin(2 * np.pi * seconds / happened.breath_s + happened.breath_turn)
    hertz = protocol.respiration_ppm * hz_per_ppm(protocol.b0_t) * breath_pattern(protocol.grid)
    spectra = np.zeros_like(images)
    for first, last, pose in _rests(happened):
        here = (seconds >= first * seconds.max()) & (seconds < last * seconds.max())
        if last >= 1.0:
            here |= seconds == seconds.max()
        if not here.any():
            continue
        moved = rigidly_moved(images, pose, protocol)
        for e, te_s in enumerate(protocol.te_s):
            radians = np.asarray(2 * np.pi * te_s * hertz, dtype=np.float32)
            for value, part in _nodes(breath, float(np.abs(radians).max())):
                turned = moved[e] * gain * np.exp(np.complex64(1j * value) * radians)
                weight = np.where(here, part, 0.0).astype(np.float32)
                spectra[e] += weight * fft.fftn(turned, axes=axes)
    return np.asarray(fft.ifftn(spectra, axes=[a + 1 for a in axes]), dtype=np.complex64)


def line_times(protocol: Protocol) -> npt.NDArray[np.float64]:
    """Return when each line is recorded [s], as (I, 1, K) or (1, J, K).

    Frequencies are in the order of the discrete Fourier transform, and recorded from the most
    negative on: in 3D partition by partition within each phase-encoding line; in 2D the
    slices follow each other within every repetition.
    """
    lines, slices = protocol.shape[protocol.phase_axis], protocol.shape[2]
    rank = fft.ifftshift(np.arange(lines))
    if protocol.acquisition_type == "3D":
        when = (rank[:, None] * slices + fft.ifftshift(np.arange(slices))) * protocol.tr_s
    else:
        when = (rank[:, None] + np.arange(slices) / slices) * protocol.tr_s
    shape = (lines, 1, slices) if protocol.phase_axis == 0 else (1, lines, slices)
    return np.asarray(when, dtype=np.float64).reshape(shape)


def breath_pattern(grid: Grid) -> Volume:
    """Return the field of the lungs over that at the isocentre, (I, J, K).

    That of a dipole in the chest: it obeys Laplace's equation in the head, and grows towards
    the neck, where breathing is known to matter most [1]_.

    References
    ----------
    .. [1] Van de Moortele, Pfeuffer, Glover, Ugurbil & Hu (2002), Respiration-induced B0
       fluctuations and their spatial distribution in the human brain at 7 Tesla,
       Magn. Reson. Med. 47, 888-895, doi:10.1002/mrm.10145.
    """
    out = np.empty(grid.shape, dtype=np.float32)
    for i in range(grid.shape[0]):
        index = np.stack(np.meshgrid([i], *map(np.arange, grid.shape[1:]), indexing="ij"), -1)
        away = grid.to_mm(index.reshape(-1, 3)) + np.array([0.0, 0.0, CHEST_MM])
        square = (away**2).sum(axis=1)
        along = 0.5 * (3 * away[:, 2] ** 2 / square - 1)
        out[i] = (along * (CHEST_MM**2 / square) ** 1.5).reshape(grid.shape[1:])
    return out


def _rests(happened: Disturbance) -> list[tuple[float, float, Move]]:
    """Return from when to when the head rests, and where: moves added up."""
    moves = sorted(happened.moves, key=lambda move: move.when)
    begins = [0.0, *(move.when for move in moves)]
    ends = [*(move.when for move in moves), 1.0]
    shift, turn = np.zeros(3), np.zeros(3)
    out = []
    for first, last, move in zip(begins, ends, [Move(when=0.0), *moves], strict=True):
        shift, turn = shift + move.shift_mm, turn + move.turn_rad
        x, y, z = (float(v) for v in shift)
        a, b, c = (float(v) for v in turn)
        out.append((first, last, Move(when=first, shift_mm=(x, y, z), turn_rad=(a, b, c))))
    return out


def _nodes(
    breath: npt.NDArray[np.float64], radians: float
) -> list[tuple[float, npt.NDArray[np.float64]]]:
    """Return values of the breath, each with its Lagrange polynomial at every line's breath."""
    n = 1
    while radians**n / (2 ** (n - 1) * factorial(n)) > LEFT_OUT:
        n += 1
    values = np.cos((np.arange(n) + 0.5) * np.pi / n)
    out = []
    for value in values:
        part = np.ones_like(breath)
        for other in values[values != value]:
            part = part * (breath - other) / (value - other)
        out.append((float(value), part))
    return out


def rigidly_moved(images: Complex, pose: Move, protocol: Protocol) -> Complex:
    """Return images (E, I, J, K) of a head that has turned and shifted.

    Through k-space, turns as three shears each: nothing is blurred. 2D slices only move
    within themselves.
    """
    out = images
    within = 3 if protocol.acquisition_type == "3D" else 2
    for axis in range(3):
        if pose.turn_rad[axis] != 0 and (within == 3 or axis == 2):
            b, c = (axis + 1) % 3, (axis + 2) % 3
            half = -np.tan(pose.turn_rad[axis] / 2)
            out = _sheared(out, b, c, half, protocol)
            out = _sheared(out, c, b, np.sin(pose.turn_rad[axis]), protocol)
            out = _sheared(out, b, c, half, protocol)
    for axis in range(within):
        if pose.shift_mm[axis] != 0:
            out = _shifted(out, axis, np.full((1, 1, 1), pose.shift_mm[axis]), protocol)
    return out


def _sheared(images: Complex, along: int, by: int, slope: float, protocol: Protocol) -> Complex:
    """Shift along one axis by `slope` times the place on another, from the isocentre."""
    grid = protocol.grid
    middle = grid.to_index(np.zeros(3))[by]
    place = (np.arange(protocol.shape[by]) - middle) * protocol.spacing_mm[by]
    return _shifted(
        images, along, slope * place.reshape([-1 if a == by else 1 for a in range(3)]), protocol
    )


def _shifted(
    images: Complex, axis: int, shift_mm: npt.NDArray[np.float64], protocol: Protocol
) -> Complex:
    n = protocol.shape[axis]
    frequency = fft.fftfreq(n, protocol.spacing_mm[axis])
    if n % 2 == 0:
        frequency[n // 2] = 0.0  # has no negative of its own
    frequency = frequency.reshape([-1 if a == axis else 1 for a in range(3)])
    ramp = np.exp(-2j * np.pi * frequency * shift_mm).astype(np.complex64)
    out = np.empty_like(images)
    for e, image in enumerate(images):
        spectrum = fft.fft(image, axis=axis)
        spectrum *= ramp
        out[e] = fft.ifft(spectrum, axis=axis, overwrite_x=True)
    return out
