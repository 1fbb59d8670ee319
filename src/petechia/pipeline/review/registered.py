"""Images of another contrast or another exam, brought to where a scan was taken.

T1w, T2w and FLAIR of the same session, and the exam before, are registered to the scan by a
rigid map (`anatomy.companion.to_companion`). It is found once, kept beside the log, and found
anew when what it was made from changes. Until then, and where it is not believed, images lie
by the scanner's coordinates alone; `Placed.how` says which.
"""

import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.anatomy.companion import LEAST_PEAK, to_companion
from petechia.anatomy.compared import sampled
from petechia.core.grid import Grid
from petechia.errors import FileError, InputError, MetadataError, OutputError, PetechiaError
from petechia.files.nifti import read_nifti
from petechia.files.scan import SeriesImage
from petechia.files.writing import write_json
from petechia.pipeline.review.cases import FOLDER, Case, ReviewFolder
from petechia.pipeline.review.images import (
    BESIDE,
    Bytes,
    Picture,
    eight_bits,
    image_beside,
    intensity,
    pictures,
    reading_name,
    volume_of,
    whole_image,
)

LOG = logging.getLogger(__name__)
REGISTERED, SCANNER, WAITING = "registered", "scanner", "waiting"
KEPT = "registered"
"""Folder of the maps, below the log's."""
PRIOR = "prior"
OF_PRIOR = f"{PRIOR}-"
"""Begins the names of volumes of the exam before, as this scan's reader sees them."""
METHOD = 1
"""Another number: maps that were kept are found anew."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Placed:
    """Where another image lies.

    Attributes
    ----------
    how : str
        'registered', 'scanner' (by scanner coordinates only), or 'waiting' (so, until it is
        registered).
    matrix : (4, 4) ndarray of float
        Scan RAS to the other's RAS [mm].
    says : str
        How well it was registered, or why not.
    made_of : str
        Changes with what it was made from.
    """

    how: str
    matrix: npt.NDArray[np.float64]
    says: str = ""
    made_of: str = ""

    @property
    def version(self) -> str:
        """Changes with the place of the image."""
        return f"{self.made_of}{self.how[0]}"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Other:
    """Another image of the same head: `what` is a key of `images.BESIDE`, or 'prior'.

    Attributes
    ----------
    what : str
    source : Path, SeriesImage or None
        Of an anatomical image: its file, or the series of the exam.
    case : Case or None
        Of the exam before.
    """

    what: str
    source: Path | SeriesImage | None = None
    case: Case | None = None

    def made_of(self, case: Case) -> str:
        """Return what tells these two images from any others."""
        own = self.case.fingerprint if self.case is not None else _stamp(self.source)
        return sha256(f"{METHOD} {case.fingerprint} {self.what} {own}".encode()).hexdigest()[:16]


def others_of(folder: ReviewFolder, case: Case) -> dict[str, Other]:
    """Return what else there is of the same head: anatomical images, and the exam before."""
    out = {}
    for what in BESIDE:
        source = image_beside(folder, case, what)
        if source is not None:
            out[what] = Other(what=what, source=source)
    before = folder.prior(case.scan)
    if before is not None:
        with suppress(FileError):
            out[PRIOR] = Other(what=PRIOR, case=folder.case(before))
    return out


def known(case: Case, other: Other) -> Placed:
    """Return where another image lies by what is kept; 'waiting' when it was not registered yet."""
    made_of = other.made_of(case)
    with suppress(OSError, ValueError, KeyError, TypeError):
        read = json.loads(_place(case, other).read_bytes())
        matrix = np.array(read["Matrix"], dtype=np.float64)
        if read["MadeOf"] == made_of and matrix.shape == (4, 4) and np.isfinite(matrix).all():
            return Placed(how=str(read["How"]), matrix=matrix, says=read["Says"], made_of=made_of)
    return Placed(how=WAITING, matrix=np.eye(4), made_of=made_of)


def find(folder: ReviewFolder, case: Case, other: Other) -> Placed:
    """Register another image to the scan, keep the map, and return it: seconds of work."""
    made_of = other.made_of(case)
    try:
        matrix, peak = _fitted(folder, case, other)
    except PetechiaError as error:
        placed = Placed(how=SCANNER, matrix=np.eye(4), says=error.what, made_of=made_of)
    else:
        how = REGISTERED if peak >= LEAST_PEAK else SCANNER
        says = f"rigid, peak of agreement {peak:.2f}"
        if how == SCANNER:
            says = f"the two do not fit (peak of agreement {peak:.2f}, {LEAST_PEAK:g} is needed)"
            matrix = np.eye(4)
        placed = Placed(how=how, matrix=matrix, says=says, made_of=made_of)
    keep(case, other, placed)
    return placed


def keep(case: Case, other: Other, placed: Placed) -> None:
    """Write down where another image lies; without room on the disk it is found again."""
    told = {"What": other.what, "How": placed.how, "Says": placed.says, "MadeOf": placed.made_of}
    told |= {"Matrix": placed.matrix.tolist(), "About": "scan RAS to the other's RAS [mm]"}
    try:
        write_json(_place(case, other), told)
    except OutputError as error:
        LOG.warning("%s: the registration was not kept: %s", case.scan, error.what)


def _fitted(
    folder: ReviewFolder, case: Case, other: Other
) -> tuple[npt.NDArray[np.float64], float]:
    scan = whole_image(folder, case)
    if scan is None:
        raise FileError("no image of the whole head", where=case.scan, mend="Give --images.")
    moving, grid = _whole_of(folder, other)
    return to_companion(scan, case.grid, moving, grid)


def _whole_of(folder: ReviewFolder, other: Other) -> tuple[npt.NDArray[Any], Grid]:
    if other.case is None:
        return _read(other.source)
    found = whole_image(folder, other.case)
    if found is None:
        raise FileError("no image of the whole head", where=other.case.scan, mend="Run it again.")
    return found, other.case.grid


def _read(source: Path | SeriesImage | None) -> tuple[npt.NDArray[Any], Grid]:
    if source is None:
        raise FileError("it is not there any more", where="image", mend="Load the scan again.")
    try:
        if not isinstance(source, Path):
            return source.read()
        volume = read_nifti(source, finite=False)
        return np.nan_to_num(volume.only), volume.grid
    except (InputError, MetadataError) as error:
        raise FileError(error.what, where=source.name, mend=error.mend) from error


def _place(case: Case, other: Other) -> Path:
    return case.root / FOLDER / KEPT / f"{case.scan}_{other.what}.json"


def _stamp(source: Path | SeriesImage | None) -> str:
    if source is None:
        return "gone"
    if not isinstance(source, Path):  # of the exam that was analysed: the summary knows its files
        return source.name
    try:
        told = source.stat()
    except OSError:
        return "gone"
    return f"{source.name} {told.st_size} {told.st_mtime_ns}"


# --- what is shown --------------------------------------------------------------------------


def shown(
    folder: ReviewFolder, others: Mapping[str, Other], placed: Mapping[str, Placed]
) -> list[Picture]:
    """Return what there is to see of other images of the same head.

    Of the exam before, nothing until it is registered: before that it is looked at as a scan
    of its own.
    """
    out = []
    for what, other in others.items():
        at = placed[what]
        if other.case is None:
            out.append(_at(intensity(what, BESIDE[what][0], "anatomy"), at))
        elif at.how == REGISTERED:
            out += _of_prior(folder, other.case, at)
    return out


def _of_prior(folder: ReviewFolder, before: Case, at: Placed) -> list[Picture]:
    """Return the exam before, of its echoes the one that is read."""
    echoes = ("computed", reading_name(before))
    return [
        _at(replace(picture, name=OF_PRIOR + picture.name), at)
        for picture in pictures(folder, before)
        if picture.group != "magnitude" or picture.name in echoes
    ]


def _at(picture: Picture, placed: Placed) -> Picture:
    return replace(picture, placed=placed.how, says=placed.says, version=placed.version)


def brought(
    folder: ReviewFolder, case: Case, other: Other, placed: Placed, name: str
) -> Mapping[str, Bytes]:
    """Return a picture of `shown` in 8 bits, resampled to the scan's grid.

    Raises
    ------
    FileError
        It cannot be read.
    """
    if other.case is None:
        volume, grid = _read(other.source)
    else:
        volume = volume_of(folder, other.case, name.removeprefix(OF_PRIOR))
        grid = other.case.grid
    there = sampled(np.asarray(volume, np.float32), grid, placed.matrix, case.grid)
    return {name: eight_bits(there, name.removeprefix(OF_PRIOR), case)}
