"""The evaluator end to end, on small images whose numbers are counted by hand."""

import json

import numpy as np
import pytest

from petechia.apps.cli.main import main
from petechia.core.grid import Grid
from petechia.errors import FileError, InputError, ParameterError
from petechia.evaluate.detection import outcome_of
from petechia.files.output import OutputTree
from petechia.files.raw_bids import write_dataset, write_truth
from petechia.files.scan import ScanName
from petechia.files.writing import write_nifti, write_table
from petechia.pipeline.evaluation import EvaluationOptions, evaluate, write_evaluation
from petechia.pipeline.evaluation_files import find_sides
from petechia.pipeline.evaluation_read import INSIDE, findings_of, lesions_of, read_spots
from petechia.pipeline.evaluation_scan import read_scan

GRID = Grid((24, 22, 14), np.diag([1.5, 1.5, 2.0, 1.0]))
A, B, C = np.s_[4:6, 4:6, 4], np.s_[12:14, 12, 6:8], np.s_[20, 18, 11]
FAST = EvaluationOptions(n_resamples=50)


def image(path, *boxes, value=1, grid=GRID):
    data = np.zeros(grid.shape, dtype=np.float32 if isinstance(value, float) else np.int16)
    for box in boxes:
        data[box] = value
    write_nifti(path, data, grid)
    return path


def side(path, **options):
    return find_sides(path, None, **{"truth": False} | options)[0]


@pytest.fixture
def folders(tmp_path):
    """Two scans: A and B true, A and C found; nothing true, C found. And a stray each."""
    true, found = tmp_path / "truth", tmp_path / "tool"
    image(true / "sub-01_CMB.nii.gz", A, B)
    image(true / "sub-02_CMB.nii.gz")
    image(true / "sub-03_CMB.nii.gz", A)
    image(found / "sub-01_mask.nii.gz", A, C)
    image(found / "sub-02_mask.nii.gz", C)
    image(found / "sub-09_mask.nii.gz", C)
    return found, true


def test_masks_are_counted_by_every_rule(folders):
    result = evaluate(*folders, FAST).result
    assert (result["n_scans"], result["n_lesions"], result["n_clean_scans"]) == (2, 2, 1)
    assert result["scans_without_result"] == ["sub-03"]
    assert result["results_without_truth"] == ["sub-09"]
    for rule in ("one_to_one", "centroid", "touch"):
        rates = result["detection"][rule]["pooled"]
        assert rates["sensitivity"].value == 0.5
        assert rates["precision"].value == pytest.approx(1 / 3)
        assert rates["false_per_scan"].value == 1.0
        assert rates["false_per_clean_scan"].value == 1.0
    # VALDO: F1 1/2 in the first, not a number in the second
    assert result["valdo"]["median_q1_q3"]["f1"] == (0.5, 0.5, 0.5)
    assert result["valdo"]["median_q1_q3"]["count_difference"][0] == 0.5
    assert result["froc"] is None
    assert result["calibration"] is None


def test_a_scan_without_a_result_may_count_as_empty(folders):
    result = evaluate(*folders, EvaluationOptions(n_resamples=50, missing="empty")).result
    assert result["n_scans"] == 3
    assert result["detection"]["touch"]["pooled"]["sensitivity"].value == pytest.approx(1 / 3)
    assert result["valdo"]["median_q1_q3"]["f1"][0] == 0.25
    assert "no result of the tool: taken as nothing found (1 scan)" in result["notes"]


def test_a_tool_against_itself_is_perfect_and_swapping_sides_swaps_the_errors(folders):
    found, true = folders
    rates = evaluate(true, true, FAST).result["detection"]["one_to_one"]["pooled"]
    assert rates["sensitivity"].value == rates["precision"].value == rates["f1"].value == 1
    there = evaluate(found, true, FAST).result["detection"]["one_to_one"]["pooled"]
    back = evaluate(true, found, FAST).result["detection"]["one_to_one"]["pooled"]
    assert there["sensitivity"].value == back["precision"].value
    assert there["precision"].value == back["sensitivity"].value


