"""`petechia reproduce` prints published numbers beside ours, and writes them whole."""

import csv

import pytest

from petechia.apps.cli.main import main
from petechia.cohort.published import reproduce


def test_the_table_is_printed_and_written(tmp_path, capsys):
    out = tmp_path / "published.tsv"
    assert main(["reproduce", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "4.899" in said
    assert "does not follow from the printed counts" in said
    assert "agree within the printed digits" in said
    with out.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    assert len(rows) == len(reproduce())
    for row, told in zip(rows, reproduce(), strict=True):
        assert float(row["ours"]) == pytest.approx(told.ours, rel=1e-5)
        assert (row["agrees"], row["published"]) == (told.agrees, told.published)


def test_what_was_not_printed_is_shown_on_demand(capsys):
    main(["reproduce"])
    short = capsys.readouterr().out
    main(["reproduce", "--all"])
    assert len(capsys.readouterr().out) > len(short)
    assert "Newcombe" not in short


def test_a_place_that_cannot_be_written_is_one_message(tmp_path, capsys):
    (tmp_path / "file").write_text("x")
    assert main(["reproduce", "--out", str(tmp_path / "file" / "a.tsv")]) == 2
    assert "error" in capsys.readouterr().err
