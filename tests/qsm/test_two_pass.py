"""Two masks: a microbleed with a dead void is neither cut out nor smeared into a dot."""

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.core.kernels import forward_field
from petechia.errors import ParameterError
from petechia.qsm.inversion.tv import tv
from petechia.qsm.inversion.two_pass import TwoPassParams, joined, two_pass

GRID = Grid((37, 40, 35))
MIDDLE = np.array([18.0, 20.0, 17.0])
RADIUS_MM, CHI_PPM = 2.0, 1.0
MOMENT = CHI_PPM * 4 / 3 * np.pi * RADIUS_MM**3
NOISE_PPM = 0.004
INDEX = np.indices(GRID.shape) - MIDDLE[:, None, None, None]
R = np.linalg.norm(INDEX, axis=0)
MASK = R < 17
VOID = R < 3.5
TISSUE = np.zeros(GRID.shape, np.float32)
TISSUE[9:13, 13:19, 11:19] = 0.05


def sphere_field() -> np.ndarray:
    """The closed form, averaged over 3 x 3 x 3 points a voxel."""
    field = np.zeros(GRID.shape)
    sub = (np.arange(3) - 1) / 3
    for shift in np.stack(np.meshgrid(sub, sub, sub)).reshape(3, -1).T:
        x, y, z = INDEX + shift[:, None, None, None]
        r = np.maximum(np.sqrt(x * x + y * y + z * z), 1e-6)
        dipole = CHI_PPM / 3 * (RADIUS_MM / r) ** 3 * (3 * (z / r) ** 2 - 1)
        field += np.where(r > RADIUS_MM, dipole, 0) / 27
    return field


@pytest.fixture(scope="module")
def bleed():
    """Blood in noise, its void dead: any phase of a turn at 3 T and 20 ms. Field and weights."""
    rng = np.random.default_rng(5)
    field = sphere_field() + forward_field(TISSUE, GRID) + rng.normal(0, NOISE_PPM, GRID.shape)
    field = np.where(VOID, rng.uniform(-0.2, 0.2, GRID.shape), field) * MASK
    weights = MASK * np.where(VOID, 0.03, 1.0)
    return field.astype(np.float32), weights.astype(np.float32)


def moment(chi: np.ndarray) -> float:
    ring = (R > 5) & (R < 7)
    return float((chi - np.median(chi[ring]))[R <= 5].sum())


def test_the_bleed_is_in_the_map_with_its_moment(bleed):
    field, weights = bleed
    chi = two_pass(field, weights, MASK, GRID)
    assert np.all(chi[VOID & (R < 2)] > 0.1)
    assert moment(chi) == pytest.approx(MOMENT, rel=0.12)


def test_one_mask_with_holes_would_cut_it_out(bleed):
    field, weights = bleed
    chi = tv(field, weights, MASK & ~VOID, GRID)
    assert not chi[VOID].any()
    assert moment(chi) < 0.2 * MOMENT


def test_there_is_no_dot_and_no_rim(bleed):
    """Nothing in or around the void is beyond blood, or of the other sign."""
    field, weights = bleed
    chi = two_pass(field, weights, MASK, GRID)
    near = R < 6
    assert chi[near].max() < 1.1 * CHI_PPM
    assert chi[near].min() > -0.05
    one_mask = tv(field, None, MASK, GRID)  # trusting the dead phase
    assert np.ptp(one_mask[near]) > 2 * CHI_PPM


def test_reliable_tissue_is_that_of_the_first_pass(bleed):
    field, weights = bleed
    reliable = MASK & ~VOID
    first = tv(field, weights, reliable, GRID)
    chi = two_pass(field, weights, MASK, GRID)
    np.testing.assert_allclose(chi[reliable], first[reliable], atol=1e-4)


def test_a_void_that_opens_to_the_surface_is_kept_too(bleed):
    field, weights = bleed
    field, weights = field.copy(), weights.copy()
    field[18, 20, 17:], weights[18, 20, 17:] = 0.15, 0.03
    chi = two_pass(field, weights, MASK, GRID)
    assert moment(chi) == pytest.approx(MOMENT, rel=0.15)


def test_nothing_wrong_needs_one_pass_only(bleed):
    field, _ = bleed
    np.testing.assert_allclose(two_pass(field, None, MASK, GRID), tv(field, None, MASK, GRID))
    calls = []

    def invert(mask):
        calls.append(mask)
        return mask.astype(np.float32)

    joined(invert, MASK, MASK)
    assert len(calls) == 1


def test_maps_are_joined_without_a_step():
    """The second map has another mean: it is brought to that of the first."""
    hole = R < 2
    wanted = (0.1 + 0.9 * hole).astype(np.float32)

    def invert(mask):
        return (wanted + (0.0 if not mask[hole].any() else 0.3)) * mask

    chi = joined(invert, MASK & ~hole, MASK)
    np.testing.assert_allclose(chi, wanted * MASK, atol=1e-5)
    assert chi.dtype == np.float32


def test_nothing_reliable_is_an_empty_map(bleed):
    """Without any trust there is no map, and no error."""
    field, _ = bleed
    chi = two_pass(field, np.zeros(GRID.shape, np.float32), MASK, GRID)
    assert chi.shape == GRID.shape
    assert not chi.any()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"strength": 0.0}, r"TvParams\.strength: 0\.0 is outside"),
        ({"reliable_weight": 1.5}, r"TwoPassParams\.reliable_weight: 1\.5 is outside"),
        ({"closing_mm": -1.0}, r"closing_mm: -1\.0 is outside"),
    ],
)
def test_bad_settings_are_named(given, says):
    with pytest.raises(ParameterError, match=says):
        TwoPassParams(**given)
