"""The road on plain arrays."""

import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from petechia import api
from petechia.anatomy.brainmask import BrainMask, brain_mask
from petechia.core.echoes import Echoes
from petechia.core.grid import Grid
from petechia.core.units import radians_per_ppm
from petechia.errors import GridMismatchError, InputError, UnfitError
from petechia.files.find import find_scans
from petechia.files.nifti import read_mask
from petechia.files.scan import Header, Scan, ScanName
from petechia.pipeline.settings import Settings
from petechia.pipeline.stages import walk
from petechia.pipeline.work import Work

pytestmark = pytest.mark.xdist_group("road")


@pytest.fixture(scope="module")
def arrays(tiny_dataset, tiny_output):
    """Arrays of the tiny head and its mask; words for the calls."""
    (ref,) = find_scans(tiny_dataset)
    echoes = ref.load().echoes
    mask = read_mask(next(tiny_output.rglob("*_desc-brain_mask.nii.gz")), echoes.grid)
    return echoes, {
        "te_s": echoes.te_s,
        "b0_t": echoes.b0_t,
        "spacing_mm": echoes.grid.spacing_mm,
        "b0_dir": echoes.grid.b0_dir,
        "mask": mask,
    }


def test_qsm_gives_what_the_command_line_gives(arrays, tiny_output):
    from petechia.files.nifti import read_nifti

    echoes, words = arrays
    result = api.qsm(echoes.phase_rad, echoes.magnitude, **words)
    assert result["chi_ppm"].shape == echoes.grid.shape
    assert result["chi_ppm"].dtype == np.float32
    saved = read_nifti(next(tiny_output.rglob("*Tiny_Chimap.nii.gz"))).only
    # the same road, but that a mask of one's own is trusted to its rim
    assert np.corrcoef(result["chi_ppm"].ravel(), saved.ravel())[0, 1] > 0.8
    assert result.record["phase_sign"] == 1
    assert {row["stage"] for row in result.record["methods"]} >= {"unwrapping", "dipole inversion"}
    assert result.record["settings"]["inversion"] == "single_step"
    other = api.qsm(-echoes.phase_rad, echoes.magnitude, inversion="tkd", **words)
    assert other.record["phase_sign"] == -1
    assert np.corrcoef(result["chi_ppm"].ravel(), other["chi_ppm"].ravel())[0, 1] > 0.5


