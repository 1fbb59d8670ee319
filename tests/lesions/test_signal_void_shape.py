import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.errors import GridMismatchError, ParameterError
from petechia.lesions.shape import in_plane_diameter, measure_shape, sphericity
from petechia.lesions.signal import SignalParams, relative_signal
from petechia.lesions.tube import TubeParams, continuation, sphere_directions
from petechia.lesions.void import VoidParams, grow_voids


def soft_balls(grid, balls, texture=0.02, seed=0):
    """Return relative signal with dark balls (centre_vox, radius_mm, depth) of soft edge."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), -1)
    signal = 1 + np.random.default_rng(seed).normal(0, texture, grid.shape)
    for centre, radius, depth in balls:
        away = np.linalg.norm((index - np.asarray(centre)) * grid.spacing_mm, axis=-1)
        signal -= depth / (1 + np.exp((away - radius) / 0.25))
    return np.clip(signal, 0, 2).astype(np.float32)


def ellipsoid(grid, radii_mm):
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), -1)
    offset = (index - np.array(grid.shape) // 2) * grid.spacing_mm
    return np.argwhere(((offset / np.asarray(radii_mm)) ** 2).sum(-1) <= 1)


class TestSignal:
    def test_shading_and_unit_leave_no_trace(self):
        grid = Grid.from_spacing((31, 33, 29), (1, 1, 1.5))
        flat = soft_balls(grid, [((15, 16, 14), 2.5, 0.9)])
        shade = 300 * (1 + 0.4 * np.linspace(-1, 1, 31))[:, None, None]
        mask = np.ones(grid.shape, dtype=bool)
        out = relative_signal(flat * shade, mask, grid)
        middle = (slice(6, -6),) * 3
        assert np.abs(out.value - flat)[middle].max() < 0.08
        assert 0.015 < out.texture < 0.04  # the noise, and what is left of the shading
        twice = relative_signal(2 * flat * shade, mask, grid).value
        assert np.allclose(out.value, twice, atol=1e-5)

    def test_outside_the_mask_it_is_one(self):
        grid = Grid.from_spacing((15, 15, 15), 1.0)
        mask = np.zeros(grid.shape, dtype=bool)
        mask[3:12, 3:12, 3:12] = True
        value = relative_signal(np.full(grid.shape, 7.0), mask, grid).value
        assert np.allclose(value, 1, atol=1e-5)

    def test_contrast_between_tissues_is_no_texture(self):
        grid = Grid.from_spacing((41, 41, 41), 1.0)
        two = np.ones(grid.shape) + np.random.default_rng(3).normal(0, 0.02, grid.shape)
        two[:20] *= 0.8
        texture = relative_signal(two, np.ones(grid.shape, dtype=bool), grid).texture
        assert 0.015 < texture < 0.05

    @pytest.mark.parametrize("level", [0.0, 5.0])
    def test_nothing_to_read_gives_ones(self, level):
        grid = Grid.from_spacing((9, 9, 9), 1.0)
        out = relative_signal(np.full(grid.shape, level), np.full(grid.shape, level == 0.0), grid)
        assert (out.value == 1).all()
        assert out.texture == 0

    def test_bad_settings(self):
        with pytest.raises(ParameterError, match="scale_mm and fine_mm above 0"):
            SignalParams(scale_mm=0)


class TestVoids:
    grid = Grid.from_spacing((31, 33, 29), (1, 1, 1.2))
    mask = np.ones(grid.shape, dtype=bool)

    def grow(self, balls, places, **params):
        signal = soft_balls(self.grid, balls)
        return grow_voids(
            signal, 0.02, self.mask, np.asarray(places, float), self.grid, VoidParams(**params)
        )

    def test_a_spot_at_the_end_of_a_dark_bridge_is_a_void_of_its_own(self):
        signal = soft_balls(self.grid, [((8, 16, 14), 3.0, 0.95), ((22, 16, 14), 2.0, 0.95)])
        signal[8:22, 16, 14] = 0.05  # a vein between them, as dark as they are
        voids = grow_voids(
            signal, 0.02, self.mask, np.array([[8.0, 16, 14], [22, 16, 14]]), self.grid
        )
        centres = sorted(tuple(v.body.mean(axis=0).round().astype(int)) for v in voids)
        assert len(voids) == 2
        assert np.allclose(centres, [(8, 16, 14), (22, 16, 14)], atol=1)
        bodies = np.concatenate([v.body for v in voids])
        assert len(np.unique(bodies, axis=0)) == len(bodies)

    def test_a_ball_keeps_its_volume_and_centre(self):
        (void,) = self.grow([((15, 16, 14), 3.0, 0.9)], [(14, 16, 14), (16, 17, 14)])
        volume = len(void.body) * self.grid.voxel_mm3
        assert volume == pytest.approx(4 / 3 * np.pi * 27, rel=0.12)
        assert np.allclose(void.body.mean(axis=0), (15, 16, 14), atol=0.2)
        assert void.depth == pytest.approx(0.9, abs=0.05)
        assert not len(void.tail)

    def test_touching_balls_part_and_stay_disjoint(self):
        balls = [((12, 16, 14), 2.5, 0.9), ((18, 16, 14), 2.5, 0.9)]
        one, two = self.grow(balls, [(12, 16, 14), (18, 16, 14)])
        together = np.concatenate([one.body, two.body])
        assert len(np.unique(together, axis=0)) == len(together)
        assert abs(len(one.body) - len(two.body)) <= 0.15 * len(one.body)

    def test_two_seeds_of_one_void_give_one(self):
        assert len(self.grow([((15, 16, 14), 4.0, 0.95)], [(13, 16, 14), (17, 16, 14)])) == 1

    @pytest.mark.parametrize(("level", "texture", "count"), [
        (0.14, 0.02, 1), (0.20, 0.02, 2), (0.20, 0.085, 1), (0.35, 0.2, 2),
    ])  # fmt: skip
    def test_noise_at_the_bottom_of_a_large_void_parts_nothing(self, level, texture, count):
        signal = soft_balls(self.grid, [((15, 16, 14), 5.0, 0.98)])
        places = np.array([[12.0, 16, 14], [18, 16, 14]])
        inside = signal < 0.1
        signal[inside] = level
        signal[tuple(places.astype(int).T)] = 0.0
        assert len(grow_voids(signal, texture, self.mask, places, self.grid)) == count

    def test_no_void_no_finding(self):
        assert self.grow([], [(15, 16, 14)]) == []
        assert self.grow([((15, 16, 14), 3.0, 0.9)], np.zeros((0, 3))) == []

    def test_a_tail_is_not_body(self):
        signal = soft_balls(self.grid, [((15, 16, 14), 2.5, 0.9)])
        signal[15:30, 16, 14] = 0.3
        (void,) = grow_voids(signal, 0.02, self.mask, np.array([[15, 16, 14]]), self.grid)
        assert void.body[:, 0].max() <= 15 + 7
        assert len(void.tail)

    def test_bad_settings(self):
        with pytest.raises(ParameterError, match="between 0 and 1"):
            VoidParams(half=1.5)
        with pytest.raises(ParameterError, match=r"floor below 0\.25"):
            VoidParams(floor=0.25)
        with pytest.raises(GridMismatchError, match="signal"):
            grow_voids(np.ones((2, 2, 2), np.float32), 0.1, self.mask, np.zeros((1, 3)), self.grid)


class TestShape:
    @pytest.mark.parametrize("axis", [0, 1, 2])
    def test_diameter_is_in_the_plane_of_the_slices(self, axis):
        spacing = np.ones(3)
        spacing[axis] = 2.0
        grid = Grid.from_spacing((23, 23, 23), spacing)
        radii = np.full(3, 3.0)
        radii[axis] = 9.0
        radii[(axis + 1) % 3] = 4.0
        assert in_plane_diameter(ellipsoid(grid, radii), grid) == pytest.approx(8, abs=1.01)

    def test_on_cubic_voxels_the_plane_goes_by_the_scanner_and_not_by_the_array(self):
        grid = Grid.from_spacing((23, 23, 23), 1.0)
        void = ellipsoid(grid, (4.0, 3.0, 9.0))
        for order in ((0, 1, 2), (2, 0, 1), (1, 2, 0)):
            affine = grid.affine.copy()
            affine[:, :3] = affine[:, :3][:, order]
            turned = Grid(grid.shape, affine)
            assert in_plane_diameter(void[:, order], turned) == pytest.approx(9, abs=0.01)
        assert in_plane_diameter(void[:, order], turned, turned.slice_axis) > 15

    def test_the_rim_holds_the_longest_distance(self):
        grid = Grid.from_spacing((41, 41, 3), 1.0)
        index = np.argwhere(np.ones((41, 41, 3), dtype=bool))
        disc = index[np.hypot(index[:, 0] - 20, 0.6 * (index[:, 1] - 20)) <= 11]
        flat = disc[disc[:, 2] == 1][:, :2]
        brute = np.sqrt(((flat[:, None] - flat[None]) ** 2).sum(-1)).max() + 1
        assert in_plane_diameter(disc, grid) == pytest.approx(brute)

    def test_one_voxel_is_one_voxel_wide(self):
        grid = Grid.from_spacing((5, 5, 5), (0.8, 0.8, 2))
        assert in_plane_diameter(np.array([[2, 2, 2]]), grid) == pytest.approx(0.8)

    @pytest.mark.parametrize("spacing", [(0.5, 0.5, 0.5), (1, 1, 1), (0.7, 0.7, 1.4)])
    def test_a_ball_is_round_and_a_cigar_is_not(self, spacing):
        grid = Grid.from_spacing((41, 41, 41), spacing)
        assert sphericity(ellipsoid(grid, (3, 3, 3)), grid) > 0.93
        assert sphericity(ellipsoid(grid, (6.5, 1.8, 1.8)), grid) < 0.55

    def test_closed_form_of_an_ellipsoid(self):
        grid = Grid.from_spacing((61, 61, 61), 0.5)
        a, c = 5.0, 10.0
        expected = 3 * (a * a * c) ** (2 / 3) / (2 * a**2 + c**2)
        assert sphericity(ellipsoid(grid, (a, a, c)), grid) == pytest.approx(expected, rel=0.02)

    def test_thick_slices_do_not_make_a_void_flat(self):
        grid = Grid.from_spacing((31, 31, 9), (0.8, 0.8, 5.0))
        for slices in (1, 2):
            disc = ellipsoid(grid, (2.2, 2.2, 2.0))
            both = np.concatenate([disc + np.array([0, 0, n]) for n in range(slices)])
            assert sphericity(both, grid) > 0.85

    def measured(self, signal, grid, mask=None):
        mask = np.ones(grid.shape, dtype=bool) if mask is None else mask
        middle = np.array(grid.shape)[None] // 2
        (void,) = grow_voids(signal, 0.02, mask, middle, grid)
        dark = np.zeros(grid.shape, dtype=bool)
        dark[tuple(void.body.T)] = True
        return measure_shape(void, signal, mask, dark, grid)

    def test_measures_of_a_soft_ball(self):
        grid = Grid.from_spacing((25, 25, 25), 1.0)
        s = self.measured(soft_balls(grid, [((12, 12, 12), 3.2, 0.9)]), grid)
        assert s.radius_mm == pytest.approx(3.2, rel=0.06)
        assert s.sphericity > 0.9
        assert s.elongation < 1.2
        assert s.parenchyma_fraction > 0.9
        assert s.outside_fraction == 0
        assert s.homogeneity > 0.5

    def test_a_sharp_edge_is_sharper_than_a_blurred_one(self):
        grid = Grid.from_spacing((25, 25, 25), 1.0)
        index = np.stack(np.meshgrid(*[np.arange(25)] * 3, indexing="ij"), -1)
        away = np.linalg.norm(index - 12.0, axis=-1)
        sharp, blurred = (
            self.measured((1 - 0.9 / (1 + np.exp((away - 3) / w))).astype(np.float32), grid)
            for w in (0.15, 1.0)
        )
        assert sharp.margin_sharpness > 0.6 > 0.4 > blurred.margin_sharpness

    def test_the_edge_of_the_brain_is_seen(self):
        grid = Grid.from_spacing((25, 25, 25), 1.0)
        mask = np.ones(grid.shape, dtype=bool)
        mask[14:] = False
        s = self.measured(soft_balls(grid, [((12, 12, 12), 2.5, 0.9)]), grid, mask)
        assert s.outside_fraction > 0.15
        assert s.parenchyma_fraction < 0.85


class TestTube:
    grid = Grid.from_spacing((31, 31, 31), 1.0)
    mask = np.ones(grid.shape, dtype=bool)

    def tube_of(self, signal, mask=None):
        voids = grow_voids(signal, 0.02, self.mask, np.array([[15, 15, 15]]), self.grid)
        void = min(voids, key=lambda v: np.abs(v.body - 15).sum(axis=1).min())
        shape = measure_shape(void, signal, self.mask, np.zeros_like(self.mask), self.grid)
        return continuation(1 - signal, self.mask if mask is None else mask, shape, self.grid)

    def vein(self, bend=0.0):
        index = np.stack(np.meshgrid(*[np.arange(31)] * 3, indexing="ij"), -1) - 15.0
        k = index[..., 2]
        away = np.hypot(index[..., 0] - 0.3 * k - bend * k**2, index[..., 1])
        return np.clip(1 - 0.7 / (1 + np.exp((away - 1.2) / 0.3)), 0, 1).astype(np.float32)

    def test_a_lone_ball_does_not_continue(self):
        assert self.tube_of(soft_balls(self.grid, [((15, 15, 15), 2.0, 0.9)])).through < 0.2

    @pytest.mark.parametrize("bend", [0.0, 0.04])
    def test_a_vein_continues_also_when_it_bends(self, bend):
        assert self.tube_of(self.vein(bend)).through > 0.7

    def test_a_vein_that_leaves_the_brain_is_known_by_its_other_side(self):
        signal = self.vein()
        signal[:, :, 18:] = 1
        mask = self.mask.copy()
        mask[:, :, 18:] = False
        assert self.tube_of(signal, mask).through > 0.6
        ball = soft_balls(self.grid, [((15, 15, 15), 2.0, 0.9)])
        assert self.tube_of(ball, mask).through < 0.2

    def test_directions_are_unit_and_balanced(self):
        rays = sphere_directions(96)
        assert np.allclose(np.linalg.norm(rays, axis=1), 1)
        assert np.abs(rays.mean(axis=0)).max() < 0.01

    def test_bad_settings(self):
        with pytest.raises(ParameterError, match="4 directions"):
            TubeParams(directions=4)


def test_tissue_beside_bright_fluid_is_not_dark():
    """A void at the border of fluid twice as bright as the tissue does not run into it."""
    grid = Grid.from_spacing((41, 41, 41), 1.0)
    i, j, k = np.indices(grid.shape) - 20
    signal = np.where(i >= 0, 1.6, 0.78).astype(np.float32)
    ball = (i - 1) ** 2 + j**2 + k**2 <= 4
    signal[ball] = 0.3
    (void,) = grow_voids(signal, 0.02, np.ones(grid.shape, bool), np.array([[21, 20, 20]]), grid)
    assert len(void.body) + len(void.tail) == ball.sum()
