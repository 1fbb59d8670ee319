"""Compare ways to split two touching voids by a reader's two clicks.

usage: python validation/split.py [--n 200] [--seed 9501] [--table FILE]

Balls of 1.5 to 4 mm radius that touch or overlap a little, in voxels of 0.8 mm and slices of 0.8
or 2 mm, dark against noise; clicks fall near the middle of each (a quarter of its radius off, on
each axis). Compared: every voxel to the nearer click (`pipeline.review.outline.split`), and
floods from the clicks over the image (watershed) and over the depth of the outline.
"""

import argparse
import heapq
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from scipy import ndimage

from petechia.core.grid import Grid
from petechia.errors import ParameterError
from petechia.pipeline.review.outline import flat_of, split

CUTS = ("nearer click", "flood over the image", "flood over the depth")


def flood(height: np.ndarray, body: np.ndarray, seeds: Sequence[np.ndarray]) -> np.ndarray:
    """Return which seed's water reaches a voxel first, lowest first."""
    out = np.zeros(height.shape, int)
    line = [(height[tuple(seed)], n, tuple(seed)) for n, seed in enumerate(seeds, start=1)]
    heapq.heapify(line)
    while line:
        level, n, here = heapq.heappop(line)
        if out[here]:
            continue
        out[here] = n
        for axis in range(3):
            for step in (-1, 1):
                there = tuple(v + step * (a == axis) for a, v in enumerate(here))
                inside = all(0 <= v < size for v, size in zip(there, out.shape, strict=True))
                if inside and body[there] and not out[there]:
                    heapq.heappush(line, (max(level, height[there]), n, there))
    return out


def trial(rng: np.random.Generator, thick: bool) -> list[float] | None:
    """Return the ratio of radii, then part of voxels right and error of volume of each cut."""
    spacing = np.array([0.8, 0.8, 2.0 if thick else 0.8])
    shape = (40, 40, 18 if thick else 40)
    grid = Grid.from_spacing(shape, tuple(spacing))
    at = grid.to_mm(np.indices(shape).reshape(3, -1).T).reshape(*shape, 3)
    radius = rng.uniform(1.5, 4.0, 2)
    along = rng.normal(size=3)
    along /= np.linalg.norm(along)
    apart = radius.sum() * rng.uniform(0.75, 1.0) * along / radius.sum()
    middle = grid.to_mm(np.array(shape) / 2)
    centres = (middle - apart * radius[0], middle + apart * radius[1])
    away = [np.linalg.norm(at - centre, axis=-1) for centre in centres]
    truth = np.where(away[0] / radius[0] <= away[1] / radius[1], 1, 2)
    body = (away[0] <= radius[0]) | (away[1] <= radius[1])
    dips = [1 / (1 + np.exp((d - r) / 0.4)) for d, r in zip(away, radius, strict=True)]
    image = ndimage.gaussian_filter(1 - 0.75 * np.maximum(*dips), 0.6 / spacing)
    image = ndimage.gaussian_filter(image + rng.normal(0, 0.03, shape), 0.8 / spacing)
    clicks = [
        np.rint(grid.to_index(c + rng.normal(0, 0.25 * r, 3))).astype(int)
        for c, r in zip(centres, radius, strict=True)
    ]
    if not all(body[tuple(click)] for click in clicks):
        return None
    places = [grid.to_mm(click).tolist() for click in clicks]
    try:
        first, _ = split(np.flatnonzero(body), places, grid)
    except ParameterError:
        return None
    nearer = np.full(grid.size, 2)
    nearer[flat_of(first, grid.size)] = 1
    depth = ndimage.distance_transform_edt(body, sampling=spacing)
    out = [radius.max() / radius.min()]
    for cut in (nearer.reshape(shape), flood(image, body, clicks), flood(-depth, body, clicks)):
        out.append(float((cut == truth)[body].mean()))
        out.append(abs((cut[body] == 1).sum() / (truth[body] == 1).sum() - 1))
    return out


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=200)
    parser.add_argument("--seed", type=int, default=9501)
    parser.add_argument("--table", type=Path)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    told = [trial(rng, thick=bool(n % 2)) for n in range(args.n)]
    rows = np.array([row for row in told if row is not None])
    alike = rows[:, 0] < 1.5
    lines = [
        f"# Splitting two touching voids, {datetime.now(UTC):%Y-%m-%d}", "",
        f"`python validation/split.py --n {args.n} --seed {args.seed}`", "",
        "Simulated balls, not lesions. Voxels of the outline on the right side, mean (least); "
        "median error of the first part's volume.", "",
        "| Pairs | n | " + " | ".join(CUTS) + " |", "|---|---|---|---|---|",
    ]  # fmt: skip
    for name, some in (("radii within 1.5 times", rows[alike]), ("farther", rows[~alike])):
        cells = [
            f"{some[:, k].mean():.3f} ({some[:, k].min():.2f}); {np.median(some[:, k + 1]):.2f}"
            for k in (1, 3, 5)
        ]
        lines.append(f"| {name} | {len(some)} | {' | '.join(cells)} |")
    page = "\n".join(lines) + "\n"
    print(page)
    if args.table:
        args.table.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
