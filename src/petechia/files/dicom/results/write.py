"""All objects of one scan into one folder, whole or not at all."""

import logging
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from petechia.core.grid import Grid
from petechia.files.dicom.headers import quietly
from petechia.files.dicom.results.identity import Identity, settle
from petechia.files.dicom.results.origin import Origin
from petechia.files.writing import output_error, whole_file

LOG = logging.getLogger(__name__)
FOLDER = "dicom"
"""Below the output folder; it names the patient as the source does."""
FILES = {"seg": "findings_seg.dcm", "sr": "findings_sr.dcm", "pdf": "report_pdf.dcm"}
MAPS = {"chi": "chi_map.dcm", "r2star": "r2star_map.dcm"}
SERIES = ("swi", "mip")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Results:
    """What a run found, as it lies in the output folder.

    Attributes
    ----------
    grid : Grid
        Of labels and volumes.
    labels : (I, J, K) ndarray of int
        Voxel value = index of the finding.
    findings : sequence of mappings
        Rows of the findings table, values as text.
    summary : mapping
        The summary file's content.
    volumes : mapping of str to (I, J, K) ndarray
        Any of chi [ppm], r2star [1/s], swi, mip.
    pdf : bytes
        The short report; empty for none.
    """

    grid: Grid
    labels: npt.NDArray[np.integer]
    findings: Sequence[Mapping[str, str]]
    summary: Mapping[str, Any]
    volumes: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    pdf: bytes = b""


def write_results(folder: Path, results: Results, origin: Origin) -> list[Path]:
    """Write what `results` hold as DICOM; return the files.

    The folder appears under its name only when every object in it is whole; an older one of
    that name is replaced.

    Parameters
    ----------
    folder : Path
        One for each scan.
    results : Results
        What was found.
    origin : Origin
        Where the scan came from.

    Raises
    ------
    GridMismatchError
        The results do not lie on the origin's voxels.
    OutputError
        A file could not be written.
    """
    part = folder.with_name(f".{folder.name}.part")
    try:
        _forget(part)
        names = []
        with quietly(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name, dataset in objects(results, origin):
                path = part / name
                with whole_file(path) as stream:
                    dataset.save_as(stream, enforce_file_format=True)
                names.append(name)
        _forget(folder)
        part.replace(folder)
    except OSError as error:
        raise output_error(error, folder) from error
    finally:
        with suppress(OSError):
            _forget(part)
    LOG.info("dicom: %d files", len(names))
    return [folder / name for name in names]


def _forget(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def objects(results: Results, origin: Origin) -> Iterator[tuple[str, Dataset]]:
    """Yield every object with its file name below the scan's folder."""
    identity = _identity(results.summary, origin)
    for kind, name, dataset in _kinds(identity, results):
        yield name, settle(dataset, identity.of(kind), kind)


def _identity(summary: Mapping[str, Any], origin: Origin) -> Identity:
    """Return who the objects are: what readers decided makes others of those it changes."""
    review, fingerprint = summary.get("review") or {}, str(summary["fingerprint"])
    if not review:
        return Identity(origin=origin, fingerprint=fingerprint)
    return Identity(
        origin=origin,
        fingerprint=fingerprint,
        review=str(review.get("digest", "")),
        standing="reviewed" if review.get("finished") else "review begun",
        decided_at=str(review.get("to") or ""),
    )


def _kinds(identity: Identity, results: Results) -> Iterator[tuple[str, str, Dataset]]:
    """Yield kind, file name and object."""
    # highdicom takes a second to import: only who writes pays
    from petechia.files.dicom.results.document import document
    from petechia.files.dicom.results.image_series import image_series
    from petechia.files.dicom.results.parametric_map import parametric_map
    from petechia.files.dicom.results.segmentation import segmentation
    from petechia.files.dicom.results.structured_report import structured_report

    origin = identity.origin
    planes = {key: origin.planes(v, results.grid) for key, v in results.volumes.items()}
    labels = origin.planes(results.labels, results.grid)
    if results.findings or results.summary["category"] != "not_assessable":
        yield (
            "seg",
            FILES["seg"],
            segmentation(
                identity, results.findings, labels, reviewed=bool(results.summary.get("review"))
            ),
        )
    yield "sr", FILES["sr"], structured_report(identity, results.findings, results.summary)
    for key, name in MAPS.items():
        if key in planes:
            yield key, name, parametric_map(identity.of(key), key, planes[key])
    te_s = float(results.summary["reading_te_s"])
    slab_mm = float(results.summary["settings"]["slab_mm"])
    for key in SERIES:
        if key in planes:
            for n, image in enumerate(
                image_series(identity.of(key), key, planes[key], te_s, slab_mm), start=1
            ):
                yield key, f"{key}/{n:04d}.dcm", image
    if results.pdf:
        yield "pdf", FILES["pdf"], document(identity, results.pdf)
