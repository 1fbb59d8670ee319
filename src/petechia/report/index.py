"""The page of all scans of an output folder."""

from collections.abc import Sequence
from urllib.parse import quote

from petechia.report.data import IndexRow
from petechia.report.page import environment
from petechia.report.wording import BINS, CATEGORIES, plain, spaced


def render_index(rows: Sequence[IndexRow]) -> str:
    """Return the index page: every scan, its state, its counts, the way to its report.

    Parameters
    ----------
    rows : sequence of IndexRow
        Any number, in any order; the page sorts them by prefix.

    Returns
    -------
    str
        HTML that loads nothing.
    """
    ordered = sorted(rows, key=lambda row: row.prefix)
    done = [row for row in ordered if row.status == "done"]
    counted = [row for row in done if row.counts and row.category != "not_assessable"]
    return (
        environment()
        .get_template("index.html.j2")
        .render(
            rows=[_view(row) for row in ordered],
            n_done=len(done),
            n_failed=len(ordered) - len(done),
            n_with=sum(bool((row.counts or {}).get("total")) for row in counted),
            n_assessed=len(counted),
            n_not_assessable=sum(row.category == "not_assessable" for row in done),
        )
    )


def _view(row: IndexRow) -> dict[str, object]:
    assessed = row.status == "done" and row.category != "not_assessable"
    counts = (row.counts or {}) if assessed else {}
    category = CATEGORIES.get(row.category, spaced(row.category))
    return {
        "prefix": plain(row.prefix),
        "done": row.status == "done",
        "message": plain(row.message),
        "total": counts.get("total"),
        "definite": counts.get("definite"),
        "possible": counts.get("possible"),
        "category": category if row.status == "done" else "",
        "assessable": row.category != "not_assessable",
        "count_bin": BINS.get(row.count_bin, plain(row.count_bin)) if assessed else "",
        "link": quote(row.link),
        "follow": quote(row.follow),
    }
