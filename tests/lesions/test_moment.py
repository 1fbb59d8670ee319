import numpy as np
import pytest
from scipy import ndimage

from petechia.core.grid import Grid
from petechia.core.kernels import forward_field
from petechia.errors import GridMismatchError, InputError, ParameterError
from petechia.lesions.dipole import dipole_mean
from petechia.lesions.moment import MomentParams, Parts, _neighbours, fit_moments

SHAPE = (27, 29, 25)


def field_of(grid, sources, noise_ppm=0.0, rng=None, smooth=0.0):
    """Return the field of (place_vox, moment) sources, a ramp and noise."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), -1)
    field = 0.01 + 0.0005 * index[..., 0] - 0.0003 * index[..., 2]
    for place, moment in sources:
        offset = (index - np.asarray(place) + 1e-6) * grid.spacing_mm
        field = field + moment * dipole_mean(offset, grid.b0_dir, grid.spacing_mm)
    if rng is not None:
        noise = rng.normal(size=grid.shape)
        if smooth:
            noise = ndimage.gaussian_filter(noise, smooth)
            noise /= noise.std()
        field = field + noise_ppm * noise
    return field


def outside(grid, places, radius_mm=2.0):
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), -1)
    good = np.ones(grid.shape, dtype=bool)
    for place in places:
        good &= np.linalg.norm((index - np.asarray(place)) * grid.spacing_mm, axis=-1) > radius_mm
    return good


@pytest.mark.parametrize("spacing", [(1, 1, 1), (0.8, 0.8, 1.6), (1.5, 0.7, 0.7)])
@pytest.mark.parametrize("b0_dir", [(0, 0, 1), (0.2, -0.5, 0.8)])
@pytest.mark.parametrize("moment", [3.0, -3.0])
def test_moment_and_place_come_back(spacing, b0_dir, moment):
    grid = Grid.from_spacing(SHAPE, spacing, b0_dir)
    place = (13.3, 14.2, 12.4)
    field = field_of(grid, [(place, moment)])
    start = np.round(place)[None]
    (fit,) = fit_moments(field, None, outside(grid, [place]), start, np.array([2.0]), grid)
    assert fit.moment_ppm_mm3 == pytest.approx(moment, rel=0.02)
    assert np.allclose((np.subtract(fit.place_vox, place)) * grid.spacing_mm, 0, atol=0.08)
    assert fit.explained > 0.98
    assert np.sign(fit.poles_ppm) == np.sign(moment) == -np.sign(fit.equator_ppm)


def test_neighbours_are_told_apart():
    grid = Grid.from_spacing(SHAPE, 1.0)
    places = np.array([[11.0, 14.0, 12.0], [15.0, 14.0, 13.0]])
    field = field_of(grid, [(places[0], 3.0), (places[1], -8.0)])
    good = outside(grid, places, 1.8)
    fits = fit_moments(field, None, good, places, np.array([1.8, 1.8]), grid)
    assert [f.moment_ppm_mm3 for f in fits] == pytest.approx([3.0, -8.0], rel=0.02)
    (alone,) = fit_moments(field, None, good, places[:1], np.array([1.8]), grid)
    assert abs(alone.moment_ppm_mm3 - 3.0) > 0.3  # what the joint fit is for


@pytest.mark.parametrize("told", [(6.0, 2.0), (3.0, 3.0)], ids=["shares known", "shares wrong"])
def test_a_source_of_several_points_has_the_moment_of_all(told):
    grid = Grid.from_spacing(SHAPE, (1.0, 0.9, 1.2), (0.1, 0.3, 0.95))
    places = np.array([[11.0, 14.0, 12.0], [14.0, 13.0, 13.0]])
    field = field_of(grid, list(zip(places, (6.0, 2.0), strict=True)))
    good = outside(grid, places, 1.8)
    share = np.array(told) / np.sum(told)
    centre = share @ places
    parts = Parts(offset_vox=places - centre, share=share)
    radius = np.array([1.8 * 2 ** (1 / 3)])
    (whole,) = fit_moments(field, None, good, centre[None], radius, grid, parts=parts)
    assert whole.moment_ppm_mm3 == pytest.approx(8.0, rel=0.02)
    assert whole.explained > 0.98
    (point,) = fit_moments(field, None, good, centre[None], radius, grid)
    assert abs(point.moment_ppm_mm3 - 8.0) > 3 * abs(whole.moment_ppm_mm3 - 8.0)


@pytest.mark.parametrize("smooth", [0.0, 0.8], ids=["white", "correlated"])
def test_the_error_covers_the_truth(smooth):
    grid = Grid.from_spacing((21, 21, 21), 1.0)
    rng = np.random.default_rng(5)
    params = MomentParams(relative_error=0.0, error_scale=1.0, anatomy=0.0)
    z = []
    for _ in range(60):
        place = 10 + rng.uniform(-0.3, 0.3, 3)
        field = field_of(grid, [(place, 2.0)], 0.01, rng, smooth)
        (fit,) = fit_moments(
            field,
            np.full(grid.shape, 0.01),
            outside(grid, [place]),
            np.array([[10.0, 10, 10]]),
            np.array([2.0]),
            grid,
            params,
        )
        z.append((fit.moment_ppm_mm3 - 2.0) / fit.se_ppm_mm3)
    assert abs(np.mean(z)) < 0.5
    assert 0.65 < np.std(z) < 1.35


def test_what_far_sources_make_is_taken_off_whatever_its_size():
    """Air beyond the brain: a field that curves, ten times the source's own."""
    grid = Grid.from_spacing(SHAPE, 1.0)
    place, radii = np.array([[13.0, 14.0, 12.0]]), np.array([2.0])
    own = field_of(grid, [(place[0], 3.0)])
    rng = np.random.default_rng(6)
    noise = 0.004 * rng.normal(size=grid.shape)
    far = field_of(grid, [((-20.0, 10.0, 30.0), 600_000.0)])
    assert np.ptp(far[8:19, 9:20, 7:18]) > 0.5
    usable = outside(grid, place)
    told = [
        fit_moments(
            own + far + noise, None, usable, place, radii, grid,
            MomentParams(background_degree=degree), spread_ppm=0.004,
        )[0].moment_ppm_mm3
        for degree in (1, 2)
    ]  # fmt: skip
    assert told[1] == pytest.approx(3.0, rel=0.1)
    assert abs(told[0] - 3.0) > 2 * abs(told[1] - 3.0)


