"""The command line as a new user meets it: help, words, commands, exit codes."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from petechia import __version__
from petechia.apps.cli.main import COMMANDS, build_parser

START = "import sys; from petechia.apps.cli.main import entry; sys.argv[0] = 'petechia'; entry()"


def started(*words, **options):
    """Run in a process of its own, as a shell does."""
    return subprocess.run(
        [sys.executable, "-c", START, *words], capture_output=True, text=True, **options
    )


HEAVY = ("numpy", "scipy", "numba", "nibabel", "SimpleITK", "matplotlib", "pydicom", "rich")


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["--version"]])
def test_help_comes_at_once_because_it_imports_nothing_heavy(words):
    code = (
        "import sys\nfrom petechia.apps.cli.main import main\n"
        f"assert main({words!r}) == 0\n"
        f"loaded = [n for n in {HEAVY!r} if n in sys.modules]\n"
        "assert not loaded, loaded"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_help_takes_less_than_a_third_of_a_second_beyond_python_itself():
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import petechia.apps.cli.main"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    last = done.stderr.strip().splitlines()[-1]
    assert last.endswith("petechia.apps.cli.main")
    assert int(last.split("|")[1]) < 300_000  # microseconds, all that it imports


def test_the_overview_names_every_command_and_the_purpose(petechia):
    said = petechia("--help")
    assert said.code == 0
    for command in COMMANDS:
        assert f"\n  {command} " in said.out
    assert "Research use only" in said.out
    assert petechia().code == 2  # no command is no success
    assert petechia("--version").out == f"petechia {__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_that_ends_well(command, petechia):
    for words in ((command, "--help"), ("help", command)):
        said = petechia(*words)
        assert said.code == 0
        assert said.out.startswith(f"usage: petechia {command}")
        assert "Research use only" in " ".join(said.out.split())
    assert build_parser(command).prog == f"petechia {command}"
    text = " ".join(COMMANDS[command].split())
    assert text[:1].upper() + text[1:] + "." in " ".join(said.out.split())  # names as they are


WORDS = {
    "a command misspelt": (["rnu", "a"], r"no command 'rnu'. Did you mean 'run'\?"),
    "no command": (["-x"], r"no command '-x'. Commands: run, demo"),
    "nothing to run": (["run"], r"INPUT and OUTPUT are needed. Write: petechia run INPUT"),
    "no output": (["run", "IN"], r"INPUT and OUTPUT are needed"),
    "nowhere": (["run", "no/where", "o"], r"no/where: no such file or folder.*spelling"),
    "an option misspelt": (["run", "i", "o", "--maks=m"], r"unknown words: --maks=m. Did you mean --mask\?"),
    "words too many": (["run", "a", "b", "participant", "d"], r"petechia run: unknown words: d"),
    "a value missing": (["run", "i", "o", "--n-procs"], r"argument --n-procs: expected one argument"),
    "another option for a value": (["run", "i", "o", "--mask", "--force"], r"argument --mask: expected one"),
    "a list left empty": (["run", "i", "o", "--steps"], r"argument --steps: expected one argument"),
    "no number": (["run", "i", "o", "--n-procs", "two"], r"--n-procs: 'two' is not a whole number of 1"),
    "no process": (["run", "i", "o", "--n-procs", "0"], r"--n-procs: '0' is not a whole number of 1"),
    "minus processes": (["run", "i", "o", "--n-procs", "-3"], r"--n-procs: '-3' is not a whole number"),
    "no thread": (["run", "i", "o", "--n-threads", "0"], r"--n-threads: '0' is not a whole number"),
    "a sign that is none": (["run", "i", "o", "--phase-sign", "2"], r"--phase-sign: invalid choice: '2'"),
    "a level we lack": (["run", "i", "o", "group"], r"analysis level 'group'"),
    "files without --out": (["run", "--mag", "m.nii", "--te", "0.02"], r"--out is missing"),
    "files and a folder": (["run", "IN", "--mag=m.nii", "--out", "o"], r"'IN' beside --mag"),
    "no magnitude": (["run", "--te", "0.01", "--out", "o"], r"--te was given without --mag"),
    "a file not there": (["run", "--mag", "m.nii", "--te", "0.02", "--out", "o"], r"--mag m\.nii: no such file"),
    "a folder for a file": (["run", "--mag", ".", "--te", "0.02", "--out", "o"], r"--mag \.: a folder, not a file"),
    "an empty --mag": (["run", "--mag=", "--out", "o"], r"--mag: no file given"),
    "no input after all": (["run", "", "o"], r"INPUT: an empty word.*variable of the shell"),
    "no output after all": (["run", ".", ""], r"OUTPUT: an empty word"),
    "nothing at all": (["", "o"], r"INPUT: an empty word"),
    "an empty --out": (["run", "--mag", "m.nii", "--out="], r"--out: an empty word"),
    "an empty --flair": (["run", ".", "o", "--flair", ""], r"--flair: an empty word"),
    "no one": (["run", ".", "o", "--participant-label", ""], r"-label: no participant label is named"),
    "no phase": (["run", "--mag=m.nii", "--phase=", "--out=o"], r"--phase: no phase is named"),
    "nowhere to simulate": (["simulate", ""], r"OUT: an empty word"),
    "a schema of a family": (["methods", "inversion", "--schema"], r"--schema with inversion.*one schema"),
    "a family we lack": (["methods", "magic"], r"no method 'magic'.*unwrap"),
    "no people": (["simulate", "o", "--n-subjects", "0"], r"--n-subjects: '0' is not a whole number"),
    "no such protocol": (["simulate", "o", "--protocol", "9t"], r"no protocol '9t'.*3t_tiny"),
    "less than none": (["simulate", "o", "--microbleeds", "-1"], r"n_microbleeds = -1"),
    "no such pattern": (["simulate", "o", "--pattern", "stripes"], r"pattern = 'stripes'"),
    "noise that is none": (["simulate", "o", "--snr", "nan"], r"snr = nan"),
    "more than all grown": (["simulate", "o", "--pairs", "--grown", "2"], r"2\.0 grown.*--grown 0 to 1"),
    "a seed below 0": (["simulate", "o", "--seed", "-1"], r"seed -1"),
    "a step without its file": (["mask"], r"petechia mask: the following arguments are required"),
    "a demo of what": (["demo", "x"], r"petechia demo: unknown words: x"),
}  # fmt: skip


@pytest.mark.parametrize(("words", "message"), WORDS.values(), ids=WORDS.keys())
def test_a_wrong_word_is_told_in_one_message(words, message, petechia, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = petechia(*words)
    assert said.code == 2
    assert said.err.startswith("error: ")
    assert len(said.err.strip().splitlines()) == 1
    assert re.search(message, said.err), said.err
    assert not any(tmp_path.iterdir())  # nothing was begun


SETTINGS = {
    "no step at all": (["--steps", ""], "", r"--steps: no step is named"),
    "a file's own fault": ([], "slab_mm = true", r"s\.toml, settings\.slab_mm: slab of True mm"),
    "a preset we lack": (["--preset", "hasty"], "", r"no preset 'hasty'. Choose one of fast"),
    "a point we lack": (["--operating-point", "x"], "", r"operating_point: 'x' is not a choice"),
    "a step we lack": (["--steps", "dream"], "", r"no step 'dream'. Choose from mask, unwrap"),
    "an engine we lack": (["--engine", "steam"], "", r"no method 'steam'.*local"),
    "no config": (["--config", "none.toml"], None, r"none\.toml: no such file"),
    "no TOML": ([], "a = = 1", r"not readable as TOML"),
    "a setting misspelt": ([], "slab = 5", r"unknown setting slab = 5.*slab_mm"),
    "a slab of truth": ([], "slab_mm = true", r"slab of True mm"),
    "a number for a name": ([], "inversion = 3", r"no method '3'. Choose one of hd, ilsqr, l1"),
    "a list for a name": ([], 'inversion = ["tv"]', r"no method .*tv"),
    "no table": ([], "method_settings = 3", r"method_settings: 3 is not a table"),
    "no table of a method": ([], "method_settings = {tv = 3}", r"method_settings\.tv: 3 is not a"),
    "a word for a number": ([], '[method_settings.tkd]\nthreshold = "low"', r"threshold = 'low' is not a number"),
    "a cluster that is not used": ([], "[cluster]\njobs = -1", r"\[cluster\]: -1 jobs of 1 cores"),
    "a cluster misspelt": ([], "[cluster]\npartition = 'a'", r"unknown setting 'partition'"),
    "half a number": ([], "[method_settings.tv]\niterations = 1.5", r"iterations = 1\.5 is not a whole"),
}  # fmt: skip


@pytest.mark.parametrize(("words", "config", "message"), SETTINGS.values(), ids=SETTINGS.keys())
def test_a_wrong_setting_is_told_in_one_message(
    words, config, message, petechia, noise_dataset, tmp_path
):
    if config is not None and not words:
        (tmp_path / "s.toml").write_text(config)
        words = ["--config", tmp_path / "s.toml"]
    said = petechia("run", noise_dataset(), tmp_path / "out", *words)
    assert said.code == 2
    assert len(said.err.strip().splitlines()) == 1
    assert re.search(message, said.err), said.err
    assert not (tmp_path / "out").exists()


def test_a_folder_of_persons_without_sidecars_takes_times_and_field(petechia, tmp_path):
    import numpy as np

    from petechia.core.grid import Grid
    from petechia.files.writing import write_nifti

    for sub in ("101", "203"):
        for name in ("desc-masked_T2S", "desc-masked_T1", "CMB"):
            path = tmp_path / "Task2" / f"sub-{sub}" / f"sub-{sub}_space-T2S_{name}.nii.gz"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_nifti(path, np.ones((3, 4, 5)), Grid((3, 4, 5)))
    words = ["run", tmp_path / "Task2", tmp_path / "out", "--te", "0.02", "--b0", "3", "--dry-run"]
    said = petechia(*words)
    assert said.code == 0, said.err
    assert said.out.splitlines()[:2] == ["sub-101  NIfTI  1 files", "sub-203  NIfTI  1 files"]
    assert "--subject: 'x' for 2 persons" in petechia(*words, "--subject", "x").err


def test_a_dry_run_lists_the_scans_and_touches_nothing(petechia, noise_dataset, tmp_path):
    raw = noise_dataset(subjects=("01", "02"))
    said = petechia("run", raw, tmp_path / "out", "--dry-run", "--steps", "swi")
    assert said.code == 0
    assert "sub-01  BIDS  4 files\nsub-02  BIDS  4 files\n" in said.out
    assert "2 scans; stages: mask, unwrap, background, invert, swi; nothing was run" in said.out
    assert not (tmp_path / "out").exists()


def test_a_dry_run_tells_what_would_fail_by_its_headers(petechia, noise_dataset, tmp_path):
    raw = noise_dataset(subjects=("01", "02", "03"))
    for path in raw.glob("sub-01/anat/*.json"):
        path.write_text(path.read_text().replace("3.0", "30000"))
    next(raw.glob("sub-03/anat/*echo-2_part-mag*.nii.gz")).write_bytes(b"")
    said = petechia("run", raw, tmp_path / "out", "--dry-run")
    first, told, second, third, empty, last = said.out.splitlines()
    assert (first, second, third) == (
        "sub-01  BIDS  4 files", "sub-02  BIDS  4 files", "sub-03  BIDS  4 files",
    )  # fmt: skip
    assert "    would fail: " in told
    assert "MagneticFieldStrength is 30000" in told
    assert empty.endswith("the file is empty. Copy or convert it again from the DICOM.")
    assert last.startswith("3 scans; 2 would fail; stages: mask")
    assert (said.code, said.err) == (3, "")
    one = petechia("run", raw, tmp_path / "out", "--dry-run", "--participant-label", "03")
    assert one.code == 2
    assert not (tmp_path / "out").exists()


def test_a_dry_run_of_named_files_reads_their_headers(petechia, noise_dataset, tmp_path):
    raw = noise_dataset()
    mag = sorted(raw.glob("sub-01/anat/*part-mag*.nii.gz"))
    words = ["run", "--mag", *mag, "--te", "0.01,0.02", "--out", tmp_path / "out", "--dry-run"]
    assert petechia(*words).code == 0
    mag[1].write_text("hello" * 99)
    said = petechia(*words)
    assert said.code == 2
    assert "would fail: " in said.out


def test_settings_of_a_method_that_is_not_chosen_are_told(petechia, noise_dataset, tmp_path):
    raw, config = noise_dataset(), tmp_path / "s.toml"
    config.write_text("[method_settings.tkd]\nthreshold = 0.1\n[method_settings.l2]\n")
    words = ["run", raw, tmp_path / "out", "--dry-run", "--config", config, "--preset", "fast"]
    said = petechia(*words)
    assert (said.code, said.err) == (
        0,
        "[method_settings.tkd] changes nothing: inversion is 'l2'\n",
    )


@pytest.mark.parametrize(
    "form",
    [
        "{raw} {out} participant --participant-label 02 --dry-run",
        "--participant-label 02 --dry-run -- {raw} {out} participant",
        "run {raw} {out} participant --participant-label sub-02 --dry-run",
        "run --participant-label 02 {raw} {out} --dry-run",
        "run {raw} {out} --dry-run --participant-label 02 participant",
    ],
)
def test_bids_app_forms(form, petechia, noise_dataset, tmp_path):
    raw = noise_dataset(subjects=("01", "02", "03"))
    said = petechia(*form.format(raw=raw, out=tmp_path / "out").split())
    assert said.code == 0, said.err
    assert said.out.startswith("sub-02  BIDS")
    assert "1 scan; stages" in said.out


def test_methods_in_words_and_for_programs(petechia):
    assert "romeo" in petechia("methods", "unwrap").out
    table = json.loads(petechia("methods", "--json").out)
    assert table["inversion"]["tkd"]["doi"].startswith("10.")
    assert "threshold" in table["inversion"]["tkd"]["settings"]
    assert json.loads(petechia("methods", "--schema").out)["title"] == "Petechia settings"


def test_a_closed_pipe_is_no_error_and_a_full_disk_is_told():
    piped = subprocess.run(
        f"{sys.executable} -c \"{START}\" methods --json | head -c 1; exit ${{PIPESTATUS[0]}}",
        shell=True, executable="/bin/bash", capture_output=True, text=True,
    )  # fmt: skip
    assert (piped.returncode, piped.stderr) == (0, "")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", START, "--help"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 2
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr


def test_our_own_fault_is_1_and_says_how_to_report_it(petechia, monkeypatch):
    from petechia.apps.cli import methods

    def broken(args):
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(methods, "run", broken)
    said = petechia("methods")
    assert said.code == 1
    assert "internal error: ZeroDivisionError: by nothing. This is our fault" in said.err
    assert "Traceback" not in said.err
    assert "Traceback" in petechia("methods", "--verbose").err


def test_out_of_memory_is_told_with_the_mend(petechia, monkeypatch):
    from petechia.apps.cli import methods

    def hungry(args):
        raise MemoryError

    monkeypatch.setattr(methods, "run", hungry)
    said = petechia("methods")
    assert said.code == 2
    assert "out of memory. Run fewer scans at once (--n-procs 1)" in said.err
