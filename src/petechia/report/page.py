"""One scan's report: a single HTML file that opens offline, prints, and loads nothing."""

from functools import lru_cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from petechia.report import maps, narrative, tables
from petechia.report.beside import beside
from petechia.report.criteria import bombs_rows, input_words, scale_rows
from petechia.report.data import RESEARCH_USE, ReportData
from petechia.report.findings import Entry, picture_order, read_entries, rejected_groups
from petechia.report.language import LANGUAGES, clauses, listed, said, speaking, spoken, t
from petechia.report.review import review_words
from petechia.report.scene import Scene
from petechia.report.thumbnails import Thumbnail, strips
from petechia.report.viewer import library_licence, make_viewer, policy, script
from petechia.report.wording import (
    CLASS_SAYS,
    CLASSES,
    MARS,
    SIGNS,
    capital,
    count_of,
    moment_text,
    number_text,
    plain,
    spaced,
)

PAGE_BYTES = 15_000_000
"""A page with its viewer stays below this: the viewer's volumes get what the pictures leave."""
STILL_BYTES = 6_000_000
"""What stands still stays below this: the pictures of findings get what the maps leave."""
TEXT_BYTES = 700_000
"""Kept free for words; a table row of a finding is about 2 kB."""


@lru_cache(maxsize=1)
def environment() -> Environment:
    """Return the templates: everything is escaped, a missing name is an error."""
    made = Environment(
        loader=PackageLoader("petechia.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {
        "research_use": RESEARCH_USE,
        "capital": capital,
        "mm": _mm,
        "t": t,
        "said": said,
        "language": lambda: LANGUAGES[spoken()],
        "policy": policy,
    }
    return made


def render(data: ReportData) -> str:
    """Return the report of one scan.

    Parameters
    ----------
    data : ReportData
        Results of one scan.

    Returns
    -------
    str
        HTML that loads nothing: pictures, volumes and their viewer are inside. Without scripts
        or WebGL the pictures and all words stay. The same input gives the same text.

    Notes
    -----
    Volumes are read, not copied. Pictures follow the nearest patient axes in radiological
    convention: nothing is resampled, so an oblique scan is shown in its own planes.
    """
    with speaking(data.language):
        return _render(data)


def _render(data: ReportData) -> str:
    entries = read_entries(data.findings)
    scene = Scene(data, entries)
    numbers, slices = maps.shared_slices(scene)
    shown = maps.montages(scene, numbers)
    regions = maps.region_montage(scene, numbers, data.region_table)
    spent = sum(len(uri) for m in [*shown, *([regions] if regions else [])] for uri in m.pictures)
    spent += sum(len(piece.outline) for piece in slices) + 2_000 * len(entries)
    pictures, without = strips(scene, entries, STILL_BYTES - TEXT_BYTES - spent)
    spent += sum(len(p.uri) for strip in pictures.values() for p in strip)
    viewer = make_viewer(scene, PAGE_BYTES - TEXT_BYTES - spent, _viewer_texts(), _titled)
    views = {
        entry.index: _view(entry, pictures.get(entry.index, []), entry.index in scene.spots)
        for entry in entries
    }
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            data=data,
            prefix=plain(data.prefix),
            version=plain(data.summary.get("version") or ""),
            headline=narrative.headline(data),
            warnings=[said(plain(text)) for text in data.summary.get("warnings") or ()],
            protocol=tables.protocol_rows(data),
            fitness=tables.fitness_rows(data),
            form=tables.rating_form(entries),
            bombs=bombs_rows(data),
            scales=scale_rows(data),
            facts_told=_facts_told(data),
            short_text=narrative.short_text(data, entries),
            viewer=viewer,
            script=script(),
            licence=library_licence() if viewer else "",
            choices=[
                (e.index, _titled(e)) for e in picture_order(entries) if e.index in scene.spots
            ],
            silhouettes=maps.silhouettes(scene) if data.assessable else [],
            counted=[views[entry.index] for entry in entries if entry.counted],
            rejected=_rejected(entries, views),
            without=without,
            trust=narrative.trust_when_empty(data, entries),
            operating_point=narrative.operating_point(data),
            model_note=narrative.model_note(data),
            markers=narrative.other_markers(data, entries),
            beside=beside(data),
            plane=scene.plane,
            tilt_deg=scene.layout.tilt_deg,
            slices=slices,
            montages=shown,
            regions=regions,
            tints=maps.TINTS,
            absent=_absent(data),
            projection_of="" if data.volume("swi") is not None else t(" of the magnitude"),
            methods=narrative.methods_text(data),
            settings=tables.settings_rows(data.summary.get("settings") or {}),
            software=tables.software_rows(data),
            costs=tables.cost_rows(data),
            provenance=tables.provenance(data),
            review=review_words(data),
        )
    )


