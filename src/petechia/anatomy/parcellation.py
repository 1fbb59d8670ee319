"""From an atlas of cortex and nuclei to the MARS sites, white matter included.

CerebrA labels cortex, nuclei, ventricles, brainstem and cerebellum, but no cerebral white
matter, capsules or corpus callosum, which MARS asks for. They follow from their neighbours:

corpus callosum
    White matter within `callosum_reach_mm` of the midline whose place in the sagittal plane
    falls in the midsagittal section of the callosum (the white matter that crosses the midline
    above the ventricles and the third ventricle), widened by `callosum_widen_mm`: the fibres
    run straight across before they fan out.
internal capsule
    White matter shut in between thalamus or caudate (medially) and the lentiform nucleus
    (laterally): what a morphological closing of the two adds and lies within
    `capsule_reach_mm` of both.
external capsule
    All that is not nucleus or cortex between putamen and insula, thus with the claustrum and
    the extreme capsule, which no gradient-echo scan tells apart.
deep and periventricular white matter
    Other white matter within `periventricular_mm` of a lateral ventricle and not within
    `u_fibre_mm` of cortex (a gyrus that comes close to the ventricle stays lobar), within
    `temporal_horn_mm` of the temporal horn (its surroundings are too thin for the wider band), or
    further than `subcortical_mm` from any cortex (corona radiata, centrum semiovale). MARS names
    the site without millimetres; 10 mm from the ventricle is the usual bound of periventricular.
lobes
    The rest of the white matter is subcortical: it belongs to the lobe of the nearest cortex.
    Cingulate cortex is frontal in front (rostral and caudal anterior) and parietal behind
    (posterior, isthmus); hippocampus and amygdala are temporal.
basal ganglia
    Caudate, putamen, pallidum, accumbens and basal forebrain.
thalamus, brainstem
    The ventral diencephalon (subthalamus, substantia nigra, peduncle) goes with the thalamus
    above `midbrain_z_mm` and with the brainstem below, where it is midbrain.

Pieces of a region smaller than `speck_mm3` are given up. What is left of the brain mask (sulcal
fluid, unlabelled rims, specks) takes the nearest label, so that a lesion at the very surface still
has a site. Distances are template millimetres.
"""

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.anatomy.sites import VENTRICLE_LABELS, label_of
from petechia.core.grid import Grid
from petechia.core.morphology import Mask, close_mm, distance_inside_mm, largest_component
from petechia.errors import ParameterError

Labels = npt.NDArray[np.int16]

RIGHT_TO_LEFT = 51
"""CerebrA's left labels are its right ones plus this."""

CEREBRA = {
    "frontal": (30, 42, 7, 15, 16, 32, 44, 22, 35, 8, 1, 38),
    "parietal": (10, 33, 13, 47, 31, 9, 51),
    "temporal": (36, 24, 3, 28, 18, 45, 14, 48, 19),
    "occipital": (43, 34, 12, 6),
    "insula": (23,),
    "caudate": (49,),
    "putamen": (21,),
    "pallidum": (27,),
    "ventral_striatum": (4, 25),
    "thalamus": (40,),
    "ventral_diencephalon": (26,),
    "brainstem": (11,),
    "cerebellum": (46, 39, 50, 2, 20),
    "lateral_ventricle": (41,),
    "temporal_horn": (5,),
    "third_fourth_ventricle": (29, 37),
}
"""Right-hand CerebrA labels by structure (the optic chiasm is left out: no site has it)."""

LOBES = ("frontal", "parietal", "temporal", "occipital", "insula")


@dataclass(frozen=True, slots=True, kw_only=True)
class ParcellationParams:
    """Distances of the rules above [mm], the level of the midbrain, and what is a speck [mm^3]."""

    callosum_reach_mm: float = 16.0
    callosum_widen_mm: float = 2.0
    capsule_reach_mm: float = 9.0
    periventricular_mm: float = 10.0
    u_fibre_mm: float = 3.0
    temporal_horn_mm: float = 2.0
    subcortical_mm: float = 8.0
    speck_mm3: float = 150.0
    midbrain_z_mm: float = -9.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name != "midbrain_z_mm" and not value > 0:
                raise ParameterError(
                    f"{field.name} = {value}",
                    where="ParcellationParams",
                    mend="Give a value above 0.",
                )