def test_the_command_writes_page_numbers_and_tables(folders, tmp_path, capsys):
    out = tmp_path / "evaluation"
    code = main(["evaluate", *map(str, folders), "--out", str(out), "--n-resamples", "50"])
    said = capsys.readouterr().out
    assert code == 0
    assert "1 true scans without a result: sub-03" in said
    assert "1 results without a true scan: sub-09" in said
    assert "sensitivity 0.50" in said
    data = json.loads((out / "evaluation.json").read_text())
    assert data["detection"]["touch"]["pooled"]["f1"]["value"] == pytest.approx(2 / (2 + 2 + 1))
    assert str(tmp_path) not in (out / "evaluation.json").read_text()
    lesions = (out / "lesions.tsv").read_text().splitlines()
    assert len(lesions) == 3
    findings = (out / "findings.tsv").read_text()
    assert findings.count("right") == 1
    assert findings.count("false") == 2
    page = (out / "evaluation.html").read_text()
    assert "<script" not in page
    assert "http://" not in page
    assert "https://" not in page
    assert page.count("<svg") == 1  # counts only: no probabilities, no moments
    assert "sub-03" in page


def test_what_is_written_into_an_output_folder_is_in_its_bidsignore(folders, tmp_path):
    output = tmp_path / "out"
    OutputTree(output).write_dataset_description()
    before = (output / ".bidsignore").read_text().splitlines()
    evaluation = evaluate(*folders, FAST)
    written = write_evaluation(evaluation, output)
    names = [path.name for path in written]
    assert {"evaluation.json", "lesions.tsv", "evaluation.html"} <= set(names)
    assert (output / ".bidsignore").read_text().splitlines() == [*before, *names]
    write_evaluation(evaluation, output / "compared" / "again")
    write_evaluation(evaluation, output / "sub-01")
    lines = (output / ".bidsignore").read_text().splitlines()
    assert lines[len(before) + len(names) :] == ["compared", *(f"sub-01/{n}" for n in names)]
    write_evaluation(evaluation, tmp_path / "elsewhere")
    assert not (tmp_path / "elsewhere" / ".bidsignore").exists()


def test_unfit_places_are_mendable(folders, tmp_path, capsys):
    assert main(["evaluate", str(tmp_path / "none"), str(folders[1])]) == 2
    assert "no such place" in capsys.readouterr().err
    image(tmp_path / "other" / "sub-77_mask.nii.gz", A)
    assert main(["evaluate", str(tmp_path / "other"), str(folders[1])]) == 2
    assert "no scan has a partner: sub-77 against sub-01" in capsys.readouterr().err


def test_probability_images_give_curve_and_calibration(tmp_path):
    true = image(tmp_path / "t.nii.gz", A, B)
    data = np.zeros(GRID.shape, dtype=np.float32)
    data[A], data[B], data[C] = 0.9, 0.4, 0.7
    write_nifti(tmp_path / "p.nii.gz", data, GRID)
    result = evaluate(tmp_path / "p.nii.gz", true, FAST).result
    assert result["detection"]["touch"]["pooled"]["sensitivity"].value == 0.5
    assert result["froc"]["threshold"] == pytest.approx([0.9, 0.7])
    low = EvaluationOptions(n_resamples=50, threshold=0.3)
    result = evaluate(tmp_path / "p.nii.gz", true, low).result
    assert result["detection"]["touch"]["pooled"]["sensitivity"].value == 1.0
    assert result["froc"]["threshold"] == pytest.approx([0.9, 0.7, 0.4])
    assert result["calibration"].n == 3


def test_places_in_a_table_lie_where_the_affine_says(tmp_path):
    truth = image(tmp_path / "t.nii.gz", A, B)
    place = GRID.to_mm([4.5, 4.5, 4.0])
    rows = [
        dict(zip(("x_mm", "y_mm", "z_mm"), place, strict=True)),
        {"x_mm": 0, "y_mm": 0, "z_mm": 0},
    ]
    write_table(tmp_path / "p.tsv", rows, ["x_mm", "y_mm", "z_mm"])
    scan = read_scan(side(tmp_path / "p.tsv"), side(truth))
    assert scan.case.truth.place_mm[0] == pytest.approx(place)
    for rule in ("one_to_one", "centroid", "touch"):
        assert outcome_of(scan.case, rule=rule).good.tolist() == [True, False]
    assert scan.valdo is None
    assert scan.case.slice_mm == 2.0


