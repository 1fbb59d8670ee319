"""Uncombined receive coils into one image per echo, phase offsets removed on the way."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_finite
from petechia.core.compiled import compiled
from petechia.core.echoes import check_echo_times
from petechia.core.grid import Grid
from petechia.errors import InputError
from petechia.phase.evolution import Evolution, McpcParams, evolve
from petechia.phase.images import Volume, checked_mask
from petechia.phase.offsets import require_echoes
from petechia.phase.smooth import angle, block_sums, blocks_for, blurred

Images = npt.NDArray[np.complex64]

SIGNAL = 0.1
"""Part of the bright signal above which a voxel is unwrapped when no mask is given."""
FAR = 1e-3
"""Part of a coil's mean sensitivity that is added to it, for where no signal is near."""


class CoilStack(Sequence[Images]):
    """Coils as complex images, made one at a time from phase and magnitude.

    Parameters
    ----------
    phase_rad, magnitude : (E, C, I, J, K) array of float
        Echoes, then coils; memory-mapped files will do.
    """

    def __init__(
        self, phase_rad: npt.NDArray[np.floating], magnitude: npt.NDArray[np.floating]
    ) -> None:
        if phase_rad.ndim != 5 or phase_rad.shape != magnitude.shape:
            raise InputError(
                f"phase of shape {phase_rad.shape} and magnitude of shape {magnitude.shape}",
                where="CoilStack",
                mend="Give both as (echo, coil, i, j, k).",
            )
        self._phase, self._magnitude = phase_rad, magnitude

    def __len__(self) -> int:
        return int(self._phase.shape[1])

    def __getitem__(self, coil: Any) -> Any:
        """Return the echoes of one coil, (E, I, J, K) complex64."""
        phase = np.asarray(self._phase[:, coil], dtype=np.float32)
        out = np.empty(phase.shape, dtype=np.complex64)
        out.real, out.imag = np.cos(phase), np.sin(phase)
        out *= np.maximum(self._magnitude[:, coil], 0, dtype=np.float32, casting="unsafe")
        return out


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Combined:
    """One image per echo.

    Attributes
    ----------
    phase_rad, magnitude : (E, I, J, K) ndarray of float32
        Wrapped phase without the coils' offsets [rad]; magnitude in the unit of a coil, its
        noise that of one coil everywhere.
    bipolar_rad : (I, J, K) ndarray of float32, or None
        What even echoes had more than odd ones, already removed [rad].
    alternation_rad : float, or None
        Root mean square of its linear part; None when it was not looked for [rad].
    """

    phase_rad: Volume
    magnitude: Volume
    bipolar_rad: Volume | None
    alternation_rad: float | None


def combine_coils(
    coils: Sequence[Images],
    te_s: tuple[float, ...],
    grid: Grid,
    mask: npt.NDArray[np.bool_] | None = None,
    params: McpcParams | None = None,
) -> Combined:
    r"""Combine coils by the sensitivities that their first echoes show (MCPC-3D-S).

    .. math::
        u &= U(\arg \sum_c S_{2c} \bar S_{1c}), \quad
        \hat s_c = G * [S_{1c}\, e^{-i u t_1 / (t_2 - t_1)}] \\
        S_e &= \sum_c \bar{\hat s}_c S_{ec} \big/ \sqrt{\textstyle\sum_c |\hat s_c|^2}

    with U the unwrapping and G a Gaussian. The phase of :math:`\hat s_c` is the coil's
    offset, its size the weight that is best for noise alike in all coils. The
    magnitude keeps no noise floor from squared sums.

    Parameters
    ----------
    coils : sequence of (E, I, J, K) ndarray of complex64
        Two echoes or more of each coil; read twice, one at a time. An array (C, E, I, J, K)
        is one, `CoilStack` another.
    te_s : tuple of float
        [s]
    grid : Grid
    mask : (I, J, K) ndarray of bool, or None
        Where there is signal; None: where it is above a tenth of the bright signal.
    params : McpcParams, optional

    Returns
    -------
    Combined

    Raises
    ------
    UnfitError
        With one echo, or two of a scan that is stated to be bipolar.
    InputError, ParameterError
        If shapes or echo times do not fit, there is no coil, or a voxel is not finite.

    Notes
    -----
    Memory: the result, one coil, and about 12 volumes of float32. Correlated noise of the
    coils is not taken into account.

    References
    ----------
    .. [1] Eckstein et al. (2018), Magn. Reson. Med. 79, 2996-3006, doi:10.1002/mrm.26963.
    .. [2] Roemer et al. (1990), Magn. Reson. Med. 16, 192-225, doi:10.1002/mrm.1910160203.
    """
    params = params or McpcParams()
    if len(coils) == 0:
        raise InputError("no coil", where="coils", mend="Give one array for each coil.")
    te_s = tuple(te_s)
    require_echoes(len(te_s), params, "combine_coils")
    check_echo_times(te_s, len(te_s), "combine_coils.te_s")
    evolution, inside = _evolution(coils, te_s, grid, mask, params)
    turn = evolution.step_rad * np.float32(te_s[0] / evolution.step_s)
    blocks = blocks_for(grid, params.smooth_mm)
    out = np.zeros((len(te_s), *grid.shape), dtype=np.complex64)
    power = np.zeros(grid.shape, dtype=np.float32)
    for n in range(len(coils)):
        images = np.ascontiguousarray(coils[n], dtype=np.complex64)
        sums = block_sums(images[0], turn, inside, blocks)
        mean = sums.mean()
        sensitivity = blurred(sums, blocks.coarse, params.smooth_mm) + np.complex64(FAR * mean)
        parts = [
            blocks.expand(np.ascontiguousarray(part))
            for part in (sensitivity.real, sensitivity.imag)
        ]
        _add_coil(
            images.reshape(len(te_s), -1),
            *(p.ravel() for p in parts),
            out.reshape(len(te_s), -1),
            power.ravel(),
        )
    return _finished(out, power, evolution)


