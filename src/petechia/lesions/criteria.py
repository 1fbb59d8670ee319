"""Clinical criteria: the definition of a microbleed, MARS, patient category, counts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.errors import ParameterError
from petechia.lesions.findings import CLASSES, Finding

LARGEST_MM = 10.0
"""A microbleed is at most so wide; wider is a macrobleed."""
FOCAL_SULCI = 3
"""Superficial siderosis in up to so many sulci is focal."""
SITES = (
    "frontal", "parietal", "temporal", "occipital", "insula", "basal_ganglia", "thalamus",
    "internal_capsule", "external_capsule", "corpus_callosum", "deep_periventricular_wm",
    "brainstem", "cerebellum", "n/a",
)  # fmt: skip
COMPARTMENTS = ("lobar", "deep", "infratentorial", "n/a")


@dataclass(frozen=True, slots=True, kw_only=True)
class CriteriaParams:
    """Cut-offs of the criteria.

    Attributes
    ----------
    smallest_mm : float
        Least diameter of a definite microbleed [mm].
    round_from, sharp_from, homogeneous_from : float
        Least sphericity, margin sharpness and homogeneity that meet the criterion.
    parenchyma_from : float
        Least share of the surroundings that is brain tissue.
    cerebellum : str
        How cerebellar microbleeds enter the patient's category: "infratentorial" (with
        the deep ones), or "ignored" (neither way, as in the Boston criteria 2.0).
    """

    smallest_mm: float = 2.0
    round_from: float = 0.7
    sharp_from: float = 0.25
    homogeneous_from: float = 0.3
    parenchyma_from: float = 0.5
    cerebellum: str = "infratentorial"

    def __post_init__(self) -> None:
        if self.cerebellum not in ("infratentorial", "ignored"):
            raise ParameterError(
                f"cerebellum = {self.cerebellum!r}",
                where="CriteriaParams.cerebellum",
                mend="Choose 'infratentorial' or 'ignored'.",
            )
        shares = (
            self.round_from, self.sharp_from, self.homogeneous_from, self.parenchyma_from,
        )  # fmt: skip
        if not all(0 <= s <= 1 for s in shares) or not 0 < self.smallest_mm < LARGEST_MM:
            raise ParameterError(
                f"{self}",
                where="CriteriaParams",
                mend="Shares lie between 0 and 1, smallest_mm between 0 and 10.",
            )


def lesion_criteria(
    diameter_mm: float,
    sphericity: float | None,
    margin_sharpness: float | None,
    homogeneity: float | None,
    parenchyma_fraction: float | None,
    params: CriteriaParams | None = None,
) -> dict[str, str]:
    """Judge each criterion of the definition: "met", "not met" or "not assessed".

    Edema needs a T2 or FLAIR image: not assessed here.
    """
    p = params or CriteriaParams()

    def judge(value: float | None, least: float) -> str:
        if value is None:
            return "not assessed"
        return "met" if value >= least else "not met"

    return {
        "2 to 10 mm": "met" if p.smallest_mm <= diameter_mm <= LARGEST_MM else "not met",
        "round or oval": judge(sphericity, p.round_from),
        "well defined": judge(margin_sharpness, p.sharp_from),
        "homogeneous": judge(homogeneity, p.homogeneous_from),
        "half in parenchyma": judge(parenchyma_fraction, p.parenchyma_from),
        "no edema": "not assessed",
    }


def mars_grade(class_: str, criteria: dict[str, str]) -> str:
    """Return "definite", "possible", or "n/a" for what is not taken for a microbleed.

    Definite: 2 to 10 mm, round and sharp; possible: less sharp or not strictly round.

    References
    ----------
    .. [1] Gregoire et al. (2009), Neurology 73, 1759-1766,
       doi:10.1212/WNL.0b013e3181c34a7d.
    """
    if class_ != "microbleed":
        return "n/a"
    asked = ("2 to 10 mm", "round or oval", "well defined")
    return "definite" if all(criteria[c] == "met" for c in asked) else "possible"


def patient_category(findings: Iterable[Finding], params: CriteriaParams | None = None) -> str:
    """Return none, strictly_lobar, strictly_deep_or_infratentorial, mixed or unknown_site.

    Only counted findings enter. One in an unknown place leaves the category
    unknown, unless it is mixed without it.
    """
    p = params or CriteriaParams()
    places = [(f.site, f.compartment) for f in findings if f.counted]
    if p.cerebellum == "ignored":
        places = [place for place in places if place[0] != "cerebellum"]
    lobar = any(c == "lobar" for _, c in places)
    deep = any(c in ("deep", "infratentorial") for _, c in places)
    if lobar and deep:
        return "mixed"
    if any(c == "n/a" for _, c in places):
        return "unknown_site"
    if not places:
        return "none"
    return "strictly_lobar" if lobar else "strictly_deep_or_infratentorial"


def count_bin(count: int) -> str:
    """Return "0", "1-4" or ">=5"."""
    if count < 0:
        raise ParameterError(f"count of {count}", where="count_bin", mend="Counts start at 0.")
    return "0" if count == 0 else "1-4" if count < 5 else ">=5"


def extent(n_sulci: int) -> str:
    """Return how far superficial siderosis reaches: "none", "focal" or "disseminated".

    References
    ----------
    Linn et al. 2010, 10.1212/WNL.0b013e3181dad605
    """
    return "none" if n_sulci == 0 else "focal" if n_sulci <= FOCAL_SULCI else "disseminated"


def count_distribution(probabilities: Sequence[float]) -> npt.NDArray[np.float64]:
    """Return P(count = 0 .. n) of independent findings: the Poisson-binomial law, exact."""
    law = np.ones(1)
    for p in probabilities:
        if not 0 <= p <= 1:
            raise ParameterError(
                f"probability {p}",
                where="count_distribution",
                mend="Probabilities lie between 0 and 1.",
            )
        law = np.convolve(law, [1 - p, p])
    return law


def count_interval(probabilities: Sequence[float], level: float = 0.95) -> tuple[int, int]:
    """Return the central interval of the count, given each finding's probability."""
    summed = np.cumsum(count_distribution(probabilities))
    tail = (1 - level) / 2
    # 1e-12: rounding of the sums must not move a certain count
    low = int(np.searchsorted(summed, tail + 1e-12))
    high = int(np.searchsorted(summed, 1 - tail - 1e-12))
    most = len(summed) - 1
    return min(low, most), min(high, most)


