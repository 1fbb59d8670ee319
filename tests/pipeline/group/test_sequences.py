"""The same people by several sequences, and the same people twice."""

import json
from itertools import pairwise

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.errors import FileError, ParameterError
from petechia.files.output import OutputTree
from petechia.pipeline.group.changes import changes_tables, require_event
from petechia.pipeline.group.followed import read_intervals
from petechia.pipeline.group.frame import build_frame
from petechia.pipeline.group.people import NOBODY, read_people
from petechia.pipeline.group.plan import Plan
from petechia.pipeline.group.scans import read_scans
from petechia.pipeline.group.sequences import sequences_tables
from petechia.pipeline.group.write import analyse

SITE = ("lobar", "frontal")


def frame_of(output, people=None, **plan):
    scans = read_scans(output)
    told = NOBODY if people is None else read_people(people, [s.subject for s in scans])
    return build_frame(scans, told, Plan(**plan))


@pytest.fixture(scope="module")
def twice(make, tmp_path_factory):
    """GRE sees one lesion of each of 8 people, SWI three at most; one GRE is refused."""
    scans = []
    for n in range(8):
        for acq, count, sharp in (("gre", 1, 0.4), ("swi", 1 + n % 3, 0.8)):
            scans.append(
                make.scan(make.name(f"{n:02d}", None, acq), [SITE] * count, jitter=0.0,
                          sharp=sharp, extra=(), refused="no" if (n, acq) == (7, "gre") else "")
            )  # fmt: skip
    return make.write(tmp_path_factory.mktemp("twice") / "out", scans)


def test_counts_of_two_sequences_are_compared_in_those_who_have_both(twice):
    counts, _, _ = sequences_tables(frame_of(twice), Plan(compare="acq"))
    (row,) = counts.rows
    assert (row["first"], row["second"]) == ("acq-gre", "acq-swi")
    assert (row["pairs"], row["left_out"]) == (7, 1)
    assert (row["total_first"], row["total_second"]) == (7, 1 + 2 + 3 + 1 + 2 + 3 + 1)
    assert row["ratio"] == pytest.approx(13 / 7, rel=1e-5)
    assert (row["both"], row["neither"]) == (7, 0)
    logs = [np.log((2 + n % 3) / 2) for n in range(7)]
    assert row["bias"] == pytest.approx(np.mean(logs), rel=1e-5)


def test_sequences_that_agree_fully_have_no_interval_of_no_width(make, tmp_path):
    scans = [
        make.scan(make.name(f"{n}", None, acq), [SITE] * (n % 3), extra=())
        for n in range(6)
        for acq in ("gre", "swi")
    ]
    output = make.write(tmp_path / "out", scans)
    counts, _, _ = sequences_tables(frame_of(output), Plan(compare="acq"))
    (row,) = counts.rows
    for name in ("icc_absolute", "icc_consistency", "kappa"):
        assert row[name] == 1
        assert (row[f"{name}_low"], row[f"{name}_high"]) == (None, None)


def test_lesions_are_matched_one_to_one_where_they_lie(make, tmp_path):
    scans = []
    for n in range(6):
        both = [("lobar", "temporal"), ("deep", "thalamus")]
        scans += [
            make.scan(make.name(f"{n:02d}", None, "gre"), both[:1], jitter=0.2, sharp=0.4),
            make.scan(make.name(f"{n:02d}", None, "swi"), both, jitter=0.2, sharp=0.8),
        ]
    output = make.write(tmp_path / "out", scans, seed=5)
    frame = frame_of(output)
    side = [[v.words["side"] for v in row.lesions] for row in frame.scans]
    met = sum(side[2 * n][0] == side[2 * n + 1][0] for n in range(6))
    assert 0 < met < 6  # else this test would see nothing
    _, lesions, looks = sequences_tables(frame, Plan(compare="acq"))
    (row,) = lesions.rows
    assert (row["both"], row["only_first"], row["only_second"]) == (met, 6 - met, 12 - met)
    assert row["f1"] == pytest.approx(2 * met / 18, rel=1e-5)
    even = next(r for r in looks.rows if r["measure"] == "homogeneity")
    assert even["lesions"] == met
    assert (even["median_first"], even["median_second"]) == (0.4, 0.8)
    assert (even["share_first"], even["share_second"]) == (0, 1)


