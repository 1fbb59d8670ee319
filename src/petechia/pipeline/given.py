"""A user's own mask and field, put on trial before they enter."""

from pathlib import Path

import numpy as np

from petechia.core.checks import require_signal
from petechia.core.grid import Grid
from petechia.core.units import hz_per_ppm
from petechia.errors import GridMismatchError
from petechia.files.nifti import load_volume, sidecar_of
from petechia.files.scan import Scan
from petechia.pipeline.work import Mask, Volume


def given_volumes(
    mask: Path | None, field: Path | None, scan: Scan
) -> tuple[Mask | None, Volume | None]:
    """Return the given brain mask and total field [ppm], checked against the scan's grid.

    Raises
    ------
    FileError
        If a file cannot be read.
    GridMismatchError
        If it is not on the scan's grid.
    """
    grid = scan.echoes.grid
    inside = None if mask is None else on_grid(mask, grid) > 0
    if inside is not None:
        require_signal(inside, str(mask))
    total = None if field is None else field_in_ppm(field, grid, scan.echoes.b0_t)
    return inside, total


def on_grid(path: Path, grid: Grid) -> Volume:
    """Return the volume at `path`, which must share shape and affine with `grid`."""
    image = load_volume(path)
    if image.array.shape != grid.shape:
        raise GridMismatchError(
            f"shape {image.array.shape} is not the scan's {grid.shape}",
            where=str(path),
            mend="Resample it onto the magnitude image's grid first.",
        )
    apart = float(np.abs(corners(image.grid) - corners(grid)).max())
    if apart > 0.5 * float(grid.spacing_mm.min()):
        raise GridMismatchError(
            f"its corners lie up to {apart:.2f} mm from the scan's",
            where=str(path),
            mend="Resample it onto the magnitude image's grid first.",
        )
    return np.asarray(image.array, dtype=np.float32)


def corners(grid: Grid) -> np.ndarray:
    """Return the places of two opposite corners and their neighbours [mm]."""
    i, j, k = (n - 1 for n in grid.shape)
    return grid.to_mm([(0, 0, 0), (i, 0, 0), (0, j, 0), (0, 0, k), (i, j, k)])


def field_in_ppm(path: Path, grid: Grid, b0_t: float) -> Volume:
    """Return a total field [ppm]; a sidecar with Units 'Hz' or 'rad/s' is obeyed."""
    field = on_grid(path, grid)
    units = str(sidecar_of(path).get("Units", "ppm")).lower()
    if units == "hz":
        field = field / np.float32(hz_per_ppm(b0_t))
    elif units == "rad/s":
        field = field / np.float32(2 * np.pi * hz_per_ppm(b0_t))
    return field
