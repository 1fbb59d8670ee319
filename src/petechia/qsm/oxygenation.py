r"""Oxygen saturation of venous blood from the susceptibility of straight veins.

.. math:: \chi_{vein} - \chi_{water} = \Delta\chi_{do} \, Hct \, (1 - Y) + \Delta\chi_{oxy} \, Hct

References
----------
.. [1] Weisskoff & Kiihne (1992), Magn. Reson. Med. 24, 375-383, doi:10.1002/mrm.1910240219.
.. [2] Jain, Abdulmalik, Propert & Wehrli (2012), Magn. Reson. Med. 68, 863-867,
   doi:10.1002/mrm.23282 (both constants).
.. [3] Ward, Fan, Raniga et al. (2017), Front. Neurosci. 11, 89, doi:10.3389/fnins.2017.00089
   (a cylinder fitted for the partial volume).
"""

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
from scipy import ndimage, stats

from petechia.core.checks import require_between, require_finite
from petechia.core.compiled import compiled
from petechia.core.grid import Grid
from petechia.core.intervals import Z95
from petechia.core.morphology import Mask, label_26
from petechia.core.robust import robust_sd

Points = npt.NDArray[np.float64]

DEOXY_PPM, DEOXY_SD_PPM = 4 * np.pi * 0.273, 4 * np.pi * 0.006
"""Fully deoxygenated less fully oxygenated cells, SI [2]_ [ppm]."""
OXY_PPM = 4 * np.pi * -0.008
"""Oxygenated cells less water, SI [2]_ [ppm]."""
ANGLES, ALONG_MM = 12, (-1.5, 0.0, 1.5)
MOST_PLACES = 3000
REACH_MM = 6.0
"""So far around a place the vein's direction and straightness are read."""
RADII = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class OxygenationParams:
    """Settings of `venous_oxygenation`.

    Attributes
    ----------
    hematocrit, hematocrit_sd : float
        Of venous blood, and how far it may be off: measured, or that of adults.
    tissue_ppm, tissue_sd_ppm : float
        Susceptibility of the tissue around veins against water, and how far it may be off:
        between grey (0.02) and white matter (-0.03).
    least_likeness : float
        Likeness to a vessel from which a voxel is looked at.
    least_length_mm : float
        Length of the vein through it, at least [mm].
    least_diameter_vox : float
        Thinner veins, in voxels across them, are left out: the map cannot tell thin and dark
        from thick and pale.
    least_ppm : float
        Paler ones are left out: bundles of small veins and the edges of nuclei look so [ppm].
    bent : float
        Most spread across the vein over that along it, within 6 mm.
    misfit : float
        Most residual of the cylinder over the vein's own contrast.
    least_places : int
        Fewer places tell nothing.
    """

    hematocrit: float = 0.42
    hematocrit_sd: float = 0.03
    tissue_ppm: float = -0.005
    tissue_sd_ppm: float = 0.02
    least_likeness: float = 0.3
    least_length_mm: float = 20.0
    least_diameter_vox: float = 2.6
    least_ppm: float = 0.15
    bent: float = 0.25
    misfit: float = 0.15
    least_places: int = 6

    def __post_init__(self) -> None:
        usual = "Give what a laboratory measured, or leave it at its default."
        for field in fields(self):
            if field.name != "tissue_ppm":
                value = getattr(self, field.name)
                require_between(value, 0.0, 1e4, f"OxygenationParams.{field.name}", usual)
        require_between(self.hematocrit, 0.1, 0.8, "OxygenationParams.hematocrit", usual)
        require_between(self.tissue_ppm, -1.0, 1.0, "OxygenationParams.tissue_ppm", usual)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Oxygenation:
    """Saturation of venous blood.

    Attributes
    ----------
    saturation : float or None
        Median over places in veins, 0 to 1; None when too few veins can be measured.
    interval_95 : tuple of float, or None
        From the spread between veins, hematocrit, tissue and constants; not from the map's own
        bias.
    vein_ppm : float or None
        Susceptibility of the blood above the tissue around, the partial volume undone [ppm].
    diameter_mm : float or None
        Median diameter of those veins.
    n_places, n_veins : int
        How many places, in how many connected veins.
    says : str
        What it rests on, or why there is none.
    """

    saturation: float | None
    interval_95: tuple[float, float] | None
    vein_ppm: float | None
    diameter_mm: float | None
    n_places: int
    n_veins: int
    says: str


