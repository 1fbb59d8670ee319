"""A known phase, stored as each vendor stores it, comes back."""

import nibabel as nib
import numpy as np
import pytest

from petechia.core.units import wrap
from petechia.errors import GridMismatchError, InputError, ParameterError
from petechia.files.phase_scaling import (
    PhaseRadians,
    complex_to_polar,
    filled_limit,
    phase_to_radians,
    without_alternation,
)

SHAPE = (15, 16, 17)


@pytest.fixture
def phase_rad():
    """Smooth phase with wraps, filling -pi..pi."""
    i, j, k = np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE], indexing="ij")
    return wrap(9 * i + 7 * j * k + 6 * np.sin(3 * k)).astype(np.float64)


def error_rad(got, want):
    return float(np.abs(wrap(np.asarray(got, dtype=np.float64) - want)).max())


def stored_12_bit(phase_rad):
    return np.round((phase_rad + np.pi) * 4096 / (2 * np.pi)).clip(0, 4095).astype(np.uint16)


STEP = 2 * np.pi / 4096  # one stored step; a clipped value at +pi is off by a whole one

CASES = {
    "siemens stored": (lambda p: stored_12_bit(p), {"manufacturer": "SIEMENS"}, "0..4095"),
    "siemens stored, maker unknown": (lambda p: stored_12_bit(p), {}, "0..4095"),
    "siemens rescale": (lambda p: stored_12_bit(p), {"rescale": (2.0, -4096.0)}, "4096 is pi"),
    "siemens rescaled nifti": (lambda p: stored_12_bit(p) * 2.0 - 4096, {}, "4096 is pi"),
    "siemens small rescale": (lambda p: stored_12_bit(p), {"rescale": (1.0, -2048.0)}, "2048 is pi"),
    "philips mrad": (
        lambda p: np.round((p + np.pi) * 4095 / (2 * np.pi)),
        {"rescale": (6284 / 4095, -3142.0), "manufacturer": "Philips Medical Systems"},
        "milliradians",
    ),
    "philips radians": (
        lambda p: np.round((p + np.pi) * 4095 / (2 * np.pi)),
        {"rescale": (2 * np.pi / 4095, -np.pi), "manufacturer": "Philips"},
        "radians, -pi..pi",
    ),
    "philips stored": (
        lambda p: np.round((p + np.pi) * 4095 / (2 * np.pi)),
        {"manufacturer": "Philips"},
        "0..4095",
    ),
    "ge": (lambda p: np.round(p * 1000).astype(np.int16), {"manufacturer": "GE MEDICAL SYSTEMS"}, "milliradians"),
    "float radians": (lambda p: p.astype(np.float32), {}, "radians, -pi..pi"),
    "0..2 pi": (lambda p: np.mod(p, 2 * np.pi), {}, "0..2 pi"),
    "0..2 pi mrad": (lambda p: np.mod(p, 2 * np.pi) * 1000, {}, "milliradians, 0..6283"),
    "degrees": (lambda p: np.rad2deg(p), {}, "degrees"),
    "scaled floats": (lambda p: p / 855, {}, "scaled by 85"),
    "scaled by one": (lambda p: p / np.pi, {}, "fill"),
    "16 bit": (lambda p: np.round(p * 32767 / np.pi), {}, "32768"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=list(CASES))
def test_phase_comes_back(phase_rad, case):
    store, hints, note = CASES[case]
    got = phase_to_radians(store(phase_rad), **hints)
    assert got.phase_rad.dtype == np.float32
    assert got.phase_rad.shape == SHAPE
    assert note in got.note
    # what a vendor's rounding can cost, and for guessed limits how near the extremes come to pi
    slack = 0.01 if case.startswith("scaled") else 1.5 * STEP
    assert error_rad(got.phase_rad, phase_rad) < slack


def test_stored_middle_is_zero_phase():
    raw = np.array([0, 1024, 2048, 3072, 4095], dtype=np.int16)
    got = phase_to_radians(raw, manufacturer="SIEMENS").phase_rad
    np.testing.assert_allclose(
        got, [-np.pi, -np.pi / 2, 0, np.pi / 2, np.pi * 2047 / 2048], atol=1e-6
    )


def test_filtered_siemens_phase_keeps_the_coding(phase_rad):
    """A high-pass filtered phase fills little of the range: the maker decides, not the extremes."""
    raw = stored_12_bit(0.3 * phase_rad)
    assert raw.max() < 2800
    assert (
        error_rad(phase_to_radians(raw, manufacturer="Siemens").phase_rad, 0.3 * phase_rad) < STEP
    )
    with pytest.raises(InputError, match=r"from 14\d\d to 26\d\d .*--phase-scale"):
        phase_to_radians(raw)


def test_filtered_floats_are_not_stretched(phase_rad):
    rng = np.random.default_rng(0)
    gaussian = 0.2 * rng.standard_normal(SHAPE)
    gaussian.flat[0], gaussian.flat[1] = 0.9, -0.9
    assert filled_limit(gaussian) is None
    with pytest.raises(InputError, match="no known range"):
        phase_to_radians(gaussian)
    np.testing.assert_allclose(
        phase_to_radians(gaussian, units_hint="rad").phase_rad, gaussian, atol=1e-6
    )


def test_units_heeded_only_when_they_can_be_true(phase_rad):
    raw = stored_12_bit(phase_rad) * 2.0 - 4096
    assert "4096 is pi" in phase_to_radians(raw, units_hint="rad").note
    unwrapped = phase_rad * 5
    got = phase_to_radians(unwrapped, units_hint="rad")
    assert "unwrapped" in got.note
    np.testing.assert_allclose(got.phase_rad, unwrapped, rtol=1e-6)
    half = phase_to_radians(phase_rad * 500, units_hint="milliradians").phase_rad
    np.testing.assert_allclose(half, phase_rad / 2, atol=1e-6)


def test_masked_scaled_floats_are_detected(phase_rad):
    rng = np.random.default_rng(1)
    phase = wrap(rng.uniform(-np.pi, np.pi, (25, 26, 27))) / 855
    phase[:10] = 0
    assert filled_limit(phase) == pytest.approx(np.pi / 855, rel=1e-3)


def test_given_scale_beats_all(phase_rad):
    got = phase_to_radians(phase_rad / 40, scale=40.0, units_hint="rad")
    np.testing.assert_allclose(got.phase_rad, phase_rad, atol=1e-5)
    assert "--phase-scale" in got.note
    with pytest.raises(ParameterError, match=r"--phase-scale 1 .*-4092 .*span 8184 radians"):
        phase_to_radians(stored_12_bit(phase_rad) * 2.0 - 4096, scale=1.0)
    with pytest.raises(ParameterError, match="--phase-scale nan"):
        phase_to_radians(phase_rad, scale=float("nan"))
    with pytest.raises(ParameterError, match="--phase-scale 0 "):
        phase_to_radians(phase_rad, scale=0.0)


def test_bad_phase_is_refused(phase_rad):
    with pytest.raises(InputError, match=r"p\.nii: all voxels are 7"):
        phase_to_radians(np.full(SHAPE, 7), where="p.nii")
    bad = phase_rad.copy()
    bad[1, 2, 3] = np.nan
    with pytest.raises(
        InputError, match=r"1 of 4080 voxels are not finite, the first at \(1, 2, 3\)"
    ):
        phase_to_radians(bad)
    with pytest.raises(InputError, match="ORIGINAL/PRIMARY/M says magnitude"):
        phase_to_radians(phase_rad, image_type=("ORIGINAL", "PRIMARY", "M"))
    with pytest.raises(InputError, match="from 0 to 900"):
        phase_to_radians(np.linspace(0, 900, 4000) ** 1.0)


@pytest.mark.parametrize(
    ("store", "named", "error"),
    [
        (lambda turn: np.round(turn * 255).astype(np.uint8), r"0..255, 127.5 is 0", 0.02),
        (lambda turn: np.round(turn * 1000).astype(np.int16), r"0..1000, 500 is 0", 0.01),
        (lambda turn: turn.astype(np.float32), r"0..1, 0.5 is 0", 0.01),
    ],
)
@pytest.mark.parametrize("masked", [False, True])
def test_a_range_from_0_is_a_turn_only_when_evenly_filled(store, named, error, masked):
    i, j, k = np.meshgrid(*[np.linspace(-1, 1, n) for n in (30, 32, 34)], indexing="ij")
    phase = wrap(9 * i + 7 * j * k + 6 * np.sin(3 * k))
    raw = store((phase + np.pi) / (2 * np.pi))
    if masked:
        raw[i**2 + j**2 > 0.9] = 0
    got = phase_to_radians(raw)
    assert got.note == f"{named}, evenly filled: taken as a turn"
    assert error_rad(got.phase_rad[raw != 0], phase[raw != 0]) < error
    # a magnitude fills its range otherwise, also when it is clipped
    magnitude = np.abs(np.random.default_rng(6).normal(0.2, 0.3, raw.shape)).clip(0, 1)
    with pytest.raises(InputError, match="no known range"):
        phase_to_radians(store(magnitude))


def test_real_and_imaginary_parts(phase_rad):
    signal = 50 * np.exp(1j * phase_rad)
    magnitude, phase = complex_to_polar(signal.real, signal.imag)
    np.testing.assert_allclose(magnitude, 50, rtol=1e-5)
    assert error_rad(phase.phase_rad, phase_rad) < 1e-5
    assert phase.note == "real and imaginary parts"


@pytest.mark.parametrize("axis", [0, 2])
def test_alternating_slices_are_undone(axis):
    rng = np.random.default_rng(2)
    i, j, k = np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE], indexing="ij")
    signal = (1 + i**2) * np.exp(1j * (4 * i + 2 * j + 3 * k)) + 0.1 * rng.standard_normal(SHAPE)
    chopped = np.moveaxis(np.moveaxis(signal, axis, -1) * (-1) ** np.arange(SHAPE[axis]), -1, axis)
    _, phase = complex_to_polar(chopped.real, chopped.imag, slice_axis=axis)
    assert "alternating" in phase.note
    assert error_rad(phase.phase_rad, np.angle(signal)) < 1e-4


