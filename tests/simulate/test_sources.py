"""Lesions drawn as real ones are."""

import numpy as np
import pytest

from petechia.errors import ParameterError
from petechia.simulate.head import sample_head
from petechia.simulate.mimics import sample_calcifications
from petechia.simulate.sources import (
    LOCATION_FRACTION,
    draw_count,
    draw_moment,
    sample_microbleeds,
)


@pytest.fixture(scope="module")
def head(atlas):
    return sample_head(atlas, np.random.default_rng(0))


def test_moments_have_the_stated_quantiles():
    rng = np.random.default_rng(0)
    moments = [draw_moment(rng) for _ in range(8000)]
    np.testing.assert_allclose(np.quantile(moments, [0.05, 0.5, 0.95]), [0.4, 2.3, 25.0], rtol=0.1)


def test_counts_have_the_quantiles_of_patients():
    rng = np.random.default_rng(0)
    counts = [draw_count(rng) for _ in range(4000)]
    np.testing.assert_allclose(np.quantile(counts, [0.25, 0.5, 0.75, 0.9]), [1, 2, 5, 12], atol=1)
    assert min(counts) == 1


def test_places_have_the_stated_fractions(atlas, head):
    bleeds = sample_microbleeds(200, atlas, head, np.random.default_rng(1))
    compartments = [b.place.compartment for b in bleeds]
    deep_by_location = sum(
        LOCATION_FRACTION[n] for n in ("basal_ganglia", "thalamus", "other_deep")
    )
    assert compartments.count("infratentorial") / 200 == pytest.approx(0.116, abs=0.05)
    # subcortical white matter includes the deep and periventricular kind
    assert deep_by_location - 0.05 < compartments.count("deep") / 200 < 0.45
    assert compartments.count("n/a") == 0


def test_a_source_of_several_spheres_keeps_its_moment(atlas, head):
    bleeds = sample_microbleeds(60, atlas, head, np.random.default_rng(2))
    several = [b for b in bleeds if len(b.spheres) > 1]
    assert several
    for b in several:
        first, second = b.spheres[:2]
        apart = np.linalg.norm(np.subtract(first.centre_mm, second.centre_mm))
        assert apart == pytest.approx(first.radius_mm + second.radius_mm)
        assert b.chi_ppm == pytest.approx(first.chi_ppm)
        assert b.moment_ppm_mm3 == pytest.approx(b.chi_ppm * np.pi / 6 * b.diameter_mm**3)


@pytest.mark.parametrize(("pattern", "only"), [("lobar", "lobar"), ("deep", "deep")])
def test_patterns_keep_to_their_compartment(atlas, head, pattern, only):
    bleeds = sample_microbleeds(30, atlas, head, np.random.default_rng(3), pattern)
    found = {b.place.compartment for b in bleeds}
    assert found <= ({"lobar", "deep"} if only == "lobar" else {"deep", "infratentorial"})


def test_calcifications_are_diamagnetic(atlas, head):
    stones = sample_calcifications(7, atlas, head, np.random.default_rng(4))
    assert len(stones) == 7
    assert all(s.moment_ppm_mm3 < 0 and s.kind == "calcification" for s in stones)


def test_an_unknown_pattern_is_refused(atlas, head):
    with pytest.raises(ParameterError, match=r"pattern = 'round'.*mixed, lobar, deep"):
        sample_microbleeds(1, atlas, head, np.random.default_rng(0), "round")
