"""Rows of the long tail, each where it is special."""

import numpy as np
import pytest
from scipy import ndimage

from petechia.core.fourier import rfft3
from petechia.core.grid import Grid
from petechia.core.kernels import dipole_kernel, forward_field
from petechia.errors import ParameterError
from petechia.qsm.inversion import METHODS
from petechia.qsm.inversion import generalised as g
from petechia.qsm.inversion.admm import problem_of
from petechia.qsm.inversion.gradients import laplacian_spectrum
from petechia.qsm.inversion.least_squares import least_squares
from petechia.qsm.inversion.rts import rts
from petechia.qsm.inversion.star import StarParams, star
from petechia.qsm.inversion.tgv import TgvParams, tgv
from petechia.qsm.inversion.tikhonov import TikhonovParams, tikhonov
from petechia.qsm.inversion.tv import TvParams, tv

GRID = Grid.from_spacing((40, 38, 36), (1.0, 1.0, 1.2), b0_dir=(0.2, 0.1, 0.95))


def ball(radius_mm=16.0):
    index = np.indices(GRID.shape) - (np.array(GRID.shape)[:, None, None, None] - 1) / 2
    return np.linalg.norm(index * GRID.spacing_mm[:, None, None, None], axis=0) <= radius_mm


@pytest.fixture(scope="module")
def tissue():
    """A map of smooth tissue with two strong sources, its field, and the mask."""
    rng = np.random.default_rng(0)
    mask = ball()
    chi = 0.3 * ndimage.gaussian_filter(rng.normal(size=GRID.shape), 2)
    chi[14:17, 16:19, 12:14] += 1.0
    chi[24:26, 22:24, 20:22] -= 0.8
    chi = np.where(mask, chi - chi[mask].mean(), 0).astype(np.float32)
    field = forward_field(chi, GRID, 20.0)
    noise = 0.002 * rng.normal(size=GRID.shape)
    return chi, (field + noise).astype(np.float32) * mask, mask


def error(found, chi, mask):
    away = (found - chi)[mask]
    return np.linalg.norm(away - away.mean()) / np.linalg.norm(chi[mask])


def test_tikhonov_on_one_frequency_is_the_closed_form():
    grid = Grid.from_spacing((40, 36, 30), (1.0, 1.0, 1.2), b0_dir=(0.2, 0.1, 0.95))
    x = np.arange(40)[:, None, None] * np.ones(grid.shape)
    field = np.cos(2 * np.pi * 3 * x / 40).astype(np.float32)
    params = TikhonovParams(strength=0.05, corrected=False, pad_mm=0.0)
    d = float(dipole_kernel(grid)[3, 0, 0])
    chi = tikhonov(field, np.ones(grid.shape, bool), grid, params)
    np.testing.assert_allclose(chi, field * d / (d * d + 0.05), atol=1e-4)


def test_least_squares_explain_the_field_better_with_every_step(tissue):
    _, field, mask = tissue
    problem = problem_of(field, None, mask, GRID, 20.0)
    misfits = [
        np.linalg.norm(
            (problem.made_by(least_squares(problem, n, 0.0)) - problem.field)[problem.inside]
        )
        for n in (1, 4, 16)
    ]
    assert misfits[0] > misfits[1] > misfits[2]
    assert misfits[2] < 0.2 * np.linalg.norm(problem.field)


def test_rts_fills_in_what_least_squares_cannot_tell(tissue):
    chi, field, mask = tissue
    problem = problem_of(field, None, mask, GRID, 20.0)
    first = problem.whole(least_squares(problem, 6, 0.0), mask)
    assert error(rts(field, None, mask, GRID), chi, mask) < 0.8 * error(first, chi, mask)


def test_ilsqr_takes_streaks_off(tissue):
    """What it takes off lies near the kernel's zeros, and the map is nearer to the truth."""
    chi, field, mask = tissue
    row = METHODS["ilsqr"]
    given = {"field_ppm": field, "weights": None, "mask": mask}
    (with_them,) = row(given, grid=GRID, settings=row.settings(streak_steps=1))
    (without,) = row(given, grid=GRID)
    assert error(without, chi, mask) < error(with_them, chi, mask)
    taken = np.abs(rfft3(with_them - without)) ** 2
    near = np.abs(dipole_kernel(GRID)) < 0.15
    assert taken[near].sum() > 2 * taken[~near].sum()


def test_a_wrong_turn_harms_ndi_on_the_circle_less_than_on_the_line(tissue):
    _, field, mask = tissue
    row = METHODS["ndi"]
    turned = field.copy()
    turned[18:22, 18:21, 11:14] += 2 * np.pi / 16
    change = {}
    for turn in (16.0, 1e-3):
        settings = row.settings(radians_per_ppm=turn)
        before, after = (
            row({"field_ppm": f, "weights": None, "mask": mask}, grid=GRID, settings=settings)[0]
            for f in (field, turned)
        )
        change[turn] = np.linalg.norm(after - before)
    assert change[16.0] < 0.5 * change[1e-3]


