"""Frames to volumes: one part, one echo time, one pass through the slices.

Instance numbers are not trusted (they repeat, and start again for each echo): slices are told
apart by where they are.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.files.dicom.frames import Facts, Frame

SAME_PLACE_MM = 0.01
SAME_ECHO_MS = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """Slices of one part at one echo time, in no order.

    Attributes
    ----------
    frames : tuple of Frame
        At least one.
    te_ms : float or None
        Echo time shared by all [ms].
    repeat : int
        Which pass through the slices, when a series holds several.
    """

    frames: tuple[Frame, ...]
    te_ms: float | None
    repeat: int = 0

    @property
    def first(self) -> Frame:
        """Any frame, for what all share."""
        return self.frames[0]

    @property
    def part(self) -> str:
        """'mag', 'phase', 'real' or 'imag'."""
        return self.first.part

    @property
    def facts(self) -> Facts:
        """Acquisition facts of the first frame."""
        return self.first.facts

    @property
    def acquired_s(self) -> float | None:
        """When the earliest slice was acquired; only for comparing."""
        times = [f.acquired_s for f in self.frames if f.acquired_s is not None]
        return min(times) if times else None

    @property
    def label(self) -> str:
        """What errors and notes call it: series number, part, echo time."""
        part = {"mag": "magnitude", "imag": "imaginary part", "real": "real part"}.get(
            self.part, self.part
        )
        echo = "" if self.te_ms is None else f", echo {self.te_ms:g} ms"
        return f"series {self.first.series_number} ({part}{echo})"


def volumes_of(frames: Iterable[Frame]) -> list[Volume]:
    """Return the volumes that `frames` make up, by series number and echo time."""
    frames = list(frames)
    echo = merged_echo_times(frames)
    groups: dict[tuple[object, ...], list[Frame]] = defaultdict(list)
    for frame in frames:
        te_ms = None if frame.te_ms is None else echo[frame.te_ms]
        who = (frame.study, frame.person)
        groups[(who, frame.series, frame.part, te_ms, frame.size)].append(frame)
    volumes = [
        Volume(frames=tuple(part), te_ms=key[3], repeat=repeat)  # type: ignore[arg-type]
        for key, group in groups.items()
        for repeat, part in enumerate(passes(group))
    ]
    return sorted(
        volumes,
        key=lambda v: (v.first.series_number, v.first.series, v.repeat, v.te_ms or 0.0),
    )


def merged_echo_times(frames: Sequence[Frame]) -> dict[float, float]:
    """Return for each echo time the one that stands for it and its near copies [ms]."""
    out: dict[float, float] = {}
    stands = -np.inf
    for te_ms in sorted({f.te_ms for f in frames if f.te_ms is not None}):
        if te_ms - stands > SAME_ECHO_MS:
            stands = te_ms
        out[te_ms] = stands
    return out


def passes(frames: list[Frame]) -> list[list[Frame]]:
    """Return `frames` split into passes through the slices, when the header tells them apart.

    Repeats of only some slices are left in: they are copies, or an error.
    """
    places = [place_of(f) for f in frames]
    if None in places or len(set(places)) == len(places):
        return [frames]
    for key in ("tokens", "temporal", "acquisition"):
        groups: dict[object, list[Frame]] = defaultdict(list)
        for frame in frames:
            groups[getattr(frame, key)].append(frame)
        sets = [[place_of(f) for f in group] for group in groups.values()]
        complete = all(len(s) == len(set(s)) == len(set(places)) for s in sets)
        if len(groups) > 1 and complete:
            return [groups[k] for k in sorted(groups, key=lambda k: (k is None, k))]
    return [frames]


def normal_of(frame: Frame) -> npt.NDArray[np.float64]:
    """Return the unit normal of a slice, LPS."""
    assert frame.orientation is not None
    normal = np.cross(frame.orientation[:3], frame.orientation[3:])
    out: npt.NDArray[np.float64] = normal / max(float(np.linalg.norm(normal)), 1e-9)
    return out


def place_of(frame: Frame) -> tuple[object, ...] | None:
    """Return what is equal for slices at the same place, None where the header lacks it."""
    if frame.position is None or frame.orientation is None:
        return None
    steps = np.round(np.asarray(frame.position) / SAME_PLACE_MM).astype(int)
    return (*steps.tolist(), *np.round(frame.orientation, 3).tolist())


def n_places(volume: Volume) -> int:
    """Return the number of different places of a volume's slices."""
    return len({place_of(f) for f in volume.frames})


def n_orientations(volume: Volume) -> int:
    """Return how many orientations its slices have."""
    seen: list[npt.NDArray[np.float64]] = []
    for frame in volume.frames:
        if frame.orientation is not None:
            here = np.asarray(frame.orientation)
            if not any(np.allclose(here, other, atol=1e-3) for other in seen):
                seen.append(here)
    return len(seen)
