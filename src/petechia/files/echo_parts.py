"""Magnitude and phase of a scan from the echoes of its images, whatever parts there are."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_no_overflow, require_signal, share_below_0
from petechia.errors import InputError
from petechia.files.nifti import Volume
from petechia.files.phase_scaling import (
    PhaseRadians,
    complex_to_polar,
    phase_to_radians,
    without_alternation,
)
from petechia.files.scan import Header
from petechia.files.sidecars import DIFFERENCE, IMAGINARY, MAGNITUDE, PHASE, REAL, Facts

Floats = npt.NDArray[np.float32]
SAME_TE_S = 2e-5
"""Echo times nearer than this are one echo time [s]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One NIfTI file of a scan, found but not read.

    Attributes
    ----------
    path : str
        Where it lies.
    shown : str
        Its path relative to INPUT, or its bare name.
    role : str
        'magnitude', 'phase', 'difference', 'real' or 'imaginary', by its name.
    echo : int or None
        Number of the echo by its name.
    sidecars : tuple of str
        JSON files that apply, the most specific last.
    te_s : tuple of float
        Echo times of its volumes where the caller states them [s].
    b0_t : float or None
        Main field where the caller states it [T].
    """

    path: str
    shown: str
    role: str
    echo: int | None = None
    sidecars: tuple[str, ...] = ()
    te_s: tuple[float, ...] = ()
    b0_t: float | None = None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Read:
    """An image with its voxels and facts."""

    image: Image
    volume: Volume
    facts: Facts
    notes: tuple[str, ...] = ()
    weighted: bool = False
    """True for an SWI that the scanner made."""
    of_complex: bool = False
    """True for one part of a complex image."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Frame:
    """One echo of one image."""

    data: Floats
    te_s: float
    read: Read

    @property
    def shown(self) -> str:
        """What to call it in a message."""
        return f"{self.read.image.path} (echo time {self.te_s:g} s)"


def parts_of(read: Read) -> tuple[Read, ...]:
    """Return an image, or the real and the imaginary part of a complex one.

    Raises
    ------
    InputError
        A complex image that is called a part by its name or sidecar.
    """
    frames = read.volume.frames
    if not np.iscomplexobj(frames):
        return (read,)
    if read.image.role != MAGNITUDE:
        raise InputError(
            f"voxels of type {frames.dtype}, which hold magnitude and phase, in an image called "
            f"{read.image.role}",
            where=read.image.path,
            mend="Write its real numbers, or leave `part` out of its name.",
        )
    note = "complex images: magnitude and phase are taken from them"
    return tuple(
        replace(
            read,
            image=replace(read.image, role=role),
            volume=replace(read.volume, frames=part),
            notes=(*read.notes, note),
            of_complex=True,
        )
        for role, part in ((REAL, frames.real), (IMAGINARY, frames.imag))
    )


def require_partners(frames: dict[str, list[Frame]]) -> None:
    """Raise `InputError` that names the first echo which lacks its partner."""
    magnitude, real = frames.get(MAGNITUDE), frames.get(REAL, [])
    if magnitude and PHASE in frames:
        _require_partners(magnitude, "magnitude", frames[PHASE], "phase")
    elif _is_complex(frames):
        _require_partners(real, "real", frames.get(IMAGINARY, []), "imaginary")
        if magnitude:
            _require_partners(magnitude, "magnitude", real, "real")


def _is_complex(frames: dict[str, list[Frame]]) -> bool:
    """Return whether the phase is that of a real and an imaginary part."""
    return MAGNITUDE not in frames or (
        PHASE not in frames and (REAL in frames or IMAGINARY in frames)
    )


def put_together(
    frames: dict[str, list[Frame]], header: Header, phase_scale: float | None
) -> tuple[Floats, Floats | None, tuple[float, ...], str]:
    """Return magnitude, phase, phase times and how the phase came to radians."""
    require_partners(frames)
    if _is_complex(frames):
        return _from_complex(frames)
    magnitude = _magnitude(frames[MAGNITUDE])
    if PHASE in frames:
        axis = frames[PHASE][0].read.volume.grid.slice_axis - 3
        phase = without_alternation(_radians(frames[PHASE], header, phase_scale), magnitude, axis)
        return magnitude, phase.phase_rad, tuple(f.te_s for f in frames[MAGNITUDE]), phase.note
    if DIFFERENCE in frames:
        phase = _radians(frames[DIFFERENCE], header, phase_scale)
        times = tuple(f.te_s for f in frames[DIFFERENCE])
        return magnitude, phase.phase_rad, times, f"difference of two echoes; {phase.note}"
    return magnitude, None, (), "none"


def _from_complex(
    frames: dict[str, list[Frame]],
) -> tuple[Floats, Floats | None, tuple[float, ...], str]:
    real, imaginary = frames[REAL], frames[IMAGINARY]
    grid = real[0].read.volume.grid
    magnitude, polar = complex_to_polar(
        np.stack([f.data for f in real]),
        np.stack([f.data for f in imaginary]),
        slice_axis=grid.slice_axis - 3,
        where=real[0].read.image.path,
    )
    if MAGNITUDE in frames:
        magnitude = _magnitude(frames[MAGNITUDE])
    times = tuple(frame.te_s for frame in frames.get(MAGNITUDE, real))
    return magnitude, polar.phase_rad, times, polar.note


def _require_partners(one: list[Frame], what: str, other: list[Frame], other_what: str) -> None:
    """Raise `InputError` that names the first echo which lacks its partner."""
    for mine, mine_is, theirs, lacks in (
        (one, what, other, other_what),
        (other, other_what, one, what),
    ):
        times = np.array([frame.te_s for frame in theirs])
        for n, frame in enumerate(mine, start=1):
            if not np.any(np.abs(times - frame.te_s) < SAME_TE_S):
                have = ", ".join(f"{t:g}" for t in times) or "none"
                raise InputError(
                    f"echo {n} of {len(mine)} (echo time {frame.te_s:g} s) has {mine_is} but no "
                    f"{lacks}; {lacks} is there for: {have}",
                    where=frame.read.image.path,
                    mend=f"Add its {lacks}, correct EchoTime, or leave that echo out.",
                )


def _magnitude(frames: list[Frame]) -> Floats:
    for frame in frames:
        require_signal(frame.data, frame.shown)
        if share := share_below_0(frame.data):
            raise InputError(
                f"{100 * share:.0f} % of the magnitude is below 0, down to "
                f"{float(frame.data.min()):g}",
                where=frame.shown,
                mend="Is this a phase or a real part? Magnitudes are 0 or more.",
            )
        require_no_overflow(frame.data, frame.shown)
    stack = np.stack([frame.data for frame in frames])
    return np.maximum(stack, np.float32(0), out=stack)


def _radians(frames: list[Frame], header: Header, phase_scale: float | None) -> PhaseRadians:
    """Return the phase of all echoes together, in radians, and how it came to be."""
    for frame in frames:
        require_signal(frame.data, frame.shown)
    first = frames[0].read
    rescales = {frame.read.volume.rescale for frame in frames}
    raw = np.stack([frame.data for frame in frames])
    rescale = rescales.pop() if len(rescales) == 1 else None
    if rescale in (None, (1.0, 0.0)) or phase_scale is not None:
        rescale = None
    else:
        raw = (raw - np.float32(rescale[1])) / np.float32(rescale[0])
    return phase_to_radians(
        raw,
        units_hint=first.facts.units,
        manufacturer=header.manufacturer,
        rescale=rescale,
        image_type=first.facts.image_type,
        scale=phase_scale,
        where=first.image.path,
    )
