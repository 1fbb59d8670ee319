"""Drawn patients, drawn protocols, follow-up."""

import numpy as np
import pytest

from petechia.simulate.patient import SimulationParams, sample_patient
from petechia.simulate.protocols import random_protocol
from petechia.simulate.render import fine_grid
from petechia.simulate.variety import follow_up, varied_params, varied_vessels


def test_drawn_patients_differ_and_some_are_heavy():
    drawn = [varied_params(np.random.default_rng(n)) for n in range(80)]
    loads = [p.n_microbleeds for p in drawn]
    assert {None, 0} <= set(loads)
    assert max(n for n in loads if n is not None) >= 50
    assert {p.pattern for p in drawn} == {"mixed", "lobar", "deep"}
    assert any(p.n_siderosis for p in drawn)
    assert any(p.n_macrobleeds for p in drawn)


def test_drawn_veins_are_few_and_many_straight_and_winding():
    drawn = [varied_vessels(np.random.default_rng(n)) for n in range(80)]
    for name, least, most in (
        ("n_pial", 80, 340), ("n_small_medullary", 90, 700), ("winding_per_mm", 0.07, 0.35),
        ("fork_per_mm", 0.03, 0.07), ("smallest_mm", 0.11, 0.19),
    ):  # fmt: skip
        values = np.array([getattr(p, name) for p in drawn])
        assert values.min() < least
        assert values.max() > most
        assert np.median(values) == pytest.approx(np.sqrt(least * most), rel=0.35)


@pytest.mark.parametrize("light", [False, True])
def test_drawn_protocols_cover_the_brain_and_are_simulated_finely(light):
    seen, coils = set(), set()
    for seed in range(40):
        protocol = random_protocol(np.random.default_rng(seed), light)
        coils.add(protocol.n_coils)
        extent = np.asarray(protocol.shape) * protocol.spacing_mm
        assert (extent >= (180, 215, 150)).all()
        assert 0.045 < max(protocol.te_s) * protocol.b0_t < 0.08
        fine = fine_grid(protocol)
        assert (fine.spacing_mm <= np.asarray(protocol.spacing_mm) / 1.999).all()
        seen.add((protocol.b0_t, protocol.acquisition_type, len(protocol.te_s) > 1))
    assert {s[0] for s in seen} == {1.5, 3.0, 7.0}
    assert coils == {1, 4}
    assert {s[1:] for s in seen} == {("2D", False), ("3D", False), ("3D", True)}


def test_finer_voxels_can_be_drawn_of_the_same_scanners():
    for seed in range(20):
        usual, fine = (
            random_protocol(np.random.default_rng(seed), **drawn)
            for drawn in ({}, {"in_plane_mm": (0.45, 0.65), "aspect": (1.6, 4.0)})
        )
        assert 0.45 <= fine.spacing_mm[0] <= 0.65
        assert (fine.b0_t, fine.te_s, fine.snr) == (usual.b0_t, usual.te_s, usual.snr)
        assert fine.acquisition_type == "2D" or 1.0 <= fine.spacing_mm[2] <= 2.6
        assert (np.asarray(fine.shape) * fine.spacing_mm >= (180, 215, 150)).all()
        # as fine beneath as other scans, not finer
        assert fine_grid(fine).spacing_mm[0] == pytest.approx(0.325, abs=0.006)


def test_follow_up_keeps_grows_and_adds(atlas):
    params = SimulationParams(n_microbleeds=30, n_calcifications=2)
    first = sample_patient(params, atlas, np.random.default_rng(1))
    second = follow_up(first, atlas, np.random.default_rng(2), n_new=4)
    n = len(first.sources)
    assert len(second.sources) == n + 4
    ratio = np.array(
        [
            b.moment_ppm_mm3 / a.moment_ppm_mm3
            for a, b in zip(first.sources, second.sources, strict=False)
        ]
    )
    grown = np.array([s.title == "grown microbleed" for s in second.sources[:n]])
    assert 0 < grown.sum() < 15
    np.testing.assert_allclose(ratio[~grown], 1.0)
    assert (ratio[grown] >= 1.4).all()
    assert (ratio[grown] <= 3.0001).all()
    for a, b in zip(first.sources, second.sources, strict=False):
        np.testing.assert_allclose(a.centre_mm, b.centre_mm, atol=1e-6)
    old = np.array([s.centre_mm for s in first.sources])
    for fresh in second.sources[n:]:
        assert fresh.title == "new microbleed"
        assert np.linalg.norm(old - fresh.centre_mm, axis=1).min() > 6.0
    assert second.head is first.head
    assert second.vessels is first.vessels
