"""Where a void lies: near what, in what, and whether a vein runs through it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import cKDTree

from petechia.core.grid import Grid
from petechia.core.morphology import CONNECT_26
from petechia.core.together import together
from petechia.lesions.inputs import LesionInputs

Mask = npt.NDArray[np.bool_]
Voxels = npt.NDArray[np.int64]

VEIN_FROM_MM = 10.0
"""A tracked tube from this length on is a vein to measure distances to."""
CONTINUES_FROM_MM = 8.0
"""So much tube beyond a void's own extent is told as a vein that runs through it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Surroundings of one void; None where nothing was given to tell it from.

    Attributes
    ----------
    to_surface_mm, to_sulcus_mm, to_ventricle_mm, to_vein_mm, to_air_mm : float or None
        From the void's centre to the nearest voxel at the border of what is outside the brain, of
        sulcal fluid, of a ventricle, of a vein of at least 10 mm, of an air cavity [mm]; of veins
        alone without the voxels of any void. Infinite when there is none in the scan.
    vein_beyond_mm : float or None
        Length of the longest tube through the void, less the void's own longest extent [mm].
    csf_around : float or None
        Mean share of fluid in the layer of voxels around, within the brain, 0 to 1.
    in_sulcus : bool or None
        More than half of that layer is fluid outside the ventricles, or not brain.
    structure : str or None
        "pallidum", "choroid_plexus", "pineal", or "" for none of them.
    """

    to_surface_mm: float | None = None
    to_sulcus_mm: float | None = None
    to_ventricle_mm: float | None = None
    to_vein_mm: float | None = None
    to_air_mm: float | None = None
    vein_beyond_mm: float | None = None
    csf_around: float | None = None
    in_sulcus: bool | None = None
    structure: str | None = None

    @property
    def continues(self) -> bool:
        """True when a vein runs through the void."""
        return self.vein_beyond_mm is not None and self.vein_beyond_mm >= CONTINUES_FROM_MM

    def features(self) -> dict[str, float]:
        """Return all as numbers, NaN for what is not known; distances end at 50 mm."""
        out = {}
        for name, value in asdict(self).items():
            if name == "structure":
                for place in ("pallidum", "choroid_plexus", "pineal"):
                    out[f"in_{place}"] = float("nan") if value is None else float(value == place)
            elif value is None:
                out[name] = float("nan")
            else:
                out[name] = min(float(value), 50.0)
        return out


def contexts(bodies: Sequence[Voxels], inputs: LesionInputs) -> list[Context]:
    """Return the surroundings of each void.

    Parameters
    ----------
    bodies : sequence of (N, 3) ndarray of int
        Voxels of each void, on the grid of `inputs`.
    inputs : LesionInputs
        Whole arrays, not cut to the brain: air lies outside of it.
    """
    if not bodies:
        return []
    grid = inputs.grid
    centres = np.array([body.mean(axis=0) for body in bodies]) * grid.spacing_mm
    sulci = None
    if inputs.csf is not None:
        sulci = (inputs.csf > 0.5) & inputs.brain_mask
        if inputs.ventricle_mask is not None:
            sulci &= ~inputs.ventricle_mask
    own = np.zeros(grid.shape, dtype=bool)
    for body in bodies:
        own[tuple(body.T)] = True
    veins = None if inputs.vein_length_mm is None else inputs.vein_length_mm >= VEIN_FROM_MM
    targets = {
        "to_surface_mm": ~inputs.brain_mask,
        "to_sulcus_mm": sulci,
        "to_ventricle_mm": inputs.ventricle_mask,
        "to_vein_mm": None if veins is None else veins & ~own,
        "to_air_mm": inputs.air_mask,
    }
    there = {name: mask for name, mask in targets.items() if mask is not None}
    found = together([partial(distances_mm, centres, mask, grid) for mask in there.values()])
    away = dict.fromkeys(targets) | dict(zip(there, found, strict=True))
    out = []
    for n, body in enumerate(bodies):
        around, in_sulcus = _fluid_around(body, inputs)
        out.append(
            Context(
                **{name: None if d is None else float(d[n]) for name, d in away.items()},
                vein_beyond_mm=_beyond(body, inputs.vein_length_mm, grid),
                csf_around=around,
                in_sulcus=in_sulcus,
                structure=_structure(body, inputs.structures),
            )
        )
    return out


def distances_mm(
    places_mm: npt.NDArray[np.float64], mask: Mask, grid: Grid
) -> npt.NDArray[np.float64]:
    """Return the distance of places (voxel index times spacing) to the nearest voxel of `mask`.

    Only voxels at the border of the mask are looked at; from inside of it the distance is
    therefore that to its border. Infinite for an empty mask.
    """
    rim = np.argwhere(mask & ~ndimage.binary_erosion(mask, border_value=1))
    if not len(rim):
        return np.full(len(places_mm), np.inf)
    found, _ = cKDTree(rim * grid.spacing_mm).query(places_mm)
    return np.asarray(found, dtype=np.float64)


def longest_mm(body: Voxels, grid: Grid) -> float:
    """Return the longest axis of the ellipsoid of the voxels' second moments [mm]."""
    at = body * grid.spacing_mm
    centred = at - at.mean(axis=0)
    moments = centred.T @ centred / len(at) + np.diag(grid.spacing_mm**2 / 12)
    return float(2 * np.sqrt(5 * np.linalg.eigvalsh(moments)[-1]))


def _beyond(body: Voxels, length_mm: npt.NDArray[np.floating] | None, grid: Grid) -> float | None:
    if length_mm is None:
        return None
    return max(float(length_mm[tuple(body.T)].max()) - longest_mm(body, grid), 0.0)


def _fluid_around(body: Voxels, inputs: LesionInputs) -> tuple[float | None, bool | None]:
    """Return the mean share of fluid in the layer around, and whether that is a sulcus."""
    if inputs.csf is None:
        return None, None
    low = np.maximum(body.min(axis=0) - 2, 0)
    high = np.minimum(body.max(axis=0) + 3, inputs.grid.shape)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    inside = np.zeros(high - low, dtype=bool)
    inside[tuple((body - low).T)] = True
    layer = ndimage.binary_dilation(inside, CONNECT_26) & ~inside
    brain = inputs.brain_mask[box] & layer
    if not brain.any():
        return None, None
    fluid = inputs.csf[box]
    outer = (fluid > 0.5) | ~inputs.brain_mask[box]
    if inputs.ventricle_mask is not None:
        outer &= ~inputs.ventricle_mask[box]
    return float(fluid[brain].mean()), bool(outer[layer].mean() > 0.5)


def _structure(body: Voxels, structures: Mapping[str, Mask] | None) -> str | None:
    """Return the structure that holds most of a void, if it holds a third of it."""
    if structures is None:
        return None
    held = {name: float(mask[tuple(body.T)].mean()) for name, mask in structures.items()}
    best = max(held, key=lambda name: held[name], default="")
    return best if best and held[best] > 1 / 3 else ""
