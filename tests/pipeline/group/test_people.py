"""Tables of people: what a column means, what is impossible, which value counts."""

import json

import numpy as np
import pytest

from petechia.errors import FileError, InputError
from petechia.pipeline.group.factors import shipped, shipped_text, write_dictionary
from petechia.pipeline.group.people import read_people

REVIEWED = (
    "hypertension_grade", "hypertension_duration", "diabetes", "caa_onset_type", "homocysteine",
    "crp", "neutrophils", "lymphocytes", "platelets", "lp_pla2", "amyloid", "antithrombotic",
    "antithrombotic_duration", "covid19", "tavr", "thrombolysis", "age", "sex",
)  # fmt: skip


def table(tmp_path, text, own=None):
    path = tmp_path / "participants.tsv"
    path.write_text(text.replace(" ", "\t"), encoding="utf-8")
    if own is not None:
        (tmp_path / "participants.json").write_text(json.dumps(own), encoding="utf-8")
    return path


def values(path, name, keys=(("01", None), ("02", None))):
    return read_people(path, [k[0] for k in keys]).columns(list(keys))[name]


def test_the_dictionary_names_the_factors_of_the_review():
    assert set(REVIEWED) <= set(shipped())
    for name, factor in shipped().items():
        assert factor.title != name
        assert factor.is_number == bool(factor.unit) or name == "site", name
        assert factor.low < factor.high


def test_the_written_dictionary_describes_a_table_made_by_it(tmp_path):
    write_dictionary(tmp_path / "participants.json")
    path = table(tmp_path, "participant_id age sex\nsub-01 71.5 female\nsub-02 n/a M\n")
    assert values(path, "age").words() == ["71.5", "n/a"]
    assert values(path, "sex").words() == ["F", "M"]
    with pytest.raises(FileError, match=r"is there already"):
        write_dictionary(tmp_path / "participants.json")
    assert json.loads(shipped_text())["age"]["Units"] == "year"


def test_an_impossible_age_is_told_with_its_line_also_of_someone_not_scanned(tmp_path):
    path = table(tmp_path, "participant_id age\nsub-01 70\nsub-99 420\n")
    with pytest.raises(
        InputError, match=r"age is '420' \(participants.tsv line 3\).*0 to 120 year"
    ):
        values(path, "age")


def test_an_unknown_word_is_told_with_those_that_are_known(tmp_path):
    path = table(tmp_path, "participant_id hypertension\nsub-01 maybe\nsub-02 1\n")
    with pytest.raises(InputError, match=r"hypertension is 'maybe'.*one of no, yes"):
        values(path, "hypertension")


def test_units_of_ones_own_are_turned_and_strange_ones_refused(tmp_path):
    text = "participant_id creatinine\nsub-01 88.42\nsub-02 1\n"
    own = {"creatinine": {"Units": "\N{MICRO SIGN}mol/L"}}
    found = values(
        table(tmp_path, text.replace("\nsub-02 1", "\nsub-02 176.84"), own), "creatinine"
    )
    assert found.values == pytest.approx([1.0, 2.0], rel=1e-6)
    with pytest.raises(InputError, match=r"creatinine is said to be in g/dL.*mg/dL, umol/L"):
        values(table(tmp_path, text, {"creatinine": {"Units": "g/dL"}}), "creatinine")


def test_months_beyond_a_life_are_impossible_too(tmp_path):
    own = {"age": {"Units": "months"}}
    assert values(table(tmp_path, "participant_id age\nsub-01 840\n", own), "age",
                  [("01", None)]).values == pytest.approx([70.0])  # fmt: skip
    with pytest.raises(InputError, match=r"'2000'"):
        values(table(tmp_path, "participant_id age\nsub-01 2000\n", own), "age", [("01", None)])


def test_columns_of_nobodys_dictionary_are_numbers_words_or_text(tmp_path):
    rows = [f"sub-{n:02d} {n / 2} {'ab'[n % 2]} {n % 2} word{n}" for n in range(1, 31)]
    path = table(tmp_path, "participant_id dose arm flag remark\n" + "\n".join(rows) + "\n")
    keys = [(f"{n:02d}", None) for n in range(1, 31)]
    found = read_people(path, [k[0] for k in keys]).columns(keys)
    assert found["dose"].factor.is_number
    assert found["arm"].factor.levels == ("a", "b")
    assert found["flag"].factor.levels == ("0", "1")
    assert found["remark"].factor.text
    assert np.isnan(found["remark"].values).all()


def test_a_session_goes_before_the_person(tmp_path):
    path = table(tmp_path, "participant_id age hypertension\nsub-01 70 no\nsub-02 60 no\n")
    (tmp_path / "sub-01").mkdir()
    (tmp_path / "sub-01" / "sub-01_sessions.tsv").write_text(
        "session_id\tage\ttimepoint\nses-1\t70\tpre\nses-2\t72\tpost\n", encoding="utf-8"
    )
    keys = [("01", "1"), ("01", "2"), ("02", "1")]
    found = read_people(path, ["01", "02"]).columns(keys)
    assert list(found["age"].values) == [70, 72, 60]
    assert found["hypertension"].words() == ["no", "no", "no"]
    assert found["timepoint"].words() == ["pre", "post", "n/a"]


def test_a_session_that_does_not_know_takes_nothing_away(tmp_path):
    path = table(tmp_path, "participant_id session_id age sex\nsub-01 ses-1 70 F\n")
    (tmp_path / "sub-01").mkdir()
    (tmp_path / "sub-01" / "sub-01_sessions.tsv").write_text(
        "session_id\tage\tcrp\nses-1\tn/a\t3\n", encoding="utf-8"
    )
    found = read_people(path, ["01"]).columns([("01", "1")])
    assert [found[n].values[0] for n in ("age", "crp")] == [70, 3]
    assert found["sex"].words() == ["F"]


def test_names_of_the_dictionary_are_known_in_capitals(tmp_path):
    text = "participant_id Age Sex Hypertension Own\nsub-01 840 F yes a\nsub-02 720 M no b\n"
    path = table(tmp_path, text, {"Age": {"Units": "months"}})
    found = read_people(path, ["01"]).columns([("01", None), ("02", None)])
    assert list(found) == ["age", "sex", "hypertension", "Own"]
    assert found["age"].values == pytest.approx([70, 60])
    assert all(found[name].factor.known for name in ("age", "sex", "hypertension"))
    with pytest.raises(FileError, match=r"line 2: column age occurs twice"):
        read_people(table(tmp_path, "participant_id Age age\nsub-01 70 71\n"), ["01"])


def test_digits_with_an_underscore_are_no_number(tmp_path):
    with pytest.raises(InputError, match=r"age is '7_5'"):
        values(table(tmp_path, "participant_id age\nsub-01 7_5\n"), "age")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("subject age\n01 70\n", "no column participant_id among subject, age"),
        ("participant_id age\nsub-01 70\nsub-01 71\n", "sub-01 stands here a second time"),
        ("participant_id age\nsub-01 70 9\n", "3 fields for 2 columns"),
        ("participant_id age age\nsub-01 70 9\n", "a column occurs twice"),
    ],
)
def test_tables_that_cannot_be_used_say_why(tmp_path, text, said):
    with pytest.raises(FileError, match=said):
        read_people(table(tmp_path, text), ["01"])


def test_a_table_that_is_not_there_names_the_option(tmp_path):
    with pytest.raises(FileError, match=r"Check the path given to --participants"):
        read_people(tmp_path / "nothing.tsv", ["01"])
