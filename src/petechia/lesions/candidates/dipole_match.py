"""Point dipoles in the local field: a matched filter."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.core.compiled import compiled
from petechia.core.fourier import crop_to, irfft3, pad_to, padded_grid, rfft3
from petechia.core.grid import Grid
from petechia.core.robust import ENOUGH, robust_sd
from petechia.errors import ParameterError
from petechia.lesions.candidates.found import Candidates, local_maxima, merge_scales
from petechia.lesions.dipole import dipole_mean

Volume = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class DipoleMatchParams:
    """Settings of `dipole_match`.

    Attributes
    ----------
    shells_mm : tuple of (inner, outer)
        Distances from the centre at which the field is compared with a dipole's [mm].
    threshold : float
        Least moment over its error, the error at least the robust spread of all voxels.
    limit : int
        At most so many candidates.
    """

    shells_mm: tuple[tuple[float, float], ...] = ((1.2, 4.5), (2.5, 8.0))
    threshold: float = 5.0
    limit: int = 1000

    def __post_init__(self) -> None:
        if (
            not self.shells_mm
            or not all(0 < a < b for a, b in self.shells_mm)
            or self.threshold <= 0
            or self.limit < 1
        ):
            raise ParameterError(
                f"shells_mm={self.shells_mm}, threshold={self.threshold}, limit={self.limit}",
                where="DipoleMatchParams",
                mend="Give (inner, outer) with 0 < inner < outer, a threshold above 0.",
            )


def dipole_match(
    local_field_ppm: npt.NDArray[np.floating],
    field_noise_ppm: npt.NDArray[np.floating] | None,
    mask: npt.NDArray[np.bool_],
    grid: Grid,
    params: DipoleMatchParams | None = None,
) -> Candidates:
    r"""Fit a dipole and a constant to the field around every voxel at once.

    With weights w = 1/noise^2 and d the field of a unit moment on a shell,

    .. math:: m = \frac{S_{fd} - S_d S_f / S_1}{S_{dd} - S_d^2 / S_1}, \qquad
        S_x(p) = \sum_q w(q)\, x(q - p)

    each sum a correlation.

    Parameters
    ----------
    local_field_ppm : (I, J, K) ndarray of float
        Field after background removal, positive = higher frequency [ppm].
    field_noise_ppm : (I, J, K) ndarray of float, or None
        Its standard deviation; None weighs all voxels alike [ppm].
    mask : (I, J, K) ndarray of bool
        Where the field is valid.
    grid : Grid
        Geometry; its affine gives the direction of the main field.
    params : DipoleMatchParams
        Settings.

    Returns
    -------
    Candidates
        `sign` is that of the moment; score = its size over the robust spread.

    References
    ----------
    .. [1] Mills et al. (2012), Magn. Reson. Med. 67, 278-289, doi:10.1002/mrm.22998.
    """
    p = params or DipoleMatchParams()
    grid.require(local_field_ppm, "local_field_ppm")
    grid.require(mask, "mask")
    if not mask.any():
        return Candidates.none()
    weight = _weights(field_noise_ppm, mask, grid)
    outer = max(b for _, b in p.shells_mm)
    wide = padded_grid(grid, outer + float(grid.spacing_mm.max()))
    ones = rfft3(pad_to(weight, wide.shape))
    field = rfft3(pad_to(weight * np.where(mask, local_field_ppm, 0), wide.shape))
    scales, signs = [], []
    for shell in p.shells_mm:
        z = _significance(ones, field, shell, grid, wide)
        sd = max(robust_sd(z[mask], 0.0, ENOUGH), 1e-6 * float(np.abs(z).max()), 1e-12)
        z /= sd
        for sign in (1, -1):
            places = local_maxima(sign * z, mask, p.threshold)
            scales.append((places, sign * z[tuple(places.T)], shell[0]))
            signs.append(np.full(len(places), sign, dtype=np.int8))
    return merge_scales(scales, grid.spacing_mm, p.limit, signs)


def _weights(
    noise_ppm: npt.NDArray[np.floating] | None, mask: npt.NDArray[np.bool_], grid: Grid
) -> Volume:
    """Return 1/noise^2 over its median in the mask, capped, 0 outside."""
    if noise_ppm is None:
        return mask.astype(np.float32)
    grid.require(noise_ppm, "field_noise_ppm")
    good = mask & (noise_ppm > 0)
    if not good.any():
        return mask.astype(np.float32)
    middle = float(np.median(noise_ppm[good]))
    out = np.zeros(grid.shape, dtype=np.float32)
    out[good] = np.minimum((middle / noise_ppm[good]) ** 2, 4.0)
    return out


def _significance(
    ones: npt.NDArray[np.complexfloating],
    field: npt.NDArray[np.complexfloating],
    shell_mm: tuple[float, float],
    grid: Grid,
    wide: Grid,
) -> Volume:
    """Return moment over the error that unit noise would give, at every voxel."""
    unit, support = _shell(shell_mm, grid, wide)
    k_unit, k_square, k_one = (rfft3(a) for a in (unit, unit * unit, support))

    def correlate(kernel: npt.NDArray[np.complexfloating], of: object) -> Volume:
        return crop_to(irfft3(np.conj(kernel) * of, wide.shape), grid.shape)

    s_d, s_dd, s_1 = (correlate(k, ones) for k in (k_unit, k_square, k_one))
    s_fd, s_f = correlate(k_unit, field), correlate(k_one, field)
    enough = np.float32(0.1 * s_1.max())
    return np.asarray(_solved(s_d, s_dd, s_1, s_fd, s_f, enough), dtype=np.float32)


@compiled
def _solved(s_d, s_dd, s_1, s_fd, s_f, enough):  # type: ignore[no-untyped-def]
    """Return moment over error from the sums, 0 where they hold too little of a shell.

    `s_fd` and `s_dd` are written over.
    """
    z = s_fd.ravel()
    d, dd, one, f = s_d.ravel(), s_dd.ravel(), s_1.ravel(), s_f.ravel()
    most = np.float32(0)
    for n in range(len(z)):
        over = d[n] / one[n] if one[n] > enough else np.float32(0)
        z[n] -= over * f[n]
        dd[n] -= over * d[n]
        most = max(most, dd[n])
    least = np.float32(0.05) * most
    for n in range(len(z)):
        good = one[n] > enough and dd[n] > least
        z[n] = z[n] / np.sqrt(dd[n]) if good else np.float32(0)
    return z.reshape(s_fd.shape)


def _shell(shell_mm: tuple[float, float], grid: Grid, wide: Grid) -> tuple[Volume, Volume]:
    """Return the unit dipole on a shell about index 0 of `wide`, and the shell itself."""
    inner, outer = shell_mm
    spacing = grid.spacing_mm
    inner = max(inner, 0.9 * float(spacing.min()))
    reach = [int(np.ceil(outer / d)) for d in spacing]
    steps = [np.arange(-n, n + 1) for n in reach]
    index = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
    offset = index * spacing
    away = np.linalg.norm(offset, axis=1)
    keep = (away >= inner) & (away <= outer)
    value = dipole_mean(offset[keep], grid.b0_dir, spacing)
    at = tuple((index[keep] % np.asarray(wide.shape)).T)
    unit = np.zeros(wide.shape, dtype=np.float32)
    support = np.zeros(wide.shape, dtype=np.float32)
    np.add.at(unit, at, value.astype(np.float32))
    support[at] = 1
    return unit, support
