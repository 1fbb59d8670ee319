"""Planes fitted around every voxel of each slice, with Gaussian weights, inside a mask."""

import numpy as np
import numpy.typing as npt

from petechia.core.compiled import compiled
from petechia.core.morphology import Mask

Volume = npt.NDArray[np.float32]
REACH = 4.0
"""The Gaussian ends at this many sigma."""
THREAD = 0.01
"""Slope is damped by this part of the weight: across a mask of one voxel it cannot be known."""


def without_planes(
    phase: Volume, mask: Mask, sigma_vox: tuple[float, float], slice_axis: int
) -> Volume:
    """Return `phase` less the height of the plane fitted around each voxel; 0 outside `mask`.

    Normalised convolution of first order: nine Gaussian moments, one axis after the other.

    Parameters
    ----------
    phase : (I, J, K) ndarray of float32
        0 outside `mask`.
    mask : (I, J, K) ndarray of bool
        Voxels that count.
    sigma_vox : tuple of float
        Width of the Gaussian along the two axes of a slice, in order [voxels].
    slice_axis : int
        Axis across slices, which is not fitted along.

    Notes
    -----
    A slice's moments are held at a time: memory is that of the result.
    """
    turned = [np.moveaxis(a, slice_axis, 2) for a in (phase, mask)]
    values, inside = (np.ascontiguousarray(a, dtype=np.float32) for a in turned)
    out = np.zeros_like(values)
    _fit(values, inside, *_weights(sigma_vox[0]), *_weights(sigma_vox[1]), out)
    return np.ascontiguousarray(np.moveaxis(out, 2, slice_axis))


def _weights(sigma: float) -> tuple[Volume, Volume]:
    """Return offsets in units of sigma, and the Gaussian there."""
    reach = int(REACH * sigma)
    offset = np.arange(-reach, reach + 1) / sigma
    return offset.astype(np.float32), np.exp(-(offset**2) / 2).astype(np.float32)


@compiled(fastmath={"contract", "nsz"})
def _add(line, factor, out):  # type: ignore[no-untyped-def]
    """Add `factor` times a line to another."""
    for c in range(out.size):
        out[c] += factor * line[c]


@compiled
def _fit(values, inside, u0, g0, u1, g1, out):  # type: ignore[no-untyped-def]
    """Write what stands above the planes."""
    na, nb, nc = values.shape
    r0, r1 = u0.size // 2, u1.size // 2
    half = np.empty((5, nb, nc), dtype=np.float32)  # moments along the first axis
    full = np.empty((9, nc), dtype=np.float32)
    for a in range(na):
        if not inside[a].any():
            continue
        half[:] = 0
        for b in range(nb):
            for n in range(max(-r0, -a), min(r0, na - 1 - a) + 1):
                u, g = u0[n + r0], g0[n + r0]
                weight, value = inside[a + n, b], values[a + n, b]
                _add(weight, g, half[0, b])
                _add(weight, g * u, half[1, b])
                _add(weight, g * u * u, half[2, b])
                _add(value, g, half[3, b])
                _add(value, g * u, half[4, b])
        for b in range(nb):
            if not inside[a, b].any():
                continue
            full[:] = 0
            for n in range(max(-r1, -b), min(r1, nb - 1 - b) + 1):
                u, g, at = u1[n + r1], g1[n + r1], b + n
                _add(half[0, at], g, full[0])
                _add(half[1, at], g, full[1])
                _add(half[0, at], g * u, full[2])
                _add(half[2, at], g, full[3])
                _add(half[1, at], g * u, full[4])
                _add(half[0, at], g * u * u, full[5])
                _add(half[3, at], g, full[6])
                _add(half[4, at], g, full[7])
                _add(half[3, at], g * u, full[8])
            _solve(full, values[a, b], inside[a, b], out[a, b])


@compiled
def _solve(full, value, inside, out):  # type: ignore[no-untyped-def]
    """Write value less height, from the moments 1, x, y, xx, xy, yy of weight, 1, x, y of value."""
    for c in range(out.size):
        if inside[c] == 0.0:
            continue
        share, x, y = full[0, c], full[1, c], full[2, c]
        xx, xy, yy = (
            full[3, c] + THREAD * share,
            full[4, c],
            full[5, c] + THREAD * share,
        )
        total, tx, ty = full[6, c], full[7, c], full[8, c]
        det = xx * yy - xy * xy
        lean = (x * (yy * x - xy * y) + y * (xx * y - xy * x)) / det
        drop = (x * (yy * tx - xy * ty) + y * (xx * ty - xy * tx)) / det
        out[c] = value[c] - (total - drop) / max(share - lean, 1e-6)
