"""Keep results and input apart: neither may end up among the other."""

from collections.abc import Sequence
from pathlib import Path

from petechia.errors import FileError, OutputError
from petechia.files.output import DATASET_NAME
from petechia.files.sidecars import read_json

DESCRIPTION = "dataset_description.json"
_NEVER_INSIDE = ("sub-", "sourcedata", "code")


def real_place(path: Path) -> Path:
    """Return a path without symbolic links; it need not be there yet.

    Raises
    ------
    OutputError
        Its links lead in a circle, or cannot be followed.
    """
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:  # RuntimeError: a circle, in Python 3.11 and 3.12
        said = error.strerror if isinstance(error, OSError) else "its links lead in a circle"
        raise OutputError(
            f"cannot be followed to a place ({said})",
            where=str(path),
            mend="Mend the symbolic link, or name another place.",
        ) from error


def require_apart(output: Path, inputs: Sequence[Path], *, dataset: bool = False) -> None:
    """Raise `OutputError` when results at `output` would mix with, or write over, other data.

    Parameters
    ----------
    output : Path
        Folder for the results; need not be there yet.
    inputs : sequence of Path
        What is read: a folder, or files.
    dataset : bool
        True when the input is a BIDS dataset; results may then lie inside it, but for the
        folders that hold its data (`derivatives/petechia` is the usual place).

    Raises
    ------
    OutputError
        It is the input's folder, lies inside the input, is another dataset, or holds some.
    """
    place = real_place(output)
    for path in inputs:
        folder = real_place(path) if path.is_dir() else real_place(path).parent
        if place == folder:
            raise OutputError(
                "results would lie in the folder of the input",
                where=str(output),
                mend="Name another folder for the results: the input is never written to.",
            )
        if dataset and place == folder / "derivatives":
            raise OutputError(
                f"is the folder of all derivatives of {path}",
                where=str(output),
                mend=f"Name a folder of its own in it: {output / 'petechia'}.",
            )
        if path.is_dir() and folder in place.parents:
            first = place.relative_to(folder).parts[0]
            if not dataset or first.startswith(_NEVER_INSIDE):
                raise OutputError(
                    f"lies inside the input {path}, where a later run would take it for scans",
                    where=str(output),
                    mend="Name a folder outside the input"
                    + (", or its derivatives/petechia." if dataset else "."),
                )
    require_own(output, DATASET_NAME, "petechia run")
    _require_no_dataset_in(output)


def _require_no_dataset_in(place: Path) -> None:
    """Raise `OutputError` when a folder that is no dataset holds some."""
    if (place / DESCRIPTION).is_file() or not place.is_dir():
        return
    held = sorted(path.parent.name for path in place.glob(f"*/{DESCRIPTION}"))
    if held:
        raise OutputError(
            f"holds other datasets ({', '.join(held[:3])})",
            where=str(place),
            mend="Name a folder of its own for the results.",
        )


def require_own(place: Path, name: str, maker: str) -> None:
    """Raise `OutputError` when `place` is a dataset other than the one `maker` calls `name`."""
    described = place / DESCRIPTION
    if not described.is_file():
        return
    try:
        found = read_json(described).get("Name")
    except FileError:
        found = None
    if found != name:
        raise OutputError(
            f"is another dataset ({found or 'its dataset_description.json cannot be read'})",
            where=str(place),
            mend=f"Name a new folder, or one that {maker} has made.",
        )
