"""Lesions from files: tables with places, label images, masks, probability images."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.core.grid import Grid
from petechia.core.morphology import label_26
from petechia.errors import FileError, InputError
from petechia.evaluate.spots import MICROBLEED, Findings, Lesions, findings_at, lesions_at
from petechia.files.contract import contract
from petechia.files.nifti import read_nifti
from petechia.lesions.shape import in_plane_diameter
from petechia.pipeline.evaluation_files import PLACES, Side

Labels = npt.NDArray[np.int32]
INSIDE = 0.5
APART_MM = 10.0
"""Between parts of one label, beyond which they are hardly one microbleed."""
_MISSING = ("", "n/a", "nan")
_BITS = {"true": 1.0, "false": 0.0}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Spots:
    """Rows of lesions and, where there is an image, their voxels.

    Attributes
    ----------
    rows : list of dict
        Columns as text; always with x_mm, y_mm, z_mm.
    where : list of str
        File and line of each row.
    index : list of int
        Label of each row.
    labels : (I, J, K) ndarray of int32 or None
    image : (I, J, K) ndarray or None
        The image itself when it is a mask or a probability.
    grid : Grid or None
        Of the labels.
    scattered : int
        Labels of an image whose parts lie too far apart for one lesion.
    """

    rows: list[dict[str, str]]
    where: list[str]
    index: list[int]
    labels: Labels | None = None
    image: npt.NDArray[np.float32] | None = None
    grid: Grid | None = None
    scattered: int = 0


def read_spots(side: Side, threshold: float) -> Spots:
    """Return the lesions of one side, from its table, its image or both."""
    if side.table is None:
        return _from_image(_required(side.labels), threshold)
    lines = _read_lines(side.table)
    rows, where = list(lines.values()), list(lines)
    index = _indices(rows, where, side.table)
    if side.labels is None:
        return Spots(rows=rows, where=where, index=index)
    labels, grid = read_labels(side.labels)
    return Spots(rows=rows, where=where, index=index, labels=labels, grid=grid)


def _required(path: Path | None) -> Path:
    if path is None:
        raise RuntimeError("a side without files was read")
    return path


def read_table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a table with x_mm, y_mm and z_mm (TSV, or CSV by its name).

    Raises
    ------
    FileError
        Missing, or not text.
    InputError
        A column is missing, a row has more or fewer fields than the header, or a place is not
        a number.
    """
    return list(_read_lines(path).values())


