"""The exact Euclidean distance to the nearest voxel that a mask leaves out."""

import numpy as np
import numpy.typing as npt

from petechia.core.compiled import compiled


def distance_to_outside(
    mask: npt.NDArray[np.bool_], spacing: npt.ArrayLike
) -> npt.NDArray[np.float32]:
    """Return the distance from each voxel of `mask` to the nearest one outside it.

    Parameters
    ----------
    mask : (I, J, K) ndarray of bool
        The border of the volume is not an edge.
    spacing : (3,) array of float
        Of the voxels; the answer has its unit.

    Returns
    -------
    (I, J, K) ndarray of float32
        0 outside the mask; inf everywhere when nothing lies outside.

    Notes
    -----
    One pass along each axis: the lower envelope of the parabolas that stand on the line's
    voxels [1]_. Linear in the number of voxels, and several times faster than what keeps track
    of which voxel is the nearest.

    References
    ----------
    .. [1] Felzenszwalb & Huttenlocher (2012), Theory of Computing 8, 415-428,
       doi:10.4086/toc.2012.v008a019.
    """
    out = np.empty(mask.shape, dtype=np.float32)
    _squared(np.ascontiguousarray(mask), np.asarray(spacing, dtype=np.float64), out)
    return np.sqrt(out, out=out)


@compiled
def _squared(mask, spacing, out):  # type: ignore[no-untyped-def]
    """Fill `out` with squared distances."""
    ni, nj, nk = mask.shape
    for i in range(ni):
        for j in range(nj):
            last = np.inf
            for k in range(nk):
                last = last + spacing[2] if mask[i, j, k] else 0.0
                out[i, j, k] = last
            last = np.inf
            for k in range(nk - 1, -1, -1):
                last = last + spacing[2] if mask[i, j, k] else 0.0
                nearest = min(last, np.float64(out[i, j, k]))
                out[i, j, k] = nearest * nearest
    most = max(ni, nj)
    line, apex, bound = np.empty(most), np.empty(most, dtype=np.int64), np.empty(most + 1)
    for i in range(ni):
        for k in range(nk):
            for j in range(nj):
                line[j] = out[i, j, k]
            if _lowered(line, nj, spacing[1], apex, bound):
                _write(line, nj, spacing[1], apex, bound, out[i, :, k])
    for j in range(nj):
        for k in range(nk):
            for i in range(ni):
                line[i] = out[i, j, k]
            if _lowered(line, ni, spacing[0], apex, bound):
                _write(line, ni, spacing[0], apex, bound, out[:, j, k])


@compiled
def _lowered(line, n, step, apex, bound):  # type: ignore[no-untyped-def]
    """Find the envelope of parabolas on a line; False where there is nothing to lower.

    Parabola `apex[m]` is the lowest from `bound[m]` to `bound[m + 1]`, in steps.
    """
    lowest, highest = np.inf, 0.0
    for q in range(n):
        lowest, highest = min(lowest, line[q]), max(highest, line[q])
    if highest == 0.0 or lowest == np.inf or highest - lowest <= 0.0:
        return False
    top, square = -1, step * step
    for q in range(n):
        if line[q] == np.inf:
            continue
        start = -np.inf
        while top >= 0:
            p = apex[top]
            start = ((line[q] - line[p]) / square + q * q - p * p) / (2.0 * (q - p))
            if start > bound[top]:
                break
            top -= 1
        if top < 0:
            start = -np.inf
        top += 1
        apex[top], bound[top] = q, start
        bound[top + 1] = np.inf
    return True


@compiled
def _write(line, n, step, apex, bound, out):  # type: ignore[no-untyped-def]
    """Put the heights of the envelope on the line."""
    m = 0
    for q in range(n):
        while bound[m + 1] < q:
            m += 1
        away = (q - apex[m]) * step
        out[q] = line[apex[m]] + away * away
