"""After another run, decisions find their findings by place, or none."""

from dataclasses import replace

import pytest

from petechia.errors import ParameterError
from petechia.pipeline.review.anchors import anchor_of, anchored
from petechia.pipeline.review.consensus import consensus
from petechia.pipeline.review.events import checked
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


def read_on(ann, basis, marks):
    """Everything a reader may do, with the marks of the scan that was read."""
    seen_on = replace(basis, marks=marks)
    ann("decide", "s1", verdict="reject", class_="vessel")
    ann("add", x_mm=0.0, y_mm=0.0, z_mm=20.0, class_="microbleed")
    ann("form", form="bombs", row="thalamus/certain_below_5_mm/left", value=2, reason="seen")
    ann("siderosis", extent="focal", sulci=2)
    ann("note", text="all")
    ann("finish")
    state = fold(seen_on, [], reader="ann")
    ann.events[:] = [checked(anchored(event, state, basis.shape)) for event in ann.events]


def test_nothing_said_of_another_scan_is_said_of_this(basis, hand_of):
    ann = hand_of()
    read_on(ann, basis, ("aa", "bb"))
    assert all(event.anchor["input"] == ["aa", "bb"] for event in ann.events)
    now = replace(later(basis, [1, 2, 3, 4]), marks=("cc", "dd"))
    for state in (fold(now, ann.events, reader="ann"), consensus(now, ann.events)):
        assert not any(item.decided or item.origin == "reader" for item in state.findings)
        assert (state.finished, state.overrides, state.siderosis, state.notes) == (
            False, {}, None, (),
        )  # fmt: skip
        assert all(orphan.other_scan for orphan in state.orphans)
        assert sum(len(orphan.events) for orphan in state.orphans) == len(ann.events)


@pytest.mark.parametrize("marks", [("bb", "cc"), ()], ids=["an echo was added", "not told"])
def test_what_was_said_of_the_same_scan_is_carried(basis, hand_of, marks):
    ann = hand_of()
    read_on(ann, basis, ("aa", "bb"))
    state = fold(replace(later(basis, [1, 2, 3, 4]), marks=marks), ann.events, reader="ann")
    assert state.finished
    assert state.finding("s1").decided
    assert state.orphans == ()


def test_events_of_before_that_tell_no_input_are_carried(basis, hand_of):
    ann = hand_of()
    ann("decide", "s1", verdict="accept", anchor=seen(basis, "s1"))
    state = fold(replace(later(basis, [2, 1]), marks=("cc",)), ann.events, reader="ann")
    assert state.finding("s2").decided


@pytest.mark.parametrize("marks", [[], "aa", ["A path"], ["aa"] * 17, [1]])
def test_marks_of_the_outside_world_are_checked(hand_of, marks):
    with pytest.raises(ParameterError, match=r"anchor.input: .*hashes"):
        hand_of()("finish", anchor={"input": marks})
