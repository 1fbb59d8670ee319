"""What a void is, by rules that can be read.

The probability is a logistic sum of a few measured features. Its weights were set by hand
on simulated scans: it ranks findings, but it is not calibrated.
"""

from dataclasses import dataclass, field

import numpy as np

from petechia.core.logistic import expit
from petechia.errors import ParameterError
from petechia.lesions.criteria import LARGEST_MM, CriteriaParams
from petechia.lesions.evidence import explain
from petechia.lesions.known import (
    CALCIUM_PPM,
    CLEAR,
    LITTLE_PROBABILITY,
    Features,
)

TISSUE_PPM = 0.03
"""Susceptibilities of normal tissues differ by so much."""
STRONG_TUBE = 0.8
"""Strength of the continuation on two sides from which what is negative is no calcification."""
LARGE_PROBABILITY = 0.9
"""Of a large bleed by its field, at least."""
FORBIDDEN = 0.02
"""Probability at most of what the field or its size forbids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifyParams:
    """Weights of the logistic sum, and cut-offs of the rules.

    Each weight is the log-odds that its feature can add or take at most.

    Attributes
    ----------
    bias : float
        Log-odds of a void that no feature speaks for.
    contrast, roundness, parenchyma : float
        For a deep, round void with tissue all around.
    one_way, faint_tail, through, elongation : float
        Against what continues: on any side over its own strength, on any side in
        absolute terms, on two sides, and as the form of the whole dark region.
    edge, wide, tiny : float
        Against the edge of the brain, voids wider than 4 to 8 mm, and voids of a voxel.
    dipole, moment, diffuse, tube_chi, no_field : float
        With a field: for a dipole's pattern and a clear moment; against a moment too
        strong for so faint a void (iron spread over a nucleus), a continuation in the
        susceptibility, and a field that could not be read. `dipole` also shifts the
        bias by a third of itself.
    negative : float
        Against a negative moment.
    least_probability : float
        Below it a void is not of class microbleed.
    """

    bias: float = -8.5
    contrast: float = 3.5
    roundness: float = 5.5
    parenchyma: float = 3.0
    one_way: float = 6.0
    faint_tail: float = 2.0
    through: float = 2.0
    elongation: float = 1.5
    edge: float = 2.0
    wide: float = 1.5
    tiny: float = 1.0
    dipole: float = 3.5
    moment: float = 1.0
    diffuse: float = 3.5
    tube_chi: float = 1.6
    no_field: float = 0.5
    negative: float = 8.0
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
    p, s, one_way = params or ClassifyParams(), f.shape, f.tube.one_way
    # a voxel much larger than the void is never empty
    full = 0.7 * min(1.0, (2.0 / f.voxel_mm3) ** 0.5)
    terms = {
        "bias": p.bias,
        "contrast": p.contrast * ramp(s.depth, min(0.2, 0.4 * full), full),
        "roundness": p.roundness * ramp(s.sphericity, 0.35, 0.75),
        "parenchyma": p.parenchyma * ramp(s.parenchyma_fraction, 0.3, 0.9),
        "tube": -p.one_way * ramp(one_way, 0.1, 0.7)
        - p.faint_tail * ramp(one_way * s.depth, 0.08, 0.35)
        - p.through * ramp(f.tube.through, 0.1, 0.5)
        - p.elongation * ramp(s.elongation, 1.5, 3.0),
        "edge": -p.edge * ramp(s.outside_fraction, 0.0, 0.3),
        "size": -p.wide * ramp(s.diameter_mm, 4, 8) - p.tiny * ramp(-s.diameter_mm, -2.2, -1.0),
    }
    if f.phase == "none":
        return terms
    if f.fit is None:
        return terms | {"field": -p.no_field}
    z = f.fit.significance if f.phase == "signed" else abs(f.fit.significance)
    told = p.dipole * (ramp(f.fit.explained, 0.1, 0.6) - 1 / 3) + p.moment * ramp(z, 1.5, 6)
    told -= p.negative * ramp(-z, -1.0, CLEAR)
    told -= p.diffuse * ramp(-f.compactness, -0.7, -0.35) if z > CLEAR else 0.0
    told -= p.tube_chi * ramp(f.tube_chi.one_way, 0.1, 0.5) if f.tube_chi else 0.0
    return terms | {"field": told}


def sign_of(f: Features) -> str:
    """Return the contract's word for the sign of the moment."""
    fit = f.fit if f.phase == "signed" else f.filtered_fit
    if fit is None:
        return "not_assessed"
    z = fit.significance
    return "paramagnetic" if z >= CLEAR else "diamagnetic" if z <= -CLEAR else "unclear"