def test_swi_and_qsm_of_one_scan_are_compared_by_their_images(make, tmp_path):
    output = make.write(tmp_path / "out", [make.scan(make.name(f"{n}"), [SITE], extra=())
                                           for n in range(3)])  # fmt: skip
    tree, grid = OutputTree(output), Grid((21, 19, 17), np.diag([1.0, 1.2, 1.5, 1.0]))
    rng = np.random.default_rng(0)
    for n in range(3):
        name = make.name(f"{n}")
        labels = np.zeros(grid.shape, np.int32)
        labels[9:12, 8:11, 8:10] = 1
        swi = 100 + rng.normal(0, 20, grid.shape) - 40 * (labels > 0)
        chi = rng.normal(0, 0.01, grid.shape) + 0.3 * (labels > 0)
        side = {"Sources": [], "Reference": "brain"}
        tree.write_volume("findings", name, labels, grid, side)
        tree.write_volume("brain_mask", name, np.ones(grid.shape, bool), grid, side)
        tree.write_volume("swi", name, swi.astype(np.float32), grid, side)
        tree.write_volume("chi", name, chi.astype(np.float32), grid, side)
    _, _, looks = sequences_tables(frame_of(output), Plan(compare="acq"))
    rows = {row["measure"]: row for row in looks.rows}
    assert rows["conspicuity"]["lesions"] == 3
    assert rows["conspicuity"]["median_first"] == pytest.approx(2, abs=0.6)
    assert rows["conspicuity"]["median_second"] == pytest.approx(30, abs=6)
    assert rows["homogeneity"]["median_second"] > 0.9
    assert (rows["unambiguous"]["share_first"], rows["unambiguous"]["share_second"]) == (0, 1)
    # an image that cannot be read costs its own scan, and that is said
    image = tree.path("swi", make.name("1"))
    image.write_bytes(image.read_bytes()[:200])
    frame = frame_of(output)
    _, _, looks = sequences_tables(frame, Plan(compare="acq"))
    rows = {row["measure"]: row for row in looks.rows}
    assert rows["conspicuity"]["lesions"] == 2
    (note,) = (note for note in frame.notes if "look" in note)
    assert note.startswith("sub-1 is left out of how lesions look: sub-1_swi.nii.gz: ")


@pytest.fixture(scope="module")
def visits(make, tmp_path_factory):
    """Ten people before and after: one new lesion in six of them, the third scan is ignored."""
    root, scans = tmp_path_factory.mktemp("visits"), []
    for n in range(10):
        for session, count in (("1", 1), ("2", 1 + (n < 6)), ("10", 9)):
            scans.append(make.scan(make.name(f"{n:02d}", session), [SITE] * count, extra=()))
    output = make.write(root / "out", scans)
    people = [{"participant_id": f"{n:02d}", "hypertension": "yes" if n < 5 else "no"}
              for n in range(10)]  # fmt: skip
    path = make.people(root / "raw" / "participants.tsv", people)
    for n in range(10):
        folder = root / "raw" / f"sub-{n:02d}"
        folder.mkdir()
        (folder / f"sub-{n:02d}_sessions.tsv").write_text(
            "session_id\ttimepoint\tdays\nses-1\tpre\t0\nses-2\tpost\t365.25\nses-10\tpost\t731\n"
        )
    return output, path


def test_before_and_after_is_the_last_before_and_the_first_after(visits):
    output, path = visits
    table = changes_tables(output, frame_of(output, path), Plan())[0]
    whole, lobar, deep, _ = table.rows
    assert (whole["from"], whole["to"], whole["pairs"]) == ("before", "after", 10)
    assert (whole["before"], whole["after"]) == (1.0, 1.6)
    assert whole["ratio"] == pytest.approx(1.6, rel=1e-5)
    assert whole["same_protocol"] == 10
    assert lobar["after"] == 1.6
    assert deep["before"] == 0
    first_last = changes_tables(output, frame_of(output), Plan())[0].rows[0]
    assert (first_last["from"], first_last["after"]) == ("first session", 9.0)


