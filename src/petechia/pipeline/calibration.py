"""The calibration of one site: what its readers' decisions made of the detector's probabilities.

A file of plain values that `petechia calibrate` writes and `petechia run --calibration` reads.
It belongs to one detector: read with another it is refused.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from petechia.assets.store import manifest
from petechia.core.logistic import Logistic
from petechia.errors import FileError
from petechia.files.nifti import sha256_of

FORM = "petechia site calibration 2"
SLICES = ("thin", "thick")
"""A detector has operating points for each."""
DETECTOR = ("detector", "detector_network")
"""Its assets: arrays and network."""
KEYS = ("form", "detector_sha256", "classification", "offset", "slope", "operating_points", "made")
MADE = ("people", "scans", "decisions", "accepted", "rejected", "decided_by", "at", "version")
MEND = "Make it again with `petechia calibrate` on results of this version."


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteCalibration:
    """How probabilities and thresholds are moved at one site.

    Attributes
    ----------
    line : Logistic
        From the detector's probability to the site's.
    operating_points : mapping of str to mapping of str to float
        The site's probability from which a finding counts, for thin slices and for thick ones.
    classification : str
        Row of the classification table it was made with.
    made : mapping
        `people`, `scans`, `decisions`, `accepted`, `rejected`, `decided_by`, `at`, `version`.
    name, sha256 : str
        Of the file.
    """

    line: Logistic
    operating_points: Mapping[str, Mapping[str, float]]
    classification: str
    made: Mapping[str, Any]
    name: str
    sha256: str

    def as_dict(self) -> dict[str, Any]:
        """Return what a summary says of it."""
        return {
            "name": self.name,
            "sha256": self.sha256,
            "offset": self.line.offset,
            "slope": self.line.slope,
            **{key: self.made[key] for key in MADE},
        }


def detector_sha256() -> dict[str, str]:
    """Return the hashes of the detector's files."""
    return {name: str(manifest()[name]["sha256"]) for name in DETECTOR if name in manifest()}


def read_calibration(path: Path) -> SiteCalibration:
    """Return the calibration of a file.

    Raises
    ------
    FileError
        It is not there, is no such file, or belongs to another detector.
    """
    try:
        stat = path.stat()
    except OSError as error:
        raise FileError(
            f"no calibration ({error.strerror})",
            where=path.name,
            mend="Check the path: `petechia calibrate OUTPUT --write FILE` makes one.",
        ) from error
    return _read(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=8)
def _read(path: Path, changed_ns: int, size: int) -> SiteCalibration:
    told = _content(path)
    if told["detector_sha256"] != detector_sha256():
        raise FileError(
            "this calibration belongs to another detector than the one installed",
            where=path.name,
            mend=MEND,
        )
    return SiteCalibration(
        line=Logistic(offset=float(told["offset"]), slope=float(told["slope"])),
        operating_points={
            slices: {str(k): float(v) for k, v in told["operating_points"][slices].items()}
            for slices in SLICES
        },
        classification=str(told["classification"]),
        made={key: told["made"][key] for key in MADE},
        name=path.name,
        sha256=sha256_of(path),
    )


def _content(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise FileError(
            f"not readable as JSON ({type(error).__name__})", where=path.name, mend=MEND
        ) from error
    if not isinstance(told, dict) or told.get("form") != FORM:
        raise FileError(f"no {FORM!r} (its `form` is not that)", where=path.name, mend=MEND)
    missing = [key for key in KEYS if key not in told]
    whole = not missing and isinstance(told["made"], Mapping)
    whole = whole and all(key in told["made"] for key in MADE)
    if not whole or not _numbers(told):
        raise FileError(
            "a field is missing or is no number of its range", where=path.name, mend=MEND
        )
    return told


def _numbers(told: Mapping[str, Any]) -> bool:
    """Return whether offset, slope and operating points are numbers that can be used."""
    given = told["operating_points"]
    if not isinstance(given, Mapping):
        return False
    some = [v for v in map(given.get, SLICES) if isinstance(v, Mapping) and v]
    if len(some) < len(SLICES):
        return False
    points = [p for of_slices in some for p in of_slices.values()]
    every = [told["offset"], told["slope"], *points]
    if not all(type(v) in (int, float) and math.isfinite(v) for v in every):
        return False
    return told["slope"] > 0 and all(0 < v < 1 for v in points)
