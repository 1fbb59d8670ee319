"""The single steps: NIfTI in, NIfTI out, on the input's grid."""

import json
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.files.nifti import read_nifti
from petechia.files.writing import write_nifti

SHAPE = (34, 33, 30)
GRID = Grid.from_spacing(SHAPE, (1.0, 1.0, 1.0))
TE = (0.006, 0.013, 0.020)


def field_of_a_bead() -> np.ndarray:
    """Field [ppm] of a small paramagnetic ball in the middle, on a smooth slope."""
    x, y, z = (axis - (n - 1) / 2 for axis, n in zip(np.indices(SHAPE), SHAPE, strict=True))
    r2 = x**2 + y**2 + z**2
    bead = np.where(r2 > 4, 2.5 * (2 * z**2 - x**2 - y**2) / np.maximum(r2, 4) ** 2.5, 0)
    return bead + 0.004 * x


@pytest.fixture
def files(tmp_path):
    """Three echoes of a ball of tissue with a bead in it, and a mask."""
    x, y, z = (axis - (n - 1) / 2 for axis, n in zip(np.indices(SHAPE), SHAPE, strict=True))
    inside = x**2 + y**2 + z**2 < 13**2
    field, rng = field_of_a_bead(), np.random.default_rng(0)
    bead = np.exp(-(x**2 + y**2 + z**2) / 4)
    for n, te in enumerate(TE, start=1):
        size = 1000 * np.exp(-te * (20 + 250 * bead)) * inside
        phase = 2 * np.pi * 42.577 * 3 * field * te
        signal = size * np.exp(1j * phase)
        signal = signal + rng.normal(0, 4, SHAPE) + 1j * rng.normal(0, 4, SHAPE)
        write_nifti(tmp_path / f"m{n}.nii.gz", np.abs(signal).astype(np.float32), GRID)
        write_nifti(tmp_path / f"p{n}.nii.gz", np.angle(signal).astype(np.float32), GRID)
    write_nifti(tmp_path / "mask.nii.gz", inside, GRID)
    return tmp_path


def echoes(place: Path, letter: str) -> str:
    return ",".join(str(place / f"{letter}{n}.nii.gz") for n in (1, 2, 3))


def times() -> str:
    return ",".join(str(te) for te in TE)


def test_coils_become_one_image_per_echo(petechia, files):
    phase = np.stack([read_nifti(files / f"p{n}.nii.gz").only for n in (1, 2, 3)])
    size = np.stack([read_nifti(files / f"m{n}.nii.gz").only for n in (1, 2, 3)])
    for name, offset in (("a", 0.5), ("b", -2.0)):
        turned = np.angle(np.exp(1j * (phase + offset))).astype(np.float32)
        write_nifti(files / f"p{name}.nii.gz", turned, GRID)
        write_nifti(files / f"m{name}.nii.gz", size, GRID)
    words = ["combine", "--te", times()]
    words += ["--phase", f"{files / 'pa.nii.gz'},{files / 'pb.nii.gz'}"]
    words += ["--mag", f"{files / 'ma.nii.gz'},{files / 'mb.nii.gz'}"]
    said = petechia(*words, files / "phase.nii.gz", files / "mag.nii.gz")
    assert said.code == 0, said.err
    inside = read_nifti(files / "mask.nii.gz").only > 0
    away = np.exp(1j * (read_nifti(files / "phase.nii.gz").frames - phase))[:, inside]
    assert np.median(np.abs(np.angle(away / away.mean()))) < 0.1
    found = read_nifti(files / "mag.nii.gz").frames[:, inside]
    assert np.allclose(found, np.sqrt(2) * size[:, inside], rtol=1e-3)

    said = petechia(*words[:-1], files / "ma.nii.gz", files / "o.nii.gz", files / "n.nii.gz")
    assert said.code == 2
    assert re.search("--mag: 1 files for 2 of --phase", said.err)