def test_the_reference_is_the_brain_or_a_region_of_ones_own(arrays):
    echoes, words = arrays
    brain = api.qsm(echoes.phase_rad, echoes.magnitude, inversion="tkd", **words)
    assert brain.record["reference"]["Reference"] == "mean over the brain mask"
    region = np.zeros(echoes.grid.shape, bool)
    region[: echoes.grid.shape[0] // 2] = True
    own = api.qsm(
        echoes.phase_rad, echoes.magnitude, inversion="tkd", reference_mask=region, **words
    )
    there = own["chi_ppm"] != 0
    assert abs(own["chi_ppm"][there & region].mean()) < 1e-5
    assert own.record["reference"]["Reference"] == "mean over a given region"
    moved = own.record["reference"]["ReferenceValue"] - brain.record["reference"]["ReferenceValue"]
    away = (brain["chi_ppm"] - own["chi_ppm"])[there]
    np.testing.assert_allclose(away, moved, atol=1e-5)
    with pytest.raises(GridMismatchError, match="reference_mask"):
        api.qsm(echoes.phase_rad, echoes.magnitude, reference_mask=region[1:], **words)
    with pytest.raises(UnfitError, match="no voxel of the mask"):
        api.qsm(
            echoes.phase_rad, echoes.magnitude, inversion="tkd",
            reference_mask=~words["mask"], **words,
        )  # fmt: skip


def test_swi_and_its_projection(arrays):
    echoes, words = arrays
    result = api.swi(echoes.phase_rad, echoes.magnitude, **words)
    inside = words["mask"]
    assert (result["mip"][inside] <= result["swi"][inside] + 1e-3).all()
    assert np.median(np.abs(result["highpass_rad"][inside])) < 0.5


def test_swi_without_phase_is_refused(arrays):
    echoes, words = arrays
    with pytest.raises(InputError, match=r"swi: no phase\. SWI needs"):
        api.swi(None, echoes.magnitude, **words)


def test_r2star_of_a_known_decay(arrays):
    shape = (20, 21, 22)
    te_s = (0.005, 0.010, 0.015, 0.020)
    magnitude = np.stack([np.full(shape, 900 * np.exp(-30 * te), np.float32) for te in te_s])
    result = api.r2star(magnitude, te_s=te_s, spacing_mm=(1, 1, 1), mask=np.ones(shape, bool))
    assert np.allclose(result["r2star"], 30, rtol=1e-3)
    assert np.allclose(result["t2star_s"], 1 / 30, rtol=1e-3)
    assert np.allclose(result["s0"], 900, rtol=1e-2)
    with pytest.raises(UnfitError, match=r"r2star: one echo\. R2\* needs"):
        api.r2star(magnitude[:1], te_s=(0.005,), spacing_mm=(1, 1, 1), mask=np.ones(shape, bool))


def test_detect_refuses_what_cannot_show_microbleeds(arrays):
    echoes, words = arrays
    with pytest.raises(UnfitError, match=r"detect: 2\.4 mm voxels"):
        api.detect(
            echoes.magnitude, echoes.phase_rad, te_s=echoes.te_s, b0_t=3.0,
            affine=echoes.grid.affine, mask=words["mask"],
        )  # fmt: skip


BEAD = {"te_s": 0.020, "b0_t": 3.0, "affine": np.eye(4), "phase_sign": "+1"}


def bead() -> tuple[np.ndarray, np.ndarray]:
    """A bead of iron in 1 mm tissue: magnitude and phase."""
    shape, te = (44, 43, 40), 0.020
    x, y, z = (axis - (n - 1) / 2 for axis, n in zip(np.indices(shape), shape, strict=True))
    r2 = np.maximum(x**2 + y**2 + z**2, 4)
    field = np.where(r2 > 4, 3.0 * (2 * z**2 - x**2 - y**2) / r2**2.5, 0)
    rng = np.random.default_rng(3)
    size = 1000 * (1 - 0.98 * np.exp(-(x**2 + y**2 + z**2) / 5))
    signal = size * np.exp(2j * np.pi * 127.73 * field * te)
    signal = signal + rng.normal(0, 15, shape) + 1j * rng.normal(0, 15, shape)
    return np.abs(signal), np.angle(signal)


@pytest.mark.parametrize("with_phase", [True, False], ids=["phase", "magnitude alone"])
def test_detect_finds_a_dark_spot(with_phase):
    """In the labels, in the table, at its place."""
    size, phase = bead()
    result = api.detect(size, phase if with_phase else None, **BEAD, mask=np.ones(size.shape, bool))
    middle = (np.array(size.shape) - 1) / 2
    far = [
        np.linalg.norm([float(row[key]) for key in ("x_mm", "y_mm", "z_mm")] - middle)
        for row in result.findings
    ]
    assert min(far) < 2
    found = result.findings[int(np.argmin(far))]
    assert result["labels"][tuple(np.round(middle).astype(int))] == int(found["index"])
    assert found["sign"] == ("paramagnetic" if with_phase else "not_assessed")
    assert with_phase or found["class"] == "microbleed"
    record = result.record
    assert record["operating_point"]["name"] == "balanced"
    assert record["counts"]["total"] == sum(int(row["counted"]) for row in result.findings)
    low, high = record["count_interval_95"]
    assert 0 <= low <= high


def test_phase_that_is_noise_is_not_used():
    size, _ = bead()
    mask = np.ones(size.shape, bool)
    noise = np.random.default_rng(1).uniform(-np.pi, np.pi, size.shape)
    with_noise, without = (api.detect(size, p, **BEAD, mask=mask) for p in (noise, None))
    assert with_noise.findings == without.findings
    (check,) = (c for c in with_noise.record["fitness"] if c["check"] == "phase")
    assert check["status"] == "refused"
    assert "it is noise" in check["says"]
    words = {"te_s": 0.020, "b0_t": 3.0, "spacing_mm": (1, 1, 1), "mask": mask}
    with pytest.raises(UnfitError, match="swi: The phase of neighbouring voxels has nothing"):
        api.swi(noise, size, **words)


def test_a_soft_mask_begins_at_one_half_as_masks_in_files_do():
    size, _ = bead()
    soft = ndimage.gaussian_filter(np.pad(np.ones((24, 23, 20)), 10), 2.0)
    result = api.detect(size, None, **BEAD, mask=soft)
    assert np.array_equal(result["mask"], soft > 0.5)


def test_an_empty_table_says_why():
    even = np.full((17, 23, 9), 7.0)
    result = api.detect(even, None, **BEAD, mask=np.ones(even.shape))
    assert result.findings == []
    assert "No spot in the brain mask is darker" in " ".join(result.record["warnings"])
    assert result.record["counts"]["total"] == 0


def test_slices_that_were_lost_are_told_and_hold_nothing():
    size, phase = bead()
    size[:, :, 5:7] = 0
    result = api.detect(size, phase, **BEAD, mask=np.ones(size.shape, bool))
    (lost,) = (c for c in result.record["fitness"] if c["check"] == "lost slices")
    assert lost["status"] == "limited"
    assert "no signal in slices 6, 7 of 40 (axis k)" in lost["says"]
    assert not result["mask"][:, :, 5:7].any()
    assert result["mask"][:, :, :5].all()
    assert not result["labels"][:, :, 5:7].any()


def test_a_mask_of_another_head_is_told():
    size, _ = bead()
    size, mask = (np.pad(v, 14) for v in (size, np.ones(size.shape, bool)))
    fits = api.detect(size, None, **BEAD, mask=mask)
    assert not any(c["check"] == "brain mask" for c in fits.record["fitness"])
    off = api.detect(size, None, **BEAD, mask=np.roll(mask, 10, 0))
    check = next(c for c in off.record["fitness"] if c["check"] == "brain mask")
    assert check["status"] == "limited"
    with pytest.raises(UnfitError, match="% of the given mask lie outside the head"):
        api.detect(size, None, **BEAD, mask=np.roll(mask, 20, 0))


def test_what_a_check_refuses_is_a_warning():
    size, phase = (np.pad(v, 14) for v in bead())
    phase = phase + 0.002 * np.square(np.indices(size.shape)[1] - 35)  # as from outside
    words = {"te_s": 0.020, "b0_t": 3.0, "spacing_mm": (1, 1, 1), "phase_sign": "+1"}
    result = api.qsm(phase, size, **words, mask=np.ones(size.shape), inversion="tkd")
    assert "% of the given mask lie outside the head" in " ".join(result.record["warnings"])
    refused = [c["says"] for c in result.record["fitness"] if c["status"] == "refused"]
    assert set(refused) <= set(result.record["warnings"])


def test_no_phase_is_no_warning_where_none_is_taken():
    size, _ = bead()
    echoes, words = np.stack([size, 0.8 * size]), {"te_s": (0.01, 0.02), "spacing_mm": (1, 1, 1)}
    result = api.r2star(echoes, **words, mask=np.ones(size.shape))
    assert not any("No phase" in text for text in result.record["warnings"])


def test_a_field_in_hz_is_told():
    size, _ = bead()
    echoes, words = np.stack([size, 0.8 * size]), {"te_s": (0.01, 0.02), "spacing_mm": (1, 1, 1)}
    field_ppm = np.linspace(-1, 1, size.size).reshape(size.shape)
    api.r2star(echoes, **words, mask=np.ones(size.shape), field_ppm=field_ppm)
    with pytest.raises(InputError, match=r"field_ppm: 1 % of the mask is more than 126 ppm.*Hz"):
        api.r2star(echoes, **words, mask=np.ones(size.shape), field_ppm=127.7 * field_ppm)


@pytest.mark.parametrize("scale", [1e-3, 1e3], ids=["metres", "micrometres"])
def test_voxels_that_are_no_millimetres_are_told(scale):
    ones, times = np.ones(SIZE), {"te_s": 0.01, "b0_t": 3.0}
    message = f"voxels of {scale:g} x {scale:g} x {scale:g} mm are outside 0.05 to 20 mm. Give mill"
    sizes, affine = (scale,) * 3, np.diag([scale, scale, scale, 1.0])
    for call in (
        partial(api.qsm, ones, ones, **times, spacing_mm=sizes),
        partial(api.qsm, ones, ones, **times, affine=affine),
        partial(api.swi, ones, ones, **times, spacing_mm=sizes),
        partial(api.r2star, [ones, ones], te_s=(0.01, 0.02), spacing_mm=sizes),
        partial(api.detect, ones, **times, affine=affine),
        partial(api.combine_coils, np.zeros(COILS), np.ones(COILS), te_s=(0.01, 0.02), spacing_mm=sizes),
    ):  # fmt: skip
        with pytest.raises(InputError, match=message):
            call()


def test_susceptibility_does_not_depend_on_how_a_scan_is_stored():
    """The penalties of the default inversion are differences to one side."""
    size, phase = bead()
    grid = Grid(size.shape, np.diag([1.0, 1.0, 1.0, 1.0]))

    def chi(order, flips):
        back = np.flip(size.transpose(order), flips), np.flip(phase.transpose(order), flips)
        affine = grid.affine[:, [*order, 3]].copy()
        for axis in flips:
            affine[:3, 3] += (back[0].shape[axis] - 1) * affine[:3, axis]
            affine[:3, axis] *= -1
        turned = Grid(back[0].shape, affine)
        echoes = Echoes(
            magnitude=np.float32(back[0])[None], phase_rad=np.float32(back[1])[None],
            te_s=(0.020,), b0_t=3.0, grid=turned,
        )  # fmt: skip
        scan = Scan(echoes=echoes, name=ScanName((("sub", "01"),)), header=Header(), kind="arrays",
                    sources=())  # fmt: skip
        work = Work(scan=scan, settings=Settings.build(phase_sign="+1"))
        work.given_mask = np.ones(turned.shape, bool)
        walk(work, ["invert"])
        return np.flip(work.chi_ppm, flips).transpose(np.argsort(order))

    one = chi((0, 1, 2), ())
    for order, flips in (((0, 1, 2), (0,)), ((0, 1, 2), (1, 2)), ((2, 0, 1), (0, 2))):
        assert np.abs(chi(order, flips) - one).max() < 1e-3 * np.abs(one).max()


def test_without_an_affine_susceptibility_does_not_depend_on_the_order_of_axes():
    size, phase = bead()
    words = {"te_s": 0.020, "b0_t": 3.0, "phase_sign": "+1"}
    mask, order = np.ones(size.shape, bool), (2, 0, 1)
    one = api.qsm(phase, size, **words, mask=mask, spacing_mm=(1, 1, 1))["chi_ppm"]
    turned = [v.transpose(order) for v in (phase, size, mask)]
    b0_dir = np.array([0.0, 0.0, 1.0])[list(order)]
    other = api.qsm(
        turned[0], turned[1], **words, mask=turned[2], spacing_mm=(1, 1, 1), b0_dir=b0_dir
    )["chi_ppm"]
    assert np.abs(other - one.transpose(order)).max() < 1e-3 * np.abs(one).max()


def test_with_an_affine_susceptibility_does_not_depend_on_its_directions_either():
    """As on the road; without one, left and right cannot be told and the array's order counts."""
    size, phase = bead()
    words = {"te_s": 0.020, "b0_t": 3.0, "phase_sign": "+1", "mask": np.ones(size.shape, bool)}
    affine = np.diag([-1.0, 1.0, 1.0, 1.0])
    one = api.qsm(phase, size, **words, affine=np.eye(4))["chi_ppm"]
    other = api.qsm(phase[::-1], size[::-1], **words, affine=affine)["chi_ppm"][::-1]
    assert np.abs(other - one).max() < 1e-3 * np.abs(one).max()
    bare = api.qsm(phase, size, **words, spacing_mm=(1, 1, 1))["chi_ppm"]
    assert np.abs(bare - one).max() < 1e-3 * np.abs(one).max()


@pytest.mark.parametrize(("handedness", "filtered"), [(-1, False), (1, True)])
def test_calcium_is_never_called_blood_in_either_handedness(handedness, filtered):
    """Spheres of -1 ppm, from raw phase to the table; where there is no smooth field to be
    seen, the phase is taken for filtered, and its sign is read all the same."""
    shape, spacing, te = (80, 78, 66), np.array([1.0, 1.1, 1.2]), 0.020
    rng = np.random.default_rng(11)
    axes = [(np.arange(n) - (n - 1) / 2) * d for n, d in zip(shape, spacing, strict=True)]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    field = np.zeros(shape) if filtered else 2e-4 * (x * y - z * x) + 3e-3 * y
    solid = np.zeros(shape, bool)
    places = [(a, b, c) for a in (-14, 14) for b in (-14, 14) for c in (-14, 14)]
    for n, (a, b, c) in enumerate(places):
        radius = 1.4 + 0.1 * n
        u, v, w = x - a, y - b, z - c
        r = np.sqrt(u**2 + v**2 + w**2)
        away = np.maximum(r, radius)
        field += np.where(r > radius, -(radius**3) / 3 * (3 * w**2 / away**2 - 1) / away**3, 0)
        solid |= r < radius
    brain = np.sqrt(x**2 + y**2 + z**2) < 34
    signal = 1000 * np.where(solid, 0.1, 1.0) * brain * np.exp(2j * np.pi * 127.73 * field * te)
    signal = signal + rng.normal(0, 15, shape) + 1j * rng.normal(0, 15, shape)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -(np.array(shape) - 1) / 2 * spacing
    result = api.detect(
        np.abs(signal), handedness * np.angle(signal), te_s=te, b0_t=3.0, affine=affine,
        mask=brain, phase_sign=f"{handedness:+d}",
    )  # fmt: skip
    checks = {c["check"]: c["status"] for c in result.record["fitness"]}
    assert checks["phase filtering"] == ("refused" if filtered else "ok")
    at = np.array([[float(row[k]) for k in ("x_mm", "y_mm", "z_mm")] for row in result.findings])
    away = np.linalg.norm(at[:, None] - np.array(places)[None], axis=-1)
    assert away.min(axis=0).max() < 1.5
    for n in away.argmin(axis=0):
        row = result.findings[n]
        assert (row["sign"], row["class"], row["counted"]) == ("diamagnetic", "calcification", "0")
        assert (row["moment_ppm_mm3"] == "n/a") == filtered
    assert not any(int(row["counted"]) for row in result.findings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"te_s": None}, r"te_s: None is no number. Give echo times in seconds"),
        ({"te_s": "20ms"}, r"te_s: '20ms' is no number"),
        ({"te_s": (0.01, "x")}, r"te_s: 'x' is no number"),
        ({"b0_t": None}, r"b0_t: None is no number. Give the main field in tesla"),
        ({"affine": "x"}, r"affine: no matrix of numbers"),
        ({"affine": [[1, 2], [3]]}, r"affine: no matrix of numbers"),
        ({"affine": np.eye(3)}, r"affine: shape \(3, 3\)"),
        ({"affine": np.eye(4) + np.eye(4)}, r"affine: its last row is \[0\.0, 0\.0, 0\.0, 2\.0\]"),
        ({"n_threads": 1.5}, r"1\.5 threads"),
        ({"n_threads": "2"}, r"'2' threads"),
    ],
)
def test_words_that_cannot_be_right_are_told(change, message):
    with pytest.raises(InputError, match=message):
        api.detect(np.ones(SIZE), **(BEAD | {"mask": np.ones(SIZE)} | change))


