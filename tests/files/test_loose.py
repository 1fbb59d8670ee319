import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.errors import (
    FileError,
    GridMismatchError,
    InputError,
    MetadataError,
    ParameterError,
)
from petechia.files.loose import (
    find_nifti_scans,
    ref_from_files,
    scan_from_files,
    subject_name,
)
from petechia.files.loose_names import parse_stem
from petechia.files.writing import write_nifti

GRID = Grid.from_spacing((5, 7, 3), (1, 1, 2), (0, 0.2, 1))
GRE = {"MagneticFieldStrength": 3, "ScanningSequence": "GR", "Manufacturer": "Siemens"}


def magnitude(seed=0):
    return np.random.default_rng(seed).uniform(10, 1000, GRID.shape).astype(np.float32)


def phase(seed=0):
    out = np.random.default_rng(seed).uniform(-np.pi, np.pi, GRID.shape).astype(np.float32)
    out.flat[:2] = -3.1415, 3.1415
    return out


def put(folder, name, array, grid=GRID, **facts):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.nii.gz"
    write_nifti(path, array, grid)
    if facts:
        (folder / f"{name}.json").write_text(json.dumps(facts))
    return path


def series(folder, number, echoes=(0.01, 0.02), with_phase=True, time="10:00", **facts):
    """Write a magnitude series and, one number later, its phase series, as Siemens has them."""
    for n, te_s in enumerate(echoes, start=1):
        known = {**GRE, "EchoTime": te_s, "AcquisitionTime": time, **facts}
        mag = {**known, "SeriesNumber": number, "ImageType": ["ORIGINAL", "PRIMARY", "M"]}
        put(folder, f"gre_{number}_e{n}", magnitude(number + n), **mag)
        if with_phase:
            pha = {**known, "SeriesNumber": number + 1, "ImageType": ["ORIGINAL", "PRIMARY", "P"]}
            put(folder, f"gre_{number + 1}_e{n}_ph", phase(number + n), **pha)


def paths_of(ref):
    return sorted(Path(p).name.removesuffix(".nii.gz") for p in ref.paths)


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("gre_5_e1", ("gre_5", 1, "magnitude")),
        ("gre_5_e2_ph", ("gre_5", 2, "phase")),
        ("gre_5_e2_real", ("gre_5", 2, "real")),
        ("gre_5_e2_imaginary", ("gre_5", 2, "imaginary")),
        ("gre_5_e02a", ("gre_5_a", 2, "magnitude")),
        ("Mag", ("", None, "magnitude")),
        ("Phase", ("", None, "phase")),
        ("sub-01_echo-3_part-phase_MEGRE", ("sub-01_MEGRE", 3, "phase")),
        ("phantom_emphasis", ("phantom_emphasis", None, "magnitude")),
        ("mag1", ("", 1, "magnitude")),
        ("pha2", ("", 2, "phase")),
        ("Magnitude02", ("", 2, "magnitude")),
        ("gre_phase-3", ("gre", 3, "phase")),
        ("mag_1", ("", 1, "magnitude")),
        ("gre_imag_10", ("gre", 10, "imaginary")),
        ("Echo1_mag", ("", 1, "magnitude")),
        ("gre_ph2_e1", ("gre_ph2", 1, "magnitude")),
        ("gre_mag1_e2_ph", ("gre_mag1", 2, "phase")),
        ("mag_5_gre", ("5_gre", None, "magnitude")),
        ("mag1_ph2", ("mag1_ph2", None, "magnitude")),
        ("ph1l", ("ph1l", None, "magnitude")),
    ],
)
def test_names_as_converters_write_them(stem, expected):
    assert parse_stem(stem) == expected


def test_magnitude_and_the_phase_series_after_it_are_one_scan(tmp_path):
    series(tmp_path, 5)
    (ref,) = find_nifti_scans(tmp_path, subject="sub-7")
    assert ref.name.prefix == "sub-7"
    scan = pickle.loads(pickle.dumps(ref)).load()
    assert scan.echoes.te_s == (0.01, 0.02)
    assert np.array_equal(scan.echoes.magnitude[1], magnitude(7))
    assert np.allclose(scan.echoes.phase_rad[1], phase(7), atol=1e-6)
    assert [s.path for s in scan.sources] == [
        "gre_5_e1.nii.gz",
        "gre_5_e2.nii.gz",
        "gre_6_e1_ph.nii.gz",
        "gre_6_e2_ph.nii.gz",
    ]


