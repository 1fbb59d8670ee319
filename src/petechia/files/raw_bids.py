"""Write scans as a raw BIDS dataset: what `petechia simulate` leaves, and tests read back."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.core.echoes import Echoes
from petechia.core.grid import Grid
from petechia.core.units import wrap
from petechia.errors import ParameterError
from petechia.files import writing
from petechia.files.bids_names import in_bids_order
from petechia.files.columns import describe
from petechia.files.contract import contract, place
from petechia.files.output import BIDS_VERSION, RAW_LINK, generated_by
from petechia.files.scan import Header, ScanName

SIMULATED = "Simulated gradient-echo scans"
"""By this name a simulated dataset is known as one."""
SUFFIXES = ("MEGRE", "T2starw")
PHASE_UNITS = ("rad", "siemens", "philips", "ge")
HALF_TURN = 2048
"""Stored steps of half a turn in 12 bits."""
MILLIRADIANS = (6284.0 / 4095.0, -3142.0)
"""Slope and intercept that make milliradians of Philips's 12 bits."""
TRUTH_FOLDER = "derivatives/truth"
_HEADER_KEYS = {
    "manufacturer": "Manufacturer",
    "model": "ManufacturersModelName",
    "software": "SoftwareVersions",
    "acquisition_type": "MRAcquisitionType",
    "slice_thickness_mm": "SliceThickness",
    "slice_spacing_mm": "SpacingBetweenSlices",
    "tr_s": "RepetitionTimeExcitation",
    "flip_deg": "FlipAngle",
    "pixel_bandwidth_hz": "PixelBandwidth",
    "sequence_name": "SequenceName",
}
_TRUTH_MAPS: Mapping[str, Mapping[str, Any]] = {
    "Chimap": {
        "Units": "ppm",
        "SkullStripped": True,
        "Reference": "mean over the true brain is 0",
        "Description": "True susceptibility; 0 outside the brain",
    },
    "R2starmap": {
        "Units": "1/s",
        "SkullStripped": True,
        "Description": "True R2*; 0 outside the brain",
    },
    "desc-field_fieldmap": {
        "Units": "ppm",
        "SkullStripped": True,
        "Description": "True field shift after shimming, positive where the frequency is higher; "
        "0 outside the brain",
    },
    "desc-brain_mask": {"Type": "Brain", "Description": "True brain"},
    "desc-veins_probseg": {"Description": "True part of each voxel that is vein, 0 to 1"},
    "desc-regions_dseg": {"Description": "True regions"},
}


def write_dataset(
    root: Path,
    participants: Sequence[Mapping[str, Any]],
    *,
    about: Mapping[str, Mapping[str, Any]] | None = None,
    name: str = SIMULATED,
    readme: str = "Simulated by petechia; truth lies in derivatives/truth. No person was scanned.",
    more: Mapping[str, Any] | None = None,
) -> None:
    """Write dataset_description.json, README.md, participants.tsv and its JSON.

    Parameters
    ----------
    root : Path
        Folder of the dataset.
    participants : sequence of mapping
        Each with 'participant_id' ('sub-01' or '01'); other keys become columns.
    about : mapping or None
        What participants.json says of each column; else its name in words.
    name, readme : str
        Title and text of the dataset.
    more : mapping or None
        What dataset_description.json says besides.
    """
    description = {
        "Name": name,
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "raw",
        "License": "CC0",
        "GeneratedBy": [generated_by()],
        **(more or {}),
    }
    writing.write_json(root / "dataset_description.json", description)
    writing.write_text(root / "README.md", f"# {name}\n\n{readme}\n")
    rows = [
        {**row, "participant_id": f"sub-{str(row['participant_id']).removeprefix('sub-')}"}
        for row in participants
    ]
    others = dict.fromkeys(key for row in rows for key in row if key != "participant_id")
    writing.write_table(root / "participants.tsv", rows, ["participant_id", *others])
    if others:
        known = about or {}
        said = {key: known.get(key, {"Description": key.replace("_", " ")}) for key in others}
        writing.write_json(root / "participants.json", said)


