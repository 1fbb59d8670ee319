"""Scans whose even echoes are read backwards."""

import numpy as np
import pytest

from petechia.core.units import wrap
from petechia.errors import ParameterError, UnfitError
from petechia.phase.offsets import McpcParams, remove_offsets

TIMES = [(0.004, 0.008, 0.012), (0.0043, 0.0071, 0.0112, 0.0160), (0.005, 0.010, 0.015, 0.02)]


def bipolar_scan(make_scan, axes_mm, te_s, constant=0.4, slope=0.02, axis=1):
    """Even echoes have a phase that is linear along the readout."""
    scan = make_scan(te_s, offset=1.0)
    extra = constant + slope * axes_mm(scan.grid)[axis]
    scan.phase_rad[1::2] = wrap(scan.phase_rad[1::2] + extra)
    return scan, extra


def given(scan):
    return scan.phase_rad, scan.magnitude, scan.te_s, scan.mask, scan.grid


@pytest.mark.parametrize("te_s", TIMES)
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_phase_of_even_echoes_is_found_and_removed(make_scan, axes_mm, te_s, axis):
    scan, extra = bipolar_scan(make_scan, axes_mm, te_s, axis=axis)
    found = remove_offsets(*given(scan), McpcParams(smooth_mm=2.0))
    miss = (found.bipolar_rad - extra)[scan.mask]
    assert np.sqrt((miss**2).mean()) < 0.03
    left = wrap(found.phase_rad - scan.true_rad)[:, scan.mask]
    assert np.sqrt((left**2).mean()) < 0.1
    rms = np.sqrt((extra[scan.mask] ** 2).mean())
    assert abs(found.alternation_rad - rms) < 0.1 * rms
    assert "bipolar" in found.says


@pytest.mark.parametrize("te_s", TIMES)
def test_a_monopolar_scan_is_left_alone(make_scan, te_s):
    scan = make_scan(te_s, offset=1.0, noise=0.03)
    found = remove_offsets(*given(scan))
    assert found.bipolar_rad is None
    assert found.alternation_rad < 0.03
    assert "monopolar" in found.says
    plain = remove_offsets(*given(scan), McpcParams(bipolar="no"))
    assert np.array_equal(found.phase_rad, plain.phase_rad)


@pytest.mark.parametrize("te_s", TIMES)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_noise_is_no_alternation(make_scan, te_s, seed):
    """At a signal of twice the noise its slope by chance goes far beyond 0.05 rad."""
    scan = make_scan(te_s, offset=1.0, noise=0.5, seed=seed)
    found = remove_offsets(*given(scan))
    assert found.alternation_rad > 0.05
    assert found.bipolar_rad is None
    assert "monopolar" in found.says
    assert "no more than noise makes" in found.says


def test_a_weak_alternation_above_the_noise_is_found(make_scan, axes_mm):
    scan, _ = bipolar_scan(make_scan, axes_mm, TIMES[0], constant=0.08, slope=0.004)
    assert remove_offsets(*given(scan)).bipolar_rad is not None


def test_without_it_echoes_contradict_each_other(make_scan, axes_mm):
    scan, extra = bipolar_scan(make_scan, axes_mm, TIMES[0])
    left = remove_offsets(*given(scan), McpcParams(bipolar="no", smooth_mm=2.0)).phase_rad
    bend = wrap(left[0] - 2 * left[1] + left[2])[scan.mask]
    assert np.sqrt((bend**2).mean()) > np.sqrt((extra[scan.mask] ** 2).mean())
    left = remove_offsets(*given(scan), McpcParams(smooth_mm=2.0)).phase_rad
    bend = wrap(left[0] - 2 * left[1] + left[2])[scan.mask]
    assert np.sqrt((bend**2).mean()) < 0.1


def test_a_ramp_of_several_turns_over_the_head_is_followed(make_scan, axes_mm):
    scan, extra = bipolar_scan(make_scan, axes_mm, TIMES[0], slope=0.25)
    assert np.ptp(extra[scan.mask]) > 2 * np.pi
    found = remove_offsets(*given(scan), McpcParams(smooth_mm=4.0))
    turn = np.round(np.median((found.bipolar_rad - extra)[scan.mask]) / np.pi) * np.pi
    miss = (found.bipolar_rad - extra - turn)[scan.mask]
    assert np.sqrt((miss**2).mean()) < 0.05


def test_two_echoes_cannot_tell(make_scan):
    scan = make_scan((0.005, 0.010))
    found = remove_offsets(*given(scan))
    assert found.bipolar_rad is None
    assert "not looked for" in found.says
    with pytest.raises(UnfitError, match="2 echoes of a bipolar readout"):
        remove_offsets(*given(scan), McpcParams(bipolar="yes"))


def test_bad_settings_are_named():
    with pytest.raises(ParameterError, match="bipolar = 'maybe'"):
        McpcParams(bipolar="maybe")
