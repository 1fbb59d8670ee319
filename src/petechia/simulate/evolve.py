"""How the signal of fine points turns, decays and dephases from echo to echo.

Sines and exponentials are worked out for the first echo and for one step between echoes, as long
as echoes are equally far apart; each further echo is then a multiplication.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import prange

from petechia.core.compiled import compiled
from petechia.core.units import hz_per_ppm
from petechia.simulate.render import FineMaps
from petechia.simulate.tissues import FAT_SHIFT_PPM

Complex = npt.NDArray[np.complex64]
Volume = npt.NDArray[np.float32]
EVEN = 1e-6
"""Steps between echoes that differ by no more than this part are equal."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Clock:
    """Echo times for the kernels.

    Attributes
    ----------
    te_s : (E,) ndarray of float32
        Echo times [s].
    step_s : float
        Between echoes, when it is always the same; else 0, and each is worked out alone.
    """

    te_s: npt.NDArray[np.float32]
    step_s: float


def clock(te_s: tuple[float, ...]) -> Clock:
    """Return echo times with the step between them."""
    times = np.asarray(te_s, dtype=np.float64)
    steps = np.diff(times)
    even = len(steps) > 0 and np.ptp(steps) <= EVEN * np.abs(steps).max()
    return Clock(te_s=times.astype(np.float32), step_s=float(steps.mean()) if even else 0.0)


def evolve(
    maps: FineMaps, b0_t: float, te_s: tuple[float, ...], profile: Volume, first: int, out: Complex
) -> None:
    """Fill `out` with the signal of some planes of fine points.

    Parameters
    ----------
    maps : FineMaps
        Field, signal, decay.
    b0_t : float
        Main field [T].
    te_s : tuple of float
        Echo times [s].
    profile : (K,) ndarray of float32
        Excitation along the third axis.
    first : int
        Plane of the first axis with which `out` begins.
    out : (E, P, J, K) ndarray of complex64
        0 where there is nothing; filled.
    """
    times = clock(te_s)
    _evolve(
        maps.field_ppm, maps.s0, maps.r2star, maps.fat, profile, first,
        times.te_s, times.step_s, hz_per_ppm(b0_t), FAT_SHIFT_PPM, out,
    )  # fmt: skip


@compiled(fastmath=True)
def cos_sin(turns: Any) -> Any:
    """Return cosine and sine of a phase in turns, to 1e-6, several times faster than libm's."""
    quarters = np.float32(4.0) * (turns - np.floor(turns))
    quadrant = np.floor(quarters + np.float32(0.5))
    x = (quarters - quadrant) * np.float32(np.pi / 2)
    y = x * x
    one = np.float32(1.0)
    sine = x * (
        one + y * (np.float32(-1 / 6) + y * (np.float32(1 / 120) - y * np.float32(1 / 5040)))
    )
    cosine = one + y * (
        np.float32(-1 / 2)
        + y * (np.float32(1 / 24) + y * (np.float32(-1 / 720) + y * np.float32(1 / 40320)))
    )
    q = int(quadrant) & 3
    if q == 0:
        return cosine, sine
    if q == 1:
        return -sine, cosine
    if q == 2:
        return -cosine, -sine
    return sine, -cosine


@compiled(fastmath=True)
def _sinc(half: Any) -> Any:
    """Return sin(x) / x."""
    if abs(half) > np.float32(1.0):
        return cos_sin(half * np.float32(0.5 / np.pi))[1] / half
    y = half * half
    return np.float32(1.0) - y * (np.float32(1 / 6) - y * np.float32(1 / 120))


@compiled(parallel=True, fastmath=True)
def _evolve(
    field: Any, s0: Any, r2star: Any, fat: Any, profile: Any, first: int,
    te_s: Any, step_s: float, hertz: float, fat_shift: float, out: Any,
) -> None:  # fmt: skip
    """Fill a slab with signals at `te_s`, dephased by the field's slope across each point."""
    n0, n1, n2 = field.shape
    n_echoes = len(te_s)
    begin, last, step = te_s[0], te_s[n_echoes - 1], np.float32(step_s)
    hz = np.float32(hertz)
    spread = np.float32(0.5 * np.pi * hertz)  # half the spread of phase across a point
    as_fat = np.float32(fat_shift / 255.0)
    small, one = np.float32(1e-5), np.float32(1.0)
    for p in prange(out.shape[1]):
        i = first + p
        before, behind = max(i - 1, 0), min(i + 1, n0 - 1)
        for j in range(n1):
            left, right = max(j - 1, 0), min(j + 1, n1 - 1)
            for k in range(n2):
                signal = s0[i, j, k] * profile[k]
                if s0[i, j, k] < small:
                    continue
                x = spread * (field[behind, j, k] - field[before, j, k])
                y = spread * (field[i, right, k] - field[i, left, k])
                z = spread * (field[i, j, min(k + 1, n2 - 1)] - field[i, j, max(k - 1, 0)])
                x2, y2, z2 = x * x, y * y, z * z
                # three sincs multiplied, to their fourth order, while they are near 1
                slow = (x2 + y2 + z2) * np.float32(1 / 6)
                fast = slow * slow * np.float32(0.5) - (x2 * x2 + y2 * y2 + z2 * z2) * np.float32(
                    1 / 180
                )
                gentle = slow * last * last < np.float32(0.03)
                turning = hz * (field[i, j, k] + as_fat * fat[i, j, k])
                decay = r2star[i, j, k]
                cosine, sine = cos_sin(turning * begin)
                size = signal * np.exp(-begin * decay)
                more_cos, more_sin, kept = one, np.float32(0.0), one
                if step > 0:
                    more_cos, more_sin = cos_sin(turning * step)
                    kept = np.exp(-step * decay)
                for e in range(n_echoes):
                    te = te_s[e]
                    if e > 0:
                        if step > 0:
                            turned = cosine * more_cos - sine * more_sin
                            sine = cosine * more_sin + sine * more_cos
                            cosine = turned
                            size *= kept
                        else:
                            cosine, sine = cos_sin(turning * te)
                            size = signal * np.exp(-te * decay)
                    square = te * te
                    if gentle:
                        whole = size * (one - square * (slow - square * fast))
                    else:
                        whole = size * (_sinc(x * te) * _sinc(y * te) * _sinc(z * te))
                    out[e, p, j, k] = np.complex64(complex(whole * cosine, whole * sine))


def turn(images: Complex, field_ppm: Volume, b0_t: float, te_s: tuple[float, ...]) -> None:
    """Turn images (E, I, J, K), where they lie, by what a field adds to their phase."""
    times = clock(te_s)
    _turn(images, field_ppm, times.te_s, times.step_s, hz_per_ppm(b0_t))


@compiled(fastmath=True)
def _turn(images: Any, field: Any, te_s: Any, step_s: float, hertz: float) -> None:
    step = np.float32(step_s)
    for i in range(field.shape[0]):
        for j in range(field.shape[1]):
            for k in range(field.shape[2]):
                if field[i, j, k] == 0.0:
                    continue
                turning = np.float32(hertz) * field[i, j, k]
                cosine, sine = cos_sin(turning * te_s[0])
                more_cos, more_sin = cos_sin(turning * step)
                for e in range(len(te_s)):
                    if e > 0:
                        if step > 0:
                            turned = cosine * more_cos - sine * more_sin
                            sine = cosine * more_sin + sine * more_cos
                            cosine = turned
                        else:
                            cosine, sine = cos_sin(turning * te_s[e])
                    images[e, i, j, k] *= np.complex64(complex(cosine, sine))
