"""What extended lesions do to the fine maps.

A body's filling is shared out to the fine grid point by point, which keeps its moment; its
field is solved on a padded box around it, and outside the box is that of a sphere of the same
moment.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.core.compiled import compiled
from petechia.core.units import hz_per_ppm
from petechia.simulate.bodies import STEP_MM, Body
from petechia.simulate.fields import add_spheres, grid_field
from petechia.simulate.protocols import Protocol
from petechia.simulate.render import FineMaps, Pose
from petechia.simulate.tissues import STATIC_DEPHASING, SUBSTANCES

Volume = npt.NDArray[np.float32]
SHARES = 2
"""Points along each axis of a body's voxel that are shared out."""
MARGIN_MM = 14.0
"""Of the box in which a body's field is solved."""


def add_bodies(maps: FineMaps, bodies: Sequence[Body], pose: Pose, protocol: Protocol) -> None:
    """Put bodies into the maps, where they lie: susceptibility, field, signal, decay."""
    for body in bodies:
        _add_body(maps, body, pose, protocol)


def _add_body(maps: FineMaps, body: Body, pose: Pose, protocol: Protocol) -> None:
    grid = maps.grid
    corner = grid.to_axis_mm(pose.to_scanner(body.origin_mm))
    steps = grid.to_axis_mm(pose.to_scanner(body.origin_mm + STEP_MM * np.eye(3))) - corner
    ends = corner + np.array(
        [steps.T @ (np.array(c) * body.filling.shape) for c in np.ndindex(2, 2, 2)]
    )
    low = np.floor((ends.min(axis=0) - MARGIN_MM - grid.origin_mm) / grid.spacing_mm)
    high = np.ceil((ends.max(axis=0) + MARGIN_MM - grid.origin_mm) / grid.spacing_mm) + 1
    low = np.clip(low, 0, grid.shape).astype(int)
    high = np.clip(high, 0, grid.shape).astype(int)
    if (high - low < 2).any():
        return
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    at = low * grid.spacing_mm + grid.origin_mm
    filling = np.zeros(tuple(high - low), dtype=np.float32)
    _share_out(filling, body.filling, corner, steps, grid.spacing_mm, at)
    np.minimum(filling, 1, out=filling)
    _add_field(maps, body, filling, box, grid.to_axis_mm(pose.to_scanner(body.centre_mm)))
    maps.chi_ppm[box] += np.float32(body.chi_ppm) * filling
    _fill(maps, body, filling, box, protocol)


def _add_field(
    maps: FineMaps,
    body: Body,
    filling: Volume,
    box: tuple[slice, ...],
    centre: npt.NDArray[np.float64],
) -> None:
    """Add the box's own field inside it, and that of an equal sphere outside."""
    grid, b0 = maps.grid, maps.grid.scan.b0_dir
    radius = (body.volume_mm3 * 3 / (4 * np.pi)) ** (1 / 3)
    ball = np.array([[*centre, radius, body.chi_ppm]])
    inside = maps.field_ppm[box].copy()
    add_spheres(maps.field_ppm, ball, grid.spacing_mm, grid.origin_mm, b0, 2e-5)
    inside += grid_field(np.float32(body.chi_ppm) * filling, grid.spacing_mm, b0, pad=1.0)
    maps.field_ppm[box] = inside


def _fill(
    maps: FineMaps, body: Body, filling: Volume, box: tuple[slice, ...], protocol: Protocol
) -> None:
    """Mix the body's substance into signal and decay."""
    substance = SUBSTANCES[body.substance]
    s0, decay = maps.s0[box], maps.r2star[box]
    own = substance.signal(protocol.b0_t, protocol.tr_s, protocol.flip_deg)
    signal = substance.pd * s0 if own is None else np.where(s0 > 0, np.float32(own), s0)
    rate = decay if substance.t2_s is None else np.float32(1 / substance.t2_s)
    grainy = STATIC_DEPHASING * 2 * np.pi * hz_per_ppm(protocol.b0_t) * substance.grain
    rate = rate + np.float32(grainy * abs(body.chi_ppm))
    whole = (1 - filling) * s0 + filling * signal
    mixed = (1 - filling) * s0 * decay + filling * signal * rate
    touched = (filling > 0) & (whole > 1e-9)
    decay[touched] = (mixed[touched] / whole[touched]).astype(np.float32)
    s0[filling > 0] = whole[filling > 0]


@compiled
def _share_out(out: Any, filling: Any, corner: Any, steps: Any, spacing: Any, origin: Any) -> None:
    """Share the filled volume of a body among the eight points around each part of it."""
    shape = out.shape
    volume = abs(
        steps[0, 0] * (steps[1, 1] * steps[2, 2] - steps[1, 2] * steps[2, 1])
        - steps[0, 1] * (steps[1, 0] * steps[2, 2] - steps[1, 2] * steps[2, 0])
        + steps[0, 2] * (steps[1, 0] * steps[2, 1] - steps[1, 1] * steps[2, 0])
    )
    share = volume / (spacing[0] * spacing[1] * spacing[2]) / SHARES**3
    base = np.zeros(3, dtype=np.int64)
    part = np.zeros(3)
    for i in range(filling.shape[0] * SHARES):
        u = (i + 0.5) / SHARES - 0.5
        for j in range(filling.shape[1] * SHARES):
            v = (j + 0.5) / SHARES - 0.5
            for k in range(filling.shape[2] * SHARES):
                w = (k + 0.5) / SHARES - 0.5
                part_filled = filling[i // SHARES, j // SHARES, k // SHARES]
                if part_filled <= 0.0:
                    continue
                for a in range(3):
                    place = corner[a] + u * steps[0, a] + v * steps[1, a] + w * steps[2, a]
                    place = (place - origin[a]) / spacing[a]
                    base[a] = int(np.floor(place))
                    part[a] = place - base[a]
                for p in range(2):
                    for q in range(2):
                        for r in range(2):
                            x, y, z = base[0] + p, base[1] + q, base[2] + r
                            if 0 <= x < shape[0] and 0 <= y < shape[1] and 0 <= z < shape[2]:
                                out[x, y, z] += (
                                    part_filled
                                    * share
                                    * (part[0] if p else 1 - part[0])
                                    * (part[1] if q else 1 - part[1])
                                    * (part[2] if r else 1 - part[2])
                                )
