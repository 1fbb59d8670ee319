"""Fluid is told whatever its contrast, and ventricles from sulci; else it says why not."""

import numpy as np
import pytest
from scipy import ndimage

from petechia.anatomy.surroundings import (
    STRUCTURES,
    air_cavities,
    structure_masks,
    template_structures,
)
from petechia.anatomy.tissue import TissueParams, tissue_map
from petechia.core.grid import Grid
from petechia.errors import ParameterError

GRID = Grid((47, 53, 41), np.diag([2.0, 2.0, 2.5, 1.0]))


def places(grid=GRID):
    axes = [(np.arange(n) - n // 2) * d for n, d in zip(grid.shape, grid.spacing_mm, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


AWAY = np.linalg.norm(places(), axis=-1)
BRAIN = AWAY < 42
VENTRICLE = np.linalg.norm(places() / (9.0, 18.0, 10.0), axis=-1) < 1
RIM = BRAIN & (AWAY > 38)
FLUID = VENTRICLE | RIM


def scan(fluid, matter=1.0, shading=0.4, noise=0.03, seed=1):
    shade = np.exp(shading * places()[..., 1] / 40)
    volume = np.where(FLUID, fluid, matter) * BRAIN * shade
    return (volume + np.random.default_rng(seed).normal(0, noise, GRID.shape)).astype(np.float32)


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.mark.parametrize("fluid", [0.6, 1.5])
def test_fluid_is_told_bright_or_dark_under_shading(fluid):
    prior = ndimage.binary_dilation(np.roll(VENTRICLE, 1, axis=0))  # off by a voxel
    found = tissue_map(scan(fluid), BRAIN, GRID, prior_ventricles=prior)
    assert found.told
    assert dice(found.csf > 0.5, FLUID) > 0.9
    assert dice(found.ventricles, VENTRICLE) > 0.9
    assert dice(found.sulci, RIM) > 0.85
    assert not found.csf[~BRAIN].any()


def test_slow_decay_tells_fluid_without_a_template():
    rate = np.where(FLUID, 6.0, 18.0).astype(np.float32)
    rate += np.random.default_rng(2).normal(0, 1.0, GRID.shape).astype(np.float32)
    found = tissue_map(scan(1.0), BRAIN, GRID, r2star=rate)
    assert dice(found.csf > 0.5, FLUID) > 0.9
    assert dice(found.ventricles, VENTRICLE) > 0.85


def test_bright_fluid_is_told_from_the_magnitude_alone():
    found = tissue_map(scan(1.8), BRAIN, GRID)
    assert dice(found.csf > 0.5, FLUID) > 0.85


def test_fluid_that_looks_like_tissue_is_not_told():
    found = tissue_map(scan(1.0), BRAIN, GRID)
    assert not found.told
    assert not found.csf.any()
    assert "look alike" in found.says
    guessed = tissue_map(scan(1.0), BRAIN, GRID, prior_ventricles=VENTRICLE)
    assert not guessed.told
    assert "template" in guessed.says
    assert dice(guessed.ventricles, VENTRICLE) == 1.0


def test_wide_ventricles_are_told_by_a_prior_of_narrow_ones():
    narrow = np.linalg.norm(places() / (5.0, 11.0, 6.0), axis=-1) < 1
    found = tissue_map(scan(0.6), BRAIN, GRID, prior_ventricles=narrow)
    assert dice(found.ventricles, VENTRICLE) > 0.9


def test_scale_and_echo_axis_do_not_matter():
    one = tissue_map(scan(0.6), BRAIN, GRID, prior_ventricles=VENTRICLE)
    same = tissue_map(1000 * scan(0.6)[None], BRAIN, GRID, prior_ventricles=VENTRICLE)
    np.testing.assert_allclose(one.csf, same.csf, atol=1e-3)


def test_flips_change_nothing():
    image, back = scan(0.6), (slice(None, None, -1), slice(None), slice(None))
    one = tissue_map(image, BRAIN, GRID, prior_ventricles=VENTRICLE)
    other = tissue_map(
        image[back].copy(), BRAIN[back].copy(), GRID, prior_ventricles=VENTRICLE[back].copy()
    )
    assert np.mean(np.abs(other.csf[back] - one.csf)[BRAIN] > 0.1) < 0.01


def test_an_empty_mask_says_so():
    found = tissue_map(scan(0.6), np.zeros_like(BRAIN), GRID)
    assert not found.told
    assert "empty" in found.says


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ParameterError, match="TissueParams"):
        TissueParams(slow=1.2)


def test_a_sinus_is_air_and_the_skull_is_not():
    head, skull = AWAY < 55, (AWAY > 42) & (AWAY < 47)
    grid = Grid((65, 65, 51), GRID.affine)
    pad = [(9, 9), (6, 6), (5, 5)]
    sinus = np.linalg.norm(places() - (0, 46, -12), axis=-1) < 8
    volume = np.where(head & ~skull & ~sinus, 1.0, 0.02) * np.ones(GRID.shape)
    volume, brain, sinus, skull = (np.pad(v, pad) for v in (volume, BRAIN & ~sinus, sinus, skull))
    air = air_cavities(volume.astype(np.float32), brain, grid)
    assert (air & sinus).sum() > 0.6 * sinus.sum()
    assert (air & skull & ~ndimage.binary_dilation(sinus, iterations=2)).sum() < 0.02 * skull.sum()
    assert not air_cavities(volume.astype(np.float32), np.zeros_like(brain), grid).any()


def test_structures_lie_where_anatomy_has_them(arrays, template):
    labels = template_structures(arrays["cerebra"], arrays["regions"], template.grid)
    masks = structure_masks(labels)
    assert tuple(masks) == STRUCTURES
    for name, place in (
        ("pallidum", (-19, -4, -1)), ("pallidum", (19, -4, -1)), ("pineal", (0, -30, 1)),
        ("choroid_plexus", (23, -40, 9)),
    ):  # fmt: skip
        index = tuple(np.rint(template.grid.to_index(place)).astype(int))
        assert masks[name][index], name
