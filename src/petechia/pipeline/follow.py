"""Sessions of one person compared: registration, matching, what is new, what grew; and written."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from petechia import __version__
from petechia.anatomy.sessions import SessionFit, SessionImage, register_sessions
from petechia.errors import InputError, PetechiaError
from petechia.files.contract import contract
from petechia.files.writing import without_places, write_json, write_table, write_text
from petechia.lesions.criteria.aria import aria_h
from petechia.lesions.criteria.clinical import read_facts
from petechia.lesions.findings import Finding
from petechia.lesions.follow import (
    STATES,
    Followed,
    FollowParams,
    Session,
    fates,
    match,
    new_bounds,
    protocol_differences,
    rate_per_year,
    sessions_against,
)
from petechia.lesions.forced import Look, look_at
from petechia.pipeline.review.cases import ReviewFolder
from petechia.pipeline.review.queue import Listed
from petechia.pipeline.tree import ignore
from petechia.pipeline.visits import Visit, interval_days, read_visit
from petechia.report.data import RESEARCH_USE
from petechia.report.follow import Compared, Pictured, render_follow

RETEST = (
    "The standard error of a change is that of both moments together (times {scale:g}), taken as "
    "independent; a change is reliable when it exceeds 1.96 of it. Nothing is added for test and "
    "retest: that variance has not been measured."
)
ARIA_NOTE = (
    "As if the earliest session were the scan before treatment, and the person treated; says "
    "nothing about whether that is so, nor about treatment."
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


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Comparison:
    """Two sessions of one person.

    Attributes
    ----------
    first, second : Visit
        Earlier and later.
    fit : SessionFit
        First to second.
    followed : tuple of Followed
        Every lesion of either; places in the second's scanner RAS.
    differences : tuple of str
        In which ways the protocols differ.
    days : float or None
        Between them.
    compared : str
        'previous', 'first', or 'first and previous'.
    """

    first: Visit
    second: Visit
    fit: SessionFit
    followed: tuple[Followed, ...]
    differences: tuple[str, ...]
    days: float | None
    compared: str

    def count(self, state: str) -> int:
        """Return how many lesions have a state."""
        return sum(f.state == state for f in self.followed)


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
    wanted = [s.removeprefix("sub-") for s in subjects] or list(people)
    absent = [s for s in wanted if s not in people]
    if absent or not wanted:
        raise InputError(
            f"no two sessions of {', '.join(absent) or 'anybody'}",
            where=str(root.name),
            mend="Sessions are told apart by ses- in the names: run all of them into one OUTPUT.",
        )
    for name in (contract().follow.table, contract().follow.summary):
        ignore(root, name.removeprefix("OUTPUT/").replace("<p>/<p>", "sub-*/*"))
    outcomes = []
    for subject in wanted:
        outcomes.append(_one(folder, subject, people[subject], language, force))
        tell(outcomes[-1])
    return outcomes


def _people(folder: ReviewFolder) -> dict[str, list[list[Listed]]]:
    """Return the scans of everyone with several sessions, session by session in order."""
    fine = [listed for listed in folder.listed().values() if not listed.problem]
    people: dict[str, list[list[Listed]]] = {}
    for subject, scans in groupby(fine, key=lambda listed: listed.subject):
        sessions = [list(some) for _, some in groupby(scans, key=lambda listed: listed.session)]
        if len(sessions) > 1:
            people[subject] = sessions
    return people


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
    folder: ReviewFolder, subject: str, sessions: list[list[Listed]], language: str, force: bool
) -> FollowOutcome:
    name = f"sub-{subject}"
    made_from = _made_from(folder, sessions, language)
    summary_at = path_of(folder.root, "summary", name)
    if not force and _unchanged(summary_at, made_from):
        return FollowOutcome(subject=name, status="skipped", says="not changed since")
    visits: dict[str, Visit] = {}
    try:
        comparisons = []
        for earlier, later, word in compared_pairs(sessions):
            for scan in (earlier, later):
                if scan not in visits:
                    visits[scan] = read_visit(folder, scan)
            days = interval_days(folder.images, visits[earlier].name, visits[later].name)
            comparisons.append(compare(visits[earlier], visits[later], word, days))
        says = write_follow_up(folder.root, name, comparisons, language, made_from)
    except PetechiaError as error:
        return FollowOutcome(subject=name, status="failed", says=without_places(str(error)))
    return FollowOutcome(subject=name, status="done", says=says)


def _made_from(folder: ReviewFolder, sessions: list[list[Listed]], language: str) -> dict[str, Any]:
    """Return what the comparison depends on: when it is the same, nothing needs be done."""
    scans = {s.scan: [s.fingerprint, s.n_findings, s.counted] for some in sessions for s in some}
    return {"version": __version__, "language": language, "scans": scans}


def _unchanged(path: Path, made_from: dict[str, Any]) -> bool:
    try:
        return bool(json.loads(path.read_bytes())["made_from"] == made_from)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def path_of(root: Path, key: str, subject: str) -> Path:
    """Return where 'table', 'summary' or 'page' of a person (`sub-01`) lies."""
    template: str = getattr(contract().follow, key)
    return root / template.removeprefix("OUTPUT/").replace("<p>", subject)


def compare(
    first: Visit,
    second: Visit,
    compared: str = "first and previous",
    days: float | None = None,
    params: FollowParams | None = None,
) -> Comparison:
    """Return what became of every lesion of two sessions.

    When the sessions cannot be registered, or one of them cannot show microbleeds, nothing is
    followed, and `fit.says` or the summary tells why.
    """
    p = params or FollowParams()
    one, other = (
        SessionImage(image=v.maps.dark, mask=v.maps.mask, grid=v.grid) for v in (first, second)
    )
    fit = register_sessions(one, other)
    followed: list[Followed] = []
    if fit.ok and first.assessable and second.assessable:
        followed = _followed(first, second, fit, p)
    return Comparison(
        first=first,
        second=second,
        fit=fit,
        followed=tuple(followed),
        differences=tuple(protocol_differences(first.protocol, second.protocol)),
        days=days,
        compared=compared,
    )


def _followed(first: Visit, second: Visit, fit: SessionFit, p: FollowParams) -> list[Followed]:
    then = _session(first, fit.to_second(first.places_mm))
    now = _session(second, second.places_mm)
    pairs = match(then, now, fit.uncertainty_mm, p)
    slack = 0.5 + 2 * fit.uncertainty_mm

    def looks(
        own: Visit, session: Session, other: Visit, way: SessionFit, taken: set[int]
    ) -> dict[int, tuple[Look, Look]]:
        rows = [row for row in session.followed if row not in taken]
        here = own.places_mm[rows]
        radii = [max(1.0, 0.5 * own.findings[row].diameter_mm) for row in rows]
        seen = look_at(own.maps, here, radii, slack)
        there = look_at(other.maps, way.to_second(here), radii, slack)
        return {row: (a, b) for row, a, b in zip(rows, seen, there, strict=True)}

    of_now = looks(second, now, first, fit.inverse, {b for _, b in pairs})
    of_then = looks(first, then, second, fit, {a for a, _ in pairs})
    return fates(then, now, pairs, of_now, of_then, p)


def _session(visit: Visit, places_mm: Any) -> Session:
    return Session(
        findings=visit.findings,
        places_mm=places_mm,
        b0_t=float(visit.protocol["b0_t"]),
        te_s=float(visit.protocol["reading_te_s"]),
        voxel_mm=np.asarray(visit.protocol["spacing_mm"], dtype=np.float64),
    )


# --- what is written ------------------------------------------------------------------------


def write_follow_up(
    root: Path,
    subject: str,
    comparisons: Sequence[Comparison],
    language: str,
    made_from: dict[str, Any],
) -> str:
    """Write table, page and summary of one person, the summary last; return one line."""
    rows = [row for c in comparisons for row in table_rows(c)]
    write_table(path_of(root, "table", subject), rows, contract().follow.columns)
    told = [summary_of(c) for c in comparisons]
    page = render_follow(subject, [_shown(c, s) for c, s in zip(comparisons, told, strict=True)],
                         language)  # fmt: skip
    write_text(path_of(root, "page", subject), page)
    write_json(
        path_of(root, "summary", subject),
        {
            "version": __version__,
            "subject": subject,
            "comparisons": told,
            "retest": RETEST.format(scale=FollowParams().retest_scale),
            "settings": asdict(FollowParams()),
            "made_from": made_from,
            "research_use_only": RESEARCH_USE,
        },
    )
    for scan in {v.scan for c in comparisons for v in (c.first, c.second)}:
        _link(root / f"{scan}.html", path_of(root, "page", subject).name)
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


def _flag(finding: Finding | None) -> int | None:
    return None if finding is None else int(finding.counted)


def _of(finding: Finding | None, name: str) -> float | None:
    value = None if finding is None else getattr(finding, name)
    return None if value is None or not np.isfinite(value) else round(float(value), 2)


def summary_of(c: Comparison) -> dict[str, Any]:
    """Return a comparison in plain values."""
    followed = bool(c.fit.ok and c.first.assessable and c.second.assessable)
    apart = [f.apart_mm for f in c.followed if f.apart_mm is not None]
    low, high = new_bounds(c.followed, "microbleed")
    rate = None
    if followed and c.days is not None and c.days > 0:
        rate = [round(v, 2) for v in rate_per_year(low, c.days)]
    return {
        "scan": c.second.scan,
        "against": c.first.scan,
        "compared": c.compared,
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
        "new_microbleeds": {"least": low, "most": high} if followed else None,
        "new_per_year_95": rate,
        "aria_h": _aria(c) if followed else None,
    }


def _finite(value: float) -> float | None:
    return round(value, 3) if np.isfinite(value) else None


def _aria(c: Comparison) -> dict[str, Any]:
    """Return the grade of what is new, as under treatment."""
    low, high = new_bounds(c.followed, "microbleed")
    facts: dict[str, Any] = {
        "amyloid_immunotherapy": True,
        "new_microhemorrhages": f"{low}-{high}",
    }
    searched = [_searched(v) for v in (c.first, c.second)]
    if all(searched):
        least, most = new_bounds(c.followed, "siderosis")
        facts["new_siderosis_foci"] = f"{least}-{most}"
    claim = aria_h((), read_facts(facts, "follow-up")).as_dict()
    return {**claim, "note": ARIA_NOTE}


def _searched(visit: Visit) -> bool:
    """Return whether superficial siderosis was looked for."""
    told = (visit.summary.get("criteria") or {}).get("superficial_siderosis") or {}
    return bool(told) and not told.get("why_not")


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
            if f.state != "stable"
        ),
        before=(c.first.maps.dark, c.first.maps.mask, c.first.grid),
        now=(c.second.maps.dark, c.second.maps.mask, c.second.grid),
        matrix=c.fit.inverse.matrix,
    )