def test_from_phase_to_susceptibility_step_by_step(petechia, files):
    at = {
        name: files / f"{name}.nii.gz" for name in ("mask", "un", "total", "local", "valid", "chi")
    }
    common = ["--phase", echoes(files, "p"), "--te", times(), "--mask", at["mask"]]
    said = petechia("unwrap", *common, "--mag", echoes(files, "m"), "--b0", "3",
                    "--field", at["total"], at["un"])  # fmt: skip
    assert said.code == 0, said.err
    assert said.out == f"{at['un']}\n{at['total']}\n"
    inside = read_nifti(at["mask"]).only > 0
    total = read_nifti(at["total"]).only
    assert read_nifti(at["un"]).frames.shape == (3, *SHAPE)
    away = inside & (np.abs(field_of_a_bead()) < 0.2)
    error = (total - field_of_a_bead())[away]
    assert np.sqrt(np.mean((error - np.median(error)) ** 2)) < 0.02

    said = petechia("background", at["total"], at["local"], "--mask", at["mask"],
                    "--out-mask", at["valid"], "--set", "radius_max_mm=6")  # fmt: skip
    assert said.code == 0, said.err
    valid = read_nifti(at["valid"]).only > 0
    assert 0.3 * inside.sum() < valid.sum() < inside.sum()
    local = read_nifti(at["local"]).only
    slope = np.polyfit(np.indices(SHAPE)[0][valid & away], local[valid & away], 1)[0]
    assert abs(slope) < 0.0004  # the slope of 0.004 ppm a voxel came from outside

    said = petechia("invert", at["local"], at["chi"], "--mask", at["valid"], "--method", "tkd")
    assert said.code == 0, said.err
    chi = read_nifti(at["chi"]).only
    middle = chi[15:19, 15:18, 13:17]
    assert middle.max() > 5 * chi[valid].std()  # the bead, and it is paramagnetic
    for name in ("total", "local", "chi"):
        assert np.array_equal(nib.load(at[name]).affine, GRID.affine)


@pytest.mark.xdist_group("road")
def test_the_documented_chain_of_steps_comes_to_the_true_susceptibility(
    petechia, tiny_dataset, tiny_output, tmp_path
):
    anat, truth = tiny_dataset / "sub-01" / "anat", tiny_dataset / "derivatives" / "truth"
    brain = next(tiny_output.rglob("*_desc-brain_mask.nii.gz"))  # finding it takes longest
    names = ("mask", "field", "unwrapped", "local", "valid", "chi")
    at = {name: tmp_path / f"{name}.nii.gz" for name in names}

    def parts(part: str) -> str:
        return ",".join(str(path) for path in sorted(anat.glob(f"*part-{part}_*.nii.gz")))

    phase = ["--phase", parts("phase"), "--te", "0.006,0.013,0.02"]
    chain = [
        ["mask", parts("mag"), at["mask"], *phase, "--mask", brain],
        ["unwrap", *phase, "--mag", parts("mag"), "--mask", at["mask"], "--b0", "3",
         "--field", at["field"], at["unwrapped"]],
        ["background", at["field"], at["local"], "--mask", at["mask"], "--out-mask", at["valid"]],
        ["invert", at["local"], at["chi"], "--mask", at["valid"], "--method", "tv"],
    ]  # fmt: skip
    for words in chain:
        said = petechia(*words)
        assert said.code == 0, said.err
    inside = read_nifti(at["valid"]).only > 0
    of_run = read_nifti(next(tiny_output.rglob("*_desc-totalfield.nii.gz"))).only
    error = (read_nifti(at["field"]).only - of_run)[inside]
    assert np.abs(error - np.median(error)).max() < 0.05  # a turn would be 0.39 ppm or more
    true = read_nifti(next(truth.rglob("*_Chimap.nii.gz"))).only
    chi = read_nifti(at["chi"]).only
    assert np.corrcoef(chi[inside], true[inside])[0, 1] > 0.8


def test_a_local_field_in_hertz_needs_the_main_field(petechia, files):
    write_nifti(files / "f.nii.gz", (127.73 * field_of_a_bead()).astype(np.float32), GRID)
    write_nifti(files / "g.nii.gz", field_of_a_bead().astype(np.float32), GRID)
    (files / "f.json").write_text('{"Units": "Hz"}')
    words = ["--mask", files / "mask.nii.gz", "--method", "tkd"]
    said = petechia("invert", files / "f.nii.gz", files / "chi.nii.gz", *words)
    assert said.code == 2
    assert "the field is in Hz. Give --b0" in said.err
    for name in ("f", "g"):
        out = files / f"chi_{name}.nii.gz"
        assert petechia("invert", files / f"{name}.nii.gz", out, *words, "--b0", "3").code == 0
    one, other = (read_nifti(files / f"chi_{name}.nii.gz").only for name in ("f", "g"))
    assert np.allclose(one, other, atol=1e-3 * np.abs(other).max())


