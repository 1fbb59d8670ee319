"""Periodic forward differences in millimetres, fused with the steps that use them."""

import numpy as np
import numpy.typing as npt

from petechia.core.compiled import compiled
from petechia.core.fourier import frequencies
from petechia.core.grid import Grid


def laplacian_spectrum(grid: Grid) -> npt.NDArray[np.float32]:
    r"""Return the half spectrum of grad^H grad, :math:`\sum_a (2 \sin(\pi k_a d_a) / d_a)^2`.

    Exactly the spectrum of the forward differences used here; 0 only at zero frequency
    [1/mm^2].
    """
    k0, k1, k2 = (
        np.square(2 * np.sin(np.pi * k * d) / d).astype(np.float32)
        for k, d in zip(frequencies(grid), grid.spacing_mm, strict=True)
    )
    return np.asarray(k0 + k1 + k2, dtype=np.float32)


@compiled(fastmath=True)
def shrink_gradient(  # type: ignore[no-untyped-def]
    chi, previous, split, reflection, limits, row, per0, per1, per2
):
    """Step the gradient's splitting in place.

    Parameters
    ----------
    chi, previous : (I, J, K) ndarray of float32
        The new map and the one before it.
    split : (3, I, J, K) ndarray of float32
        Gradient plus multiplier, v. The shrunken gradient is z = v max(1 - threshold/|v|, 0)
        and the multiplier v - z, so neither needs an array.
    reflection : (I, J, K) ndarray of float32
        Factor r with r v = 2 z - v; -1 to 1.
    limits : (N,) ndarray of float32
        Lengths that shrinkage may take off, 0 or more [ppm/mm].
    row : (I, J, K) ndarray of uint8
        Which of them each voxel has.
    per0, per1, per2 : float32
        1 / spacing along each axis [1/mm].

    Returns
    -------
    change, size : float
        Squared norms of chi - previous and of chi.
    """
    n0, n1, n2 = chi.shape
    one, two, half = np.float32(1), np.float32(2), np.float32(0.5)
    least = np.float32(1e-20)
    change, size = np.float64(0), np.float64(0)
    for i in range(n0):
        i_up = i + 1 if i + 1 < n0 else 0
        for j in range(n1):
            j_up = j + 1 if j + 1 < n1 else 0
            row_change, row_size = np.float32(0), np.float32(0)
            for k in range(n2):
                k_up = k + 1 if k + 1 < n2 else 0
                c = chi[i, j, k]
                step = c - previous[i, j, k]
                row_change += step * step
                row_size += c * c
                multiplier = half * (one - reflection[i, j, k])
                v0 = (chi[i_up, j, k] - c) * per0 + multiplier * split[0, i, j, k]
                v1 = (chi[i, j_up, k] - c) * per1 + multiplier * split[1, i, j, k]
                v2 = (chi[i, j, k_up] - c) * per2 + multiplier * split[2, i, j, k]
                split[0, i, j, k], split[1, i, j, k], split[2, i, j, k] = v0, v1, v2
                length = np.sqrt(v0 * v0 + v1 * v1 + v2 * v2)
                limit = limits[row[i, j, k]]
                reflection[i, j, k] = one - two * limit / max(max(length, limit), least)
            change += row_change
            size += row_size
    return change, size


@compiled(fastmath=True)
def gradient_adjoint(split, reflection, out, per0, per1, per2):  # type: ignore[no-untyped-def]
    """Write grad^H (reflection x split), minus the divergence, into `out`."""
    n0, n1, n2 = reflection.shape
    for i in range(n0):
        for j in range(n1):
            for k in range(n2):
                r = reflection[i, j, k]
                out[i, j, k] = (
                    per0 * (reflection[i - 1, j, k] * split[0, i - 1, j, k] - r * split[0, i, j, k])
                    + per1
                    * (reflection[i, j - 1, k] * split[1, i, j - 1, k] - r * split[1, i, j, k])
                    + per2
                    * (reflection[i, j, k - 1] * split[2, i, j, k - 1] - r * split[2, i, j, k])
                )
