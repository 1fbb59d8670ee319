"""What a finished run left: summary, table and volumes, or clearly why they cannot be read."""

import csv
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from petechia.core.grid import Grid
from petechia.errors import FileError

_BROKEN = (OSError, EOFError, ValueError, zlib.error, nib.filebasedimages.ImageFileError)


def read_summary(path: Path) -> Mapping[str, Any]:
    """Return a summary that has a fingerprint.

    Raises
    ------
    FileError
        It is not there, or no such summary.
    """
    try:
        read = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise FileError(
            f"no summary that can be read ({type(error).__name__})",
            where=path.name,
            mend="Run the scan first: this is made from finished results.",
        ) from error
    if not isinstance(read, dict) or not isinstance(read.get("fingerprint"), str):
        raise FileError(
            "the summary has no fingerprint", where=path.name, mend="Run the scan again."
        )
    return read


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table as text; `FileError` when it cannot be read."""
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    except (OSError, ValueError, csv.Error) as error:
        raise _unreadable(path, error) from error


def read_volume(path: Path) -> tuple[npt.NDArray[Any], Grid]:
    """Return the voxels of a map or label image as they are stored, and its grid.

    Raises
    ------
    FileError
        It cannot be read.
    """
    try:
        image: Any = nib.load(path)
        return np.asarray(image.dataobj), Grid(image.shape, image.affine)
    except _BROKEN as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> FileError:
    return FileError(
        f"cannot be read ({type(error).__name__})", where=path.name, mend="Run the scan again."
    )
