"""Decisions in other programs' hands."""

import csv
import io
import json
import shutil
import subprocess

import numpy as np
import pydicom
import pytest

from petechia.core.echoes import Echoes
from petechia.core.grid import Grid
from petechia.errors import GridMismatchError, ParameterError
from petechia.files.dicom.find import find_dicom_scans
from petechia.files.dicom.write import DicomStyle, write_dicom
from petechia.files.output import OutputTree
from petechia.files.scan import Header
from petechia.pipeline.dicom_export import export_dicom
from petechia.pipeline.review.apply import apply_review
from petechia.pipeline.review.export import decisions
from petechia.pipeline.review.log import ReviewLog, log_path


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


def test_a_spreadsheet_takes_no_text_for_a_formula(hand_of):
    ann = hand_of("@SUM")
    ann("decide", "s1", verdict="reject", class_="vessel")
    (row,) = csv.DictReader(io.StringIO(decisions(ann.events, "csv")))
    assert row["reader"] == "'@SUM"
    (row,) = csv.DictReader(io.StringIO(decisions(ann.events, "tsv")), delimiter="\t")
    assert row["reader"] == "@SUM"


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


def test_an_applied_review_as_a_structured_report_has_the_reader_as_observer(
    output, hand_of, scan_of, tmp_path
):
    origin = source_of(tmp_path / "source", scan_of.grid)

    def report():
        apply_review(output)
        files = export_dicom(OutputTree(output), scan_of.name, origin)
        (path,) = (p for p in files if pydicom.dcmread(p).Modality == "SR")
        return path, pydicom.dcmread(path)

    with ReviewLog(log_path(output)) as log:
        ann = hand_of("Ann B", log=log)
        ann("decide", "s1", verdict="reject", class_="vessel")
        for n in (2, 3):
            ann("decide", f"s{n}", verdict="accept", class_="microbleed", mars="definite")
        path, made = report()
        said = list(words_of(made))
        assert any("Ann B" in text for text in said)
        assert sum("vessel" in text.lower() for text in said) >= 1
        assert report()[1].SOPInstanceUID == made.SOPInstanceUID  # the same word, the same object
        ann("decide", "s1", verdict="accept", class_="microbleed", mars="definite")
        path, other = report()
    assert other.SOPInstanceUID != made.SOPInstanceUID
    if VALIDATOR:
        done = subprocess.run([VALIDATOR, path], capture_output=True, check=False)
        text = (done.stdout + done.stderr).decode(errors="replace")
        assert [line for line in text.splitlines() if "Error" in line or "Abort" in line] == []
    odd = Grid(tuple(n - 1 for n in scan_of.grid.shape), scan_of.grid.affine)
    strange = source_of(tmp_path / "other", odd)
    with pytest.raises(GridMismatchError):
        export_dicom(OutputTree(output), scan_of.name, strange)
