"""Texture of grey levels in a region: co-occurrence and run lengths, after the IBSI."""

import numpy as np
import numpy.typing as npt

from petechia.core.compiled import compiled

Floats = npt.NDArray[np.float64]

DIRECTIONS = np.array(
    [
        (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, -1, 0), (1, 0, 1), (1, 0, -1),
        (0, 1, 1), (0, 1, -1), (1, 1, 1), (1, 1, -1), (1, -1, 1), (-1, 1, 1),
    ]
)  # fmt: skip
"""Half of the 26 neighbours: the other half are their opposites."""
GLCM_NAMES = (
    "contrast", "joint_entropy", "inverse_difference_moment", "correlation", "cluster_shade",
    "angular_second_moment",
)  # fmt: skip
GLRLM_NAMES = (
    "short_runs_emphasis", "long_runs_emphasis", "grey_level_non_uniformity_normalised",
    "run_percentage", "run_entropy",
)  # fmt: skip


def co_occurrence(levels: npt.ArrayLike, n_levels: int) -> Floats:
    """Return the symmetric co-occurrence of neighbours, all 13 directions merged.

    Parameters
    ----------
    levels : (I, J, K) array_like of int
        Grey levels 1..n_levels; 0 outside the region.
    n_levels : int
        How many levels there are.

    Returns
    -------
    probability : (n_levels, n_levels) ndarray
        Sums to 1; all 0 when no two voxels of the region touch.
    """
    counts = _pairs(np.asarray(levels, dtype=np.int64), n_levels, DIRECTIONS)
    both = counts + counts.T
    total = both.sum()
    return np.asarray(both / total if total else both, dtype=np.float64)


def co_occurrence_features(probability: Floats) -> dict[str, float]:
    """Return IBSI features of a co-occurrence matrix (3D, merged).

    References
    ----------
    .. [1] Zwanenburg et al. (2020), Radiology 295, 328-338, doi:10.1148/radiol.2020191145.
    .. [2] Haralick, Shanmugam & Dinstein (1973), doi:10.1109/TSMC.1973.4309314.
    """
    p = probability
    level = np.arange(1, len(p) + 1, dtype=np.float64)
    i, j = level[:, None], level[None, :]
    mean = float((p * i).sum())
    variance = float((p * (i - mean) ** 2).sum())
    some = p[p > 0]
    covariance = float((p * (i - mean) * (j - mean)).sum())
    return {
        "joint_maximum": float(p.max()),
        "joint_average": mean,
        "joint_variance": variance,
        "joint_entropy": float(-(some * np.log2(some)).sum()),
        "dissimilarity": float((p * np.abs(i - j)).sum()),
        "contrast": float((p * (i - j) ** 2).sum()),
        "inverse_difference": float((p / (1 + np.abs(i - j))).sum()),
        "inverse_difference_moment": float((p / (1 + (i - j) ** 2)).sum()),
        "correlation": covariance / variance if variance > 1e-12 else 1.0,
        "angular_second_moment": float((p**2).sum()),
        "cluster_tendency": float((p * (i + j - 2 * mean) ** 2).sum()),
        "cluster_shade": float((p * (i + j - 2 * mean) ** 3).sum()),
    }


def run_lengths(levels: npt.ArrayLike, n_levels: int) -> Floats:
    """Return how many runs of each level and length there are, 13 directions merged.

    Parameters
    ----------
    levels : (I, J, K) array_like of int
        Grey levels 1..n_levels; 0 outside the region.
    n_levels : int
        How many levels there are.

    Returns
    -------
    runs : (n_levels, longest axis) ndarray
        Counts; the second index is length - 1.
    """
    array = np.asarray(levels, dtype=np.int64)
    return np.asarray(_runs(array, n_levels, DIRECTIONS), dtype=np.float64)


def run_length_features(runs: Floats, n_voxels: int) -> dict[str, float]:
    """Return IBSI features of a run-length matrix (3D, merged over 13 directions).

    Parameters
    ----------
    runs : (G, R) ndarray
        Of `run_lengths`.
    n_voxels : int
        Voxels of the region.

    References
    ----------
    .. [1] Zwanenburg et al. (2020), Radiology 295, 328-338, doi:10.1148/radiol.2020191145.
    .. [2] Galloway (1975), doi:10.1016/S0146-664X(75)80008-6.
    """
    total = max(float(runs.sum()), 1e-12)
    length = np.arange(1, runs.shape[1] + 1, dtype=np.float64)
    level = np.arange(1, runs.shape[0] + 1, dtype=np.float64)[:, None]
    p = runs[runs > 0] / total
    by_length, by_level = runs.sum(axis=0), runs.sum(axis=1)
    return {
        "short_runs_emphasis": float((by_length / length**2).sum() / total),
        "long_runs_emphasis": float((by_length * length**2).sum() / total),
        "low_grey_level_run_emphasis": float((runs / level**2).sum() / total),
        "high_grey_level_run_emphasis": float((runs * level**2).sum() / total),
        "grey_level_non_uniformity": float((by_level**2).sum() / total),
        "grey_level_non_uniformity_normalised": float((by_level**2).sum() / total**2),
        "run_length_non_uniformity": float((by_length**2).sum() / total),
        "run_percentage": total / (len(DIRECTIONS) * max(n_voxels, 1)),
        "run_entropy": float(-(p * np.log2(p)).sum()),
    }


@compiled
def _pairs(levels, n_levels, directions):  # type: ignore[no-untyped-def]
    out = np.zeros((n_levels, n_levels))
    a, b, c = levels.shape
    for i in range(a):
        for j in range(b):
            for k in range(c):
                here = levels[i, j, k]
                if here == 0:
                    continue
                for n in range(len(directions)):
                    x, y, z = i + directions[n, 0], j + directions[n, 1], k + directions[n, 2]
                    if x < 0 or y < 0 or z < 0 or x >= a or y >= b or z >= c:
                        continue
                    there = levels[x, y, z]
                    if there > 0:
                        out[here - 1, there - 1] += 1
    return out


@compiled
def _runs(levels, n_levels, directions):  # type: ignore[no-untyped-def]
    a, b, c = levels.shape
    out = np.zeros((n_levels, max(a, max(b, c))))
    for n in range(len(directions)):
        u, v, w = directions[n, 0], directions[n, 1], directions[n, 2]
        for i in range(a):
            for j in range(b):
                for k in range(c):
                    here = levels[i, j, k]
                    if here == 0:
                        continue
                    x, y, z = i - u, j - v, k - w
                    inside = x >= 0 and y >= 0 and z >= 0 and x < a and y < b and z < c
                    if inside and levels[x, y, z] == here:
                        continue  # a run is counted where it begins
                    length = 1
                    x, y, z = i + u, j + v, k + w
                    while (
                        x >= 0 and y >= 0 and z >= 0 and x < a and y < b and z < c
                        and levels[x, y, z] == here
                    ):  # fmt: skip
                        length += 1
                        x, y, z = x + u, y + v, z + w
                    out[here - 1, length - 1] += 1
    return out
