"""Sessions of one person compared: registration, matching, what is new, what grew; and written."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from petechia import __version__
from petechia.errors import InputError, PetechiaError
from petechia.files.contract import contract, follow_path, place
from petechia.files.scan import ScanName
from petechia.files.writing import without_places, write_json, write_table, write_text
from petechia.lesions.follow import (
    STATES,
    FollowParams,
    sessions_against,
)
from petechia.pipeline.comparison import Comparison, compare
from petechia.pipeline.followed_values import summary_of, table_rows, undirected
from petechia.pipeline.review.cases import ReviewFolder
from petechia.pipeline.review.queue import Listed
from petechia.pipeline.session_times import DATES, GUESS, interval_days, ordered
from petechia.pipeline.visits import Visit, read_visit
from petechia.report.data import RESEARCH_USE
from petechia.report.follow import Compared, Pictured, render_follow

RETEST = (
    "A change is reliable when it exceeds 1.96 of its standard error. Under another protocol that "
    "is the error of both moments together. Under the same protocol what belongs to the lesion, "
    "its tissue and the way of measuring repeats itself and is left out; what is left, and what a "
    "head that lies otherwise adds, was set on simulated pairs, not on people scanned twice."
)
UNORDERED_NOTE = (
    "earlier and later go by the guess: nothing is called new, gone, grown or shrunk, "
    "and no grade of ARIA-H is given"
)
LINKED = re.compile(r"<!-- follow-up -->.*?<!-- end of follow-up -->", re.DOTALL)
"""Where a report tells of the page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowOutcome:
    """What became of one person.

    Attributes
    ----------
    subject : str
        `sub-01`.
    status : str
        'done', 'skipped' or 'failed'.
    says : str
        In one line.
    """

    subject: str
    status: str
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who has several sessions.

    Attributes
    ----------
    sessions : list of list of Listed
        Finished scans, session by session in time.
    notes : tuple of str
        Which sessions or scans are left out, and why.
    by : str
        What the order goes by: 'dates', 'label' or 'guess'.
    says : tuple of str
        What there is to say of the order.
    """

    sessions: list[list[Listed]] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    by: str = DATES
    says: tuple[str, ...] = ()

    @property
    def ordered(self) -> bool:
        """Whether it is known which session came first."""
        return self.by != GUESS

    @property
    def order(self) -> dict[str, Any]:
        """Labels of the sessions in their order, and what it goes by."""
        return {"sessions": [some[0].session for some in self.sessions], "by": self.by}

    @property
    def told(self) -> list[str]:
        """All that there is to say."""
        return [*self.notes, *self.says]

    @property
    def warnings(self) -> list[str]:
        """What is said on screen, too: that the order is a guess."""
        return [] if self.ordered else list(self.says)


def follow_all(
    root: Path,
    *,
    subjects: Sequence[str] = (),
    images: Path | None = None,
    language: str = "en",
    force: bool = False,
    tell: Callable[[FollowOutcome], None] = lambda _: None,
) -> list[FollowOutcome]:
    """Compare the sessions of everyone who has several.

    Parameters
    ----------
    root : Path
        OUTPUT of `petechia run`.
    subjects : sequence of str
        Labels without `sub-`; empty: everyone.
    images : Path, optional
        Input of that run: its magnitudes are compared, and its dates give intervals.
    language : str
        Of the pages: 'en' or 'zh'.
    force : bool
        Compare again what has not changed.
    tell : callable
        Told of each person when done.

    Raises
    ------
    FileError
        `root` is no output folder.
    InputError
        Nobody has two sessions, or a subject that was asked for has not.
    """
    folder = ReviewFolder(root, images)
    people = _people(folder)
    several = [subject for subject, person in people.items() if len(person.sessions) > 1]
    wanted = [s.removeprefix("sub-") for s in subjects] or several
    absent = [s for s in wanted if s not in several]
    if absent or not wanted:
        notes = [f"sub-{s}: {n}" for s in absent if s in people for n in people[s].notes]
        raise InputError(
            f"no two finished sessions of {', '.join(absent) or 'anybody'}"
            + "".join(f"; {note}" for note in notes),
            where=str(root.name),
            mend="Sessions are told apart by ses- in the names: run all of them into one OUTPUT.",
        )
    outcomes = []
    for subject in wanted:
        outcomes.append(_one(folder, subject, people[subject], language, force))
        tell(outcomes[-1])
    return outcomes


def _people(folder: ReviewFolder) -> dict[str, Person]:
    """Return everyone's finished scans, session by session in time."""
    found: dict[str, dict[str, list[Listed]]] = {}
    for one in folder.listed().values():
        found.setdefault(one.subject, {}).setdefault(one.session, []).append(one)
    people: dict[str, Person] = {}
    for subject, by_session in found.items():
        sessions, notes = [], []
        for label, listed in by_session.items():
            fine = [one for one in listed if not one.problem]
            if fine:
                sessions.append(fine)
            else:
                notes.append(f"ses-{label} is left out: its scan did not finish")
        for label in _without_scan(folder.images, subject, folder):
            notes.append(f"ses-{label} is left out: it has no finished scan")
        time = ordered(folder.images, [[o.name for o in some] for some in sessions])
        people[subject] = Person(
            sessions=[sessions[n] for n in time.order],
            notes=tuple(notes),
            by=time.by,
            says=(*filter(None, [time.says]), *(() if time.known else [UNORDERED_NOTE])),
        )
    return people