def write_raw_scan(
    root: Path,
    name: ScanName,
    echoes: Echoes,
    header: Header,
    *,
    suffix: str = "MEGRE",
    phase_units: str = "rad",
) -> list[Path]:
    """Write the echoes of one scan, magnitude and phase each with a sidecar.

    Parameters
    ----------
    root : Path
        Folder of the dataset.
    name : ScanName
        Entities without echo and part.
    echoes : Echoes
        Phase, when there is one, of each echo (no phase difference).
    header : Header
        Facts that go into the sidecars.
    suffix : str
        'MEGRE' (always with `echo-`) or 'T2starw'.
    phase_units : str
        'rad' writes float32 radians in -pi..pi; else whole numbers as that vendor's
        scanners store them: 'siemens' 0..4095 with slope 2 and intercept -4096, 'philips'
        0..4095 with a slope and intercept that give milliradians, 'ge' milliradians. The
        sign of the phase stays.

    Returns
    -------
    list of Path
        The images written.

    Raises
    ------
    ParameterError
        An unknown suffix or unit, or a phase difference.
    OutputError
        A file could not be written.
    """
    _require_one_of(suffix, SUFFIXES, "suffix")
    _require_one_of(phase_units, PHASE_UNITS, "phase_units")
    if echoes.phase_is_difference:
        raise ParameterError(
            f"a phase difference over {echoes.phase_te_s} s",
            where="write_raw_scan",
            mend="Give the phase of every echo, or none.",
        )
    written = []
    numbered = suffix == "MEGRE" or echoes.n_echoes > 1
    for n, te_s in enumerate(echoes.te_s):
        entities = dict(name.entities) | ({"echo": str(n + 1)} if numbered else {})
        sidecar = _sidecar(te_s, echoes.b0_t, header)
        if echoes.phase_rad is None:
            path = root / name.folder / f"{_stem(entities)}_{suffix}.nii.gz"
            _write(path, echoes.magnitude[n], echoes.grid, sidecar)
            written.append(path)
            continue
        for part in ("mag", "phase"):
            path = root / name.folder / f"{_stem(entities | {'part': part})}_{suffix}.nii.gz"
            if part == "mag":
                _write(path, echoes.magnitude[n], echoes.grid, sidecar)
            else:
                _write_phase(path, echoes.phase_rad[n], echoes.grid, sidecar, phase_units)
            written.append(path)
    return written


def write_truth(
    root: Path,
    name: ScanName,
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str] | None,
    labels: npt.NDArray[np.integer],
    maps: Mapping[str, npt.NDArray[Any]],
    grid: Grid,
    regions: Sequence[Mapping[str, Any]] = (),
) -> Path:
    """Write the truth of a simulated scan into `derivatives/truth` of a dataset.

    Parameters
    ----------
    root : Path
        Folder of the raw dataset.
    name : ScanName
        The scan's.
    rows : sequence of mapping
        One for each lesion, by the contract's truth columns.
    columns : sequence of str or None
        None for the contract's columns; more may follow those.
    labels : (I, J, K) ndarray of int
        Voxel value = index of the lesion.
    maps : mapping of str to (I, J, K) ndarray
        By the names of the contract: 'Chimap', 'desc-brain_mask', ...
    grid : Grid
        Geometry of all of them.
    regions : sequence of mapping
        Rows (index, name, site, side, compartment) of 'desc-regions_dseg'.

    Returns
    -------
    Path
        The table of lesions.
    """
    promised = contract().truth
    chosen = tuple(columns or promised.columns)
    if chosen[: len(promised.columns)] != promised.columns:
        raise ParameterError(
            f"columns {chosen}", where="write_truth", mend=f"They begin {promised.columns}."
        )
    for key in maps:
        _require_one_of(key, promised.maps, "truth map")
    truth = root / TRUTH_FOLDER
    table = truth / place(promised.table, name)
    writing.write_table(table, rows, chosen)
    writing.write_nifti(truth / place(promised.labels, name), labels, grid)
    about = {"Description": "True lesions; the voxel value is the index"} | describe(chosen)
    writing.write_json(table.with_suffix(".json"), about)
    for key, array in maps.items():
        path = truth / name.folder / f"{name.prefix}_{key}.nii.gz"
        _write(path, array, grid, {"SkullStripped": False} | dict(_TRUTH_MAPS[key]))
    if regions and "desc-regions_dseg" in maps:
        path = truth / name.folder / f"{name.prefix}_desc-regions_dseg"
        columns_of = tuple(regions[0])
        writing.write_table(path.with_suffix(".tsv"), regions, columns_of)
        facts = dict(_TRUTH_MAPS["desc-regions_dseg"]) | describe(columns_of)
        writing.write_json(path.with_suffix(".json"), {"SkullStripped": False} | facts)
    _describe_truth(truth)
    return table


