from dataclasses import replace

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.errors import ParameterError
from petechia.lesions import detect
from petechia.lesions.params import DetectParams
from petechia.lesions.thread import Thread, ThreadParams, thread_of
from petechia.lesions.void import grow_voids

TEXTURE = 0.03


def drawn(points_mm, radius_mm, spacing=(1.0, 1.0, 1.0), size_mm=30.0):
    """Signal of a body that a ball sweeps along points, and the void grown at its middle."""
    spacing = np.asarray(spacing)
    shape = tuple(int(size_mm / d) for d in spacing)
    grid = Grid(shape, np.diag([*spacing, 1.0]))
    at = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1) * spacing
    away = np.min([np.linalg.norm(at - p, axis=-1) for p in points_mm], axis=0)
    signal = np.clip(0.15 + 0.85 * (away - radius_mm + 0.5), 0.1, 1.0).astype(np.float32)
    mask = np.ones(shape, dtype=bool)
    middle = np.asarray(points_mm)[len(points_mm) // 2] / spacing
    voids = grow_voids(signal, TEXTURE, mask, middle[None], grid)
    return thread_of(voids[0], signal, TEXTURE, mask, grid)


CENTRE = np.array([15.0, 15.0, 15.0])


def arc(length_mm, bend_mm=4.0, n=60):
    """Points along an arc through the centre."""
    angle = np.linspace(-0.5, 0.5, n) * length_mm / bend_mm
    return CENTRE + bend_mm * np.stack([np.cos(angle) - 1, np.sin(angle), 0 * angle], axis=1)


@pytest.mark.parametrize("spacing", [(1, 1, 1), (0.6, 0.6, 1.2), (0.8, 0.8, 2.0)])
@pytest.mark.parametrize("radius_mm", [1.2, 2.0, 3.0])
def test_a_ball_is_no_thread(spacing, radius_mm):
    assert drawn([CENTRE + 0.2], radius_mm, spacing).likeness == 0


def test_an_oval_spot_is_no_thread():
    line = CENTRE + np.linspace(-1, 1, 9)[:, None] * [1.0, 0.0, 0.0]
    assert drawn(line, 1.8).likeness == 0


@pytest.mark.parametrize("spacing", [(1, 1, 1), (0.6, 0.6, 1.2)])
def test_a_vein_that_curves_is_a_thread(spacing):
    told = drawn(arc(11.0), 1.1, spacing)
    assert told.likeness > 0.6
    assert 3.0 < told.reach_mm <= ThreadParams().reach_mm


def test_thick_slices_tell_nothing():
    assert drawn(arc(11.0), 1.1, (1.0, 1.0, 4.0)) == Thread(likeness=0.0, reach_mm=0.0)


def test_a_thread_takes_from_the_odds_and_becomes_a_vessel(phantom, monkeypatch):
    params = DetectParams(thread=ThreadParams(log_odds=9.0))
    before = detect.detect(phantom.inputs(), params)
    one = next(f for f in before.findings if f.counted)
    for likeness in (0.4, 1.0):
        monkeypatch.setattr(
            detect, "thread_of", lambda *_, s=likeness: Thread(likeness=s, reach_mm=6)
        )
        after = detect.detect(phantom.inputs(), params)
        same = next(f for f in after.findings if f.x_mm == one.x_mm and f.y_mm == one.y_mm)
        sure = min(one.probability, 1 - 5e-4)
        odds = sure / (1 - sure) * np.exp(-params.thread.log_odds * likeness)
        # the table's probability, from which the odds are taken here, is rounded
        assert same.probability == pytest.approx(odds / (1 + odds), abs=0.02)
        assert same.probability < one.probability
        assert same.class_ == ("microbleed" if likeness < 1 else "vessel")
        assert "part of a dark thread, 6 mm to its end" in same.evidence
        assert same.moment_ppm_mm3 == one.moment_ppm_mm3
    assert not any(f.counted for f in after.findings if f.class_ == "vessel")


@pytest.mark.parametrize("wrong", [{"half": 1.0}, {"long": (2.0, 1.8)}, {"thickest_mm": 0.0}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ParameterError, match=next(iter(wrong))):
        replace(ThreadParams(), **wrong)
