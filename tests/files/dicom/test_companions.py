"""FLAIR, T2w, T1w and CT of an exam found by their headers, the best by the stated rule."""

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from petechia.apps.cli.main import main
from petechia.core.echoes import Echoes
from petechia.core.grid import Grid
from petechia.errors import FileError
from petechia.files.dicom import find_dicom_scans
from petechia.files.dicom.companions import series_at
from petechia.files.dicom.frames import frames_of
from petechia.files.dicom.write import PATIENT, SEQUENCES, DicomStyle, study_of, write_dicom
from petechia.files.scan import Header

SE, IR, GR = "SE", "IR", "GR"


def header(**values):
    ds = Dataset()
    ds.SOPInstanceUID, ds.Rows, ds.Columns, ds.Modality = "1.2", 4, 4, "MR"
    ds.ImageType = ["ORIGINAL", "PRIMARY", "M"]
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def seq(codes, te, tr, ti=None, name="", **more):
    told = {"ScanningSequence": codes, "EchoTime": te, "RepetitionTime": tr,
            "SeriesDescription": name, **more}  # fmt: skip
    return told if ti is None else told | {"InversionTime": ti}


CASES = [
    # Siemens
    ("FLAIR", seq([SE, IR], 81, 9000, 2500, "t2_tirm_tra_dark-fluid_4mm")),
    ("FLAIR", seq([SE, IR], 387, 5000, 1800, "t2_spc_da-fl_sag_p2_iso")),
    ("T2w", seq(SE, 96, 5000, None, "t2_tse_tra_512")),
    ("T2w", seq(SE, 408, 3200, None, "t2_spc_sag_p2_iso")),
    ("T1w", seq([GR, IR], 2.98, 2300, 900, "t1_mprage_sag_p2_iso", MRAcquisitionType="3D")),
    ("T1w", seq(SE, 8.9, 550, None, "t1_se_tra")),
    (None, seq([SE, IR], 30, 4000, 160, "t2_stir_cor")),
    (None, seq([SE, IR], 325, 7500, 3000, "DIR_spc_sag")),
    (None, seq([GR, IR], 2.9, 5000, 700, "mp2rage_INV1", MRAcquisitionType="3D")),
    (None, seq("EP", 89, 6500, None, "ep2d_diff_3scan_trace")),
    (None, seq(GR, 20, 28, None, "t2_swi3d_tra", MRAcquisitionType="3D")),
    (None, seq(GR, 4.9, 43, None, "t1_fl3d", MRAcquisitionType="3D", AngioFlag="Y")),
    # GE: BRAVO is told from a gradient echo by its inversion time alone; 0 is none
    ("FLAIR", seq([SE, IR], 120, 9000, 2250, "Ax T2 FLAIR")),
    ("FLAIR", seq("RM", 119, 8000, 2100, "Sag CUBE FLAIR")),
    ("T2w", seq(SE, 102, 4500, 0, "Ax T2 FSE PROPELLER")),
    ("T1w", seq(GR, 3.2, 8.2, 450, "Sag BRAVO", MRAcquisitionType="3D")),
    ("T1w", seq([SE, IR], 24, 2500, 860, "Ax T1 FLAIR")),
    (None, seq(GR, 25, 40, 0, "Ax SWAN", MRAcquisitionType="3D")),
    # Philips: the inversion time may be missing
    ("FLAIR", seq(IR, 125, 11000, None, "FLAIR_longTR")),
    ("FLAIR", seq(IR, 310, 4800, 1660, "3D_Brain_VIEW_FLAIR")),
    ("T2w", seq(SE, 80, 3000, None, "T2W_TSE_DRIVE")),
    ("T1w", seq(GR, 3.5, 7.6, None, "T1W_3D_TFE", SequenceVariant="MP", MRAcquisitionType="3D")),
    # neither body parts nor names without times count
    (None, seq(SE, 96, 4000, None, "t2_tse_sag", BodyPartExamined="CSPINE")),
    (None, seq(GR, 15, 400, None, "FLAIR")),
    (None, {"SeriesDescription": "T2 FLAIR"}),
    # a name in place of the kind of echo, with times that fit
    ("FLAIR", seq([], 120, 9000, None, "FLAIR")),
]


