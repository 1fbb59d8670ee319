"""The Hessian of an image at several widths in millimetres, and its eigenvalues.

Every width is one product with a separable Gaussian in k-space; second differences of the
smoothed image and the eigenvalues of each voxel follow in one pass, so that no Hessian is
ever stored. What lies outside the mask does not count: the smooth image is that of a
normalised convolution, and the rim of the mask is no edge.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft

from petechia.core.checks import require_between, require_finite
from petechia.core.compiled import compiled
from petechia.core.fourier import crop_to, irfft3, pad_to, padded_grid, rfft3
from petechia.core.grid import Grid
from petechia.core.morphology import Mask, bounding_box
from petechia.errors import ParameterError

Volume = npt.NDArray[np.float32]
REACH = 4.0
"""A Gaussian ends after so many of its widths."""
STRONG = 99.9
"""Percentile of the Hessian's size that stands for the largest: one bleed must not set it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleParams:
    """Settings of every measure of shape.

    Attributes
    ----------
    width_min_mm, width_max_mm : float
        Standard deviations of the narrowest and the widest Gaussian [mm]: about the radius
        of a tube, half the thickness of a sheet.
    n_widths : int
        How many there are, spaced by equal ratios.
    dark : bool
        Look for dark structures (on SWI, magnitude) instead of bright ones (susceptibility).
    """

    width_min_mm: float = 0.6
    width_max_mm: float = 2.0
    n_widths: int = 4
    dark: bool = False

    def __post_init__(self) -> None:
        where = type(self).__name__
        usual = "0.5 to 3 mm is usual for veins."
        require_between(self.width_min_mm, 0.05, 50.0, f"{where}.width_min_mm", usual)
        require_between(self.width_max_mm, 0.05, 50.0, f"{where}.width_max_mm", usual)
        require_between(self.n_widths, 1, 20, f"{where}.n_widths", "3 to 5 is usual.")
        if self.width_max_mm < self.width_min_mm:
            raise ParameterError(
                f"{self.width_max_mm} is less than width_min_mm = {self.width_min_mm}",
                where=f"{where}.width_max_mm",
                mend=usual,
            )

    @property
    def widths_mm(self) -> tuple[float, ...]:
        """All widths [mm]."""
        if self.n_widths == 1:
            return (self.width_min_mm,)
        spaced = np.geomspace(self.width_min_mm, self.width_max_mm, self.n_widths)
        return tuple(float(w) for w in spaced)


@dataclass(frozen=True, slots=True, eq=False)
class Smooth:
    """An image at one width.

    Attributes
    ----------
    volume : (I, J, K) ndarray of float32
        Smoothed, bright structures up; of the mask's bounding box.
    inside : (I, J, K) ndarray of bool
        The mask there.
    per_width : (3,) ndarray of float64
        Width over voxel along each axis: turns differences into those of the scale-normalised
        Hessian.
    strong : float
        Size of the Hessian (Frobenius norm) that hardly any voxel exceeds.
    """

    volume: Volume
    inside: Mask
    per_width: npt.NDArray[np.float64]
    strong: float


def largest_over_widths(
    image: npt.NDArray[np.floating],
    mask: Mask,
    grid: Grid,
    params: ScaleParams,
    raise_to: Callable[[Smooth, Volume], None],
) -> Volume:
    """Return a measure's largest value over all widths, 0 outside `mask`.

    `raise_to(smooth, out)` writes it where it is larger than before, in the box of the mask.

    Raises
    ------
    GridMismatchError
        If an array is not on `grid`.
    InputError
        If the image is not finite inside the mask.
    """
    out = np.zeros(grid.shape, dtype=np.float32)
    for smooth in at_widths(image, mask, grid, params):
        raise_to(smooth, out[bounding_box(mask)])
    return out


def require_shares(params: ScaleParams, *names: str) -> None:
    """Raise `ParameterError` unless those settings are usable as scales of a ratio."""
    for name in names:
        where = f"{type(params).__name__}.{name}"
        require_between(getattr(params, name), 1e-3, 100.0, where, "0.5 is usual.")


