"""The rules for white matter put capsules, callosum and lobes where anatomy has them."""

import numpy as np
import pytest

from petechia.anatomy.parcellation import CEREBRA, ParcellationParams, mars_regions, structure
from petechia.anatomy.sites import REGIONS, label_of
from petechia.core.grid import Grid
from petechia.errors import GridMismatchError, ParameterError


@pytest.fixture(scope="module")
def place(template):
    """Mean template RAS of a region."""

    def at(site, side):
        return template.grid.to_mm(np.argwhere(template.regions == label_of(site, side)).mean(0))

    return at


def test_all_of_the_brain_and_nothing_else_is_labelled(template):
    np.testing.assert_array_equal(template.regions > 0, template.brain)


def test_every_region_is_there_on_its_side(template, place):
    for region in REGIONS:
        index = np.argwhere(template.regions == region.index)
        volume_ml = len(index) * template.grid.voxel_mm3 / 1000
        assert volume_ml > 2, region.name
        x_mm = template.grid.to_mm(index)[:, 0]
        if region.side == "left":
            assert x_mm.max() < 0, region.name
        elif region.side == "right":
            assert x_mm.min() >= 0, region.name
        else:
            assert abs(x_mm.mean()) < 1, region.name


def test_halves_mirror_each_other(template):
    """The template is symmetric, so each left region is the mirror of its right one."""
    mirrored = template.regions[::-1]
    for site in ("frontal", "thalamus", "internal_capsule", "external_capsule", "cerebellum"):
        left = template.regions == label_of(site, "left")
        right = mirrored == label_of(site, "right")
        right[48] = False  # the midline plane counts as right
        assert (left & right).sum() > 0.97 * left.sum(), site


@pytest.mark.parametrize(("side", "sign"), [("left", -1), ("right", 1)])
def test_from_midline_to_cortex_the_order_is_anatomys(place, side, sign):
    names = ("thalamus", "internal_capsule", "external_capsule", "insula")
    x_mm = [sign * place(name, side)[0] for name in names]
    assert x_mm == sorted(x_mm)
    assert x_mm[0] > 5
    putamen_x = 26.0  # between the capsules
    assert x_mm[1] < putamen_x < x_mm[2]


def test_lobes_lie_where_they_should(place):
    assert (
        place("frontal", "left")[1] > place("parietal", "left")[1] > place("occipital", "left")[1]
    )
    assert place("parietal", "left")[2] > place("temporal", "left")[2]
    assert place("cerebellum", "left")[2] < place("occipital", "left")[2]


def test_callosum_arches_over_the_third_ventricle(template, place):
    third = template.regions == REGIONS[-1].index
    z_mm = template.grid.to_mm(np.argwhere(third))[:, 2].max()
    callosum = np.isin(
        template.regions, [label_of("corpus_callosum", s) for s in ("left", "right")]
    )
    there = template.grid.to_mm(np.argwhere(callosum))
    assert there[:, 2].mean() > z_mm - 5
    assert 60 < np.ptp(there[:, 1]) < 110  # genu to splenium
    assert np.abs(there[:, 0]).max() <= 16


def test_deep_white_matter_is_the_width_of_the_rule_around_the_ventricle(arrays, template):
    from scipy import ndimage

    ventricle = structure(arrays["cerebra"], "lateral_ventricle")
    away = ndimage.distance_transform_edt(~ventricle, sampling=2.0)
    deep = np.isin(
        template.regions, [label_of("deep_periventricular_wm", s) for s in ("left", "right")]
    )
    assert np.median(away[deep]) < 10
    volume_ml = deep.sum() * 8 / 1000
    assert 50 < volume_ml < 110


def test_the_rules_give_nearly_the_same_map_at_two_millimetres(arrays, template):
    again = mars_regions(arrays["cerebra"], arrays["wm"], template.brain, template.grid)
    assert (again == template.regions)[template.brain].mean() > 0.95


def test_cerebra_structures_do_not_overlap():
    used = [label for labels in CEREBRA.values() for label in labels]
    assert len(used) == len(set(used)) == 50  # all of the 51 a side but the optic chiasm
    assert set(range(1, 52)) - set(used) == {17}


def test_bad_input_is_named(arrays, template):
    with pytest.raises(ParameterError, match=r"subcortical_mm = -1"):
        ParcellationParams(subcortical_mm=-1)
    with pytest.raises(GridMismatchError, match="cerebra"):
        mars_regions(arrays["cerebra"], arrays["wm"], template.brain, Grid((3, 4, 5)))
