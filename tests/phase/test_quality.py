import numpy as np
import pytest
from scipy import ndimage

from petechia.core.grid import Grid
from petechia.core.units import radians_per_ppm, wrap
from petechia.phase.quality import (
    LEAST_COHERENCE,
    highpass_evidence,
    phase_coherence,
    phase_quality,
)


def test_tissue_is_good_and_noise_is_bad(make_scan):
    scan = make_scan(noise=0.02)
    rng = np.random.default_rng(0)
    scan.phase_rad[:, ~scan.mask] = rng.uniform(-np.pi, np.pi, scan.phase_rad[:, ~scan.mask].shape)
    whole = np.ones_like(scan.mask)
    quality = phase_quality(scan.phase_rad, scan.magnitude, scan.te_s, whole, scan.grid)
    assert quality.min() >= 0
    assert quality.max() <= 1
    assert np.median(quality[scan.mask]) > 0.7
    assert np.median(quality[~scan.mask]) < 0.35
    one = phase_quality(scan.phase_rad[:1], None, scan.te_s[:1], scan.mask, scan.grid)
    assert np.median(one[scan.mask]) > 0.7
    assert not one[~scan.mask].any()


def test_quality_of_one_row_worked_by_hand():
    phase = np.array([[0.0, 0.5], [0.2, 1.4]], np.float32).reshape(2, 2, 1, 1)
    m = np.array([[1.0, 0.8], [0.5, 0.3]], np.float32).reshape(2, 2, 1, 1)
    mask, grid = np.ones((2, 1, 1), bool), Grid.from_spacing((2, 1, 1), 1.0)

    def f(w):
        return 0.1 + 0.9 * w

    first = f(1 - 0.5 / np.pi) * f(1) * f(0.8**2)
    first /= f(1)  # the first echo has none before it
    second = f(1 - 1.2 / np.pi) * f(1 - (1.2 - 1.0) / np.pi) * f(0.6**2)
    expected = (0.64 * first + 0.09 * second) / (0.64 + 0.09)
    found = phase_quality(phase, m, (0.01, 0.02), mask, grid)
    assert np.allclose(found, expected, rtol=1e-5)


def test_all_echoes_tell_noise_better_than_two(make_scan):
    scan = make_scan((0.004, 0.008, 0.012, 0.016, 0.020), noise=0.02)
    rng = np.random.default_rng(3)
    air = ~scan.mask
    noise = rng.standard_normal((2, 5, air.sum())) * 0.02
    scan.phase_rad[:, air] = np.arctan2(noise[1], noise[0])
    scan.magnitude[:, air] = np.hypot(*noise)
    whole = np.ones_like(air)
    quality = [
        phase_quality(scan.phase_rad[:n], scan.magnitude[:n], scan.te_s[:n], whole, scan.grid)
        for n in (2, 5)
    ]
    apart = [(np.median(q[scan.mask]) - np.median(q[air])) / q[air].std() for q in quality]
    assert apart[1] > 1.2 * apart[0]


def test_an_echo_without_signal_does_not_spoil_the_rest(make_scan):
    scan = make_scan(noise=0.01)
    rng = np.random.default_rng(4)
    scan.phase_rad[2] = rng.uniform(-np.pi, np.pi, scan.mask.shape)
    given = (scan.te_s, scan.mask, scan.grid)
    loud = phase_quality(scan.phase_rad, scan.magnitude, *given)
    scan.magnitude[2] *= 0.02
    dead = phase_quality(scan.phase_rad, scan.magnitude, *given)
    assert np.median(dead[scan.mask]) > 0.8
    assert np.median(loud[scan.mask]) < np.median(dead[scan.mask]) - 0.1


def test_quality_does_not_mind_turns_sign_or_axes(make_scan):
    scan = make_scan(offset=1.0, noise=0.02)
    given = (scan.te_s, scan.mask, scan.grid)
    here = phase_quality(scan.phase_rad, scan.magnitude, *given)
    again = phase_quality(2 * np.pi - scan.phase_rad, scan.magnitude, *given)
    assert np.allclose(here, again, atol=1e-4)
    grid = Grid.from_spacing(scan.grid.shape[::-1], scan.grid.spacing_mm[::-1], (1, 0, 0))
    turned = phase_quality(
        scan.phase_rad.transpose(0, 3, 2, 1), scan.magnitude.transpose(0, 3, 2, 1),
        scan.te_s, scan.mask.T, grid,
    )  # fmt: skip
    assert np.allclose(here, turned.T, atol=1e-5)