def _view(entry: Entry, pictures: list[Thumbnail], placed: bool) -> dict[str, object]:
    """Return one finding as the template shows it: every value already in words."""
    row = entry.row
    side, site = row.get("side", "n/a"), row.get("site", "n/a")
    place = narrative.place_words(site, side)
    at = entry.place_mm
    where = "" if at is None else ", ".join(number_text(value, 1) for value in at)
    return {
        "anchor": entry.anchor,
        "index": entry.index,
        "name": said(plain(entry.name)),
        "kind": said(CLASSES.get(entry.kind, (spaced(entry.kind), ""))[0]),
        "look": entry.look,
        "counted": entry.counted,
        "probability": _probability(entry.probability),
        "mars": said(MARS.get(entry.mars, spaced(entry.mars))),
        "sign": said(SIGNS.get(entry.sign, spaced(entry.sign))),
        "place": place,
        "where": where,
        "size": number_text(entry.diameter_mm, 1, "mm"),
        "volume": number_text(row.get("volume_mm3"), 1, "mm³"),
        "moment": moment_text(entry.moment, entry.moment_se),
        "chi": number_text(row.get("chi_mean_ppm"), 2, "ppm"),
        **_evidence(plain(row.get("evidence", ""))),
        "definition": _definition(row.get("criteria", "n/a")),
        "pictures": pictures,
        "placed": placed,
    }


def _probability(value: float | None) -> str:
    """Return two decimals, but never a certainty."""
    if value is not None and value >= 0.995:
        return t("above 0.99")
    if value is not None and value < 0.005:
        return t("below 0.01")
    return number_text(value, 2)


def _evidence(text: str) -> dict[str, str]:
    """Return the reasons in words, and apart from them what weighed most in the model."""
    parts = text.replace(" +- ", " ± ").replace("mm3", "mm³").split("; ")
    model = [c.removeprefix("model:").strip() for c in parts if c.startswith("model:")]
    rest = [c for c in parts if not c.startswith("model:")]
    return {"evidence": said("; ".join(rest)), "model_says": clauses(map(_weighed, model))}


SPOKE = ("the measured {names} spoke for it", "the measured {names} spoke against it")


def _weighed(clause: str) -> str:
    """Return `the measured “roundness” spoke for it; ...` of the model's own list."""
    sides: dict[str, list[str]] = {" for it": [], " against it": []}
    for part in clause.split(", "):
        for mark, names in sides.items():
            if part.endswith(mark):
                names.append(f"“{said(part.removesuffix(mark).rpartition(': ')[2])}”")
    told = [
        t(text, names=listed(names))
        for text, names in zip(SPOKE, sides.values(), strict=True)
        if names
    ]
    return clauses(told) or said(clause)


JUDGED = ("met", "not met", "not assessed")


def _definition(criteria: str) -> list[tuple[str, str]]:
    """Return the criteria of the definition by how they were judged: (words, names)."""
    judged: dict[str, list[str]] = {word: [] for word in JUDGED}
    for part in criteria.split("; "):
        name, mark, word = part.rpartition(": ")
        if mark and word in judged:
            judged[word].append(said(name))
    return [(t(word), listed(names)) for word, names in judged.items() if names]


def _titled(entry: Entry) -> str:
    """Return a finding's name and place."""
    place = narrative.place_words(entry.row.get("site", "n/a"), entry.row.get("side", "n/a"))
    return f"{said(plain(entry.name))} ({place})"


def _viewer_texts() -> dict[str, str]:
    """Return what the viewer's script says."""
    return {
        "loading": t("Loading the viewer …"),
        "failed": t("The viewer cannot run in this browser. All pictures below stay."),
        "none": t("no finding here"),
    }


def _facts_told(data: ReportData) -> list[tuple[str, str]]:
    """Return the clinical facts as they were told."""
    told = (data.summary.get("criteria") or {}).get("clinical_facts") or {}
    return [(capital(input_words(name)), said(spaced(value))) for name, value in told.items()]


def _rejected(entries: list[Entry], views: dict[int, dict[str, object]]) -> list[dict[str, object]]:
    """Return the groups of findings that were not counted; macrobleeds lie open."""
    return [
        {
            "title": capital(count_of(kind, len(members)).partition(" ")[2]),
            "n": len(members),
            "says": t(CLASS_SAYS[kind]) if kind in CLASS_SAYS else "",
            "open": kind == "macrobleed",
            "views": [views[entry.index] for entry in members],
        }
        for kind, members in rejected_groups(entries)
    ]


def _absent(data: ReportData) -> list[str]:
    """Return which maps this scan has not, and why."""
    no_phase = data.protocol.get("phase") == "none"
    single = (data.protocol.get("n_echoes") or 0) == 1
    out = []
    for key, title in maps.TITLES.items():
        if data.volume(key) is not None:
            continue
        why = t("it was not made in this run")
        if key in ("swi", "chi", "local_field") and no_phase:
            why = t("it needs phase, and this scan has none")
        elif key == "r2star" and single:
            why = t("it needs several echoes, and this scan has one")
        out.append(t("{what}: {why}.", what=t(title), why=why))
    return out


def _mm(value: float) -> str:
    """Return a length for a drawing, short."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