def test_an_event_that_no_session_tells_is_refused(visits):
    output, path = visits
    with pytest.raises(ParameterError, match=r"no column 'timepiont'.*Did you mean timepoint"):
        analyse(output, path, Plan(event="timepiont"))
    frame = frame_of(output, path)
    with pytest.raises(ParameterError, match=r"'days' does not say before or after.*pre, before"):
        require_event(frame, Plan(event="days"))
    require_event(frame, Plan(event="hypertension"))  # yes and no can tell an event
    require_event(frame_of(output), Plan())  # the usual column need not be there


def interval(scan, against, compared, new, *, followed=True, alike=True):
    return {
        "scan": scan, "against": against, "compared": compared, "followed": followed,
        "interval_days": None, "same_protocol": alike,
        "new_microbleeds": {"least": new, "most": new + 1} if followed else None,
    }  # fmt: skip


def test_new_lesions_of_follow_become_a_rate(visits):
    output, path = visits
    head = "scan\tagainst\tstate\tclass\tcounted\tsite"
    name = {(row.subject, row.session): row.prefix for row in read_scans(output)}
    for n in range(10):
        one, two, ten = (name[f"{n:02d}", session] for session in ("1", "2", "10"))
        told = [
            interval(two, one, "first and previous", int(n < 6)),
            interval(ten, two, "previous", 2, followed=n != 9, alike=n > 3),
            interval(ten, one, "first", 2 + int(n < 6)),  # the same new ones, seen again
        ]
        folder = output / f"sub-{n:02d}"
        stem = f"sub-{n:02d}_desc-followup_lesions"
        rows = f"{head}\n{two}\t{one}\tstable\tmicrobleed\t1\tfrontal"
        (folder / f"{stem}.tsv").write_text(rows)
        (folder / f"{stem}.json").write_text(json.dumps({"comparisons": told}))
    frame = frame_of(output, path)
    tables = {t.name: t.rows for t in changes_tables(output, frame, Plan())}
    whole, alike, no, yes = tables["incidence"]
    assert (whole["people"], whole["new"], whole["with_new"]) == (10, 6 + 18, 9)
    assert (whole["not_followed"], whole["other_protocol"]) == (1, 4)
    assert whole["new_most"] == 6 + 18 + 19
    years = (10 * 365.25 + 9 * 365.75) / 365.25  # from the sessions' column of days
    assert whole["person_years"] == pytest.approx(years, rel=1e-5)
    assert whole["rate"] == pytest.approx(24 / years, rel=1e-5)
    assert whole["rate_low"] < whole["rate"] < whole["rate_high"]
    assert (alike["factor"], alike["new"], alike["other_protocol"]) == ("protocol", 24 - 8, 0)
    assert (no["group"], no["new"], yes["group"], yes["new"]) == ("no", 1 + 8, "yes", 5 + 10)
    assert len(tables["follow"]) == 10


def test_a_summary_of_follow_up_that_is_none_is_told(visits):
    output, path = visits
    place = output / "sub-03" / "sub-03_desc-followup_lesions.json"
    kept = place.read_text() if place.exists() else None
    place.parent.mkdir(exist_ok=True)
    place.write_text("{}")
    with pytest.raises(FileError, match="petechia follow"):
        read_intervals(output, frame_of(output, path))
    place.write_text(kept) if kept else place.unlink()


@pytest.fixture(scope="module")
def lettered(make, tmp_path_factory):
    """Four people at months 0, 6, 12 and 24, who have 1, 2, 3 and 4 lesions there."""
    root = tmp_path_factory.mktemp("lettered")
    scans = [make.scan(make.name(f"{n}", f"m{month}"), [SITE] * (1 + k), extra=())
             for n in range(4) for k, month in enumerate((0, 6, 12, 24))]  # fmt: skip
    output = make.write(root / "out", scans)
    path = make.people(root / "raw" / "participants.tsv",
                       [{"participant_id": f"{n}", "age": 60 + n} for n in range(4)])  # fmt: skip
    return output, path


def ends_of(output, path):
    """First and last session that stand for people, and mean counts there."""
    stand = []
    for session in ("first", "last"):
        frame = frame_of(output, path, session=session)
        stand.append({row.session for row, c in zip(frame.scans, frame.chosen, strict=True) if c})
    frame = frame_of(output, path)
    row = changes_tables(output, frame, Plan())[0].rows[0]
    return stand, (row["before"], row["after"]), frame.notes