def test_star_without_strong_sources_is_tv(tissue):
    _, field, mask = tissue
    both = star(field, None, mask, GRID, StarParams(strong_ppm=1e3, second=0.1))
    alone = tv(field, None, mask, GRID, TvParams(strength=0.1))
    np.testing.assert_allclose(both, alone, atol=1e-5)


def test_hd_is_misled_less_by_wrong_voxels_than_tv(tissue):
    chi, field, mask = tissue
    rng = np.random.default_rng(3)
    wrong = mask & (rng.random(GRID.shape) < 0.005)
    spoiled = np.where(wrong, field + rng.choice([-0.4, 0.4], GRID.shape), field)
    found = {}
    for name in ("hd", "tv"):
        given = {"field_ppm": spoiled.astype(np.float32), "weights": None, "mask": mask}
        (found[name],) = METHODS[name](given, grid=GRID)
    assert error(found["hd"], chi, mask) < 0.8 * error(found["tv"], chi, mask)


def test_map_and_slope_solve_their_equations():
    """Against the 4 x 4 system of each frequency, written out."""
    grid = Grid.from_spacing((6, 5, 8), (1.0, 0.8, 1.5), b0_dir=(0.3, 0.2, 0.9))
    rng = np.random.default_rng(0)
    mu, mu_slope, nu = np.float32(0.3), np.float32(0.7), np.float32(0.5)
    kernel, lap, ends = dipole_kernel(grid), laplacian_spectrum(grid), g._differences(grid)
    shape = lap.shape

    def spectrum(*more):
        size = (*more, *shape)
        return (rng.normal(size=size) + 1j * rng.normal(size=size)).astype(np.complex64)

    asked, from_field, slope = spectrum(), spectrum(), spectrum(3)
    normal = nu * kernel**2 + mu * mu_slope * lap**2 / (mu + mu_slope * lap)
    normal[0, 0, 0] = np.inf
    at = (2, 3, 1)
    x = np.array([ends[0][at[0]], ends[1][at[1]], ends[2][at[2]]], dtype=complex)
    assert np.vdot(x, x).real == pytest.approx(lap[at], rel=1e-5)
    block = np.zeros((4, 4), complex)
    block[0, 0] = nu * kernel[at] ** 2 + mu * lap[at]
    block[0, 1:], block[1:, 0] = -mu * x.conj(), -mu * x
    block[1:, 1:] = (mu + mu_slope * lap[at] / 2) * np.eye(3) + mu_slope / 2 * np.outer(x, x.conj())
    right = np.array([mu * asked[at] + nu * from_field[at], *slope[(slice(None), *at)]])
    want = np.linalg.solve(block, right)
    g._solve(
        asked, from_field, slope, (1 / normal).astype(np.float32), lap, *ends, mu, mu_slope, nu
    )
    np.testing.assert_allclose([asked[at], *slope[(slice(None), *at)]], want, rtol=1e-4)


def test_the_adjoint_of_the_generalised_gradient():
    """<E w, a> = <w, E^H a>, off-diagonal parts twice."""
    rng = np.random.default_rng(1)
    shape = (5, 6, 7)
    per = tuple(np.float32(p) for p in (1.0, 0.7, 1.3))
    w = rng.normal(size=(3, *shape)).astype(np.float32)
    a = rng.normal(size=(6, *shape)).astype(np.float32)
    made = np.zeros((6, *shape), np.float32)
    row, limits = np.zeros(shape, np.uint8), np.zeros(1, np.float32)
    g._shrink_bend(w, made, np.ones(shape, np.float32), limits, row, *per)
    ones, nothing = np.ones(shape, np.float32), np.zeros((3, *shape), np.float32)
    out, slope = np.zeros(shape, np.float32), np.zeros((3, *shape), np.float32)
    g._adjoints(nothing, ones, a, ones, out, slope, np.float32(1), np.float32(1), *per)
    left = np.vdot(made[:3], a[:3]) + 2 * np.vdot(made[3:], a[3:])
    assert left == pytest.approx(np.vdot(w, slope), rel=1e-4)


