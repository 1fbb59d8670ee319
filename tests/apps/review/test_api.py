"""The JSON API: the queue, a scan, decisions, and what happens when others decide too."""

import csv
import io
import json
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import numpy as np
import pytest

from petechia import errors
from petechia.files.output import OutputTree
from petechia.lesions.criteria import summarise
from petechia.pipeline.review.apply import apply_review

SCAN = "sub-02"


def states(page):
    return {row["scan"]: row["state"] for row in page["scans"]}


# --- the queue


def test_the_session_tells_who_reads(anna):
    told = anna.get("/api/session").json()
    assert (told["reader"], told["round"], told["blind"]) == ("anna", 1, False)
    assert told["readers"] == ["anna", "ben"]
    assert "Research use only" in told["research_use"]


def test_the_queue_lists_every_scan_with_what_is_to_do(anna, make):
    page = anna.get("/api/scans").json()
    assert page["total"] == 3
    assert page["counts"] == {"new": 3, "open": 0, "done": 0}
    first = page["scans"][0]
    assert (first["scan"], first["subject"], first["session"]) == ("sub-01_ses-1", "01", "1")
    assert first["n_findings"] == len(make.kinds)
    assert first["n_asked"] == first["n_undecided"] == 5  # from 0.05 on
    assert first["counted"] == 3
    assert [row["prior"] for row in page["scans"]] == [None, "sub-01_ses-1", None]


def test_states_follow_the_reader_and_nobody_else(readers):
    anna, ben = readers
    anna.decide(SCAN, "s1")
    anna.post("sub-01_ses-2", "finish")
    page = anna.get("/api/scans").json()
    assert states(page) == {"sub-02": "open", "sub-01_ses-1": "new", "sub-01_ses-2": "done"}
    assert [row["scan"] for row in page["scans"]] == ["sub-02", "sub-01_ses-1", "sub-01_ses-2"]
    assert page["scans"][0]["n_undecided"] == 4
    assert page["scans"][0]["seconds"] == 1.5
    assert set(states(ben.get("/api/scans").json()).values()) == {"new"}


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ({"search": "SES-2 01"}, ["sub-01_ses-2"]),
        ({"state": "open"}, [SCAN]),
        ({"sort": "name"}, ["sub-01_ses-1", "sub-01_ses-2", SCAN]),
        ({"sort": "name", "offset": 1, "limit": 1}, ["sub-01_ses-2"]),
        ({"sort": "count"}, ["sub-01_ses-1", "sub-01_ses-2", SCAN]),
    ],
)
def test_the_queue_is_searched_filtered_and_sorted(anna, words, found):
    anna.decide(SCAN, "s1", "reject")  # now two are counted there, not three
    page = anna.get("/api/scans", params=words).json()
    assert [row["scan"] for row in page["scans"]] == found


def test_a_scan_that_cannot_be_read_says_why_and_the_others_work(anna, output):
    (output / "sub-02/anat/sub-02_desc-petechia_summary.json").write_text("{")
    (output / "logs").mkdir()
    (output / "logs/sub-09_crash.json").write_text('{"scan": "sub-09", "message": "no phase"}')
    page = fresh(anna)
    said = {row["scan"]: row["problem"] for row in page["scans"]}
    assert "no summary that can be read" in said["sub-02"]
    assert said["sub-09"] == "no phase"
    assert said["sub-01_ses-1"] == ""
    answer = anna.get("/api/scans/sub-02")
    assert answer.status_code == 422
    assert answer.json()["error"]["mend"]
    assert anna.get("/api/scans/sub-09").status_code == 422
    anna.opened("sub-01_ses-1")


def test_a_scan_whose_export_failed_is_shown_with_a_warning(anna, output):
    told = {"scan": SCAN, "stage": "dicom", "message": "no frame of reference"}
    (output / "logs").mkdir()
    (output / "logs" / f"{SCAN}_crash.json").write_text(json.dumps(told))
    warned = {row["scan"]: row["warning"] for row in fresh(anna)["scans"]}
    said = "Its export to DICOM failed: no frame of reference"
    assert warned == {"sub-01_ses-1": "", "sub-01_ses-2": "", SCAN: said}
    assert said in anna.opened(SCAN)["warnings"]
    assert said not in anna.opened("sub-01_ses-1")["warnings"]
    assert anna.decide(SCAN, "s1")["event"]


