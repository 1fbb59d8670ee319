"""A CT of the same person beside the scan: what it says at each finding."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from petechia.anatomy.ct import fluid_on_ct, to_ct
from petechia.anatomy.density import CALCIFIED_HU, DILATED_MM, density_at, skull_voxels
from petechia.anatomy.signs.fit import LEAST_FLUID
from petechia.contrast.combine import combine_magnitude
from petechia.errors import PetechiaError
from petechia.files.ct import read_ct
from petechia.lesions.dense import CtReading, with_ct
from petechia.pipeline.work import Work


def read_densities(work: Work) -> None:
    """Add what a CT says to the findings; say so when it cannot be used."""
    source = work.beside.ct
    if source is None or work.detection is None:
        return
    try:
        hu, grid = read_ct(source) if isinstance(source, Path) else source.read()
        magnitude = combine_magnitude(work.echoes.magnitude, work.echoes.te_s)
        fit = to_ct(magnitude, work.need("mask"), work.grid, hu, grid)
    except PetechiaError as error:
        work.warnings.append(f"The CT was not used: {error.what.rstrip('.')}.")
        return
    if not fit.ok:
        work.warnings.append(f"The CT was not used, it could not be registered: {fit.says}.")
        return
    agree = float("nan")
    if work.tissue is not None and work.tissue.told:
        fluid, mask = work.tissue.csf, work.need("mask")
        agree = fluid_on_ct(fluid, mask, work.grid, hu, grid, fit.matrix)
    if agree < LEAST_FLUID:
        work.warnings.append(
            "The CT was not used: it shows fluid elsewhere than the gradient echo "
            f"({agree:.2f}). It may be of another person, or of a time when the brain was another."
        )
        return
    whose = f"It agrees on fluid by {agree:.2f}."
    if np.isnan(agree):
        whose = "Whether it is of the same person was not checked, too little fluid is known."
    skull = skull_voxels(hu, grid)
    readings = {}
    for finding in work.detection.findings:
        voxels = np.argwhere(work.detection.labels == finding.index)
        if not len(voxels):
            continue
        found = density_at(
            work.grid.to_mm(voxels), fit.matrix, hu, skull, grid, DILATED_MM + fit.uncertainty_mm
        )
        readings[finding.index] = CtReading(hu=found.hu, calcified=found.calcified, says=found.says)
    before = sum(f.counted for f in work.detection.findings)
    findings = with_ct(work.detection.findings, readings)
    vetoed = before - sum(f.counted for f in findings)
    work.detection = replace(work.detection, findings=findings)
    read = sum(r.hu is not None for r in readings.values())
    work.warnings.append(
        f"CT registered ({fit.says}). {whose} Read at {read} "
        f"of {len(findings)} findings; {vetoed} not counted as a microbleed because of "
        f"{CALCIFIED_HU:g} HU or more. Density below that does not speak for blood."
    )
    work.cite(
        "CT",
        "rigid registration by the skull's space, then mutual information",
        f"density is the 95th percentile within {DILATED_MM:g} mm and the repeatability of the "
        f"fit around the void; {CALCIFIED_HU:g} HU or more is calcium",
        "10.1055/a-1556-4801",
    )
