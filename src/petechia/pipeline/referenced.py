"""What the susceptibility of a scan is relative to, and the words for it."""

from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.contrast.relaxation import METHODS as RELAXATION
from petechia.errors import UnfitError
from petechia.pipeline.work import Mask, Volume, Work
from petechia.qsm.referencing import csf_mask, reference

BRAIN = "mean over the brain mask"
CSF = "mean over ventricular CSF"
REGION = "mean over a given region"

LEAST_SIGNAL = 0.2
"""First-echo signal, over its median in the brain, below which a decay rate means nothing."""


def referenced(work: Work, chi_ppm: npt.NDArray[np.floating], mask: Mask) -> Volume:
    """Return the map less the mean of the region asked for; note the region and the value.

    Where the fluid asked for cannot be found, the whole brain takes its place and a warning
    says so.
    """
    region, name = _region(work, mask)
    out, value = reference(chi_ppm, mask, work.grid, region)
    work.chi_reference, work.chi_reference_ppm = name, value
    return out


def reference_note(work: Work) -> dict[str, Any]:
    """Return the reference of the finished map, as its sidecar tells it."""
    # what was taken off before the sign was settled turned with the map
    value = work.phase_sign * work.chi_reference_ppm
    return {"Reference": work.chi_reference, "ReferenceValue": round(value, 6)}


def _region(work: Work, mask: Mask) -> tuple[Mask | None, str]:
    if work.given_reference is not None:
        return work.given_reference, REGION
    if work.settings.reference == "brain":
        return None, BRAIN
    try:
        fluid = _fluid(work, mask)
    except UnfitError as error:
        work.warnings.append(
            f"No reference to CSF: {error.what}. Susceptibility is relative to the {BRAIN}."
        )
        return None, BRAIN
    volume_ml = float(fluid.sum()) * work.grid.voxel_mm3 / 1000
    work.cite(
        "reference",
        "csf",
        f"mean over {volume_ml:.1f} mL of ventricular CSF, found by its slow decay",
        "10.1002/mrm.26946",
    )
    return fluid, CSF


def _fluid(work: Work, mask: Mask) -> Mask:
    """Return the ventricles by their R2*, from the fit at hand or a quick one."""
    echoes, refused = work.echoes, work.why_not("r2star")
    if echoes.n_echoes < 2 or refused:
        raise UnfitError(
            "; ".join(refused).rstrip(".") or "R2* cannot be had from one echo",
            where="reference",
            mend="Reference to the brain, or give a region.",
        )
    r2star = work.r2star
    if r2star is None:
        arrays = {"magnitude": echoes.magnitude, "te_s": echoes.te_s}
        r2star, _ = RELAXATION["loglinear"](arrays, grid=work.grid)
    first = echoes.magnitude[0]
    alive = mask & (first > LEAST_SIGNAL * np.median(first[mask]))
    return csf_mask(r2star, alive, work.grid)
