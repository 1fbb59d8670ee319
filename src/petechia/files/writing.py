"""Write one file whole or not at all.

Everything goes to a hidden name in the same folder first and takes its final name in one
step, so that no reader ever meets half a file. Volumes keep the affine of what they were
made from to the last bit, and the same volume gives the same bytes on every run.
"""

import errno
import gzip
import json
import math
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, is_dataclass
from pathlib import Path, PurePath
from typing import Any, BinaryIO, cast

import nibabel as nib
import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_finite
from petechia.core.grid import Grid
from petechia.errors import GridMismatchError, OutputError

GZIP_LEVEL = 4
_GEOMETRY_FIELDS = (
    "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y",
    "qoffset_z", "srow_x", "srow_y", "srow_z",
)  # fmt: skip
_MACHINE_PATH = re.compile(r"(?<![\w.:/<])(?:[A-Za-z]:\\|/)(?:[^\s/\\\"'<>|;,:()]+[/\\])+")


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open `path` for writing; it appears under its name only when all went well.

    Raises
    ------
    OutputError
        No permission, no space, or something in the way; nothing is left behind.
    """
    part = path.parent / f".{uuid.uuid4().hex}.part"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("xb") as stream:
            yield stream
        part.replace(path)
    except OSError as error:
        raise output_error(error, path) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def output_error(error: OSError, path: Path) -> OutputError:
    """Return the `OutputError` that tells how to mend `error`."""
    full = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
    if error.errno in full:
        mend = "Make room there, or choose another output folder, and run again."
    elif error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        mend = "Choose an output folder you may write to."
    elif error.errno in {errno.ENOTDIR, errno.EEXIST, errno.EISDIR}:
        mend = "Something else has that name: move it, or choose another output folder."
    else:
        mend = "Check the output folder, and run again."
    said = error.strerror or type(error).__name__
    return OutputError(f"cannot be written ({said})", where=str(path), mend=mend)


def write_nifti(
    path: Path,
    array: npt.NDArray[Any],
    grid: Grid,
    nifti_header: Any = None,
    rescale: tuple[float, float] = (1.0, 0.0),
) -> None:
    """Write a volume (I, J, K), or a stack (E, I, J, K) as a 4-D file.

    Parameters
    ----------
    path : Path
        `.nii.gz` or `.nii`.
    array : (I, J, K) or (E, I, J, K) ndarray
        bool becomes uint8, whole numbers the smallest of uint8, int16 and int32, anything
        else float32.
    grid : Grid
        Geometry of `array`.
    nifti_header : nibabel header or None
        Of the input file: its forms and codes are copied bit by bit.
    rescale : (slope, intercept)
        Noted in the header; `array` holds the stored values.

    Raises
    ------
    InputError
        Values that are not finite.
    GridMismatchError
        `array` or `nifti_header` does not fit `grid`.
    OutputError
        It could not be written.
    """
    grid.require(array, str(path))
    require_finite(array, str(path))
    kind = stored_type(array)
    header = output_header(array.shape, kind, grid, nifti_header, str(path))
    header.set_slope_inter(*rescale)
    with whole_file(path) as stream:
        if path.name.endswith(".gz"):
            with gzip.GzipFile("", "wb", GZIP_LEVEL, stream, mtime=0) as packed:
                _write_voxels(cast("BinaryIO", packed), header, array, kind)
        else:
            _write_voxels(stream, header, array, kind)


def stored_type(array: npt.NDArray[Any]) -> np.dtype[Any]:
    """Return the type a volume is stored as."""
    if array.dtype.kind == "b":
        return np.dtype(np.uint8)
    if array.dtype.kind not in "iu":
        return np.dtype(np.float32)
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    for kind in (np.uint8, np.int16, np.int32):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return np.dtype(kind)
    return np.dtype(np.float32)


def output_header(
    shape: tuple[int, ...], kind: np.dtype[Any], grid: Grid, like: Any, where: str
) -> Any:
    """Return the header of a result, with the geometry of `like` when there is one."""
    header = cast(Any, nib.Nifti1Header)() if like is None else type(like)()
    header.set_data_shape(shape if len(shape) == 3 else (*shape[1:], shape[0]))
    header.set_data_dtype(kind)
    if like is None:
        header.set_sform(grid.affine, code=1)
        header.set_qform(grid.affine, code=1)
        kept = np.allclose(header.get_best_affine(), grid.affine, rtol=1e-5, atol=1e-3)
    else:
        for field in _GEOMETRY_FIELDS:
            header[field] = like[field]
        header["pixdim"][:4] = like["pixdim"][:4]
        kept = np.array_equal(header.get_best_affine(), grid.affine)
    if not kept:
        raise GridMismatchError(
            f"the header's affine {header.get_best_affine().tolist()} is not the grid's "
            f"{grid.affine.tolist()}",
            where=where,
            mend="Give the header of the image that the grid came from.",
        )
    header.set_xyzt_units("mm", "sec")
    header["descrip"] = b"petechia"
    return header


def _write_voxels(
    stream: BinaryIO, header: Any, array: npt.NDArray[Any], kind: np.dtype[Any]
) -> None:
    # header, four bytes that say "no extension", then the voxels, first axis fastest
    header["vox_offset"] = header.sizeof_hdr + 4
    stream.write(header.binaryblock)
    stream.write(b"\0\0\0\0")
    for volume in array if array.ndim == 4 else array[None]:
        for k in range(volume.shape[-1]):
            stream.write(volume[..., k].astype(kind.newbyteorder("<")).tobytes("F"))


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text; bytes of a file name that are none stand as JSON would escape them."""
    with whole_file(path) as stream:
        stream.write(text.encode("utf-8", "backslashreplace"))


def write_json(path: Path, data: Any) -> None:
    """Write JSON: paths of this machine become bare names, not-a-number becomes null."""
    write_text(path, json.dumps(plain(data), indent=2, ensure_ascii=False) + "\n")


def write_table(path: Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Write a tab-separated table with a header line; what is not there is 'n/a'."""
    lines = ["\t".join(columns)]
    lines += ["\t".join(cell(row.get(column)) for column in columns) for row in rows]
    write_text(path, "\n".join(lines) + "\n")


def cell(value: Any) -> str:
    """Return one value as it stands in a table."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value == "" or (isinstance(value, float) and not math.isfinite(value)):
        return "n/a"
    if isinstance(value, bool):
        return str(int(value))
    text = f"{value:.7g}" if isinstance(value, float) else str(value)
    return without_places(" ".join(text.split()))


def plain(value: Any) -> Any:
    """Return `value` as what JSON knows, without paths of this machine."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        return {without_places(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = sorted(value) if isinstance(value, set | frozenset) else value
        return [plain(item) for item in items]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, PurePath):
        return value.name
    if isinstance(value, str):
        return without_places(value)
    if value is None or isinstance(value, bool | int):
        return value
    return without_places(str(value))


def without_places(text: str) -> str:
    """Return `text` with each absolute path cut to its last part.

    Results travel; where they lay on somebody's disk, and the names in it, must not.
    """
    return _MACHINE_PATH.sub("", text) if "/" in text or "\\" in text else text


def make_folder(path: Path) -> None:
    """Make a folder and try that it can be written to, before hours of work."""
    probe = path / f".{uuid.uuid4().hex}.part"
    try:
        path.mkdir(parents=True, exist_ok=True)
        with probe.open("xb"):
            pass
    except OSError as error:
        raise output_error(error, path) from error
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
