"""What each inversion beyond `tv` is there for: wrong turns, outliers, edges, strong sources."""

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.core.kernels import forward_field
from petechia.errors import ParameterError
from petechia.qsm.inversion.l1 import L1Params, l1
from petechia.qsm.inversion.l2 import L2Params, l2
from petechia.qsm.inversion.medi import MediParams, away_from_edges, medi
from petechia.qsm.inversion.nltv import NltvParams, nltv
from petechia.qsm.inversion.strong_first import StrongFirstParams, strong_first, strong_sources
from petechia.qsm.inversion.tv import TvParams, tv

GRID = Grid((41, 43, 39))
MIDDLE = (20, 21, 19)


def distance(centre=MIDDLE) -> np.ndarray:
    index = np.indices(GRID.shape) - np.asarray(centre, dtype=float)[:, None, None, None]
    return np.linalg.norm(index, axis=0)


MASK = distance() < 18


def tissue() -> np.ndarray:
    """Blocks of weak contrast: what streaks would drown."""
    chi = np.zeros(GRID.shape, np.float32)
    chi[12:18, 14:20, 12:20] = 0.06
    chi[24:30, 24:29, 14:24] = -0.04
    return chi


def error(chi: np.ndarray, truth: np.ndarray, where: np.ndarray) -> float:
    """Norm of the error over that of the truth, means of the mask taken off."""
    off = (chi - chi[MASK].mean()) - (truth - truth[MASK].mean())
    return float(np.linalg.norm(off[where]) / np.linalg.norm(truth[where]))


@pytest.fixture(scope="module")
def noisy_field() -> np.ndarray:
    rng = np.random.default_rng(3)
    noise = 0.001 * rng.standard_normal(GRID.shape)
    return ((forward_field(tissue(), GRID) + noise) * MASK).astype(np.float32)


def test_a_whole_turn_of_the_phase_does_no_harm_to_nltv(noisy_field):
    turns = 2 * np.pi / NltvParams().radians_per_ppm
    wrong = noisy_field.copy()
    wrong[18:23, 10:13, 17:22] += turns
    wrong[10:12, 22:27, 20:24] -= turns
    clean = error(nltv(noisy_field, None, MASK, GRID), tissue(), MASK)
    assert error(nltv(wrong, None, MASK, GRID), tissue(), MASK) < 1.1 * clean + 0.02
    assert error(tv(wrong, None, MASK, GRID), tissue(), MASK) > 3 * clean


def test_a_strong_lesion_of_many_turns_keeps_its_moment_on_the_circle():
    bleed = lesion(chi_ppm=8.0)
    field = (forward_field(tissue() + bleed, GRID) * MASK).astype(np.float32)
    assert np.ptp(field) * NltvParams().radians_per_ppm > 4 * 2 * np.pi
    chi = nltv(field, None, MASK, GRID)
    near, ring = distance() < 4, (distance() > 4) & (distance() < 6)
    assert (chi - chi[ring].mean())[near].sum() == pytest.approx(bleed.sum(), rel=0.05)


def test_without_turns_nltv_is_tv(noisy_field):
    chi = tv(noisy_field, None, MASK, GRID)
    other = nltv(noisy_field, None, MASK, GRID, NltvParams(radians_per_ppm=0.5))
    np.testing.assert_allclose(other, chi, atol=0.01 * np.abs(chi).max())


@pytest.mark.parametrize("method", [l1, medi], ids=["l1", "medi"])
def test_voxels_that_are_wrong_do_less_harm_than_to_tv(noisy_field, method):
    rng = np.random.default_rng(4)
    wrong = noisy_field.copy()
    at = rng.choice(np.flatnonzero(MASK), 60, replace=False)
    wrong.ravel()[at] += rng.choice([-0.15, 0.15], at.size).astype(np.float32)
    extra = {"magnitude": MASK.astype(np.float32)} if method is medi else {}
    robust = method(field_ppm=wrong, weights=None, mask=MASK, grid=GRID, **extra)
    assert error(robust, tissue(), MASK) < 0.75 * error(tv(wrong, None, MASK, GRID), tissue(), MASK)


def test_l1_keeps_contrast_whatever_the_pull(noisy_field):
    soft, hard = (l1(noisy_field, None, MASK, GRID, L1Params(pull=p)) for p in (1.0, 4.0))
    inside = tissue() > 0
    for chi in (soft, hard):
        assert (chi[inside].mean() - chi[MASK].mean()) == pytest.approx(0.06, rel=0.35)


def test_medi_follows_the_edges_of_the_magnitude(noisy_field):
    """Edges told by the magnitude are kept sharp that the penalty would smear."""
    told = np.where(tissue() != 0, 2.0, 1.0).astype(np.float32)
    aided = medi(noisy_field, None, told, MASK, GRID, MediParams(edges=0.1))
    blind = medi(noisy_field, None, np.ones_like(told), MASK, GRID, MediParams(edges=0.1))
    assert error(aided, tissue(), MASK) < 0.88 * error(blind, tissue(), MASK)


