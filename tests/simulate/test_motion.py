"""Breathing and moves while lines are recorded."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import fft

from petechia.core.units import hz_per_ppm
from petechia.simulate.motion import (
    Disturbance,
    Move,
    breath_pattern,
    line_times,
    recorded,
    rigidly_moved,
    sample_disturbance,
)
from petechia.simulate.protocols import PROTOCOLS, Protocol, random_protocol

BASE = Protocol(
    b0_t=3.0, te_s=(0.006, 0.012, 0.018), tr_s=0.03, flip_deg=15.0, shape=(41, 46, 30),
    spacing_mm=(1.0, 1.2, 1.5),
)  # fmt: skip
STILL = Disturbance(breath_s=4.0, breath_turn=0.3, moves=(), bipolar_rad=0.4, bipolar_rad_mm=0.02)
PLAIN = np.ones(BASE.shape, dtype=np.complex64)


def blob(protocol, turn=None, shift=(0.0, 0.0, 0.0)):
    """Two unlike Gaussians off the isocentre, turned and then shifted about it, exactly."""
    places = np.stack(np.indices(protocol.shape), -1) * protocol.spacing_mm
    places = places - protocol.grid.to_index(np.zeros(3)) * protocol.spacing_mm
    back = (places - np.asarray(shift)) @ (np.eye(3) if turn is None else turn)
    out = np.zeros(protocol.shape, dtype=np.complex64)
    for centre, width, phase in (((4, 3, -3), (3, 4, 4), 0.5), ((-5, 0, 2), (4, 3, 3), -1.0)):
        away = (back - centre) / width
        out += np.exp(-(away**2).sum(-1) + 1j * phase).astype(np.complex64)
    return out


def about(axis, angle):
    c, s = np.cos(angle), np.sin(angle)
    out = np.eye(3)
    b, d = (axis + 1) % 3, (axis + 2) % 3
    out[b, b], out[b, d], out[d, b], out[d, d] = c, -s, s, c
    return out


def test_who_keeps_still_and_holds_their_breath_is_only_seen_through_the_coil():
    gain = np.exp(1j * np.linspace(0, 1, 41))[:, None, None].astype(np.complex64) * PLAIN
    images = np.stack([blob(BASE)] * 3)
    np.testing.assert_array_equal(recorded(images, gain, BASE, STILL), images * gain)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("degrees", [-7.0, 4.0])
def test_a_turned_head_is_the_head_turned_by_the_right_hand(axis, degrees):
    angle = np.deg2rad(degrees)
    turn_rad = tuple(angle if a == axis else 0.0 for a in range(3))
    got = rigidly_moved(blob(BASE)[None], Move(when=0.0, turn_rad=turn_rad), BASE)[0]
    exact = blob(BASE, about(axis, angle))
    wrong = blob(BASE, about(axis, -angle))
    assert np.abs(got - exact).max() < 0.02
    assert np.abs(got - wrong).max() > 0.1


def test_a_turn_and_a_shift_keep_all_signal_and_can_be_undone():
    rng = np.random.default_rng(0)
    image = rng.normal(size=(1, 41, 45, 31, 2)).astype(np.float32).view(np.complex64)[..., 0]
    odd = replace(BASE, shape=(41, 45, 31))
    there = rigidly_moved(image, Move(when=0, turn_rad=(0.05, 0, 0), shift_mm=(1, 2, 3)), odd)
    assert (np.abs(there) ** 2).sum() == pytest.approx((np.abs(image) ** 2).sum(), rel=1e-4)
    back = rigidly_moved(there, Move(when=0, shift_mm=(-1, -2, -3)), odd)
    back = rigidly_moved(back, Move(when=0, turn_rad=(-0.05, 0, 0)), odd)
    np.testing.assert_allclose(back, image, atol=1e-4)


def test_2d_slices_only_move_within_themselves():
    flat = replace(BASE, acquisition_type="2D", te_s=(0.01,))
    move = Move(when=0.0, shift_mm=(2.0, 0.0, 4.5), turn_rad=(0.1, 0.1, 0.1))
    got = rigidly_moved(blob(flat)[None], move, flat)[0]
    assert np.abs(got - blob(flat, about(2, 0.1), (2.0, 0.0, 0.0))).max() < 0.02


@pytest.mark.parametrize("phase_axis", [0, 1])
@pytest.mark.parametrize("kind", ["2D", "3D"])
def test_each_line_sees_the_head_where_it_then_is(kind, phase_axis):
    protocol = replace(
        BASE, te_s=(0.01,), motion_mm=1.0, acquisition_type=kind, phase_axis=phase_axis
    )
    n, slices = protocol.shape[phase_axis], protocol.shape[2]
    starts = n // 2 - 1, n // 2 + 3
    when = [(line * slices - 0.5) / (n * slices - 1) for line in starts]
    first = Move(when=when[0], shift_mm=(1.0, -2.0, 0.0), turn_rad=(0.0, 0.0, 0.08))
    second = Move(when=when[1], shift_mm=(1.5, 0.0, 0.0), turn_rad=(0.0, 0.0, -0.02))
    happened = replace(STILL, moves=(second, first))
    got = recorded(blob(protocol)[None], PLAIN, protocol, happened)[0]
    poses = [
        blob(protocol),
        blob(protocol, about(2, 0.08), (1.0, -2.0, 0.0)),
        blob(protocol, about(2, 0.06), (2.5, -2.0, 0.0)),
    ]
    # from the most negative frequency to the most positive
    order = np.argsort(np.argsort(fft.fftfreq(n)))
    which = (order >= starts[0]).astype(int) + (order >= starts[1])
    along = [n if a == phase_axis else 1 for a in range(3)]
    spectrum = sum(
        fft.fft(pose, axis=phase_axis) * (which == number).reshape(along)
        for number, pose in enumerate(poses)
    )
    exact = fft.ifft(spectrum, axis=phase_axis)

    def apart(other):
        return np.sqrt((np.abs(got - other) ** 2).mean())

    assert apart(exact) < 0.05 * min(apart(pose) for pose in poses)


def test_a_coil_stays_while_the_head_moves():
    gain = np.exp(np.linspace(-1, 1, 41))[:, None, None].astype(np.complex64) * PLAIN
    protocol = replace(BASE, motion_mm=1.0, te_s=(0.01,))
    happened = replace(STILL, moves=(Move(when=0.0, shift_mm=(4.0, 0.0, 0.0)),))
    got = recorded(blob(protocol)[None], gain, protocol, happened)[0]
    np.testing.assert_allclose(got, blob(protocol, shift=(4.0, 0.0, 0.0)) * gain, atol=0.01)


@pytest.mark.parametrize("phase_axis", [0, 1])
@pytest.mark.parametrize("kind", ["2D", "3D"])
def test_each_line_turns_by_the_field_of_its_breath_where_the_signal_comes_from(kind, phase_axis):
    protocol = replace(
        BASE, respiration_ppm=0.03, te_s=(0.006, 0.024), tr_s=0.04, acquisition_type=kind,
        phase_axis=phase_axis, spacing_mm=(1.0, 1.2, 5.0),
    )  # fmt: skip
    for spot in ((20, 20, 3), (8, 31, 27)):
        images = np.zeros((2, *BASE.shape), dtype=np.complex64)
        images[(slice(None), *spot)] = 1
        axes = (phase_axis + 1, 3) if kind == "3D" else (phase_axis + 1,)
        ratio = fft.fftn(recorded(images, PLAIN, protocol, STILL), axes=axes)
        ratio = ratio / np.where(images.any(axes, keepdims=True), fft.fftn(images, axes=axes), 1)
        seconds = np.broadcast_to(
            line_times(protocol),
            [1 if a == 1 - phase_axis else n for a, n in enumerate(BASE.shape)],
        )
        breath = np.sin(2 * np.pi * seconds / 4.0 + 0.3)
        place = protocol.grid.to_mm(np.array(spot))
        field = 0.03 * breath_pattern(protocol.grid)[spot]
        assert field == pytest.approx(0.03 * (300 / (300 + place[2])) ** 3, rel=0.03)
        row = [slice(None)] * 4
        row[2 - phase_axis] = slice(spot[1 - phase_axis], spot[1 - phase_axis] + 1)
        if kind == "2D":
            row[3], breath = slice(spot[2], spot[2] + 1), breath[:, :, spot[2] : spot[2] + 1]
        for e, te in enumerate(protocol.te_s):
            turn = 2 * np.pi * te * hz_per_ppm(3.0) * field * breath
            np.testing.assert_allclose(ratio[tuple(row)][e], np.exp(1j * turn), atol=5e-3)


def test_lines_are_recorded_in_order_each_with_its_partitions():
    times = line_times(replace(BASE, phase_axis=1))
    assert times.shape == (1, 46, 30)
    assert times[0, 23, 15] == 0  # the most negative of both
    assert times[0, 23, 16] == pytest.approx(0.03)
    assert times[0, 24, 15] == pytest.approx(30 * 0.03)
    assert times.max() == pytest.approx((46 * 30 - 1) * 0.03)
    flat = line_times(replace(BASE, acquisition_type="2D"))
    assert flat.shape == (41, 1, 30)
    assert flat.max() < 41 * 0.03
    assert (np.diff(flat[:, 0, :], axis=1) > 0).all()


def test_the_field_of_the_breath_grows_towards_the_neck_and_obeys_laplace():
    grid = replace(BASE, shape=(60, 60, 60), spacing_mm=(3.0, 3.0, 3.0)).grid
    pattern = breath_pattern(grid).astype(float)
    middle = pattern[30, 30]
    assert (np.diff(middle) < 0).all()  # falls from the neck to the vertex
    assert middle[0] > 2 * middle[-1]
    assert pattern[29:31, 29:31, 29:31].mean() == pytest.approx(1, rel=0.001)
    second = sum(np.diff(pattern, 2, axis=a)[tuple(
        slice(None) if b == a else slice(1, -1) for b in range(3)
    )] for a in range(3))  # fmt: skip
    curved = np.abs(np.diff(pattern, 2, axis=2)).mean()
    assert np.abs(second).mean() < 0.01 * curved
    # tilted slices see the same field in the scanner
    tilted = replace(BASE, tilt_deg=(20.0, 0.0)).grid
    index = np.round(tilted.to_index((0.0, 0.0, -15.0))).astype(int)
    place = tilted.to_mm(index)
    assert breath_pattern(tilted)[tuple(index)] == pytest.approx(
        (300 / (300 + place[2])) ** 3, rel=0.01
    )


def test_ghosts_of_breathing_grow_with_the_echo_time_and_lie_along_the_phase_axis():
    images = np.stack([blob(BASE)] * 3)
    for axis in (0, 1):
        protocol = replace(BASE, respiration_ppm=0.02, phase_axis=axis, acquisition_type="2D")
        ghosts = np.abs(recorded(images, PLAIN, protocol, STILL) - images)
        sums = (ghosts**2).sum(axis=(1, 2, 3)) ** 0.5
        assert 2.5 < sums[2] / sums[0] < 3.5
        empty = np.abs(blob(BASE)).max(axis=axis) < 1e-6
        assert empty.any()
        assert ghosts[2].max(axis=axis)[empty].max() < 1e-6


def test_moves_are_drawn_as_the_protocol_says():
    protocol = replace(BASE, motion_mm=1.0, motion_deg=2.0)
    drawn = [sample_disturbance(np.random.default_rng(n), protocol) for n in range(200)]
    counts = {len(d.moves) for d in drawn}
    assert counts == {1, 2, 3}
    shifts = np.array([m.shift_mm for d in drawn for m in d.moves])
    turns = np.rad2deg([m.turn_rad for d in drawn for m in d.moves])
    np.testing.assert_allclose(shifts.std(axis=0), 1.0, rtol=0.15)
    np.testing.assert_allclose(turns.std(axis=0), 2.0, rtol=0.15)
    assert not sample_disturbance(np.random.default_rng(0), BASE).moves
    only = sample_disturbance(np.random.default_rng(0), replace(BASE, motion_deg=1.0)).moves
    assert only
    assert not np.array([m.shift_mm for m in only]).any()
    assert PROTOCOLS["3t_megre_1mm"].motion_deg == 0
    moving = [random_protocol(np.random.default_rng(n)) for n in range(40)]
    assert any(p.motion_deg > 0 for p in moving)
