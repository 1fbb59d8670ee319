import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.errors import InputError, ParameterError
from petechia.phase.unwrap.romeo import RomeoParams, romeo
from petechia.phase.unwrap.weights import edge_bins, voxel_quality

TURN = 2 * np.pi


def test_smooth_phase_of_several_turns_comes_back(scan):
    out = romeo(scan.phase_rad, scan.magnitude, scan.te_s, scan.mask, scan.grid)
    truth = scan.true_rad[:, scan.mask]
    assert np.ptp(truth[-1]) > 2.5 * TURN
    turns = np.round((out[:, scan.mask] - truth) / TURN)
    assert (turns == turns[:, :1]).all()
    # the turns left open are the same field for all echoes
    assert np.allclose(turns[:, 0] / scan.te_s, turns[0, 0] / scan.te_s[0])


@pytest.mark.parametrize("te_s", [(0.0049, 0.0071, 0.0183, 0.0220), (0.006, 0.011)])
def test_unequal_echo_times_settle_the_common_turns(make_scan, te_s):
    scan = make_scan(te_s)
    out = romeo(scan.phase_rad, scan.magnitude, te_s, scan.mask, scan.grid)
    assert np.abs(out - scan.true_rad)[:, scan.mask].max() < 1.0


def test_one_echo_and_no_magnitude(make_scan):
    scan = make_scan((0.020,))
    out = romeo(scan.phase_rad, None, scan.te_s, scan.mask, scan.grid)
    turns = np.round((out - scan.true_rad)[:, scan.mask] / TURN)
    assert (turns == turns[0, 0]).all()
    assert abs(out[0][scan.mask].mean()) < np.pi + 0.01


def test_a_phase_difference_takes_the_magnitude_of_both_echoes(make_scan):
    scan = make_scan((0.0051, 0.0076))
    difference = np.angle(np.exp(1j * (scan.phase_rad[1] - scan.phase_rad[0])))[None]
    out = romeo(difference, scan.magnitude, (0.0025,), scan.mask, scan.grid)
    truth = (scan.true_rad[1] - scan.true_rad[0])[scan.mask]
    assert np.abs(out[0][scan.mask] - truth).max() < 0.3


def test_parts_of_the_mask_are_unwrapped_each_by_itself(make_scan):
    scan = make_scan((0.006, 0.0077, 0.018))
    scan.mask[:, 14:17] = False
    scan.mask[0, 0, 0] = True  # a voxel by itself
    scan.phase_rad[:, 0, 0, 0] = scan.true_rad[:, 0, 0, 0]
    out = romeo(scan.phase_rad, scan.magnitude, scan.te_s, scan.mask, scan.grid)
    assert np.abs(out - scan.true_rad)[:, scan.mask].max() < 1.0


def test_template_echo_and_single_unwrapping_agree(scan):
    reference = romeo(scan.phase_rad, scan.magnitude, scan.te_s, scan.mask, scan.grid)
    for params in (
        RomeoParams(template=2),
        RomeoParams(individual=True),
        RomeoParams(weights="romeo6"),
    ):
        out = romeo(scan.phase_rad, scan.magnitude, scan.te_s, scan.mask, scan.grid, params)
        turns = np.round((out - reference)[:, scan.mask] / TURN)
        assert (turns == turns[:, :1]).all()


def test_noise_and_a_hole_do_not_spread_errors(make_scan):
    """A void without signal in the middle: its rim is wrong at worst, never what is behind it."""
    scan = make_scan(noise=0.05)
    rng = np.random.default_rng(5)
    hole = np.s_[:, 12:17, 15:20, 11:15]
    scan.phase_rad[hole] = rng.uniform(-np.pi, np.pi, scan.phase_rad[hole].shape)
    scan.magnitude[hole] *= 0.03
    out = romeo(scan.phase_rad, scan.magnitude, scan.te_s, scan.mask, scan.grid)
    sound = scan.mask.copy()
    sound[hole[1:]] = False
    turns = np.round((out[0] - scan.true_rad[0])[sound] / TURN)
    assert (turns == np.median(turns)).all()


def test_later_echoes_follow_all_before_them(make_scan):
    """One noisy echo does not mislead those after it, as it does when they follow it alone."""
    scan = make_scan((0.004, 0.008, 0.012, 0.016))
    rng = np.random.default_rng(2)
    scan.phase_rad[2] = rng.uniform(-np.pi, np.pi, scan.mask.shape)
    scan.magnitude[2] *= 0.01
    wrong = {}
    for follow in ("fit", "neighbour"):
        params = RomeoParams(follow=follow)
        out = romeo(scan.phase_rad, scan.magnitude, scan.te_s, scan.mask, scan.grid, params)
        wrong[follow] = (np.abs(out[3] - scan.true_rad[3]) > np.pi)[scan.mask].mean()
    assert wrong["fit"] == 0
    assert wrong["neighbour"] > 0.1


def test_echoes_before_the_template_follow_it_too(make_scan):
    scan = make_scan((0.004, 0.007, 0.012, 0.021), noise=0.002)
    for follow in ("fit", "neighbour"):
        for template in range(4):
            params = RomeoParams(template=template, follow=follow)
            out = romeo(scan.phase_rad, scan.magnitude, scan.te_s, scan.mask, scan.grid, params)
            assert np.abs(out - scan.true_rad)[:, scan.mask].max() < np.pi, (follow, template)


def test_order_of_axes_does_not_matter(scan):
    """The same scan with its axes turned gives the same unwrapped phase."""
    grid = Grid.from_spacing(scan.grid.shape[::-1], scan.grid.spacing_mm[::-1], (1, 0, 0))
    here = romeo(scan.phase_rad, scan.magnitude, scan.te_s, scan.mask, scan.grid)
    there = romeo(
        scan.phase_rad.transpose(0, 3, 2, 1),
        scan.magnitude.transpose(0, 3, 2, 1),
        scan.te_s,
        scan.mask.T,
        grid,
    )
    assert np.array_equal(here, there.transpose(0, 3, 2, 1))