def test_tables_on_both_sides_have_no_touch(tmp_path):
    (tmp_path / "a.tsv").write_text("x_mm\ty_mm\tz_mm\tprobability\n1\t2\t3\t0.8\n")
    (tmp_path / "b.csv").write_text('x_mm,y_mm,z_mm,site\n1,2,4,"frontal"\n')
    result = evaluate(tmp_path / "a.tsv", tmp_path / "b.csv", FAST).result
    assert set(result["detection"]) == {"one_to_one", "centroid"}
    assert result["detection"]["one_to_one"]["pooled"]["f1"].value == 1.0
    assert any("touch" in note for note in result["notes"])


def test_what_a_table_calls_by_another_name_does_not_count_as_a_microbleed(tmp_path):
    head = "x_mm\ty_mm\tz_mm\tclass\tprobability\n"
    (tmp_path / "a.tsv").write_text(
        head + "1\t2\t3\tmicrobleed\t0.8\n1\t2\t9\tcalcification\tn/a\n"
        "5\t2\t3\tmicrobleed\tn/a\n9\t9\t9\tvessel\t0.7\n9\t2\t9\tmicrobleed\t0.3\n"
    )
    spots = read_spots(side(tmp_path / "a.tsv"), INSIDE)
    assert findings_of(spots, None).counted.tolist() == [True, False, True, False, False]
    # a threshold goes by the probability, where there is one
    assert findings_of(spots, 0.2).counted.tolist() == [True, False, True, True, True]


@pytest.mark.parametrize("factor", [2, 0.5], ids=["finer", "coarser"])
def test_voxels_of_another_grid_are_brought_over(tmp_path, factor):
    other = Grid(
        tuple(int(n * factor) for n in GRID.shape),
        GRID.affine @ np.diag([1 / factor, 1 / factor, 1 / factor, 1]),
    )
    boxes = [tuple(slice(int(a * factor), int(b * factor) or 1) for a, b in s)
             for s in (((4, 6), (4, 6), (4, 6)), ((20, 22), (18, 20), (10, 12)))]  # fmt: skip
    found = image(tmp_path / "p.nii.gz", *boxes, grid=other)
    scan = read_scan(side(found), side(image(tmp_path / "t.nii.gz", A, B)))
    outcome = outcome_of(scan.case, rule="touch")
    assert outcome.hit.tolist() == [True, False]
    assert outcome.false.tolist() == [False, True]
    assert any("another grid" in note for note in scan.notes)


def test_label_values_are_lesions_and_their_size_is_measured(tmp_path):
    data = np.zeros(GRID.shape, dtype=np.int16)
    data[A], data[B] = 7, 3
    write_nifti(tmp_path / "l.nii.gz", data, GRID)
    spots = read_spots(side(tmp_path / "l.nii.gz"), INSIDE)
    assert spots.index == [3, 7]
    found = findings_of(spots, None)
    # A: 2 x 2 in plane: a diagonal between centres and one voxel
    assert found.diameter_mm[1] == pytest.approx(1.5 * np.sqrt(2) + 1.5)
    assert np.isnan(found.probability).all()
    assert found.counted.all()


