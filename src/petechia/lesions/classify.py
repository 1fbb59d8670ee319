"""What a void is, by rules that can be read, with its reasons in words and numbers.

The probability is a logistic sum of a few measured features. Its weights were set by hand
on simulated scans: it ranks findings, but it is not calibrated.
"""

from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np

from petechia.core.logistic import expit
from petechia.errors import ParameterError
from petechia.lesions.context import Context
from petechia.lesions.criteria import LARGEST_MM, CriteriaParams
from petechia.lesions.dephasing import Dephasing, both
from petechia.lesions.inputs import RegionLike
from petechia.lesions.moment import MomentFit
from petechia.lesions.shape import Shape
from petechia.lesions.thread import Thread
from petechia.lesions.tube import Tube

CLEAR = 3.0
"""A sign is clear when the moment is at least so many times its error."""
A_TUBE = 0.6
"""Strength of the continuation on two sides, over its own, from which a void is part of a tube."""
LONG, FAR = 2.0, 2.4
"""Elongation and reach, in radii of the void, from which a dark region is called a thread."""
TISSUE_PPM = 0.03
"""Susceptibilities of normal tissues differ by so much."""
CALCIUM_PPM, WIDE_MM = (0.06, 3.0), 5.0
"""Mean susceptibility of a calcification over its void, from and to. In a void wider than this [mm]
less may be tissue's own, as that of white matter between fluid is; more has no calcium salt.
True ones of simulated heads have 0.15 to 0.95."""
STRONG_TUBE = 0.8
"""Strength of the continuation on two sides from which what is negative is no calcification."""
SPHERE = 0.8
"""Sphericity from which a void is called round; a spheroid twice as long as wide has 0.79."""
LARGE_MM, LARGE_FIT, LARGE_CLEAR, LARGE_WITHIN = 6.5, 0.9, 5.0, 0.5
"""Width [mm], share of the field explained, moment over its error and share of tissue around of a
round void that is a large bleed by its field. The 204 simulated heads hold ten such voids, too
few to learn from: all are bleeds, three of them wider than 10 mm."""
LARGE_PROBABILITY = 0.9
LITTLE_PPM_MM3, LITTLE_ERROR, LITTLE_PROBABILITY = 0.1, 0.35, 0.05
"""A moment below the first [ppm mm^3], known to an error below the second, is too little for a
microbleed: at 3 T and 40 ms, or 7 T and 17 ms, its phase passes 1 rad within 0.8 mm of it. None of
2601 visible microbleeds of simulated people that were not trained on truly had less. Small spots
with so little have the third as their probability at most."""
SMALL_MM = 2.0
"""Below it a spot is smaller than a microbleed appears."""
FORBIDDEN = 0.02
"""Probability at most of what the field or its size forbids."""


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
    thread : Thread
        The dark region that it is a part of; by default none was looked for.
    tube_chi : Tube or None
        Continuation in the susceptibility.
    vessel : float or None
        Mean likeness to a vein over the void, 0 to 1.
    fit : MomentFit or None
        What the field around says.
    dephasing : Dephasing or None
        What the void itself says of the moment, where the field told that it is blood.
    filtered_fit : MomentFit or None
        What phase says that was high-pass filtered: of its sign only.
    as_given : MomentFit or None
        The same where the handedness of that phase is unknown: of no sign.
    phase : str
        "signed", "unsigned" (handedness unknown) or "none".
    chi_ppm : float or None
        Mean susceptibility over the void [ppm].
    region : RegionLike or None
        Where it lies.
    context : Context or None
        What it lies near or in.
    voxel_mm3 : float
        Volume of a voxel [mm^3].
    radians_per_ppm : float
        Phase that 1 ppm gathers until the reading echo [rad].
    """

    shape: Shape
    noise: float
    tube: Tube
    thread: Thread = field(default_factory=Thread)
    tube_chi: Tube | None = None
    vessel: float | None = None
    fit: MomentFit | None = None
    dephasing: Dephasing | None = None
    filtered_fit: MomentFit | None = None
    as_given: MomentFit | None = None
    phase: str = "none"
    chi_ppm: float | None = None
    region: RegionLike | None = None
    context: Context | None = None
    voxel_mm3: float = 1.0
    radians_per_ppm: float = 16.0

    @property
    def compactness(self) -> float:
        """Depth over the depth that the moment would give if it sat in one point.

        About 1 for a microbleed; less when the iron is spread out. A point's void is as
        deep as its moment, times the phase of 1 ppm, over the voxel, up to full.
        """
        if self.fit is None:
            return 1.0
        phase_volume = abs(self.fit.moment_ppm_mm3) * self.radians_per_ppm
        expected = float(np.clip(0.064 * phase_volume / self.voxel_mm3, 0.05, 1.0))
        return self.shape.depth / expected

    @property
    def moment(self) -> tuple[float, float] | None:
        """Moment and standard error by field and void [ppm mm^3]; None without a field."""
        if self.fit is None:
            return None
        by_field, void = (self.fit.moment_ppm_mm3, self.fit.se_ppm_mm3), self.dephasing
        if void is None:
            return by_field
        return both(by_field, (void.moment_ppm_mm3, void.se_ppm_mm3), form=self.fit.form_ppm_mm3)

    def with_filtered(self, fit: MomentFit | None, *, known: bool) -> Self:
        """Return it with what filtered phase says, of known handedness or not."""
        return replace(self, filtered_fit=fit if known else None, as_given=None if known else fit)

    @property
    def like_tissue(self) -> bool:
        """Whether a wide void's moment, as far as it is known, may be that of normal tissue."""
        if self.fit is None or self.shape.diameter_mm <= WIDE_MM:
            return False
        return abs(self.fit.moment_ppm_mm3) < CALCIUM_PPM[0] * self.shape.volume_mm3

    @property
    def large_bleed(self) -> bool:
        """Whether a large round void makes the field of one paramagnetic sphere and little else."""
        fit, s = self.fit, self.shape
        return (
            self.phase == "signed"
            and fit is not None
            and fit.significance >= LARGE_CLEAR
            and fit.explained >= LARGE_FIT
            and s.diameter_mm > LARGE_MM
            and s.sphericity >= SPHERE
            and s.parenchyma_fraction >= LARGE_WITHIN
        )

    @property
    def too_little(self) -> bool:
        """Whether a small spot's moment is known, and less than that of any microbleed."""
        small = self.shape.diameter_mm < SMALL_MM
        if self.phase != "signed" or self.moment is None or not small:
            return False
        moment, error = self.moment
        return moment < LITTLE_PPM_MM3 and error < LITTLE_ERROR

    @property
    def through(self) -> float:
        """Strongest continuation on opposite sides, in any image."""
        chi = self.tube_chi.through if self.tube_chi else 0.0
        return max(self.tube.through, chi)


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
        if sign in ("not_assessed", "paramagnetic"):
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