def summarise(
    findings: Sequence[Finding],
    params: CriteriaParams | None = None,
    no_siderosis_search: str | None = None,
) -> dict[str, Any]:
    """Return the summary's counts, category, bin, interval and criteria.

    `no_siderosis_search` tells why superficial siderosis was not looked for; None: it was.

    Returns
    -------
    dict
        Keys `counts`, `category`, `count_bin`, `count_interval_95`, `criteria`. Counts are
        sums of the column `counted`; the interval is over all findings, whatever their class.
    """
    counted = [f for f in findings if f.counted]
    probabilities = [round(f.probability, 3) for f in findings]
    moments = [f.moment_ppm_mm3 for f in counted if f.moment_ppm_mm3 is not None]
    judged = [f.criteria for f in counted if f.criteria]
    sheets = sum(f.class_ == "siderosis" for f in findings)
    return {
        "counts": {
            "total": len(counted),
            "definite": sum(f.mars == "definite" for f in counted),
            "possible": sum(f.mars == "possible" for f in counted),
            "left": sum(f.side == "left" for f in counted),
            "right": sum(f.side == "right" for f in counted),
            "midline": sum(f.side == "midline" for f in counted),
            "by_site": _tally((f.site for f in counted), SITES),
            "by_compartment": _tally((f.compartment for f in counted), COMPARTMENTS),
            "by_class": _tally((f.class_ for f in findings), CLASSES),
        },
        "category": patient_category(counted, params),
        "count_bin": count_bin(len(counted)),
        "count_interval_95": list(count_interval(probabilities)),
        "criteria": {
            "mars": {
                "definite": sum(f.mars == "definite" for f in counted),
                "possible": sum(f.mars == "possible" for f in counted),
            },
            "definition_met": {
                name: sum(c.get(name) == "met" for c in judged)
                for name in (judged[0] if judged else {})
            },
            "largest_diameter_mm": max((round(f.diameter_mm, 1) for f in counted), default=None),
            "total_moment_ppm_mm3": round(sum(moments), 2) if moments else None,
            "superficial_siderosis": {
                "sulci": None if no_siderosis_search else sheets,
                "extent": "not assessed" if no_siderosis_search else extent(sheets),
                "why_not": no_siderosis_search,
            },
        },
    }


def _tally(values: Iterable[str], words: Sequence[str]) -> dict[str, int]:
    found = list(values)
    return {word: found.count(word) for word in words}