def mars_regions(
    cerebra: npt.NDArray[np.integer],
    white: npt.NDArray[np.floating],
    brain: Mask,
    grid: Grid,
    params: ParcellationParams | None = None,
    left: Mask | None = None,
) -> Labels:
    """Return the MARS site of every voxel of a template's brain.

    Parameters
    ----------
    cerebra : (I, J, K) ndarray of int
        CerebrA labels, 0..102.
    white : (I, J, K) ndarray of float
        Probability of white matter, 0..1.
    brain : (I, J, K) ndarray of bool
        Brain mask of the template.
    grid : Grid
        Geometry; world coordinates must be the template's (midline at x = 0).
    params : ParcellationParams, optional
        Distances.
    left : (I, J, K) ndarray of bool, optional
        The left half, where it is known better than by x < 0.

    Returns
    -------
    regions : (I, J, K) ndarray of int16
        Labels of `petechia.anatomy.sites.REGIONS`, 0 outside `brain`.

    References
    ----------
    Manera et al. 2020, 10.1038/s41597-020-0557-9 (CerebrA);
    Gregoire et al. 2009, 10.1212/WNL.0b013e3181c34a7d (MARS)
    """
    chosen = params or ParcellationParams()
    for name, array in (("cerebra", cerebra), ("white", white), ("brain", brain)):
        grid.require(array, name)
    out = np.zeros(grid.shape, dtype=np.int16)
    x_mm = _world(grid, 0)
    half = x_mm < 0 if left is None else left
    sides = {"left": half, "right": ~half}
    for side, half in sides.items():
        _label_grey(out, cerebra, half, side, grid, chosen)
    _label_white(out, cerebra, np.asarray(white) > 0.5, brain, sides, grid, chosen)
    _drop_specks(out, grid, chosen.speck_mm3)
    _fill(out, brain, sides, grid)
    return out


def structure(cerebra: npt.NDArray[np.integer], name: str) -> Mask:
    """Return both sides of a structure of `CEREBRA`."""
    right = CEREBRA[name]
    both = [*right, *(n + RIGHT_TO_LEFT for n in right)]
    mask: Mask = np.isin(cerebra, both)
    return mask


def _world(grid: Grid, axis: int) -> npt.NDArray[np.float32]:
    row = grid.affine[axis]
    i, j, k = (np.arange(n, dtype=np.float32) for n in grid.shape)
    out = row[0] * i[:, None, None] + row[1] * j[None, :, None] + row[2] * k[None, None, :] + row[3]
    return np.asarray(out, dtype=np.float32)


def _label_grey(
    out: Labels,
    cerebra: npt.NDArray[np.integer],
    half: Mask,
    side: str,
    grid: Grid,
    params: ParcellationParams,
) -> None:
    def put(structures: tuple[str, ...], label: int, where: Mask = half) -> None:
        for name in structures:
            out[structure(cerebra, name) & where] = label

    for site in (*LOBES, "cerebellum", "thalamus"):
        put((site,), label_of(site, side))
    put(("caudate", "putamen", "pallidum", "ventral_striatum"), label_of("basal_ganglia", side))
    low = _world(grid, 2) < params.midbrain_z_mm
    put(("ventral_diencephalon",), label_of("thalamus", side), half & ~low)
    put(("ventral_diencephalon",), label_of("brainstem", "midline"), half & low)
    put(("brainstem",), label_of("brainstem", "midline"))
    left, right, middle = VENTRICLE_LABELS
    put(("lateral_ventricle", "temporal_horn"), left if side == "left" else right)
    put(("third_fourth_ventricle",), middle)


