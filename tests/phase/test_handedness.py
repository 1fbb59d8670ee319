import numpy as np
import pytest
from scipy import ndimage

from petechia.core.blocks import Blocks
from petechia.core.grid import Grid
from petechia.errors import InputError
from petechia.phase.handedness import TISSUE_IN_AIR_PPM, _field_of, air_evidence


def air_sphere(axes, centre, radius_mm, b0_dir):
    """Closed-form field in tissue around a sphere of air, 9.4 ppm above tissue."""
    d = np.stack([a - c for a, c in zip(axes, centre, strict=True)])
    r = np.sqrt((d**2).sum(0))
    cos = np.tensordot(b0_dir, d, 1) / np.maximum(r, 1e-9)
    field = 9.4 / 3 * (radius_mm / np.maximum(r, radius_mm)) ** 3 * (3 * cos**2 - 1)
    return field, r < radius_mm


CAVITIES = (((0, 62, -28), 15), ((52, -5, -42), 9), ((-52, -5, -42), 9))


@pytest.fixture(params=[(0, 0, 1), (0.3, 0.25, 1)], ids=["straight", "oblique"], scope="module")
def head(
    request,
):
    """An ellipsoid of tissue in air (its own field inside is uniform) with sinus and ears.

    The field is analytic: a constant and the dipoles of three spheres of air.
    """
    grid = Grid.from_spacing((62, 75, 47), (3.0, 3.0, 3.5), request.param)
    axes = np.meshgrid(
        *[
            (np.arange(n) - (n - 1) / 2) * d
            for n, d in zip(grid.shape, grid.spacing_mm, strict=True)
        ],
        indexing="ij",
    )
    x, y, z = axes
    tissue = (x / 75) ** 2 + (y / 95) ** 2 + (z / 70) ** 2 < 1
    brain = (x / 66) ** 2 + (y / 86) ** 2 + (z / 60) ** 2 < 1
    field = np.full(grid.shape, -1.3)
    for centre, radius in CAVITIES:
        part, air = air_sphere(axes, centre, radius, grid.b0_dir)
        field += part
        tissue &= ~air
        brain &= ~ndimage.binary_dilation(air, iterations=2)
    shim = 0.02 * x - 0.013 * z + 4e-4 * x * y + 3e-4 * (2 * z**2 - x**2 - y**2) + 2.0
    rng = np.random.default_rng(0)
    field = field + shim + 0.02 * rng.standard_normal(grid.shape)
    return grid, tissue, brain, np.where(brain, field, 0).astype(np.float32)


@pytest.mark.parametrize("sign", [1, -1])
def test_both_signs_on_an_analytic_head(head, sign):
    grid, tissue, brain, field = head
    found = air_evidence(sign * field, tissue, brain, grid)
    assert found.sign == sign
    assert sign * found.score > 0.7
    assert ("must be negated" in found.says) == (sign < 0)


def test_a_head_cut_by_the_field_of_view(head):
    """A slab through the head: where it is cut it goes on, it does not end in air."""
    grid, tissue, brain, field = head
    slab = Grid((*grid.shape[:2], 24), grid.affine)
    cut = np.s_[:, :, 8:32]
    found = air_evidence(-field[cut], tissue[cut], brain[cut], slab)
    assert found.sign == -1


def test_unknown_on_noise_and_filtered_fields(head):
    grid, tissue, brain, field = head
    rng = np.random.default_rng(3)
    noise = rng.standard_normal(grid.shape).astype(np.float32)
    assert air_evidence(noise, tissue, brain, grid).sign == 0
    weight = np.maximum(ndimage.gaussian_filter(brain.astype(float), 2), 1e-3)
    filtered = np.where(brain, field - ndimage.gaussian_filter(field * brain, 2) / weight, 0)
    local = ndimage.gaussian_filter(noise, 1) + 0.1 * filtered
    assert air_evidence(local.astype(np.float32), tissue, brain, grid).sign == 0
    assert air_evidence(np.zeros_like(field), tissue, brain, grid).sign == 0


@pytest.mark.parametrize("factor", [40, 0.005])
def test_a_field_of_another_size_than_that_of_air_says_nothing(head, factor):
    """Hertz or radians taken for ppm, or a filtered rest that happens to look alike."""
    grid, tissue, brain, field = head
    assert air_evidence(np.float32(factor) * field, tissue, brain, grid).sign == 0


def test_an_ellipsoid_alone_says_nothing():
    """Its field inside is uniform, so a shim or a shift of frequency hides it."""
    grid = Grid.from_spacing((45, 51, 41), 4.0)
    x, y, z = np.meshgrid(*[(np.arange(n) - n // 2) * 4.0 for n in grid.shape], indexing="ij")
    tissue = (x / 75) ** 2 + (y / 95) ** 2 + (z / 70) ** 2 < 1
    brain = (x / 60) ** 2 + (y / 80) ** 2 + (z / 55) ** 2 < 1
    field = (-1.3 + 0.02 * np.random.default_rng(0).standard_normal(grid.shape)).astype(np.float32)
    assert air_evidence(field, tissue, brain, grid).sign == 0


def test_a_small_crop_says_nothing():
    grid = Grid.from_spacing((15, 15, 15), 1.0)
    whole = np.ones(grid.shape, bool)
    found = air_evidence(np.zeros(grid.shape, np.float32), whole, whole, grid)
    assert found.sign == 0
    assert "too small" in found.says


def test_bad_input_is_named():
    grid = Grid((9, 9, 9))
    whole = np.ones(grid.shape, bool)
    with pytest.raises(InputError, match="field_ppm: 729 of 729 voxels are not finite"):
        air_evidence(np.full(grid.shape, np.nan), whole, whole, grid)


def test_a_head_cut_by_the_field_of_view_goes_on_beyond_it():
    """A cylinder along the field, cut to a slab, has the field of a long one: a third of chi."""
    grid = Grid.from_spacing((24, 24, 12), 4.0)
    x, y = np.indices(grid.shape)[:2] * 4.0 - 46.0
    cylinder = np.hypot(x, y) < 30
    field = _field_of(cylinder, Blocks.of(grid, 4.0))
    assert field[11:13, 11:13, 5:7].mean() == pytest.approx(TISSUE_IN_AIR_PPM / 3, rel=0.2)
