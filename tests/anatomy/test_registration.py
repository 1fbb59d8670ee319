"""A known displacement is found again, and nonsense is not believed."""

import numpy as np
import pytest

from petechia.anatomy.compared import correlation
from petechia.anatomy.registration import RegistrationParams, register
from petechia.core.grid import Grid
from petechia.errors import InputError, ParameterError


def centred(shape, spacing_mm):
    affine = np.diag([*spacing_mm, 1.0])
    affine[:3, 3] = -(np.array(shape) - 1) / 2 * spacing_mm
    return Grid(shape, affine)


def error_mm(found, head):
    """Mean distance between found and true template places over the brain."""
    here = np.c_[head.grid.to_mm(np.argwhere(head.brain)), np.ones(head.brain.sum())]
    return float(np.linalg.norm((here @ (found.matrix - head.matrix).T)[:, :3], axis=1).mean())


def test_a_displaced_head_of_another_contrast_and_axes_is_found(make_head, template):
    head = make_head("PIL", (3.0, 3.0, 3.0))
    found = register(head.magnitude, head.grid, template)
    assert found.ok, found.says
    assert error_mm(found, head) < 2.0


@pytest.mark.slow
@pytest.mark.parametrize("pitch_deg", [-20, 22])
def test_thick_slices_and_pitched_heads_are_found(make_head, template, pitch_deg):
    head = make_head("RAS", (2.0, 2.0, 6.0), pitch_deg)
    found = register(head.magnitude, head.grid, template)
    assert found.ok, found.says
    assert error_mm(found, head) < 3.0


def test_half_a_head_is_found(make_head, template):
    """A slab without neck, face and cerebellum."""
    head = make_head("RAS", (3.0, 3.0, 3.0), cut=80)
    found = register(head.magnitude, head.grid, template)
    assert found.ok, found.says
    closer = register(head.magnitude, head.grid, template, mask=head.brain, initial=found)
    assert error_mm(closer, head) < 1.5 < error_mm(found, head) < 6.0


def test_the_same_scan_gives_the_same_map(make_head, template):
    head = make_head("RAS", (4.0, 4.0, 4.0))
    one, other = (register(head.magnitude, head.grid, template) for _ in range(2))
    np.testing.assert_array_equal(one.matrix, other.matrix)


def test_labels_come_to_the_scan(make_head, template):
    head = make_head("RAS", (3.0, 3.0, 3.0))
    found = register(head.magnitude, head.grid, template, mask=head.brain)
    labels = found.to_scan(template.regions)
    assert labels.shape == head.grid.shape
    assert labels.dtype == np.int16
    both = (labels > 0) & (head.regions > 0)
    assert (labels == head.regions)[both].mean() > 0.9
    smooth = found.to_scan(template.t1, nearest=False)
    assert smooth.dtype == np.float32


def test_noise_is_not_believed(template):
    grid = centred((60, 70, 50), (3.0, 3.0, 3.5))
    noise = np.abs(np.random.default_rng(0).normal(size=grid.shape)).astype(np.float32)
    found = register(noise, grid, template)
    assert not found.ok
    assert found.says.endswith("not believed")


def test_a_small_crop_is_not_registered(template):
    grid = centred((24, 24, 20), (2.0, 2.0, 2.0))
    crop = 100 + np.random.default_rng(1).normal(0, 5, grid.shape).astype(np.float32)
    found = register(crop, grid, template)
    assert not found.ok
    assert "of a brain lies in the field of view" in found.says


def test_an_empty_mask_is_not_registered(make_head, template):
    head = make_head()
    nothing = np.zeros(head.grid.shape, dtype=bool)
    found = register(head.magnitude, head.grid, template, mask=nothing)
    assert not found.ok
    assert "nothing of the brain mask is left at 4 mm" in found.says


def test_correlation_is_one_for_a_function_and_none_for_strangers():
    rng = np.random.default_rng(2)
    x = rng.uniform(size=20000)
    assert correlation(x, 1 - x) > 0.95
    assert correlation(x, rng.uniform(size=20000)) < 0.02
    assert correlation(x, np.abs(x - 0.5)) > 0.6  # any function, not only a line


def test_bad_input_is_named(template):
    grid = Grid((20, 20, 20))
    with pytest.raises(InputError, match="all voxels are 0"):
        register(np.zeros(grid.shape, np.float32), grid, template)
    with pytest.raises(ParameterError, match="bins = 0"):
        RegistrationParams(bins=0)