def _read_lines(path: Path) -> dict[str, dict[str, str]]:
    """Return the rows of `read_table`, each by its file and line."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(
            f"not a readable table ({type(error).__name__})", where=str(path), mend="Give a TSV."
        ) from error
    delimiter = "," if path.suffix == ".csv" else "\t"
    reader = csv.DictReader(text.splitlines(), delimiter=delimiter, quoting=_quoting(delimiter))
    names = [name.strip().lower() for name in reader.fieldnames or ()]
    reader.fieldnames = names
    if twice := sorted({name for name in names if name and names.count(name) > 1}):
        raise InputError(
            f"column {twice[0]} occurs twice", where=str(path), mend="Keep one of them."
        )
    if missing := PLACES - set(names):
        raise InputError(
            f"no column {', '.join(sorted(missing))}",
            where=str(path),
            mend="Give x_mm, y_mm, z_mm (scanner RAS, millimetres) and, if known, probability.",
        )
    lines = {}
    for row in reader:
        where = f"{path} line {reader.line_num}"
        if None in row or None in row.values():
            n_fields = sum(v is not None for k, v in row.items() if k) + len(row.get(None) or ())
            raise InputError(
                f"{n_fields} fields for {len(names)} columns",
                where=where,
                mend="Part the fields by tabs (commas in a .csv), with points in decimals.",
            )
        lines[where] = {k: v.strip() for k, v in row.items() if k}
        place = [lines[where][axis] for axis in sorted(PLACES)]
        if any(math.isnan(_number(lines[where], axis, where)) for axis in PLACES):
            raise InputError(
                f"line {reader.line_num} has no place ({', '.join(place)})",
                where=str(path),
                mend="Every row needs x_mm, y_mm and z_mm.",
            )
    return lines


def _quoting(delimiter: str) -> Any:
    return csv.QUOTE_MINIMAL if delimiter == "," else csv.QUOTE_NONE


def _number(row: Mapping[str, str], name: str, where: str) -> float:
    """Return the number in column `name`; NaN where it is missing."""
    text = row.get(name, "")
    if text.lower() in _MISSING:
        return math.nan
    try:
        value = math.nan if "_" in text else float(text)  # to Python 7_5 is 75
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise InputError(
            f"{name} {text!r} is not a number",
            where=where,
            mend="Write numbers with a point and without unit (0.1), n/a where not known.",
        )
    return value


def _indices(rows: Sequence[Mapping[str, str]], where: Sequence[str], path: Path) -> list[int]:
    given = [_number(row, "index", line) for row, line in zip(rows, where, strict=True)]
    for value, line in zip(given, where, strict=True):
        if value % 1 != 0 and not math.isnan(value):
            raise InputError(
                f"index {value:g}", where=line, mend="Number the rows, or drop the column."
            )
    index = [n if math.isnan(value) else int(value) for n, value in enumerate(given, start=1)]
    if len(set(index)) != len(index):
        raise InputError(
            "an index occurs twice", where=str(path), mend="Number the rows, or drop the column."
        )
    return index


def read_labels(path: Path) -> tuple[Labels, Grid]:
    """Return a label image as whole numbers, and its grid."""
    volume = read_nifti(path)
    return np.rint(volume.only).astype(np.int32), volume.grid


def _from_image(path: Path, threshold: float) -> Spots:
    """Return lesions of a mask, a label image or a probability image.

    One value above 0, as in a mask of 0 and 255: 26-connected parts. Several whole numbers:
    one lesion for each value. Between 0 and 1: parts at or above `threshold`, whose
    probability is their highest voxel.
    """
    volume = read_nifti(path)
    image, grid = volume.only, volume.grid
    if image.min() < 0:
        raise InputError(
            f"values down to {image.min():g}",
            where=str(path),
            mend="Give a mask, a label image or probabilities: nothing below 0.",
        )
    whole = bool((image == np.rint(image)).all())
    if not whole and image.max() > 1:
        raise InputError(
            f"fractions and values up to {image.max():g}",
            where=str(path),
            mend="Give whole-number labels, or probabilities between 0 and 1.",
        )
    many = whole and len(np.unique(image[image > 0])) > 1
    if many:
        labels = image.astype(np.int32)
    else:
        labels, _ = label_26(image > 0 if whole else image >= threshold)
    index = [int(n) for n in np.unique(labels) if n]
    boxes = ndimage.find_objects(labels)
    return Spots(
        rows=_rows_of(labels, index, boxes, grid, None if whole else image),
        where=[str(path)] * len(index),
        index=index,
        labels=labels,
        image=np.minimum(image, 1) if whole else image,
        grid=grid,
        scattered=sum(_is_scattered(labels, n, boxes[n - 1], grid) for n in index) if many else 0,
    )


def _is_scattered(labels: Labels, n: int, box: Any, grid: Grid) -> bool:
    """Return whether parts of a label lie further apart than one lesion's would."""
    parts, n_parts = label_26(labels[box] == n)
    centres = np.array(ndimage.center_of_mass(parts > 0, parts, range(1, n_parts + 1)))
    places = grid.to_mm(centres)  # of the box's corner: their distances are those in the image
    return bool((np.ptp(places, axis=0) > APART_MM).any())


def _rows_of(
    labels: Labels,
    index: Sequence[int],
    boxes: Sequence[Any],
    grid: Grid,
    probability: npt.NDArray[Any] | None,
) -> list[dict[str, str]]:
    rows = []
    for n in index:
        box = boxes[n - 1]
        voxels = np.argwhere(labels[box] == n) + [edge.start for edge in box]
        x, y, z = grid.to_mm(voxels.mean(axis=0))
        row = {
            "index": str(n),
            "x_mm": repr(float(x)),
            "y_mm": repr(float(y)),
            "z_mm": repr(float(z)),
            "volume_mm3": repr(len(voxels) * grid.voxel_mm3),
            "diameter_mm": repr(in_plane_diameter(voxels, grid)),
        }
        if probability is not None:
            row["probability"] = repr(float(probability[tuple(voxels.T)].max()))
        rows.append(row)
    return rows


