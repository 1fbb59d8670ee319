"""From an output folder and a plan to tables, a map and the page of a cohort."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from petechia import __version__
from petechia.errors import OutputError
from petechia.files.writing import make_folder, plain, write_json, write_nifti, write_text
from petechia.pipeline.group import associations, listed, models, places, prevalence
from petechia.pipeline.group.changes import changes_tables, require_event
from petechia.pipeline.group.factors import shipped
from petechia.pipeline.group.frame import Frame, build_frame
from petechia.pipeline.group.people import read_people
from petechia.pipeline.group.plan import OUTCOMES, Plan
from petechia.pipeline.group.scans import (
    ASSESSED,
    FAILED,
    REFUSED,
    UNREADABLE,
    read_scans,
)
from petechia.pipeline.group.sequences import sequences_tables
from petechia.pipeline.group.tables import Table, write_tables
from petechia.pipeline.group.uncertainty import dispersion_table, uncertainty_table
from petechia.pipeline.listing import natural
from petechia.pipeline.tree import ignore, is_output
from petechia.report.data import RESEARCH_USE
from petechia.report.group import GroupPage, Map, render_group

FOLDER = "group"
PAGE = "group.html"
MARK = "group.json"
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """A cohort with all its answers.

    Attributes
    ----------
    frame : Frame
    plan : Plan
    tables : dict of str to Table
    facts : dict
        What the page and `group.json` tell besides the tables.
    lesions : LesionMap or None
    """

    frame: Frame
    plan: Plan
    tables: dict[str, Table]
    facts: dict[str, Any]
    lesions: places.LesionMap | None


def analyse(
    output: Path, participants: Path | None, plan: Plan, tell: Tell = lambda _: None
) -> Group:
    """Return all answers about the scans of `output` and their people.

    Parameters
    ----------
    output : Path
        Folder of `petechia run`.
    participants : Path or None
        `participants.tsv`; without it there are no groups and no models.
    plan : Plan
    tell : callable
        Called with what is being done.

    Raises
    ------
    FileError, InputError, ParameterError
        Something that was given cannot be used.
    """
    tell("scans")
    scans = read_scans(output)
    people = read_people(participants, [scan.subject for scan in scans])
    frame = build_frame(scans, people, plan, output)
    require_event(frame, plan)
    tell("tables")
    made: list[Table] = [
        listed.scans_table(frame),
        listed.people_table(frame),
        listed.lesions_table(frame),
        listed.left_out_table(frame),
        listed.quality_table(frame),
        listed.protocols_table(frame),
        listed.characteristics_table(frame),
        prevalence.prevalence_table(frame, plan),
        prevalence.counts_table(frame, plan),
        associations.associations_table(frame, plan),
        associations.trends_table(frame, plan),
        places.sites_table(frame, plan),
    ]
    in_table = frame.take(frame.known)
    if plan.compare:
        tell(f"comparison by {plan.compare}")
        made += sequences_tables(in_table, plan)
    if people.rows:
        made += [
            models.missing_table(frame, plan),
            regressions := models.models_table(frame, plan, tell),
            dispersion_table(frame, plan),
            uncertainty_table(frame, plan, regressions, tell),
        ]
    made += changes_tables(output, in_table, plan)
    return Group(
        frame,
        plan,
        {table.name: table for table in made},
        _facts(frame, plan, bool(people.rows)),
        places.lesion_map(frame, plan),
    )


def _facts(frame: Frame, plan: Plan, has_people: bool) -> dict[str, Any]:
    status = [row.status for row in frame.scans]
    chosen = frame.take(frame.chosen)
    assessed = [row for row in frame.scans if row.assessed]
    age = chosen.people["age"].values if "age" in chosen.people else np.array([])
    age = age[~np.isnan(age)]
    sex = chosen.people["sex"].words() if "sex" in chosen.people else []
    return {
        "version": __version__,
        "plan": plan.as_dict(),
        "n_scans": len(status),
        "n_assessed": status.count(ASSESSED),
        "n_not_assessable": status.count(REFUSED),
        "n_failed": status.count(FAILED),
        "n_unreadable": status.count(UNREADABLE),
        "n_people": len({row.subject for row in frame.scans}),
        "n_people_assessed": sum(row.assessed for row in chosen.scans),
        "n_reviewed": sum(row.reviewed for row in assessed),
        "n_lesions": sum(len(row.lesions) for row in assessed),
        "sessions": sorted({row.session or "" for row in frame.scans}, key=natural),
        "has_participants": has_people,
        "age": [float(v) for v in np.quantile(age, [0, 0.5, 1])] if len(age) else None,
        "sex": {word: sex.count(word) for word in dict.fromkeys(sex) if word != "n/a"},
        "titles": {name: c.factor.title for name, c in frame.people.items()},
        "ignored": sorted(
            name for name, c in frame.people.items() if c.factor.text or name not in shipped()
        ),
        "outcomes": {name: OUTCOMES[name] for name in plan.outcome},
        "notes": frame.notes,
        "research_use_only": RESEARCH_USE,
    }


def write_group(
    group: Group, output: Path, folder: Path | None = None, language: str = "en"
) -> tuple[Path, list[str]]:
    """Write tables, map and page; return the page and notes.

    What an earlier call wrote there and this one does not is removed. The page comes last, in
    English ('en') or Chinese ('zh'); tables are in English.

    Raises
    ------
    OutputError
        It cannot be written, or the folder holds something else.
    """
    there = folder or output / FOLDER
    _own(there)
    make_folder(there)
    for old in (*there.glob("*.tsv"), *there.glob("*.parquet")):
        if old.stem not in group.tables:
            old.unlink()
    (there / PAGE).unlink(missing_ok=True)
    write_json(there / MARK, group.facts)
    names, note = write_tables(there, group.tables.values())
    notes = [note] if note else []
    if group.lesions is not None:
        write_nifti(there / "lesion_frequency.nii.gz", group.lesions.share, group.lesions.grid)
        says = {
            "Description": "Share of people with a counted microbleed within "
            f"{group.plan.smooth_mm:g} mm",
            "Units": "1",
            "SpatialReference": "ICBM 152 2009c symmetric",
            "People": group.lesions.n_people,
        }
        write_json(there / "lesion_frequency.json", says)
    else:
        for name in ("lesion_frequency.nii.gz", "lesion_frequency.json"):
            (there / name).unlink(missing_ok=True)
    page = render_group(
        GroupPage(
            facts=plain(group.facts),
            tables={name: table.rows for name, table in group.tables.items()},
            columns={name: table.columns for name, table in group.tables.items()},
            titles={name: table.title for name, table in group.tables.items()},
            files=tuple(sorted(names)),
            lesions=_picture(group.lesions, group.plan.smooth_mm),
            notes=tuple(notes),
        ),
        language,
    )
    write_text(there / PAGE, page)
    if is_output(output) and there.resolve().parent == output.resolve():
        ignore(output, there.name)
    return there / PAGE, notes


def _own(folder: Path) -> None:
    """Refuse a folder that holds something else than an earlier group."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MARK).is_file():
        raise OutputError(
            "there is something else in it",
            where=str(folder),
            mend="Give --out an empty or a new folder.",
        )


def _picture(lesions: places.LesionMap | None, radius_mm: float) -> Map | None:
    if lesions is None:
        return None
    return Map(
        share=lesions.share, background=lesions.background, brain=lesions.brain,
        grid=lesions.grid, places=lesions.places, n_people=lesions.n_people,
        n_without=lesions.n_without, radius_mm=radius_mm,
    )  # fmt: skip