def test_a_local_field_keeps_the_unit_of_the_total_field(petechia, files):
    """Or hertz would be inverted as ppm, 128 times too large at 3 T."""
    write_nifti(files / "f.nii.gz", (127.73 * field_of_a_bead()).astype(np.float32), GRID)
    write_nifti(files / "g.nii.gz", field_of_a_bead().astype(np.float32), GRID)
    (files / "f.json").write_text('{"Units": "Hz"}')
    mask = ["--mask", files / "mask.nii.gz"]
    for name, units in (("f", "Hz"), ("g", "ppm")):
        local = files / f"local_{name}.nii.gz"
        assert petechia("background", files / f"{name}.nii.gz", local, *mask).code == 0
        assert json.loads((files / f"local_{name}.json").read_text()) == {"Units": units}
    words = [files / "local_f.nii.gz", files / "chi.nii.gz", *mask]
    assert "the field is in Hz. Give --b0" in petechia("invert", *words).err
    said = petechia("background", files / "g.nii.gz", files / "f.nii", *mask)
    assert said.code == 0  # another image of the name f: its facts are now those of f.nii
    said = petechia("background", files / "g.nii.gz", files / "g.nii", *mask)
    assert said.code == 2
    assert "g.json: is read by this command already" in said.err


@pytest.mark.parametrize("command", ["invert", "r2star"])
def test_a_field_too_large_for_ppm_is_told(petechia, files, command):
    """In hertz, and nothing beside it says so."""
    write_nifti(files / "f.nii.gz", (12_773 * field_of_a_bead()).astype(np.float32), GRID)
    words = ["--mask", files / "mask.nii.gz", "--b0", "3"]
    if command == "invert":
        words = [files / "f.nii.gz", files / "out.nii.gz", *words]
    else:
        words = ["--mag", echoes(files, "m"), "--te", times(), "--field", files / "f.nii.gz",
                 files / "out.nii.gz", *words]  # fmt: skip
    said = petechia(command, *words)
    assert said.code == 2
    assert re.search(r"f\.nii\.gz: 1 % of the mask is more than .* ppm .*Is it in Hz", said.err)


def test_a_map_does_not_depend_on_how_its_field_is_stored(petechia, files):
    """The penalties of most inversions are differences to one side."""
    field = field_of_a_bead().astype(np.float32)
    inside = read_nifti(files / "mask.nii.gz").only
    mirrored = GRID.affine.copy()
    mirrored[:3, 3] += (SHAPE[0] - 1) * mirrored[:3, 0]
    mirrored[:3, 0] *= -1
    maps = []
    for name, turn in (("one", slice(None)), ("other", slice(None, None, -1))):
        grid = GRID if name == "one" else Grid(SHAPE, mirrored)
        at = [files / f"{name}_{what}.nii.gz" for what in ("field", "mask", "chi")]
        write_nifti(at[0], np.ascontiguousarray(field[turn]), grid)
        write_nifti(at[1], np.ascontiguousarray(inside[turn]), grid)
        said = petechia("invert", at[0], at[2], "--mask", at[1], "--method", "tv")
        assert said.code == 0, said.err
        maps.append(read_nifti(at[2]).only[turn])
    np.testing.assert_allclose(*maps, atol=1e-4 * np.abs(maps[0]).max())


def test_the_reference_of_a_map_is_the_mask_csf_or_a_region(petechia, files):
    write_nifti(files / "f.nii.gz", field_of_a_bead().astype(np.float32), GRID)
    fluid = np.zeros(SHAPE, bool)
    fluid[10:18, 6:14, 10:20] = True
    write_nifti(files / "region.nii.gz", fluid, GRID)
    write_nifti(files / "r2star.nii.gz", np.where(fluid, 2, 20).astype(np.float32), GRID)
    inside = read_nifti(files / "mask.nii.gz").only > 0
    maps = {}
    for name, more in {
        "brain": [],
        "csf": ["--reference", "csf", "--r2star", files / "r2star.nii.gz"],
        "region": ["--reference", files / "region.nii.gz"],
    }.items():
        out = files / f"chi_{name}.nii.gz"
        words = [files / "f.nii.gz", out, "--mask", files / "mask.nii.gz", "--method", "tkd"]
        said = petechia("invert", *words, *more)
        assert said.code == 0, said.err
        assert "ppm, the mean over" in said.out
        maps[name] = read_nifti(out).only
    assert abs(maps["brain"][inside].mean()) < 1e-5
    for name in ("csf", "region"):
        assert abs(maps[name][fluid & inside].mean()) < 1e-5
    assert abs(maps["brain"][fluid & inside].mean()) > 1e-4


