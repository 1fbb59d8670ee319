"""What years do."""

import numpy as np
import pytest
from scipy import ndimage

from petechia.errors import ParameterError
from petechia.simulate.ageing import iron_mg_per_100g, iron_share
from petechia.simulate.atlas import VENTRICLES
from petechia.simulate.head import make_head, sample_head, to_template


def test_iron_follows_the_autopsy_curves():
    # values of the published curves
    assert iron_mg_per_100g("pallidum", 100.0) == pytest.approx(21.78, abs=0.01)
    assert iron_mg_per_100g("putamen", 50.0) == pytest.approx(13.10, abs=0.01)
    assert iron_mg_per_100g("caudate", 0.0) == pytest.approx(0.33)
    assert iron_share("putamen", 20.0) < iron_share("pallidum", 20.0) < 1.0
    assert iron_share("caudate", 60.0) == pytest.approx(1.0)


def volumes_ml(atlas, age, seed=1):
    params = sample_head(atlas, np.random.default_rng(seed), age)
    head = make_head(params, atlas, 3.0)
    voxels = np.argwhere(head.brain > 0.5)
    index = atlas.grid.to_index(to_template(head.grid.to_mm(voxels), params, atlas))
    label = ndimage.map_coordinates(atlas.regions, index.T, order=0)
    voxel_ml = head.grid.voxel_mm3 / 1e3
    return np.isin(label, VENTRICLES[:2]).sum() * voxel_ml, head.fractions["csf"].sum() * voxel_ml


def test_ventricles_and_sulci_widen_with_age(atlas):
    young, old = volumes_ml(atlas, 25.0), volumes_ml(atlas, 85.0)
    assert 10 < young[0] < 28
    assert 1.3 * young[0] < old[0] < 70
    assert old[1] > young[1] + 15


@pytest.mark.parametrize("age", [3.0, 150.0])
def test_ages_are_those_of_adults(atlas, age):
    with pytest.raises(ParameterError, match=f"age_years = {age}"):
        sample_head(atlas, np.random.default_rng(0), age)
