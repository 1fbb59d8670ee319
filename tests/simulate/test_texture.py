"""Fine structure: of unit variance, everyone's own, the same in every position and scanner."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import ndimage

from petechia.core.compiled import compiled
from petechia.core.grid import Grid
from petechia.simulate.atlas import NUCLEI_CHI_PPM, fluid_fraction
from petechia.simulate.head import CENTRE_MM, Head, HeadMaps, head_maps, make_head, sample_head
from petechia.simulate.protocols import Protocol, rotation
from petechia.simulate.render import Pose, render
from petechia.simulate.texture import GRAIN_PPM, fibres, folded, noise, shares_seen
from petechia.simulate.tissues import AIR_PPM, RELAXIVITY_HZ_PER_PPM
from petechia.simulate.vessels import Vessels

NO_VEINS = Vessels(segments=np.zeros((0, 7)), chi_ppm=0.4)
PROTOCOL = Protocol(
    b0_t=3.0, te_s=(0.02,), tr_s=0.05, flip_deg=15.0, shape=(20, 20, 20),
    spacing_mm=(1.0, 1.0, 1.0),
)  # fmt: skip
UPRIGHT = Pose(turn=np.eye(3), shift_mm=np.zeros(3))


@compiled
def noise_at(places, seed, out):
    for n in range(len(places)):
        out[n] = noise(places[n, 0], places[n, 1], places[n, 2], seed)


def drawn(places, seed):
    out = np.empty((len(places), 2))
    noise_at(np.asarray(places, dtype=np.float64), seed, out)
    return out


def grey_block(seed):
    """A head that is one block of grey matter without structure of its own."""
    n = 48
    affine = np.eye(4)
    affine[:3, 3] = CENTRE_MM - (n - 1) / 2
    whole, none = np.ones((n, n, n), dtype=np.float32), np.zeros((n, n, n), dtype=np.float32)
    fractions = dict.fromkeys(("soft", "fat", "bone", "csf", "wm"), none) | {"gm": whole}
    head = Head(
        grid=Grid((n, n, n), affine), fractions=fractions, brain=whole, iron_ppm=none,
        texture=none, params=SimpleNamespace(seed=seed),
    )  # fmt: skip
    return head, HeadMaps(chi_ppm=none, s0=whole, r2star=20 * whole, fat=none)


def test_noise_has_unit_variance_and_is_everyone_s_own():
    places = np.random.default_rng(0).uniform(-300, 300, (60_000, 3))
    one, other = drawn(places, 1 << 60), drawn(places, (1 << 60) + 1)
    np.testing.assert_allclose(one.mean(axis=0), 0, atol=0.02)
    np.testing.assert_allclose(one.std(axis=0), 1, atol=0.02)
    both = np.corrcoef(np.concatenate([one, other], axis=1).T)
    assert np.abs(both - np.eye(4)).max() < 0.02
    np.testing.assert_array_equal(drawn(places[:9], 1 << 60), one[:9])
    near = drawn(places + 1e-3, 1 << 60)
    assert np.abs(near - one).max() < 0.02


def test_grain_stays_with_the_head_and_obeys_the_relaxivity_of_iron():
    nodding = Pose(turn=rotation(0.4, 0.1, 0.0), shift_mm=np.array([3.0, -2.0, 1.0]))
    fine = render(*grey_block(5), NO_VEINS, UPRIGHT, PROTOCOL)
    chi = fine.chi_ppm - AIR_PPM
    assert chi.std() == pytest.approx(np.sqrt(2) * GRAIN_PPM, rel=0.1)
    decay = RELAXIVITY_HZ_PER_PPM * np.sqrt(2) * GRAIN_PPM
    assert (fine.r2star - 20).std() == pytest.approx(decay, rel=0.1)
    # myelin is diamagnetic and dry: less water where less susceptibility
    assert np.corrcoef(chi.ravel(), fine.s0.ravel())[0, 1] > 0.5

    def at_head_places(seed, pose):
        maps = render(*grey_block(seed), NO_VEINS, pose, PROTOCOL)
        places = CENTRE_MM + np.random.default_rng(1).uniform(-5, 5, (4000, 3))
        axis = maps.grid.to_axis_mm(pose.to_scanner(places))
        index = (axis - maps.grid.origin_mm) / maps.grid.spacing_mm
        return ndimage.map_coordinates(maps.chi_ppm, index.T, order=1)

    own = at_head_places(5, UPRIGHT)
    assert np.corrcoef(own, at_head_places(5, nodding))[0, 1] > 0.9
    assert abs(np.corrcoef(own, at_head_places(6, UPRIGHT))[0, 1]) < 0.2


def test_what_is_finer_than_the_points_averages_out():
    assert (shares_seen(0.5) ** 2).sum() == pytest.approx(1)
    coarse = shares_seen((1.0, 1.0, 4.0))
    assert coarse[0] < coarse[1] < coarse[2] < shares_seen(0.5)[2]


def test_fibres_are_longer_than_wide():
    line = np.arange(-4.0, 4.1, 0.5)
    starts = np.random.default_rng(2).uniform(-50, 50, (2000, 3))
    for axis in range(3):
        shift = line[None, :, None] * np.eye(3)[axis]
        places = (starts[:, None] + shift).reshape(-1, 3)
        ways = np.tile(np.eye(3)[2], (len(places), 1))
        value = fibres(places, ways, 7).reshape(len(starts), -1)
        assert value.std() == pytest.approx(1, abs=0.01)
        far = np.corrcoef(value[:, 6], value[:, 10])[0, 1]  # 2 mm apart
        assert (far > 0.6) if axis == 2 else (abs(far) < 0.15)


def test_small_sulci_are_cut_into_grey_matter_alone():
    for value, least, most in ((180.0, 0.03, 0.2), (245.0, -1, 0.0), (70.0, 1.0, 1.0)):
        t1 = np.full((60, 60, 60), value, dtype=np.float32)
        folded(t1, np.ones_like(t1), (-30.0, -30.0, -30.0), 1.0, 3)
        wet = float((fluid_fraction(t1) > 0.4).mean())
        assert least <= wet <= most
    sheets = np.full((60, 60, 60), 180.0, dtype=np.float32)
    folded(sheets, np.ones_like(sheets), (-30.0, -30.0, -30.0), 1.0, 3)
    wide = ndimage.binary_erosion(fluid_fraction(sheets) > 0.4, iterations=2)
    assert wide.mean() < 0.005  # thinner than 4 mm


def test_tissues_have_the_susceptibilities_of_the_reference(atlas):
    """Quantiles of each tissue and nucleus against the project's physics reference [ppm]."""
    head = make_head(sample_head(atlas, np.random.default_rng(8), 60.0), atlas, 2.0)
    chi = head_maps(head, 3.0, 0.03, 15.0).chi_ppm + AIR_PPM
    for name, middle, spread in (
        ("csf", 0.019, 0.002), ("gm", 0.020, 0.015), ("wm", -0.030, 0.012), ("soft", 0.0, 0.01),
        ("bone", -2.1, 0.05),
    ):  # fmt: skip
        low, median, high = np.quantile(chi[head.fractions[name] > 0.99], (0.1, 0.5, 0.9))
        assert median == pytest.approx(middle, abs=0.003), name
        assert max(high - median, median - low) < spread, name
    for name, (low, high) in NUCLEI_CHI_PPM.items():
        assert low <= head.params.nuclei_chi_ppm[name] <= high, name
        strongest = abs(head.params.nuclei_chi_ppm[name] - 0.02) > 0.03
        if strongest:
            like = np.abs(head.iron_ppm + 0.02 - head.params.nuclei_chi_ppm[name]) < 0.03
            assert like.sum() * head.grid.voxel_mm3 > 30, name
