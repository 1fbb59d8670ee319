"""A dark paramagnetic sheet at the cortex is told; veins, balls and calcium are not."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.errors import ParameterError
from petechia.lesions.criteria import extent, summarise
from petechia.lesions.detect import detect
from petechia.lesions.inputs import LesionInputs
from petechia.lesions.params import DetectParams
from petechia.lesions.siderosis import SiderosisParams, find_siderosis

GRID = Grid((60, 64, 40), np.diag([1.0, 1.0, 1.2, 1.0]))


def places():
    axes = [(np.arange(n) - n // 2) * d for n, d in zip(GRID.shape, GRID.spacing_mm, strict=True)]
    return np.moveaxis(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1), -1, 0)


X, Y, Z = places()
BRAIN = np.sqrt(X**2 + Y**2 + Z**2) < 23
SULCUS = BRAIN & (np.abs(X) < 2)
LOBE = SimpleNamespace(name="left frontal", site="frontal", side="left", compartment="lobar")
DEEP = SimpleNamespace(name="left thalamus", site="thalamus", side="left", compartment="deep")
BANK = BRAIN & (np.abs(X - 3) < 1.1) & (np.hypot(Y, Z) < 11)


def scan(dark, chi=0.15, seed=3, **more):
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 0.03, GRID.shape)
    image = (BRAIN * (1 - 0.6 * dark) + noise).clip(0).astype(np.float32)
    given = {
        "swi": image,
        "chi_ppm": (chi * dark + rng.normal(0, 0.01, GRID.shape)).astype(np.float32),
        "csf": SULCUS.astype(np.float32),
        "region_of": lambda _: LOBE,
    }
    return LesionInputs(
        grid=GRID,
        brain_mask=BRAIN,
        b0_t=3.0,
        reading_te_s=0.02,
        magnitude=image,
        **(given | more),
    )


def sheets_of(given):
    return find_siderosis(given)[0]


def test_a_sheet_on_the_bank_of_a_sulcus_is_told():
    (found,) = sheets_of(scan(BANK))
    assert found.length_mm > 18
    assert found.width_mm > 15
    assert found.chi_ppm == pytest.approx(0.15, abs=0.02)
    assert BANK[tuple(found.body.T)].mean() > 0.95
    assert "for the reader" in found.evidence()


def test_veins_balls_calcium_and_deep_sheets_are_not():
    vein = BRAIN & (np.hypot(X - 3, Z) < 1.2)
    ball = np.sqrt((X - 4) ** 2 + Y**2 + Z**2) < 3
    hematoma = np.sqrt((X - 6) ** 2 + Y**2 + Z**2) < 7
    deep = BRAIN & (np.abs(X - 10) < 1.1) & (np.hypot(Y, Z) < 9)
    for body in (vein, ball, hematoma, deep, np.zeros_like(BRAIN)):
        assert sheets_of(scan(body)) == []
    assert sheets_of(scan(BANK, chi=-0.15)) == []


def test_one_kind_of_evidence_is_not_enough():
    flat = np.random.default_rng(4).normal(0, 0.01, GRID.shape).astype(np.float32)
    assert sheets_of(scan(BANK, chi_ppm=flat)) == []
    given = scan(BANK)
    bright = np.where(BRAIN, 1 + 3 * flat, 0).astype(np.float32)
    assert sheets_of(replace(given, magnitude=bright)) == []
    slow = np.where(BRAIN, 15 + 100 * flat, 0).astype(np.float32)
    assert sheets_of(replace(given, r2star=slow)) == []
    assert len(sheets_of(replace(given, r2star=slow + 30 * BANK))) == 1


def test_a_sheet_outside_the_lobes_is_not():
    assert sheets_of(scan(BANK, region_of=lambda _: DEEP)) == []


def test_what_a_scan_cannot_answer_has_a_reason():
    assert find_siderosis(scan(BANK))[1] is None
    near_air = scan(BANK, air_mask=np.abs(X) < 14)
    for given, words in (
        (scan(BANK, chi_ppm=None), "without phase"),
        (scan(BANK, sign_trusted=False), "sign"),
        (scan(BANK, region_of=None), "lobes"),
        (scan(BANK, csf=None), "fluid"),
        (replace(scan(BANK), brain_mask=np.zeros_like(BRAIN)), "empty"),
        (replace(scan(BANK), grid=Grid(GRID.shape, np.diag([1, 1, 5.0, 1]))), "5.0 mm"),
        (near_air, "% of the cortex"),
    ):
        sheets, reason = find_siderosis(given)
        assert words in reason
        assert sheets == []


def test_what_cannot_be_assessed_has_no_number():
    told = summarise([], assessable=False)
    assert told["category"] == "not_assessable"
    for name in ("count_bin", "count_interval_95"):
        assert told[name] is None
    assert told["criteria"]["count_bins"] is None
    assert told["criteria"]["mars"]["form"] is None
    assert told["criteria"]["bombs"]["form"] is None
    assert summarise([])["count_bin"] == "0"


def test_the_summary_tells_none_from_not_assessed():
    told = summarise(())["criteria"]["superficial_siderosis"]
    assert told == {"sulci": 0, "extent": "none", "why_not": None}
    told = summarise((), no_siderosis_search="no phase")["criteria"]["superficial_siderosis"]
    assert told == {"sulci": None, "extent": "not assessed", "why_not": "no phase"}


def test_near_air_nothing_is_looked_for():
    corner = (np.hypot(X - 3, Y) < 8) & (np.abs(Z) < 8)
    given = scan(BANK, air_mask=corner)
    assert find_siderosis(given, SiderosisParams(least_seen=0.0)) == ([], None)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_flips_change_nothing(axis):
    (one,) = sheets_of(scan(BANK))
    given = scan(BANK)
    names = ("brain_mask", "magnitude", "swi", "chi_ppm", "csf")
    (other,) = sheets_of(
        replace(given, **{name: np.flip(getattr(given, name), axis).copy() for name in names})
    )
    assert other.volume_mm3 == pytest.approx(one.volume_mm3, rel=0.02)


def test_it_is_a_finding_for_the_reader_and_never_counted():
    found = detect(scan(BANK))
    (sheet,) = (f for f in found.findings if f.class_ == "siderosis")
    assert not sheet.counted
    assert sheet.probability == 0.0
    assert (found.labels == sheet.index).any()
    assert not any(f.counted for f in found.findings)
    assert [f.index for f in found.findings] == list(range(1, len(found.findings) + 1))
    assert found.no_siderosis_search is None


def test_a_round_spot_in_a_sheet_keeps_its_voxels_and_the_sheet_is_the_rest():
    (sheet,) = sheets_of(scan(BANK))
    ball = (X - 3) ** 2 + Y**2 + Z**2 < 4**2
    given = scan(BANK)
    rest = sheet.without(ball, given)
    assert not ball[tuple(rest.body.T)].any()
    assert len(rest.body) == (~ball[tuple(sheet.body.T)]).sum()
    assert rest.volume_mm3 == pytest.approx(len(rest.body) * GRID.voxel_mm3)
    assert rest.chi_ppm == pytest.approx(given.chi_ppm[tuple(rest.body.T)].mean())
    assert sheet.without(np.ones(GRID.shape, bool), given) is None


def test_rows_and_labels_say_the_same_volume_where_spots_lie_in_a_sheet():
    ball = (X - 3) ** 2 + Y**2 + Z**2 < 2.5**2
    found = detect(scan(BANK | ball))
    assert any(f.class_ == "siderosis" for f in found.findings)
    for finding in found.findings:
        voxels = (found.labels == finding.index).sum()
        assert finding.volume_mm3 == pytest.approx(voxels * GRID.voxel_mm3)


def test_it_can_be_left_out():
    found = detect(scan(BANK), DetectParams(siderosis=None))
    assert not any(f.class_ == "siderosis" for f in found.findings)
    assert found.no_siderosis_search == "no search for it was made"


def test_extent_is_focal_up_to_three_sulci():
    assert [extent(n) for n in (0, 1, 3, 4)] == ["none", "focal", "focal", "disseminated"]


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ParameterError, match="SiderosisParams"):
        SiderosisParams(loss=1.5)
