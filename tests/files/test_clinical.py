"""Clinical files: JSON of one, TSV of many, and what is wrong with them."""

import json

import pytest

from petechia.errors import FileError
from petechia.files.clinical import read_clinical


def written(tmp_path, text, name="c.tsv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_json_is_of_everyone(tmp_path):
    (row,) = read_clinical(written(tmp_path, json.dumps({"age_years": 71}), "c.json"))
    assert (row.subject, row.session, row.values) == (None, None, {"age_years": 71})


def test_tsv_is_read_by_participant_and_session(tmp_path):
    text = "\ufeffparticipant_id\tsession_id\tlacunes\r\nsub-01\tses-2\t3\r\n02\tn/a\tn/a\r\nsub-01\t\t1\r\n"
    rows = read_clinical(written(tmp_path, text))
    assert [(r.subject, r.session, r.values["lacunes"]) for r in rows] == [
        ("01", "2", "3"), ("02", None, "n/a"), ("01", None, "1"),
    ]  # fmt: skip
    assert rows[1].where == "c.tsv line 3"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"no column participant_id.*first line names the columns"),
        ("id\tage_years\n1\t2\n", "no column participant_id"),
        ("participant_id\tage_years\tage_years\n", "a column occurs twice"),
        ("participant_id\tage_years\n01\n", r"c\.tsv line 2: .*fields for 2 columns.*tabs"),
        ("participant_id\tage_years\n01\t2\t3\n", r"line 2: .*fields for 2 columns"),
        (
            "participant_id\tage_years\n01\t2\nsub-01\t3\n",
            r"line 3: sub-01 stands here a second time",
        ),
        ("participant_id\tage_years\nn/a\t2\n", r"line 2: no participant_id"),
    ],
)
def test_a_bad_table_tells_the_line(tmp_path, text, message):
    with pytest.raises(FileError, match=message):
        read_clinical(written(tmp_path, text))


def test_other_files_are_refused(tmp_path):
    with pytest.raises(FileError, match=r"cannot be read \(No such file.*--clinical"):
        read_clinical(tmp_path / "none.json")
    with pytest.raises(FileError, match=r"\.csv file\. Give a \.json or a \.tsv file"):
        read_clinical(written(tmp_path, "a,b\n", "c.csv"))
    with pytest.raises(FileError, match="not valid JSON"):
        read_clinical(written(tmp_path, "{", "c.json"))
    (tmp_path / "latin.tsv").write_bytes(b"participant_id\tlacunes\n01\t\xe9\n")
    with pytest.raises(FileError, match="cannot be read"):
        read_clinical(tmp_path / "latin.tsv")
