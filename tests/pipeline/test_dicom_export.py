"""`petechia run --dicom` and `petechia dicom`: from DICOM to DICOM."""

import json
import shutil
from dataclasses import replace

import nibabel as nib
import numpy as np
import pydicom
import pytest

from petechia.contrast.projection import minimum_projection
from petechia.core.echoes import Echoes
from petechia.core.grid import Grid
from petechia.files.dicom.write import DicomStyle, write_dicom
from petechia.files.find import find_scans
from petechia.files.output import OutputTree
from petechia.files.scan import Header, ScanName
from petechia.pipeline.dicom_export import export_folder, is_stale, record_of
from petechia.pipeline.listing import standing_of
from petechia.pipeline.review.cases import ReviewFolder
from petechia.pipeline.tree import finish_tree

pytestmark = pytest.mark.xdist_group("road")
NAME = "SECRET^PERSON"


@pytest.fixture
def noise_dicom(tmp_path):
    """A tiny DICOM scan of noise with a name in it: run in a second, and not assessable."""
    return noise_in(tmp_path / "scan", seed=5)


def noise_in(folder, seed):
    """Write a scan of noise into a folder; another seed is another person."""
    rng = np.random.default_rng(seed)
    shape = (14, 15, 12)
    echoes = Echoes(
        magnitude=rng.uniform(400, 1000, (2, *shape)).astype(np.float32),
        phase_rad=rng.uniform(-np.pi, np.pi, (2, *shape)).astype(np.float32),
        te_s=(0.01, 0.02), b0_t=3.0, grid=Grid.from_spacing(shape, (2.0, 2.0, 2.0)),
    )  # fmt: skip
    for path in write_dicom(folder, echoes, Header(), DicomStyle()):
        dataset = pydicom.dcmread(path)
        dataset.PatientName = dataset.PatientID = NAME
        dataset.save_as(path)
    return folder


def test_a_run_writes_dicom_when_asked_and_only_then(petechia, noise_dicom, tmp_path):
    out = tmp_path / "out"
    assert petechia("run", noise_dicom, out).code == 0
    assert not (out / "dicom").exists()
    summary = next(out.rglob("*summary.json"))
    before = summary.stat().st_mtime_ns
    # the finished scan is not done again: its results become DICOM
    assert petechia("run", noise_dicom, out, "--dicom").code == 0
    assert summary.stat().st_mtime_ns == before
    report = out / "dicom" / "sub-01" / "findings_sr.dcm"
    assert pydicom.dcmread(report).PatientName == NAME
    made = report.stat().st_mtime_ns
    assert petechia("run", noise_dicom, out, "--dicom").code == 0
    assert report.stat().st_mtime_ns == made
    assert "dicom" in (out / ".bidsignore").read_text().splitlines()
    # a new run without it must not leave the old objects beside new results
    assert petechia("run", noise_dicom, out, "--force").code == 0
    assert not report.exists()


def test_another_persons_exam_does_not_take_the_place_of_the_first(petechia, noise_dicom, tmp_path):
    out = tmp_path / "out"
    assert petechia("run", noise_dicom, out, "--dicom").code == 0
    anat = {p: p.read_bytes() for p in (out / "sub-01").rglob("*") if p.is_file()}
    other = noise_in(tmp_path / "other", seed=6)
    said = petechia("run", other, out)
    assert said.code == 2
    assert "results of another scan stand there" in said.err
    assert "--subject another name, or name another OUTPUT" in said.err
    assert {p: p.read_bytes() for p in (out / "sub-01").rglob("*") if p.is_file()} == anat
    (stands,) = standing_of(out).values()
    assert (stands.failed, stands.says) == (False, "")
    assert petechia("run", other, out, "--subject", "02").code == 0
    assert petechia("run", other, out, "--force").code == 0
    assert not (out / "dicom" / "sub-01").exists()  # not the first one's under the second's name


def test_objects_of_earlier_results_are_told_not_sent_and_made_anew(
    petechia, noise_dicom, tmp_path
):
    out, stale = tmp_path / "out", "Its DICOM objects are of earlier results."
    name = ScanName((("sub", "01"),))
    assert petechia("run", noise_dicom, out, "--dicom").code == 0
    record, folder = record_of(OutputTree(out), name), export_folder(out, name)
    fresh = record.read_text()
    assert is_stale(OutputTree(out), name) is False
    push = ["pacs", "push", "https://localhost:1/x", out / "dicom", "--retries", "0"]
    assert "results than stand now" not in petechia(*push).err
    record.write_text(json.dumps({"results": "of before"}))
    finish_tree(out)
    assert stale in (out / "index.html").read_text()
    for place in (out, out / "dicom", folder, folder / "findings_sr.dcm"):
        push[3] = place
        said = petechia(*push)
        assert said.code == 2
        assert "sub-01: is of other results than stand now" in said.err
    assert petechia("run", noise_dicom, out, "--dicom").code == 0
    assert record.read_text() == fresh
    assert stale not in (out / "index.html").read_text()
    record.write_text(json.dumps({"results": "of before"}))
    assert petechia("dicom", out, "--reference", noise_dicom).code == 0
    assert stale not in (out / "index.html").read_text()
    record.unlink()
    assert is_stale(OutputTree(out), name) is None


