"""Paramagnetic and diamagnetic susceptibility of a scan that has gone down the road."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from petechia.core.checks import require_between
from petechia.core.methods import Method
from petechia.core.morphology import Mask
from petechia.errors import UnfitError
from petechia.pipeline.field import field_weights
from petechia.pipeline.stages import walk
from petechia.pipeline.work import Work
from petechia.qsm.separation.rates import assumed_r2, decay_seen, r2prime_from

Volume = np.ndarray
STEPS = ("invert", "r2star")
"""What must have been made."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Separated:
    """Both sources of a scan.

    Attributes
    ----------
    positive_ppm, negative_ppm : (I, J, K) ndarray of float32
        0 or more, and 0 or less; 0 outside `valid` [ppm].
    valid : (I, J, K) ndarray of bool
        Where both are known: without the voids of bleeds and stones.
    says : str
        Where R2' came from.
    """

    positive_ppm: Volume
    negative_ppm: Volume
    valid: Mask
    says: str


def separate(
    work: Work,
    row: Method,
    params: Any,
    *,
    r2: float | Volume | None = None,
    r2prime: Volume | None = None,
) -> Separated:
    """Return both sources of a scan, by a row of the separation family.

    Parameters
    ----------
    work : Work
        At its beginning, or beyond.
    row, params
        The method and its settings.
    r2 : float or (I, J, K) ndarray, optional
        R2 of tissue, as one value or as a map [1/s]; assumed when neither it nor `r2prime` is
        given.
    r2prime : (I, J, K) ndarray, optional
        R2' as measured [1/s].

    Raises
    ------
    UnfitError
        If the scan has no susceptibility, or no decay while `r2prime` is not given.
    ParameterError
        If nothing is known of R2 at this field.
    """
    walk(work, STEPS if r2prime is None else STEPS[:1])
    if work.chi_ppm is None or work.local_field_ppm is None:
        raise UnfitError(
            "; ".join(work.why_not("susceptibility")) or "no susceptibility could be had",
            where=work.scan.name.prefix,
            mend="Source separation needs unfiltered phase.",
        )
    mask = work.need("chi_mask")
    if r2prime is not None:
        rate, says = np.where(mask, np.maximum(r2prime, 0), 0), "R2' as given"
    else:
        rate, says = _rate(work, mask, r2)
    if row.needs[0] == "field_ppm":
        mask = mask & work.need("local_mask")
    available = {
        "chi_ppm": work.chi_ppm,
        "field_ppm": work.local_field_ppm,
        "r2prime": np.asarray(rate, dtype=np.float32),
        "b0_t": work.echoes.b0_t,
        "weights": field_weights(work, mask),
        "mask": mask,
    }
    positive, negative = row(available, grid=work.grid, settings=params)
    valid = mask
    if work.echoes.n_echoes > 1:
        noise = work.noise_sd if np.isfinite(work.noise_sd) else 0.0
        valid = valid & decay_seen(work.echoes.magnitude, noise, work.grid)
    return Separated(
        positive_ppm=positive * valid, negative_ppm=negative * valid, valid=valid, says=says
    )


def _rate(work: Work, mask: Mask, r2: float | Volume | None) -> tuple[Volume, str]:
    """Return R2' from the scan's own R2* and what is known of R2, and the words on it."""
    if work.r2star is None:
        raise UnfitError(
            "one echo has no R2*",
            where=work.scan.name.prefix,
            mend="Give a scan of two echoes or more, or a map of R2'.",
        )
    if r2 is None:
        r2 = assumed_r2(work.echoes.b0_t)
        says = f"R2' is R2* less {r2:.1f} /s, assumed for all tissue: not measured"
    elif isinstance(r2, np.ndarray):
        says = "R2' is R2* less the R2 of the map given"
    else:
        require_between(r2, 0.0, 1e4, "r2", "Give the R2 of tissue in 1/s, e.g. 12.")
        says = f"R2' is R2* less {r2:g} /s, as given for all tissue"
    return r2prime_from(work.r2star, r2, mask, work.grid), says
