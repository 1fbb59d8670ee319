"""What one site's decisions make of the detector's probabilities, judged on people left out.

Only findings that were asked for are decided: those the software counted, and those with a
probability from 0.05 on. Asking by probability alone does not bias a line on the log-odds, but
below 0.05 that line is not seen: nothing from there is ever counted (`lowest_threshold`), and
what a reader added tells of missed lesions, not of probabilities.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia import __version__
from petechia.core.logistic import ROUNDED, Logistic, fit_logistic, logit
from petechia.errors import ParameterError, UnfitError
from petechia.evaluate.calibration import brier_score, calibration_error
from petechia.files.writing import write_json
from petechia.pipeline.calibration import FORM, SLICES, detector_sha256
from petechia.pipeline.review.decided import Decisions, Floats
from petechia.pipeline.review.state import ASKED_FROM

LEAST_PEOPLE = 5
LEAST_EACH = 20
"""Accepted, and rejected, findings that are needed: ten for each of the line's two numbers
(doi:10.1016/S0895-4356(96)00236-3)."""
FREE = 100.0
"""Standard deviation of a prior that says nothing."""
_NO_LINE = float("nan"), float("nan")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Recalibration:
    """The line, and what it does to people who were left out of making it.

    Attributes
    ----------
    line : Logistic or None
        None when no line that keeps the order could be fitted.
    operating_points : mapping of str to mapping of str to float
        On the site's probabilities, for thin slices and for thick ones.
    n : mapping of str to int
        people, scans, decisions, accepted, rejected, undecided, missed.
    table : list of dict
        One row for all, and one for each protocol: before and after, out of sample.
    points : list of dict
        One row for each operating point of the slices there are: F1 and false findings a scan,
        before and after.
    gain, gain_se : float
        Mean gain of log-likelihood of a person left out, and its standard error.
    refused : tuple of str
        Why it must not be used; empty when it may.
    notes : tuple of str
        What else is to be known.
    """

    line: Logistic | None
    operating_points: Mapping[str, Mapping[str, float]]
    n: Mapping[str, int]
    table: Sequence[Mapping[str, Any]]
    points: Sequence[Mapping[str, Any]]
    gain: float
    gain_se: float
    refused: tuple[str, ...]
    notes: tuple[str, ...]


def recalibrate(told: Decisions, points: Mapping[str, Mapping[str, float]]) -> Recalibration:
    """Fit the line, and judge it on each person by the decisions on all others.

    The thresholds keep their meaning: a finding counts from the same probability as before, now
    the site's. None lies so low that what nobody was asked about would count.

    Parameters
    ----------
    told : Decisions
        Of the site.
    points : mapping of str to mapping of str to float
        The detector's own operating points, for thin slices and for thick ones.

    Notes
    -----
    It is refused with fewer than 5 people, or 20 accepted and 20 rejected findings; unless
    log-likelihood grows by more than one standard error (over people) and the Brier score falls,
    both out of sample; and when the line turns the order round.
    """
    n = _counts(told)
    refused = list(_too_few(n))
    offset, slope = fit_logistic(told.p, told.y)
    line = Logistic(offset=offset, slope=slope) if slope > 0 else None
    if line is None:
        refused.append(
            "the decisions run against the probabilities: what was thought likelier was accepted "
            "less often"
        )
    moved = told.p.copy()
    least = 0.0 if line is None else lowest_threshold(line)
    own_points = {
        slices: {name: max(p, least) for name, p in some.items()} for slices, some in points.items()
    }
    if n["people"] > 1:
        moved = _left_out(told)
    gain, gain_se = _gain(told, moved)
    before, after = brier_score(told.p, told.y), brier_score(moved, told.y)
    if not refused and not (gain > gain_se and after < before):
        refused.append(
            f"it is no better on people left out: gain of log-likelihood {gain:.3f} a person "
            f"(standard error {gain_se:.3f}; more than that is needed), Brier score "
            f"{before:.4f} before, {after:.4f} after"
        )
    table = [_row("all", told, moved, np.ones(len(told.protocol), dtype=bool))]
    for name in sorted(set(told.protocol)):
        chosen = np.array([protocol == name for protocol in told.protocol])
        if not chosen.all():
            table.append(_row(name, told, moved, chosen))
    rows = list(_points(told, moved, points, own_points))
    return Recalibration(
        line=line,
        operating_points=own_points,
        n=n,
        table=table,
        points=rows,
        gain=gain,
        gain_se=gain_se,
        refused=tuple(refused),
        notes=(*_notes(told, points, own_points), *_worse(table, rows)),
    )


def lowest_threshold(line: Logistic) -> float:
    """Return the site's probability of a finding at the edge of what was asked for."""
    return math.ceil(1000 * float(line.apply(ASKED_FROM))) / 1000


