"""Total generalised variation by the alternating direction method, for any set of data.

Edges are kept as by total variation, and slopes between them: a gradient w of the map that
is smooth itself costs nothing, so that flat steps ("staircases") do not replace a slope.
"""

import logging
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from petechia.core.compiled import compiled
from petechia.core.fourier import irfft3, rfft3
from petechia.core.grid import Grid
from petechia.core.morphology import Mask
from petechia.qsm.inversion.admm import AdmmParams, Part, Problem, Volume, gather, limits_of
from petechia.qsm.inversion.gradients import laplacian_spectrum

log = logging.getLogger(__name__)
SECOND = 2.0
"""Weight of the second-order term over that of the first, in units of the voxel size."""


def solve_generalised(
    problem: Problem, params: AdmmParams, parts: Sequence[Part], smooth: Mask | None = None
) -> Volume:
    r"""Return the minimiser, on the problem's grid and in its units.

    .. math:: \min_{\chi, w} \mathrm{data}(\chi) + \lambda \| \nabla\chi - w \|_1
        + 2 h \lambda \| \mathcal{E} w \|_1

    with h the voxel size and E the symmetrised gradient. Map and slope are found together for
    each frequency: the 4 x 4 system has a solution in closed form.

    Parameters
    ----------
    problem : Problem
    params : AdmmParams
    parts : sequence of Part
        Data, no voxel in two.
    smooth : (I, J, K) ndarray of bool, or None
        Where variation is penalised; None: everywhere.
    """
    grid = problem.grid
    voxel_mm = grid.voxel_mm3 ** (1 / 3)
    nu = np.float32(params.field_penalty)
    mu = np.float32(params.strength * problem.noise * params.gradient_penalty * voxel_mm**2)
    mu_slope = np.float32(mu * SECOND * voxel_mm**2)
    limits, row = limits_of(problem, params, smooth)
    slope_limits = (limits / voxel_mm).astype(np.float32)
    per_mm = tuple(np.float32(1 / d) for d in grid.spacing_mm)
    lap = laplacian_spectrum(grid)
    ends = _differences(grid)
    normal = np.zeros_like(lap)
    for part in parts:
        normal += nu * part.kernel * part.kernel
    # what is left for the map once the slope has taken its share
    normal += mu * mu_slope * lap * lap / (mu + mu_slope * lap)
    normal[0, 0, 0] = np.inf  # the mean makes no field: left at 0
    inverse = np.asarray(1 / normal, dtype=np.float32)
    del normal

    chi = np.zeros(grid.shape, dtype=np.float32)
    slope = np.zeros((3, *grid.shape), dtype=np.float32)
    data = np.zeros(grid.shape, dtype=np.float32)
    split = np.zeros((3, *grid.shape), dtype=np.float32)
    reflection = np.full(grid.shape, -1, dtype=np.float32)
    bend = np.zeros((6, *grid.shape), dtype=np.float32)
    bend_reflection = np.full(grid.shape, -1, dtype=np.float32)
    for_slope = np.zeros((3, *grid.shape), dtype=np.float32)
    volume = np.zeros(grid.shape, dtype=np.float32)
    from_field = _asked(problem, parts, None, data, nu)
    change, size, n = np.inf, 1.0, 0
    while True:
        n += 1
        asked = rfft3(volume)
        spectra = np.asarray(rfft3(for_slope), dtype=np.complex64)
        _solve(asked, from_field, spectra, inverse, lap, *ends, mu, mu_slope, nu)
        slope = np.asarray(irfft3(spectra, grid.shape), dtype=np.float32)
        del spectra, from_field
        before, chi = chi, np.asarray(irfft3(asked.copy(), grid.shape), dtype=np.float32)
        change, size = _shrink_step(chi, before, slope, split, reflection, limits, row, *per_mm)
        if n == params.iterations or change <= params.tolerance**2 * size:
            break
        _shrink_bend(slope, bend, bend_reflection, slope_limits, row, *per_mm)
        _adjoints(
            split, reflection, bend, bend_reflection, volume, for_slope, mu, mu_slope, *per_mm
        )
        from_field = _asked(problem, parts, asked, data, nu)
    ended = float(np.sqrt(change / max(size, 1e-30)))
    log.info("generalised variation: %d iterations, last change %.2g", n, ended)
    return chi


