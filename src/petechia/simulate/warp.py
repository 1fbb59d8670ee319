"""The template's maps sampled where each voxel of a head lies, all at once."""

from typing import Any

import numpy as np
from numba import prange

from petechia.core.compiled import compiled

CHANNELS = 8
"""Of the warp: a constant, and a power of two, for the compiler's sake."""


@compiled
def _catmull_rom(t: float, w: Any) -> None:
    """Fill `w` with the weights of four neighbours at a fraction `t` behind the second."""
    t2 = t * t
    t3 = t2 * t
    w[0] = 0.5 * (-t + 2.0 * t2 - t3)
    w[1] = 0.5 * (2.0 - 5.0 * t2 + 3.0 * t3)
    w[2] = 0.5 * (t + 4.0 * t2 - 3.0 * t3)
    w[3] = 0.5 * (-t2 + t3)


@compiled(parallel=True, fastmath=True)
def warp(
    stack: Any, inside: Any, nodes: Any, matrix: Any, shift: Any, origin: Any,
    step: float, node_step: float, out: Any,
) -> None:  # fmt: skip
    """Sample `stack` (channels last) where each voxel lies in the template.

    Outside the template is nothing, but below it the last slice goes on.
    """
    n0, n1, n2, _ = stack.shape
    for i in prange(out.shape[0]):
        at = np.zeros(3)
        moved = np.zeros(3)
        w = np.zeros((3, 4), dtype=np.float32)
        base = np.zeros(3, dtype=np.int64)
        total = np.zeros(CHANNELS, dtype=np.float32)
        for j in range(out.shape[1]):
            for k in range(out.shape[2]):
                for a in range(3):
                    at[a] = matrix[a, 0] * i + matrix[a, 1] * j + matrix[a, 2] * k + shift[a]
                _trilinear(nodes, at, origin, node_step, moved)
                for a in range(3):
                    at[a] = (at[a] + moved[a] - origin[a]) / step
                at[2] = max(at[2], 0.0)
                total[:] = 0.0
                if (
                    at[0] > 0 and at[1] > 0 and at[0] < n0 - 1 and at[1] < n1 - 1 and at[2] < n2 - 1
                    and inside[int(at[0] + 0.5), int(at[1] + 0.5), int(at[2] + 0.5)]
                ):  # fmt: skip
                    for a in range(3):
                        base[a] = int(at[a])
                        _catmull_rom(at[a] - base[a], w[a])
                    for p in range(4):
                        x = min(max(base[0] + p - 1, 0), n0 - 1)
                        for q in range(4):
                            y = min(max(base[1] + q - 1, 0), n1 - 1)
                            wxy = w[0, p] * w[1, q]
                            for r in range(4):
                                z = min(max(base[2] + r - 1, 0), n2 - 1)
                                weight = wxy * w[2, r]
                                for c in range(CHANNELS):
                                    total[c] += weight * stack[x, y, z, c]
                for c in range(CHANNELS):
                    out[i, j, k, c] = total[c]


@compiled
def _trilinear(nodes: Any, at: Any, origin: Any, step: float, out: Any) -> None:
    """Fill `out` with the node values around `at` [mm]; nodes end as they last were."""
    base = np.zeros(3, dtype=np.int64)
    t = np.zeros(3)
    for a in range(3):
        place = min(max((at[a] - origin[a]) / step, 0.0), nodes.shape[a] - 1.000001)
        base[a] = int(place)
        t[a] = place - base[a]
    for c in range(3):
        total = 0.0
        for p in range(2):
            for q in range(2):
                for r in range(2):
                    weight = (
                        (t[0] if p else 1 - t[0])
                        * (t[1] if q else 1 - t[1])
                        * (t[2] if r else 1 - t[2])
                    )
                    total += weight * nodes[base[0] + p, base[1] + q, base[2] + r, c]
        out[c] = total