@pytest.fixture
def simulated(tmp_path):
    """A truth as the simulator writes it, and what a run of ours might have said."""
    name = ScanName((("sub", "01"), ("acq", "t")))
    labels = np.zeros(GRID.shape, dtype=np.int16)
    labels[A], labels[B], labels[C] = 1, 2, 3
    centres = [GRID.to_mm([(s.start + s.stop - 1) / 2 if isinstance(s, slice) else s for s in box])
               for box in (A, B, C)]  # fmt: skip
    rows = [
        {
            "index": n, "name": kind, "class": kind, "x_mm": x, "y_mm": y, "z_mm": z,
            "true_diameter_mm": 1.0, "apparent_diameter_mm": 3.0, "apparent_volume_mm3": 9.0,
            "chi_ppm": 1.0, "moment_ppm_mm3": moment, "side": "left", "site": site,
            "compartment": compartment, "visible": visible,
        }
        for n, (kind, (x, y, z), moment, site, compartment, visible) in enumerate(
            [
                ("microbleed", centres[0], 2.0, "frontal", "lobar", 1),
                ("calcification", centres[1], -5.0, "basal_ganglia", "deep", 1),
                ("microbleed", centres[2], 0.1, "thalamus", "deep", 0),
            ],
            start=1,
        )
    ]  # fmt: skip
    rng = np.random.default_rng(0)
    brain = np.zeros(GRID.shape, dtype=bool)
    brain[2:-2, 2:-2, 1:-1] = True
    chi = (rng.normal(0, 0.05, GRID.shape) * brain).astype(np.float32)
    regions = np.where(brain, 1 + (np.arange(24) > 11)[:, None, None], 0).astype(np.int16)
    table = [
        {"index": n, "name": f"{s} thalamus", "site": "thalamus", "side": s, "compartment": "deep"}
        for n, s in enumerate(("left", "right"), start=1)
    ]
    raw, out = tmp_path / "raw", tmp_path / "out"
    write_dataset(raw, [{"participant_id": "01"}])
    rate = np.where(brain, 20.0, 0.0).astype(np.float32)
    maps = {"Chimap": chi, "R2starmap": rate, "desc-brain_mask": brain.astype(np.uint8),
            "desc-regions_dseg": regions}  # fmt: skip
    maps["desc-veins_probseg"] = np.zeros(GRID.shape, dtype=np.float32)
    maps["desc-veins_probseg"][4, 4, 4] = 0.75
    write_truth(raw, name, rows, None, labels, maps, GRID, regions=table)
    ours = out / "sub-01" / "anat"
    stem = ours / "sub-01_acq-t"
    found = [
        {**dict(zip(("x_mm", "y_mm", "z_mm"), centres[n], strict=True)), "index": n + 1,
         "class": kind, "sign": sign, "probability": p, "counted": c, "moment_ppm_mm3": m,
         "moment_se_ppm_mm3": 0.2, "diameter_mm": 3.5, "compartment": compartment}
        for n, (kind, sign, p, c, m, compartment) in enumerate(
            [("microbleed", "paramagnetic", 0.9, 1, 2.2, "lobar"),
             ("calcification", "diamagnetic", 0.1, 0, -5.1, "deep"),
             ("microbleed", "paramagnetic", 0.6, 1, 0.1, "deep")])
    ]  # fmt: skip
    write_table(ours / "sub-01_acq-t_desc-findings_dseg.tsv", found, list(found[0]))
    write_nifti(ours / "sub-01_acq-t_desc-findings_dseg.nii.gz", labels, GRID)
    write_nifti(ours / f"{stem.name}_Chimap.nii.gz", 0.5 * chi, GRID)
    write_nifti(ours / f"{stem.name}_R2starmap.nii.gz", 1.1 * rate, GRID)
    write_nifti(ours / f"{stem.name}_desc-brain_mask.nii.gz", brain, GRID)
    (ours / f"{stem.name}_desc-petechia_summary.json").write_text(
        json.dumps({"protocol": {"slice_thickness_mm": 6.0}})
    )
    return out, raw