@pytest.mark.parametrize(("kind", "told"), CASES)
def test_a_header_tells_the_contrast(kind, told):
    (frame,) = frames_of(header(**told), "x")
    assert frame.contrast == kind, told


@pytest.mark.parametrize(
    ("stated", "kind"),
    [("FLUID_ATTENUATED", "FLAIR"), ("T2", "T2w"), ("T1", "T1w"), ("DIFFUSION", None),
     ("T2_STAR", None), ("STIR", None)],
)  # fmt: skip
def test_an_enhanced_image_states_its_contrast(stated, kind):
    (frame,) = frames_of(header(**seq(SE, 90, 5000), AcquisitionContrast=stated), "x")
    assert frame.contrast == kind


@pytest.mark.parametrize(
    ("told", "after"),
    [({"ContrastBolusAgent": "Gadolinium"}, True), ({"ContrastBolusAgent": "NONE"}, False),
     ({"SeriesDescription": "t1_mprage_post_gd"}, True), ({"SeriesDescription": "+C AX T1"}, True),
     ({"SeriesDescription": "t1_se_tra_KM"}, True), ({"SeriesDescription": "T1 pre contrast"}, False),
     ({"SeriesDescription": "t1 without contrast"}, False),
     ({"SeriesDescription": "posterior fossa T1"}, False)],
)  # fmt: skip
def test_a_contrast_agent_is_told(told, after):
    (frame,) = frames_of(header(**told), "x")
    assert frame.agent is after


# --- whole exams

COARSE = Grid((8, 9, 6), np.diag([20.0, 20.0, 25.0, 1.0]))
TIMES = {"FLAIR": (0.12, 9.0), "T2w": (0.1, 5.0), "T1w": (0.004, 0.018)}


def image(mm=(20.0, 20.0, 10.0), extent_mm=120.0, seed=0):
    shape = (8, 9, round(extent_mm / mm[2]))
    values = np.random.default_rng(seed).uniform(50, 900, shape).astype(np.float32)
    return values, Grid(shape, np.diag([*mm, 1.0]))


class Exam:
    """A folder to which series are added, all of one study."""

    def __init__(self, folder, style):
        self.folder, self.style = folder, style
        grid = Grid((8, 9, 12), np.diag([20.0, 20.0, 10.0, 1.0]))
        rng = np.random.default_rng(5)
        echoes = Echoes(
            magnitude=rng.uniform(50, 900, (1, *grid.shape)).astype(np.float32),
            phase_rad=rng.uniform(-3, 3, (1, *grid.shape)).astype(np.float32),
            te_s=(0.02,), b0_t=3.0, grid=grid,
        )  # fmt: skip
        self.study = study_of(folder, echoes)
        header = Header(acquisition_type="3D", tr_s=0.03, flip_deg=15.0)
        write_dicom(folder, echoes, header, style, series=2)

    def add(self, kind, series, values, grid, edit=None, study=None, **header):
        te_s, tr_s = TIMES[kind]
        facts = Header(**{"acquisition_type": "3D", "tr_s": tr_s, "flip_deg": 10.0} | header)
        echoes = Echoes(magnitude=values[None], phase_rad=None, te_s=(te_s,), b0_t=3.0, grid=grid)
        files = write_dicom(
            self.folder, echoes, facts, self.style, series=series, kind=kind,
            ti_s=0.9 if kind == "T1w" else 2.5, study=study or self.study,
        )  # fmt: skip
        if edit:
            for file in files:
                ds = pydicom.dcmread(file)
                edit(ds)
                ds.save_as(file)
        return values


@pytest.fixture
def exam(tmp_path):
    return Exam(tmp_path / "exam", DicomStyle())


