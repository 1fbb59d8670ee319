"""Scans and people in one table, and which scan stands for a person."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.errors import InputError, ParameterError
from petechia.lesions.criteria.counts import count_bin
from petechia.pipeline.group.factors import Column, Factor, shipped
from petechia.pipeline.group.order import session_order
from petechia.pipeline.group.people import People
from petechia.pipeline.group.plan import Plan
from petechia.pipeline.group.scans import COMPARTMENTS, ScanRow, sequence_of

Floats = npt.NDArray[np.float64]
BINS = ("0", "1-4", ">=5")
PATTERNS = {
    "none": "none",
    "strictly_lobar": "lobar_only",
    "strictly_deep_or_infratentorial": "deep_only",
    "mixed": "mixed",
}
"""Category of a summary to the pattern of `cohort.topography`."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Frame:
    """Scans in rows.

    Attributes
    ----------
    scans : list of ScanRow
    people : dict of str to Column
        Facts of the person at that scan.
    facts : dict of str to array
        Facts of the scan: `b0_t`, `sequence`, ...; words as object arrays.
    chosen : (N,) array of bool
        The one scan that stands for its person: assessed, of the session asked for.
    known : (N,) array of bool
        The person has a row in the table.
    order : (N,) array of int
        Place of the scan's session among those of its person, in time.
    left_out : list of dict
        Scans and people that enter no number, with the reason.
    """

    scans: list[ScanRow]
    people: dict[str, Column]
    facts: dict[str, npt.NDArray[Any]]
    chosen: npt.NDArray[np.bool_]
    known: npt.NDArray[np.bool_]
    order: npt.NDArray[np.intp]
    left_out: list[dict[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def assessed(self) -> npt.NDArray[np.bool_]:
        """Scans whose count means something."""
        return np.array([row.assessed for row in self.scans], dtype=bool)

    def take(self, rows: npt.NDArray[Any]) -> "Frame":
        """Return some rows (indices or a mask)."""
        index = np.flatnonzero(rows) if rows.dtype == bool else rows
        return Frame(
            scans=[self.scans[n] for n in index],
            people={name: column.take(index) for name, column in self.people.items()},
            facts={name: values[index] for name, values in self.facts.items()},
            chosen=self.chosen[index],
            known=self.known[index],
            order=self.order[index],
            left_out=self.left_out,
            notes=self.notes,
        )

    def column(self, name: str) -> Column:
        """Return a column of the person; a missing one is told with those there are.

        Raises
        ------
        ParameterError
            There is none of that name, or it is free text.
        """
        if name not in self.people:
            there = [n for n, c in self.people.items() if not c.factor.text]
            near = get_close_matches(name, there, n=1)
            hint = f"Did you mean {near[0]}? " if near else ""
            raise ParameterError(
                f"no column {name!r} in the table of participants",
                where="petechia group",
                mend=f"{hint}It has: {', '.join(there) or 'none'}.",
            )
        found = self.people[name]
        if found.factor.text:
            raise ParameterError(
                f"column {name!r} is free text",
                where="petechia group",
                mend="Give its words as Levels in participants.json, or fewer of them.",
            )
        return found

    def outcome(self, name: str) -> Floats:
        """Return an outcome of each scan; NaN where it was not assessable."""
        out = np.full(len(self.scans), np.nan)
        for n, row in enumerate(self.scans):
            if row.assessed:
                out[n] = outcome_of(row, name)
        return out


def outcome_of(row: ScanRow, name: str) -> float:
    """Return an outcome of one assessed scan; NaN where it cannot be told (unknown sites)."""
    total = len(row.lesions)
    if name == "count":
        return float(total)
    if name == "presence":
        return float(total > 0)
    if name == "bin":
        return float(BINS.index(count_bin(total)))
    if name == "category":
        word = PATTERNS.get(str(row.summary.get("category")))
        return np.nan if word is None else float(list(PATTERNS.values()).index(word))
    places = [lesion.words["compartment"] for lesion in row.lesions]
    wanted = ("lobar",) if name == "lobar" else COMPARTMENTS[1:]
    if any(place in wanted for place in places):
        return 1.0
    return np.nan if "n/a" in places else 0.0


def build_frame(
    scans: Sequence[ScanRow], people: People, plan: Plan, output: Path | None = None
) -> Frame:
    """Return scans and people joined, and the scan that stands for each person.

    `output` is where the scans are from: what it knows of the order of sessions is used.

    Raises
    ------
    InputError
        Nobody in the table was scanned, or no scan is left.
    ParameterError
        No scan has the acquisition or session that is asked for.
    """
    kept = [s for s in scans if not plan.acq or s.entities.get("acq", "") in plan.acq]
    if not kept:
        there = sorted({s.entities.get("acq", "(none)") for s in scans})
        raise ParameterError(
            f"no scan with acq {', '.join(plan.acq)}",
            where="petechia group",
            mend=f"There are: {', '.join(there)}.",
        )
    left, notes = _left_out(scans, kept, people)
    subjects = people.subjects
    known = np.array([not people.rows or s.subject in subjects for s in kept], dtype=bool)
    if not known.any():
        raise InputError(
            f"none of {len(people.subjects)} participants is among {len(kept)} scans",
            where="petechia group",
            mend="participant_id must be as in the output: "
            f"sub-{kept[0].subject}; the table has sub-{min(people.subjects)}.",
        )
    columns = people.columns([(s.subject, s.session) for s in kept])
    order, said = session_order(kept, columns, people.folder, output)
    notes += [*people.notes, *said]
    frame = Frame(
        scans=list(kept),
        people=_derived(columns, notes),
        facts=_facts(kept),
        chosen=_chosen(kept, order, plan) & known,
        known=known,
        order=order,
        left_out=left,
        notes=notes,
    )
    if plan.session not in ("first", "last") and not frame.chosen.any():
        there = sorted({s.session or "(none)" for s in kept})
        raise ParameterError(
            f"no assessed scan of session {plan.session}",
            where="petechia group",
            mend=f"Give first, last, or one of: {', '.join(there)}.",
        )
    return frame


def _left_out(
    scans: Sequence[ScanRow], kept: Sequence[ScanRow], people: People
) -> tuple[list[dict[str, str]], list[str]]:
    rows = [
        {"participant_id": f"sub-{s.subject}", "scan": s.prefix, "status": s.status,
         "reason": s.reason}
        for s in kept if not s.assessed
    ]  # fmt: skip
    scanned = {s.subject for s in scans}
    without_row = sorted({s.subject for s in kept} - people.subjects) if people.rows else []
    without_scan = sorted(people.subjects - scanned)
    rows += [
        {"participant_id": f"sub-{who}", "scan": "", "status": "no_row",
         "reason": "scanned, but not in the table of participants"} for who in without_row
    ]  # fmt: skip
    rows += [
        {"participant_id": f"sub-{who}", "scan": "", "status": "no_scan",
         "reason": "in the table of participants, but without a scan here"}
        for who in without_scan
    ]  # fmt: skip
    notes = []
    if without_row:
        notes.append(f"{len(without_row)} scanned people are not in the table of participants.")
    if without_scan:
        notes.append(f"{len(without_scan)} people of the table have no scan here.")
    points = sorted({_point(s) for s in kept if s.assessed})
    if len(points) > 1:
        notes.append(f"Scans were counted at different operating points: {', '.join(points)}.")
    versions = sorted({str(s.summary.get("version")) for s in kept if s.summary})
    if len(versions) > 1:
        notes.append(f"Scans were run with different versions: {', '.join(versions)}.")
    n_read = sum(s.reviewed for s in kept if s.assessed)
    n = sum(s.assessed for s in kept)
    if 0 < n_read < n:
        notes.append(f"{n_read} of {n} scans were reviewed by a reader, the others were not.")
    return rows, notes


def _point(scan: ScanRow) -> str:
    return str((scan.summary.get("operating_point") or {}).get("name"))


def _facts(scans: Sequence[ScanRow]) -> dict[str, npt.NDArray[Any]]:
    def numbers(values: list[Any]) -> Floats:
        return np.array([np.nan if v is None else float(v) for v in values], dtype=np.float64)

    def words(values: list[str]) -> npt.NDArray[np.object_]:
        return np.array([v or "n/a" for v in values], dtype=object)

    told = [s.protocol for s in scans]
    spacing = [p.get("spacing_mm") or [None] for p in told]
    thick = [
        p.get("slice_thickness_mm") or (max(d) if None not in d else None)
        for p, d in zip(told, spacing, strict=True)
    ]
    return {
        "b0_t": numbers([_rounded_field(p.get("b0_t")) for p in told]),
        "te_s": numbers([s.summary.get("reading_te_s") for s in scans]),
        "slice_thickness_mm": numbers(thick),
        "sequence": words([sequence_of(p) if p else "" for p in told]),
        "acq": words([s.entities.get("acq", "") for s in scans]),
        "operating_point": words([_point(s) for s in scans]),
        "scanner": words(
            [" ".join(str(p[k]) for k in ("manufacturer", "model") if p.get(k)) for p in told]
        ),
    }


def _rounded_field(b0_t: Any) -> float | None:
    """Return the nominal field: 2.89 T is a 3 T scanner."""
    if b0_t is None:
        return None
    value = float(b0_t)
    near = min((0.5, 1.0, 1.5, 3.0, 7.0), key=lambda nominal: abs(nominal - value))
    return near if abs(near - value) <= 0.06 * near else round(value, 2)


def _chosen(
    scans: Sequence[ScanRow], order: npt.NDArray[np.intp], plan: Plan
) -> npt.NDArray[np.bool_]:
    """Mark for each person one scan: assessed before not, of the session asked for, by name."""
    best: dict[str, tuple[Any, int]] = {}
    for n, scan in enumerate(scans):
        if plan.session not in ("first", "last") and scan.session != plan.session:
            continue
        at = -order[n] if plan.session == "last" else order[n]
        no_phase = scan.protocol.get("phase") == "none"
        key = (not scan.assessed, at, no_phase, scan.prefix)
        if scan.subject not in best or key < best[scan.subject][0]:
            best[scan.subject] = (key, n)
    out = np.zeros(len(scans), dtype=bool)
    out[[n for _, n in best.values()]] = True
    return out


def _derived(columns: dict[str, Column], notes: list[str]) -> dict[str, Column]:
    """Return the columns and those that follow from blood values, where a table lacks them.

    What a formula could not use is added to `notes`.
    """
    from petechia.cohort import biomarkers

    out = dict(columns)

    def values(name: str) -> Floats:
        return out[name].values

    def add(name: str, made: "biomarkers.Derived") -> None:
        out[name] = Column(shipped()[name], made.values)
        notes.extend(f"{shipped()[name].title}: {note}." for note in made.notes)

    there = set(columns)
    if {"neutrophils", "lymphocytes"} <= there and "nlr" not in there:
        add("nlr", biomarkers.nlr(values("neutrophils"), values("lymphocytes")))
    if {"neutrophils", "lymphocytes", "platelets"} <= there and "sii" not in there:
        made = biomarkers.sii(values("platelets"), values("neutrophils"), values("lymphocytes"))
        add("sii", made)
    if {"creatinine", "age", "sex"} <= there and "egfr" not in there:
        sex = out["sex"].words()
        made = biomarkers.egfr(values("creatinine"), values("age"), sex, "mg/dL")
        add("egfr", made)
    return out


def grouped(frame: Frame, expression: str) -> Column:
    """Return a factor of words: a column of words, or a number cut by `age>=65` or `age:10`.

    Raises
    ------
    ParameterError
        It names no column, or a number without a cut.
    """
    found = re.fullmatch(r"([A-Za-z_]\w*)\s*(>=|>|<=|<|:)\s*(-?\d+(?:\.\d+)?)", expression)
    if not found:
        return frame.column(expression)
    name, sign, number = found[1], found[2], float(found[3])
    column = frame.column(name)
    if not column.factor.is_number or (sign == ":" and number <= 0):
        raise ParameterError(
            f"{expression!r}", where="petechia group", mend="Only a number can be cut so."
        )
    values, missing = column.values, np.isnan(column.values)
    if sign == ":":
        bands = np.floor(np.round(values / number, 9))  # 0.3 / 0.1 is 2.9999999999999996
        starts = np.unique(bands[~missing])
        words = tuple(f"{band * number:.9g} to {(band + 1) * number:.9g}" for band in starts)
        codes = np.where(missing, np.nan, np.searchsorted(starts, bands)).astype(float)
        ordered, scores = True, tuple((starts - starts[:1]).tolist())
    else:
        above = {">=": values >= number, ">": values > number, "<=": values <= number,
                 "<": values < number}[sign]  # fmt: skip
        words, ordered, scores = ("no", "yes"), False, ()
        codes = np.where(missing, np.nan, above.astype(float))
    unit = f" {column.factor.unit}" if column.factor.unit not in ("", "1") else ""
    title = f"{column.factor.title}{'' if sign == ':' else f' {sign} {number:g}'}{unit}"
    factor = Factor(name=expression, title=title, levels=words, ordered=ordered, scores=scores)
    return Column(factor, codes)
