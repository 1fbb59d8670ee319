"""A comparison of two sessions as rows of a table and plain values."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from petechia.lesions.criteria.aria import aria_h_between
from petechia.lesions.criteria.logic import Bounds
from petechia.lesions.findings import Finding
from petechia.lesions.follow import STATES, Followed, new_bounds, rate_per_year
from petechia.pipeline.comparison import Comparison
from petechia.pipeline.visits import Visit

ARIA_NOTE = (
    "As if the earliest session were the scan before treatment, and the person treated; says "
    "nothing about whether that is so, nor about treatment. What came in between and is not seen "
    "any more is not in it. Siderosis is that of the software's search, where it found the same "
    "in both sessions, or that of a reader's word."
)
UNORDERED_WHY = "which session came first is not known"
DIRECTED = ("new", "not_seen", "grown", "shrunk")
"""States that are others when the two sessions are exchanged."""
SULCI: Mapping[str, Bounds] = {"none": (0, 0), "focal": (1, 3), "disseminated": (4, None)}
"""How many sulci an extent of superficial siderosis means."""


def undirected(c: Comparison) -> Comparison:
    """Return a comparison of which it is not known which session came first.

    What would be something else the other way round is not assessable.
    """

    def told(f: Followed) -> Followed:
        if f.state not in DIRECTED:
            return f
        return replace(f, state="not_assessable", why=f"{f.why}; {UNORDERED_WHY}")

    place = {state: n for n, state in enumerate(STATES)}
    followed = sorted(map(told, c.followed), key=lambda f: (place[f.state], f.place_mm))
    return replace(c, followed=tuple(followed))


def table_rows(c: Comparison) -> Iterator[dict[str, str]]:
    """Yield the rows of a comparison, values as text."""
    for f in c.followed:
        one, other = f.first, f.second
        seen = other or one
        assert seen is not None  # a lesion was found in one session at least
        change = f.change
        values: dict[str, Any] = {
            "scan": c.second.scan,
            "against": c.first.scan,
            "compared": c.compared,
            "state": f.state,
            "class": f.class_,
            "index": None if other is None else other.index,
            "index_before": None if one is None else one.index,
            "pieces": _listed(f.pieces_second),
            "pieces_before": _listed(f.pieces_first),
            "counted": _flag(other),
            "counted_before": _flag(one),
            **{f"{axis}_mm": round(v, 2) for axis, v in zip("xyz", f.place_mm, strict=True)},
            "side": seen.side,
            "site": seen.site,
            "compartment": seen.compartment,
            "diameter_mm": _of(other, "diameter_mm"),
            "diameter_before_mm": _of(one, "diameter_mm"),
            "moment_ppm_mm3": _of(other, "moment_ppm_mm3"),
            "moment_se_ppm_mm3": _of(other, "moment_se_ppm_mm3"),
            "moment_before_ppm_mm3": _of(one, "moment_ppm_mm3"),
            "moment_se_before_ppm_mm3": _of(one, "moment_se_ppm_mm3"),
            "change_ppm_mm3": None if change is None else round(change.value, 2),
            "change_low_ppm_mm3": None if change is None else round(change.low, 2),
            "change_high_ppm_mm3": None if change is None else round(change.high, 2),
            "apart_mm": None if f.apart_mm is None else round(f.apart_mm, 2),
            "reason": f.why,
        }
        look = f.look
        if look is not None and not look.why_not:
            values["unasked_loss"] = round(look.loss, 2)
            for key in ("moment_ppm_mm3", "se_ppm_mm3"):
                value = getattr(look, key)
                name = "unasked_moment_se_ppm_mm3" if key.startswith("se") else f"unasked_{key}"
                values[name] = None if value is None else round(value, 2)
        yield {key: "n/a" if v is None else str(v) for key, v in values.items()}


def _listed(indices: Sequence[int]) -> str | None:
    """Return the findings a lesion is made of; None where it is one or none."""
    return " ".join(map(str, indices)) if len(indices) > 1 else None


def _flag(finding: Finding | None) -> int | None:
    return None if finding is None else int(finding.counted)


def _of(finding: Finding | None, name: str) -> float | None:
    value = None if finding is None else getattr(finding, name)
    return None if value is None or not np.isfinite(value) else round(float(value), 2)


def summary_of(c: Comparison, *, order_known: bool = True) -> dict[str, Any]:
    """Return a comparison in plain values; without `order_known` which came first is not known."""
    followed = bool(c.fit.ok and c.first.assessable and c.second.assessable)
    apart = [f.apart_mm for f in c.followed if f.apart_mm is not None]
    low, high = new_bounds(c.followed, "microbleed")
    rate = None
    if followed and order_known and c.days is not None and c.days > 0:
        rate = [round(v, 2) for v in rate_per_year(low, c.days)]
    return {
        "scan": c.second.scan,
        "against": c.first.scan,
        "compared": c.compared,
        "order_known": order_known,
        "followed": followed,
        "interval_days": None if c.days is None else round(c.days, 1),
        "registration": {
            "ok": c.fit.ok,
            "says": c.fit.says,
            "uncertainty_mm": _finite(c.fit.uncertainty_mm),
            "lesions_apart_mm": round(float(np.median(apart)), 2) if apart else None,
            "n_apart": len(apart),
            "matrix_against_to_scan": np.round(c.fit.matrix, 6).tolist(),
        },
        "same_protocol": not c.differences,
        "differences": list(c.differences),
        "counts": {state: c.count(state) for state in STATES} if followed else None,
        "new_microbleeds": {"least": low, "most": high} if followed and order_known else None,
        "new_per_year_95": rate,
        "aria_h": _aria(c, order_known) if followed and "first" in c.compared else None,
    }


def _finite(value: float) -> float | None:
    return round(value, 3) if np.isfinite(value) else None


def _aria(c: Comparison, order_known: bool) -> dict[str, Any]:
    """Return the grade of what is new since the earliest session, as under treatment."""
    if order_known:
        new = new_bounds(c.followed, "microbleed")
        return {**aria_h_between(new, new_siderosis(c)).as_dict(), "note": ARIA_NOTE}
    told = aria_h_between(None, None).as_dict()
    return {
        **told,
        "missing": ["session_order", *told["missing"]],
        "inputs": {"session_order": {"value": "", "source": ""}, **told["inputs"]},
        "note": f"No grade: {UNORDERED_WHY}.",
    }


def new_siderosis(c: Comparison) -> Bounds | None:
    """Return how many areas of superficial siderosis are new; None: it is not known.

    A reader's word on the later session decides. Without one it is the software's search: it
    tells none new where it was made in both sessions, and each sheet that it found in one it
    found in the other. A sheet in one session alone is not a new one that anybody saw.
    """
    then, now = (_read_sulci(v) for v in (c.first, c.second))
    if now is not None:
        most_then = None if then is None else then[1]
        return (0 if most_then is None else max(0, now[0] - most_then), now[1])
    sheets = [f for f in c.followed if "siderosis" in (_class(f.first), _class(f.second))]
    alike = all(_class(f.first) == _class(f.second) for f in sheets)
    return (0, 0) if alike and all(map(_searched, (c.first, c.second))) else None


def _class(finding: Finding | None) -> str:
    return "" if finding is None else finding.class_


def _read_sulci(visit: Visit) -> Bounds | None:
    """Return in how many sulci a reader saw superficial siderosis; None: nobody told."""
    told = (visit.summary.get("criteria") or {}).get("superficial_siderosis") or {}
    if not told.get("reader"):
        return None
    sulci = told.get("sulci")
    return SULCI.get(str(told.get("extent"))) if sulci is None else (int(sulci), int(sulci))


def _searched(visit: Visit) -> bool:
    """Return whether superficial siderosis was looked for."""
    told = (visit.summary.get("criteria") or {}).get("superficial_siderosis") or {}
    return bool(told) and not told.get("why_not")
