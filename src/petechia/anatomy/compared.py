"""What a registration looks at: scan and template, coarse, the scan's shading flattened."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.anatomy.resample import coarse_grid, through, to_grid
from petechia.anatomy.template import Template
from petechia.core.grid import Grid
from petechia.core.morphology import Mask, dilate_mm

Volume = npt.NDArray[np.float32]

AROUND_MM = 12.0
"""So much around head or brain is compared too: without its dark shell a homogeneous brain
can be stretched at will."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Fixed:
    """The coarse scan, its shading flattened, and where to compare.

    Attributes
    ----------
    volume : (I, J, K) ndarray of float32
        Flattened.
    where : (I, J, K) ndarray of bool
        Head, or brain, and `AROUND_MM` around it.
    grid : Grid
        Of both.
    """

    volume: Volume
    where: Mask
    grid: Grid

    @classmethod
    def of(
        cls,
        magnitude: npt.NDArray[np.floating],
        head: Mask,
        grid: Grid,
        spacing_mm: float,
        mask: Mask | None = None,
    ) -> "Fixed":
        """Return a scan, its head, and its brain if that is what is compared, coarsened."""
        small = coarse_grid(grid, spacing_mm)
        image = np.asarray(to_grid(magnitude, grid, small), dtype=np.float32)
        head = np.asarray(to_grid(head, grid, small, order=0))
        level = flattened(image, head, small)
        if mask is None:
            where = dilate_mm(head, small, AROUND_MM)
        else:
            where = dilate_mm(np.asarray(to_grid(mask, grid, small, order=0)), small, AROUND_MM)
        return cls(volume=level, where=where, grid=small)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Moving:
    """The coarse template, or another image that a scan is brought to.

    Attributes
    ----------
    volume : (I, J, K) ndarray of float32
        Its T1 contrast.
    grid : Grid
        Of it.
    where : (I, J, K) ndarray of bool, optional
        Where there is an image; None where it is everywhere.
    """

    volume: Volume
    grid: Grid
    where: Mask | None = None

    @classmethod
    def at(cls, template: Template, spacing_mm: float) -> "Moving":
        """Return the template on voxels of `spacing_mm`."""
        small = coarse_grid(template.grid, spacing_mm)
        image = np.asarray(to_grid(template.t1, template.grid, small), dtype=np.float32)
        return cls(volume=image, grid=small)


def flattened(image: Volume, head: Mask, grid: Grid, width_mm: float = 25.0) -> Volume:
    """Return `image` over its own smooth mean within the head, clipped to 0..3."""
    sigma = width_mm / grid.spacing_mm
    top = np.percentile(image[head], 99) if head.any() else 1.0
    held = np.minimum(image, top) * head
    mean = ndimage.gaussian_filter(held, sigma) / np.maximum(
        ndimage.gaussian_filter(head.astype(np.float32), sigma), 1e-3
    )
    out = image / np.maximum(mean, 0.05 * top + np.finfo(np.float32).tiny)
    return np.asarray(np.clip(out, 0, 3), dtype=np.float32)


def sampled(volume: Volume, grid: Grid, matrix: npt.NDArray[np.float64], target: Grid) -> Volume:
    """Return `volume` at the voxels of `target`, linear, fading to 0 within a voxel of the border.

    Parameters
    ----------
    volume : (I, J, K) ndarray of float32
        On `grid`.
    matrix : (4, 4) ndarray of float
        RAS of `target` to RAS of `grid` [mm].
    """
    # "constant" would drop the last plane where it lies beyond the image by a rounding error
    out = through(volume, grid, matrix, target, mode="grid-constant")
    return np.asarray(out, dtype=np.float32)


def agreement(scan: Fixed, there: Moving, matrix: npt.NDArray[np.float64], bins: int) -> float:
    """Return the entropy correlation of scan and template where the scan is compared."""
    values = sampled(there.volume, there.grid, matrix, scan.grid)
    return correlation(scan.volume[scan.where], values[scan.where], bins)


def correlation(
    one: npt.NDArray[np.floating], other: npt.NDArray[np.floating], bins: int = 32
) -> float:
    """Return the entropy correlation coefficient 2 I(A;B) / (H(A) + H(B)), 0 to 1."""
    ranges = [np.percentile(v, (1, 99)) for v in (one, other)]
    clipped = [np.clip(v, *r) for v, r in zip((one, other), ranges, strict=True)]
    counts = np.histogram2d(clipped[0].ravel(), clipped[1].ravel(), bins=bins)[0]
    joint = counts / max(float(counts.sum()), 1.0)

    def entropy(p: npt.NDArray[np.float64]) -> float:
        p = p[p > 0]
        return float(-(p * np.log(p)).sum())

    single = entropy(joint.sum(axis=0)) + entropy(joint.sum(axis=1))
    return 2 * (single - entropy(joint.ravel())) / single if single > 0 else 0.0
