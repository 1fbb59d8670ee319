"""One scan down the whole road: files by the contract, and every way phase can be given."""

import json
import os
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from petechia.core.units import hz_per_ppm
from petechia.errors import ParameterError
from petechia.files.find import find_scans
from petechia.files.nifti import read_mask, read_nifti
from petechia.pipeline.fitness.images import check_decay
from petechia.pipeline.referenced import reference_note
from petechia.pipeline.settings import Settings
from petechia.pipeline.stages import STAGES, closure, walk
from petechia.pipeline.work import Work

pytestmark = pytest.mark.xdist_group("road")
PREFIX = "sub-01_acq-3tTiny"


def result(out: Path, name: str) -> Path:
    return out / "sub-01" / "anat" / f"{PREFIX}_{name}"


def volume(out: Path, name: str) -> np.ndarray:
    return read_nifti(result(out, f"{name}.nii.gz")).only


def summary_of(out: Path) -> dict:
    return json.loads(result(out, "desc-petechia_summary.json").read_text(encoding="utf-8"))


def alike(one, other) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def test_tests_that_share_a_run_stay_together(request):
    """Else every worker makes the shared scans anew, and nobody notices but the clock."""
    if os.environ.get("PYTEST_XDIST_WORKER") and request.config.getvalue("loadgroup"):
        assert request.node.nodeid.endswith("@road")


def test_the_output_keeps_the_contract(tiny_output, departures):
    assert departures(tiny_output) == []


def test_raw_data_and_output_are_valid_bids(tiny_dataset, tiny_output, bids_errors):
    assert bids_errors(tiny_dataset) == []
    assert bids_errors(tiny_output) == []


def test_every_promised_file_is_there_on_the_grid_of_the_input(tiny_dataset, tiny_output):
    source = nib.load(next(tiny_dataset.rglob("*echo-1_part-mag*.nii.gz")))
    names = [
        "desc-brain_mask", "Chimap", "desc-noise_Chimap", "R2starmap", "T2starmap", "S0map",
        "desc-local_fieldmap", "swi", "minIP", "desc-regions_dseg", "desc-findings_dseg",
        "desc-microbleeds_mask",
    ]  # fmt: skip
    for name in names:
        image = nib.load(result(tiny_output, f"{name}.nii.gz"))
        assert np.array_equal(image.affine, source.affine), name
        assert image.shape == source.shape
    made = {path.name for path in (tiny_output / "sub-01" / "intermediate").glob("*.nii.gz")}
    assert made == {
        f"{PREFIX}_desc-{name}.nii.gz"
        for name in ("unwrapped", "totalfield", "residual", "fieldnoise", "highpass")
    }


def test_the_maps_look_like_the_truth(tiny_dataset, tiny_output):
    truth = tiny_dataset / "derivatives" / "truth" / "sub-01" / "anat"
    brain = read_nifti(truth / f"{PREFIX}_desc-brain_mask.nii.gz").only > 0.5
    mask = volume(tiny_output, "desc-brain_mask") > 0.5
    assert 2 * (brain & mask).sum() / (brain.sum() + mask.sum()) > 0.9
    chi = volume(tiny_output, "Chimap")
    there = mask & brain
    assert (chi[mask] != 0).mean() > 0.999  # filled to the rim
    assert not chi[~mask].any()
    assert alike(chi[there], read_nifti(truth / f"{PREFIX}_Chimap.nii.gz").only[there]) > 0.5
    r2star = read_nifti(truth / f"{PREFIX}_R2starmap.nii.gz").only
    both = mask & brain & (r2star < 60)
    assert abs(np.median(volume(tiny_output, "R2starmap")[both] / r2star[both]) - 1) < 0.25
    assert abs(float(chi[mask].mean())) < 1e-4  # referenced to the whole brain
    facts = json.loads(result(tiny_output, "Chimap.json").read_text(encoding="utf-8"))
    assert facts["Reference"] == "mean over the brain mask"
    assert np.isfinite(facts["ReferenceValue"])


