import json
import pickle
import shutil
import time

import nibabel as nib
import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.errors import (
    FileError,
    GridMismatchError,
    InputError,
    MetadataError,
    ParameterError,
    PetechiaError,
)
from petechia.files.bids import find_bids_scans, is_bids
from petechia.files.bids_names import in_bids_order, name_of, parse_name
from petechia.files.writing import write_nifti

GRID = Grid.from_spacing((5, 7, 3), (1, 1, 2), (0, 0.2, 1))
B0 = {"MagneticFieldStrength": 3}


def magnitude(seed=0):
    return np.random.default_rng(seed).uniform(10, 1000, GRID.shape).astype(np.float32)


def phase(seed=0):
    out = np.random.default_rng(seed).uniform(-np.pi, np.pi, GRID.shape).astype(np.float32)
    out.flat[:2] = -3.1415, 3.1415
    return out


def put(root, name, array=None, **facts):
    """Write `sub-01_..._MEGRE` into its folder, with a sidecar when there are facts."""
    named = parse_name(name)
    folder = root / f"sub-{named.entities['sub']}"
    if "ses" in named.entities:
        folder /= f"ses-{named.entities['ses']}"
    folder /= "fmap" if named.suffix.startswith(("phase", "magnitude")) else "anat"
    folder.mkdir(parents=True, exist_ok=True)
    if array is None:
        array = phase() if "part-phase" in name or "phase" in named.suffix else magnitude()
    write_nifti(folder / f"{name}.nii.gz", array, GRID)
    if facts:
        (folder / f"{name}.json").write_text(json.dumps(facts))
    return folder / f"{name}.nii.gz"


def only(root, **options):
    (ref,) = find_bids_scans(root, **options)
    return ref


def prefixes(root, **options):
    return [ref.name.prefix for ref in find_bids_scans(root, **options)]


@pytest.fixture
def megre(tmp_path):
    """Three echoes, magnitude and phase, two sessions; field strength at the root."""
    (tmp_path / "dataset_description.json").write_text("{}")
    (tmp_path / "MEGRE.json").write_text(json.dumps({**B0, "Manufacturer": "Siemens"}))
    for ses in ("pre", "post"):
        for echo, te_s in ((1, 0.01), (2, 0.02), (3, 0.03)):
            stem = f"sub-01_ses-{ses}_acq-y_run-2_echo-{echo}_part"
            put(tmp_path, f"{stem}-mag_MEGRE", magnitude(echo), EchoTime=te_s)
            put(tmp_path, f"{stem}-phase_MEGRE", phase(echo), EchoTime=te_s, Units="rad")
    return tmp_path


def test_echoes_parts_and_inherited_facts_come_together(megre):
    post, pre = find_bids_scans(megre)
    assert pre.name.prefix == "sub-01_ses-pre_acq-y_run-2"
    assert pre.name.folder == "sub-01/ses-pre/anat"
    scan = post.load()
    assert scan.echoes.te_s == (0.01, 0.02, 0.03)
    assert scan.echoes.b0_t == 3.0
    assert scan.header.manufacturer == "Siemens"
    for n in range(3):
        assert np.array_equal(scan.echoes.magnitude[n], magnitude(n + 1))
        assert np.allclose(scan.echoes.phase_rad[n], phase(n + 1), atol=1e-6)
    assert len(scan.sources) == 6
    assert scan.sources[0].path.startswith("sub-01/ses-post/anat/sub-01_ses-post_acq-y")
    assert scan.kind == "BIDS"
    assert "radians" in scan.phase_note


def test_the_nearest_sidecar_wins_at_every_level(megre):
    def state(path, b0_t):
        path.write_text(json.dumps({"MagneticFieldStrength": b0_t}))
        return find_bids_scans(megre, sessions=["pre"])[0].load().echoes.b0_t

    assert state(megre / "sub-01" / "sub-01_MEGRE.json", 1.5) == 1.5
    assert state(megre / "sub-01" / "ses-pre" / "sub-01_ses-pre_MEGRE.json", 7) == 7
    anat = megre / "sub-01" / "ses-pre" / "anat"
    assert state(anat / "sub-01_ses-pre_MEGRE.json", 9.4) == 9.4
    assert state(anat / "sub-01_ses-pre_acq-y_run-2_MEGRE.json", 3.1) == 3.1
    assert find_bids_scans(megre, sessions=["post"])[0].load().echoes.b0_t == 1.5
    assert state(megre / "T2starw.json", 0.5) == 3.1  # another suffix


