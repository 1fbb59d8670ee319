"""Simulated people as a BIDS dataset with its truth."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from petechia.anatomy.sites import REGIONS
from petechia.assets.store import load_arrays
from petechia.errors import ParameterError
from petechia.files.places import require_own
from petechia.files.raw_bids import SIMULATED, write_dataset, write_raw_scan, write_truth
from petechia.files.scan import Header, ScanName
from petechia.simulate.atlas import Atlas, atlas_from
from petechia.simulate.patient import SimulatedScan, SimulationParams, sample_patient, scan_patient
from petechia.simulate.protocols import PROTOCOLS


def simulate_dataset(
    root: Path,
    params: SimulationParams,
    *,
    protocols: Sequence[str] = (),
    n_subjects: int = 1,
    seed: int = 0,
    phase_units: str = "rad",
    tell: Callable[[str], None] = lambda _: None,
) -> list[ScanName]:
    """Write simulated people, each scanned with every protocol, and the truth.

    Parameters
    ----------
    root : Path
        Folder of the dataset; made when it isn't there.
    params : SimulationParams
        What people have; its protocol is used when `protocols` is empty.
    protocols : sequence of str
        Names of `petechia.simulate.protocols.PROTOCOLS`.
    n_subjects : int
        How many people, sub-01 and on. Person n is drawn from (seed, n): a dataset that
        is made again with more people keeps the first ones.
    seed : int
        Any number from 0.
    phase_units : str
        'rad', or 'siemens' for whole numbers as that vendor stores them.
    tell : callable
        Told the prefix of each scan as it begins.

    Returns
    -------
    list of ScanName
        Scans written, in order.

    Raises
    ------
    ParameterError
        An unknown protocol, fewer than one person, or a seed below 0.
    OutputError
        Something could not be written, or `root` is another dataset.
    """
    chosen = list(protocols) or [params.protocol]
    for protocol in chosen:
        replace(params, protocol=protocol)  # raises on an unknown one
    if n_subjects < 1 or seed < 0:
        raise ParameterError(
            f"{n_subjects} people, seed {seed}",
            where="simulate",
            mend="Give 1 person or more and a seed of 0 or more.",
        )
    require_own(root, SIMULATED, "petechia simulate")
    atlas = atlas_from(load_arrays("template"))
    people = [f"sub-{n + 1:02d}" for n in range(n_subjects)]
    write_dataset(root, [{"participant_id": person} for person in people])
    written = []
    for n, person in enumerate(people):
        for protocol, scan in _scans(params, chosen, atlas, seed, n):
            name = scan_name(person.removeprefix("sub-"), protocol)
            tell(name.prefix)
            _write(root, name, scan(), phase_units)
            written.append(name)
    return written


def scan_name(subject: str, protocol: str) -> ScanName:
    """Return the BIDS name of a protocol's scan: `sub-01_acq-3tMegre1mm`."""
    first, *rest = re.findall(r"[0-9A-Za-z]+", protocol)
    return ScanName((("sub", subject), ("acq", first + "".join(w.capitalize() for w in rest))))


def _scans(
    params: SimulationParams, protocols: Sequence[str], atlas: Atlas, seed: int, person: int
) -> Iterator[tuple[str, Callable[[], SimulatedScan]]]:
    """Yield each protocol with the call that scans this person: one person, many scanners."""
    patient = sample_patient(params, atlas, np.random.default_rng([seed, person]))
    for at, name in enumerate(protocols):
        rng = np.random.default_rng([seed, person, at])
        protocol = PROTOCOLS[name]
        if params.snr is not None:
            protocol = replace(protocol, snr=min(params.snr, 1e6))
        yield name, lambda p=protocol, r=rng: scan_patient(patient, p, atlas, r)  # type: ignore[misc]


def _write(root: Path, name: ScanName, scan: SimulatedScan, phase_units: str) -> None:
    suffix = "MEGRE" if scan.echoes.n_echoes > 1 else "T2starw"
    header = Header(**scan.header)
    write_raw_scan(root, name, scan.echoes, header, suffix=suffix, phase_units=phase_units)
    regions = [
        {
            "index": region.index,
            "name": region.name,
            "site": region.site,
            "side": region.side,
            "compartment": region.compartment,
        }
        for region in REGIONS
    ]
    write_truth(
        root,
        name,
        scan.truth.lesions,
        None,
        scan.truth.labels,
        scan.truth.maps,
        scan.echoes.grid,
        regions=regions,
    )