def test_a_mask_from_quality_keeps_the_void_that_the_reliable_one_leaves_out(petechia, files):
    """A dead ball in the tissue: all phases of noise, and next to no signal."""
    x, y, z = (axis - (n - 1) / 2 for axis, n in zip(np.indices(SHAPE), SHAPE, strict=True))
    void, rng = (x - 6) ** 2 + y**2 + z**2 < 3.5**2, np.random.default_rng(1)
    core = (x - 6) ** 2 + y**2 + z**2 < 2**2
    for n in (1, 2, 3):
        for letter, noise in (("m", rng.rayleigh(4, SHAPE)), ("p", rng.uniform(-3, 3, SHAPE))):
            image = read_nifti(files / f"{letter}{n}.nii.gz").only
            dead = np.where(void, noise, image).astype(np.float32)
            write_nifti(files / f"{letter}{n}.nii.gz", dead, GRID)
    out, reliable, quality = (files / f"{name}.nii.gz" for name in ("out", "reliable", "quality"))
    said = petechia("mask", echoes(files, "m"), out, "--mask", files / "mask.nii.gz",
                    "--phase", echoes(files, "p"), "--te", times(),
                    "--reliable", reliable, "--quality", quality)  # fmt: skip
    assert said.code == 0, said.err
    assert "filled holes" in said.out
    mask = read_nifti(files / "mask.nii.gz").only > 0
    filled, open_ = read_nifti(out).only > 0, read_nifti(reliable).only > 0
    assert filled[void].all()
    assert not open_[core].any()
    assert not (filled & ~mask).any()
    assert open_[mask].mean() > 0.85
    assert np.median(read_nifti(quality).only[mask]) > 0.6


def test_r2star_with_its_maps(petechia, files):
    out, t2star, s0 = (files / f"{name}.nii.gz" for name in ("r", "t", "s"))
    said = petechia("r2star", "--mag", echoes(files, "m"), "--te", times(), "--mask",
                    files / "mask.nii.gz", out, "--t2star", t2star, "--s0", s0)  # fmt: skip
    assert said.code == 0, said.err
    inside = read_nifti(files / "mask.nii.gz").only > 0
    r2star = read_nifti(out).only
    assert np.median(r2star[inside]) == pytest.approx(20, rel=0.05)
    assert not r2star[~inside].any()
    assert np.allclose(read_nifti(t2star).only[r2star > 5], 1 / r2star[r2star > 5], rtol=1e-4)
    assert np.median(read_nifti(s0).only[inside]) == pytest.approx(1000, rel=0.05)


def test_two_echoes_of_r2star_are_told_which_method(petechia, files):
    words = ["--mag", files / "m1.nii.gz", files / "m2.nii.gz", "--te", "0.006", "0.013"]
    said = petechia("r2star", *words, "--method", "arlo", files / "r.nii.gz")
    assert said.code == 2
    assert "arlo needs 3 echoes or more, not 2" in said.err
    assert "loglinear" in said.err
    assert petechia("r2star", *words, "--method", "loglinear", files / "r.nii.gz").code == 0
    assert petechia("r2star", *words, "--", files / "r.nii.gz").code == 0  # nonlinear takes two


def test_a_field_keeps_its_gradients_out_of_r2star(petechia, files):
    """Twenty hertz from voxel to voxel: the last echo is dead, and only it."""
    slope = (np.indices(SHAPE)[0] * 20.0 + 1).astype(np.float32)
    write_nifti(files / "f.nii.gz", slope, GRID)
    (files / "f.json").write_text('{"Units": "Hz"}')
    for n, te in enumerate(TE, start=1):
        lost = 0.3 if n == 3 else 1.0
        one = np.full(SHAPE, 1000 * lost * np.exp(-20 * te), np.float32)
        write_nifti(files / f"d{n}.nii.gz", one, GRID)
    words = ["r2star", "--mag", echoes(files, "d"), "--te", times(), "--noise-sd", "1"]
    rates = {}
    for name, more in {"with": ["--field", files / "f.nii.gz", "--b0", "3"], "without": []}.items():
        said = petechia(*words, *more, "--", files / "r.nii.gz")
        assert said.code == 0, said.err
        rates[name] = float(np.median(read_nifti(files / "r.nii.gz").only))
    assert rates["with"] == pytest.approx(20, rel=0.01)
    assert rates["without"] > 60
    said = petechia(*words, "--field", files / "f.nii.gz", "--", files / "r.nii.gz")
    assert said.code == 2
    assert "--b0 is missing" in said.err


