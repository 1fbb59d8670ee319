"""One scan as it comes out of files: arrays, its name, and the facts of its header."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from petechia.core.echoes import Echoes
from petechia.core.grid import Grid
from petechia.errors import ParameterError

if TYPE_CHECKING:
    from petechia.files.dicom.results.origin import Origin

ENTITY_ORDER = (
    "sub", "ses", "sample", "task", "tracksys", "acq", "nuc", "voi", "ce", "trc", "stain", "rec",
    "dir", "run", "mod", "echo", "flip", "inv", "mt", "part", "proc", "hemi", "space", "split",
    "recording", "chunk", "seg", "res", "den", "label", "desc",
)  # fmt: skip
"""BIDS's own order of entities in a file name."""
_LABEL = re.compile(r"[0-9A-Za-z]+")


@dataclass(frozen=True, slots=True)
class ScanName:
    """BIDS entities of a scan, `echo` and `part` left out.

    Attributes
    ----------
    entities : tuple of (key, value)
        In BIDS order, `sub` first: (("sub", "01"), ("ses", "2"), ("run", "1")).
    """

    entities: tuple[tuple[str, str], ...]

    @property
    def prefix(self) -> str:
        """`sub-01_ses-2_acq-y_run-1`: every output file begins with it."""
        return "_".join(f"{key}-{value}" for key, value in self.entities)

    @property
    def folder(self) -> str:
        """`sub-01/ses-2/anat`: where its outputs lie, relative to OUTPUT."""
        parts = [f"{k}-{v}" for k, v in self.entities if k in ("sub", "ses")]
        return "/".join([*parts, "anat"])

    def get(self, key: str) -> str | None:
        """Return the value of an entity, or None."""
        return dict(self.entities).get(key)


def subject_name(subject: str, run: int | None = None, *, session: str | None = None) -> ScanName:
    """Return the name of a scan that has none of its own: `sub-01`, or `sub-01_run-2`.

    Raises
    ------
    ParameterError
        `subject`, with or without `sub-`, is not of letters and digits only.
    """
    label = subject.removeprefix("sub-")
    if not _LABEL.fullmatch(label):
        raise ParameterError(
            f"subject {subject!r}",
            where="--subject",
            mend="Use letters and digits only, e.g. 01 or patient3.",
        )
    sessions = () if session is None else (("ses", session),)
    runs = () if run is None else (("run", str(run)),)
    return ScanName((("sub", label), *sessions, *runs))


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Facts about the acquisition; None where the files do not say.

    Nothing in here identifies a person, a place or a date.
    """

    manufacturer: str | None = None
    model: str | None = None
    software: str | None = None
    acquisition_type: str | None = None
    """'2D' or '3D'."""
    slice_thickness_mm: float | None = None
    slice_spacing_mm: float | None = None
    """Centre to centre; larger than the thickness when there are gaps."""
    tr_s: float | None = None
    flip_deg: float | None = None
    pixel_bandwidth_hz: float | None = None
    sequence_name: str | None = None
    image_type: tuple[str, ...] = ()
    """DICOM ImageType of the magnitude and phase series, joined."""
    weighted: bool = False
    """True when the magnitude is an SWI that the scanner made: darkened by its phase."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One input file.

    Attributes
    ----------
    path : str
        Relative to INPUT, or its bare name.
    sha256 : str
        Of its bytes.
    role : str
        What a NIfTI file holds: 'magnitude', 'phase', ...; "" for other files.
    te_s : tuple of float
        Echo time of each of its volumes [s]; of a difference, that between the echoes.
    """

    path: str
    sha256: str
    role: str = ""
    te_s: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Scan:
    """One scan, read.

    Attributes
    ----------
    echoes : Echoes
        Magnitude, phase in radians, times, field, grid.
    name : ScanName
        What its outputs are called.
    header : Header
        Acquisition facts.
    kind : str
        'DICOM', 'BIDS' or 'NIfTI': where it came from.
    sources : tuple of Source
        Every file that was read.
    phase_note : str
        How the phase came to radians, in words: 'none', 'Siemens 0..4095', ...
    notes : tuple of str
        What a reader of the report should know about reading this scan (repeated
        instances dropped, echo time taken from the command line, ...).
    nifti_header : nibabel header or None
        Of the first magnitude file, so that results keep its geometry to the last bit.
    """

    echoes: Echoes
    name: ScanName
    header: Header
    kind: str
    sources: tuple[Source, ...]
    phase_note: str = "none"
    notes: tuple[str, ...] = ()
    nifti_header: Any = None


class SeriesImage(Protocol):
    """A series of a DICOM exam that lies beside a gradient echo (`files.dicom.companions`)."""

    @property
    def name(self) -> str: ...  # noqa: D102
    def read(self) -> tuple[npt.NDArray[np.float32], Grid]: ...  # noqa: D102
    def sha256(self) -> str: ...  # noqa: D102


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """Images of the same person and session that tell anatomy better; None where there is none.

    Attributes
    ----------
    t1w, t2w, flair : Path, SeriesImage or None
        Anatomical images: NIfTI, or a series of the exam.
    ct : Path, SeriesImage or None
        Of the head: NIfTI in Hounsfield units, a DICOM file or folder, or a series of the exam.
    segmentation : Path or None
        By FreeSurfer or SynthSeg.
    chosen : tuple of (str, str)
        Of each kind of image ('FLAIR', 'T2w', 'T1w', 'CT') which was taken, and why.
    left : tuple of str
        Images of these kinds that were not taken, each with the reason.
    """

    t1w: "Path | SeriesImage | None" = None
    t2w: "Path | SeriesImage | None" = None
    segmentation: Path | None = None
    ct: "Path | SeriesImage | None" = None
    flair: "Path | SeriesImage | None" = None
    chosen: tuple[tuple[str, str], ...] = ()
    left: tuple[str, ...] = ()

    @property
    def sources(self) -> "tuple[Path | SeriesImage, ...]":
        """All that there are."""
        all_ = (self.t1w, self.t2w, self.segmentation, self.ct, self.flair)
        return tuple(source for source in all_ if source is not None)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ScanRef:
    """A scan that was found but not yet read: cheap to list, to count, to send away.

    `load` reads it and raises `FileError` or `InputError` when it cannot be used. It is
    a `functools.partial` of a module-level function, so that it crosses process borders.
    """

    name: ScanName
    kind: str
    paths: tuple[str, ...] = field(default=())
    load: Callable[[], Scan]
    check: Callable[[], object] | None = None
    """Raises what `load` would raise for headers and sidecars, without reading a voxel."""
    beside: Beside = field(default_factory=Beside)
    origin: Callable[[], "Origin"] | None = None
    """Reads who and what a DICOM scan came from, for results that go back as DICOM."""
    load_magnitude: Callable[[], Scan] | None = None
    """Reads the magnitude alone, which is quicker; None where it cannot be told apart."""
    load_echo: Callable[[float], Scan] | None = None
    """Reads the magnitude of one echo time [s], quicker still; more where a file holds more."""