def _label_white(
    out: Labels,
    cerebra: npt.NDArray[np.integer],
    white: Mask,
    brain: Mask,
    sides: dict[str, Mask],
    grid: Grid,
    params: ParcellationParams,
) -> None:
    free = brain & (out == 0)
    cerebral = free & white
    cortex = np.logical_or.reduce([structure(cerebra, name) for name in LOBES])
    near = {
        "cortex": distance_inside_mm(~cortex, grid),
        "ventricle": distance_inside_mm(~structure(cerebra, "lateral_ventricle"), grid),
        "horn": distance_inside_mm(~structure(cerebra, "temporal_horn"), grid),
    }
    deep = (near["ventricle"] <= params.periventricular_mm) & (near["cortex"] >= params.u_fibre_mm)
    deep |= near["horn"] <= params.temporal_horn_mm
    deep |= near["cortex"] > params.subcortical_mm
    lobe_labels = [label_of(site, side) for site in LOBES for side in sides]
    lobes = np.where(np.isin(out, lobe_labels), out, 0).astype(np.int16)
    rules = (
        ("deep_periventricular_wm", cerebral & deep),
        ("internal_capsule", cerebral & _internal_capsule(cerebra, grid, params)),
        ("external_capsule", free & _external_capsule(cerebra, grid, params)),
        ("corpus_callosum", cerebral & _callosum(cerebra, cerebral, grid, params)),
    )
    for side, half in sides.items():  # later rules win
        _nearest(lobes, out, cerebral & half, half, grid)
        for site, mask in rules:
            out[mask & half] = label_of(site, side)


def _internal_capsule(
    cerebra: npt.NDArray[np.integer], grid: Grid, params: ParcellationParams
) -> Mask:
    medial = structure(cerebra, "thalamus") | structure(cerebra, "caudate")
    lentiform = structure(cerebra, "putamen") | structure(cerebra, "pallidum")
    between = close_mm(medial | lentiform, grid, params.capsule_reach_mm)
    for nucleus in (medial, lentiform):
        between &= distance_inside_mm(~nucleus, grid) <= params.capsule_reach_mm
    return between


def _external_capsule(
    cerebra: npt.NDArray[np.integer], grid: Grid, params: ParcellationParams
) -> Mask:
    putamen, insula = structure(cerebra, "putamen"), structure(cerebra, "insula")
    between = close_mm(putamen | insula, grid, params.capsule_reach_mm)
    return (
        between
        & (distance_inside_mm(~putamen, grid) <= params.capsule_reach_mm / 2)
        & (distance_inside_mm(~insula, grid) <= params.capsule_reach_mm)
        & (np.abs(_world(grid, 0)) > _mean(np.abs(_world(grid, 0))[putamen]))
    )


def _callosum(
    cerebra: npt.NDArray[np.integer], cerebral: Mask, grid: Grid, params: ParcellationParams
) -> Mask:
    # the template's sagittal axis: the array axis nearest to x
    axis = int(np.argmax(np.abs(grid.affine[0, :3])))
    x_mm = _world(grid, 0)
    middle = np.abs(x_mm) <= 1.01
    third = structure(cerebra, "third_fourth_ventricle")
    floor = _mean(_world(grid, 2)[third])
    core = largest_component(cerebral & middle & (_world(grid, 2) > floor))
    section = np.broadcast_to(core.any(axis=axis, keepdims=True), core.shape)
    wide = distance_inside_mm(~section, grid) <= params.callosum_widen_mm
    return wide & (np.abs(x_mm) <= params.callosum_reach_mm)


def _mean(values: npt.NDArray[np.float32]) -> float:
    return float(values.mean()) if values.size else -np.inf


def _nearest(source: Labels, out: Labels, where: Mask, half: Mask, grid: Grid) -> None:
    """Give `out` at `where` the nearest label of `source` on the same side."""
    seeds = (source > 0) & half
    if not (seeds.any() and where.any()):
        return
    places = ndimage.distance_transform_edt(
        ~seeds, sampling=grid.spacing_mm, return_distances=False, return_indices=True
    )
    out[where] = source[tuple(p[where] for p in places)]


def _drop_specks(out: Labels, grid: Grid, speck_mm3: float) -> None:
    for label in np.setdiff1d(np.unique(out), (0, *VENTRICLE_LABELS)):
        parts, _ = ndimage.label(out == label)
        small = np.bincount(parts.ravel()) * grid.voxel_mm3 < speck_mm3
        small[0] = False
        out[small[parts]] = 0


def _fill(out: Labels, brain: Mask, sides: dict[str, Mask], grid: Grid) -> None:
    seeds = np.where(np.isin(out, VENTRICLE_LABELS), 0, out).astype(np.int16)
    for half in sides.values():
        _nearest(seeds, out, brain & half & (out == 0), half, grid)
    out[~brain] = 0