def _asked(
    problem: Problem,
    parts: Sequence[Part],
    spectrum: npt.NDArray[np.complexfloating] | None,
    data: Volume,
    nu: np.float32,
) -> npt.NDArray[np.complex64]:
    """Step the splitting of every part; return what they ask of the map's spectrum."""
    shape = problem.grid.shape
    total = np.zeros(parts[0].kernel.shape, dtype=np.complex64)
    for part in parts:
        volume = np.zeros(shape, dtype=np.float32)
        if spectrum is not None:
            volume = np.asarray(irfft3(spectrum * part.kernel, shape), dtype=np.float32)
        part.step(problem, volume, data, volume, nu)
        gather(total, rfft3(volume), part.kernel)
    return total


def _differences(grid: Grid) -> list[npt.NDArray[np.complex64]]:
    """Return the spectra of the periodic forward differences along each axis, 1-D [1/mm]."""
    out = []
    for axis, (n, d) in enumerate(zip(grid.shape, grid.spacing_mm, strict=True)):
        k = np.arange(n if axis < 2 else n // 2 + 1)
        out.append(((np.exp(2j * np.pi * k / n) - 1) / d).astype(np.complex64))
    return out


@compiled(fastmath=True)
def _solve(asked, from_field, slope, inverse, lap, g0, g1, g2, mu, mu_slope, nu):  # type: ignore[no-untyped-def]
    """Overwrite what gradient and slope ask with the spectra of the new map and slope.

    The block of the slope is a + b g g^H, inverted by Sherman and Morrison.
    """
    n0, n1, n2 = inverse.shape
    half = np.float32(0.5)
    b = half * mu_slope
    for i in range(n0):
        x = g0[i]
        for j in range(n1):
            y = g1[j]
            for k in range(n2):
                z = g2[k]
                length = lap[i, j, k]
                a = mu + half * mu_slope * length
                all_of_it = mu + mu_slope * length
                s0, s1, s2 = slope[0, i, j, k], slope[1, i, j, k], slope[2, i, j, k]
                along = x.conjugate() * s0 + y.conjugate() * s1 + z.conjugate() * s2
                c = mu * asked[i, j, k] + nu * from_field[i, j, k] + mu * along / all_of_it
                c = inverse[i, j, k] * c
                asked[i, j, k] = c
                # g^H (s + mu g c), then the inverse of the block
                along = (along + mu * length * c) * (b / all_of_it)
                slope[0, i, j, k] = (s0 + x * (mu * c - along)) / a
                slope[1, i, j, k] = (s1 + y * (mu * c - along)) / a
                slope[2, i, j, k] = (s2 + z * (mu * c - along)) / a


@compiled(fastmath=True)
def _shrink_step(  # type: ignore[no-untyped-def]
    chi, previous, slope, split, reflection, limits, row, per0, per1, per2
):
    """Step the splitting of gradient less slope, as `shrink_gradient` does."""
    n0, n1, n2 = chi.shape
    one, two, half = np.float32(1), np.float32(2), np.float32(0.5)
    least = np.float32(1e-20)
    change, size = np.float64(0), np.float64(0)
    for i in range(n0):
        i_up = i + 1 if i + 1 < n0 else 0
        for j in range(n1):
            j_up = j + 1 if j + 1 < n1 else 0
            row_change, row_size = np.float32(0), np.float32(0)
            for k in range(n2):
                k_up = k + 1 if k + 1 < n2 else 0
                c = chi[i, j, k]
                step = c - previous[i, j, k]
                row_change += step * step
                row_size += c * c
                kept = half * (one - reflection[i, j, k])
                v0 = (chi[i_up, j, k] - c) * per0 - slope[0, i, j, k] + kept * split[0, i, j, k]
                v1 = (chi[i, j_up, k] - c) * per1 - slope[1, i, j, k] + kept * split[1, i, j, k]
                v2 = (chi[i, j, k_up] - c) * per2 - slope[2, i, j, k] + kept * split[2, i, j, k]
                split[0, i, j, k], split[1, i, j, k], split[2, i, j, k] = v0, v1, v2
                length = np.sqrt(v0 * v0 + v1 * v1 + v2 * v2)
                limit = limits[row[i, j, k]]
                reflection[i, j, k] = one - two * limit / max(max(length, limit), least)
            change += row_change
            size += row_size
    return change, size


@compiled(fastmath=True)
def _shrink_bend(w, bend, reflection, limits, row, per0, per1, per2):  # type: ignore[no-untyped-def]
    """Step the splitting of the symmetrised gradient of w: xx, yy, zz, xy, xz, yz."""
    n0, n1, n2 = reflection.shape
    one, two, half = np.float32(1), np.float32(2), np.float32(0.5)
    least = np.float32(1e-20)
    for i in range(n0):
        i_up = i + 1 if i + 1 < n0 else 0
        for j in range(n1):
            j_up = j + 1 if j + 1 < n1 else 0
            for k in range(n2):
                k_up = k + 1 if k + 1 < n2 else 0
                kept = half * (one - reflection[i, j, k])
                x, y, z = w[0, i, j, k], w[1, i, j, k], w[2, i, j, k]
                xx = (w[0, i_up, j, k] - x) * per0 + kept * bend[0, i, j, k]
                yy = (w[1, i, j_up, k] - y) * per1 + kept * bend[1, i, j, k]
                zz = (w[2, i, j, k_up] - z) * per2 + kept * bend[2, i, j, k]
                xy = (w[0, i, j_up, k] - x) * per1 + (w[1, i_up, j, k] - y) * per0
                xz = (w[0, i, j, k_up] - x) * per2 + (w[2, i_up, j, k] - z) * per0
                yz = (w[1, i, j, k_up] - y) * per2 + (w[2, i, j_up, k] - z) * per1
                xy = half * xy + kept * bend[3, i, j, k]
                xz = half * xz + kept * bend[4, i, j, k]
                yz = half * yz + kept * bend[5, i, j, k]
                bend[0, i, j, k], bend[1, i, j, k], bend[2, i, j, k] = xx, yy, zz
                bend[3, i, j, k], bend[4, i, j, k], bend[5, i, j, k] = xy, xz, yz
                squares = xx * xx + yy * yy + zz * zz + two * (xy * xy + xz * xz + yz * yz)
                limit = limits[row[i, j, k]]
                reflection[i, j, k] = one - two * limit / max(max(np.sqrt(squares), limit), least)


@compiled(fastmath=True)
def _adjoints(  # type: ignore[no-untyped-def]
    split, reflection, bend, bend_reflection, out, slope, mu, mu_slope, per0, per1, per2
):
    """Write what the reflected splittings ask of the map, and of the slope."""
    n0, n1, n2 = reflection.shape
    for i in range(n0):
        for j in range(n1):
            for k in range(n2):
                r, q = reflection[i, j, k], bend_reflection[i, j, k]
                r0, r1, r2 = (
                    reflection[i - 1, j, k],
                    reflection[i, j - 1, k],
                    reflection[i, j, k - 1],
                )
                q0 = bend_reflection[i - 1, j, k]
                q1 = bend_reflection[i, j - 1, k]
                q2 = bend_reflection[i, j, k - 1]
                x, y, z = r * split[0, i, j, k], r * split[1, i, j, k], r * split[2, i, j, k]
                out[i, j, k] = (
                    per0 * (r0 * split[0, i - 1, j, k] - x)
                    + per1 * (r1 * split[1, i, j - 1, k] - y)
                    + per2 * (r2 * split[2, i, j, k - 1] - z)
                )
                xy, xz, yz = q * bend[3, i, j, k], q * bend[4, i, j, k], q * bend[5, i, j, k]
                slope[0, i, j, k] = -mu * x + mu_slope * (
                    per0 * (q0 * bend[0, i - 1, j, k] - q * bend[0, i, j, k])
                    + per1 * (q1 * bend[3, i, j - 1, k] - xy)
                    + per2 * (q2 * bend[4, i, j, k - 1] - xz)
                )
                slope[1, i, j, k] = -mu * y + mu_slope * (
                    per0 * (q0 * bend[3, i - 1, j, k] - xy)
                    + per1 * (q1 * bend[1, i, j - 1, k] - q * bend[1, i, j, k])
                    + per2 * (q2 * bend[5, i, j, k - 1] - yz)
                )
                slope[2, i, j, k] = -mu * z + mu_slope * (
                    per0 * (q0 * bend[4, i - 1, j, k] - xz)
                    + per1 * (q1 * bend[5, i, j - 1, k] - yz)
                    + per2 * (q2 * bend[2, i, j, k - 1] - q * bend[2, i, j, k])
                )
