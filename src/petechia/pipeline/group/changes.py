"""Over time: before and after an event, from the first to the last session, and new lesions."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from petechia.cohort.before_after import paired_counts
from petechia.errors import FileError, ParameterError
from petechia.files.contract import contract, follow_path
from petechia.lesions.protocols import protocol_differences
from petechia.pipeline.group.followed import incidence_table, read_intervals
from petechia.pipeline.group.frame import Frame
from petechia.pipeline.group.plan import Plan
from petechia.pipeline.group.scans import COMPARTMENTS, ScanRow
from petechia.pipeline.group.tables import Table, interval_columns, spread, tidy

BEFORE, AFTER = ("pre", "before", "no", "0"), ("post", "after", "yes", "1")
MOST_TOLD = 5


def require_event(frame: Frame, plan: Plan) -> None:
    """Raise `ParameterError` where a plan names an event that nobody's sessions tell.

    The usual column need not be there: without it the first and the last session are compared.
    """
    if plan.event == Plan().event:
        return
    column = frame.column(plan.event)
    said = {word.lower() for word in column.words()} - {"n/a"}
    if column.factor.is_number or not said & {*BEFORE, *AFTER}:
        raise ParameterError(
            f"event {plan.event!r} does not say before or after, but "
            f"{', '.join(sorted(said)[:MOST_TOLD]) or 'nothing'}",
            where="petechia group",
            mend=f"Known words: {', '.join(BEFORE)}; {', '.join(AFTER)}.",
        )


def changes_tables(output: Path, frame: Frame, plan: Plan) -> list[Table]:
    """Return what there is to tell over time; nothing where nobody was scanned twice."""
    sessions = {(row.subject, row.session) for row in frame.scans}
    if len(sessions) == len({subject for subject, _ in sessions}):
        return []
    out = [before_after_table(frame, plan)]
    followed = read_followed(output, frame)
    if followed:
        out.append(follow_table(followed))
        out.append(incidence_table(read_intervals(output, frame), frame, plan))
    return out


FOLLOW_COLUMNS = {
    "scan": "later scan", "against": "earlier scan", "state": ", ".join(contract().follow.state),
    "class": "what it is",
    "counted": "1 if it is counted in the later scan", "side": "side", "site": "MARS site",
    "compartment": "lobar, deep or infratentorial", "moment_ppm_mm3": "in the later scan",
    "moment_before_ppm_mm3": "in the earlier scan", "change_ppm_mm3": "of the moment",
    "change_low_ppm_mm3": "lower end of its interval", "change_high_ppm_mm3": "upper end",
}  # fmt: skip


def read_followed(output: Path, frame: Frame) -> dict[str, list[Mapping[str, str]]]:
    """Return the rows of every person who was followed; an empty list: nothing was there.

    Raises
    ------
    FileError
        A table of `petechia follow` is not what it should be.
    """
    out: dict[str, list[Mapping[str, str]]] = {}
    for subject in sorted({row.subject for row in frame.scans}):
        path = follow_path(output, "table", f"sub-{subject}")
        if not path.is_file():
            continue
        head, *lines = path.read_text(encoding="utf-8").splitlines()
        names = head.split("\t")
        if not {"scan", "against", "state", "class"} <= set(names):
            raise FileError(
                f"columns {', '.join(names)[:200]}",
                where=str(path),
                mend="Run `petechia follow` again.",
            )
        out[subject] = [dict(zip(names, line.split("\t"), strict=False)) for line in lines if line]
    return out


def follow_table(followed: Mapping[str, list[Mapping[str, str]]]) -> Table:
    """Return every followed lesion of everybody."""
    out = Table("follow", "Lesions followed", {"participant_id": "person"} | FOLLOW_COLUMNS)
    for subject, rows in followed.items():
        for row in rows:
            told = {name: row.get(name, "n/a") for name in FOLLOW_COLUMNS}
            cells = {k: None if v == "n/a" else _number(v) for k, v in told.items()}
            out.add(participant_id=f"sub-{subject}", **cells)
    return out


def _number(text: str) -> object:
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        return text


def _by_person(frame: Frame) -> dict[str, list[int]]:
    """Return each person's rows in the order of sessions."""
    by: dict[str, list[int]] = defaultdict(list)
    for n in np.argsort(frame.order, kind="stable").tolist():
        by[frame.scans[n].subject].append(n)
    return by


