"""A head in the scanner: two grids make one field, whichever way it lies."""

from dataclasses import replace

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.simulate.fields import shim_terms, sphere_field
from petechia.simulate.head import CENTRE_MM, Head, HeadMaps
from petechia.simulate.protocols import Protocol, rotation
from petechia.simulate.render import Pose, WideField, _add_wide, render, sample_pose, wide_source
from petechia.simulate.signal import slab_profile
from petechia.simulate.vessels import Vessels

NO_VEINS = Vessels(segments=np.zeros((0, 7)), chi_ppm=0.4)
POSES = {
    "upright": Pose(turn=np.eye(3), shift_mm=np.zeros(3)),
    "nodding": Pose(turn=rotation(0.5, 0.0, 0.0), shift_mm=np.array([3.0, -4.0, 2.0])),
    "leaning": Pose(turn=rotation(0.1, -0.45, 0.2), shift_mm=np.array([-2.0, 1.0, 4.0])),
}
BALL_MM, STRENGTH_PPM = 9.0, -6.0
PLACE_MM = np.array([6.0, -5.0, 8.0])
"""Of a ball in the head, from the centre of the brain."""


def ball_head():
    """A round head without a neck that is a ball of -6 ppm in air, off its middle."""
    n, step = 84, 1.0
    affine = np.diag([step, step, step, 1.0])
    affine[:3, 3] = CENTRE_MM - (n - 1) / 2 * step
    grid = Grid((n, n, n), affine)
    places = grid.to_mm(np.stack(np.indices(grid.shape), -1)) - CENTRE_MM
    away = np.linalg.norm(places - PLACE_MM, axis=-1)
    filled = np.clip((BALL_MM - away) / 2.0 + 0.5, 0, 1).astype(np.float32)
    whole = (np.linalg.norm(places, axis=-1) < 32).astype(np.float32)
    fractions = dict.fromkeys(("soft", "fat", "bone", "csf", "gm", "wm"), 0 * whole)
    head = Head(
        grid=grid, fractions=fractions, brain=whole, iron_ppm=0 * whole, texture=0 * whole,
        params=None,
    )  # fmt: skip
    chi = STRENGTH_PPM * filled
    maps = HeadMaps(chi_ppm=chi, s0=whole, r2star=20 * whole, fat=0 * whole)
    return head, maps, float(filled.sum()) * step**3


@pytest.mark.parametrize("tilt_deg", [(0.0, 0.0), (-22.0, 9.0)])
@pytest.mark.parametrize("pose", POSES)
def test_the_field_of_a_ball_in_a_head_is_the_closed_form_but_for_the_shims(pose, tilt_deg):
    lies = POSES[pose]
    head, maps, volume_mm3 = ball_head()
    protocol = Protocol(
        b0_t=3.0, te_s=(0.02,), tr_s=0.05, flip_deg=15.0, shape=(44, 40, 36),
        spacing_mm=(1.5, 1.5, 1.8), tilt_deg=tilt_deg,
    )  # fmt: skip
    fine = render(head, maps, NO_VEINS, lies, protocol)
    grid = fine.grid
    index = np.stack(np.indices(grid.shape), -1)
    axis_mm = index * grid.spacing_mm + grid.origin_mm
    scanner = axis_mm @ grid.axes.T + grid.scan.affine[:3, 3]
    radius = (volume_mm3 * 3 / (4 * np.pi)) ** (1 / 3)
    centre = lies.turn @ PLACE_MM + lies.shift_mm
    exact = sphere_field(scanner, centre, radius, STRENGTH_PPM, (0, 0, 1))
    away = np.linalg.norm(scanner - centre, axis=-1)
    seen = (away > BALL_MM + 3) & (np.linalg.norm(scanner - lies.shift_mm, axis=-1) < 28)
    # what shims do goes with the head: solid harmonics about the brain's centre
    terms = shim_terms(lies.to_head(scanner[seen]) - CENTRE_MM)
    error = fine.field_ppm[seen] - exact[seen]
    error -= terms @ np.linalg.lstsq(terms, error, rcond=None)[0]
    left = exact[seen] - terms @ np.linalg.lstsq(terms, exact[seen], rcond=None)[0]
    assert np.sqrt((error**2).mean()) < 0.06 * np.sqrt((left**2).mean())
    heavy = np.where(fine.chi_ppm < 9.2 + 0.5 * STRENGTH_PPM, 1.0, 0.0)
    middle = (scanner * heavy[..., None]).sum((0, 1, 2)) / heavy.sum()
    np.testing.assert_allclose(middle, centre, atol=0.15)


