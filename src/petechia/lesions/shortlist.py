"""Which voids are worth measuring: a cheap order of all that was found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.core.compiled import compiled
from petechia.core.grid import Grid
from petechia.errors import ParameterError
from petechia.lesions.shape import Shape
from petechia.lesions.trees import Trees
from petechia.lesions.tube import Tube
from petechia.lesions.void import Void

Floats = npt.NDArray[np.float64]
AXES = np.array(
    [
        (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, -1, 0), (1, 0, 1), (1, 0, -1),
        (0, 1, 1), (0, 1, -1), (1, 1, 1), (1, 1, -1), (1, -1, 1), (-1, 1, 1),
    ],
    dtype=np.float64,
)  # fmt: skip
"""Straight lines through a voxel, in voxel steps."""
Order = Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]]
THIN: Order = {
    "depth_of_full": ((0, 1), (0, 2.6)),
    "depth_over_texture": ((3, 12), (0, 2.5)),
    "symmetric": ((0, 0.5), (0, 0.6)),
    "parenchyma": ((0.2, 0.9), (0, 0.9)),
    "sphericity": ((0.3, 0.9), (0, 1.2)),
    "log_voxels": ((0, 3.5), (0, 1.0)),
    "inscribed_mm": ((0.5, 2.5), (0, 1.9)),
    "margin_sharpness": ((0.1, 0.5), (0, 1.9)),
    "chi_ppm": ((0.05, 0.4), (0, 2.7)),
    "homogeneity": ((0, 0.6), (0, -2.0)),
    "background": ((0.6, 1.1), (0, -2.4)),
    "outside": ((0, 0.4), (0, -4.0)),
    "elongation": ((1.3, 3), (0, -2.0)),
    "through": ((0.1, 0.6), (0, -3.5)),
    "one_way": ((0.1, 0.8), (0, -3.1)),
    "vein_mm": ((5, 25), (0, -1.1)),
}
"""What each measure of a void adds to its worth where there is no trained order: values of it, and
worth at them, straight lines between. From a logistic fit to the voids of simulated scans."""
THICK: Order = {
    "depth": ((0.279, 0.6, 0.968), (-1.41, 0.29, 1.29)),
    "depth_over_texture": ((4.972, 10.812, 20.227), (0.0, -1.02, -2.68)),
    "parenchyma": ((0.313, 0.915, 1), (0.0, 0.88, 2.25)),
    "sphericity": ((0.659, 0.838, 0.924), (0.0, -0.55, -0.42)),
    "log_voxels": ((0.693, 1.946, 4.102), (0.0, 1.51, 1.20)),
    "inscribed_mm": ((0.355, 0.658, 2.266), (0.0, 1.14, 1.68)),
    "margin_sharpness": ((0.192, 0.548, 0.863), (0.0, 1.17, 0.75)),
    "chi_ppm": ((0, 0.1, 0.4), (0.0, -0.46, 0.27)),
    "homogeneity": ((0.551, 0.702, 0.923), (0.0, 0.12, -0.87)),
    "background": ((0.73, 0.959, 1.11), (0.0, -0.62, -2.35)),
    "outside": ((0, 0.357), (0.0, -2.94)),
    "elongation": ((1, 1.21, 2.143), (0.0, -0.37, -1.08)),
    "through": ((0.086, 0.242, 0.856), (0.0, -2.13, -4.36)),
    "one_way": ((0.128, 0.346, 1), (0.0, -0.85, -1.62)),
    "vein_mm": ((0, 7.703, 22.641), (0.0, 1.13, -0.90)),
    "symmetric": ((0, 0.337, 0.787), (0.0, 0.37, 0.00)),
    "vessel": ((0.033, 0.321, 0.687), (0.0, 2.97, 3.78)),
}
"""The same for thick slices: together the log-odds of a microbleed among all voids, and `EVEN`."""
MEASURES = (
    "depth", "depth_of_full", "depth_over_texture", "symmetric", "parenchyma", "sphericity",
    "log_voxels", "inscribed_mm", "margin_sharpness", "chi_ppm", "homogeneity", "background",
    "outside", "elongation", "through", "one_way", "vein_mm", "vessel",
)  # fmt: skip
"""Columns that the trees of a trained order are asked with."""
EVEN = 2.0
"""Worth of a void that is as likely a microbleed as not, in a trained order."""
WIDE_MM, ROUND, OUTSIDE, LARGE = 1.6, 0.8, 0.2, 3.0
"""A void so wide (radius of the largest ball inside), so round and no farther outside the brain is
worth so much more: large bleeds are too rare to learn from, and a vein beside one is no reason to
pass it over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortlistParams:
    """Settings of the shortlist.

    Attributes
    ----------
    most_shaped : int
        At most so many voids have their shape measured, the first by `promise`.
    most : int
        So many of them become candidates, the best by `worth`.
    sure : float
        What is worth so much becomes one all the same: a brain may hold 200 microbleeds.
    """

    most_shaped: int = 2000
    most: int = 150
    sure: float = EVEN

    def __post_init__(self) -> None:
        if not 1 <= self.most <= self.most_shaped:
            raise ParameterError(
                f"most={self.most}, most_shaped={self.most_shaped}",
                where="ShortlistParams",
                mend="1 <= most <= most_shaped.",
            )


