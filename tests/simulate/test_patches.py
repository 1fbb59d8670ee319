"""Patches for training are what a whole scan would show."""

import numpy as np
import pytest

from petechia.errors import ParameterError
from petechia.simulate.nearby import add_source_fields, matter_of, near_sources
from petechia.simulate.patches import KINDS, cache_head, make_patches, patch_into
from petechia.simulate.patient import SimulationParams, sample_patient
from petechia.simulate.protocols import PROTOCOLS, Protocol
from petechia.simulate.signal import acquire
from petechia.simulate.sources import Sphere


@pytest.fixture(scope="module")
def head(atlas):
    params = SimulationParams(protocol="3t_tiny", n_microbleeds=0, n_calcifications=0)
    patient = sample_patient(params, atlas, np.random.default_rng(0))
    return cache_head(patient, PROTOCOLS["3t_tiny"], atlas, np.random.default_rng(1))


def test_patches_have_their_truth(head):
    made = make_patches([head], 40, np.random.default_rng(0))
    assert made.signal.shape == (40, 3, 32, 32, 32)
    assert set(made.kind) == set(range(len(KINDS)))
    bleeds, stones = (made.kind == KINDS.index(k) for k in ("microbleed", "calcification"))
    assert (made.moment_ppm_mm3[bleeds] > 0).all()
    assert (made.moment_ppm_mm3[stones] < 0).all()
    assert not made.moment_ppm_mm3[~bleeds & ~stones].any()
    assert not made.void[~bleeds & ~stones].any()
    assert made.void[bleeds].any(axis=(1, 2, 3)).mean() > 0.2
    for number in np.flatnonzero(made.void.any(axis=(1, 2, 3))):
        away = np.argwhere(made.void[number]) - made.centre[number]
        assert np.linalg.norm(away, axis=1).min() < 2.5
    again = make_patches([head], 40, np.random.default_rng(0))
    np.testing.assert_array_equal(made.signal, again.signal)


def test_a_patch_is_a_crop_of_the_whole_scan(head):
    protocol, voxel = head.protocol, head.inside[len(head.inside) // 2]
    at, corner = voxel + np.array([0.2, -0.3, 0.1]), voxel - 16
    ball = Sphere(centre_mm=(0.0, 0.0, 0.0), radius_mm=2.2, chi_ppm=0.9)
    got = np.empty((3, 32, 32, 32), dtype=np.complex64)
    void = patch_into(got, head, corner, at, (ball,))
    assert void.any()
    table = np.array([[*(at * protocol.grid.spacing_mm), 2.2, 0.9]])
    matter = matter_of(["hemosiderin"], protocol)
    near = near_sources(head.maps, table, matter, protocol, protocol.te_s)
    kept = head.maps.field_ppm.copy()
    add_source_fields(head.maps, table)
    whole = acquire(head.maps, protocol, protocol.te_s, near) * head.coil
    head.maps.field_ppm[:] = kept
    x, y, z = (slice(c, c + 32) for c in corner)
    effect = np.abs(whole - head.images)[:, x, y, z]
    error = np.abs(got - whole[:, x, y, z])
    assert np.sqrt((error**2).mean()) < 0.04 * np.sqrt((effect**2).mean())


def test_a_volume_too_small_is_refused(atlas, head):
    small = Protocol(
        b0_t=3.0, te_s=(0.02,), tr_s=0.03, flip_deg=15.0, shape=(20, 40, 40), spacing_mm=(2, 2, 2)
    )
    with pytest.raises(ParameterError, match=r"shape = \(20, 40, 40\)"):
        cache_head(None, small, atlas, np.random.default_rng(0))
