"""Decisions in the results: right by the contract, twice the same, and gone when taken back."""

import hashlib
import json
import os
from collections import Counter
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from petechia.anatomy.sites import REGIONS, label_of
from petechia.errors import FileError, InUseError
from petechia.files.finished import read_rows
from petechia.files.output import OutputTree
from petechia.pipeline.evaluation_files import find_sides
from petechia.pipeline.review import apply as applying
from petechia.pipeline.review.apply import apply_review
from petechia.pipeline.review.cases import ReviewFolder
from petechia.pipeline.review.log import ReviewLog, log_path
from petechia.pipeline.review.originals import kept_folder
from petechia.pipeline.review.outline import runs_of
from petechia.pipeline.review.tables import REVIEW_COLUMNS, new_name


@pytest.fixture
def ann(output, hand_of):
    with ReviewLog(log_path(output)) as log:
        yield hand_of("ann b", log=log)


def sums(root):
    files = [p for p in sorted(root.rglob("*")) if p.is_file() and "review" not in p.parts]
    return {
        p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files
    }


def much(hand):
    hand("decide", "s1", verdict="accept", mars="possible")
    hand("decide", "s2", verdict="reject", class_="vessel", reason="a tube <b>")
    hand("site", "s1", site="thalamus", side="right")
    added = hand(
        "add", x_mm=1.0, y_mm=2.0, z_mm=3.0, class_="microbleed", runs=[[5000, 2], [5019, 2]]
    )
    hand("split", "s4", parts=[[[(8 * 25 + 17) * 19 + 10, 1]], [[(9 * 25 + 17) * 19 + 10, 1]]])
    hand("decide", "s4.1", verdict="accept")
    hand("merge", "s3", with_=["s5"])
    hand("form", form="bombs", row="thalamus/certain_below_5_mm/left", value=2, reason="seen <i>")
    hand("siderosis", extent="focal", sulci=2)
    hand("note", text="all <script>")
    hand("note", added.finding, text="was missed")
    return added


def test_a_round_that_was_only_begun_leaves_the_finished_one(output, ann, hand_of, scan_of):
    ann("decide", "s1", verdict="reject", class_="vessel")
    ann("finish")
    again = hand_of("ann b", log=ann.log, round=2)
    again("note", text="just looking")
    (outcome,) = apply_review(output)
    assert (outcome.status, outcome.counted) == ("applied", 2)
    assert outcome.message == "round 2 is begun, not finished: round 1 stands"
    assert scan_of.summary(output)["review"]["round"] == 1
    assert apply_review(output, reader="ann b")[0].counted == 2
    # by its number it can be had, and finished it stands
    assert apply_review(output, round=2)[0].counted == 3
    again("decide", "s2", verdict="reject", class_="vessel")
    again("decide", "s3", verdict="reject", class_="vessel")
    again("finish")
    (outcome,) = apply_review(output)
    assert (outcome.counted, outcome.message) == (1, "")
    assert scan_of.summary(output)["review"]["round"] == 2


def test_the_count_told_is_that_of_the_table(output, ann, scan_of):
    """An old log may hold an addition that is voxel for voxel a finding of the software."""
    same = runs_of(np.flatnonzero(scan_of.labels.ravel() == 1))
    ann("decide", "s1", verdict="accept")
    ann("add", x_mm=1.0, y_mm=2.0, z_mm=3.0, class_="microbleed", runs=[list(r) for r in same])
    (outcome,) = apply_review(output)
    rows, summary = scan_of.table(output), scan_of.summary(output)
    assert outcome.counted == summary["counts"]["total"] == 3
    assert sum(row["counted"] == "1" for row in rows) == 3
    (gone,) = [row for row in summary["review"]["changes"] if row["name"] == "microbleed 1"]
    assert (gone["after"], gone["reason"]) == (None, "covered by another")


def test_a_tie_of_two_who_have_finished_is_not_left_undecided(output, ann, hand_of, scan_of):
    """On a finding of the software and on one that only a reader saw."""
    ben = hand_of("ben", log=ann.log)
    for n in range(1, 6):
        ann("decide", f"s{n}", verdict="accept")
        ben("decide", f"s{n}", verdict="accept" if n > 1 else "reject")
    ann("add", x_mm=1.0, y_mm=2.0, z_mm=3.0, class_="microbleed", runs=[[5000, 2]])
    ann("finish")
    ben("finish")
    (outcome,) = apply_review(output)
    review = scan_of.summary(output)["review"]
    assert (outcome.undecided, outcome.disagreements) == (review["undecided"], 2) == (0, 2)
    assert (review["finished"], len(review["disagreements"])) == (True, 2)
    assert scan_of.summary(output)["count_interval_95"] is not None  # nobody settled s1
    page = next(output.glob("sub-01*.html")).read_text()
    assert "Review begun" not in page
    assert "Disagreements not settled: 2." in page


