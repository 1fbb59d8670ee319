import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.errors import GridMismatchError, UnfitError
from petechia.qsm.referencing import reference

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
