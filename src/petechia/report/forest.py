"""Forest plots as SVG text: a row for each ratio, its interval, and the numbers beside it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from petechia.report.curves import svg_text

LABEL, PLOT, NUMBERS = 300, 320, 250
ROW, TOP, BOTTOM = 24, 14, 34
WIDEST = (0.05, 20.0)
"""Ratios beyond these are cut, with an arrow."""
TICKS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForestRow:
    """One ratio: what it is of, its interval, and what stands beside it."""

    label: str
    text: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    strong: bool = False


def forest(rows: Sequence[ForestRow], title: str, says: str) -> Markup:
    """Return the plot on a logarithmic axis; a row without a value keeps its text.

    Parameters
    ----------
    title : str
        Of the axis.
    says : str
        What the picture shows, for those who cannot see it.
    """
    low, high = _range(rows)
    bottom = TOP + ROW * len(rows)
    width, height = LABEL + PLOT + NUMBERS, bottom + BOTTOM
    parts = [
        f'<svg class="forest" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(says)}">'
    ]
    for tick in TICKS:
        if low <= tick <= high:
            at = _place(tick, low, high)
            kind = "none" if tick == 1 else "rule"
            parts.append(f'<path class="{kind}" d="M{at:.1f} {TOP}V{bottom}"/>')
            parts.append(svg_text(at, bottom + 15, f"{tick:g}", "middle"))
    parts.append(f'<path class="axis" d="M{LABEL} {bottom}H{LABEL + PLOT}"/>')
    parts.append(svg_text(LABEL + PLOT / 2, bottom + 30, title, "middle"))
    for n, row in enumerate(rows):
        parts += _row(row, TOP + ROW * (n + 0.5), low, high)
    return Markup("".join([*parts, "</svg>"]))


def _range(rows: Sequence[ForestRow]) -> tuple[float, float]:
    ends = [
        v
        for row in rows
        if row.value is not None
        for v in (row.value, row.low, row.high)
        if v is not None and 0 < v < math.inf
    ]
    low = max(WIDEST[0], min([0.5, *ends]))
    high = min(WIDEST[1], max([2.0, *ends]))
    return (
        max(t for t in TICKS if t <= low * (1 + 1e-9)),
        min(t for t in TICKS if t >= high * (1 - 1e-9)),
    )


def _place(value: float, low: float, high: float) -> float:
    cut = min(max(value, low), high)
    return LABEL + PLOT * math.log(cut / low) / math.log(high / low)


def _row(row: ForestRow, y: float, low: float, high: float) -> list[str]:
    kind = "strong" if row.strong else ""
    parts = [svg_text(0, y + 4, _short(row.label), "start", kind=kind)]
    parts.append(svg_text(LABEL + PLOT + 14, y + 4, row.text, "start", kind=kind))
    if row.value is None or not 0 < row.value < math.inf:
        return parts
    if row.low is not None and row.high is not None:
        left = _place(max(row.low, 1e-12), low, high)
        right = _place(row.high, low, high)
        parts.append(f'<path class="reach" d="M{left:.1f} {y:.1f}H{right:.1f}"/>')
        if row.low < low:
            parts.append(f'<path class="tip" d="M{left:.1f} {y:.1f}l6 -4v8z"/>')
        if row.high > high:
            parts.append(f'<path class="tip" d="M{right:.1f} {y:.1f}l-6 -4v8z"/>')
    if low <= row.value <= high:
        at = _place(row.value, low, high)
        shape = "dot strong" if row.strong else "dot"
        parts.append(
            f'<rect class="{shape}" x="{at - 4:.1f}" y="{y - 4:.1f}" width="8" height="8"/>'
        )
    return parts


def _short(text: str) -> str:
    return text if len(text) <= 46 else text[:45] + "\N{HORIZONTAL ELLIPSIS}"
