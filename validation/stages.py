"""Measure how often the stage of a large bleed is named, and named rightly, on simulated bleeds.

usage: python validation/stages.py [--each 6] [--seed 9600] [--table FILE]

Each bleed of 11 to 20 mm lies in white matter with patches of grey, on voxels of 1.5 mm at 3 T.
T1w and T2w follow the equations of `petechia.simulate.companions` with noise; susceptibility comes
from two simulated echoes, inverted by total variation. A bleed's own susceptibility is drawn from
the published spread of its stage, its relaxation times within 15 % of the simulator's.

Looks and susceptibilities of both, the simulator and the rule, come from the same two papers: the
table shows what noise, neighbourhood and overlap leave of them, not whether they are right.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from scipy import ndimage

from petechia.core.morphology import dilate_mm
from petechia.core.units import hz_per_ppm
from petechia.lesions.hematoma import STAGES, likely_stage, look_of
from petechia.qsm.inversion.tv import tv
from petechia.simulate.bodies import Body
from petechia.simulate.companions import COMPANIONS, T2_S, CompanionProtocol, seen
from petechia.simulate.embed import add_bodies
from petechia.simulate.head import CENTRE_MM
from petechia.simulate.hemorrhages import bleed
from petechia.simulate.protocols import Protocol
from petechia.simulate.render import FineMaps, Pose, fine_grid
from petechia.simulate.signal import acquire, voxel_means
from petechia.simulate.tissues import SUBSTANCES, TISSUES, spoiled_gre

SCAN = Protocol(
    b0_t=3.0, te_s=(0.006, 0.020), tr_s=0.04, flip_deg=15.0, shape=(40, 40, 40),
    spacing_mm=(1.5, 1.5, 1.5),
)  # fmt: skip
POSE = Pose(turn=np.eye(3), shift_mm=np.zeros(3))
SNR = 40.0
GIVEN = {
    "T1w, T2w, susceptibility": ("t1", "t2", "chi_ppm"),
    "T1w, T2w": ("t1", "t2"),
    "T1w, susceptibility": ("t1", "chi_ppm"),
    "T2w, susceptibility": ("t2", "chi_ppm"),
    "susceptibility": ("chi_ppm",),
}
Told = dict[str, str | float | None]


def blank(grey: np.ndarray) -> FineMaps:
    """Return tissue without a bleed."""
    gm, wm = TISSUES["gm"], TISSUES["wm"]

    def mixed(of_grey: float, of_white: float) -> np.ndarray:
        return (of_grey * grey + of_white * (1 - grey)).astype(np.float32)

    signal = [
        float(spoiled_gre(t.pd, t.t1_at(SCAN.b0_t), SCAN.tr_s, SCAN.flip_deg)) for t in (gm, wm)
    ]
    zero = np.zeros(grey.shape, dtype=np.float32)
    return FineMaps(
        grid=fine_grid(SCAN), chi_ppm=zero.copy(), field_ppm=zero.copy(), s0=mixed(*signal),
        r2star=mixed(gm.r2star_at(SCAN.b0_t), wm.r2star_at(SCAN.b0_t)),
        fat=np.zeros(grey.shape, dtype=np.uint8), vein=zero,
    )  # fmt: skip


def filling(body: Body, grey: np.ndarray) -> np.ndarray:
    """Return the part of each fine point that a body takes."""
    maps = blank(grey)
    add_bodies(maps, [replace(body, chi_ppm=1.0)], POSE, SCAN)
    return np.clip(maps.chi_ppm, 0, 1)


def beside(
    grey: np.ndarray,
    bodies: list[tuple[Body, np.ndarray]],
    protocol: CompanionProtocol,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return a T1w or T2w of the bleed, with noise."""
    tissue = {
        name: seen(TISSUES[name].pd, TISSUES[name].t1_at(SCAN.b0_t), T2_S[name], protocol)
        for name in ("gm", "wm")
    }
    image = grey * tissue["gm"] + (1 - grey) * tissue["wm"]
    for body, part in bodies:
        kind = SUBSTANCES[body.substance]
        own = kind.pd * image  # without times of its own it is a share of its surroundings
        if kind.t1_s is not None:
            t1_s, t2_s = (t * np.exp(rng.normal(0, 0.15)) for t in (kind.t1_s, kind.t2_s or 0.02))
            own = np.full_like(image, seen(kind.pd, t1_s, t2_s, protocol))
        elif protocol.kind == "T2w":
            own = own * np.exp(-protocol.te_s / 0.02)
        image = (1 - part) * image + part * own
    out = voxel_means(image.astype(np.float32), fine_grid(SCAN))
    return out + rng.normal(0, tissue["wm"] / SNR, out.shape)


