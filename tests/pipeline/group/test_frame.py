"""Scans and people joined: what counts, what is left out, who stands for whom."""

import json

import numpy as np
import pytest

from petechia.cohort.design_matrix import build_design
from petechia.errors import FileError, InputError, ParameterError
from petechia.pipeline.group.frame import build_frame, grouped, outcome_of
from petechia.pipeline.group.models import OUTCOME, data_of
from petechia.pipeline.group.people import NOBODY, read_people
from petechia.pipeline.group.plan import Plan, build_plan
from petechia.pipeline.group.scans import read_scans, sequence_of

LOBAR, DEEP = ("lobar", "frontal"), ("deep", "thalamus")


def frame_of(root, people=None, **plan):
    scans = read_scans(root)
    told = NOBODY if people is None else read_people(people, [s.subject for s in scans])
    return build_frame(scans, told, Plan(**plan))


def test_what_failed_is_listed_and_never_a_zero(tmp_path, make):
    out = make.write(
        tmp_path / "out",
        [make.scan(make.name("01"), [LOBAR, DEEP]), make.scan(make.name("02")),
         make.scan(make.name("03"), refused="too thick"), make.scan(make.name("04")),
         make.scan(make.name("05"), [LOBAR])],
    )  # fmt: skip
    make.crash(out, "sub-06_ses-1")
    summary = out / "sub-04/anat/sub-04_desc-petechia_summary.json"
    summary.write_text(summary.read_text()[:500])
    table = out / "sub-05/anat/sub-05_desc-findings_dseg.tsv"
    table.write_text(table.read_text().splitlines()[0] + "\n")
    rows = {row.prefix: row for row in read_scans(out)}
    status = {name: row.status for name, row in rows.items()}
    assert status == {
        "sub-01": "assessed", "sub-02": "assessed", "sub-03": "not_assessable",
        "sub-04": "unreadable", "sub-05": "unreadable", "sub-06_ses-1": "failed",
    }  # fmt: skip
    assert rows["sub-03"].reason.startswith("too thick")
    assert "its table counts 0, its summary 1" in rows["sub-05"].reason
    assert rows["sub-06_ses-1"].reason == "read: a truncated file"
    frame = frame_of(out)
    count = frame.outcome("count")
    assert list(count[:2]) == [2, 0]
    assert np.isnan(count[2:]).all()
    assert {row["scan"] for row in frame.left_out} == set(status) - {"sub-01", "sub-02"}


def test_a_scan_that_crashed_again_is_not_what_it_was_before(tmp_path, make):
    out = make.write(tmp_path / "out", [make.scan(make.name("01")), make.scan(make.name("02"))])
    make.crash(out, "sub-02")
    assert [row.status for row in read_scans(out)] == ["assessed", "failed"]


def test_a_newer_contract_is_not_guessed_at(tmp_path, make):
    out = make.write(tmp_path / "out", [make.scan(make.name("01"))])
    path = out / "sub-01/anat/sub-01_desc-petechia_summary.json"
    told = json.loads(path.read_text()) | {"contract_version": 99}
    path.write_text(json.dumps(told))
    assert read_scans(out)[0].reason.startswith("written by a newer version")


def test_probabilities_are_those_of_all_findings_and_certain_where_a_reader_decided(tmp_path, make):
    out = make.write(tmp_path / "out", [make.scan(make.name("01"), [LOBAR], extra=(0.4, 0.02))])
    path = out / "sub-01/anat/sub-01_desc-findings_dseg.tsv"
    assert read_scans(out)[0].probabilities == (0.97, 0.4, 0.02)
    head, *rows = path.read_text().splitlines()
    told = [f"{head}\treader", f"{rows[0]}\tAB", f"{rows[1]}\tAB", f"{rows[2]}\tn/a"]
    path.write_text("\n".join(told) + "\n")
    assert read_scans(out)[0].probabilities == (1.0, 0.0, 0.02)


def test_one_scan_stands_for_a_person(tmp_path, make):
    out = make.write(
        tmp_path / "out",
        [make.scan(make.name("01", "1", "a"), protocol="old"), make.scan(make.name("01", "1", "b")),
         make.scan(make.name("01", "2", "a")), make.scan(make.name("02", "1"), refused="no"),
         make.scan(make.name("02", "2")), make.scan(make.name("02", "10"))],
    )  # fmt: skip

    def chosen(**plan):
        frame = frame_of(out, **plan)
        return [s.prefix for s, c in zip(frame.scans, frame.chosen, strict=True) if c]

    assert chosen() == ["sub-01_ses-1_acq-b", "sub-02_ses-2"]
    assert chosen(session="last") == ["sub-01_ses-2_acq-a", "sub-02_ses-10"]
    assert chosen(session="2", acq=("a",)) == ["sub-01_ses-2_acq-a"]
    with pytest.raises(ParameterError, match=r"no scan with acq swi.*a, b"):
        frame_of(out, acq=("swi",))
    with pytest.raises(ParameterError, match=r"no assessed scan of session 7"):
        frame_of(out, session="7")


def test_people_without_scan_and_scans_without_row_are_told(tmp_path, make):
    out = make.write(tmp_path / "out", [make.scan(make.name("01")), make.scan(make.name("02"))])
    people = make.people(
        tmp_path / "raw/participants.tsv",
        [{"participant_id": "sub-01", "age": 70}, {"participant_id": "sub-77", "age": 60}],
    )
    frame = frame_of(out, people)
    left = {row["participant_id"]: row["status"] for row in frame.left_out}
    assert left == {"sub-02": "no_row", "sub-77": "no_scan"}
    assert list(frame.chosen) == [True, False]
    nobody = make.people(tmp_path / "other/participants.tsv", [{"participant_id": "x", "age": 1}])
    with pytest.raises(InputError, match=r"none of 1 participants is among 2 scans"):
        frame_of(out, nobody)