def _counts(told: Decisions) -> dict[str, int]:
    return {
        "people": len(set(told.person.tolist())),
        "scans": len(told.person),
        "decisions": len(told.y),
        "accepted": int(told.y.sum()),
        "rejected": int((~told.y).sum()),
        "undecided": told.left,
        "missed": int(told.missed.sum()),
    }


def _too_few(n: Mapping[str, int]) -> list[str]:
    """Return what is missing, with how many are needed."""
    needed = {"people": LEAST_PEOPLE, "accepted": LEAST_EACH, "rejected": LEAST_EACH}
    words = {"people": "people", "accepted": "accepted findings", "rejected": "rejected findings"}
    return [
        f"too few {words[name]}: {n[name]}, at least {least} are needed"
        for name, least in needed.items()
        if n[name] < least
    ]


def _left_out(told: Decisions) -> Floats:
    """Return each finding's probability by the line that was fitted without its person."""
    moved = np.empty_like(told.p)
    of = told.person[told.scan]
    for person in np.unique(of):
        out = of == person
        offset, slope = fit_logistic(told.p[~out], told.y[~out])
        moved[out] = Logistic(offset=offset, slope=max(slope, 1e-3)).apply(told.p[out])
    return moved


def _gain(told: Decisions, moved: Floats) -> tuple[float, float]:
    """Return the mean gain of log-likelihood of a person, and its standard error."""

    def likelihood(p: Floats) -> Floats:
        return -np.logaddexp(0, np.where(told.y, -1, 1) * logit(p, ROUNDED))

    people = int(told.person.max()) + 1
    gains = np.zeros(people)
    np.add.at(gains, told.person[told.scan], likelihood(moved) - likelihood(told.p))
    if people < 2:
        return float(gains.mean()), float("nan")
    return float(gains.mean()), float(gains.std(ddof=1) / np.sqrt(people))


def _row(
    name: str, told: Decisions, moved: Floats, chosen: npt.NDArray[np.bool_]
) -> dict[str, Any]:
    """Return Brier score, calibration error, slope and offset of the chosen scans."""
    own = chosen[told.scan]
    y = told.y[own]
    row: dict[str, Any] = {
        "scans": name,
        "n_scans": int(chosen.sum()),
        "decisions": int(own.sum()),
        "accepted": int(y.sum()),
    }
    for word, p in (("before", told.p[own]), ("after", moved[own])):
        both = 0 < y.sum() < len(y)
        free = fit_logistic(p, y, offset_sd=FREE, slope_sd=FREE) if both else _NO_LINE
        row |= {
            f"brier_{word}": brier_score(p, y),
            f"ece_{word}": calibration_error(p, y),
            f"slope_{word}": free[1],
            f"offset_{word}": free[0],
        }
    return row


def _points(
    told: Decisions,
    moved: Floats,
    before: Mapping[str, Mapping[str, float]],
    after: Mapping[str, Mapping[str, float]],
) -> Iterator[dict[str, Any]]:
    """Yield how each operating point does on the scans it is for."""
    for slices, points in before.items():
        chosen = np.array([own == slices for own in told.slices])
        if not chosen.any():
            continue
        for name, least in points.items():
            word = name if slices == SLICES[0] else f"{name}, {slices} slices"
            yield {
                "point": word,
                **_point("before", told, told.p, least, chosen),
                **_point("after", told, moved, after[slices][name], chosen),
            }


