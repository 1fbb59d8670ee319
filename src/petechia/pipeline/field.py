"""From phase to susceptibility: unwrapping, background, inversion, and the sign of it all."""

from dataclasses import replace
from typing import Any

import numpy as np

from petechia.contrast.combine import combine_magnitude
from petechia.contrast.relaxation import METHODS as RELAXATION
from petechia.core.morphology import Mask
from petechia.core.units import radians_per_ppm
from petechia.errors import UnfitError
from petechia.phase.handedness import air_evidence
from petechia.phase.offsets import remove_offsets
from petechia.phase.quality import ENOUGH, LEAST_COHERENCE, highpass_evidence, phase_coherence
from petechia.phase.trust import TrustParams, trusted_mask
from petechia.pipeline.fitness import images
from petechia.pipeline.referenced import referenced
from petechia.pipeline.work import Work
from petechia.qsm.handedness import susceptibility_evidence
from petechia.qsm.noise import chi_noise

DEAD_RIM = TrustParams(noise_ratio=10.0)
"""What an inversion of the total field leaves out: dead voxels only, since it weighs the rest."""


def unwrap_stage(work: Work) -> None:
    """Turn the phase of all echoes into one total field."""
    echoes, grid, mask = work.echoes, work.grid, work.need("mask")
    if work.given_field_ppm is not None:
        work.total_field_ppm = work.given_field_ppm * mask
        work.field_noise_ppm = _noise_of_magnitude(work)
        work.cite("field map", "given", "total field given by the user", "")
        return
    phase = work.echoes.phase_rad
    if phase is None:
        return
    coherence = phase_coherence(phase[0], mask, echoes.magnitude[0])
    if coherence < LEAST_COHERENCE and mask.sum() >= ENOUGH:
        work.leave_phase()
        work.checks.append(images.check_phase_noise(coherence))
        return
    turn = radians_per_ppm(echoes.b0_t, echoes.phase_te_s[-1])
    evidence = highpass_evidence(phase, mask, grid, turn)
    work.checks.append(images.check_filtered(evidence, signed=work.sign_trusted))
    if evidence.filtered:
        work.phase_filtered = True
        filtered = phase[min(work.reading_echo, len(phase) - 1)] * np.float32(work.phase_sign)
        work.highpass_rad = filtered * mask
        if not work.sign_trusted:
            work.warnings.append(
                "The handedness of filtered phase cannot be settled: the SWI takes it as given, "
                "and blood and calcium are not told apart. Give --phase-sign +1 or -1 if you know "
                "it."
            )
        return
    magnitude = echoes.magnitude
    if len(phase) > 1:
        free = remove_offsets(phase, magnitude, echoes.phase_te_s, mask, grid)
        phase = free.phase_rad
        work.cite(
            "phase offsets",
            "MCPC-3D-S",
            f"phase offset from the first echoes, smoothed and removed. {free.says}",
            "10.1002/mrm.26963",
        )
    row, params = work.used("unwrapping", "unwrap")
    arrays = {
        "phase_rad": phase,
        "magnitude": magnitude,
        "te_s": echoes.phase_te_s,
        "mask": mask,
    }
    (work.unwrapped_rad,) = row(arrays, grid=grid, settings=params)
    row, params = work.used("field map", "fieldmap")
    arrays |= {"unwrapped_rad": work.unwrapped_rad, "b0_t": echoes.b0_t}
    work.total_field_ppm, work.field_noise_ppm, work.field_residual_rad = row(
        arrays, grid=grid, settings=params
    )


def _noise_of_magnitude(work: Work) -> np.ndarray | None:
    """Return the noise that a field read at the reading echo would have [ppm].

    A given field brings none of its own; without one the dead rim would weigh like the brain.
    """
    if not work.noise_sd > 0:  # nor when it is not known
        return None
    signal = np.maximum(work.echoes.magnitude[work.reading_echo], np.float32(0.1 * work.noise_sd))
    turn = radians_per_ppm(work.echoes.b0_t, work.reading_te_s)
    return np.asarray(work.noise_sd / (turn * signal) * work.need("mask"), dtype=np.float32)


def background_stage(work: Work) -> None:
    """Remove the field of sources outside the brain."""
    row, params = work.used("background removal", "background")
    mask = work.need("mask")
    if work.field_noise_ppm is not None and work.given_mask is None:
        mask = trusted_mask(work.field_noise_ppm, mask, work.grid)
    arrays = {
        "field_ppm": work.need("total_field_ppm"),
        "weights": field_weights(work, mask),
        "mask": mask,
    }
    try:
        work.local_field_ppm, work.local_mask = row(arrays, grid=work.grid, settings=params)
    except UnfitError as error:  # the brain in view is thinner than the smallest sphere
        work.methods.pop()
        work.checks.append(images.check_background(error.what))


