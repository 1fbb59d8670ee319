"""Volumes for the screen: packed when first asked for, kept within a bound, sent in slabs."""

import threading
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy.typing as npt

from petechia.errors import FileError
from petechia.pipeline.review.cases import Case, ReviewFolder
from petechia.pipeline.review.images import Bytes, Picture, numbers, pictures
from petechia.pipeline.review.kept import Kept

SLAB = 16
"""Slices in a slab."""
KEPT_BYTES = 384 * 2**20
KEPT_REASONS = 1000
WORKERS = 2
Key = tuple[str, tuple[int, ...], str]


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
    """The 8-bit volumes of the scans that are looked at.

    Parameters
    ----------
    folder : ReviewFolder
    kept_bytes : int
        What is kept in memory; the scans looked at longest ago go first.
    """

    def __init__(self, folder: ReviewFolder, kept_bytes: int = KEPT_BYTES) -> None:
        self.folder = folder
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="volumes")
        self._guard = threading.RLock()  # a job that is done at once ends while it is started
        self._kept: Kept[Bytes] = Kept(kept_bytes, lambda volume: volume.nbytes)
        self._running: dict[Key, Future[Mapping[str, Bytes]]] = {}
        self._unfit: Kept[str] = Kept(KEPT_REASONS)

    def close(self) -> None:
        """End the threads; what waits is dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def pictures(self, case: Case) -> tuple[list[Picture], list[str]]:
        """Return what there is to see, and what should be known about it."""
        why = self._unfit.get((case.scan, case.stamp)) or ""
        shown = pictures(self.folder, case, unfit=bool(why))
        return shown, [text for text in (why, self.folder.input_says) if text]

    def get(self, case: Case, name: str) -> Bytes:
        """Return a volume; waits until it is packed.

        Raises
        ------
        FileError
            It cannot be read.
        """
        key = (case.scan, case.stamp, name)
        held = self._kept.get(key)
        if held is not None:
            return held
        with self._guard:
            running = self._start(case, name)
        try:
            return running.result()[name]
        except KeyError:
            raise FileError(
                "there is no such echo", where=case.scan, mend="Load the scan again."
            ) from None

    def begin(self, case: Case, names: Sequence[str]) -> None:
        """Start to pack volumes that will be asked for soon."""
        with self._guard:
            for name in names:
                if self._kept.get((case.scan, case.stamp, name)) is None:
                    self._start(case, name)

    def _start(self, case: Case, name: str) -> "Future[Mapping[str, Bytes]]":
        # echoes are read together: one job for all of them
        job = name.rstrip("0123456789")
        key = (case.scan, case.stamp, job)
        made = self._running.get(key)
        if made is None:
            made = self._running[key] = self._pool.submit(self._pack, case, name)
            made.add_done_callback(lambda _: self._done(key))
        return made

    def _done(self, key: Key) -> None:
        with self._guard:
            self._running.pop(key, None)

    def _pack(self, case: Case, name: str) -> Mapping[str, Bytes]:
        try:
            made = numbers(self.folder, case, name)
        except FileError as error:
            if name.startswith("magnitude_"):
                why = f"Images: {error.what}. {error.mend}"
                self._unfit.put((case.scan, case.stamp), why)
            raise
        for key, volume in made.items():
            self._kept.put((case.scan, case.stamp, key), volume)
        return made
