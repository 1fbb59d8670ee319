import json
import shutil
import subprocess
import sysconfig
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from petechia.core.echoes import Echoes
from petechia.core.grid import Grid
from petechia.core.units import wrap
from petechia.errors import OutputError
from petechia.files.contract import contract
from petechia.files.find import find_scans
from petechia.files.output import OutputTree, generated_by, source_uris
from petechia.files.raw_bids import write_dataset, write_raw_scan, write_truth
from petechia.files.scan import Header, Scan, ScanName, Source

GRID = Grid.from_spacing((7, 9, 5), (0.9, 0.9, 2.0), (0, 0.3, 1))
NAME = ScanName((("sub", "01"), ("ses", "2"), ("acq", "y"), ("run", "1")))
REGION = {"index": 300, "name": "left frontal lobe", "site": "frontal", "side": "left",
          "compartment": "lobar"}  # fmt: skip
HEADER = Header(
    manufacturer="Siemens", model="Simulated", acquisition_type="3D", slice_thickness_mm=2.0,
    tr_s=0.035, flip_deg=15.0, image_type=("ORIGINAL",),
)  # fmt: skip


def echoes(te_s=(0.006, 0.012, 0.02), with_phase=True):
    rng = np.random.default_rng(3)
    shape = (len(te_s), *GRID.shape)
    return Echoes(
        magnitude=rng.uniform(1, 900, shape).astype(np.float32),
        te_s=te_s,
        b0_t=3.0,
        grid=GRID,
        phase_rad=rng.uniform(-9, 9, shape).astype(np.float32) if with_phase else None,
    )


def scan(kind="BIDS"):
    return Scan(
        echoes=echoes(),
        name=NAME,
        header=HEADER,
        kind=kind,
        sources=(Source(path="sub-01/ses-2/anat/sub-01_ses-2_T2starw.nii.gz", sha256="0"),),
    )


def labels():
    out = np.zeros(GRID.shape, np.int64)
    out[2:4, 3, 2] = 1
    return out


def fill(tree, one, name=NAME):
    """Write every output of the contract once, with plausible contents."""
    extra = {"Sources": source_uris(one), "Reference": "mean over the brain mask"}
    for key, file in contract().files.items():
        if file.is_image:
            array = one.echoes.magnitude[0]
            if "mask" in file.name:
                array = labels() > 0
            elif "dseg" in file.name:
                array = labels() * (300 if key == "regions" else 1)
            tree.write_volume(key, name, array, one, extra)
    row = {"index": 1, "name": "microbleed 1", "class": "microbleed", "probability": 0.987,
           "counted": "1", "mars": "definite", "x_mm": 1.25, "evidence": "round, dark"}  # fmt: skip
    tree.write_table("findings", name, [row])
    tree.write_table("regions", name, [REGION])
    tree.write_json("summary", name, dict.fromkeys(contract().summary_keys))
    tree.write_json("crash", name, {"message": "/home/me/in/scan.nii: broken"})
    tree.write_text("report", name, "<!doctype html><title>report</title>")
    tree.write_text("index", None, "<!doctype html><title>index</title>")
    tree.write_text("log", name, "done\n")


def validator():
    found = shutil.which("bids-validator-deno", path=sysconfig.get_path("scripts"))
    if found is None:
        pytest.skip("bids-validator-deno is not installed (extra: test)")
    return found


def errors_of(dataset):
    """Return the errors that the official validator finds, as text."""
    done = subprocess.run(
        [validator(), "--format", "json", str(dataset)], capture_output=True, text=True
    )
    issues = json.loads(done.stdout)["issues"]["issues"]
    return [f"{i['code']} {i['location']}" for i in issues if i["severity"] == "error"]