def fresh(reader):
    """Return the queue as the disk is now."""
    from petechia.pipeline.review import cases

    before, cases.REFRESH_S = cases.REFRESH_S, 0.0
    try:
        return reader.get("/api/scans").json()
    finally:
        cases.REFRESH_S = before


# --- one scan


def test_a_scan_opens_with_its_findings_and_geometry(anna, make):
    told = anna.opened(SCAN)
    grid = make.grid()
    assert told["fingerprint"] == told["state"]["fingerprint"] == "f" * 64
    assert [item["key"] for item in told["state"]["findings"]][:3] == ["s3", "s2", "s1"]
    assert [v["name"] for v in told["volumes"]] == ["computed", "swi", "mip", "chi", "r2star"]
    assert told["to_native"]["native_shape"] == list(grid.shape)
    assert told["prior"] is None
    assert told["next"] == "sub-01_ses-1"
    assert told["summary"]["counts"]["total"] == 3


def test_a_scan_that_cannot_be_assessed_opens_without_a_number(anna, output):
    path = next(output.rglob(f"{SCAN}*summary.json"))
    summary = json.loads(path.read_text())
    told = summarise([], assessable=False) | {"counts": summary["counts"]}
    path.write_text(json.dumps(summary | told | {"not_assessable": ["Too coarse."]}))
    state = anna.opened(SCAN)["state"]
    assert (state["category"], state["count_bin"]) == ("not_assessable", None)
    assert state["forms"]["mars"] == state["forms"]["bombs"] == {}


def test_a_decision_changes_the_state_and_stands_in_the_log(anna):
    taken = anna.decide(SCAN, "s2", "reject")
    assert taken["event"]["reader"] == "anna"
    assert taken["event"]["anchor"]["class"] == "microbleed"
    found = {item["key"]: item for item in taken["state"]["findings"]}["s2"]
    assert (found["class"], found["counted"], found["decision"]["verdict"]) == (
        "vessel", False, "reject",
    )  # fmt: skip
    assert taken["state"]["counted"] == 2
    assert taken["state"]["n_undecided"] == 4
    events = anna.get(f"/api/scans/{SCAN}/events").json()["events"]
    assert events == [taken["event"]]


def test_an_event_that_comes_twice_is_one(anna, make):
    uuid = make.uuid()
    first = anna.decide(SCAN, "s2", "reject", uuid=uuid)
    again = anna.decide(SCAN, "s2", "reject", uuid=uuid, after=0)
    assert again["event"] == first["event"]
    other = anna.post(SCAN, "decide", "s2", {"verdict": "accept"}, uuid=uuid)
    assert other.status_code == 400


def test_another_window_of_the_same_reader_is_told(anna):
    first = anna.decide(SCAN, "s2", after=0)
    answer = anna.post(SCAN, "decide", "s2", {"verdict": "accept"}, after=0)
    assert answer.status_code == 409
    assert answer.json()["state"] == first["state"]
    anna.decide(SCAN, "s3", after=0)  # of another finding, nothing is lost
    anna.decide(SCAN, "s2", "reject", after=first["event"]["id"])


def test_an_output_that_changed_is_seen_and_nothing_paired_wrongly(anna, output, make):
    anna.decide(SCAN, "s2")
    make.again(output, make.name("02"), kinds=make.kinds[:2], fingerprint="e" * 64)
    answer = anna.post(SCAN, "decide", "s3", {"verdict": "accept"})
    assert answer.status_code == 409
    state = answer.json()["state"]
    assert state["fingerprint"] == "e" * 64
    assert [item["key"] for item in state["findings"]] == ["s2", "s1"]
    old = anna.get(f"/api/scans/{SCAN}/volumes/swi/0", params={"v": "f" * 64})
    assert old.status_code == 409
    assert len(anna.get(f"/api/scans/{SCAN}/events").json()["events"]) == 1


