"""The tables of `validation/detection.py`: what was measured on each scan, by protocol."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from petechia.evaluate.calibration import brier_score, calibration_error, error_by_chance
from petechia.lesions.criteria import count_interval
from petechia.pipeline.detector import count_doubt

STRATA = ((0.3, 1.0), (1.0, 3.0), (3.0, 10.0), (10.0, np.inf))
CLEAR = 5.0
"""A sign must be told when the moment is at least so many times its error."""


def lines(scans: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield the tables, a row for each protocol and for all."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for name, scan in scans.items():
        groups.setdefault(name.rsplit("_", 1)[0], []).append(scan)
    if len(groups) > 1:
        groups["all"] = list(scans.values())
    tables: tuple[tuple[str, tuple[str, ...], Callable[..., list[str]]], ...] = (
        (
            "Candidates: visible microbleeds with one, by moment (ppm mm3)",
            (*_names(), "all", "a scan", "most", "seconds"),
            candidate_cells,
        ),
        (
            "Moment: median error / 90th percentile in %, 95 % interval covers, lesions",
            (
                *_names(),
                "calcifications (many in one another)",
                "median of found/true within 4 mm of the edge",
                "beyond",
            ),
            moment_cells,
        ),
        (
            "Sign where the moment is 5 errors and more: right/wrong/unclear, of all visible",
            ("blood", "calcium", "blood, any error", "calcium, any error"),
            sign_cells,
        ),
        (
            "Void against the true one",
            ("Dice, median", "Dice, 10 %", "diameter, median error mm", "90 % of errors below"),
            size_cells,
        ),
        (
            "Detection: counted, by moment",
            (
                *_names(),
                "false a scan",
                "of these calcium",
                "ECE, 0.05 < p < 0.95 (of perfect probabilities)",
                "Brier",
                "n",
            ),
            detection_cells,
        ),
        (
            "The number of visible microbleeds against its interval",
            (
                "interval of 95 % holds it",
                "as if independent",
                "median width",
                "seen by all",
                "expected by all",
            ),
            count_cells,
        ),
    )
    yield from steadiness(scans)
    for title, columns, cells in tables:
        yield f"\n{title}\n"
        yield "| protocol | scans | " + " | ".join(columns) + " |"
        yield "|---" * (len(columns) + 2) + "|"
        for name, group in groups.items():
            yield f"| {name} | {len(group)} | " + " | ".join(cells(group)) + " |"


def steadiness(scans: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield how much the moment of one lesion changes from protocol to protocol."""
    people: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for name, scan in scans.items():
        protocol, _, person = name.rpartition("_")
        if not (protocol.startswith("random") or person.startswith("sub-")):
            people.setdefault(person, {})[protocol] = scan["lesions"]
    off: dict[tuple[float, float], list[float]] = {s: [] for s in STRATA}
    for told in people.values():
        # of one seed the lesions are the same under every protocol
        for same in zip(*told.values(), strict=True) if len(told) > 1 else ():
            moments = [x["moment"] for x in same if x["visible"] and x.get("moment") is not None]
            if len(moments) > 1:
                middle = float(np.median(moments))
                for s in STRATA:
                    if s[0] <= abs(same[0]["true_moment"]) < s[1]:
                        off[s] += [abs(m / middle - 1) for m in moments]
    if any(off.values()):
        yield "\nThe same lesion under other protocols: off its median by, median / 90 % in %\n"
        yield "| " + " | ".join(_names()) + " |"
        yield "|---" * len(STRATA) + "|"
        cells = [
            f"{100 * np.median(v):.0f} / {100 * np.quantile(v, 0.9):.0f}" if v else "-"
            for v in off.values()
        ]
        yield "| " + " | ".join(cells) + " |"


def _names() -> tuple[str, ...]:
    return tuple(f"{a:g}-{b:g}" if np.isfinite(b) else f">{a:g}" for a, b in STRATA)


def _lesions(group: list[dict[str, Any]], kind: str = "microbleed") -> list[dict[str, Any]]:
    """Return the visible lesions of a class, with whether they were counted."""
    return [
        lesion | {"hit": hit}
        for scan in group
        for lesion, hit in zip(scan["lesions"], scan["hit"], strict=True)
        if lesion["visible"] and lesion["class"] == kind
    ]


def _within(lesions: list[dict[str, Any]], low: float, high: float) -> list[dict[str, Any]]:
    return [x for x in lesions if low <= abs(x["true_moment"]) < high]


def _share(lesions: list[dict[str, Any]], key: str) -> str:
    return f"{sum(x[key] for x in lesions)}/{len(lesions)}" if lesions else "-"


