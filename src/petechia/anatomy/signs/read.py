"""All signs of a session's T2w, FLAIR and T1w, each yes, no, unsure or not assessed."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from petechia.anatomy.signs.edema import above_cortex, find_edema
from petechia.anatomy.signs.hyperintensities import Load, bright_white_matter, load_of
from petechia.anatomy.signs.lacunes import find_lacunes
from petechia.anatomy.signs.normal import Normal
from petechia.anatomy.signs.places import Places
from petechia.core.grid import Grid

STATES = ("yes", "no", "unsure", "not_assessed")
LABELS: Mapping[str, int] = {"periventricular": 1, "deep": 2, "edema": 3, "lacune": 4}
"""Voxel values of `Reading.labels`."""
BAND_MM, HALO_MM = 5.0, 10.0
"""Reach from the ventricles from which hyperintensity there is grade 2, and 3."""
LINED = 0.3
"""Part of the ventricles' border that a halo covers; caps cover less."""
LEAST_ML = 0.05
FOCUS_MM, CONFLUENT_MM = 10.0, 20.0
"""Diameter of the largest patch apart from which deep hyperintensity is grade 2, and 3."""
DOUBT = 0.15
"""A measure within this part of a limit leaves the grade on both sides of it open."""
THICK_MM = 5.6
"""Thicker slices of a FLAIR are not read for lacunes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """One sign.

    Attributes
    ----------
    state : str
        A word of `STATES`.
    low, high : int or None
        Between which its number or grade lies; `high` None: no upper bound. Both None: nothing
        is claimed of it.
    measure : str
        What was measured, with its unit.
    source : str
        Which scans it was read on.
    why : str
        Why it was not assessed.
    """

    state: str
    low: int | None = None
    high: int | None = None
    measure: str = ""
    source: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Reading:
    """Every sign by name, and where it is on the grid of the FLAIR."""

    signs: Mapping[str, Sign]
    load: Load | None = None
    labels: npt.NDArray[np.uint8] | None = None
    grid: Grid | None = None
    sites: Mapping[str, list[tuple[float, float, float]]] = field(default_factory=dict)
    """Middles of lacunes and of patches like edema [companion RAS mm]."""
    hot: npt.NDArray[np.bool_] | None = None
    """Where the brain is clearly brighter than cortex."""


NAMES = (
    "fazekas_periventricular", "fazekas_deep", "subcortical_spots", "lacunes",
    "basal_ganglia_pvs", "centrum_semiovale_pvs", "edema", "sulcal_effusion",
)  # fmt: skip
"""Every sign; all but the last two are fields of the clinical facts."""
_UNCOUNTED = "software does not count them, its numbers were far from the truth on simulated scans"
NEVER_READ: Mapping[str, str] = {
    "basal_ganglia_pvs": _UNCOUNTED,
    "centrum_semiovale_pvs": _UNCOUNTED,
    # flow, oxygen, contrast agent, metal, motion and blood make sulci bright too, and none of
    # them is simulated: a rule would look good on simulated scans and mean nothing
    "sulcal_effusion": "software does not read it, its other causes were never measured here",
}
"""What no scan lets the software say, and why."""


def nothing_read(why: str) -> dict[str, Sign]:
    """Return every sign as not assessed, with its reason."""
    return {n: Sign(state="not_assessed", why=NEVER_READ.get(n, why)) for n in NAMES}


def read_flair(flair: Normal, places: Places, others: Mapping[str, Normal]) -> Reading:
    """Return what a FLAIR shows: hyperintensities, lacunes, patches like edema.

    Parameters
    ----------
    flair : Normal
        Over normal white matter.
    places : Places
        Anatomy on its grid.
    others : mapping of str to Normal
        'T2w', 'T1w' of the same person on the same grid.
    """
    bright = bright_white_matter(flair, places)
    patches, swollen = find_edema(flair, places, bright)
    # what looks like edema is no hyperintensity of small vessels
    kept = bright.mask & ~swollen
    load = load_of(replace(bright, mask=kept), places)
    cavities = find_lacunes(flair, places, bright.ventricles, dict(others))
    used = "FLAIR"
    signs = {
        "fazekas_periventricular": periventricular(load, used),
        "fazekas_deep": deep(load, used),
        "subcortical_spots": _spots(load, used),
        "edema": _edema([p.sure for p in patches], [p.volume_ml for p in patches],
                        [p.diameter_mm for p in patches], used),
    }  # fmt: skip
    slices = float(places.grid.spacing_mm.max())
    if slices > THICK_MM:
        why = f"slices of {slices:.1f} mm are too thick"
        signs["lacunes"] = Sign(state="not_assessed", why=why)
    else:
        sizes = [c.diameter_mm for c in cavities]
        where = " and ".join([used, *others])
        signs["lacunes"] = _lacunes([c.sure for c in cavities], sizes, where)
    near = bright.away_mm <= HALO_MM
    labels = np.zeros(places.grid.shape, dtype=np.uint8)
    labels[kept & near], labels[kept & ~near] = LABELS["periventricular"], LABELS["deep"]
    labels[swollen] = LABELS["edema"]
    for cavity in cavities:
        _dot(labels, places.grid, cavity.at_mm, cavity.diameter_mm / 2)
    return Reading(
        signs=signs,
        load=load,
        labels=labels,
        grid=places.grid,
        sites={"lacunes": [c.at_mm for c in cavities], "edema": [p.at_mm for p in patches]},
        hot=places.brain & above_cortex(flair, places.grid),
    )


def between(value: float, limits: tuple[float, ...], doubt: float = DOUBT) -> tuple[int, int]:
    """Return the lowest and highest step that a measure may stand for: limits passed.

    >>> between(12.0, (5.0, 10.0))
    (2, 2)
    >>> between(9.2, (5.0, 10.0))
    (1, 2)
    """
    low = sum(value >= limit * (1 + doubt) for limit in limits)
    high = sum(value >= limit * (1 - doubt) for limit in limits)
    return low, high


def periventricular(load: Load, source: str = "FLAIR") -> Sign:
    """Return the grade of what touches the ventricles: 1 caps or lining, 2 halo, 3 beyond.

    The measured rule behind the words: a halo covers a third of the ventricles' border and
    reaches 5 mm, grade 3 reaches 10 mm. It is no reader's Fazekas grade.
    """
    measure = (
        f"{load.periventricular_ml:.1f} mL near the ventricles, reaching {load.reach_mm:.0f} mm, "
        f"along {load.covered:.0%} of their border"
    )
    if load.periventricular_ml < LEAST_ML or load.reach_mm <= 0:
        return _graded(0, 0 if load.periventricular_ml < 0.5 * LEAST_ML else 1, measure, source)
    low, high = between(load.reach_mm, (BAND_MM, HALO_MM))
    if load.covered < LINED:  # caps, however long
        low = 0
        high = 0 if load.covered < LINED * (1 - 2 * DOUBT) else high
    if load.periventricular_ml < 4 * LEAST_ML:
        return _graded(0, 1, measure, source)
    return _graded(1 + low, 1 + high, measure, source)


def deep(load: Load, source: str = "FLAIR") -> Sign:
    """Return the grade of what lies apart: 1 foci, 2 from 10 mm, 3 from 20 mm across.

    What grows out from the ventricles beyond their own zone may be deep or not: it leaves the
    grade open upwards.
    """
    spots = sum(load.spots)
    measure = f"largest {load.largest_mm:.0f} mm across, {load.deep_ml:.1f} mL, {spots} small"
    limits = (FOCUS_MM, CONFLUENT_MM)
    if load.largest_mm <= 0:
        low = high = 0
    else:
        low, high = (1 + step for step in between(load.largest_mm, limits))
        if load.largest_mm < 2.5:
            low = 0
    if load.largest_with_border_mm > 1.2 * max(load.largest_mm, 4.0):
        high = max(high, 1 + between(load.largest_with_border_mm, limits)[1])
    return _graded(low, high, measure, source)


def _graded(low: int, high: int, measure: str, source: str) -> Sign:
    state = "unsure" if low != high else "yes" if low else "no"
    return Sign(state=state, low=low, high=high, measure=measure, source=source)


def _spots(load: Load, source: str) -> Sign:
    """Return the count of small patches: open, since nobody has compared it with a reader's.

    So no scale may rest on it.
    """
    left, right = load.spots
    measure = f"{left + right}: {left} left, {right} right"
    return Sign(state="unsure" if left + right else "no", measure=measure, source=source)


def _lacunes(sure: list[bool], sizes: list[float], source: str) -> Sign:
    n, certain = len(sure), sum(sure)
    across = sorted(mm for mm, is_sure in zip(sizes, sure, strict=True) if is_sure)
    parts = [f"{certain} certain, of {', '.join(f'{mm:.0f}' for mm in across)} mm"] * bool(across)
    parts += [f"{n - certain} possible"] * (n > certain)
    measure = "; ".join(parts) or "none"
    state = "yes" if certain else "unsure" if n else "no"
    # those that were found are at least so many: others may have been missed
    return Sign(state=state, low=certain, measure=measure, source=source)


def _edema(sure: list[bool], ml: list[float], mm: list[float], source: str) -> Sign:
    n, certain = len(sure), sum(sure)
    told = ", ".join(f"{v:.0f} mL and {d:.0f} mm across" for v, d in zip(ml, mm, strict=True))
    state = "yes" if certain else "unsure" if n else "no"
    return Sign(
        state=state, low=certain, high=n, source=source,
        measure=f"{n} patches: {told}" if n else "no patch",
    )  # fmt: skip


def _dot(
    labels: npt.NDArray[np.uint8], grid: Grid, at_mm: tuple[float, float, float], radius: float
) -> None:
    reach = np.ceil(radius / grid.spacing_mm).astype(int) + 1
    centre = np.rint(grid.to_index(at_mm)).astype(int)
    low = np.maximum(centre - reach, 0)
    high = np.minimum(centre + reach + 1, labels.shape)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    index = np.moveaxis(np.indices(labels[box].shape), 0, -1) + low
    away = np.linalg.norm(grid.to_mm(index) - at_mm, axis=-1)
    labels[box][away <= max(radius, 0.5 * float(grid.spacing_mm.min()))] = LABELS["lacune"]
