"""Growing from seeds over the best edge at the rim: the bucket queue of ROMEO."""

from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.core.compiled import compiled
from petechia.phase.images import Volume
from petechia.phase.unwrap.weights import N_BINS, TWO_PI, Bins

Labels = npt.NDArray[np.int32]

CHUNK = 64
"""Edges in a piece of a bucket."""


def grown(phase_rad: Volume, bins: Bins, labels: Labels, n_parts: int) -> Volume:
    """Return one image unwrapped along its best edges.

    Parameters
    ----------
    phase_rad : (I, J, K) ndarray of float32
        Wrapped phase [rad].
    bins : (I, J, K, 3) ndarray of uint8
        Class of the edge to the next voxel along each axis, 1 the best; 0: no edge.
    labels : (I, J, K) ndarray of int32
        Parts that the edges connect, from 1; 0 outside.
    n_parts : int

    Returns
    -------
    unwrapped_rad : (I, J, K) ndarray of float32
        `phase_rad` plus whole turns, none at the seed of each part; a strided view [rad].

    Notes
    -----
    All that is known of a voxel lies in 8 bytes, and a bucket is a stack of chunks, so that
    few lines of memory are touched for a voxel. At most 600 million voxels.
    """
    _, nj, nk = labels.shape
    phase = np.empty(2 * labels.size, dtype=np.float32)
    about = phase.view(np.uint8)
    seeds = np.zeros(n_parts, dtype=np.int64)
    inside = _pack(phase_rad.ravel(), bins.reshape(-1, 3), labels.ravel(), phase, about, seeds)
    _grow(phase, about, nj * nk, nk, seeds, inside)
    return phase[::2].reshape(labels.shape)


@compiled
def _pack(p: Any, bins: Any, labels: Any, phase: Any, about: Any, seeds: Any) -> int:
    """Fill the records: phase, classes of three edges, whether it is done.

    Sets the voxel with the best forward edges of each part; returns how many have a part.
    """
    best = np.full(seeds.size, -1, dtype=np.int64)
    inside = 0
    for v in range(p.size):
        phase[2 * v] = p[v]
        score = 0
        for axis in range(3):
            b = bins[v, axis]
            about[8 * v + 4 + axis] = b
            score += N_BINS - b if b > 0 else 0
        part = labels[v] - 1
        about[8 * v + 7] = part < 0
        if part < 0:
            continue
        inside += 1
        if score > best[part]:
            best[part] = score
            seeds[part] = v
    return inside


@compiled
def _push(edge: int, bucket: int, ends: Any, pool: Any, below: Any, spare: Any) -> None:
    """Put an edge on a bucket; a full chunk gets another on top, used before or fresh."""
    end = ends[bucket]
    if end % CHUNK == 0:
        chunk = spare[0]
        if chunk >= 0:
            spare[0] = below[chunk]
        else:
            chunk = spare[1]
            spare[1] += 1
        below[chunk] = end // CHUNK - 1 if end > 0 else -1
        end = chunk * CHUNK
    pool[end] = edge
    ends[bucket] = end + 1


@compiled
def _grow(phase: Any, about: Any, step_i: int, step_j: int, seeds: Any, inside: int) -> None:
    """Unwrap in place.

    An edge is the voxel to be reached and its side: 0 to 2 from the voxel before it along an
    axis, 3 to 5 from the one behind, 6 from itself, for a seed.
    """
    n_chunks = (3 * inside + seeds.size) // CHUNK + N_BINS + 2
    pool = np.empty(n_chunks * CHUNK, dtype=np.uint32)
    below = np.empty(n_chunks, dtype=np.int64)  # the chunk under each, or the next spare one
    ends = np.zeros(N_BINS, dtype=np.int64)  # 0: empty; chunk 0 is never used
    spare = np.array([-1, 1], dtype=np.int64)  # a chunk used before, the first fresh one
    strides = (step_i, step_j, 1)
    turn, part, half = np.float32(TWO_PI), np.float32(1 / TWO_PI), np.float32(0.5)
    for s in seeds:
        _push(7 * s + 6, 0, ends, pool, below, spare)
    bucket: Any = 0
    while bucket < N_BINS:
        end = ends[bucket]
        if end == 0:
            bucket += 1
            continue
        end -= 1
        edge = np.int64(pool[end])
        if end % CHUNK == 0:
            chunk = end // CHUNK
            end = (below[chunk] + 1) * CHUNK
            below[chunk] = spare[0]
            spare[0] = chunk
        ends[bucket] = end
        v = edge // 7
        if about[8 * v + 7]:
            continue
        about[8 * v + 7] = 1
        side = edge - 7 * v
        old = v
        if side < 3:
            old = v - strides[side]
        elif side < 6:
            old = v + strides[side - 3]
        phase[2 * v] += turn * np.floor((phase[2 * old] - phase[2 * v]) * part + half)
        for axis in range(3):
            step = strides[axis]
            b = np.int64(about[8 * v + 4 + axis])
            if b > 0 and not about[8 * (v + step) + 7]:
                _push(7 * (v + step) + axis, b, ends, pool, below, spare)
                if b < bucket:
                    bucket = b
            u = v - step
            if u >= 0:
                b = np.int64(about[8 * u + 4 + axis])
                if b > 0 and not about[8 * u + 7]:
                    _push(7 * u + 3 + axis, b, ends, pool, below, spare)
                    if b < bucket:
                        bucket = b
