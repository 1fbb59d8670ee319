"""Veins: their law, their volume, their place."""

import numpy as np
import pytest

from petechia.errors import ParameterError
from petechia.simulate.head import sample_head, to_template
from petechia.simulate.tubes import draw_tubes
from petechia.simulate.vessels import VesselParams, _fork, sample_vessels


@pytest.mark.parametrize("radius", [0.15, 0.3, 0.5, 1.0, 2.0])
def test_a_tube_keeps_its_volume_however_thin(radius):
    fraction = np.zeros((41, 41, 41), dtype=np.float32)
    spacing = np.full(3, 0.5)
    segment = np.array([[10.1, 10.3, 5.0, 10.1, 10.3, 15.0, radius]])
    draw_tubes(fraction, segment, spacing, np.zeros(3))
    middle = fraction[:, :, 16:26].sum() * 0.5**3 / 5.0
    assert middle == pytest.approx(np.pi * radius**2, rel=0.08)
    assert fraction.max() <= 1


def test_forks_obey_murrays_law():
    rng = np.random.default_rng(0)
    n = 200
    radius = np.full(n, 1.0)
    way = np.tile([0.0, 0.0, 1.0], (n, 1))
    place = np.arange(3.0 * n).reshape(n, 3)
    places, ways, radii = _fork(place, way, radius, VesselParams(fork_per_mm=1.0), rng)
    np.testing.assert_allclose(radii[:n] ** 3 + radii[n:] ** 3, 1.0)
    np.testing.assert_array_equal(places[:n], places[n:])
    np.testing.assert_allclose(np.linalg.norm(ways, axis=1), 1.0)


def test_veins_fill_the_brain_with_radii_of_veins(atlas):
    rng = np.random.default_rng(1)
    head = sample_head(atlas, rng)
    veins = sample_vessels(atlas, head, rng)
    radius = veins.segments[:, 6]
    assert 0.02 < radius.min() < 0.05  # intracortical ones
    assert 2.5 < radius.max() < 4.5
    assert 0.25 < veins.chi_ppm < 0.75
    middle = 0.5 * (veins.segments[:, :3] + veins.segments[:, 3:6])
    index = np.round(atlas.grid.to_index(to_template(middle, head, atlas))).astype(int)
    inside = ((index >= 0) & (index < atlas.grid.shape)).all(axis=1)
    assert (atlas.head[tuple(index[inside].T)] > 0.5).mean() > 0.97
    length = np.linalg.norm(veins.segments[:, 3:6] - veins.segments[:, :3], axis=1)
    assert 5_000 < length.sum() < 200_000  # mm: metres of visible veins


def test_veins_cut_across_slices_abound(atlas):
    rng = np.random.default_rng(1)
    veins = sample_vessels(atlas, sample_head(atlas, rng), rng).segments
    wide = veins[(veins[:, 6] > 0.3) & (veins[:, 6] < 1.5)]
    way = wide[:, 3:6] - wide[:, :3]
    steep = np.abs(way[:, 2]) > 0.8 * np.linalg.norm(way, axis=1)
    for thick_mm in (1.0, 5.0):
        crossed = np.floor(wide[:, 2] / thick_mm) != np.floor(wide[:, 5] / thick_mm)
        assert (steep & crossed).sum() >= 150


def test_no_veins_can_be_asked_for(atlas):
    rng = np.random.default_rng(1)
    none = VesselParams(
        n_bridging=0, n_pial=0, n_medullary=0, n_small_pial=0, n_small_medullary=0,
        n_intracortical=0,
    )  # fmt: skip
    veins = sample_vessels(atlas, sample_head(atlas, rng), rng, none)
    assert len(veins.segments) < 600  # sinuses and named deep veins stay


def test_bad_numbers_are_refused():
    with pytest.raises(ParameterError, match="n_pial=-1"):
        VesselParams(n_pial=-1)


def test_trees_wind_as_told(atlas):
    turns = []
    for winding in (0.02, 0.10, 0.30):
        params = VesselParams(
            n_bridging=0, n_small_pial=0, n_medullary=0, n_small_medullary=60, n_pial=60,
            n_intracortical=0, fork_per_mm=0.0, winding_per_mm=winding,
        )  # fmt: skip
        rng = np.random.default_rng(3)
        veins = sample_vessels(atlas, sample_head(atlas, rng), rng, params).segments
        way = veins[:, 3:6] - veins[:, :3]
        way /= np.linalg.norm(way, axis=1, keepdims=True)
        # what leaves where another one ends goes on from it
        after = {tuple(np.round(start, 6)): n for n, start in enumerate(veins[:, :3])}
        pairs = [(n, after.get(tuple(np.round(end, 6)))) for n, end in enumerate(veins[:, 3:6])]
        before, then = np.array([pair for pair in pairs if pair[1] is not None]).T
        turns.append(np.median(np.arccos(np.clip((way[before] * way[then]).sum(1), -1, 1))))
    assert turns[0] < 0.7 * turns[1]
    assert turns[2] > 2.2 * turns[1]
    with pytest.raises(ParameterError, match="winding"):
        VesselParams(winding_per_mm=1.5)