def test_references_cross_processes(megre):
    ref = pickle.loads(pickle.dumps(find_bids_scans(megre)[0]))
    assert ref.load().echoes.n_echoes == 3


@pytest.mark.parametrize("label", ["01", "sub-01"])
@pytest.mark.parametrize("session", ["pre", "ses-pre"])
def test_labels_with_and_without_their_key(megre, label, session):
    put(megre, "sub-02_echo-1_MEGRE", EchoTime=0.01)
    assert prefixes(megre, participants=[label], sessions=[session]) == [
        "sub-01_ses-pre_acq-y_run-2"
    ]
    assert len(prefixes(megre)) == 3


def test_labels_that_are_not_there_list_those_that_are(megre):
    with pytest.raises(ParameterError, match=r"no sub-7\. There is: 01"):
        find_bids_scans(megre, participants=["7"])
    with pytest.raises(ParameterError, match=r"no ses-x\. There is: post, pre"):
        find_bids_scans(megre, sessions=["x"])
    put(megre, "sub-02_T2starw", EchoTime=0.01)
    with pytest.raises(ParameterError, match=r"no ses-pre\. There is: none"):
        find_bids_scans(megre, participants=["02"], sessions=["pre"])


@pytest.mark.parametrize("suffix", ["MEGRE", "T2starw", "GRE", "T2star", "swi"])
def test_every_suffix_and_a_file_without_part_is_magnitude(tmp_path, suffix):
    put(tmp_path, f"sub-01_acq-swi_{suffix}", EchoTime=0.02, **B0)
    scan = only(tmp_path).load()
    assert scan.name.prefix == "sub-01_acq-swi"
    assert scan.echoes.te_s == (0.02,)
    assert scan.echoes.phase_rad is None
    assert scan.phase_note == "none"
    assert bool(scan.notes) == (suffix == "swi")


def test_real_and_imaginary_parts_become_magnitude_and_phase(tmp_path):
    signal = magnitude() * np.exp(1j * phase())
    for part, array in (("real", signal.real), ("imag", signal.imag)):
        put(tmp_path, f"sub-01_part-{part}_T2starw", array, EchoTime=0.02, **B0)
    echoes = only(tmp_path).load().echoes
    assert np.allclose(echoes.magnitude[0], magnitude(), rtol=1e-5)
    assert np.allclose(echoes.phase_rad[0], phase(), atol=1e-5)
    assert not echoes.phase_is_difference


def test_one_4d_file_with_a_list_of_echo_times(tmp_path):
    stack = np.stack([magnitude(1), magnitude(2)])
    put(tmp_path, "sub-01_part-mag_MEGRE", stack, EchoTime=[0.01, 0.02], **B0)
    put(tmp_path, "sub-01_part-phase_MEGRE", np.stack([phase(1), phase(2)]), Units="rad")
    echoes = only(tmp_path).load().echoes
    assert echoes.te_s == (0.01, 0.02)
    assert np.array_equal(echoes.magnitude, stack)
    assert echoes.phase_rad.shape == stack.shape


def test_the_sidecar_wins_over_the_name(tmp_path):
    put(tmp_path, "sub-01_echo-1_MEGRE", magnitude(1), EchoTime=0.02, **B0)
    put(tmp_path, "sub-01_echo-2_MEGRE", magnitude(2), EchoTime=0.01, **B0)
    echoes = only(tmp_path).load().echoes
    assert echoes.te_s == (0.01, 0.02)
    assert np.array_equal(echoes.magnitude[0], magnitude(2))


def test_a_role_in_the_own_sidecar_wins_and_is_noted(tmp_path):
    swapped = {"EchoTime": 0.02, **B0}
    put(tmp_path, "sub-01_part-mag_T2starw", phase(), ImageType=["P"], **swapped)
    put(tmp_path, "sub-01_part-phase_T2starw", magnitude(), ImageType=["M"], **swapped)
    scan = only(tmp_path).load()
    assert np.array_equal(scan.echoes.magnitude[0], magnitude())
    assert any("is phase by its sidecar, not magnitude as named" in note for note in scan.notes)


