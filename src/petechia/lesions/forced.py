"""What a scan shows at a place it was not asked about: a forced measurement.

A lesion that one session has and the other's table has not may have been there all the same,
too faint to be found, or where nothing can be seen. So the other scan is read at that place:
how much signal is lost there, and which magnetic moment its field holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.core.grid import Grid
from petechia.core.morphology import distance_inside_mm
from petechia.core.robust import robust_sd
from petechia.core.units import hz_per_ppm
from petechia.lesions.moment import fit_moments
from petechia.lesions.signal import relative_signal

Mask = npt.NDArray[np.bool_]
Volume = npt.NDArray[np.floating]
Floats = npt.NDArray[np.float64]

DEPHASING = 0.403
"""Static dephasing of a voxel by a sphere in it: loss = 1 - exp(-0.403 w TE m / V), w the
turning of 1 ppm [rad/s], m the moment and V the voxel's volume."""
LEAST_EXPONENT = 1.5
"""A lesion whose exponent in that rule is smaller may not be visible. In simulated scans of
seven protocols no visible void had less than 0.7, and above 1.5 nearly all were visible but in
5 mm slices."""
VOID_PER_TURN = 0.29
"""Volume of a void over w TE m: median of simulated microbleeds above 1 ppm mm^3 (0.23 to 0.45
over seven protocols)."""
LEAST_MAGNITUDE = 0.25
"""Tissue around a place that gives less of the brain's usual signal hides what lies there."""
LEAST_INSIDE = 0.6
"""Part of the ball around a place that must lie in the brain."""
NEAR_MM, FAR_MM = 1.5, 5.0
"""Shell beyond a void in which its surroundings are read."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Maps:
    """One session's images, as they are read at a place.

    Attributes
    ----------
    dark : (I, J, K) ndarray of float
        An image in which bleeds are dark: a magnitude, or an SWI.
    signal : (I, J, K) ndarray of float32
        `dark` over its surroundings.
    texture : float
        Its spread in undisturbed tissue.
    mask : (I, J, K) ndarray of bool
        Brain.
    grid : Grid
        Of all.
    voids : (I, J, K) ndarray of bool
        Every finding of the session: its field is not believed there.
    large : (I, J, K) ndarray of bool
        Findings within which a microbleed cannot be told.
    field_ppm, chi_ppm : (I, J, K) ndarray of float, or None
        Local field and susceptibility, when there was phase. Where the field is not known, as at
        the brain's edge, it is 0.
    centres_vox, radii_mm : (N, 3), (N,) ndarray of float
        Middles and radii of the findings' voids: their fields are no part of a place beside.
    """

    dark: Volume
    signal: npt.NDArray[np.float32]
    texture: float
    mask: Mask
    grid: Grid
    voids: Mask
    large: Mask
    field_ppm: Volume | None = None
    chi_ppm: Volume | None = None
    centres_vox: Floats = field(default_factory=lambda: np.zeros((0, 3)))
    radii_mm: Floats = field(default_factory=lambda: np.zeros(0))

    @classmethod
    def of(
        cls,
        dark: Volume,
        mask: Mask,
        grid: Grid,
        labels: npt.NDArray[np.integer],
        large: Mask,
        field_ppm: Volume | None = None,
        chi_ppm: Volume | None = None,
    ) -> Self:
        """Return the maps with what is read from `dark`, and from the findings' `labels`."""
        told = relative_signal(dark, mask, grid)
        centres, radii = _balls(labels, grid)
        return cls(
            dark=dark, signal=told.value, texture=told.texture, mask=mask, grid=grid,
            voids=labels > 0, large=large, field_ppm=field_ppm, chi_ppm=chi_ppm,
            centres_vox=centres, radii_mm=radii,
        )  # fmt: skip


