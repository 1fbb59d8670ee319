"""The best anatomy beside a scan is used, and what does not fit is said."""

from dataclasses import replace

import numpy as np
import pytest

from petechia.anatomy.regions import Regions
from petechia.anatomy.registration import Registration
from petechia.core.echoes import Echoes
from petechia.core.grid import Grid
from petechia.files.scan import Beside, Header, Scan, ScanName
from petechia.files.writing import write_nifti
from petechia.pipeline import companions, iron, sites, stages
from petechia.pipeline.settings import Settings
from petechia.pipeline.stages import template
from petechia.pipeline.work import Work

GRID = Grid.from_spacing((12, 12, 12), (4.0, 4.0, 4.0))
MASK = np.ones(GRID.shape, bool)
IMAGE = np.ones(GRID.shape, np.float32)


@pytest.fixture
def fit():
    return Registration(
        matrix=np.eye(4), scan_grid=GRID, template_grid=template().grid,
        quality=0.8, ok=True, says="own fit",
    )  # fmt: skip


@pytest.fixture
def work():
    echoes = Echoes(magnitude=IMAGE[None], te_s=(0.02,), b0_t=3.0, grid=GRID)
    name = ScanName((("sub", "01"),))
    scan = Scan(echoes=echoes, name=name, header=Header(), kind="arrays", sources=())
    return Work(scan=scan, settings=Settings())


@pytest.fixture
def beside(tmp_path):
    for name in ("t1w", "t2w", "seg"):
        write_nifti(tmp_path / f"{name}.nii.gz", IMAGE, GRID)
    return Beside(
        t1w=tmp_path / "t1w.nii.gz",
        t2w=tmp_path / "t2w.nii.gz",
        segmentation=tmp_path / "seg.nii.gz",
    )


def found(fit, beside):
    return sites.find_sites(IMAGE, MASK, GRID, template(), beside, fit, outline_tells=False)


@pytest.fixture
def answers(monkeypatch, fit):
    """What each way says, without the work; an own fit is taken as it is."""
    told = {"T1w": "no fit (T1w)", "T2w": "no fit (T2w)"}

    def companion(own, rigid, mask, image, grid, there, name):
        return told[name]

    monkeypatch.setattr(companions, "to_companion", lambda *_: (np.eye(4), 0.9))
    monkeypatch.setattr(sites, "through_companion", companion)
    monkeypatch.setattr(sites, "deform", lambda registration, *_: registration)
    return told


def test_alone_the_scan_is_registered_itself(fit, answers):
    out = found(fit, Beside())
    assert (out.by, out.says) == ("own", ())
    assert out.registration is fit


def test_what_does_not_fit_is_left_out_in_order_and_said(fit, answers, beside):
    out = found(fit, beside)
    assert out.by == "own"
    assert [line.split()[0] for line in out.says] == ["seg.nii.gz", "t1w.nii.gz", "t2w.nii.gz"]
    assert "cortical parcels" in out.says[0]
    assert "no fit (T2w)" in out.says[2]


def test_t1w_comes_before_t2w(fit, answers, beside):
    better = replace(fit, says="by way")
    answers["T1w"] = answers["T2w"] = better
    out = found(fit, replace(beside, segmentation=None))
    assert (out.by, out.says) == ("T1w", ())
    assert out.registration is better
    answers["T1w"] = "no fit"
    assert found(fit, replace(beside, segmentation=None)).by == "T2w"


def test_a_segmentation_comes_first(fit, answers, beside, monkeypatch):
    labels = np.ones(GRID.shape, np.int16)
    good = Regions(labels=labels, table=(), grid=GRID, ok=True, says="from a segmentation")
    monkeypatch.setattr(sites, "_segmented", lambda *_: good)
    monkeypatch.setattr(sites, "label_regions", lambda *_: good)
    out = found(fit, beside)
    assert out.by == "segmentation"
    assert out.regions is good
    elsewhere = replace(good, labels=np.where(MASK, 2, 0).astype(np.int16))
    monkeypatch.setattr(sites, "label_regions", lambda *_: elsewhere)
    out = found(fit, beside)
    assert out.by == "own"
    assert "only 0% of its sites" in out.says[0]


def test_a_segmentation_of_a_scan_that_fits_nothing_needs_its_t1w(fit, answers, beside):
    out = found(replace(fit, ok=False, says="turned"), replace(beside, t1w=None, t2w=None))
    assert out.by == "own"
    assert "nothing tells whether it lies where the scan does (turned)" in out.says[0]


def test_every_way_has_its_words(fit, answers):
    assert set(sites.HOW) == {"segmentation", "T1w", "T2w", "own", "outline"}
    assert found(fit, Beside()).by in sites.HOW


def test_a_given_brain_that_agrees_with_no_template_is_placed_by_its_outline(monkeypatch):
    there = template()
    grid = Grid.from_spacing((36, 42, 34), (5.0, 5.0, 5.0))
    centre = there.grid.to_mm(np.argwhere(there.brain).mean(axis=0))
    affine = grid.affine.copy()
    affine[:3, 3] = centre - affine[:3, :3] @ ((np.array(grid.shape) - 1) / 2)
    grid = Grid(grid.shape, affine)
    plain = Registration(
        matrix=np.eye(4), scan_grid=grid, template_grid=there.grid, quality=0.0, ok=True, says=""
    )
    brain = plain.to_scan(there.brain.astype(np.uint8)) > 0
    noise = np.random.default_rng(3).normal(100.0, 20.0, grid.shape).astype(np.float32) * brain
    monkeypatch.setattr(sites, "register", lambda *_, **__: replace(plain, ok=False, says="no fit"))
    monkeypatch.setattr(sites, "deform", lambda fit, *_: replace(fit, says="deformed"))
    out = sites.find_sites(noise, brain, grid, there, Beside(), outline_tells=True)
    assert (out.by, out.says) == ("outline", (sites.BY_OUTLINE,))
    assert out.registration.ok
    assert not out.registration.precise  # no nucleus, no prior of fluid by it
    assert "deformed" not in out.regions.says
    assert out.regions.ok
    true = plain.to_scan(there.regions)
    both = (true > 0) & brain
    assert np.mean(out.regions.labels[both] == true[both]) > 0.85
    # the outline of a mask that the template has made would tell nothing
    again = sites.find_sites(
        noise, brain, grid, there, Beside(), replace(plain, ok=False, says=""), outline_tells=False
    )
    assert not again.regions.ok


@pytest.mark.parametrize(
    ("by", "ok", "status"),
    [("own", True, "ok"), ("outline", True, "limited"), ("own", False, "refused")],
)
def test_sites_by_the_outline_are_limited_and_said_so(monkeypatch, fit, work, by, ok, status):
    work.mask = MASK
    labels = np.full(GRID.shape, int(ok), np.int16)
    regions = Regions(labels=labels, table=(), grid=GRID, ok=ok, says="how it fits")
    says = (sites.BY_OUTLINE,) if by == "outline" else ()
    told = sites.Sites(registration=fit, regions=regions, by=by, says=says)
    monkeypatch.setattr(stages, "find_sites", lambda *_, **__: told)
    stages.regions_stage(work)
    (check,) = work.checks
    assert (check.check, check.status) == ("registration", status)
    assert ("sites" in check.forbids) == (not ok)
    assert any("outline" in text for text in work.warnings) == (by == "outline")


def test_by_the_outline_no_nucleus_is_read(fit, work):
    work.registration = fit
    assert iron.nuclei_masks(work)
    work.registration = replace(fit, by="outline")
    assert not iron.nuclei_masks(work)