def test_a_scan_too_coarse_says_so_and_counts_nothing(tiny_output):
    summary = summary_of(tiny_output)
    assert summary["category"] == "not_assessable"
    assert summary["count_interval_95"] is None
    assert summary["counts"]["total"] == 0
    assert summary["not_assessable"][0].startswith("2.4 mm voxels, TE 20 ms: microbleeds")
    table = result(tiny_output, "desc-findings_dseg.tsv").read_text().splitlines()
    assert len(table) == 1  # the header alone
    assert not volume(tiny_output, "desc-microbleeds_mask").any()
    page = (tiny_output / f"{PREFIX}.html").read_text(encoding="utf-8")
    assert "not assessable" in page
    assert summary["research_use_only"] in page


def test_the_summary_tells_where_everything_came_from(tiny_dataset, tiny_output):
    summary = summary_of(tiny_output)
    assert set(summary["input_sha256"]) == {
        str(path.relative_to(tiny_dataset))
        for path in tiny_dataset.glob("sub-01/anat/*.nii.gz")
    }  # fmt: skip
    assert set(summary["seconds"]) == {"read", *STAGES}
    assert all(megabytes > 10 for megabytes in summary["peak_memory_mb"].values())
    assert summary["software"]["petechia"] == summary["version"]
    assert summary["settings"]["method_settings"]["single_step"]["strength"] > 0
    assert summary["model"]["calibrated"] is True
    assert "simulated" in summary["model"]["says"]
    points = summary["model"]["operating_points"]
    assert summary["operating_point"]["threshold"] == points["balanced"]
    assert [check["check"] for check in summary["fitness"]][:3] == [
        "main field",
        "echo time",
        "voxel",
    ]


def test_the_log_tells_every_stage(tiny_output):
    log = (tiny_output / "logs" / f"{PREFIX}.log").read_text(encoding="utf-8")
    for stage in STAGES:
        assert f" INFO {stage}: " in log
    assert "done" in log.splitlines()[-1]


# --- the road stage by stage, on the scan and on altered ones


@pytest.fixture(scope="module")
def scan(tiny_dataset):
    (ref,) = find_scans(tiny_dataset)
    return ref.load()


@pytest.fixture(scope="module")
def brain(tiny_output, scan):
    return read_mask(result(tiny_output, "desc-brain_mask.nii.gz"), scan.echoes.grid)


@pytest.fixture(scope="module")
def walked(scan, brain):
    """Walk a scan with other arrays, the mask given (finding it takes the most time)."""

    def go(step, *, field_ppm=None, settings=None, **arrays) -> Work:
        other = replace(scan, echoes=replace(scan.echoes, **arrays))
        work = Work(scan=other, settings=Settings.build(**(settings or {})))
        work.given_mask, work.given_field_ppm = brain, field_ppm
        walk(work, [step])
        return work

    return go


@pytest.fixture(scope="module")
def plain(walked):
    return walked("swi")


def statuses(work: Work) -> dict[str, str]:
    return {check.check: check.status for check in work.checks}


def test_the_sign_is_found_on_phase_as_given(plain):
    assert (plain.phase_sign, plain.sign_trusted) == (1, True)
    assert statuses(plain)["handedness"] == "ok"


def test_negated_phase_is_settled_and_gives_the_same_maps(walked, plain, scan):
    other = walked("swi", phase_rad=-scan.echoes.phase_rad)
    assert (other.phase_sign, other.sign_trusted) == (-1, True)
    assert alike(other.chi_ppm, plain.chi_ppm) > 0.999
    assert alike(other.swi, plain.swi) > 0.999
    assert alike(other.total_field_ppm, plain.total_field_ppm) > 0.999