def test_a_table_without_its_summary_is_not_paired(anna, output, make):
    """A run writes its table first: between the two nothing may be decided."""
    path = output / "sub-02/anat/sub-02_desc-petechia_summary.json"
    before = path.read_bytes()
    make.again(output, make.name("02"), kinds=make.kinds[:4], fingerprint="e" * 64)
    path.write_bytes(before)
    answer = anna.post(SCAN, "decide", "s3", {"verdict": "accept"})
    assert answer.status_code == 422
    assert "do not agree" in answer.json()["error"]["what"]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"kind": "erase"}, "kind"),
        ({"finding": "../s1"}, "finding"),
        ({"finding": "s99"}, "finding"),
        ({"payload": {"verdict": "accept", "colour": 1}}, "payload.colour"),
        ({"uuid": "1"}, "uuid"),
    ],
)
def test_what_an_event_may_not_be_is_told(anna, change, where):
    body = {"kind": "decide", "finding": "s1", "payload": {"verdict": "accept"}} | change
    answer = anna.post(SCAN, body.pop("kind"), body.pop("finding"), body.pop("payload"), **body)
    assert answer.status_code == 400
    assert answer.json()["error"]["where"] == where
    assert anna.get(f"/api/scans/{SCAN}/events").json()["events"] == []


def test_two_readers_at_once_lose_nothing(readers):
    def work(reader):
        return [reader.decide(SCAN, f"s{n}", v) for n in range(1, 8) for v in ("accept", "reject")]

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(work, readers))
    ids = [taken["event"]["id"] for work in done for taken in work]
    assert sorted(ids) == list(range(1, 29))
    for reader in readers:
        state = reader.opened(SCAN)["state"]
        assert state["n_undecided"] == 0
        assert state["counted"] == 0
        assert {item["decision"]["reader"] for item in state["findings"]} == {reader.name}


def test_a_full_disk_is_told_and_nothing_is_kept(anna, monkeypatch):
    def full(*_args, **_more):
        raise errors.OutputError("cannot be written (disk full)", where="log", mend="Make room.")

    monkeypatch.setattr("petechia.pipeline.review.log.ReviewLog.append", full)
    answer = anna.post(SCAN, "decide", "s1", {"verdict": "accept"})
    assert answer.status_code == 507
    assert answer.json()["error"]["mend"] == "Make room."


# --- blind


def test_a_blind_reader_sees_no_opinion_until_done(serve, reader):
    app, access = serve(blind=True)
    anna = reader(app, access, "anna")
    told = anna.opened(SCAN)
    text = json.dumps(told)
    for word in ('probability": 0', "evidence", '"microbleed"', "strictly_lobar"):
        assert word not in text
    assert "counts" not in told["summary"]
    rows = anna.get("/api/scans", params={"sort": "count"}).json()["scans"]
    assert {(row["counted"], row["category"]) for row in rows} == {(None, None)}
    anna.post(SCAN, "finish")
    assert anna.opened(SCAN)["state"]["findings"][0]["software"]["probability"] > 0
    row = anna.get("/api/scans", params={"search": SCAN}).json()["scans"][0]
    assert row["counted"] == 3


def test_no_answer_tells_a_blind_reader_what_the_software_thinks(serve, reader, output):
    path = next(output.rglob(f"{SCAN}*summary.json"))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"warnings": ["3 microbleeds."]}))
    app, access = serve(blind=True)
    anna = reader(app, access, "anna")
    assert anna.opened(SCAN)["warnings"] == []

    def anchors():
        yield anna.get(f"/api/scans/{SCAN}/events").json()["events"][0]["anchor"]
        (row, *_) = csv.DictReader(io.StringIO(anna.get("/api/export/decisions.csv").text))
        yield json.loads(row["anchor"])

    taken = anna.post(SCAN, "note", "s3", {"text": "x"}).json()
    for anchor in (taken["event"]["anchor"], *anchors()):
        assert set(anchor) == {"x_mm", "y_mm", "z_mm", "shape"}
    anna.post(SCAN, "finish")
    assert {anchor["class"] for anchor in anchors()} == {"microbleed"}
    assert anna.opened(SCAN)["warnings"] == ["3 microbleeds."]