def test_repeats_keep_their_own_phase_and_become_runs(tmp_path):
    series(tmp_path, 5, time="10:00")
    series(tmp_path, 12, time="10:20")
    first, second = find_nifti_scans(tmp_path)
    assert (first.name.prefix, second.name.prefix) == ("sub-01_run-1", "sub-01_run-2")
    assert paths_of(second) == ["gre_12_e1", "gre_12_e2", "gre_13_e1_ph", "gre_13_e2_ph"]


def test_the_acquisition_time_beats_the_series_number(tmp_path):
    # phase series written *before* their magnitudes: 4 and 5, then 6 and 7
    for pha, mag, time in ((4, 5, "10:00"), (6, 7, "10:20")):
        facts = {**GRE, "EchoTime": 0.02, "AcquisitionTime": time}
        put(tmp_path, f"s_{mag}", magnitude(), SeriesNumber=mag, ImageType=["M"], **facts)
        put(tmp_path, f"s_{pha}_ph", phase(), SeriesNumber=pha, ImageType=["P"], **facts)
    assert [paths_of(r) for r in find_nifti_scans(tmp_path)] == [
        ["s_4_ph", "s_5"],
        ["s_6_ph", "s_7"],
    ]


def test_series_on_other_grids_do_not_pair(tmp_path):
    series(tmp_path, 5, with_phase=False)
    moved = GRID.affine.copy()
    moved[2, 3] += 5
    put(tmp_path, "gre_6_e1_ph", phase(), Grid(GRID.shape, moved), EchoTime=0.01, **GRE)
    (ref,) = find_nifti_scans(tmp_path)
    assert ref.load().echoes.phase_rad is None


def test_what_is_left_out_is_told_with_the_scan(tmp_path):
    put(tmp_path / "a", "gre_5_e1", magnitude(), EchoTime=0.01, **GRE)
    put(tmp_path / "b", "gre_6_e1_ph", phase(), EchoTime=0.01, **GRE)
    for n in range(7):
        put(tmp_path, f"loc_{n}", magnitude(), SeriesDescription="Localizer", **GRE)
    (ref,) = find_nifti_scans(tmp_path)
    localizers, lost = ref.load().notes
    assert lost == "left aside: b/gre_6_e1_ph.nii.gz: no magnitude on its grid in its folder"
    assert localizers.startswith("left aside: loc_0.nii.gz, loc_1.nii.gz")
    assert localizers.endswith("loc_4.nii.gz and 2 more: a localizer")


def test_real_and_imaginary_alone(tmp_path):
    signal = magnitude() * np.exp(1j * phase())
    for part in ("real", "imag"):
        word = {"real": "real", "imag": "imaginary"}[part]
        put(tmp_path, f"gre_5_{word}", getattr(signal, part), EchoTime=0.02, **GRE)
    (ref,) = find_nifti_scans(tmp_path)
    echoes = ref.load().echoes
    assert np.allclose(echoes.phase_rad[0], phase(), atol=1e-5)


def test_other_sequences_are_left_out_and_told(tmp_path):
    put(tmp_path, "t1_2", magnitude(), EchoTime=0.003, **GRE | {"ScanningSequence": "GR_IR"})
    put(tmp_path, "loc_1", magnitude(), EchoTime=0.005, SeriesDescription="Localizer", **GRE)
    put(tmp_path, "mip_9", magnitude(), EchoTime=0.02, ImageType=["DERIVED", "MNIP"], **GRE)
    put(tmp_path, "vibe_3", magnitude(), EchoTime=0.002, **GRE)
    with pytest.raises(FileError) as caught:
        find_nifti_scans(tmp_path)
    for reason in (
        "t1_2.nii.gz: not a plain gradient echo (GR_IR)",
        "loc_1.nii.gz: a localizer",
        "mip_9.nii.gz: an intensity projection",
        "vibe_3.nii.gz: echo times below 4 ms and no phase",
    ):
        assert reason in str(caught.value)
    series(tmp_path, 5)
    assert len(find_nifti_scans(tmp_path)) == 1