@pytest.mark.parametrize(("asked", "turn"), [("+1", 1), ("-1", -1)])
def test_a_given_sign_is_obeyed_against_all_evidence(asked, turn, walked, plain):
    other = walked("invert", settings={"phase_sign": asked})
    assert (other.phase_sign, other.sign_trusted) == (turn, True)
    assert turn * alike(other.chi_ppm, plain.chi_ppm) > 0.999


def test_the_road_references_to_csf_when_there_is_some(walked, plain, scan, brain):
    middle = tuple(int(n) for n in np.argwhere(brain).mean(axis=0).round())
    lake = np.zeros(brain.shape, bool)
    lake[tuple(slice(n - 3, n + 4) for n in middle)] = True
    magnitude = scan.echoes.magnitude.copy()
    magnitude[:, lake] = np.median(magnitude[0, brain])  # no decay at all
    work = walked("invert", magnitude=magnitude, settings={"reference": "csf"})
    assert reference_note(work)["Reference"] == "mean over ventricular CSF"
    assert abs(work.chi_ppm[lake].mean()) < 0.02
    assert any(row["stage"] == "reference" for row in work.methods)
    assert reference_note(plain)["Reference"] == "mean over the brain mask"


def homodyne_of(phase_rad):
    """What a scanner's SWI reconstruction leaves of the phase."""
    phasor = np.exp(1j * phase_rad)
    sigma = (0, 1.5, 1.5, 0)
    smooth = gaussian_filter(phasor.real, sigma) + 1j * gaussian_filter(phasor.imag, sigma)
    return np.angle(phasor * np.conj(smooth)).astype(np.float32)


@pytest.mark.parametrize(("asked", "turn"), [("auto", 1), ("+1", 1), ("-1", -1)])
def test_filtered_phase_gives_swi_but_no_susceptibility(asked, turn, walked, scan):
    filtered = homodyne_of(scan.echoes.phase_rad)
    work = walked("swi", phase_rad=filtered, settings={"phase_sign": asked})
    assert statuses(work)["phase filtering"] == "refused"
    assert work.chi_ppm is None
    assert work.local_field_ppm is None
    assert alike(work.highpass_rad, turn * filtered[2] * work.mask) > 0.999
    assert work.swi is not None
    assert work.why_not("susceptibility")
    told = any("handedness of filtered phase" in text for text in work.warnings)
    assert told == (asked == "auto")


def test_magnitude_alone_goes_the_same_road_without_phase(walked):
    work = walked("swi", phase_rad=None, phase_te_s=())
    assert statuses(work)["phase"] == "refused"
    assert work.chi_ppm is None
    assert work.swi is None
    assert work.mip is not None
    assert "blood and calcium cannot be told apart" in work.why_not("sign")[0]


def test_a_given_field_takes_the_place_of_phase(walked, plain):
    """A field from elsewhere gives a map also for a magnitude without phase."""
    work = walked("invert", phase_rad=None, phase_te_s=(), field_ppm=plain.total_field_ppm)
    assert statuses(work)["phase"] == "ok"
    assert work.unwrapped_rad is None
    assert work.phase_sign == 1
    assert alike(work.chi_ppm, plain.chi_ppm) > 0.8


def test_a_slab_too_thin_for_background_removal_still_gives_the_rest(scan, brain):
    thin = np.zeros_like(brain)
    thin[:, :, 35:37] = brain[:, :, 35:37]
    work = Work(scan=scan, settings=Settings())
    work.given_mask = thin
    walk(work, ["swi", "r2star"])
    assert statuses(work)["background field"] == "refused"
    assert "no sphere of" in work.why_not("susceptibility")[0]
    assert work.chi_ppm is None
    assert work.swi is not None
    assert work.r2star is not None


def test_a_thin_slab_obeys_a_given_sign_too(scan, brain):
    thin = np.zeros_like(brain)
    thin[:, :, 35:37] = brain[:, :, 35:37]
    fields = {}
    for asked in ("+1", "-1"):
        work = Work(scan=scan, settings=Settings.build(phase_sign=asked))
        work.given_mask = thin
        walk(work, ["swi"])
        assert statuses(work)["handedness"] == "ok"
        fields[asked] = work.total_field_ppm
    np.testing.assert_array_equal(fields["-1"], -fields["+1"])
    assert np.any(fields["+1"])


