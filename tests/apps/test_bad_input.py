"""Bad input: one clear message with the value and the mend, nothing half-written, nothing lost."""

import gzip
import json
import re
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from petechia.files.writing import without_places

ECHO = "sub-01/anat/sub-01_echo-{}_part-{}_MEGRE"


def image(raw: Path, echo: int, part: str) -> Path:
    return raw / (ECHO.format(echo, part) + ".nii.gz")


def sidecar(raw: Path, echo: int, part: str) -> Path:
    return raw / (ECHO.format(echo, part) + ".json")


def rewritten(path: Path, change, affine=None) -> None:
    """Replace the voxels of a NIfTI file by `change(voxels)`."""
    was = nib.load(path)
    voxels = np.asarray(change(was.get_fdata(dtype=np.float32)), dtype=np.float32)
    nib.save(nib.Nifti1Image(voxels, was.affine if affine is None else affine), path)


def set_facts(path: Path, **facts) -> None:
    """Change facts of a sidecar; None removes one."""
    known = json.loads(path.read_text()) | facts
    path.write_text(json.dumps({key: value for key, value in known.items() if value is not None}))


def with_voxel(value):
    def change(voxels):
        voxels[3, 4, 5] = value
        return voxels

    return change


def no_echo_time(raw):
    for part in ("mag", "phase"):
        set_facts(sidecar(raw, 2, part), EchoTime=None)


def no_field(raw):
    for path in raw.rglob("*MEGRE.json"):
        set_facts(path, MagneticFieldStrength=None)


def milliseconds(raw):
    for part in ("mag", "phase"):
        set_facts(sidecar(raw, 2, part), EchoTime=20)


def same_echo_time(raw):
    for part in ("mag", "phase"):
        set_facts(sidecar(raw, 2, part), EchoTime=0.01)


def empty_magnitude(raw):
    for echo in (1, 2):
        rewritten(image(raw, echo, "mag"), np.zeros_like)


def corrupt(raw):
    path = image(raw, 2, "mag")
    data = bytearray(path.read_bytes())
    data[2000] ^= 0xFF
    path.write_bytes(data)


def truncated_inside(raw):
    """A gzip that is whole, of a NIfTI that is not."""
    path = image(raw, 2, "mag")
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-2000]))


