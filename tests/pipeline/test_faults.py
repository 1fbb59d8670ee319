"""Which faults are tried again."""

import errno

import pytest

from petechia.errors import FileError, ParameterError
from petechia.files.writing import output_error
from petechia.pipeline.faults import again


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.EIO, "input/output error"), "later"),
        (OSError(errno.ESTALE, "stale file handle"), "later"),
        (OSError(errno.ENOSPC, "no space"), "elsewhere"),
        (MemoryError(), "elsewhere"),
        (FileNotFoundError(errno.ENOENT, "no such file"), "no"),
        (PermissionError(errno.EACCES, "denied"), "no"),
        (FileError("truncated or corrupt NIfTI", where="x", mend="y"), "no"),
        (ParameterError("a", where="x", mend="y"), "no"),
        (ZeroDivisionError(), "no"),
    ],
)
def test_only_what_may_pass_is_tried_again(error, told):
    assert again(error) == told


def test_our_own_errors_stand_on_those_of_the_system(tmp_path):
    full = OSError(errno.ENOSPC, "no space")
    ours = output_error(full, tmp_path)
    ours.__cause__ = full
    assert again(ours) == "elsewhere"


def test_errors_raised_from_each_other_come_to_an_end():
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert again(one) == "no"