def test_exchanged_echo_times_are_told_and_give_no_decay(walked, scan, plain):
    assert "decay" not in statuses(plain)
    work = walked("r2star", magnitude=scan.echoes.magnitude[::-1].copy())
    assert statuses(work)["decay"] == "refused"
    assert "echo times are exchanged between files" in work.why_not("r2star")[0]
    assert work.r2star is None


@pytest.mark.parametrize(
    ("signals", "fits"),
    [
        ([100, 80, 60], True),
        ([100, 104, 98, 103, 97, 108], True),  # bipolar, with noise
        ([100, 112, 114], True),
        ([100, 132], True),  # two echoes are not judged
        ([0, 0, 0], True),
        ([60, 80, 100], False),
        ([100, 90, 117], False),
    ],
)
def test_only_signal_that_clearly_grows_is_refused(signals, fits):
    checks = check_decay(signals)
    assert [check.forbids for check in checks] == ([] if fits else [("r2star",)])


def test_unequal_echo_spacing_falls_back_and_says_so(walked, scan):
    uneven = {"te_s": (0.006, 0.013, 0.030), "phase_te_s": (0.006, 0.013, 0.030)}
    work = walked("r2star", settings={"relaxation": "arlo"}, **uneven)
    assert work.r2star is not None
    assert any("log-linearly instead" in text for text in work.warnings)
    assert [row["method"] for row in work.methods if row["stage"] == "relaxation"] == ["loglinear"]
    assert not any("log-linearly" in text for text in walked("r2star", **uneven).warnings)


def test_a_sinus_is_no_false_decay(walked, plain, scan, tiny_dataset):
    """Where the field dephases the last echo, R2* comes nearer to the truth by a quarter or more."""
    folder = tiny_dataset / "derivatives" / "truth" / scan.name.folder
    true, field, inside = (
        read_nifti(folder / f"{scan.name.prefix}_{name}.nii.gz").only
        for name in ("R2starmap", "desc-field_fieldmap", "desc-brain_mask")
    )
    steep = np.max([np.abs(np.gradient(field, axis=a)) for a in range(3)], axis=0)
    cycles = steep * hz_per_ppm(3.0) * scan.echoes.te_s[-1]
    near = (inside > 0) & plain.mask & (cycles > 0.35) & (cycles < 0.5)
    assert near.sum() > 200
    errors = [
        np.median(np.abs(walked("r2star", settings=given).r2star - true)[near])
        for given in ({}, {"method_settings": {"nonlinear": {"dephasing": False}}})
    ]
    assert errors[0] < 0.75 * errors[1]


def test_the_scanners_own_swi_is_not_weighted_once_more(scan, brain):
    header = replace(scan.header, weighted=True)
    work = Work(scan=replace(scan, header=header), settings=Settings())
    work.given_mask = brain
    walk(work, ["swi", "r2star"])
    assert statuses(work)["image"] == "limited"
    assert any("not weighted once more" in text for text in work.warnings)
    assert work.swi is None
    assert work.r2star is None
    assert work.mip is not None
    assert work.chi_ppm is not None  # the phase is as good as ever


def test_clear_swi_from_the_road(walked, plain, scan):
    work = walked("swi", settings={"weighting": "clear_swi"})
    shown = {row["stage"]: row["method"] for row in work.methods}
    assert shown["susceptibility weighting"] == "clear_swi"
    inside = work.mask
    assert alike(work.swi[inside], plain.swi[inside]) > 0.5
    filtered = walked(
        "swi",
        phase_rad=homodyne_of(scan.echoes.phase_rad),
        settings={"weighting": "clear_swi", "phase_sign": "+1"},
    )
    assert any("clear_swi needs unfiltered phase" in text for text in filtered.warnings)
    assert filtered.swi is not None


