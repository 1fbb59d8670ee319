"""What a void is, by rules that can be read, with its reasons in words and numbers.

The probability is a logistic sum of a few measured features. Its weights were set by hand
on simulated scans: it ranks findings, but it is not calibrated.
"""

from dataclasses import dataclass, field

import numpy as np

from petechia.errors import ParameterError
from petechia.lesions.criteria import LARGEST_MM
from petechia.lesions.inputs import RegionLike
from petechia.lesions.moment import MomentFit
from petechia.lesions.shape import Shape
from petechia.lesions.tube import Tube

CLEAR = 3.0
"""A sign is clear when the moment is at least so many times its error."""
IRON_NUCLEI = ("pallidum", "putamen", "caudate", "nigra", "rubr", "dentate", "basal_ganglia")


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """All that is known of one void.

    Attributes
    ----------
    shape : Shape
        Size and form.
    noise : float
        Spread of relative signal in undisturbed tissue.
    tube : Tube
        Continuation in the magnitude.
    tube_chi : Tube or None
        Continuation in the susceptibility.
    vessel : float or None
        Mean likeness to a vein over the void, 0 to 1.
    fit : MomentFit or None
        What the field around says.
    phase : str
        "signed", "unsigned" (handedness unknown) or "none".
    chi_ppm : float or None
        Mean susceptibility over the void [ppm].
    region : RegionLike or None
        Where it lies.
    """

    shape: Shape
    noise: float
    tube: Tube
    tube_chi: Tube | None = None
    vessel: float | None = None
    fit: MomentFit | None = None
    phase: str = "none"
    chi_ppm: float | None = None
    region: RegionLike | None = None

    @property
    def through(self) -> float:
        """Strongest continuation on opposite sides, in any image."""
        chi = self.tube_chi.through if self.tube_chi else 0.0
        return max(self.tube.through, chi)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifyParams:
    """Weights of the logistic sum, and cut-offs of the rules.

    Attributes
    ----------
    bias : float
        Log-odds of a void about which nothing is known.
    contrast, roundness, tube, parenchyma, edge, moment, size : float
        Weights of the features of `log_odds`.
    least_probability : float
        Below it a void is not of class microbleed.
    """

    bias: float = 0.0
    contrast: float = 1.0
    roundness: float = 1.0
    tube: float = 1.0
    parenchyma: float = 1.0
    edge: float = 1.0
    moment: float = 1.0
    size: float = 1.0
    least_probability: float = 0.3

    def __post_init__(self) -> None:
        if not 0 < self.least_probability < 1:
            raise ParameterError(
                f"{self.least_probability}",
                where="ClassifyParams.least_probability",
                mend="Give a probability between 0 and 1.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Class, sign and probability of one void, and why."""

    class_: str
    sign: str
    probability: float
    evidence: str
    terms: dict[str, float] = field(default_factory=dict)


def ramp(value: float, low: float, high: float) -> float:
    """Return 0 below `low`, 1 above `high`, linear between."""
    return float(np.clip((value - low) / (high - low), 0, 1))


def log_odds(f: Features, params: ClassifyParams | None = None) -> dict[str, float]:
    """Return the terms of the logistic sum, by name; positive speaks for a microbleed."""
    p, s = params or ClassifyParams(), f.shape
    contrast = s.depth / max(f.noise, 0.02)
    terms = {
        "bias": p.bias,
        "contrast": p.contrast * (2 * ramp(contrast, 3, 8) + 2 * ramp(s.depth, 0.2, 0.7) - 2),
        "roundness": p.roundness * (3 * ramp(s.sphericity, 0.35, 0.75) - 2),
        "tube": -p.tube * (10 * ramp(f.through, 0.25, 0.65) - 1 + ramp(s.elongation, 2, 4)),
        "parenchyma": p.parenchyma * (2 * ramp(s.parenchyma_fraction, 0.2, 0.7) - 1),
        "edge": -6 * p.edge * ramp(s.outside_fraction, 0.05, 0.4),
        "size": -6 * p.size * float(round(s.diameter_mm, 1) > LARGEST_MM),
    }
    if f.phase == "none":
        return terms
    if f.fit is None:
        return terms | {"moment": -0.5 * p.moment}
    z = f.fit.significance if f.phase == "signed" else abs(f.fit.significance)
    term = 2.5 * ramp(z, 2, 8) - 1.5 * ramp(-z, -2.5, 0) - 6 * ramp(-z, 0, CLEAR)
    term += 1.5 * ramp(f.fit.explained, 0.05, 0.4) - 0.5
    return terms | {"moment": p.moment * term}


def sign_of(f: Features) -> str:
    """Return the contract's word for the sign of the moment."""
    if f.phase != "signed" or f.fit is None:
        return "not_assessed"
    z = f.fit.significance
    return "paramagnetic" if z >= CLEAR else "diamagnetic" if z <= -CLEAR else "unclear"


def classify(f: Features, params: ClassifyParams | None = None) -> Verdict:
    """Name a void.

    In this order: a clear negative moment is a calcification; a probability of at least
    `least_probability` a microbleed, or a macrobleed above 10 mm; else the strongest other
    explanation, if there is one.
    """
    p = params or ClassifyParams()
    terms = log_odds(f, p)
    total = sum(terms.values())
    sign = sign_of(f)
    without_size = 1 / (1 + np.exp(-(total - terms["size"])))
    probability = float(1 / (1 + np.exp(-np.clip(total, -30, 30))))
    if sign == "diamagnetic":
        class_, why = "calcification", "negative moment"
        probability = min(probability, 0.02)
    elif without_size >= p.least_probability and terms["size"] < 0:
        class_, why = "macrobleed", "wider than 10 mm"
        probability = min(probability, 0.02)
    elif probability >= p.least_probability:
        class_, why = "microbleed", ""
    else:
        class_, why = _otherwise(f, sign)
    return Verdict(
        class_=class_,
        sign=sign,
        probability=probability,
        evidence=explain(f, sign, why),
        terms=terms,
    )


def _otherwise(f: Features, sign: str) -> tuple[str, str]:
    """Return the strongest explanation of what is not a microbleed."""
    s = f.shape
    region = f"{f.region.name} {f.region.site}".lower() if f.region else ""
    nucleus = any(name in region for name in IRON_NUCLEI)
    sheet = s.flatness > 2.5 and s.volume_mm3 > 30 and sign == "paramagnetic"
    scores = {
        ("vessel", "continues as a tube"): max(
            ramp(f.through, 0.3, 0.6), ramp(s.elongation, 1.8, 3.0), 0.8 * (f.vessel or 0.0)
        ),
        ("air_tissue", "at the edge of the brain"): ramp(s.outside_fraction, 0.1, 0.4),
        ("iron", "faint, in an iron-rich nucleus"): 0.9 * nucleus * ramp(-s.depth, -0.7, -0.4),
        ("siderosis", "sheet along the surface"): 0.95
        * sheet
        * ramp(s.outside_fraction, 0.02, 0.15),
    }
    best = max(scores, key=lambda name: scores[name])
    return best if scores[best] > 0.4 else ("undetermined", "no explanation stands out")


def explain(f: Features, sign: str, why: str) -> str:
    """Return the reasons in words and numbers, one line."""
    s = f.shape
    parts = [why] if why else []
    parts.append(_field_words(f, sign))
    form = "round" if s.sphericity >= 0.7 else "oval" if s.sphericity >= 0.5 else "irregular"
    parts.append(f"{form} (sphericity {s.sphericity:.2f}), {s.diameter_mm:.1f} mm")
    parts.append(f"signal loss {100 * s.depth:.0f} % ({s.depth / max(f.noise, 1e-3):.0f} sd)")
    if f.through < 0.3:
        parts.append("no tube continues")
    elif f.through < 0.6:
        parts.append(f"weak continuation on two sides ({f.through:.2f} of its strength)")
    else:
        parts.append(f"continues as a tube on two sides ({f.through:.2f} of its strength)")
    parts.append(f"{100 * s.parenchyma_fraction:.0f} % of its border in parenchyma")
    if s.outside_fraction > 0.1:
        parts.append(f"{100 * s.outside_fraction:.0f} % of its border outside the brain mask")
    return "; ".join(parts)


def _field_words(f: Features, sign: str) -> str:
    if f.phase == "none":
        return "no usable phase: blood and calcium cannot be told apart"
    if f.fit is None:
        return "too few voxels with a valid field around it: sign not assessed"
    fit = f.fit
    size = f"{abs(fit.moment_ppm_mm3):.2f} +- {fit.se_ppm_mm3:.2f} ppm mm3"
    if f.phase == "unsigned":
        return f"moment of size {size}, sign not assessed: handedness of the phase unknown"
    seen = " and ".join(
        f"{'positive' if value > 0 else 'negative'} at the {where}"
        for value, where in ((fit.equator_ppm, "equator"), (fit.poles_ppm, "poles"))
        if np.isfinite(value)
    )
    size = f"{fit.moment_ppm_mm3:.2f} +- {fit.se_ppm_mm3:.2f} ppm mm3"
    told = f"field {seen}" if seen else "field"
    return f"{told} over {fit.n_border} border voxels, moment {size}: {sign.replace('_', ' ')}"
