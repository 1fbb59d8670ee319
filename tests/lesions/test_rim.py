"""The rim of the brain is brought level, and what is dark in it stays."""

from dataclasses import replace

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.core.morphology import distance_inside_mm
from petechia.errors import ParameterError
from petechia.lesions.look import look
from petechia.lesions.params import DetectParams
from petechia.lesions.rim import Rim, RimParams

SHAPE, SPACING = (61, 57, 41), (0.9, 1.0, 1.4)
GRID = Grid(SHAPE, np.diag([*SPACING, 1.0]))
AT = np.moveaxis(np.indices(SHAPE), 0, -1) * SPACING
MIDDLE = 0.5 * np.asarray(SHAPE) * SPACING
BRAIN = np.linalg.norm((AT - MIDDLE) / (24, 25, 24), axis=-1) < 1
DEPTH = distance_inside_mm(BRAIN, GRID)
LAYER = np.where(BRAIN, 1 - 0.5 * np.exp(-((DEPTH / 1.8) ** 2)), 1).astype(np.float32)
"""Half as bright at the edge, nearly whole from 3 mm on."""


def at_depth(depth_mm, direction=(0.6, 0.5, 0.3)):
    """The point [mm] so deep below the surface, on a line from the middle."""
    steps = np.arange(0, 30, 0.05)[:, None] * np.asarray(direction) / np.linalg.norm(direction)
    index = np.rint((MIDDLE + steps) / SPACING).astype(int)
    n = np.flatnonzero(DEPTH[tuple(index.T)] >= depth_mm)[-1]
    return MIDDLE + steps[n]


def spot(place, radius_mm=1.5):
    return 1 - 0.9 * np.exp(-0.5 * (np.linalg.norm(AT - place, axis=-1) / radius_mm) ** 4)


def test_a_layer_that_is_dark_all_along_goes():
    level = Rim.of(BRAIN, GRID).level(LAYER)
    rim = BRAIN & (DEPTH < 4)
    assert LAYER[rim].mean() < 0.85
    assert level[rim].mean() == pytest.approx(1, abs=0.04)
    left, before = (np.percentile(np.abs(of[rim] - 1), 95) for of in (level, LAYER))
    assert left < 0.4 * before


@pytest.mark.parametrize("depth_mm", [2.0, 3.0, 4.0])
def test_a_dark_spot_in_it_stays_and_stands_out(depth_mm):
    place = at_depth(depth_mm)
    signal = (LAYER * spot(place)).astype(np.float32)
    level = Rim.of(BRAIN, GRID).level(signal)
    centre = tuple(np.rint(place / SPACING).astype(int))
    around = BRAIN & (np.linalg.norm(AT - place, axis=-1) > 3.5) & (DEPTH < 4)
    around &= np.linalg.norm(AT - place, axis=-1) < 7
    assert level[centre] < 0.25
    assert np.median(level[around]) > 0.93
    assert (
        np.median(level[around]) - level[centre] > (signal[around].mean() - signal[centre]) + 0.05
    )


def test_noise_is_not_taken_for_a_dark_layer():
    rng = np.random.default_rng(7)
    signal = np.where(BRAIN, 1 + 0.1 * rng.normal(size=SHAPE), 1).astype(np.float32)
    level = Rim.of(BRAIN, GRID).level(signal)
    rim, deep = BRAIN & (DEPTH < 4), BRAIN & (DEPTH > 6)
    assert level[rim].mean() == pytest.approx(level[deep].mean(), abs=0.01)


def test_a_lesion_is_not_the_measure_of_itself_in_a_small_piece_of_mask():
    middle = np.asarray(SHAPE) * SPACING / 2
    away = np.linalg.norm(AT - middle, axis=-1)
    signal = np.where(away < 2.0, 0.3, 1.0).astype(np.float32)
    level = Rim.of(away < 5.0, GRID).level(signal)
    assert level[away < 1.0].max() < 0.6
    assert level[(away > 2.0) & (away < 5.0)].max() < 1.6


def test_what_is_deeper_or_outside_is_not_touched():
    rng = np.random.default_rng(3)
    signal = (LAYER + 0.05 * rng.normal(size=SHAPE)).astype(np.float32)
    level = Rim.of(BRAIN, GRID).level(signal)
    deep = ~BRAIN | (DEPTH > 6)
    assert (level[deep] == signal[deep]).all()


def test_nothing_is_made_darker_nor_raised_without_bound():
    rng = np.random.default_rng(4)
    signal = np.where(DEPTH < 3, 0.05, 1).astype(np.float32) * rng.uniform(0.8, 1.4, SHAPE)
    signal = signal.astype(np.float32)
    level = Rim.of(BRAIN, GRID, RimParams(least=0.5)).level(signal)
    assert (level >= signal - 1e-6).all()
    assert (level <= 2 * signal + 1e-6).all()


def test_it_does_not_depend_on_how_the_volume_is_stored():
    signal = (LAYER * spot(at_depth(2.5))).astype(np.float32)
    level = Rim.of(BRAIN, GRID).level(signal)
    turned = Grid(SHAPE[::-1], np.diag([*SPACING[::-1], 1.0]))
    other = Rim.of(np.ascontiguousarray(BRAIN[::-1].T), turned).level(
        np.ascontiguousarray(signal[::-1].T)
    )
    # but for the blocks on which it is smoothed, which begin at the other end
    assert np.abs(other.T[::-1] - level).max() < 0.05


def test_no_rim_and_no_brain_change_nothing():
    for mask, params in ((BRAIN, RimParams(depth_mm=0)), (np.zeros_like(BRAIN), RimParams())):
        assert (Rim.of(mask, GRID, params).level(LAYER) == LAYER).all()


@pytest.mark.parametrize("wrong", [{"depth_mm": -1.0}, {"scale_mm": 0.0}, {"least": 0.0}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ParameterError, match=next(iter(wrong))):
        replace(RimParams(), **wrong)


def test_a_bleed_at_a_dark_rim_is_found_because_the_rim_is_level(make):
    """A sphere 3 mm below a flat edge whose outer layers are dark, as beside bone."""
    phantom = make.build([make.Sphere((32.2, 24.1, 22.3), 1.2, 1.0)])
    mask = phantom.mask & (np.arange(phantom.grid.shape[0])[:, None, None] < 36)
    depth = 36 - np.arange(phantom.grid.shape[0])[:, None, None]
    dark = np.select([depth <= 1, depth <= 2, depth <= 3], [0.3, 0.4, 0.6], 1.0)
    inputs = phantom.inputs(
        brain_mask=mask, magnitude=(phantom.magnitude * dark).astype(np.float32)
    )

    def seen_with(rim):
        seen = look(inputs, replace(DetectParams(), rim=rim))
        away = [
            np.linalg.norm(np.subtract(f.shape.centre_vox, (32.2, 24.1, 22.3)))
            for f in seen.features
        ]
        return seen.features[int(np.argmin(away))], min(away)

    level, away = seen_with(RimParams())
    as_it_is, _ = seen_with(RimParams(depth_mm=0))
    assert away < 0.7
    assert level.shape.depth > 0.6
    assert level.thread.reach_radii < 1.8 < 2.4 < as_it_is.thread.reach_radii
    assert level.tube.through < 0.3 < as_it_is.tube.through