def before_after_table(frame: Frame, plan: Plan) -> Table:
    """Return paired counts: last before and first after an event, or first and last session."""
    columns = {
        "from": "earlier scan", "to": "later scan", "place": "all, a compartment, or all "
        "of those with the same protocol", "pairs": "people with both assessed",
        "left_out": "people of whom one was not assessable",
        "before": "mean count", "after": "mean count",
        **interval_columns("ratio", "after over before; robust, by person"),
        **interval_columns("difference", "of means"), "p_signed_rank": "Wilcoxon",
        "gained": "people with any in the later scan alone",
        "lost": "people with any in the earlier scan alone", "p_mcnemar": "exact",
        "same_protocol": "pairs made alike, by what `petechia follow` compares",
    }  # fmt: skip
    out = Table("before_after", "The same people twice", columns)
    names, pairs = _pairs(frame, plan)
    if not pairs:
        return out
    alike = [pair for pair in pairs if _like(pair)]
    listed = [(place, place, pairs) for place in ("all", *COMPARTMENTS)]
    if 0 < len(alike) < len(pairs):
        listed.insert(1, ("all, same protocol", "all", alike))
    for title, place, some in listed:
        before, after = (np.array([_count(pair[side], place) for pair in some]) for side in (0, 1))
        told = paired_counts(before, after, level=plan.level)
        out.add(
            **{"from": names[0], "to": names[1]},
            place=title,
            pairs=told.pairs,
            left_out=told.left_out,
            before=tidy(told.before),
            after=tidy(told.after),
            **spread("ratio", told.ratio),
            **spread("difference", told.difference),
            p_signed_rank=tidy(told.p_signed_rank),
            gained=told.presence.only_second,
            lost=told.presence.only_first,
            p_mcnemar=tidy(told.presence.p_exact),
            same_protocol=sum(map(_like, some)),
        )
    return out


def _count(row: ScanRow, place: str) -> float:
    if not row.assessed:
        return float("nan")
    return float(len(row.lesions) if place == "all" else row.count(place))


def _like(pair: tuple[ScanRow, ScanRow]) -> bool:
    """Return whether two scans were made alike; a scan that failed is like none."""
    one, other = ({**row.protocol, "reading_te_s": row.summary.get("reading_te_s")} for row in pair)
    told = all(row.protocol for row in pair)
    return told and not protocol_differences(one, other)


def _pairs(frame: Frame, plan: Plan) -> tuple[tuple[str, str], list[tuple[ScanRow, ScanRow]]]:
    """Return what the two sides are called, and a pair of scans for each person."""
    by = _by_person(frame)
    event = frame.people.get(plan.event)
    pairs = []
    if event is not None and not event.factor.is_number:
        said = event.words()
        for rows in by.values():
            before = [n for n in rows if said[n].lower() in BEFORE]
            after = [n for n in rows if said[n].lower() in AFTER]
            if before and after:
                pairs.append((_best(frame, before, last=True), _best(frame, after, last=False)))
        if pairs:
            return ("before", "after"), pairs
    for rows in by.values():
        if len({frame.scans[n].session for n in rows}) > 1:
            first = [n for n in rows if frame.scans[n].session == frame.scans[rows[0]].session]
            last = [n for n in rows if frame.scans[n].session == frame.scans[rows[-1]].session]
            pairs.append((_best(frame, first, last=False), _best(frame, last, last=True)))
    return ("first session", "last session"), pairs


def _best(frame: Frame, rows: list[int], last: bool) -> ScanRow:
    """Return the last (or first) session's scan: assessed before not."""
    ordered = rows[::-1] if last else rows
    assessed = [n for n in ordered if frame.scans[n].assessed]
    return frame.scans[(assessed or ordered)[0]]
