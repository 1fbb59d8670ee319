import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.errors import GridMismatchError, InputError, ParameterError, UnfitError
from petechia.qsm.referencing import CsfParams, csf_mask, reference

GRID = Grid((6, 7, 8))
MASK = np.zeros(GRID.shape, bool)
MASK[1:5, 1:6, 1:7] = True
CHI = np.random.default_rng(0).normal(0.3, 0.1, GRID.shape).astype(np.float32)


def test_the_whole_mask_by_default():
    out, value = reference(CHI, MASK, GRID)
    assert out.dtype == np.float32
    assert value == pytest.approx(CHI[MASK].mean(), rel=1e-5)
    assert abs(out[MASK].mean()) < 1e-6
    assert not out[~MASK].any()


def test_differences_inside_are_kept():
    out, value = reference(CHI, MASK)
    np.testing.assert_allclose(out[MASK] + value, CHI[MASK], atol=1e-6)


def test_twice_is_once():
    once, _ = reference(CHI, MASK)
    twice, value = reference(once, MASK)
    assert abs(value) < 1e-6
    np.testing.assert_allclose(twice, once, atol=1e-6)


def test_a_region_counts_only_inside_the_mask():
    region = np.zeros(GRID.shape, bool)
    region[:3] = True
    out, value = reference(CHI, MASK, GRID, region)
    assert value == pytest.approx(CHI[region & MASK].mean(), rel=1e-5)
    assert abs(out[region & MASK].mean()) < 1e-6


def test_bad_input_is_named():
    with pytest.raises(UnfitError, match=r"mask: .* no voxel") as caught:
        reference(CHI, np.zeros(GRID.shape, bool))
    assert "inside the brain mask" in caught.value.mend
    with pytest.raises(UnfitError, match=r"region: .* no voxel"):
        reference(CHI, MASK, region=~MASK)
    with pytest.raises(GridMismatchError, match="mask"):
        reference(CHI, MASK[1:])
    with pytest.raises(GridMismatchError, match="region"):
        reference(CHI, MASK, region=MASK[1:])
    with pytest.raises(GridMismatchError, match="chi_ppm"):
        reference(CHI, MASK, Grid((5, 5, 5)))


def test_the_input_is_left_alone():
    kept = CHI.copy()
    reference(CHI, MASK)
    np.testing.assert_array_equal(CHI, kept)


HEAD = Grid.from_spacing((41, 45, 25), (2.0, 2.0, 3.0))
AT_MM = (np.indices(HEAD.shape) - np.array([20, 22, 12])[:, None, None, None]) * np.array(
    HEAD.spacing_mm
)[:, None, None, None]
BRAIN = (AT_MM[0] / 36) ** 2 + (AT_MM[1] / 42) ** 2 + (AT_MM[2] / 34) ** 2 < 1


def box(low, high) -> np.ndarray:
    low, high = (np.asarray(end)[:, None, None, None] for end in (low, high))
    return np.all((low <= AT_MM) & (high >= AT_MM), axis=0)


LEFT, RIGHT = box((-12, -16, -6), (-4, 16, 6)), box((4, -16, -6), (12, 16, 6))


def rates(*fluid: np.ndarray) -> np.ndarray:
    """Tissue with noise, and fluid in it, scanned with noise too [1/s]."""
    rng = np.random.default_rng(6)
    out = rng.normal(20, 3, HEAD.shape)
    for place in fluid:
        out[place] = rng.normal(2, 1, int(place.sum()))
    return np.maximum(out, 0).astype(np.float32)


def test_both_ventricles_are_found_and_nothing_else():
    sulcus, speck = box((-4, 36, -6), (4, 42, 6)), box((0, 24, 0), (2, 26, 3))
    found = csf_mask(rates(LEFT, RIGHT, sulcus, speck), BRAIN, HEAD)
    fluid = LEFT | RIGHT
    assert found[fluid].mean() > 0.99
    assert found[~fluid].sum() <= 3  # noise that touches them
    assert not found[sulcus].any()  # of the surface, not of the middle
    assert not found[speck].any()  # too small


def test_a_ventricle_that_leaves_the_sphere_is_cut_there():
    horn = box((4, -16, -6), (12, 40, 6))
    found = csf_mask(rates(horn), BRAIN, HEAD, CsfParams(centre_mm=20))
    assert found.any()
    assert np.linalg.norm(AT_MM, axis=0)[found].max() < 22


def test_only_the_largest_parts_are_taken():
    found = csf_mask(rates(LEFT, RIGHT & (AT_MM[1] > 0)), BRAIN, HEAD, CsfParams(parts=1))
    assert found[LEFT].mean() > 0.99
    assert not found[RIGHT].any()


def test_fluid_outside_the_mask_is_not_taken():
    found = csf_mask(rates(LEFT, RIGHT), BRAIN & ~RIGHT, HEAD)
    assert found[LEFT].all() or found[LEFT].mean() > 0.99
    assert not found[RIGHT].any()


@pytest.mark.parametrize("mask", [BRAIN, np.zeros(HEAD.shape, bool)], ids=["brain", "nothing"])
def test_no_fluid_is_said_with_what_was_looked_for(mask):
    with pytest.raises(UnfitError, match=r"R2\* below 5 /s within 30 mm .* less than 300"):
        csf_mask(rates(), mask, HEAD)


def test_bad_input_to_csf_is_named():
    with pytest.raises(GridMismatchError, match="r2star"):
        csf_mask(rates()[1:], BRAIN, HEAD)
    with pytest.raises(GridMismatchError, match="mask"):
        csf_mask(rates(), BRAIN[1:], HEAD)
    broken = rates()
    broken[20, 22, 12] = np.nan
    with pytest.raises(InputError, match=r"r2star: 1 of"):
        csf_mask(broken, BRAIN, HEAD)
    with pytest.raises(ParameterError, match=r"CsfParams\.r2star_below: 0\.0 is outside"):
        CsfParams(r2star_below=0.0)
    with pytest.raises(ParameterError, match=r"CsfParams\.parts: 0 is outside"):
        CsfParams(parts=0)