def test_swi_and_its_projection(petechia, files):
    swi, mip = files / "swi.nii.gz", files / "mip.nii.gz"
    words = [
        "--mag",
        echoes(files, "m"),
        "--te",
        times(),
        "--b0",
        "3",
        "--mask",
        files / "mask.nii.gz",
    ]
    said = petechia(
        "swi", *words, "--phase", echoes(files, "p"), "--phase-sign", "+1", swi, "--mip", mip
    )
    assert said.code == 0, said.err
    weighted, lowest = read_nifti(swi).only, read_nifti(mip).only
    inside = read_nifti(files / "mask.nii.gz").only > 0
    assert (lowest[inside] <= weighted[inside] + 1e-3).all()
    assert weighted[17, 16, 15] < 0.7 * np.median(weighted[inside])  # the bead is dark
    said = petechia(
        "swi", *words, "--phase", echoes(files, "p"), "--phase-sign", "+1", "--method",
        "clear_swi", "--set", "strength=6", "--slab", "3", "--", files / "clear.nii.gz",
    )  # fmt: skip
    assert said.code == 0, said.err
    clear = read_nifti(files / "clear.nii.gz").only
    assert clear[17, 16, 15] < 0.7 * np.median(clear[inside])
    said = petechia(
        "swi", *words, "--phase", echoes(files, "p"), "--set", "powr=6", files / "no.nii"
    )
    assert "unknown setting powr" in said.err
    said = petechia("swi", *words, files / "no.nii.gz")
    assert "--phase is missing" in said.err


def test_mask_of_a_crop_says_how_it_was_found(petechia, files):
    said = petechia("mask", echoes(files, "m"), files / "found.nii.gz")
    assert said.code == 0, said.err
    assert "mL of brain, found by: crop" in said.out
    assert "no whole head" in said.out
    image = nib.load(files / "found.nii.gz")
    assert image.get_data_dtype() == np.uint8
    inside = read_nifti(files / "mask.nii.gz").only > 0
    assert image.get_fdata()[inside].mean() > 0.99


def test_units_of_the_phase_are_taken_from_its_sidecar(petechia, files):
    quiet = np.linspace(-0.7, 0.4, np.prod(SHAPE)).reshape(SHAPE).astype(np.float32)
    write_nifti(files / "q.nii.gz", quiet, GRID)
    words = ["unwrap", "--phase", files / "q.nii.gz", "--te", "0.01", files / "u.nii.gz"]
    assert "Give --phase-scale K" in petechia(*words).err
    (files / "q.json").write_text('{"Units": "rad"}')
    assert petechia(*words).code == 0
    assert np.allclose(np.diff(read_nifti(files / "u.nii.gz").only - quiet), 0, atol=1e-5)


def test_detect_writes_labels_and_their_table(petechia, files):
    said = petechia("detect", "--mag", echoes(files, "m"), "--phase", echoes(files, "p"), "--te", times(),
                    "--b0", "3", "--mask", files / "mask.nii.gz", files / "found.nii.gz")  # fmt: skip
    assert said.code == 0, said.err
    labels = read_nifti(files / "found.nii.gz").only
    head, *rows = (files / "found.tsv").read_text().splitlines()
    assert head.startswith("index\tname\tclass\tsign\tprobability\tcounted")
    columns = head.split("\t")
    assert {"iron_ug", "iron_se_ug", "criteria", "source_x_mm", "ct_hu"} <= set(columns)
    assert {int(row.split("\t")[0]) for row in rows} == set(np.unique(labels).astype(int)) - {0}
    at = [columns.index(name) for name in ("x_mm", "y_mm", "z_mm")]
    middle = GRID.to_mm((np.array(SHAPE) - 1) / 2)
    near = [np.linalg.norm([float(row.split("\t")[i]) for i in at] - middle) for row in rows]
    assert min(near) < 2.5  # the bead is among the findings
    told = json.loads((files / "found.json").read_text())
    assert told["operating_point"]["name"] == "balanced"
    assert told["counts"]["total"] == sum(
        r.split("\t")[columns.index("counted")] == "1" for r in rows
    )
    low, high = told["count_interval_95"]
    assert f"interval {low} to {high}" in said.out
    assert told["research_use_only"] in said.out


