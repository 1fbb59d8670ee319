"""Thick slices: every place that tells them from thin ones draws the same line."""

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.lesions import look as looking
from petechia.lesions.features import NAMES
from petechia.lesions.model import KINDS, kinds_of
from petechia.lesions.params import DetectParams
from petechia.lesions.shortlist import THICK, THIN
from petechia.lesions.slices import THICK_MM, is_thick
from petechia.pipeline.calibration import SLICES
from petechia.pipeline.detector import card, slices_of

EDGE = [(2.99, False), (2.998, False), (2.9995, True), (2.99999995, True), (3.0, True)]


def oblique(mm):
    """A grid of slices of `mm` as a file holds its affine: rounded to float32."""
    turned = Grid.from_spacing((9, 9, 9), (0.9, 0.9, mm), (0.3, 0.5, 0.8))
    return Grid(turned.shape, turned.affine.astype(np.float32))


def test_an_oblique_affine_of_three_millimetres_gives_less():
    """What this is about; were it otherwise, no tolerance would be needed."""
    turns = np.random.default_rng(0).normal(size=(50, 3))
    sizes = [
        Grid(g.shape, g.affine.astype(np.float32)).spacing_mm.max()
        for g in (Grid.from_spacing((3, 3, 3), (1, 1, 3.0), turn) for turn in turns)
    ]
    assert 3 - 1e-6 < min(sizes) < 3.0
    assert is_thick(sizes).all()


@pytest.mark.parametrize(("mm", "thick"), EDGE)
def test_model_points_and_calibration_change_at_one_thickness(mm, thick):
    grid = oblique(mm)
    assert bool(is_thick(grid.spacing_mm.max())) == thick
    assert slices_of(float(grid.spacing_mm.max())) == SLICES[thick]
    row = np.zeros((1, len(NAMES)), np.float32)
    row[0, NAMES.index("in_plane_mm")] = 0.9
    row[0, NAMES.index("thickness_ratio")] = grid.spacing_mm.max() / 0.9
    assert (kinds_of(row)[0] == KINDS.index("thick slices")) == thick


@pytest.mark.parametrize(("mm", "thick"), EDGE)
def test_so_does_the_order_of_voids(make, mm, thick, monkeypatch):
    asked, worth = [], looking.worth

    def noted(measures, order):
        asked.append(order)
        return worth(measures, order)

    monkeypatch.setattr(looking, "worth", noted)
    scan = make.build([make.Sphere((8.2, 9.1, 5.3), 1.3, 1.0)], (19, 19, 11), (1, 1, mm))
    looking.look(scan.inputs(), DetectParams())
    assert asked
    assert all(order is (THICK if thick else THIN) for order in asked)


def test_the_card_tells_the_same_limit():
    assert card()["thick_slices"]["from_mm"] == THICK_MM