def susceptibility(maps: FineMaps, rng: np.random.Generator) -> np.ndarray:
    """Return the map from the first of two simulated echoes."""
    echoes = acquire(maps, SCAN, SCAN.te_s)
    noise = np.median(np.abs(echoes[0])) / SNR
    echoes = echoes + noise * (rng.normal(size=echoes.shape) + 1j * rng.normal(size=echoes.shape))
    field = np.angle(echoes[0]) / (2 * np.pi * hz_per_ppm(SCAN.b0_t) * SCAN.te_s[0])
    whole = np.ones(SCAN.grid.shape, dtype=bool)
    return tv(field.astype(np.float32), np.abs(echoes[0]).astype(np.float32), whole, SCAN.grid)


def one(stage: str, rng: np.random.Generator) -> Told:
    """Return what is seen of one bleed, beside its true stage."""
    shape = fine_grid(SCAN).shape
    rough = ndimage.gaussian_filter(rng.normal(size=shape), 4.0)
    grey = np.clip(0.5 + 2.0 * (rough / rough.std() - 0.5), 0, 1).astype(np.float32)
    found = bleed(CENTRE_MM, float(rng.uniform(11, 20)), stage, rng)
    bodies = [(body, filling(body, grey)) for body in found]
    maps = blank(grey)
    add_bodies(maps, found, POSE, SCAN)
    grid = SCAN.grid
    label = voxel_means(sum(part for _, part in bodies).astype(np.float32), maps.grid) > 0.5
    looks = {
        name: look_of(beside(grey, bodies, COMPANIONS[kind], rng), label, ~label, grid)
        for name, kind in (("t1", "T1w"), ("t2", "T2w"))
    }
    chi = susceptibility(maps, rng)
    around = dilate_mm(label, grid, 10.0) & ~dilate_mm(label, grid, 3.0)
    above = float(chi[label].mean() - np.median(chi[around]))
    return {"stage": stage, "true_ppm": found[0].chi_ppm, "chi_ppm": above, **looks}


def lines(bleeds: list[Told]) -> Iterator[str]:
    """Yield one table of true over named stages for each set of images."""
    for words, names in GIVEN.items():
        yield f"\n### {words}\n"
        yield "| true | " + " | ".join(STAGES) + " | not estimated |"
        yield "|---" * (len(STAGES) + 2) + "|"
        right = wrong = 0
        for stage in STAGES:
            named = [
                likely_stage(**{n: b[n] for n in names}).stage  # type: ignore[arg-type]
                for b in bleeds
                if b["stage"] == stage
            ]
            right += named.count(stage)
            wrong += sum(n not in (stage, None) for n in named)
            cells = [str(named.count(n)) for n in (*STAGES, None)]
            yield f"| {stage} | " + " | ".join(cells) + " |"
        yield f"\n{right} of {len(bleeds)} named rightly, {wrong} wrongly."
    off = [float(b["chi_ppm"]) - float(b["true_ppm"]) for b in bleeds]  # type: ignore[arg-type]
    yield f"\nSusceptibility off by {np.median(off):.2f} ppm in the median, {np.std(off):.2f} (SD)."


def measured(each: int, seed: int) -> list[Told]:
    """Return `each` bleeds of every stage."""
    rng = np.random.default_rng([seed, 77])
    return [one(stage, rng) for stage in STAGES for _ in range(each)]


def main() -> None:
    """Simulate, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--each", type=int, default=6, help="bleeds of each stage")
    parser.add_argument("--seed", type=int, default=9600)
    parser.add_argument("--table", type=Path)
    args = parser.parse_args()
    bleeds = measured(args.each, args.seed)
    text = [
        f"{datetime.now(UTC):%Y-%m-%d}, {args.each} bleeds of each stage, seed {args.seed}.",
        *lines(bleeds),
    ]
    print("\n".join(text))
    if args.table:
        args.table.write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