def test_detect_counts_at_the_point_that_was_asked_for(petechia, files):
    words = ["detect", "--mag", files / "m3.nii.gz", "--te", "0.02", "--b0", "3",
             "--mask", files / "mask.nii.gz"]  # fmt: skip
    points = []
    for name in ("screening", "counting"):
        said = petechia(*words, "--operating-point", name, files / f"{name}.nii.gz")
        assert said.code == 0, said.err
        points.append(json.loads((files / f"{name}.json").read_text())["operating_point"])
    assert [p["name"] for p in points] == ["screening", "counting"]
    assert points[0]["threshold"] < points[1]["threshold"]
    assert petechia(*words, "--operating-point", "often", files / "o.nii.gz").code == 2


def test_a_table_that_cannot_be_written_is_told_before_the_work(petechia, files):
    (files / "x.tsv").mkdir()
    said = petechia("detect", "--mag", files / "m3.nii.gz", "--te", "0.02", "--b0", "3",
                    "--mask", files / "mask.nii.gz", files / "x.nii.gz")  # fmt: skip
    assert said.code == 2
    assert "x.tsv: is a folder. It is written beside x.nii.gz" in said.err
    assert not (files / "x.nii.gz").exists()


def test_regions_of_what_is_no_head_are_refused(petechia, files):
    said = petechia(
        "regions", files / "m1.nii.gz", files / "r.nii.gz", "--mask", files / "mask.nii.gz"
    )
    assert said.code == 2
    assert "Sites are not named when the template does not fit" in said.err
    assert not (files / "r.nii.gz").exists()


@pytest.mark.xdist_group("road")
def test_regions_of_a_head_and_their_table(petechia, tiny_dataset, tiny_output, tmp_path):
    magnitude = next(tiny_dataset.rglob("*echo-3_part-mag*.nii.gz"))
    mask = next(tiny_output.rglob("*_desc-brain_mask.nii.gz"))
    said = petechia("regions", magnitude, tmp_path / "r.nii.gz", "--mask", mask)
    assert said.code == 0, said.err
    labels = read_nifti(tmp_path / "r.nii.gz").only.astype(int)
    head, *rows = (tmp_path / "r.tsv").read_text().splitlines()
    assert head == "index\tname\tsite\tside\tcompartment"
    told = {int(row.split("\t")[0]) for row in rows}
    assert set(np.unique(labels)) - {0} <= told
    assert len(np.unique(labels)) > 15


@pytest.mark.xdist_group("road")
def test_a_scan_too_coarse_is_not_searched(petechia, tiny_dataset, tiny_output, tmp_path):
    magnitude = next(tiny_dataset.rglob("*echo-3_part-mag*.nii.gz"))
    mask = next(tiny_output.rglob("*_desc-brain_mask.nii.gz"))
    said = petechia("detect", "--mag", magnitude, "--mask", mask, tmp_path / "d.nii.gz")
    assert said.code == 2
    assert "2.4 mm voxels, TE 20 ms: microbleeds (2 to 10 mm) not assessable. " in said.err
    assert not (tmp_path / "d.nii.gz").exists()


# --- bad words and files