@pytest.mark.parametrize("noise", [0.0, 0.2, 0.5])
@pytest.mark.parametrize("thick", [1, 5])
@pytest.mark.parametrize("axis", [-3, -1])
@pytest.mark.parametrize("sign", [1, -1])
def test_alternating_phase_is_undone_and_good_phase_left_alone(noise, thick, axis, sign):
    """Two echoes in a field whose phase wraps between thick slices at the edges."""
    rng = np.random.default_rng(3)
    i, j, k = np.meshgrid(*[np.linspace(-1, 1, n) for n in (20, 22, 60)], indexing="ij")
    field = sign * (3 * i + 2 * j + 3 * k + 5 * k**3 + 2 * i * k)
    inside = i**2 + j**2 + k**2 < 0.9
    echoes = np.stack([inside * np.exp(1j * t * field) for t in (0.5, 1.0)])
    echoes = echoes.reshape(2, 20, 22, -1, thick).mean(axis=-1)
    echoes += noise * (rng.standard_normal(echoes.shape) + 1j * rng.standard_normal(echoes.shape))
    echoes = np.moveaxis(echoes, -1, axis)
    signs = np.moveaxis((-1.0) ** np.arange(60 // thick)[None, None, None, :], -1, axis)
    magnitude = np.abs(echoes).astype(np.float32)
    good = PhaseRadians(np.angle(echoes).astype(np.float32), "radians")
    chopped = PhaseRadians(np.angle(echoes * signs).astype(np.float32), "radians")
    assert without_alternation(good, magnitude, axis) is good
    mended = without_alternation(chopped, magnitude, axis)
    assert "alternating between slices undone" in mended.note
    assert error_rad(mended.phase_rad, good.phase_rad) < 1e-4
    assert mended.phase_rad.shape == good.phase_rad.shape


def test_noise_and_a_steep_field_do_not_alternate():
    rng = np.random.default_rng(4)
    flat = np.ones((2, 9, 11, 7), dtype=np.float32)
    for _ in range(20):
        noise = PhaseRadians(rng.uniform(-np.pi, np.pi, flat.shape).astype(np.float32), "radians")
        assert without_alternation(noise, flat) is noise
    # pi a slice in the second echo alone is a field, not alternation
    ramp = np.stack([0.5 * np.pi * np.arange(7), np.pi * np.arange(7)])[:, None, None, :]
    steep = PhaseRadians(wrap(ramp + 0 * flat).astype(np.float32), "radians")
    assert without_alternation(steep, flat) is steep


@pytest.mark.parametrize(
    ("store", "named"),
    [
        (np.rad2deg, "echo 1 .*radians, -pi..pi.*degrees"),
        (lambda p: p * 1000, "echo 1 .*radians, -pi..pi.*milliradians"),
        (lambda p: stored_12_bit(p) * 2.0 - 4096, "echo 1 .*radians, -pi..pi.*-4096..4096"),
    ],
)
def test_one_echo_in_another_unit_is_refused(phase_rad, store, named):
    mixed = np.stack([phase_rad, store(phase_rad), phase_rad])
    with pytest.raises(InputError, match=rf"the phase of {named}.* different units\. Convert"):
        phase_to_radians(mixed, where="p.nii")


def test_echoes_stored_at_twice_each_other_are_refused():
    phase = np.random.default_rng(5).uniform(-np.pi, np.pi, (15, 16, 17))
    mixed = np.stack([stored_12_bit(phase) * 2.0 - 4096, stored_12_bit(phase) * 1.0])
    with pytest.raises(InputError, match=r"the phase of echo 2 runs from 0 to 409\d .*0\.\.4095"):
        phase_to_radians(mixed)


@pytest.mark.parametrize("small", [0.02, 0.1, 0.3, 0.6])
def test_an_early_echo_with_little_phase_is_no_other_unit(phase_rad, small):
    i, j, k = np.meshgrid(*[np.linspace(-1, 1, n) for n in SHAPE], indexing="ij")
    early = small * np.pi * (i + j * k + 0.5 * k) / 2.5
    for store in (lambda p: p, np.rad2deg, lambda p: stored_12_bit(p) * 2.0 - 4096):
        got = phase_to_radians(np.stack([store(early), store(phase_rad)])).phase_rad
        assert error_rad(got[0], early) < 1.5 * STEP


def test_bad_complex_parts(phase_rad):
    with pytest.raises(GridMismatchError, match=r"\(15, 16, 17\).*\(15, 16, 16\)"):
        complex_to_polar(phase_rad, phase_rad[..., :-1])
    with pytest.raises(InputError, match=r"real values run from 0 to .* never change sign"):
        complex_to_polar(np.abs(phase_rad) - np.abs(phase_rad).min(), phase_rad)


@pytest.mark.data
def test_real_scaled_crop(real_data):
    """The crop's phase is radians divided by 855 (its README): found without being told."""
    raw = np.asarray(nib.load(real_data / "real" / "megre_crop" / "Phase.nii.gz").dataobj)
    got = phase_to_radians(raw)
    assert "scaled by 855" in got.note
    np.testing.assert_allclose(got.phase_rad, raw * 855.0, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("maker", ["Philips", "GE MEDICAL SYSTEMS"])
def test_integers_on_one_side_of_zero_are_no_milliradians(maker):
    """Filtered phase stored as 0..4095 without its rescale: 2048 is phase 0."""
    raw = np.random.default_rng(0).normal(2048, 250, (8, 9, 10)).round()
    with pytest.raises(InputError, match="phase-scale"):
        phase_to_radians(raw, manufacturer=maker)