def test_a_weighted_image_is_used_only_alone(tmp_path):
    swi = {"EchoTime": 0.02, "ImageType": ["ORIGINAL", "PRIMARY", "M", "SWI"], **GRE}
    put(tmp_path, "swi_8", magnitude(), SeriesNumber=8, **swi)
    (ref,) = find_nifti_scans(tmp_path)
    assert "weighted by the scanner" in ref.load().notes[0]
    assert ref.load().header.weighted
    series(tmp_path, 5, echoes=(0.02,))
    (ref,) = find_nifti_scans(tmp_path)
    assert paths_of(ref) == ["gre_5_e1", "gre_6_e1_ph"]
    assert not ref.load().header.weighted


def test_a_phase_difference_has_one_image_for_two_magnitudes(tmp_path):
    series(tmp_path, 5, echoes=(0.005, 0.0075), with_phase=False)
    times = {"EchoTime": 0.0075, "EchoTime1": 0.005, "EchoTime2": 0.0075}
    put(tmp_path, "gre_6_e2_ph", phase(), SeriesNumber=6, ImageType=["P"], **GRE | times)
    (ref,) = find_nifti_scans(tmp_path)
    echoes = ref.load().echoes
    assert echoes.te_s == (0.005, 0.0075)
    assert echoes.phase_te_s == (0.0025,)


def test_a_corrupt_echo_is_told_when_its_scan_is_loaded(tmp_path):
    series(tmp_path, 5)
    (tmp_path / "gre_5_e2.nii.gz").write_bytes(b"\x1f\x8b\x08nothing")
    series(tmp_path, 12, time="10:20")
    first, second = find_nifti_scans(tmp_path)
    with pytest.raises(FileError, match=r"gre_5_e2\.nii\.gz: truncated or corrupt"):
        first.load()
    assert second.load().echoes.n_echoes == 2


def test_a_broken_or_missing_sidecar_is_told_when_loaded(tmp_path):
    put(tmp_path, "gre_5", magnitude())
    (ref,) = find_nifti_scans(tmp_path)
    with pytest.raises(MetadataError, match="no echo time"):
        ref.load()
    (tmp_path / "gre_5.json").write_text("{")
    with pytest.raises(FileError, match="not valid JSON"):
        find_nifti_scans(tmp_path)[0].load()


def test_a_folder_without_nifti_says_so(tmp_path):
    with pytest.raises(FileError, match=r"no \.nii or \.nii\.gz files"):
        find_nifti_scans(tmp_path)


@pytest.mark.parametrize("subject", ["", "a b", "../x", "01_ses-1"])
def test_a_subject_must_be_a_label(subject):
    with pytest.raises(ParameterError, match="letters and digits only"):
        subject_name(subject)


# --- files named one by one


@pytest.fixture
def files(tmp_path):
    mags = [put(tmp_path, f"m{n}", magnitude(n)) for n in (1, 2)]
    phases = [put(tmp_path, f"p{n}", phase(n)) for n in (1, 2)]
    return mags, phases


def test_files_per_echo(files):
    mags, phases = files
    scan = scan_from_files(mags, phases, (0.01, 0.02), 3.0, None, "7")
    assert scan.name.prefix == "sub-7"
    assert (scan.echoes.te_s, scan.echoes.b0_t) == ((0.01, 0.02), 3.0)
    assert np.allclose(scan.echoes.phase_rad[1], phase(2), atol=1e-6)
    assert [s.path for s in scan.sources] == [f"{p}{n}.nii.gz" for p in "mp" for n in (1, 2)]
    ref = pickle.loads(pickle.dumps(ref_from_files(mags, phases, (0.01, 0.02), 3.0)))
    assert np.array_equal(ref.load().echoes.phase_rad, scan.echoes.phase_rad)


