"""What a run cost, with what, and on how many threads."""

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import scipy.fft

from petechia import __version__

LIBRARIES = (
    "numpy", "scipy", "numba", "nibabel", "pydicom", "highdicom", "SimpleITK", "onnxruntime",
    "statsmodels", "matplotlib", "Jinja2",
)  # fmt: skip


def software() -> dict[str, str]:
    """Return the version of this package, Python, and the libraries that shape results."""
    return dict(_versions())


@cache
def _versions() -> tuple[tuple[str, str], ...]:
    """Return what `software` tells: metadata is read once a process, not once a scan."""
    found = {"petechia": __version__, "python": sys.version.split()[0]}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return tuple(found.items())


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Hold scipy.fft, numba and BLAS to `n` threads inside the block."""
    import numba
    import threadpoolctl

    before = numba.get_num_threads()
    most = int(vars(numba.config)["NUMBA_NUM_THREADS"])
    with ExitStack() as stack:
        stack.enter_context(scipy.fft.set_workers(n))
        stack.enter_context(threadpoolctl.threadpool_limits(n))
        numba.set_num_threads(max(1, min(n, most)))
        try:
            yield
        finally:
            numba.set_num_threads(before)


@dataclass(slots=True)
class Meter:
    """Seconds and peak memory of every stage, in the order they ran."""

    seconds: dict[str, float] = field(default_factory=dict)
    peak_memory_mb: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measure the block; a stage entered twice adds up."""
        resettable = _reset_peak()
        begin = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - begin
            self.seconds[name] = round(self.seconds.get(name, 0.0) + spent, 2)
            peak = _peak_mb(resettable)
            self.peak_memory_mb[name] = max(peak, self.peak_memory_mb.get(name, 0))


def _reset_peak() -> bool:
    """Set the kernel's high-water mark to the present; False where it cannot be done."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _peak_mb(resettable: bool) -> int:
    """Return the high-water mark of resident memory [MB]."""
    if resettable:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
