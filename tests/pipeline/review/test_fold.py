"""Adding up is pure: order of others, repeats and what was taken back change nothing."""

import time
import uuid
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from petechia.errors import ParameterError
from petechia.lesions.findings import from_row
from petechia.pipeline.review.events import MOST_SPLITS, Event, added_key, checked
from petechia.pipeline.review.fold import base_findings, fold, require
from petechia.pipeline.review.told import as_json, forms_of, summary_of, table_row

ADDED = [str(uuid.UUID(int=n + (n << 100))) for n in range(1, 4)]
KEYS = [f"s{n}" for n in range(1, 8)] + ["s1.1", "s1.2", "s2.1", *map(added_key, ADDED)]
keys = st.sampled_from(KEYS)
runs = st.lists(st.tuples(st.integers(0, 12_000), st.integers(1, 6)), min_size=1, max_size=3)
payloads = {
    "decide": st.sampled_from(
        [{"verdict": "accept"}, {"verdict": "accept", "mars": "possible"}, {"verdict": "clear"},
         {"verdict": "reject", "class": "vessel"}, {"verdict": "reject", "class": "macrobleed"}]
    ),
    "site": st.fixed_dictionaries({"site": st.sampled_from(["thalamus", "n/a"]), "side": st.just("left")}),
    "outline": st.fixed_dictionaries({"runs": runs}),
    "add": st.fixed_dictionaries(
        {"x_mm": st.just(1.0), "y_mm": st.just(2.0), "z_mm": st.just(3.0),
         "class": st.sampled_from(["microbleed", "vessel"])}, optional={"runs": runs}
    ),
    "split": st.sampled_from([{"parts": [[[5, 2]], [[9, 3]]]}, {"at_mm": [[0, 0, 0], [9, 9, 9]]}]),
    "merge": st.fixed_dictionaries({"with": st.lists(keys, min_size=1, max_size=3)}),
    "remove": st.just({}),
    "note": st.just({"text": "see"}),
    "form": st.just({"form": "mars", "row": "frontal/definite/left", "value": 7, "reason": "so"}),
    "siderosis": st.just({"extent": "focal", "sulci": 2}),
    "finish": st.just({}),
    "reopen": st.just({}),
    "adjudicate": st.just({"verdict": "accept"}),
}  # fmt: skip
WITHOUT = ("form", "siderosis", "finish", "reopen")


@st.composite
def histories(draw):
    """Valid events of two readers, with undos of what may be undone."""
    out, undone = [], set()
    for n in range(1, draw(st.integers(1, 25)) + 1):
        reader = draw(st.sampled_from(["ann", "ben"]))
        kind = draw(st.sampled_from([*payloads, "undo"]))
        name = str(uuid.UUID(int=n, version=4))
        if kind == "undo":
            mine = [
                e.id for e in out if e.reader == reader and e.kind != "undo" and e.id not in undone
            ]
            if not mine:
                continue
            payload, finding = {"event": draw(st.sampled_from(mine))}, ""
            undone.add(payload["event"])
        else:
            payload, finding = draw(payloads[kind]), draw(keys)
            if kind == "add":
                name = draw(st.sampled_from(ADDED))
                if name in {e.uuid for e in out}:
                    continue
                finding = added_key(name)
            elif kind in WITHOUT:
                finding = ""
            elif kind == "remove":
                finding = added_key(ADDED[0])
            elif kind == "merge":
                payload = {"with": [key for key in payload["with"] if key != finding]}
                if not payload["with"]:
                    continue
        out.append(
            checked(
                Event(
                    uuid=name, reader=reader, round=1, scan="sub-01_ses-2", fingerprint="f" * 64,
                    finding=finding, kind=kind, payload=payload, seconds=1.0, id=n, at=f"t{n}",
                )
            )
        )  # fmt: skip
    return out


relaxed = settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def standing(state):
    """What a state says, without its history."""
    items = {i.key: replace(i, last_event=0, seconds=0.0) for i in state.findings}
    return items, state.gone, state.overrides, state.siderosis, state.notes, state.finished


@relaxed
@given(histories())
def test_any_history_adds_up_and_can_be_told(basis, events):
    state = fold(basis, events, reader="ann")
    for blind in (False, True):
        told = as_json(state, blind=blind)
        assert told["n_undecided"] <= told["n_asked"] <= len(told["findings"])
    keys = [item.key for item in state.findings]
    assert len(set(keys)) == len(keys)
    assert not set(keys) & set(state.gone)
    assert state.counted == summary_of(state)["counts"]["total"]
    for n, item in enumerate(state.findings, 1):
        finding = from_row(table_row(item, n))
        assert finding.counted == item.counted
        assert not item.counted or item.class_ == "microbleed"