@pytest.fixture
def dataset(tmp_path):
    """A raw dataset of two simulated scans with their truth."""
    root = tmp_path / "ds"
    write_dataset(root, [{"participant_id": "01", "age": 71}, {"participant_id": "sub-02"}])
    write_raw_scan(root, NAME, echoes(), HEADER, phase_units="siemens")
    single = ScanName((("sub", "02"), ("acq", "swi")))
    write_raw_scan(root, single, echoes((0.02,)), HEADER, suffix="T2starw")
    plain = ScanName((("sub", "02"), ("acq", "gre")))
    write_raw_scan(root, plain, echoes((0.02,), with_phase=False), HEADER, suffix="T2starw")
    row = dict.fromkeys(contract().truth.columns, "n/a") | {"index": 1, "name": "m1", "visible": 1}
    maps = {
        key: labels() * 300 if "dseg" in key else labels() > 0 if "mask" in key else labels() * 0.5
        for key in contract().truth.maps
    }
    write_truth(root, NAME, [row], None, labels(), maps, GRID, [REGION])
    return root


# --- the output tree


def test_places_follow_the_contract(tmp_path):
    tree = OutputTree(tmp_path / "out")
    anat = tmp_path / "out" / "sub-01" / "ses-2" / "anat"
    stem = "sub-01_ses-2_acq-y_run-1"
    assert tree.path("chi", NAME) == anat / f"{stem}_Chimap.nii.gz"
    assert tree.table_path("findings", NAME) == anat / f"{stem}_desc-findings_dseg.tsv"
    assert tree.sidecar_path("findings", NAME) == anat / f"{stem}_desc-findings_dseg.json"
    assert tree.sidecar_path("chi", NAME) == anat / f"{stem}_Chimap.json"
    assert tree.path("report", NAME) == tmp_path / "out" / f"{stem}.html"
    with pytest.raises(OutputError, match="'chi' has no table"):
        tree.table_path("chi", NAME)


def test_sidecars_hold_units_and_what_the_contract_asks(tmp_path):
    tree = OutputTree(tmp_path)
    extra = {"Sources": ["a"], "Reference": "mean"}
    for key in ("chi", "r2star", "t2star", "local_field"):
        tree.write_volume(key, NAME, np.ones(GRID.shape), GRID, extra)
        facts = json.loads(tree.sidecar_path(key, NAME).read_text())
        assert facts["Units"] == contract().file(key).units
        assert facts["SkullStripped"] == (key in ("chi", "local_field"))
    tree.write_volume("brain_mask", NAME, np.ones(GRID.shape, bool), GRID, extra)
    assert json.loads(tree.sidecar_path("brain_mask", NAME).read_text())["Type"] == "Brain"
    with pytest.raises(OutputError, match=r"Chimap.*its sidecar lacks Reference, Sources"):
        tree.write_volume("chi", NAME, np.ones(GRID.shape), GRID)


def test_one_sidecar_describes_image_and_table_of_findings(tmp_path):
    tree = OutputTree(tmp_path)
    tree.write_volume("findings", NAME, labels(), GRID)
    facts = json.loads(tree.sidecar_path("findings", NAME).read_text())
    assert set(contract().finding_columns) < set(facts)
    assert facts["moment_ppm_mm3"]["Units"] == "ppm mm^3"
    assert set(facts["class"]["Levels"]) == set(contract().words["class"])


def test_a_table_begins_with_the_promised_columns(tmp_path):
    tree = OutputTree(tmp_path)
    columns = [*contract().finding_columns, "source_x_mm"]
    path = tree.write_table("findings", NAME, [{"index": 1, "source_x_mm": 2.5}], columns)
    head, row = path.read_text().splitlines()
    assert head.split("\t") == columns
    assert row.split("\t")[0] == "1"
    assert row.split("\t")[-1] == "2.5"
    with pytest.raises(OutputError, match="columns begin"):
        tree.write_table("findings", NAME, [], ["name", "index"])
    empty = tree.write_table("findings", NAME, [])
    assert empty.read_text() == "\t".join(contract().finding_columns) + "\n"


def test_an_output_folder_that_is_a_file_is_told_at_once(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="has that name"):
        OutputTree(tmp_path / "out")