BROKEN = {
    "missing echo time": (no_echo_time, r"echo-2_part-mag.*no echo time.*EchoTime"),
    "missing field strength": (no_field, r"no MagneticFieldStrength.*--b0"),
    "echo time in milliseconds": (milliseconds, r"EchoTime is 20\. Echo times are in seconds"),
    "one echo time twice": (same_echo_time, r"echo time 0\.01 s occurs twice"),
    "unequal shapes": (
        lambda raw: rewritten(image(raw, 2, "phase"), lambda v: v[:-1]),
        r"echo-2_part-phase.*shape \(13, 15, 12\) differs from \(14, 15, 12\)",
    ),
    "unequal places": (
        lambda raw: rewritten(image(raw, 2, "phase"), lambda v: v, np.diag([2, 2, 2.5, 1])),
        r"its affine lies up to .* mm from",
    ),
    "an echo without phase": (
        lambda raw: image(raw, 2, "phase").unlink(),
        r"echo 2 of 2 \(echo time 0\.02 s\) has magnitude but no phase",
    ),
    "an echo without magnitude": (
        lambda raw: image(raw, 2, "mag").unlink(),
        r"echo 2 of 2 \(echo time 0\.02 s\) has phase but no magnitude",
    ),
    "no magnitude at all": (
        lambda raw: [image(raw, echo, "mag").unlink() for echo in (1, 2)],
        r"sub-01: only phase images. Add the magnitude",
    ),
    "truncated gzip": (
        lambda raw: image(raw, 2, "mag").write_bytes(image(raw, 2, "mag").read_bytes()[:-3000]),
        r"truncated or corrupt NIfTI .*convert it again",
    ),
    "truncated volume": (truncated_inside, r"truncated or corrupt NIfTI"),
    "corrupt gzip": (corrupt, r"truncated or corrupt NIfTI"),
    "an empty file": (lambda raw: image(raw, 2, "mag").write_bytes(b""), r"the file is empty"),
    "no NIfTI": (lambda raw: image(raw, 2, "mag").write_text("hello" * 99), r"corrupt NIfTI"),
    "a broken sidecar": (
        lambda raw: sidecar(raw, 2, "mag").write_text('{"EchoTime": 0.02,'),
        r"echo-2_part-mag_MEGRE\.json: not valid JSON",
    ),
    "a sidecar that is a list": (
        lambda raw: sidecar(raw, 2, "mag").write_text("[1]"),
        r"holds a list, not an object",
    ),
    "NaN voxels": (
        lambda raw: rewritten(image(raw, 2, "mag"), with_voxel(np.nan)),
        r"1 of 2520 voxels are not finite, the first at \(3, 4, 5\)",
    ),
    "infinite phase": (
        lambda raw: rewritten(image(raw, 2, "phase"), with_voxel(np.inf)),
        r"part-phase.*1 of 2520 voxels are not finite",
    ),
    "an empty magnitude": (empty_magnitude, r"\(echo time 0\.01 s\): all voxels are 0"),
    "an empty phase": (
        lambda raw: rewritten(image(raw, 2, "phase"), np.zeros_like),
        r"part-phase.*all voxels are 0",
    ),
    "a phase for a magnitude": (
        lambda raw: shutil.copy(image(raw, 2, "phase"), image(raw, 2, "mag")),
        r"% of the magnitude is below 0.*Is this a phase",
    ),
    "a single slice as 2-D": (
        lambda raw: rewritten(image(raw, 2, "mag"), lambda v: v[:, :, 0]),
        r"shape \(14, 15\) is neither one volume nor a stack",
    ),
    "a phase of no known scale": (
        lambda raw: (
            [rewritten(image(raw, n, "phase"), lambda v: np.abs(v * 777) + 17) for n in (1, 2)]
            + [set_facts(sidecar(raw, n, "phase"), Units=None) for n in (1, 2)]
        ),
        r"Give --phase-scale K",
    ),
}