def test_our_own_output_is_evaluated_whole(simulated, tmp_path):
    evaluation = evaluate(*simulated, FAST)
    result = evaluation.result
    for rule in ("one_to_one", "touch"):
        rates = result["detection"][rule]["pooled"]
        # the finding on the invisible microbleed is left out
        assert (rates["sensitivity"].value, rates["precision"].value) == (1.0, 1.0)
    assert result["blood_or_calcium"]["all"].right == 2
    assert result["counts"].told.tolist() == [2]
    moments = {row.name: row for row in result["measurement"]["moment"]}
    assert moments["1 to 3 ppm mm3"].median == pytest.approx(0.1)
    assert moments["all"].coverage == 1.0
    maps = result["maps"]
    assert maps["chi_nrmse"]["median"] == pytest.approx(50, rel=1e-4)
    assert maps["chi_nrmse_detrended"]["median"] == pytest.approx(0, abs=1e-3)
    assert maps["nuclei_slope"]["median"] == pytest.approx(0.5, rel=1e-4)
    assert maps["r2star_median_relative"]["median"] == pytest.approx(0.1, rel=1e-4)
    assert maps["mask_dice"]["median"] == 1.0
    assert maps["mask_lesion_centres_inside"]["median"] == 1.0
    assert evaluation.tables["scans.tsv"][0]["slice_mm"] == 6.0
    assert [r["vein_fraction"] for r in evaluation.tables["findings.tsv"]] == [0.75, 0.0]
    assert [r["verdict"] for r in evaluation.tables["findings.tsv"]] == ["right", "left out"]
    written = write_evaluation(evaluation, tmp_path / "e")
    page = written[-1].read_text()
    assert page.count("<svg") == 4
    assert "nan" not in page.lower().replace("nanum", "")
    assert json.loads(written[0].read_text())["maps"]["mask_dice"]["n"] == 1


def test_software_output_that_nobody_has_reviewed_is_no_truth(simulated):
    out, raw = simulated

    def told(truth):
        return [note for note in evaluate(out, truth, FAST).result["notes"] if "nobody" in note]

    assert told(out) == ["the truth is software output that nobody has reviewed: no truth at all"]
    assert told(raw) == []
    summary = next(out.rglob("*_summary.json"))
    known = json.loads(summary.read_text())
    summary.write_text(json.dumps(known | {"review": {"readers": ["ann"], "finished": True}}))
    assert told(out) == []


def test_a_scan_that_the_tool_refused_is_said_to_be_one(simulated):
    out, raw = simulated
    summary = next(out.rglob("*_summary.json"))
    summary.write_text(json.dumps({"category": "not_assessable", "protocol": {}}))
    assert any("not assessable" in note for note in evaluate(out, raw, FAST).result["notes"])
    summary.write_text("{")
    with pytest.raises(FileError, match="not a summary"):
        evaluate(out, raw, FAST)


def test_the_same_input_gives_the_same_bytes(simulated, tmp_path):
    first = write_evaluation(evaluate(*simulated, FAST), tmp_path / "one")
    second = write_evaluation(evaluate(*simulated, FAST), tmp_path / "two")
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


def test_maps_can_be_evaluated_alone(simulated, tmp_path):
    out, raw = simulated
    (tmp_path / "maps").mkdir()
    chi = next(out.rglob("*_acq-t_Chimap.nii.gz"))
    (tmp_path / "maps" / chi.name).write_bytes(chi.read_bytes())
    result = evaluate(tmp_path / "maps", raw, FAST).result
    assert "detection" not in result
    assert result["maps"]["chi_nrmse"]["median"] == pytest.approx(50, rel=1e-4)
    write_evaluation(evaluate(tmp_path / "maps", raw, FAST), tmp_path / "e")


def test_a_threshold_takes_the_place_of_the_tools_own_counting(simulated):
    options = EvaluationOptions(n_resamples=50, threshold=0.05)
    result = evaluate(*simulated, options).result
    # now the calcification counts too, and is false unless it is forgiven
    assert result["detection"]["one_to_one"]["pooled"]["false_per_scan"].value == 1
    forgiving = EvaluationOptions(n_resamples=50, threshold=0.05, forgiven=("calcification",))
    result = evaluate(*simulated, forgiving).result
    assert result["detection"]["one_to_one"]["pooled"]["false_per_scan"].value == 0


