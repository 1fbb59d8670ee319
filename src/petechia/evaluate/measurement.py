"""Are moments and sizes right: errors by stratum, agreement, coverage of intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from petechia.core.agreement import BlandAltman, bland_altman
from petechia.evaluate.naming import BLOOD, CALCIUM, pairs_of_any_class
from petechia.evaluate.spots import Bools, Case, Floats, Words
from petechia.evaluate.strata import DIAMETER_EDGES_MM, INF, MOMENT_EDGES

Z_95 = 1.959963984540054


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Measured:
    """True and measured values of matched lesions, a row each.

    Attributes
    ----------
    scan, kind : (M,) ndarray of str
    true_moment, moment, moment_se : (M,) ndarray of float
        [ppm mm^3]; signed; NaN where not known.
    true_diameter_mm, diameter_mm : (M,) ndarray of float
        Apparent [mm].
    """

    scan: Words
    kind: Words
    true_moment: Floats
    moment: Floats
    moment_se: Floats
    true_diameter_mm: Floats
    diameter_mm: Floats

    def __len__(self) -> int:
        return len(self.scan)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorRow:
    """Errors of one stratum.

    Attributes
    ----------
    name : str
    n : int
        Lesions with both values.
    median, p90 : float
        Of the size of the error: relative for moments, millimetres for diameters.
    bias : float
        Median of the signed error: above 0 means told too large.
    coverage : float
        Part of the 95 % intervals that hold the true value; NaN without standard errors.
    n_intervals : int
        Intervals it is made of.
    """

    name: str
    n: int
    median: float
    p90: float
    bias: float
    coverage: float = float("nan")
    n_intervals: int = 0


def measured_pairs(cases: Sequence[Case]) -> Measured:
    """Return the values of visible bleeds and calcifications that were found by any name."""
    rows = [
        (case, n, p)
        for case in cases
        for n, p in pairs_of_any_class(case).tolist()
        if case.truth.kind[n] in BLOOD + CALCIUM
    ]

    def column(side: str, name: str) -> Floats:
        values = [getattr(getattr(c, side), name)[n if side == "truth" else p] for c, n, p in rows]
        return np.array(values, dtype=np.float64)

    return Measured(
        scan=np.array([c.name for c, _, _ in rows], dtype=np.str_),
        kind=np.array([c.truth.kind[n] for c, n, _ in rows], dtype=np.str_),
        true_moment=column("truth", "moment"),
        moment=column("predicted", "moment"),
        moment_se=column("predicted", "moment_se"),
        true_diameter_mm=column("truth", "diameter_mm"),
        diameter_mm=column("predicted", "diameter_mm"),
    )


def moment_errors(measured: Measured) -> list[ErrorRow]:
    """Return relative errors of the moment by stratum of its true size; the first row is all.

    The error is (told - true) / |true|: a wrong sign is an error of about 2 (200 %).
    """
    size = np.abs(measured.true_moment)
    safe = np.where(size > 0, size, np.nan)
    sign = np.sign(measured.true_moment)
    error = (measured.moment - measured.true_moment) * sign / safe
    held = np.abs(measured.moment - measured.true_moment) <= Z_95 * measured.moment_se
    judged = np.isfinite(error) & (measured.moment_se > 0)
    return _by_stratum(size, MOMENT_EDGES, "ppm mm3", error, held, judged)


def diameter_errors(measured: Measured) -> list[ErrorRow]:
    """Return errors of the apparent diameter [mm] by stratum of the true one; first row all."""
    size = measured.true_diameter_mm
    error = measured.diameter_mm - size
    never = np.zeros(len(error), dtype=bool)
    return _by_stratum(size, DIAMETER_EDGES_MM, "mm", error, never, never)


def moment_agreement(measured: Measured) -> BlandAltman:
    """Return Bland and Altman's limits of the moment [ppm mm^3]."""
    return bland_altman(measured.true_moment, measured.moment)


def diameter_agreement(measured: Measured) -> BlandAltman:
    """Return Bland and Altman's limits of the apparent diameter [mm]."""
    return bland_altman(measured.true_diameter_mm, measured.diameter_mm)


def _by_stratum(
    size: Floats, edges: Sequence[float], unit: str, error: Floats, held: Bools, judged: Bools
) -> list[ErrorRow]:
    rows = [_row("all", np.isfinite(error), error, held, judged)]
    for low, high in pairwise(edges):
        name = f"{low:g} {unit} and more" if high == INF else f"{low:g} to {high:g} {unit}"
        inside = (size >= low) & (size < high) & np.isfinite(error)
        if inside.any():
            rows.append(_row(name, inside, error, held, judged))
    return rows


def _row(name: str, inside: Bools, error: Floats, held: Bools, judged: Bools) -> ErrorRow:
    chosen, nan = error[inside], float("nan")
    covered = held[inside & judged]
    return ErrorRow(
        name=name,
        n=len(chosen),
        median=float(np.median(np.abs(chosen))) if len(chosen) else nan,
        p90=float(np.quantile(np.abs(chosen), 0.9)) if len(chosen) else nan,
        bias=float(np.median(chosen)) if len(chosen) else nan,
        coverage=float(covered.mean()) if len(covered) else nan,
        n_intervals=len(covered),
    )
