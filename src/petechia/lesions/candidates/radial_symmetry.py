"""Dark round spots: the fast radial symmetry transform in three dimensions."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.core.compiled import compiled
from petechia.core.grid import Grid
from petechia.core.robust import ENOUGH, robust_sd
from petechia.errors import ParameterError
from petechia.lesions.candidates.found import Candidates, local_maxima, merge_scales


@dataclass(frozen=True, slots=True, kw_only=True)
class RadialSymmetryParams:
    """Settings of `radial_symmetry`.

    Attributes
    ----------
    radii_mm : tuple of float
        Radii of the spots [mm].
    strictness : float
        Power of the share of the sphere that voted (alpha of the paper).
    gradient : float
        Least drop of relative signal per mm that votes [1/mm].
    threshold_sd : float
        Least score, in robust standard deviations of the transform.
    planar_ratio : float
        Slices thicker than this many in-plane voxels are searched in two dimensions.
    limit : int
        At most so many candidates.
    """

    radii_mm: tuple[float, ...] = (1.0, 1.6, 2.5, 4.0)
    strictness: float = 1.0
    gradient: float = 0.04
    threshold_sd: float = 6.0
    planar_ratio: float = 2.5
    limit: int = 1500

    def __post_init__(self) -> None:
        if not self.radii_mm or min(self.radii_mm) <= 0 or self.gradient <= 0 or self.limit < 1:
            raise ParameterError(
                f"radii_mm={self.radii_mm}, gradient={self.gradient}, limit={self.limit}",
                where="RadialSymmetryParams",
                mend="Give radii and a gradient above 0 and a limit of 1 or more.",
            )


def radial_symmetry(
    relative_signal: npt.NDArray[np.floating],
    mask: npt.NDArray[np.bool_],
    grid: Grid,
    params: RadialSymmetryParams | None = None,
) -> Candidates:
    """Let gradients vote for the middle of the dark spot they point away from.

    Each voxel with a gradient votes one radius down its gradient; votes weigh as the
    gradient, and are multiplied by the share of the sphere that voted at all. Thick
    slices are searched plane by plane: through them a round void is flat.

    Parameters
    ----------
    relative_signal : (I, J, K) ndarray of float
        1 in undisturbed tissue, 0 in a void.
    mask : (I, J, K) ndarray of bool
        Where to look.
    grid : Grid
        Geometry.
    params : RadialSymmetryParams
        Settings.

    Returns
    -------
    Candidates
        Score = transform over its robust standard deviation.

    References
    ----------
    .. [1] Loy & Zelinsky (2003), IEEE TPAMI 25, 959-973, doi:10.1109/TPAMI.2003.1217601.
    .. [2] Kuijf et al. (2012), NeuroImage 59, 2266-2273,
       doi:10.1016/j.neuroimage.2011.09.061.
    """
    p = params or RadialSymmetryParams()
    grid.require(relative_signal, "relative_signal")
    grid.require(mask, "mask")
    if not mask.any():
        return Candidates.none()
    spacing = grid.spacing_mm
    axis = grid.slice_axis
    across = float(np.delete(spacing, axis).max())
    planar = bool(spacing[axis] > p.planar_ratio * across)
    signal = np.where(mask, relative_signal, 1).astype(np.float32)
    gradients = [
        np.zeros_like(signal) if planar and a == axis else _slope(signal, a, float(spacing[a]))
        for a in range(3)
    ]
    length = np.sqrt(gradients[0] ** 2 + gradients[1] ** 2 + gradients[2] ** 2)
    voters = np.argwhere(mask & (length > p.gradient))
    if not len(voters):
        return Candidates.none()
    at = tuple(voters.T)
    arrows = np.stack([g[at] for g in gradients], axis=1)
    scales = []
    for radius in p.radii_mm:
        votes, weight = _vote(voters, arrows, radius, spacing, signal.shape)
        response = _symmetry(votes, weight, radius, spacing, planar, axis, p.strictness)
        sd = max(robust_sd(response[mask], 0.0, ENOUGH), 1e-3 * float(response.max()), 1e-12)
        places = local_maxima(response, mask, p.threshold_sd * sd)
        scales.append((places, response[tuple(places.T)] / sd, radius))
    return merge_scales(scales, spacing, p.limit)


def _slope(
    signal: npt.NDArray[np.float32], axis: int, spacing_mm: float
) -> npt.NDArray[np.float32]:
    """Return central differences along `axis` [1/mm]."""
    if signal.shape[axis] < 2:
        return np.zeros_like(signal)
    return np.asarray(np.gradient(signal, spacing_mm, axis=axis), dtype=np.float32)


def _symmetry(
    votes: npt.NDArray[np.float32],
    weight: npt.NDArray[np.float32],
    radius_mm: float,
    spacing_mm: npt.NDArray[np.float64],
    planar: bool,
    axis: int,
    strictness: float,
) -> npt.NDArray[np.float32]:
    """Return mean gradient times the share of the sphere (or circle) that voted."""
    sigma = 0.5 * radius_mm / spacing_mm
    if planar:
        sigma = np.where(np.arange(3) == axis, 0.0, sigma)
        across = np.delete(spacing_mm, axis)
        full = 2 * np.pi * radius_mm / float(np.sqrt(across.prod()))
        gather = 2 * np.pi * (sigma**2).sum() / 2
    else:
        full = 4 * np.pi * radius_mm**2 / float(spacing_mm.prod() ** (2 / 3))
        gather = float((2 * np.pi) ** 1.5 * np.prod(sigma))
    # smoothing spreads a perfect pile of `full` votes over `gather` voxels
    peak = full / max(gather, 1.0)
    mean = ndimage.gaussian_filter(weight, sigma, truncate=3.0)
    share = ndimage.gaussian_filter(votes, sigma, truncate=3.0) / peak
    return np.asarray(mean / peak * np.minimum(share, 1.0) ** strictness, dtype=np.float32)


@compiled
def _vote(voters, arrows, radius_mm, spacing_mm, shape):  # type: ignore[no-untyped-def]
    """Count votes, and sum their gradients, at one radius down each gradient."""
    votes = np.zeros(shape, dtype=np.float32)
    weight = np.zeros(shape, dtype=np.float32)
    for n in range(len(voters)):
        length = 0.0
        for a in range(3):
            length += arrows[n, a] ** 2
        length = np.sqrt(length)
        inside = True
        to = np.zeros(3, dtype=np.int64)
        for a in range(3):
            step = radius_mm * arrows[n, a] / length / spacing_mm[a]
            to[a] = int(np.floor(voters[n, a] - step + 0.5))
            if to[a] < 0 or to[a] >= shape[a]:
                inside = False
        if inside:
            votes[to[0], to[1], to[2]] += 1
            weight[to[0], to[1], to[2]] += length
    return votes, weight
