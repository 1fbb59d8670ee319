"""Follow-up from finished scans to table, summary and page."""

import csv
import json
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from petechia.anatomy.sessions import SessionFit
from petechia.core.grid import Grid
from petechia.errors import FileError, InputError
from petechia.files.contract import contract, follow_path
from petechia.files.scan import ScanName
from petechia.lesions.findings import Finding
from petechia.lesions.follow import FollowParams
from petechia.lesions.forced import Maps
from petechia.pipeline import comparison, follow, followed_values
from petechia.pipeline.listing import natural
from petechia.pipeline.review.queue import Listed
from petechia.pipeline.session_times import GUESS_SAYS, in_time, interval_days
from petechia.pipeline.visits import Visit

GRID = Grid((41, 41, 31), np.diag([1.5, 1.5, 1.5, 1.0]))
SHIFT = np.array([4.0, -3.0, 2.0])


def finding(index, place, counted=True, class_="microbleed", moment=3.0):
    x, y, z = (float(v) for v in place)
    return Finding(
        index=index, name=f"{class_} {index}", class_=class_, sign="paramagnetic",
        probability=0.9 if counted else 0.1, counted=counted, mars="definite", x_mm=x, y_mm=y,
        z_mm=z, volume_mm3=12.0, diameter_mm=3.0, moment_ppm_mm3=moment, moment_se_ppm_mm3=0.3,
        chi_mean_ppm=0.2, side="left", site="frontal", compartment="lobar",
        parenchyma_fraction=1.0, sphericity=0.8, margin_sharpness=0.5, homogeneity=0.6,
        evidence="",
    )  # fmt: skip


def visit(session, findings, te_s=0.02, category="mixed"):
    rng = np.random.default_rng(session)
    mask = np.zeros(GRID.shape, dtype=bool)
    mask[3:-3, 3:-3, 3:-3] = True
    index = np.stack(np.meshgrid(*map(np.arange, GRID.shape), indexing="ij"), -1)
    labels = np.zeros(GRID.shape, dtype=np.int32)
    for f in findings:
        place = (f.x_mm, f.y_mm, f.z_mm)
        labels[np.linalg.norm(GRID.to_mm(index) - place, axis=-1) < 2.0] = f.index
    voids = labels > 0
    dark = np.where(voids, 20.0, 100.0) + rng.normal(0, 2, GRID.shape)
    name = ScanName((("sub", "01"), ("ses", str(session))))
    summary = {
        "category": category, "reading_te_s": te_s,
        "protocol": {
            "b0_t": 3.0, "spacing_mm": [1.5, 1.5, 1.5], "n_echoes": 1, "phase": "absolute",
            "acquisition_type": "3D", "sequence": None, "manufacturer": None, "model": None,
        },
        "criteria": {"superficial_siderosis": {"sulci": 0, "extent": "none", "why_not": None}},
    }  # fmt: skip
    maps = Maps.of(dark.astype(np.float32), mask, GRID, labels, np.zeros_like(mask))
    return Visit(name=name, summary=summary, findings=tuple(findings), maps=maps, labels=labels)


@pytest.fixture
def moved(monkeypatch):
    """The registration is known: a shift."""
    matrix = np.eye(4)
    matrix[:3, 3] = SHIFT
    fit = SessionFit(
        matrix=matrix, uncertainty_mm=0.2, peak=0.6, overlap=0.98, ok=True, says="rigid fit"
    )
    monkeypatch.setattr(comparison, "register_sessions", lambda *_: fit)
    return fit


OLD, NEW, MISSED, GONE = (30.0, 30, 22), (18.0, 40, 25), (40.0, 24, 20), (22.0, 22, 18)


