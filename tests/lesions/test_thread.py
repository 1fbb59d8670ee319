from dataclasses import replace

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.errors import ParameterError
from petechia.lesions import detect
from petechia.lesions.evidence import FAR, LONG
from petechia.lesions.params import DetectParams
from petechia.lesions.thread import ThreadParams, thread_of
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
    told = drawn([CENTRE + 0.2], radius_mm, spacing)
    assert told.elongation < 1.3
    assert told.reach_radii < 1.5


def test_an_oval_spot_is_no_thread():
    line = CENTRE + np.linspace(-1, 1, 9)[:, None] * [1.0, 0.0, 0.0]
    told = drawn(line, 1.8)
    assert told.elongation < 1.8
    assert told.reach_radii < 1.7


@pytest.mark.parametrize("spacing", [(1, 1, 1), (0.6, 0.6, 1.2)])
def test_a_vein_that_curves_is_a_thread(spacing):
    told = drawn(arc(11.0), 1.1, spacing)
    assert told.elongation > 2.0
    assert told.reach_radii > 2.4
    assert 3.0 < told.reach_mm <= ThreadParams().reach_mm


def test_a_void_in_two_thick_slices_is_no_thread():
    told = drawn([CENTRE + np.array([0.2, 0.2, 2.0])], 3.0, (1.0, 1.0, 4.0))
    assert told.reach_radii < 1.5


def test_a_thread_is_told_in_the_evidence_and_a_sphere_is_none(phantom):
    measured, _ = detect.measure(phantom.inputs(), DetectParams())
    spheres = [np.asarray(s.centre_vox) for s in phantom.objects[:4]]

    def is_sphere(m):
        middle = np.asarray(m.features.shape.centre_vox)
        return any(np.linalg.norm(middle - s) < 2 for s in spheres)

    round_ = [m for m in measured if is_sphere(m)]
    threads = [m for m in measured if "part of a dark thread" in m.verdict.evidence]
    assert len(round_) >= 4
    assert threads
    assert not any(is_sphere(m) for m in threads)
    for m in threads:
        assert m.features.thread.elongation > LONG
        assert m.features.thread.reach_radii > FAR


@pytest.mark.parametrize("wrong", [{"half": 1.0}, {"least_sd": -1.0}, {"reach_mm": 0.0}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ParameterError, match=next(iter(wrong))):
        replace(ThreadParams(), **wrong)