def homodyne(phase, magnitude, window, box=False):
    """Divide each slice by its low-pass: a vendor's SWI filter, written for this test."""
    shape = []
    for n in phase.shape[:2]:
        f = np.fft.fftfreq(n) * n
        soft = 1.0 if box else 0.5 + 0.5 * np.cos(2 * np.pi * f / window)
        shape.append(np.where(np.abs(f) <= window / 2, soft, 0))
    signal = magnitude * np.exp(1j * phase)
    low = np.fft.ifft2(np.fft.fft2(signal, axes=(0, 1)) * np.outer(*shape)[:, :, None], axes=(0, 1))
    return np.angle(signal * low.conj()).astype(np.float32)


@pytest.fixture(scope="module")
def head():
    """A brain with tissue, veins and a smooth background field, 1.7 x 1.7 x 3 mm."""
    rng = np.random.default_rng(1)
    grid = Grid.from_spacing((100, 112, 36), (1.7, 1.7, 3.0))
    axes = [
        (np.arange(n) - (n - 1) / 2) * d for n, d in zip(grid.shape, grid.spacing_mm, strict=True)
    ]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    mask = (x / 66) ** 2 + (y / 84) ** 2 + (z / 50) ** 2 < 1
    fine = ndimage.gaussian_filter(rng.standard_normal(grid.shape), (1.2, 1.2, 0.7))
    veins = fine > np.percentile(fine, 98)
    local = 0.008 * fine / fine.std() + 0.06 * veins
    background = 0.25 * np.exp(-(x**2 + (y - 80) ** 2 + (z + 40) ** 2) / 1500) + 1e-5 * (
        x * y - z * z
    )
    noise = [rng.standard_normal(grid.shape) for _ in range(2)]
    return grid, mask, background, local, noise


def phase_of(head, b0_t, te_s, strength):
    _grid, mask, background, local, noise = head
    turn = radians_per_ppm(b0_t, te_s) * (strength * background + local)
    signal = mask * np.exp(1j * turn) + 0.1 * (noise[0] + 1j * noise[1])
    return np.angle(signal).astype(np.float32), np.abs(signal)


@pytest.mark.parametrize(("b0_t", "te_s"), [(1.5, 0.04), (3.0, 0.005), (3.0, 0.02), (7.0, 0.015)])
def test_filtered_and_unfiltered_are_told_apart(head, b0_t, te_s):
    grid, mask = head[:2]
    for strength in (1.0, 0.3):  # the second: a better shim than any scanner's
        phase, magnitude = phase_of(head, b0_t, te_s, strength)
        found = highpass_evidence(phase, mask, grid)
        assert not found.filtered, (strength, found)
        assert "not high-pass" in found.says
        for window in (32, 64):
            found = highpass_evidence(homodyne(phase, magnitude, window), mask, grid)
            assert found.filtered, (strength, window, found)
            assert "was high-pass filtered" in found.says


@pytest.mark.parametrize(("b0_t", "te_s"), [(1.5, 0.04), (3.0, 0.005), (3.0, 0.02), (7.0, 0.015)])
@pytest.mark.parametrize("window", [32, 48, 64, 96])
@pytest.mark.parametrize("box", [False, True])
def test_no_head_is_without_a_smooth_field(head, b0_t, te_s, window, box):
    """Soft windows leave as little smooth phase as fine phase, which is where the ratio fails."""
    grid, mask = head[:2]
    turn = radians_per_ppm(b0_t, te_s)
    phase, magnitude = phase_of(head, b0_t, te_s, 0.3)
    assert not highpass_evidence(phase, mask, grid, turn).filtered
    found = highpass_evidence(homodyne(phase, magnitude, window, box), mask, grid, turn)
    assert found.filtered, found
    assert "was high-pass filtered" in found.says


