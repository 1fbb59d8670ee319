"""What a field that varies across a voxel leaves of its signal.

Along an *encoded* axis a gradient shifts the echo in k-space: the signal of the voxel stays as
it is until the shift, in cycles a voxel, leaves the recorded part of k-space at one half, and is
gone beyond. Only along slices that were excited one by one (2D) does it fade as a sinc, which
can be divided out. What was lost is not decay: R2* must not take it for one.

References
----------
.. [1] Yablonskiy, Sukstanskii, Luo & Wang (2013), Magn. Reson. Med. 70, 1283-1292 (the voxel
   spread function), doi:10.1002/mrm.24585.
.. [2] Fernandez-Seara & Wehrli (2000), Magn. Reson. Med. 44, 358-366 (the sinc of a slice),
   doi:10.1002/1522-2594(200009)44:3<358::AID-MRM3>3.0.CO;2-I.
"""

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_b0, require_finite
from petechia.core.compiled import compiled
from petechia.core.grid import Grid
from petechia.core.units import hz_per_ppm

ENCODED_CYCLES = 0.35
"""Cycles across a voxel of an encoded axis from which an echo is left out: the signal is lost
at 0.5, and a field that bends loses some before."""
SLICE_LEFT = 0.6
"""Part of the signal, of a sinc along a slice, below which an echo is left out."""


def checked_field(
    field_ppm: npt.NDArray[np.floating] | None, b0_t: float, grid: Grid
) -> tuple[npt.NDArray[np.float32], float]:
    """Return the field as contiguous float32 and hertz per ppm, 0 when there is no field."""
    if field_ppm is None:
        return np.zeros((1, 1, 1), dtype=np.float32), 0.0
    grid.require(field_ppm, "field_ppm")
    require_finite(field_ppm, "field_ppm")
    require_b0(b0_t, "b0_t")
    return np.ascontiguousarray(field_ppm, dtype=np.float32), hz_per_ppm(b0_t)


@compiled
def spread(here, before, after):  # type: ignore[no-untyped-def]
    """Return how much the field changes across a voxel; 0 stands for a field not known."""
    if here == 0.0:
        return 0.0
    if before == 0.0:
        return abs(after - here) if after != 0.0 else 0.0
    return abs(after - before) / 2.0 if after != 0.0 else abs(here - before)


@compiled
def dephased(field, i, j, k, te_s, hz, sliced, left):  # type: ignore[no-untyped-def]
    """Write what is left of each echo; return how many echoes count, at least two."""
    ni, nj, nk = field.shape
    here = field[i, j, k]
    along_i = spread(
        here, field[i - 1, j, k] if i > 0 else 0.0, field[i + 1, j, k] if i < ni - 1 else 0.0
    )
    along_j = spread(
        here, field[i, j - 1, k] if j > 0 else 0.0, field[i, j + 1, k] if j < nj - 1 else 0.0
    )
    along_k = spread(
        here, field[i, j, k - 1] if k > 0 else 0.0, field[i, j, k + 1] if k < nk - 1 else 0.0
    )
    across = 0.0
    if sliced == 0:
        across, along_i = along_i, 0.0
    elif sliced == 1:
        across, along_j = along_j, 0.0
    elif sliced == 2:
        across, along_k = along_k, 0.0
    longest = ENCODED_CYCLES / max(hz * max(along_i, along_j, along_k), 1e-9)
    counted = 0
    for e in range(te_s.size):
        left[e] = 1.0
        x = np.pi * hz * across * te_s[e]
        if x > 1e-3:
            left[e] = max(np.sin(x) / x, SLICE_LEFT) if x < np.pi else SLICE_LEFT
        if left[e] > SLICE_LEFT and te_s[e] <= longest:
            counted = e + 1
    return max(counted, 2)
