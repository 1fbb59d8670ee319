"""Phase that the header does not tell from magnitude, known by its values.

GE tells the parts of an image in a private element alone, which de-identification takes out:
all of them then pass for magnitudes. Numbers that fill -3142..3142 evenly are a phase in
milliradians; those of real and imaginary parts fade out instead, and are left as they are.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from petechia.errors import PetechiaError
from petechia.files.dicom.frames import Frame
from petechia.files.dicom.kinds import WORDS
from petechia.files.dicom.pixels import Pixels
from petechia.files.phase_scaling import MILLIRADIANS, Values, filled_limit

N_SLICES = 12
"""So many of a series are looked at."""


def with_untold_phase(frames: Sequence[Frame], pixels: Pixels) -> tuple[list[Frame], list[str]]:
    """Return frames with the part 'phase' where the values show it, and notes on that.

    Only where several series of GE call themselves nothing is a voxel read.
    """
    series: dict[str, list[Frame]] = defaultdict(list)
    for frame in frames:
        if _is_untold(frame):
            series[frame.series].append(frame)
    found = {
        name
        for name, own in series.items()
        if any(_alike(own, other) for key, other in series.items() if key != name)
        and _is_phase(own, pixels)
    }
    notes = [
        f"series {number} does not say what it is: its values fill -3142 to 3142 evenly, "
        "taken as phase in milliradians"
        for number in sorted({series[name][0].series_number for name in found})
    ]
    return [
        replace(f, part="phase") if f.series in found and _is_untold(f) else f for f in frames
    ], notes


def _is_untold(frame: Frame) -> bool:
    maker = (frame.facts.manufacturer or "").lower()
    return (
        maker.startswith("ge")
        and frame.part == "mag"
        and not frame.fault
        and not WORDS["mag"] & set(frame.tokens[2:])
    )


def _alike(one: Sequence[Frame], other: Sequence[Frame]) -> bool:
    """Return whether two series have slices of one size and the same echo times."""
    kinds = [{(frame.te_ms, frame.size) for frame in frames} for frames in (one, other)]
    return kinds[0] == kinds[1]


def _is_phase(frames: Sequence[Frame], pixels: Pixels) -> bool:
    chosen = frames[:: max(1, len(frames) // N_SLICES)]
    try:
        slices = [
            np.asarray(pixels.frame(f), dtype=np.float32).ravel() * np.float32(f.rescale[0])
            + np.float32(f.rescale[1])
            for f in chosen
        ]
    except PetechiaError:  # told when the scan is read
        return False
    x = np.concatenate(slices)
    values = Values(float(x.min()), float(x.max()), bool(np.array_equal(x, np.rint(x))))
    return MILLIRADIANS.fits(values, filled=True) and filled_limit(x) is not None
