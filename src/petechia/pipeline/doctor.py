"""Whether an installation is fit for work: each check says what it found and what to do."""

import importlib.metadata as metadata
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from petechia import __version__
from petechia.assets.store import load_bytes, manifest
from petechia.core.compiled import compiled
from petechia.core.grid import Grid
from petechia.core.kernels import forward_field
from petechia.errors import PetechiaError
from petechia.pipeline.memory import available_mb, estimate_mb

USUAL = ((192, 232, 180), 10)
"""A scan of five echoes at 1 mm: what memory is measured against."""
DISK_MB = 2000.0
"""Free space below which results of the first scans may not fit [MB]."""
SELF_TEST_ERROR = 0.05
"""Largest error of a sphere's field against its closed form, relative to the field there."""
_REQUIREMENT = re.compile(r"^([A-Za-z0-9._-]+)[^;>=]*(?:>=([0-9.]+))?[^;]*(?:;.*extra == .(\w+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check.

    Attributes
    ----------
    name : str
        What was looked at.
    state : str
        'good', 'note' (works, worth knowing) or 'bad'.
    says : str
        What was found.
    mend : str
        What to do; empty when nothing is to be done.
    """

    name: str
    state: str
    says: str
    mend: str = ""

    def as_dict(self) -> dict[str, str]:
        """Return plain values."""
        return asdict(self)


def examine(place: Path) -> Iterator[Finding]:
    """Yield findings about this installation.

    Parameters
    ----------
    place : Path
        Where results are going to be written.
    """
    yield Finding(
        name="version",
        state="good",
        says=f"petechia {__version__}, Python {platform.python_version()}, {platform.system()} "
        f"{platform.machine()}",
    )
    yield from _libraries()
    yield _assets()
    yield _compiler()
    yield _threads()
    yield _memory()
    yield _folder("temporary files", Path(tempfile.gettempdir()), "Set TMPDIR to a folder of yours")
    yield _folder("results", place, "Choose another folder, or make room there")
    yield sphere_check()


def _libraries() -> Iterator[Finding]:
    """Check the packages that are needed, and tell of each extra whether it is whole."""
    wanted: dict[str, list[tuple[str, str]]] = defaultdict(list)
    try:
        lines = metadata.requires("petechia") or []
    except metadata.PackageNotFoundError:
        yield Finding(
            name="libraries",
            state="note",
            says="petechia runs from its source and was not installed: versions are not checked",
        )
        return
    for line in lines:
        match = _REQUIREMENT.match(line)
        if match and match[1] != "petechia":
            wanted[match[3] or ""].append((match[1], match[2] or "0"))
    lacking = [told for told in map(_lacking, wanted.pop("", [])) if told]
    yield Finding(
        name="libraries",
        state="bad" if lacking else "good",
        says=", ".join(lacking) or "all there",
        mend="Install petechia again: pip install petechia" if lacking else "",
    )
    for extra in sorted(wanted):
        if extra in ("test", "docs", "train"):
            continue
        lacking = [told for told in map(_lacking, wanted[extra]) if told]
        yield Finding(
            name=f"extra {extra}",
            state="note" if lacking else "good",
            says=", ".join(lacking) or "all there",
            mend=f"If you want it: pip install 'petechia[{extra}]'" if lacking else "",
        )


def _lacking(wanted: tuple[str, str]) -> str:
    """Return what is wrong with a package, or nothing."""
    name, least = wanted
    try:
        there = metadata.version(name)
    except metadata.PackageNotFoundError:
        return f"{name} is not installed"
    return f"{name} {there} is older than {least}" if _numbers(there) < _numbers(least) else ""


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version.partition("+")[0])[:3]]


def _assets() -> Finding:
    try:
        for name in manifest():
            load_bytes(name)
    except PetechiaError as error:
        return Finding(name="shipped data", state="bad", says=error.what, mend=error.mend)
    return Finding(
        name="shipped data", state="good", says=f"{len(manifest())} files, hashes as they should be"
    )


def _compiler() -> Finding:
    begin = time.perf_counter()
    double = compiled(_double)
    right = double(21.0) == 42.0
    spent = time.perf_counter() - begin
    if not right:
        return Finding(
            name="compiler", state="bad", says="numba computes wrongly",
            mend="Install numba and llvmlite again.",
        )  # fmt: skip
    cached = type(getattr(double, "_cache", None)).__name__ != "NullCache"
    return Finding(
        name="compiler",
        state="good" if cached else "note",
        says=f"numba compiles in {spent:.1f} s and "
        + ("keeps it on disk" if cached else "cannot keep it: every start compiles anew"),
        mend="" if cached else "Set NUMBA_CACHE_DIR to a folder of yours.",
    )


def _double(x: float) -> float:
    return 2.0 * x


def _threads() -> Finding:
    import numba

    may = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    most = int(vars(numba.config)["NUMBA_NUM_THREADS"])
    says = f"{may} processors may be used, numba uses up to {most}"
    if most < may:
        return Finding(
            name="threads", state="note", says=says,
            mend="NUMBA_NUM_THREADS is set lower; unset it to use all.",
        )  # fmt: skip
    return Finding(name="threads", state="good", says=says)


def _memory() -> Finding:
    free, need = available_mb(), estimate_mb(*USUAL)
    if free == 0:
        return Finding(name="memory", state="note", says="the system doesn't say how much is free")
    at_once = int(free // need)
    says = f"{free / 1000:.1f} GB to plan with, for {at_once} scans of 5 echoes at 1 mm at once"
    if at_once:
        return Finding(name="memory", state="good", says=says)
    return Finding(
        name="memory", state="bad", says=says,
        mend=f"Such a scan takes up to {need / 1000:.1f} GB: close other programs, or take a "
        "computer with more.",
    )  # fmt: skip


def _folder(name: str, place: Path, mend: str) -> Finding:
    """Check that a folder, or the nearest above it that is there, can be written.

    A link that leads nowhere is there too: nothing can be made in its place.
    """
    whole = place.absolute()
    there = next(path for path in (whole, *whole.parents) if os.path.lexists(path))
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"petechia")
        free = shutil.disk_usage(there).free / 1e6
    except OSError as error:
        says = f"{there} cannot be written ({error.strerror})"
        return Finding(name=name, state="bad", says=says, mend=f"{mend}.")
    says = f"{there} can be written, {free / 1000:.1f} GB free"
    if free < DISK_MB:
        return Finding(name=name, state="bad", says=says, mend=f"{mend}.")
    return Finding(name=name, state="good", says=says)


def sphere_check() -> Finding:
    """Compare the computed field of a sphere with its closed form, at poles and equator.

    Outside a sphere of radius a and susceptibility chi the field relative to the main field
    is ``chi / 3 (a / r)^3 (3 cos^2 theta - 1)``, theta being the angle to the main field.
    """
    n, radius, chi = 48, 6.0, 1.0
    axis = np.arange(n) - n // 2
    x, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    source = np.where(x**2 + y**2 + z**2 <= radius**2, chi, 0).astype(np.float32)
    true_radius_cubed = source.sum() * 3 / (4 * np.pi) / chi
    field = forward_field(source, Grid.from_spacing((n, n, n), (1.0, 1.0, 1.0)))
    r, middle = 12, n // 2
    expected = chi / 3 * true_radius_cubed / r**3
    errors = [
        abs(float(field[middle, middle, middle + r]) / (2 * expected) - 1),
        abs(float(field[middle + r, middle, middle]) / -expected - 1),
    ]
    worst = max(errors)
    return Finding(
        name="self-test",
        state="good" if worst < SELF_TEST_ERROR else "bad",
        says=f"field of a sphere within {100 * worst:.1f} % of its closed form",
        mend=""
        if worst < SELF_TEST_ERROR
        else "numpy or scipy compute wrongly here: install them again "
        f"({sys.executable} -m pip install --force-reinstall numpy scipy).",
    )
