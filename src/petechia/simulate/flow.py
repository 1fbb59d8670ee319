"""Arteries, and the fluid-filled spaces around small vessels, as tubes.

Arterial blood is saturated with oxygen: hardly any susceptibility, but it moves. Fresh blood is
bright where the sequence compensates for flow and dark where it doesn't; and what moves along
the phase-encoding axis between its encoding and the echo is drawn in the wrong place.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from petechia.simulate.atlas import VENTRICLES, Atlas
from petechia.simulate.head import HeadParams, from_template
from petechia.simulate.protocols import Protocol
from petechia.simulate.sources import location_masks
from petechia.simulate.tissues import ARTERIAL, TISSUES, Tissue, spoiled_gre
from petechia.simulate.vessels import Vessels, tube, unit

Points = npt.NDArray[np.float64]
PHASE_ENCODED_S = 0.003
"""When, after excitation, the phase-encoding axis is written down."""
VOID = 0.2
"""Signal left in arteries of a sequence without flow compensation."""
FRESH = 0.5
"""How far arterial blood is from saturation: 1 has seen no pulse before."""
MEDULLARY_SHARE = 0.6
"""Part of the perivascular spaces that lies in the white matter of the hemispheres."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Flow:
    """Arteries of one person and how fast blood moves in them.

    Attributes
    ----------
    arteries : Vessels
        Segments run the way of the blood.
    speed_mm_s : float
        Mean speed in a tube of 1 mm radius; it goes as the radius.
    spaces : Vessels
        Perivascular spaces.
    """

    arteries: Vessels
    speed_mm_s: float
    spaces: Vessels


def sample_flow(atlas: Atlas, head: HeadParams, rng: np.random.Generator) -> Flow:
    """Draw the arteries and perivascular spaces of a head."""
    tubes = np.concatenate([tube(path, radii) for path, radii in _arteries(rng)])
    return Flow(
        arteries=_placed(tubes, atlas, head),
        speed_mm_s=float(rng.uniform(150.0, 350.0)),
        spaces=_placed(_spaces(atlas, head, rng), atlas, head),
    )


def _placed(tubes: Points, atlas: Atlas, head: HeadParams) -> Vessels:
    ends = from_template(tubes[:, :6].reshape(-1, 3), head, atlas).reshape(-1, 6)
    return Vessels(segments=np.ascontiguousarray(np.column_stack([ends, tubes[:, 6]])), chi_ppm=0.0)


def _arteries(rng: np.random.Generator) -> list[tuple[Points, list[float]]]:
    """Return the circle of Willis and what leaves it: paths [template mm] and radii."""
    paths: list[tuple[list[tuple[float, float, float]], list[float]]] = [
        ([(0, -33, -52), (0, -27, -40), (0, -22, -28), (0, -21, -19)], [1.6, 1.5]),
    ]
    for side in (-1.0, 1.0):
        named: list[tuple[list[tuple[float, float, float]], list[float]]] = [
            ([(22, -6, -52), (16, 2, -36), (11, 4, -28), (14, 3, -20)], [2.3, 2.0]),  # carotid
            ([(14, 3, -20), (26, 2, -19), (36, 2, -18), (42, -4, -10), (44, -16, 2)], [1.4, 0.9]),
            ([(42, -4, -10), (44, 8, 2), (42, 18, 12), (46, 22, 24)], [0.9, 0.5]),
            ([(44, -16, 2), (50, -28, 12), (54, -42, 22)], [0.8, 0.4]),
            ([(14, 3, -20), (5, 12, -17), (2, 26, -6), (2, 34, 6), (2, 30, 24)], [1.2, 0.8]),
            ([(2, 30, 24), (3, 10, 34), (4, -12, 36)], [0.7, 0.4]),  # pericallosal
            ([(0, -21, -19), (10, -22, -17), (20, -32, -10), (18, -52, -2), (12, -76, 4)],
             [1.1, 0.5]),
        ]  # fmt: skip
        for path, radii in named:
            paths.append(([(side * x, y, z) for x, y, z in path], radii))
        for n in range(6):  # lenticulostriate arteries rise from the middle cerebral
            foot = (side * (16 + 3.0 * n), 2.0, -17.0)
            top = (side * (18 + 2.2 * n), rng.normal(0, 4), rng.uniform(4, 14))
            middle = (side * (19 + 2.4 * n), rng.normal(1, 2), -6.0)
            paths.append(([foot, middle, top], [0.35, 0.15]))
    out = []
    for path, radii in paths:
        bent = np.asarray(path, dtype=np.float64)
        bent[1:-1] += rng.normal(0, 1.2, bent[1:-1].shape)
        out.append((bent, list(np.asarray(radii) * rng.uniform(0.8, 1.2))))
    return out


