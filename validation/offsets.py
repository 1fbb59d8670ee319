"""Measure what is left of bipolar readouts and of coils, on simulated heads with known truth.

usage: python validation/offsets.py WORK [--seed 9400] [--protocol 3t_tiny ...] [--table FILE]

Bipolar: scans of the simulator with either readout; then even echoes of a monopolar scan get a
constant and a ramp along an axis. Coils: the scan is received once more by eight coils, with
noise of its own, and combined without their sensitivities, with them, and by the plain sum.
Errors are of the phase less that of the true field in the true brain, 1.48 times the median of
their size, a constant in each echo apart.
"""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from baseline import simulated

from petechia.assets.store import load_arrays
from petechia.core.echoes import Echoes
from petechia.core.units import radians_per_ppm, wrap
from petechia.files.find import find_scans
from petechia.files.nifti import read_mask, read_nifti
from petechia.phase.coils import combine_coils
from petechia.phase.offsets import McpcParams, remove_offsets
from petechia.simulate.atlas import atlas_from
from petechia.simulate.patient import SimulationParams, sample_patient, scan_patient
from petechia.simulate.protocols import PROTOCOLS
from petechia.simulate.receive import coil_images, sample_coils

RAMPS = ((0.1, 0.0), (0.3, 0.003), (0.5, 0.01), (0.5, 0.03))
"""Phases of even echoes: constant [rad] and slope [rad/mm]."""
N_COILS, SNR = 8, 40.0


def load(root: Path) -> tuple[Echoes, np.ndarray, np.ndarray]:
    """Return a scan, its true brain, and the phase of the true field."""
    echoes = next(iter(find_scans(root))).load().echoes
    truth = root / "derivatives" / "truth"
    field = read_nifti(next(truth.rglob("*_desc-field_fieldmap.nii.gz"))).only
    mask = read_mask(next(truth.rglob("*_desc-brain_mask.nii.gz")), echoes.grid)
    turns = [np.float32(radians_per_ppm(echoes.b0_t, t)) for t in echoes.te_s]
    return echoes, mask, np.stack([field * t for t in turns])


def error(phase: np.ndarray, true_rad: np.ndarray, mask: np.ndarray) -> list[float]:
    """Return the spread of the phase error of each echo, a constant apart [rad]."""
    out = []
    for echo, true in zip(phase, true_rad, strict=True):
        away = np.exp(1j * (echo - true)[mask])
        away = np.angle(away / np.exp(1j * np.angle(away.sum())))
        out.append(float(np.sqrt(np.median(away**2)) * 1.4826))
    return out


def bipolar(echoes: Echoes, mask: np.ndarray) -> Iterator[str]:
    """Yield rows: what was put in, and found and left in the phase of even echoes."""
    place = (np.arange(echoes.grid.shape[1]) - echoes.grid.shape[1] / 2)[None, :, None]
    for constant, slope in ((0.0, 0.0), *RAMPS):
        extra = np.broadcast_to(
            constant + slope * place * echoes.grid.spacing_mm[1], echoes.grid.shape
        )
        phase = echoes.phase_rad.copy()
        phase[1::2] = wrap(phase[1::2] + extra)
        inputs = (phase, echoes.magnitude, echoes.te_s, mask, echoes.grid)
        found = remove_offsets(*inputs)
        there = 0.0 if found.bipolar_rad is None else found.bipolar_rad[mask]
        miss = np.sqrt(np.mean((there - extra[mask]) ** 2))
        size = np.sqrt(np.mean(extra[mask] ** 2))
        yield (
            f"| {constant} rad + {slope} rad/mm | {size:.3f} | {found.alternation_rad:.3f} | "
            f"{'no' if found.bipolar_rad is None else 'yes'} | {miss:.3f} |"
        )


