"""The magnetic moment of a source from the local field around its void."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.core.compiled import compiled
from petechia.core.grid import Grid
from petechia.errors import InputError, ParameterError
from petechia.lesions.dipole import mean_and_slope, voxel_nodes

FEWEST_VOXELS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class MomentParams:
    """Settings of `fit_moments`.

    Attributes
    ----------
    reach_radii : float
        The field is read out to so many void radii from the centre.
    reach_margin_mm : float
        But at least so far beyond the void [mm].
    reach_max_mm : float
        And never farther than this [mm].
    neighbours : int
        At most so many neighbouring sources are fitted jointly.
    shift_sd_mm : float
        Prior standard deviation of the source's offset from the void's centre, besides a
        fifth of the void's radius and of the voxel [mm].
    model_error : float
        Share of the dipole's change across a voxel that the model may be wrong by: it
        makes the voxels nearest a strong source count less.
    huber : float
        Residuals beyond so many standard deviations are weighed down.
    relative_error : float
        Part of the moment added to its error, for what residuals cannot show (unwrapping,
        background removal, extent of the source).
    """

    reach_radii: float = 3.0
    reach_margin_mm: float = 3.0
    reach_max_mm: float = 14.0
    neighbours: int = 6
    shift_sd_mm: float = 0.2
    model_error: float = 0.1
    huber: float = 2.0
    relative_error: float = 0.03

    def __post_init__(self) -> None:
        positive = (
            self.reach_radii, self.reach_margin_mm, self.reach_max_mm, self.shift_sd_mm, self.huber,
        )  # fmt: skip
        if min(positive) <= 0 or min(self.model_error, self.relative_error, self.neighbours) < 0:
            raise ParameterError(
                f"{self}",
                where="MomentParams",
                mend="Reaches, shift_sd_mm and huber above 0; the others at least 0.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class MomentFit:
    """What the border of one void says.

    Attributes
    ----------
    moment_ppm_mm3, se_ppm_mm3 : float
        Magnetic moment, signed, and its standard error [ppm mm^3].
    place_vox : tuple of float
        Fitted centre of the source [voxel indices].
    n_border : int
        Voxels the field was read in.
    explained : float
        Share of the field's variance about the background that the dipole takes, 0 to 1.
    poles_ppm, equator_ppm : float
        Mean measured field, background taken off, within 30 degrees of the poles and of
        the equator; NaN where no voxel lies [ppm].
    """

    moment_ppm_mm3: float
    se_ppm_mm3: float
    place_vox: tuple[float, float, float]
    n_border: int
    explained: float
    poles_ppm: float
    equator_ppm: float

    @property
    def significance(self) -> float:
        """The moment over its error, signed."""
        return self.moment_ppm_mm3 / self.se_ppm_mm3


def fit_moments(
    local_field_ppm: npt.NDArray[np.floating],
    field_noise_ppm: npt.NDArray[np.floating] | None,
    usable: npt.NDArray[np.bool_],
    places_vox: npt.NDArray[np.floating],
    radii_mm: npt.NDArray[np.floating],
    grid: Grid,
    params: MomentParams | None = None,
    wanted: npt.NDArray[np.int_] | None = None,
) -> list[MomentFit | None]:
    r"""Fit each source as a magnetised sphere seen from outside.

    .. math:: \Delta B(x) = \frac{m}{4\pi} \left\langle \frac{3\cos^2\theta - 1}{r^3}
        \right\rangle_{voxel} + \sum_n m_n d_n(x) + b_0 + b \cdot x

    Weighted least squares over the usable voxels around the void: the field is averaged
    over each voxel, the centre is refined below the voxel under a prior, neighbouring
    sources are fitted jointly with their centres held, the background is linear, outliers
    are weighed down (Huber). The standard error takes the spread and the lag-one
    correlation of the residuals, propagated through the actual estimator.

    Parameters
    ----------
    local_field_ppm : (I, J, K) ndarray of float
        Field after background removal [ppm].
    field_noise_ppm : (I, J, K) ndarray of float, or None
        Its standard deviation; None weighs all voxels alike [ppm].
    usable : (I, J, K) ndarray of bool
        Where the field can be believed: inside its mask, outside every void.
    places_vox : (N, 3) ndarray of float
        Centres of the voids [voxel indices].
    radii_mm : (N,) ndarray of float
        Their radii [mm].
    grid : Grid
        Geometry; its affine gives the direction of the main field.
    params : MomentParams
        Settings.
    wanted : (M,) ndarray of int, optional
        Only these sources are fitted; the others still count as neighbours.

    Returns
    -------
    list of MomentFit or None
        In step with `places_vox`; None where fewer than 20 usable voxels lie around, or
        the source was not wanted.

    Notes
    -----
    A spherical-mean filter (SHARP, V-SHARP) takes away the part of a field that is
    harmonic in its whole sphere and gives it back when the sphere is deconvolved: the
    field of a local dipole comes through, except within about the smallest radius of the
    mask's edge, where the moment is biased towards zero. The moment is that of the source
    above its surroundings.

    References
    ----------
    .. [1] Cheng et al. (2015), Magn. Reson. Imaging 33, 829-839,
       doi:10.1016/j.mri.2014.11.003.
    .. [2] Liu et al. (2012), Radiology 262, 269-278, doi:10.1148/radiol.11110251.
    """
    p = params or MomentParams()
    grid.require(local_field_ppm, "local_field_ppm")
    grid.require(usable, "usable")
    places = np.asarray(places_vox, dtype=np.float64).reshape(-1, 3)
    radii = np.asarray(radii_mm, dtype=np.float64).ravel()
    if len(places) != len(radii):
        raise InputError(
            f"{len(places)} places and {len(radii)} radii",
            where="fit_moments",
            mend="Give one radius for each place.",
        )
    field = np.ascontiguousarray(local_field_ppm, dtype=np.float32)
    noise = _noise_floor(field_noise_ppm, field, usable, grid)
    spacing = grid.spacing_mm
    nodes, weights = voxel_nodes(spacing)
    out: list[MomentFit | None] = [None] * len(places)
    chosen = range(len(places)) if wanted is None else [int(n) for n in wanted]
    for n in chosen:
        reach = max(p.reach_radii * radii[n], radii[n] + p.reach_margin_mm)
        # the nearest ring of voxels must be in reach on coarse grids, too
        reach = max(min(reach, p.reach_max_mm), 2.0 * float(spacing.max()))
        others = _neighbours(n, places * spacing, radii, reach, p.neighbours)
        prior = np.hypot(p.shift_sd_mm, 0.2 * np.maximum(radii[n], spacing))
        answer = _fit_one(
            field, noise, usable, places[n], others, reach, spacing, grid.b0_dir,
            nodes, weights, prior, p.huber, p.model_error,
        )  # fmt: skip
        out[n] = _as_fit(answer, places[n], spacing, p.relative_error)
    return out


def _as_fit(
    answer: npt.NDArray[np.float64],
    place_vox: npt.NDArray[np.float64],
    spacing_mm: npt.NDArray[np.float64],
    relative_error: float,
) -> MomentFit | None:
    moment, variance, *shift, count, explained, poles, equator = answer.tolist()
    if count < FEWEST_VOXELS or not np.isfinite(moment) or not variance > 0:
        return None
    i, j, k = (place_vox + np.asarray(shift) / spacing_mm).tolist()
    return MomentFit(
        moment_ppm_mm3=moment,
        se_ppm_mm3=float(np.hypot(np.sqrt(variance), relative_error * abs(moment))),
        place_vox=(i, j, k),
        n_border=int(count),
        explained=explained,
        poles_ppm=poles,
        equator_ppm=equator,
    )


def _noise_floor(
    noise_ppm: npt.NDArray[np.floating] | None,
    field: npt.NDArray[np.float32],
    usable: npt.NDArray[np.bool_],
    grid: Grid,
) -> npt.NDArray[np.float32]:
    """Return a positive noise map: the given one, no smaller than a quarter of its median."""
    if noise_ppm is not None:
        grid.require(noise_ppm, "field_noise_ppm")
        good = usable & (noise_ppm > 0)
        if good.any():
            floor = 0.25 * float(np.median(noise_ppm[good]))
            return np.asarray(np.maximum(noise_ppm, floor), dtype=np.float32)
    spread = float(np.std(field[usable])) if usable.any() else 0.0
    return np.full(grid.shape, max(spread, 1e-6), dtype=np.float32)


def _neighbours(
    n: int,
    places_mm: npt.NDArray[np.float64],
    radii_mm: npt.NDArray[np.float64],
    reach_mm: float,
    most: int,
) -> npt.NDArray[np.float64]:
    """Return offsets (M, 3) [mm] of the sources that disturb source `n` most."""
    offset = places_mm - places_mm[n]
    away = np.linalg.norm(offset, axis=1)
    near = np.flatnonzero((away < reach_mm + 2 * radii_mm) & (np.arange(len(away)) != n))
    strength = (radii_mm[near] / np.maximum(away[near], 1e-3)) ** 3
    keep = near[np.argsort(-strength, kind="stable")[:most]]
    return np.ascontiguousarray(offset[keep])


@compiled
def _gather(field, noise, usable, centre, reach, spacing):  # type: ignore[no-untyped-def]
    """Return offsets [mm], field, noise and box index of usable voxels within reach."""
    low = np.zeros(3, dtype=np.int64)
    size = np.zeros(3, dtype=np.int64)
    for a in range(3):
        first = int(np.ceil(centre[a] - reach / spacing[a]))
        last = int(np.floor(centre[a] + reach / spacing[a]))
        low[a] = max(first, 0)
        size[a] = max(min(last, field.shape[a] - 1) - low[a] + 1, 0)
    most = size[0] * size[1] * size[2]
    offset = np.zeros((most, 3))
    value = np.zeros(most)
    sigma = np.zeros(most)
    index = np.zeros((most, 3), dtype=np.int64)
    n = 0
    for i in range(size[0]):
        for j in range(size[1]):
            for k in range(size[2]):
                x = (low[0] + i - centre[0]) * spacing[0]
                y = (low[1] + j - centre[1]) * spacing[1]
                z = (low[2] + k - centre[2]) * spacing[2]
                if x * x + y * y + z * z > reach * reach:
                    continue
                if not usable[low[0] + i, low[1] + j, low[2] + k]:
                    continue
                offset[n, 0], offset[n, 1], offset[n, 2] = x, y, z
                value[n] = field[low[0] + i, low[1] + j, low[2] + k]
                sigma[n] = noise[low[0] + i, low[1] + j, low[2] + k]
                index[n, 0], index[n, 1], index[n, 2] = i, j, k
                n += 1
    return offset[:n], value[:n], sigma[:n], index[:n], size


@compiled
def _solve(design, value, weight, prior, target):  # type: ignore[no-untyped-def]
    """Return the ridge solution and the inverse of its normal matrix."""
    m = design.shape[1]
    normal = np.zeros((m, m))
    right = np.zeros(m)
    for n in range(len(value)):
        for a in range(m):
            wa = weight[n] * design[n, a]
            right[a] += wa * value[n]
            for b in range(a, m):
                normal[a, b] += wa * design[n, b]
    for a in range(m):
        normal[a, a] += prior[a]
        right[a] += prior[a] * target[a]
        for b in range(a):
            normal[a, b] = normal[b, a]
    for a in range(m):
        normal[a, a] += 1e-9 * normal[a, a] + 1e-12
    inverse = np.linalg.inv(normal)
    return inverse @ right, inverse


@compiled
def _mad_scale(scaled):  # type: ignore[no-untyped-def]
    return max(1.4826 * np.median(np.abs(scaled)), 1e-6)


@compiled
def _correlation(residual, index, size):  # type: ignore[no-untyped-def]
    """Return the lag-one correlation of scaled residuals along each axis, 0 to 0.9."""
    box = np.full((size[0], size[1], size[2]), np.nan)
    for n in range(len(residual)):
        box[index[n, 0], index[n, 1], index[n, 2]] = residual[n]
    rho = np.zeros(3)
    for a in range(3):
        top, power, pairs = 0.0, 0.0, 0
        for n in range(len(residual)):
            i, j, k = index[n, 0], index[n, 1], index[n, 2]
            i2, j2, k2 = i + (a == 0), j + (a == 1), k + (a == 2)
            if i2 >= size[0] or j2 >= size[1] or k2 >= size[2]:
                continue
            other = box[i2, j2, k2]
            if np.isnan(other):
                continue
            top += residual[n] * other
            power += 0.5 * (residual[n] ** 2 + other**2)
            pairs += 1
        if pairs > 10 and power > 0:
            rho[a] = min(max(top / power, 0.0), 0.9)
    return rho


@compiled
def _variance(gain, index, size, rho):  # type: ignore[no-untyped-def]
    """Return sum over pairs of gain_i gain_j rho^lag, lags up to four voxels."""
    box = np.zeros((size[0], size[1], size[2]))
    for n in range(len(gain)):
        box[index[n, 0], index[n, 1], index[n, 2]] = gain[n]
    # separable: smooth the gains by rho^|lag| along each axis, then take the product
    for a in range(3):
        if rho[a] <= 0:
            continue
        out = np.zeros_like(box)
        for i in range(size[0]):
            for j in range(size[1]):
                for k in range(size[2]):
                    total = 0.0
                    for lag in range(-4, 5):
                        i2, j2, k2 = i + lag * (a == 0), j + lag * (a == 1), k + lag * (a == 2)
                        if i2 < 0 or j2 < 0 or k2 < 0:
                            continue
                        if i2 >= size[0] or j2 >= size[1] or k2 >= size[2]:
                            continue
                        total += rho[a] ** abs(lag) * box[i2, j2, k2]
                    out[i, j, k] = total
        box = out
    total = 0.0
    for n in range(len(gain)):
        total += gain[n] * box[index[n, 0], index[n, 1], index[n, 2]]
    return max(total, 0.0)


@compiled
def _poles_and_equator(cleaned, offset, shift, b):  # type: ignore[no-untyped-def]
    poles, equator, n_poles, n_equator = 0.0, 0.0, 0, 0
    for n in range(len(cleaned)):
        x, y, z = offset[n, 0] - shift[0], offset[n, 1] - shift[1], offset[n, 2] - shift[2]
        cosine = abs(b[0] * x + b[1] * y + b[2] * z) / max(np.sqrt(x * x + y * y + z * z), 1e-6)
        if cosine > 0.866:
            poles += cleaned[n]
            n_poles += 1
        elif cosine < 0.5:
            equator += cleaned[n]
            n_equator += 1
    return (
        poles / n_poles if n_poles else np.nan,
        equator / n_equator if n_equator else np.nan,
    )


@compiled
def _fit_one(  # type: ignore[no-untyped-def]
    field, noise, usable, centre, others, reach, spacing, b, nodes, weights,
    prior_sd, huber, model_error,
):  # fmt: skip
    """Return moment, variance, shift (3), count, explained, poles, equator.

    Unknowns: moment, neighbours' moments, constant and slopes, shift of the source; the
    shift enters through the slopes of the dipole (Gauss-Newton).
    """
    answer = np.zeros(9)
    offset, value, sigma, index, size = _gather(field, noise, usable, centre, reach, spacing)
    count = len(value)
    answer[5] = count
    k = len(others)
    m = 1 + k + 4 + 3
    if count < 20 or count < m + 5:
        answer[5] = 0
        return answer
    design = np.zeros((count, m))
    for n in range(count):
        for q in range(k):
            design[n, 1 + q] = mean_and_slope(
                offset[n, 0] - others[q, 0], offset[n, 1] - others[q, 1],
                offset[n, 2] - others[q, 2], b, nodes, weights,
            )[0]  # fmt: skip
        design[n, 1 + k] = 1.0
        for a in range(3):
            design[n, 2 + k + a] = offset[n, a] / reach
    shift = np.zeros(3)
    moment, scale = 0.0, 1.0
    residual = np.zeros(count)
    total_sd = sigma.copy()
    prior, target = np.zeros(m), np.zeros(m)
    weight = 1.0 / sigma**2
    solution, inverse = np.zeros(m), np.zeros((m, m))
    slopes = np.zeros(count)
    for step in range(10):
        for n in range(count):
            mean, sx, sy, sz = mean_and_slope(
                offset[n, 0] - shift[0], offset[n, 1] - shift[1], offset[n, 2] - shift[2],
                b, nodes, weights,
            )  # fmt: skip
            design[n, 0] = mean
            slopes[n] = np.sqrt((sx * spacing[0]) ** 2 + (sy * spacing[1]) ** 2
                                + (sz * spacing[2]) ** 2)  # fmt: skip
            design[n, m - 3] = -moment * sx
            design[n, m - 2] = -moment * sy
            design[n, m - 1] = -moment * sz
        if step:
            for n in range(count):
                total_sd[n] = np.sqrt(sigma[n] ** 2 + (model_error * moment * slopes[n]) ** 2)
                r = abs(residual[n]) / total_sd[n] / scale
                weight[n] = (1.0 if r <= huber else huber / r) / total_sd[n] ** 2
        for a in range(3):
            # before the first solution the shift cannot be told: hold it
            prior[m - 3 + a] = 1e12 if step == 0 else 1 / (prior_sd[a] * scale) ** 2
            target[m - 3 + a] = -shift[a]
        solution, inverse = _solve(design, value, weight, prior, target)
        moment = solution[0]
        residual = value - design @ solution
        scale = max(_mad_scale(residual / total_sd), 0.3)
        moved = 0.0
        for a in range(3):
            new = shift[a] + solution[m - 3 + a]
            new = min(max(new, -2.5 * prior_sd[a]), 2.5 * prior_sd[a])
            moved = max(moved, abs(new - shift[a]))
            shift[a] = new
        if step > 3 and moved < 1e-3:
            break
    gain = (design @ np.ascontiguousarray(inverse[0])) * weight * total_sd * scale
    rho = _correlation(residual / total_sd, index, size)
    answer[0] = moment
    answer[1] = _variance(gain, index, size, rho) + 1e-12
    answer[2:5] = shift
    rest = np.ascontiguousarray(design[:, 1 : 5 + k])
    cleaned = value - rest @ np.ascontiguousarray(solution[1 : 5 + k])
    # what the dipole explains: against a background fitted without it
    plain, _ = _solve(rest, value, weight, prior[1 : 5 + k], target[1 : 5 + k])
    left = value - rest @ plain
    without, with_it = 0.0, 0.0
    for n in range(count):
        without += weight[n] * left[n] ** 2
        with_it += weight[n] * residual[n] ** 2
    answer[6] = min(max(1 - with_it / max(without, 1e-30), 0.0), 1.0)
    answer[7], answer[8] = _poles_and_equator(cleaned, offset, shift, b)
    return answer
