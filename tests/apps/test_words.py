"""Words on the command line, in whatever order people write them."""

import argparse
from pathlib import Path

import pytest

from petechia.apps.cli import run
from petechia.apps.cli.words import items, numbers, pairs, settle
from petechia.errors import ParameterError


def parsed(*words):
    parser = argparse.ArgumentParser(allow_abbrev=False)
    run.arguments(parser)
    return parser.parse_args(settle(parser, words, run.positionals(list(words))))


@pytest.mark.parametrize(
    "words",
    [
        "BIDS OUT participant --participant-label 01 02 --n-procs 2",
        "BIDS OUT participant --n-procs 2 --participant-label 01 --participant-label 02",
        "--participant-label 01 02 BIDS OUT participant --n-procs 2",
        "--participant-label 01,02 BIDS OUT participant --n-procs 2",
        "--n-procs 2 --participant-label 01 02 -- BIDS OUT participant",
        "BIDS --participant-label 01 02 OUT participant --n-procs 2",
        "BIDS OUT --participant-label=01,02 participant --n-procs=2",
    ],
)
def test_list_options_never_swallow_the_positionals(words):
    args = parsed(*words.split())
    assert (args.input.name, args.output.name, args.level) == ("BIDS", "OUT", "participant")
    assert items(args.participant_label) == ["01", "02"]
    assert args.n_procs == 2


def test_after_two_dashes_everything_is_a_place():
    args = parsed("--dry-run", "--", "-dash", "--force")
    assert (args.input, args.output) == (Path("-dash"), Path("--force"))
    assert args.dry_run
    assert not args.force


def test_two_lists_before_the_positionals():
    args = parsed(
        *["--steps", "swi", "r2star", "--session-label", "1", "2", "IN", "OUT", "--dry-run"]
    )
    assert items(args.steps) == ["swi", "r2star"]
    assert items(args.session_label) == ["1", "2"]
    assert (args.input.name, args.output.name) == ("IN", "OUT")
    assert args.dry_run


def test_files_named_one_by_one_need_no_positionals():
    args = parsed(
        *[
            "--mag",
            "a.nii",
            "b.nii",
            "--phase",
            "c.nii,d.nii",
            "--te",
            "0.01",
            "0.02",
            "--b0",
            "3",
            "--out",
            "O",
        ]
    )
    assert items(args.mag) == ["a.nii", "b.nii"]
    assert items(args.phase) == ["c.nii", "d.nii"]
    assert numbers(args.te, "--te") == (0.01, 0.02)
    assert args.input is None


def test_a_negative_sign_is_a_value_and_not_an_option():
    assert parsed("IN", "OUT", "--phase-sign", "-1").phase_sign == "-1"


def test_a_word_that_is_no_number_is_named():
    with pytest.raises(ParameterError, match=r"--te: 'abc' is not a number.*0\.005"):
        numbers(["0.01,abc"], "--te")


def test_method_settings_are_toml_values_or_text():
    assert pairs(["a=0.5", "b=true", "c=word"], "--set") == {"a": 0.5, "b": True, "c": "word"}
    with pytest.raises(ParameterError, match="'threshold' is not name=value"):
        pairs(["threshold"], "--set")
    with pytest.raises(ParameterError, match="--set: a is given twice"):
        pairs(["a=1", "b=2", "a =1"], "--set")