def readouts(seed: int) -> Iterator[str]:
    """Yield rows: phase errors of scans simulated with either readout, corrected and not."""
    atlas = atlas_from(load_arrays("template"))
    rng = np.random.default_rng(seed)
    patient = sample_patient(SimulationParams(n_microbleeds=5), atlas, rng)
    times = {3.0: (0.005, 0.010, 0.015, 0.020), 7.0: (0.003, 0.0072, 0.011, 0.0165)}
    disturbed = {"motion_mm": 1.0, "motion_deg": 1.0, "respiration_ppm": 0.02}
    for b0_t, kind, change in (
        (3.0, "monopolar", {}),
        (3.0, "monopolar, moving", disturbed),
        (3.0, "bipolar", {"bipolar": True}),
        (7.0, "monopolar", {}),
        (7.0, "bipolar", {"bipolar": True}),
    ):
        protocol = replace(
            PROTOCOLS["3t_tiny"], b0_t=b0_t, te_s=times[b0_t], bandwidth_hz=200.0, **change
        )
        scan = scan_patient(patient, protocol, atlas, np.random.default_rng(seed + 1))
        echoes, maps = scan.echoes, scan.truth.maps
        mask = maps["desc-brain_mask"] > 0
        turns = [np.float32(radians_per_ppm(b0_t, t)) for t in echoes.te_s]
        true_rad = np.stack([maps["desc-field_fieldmap"] * t for t in turns])
        inputs = (echoes.phase_rad, echoes.magnitude, echoes.te_s, mask, echoes.grid)
        found, plain = (remove_offsets(*inputs, McpcParams(bipolar=b)) for b in ("auto", "no"))
        cells = [f"{b0_t:g} T {kind}", f"{found.alternation_rad:.3f}"]
        cells += ["no" if found.bipolar_rad is None else "yes"]
        for way in (found, plain):
            cells += [" ".join(f"{e:.3f}" for e in error(way.phase_rad, true_rad, mask))]
        yield f"| {' | '.join(cells)} |"


def coils(echoes: Echoes, mask: np.ndarray, true_rad: np.ndarray) -> Iterator[str]:
    """Yield rows: phase errors of three ways to combine coils."""
    rng = np.random.default_rng(0)
    images = (echoes.magnitude * np.exp(1j * echoes.phase_rad)).astype(np.complex64)
    noise = float(np.median(echoes.magnitude[0][mask])) / SNR
    drawn = sample_coils(rng, N_COILS)
    seen, known = zip(*coil_images(images, drawn, echoes.grid, noise, rng), strict=True)
    ideal = sum(s.conj() * image for s, image in zip(known, seen, strict=True))
    inputs = (echoes.magnitude, echoes.te_s, mask, echoes.grid, McpcParams(bipolar="no"))
    ways = {
        "by first echoes (ours)": combine_coils(
            seen, echoes.te_s, echoes.grid, mask, McpcParams(bipolar="no")
        ).phase_rad,
        "by known sensitivities, then MCPC-3D-S": remove_offsets(
            np.angle(ideal), *inputs
        ).phase_rad,
        "plain sum, then MCPC-3D-S": remove_offsets(np.angle(sum(seen)), *inputs).phase_rad,
    }
    for way, phase in ways.items():
        yield f"| {way} | {' '.join(f'{e:.3f}' for e in error(phase, true_rad, mask))} |"


def main() -> None:
    """Simulate, put in, take out, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--seed", type=int, default=9400)
    parser.add_argument("--protocol", action="append", default=[])
    parser.add_argument("--table", type=Path)
    args = parser.parse_args()
    text = [f"{datetime.now(UTC):%Y-%m-%d}", ""]
    text += ["| simulated | found rad | bipolar | error by echo, rad | if taken for monopolar |"]
    text += ["|---|---|---|---|---|", *readouts(args.seed)]
    for protocol in args.protocol or ["3t_tiny", "demo_light"]:
        echoes, mask, true_rad = load(simulated(args.work, protocol, 0, args.seed))
        text += ["", f"{protocol}, phase of even echoes:", ""]
        text += ["| put in | rms rad | linear part found | bipolar | rms of the miss |"]
        text += ["|---|---|---|---|---|", *bipolar(echoes, mask)]
        text += ["", f"{protocol}, {N_COILS} coils:", ""]
        text += ["| combined | error by echo, rad |", "|---|---|", *coils(echoes, mask, true_rad)]
    print("\n".join(text))
    if args.table:
        args.table.write_text("\n".join(text) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
