"""What a microbleed is: the criteria of its definition, each met, not met or not assessed."""

from dataclasses import dataclass

from petechia.core.counts import CountDoubt
from petechia.errors import ParameterError

LARGEST_MM = 10.0
"""A microbleed is at most so wide; wider is a macrobleed."""
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
    pvs_above : int
        Perivascular spaces of the basal ganglia give a point of the total small-vessel score
        above this number; sources have 10 or 20.
    count_doubt : CountDoubt, optional
        What the detector's findings have in common: for the interval of the count.
    """

    smallest_mm: float = 2.0
    round_from: float = 0.7
    sharp_from: float = 0.25
    homogeneous_from: float = 0.3
    parenchyma_from: float = 0.5
    cerebellum: str = "infratentorial"
    pvs_above: int = 10
    count_doubt: CountDoubt | None = None

    def __post_init__(self) -> None:
        if self.cerebellum not in ("infratentorial", "ignored"):
            raise ParameterError(
                f"cerebellum = {self.cerebellum!r}",
                where="CriteriaParams.cerebellum",
                mend="Choose 'infratentorial' or 'ignored'.",
            )
        if self.pvs_above not in (10, 20):
            raise ParameterError(
                f"pvs_above = {self.pvs_above!r}",
                where="CriteriaParams.pvs_above",
                mend="Choose 10 or 20, the two cut-offs that are published.",
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

    Edema needs a FLAIR image: not assessed here.
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
