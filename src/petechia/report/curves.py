"""Curves and scatter plots as SVG text: no library, no script, no loading."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil, floor, log10

from markupsafe import Markup, escape

from petechia.errors import ParameterError

Point = tuple[float, float]
WIDTH, HEIGHT = 460, 330
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 14, 14, 46
_COLOURS = ("#0f4c5c", "#b3261e")


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One axis.

    Attributes
    ----------
    title : str
    low, high : float
    log : bool
        Decades instead of even steps; `low` must be positive.
    """

    title: str
    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ParameterError(
                f"axis from {self.low} to {self.high}",
                where=self.title,
                mend="An axis rises; a logarithmic one begins above 0.",
            )

    def place(self, value: float) -> float:
        """Return where `value` lies: 0 at the low end, 1 at the high; cut there."""
        low, high, at = self.low, self.high, min(max(value, self.low), self.high)
        if self.log:
            low, high, at = log10(low), log10(high), log10(at)
        return (at - low) / (high - low)

    def ticks(self) -> list[float]:
        """Return about five round values."""
        if self.log:
            first, last = ceil(log10(self.low) - 1e-9), floor(log10(self.high) + 1e-9)
            return [10.0**n for n in range(first, last + 1)]
        rough = (self.high - self.low) / 5
        power = 10.0 ** floor(log10(rough))
        step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough - 1e-12)
        first = ceil(self.low / step - 1e-9)
        return [n * step for n in range(first, floor(self.high / step + 1e-9) + 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A drawing of lines, points and intervals over two axes.

    Attributes
    ----------
    says : str
        What the picture shows, for those who cannot see it.
    lines : list of (points, dashed)
    points : list of (x, y, style)
        Style 0 or 1.
    bars : list of (x, low, high)
        Vertical intervals.
    """

    x: Axis
    y: Axis
    says: str
    lines: list[tuple[Sequence[Point], bool]] = field(default_factory=list)
    points: list[tuple[float, float, int]] = field(default_factory=list)
    bars: list[tuple[float, float, float]] = field(default_factory=list)

    def svg(self) -> Markup:
        """Return the drawing."""
        parts = [
            f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
            f'aria-label="{escape(self.says)}">',
            *self._frame(),
            *(self._line(points, dashed) for points, dashed in self.lines),
            *(self._bar(x, low, high) for x, low, high in self.bars),
            *(self._dot(x, y, style) for x, y, style in self.points),
            "</svg>",
        ]
        return Markup("".join(parts))

    def _at(self, x: float, y: float) -> Point:
        wide, tall = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
        return (_LEFT + wide * self.x.place(x), _TOP + tall * (1 - self.y.place(y)))

    def _frame(self) -> list[str]:
        right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM
        parts = []
        for value in self.x.ticks():
            at, _ = self._at(value, self.y.low)
            parts.append(f'<path class="rule" d="M{at:.1f} {_TOP}V{bottom}"/>')
            parts.append(svg_text(at, bottom + 16, f"{value:g}", "middle"))
        for value in self.y.ticks():
            _, at = self._at(self.x.low, value)
            parts.append(f'<path class="rule" d="M{_LEFT} {at:.1f}H{right}"/>')
            parts.append(svg_text(_LEFT - 6, at + 4, f"{value:g}", "end"))
        parts.append(f'<path class="axis" d="M{_LEFT} {_TOP}V{bottom}H{right}"/>')
        parts.append(svg_text((_LEFT + right) / 2, HEIGHT - 8, self.x.title, "middle"))
        middle = (_TOP + bottom) / 2
        parts.append(
            svg_text(14, middle, self.y.title, "middle", turned=f"rotate(-90 14 {middle:.1f})")
        )
        return parts

    def _line(self, points: Sequence[Point], dashed: bool) -> str:
        if not points:
            return ""
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in (self._at(*point) for point in points))
        return f'<path class="{"guide" if dashed else "curve"}" d="M{path}"/>'

    def _bar(self, x: float, low: float, high: float) -> str:
        (at, bottom), (_, top) = self._at(x, low), self._at(x, high)
        return f'<path class="bar-line" d="M{at:.1f} {bottom:.1f}V{top:.1f}"/>'

    def _dot(self, x: float, y: float, style: int) -> str:
        at, up = self._at(x, y)
        return f'<circle cx="{at:.1f}" cy="{up:.1f}" r="3.2" fill="{_COLOURS[style]}"/>'


def svg_text(
    x: float, y: float, words: str, anchor: str, *, turned: str = "", kind: str = ""
) -> str:
    """Return words in a drawing.

    Parameters
    ----------
    anchor : str
        Which end lies at `x`: 'start', 'middle' or 'end'.
    turned : str
        SVG's transform.
    kind : str
        Class of the style sheet.
    """
    more = f' transform="{turned}"' if turned else ""
    more += f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(words)}</text>'


def steps(points: Sequence[Point], start: Point, end_x: float) -> list[Point]:
    """Return a step curve through rising points: level until the next one, flat to `end_x`."""
    path = [start]
    for x, y in points:
        if x > end_x:
            break
        path += [(x, path[-1][1]), (x, y)]
    return [*path, (end_x, path[-1][1])]
