"""Superficial siderosis: dark sheets along the cortex, for the reader; never microbleeds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from petechia.core.compiled import compiled
from petechia.core.grid import Grid
from petechia.core.morphology import bounding_box, dilate_mm, distance_inside_mm, label_26
from petechia.core.robust import robust_sd
from petechia.errors import ParameterError
from petechia.lesions.inputs import LesionInputs
from petechia.lesions.signal import SignalParams, relative_signal

Mask = npt.NDArray[np.bool_]
Voxels = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class SiderosisParams:
    """Settings of `find_siderosis`.

    Attributes
    ----------
    loss : float
        Least loss of signal in the magnitude at the reading echo, as a share.
    chi_ppm, chi_sd : float
        Least susceptibility [ppm], and least excess over the scan's own cortex in units of its
        robust standard deviation; the larger one holds.
    r2star_sd : float
        Least excess of R2*, where it is known, in the same units.
    cortex_mm : float
        Sheets lie so near to sulcal fluid or to the surface of the brain [mm]; wide, since fluid
        beside iron is dark and not told as fluid.
    air_mm : float
        Nothing is looked for so near to an air cavity [mm].
    reach_mm : float
        A voxel is judged by what is dark within this distance [mm].
    sheet_mm3, sheet_ratio : float
        Least volume of it [mm^3], and least ratio of its second to its first moment: a sheet
        fills more of a ball than a vein does, and in two directions.
    rim_mm3 : float
        A sheet goes on to dark voxels that have at least this volume around them [mm^3].
    solid : float
        Around half of a sheet's voxels the ball is filled by at most this share: a hematoma
        fills more.
    core_mm3 : float
        Least volume of what is as flat as a sheet [mm^3].
    longest_mm, second_mm : float
        Least longest and second axis of a sheet [mm].
    tube, tube_share : float
        At most this share of a sheet may look like a vessel by more than `tube`.
    same_sulcus_mm : float
        Sheets nearer to each other than this are in one sulcus [mm].
    thickest_mm : float
        In voxels longer than this nothing is looked for [mm].
    least_seen : float
        Nothing is said when less than this share of the cortex can be looked at.
    """

    loss: float = 1 / 3
    chi_ppm: float = 0.02
    chi_sd: float = 3.0
    r2star_sd: float = 2.0
    cortex_mm: float = 5.0
    air_mm: float = 8.0
    reach_mm: float = 5.0
    sheet_mm3: float = 120.0
    sheet_ratio: float = 0.3
    rim_mm3: float = 60.0
    solid: float = 0.5
    core_mm3: float = 100.0
    longest_mm: float = 12.0
    second_mm: float = 10.0
    tube: float = 0.3
    tube_share: float = 0.5
    same_sulcus_mm: float = 5.0
    thickest_mm: float = 2.5
    least_seen: float = 0.6

    def __post_init__(self) -> None:
        shares = (self.solid, self.tube_share, self.least_seen)
        if not (0 < self.loss < 1 and all(0 <= s <= 1 for s in shares)):
            raise ParameterError(
                f"{self}",
                where="SiderosisParams",
                mend="loss, solid, tube_share and least_seen are shares between 0 and 1.",
            )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Sheet:
    """One sulcus with a dark sheet.

    Attributes
    ----------
    body : (N, 3) ndarray of int
        Its voxels.
    length_mm, width_mm : float
        Longest and second axis of the ellipsoid of its second moments [mm].
    volume_mm3 : float
        Volume [mm^3].
    chi_ppm : float or None
        Mean susceptibility where it is known [ppm].
    loss : float
        Mean loss of signal, 0 to 1.
    """

    body: Voxels
    length_mm: float
    width_mm: float
    volume_mm3: float
    chi_ppm: float | None
    loss: float

    def without(self, taken: Mask, inputs: LesionInputs) -> "Sheet | None":
        """Return what of the sheet is nothing else's, None when that is nothing.

        A finding within a sheet keeps its voxels; the axes and the loss stay those of the whole.

        Parameters
        ----------
        taken : (I, J, K) ndarray of bool
            Voxels of other findings.
        inputs : LesionInputs
            Of the scan.
        """
        body = self.body[~taken[tuple(self.body.T)]]
        if not len(body):
            return None
        chi = inputs.chi_ppm
        return replace(
            self,
            body=body,
            volume_mm3=len(body) * inputs.grid.voxel_mm3,
            chi_ppm=None if chi is None else float(chi[tuple(body.T)].mean()),
        )

    def evidence(self) -> str:
        """Return the reasons in words and numbers, one line."""
        chi = "no susceptibility known there"
        if self.chi_ppm is not None:
            chi = f"paramagnetic (mean {self.chi_ppm:.2f} ppm)"
        return (
            f"dark sheet along the cortex, {self.length_mm:.0f} x {self.width_mm:.0f} mm; {chi}; "
            f"mean signal loss {100 * self.loss:.0f} %; for the reader to judge"
        )


def find_siderosis(
    inputs: LesionInputs,
    params: SiderosisParams | None = None,
    signal_params: SignalParams | None = None,
) -> tuple[list[Sheet], str | None]:
    """Return dark sheets along the cortex, one for each sulcus, and why none could be looked for.

    Two kinds of evidence are asked for: a loss of signal, and susceptibility (with R2* where
    it is known) far above that of the scan's own cortex. Then a form: flat, wide as well as
    long, near sulcal fluid or the surface, in a lobe, far from air.

    Parameters
    ----------
    inputs : LesionInputs
        Arrays of one scan.
    params : SiderosisParams
        Settings.
    signal_params : SignalParams
        How the background is found.

    Returns
    -------
    sheets : list of Sheet
        The largest first.
    why_not : str or None
        Why siderosis cannot be looked for in this scan; None when it can.

    Notes
    -----
    Sheets in two banks of one sulcus, or in sulci that touch, are one: the count of sulci is
    a lower bound. Thin sheets in voxels much thicker than they are do not stand out.
    """
    p = params or SiderosisParams()
    cortex = _cortex(inputs, p)
    if isinstance(cortex, str) or inputs.chi_ppm is None:
        return [], str(cortex)
    box, grid, near = cortex.box, cortex.grid, cortex.near
    brain = inputs.brain_mask[box]
    relative = relative_signal(
        inputs.magnitude[box], brain, grid, signal_params, with_texture=False
    )
    valid = brain & _field_mask(inputs)[box]
    known = near & valid & (cortex.from_fluid_mm > 0)
    chi = np.asarray(inputs.chi_ppm)[box]
    dark = valid & (relative.value < 1 - p.loss)
    dark &= chi > max(p.chi_ppm, _above(chi[known], p.chi_sd))
    if inputs.r2star is not None:
        r2star = inputs.r2star[box]
        dark &= r2star > _above(r2star[known], p.r2star_sd)
    vessel = None if inputs.vessel is None else inputs.vessel[box] > p.tube
    corner = np.array([s.start for s in box])
    sheets = [
        sheet
        for sheet in _sheets(dark, near, grid, p)
        if (vessel is None or vessel[tuple(sheet.T)].mean() <= p.tube_share)
        and _is_lobar(sheet + corner, inputs)
    ]
    found = []
    for body in _by_sulcus(sheets, grid, p.same_sulcus_mm):
        at = tuple(body.T)
        length, width, _ = _axes_mm(body, grid)
        found.append(
            Sheet(
                body=body + corner,
                length_mm=length,
                width_mm=width,
                volume_mm3=len(body) * grid.voxel_mm3,
                chi_ppm=float(chi[at].mean()),
                loss=float(1 - relative.value[at].mean()),
            )
        )
    return sorted(found, key=lambda s: (-round(s.volume_mm3, 3), *s.body[0].tolist())), None


@dataclass(frozen=True, slots=True, eq=False)
class _Cortex:
    """Where sheets are looked for, on the box of the brain.

    Attributes
    ----------
    box : tuple of slice
        Of the brain.
    grid : Grid
        Of the box.
    from_fluid_mm : (I, J, K) ndarray of float32
        Distance to sulcal fluid or the outside of the brain [mm].
    near : (I, J, K) ndarray of bool
        Brain near a sulcus or the surface, and far from air.
    """

    box: tuple[slice, slice, slice]
    grid: Grid
    from_fluid_mm: npt.NDArray[np.float32]
    near: Mask


def _cortex(inputs: LesionInputs, p: SiderosisParams) -> _Cortex | str:
    """Return where to look for sheets, or why they cannot be looked for."""
    if not inputs.brain_mask.any():
        return "the brain mask is empty"
    if inputs.chi_ppm is None:
        return "without phase, dropout and veins look like it"
    if not inputs.sign_trusted:
        return "the sign of the phase is not known, so iron is not told from calcium"
    thick = float(inputs.grid.spacing_mm.max())
    if thick > p.thickest_mm:
        return f"voxels of {thick:.1f} mm are too long for a layer of 1 to 2 mm"
    if inputs.region_of is None:
        return "the lobes are not known"
    if inputs.csf is None:
        return "fluid could not be told, so sulci are not known"
    box = bounding_box(inputs.brain_mask)
    grid, brain = inputs.grid.cut(box), inputs.brain_mask[box]
    sulci = inputs.csf[box] > 0.5
    if inputs.ventricle_mask is not None:
        sulci &= ~inputs.ventricle_mask[box]
    from_fluid_mm = distance_inside_mm(brain & ~sulci, grid)
    cortex = brain & (from_fluid_mm <= p.cortex_mm)
    near = cortex & ~_beside_air(inputs, box, p.air_mm)
    share = float((near & _field_mask(inputs)[box])[cortex].mean()) if cortex.any() else 0.0
    if share < p.least_seen:
        return f"only {100 * share:.0f} % of the cortex is free of dropout and near no air"
    return _Cortex(box=box, grid=grid, from_fluid_mm=from_fluid_mm, near=near)


def _beside_air(inputs: LesionInputs, box: tuple[slice, slice, slice], reach_mm: float) -> Mask:
    """Return what lies within a reach of an air cavity, on a box."""
    air = inputs.air_mask
    if air is None or not air.any():
        return np.zeros(inputs.grid.cut(box).shape, dtype=bool)
    return np.asarray(dilate_mm(air, inputs.grid, reach_mm)[box])


def _above(values: npt.NDArray[np.floating], deviations: float) -> float:
    """Return the median and so many robust standard deviations more."""
    if not values.size:
        return np.inf
    return float(np.median(values)) + deviations * robust_sd(values)


def _field_mask(inputs: LesionInputs) -> Mask:
    return inputs.brain_mask if inputs.field_mask is None else inputs.field_mask


def _is_lobar(body: Voxels, inputs: LesionInputs) -> bool:
    """Return whether most of some voxels lie in a lobe."""
    if inputs.region_of is None:
        return False
    some = body[:: max(1, len(body) // 20)].tolist()
    regions = [inputs.region_of((i, j, k)) for i, j, k in some]
    return sum(r is not None and r.compartment == "lobar" for r in regions) > len(regions) / 2


def _sheets(dark: Mask, near: Mask, grid: Grid, p: SiderosisParams) -> list[Voxels]:
    """Return the voxels of each sheet among dark voxels near the surface.

    What is dark elsewhere fills the balls as well: a hematoma at the surface is no sheet.
    """
    at = np.argwhere(dark & near)
    if not len(at):
        return []
    volume, ratio = np.zeros((2, *dark.shape), dtype=np.float32)
    volume[tuple(at.T)], ratio[tuple(at.T)] = _form(dark, at, grid.spacing_mm, p.reach_mm)
    core = (volume >= p.sheet_mm3) & (ratio >= p.sheet_ratio)
    parts, n = label_26(volume >= p.rim_mm3)
    solid_mm3 = p.solid * 4 / 3 * np.pi * p.reach_mm**3
    out = []
    for body in _split(parts) if n else []:
        inside = tuple(body.T)
        longest, second, _ = _axes_mm(body, grid)
        if (
            core[inside].sum() * grid.voxel_mm3 >= p.core_mm3
            and np.median(volume[inside]) <= solid_mm3
            and longest >= p.longest_mm
            and second >= p.second_mm
        ):
            out.append(body)
    return out


@compiled
def _form(dark, at, spacing, reach):  # type: ignore[no-untyped-def]
    """Return volume and second over first moment of what is dark in a ball around each voxel."""
    s = dark.shape
    voxel = spacing[0] * spacing[1] * spacing[2]
    r, out, m = np.zeros(3, dtype=np.int64), np.zeros((2, len(at))), np.zeros((3, 3))
    for a in range(3):
        r[a] = int(reach / spacing[a])
    step, total = np.zeros(3), np.zeros(3)
    for n in range(len(at)):
        count = 0.0
        total[:] = 0.0
        m[:] = 0.0
        for i in range(max(at[n, 0] - r[0], 0), min(at[n, 0] + r[0] + 1, s[0])):
            step[0] = (i - at[n, 0]) * spacing[0]
            for j in range(max(at[n, 1] - r[1], 0), min(at[n, 1] + r[1] + 1, s[1])):
                step[1] = (j - at[n, 1]) * spacing[1]
                for k in range(max(at[n, 2] - r[2], 0), min(at[n, 2] + r[2] + 1, s[2])):
                    if not dark[i, j, k]:
                        continue
                    step[2] = (k - at[n, 2]) * spacing[2]
                    if step[0] ** 2 + step[1] ** 2 + step[2] ** 2 > reach**2:
                        continue
                    count += 1
                    for a in range(3):
                        total[a] += step[a]
                        for b in range(3):
                            m[a, b] += step[a] * step[b]
        for a in range(3):
            for b in range(3):
                m[a, b] = m[a, b] / count - total[a] * total[b] / count**2
        axes = np.linalg.eigvalsh(m)
        out[0, n] = count * voxel
        out[1, n] = axes[1] / max(axes[2], 1e-6)
    return out


def _split(parts: npt.NDArray[np.int32]) -> list[Voxels]:
    """Return the voxels of each label."""
    at = np.argwhere(parts)
    label = parts[tuple(at.T)]
    order = np.argsort(label, kind="stable")
    return np.split(at[order], np.flatnonzero(np.diff(label[order])) + 1)


def _axes_mm(body: Voxels, grid: Grid) -> tuple[float, float, float]:
    """Return the axes of the ellipsoid of the second moments, longest first [mm]."""
    at = body * grid.spacing_mm
    centred = at - at.mean(axis=0)
    moments = centred.T @ centred / len(at) + np.diag(grid.spacing_mm**2 / 12)
    a, b, c = (2 * np.sqrt(5 * np.linalg.eigvalsh(moments)[::-1])).tolist()
    return a, b, c


def _by_sulcus(sheets: Sequence[Voxels], grid: Grid, reach_mm: float) -> list[Voxels]:
    """Join sheets that come near each other."""
    trees = [cKDTree(sheet * grid.spacing_mm) for sheet in sheets]
    group = np.arange(len(sheets))
    for n in range(len(sheets)):
        for m in range(n):
            if group[n] != group[m] and trees[n].count_neighbors(trees[m], reach_mm):
                group[group == group[n]] = group[m]
    return [
        np.concatenate([s for s, g in zip(sheets, group, strict=True) if g == one])
        for one in np.unique(group)
    ]
