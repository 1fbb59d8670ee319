"""A head of its own for every seed."""

import numpy as np
import pytest
from scipy import ndimage

from petechia.anatomy.sites import REGIONS
from petechia.errors import GridMismatchError, InputError
from petechia.simulate.atlas import PLACES, atlas_from
from petechia.simulate.head import from_template, head_maps, make_head, sample_head, to_template
from petechia.simulate.tissues import TISSUES


@pytest.fixture(scope="module")
def head(atlas):
    return make_head(sample_head(atlas, np.random.default_rng(5)), atlas, 2.4)


def test_places_agree_with_the_region_table():
    table = {r.index: (r.site, r.side, r.compartment) for r in REGIONS}
    assert {n: (p.site, p.side, p.compartment) for n, p in PLACES.items()} == table


def test_the_warp_and_its_inverse_undo_each_other(atlas):
    params = sample_head(atlas, np.random.default_rng(2))
    places = np.random.default_rng(0).uniform((-60, -90, -50), (60, 50, 70), (200, 3))
    back = from_template(to_template(places, params, atlas), params, atlas)
    np.testing.assert_allclose(back, places, atol=0.02)
    moved = np.linalg.norm(to_template(places, params, atlas) - places, axis=1)
    assert 1.0 < np.median(moved) < 12.0


def test_tissues_share_each_voxel(head):
    total = sum(head.fractions.values())
    assert total.min() > -0.02
    assert total.max() < 1.02
    for name, part in head.fractions.items():
        assert part.min() > -0.02, name
    litres = {n: p.sum() * head.grid.voxel_mm3 / 1e6 for n, p in head.fractions.items()}
    assert 0.35 < litres["wm"] < 0.75
    assert 0.6 < litres["gm"] < 1.2
    assert 0.1 < litres["csf"] < 0.55


def test_susceptibility_and_decay_are_those_of_the_tables(head, atlas):
    maps = head_maps(head, 3.0, 0.03, 15.0)
    pure = ndimage.binary_erosion(head.fractions["wm"] > 0.99)
    assert maps.chi_ppm[pure].mean() == pytest.approx(-0.03 - 9.2, abs=0.01)
    assert maps.r2star[pure].mean() == pytest.approx(TISSUES["wm"].r2star_at(3.0), rel=0.03)
    assert maps.chi_ppm[head.fractions["bone"] > 0.99].mean() == pytest.approx(-11.3, abs=0.05)
    outside = sum(head.fractions.values()) == 0
    assert outside.any()
    assert not maps.chi_ppm[outside].any()


def test_nuclei_have_the_iron_that_was_drawn(head, atlas):
    maps = head_maps(head, 3.0, 0.03, 15.0)
    for name, side in (("pallidum", -19.5), ("pallidum", 19.5)):
        place = from_template([(side, -4.0, -1.0)], head.params, atlas)
        at = ndimage.map_coordinates(maps.chi_ppm, head.grid.to_index(place).T, order=1) + 9.2
        assert at[0] == pytest.approx(head.params.nuclei_chi_ppm[name], abs=0.04)


def test_every_seed_has_another_head(atlas, head):
    other = make_head(sample_head(atlas, np.random.default_rng(6)), atlas, 2.4)
    a, b = head.brain > 0.5, other.brain > 0.5
    assert 0.85 < 2 * (a & b).sum() / (a.sum() + b.sum()) < 0.985


def test_there_is_air_below_the_frontal_lobes_and_beside_the_ears(head, atlas):
    total = sum(head.fractions.values())
    for spot in [(0.0, 30.0, -42.0), (-52.0, -38.0, -36.0), (52.0, -38.0, -36.0)]:
        place = from_template([spot], head.params, atlas)
        index = np.round(head.grid.to_index(place[0])).astype(int)
        around = tuple(slice(n - 3, n + 4) for n in index)
        assert (total[around] < 0.2).sum() * head.grid.voxel_mm3 > 300


def test_missing_or_unlike_arrays_are_refused(template):
    with pytest.raises(InputError, match=r"no t2, cerebra among"):
        atlas_from({k: v for k, v in template.items() if k not in ("t2", "cerebra")})
    with pytest.raises(GridMismatchError, match="regions"):
        atlas_from(template | {"regions": template["regions"][:-1]})