def test_bad_files_are_named(tmp_path):
    (tmp_path / "t.tsv").write_text("x_mm\ty_mm\n1\t2\n")
    with pytest.raises(InputError, match="no column z_mm"):
        read_spots(side(tmp_path / "t.tsv"), INSIDE)
    (tmp_path / "u.tsv").write_text("x_mm\ty_mm\tz_mm\n1\t2\tn/a\n")
    with pytest.raises(InputError, match="line 2 has no place"):
        read_spots(side(tmp_path / "u.tsv"), INSIDE)
    (tmp_path / "v.tsv").write_text("index\tx_mm\ty_mm\tz_mm\n1\t2\t3\t4\n1\t2\t3\t4\n")
    with pytest.raises(InputError, match="an index occurs twice"):
        read_spots(side(tmp_path / "v.tsv"), INSIDE)
    (tmp_path / "w.tsv").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(FileError, match="not a readable table"):
        read_spots(side(tmp_path / "w.tsv"), INSIDE)
    (tmp_path / "p.tsv").write_text("x_mm\ty_mm\tz_mm\tprobability\n1\t2\t3\t7\n")
    with pytest.raises(InputError, match="a probability of 7"):
        findings_of(read_spots(side(tmp_path / "p.tsv"), INSIDE), None)
    with pytest.raises(InputError, match="values down to -1"):
        read_spots(side(image(tmp_path / "n.nii.gz", A, value=-1.0)), INSIDE)
    with pytest.raises(InputError, match=r"fractions and values up to 2\.5"):
        read_spots(side(image(tmp_path / "f.nii.gz", A, value=2.5)), INSIDE)


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.csv", "x_mm,y_mm,z_mm\n1,5,2,5,3,5\n", "a.csv line 2: 6 fields for 3 columns"),
        ("a.tsv", "x_mm\ty_mm\tz_mm\n1\t2\t3\n1\t2\n", "a.tsv line 3: 2 fields for 3 columns"),
        ("a.tsv", "x_mm\ty_mm\tz_mm\tx_mm\n1\t2\t3\t4\n", "column x_mm occurs twice"),
        ("a.csv", 'x_mm,y_mm,z_mm\n"1,5",2,3\n', "line 2: x_mm '1,5' is not a number"),
        ("a.tsv", "probability\n0,1\n", "line 2: probability '0,1' is not a number"),
        ("a.tsv", "probability\n10%\n", "line 2: probability '10%' is not a number"),
        ("a.tsv", "probability\n0.9\n\n7_5\n", "line 4: probability '7_5' is not a number"),
        ("a.tsv", "probability\n7\n", "line 2: a probability of 7"),
        ("a.tsv", "index\na0\n", "line 2: index 'a0' is not a number"),
        ("a.tsv", "index\n1.5\n", r"line 2: index 1\.5"),
        ("a.tsv", "counted\nno\n", "line 2: counted 'no' is not a number"),
        ("a.tsv", "counted\n2\n", "line 2: counted '2'.* 1 or 0"),
        ("a.tsv", "class\nCMB\n", "line 2: no class 'CMB'.* microbleed, "),
        ("a.tsv", "sign\n+\n", r"line 2: no sign '\+'.* paramagnetic, "),
        ("a.tsv", "compartment\nLobar\n", "line 2: no compartment 'Lobar'.* lobar, "),
    ],
)  # fmt: skip
def test_a_cell_that_cannot_be_understood_is_an_error_not_a_guess(tmp_path, name, text, says):
    if "x_mm" not in text:
        head, *rows = text.splitlines()
        lines = ["x_mm\ty_mm\tz_mm\t" + head, *("1\t2\t3\t" + row if row else "" for row in rows)]
        text = "\n".join(lines)
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=says):
        findings_of(read_spots(side(tmp_path / name), INSIDE), None)


def test_headers_and_truth_values_are_read_whatever_their_case(tmp_path):
    (tmp_path / "t.csv").write_text(
        "X_mm,Y_mm,Z_mm,Visible,Class,moment_ppm_mm3,site\n"
        "1,2,3,False,,nan,\n1,2,3,True,n/a,n/a,crus I\n1,2,3,,microbleed,,n/a\n"
    )
    lesions = lesions_of(read_spots(side(tmp_path / "t.csv"), INSIDE))
    assert lesions.visible.tolist() == [False, True, True]
    assert lesions.kind.tolist() == ["microbleed"] * 3
    assert np.isnan(lesions.moment).all()
    assert lesions.site.tolist() == ["n/a", "crus I", "n/a"]
    assert find_sides(tmp_path, None, truth=True)[0].table is not None