def candidate_cells(group: list[dict[str, Any]]) -> list[str]:
    """Return how many microbleeds have a candidate, and the cost."""
    own = _lesions(group)
    count = [s["candidates"] for s in group]
    part = np.mean([x["candidate"] for x in own]) if own else float("nan")
    return [
        *[_share(_within(own, *s), "candidate") for s in STRATA],
        f"{part:.3f}", f"{np.mean(count):.0f}", str(max(count)),
        f"{np.median([s['seconds'] for s in group]):.0f}",
    ]  # fmt: skip


def moment_cells(group: list[dict[str, Any]]) -> list[str]:
    """Return errors and coverage, of microbleeds by stratum and of calcifications."""
    bleeds, calcium = (
        [x for x in _lesions(group, kind) if x.get("moment") is not None]
        for kind in ("microbleed", "calcification")
    )
    own = [*bleeds, *calcium]
    cells = []
    for some in (*(_within(bleeds, *s) for s in STRATA), _within(calcium, 0.3, np.inf)):
        if not some:
            cells.append("-")
            continue
        true, found, se = (np.array([x[k] for x in some]) for k in ("true_moment", "moment", "se"))
        off = np.abs(found - true)
        middle, high = 100 * np.quantile(off / abs(true), (0.5, 0.9))
        covers = np.mean(off <= 1.96 * se)
        cells.append(f"{middle:.0f} / {high:.0f}, {covers:.2f}, {len(some)}")
    for at_edge in (True, False):
        ratio = [
            x["moment"] / x["true_moment"]
            for x in own
            if abs(x["true_moment"]) >= 1 and (x["edge_mm"] < 4) == at_edge
        ]
        cells.append(f"{np.median(ratio):.2f} ({len(ratio)})" if ratio else "-")
    return cells


def sign_cells(group: list[dict[str, Any]]) -> list[str]:
    """Return right, wrong and unclear signs, where they must be told and in all."""
    cells = []
    for clear in (True, False):
        for kind in ("microbleed", "calcification"):
            own = [x for x in _lesions(group, kind) if x.get("moment") is not None]
            if clear:
                own = [x for x in own if abs(x["moment"]) >= CLEAR * x["se"]]
            right = "paramagnetic" if kind == "microbleed" else "diamagnetic"
            wrong = "diamagnetic" if kind == "microbleed" else "paramagnetic"
            told = [sum(x["sign"] == s for x in own) for s in (right, wrong, "unclear")]
            cells.append("/".join(map(str, told)))
    return cells


def size_cells(group: list[dict[str, Any]]) -> list[str]:
    """Return how well the voids agree with the true ones."""
    own = [x for x in _lesions(group) if "dice" in x]
    if not own:
        return ["-"] * 4
    dice = np.array([x["dice"] for x in own])
    off = np.array([x["diameter"] - x["true_diameter"] for x in own])
    return [
        f"{np.median(dice):.2f}", f"{np.quantile(dice, 0.1):.2f}",
        f"{np.median(off):+.2f}", f"{np.quantile(abs(off), 0.9):.2f}",
    ]  # fmt: skip


def detection_cells(group: list[dict[str, Any]]) -> list[str]:
    """Return sensitivity, false positives and calibration."""
    own = _lesions(group)
    p = np.concatenate([s["p"] for s in group])
    y = np.concatenate([s["y"] for s in group])
    undecided = (p > 0.05) & (p < 0.95)
    error = calibration_error(p[undecided], y[undecided])
    chance = error_by_chance(p[undecided], np.random.default_rng(0))
    return [
        *[_share(_within(own, *s), "hit") for s in STRATA],
        f"{np.mean([s['false'] for s in group]):.2f}",
        f"{np.mean([s['false_calcification'] for s in group]):.2f}",
        f"{error:.3f} ({chance:.3f})" if undecided.any() else "-",
        f"{brier_score(p, y):.4f}",
        str(int(undecided.sum())),
    ]


def count_cells(group: list[dict[str, Any]]) -> list[str]:
    """Return how often the interval of the count holds the number of visible microbleeds."""
    holds, alone, width = 0, 0, []
    true = [len(_lesions([scan])) for scan in group]
    for scan, n in zip(group, true, strict=True):
        low, high = count_interval(scan["p"], doubt=count_doubt())
        holds += low <= n <= high
        width.append(high - low)
        low, high = count_interval(scan["p"])
        alone += low <= n <= high
    return [
        f"{holds}/{len(group)}", f"{alone}/{len(group)}", f"{np.median(width):.0f}",
        str(sum(true)), f"{sum(sum(scan['p']) for scan in group):.0f}",
    ]  # fmt: skip
