"""Real Fourier transforms on padded grids.

The number of threads is the caller's: `scipy.fft.set_workers` around the call.
"""

from typing import cast

import numpy as np
import numpy.typing as npt
from scipy import fft

from petechia.core.grid import Grid

Shape = tuple[int, int, int]


def rfft3(volume: npt.NDArray[np.floating]) -> npt.NDArray[np.complexfloating]:
    """Return the half spectrum over the last three axes; float32 stays single."""
    return cast("npt.NDArray[np.complexfloating]", fft.rfftn(volume, axes=(-3, -2, -1)))


def irfft3(spectrum: npt.NDArray[np.complexfloating], shape: Shape) -> npt.NDArray[np.floating]:
    """Return the real volume of `shape`; `spectrum` is overwritten."""
    return cast(
        "npt.NDArray[np.floating]",
        fft.irfftn(spectrum, s=shape, axes=(-3, -2, -1), overwrite_x=True),
    )


def convolved(
    volume: npt.NDArray[np.floating], kernel: npt.NDArray[np.floating]
) -> npt.NDArray[np.float32]:
    """Return a volume under a kernel given as its half spectrum; it wraps around."""
    spectrum = rfft3(volume)
    spectrum *= kernel
    i, j, k = volume.shape
    return np.asarray(irfft3(spectrum, (i, j, k)), dtype=np.float32)


def padded_grid(grid: Grid, pad_mm: float = 0.0) -> Grid:
    """Return `grid` grown at its far ends by `pad_mm` to sizes that transform fast.

    The affine is kept: index (0, 0, 0) stays where it was.
    """
    shape = tuple(
        fft.next_fast_len(n + int(np.ceil(pad_mm / d)), real=True)
        for n, d in zip(grid.shape, grid.spacing_mm, strict=True)
    )
    return Grid(cast("Shape", shape), grid.affine)


def pad_to(volume: npt.NDArray[np.floating | np.bool_], shape: Shape) -> npt.NDArray[np.float32]:
    """Return `volume` with zeros behind it, as float32 of `shape`."""
    out = np.zeros(shape, dtype=np.float32)
    i, j, k = volume.shape
    out[:i, :j, :k] = volume
    return out


def crop_to(volume: npt.NDArray[np.floating], shape: Shape) -> npt.NDArray[np.float32]:
    """Return the first `shape` voxels of `volume`: the inverse of `pad_to`."""
    i, j, k = shape
    return np.ascontiguousarray(volume[:i, :j, :k], dtype=np.float32)


def frequencies(
    grid: Grid,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return the open mesh of spatial frequencies of the half spectrum [1/mm]."""
    (n0, n1, n2), (d0, d1, d2) = grid.shape, grid.spacing_mm
    return (
        fft.fftfreq(n0, d0).astype(np.float32)[:, None, None],
        fft.fftfreq(n1, d1).astype(np.float32)[None, :, None],
        fft.rfftfreq(n2, d2).astype(np.float32)[None, None, :],
    )
