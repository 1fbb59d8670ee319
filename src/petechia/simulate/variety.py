"""Variety: what patients have, drawn at random, and the same patient a year or two later."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from petechia.errors import ParameterError
from petechia.simulate.atlas import Atlas
from petechia.simulate.patient import Patient, SimulationParams
from petechia.simulate.sources import Source, Sphere, sample_microbleeds
from petechia.simulate.vessels import VesselParams

GROWN = 0.15
"""Part of the microbleeds whose moment grows between two sessions."""
GROWTH = (1.4, 3.0)
"""By how much theirs grows."""
APART_MM = 6.0
"""New microbleeds keep this far from old ones."""


def varied_params(rng: np.random.Generator, protocol: str = "3t_megre_1mm") -> SimulationParams:
    """Draw what a patient has: none to more than fifty microbleeds, mimics, rarer things."""
    kind = str(rng.choice(["none", "few", "heavy"], p=[0.3, 0.62, 0.08]))
    n = {"none": 0, "few": None, "heavy": int(rng.integers(50, 120))}[kind]
    return SimulationParams(
        protocol=protocol,
        n_microbleeds=n,
        n_calcifications=int(rng.integers(0, 8)),
        pattern=str(rng.choice(["mixed", "lobar", "deep"], p=[0.4, 0.35, 0.25])),
        clustered=float(rng.uniform(0.0, 0.3)),
        elongated=float(rng.uniform(0.0, 0.25)),
        n_macrobleeds=int(rng.random() < 0.12),
        n_cavernomas=int(rng.random() < 0.06),
        n_siderosis=int(rng.integers(1, 4)) if rng.random() < 0.12 else 0,
        n_iron=int(rng.poisson(0.8)),
        n_air_specks=int(rng.poisson(2.0)),
    )


def varied_vessels(rng: np.random.Generator) -> VesselParams:
    """Draw what veins are like: few or many, straight or winding, how thin they end."""
    usual = VesselParams()

    def about(middle: float, spread: float) -> float:
        return float(middle * np.exp(rng.normal(0.0, spread)))

    return VesselParams(
        n_bridging=round(about(usual.n_bridging, 0.3)),
        n_pial=round(about(usual.n_pial, 0.5)),
        n_medullary=round(about(usual.n_medullary, 0.5)),
        n_small_pial=round(about(usual.n_small_pial, 0.7)),
        n_small_medullary=round(about(usual.n_small_medullary, 0.7)),
        n_intracortical=round(about(usual.n_intracortical, 0.4)),
        smallest_mm=float(rng.uniform(0.10, 0.20)),
        fork_per_mm=about(usual.fork_per_mm, 0.4),
        winding_per_mm=min(about(1.5 * usual.winding_per_mm, 0.6), 0.5),
        saturation=(0.5, 0.78),
    )


def follow_up(
    patient: Patient,
    atlas: Atlas,
    rng: np.random.Generator,
    *,
    n_new: int | None = None,
    pattern: str = "mixed",
    grown: float = GROWN,
) -> Patient:
    """Return the same person later: some microbleeds grown, some new, all else as it was.

    Parameters
    ----------
    patient : Patient
        At the first session.
    atlas : Atlas
        The template.
    rng : Generator
        Source of randomness.
    n_new : int or None
        New microbleeds; None draws 0 to some, more where there were many.
    pattern : str
        Where new ones lie.
    grown : float
        Part of the old ones that grow, 0 to 1.

    Raises
    ------
    ParameterError
        `n_new` or `grown` out of bounds.

    Notes
    -----
    Old lesions keep their order and so their index in the truth; new ones follow. The truth
    calls them 'grown microbleed' and 'new microbleed'.
    """
    require_change(n_new, grown)
    old = tuple(_later(source, rng, grown) for source in patient.sources)
    n_before = sum(s.kind == "microbleed" for s in old)
    n = int(rng.poisson(0.7 + 0.15 * n_before)) if n_new is None else n_new
    taken = [s.centre_mm for s in old]
    fresh: list[Source] = []
    for _ in range(40):
        if len(fresh) >= n:
            break
        for one in sample_microbleeds(n, atlas, patient.head, rng, pattern):
            if all(np.linalg.norm(one.centre_mm - other) > APART_MM for other in taken):
                taken.append(one.centre_mm)
                fresh.append(replace(one, title="new microbleed"))
    return replace(patient, sources=old + tuple(fresh[:n]))


def require_change(n_new: int | None, grown: float) -> None:
    """Raise `ParameterError` when nobody can come back so changed."""
    if n_new is not None and not 0 <= n_new <= 1000:
        raise ParameterError(
            f"{n_new} new microbleeds", where="second session", mend="Give --new 0 to 1000."
        )
    if not 0 <= grown <= 1:
        raise ParameterError(
            f"a part of {grown} grown", where="second session", mend="Give --grown 0 to 1."
        )


def _later(source: Source, rng: np.random.Generator, grown: float) -> Source:
    if source.kind != "microbleed" or rng.random() >= grown:
        return source
    factor = float(rng.uniform(*GROWTH)) ** (1 / 3)
    middle = source.centre_mm
    spheres = tuple(_scaled(s, middle, factor) for s in source.spheres)
    return replace(source, spheres=spheres, title="grown microbleed")


def _scaled(sphere: Sphere, middle: npt.NDArray[np.float64], factor: float) -> Sphere:
    x, y, z = (float(v) for v in middle + factor * (np.asarray(sphere.centre_mm) - middle))
    return replace(sphere, centre_mm=(x, y, z), radius_mm=factor * sphere.radius_mm)