@pytest.mark.parametrize("vendor", ["siemens", "ge", "philips"])
@pytest.mark.parametrize("form", ["classic", "enhanced"])
def test_an_exam_gives_one_scan_and_what_lies_beside(tmp_path, vendor, form):
    made = Exam(tmp_path / "exam", DicomStyle(form=form, vendor=vendor))
    pixels = {}
    for n, kind in enumerate(TIMES):
        values, grid = image(seed=n)
        pixels[kind] = made.add(kind, 10 + n, values, grid)
    (ref,) = find_dicom_scans(tmp_path / "exam")
    assert [kind for kind, _ in ref.beside.chosen] == ["FLAIR", "T2w", "T1w"]
    for kind, field in (("FLAIR", "flair"), ("T2w", "t2w"), ("T1w", "t1w")):
        series = getattr(ref.beside, field)
        assert series.name == f"series {10 + list(TIMES).index(kind)} ({kind}, 20 x 20 x 10 mm)"
        found, grid = series.read()
        assert np.corrcoef(found.ravel(), pixels[kind].ravel())[0, 1] > 0.9999
        assert grid.affine == pytest.approx(np.diag([20.0, 20.0, 10.0, 1.0]))
        assert len(series.sha256()) >= 64
    scan = ref.load()
    assert scan.echoes.te_s == (0.02,)
    assert not any("left aside" in note for note in scan.notes), scan.notes


def derived(ds):
    ds.ImageType = ["DERIVED", "SECONDARY", "MPR"]


def agent(ds):
    ds.ContrastBolusAgent = "Gd"


def elsewhere(ds):
    ds.FrameOfReferenceUID = "1.2.3.4"


def later(ds):
    ds.AcquisitionTime = "235900"


def test_the_best_flair_is_taken_by_the_stated_rule(exam):
    """Each series is better than the one before by one step of the rule."""
    steps = [
        (20, {}, agent), (21, {"mm": (20.0, 20.0, 12.0)}, elsewhere),
        (22, {"mm": (20.0, 20.0, 12.0)}, None), (23, {}, None), (24, {}, later),
    ]  # fmt: skip
    for series, of_image, edit in steps:
        exam.add("FLAIR", series, *image(**of_image, seed=series), edit=edit)
    order = []
    for _ in steps:
        beside = find_dicom_scans(exam.folder)[0].beside
        order.append(beside.flair.number)
        for file in exam.folder.glob(f"{order[-1]:03d}_*"):
            file.unlink()
    # the longest edge is 20 mm in all of them: slices of 10 mm have the smaller volume
    assert order == [24, 23, 22, 21, 20]
    assert beside.flair.agent
    assert "after contrast agent" in beside.flair.name


def test_what_was_left_is_told_with_its_reason(exam):
    exam.add("FLAIR", 20, *image(seed=1))
    exam.add("FLAIR", 21, *image(mm=(20.0, 20.0, 12.0), seed=2))
    exam.add("T2w", 22, *image(mm=(20.0, 20.0, 5.0), extent_mm=60, seed=3))
    exam.add("T1w", 23, *image(seed=4), edit=agent)
    exam.add("FLAIR", 24, *image(seed=5), study="another")
    exam.add("FLAIR", 25, *image(seed=6), edit=derived)
    (ref,) = find_dicom_scans(exam.folder)
    beside = ref.beside
    assert dict(beside.chosen) == {
        "FLAIR": "series 20 (FLAIR, 20 x 20 x 10 mm): of 2 the one with the smallest voxels"
    }
    assert beside.t2w is None
    assert beside.t1w is None
    left = " ".join(beside.left)
    for said in ("series 21 (FLAIR, 20 x 20 x 12 mm) was not taken: series 20",
                 "series 22 (T2w, 20 x 20 x 5 mm) was not taken: it covers 60 mm",
                 "series 23 (T1w, 20 x 20 x 10 mm, after contrast agent) was not taken: a T1w after",
                 "series 24 (FLAIR, 20 x 20 x 10 mm) was not taken: it is of another study"):  # fmt: skip
        assert said in left
    assert any("series 25 left aside: processed image" in note for note in ref.load().notes)


