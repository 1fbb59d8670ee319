"""New microbleeds per person-year, from what `petechia follow` told of each interval."""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from petechia.cohort.incidence import incidence
from petechia.core.units import DAYS_A_YEAR
from petechia.errors import FileError
from petechia.files.contract import follow_path
from petechia.pipeline.group.frame import Frame
from petechia.pipeline.group.plan import Plan
from petechia.pipeline.group.prevalence import groups_of, parts
from petechia.pipeline.group.tables import Table, interval_columns, spread, tidy

BEFORE = ("previous", "first and previous")
"""Comparisons with the session before. Those with the first tell the same new lesions again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """What came between a session and the one before.

    Attributes
    ----------
    row : int
        Of the earlier scan in the frame.
    followed : bool
        The two were registered, both could show microbleeds, and which came first is known and
        the same here.
    least, most : int
        New microbleeds; with those that could not be assessed before.
    years : float
        Between them; 0 where it is not known.
    same_protocol : bool
        By what `petechia follow` compares.
    """

    row: int
    followed: bool
    least: int
    most: int
    years: float
    same_protocol: bool


def read_intervals(output: Path, frame: Frame) -> dict[str, list[Interval]]:
    """Return the intervals of every person who was followed, in the order of time.

    One scan stands for a session: that with phase before one without, then by name.

    Raises
    ------
    FileError
        A summary of `petechia follow` is not what it should be.
    """
    at = {row.prefix: n for n, row in enumerate(frame.scans)}
    out: dict[str, list[Interval]] = {}
    for subject in sorted({row.subject for row in frame.scans}):
        # written last: what has none is not finished
        path = follow_path(output, "summary", f"sub-{subject}")
        if not path.is_file():
            continue
        try:
            told = json.loads(path.read_bytes())["comparisons"]
            best: dict[int, tuple[Any, Mapping[str, Any]]] = {}
            for one in told:
                here, there = at.get(one["scan"]), at.get(one["against"])
                if one["compared"] not in BEFORE or here is None or there is None:
                    continue
                scan = frame.scans[here]
                rank = (not one["followed"], scan.protocol.get("phase") == "none", scan.prefix)
                place = int(frame.order[here])
                if place not in best or rank < best[place][0]:
                    best[place] = (rank, one)
            chain = [best[place][1] for place in sorted(best)]
            made = [_interval(one, at[one["against"]], at[one["scan"]], frame) for one in chain]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise FileError(
                "is not a summary of follow-up",
                where=str(path),
                mend="Run `petechia follow` again.",
            ) from error
        if made:
            out[subject] = made
    return out


def _interval(told: Mapping[str, Any], before: int, after: int, frame: Frame) -> Interval:
    new, in_order = told.get("new_microbleeds"), frame.order[after] > frame.order[before]
    followed = bool(told["followed"]) and new is not None and bool(in_order)
    least, most = (int(new["least"]), int(new["most"])) if new is not None and followed else (0, 0)
    days = told.get("interval_days")
    return Interval(
        row=before,
        followed=followed,
        least=least,
        most=most,
        years=(_days(frame, before, after) if days is None else float(days)) / DAYS_A_YEAR,
        same_protocol=bool(told["same_protocol"]),
    )


def _days(frame: Frame, before: int, after: int) -> float:
    """Return the days between by the column `days` of the sessions; 0 where it does not tell."""
    days = frame.people.get("days")
    if days is None or not days.factor.is_number:
        return 0.0
    apart = float(days.values[after] - days.values[before])
    return apart if apart > 0 else 0.0


def incidence_table(followed: Mapping[str, list[Interval]], frame: Frame, plan: Plan) -> Table:
    """Return new microbleeds per person-year: of all, of like protocols alone, and by group.

    The unit is a person: new lesions and years of all intervals that were followed, each from
    one session to the next.
    """
    columns = {
        "factor": "what people are told apart by", "group": "group",
        "people": "people with an interval that was followed",
        "new": "new microbleeds", "new_most": "with those that could not be assessed before",
        "with_new": "people with any new one", "person_years": "of followed intervals with a time",
        "no_time": "people left out of the rate: no time between their sessions",
        "not_followed": "intervals left out: not registered, a scan was not assessable, or not "
        "known to be in this order",
        "other_protocol": "intervals between unlike protocols: what is new there may be newly seen",
        **interval_columns("rate", "new a year, exact Poisson"),
        **interval_columns("rate_robust", "the same, robust to lesions that come together"),
        **interval_columns("risk", "with_new / people, Wilson"),
    }  # fmt: skip
    out = Table("incidence", "New microbleeds", columns)
    if not followed:
        return out
    _add(out, "all", "all", list(followed.values()), plan)
    alike = [[i for i in own if i.same_protocol] for own in followed.values()]
    if any(len(a) < len(b) for a, b in zip(alike, followed.values(), strict=True)):
        _add(out, "protocol", "the same in both scans", [own for own in alike if own], plan)
    rows = np.array([own[0].row for own in followed.values()], dtype=np.intp)
    people, chains = frame.take(rows), list(followed.values())
    for column in groups_of(people, plan):
        for word, who in parts(column):
            own = [chain for chain, there in zip(chains, who, strict=True) if there]
            _add(out, column.factor.name, word, own, plan)
    return out


def _add(out: Table, factor: str, group: str, chains: list[list[Interval]], plan: Plan) -> None:
    told: dict[str, list[float]] = defaultdict(list)
    for chain in chains:
        seen = [i for i in chain if i.followed]
        if not seen:
            continue
        timed = [i for i in seen if i.years > 0]
        told["least"].append(sum(i.least for i in seen))
        told["most"].append(sum(i.most for i in seen))
        told["timed"].append(sum(i.least for i in timed) if timed else np.nan)
        told["years"].append(sum(i.years for i in timed))
    new = np.array(told["least"], dtype=np.float64)
    rate = incidence(told["timed"], told["years"], plan.level)
    risk = incidence(new, np.ones(len(new)), plan.level).risk
    intervals = [i for chain in chains for i in chain]
    out.add(
        factor=factor,
        group=group,
        people=len(new),
        new=int(new.sum()),
        new_most=int(sum(told["most"])),
        with_new=int((new > 0).sum()),
        person_years=tidy(rate.person_years),
        no_time=rate.not_assessable,
        not_followed=sum(not i.followed for i in intervals),
        other_protocol=sum(i.followed and not i.same_protocol for i in intervals),
        **spread("rate", rate.rate),
        **spread("rate_robust", rate.rate_robust),
        **spread("risk", risk),
    )