def test_a_persons_follow_up_is_written_and_linked(tmp_path, moved):
    first = visit(1, [finding(1, np.array(OLD) - SHIFT), finding(2, np.array(GONE) - SHIFT)])
    dark = first.maps.dark
    index = np.stack(np.meshgrid(*map(np.arange, GRID.shape), indexing="ij"), -1)
    missed = np.linalg.norm(GRID.to_mm(index) - (np.array(MISSED) - SHIFT), axis=-1) < 2.0
    dark[missed] = 20.0  # there, but in no table
    first = Visit(
        name=first.name, summary=first.summary, findings=first.findings,
        maps=Maps.of(dark, first.maps.mask, GRID, first.labels, first.maps.large),
        labels=first.labels,
    )  # fmt: skip
    second = visit(2, [finding(1, OLD), finding(2, NEW), finding(3, MISSED)])
    report = tmp_path / "sub-01_ses-2.html"
    report.write_text("<p>a</p><!-- follow-up --><!-- end of follow-up --><p>b</p>")

    compared = follow.compare(first, second, days=365.25)
    says = follow.write_follow_up(tmp_path, "sub-01", [compared], "en", {"a": 1})

    table = follow_path(tmp_path, "table", "sub-01")
    with table.open(newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    assert tuple(rows[0]) == contract().follow.columns
    by_place = {(row["state"], row["index"], row["index_before"]) for row in rows}
    assert by_place == {
        ("stable", "1", "1"), ("new", "2", "n/a"), ("seen_not_counted", "3", "n/a"),
        ("not_seen", "n/a", "2"),
    }  # fmt: skip
    told = json.loads(follow_path(tmp_path, "summary", "sub-01").read_text())
    only = told["comparisons"][0]
    assert only["new_microbleeds"] == {"least": 1, "most": 1}
    assert only["same_protocol"] is True
    assert only["new_per_year_95"][0] == 1.0
    assert only["aria_h"]["answer"] == "mild"
    assert only["registration"]["lesions_apart_mm"] == 0.0
    assert "1 new" in says
    page = follow_path(tmp_path, "page", "sub-01").read_text()
    assert "Research use only" in page
    assert page.count("data:image/png") == 2 * 3  # both sessions of all but the stable one
    assert "http" not in page.replace("http-equiv", "")
    assert 'href="sub-01_follow-up.html"' in report.read_text()
    before = report.read_text()
    follow.write_follow_up(tmp_path, "sub-01", [compared], "zh", {"a": 1})
    assert report.read_text() == before  # linked once
    assert "随访" in follow_path(tmp_path, "page", "sub-01").read_text()


def test_nothing_is_followed_when_sessions_do_not_fit(tmp_path, monkeypatch):
    fit = SessionFit(
        matrix=np.eye(4), uncertainty_mm=float("inf"), peak=0.0, overlap=0.0, ok=False,
        says="not registered: the two brains overlap by 0.20 only",
    )  # fmt: skip
    monkeypatch.setattr(comparison, "register_sessions", lambda *_: fit)
    compared = follow.compare(visit(1, []), visit(2, [finding(1, NEW)]))
    assert compared.followed == ()
    follow.write_follow_up(tmp_path, "sub-01", [compared], "en", {})
    told = json.loads(follow_path(tmp_path, "summary", "sub-01").read_text())
    assert told["comparisons"][0]["followed"] is False
    assert told["comparisons"][0]["new_microbleeds"] is None
    page = follow_path(tmp_path, "page", "sub-01").read_text()
    assert "overlap by 0.20" in page
    assert "says nothing about whether anything changed" in page


def test_unknown_new_ones_widen_the_grade(moved):
    # at the rim of the first session's brain: nobody can tell whether it is new
    second = visit(2, [finding(1, SHIFT + 1.5), finding(2, NEW)])
    compared = follow.compare(visit(1, []), second)
    told = followed_values.summary_of(compared)
    assert sorted(f.state for f in compared.followed) == ["new", "not_assessable"]
    assert told["new_microbleeds"] == {"least": 1, "most": 2}
    assert told["aria_h"]["could_be"] == ["mild"]  # one or two: mild either way


def test_each_scan_meets_the_one_most_like_it():
    def listed(ses, acq):
        return Listed(scan=f"sub-01_ses-{ses}_acq-{acq}")

    pairs = follow.compared_pairs(
        [[listed(1, "a"), listed(1, "b")], [listed(2, "b")], [listed(3, "a"), listed(3, "c")]]
    )
    assert ("sub-01_ses-1_acq-b", "sub-01_ses-2_acq-b", "first and previous") in pairs
    assert ("sub-01_ses-2_acq-b", "sub-01_ses-3_acq-a", "previous") in pairs
    assert ("sub-01_ses-1_acq-a", "sub-01_ses-3_acq-a", "first") in pairs
    assert len(pairs) == 5


class Folder:
    """An output folder in which scans were finished, or failed."""

    def __init__(self, root, scans, images=None, failed=()):
        self.root, self.images = root, images
        self.scans = {
            scan: Listed(scan=scan, fingerprint=scan, problem="crashed" if scan in failed else "")
            for scan in scans
        }

    def listed(self):
        return self.scans


def dated(images, **when):
    folder = images / "sub-01"
    folder.mkdir(exist_ok=True)
    rows = [f"{ses.replace('_', '-')}\t{at}" for ses, at in when.items()]
    (folder / "sub-01_sessions.tsv").write_text("\n".join(["session_id\tacq_time", *rows]) + "\n")


@pytest.fixture
def three(tmp_path, monkeypatch, moved):
    """Three sessions of one person who lies still: a bleed, one more, and that one gone."""
    moved.matrix[:3, 3] = 0.0
    found = {
        "1": [finding(1, OLD)],
        "2": [finding(1, OLD), finding(2, NEW)],
        "3": [finding(1, OLD)],
    }
    folder = Folder(tmp_path, [f"sub-01_ses-{n}" for n in "123"], tmp_path)
    monkeypatch.setattr(follow, "ReviewFolder", lambda *_: folder)
    monkeypatch.setattr(follow, "read_visit", lambda _, scan: visit(int(scan[-1]), found[scan[-1]]))
    return folder


def test_three_sessions_are_compared_each_with_the_one_before_and_the_first(tmp_path, three):
    (outcome,) = follow.follow_all(tmp_path)
    assert outcome.status == "done"
    told = json.loads(follow_path(tmp_path, "summary", "sub-01").read_text())
    ends = [(c["against"][-1], c["scan"][-1], c["compared"]) for c in told["comparisons"]]
    assert ends == [("1", "2", "first and previous"), ("2", "3", "previous"), ("1", "3", "first")]
    counts = [{s: n for s, n in c["counts"].items() if n} for c in told["comparisons"]]
    assert counts == [{"new": 1, "stable": 1}, {"not_seen": 1, "stable": 1}, {"stable": 1}]
    # new since the last scan is no grade; what came and went is not in that of the first
    grades = [(c["aria_h"] or {}).get("could_be") for c in told["comparisons"]]
    assert grades == [["mild"], None, ["none"]]
    assert "not seen any more is not in it" in told["comparisons"][2]["aria_h"]["note"]
    page = follow_path(tmp_path, "page", "sub-01").read_text()
    assert page.count("ARIA-H grade of what is new") == 2
    assert page.count("without what came in between and is not seen any more") == 1
    assert page.count("with the session before: ") == 1
    assert "not known" in page  # the time between them
    assert follow.follow_all(tmp_path)[0].status == "skipped"
    # a date that became known is told, and what a reader changed counts
    dated(tmp_path, ses_1="2020-01-01T10:00:00", ses_2="2020-01-01T12:00:00", ses_3="2021-01-01")
    assert follow.follow_all(tmp_path)[0].status == "done"
    told = json.loads(follow_path(tmp_path, "summary", "sub-01").read_text())
    assert [c["interval_days"] for c in told["comparisons"]] == [0.1, 365.5, 365.6]
    assert "same day" in follow_path(tmp_path, "page", "sub-01").read_text()
    table = tmp_path / "sub-01/ses-2/anat/sub-01_ses-2_desc-findings_dseg.tsv"
    table.parent.mkdir(parents=True)
    table.write_text("changed by a reader\n")
    assert follow.follow_all(tmp_path)[0].status == "done"


def test_sessions_go_by_their_dates_and_it_is_said(tmp_path, three):
    dated(tmp_path, ses_1="2021-01-01", ses_2="2022-01-01", ses_3="2020-01-01")
    follow.follow_all(tmp_path)
    told = json.loads(follow_path(tmp_path, "summary", "sub-01").read_text())
    ends = [(c["against"][-1], c["scan"][-1]) for c in told["comparisons"]]
    assert ends == [("3", "1"), ("1", "2"), ("3", "2")]
    assert all(c["interval_days"] > 0 for c in told["comparisons"])
    assert told["notes"] == ["sessions are ordered by their dates, which contradict their labels"]
    assert told["notes"][0] in follow_path(tmp_path, "page", "sub-01").read_text()
    # of some only: by label, and told
    dated(tmp_path, ses_1="2021-01-01", ses_3="2020-01-01")
    follow.follow_all(tmp_path)
    told = json.loads(follow_path(tmp_path, "summary", "sub-01").read_text())
    assert [c["scan"][-1] for c in told["comparisons"]] == ["2", "3", "3"]
    assert "not known of all" in told["notes"][0]
    assert told["comparisons"][2]["new_per_year_95"] is None


def test_a_session_that_is_missing_is_said(tmp_path, three):
    three.scans.update(Folder(tmp_path, ["sub-01_ses-4"], failed=["sub-01_ses-4"]).scans)
    three.scans.update(Folder(tmp_path, ["sub-02_ses-1"]).scans)
    (tmp_path / "sub-01" / "ses-5").mkdir(parents=True)
    follow.follow_all(tmp_path)
    told = json.loads(follow_path(tmp_path, "summary", "sub-01").read_text())
    assert told["notes"] == [
        "ses-4 is left out: its scan did not finish",
        "ses-5 is left out: it has no finished scan",
        "sessions are ordered by label; no dates are known",
    ]
    with pytest.raises(InputError, match="no two finished sessions of 02"):
        follow.follow_all(tmp_path, subjects=["sub-02"])


@pytest.fixture
def labelled(tmp_path, monkeypatch, moved):
    """Return a way to write a follow-up of sessions by their labels and findings, in this order."""
    moved.matrix[:3, 3] = 0.0

    def make(**found):
        scans = {f"sub-01_ses-{label}": n for n, label in enumerate(found, start=1)}
        folder = Folder(tmp_path, sorted(scans, key=natural), tmp_path)
        monkeypatch.setattr(follow, "ReviewFolder", lambda *_: folder)

        def read(_, scan):
            made = visit(scans[scan], found[scan.rpartition("-")[2]])
            return replace(made, name=ScanName((("sub", "01"), ("ses", scan.rpartition("-")[2]))))

        monkeypatch.setattr(follow, "read_visit", read)
        (outcome,) = follow.follow_all(tmp_path)
        told = json.loads(follow_path(tmp_path, "summary", "sub-01").read_text())
        return outcome, told

    return make


def test_pre_is_before_post_without_dates(tmp_path, labelled):
    outcome, told = labelled(pre=[finding(1, OLD)], post=[finding(1, OLD), finding(2, NEW)])
    (only,) = told["comparisons"]
    assert (only["against"], only["scan"]) == ("sub-01_ses-pre", "sub-01_ses-post")
    assert (only["counts"]["new"], only["counts"]["not_seen"]) == (1, 0)
    assert only["new_microbleeds"] == {"least": 1, "most": 1}
    assert only["aria_h"]["answer"] == "mild"
    assert told["order"] == {"sessions": ["pre", "post"], "by": "label"}
    assert told["notes"] == ["sessions are ordered by label; no dates are known"]
    assert "1 new" in outcome.says
    page = follow_path(tmp_path, "page", "sub-01").read_text()
    assert "sessions are ordered by label; no dates are known." in page


@pytest.mark.parametrize("language", ["en", "zh"])
def test_where_the_order_is_a_guess_nothing_is_called_new(tmp_path, labelled, language):
    many = [finding(n, (15.0 + 6 * n, 40, 25)) for n in range(2, 5)]
    grown = finding(1, OLD, moment=30.0)
    outcome, told = labelled(alpha=[finding(1, OLD)], beta=[grown, *many])
    (only,) = told["comparisons"]
    assert only["order_known"] is False
    assert only["new_microbleeds"] is None
    assert only["new_per_year_95"] is None
    assert {s: n for s, n in only["counts"].items() if n} == {"not_assessable": 4}
    grade = only["aria_h"]
    assert (grade["answer"], grade["claimed"]) == ("indeterminate", False)
    assert grade["could_be"] == ["none", "mild", "moderate", "severe"]
    assert grade["missing"][0] == "session_order"
    assert set(grade["missing"]) <= set(grade["inputs"])
    assert told["order"] == {"sessions": ["alpha", "beta"], "by": "guess"}
    assert told["notes"] == [GUESS_SAYS, follow.UNORDERED_NOTE]
    assert GUESS_SAYS in outcome.says
    assert " new" not in outcome.says.replace("called new", "")
    table = follow_path(tmp_path, "table", "sub-01").read_text()
    assert table.count("\tnot_assessable\t") == table.count(followed_values.UNORDERED_WHY) == 4
    follow.follow_all(tmp_path, language=language)
    page = follow_path(tmp_path, "page", "sub-01").read_text()
    assert page.count("ARIA-H") == 1  # the note alone
    word = {"en": "the order of sessions is a guess by label", "zh": "检查次序是按标签猜测的"}
    assert [spoken for spoken, text in word.items() if text in page] == [language]
    # what has not changed still says so, and a date mends it
    (again,) = follow.follow_all(tmp_path, language=language)
    assert again.status == "skipped"
    assert GUESS_SAYS in again.says
    dated(tmp_path, ses_alpha="2021-01-01", ses_beta="2020-01-01")
    follow.follow_all(tmp_path)
    told = json.loads(follow_path(tmp_path, "summary", "sub-01").read_text())
    assert told["comparisons"][0]["against"] == "sub-01_ses-beta"
    assert told["comparisons"][0]["counts"]["not_seen"] == 3
    assert (told["notes"], told["order"]["by"]) == ([], "dates")


def sources(told):
    return {k: (v["value"], v["source"]) for k, v in told["aria_h"]["inputs"].items()}


def test_the_grade_says_where_its_inputs_are_from(moved):
    told = followed_values.summary_of(follow.compare(visit(1, []), visit(2, [finding(1, NEW)])))
    assert sources(told) == {
        "amyloid_immunotherapy": ("yes", "assumed"),
        "new_microhemorrhages": ("1", "scan"),
        "new_siderosis_foci": ("0", "scan"),
    }


def sheet(index, place):
    return finding(index, place, counted=False, class_="siderosis", moment=None)


def read_by_a_reader(made, extent, sulci):
    told = {"sulci": sulci, "extent": extent, "why_not": None, "reader": "a"}
    return replace(made, summary=made.summary | {"criteria": {"superficial_siderosis": told}})


@pytest.mark.parametrize("before", [True, False])
def test_siderosis_that_one_session_alone_shows_is_no_number(moved, before):
    found = ([sheet(1, np.array(OLD) - SHIFT)], [finding(1, NEW)])
    if not before:
        found = ([], [finding(1, NEW), sheet(2, OLD)])
    told = followed_values.summary_of(follow.compare(visit(1, found[0]), visit(2, found[1])))
    assert sources(told)["new_siderosis_foci"] == ("", "")
    assert told["aria_h"]["could_be"] == ["mild", "moderate", "severe"]
    assert told["aria_h"]["answer"] == "at_least_mild"
    assert told["aria_h"]["missing"] == ["new_siderosis_foci"]


def test_siderosis_as_it_was_is_not_new(moved):
    first, second = visit(1, [sheet(1, np.array(OLD) - SHIFT)]), visit(2, [sheet(1, OLD)])
    told = followed_values.summary_of(follow.compare(first, second))
    assert sources(told)["new_siderosis_foci"] == ("0", "scan")
    assert told["aria_h"]["answer"] == "none"


@pytest.mark.parametrize(
    ("then", "now", "new"),
    [
        (None, ("none", 0), (0, 0)),
        (("none", None), ("focal", None), (1, 3)),
        (("focal", 1), ("focal", 3), (2, 3)),
        (("focal", 3), ("focal", 2), (0, 2)),
        (None, ("focal", 2), (0, 2)),
        (("none", 0), ("disseminated", None), (4, None)),
    ],
)
def test_a_readers_word_on_siderosis_decides(moved, then, now, new):
    first, second = visit(1, []), read_by_a_reader(visit(2, [sheet(1, OLD)]), *now)
    first = first if then is None else read_by_a_reader(first, *then)
    assert followed_values.new_siderosis(follow.compare(first, second)) == new


def test_a_scan_without_images_is_left_out_and_the_others_are_compared(
    tmp_path, three, monkeypatch
):
    reads = follow.read_visit

    def without_second(folder, scan):
        if scan.endswith("2"):
            raise FileError("no image in which bleeds are dark", where=scan, mend="Give --images.")
        return reads(folder, scan)

    monkeypatch.setattr(follow, "read_visit", without_second)
    (outcome,) = follow.follow_all(tmp_path)
    assert outcome.status == "done"
    assert "sub-01_ses-2 is left out: " in outcome.says
    told = json.loads(follow_path(tmp_path, "summary", "sub-01").read_text())
    assert [(c["against"][-1], c["scan"][-1]) for c in told["comparisons"]] == [("1", "3")]
    assert "no image in which bleeds are dark" in told["notes"][0]
    # what was left out is looked at again, without being asked
    monkeypatch.setattr(follow, "read_visit", reads)
    assert follow.follow_all(tmp_path)[0].status == "done"
    told = json.loads(follow_path(tmp_path, "summary", "sub-01").read_text())
    assert len(told["comparisons"]) == 3
    # of one scan alone nothing can be told, and an older page is not written over
    monkeypatch.setattr(follow, "read_visit", without_second)
    three.scans.pop("sub-01_ses-3")
    (outcome,) = follow.follow_all(tmp_path)
    assert outcome.status == "failed"
    assert json.loads(follow_path(tmp_path, "summary", "sub-01").read_text()) == told


def test_other_settings_are_a_reason_to_compare_again(tmp_path, three, monkeypatch):
    follow.follow_all(tmp_path)
    assert follow.follow_all(tmp_path)[0].status == "skipped"
    monkeypatch.setattr(follow, "FollowParams", lambda: FollowParams(base_mm=1.5))
    assert follow.follow_all(tmp_path)[0].status == "done"


def test_intervals_come_from_the_raw_tables_and_dates_stay_there(tmp_path):
    folder = tmp_path / "sub-01"
    folder.mkdir()
    names = [ScanName((("sub", "01"), ("ses", s))) for s in ("1", "2")]
    assert interval_days(tmp_path, *names) is None
    when = [datetime(2020, 1, 1), datetime(2021, 1, 1, 12)]
    rows = [f"ses-{n}\t{at.isoformat()}" for n, at in enumerate(when, start=1)]
    table = folder / "sub-01_sessions.tsv"
    table.write_text("\n".join(["session_id\tacq_time", *rows]) + "\n")
    assert interval_days(tmp_path, *names) == pytest.approx(366.5)
    table.write_text("session_id\tage\nses-1\t70.0\nses-2\t71.5\n")
    assert interval_days(tmp_path, *names) == pytest.approx(1.5 * 365.25)
    assert interval_days(None, *names) is None


def scans_table(images, session, *rows):
    folder = images / "sub-01" / f"ses-{session}"
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["filename\tacq_time", *(f"anat/sub-01_ses-{session}_{row}" for row in rows)]
    (folder / f"sub-01_ses-{session}_scans.tsv").write_text("\n".join(lines) + "\n")


def test_a_table_of_scans_without_times_leaves_the_word_to_that_of_sessions(tmp_path):
    names = [ScanName((("sub", "01"), ("ses", s))) for s in ("1", "2")]
    dated(tmp_path, ses_1="2020-01-01", ses_2="2020-01-11")
    for session in "12":
        scans_table(tmp_path, session, "echo-1_part-mag_MEGRE.nii.gz\tn/a")
    assert interval_days(tmp_path, *names) == 10
    scans_table(tmp_path, "2", "T1w.nii.gz\tn/a", "echo-2_part-mag_MEGRE.nii.gz\t2020-01-12")
    assert interval_days(tmp_path, *names) == 11
    # a time in one table, an age in both
    (tmp_path / "sub-01" / "sub-01_sessions.tsv").write_text(
        "session_id\tage\nses-1\t70\nses-2\t71\n"
    )
    assert interval_days(tmp_path, *names) == 365.25


def test_the_time_of_a_scan_is_not_that_of_one_whose_name_begins_alike(tmp_path):
    names = [ScanName((("sub", "01"), ("ses", "1"), ("acq", a))) for a in ("a", "ab")]
    bare = ScanName((("sub", "01"), ("ses", "1")))
    rows = ["acq-ab_T2starw.nii.gz\t2020-01-05", "acq-a_T2starw.nii.gz\t2020-01-01"]
    scans_table(tmp_path, "1", *rows)
    assert interval_days(tmp_path, *names) == 4
    assert interval_days(tmp_path, bare, names[0]) is None


def test_people_whose_labels_read_as_one_number_are_two(tmp_path, monkeypatch):
    scans = ["sub-1_ses-1", "sub-01_ses-1", "sub-1_ses-2", "sub-01_ses-2", "sub-01_ses-02"]
    folder = Folder(tmp_path, sorted(scans, key=natural))
    people = follow._people(folder)
    assert {who: [one.scan for (one,) in p.sessions] for who, p in people.items()} == {
        "1": ["sub-1_ses-1", "sub-1_ses-2"],
        "01": ["sub-01_ses-1", "sub-01_ses-02", "sub-01_ses-2"],
    }


def test_sessions_with_letters_go_as_people_count():
    labels = ["V10", "m12", "10", "V2", "m0", "2", "m24", "post", "m6", "\N{SUPERSCRIPT TWO}"]
    assert sorted(labels, key=natural) == [
        "2", "10", "V2", "V10", "m0", "m6", "m12", "m24", "post", "\N{SUPERSCRIPT TWO}",
    ]  # fmt: skip
    assert in_time(None, [[]] * 3) == ([0, 1, 2], "")


def test_a_folder_that_is_no_output_is_said(tmp_path):
    with pytest.raises(FileError, match="no output folder"):
        follow.follow_all(tmp_path)
