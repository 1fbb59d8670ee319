"""Handedness from susceptibility: turning the phase turns the answer."""

import numpy as np
import pytest
from scipy import ndimage

from petechia.core.grid import Grid
from petechia.errors import GridMismatchError
from petechia.qsm.handedness import susceptibility_evidence

GRID = Grid((64, 60, 56))


def head(seed: int, calcifications: int = 4, noise_ppm: float = 0.02, veins: int = 30):
    """Tissue contrast, veins as tubes, and a few calcifications, in a ball."""
    rng = np.random.default_rng(seed)
    place = np.indices(GRID.shape) - (np.array(GRID.shape) / 2)[:, None, None, None]
    mask = np.linalg.norm(place, axis=0) < 26
    tissue = ndimage.gaussian_filter(rng.standard_normal(GRID.shape), 5)
    tissue /= tissue.std()
    chi = np.where(tissue > 0, 0.02, -0.03)
    r2star = np.where(tissue > 0, 16.0, 22.0)  # myelin: diamagnetic and dark
    for n in range(veins + calcifications):
        start, way = rng.uniform(-18, 18, 3), rng.standard_normal(3)
        way /= np.linalg.norm(way)
        away = place - start[:, None, None, None]
        along = np.tensordot(way, away, 1)
        across = np.sqrt(np.maximum((away**2).sum(0) - along**2, 0))
        vein = n < veins
        part = (across < 1.0) & (np.abs(along) < 8) if vein else (away**2).sum(0) < 6
        chi[part] = 0.3 if vein else -1.0
        r2star[part] = 60.0 if vein else 80.0
    chi += noise_ppm * ndimage.gaussian_filter(rng.standard_normal(GRID.shape), 0.7) / 0.3
    r2star += 2 * rng.standard_normal(GRID.shape)
    return (chi * mask).astype(np.float32), (r2star * mask).astype(np.float32), mask


@pytest.mark.parametrize("seed", range(6))
def test_veins_tell_either_handedness(seed):
    chi, r2star, mask = head(seed)
    right = susceptibility_evidence(chi, r2star, mask, GRID)
    wrong = susceptibility_evidence(-chi, r2star, mask, GRID)
    assert right.sign == 1
    assert wrong.sign == -1
    assert wrong.score == pytest.approx(-right.score, abs=1e-6)
    assert 0.15 < right.score <= 1
    assert "follows the convention" in right.says
    assert "must be negated" in wrong.says


@pytest.mark.parametrize("turn", [1, -1])
@pytest.mark.parametrize("seed", range(4))
def test_calcifications_do_not_decide_where_veins_are_few(seed, turn):
    """Wrong, they would all be counted as bleeds."""
    chi, r2star, mask = head(seed, calcifications=24, veins=3)
    evidence = susceptibility_evidence(turn * chi, r2star, mask, GRID)
    assert evidence.sign == 0, evidence.says


@pytest.mark.parametrize("turn", [1, -1])
@pytest.mark.parametrize("veins", [3, 30])
def test_tissue_beside_bright_fluid_has_no_vote(veins, turn):
    """Fluid is bright and less diamagnetic than tissue: every gyrus would say the contrary."""
    chi, r2star, mask = head(7, calcifications=0, veins=veins)
    rng = np.random.default_rng(7)
    folds = ndimage.gaussian_filter(rng.standard_normal(GRID.shape), 3)
    fluid = (np.abs(folds) < 0.25 * folds.std()) & mask & (r2star < 40)
    chi[fluid], r2star[fluid] = 0.06, 2.0
    evidence = susceptibility_evidence(turn * chi, r2star, mask, GRID)
    assert evidence.sign == (turn if veins == 30 else 0), evidence.says


def test_tails_that_lean_clearly_the_other_way_leave_it_open():
    chi, r2star, mask = head(3)
    chi[26:38, 24:36, 22:34] -= 1.0  # not a tube, and many voxels
    evidence = susceptibility_evidence(chi, r2star, mask, GRID)
    assert evidence.sign == 0, evidence.says


def test_the_reference_and_the_unit_do_not_matter():
    chi, r2star, mask = head(0)
    one = susceptibility_evidence(chi, r2star, mask, GRID)
    other = susceptibility_evidence(3 * chi + 0.5, 0.01 * r2star - 7, mask, GRID)
    assert other.sign == one.sign
    assert other.score == pytest.approx(one.score, abs=0.01)


def test_inverted_magnitude_serves_as_well():
    chi, r2star, mask = head(1)
    darkness = -1000 * np.exp(-0.02 * r2star)
    assert susceptibility_evidence(chi, darkness, mask, GRID).sign == 1


@pytest.mark.parametrize("seed", range(6))
def test_noise_is_no_evidence(seed):
    rng = np.random.default_rng(seed)
    _, r2star, mask = head(seed)
    chi = ndimage.gaussian_filter(rng.standard_normal(GRID.shape), 1).astype(np.float32)
    assert susceptibility_evidence(chi, r2star, mask, GRID).sign == 0


def test_nothing_to_see_is_unknown_and_says_so():
    chi, _, mask = head(0)
    flat = np.ones(GRID.shape, np.float32)
    evidence = susceptibility_evidence(chi, flat, mask, GRID)
    assert (evidence.sign, evidence.score) == (0, 0.0)
    assert "too few" in evidence.says
    empty = susceptibility_evidence(0 * chi, flat, mask, GRID)
    assert empty.sign == 0
    assert susceptibility_evidence(chi, flat, np.zeros_like(mask), GRID).sign == 0


def test_a_wrong_grid_is_named():
    chi, r2star, mask = head(0)
    with pytest.raises(GridMismatchError, match="hypointensity"):
        susceptibility_evidence(chi, r2star[1:], mask, GRID)
