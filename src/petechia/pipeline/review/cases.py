"""What is reviewed: the scans of an output folder, and one of them opened."""

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.anatomy.regions import Regions
from petechia.anatomy.sites import REGIONS
from petechia.core.grid import Grid
from petechia.errors import FileError, PetechiaError
from petechia.files.analysed import Folder, analysed_again
from petechia.files.contract import contract, place
from petechia.files.find import find_scans
from petechia.files.finished import read_rows, read_summary, read_volume
from petechia.files.output import DATASET_NAME, RAW_LINK
from petechia.files.scan import ScanName, ScanRef
from petechia.files.sidecars import read_json
from petechia.files.writing import without_places
from petechia.pipeline.listing import crash_says, not_exported
from petechia.pipeline.review.fold import PLACE, base_findings
from petechia.pipeline.review.outline import Canvas
from petechia.pipeline.review.queue import (
    SOFTWARE,
    Listed,
    Queue,
    Stamp,
    scan_name,
    software_files,
    stamp_of,
)
from petechia.pipeline.review.state import Basis, basis_of
from petechia.pipeline.session_times import in_time
from petechia.report.planes import Crop, Layout
from petechia.report.scene import brain_extent
from petechia.report.volumes import near

FOLDER = "review"
REFRESH_S = 3.0
"""The queue is not listed again before so long."""
REST = 20.0
"""Nor before so many times what listing it took: a large folder is not listed all the time."""
OPEN_CASES = 6
"""So many scans are kept open; their labels and masks are in memory."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Case:
    """One scan, opened: what the software said of it, and its geometry.

    Attributes
    ----------
    root : Path
        The output folder.
    name : ScanName
    summary : mapping
        As the software wrote it.
    basis : Basis
        The software's table of findings, and what decisions on it are added up with.
    grid : Grid
        Of all its volumes.
    canvas : Canvas
        The software's label image, for outlines.
    crop : Crop
        The box around the brain that is shown.
    mask : (I, J, K) ndarray of bool, or None
        The brain.
    stamp : tuple of int
        Changes when a file it was read from does.
    """

    root: Path
    name: ScanName
    summary: Mapping[str, Any]
    basis: Basis
    grid: Grid
    canvas: Canvas
    crop: Crop
    mask: npt.NDArray[np.bool_] | None
    stamp: Stamp

    @property
    def scan(self) -> str:
        """Its prefix."""
        return self.name.prefix

    @property
    def fingerprint(self) -> str:
        """Of the summary: a reader's decisions are about these results and no others."""
        return str(self.summary["fingerprint"])

    @property
    def rows(self) -> Sequence[Mapping[str, str]]:
        """Of the software's table of findings, as text."""
        return self.basis.rows

    @property
    def labels(self) -> npt.NDArray[np.integer[Any]]:
        """Of the software: value = index of the finding."""
        return self.canvas.labels

    def path(self, key: str) -> Path:
        """Return where output `key` of the contract lies."""
        return self.root / contract().relative_path(key, self.name)

    @cached_property
    def rim(self) -> npt.NDArray[np.bool_] | None:
        """The brain and a little around it, laid in the crop; None without a mask."""
        if self.mask is None or not self.mask.any():
            return None
        return near(self.crop.cut(self.mask), self.crop.layout.spacing_mm)

    @cached_property
    def regions(self) -> tuple[npt.NDArray[np.integer[Any]], list[dict[str, str]]] | None:
        """Region labels and their table; None when the run found none."""
        return _regions_of(self.root, self.name, self.grid)


@dataclass(frozen=True, eq=False)
class Sites:
    """Site, side and compartment of a voxel by the run's own regions, read when first asked."""

    root: Path
    name: ScanName
    grid: Grid

    @cached_property
    def regions(self) -> Regions | None:
        """The region map; None when the run found none."""
        found = _regions_of(self.root, self.name, self.grid)
        if found is None:
            return None
        return Regions(
            labels=found[0].astype(np.int16), table=REGIONS, grid=self.grid, ok=True, says=""
        )

    def __call__(self, voxel: tuple[int, int, int]) -> dict[str, str]:
        """Return the place, as the software names it; {} when there are no regions."""
        if self.regions is None:
            return {}
        at = self.regions.at(voxel)
        return {word: getattr(at, word) if at else "n/a" for word in PLACE}


def _regions_of(
    root: Path, name: ScanName, grid: Grid
) -> tuple[npt.NDArray[np.integer[Any]], list[dict[str, str]]] | None:
    """Return region labels and their table, when a run found them on this grid."""
    image = root / contract().relative_path("regions", name)
    table = root / place(str(contract().file("regions").table), name)
    if not image.is_file() or not table.is_file():
        return None
    labels, own = read_volume(image)
    return (labels, read_rows(table)) if own.shape == grid.shape else None