def test_one_wild_voxel_does_not_sway_the_fit():
    grid = Grid.from_spacing(SHAPE, 1.0)
    place = (13.0, 14.0, 12.0)
    field = field_of(grid, [(place, 3.0)], 0.003, np.random.default_rng(1))
    field[13, 14, 15] += 1.0
    (fit,) = fit_moments(
        field, None, outside(grid, [place]), np.array([place]), np.array([2.0]), grid
    )
    assert fit.moment_ppm_mm3 == pytest.approx(3.0, rel=0.06)


def test_no_source_is_not_significant():
    grid = Grid.from_spacing((21, 21, 21), 1.0)
    rng = np.random.default_rng(8)
    place = np.array([[10.0, 10, 10]])
    z = []
    for _ in range(30):
        field = field_of(grid, [], 0.01, rng)
        (fit,) = fit_moments(field, None, outside(grid, place), place, np.array([2.0]), grid)
        z.append(fit.significance)
    assert np.max(np.abs(z)) < 4
    assert abs(np.mean(np.sign(z))) < 0.5


def test_too_few_voxels_give_no_fit():
    grid = Grid.from_spacing(SHAPE, 1.0)
    good = np.zeros(grid.shape, dtype=bool)
    good[13, 14, 14:18] = True
    answer = fit_moments(
        np.zeros(grid.shape), None, good, np.array([[13.0, 14, 12]]), np.array([2.0]), grid
    )
    assert answer == [None]