def test_4d_files_and_late_echoes_first(tmp_path):
    mag = put(tmp_path, "m", np.stack([magnitude(1), magnitude(2)]))
    pha = put(tmp_path, "p", np.stack([phase(1), phase(2)]))
    echoes = scan_from_files([mag], [pha], (0.02, 0.01), 3.0).echoes
    assert echoes.te_s == (0.01, 0.02)
    assert np.array_equal(echoes.magnitude[0], magnitude(2))
    assert np.allclose(echoes.phase_rad[0], phase(2), atol=1e-6)


def test_what_the_command_line_lacks_comes_from_sidecars(tmp_path):
    mag = put(tmp_path, "m", magnitude(), EchoTime=0.02, **GRE)
    scan = scan_from_files([mag])
    assert (scan.echoes.te_s, scan.echoes.b0_t) == ((0.02,), 3.0)
    assert scan.header.manufacturer == "Siemens"
    assert scan_from_files([mag], (), (0.03,), 7.0).echoes.te_s == (0.03,)


def test_a_named_phase_difference(tmp_path):
    mags = [put(tmp_path, f"m{n}", magnitude(n)) for n in (1, 2)]
    pha = put(tmp_path, "p", phase(), ImageType=["P"], EchoTime1=0.005, EchoTime2=0.0075)
    echoes = scan_from_files(mags, [pha], (0.005, 0.0075), 3.0).echoes
    assert echoes.phase_te_s == (0.0025,)


@pytest.mark.parametrize(
    ("mags", "phases", "te_s", "message"),
    [
        (2, 2, (0.01, 0.02, 0.03), r"3 echo times .* for 2 magnitude files.*echo 3 has no magn"),
        (2, 1, (0.01, 0.02), r"for 1 phase files|2 echo times .* for 1 volumes"),
        (2, 0, (10.0, 20.0), "--te: echo times .* are in seconds"),
        (2, 2, (0.01, 0.01), "--te: .* do not increase"),
        (2, 2, (), "no echo time"),
        (0, 0, (0.01,), "--mag: no file given"),
    ],
)
def test_bad_echo_times(files, mags, phases, te_s, message):
    with pytest.raises((InputError, MetadataError), match=message):
        scan_from_files(files[0][:mags], files[1][:phases], te_s, 3.0)


def test_bad_files(files, tmp_path):
    mags, _ = files
    with pytest.raises(ParameterError, match=r"--b0: 300\.0 is outside \[0\.05, 25\]"):
        scan_from_files(mags, (), (0.01, 0.02), 300.0)
    with pytest.raises(MetadataError, match=r"MagneticFieldStrength.*--b0"):
        scan_from_files(mags, (), (0.01, 0.02))
    small = put(tmp_path, "small", np.ones((5, 7, 4)), Grid((5, 7, 4), GRID.affine))
    with pytest.raises(GridMismatchError, match=r"small.*\(5, 7, 4\) differs from \(5, 7, 3\)"):
        scan_from_files([mags[0], small], (), (0.01, 0.02), 3.0)
    elsewhere = GRID.affine.copy()
    elsewhere[1, 3] += 2
    moved = put(tmp_path, "moved", phase(), Grid(GRID.shape, elsewhere))
    with pytest.raises(GridMismatchError, match=r"moved.*affine lies up to 2 mm from"):
        scan_from_files([mags[0]], [moved], (0.01,), 3.0)
    empty = put(tmp_path, "empty", np.zeros(GRID.shape))
    with pytest.raises(InputError, match=r"empty.*all voxels are 0"):
        scan_from_files([empty], (), (0.01,), 3.0)
    with pytest.raises(InputError, match=r"empty.*all voxels are 0"):
        scan_from_files([mags[0]], [empty], (0.01,), 3.0)


@pytest.mark.data
def test_a_real_crop_of_scaled_phase(real_data):
    place = real_data / "real" / "megre_crop"
    scan = scan_from_files(
        [place / "Mag.nii.gz"], [place / "Phase.nii.gz"], (0.004, 0.008, 0.012), 7.0
    )
    assert scan.echoes.magnitude.shape == (3, 51, 51, 41)
    assert np.abs(scan.echoes.phase_rad).max() == pytest.approx(np.pi, rel=1e-3)
    assert "855" in scan.phase_note


