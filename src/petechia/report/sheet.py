"""The short report as PDF pages, for archives that show documents but no HTML.

Counts, what the scan cannot answer, a picture and a line for each counted microbleed. The long
report is the HTML page.
"""

import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_pdf import FigureCanvasPdf, PdfPages
from matplotlib.figure import Figure

from petechia.core.grid import Grid
from petechia.report.data import RESEARCH_USE
from petechia.report.review import reviewed_by

Array = npt.NDArray[Any]
A4_INCH = (8.27, 11.69)
ROWS_A_PAGE = 40
PICTURES_A_PAGE = 20
VIEW_MM = 40.0
COLUMNS: tuple[tuple[str, str, float], ...] = (
    ("index", "no.", 0.05),
    ("site", "site", 0.20),
    ("side", "side", 0.08),
    ("compartment", "compartment", 0.13),
    ("mars", "MARS", 0.09),
    ("diameter_mm", "diameter [mm]", 0.14),
    ("moment_ppm_mm3", "moment [ppm mm3]", 0.18),
    ("probability", "probability", 0.13),
)
"""Column of the table, heading, width (part of the line)."""


def sheet(
    prefix: str,
    summary: Mapping[str, Any],
    findings: Sequence[Mapping[str, str]],
    pictured: tuple[str, Array] | None,
    grid: Grid,
) -> bytes:
    """Return the pages as PDF; the same input gives the same bytes.

    Parameters
    ----------
    prefix : str
        The scan's name: the only one on the pages.
    summary : mapping
        The summary file's content.
    findings : sequence of mappings
        Rows of the findings table; the counted ones are listed.
    pictured : (name, (I, J, K) ndarray) or None
        What thumbnails are cut from: SWI, or the magnitude.
    grid : Grid
        Its geometry.
    """
    counted = [row for row in findings if row["counted"] == "1"]
    out = io.BytesIO()
    told = {"CreationDate": None, "ModDate": None, "Title": f"Petechia report {prefix}"}
    # fonts as outlines of their glyphs: no viewer has to have them
    with matplotlib.rc_context({"pdf.fonttype": 3, "font.family": "DejaVu Sans"}):  # noqa: SIM117
        with PdfPages(out, metadata=told) as pages:
            _add(pages, _front(prefix, summary, len(findings)))
            for start in range(0, len(counted), ROWS_A_PAGE):
                _add(pages, _table(prefix, counted[start : start + ROWS_A_PAGE]))
            if pictured is not None:
                for start in range(0, len(counted), PICTURES_A_PAGE):
                    part = counted[start : start + PICTURES_A_PAGE]
                    _add(pages, _pictures(prefix, part, pictured, grid))
    return out.getvalue()


def _add(pages: PdfPages, figure: Figure) -> None:
    pages.savefig(figure)  # type: ignore[no-untyped-call]


def _page(prefix: str, title: str) -> Figure:
    figure = Figure(figsize=A4_INCH)
    FigureCanvasPdf(figure)
    figure.text(0.08, 0.95, title, size=13, weight="bold")
    figure.text(0.92, 0.95, prefix, size=9, ha="right")
    figure.text(0.08, 0.03, "\n".join(textwrap.wrap(RESEARCH_USE, 120)), size=7)
    return figure


def _front(prefix: str, summary: Mapping[str, Any], n_findings: int) -> Figure:
    figure = _page(prefix, "Cerebral microbleeds: short report")
    figure.text(0.08, 0.915, "RESEARCH USE ONLY. Not a medical device.", size=10, color="darkred")
    y = 0.87
    for heading, lines in _sections(summary, n_findings):
        figure.text(0.08, y, heading, size=10, weight="bold")
        y -= 0.018
        for line in lines:
            for piece in textwrap.wrap(line, 105, subsequent_indent="   ") or [""]:
                if y > 0.07:
                    figure.text(0.08, y, piece, size=8.5)
                y -= 0.0145
        y -= 0.012
    return figure


def _sections(summary: Mapping[str, Any], n_findings: int) -> list[tuple[str, list[str]]]:
    cannot = [str(text) for text in summary["not_assessable"]]
    out = [("Result", _result(summary, n_findings))]
    if cannot:
        out.append(("What this scan cannot answer", cannot))
    doubts = [
        f"{check['check']}: {check['says']}"
        for check in summary["fitness"]
        if check["status"] != "ok"
    ]
    out.append(("Fitness of the scan", doubts or ["No doubts."]))
    out.append(("Scan", [_scan(summary["protocol"])]))
    model = summary["model"]
    told = [str(m["says"]) for m in (model, model.get("site_calibration") or {}) if m.get("says")]
    out.append(("Model", told))
    if summary["warnings"]:
        out.append(("Notes", [str(text) for text in summary["warnings"]]))
    out.append(("Reader's review", [reviewed_by(summary)]))
    out.append(("Software", [f"petechia {summary['version']}"]))
    return out


