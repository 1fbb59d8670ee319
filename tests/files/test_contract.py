import tomllib
from pathlib import Path

import pytest

import petechia.files.contract
from petechia.errors import ParameterError
from petechia.files.columns import describe
from petechia.files.contract import contract
from petechia.files.scan import ScanName
from petechia.lesions.findings import EXTRA_COLUMNS

NAME = ScanName((("sub", "01"), ("ses", "2"), ("acq", "y")))
RAW = tomllib.loads(Path(petechia.files.contract.__file__).with_name("contract.toml").read_text())


def test_everything_in_the_file_is_reachable():
    agreed = contract()
    assert agreed.version == RAW["version"]
    assert list(agreed.files) == list(RAW["files"])
    assert agreed.finding_columns == tuple(RAW["findings"]["columns"])
    assert agreed.summary_keys == tuple(RAW["summary"]["keys"])
    assert agreed.exit_codes == RAW["exit"]
    assert agreed.truth.columns == tuple(RAW["truth"]["lesions"]["columns"])
    for column, words in agreed.words.items():
        assert words == tuple(RAW["findings"][column])


def test_names_have_prefix_and_folder():
    path = contract().relative_path
    assert path("chi", NAME) == "sub-01/ses-2/anat/sub-01_ses-2_acq-y_Chimap.nii.gz"
    assert path("report", NAME) == "sub-01_ses-2_acq-y.html"
    assert path("log", NAME) == "logs/sub-01_ses-2_acq-y.log"
    assert path("index") == "index.html"


def test_unknown_outputs_and_missing_names_are_told():
    with pytest.raises(ParameterError, match=r"no output is called 'phase'.*chi_noise"):
        contract().file("phase")
    with pytest.raises(ParameterError, match="needs the name of a scan"):
        contract().relative_path("chi")


def test_ignored_is_exactly_what_the_contract_marks():
    patterns = contract().ignore_patterns()
    for key, file in contract().files.items():
        name = Path(contract().relative_path(key, NAME)).name
        hit = any(Path(name).match(pattern) for pattern in patterns)
        assert hit == file.bidsignore, key


def test_every_promised_column_is_described():
    agreed = contract()
    for columns in (agreed.finding_columns, agreed.truth.columns, EXTRA_COLUMNS):
        told = describe(columns)
        assert tuple(told) == columns
        assert all(entry["Description"] for entry in told.values())
    for column in agreed.words:
        levels = set(describe([column])[column]["Levels"])
        assert levels == set(agreed.words[column]) - {"n/a"}
    for column in (*agreed.finding_columns, *EXTRA_COLUMNS):
        if column.endswith(("_mm", "_mm3", "_ppm", "_ug", "_hu")):
            assert "Units" in describe([column])[column]