def _describe_truth(truth: Path) -> None:
    description = {
        "Name": "Truth of simulated scans",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [generated_by()],
        "DatasetLinks": {RAW_LINK: "../.."},
    }
    writing.write_json(truth / "dataset_description.json", description)
    writing.write_text(truth / ".bidsignore", "*_desc-field_fieldmap.*\n")
    writing.write_text(truth / "README.md", "# Truth of the simulated scans\n")


def _require_one_of(value: str, allowed: Sequence[str], where: str) -> None:
    if value not in allowed:
        raise ParameterError(
            f"{value!r} is unknown", where=where, mend=f"Use one of {', '.join(allowed)}."
        )


def _stem(entities: Mapping[str, str]) -> str:
    return "_".join(f"{key}-{value}" for key, value in in_bids_order(entities))


def _sidecar(te_s: float, b0_t: float, header: Header) -> dict[str, Any]:
    facts = {"EchoTime": te_s, "MagneticFieldStrength": b0_t}
    known = {f.name: getattr(header, f.name) for f in fields(header)}
    facts |= {key: known[name] for name, key in _HEADER_KEYS.items() if known[name] is not None}
    return facts


def _write(path: Path, array: npt.NDArray[Any], grid: Grid, sidecar: Mapping[str, Any]) -> None:
    writing.write_nifti(path, array, grid)
    writing.write_json(path.with_suffix("").with_suffix(".json"), sidecar)


def _write_phase(
    path: Path,
    phase_rad: npt.NDArray[np.floating],
    grid: Grid,
    sidecar: Mapping[str, Any],
    units: str,
) -> None:
    wrapped = wrap(phase_rad)
    if units == "rad":
        _write(path, wrapped, grid, {**sidecar, "Units": "rad"})
        return
    stored, rescale = _stored(wrapped, units)
    writing.write_nifti(path, stored, grid, rescale=rescale)
    facts = {**sidecar, "Units": "arbitrary", "ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"]}
    writing.write_json(path.with_suffix("").with_suffix(".json"), facts)


def _stored(
    phase_rad: npt.NDArray[np.float32], units: str
) -> tuple[npt.NDArray[np.int16], tuple[float, float]]:
    """Return wrapped phase as a vendor stores it, and the slope and intercept beside it."""
    if units == "ge":
        return np.rint(1000 * phase_rad).astype(np.int16), (1.0, 0.0)
    if units == "philips":
        slope, intercept = MILLIRADIANS
        steps = np.rint((1000 * phase_rad - np.float32(intercept)) / np.float32(slope))
        return steps.clip(0, 2 * HALF_TURN - 1).astype(np.int16), MILLIRADIANS
    steps = np.rint(phase_rad * np.float32(HALF_TURN / np.pi)).astype(np.int32)
    return ((steps + HALF_TURN) % (2 * HALF_TURN)).astype(np.int16), (2.0, -4096.0)