def test_an_inherited_image_type_names_no_one(tmp_path):
    (tmp_path / "T2starw.json").write_text(json.dumps({**B0, "ImageType": ["M"]}))
    put(tmp_path, "sub-01_part-mag_T2starw", EchoTime=0.02)
    put(tmp_path, "sub-01_part-phase_T2starw", EchoTime=0.02, Units="rad", ImageType=["P"])
    assert only(tmp_path).load().echoes.phase_rad is not None


def test_a_weighted_image_beside_its_source_is_left_out_and_noted(tmp_path):
    facts = {"EchoTime": 0.02, **B0}
    put(tmp_path, "sub-01_part-mag_GRE", **facts)
    put(tmp_path, "sub-01_part-phase_GRE", Units="rad", **facts)
    put(tmp_path, "sub-01_swi", **facts)
    scan = only(tmp_path).load()
    assert scan.echoes.phase_rad is not None
    assert "sub-01_swi.nii.gz was weighted" in scan.notes[0]


def test_two_suffixes_do_not_overwrite_each_other(tmp_path):
    put(tmp_path, "sub-01_acq-y_echo-1_MEGRE", EchoTime=0.02, **B0)
    put(tmp_path, "sub-01_acq-y_T2starw", EchoTime=0.02, **B0)
    assert prefixes(tmp_path) == ["sub-01_acq-y", "sub-01_acq-yT2starw"]
    assert "acq-yT2starw tells" in find_bids_scans(tmp_path)[1].load().notes[0]


def test_a_t1w_is_taken_only_as_a_gradient_echo_with_phase(tmp_path):
    facts = {"EchoTime": 0.0081, **B0}
    for sub, kind in (("01", "GR"), ("02", "MPRAGE")):
        for part in ("mag", "phase"):
            put(tmp_path, f"sub-{sub}_part-{part}_T1w", PulseSequenceType=kind, **facts)
    put(tmp_path, "sub-03_T1w", PulseSequenceType="GR", **facts)
    assert prefixes(tmp_path) == ["sub-01"]


def test_derivatives_and_derived_names_are_ignored(megre):
    derived = megre / "derivatives" / "other"
    put(derived, "sub-09_T2starw", EchoTime=0.02, **B0)
    put(megre, "sub-01_desc-denoised_T2starw", EchoTime=0.02, **B0)
    (megre / "sub-01" / "ses-pre" / "anat" / "notes.nii.gz").write_text("not BIDS")
    assert len(prefixes(megre)) == 2


def test_a_phase_difference_comes_with_its_delta_te(tmp_path):
    put(tmp_path, "sub-01_magnitude1", EchoTime=0.005, **B0)
    put(tmp_path, "sub-01_magnitude2", EchoTime=0.0075, **B0)
    put(tmp_path, "sub-01_phasediff", EchoTime1=0.005, EchoTime2=0.0075, Units="rad")
    scan = only(tmp_path).load()
    assert scan.echoes.te_s == (0.005, 0.0075)
    assert scan.echoes.phase_te_s == (0.0025,)
    assert scan.echoes.phase_is_difference
    assert scan.phase_note.startswith("difference of two echoes")
    put(tmp_path, "sub-02_T2starw", EchoTime=0.02, **B0)
    assert prefixes(tmp_path) == ["sub-02"]  # field maps only where there is nothing else


def test_siemens_numbers_become_radians(tmp_path):
    stored = np.random.default_rng(0).integers(0, 4096, GRID.shape)
    stored.flat[:2] = 0, 4095
    facts = {"EchoTime": 0.02, "Manufacturer": "Siemens", **B0}
    put(tmp_path, "sub-01_part-mag_T2starw", **facts)
    put(tmp_path, "sub-01_part-phase_T2starw", stored, Units="arbitrary", **facts)
    got = only(tmp_path).load().echoes.phase_rad[0]
    assert np.allclose(got, (stored - 2048) * np.pi / 2048, atol=1e-5)


def test_the_users_phase_scale_reaches_the_phase(tmp_path):
    put(tmp_path, "sub-01_part-mag_T2starw", EchoTime=0.02, **B0)
    put(tmp_path, "sub-01_part-phase_T2starw", phase() / 855, EchoTime=0.02)
    got = only(tmp_path, phase_scale=855.0).load()
    assert np.allclose(got.echoes.phase_rad[0], phase(), atol=1e-5)


# --- bad input: said by load, not by the listing


