import numpy as np
import pytest
from scipy import ndimage

from petechia.core.units import wrap
from petechia.errors import ParameterError, UnfitError
from petechia.phase.offsets import McpcParams, mcpc3ds
from petechia.phase.unwrap.romeo import romeo


@pytest.mark.parametrize("te_s", [(0.004, 0.008, 0.012), (0.0043, 0.0071, 0.0182), (0.010, 0.0145)])
def test_a_smooth_offset_is_found_and_removed(make_scan, te_s):
    scan = make_scan(te_s, offset=1.0)
    assert np.ptp(scan.offset_rad[scan.mask]) > 1.0
    phase, offset = mcpc3ds(
        scan.phase_rad, scan.magnitude, te_s, scan.mask, scan.grid, McpcParams(smooth_mm=2.0)
    )
    miss = wrap(offset - scan.offset_rad)[scan.mask]
    assert np.percentile(np.abs(miss), 95) < 0.1
    left = wrap(phase - scan.true_rad)[:, scan.mask]
    assert np.sqrt((left**2).mean()) < 0.1


def test_after_it_echoes_follow_each_other_without_turns(make_scan):
    """The reason it exists: template unwrapping fails with the offset and works without."""
    scan = make_scan((0.004, 0.010, 0.021), offset=2.0)
    given = (scan.magnitude, scan.te_s, scan.mask, scan.grid)
    phase, _ = mcpc3ds(scan.phase_rad, *given)
    right = np.abs(romeo(phase, *given) - scan.true_rad)[:, scan.mask] < np.pi
    wrong = np.abs(romeo(scan.phase_rad, *given) - scan.true_rad)[:, scan.mask] > np.pi
    assert right.mean() > 0.999
    assert wrong.mean() > 0.1


def test_phase_without_signal_has_no_say(make_scan):
    scan = make_scan(offset=1.0)
    middle = tuple(n // 2 for n in scan.grid.shape)
    void = np.zeros_like(scan.mask)
    void[tuple(slice(m - 4, m + 4) for m in middle)] = True
    scan.phase_rad[:, void] = wrap(scan.offset_rad + 2.5)[void]
    scan.magnitude[:, void] *= 0.01
    settings = McpcParams(smooth_mm=2.0)
    _, offset = mcpc3ds(scan.phase_rad, scan.magnitude, scan.te_s, scan.mask, scan.grid, settings)
    beside = ndimage.binary_dilation(void, iterations=2) & ~void & scan.mask
    assert np.abs(wrap(offset - scan.offset_rad))[beside].mean() < 0.1


def test_outside_the_mask_the_same_offset_is_taken_off(make_scan):
    scan = make_scan(offset=1.0)
    phase, offset = mcpc3ds(scan.phase_rad, scan.magnitude, scan.te_s, scan.mask, scan.grid)
    assert np.allclose(wrap(scan.phase_rad - offset - phase), 0, atol=1e-5)
    assert np.isfinite(offset).all()
    edge = ~scan.mask & (np.roll(scan.mask, 1, 0) | np.roll(scan.mask, -1, 0))
    assert np.abs(wrap(offset - scan.offset_rad))[edge].max() < 1.0


def test_one_echo_is_refused(make_scan):
    scan = make_scan((0.02,))
    with pytest.raises(UnfitError, match="1 echo has no phase difference"):
        mcpc3ds(scan.phase_rad, scan.magnitude, scan.te_s, scan.mask, scan.grid)


def test_bad_settings_are_named():
    with pytest.raises(ParameterError, match="smooth_mm: 0 is outside"):
        McpcParams(smooth_mm=0)