def named_by_class(rows):
    """The software's table as detection names it: numbers of each class from 1."""
    numbers = Counter()
    out = []
    for row in rows:
        numbers[row["class"]] += 1
        out.append({**row, "name": f"{row['class'].replace('_', ' ')} {numbers[row['class']]}"})
    return out


def test_no_two_findings_of_a_table_have_one_name():
    kinds = (*["microbleed"] * 12, "calcification", *["vessel"] * 14, *["air_tissue"] * 3)
    rows = named_by_class([{"index": str(n), "class": k} for n, k in enumerate(kinds, 1)])
    for class_ in ("vessel", "microbleed", "air_tissue", "macrobleed"):
        kept = [row["name"] for row in rows if row["class"] == class_]
        new = [new_name(rows, class_, int(r["index"])) for r in rows if r["class"] != class_]
        drawn = [new_name(rows, class_, len(rows) + n) for n in range(1, 5)]
        assert len({*kept, *new, *drawn}) == len(rows) + 4
        assert {name.rpartition(" ")[0] for name in (*new, *drawn)} == {class_.replace("_", " ")}
    # the microbleed of index 12 beside a "vessel 12": the next free number
    assert [new_name(rows, "vessel", n) for n in (1, 12)] == ["vessel 15", "vessel 26"]
    assert new_name([], "vessel", 1) == "vessel 1"


def test_names_after_a_review_are_unique_and_stay(output, ann, scan_of):
    tree = OutputTree(output)
    rows = named_by_class(scan_of.table(output))
    rows[3]["name"], rows[3]["class"] = "vessel 2", "vessel"
    tree.write_table("findings", scan_of.name, rows, list(rows[0]))
    ann("decide", "s2", verdict="reject", class_="vessel")
    apply_review(output)
    first = {row["index"]: row["name"] for row in scan_of.table(output)}
    assert first["4"] == "vessel 2" != first["2"]
    assert len(set(first.values())) == len(first)
    ann("decide", "s1", verdict="reject", class_="vessel")
    ann("decide", "s4", verdict="accept")
    ann("add", x_mm=1.0, y_mm=2.0, z_mm=3.0, class_="vessel", runs=[[5000, 2]])
    ann("split", "s5", parts=[[[(15 * 25 + 18) * 19 + 6, 1]], [[(14 * 25 + 18) * 19 + 6, 1]]])
    ann("decide", "s5.1", verdict="reject", class_="vessel")
    apply_review(output)
    table = scan_of.table(output)
    names = {row["index"]: row["name"] for row in table}
    assert len(set(names.values())) == len(names)
    assert (names["2"], names["3"]) == (first["2"], first["3"])
    assert all(row["name"].startswith(row["class"].replace("_", " ")) for row in table)
    made = scan_of.summary(output)["review"]["made"]
    assert set(made) == {"7", "8", "9"} == {i for i in names if int(i) > len(rows)}
    assert {key for key in made.values() if key.startswith("s")} == {"s5.1", "s5.2"}


def test_a_merged_finding_and_a_part_say_what_is_theirs(output, ann, scan_of):
    ann("merge", "s3", with_=["s5"])
    ann("split", "s4", parts=[[[(8 * 25 + 17) * 19 + 10, 1]], [[(9 * 25 + 17) * 19 + 10, 1]]])
    apply_review(output)
    rows = {row["index"]: row for row in scan_of.table(output)}
    assert (rows["3"]["moment_ppm_mm3"], rows["3"]["moment_se_ppm_mm3"]) == ("12.00", "0.28")
    assert "moment the sum of theirs; shape not measured" in rows["3"]["review_note"]
    for part in (rows["7"], rows["8"]):
        assert (part["sign"], part["probability"]) == ("not_assessed", "n/a")
        assert part["evidence"] == "cut out of vessel 4"