def test_a_slope_stays_a_slope_with_generalised_variation():
    """Total variation makes stairs of it."""
    mask = ball()
    x = (np.indices(GRID.shape)[0] - 19.5) * GRID.spacing_mm[0]
    inner = ball(11.0)
    chi = np.where(inner, 0.02 * x, 0).astype(np.float32)
    rng = np.random.default_rng(0)
    field = forward_field(chi, GRID, 20.0) + 0.004 * rng.normal(size=GRID.shape)
    given = {"field_ppm": field.astype(np.float32) * mask, "weights": None, "mask": mask}
    core = ball(8.0)
    rough = {}
    for name in ("nltv", "nltgv"):
        settings = METHODS[name].settings(tolerance=0.0, strength=0.2)
        (found,) = METHODS[name](given, grid=GRID, settings=settings)
        rough[name] = np.std(np.diff(found, axis=0)[core[1:] & core[:-1]])
    assert rough["nltgv"] < 0.8 * rough["nltv"]


def test_tgv_takes_phase_that_was_never_unwrapped():
    mask = ball()
    rng = np.random.default_rng(0)
    chi = 0.1 * ndimage.gaussian_filter(rng.normal(size=GRID.shape), 2).astype(np.float32)
    z = np.indices(GRID.shape)[2] * GRID.spacing_mm[2]
    field = ((forward_field(chi * mask, GRID, 20.0) + 0.03 * z) * mask).astype(np.float32)
    turn = 2 * np.pi / 16
    wrapped = (field - turn * np.round(field / turn)).astype(np.float32)
    plain = tgv(field, None, mask, GRID)
    again = tgv(wrapped, None, mask, GRID, TgvParams(wrapped=True))
    assert np.abs(wrapped - field).max() > turn / 2
    assert np.linalg.norm(again - plain) < 0.1 * np.linalg.norm(plain)


def test_what_a_background_removal_left_is_not_inverted_by_weak_harmonic(tissue):
    _, field, mask = tissue
    x, y, _z = np.indices(GRID.shape) - (np.array(GRID.shape)[:, None, None, None] - 1) / 2
    left = (2e-3 * x + 2e-4 * (x * x - y * y)).astype(np.float32) * mask
    change = {}
    for name in ("weak_harmonic", "tv"):
        before, after = (
            METHODS[name]({"field_ppm": f, "weights": None, "mask": mask}, grid=GRID)[0]
            for f in (field, field + left)
        )
        change[name] = np.linalg.norm(after - before)
    assert change["weak_harmonic"] < 0.5 * change["tv"]


def test_sources_outside_do_not_reach_into_the_map_of_tfi(tissue):
    """Their field is several times that of the tissue; its map is nearly the same with them."""
    _, field, mask = tissue
    outside = np.zeros(GRID.shape, np.float32)
    outside[18:22, 36:38, 16:20] = 30.0
    more = forward_field(outside, GRID, 20.0) * mask
    given = {"weights": None, "mask": mask, "magnitude": mask.astype(np.float32)}
    (alone,) = METHODS["tfi"](given | {"total_field_ppm": field}, grid=GRID)
    (found,) = METHODS["tfi"](given | {"total_field_ppm": field + more}, grid=GRID)
    inner = ball(13.0)
    assert np.linalg.norm(more[mask]) > np.linalg.norm(field[mask])
    assert error(found, alone, inner) < 0.1


@pytest.mark.parametrize(("name", "least"), [("hd", 0.5), ("ilsqr", 0.85), ("rts", 0.85)])
def test_a_strong_source_whose_voxels_are_hardly_trusted_still_comes(name, least):
    """As in the void of a bleed, where the phase is noisy; from the field around it."""
    index = np.indices(GRID.shape) - (np.array(GRID.shape)[:, None, None, None] - 1) / 2
    away = np.linalg.norm(index * GRID.spacing_mm[:, None, None, None], axis=0)
    mask, source = away <= 16, away <= 2.5
    chi = np.where(source, 1.0, 0).astype(np.float32)
    noise = 0.002 * np.random.default_rng(0).normal(size=GRID.shape)
    field = (forward_field(chi, GRID, 20.0) + noise).astype(np.float32) * mask
    weights = np.where(away <= 4, 0.3, 1.0).astype(np.float32) * mask
    given = {"field_ppm": field, "weights": weights, "mask": mask}
    (found,) = METHODS[name](given, grid=GRID)
    assert least < found[source].mean() < 1.1


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("tikhonov", {"strength": 0.0}),
        ("rts", {"threshold": 0.9}),
        ("rts", {"first_steps": 0}),
        ("ndi", {"iterations": 1}),
        ("ilsqr", {"threshold": 0.0}),
        ("ilsqr", {"streak_steps": 0}),
        ("star", {"strong_ppm": 0.0}),
        ("hd", {"pull": 0.0}),
        ("tgv", {"radians_per_ppm": 0.0}),
        ("tgv", {"radius_max_mm": 0.5}),
        ("tfi", {"outside": 0.5}),
        ("weak_harmonic", {"harmonic": 0.0}),
    ],
)
def test_bad_settings_are_named(name, given):
    with pytest.raises(ParameterError, match=next(iter(given))):
        METHODS[name].settings(**given)
