"""Decisions in other programs' hands."""

import csv
import io
import json
import shutil
import subprocess

import nibabel as nib
import numpy as np
import pytest

from petechia.core.echoes import Echoes
from petechia.core.grid import Grid
from petechia.errors import GridMismatchError, ParameterError
from petechia.files.dicom.find import find_dicom_scans
from petechia.files.dicom.write import DicomStyle, write_dicom
from petechia.files.finished import read_rows
from petechia.files.scan import Header
from petechia.pipeline.review.cases import ReviewFolder
from petechia.pipeline.review.export import (
    FINDING_COLUMNS,
    as_table,
    decisions,
    finding_rows,
    structured_report_of,
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


VALIDATOR = shutil.which("dciodvfy")


def source_of(folder, grid):
    """DICOM images with the voxels of a grid; who and what they are of."""
    echoes = Echoes(
        magnitude=np.full((1, *grid.shape), 100, np.float32), te_s=(0.02,), b0_t=3.0, grid=grid
    )
    header = Header(acquisition_type="3D", slice_thickness_mm=2.0, tr_s=0.03, flip_deg=15.0)
    write_dicom(folder, echoes, header, DicomStyle(form="enhanced"))
    (ref,) = find_dicom_scans(folder)
    return ref.origin()


def words_of(item):
    """All texts of a structured report, whole."""
    for part in item.get("ContentSequence", []):
        for name in ("TextValue", "PersonName"):
            if name in part:
                yield str(part[name].value)
        if "ConceptCodeSequence" in part:
            yield part.ConceptCodeSequence[0].CodeMeaning
        yield from words_of(part)


def test_a_readers_table_as_a_structured_report_with_the_reader_as_observer(
    output, basis, hand_of, scan_of, tmp_path
):
    ann = hand_of("Ann B")
    ann("decide", "s1", verdict="reject", class_="vessel")
    for n in (2, 3):
        ann("decide", f"s{n}", verdict="accept", class_="microbleed", mars="definite")
    folder = ReviewFolder(output)
    state = fold(basis, ann.events, reader="Ann B")
    origin = source_of(tmp_path / "source", scan_of.grid)
    report = structured_report_of(folder, state, origin)
    said = list(words_of(report))
    assert report.Modality == "SR"
    assert any("Ann B" in text for text in said)
    assert sum("vessel" in text.lower() for text in said) >= 1
    again = structured_report_of(folder, state, origin)
    assert again.SOPInstanceUID == report.SOPInstanceUID  # the same word, the same object
    ann("decide", "s1", verdict="accept", class_="microbleed", mars="definite")
    other = structured_report_of(folder, fold(basis, ann.events, reader="Ann B"), origin)
    assert other.SOPInstanceUID != report.SOPInstanceUID
    if VALIDATOR:
        path = tmp_path / "sr.dcm"
        report.save_as(path)
        done = subprocess.run([VALIDATOR, path], capture_output=True, check=False)
        text = (done.stdout + done.stderr).decode(errors="replace")
        assert [line for line in text.splitlines() if "Error" in line or "Abort" in line] == []
    odd = Grid(tuple(n - 1 for n in scan_of.grid.shape), scan_of.grid.affine)
    strange = source_of(tmp_path / "other", odd)
    with pytest.raises(GridMismatchError):
        structured_report_of(folder, state, strange)
