"""What is written is what is read, in every vendor's way."""

import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pydicom
import pytest

from petechia.core.echoes import Echoes
from petechia.core.grid import Grid
from petechia.core.units import wrap
from petechia.errors import ParameterError
from petechia.files.dicom.find import find_dicom_scans
from petechia.files.dicom.write import SEQUENCES, DicomStyle, write_dicom
from petechia.files.scan import Header

HEADER = Header(acquisition_type="3D", slice_thickness_mm=1.5, tr_s=0.03, flip_deg=15.0)


@pytest.fixture(scope="module")
def echoes():
    rng = np.random.default_rng(0)
    c, s = np.cos(0.3), np.sin(0.3)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) * (0.8, 0.9, 1.5)
    affine[:3, 3] = (-12.0, -9.0, 4.0)
    shape = (31, 27, 17)
    # smooth across slices, as a head is, so that an alternating sign can be told
    x, y, z = np.indices(shape) / 30
    field = 9 * x * y + 4 * y - 3 * z + 2 * x**2
    te_s = (0.006, 0.012)
    magnitude = np.stack([900 * (1.2 + np.cos(3 * x + y + z)) * np.exp(-te * 30) for te in te_s])
    phase = np.stack([wrap((1.0 + field * te / 0.004).astype(np.float32)) for te in te_s])
    magnitude = magnitude + rng.normal(0, 2, magnitude.shape)
    return Echoes(
        magnitude=magnitude.astype(np.float32), phase_rad=phase, te_s=te_s, b0_t=3.0,
        grid=Grid(shape, affine),
    )  # fmt: skip


@pytest.mark.parametrize("form", ["classic", "enhanced"])
@pytest.mark.parametrize(
    ("vendor", "alternating"),
    [("siemens", False), ("philips", False), ("ge", False), ("ge", True)],
)
def test_round_trip(tmp_path, echoes, form, vendor, alternating):
    style = DicomStyle(form=form, vendor=vendor, alternating=alternating)
    files = write_dicom(tmp_path / "scan", echoes, HEADER, style)
    assert len(files) == (1 if form == "enhanced" else 34) * (3 if vendor == "ge" else 2)
    (ref,) = find_dicom_scans(tmp_path, subject="01")
    scan = ref.load()
    assert scan.echoes.te_s == echoes.te_s
    assert scan.echoes.b0_t == 3.0
    assert scan.header.tr_s == 0.03
    np.testing.assert_allclose(scan.echoes.grid.affine, echoes.grid.affine, atol=1e-4)
    np.testing.assert_allclose(scan.echoes.magnitude, echoes.magnitude, atol=1.5)
    error = np.abs(wrap(scan.echoes.phase_rad - style.sign * echoes.phase_rad))
    assert error.max() < 0.006
    assert style.sign == (-1 if vendor == "ge" else 1)


def test_other_scans_of_one_name_have_other_identifiers(tmp_path, echoes):
    def identifiers(place, scan):
        files = write_dicom(tmp_path / place / "sub-01", scan, HEADER, DicomStyle(form="enhanced"))
        read = [pydicom.dcmread(file, stop_before_pixels=True) for file in files]
        assert len({ds.StudyInstanceUID for ds in read}) == 1
        return {ds.StudyInstanceUID for ds in read} | {ds.SOPInstanceUID for ds in read}

    first, again = identifiers("a", echoes), identifiers("b", echoes)
    other = identifiers("c", replace(echoes, magnitude=echoes.magnitude + 1))
    assert first == again
    assert not first & other


def test_magnitude_alone(tmp_path, echoes):
    alone = Echoes(
        magnitude=echoes.magnitude[:1], phase_rad=None, te_s=(0.03,), b0_t=1.5, grid=echoes.grid
    )
    write_dicom(tmp_path, alone, HEADER, DicomStyle())
    (ref,) = find_dicom_scans(tmp_path, subject="01")
    assert ref.load().echoes.phase_rad is None


@pytest.mark.parametrize(
    ("change", "says"),
    [({"vendor": "acme"}, "vendor = 'acme'.*philips"), ({"handedness": 0}, "handedness = 0")],
)
def test_unknown_ways_are_refused(change, says):
    with pytest.raises(ParameterError, match=says):
        DicomStyle(**change)


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="no dciodvfy")
@pytest.mark.parametrize("form", ["classic", "enhanced"])
@pytest.mark.parametrize("vendor", ["siemens", "ge", "philips"])
def test_the_validator_finds_no_error_in_what_is_written(tmp_path, form, vendor):
    """Every kind of sequence, one file of each part."""
    grid = Grid((6, 5, 3), np.diag([2.0, 2.0, 3.0, 1.0]))
    rng = np.random.default_rng(1)
    two = Echoes(
        magnitude=rng.uniform(1, 900, (2, *grid.shape)).astype(np.float32),
        phase_rad=rng.uniform(-3, 3, (2, *grid.shape)).astype(np.float32),
        te_s=(0.005, 0.02), b0_t=3.0, grid=grid,
    )  # fmt: skip
    one = replace(two, magnitude=two.magnitude[:1], phase_rad=None, te_s=(0.1,), phase_te_s=())
    style = DicomStyle(form=form, vendor=vendor)
    for n, kind in enumerate(SEQUENCES):
        header = Header(acquisition_type="2D" if kind == "FLAIR" else "3D", tr_s=1, flip_deg=15.0)
        echoes = two if kind == "GRE" else one
        files = write_dicom(tmp_path, echoes, header, style, series=10 * n, kind=kind)
        for path in {path.name.split("_")[1]: path for path in files}.values():
            done = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
            errors = [line for line in done.stderr.splitlines() if line.startswith("Error")]
            assert errors == [], (kind, path.name)