def saturation_of(
    vein_ppm: float, params: OxygenationParams = OxygenationParams()
) -> tuple[float, float]:
    """Return the saturation of blood so far above its tissue [ppm], and what it errs by.

    The error is that of hematocrit, tissue and constants; the saturation may leave 0 to 1.
    """
    hematocrit = params.hematocrit
    deoxy = (vein_ppm + params.tissue_ppm - OXY_PPM * hematocrit) / (DEOXY_PPM * hematocrit)
    of_hematocrit = (deoxy + OXY_PPM / DEOXY_PPM) / hematocrit * params.hematocrit_sd
    of_tissue = params.tissue_sd_ppm / (DEOXY_PPM * hematocrit)
    of_constant = deoxy * DEOXY_SD_PPM / DEOXY_PPM
    return 1.0 - deoxy, float(np.sqrt(of_hematocrit**2 + of_tissue**2 + of_constant**2))


def venous_oxygenation(
    chi_ppm: npt.NDArray[np.floating],
    likeness: npt.NDArray[np.floating],
    length_mm: npt.NDArray[np.floating],
    mask: Mask,
    grid: Grid,
    params: OxygenationParams = OxygenationParams(),
) -> Oxygenation:
    """Measure the susceptibility of straight veins; return the saturation that follows.

    Around each place on the ridge of a vein rings across it are read, and a cylinder, blurred
    as voxels and interpolation blur it, is fitted to their medians: contrast, radius and
    the level of the tissue around.

    Parameters
    ----------
    chi_ppm : (I, J, K) ndarray of float
        Susceptibility, of any reference: only differences are used [ppm].
    likeness : (I, J, K) ndarray of float
        Likeness to a vessel, 0 to 1.
    length_mm : (I, J, K) ndarray of float
        Length of the vein through each voxel [mm].
    mask : (I, J, K) ndarray of bool
        Brain, less what must not count, such as lesions.
    grid : Grid
        Geometry.
    params : OxygenationParams
        Settings.

    Returns
    -------
    Oxygenation
        With `saturation` None, and why, when there are too few veins.

    Raises
    ------
    GridMismatchError
        If an array is not on `grid`.
    InputError
        If the susceptibility is not finite.

    Notes
    -----
    Inversions make veins paler than they are; that is not undone here, and not in the
    interval. Veins of the map are few: one saturation for the whole brain, not a map.
    """
    arrays = {"chi_ppm": chi_ppm, "likeness": likeness, "length_mm": length_mm, "mask": mask}
    for name, array in arrays.items():
        grid.require(array, name)
    require_finite(chi_ppm, "chi_ppm")
    chi = np.ascontiguousarray(chi_ppm, dtype=np.float32)
    vessel = mask & (likeness >= params.least_likeness)
    seen = vessel & (length_mm >= params.least_length_mm) & (chi > 0.5 * params.least_ppm)
    at = np.argwhere(seen)
    weight = np.where(vessel, np.asarray(likeness, dtype=np.float32), 0)
    axes, bent, ridge = _axes_of(chi, weight, at, grid.spacing_mm)
    straight = (bent <= params.bent) & ridge
    at, axes = at[straight], axes[straight]
    if len(at) > MOST_PLACES:
        chosen = np.linspace(0, len(at) - 1, MOST_PLACES).astype(int)
        at, axes = at[chosen], axes[chosen]
    if not len(at):
        return _none(0, params)
    ppm, radius, across, misfit = _cylinders(chi, mask, at, axes, grid)
    good = (2 * radius >= params.least_diameter_vox * across) & (ppm > params.least_ppm)
    good &= misfit <= params.misfit * ppm
    if good.sum() < params.least_places:
        return _none(int(good.sum()), params)
    labels, _ = label_26(vessel)
    vein = labels[tuple(at[good].T)]
    return _summed(ppm[good], radius[good], vein, params)


def _none(n: int, params: OxygenationParams) -> Oxygenation:
    says = (
        f"{n} places in straight veins of at least {params.least_diameter_vox:g} voxels across "
        f"and {params.least_length_mm:g} mm long; {params.least_places} are needed"
    )
    return Oxygenation(
        saturation=None, interval_95=None, vein_ppm=None, diameter_mm=None,
        n_places=n, n_veins=0, says=says,
    )  # fmt: skip


