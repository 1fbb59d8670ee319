"""Simulated people as a BIDS dataset with its truth."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from petechia.anatomy.sites import REGIONS
from petechia.assets.store import load_arrays
from petechia.errors import OutputError, ParameterError
from petechia.files.dicom.write import DicomStyle, study_of, write_dicom
from petechia.files.finished import read_rows
from petechia.files.places import require_own
from petechia.files.raw_bids import SIMULATED, write_dataset, write_raw_scan, write_truth
from petechia.files.scan import Header, ScanName
from petechia.files.sidecars import read_json
from petechia.files.writing import plain
from petechia.pipeline.listing import natural
from petechia.pipeline.simulated_companions import Companions, Exam, write_companions
from petechia.simulate.atlas import Atlas, atlas_from
from petechia.simulate.heads import Heads
from petechia.simulate.patient import (
    Patient,
    SimulatedScan,
    SimulationParams,
    sample_patient,
    scan_patient,
)
from petechia.simulate.protocols import PROTOCOLS, RANDOM, random_protocol
from petechia.simulate.variety import GROWN, follow_up, require_change, varied_params


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondVisit:
    """How people come back, as ses-2, in another position.

    Attributes
    ----------
    protocols : tuple of str
        What they are scanned with then; empty: what they were scanned with before.
    n_new : int or None
        New microbleeds of each; None draws a number.
    grown : float
        Part of their microbleeds that grows, 0 to 1.
    """

    protocols: tuple[str, ...] = ()
    n_new: int | None = None
    grown: float = GROWN

    def __post_init__(self) -> None:
        require_change(self.n_new, self.grown)


COLUMNS = {
    "age": {
        "Description": "Age for which the person was drawn: of it go the width of ventricles and "
        "sulci, the iron of the nuclei and the number of perivascular spaces",
        "Units": "year",
    }
}
"""What participants.json says."""
DRAWN_FROM = "SimulatedFrom"
"""Key of dataset_description.json: what the people of the dataset were drawn from."""
DICOM_FOLDER = "sourcedata"
"""Where DICOM lies below a dataset: BIDS leaves it alone."""


def simulate_dataset(
    root: Path,
    params: SimulationParams,
    *,
    protocols: Sequence[str] = (),
    n_subjects: int = 1,
    seed: int = 0,
    phase_units: str = "rad",
    second: SecondVisit | None = None,
    varied: bool = False,
    dicom: DicomStyle | None = None,
    keep_heads: int = 1,
    companions: Companions | None = None,
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
        Names of `petechia.simulate.protocols.PROTOCOLS`, each once; 'random' draws one for each
        person.
    n_subjects : int
        How many people, sub-01 and on. Person n is drawn from (seed, n): a dataset that
        is made again with more people keeps the first ones, and with fewer loses none.
    seed : int
        Any number from 0.
    phase_units : str
        'rad', or 'siemens', 'philips', 'ge' for whole numbers as that vendor stores them.
    second : SecondVisit or None
        Whether everyone comes twice, ses-1 and ses-2, and how they come back; None: once.
    varied : bool
        Whether what people have is drawn for each, in place of the numbers of `params`.
    dicom : DicomStyle or None
        Write DICOM as well, into `sourcedata`.
    keep_heads : int
        How many heads stay in memory (half a gigabyte each at 1 mm), so that sessions and
        protocols of one person share theirs; one for each size of head voxel among the
        protocols is enough. The dataset is the same with any number, from 0.
    companions : Companions or None
        Also write T1w, T2w or FLAIR scans of every session, and the truth of their signs.
    tell : callable
        Told the prefix of each scan as it begins.

    Returns
    -------
    list of ScanName
        Scans written, in order.

    Raises
    ------
    ParameterError
        An unknown protocol, fewer than one person, or a seed or `keep_heads` below 0.
    OutputError
        Something could not be written, or `root` is another dataset, or people were drawn for
        it otherwise: with another seed or other parameters.
    """
    chosen = list(dict.fromkeys(protocols)) or [params.protocol]
    known = (*PROTOCOLS, RANDOM)
    for protocol in (*chosen, *(second.protocols if second else ())):
        if protocol not in known:
            raise ParameterError(
                f"no protocol {protocol!r}",
                where="simulate",
                mend=f"Choose from {', '.join(known)}.",
            )
    if n_subjects < 1 or seed < 0 or keep_heads < 0:
        raise ParameterError(
            f"{n_subjects} people, seed {seed}, {keep_heads} heads kept",
            where="simulate",
            mend="Give 1 person or more, a seed of 0 or more, 0 heads or more.",
        )
    require_own(root, SIMULATED, "petechia simulate")
    drawn_from = _drawn_from(params, seed, second, varied=varied)
    _require_same(root, drawn_from)
    atlas = atlas_from(load_arrays("template"))
    heads, people, written = Heads(most=keep_heads), _people_there(root), []
    keep = partial(write_dataset, root, about=COLUMNS, more={DRAWN_FROM: drawn_from})
    keep(list(people.values()))
    for n in range(n_subjects):
        subject = f"{n + 1:02d}"
        own, patient = _drawn(params, atlas, seed, n, varied=varied)
        scans = _scans(own, patient, chosen, atlas, seed, n, heads, second)
        beside: set[int | None] = set()
        for at, (protocol, session, make) in enumerate(scans):
            name = scan_name(subject, protocol, session)
            tell(name.prefix)
            scan = make()
            write_simulated(root, name, scan, phase_units)
            people[f"sub-{subject}"] = {
                "participant_id": f"sub-{subject}",
                "age": round(patient.head.age_years, 1),
            }
            keep([people[who] for who in sorted(people, key=natural)])
            exam = None
            if dicom is not None:
                folder = root / DICOM_FOLDER / name.prefix
                write_dicom(folder, scan.echoes, Header(**scan.header), dicom, series=10 * at + 1)
                study = study_of(folder, scan.echoes)
                exam = Exam(folder=folder, study=study, style=dicom, series=10 * at + 4)
            written.append(name)
            if companions is not None and session not in beside:
                beside.add(session)
                voxel_mm = PROTOCOLS[protocol].head_mm if protocol in PROTOCOLS else 1.0
                head = heads.of(patient.head, atlas, voxel_mm).head
                where = ScanName(tuple(e for e in name.entities if e[0] in ("sub", "ses")))
                stream = (seed, n, 0, (session or 1) - 1)
                write_companions(root, where, companions, patient, head, atlas, stream, exam)
    return written


