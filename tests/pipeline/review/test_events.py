"""Nothing of the outside world comes in but what is written down."""

import uuid
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from petechia.errors import ParameterError
from petechia.pipeline.review.events import (
    KINDS,
    Event,
    added_key,
    as_runs,
    checked,
    form_rows,
    joined_length,
    joined_runs,
    scan_prefix,
)

UUID = "12345678-1234-4234-8234-123456789abc"
GOOD = {
    "decide": {"verdict": "accept"},
    "site": {"site": "thalamus", "side": "left"},
    "outline": {"runs": [[3, 2], [1, 2]]},
    "add": {"x_mm": 1, "y_mm": 2.0, "z_mm": 3.0, "class": "microbleed"},
    "split": {"parts": [[[1, 2]], [[5, 1]]]},
    "merge": {"with": ["s3", "s2", "s3"]},
    "remove": {},
    "note": {"text": " vein? "},
    "form": {"form": "mars", "row": "frontal/definite/left", "value": 2, "reason": "so"},
    "siderosis": {"extent": "focal", "sulci": 2},
    "finish": {},
    "reopen": {},
    "undo": {"event": 3},
    "adjudicate": {"verdict": "reject", "class": "vessel"},
}
WITHOUT = ("form", "siderosis", "finish", "reopen")


def event(kind, payload=None, **changes):
    finding = "" if kind in WITHOUT else "s1"
    finding = added_key(UUID) if kind in ("add", "remove") else finding
    made = Event(
        uuid=UUID, reader="ann", round=1, scan="sub-01", fingerprint="f", finding=finding,
        kind=kind, payload=GOOD[kind] if payload is None else payload,
    )  # fmt: skip
    return replace(made, **changes)


def test_every_kind_has_a_payload_that_passes_and_passes_again():
    assert set(GOOD) == set(KINDS)
    for kind in KINDS:
        once = checked(event(kind))
        assert checked(once) == once


def test_payloads_come_in_one_form():
    assert checked(event("outline")).payload == {"runs": [[1, 4]]}
    assert checked(event("merge")).payload == {"with": ["s2", "s3"]}
    assert checked(event("note")).payload == {"text": "vein?"}
    assert checked(event("decide")).payload == {"verdict": "accept", "class": "microbleed"}


