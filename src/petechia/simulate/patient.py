"""A simulated patient: draw the person, lay them in the scanner, keep the truth.

What is drawn (`sample_patient`) is kept apart from what is done with it (`scan_patient`), so
that one person can be scanned under several protocols.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.core.echoes import Echoes
from petechia.errors import ParameterError
from petechia.simulate.ageing import require_age
from petechia.simulate.atlas import Atlas, atlas_from
from petechia.simulate.embed import add_bodies
from petechia.simulate.flow import Flow, sample_flow
from petechia.simulate.head import Head, HeadParams, head_maps, sample_head, to_template
from petechia.simulate.heads import Heads
from petechia.simulate.hemorrhages import (
    STAGES,
    sample_cavernomas,
    sample_macrobleeds,
    sample_siderosis,
)
from petechia.simulate.kspace import disturbed, vendor_filtered
from petechia.simulate.mimics import sample_air_specks, sample_calcifications, sample_iron
from petechia.simulate.motion import recorded, sample_disturbance
from petechia.simulate.nearby import add_source_fields, matter_of, near_sources, sphere_table
from petechia.simulate.protocols import PROTOCOLS, Protocol
from petechia.simulate.receive import Receiver, combined, receive, sample_coils, sample_receiver
from petechia.simulate.render import FineMaps, Pose, render, sample_pose
from petechia.simulate.signal import acquire_with_fat, voxel_means
from petechia.simulate.sources import PATTERNS, Source, draw_count, sample_microbleeds
from petechia.simulate.tissues import TISSUES, spoiled_gre
from petechia.simulate.truth import Truth, lesion_rows, void_labels, with_centres
from petechia.simulate.vessels import VesselParams, Vessels, sample_vessels

log = logging.getLogger(__name__)
Volume = npt.NDArray[np.float32]
COUNTS = (
    "n_microbleeds", "n_calcifications", "n_macrobleeds", "n_cavernomas", "n_siderosis", "n_iron",
    "n_air_specks",
)  # fmt: skip
WHITE_MATTER_UNITS = 1000.0
"""Magnitude of white matter before decay in the images, where the coil's gain is 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationParams:
    """What to simulate.

    Attributes
    ----------
    protocol : str
        A name of `PROTOCOLS`.
    n_microbleeds : int or None
        How many; None draws a number as patients with any have them.
    n_calcifications : int
        How many calcifications.
    pattern : str
        'mixed', 'lobar' or 'deep': where microbleeds lie.
    snr : float or None
        Signal to noise in place of the protocol's; infinity for none.
    vessels : VesselParams
        How many veins.
    clustered, elongated : float
        Part of the microbleeds that lie near another, and that are rows.
    n_macrobleeds, n_cavernomas, n_siderosis, n_iron, n_air_specks : int
        How many hematomas above 10 mm, cavernomas, patches of superficial siderosis, foci
        of iron in nuclei, and air cells in the skull base.
    stage : str or None
        Of hemoglobin in hematomas; None draws one for each.
    age_years : float or None
        Of the person, 18 to 105; None draws the age of a patient.
    """

    protocol: str = "3t_megre_1mm"
    n_microbleeds: int | None = None
    n_calcifications: int = 5
    pattern: str = "mixed"
    snr: float | None = None
    vessels: VesselParams = field(default_factory=VesselParams)
    clustered: float = 0.0
    elongated: float = 0.0
    n_macrobleeds: int = 0
    n_cavernomas: int = 0
    n_siderosis: int = 0
    n_iron: int = 0
    n_air_specks: int = 0
    stage: str | None = None
    age_years: float | None = None

    def __post_init__(self) -> None:
        if self.protocol not in PROTOCOLS:
            raise ParameterError(
                f"no protocol {self.protocol!r}",
                where="SimulationParams.protocol",
                mend=f"Choose one of {', '.join(PROTOCOLS)}.",
            )
        if self.pattern not in PATTERNS:
            raise ParameterError(
                f"pattern = {self.pattern!r}",
                where="SimulationParams.pattern",
                mend=f"Choose one of {', '.join(PATTERNS)}.",
            )
        if self.age_years is not None:
            require_age(self.age_years)
        if self.stage is not None and self.stage not in STAGES:
            raise ParameterError(
                f"stage = {self.stage!r}",
                where="SimulationParams.stage",
                mend=f"Choose one of {', '.join(STAGES)}, or None.",
            )
        for name in ("clustered", "elongated"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ParameterError(
                    f"{name} = {getattr(self, name)}",
                    where="SimulationParams",
                    mend="Give a part from 0 to 1.",
                )
        for name in COUNTS:
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1000:
                raise ParameterError(
                    f"{name} = {value}",
                    where="SimulationParams",
                    mend="Give a number from 0 to 1000.",
                )
        if self.snr is not None and not self.snr > 0:
            raise ParameterError(
                f"snr = {self.snr}",
                where="SimulationParams.snr",
                mend="Give a ratio above 0; infinity for no noise.",
            )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Patient:
    """One person, drawn: anatomy, veins, lesions. No scanner yet."""

    head: HeadParams
    vessels: Vessels
    sources: tuple[Source, ...]
    flow: Flow | None = None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SimulatedScan:
    """One scan and what is true of it.

    Attributes
    ----------
    echoes : Echoes
        As a scanner would give it.
    truth : Truth
        What is really there.
    header : dict
        Acquisition facts by the names of a scan's header.
    protocol : Protocol
        How it was acquired.
    coils : (C, E, I, J, K) ndarray of complex64 or None
        What each receiver saw, uncombined, when it was asked for.
    """

    echoes: Echoes
    truth: Truth
    header: dict[str, Any]
    protocol: Protocol
    coils: npt.NDArray[np.complex64] | None = None


def simulate(
    params: SimulationParams,
    rng: np.random.Generator,
    template_arrays: Mapping[str, npt.NDArray[np.generic]],
) -> SimulatedScan:
    """Return one scan of one new patient.

    Parameters
    ----------
    params : SimulationParams
        What to simulate.
    rng : Generator
        The same state gives the same scan to the last bit.
    template_arrays : mapping
        The vendored template: 't1', 't2', 'brain_mask', 'cerebra', 'regions', 'affine'.

    Notes
    -----
    Memory is about 40 bytes for each point of the fine grid, whose size is the scan's
    times the protocol's `fine`.
    """
    atlas = atlas_from(template_arrays)
    patient = sample_patient(params, atlas, rng)
    protocol = PROTOCOLS[params.protocol]
    if params.snr is not None:
        protocol = replace(protocol, snr=min(params.snr, 1e6))
    return scan_patient(patient, protocol, atlas, rng)


def sample_patient(params: SimulationParams, atlas: Atlas, rng: np.random.Generator) -> Patient:
    """Draw a person. Anatomy, veins and lesions have random streams of their own."""
    of_head, of_veins, of_lesions = rng.spawn(3)
    head = sample_head(atlas, of_head, params.age_years)
    n = draw_count(of_lesions) if params.n_microbleeds is None else params.n_microbleeds
    bleeds = sample_microbleeds(
        n, atlas, head, of_lesions, params.pattern,
        clustered=params.clustered, elongated=params.elongated,
    )  # fmt: skip
    stones = sample_calcifications(params.n_calcifications, atlas, head, of_lesions)
    return Patient(
        head=head,
        vessels=sample_vessels(atlas, head, of_veins, params.vessels),
        sources=bleeds + stones + _others(params, atlas, head, of_lesions),
        flow=sample_flow(atlas, head, of_veins.spawn(1)[0]),
    )


def _others(
    params: SimulationParams, atlas: Atlas, head: HeadParams, rng: np.random.Generator
) -> tuple[Source, ...]:
    """Draw what a person has besides microbleeds and calcifications."""
    return (
        sample_macrobleeds(params.n_macrobleeds, atlas, head, rng, params.stage)
        + sample_cavernomas(params.n_cavernomas, atlas, head, rng)
        + sample_siderosis(params.n_siderosis, atlas, head, rng)
        + sample_iron(params.n_iron, atlas, head, rng)
        + sample_air_specks(params.n_air_specks, atlas, head, rng)
    )


def scan_patient(
    patient: Patient,
    protocol: Protocol,
    atlas: Atlas,
    rng: np.random.Generator,
    pose: Pose | None = None,
    receiver: Receiver | None = None,
    heads: Heads | None = None,
    *,
    uncombined: bool = False,
) -> SimulatedScan:
    """Return one scan of a patient; pose and receiver are drawn unless given.

    `heads` keeps the head for further scans of the same patient, which are then made faster
    and are the same. `uncombined` keeps what each coil saw as well; the protocol must have
    several.
    """
    if uncombined and protocol.n_coils < 2:
        raise ParameterError(
            f"n_coils = {protocol.n_coils}",
            where="scan_patient(uncombined=True)",
            mend="Give a protocol of 2 coils or more.",
        )
    lay, coil, noise = rng.spawn(3)
    pose = pose or sample_pose(lay)
    receiver = receiver or sample_receiver(coil, protocol.b0_t)
    own = (heads or Heads(most=0)).of(patient.head, atlas, protocol.head_mm)
    head = own.head
    seen = head_maps(head, protocol.b0_t, protocol.tr_s, protocol.flip_deg, own.chi_ppm)
    maps = render(head, seen, patient.vessels, pose, protocol, patient.flow, own.wide)
    del seen
    images, labels, table = _imaged(patient.sources, maps, pose, protocol)
    # bodies are in the maps by now, spheres are not
    centres = _centres(patient.sources, pose)
    truth = Truth(
        lesions=lesion_rows(patient.sources, centres, labels, protocol.grid),
        labels=with_centres(labels, protocol.grid.to_index(centres)),
        maps=_truth_maps(maps, table, head, patient.head, pose, atlas),
        reading_te_s=protocol.reading_te_s,
    )
    white = TISSUES["wm"]
    unit = float(
        spoiled_gre(white.pd, white.t1_at(protocol.b0_t), protocol.tr_s, protocol.flip_deg)
    )
    images *= np.float32(WHITE_MATTER_UNITS / unit)
    each: list[npt.NDArray[np.complex64]] | None = [] if uncombined else None
    images = _received(images, receiver, protocol, noise, each)
    log.debug("simulated %d lesions", len(patient.sources))
    return SimulatedScan(
        echoes=_echoes(images, protocol), truth=truth, header=_header(protocol),
        protocol=protocol, coils=None if each is None else np.stack(each),
    )  # fmt: skip


def _received(
    images: npt.NDArray[np.complex64],
    receiver: Receiver,
    protocol: Protocol,
    rng: np.random.Generator,
    each: list[npt.NDArray[np.complex64]] | None = None,
) -> npt.NDArray[np.complex64]:
    """Return images with all that coils, k-space and the vendor's filter do to them.

    `each` is filled with what every coil saw, without the vendor's filter.
    """
    sd, grid = WHITE_MATTER_UNITS / protocol.snr, protocol.grid
    happened = sample_disturbance(rng.spawn(1)[0], protocol)
    record = partial(recorded, protocol=protocol, happened=happened)
    if protocol.n_coils > 1:
        coils = sample_coils(rng, protocol.n_coils)
        images = combined(images, coils, grid, sd, rng, record, each)
        images = receive(images, receiver, grid, 0.0, rng)
        if each is not None:
            shaded = (receive(seen, receiver, grid, 0.0, rng) for seen in each)
            each[:] = [disturbed(seen, protocol, happened) for seen in shaded]
    else:
        images = receive(images, receiver, grid, sd, rng, record)
    images = disturbed(images, protocol, happened)
    if protocol.phase_filter is not None:
        images = vendor_filtered(images, protocol.phase_filter)
    return images


def _centres(sources: Sequence[Source], pose: Pose) -> npt.NDArray[np.float64]:
    """Return lesion centres in the scanner, (N, 3) [mm]."""
    return pose.to_scanner(np.array([s.centre_mm for s in sources]).reshape(-1, 3))


def _imaged(
    sources: Sequence[Source], maps: FineMaps, pose: Pose, protocol: Protocol
) -> tuple[npt.NDArray[np.complex64], npt.NDArray[np.int16], npt.NDArray[np.float64]]:
    """Return noise-free images, voids, and the spheres in axis millimetres.

    The scan without lesions comes first, at the reading echo only; then their fields are
    added to `maps.field_ppm` where it lies.
    """
    spheres = [sphere for source in sources for sphere in source.spheres]
    rows = [(*pose.to_scanner(s.centre_mm), s.radius_mm, s.chi_ppm) for s in spheres]
    table = sphere_table(np.array(rows, dtype=np.float64).reshape(-1, 5), maps.grid)
    without = np.abs(acquire_with_fat(maps, protocol, (protocol.reading_te_s,))[0])
    add_bodies(maps, [body for source in sources for body in source.bodies], pose, protocol)
    matter = matter_of([s.substance for s in spheres], protocol)
    near = near_sources(maps, table, matter, protocol, protocol.te_s)
    add_source_fields(maps, table)
    images = acquire_with_fat(maps, protocol, protocol.te_s, near)
    reading = protocol.te_s.index(protocol.reading_te_s)
    spots = [source.spots for source in sources]
    places = np.concatenate([np.zeros((0, 4)), *spots])
    labels = void_labels(
        np.abs(images[reading]),
        without,
        np.column_stack([protocol.grid.to_index(pose.to_scanner(places[:, :3])), places[:, 3]]),
        np.repeat(np.arange(len(sources)), [len(s) for s in spots]),
        protocol.grid,
    )
    return images, labels, table


def _truth_maps(
    maps: FineMaps,
    table: npt.NDArray[np.float64],
    head: Head,
    drawn: HeadParams,
    pose: Pose,
    atlas: Atlas,
) -> dict[str, npt.NDArray[Any]]:
    grid = maps.grid.scan
    # where each voxel lies in the head, as an affine of its indices
    corners = pose.to_head(grid.to_mm(np.concatenate([np.zeros((1, 3)), np.eye(3)])))
    matrix, shift = (corners[1:] - corners[0]).T, corners[0]
    brain = (
        ndimage.affine_transform(
            head.brain,
            matrix / head.grid.spacing_mm[:, None],
            head.grid.to_index(shift),
            output_shape=grid.shape,
            order=1,
        )
        > 0.5
    )
    regions = np.zeros(grid.shape, dtype=np.int16)
    in_head = np.argwhere(brain) @ matrix.T + shift
    index = atlas.grid.to_index(to_template(in_head, drawn, atlas))
    regions[brain] = ndimage.map_coordinates(atlas.regions, index.T, order=0, mode="nearest")
    chi = voxel_means(maps.chi_ppm, maps.grid)
    for row in table:
        _add_sphere_chi(chi, row, grid.spacing_mm)
    chi = np.where(brain, chi - chi[brain].mean() if brain.any() else chi, 0).astype(np.float32)
    return {
        "Chimap": chi,
        "R2starmap": voxel_means(maps.r2star, maps.grid) * brain,
        "desc-field_fieldmap": voxel_means(maps.field_ppm, maps.grid) * brain,
        "desc-brain_mask": brain.astype(np.uint8),
        "desc-veins_probseg": voxel_means(maps.vein, maps.grid),
        "desc-regions_dseg": regions,
    }


def _add_sphere_chi(
    chi: Volume, row: npt.NDArray[np.float64], spacing_mm: npt.NDArray[np.float64]
) -> None:
    """Add a sphere's susceptibility to voxel means, with its exact moment."""
    radius, value = row[3:]
    # a lattice through the ball, each point a share of its moment
    side = np.linspace(-radius, radius, 15)[:-1] + radius / 14
    lattice = np.stack(np.meshgrid(side, side, side, indexing="ij"), -1).reshape(-1, 3)
    lattice = lattice[np.linalg.norm(lattice, axis=1) <= radius]
    index = np.round((lattice + row[:3]) / spacing_mm).astype(int)
    inside = ((index >= 0) & (index < chi.shape)).all(axis=1)
    share = value * 4 / 3 * np.pi * radius**3 / np.prod(spacing_mm) / len(lattice)
    np.add.at(chi, tuple(index[inside].T), np.float32(share))


def _echoes(images: npt.NDArray[np.complex64], protocol: Protocol) -> Echoes:
    return Echoes(
        magnitude=np.abs(images).astype(np.float32),
        phase_rad=np.angle(images).astype(np.float32) if protocol.phase else None,
        te_s=protocol.te_s,
        b0_t=protocol.b0_t,
        grid=protocol.grid,
    )


def _header(protocol: Protocol) -> dict[str, Any]:
    return {
        "manufacturer": "Petechia",
        "model": "simulator",
        "acquisition_type": protocol.acquisition_type,
        "slice_thickness_mm": float(protocol.thickness_mm),
        "slice_spacing_mm": float(protocol.spacing_mm[2]),
        "tr_s": protocol.tr_s,
        "flip_deg": protocol.flip_deg,
        "pixel_bandwidth_hz": protocol.bandwidth_hz,
        "sequence_name": "spoiled gradient echo",
    }
