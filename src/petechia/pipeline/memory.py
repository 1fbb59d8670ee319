"""How much memory a scan will take, and how much there is."""

from math import prod
from pathlib import Path
from typing import Any

import nibabel as nib

from petechia.files.nifti import is_nifti
from petechia.files.scan import ScanRef

BASE_MB = 900.0
"""Python, its libraries, the atlas and the detector's models [MB]."""
PER_MEGAVOXEL_MB = 120.0
"""Working volumes for each million voxels of the scan's grid [MB]."""
PER_VOLUME_MB = 10.0
"""For each million voxels of each image that is read: magnitude and phase of every echo [MB]."""
UNREAD_MB = 3000.0
"""What is taken where the size cannot be told without reading, as of DICOM [MB]."""
PART = 0.9
"""Of the free memory that scans may plan with."""

# fitted so that the measured peaks of docs/concepts/cost.md lie below


def estimate_mb(shape: tuple[int, ...], n_volumes: int) -> float:
    """Return the peak memory that a scan is thought to take [MB].

    Parameters
    ----------
    shape : tuple of int
        Its grid.
    n_volumes : int
        Magnitude and phase images of all echoes.
    """
    megavoxels = prod(shape) / 1e6
    return BASE_MB + megavoxels * (PER_MEGAVOXEL_MB + PER_VOLUME_MB * n_volumes)


def need_mb(ref: ScanRef) -> float:
    """Return the peak memory that a scan is thought to take, from headers alone [MB]."""
    n_volumes = 0
    largest: tuple[int, ...] = (0,)
    for path in ref.paths:
        if not is_nifti(path):
            continue
        try:
            image: Any = nib.load(path)
            shape = tuple(int(n) for n in image.shape)
        except Exception:  # whatever is wrong with it, reading the scan will say so
            return UNREAD_MB
        n_volumes += shape[3] if len(shape) > 3 else 1
        largest = max(largest, shape[:3], key=prod)
    return estimate_mb(largest, n_volumes) if n_volumes else UNREAD_MB


def available_mb(
    meminfo: Path = Path("/proc/meminfo"), cgroup: Path = Path("/sys/fs/cgroup")
) -> float:
    """Return the memory that scans may plan with [MB]; 0 where the system doesn't say.

    It is the least of what is free and of what is left to a container or a batch job.
    """
    found = []
    try:
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                found.append(int(line.split()[1]) / 1024)
    except (OSError, ValueError):
        pass
    for most, now in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            limit = int((cgroup / most).read_text())  # 'max' is no number: no limit
            found.append((limit - int((cgroup / now).read_text())) / 2**20)
        except (OSError, ValueError):
            continue
    return PART * max(0.0, min(found)) if found else 0.0