def test_an_echo_without_its_phase_is_named(megre):
    lost = "sub-01_ses-pre_acq-y_run-2_echo-2_part-phase_MEGRE.nii.gz"
    (megre / "sub-01" / "ses-pre" / "anat" / lost).unlink()
    ref = only(megre, sessions=["pre"])
    message = r"echo-2_part-mag.*echo 2 of 3 \(echo time 0\.02 s\) has magnitude but no phase"
    with pytest.raises(InputError, match=message):
        ref.load()


def test_a_phase_without_its_magnitude_is_named(megre):
    lost = "sub-01_ses-pre_acq-y_run-2_echo-3_part-mag_MEGRE.nii.gz"
    (megre / "sub-01" / "ses-pre" / "anat" / lost).unlink()
    with pytest.raises(InputError, match=r"echo time 0\.03 s\) has phase but no magnitude"):
        only(megre, sessions=["pre"]).load()


def test_a_missing_echo_time_or_field_is_named_with_its_mend(tmp_path):
    path = put(tmp_path, "sub-01_T2starw", **B0)
    with pytest.raises(MetadataError, match=r"sub-01_T2starw.*no echo time.*\"EchoTime\": 0\.02"):
        only(tmp_path).load()
    path.with_suffix("").with_suffix(".json").write_text('{"EchoTime": 0.02}')
    with pytest.raises(MetadataError, match="no MagneticFieldStrength"):
        only(tmp_path).load()


def test_echo_times_must_fit_the_volumes(tmp_path):
    stack = np.stack([magnitude()] * 3)
    put(tmp_path, "sub-01_MEGRE", stack, EchoTime=[0.01, 0.02], **B0)
    with pytest.raises(InputError, match=r"2 echo times \(0\.01, 0\.02\) for 3 volumes"):
        only(tmp_path).load()


def test_two_echoes_of_one_time_are_named(tmp_path):
    for echo in (1, 2):
        put(tmp_path, f"sub-01_echo-{echo}_MEGRE", EchoTime=0.02, **B0)
    with pytest.raises(InputError, match=r"echo time 0\.02 s occurs twice"):
        only(tmp_path).load()


def test_unequal_shapes_are_named(tmp_path):
    put(tmp_path, "sub-01_echo-1_MEGRE", EchoTime=0.01, **B0)
    path = put(tmp_path, "sub-01_echo-2_MEGRE", EchoTime=0.02, **B0)
    write_nifti(path, np.ones((5, 7, 4)), Grid((5, 7, 4), GRID.affine))
    message = r"echo-2_MEGRE.*shape \(5, 7, 4\) differs from \(5, 7, 3\)"
    with pytest.raises(GridMismatchError, match=message):
        only(tmp_path).load()


def test_an_empty_or_negative_magnitude_is_named(tmp_path):
    put(tmp_path, "sub-01_T2starw", np.zeros(GRID.shape), EchoTime=0.02, **B0)
    with pytest.raises(InputError, match=r"sub-01_T2starw.*all voxels are 0"):
        only(tmp_path).load()
    put(tmp_path, "sub-01_T2starw", phase(), EchoTime=0.02, **B0)
    with pytest.raises(InputError, match="magnitude is below 0"):
        only(tmp_path).load()


def test_overflowed_voxels_are_named_and_ringing_is_not(tmp_path):
    bad = magnitude()
    bad[1, 2, 1] = -0.1 * bad.max()
    put(tmp_path, "sub-01_MEGRE", bad, EchoTime=0.01, **B0)
    assert only(tmp_path).load().echoes.magnitude.min() == 0
    bad[1, 2, 1] = -bad.max()
    put(tmp_path, "sub-01_MEGRE", bad, EchoTime=0.01, **B0)
    with pytest.raises(InputError, match=r"runs from -9\d\d.* to 9\d\d.* overflowed .* wider type"):
        only(tmp_path).load()


def test_alternating_phase_of_slices_is_undone(tmp_path):
    grid = Grid.from_spacing((5, 7, 6), (1, 1, 2))
    smooth = (np.arange(5)[:, None, None] * 1.3 + np.zeros(grid.shape)).astype(np.float32)
    smooth = np.angle(np.exp(1j * smooth)).astype(np.float32)
    chopped = np.angle(np.exp(1j * (smooth + np.pi * np.arange(6)))).astype(np.float32)
    for name, image in (("mag", np.ones(grid.shape)), ("phase", chopped)):
        path = put(tmp_path, f"sub-01_part-{name}_MEGRE", EchoTime=0.01, Units="rad", **B0)
        write_nifti(path, image.astype(np.float32), grid)
    scan = only(tmp_path).load()
    assert "alternating between slices undone" in scan.phase_note
    off = np.exp(1j * (scan.echoes.phase_rad[0] - smooth))
    assert np.allclose(off, 1, atol=1e-5)