def test_results_of_a_nifti_scan_keep_its_affine(dataset, tmp_path):
    (first, *_) = find_scans(dataset)
    one = first.load()
    tree = OutputTree(tmp_path / "out")
    path = tree.write_volume("s0", one.name, one.echoes.magnitude[0], one)
    source = nib.load(first.paths[0])
    back = nib.load(path)
    assert np.array_equal(back.affine, source.affine)
    assert np.array_equal(back.affine, one.echoes.grid.affine)
    assert np.array_equal(back.get_sform(), source.get_sform())
    assert np.array_equal(back.get_qform(), source.get_qform())
    assert np.array_equal(back.get_fdata(dtype=np.float32), one.echoes.magnitude[0])


def test_raw_data_link_only_from_inside(tmp_path):
    raw = tmp_path / "ds"
    write_dataset(raw, [{"participant_id": "01"}])
    inside = OutputTree(raw / "derivatives" / "petechia")
    inside.write_dataset_description(raw)
    facts = json.loads((inside.root / "dataset_description.json").read_text())
    assert facts["DatasetLinks"] == {"raw": "../.."}
    assert facts["GeneratedBy"] == [generated_by()]
    outside = OutputTree(tmp_path / "out")
    outside.write_dataset_description(raw)
    text = (outside.root / "dataset_description.json").read_text()
    assert "DatasetLinks" not in json.loads(text)
    assert str(tmp_path) not in text


def test_sources_are_uris_of_datasets_only():
    assert source_uris(scan()) == ["bids:raw:sub-01/ses-2/anat/sub-01_ses-2_T2starw.nii.gz"]
    assert source_uris(scan("NIfTI"))[0].startswith("sub-01/")


@pytest.mark.parametrize("kind", ["BIDS", "DICOM"])
def test_the_validator_accepts_every_output(tmp_path, kind):
    tree = OutputTree(tmp_path / "out")
    fill(tree, scan(kind))
    tree.write_dataset_description()
    assert errors_of(tree.root) == []


def test_the_validator_needs_each_ignored_pattern(tmp_path):
    # without .bidsignore it must object: else a pattern is there for nothing
    tree = OutputTree(tmp_path / "out")
    fill(tree, scan())
    tree.write_dataset_description()
    (tree.root / ".bidsignore").write_text("")
    told = "\n".join(errors_of(tree.root))
    for key, file in contract().files.items():
        if file.bidsignore:
            assert tree.path(key, NAME).name in told, key


def test_no_place_of_this_machine_in_any_text(tmp_path):
    tree = OutputTree(tmp_path / "out")
    fill(tree, scan())
    tree.write_dataset_description(tmp_path)
    for path in [p for p in tree.root.rglob("*") if p.suffix in (".json", ".tsv", ".html")]:
        text = path.read_text()
        assert str(tmp_path) not in text
        assert "/home/" not in text, path.name


# --- raw data of the simulator


def test_raw_data_reads_back(dataset):
    refs = find_scans(dataset)
    assert [r.name.prefix for r in refs] == [NAME.prefix, "sub-02_acq-gre", "sub-02_acq-swi"]
    for ref, te_s, step in zip(
        refs,
        [(0.006, 0.012, 0.02), (0.02,), (0.02,)],
        [np.pi / 4096 + 1e-5, None, 1e-5],  # half a step of 2 pi / 4096
        strict=True,
    ):
        got, wrote = ref.load(), echoes(te_s)
        assert got.echoes.te_s == te_s
        assert got.echoes.b0_t == 3.0
        assert np.array_equal(got.echoes.magnitude, wrote.magnitude)
        assert np.allclose(got.echoes.grid.affine, GRID.affine, atol=1e-6)
        assert got.header.tr_s == HEADER.tr_s
        assert got.header.model == "Simulated"
        if step is None:
            assert got.echoes.phase_rad is None
        else:
            apart = np.angle(np.exp(1j * (got.echoes.phase_rad - wrote.phase_rad)))
            assert np.abs(apart).max() < step