def classify(
    f: Features, params: ClassifyParams | None = None, criteria: CriteriaParams | None = None
) -> Verdict:
    """Name a void.

    In this order: a clear negative moment is a calcification, or when it is too little for the
    void's size something else, never blood; a probability of at least `least_probability` a
    microbleed, or a macrobleed above 10 mm; else the strongest other explanation, if there is one.
    """
    p = params or ClassifyParams()
    terms = log_odds(f, p)
    total = sum(terms.values())
    sign = sign_of(f)
    probability = _by_moment(float(expit(total)), f)
    if sign == "diamagnetic":
        class_, why = _negative(f, _otherwise(f)[0])
        probability = min(probability, FORBIDDEN)
    elif probability >= p.least_probability and round(f.shape.diameter_mm, 1) > LARGEST_MM:
        class_, why = "macrobleed", f"wider than {LARGEST_MM:g} mm"
        probability = min(probability, FORBIDDEN)
    elif probability >= p.least_probability:
        class_, why = "microbleed", ""
    else:
        class_, why = _otherwise(f)
    return Verdict(
        class_=class_,
        sign=sign,
        probability=probability,
        evidence=explain(f, sign, why, criteria),
        terms=terms,
    )


def _by_moment(probability: float, f: Features) -> float:
    """Return the probability within what the moment leaves."""
    return min(probability, LITTLE_PROBABILITY) if f.too_little else probability


def _negative(f: Features, otherwise: str) -> tuple[str, str]:
    """Return the class of a clear negative moment, and why; `otherwise` when it is no calcium's."""
    if f.like_tissue:
        return otherwise, "negative moment, for its size no more than that of normal tissue"
    if f.fit is not None and abs(f.fit.moment_ppm_mm3) > CALCIUM_PPM[1] * f.shape.volume_mm3:
        return otherwise, "negative moment, for its size more than calcium has"
    if f.through >= STRONG_TUBE:
        return otherwise, "negative moment, but a tube goes through it"
    return "calcification", "negative moment"


def _otherwise(f: Features) -> tuple[str, str]:
    """Return the strongest explanation of what is not a microbleed."""
    s = f.shape
    nucleus = f.region is not None and f.region.site == "basal_ganglia"
    scores = {
        ("vessel", "continues as a tube"): max(
            ramp(f.through, 0.3, 0.6),
            0.9 * ramp(f.tube.one_way, 0.3, 0.7),
            ramp(s.elongation, 1.8, 3.0),
            0.8 * (f.vessel or 0.0),
        ),
        ("air_tissue", "at the edge of the brain"): ramp(s.outside_fraction, 0.1, 0.4),
        ("iron", "faint, in an iron-rich nucleus"): 0.9
        * nucleus
        * max(ramp(-s.depth, -0.7, -0.4), ramp(-f.compactness, -0.7, -0.35)),
    }
    best = max(scores, key=lambda name: scores[name])
    return best if scores[best] > 0.4 else ("undetermined", "no explanation stands out")


def name_void(
    f: Features,
    opinion: tuple[float, dict[str, float], str],
    least_probability: float,
    params: ClassifyParams | None = None,
    criteria: CriteriaParams | None = None,
) -> Verdict:
    """Name a void by what the model thinks of it, within what the field forbids.

    A clear negative moment is a calcification, whatever the model thinks; where it is too
    little for the void's size to be one, something else, but never blood. Else a probability of at
    least `least_probability` is a microbleed, or a macrobleed above 10 mm; else the likeliest other
    class. A large round void with the field of one sphere is a bleed, which the model has seen too
    few of; a speck with hardly any moment is none. Blood and calcium are not told apart by the
    model where the sign is unknown.

    Parameters
    ----------
    f : Features
        What was measured.
    opinion : tuple of probability, shares of other classes, reasons
        Of the model.
    least_probability : float
        The lowest operating point.
    params : ClassifyParams
        Settings of the rules, whose terms order what is equally probable.
    criteria : CriteriaParams
        From which sphericity a void is oval.
    """
    probability, others, reasons = opinion
    sign = sign_of(f)
    terms = log_odds(f, params)
    why = f"model: {reasons}" if reasons else ""
    if f.large_bleed and probability < LARGE_PROBABILITY:
        probability, why = LARGE_PROBABILITY, "large, round, and the field is that of one sphere"
    if (most := _by_moment(probability, f)) < probability:
        probability, why = most, "too little iron for a microbleed"
    # siderosis is told of whole sheets, not of a void
    others = others | {"siderosis": 0.0}
    if sign == "diamagnetic":
        class_, why = _negative(f, _first(others | {"calcification": 0.0, "macrobleed": 0.0}))
        probability = min(probability, FORBIDDEN)
    elif round(f.shape.diameter_mm, 1) > LARGEST_MM and (
        probability >= least_probability or _first(others) == "macrobleed"
    ):
        class_, why = "macrobleed", f"wider than {LARGEST_MM:g} mm"
        probability = min(probability, FORBIDDEN)
    elif probability >= least_probability:
        class_ = "microbleed"
    else:
        if sign != "unclear" or (f.fit is not None and f.fit.moment_ppm_mm3 > 0):
            others = others | {"calcification": 0.0}
        if round(f.shape.diameter_mm, 1) <= LARGEST_MM:
            others = others | {"macrobleed": 0.0}
        class_ = _first(others)
    return Verdict(
        class_=class_,
        sign=sign,
        probability=probability,
        evidence=explain(f, sign, why, criteria),
        terms=terms,
    )


def _first(shares: dict[str, float]) -> str:
    return max(shares, key=lambda name: shares[name])