@pytest.mark.parametrize(("mag", "said"), [("Mag", "Mag"), ("magnitude", "magnitude")])
def test_parts_spelt_otherwise_are_read_and_noted(tmp_path, mag, said):
    put(tmp_path, f"sub-01_part-{mag}_MEGRE", EchoTime=0.01, **B0)
    put(tmp_path, "sub-01_part-phase_MEGRE", EchoTime=0.01, Units="rad", **B0)
    scan = only(tmp_path).load()
    assert scan.echoes.phase_rad is not None
    assert scan.notes == (f"part-{said} was read as part-mag",)


def test_an_unknown_part_is_named(tmp_path):
    put(tmp_path, "sub-01_part-odd_MEGRE", EchoTime=0.01, **B0)
    with pytest.raises(FileError, match="MEGRE of unknown part-odd"):
        find_bids_scans(tmp_path)


def test_only_phase_is_no_scan(tmp_path):
    put(tmp_path, "sub-01_part-phase_T2starw", EchoTime=0.02, **B0)
    with pytest.raises(InputError, match="sub-01: only phase images"):
        only(tmp_path).load()


def test_a_broken_image_fails_when_loaded_not_when_listed(tmp_path):
    put(tmp_path, "sub-01_T2starw", EchoTime=0.02, **B0).write_bytes(b"")
    put(tmp_path, "sub-02_T2starw", EchoTime=0.02, **B0)
    first, second = find_bids_scans(tmp_path)
    with pytest.raises(FileError, match="is empty"):
        first.load()
    assert second.load().echoes.n_echoes == 1


def test_a_dataset_without_gradient_echoes_says_what_it_has(tmp_path):
    put(tmp_path, "sub-01_T1w")
    put(tmp_path, "sub-01_FLAIR")
    with pytest.raises(FileError, match=r"no gradient-echo images.*found: FLAIR, T1w"):
        find_bids_scans(tmp_path)


# --- names


def test_prefix_keeps_every_entity_but_echo_and_part():
    named = parse_name("sub-1_run-2_acq-y_part-mag_echo-3_foo-bar_ses-a_MEGRE.nii.gz")
    assert name_of(named.entities).prefix == "sub-1_ses-a_acq-y_run-2_foo-bar"
    assert [key for key, _ in in_bids_order(named.entities)][-2:] == ["part", "foo"]
    assert parse_name("scan_5_e1.nii.gz") is None


def test_what_is_a_dataset(tmp_path):
    assert not is_bids(tmp_path)
    (tmp_path / "sub-01" / "anat").mkdir(parents=True)
    assert not is_bids(tmp_path)
    put(tmp_path, "sub-01_T2starw")
    assert is_bids(tmp_path)


def test_many_subjects_are_listed_quickly(tmp_path):
    (tmp_path / "MEGRE.json").touch()
    for n in range(300):
        folder = tmp_path / f"sub-{n:03d}" / "anat"
        folder.mkdir(parents=True)
        for echo in (1, 2, 3):
            (folder / f"sub-{n:03d}_echo-{echo}_MEGRE.nii.gz").touch()
            (folder / f"sub-{n:03d}_echo-{echo}_MEGRE.json").touch()
    start = time.process_time()
    assert len(find_bids_scans(tmp_path)) == 300
    assert time.process_time() - start < 0.9  # 10,000 in 30 s, on any machine