def test_scanner_and_head_places_undo_each_other():
    pose = sample_pose(np.random.default_rng(0))
    places = np.random.default_rng(1).normal(0, 50, (20, 3))
    np.testing.assert_allclose(pose.to_head(pose.to_scanner(places)), places, atol=1e-9)
    np.testing.assert_allclose(pose.to_scanner(CENTRE_MM), pose.shift_mm)
    nodding = np.array([sample_pose(np.random.default_rng(n)).turn for n in range(300)])
    forward = np.rad2deg(np.arcsin(nodding[:, 2, 1]))
    assert forward.mean() == pytest.approx(3.0, abs=1.0)
    assert forward.std() == pytest.approx(5.0, abs=0.8)


def test_the_neck_goes_on_below_the_head_before_smoothing():
    head, _, _ = ball_head()
    chi = np.zeros(head.grid.shape, dtype=np.float32)
    chi[20:60, 20:60, :] = -9.0
    wide = wide_source(head.grid, chi)
    assert wide.grid.affine[2, 3] < head.grid.affine[2, 3] - 100
    above = wide.grid.to_index(CENTRE_MM + np.array([-2.0, -2.0, 60.0]))
    below = wide.grid.to_index(CENTRE_MM + np.array([-2.0, -2.0, -120.0]))
    assert wide.chi_ppm[tuple(np.round(below).astype(int))] == pytest.approx(-9.0, abs=0.01)
    assert wide.chi_ppm[tuple(np.round(above).astype(int))] == pytest.approx(0.0, abs=0.01)


def test_the_wide_field_lands_where_it_belongs():
    pose = POSES["leaning"]
    protocol = Protocol(
        b0_t=3.0, te_s=(0.02,), tr_s=0.05, flip_deg=15.0, shape=(12, 10, 8),
        spacing_mm=(2.0, 2.0, 2.0), tilt_deg=(15.0, 0.0),
    )  # fmt: skip
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    affine[:3, 3] = CENTRE_MM - 40
    own = Grid((21, 21, 21), affine)
    slope = own.to_mm(np.stack(np.indices(own.shape), -1)) @ [0.2, -0.3, 0.5]
    wide = WideField(grid=own, chi_ppm=None, field_ppm=slope.astype(np.float32))
    head, maps, _ = ball_head()
    fine = render(head, maps, NO_VEINS, pose, protocol)
    field = np.zeros_like(fine.field_ppm)
    _add_wide(field, wide, pose, fine.grid)
    axis_mm = np.stack(np.indices(field.shape), -1) * fine.grid.spacing_mm + fine.grid.origin_mm
    scanner = axis_mm @ fine.grid.axes.T + fine.grid.scan.affine[:3, 3]
    np.testing.assert_allclose(field, pose.to_head(scanner) @ [0.2, -0.3, 0.5], atol=1e-3)


def test_a_slab_is_excited_in_its_middle_and_fades_at_both_ends(uniform):
    maps, protocol = uniform(shape=(8, 8, 60))
    profile = slab_profile(maps.grid, protocol)
    np.testing.assert_allclose(profile, profile[::-1])
    assert (profile[8:-8] == 1).all()
    assert profile[0] == 0
    assert (np.diff(profile[:7]) > 0).all()
    flat, slices = uniform(acquisition_type="2D")
    assert (slab_profile(flat.grid, replace(slices, shape=(24, 24, 24))) == 1).all()
