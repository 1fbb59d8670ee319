"""A user's own mask and field, put on trial before they enter."""

from pathlib import Path

import numpy as np

from petechia.core.grid import Grid
from petechia.core.units import hz_per_ppm
from petechia.errors import ParameterError
from petechia.files.nifti import read_mask, read_on_grid, stem_of
from petechia.files.scan import Scan
from petechia.files.sidecars import read_json
from petechia.pipeline.arrays import require_ppm
from petechia.pipeline.work import Mask, Volume

TURNS = {"ppm": None, "hz": 1.0, "rad/s": 2 * np.pi}
"""Units of a field map, and how many of them a hertz makes; None for those of the results."""


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
    inside = None if mask is None else read_mask(mask, grid)
    total = None if field is None else field_in_ppm(field, grid, scan.echoes.b0_t, inside)
    return inside, total


def field_in_ppm(path: Path, grid: Grid, b0_t: float | None, mask: Mask | None = None) -> Volume:
    """Return a field map [ppm]; a JSON beside it with Units 'Hz' or 'rad/s' is obeyed.

    Raises
    ------
    ParameterError
        If the units need the main field and it was not given, or are not known.
    InputError
        If it is no field in ppm by its size in the mask.
    """
    field = np.asarray(read_on_grid(path, grid), dtype=np.float32)
    units = field_units(path)
    turn = TURNS[units.lower()]
    if turn is not None:
        if b0_t is None:
            raise ParameterError(
                f"the field is in {units}", where=str(path), mend="Give --b0 to turn it to ppm."
            )
        field = field / np.float32(turn * hz_per_ppm(b0_t))
    elif mask is not None:
        mend = 'Is it in Hz or rad/s? Write {"Units": "Hz"} into the JSON beside it.'
        require_ppm(field[mask], str(path), mend)
    return field


def stated_units(path: Path) -> str:
    """Return the units in the JSON beside an image, whatever they are: 'ppm' without any."""
    beside = path.with_name(stem_of(path.name) + ".json")
    return str(read_json(beside).get("Units", "ppm")) if beside.exists() else "ppm"


def field_units(path: Path) -> str:
    """Return the units of a field map by the JSON beside it: 'ppm' where it does not say.

    Raises
    ------
    ParameterError
        If they are none that a field map has.
    """
    units = stated_units(path)
    if units.lower() not in TURNS:
        raise ParameterError(
            f"units {units!r}",
            where=str(path.with_name(stem_of(path.name) + ".json")),
            mend="A field map is in ppm, Hz or rad/s: correct Units in this file.",
        )
    return units
