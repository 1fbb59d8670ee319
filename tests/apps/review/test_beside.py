"""Other images of the same head: registered once, shown where they lie, and said so."""

import time
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

pytest.importorskip("fastapi")

from petechia.apps.review.volumes import Volumes
from petechia.errors import FileError, MetadataError
from petechia.files.find import find_scans
from petechia.files.scan import Beside
from petechia.pipeline.review import registered
from petechia.pipeline.review.cases import ReviewFolder
from petechia.pipeline.review.images import eight_bits, numbers

SCAN, LATER = "sub-02", "sub-01_ses-2"


@pytest.fixture
def moved():
    """One voxel along the first stored axis, in scanner mm."""

    def shift(grid, by=1):
        matrix = np.eye(4)
        matrix[:3, 3] = grid.affine[:3, 0] * by
        return matrix

    return shift


@pytest.fixture
def images(output, make, tmp_path):
    """Raw images of sub-02 with a T1w beside them, and the output that knows them."""
    raw = make.raw(tmp_path / "raw")
    grid = make.grid()
    ramp = make.volumes(grid)["swi"]
    place = raw / SCAN / "anat" / f"{SCAN}_T1w.nii.gz"
    nib.save(nib.Nifti1Image(ramp, grid.affine), place)
    (ref,) = find_scans(raw)
    hashes = {source.path: source.sha256 for source in ref.load().sources}
    make.again(output, make.name("02"), sha256=hashes)
    return raw


def fitted(monkeypatch, matrix, peak):
    monkeypatch.setattr(registered, "to_companion", lambda *_: (matrix, peak))


def test_a_fit_that_is_believed_moves_the_image_and_is_kept(output, images, moved, monkeypatch):
    folder = ReviewFolder(output, images)
    case = folder.case(SCAN)
    (other,) = registered.others_of(folder, case).values()
    assert registered.known(case, other).how == "waiting"
    fitted(monkeypatch, moved(case.grid), 0.5)
    placed = registered.find(folder, case, other)
    assert (placed.how, placed.says) == ("registered", "rigid, peak of agreement 0.50")
    again = registered.known(case, other)
    np.testing.assert_array_equal(again.matrix, placed.matrix)
    assert again.version == placed.version
    ramp = np.asarray(nib.load(other.source).dataobj)
    there = registered.brought(folder, case, other, placed, "t1w")["t1w"]
    here = np.zeros_like(ramp)
    here[:-1] = ramp[1:]  # scan voxel i lies at the image's voxel i + 1; beyond it there is none
    assert np.abs(there.astype(int) - eight_bits(here, "t1w", case)).max() <= 1
    other.source.touch()  # another file by now: what is kept is not of it
    assert registered.known(case, other).how == "waiting"


def test_a_fit_that_is_not_believed_leaves_scanner_coordinates(output, images, monkeypatch):
    folder = ReviewFolder(output, images)
    case = folder.case(SCAN)
    (other,) = registered.others_of(folder, case).values()
    fitted(monkeypatch, np.full((4, 4), 7.0), 0.05)
    placed = registered.find(folder, case, other)
    assert placed.how == "scanner"
    assert "do not fit (peak of agreement 0.05" in placed.says
    np.testing.assert_array_equal(placed.matrix, np.eye(4))
    (picture,) = registered.shown(folder, {"t1w": other}, {"t1w": placed})
    assert (picture.name, picture.placed) == ("t1w", "scanner")


class Series:
    """A series of an exam, as `files.dicom.companions` finds them."""

    name = "series 7 (FLAIR, 1 x 1 x 1 mm)"

    def __init__(self, image, grid):
        self.image, self.grid = image, grid

    def read(self):
        if self.image is None:
            raise MetadataError("slices are missing", where="exam", mend="Send it again.")
        return self.image, self.grid

    def sha256(self):
        return "0"


def test_a_series_of_the_exam_is_shown_as_a_file_is(output, images, make, moved, monkeypatch):
    folder = ReviewFolder(output, images)
    case, ref = folder.case(SCAN), folder.input(SCAN)
    grid = make.grid()
    series = Series(make.volumes(grid)["swi"], grid)
    monkeypatch.setattr(folder, "_inputs", {SCAN: replace(ref, beside=Beside(flair=series))})
    (other,) = registered.others_of(folder, case).values()
    fitted(monkeypatch, moved(case.grid, 0), 0.5)
    placed = registered.find(folder, case, other)
    assert registered.known(case, other).how == placed.how == "registered"
    there = registered.brought(folder, case, other, placed, "flair")["flair"]
    assert np.abs(there.astype(int) - eight_bits(series.image, "flair", case)).max() <= 1
    series.image = None
    with pytest.raises(FileError, match="slices are missing"):
        registered.brought(folder, case, other, placed, "flair")


def test_one_echo_is_read_alone_and_is_the_same(images):
    (ref,) = find_scans(images)
    whole, one = ref.load_magnitude(), ref.load_echo(0.02)
    assert one.echoes.te_s == (0.02,)
    assert len(one.sources) == 1
    np.testing.assert_array_equal(one.echoes.magnitude[0], whole.echoes.magnitude[1])
    assert ref.load_echo(0.5).echoes.te_s == whole.echoes.te_s  # no such echo: all are read


def test_the_page_is_told_and_gets_the_exam_before_on_this_grid(
    output, serve, reader, moved, monkeypatch
):
    folder = ReviewFolder(output)
    later, before = folder.case(LATER), folder.case("sub-01_ses-1")
    fitted(monkeypatch, moved(later.grid, 0), 0.6)
    anna = reader(*serve(), "anna")
    told = anna.get(f"/api/scans/{LATER}/beside").json()
    end = time.monotonic() + 60
    while told["waiting"] and time.monotonic() < end:
        time.sleep(0.05)
        told = anna.get(f"/api/scans/{LATER}/beside").json()
    assert told["prior"]["placed"] == "registered"
    volumes = {volume["name"]: volume for volume in told["volumes"]}
    assert {"prior-swi", "prior-chi", "prior-computed"} <= volumes.keys()
    swi = volumes["prior-swi"]
    address = f"/api/scans/{LATER}/volumes/prior-swi/0"
    answer = anna.get(address, params={"v": swi["version"]})
    assert answer.status_code == 200, answer.text
    (first, last), shape = swi["slabs"][0], swi["shape"]
    got = np.frombuffer(answer.content, np.uint8).reshape(*shape[:2], last - first, order="F")
    same = numbers(folder, before, "swi")["swi"][:, :, first:last]
    assert np.abs(got.astype(int) - same).max() <= 1  # nobody moved: the very image
    assert anna.get(address, params={"v": swi["version"] + "x"}).status_code == 409
    assert anna.get(f"/api/scans/{SCAN}/beside").json() == {
        "volumes": [], "prior": None, "waiting": False,
    }  # fmt: skip


def test_what_is_done_ahead_is_done_once_and_kept(output):
    folder = ReviewFolder(output)
    volumes = Volumes(folder)
    try:
        done = []
        for _ in range(3):
            volumes.ahead(("open", SCAN), lambda: done.append(volumes.open_ahead(SCAN)))
        volumes._later.submit(lambda: None).result(60)
        assert len(done) == 1
        case = folder.case(SCAN)
        names = [picture.name for picture in volumes.first(case)]
        assert names == ["swi", "computed"]
        assert len(volumes._kept) == 2
        assert volumes.get(case, volumes.first(case)[0]) is volumes.get(
            case, volumes.first(case)[0]
        )
    finally:
        volumes.close()
