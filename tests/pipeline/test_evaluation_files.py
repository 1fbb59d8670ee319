"""Scans find their partners by name."""

import pytest

from petechia.errors import FileError, InputError
from petechia.pipeline.evaluation_files import find_sides, pair_up

TABLE = "x_mm\ty_mm\tz_mm\n"


def touch(root, *names, text=""):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def names(pairing):
    return [(p.key, t.key) for p, t in pairing.pairs]


def test_valdo_masks_meet_our_output_and_other_images_are_left_alone(tmp_path):
    ours = touch(
        tmp_path / "out",
        "sub-101/anat/sub-101_desc-findings_dseg.tsv",
        "sub-101/anat/sub-101_desc-findings_dseg.nii.gz",
        "sub-101/anat/sub-101_Chimap.nii.gz",
        "sub-101/anat/sub-101_desc-petechia_summary.json",
        "sub-102/anat/sub-102_desc-findings_dseg.tsv",
    )
    truth = touch(
        tmp_path / "Task2",
        "sub-101/sub-101_space-T2S_CMB.nii.gz",
        "sub-101/sub-101_space-T2S_desc-masked_T1.nii.gz",
        "sub-103/sub-103_space-T2S_CMB.nii.gz",
    )
    pairing = pair_up(ours, truth)
    assert names(pairing) == [("sub-101", "sub-101")]
    assert [s.key for s in pairing.truth_alone] == ["sub-103"]
    assert [s.key for s in pairing.predicted_alone] == ["sub-102"]
    predicted = pairing.pairs[0][0]
    assert predicted.labels.name == "sub-101_desc-findings_dseg.nii.gz"
    assert predicted.maps["chi"].name == "sub-101_Chimap.nii.gz"
    assert predicted.summary is not None


def test_a_simulated_dataset_is_read_at_its_truth(tmp_path):
    truth = touch(
        tmp_path,
        "derivatives/truth/sub-01/anat/sub-01_acq-x_desc-truth_dseg.tsv",
        "derivatives/truth/sub-01/anat/sub-01_acq-x_desc-regions_dseg.nii.gz",
        "sub-01/anat/sub-01_acq-x_T2starw.nii.gz",
    )
    sides = find_sides(truth, None, truth=True)
    assert [s.key for s in sides] == ["sub-01_acq-x"]
    assert list(sides[0].maps) == ["regions"]


def test_one_name_may_hold_the_other_when_only_one_does(tmp_path):
    ours = touch(tmp_path / "p", "sub-01_acq-swi_run-1_mask.nii.gz", "sub-02_mask.nii.gz")
    truth = touch(tmp_path / "t", "sub-01_acq-swi_mask.nii.gz", "sub-02_ses-1_mask.nii.gz",
                  "sub-02_ses-2_mask.nii.gz")  # fmt: skip
    pairing = pair_up(ours, truth)
    assert names(pairing) == [("sub-01_acq-swi_run-1", "sub-01_acq-swi")]
    assert len(pairing.truth_alone) == 2  # sub-02 fits both sessions: it is neither's


def test_names_outside_bids_match_by_what_the_star_stands_for(tmp_path):
    ours = touch(tmp_path / "p", "case1_pred.nii.gz", "case2_pred.nii.gz", "case2_prob.nii.gz")
    truth = touch(tmp_path / "t", "gt/case1.nii.gz", "gt/case2.nii.gz")
    pairing = pair_up(ours, truth, predicted_pattern="*_pred.nii.gz", truth_pattern="*.nii.gz")
    assert names(pairing) == [("case1", "case1"), ("case2", "case2")]


def test_equal_file_names_are_told_apart_by_their_folders(tmp_path):
    ours = touch(tmp_path / "p", "a/cmb.nii.gz", "b/cmb.nii.gz")
    truth = touch(tmp_path / "t", "a/truth.csv", "b/truth.csv", text="x_mm,y_mm,z_mm\n")
    assert names(pair_up(ours, truth)) == [("a", "a"), ("b", "b")]


def test_two_files_are_a_pair_whatever_their_names(tmp_path):
    touch(tmp_path, "mine.nii.gz", "theirs.tsv", text=TABLE)
    pairing = pair_up(tmp_path / "mine.nii.gz", tmp_path / "theirs.tsv")
    assert names(pairing) == [("mine", "theirs")]


def test_maps_alone_are_read_as_maps(tmp_path):
    sides = find_sides(touch(tmp_path, "sub-01_Chimap.nii.gz"), None, truth=False)
    assert not sides[0].has_lesions
    assert list(sides[0].maps) == ["chi"]


@pytest.mark.parametrize(
    ("ending", "name"), [("desc-brain_mask", "brain"), ("R2starmap", "r2star")]
)
def test_a_tool_that_makes_one_map_only_can_be_evaluated(tmp_path, ending, name):
    sides = find_sides(touch(tmp_path, f"sub-01_{ending}.nii.gz"), None, truth=False)
    assert not sides[0].has_lesions
    assert (sides[0].key, list(sides[0].maps)) == ("sub-01", [name])


def test_what_cannot_be_read_is_said(tmp_path):
    with pytest.raises(FileError, match="no such place"):
        find_sides(tmp_path / "none", None, truth=False)
    with pytest.raises(InputError, match="no table or image of lesions named"):
        find_sides(touch(tmp_path / "e", "notes.txt"), "*_x.nii.gz", truth=False)
    twice = touch(tmp_path / "d", "sub-01_mask.nii.gz", "sub-01_desc-b_mask.nii.gz")
    with pytest.raises(InputError, match=r"several files of sub-01.*pattern"):
        find_sides(twice, None, truth=False)
