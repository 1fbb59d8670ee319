"""The NIfTI files that a scan was analysed from, found again by what its summary tells.

Files without sidecars, or named one by one, do not say by themselves what they are. The
summary does: name and hash of each, its role and echo times, and the field.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from petechia.errors import FileError
from petechia.files.echo_parts import Image
from petechia.files.images import scan_ref
from petechia.files.nifti import is_nifti, sha256_of
from petechia.files.scan import ScanName, ScanRef
from petechia.files.sidecars import IMAGINARY, MAGNITUDE, REAL
from petechia.files.walk import names_below


class Folder:
    """The NIfTI files below a folder, by their names; listed once.

    Parameters
    ----------
    root : Path
        Searched with its subfolders. Without a folder there is no file.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._names: dict[str, list[str]] = {}
        for name in filter(is_nifti, names_below(root)[0]):
            self._names.setdefault(PurePosixPath(name).name, []).append(name)

    def find(self, shown: str, sha256: str) -> Path | None:
        """Return the file that was called `shown`; among several the one with these bytes.

        Its folders are those it had below INPUT, or others when it was moved.
        """
        named = self._names.get(PurePosixPath(shown).name, [])
        alike = [name for name in named if f"/{name}".endswith(f"/{shown}")]
        paths = [self.root / name for name in alike or named]
        return paths[0] if len(paths) == 1 else _of_bytes(paths, sha256)


def _of_bytes(paths: Sequence[Path], sha256: str) -> Path | None:
    for path in paths:
        try:
            if sha256_of(path) == sha256:
                return path
        except OSError:
            continue
    return None


def analysed_again(folder: Folder, name: ScanName, summary: Mapping[str, Any]) -> ScanRef | None:
    """Return the reference to the magnitude of a scan of NIfTI files; None: not all are there.

    Parameters
    ----------
    folder : Folder
        Where they may lie.
    name : ScanName
        What the scan is called.
    summary : mapping
        Of its run.
    """
    try:
        told = summary["source"]["images"]
        hashes, b0_t = summary["input_sha256"], float(summary["protocol"]["b0_t"])
        roles = {one["role"] for one in told.values()}
        wanted = {MAGNITUDE} if MAGNITUDE in roles else {REAL, IMAGINARY}
        chosen = {shown: one for shown, one in told.items() if one["role"] in wanted}
        images = [
            Image(
                path=str(folder.find(shown, hashes[shown]) or ""),
                shown=shown,
                role=one["role"],
                te_s=tuple(float(te) for te in one["te_s"]),
                b0_t=b0_t,
            )
            for shown, one in chosen.items()
        ]
    except (KeyError, TypeError, ValueError, AttributeError, FileError):
        return None
    if not images or not all(image.path for image in images):
        return None
    return scan_ref(name, "NIfTI", images)