def _spaces(atlas: Atlas, head: HeadParams, rng: np.random.Generator) -> Points:
    """Return perivascular spaces: along medullary vessels, and below the basal ganglia."""
    n = int(rng.poisson(20 + max(head.age_years - 40.0, 0.0) * 1.2))
    masks = location_masks(atlas)
    deep = round(n * (1 - MEDULLARY_SHARE))
    z_mm = atlas.places_mm[..., 2]
    out = [np.zeros((0, 7))]
    middle = atlas.grid.to_mm(np.argwhere(np.isin(atlas.regions, VENTRICLES))).mean(axis=0)
    for mask, count, rising in (
        (masks["subcortical_wm"] & (z_mm > 12.0), n - deep, False),
        (masks["basal_ganglia"] & (z_mm < 4.0), deep, True),
    ):
        candidates = np.argwhere(mask)
        start = atlas.grid.to_mm(candidates[rng.integers(len(candidates), size=count)])
        way = np.tile([0.0, 0.0, 1.0], (count, 1)) if rising else unit(start - middle)
        way = unit(way + rng.normal(0, 0.25, way.shape))
        half = 0.5 * rng.uniform(2.0, 9.0, count)[:, None] * way
        radius = np.exp(rng.normal(np.log(0.45), 0.35, count)).clip(0.2, 1.3)
        out.append(np.column_stack([start - half, start + half, radius]))
    return np.concatenate(out)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Filled:
    """Tubes filled with something that is not venous blood.

    Attributes
    ----------
    segments : (N, 7) ndarray of float64
        In the scanner: both ends and the radius [mm].
    chi_ppm, s0, r2star : float
        Of what fills them: against water, steady-state signal, decay [1/s].
    """

    segments: Points
    chi_ppm: float
    s0: float
    r2star: float


def filled_tubes(
    flow: Flow, in_scanner: Callable[[Points], Points], protocol: Protocol
) -> tuple[Filled, ...]:
    """Return what flows and stands in tubes, as a protocol draws it.

    Parameters
    ----------
    flow : Flow
        Of the person.
    in_scanner : callable
        Head to scanner places (N, 3) [mm].
    protocol : Protocol
        Timing, flow compensation, the phase-encoding axis.
    """

    def moved(vessels: Vessels) -> Points:
        ends = in_scanner(vessels.segments[:, :6].reshape(-1, 3)).reshape(-1, 6)
        return np.column_stack([ends, vessels.segments[:, 6]])

    def filling(segments: Points, tissue: Tissue, share: float) -> Filled:
        s0 = spoiled_gre(tissue.pd, tissue.t1_at(protocol.b0_t), protocol.tr_s, protocol.flip_deg)
        rate = tissue.r2star_at(protocol.b0_t)
        return Filled(segments=segments, chi_ppm=tissue.chi_ppm, s0=float(share * s0), r2star=rate)

    spaces = filling(moved(flow.spaces), TISSUES["csf"], 1.0)
    arteries = moved(flow.arteries)
    dark = filling(arteries, ARTERIAL, VOID)
    if not protocol.flow_compensated:
        return spaces, dark
    # fresh spins: nothing has saturated them yet
    bright = filling(displaced(arteries, flow.speed_mm_s, protocol), ARTERIAL, 1.0)
    fresh = ARTERIAL.pd * float(np.sin(np.deg2rad(protocol.flip_deg)))
    return spaces, dark, replace(bright, s0=FRESH * fresh + (1 - FRESH) * bright.s0)


def displaced(segments: Points, speed_mm_s: float, protocol: Protocol) -> Points:
    """Return tubes as drawn: moved along the phase axis by what blood travels before the echo."""
    axes = protocol.grid.affine[:3, :3] / protocol.grid.spacing_mm
    phase_way = axes[:, protocol.phase_axis]
    flowing = unit(segments[:, 3:6] - segments[:, :3])
    travel = speed_mm_s * segments[:, 6] * (protocol.reading_te_s - PHASE_ENCODED_S)
    shift = -(flowing @ phase_way * travel)[:, None] * phase_way
    return np.column_stack([segments[:, :3] + shift, segments[:, 3:6] + shift, segments[:, 6]])
