"""Saturation from a vein whose blood is known, whatever its direction and the voxel."""

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.errors import GridMismatchError, ParameterError
from petechia.qsm.oxygenation import (
    OxygenationParams,
    saturation_of,
    venous_oxygenation,
)


def vein(grid: Grid, way, radius_mm: float, ppm: float, level: float = 0.0):
    """A cylinder through the middle, averaged over 4 x 4 x 4 points a voxel."""
    d = np.asarray(way) / np.linalg.norm(way)
    chi = np.zeros(grid.shape)
    sub = (np.arange(4) - 1.5) / 4
    for shift in np.stack(np.meshgrid(sub, sub, sub), -1).reshape(-1, 3):
        index = np.stack(np.indices(grid.shape), -1) - (np.array(grid.shape) - 1) / 2 + shift
        at = index * grid.spacing_mm
        away = np.sqrt(np.maximum((at**2).sum(-1) - (at @ d) ** 2, 0))
        chi += (away <= radius_mm) / 64
    likeness = (chi > 0.3).astype(np.float32)
    return (ppm * chi + level).astype(np.float32), likeness


def measured(grid, chi, likeness, **settings):
    length = 30.0 * likeness
    mask = np.ones(grid.shape, bool)
    return venous_oxygenation(chi, likeness, length, mask, grid, OxygenationParams(**settings))


@pytest.mark.parametrize("way", [(0, 0, 1), (1, 0, 0.2), (1, 1, 1), (0.2, 1, -0.5)])
@pytest.mark.parametrize("radius_mm", [1.6, 2.5])
def test_the_contrast_of_a_vein_is_found_in_any_direction(way, radius_mm):
    grid = Grid.from_spacing((31, 31, 31), (1.0, 1.0, 1.0))
    chi, likeness = vein(grid, way, radius_mm, 0.42, level=0.03)
    found = measured(grid, chi, likeness)
    assert found.vein_ppm == pytest.approx(0.42, rel=0.06)
    assert found.diameter_mm == pytest.approx(2 * radius_mm, rel=0.12)
    assert found.saturation == pytest.approx(saturation_of(0.42)[0], abs=0.03)


def test_flat_voxels_do_not_matter_along_the_vein():
    grid = Grid.from_spacing((31, 31, 21), (0.8, 0.8, 1.6))
    chi, likeness = vein(grid, (0, 0, 1), 1.8, 0.4)
    assert measured(grid, chi, likeness).vein_ppm == pytest.approx(0.4, rel=0.06)


def test_the_reference_of_the_map_does_not_matter():
    grid = Grid.from_spacing((31, 31, 25), (1.0, 1.0, 1.0))
    chi, likeness = vein(grid, (0, 0.3, 1), 2.0, 0.4)
    one, other = measured(grid, chi, likeness), measured(grid, chi + 0.02, likeness)
    assert one.saturation == pytest.approx(other.saturation, abs=1e-3)


def test_thin_and_pale_veins_are_left_out_and_said():
    grid = Grid.from_spacing((31, 31, 25), (1.0, 1.0, 1.0))
    for radius, ppm in ((0.7, 0.4), (2.0, 0.1)):
        found = measured(grid, *vein(grid, (0, 0, 1), radius, ppm))
        assert found.saturation is None
        assert found.interval_95 is None
        assert "2.6 voxels across" in found.says
    nothing = np.zeros(grid.shape, np.float32)
    assert measured(grid, nothing, nothing).n_places == 0


@pytest.mark.parametrize("saturation", [0.4, 0.6, 0.75])
def test_saturation_of_known_blood(saturation):
    """Blood 3.43 (1 - Y) - 0.10 ppm times the hematocrit against water, in tissue of -0.005."""
    above = 0.42 * (4 * np.pi * 0.273 * (1 - saturation) - 4 * np.pi * 0.008) + 0.005
    assert saturation_of(above)[0] == pytest.approx(saturation, abs=1e-6)


def test_more_doubt_of_the_hematocrit_widens_the_interval():
    grid = Grid.from_spacing((31, 31, 25), (1.0, 1.0, 1.0))
    chi, likeness = vein(grid, (0, 0, 1), 2.0, 0.4)
    wide = measured(grid, chi, likeness, hematocrit_sd=0.08)
    narrow = measured(grid, chi, likeness, hematocrit_sd=0.01)
    assert np.ptp(wide.interval_95) > 1.5 * np.ptp(narrow.interval_95)
    assert narrow.interval_95[0] < narrow.saturation < narrow.interval_95[1]


def test_bad_input_is_named():
    grid = Grid.from_spacing((9, 9, 9), (1.0, 1.0, 1.0))
    zero = np.zeros(grid.shape, np.float32)
    with pytest.raises(GridMismatchError, match="length_mm"):
        venous_oxygenation(zero, zero, zero[1:], zero > 0, grid)
    with pytest.raises(ParameterError, match="hematocrit"):
        OxygenationParams(hematocrit=42.0)
