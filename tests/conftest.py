"""Shared fixtures: small odd grids, a sphere, and the place of real scans."""

import os
from pathlib import Path
from typing import NamedTuple

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


# --- simulated scans and the command line, shared by tests of the road
# (mark those with xdist_group("road"): one worker then makes the shared ones once)


class Said(NamedTuple):
    """What a command ended with."""

    code: int
    out: str
    err: str


@pytest.fixture
def petechia(capsys):
    """Call the command line in this process: `petechia("run", dataset, out)`."""
    from petechia.apps.cli.main import main

    def call(*words) -> Said:
        capsys.readouterr()
        code = main([str(word) for word in words])
        return Said(code, *capsys.readouterr())

    return call


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory) -> Path:
    """A simulated head at 2.4 mm, three echoes, with its truth."""
    from petechia.pipeline.simulated import simulate_dataset
    from petechia.simulate.patient import SimulationParams

    root = tmp_path_factory.mktemp("tiny") / "raw"
    simulate_dataset(root, SimulationParams(protocol="3t_tiny", n_microbleeds=6), seed=1)
    return root


@pytest.fixture(scope="session")
def tiny_output(tiny_dataset, tmp_path_factory) -> Path:
    """The whole road on it, with intermediates."""
    from petechia.apps.cli.main import main

    out = tmp_path_factory.mktemp("tiny_out") / "out"
    assert main(["run", str(tiny_dataset), str(out), "--save-intermediates"]) == 0
    return out


@pytest.fixture
def noise_dataset(tmp_path):
    """Maker of BIDS datasets of tiny volumes of noise: read, run and broken in a second."""
    from petechia.core.echoes import Echoes
    from petechia.files.raw_bids import write_dataset, write_raw_scan
    from petechia.files.scan import Header, ScanName

    def make(name="raw", subjects=("01",), n_echoes=2, shape=(14, 15, 12)) -> Path:
        root = tmp_path / name
        write_dataset(root, [{"participant_id": s} for s in subjects], name="Noise")
        rng = np.random.default_rng(5)
        size = (n_echoes, *shape)
        for subject in subjects:
            echoes = Echoes(
                magnitude=rng.uniform(400, 1000, size).astype(np.float32),
                phase_rad=rng.uniform(-np.pi, np.pi, size).astype(np.float32),
                te_s=tuple(0.01 * (n + 1) for n in range(n_echoes)),
                b0_t=3.0,
                grid=Grid.from_spacing(shape, (2.0, 2.0, 2.0)),
            )
            write_raw_scan(root, ScanName((("sub", subject),)), echoes, Header())
        return root

    return make