def ct(folder, series, *, step=5.0, patient=PATIENT, z=150.0, **values):
    folder.mkdir(parents=True, exist_ok=True)
    uid = generate_uid(entropy_srcs=[str(series), patient])
    for n in range(round(z / step)):
        d = Dataset()
        d.file_meta = FileMetaDataset()
        d.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        d.file_meta.MediaStorageSOPClassUID = d.SOPClassUID = CTImageStorage
        d.SOPInstanceUID = generate_uid(entropy_srcs=[str(uid), str(n)])
        d.file_meta.MediaStorageSOPInstanceUID = d.SOPInstanceUID
        d.StudyInstanceUID = "1.2.9"
        d.SeriesInstanceUID, d.SeriesNumber, d.Modality = uid, series, "CT"
        d.PatientID, d.ImageType = patient, ["ORIGINAL", "PRIMARY", "AXIAL"]
        d.Rows, d.Columns, d.PixelSpacing = 6, 4, [0.5, 0.5]
        d.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        d.ImagePositionPatient = [-10, -20, n * step]
        d.SamplesPerPixel, d.PhotometricInterpretation = 1, "MONOCHROME2"
        d.BitsAllocated = d.BitsStored = 16
        d.HighBit, d.PixelRepresentation = 15, 0
        d.RescaleSlope, d.RescaleIntercept = 1, -1024
        d.PixelData = np.full((6, 4), 1000 + series + n, np.uint16).tobytes()
        for keyword, value in values.items():
            setattr(d, keyword, value)
        d.save_as(folder / f"ct{series}_{n:03d}.dcm", enforce_file_format=True)


def test_a_ct_in_the_exam_is_taken_when_it_is_of_the_head_and_plain(exam):
    where = exam.folder / "ct"
    ct(where, 1, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    ct(where, 2, step=3.0, ConvolutionKernel="H60s")
    ct(where, 3, ConvolutionKernel="H30s")
    ct(where, 4, step=3.0, ContrastBolusAgent="Iomeprol")
    ct(where, 5, step=3.0, patient="SOMEBODY ELSE")
    ct(where, 6, step=3.0, BodyPartExamined="CHEST")
    ct(where, 7, step=10.0, ConvolutionKernel="H30s")
    (ref,) = find_dicom_scans(exam.folder)
    assert ref.beside.ct.name == "series 3 (CT, 0.5 x 0.5 x 5 mm)"
    hu, grid = ref.beside.ct.read()
    assert grid.shape == (4, 6, 30)
    assert hu[0, 0, 4] == 1000 + 3 + 4 - 1024
    left = " ".join(ref.beside.left)
    for said in ("its kernel is for bone", "vessels are as dense as calcium",
                 "another patient's number", "not of the head", "series 3"):  # fmt: skip
        assert said in left
    assert "SOMEBODY" not in left + repr(ref.beside.chosen)


def test_a_person_overrules_the_choice(exam, capsys, tmp_path):
    exam.add("FLAIR", 20, *image(seed=1))
    exam.add("FLAIR", 21, *image(mm=(20.0, 20.0, 12.0), seed=2))
    exam.add("T1w", 23, *image(seed=4), edit=agent)
    words = ["run", str(exam.folder), str(tmp_path / "out"), "--dry-run"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "beside it, FLAIR: series 20" in said
    assert "series 23 (T1w" in said
    assert main([*words, "--flair", "21", "--t1w", "23", "--t2w", "none"]) == 0
    said = capsys.readouterr().out
    assert "FLAIR: series 21 (FLAIR, 20 x 20 x 12 mm): as asked" in said
    assert "T1w: series 23" in said
    assert "T2w: none: as asked" in said
    assert main([*words, "--flair", "99"]) == 2
    assert "no series 99" in capsys.readouterr().err
    other = Exam(tmp_path / "other", DicomStyle())
    other.add("FLAIR", 7, *image(seed=9))
    assert main([*words, "--flair", str(other.folder)]) == 0
    assert "FLAIR: series 7" in capsys.readouterr().out
    assert series_at(other.folder, "FLAIR").number == 7
    with pytest.raises(FileError, match="no T2w series"):
        series_at(other.folder, "T2w")


def test_every_simulated_sequence_is_one_that_is_told_apart():
    assert set(SEQUENCES) == {"GRE", *TIMES}
