"""Real scans of people: what they give, and what they say they cannot."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

pytestmark = pytest.mark.data


def summary_of(out: Path) -> dict:
    (path,) = out.rglob("*_desc-petechia_summary.json")
    return json.loads(path.read_text(encoding="utf-8"))


def of(out: Path, name: str) -> np.ndarray:
    (path,) = out.rglob(f"sub-01_{name}.nii.gz")
    return nib.load(path).get_fdata()


FIELD_MAPS = {
    "siemens_ve11": (r"TE 7.65 ms at 3 T: ", "3 mm voxels, TE 7.65 ms"),
    "siemens_xa30": ("3.4 mm voxels, TE 12.46 ms",),
}


@pytest.mark.parametrize("name", FIELD_MAPS)
def test_field_map_scans_give_maps_and_say_why_not_microbleeds(
    name, petechia, real_data, tmp_path, departures, bids_errors
):
    said = petechia("run", real_data / "real" / name, tmp_path / "out")
    assert said.code == 0, said.err
    assert said.out.startswith("microbleeds not assessable: ")
    summary = summary_of(tmp_path / "out")
    assert summary["category"] == "not_assessable"
    reasons = " ".join(summary["not_assessable"])
    for words in FIELD_MAPS[name]:
        assert words in reasons
    assert summary["protocol"]["phase"] == "difference"
    assert summary["protocol"]["manufacturer"].lower().startswith("siemens")
    mask = of(tmp_path / "out", "desc-brain_mask") > 0
    brain_ml = mask.sum() * np.prod(summary["protocol"]["spacing_mm"]) / 1000
    assert 700 < brain_ml < 2200
    for map_name, low, high in (("desc-local_fieldmap", 0.005, 0.5), ("Chimap", 0.005, 0.5)):
        inside = of(tmp_path / "out", map_name)[mask]
        assert low < inside[inside != 0].std() < high, map_name
    assert departures(tmp_path / "out") == []
    assert bids_errors(tmp_path / "out") == []


def test_no_name_of_a_person_leaves_the_dicom(petechia, real_data, tmp_path):
    import pydicom

    place = real_data / "real" / "siemens_ve11"
    header = pydicom.dcmread(next(place.rglob("*.dcm")), stop_before_pixels=True)
    private = [
        str(header.get(key))
        for key in (
            "PatientID",
            "PatientName",
            "StudyInstanceUID",
            "SeriesInstanceUID",
            "StudyDate",
        )
        if len(str(header.get(key) or "")) > 4
    ]
    assert private
    out = tmp_path / "out"
    assert petechia("run", place, out, "--steps", "r2star", "--subject", "x7").code == 0
    for path in out.rglob("*"):
        assert path.name.startswith((".", "sub-x7", "anat", "logs", "README", "dataset_desc"))
        if path.suffix in (".json", ".log", ".html", ".md", ".tsv"):
            text = path.read_text(encoding="utf-8")
            assert not [word for word in private if word in text], path.name


@pytest.fixture
def crop(real_data) -> tuple[str, ...]:
    """Words that name the files of a 7 T multi-echo crop without skull."""
    place = real_data / "real" / "megre_crop"
    files = ("--mag", str(place / "Mag.nii.gz"), "--phase", str(place / "Phase.nii.gz"))
    return (*files, "--te", "0.004,0.008,0.012", "--b0", "7")


def test_a_crop_without_skull_shows_veins_in_swi_and_chi(petechia, crop, tmp_path, departures):
    out = tmp_path / "out"
    said = petechia("run", *crop, "--out", out)
    assert said.code == 0, said.err
    assert departures(out) == []
    mask = of(out, "desc-brain_mask") > 0
    assert mask.mean() > 0.8  # a crop of tissue is all mask
    inside = of(out, "Chimap") != 0  # where the field is valid
    chi, r2star, swi = (of(out, name)[inside] for name in ("Chimap", "R2starmap", "swi"))
    veins = r2star > np.percentile(r2star, 99.5)
    assert chi[veins].mean() > chi.std()  # paramagnetic
    assert np.median(swi[veins]) < 0.8 * np.median(swi)  # and dark
    assert (of(out, "minIP")[inside] <= swi + 1e-3 * swi.max()).all()


def test_the_steps_take_the_crop_too(petechia, crop, tmp_path):
    said = petechia("swi", *crop, tmp_path / "swi.nii.gz", "--mip", tmp_path / "mip.nii.gz")
    assert said.code == 0, said.err
    assert nib.load(tmp_path / "swi.nii.gz").get_fdata().std() > 0
    words = [word for word in crop if word not in ("--b0", "7")]
    magnitude = [*words[:2], *words[4:]]
    assert petechia("r2star", *magnitude, tmp_path / "r2star.nii.gz").code == 0
