"""Uncombined coils, against coils of known sensitivity."""

import numpy as np
import pytest

from petechia.core.units import wrap
from petechia.errors import InputError, UnfitError
from petechia.phase.coils import CoilStack, combine_coils
from petechia.phase.evolution import McpcParams
from petechia.simulate.receive import coil_images, sample_coils

NARROW = McpcParams(smooth_mm=4.0)


def clean_images(scan):
    """What an even coil without noise would receive."""
    size = np.stack([np.where(scan.mask, np.exp(-t / 0.04), 0.0) for t in scan.te_s])
    return (size * np.exp(1j * scan.true_rad)).astype(np.complex64)


def received(scan, n=6, noise=0.0, seed=0):
    """Images of `n` coils (C, E, I, J, K) and their sensitivities."""
    rng = np.random.default_rng(seed)
    coils = sample_coils(rng, n)
    seen = coil_images(clean_images(scan), coils, scan.grid, noise, rng)
    images, sensitivity = zip(*seen, strict=True)
    return np.stack(images), np.stack(sensitivity)


def misses(phase, scan, inside=None):
    """Distance of the phase from the truth, the turns left open apart [rad]."""
    inside = scan.mask if inside is None else inside
    return wrap(phase - scan.true_rad)[:, inside]


def test_constant_offsets_of_coils_vanish_exactly(make_scan):
    scan = make_scan(noise=0.0)
    image = clean_images(scan)
    offsets = [0.3, -2.9, 1.7]
    coils = np.stack(
        [a * image * np.exp(1j * o) for a, o in zip((1, 2, 0.5), offsets, strict=True)]
    )
    found = combine_coils(coils.astype(np.complex64), scan.te_s, scan.grid)
    assert np.abs(misses(found.phase_rad, scan)).max() < 0.02
    gain = np.sqrt(1 + 4 + 0.25)
    assert np.allclose(found.magnitude[:, scan.mask], gain * np.abs(image[:, scan.mask]), rtol=1e-3)


@pytest.mark.parametrize(
    "te_s", [(0.005, 0.010, 0.015), (0.0043, 0.0071), (0.004, 0.009, 0.0125, 0.02)]
)
def test_nearly_as_good_as_with_known_sensitivities(make_scan, te_s):
    scan = make_scan(te_s)
    coils, sensitivity = received(scan, noise=0.03)
    found = combine_coils(coils, te_s, scan.grid, scan.mask, NARROW)
    best = (sensitivity.conj()[:, None] * coils).sum(axis=0)
    ideal = np.sqrt((misses(np.angle(best), scan)[1:] ** 2).mean())
    error = misses(found.phase_rad, scan)[1:]
    assert np.sqrt((error**2).mean()) < 1.5 * ideal
    # phase that is the same in all echoes is no field: it is the part that may be left
    pure = error - misses(found.phase_rad, scan)[:1]
    pure_ideal = misses(np.angle(best), scan)
    pure_ideal = pure_ideal[1:] - pure_ideal[:1]
    assert np.sqrt((pure**2).mean()) < 1.05 * np.sqrt((pure_ideal**2).mean())


def test_combined_noise_is_that_of_one_coil(make_scan):
    scan = make_scan()
    coils, _ = received(scan, noise=0.05)
    found = combine_coils(coils, scan.te_s, scan.grid, scan.mask, NARROW)
    corner = found.magnitude[:, :4, :4, :]
    assert corner.std() / np.sqrt(2 - np.pi / 2) == pytest.approx(0.05, rel=0.1)


def test_bipolar_coils(make_scan, axes_mm):
    scan = make_scan()
    coils, _ = received(scan, noise=0.01)
    extra = 0.4 + 0.02 * axes_mm(scan.grid)[0]
    coils[:, 1::2] *= np.exp(1j * extra)
    found = combine_coils(coils, scan.te_s, scan.grid, scan.mask, NARROW)
    miss = (found.bipolar_rad - extra)[scan.mask]
    assert np.sqrt((miss**2).mean()) < 0.03
    left = combine_coils(
        coils, scan.te_s, scan.grid, scan.mask, McpcParams(smooth_mm=4.0, bipolar="no")
    )
    errors = [np.sqrt((misses(c.phase_rad, scan) ** 2).mean()) for c in (found, left)]
    assert errors[0] < 0.3 * errors[1]


def test_phase_and_magnitude_are_read_coil_by_coil(make_scan):
    scan = make_scan((0.005, 0.010))
    coils, _ = received(scan, n=3, noise=0.01)
    by_echo = np.moveaxis(coils, 1, 0)
    stack = CoilStack(np.angle(by_echo), np.abs(by_echo))
    assert len(stack) == 3
    assert np.allclose(stack[1], coils[1], atol=1e-6)
    one, two = (combine_coils(c, scan.te_s, scan.grid, scan.mask) for c in (stack, coils))
    assert np.allclose(wrap(one.phase_rad - two.phase_rad), 0, atol=1e-3)


def test_one_coil_at_a_time(make_scan):
    """Each is asked for twice, in turn."""

    class Lazy(list):
        asked = 0

        def __getitem__(self, n):
            Lazy.asked += 1
            return super().__getitem__(n)

    scan = make_scan((0.005, 0.010))
    coils, _ = received(scan, n=4, noise=0.01)
    combine_coils(Lazy(coils), scan.te_s, scan.grid, scan.mask)
    assert Lazy.asked == 2 * 4


@pytest.mark.parametrize(
    ("change", "kind", "says"),
    [
        (lambda c: c[:, :1], UnfitError, "1 echo has no phase difference"),
        (lambda c: c[:0], InputError, "no coil"),
        (lambda c: c[..., :-1], InputError, "does not end in"),
        (lambda c: c * np.nan, InputError, "not finite"),
    ],
)
def test_bad_coils_are_named(make_scan, change, kind, says):
    scan = make_scan((0.005, 0.010))
    coils = change(received(scan, n=2)[0])
    te_s = scan.te_s if coils.ndim < 5 or not coils.size else scan.te_s[: coils.shape[1]]
    with pytest.raises(kind, match=says):
        combine_coils(coils, te_s, scan.grid, scan.mask)


def test_shapes_that_differ_are_named():
    with pytest.raises(InputError, match="phase of shape"):
        CoilStack(np.zeros((2, 3, 4, 4, 4)), np.zeros((2, 2, 4, 4, 4)))