def _point(
    word: str, told: Decisions, p: Floats, least: float, chosen: npt.NDArray[np.bool_]
) -> dict[str, float]:
    """Return how an operating point does, the reader's word taken as truth."""
    own = chosen[told.scan]
    counted, y = p[own] >= least, told.y[own]
    hit, false = int((counted & y).sum()), int((counted & ~y).sum())
    gone = int((~counted & y).sum() + told.missed[chosen].sum())
    return {
        f"from_{word}": least,
        f"f1_{word}": 2 * hit / (2 * hit + false + gone) if hit + false + gone else float("nan"),
        f"false_{word}": false / int(chosen.sum()),
        f"found_{word}": hit / (hit + gone) if hit + gone else float("nan"),
    }


def _notes(
    told: Decisions,
    points: Mapping[str, Mapping[str, float]],
    own_points: Mapping[str, Mapping[str, float]],
) -> Iterator[str]:
    """Yield what is to be known of the decisions, and of the thresholds made of them."""
    yield (
        "Figures after are of people left out of the fit. The readers' word is taken for truth: "
        "readers who see the software's opinion lean towards it; read blind where it matters."
    )
    yield (
        f"Only findings with a probability from {ASKED_FROM:g} on were asked for: below that the "
        "line is not seen, and nothing from there is counted."
    )
    if told.left_out:
        why = ", ".join(f"{reason} ({n})" for reason, n in sorted(told.left_out.items()))
        yield f"Reviewed scans that are left out: {why}."
    if told.left:
        yield (
            f"{told.left} asked findings were left undecided, or have as many readers for as "
            "against, and do not speak."
        )
    raised = [
        f"{name} ({slices} slices)"
        for slices, some in points.items()
        for name in some
        if own_points[slices][name] > some[name]
    ]
    if raised:
        yield f"raised so that nothing counts that nobody was asked about: {', '.join(raised)}."


def _worse(
    table: Sequence[Mapping[str, Any]], points: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    """Yield what gets worse by the line: protocols, operating points."""
    worse = [str(r["scans"]) for r in table[1:] if r["brier_after"] > r["brier_before"]]
    if worse:
        yield f"worse for: {'; '.join(worse)}. Consider a calibration of its own for it."
    fallen = [
        f"{row['point']} ({row['f1_before']:.3f} to {row['f1_after']:.3f})"
        for row in points
        if round(row["f1_after"], 3) < round(row["f1_before"], 3)
    ]
    if fallen:
        yield (
            f"F1 falls at: {'; '.join(fallen)}. Probabilities are mended, the count there is not: "
            "see what is found and what is false before it is used."
        )


def write_calibration(
    path: Path, found: Recalibration, *, classification: str, decided_by: str
) -> Path:
    """Write the file that `petechia run --calibration` takes; the table is in it.

    Parameters
    ----------
    path : Path
        Of the file, `.json`.
    found : Recalibration
        Not refused.
    classification : str
        Row of the classification table.
    decided_by : str
        'one reader' or 'consensus': no names travel.

    Raises
    ------
    UnfitError
        It is refused.
    ParameterError
        The file's name is not of JSON.
    OutputError
        It cannot be written.
    """
    if found.refused or found.line is None:
        raise UnfitError(
            "; ".join(found.refused),
            where="petechia calibrate",
            mend="Nothing was written. Decide on more scans, or go on without a calibration.",
        )
    if path.suffix != ".json":
        raise ParameterError(
            f"{path.name} does not end in .json", where="--write", mend="Name it site.json, say."
        )
    told = {
        "form": FORM,
        "detector_sha256": detector_sha256(),
        "classification": classification,
        "offset": round(found.line.offset, 6),
        "slope": round(found.line.slope, 6),
        "operating_points": {
            slices: {name: round(p, 3) for name, p in points.items()}
            for slices, points in found.operating_points.items()
        },
        "made": {
            **found.n,
            "decided_by": decided_by,
            "at": datetime.now(UTC).strftime("%Y-%m-%d"),
            "version": __version__,
        },
        "gain": found.gain,
        "gain_se": found.gain_se,
        "table": found.table,
        "points": found.points,
        "notes": found.notes,
    }
    write_json(path, told)
    return path
