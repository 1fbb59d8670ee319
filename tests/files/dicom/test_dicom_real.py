"""Real human scans, against an independent converter."""

import subprocess
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from petechia.files.dicom import find_dicom_scans

pytestmark = pytest.mark.data

SCANS = {
    "siemens_ve11": {"te_s": (0.00519, 0.00765), "shape": (64, 64, 36), "n_files": 108, "mm": (3.0, 3.0, 3.6), "thick": 3.0, "tr_s": 0.4},
    "siemens_xa30": {"te_s": (0.010, 0.01246), "shape": (64, 64, 33), "n_files": 3, "mm": (3.375, 3.375, 3.4), "thick": 3.4, "tr_s": 0.6},
}  # fmt: skip


@pytest.fixture(scope="module", params=SCANS, ids=list(SCANS))
def real(request, real_data):
    (ref,) = find_dicom_scans(real_data / "real" / request.param)
    return real_data / "real" / request.param, ref.load(), SCANS[request.param]


def test_facts(real):
    _, scan, want = real
    echoes = scan.echoes
    assert echoes.te_s == pytest.approx(want["te_s"])
    assert echoes.b0_t == pytest.approx(3.0)
    assert echoes.grid.shape == want["shape"]
    np.testing.assert_allclose(echoes.grid.spacing_mm, want["mm"], rtol=1e-4)
    assert scan.header.slice_thickness_mm == want["thick"]
    assert scan.header.acquisition_type == "2D"
    assert scan.header.tr_s == want["tr_s"]
    assert scan.header.sequence_name == "*fm2d2r"
    assert len(scan.sources) == want["n_files"]
    assert scan.name.prefix == "sub-01"


def test_phase_is_a_difference_with_the_time_between_the_echoes(real):
    _, scan, _ = real
    assert scan.echoes.phase_is_difference
    assert scan.echoes.phase_te_s == pytest.approx((0.00246,))
    phase = scan.echoes.phase_rad
    assert phase.shape[0] == 1
    assert -np.pi - 1e-6 <= phase.min() < -3.1
    assert 3.1 < phase.max() <= np.pi
    # inside the head the field of a shimmed brain is within some 100 Hz
    head = scan.echoes.magnitude[0] > np.percentile(scan.echoes.magnitude[0], 80)
    field_hz = phase[0][head] / (2 * np.pi * 0.00246)
    assert np.median(np.abs(field_hz)) < 100


def test_same_values_at_the_same_place_as_dcm2niix(real, tmp_path):
    """The converter flips array axes; the content of each place in the world must agree."""
    dcm2niix = pytest.importorskip("dcm2niix")
    if not Path(dcm2niix.bin).exists():
        pytest.skip("dcm2niix has no binary here")
    place, scan, want = real
    done = subprocess.run(
        [dcm2niix.bin, "-b", "n", "-z", "n", "-f", "%s_%e", "-o", tmp_path, place],
        capture_output=True,
        text=True,
        check=False,
    )
    files = sorted(tmp_path.glob("*.nii"))
    assert len(files) == 3, done.stdout
    theirs = [nib.load(f) for f in files]
    echoes = scan.echoes
    mag = [(t, echoes.magnitude[n], 1.0) for n, t in enumerate(theirs[:2])]
    images = [*mag, (theirs[2], echoes.phase_rad[0], np.pi / 4096)]
    index = np.stack(np.meshgrid(*[np.arange(n) for n in want["shape"]], indexing="ij"), -1)
    world = echoes.grid.to_mm(index)
    for image, ours, unit in images:
        there = nib.affines.apply_affine(np.linalg.inv(image.affine), world)
        nearest = np.rint(there).astype(int)
        assert np.abs(there - nearest).max() < 0.01
        values = np.asarray(image.dataobj, dtype=np.float64)[tuple(np.moveaxis(nearest, -1, 0))]
        np.testing.assert_allclose(ours, values * unit, atol=2e-6)


def test_two_scans_of_different_people_look_like_runs_only_when_ids_agree(real_data):
    """The test scans are anonymised alike: together they are two runs, by series number."""
    refs = find_dicom_scans(real_data / "real")
    assert [r.name.prefix for r in refs] == ["sub-01_run-1", "sub-01_run-2"]
    assert [len(r.paths) for r in refs] == [108, 3]