@pytest.mark.parametrize("blind", [False, True])
def test_a_finished_reading_is_not_changed(serve, reader, make, blind):
    app, access = serve(blind=blind)
    anna, uuid = reader(app, access, "anna"), make.uuid()
    first = anna.decide(SCAN, "s1", uuid=uuid)["event"]
    end = anna.post(SCAN, "finish").json()["event"]
    voxel = [int(v) for v in make.place(1)]
    place = dict(zip(("x_mm", "y_mm", "z_mm"), make.grid().to_mm(voxel).tolist(), strict=True))
    added = make.uuid()
    for kind, finding, payload in (
        ("decide", "s2", {"verdict": "accept"}), ("undo", "", {"event": first["id"]}),
        ("site", "s1", {"site": "thalamus", "side": "left"}), ("merge", "s1", {"with": ["s2"]}),
        ("outline", "s1", {"runs": [[5000, 2]]}), ("siderosis", "", {"extent": "none", "sulci": 0}),
        ("add", f"a{added[:8]}", {**place, "class": "microbleed"}),
    ):  # fmt: skip
        more = {"uuid": added} if kind == "add" else {}
        answer = anna.post(SCAN, kind, finding, payload, **more)
        assert (answer.status_code, kind) == (409, kind)
        assert "finished" in answer.json()["error"]["what"]
        assert answer.json()["state"]["finished"]
    assert anna.decide(SCAN, "s1", uuid=uuid)["event"]["id"] == first["id"]  # it came again
    assert anna.post(SCAN, "note", "s1", {"text": "x"}).status_code == 200
    again = 409 if blind else 200
    assert anna.post(SCAN, "undo", "", {"event": end["id"]}).status_code == again
    assert anna.post(SCAN, "reopen").status_code == again
    assert anna.post(SCAN, "decide", "s2", {"verdict": "accept"}).status_code == again


# --- volumes


def laid(told, name, anna):
    """Return a volume as the page puts it together."""
    one = next(v for v in told["volumes"] if v["name"] == name)
    parts = [
        anna.get(f"/api/scans/{SCAN}/volumes/{name}/{n}", params={"v": told["fingerprint"]})
        for n in range(len(one["slabs"]))
    ]
    assert {p.headers["content-encoding"] for p in parts} == {"gzip"}
    assert all("immutable" in p.headers["cache-control"] for p in parts)
    content = b"".join(p.content for p in parts)
    assert len(content) == one["bytes"]
    return one, np.frombuffer(content, np.uint8).reshape(one["shape"], order="F")


def native_index(told, place):
    """Follow what the API says about `to_native`, as a page would."""
    to = told["to_native"]
    out = [0, 0, 0]
    for axis in range(3):
        stored = to["order"][axis]
        u = place[axis] + to["low"][axis]
        out[stored] = to["native_shape"][stored] - 1 - u if to["flipped"][axis] else u
    return tuple(out)


def test_laid_voxels_are_the_stored_ones_and_lie_where_they_say(anna, make):
    told = anna.opened(SCAN)
    one, volume = laid(told, "chi", anna)
    grid, stored = make.grid(), make.volumes(make.grid())["chi"]
    to_mm = np.array(told["to_mm"])
    rng = np.random.default_rng(2)
    for _ in range(200):
        place = [int(rng.integers(n)) for n in one["shape"]]
        index = native_index(told, place)
        np.testing.assert_allclose(to_mm[:, :3] @ place + to_mm[:, 3], grid.to_mm(index), atol=1e-4)
        number = int(volume[tuple(place)])
        if number:
            value = number * one["slope"] + one["inter"]
            assert value == pytest.approx(stored[index], abs=one["slope"] / 2 + 1e-6)


