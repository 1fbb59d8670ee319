"""Superficial siderosis: dark sheets along the cortex, for the reader; never microbleeds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from petechia.core.compiled import compiled
from petechia.core.grid import Grid
from petechia.core.morphology import bounding_box, distance_inside_mm, label_26
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
    dark, dark_sd : float
        Least loss of signal, as a share and in units of texture; the larger one holds.
    chi_ppm : float
        Least susceptibility, where it is known [ppm].
    cortex_mm : float
        Sheets lie so near to sulcal fluid or to the surface of the brain [mm].
    air_mm : float
        Nothing is looked for so near to an air cavity [mm].
    reach_mm : float
        A voxel is judged by what is dark within this distance [mm].
    sheet_mm3, sheet_ratio : float
        Least volume of it [mm^3], and least ratio of its second to its first moment: a sheet
        fills more of a ball than a vein does, and in two directions.
    rim_mm3 : float
        A sheet goes on to dark voxels that have at least this volume around them [mm^3].
    longest_mm, second_mm : float
        Least longest and second axis of a sheet [mm].
    least_mm3 : float
        Least volume [mm^3].
    tube, tube_share : float
        At most this share of a sheet may look like a vessel by more than `tube`.
    same_sulcus_mm : float
        Sheets nearer to each other than this are in one sulcus [mm].
    """

    dark: float = 0.2
    dark_sd: float = 3.0
    chi_ppm: float = 0.04
    cortex_mm: float = 3.0
    air_mm: float = 8.0
    reach_mm: float = 5.0
    sheet_mm3: float = 110.0
    sheet_ratio: float = 0.3
    rim_mm3: float = 60.0
    longest_mm: float = 10.0
    second_mm: float = 6.0
    least_mm3: float = 100.0
    tube: float = 0.3
    tube_share: float = 0.35
    same_sulcus_mm: float = 5.0

    def __post_init__(self) -> None:
        if not (0 < self.dark < 1 and 0 <= self.tube_share <= 1):
            raise ParameterError(
                f"{self}",
                where="SiderosisParams",
                mend="dark and tube_share are shares between 0 and 1.",
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
) -> list[Sheet]:
    """Return dark sheets along the cortex, one for each sulcus, the largest first.

    Dark in the SWI (the magnitude without one), paramagnetic where susceptibility is known,
    near sulcal fluid or the surface, far from air, wide as well as long, and not like a vessel.

    Parameters
    ----------
    inputs : LesionInputs
        Arrays of one scan. Without susceptibility of a trusted sign nothing is found: see
        `searched`. Without `csf` only the surface of the brain tells the cortex;
        without `vessel` veins are told by their width alone.
    params : SiderosisParams
        Settings.
    signal_params : SignalParams
        How the background is found.

    Notes
    -----
    Curved sheets in two banks of one sulcus are one. Thin sheets in voxels much thicker than
    they are do not stand out. The falx and the tentorium can look alike.
    """
    p = params or SiderosisParams()
    if not inputs.brain_mask.any() or not searched(inputs):
        return []
    box = bounding_box(inputs.brain_mask)
    grid, brain = inputs.grid.cut(box), inputs.brain_mask[box]
    image = inputs.magnitude if inputs.swi is None else inputs.swi
    relative = relative_signal(image[box], brain, grid, signal_params)
    least = max(p.dark, p.dark_sd * relative.texture)
    dark = brain & (relative.value < 1 - least) & _cortex(inputs, box, grid, p)
    chi = np.asarray(inputs.chi_ppm)[box]
    known = chi != 0 if inputs.field_mask is None else inputs.field_mask[box]
    dark &= ~known | (chi > p.chi_ppm)
    parts, n = label_26(_sheets(dark, grid, p))
    if n == 0:
        return []
    vessel = None if inputs.vessel is None else inputs.vessel[box] > p.tube
    corner = np.array([s.start for s in box])
    sheets = [
        part
        for part in _split(parts)
        if len(part) * grid.voxel_mm3 >= p.least_mm3
        and _axes_mm(part, grid)[0] >= p.longest_mm
        and _axes_mm(part, grid)[1] >= p.second_mm
        and (vessel is None or vessel[tuple(part.T)].mean() <= p.tube_share)
        and _is_lobar(part + corner, inputs)
    ]
    found = []
    for body in _by_sulcus(sheets, grid, p.same_sulcus_mm):
        at = tuple(body.T)
        length, width, _ = _axes_mm(body, grid)
        mean = float(chi[at][known[at]].mean()) if known[at].any() else None
        found.append(
            Sheet(
                body=body + corner,
                length_mm=length,
                width_mm=width,
                volume_mm3=len(body) * grid.voxel_mm3,
                chi_ppm=mean,
                loss=float(1 - relative.value[at].mean()),
            )
        )
    return sorted(found, key=lambda s: (-round(s.volume_mm3, 3), *s.body[0].tolist()))


def searched(inputs: LesionInputs) -> bool:
    """Return whether siderosis can be looked for: not without susceptibility.

    In a magnitude alone, dropout at the skull base makes several sheets a head.
    """
    return inputs.chi_ppm is not None and inputs.sign_trusted


def _is_lobar(body: Voxels, inputs: LesionInputs) -> bool:
    """Return whether most of some voxels lie in a lobe; True when regions are not known."""
    if inputs.region_of is None:
        return True
    some = body[:: max(1, len(body) // 20)].tolist()
    regions = [inputs.region_of((i, j, k)) for i, j, k in some]
    return sum(r is not None and r.compartment == "lobar" for r in regions) > len(regions) / 2


def _cortex(
    inputs: LesionInputs, box: tuple[slice, slice, slice], grid: Grid, p: SiderosisParams
) -> Mask:
    """Return what is near a sulcus or the surface, and far from air."""
    outer = ~inputs.brain_mask[box]
    if inputs.csf is not None:
        sulci = inputs.csf[box] > 0.5
        if inputs.ventricle_mask is not None:
            sulci &= ~inputs.ventricle_mask[box]
        outer = outer | sulci
    near = distance_inside_mm(~outer, grid) <= p.cortex_mm
    if inputs.air_mask is not None and inputs.air_mask.any():
        near &= distance_inside_mm(~inputs.air_mask, inputs.grid)[box] > p.air_mm
    return near


def _sheets(dark: Mask, grid: Grid, p: SiderosisParams) -> Mask:
    """Return the dark voxels that lie in sheets."""
    out = np.zeros_like(dark)
    at = np.argwhere(dark)
    if not len(at):
        return out
    volume, ratio = _form(dark, at, grid.spacing_mm, p.reach_mm)
    core = (volume >= p.sheet_mm3) & (ratio >= p.sheet_ratio)
    out[tuple(at[volume >= p.rim_mm3].T)] = True
    parts, n = label_26(out)
    held = np.zeros(n + 1, dtype=bool)
    held[parts[tuple(at[core].T)]] = True
    held[0] = False
    return np.asarray(held[parts], dtype=bool)


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
