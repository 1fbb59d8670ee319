"""The whole simulator on a coarse head."""

import tomllib
from dataclasses import replace
from importlib import resources

import numpy as np
import pytest
from scipy import ndimage

from petechia.errors import ParameterError
from petechia.simulate.patient import (
    SimulationParams,
    _header,
    sample_patient,
    scan_patient,
    simulate,
)
from petechia.simulate.protocols import PROTOCOLS
from petechia.simulate.receive import sample_coils

CONTRACT = tomllib.loads(resources.files("petechia.files").joinpath("contract.toml").read_text())


def test_the_same_seed_gives_the_same_scan(tiny, tiny_params, template):
    again = simulate(tiny_params, np.random.default_rng(7), template)
    np.testing.assert_array_equal(again.echoes.magnitude, tiny.echoes.magnitude)
    np.testing.assert_array_equal(again.echoes.phase_rad, tiny.echoes.phase_rad)
    assert again.truth.lesions == tiny.truth.lesions


def test_the_scan_is_what_its_protocol_says(tiny):
    protocol = PROTOCOLS["3t_tiny"]
    echoes = tiny.echoes
    assert echoes.magnitude.shape == (3, *protocol.shape)
    assert echoes.magnitude.dtype == echoes.phase_rad.dtype == np.float32
    assert echoes.te_s == protocol.te_s
    assert np.abs(echoes.phase_rad).max() <= np.float32(np.pi)
    assert tiny.header["tr_s"] == protocol.tr_s


def test_white_matter_has_the_stated_signal_to_noise(tiny):
    # ringing of the scalp reaches into air: the quietest block of air is noise alone
    air = tiny.echoes.magnitude[0, :6, -6:, :70].reshape(36, 7, 10)
    noise = np.sqrt((air**2).mean(axis=(0, 2)).min() / 2)
    assert 1000 / noise == pytest.approx(PROTOCOLS["3t_tiny"].snr, rel=0.1)


def test_the_brain_decays_with_its_true_r2star(tiny):
    first, last = tiny.echoes.magnitude[[0, -1]]
    deep = ndimage.binary_erosion(tiny.truth.maps["desc-brain_mask"], iterations=4)
    deep &= np.indices(deep.shape)[2] > 40  # far from sinuses and ears
    te = tiny.echoes.te_s
    measured = np.median(np.log(first / last)[deep]) / (te[-1] - te[0])
    assert measured == pytest.approx(np.median(tiny.truth.maps["R2starmap"][deep]), rel=0.12)


def test_phase_is_the_true_field_at_short_intervals(tiny):
    brain = ndimage.binary_erosion(tiny.truth.maps["desc-brain_mask"], iterations=4)
    brain &= np.indices(brain.shape)[2] > 40
    te, phase = tiny.echoes.te_s, tiny.echoes.phase_rad
    turns = (te[1] - te[0]) * 127.732 * tiny.truth.maps["desc-field_fieldmap"]
    error = np.angle(np.exp(1j * (phase[1] - phase[0] - 2 * np.pi * turns)))
    assert np.abs(np.median(error[brain])) < 0.05
    assert np.median(np.abs(error[brain])) < 0.1


def test_the_truth_table_has_the_columns_of_the_contract(tiny):
    columns = CONTRACT["truth"]["lesions"]["columns"]
    classes = CONTRACT["findings"]["class"]
    for row in tiny.truth.lesions:
        assert list(row) == columns
        assert row["class"] in classes
        assert row["side"] in CONTRACT["findings"]["side"]
        assert row["site"] in CONTRACT["findings"]["site"]
        assert row["compartment"] in CONTRACT["findings"]["compartment"]
    assert set(tiny.truth.maps) == set(CONTRACT["truth"]["maps"])


def test_voids_are_dark_visible_and_where_the_table_says(tiny):
    labels, grid = tiny.truth.labels, tiny.echoes.grid
    assert sum(row["visible"] for row in tiny.truth.lesions) >= 5
    for row in tiny.truth.lesions:
        voxels = np.argwhere(labels == row["index"])
        assert len(voxels) >= 1
        away = grid.to_mm(voxels) - [row["x_mm"], row["y_mm"], row["z_mm"]]
        assert np.linalg.norm(away, axis=1).min() < 3.0
        if row["visible"]:
            assert row["apparent_volume_mm3"] == pytest.approx(len(voxels) * 2.4**3, rel=1e-3)
            assert row["apparent_diameter_mm"] >= 2.4
        else:
            assert row["apparent_diameter_mm"] == row["apparent_volume_mm3"] == 0


