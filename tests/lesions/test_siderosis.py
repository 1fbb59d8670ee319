"""A dark paramagnetic sheet at the cortex is told; veins, balls and calcium are not."""

from dataclasses import replace

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.errors import ParameterError
from petechia.lesions.criteria import extent
from petechia.lesions.detect import DetectParams, detect
from petechia.lesions.inputs import LesionInputs
from petechia.lesions.siderosis import SiderosisParams, find_siderosis

GRID = Grid((60, 64, 40), np.diag([1.0, 1.0, 1.2, 1.0]))


def places():
    axes = [(np.arange(n) - n // 2) * d for n, d in zip(GRID.shape, GRID.spacing_mm, strict=True)]
    return np.moveaxis(np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1), -1, 0)


X, Y, Z = places()
BRAIN = np.sqrt(X**2 + Y**2 + Z**2) < 23
SULCUS = BRAIN & (np.abs(X) < 2)
BANK = BRAIN & (np.abs(X - 3) < 1.1) & (np.hypot(Y, Z) < 11)


def scan(dark, chi=0.15, seed=3, **more):
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 0.03, GRID.shape)
    image = (BRAIN * (1 - 0.6 * dark) + noise).clip(0).astype(np.float32)
    given = {
        "swi": image,
        "chi_ppm": (chi * dark + rng.normal(0, 0.01, GRID.shape)).astype(np.float32),
        "csf": SULCUS.astype(np.float32),
    }
    return LesionInputs(
        grid=GRID,
        brain_mask=BRAIN,
        b0_t=3.0,
        reading_te_s=0.02,
        magnitude=image,
        **(given | more),
    )


def test_a_sheet_on_the_bank_of_a_sulcus_is_told():
    (found,) = find_siderosis(scan(BANK))
    assert found.length_mm > 18
    assert found.width_mm > 15
    assert found.chi_ppm == pytest.approx(0.15, abs=0.02)
    assert BANK[tuple(found.body.T)].mean() > 0.95
    assert "for the reader" in found.evidence()


def test_veins_balls_calcium_and_deep_sheets_are_not():
    vein = BRAIN & (np.hypot(X - 3, Z) < 1.2)
    ball = np.sqrt((X - 4) ** 2 + Y**2 + Z**2) < 3
    deep = BRAIN & (np.abs(X - 10) < 1.1) & (np.hypot(Y, Z) < 11)
    assert find_siderosis(scan(vein)) == []
    assert find_siderosis(scan(ball)) == []
    assert find_siderosis(scan(BANK, chi=-0.15)) == []
    assert find_siderosis(scan(deep)) == []
    assert find_siderosis(scan(np.zeros_like(BRAIN))) == []


def test_without_susceptibility_nothing_is_claimed():
    assert find_siderosis(scan(BANK, chi_ppm=None)) == []
    assert find_siderosis(scan(BANK, sign_trusted=False)) == []
    assert find_siderosis(replace(scan(BANK), brain_mask=np.zeros_like(BRAIN))) == []


def test_near_air_nothing_is_looked_for():
    assert find_siderosis(scan(BANK, air_mask=np.abs(X + 6) < 2)) == []


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_flips_change_nothing(axis):
    (one,) = find_siderosis(scan(BANK))
    given = scan(BANK)
    names = ("brain_mask", "magnitude", "swi", "chi_ppm", "csf")
    (other,) = find_siderosis(
        replace(given, **{name: np.flip(getattr(given, name), axis).copy() for name in names})
    )
    assert other.volume_mm3 == pytest.approx(one.volume_mm3, rel=0.02)


def test_it_is_a_finding_for_the_reader_and_never_counted():
    found = detect(scan(BANK), DetectParams(siderosis=SiderosisParams()))
    (sheet,) = (f for f in found.findings if f.class_ == "siderosis")
    assert not sheet.counted
    assert sheet.probability == 0.0
    assert (found.labels == sheet.index).any()
    assert not any(f.counted for f in found.findings)
    assert [f.index for f in found.findings] == list(range(1, len(found.findings) + 1))


def test_extent_is_focal_up_to_three_sulci():
    assert [extent(n) for n in (0, 1, 3, 4)] == ["none", "focal", "focal", "disseminated"]


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ParameterError, match="SiderosisParams"):
        SiderosisParams(dark=1.5)