def test_the_name_stays_in_the_dicom_folder(petechia, noise_dicom, tmp_path):
    out = tmp_path / "out"
    assert petechia("run", noise_dicom, out, "--dicom").code == 0
    holders = {
        p.relative_to(out).parts[0]
        for p in out.rglob("*")
        if p.is_file() and NAME.encode() in p.read_bytes()
    }
    assert holders == {"dicom"}


def test_a_failure_to_write_dicom_is_told_and_mended_by_another_run(
    petechia, noise_dicom, tmp_path
):
    out = tmp_path / "out"
    kept = {}
    for path in noise_dicom.glob("*.dcm"):
        kept[path] = path.read_bytes()
        dataset = pydicom.dcmread(path)
        del dataset.FrameOfReferenceUID
        dataset.save_as(path)
    said = petechia("run", noise_dicom, out, "--dicom")
    assert said.code == 2
    assert "FrameOfReferenceUID is missing" in said.err
    for path, data in kept.items():
        path.write_bytes(data)
    assert petechia("run", noise_dicom, out, "--dicom").code == 0
    assert (out / "dicom" / "sub-01" / "findings_sr.dcm").is_file()
    assert not list((out / "logs").glob("*crash*"))


@pytest.fixture
def not_exported(petechia, noise_dicom, tmp_path):
    """An output folder whose export failed, and a call that mends the images."""
    kept = {path: path.read_bytes() for path in noise_dicom.glob("*.dcm")}
    for path in kept:
        dataset = pydicom.dcmread(path)
        del dataset.FrameOfReferenceUID
        dataset.save_as(path)
    assert petechia("run", noise_dicom, tmp_path / "out", "--dicom").code == 2
    return tmp_path / "out", lambda: [path.write_bytes(data) for path, data in kept.items()]


def test_where_only_the_export_failed_the_scan_is_finished_and_told(not_exported):
    out, _ = not_exported
    said = "Its export to DICOM failed: "
    (stands,) = standing_of(out).values()
    assert (stands.failed, stands.told_in) == (False, next(out.rglob("*_summary.json")))
    assert stands.says.startswith(said)
    assert "FrameOfReferenceUID is missing" in stands.says
    folder = ReviewFolder(out)
    (listed,) = folder.listed().values()
    assert (listed.problem, listed.warning) == ("", stands.says)
    (again,) = ReviewFolder(out).listed().values()  # from the cache of the first
    assert again == listed
    assert folder.case("sub-01").fingerprint == listed.fingerprint
    assert said in (out / "index.html").read_text()


def test_an_export_that_failed_is_mended_by_the_command_for_it(not_exported, petechia, noise_dicom):
    out, mend = not_exported
    mend()
    # other bytes than were analysed: they show the same head
    said = petechia("dicom", out, "--reference", noise_dicom)
    assert said.code == 0, said.err
    (stands,) = standing_of(out).values()
    assert (stands.failed, stands.says) == (False, "")
    assert not list((out / "logs").glob("*crash*"))
    assert "Its export" not in (out / "index.html").read_text()


def test_a_run_that_fails_before_its_results_is_no_matter_of_the_export(
    petechia, noise_dicom, tmp_path
):
    out = tmp_path / "out"
    assert petechia("run", noise_dicom, out).code == 0
    first = min(noise_dicom.glob("*.dcm"))
    first.write_bytes(first.read_bytes()[:-200])
    assert petechia("run", noise_dicom, out, "--dicom").code != 0
    (stands,) = standing_of(out).values()
    assert stands.failed
    assert ReviewFolder(out).listed()["sub-01"].problem


def test_nifti_input_says_how_dicom_can_be_had(petechia, noise_dataset, tmp_path):
    said = petechia("run", noise_dataset(), tmp_path / "out", "--dicom")
    assert said.code == 0
    assert "no DICOM will be written: the input is BIDS" in said.err
    assert not (tmp_path / "out" / "dicom").exists()


def test_steps_alone_make_no_dicom(petechia, noise_dicom, tmp_path):
    said = petechia("run", noise_dicom, tmp_path / "out", "--dicom", "--steps", "mask")
    assert said.code == 2
    assert "--dicom with --steps" in said.err