def symmetric_depth(
    signal: npt.NDArray[np.float32],
    mask: npt.NDArray[np.bool_],
    voids: Sequence[Void],
    grid: Grid,
) -> Floats:
    """Return how far the signal rises again on both sides of each void, whatever the line.

    On each of 13 lines through the darkest voxel the brightest voxel within twice the void's
    inscribed radius and 1.5 mm (at least one voxel) is looked for on either side; the lesser
    rise counts, and of the 13 lines the mean of the two worst: a vein stays dark along itself,
    and one neighbour does not spoil a lone spot.

    Parameters
    ----------
    signal : (I, J, K) ndarray of float32
        1 in undisturbed tissue, 0 in a void.
    mask : (I, J, K) ndarray of bool
        Brain; beyond it nothing rises.
    voids : sequence of Void
        N voids.
    grid : Grid
        Geometry.

    Returns
    -------
    (N,) ndarray of float
        As a share of the background.
    """
    if not voids:
        return np.zeros(0)
    seeds = np.array([v.seed_vox for v in voids])
    reach = np.array([2 * v.inscribed_mm + 1.5 for v in voids])
    rise: Floats = _rises(signal, mask, seeds, reach, grid.spacing_mm, AXES)
    background = np.array([v.background for v in voids])
    return np.asarray(np.sort(rise, axis=1)[:, :2].mean(axis=1) / background, dtype=np.float64)


def strongest(
    chi_ppm: npt.NDArray[np.floating] | None, mask: npt.NDArray[np.bool_], voids: Sequence[Void]
) -> Floats:
    """Return the greatest susceptibility of either sign in each void [ppm], 0 where not known.

    Parameters
    ----------
    chi_ppm : (I, J, K) ndarray of float or None
        Susceptibility map.
    mask : (I, J, K) ndarray of bool
        Where it is trusted.
    voids : sequence of Void
        N voids.
    """
    out = np.zeros(len(voids))
    if chi_ppm is None:
        return out
    for n, void in enumerate(voids):
        at = tuple(void.body.T)
        if mask[at].mean() > 0.5:
            out[n] = float(np.abs(chi_ppm[at]).max())
    return out


def promise(symmetric: Floats, voids: Sequence[Void], chi_ppm: Floats) -> Floats:
    """Return the order in which shapes are measured: symmetric, or wide, or strong in the map.

    A lesion that touches a vein is not symmetric, but wider than the vein.
    """
    wide = np.array([_ramp(v.inscribed_mm, 0.5, 2.5) for v in voids])
    strong = np.array([_ramp(c, 0.05, 0.4) for c in chi_ppm])
    return np.asarray(symmetric + 0.5 * wide + 0.5 * strong, dtype=np.float64)


