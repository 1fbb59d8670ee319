"""Votes of readers: majorities, ties, silence, adjudication."""

from petechia.pipeline.review.consensus import consensus
from petechia.pipeline.review.fold import fold


def all_of(*hands):
    return [event for hand in hands for event in hand.events]


def test_one_readers_word_is_the_consensus(basis, hand_of):
    ann = hand_of()
    ann("decide", "s1", verdict="reject", class_="vessel")
    ann("split", "s2", parts=[[[500, 1]], [[900, 1]]])
    ann("merge", "s3", with_=["s5"])
    ann("add", x_mm=0.0, y_mm=0.0, z_mm=20.0, class_="microbleed", runs=[[7000, 2]])
    ann("note", text="hm")
    alone, both = fold(basis, ann.events, reader="ann"), consensus(basis, ann.events)
    kept = {i.key: (i.class_, i.counted, i.outline) for i in alone.findings}
    assert {i.key: (i.class_, i.counted, i.outline) for i in both.findings} == kept
    assert both.readers == ("ann",)
    assert [note.text for note in both.notes] == ["hm"]


def test_a_majority_wins_and_a_tie_leaves_the_software(basis, hand_of):
    ann, ben, cat = hand_of("ann"), hand_of("ben"), hand_of("cat")
    for hand in (ann, ben):
        hand("decide", "s1", verdict="reject", class_="vessel")
    cat("decide", "s1", verdict="accept")
    ann("decide", "s4", verdict="accept")
    ben("decide", "s4", verdict="reject", class_="vessel")
    state = consensus(basis, all_of(ann, ben, cat))
    first, fourth = state.finding("s1"), state.finding("s4")
    assert (first.class_, first.counted, first.decision.reader) == ("vessel", False, "ann, ben")
    assert fourth.decision is None
    assert fourth.class_ == "vessel"
    assert "ann" in fourth.disagreement


def test_additions_near_each_other_are_one(basis, hand_of):
    ann, ben = hand_of("ann"), hand_of("ben")
    ann("add", x_mm=0.0, y_mm=0.0, z_mm=40.0, class_="microbleed", runs=[[7000, 2]])
    ben("add", x_mm=1.0, y_mm=1.0, z_mm=40.0, class_="microbleed", runs=[[7001, 2]])
    state = consensus(basis, all_of(ann, ben))
    added = [item for item in state.findings if item.origin == "reader"]
    assert len(added) == 1
    assert added[0].counted
    assert set(added[0].votes) == {"ann", "ben"}


def test_what_one_added_and_another_finished_without_is_a_disagreement(basis, hand_of):
    ann, ben = hand_of("ann"), hand_of("ben")
    ann("add", x_mm=0.0, y_mm=0.0, z_mm=40.0, class_="microbleed", runs=[[7000, 2]])
    state = consensus(basis, all_of(ann, ben))
    assert state.counted == 4
    ben("finish")
    state = consensus(basis, all_of(ann, ben))
    (added,) = [item for item in state.findings if item.origin == "reader"]
    assert added.disagreement
    assert not added.counted
    dora = hand_of("dora")
    dora("adjudicate", added.key, verdict="accept", mars="definite")
    state = consensus(basis, all_of(ann, ben, dora))
    settled = state.finding(added.key)
    assert settled.counted
    assert settled.decision.adjudicated
    assert not settled.disagreement
    assert "dora" not in settled.votes


def test_finished_with_an_asked_finding_left_is_no_vote(basis, hand_of):
    ann, ben = hand_of("ann"), hand_of("ben")
    ann("decide", "s1", verdict="reject", class_="vessel")
    ben("finish")
    assert consensus(basis, all_of(ann, ben)).finding("s1").class_ == "vessel"


def test_order_of_events_and_readers_does_not_matter(basis, hand_of):
    ann, ben = hand_of("ann"), hand_of("ben")
    ann("decide", "s1", verdict="accept")
    ben("decide", "s1", verdict="reject", class_="vessel")
    ben("siderosis", extent="none", sulci=0)
    ann("siderosis", extent="focal", sulci=1)
    events = all_of(ann, ben)
    one, other = consensus(basis, events), consensus(basis, events[::-1])
    assert one == other
    assert one.siderosis is None
    assert len(one.disagreements) == 1
