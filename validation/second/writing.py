"""Scans as files: magnitude and phase as their vendor stores them, and the truth."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.files import writing
from petechia.files.contract import contract
from petechia.files.raw_bids import write_truth
from petechia.files.scan import ScanName
from second.protocols import Protocol
from second.scan import SecondScan
from second.signals import Complex, filtered_phase
from second.tissue import GYROMAGNETIC_MHZ_T
from second.truth import COLUMNS

WHITE_MATTER = 900
"""Stored magnitude of a signal of 1."""
MOST_STORED = 32767
TWELVE_BITS = 4096


def scan_name(person: int, protocol: str) -> ScanName:
    """Return the name of a scan: `sub-01_acq-3tMegreSiemens`."""
    first, *rest = re.findall(r"[0-9A-Za-z]+", protocol.replace(".", "p", 1))
    acq = first + "".join(word.capitalize() for word in rest)
    return ScanName((("sub", f"{person + 1:02d}"), ("acq", acq)))


def image_stems(root: Path, name: ScanName, protocol: Protocol) -> list[tuple[int, str, Path]]:
    """Return echo, part and place without ending of every image of a scan, in order."""
    several = len(protocol.te_s) > 1
    parts = ("mag",) if protocol.phase == "none" else ("mag", "phase")
    suffix = "MEGRE" if several else "T2starw"
    stems = []
    for echo in range(len(protocol.te_s)):
        for part in parts:
            entities = [name.prefix, *([f"echo-{echo + 1}"] if several else [])]
            entities += [f"part-{part}"] if len(parts) > 1 else []
            stems.append((echo, part, root / name.folder / "_".join([*entities, suffix])))
    return stems


def is_written(root: Path, name: ScanName, protocol: Protocol) -> bool:
    """Return whether a scan is there: the last of its files is written last."""
    return _ended(image_stems(root, name, protocol)[-1][2], ".json").exists()


def write_scan(root: Path, name: ScanName, scan: SecondScan) -> None:
    """Write the truth of a scan, then its images with their sidecars."""
    _write_truth(root, name, scan)
    grid, geometry = scan.geometry.grid, scan.geometry
    for echo, part, stem in image_stems(root, name, scan.protocol):
        image = scan.images[echo]
        facts = sidecar(scan.protocol, echo)
        rescale = (1.0, 0.0)
        if part == "mag":
            stored = np.rint(np.abs(image) * WHITE_MATTER).clip(0, MOST_STORED).astype(np.int16)
        else:
            stored, rescale, facts["Units"] = stored_phase(image, scan.protocol)
        writing.write_nifti(_ended(stem, ".nii.gz"), geometry.stored(stored), grid, rescale=rescale)
        writing.write_json(_ended(stem, ".json"), facts)


def stored_phase(
    image: Complex, protocol: Protocol
) -> tuple[npt.NDArray[Any], tuple[float, float], str]:
    """Return phase as a vendor stores it, slope and intercept beside it, and BIDS's units.

    Siemens: 0..4095 with slope 2 and intercept -4096. GE: radians. Philips: milliradians, of
    which the header says nothing.
    """
    filtered = protocol.phase == "filtered"
    phase = filtered_phase(image) if filtered else np.angle(image).astype(np.float32)
    if protocol.manufacturer == "GE":
        return phase, (1.0, 0.0), "rad"
    if protocol.manufacturer == "Philips":
        return np.rint(1000 * phase).astype(np.int16), (1.0, 0.0), "arbitrary"
    steps = np.rint((phase / np.pi + 1) * TWELVE_BITS / 2).clip(0, TWELVE_BITS - 1)
    return steps.astype(np.int16), (2.0, -float(TWELVE_BITS)), "arbitrary"


def sidecar(protocol: Protocol, echo: int) -> dict[str, Any]:
    """Return what stands beside the images of an echo."""
    facts = {
        "Modality": "MR",
        "Manufacturer": protocol.manufacturer,
        "MagneticFieldStrength": protocol.b0_t,
        "ImagingFrequency": round(GYROMAGNETIC_MHZ_T * protocol.b0_t, 3),
        "ScanningSequence": "GR",
        "MRAcquisitionType": "2D" if protocol.in_slices else "3D",
        "EchoTime": protocol.te_s[echo],
        "RepetitionTime": protocol.tr_s,
        "FlipAngle": protocol.flip_deg,
        "SliceThickness": protocol.voxel_mm[2],
        "SpacingBetweenSlices": protocol.voxel_mm[2],
    }
    if len(protocol.te_s) > 1:
        facts["EchoNumber"] = echo + 1
    return facts


def _write_truth(root: Path, name: ScanName, scan: SecondScan) -> None:
    columns = dict.fromkeys([*contract().truth.columns, *COLUMNS])
    truth, grid = scan.truth, scan.geometry.grid
    table = write_truth(root, name, truth.rows, tuple(columns), truth.labels, truth.maps, grid)
    about = table.with_suffix(".json")
    said = json.loads(about.read_text(encoding="utf-8"))
    writing.write_json(about, {**said, **COLUMNS})


def _ended(stem: Path, ending: str) -> Path:
    return stem.with_name(stem.name + ending)


def people_rows(people: Sequence[int]) -> list[dict[str, str]]:
    """Return the rows of participants.tsv."""
    return [{"participant_id": f"sub-{n + 1:02d}"} for n in people]
