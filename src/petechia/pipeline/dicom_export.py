"""Results of a finished scan as DICOM: read from the output folder, referred to its source."""

import logging
from pathlib import Path

import numpy as np

from petechia.errors import FileError, InputError
from petechia.files.dicom.results.origin import Origin
from petechia.files.dicom.results.write import FOLDER, Results, write_results
from petechia.files.finished import read_rows, read_summary, read_volume
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

    summary = read_summary(tree.path("summary", name))
    labels, grid = read_volume(tree.path("findings", name))
    findings = read_rows(tree.table_path("findings", name))
    volumes = {
        key: np.asarray(read_volume(tree.path(key, name))[0], dtype=np.float32)
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


def reference_for(tree: OutputTree, name: ScanName, place: Path) -> Origin:
    """Return the scan of a DICOM folder that has the voxels of a scan's results.

    Raises
    ------
    FileError
        None of the folder's scans fits, with the reason of each.
    """
    from petechia.files.dicom import find_dicom_scans

    labels, grid = read_volume(tree.path("findings", name))
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