def test_an_applied_review_keeps_the_contract(output, ann, scan_of, departures):
    added = much(ann)
    (outcome,) = apply_review(output)
    assert (outcome.status, outcome.counted, outcome.software_counted) == ("applied", 4, 3)
    assert departures(output) == []
    rows = {row["index"]: row for row in scan_of.table(output)}
    assert list(rows) == ["1", "2", "3", "6", "7", "8", "9"]
    assert list(rows["1"])[-len(REVIEW_COLUMNS) :] == list(REVIEW_COLUMNS)
    second = rows["2"]
    assert [second[name] for name in REVIEW_COLUMNS] == [
        "ann b", "vessel", "microbleed", "1", "a tube <b>"
    ]  # fmt: skip
    assert rows["1"]["compartment"] == "deep"
    new = [row for row in rows.values() if "was missed" in row["review_note"]]
    assert [row["probability"] for row in new] == ["n/a"]
    summary = scan_of.summary(output)
    review = summary["review"]
    assert summary["counts"]["total"] == sum(row["counted"] == "1" for row in rows.values()) == 4
    assert summary["category"] == "mixed"
    assert (review["accepted"], review["rejected"], review["added"]) == (2, 1, 1)
    assert review["readers"] == ["ann b"]
    assert review["software"]["counted"] == 3
    assert review["overrides"][0]["reason"] == "seen <i>"
    assert summary["criteria"]["superficial_siderosis"]["extent"] == "focal"
    assert added.finding not in json.dumps(review["changes"])
    page = (output / f"{scan_of.prefix}.html").read_text("utf-8")
    assert review["undecided"] > 0
    assert "Review begun by ann b" in page
    assert "<script>all" not in page
    assert "focal, by the reader" in page
    assert "a tube &lt;b&gt;" in page
    assert "Reviewed by ann b" in (output / "index.html").read_text("utf-8")
    assert "review" in (output / ".bidsignore").read_text().splitlines()


def with_regions(root, scan_of):
    """Give the scan regions: lobes above, thalamus below, each side by its x."""
    i, j, k = np.indices(scan_of.grid.shape)
    at = scan_of.grid.to_mm(np.stack([i, j, k], axis=-1).reshape(-1, 3))
    at = at - np.median(at, axis=0) * (0, 0, 1)
    right, low = at[:, 0].reshape(i.shape) > 0, at[:, 2].reshape(i.shape) <= 0
    labels = np.where(low, np.where(right, label_of("thalamus", "right"), label_of("thalamus", "left")),
                      np.where(right, label_of("frontal", "right"), label_of("frontal", "left")))  # fmt: skip
    tree = OutputTree(root)
    tree.write_volume("regions", scan_of.name, labels.astype(np.int16), scan_of.grid, {})
    tree.write_table("regions", scan_of.name, [{
        "index": r.index, "name": r.name, "site": r.site, "side": r.side,
        "compartment": r.compartment,
    } for r in REGIONS])  # fmt: skip
    return labels


def test_the_place_of_what_was_drawn_or_merged_is_that_of_its_own_voxels(output, ann, scan_of):
    labels = with_regions(output, scan_of)
    grid = scan_of.grid
    spots = {}
    for site, side in (("thalamus", "right"), ("thalamus", "left"), ("frontal", "right")):
        inside = np.argwhere(labels == label_of(site, side))
        spots[site, side] = inside[np.argmin(((inside - inside.mean(axis=0)) ** 2).sum(axis=1))]

    def runs(spot):
        return [[int(np.ravel_multi_index(tuple(spot), grid.shape)), 1]]

    ann("outline", "s1", runs=runs(spots["thalamus", "right"]))
    ann("outline", "s2", runs=runs(spots["frontal", "right"]))
    ann("site", "s3", site="insula", side="left")
    ann("outline", "s3", runs=runs(spots["thalamus", "right"] + 1))
    ann("outline", "s4", runs=runs(spots["thalamus", "left"]))
    ann("merge", "s5", with_=["s6"])
    apply_review(output)
    rows = {row["index"]: row for row in scan_of.table(output)}

    def told(index):
        return tuple(rows[index][word] for word in ("site", "side", "compartment"))

    assert told("1") == ("thalamus", "right", "deep")
    assert told("2") == ("frontal", "right", "lobar")
    assert told("3") == ("insula", "left", "lobar")  # the reader's own word
    assert told("4") == ("thalamus", "left", "deep")
    for row in rows.values():
        if row["index"] != "3":
            assert (float(row["x_mm"]) > 0) == (row["side"] == "right")
    summary = scan_of.summary(output)
    assert summary["counts"]["right"] == 2
    ann("undo", event=ann.events[0].id)
    apply_review(output)
    first = scan_of.table(output)[0]
    assert (first["site"], first["side"]) == ("frontal", "left")  # the software's again


