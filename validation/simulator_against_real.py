"""Put simulated multi-echo scans beside a real crop: numbers that need no truth.

usage: python validation/simulator_against_real.py FOLDER

FOLDER holds Mag.nii.gz and Phase.nii.gz of MriResearchTools.jl's test data (in vivo, three
echoes, 0.469 x 0.469 x 1 mm; the phase is stored in units of 855 radians; echo times of 4, 8 and
12 ms and 7 T are assumed, not stated by its files). Crops of the same size in millimetres are
cut from simulated heads at 7 T, with the noise of the real one: anywhere in the brain, and, since
the real crop holds the fissure between the hemispheres, on the midline. The real crop is compared
with their spread.
"""

import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.assets.store import load_arrays
from petechia.simulate.atlas import Atlas, atlas_from
from petechia.simulate.patient import (
    SimulatedScan,
    SimulationParams,
    sample_patient,
    scan_patient,
)
from petechia.simulate.protocols import Protocol
from petechia.simulate.render import Pose, sample_pose

PHASE_TO_RADIANS = 855.0
TE_S = (0.004, 0.008, 0.012)
B0_T = 7.0
SPACING_MM = (0.469, 0.469, 1.0)
CROP = (51, 51, 41)
# half the head, cut short above and below: it is the crops that count
PROTOCOL = Protocol(
    b0_t=B0_T, te_s=TE_S, tr_s=0.020, flip_deg=12.0, shape=(384, 464, 82), spacing_mm=SPACING_MM,
    fine=(1.2, 1.2, 2.0), centre_mm=(0.0, 0.0, 22.0),
)  # fmt: skip
Volumes = npt.NDArray[np.floating]


def figures(magnitude: Volumes, phase_rad: Volumes) -> dict[str, float]:
    """Return what is measured on one crop, echoes first."""
    tissue = magnitude[0] > 0.4 * np.percentile(magnitude[0], 90)
    tissue = ndimage.binary_erosion(tissue)
    later = np.angle(np.exp(1j * (phase_rad[2] - phase_rad[0])))
    signal = magnitude[2] * np.exp(1j * later)
    sigma = 3.0 / np.asarray(SPACING_MM)  # a high-pass of 3 mm
    smooth = ndimage.gaussian_filter(signal.real, sigma) + 1j * ndimage.gaussian_filter(
        signal.imag, sigma
    )
    local_hz = np.angle(signal * smooth.conj()) / (2 * np.pi * (TE_S[2] - TE_S[0]))
    hz = local_hz[tissue]
    mean = np.abs(ndimage.gaussian_filter(magnitude[2], sigma))
    relative = (magnitude[2] / np.maximum(mean, 1e-6))[tissue]
    rate = np.log(magnitude[0] / np.maximum(magnitude[2], 1e-6))[tissue] / (TE_S[2] - TE_S[0])
    return {
        "local field, sd [Hz]": float(hz.std()),
        "local field, 99th percentile [Hz]": float(np.percentile(hz, 99)),
        "local field, 1st percentile [Hz]": float(np.percentile(hz, 1)),
        "local field, kurtosis": float(((hz - hz.mean()) ** 4).mean() / hz.var() ** 2),
        "magnitude against its surroundings, 1st percentile": float(np.percentile(relative, 1)),
        "magnitude against its surroundings, sd": float(relative.std()),
        "voxels darker than 70 % of their surroundings [%]": float(100 * (relative < 0.7).mean()),
        "R2*, median [1/s]": float(np.median(rate)),
        "R2*, 95th percentile [1/s]": float(np.percentile(rate, 95)),
    }


def noise_of(magnitude: Volumes) -> float:
    """Return the noise of the first echo over its tissue: diagonal differences see little else."""
    first = magnitude[0]
    cross = 0.5 * (first[1:, 1:] - first[1:, :-1] - first[:-1, 1:] + first[:-1, :-1])
    bright = first > 0.4 * np.percentile(first, 90)
    inside = ndimage.binary_erosion(bright)[1:, 1:]
    spread = np.median(np.abs(cross[inside])) / 0.6745
    return float(spread / np.median(first[bright]))


def simulated(n: int, snr: float, middle: bool) -> Iterator[dict[str, float]]:
    """Yield the figures of crops of `n` heads without lesions; on the midline, or anywhere."""
    atlas = atlas_from(load_arrays("template"))
    params = SimulationParams(n_microbleeds=0, n_calcifications=0)
    for seed in range(n):
        scan, pose = scanned(params, atlas, seed, snr)
        brain = scan.truth.maps["desc-brain_mask"] > 0
        rng = np.random.default_rng([4100, seed, 1 + middle])
        kept = 0
        for corner in rng.integers(0, np.asarray(PROTOCOL.shape) - CROP, (4000, 3)):
            centre = PROTOCOL.grid.to_mm(corner + 0.5 * np.asarray(CROP))
            if middle and abs(pose.to_head(centre)[0]) > 2.0:
                continue
            box = tuple(slice(c, c + s) for c, s in zip(corner, CROP, strict=True))
            if brain[box].mean() > 0.97:
                yield figures(scan.echoes.magnitude[(slice(None), *box)],
                              scan.echoes.phase_rad[(slice(None), *box)])  # fmt: skip
                kept += 1
            if kept == 12:
                break


@lru_cache
def scanned(
    params: SimulationParams, atlas: Atlas, seed: int, snr: float
) -> tuple[SimulatedScan, Pose]:
    """Return the scan of a head, and how it lay."""
    rng = np.random.default_rng([4100, seed])
    patient, pose = sample_patient(params, atlas, rng), sample_pose(rng)
    return scan_patient(patient, replace(PROTOCOL, snr=snr), atlas, rng, pose=pose), pose


def main(folder: Path) -> None:
    """Print the table."""
    magnitude = np.moveaxis(nib.load(folder / "Mag.nii.gz").get_fdata(), -1, 0)
    phase = np.moveaxis(nib.load(folder / "Phase.nii.gz").get_fdata(), -1, 0) * PHASE_TO_RADIANS
    real = figures(magnitude, phase)
    noise = noise_of(magnitude)
    snr = float(np.exp(TE_S[0] * real["R2*, median [1/s]"])) / noise
    print(
        f"noise of the real crop: {noise:.3f} of its first echo, an SNR of {snr:.0f} before decay"
    )
    anywhere, middle = (list(simulated(3, snr, on)) for on in (False, True))
    print(f"{len(anywhere)} simulated crops anywhere, {len(middle)} on the midline\n")
    print("| Figure | Real crop | Simulated, on the midline: median (least to most) | Anywhere |")
    print("|---|---|---|---|")
    for name, value in real.items():
        print(f"| {name} | {value:.3g} | {_spread(middle, name)} | {_spread(anywhere, name)} |")


def _spread(crops: list[dict[str, float]], name: str) -> str:
    values = [c[name] for c in crops]
    return f"{np.median(values):.3g} ({min(values):.3g} to {max(values):.3g})"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
