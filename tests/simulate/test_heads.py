"""Heads kept for further scans."""

from dataclasses import replace

import numpy as np
import pytest

from petechia.simulate.heads import Heads
from petechia.simulate.patient import SimulationParams, sample_patient, scan_patient
from petechia.simulate.protocols import PROTOCOLS
from petechia.simulate.vessels import VesselParams

TINY = replace(
    PROTOCOLS["3t_tiny"], te_s=(0.02,), head_mm=4.0, shape=(48, 58, 42), spacing_mm=(4, 4, 4)
)


@pytest.fixture(scope="module")
def people(atlas):
    params = SimulationParams(
        n_microbleeds=2,
        n_calcifications=0,
        vessels=VesselParams(n_pial=0, n_small_pial=0, n_intracortical=0),
    )
    return [sample_patient(params, atlas, np.random.default_rng(n)) for n in range(2)]


def test_a_head_is_built_once_for_a_person_and_a_size(atlas, people):
    kept = Heads(most=2)
    first = kept.of(people[0].head, atlas, 4.0)
    assert kept.of(people[0].head, atlas, 4.0) is first
    assert kept.of(people[0].head, atlas, 5.0) is not first
    assert kept.of(people[0].head, atlas, 4.0) is first
    other = kept.of(people[1].head, atlas, 4.0)  # drops the 5 mm head, which lay longest
    assert kept.of(people[0].head, atlas, 4.0) is first
    assert kept.of(people[1].head, atlas, 4.0) is other
    assert not np.array_equal(other.chi_ppm, first.chi_ppm)


def test_none_are_kept_when_none_may_be(atlas, people):
    kept = Heads(most=0)
    assert kept.of(people[0].head, atlas, 5.0) is not kept.of(people[0].head, atlas, 5.0)


def test_scans_under_several_protocols_are_the_same_with_a_kept_head(atlas, people):
    kept = Heads()
    at_7t = replace(TINY, b0_t=7.0, te_s=(0.01,), tilt_deg=(20.0, 0.0))
    for protocol in (TINY, at_7t):
        bare, fast = (
            scan_patient(people[0], protocol, atlas, np.random.default_rng(5), heads=heads)
            for heads in (None, kept)
        )
        np.testing.assert_array_equal(bare.echoes.magnitude, fast.echoes.magnitude)
        np.testing.assert_array_equal(bare.echoes.phase_rad, fast.echoes.phase_rad)
        for name, volume in bare.truth.maps.items():
            np.testing.assert_array_equal(volume, fast.truth.maps[name])
        assert bare.truth.lesions == fast.truth.lesions