@pytest.mark.parametrize(("b0_t", "te_s"), [(1.5, 0.04), (3.0, 0.02), (7.0, 0.015)])
def test_what_a_small_window_leaves_is_called_faint(head, b0_t, te_s):
    """A window of 32 in a fine matrix leaves 0.006 ppm; a head has 0.03 and more."""
    grid, mask = head[:2]
    turn = radians_per_ppm(b0_t, te_s)
    phase, magnitude = phase_of(head, b0_t, te_s, 1.0)
    assert not highpass_evidence(phase, mask, grid, turn).faint
    assert not highpass_evidence(phase, mask, grid).faint
    found = highpass_evidence(homodyne(phase, magnitude, 8), mask, grid, turn)
    assert (found.filtered, found.faint) == (False, True), found
    assert "fainter than heads have it" in found.says
    assert not highpass_evidence(homodyne(phase, magnitude, 24), mask, grid, turn).faint


def test_noise_and_constant_phase_are_not_filtered(head):
    grid, mask = head[:2]
    rng = np.random.default_rng(0)
    assert not highpass_evidence(rng.uniform(-3, 3, grid.shape), mask, grid).filtered
    assert not highpass_evidence(np.full(grid.shape, 0.4), mask, grid).filtered
    assert not highpass_evidence(np.zeros(grid.shape), mask, grid).filtered


def test_a_crop_is_called_filtered_only_when_clear(head):
    grid, mask, *_ = head
    phase, _ = phase_of(head, 3.0, 0.02, 1.0)
    cut = np.s_[40:56, 48:64, 12:24]
    small = Grid.from_spacing((16, 16, 12), grid.spacing_mm)
    found = highpass_evidence(phase[cut], mask[cut], small)
    assert not found.filtered
    assert "too small to be sure" in found.says


@pytest.mark.data
def test_real_unfiltered_phase(real_data):
    import nibabel as nib

    image = nib.load(real_data / "real" / "megre_crop" / "Phase.nii.gz")
    phase = np.moveaxis(np.asarray(image.dataobj, np.float32) * 855, 3, 0)
    grid = Grid(phase.shape[1:], image.affine)
    assert not highpass_evidence(phase, np.ones(grid.shape, bool), grid).filtered


@pytest.mark.parametrize("chi_ppm", [-1.0, 1.0])
def test_a_source_in_an_even_field_is_no_filter(chi_ppm):
    """Its far field is smooth, and there: a phantom, not a vendor's filter."""
    grid = Grid.from_spacing((80, 80, 70), (1.0, 1.0, 1.1))
    axes = [
        (np.arange(n) - (n - 1) / 2) * d for n, d in zip(grid.shape, grid.spacing_mm, strict=True)
    ]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    r = np.sqrt(x**2 + y**2 + z**2)
    dipole = chi_ppm * 8.0 / 3 * (3 * z**2 / np.maximum(r, 2) ** 2 - 1) / np.maximum(r, 2) ** 3
    noise = np.random.default_rng(0).normal(0, 0.02, grid.shape)
    phase = radians_per_ppm(3.0, 0.02) * np.where(r > 2, dipole, 0) + noise
    assert not highpass_evidence(phase.astype(np.float32), r < 34, grid).filtered


def test_noise_has_no_coherence_and_a_slope_has_all():
    shape = (24, 23, 22)
    mask = np.ones(shape, bool)
    noise = np.random.default_rng(0).uniform(-np.pi, np.pi, shape)
    even = np.ones(shape)
    assert phase_coherence(noise, mask, even) < 0.05 < LEAST_COHERENCE
    slope = wrap(1.3 * np.indices(shape)[0] - 2.0 * np.indices(shape)[2])
    assert phase_coherence(slope, mask, even) == pytest.approx(1, abs=1e-5)
    checkerboard = np.pi * (np.indices(shape).sum(axis=0) % 2)  # as some scanners store it
    assert phase_coherence(wrap(slope + checkerboard), mask, even) == pytest.approx(1, abs=1e-5)
    lonely = np.zeros(shape, bool)
    lonely[::2, ::2, ::2] = True
    assert phase_coherence(noise, lonely, even) == 1


def test_air_in_the_mask_does_not_make_noise_of_good_phase():
    shape = (30, 30, 30)
    head = np.linalg.norm(np.indices(shape) - 14.5, axis=0) < 9  # an eighth of the view
    rng = np.random.default_rng(2)
    air = rng.uniform(-np.pi, np.pi, shape)
    phase = np.where(head, 0.3 * np.indices(shape)[1], air)
    magnitude = np.where(head, 1000.0, rng.rayleigh(10.0, shape))
    assert phase_coherence(wrap(phase), np.ones(shape, bool), magnitude) > 0.9
    assert phase_coherence(air, np.ones(shape, bool), magnitude) < LEAST_COHERENCE