@pytest.fixture
def tiny_copy(tiny_output, tmp_path):
    return shutil.copytree(tiny_output, tmp_path / "copy")


def test_results_of_nifti_go_beside_the_dicom_they_were_converted_from(
    petechia, tiny_dataset, tiny_copy, tmp_path, departures, bids_errors
):
    (ref,) = find_scans(tiny_dataset)
    scan = ref.load()
    write_dicom(tmp_path / "scan", scan.echoes, scan.header, DicomStyle(form="enhanced"))
    said = petechia("dicom", tiny_copy, "--reference", tmp_path / "scan")
    assert said.code == 0, said.err
    (folder,) = (tiny_copy / "dicom").iterdir()
    made = {p.name for p in folder.iterdir()} - {"findings_seg.dcm"}  # not where nothing is told
    assert made == {
        "findings_sr.dcm", "chi_map.dcm", "r2star_map.dcm", "swi", "mip",
        "report_pdf.dcm",
    }  # fmt: skip
    assert pydicom.dcmread(folder / "report_pdf.dcm").EncapsulatedDocument.startswith(b"%PDF")
    assert departures(tiny_copy) == []
    assert bids_errors(tiny_copy) == []


def test_dicom_of_another_scan_is_no_reference(petechia, tiny_copy, noise_dicom):
    said = petechia("dicom", tiny_copy, "--reference", noise_dicom)
    assert said.code == 2
    assert "no scan with the voxels of sub-01_acq-3tTiny" in said.err


@pytest.mark.parametrize("kept", ["s0", "swi", "mip"])
def test_another_head_on_the_same_grid_is_no_reference(
    petechia, tiny_dataset, tiny_copy, tmp_path, kept
):
    images = {"s0": "S0map", "swi": "swi"}
    for key in list(images)[: ["s0", "swi", "mip"].index(kept)]:
        next(tiny_copy.rglob(f"*_{images[key]}.nii.gz")).unlink()
    (ref,) = find_scans(tiny_dataset)
    scan = ref.load()
    other = replace(scan.echoes, magnitude=np.roll(scan.echoes.magnitude[:, :, ::-1], 5, axis=1))
    write_dicom(tmp_path / "other", other, scan.header, DicomStyle())
    said = petechia("dicom", tiny_copy, "--reference", tmp_path / "other")
    assert said.code == 2
    assert "is not the image that was analysed" in said.err
    assert not (tiny_copy / "dicom").exists()
    if kept != "s0":  # the SWI and the projection tell the same head too
        write_dicom(tmp_path / "same", scan.echoes, scan.header, DicomStyle())
        (summary,) = tiny_copy.rglob("*_summary.json")
        if kept == "mip":  # as without phase: the projection is of the magnitude
            _project_the_magnitude(tiny_copy, scan, json.loads(summary.read_text()))
        assert petechia("dicom", tiny_copy, "--reference", tmp_path / "same").code == 0


def _project_the_magnitude(output, scan, summary):
    """Make the projection of a finished scan anew, of the magnitude."""
    (path,) = output.rglob("*_minIP.nii.gz")
    image = nib.load(path)
    echo = int(np.abs(np.asarray(scan.echoes.te_s) - summary["reading_te_s"]).argmin())
    inside = nib.load(next(output.rglob("*_desc-brain_mask.nii.gz"))).get_fdata() > 0
    magnitude = scan.echoes.magnitude[echo]
    made = minimum_projection(
        np.where(inside, magnitude, magnitude.max()),
        scan.echoes.grid,
        summary["settings"]["slab_mm"],
    )
    nib.save(nib.Nifti1Image(made * inside, image.affine), path)


def test_files_that_were_not_analysed_are_no_reference(petechia, noise_dicom, tmp_path):
    out = tmp_path / "out"
    assert petechia("run", noise_dicom, out).code == 0
    assert petechia("dicom", out, "--reference", noise_dicom).code == 0
    shutil.rmtree(out / "dicom")
    for path in noise_dicom.glob("*.dcm"):
        dataset = pydicom.dcmread(path)
        dataset.PixelData = dataset.pixel_array[::-1, ::-1].tobytes()
        dataset.save_as(path)
    said = petechia("dicom", out, "--reference", noise_dicom)
    assert said.code == 2
    assert "is not the image that was analysed" in said.err
    assert not (out / "dicom").exists()


def test_a_folder_without_a_finished_scan_is_told(petechia, noise_dicom, tmp_path):
    (tmp_path / "empty").mkdir()
    said = petechia("dicom", tmp_path / "empty", "--reference", noise_dicom)
    assert said.code == 2
    assert "no finished scan" in said.err