def _evolution(
    coils: Sequence[Images],
    te_s: tuple[float, ...],
    grid: Grid,
    mask: npt.NDArray[np.bool_] | None,
    params: McpcParams,
) -> tuple[Evolution, Volume]:
    """Return the evolution that all coils share, and 1 where it is known."""
    later = len(te_s) > 2 and params.bipolar != "no"
    products = np.zeros((2 if later else 1, *grid.shape), dtype=np.complex64)
    power = np.zeros(grid.shape, dtype=np.float32)
    for n in range(len(coils)):
        images = _checked(coils[n], n, len(te_s), grid)
        first = images[0].conj()
        for product, image in zip(products, images[1:], strict=False):
            product += image * first
        power += images[0].real ** 2 + images[0].imag ** 2
    if mask is None:
        mask = power > (SIGNAL**2) * np.percentile(power, 98)
    mask = checked_mask(mask, grid)
    angles = [angle(p) for p in products]
    sizes = [np.asarray(np.abs(p), dtype=np.float32) for p in products]
    evolution = evolve(
        angles[0],
        sizes[0],
        angles[1] if later else None,
        sizes[1] if later else None,
        te_s,
        mask,
        grid,
        params,
    )
    return evolution, mask.astype(np.float32)


def _checked(images: Images, n: int, n_echoes: int, grid: Grid) -> Images:
    if images.ndim != 4 or len(images) != n_echoes:
        raise InputError(
            f"coil {n} of shape {images.shape} is not ({n_echoes}, i, j, k)",
            where="coils",
            mend="Give every echo of every coil, echoes along the first axis.",
        )
    grid.require(images, f"coils[{n}]")
    require_finite(images, f"coils[{n}]")
    return images


def _finished(out: Images, power: Volume, evolution: Evolution) -> Combined:
    """Return phase and magnitude of the weighted sums over the root of the summed weights."""
    root = np.sqrt(power)
    root[root == 0] = 1
    phase = np.empty(out.shape, dtype=np.float32)
    magnitude = np.empty(out.shape, dtype=np.float32)
    for e, image in enumerate(out):
        image /= root
        if e % 2 and evolution.bipolar_rad is not None:
            image *= np.exp(-1j * evolution.bipolar_rad).astype(np.complex64)
        phase[e], magnitude[e] = angle(image), np.abs(image)
    return Combined(
        phase_rad=phase,
        magnitude=magnitude,
        bipolar_rad=evolution.bipolar_rad,
        alternation_rad=evolution.alternation_rad,
    )


@compiled
def _add_coil(images: Any, real: Any, imag: Any, out: Any, power: Any) -> None:
    """Add a coil times its conjugate sensitivity, and the sensitivity squared."""
    for v in range(power.size):
        power[v] += real[v] * real[v] + imag[v] * imag[v]
    for e in range(out.shape[0]):
        for v in range(power.size):
            out[e, v] += images[e, v] * np.complex64(complex(real[v], -imag[v]))