SIZE = (8, 9, 10)
LEANING = np.eye(4) + 0.3 * np.eye(4, k=1) * [0, 1, 0, 0]
GOOD = {"te_s": 0.01, "b0_t": 3.0, "spacing_mm": (1, 1, 1)}
BAD = {
    "NaN": ({"phase_rad": np.full(SIZE, np.nan)}, r"phase_rad: 720 of 720 voxels are not finite"),
    "no signal": ({"magnitude": np.zeros(SIZE)}, r"magnitude: all voxels are 0"),
    "no phase": ({"phase_rad": np.zeros(SIZE)}, r"phase_rad: all voxels are 0"),
    "a phase for a magnitude": ({"magnitude": np.full(SIZE, -1.0)}, r"magnitude goes down to -1"),
    "two axes": ({"magnitude": np.ones((8, 9))}, r"shape \(8, 9\) is neither \(i, j, k\)"),
    "unequal shapes": ({"phase_rad": np.zeros((8, 9, 9))}, r"phase_rad: shape \(1, 8, 9, 9\) does not end"),
    "times too many": ({"te_s": (0.01, 0.02)}, r"2 echo times .* for 1 images"),
    "milliseconds": ({"te_s": 10}, r"echo times \(10\.0,\) s"),
    "gauss": ({"b0_t": 30000}, r"main field of 30000\.0 T"),
    "a mask of another shape": ({"mask": np.ones((3, 3, 3))}, r"mask: shape \(3, 3, 3\)"),
    "no geometry": ({"spacing_mm": None}, r"spacing_mm: no voxel size.*or the affine"),
    "two geometries": ({"affine": np.eye(4)}, r"affine: given together with spacing_mm"),
    "a word for a size": ({"spacing_mm": "a"}, r"spacing_mm = 'a' is not three numbers"),
    "a word for a direction": ({"b0_dir": ("a", 0, 1)}, r"b0_dir = \('a', 0, 1\) is not three"),
    "a leaning affine": ({"spacing_mm": None, "affine": LEANING}, r"Echoes\.grid: sheared: two axes .* 73\.3 degrees"),
    "no voxel": ({"spacing_mm": (1, 0, 1)}, r"spacing|voxel|affine"),
    "no thread": ({"n_threads": 0}, r"0 threads"),
    "a method we lack": ({"inversion": "magic"}, r"no method 'magic'"),
    "a setting we lack": ({"speed": 3}, r"unknown setting speed = 3"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD.keys())
def test_arrays_that_do_not_fit_are_told(change, message):
    words = {"phase_rad": np.ones(SIZE), "magnitude": np.ones(SIZE), **GOOD, **change}
    with pytest.raises(InputError) as caught:
        api.qsm(words.pop("phase_rad"), words.pop("magnitude"), **words)
    assert re.search(message, str(caught.value)), caught.value


@pytest.mark.parametrize("top", [1000.0, 1.0, 40.0])
@pytest.mark.parametrize("call", [api.qsm, api.swi])
def test_a_phase_and_a_magnitude_in_each_others_place_are_told(call, top):
    rng = np.random.default_rng(0)
    size, phase = rng.uniform(0, top, SIZE), rng.uniform(0, 2 * np.pi, SIZE)
    with pytest.raises(InputError, match=r"as a phase does.*Are they in each other's place\?"):
        call(size, phase, **GOOD)
    with pytest.raises(InputError, match=r"is this a phase\? qsm and swi take phase_rad first"):
        call(size, phase - np.pi, **GOOD)
    with pytest.raises(InputError, match="give both by name"):
        api.detect(phase, size, **BEAD)


def test_a_few_voxels_that_interpolation_made_negative_are_0():
    """As `petechia run` and the single steps take them."""
    size, _ = bead()
    size[3, 4, 5] = -1
    words = {"te_s": (0.01, 0.02), "spacing_mm": (1, 1, 1), "mask": np.ones(size.shape)}
    echoes = np.stack([size, 0.8 * size])
    clipped = np.maximum(echoes, 0)
    one, other = (api.r2star(given, **words)["r2star"] for given in (echoes, clipped))
    assert np.array_equal(one, other)
    assert echoes.min() == -1  # the caller's own array
    size.flat[::10] = -1
    with pytest.raises(InputError, match=r"magnitude goes down to -1, with 10 % of its voxels"):
        api.r2star(np.stack([size, size]), **words)


def test_a_negative_voxel_of_a_coil_has_no_signal():
    rng = np.random.default_rng(0)
    shape = (2, 2, 12, 11, 10)
    size, phase = np.ones(shape), rng.uniform(-3, 3, (1, 2, 1, 1, 1)) + np.zeros(shape)
    size[:, 0, 5, 5, 5] = -0.2
    words = {"te_s": (0.005, 0.012), "spacing_mm": (2, 2, 2)}
    one, other = (api.combine_coils(phase, x, **words) for x in (size, np.maximum(size, 0)))
    assert np.array_equal(one["phase_rad"], other["phase_rad"])


def test_a_magnitude_that_ends_near_a_turn_is_one():
    size, phase = bead()
    size *= 2 * np.pi / size.max()
    words = GOOD | {"te_s": 0.020, "mask": np.ones(size.shape)}
    for one in (phase, phase % (2 * np.pi)):
        assert api.swi(one, size, **words)["swi"].any()


def test_every_snippet_on_the_page_works_as_written(monkeypatch):
    page = Path(__file__).parents[1] / "docs" / "how-to" / "python.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 5
    echoes = [bead() for _ in range(3)]
    size, phase = (np.stack([echo[n] for echo in echoes]) for n in (0, 1))
    turn = np.array([0.25, 0.5, 0.75])[:, None, None, None]
    size, phase = size * np.exp(-turn), phase * turn  # of 0.020 s; nothing in it is wrapped
    names = {
        "magnitude": size, "phase_rad": phase, "affine": np.eye(4), "mask": np.ones(size.shape[1:]),
        "coil_magnitude": size[:2, None], "coil_phase_rad": phase[:2, None],
    }  # fmt: skip
    # no template fits a ball: the brain is all of it
    everything = partial(_all_of_it, page_mask=np.ones(size.shape[1:], bool))
    monkeypatch.setattr("petechia.pipeline.stages.brain_mask", everything)
    for block in blocks:
        exec(block, names)
    assert names["r2star"].shape == names["image"].shape == names["labels"].shape == size.shape[1:]


def _all_of_it(*_, page_mask):
    return BrainMask(mask=page_mask, method="all", says=(), registration=None)


def test_coils_are_combined():
    rng = np.random.default_rng(0)
    shape, te_s = (12, 11, 10), (0.005, 0.012)
    field = np.linspace(-20, 30, shape[0])[:, None, None] * np.ones(shape)
    true = np.stack([2 * np.pi * field * t for t in te_s])
    offsets = rng.uniform(-3, 3, 3)
    phase = np.angle(np.exp(1j * (true[:, None] + offsets[None, :, None, None, None])))
    result = api.combine_coils(phase, np.ones(phase.shape), te_s=te_s, spacing_mm=(2, 2, 2))
    away = np.exp(1j * (result["phase_rad"] - true))
    assert np.abs(np.angle(away / away.mean())).max() < 0.05
    assert np.allclose(result["magnitude"], np.sqrt(3), rtol=1e-3)
    assert result.record["bipolar"] is False
    with pytest.raises(InputError, match="phase of shape"):
        api.combine_coils(phase[0], phase[0], te_s=te_s, spacing_mm=(2, 2, 2))


COILS = (2, 3, 8, 9, 10)
BAD_COILS = {
    "whole numbers for a phase": ({"phase_rad": np.full(COILS, 4095, np.int16)}, r"phase of up to 4095 is not in radians"),
    "a complex signal": ({"phase_rad": np.ones(COILS, complex)}, r"phase_rad: complex128 is no real number"),
    "a phase for a magnitude": ({"magnitude": np.full(COILS, -1.0)}, r"magnitude goes down to -1"),
    "NaN in one coil": ({"magnitude": np.where(np.arange(3) == 2, np.nan, 1)[:, None, None, None] * np.ones(COILS)}, r"magnitude: .* are not finite"),
    "swapped": ({"phase_rad": np.ones(COILS), "magnitude": np.linspace(0, 2 * np.pi, np.prod(COILS)).reshape(COILS)}, r"in each other's place"),
    "one time": ({"te_s": 0.005}, r"te_s: 1 echo times .* for 2 images"),
    "words for times": ({"te_s": ("a", "b")}, r"te_s: 'a' is no number"),
    "a mask of another shape": ({"mask": np.ones((3, 3, 3))}, r"mask: shape \(3, 3, 3\)"),
    "a word for a size": ({"spacing_mm": "a"}, r"spacing_mm = 'a' is not three numbers"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "message"), BAD_COILS.values(), ids=BAD_COILS.keys())
def test_coils_that_cannot_be_right_are_told(change, message):
    words = {"phase_rad": np.zeros(COILS), "magnitude": np.ones(COILS), "te_s": (0.005, 0.01)}
    words |= {"spacing_mm": (1, 1, 1)} | change
    with pytest.raises(InputError) as caught:
        api.combine_coils(words.pop("phase_rad"), words.pop("magnitude"), **words)
    assert re.search(message, str(caught.value)), caught.value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mask": "stack"}, r"mask: shape \(2, .*\) is more than one volume"),
        ({"mask": "nan"}, r"mask: .*not finite"),
        ({"phase_rad": "complex"}, r"phase_rad: complex.* is no real number.*numpy.angle"),
        ({"phase_rad": "degrees"}, r"phase_rad: phase of up to .* is not in radians"),
        ({"phase_rad": "ragged"}, r"phase_rad: no array"),
    ],
)
def test_arrays_that_cannot_be_right_are_refused(change, message, arrays):
    echoes, words = arrays
    ones = np.ones(echoes.grid.shape)
    bad = {
        "stack": np.stack([ones, ones]),
        "nan": np.where(ones, np.nan, 0),
        "complex": np.exp(1j * echoes.phase_rad),
        "degrees": np.degrees(echoes.phase_rad),
        "ragged": [ones, ones[1:]],
    }
    given = {"phase_rad": echoes.phase_rad} | {k: bad[v] for k, v in change.items()}
    with pytest.raises(InputError, match=message):
        api.qsm(given.pop("phase_rad"), echoes.magnitude, **(words | given))


