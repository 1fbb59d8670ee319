"""After another run, decisions find their findings by place, or none."""

from dataclasses import replace

import pytest

from petechia.pipeline.review.anchors import anchor_of, anchored
from petechia.pipeline.review.consensus import consensus
from petechia.pipeline.review.fold import fold
from petechia.pipeline.review.rerun import carry
from petechia.pipeline.review.state import Outline


def later(basis, order, shift=0.0):
    """The same findings, numbered otherwise and a little moved."""
    rows = []
    for n, old in enumerate(order, 1):
        row = dict(basis.rows[old - 1])
        x = float(row["x_mm"]) + shift
        rows.append(row | {"index": str(n), "x_mm": f"{x:.2f}"})
    return replace(basis, rows=rows, fingerprint="e" * 64)


def seen(basis, key):
    return anchor_of(fold(basis, [], reader="").finding(key), basis.shape)


def test_decisions_follow_their_places_not_their_numbers(basis, hand_of):
    ann = hand_of()
    ann("decide", "s1", verdict="reject", class_="vessel", anchor=seen(basis, "s1"))
    ann("decide", "s4", verdict="accept", anchor=seen(basis, "s4"))
    ann("split", "s1", parts=[[[500, 1]], [[900, 1]]], anchor=seen(basis, "s1"))
    ann("decide", "s1.2", verdict="accept", anchor={})
    state = fold(later(basis, [4, 3, 2, 1], 0.4), ann.events, reader="ann")
    assert state.finding("s1").decision.verdict == "accept"
    assert state.finding("s4.2").decision.verdict == "accept"
    assert state.gone == ("s4",)
    assert state.orphans == ()


def test_no_decision_lands_on_another_finding(basis, hand_of):
    ann = hand_of()
    ann("decide", "s1", verdict="reject", class_="vessel", anchor=seen(basis, "s1"))
    added = ann("add", x_mm=0.0, y_mm=0.0, z_mm=20.0, class_="microbleed", runs=[[70, 2]])
    ann("note", text="all")
    state = fold(later(basis, [2, 3, 4]), ann.events, reader="ann")
    assert [item.key for item in state.findings if item.decided] == [added.finding]
    (orphan,) = state.orphans
    assert orphan.finding == "s1"
    assert orphan.place_mm == pytest.approx(
        [float(basis.rows[0][f"{a}_mm"]) for a in "xyz"], abs=0.01
    )
    assert state.notes[0].text == "all"
    both = consensus(later(basis, [2, 3, 4]), ann.events)
    assert both.orphans == state.orphans


def test_findings_are_matched_one_to_one(basis, hand_of):
    ann = hand_of()
    here = seen(basis, "s1")
    ann("decide", "s1", verdict="accept", anchor=here)
    ann("decide", "s2", verdict="reject", class_="vessel", anchor=here | {"x_mm": here["x_mm"] + 1})
    carried = carry(ann.events, basis.rows[:1], "e" * 64)
    assert [event.finding for event in carried.events] == ["s1"]
    assert [orphan.finding for orphan in carried.orphans] == ["s2"]


def test_a_merge_needs_all_of_its_findings(basis, hand_of):
    ann = hand_of()
    state = fold(basis, [], reader="ann")
    made = ann("merge", "s1", with_=["s2"])
    ann.events[-1] = anchored(made, state, basis.shape)
    whole = fold(later(basis, [2, 1]), ann.events, reader="ann").finding("s2")
    assert whole.outline == Outline(labels=(1, 2))
    assert fold(later(basis, [1, 3]), ann.events, reader="ann").orphans


def test_outlines_of_another_matrix_are_left_out(basis, hand_of):
    ann = hand_of()
    anchor = seen(basis, "s1") | {"shape": [9, 9, 9]}
    ann("outline", "s1", runs=[[3, 4]], anchor=anchor)
    ann("decide", "s1", verdict="accept", anchor=anchor)
    state = fold(later(basis, [1, 2]), ann.events, reader="ann")
    assert not state.finding("s1").outline_changed
    assert state.finding("s1").decided
    assert state.orphans[0].kinds == ("outline",)


def test_the_same_run_carries_nothing(basis, hand_of):
    ann = hand_of()
    ann("decide", "s1", verdict="accept")
    assert list(carry(ann.events, basis.rows, basis.fingerprint).events) == ann.events


def test_an_addition_drawn_on_another_matrix_keeps_its_place_only(basis, hand_of):
    ann = hand_of()
    made = ann("add", x_mm=0.0, y_mm=0.0, z_mm=20.0, class_="microbleed", runs=[[70, 2]])
    ann.events[-1] = anchored(made, fold(basis, [], reader="ann"), (9, 9, 9))
    added = fold(later(basis, [1]), ann.events, reader="ann").finding(made.finding)
    assert not added.outline
    assert (added.x_mm, added.z_mm) == (0.0, 20.0)
    assert added.counted
