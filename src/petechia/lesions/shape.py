"""Size and shape of a void, in millimetres, with thick slices allowed for."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.core.distance import distance_to_outside
from petechia.core.grid import ALIKE, Grid
from petechia.lesions.void import Void

Volume = npt.NDArray[np.floating]
Mask = npt.NDArray[np.bool_]
BALL = 3 ** (5 / 3) / (5 * (4 * np.pi) ** (2 / 3))
"""V^(5/3) over the second moment of a ball, inverted: scales compactness to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Measures of one void, apparent at the reading echo.

    Attributes
    ----------
    centre_vox : tuple of float
        Unweighted mean of the voxel indices.
    n_voxels : int
        Size of the body.
    volume_mm3, diameter_mm : float
        Volume; longest extent within one slice.
    stored_mm : float
        The same in the slices of `Grid.slice_axis`: on cubic voxels it goes by how the array is
        stored. The features read it.
    radius_mm : float
        Of the ball of the same volume.
    sphericity : float
        Compactness by second moments, 1 for a ball, 0.4 for a 4:1 ellipsoid. Along a
        slice axis the extent is only known to a slice: the value nearest to round that
        agrees with the slices is taken, so that thick slices do not make a void flat.
    elongation : float
        Longest over middle axis of the whole dark region, tails included; 1 for a ball.
    flatness : float
        Middle over shortest axis of the same region.
    margin_sharpness : float
        Share of the void's depth that is passed within one layer of voxels at its edge.
    homogeneity : float
        1 less twice the spread inside the void over its depth, 0 to 1.
    parenchyma_fraction : float
        Share of the layer around that is undisturbed brain: no void, no fluid, not outside.
    outside_fraction : float
        Share of that layer that lies outside the brain mask.
    depth : float
        Loss of signal at the darkest voxel, 0 to 1.
    """

    centre_vox: tuple[float, float, float]
    n_voxels: int
    volume_mm3: float
    diameter_mm: float
    stored_mm: float
    radius_mm: float
    sphericity: float
    elongation: float
    flatness: float
    margin_sharpness: float
    homogeneity: float
    parenchyma_fraction: float
    outside_fraction: float
    depth: float


def measure_shape(
    void: Void, signal: Volume, mask: Mask, dark: Mask, grid: Grid, csf: Volume | None = None
) -> Shape:
    """Measure one void.

    Parameters
    ----------
    void : Void
        From `grow_voids`.
    signal : (I, J, K) ndarray of float
        1 in undisturbed tissue, 0 in a void.
    mask : (I, J, K) ndarray of bool
        Brain.
    dark : (I, J, K) ndarray of bool
        All voids and tails: not parenchyma.
    grid : Grid
        Geometry.
    csf : (I, J, K) ndarray of float, optional
        Share of fluid, 0 to 1; without it, what is much brighter than the void's
        surroundings is taken for fluid.
    """
    body, spacing = void.body, grid.spacing_mm
    volume = len(body) * grid.voxel_mm3
    low, box = _around(body, grid)
    inside = np.zeros([s.stop - s.start for s in box], dtype=bool)
    inside[tuple((body - low).T)] = True
    grown = ndimage.binary_dilation(inside, structure=np.ones((3, 3, 3)))
    layer = _layer(inside, grown, spacing)
    near, brain = signal[box], mask[box]
    fluid = near >= 1.4 * void.background if csf is None else csf[box] > 0.5
    undisturbed = brain & ~dark[box] & (near > 0.7 * void.background) & ~fluid
    n_layer = max(int(layer.sum()), 1)
    spread = float(np.std(signal[tuple(body.T)]))
    depth_signal = max(void.background - void.least, 1e-6)
    i, j, k = body.mean(axis=0).tolist()
    elongation, flatness = _axes(np.concatenate([body, void.tail]), grid)
    return Shape(
        centre_vox=(i, j, k),
        n_voxels=len(body),
        volume_mm3=volume,
        diameter_mm=in_plane_diameter(body, grid),
        stored_mm=in_plane_diameter(body, grid, grid.slice_axis),
        radius_mm=float((3 * volume / (4 * np.pi)) ** (1 / 3)),
        sphericity=sphericity(body, grid),
        elongation=elongation,
        flatness=flatness,
        margin_sharpness=_sharpness(inside, near, brain, depth_signal, spacing),
        homogeneity=float(np.clip(1 - 2 * spread / depth_signal, 0, 1)),
        parenchyma_fraction=float((layer & undisturbed).sum() / n_layer),
        # of the 26-neighbours in the volume: its edge is not the brain's
        outside_fraction=float((grown & ~brain).sum() / max(int(grown.sum()) - len(body), 1)),
        depth=float(np.clip(void.depth, 0, 1)),
    )


def in_plane_diameter(
    voxels: npt.NDArray[np.int64], grid: Grid, slice_axis: int | None = None
) -> float:
    """Return the longest extent within one slice, edge to edge of the voxels [mm].

    The longest distance between voxel centres of a slice plus one in-plane voxel. Slices lie
    across the grid's slice axis; of cubic voxels, across the side nearest to the scanner's z,
    whatever the order of the array's axes.
    """
    axis = _slice_axis(grid) if slice_axis is None else slice_axis
    plane = [a for a in range(3) if a != axis]
    spacing = grid.spacing_mm[plane]
    longest = 0.0
    for level in np.unique(voxels[:, axis]):
        at = voxels[voxels[:, axis] == level][:, plane] * spacing
        at = _rim(at)
        gap = ((at[:, None] - at[None]) ** 2).sum(axis=-1)
        longest = max(longest, float(np.sqrt(gap.max())))
    return longest + float(np.sqrt(spacing.prod()))


def _slice_axis(grid: Grid) -> int:
    spacing = grid.spacing_mm
    cubic = spacing.min() > (1 - ALIKE) * spacing.max()
    return int(np.argmax(np.abs(grid.b0_dir))) if cubic else grid.slice_axis


def _rim(at: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the first and last point of each row: the hull's corners are among them."""
    if len(at) < 50:
        return at
    order = np.lexsort((at[:, 1], at[:, 0]))
    at = at[order]
    edge = np.flatnonzero(np.diff(at[:, 0]) != 0)
    keep = np.unique(np.concatenate([[0], edge, edge + 1, [len(at) - 1]]))
    return np.asarray(at[keep], dtype=np.float64)


