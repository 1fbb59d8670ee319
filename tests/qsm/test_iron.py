"""Nuclei read off a map, beside the iron of their age."""

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.errors import GridMismatchError, ParameterError
from petechia.qsm.iron import expected_iron, iron_ppm, nuclei_table

GRID = Grid.from_spacing((25, 25, 15), (1.0, 1.0, 1.5))
EVERYWHERE = np.ones(GRID.shape, bool)


def ball(at, radius_mm):
    index = np.stack(np.indices(GRID.shape), -1) - np.array(at)
    return np.linalg.norm(index * GRID.spacing_mm, axis=-1) <= radius_mm


def test_the_published_curves_at_published_ages():
    """Hallgren & Sourander: the pallidum is full at 30, the putamen only at 60."""
    assert expected_iron("pallidum", 30)[0] == pytest.approx(20.3, abs=0.1)
    assert expected_iron("pallidum", 90)[0] == pytest.approx(21.8, abs=0.1)
    assert expected_iron("putamen", 60)[0] == pytest.approx(13.8, abs=0.1)
    assert expected_iron("thalamus", 30) == expected_iron("thalamus", 80)
    with pytest.raises(ParameterError, match="age_years"):
        expected_iron("putamen", 7)


def test_iron_makes_what_curie_says():
    """1.30 ppm for a milligram in a millilitre, and tissue of 1.04 g/ml."""
    assert iron_ppm(100 / 1.04) == pytest.approx(1.30)


def test_a_nucleus_is_read_without_its_rim_and_in_spite_of_a_vein():
    where = ball((12, 12, 7), 5)
    chi = np.where(where, 0.1, 0.0).astype(np.float32)
    chi[ball((12, 12, 7), 5) & ~ball((12, 12, 7), 4)] = 0.03  # half a voxel beside
    chi[12, 12] = 0.5
    (row,) = nuclei_table(chi, {("putamen", "left"): where}, EVERYWHERE, GRID, 60.0)
    assert row.chi_ppm == pytest.approx(0.1)
    assert row.low_ppm <= row.chi_ppm <= row.high_ppm
    assert row.volume_mm3 == pytest.approx(where.sum() * 1.5)
    assert row.n_voxels < where.sum()
    assert row.expected_mg_per_100g == expected_iron("putamen", 60)
    assert row.expected_ppm[0] == pytest.approx(iron_ppm(expected_iron("putamen", 60)[0]))


def test_without_an_age_nothing_is_expected():
    (row,) = nuclei_table(np.zeros(GRID.shape), {("caudate", "right"): ball((12, 12, 7), 5)},
                          EVERYWHERE, GRID)  # fmt: skip
    assert row.expected_mg_per_100g is None
    assert row.expected_ppm is None


def test_what_is_too_small_or_masked_is_left_out():
    masks = {("caudate", "left"): ball((5, 5, 7), 1), ("caudate", "right"): ball((18, 18, 7), 5)}
    assert len(nuclei_table(np.zeros(GRID.shape), masks, EVERYWHERE, GRID)) == 1
    assert nuclei_table(np.zeros(GRID.shape), masks, ~EVERYWHERE, GRID) == ()


def test_bad_input_is_named():
    with pytest.raises(GridMismatchError, match="left caudate"):
        nuclei_table(np.zeros(GRID.shape), {("caudate", "left"): np.ones((3, 3, 3), bool)},
                     EVERYWHERE, GRID)  # fmt: skip
