"""Draw how the simulator shows each stage of a bleed: docs/images/hematoma-stages.png.

usage: python scripts/hematoma_pictures.py [OUT.png]

One bleed of 16 mm at the border of grey and white matter, with the mean susceptibility of each
stage, at 3 T on voxels of 1 mm: T1w and T2w by their textbook signal equations, T2*-weighted and
its phase by the simulator of scans, SWI and susceptibility by this project's own methods from it.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from scipy import ndimage

from petechia.contrast.weighting.tswi import tswi
from petechia.core.grid import Grid
from petechia.core.units import hz_per_ppm
from petechia.qsm.inversion.tv import tv
from petechia.simulate.bodies import Body
from petechia.simulate.embed import add_bodies
from petechia.simulate.head import CENTRE_MM
from petechia.simulate.hemorrhages import STAGES, bleed
from petechia.simulate.protocols import Protocol
from petechia.simulate.render import FineMaps, Pose, fine_grid
from petechia.simulate.signal import acquire, voxel_means
from petechia.simulate.tissues import STAGE_CHI_PPM, SUBSTANCES, TISSUES, spoiled_gre

OUT = Path(__file__).parents[1] / "docs" / "images" / "hematoma-stages.png"
SEED, DIAMETER_MM, B0_T, TE_S = 4, 16.0, 3.0, (0.006, 0.020)
T1W = {"tr_s": 0.012, "flip_deg": 18.0}
T2W_TE_S = 0.09
T2_S = {"wm": 0.069, "gm": 0.099}
"""Of tissue at 3 T (Stanisz et al. 2005, 10.1002/mrm.20605)."""
PROTOCOL = Protocol(
    b0_t=B0_T, te_s=TE_S, tr_s=0.04, flip_deg=15.0, shape=(64, 64, 48), spacing_mm=(1.0, 1.0, 1.0)
)
COLUMNS = ("T1w", "T2w", "T2*w, 20 ms", "true SWI", "susceptibility")


def tissue(protocol: Protocol) -> tuple[FineMaps, np.ndarray]:
    """Return white matter with a band of grey matter, and the part of grey matter."""
    grid = fine_grid(protocol)
    x = np.arange(grid.shape[0]) * grid.spacing_mm[0] - 44.0
    wave = 3.0 * np.sin(np.arange(grid.shape[1]) * grid.spacing_mm[1] / 5.0)
    grey = np.clip(0.5 + x[:, None] - wave[None, :], 0, 1)[..., None]
    grey = np.broadcast_to(grey, grid.shape).astype(np.float32)

    def mixed(of_grey: float, of_white: float) -> np.ndarray:
        return (of_grey * grey + of_white * (1 - grey)).astype(np.float32)

    gm, wm = TISSUES["gm"], TISSUES["wm"]
    signal = [
        float(spoiled_gre(t.pd, t.t1_at(B0_T), protocol.tr_s, protocol.flip_deg)) for t in (gm, wm)
    ]
    zero = np.zeros(grid.shape, dtype=np.float32)
    return FineMaps(
        grid=grid, chi_ppm=zero.copy(), field_ppm=zero.copy(), s0=mixed(*signal),
        r2star=mixed(gm.r2star_at(B0_T), wm.r2star_at(B0_T)),
        fat=np.zeros(grid.shape, dtype=np.uint8), vein=zero,
    ), grey  # fmt: skip


def bodies_of(stage: str) -> tuple[Body, ...]:
    """Return the bleed, each part with the mean susceptibility of its stage."""
    found = bleed(CENTRE_MM, DIAMETER_MM, stage, np.random.default_rng(SEED))
    means = {name: mean for name, (mean, _) in STAGE_CHI_PPM.items()}
    means["hemosiderin"] = means["chronic"]
    return tuple(replace(body, chi_ppm=means[body.substance]) for body in found)


def pictures(stage: str) -> list[np.ndarray]:
    """Return the middle slice of every column."""
    pose = Pose(turn=np.eye(3), shift_mm=np.zeros(3))
    bodies = bodies_of(stage)
    short = replace(PROTOCOL, **T1W, te_s=(0.003,))
    maps, grey = tissue(short)
    add_bodies(maps, bodies, pose, short)
    t1w = voxel_means(maps.s0, maps.grid)  # a spin echo: what dephases comes back
    maps, _ = tissue(PROTOCOL)
    add_bodies(maps, bodies, pose, PROTOCOL)
    echoes = acquire(maps, PROTOCOL, TE_S)
    rng = np.random.default_rng(SEED)
    noise = 0.01 * np.median(np.abs(echoes[0]))
    echoes = echoes + noise * (rng.normal(size=echoes.shape) + 1j * rng.normal(size=echoes.shape))
    chi = susceptibility(np.angle(echoes), np.abs(echoes), PROTOCOL.grid)
    weighted = tswi(np.abs(echoes[1]), chi, PROTOCOL.grid)
    volumes = [t1w, t2w(grey, bodies, pose), np.abs(echoes[1]), weighted, chi]
    return [np.asarray(v)[:, :, PROTOCOL.shape[2] // 2].T for v in volumes]


def t2w(grey: np.ndarray, bodies: Sequence[Body], pose: Pose) -> np.ndarray:
    """Return a spin echo: proton density and T2 of what fills each voxel."""
    gm, wm = TISSUES["gm"], TISSUES["wm"]
    image = grey * gm.pd * np.exp(-T2W_TE_S / T2_S["gm"])
    image += (1 - grey) * wm.pd * np.exp(-T2W_TE_S / T2_S["wm"])
    for body in bodies:
        maps, _ = tissue(PROTOCOL)
        add_bodies(maps, [replace(body, chi_ppm=1.0)], pose, PROTOCOL)
        substance = SUBSTANCES[body.substance]
        own = substance.pd * np.exp(-T2W_TE_S / (substance.t2_s or 0.02))
        filling = np.clip(maps.chi_ppm, 0, 1)
        image = (1 - filling) * image + filling * own
    return voxel_means(image.astype(np.float32), maps.grid)


def susceptibility(phase: np.ndarray, magnitude: np.ndarray, grid: Grid) -> np.ndarray:
    """Return the map from the first echo, which winds least, by total variation."""
    field = phase[0] / (2 * np.pi * hz_per_ppm(B0_T) * TE_S[0])
    mask = np.ones(grid.shape, dtype=bool)
    weights = ndimage.uniform_filter(magnitude[0], 1)
    return tv(field.astype(np.float32), weights.astype(np.float32), mask, grid)


def draw(out: Path) -> None:
    """Write the picture."""
    rows = {stage: pictures(stage) for stage in STAGES}
    # one window a column, so that stages can be compared
    windows = [(0.0, 1.25 * max(np.percentile(row[c], 98) for row in rows.values()))
               for c in range(4)]  # fmt: skip
    windows.append((-0.4, 1.4))
    figure = Figure(figsize=(9.0, 9.4), dpi=110, facecolor="black")
    axes = figure.subplots(len(rows), len(COLUMNS))
    for line, (stage, images) in zip(axes, rows.items(), strict=True):
        for axis, image, (low, high), column in zip(line, images, windows, COLUMNS, strict=True):
            axis.imshow(image, cmap="gray", vmin=low, vmax=high, origin="lower")
            axis.set_xticks([])
            axis.set_yticks([])
            if stage == STAGES[0]:
                axis.set_title(column, color="white", fontsize=11)
        line[0].set_ylabel(stage, color="white", fontsize=11)
    figure.subplots_adjust(0.04, 0.01, 0.99, 0.96, 0.03, 0.03)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out)


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else OUT)