def _balls(labels: npt.NDArray[np.integer], grid: Grid) -> tuple[Floats, Floats]:
    """Return middle and radius of every label, as of a ball of its volume."""
    at = np.argwhere(labels > 0)
    _, owner, n = np.unique(labels[tuple(at.T)], return_inverse=True, return_counts=True)
    sums = [np.bincount(owner, weights=at[:, axis], minlength=len(n)) for axis in range(3)]
    centres = np.stack(sums, axis=1) / np.maximum(n, 1)[:, None]
    return centres, np.cbrt(0.75 / np.pi * n * grid.voxel_mm3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What is seen at a place.

    Attributes
    ----------
    why_not : str
        Why nothing can be said; "" when something can.
    loss, loss_sd : float
        Share of the signal lost in the darkest voxel near the place, and the noise of that.
    moment_ppm_mm3, se_ppm_mm3 : float or None
        Moment of a source at the place, from the field around it; None without phase.
    """

    why_not: str = ""
    loss: float = 0.0
    loss_sd: float = 0.0
    moment_ppm_mm3: float | None = None
    se_ppm_mm3: float | None = None


def visible_exponent(moment_ppm_mm3: float, b0_t: float, te_s: float, voxel_mm3: float) -> float:
    """Return the exponent of `DEPHASING` for a moment under a protocol."""
    turning = 2 * np.pi * hz_per_ppm(b0_t) * te_s
    return float(DEPHASING * turning * abs(moment_ppm_mm3) / voxel_mm3)


def moment_of_void(volume_mm3: float, b0_t: float, te_s: float) -> float:
    """Return about which moment makes a void of this volume [ppm mm^3]."""
    return float(volume_mm3 / (VOID_PER_TURN * 2 * np.pi * hz_per_ppm(b0_t) * te_s))


def look_at(
    maps: Maps, places_mm: npt.ArrayLike, radii_mm: Sequence[float], slack_mm: float
) -> list[Look]:
    """Read a scan at places.

    Parameters
    ----------
    maps : Maps
        The scan.
    places_mm : (N, 3) array
        In its own scanner RAS [mm].
    radii_mm : sequence of float
        Radius of what is looked for at each [mm].
    slack_mm : float
        How far off the places may be [mm].

    Returns
    -------
    list of Look
        In step with the places.
    """
    places = np.asarray(places_mm, dtype=np.float64).reshape(-1, 3)
    usual = float(np.median(maps.dark[maps.mask])) if maps.mask.any() else 0.0
    looks = [
        _look(maps, place, float(radius), slack_mm, usual)
        for place, radius in zip(places, radii_mm, strict=True)
    ]
    wanted = [n for n, look in enumerate(looks) if not look.why_not]
    if maps.field_ppm is None or not wanted:
        return looks
    moments = _moments(maps, places[wanted], [float(radii_mm[n]) for n in wanted])
    for n, fit in zip(wanted, moments, strict=True):
        if fit is not None:
            looks[n] = Look(
                loss=looks[n].loss, loss_sd=looks[n].loss_sd, moment_ppm_mm3=fit[0],
                se_ppm_mm3=fit[1],
            )  # fmt: skip
    return looks


def _look(
    maps: Maps, place_mm: npt.NDArray[np.float64], radius: float, slack: float, usual: float
) -> Look:
    grid = maps.grid
    at = grid.to_index(place_mm)
    if (at < -0.5).any() or (at > np.asarray(grid.shape) - 0.5).any():
        return Look(why_not="outside the field of view")
    span = (radius + FAR_MM + slack) / grid.spacing_mm + 1
    low = np.maximum(np.floor(at - span), 0).astype(int)
    high = np.minimum(np.ceil(at + span) + 1, grid.shape).astype(int)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    steps = [
        (np.arange(s.start, s.stop) - c) * d
        for s, c, d in zip(box, at, grid.spacing_mm, strict=True)
    ]
    away = np.sqrt(sum(v**2 for v in np.meshgrid(*steps, indexing="ij", sparse=True)))
    mask = maps.mask[box]
    ball = away <= max(radius + slack, 0.6 * float(grid.spacing_mm.max()))
    ball |= away <= away.min()
    if mask[ball].mean() < LEAST_INSIDE:
        return Look(why_not="outside the brain mask")
    shell = mask & (away > radius + NEAR_MM) & (away <= radius + FAR_MM + slack)
    around = shell & ~maps.voids[box]
    around = around if around.sum() >= 10 else shell
    if around.sum() < 10:
        return Look(why_not="too little tissue around it")
    if float(np.median(maps.dark[box][around])) < LEAST_MAGNITUDE * usual:
        return Look(why_not="where the signal is lost")
    if maps.large[box][ball].mean() > 0.5:
        return Look(why_not="within a larger void")
    signal = ndimage.uniform_filter(maps.signal[box], _blur(grid))
    level = float(np.median(signal[around]))
    least = float(signal[ball & mask].min())
    spread = robust_sd(signal[around], level)
    return Look(loss=1 - least / max(level, 1e-3), loss_sd=spread / max(level, 1e-3))


def _blur(grid: Grid) -> tuple[int, ...]:
    """Return a window of about 1 mm: the darkest of many voxels is noise."""
    return tuple(max(1, int(1.0 / d)) for d in grid.spacing_mm)


def _moments(
    maps: Maps, places_mm: npt.NDArray[np.float64], radii_mm: list[float]
) -> list[tuple[float, float] | None]:
    """Return moment and standard error at each place, the field read outside a ball there."""
    out: list[tuple[float, float] | None] = []
    local = maps.field_ppm
    assert local is not None  # asked by look_at
    known = maps.mask & (local != 0)
    edge = distance_inside_mm(known, maps.grid)
    for place, radius in zip(places_mm, radii_mm, strict=True):
        at = maps.grid.to_index(place)
        reach = (radius + 18.0) / maps.grid.spacing_mm
        low = np.maximum(np.floor(at - reach), 0).astype(int)
        high = np.minimum(np.ceil(at + reach) + 1, maps.grid.shape).astype(int)
        i, j, k = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        box = (i, j, k)
        small = maps.grid.cut(box)
        index = np.stack(np.meshgrid(*map(np.arange, small.shape), indexing="ij"), -1)
        away = np.linalg.norm((index - (at - low)) * small.spacing_mm, axis=-1)
        # a place without a void has none: what is beneath the lesion elsewhere is left out too
        usable = known[box] & ~maps.voids[box] & (away > radius)
        apart = np.linalg.norm((maps.centres_vox - at) * maps.grid.spacing_mm, axis=1)
        # what is at the place is what is measured there; what is beside it is fitted with it
        beside = apart > np.maximum(maps.radii_mm, radius)
        places = np.concatenate([at[None], maps.centres_vox[beside]])
        nearest = np.clip(np.rint(places), 0, np.array(maps.grid.shape) - 1).astype(int)
        fits = fit_moments(
            local[box], None, usable, places - low,
            np.concatenate([[radius], maps.radii_mm[beside]]), small, wanted=np.array([0]),
            edge_mm=edge[tuple(nearest.T)],
            chi_ppm=None if maps.chi_ppm is None else maps.chi_ppm[box], field_mask=known[box],
        )  # fmt: skip
        fit = fits[0]
        out.append(None if fit is None else (fit.moment_ppm_mm3, fit.se_ppm_mm3))
    return out
