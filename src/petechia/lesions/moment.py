"""The magnetic moment of a source from the field around its void."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from petechia.core.grid import Grid
from petechia.core.robust import ENOUGH, robust_sd
from petechia.core.together import together
from petechia.errors import InputError, ParameterError
from petechia.lesions.around import Around, box_within
from petechia.lesions.border import (
    Border,
    correlation,
    gather,
    harmonics,
    poles_and_equator,
    variance,
)
from petechia.lesions.dipole import means_and_slopes

Floats = npt.NDArray[np.float64]
FEWEST_VOXELS = 20
ROUNDS = 10


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
    background_degree : int
        The background is a sum of solid harmonics up to this degree, 1 or 2: within reach it
        is made by what lies beyond, and so obeys Laplace's equation.
    shift_sd_mm : float
        Prior standard deviation of the source's offset from the void's centre, besides a
        fifth of the void's radius and of the voxel [mm].
    model_error : float
        Share of the dipole's change across a voxel that the model may be wrong by: it
        makes the voxels nearest a strong source count less.
    share_sd : float
        Prior standard deviation of a point's share of a source of several, as a part of it.
    anatomy : float
        Noise that the fields of tissue and veins add, in robust standard deviations of the
        whole local field: without it, far voxels of low noise drown those near the source.
    map_share : float
        With a susceptibility map, this share of the field that the map gives to all but the
        source itself is taken off: veins and tissue around are no noise then. Less than all,
        since the map errs, too; set on simulated scans.
    map_edge_mm : float
        Towards the edge of the map, where it is worth less, that share fades; at this distance
        it is down to 0.63 [mm].
    own_margin_mm : float
        What the map shows within the void and so far around is the source itself [mm].
    error_scale : float
        Factor on the error from the residuals, for structure whose correlation reaches
        beyond its neighbours; set on simulated scans.
    huber : float
        Residuals beyond so many standard deviations are weighed down.
    relative_error : float
        Part of the moment added to its error, for what residuals cannot show (unwrapping,
        background removal, extent of the source).
    anatomy_ppm_mm3 : float
        Part of the error that does not depend on the moment: tissue of another susceptibility
        where the source lies looks like a part of it [ppm mm^3].
    tail_error : float
        Part of the moment added to its error when all of the dark region lies beyond the
        void's body: a plate or a chain is no point, and the body is not all of it. The
        sign's significance does not count it.
    edge_error, edge_mm : float
        The same at the edge of the filtered field, and the distance over which it fades to
        a third: a spherical-mean filter takes part of the dipole there. Towards zero only,
        so the sign's significance does not count it.
    """

    reach_radii: float = 3.0
    reach_margin_mm: float = 4.0
    reach_max_mm: float = 14.0
    neighbours: int = 6
    background_degree: int = 2
    shift_sd_mm: float = 0.2
    model_error: float = 0.07
    share_sd: float = 0.5
    anatomy: float = 0.5
    map_share: float = 0.6
    map_edge_mm: float = 10.0
    own_margin_mm: float = 1.0
    error_scale: float = 2.2
    huber: float = 2.0
    relative_error: float = 0.12
    anatomy_ppm_mm3: float = 0.2
    tail_error: float = 0.8
    edge_error: float = 0.3
    edge_mm: float = 5.0

    def __post_init__(self) -> None:
        positive = (
            self.reach_radii, self.reach_margin_mm, self.reach_max_mm, self.shift_sd_mm, self.huber,
            self.edge_mm, self.map_edge_mm,
        )  # fmt: skip
        if (
            min(positive) <= 0
            or min(
                self.model_error,
                self.relative_error,
                self.neighbours,
                self.share_sd,
                self.anatomy,
                self.error_scale,
                self.own_margin_mm,
                self.anatomy_ppm_mm3,
                self.tail_error,
                self.edge_error,
            )
            < 0
            or not 0 <= self.map_share <= 1
            or self.background_degree not in (1, 2)
        ):
            raise ParameterError(
                f"{self}",
                where="MomentParams",
                mend="Reaches, shift_sd_mm, huber above 0; others at least 0; map_share to 1; "
                "background_degree 1 or 2.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class MomentFit:
    """What the border of one void says.

    Attributes
    ----------
    moment_ppm_mm3, se_ppm_mm3 : float
        Magnetic moment, signed, and its standard error [ppm mm^3].
    form_ppm_mm3 : float
        Part of that error that stands for the form of the source, unwrapping and filters
        [ppm mm^3].
    significance : float
        The moment, signed, over its error without what edge and tails add and with half of
        what tissue adds: whether its sign can be told.
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
    significance: float
    place_vox: tuple[float, float, float]
    n_border: int
    explained: float
    poles_ppm: float
    equator_ppm: float
    form_ppm_mm3: float = 0.0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Parts:
    """Points that a source's moment is spread over.

    Attributes
    ----------
    offset_vox : (P, 3) ndarray of float
        From its place [voxels].
    share : (P,) ndarray of float
        Of its moment; they sum to 1.
    """

    offset_vox: Floats
    share: Floats

    def reach_mm(self, radius_mm: float, spacing_mm: Floats) -> float:
        """Return how far balls at the points, of `radius_mm` all together, reach [mm]."""
        away = np.linalg.norm(self.offset_vox * spacing_mm, axis=1)
        return float((away + radius_mm * np.cbrt(self.share)).max())


POINT = Parts(offset_vox=np.zeros((1, 3)), share=np.ones(1))


def fit_moments(
    field_ppm: npt.NDArray[np.floating],
    field_noise_ppm: npt.NDArray[np.floating] | None,
    usable: npt.NDArray[np.bool_],
    places_vox: npt.NDArray[np.floating],
    radii_mm: npt.NDArray[np.floating],
    grid: Grid,
    params: MomentParams | None = None,
    wanted: npt.NDArray[np.int_] | None = None,
    edge_mm: npt.NDArray[np.floating] | None = None,
    chi_ppm: npt.NDArray[np.floating] | None = None,
    field_mask: npt.NDArray[np.bool_] | None = None,
    tails: npt.NDArray[np.floating] | None = None,
    spread_ppm: float | None = None,
    parts: Parts | None = None,
    around: Around | None = None,
    floor_ppm: float | None = None,
) -> list[MomentFit | None]:
    r"""Fit each source as a magnetised sphere seen from outside.

    .. math:: \Delta B(x) = \frac{m}{4\pi} \left\langle \frac{3\cos^2\theta - 1}{r^3}
        \right\rangle_{voxel} + \sum_n m_n d_n(x) + \sum_{l \le 2} b_{lm} R_{lm}(x)

    Weighted least squares over the usable voxels around the void: the field is averaged
    over each voxel, the centre is refined below the voxel under a prior, neighbouring
    sources are fitted jointly with their centres held, a source in pieces is a sum of points
    whose shares give way under a prior, the background is harmonic (solid harmonics
    :math:`R_{lm}`), outliers are weighed down (Huber). The standard error takes the
    spread and the lag-one correlation of the residuals, propagated through the actual estimator.

    Parameters
    ----------
    field_ppm : (I, J, K) ndarray of float
        Field before or after background removal [ppm].
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
    edge_mm : (N,) ndarray of float, optional
        Distance of each source to the edge of the filtered field [mm]; None: far away.
    chi_ppm : (I, J, K) ndarray of float, optional
        Susceptibility, of any reference: the field of what surrounds a source is taken off
        by it [ppm].
    field_mask : (I, J, K) ndarray of bool, optional
        Where `chi_ppm` counts; everywhere when None.
    tails : (N,) ndarray of float, optional
        Share of each dark region that lies beyond the void's body, 0 to 1; None: nothing.
    spread_ppm : float, optional
        Robust standard deviation of the field of tissue and veins; that of `field_ppm` when
        None, which is too much before background removal [ppm].
    parts : Parts, optional
        Points that the first source is spread over; all others are one point each.
    around : Around, optional
        Made of `chi_ppm` and `field_mask` beforehand, when they are asked more than once.
    floor_ppm : float, optional
        `noise_floor` of the same noise and voxels, made beforehand [ppm].

    Returns
    -------
    list of MomentFit or None
        In step with `places_vox`; None where fewer than 20 usable voxels lie around, or
        the source was not wanted.

    Notes
    -----
    A spherical-mean filter (SHARP, V-SHARP) takes part of a dipole that lies near the mask's
    edge: within 8 mm of it large moments came out 41 % too low from the filtered field, and
    10 % too low from the field before the filter, whose smooth part the harmonics take. So
    the field before background removal is the better one to give. The moment is that of the source
    above its surroundings.

    References
    ----------
    .. [1] Cheng et al. (2015), Magn. Reson. Imaging 33, 829-839,
       doi:10.1016/j.mri.2014.11.003.
    .. [2] Liu et al. (2012), Radiology 262, 269-278, doi:10.1148/radiol.11110251.
    """
    p = params or MomentParams()
    grid.require(field_ppm, "field_ppm")
    grid.require(usable, "usable")
    places = np.asarray(places_vox, dtype=np.float64).reshape(-1, 3)
    radii = np.asarray(radii_mm, dtype=np.float64).ravel()
    if len(places) != len(radii):
        raise InputError(
            f"{len(places)} places and {len(radii)} radii",
            where="fit_moments",
            mend="Give one radius for each place.",
        )
    field = np.ascontiguousarray(field_ppm, dtype=np.float32)
    spread = robust_sd(field[usable], most=ENOUGH) if spread_ppm is None else spread_ppm
    if field_noise_ppm is not None:
        grid.require(field_noise_ppm, "field_noise_ppm")
    if floor_ppm is None:
        floor_ppm = noise_floor(field_noise_ppm, spread, usable, p.anatomy)
    spacing = grid.spacing_mm
    if around is None and chi_ppm is not None:
        around = Around.of(chi_ppm, field_mask, grid)
    chosen = range(len(places)) if wanted is None else [int(n) for n in wanted]

    def fit(n: int) -> MomentFit | None:
        points = POINT if parts is None or n else parts
        extent = points.reach_mm(float(radii[n]), spacing)
        reach = max(p.reach_radii * radii[n], extent + p.reach_margin_mm)
        # the nearest ring of voxels must be in reach on coarse grids, too
        reach = max(min(reach, p.reach_max_mm), 2.0 * float(spacing.max()))
        box = box_within(places[n], reach, grid)
        near = field[box]
        if around is not None and p.map_share > 0:
            own = extent + p.own_margin_mm
            inside = 1.0 if edge_mm is None else 1 - float(np.exp(-edge_mm[n] / p.map_edge_mm))
            near = near - p.map_share * inside * around.field(box, places[n], own, reach)
        noise = np.full(near.shape, floor_ppm, dtype=np.float32)
        if field_noise_ppm is not None:
            noise = np.hypot(field_noise_ppm[box], noise, dtype=np.float32)
        border = gather(
            near, noise, usable[box], places[n] - [s.start for s in box], reach, spacing
        )
        others = _neighbours(n, places * spacing, radii, reach, p.neighbours)
        unknown = len(others) + 14 + len(points.share)
        if len(border.value) < max(FEWEST_VOXELS, unknown + 3):
            return None
        prior = np.hypot(p.shift_sd_mm, 0.2 * np.maximum(radii[n], spacing))
        edge = 0.0 if edge_mm is None else p.edge_error * float(np.exp(-edge_mm[n] / p.edge_mm))
        tail = 0.0 if tails is None else p.tail_error * float(tails[n])
        unseen = float(np.hypot(edge, tail))
        return _fit_one(border, others, places[n], points, prior, unseen, grid, p)

    out: list[MomentFit | None] = [None] * len(places)
    for n, found in zip(chosen, together([partial(fit, n) for n in chosen]), strict=True):
        out[n] = found
    return out


def noise_floor(
    noise_ppm: npt.NDArray[np.floating] | None,
    spread_ppm: float,
    usable: npt.NDArray[np.bool_],
    anatomy: float,
) -> float:
    """Return what is added to every voxel's noise, in squares: never 0 [ppm].

    `anatomy` times the spread of tissue's field, at least a quarter of the median noise of the
    usable voxels; the spread itself where no noise is known.
    """
    good = usable & (noise_ppm > 0) if noise_ppm is not None else usable[:0]
    if noise_ppm is None or not good.any():
        return max(spread_ppm, 1e-6)
    return max(0.25 * float(np.median(noise_ppm[good])), anatomy * spread_ppm)


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


def _fit_one(
    border: Border,
    others_mm: Floats,
    place_vox: Floats,
    points: Parts,
    prior_sd_mm: Floats,
    unseen_error: float,
    grid: Grid,
    params: MomentParams,
) -> MomentFit | None:
    """Fit one source by Gauss-Newton with Huber weights.

    Unknowns: moment, neighbours' moments, the background, what the points of a source have
    beyond their shares, shift of the source, which enters through the slopes of the dipole.
    """
    value, offset = border.value, border.offset
    spacing_mm, b0_dir = grid.spacing_mm, grid.b0_dir
    rest = np.column_stack(
        [
            *[means_and_slopes(offset - o, b0_dir, spacing_mm)[:, 0] for o in others_mm],
            harmonics(offset, params.background_degree),
        ]
    )
    shift, moment, scale = np.zeros(3), 0.0, 1.0
    sd, weight = border.sigma, border.sigma**-2.0
    design, residual, solution, inverse = rest, value, np.zeros(4), np.zeros((1, 1))
    places = points.offset_vox * spacing_mm
    for step in range(ROUNDS):
        each = np.stack(
            [means_and_slopes(offset - shift - at, b0_dir, spacing_mm) for at in places]
        )
        dipole = np.tensordot(points.share, each, axes=1)
        # what the points may have more or less than their shares: no moment in all
        apart = (each[..., 0] - dipole[:, 0]).T[:, : len(places) * (len(places) > 1)]
        design = np.column_stack([dipole[:, 0], rest, apart, -moment * dipole[:, 1:]])
        if step:
            change = np.linalg.norm(dipole[:, 1:] * spacing_mm, axis=1)
            sd = np.hypot(border.sigma, params.model_error * moment * change)
            size = np.abs(residual) / (sd * scale * params.huber)
            weight = sd**-2.0 / np.maximum(size, 1.0)
        # before the first solution neither shift nor shares can be told: hold them
        held = np.concatenate(
            [params.share_sd * abs(moment) * points.share[: apart.shape[1]], prior_sd_mm]
        )
        stiff = np.full(len(held), 1e12) if step == 0 else (scale / np.maximum(held, 1e-6)) ** 2
        target = np.concatenate([np.zeros(apart.shape[1]), -shift])
        solution, inverse = _solve(design, value, weight, stiff, target)
        moment = float(solution[0])
        residual = value - design @ solution
        scale = max(robust_sd(residual / sd, 0.0), 0.3)
        moved = np.clip(shift + solution[-3:], -2.5 * prior_sd_mm, 2.5 * prior_sd_mm) - shift
        shift = shift + moved
        if step > 3 and np.abs(moved).max() < 1e-3:
            break
    gain = (design @ inverse[0]) * weight * sd * scale
    spread = variance(gain, correlation(residual / sd, border), border)
    if not np.isfinite(moment) or not spread > 0:
        return None
    form = params.relative_error * abs(moment)
    shared = params.error_scale**2 * spread + form**2
    error = float(np.hypot(np.sqrt(shared), params.anatomy_ppm_mm3))
    # three errors are asked of a sign: tissue adds to a source more often than it turns one
    for_sign = float(np.hypot(np.sqrt(shared), 0.5 * params.anatomy_ppm_mm3))
    plain, _ = _solve(rest, value, weight, np.zeros(0), np.zeros(0))
    without = float((weight * (value - rest @ plain) ** 2).sum())
    poles, equator = poles_and_equator(
        value - rest @ solution[1 : 1 + rest.shape[1]], offset - shift, b0_dir
    )
    i, j, k = (place_vox + shift / spacing_mm).tolist()
    return MomentFit(
        moment_ppm_mm3=moment,
        se_ppm_mm3=float(np.hypot(error, unseen_error * moment)),
        form_ppm_mm3=form,
        significance=moment / for_sign,
        place_vox=(i, j, k),
        n_border=len(value),
        explained=float(np.clip(1 - (weight * residual**2).sum() / max(without, 1e-30), 0, 1)),
        poles_ppm=poles,
        equator_ppm=equator,
    )


def _solve(
    design: Floats, value: Floats, weight: Floats, stiff: Floats, target: Floats
) -> tuple[Floats, Floats]:
    """Return the weighted solution and inverse normal matrix; a prior holds the last ones."""
    weighted = design * weight[:, None]
    normal, right = weighted.T @ design, weighted.T @ value
    last = np.arange(len(right) - len(stiff), len(right))
    normal[last, last] += stiff
    right[last] += stiff * target
    normal[np.diag_indices_from(normal)] *= 1 + 1e-9
    normal[np.diag_indices_from(normal)] += 1e-12
    inverse = np.asarray(np.linalg.inv(normal), dtype=np.float64)
    return inverse @ right, inverse
