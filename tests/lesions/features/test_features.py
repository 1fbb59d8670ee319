"""What is told of a void: closed forms, symmetries, and what is missing."""

from dataclasses import replace

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.core.units import radians_per_ppm
from petechia.lesions.dephasing import fit_dephasing
from petechia.lesions.dipole import dipole_mean
from petechia.lesions.features import NAMES, PHASE_NAMES, SIGNED_NAMES, pipeline_hash
from petechia.lesions.features.curvature import NAMES as CURVES
from petechia.lesions.features.curvature import curvature_features
from petechia.lesions.features.magnetic import MAP_NAMES, VOID_NAMES, map_features, void_features
from petechia.lesions.features.patches import AXIS_MM, BALL, CHANNELS, SIDE, cut_cubes
from petechia.lesions.features.radial import NAMES as RADIAL
from petechia.lesions.features.radial import radial_features
from petechia.lesions.look import look
from petechia.lesions.params import DetectParams

X, Y, Z = np.meshgrid(AXIS_MM, AXIS_MM, AXIS_MM, indexing="ij")


def ball(radius_mm=2.0):
    return np.exp(-(X**2 + Y**2 + Z**2) / (2 * radius_mm**2))[None].astype(np.float32)


def tube(radius_mm=1.2):
    return np.exp(-((X - Z) ** 2 / 2 + Y**2) / (2 * radius_mm**2))[None].astype(np.float32)


def plate(radius_mm=1.2):
    return np.exp(-(Y**2) / (2 * radius_mm**2))[None].astype(np.float32)


def of(names, table):
    return dict(zip(names, table[0], strict=True))


def test_a_ball_is_round_and_a_tube_goes_through():
    round_, long = (of(RADIAL, radial_features(c)) for c in (ball(), tube()))
    assert round_["round_5"] > 0.95
    assert long["round_5"] < 0.5
    assert round_["through_1"] < 0.1
    assert long["through_1"] > 0.6
    assert round_["shell_0"] > round_["shell_1"] > round_["shell_2"] > round_["shell_3"]


def test_curvature_counts_the_directions_that_fall_off():
    b, t, p = (of(CURVES, curvature_features(c)) for c in (ball(1.2), tube(), plate()))
    scale = "curve_1.7"
    # three equal ones; two and none; one and none
    assert b[f"{scale}_3"] == pytest.approx(b[f"{scale}_1"], rel=0.02)
    assert abs(t[f"{scale}_3"]) < 0.1 * abs(t[f"{scale}_2"])
    assert abs(p[f"{scale}_2"]) < 0.1 * abs(p[f"{scale}_1"])
    assert t["axis_7_long"] > 2 > 1.1 > b["axis_7_long"]
    assert p["axis_7_flat"] > 2


@pytest.mark.parametrize("moment", [2.0, -2.0])
def test_a_dipole_s_pattern_has_its_sign(moment):
    field = np.zeros((1, SIDE, SIDE, SIDE), dtype=np.float32)
    away = BALL.radius_mm > 1
    values = moment * dipole_mean(BALL.offset_mm[away], np.array([0.0, 0, 1]), np.full(3, 0.8))
    field.reshape(-1)[away] = 20 * values
    told = of(MAP_NAMES, map_features(field + 0.3 + 0.05 * X[None], np.zeros_like(field)))
    assert told["dipole_near"] * np.sign(moment) > 0.95
    assert told["dipole_far"] * np.sign(moment) > 0.95


def test_iron_that_is_spread_out_asks_for_more_by_its_void(told):
    """A ball of 1.5 mm with 0.06 ppm and much decay: its void is deeper than its field says."""
    grid = Grid((25, 25, 25), np.eye(4))
    place = np.array([12.2, 11.9, 12.0])
    away = np.linalg.norm(np.moveaxis(np.indices(grid.shape), 0, -1) - place, axis=-1)
    moment, turn = 4 / 3 * np.pi * 1.5**3 * 0.06, radians_per_ppm(3.0, 0.02)
    signal = (1 - 0.9 * np.exp(-0.5 * (away / 1.5) ** 2)).astype(np.float32)
    void = np.argwhere(signal < 0.5)
    by_void = fit_dephasing(signal, signal > 0.5, void, place, 1.7, grid, turn, moment, 0.02)
    seen, _ = told
    fit = next(f.fit for f in seen.features if f.fit)
    fit = replace(fit, moment_ppm_mm3=moment, se_ppm_mm3=0.1 * moment)
    row = of(VOID_NAMES, void_features(by_void, fit)[None])
    assert row["log_over_field"] > np.log(2)
    assert row["errors_above"] > 1
    assert np.isnan(void_features(None, fit)).all()
    assert np.isnan(void_features(by_void, replace(fit, moment_ppm_mm3=-moment))).all()


