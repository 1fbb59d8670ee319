"""What tissue a scan's voxels hold, and what a 2-D sequence would make of its contrast.

A 3-D sequence of short repetition shows fluid dark, a 2-D one of long repetition bright. The person
and how they lay are drawn again from the seeds of their scan, so that it is known what every voxel
holds; the signal is then what that tissue gives with another repetition and flip angle.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from heads import drawn_params, protocol_of
from scipy import ndimage

from petechia.core.grid import Grid
from petechia.simulate.atlas import Atlas
from petechia.simulate.head import HeadParams, make_head
from petechia.simulate.patient import SimulationParams, sample_patient
from petechia.simulate.protocols import PROTOCOLS, Protocol
from petechia.simulate.render import Pose, sample_pose
from petechia.simulate.tissues import TISSUES, spoiled_gre

Volume = npt.NDArray[np.float32]
TR_S = (0.4, 1.0)
FLIP_DEG = (10.0, 25.0)
"""Of the 2-D sequences that are drawn."""
SEEN = ("csf", "gm", "wm")
"""Tissues of the brain, in the order of `Lying.shares`."""
LEAST_SHARE = 0.05
"""Where there is less of them the contrast is that of the nearest place with more."""


@dataclass(frozen=True, eq=False)
class Lying:
    """A person as they lay in the scanner, and how they were scanned."""

    head: HeadParams
    pose: Pose
    protocol: Protocol

    def shares(self, grid: Grid, atlas: Atlas) -> Volume:
        """Return what part of each voxel is each of `SEEN` (3, I, J, K)."""
        head = make_head(self.head, atlas, self.protocol.head_mm)
        corners = self.pose.to_head(grid.to_mm(np.concatenate([np.zeros((1, 3)), np.eye(3)])))
        index = head.grid.to_index(corners)
        return np.stack(
            [
                ndimage.affine_transform(
                    head.fractions[name],
                    (index[1:] - index[0]).T,
                    index[0],
                    output_shape=grid.shape,
                    order=1,
                )
                for name in SEEN
            ]
        )


def of_head(facts: dict[str, Any], atlas: Atlas) -> Lying:
    """Return the person of a scan of `heads.py`, by its facts."""
    seed, person = map(int, str(facts["person"]).split("-"))
    part = int(str(facts["protocol"]).removeprefix("random_"))
    _, params = drawn_params(np.random.default_rng([seed, person, 990]))
    drawn = sample_patient(params, atlas, np.random.default_rng([seed, person]))
    lay = np.random.default_rng([seed, person, part, 992]).spawn(1)[0]
    return Lying(drawn.head, sample_pose(lay), protocol_of(person, part, seed))


def of_case(protocol: str, seed: int, atlas: Atlas) -> Lying:
    """Return the first person of a dataset of `petechia simulate`, scanned by one protocol."""
    params = SimulationParams(n_microbleeds=0, n_calcifications=0)
    drawn = sample_patient(params, atlas, np.random.default_rng([seed, 0]))
    lay = np.random.default_rng([seed, 0, 0, 0, 996]).spawn(1)[0]
    return Lying(drawn.head, sample_pose(lay), PROTOCOLS[protocol])


def as_in_2d(
    shares: Volume, protocol: Protocol, reading_te_s: float, rng: np.random.Generator
) -> Volume:
    """Return by what each voxel's signal changes with a 2-D sequence that is drawn.

    Decay is that of the echo it is read at, in both.
    """
    tr_s, flip_deg = float(rng.uniform(*TR_S)), float(rng.uniform(*FLIP_DEG))
    before, after = np.zeros((2, *shares.shape[1:]), dtype=np.float32)
    for part, name in zip(shares, SEEN, strict=True):
        tissue = TISSUES[name]
        t1, decay = (
            tissue.t1_at(protocol.b0_t),
            np.exp(-reading_te_s * tissue.r2star_at(protocol.b0_t)),
        )
        for out, tr, flip in (
            (before, protocol.tr_s, protocol.flip_deg), (after, tr_s, flip_deg),
        ):  # fmt: skip
            out += part * np.float32(decay * spoiled_gre(tissue.pd, t1, tr, flip))
    known = shares.sum(axis=0) >= LEAST_SHARE
    ratio = np.divide(after, before, where=known, out=np.ones_like(before))
    nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    return np.asarray(ratio[tuple(nearest)], dtype=np.float32)
