"""The images that results were made from, found again: also those that say nothing themselves."""

import json
import shutil

import nibabel as nib
import numpy as np
import pytest

from petechia.errors import FileError
from petechia.pipeline.review.cases import ReviewFolder
from petechia.pipeline.review.images import echoes_of, numbers, pictures

SHAPE = (14, 15, 12)
TOLD = ("--te", "0.01,0.02", "--b0", "3")
MAGNITUDES = ["Magnitude, TE 10 ms", "Magnitude, TE 20 ms"]


def noise(seed, low, high):
    return np.random.default_rng(seed).uniform(low, high, SHAPE).astype(np.float32)


def parts():
    """Magnitude and phase of two echoes."""
    return [noise(n, 400, 1000) for n in (1, 2)], [noise(n, -3.14159, 3.14159) for n in (3, 4)]


def put(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, np.diag([2.0, 2.0, 2.0, 1.0])), path)
    return path


def put_pairs(place, magnitude, phase):
    """Write the files of two echoes, named by formats with the echo's number."""
    mags, phases = parts()
    return [
        [put(place / name.format(n), array) for n, array in enumerate(arrays, start=1)]
        for name, arrays in ((magnitude, mags), (phase, phases))
    ]


def comma(paths):
    return ",".join(map(str, paths))


def require_found(folder, scan):
    """Every echo is offered, and is the one that was analysed."""
    case = folder.case(scan)
    titles = [one.title for one in pictures(folder, case) if one.group == "magnitude"]
    assert titles == MAGNITUDES
    assert folder.input_says(scan) == ""
    found = echoes_of(folder.input(scan), case)
    for n, array in enumerate(parts()[0], start=1):
        np.testing.assert_allclose(found[f"magnitude_{n}"], array, rtol=1e-5)
        assert f"magnitude_{n}" in numbers(folder, case, f"magnitude_{n}")


def test_a_folder_without_sidecars(petechia, tmp_path):
    raw, out = tmp_path / "raw", tmp_path / "out"
    put_pairs(raw, "gre_e{}.nii.gz", "gre_e{}_ph.nii.gz")
    assert petechia("run", raw, out, *TOLD, "--subject", "7").code == 0
    require_found(ReviewFolder(out, raw), "sub-7")
    require_found(ReviewFolder(out, tmp_path), "sub-7")  # a folder above does as well
    bare = ReviewFolder(out)
    assert bare.input("sub-7") is None
    moved = shutil.move(raw, tmp_path / "moved")
    require_found(ReviewFolder(out, moved), "sub-7")


def test_files_named_one_by_one(petechia, tmp_path):
    raw, out = tmp_path / "raw", tmp_path / "out"
    mags, phases = put_pairs(raw, "a{}.nii.gz", "b{}.nii.gz")
    put(raw / "T1w.nii.gz", noise(9, 1, 2))
    put(raw / "c.nii.gz", noise(9, 1, 2))
    words = ("--mag", comma(mags), "--phase", comma(phases), "--out", out, *TOLD)
    assert petechia("run", *words).code == 0
    require_found(ReviewFolder(out, raw), "sub-01")
    put(mags[1], noise(8, 400, 1000))
    folder = ReviewFolder(out, raw)
    with pytest.raises(FileError, match="1 of 1 files are not those that were analysed"):
        numbers(folder, folder.case("sub-01"), "magnitude_2")


def test_images_of_which_one_is_gone_are_not_at_hand(petechia, tmp_path):
    raw, out = tmp_path / "raw", tmp_path / "out"
    mags, phases = put_pairs(raw, "a{}_T2.nii.gz", "b{}_T2.nii.gz")
    words = ("--mag", comma(mags), "--phase", comma(phases), "--out", out, *TOLD)
    assert petechia("run", *words).code == 0
    require_found(ReviewFolder(out, raw), "sub-01")  # though none is a gradient echo by its name
    mags[1].unlink()
    folder = ReviewFolder(out, raw)
    titles = [one.title for one in pictures(folder, folder.case("sub-01"))]
    assert titles[0] == "Computed magnitude, TE 20 ms (the images are not at hand)"
    assert "no gradient echo by its name (T2)" in folder.input_says("sub-01")


def test_files_of_one_name_in_two_folders(petechia, tmp_path):
    raw, out = tmp_path / "raw", tmp_path / "out"
    mags, phases = put_pairs(raw, "mag/echo{}.nii.gz", "pha/echo{}.nii.gz")
    words = ("--mag", comma(mags), "--phase", comma(phases), "--out", out, *TOLD)
    assert petechia("run", *words).code == 0
    (path,) = out.rglob("*_summary.json")
    summary = json.loads(path.read_text())
    names = ["mag/echo1.nii.gz", "mag/echo2.nii.gz", "pha/echo1.nii.gz", "pha/echo2.nii.gz"]
    assert sorted(summary["input_sha256"]) == names
    assert summary["source"]["images"]["pha/echo2.nii.gz"] == {"role": "phase", "te_s": [0.02]}
    require_found(ReviewFolder(out, raw), "sub-01")
    flat = tmp_path / "flat"  # told from others of their names by their bytes
    for n, path in enumerate([*phases, *mags]):
        (flat / str(n)).mkdir(parents=True)
        shutil.copy(path, flat / str(n))
    require_found(ReviewFolder(out, flat), "sub-01")


def test_real_and_imaginary_parts_without_sidecars(petechia, tmp_path):
    raw, out = tmp_path / "raw", tmp_path / "out"
    for n, (mag, phase) in enumerate(zip(*parts(), strict=True), start=1):
        signal = mag * np.exp(1j * phase)
        put(raw / f"gre_e{n}_real.nii.gz", signal.real.astype(np.float32))
        put(raw / f"gre_e{n}_imaginary.nii.gz", signal.imag.astype(np.float32))
    assert petechia("run", raw, out, *TOLD).code == 0
    require_found(ReviewFolder(out, raw), "sub-01")


def test_results_that_tell_nothing_of_their_images(petechia, tmp_path):
    raw, out = tmp_path / "raw", tmp_path / "out"
    put_pairs(raw, "gre_e{}.nii.gz", "gre_e{}_ph.nii.gz")
    assert petechia("run", raw, out, *TOLD).code == 0
    (path,) = out.rglob("*_summary.json")
    summary = json.loads(path.read_text())
    del summary["source"]["images"]
    path.write_text(json.dumps(summary))
    folder = ReviewFolder(out, raw)
    with pytest.raises(FileError, match="no echo time"):
        numbers(folder, folder.case("sub-01"), "magnitude_1")