def at_widths(
    image: npt.NDArray[np.floating], mask: Mask, grid: Grid, params: ScaleParams
) -> Iterator[Smooth]:
    """Yield the image at every width, smoothed within the mask; nothing for an empty mask.

    Widths below half a voxel (of the middle one of the three spacings) are left out, but for
    the widest.

    Raises
    ------
    GridMismatchError
        If an array is not on `grid`.
    InputError
        If the image is not finite inside the mask.
    """
    grid.require(image, "image")
    grid.require(mask, "mask")
    if not mask.any():
        return
    box = bounding_box(mask)
    inside = np.ascontiguousarray(mask[box], dtype=bool)
    part = np.asarray(image[box], dtype=np.float32)
    require_finite(np.where(inside, part, 0), "image")
    # around its own level, so that single precision holds the differences
    level = np.float32(np.median(part[inside]))
    part = np.where(inside, (level - part) if params.dark else (part - level), 0)
    finest = float(np.sort(grid.spacing_mm)[1]) / 2
    widths = [w for w in params.widths_mm if w >= finest] or [max(params.width_max_mm, finest)]
    wide = padded_grid(grid.cut(box), REACH * widths[-1])
    spectra = [rfft3(pad_to(v, wide.shape)) for v in (part, inside)]
    at = np.argwhere(inside)
    some = np.ascontiguousarray(at[:: max(1, len(at) // 100_000)])
    for width in widths:
        lines = gaussian_lines(wide, width)
        smooth, weight = (
            crop_to(irfft3(_damped(spectrum, *lines), wide.shape), inside.shape)
            for spectrum in spectra
        )
        smooth /= np.maximum(weight, np.float32(1e-3))
        per_width = width / grid.spacing_mm
        strong = float(np.percentile(hessian_sizes(smooth, some, per_width), STRONG))
        yield Smooth(smooth, inside, per_width, strong + float(np.finfo(np.float32).tiny))


def gaussian_lines(grid: Grid, width_mm: float) -> tuple[Volume, Volume, Volume]:
    """Return the spectra along each axis of a sampled Gaussian of `width_mm`, 1 at zero.

    Sampled in space, where it is never negative: no ringing across thick slices.
    """
    lines = []
    for axis, (n, d) in enumerate(zip(grid.shape, grid.spacing_mm, strict=True)):
        away = fft.fftfreq(n, 1 / n) * d / width_mm
        line = np.exp(-(away**2) / 2) * (np.abs(away) <= REACH)
        spectrum = fft.fft(line / line.sum()).real.astype(np.float32)
        lines.append(spectrum[: n // 2 + 1] if axis == 2 else spectrum)
    return lines[0], lines[1], lines[2]


@compiled
def _damped(spectrum, first, second, third):  # type: ignore[no-untyped-def]
    """Return a half spectrum times a line along each axis."""
    out = np.empty_like(spectrum)
    n0, n1, n2 = spectrum.shape
    for i in range(n0):
        for j in range(n1):
            both = first[i] * second[j]
            for k in range(n2):
                out[i, j, k] = spectrum[i, j, k] * (both * third[k])
    return out


@compiled(inline="always")
def second_differences(volume, i, j, k, unit):  # type: ignore[no-untyped-def]
    """Return the scale-normalised Hessian xx, yy, zz, xy, xz, yz; the border is repeated."""
    s = volume.shape
    a, b = max(i - 1, 0), min(i + 1, s[0] - 1)
    c, d = max(j - 1, 0), min(j + 1, s[1] - 1)
    e, f = max(k - 1, 0), min(k + 1, s[2] - 1)
    here = 2 * volume[i, j, k]
    xx = (volume[a, j, k] + volume[b, j, k] - here) * unit[0] * unit[0]
    yy = (volume[i, c, k] + volume[i, d, k] - here) * unit[1] * unit[1]
    zz = (volume[i, j, e] + volume[i, j, f] - here) * unit[2] * unit[2]
    xy = volume[b, d, k] + volume[a, c, k] - volume[a, d, k] - volume[b, c, k]
    xz = volume[b, j, f] + volume[a, j, e] - volume[a, j, f] - volume[b, j, e]
    yz = volume[i, d, f] + volume[i, c, e] - volume[i, c, f] - volume[i, d, e]
    xy *= unit[0] * unit[1] / 4
    xz *= unit[0] * unit[2] / 4
    yz *= unit[1] * unit[2] / 4
    return xx, yy, zz, xy, xz, yz


@compiled(inline="always")
def eigenvalues(xx, yy, zz, xy, xz, yz):  # type: ignore[no-untyped-def]
    """Return the eigenvalues of a symmetric 3 x 3 matrix by size: the largest |l| last.

    In closed form: the roots of the characteristic cubic by the cosine of a third of an angle.
    """
    mean = (xx + yy + zz) / 3
    ax, ay, az = xx - mean, yy - mean, zz - mean
    off = xy * xy + xz * xz + yz * yz
    p2 = (ax * ax + ay * ay + az * az + 2 * off) / 6
    if p2 <= 0.0:
        return mean, mean, mean
    p = np.sqrt(p2)
    det = ax * (ay * az - yz * yz) - xy * (xy * az - yz * xz) + xz * (xy * yz - ay * xz)
    half = det / (2 * p2 * p)
    angle = np.arccos(min(1.0, max(-1.0, half))) / 3
    c = np.cos(angle)
    s = np.sqrt(max(1 - c * c, 0.0)) * 1.7320508075688772
    l1, l2, l3 = mean + 2 * p * c, mean - p * (c + s), mean - p * (c - s)
    if abs(l1) > abs(l2):
        l1, l2 = l2, l1
    if abs(l2) > abs(l3):
        l2, l3 = l3, l2
    if abs(l1) > abs(l2):
        l1, l2 = l2, l1
    return l1, l2, l3


@compiled
def hessian_sizes(volume, at, unit):  # type: ignore[no-untyped-def]
    """Return the Frobenius norm of the Hessian at some voxels."""
    out = np.empty(len(at))
    for n in range(len(at)):
        xx, yy, zz, xy, xz, yz = second_differences(volume, at[n, 0], at[n, 1], at[n, 2], unit)
        out[n] = np.sqrt(xx * xx + yy * yy + zz * zz + 2 * (xy * xy + xz * xz + yz * yz))
    return out