class ReviewFolder:
    """The scans of an output folder; safe to use from many threads.

    Parameters
    ----------
    root : Path
        OUTPUT of `petechia run`.
    images : Path, optional
        The input of that run, for the magnitude of each echo and scans beside it; of files
        that were named one by one, a folder that holds them. Left out, the raw dataset that
        OUTPUT's description links to is taken.

    Raises
    ------
    FileError
        `root` is no output folder, or `images` are not there.
    """

    def __init__(self, root: Path, images: Path | None = None) -> None:
        self.root = Path(root)
        _require_output(self.root)
        if images is not None and not images.exists():
            raise FileError(
                "no such file or folder", where=f"--images {images}", mend="Check the path."
            )
        self.images = images if images is not None else _linked(self.root)
        self._queue = Queue(self.root, self.root / FOLDER)
        self._listing = threading.Lock()
        self._listed: dict[str, Listed] = {}
        self._people: dict[str, list[Listed]] = {}
        self._listed_until = 0.0
        self._opening = threading.Lock()
        self._cases: OrderedDict[str, Future[Case]] = OrderedDict()
        self._finding = threading.Lock()
        self._inputs: dict[str, ScanRef] | None = None
        self._again: dict[str, tuple[Stamp, ScanRef | None]] = {}
        self._nifti: Folder | None = None
        self._input_says = ""

    # --- the queue --------------------------------------------------------------------------

    def listed(self) -> Mapping[str, Listed]:
        """Return all scans by prefix, in natural order, as they were a few seconds ago."""
        with self._listing:
            if time.monotonic() >= self._listed_until:
                begun = time.monotonic()
                self._listed = self._queue.refresh()
                people: dict[str, list[Listed]] = {}
                for one in self._listed.values():
                    people.setdefault(one.subject, []).append(one)
                self._people = people
                took = time.monotonic() - begun
                self._listed_until = begun + took + max(REFRESH_S, REST * took)
            return self._listed

    def find(self, scan: str) -> Listed | None:
        """Return a scan of the queue, or None: no other word ever becomes a path."""
        return self.listed().get(scan)

    def prior(self, scan: str) -> str | None:
        """Return the same person's scan of the session before, or None.

        Sessions are ordered as `petechia follow` orders them, by their dates or their labels
        (`ses-2` before `ses-10`). Of several scans of a session the one that shares most
        entities is taken.
        """
        own = self.listed()[scan]
        sessions: dict[str, list[Listed]] = {}  # in natural order, as the queue is
        for one in self._people.get(own.subject, ()):
            if not one.problem:
                sessions.setdefault(one.session, []).append(one)
        if own.session not in sessions or len(sessions) < 2:
            return None
        there = list(sessions)
        order, _ = in_time(self.images, [[o.name for o in sessions[s]] for s in there])
        place = order.index(there.index(own.session))
        return _most_alike(own, sessions[there[order[place - 1]]]) if place else None

    # --- one scan ---------------------------------------------------------------------------

    def case(self, scan: str) -> Case:
        """Return a scan of the queue, opened, as its files are now.

        Raises
        ------
        FileError
            It cannot be read, or its files do not belong together.
        """
        name = scan_name(scan)
        stamp = stamp_of(*self._read_from(name))
        with self._opening:
            held = self._cases.get(scan)
            stale = held is not None and held.done() and not _still(held, stamp)
            if held is None or stale:
                held = self._cases[scan] = Future()
                mine = True
            else:
                mine = False
            self._cases.move_to_end(scan)
            while len(self._cases) > OPEN_CASES:
                self._cases.popitem(last=False)
        if mine:
            try:
                held.set_result(self._open(name, stamp))
            except BaseException as error:
                held.set_exception(error)
        return held.result()

    def told(self, scan: str) -> tuple[Basis, Mapping[str, Any]]:
        """Return what decisions on a scan are added up on, and its summary; opens no volume.

        Raises
        ------
        FileError
            It cannot be read, or its files do not belong together.
        """
        summary_at, table, _, _ = self._read_from(scan_name(scan))
        summary, basis = _told(summary_at, table)
        return basis, summary

    def _read_from(self, name: ScanName) -> tuple[Path, Path, Path, Path]:
        """Return summary, table, labels and mask: the software's own when they were kept."""
        agreed = contract()
        crash = self.root / agreed.relative_path("crash", name)
        if crash.is_file() and not not_exported(crash):
            raise FileError(
                f"its last run failed: {crash_says(crash)}",
                where=name.prefix,
                mend="Run it again: decisions are kept.",
            )
        own = {key: self.root / agreed.relative_path(key, name) for key in _OPENED}
        own["table"] = self.root / place(str(agreed.file("findings").table), name)
        kept = self.root / FOLDER / SOFTWARE / name.prefix
        summary, table, findings = software_files(kept, *(own[key] for key in _KEPT))
        return summary, table, findings, own["brain_mask"]

    def _open(self, name: ScanName, stamp: Stamp) -> Case:
        summary_at, table, labels_at, mask_at = self._read_from(name)
        summary, basis = _told(summary_at, table)
        labels, grid = read_volume(labels_at)
        if labels.dtype.kind == "f":
            labels = np.rint(labels).astype(np.int32)
        canvas = Canvas(labels, grid, Sites(self.root, name, grid))
        mask = _mask(mask_at, grid)
        layout = Layout.of(grid)
        extent = brain_extent(layout, None if mask is None else layout.lay(mask))
        (a, b), (c, d), (e, f) = extent
        return Case(
            root=self.root,
            name=name,
            summary=summary,
            basis=replace(basis, measure=canvas.measure),
            canvas=canvas,
            grid=grid,
            crop=Crop(layout, (a, c, e), (b, d, f)),
            mask=mask,
            stamp=stamp,
        )

    # --- the images it came from ------------------------------------------------------------

    def input(self, scan: str) -> ScanRef | None:
        """Return the images that a scan was made from, when they are at hand."""
        with self._finding:
            if self._inputs is None:
                self._inputs = self._find_inputs()
            found = self._inputs.get(scan)
            if self.images is None or (found is not None and found.kind != "NIfTI"):
                return found
            return self._analysed(scan, self.images) or found

    def input_says(self, scan: str) -> str:
        """Return why there are no images of a scan; "" when there are, or nothing is known."""
        return self._input_says if self.input(scan) is None else ""

    def _analysed(self, scan: str, images: Path) -> ScanRef | None:
        """Return NIfTI images by what the summary tells of them; None when they are not there."""
        path = self.root / contract().relative_path("summary", scan_name(scan))
        stamp = stamp_of(path)
        held = self._again.get(scan)
        if held is None or held[0] != stamp:
            held = self._again[scan] = stamp, self._look_again(scan, path, images)
        return held[1]

    def _look_again(self, scan: str, path: Path, images: Path) -> ScanRef | None:
        try:
            summary = read_summary(path)
        except FileError:
            return None
        source = summary.get("source")
        if not isinstance(source, Mapping) or source.get("kind") != "NIfTI":
            return None
        if self._nifti is None:
            self._nifti = Folder(images)
        return analysed_again(self._nifti, scan_name(scan), summary)

    def _find_inputs(self) -> dict[str, ScanRef]:
        if self.images is None:
            return {}
        try:
            return {ref.name.prefix: ref for ref in find_scans(self.images)}
        except PetechiaError as error:
            self._input_says = without_places(str(error))
            return {}


