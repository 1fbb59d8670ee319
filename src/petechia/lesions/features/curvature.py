"""Ball, tube or plate: curvature at a place, at several scales in millimetres."""

import numpy as np
import numpy.typing as npt

from petechia.lesions.features.patches import BALL, SIDE, Cubes

Floats = npt.NDArray[np.float64]
SCALES_MM = (1.0, 1.7, 2.8)
REACH_MM = (4.0, 7.0)
NAMES = (
    *(f"curve_{s:g}_{n}" for s in SCALES_MM for n in (1, 2, 3)),
    *(f"axis_{r:g}_{n}" for r in REACH_MM for n in ("long", "flat")),
)


def _kernels() -> Floats:
    """Return second derivatives of Gaussians at the middle of a cube, as (scales, 6, P)."""
    x = BALL.offset_mm
    out = []
    for s in SCALES_MM:
        g = np.exp(-(BALL.radius_mm**2) / (2 * s * s))
        g /= g.sum()
        six = []
        for a, b in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)):
            # scale-normalised: times the variance
            kernel = g * (x[:, a] * x[:, b] / (s * s) - (a == b))
            six.append(kernel - g * kernel.sum())
        out.append(six)
    return np.asarray(out)


_KERNELS = _kernels()


def _eigen(six: Floats) -> Floats:
    """Return eigenvalues of symmetric matrices (N, 6: xx yy zz xy xz yz), by size of value."""
    xx, yy, zz, xy, xz, yz = six.T
    matrix = np.stack(
        [np.stack([xx, xy, xz], -1), np.stack([xy, yy, yz], -1), np.stack([xz, yz, zz], -1)], -2
    )
    return np.asarray(np.linalg.eigvalsh(matrix))


def curvature_features(cubes: Cubes) -> Floats:
    """Return `NAMES` of one channel, in rows.

    Parameters
    ----------
    cubes : (N, 20, 20, 20) ndarray of float32
        One channel of `cut_cubes`.

    Returns
    -------
    table : (N, len(NAMES)) ndarray
        Eigenvalues of the scale-normalised Hessian at the middle, lowest first (a bright ball
        has three negative ones, a tube two, a plate one); ratios of the principal axes of what
        is positive within a ball: longest to middle, middle to shortest.

    References
    ----------
    .. [1] Sato et al. (1998), Med. Image Anal. 2, 143-168, doi:10.1016/S1361-8415(98)80009-1.
    """
    flat = cubes.reshape(len(cubes), SIDE**3).astype(np.float64)
    tables = [_eigen(flat @ six.T) for six in _KERNELS]
    for reach in REACH_MM:
        inside = BALL.radius_mm < reach
        weight = np.maximum(flat[:, inside], 0) ** 2 + 1e-9
        weight /= weight.sum(axis=1, keepdims=True)
        x = BALL.offset_mm[inside]
        middle = weight @ x
        pairs = [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]
        six = np.stack(
            [weight @ (x[:, a] * x[:, b]) - middle[:, a] * middle[:, b] for a, b in pairs], axis=1
        )
        axes = np.sqrt(np.maximum(_eigen(six), 0.05))
        tables.append(np.stack([axes[:, 2] / axes[:, 1], axes[:, 1] / axes[:, 0]], axis=1))
    return np.concatenate(tables, axis=1)
