"""Read NIfTI volumes, and say clearly what is wrong with those that cannot be used."""

import gzip
import hashlib
import zlib
from dataclasses import dataclass
from io import IOBase
from pathlib import Path
from typing import Any, BinaryIO, cast

import nibabel as nib
import numpy as np
import numpy.typing as npt

from petechia.core.checks import mask_from, require_finite
from petechia.core.grid import Grid
from petechia.errors import FileError, GridMismatchError, InputError, MetadataError

Floats = npt.NDArray[np.float32]
NIFTI_ENDINGS = (".nii.gz", ".nii")
SPACING_MM = (0.05, 50.0)
FORMS_APART_MM = 0.5
"""How far the two orientations of a file may differ at a corner and count as one [mm]."""
_CONVERT_AGAIN = "Copy or convert it again from the DICOM."
_BROKEN = (
    EOFError,
    OSError,
    ValueError,
    zlib.error,
    nib.filebasedimages.ImageFileError,
    nib.spatialimages.HeaderDataError,
)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Volume:
    """A NIfTI file in memory.

    Attributes
    ----------
    frames : (N, I, J, K) ndarray of float32
        Values with the header's slope and intercept applied; N is 1 for a 3-D file.
    grid : Grid
        Its geometry, with the affine as the header gives it.
    header : nibabel header
        As read.
    sha256 : str
        Of the file as it lies on disk.
    path : Path
        Where it came from.
    rescale : (slope, intercept)
        What was applied to the stored values.
    notes : tuple of str
        What was assumed where the header says nothing.
    """

    frames: Floats
    grid: Grid
    header: Any
    sha256: str
    path: Path
    rescale: tuple[float, float] = (1.0, 0.0)
    notes: tuple[str, ...] = ()

    @property
    def only(self) -> Floats:
        """The single (I, J, K) volume; `InputError` when there are several."""
        if len(self.frames) != 1:
            raise InputError(
                f"{len(self.frames)} volumes where one is needed",
                where=str(self.path),
                mend="Give a 3-D file.",
            )
        return cast("Floats", self.frames[0])


def is_nifti(name: str) -> bool:
    """Return True when a file name ends as NIfTI files do."""
    return name.lower().endswith(NIFTI_ENDINGS)


def stem_of(name: str) -> str:
    """Return a file name without `.nii.gz`, `.nii` or `.json`."""
    for ending in (*NIFTI_ENDINGS, ".json"):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name


def read_nifti(path: Path, *, finite: bool = True) -> Volume:
    """Read one 3-D or 4-D NIfTI file.

    Parameters
    ----------
    path : Path
        A `.nii` or `.nii.gz` file; gzip's own check sum is verified to the end.
    finite : bool
        Refuse NaN and infinity.

    Raises
    ------
    FileError
        Missing, empty, truncated or corrupt.
    MetadataError
        The affine is degenerate or the voxel size impossible.
    InputError
        Not 3-D or 4-D, not real-valued, or not finite.
    """
    header, affine, rescale, data = _parsed(path)
    frames = _frames(data, path)
    grid = _grid(frames.shape[1:], affine, path)
    if finite:
        require_finite(frames[0] if len(frames) == 1 else frames, str(path))
    return Volume(
        frames=frames,
        grid=grid,
        header=header,
        sha256=sha256_of(path),
        path=path,
        rescale=rescale,
        notes=_orientation_notes(header, path),
    )


def read_any_nifti(path: Path) -> Volume:
    """Read one 3-D or 4-D NIfTI file as `read_nifti` does, also complex and with NaN."""
    header, affine, rescale, data = _parsed(path, complex_too=True)
    frames = _frames(data, path)
    return Volume(
        frames=frames,
        grid=_grid(frames.shape[1:], affine, path),
        header=header,
        sha256=sha256_of(path),
        path=path,
        rescale=rescale,
        notes=_orientation_notes(header, path),
    )


def look_at_nifti(path: Path) -> Volume:
    """Return what the header of a NIfTI file tells; every voxel is 0, and takes no memory.

    Raises
    ------
    FileError, MetadataError, InputError
        As `read_any_nifti`, for what the header can tell.
    """
    with _errors_of(path), _opened(path) as stream, np.errstate(all="ignore"):
        image = _image(stream, path)
        _check_kind(image.header, path, complex_too=True)
        shape, affine = image.shape, image.affine
        rescale = (float(image.dataobj.slope), float(image.dataobj.inter))
    kind = np.complex64 if image.header.get_data_dtype().kind == "c" else np.float32
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) not in (3, 4) or 0 in shape:
        raise _wrong_dimensions(image.shape, path)
    frames = np.broadcast_to(kind(0), (*(shape[3:] or (1,)), *shape[:3]))
    return Volume(
        frames=cast("Floats", frames),
        grid=_grid(shape[:3], affine, path),
        header=image.header,
        sha256="",
        path=path,
        rescale=rescale,
        notes=_orientation_notes(image.header, path),
    )


