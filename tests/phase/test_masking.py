"""Masks from quality: bad phase goes, holes are filled, nothing grows."""

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.errors import GridMismatchError, InputError, ParameterError
from petechia.phase.masking import MaskingParams, quality_masks, valley
from petechia.phase.quality import phase_quality

GRID = Grid.from_spacing((33, 35, 31), (1.0, 1.1, 1.2))
MIDDLE = (np.array(GRID.shape) - 1) / 2


def distance_mm(centre=MIDDLE) -> np.ndarray:
    at = np.indices(GRID.shape) - np.asarray(centre, dtype=float)[:, None, None, None]
    return np.linalg.norm(at * GRID.spacing_mm[:, None, None, None], axis=0)


MASK = distance_mm() < 14


def quality_of(*bad: np.ndarray) -> np.ndarray:
    """Good tissue with a spread of its own, and places of noise."""
    rng = np.random.default_rng(2)
    quality = rng.uniform(0.75, 0.95, GRID.shape)
    for place in bad:
        quality[place] = rng.uniform(0.1, 0.25, int(place.sum()))
    return quality.astype(np.float32)


def test_an_enclosed_void_is_a_hole_of_the_one_and_part_of_the_other():
    void = distance_mm((14, 20, 15)) < 3
    reliable, filled, threshold = quality_masks(quality_of(void), MASK, GRID)
    np.testing.assert_array_equal(reliable, MASK & ~void)
    np.testing.assert_array_equal(filled, MASK)
    assert 0.25 < threshold < 0.75


def test_a_void_larger_than_any_closing_is_filled_when_it_is_enclosed():
    void = distance_mm() < 9
    masks = quality_masks(quality_of(void), MASK, GRID, MaskingParams(closing_mm=1.0))
    np.testing.assert_array_equal(masks.reliable, MASK & ~void)
    np.testing.assert_array_equal(masks.filled, MASK)


@pytest.mark.parametrize("closing_mm", [0.0, 3.0])
def test_a_void_that_opens_to_a_sulcus_is_filled_by_the_closing(closing_mm):
    void = distance_mm((16, 17, 20)) < 3
    sulcus = np.zeros(GRID.shape, bool)
    sulcus[16, 17, 20:] = True  # from the void to the surface, one voxel wide
    params = MaskingParams(closing_mm=closing_mm)
    reliable, filled, _ = quality_masks(quality_of(void, sulcus), MASK, GRID, params)
    assert not reliable[void | sulcus].any()
    assert filled[void].all() == (closing_mm > 0)


def test_what_lies_outside_the_mask_stays_outside():
    void = distance_mm((14, 20, 15)) < 3
    torn = MASK & ~(distance_mm((20, 14, 15)) < 2)  # a hole of the mask's own
    reliable, filled, _ = quality_masks(quality_of(void), torn, GRID)
    assert not (filled & ~torn).any()
    assert not (reliable & ~filled).any()
    assert filled[void].all()


def test_a_wide_bay_of_noise_at_the_rim_is_in_neither_mask():
    bay = distance_mm(MIDDLE + np.array([0, 0, 12])) < 8
    reliable, filled, _ = quality_masks(quality_of(bay), MASK, GRID)
    assert not reliable[bay].any()
    assert filled[bay & MASK].mean() < 0.2


def test_good_phase_alone_is_not_cut_in_two():
    """A threshold between the better and the worse half of good tissue would be a valley."""
    quality = quality_of()
    assert valley(quality[MASK]) > 0.8
    reliable, filled, threshold = quality_masks(quality, MASK, GRID)
    assert threshold == MaskingParams().most
    np.testing.assert_array_equal(reliable, MASK)
    np.testing.assert_array_equal(filled, MASK)


def test_the_valley_of_two_peaks_lies_between_them():
    rng = np.random.default_rng(3)
    both = np.concatenate([rng.normal(0.2, 0.03, 300), rng.normal(0.8, 0.03, 3000)])
    assert 0.3 < valley(both) < 0.7


def test_bounds_that_are_one_set_the_threshold_by_hand():
    quality = np.full(GRID.shape, 0.45, np.float32)
    for at, kept in ((0.4, True), (0.5, False)):
        masks = quality_masks(quality, MASK, GRID, MaskingParams(least=at, most=at))
        assert masks.threshold == at
        assert masks.reliable.any() == kept


def test_noise_in_the_phase_of_a_void_is_found_by_its_quality():
    """From wrapped phase to masks: the void is the hole, and nothing else is."""
    rng = np.random.default_rng(4)
    te_s = (0.005, 0.010, 0.015)
    void = distance_mm((14, 20, 15)) < 3
    slope = 0.4 * np.indices(GRID.shape)[0] / te_s[-1]
    signal = np.stack([np.where(void, 3.0, 100.0) * np.exp(1j * slope * te) for te in te_s])
    signal += rng.normal(0, 3, signal.shape) + 1j * rng.normal(0, 3, signal.shape)
    magnitude = np.abs(signal).astype(np.float32)
    quality = phase_quality(np.angle(signal).astype(np.float32), magnitude, te_s, MASK, GRID)
    reliable, filled, _ = quality_masks(quality, MASK, GRID)
    core = distance_mm((14, 20, 15)) < 2
    assert not reliable[core].any()
    assert reliable[MASK & ~(distance_mm((14, 20, 15)) < 4.5)].mean() > 0.999
    assert filled[void].all()


def test_nothing_in_nothing_out_and_inputs_are_left_alone():
    empty = np.zeros(GRID.shape, bool)
    reliable, filled, _ = quality_masks(quality_of(), empty, GRID)
    assert not reliable.any()
    assert not filled.any()
    quality, mask = quality_of(), MASK.copy()
    kept = quality.copy()
    quality_masks(quality, mask, GRID)
    np.testing.assert_array_equal(quality, kept)
    np.testing.assert_array_equal(mask, MASK)


def test_bad_input_is_named():
    with pytest.raises(GridMismatchError, match="quality"):
        quality_masks(quality_of()[1:], MASK, GRID)
    with pytest.raises(GridMismatchError, match="mask"):
        quality_masks(quality_of(), MASK[1:], GRID)
    broken = quality_of()
    broken[1, 2, 3] = np.nan
    with pytest.raises(InputError, match=r"quality: 1 of .* first at \(1, 2, 3\)"):
        quality_masks(broken, MASK, GRID)
    with pytest.raises(ParameterError, match=r"MaskingParams\.least: 0\.7 is above most = 0\.5"):
        MaskingParams(least=0.7, most=0.5)
    with pytest.raises(ParameterError, match=r"MaskingParams\.closing_mm: -1 is outside"):
        MaskingParams(closing_mm=-1)