@pytest.mark.data
@pytest.mark.parametrize(
    ("dataset", "expected", "te_s"),
    [
        ("qmri_megre", ["sub-01"], tuple(round(0.02 * n, 2) for n in range(1, 9))),
        ("qmri_qsm", ["sub-01"], (0.0081,)),
        (
            "ds004332",
            [
                f"sub-{sub}_task-{task}_acq-t2starPMC{pmc}_rec-w{rec}"
                for sub, task, pmc, rec in [
                    ("01", "nodding", "off", "re"),
                    ("01", "nodding", "on", "re"),
                    ("01", "still", "off", "ore"),
                    ("01", "still", "on", "ore"),
                    ("02", "nodding", "off", "re"),
                    ("02", "nodding", "on", "re"),
                    ("02", "still", "off", "ore"),
                    ("02", "still", "on", "ore"),
                ]
            ],
            None,
        ),
    ],
)
def test_real_sidecars(real_data, tmp_path, dataset, expected, te_s):
    root = tmp_path / dataset
    shutil.copytree(real_data / "bids_sidecars" / dataset, root)
    for sidecar in root.glob("sub-*/anat/*.json"):
        array = phase() if "part-phase" in sidecar.name else magnitude()
        write_nifti(sidecar.with_suffix(".nii.gz"), array, GRID)
    refs = find_bids_scans(root)
    assert [ref.name.prefix for ref in refs] == expected
    scan = refs[0].load()
    assert scan.echoes.b0_t == 3.0
    if te_s:
        assert scan.echoes.te_s == te_s
    assert (scan.echoes.phase_rad is not None) == (dataset == "qmri_qsm")


def test_options_are_named_only_where_they_are_taken(tmp_path):
    put(tmp_path, "sub-01_T2starw", **B0)
    with pytest.raises(MetadataError, match=r"no echo time.*into the JSON beside it\.$"):
        only(tmp_path).load()
    put(tmp_path, "sub-01_T2starw", EchoTime=0.02)
    with pytest.raises(
        MetadataError, match=r"no Magnetic.*or one above \(--b0 is not taken for BIDS\)\.$"
    ):
        only(tmp_path).load()
    put(tmp_path, "sub-01_T2starw", EchoTime=[0.02, 0.03], **B0)
    with pytest.raises(InputError, match=r"2 echo times .* as a list in EchoTime\.$"):
        only(tmp_path).load()


def test_a_file_in_the_folder_of_another_is_named(tmp_path):
    path = put(tmp_path, "sub-02_T2starw", EchoTime=0.02, **B0)
    shutil.copytree(tmp_path / "sub-02", tmp_path / "sub-01")
    shutil.rmtree(tmp_path / "sub-02")
    named = rf"sub-01/anat/{path.name}: called sub-02 but lies in sub-01\. Whose is it\?"
    for read in (only(tmp_path).load, only(tmp_path).check, only(tmp_path).load_magnitude):
        with pytest.raises(InputError, match=named):
            read()


def test_a_session_of_another_folder_is_named_and_one_left_out_of_the_name_is_not(tmp_path):
    path = put(tmp_path, "sub-01_ses-2_T2starw", EchoTime=0.02, **B0)
    folder = tmp_path / "sub-01" / "ses-1" / "anat"
    shutil.move(path.parent, folder)
    with pytest.raises(InputError, match="called ses-2 but lies in ses-1"):
        only(tmp_path).load()
    for ending in (".nii.gz", ".json"):
        (folder / f"sub-01_ses-2_T2starw{ending}").rename(folder / f"sub-01_T2starw{ending}")
    assert only(tmp_path).load().name.prefix == "sub-01"


def test_a_field_of_view_that_no_scanner_has_is_refused(tmp_path):
    path = put(tmp_path, "sub-01_T2starw", EchoTime=0.02, **B0)
    write_nifti(path, magnitude(), Grid.from_spacing(GRID.shape, (10, 10, 20)))
    only(tmp_path).load()
    wide = Grid.from_spacing((26, 7, 3), (24, 24, 24))
    write_nifti(path, np.ones(wide.shape, np.float32), wide)
    with pytest.raises(MetadataError, match=r"field of view of 624 x 168 x 72 mm, with voxels of"):
        only(tmp_path).load()


def test_complex_images_are_magnitude_and_phase(tmp_path):
    signal = np.stack([magnitude(n) * np.exp(1j * phase(n)) for n in (1, 2)]).astype(np.complex64)
    for n, te_s in enumerate((0.01, 0.02)):
        path = put(tmp_path, f"sub-01_echo-{n + 1}_MEGRE", EchoTime=te_s, **B0)
        nib.save(nib.Nifti1Image(signal[n], GRID.affine), path)
    only(tmp_path).check()
    scan = only(tmp_path).load()
    assert np.allclose(scan.echoes.magnitude, np.abs(signal), rtol=1e-5)
    assert np.allclose(np.exp(1j * scan.echoes.phase_rad), signal / np.abs(signal), atol=1e-5)
    assert scan.notes == ("complex images: magnitude and phase are taken from them",)
    assert [source.role for source in scan.sources] == ["magnitude", "magnitude"]
    assert np.allclose(only(tmp_path).load_echo(0.02).echoes.magnitude[0], np.abs(signal[1]))
    nib.save(nib.Nifti1Image(signal.transpose(1, 2, 3, 0), GRID.affine), path)
    path.with_suffix("").with_suffix(".json").write_text(
        json.dumps({"EchoTime": [0.01, 0.02], **B0})
    )
    path.with_name("sub-01_echo-1_MEGRE.nii.gz").unlink()
    assert np.array_equal(only(tmp_path).load().echoes.phase_rad, scan.echoes.phase_rad)


