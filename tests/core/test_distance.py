import numpy as np
import pytest
from scipy import ndimage

from petechia.core.distance import distance_to_outside


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.65, 0.72, 2.3), (5.0, 0.5, 0.9)])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.999])
def test_the_distance_is_that_of_an_independent_program(spacing, share):
    mask = np.random.default_rng(3).random((17, 23, 14)) < share
    asked = ndimage.distance_transform_edt(mask, sampling=spacing)
    np.testing.assert_allclose(distance_to_outside(mask, spacing), asked, rtol=1e-6)


def test_one_voxel_outside_gives_the_distance_to_its_centre():
    mask = np.ones((9, 11, 13), dtype=bool)
    mask[2, 9, 5] = False
    i, j, k = np.indices(mask.shape)
    away = np.sqrt((0.5 * (i - 2)) ** 2 + (2 * (j - 9)) ** 2 + (1.5 * (k - 5)) ** 2)
    np.testing.assert_allclose(distance_to_outside(mask, (0.5, 2.0, 1.5)), away, rtol=1e-6)


def test_nothing_outside_is_infinitely_far_and_nothing_inside_is_nowhere():
    assert np.isinf(distance_to_outside(np.ones((4, 5, 6), bool), (1, 1, 1))).all()
    assert (distance_to_outside(np.zeros((4, 5, 6), bool), (1, 1, 1)) == 0).all()


@pytest.mark.parametrize("axes", [(1, 0, 2), (2, 1, 0), (1, 2, 0)])
def test_it_turns_with_the_volume_and_takes_any_layout(axes):
    mask = np.random.default_rng(5).random((12, 9, 15)) < 0.9
    spacing = np.array([0.7, 1.1, 2.0])
    turned = distance_to_outside(mask.transpose(axes)[::-1], spacing[list(axes)])
    np.testing.assert_allclose(
        turned, distance_to_outside(mask, spacing).transpose(axes)[::-1], rtol=1e-6
    )


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 7, 1), (6, 1, 5)])
def test_volumes_of_one_slice_have_distances_too(shape):
    mask = np.ones(shape, dtype=bool)
    mask[0, 0, 0] = False
    np.testing.assert_allclose(
        distance_to_outside(mask, (1, 2, 3)),
        ndimage.distance_transform_edt(mask, sampling=(1, 2, 3)),
        rtol=1e-6,
    )
