"""What a report says of its readers: who, when, and what they changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from petechia.report.data import ReportData
from petechia.report.language import said, t
from petechia.report.wording import CLASSES, MARS, plain, spaced


@dataclass(frozen=True, slots=True)
class Change:
    """One finding that is not as the software left it."""

    anchor: str
    name: str
    before: str
    after: str
    reason: str


@dataclass(frozen=True, slots=True)
class ReviewWords:
    """The section on readers, in words."""

    who: str
    unfinished: str
    facts: list[tuple[str, str]]
    changes: list[Change]
    disagreements: list[str]
    overrides: list[tuple[str, str, str, str]]
    notes: list[tuple[str, str]]
    lost: str


def review_words(data: ReportData) -> ReviewWords | None:
    """Return what the summary holds of a review; None when nobody has reviewed the scan."""
    told = data.summary.get("review")
    if not isinstance(told, Mapping) or not told.get("readers"):
        return None
    return ReviewWords(
        who=reviewed_by(data.summary),
        unfinished=_unfinished(told),
        facts=_facts(data, told),
        changes=[_change(row) for row in told.get("changes") or ()],
        disagreements=[plain(text) for text in told.get("disagreements") or ()],
        overrides=[
            (
                f"{said(spaced(row['form']))}: {spaced(row['row'])}",
                str(row["computed"]),
                plain(str(row["value"])),
                plain(row["reason"]),
            )
            for row in told.get("overrides") or ()
        ],
        notes=[(plain(row["reader"]), plain(row["text"])) for row in told.get("notes") or ()],
        lost=_lost(told.get("orphaned") or ()),
    )


def reviewed_by(summary: Mapping[str, Any]) -> str:
    """Return one sentence: who has reviewed the scan and when, or that nobody has.

    A review is begun, no more, until all that was asked about is decided. What the readers
    disagree on is no part of what is left: it is told apart.
    """
    told = summary.get("review") or {}
    readers = ", ".join(plain(name) for name in told.get("readers") or ())
    if not readers:
        return t("Not reviewed by a reader.")
    first, last = str(told.get("from", ""))[:10], str(told.get("to", ""))[:10]
    if told.get("undecided"):
        asked = told.get("asked", 0)
        return t(
            "Review begun by {readers} on {date}: {n} of {total} findings decided, the others "
            "stand as the software left them.",
            readers=readers,
            date=first,
            n=asked - told["undecided"],
            total=asked,
        )
    if first == last:
        out = t("Reviewed by {readers} on {date}.", readers=readers, date=last)
    else:
        out = t(
            "Reviewed by {readers} from {first} to {last}.", readers=readers, first=first, last=last
        )
    n = len(told.get("disagreements") or ())
    return out + (t(" Disagreements not settled: {n}.", n=n) if n else "")


def _unfinished(told: Mapping[str, Any]) -> str:
    if told.get("undecided") or told.get("finished"):
        return ""
    return t("The review was not marked as finished.")


def _facts(data: ReportData, told: Mapping[str, Any]) -> list[tuple[str, str]]:
    software = told.get("software") or {}
    rows = [
        (t("Counted by software alone"), str(software.get("counted", ""))),
        (t("Counted after review"), str(data.counts.get("total", 0))),
        (t("Accepted"), str(told.get("accepted", 0))),
        (t("Rejected"), str(told.get("rejected", 0))),
        (t("Added by a reader"), str(told.get("added", 0))),
        (t("Split or merged"), str(told.get("cut", 0))),
        (t("Outlines corrected"), str(told.get("outlines", 0))),
    ]
    siderosis = told.get("siderosis")
    if siderosis:
        word = said(spaced(siderosis["extent"]))
        rows.append((t("Superficial siderosis by the reader"), word))
    return rows


def _change(row: Mapping[str, Any]) -> Change:
    before = row.get("before")
    return Change(
        anchor=f"finding-{row['index']}" if row.get("index") else "",
        name=said(plain(row["name"])),
        before=_standing(before) if before else t("not seen by the software"),
        after=_standing(row["after"]) if row.get("after") else t("taken away"),
        reason=plain(row.get("reason") or ""),
    )


def _standing(told: Mapping[str, Any]) -> str:
    """Return `microbleed, definite`, or the class alone."""
    kind = str(told["class"])
    word = said(CLASSES.get(kind, (spaced(kind), ""))[0])
    mars = str(told.get("mars", "n/a"))
    return word if mars == "n/a" else f"{word}, {said(MARS.get(mars, spaced(mars)))}"


def _lost(orphans: Sequence[Any]) -> str:
    if not orphans:
        return ""
    return t(
        "{n} decisions are about findings of an earlier run that this one does not have; they are "
        "kept in the log.",
        n=len(orphans),
    )