# --- several persons, and what their files don't say


def valdo(folder, *persons):
    """Write persons as the challenge's Task 2 lays them, without any sidecar."""
    for n, sub in enumerate(persons):
        own = folder / f"sub-{sub}"
        for seed, image in enumerate(("T1", "T2", "T2S")):
            put(own, f"sub-{sub}_space-T2S_desc-masked_{image}", magnitude(10 * n + seed))
        put(own, f"sub-{sub}_space-T2S_CMB", np.ones(GRID.shape))


def test_persons_are_never_put_together_nor_masks_and_other_images_taken(tmp_path):
    valdo(tmp_path, "101", "203")
    refs = find_nifti_scans(tmp_path, te_s=(0.02,), b0_t=3.0)
    assert [ref.name.prefix for ref in refs] == ["sub-101", "sub-203"]
    for n, ref in enumerate(pickle.loads(pickle.dumps(refs))):
        scan = ref.load()
        assert (scan.echoes.te_s, scan.echoes.b0_t) == ((0.02,), 3.0)
        assert np.array_equal(scan.echoes.magnitude[0], magnitude(10 * n + 2))
        assert scan.notes[:2] == (
            "echo times as given on the command line",
            "field as given on the command line",
        )
        others = "; ".join(scan.notes[2:])
        assert "CMB.nii.gz: a mask by its name (CMB)" in others
        assert "T1.nii.gz: no gradient echo by its name (T1)" in others
        assert ref.name.prefix in others
        assert refs[1 - n].name.prefix not in others
        assert ref.load_magnitude().echoes.b0_t == ref.load_echo(0.02).echoes.b0_t == 3.0
    with pytest.raises(MetadataError, match=r"T2S\.nii\.gz: no echo time.*give --te"):
        find_nifti_scans(tmp_path)[0].load()


def test_sessions_of_a_person_stay_apart_and_a_subject_renames_one_person(tmp_path):
    for ses in ("a", "b"):
        put(tmp_path / "sub-5" / f"ses-{ses}", "gre", magnitude(), EchoTime=0.02, **GRE)
    assert [r.name.prefix for r in find_nifti_scans(tmp_path)] == ["sub-5_ses-a", "sub-5_ses-b"]
    renamed = find_nifti_scans(tmp_path, subject="x")
    assert [r.name.prefix for r in renamed] == ["sub-x_ses-a", "sub-x_ses-b"]
    put(tmp_path / "sub-6", "gre", magnitude(), EchoTime=0.02, **GRE)
    with pytest.raises(ParameterError, match="--subject: 'x' for 2 persons"):
        find_nifti_scans(tmp_path, subject="x")


def test_a_file_of_no_person_or_of_two(tmp_path, caplog):
    valdo(tmp_path, "1", "2")
    put(tmp_path, "gre_9", magnitude())
    put(tmp_path / "sub-3", "sub-3_T1w", magnitude())
    refs = find_nifti_scans(tmp_path, te_s=(0.02,), b0_t=3.0)
    assert [ref.name.prefix for ref in refs] == ["sub-1", "sub-2"]
    assert any("gre_9.nii.gz: of no person" in note for note in refs[0].load().notes)
    assert "sub-3: no gradient echo" in caplog.text
    put(tmp_path / "sub-1", "sub-2_gre", magnitude())
    with pytest.raises(FileError, match=r"sub-2_gre\.nii\.gz: .* tell of sub-1 and sub-2"):
        find_nifti_scans(tmp_path)


def test_an_image_named_t1w_is_a_gradient_echo_when_its_sidecar_says_so(tmp_path):
    put(tmp_path, "sub-1_T1w", magnitude(), EchoTime=0.02, **GRE)
    assert len(find_nifti_scans(tmp_path)) == 1


