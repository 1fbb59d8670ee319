"""Results of a finished scan as DICOM: read from the output folder, referred to its source."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import uniform_filter

from petechia.contrast.projection import minimum_projection
from petechia.errors import FileError, InputError
from petechia.files.dicom.results.origin import Origin
from petechia.files.dicom.results.write import FOLDER, Results, write_results
from petechia.files.finished import read_rows, read_summary, read_volume
from petechia.files.output import OutputTree
from petechia.files.scan import ScanName, ScanRef
from petechia.files.writing import write_json
from petechia.pipeline.review.queue import scan_name

LOG = logging.getLogger(__name__)
VOLUMES = ("chi", "r2star", "swi", "mip")
"""Maps and images that become objects of their own, where there are."""
DETAIL_VOX = 5
"""Detail is what a mean over a cube of so many voxels leaves."""
SAME_DETAIL = 0.4
"""Least correlation of a magnitude's detail with that of the results' images. On simulated heads
it is 0.8 and more with images made of that magnitude, below 0.1 with those of another head."""


def export_folder(root: Path, name: ScanName) -> Path:
    """Return where the DICOM objects of a scan lie: one folder, whole when it is there."""
    return root / FOLDER / name.prefix


def record_of(tree: OutputTree, name: ScanName) -> Path:
    """Return where it stands of which results the DICOM objects of a scan were made."""
    return tree.path("log", name).with_name(f".{name.prefix}.dicom.json")


def is_stale(tree: OutputTree, name: ScanName) -> bool | None:
    """Return whether the DICOM objects of a scan were made of other results than stand now.

    None when they are not there or do not tell, being made by an earlier version.
    """
    if not export_folder(tree.root, name).is_dir():
        return None
    try:
        record = json.loads(record_of(tree, name).read_text(encoding="utf-8"))
        then = str(record["results"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    try:
        return then != _told(read_summary(tree.path("summary", name)))
    except FileError:  # the results are gone, or half written
        return True


def stale_exports(root: Path) -> list[Path]:
    """Return the folders of DICOM objects that are of other results than stand in an output."""
    tree = OutputTree(root)
    folders = sorted(folder for folder in (root / FOLDER).glob("*") if folder.is_dir())
    return [folder for folder in folders if is_stale(tree, scan_name(folder.name))]


def _told(summary: Mapping[str, Any]) -> str:
    """Return what names the results of a scan: their run, and what readers decided on them."""
    review = summary.get("review") or {}
    return f"{summary['fingerprint']} {review.get('digest', '')}".rstrip()


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
    files = write_results(export_folder(tree.root, name), results, origin)
    write_json(record_of(tree, name), {"results": _told(summary)})
    return files


def reference_for(tree: OutputTree, name: ScanName, place: Path) -> Origin:
    """Return the scan of a DICOM folder that a scan's results were made from.

    Its files are those that were analysed; or, for results of NIfTI and files that an archive
    has rewritten, it has the voxels of the results and shows the same head.

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
            _require_analysed(ref, origin, tree, name)
        except (FileError, InputError) as error:
            reasons.append(error.what)
        else:
            return origin
    raise FileError(
        f"no scan with the voxels of {name.prefix}: {'; '.join(reasons)}",
        where=str(place),
        mend="Give the DICOM folder that was analysed, or that the analysed images were "
        "converted from.",
    )


def _require_analysed(ref: ScanRef, origin: Origin, tree: OutputTree, name: ScanName) -> None:
    """Raise `FileError` when a scan on the results' grid is not the one they were made from."""
    summary = read_summary(tree.path("summary", name))
    scan = (ref.load_magnitude or ref.load)()
    known = set((summary.get("input_sha256") or {}).values())
    if all(source.sha256 in known for source in scan.sources):
        return
    te_s, grid = np.asarray(scan.echoes.te_s), scan.echoes.grid
    echo = int(np.abs(te_s - float(summary["reading_te_s"])).argmin())
    alike = _alike(origin.planes(scan.echoes.magnitude[echo], grid), origin, tree, name, summary)
    if not alike >= SAME_DETAIL:
        raise FileError(
            f"series {origin.series_number} lies on them, but is not the image that was "
            f"analysed (their detail correlates at {alike:.2f})",
            where=name.prefix,
            mend="Give the DICOM folder that the analysed images were converted from.",
        )


def _alike(
    planes: npt.NDArray[Any],
    origin: Origin,
    tree: OutputTree,
    name: ScanName,
    summary: Mapping[str, Any],
) -> float:
    """Return how detail of a magnitude (slices, rows, columns) correlates with the results'."""
    mask, grid = read_volume(tree.path("brain_mask", name))
    voxels = np.arange(mask.size).reshape(mask.shape)
    image = np.empty(mask.shape, dtype=np.float32)
    image.flat[origin.planes(voxels, grid).ravel()] = planes.ravel()  # turned as the results are

    def kept(key: str) -> npt.NDArray[np.float32]:
        return np.asarray(read_volume(tree.path(key, name))[0], dtype=np.float32)

    if tree.path("s0", name).exists():
        made = kept("s0") * np.exp(-kept("r2star") * np.float32(summary["reading_te_s"]))
    elif tree.path("swi", name).exists():
        made = kept("swi")
    else:
        made, slab_mm = kept("mip"), float(summary["settings"]["slab_mm"])
        image = minimum_projection(np.where(mask > 0, image, image.max()), grid, slab_mm)
    detail = [v - uniform_filter(v, DETAIL_VOX) for v in (image, made)]
    inside = uniform_filter((mask > 0).astype(np.float32), DETAIL_VOX) > 0.999  # not its edge
    inside &= np.isfinite(detail[0]) & np.isfinite(detail[1])
    return float(np.corrcoef(detail[0][inside], detail[1][inside])[0, 1])