def test_an_age_told_as_a_least_one_is_noted(tmp_path, make):
    out = make.write(tmp_path / "out", [make.scan(make.name(n)) for n in ("01", "02", "03")])
    people = make.people(
        tmp_path / "participants.tsv",
        [{"participant_id": "01", "age": 64}, {"participant_id": "02", "age": "60+"},
         {"participant_id": "03", "age": "89+"}],
    )  # fmt: skip
    frame = frame_of(out, people)
    assert frame.people["age"].values.tolist() == [64, 60, 89]
    (note,) = [note for note in frame.notes if "ages" in note]
    assert note.startswith("2 ages are told as 60+, 89+ (the first: participants.tsv line 3): each")


def test_an_unknown_column_is_told_with_those_there_are(tmp_path, make):
    out = make.write(tmp_path / "out", [make.scan(make.name("01")), make.scan(make.name("02"))])
    people = make.people(
        tmp_path / "participants.tsv",
        [{"participant_id": "01", "age": 64, "hypertension": "yes"},
         {"participant_id": "02", "age": 66, "hypertension": "no"}],
    )  # fmt: skip
    frame = frame_of(out, people)
    with pytest.raises(ParameterError, match=r"Did you mean hypertension.*age, hypertension"):
        grouped(frame, "hypertention")
    assert grouped(frame, "age>=65").words() == ["no", "yes"]
    assert grouped(frame, "age:10").words() == ["60 to 70", "60 to 70"]
    with pytest.raises(ParameterError, match=r"Only a number can be cut"):
        grouped(frame, "hypertension>=1")


def test_unknown_sites_leave_lobar_and_deep_unknown_but_not_presence(tmp_path, make):
    out = make.write(tmp_path / "out", [make.scan(make.name("01"), [LOBAR])])
    row = read_scans(out)[0]
    row.lesions[0].words["compartment"] = "n/a"
    assert outcome_of(row, "presence") == 1
    assert np.isnan(outcome_of(row, "lobar"))
    assert np.isnan(outcome_of(row, "deep"))


def test_bands_of_decimals_hold_their_lower_edge(tmp_path, make):
    told = ["0.1", "0.29", "0.3", "0.6", "0.7", "n/a"]
    names = [f"0{n}" for n in range(1, 7)]
    out = make.write(tmp_path / "out", [make.scan(make.name(n)) for n in names])
    people = make.people(
        tmp_path / "participants.tsv",
        [{"participant_id": n, "crp": v} for n, v in zip(names, told, strict=True)],
    )
    column = grouped(frame_of(out, people), "crp:0.1")
    assert column.words() == [
        "0.1 to 0.2", "0.2 to 0.3", "0.3 to 0.4", "0.6 to 0.7", "0.7 to 0.8", "n/a",
    ]  # fmt: skip
    assert column.factor.scores == (0, 1, 2, 5, 6)


def test_a_level_named_none_is_a_level_and_the_reference(tmp_path, make):
    out = make.write(tmp_path / "out", [make.scan(make.name(f"0{n}")) for n in range(1, 7)])
    words = ["none", "antiplatelet", "none", "both", "both", "antiplatelet"]
    people = make.people(
        tmp_path / "participants.tsv",
        [{"participant_id": f"0{n}", "antithrombotic": w} for n, w in enumerate(words, 1)],
    )
    frame = frame_of(out, people)
    data = data_of(frame, Plan(), ["antithrombotic"])
    table = data.table | {OUTCOME: np.arange(6.0)}
    design = build_design(table, OUTCOME, ["antithrombotic"], (), reference=data.reference)
    assert design.left_out == 0
    assert design.exposures == ("antithrombotic[antiplatelet]", "antithrombotic[both]")


def test_the_kind_of_a_sequence_compares_across_scanners():
    told = {"acquisition_type": "3D", "n_echoes": 5, "phase": "absolute", "sequence": "x"}
    assert sequence_of(told) == sequence_of(told | {"sequence": "y"}) == "3D multi-echo with phase"
    assert sequence_of({"n_echoes": 1, "phase": "none"}) == "single-echo magnitude only"


def test_a_plan_from_a_file_is_changed_by_the_command_line_and_checked(tmp_path, make):
    path = tmp_path / "plan.toml"
    path.write_text('groups = ["hypertension"]\nsmooth_mm = 5\noutcome = "count"\n')
    plan = build_plan(path, {"smooth_mm": 8.0, "seed": None})
    assert (plan.groups, plan.outcome, plan.smooth_mm, plan.seed) == (
        ("hypertension",), ("count",), 8.0, 0
    )  # fmt: skip
    path.write_text("gruops = 1\n")
    with pytest.raises(ParameterError, match=r"unknown setting 'gruops'"):
        build_plan(path, {})
    with pytest.raises(ParameterError, match=r"model hurdle with outcome presence"):
        Plan(model="hurdle", outcome=("presence",))
    with pytest.raises(ParameterError, match=r"Did you mean presence"):
        Plan(outcome=("presense",))
    path.write_text("groups = [1]\n")
    with pytest.raises(ParameterError, match=r"another kind"):
        build_plan(path, {})


def test_a_folder_without_scans_says_what_to_give(tmp_path, make):
    with pytest.raises(FileError, match=r"no scan is in it.*petechia run"):
        read_scans(tmp_path)
    with pytest.raises(FileError, match=r"cannot be read"):
        read_scans(tmp_path / "nowhere")