@pytest.mark.parametrize(
    ("kind", "payload", "where"),
    [
        ("decide", {}, "payload.verdict"),
        ("decide", {"verdict": "maybe"}, "payload.verdict"),
        ("decide", {"verdict": "accept", "class": "vessel"}, "payload.class"),
        ("decide", {"verdict": "reject", "mars": "definite"}, "payload.mars"),
        ("decide", {"verdict": "accept", "colour": 1}, "payload.colour"),
        ("decide", {"verdict": "accept", "reason": "x" * 1001}, "payload.reason"),
        ("site", {"site": "heart", "side": "left"}, "payload.site"),
        ("site", {"site": "frontal"}, "payload.side"),
        ("outline", {"runs": []}, "payload.runs"),
        ("outline", {"runs": [[-1, 2]]}, "payload.runs"),
        ("outline", {"runs": [[1, 0]]}, "payload.runs"),
        ("outline", {"runs": [[1.5, 2]]}, "payload.runs"),
        ("outline", {"runs": [[True, 2]]}, "payload.runs"),
        (
            "add",
            {"x_mm": float("nan"), "y_mm": 0, "z_mm": 0, "class": "microbleed"},
            "payload.x_mm",
        ),
        ("add", {"x_mm": 10**400, "y_mm": 0, "z_mm": 0, "class": "microbleed"}, "payload.x_mm"),
        ("split", {}, "payload"),
        ("split", {"parts": [[[1, 3]], [[2, 1]]]}, "payload.parts"),
        ("merge", {"with": []}, "payload.with"),
        ("merge", {"with": ["s1"]}, "payload.with"),
        ("note", {"text": "\ud800"}, "payload.text"),
        ("note", {"text": "\x00"}, "payload.text"),
        ("note", {"text": "x" * 4001}, "payload.text"),
        ("form", GOOD["form"] | {"reason": "  "}, "payload.reason"),
        ("form", GOOD["form"] | {"value": -1}, "payload.value"),
        ("form", GOOD["form"] | {"row": "frontal"}, "payload.row"),
        ("siderosis", {"extent": "none", "sulci": 2}, "payload.sulci"),
        ("siderosis", {"extent": "focal", "sulci": 4}, "payload.sulci"),
        ("siderosis", {"extent": "disseminated", "sulci": 3}, "payload.sulci"),
        ("undo", {"event": 0}, "payload.event"),
        ("finish", {"now": True}, "payload.now"),
    ],
)
def test_what_a_payload_may_not_hold_is_named(kind, payload, where):
    with pytest.raises(ParameterError) as told:
        checked(event(kind, payload))
    assert told.value.where == where


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"kind": "erase"}, "kind"),
        ({"uuid": "1"}, "uuid"),
        ({"reader": "../ann"}, "reader"),
        ({"reader": " ann"}, "reader"),
        ({"reader": "a" * 65}, "reader"),
        ({"reader": "анна"}, "reader"),
        ({"round": 0}, "round"),
        ({"scan": "../sub-01"}, "scan"),
        ({"finding": "x1"}, "finding"),
        ({"finding": ""}, "finding"),
        ({"seconds": -1.0}, "seconds"),
        ({"seconds": float("inf")}, "seconds"),
        ({"anchor": {"place": 1}}, "anchor.place"),
        ({"payload": [1]}, "payload"),
    ],
)
def test_what_a_field_may_not_hold_is_named(changes, where):
    with pytest.raises(ParameterError) as told:
        checked(replace(event("decide"), **changes))
    assert told.value.where == where


def test_only_what_a_reader_added_is_removed():
    with pytest.raises(ParameterError, match="reject it instead"):
        checked(event("remove", finding="s1"))


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=4,
)


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(KINDS), json_like, json_like, json_like)
def test_whatever_comes_in_is_taken_or_refused_in_words(kind, payload, anchor, reader):
    for changes in ({"payload": payload}, {"anchor": anchor}, {"reader": reader}, {"scan": reader}):
        made = event(kind, **changes)
        with suppress(ParameterError):  # and no other
            again = checked(made)
            assert checked(again) == again


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 9)), min_size=1, max_size=12))
def test_runs_hold_the_same_voxels_joined(runs):
    voxels = {n for start, length in runs for n in range(start, start + length)}
    joined = as_runs([list(run) for run in runs])
    assert {n for start, length in joined for n in range(start, start + length)} == voxels
    assert joined_length(joined) == len(voxels)
    assert joined_runs(joined) == joined
    assert all(a[0] + a[1] < b[0] for a, b in pairwise(joined))


def test_a_prefix_is_never_a_path():
    assert scan_prefix("sub-01_ses-2_acq-x_run-1") == "sub-01_ses-2_acq-x_run-1"
    strange = ("sub-é1", "sub-0-1", "sub-01_acq-a.b+c", "sub-1 2_ses-Ünï_run-1", "sub-漢")
    assert [scan_prefix(text) for text in strange] == list(strange)  # as `run` takes them
    for text in ("sub-01/..", "sub-01_", "/sub-01", "ses-1", "sub-01\n", None, "sub-a\\b",
                 "sub-a\x00", "sub-a_b", "sub-a_-b", "sub-\u202ea", "sub-\udc80", "sub-" + 250 * "a"):  # fmt: skip
        with pytest.raises(ParameterError):
            scan_prefix(text)


def test_forms_have_a_cell_for_every_site_grade_and_side():
    assert len(form_rows("mars")) == 14 * 2 * 4
    assert len(form_rows("bombs")) == 7 * 4 * 4
    assert uuid.UUID(UUID)