def test_a_complex_image_that_is_called_a_part_is_refused(tmp_path):
    put(tmp_path, "sub-01_part-mag_T2starw", EchoTime=0.02, **B0)
    path = put(tmp_path, "sub-01_part-phase_T2starw", EchoTime=0.02, **B0)
    nib.save(nib.Nifti1Image(magnitude().astype(np.complex64), GRID.affine), path)
    with pytest.raises(InputError, match=r"part-phase.*complex64, which hold magnitude and phase"):
        only(tmp_path).load()


def pair(root, mag, pha):
    put(root, "sub-01_part-mag_T2starw", mag, EchoTime=0.02, **B0)
    path = put(root, "sub-01_part-phase_T2starw", EchoTime=0.02, Units="rad", **B0)
    nib.save(nib.Nifti1Image(pha.astype(np.float32), GRID.affine), path)  # NaN is never written


def test_nan_outside_the_head_is_taken_as_0(tmp_path):
    outside = np.ones(GRID.shape, bool)
    outside[1:4, 1:6] = False
    pair(tmp_path, magnitude(), np.where(outside, np.nan, phase()))
    scan = only(tmp_path).load()
    assert not scan.echoes.phase_rad[0][outside].any()
    assert np.allclose(scan.echoes.phase_rad[0][~outside], phase()[~outside], atol=1e-6)
    (note,) = scan.notes
    assert note == (
        "1 of 2 images hold NaN outside the head, in up to 57 % of their voxels: taken as 0"
    )


@pytest.mark.parametrize(
    ("where", "value", "told"),
    [
        (np.s_[2, 3, 1], np.nan, r"1 of 105 voxels are not finite, the first at \(2, 3, 1\)"),
        (np.s_[:2], np.nan, "42 of 105"),  # slices
        (np.s_[:, :, :], np.nan, "105 of 105"),
        (np.s_[0], np.inf, "21 of 105"),
    ],
)
def test_nan_inside_the_head_or_of_slices_and_infinity_stay_errors(tmp_path, where, value, told):
    bad = phase()
    bad[0, 0, 0] = np.nan  # an outer one beside it excuses nothing
    bad[where] = value
    pair(tmp_path, magnitude(), bad)
    with pytest.raises(InputError, match=rf"part-phase.* {told}"):
        only(tmp_path).load()


def break_field(folder):
    (folder / "sub-01_part-mag_T2starw.json").write_text('{"EchoTime": 0.02, "Magnetic')


def break_volume(folder):
    (folder / "sub-01_part-phase_T2starw.nii.gz").write_bytes(b"")


def drop_times(folder):
    for path in folder.glob("*.json"):
        path.write_text(json.dumps(B0))


def other_grid(folder):
    path = folder / "sub-01_part-phase_T2starw.nii.gz"
    write_nifti(path, phase()[:4], Grid.from_spacing((4, 7, 3), (1, 1, 2)))


@pytest.mark.parametrize("spoil", [break_field, break_volume, drop_times, other_grid])
def test_a_check_tells_what_loading_would_tell(tmp_path, spoil):
    pair(tmp_path, magnitude(), phase())
    only(tmp_path).check()
    spoil(tmp_path / "sub-01" / "anat")
    with pytest.raises(PetechiaError) as told:
        only(tmp_path).check()
    with pytest.raises(type(told.value)) as loaded:
        only(tmp_path).load()
    assert str(told.value) == str(loaded.value)


def test_a_check_reads_no_voxel(tmp_path):
    pair(tmp_path, magnitude(), np.full(GRID.shape, np.nan))
    only(tmp_path).check()
    put(tmp_path, "sub-01_echo-2_part-mag_T2starw", EchoTime=0.03)
    with pytest.raises(InputError, match=r"echo time 0\.03 s\) has magnitude but no phase"):
        only(tmp_path).check()
