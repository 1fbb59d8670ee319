"""The reasons for what a void is called, in words and numbers."""

import numpy as np

from petechia.lesions.context import Context
from petechia.lesions.criteria import CriteriaParams
from petechia.lesions.known import CLEAR, SPHERE, Features
from petechia.lesions.moment import MomentFit

A_TUBE = 0.6
"""Strength of the continuation on two sides, over its own, from which a void is part of a tube."""
LONG, FAR = 2.0, 2.4
"""Elongation and reach, in radii of the void, from which a dark region is called a thread."""


def explain(f: Features, sign: str, why: str, criteria: CriteriaParams | None = None) -> str:
    """Return the reasons in words and numbers, one line; oval is what meets the criterion."""
    s = f.shape
    parts = [why] if why else []
    parts.append(_field_words(f, sign))
    form, oval = round(s.sphericity, 2), (criteria or CriteriaParams()).round_from
    word = "irregular" if form < oval else "oval" if form < SPHERE else "round"
    parts.append(f"{word} (sphericity {form:.2f}), {s.diameter_mm:.1f} mm")
    parts.append(f"signal loss {100 * s.depth:.0f} % ({s.depth / max(f.noise, 1e-3):.0f} sd)")
    if f.through < 0.3:
        weaker = f.context is not None and f.context.continues
        parts.append("no tube continues" + (" at its own strength" if weaker else ""))
    elif f.through < A_TUBE:
        parts.append(f"weak continuation on two sides ({f.through:.2f} of its strength)")
    else:
        parts.append(f"continues as a tube on two sides ({f.through:.2f} of its strength)")
    if f.through < 0.3 <= f.tube.one_way:
        parts[-1] = f"continues on one side ({f.tube.one_way:.2f} of its strength)"
    if f.thread.elongation > LONG and f.thread.reach_radii > FAR:
        parts.append(f"part of a dark thread, {f.thread.reach_mm:.0f} mm to its end")
    parts.append(f"{100 * round(s.parenchyma_fraction, 2):.0f} % of its border in parenchyma")
    if s.outside_fraction > 0.1:
        parts.append(f"{100 * s.outside_fraction:.0f} % of its border outside the brain mask")
    if f.context is not None:
        parts += context_words(f.context)
    return "; ".join(parts)


def context_words(context: Context) -> list[str]:
    """Return what is remarkable about where a void lies, in words and numbers."""
    parts = []
    if context.continues:
        parts.append(f"thin dark lines go on for {context.vein_beyond_mm:.0f} mm beyond it")
    elif context.to_vein_mm is not None and context.to_vein_mm <= 3.0:
        parts.append(f"{context.to_vein_mm:.1f} mm from a vein")
    if context.in_sulcus:
        parts.append("in a sulcus")
    if context.structure:
        parts.append(f"at the place of the {context.structure.replace('_', ' ')}")
    elif context.to_ventricle_mm is not None and context.to_ventricle_mm <= 2.0:
        parts.append("at a ventricle")
    if context.to_air_mm is not None and context.to_air_mm <= 5.0:
        parts.append(f"{context.to_air_mm:.1f} mm from an air cavity")
    return parts


def _field_words(f: Features, sign: str) -> str:
    if f.phase == "none" and f.filtered_fit is not None:
        told = f"{_seen(f.filtered_fit)} over {f.filtered_fit.n_border} border voxels"
        return f"{told} in filtered phase, moment not measured: {sign.replace('_', ' ')}"
    if f.phase == "none":
        return "no usable phase: blood and calcium cannot be told apart"
    if f.fit is None:
        return "too few voxels with a valid field around it: sign not assessed"
    fit = f.fit
    size = f"{abs(fit.moment_ppm_mm3):.2f} +- {fit.se_ppm_mm3:.2f} ppm mm3"
    if f.phase == "unsigned":
        told = f"moment of size {size}, sign not assessed: handedness of the phase unknown"
        z = fit.significance
        word = "paramagnetic" if z > 0 else "diamagnetic"
        return f"{told}; {word} if the phase is as given" if abs(z) >= CLEAR else told
    moment, error = f.moment or (fit.moment_ppm_mm3, fit.se_ppm_mm3)
    size = f"{moment:.2f} +- {error:.2f} ppm mm3"
    if f.dephasing is not None:
        by_void = f.dephasing.moment_ppm_mm3
        size += f" ({fit.moment_ppm_mm3:.2f} by its field, {by_void:.2f} by its void)"
    told = f"{_seen(fit)} over {fit.n_border} border voxels, moment {size}: {sign}"
    if sign != "unclear" and abs(moment) < CLEAR * error:
        own = abs(fit.moment_ppm_mm3 / fit.significance)
        told += f"; its sign by an error of {own:.2f}, without what edge and tails add"
    elif sign == "unclear" and abs(moment) >= CLEAR * error:
        own = abs(fit.significance)
        told += f"; its sign by the field alone, at {own:.1f} errors of the {CLEAR:g} asked for"
    return told


def _seen(fit: MomentFit) -> str:
    """Return where the field was positive and where negative."""
    seen = " and ".join(
        f"{'positive' if value > 0 else 'negative'} at the {where}"
        for value, where in ((fit.equator_ppm, "equator"), (fit.poles_ppm, "poles"))
        if np.isfinite(value)
    )
    return f"field {seen}" if seen else "field"