def test_both_halves_of_a_mask_in_two_pieces_are_inverted(arrays):
    echoes, words = arrays
    mask = words["mask"].copy()
    middle = int(np.argwhere(mask)[:, 0].mean())
    mask[middle - 1 : middle + 2] = False
    result = api.qsm(
        echoes.phase_rad, echoes.magnitude, **(words | {"mask": mask}), phase_sign="+1"
    )
    for half in (slice(0, middle), slice(middle, None)):
        assert result["chi_ppm"][half][mask[half]].std() > 0.01  # a lost half is flat: 0.0002


def ball_at_7t() -> tuple[np.ndarray, np.ndarray]:
    """One echo of 20 ms with the dipole field of a ball, in air with noise: phase, magnitude."""
    index = np.indices((40, 42, 38)) - np.array([20, 21, 19]).reshape(3, 1, 1, 1)
    r = np.maximum(np.linalg.norm(index, axis=0), 1e-6)
    field = np.where(r > 3, 0.3 / 3 * (3 / r) ** 3 * (3 * (index[2] / r) ** 2 - 1), 0)
    rng = np.random.default_rng(0)
    field = field + 0.005 * index[0]  # as from outside
    signal = np.where(r < 15, 1.0, 0.0) * np.exp(2j * np.pi * 298.04 * field * 0.02)
    signal += 0.01 * (rng.standard_normal(r.shape) + 1j * rng.standard_normal(r.shape))
    return np.angle(signal), np.abs(signal)


def test_an_inversion_on_the_circle_knows_the_turn_of_the_scan():
    phase, magnitude = ball_at_7t()
    words = {"te_s": 0.02, "b0_t": 7.0, "spacing_mm": (1, 1, 1), "phase_sign": "+1"}
    words |= {"mask": magnitude > 0.5, "inversion": "nltv"}

    def chi(**more):
        return api.qsm(phase, magnitude, **words, **more)["chi_ppm"]

    turn = float(radians_per_ppm(7.0, 0.02))
    assert turn == pytest.approx(2 * np.pi * 298.04 * 0.02, rel=1e-3)
    told = chi(method_settings={"nltv": {"radians_per_ppm": turn}})
    np.testing.assert_array_equal(chi(), told)
    other = chi(method_settings={"nltv": {"radians_per_ppm": 16.0}})
    assert not np.array_equal(other, told)


def test_air_in_a_small_view_is_not_brain():
    _, magnitude = ball_at_7t()
    mask = brain_mask(magnitude.astype(np.float32), Grid(magnitude.shape)).mask
    tissue = magnitude > 0.5
    assert 2 * (mask & tissue).sum() / (mask.sum() + tissue.sum()) > 0.95