def test_the_names_of_raw_files(dataset):
    names = {p.name for p in dataset.glob("sub-*/**/*.nii.gz")}
    stem = "sub-01_ses-2_acq-y_run-1_echo"
    assert {
        f"{stem}-{n}_part-{p}_MEGRE.nii.gz" for n in (1, 2, 3) for p in ("mag", "phase")
    } < names
    assert {"sub-02_acq-gre_T2starw.nii.gz", "sub-02_acq-swi_part-mag_T2starw.nii.gz"} < names


def test_the_validator_accepts_raw_data_and_truth(dataset):
    assert errors_of(dataset) == []
    assert errors_of(dataset / "derivatives" / "truth") == []


def test_truth_holds_what_the_contract_says(dataset):
    anat = dataset / "derivatives" / "truth" / NAME.folder
    table = (anat / f"{NAME.prefix}_desc-truth_dseg.tsv").read_text().splitlines()
    assert tuple(table[0].split("\t")) == contract().truth.columns
    image = nib.load(anat / f"{NAME.prefix}_desc-truth_dseg.nii.gz")
    assert np.array_equal(np.asarray(image.dataobj), labels())
    for key in contract().truth.maps:
        assert (anat / f"{NAME.prefix}_{key}.nii.gz").exists()
        assert (anat / f"{NAME.prefix}_{key}.json").exists()


@pytest.mark.parametrize(
    ("units", "step", "ends"),
    [
        ("siemens", 2 * np.pi / 4096, (0, 4095)),
        ("philips", 2 * np.pi / 4095, (0, 4095)),
        ("ge", 1e-3, (-3142, 3142)),
    ],
)
def test_whole_numbers_of_each_vendor_are_read_back_to_half_a_step(tmp_path, units, step, ends):
    one = echoes((0.02,))
    write_dataset(tmp_path, [{"participant_id": "01"}])
    written = write_raw_scan(tmp_path, NAME, one, HEADER, suffix="T2starw", phase_units=units)
    stored = np.asanyarray(nib.load(written[1]).dataobj.get_unscaled())
    assert stored.dtype == np.int16
    assert (stored.min(), stored.max()) == pytest.approx(ends, abs=120)
    (ref,) = find_scans(tmp_path)
    error = np.abs(wrap(ref.load().echoes.phase_rad - one.phase_rad))
    assert error.max() < 0.55 * step + 2e-4  # 3142 milliradians are not quite half a turn


def test_truth_says_that_maps_are_of_the_brain_alone(dataset):
    anat = dataset / "derivatives" / "truth" / "sub-01" / "ses-2" / "anat"
    for key in ("Chimap", "R2starmap", "desc-field_fieldmap"):
        facts = json.loads((anat / f"{NAME.prefix}_{key}.json").read_text())
        assert facts["SkullStripped"] is True
        assert "0 outside the brain" in facts["Description"]
    assert "Reference" in json.loads((anat / f"{NAME.prefix}_Chimap.json").read_text())


def test_wrong_wishes_for_raw_data_are_told(tmp_path):
    with pytest.raises(ValueError, match="'T1w' is unknown"):
        write_raw_scan(tmp_path, NAME, echoes(), HEADER, suffix="T1w")
    with pytest.raises(ValueError, match="'degrees' is unknown"):
        write_raw_scan(tmp_path, NAME, echoes(), HEADER, phase_units="degrees")
    whole = echoes((0.005, 0.0075))
    difference = Echoes(
        magnitude=whole.magnitude,
        te_s=whole.te_s,
        b0_t=3.0,
        grid=GRID,
        phase_rad=whole.phase_rad[:1],
        phase_te_s=(0.0025,),
    )
    with pytest.raises(ValueError, match="a phase difference over"):
        write_raw_scan(tmp_path, NAME, difference, HEADER)
    with pytest.raises(ValueError, match="'Sigma' is unknown"):
        write_truth(tmp_path, NAME, [], None, labels(), {"Sigma": labels()}, GRID)
    assert list(Path(tmp_path).iterdir()) == []