def sphericity(voxels: npt.NDArray[np.int64], grid: Grid) -> float:
    """Return the compactness of voxels by second moments: 1 for a ball.

    V^(5/3) over the integral of squared distance to the centre, scaled. The extent along
    a thick slice axis may lie anywhere between one slice less on either side and all of
    it; the value nearest to the in-plane extent is taken.
    """
    covariance, scale = _fair_covariance(voxels, grid)
    volume = scale * len(voxels) * grid.voxel_mm3
    moment = volume * float(np.trace(covariance))
    return float(np.clip(BALL * volume ** (5 / 3) / moment, 0, 1))


def _fair_covariance(
    voxels: npt.NDArray[np.int64], grid: Grid
) -> tuple[npt.NDArray[np.float64], float]:
    """Return second moments with the extent across slices as round as they allow.

    Also returns the factor on that extent. Only what a slice adds over an in-plane voxel
    is in doubt, at either end.
    """
    spacing, axis = grid.spacing_mm, grid.slice_axis
    covariance = _covariance(voxels, spacing)
    plane = [a for a in range(3) if a != axis]
    across = float(np.sqrt(spacing[plane].prod()))
    # the axes of a uniform body are 2 sqrt(5) standard deviations long
    wide = 2 * np.sqrt(5) * np.linalg.det(covariance[np.ix_(plane, plane)]) ** 0.25
    tall = 2 * np.sqrt(5 * covariance[axis, axis])
    doubt = 2 * max(float(spacing[axis]) - across, 0.0)
    scale = float(np.clip(wide, max(tall - doubt, 0.25 * across), tall)) / tall
    covariance[axis, :] *= scale
    covariance[:, axis] *= scale
    return covariance, scale


def _covariance(
    voxels: npt.NDArray[np.int64], spacing_mm: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return second central moments of boxes, not points [mm^2]."""
    at = voxels * spacing_mm
    centred = at - at.mean(axis=0)
    out = centred.T @ centred / len(at) + np.diag(spacing_mm**2 / 12)
    return np.asarray(out, dtype=np.float64)


def longest_over_middle(voxels: npt.NDArray[np.int64], grid: Grid) -> float:
    """Return the longest principal axis of voxels over the middle one; slices allowed for."""
    return _axes(voxels, grid)[0]


def _axes(voxels: npt.NDArray[np.int64], grid: Grid) -> tuple[float, float]:
    """Return longest/middle and middle/shortest principal axis; slices allowed for."""
    covariance, _ = _fair_covariance(voxels, grid)
    across = float(np.delete(grid.spacing_mm, grid.slice_axis).min())
    values = np.sqrt(np.maximum(np.linalg.eigvalsh(covariance), (0.25 * across) ** 2))
    return float(values[2] / values[1]), float(values[1] / values[0])


def _around(
    voxels: npt.NDArray[np.int64], grid: Grid
) -> tuple[npt.NDArray[np.int64], tuple[slice, slice, slice]]:
    """Return the corner and the slices of a box around voxels, within the volume."""
    margin = np.ceil(2.0 / grid.spacing_mm).astype(np.int64) + 1
    low = np.maximum(voxels.min(axis=0) - margin, 0)
    high = np.minimum(voxels.max(axis=0) + margin + 1, np.asarray(grid.shape))
    i, j, k = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return low, (i, j, k)


def _layer(inside: Mask, grown: Mask, spacing_mm: npt.NDArray[np.float64]) -> Mask:
    """Return what lies within 1.5 mm of `inside`, or is one of its neighbours in `grown`."""
    away = distance_to_outside(~inside, spacing_mm)
    return np.asarray((grown | (away <= 1.5)) & ~inside, dtype=bool)


def _sharpness(
    inside: Mask,
    signal: Volume,
    brain: Mask,
    depth: float,
    spacing_mm: npt.NDArray[np.float64],
) -> float:
    """Return the step between the two layers of voxels at the edge over the depth."""
    thin = spacing_mm < 1.5 * spacing_mm.min()
    cross = ndimage.generate_binary_structure(3, 1)
    for axis in np.flatnonzero(~thin):
        # a thick slice blurs any margin: judge the edge in the plane
        cross &= np.arange(3).reshape([-1 if a == axis else 1 for a in range(3)]) == 1
    outer = ndimage.binary_dilation(inside, cross) & ~inside & brain
    inner = inside & ~ndimage.binary_erosion(inside, cross, border_value=1)
    if not outer.any() or not inner.any():
        return 0.0
    step = float(signal[outer].mean() - signal[inner].mean())
    return float(np.clip(step / depth, 0, 1))
