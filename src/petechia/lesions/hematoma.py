"""Bleeds larger than a microbleed: how large, and at which stage of their hemoglobin.

The stage follows from how the blood looks on T1w and T2w images and from its susceptibility,
by the textbook sequence. Each image adds to or takes from the odds of five stages; nothing is
claimed unless one stage is clearly likelier than all others together.

References
----------
.. [1] Bradley (1993), Radiology 189, 15-26, doi:10.1148/radiology.189.1.8372185 (T1 and T2).
.. [2] Chang, Zhang, Zhang et al. (2016), J. Magn. Reson. Imaging 44, 420-425,
   doi:10.1002/jmri.25143 (susceptibility).
.. [3] Kothari, Brott, Broderick et al. (1996), Stroke 27, 1304-1305,
   doi:10.1161/01.STR.27.8.1304 (ABC/2).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import pdist, squareform

from petechia.core.grid import Grid
from petechia.core.morphology import Mask, bounding_box, dilate_mm, widened_box
from petechia.errors import ParameterError

LOOKS = ("dark", "iso", "bright")
GAP_MM, RING_MM = 2.0, 8.0
"""Around the bleed: what is left out, and how far the tissue that it is compared to reaches."""
IN_PLACE = 0.9
"""Chance that a stage looks as it should."""
LIKELY = 0.7
"""Chance from which a stage is named."""
POSSIBLE = 0.1
CHI_SLOPPY_PPM = 0.15
"""How far a map may be off inside a bleed, beside the spread between bleeds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage: how long after the bleed, of what, and how it looks.

    Attributes
    ----------
    time, pigment : str
        For people.
    t1, t2 : tuple of str
        Out of `LOOKS`, against brain.
    chi_ppm : tuple of float
        Mean and standard deviation.
    """

    time: str
    pigment: str
    t1: tuple[str, ...]
    t2: tuple[str, ...]
    chi_ppm: tuple[float, float]


STAGES = {
    "hyperacute": Stage(
        time="below 1 day", pigment="oxyhemoglobin in cells, some deoxyhemoglobin",
        t1=("iso", "dark"), t2=("iso", "bright"), chi_ppm=(0.57, 0.48),
    ),
    "acute": Stage(
        time="1 to 3 days", pigment="deoxyhemoglobin in cells",
        t1=("iso", "dark"), t2=("dark",), chi_ppm=(1.30, 0.33),
    ),
    "early subacute": Stage(
        time="3 to 7 days", pigment="methemoglobin in cells",
        t1=("bright",), t2=("dark",), chi_ppm=(1.14, 0.46),
    ),
    "late subacute": Stage(
        time="1 to 4 weeks", pigment="free methemoglobin",
        t1=("bright",), t2=("bright",), chi_ppm=(0.40, 0.13),
    ),
    "chronic": Stage(
        time="more than 4 weeks", pigment="hemosiderin",
        t1=("dark",), t2=("dark",), chi_ppm=(0.71, 0.31),
    ),
}  # fmt: skip
"""Looks [1]_ and susceptibilities [2]_."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Staging:
    """What can be said of a bleed's stage.

    Attributes
    ----------
    stage : str or None
        A key of `STAGES`; None: not estimated.
    chances : dict of str to float
        Of every stage, summing to 1, all alike beforehand.
    says : str
        The stage and what it rests on, or why there is none and what is missing.
    """

    stage: str | None
    chances: dict[str, float]
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large a bleed looks.

    Attributes
    ----------
    voxels_ml : float
        Volume of its label.
    abc2_ml : float
        Half of the product of its diameters, as read by hand.
    a_mm, b_mm, c_mm : float
        Longest diameter of the largest slice, the longest across it, and the height.
    """

    voxels_ml: float
    abc2_ml: float
    a_mm: float
    b_mm: float
    c_mm: float


def size_of(label: Mask, grid: Grid) -> Size:
    r"""Return a bleed's volume by its voxels and by :math:`A B C / 2`.

    A is the longest diameter in the slice of the largest area, B the longest at right angles to
    it, C the height of all slices. The paper's CT counts slices of small area by half or not at
    all; in thin slices that would halve an ellipsoid.

    Parameters
    ----------
    label : (I, J, K) ndarray of bool
        The bleed as it looks.
    grid : Grid
        Geometry.

    Raises
    ------
    GridMismatchError
        If the label is not on `grid`.
    ParameterError
        If it is empty.
    """
    grid.require(label, "label")
    if not label.any():
        raise ParameterError("no voxel", where="label", mend="Give the voxels of one finding.")
    axis = grid.slice_axis
    areas = label.sum(axis=tuple(a for a in range(3) if a != axis))
    largest = int(areas.argmax())
    in_plane = [a for a in range(3) if a != axis]
    plane = np.take(label, largest, axis=axis)
    spacing = grid.spacing_mm[in_plane]
    a_mm, b_mm = _diameters(np.argwhere(plane) * spacing, float(spacing.mean()))
    c_mm = float((areas > 0).sum() * grid.spacing_mm[axis])
    return Size(
        voxels_ml=float(label.sum()) * grid.voxel_mm3 / 1000,
        abc2_ml=a_mm * b_mm * c_mm / 2000,
        a_mm=a_mm,
        b_mm=b_mm,
        c_mm=c_mm,
    )


def _diameters(places_mm: npt.NDArray[np.float64], voxel_mm: float) -> tuple[float, float]:
    """Return the longest extent of places in a plane, and the longest at right angles to it."""
    if len(places_mm) < 2:
        return voxel_mm, voxel_mm
    few = places_mm[_on_hull(places_mm)]
    apart = squareform(pdist(few))
    p, q = np.unravel_index(int(apart.argmax()), apart.shape)
    along = (few[q] - few[p]) / max(float(apart[p, q]), 1e-9)
    across = few @ np.array([-along[1], along[0]])
    return float(apart[p, q]) + voxel_mm, float(np.ptp(across)) + voxel_mm


def _on_hull(places_mm: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """Return the places that are outermost in one of many directions."""
    turn = np.linspace(0, np.pi, 90, endpoint=False)
    ways = places_mm @ np.stack([np.cos(turn), np.sin(turn)])
    return np.unique(np.concatenate([ways.argmax(axis=0), ways.argmin(axis=0)]))


def look_of(image: npt.NDArray[np.floating], label: Mask, tissue: Mask, grid: Grid) -> str | None:
    """Return whether a bleed is dark, iso or bright against the tissue around it.

    Iso is what lies between the 10th and the 90th percentile of that tissue, grey and white
    matter together, and 5 % beyond.

    Parameters
    ----------
    image : (I, J, K) ndarray of float
        T1w or T2w on the scan's grid; not finite where it has no data.
    label : (I, J, K) ndarray of bool
        The bleed.
    tissue : (I, J, K) ndarray of bool
        Brain without fluid and without other findings.
    grid : Grid
        Geometry.

    Returns
    -------
    str or None
        One of `LOOKS`; None where the image does not cover bleed and surroundings.
    """
    for name, array in (("image", image), ("label", label), ("tissue", tissue)):
        grid.require(array, name)
    if not label.any():
        return None
    reach = np.ceil((GAP_MM + RING_MM) / grid.spacing_mm).astype(int) + 1
    box = widened_box(bounding_box(label), reach, grid.shape)
    part, here = np.asarray(image[box], dtype=np.float64), label[box]
    small = grid.cut(box)
    near = dilate_mm(here, small, GAP_MM)
    around = dilate_mm(here, small, GAP_MM + RING_MM) & ~near & tissue[box] & np.isfinite(part)
    inside = here & np.isfinite(part)
    if around.sum() < 50 or inside.sum() < 0.5 * here.sum():
        return None
    low, high = np.percentile(part[around], [10, 90])
    middle = float(np.median(part[inside]))
    if middle < 0.95 * low:
        return "dark"
    return "bright" if middle > 1.05 * high else "iso"


def likely_stage(
    t1: str | None = None, t2: str | None = None, chi_ppm: float | None = None
) -> Staging:
    """Return the likely stage of a bleed from what there is.

    Parameters
    ----------
    t1, t2 : str, optional
        Its look on T1w and T2w, out of `LOOKS`.
    chi_ppm : float, optional
        Its mean susceptibility above tissue; only of a scan whose sign is settled [ppm].

    Notes
    -----
    Susceptibility alone never names a stage: those of neighbours overlap too much.
    """
    given = {"T1w": t1, "T2w": t2}
    for name, look in given.items():
        if look is not None and look not in LOOKS:
            raise ParameterError(
                f"{look!r} is no look", where=name, mend=f"Give one of {', '.join(LOOKS)}."
            )
    odds = dict.fromkeys(STAGES, 1.0)
    for name, stage in STAGES.items():
        for look, usual in ((t1, stage.t1), (t2, stage.t2)):
            if look is not None:
                rest = len(LOOKS) - len(usual)
                odds[name] *= IN_PLACE / len(usual) if look in usual else (1 - IN_PLACE) / rest
        if chi_ppm is not None:
            mean, spread = stage.chi_ppm
            wide = float(np.hypot(spread, CHI_SLOPPY_PPM))
            odds[name] *= float(np.exp(-0.5 * ((chi_ppm - mean) / wide) ** 2)) / wide
    total = sum(odds.values())
    chances = {name: odd / total if total > 0 else 0.2 for name, odd in odds.items()}
    best = max(chances, key=lambda name: chances[name])
    seen = [f"{name} {look}" for name, look in given.items() if look is not None]
    if chi_ppm is not None:
        seen.append(f"susceptibility {chi_ppm:.2f} ppm")
    missing = [name for name, look in given.items() if look is None]
    missing += [] if chi_ppm is not None else ["susceptibility"]
    if chances[best] >= LIKELY and len(seen) > 1:  # two witnesses, so one is an image
        told = STAGES[best]
        says = f"likely {best} ({told.time} old, {told.pigment}): {', '.join(seen)}"
        return Staging(stage=best, chances=chances, says=says)
    left = [name for name, chance in chances.items() if chance >= POSSIBLE]
    says = "stage not estimated"
    if seen:
        says += f": {', '.join(seen)} leaves {' or '.join(left)}"
    if missing:
        says += f"; missing: {', '.join(missing)}"
    return Staging(stage=None, chances=chances, says=says)