def test_point_like_iron_asks_for_the_same_by_void_and_field(told):
    seen, described = told
    bleeds = [
        n
        for n, f in enumerate(seen.features)
        if f.fit and f.fit.significance > 5 and f.tube.through < 0.3
    ]
    assert len(bleeds) >= 3
    ratio = described.table[bleeds, NAMES.index("void_log_over_field")]
    assert np.median(np.abs(ratio)) < 0.3


def test_cubes_do_not_depend_on_how_the_volume_is_stored():
    rng = np.random.default_rng(4)
    volume = rng.normal(size=(31, 29, 27)).astype(np.float32)
    affine = np.diag([0.9, 1.1, 1.7, 1.0])
    affine[:3, 3] = (-10, 4, 7)
    grid = Grid(volume.shape, affine)
    place = np.array([14.3, 15.1, 12.6])
    one = cut_cubes({"dark": volume}, [place], grid)
    flipped = volume[::-1].transpose(2, 0, 1)
    step = np.zeros((4, 4))  # new index -> old index
    step[2, 0] = 1
    step[0, 1], step[0, 3] = -1, volume.shape[0] - 1
    step[1, 2] = step[3, 3] = 1
    stored = Grid(flipped.shape, affine @ step)
    there = np.linalg.solve(step, [*place, 1.0])[:3]
    two = cut_cubes({"dark": np.ascontiguousarray(flipped)}, [there], stored)
    assert np.allclose(one, two, atol=1e-5)
    assert not one[0, CHANNELS.index("chi")].any()


@pytest.fixture(scope="module")
def told(phantom):
    seen = look(phantom.inputs(), DetectParams())
    return seen, seen.describe()


def test_every_number_is_there_or_said_to_be_missing(told):
    seen, described = told
    assert described.table.shape == (len(seen.voids), len(NAMES))
    assert described.table.dtype == np.float32
    assert len(set(NAMES)) == len(NAMES)
    finite = np.isfinite(described.table).all(axis=0)
    missing = {n for n, ok in zip(NAMES, finite, strict=True) if not ok}
    # the phantom has no chi, no SWI, no second echo, no regions, no maps of tissue
    for name in ("form_depth", "dark_shell_0", "glcm_contrast", "edge_mm", "log_voxel"):
        assert name not in missing
    assert {"chi_shell_0", "csf_around", "deep", "decay_shell_0"} <= missing


def test_what_needs_phase_is_missing_without(phantom):
    for change, gone in (
        ({"local_field_ppm": None, "field_noise_ppm": None}, PHASE_NAMES),
        ({"sign_trusted": False}, SIGNED_NAMES),
    ):
        seen = look(replace(phantom.inputs(), **change), DetectParams())
        table = seen.describe().table
        for name in gone:
            assert np.isnan(table[:, NAMES.index(name)]).all(), name
        assert np.isfinite(table[:, NAMES.index("form_depth")]).all()


def test_nothing_described_is_an_empty_table(told):
    seen, _ = told
    empty = replace(seen, voids=(), features=(), by_void=()).describe()
    assert empty.table.shape == (0, len(NAMES))
    assert empty.cubes.shape == (0, len(CHANNELS), SIDE, SIDE, SIDE)


def test_the_hash_names_the_list(monkeypatch):
    import petechia.lesions.features as features

    before = pipeline_hash()
    assert len(before) == 16
    monkeypatch.setattr(features, "NAMES", (*NAMES[:-1], "other"))
    assert pipeline_hash() != before