def test_labels_number_the_findings_and_follow_the_reader(anna, make):
    def drawn(told):
        shape = told["labels"]["shape"]
        slabs = range(len(told["labels"]["slabs"]))
        parts = [anna.get(f"/api/scans/{SCAN}/labels/{n}").content for n in slabs]
        return np.frombuffer(b"".join(parts), "<u2").reshape(shape, order="F")

    told = anna.opened(SCAN)
    before, labels = drawn(told), make.labels(make.grid(), len(make.kinds))
    order = [int(item["key"][1:]) for item in told["state"]["findings"]]
    for place in np.argwhere(before):
        assert labels[native_index(told, place)] == order[before[tuple(place)] - 1]
    assert np.count_nonzero(before) == np.count_nonzero(labels)
    voxel = np.ravel_multi_index(native_index(told, (2, 3, 4)), labels.shape)
    anna.post(SCAN, "outline", "s1", {"runs": [[int(voxel), 1]]})
    told = anna.opened(SCAN)
    after = drawn(told)
    number = [item["key"] for item in told["state"]["findings"]].index("s1") + 1
    assert np.argwhere(after == number).tolist() == [[2, 3, 4]]


def test_the_magnitude_of_each_echo_comes_from_the_images(serve, reader, output, make, tmp_path):
    from petechia.files.find import find_scans

    raw = make.raw(tmp_path / "raw")
    scan = find_scans(raw)[0].load()
    make.again(output, make.name("02"), sha256={s.path: s.sha256 for s in scan.sources})
    app, access = serve(images=raw)
    anna = reader(app, access, "anna")
    told = anna.opened(SCAN)
    assert [v["name"] for v in told["volumes"]][:2] == ["magnitude_1", "magnitude_2"]
    assert told["volumes"][1]["te_s"] == 0.02
    _, first = laid(told, "magnitude_1", anna)
    _, swi = laid(told, "swi", anna)
    np.testing.assert_array_equal(first, swi)  # the same ramp, shown whole


def test_images_that_were_not_analysed_are_refused(serve, reader, make, tmp_path):
    app, access = serve(images=make.raw(tmp_path / "raw"))
    anna = reader(app, access, "anna")
    answer = anna.get(f"/api/scans/{SCAN}/volumes/magnitude_1/0")
    assert answer.status_code == 422
    assert "not those that were analysed" in answer.json()["error"]["what"]
    told = anna.opened(SCAN)
    assert told["volumes"][0]["name"] == "computed"
    assert "not those that were analysed" in told["warnings"][0]


def test_what_is_not_there_is_404(anna):
    for address in (
        "/api/scans/sub-03", "/api/scans/sub-03/events", f"/api/scans/{SCAN}/volumes/flair/0",
        f"/api/scans/{SCAN}/volumes/swi/99", f"/api/scans/{SCAN}/labels/99", "/api/nothing",
    ):  # fmt: skip
        answer = anna.get(address)
        assert answer.status_code == 404, address
        assert set(answer.json()["error"]) == {"where", "what", "mend"}


# --- what a reader draws


def test_a_finding_that_was_missed_is_grown_from_a_click(anna, make):
    grid, uuid = make.grid(), make.uuid()
    x, y, z = grid.to_mm((8, 12, 10)).round(3).tolist()
    payload = {"x_mm": x, "y_mm": y, "z_mm": z, "class": "microbleed"}
    key = f"a{uuid[:8]}"
    taken = anna.post(SCAN, "add", key, payload, uuid=uuid).json()
    found = {item["key"]: item for item in taken["state"]["findings"]}[key]
    assert found["counted"]
    assert found["volume_mm3"] > 0
    assert taken["event"]["payload"]["runs"]
    again = anna.post(SCAN, "add", key, payload, uuid=uuid)  # the answer was lost on its way
    assert again.json()["event"] == taken["event"]
    outside = payload | {"x_mm": 900.0}
    uuid = make.uuid()
    answer = anna.post(SCAN, "add", f"a{uuid[:8]}", outside, uuid=uuid)
    assert answer.status_code == 400
    assert "outside" in answer.json()["error"]["what"]


def test_a_finding_is_split_at_two_places(anna, make):
    i, j, k = make.place(1)
    places = [make.grid().to_mm(v).tolist() for v in ((i, j, k), (i, j, k + 1))]
    taken = anna.post(SCAN, "split", "s1", {"at_mm": places}).json()
    keys = [item["key"] for item in taken["state"]["findings"]]
    assert "s1" not in keys
    assert {"s1.1", "s1.2"} <= set(keys)
    assert anna.post(SCAN, "decide", "s1", {"verdict": "accept"}).status_code == 400


