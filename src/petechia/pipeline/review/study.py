"""How far readers agree over the scans of an output, and what is left to adjudicate.

Scans count where both finished them. Lesions are what a reader called a microbleed: the same
finding of the software, or places within 5 mm or a slice, one to one.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from statistics import fmean, median
from typing import Any

import numpy as np

from petechia.cohort.agreement import fleiss_kappa, gwet, icc, lesion_f1, specific_agreement
from petechia.core.agreement import BlandAltman, Index, bland_altman, cross_table, kappa
from petechia.core.matching import one_to_one
from petechia.evaluate.agreement import CATEGORIES
from petechia.pipeline.review.readings import Reading, Spot, by_scan, person_of

Rater = tuple[str, int]
Pair = tuple[Reading, Reading]
ICC_FORM = "ICC(2,1)"
COUNT_SCALE = "root"
COUNTS_SHOWN = (1, 5, 20)
"""Counts at which the limits of agreement are told in counts."""
PRESENCE = (False, True)
NAMED = tuple(word for word in CATEGORIES if word != "unknown_site")
NOTES = (
    "Only scans that both readers finished, and only what a reader decided: what was left "
    "undecided counts as not called a microbleed.",
    "Lesions: the same finding of the software, or places within 5 mm or a slice, one to one. "
    "Intervals of F1 by bootstrap over people.",
    f"ICC of counts: {ICC_FORM}, absolute agreement of one reader, F-based interval. "
    "Bland-Altman of counts: differences of square roots.",
)


def agreement(
    readings: Iterable[Reading],
    *,
    round: int | None = None,
    seed: int = 0,
    n_resamples: int = 1000,
) -> dict[str, Any]:
    """Return how far readers agree, as plain values for JSON; None is what is not defined.

    Parameters
    ----------
    readings : iterable of Reading
        Of any number of readers, rounds and scans.
    round : int, optional
        Pairs of readers are compared in this round; the first one that two readers share when
        it is not given. `repeats` compares each reader with themself over all rounds.
    seed, n_resamples : int
        Of the bootstrap.

    Returns
    -------
    dict
        `round`, `readers`, `scans` (finished by two or more), `finished` by reader, `pairs`,
        `repeats`, `overall` (presence by scan: `fleiss`, `gwet_ac1`; `icc` of counts over scans
        that all finished; `findings`: accepted or not, of the software's findings), `seconds`
        and `undecided` by reader, `notes`.
    """
    everything = list(readings)
    scans = by_scan(everything)
    raters = sorted({rater for of_scan in scans.values() for rater in of_scan})
    chosen = _round(raters) if round is None else round
    present = [rater for rater in raters if rater[1] == chosen]
    shared = [s for s in scans.values() if sum(rater in s for rater in present) > 1]

    def compared(one: Rater, other: Rater) -> dict[str, Any]:
        return _compared(scans.values(), one, other, np.random.default_rng(seed), n_resamples)

    told = [reading for reading in everything if reading.round == chosen]
    return {
        "round": chosen,
        "readers": [reader for reader, _ in present],
        "scans": len(shared),
        "finished": {r[0]: sum(r in s for s in scans.values()) for r in present},
        "pairs": [compared(*pair) for pair in combinations(present, 2)],
        "repeats": [
            compared(one, other) for one, other in combinations(raters, 2) if one[0] == other[0]
        ],
        "overall": _overall(shared, present),
        "seconds": _seconds(told),
        "undecided": _undecided(told),
        "notes": list(NOTES),
    }


def chosen_round(readings: Iterable[Reading]) -> int:
    """Return the round that is told of when none is named: see `agreement`."""
    return _round([rater for of_scan in by_scan(readings).values() for rater in of_scan])


def _round(raters: Iterable[Rater]) -> int:
    """Return the first round with two readers, else the first one there is."""
    by_round = Counter(number for _, number in set(raters))
    rounds = sorted(by_round)
    several = [n for n in rounds if by_round[n] > 1]
    return (several or rounds or [1])[0]


def _compared(
    scans: Iterable[Mapping[Rater, Reading]],
    one: Rater,
    other: Rater,
    rng: np.random.Generator,
    n_resamples: int,
) -> dict[str, Any]:
    """Return the agreement of two raters over the scans that both finished."""
    pairs = [(s[one], s[other]) for s in scans if one in s and other in s]
    lesions = np.array([_lesion_counts(pair) for pair in pairs], dtype=np.int64).reshape(-1, 3)
    people = {name: n for n, name in enumerate(dict.fromkeys(person_of(a.scan) for a, _ in pairs))}
    f1 = lesion_f1(
        lesions[:, 0],
        lesions[:, 1],
        lesions[:, 2],
        rng,
        person=[people[person_of(a.scan)] for a, _ in pairs],
        n_resamples=n_resamples,
    ).shown()
    counts = np.array([[len(a.counted), len(b.counted)] for a, b in pairs], float).reshape(-1, 2)
    present = cross_table((counts[:, 0] > 0).tolist(), (counts[:, 1] > 0).tolist(), PRESENCE)
    positive, negative = specific_agreement(present)
    both, first, second = (int(v) for v in lesions.sum(axis=0))
    return {
        "readers": [one[0], other[0]],
        "rounds": [one[1], other[1]],
        "scans": len(pairs),
        "people": len(people),
        "lesions": {
            "both": both,
            "only_first": first,
            "only_second": second,
            "f1": plain(f1.value),
            "f1_low": plain(f1.low),
            "f1_high": plain(f1.high),
            "why": f1.why,
        },
        "presence": present.tolist(),
        "kappa_presence": as_words(kappa(present)),
        "positive_agreement": as_words(positive),
        "negative_agreement": as_words(negative),
        "kappa_category": as_words(_category_kappa(pairs)),
        "icc_counts": {"form": ICC_FORM, **as_words(icc(counts, ICC_FORM))},
        "bland_altman": limits_as_words(bland_altman(counts[:, 0], counts[:, 1], COUNT_SCALE)),
        "mean_counts": [plain(v) for v in counts.mean(axis=0)] if len(pairs) else [None, None],
    }


def _category_kappa(pairs: Sequence[Pair]) -> Index:
    """Return the kappa of the category; scans with an unknown site are left out."""
    words = [(a.category, b.category) for a, b in pairs]
    known = [pair for pair in words if pair[0] in NAMED and pair[1] in NAMED]
    return kappa(cross_table([a for a, _ in known], [b for _, b in known], NAMED))


def _lesion_counts(pair: Pair) -> tuple[int, int, int]:
    met, first, second = matched(*pair)
    return len(met), len(first), len(second)


def matched(one: Reading, other: Reading) -> tuple[list[tuple[Spot, Spot]], list[Spot], list[Spot]]:
    """Return the microbleeds that both marked, and those that either marked alone.

    The same finding of the software is one lesion; the rest is matched by place, one to one.
    """
    mine = {spot.key: spot for spot in one.counted}
    theirs = {spot.key: spot for spot in other.counted}
    same = [key for key in mine if key in theirs and is_software(key)]
    met = [(mine.pop(key), theirs.pop(key)) for key in same]
    first, second = list(mine.values()), list(theirs.values())
    if first and second:
        near = max(one.near_mm, other.near_mm)
        pairs = one_to_one(places(first), places(second), near).pairs.tolist()
        met += [(first[i], second[j]) for i, j in pairs]
        gone = {i for i, _ in pairs}, {j for _, j in pairs}
        first = [spot for i, spot in enumerate(first) if i not in gone[0]]
        second = [spot for j, spot in enumerate(second) if j not in gone[1]]
    return met, first, second


def is_software(key: str) -> bool:
    """Return whether a key names a whole finding of the software: the same for all readers."""
    return key.startswith("s") and "." not in key


def places(spots: Sequence[Spot]) -> np.ndarray:
    """Return (n, 3) places [mm]."""
    return np.array([spot.place_mm for spot in spots], dtype=np.float64).reshape(-1, 3)


def _overall(shared: Sequence[Mapping[Rater, Reading]], present: Sequence[Rater]) -> dict[str, Any]:
    """Return the agreement of all readers together; a scan that one did not finish is missing."""
    counts = np.full((len(shared), len(present)), np.nan)
    for row, scan in enumerate(shared):
        for column, rater in enumerate(present):
            if rater in scan:
                counts[row, column] = len(scan[rater].counted)
    presence = [[None if math.isnan(v) else v > 0 for v in row] for row in counts.tolist()]
    verdicts = [verdict for scan in shared for verdict in _verdicts(scan, present)]
    return {
        "scans": len(shared),
        "fleiss": as_words(fleiss_kappa(presence, PRESENCE)),
        "gwet_ac1": as_words(gwet(presence, PRESENCE)),
        "icc": {"form": ICC_FORM, **as_words(icc(counts, ICC_FORM))},
        "findings": {
            "n": len(verdicts),
            "fleiss": as_words(fleiss_kappa(verdicts, PRESENCE)),
            "gwet_ac1": as_words(gwet(verdicts, PRESENCE)),
        },
    }


def _verdicts(scan: Mapping[Rater, Reading], present: Sequence[Rater]) -> list[list[bool | None]]:
    """Return who accepted each finding of the software that anybody decided."""
    rows: dict[str, list[bool | None]] = {}
    for column, rater in enumerate(present):
        for spot in scan[rater].spots if rater in scan else ():
            if spot.decided and is_software(spot.key):
                rows.setdefault(spot.key, [None] * len(present))[column] = spot.counted
    return list(rows.values())


def _seconds(readings: Sequence[Reading]) -> dict[str, dict[str, Any]]:
    """Return the time that each reader took: of a finding, and of a finished scan."""
    out = {}
    for reader in sorted({reading.reader for reading in readings}):
        own = [reading for reading in readings if reading.reader == reader]
        spent = [s.seconds for r in own for s in r.spots if s.decided and s.seconds > 0]
        scans = [r.seconds for r in own if r.finished]
        out[reader] = {
            "findings": len(spent),
            "median": plain(median(spent)) if spent else None,
            "mean": plain(fmean(spent)) if spent else None,
            "scans": len(scans),
            "mean_scan": plain(fmean(scans)) if scans else None,
        }
    return out


def _undecided(readings: Sequence[Reading]) -> dict[str, int]:
    """Return how many asked findings each reader left in finished scans."""
    left: dict[str, int] = {}
    for reading in readings:
        if reading.finished:
            left[reading.reader] = left.get(reading.reader, 0) + reading.n_undecided
    return left


def disagreements(
    readings: Iterable[Reading],
    *,
    round: int | None = None,
    settled: Iterable[tuple[str, str]] = (),
) -> list[dict[str, Any]]:
    """Return what some called a microbleed and others, who finished the scan too, did not.

    Parameters
    ----------
    readings : iterable of Reading
        As for `agreement`. Leave out the readings that a blind reader must not see.
    round : int, optional
        As for `agreement`.
    settled : iterable of (scan, finding)
        What an adjudicator has decided.

    Returns
    -------
    list of dict
        `scan`, `finding` (key), `keys` by reader, `place` (`x_mm`, `y_mm`, `z_mm`, `site`,
        `side`), `by_reader` (`verdict` accept, reject, undecided or not_marked; `class`),
        `settled`; by scan and place from the top down.
    """
    scans = by_scan(readings)
    raters = sorted({rater for of_scan in scans.values() for rater in of_scan})
    chosen = _round(raters) if round is None else round
    done = set(settled)
    out = []
    for scan, of_scan in scans.items():
        present = [of_scan[rater] for rater in raters if rater[1] == chosen and rater in of_scan]
        if len(present) < 2:
            continue
        found = [lesion for lesion in _lesions(present) if not all(_calls(lesion, present))]
        found.sort(key=lambda lesion: _top_down(next(iter(lesion.values()))))
        out += [_row(scan, lesion, present, done) for lesion in found]
    return out


Lesion = dict[str, Spot]
"""One lesion as its readers marked it, by reader."""


def _lesions(readings: Sequence[Reading]) -> list[Lesion]:
    """Return what anybody called a microbleed, each lesion once.

    Readers come in the order of their names; what the next one marked is matched with the first
    mark of each lesion so far.
    """
    lesions: list[Lesion] = []
    for reading in readings:
        own = {spot.key: spot for spot in reading.counted}
        rest = []
        for lesion in lesions:
            key = next((s.key for s in lesion.values() if s.key in own and is_software(s.key)), "")
            if key:
                lesion[reading.reader] = own.pop(key)
            else:
                rest.append(lesion)
        left = list(own.values())
        if rest and left:
            first = [next(iter(lesion.values())) for lesion in rest]
            for i, j in one_to_one(places(first), places(left), reading.near_mm).pairs.tolist():
                rest[i][reading.reader] = left[j]
                own.pop(left[j].key)
        lesions += [{reading.reader: spot} for spot in own.values()]
    return lesions


def _calls(lesion: Lesion, readings: Sequence[Reading]) -> list[bool]:
    return [reading.reader in lesion for reading in readings]


def _top_down(spot: Spot) -> tuple[float, float, float, str]:
    return -spot.z_mm, -spot.y_mm, spot.x_mm, spot.key


def _row(
    scan: str, lesion: Lesion, readings: Sequence[Reading], settled: set[tuple[str, str]]
) -> dict[str, Any]:
    spot = next(iter(lesion.values()))
    keys = {reader: mark.key for reader, mark in lesion.items()}
    names = ("x_mm", "y_mm", "z_mm", "site", "side")
    return {
        "scan": scan,
        "finding": spot.key,
        "keys": keys,
        "place": {name: getattr(spot, name) for name in names},
        "by_reader": {r.reader: _word_on(r, lesion, spot) for r in readings},
        "settled": any((scan, key) in settled for key in keys.values()),
    }


def _word_on(reading: Reading, lesion: Lesion, spot: Spot) -> dict[str, str | None]:
    """Return what a reader said of a lesion that may be only others'."""
    own = lesion.get(reading.reader)
    if own is not None:
        return {"verdict": "accept", "class": own.class_}
    same = next((s for s in reading.spots if s.key == spot.key and is_software(s.key)), None)
    if same is None:
        return {"verdict": "not_marked", "class": None}
    if not same.decided:
        return {"verdict": "undecided", "class": None}
    return {"verdict": "reject", "class": same.class_}


def plain(value: float, digits: int = 6) -> float | None:
    """Return a number for JSON; None when it is not finite."""
    return round(float(value), digits) if math.isfinite(value) else None


def as_words(index: Index) -> dict[str, Any]:
    """Return an index for JSON."""
    shown = index.shown()
    told = {name: plain(getattr(shown, name)) for name in ("value", "se", "low", "high")}
    return {**told, "n": shown.n, "why": shown.why}


def limits_as_words(limits: BlandAltman) -> dict[str, Any]:
    """Return limits of agreement for JSON, also as the counts they mean."""
    names = ("bias", "sd", "low", "high", "bias_low", "bias_high", "limit_se")
    told = {name: plain(getattr(limits, name)) for name in names}
    around = {}
    if math.isfinite(limits.low):
        around = {str(n): [plain(v, 1) for v in limits.around(float(n))] for n in COUNTS_SHOWN}
    return {"scale": limits.scale, **told, "n": limits.n, "counts_around": around}
