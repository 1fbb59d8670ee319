"""Eigenvalues in closed form, and what tells the measures from each other."""

import numpy as np
import pytest

from petechia.anatomy.vesselness.frangi import FrangiParams, frangi
from petechia.anatomy.vesselness.hessian import (
    ScaleParams,
    eigenvalues,
    gaussian_lines,
    hessian_sizes,
)
from petechia.anatomy.vesselness.jerman import jerman
from petechia.core.compiled import compiled
from petechia.core.grid import Grid
from petechia.errors import ParameterError


@compiled
def _all(matrices, out):
    for n in range(len(matrices)):
        m = matrices[n]
        found = eigenvalues(m[0, 0], m[1, 1], m[2, 2], m[0, 1], m[0, 2], m[1, 2])
        out[n, 0], out[n, 1], out[n, 2] = found


def test_eigenvalues_are_those_of_a_library_by_size():
    rng = np.random.default_rng(1)
    matrices = rng.normal(size=(400, 3, 3))
    matrices[:100] *= 1e-4
    turn = np.linalg.qr(rng.normal(size=(50, 3, 3)))[0]
    # two alike, three alike, and nothing
    matrices[100:150] = turn @ np.diag([2.0, 2.0, -1.0]) @ turn.transpose(0, 2, 1)
    matrices[150], matrices[151] = 3 * np.eye(3), 0
    matrices = (matrices + matrices.transpose(0, 2, 1)) / 2
    out = np.empty((400, 3))
    _all(matrices, out)
    true = np.linalg.eigvalsh(matrices)
    order = np.take_along_axis(true, np.abs(true).argsort(axis=1, kind="stable"), 1)
    np.testing.assert_allclose(np.sort(out, axis=1), true, atol=2e-7)
    np.testing.assert_allclose(np.abs(out), np.abs(order), atol=2e-7)


def test_the_sampled_gaussian_keeps_the_mean_and_has_its_width():
    grid = Grid.from_spacing((48, 30, 21), (0.7, 1.0, 2.0))
    for line, n, d in zip(gaussian_lines(grid, 1.5), grid.shape, grid.spacing_mm, strict=True):
        assert line[0] == pytest.approx(1)
        low = np.fft.fftfreq(n, d)[1]
        assert line[1] == pytest.approx(np.exp(-2 * (np.pi * low * 1.5) ** 2), abs=2e-3)


def test_the_hessian_of_a_parabola_is_exact_on_any_voxel():
    spacing = np.array([0.8, 1.0, 2.0])
    x, y, z = np.indices((7, 7, 7)) * spacing[:, None, None, None]
    image = 0.5 * x**2 + 1.5 * y**2 - z**2 + 0.3 * x * y
    size = hessian_sizes(image.astype(np.float64), np.array([[3, 3, 3]]), 1.0 / spacing)
    assert size[0] == pytest.approx(np.sqrt(1 + 9 + 4 + 2 * 0.09))


def test_a_fork_stays_bright_for_jerman_where_frangi_falls():
    grid = Grid.from_spacing((31, 31, 31), (1.0, 1.0, 1.0))
    x, y, z = np.indices(grid.shape) - 15.0
    trunk = np.where(x <= 0, np.hypot(y, z), np.inf)
    arms = np.where(x > 0, np.minimum(np.hypot(y - x, z), np.hypot(y + x, z)), np.inf)
    image = np.exp(-(np.minimum(trunk, arms) ** 2) / 4).astype(np.float32)
    mask = np.ones(grid.shape, bool)
    for measure, least, most in ((jerman, 0.9, 1.0), (frangi, 0.0, 0.9)):
        found = measure(image, mask, grid)
        at_fork, on_trunk = found[14:17, 14:17, 15].mean(), found[4:9, 15, 15].mean()
        assert least <= at_fork / on_trunk <= most + 1e-3


def test_settings_that_make_no_sense_are_named():
    with pytest.raises(ParameterError, match=r"width_max_mm.*less than width_min_mm"):
        ScaleParams(width_min_mm=2.0, width_max_mm=1.0)
    with pytest.raises(ParameterError, match=r"FrangiParams\.blob"):
        FrangiParams(blob=0.0)
    with pytest.raises(ParameterError, match=r"FrangiParams\.n_widths"):
        FrangiParams(n_widths=0)