def test_twice_is_once_and_undone_is_nothing(output, ann, written):
    before = sums(output)
    much(ann)
    apply_review(output)
    once = sums(output)
    apply_review(output)
    assert sums(output) == once
    for event in list(ann.events):
        ann("undo", event=event.id)
    (outcome,) = apply_review(output)
    assert outcome.status == "restored"
    after = sums(output)
    mine = [name for name in after if name not in ("index.html", ".bidsignore")]
    assert {name: after[name] for name in mine} == {
        name: before[name] for name in before if name != ".bidsignore"
    }


def test_a_whole_review_has_no_interval_and_a_part_of_one_the_rest(output, ann, scan_of):
    ann("decide", "s1", verdict="accept")
    apply_review(output)
    low, high = scan_of.summary(output)["count_interval_95"]
    assert 1 <= low <= high
    for key in ("s2", "s3"):
        ann("decide", key, verdict="accept")
    for key in ("s4", "s5"):
        ann("decide", key, verdict="reject", class_="vessel")
    ann("finish")
    apply_review(output)
    assert scan_of.summary(output)["count_interval_95"] is None
    assert scan_of.summary(output)["counts"]["total"] == 3


def test_one_readers_decisions_alone(output, ann, hand_of, scan_of):
    ben = hand_of("ben", log=ann.log)
    ann("decide", "s1", verdict="reject", class_="vessel")
    ben("decide", "s1", verdict="accept")
    (both,) = apply_review(output)
    assert both.disagreements == 1
    assert scan_of.table(output)[0]["class"] == "microbleed"
    assert "readers disagree" in scan_of.table(output)[0]["review_note"]
    apply_review(output, reader="ann b")
    assert scan_of.table(output)[0]["class"] == "vessel"
    assert scan_of.summary(output)["review"]["readers"] == ["ann b"]


def test_a_kill_between_files_never_makes_the_review_the_software(output, ann, monkeypatch):
    before = sums(output)
    much(ann)

    class KilledError(BaseException):
        pass

    def killed(*_):
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(OutputTree, "write_text", killed)  # labels and table are there by now
        with pytest.raises(KilledError):
            apply_review(output)
    assert sums(output) != before
    apply_review(output)
    once = sums(output)
    for event in list(ann.events):
        ann("undo", event=event.id)
    apply_review(output)
    table = next(name for name in before if name.endswith("findings_dseg.tsv"))
    assert sums(output)[table] == before[table]
    assert once[table] != before[table]


def test_a_scan_that_fails_leaves_the_others(output, ann, hand_of, scan_of):
    ann("decide", "s1", verdict="reject", class_="vessel")
    from dataclasses import replace
    from uuid import uuid4

    ann.log.append(replace(ann.events[0], uuid=str(uuid4()), id=0, scan="sub-99"))
    told = {outcome.scan: outcome for outcome in apply_review(output)}
    assert told[scan_of.prefix].status == "applied"
    assert told["sub-99"].status == "failed"
    assert "no results" in told["sub-99"].message


def test_another_run_begins_from_its_own_results(output, ann, scan_of):
    folder = ReviewFolder(output)
    case = folder.case(scan_of.prefix)
    item = {a: float(case.rows[0][a]) for a in ("x_mm", "y_mm", "z_mm")}
    ann("decide", "s1", verdict="reject", class_="vessel", anchor=item)
    apply_review(output)
    order = scan_of.centres[::-1]
    kinds = (*scan_of.kinds[:2], *scan_of.kinds[2:])
    scan_of.write(OutputTree(output), centres=order, kinds=kinds, fingerprint="d" * 64)
    fresh = scan_of.table(output)
    (outcome,) = apply_review(output)
    assert outcome.orphans == 0
    rows = scan_of.table(output)
    assert [row["class"] for row in rows][-1] == "vessel"
    assert rows[0]["class"] == fresh[0]["class"] == "microbleed"
    assert (
        read_rows(kept_folder(output, scan_of.name) / f"{scan_of.prefix}_desc-findings_dseg.tsv")
        == fresh
    )


