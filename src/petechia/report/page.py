"""One scan's report: a single HTML file that opens offline, prints, and loads nothing."""

from functools import lru_cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from petechia.report import maps, narrative, tables
from petechia.report.data import RESEARCH_USE, ReportData
from petechia.report.findings import Entry, read_entries, rejected_groups
from petechia.report.scene import Scene
from petechia.report.thumbnails import Thumbnail, strips
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

PAGE_BYTES = 8_000_000
"""A page stays below this: the pictures of findings get what the maps leave."""
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
    made.globals |= {"research_use": RESEARCH_USE, "capital": capital, "mm": _mm}
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
        HTML without scripts; pictures are inside. The same input gives the same text.

    Notes
    -----
    About 2 s for 256 x 256 x 140 voxels, most of it PNG compression. Volumes are read, not
    copied. Pictures follow the nearest patient axes in radiological convention: nothing is
    resampled, so an oblique scan is shown in its own planes.
    """
    entries = read_entries(data.findings)
    scene = Scene(data, entries)
    numbers, slices = maps.shared_slices(scene)
    shown = maps.montages(scene, numbers)
    regions = maps.region_montage(scene, numbers, data.region_table)
    spent = sum(len(uri) for m in [*shown, *([regions] if regions else [])] for uri in m.pictures)
    spent += sum(len(piece.outline) for piece in slices) + 2_000 * len(entries)
    pictures, without = strips(scene, entries, PAGE_BYTES - TEXT_BYTES - spent)
    views = {entry.index: _view(entry, pictures.get(entry.index, [])) for entry in entries}
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            data=data,
            prefix=plain(data.prefix),
            version=plain(data.summary.get("version") or ""),
            headline=narrative.headline(data),
            warnings=[plain(text) for text in data.summary.get("warnings") or ()],
            protocol=tables.protocol_rows(data),
            fitness=tables.fitness_rows(data),
            form=tables.rating_form(entries),
            silhouettes=maps.silhouettes(scene) if data.assessable else [],
            counted=[views[entry.index] for entry in entries if entry.counted],
            rejected=_rejected(entries, views),
            without=without,
            trust=narrative.trust_when_empty(data, entries),
            operating_point=narrative.operating_point(data),
            model_note=narrative.model_note(data),
            markers=narrative.other_markers(data, entries),
            plane=scene.plane,
            tilt_deg=scene.layout.tilt_deg,
            slices=slices,
            montages=shown,
            regions=regions,
            tints=maps.TINTS,
            absent=_absent(data),
            projection_of="" if data.volume("swi") is not None else " of the magnitude",
            methods=narrative.methods_text(data),
            settings=tables.settings_rows(data.summary.get("settings") or {}),
            software=tables.software_rows(data),
            costs=tables.cost_rows(data),
            provenance=tables.provenance(data),
        )
    )


def _view(entry: Entry, pictures: list[Thumbnail]) -> dict[str, object]:
    """Return one finding as the template shows it: every value already in words."""
    row = entry.row
    side, site = row.get("side", "n/a"), row.get("site", "n/a")
    place = "not known" if site == "n/a" else spaced(site)
    if side in tables.SIDES:
        place = f"{place}, {side}" if site != "n/a" else side
    at = entry.place_mm
    where = "" if at is None else ", ".join(number_text(value, 1) for value in at)
    return {
        "anchor": entry.anchor,
        "index": entry.index,
        "name": plain(entry.name),
        "kind": CLASSES.get(entry.kind, (spaced(entry.kind), ""))[0],
        "look": entry.look,
        "counted": entry.counted,
        "probability": number_text(entry.probability, 2),
        "mars": MARS.get(entry.mars, spaced(entry.mars)),
        "sign": SIGNS.get(entry.sign, spaced(entry.sign)),
        "place": place,
        "where": where,
        "size": number_text(entry.diameter_mm, 1, "mm"),
        "volume": number_text(row.get("volume_mm3"), 1, "mm³"),
        "moment": moment_text(entry.moment, entry.moment_se),
        "chi": number_text(row.get("chi_mean_ppm"), 2, "ppm"),
        "evidence": plain(row.get("evidence", "")),
        "pictures": pictures,
    }


def _rejected(entries: list[Entry], views: dict[int, dict[str, object]]) -> list[dict[str, object]]:
    """Return the groups of findings that were not counted; macrobleeds lie open."""
    return [
        {
            "title": capital(count_of(kind, len(members)).partition(" ")[2]),
            "n": len(members),
            "says": CLASS_SAYS.get(kind, ""),
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
        why = "it was not made in this run"
        if key in ("swi", "chi", "local_field") and no_phase:
            why = "it needs phase, and this scan has none"
        elif key == "r2star" and single:
            why = "it needs several echoes, and this scan has one"
        out.append(f"{title}: {why}.")
    return out


def _mm(value: float) -> str:
    """Return a length for a drawing, short."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
