"""What a 2-D sequence would make of the contrast of a scan.

A 3-D sequence of short repetition shows fluid dark, a 2-D one of long repetition bright. The person
and how they lay are drawn again from the seeds of their scan, so that it is known which tissue a
voxel holds; the signal is then what tissue and venous blood give with another repetition and flip
angle. Lesions keep the share of it that they have, arteries are taken for tissue.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from heads import drawn_params, protocol_of, scan_stream
from scipy import ndimage

from petechia.core.grid import Grid
from petechia.pipeline.simulated import scan_stream as case_stream
from petechia.simulate.atlas import Atlas
from petechia.simulate.head import Head, make_head
from petechia.simulate.patient import Patient, SimulationParams, sample_patient
from petechia.simulate.protocols import PROTOCOLS, Protocol
from petechia.simulate.render import Pose, sample_pose
from petechia.simulate.tissues import BLOOD, TISSUES, spoiled_gre
from petechia.simulate.tubes import draw_tubes

Volume = npt.NDArray[np.float32]
TR_S = (0.4, 1.0)
FLIP_DEG = (10.0, 25.0)
AS_SCANNED = 0.2
"""How often a scan keeps its contrast."""
LEAST_SIGNAL = 1e-3
"""Of water that gives all it can: where there is less is air, which has no contrast."""


@dataclass(frozen=True)
class Sequence2D:
    """Repetition time [s] and flip angle [degrees] of a spoiled gradient echo."""

    tr_s: float
    flip_deg: float

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> "Sequence2D | None":
        """Draw one; None where the contrast stays as it is."""
        if rng.random() < AS_SCANNED:
            return None
        return cls(float(rng.uniform(*TR_S)), float(rng.uniform(*FLIP_DEG)))


@dataclass(frozen=True, eq=False)
class Lying:
    """A person as they lay in the scanner, and how they were scanned."""

    patient: Patient
    pose: Pose
    protocol: Protocol


def of_head(facts: Mapping[str, Any], atlas: Atlas) -> Lying:
    """Return the person of a scan of `heads.py`, by its facts."""
    seed, person = map(int, str(facts["person"]).split("-"))
    part = int(str(facts["protocol"]).removeprefix("random_"))
    _, params = drawn_params(np.random.default_rng([seed, person, 990]))
    patient = sample_patient(params, atlas, np.random.default_rng([seed, person]))
    lay = scan_stream(seed, person, part).spawn(1)[0]
    return Lying(patient, sample_pose(lay), protocol_of(person, part, seed))


def of_case(protocol: str, seed: int, atlas: Atlas) -> Lying:
    """Return the first person of a dataset of `petechia simulate`, scanned by one protocol."""
    params = SimulationParams(n_microbleeds=0, n_calcifications=0)
    patient = sample_patient(params, atlas, np.random.default_rng([seed, 0]))
    lay = case_stream(seed, 0).spawn(1)[0]
    return Lying(patient, sample_pose(lay), PROTOCOLS[protocol])


class Held:
    """What a scan's voxels hold."""

    def __init__(self, lying: Lying, grid: Grid, atlas: Atlas) -> None:
        self.lying, self.grid = lying, grid
        self.head: Head = make_head(lying.patient.head, atlas, lying.protocol.head_mm)
        corners = lying.pose.to_head(grid.to_mm(np.concatenate([np.zeros((1, 3)), np.eye(3)])))
        index = self.head.grid.to_index(corners)
        self._matrix, self._shift = (index[1:] - index[0]).T, index[0]
        self.brain: npt.NDArray[np.bool_] = self._on_scan(self.head.brain) > 0.5
        self.veins = np.zeros(grid.shape, dtype=np.float32)
        segments = lying.patient.vessels.segments
        ends = grid.to_index(lying.pose.to_scanner(segments[:, :6].reshape(-1, 3)))
        tubes = np.column_stack([(ends * grid.spacing_mm).reshape(-1, 6), segments[:, 6]])
        draw_tubes(self.veins, np.ascontiguousarray(tubes), grid.spacing_mm, np.zeros(3))

    def _on_scan(self, volume: Volume) -> Volume:
        return np.asarray(
            ndimage.affine_transform(
                volume, self._matrix, self._shift, output_shape=self.grid.shape, order=1
            ),
            dtype=np.float32,
        )

    def signal(self, tr_s: float, flip_deg: float, te_s: float) -> Volume:
        """Return what tissue and venous blood give at an echo, of water's most."""
        b0_t = self.lying.protocol.b0_t
        of = {
            name: np.float32(
                spoiled_gre(tissue.pd, tissue.t1_at(b0_t), tr_s, flip_deg)
                * np.exp(-te_s * tissue.r2star_at(b0_t))
            )
            for name, tissue in (TISSUES | {"blood": BLOOD}).items()
        }
        tissue = sum(part * of[name] for name, part in self.head.fractions.items())
        out = self._on_scan(np.asarray(tissue, dtype=np.float32))
        out += np.where(out > LEAST_SIGNAL, self.veins * (of["blood"] - out), 0)
        return out

    def in_2d(self, sequence: Sequence2D | None, te_s: float) -> Volume | None:
        """Return by what each voxel's signal at an echo changes with a 2-D sequence."""
        if sequence is None:
            return None
        own = self.lying.protocol
        before = self.signal(own.tr_s, own.flip_deg, te_s)
        after = self.signal(sequence.tr_s, sequence.flip_deg, te_s)
        return np.divide(after, before, where=before > LEAST_SIGNAL, out=np.ones_like(before))
