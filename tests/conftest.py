"""Shared fixtures: small odd grids, a sphere, and the place of real scans."""

import os
from pathlib import Path

import numpy as np
import pytest

from petechia.core.grid import Grid


def tilted_affine(degrees: float, spacing_mm=(1.0, 1.0, 1.0)) -> np.ndarray:
    """Voxel axes turned about x by `degrees`."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    affine = np.eye(4)
    affine[:3, :3] = np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) * np.asarray(spacing_mm)
    return affine


@pytest.fixture(params=[0.0, 25.0], ids=["straight", "oblique"])
def grid(request) -> Grid:
    return Grid((31, 36, 33), tilted_affine(request.param, (1.0, 1.0, 1.2)))


@pytest.fixture
def sphere(grid):
    """A 4 mm sphere of +0.5 ppm at the middle of the grid."""
    axes = [(np.arange(n) - n // 2) * d for n, d in zip(grid.shape, grid.spacing_mm, strict=True)]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    return (0.5 * (x**2 + y**2 + z**2 <= 16.0)).astype(np.float32)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real scans; tests that need it are skipped, by name, without it."""
    default = Path(__file__).parents[2] / "shared" / "data"
    place = Path(os.environ.get("PETECHIA_TEST_DATA", default))
    if not (place / "real").is_dir():
        pytest.skip(f"no real scans at PETECHIA_TEST_DATA={place}")
    return place
