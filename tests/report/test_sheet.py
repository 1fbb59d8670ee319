"""The short report as PDF pages."""

import re
import zlib

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.report.sheet import VIEW_MM, axial_view, sheet

SUMMARY = {
    "version": "9.9.9",
    "category": "mixed",
    "counts": {"total": 25, "definite": 20, "possible": 5,
               "by_compartment": {"lobar": 20, "deep": 5, "infratentorial": 0, "n/a": 0}},
    "count_interval_95": [20, 30],
    "not_assessable": [],
    "fitness": [{"check": "slices", "status": "limited", "says": "Thick slices."}],
    "protocol": {"te_s": [0.02], "spacing_mm": [1, 1, 2], "b0_t": 3.0, "phase": "none"},
    "model": {"says": "Not validated."},
    "warnings": [],
}  # fmt: skip
ROW = {"counted": "1", "site": "basal_ganglia", "side": "left", "compartment": "deep",
       "mars": "definite", "diameter_mm": "2.4", "moment_ppm_mm3": "1.1", "probability": "0.9",
       "x_mm": "-3", "y_mm": "4", "z_mm": "5"}  # fmt: skip
GRID = Grid.from_spacing((20, 22, 10), (1.0, 1.0, 2.0))
VOLUME = np.random.default_rng(0).uniform(0, 100, GRID.shape).astype(np.float32)


def rows(n):
    return [ROW | {"index": str(k + 1)} for k in range(n)]


def n_pages(pdf: bytes) -> int:
    return int(re.search(rb"/Type /Pages.*?/Count (\d+)", pdf, re.S)[1])


@pytest.mark.parametrize(("n", "pictured", "pages"), [(0, True, 1), (25, True, 4), (25, False, 2)])
def test_pages_hold_every_counted_microbleed(n, pictured, pages):
    rejected = [ROW | {"index": "99", "counted": "0"}]
    pdf = sheet("sub-01", SUMMARY, rows(n) + rejected, ("SWI", VOLUME) if pictured else None, GRID)
    assert pdf.startswith(b"%PDF-")
    assert n_pages(pdf) == pages


def test_the_same_results_give_the_same_bytes():
    one, two = (sheet("sub-01", SUMMARY, rows(3), ("SWI", VOLUME), GRID) for _ in range(2))
    assert one == two


def drawn(pdf: bytes) -> int:
    """Bytes of drawing instructions."""
    return sum(
        len(zlib.decompress(found[1]))
        for found in re.finditer(rb"/FlateDecode.*?>>\nstream\n(.*?)\nendstream", pdf, re.S)
        if found[1][:1] == b"x"
    )


def test_a_scan_that_cannot_be_read_says_so_and_no_count():
    unfit = SUMMARY | {"category": "not_assessable", "not_assessable": ["TE too short."]}
    assert drawn(sheet("sub-01", unfit, [], None, GRID)) != drawn(
        sheet("sub-01", SUMMARY, [], None, GRID)
    )


@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 2, 0), (2, 0, 1)])
@pytest.mark.parametrize("flip", [1, -1])
def test_right_is_left_and_anterior_is_up(axes, flip):
    """A spot to the patient's left and front shows at the upper right, whatever the axes."""
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[:, list(axes)] * flip
    affine[:3, 3] = -15 * flip
    grid = Grid((31, 31, 31), affine)
    volume = np.zeros(grid.shape, np.float32)
    volume[tuple(np.rint(grid.to_index([-8.0, 6.0, 1.0])).astype(int))] = 1
    view = axial_view(volume, grid, np.array([0.0, 0.0, 1.0]))
    row, column = np.argwhere(view > 0).mean(0)
    middle = (view.shape[0] - 1) / 2
    assert (column - middle) * VIEW_MM / view.shape[1] == pytest.approx(8.0, abs=0.6)
    assert (middle - row) * VIEW_MM / view.shape[0] == pytest.approx(6.0, abs=0.6)