P, M = "{place}/p1.nii.gz", "{place}/m1.nii.gz"
OUT = "{place}/out.nii.gz"
BAD = {
    "an output that is the input": (["mask", M, M], r"m1\.nii\.gz: is read or written by this command"),
    "one output twice": (["r2star", "--mag", M, "--te", "0.01", OUT, "--s0", OUT], r"is read or written"),
    "an output without .nii": (["mask", M, "{place}/out.txt"], r"out\.txt: not the name of a NIfTI file"),
    "an output that is a folder": (["mask", M, "{place}/folder.nii"], r"folder\.nii: is a folder"),
    "an output below a file": (["mask", M, "{place}/m1.nii.gz/out.nii"], r"cannot be written"),
    "an output nowhere": (["mask", M, "/proc/out.nii.gz"], r"/proc: cannot be written"),
    "no file": (["mask", "{place}/none.nii.gz", OUT], r"none\.nii\.gz: no such file"),
    "a folder for a file": (["mask", "{place}", OUT], r"a folder, not a file"),
    "a phase for a magnitude": (["mask", P, OUT], r"of its voxels are below 0\. Is this a phase"),
    "magnitude for phase": (["unwrap", "--phase", M, "--te", "0.01", OUT], r"m1\.nii\.gz.*Give --phase-scale"),
    "times that do not fit": (["unwrap", "--phase", P, "--te", "0.01,0.02", OUT], r"--te: 2 echo times .* for 1"),
    "a field without tesla": (["unwrap", "--phase", P, "--te", "0.01", "--field", OUT, "{place}/u.nii"], r"--field: --b0 is missing"),
    "no tesla": (["unwrap", "--phase", P, "--te", "0.01", "--b0", "0", OUT], r"--b0: 0\.0 is outside"),
    "magnitudes too few": (["unwrap", "--phase", P, "{place}/p2.nii.gz", "--mag", M, "--te", "0.01,0.02", "--", OUT], r"--mag: magnitude .* and phase .* differ"),
    "a mask of another grid": (["unwrap", "--phase", P, "--te", "0.01", "--mask", "{place}/small.nii.gz", OUT], r"small\.nii\.gz: shape \(5, 5, 5\) differs"),
    "a method we lack": (["unwrap", "--phase", P, "--te", "0.01", "--method", "best", OUT], r"--method: no method 'best'.*romeo"),
    "a setting we lack": (["background", P, OUT, "--mask", M, "--set", "radius=3"], r"VsharpParams: unknown setting radius = 3.*radius_max_mm"),
    "a setting without value": (["background", P, OUT, "--mask", M, "--set", "radius_max_mm"], r"--set: 'radius_max_mm' is not name=value"),
    "a setting out of range": (["background", P, OUT, "--mask", M, "--set", "radius_max_mm=-1"], r"radius_max_mm: -1 is outside"),
    "a setting that is a word": (["background", P, OUT, "--mask", M, "--set", "radius_max_mm=wide"], r"radius_max_mm = 'wide' is not a number"),
    "no mask": (["invert", P, OUT], r"petechia invert: the following arguments are required: --mask"),
    "edges of no magnitude": (["invert", P, OUT, "--mask", M, "--b0", "3", "--method", "medi"], r"no magnitude to take the edges from.*--magnitude FILE"),
    "weights of another grid": (["invert", P, OUT, "--mask", M, "--weights", "{place}/small.nii.gz"], r"small\.nii\.gz: shape"),
    "csf without R2*": (["invert", P, OUT, "--mask", M, "--b0", "3", "--reference", "csf"], r"no R2\* to find CSF by.*--r2star FILE"),
    "a reference that is no file": (["invert", P, OUT, "--mask", M, "--reference", "wm"], r"wm: no such file"),
    "quality of no phase": (["mask", M, OUT, "--reliable", "{place}/r.nii.gz"], r"--reliable: --phase is missing"),
    "quality of other echoes": (["mask", M, OUT, "--mask", M, "--phase", P, "--te", "0.01,0.02"], r"2 echo times"),
    "a sheared echo": (["r2star", "--mag", "{place}/sheared.nii.gz", "--te", "0.01", OUT], r"sheared\.nii\.gz: sheared: two axes .* 73\.3 degrees"),
    "a sheared scan": (["detect", "--mag", "{place}/sheared.nii.gz", "--te", "0.01", "--b0", "3", OUT], r"sheared\.nii\.gz: sheared: two axes"),
    "a sheared field": (["background", "{place}/sheared.nii.gz", OUT, "--mask", M], r"sheared\.nii\.gz: sheared: two axes"),
    "a sheared local field": (["invert", "{place}/sheared.nii.gz", OUT, "--mask", M], r"sheared\.nii\.gz: sheared: two axes"),
    "a sheared image of veins": (["vessels", "{place}/sheared.nii.gz", OUT], r"sheared\.nii\.gz: sheared: two axes"),
    "a magnitude of another grid": (["unwrap", "--phase", P, "--mag", "{place}/moved.nii.gz", "--te", "0.01", OUT], r"moved\.nii\.gz: its affine lies up to 50 mm"),
    "a setting twice": (["invert", P, OUT, "--mask", M, "--set", "strength=0.1", "--set", "strength=0.3"], r"--set: strength is given twice"),
    "weights that tkd does not read": (["invert", P, OUT, "--mask", M, "--method", "tkd", "--weights", M], r"--weights: not used by --method tkd\. .*a method that reads it: .*\btv\b"),
    "a magnitude that tv does not read": (["invert", P, OUT, "--mask", M, "--magnitude", M], r"--magnitude: not used by --method tv"),
    "weights that vsharp does not read": (["background", P, OUT, "--mask", M, "--weights", M], r"--weights: not used by --method vsharp\. .*: pdf"),
    "noise that arlo does not read": (["r2star", "--mag", M, "--te", "0.01", OUT, "--method", "arlo", "--noise-sd", "3"], r"--noise-sd: not used by --method arlo\. .*: nonlinear"),
    "slices that loglinear does not read": (["r2star", "--mag", M, "--te", "0.01", OUT, "--method", "loglinear", "--acquisition", "2D"], r"--acquisition: not used by --method loglinear"),
    "noise without end": (["r2star", "--mag", M, "{place}/m2.nii.gz", "--te", "0.006,0.013", "--noise-sd", "inf", "--", OUT], r"noise_sd: inf is outside"),
    "noise above all": (["r2star", "--mag", M, "{place}/m2.nii.gz", "--te", "0.006,0.013", "--noise-sd", "5000", "--", OUT], r"noise_sd: 5000\.0 is outside"),
    "a phase for the edges": (["invert", P, OUT, "--mask", M, "--method", "medi", "--magnitude", P], r"--magnitude .*p1\.nii\.gz: .* below 0\. Is this a phase"),
    "no signal for the edges": (["invert", P, OUT, "--mask", M, "--method", "medi", "--magnitude", "{place}/zeros.nii.gz"], r"zeros\.nii\.gz: all voxels are 0"),
    "weights of nothing": (["invert", P, OUT, "--mask", M, "--method", "two_pass", "--weights", "{place}/zeros.nii.gz"], r"zeros\.nii\.gz: weights are 0 in the whole mask"),
    "weights of nothing around": (["background", P, OUT, "--mask", M, "--method", "pdf", "--weights", "{place}/zeros.nii.gz"], r"zeros\.nii\.gz: weights are 0 in the whole mask"),
    "no facts": (["detect", "--mag", M, OUT], r"m1\.nii\.gz: no echo time"),
}  # fmt: skip