def test_the_true_map_holds_the_moments(template, tiny):
    bare = SimulationParams(protocol="3t_tiny", n_microbleeds=0, n_calcifications=0)
    with_lesions, without = tiny, simulate(bare, np.random.default_rng(7), template)
    mask = with_lesions.truth.maps["desc-brain_mask"] > 0
    np.testing.assert_array_equal(mask, without.truth.maps["desc-brain_mask"] > 0)
    more = (with_lesions.truth.maps["Chimap"] - without.truth.maps["Chimap"])[mask]
    more = (more - np.median(more)).sum(dtype=float) * 2.4**3
    moments = sum(row["moment_ppm_mm3"] for row in with_lesions.truth.lesions)
    assert more == pytest.approx(moments, rel=0.05)
    # same person, same coil, same noise: only lesions differ
    far = ndimage.distance_transform_edt(with_lesions.truth.labels == 0) * 2.4 > 25
    a, b = with_lesions.echoes.magnitude[0][far], without.echoes.magnitude[0][far]
    assert np.abs(a - b).max() < 20


def test_every_kind_of_lesion_comes_through_the_scanner(atlas):
    everything = SimulationParams(
        protocol="3t_tiny", n_microbleeds=52, n_calcifications=7, clustered=0.3, elongated=0.3,
        n_macrobleeds=1, n_cavernomas=1, n_siderosis=1, n_iron=2, n_air_specks=3, stage="acute",
    )  # fmt: skip
    person = sample_patient(everything, atlas, np.random.default_rng(1))
    scan = scan_patient(person, PROTOCOLS["3t_tiny"], atlas, np.random.default_rng(2))
    rows = scan.truth.lesions
    assert {row["class"] for row in rows} == set(CONTRACT["findings"]["class"]) - {"vessel"}
    assert sum(row["class"] == "microbleed" for row in rows) == 52
    (large,) = (row for row in rows if row["class"] == "macrobleed")
    assert large["visible"]
    assert large["apparent_diameter_mm"] > 10
    assert large["apparent_volume_mm3"] > 500
    (layer,) = (row for row in rows if row["class"] == "siderosis")
    assert layer["visible"]
    assert layer["apparent_diameter_mm"] > 1.5 * layer["true_diameter_mm"]


def test_one_person_under_another_protocol_keeps_their_lesions(atlas, tiny_params):
    person = sample_patient(tiny_params, atlas, np.random.default_rng(1))
    slices = replace(
        PROTOCOLS["1.5t_t2star_2d_5mm"], shape=(78, 95, 28), spacing_mm=(2.4, 2.4, 6.0),
        fine=(2.0, 2.0, 3.0), head_mm=2.4,
    )  # fmt: skip
    scan = scan_patient(person, slices, atlas, np.random.default_rng(2))
    assert [row["moment_ppm_mm3"] for row in scan.truth.lesions] == [
        round(source.moment_ppm_mm3, 4) for source in person.sources
    ]
    assert scan.echoes.phase_rad is None
    assert scan.header["slice_spacing_mm"] == 6.0
    assert scan.header["slice_thickness_mm"] == 5.0
    assert scan.header["pixel_bandwidth_hz"] is None
    assert _header(replace(slices, bandwidth_hz=180.0))["pixel_bandwidth_hz"] == 180.0


def test_coils_can_be_had_uncombined_and_make_the_scan(atlas, tiny_params):
    one = sample_patient(replace(tiny_params, n_microbleeds=2), atlas, np.random.default_rng(3))
    protocol = replace(PROTOCOLS["3t_tiny"], n_coils=3, te_s=(0.02,))

    def scanned(**more):
        return scan_patient(one, protocol, atlas, np.random.default_rng(4), **more)

    scan, plain = scanned(uncombined=True), scanned()
    assert plain.coils is None
    np.testing.assert_array_equal(plain.echoes.magnitude, scan.echoes.magnitude)
    assert scan.coils.shape == (3, 1, *protocol.shape)
    _, _, noise = np.random.default_rng(4).spawn(3)
    coils = sample_coils(noise, 3)
    ways = np.stack([coils.sensitivity(n, protocol.grid) for n in range(3)])
    whole = (ways.conj() * scan.coils[:, 0]).sum(axis=0)
    whole /= np.sqrt((np.abs(ways) ** 2).sum(axis=0))
    np.testing.assert_allclose(np.abs(whole), scan.echoes.magnitude[0], rtol=1e-3, atol=0.5)
    turns = np.angle(scan.coils[0, 0] * scan.coils[1, 0].conj())
    assert np.ptp(turns[scan.echoes.magnitude[0] > 300]) > 0.5  # each has a phase of its own
    with pytest.raises(ParameterError, match="2 coils or more"):
        scan_patient(one, PROTOCOLS["3t_tiny"], atlas, noise, uncombined=True)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"protocol": "9t"}, r"no protocol '9t'.*demo_light"),
        ({"pattern": "round"}, "pattern = 'round'"),
        ({"n_microbleeds": -1}, "n_microbleeds = -1"),
        ({"snr": 0.0}, r"snr = 0\.0"),
    ],
)
def test_impossible_wishes_are_refused(change, says):
    with pytest.raises(ParameterError, match=says):
        SimulationParams(**change)