@relaxed
@given(histories(), st.data())
def test_undo_of_the_last_is_the_state_before(basis, events, data):
    mine = [e for e in events if e.reader == "ann"]
    if not mine or mine[-1].kind == "undo":
        return
    last = mine[-1]
    undo = replace(
        last, uuid=str(uuid.uuid4()), kind="undo", finding="", payload={"event": last.id}, id=10_000
    )
    before = fold(basis, [e for e in events if e is not last], reader="ann")
    assert standing(fold(basis, [*events, undo], reader="ann")) == standing(before)


@relaxed
@given(histories(), st.randoms())
def test_others_and_repeats_change_nothing(basis, events, random):
    alone = [e for e in events if e.reader == "ann"]
    mixed = [*events, *alone]
    random.shuffle(mixed)
    assert fold(basis, mixed, reader="ann") == fold(basis, alone, reader="ann")


def test_attention_goes_to_the_doubtful_that_are_counted_first(basis):
    assert [item.key for item in base_findings(basis)] == ["s3", "s2", "s1", "s4", "s5", "s6"]
    assert [item.asked for item in base_findings(basis)] == [True] * 5 + [False]


def test_without_decisions_everything_is_the_softwares(basis, written):
    state = fold(basis, [], reader="ann")
    assert {i.key: table_row(i, i.index) for i in state.findings} == {
        f"s{row['index']}": dict(row) for row in basis.rows
    }
    assert state.counted == 3


def test_decisions_count_and_keep_the_softwares_word_beside(basis, hand_of):
    ann = hand_of()
    ann("decide", "s1", verdict="reject", class_="vessel", reason="a tube")
    ann("decide", "s4", verdict="accept")
    ann("site", "s4", site="thalamus", side="right")
    state = fold(basis, ann.events, reader="ann")
    first, fourth = state.finding("s1"), state.finding("s4")
    assert (first.class_, first.counted, first.mars) == ("vessel", False, "n/a")
    assert first.software["class"] == "microbleed"
    assert (fourth.class_, fourth.counted, fourth.mars) == ("microbleed", True, "possible")
    assert fourth.compartment == "deep"
    counts = summary_of(state)
    assert counts["counts"]["total"] == 3
    assert counts["category"] == "mixed"
    assert state.n_undecided == 3


def test_a_microbleed_is_at_most_ten_millimetres_wide(basis, hand_of):
    ann = hand_of()
    wide = [[i * 25 * 19 + 5 * 19 + 5, 1] for i in range(2, 20)]  # 18 voxels of 1.5 mm
    ann("outline", "s1", runs=wide)
    ann("decide", "s1", verdict="accept")
    item = fold(basis, ann.events, reader="ann").finding("s1")
    assert item.diameter_mm > 10
    assert (item.class_, item.counted, item.too_wide) == ("macrobleed", False, True)
    ann("undo", event=ann.events[0].id)
    assert fold(basis, ann.events, reader="ann").finding("s1").counted


def test_parts_of_a_split_are_measured_and_undecided(basis, hand_of):
    ann = hand_of()
    flat = (6 * 25 + 6) * 19 + 5
    ann("decide", "s1", verdict="accept")
    ann("split", "s1", parts=[[[flat, 1]], [[flat + 19, 1], [flat - 19, 1]]])
    state = fold(basis, ann.events, reader="ann")
    one, two = state.finding("s1.1"), state.finding("s1.2")
    assert state.finding("s1") is None
    assert state.gone == ("s1",)
    assert (one.volume_mm3, two.volume_mm3) == (pytest.approx(3.0), pytest.approx(6.0))
    assert one.decision is None
    assert one.asked
    assert table_row(one, 9)["moment_ppm_mm3"] == "n/a"
    with pytest.raises(ParameterError, match="split, merged or removed"):
        require(state, ann("decide", "s1", verdict="accept"))


def test_moments_of_what_is_merged_are_added(basis, hand_of):
    """As those of the pieces of a lesion: a reader's addition has none, so the whole has none."""
    ann = hand_of()
    ann("merge", "s3", with_=["s1"])
    ann("merge", "s2", with_=["s3"])
    row = table_row(fold(basis, ann.events, reader="ann").finding("s2"), 2)
    assert (row["moment_ppm_mm3"], row["moment_se_ppm_mm3"]) == ("12.00", "0.35")  # 3 + 4 + 5
    assert row["sphericity"] == row["chi_mean_ppm"] == "n/a"
    told = as_json(fold(basis, ann.events, reader="ann"))["findings"]
    (software,) = [item["software"] for item in told if item["key"] == "s2"]
    assert (software["moment_ppm_mm3"], software["probability"]) == (12.0, 0.8)
    added = ann("add", x_mm=1.0, y_mm=2.0, z_mm=3.0, class_="microbleed", runs=[[5000, 2]])
    ann("merge", "s2", with_=[added.finding])
    row = table_row(fold(basis, ann.events, reader="ann").finding("s2"), 2)
    assert row["moment_ppm_mm3"] == row["moment_se_ppm_mm3"] == "n/a"


