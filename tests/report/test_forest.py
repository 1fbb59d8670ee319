"""Forest plots and the lesion map's colours."""

import math
import re

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.report.forest import LABEL, PLOT, ForestRow, forest
from petechia.report.frequency import HEATS, Map, glasses, levels, slices, steps
from petechia.report.group_words import p_text, ratio_text


def dots(svg):
    return [float(x) + 4 for x in re.findall(r'<rect class="dot[^"]*" x="([\d.]+)"', svg)]


def test_a_ratio_and_its_inverse_lie_evenly_about_one():
    rows = [ForestRow(label=f"{v}", text="", value=v, low=v / 1.2, high=v * 1.2) for v in (0.5, 2)]
    svg = forest(rows, "Odds ratio", "two")
    one = float(re.search(r'class="none" d="M([\d.]+) ', svg)[1])
    left, right = dots(svg)
    assert one - left == pytest.approx(right - one, abs=0.2)
    assert LABEL <= left < right <= LABEL + PLOT


def test_what_runs_out_of_the_picture_has_an_arrow_and_stays_inside():
    rows = [
        ForestRow(label="far", text="", value=1.5, low=0.0001, high=4000),
        ForestRow(label="no end", text="", value=2.0, low=1.1, high=math.inf),
        ForestRow(label="beyond", text="", value=900.0, low=30, high=5000),
        ForestRow(label="none", text="not fitted"),
    ]
    svg = forest(rows, "Odds ratio", "says <it>")
    assert svg.count('class="tip"') == 4
    assert len(dots(svg)) == 2
    assert "not fitted" in svg
    assert 'aria-label="says &lt;it&gt;"' in svg
    ends = [float(x) for x in re.findall(r'class="reach" d="M[\d.]+ [\d.]+H([\d.]+)"', svg)]
    assert max(ends) <= LABEL + PLOT


def test_numbers_are_printed_as_papers_do():
    assert p_text(0.0004) == "<0.001"
    assert p_text(0.0312) == "0.031"
    assert p_text(0.31) == "0.31"
    assert ratio_text({"ratio": 1.854, "ratio_low": 1.2, "ratio_high": 2.864}) == (
        "1.85 (1.20 to 2.86)"
    )
    assert ratio_text({"ratio": 9.0, "ratio_low": 1.0, "ratio_high": math.inf}).endswith("no end)")
    assert ratio_text({"ratio": None}) == "\N{EN DASH}"


def made_map(place):
    grid = Grid((21, 25, 19), np.array([[2, 0, 0, -20], [0, 2, 0, -24], [0, 0, 2, -18],
                                        [0, 0, 0, 1.0]]))  # fmt: skip
    brain = np.zeros(grid.shape, bool)
    brain[3:-3, 3:-3, 3:-3] = True
    share = np.zeros(grid.shape, np.float32)
    share[tuple(np.rint(grid.to_index(place)).astype(int))] = 0.25
    return Map(
        share=share, background=brain * 100.0, brain=brain, grid=grid,
        places=np.array([place], dtype=float), n_people=4, n_without=0, radius_mm=6,
    )  # fmt: skip


def test_colours_rise_with_the_share_and_none_has_none():
    assert levels([0.0, 0.01, 0.2, 0.4], 0.4).tolist() == [0, 1, 4, HEATS]
    assert levels([0.3], 0.0).tolist() == [0]
    legend = steps(0.4)
    assert len(legend) == HEATS
    assert legend[-1][1].endswith("40.0 %")


def test_the_patients_right_is_on_the_left_and_up_is_up():
    told = made_map((10.0, 8.0, 6.0))  # right, front, top
    axial, coronal, sagittal = glasses(told)
    for glass in (axial, coronal, sagittal):
        ((x, y),) = glass.dots
        assert x < glass.width / 2, glass.name
        assert y < glass.height / 2, glass.name
    assert [g.letters[0] for g in (axial, coronal, sagittal)] == ["R", "R", "A"]


def test_slices_say_where_they_are_and_how_much_they_show():
    told = made_map((2.0, 0.0, 0.0))
    planes = dict(slices(told))
    assert set(planes) == {"axial", "coronal", "sagittal"}
    assert all(len(row) == 6 for row in planes.values())
    assert all(piece.uri.startswith("data:image/png;base64,") for piece in planes["axial"])
    heights = [float(piece.label.split("=")[1].split()[0]) for piece in planes["axial"]]
    assert heights == sorted(heights)