def test_edges_are_the_steepest_share_of_the_mask():
    rng = np.random.default_rng(5)
    magnitude = rng.random(GRID.shape).astype(np.float32)
    smooth = away_from_edges(magnitude, MASK, GRID, 0.3)
    assert np.mean(smooth[MASK] == 0) == pytest.approx(0.3, abs=0.01)
    assert np.all(smooth[~MASK] == 1)
    ramp = np.broadcast_to(np.arange(41, dtype=np.float32)[:, None, None], GRID.shape) * 0
    assert np.all(away_from_edges(ramp, MASK, GRID, 0.3) == 1)  # flat: no edge anywhere


def test_edges_are_steep_per_millimetre_not_per_voxel():
    thin = Grid((20, 20, 20), np.diag([0.5, 1.0, 2.0, 1.0]))
    magnitude = np.zeros(thin.shape, np.float32)
    magnitude[10:], mask = 1.0, np.ones(thin.shape, bool)
    magnitude[:, :, 10:] += 1.0  # as high a step, over four times the way
    smooth = away_from_edges(magnitude, mask, thin, 0.05)
    assert np.all(smooth[9, 2, :9] == 0)
    assert np.all(smooth[2:8, 2, 9] == 1)


def lesion(centre=MIDDLE, chi_ppm: float = 3.0) -> np.ndarray:
    return np.where(distance(centre) < 1.6, chi_ppm, 0).astype(np.float32)


def test_a_strong_source_does_not_streak_through_the_tissue_in_strong_firstes():
    """A bleed whose void has lost its field: tissue around it must not pay for it."""
    truth = tissue() + lesion()
    field = forward_field(truth, GRID)
    rng = np.random.default_rng(6)
    void = distance() < 3.2
    field = field + 0.001 * rng.standard_normal(GRID.shape)
    field[void] = rng.uniform(-0.2, 0.2, int(void.sum()))
    field = (field * MASK).astype(np.float32)
    around = MASK & (distance() > 4)
    two = error(strong_first(field, None, MASK, GRID), truth, around)
    one = error(
        tv(field, None, MASK, GRID, TvParams(strength=StrongFirstParams().second)), truth, around
    )
    assert two < 0.1 * one
    assert two < 0.2


def test_strong_firstes_without_a_strong_source_are_one(noisy_field):
    chi = strong_first(noisy_field, None, MASK, GRID)
    single = tv(noisy_field, None, MASK, GRID, TvParams(strength=StrongFirstParams().second))
    np.testing.assert_array_equal(chi, single)


@pytest.mark.parametrize("sign", [1, -1], ids=["blood", "calcium"])
def test_a_strong_source_takes_its_weak_border_along_of_its_own_sign(sign):
    chi = sign * (lesion() + np.where((distance() >= 1.6) & (distance() < 2.3), 0.1, 0))
    chi[MIDDLE[0] + 3, MIDDLE[1], MIDDLE[2]] = -sign * 0.2
    strong = strong_sources(chi.astype(np.float32), 0.25)
    np.testing.assert_array_equal(strong, (distance() < 2.3))
    assert not strong_sources(np.full(GRID.shape, 0.2, np.float32), 0.25).any()


def test_l2_is_the_minimiser_of_its_functional():
    """Where D is 0 or far from it: the map of a plane wave is damped as the formula says."""
    grid = Grid((32, 32, 32))
    mask = np.ones(grid.shape, bool)
    wave = np.cos(2 * np.pi * 3 * np.arange(32) / 32).astype(np.float32)
    field = np.broadcast_to(wave[:, None, None] / 3, grid.shape)  # k across B0: D = 1/3
    strength = 0.05
    chi = l2(field, mask, grid, L2Params(strength=strength, pad_mm=0.0))
    gradient = (2 * np.sin(np.pi * 3 / 32)) ** 2
    expected = (1 / 9) / (1 / 9 + strength * gradient)
    np.testing.assert_allclose(chi[:, 5, 7], expected * wave, atol=2e-3)


@pytest.mark.parametrize(
    ("params", "given", "says"),
    [
        (L1Params, {"pull": 0.0}, r"L1Params.pull: 0.0 is outside"),
        (L1Params, {"strength": -1.0}, r"L1Params.strength: -1.0 is outside"),
        (L2Params, {"strength": 0.0}, r"L2Params.strength: 0.0 is outside"),
        (NltvParams, {"radians_per_ppm": 0.0}, r"NltvParams.radians_per_ppm: 0.0 is outside"),
        (MediParams, {"edges": 1.0}, r"MediParams.edges: 1.0 is outside"),
        (MediParams, {"rounds": 0}, r"MediParams.rounds: 0 is outside"),
        (MediParams, {"outlier": 0.5}, r"MediParams.outlier: 0.5 is outside"),
        (StrongFirstParams, {"strong_ppm": 0.0}, r"StrongFirstParams.strong_ppm: 0.0 is outside"),
    ],
)
def test_bad_settings_are_named(params, given, says):
    with pytest.raises(ParameterError, match=says):
        params(**given)
