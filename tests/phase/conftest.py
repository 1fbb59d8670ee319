"""A small scan with known field, offset and noise."""

from dataclasses import dataclass

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.core.units import radians_per_ppm


def axes_mm(grid: Grid) -> list[np.ndarray]:
    """Voxel places about the middle of the volume [mm]."""
    axes = [
        (np.arange(n) - (n - 1) / 2) * d for n, d in zip(grid.shape, grid.spacing_mm, strict=True)
    ]
    return np.meshgrid(*axes, indexing="ij")


@dataclass
class Scan:
    grid: Grid
    mask: np.ndarray
    field_ppm: np.ndarray
    offset_rad: np.ndarray
    te_s: tuple[float, ...]
    b0_t: float
    phase_rad: np.ndarray
    magnitude: np.ndarray

    @property
    def true_rad(self) -> np.ndarray:
        """Phase before wrapping and without offset."""
        return np.stack([radians_per_ppm(self.b0_t, t) * self.field_ppm for t in self.te_s])


def make_scan(
    te_s=(0.005, 0.010, 0.015),
    *,
    shape=(31, 36, 27),
    noise=0.01,
    offset=0.0,
    field_ppm=None,
    seed=0,
) -> Scan:
    """An ellipsoid with a smooth field of several turns, unit magnitude decaying with T2*."""
    grid = Grid.from_spacing(shape, (1.5, 1.4, 1.8))
    x, y, z = axes_mm(grid)
    mask = (x / 21) ** 2 + (y / 22) ** 2 + (z / 20) ** 2 < 1
    if field_ppm is None:
        field_ppm = (
            1.2 * np.exp(-(x**2 + (y - 15) ** 2 + (z + 12) ** 2) / 250)
            - 0.012 * x
            + 0.0004 * (z**2 - 100)
        )
    offset_rad = offset * (0.04 * x - 0.0015 * y**2 + 0.8) * np.ones(shape)
    rng = np.random.default_rng(seed)
    b0_t = 3.0
    signal = np.stack(
        [
            (np.where(mask, np.exp(-t / 0.04), 0.02))
            * np.exp(1j * (radians_per_ppm(b0_t, t) * field_ppm + offset_rad))
            for t in te_s
        ]
    )
    signal = signal + noise * (
        rng.standard_normal(signal.shape) + 1j * rng.standard_normal(signal.shape)
    )
    return Scan(
        grid,
        mask,
        field_ppm.astype(np.float32),
        offset_rad.astype(np.float32),
        te_s,
        b0_t,
        np.angle(signal).astype(np.float32),
        np.abs(signal).astype(np.float32),
    )


@pytest.fixture
def scan() -> Scan:
    return make_scan()


@pytest.fixture(name="make_scan")
def make_scan_fixture():
    return make_scan


@pytest.fixture(name="axes_mm")
def axes_mm_fixture():
    return axes_mm
