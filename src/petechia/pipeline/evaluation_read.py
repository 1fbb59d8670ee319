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
from petechia.files.nifti import read_nifti
from petechia.lesions.shape import in_plane_diameter
from petechia.pipeline.evaluation_files import PLACES, Side

Labels = npt.NDArray[np.int32]
INSIDE = 0.5


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Spots:
    """Rows of lesions and, where there is an image, their voxels.

    Attributes
    ----------
    rows : list of dict
        Columns as text; always with x_mm, y_mm, z_mm.
    index : list of int
        Label of each row.
    labels : (I, J, K) ndarray of int32 or None
    image : (I, J, K) ndarray or None
        The image itself when it is a mask or a probability.
    grid : Grid or None
        Of the labels.
    """

    rows: list[dict[str, str]]
    index: list[int]
    labels: Labels | None = None
    image: npt.NDArray[np.float32] | None = None
    grid: Grid | None = None


def read_spots(side: Side, threshold: float) -> Spots:
    """Return the lesions of one side, from its table, its image or both."""
    if side.table is None:
        return _from_image(_required(side.labels), threshold)
    rows = read_table(side.table)
    index = _indices(rows, side.table)
    if side.labels is None:
        return Spots(rows=rows, index=index)
    labels, grid = read_labels(side.labels)
    return Spots(rows=rows, index=index, labels=labels, grid=grid)


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
        A column is missing, or a place is not a number.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise FileError(
            f"not a readable table ({type(error).__name__})", where=str(path), mend="Give a TSV."
        ) from error
    delimiter = "," if path.suffix == ".csv" else "\t"
    reader = csv.DictReader(text.splitlines(), delimiter=delimiter, quoting=_quoting(delimiter))
    if missing := PLACES - set(reader.fieldnames or ()):
        raise InputError(
            f"no column {', '.join(sorted(missing))}",
            where=str(path),
            mend="Give x_mm, y_mm, z_mm (scanner RAS, millimetres) and, if known, probability.",
        )
    rows = [{k: (v or "").strip() for k, v in row.items() if k} for row in reader]
    for n, row in enumerate(rows, start=2):
        if not all(math.isfinite(_number(row[axis])) for axis in PLACES):
            raise InputError(
                f"line {n} has no place ({row['x_mm']}, {row['y_mm']}, {row['z_mm']})",
                where=str(path),
                mend="Every row needs x_mm, y_mm and z_mm.",
            )
    return rows


def _quoting(delimiter: str) -> Any:
    return csv.QUOTE_MINIMAL if delimiter == "," else csv.QUOTE_NONE


def _number(text: str | None) -> float:
    try:
        return float(text) if text else math.nan
    except ValueError:
        return math.nan


def _indices(rows: Sequence[Mapping[str, str]], path: Path) -> list[int]:
    index = [int(_number(r.get("index"))) if r.get("index") else n + 1 for n, r in enumerate(rows)]
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

    0 and 1: 26-connected parts. Whole numbers above 1: one lesion for each value. Between 0
    and 1: parts at or above `threshold`, whose probability is their highest voxel.
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
    if whole and image.max() > 1:
        labels = image.astype(np.int32)
    elif image.max() > 1:
        raise InputError(
            f"fractions and values up to {image.max():g}",
            where=str(path),
            mend="Give whole-number labels, or probabilities between 0 and 1.",
        )
    else:
        labels, _ = label_26(image >= (INSIDE if whole else threshold))
    index = [int(n) for n in np.unique(labels) if n]
    rows = _rows_of(labels, index, grid, None if whole else image)
    image = np.minimum(image, 1) if whole else image
    return Spots(rows=rows, index=index, labels=labels, image=image, grid=grid)


def _rows_of(
    labels: Labels, index: Sequence[int], grid: Grid, probability: npt.NDArray[Any] | None
) -> list[dict[str, str]]:
    boxes = ndimage.find_objects(labels)
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
    places = [[_number(row[axis]) for axis in ("x_mm", "y_mm", "z_mm")] for row in spots.rows]
    return np.array(places, dtype=np.float64).reshape(-1, 3)


def _numbers(spots: Spots, *names: str) -> list[float]:
    """Return a column by the first of its names that the table has."""
    known = [n for n in names if spots.rows and n in spots.rows[0]]
    return [_number(row.get(known[0])) if known else math.nan for row in spots.rows]


def _words(spots: Spots, name: str, default: str) -> list[str]:
    return [row.get(name) or default for row in spots.rows]


def lesions_of(spots: Spots) -> Lesions:
    """Return true lesions; without the columns they are visible microbleeds."""
    visible = _numbers(spots, "visible")
    return lesions_at(
        _places(spots),
        kind=_words(spots, "class", MICROBLEED),
        visible=[v != 0 for v in visible],  # a truth without the column sees all
        moment=_numbers(spots, "moment_ppm_mm3"),
        diameter_mm=_numbers(spots, "apparent_diameter_mm", "diameter_mm"),
        site=_words(spots, "site", "n/a"),
        compartment=_words(spots, "compartment", "n/a"),
    )


def findings_of(spots: Spots, threshold: float | None) -> Findings:
    """Return findings, counted as their table says, or from the probability `threshold` on.

    Without a column 'counted' those of class microbleed count, from a probability of 0.5 on
    where they have one. A threshold counts by the probability alone, whatever the class.
    """
    probability = np.array(_numbers(spots, "probability"), dtype=np.float64)
    outside = probability[(probability < 0) | (probability > 1)]
    if len(outside):
        raise InputError(
            f"a probability of {outside[0]:g}",
            where="findings",
            mend="Probabilities lie between 0 and 1: scale the tool's scores.",
        )
    counted = np.array(_numbers(spots, "counted"), dtype=np.float64)
    kind = _words(spots, "class", MICROBLEED)
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
        sign=_words(spots, "sign", "not_assessed"),
        probability=probability,
        counted=counts,
        moment=_numbers(spots, "moment_ppm_mm3"),
        moment_se=_numbers(spots, "moment_se_ppm_mm3"),
        diameter_mm=_numbers(spots, "diameter_mm"),
        compartment=_words(spots, "compartment", "n/a"),
    )
