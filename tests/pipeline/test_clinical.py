"""Clinical facts find their scan."""

import json

import pytest

from petechia.errors import InputError
from petechia.files.scan import ScanName
from petechia.pipeline.clinical import ClinicalTable, clinical_table

ONE, TWO = ScanName((("sub", "01"),)), ScanName((("sub", "02"), ("ses", "b")))


def tsv(tmp_path, *lines):
    path = tmp_path / "c.tsv"
    path.write_text("\n".join("\t".join(line) for line in lines) + "\n", encoding="utf-8")
    return path


def test_each_scan_gets_its_own_facts(tmp_path):
    head = ("participant_id", "session_id", "age_years", "sex")
    path = tsv(
        tmp_path,
        head,
        ("sub-01", "n/a", "60", "F"),
        ("02", "n/a", "70", "M"),
        ("02", "b", "71", "M"),
    )
    table = clinical_table(path, [ONE, TWO])
    assert table.of(ONE).told == {"age_years": "60"}
    assert table.of(TWO).told == {"age_years": "71"}
    assert table.of(ScanName((("sub", "02"), ("ses", "a")))).told == {"age_years": "70"}
    assert table.of(ScanName((("sub", "03"),))).told == {}
    assert table.notes(ONE) == ["Columns of the clinical file that are no clinical fact: sex."]
    assert "no fact about this participant" in table.notes(ScanName((("sub", "03"),)))[0]


def test_without_a_file_nothing_is_known_and_nothing_is_said():
    table = clinical_table(None, [ONE])
    assert table == ClinicalTable()
    assert table.of(ONE).told == {}
    assert table.notes(ONE) == []


def test_one_patients_facts_are_not_given_to_several(tmp_path):
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"age_years": 60}))
    assert clinical_table(path, [ONE]).of(ONE).told == {"age_years": "60"}
    with pytest.raises(InputError, match=r"the facts of one patient for 2 participants.*\.tsv"):
        clinical_table(path, [ONE, TWO])


def test_a_bad_value_tells_file_and_line(tmp_path):
    path = tsv(tmp_path, ("participant_id", "age_years"), ("01", "old"))
    with pytest.raises(InputError, match=r"c\.tsv line 2: age_years is 'old'"):
        clinical_table(path, [ONE])
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"age": 60}))
    with pytest.raises(InputError, match=r"c\.json: unknown clinical fact 'age'.*age_years"):
        clinical_table(path, [ONE])