def _without_scan(images: Path | None, subject: str, folder: ReviewFolder) -> list[str]:
    """Return the sessions of a raw dataset of which the output has no scan."""
    if images is None:
        return []
    there = sorted(path.name for path in (images / f"sub-{subject}").glob("ses-*"))
    known = {o.session for o in folder.listed().values() if o.subject == subject}
    return [label for name in there if (label := name.removeprefix("ses-")) not in known]


def compared_pairs(sessions: Sequence[Sequence[Listed]]) -> list[tuple[str, str, str]]:
    """Return (earlier scan, later scan, 'previous' or 'first ...') of one person.

    Each scan is compared with that of the session before, and of the first, that is most alike.
    """
    out = []
    for first, second in sessions_against(len(sessions)):
        adjacent = second == first + 1
        word = "previous" if adjacent and first else "first and previous" if adjacent else "first"
        for later in sessions[second]:
            own = set(later.name.entities)
            earlier = max(sessions[first], key=lambda o: len(own & set(o.name.entities)))
            out.append((earlier.scan, later.scan, word))
    return out


def _one(
    folder: ReviewFolder, subject: str, person: Person, language: str, force: bool
) -> FollowOutcome:
    """Compare what can be compared; what cannot is left out, and said."""
    name = f"sub-{subject}"
    names = {one.scan: one.name for some in person.sessions for one in some}
    made_from: dict[str, Any] = {
        "version": __version__,
        "language": language,
        "images": folder.images is not None,
        "days": _days(folder, names, compared_pairs(person.sessions)),
        "notes": person.told,
        "order": person.order,
        "settings": asdict(FollowParams()),
        "scans": {scan: _stamp(folder, scan) for scan in names},
    }
    if not force and _unchanged(follow_path(folder.root, "summary", name), made_from):
        says = "; ".join(["not changed since", *person.warnings])
        return FollowOutcome(subject=name, status="skipped", says=says)
    visits, left_out = _visits(folder, names)
    sessions = [some for s in person.sessions if (some := [o for o in s if o.scan in visits])]
    known = replace(person, notes=(*person.notes, *left_out))
    if len(sessions) < 2:
        return FollowOutcome(subject=name, status="failed", says="; ".join(left_out))
    if left_out:  # looked at again every time: what is wrong may be mended outside
        made_from["left_out"] = left_out
    pairs = compared_pairs(sessions)
    try:
        comparisons = [
            compare(visits[earlier], visits[later], word, apart)
            for (earlier, later, word), apart in zip(
                pairs, _days(folder, names, pairs), strict=True
            )
        ]
        says = write_follow_up(folder.root, name, comparisons, language, made_from, known)
    except PetechiaError as error:
        return FollowOutcome(subject=name, status="failed", says=without_places(str(error)))
    return FollowOutcome(
        subject=name, status="done", says="; ".join([says, *person.warnings, *left_out])
    )


def _days(
    folder: ReviewFolder, names: Mapping[str, ScanName], pairs: Sequence[tuple[str, str, str]]
) -> list[float | None]:
    """Return the time between the scans of each pair, where it is told."""
    return [interval_days(folder.images, names[a], names[b]) for a, b, _ in pairs]


