"""The page of all scans."""

import re

import pytest

from petechia.errors import ParameterError
from petechia.report.data import RESEARCH_USE, IndexRow
from petechia.report.index import render_index

ROWS = [
    IndexRow(prefix="sub-03", status="done", counts={"total": 0}, category="not_assessable",
             link="sub-03.html"),
    IndexRow(prefix="sub-02", status="failed", message="/data/doe/IM1: no <echo> time. Give it."),
    IndexRow(prefix="sub-01", status="done", counts={"total": 3, "definite": 2, "possible": 1},
             category="strictly_lobar", count_bin="1-4", link="sub-01.html"),
    IndexRow(prefix="sub-04", status="done", counts={"total": 0, "definite": 0, "possible": 0},
             category="none", count_bin="0", link="sub-04.html"),
]  # fmt: skip


def rows_of(html):
    body = html.split("<tbody>")[1].split("</tbody>")[0]
    rows = [re.sub(r"<[^>]+>", " ", row).split() for row in body.split("</tr>")]
    return [" ".join(row).replace("\N{EN DASH}", "-") for row in rows if row]


def test_each_scan_has_a_row_in_order():
    assert rows_of(render_index(ROWS)) == [
        "sub-01 ✓ Done 3 2 1 Strictly lobar 1 to 4",
        "sub-02 ✕ Failed - - - [path]: no &lt;echo&gt; time. Give it.",
        "sub-03 ! Done - - - Not assessable",
        "sub-04 ✓ Done 0 0 0 No microbleed counted 0",
    ]


def test_links_lead_to_reports_only():
    html = render_index(ROWS)
    assert re.findall(r'href="([^"]+)"', html) == [
        "#main",
        "sub-01.html",
        "sub-03.html",
        "sub-04.html",
    ]
    assert "<script" not in html
    assert "default-src 'none'" in html


def test_totals_leave_out_what_was_not_assessed():
    text = " ".join(re.sub(r"<[^>]+>", " ", render_index(ROWS)).split())
    assert "Done 3 Failed 1 With counted microbleeds 1 of 2 assessed Not assessable 1" in text


def test_research_sentence_twice_and_no_scan_is_said():
    html = render_index([])
    assert html.count(RESEARCH_USE) == 2
    assert "No scan was found." in html


def test_bad_rows_are_refused():
    with pytest.raises(ParameterError, match=r"status 'ok'\. Choose one of done, failed"):
        IndexRow(prefix="sub-01", status="ok")
    for link in ("javascript:alert(1)", "../x.html", "/etc/x", "https://x"):
        with pytest.raises(ParameterError, match="is not the bare name of a file"):
            IndexRow(prefix="sub-01", status="done", link=link)


def test_a_link_with_odd_letters_is_quoted():
    row = IndexRow(prefix="sub-01", status="done", link='a"b c.html')
    assert 'href="a%22b%20c.html"' in render_index([row])