def test_a_source_at_the_border_of_the_volume():
    grid = Grid.from_spacing(SHAPE, 1.0)
    place = (1.0, 14.0, 12.0)
    field = field_of(grid, [(place, 5.0)], 0.003, np.random.default_rng(2))
    (fit,) = fit_moments(
        field, None, outside(grid, [place]), np.array([place]), np.array([2.0]), grid
    )
    assert abs(fit.moment_ppm_mm3 - 5.0) < 4 * fit.se_ppm_mm3


def test_only_what_is_wanted_is_fitted():
    grid = Grid.from_spacing(SHAPE, 1.0)
    places = np.array([[9.0, 14.0, 12.0], [18.0, 14.0, 14.0]])
    field = field_of(grid, [(places[0], 3.0), (places[1], 3.0)])
    fits = fit_moments(
        field, None, outside(grid, places), places, np.full(2, 2.0), grid, wanted=np.array([1])
    )
    assert fits[0] is None
    assert fits[1].moment_ppm_mm3 == pytest.approx(3.0, rel=0.02)


def test_the_edge_of_the_field_widens_the_error_but_not_the_doubt_of_the_sign():
    grid = Grid.from_spacing(SHAPE, 1.0)
    place = np.array([[13.0, 14.0, 12.0]])
    field = field_of(grid, [(place[0], 3.0)], 0.003, np.random.default_rng(4))
    good = outside(grid, place)
    (far,), (near,) = (
        fit_moments(field, None, good, place, np.array([2.0]), grid, edge_mm=np.array([edge]))
        for edge in (40.0, 0.0)
    )
    assert near.se_ppm_mm3 == pytest.approx(np.hypot(far.se_ppm_mm3, 0.9), rel=0.02)
    assert near.significance == far.significance > 3


def test_no_moment_is_told_to_better_than_its_model_can_be():
    """Without noise the residuals say nothing of filters, form and tissue: 12 % and 0.2 stay."""
    grid = Grid(SHAPE)
    place = (13.3, 14.2, 12.4)
    field = field_of(grid, [(place, 3.0)])
    start, usable = np.round(place)[None], outside(grid, [place])
    told, sure = (
        fit_moments(field, None, usable, start, np.array([2.0]), grid, params)[0]
        for params in (MomentParams(), MomentParams(relative_error=0.0, anatomy_ppm_mm3=0.0))
    )
    more = np.sqrt(told.se_ppm_mm3**2 - sure.se_ppm_mm3**2)
    assert more == pytest.approx(np.hypot(0.12 * told.moment_ppm_mm3, 0.2), rel=0.01)
    assert told.form_ppm_mm3 == pytest.approx(0.12 * told.moment_ppm_mm3)
    assert sure.form_ppm_mm3 == 0


def test_bad_input_is_named():
    grid = Grid.from_spacing(SHAPE, 1.0)
    good = np.ones(SHAPE, dtype=bool)
    with pytest.raises(InputError, match="2 places and 1 radii"):
        fit_moments(np.zeros(SHAPE), None, good, np.zeros((2, 3)), np.ones(1), grid)
    with pytest.raises(GridMismatchError, match="field_ppm"):
        fit_moments(np.zeros((3, 3, 3)), None, good, np.zeros((1, 3)), np.ones(1), grid)
    with pytest.raises(ParameterError, match="reach_radii=0"):
        MomentParams(reach_radii=0)
    with pytest.raises(ParameterError, match=r"edge_error=-1"):
        MomentParams(edge_error=-1)


def with_a_vein(grid, place, moment):
    """Return a field of a source and a vein 4 mm away, and the vein's own map and field."""
    index = np.stack(np.meshgrid(*[np.arange(n) for n in grid.shape], indexing="ij"), -1)
    at = (index - np.asarray(place)) * grid.spacing_mm
    vein = 0.4 * (np.hypot(at[..., 0] - 4.0, at[..., 2]) < 1.3)
    added = forward_field(vein.astype(np.float32), grid, 40.0)
    return field_of(grid, [(place, moment)]) + added, vein


