"""Which volumes can belong together: one grid; and which are the same image twice."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from petechia.files.dicom.sort import Volume, n_orientations, n_places, normal_of, place_of

SAME_ACQUISITION_S = 5.0
"""Echoes of one acquisition start within a repetition time of each other."""
CORRECTIONS = {"ND", "DIS2D", "DIS3D", "NORM", "FIL", "NONE", "PFP", "SHARP", "CDM", "CMM"}

SamePixels = Callable[[Volume, Volume], bool]


def without_fragments(volumes: Sequence[Volume]) -> tuple[list[Volume], list[str]]:
    """Leave aside single slices and small many-angled series, unless there is nothing else.

    Slices that say no place are kept where they may be the only ones of their part: reading
    them tells what is missing.
    """
    lost = [all(place_of(f) is None for f in v.frames) for v in volumes]
    placed = {v.part for v, no_place in zip(volumes, lost, strict=True) if not no_place}
    kept, notes = [], []
    for volume, no_place in zip(volumes, lost, strict=True):
        needed = no_place and len(volume.frames) >= 3 and volume.part not in placed
        small = n_places(volume) < 3 and not needed
        angled = n_orientations(volume) > 1 and len(volume.frames) <= 15
        if small or angled:
            why = "slices of several orientations" if angled else "fewer than 3 slices"
            if no_place and not angled:
                why = "its slices do not say where they lie"
            notes.append(f"{volume.label} left aside: {why}")
        else:
            kept.append(volume)
    return (kept, notes) if kept else (list(volumes), [])


def same_grid(volumes: Iterable[Volume]) -> list[list[Volume]]:
    """Return the volumes in groups that lie on one grid."""
    groups: list[list[Volume]] = []
    for volume in volumes:
        for group in groups:
            if _on_one_grid(group[0], volume):
                group.append(volume)
                break
        else:
            groups.append([volume])
    return groups


def _on_one_grid(a: Volume, b: Volume) -> bool:
    """Whether two volumes share person, study, frame of reference, plane and most slices."""
    one, two = a.first, b.first
    frames = {one.frame_of_reference, two.frame_of_reference} - {""}
    if one.study != two.study or len(frames) > 1 or one.size != two.size:
        return False
    if one.person != two.person:
        return False
    stated = (one.position, one.orientation, one.pixel_mm, two.position, two.orientation)
    if None in stated or two.pixel_mm is None:
        return one.series == two.series
    assert one.orientation is not None
    assert two.orientation is not None
    assert one.pixel_mm is not None
    if not np.allclose(one.orientation, two.orientation, atol=2e-3):
        return False
    if not np.allclose(one.pixel_mm, two.pixel_mm, rtol=1e-3):
        return False
    apart = np.subtract(two.position, one.position)  # type: ignore[arg-type]
    in_plane = [
        abs(float(apart @ np.asarray(o))) for o in (one.orientation[:3], one.orientation[3:])
    ]
    return max(in_plane) < 0.2 * min(one.pixel_mm) and _overlap(a, b) > 0.5


def _overlap(a: Volume, b: Volume) -> float:
    """Return the shared part of two stacks' extents along the normal of the first."""
    normal = normal_of(a.first)
    ends = []
    for volume in (a, b):
        places = [f.position for f in volume.frames if f.position is not None]
        along = np.asarray(places) @ normal
        ends.append((float(along.min()), float(along.max())))
    shared = min(ends[0][1], ends[1][1]) - max(ends[0][0], ends[1][0])
    longest = max(high - low for low, high in ends)
    return 1.0 if longest <= 0 and shared >= -1e-3 else shared / max(longest, 1e-9)


def without_variants(
    volumes: Sequence[Volume], same_pixels: SamePixels
) -> tuple[list[Volume], list[str]]:
    """Keep one of several reconstructions or copies of the same image.

    With phase, the one without distortion correction is kept (interpolation harms wrapped
    phase); without phase the corrected one; normalised before not normalised.
    """
    complex_parts = [v for v in volumes if v.part != "mag"]
    raw_phase = any(not _corrected(v) for v in complex_parts)
    prefer_corrected = not raw_phase

    def rank(volume: Volume) -> tuple[bool, bool, int]:
        normalised = "NORM" in volume.first.tokens
        return (_corrected(volume) != prefer_corrected, not normalised, volume.first.series_number)

    kept: list[Volume] = []
    notes = []
    for volume in sorted(volumes, key=rank):
        twin = next((k for k in kept if _variant(k, volume, same_pixels)), None)
        if twin is None:
            kept.append(volume)
        else:
            notes.append(f"{volume.label} left aside: the same image as {twin.label}")
    return sorted(kept, key=volumes.index), notes


def _corrected(volume: Volume) -> bool:
    """Whether the scanner corrected distortion."""
    return any(t.startswith("DIS") for t in volume.first.tokens)


def _variant(a: Volume, b: Volume, same_pixels: SamePixels) -> bool:
    """Whether two volumes are one image, reconstructed or stored twice."""
    if a.part != b.part or a.te_ms != b.te_ms or not a.facts.same_sequence(b.facts):
        return False
    late_s = apart_s(a.acquired_s, b.acquired_s)
    if late_s is not None and late_s > SAME_ACQUISITION_S:
        return False
    if a.first.tokens == b.first.tokens:
        return same_pixels(a, b)
    return set(a.first.tokens) ^ set(b.first.tokens) <= CORRECTIONS


def apart_s(a: float | None, b: float | None) -> float | None:
    """Return the time between two acquisitions, None when one is unknown [s]."""
    return None if a is None or b is None else abs(a - b)