def test_the_report_speaks_its_own_language(output, ann, scan_of):
    much(ann)
    path = output / "sub-01/ses-2/anat" / f"{scan_of.prefix}_desc-petechia_summary.json"
    summary = json.loads(path.read_text("utf-8"))
    summary["report"]["language"] = "zh"
    path.write_text(json.dumps(summary), "utf-8")
    apply_review(output)
    page = (output / f"{scan_of.prefix}.html").read_text("utf-8")
    assert "由 ann b 于" in page
    assert "复核所作更改" in page


def test_labels_keep_the_inputs_geometry(output, ann):
    image = next(output.rglob("*findings_dseg.nii.gz"))
    before = nib.load(image)
    much(ann)
    apply_review(output)
    after = nib.load(image)
    assert np.array_equal(before.affine, after.affine)
    for name in ("qform_code", "sform_code", "srow_x", "quatern_b"):
        assert np.array_equal(before.header[name], after.header[name])


def test_evaluation_reads_the_results_and_not_what_was_before(output, ann):
    much(ann)
    apply_review(output)
    (side,) = find_sides(output, None, truth=False)
    assert "review" not in side.table.relative_to(output).parts


def test_one_apply_at_a_time_and_none_without_decisions(output, ann, tmp_path):
    ann("note", text="x")
    with applying._alone(output), pytest.raises(InUseError):
        apply_review(output)
    log_path(output).unlink()
    with pytest.raises(FileError, match="no decisions"):
        apply_review(output)
    with ReviewLog(log_path(output)):
        pass  # the desk was opened, and nothing decided
    assert log_path(output).is_file()
    with pytest.raises(FileError, match="no decisions"):
        apply_review(output)


def test_images_that_are_not_there_are_refused(output):
    with pytest.raises(FileError, match="--images nowhere: no such file or folder"):
        ReviewFolder(output, Path("nowhere"))


def tell_image(output, scan_of, image, **more):
    path = output / "sub-01/ses-2/anat" / f"{scan_of.prefix}_desc-petechia_summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"image_sha256": image} | more))


def test_decisions_on_another_scan_are_told_and_not_applied(output, ann, scan_of, petechia):
    tell_image(output, scan_of, "a" * 64)
    before = sums(output / "sub-01")
    place = {a: float(scan_of.table(output)[0][a]) for a in ("x_mm", "y_mm", "z_mm")}
    there = {"input": ["b" * 16]}
    other = type(ann)("bea", log=ann.log, fingerprint="d" * 64)
    other("decide", "s1", verdict="reject", class_="vessel", anchor=place | there)
    other("add", x_mm=1.0, y_mm=2.0, z_mm=3.0, class_="microbleed", anchor=there)
    other("finish", anchor=there)
    (outcome,) = apply_review(output)
    assert (outcome.status, outcome.of_another, outcome.orphans) == ("untouched", 3, 0)
    assert sums(output / "sub-01") == before
    told = petechia("review", output, "--apply").out
    assert "3 decisions that were made on another scan and are not applied" in told
    ann("decide", "s2", verdict="reject", class_="vessel", anchor={"input": ["a" * 16]})
    (outcome,) = apply_review(output)
    assert (outcome.status, outcome.of_another) == ("applied", 3)
    review = scan_of.summary(output)["review"]
    assert (review["readers"], review["finished"], len(review["orphaned"])) == (["ann b"], False, 3)


def test_a_round_on_another_scan_is_no_round_of_this(output, ann, scan_of):
    tell_image(output, scan_of, "a" * 64)
    ann("decide", "s2", verdict="reject", class_="vessel", anchor={"input": ["a" * 16]})
    late = type(ann)("bea", log=ann.log, fingerprint="d" * 64, round=2)
    late("decide", "s1", verdict="accept", anchor={"input": ["b" * 16]})
    (outcome,) = apply_review(output)
    assert (outcome.status, outcome.of_another, outcome.message) == ("applied", 1, "")


def test_what_a_killed_apply_left_half_written_is_swept(output, ann):
    ann("note", text="x")
    anat = output / "sub-01/ses-2/anat"
    old, new = anat / ".0a.part", anat / ".0b.part"
    folder = output / "review" / "software" / ".0c.part"
    folder.mkdir(parents=True)
    for path in (old, new, folder / "x"):
        path.write_text("half")
    for path in (old, folder):
        os.utime(path, (0, 0))
    apply_review(output)
    assert (old.exists(), new.exists(), folder.exists()) == (False, True, False)
