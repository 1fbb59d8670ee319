"""Plots: places of points, round ticks, well-formed and escaped SVG."""

from xml.etree import ElementTree

import pytest

from petechia.errors import ParameterError
from petechia.report.curves import HEIGHT, WIDTH, Axis, Plot, steps


def test_an_axis_places_its_ends_and_its_middle():
    even = Axis(title="a", low=2, high=4)
    assert [even.place(v) for v in (2, 3, 4, 9, -9)] == [0, 0.5, 1, 1, 0]
    log = Axis(title="b", low=0.1, high=10, log=True)
    assert log.place(1.0) == pytest.approx(0.5)


def test_ticks_are_round_and_inside():
    assert Axis(title="a", low=0, high=8).ticks() == pytest.approx([0, 2, 4, 6, 8])
    assert Axis(title="a", low=0, high=1).ticks() == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert Axis(title="a", low=0.2, high=45, log=True).ticks() == pytest.approx([1, 10])


def test_the_drawing_is_well_formed_and_escaped():
    plot = Plot(
        x=Axis(title="a < b", low=0, high=1), y=Axis(title="y", low=0, high=1), says='say "<x>"',
        lines=[([(0, 0), (1, 1)], True), ([], False)], points=[(0.5, 0.5, 1)], bars=[(0.5, 0.2, 0.8)],
    )  # fmt: skip
    root = ElementTree.fromstring(str(plot.svg()))
    assert root.get("aria-label") == 'say "<x>"'
    dot = root.find("circle")
    assert 0 < float(dot.get("cx")) < WIDTH
    assert 0 < float(dot.get("cy")) < HEIGHT
    assert len(root.findall("path[@class='guide']")) == 1


def test_steps_stay_level_until_the_next_point():
    assert steps([(1, 0.5), (2, 0.8), (9, 1.0)], (0, 0), 4) == [
        (0, 0), (1, 0), (1, 0.5), (2, 0.5), (2, 0.8), (4, 0.8),
    ]  # fmt: skip


def test_a_bad_axis_is_named():
    with pytest.raises(ParameterError, match="false positives: axis from 1 to 1"):
        Axis(title="false positives", low=1, high=1)
    with pytest.raises(ParameterError, match="begins above 0"):
        Axis(title="m", low=0, high=1, log=True)