_OPENED = ("summary", "findings", "brain_mask")
_KEPT = ("summary", "table", "findings")


def _require_output(root: Path) -> None:
    try:
        found = read_json(root / "dataset_description.json").get("Name")
    except FileError:
        found = None
    if found != DATASET_NAME:
        raise FileError(
            "no output folder of petechia (by its dataset_description.json)",
            where=str(root),
            mend="Give the folder that `petechia run` wrote its results to.",
        )


def _linked(root: Path) -> Path | None:
    """Return the raw dataset that the description links to, when it is there."""
    links = read_json(root / "dataset_description.json").get("DatasetLinks")
    link = links.get(RAW_LINK) if isinstance(links, Mapping) else None
    if not isinstance(link, str) or ":" in link:
        return None
    place = (root / link).resolve()
    return place if place.is_dir() else None


def _still(held: "Future[Case]", stamp: Stamp) -> bool:
    return held.exception() is None and held.result().stamp == stamp


def _told(summary_at: Path, table: Path) -> tuple[Mapping[str, Any], Basis]:
    """Return summary and basis of a scan; `FileError` when they are none, or of two runs."""
    summary, rows = read_summary(summary_at), read_rows(table)
    _require_together(summary, rows, table)
    try:
        basis = basis_of(summary, rows)
        base_findings(basis)
        for key in ("te_s", "b0_t", "spacing_mm"):
            summary["protocol"][key]
        float(summary["reading_te_s"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FileError(
            f"not the results of this version ({type(error).__name__}: {error})",
            where=summary_at.name,
            mend="Run this scan again.",
        ) from error
    return summary, basis


def _require_together(
    summary: Mapping[str, Any], rows: Sequence[Mapping[str, str]], table: Path
) -> None:
    """Raise `FileError` unless table and summary tell of the same findings.

    A run writes its table before its summary: between the two they do not agree.
    """
    counts = summary.get("counts")
    counts = counts if isinstance(counts, Mapping) else {}
    by_class: dict[str, int] = {}
    for row in rows:
        by_class[row.get("class", "")] = by_class.get(row.get("class", ""), 0) + 1
    listed = counts.get("by_class")
    told = {k: n for k, n in listed.items() if n} if isinstance(listed, Mapping) else by_class
    counted = sum(row.get("counted") == "1" for row in rows)
    if told != by_class or counted != counts.get("total"):
        raise FileError(
            "the table of findings and the summary do not agree",
            where=table.name,
            mend="A run may be writing them: wait for its end, or run the scan again.",
        )


def _mask(path: Path, grid: Grid) -> npt.NDArray[np.bool_] | None:
    if not path.is_file():
        return None
    mask, own = read_volume(path)
    if own.shape != grid.shape:
        raise FileError(
            f"of {own.shape} voxels, the findings of {grid.shape}",
            where=path.name,
            mend="A run may be writing them: wait for its end, or run the scan again.",
        )
    return mask > 0


def _most_alike(own: Listed, others: Sequence[Listed]) -> str:
    mine = set(own.name.entities)
    return max(others, key=lambda o: len(mine & set(o.name.entities))).scan
