"""Volumes for the screen: packed when first asked for, kept within a bound, sent in slabs."""

import logging
import threading
import zlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy.typing as npt

from petechia.errors import FileError, PetechiaError
from petechia.pipeline.review.cases import Case, ReviewFolder
from petechia.pipeline.review.images import (
    COMPUTED,
    MAGNITUDE,
    Bytes,
    Picture,
    numbers,
    pictures,
    reading_name,
)
from petechia.pipeline.review.kept import Kept
from petechia.pipeline.review.registered import (
    OF_PRIOR,
    PRIOR,
    SCANNER,
    WAITING,
    Other,
    Placed,
    brought,
    find,
    known,
    others_of,
    shown,
)

LOG = logging.getLogger(__name__)
SLAB = 16
"""Slices in a slab."""
KEPT_BYTES = 384 * 2**20
KEPT_REASONS = 1000
WORKERS = 2
Key = tuple[str, tuple[int, ...], str, str]


def slabs(n: int) -> list[tuple[int, int]]:
    """Return first and last + 1 slice of each slab of `n` slices."""
    return [(first, min(first + SLAB, n)) for first in range(0, n, SLAB)]


def packed(volume: npt.NDArray[Any], slab: tuple[int, int]) -> bytes:
    """Return a slab of a laid volume as gzip, little end first, the first axis fastest."""
    part = volume[:, :, slab[0] : slab[1]]
    raw = part.astype(part.dtype.newbyteorder("<"), copy=False).tobytes(order="F")
    maker = zlib.compressobj(1, zlib.DEFLATED, 31)
    return maker.compress(raw) + maker.flush()


class Volumes:
    """The 8-bit volumes of the scans that are looked at, and where other images lie.

    What is asked for has threads of its own: work done ahead of a reader never keeps one
    waiting, and there is one thread for it.

    Parameters
    ----------
    folder : ReviewFolder
    kept_bytes : int
        What is kept in memory; the scans looked at longest ago go first.
    """

    def __init__(self, folder: ReviewFolder, kept_bytes: int = KEPT_BYTES) -> None:
        self.folder = folder
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="volumes")
        self._later = ThreadPoolExecutor(1, thread_name_prefix="ahead")
        self._guard = threading.RLock()  # a job that is done at once ends while it is started
        self._kept: Kept[Bytes] = Kept(kept_bytes, lambda volume: volume.nbytes)
        self._running: dict[Key, Future[Mapping[str, Bytes]]] = {}
        self._unfit: Kept[str] = Kept(KEPT_REASONS)
        self._placing: dict[tuple[str, str], Future[Placed]] = {}
        self._begun: Kept[bool] = Kept(KEPT_REASONS)

    def close(self) -> None:
        """End the threads; what waits is dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._later.shutdown(wait=False, cancel_futures=True)

    def pictures(self, case: Case) -> tuple[list[Picture], list[str]]:
        """Return what there is to see of a scan itself, and what should be known about it."""
        why = self._unfit.get((case.scan, case.stamp)) or ""
        own = pictures(self.folder, case, unfit=bool(why))
        return own, [text for text in (why, self.folder.input_says(case.scan)) if text]

    def find(self, case: Case, name: str) -> Picture | None:
        """Return a picture of a scan by its name, also one of another exam or contrast."""
        for picture in self.pictures(case)[0]:
            if picture.name == name:
                return picture
        return next((one for one in self.beside(case)[0] if one.name == name), None)

    def get(self, case: Case, picture: Picture) -> Bytes:
        """Return a volume; waits until it is packed.

        Raises
        ------
        FileError
            It cannot be read.
        """
        key = (case.scan, case.stamp, picture.name, picture.version)
        held = self._kept.get(key)
        if held is not None:
            return held
        with self._guard:
            running = self._start(case, picture)
        try:
            return running.result()[picture.name]
        except KeyError:
            raise FileError(
                "there is no such echo", where=case.scan, mend="Load the scan again."
            ) from None

    def begin(self, case: Case, wanted: Sequence[Picture]) -> None:
        """Start to pack volumes that will be asked for at once."""
        with self._guard:
            for picture in wanted:
                key = (case.scan, case.stamp, picture.name, picture.version)
                if self._kept.get(key) is None:
                    self._start(case, picture)

    def _start(self, case: Case, picture: Picture) -> "Future[Mapping[str, Bytes]]":
        key = (case.scan, case.stamp, picture.name, picture.version)
        made = self._running.get(key)
        if made is None:
            made = self._running[key] = self._pool.submit(self._pack, case, picture)
            made.add_done_callback(lambda _: self._ended(key))
        return made

    def _ended(self, key: Key) -> None:
        with self._guard:
            self._running.pop(key, None)

    def _pack(self, case: Case, picture: Picture) -> Mapping[str, Bytes]:
        name = picture.name
        if picture.placed:
            what = PRIOR if name.startswith(OF_PRIOR) else name
            other = others_of(self.folder, case)[what]
            made = brought(self.folder, case, other, self._placed(case, other), name)
        else:
            made = self._own(case, name)
        for key, volume in made.items():
            self._kept.put((case.scan, case.stamp, key, picture.version), volume)
        return made

    def _own(self, case: Case, name: str) -> Mapping[str, Bytes]:
        try:
            return numbers(self.folder, case, name)
        except FileError as error:
            if name.startswith(MAGNITUDE):
                why = f"Images: {error.what}. {error.mend}"
                self._unfit.put((case.scan, case.stamp), why)
            raise

    # --- other images of the same head ------------------------------------------------------

    def beside(self, case: Case) -> tuple[list[Picture], Placed | None]:
        """Return pictures of other images, and where the exam before lies (None: there is none).

        What is not registered yet is begun to be; it is shown by scanner coordinates meanwhile.
        """
        others = others_of(self.folder, case)
        placed = {what: self._placed(case, other) for what, other in others.items()}
        return shown(self.folder, others, placed), placed.get(PRIOR)

    def _placed(self, case: Case, other: Other) -> Placed:
        at = known(case, other)
        if at.how != WAITING:
            return at
        key = (case.scan, other.what + at.made_of)
        with self._guard:
            running = self._placing.get(key)
            if running is None:
                work = self._later.submit(find, self.folder, case, other)
                self._placing[key] = running = work
        if not running.done():
            return at
        error = running.exception()
        if error is None:
            return running.result()
        LOG.warning("%s: %s was not registered (%s)", case.scan, other.what, type(error).__name__)
        return replace(at, how=SCANNER, says="registering it failed")

    # --- ahead of the reader ----------------------------------------------------------------

    def first(self, case: Case) -> list[Picture]:
        """Return what a reader sees first: the SWI, which is quickest, and the reading echo."""
        names = ("swi", reading_name(case), COMPUTED)
        own = {picture.name: picture for picture in self.pictures(case)[0]}
        return [own[name] for name in names if name in own]

    def ahead(self, key: tuple[Any, ...], work: Callable[[], object]) -> None:
        """Do something once when there is time; why it cannot be done is told who asks for it."""
        if self._begun.get(key) is None:
            self._begun.put(key, True)
            self._later.submit(_quietly, work)

    def open_ahead(self, scan: str) -> None:
        """Have the first images of a scan ready before it is opened."""
        case = self.folder.case(scan)
        for picture in self.first(case):
            if self._kept.get((scan, case.stamp, picture.name, picture.version)) is None:
                self._pack(case, picture)


def _quietly(work: Callable[[], object]) -> None:
    with suppress(PetechiaError, OSError):
        work()
