"""High-pass phase: what is left of it once the slow background is gone."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft

from petechia.contrast.planefit import without_planes
from petechia.core.checks import require_between, require_finite
from petechia.core.grid import Grid
from petechia.core.morphology import Mask

Volume = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class HomodyneParams:
    """Settings of `homodyne`.

    Attributes
    ----------
    window : float
        Width of the Hann window as a fraction of the width of k-space: 32, 64 or 96 lines
        of a 512 matrix, the usual choices, are 0.0625, 0.125 and 0.1875. Wider takes
        away more.
    in_plane : bool
        Filter each slice by itself, as is usual; False filters along the slice axis too.
    """

    window: float = 0.125
    in_plane: bool = True

    def __post_init__(self) -> None:
        require_between(
            self.window,
            0.005,
            1.0,
            "HomodyneParams.window",
            "Give a fraction of k-space: 64 of 512 lines is 0.125.",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HighpassParams:
    """Settings of `unwrapped_highpass`.

    Attributes
    ----------
    sigma_mm : float
        Standard deviation of the Gaussian whose mean is taken off [mm].
    in_plane : bool
        Smooth within slices only; False smooths along the slice axis too.
    """

    sigma_mm: float = 4.0
    in_plane: bool = True

    def __post_init__(self) -> None:
        require_between(
            self.sigma_mm,
            0.1,
            100.0,
            "HighpassParams.sigma_mm",
            "Give millimetres: 2 to 6 keeps veins and lesions, and loses the background.",
        )


def homodyne(
    phase_rad: npt.NDArray[np.floating],
    magnitude: npt.NDArray[np.floating],
    grid: Grid,
    params: HomodyneParams = HomodyneParams(),
) -> Volume:
    r"""Divide the complex image by its own low-resolution copy; needs no unwrapping.

    .. math:: \varphi_{hp} = \arg ( S \, \overline{\mathcal F^{-1} H \mathcal F S} )

    Parameters
    ----------
    phase_rad : (I, J, K) ndarray of float
        Phase of one echo, wrapped or not [rad].
    magnitude : (I, J, K) ndarray of float
        Its magnitude; voxels of 0 get phase 0.
    grid : Grid
        Geometry: it names the slice axis.
    params : HomodyneParams
        Settings.

    Returns
    -------
    highpass_rad : (I, J, K) ndarray of float32
        In [-pi, pi]; exactly 0 where `phase_rad` is 0 everywhere [rad].

    Raises
    ------
    GridMismatchError
        If an array is not on `grid`.
    InputError
        If an array is not finite.

    Notes
    -----
    Structures wider than about 1 / window voxels are filtered away, and where the
    background winds faster than the window passes (above the sinuses) wraps stay behind:
    prefer `unwrapped_highpass` when there is an unwrapped phase.

    References
    ----------
    .. [1] Haacke, Xu, Cheng & Reichenbach (2004), Magn. Reson. Med. 52, 612-618,
       doi:10.1002/mrm.20198.
    .. [2] Noll, Nishimura & Macovski (1991), IEEE Trans. Med. Imaging 10, 154-163,
       doi:10.1109/42.79473.
    """
    for name, array in (("phase_rad", phase_rad), ("magnitude", magnitude)):
        grid.require(array, name)
        require_finite(array, name)
    if not np.any(phase_rad):  # rounding of the transforms would leave 1e-7
        return np.zeros(grid.shape, dtype=np.float32)
    turns = np.asarray(phase_rad, dtype=np.float32)
    signal = np.asarray(magnitude, dtype=np.float32) * np.exp(np.complex64(1j) * turns)
    axes = _axes(grid, params.in_plane)
    low = fft.fftn(signal, axes=axes)
    for axis in axes:
        n = grid.shape[axis]
        low *= hann(n, params.window).reshape([-1 if a == axis else 1 for a in range(3)])
    low = fft.ifftn(low, axes=axes, overwrite_x=True)
    return np.asarray(np.angle(signal * np.conj(low)), dtype=np.float32)


def unwrapped_highpass(
    unwrapped_rad: npt.NDArray[np.floating],
    mask: Mask,
    grid: Grid,
    params: HighpassParams = HighpassParams(),
) -> Volume:
    """Take the smooth part, fitted within the mask, off an unwrapped phase.

    The smooth part is a plane fitted around every voxel with Gaussian weights to what of
    the mask is near (normalised convolution of first order). Far from the edge that is
    the Gaussian mean; at the edge it follows the slope of the background, where a mean
    would leave a rim.

    Parameters
    ----------
    unwrapped_rad : (I, J, K) ndarray of float
        Unwrapped phase; values outside `mask` do not matter [rad].
    mask : (I, J, K) ndarray of bool
        Where the phase is valid.
    grid : Grid
        Geometry.
    params : HighpassParams
        Settings.

    Returns
    -------
    highpass_rad : (I, J, K) ndarray of float32
        0 outside `mask` [rad].

    Raises
    ------
    GridMismatchError
        If an array is not on `grid`.
    InputError
        If the phase is not finite.

    Notes
    -----
    Constant and linear phase give 0 up to the very edge of the mask. It leaves fewer
    errors than `homodyne` where the background is steep.

    References
    ----------
    .. [1] Eckstein, Bachrata, Hangel et al. (2021), NeuroImage 237, 118175 (CLEAR-SWI),
       doi:10.1016/j.neuroimage.2021.118175.
    .. [2] Knutsson & Westin (1993), Proc. IEEE CVPR, 515-523 (normalised convolution),
       doi:10.1109/CVPR.1993.341081.
    """
    grid.require(unwrapped_rad, "unwrapped_rad")
    grid.require(mask, "mask")
    require_finite(unwrapped_rad, "unwrapped_rad")
    if not mask.any():
        return np.zeros(grid.shape, dtype=np.float32)
    # the mean is taken off first: single precision then holds the small differences
    level = float(np.mean(unwrapped_rad[mask], dtype=np.float64))
    phase = np.where(mask, unwrapped_rad - level, 0).astype(np.float32)
    axes = _axes(grid, params.in_plane)
    sigma_vox = [params.sigma_mm / float(grid.spacing_mm[axis]) for axis in axes]
    if params.in_plane:
        return without_planes(phase, mask, (sigma_vox[0], sigma_vox[1]), grid.slice_axis)
    phase[mask] -= _smooth_part(phase, mask, axes, sigma_vox)
    return phase


def _smooth_part(
    phase: Volume, mask: Mask, axes: tuple[int, ...], sigma_vox: list[float]
) -> Volume:
    """Return at the voxels of `mask` the height of the plane fitted around each."""
    weight_of = _Moments(mask.astype(np.float32), mask, axes, sigma_vox)
    value_of = _Moments(phase, mask, axes, sigma_vox)
    n = len(axes)
    unit = np.eye(n, dtype=int)
    none = (0,) * n
    share, total = weight_of(none), value_of(none)
    first = np.stack([weight_of(tuple(unit[a])) for a in range(n)], axis=-1)
    tilt = np.stack([value_of(tuple(unit[a])) for a in range(n)], axis=-1)
    second = np.empty((*share.shape, n, n), dtype=np.float32)
    for a in range(n):
        for b in range(a, n):
            second[:, a, b] = second[:, b, a] = weight_of(tuple(unit[a] + unit[b]))
        # where the mask is a thread, no slope across it can be known
        second[:, a, a] += np.float32(0.01) * share
    slope = np.linalg.solve(second, np.stack([first, tilt], axis=-1))
    lean, drop = np.einsum("va,vap->pv", first, slope)
    return np.asarray((total - drop) / np.maximum(share - lean, 1e-6), dtype=np.float32)


class _Moments:
    """Moments of a volume around each voxel of a mask, weighted by a Gaussian.

    Called with one power per filtered axis; offsets are in units of sigma.
    """

    def __init__(
        self, volume: Volume, mask: Mask, axes: tuple[int, ...], sigma_vox: list[float]
    ) -> None:
        self.mask, self.axes, self.sigma_vox = mask, axes, sigma_vox
        self.sizes = [
            fft.next_fast_len(volume.shape[axis] + int(np.ceil(4 * sigma)), real=True)
            for axis, sigma in zip(axes, sigma_vox, strict=True)
        ]
        self.spectrum = fft.rfftn(volume, s=self.sizes, axes=axes)

    def __call__(self, powers: tuple[int, ...]) -> Volume:
        spectrum = self.spectrum
        for axis, n, sigma, power in zip(
            self.axes, self.sizes, self.sigma_vox, powers, strict=True
        ):
            offset = fft.fftfreq(n, 1 / n) / sigma
            kernel = (-offset) ** power * np.exp(-(offset**2) / 2) * (np.abs(offset) <= 4)
            line = fft.fft(kernel / (sigma * np.sqrt(2 * np.pi))).astype(np.complex64)
            shape = [1, 1, 1]
            shape[axis] = spectrum.shape[axis]
            spectrum = spectrum * line[: spectrum.shape[axis]].reshape(shape)
        out = fft.irfftn(spectrum, s=self.sizes, axes=self.axes, overwrite_x=True)
        inside = tuple(slice(n) for n in self.mask.shape)
        return np.asarray(out[inside][self.mask], dtype=np.float32)


def hann(n: int, width: float) -> Volume:
    """Return a Hann window over `width` of k-space, in the order of the transform.

    Its central line is 1, it falls to 0 at the edges of the window, and at least the
    lines next to the centre pass in part, however small the matrix.
    """
    half = max(width * n / 2, 1.5)
    line = np.abs(fft.fftfreq(n, 1 / n))
    return np.where(line < half, 0.5 + 0.5 * np.cos(np.pi * line / half), 0).astype(np.float32)


def _axes(grid: Grid, in_plane: bool) -> tuple[int, ...]:
    """Return the array axes to filter along."""
    return tuple(axis for axis in range(3) if not (in_plane and axis == grid.slice_axis))
