"""What years do."""

import numpy as np
import pytest
from scipy import ndimage

from petechia.errors import ParameterError
from petechia.simulate.ageing import iron_mg_per_100g, iron_ppm, nucleus_chi_ppm
from petechia.simulate.atlas import VENTRICLES
from petechia.simulate.head import make_head, sample_head, to_template


def test_iron_follows_the_autopsy_curves():
    # values of the published curves
    assert iron_mg_per_100g("pallidum", 100.0) == pytest.approx(21.78, abs=0.01)
    assert iron_mg_per_100g("putamen", 50.0) == pytest.approx(13.10, abs=0.01)
    assert iron_mg_per_100g("caudate", 0.0) == pytest.approx(0.33)
    # by the formula, with the published coefficients
    for name, a, b, c in (
        ("pallidum", 21.41, 0.09, 0.37), ("putamen", 14.62, 0.04, 0.46), ("caudate", 9.66, 0.05, 0.33)
    ):  # fmt: skip
        for age in (20.0, 45.0, 80.0):
            assert iron_mg_per_100g(name, age) == pytest.approx(a * (1 - np.exp(-b * age)) + c)


def test_iron_has_the_susceptibility_of_ferritin():
    # 1.296 ppm for a milligram in a millilitre at 37 C; tissue weighs 1.04 g in a millilitre
    assert iron_ppm(100.0 / 1.04) == pytest.approx(1.296, abs=0.004)
    assert iron_ppm(-4.0) == pytest.approx(-4 * iron_ppm(1.0))
    # all the iron of an old pallidum, less the myelin it lies in, is what maps show there
    assert 0.12 < iron_ppm(iron_mg_per_100g("pallidum", 80.0)) - 0.1 < 0.22


def test_nuclei_gain_the_iron_of_the_years(atlas):
    for name in ("putamen", "caudate", "pallidum", "dentate"):
        assert nucleus_chi_ppm(name, 0.08, 60.0) == pytest.approx(0.08)
        gained = iron_mg_per_100g(name, 85.0) - iron_mg_per_100g(name, 30.0)
        apart = nucleus_chi_ppm(name, 0.08, 85.0) - nucleus_chi_ppm(name, 0.08, 30.0)
        assert apart == pytest.approx(iron_ppm(gained))
        assert apart > 0
    assert nucleus_chi_ppm("thalamus", 0.01, 20.0) == 0.01
    young, old = (sample_head(atlas, np.random.default_rng(3), age) for age in (25.0, 85.0))
    gained = iron_ppm(iron_mg_per_100g("putamen", 85.0) - iron_mg_per_100g("putamen", 25.0))
    assert old.nuclei_chi_ppm["putamen"] - young.nuclei_chi_ppm["putamen"] == pytest.approx(gained)
    # most of it comes to the pallidum before 30, to the putamen until old age
    assert nucleus_chi_ppm("pallidum", 0, 85) - nucleus_chi_ppm("pallidum", 0, 35) < 0.6 * (
        nucleus_chi_ppm("putamen", 0, 85) - nucleus_chi_ppm("putamen", 0, 35)
    )


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