def _drawn_from(
    params: SimulationParams, seed: int, second: SecondVisit | None, *, varied: bool
) -> dict[str, Any]:
    """Return all that decides who the people of a dataset are, and how noisy their scans."""
    later = None if second is None else {"n_new": second.n_new, "grown": second.grown}
    told = {"seed": seed, "varied": varied, "second_visit": later, **asdict(params)}
    del told["protocol"]  # the same people may be scanned with more of them
    found: dict[str, Any] = plain(told)
    return found


def _require_same(root: Path, drawn_from: Mapping[str, Any]) -> None:
    """Raise `OutputError` when the people of a dataset that is there are others."""
    described = root / "dataset_description.json"
    if not described.is_file():
        return
    before = read_json(described).get(DRAWN_FROM)
    if before == drawn_from:
        return
    told = before if isinstance(before, Mapping) else {}
    other = [
        f"{name} = {told[name]}, not {value}"
        for name, value in drawn_from.items()
        if name in told and told[name] != value
    ]
    drawn = f"its people were drawn with {'; '.join(other)}"
    raise OutputError(
        drawn if other else "it does not tell with which seed its people were drawn",
        where=str(root),
        mend="Name a new folder, or simulate with the seed and parameters of this one.",
    )


def _people_there(root: Path) -> dict[str, Mapping[str, object]]:
    """Return the rows of those people of a dataset whose folders are there."""
    path = root / "participants.tsv"
    rows = read_rows(path) if path.is_file() else []
    return {row["participant_id"]: row for row in rows if (root / row["participant_id"]).is_dir()}


def scan_name(subject: str, protocol: str, session: int | None = None) -> ScanName:
    """Return the BIDS name of a protocol's scan: `sub-01_ses-1_acq-3tMegre1mm`."""
    first, *rest = re.findall(r"[0-9A-Za-z]+", protocol)
    ses = () if session is None else (("ses", str(session)),)
    acq = first + "".join(word.capitalize() for word in rest)
    return ScanName((("sub", subject), *ses, ("acq", acq)))


def _drawn(
    params: SimulationParams, atlas: Atlas, seed: int, person: int, *, varied: bool
) -> tuple[SimulationParams, Patient]:
    """Return what a person has, and the person."""
    if varied:
        drawn = varied_params(np.random.default_rng([seed, person, 999]))
        params = replace(drawn, snr=params.snr, age_years=params.age_years)
    return params, sample_patient(params, atlas, np.random.default_rng([seed, person]))


def scan_stream(
    seed: int, person: int, at: int = 0, session: int | None = None
) -> np.random.Generator:
    """Return what one scan is drawn from: a person's, by their protocol number `at`."""
    # the last number is not 0: zeros at the end would leave the person's own stream
    return np.random.default_rng([seed, person, at, (session or 1) - 1, 996])


def _scans(
    params: SimulationParams,
    patient: Patient,
    protocols: Sequence[str],
    atlas: Atlas,
    seed: int,
    person: int,
    heads: Heads,
    second: SecondVisit | None,
) -> Iterator[tuple[str, int | None, Callable[[], SimulatedScan]]]:
    """Yield protocol and session with the call that scans: one person, many scanners."""
    sessions: list[tuple[int | None, Patient, Sequence[str]]] = [(None, patient, protocols)]
    if second is not None:
        later = follow_up(
            patient,
            atlas,
            np.random.default_rng([seed, person, 998]),
            pattern=params.pattern,
            n_new=second.n_new,
            grown=second.grown,
        )
        sessions = [(1, patient, protocols), (2, later, second.protocols or protocols)]
    for session, now, scanned in sessions:
        for at, name in enumerate(scanned):
            rng = scan_stream(seed, person, at, session)
            drawing = np.random.default_rng([seed, person, at, 997])
            protocol = random_protocol(drawing) if name == RANDOM else PROTOCOLS[name]
            if params.snr is not None:
                protocol = replace(protocol, snr=min(params.snr, 1e6))
            yield name, session, partial(scan_patient, now, protocol, atlas, rng, heads=heads)


def write_simulated(
    root: Path, name: ScanName, scan: SimulatedScan, phase_units: str = "rad"
) -> None:
    """Write one scan and its truth into a dataset that is there."""
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
