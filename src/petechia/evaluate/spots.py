"""What is compared: true lesions and findings of one scan, as columns of equal length."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.core.grid import Grid
from petechia.errors import InputError, ParameterError

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Words = npt.NDArray[np.str_]
Rows = npt.NDArray[np.intp]

MICROBLEED = "microbleed"
UNKNOWN = "n/a"
LEAST_RADIUS_MM = 5.0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Extent:
    """Which voxels belong to which row: a label image without its background.

    Attributes
    ----------
    voxel : (M,) ndarray of int
        Flat index into the grid that truth and findings share.
    owner : (M,) ndarray of int
        Row, from 0, that the voxel belongs to.
    """

    voxel: Rows
    owner: Rows


def extent_of(labels: npt.NDArray[np.integer], index: Sequence[int]) -> Extent:
    """Return the extent of the labels `index`; row n owns the voxels of value index[n]."""
    voxel = np.flatnonzero(labels)
    value = labels.ravel()[voxel]
    known = np.asarray(index, dtype=np.int64)
    order = np.argsort(known)
    at = np.searchsorted(known[order], value)
    at = np.minimum(at, max(len(known) - 1, 0))
    ours = known[order][at] == value if len(known) else np.zeros(len(value), dtype=bool)
    return Extent(voxel=voxel[ours], owner=order[at[ours]].astype(np.intp))


def extent_of_places(place_mm: Floats, grid: Grid) -> Extent:
    """Return the extent of bare places: the one voxel each lies in, if it is inside `grid`."""
    index = np.round(grid.to_index(place_mm)).astype(np.int64).reshape(-1, 3)
    inside = ((index >= 0) & (index < np.array(grid.shape))).all(axis=1)
    voxel = np.ravel_multi_index(tuple(index[inside].T), grid.shape)
    return Extent(voxel=np.asarray(voxel, dtype=np.intp), owner=np.flatnonzero(inside))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Lesions:
    """True lesions of one scan, of every class.

    Attributes
    ----------
    place_mm : (T, 3) ndarray of float
        Scanner RAS [mm].
    kind : (T,) ndarray of str
        Class in the words of the output contract.
    visible : (T,) ndarray of bool
        Only these can be missed; what is found of the others is neither hit nor false.
    moment : (T,) ndarray of float
        Magnetic moment, signed [ppm mm^3]; NaN where not known.
    diameter_mm : (T,) ndarray of float
        Apparent diameter [mm]; NaN where not known.
    site, compartment : (T,) ndarray of str
        'n/a' where not known.
    extent : Extent or None
        Voxels, for the touch rule.
    """

    place_mm: Floats
    kind: Words
    visible: Bools
    moment: Floats
    diameter_mm: Floats
    site: Words
    compartment: Words
    extent: Extent | None = None

    def __post_init__(self) -> None:
        _check(self)

    def __len__(self) -> int:
        return len(self.place_mm)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Findings:
    """What a tool found in one scan.

    Attributes
    ----------
    place_mm : (P, 3) ndarray of float
        Scanner RAS [mm].
    kind, sign : (P,) ndarray of str
        Class and sign of the susceptibility in the words of the output contract.
    probability : (P,) ndarray of float
        Of being a microbleed; NaN where the tool gives none.
    counted : (P,) ndarray of bool
        Whether the tool counts it as a microbleed.
    moment, moment_se : (P,) ndarray of float
        Magnetic moment and its standard error [ppm mm^3]; NaN where not measured.
    diameter_mm : (P,) ndarray of float
        Apparent diameter [mm].
    compartment : (P,) ndarray of str
        'n/a' where not known.
    extent : Extent or None
        Voxels on the truth's grid, for the touch rule.
    """

    place_mm: Floats
    kind: Words
    sign: Words
    probability: Floats
    counted: Bools
    moment: Floats
    moment_se: Floats
    diameter_mm: Floats
    compartment: Words
    extent: Extent | None = None

    def __post_init__(self) -> None:
        _check(self)

    def __len__(self) -> int:
        return len(self.place_mm)


_DEFAULTS: Mapping[str, Any] = {
    "kind": MICROBLEED, "sign": "not_assessed", "site": UNKNOWN, "compartment": UNKNOWN,
    "visible": True, "counted": True,
}  # fmt: skip


def lesions_at(place_mm: npt.ArrayLike, **columns: Any) -> Lesions:
    """Return lesions; columns left out are microbleeds, visible, of unknown size and site."""
    return Lesions(**_filled(Lesions, place_mm, columns))


def findings_at(place_mm: npt.ArrayLike, **columns: Any) -> Findings:
    """Return findings; columns left out are counted microbleeds without probability."""
    return Findings(**_filled(Findings, place_mm, columns))


def _filled(
    kind: type[Lesions | Findings], place_mm: npt.ArrayLike, columns: Mapping[str, Any]
) -> dict[str, Any]:
    places = np.asarray(place_mm, dtype=np.float64)
    places = places.reshape(0, 3) if not places.size else places
    out: dict[str, Any] = {"place_mm": places, "extent": columns.get("extent")}
    for column in (f.name for f in fields(kind) if f.name not in out):
        default = _DEFAULTS.get(column, np.nan)
        given = columns.get(column)
        types: dict[type, Any] = {str: np.str_, bool: np.bool_, float: np.float64}
        wanted = types[type(default)]
        out[column] = (
            np.full(len(places), default) if given is None else np.asarray(given, dtype=wanted)
        )
        if wanted is np.str_:
            out[column] = out[column].astype(np.str_)
    return out


def _check(columns: Lesions | Findings) -> None:
    """Raise `InputError` unless every column has one value for each finite place."""
    where = type(columns).__name__
    place = columns.place_mm
    if place.ndim != 2 or place.shape[1] != 3:
        raise InputError(
            f"place_mm of shape {place.shape} is not (n, 3)",
            where=where,
            mend="Give one row of x, y, z for each; an empty list has shape (0, 3).",
        )
    if not np.isfinite(place).all():
        raise InputError(
            "a place is not finite", where=where, mend="Leave out rows without coordinates."
        )
    for column in fields(columns):
        value = getattr(columns, column.name)
        if column.name != "extent" and len(value) != len(place):
            raise InputError(
                f"{len(place)} places but {len(value)} values of {column.name}",
                where=where,
                mend="Give one of each for every lesion.",
            )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Case:
    """One scan with its truth and what was found.

    Attributes
    ----------
    name : str
        For tables: the scan's prefix.
    subject : str
        Scans of one subject are resampled together.
    truth, predicted
        In the same millimetres; extents on the same grid.
    slice_mm : float
        Slice thickness [mm]; NaN where not known.
    """

    name: str
    subject: str
    truth: Lesions
    predicted: Findings
    slice_mm: float = field(default=float("nan"))

    @property
    def radius_mm(self) -> float:
        """Largest distance of the one-to-one rule: max(5 mm, slice thickness)."""
        return max(LEAST_RADIUS_MM, self.slice_mm if np.isfinite(self.slice_mm) else 0.0)


def require_cases(cases: Sequence[Case]) -> None:
    """Raise `ParameterError` when there is no scan to evaluate."""
    if not cases:
        raise ParameterError(
            "no scan", where="evaluate", mend="Give one scan or more with truth and findings."
        )