def _result(summary: Mapping[str, Any], n_findings: int) -> list[str]:
    if summary["category"] == "not_assessable":
        return ["Microbleeds are not assessable on this scan."]
    counts, interval = summary["counts"], summary["count_interval_95"]
    within = f" (95 % interval {interval[0]:g} to {interval[1]:g})" if interval else ""
    places = ", ".join(
        f"{n} {word}" for word, n in counts["by_compartment"].items() if word != "n/a" or n
    )
    return [
        f"{counts['total']} microbleeds counted{within}: {counts['definite']} definite, "
        f"{counts['possible']} possible.",
        f"Where: {places}. Pattern: {str(summary['category']).replace('_', ' ')}.",
        f"{n_findings} dark spots were named; the others are in the segmentation, the structured "
        "report and the long report, with the reasons.",
    ]


def _scan(protocol: Mapping[str, Any]) -> str:
    times = ", ".join(f"{1000 * te:.4g}" for te in protocol["te_s"])
    size = " x ".join(f"{d:.3g}" for d in protocol["spacing_mm"])
    told = f"{protocol['b0_t']:g} T, echo times {times} ms, voxels {size} mm"
    return f"{told}, phase: {protocol['phase']}."


def _table(prefix: str, rows: Sequence[Mapping[str, str]]) -> Figure:
    figure = _page(prefix, "Counted microbleeds")
    y, lines = 0.91, [{key: heading for key, heading, _ in COLUMNS}, *rows]
    for n, row in enumerate(lines):
        x = 0.08
        for key, _, width in COLUMNS:
            text = str(row.get(key, "n/a")).replace("_", " ")
            figure.text(x, y, text, size=7.5, weight="bold" if n == 0 else "normal")
            x += 0.84 * width
        y -= 0.0205
    return figure


def _pictures(
    prefix: str,
    rows: Sequence[Mapping[str, str]],
    pictured: tuple[str, Array],
    grid: Grid,
) -> Figure:
    name, volume = pictured
    figure = _page(prefix, "Counted microbleeds")
    figure.text(
        0.08,
        0.925,
        f"{name}, axial, {VIEW_MM:g} mm across; the patient's right is on the left.",
        size=8,
    )
    lit = volume[volume > 0]
    white = float(np.percentile(lit[:: max(1, lit.size // 100_000)], 99)) if lit.size else 1.0
    for n, row in enumerate(rows):
        across, down = n % 4, n // 4
        axes = figure.add_axes((0.08 + 0.215 * across, 0.755 - 0.165 * down, 0.195, 0.138))
        place_mm = np.array([float(row[key]) for key in ("x_mm", "y_mm", "z_mm")])
        axes.imshow(
            axial_view(volume, grid, place_mm), cmap="gray", vmin=0, vmax=white,
            extent=(-VIEW_MM / 2, VIEW_MM / 2, -VIEW_MM / 2, VIEW_MM / 2),
        )  # fmt: skip
        axes.plot(0, 0, "o", ms=18, mfc="none", mec="#ffcc33", mew=0.8)
        axes.set_axis_off()
        axes.set_title(f"{row['index']}: {row['side']} {row['site'].replace('_', ' ')}", size=6.5)
    return figure


def axial_view(volume: Array, grid: Grid, place_mm: Array, step_mm: float = 0.5) -> Array:
    """Return the axial plane around a place, nearest voxels: anterior up, right on the left.

    Parameters
    ----------
    volume : (I, J, K) ndarray
        On `grid`, whatever its obliqueness.
    grid : Grid
        Its geometry.
    place_mm : (3,) ndarray
        Centre, scanner RAS [mm].
    step_mm : float
        Side of a pixel [mm].
    """
    along = np.arange(-VIEW_MM / 2 + step_mm / 2, VIEW_MM / 2, step_mm)
    y, x = np.meshgrid(-along, -along, indexing="ij")
    places = np.stack([x, y, np.zeros_like(x)], axis=-1) + place_mm
    index = np.rint(grid.to_index(places)).astype(int)
    inside = np.all((index >= 0) & (index < grid.shape), axis=-1)
    index = np.clip(index, 0, np.array(grid.shape) - 1)
    values: Array = np.where(inside, volume[tuple(np.moveaxis(index, -1, 0))], 0)
    return values
