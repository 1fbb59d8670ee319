"""The same people by several sequences: counts, lesions, and how lesions look."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from petechia.cohort.comparison import compare_counts, compare_lesions, paired_frequency
from petechia.cohort.looks import HOMOGENEOUS, Look, looks
from petechia.core.agreement import Index
from petechia.core.matching import one_to_one
from petechia.errors import ParameterError, PetechiaError
from petechia.files.contract import contract
from petechia.files.nifti import read_nifti
from petechia.files.writing import without_places
from petechia.pipeline.group.frame import Frame
from petechia.pipeline.group.plan import Plan
from petechia.pipeline.group.scans import Lesion, ScanRow
from petechia.pipeline.group.tables import Table, interval_columns, spread, tidy

WITHIN_MM = 5.0
"""Lesions of two scans are one within this, or within a slice where that is thicker."""
IMAGES = {"swi": "SWI", "chi": "QSM"}


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """Two scans of one person and session."""

    first: ScanRow
    second: ScanRow


def sequences_tables(frame: Frame, plan: Plan) -> list[Table]:
    """Return the comparison of counts, of lesions and of looks.

    A scan whose images cannot be read is left out of the looks, and noted.

    Raises
    ------
    ParameterError
        No person has two scans that differ in the entity alone.
    """
    names = _names(frame, plan.compare)
    pairs = {both: _pairs(frame, plan.compare, *both) for both in combinations(names, 2)}
    pairs = {both: found for both, found in pairs.items() if found}
    counts, lesions, seen = _count_table(), _lesion_table(), _look_table()
    for both, found in pairs.items():
        titles = (f"{plan.compare}-{both[0]}", f"{plan.compare}-{both[1]}")
        _compare_counts(counts, titles, found, plan)
        _compare_lesions(lesions, seen, titles, found, plan)
    _same_scan(seen, frame, plan)
    if not pairs and not seen.rows:
        raise ParameterError(
            f"nobody has two assessed scans of one session that differ in {plan.compare}",
            where="--compare",
            mend=f"{plan.compare} has: {', '.join(names) or 'no values'}.",
        )
    return [counts, lesions, seen]


def _names(frame: Frame, entity: str) -> list[str]:
    return sorted({row.entities[entity] for row in frame.scans if entity in row.entities})


def _pairs(frame: Frame, entity: str, one: str, other: str) -> list[Pair]:
    by: dict[tuple[Any, ...], dict[str, ScanRow]] = defaultdict(dict)
    for row in frame.scans:
        if entity in row.entities:
            rest = tuple(p for p in row.entities.items() if p[0] != entity)
            by[rest][row.entities[entity]] = row
    return [Pair(found[one], found[other]) for found in by.values() if {one, other} <= set(found)]


def _count_table() -> Table:
    columns = {
        "first": "sequence", "second": "sequence", "pairs": "people and sessions with both",
        "left_out": "pairs of which one was not assessable", "total_first": "microbleeds",
        "total_second": "microbleeds", **interval_columns("ratio", "second total over first"),
        "both": "pairs with any in both", "only_first": "any in the first alone",
        "only_second": "any in the second alone", "neither": "in none",
        "p_mcnemar": "exact", "bias": "mean difference of log(count + 1), second less first",
        "bias_low": "interval of the bias", "bias_high": "", "limits_low": "limits of agreement",
        "limits_high": "", "slope": "of the differences over the means",
        **interval_columns("icc_absolute", "ICC(2,1)"),
        **interval_columns("icc_consistency", "ICC(3,1)"),
        **interval_columns("kappa", "of any at all"), "p_signed_rank": "Wilcoxon, of counts",
    }  # fmt: skip
    return Table("sequences", "Counts by several sequences", columns)


def _index(name: str, told: Index) -> dict[str, Any]:
    shown = told.shown()
    ends = {"": shown.value, "_low": shown.low, "_high": shown.high}
    return {f"{name}{end}": tidy(value) for end, value in ends.items()}


def _compare_counts(out: Table, titles: tuple[str, str], pairs: Sequence[Pair], plan: Plan) -> None:
    def counts(rows: Iterator[ScanRow]) -> np.ndarray:
        return np.array([len(r.lesions) if r.assessed else np.nan for r in rows], dtype=float)

    told = compare_counts(
        counts(p.first for p in pairs), counts(p.second for p in pairs), titles, level=plan.level
    )
    out.add(
        first=titles[0],
        second=titles[1],
        pairs=told.pairs,
        left_out=told.left_out,
        total_first=told.totals[0],
        total_second=told.totals[1],
        **spread("ratio", told.ratio),
        both=told.presence.both,
        only_first=told.presence.only_first,
        only_second=told.presence.only_second,
        neither=told.presence.neither,
        p_mcnemar=tidy(told.presence.p_exact),
        bias=tidy(told.limits.bias),
        bias_low=tidy(told.limits.bias_low),
        bias_high=tidy(told.limits.bias_high),
        limits_low=tidy(told.limits.low),
        limits_high=tidy(told.limits.high),
        slope=tidy(told.proportional.slope.value),
        **_index("icc_absolute", told.icc_absolute),
        **_index("icc_consistency", told.icc_consistency),
        **_index("kappa", told.kappa_presence),
        p_signed_rank=tidy(told.p_signed_rank),
    )


def _lesion_table() -> Table:
    columns = {
        "first": "sequence", "second": "sequence", "both": "lesions in both",
        "only_first": "in the first alone", "only_second": "in the second alone",
        **interval_columns("f1", "2 both / (2 both + alone)"),
        **interval_columns("gain", "second's lesions over first's"),
        "p": "McNemar's, clustered by person", "within_mm": "at most so far apart",
    }  # fmt: skip
    return Table("sequence_lesions", "Lesions by several sequences", columns)


def _matched(pair: Pair) -> tuple[list[tuple[Lesion, Lesion]], float]:
    def places(row: ScanRow) -> np.ndarray:
        return np.array([v.place_mm for v in row.lesions], dtype=float).reshape(-1, 3)

    thick = [float(r.protocol.get("slice_thickness_mm") or 0) for r in (pair.first, pair.second)]
    radius = max(WITHIN_MM, *thick)
    met = one_to_one(places(pair.first), places(pair.second), radius)
    found = [(pair.first.lesions[a], pair.second.lesions[b]) for a, b in met.pairs]
    return found, radius


def _compare_lesions(
    out: Table, seen: Table, titles: tuple[str, str], pairs: Sequence[Pair], plan: Plan
) -> None:
    whole = [p for p in pairs if p.first.assessed and p.second.assessed]
    met = [_matched(p) for p in whole]
    both = [len(found) for found, _ in met]
    told = compare_lesions(
        both,
        [len(p.first.lesions) - n for p, n in zip(whole, both, strict=True)],
        [len(p.second.lesions) - n for p, n in zip(whole, both, strict=True)],
        np.random.default_rng(plan.seed),
        person=[p.first.subject for p in whole],
        level=plan.level,
    )
    out.add(
        first=titles[0], second=titles[1], both=told.both, only_first=told.only_first,
        only_second=told.only_second, **_index("f1", told.f1), **spread("gain", told.gain),
        p=tidy(told.p_clustered), within_mm=max((r for _, r in met), default=WITHIN_MM),
    )  # fmt: skip
    people = [p.first.subject for p, (found, _) in zip(whole, met, strict=True) for _ in found]
    lesions = [both for found, _ in met for both in found]
    for name in ("homogeneity", "margin_sharpness", "diameter_mm", "moment_ppm_mm3"):
        values = np.array([[a.numbers[name], b.numbers[name]] for a, b in lesions]).reshape(-1, 2)
        cut = HOMOGENEOUS if name == "homogeneity" else None
        _look_row(seen, titles, name, values, people, cut, plan.level)


def _look_table() -> Table:
    columns = {
        "first": "image", "second": "image", "measure": "of the same lesions",
        "lesions": "in both", "people": "whose lesions they are",
        "median_first": "", "median_second": "",
        "at_least": "share of lesions at or above this is compared", "share_first": "",
        "share_second": "", **interval_columns("ratio", "share_first / share_second (Lee 2022's "
        "direction, SWI over QSM); robust over people"), "p": "of a ratio of 1",
    }  # fmt: skip
    return Table("sequence_looks", "How the same lesions look", columns)


def _look_row(
    out: Table,
    titles: tuple[str, str],
    measure: str,
    values: np.ndarray,
    people: Sequence[str],
    cut: float | None,
    level: float,
    met: np.ndarray | None = None,
) -> None:
    """Add a row; `met` (n, 2) says which look is met where that is not a cut of one measure."""
    kept = np.isfinite(values).all(axis=1)
    values, who = values[kept], [p for p, k in zip(people, kept, strict=True) if k]
    cells: dict[str, Any] = {
        "first": titles[0], "second": titles[1], "measure": measure, "lesions": len(values),
        "people": len(set(who)),
    }  # fmt: skip
    if len(values):
        cells |= {
            "median_first": tidy(float(np.median(values[:, 0])), 4),
            "median_second": tidy(float(np.median(values[:, 1])), 4),
        }
    if len(values) and (cut is not None or met is not None):
        yes = values >= cut if met is None else met[kept]
        told = paired_frequency(yes[:, 0], yes[:, 1], who, level)
        cells |= {
            "at_least": cut,
            "share_first": tidy(float(yes[:, 0].mean())),
            "share_second": tidy(float(yes[:, 1].mean())),
            **spread("ratio", told),
            "p": tidy(told.p),
        }
    out.add(**cells)


def _same_scan(out: Table, frame: Frame, plan: Plan) -> None:
    """Compare SWI and QSM of one scan, lesion by lesion."""
    people: list[str] = []
    both: list[tuple[Look, Look]] = []
    for row in frame.scans:
        if not row.lesions:
            continue
        try:
            seen = _looks_of(row)
        except PetechiaError as error:
            said = without_places(str(error))
            frame.notes.append(f"{row.prefix} is left out of how lesions look: {said}")
            continue
        if len(seen) < len(IMAGES):
            continue
        for lesion in row.lesions:
            if all(lesion.index in found for found in seen.values()):
                people.append(row.subject)
                both.append((seen["swi"][lesion.index], seen["chi"][lesion.index]))
    if not both:
        return
    titles = ("SWI", "QSM of the same scan")
    for name in ("conspicuity", "homogeneity"):
        values = np.array([[getattr(a, name), getattr(b, name)] for a, b in both])
        _look_row(out, titles, name, values, people, None, plan.level)
    values = np.array([[a.conspicuity + a.homogeneity, b.conspicuity + b.homogeneity]
                       for a, b in both])  # fmt: skip
    met = np.array([[a.unambiguous, b.unambiguous] for a, b in both])
    _look_row(out, titles, "unambiguous", values, people, None, plan.level, met)
    for cell in ("median_first", "median_second"):
        out.rows[-1].pop(cell, None)


def _looks_of(row: ScanRow) -> dict[str, dict[int, Look]]:
    """Return the looks of a scan's findings in each image; {} where it has not all of them.

    Raises
    ------
    PetechiaError
        One of them cannot be read, or they are not on one grid.
    """
    promised = contract()

    def volume(key: str) -> Any:
        name = promised.file(key).name.replace("<p>", row.prefix)
        path = row.folder / name
        return read_nifti(path) if path.is_file() else None

    labels, mask = volume("findings"), volume("brain_mask")
    images = {key: volume(key) for key in IMAGES}
    if labels is None or mask is None or any(v is None for v in images.values()):
        return {}
    whole = np.rint(labels.only).astype(np.int32)
    return {
        key: looks(image.only, whole, mask.only > 0, labels.grid) for key, image in images.items()
    }