def test_the_fast_preset_uses_its_own_methods(walked, plain):
    work = walked("invert", settings={"preset": "fast"})
    used = {row["stage"]: row["method"] for row in work.methods}
    assert used["dipole inversion"] == "l2" != work.settings.build().inversion
    assert alike(work.chi_ppm, plain.chi_ppm) > 0.5


# --- the command line on the whole


def test_steps_write_only_what_was_asked_for(petechia, tiny_dataset, tiny_output, tmp_path):
    mask = result(tiny_output, "desc-brain_mask.nii.gz")
    said = petechia("run", tiny_dataset, tmp_path / "o", "--steps", "swi,r2star", "--mask", mask)
    assert said.code == 0
    assert said.out == f"results: {tmp_path / 'o'}\n"
    made = {path.name for path in (tmp_path / "o").rglob("*.nii.gz")}
    assert made == {
        f"{PREFIX}_{name}.nii.gz" for name in ("swi", "minIP", "R2starmap", "T2starmap", "S0map")
    }
    assert not list((tmp_path / "o").glob("*.html"))


def test_a_field_in_hertz_is_turned_to_ppm(petechia, tiny_dataset, tiny_output, tmp_path):
    total = tiny_output / "sub-01" / "intermediate" / f"{PREFIX}_desc-totalfield.nii.gz"
    image = nib.load(total)
    hertz = (image.get_fdata() * 42.577478518 * 3).astype(np.float32)
    nib.save(nib.Nifti1Image(hertz, image.affine), tmp_path / "f.nii.gz")
    (tmp_path / "f.json").write_text('{"Units": "Hz"}')
    common = ["--mask", result(tiny_output, "desc-brain_mask.nii.gz"), "--steps", "background"]
    for name, field in (("ppm", total), ("hz", tmp_path / "f.nii.gz")):
        said = petechia("run", tiny_dataset, tmp_path / name, "--field", field, *common)
        assert said.code == 0, said.err
    one, other = (volume(tmp_path / name, "desc-local_fieldmap") for name in ("ppm", "hz"))
    assert np.abs(one).max() > 0.01
    assert np.abs(one - other).max() < 1e-4


def test_the_number_of_threads_changes_no_byte(petechia, tiny_dataset, tiny_output, tmp_path):
    mask = result(tiny_output, "desc-brain_mask.nii.gz")
    for n in ("1", "2"):
        words = ["--mask", mask, "--steps", "invert,r2star", "--n-threads", n]
        assert petechia("run", tiny_dataset, tmp_path / n, *words).code == 0
    for path in (tmp_path / "1").rglob("*.nii.gz"):
        assert path.read_bytes() == (tmp_path / "2" / path.relative_to(tmp_path / "1")).read_bytes()


def test_a_finished_scan_is_found_finished(petechia, tiny_dataset, tiny_output):
    before = (tiny_output / f"{PREFIX}.html").stat().st_mtime_ns
    said = petechia("run", tiny_dataset, tiny_output)
    assert said.code == 0
    assert said.out.startswith("microbleeds not assessable: 2.4 mm voxels")
    assert (tiny_output / f"{PREFIX}.html").stat().st_mtime_ns == before


# --- the table of stages


def test_stages_need_only_earlier_ones_and_write_every_promised_file_once():
    names = list(STAGES)
    for n, (name, stage) in enumerate(STAGES.items()):
        assert set(stage.after) <= set(names[:n]), name
    written = [key for stage in STAGES.values() for key in stage.writes]
    assert len(written) == len(set(written))


def test_closure_keeps_the_order_and_adds_what_is_needed():
    assert closure(["invert", "mask"]) == ["mask", "unwrap", "background", "invert"]
    assert closure([]) == list(STAGES)
    with pytest.raises(ParameterError, match=r"--steps: no step 'x'. Choose from mask, unwrap"):
        closure(["x"])
