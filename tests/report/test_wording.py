"""Text made safe, and numbers made readable."""

import pytest

from petechia.report.wording import (
    count_of,
    moment_text,
    number_text,
    plain,
    setting_text,
    size_text,
    te_text,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/a/b", "[path]"),
        ("see /a/b/c.nii.gz: bad", "see [path]: bad"),
        ("(~/a/b) (./a/b) (../a/b)", "([path]) ([path]) ([path])"),
        ("see /a/Jane Doe/b.nii twice", "see [path] twice"),
        ("/a/Jane Doe: no scan", "[path]: no scan"),
        ("/jane: no scan", "[path]: no scan"),
        ("C:\\Jane Doe\\x is bad", "[path] is bad"),
        (r"C:\a\b, c:/a, \\server\share\x", "[path], [path], [path]"),
        ("file:///a/b x file:/a", "[path] x [path]"),
        ("where=/a/b,/c/d", "where=[path],[path]"),
        ("https://doi.org/10.1002/mrm.28563", "https://doi.org/10.1002/mrm.28563"),
        ("20 1/s, ppm/mm, and/or, 3 / 4, left/right", "20 1/s, ppm/mm, and/or, 3 / 4, left/right"),
        ("signal: 5:1", "signal: 5:1"),
        (" sub-01/anat ", "sub-01/anat"),
        (3.5, "3.5"),
    ],
)
def test_places_of_files_are_taken_out_and_nothing_else(text, shown):
    assert plain(text) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "not set"),
        (True, "yes"),
        (False, "no"),
        (0.00020000000001, "0.0002"),
        (80, "80"),
        ([1, 2.5], "1, 2.5"),
        ((), "none"),
        ({}, "none"),
        ({"a": [1]}, "a 1"),
        ("tv", "tv"),
        ("doe_mask.nii.gz", "a file given by the user"),
        ("doe/mask.nii", "a file given by the user"),
        ("/doe", "a file given by the user"),
        ("D:\\doe", "a file given by the user"),
        ("mask given: /a/b/doe", "mask given: [path]"),
    ],
)
def test_settings(value, shown):
    assert setting_text(value) == shown


def test_numbers():
    assert number_text("-1.2345", 2, "ppm") == "\N{MINUS SIGN}1.23 ppm"
    assert number_text("-0.001", 2) == "0.00"
    for nothing in ("n/a", None, "", "nan", "inf"):
        assert number_text(nothing, 2, "mm") == "not measured"
    assert moment_text("2.31", "0.1") == "2.31 ± 0.10 ppm mm³"
    assert moment_text("2.3", "n/a") == "2.30 ppm mm³"
    assert moment_text("n/a", "0.1") == "not measured"


def test_lengths_and_times():
    assert te_text(0.00765) == "7.65 ms"
    assert te_text(None) == "not stated"
    assert (
        size_text([0.9, 0.9, 5]).replace("\N{MULTIPLICATION SIGN}", "x") == "0.90 x 0.90 x 5.00 mm"
    )
    assert size_text(None) == size_text([1, None, 2]) == "not stated"


def test_counts_of_kinds():
    assert count_of("vessel", 1) == "1 vessel"
    assert count_of("vessel", 3) == "3 vessels"
    assert count_of("new_kind", 2) == "2 new kind"