def measured(
    void: Void,
    shape: Shape,
    tube: Tube,
    symmetric: float,
    texture: float,
    voxel_mm3: float,
    chi_ppm: float = 0.0,
    vein_length_mm: float = 0.0,
    vessel: float = 0.0,
) -> dict[str, float]:
    """Return what the order of voids is made of, by name.

    Parameters
    ----------
    void, shape, tube
        It, and what was measured on it.
    symmetric : float
        From `symmetric_depth`.
    texture : float
        Spread of relative signal in undisturbed tissue.
    voxel_mm3 : float
        Volume of a voxel [mm^3].
    chi_ppm : float
        From `strongest` [ppm].
    vein_length_mm : float
        Length of the longest tracked vein in it [mm].
    vessel : float
        Mean likeness to a vein, 0 to 1.
    """
    # a voxel much larger than a microbleed's void is never empty
    full = 0.7 * min(1.0, (2.0 / voxel_mm3) ** 0.5)
    return {
        "depth": shape.depth,
        "depth_of_full": _ramp(shape.depth, min(0.2, 0.4 * full), full),
        "depth_over_texture": shape.depth / max(texture, 1e-3),
        "symmetric": symmetric,
        "parenchyma": shape.parenchyma_fraction,
        "sphericity": shape.sphericity,
        "log_voxels": float(np.log(shape.n_voxels)),
        "inscribed_mm": void.inscribed_mm,
        "margin_sharpness": shape.margin_sharpness,
        "chi_ppm": chi_ppm,
        "homogeneity": shape.homogeneity,
        "background": void.background,
        "outside": shape.outside_fraction,
        "elongation": shape.elongation,
        "through": tube.through,
        "one_way": tube.one_way,
        "vein_mm": vein_length_mm,
        "vessel": vessel,
    }


def worth(told: Mapping[str, float], order: Order = THIN) -> float:
    """Return how much a void is like a spot: deep, with tissue all round, not continuing.

    It orders voids and says nothing of what they are: the sign of the field is not in it. Large
    round ones are raised by `LARGE`, more than what is sure to stay.

    Parameters
    ----------
    told : mapping
        From `measured`.
    order : mapping
        `THIN`, or `THICK` for thick slices, whose voids have an order of their own.
    """
    return sum(float(np.interp(told[name], *line)) for name, line in order.items()) + _raised(told)


def trained_worth(told: Sequence[Mapping[str, float]], trees: Trees) -> Floats:
    """Return `worth` of voids by trees that `training/shortlist.py` has grown.

    That is their log-odds and `EVEN`, large round ones raised as by a table.

    Trees see what straight lines do not: a void that goes on is worth little, but for a wide one.

    Parameters
    ----------
    told : sequence of mapping
        From `measured`, N voids.
    trees : Trees
        For the thickness of their slices, of the columns `MEASURES`.

    Returns
    -------
    (N,) ndarray of float
    """
    if not told:
        return np.zeros(0)
    table = np.array([[one[name] for name in MEASURES] for one in told])
    raised = np.array([_raised(one) for one in told])
    return np.asarray(trees.scores(table)[:, 0] + EVEN + raised, dtype=np.float64)


def _raised(told: Mapping[str, float]) -> float:
    """Return what a void is worth more for being large and round."""
    wide, round_, outside = (told[name] for name in ("inscribed_mm", "sphericity", "outside"))
    return LARGE if wide >= WIDE_MM and round_ >= ROUND and outside <= OUTSIDE else 0.0


def best(scores: npt.ArrayLike, count: int, sure: float = np.inf) -> npt.NDArray[np.int64]:
    """Return the places of the `count` highest scores and of all above `sure`, in order."""
    rounded = np.round(np.asarray(scores, dtype=np.float64), 6)
    order = np.argsort(-rounded, kind="stable")
    return np.sort(order[: max(count, int((rounded > sure).sum()))])


def _ramp(value: float, low: float, high: float) -> float:
    return min(max((value - low) / (high - low), 0.0), 1.0)


@compiled
def _rises(signal, mask, seeds, reach, spacing, axes):  # type: ignore[no-untyped-def]
    """Return for each seed and line the lesser of the rises on its two sides."""
    out = np.zeros((len(seeds), len(axes)))
    for n in range(len(seeds)):
        least = signal[seeds[n, 0], seeds[n, 1], seeds[n, 2]]
        for m in range(len(axes)):
            step = 0.0
            for a in range(3):
                step += (axes[m, a] * spacing[a]) ** 2
            steps = max(1, int(reach[n] / np.sqrt(step) + 0.5))
            lesser = 9.0
            for way in range(-1, 2, 2):
                brightest = least
                for s in range(1, steps + 1):
                    i = seeds[n, 0] + int(way * s * axes[m, 0])
                    j = seeds[n, 1] + int(way * s * axes[m, 1])
                    k = seeds[n, 2] + int(way * s * axes[m, 2])
                    if i < 0 or j < 0 or k < 0:
                        continue
                    if i >= signal.shape[0] or j >= signal.shape[1] or k >= signal.shape[2]:
                        continue
                    if mask[i, j, k] and signal[i, j, k] > brightest:
                        brightest = signal[i, j, k]
                lesser = min(lesser, brightest - least)
            out[n, m] = lesser
    return out
