"""Where they lie: per site and compartment, and the map of a cohort on the template."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.anatomy.template import template_from
from petechia.assets.store import load_arrays
from petechia.cohort.lesion_map import lesion_frequency
from petechia.cohort.topography import region_rates
from petechia.core.grid import Grid
from petechia.files.contract import contract
from petechia.pipeline.group.frame import Frame
from petechia.pipeline.group.plan import Plan
from petechia.pipeline.group.scans import COMPARTMENTS, in_template
from petechia.pipeline.group.tables import Table, spread, tidy


def sites_table(frame: Frame, plan: Plan) -> Table:
    """Return counts and rates of each compartment and MARS site, and of each side of it."""
    columns = {
        "kind": "compartment or site", "place": "where", "count": "microbleeds",
        "left": "on the left", "right": "on the right", "midline": "in the midline",
        "people": "people who have one there", "n": "people assessed", "share": "of all "
        "microbleeds", "rate": "microbleeds a person", "rate_low": "robust interval: lesions "
        "of a person come together", "rate_high": "",
    }  # fmt: skip
    out = Table("sites", "Where they lie", columns)
    rows = frame.take(frame.chosen & frame.assessed).scans
    words = contract().words
    for kind, places in (("compartment", (*COMPARTMENTS, "n/a")), ("site", words["site"])):
        counts = {
            place: np.array([row.count(**{kind: place}) for row in rows], dtype=float)
            for place in places
        }
        told = region_rates(counts, list(places), level=plan.level) if rows else ()
        for rate in told:
            lesions = [v for row in rows for v in row.lesions if v.words[kind] == rate.region]
            side = {s: sum(v.words["side"] == s for v in lesions)
                    for s in ("left", "right", "midline")}  # fmt: skip
            out.add(
                kind=kind,
                place=rate.region if rate.region != "n/a" else "not known",
                count=rate.count,
                **side,
                people=int((counts[rate.region] > 0).sum()),
                n=rate.scans,
                share=tidy(rate.share),
                **spread("rate", rate.per_scan),
            )
    return out


@dataclass(frozen=True, slots=True, eq=False)
class LesionMap:
    """How often lesions lie near each voxel of the template.

    Attributes
    ----------
    share : (I, J, K) ndarray of float32
        Share of people.
    background : (I, J, K) ndarray of float32
        T1 of the template.
    brain : (I, J, K) ndarray of bool
    grid : Grid
    places : (n, 3) ndarray
        Of every lesion, template RAS [mm].
    n_people, n_without : int
        People on the map; people whose scan has no place in the template.
    """

    share: npt.NDArray[np.float32]
    background: npt.NDArray[np.float32]
    brain: npt.NDArray[np.bool_]
    grid: Grid
    places: npt.NDArray[np.float64]
    n_people: int
    n_without: int


def lesion_map(frame: Frame, plan: Plan) -> LesionMap | None:
    """Return the map of the people assessed; None when no scan has a place in the template."""
    rows = frame.take(frame.chosen & frame.assessed).scans
    placed = [row for row in rows if row.summary.get("template")]
    if not placed:
        return None
    there = template_from(load_arrays("template"))
    places = [in_template(row) for row in placed]
    share = lesion_frequency(places, there.grid, plan.smooth_mm)
    share[~there.brain] = 0
    every: Any = np.concatenate(places) if places else np.zeros((0, 3))
    return LesionMap(
        share, there.t1, there.brain, there.grid, every, len(placed), len(rows) - len(placed)
    )