# --- all readers


def test_agreement_shows_only_scans_the_reader_has_finished(readers):
    anna, ben = readers
    for one, verdict in ((anna, "accept"), (ben, "reject")):
        one.decide(SCAN, "s1", verdict)
    anna.post(SCAN, "finish")
    assert anna.get("/api/agreement").json()["scans"] == 0  # Ben has not finished
    ben.post(SCAN, "finish")
    assert anna.get("/api/agreement").json()["scans"] == 1
    (left,) = anna.get("/api/disagreements").json()
    assert (left["scan"], left["finding"], left["settled"]) == (SCAN, "s1", False)
    answer = anna.post(SCAN, "adjudicate", "s1", {"verdict": "accept"})
    assert answer.status_code == 200, answer.text
    assert anna.get("/api/disagreements").json()[0]["settled"]


def test_named_adjudicators_see_everything_and_readers_nothing(serve, reader):
    app, access = serve(readers=("anna", "ben", "eve"), adjudicators=("eve",))
    anna, ben, eve = (reader(app, access, name) for name in ("anna", "ben", "eve"))
    for one in (anna, ben):
        one.decide(SCAN, "s1")
        one.post(SCAN, "finish")
    assert anna.get("/api/agreement").json()["readers"] == []
    assert eve.get("/api/agreement").json()["readers"] == ["anna", "ben"]
    assert anna.post(SCAN, "adjudicate", "s1", {"verdict": "accept"}).status_code == 400


def test_what_was_settled_in_one_round_is_not_in_another(serve, reader):
    more = {"readers": ("anna", "ben", "eve"), "adjudicators": ("eve",)}
    for number in (1, 2):
        app, access = serve(round=number, **more)
        anna, ben, eve = (reader(app, access, name) for name in ("anna", "ben", "eve"))
        anna.decide(SCAN, "s1")
        ben.decide(SCAN, "s1", "reject")
        for one in (anna, ben):
            one.post(SCAN, "finish")
        if number == 1:
            eve.post(SCAN, "adjudicate", "s1", {"verdict": "accept"})

    def settled(**params):
        return [row["settled"] for row in eve.get("/api/disagreements", params=params).json()]

    assert (settled(round=1), settled(round=2), settled()) == ([True], [False], [True])


def test_the_api_page_needs_nothing_from_elsewhere(anna):
    page = anna.get("/docs")
    assert page.status_code == 200
    assert "/api/scans/{scan}/events" in page.text
    assert "http" not in page.text.replace("https://", "http://").split("<h2>Models")[0]
    assert anna.get("/openapi.json").json()["info"]["title"] == "Petechia review"


def test_edits_that_make_no_sense_are_refused_in_words(anna):
    """An outline in the corner of the volume, and two findings far apart."""
    for kind, finding, payload, said in (
        ("outline", "s1", {"runs": [[0, 1]]}, "has no voxel in the brain nor within 10 mm"),
        ("merge", "s1", {"with": ["s7"]}, "s7 lies 24 mm from what it would be merged with"),
    ):
        answer = anna.post(SCAN, kind, finding, payload)
        assert answer.status_code == 400, answer.text
        assert said in answer.text
    assert anna.get(f"/api/scans/{SCAN}/events").json()["events"] == []


@pytest.mark.parametrize("subject", ["é1", "0-1", "a b"])
def test_every_name_that_run_takes_can_be_reviewed(serve, reader, output, make, subject):
    name = make.name(subject)
    make.scan(OutputTree(output), name)
    app, access = serve()
    anna = reader(app, access, "anna")
    scan = quote(name.prefix)
    assert name.prefix in [row["scan"] for row in anna.get("/api/scans").json()["scans"]]
    taken = anna.decide(scan, "s1")
    assert taken["event"]["scan"] == name.prefix
    assert anna.opened(scan)["state"]["n_undecided"] > 0
    (outcome,) = apply_review(output)
    assert (outcome.scan, outcome.status) == (name.prefix, "applied")
