"""Results of a finished scan as DICOM: read from the output folder, referred to its source."""

import csv
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from petechia.core.grid import Grid
from petechia.errors import FileError, InputError
from petechia.files.dicom.results.origin import Origin
from petechia.files.dicom.results.write import FOLDER, Results, write_results
from petechia.files.output import OutputTree
from petechia.files.scan import ScanName

LOG = logging.getLogger(__name__)
VOLUMES = ("chi", "r2star", "swi", "mip")
"""Maps and images that become objects of their own, where there are."""


def export_folder(root: Path, name: ScanName) -> Path:
    """Return where the DICOM objects of a scan lie: one folder, whole when it is there."""
    return root / FOLDER / name.prefix


def export_dicom(tree: OutputTree, name: ScanName, origin: Origin) -> list[Path]:
    """Write the results of a finished scan as DICOM; return the files.

    Parameters
    ----------
    tree : OutputTree
        Where its results lie.
    name : ScanName
        The scan.
    origin : Origin
        The DICOM images it came from.

    Raises
    ------
    FileError
        The results are not there or not whole.
    GridMismatchError
        They are of other images.
    """
    from petechia.report.sheet import sheet  # brings the figure library

    summary = _summary(tree, name)
    labels, grid = _volume(tree.path("findings", name))
    findings = _rows(tree.table_path("findings", name))
    volumes = {
        key: np.asarray(_volume(tree.path(key, name))[0], dtype=np.float32)
        for key in VOLUMES
        if tree.path(key, name).exists()
    }
    shown = next(((k.upper(), volumes[k]) for k in ("swi",) if k in volumes), None)
    if shown is None and "mip" in volumes:
        shown = ("minimum projection", volumes["mip"])
    results = Results(
        grid=grid,
        labels=np.rint(labels).astype(np.int32),
        findings=findings,
        summary=summary,
        volumes=volumes,
        pdf=sheet(name.prefix, summary, findings, shown, grid),
    )
    return write_results(export_folder(tree.root, name), results, origin)


def _summary(tree: OutputTree, name: ScanName) -> Mapping[str, Any]:
    path = tree.path("summary", name)
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FileError(
            f"no summary that can be read ({type(error).__name__})",
            where=path.name,
            mend="Run the scan first: DICOM is made from finished results.",
        ) from error
    if not isinstance(read, dict) or "fingerprint" not in read:
        raise FileError(
            "the summary has no fingerprint", where=path.name, mend="Run the scan again."
        )
    return read


def _volume(path: Path) -> tuple[Any, Grid]:
    try:
        image: Any = nib.load(path)
        return np.asarray(image.dataobj), Grid(image.shape, image.affine)
    except (OSError, EOFError, ValueError, nib.filebasedimages.ImageFileError) as error:
        raise FileError(
            f"cannot be read ({type(error).__name__})", where=path.name, mend="Run the scan again."
        ) from error


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream, delimiter="\t"))
    except OSError as error:
        raise FileError(
            f"cannot be read ({error.strerror})", where=path.name, mend="Run the scan again."
        ) from error


def reference_for(tree: OutputTree, name: ScanName, place: Path) -> Origin:
    """Return the scan of a DICOM folder that has the voxels of a scan's results.

    Raises
    ------
    FileError
        None of the folder's scans fits, with the reason of each.
    """
    from petechia.files.dicom import find_dicom_scans

    labels, grid = _volume(tree.path("findings", name))
    reasons = []
    for ref in find_dicom_scans(place):
        try:
            assert ref.origin is not None
            origin = ref.origin()
            origin.planes(labels, grid)
        except (FileError, InputError) as error:
            reasons.append(error.what)
        else:
            return origin
    raise FileError(
        f"no scan with the voxels of {name.prefix}: {'; '.join(reasons)}",
        where=str(place),
        mend="Give the DICOM folder that the analysed images were converted from.",
    )