def test_times_go_to_echoes_in_order_and_only_where_none_are_stated(tmp_path):
    for n in (1, 2, 10):
        put(tmp_path / "sub-1", f"gre_e{n}", magnitude(n))
        put(tmp_path / "sub-1", f"gre_e{n}_ph", phase(n))
    put(tmp_path / "sub-2", "gre", magnitude(), EchoTime=0.02, **GRE)
    first, second = find_nifti_scans(tmp_path, te_s=(0.01, 0.02, 0.03), b0_t=7.0)
    echoes = first.load().echoes
    assert (echoes.te_s, echoes.b0_t) == ((0.01, 0.02, 0.03), 7.0)
    assert np.array_equal(echoes.magnitude[2], magnitude(10))
    assert np.allclose(echoes.phase_rad[2], phase(10), atol=1e-6)
    known = second.load()
    assert (known.echoes.te_s, known.echoes.b0_t, known.notes) == ((0.02,), 3.0, ())
    with pytest.raises((InputError, MetadataError), match="echo time"):
        find_nifti_scans(tmp_path, te_s=(0.01, 0.02), b0_t=7.0)[0].load()


@pytest.mark.parametrize("name", ["{}{}", "{}_{}", "gre_{}-{}", "Echo{1}_{0}", "{}{}_gre"])
def test_numbered_roles_are_echoes_of_one_scan(tmp_path, name):
    for n in (1, 2, 10):
        put(tmp_path, name.format("mag", n), magnitude(n))
    for n in range(3, 10):
        put(tmp_path, name.format("mag", n), magnitude(n))
    for n in range(1, 11):
        put(tmp_path, name.format("phase", n), phase(n))
    times = tuple(0.003 * n for n in range(1, 11))
    (ref,) = find_nifti_scans(tmp_path, te_s=times, b0_t=3.0)
    echoes = ref.load().echoes
    assert echoes.te_s == times
    for n in (1, 2, 10):
        assert np.array_equal(echoes.magnitude[n - 1], magnitude(n))
        assert np.allclose(echoes.phase_rad[n - 1], phase(n), atol=1e-6)


@pytest.mark.parametrize(
    ("numbers", "times"), [((5, 7), ((), ())), ((1, 2), ((0.02,), (0.02,))), ((1, 3), ((), ()))]
)
def test_numbers_that_are_no_echoes_are_of_series(tmp_path, numbers, times):
    for n, te_s in zip(numbers, times, strict=True):
        facts = {"EchoTime": te_s[0], **GRE} if te_s else {}
        put(tmp_path, f"gre_mag_{n}", magnitude(n), **facts)
        put(tmp_path, f"gre_pha_{n}", phase(n))
    given = {} if times[0] else {"te_s": (0.02,), "b0_t": 3.0}
    refs = find_nifti_scans(tmp_path, **given)
    assert [paths_of(ref) for ref in refs] == [[f"gre_mag_{n}", f"gre_pha_{n}"] for n in numbers]
    for n, ref in zip(numbers, refs, strict=True):
        echoes = ref.load().echoes
        assert np.array_equal(echoes.magnitude[0], magnitude(n))
        assert np.allclose(echoes.phase_rad[0], phase(n), atol=1e-6)


def test_a_phase_difference_beside_numbered_magnitudes(tmp_path):
    for n, te_s in ((1, 0.005), (2, 0.0075)):
        put(tmp_path, f"magnitude{n}", magnitude(n), EchoTime=te_s, **GRE)
    put(tmp_path, "phasediff", phase(), EchoTime1=0.005, EchoTime2=0.0075, **GRE)
    (ref,) = find_nifti_scans(tmp_path)
    assert ref.load().echoes.te_s == (0.005, 0.0075)
    assert ref.load().echoes.phase_te_s == (0.0025,)


def test_times_that_no_scan_lacks_and_that_are_none_are_refused(tmp_path):
    put(tmp_path, "gre", magnitude(), EchoTime=0.02, **GRE)
    for words, message in (
        ({"te_s": (0.03,)}, "--te: the JSON beside the files tells it of every scan"),
        ({"b0_t": 3.0}, "--b0: the JSON beside the files tells it of every scan"),
        ({"te_s": (20.0,)}, "--te: echo times .* are in seconds"),
        ({"b0_t": 300.0}, "--b0: .* outside"),
    ):
        with pytest.raises(ParameterError, match=message):
            find_nifti_scans(tmp_path, **words)