def invert_stage(work: Work) -> None:
    """Turn the field into referenced susceptibility, with its sign settled."""
    grid = work.grid
    order = work.order  # penalties of differences to one side
    row, params = work.used("dipole inversion", "inversion")
    params = _with_turn(work, params)
    # from the local field where there is one; from the total field all over the brain
    whole = "total_field_ppm" in row.needs
    mask = work.need("mask" if whole else "local_mask")
    arrays = {
        "field_ppm": work.need("local_field_ppm"),
        "total_field_ppm": work.need("total_field_ppm"),
        "weights": field_weights(work, mask, DEAD_RIM if whole else None),
        "magnitude": combine_magnitude(work.echoes.magnitude, work.echoes.te_s),
        "mask": mask,
    }
    try:
        (chi,) = row(
            {k: v if v is None else order.forth(v) for k, v in arrays.items()},
            grid=order.grid,
            settings=params,
        )
    except UnfitError as error:  # the trusted part of a given mask is too thin
        work.methods.pop()
        work.checks.append(images.check_background(error.what))
        return
    work.chi_ppm = referenced(work, order.back(chi), mask)
    work.chi_mask = mask
    if work.field_noise_ppm is not None:
        work.chi_noise_ppm = chi_noise(work.field_noise_ppm, mask, grid)
    settle_sign(work)


def _with_turn(work: Work, params: Any) -> Any:
    """Tell an inversion on the circle what phase 1 ppm makes in this scan, unless it was set."""
    given = work.settings.method_settings.get(work.settings.inversion, {})
    if not hasattr(params, "radians_per_ppm") or "radians_per_ppm" in given:
        return params
    return replace(params, radians_per_ppm=radians_per_ppm(work.echoes.b0_t, work.reading_te_s))


def field_weights(work: Work, mask: Mask, dead_rim: TrustParams | None = None) -> np.ndarray | None:
    """Return data weights from the noise of the field, 1 at its median, at most 2.

    0 in the dead rim, where it is asked for: voxels so noisy that they must not be known.
    """
    noise = work.field_noise_ppm
    inside = noise[mask & (noise > 0)] if noise is not None else np.zeros(0)
    if noise is None or not inside.size:
        return None
    typical = np.float32(np.median(inside))
    known = mask if dead_rim is None else trusted_mask(noise, mask, work.grid, dead_rim)
    weights = known * np.minimum(typical / np.maximum(noise, typical / 4), 2)
    weights[noise <= 0] = 0
    return np.asarray(weights, dtype=np.float32)


def settle_sign(work: Work) -> None:
    """Decide the handedness of the phase, once; negate what was made when it is the other one."""
    if work.sign_settled:
        return
    work.sign_settled = True
    if work.settings.phase_sign != "auto":
        sign, trusted, says = work.phase_sign, True, "Given by the user."
    else:
        sign, trusted, says = _sign_by_evidence(work)
    work.phase_sign, work.sign_trusted = sign, trusted
    work.checks.append(images.check_handedness(sign, trusted, says))
    if sign < 0:
        for name in ("unwrapped_rad", "total_field_ppm", "local_field_ppm", "chi_ppm"):
            volume = getattr(work, name)
            if volume is not None:
                setattr(work, name, -volume)


def _sign_by_evidence(work: Work) -> tuple[int, bool, str]:
    """Return sign, whether to trust it, and the words; two witnesses who must not disagree."""
    grid, echoes, mask = work.grid, work.echoes, work.need("mask")
    # all that gives signal: sinuses and ear canals, which make the field, stay air
    first = work.bridged(echoes.magnitude[0])
    tissue = first > 0.1 * np.median(first[mask])
    dark = -echoes.magnitude[work.reading_echo]
    if echoes.n_echoes > 1:
        (dark, _) = RELAXATION["loglinear"](
            {"magnitude": echoes.magnitude, "te_s": echoes.te_s}, grid=grid
        )
    witnesses = [air_evidence(work.need("total_field_ppm"), tissue, mask, grid)]
    if work.chi_ppm is not None:
        inside = work.need("local_mask")
        witnesses.append(susceptibility_evidence(work.chi_ppm, dark, inside, grid))
    signs = {w.sign for w in witnesses if w.sign}
    says = " ".join(w.says for w in witnesses)
    if len(signs) == 1:
        return signs.pop(), True, says
    if len(signs) == 2:
        says = f"The evidence disagrees. {says}"
    return 1, False, says