def _places(spots: Spots) -> npt.NDArray[np.float64]:
    columns = [_numbers(spots, axis) for axis in ("x_mm", "y_mm", "z_mm")]
    return np.array(columns, dtype=np.float64).T.reshape(-1, 3)


def _numbers(spots: Spots, *names: str) -> list[float]:
    """Return a column by the first of its names that the table has; NaN where missing."""
    name = next((n for n in names if spots.rows and n in spots.rows[0]), names[0])
    return [_number(row, name, line) for row, line in zip(spots.rows, spots.where, strict=True)]


def _bits(spots: Spots, name: str) -> npt.NDArray[np.float64]:
    """Return a column of 1 and 0, or true and false; NaN where missing."""
    bits = []
    for row, line in zip(spots.rows, spots.where, strict=True):
        text = row.get(name, "").lower()
        bits.append(_BITS[text] if text in _BITS else _number(row, name, line))
        if bits[-1] not in (0, 1) and not math.isnan(bits[-1]):
            raise InputError(
                f"{name} {text!r}", where=line, mend="Write 1 or 0, n/a where not known."
            )
    return np.array(bits, dtype=np.float64)


def _words(spots: Spots, name: str, default: str) -> list[str]:
    """Return a column of words; `default` where missing."""
    given = [row.get(name, "") for row in spots.rows]
    return [default if text.lower() in _MISSING else text for text in given]


def _known_words(spots: Spots, name: str, default: str) -> list[str]:
    """Return a column of the contract's words; `default` where missing."""
    known = contract().words[name]
    words = _words(spots, name, default)
    for word, line in zip(words, spots.where, strict=True):
        if word not in known:
            raise InputError(
                f"no {name} {word!r}", where=line, mend=f"Choose from {', '.join(known)}."
            )
    return words


def lesions_of(spots: Spots) -> Lesions:
    """Return true lesions; without the columns they are visible microbleeds."""
    return lesions_at(
        _places(spots),
        kind=_known_words(spots, "class", MICROBLEED),
        visible=_bits(spots, "visible") != 0,  # a truth without the column sees all
        moment=_numbers(spots, "moment_ppm_mm3"),
        diameter_mm=_numbers(spots, "apparent_diameter_mm", "diameter_mm"),
        site=_words(spots, "site", "n/a"),
        compartment=_known_words(spots, "compartment", "n/a"),
    )


def findings_of(spots: Spots, threshold: float | None) -> Findings:
    """Return findings, counted as their table says, or from the probability `threshold` on.

    Without a column 'counted' those of class microbleed count, from a probability of 0.5 on
    where they have one. A threshold counts by the probability alone, whatever the class.
    """
    probability = np.array(_numbers(spots, "probability"), dtype=np.float64)
    outside = np.flatnonzero((probability < 0) | (probability > 1))
    if len(outside):
        raise InputError(
            f"a probability of {probability[outside[0]]:g}",
            where=spots.where[outside[0]],
            mend="Probabilities lie between 0 and 1: scale the tool's scores.",
        )
    counted = _bits(spots, "counted")
    kind = _known_words(spots, "class", MICROBLEED)
    called = np.array([word == MICROBLEED for word in kind], dtype=bool)
    has = np.isfinite(probability)
    if threshold is not None:
        counts = np.where(has, probability >= threshold, called)
    elif np.isfinite(counted).any():
        counts = counted == 1
    else:
        counts = called & (~has | (probability >= INSIDE))
    return findings_at(
        _places(spots),
        kind=kind,
        sign=_known_words(spots, "sign", "not_assessed"),
        probability=probability,
        counted=counts,
        moment=_numbers(spots, "moment_ppm_mm3"),
        moment_se=_numbers(spots, "moment_se_ppm_mm3"),
        diameter_mm=_numbers(spots, "diameter_mm"),
        compartment=_known_words(spots, "compartment", "n/a"),
    )