def read_geometry(path: Path) -> Grid:
    """Return the grid of a NIfTI file without reading its voxels."""
    with _errors_of(path), _opened(path) as stream:
        image = _image(stream, path)
        shape, affine = image.shape, image.affine
    if len(shape) not in (3, 4):
        raise _wrong_dimensions(shape, path)
    return _grid(shape[:3], affine, path)


def read_on_grid(path: Path, grid: Grid) -> Floats:
    """Return the single volume of `path`, checked to lie on `grid`."""
    volume = read_nifti(path)
    require_same_grid(volume.grid, str(path), grid, "the scan")
    return volume.only


def read_mask(path: Path, grid: Grid) -> npt.NDArray[np.bool_]:
    """Return the voxels of `path` above 0.5, checked to lie on `grid` and be a mask."""
    return mask_from(read_on_grid(path, grid), str(path))


def require_same_grid(grid: Grid, name: str, other: Grid, other_name: str) -> None:
    """Raise `GridMismatchError` unless two grids agree within 1 % of a voxel everywhere."""
    if grid.shape != other.shape:
        raise GridMismatchError(
            f"shape {grid.shape} differs from {other.shape} of {other_name}",
            where=name,
            mend="All images of a scan must share one grid: resample, or leave the odd one out.",
        )
    far = np.array(list(np.ndindex(2, 2, 2))) * (np.array(grid.shape) - 1)
    apart = float(np.abs(grid.to_mm(far) - other.to_mm(far)).max())
    if apart > 0.01 * grid.spacing_mm.min() + 1e-3:
        raise GridMismatchError(
            f"its affine lies up to {apart:.3g} mm from that of {other_name}",
            where=name,
            mend="The images were taken or resampled at different places: use one grid for all.",
        )


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class _errors_of:  # noqa: N801 - reads as a clause: `with _errors_of(path)`
    """Turn what nibabel, gzip and the system raise into one `FileError`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        if self.path.is_symlink() and not self.path.exists():
            raise FileError(
                "a link to a file that is not here",
                where=str(self.path),
                mend="Fetch the data first (git-annex and DataLad: `datalad get`).",
            )
        if self.path.is_dir():
            raise FileError(
                "a folder, not a file", where=str(self.path), mend="Name the file in it."
            )
        if not self.path.is_file():
            raise FileError(
                "no such file", where=str(self.path), mend="Check the spelling of the path."
            )
        if self.path.stat().st_size == 0:
            raise FileError("the file is empty", where=str(self.path), mend=_CONVERT_AGAIN)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, PermissionError):
            raise FileError(
                "not readable by you", where=str(self.path), mend="Ask for read permission."
            ) from error
        if isinstance(error, _BROKEN) and not isinstance(error, InputError):
            raise FileError(
                f"truncated or corrupt NIfTI ({_first_line(error)})",
                where=str(self.path),
                mend=_CONVERT_AGAIN,
            ) from error


def _first_line(error: BaseException) -> str:
    text = (str(error) or type(error).__name__).splitlines()[0]
    return text.partition(" bytes from ")[0][:120].rstrip(".")  # nibabel adds the path again


def _opened(path: Path) -> BinaryIO:
    if path.name.lower().endswith(".gz"):
        return cast("BinaryIO", gzip.open(path, "rb"))
    return path.open("rb")


def _image(stream: BinaryIO, path: Path) -> Any:
    start = stream.read(4)
    stream.seek(0)
    sizes = {int.from_bytes(start, "little"), int.from_bytes(start, "big")}
    if 348 in sizes:
        return nib.Nifti1Image.from_stream(cast(IOBase, stream))
    if 540 in sizes:
        return nib.Nifti2Image.from_stream(cast(IOBase, stream))
    raise FileError(
        f"not a NIfTI file (it begins with {start!r})",
        where=str(path),
        mend="Give .nii or .nii.gz files.",
    )


def _parsed(
    path: Path, *, complex_too: bool = False
) -> tuple[Any, npt.NDArray[np.float64], tuple[float, float], Any]:
    """Return header, affine, slope and intercept, and scaled data (I, J, K[, N])."""
    with _errors_of(path), _opened(path) as stream, np.errstate(all="ignore"):
        image = _image(stream, path)
        _check_kind(image.header, path, complex_too=complex_too)
        if image.header.get_data_dtype().kind == "c":
            data = np.asarray(image.dataobj, dtype=np.complex64)
        else:
            data = image.get_fdata(dtype=np.float32, caching="unchanged")
        while stream.read(1 << 20):  # to the end: only there does gzip check its sum
            pass
    rescale = (float(image.dataobj.slope), float(image.dataobj.inter))
    return image.header, image.affine, rescale, data


def _check_kind(header: Any, path: Path, *, complex_too: bool = False) -> None:
    kind = header.get_data_dtype().kind
    if kind not in ("fiuc" if complex_too else "fiu"):
        raise InputError(
            f"voxels of type {header.get_data_dtype()}, not real numbers",
            where=str(path),
            mend="Write complex data as two files (magnitude and phase); colours are no signal.",
        )


def _frames(data: Floats, path: Path) -> Floats:
    shape = data.shape
    while data.ndim > 3 and data.shape[-1] == 1:
        data = data[..., 0]
    if data.ndim not in (3, 4) or 0 in shape:
        raise _wrong_dimensions(shape, path)
    frames = data[..., None] if data.ndim == 3 else data
    return np.ascontiguousarray(np.moveaxis(frames, -1, 0))


def _wrong_dimensions(shape: tuple[int, ...], path: Path) -> InputError:
    return InputError(
        f"shape {tuple(int(n) for n in shape)} is neither one volume nor a stack of echoes",
        where=str(path),
        mend="Give a 3-D file per echo, or one 4-D file with the echoes last.",
    )


def _grid(shape: tuple[int, ...], affine: npt.NDArray[np.float64], path: Path) -> Grid:
    i, j, k = shape
    columns = np.linalg.norm(affine[:3, :3], axis=0)
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-9:
        raise MetadataError(
            f"its affine {np.round(affine[:3], 4).tolist()} is degenerate",
            where=str(path),
            mend="The header lost its geometry: convert again, or copy it from a sister file.",
        )
    if columns.min() < SPACING_MM[0] or columns.max() > SPACING_MM[1]:
        raise MetadataError(
            f"voxels of {np.round(columns, 6).tolist()} mm",
            where=str(path),
            mend="The header must be in millimetres: convert again.",
        )
    return Grid((i, j, k), affine)


def _orientation_notes(header: Any, path: Path) -> tuple[str, ...]:
    """Return what is to be told of the orientation.

    Raises
    ------
    MetadataError
        qform and sform are mirror images of each other: left and right cannot be told.
    """
    if int(header["qform_code"]) == 0 and int(header["sform_code"]) == 0:
        return (
            f"{path.name} has no orientation: the main field is taken along its third axis, "
            "coordinates are relative to the middle of the volume, and left and right are a guess",
        )
    with np.errstate(all="ignore"):
        try:
            forms = [header.get_qform(coded=True)[0], header.get_sform(coded=True)[0]]
        except _BROKEN:  # a broken one that is not used
            return ()
    if any(form is None or not np.isfinite(form).all() for form in forms):
        return ()
    q, s = (np.asarray(form)[:3, :3] for form in forms)
    if np.linalg.det(q) * np.linalg.det(s) < 0:
        raise MetadataError(
            "its qform and sform are mirror images: left and right cannot be told",
            where=str(path),
            mend="Convert it again from the DICOM, or write the right one of the two into both.",
        )
    if q[0] @ s[0] < 0:
        return (
            f"the qform and sform of {path.name} disagree about left and right: the sform is used",
        )
    apart_mm = _apart_mm(forms[0], forms[1], header.get_data_shape()[:3])
    if apart_mm > FORMS_APART_MM:
        return (
            f"the qform and sform of {path.name} lie up to {apart_mm:.1f} mm from each other: "
            "the sform is used",
        )
    return ()


def _apart_mm(one: Any, other: Any, shape: tuple[int, ...]) -> float:
    """Return how far apart two affines put a corner of a volume [mm]."""
    corners = np.array(list(np.ndindex(2, 2, 2))) * (np.array(shape) - 1)
    difference = np.asarray(one) - np.asarray(other)
    return float(np.linalg.norm(corners @ difference[:3, :3].T + difference[:3, 3], axis=1).max())
