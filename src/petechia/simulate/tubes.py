"""Tubes drawn into voxels: the part of each that they cover, with their volume kept."""

from typing import Any

import numpy as np

from petechia.core.compiled import compiled


@compiled
def draw_tubes(fraction: Any, segments: Any, spacing: Any, origin: Any) -> None:
    """Write the part of each voxel that lies in a tube into `fraction`.

    Segments are in array-axis millimetres, as the place `origin` of voxel (0, 0, 0). Tubes
    wider than a voxel have an edge of one voxel; thinner ones are spread over the voxels
    around their centre line. Both keep their volume.
    """
    size = (spacing[0] * spacing[1] * spacing[2]) ** (1.0 / 3.0)
    for s in range(segments.shape[0]):
        if segments[s, 6] < 0.6 * size:
            _draw_thin(fraction, segments[s], spacing, origin)
        else:
            _draw_wide(fraction, segments[s], spacing, origin, size)


@compiled
def _draw_thin(fraction: Any, segment: Any, spacing: Any, origin: Any) -> None:
    """Share the volume of a tube among the eight voxels around points along it."""
    shape = fraction.shape
    square = 0.0
    for a in range(3):
        square += (segment[a + 3] - segment[a]) ** 2
    smallest = min(spacing[0], spacing[1], spacing[2])
    steps = max(1, int(np.ceil(2.0 * np.sqrt(square) / smallest)))
    share = np.pi * segment[6] ** 2 * np.sqrt(square) / steps
    share /= spacing[0] * spacing[1] * spacing[2]
    base = np.zeros(3, dtype=np.int64)
    part = np.zeros(3)
    for n in range(steps):
        t = (n + 0.5) / steps
        for a in range(3):
            at = (segment[a] + t * (segment[a + 3] - segment[a]) - origin[a]) / spacing[a]
            base[a] = int(np.floor(at))
            part[a] = at - base[a]
        for p in range(2):
            for q in range(2):
                for r in range(2):
                    i, j, k = base[0] + p, base[1] + q, base[2] + r
                    if 0 <= i < shape[0] and 0 <= j < shape[1] and 0 <= k < shape[2]:
                        weight = (
                            (part[0] if p else 1 - part[0])
                            * (part[1] if q else 1 - part[1])
                            * (part[2] if r else 1 - part[2])
                        )
                        fraction[i, j, k] = min(1.0, fraction[i, j, k] + share * weight)


@compiled
def _draw_wide(fraction: Any, segment: Any, spacing: Any, origin: Any, size: float) -> None:
    """Raise every voxel near a tube to the part of it that the tube covers."""
    # an edge of one voxel adds size^2 / 12 to the mean square radius
    radius = np.sqrt(segment[6] ** 2 - size * size / 12.0)
    reach = radius + 0.5 * size
    low = np.zeros(3, dtype=np.int64)
    high = np.zeros(3, dtype=np.int64)
    way = np.zeros(3)
    for a in range(3):
        first = min(segment[a], segment[a + 3]) - reach - origin[a]
        last = max(segment[a], segment[a + 3]) + reach - origin[a]
        low[a] = max(0, int(np.ceil(first / spacing[a])))
        high[a] = min(fraction.shape[a], int(np.floor(last / spacing[a])) + 1)
        way[a] = segment[a + 3] - segment[a]
    square = max(way[0] ** 2 + way[1] ** 2 + way[2] ** 2, 1e-12)
    for i in range(low[0], high[0]):
        x = origin[0] + i * spacing[0] - segment[0]
        for j in range(low[1], high[1]):
            y = origin[1] + j * spacing[1] - segment[1]
            for k in range(low[2], high[2]):
                z = origin[2] + k * spacing[2] - segment[2]
                t = min(max((x * way[0] + y * way[1] + z * way[2]) / square, 0.0), 1.0)
                dx, dy, dz = x - t * way[0], y - t * way[1], z - t * way[2]
                distance = np.sqrt(dx * dx + dy * dy + dz * dz)
                part = min(max((reach - distance) / size, 0.0), 1.0)
                if part > fraction[i, j, k]:
                    fraction[i, j, k] = part