def test_an_image_with_one_value_is_a_mask_whatever_the_value(tmp_path):
    spots = read_spots(side(image(tmp_path / "m.nii.gz", A, B, value=255)), INSIDE)
    assert len(spots.rows) == 2
    assert spots.image.max() == 1
    scan = read_scan(side(tmp_path / "m.nii.gz"), side(image(tmp_path / "t.nii.gz", A, B)))
    assert scan.valdo.f1 == 1.0
    assert scan.notes == ()


def test_a_label_in_parts_far_apart_is_noted(tmp_path):
    data = np.zeros(GRID.shape, dtype=np.int16)
    data[A], data[B], data[C] = 1, 1, 2
    write_nifti(tmp_path / "l.nii.gz", data, GRID)
    scan = read_scan(side(tmp_path / "l.nii.gz"), side(image(tmp_path / "t.nii.gz", A, B)))
    assert len(scan.case.predicted) == 2
    assert [note.partition(" has")[0] for note in scan.notes] == ["the tool's label image"]
    data[B] = 0
    data[5, 8, 4] = 1  # 5 mm off: the label of one lesion, torn
    write_nifti(tmp_path / "l.nii.gz", data, GRID)
    assert not read_spots(side(tmp_path / "l.nii.gz"), INSIDE).scattered


def test_where_nothing_is_there_tables_have_their_columns_and_no_rows(folders, tmp_path):
    """One side without a lesion, then the other: the same columns as where there are some."""
    write_evaluation(evaluate(*folders, FAST), tmp_path / "some")
    empty, full = np.zeros(GRID.shape, dtype=np.uint8), np.zeros(GRID.shape, dtype=np.uint8)
    full[A] = 1
    for name, (ours, theirs) in {"findings": (empty, full), "lesions": (full, empty)}.items():
        for side, data in (("ours", ours), ("theirs", theirs)):
            write_nifti(tmp_path / name / side / "sub-01_mask.nii.gz", data, GRID)
        made = evaluate(tmp_path / name / "ours", tmp_path / name / "theirs", FAST)
        write_evaluation(made, tmp_path / name)
        said = (tmp_path / name / f"{name}.tsv").read_text().splitlines()
        assert said == (tmp_path / "some" / f"{name}.tsv").read_text().splitlines()[:1]


def test_tables_of_an_earlier_evaluation_do_not_stay(folders, simulated, tmp_path):
    out = tmp_path / "e"
    first = write_evaluation(evaluate(*simulated, FAST), out)
    assert {"froc.tsv", "maps.tsv"} <= {path.name for path in first}
    second = write_evaluation(evaluate(*folders, FAST), out)
    assert sorted(out.iterdir()) == sorted(second)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"missing": "hide"}, "missing = 'hide'"),
        ({"threshold": 2.0}, "threshold = 2.0"),
        ({"n_resamples": 0}, "0 draws"),
        ({"forgiven": ("stone",)}, "no class stone"),
    ],
)
def test_bad_options_are_named(options, says):
    with pytest.raises(ParameterError, match=says):
        EvaluationOptions(**options)


def test_the_table_beside_a_label_image_tells_which_labels_count(tmp_path):
    true = image(tmp_path / "t.nii.gz", A)
    found = np.zeros(GRID.shape, dtype=np.float32)
    found[A], found[C] = 1, 2
    write_nifti(tmp_path / "found.nii.gz", found, GRID)
    (tmp_path / "found.tsv").write_text("index\tname\n1\tspot\n2\tspot\n")  # of no places
    rates = evaluate(tmp_path / "found.nii.gz", true, FAST).result["detection"]
    assert rates["touch"]["pooled"]["false_per_scan"].value == 1
    places = {n: GRID.to_mm(np.argwhere(found == n).mean(axis=0)) for n in (1, 2)}
    lines = ["\t".join([str(n), *map(str, p), str(2 - n)]) for n, p in places.items()]
    (tmp_path / "found.tsv").write_text(
        "\n".join(["index\tx_mm\ty_mm\tz_mm\tcounted", *lines]) + "\n"
    )
    rates = evaluate(tmp_path / "found.nii.gz", true, FAST).result["detection"]
    for rule in ("touch", "one_to_one"):
        assert rates[rule]["pooled"]["sensitivity"].value == 1
        assert rates[rule]["pooled"]["false_per_scan"].value == 0