def test_a_part_has_no_sign_nor_probability_of_its_own(basis, hand_of):
    ann = hand_of()
    flat = (6 * 25 + 6) * 19 + 5
    ann("split", "s1", parts=[[[flat, 1]], [[flat + 19, 1], [flat - 19, 1]]])
    row = table_row(fold(basis, ann.events, reader="ann").finding("s1.1"), 9)
    assert (row["sign"], row["probability"]) == ("not_assessed", "n/a")
    assert row["evidence"] == "cut out of microbleed 1"


@pytest.mark.parametrize("key", ["s1", "a1234abcd"])
def test_a_part_whose_parts_would_have_no_key_is_not_split(basis, hand_of, key):
    ann = hand_of()
    if key != "s1":
        key = ann("add", x_mm=1.0, y_mm=2.0, z_mm=3.0, class_="microbleed").finding
    for _ in range(MOST_SPLITS):
        state = fold(basis, ann.events, reader="ann")
        require(state, ann("split", key, at_mm=[[0, 0, 0], [9, 9, 9]]))
        key = f"{key}.1"
    ann("decide", key, verdict="accept")  # the last part has a key that events take
    ninth = ann("split", key, at_mm=[[0, 0, 0], [9, 9, 9]])
    state = fold(basis, ann.events, reader="ann")
    assert state.ignored == (ninth.id,)
    assert state.finding(key).counted
    with pytest.raises(ParameterError, match="split too often"):
        require(state, ninth)


def test_a_merge_takes_all_voxels_and_the_first_decision(basis, hand_of):
    ann = hand_of()
    ann("decide", "s1", verdict="accept")
    ann("merge", "s1", with_=["s2", "s3"])
    state = fold(basis, ann.events, reader="ann")
    whole = state.finding("s1")
    assert whole.outline.labels == (1, 2, 3)
    assert whole.volume_mm3 == pytest.approx(3 * 9 * 3.0)
    assert whole.decided
    assert state.gone == ("s2", "s3")


def test_forms_fill_themselves_and_overrides_stand_beside(basis, hand_of):
    ann = hand_of()
    ann("decide", "s1", verdict="accept", mars="possible")
    ann("form", form="mars", row="frontal/definite/left", value=5, reason="two more on T2")
    state = fold(basis, ann.events, reader="ann")
    forms = forms_of(state, summary_of(state)["criteria"])
    assert forms["mars"]["frontal/possible/left"]["value"] == 1
    cell = forms["mars"]["frontal/definite/left"]
    assert (cell["computed"], cell["value"], cell["override"]["reason"]) == (2, 5, "two more on T2")
    ann("form", form="mars", row="frontal/definite/left", value=None, reason="no")
    state = fold(basis, ann.events, reader="ann")
    assert not state.overrides


def test_siderosis_of_the_reader_goes_before_the_search(basis, hand_of):
    ann = hand_of()
    ann("siderosis", extent="focal", sulci=2)
    criteria = summary_of(fold(basis, ann.events, reader="ann"))["criteria"]
    assert criteria["superficial_siderosis"]["extent"] == "focal"
    assert criteria["clinical_facts"] == {"css": "focal", "css_foci": "2"}


def test_blind_tells_nothing_of_the_software(basis, hand_of):
    ann = hand_of()
    ann("decide", "s4", verdict="accept")
    told = as_json(fold(basis, ann.events, reader="ann"), blind=True)
    assert told["counted"] == 1
    for item in told["findings"]:
        assert item["software"] is None
        assert item["index"] is None
        assert item["name"] == ""
        assert (item["class"] is None) == (item["decision"] is None)
    heights = [item["z_mm"] for item in told["findings"]]
    assert heights == sorted(heights, reverse=True)


def test_a_thousand_events_on_five_hundred_findings_add_up_quickly(basis, hand_of):
    rows = [basis.rows[n % 6] | {"index": str(n + 1)} for n in range(500)]
    large, ann = replace(basis, rows=rows), hand_of()
    for n in range(1000):
        ann("decide", f"s{n % 500 + 1}", verdict="accept")
    start = time.perf_counter()
    state = fold(large, ann.events, reader="ann")
    assert time.perf_counter() - start < 1.0  # 0.04 s of CPU measured
    assert state.n_undecided == 0
