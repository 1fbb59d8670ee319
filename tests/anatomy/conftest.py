"""A head of another contrast than the template's, displaced by a known map."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import ndimage

from petechia.anatomy.template import Template, template_from
from petechia.assets.store import load_arrays
from petechia.core.grid import Grid


@pytest.fixture(scope="session")
def arrays():
    return load_arrays("template")


@pytest.fixture(scope="session")
def template(arrays) -> Template:
    return template_from(arrays)


@dataclass
class Head:
    magnitude: np.ndarray
    brain: np.ndarray
    regions: np.ndarray
    grid: Grid
    matrix: np.ndarray


def axes_affine(codes, spacing_mm, shape, centre_mm):
    """Array axes along e.g. 'PIR', so that axis 0 runs to the posterior."""
    affine = np.eye(4)
    for axis, code in enumerate(codes):
        row, sign = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}[code]  # fmt: skip
        affine[:3, axis] = 0
        affine[row, axis] = sign * spacing_mm[axis]
    affine[:3, 3] = np.asarray(centre_mm) - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


def known_map(pitch_deg, stretch=(1.05, 0.96, 1.03), shift_mm=(4.0, -11.0, 14.0)):
    """Scan RAS to template RAS."""
    c, s = np.cos(np.deg2rad(pitch_deg)), np.sin(np.deg2rad(pitch_deg))
    matrix = np.eye(4)
    matrix[:3, :3] = np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ np.diag(stretch)
    matrix[:3, 3] = shift_mm
    return matrix


@pytest.fixture(scope="session")
def make_head(arrays, template):
    def make(
        codes="RAS", spacing_mm=(3.0, 3.0, 3.0), pitch_deg=9.0, shading=0.5, noise=0.02, cut=0
    ):
        matrix = known_map(pitch_deg)
        reach = {"R": 190.0, "L": 190.0, "A": 222.0, "P": 222.0, "S": 180.0 - cut, "I": 180.0 - cut}
        shape = tuple(int(reach[c] / d) for c, d in zip(codes, spacing_mm, strict=True))
        centre = np.linalg.inv(matrix) @ [0.0, -18.0, 12.0 + cut / 2, 1.0]
        grid = Grid(shape, axes_affine(codes, spacing_mm, shape, centre[:3]))
        inside = arrays["brain_mask"] > 0
        # like a gradient echo: fluid brightest, white matter darkest; scalp as in T1
        signal = np.where(
            inside,
            90 * arrays["gm"] + 72 * arrays["wm"] + 115 * arrays["csf"],
            0.8 * arrays["t1"].astype(np.float32),
        )
        to = np.linalg.inv(template.grid.affine) @ matrix @ grid.affine

        def bring(volume, order):
            return ndimage.affine_transform(volume, to[:3, :3], to[:3, 3], shape, order=order)

        x, y, z = np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij")
        shade = np.exp(shading * (0.8 * x - 0.6 * y + 0.9 * z**2))
        rng = np.random.default_rng(5)
        sigma = noise * 90
        noisy = bring(signal.astype(np.float32), 1) * shade
        noisy = np.hypot(noisy + rng.normal(0, sigma, shape), rng.normal(0, sigma, shape))
        return Head(
            magnitude=noisy.astype(np.float32),
            brain=bring(inside.astype(np.float32), 1) > 0.5,
            regions=bring(template.regions, 0),
            grid=grid,
            matrix=matrix,
        )

    return make