def _visits(
    folder: ReviewFolder, names: Mapping[str, ScanName]
) -> tuple[dict[str, Visit], list[str]]:
    """Return the scans that can be compared, and why others cannot."""
    visits, left_out = {}, []
    for scan in names:
        try:
            visits[scan] = read_visit(folder, scan)
        except PetechiaError as error:
            left_out.append(f"{scan} is left out: {without_places(str(error))}")
    return visits, left_out


def _stamp(folder: ReviewFolder, scan: str) -> str:
    """Return what changes with a scan's table, also when a review was applied."""
    listed = folder.listed()[scan]
    table = folder.root / place(str(contract().file("findings").table), listed.name)
    try:
        told = table.read_bytes()
    except OSError:
        told = b""
    return f"{listed.fingerprint} {hashlib.sha256(told).hexdigest()[:16]}"


def _unchanged(path: Path, made_from: Mapping[str, Any]) -> bool:
    try:
        return bool(json.loads(path.read_bytes())["made_from"] == made_from)
    except (OSError, ValueError, KeyError, TypeError):
        return False


# --- what is written ------------------------------------------------------------------------


def write_follow_up(
    root: Path,
    subject: str,
    comparisons: Sequence[Comparison],
    language: str,
    made_from: Mapping[str, Any],
    person: Person | None = None,
) -> str:
    """Write table, page and summary of one person, the summary last; return one line.

    Where the order of the sessions is a guess, nothing is called new.
    """
    person = person or Person()
    comparisons = comparisons if person.ordered else [undirected(c) for c in comparisons]
    rows = [row for c in comparisons for row in table_rows(c)]
    write_table(follow_path(root, "table", subject), rows, contract().follow.columns)
    told = [summary_of(c, order_known=person.ordered) for c in comparisons]
    shown = [_shown(c, s) for c, s in zip(comparisons, told, strict=True)]
    page = render_follow(subject, shown, language, person.told)
    write_text(follow_path(root, "page", subject), page)
    write_json(
        follow_path(root, "summary", subject),
        {
            "version": __version__,
            "subject": subject,
            "notes": person.told,
            "order": person.order,
            "comparisons": told,
            "retest": RETEST,
            "settings": asdict(FollowParams()),
            "made_from": dict(made_from),
            "research_use_only": RESEARCH_USE,
        },
    )
    for scan in {v.scan for c in comparisons for v in (c.first, c.second)}:
        _link(root / f"{scan}.html", follow_path(root, "page", subject).name)
    return "; ".join(_line(c) for c in comparisons if "previous" in c.compared)


def _line(c: Comparison) -> str:
    if not c.fit.ok:
        return f"{c.second.scan}: {c.fit.says}"
    if not (c.first.assessable and c.second.assessable):
        return f"{c.second.scan}: not assessable"
    words = ", ".join(f"{c.count(s)} {s.replace('_', ' ')}" for s in STATES if c.count(s))
    return f"{c.second.scan} against {c.first.scan}: {words or 'no lesion in either'}"


def _link(report: Path, page: str) -> None:
    """Tell of the page in a report that is there."""
    try:
        text = report.read_text(encoding="utf-8")
    except OSError:
        return
    link = f'<p class="soft"><a href="{page}">Follow-up · 随访</a></p>'
    made = LINKED.sub(f"<!-- follow-up -->{link}<!-- end of follow-up -->", text, count=1)
    if made != text:
        write_text(report, made)


def _shown(c: Comparison, told: dict[str, Any]) -> Compared:
    return Compared(
        told=told,
        rows=list(table_rows(c)),
        pictures=tuple(
            Pictured(
                row=n,
                place_mm=f.place_mm,
                radius_mm=max(1.5, 0.75 * (f.second or f.first).diameter_mm),  # type: ignore[union-attr]
            )
            for n, f in enumerate(c.followed)
            if f.state != "stable" or max(len(f.pieces_first), len(f.pieces_second)) > 1
        ),
        before=(c.first.maps.dark, c.first.maps.mask, c.first.grid),
        now=(c.second.maps.dark, c.second.maps.mask, c.second.grid),
        matrix=c.fit.inverse.matrix,
    )