@pytest.mark.parametrize("reference_ppm", [0.0, 0.3])
def test_the_map_takes_the_field_of_a_vein_off(reference_ppm):
    grid = Grid(SHAPE)
    place = (13.0, 14.0, 12.0)
    field, vein = with_a_vein(grid, place, 1.0)
    usable = outside(grid, [place]) & (vein == 0)
    args = (field, None, usable, np.array([place]), np.array([1.5]), grid)
    (without,) = fit_moments(*args)
    params = MomentParams(map_share=1.0)
    (told,) = fit_moments(*args, params, chi_ppm=vein + reference_ppm)
    assert abs(without.moment_ppm_mm3 - 1.0) > 0.1  # what the map is for
    assert abs(told.moment_ppm_mm3 - 1.0) < 0.3 * abs(without.moment_ppm_mm3 - 1.0)


def test_the_map_of_the_source_itself_takes_nothing_off():
    grid = Grid(SHAPE)
    place = (13.0, 14.0, 12.0)
    chi = np.zeros(SHAPE)
    chi[13, 14, 12] = 3.0
    args = (field_of(grid, [(place, 3.0)]), None, outside(grid, [place]), np.array([place]))
    (told,) = fit_moments(*args, np.array([1.5]), grid, chi_ppm=chi)
    assert told.moment_ppm_mm3 == pytest.approx(3.0, rel=0.02)


def test_with_a_map_the_fit_does_not_depend_on_how_the_volume_is_stored():
    grid = Grid.from_spacing(SHAPE, (1.0, 1.2, 0.9), (0.2, 0.3, 0.9))
    place = np.array([13.2, 14.1, 12.3])
    field, vein = with_a_vein(grid, place, -2.0)
    usable = outside(grid, [place]) & (vein == 0)
    (one,) = fit_moments(field, None, usable, place[None], np.array([1.5]), grid, chi_ppm=vein)

    def turn(volume):  # the new axes are the old k, i, j, the last one backwards
        return np.ascontiguousarray(volume.transpose(2, 0, 1)[:, :, ::-1])

    last = SHAPE[1] - 1
    back = np.array([[0, 1, 0, 0], [0, 0, -1, last], [1, 0, 0, 0], [0, 0, 0, 1.0]])
    there_vox = np.array([place[2], place[0], last - place[1]])
    there = Grid(turn(field).shape, grid.affine @ back)
    (two,) = fit_moments(
        turn(field), None, turn(usable), there_vox[None], np.array([1.5]), there,
        chi_ppm=turn(vein),
    )  # fmt: skip
    assert two.moment_ppm_mm3 == pytest.approx(one.moment_ppm_mm3, rel=1e-3)
    assert two.se_ppm_mm3 == pytest.approx(one.se_ppm_mm3, rel=1e-3)


def test_tails_widen_the_error_but_not_the_doubt_of_the_sign():
    grid = Grid(SHAPE)
    place = (13.0, 14.0, 12.0)
    args = (field_of(grid, [(place, 3.0)]), None, outside(grid, [place]), np.array([place]))
    args = (*args, np.array([2.0]), grid)
    (round_,), (plate,) = fit_moments(*args), fit_moments(*args, tails=np.array([0.8]))
    more = np.sqrt(plate.se_ppm_mm3**2 - round_.se_ppm_mm3**2)
    assert more == pytest.approx(0.64 * 3.0, rel=0.03)
    assert plate.significance == pytest.approx(round_.significance)


def test_neighbours_are_the_sources_with_the_strongest_field_here():
    """As radius cubed over distance cubed: 1/27, 1/64, 1/512."""
    places = np.array([[0.0, 0, 0], [4, 0, 0], [0, 9, 0], [0, 0, 8]])
    radii = np.array([1.0, 1.0, 3.0, 1.0])
    for most, expected in ((1, [2]), (2, [2, 1]), (3, [2, 1, 3])):
        np.testing.assert_array_equal(_neighbours(0, places, radii, 20.0, most), places[expected])
