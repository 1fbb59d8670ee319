"""A FLAIR beside a scan: read where it lies, refused where it does not, said either way."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from petechia.anatomy.companion import to_companion
from petechia.anatomy.regions import label_regions
from petechia.anatomy.registration import Registration
from petechia.anatomy.starts import turned
from petechia.anatomy.template import template_from
from petechia.anatomy.tissue import Tissue
from petechia.assets.store import load_arrays
from petechia.core.echoes import Echoes
from petechia.core.grid import Grid
from petechia.files import writing
from petechia.files.scan import Beside, Header, Scan, ScanName
from petechia.lesions.detect import Detection
from petechia.lesions.findings import from_row
from petechia.pipeline import companions, iron
from petechia.pipeline.settings import Settings
from petechia.pipeline.signs import judge_edema, read_signs, signs_told
from petechia.pipeline.work import Work

MM = 3.0
MOVED = np.eye(4)
MOVED[:3, :3] = turned((2, -2, 3))
MOVED[:3, 3] = (3.0, -4.0, 2.0)
"""Scan RAS to FLAIR RAS: the head moved between the two."""
PATCH_MM = (40.0, -40.0, 38.0)
"""Middle of edema, template RAS."""


def grid_of(mm, shift=(0.0, 0.0, 0.0)):
    shape = tuple(int(e / mm) for e in (186, 222, 186))
    affine = np.diag([mm, mm, mm, 1.0])
    affine[:3, 3] = (
        np.array([0.0, -18.0, 8.0]) + shift - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    )
    return Grid(shape, affine)


def laid(volume, own, grid, world):
    to = np.linalg.inv(own.affine) @ world @ grid.affine
    return ndimage.affine_transform(volume, to[:3, :3], to[:3, 3], grid.shape, order=1)


@pytest.fixture(scope="module")
def arrays():
    return load_arrays("template")


@pytest.fixture(scope="module")
def work(arrays):
    there, grid = template_from(arrays), grid_of(MM)
    brain = arrays["brain_mask"] > 0
    parts = {k: np.asarray(arrays[k], dtype=np.float32) for k in ("gm", "wm", "csf")}
    outside = 0.4 * arrays["t1"].astype(np.float32)
    signal = np.where(brain, 90 * parts["gm"] + 72 * parts["wm"] + 115 * parts["csf"], outside)
    rng = np.random.default_rng(1)
    magnitude = laid(signal.astype(np.float32), there.grid, grid, np.eye(4))
    magnitude = np.abs(magnitude + rng.normal(0, 1.5, grid.shape)).astype(np.float32)
    fit = Registration(
        matrix=np.eye(4), scan_grid=grid, template_grid=there.grid, quality=0.8, ok=True,
        says="exact",
    )  # fmt: skip
    mask = laid(brain.astype(np.float32), there.grid, grid, np.eye(4)) > 0.5
    scan = Scan(
        echoes=Echoes(magnitude=magnitude[None], phase_rad=None, te_s=(0.02,), b0_t=3.0, grid=grid),
        name=ScanName((("sub", "01"),)), header=Header(), kind="NIfTI", sources=(),
    )  # fmt: skip
    made = Work(scan=scan, settings=Settings())
    made.mask, made.registration = mask, fit
    made.regions = label_regions(fit, there, mask, grid)
    csf = laid(parts["csf"] * brain, there.grid, grid, np.eye(4)).astype(np.float32)
    made.tissue = Tissue(csf=csf, ventricles=csf > 0.9, told=True, says="known")
    return made


def exam(work, **images):
    """The same scan with other images beside it."""
    work.beside, work.warnings, work._companions = Beside(**images), [], None


def flair_of(arrays, grid, bent=lambda volume: volume):
    """Return a FLAIR of the same head with a patch of edema, or of a head bent otherwise."""
    there = template_from(arrays).grid
    parts = {k: np.asarray(arrays[k], dtype=np.float32) for k in ("gm", "wm", "csf")}
    places = there.to_mm(np.moveaxis(np.indices(there.shape), 0, -1))
    patch = np.linalg.norm(places - PATCH_MM, axis=-1) < 15
    brain = arrays["brain_mask"] > 0
    signal = np.where(
        brain, 118 * parts["gm"] + 100 * parts["wm"] + 8 * parts["csf"],
        0.4 * arrays["t1"].astype(np.float32),
    )  # fmt: skip
    signal = np.where(patch & brain & (parts["csf"] < 0.8), 190, signal).astype(np.float32)
    image = laid(bent(signal), there, grid, np.linalg.inv(MOVED))
    rng = np.random.default_rng(2)
    return np.abs(image + rng.normal(0, 2, grid.shape)).astype(np.float32)


@pytest.fixture(scope="module")
def flair(arrays, tmp_path_factory):
    """On a grid of its own, head moved."""
    grid = grid_of(2.0, (4.0, -3.0, 5.0))
    path = tmp_path_factory.mktemp("flair") / "sub-01_FLAIR.nii.gz"
    writing.write_nifti(path, flair_of(arrays, grid), grid)
    return path


ROW = {
    "index": "1", "name": "microbleed 1", "class": "microbleed", "sign": "paramagnetic",
    "probability": "0.9", "counted": "1", "mars": "definite", "x_mm": "0", "y_mm": "0", "z_mm": "0",
    "volume_mm3": "27", "diameter_mm": "3", "moment_ppm_mm3": "3", "moment_se_ppm_mm3": "0.2",
    "chi_mean_ppm": "0.3", "side": "right", "site": "parietal", "compartment": "lobar",
    "parenchyma_fraction": "1", "sphericity": "0.8", "margin_sharpness": "0.5",
    "homogeneity": "0.5", "evidence": "x", "criteria": "no edema: not assessed",
}  # fmt: skip


OPPOSITE_MM = (-40.0, -40.0, 38.0)


def judged(work, *places_mm):
    """What is said of edema around findings at places."""
    labels = np.zeros(work.grid.shape, dtype=np.int32)
    for n, at in enumerate(places_mm, start=1):
        labels[tuple(np.rint(work.grid.to_index(at)).astype(int))] = n
    findings = tuple(from_row(ROW | {"index": str(n + 1)}) for n in range(len(places_mm)))
    work.detection = Detection(findings=findings, labels=labels, says=())
    judge_edema(work)
    words = [finding.criteria["no edema"] for finding in work.detection.findings]
    work.detection = None
    return words


def test_a_flair_is_read_and_edema_is_told_at_a_finding(work, flair, arrays):
    exam(work, flair=flair)
    read_signs(work, arrays)
    told = signs_told(work)
    assert told["files"] == {"FLAIR": flair.name}
    assert told["fluid_agreement"]["FLAIR"] > 0.9
    assert told["signs"]["edema"]["state"] in ("yes", "unsure"), told["signs"]["edema"]
    assert told["signs"]["edema"]["high"] == 1
    (place,) = [p for p in told["places"] if p["sign"] == "edema"]
    away = np.subtract([place[k] for k in ("x_mm", "y_mm", "z_mm")], PATCH_MM)
    assert np.linalg.norm(away) < 8  # on the gradient echo, though the head moved
    for name in ("basal_ganglia_pvs", "centrum_semiovale_pvs", "sulcal_effusion"):
        assert told["signs"][name]["state"] == "not_assessed"
        assert told["signs"][name]["measure"] == ""
    assert judged(work, PATCH_MM, OPPOSITE_MM) == ["not met", "met"]
    # as bright, but no patch like edema: which of the two it is stays open
    signs = work.signs
    work.signs = replace(signs, edema=np.zeros_like(signs.edema))
    assert judged(work, PATCH_MM, OPPOSITE_MM) == ["not assessed", "met"]
    # the FLAIR ends before the finding
    work.signs = replace(
        signs, seen=signs.seen & (np.arange(work.grid.shape[0]) > 40)[:, None, None]
    )
    assert judged(work, PATCH_MM, OPPOSITE_MM) == ["not met", "not assessed"]


def test_an_image_that_is_not_of_this_head_is_refused(work, flair, arrays, tmp_path):
    rng = np.random.default_rng(4)
    grid = grid_of(3.0)
    noise = ndimage.gaussian_filter(rng.normal(0, 1, grid.shape), 1.0)
    other = tmp_path / "sub-01_FLAIR.nii.gz"
    writing.write_nifti(other, np.abs(100 + 300 * noise).astype(np.float32), grid)
    exam(work, flair=other)
    read_signs(work, arrays)
    told = signs_told(work)
    assert {s["state"] for s in told["signs"].values()} == {"not_assessed"}
    assert told["signs"]["lacunes"]["why_not"] == "the FLAIR does not fit"
    assert any("was not read for signs" in text for text in work.warnings)


def sliced(mm=5.0):
    """Axial slices of `mm`, pixels of 1.5 mm."""
    whole = grid_of(1.5)
    n = int(whole.shape[2] * 1.5 / mm)
    affine = whole.affine.copy()
    affine[:3, 2] *= mm / 1.5
    return Grid((*whole.shape[:2], n), affine)


def bent(volume):
    """A head of another form."""
    at = np.indices(volume.shape, dtype=np.float32)
    wave = [7 * np.sin(2 * np.pi * at[(n + 1) % 3] / (70 + 11 * n)) for n in range(3)]
    return ndimage.map_coordinates(volume, at + np.stack(wave), order=1)


def test_thick_slices_are_read_and_another_persons_are_refused(work, arrays, tmp_path):
    """Slices of 5 mm show edema too; a head of other form does not show fluid where this one does."""
    grid, path = sliced(), tmp_path / "sub-01_FLAIR.nii.gz"
    writing.write_nifti(path, flair_of(arrays, grid), grid)
    exam(work, flair=path)
    read_signs(work, arrays)
    told = signs_told(work)
    assert told["fluid_agreement"]["FLAIR"] > 0.85
    assert told["signs"]["edema"]["state"] in ("yes", "unsure")

    writing.write_nifti(path, flair_of(arrays, grid, bent), grid)
    exam(work, flair=path)
    read_signs(work, arrays)
    told = signs_told(work)
    assert told["files"] == {}, told["fluid_agreement"]
    assert any("was not read for signs" in text for text in work.warnings)


def test_one_registration_and_one_decision_serve_signs_and_the_stage_of_bleeds(
    work, flair, arrays, tmp_path, monkeypatch
):
    """Dark fluid as on a FLAIR is dark on a T1w, too."""
    grid, asked = grid_of(3.0), []
    own, other = (tmp_path / f"sub-01_{name}_T1w.nii.gz" for name in ("acq-own", "acq-other"))
    writing.write_nifti(own, flair_of(arrays, grid), grid)
    writing.write_nifti(other, flair_of(arrays, grid, lambda v: np.roll(v, 14, axis=1)), grid)

    def counted(*arrays_and_grids):
        asked.append(arrays_and_grids)
        return to_companion(*arrays_and_grids)

    monkeypatch.setattr(companions, "to_companion", counted)
    exam(work, flair=flair, t1w=own)
    read_signs(work, arrays)
    image = iron._beside(work)["T1w"]
    assert len(asked) == 2
    assert set(signs_told(work)["files"]) == {"FLAIR", "T1w"}
    inner = ndimage.binary_erosion(work.mask, iterations=3)
    assert np.isfinite(image[inner]).all()
    # as sharply registered, but its ventricles lie elsewhere
    monkeypatch.setattr(companions, "to_companion", lambda *_: (MOVED, 0.5))
    exam(work, flair=flair, t1w=other)
    read_signs(work, arrays)
    assert set(signs_told(work)["files"]) == {"FLAIR"}
    assert iron._beside(work) == {}
    assert any("not used for the stage of bleeds: it shows fluid" in t for t in work.warnings)


def test_what_is_not_sharply_registered_tells_no_stage(work, flair, monkeypatch):
    monkeypatch.setattr(companions, "to_companion", lambda *_: (np.eye(4), 0.1))
    exam(work, t1w=flair)
    assert iron._beside(work) == {}
    assert "it does not fit the gradient echo (0.10)" in work.warnings[0]


def test_a_last_plane_that_lies_off_by_a_rounding_error_is_kept():
    """Not so a plane that the image does not have."""
    grid = Grid((6, 7, 8))
    image = np.full(grid.shape, 5.0, np.float32)
    off = np.eye(4)
    off[:3, 3] = 1e-7
    there = companions.Companion(image=image, grid=grid, rigid=off, peak=1.0)
    assert np.isfinite(there.on(grid)).all()
    off[2, 3] = 1.0
    assert np.isnan(there.on(grid)[:, :, -1]).all()
    assert there.on(grid)[:, :, :-1] == pytest.approx(5.0, abs=1e-4)


def test_without_other_scans_the_reason_is_said(work, arrays):
    exam(work)
    read_signs(work, arrays)
    told = signs_told(work)["signs"]
    assert "the exam has no FLAIR" in {s["why_not"] for s in told.values()}
    assert {s["state"] for s in told.values()} == {"not_assessed"}
    assert work.warnings == []


def test_without_sites_nothing_is_read(work, flair, arrays):
    kept = work.registration
    exam(work, flair=flair)
    work.registration = replace(kept, ok=False)
    try:
        read_signs(work, arrays)
    finally:
        work.registration = kept
    told = signs_told(work)["signs"]
    assert told["lacunes"]["why_not"] == "the anatomy of the gradient echo is not known"
    assert {s["state"] for s in told.values()} == {"not_assessed"}