def _summed(
    ppm: Points, radius: Points, vein: npt.NDArray[np.integer], params: OxygenationParams
) -> Oxygenation:
    """Return one saturation of all places; its spread is that between veins."""
    middle = float(np.median(ppm))
    each = np.array([np.median(ppm[vein == n]) for n in np.unique(vein)])
    spread = robust_sd(ppm, middle)
    if len(each) > 2:
        spread = max(float(each.std(ddof=1)), 0.2 * spread)
    saturation, error = saturation_of(middle, params)
    error = float(np.hypot(error, spread / np.sqrt(len(each)) / (DEOXY_PPM * params.hematocrit)))
    low, high = (float(np.clip(saturation + z * error, 0, 1)) for z in (-Z95, Z95))
    says = (
        f"{len(ppm)} places in {len(each)} veins, {2 * np.median(radius):.1f} mm across; "
        f"hematocrit {params.hematocrit:g} and susceptibilities of blood are assumed"
    )
    return Oxygenation(
        saturation=float(np.clip(saturation, 0, 1)), interval_95=(low, high), vein_ppm=middle,
        diameter_mm=float(2 * np.median(radius)), n_places=len(ppm), n_veins=len(each), says=says,
    )  # fmt: skip


def _cylinders(
    chi: npt.NDArray[np.float32], mask: Mask, at: npt.NDArray[np.integer], axes: Points, grid: Grid
) -> tuple[Points, Points, Points, Points]:
    """Return contrast [ppm], radius [mm], voxel across [mm] and misfit [ppm] of each place."""
    spacing = grid.spacing_mm
    # how wide a voxel is across the vein
    across = np.sqrt(((1 - axes**2) * spacing**2).sum(axis=1) / 2)
    first = np.cross(axes, np.eye(3)[np.abs(axes).argmin(axis=1)])
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(axes, first)
    turn = np.arange(ANGLES) * 2 * np.pi / ANGLES
    circle = np.cos(turn)[:, None] * first[:, None] + np.sin(turn)[:, None] * second[:, None]
    centre = at * spacing
    reach = np.linspace(0.5, 2.0, 4)
    for _ in range(2):  # to the middle of what is bright within two voxels
        place = centre[:, None, None] + (
            reach[:, None, None] * circle[:, None] * across[:, None, None, None]
        )
        bright = np.maximum(_read(chi, place, spacing) - 0.05, 0) * reach[:, None]
        shift = (bright[..., None] * (place - centre[:, None, None])).sum(axis=(1, 2))
        step = shift / np.maximum(bright.sum(axis=(1, 2)), 1e-6)[:, None]
        centre = centre + np.clip(step, -across[:, None], across[:, None])
    radii = np.linspace(0.0, 4.5, 19)  # in voxels across
    ring = radii[:, None, None] * circle[:, None] * across[:, None, None, None]
    profile = np.zeros((len(at), len(radii)))
    for shift_mm in ALONG_MM:
        place = (centre + shift_mm * axes)[:, None, None] + ring
        values = _read(chi, place, spacing)
        outside = ~_read_mask(mask, place, spacing)
        values[outside] = np.nan
        with np.errstate(all="ignore"):
            middle = _median_of_known(values)
        profile += np.where(outside.mean(axis=2) > 0.5, np.nan, middle) / len(ALONG_MM)
    contrast, radius, misfit = _fit(profile, radii, across)
    return contrast, radius, across, misfit