def test_sessions_with_letters_go_by_their_numbers(lettered):
    stand, counts, notes = ends_of(*lettered)
    assert stand == [{"m0"}, {"m24"}]
    assert counts == (1.0, 4.0)
    assert notes == ["Of 4 people sessions are ordered by label; no dates are known."]
    stand, counts, _ = ends_of(lettered[0], None)
    assert (stand, counts) == ([{"m0"}, {"m24"}], (1.0, 4.0))


def test_sessions_go_by_their_days_or_dates_where_these_are_known(lettered, tmp_path, make):
    output, people = lettered
    path = tmp_path / "raw" / "participants.tsv"
    path.parent.mkdir()
    path.write_text(people.read_text())
    for n, (name, cells) in enumerate(
        {"days": "0 30 10 20", "acq_time": "2020-01-01 2020-01-31 2020-01-11 2020-01-21",
         "age": "70 73 71 72"}.items()  # m6 was last
    ):  # fmt: skip
        folder = path.parent / f"sub-{n}"
        folder.mkdir()
        rows = [f"ses-m{m}\t{c}" for m, c in zip((0, 6, 12, 24), cells.split(), strict=True)]
        text = "\n".join([f"session_id\t{name}", *rows]) + "\n"
        (folder / f"sub-{n}_sessions.tsv").write_text(text)
    stand, counts, notes = ends_of(output, path)
    assert stand == [{"m0"}, {"m6", "m24"}]
    assert counts == (1.0, (2 + 2 + 2 + 4) / 4)
    says = "sessions are ordered by their dates, which contradict their labels"
    by_label = "sessions are ordered by label; no dates are known"
    assert notes == [f"Of 3 people {says}.", f"Of 1 people {by_label}."]


def test_the_baseline_of_incidence_is_the_first_session(lettered):
    output, path = lettered
    for n in range(4):
        chain = [f"sub-{n}_ses-m{m}" for m in (0, 6, 12, 24)]
        told = [interval(b, a, "previous", 1) for a, b in pairwise(chain)]
        place = output / f"sub-{n}" / f"sub-{n}_desc-followup_lesions.json"
        place.write_text(json.dumps({"comparisons": told}))
    frame = frame_of(output, path)
    followed = read_intervals(output, frame)
    assert [frame.scans[i.row].session for i in followed["2"]] == ["m0", "m6", "m12"]


def test_a_protocol_is_the_same_within_what_follow_takes_for_the_same(make, tmp_path):
    scans = [make.scan(make.name(f"{n}", s), [SITE], protocol="old" if (n, s) == (3, "2") else
                       "three") for n in range(4) for s in "12"]  # fmt: skip
    output = make.write(tmp_path / "out", scans)
    for path in sorted(output.glob("sub-*/ses-2/anat/*_summary.json")):
        told = json.loads(path.read_text())
        told["protocol"]["spacing_mm"][0] *= 1.01  # as another session's header has it
        told["protocol"]["b0_t"] *= 0.9991
        if path.name.startswith("sub-2"):
            told["protocol"]["sequence"] = "another"
        if path.name.startswith("sub-0"):
            told["protocol"]["sequence"] = None
        path.write_text(json.dumps(told))
    for path in output.glob("sub-[12]/ses-1/anat/*_summary.json"):
        told = json.loads(path.read_text())
        told["protocol"]["sequence"] = "this" if path.name.startswith("sub-2") else None
        path.write_text(json.dumps(told))
    make.crash(output, "sub-1_ses-2")
    whole, alike, *_ = changes_tables(output, frame_of(output), Plan())[0].rows
    assert (whole["pairs"], whole["left_out"], whole["same_protocol"]) == (3, 1, 1)
    assert (alike["place"], alike["pairs"]) == ("all, same protocol", 1)


def test_people_seen_once_have_nothing_over_time(make, tmp_path):
    output = make.write(tmp_path / "out", [make.scan(make.name("01"))])
    assert changes_tables(output, frame_of(output), Plan()) == []
