"""The field of a magnetised sphere outside itself: a point dipole, in closed form."""

from functools import cache

import numpy as np
import numpy.typing as npt

from petechia.core.compiled import compiled

Points = npt.NDArray[np.float64]


def dipole_field(offset_mm: npt.NDArray[np.floating], b0_dir: npt.NDArray[np.floating]) -> Points:
    r"""Return the field of a unit magnetic moment at a point.

    .. math:: \frac{\Delta B}{B_0} = \frac{m}{4\pi}\, \frac{3\cos^2\theta - 1}{r^3}

    With m = chi V this is the sphere's outside field (chi/3)(a/r)^3 (3 cos^2 - 1).

    Parameters
    ----------
    offset_mm : (..., 3) ndarray of float
        From the source, along the voxel axes [mm]; not zero.
    b0_dir : (3,) ndarray of float
        Main field along the voxel axes, unit length.

    Returns
    -------
    field : (...) ndarray of float
        [ppm for each ppm mm^3].
    """
    r = np.asarray(offset_mm, dtype=np.float64)
    squared = (r**2).sum(axis=-1)
    along = r @ np.asarray(b0_dir, dtype=np.float64)
    field: Points = (3 * along**2 / squared - 1) / (4 * np.pi * squared**1.5)
    return field


def dipole_mean(
    offset_mm: npt.NDArray[np.floating],
    b0_dir: npt.NDArray[np.floating],
    spacing_mm: npt.NDArray[np.floating],
) -> Points:
    """Return the mean of `dipole_field` over voxels whose centres are at `offset_mm`.

    Gauss-Legendre points: two along a voxel edge, more along a thick slice. Good to a
    percent of the field for voxels that do not touch the source's voxel.
    """
    nodes, weights = voxel_nodes(spacing_mm)
    out = np.zeros(np.shape(offset_mm)[:-1])
    for node, weight in zip(nodes, weights, strict=True):
        out += weight * dipole_field(np.asarray(offset_mm) + node, b0_dir)
    return out


def voxel_nodes(spacing_mm: npt.NDArray[np.floating]) -> tuple[Points, Points]:
    """Return Gauss-Legendre points (N, 3) over one voxel [mm] and weights that sum to 1."""
    i, j, k = (float(d) for d in spacing_mm)
    return _nodes((i, j, k))


@cache
def _nodes(spacing_mm: tuple[float, float, float]) -> tuple[Points, Points]:
    spacing = np.asarray(spacing_mm)
    axes, parts = [], []
    for d in spacing:
        n = int(np.clip(np.ceil(d / spacing.min()) + 1, 2, 6))
        x, w = np.polynomial.legendre.leggauss(n)
        axes.append(x * d / 2)
        parts.append(w / 2)
    nodes = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    weights = np.einsum("i,j,k->ijk", *parts).ravel()
    return nodes, weights


def means_and_slopes(
    offset_mm: npt.NDArray[np.floating],
    b0_dir: npt.NDArray[np.floating],
    spacing_mm: npt.NDArray[np.floating],
) -> Points:
    """Return `dipole_mean` and its slopes as the voxel moves along each axis.

    Parameters
    ----------
    offset_mm : (N, 3) ndarray of float
        Voxel centres from the source [mm].
    b0_dir, spacing_mm
        As for `dipole_mean`.

    Returns
    -------
    (N, 4) ndarray of float
        Mean, then slopes [1/mm].
    """
    nodes, weights = voxel_nodes(spacing_mm)
    offset = np.ascontiguousarray(offset_mm, dtype=np.float64)
    b = np.ascontiguousarray(b0_dir, dtype=np.float64)
    out: Points = _means_and_slopes(offset, b, nodes, weights)
    return out


@compiled
def _means_and_slopes(offset, b, nodes, weights):  # type: ignore[no-untyped-def]
    out = np.zeros((len(offset), 4))
    for m in range(len(offset)):
        for n in range(len(weights)):
            x, y, z = (
                offset[m, 0] + nodes[n, 0],
                offset[m, 1] + nodes[n, 1],
                offset[m, 2] + nodes[n, 2],
            )
            r2 = x * x + y * y + z * z
            if r2 < 1e-6:
                continue
            along = b[0] * x + b[1] * y + b[2] * z
            top = 3 * along * along - r2
            w = weights[n] / (4 * np.pi * r2 * r2 * np.sqrt(r2))
            out[m, 0] += w * top
            out[m, 1] += w * (6 * along * b[0] - 2 * x - 5 * top * x / r2)
            out[m, 2] += w * (6 * along * b[1] - 2 * y - 5 * top * y / r2)
            out[m, 3] += w * (6 * along * b[2] - 2 * z - 5 * top * z / r2)
    return out