def _median_of_known(values: Points) -> Points:
    """Return the median over the last axis of what is a number; NaN where nothing is."""
    order = np.sort(values, axis=-1)  # NaN last
    n = np.isfinite(order).sum(axis=-1)
    low = np.take_along_axis(order, np.maximum((n - 1) // 2, 0)[..., None], -1)[..., 0]
    middle = np.minimum(n // 2, values.shape[-1] - 1)
    high = np.take_along_axis(order, middle[..., None], -1)[..., 0]
    return np.asarray(0.5 * (low + high))


def _read(volume: npt.NDArray[np.float32], place_mm: Points, spacing: Points) -> Points:
    index = np.moveaxis(place_mm / spacing, -1, 0).reshape(3, -1)
    out = ndimage.map_coordinates(volume, index, order=1, mode="nearest")
    return np.asarray(out.reshape(place_mm.shape[:-1]), dtype=np.float64)


def _read_mask(mask: Mask, place_mm: Points, spacing: Points) -> Mask:
    index = np.rint(place_mm / spacing).astype(int)
    inside = ((index >= 0) & (index < mask.shape)).all(axis=-1)
    index = np.clip(index, 0, np.array(mask.shape) - 1)
    return np.asarray(inside & mask[tuple(np.moveaxis(index, -1, 0))])


def _fit(profile: Points, radii_vox: Points, across: Points) -> tuple[Points, Points, Points]:
    """Return contrast, radius [mm] and misfit of the blurred cylinder that fits each profile.

    A disc seen through a Gaussian is the distribution of a distance: in closed form. Voxels
    and linear interpolation blur by half a voxel (variances of 1/12 and 1/6).
    """
    sigma = 0.5
    weight = np.where(np.isfinite(profile), np.maximum(radii_vox, 0.25), 0)
    value = np.where(weight > 0, profile, 0)
    total = np.maximum(weight.sum(axis=1), 1e-9)
    best = np.full(len(profile), np.inf)
    contrast, radius = np.zeros((2, len(profile)))
    for a in np.geomspace(0.4, 4.0, RADII):
        shape = stats.ncx2.cdf((a / sigma) ** 2, 2, (radii_vox / sigma) ** 2)
        mean_shape = (weight * shape).sum(axis=1) / total
        mean_value = (weight * value).sum(axis=1) / total
        off = shape - mean_shape[:, None]
        var = np.maximum((weight * off**2).sum(axis=1), 1e-9)
        slope = (weight * off * (value - mean_value[:, None])).sum(axis=1) / var
        rest = value - mean_value[:, None] - slope[:, None] * off
        misfit = np.sqrt((weight * rest**2).sum(axis=1) / total)
        better = misfit < best
        best = np.where(better, misfit, best)
        contrast = np.where(better, slope, contrast)
        radius = np.where(better, a, radius)
    return contrast, radius * across, best


def _axes_of(
    chi: npt.NDArray[np.float32],
    weight: npt.NDArray[np.float32],
    at: npt.NDArray[np.integer],
    spacing: Points,
) -> tuple[Points, Points, Mask]:
    """Return each place's direction, how bent the vein is there, and whether it is a ridge."""
    values, vectors = np.linalg.eigh(_spreads(weight, at, spacing))
    axes = np.ascontiguousarray(vectors[..., 2])
    bent = values[:, 1] / np.maximum(values[:, 2], 1e-9)
    return axes, bent, _ridges(chi, at, axes, spacing)


@compiled
def _spreads(weight, at, spacing):  # type: ignore[no-untyped-def]
    """Return the covariance of what looks like a vessel around each place [mm^2]."""
    n0, n1, n2 = weight.shape
    out = np.zeros((len(at), 3, 3))
    r0, r1, r2 = int(REACH_MM / spacing[0]), int(REACH_MM / spacing[1]), int(REACH_MM / spacing[2])
    for n in range(len(at)):
        i, j, k = at[n, 0], at[n, 1], at[n, 2]
        total, x, y, z, xx, yy, zz, xy, xz, yz = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for a in range(max(i - r0, 0), min(i + r0 + 1, n0)):
            for b in range(max(j - r1, 0), min(j + r1 + 1, n1)):
                for c in range(max(k - r2, 0), min(k + r2 + 1, n2)):
                    w = weight[a, b, c]
                    if w <= 0:
                        continue
                    u, v, t = (a - i) * spacing[0], (b - j) * spacing[1], (c - k) * spacing[2]
                    far = u * u + v * v + t * t
                    if far > REACH_MM * REACH_MM:
                        continue
                    w = w * np.exp(-far / (REACH_MM * REACH_MM))
                    total += w
                    x, y, z = x + w * u, y + w * v, z + w * t
                    xx, yy, zz = xx + w * u * u, yy + w * v * v, zz + w * t * t
                    xy, xz, yz = xy + w * u * v, xz + w * u * t, yz + w * v * t
        if total <= 0:
            continue
        x, y, z = x / total, y / total, z / total
        out[n, 0, 0], out[n, 1, 1] = xx / total - x * x, yy / total - y * y
        out[n, 2, 2] = zz / total - z * z
        out[n, 0, 1] = out[n, 1, 0] = xy / total - x * y
        out[n, 0, 2] = out[n, 2, 0] = xz / total - x * z
        out[n, 1, 2] = out[n, 2, 1] = yz / total - y * z
    return out


@compiled
def _ridges(chi, at, axes, spacing):  # type: ignore[no-untyped-def]
    """Return where no neighbour across the vein is brighter."""
    n0, n1, n2 = chi.shape
    out = np.ones(len(at), dtype=np.bool_)
    for n in range(len(at)):
        i, j, k = at[n, 0], at[n, 1], at[n, 2]
        for a in range(max(i - 1, 0), min(i + 2, n0)):
            for b in range(max(j - 1, 0), min(j + 2, n1)):
                for c in range(max(k - 1, 0), min(k + 2, n2)):
                    u, v, t = (a - i) * spacing[0], (b - j) * spacing[1], (c - k) * spacing[2]
                    far = np.sqrt(u * u + v * v + t * t)
                    along = abs(u * axes[n, 0] + v * axes[n, 1] + t * axes[n, 2])
                    if along < 0.6 * far and chi[a, b, c] > chi[i, j, k]:
                        out[n] = False
    return out