@pytest.mark.parametrize(("spoil", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_scan_is_told_in_one_message(spoil, message, petechia, noise_dataset, tmp_path):
    raw, out = noise_dataset(), tmp_path / "out"
    spoil(raw)
    said = petechia("run", raw, out)
    assert said.code == 2
    assert said.out == ""
    assert len(said.err.strip().splitlines()) == 1
    assert re.search(message, said.err), said.err
    crash = json.loads((out / "logs" / "sub-01_crash.json").read_text())
    assert crash["mend"]
    assert crash["where"]
    assert crash["what"] in without_places(said.err)
    assert crash["stage"] == "read"
    left = [p.name for p in out.rglob("*") if p.is_file() and "sub-01" in p.parts[-2:]]
    assert left == []  # no result, half-written or whole
    assert not list(out.rglob("*.part"))
    for path in [*out.rglob("*.json"), *out.rglob("*.log"), *out.rglob("*.html")]:
        assert str(tmp_path) not in path.read_text(encoding="utf-8")
    assert "sub-01" in (out / "index.html").read_text(encoding="utf-8")


PLACES = {
    "an empty folder": (lambda at: None, r"the folder holds no files; looked for a BIDS dataset"),
    "hidden files only": (lambda at: (at / ".x").write_text(""), r"the folder holds no files"),
    "texts": (lambda at: (at / "a.txt").write_text("hi"), r"no DICOM file among 1 files"),
    "a dataset of nothing": (
        lambda at: (at / "dataset_description.json").write_text("{}"),
        r"no gradient-echo images; looked in sub-\*",
    ),
    "NIfTI without facts": (
        lambda at: nib.save(nib.Nifti1Image(np.ones((5, 6, 7), np.float32), np.eye(4)), at / "a.nii"),
        r"a\.nii: no echo time.*EchoTime.*--te",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("fill", "message"), PLACES.values(), ids=PLACES.keys())
def test_a_place_without_scans_is_told(fill, message, petechia, tmp_path):
    (tmp_path / "in").mkdir()
    fill(tmp_path / "in")
    said = petechia("run", tmp_path / "in", tmp_path / "out")
    assert said.code == 2
    assert len(said.err.strip().splitlines()) == 1
    assert re.search(message, said.err), said.err


def test_labels_that_are_not_there_are_told_with_those_that_are(petechia, noise_dataset, tmp_path):
    raw = noise_dataset(subjects=("01", "02"))
    said = petechia("run", raw, tmp_path / "out", "--participant-label", "07")
    assert (said.code, "no sub-07. There is: 01, 02." in said.err) == (2, True)
    assert petechia("run", raw, tmp_path / "out", "--session-label", "1").code == 2
    said = petechia("run", raw, tmp_path / "out", "--subject", "x")
    assert "--subject: 'x' for a BIDS dataset" in said.err
    assert not (tmp_path / "out").exists()


def named(raw: Path) -> list[str]:
    return ["--mag", *(str(image(raw, n, "mag")) for n in (1, 2))]


FILES = {
    "too few echo times": (["--te", "0.01", "--b0", "3"], r"1 echo times \(0\.01,\) for 2 magnitude"),
    "echo times in ms": (["--te", "10,20", "--b0", "3"], r"--te: echo times .*seconds \(20 ms is 0\.02\)"),
    "an echo time twice": (["--te", "0.01,0.01", "--b0", "3"], r"do not increase"),
    "an echo time below 0": (["--te", "0.01,-0.02", "--b0", "3"], r"--te: echo times"),
    "an echo time that is none": (["--te", "0.01,x", "--b0", "3"], r"--te: 'x' is not a number"),
    "no tesla": (["--te", "0.01,0.02", "--b0", "0"], r"--b0: 0\.0 is outside \[0\.05, 25\]"),
    "gauss": (["--te", "0.01,0.02", "--b0", "30000"], r"--b0: 30000\.0 is outside"),
    "a subject with a path": (["--te", "0.01,0.02", "--b0", "3", "--subject", "../x"], r"--subject: subject '\.\./x'"),
}  # fmt: skip


@pytest.mark.parametrize(("words", "message"), FILES.values(), ids=FILES.keys())
def test_files_named_one_by_one_must_fit(words, message, petechia, noise_dataset, tmp_path):
    raw = noise_dataset()
    said = petechia("run", *named(raw), *words, "--out", tmp_path / "out")
    assert said.code == 2
    assert len(said.err.strip().splitlines()) == 1
    assert re.search(message, said.err), said.err


GIVEN = {
    "on another grid": (lambda p: np.ones((9, 9, 9)), r"m\.nii\.gz: shape \(9, 9, 9\) differs from"),
    "empty": (lambda p: np.zeros((14, 15, 12)), r"the mask holds no voxel above 0\.5"),
    "of several volumes": (lambda p: np.ones((14, 15, 12, 2)), r"2 volumes where one is needed"),
    "a phase": (
        lambda p: np.linspace(-3.14, 3.14, 2520).reshape(14, 15, 12),
        r"m\.nii\.gz: values of a mask go down to -3\.14",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("make", "message"), GIVEN.values(), ids=GIVEN.keys())
def test_a_given_mask_must_fit(make, message, petechia, noise_dataset, tmp_path):
    mask = tmp_path / "m.nii.gz"
    nib.save(nib.Nifti1Image(make(None).astype(np.uint8), np.diag([2, 2, 2, 1])), mask)
    raw = noise_dataset()
    affine = nib.load(image(raw, 1, "mag")).affine
    nib.save(nib.Nifti1Image(make(None).astype(np.float32), affine), mask)
    said = petechia("run", raw, tmp_path / "out", "--mask", mask)
    assert said.code == 2
    assert re.search(message, said.err), said.err


def test_one_mask_cannot_serve_two_people(petechia, noise_dataset, tmp_path):
    raw = noise_dataset(subjects=("01", "02"))
    mask = image(raw, 1, "mag")
    said = petechia("run", raw, tmp_path / "out", "--mask", mask)
    assert said.code == 2
    assert "one file for 2 scans" in said.err
    said = petechia("run", raw, tmp_path / "out", "--field", tmp_path / "none.nii.gz")
    assert "none.nii.gz: no such file" in said.err
    assert not (tmp_path / "out").exists()


def test_a_field_map_of_unknown_units_is_refused(petechia, noise_dataset, tmp_path):
    raw = noise_dataset()
    field = tmp_path / "f.nii.gz"
    shutil.copy(image(raw, 1, "phase"), field)
    (tmp_path / "f.json").write_text('{"Units": "parsec"}')
    said = petechia("run", raw, tmp_path / "out", "--field", field)
    assert said.code == 2
    assert "units 'parsec'. A field map is in ppm, Hz or rad/s" in said.err


def test_a_volume_without_a_brain_is_told(petechia, noise_dataset, tmp_path):
    raw = noise_dataset()

    def one_voxel(voxels):
        out = np.zeros_like(voxels)
        out[7, 7, 6] = 1000
        return out

    for echo in (1, 2):
        rewritten(image(raw, echo, "mag"), one_voxel)
    said = petechia("run", raw, tmp_path / "out")
    assert said.code == 2
    assert "there is no brain in the magnitude" in said.err


# --- DICOM


@pytest.fixture
def dicom(real_data, tmp_path):
    """A copy of a real Siemens scan to break."""
    place = tmp_path / "dicom"
    shutil.copytree(real_data / "real" / "siemens_ve11", place, copy_function=shutil.copyfile)
    place.chmod(0o755)
    for folder in place.iterdir():
        if folder.is_dir():
            folder.chmod(0o755)
    return place


def first_file(place: Path) -> Path:
    return sorted(place.rglob("*_e2.dcm"))[3]


def other_pixels(path: Path) -> None:
    import pydicom

    image = pydicom.dcmread(path)
    image.SOPInstanceUID = pydicom.uid.generate_uid()
    image.PixelData = np.full_like(image.pixel_array, 7).tobytes()
    image.save_as(path.with_name("again.dcm"))


DICOM = {
    "a slice missing": (lambda p: p.unlink(), r"1 of 36 slices missing, the first between"),
    "a slice cut in half": (lambda p: p.write_bytes(p.read_bytes()[: p.stat().st_size // 2]), r"no pixel data.*again"),
    "a slice cut in its header": (lambda p: p.write_bytes(p.read_bytes()[:200]), r"0004_e2\.dcm: ends within its header"),
    "a slice of noise": (lambda p: p.write_bytes(bytes(range(256)) * 20), r"1 of 36 slices missing"),
    "a slice repeated": (other_pixels, r"1 slices repeat a place with other content"),
}  # fmt: skip


@pytest.mark.data
@pytest.mark.parametrize(("spoil", "message"), DICOM.values(), ids=DICOM.keys())
def test_damaged_dicom_is_told_in_one_message(spoil, message, petechia, dicom, tmp_path):
    spoil(first_file(dicom))
    said = petechia("run", dicom, tmp_path / "out", "--steps", "mask")
    assert said.code == 2
    assert len(said.err.strip().splitlines()) == 1
    assert re.search(message, said.err), said.err
    assert not list((tmp_path / "out").rglob("*.nii.gz"))


@pytest.mark.data
def test_a_damaged_archive_is_told(petechia, dicom, tmp_path):
    archive = Path(shutil.make_archive(str(tmp_path / "scan"), "zip", dicom))
    archive.write_bytes(archive.read_bytes()[:-5000])
    said = petechia("run", archive, tmp_path / "out")
    assert said.code == 2
    assert "scan.zip: the zip archive is damaged" in said.err


@pytest.mark.data
def test_another_modality_is_told(petechia, dicom, tmp_path):
    import pydicom

    image = pydicom.dcmread(first_file(dicom))
    image.Modality = "CT"
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    (tmp_path / "ct").mkdir()
    image.save_as(tmp_path / "ct" / "a.dcm")
    said = petechia("run", tmp_path / "ct", tmp_path / "out")
    assert said.code == 2
    assert "no MR image: 1 CT" in said.err