@pytest.mark.parametrize(("words", "message"), BAD.values(), ids=BAD.keys())
def test_bad_words_and_files_are_told_before_anything_is_written(words, message, petechia, files):
    write_nifti(
        files / "small.nii.gz",
        np.ones((5, 5, 5), np.float32),
        Grid.from_spacing((5, 5, 5), (1, 1, 1)),
    )
    leaning = np.eye(4)
    leaning[0, 1] = 0.3
    write_nifti(files / "sheared.nii.gz", np.ones(SHAPE, np.float32), Grid(SHAPE, leaning))
    moved = np.eye(4)
    moved[0, 3] = 50 + GRID.affine[0, 3]
    write_nifti(files / "moved.nii.gz", np.ones(SHAPE, np.float32), Grid(SHAPE, moved))
    write_nifti(files / "zeros.nii.gz", np.zeros(SHAPE, np.float32), GRID)
    (files / "folder.nii").mkdir()
    before = {path: path.read_bytes() for path in files.iterdir() if path.is_file()}
    said = petechia(*(word.format(place=files) for word in words))
    assert said.code == 2
    assert len(said.err.strip().splitlines()) == 1
    assert re.search(message, said.err), said.err
    assert {path: path.read_bytes() for path in files.iterdir() if path.is_file()} == before


def test_sources_apart_and_what_was_assumed(petechia, files):
    common = ["--mag", echoes(files, "m"), "--phase", echoes(files, "p"), "--te", times()]
    common += ["--b0", "3", "--mask", files / "mask.nii.gz", "--phase-sign", "+1"]
    one, other, valid = (files / f"{n}.nii.gz" for n in ("iron", "calcium", "valid"))
    said = petechia("separate", *common, one, other, "--valid", valid)
    assert said.code == 0, said.err
    assert "R2' is R2* less 12.3 /s, assumed for all tissue" in said.out
    positive, negative = read_nifti(one).only, read_nifti(other).only
    known = read_nifti(valid).only > 0
    assert positive.min() >= 0
    assert negative.max() <= 0
    assert not positive[~known].any()
    assert positive.any()
    said = petechia("separate", *common, "--r2", "20", "--r2prime", valid, one, other)
    assert said.code == 2
    assert "more than one of --r2" in said.err


def test_vessels_of_an_image_bright_or_dark(petechia, files):
    x, y, _ = (axis - n // 2 for axis, n in zip(np.indices(SHAPE), SHAPE, strict=True))
    image = np.exp(-(x**2 + y**2) / 4).astype(np.float32)
    write_nifti(files / "bright.nii.gz", image, GRID)
    write_nifti(files / "dark.nii.gz", 3 - image, GRID)
    for name, words in (("bright", []), ("dark", ["--dark"])):
        said = petechia("vessels", files / f"{name}.nii.gz", files / "v.nii.gz", *words)
        assert said.code == 0, said.err
        found = read_nifti(files / "v.nii.gz").only
        assert found[17, 16, 15] > 0.5 > 10 * found[5, 5, 15]
