"""Large bleeds: volumes in closed form, looks, and stages by the published sequence."""

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.errors import ParameterError
from petechia.lesions.hematoma import STAGES, likely_stage, look_of, size_of

GRID = Grid.from_spacing((44, 40, 23), (1.0, 1.0, 2.0))


def ellipsoid(half_mm, centre=(21, 20, 11)):
    index = np.stack(np.indices(GRID.shape), -1) - np.array(centre)
    return np.linalg.norm(index * GRID.spacing_mm / np.array(half_mm), axis=-1) <= 1


def test_the_volume_of_an_ellipsoid_by_voxels_and_by_hand():
    half = np.array([13.0, 8.0, 10.0])
    found = size_of(ellipsoid(half), GRID)
    true = 4 / 3 * np.pi * half.prod() / 1000
    assert found.voxels_ml == pytest.approx(true, rel=0.03)
    assert found.abc2_ml == pytest.approx(true, rel=0.2)  # pi/6 taken for 1/2, voxels whole
    assert found.a_mm == pytest.approx(26, abs=1.5)
    assert found.b_mm == pytest.approx(16, abs=1.5)


def test_diameters_do_not_depend_on_the_direction_in_the_slice():
    index = np.stack(np.indices(GRID.shape), -1) - np.array([21, 20, 11])
    turned = index * GRID.spacing_mm
    c = np.sqrt(0.5)
    u, v = c * (turned[..., 0] + turned[..., 1]), c * (turned[..., 0] - turned[..., 1])
    label = (u / 13) ** 2 + (v / 8) ** 2 + (turned[..., 2] / 8) ** 2 <= 1
    found = size_of(label, GRID)
    assert found.a_mm == pytest.approx(26, abs=1.5)
    assert found.b_mm == pytest.approx(16, abs=1.5)


def test_an_empty_label_has_no_size():
    with pytest.raises(ParameterError, match="no voxel"):
        size_of(np.zeros(GRID.shape, bool), GRID)


@pytest.mark.parametrize(
    ("value", "look"), [(40, "dark"), (100, "iso"), (125, "iso"), (190, "bright")]
)
def test_the_look_is_against_grey_and_white_matter_around(value, look):
    label = ellipsoid((6, 6, 6))
    rng = np.random.default_rng(0)
    image = np.where(rng.random(GRID.shape) < 0.5, 90.0, 130.0) + rng.normal(0, 3, GRID.shape)
    image[label] = value
    assert look_of(image, label, np.ones(GRID.shape, bool), GRID) == look


@pytest.mark.parametrize("centre", [(2, 20, 11), (41, 20, 11), (21, 37, 11), (21, 20, 22)])
def test_a_bleed_near_either_end_of_the_volume_is_looked_at(centre):
    label = ellipsoid((6, 6, 6), centre)
    image = np.where(label, 190.0, np.where(np.indices(GRID.shape)[0] % 2, 90.0, 110.0))
    assert look_of(image, label, np.ones(GRID.shape, bool), GRID) == "bright"


def test_an_image_that_does_not_cover_the_bleed_tells_nothing():
    label = ellipsoid((6, 6, 6))
    image = np.full(GRID.shape, np.nan)
    assert look_of(image, label, np.ones(GRID.shape, bool), GRID) is None


@pytest.mark.parametrize("name", STAGES)
def test_every_stage_is_told_by_its_typical_look(name):
    stage = STAGES[name]
    found = likely_stage(stage.t1[0], stage.t2[0], stage.chi_ppm[0])
    assert found.stage == name
    assert stage.time in found.says
    assert sum(found.chances.values()) == pytest.approx(1)


def test_susceptibility_alone_names_no_stage():
    for chi in np.linspace(-0.5, 2.5, 13):
        found = likely_stage(chi_ppm=float(chi))
        assert found.stage is None
        assert "stage not estimated" in found.says
        assert "missing: T1w, T2w" in found.says


def test_nothing_known_is_nothing_told():
    found = likely_stage()
    assert found.stage is None
    assert found.says == "stage not estimated; missing: T1w, T2w, susceptibility"
    assert set(found.chances.values()) == {0.2}


def test_two_images_that_fit_two_stages_leave_both():
    """Iso on T1w, dark on T2w is acute; bright and dark early subacute; dark and dark is open."""
    assert likely_stage("iso", "dark").stage == "acute"
    open_ = likely_stage("dark", "dark")
    assert open_.stage is None
    assert "acute or chronic" in open_.says
    assert likely_stage("dark", "dark", 0.6).stage == "chronic"


def test_a_look_that_is_none_is_named():
    with pytest.raises(ParameterError, match=r"T2w: 'grey' is no look"):
        likely_stage("dark", "grey")