def _bin(weight: float) -> int:
    return max(1, int((1 - weight) * 255 + 0.5))


def test_each_weight_is_the_published_one():
    """One row of four voxels, worked by hand."""
    phase = np.array([0.0, 0.3, 1.0, 1.1], np.float32).reshape(4, 1, 1)
    other = np.array([0.0, 0.9, 2.0, 2.1], np.float32).reshape(4, 1, 1)
    m = np.array([1.0, 0.8, 0.2, 0.9], np.float32).reshape(4, 1, 1)
    mask = np.ones((4, 1, 1), bool)
    half = 0.5 * np.percentile(m, 95)

    def f(w):
        return 0.1 + 0.9 * w

    coherence = f(1 - 0.7 / np.pi)
    gradient = f(1 - abs(0.7 - 1.1 * 0.5))
    similar = f((0.2 / 0.8) ** 2)
    linear = f((1 - abs(0.0 - 2 * 0.3 + 1.0) / 2) * (1 - abs(0.3 - 2 * 1.0 + 1.1) / 2))
    level = f(0.5 + 0.5 * 0.2 / half) * f(0.5 + 0.5 * min(1, half / 0.8))
    expected = {
        "romeo2": coherence * gradient,
        "romeo3": coherence * gradient * similar,
        "romeo4": coherence * gradient * similar * linear,
        "romeo6": coherence * gradient * similar * linear * level,
    }
    for name, weight in expected.items():
        assert edge_bins(phase, other, 0.5, m, mask, name)[1, 0, 0, 0] == _bin(weight), name
    ends = edge_bins(phase, None, 1.0, m, mask, "romeo4")[0, 0, 0, 0]
    assert ends == _bin(f(1 - 0.3 / np.pi) * f(0.9) * f(0.8**2))
    assert edge_bins(phase, other, 0.5, m, mask)[3, 0, 0, 0] == 0


def test_quality_is_the_mean_weight_of_a_voxels_edges():
    bins = np.zeros((3, 1, 1, 3), np.uint8)
    bins[0, 0, 0, 0], bins[1, 0, 0, 0] = 51, 102
    quality = voxel_quality(bins)[:, 0, 0]
    assert np.allclose(quality, [0.8, 0.7, 0.6])


@pytest.mark.parametrize(
    ("change", "kind", "says"),
    [
        ({"te_s": (0.005, 0.01)}, ParameterError, "2 echo times"),
        ({"te_s": (5.0, 10.0, 15.0)}, ParameterError, "in seconds"),
        ({"mask": np.zeros((31, 36, 27), bool)}, InputError, "0 voxels"),
        ({"mask": np.ones((31, 36, 26), bool)}, InputError, "does not end in"),
        ({"params": RomeoParams(template=3)}, ParameterError, "template echo 3 of 3"),
        ({"magnitude": np.ones((2, 31, 36, 27))}, ParameterError, "2 magnitude images for 3 phase"),
        ({"phase_rad": np.full((3, 31, 36, 27), np.nan)}, InputError, "not finite"),
        ({"phase_rad": np.zeros((31, 36, 27))}, InputError, "not .echo, i, j, k."),
    ],
)
def test_bad_input_is_named(scan, change, kind, says):
    given = {
        "phase_rad": scan.phase_rad,
        "magnitude": scan.magnitude,
        "te_s": scan.te_s,
        "mask": scan.mask,
    }
    with pytest.raises(kind, match=says):
        romeo(**(given | change), grid=scan.grid)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"template": -1}, "template echo -1"),
        ({"weights": "best"}, "no set of weights 'best'"),
        ({"follow": "me"}, "follow = 'me'"),
    ],
)
def test_bad_settings_are_named(given, says):
    with pytest.raises(ParameterError, match=says):
        RomeoParams(**given)


@pytest.mark.data
def test_same_turns_as_niimath_on_a_real_scan(real_data, tmp_path):
    """The reference implementation, on an in-vivo crop of 7 T phase."""
    import shutil
    import subprocess
    import sys
    from pathlib import Path

    import nibabel as nib

    tool = shutil.which("niimath") or shutil.which("niimath", path=str(Path(sys.executable).parent))
    if tool is None:
        pytest.skip("niimath is not installed")
    crop = real_data / "real" / "megre_crop"
    image = nib.load(crop / "Mag.nii.gz")
    magnitude = np.moveaxis(np.asarray(image.dataobj, np.float32), 3, 0)
    phase = np.moveaxis(np.asarray(nib.load(crop / "Phase.nii.gz").dataobj, np.float32) * 855, 3, 0)
    for name, volume in (("p", phase), ("m", magnitude)):
        nib.save(nib.Nifti1Image(np.moveaxis(volume, 0, 3), image.affine), tmp_path / f"{name}.nii")
    subprocess.run(
        [
            tool,
            "p.nii",
            "-romeo",
            "m.nii",
            "-t",
            "4,8,12",
            "-k",
            "nomask",
            "-no-phase-rescale",
            "o.nii",
        ],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    found = next(p for p in (tmp_path / "o.nii", tmp_path / "o.nii.gz") if p.exists())
    reference = np.moveaxis(np.asarray(nib.load(found).dataobj, np.float32), 3, 0)
    grid = Grid(phase.shape[1:], image.affine)
    out = romeo(phase, magnitude, (0.004, 0.008, 0.012), np.ones(grid.shape, bool), grid)
    turns = np.round((out - reference) / TURN)
    assert (turns == turns[:, :1, :1, :1]).mean() > 0.999
