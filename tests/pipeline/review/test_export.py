"""Decisions in other programs' hands."""

import csv
import io
import json

import nibabel as nib
import numpy as np
import pytest

from petechia.errors import ParameterError
from petechia.files.finished import read_rows
from petechia.pipeline.review.cases import ReviewFolder
from petechia.pipeline.review.export import (
    FINDING_COLUMNS,
    as_table,
    decisions,
    finding_rows,
    write_reader_table,
)
from petechia.pipeline.review.fold import fold


def test_every_event_is_a_row_and_tells_what_was_taken_back(hand_of):
    ann = hand_of()
    first = ann("note", text='=1+1\tand "more"')
    ann("undo", event=first.id)
    rows = decisions(ann.events, "tsv").splitlines()
    assert len(rows) == 3
    told = dict(zip(rows[0].split("\t"), rows[1].split("\t"), strict=True))
    assert told["taken_back"] == "1"
    assert json.loads(told["payload"]) == {"text": '=1+1\tand "more"'}
    (one, _) = csv.DictReader(io.StringIO(decisions(ann.events, "csv")))
    assert json.loads(one["payload"])["text"].startswith("=1+1")
    with pytest.raises(ParameterError, match="no format"):
        decisions(ann.events, "xml")


def test_a_spreadsheet_takes_no_text_for_a_formula(basis, hand_of):
    ann = hand_of()
    ann("decide", "s1", verdict="reject", class_="vessel", reason="=HYPERLINK(1)")
    rows = list(finding_rows([fold(basis, ann.events, reader="ann")]))
    read = list(csv.DictReader(io.StringIO(as_table(rows, FINDING_COLUMNS, "csv"))))
    mine = next(row for row in read if row["finding"] == "s1")
    assert mine["reason"] == "'=HYPERLINK(1)"
    assert (mine["verdict"], mine["class"], mine["software_class"]) == (
        "reject",
        "vessel",
        "microbleed",
    )
    assert len(read) == len(basis.rows)


def test_a_readers_own_table_and_labels_go_together(output, basis, hand_of):
    ann = hand_of("Ann B")
    ann("decide", "s1", verdict="reject", class_="vessel")
    state = fold(basis, ann.events, reader="Ann B")
    table, image = write_reader_table(ReviewFolder(output), output, state)
    rows = read_rows(table)
    labels = np.asarray(nib.load(image).dataobj)
    assert set(np.unique(labels)) - {0} == {int(row["index"]) for row in rows}
    assert rows[0]["class"] == "vessel"
    assert "Ann B" not in table.as_posix()
