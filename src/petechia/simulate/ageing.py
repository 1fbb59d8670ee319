"""What years do to a head: iron in the nuclei, wider ventricles and sulci.

References
----------
.. [1] Hallgren & Sourander (1958), The effect of age on the non-haemin iron in the human
   brain, J. Neurochem. 3, 41-51, doi:10.1111/j.1471-4159.1958.tb12607.x.
.. [2] Schenck & Zimmerman (2004), High-field magnetic resonance imaging of brain iron: birth
   of a biomarker?, NMR Biomed. 17, 433-445, doi:10.1002/nbm.922.
"""

import numpy as np
import numpy.typing as npt
from scipy import constants, ndimage

from petechia.errors import ParameterError
from petechia.simulate.atlas import VENTRICLES, Atlas

IRON_MG_PER_100G = {
    "pallidum": (21.41, 0.09, 0.37),
    "putamen": (14.62, 0.04, 0.46),
    "caudate": (9.66, 0.05, 0.33),
}
"""Non-haem iron a (1 - exp(-b age)) + c, fitted to autopsies [mg per 100 g] [1]_."""
FERRITIN_MAGNETONS = 3.78
"""Effective moment of an iron atom in ferritin [Bohr magnetons] [2]_."""
IRON_G_PER_MOL, TISSUE_G_PER_ML, BODY_K = 55.845, 1.04, 310.15
TEMPLATE_AGE = 25.0
"""About the age of the people of the template [years]."""
FULL_AGE = 60.0
"""Age at which nuclei have the susceptibilities of the adult table."""
VENTRICLE_MM = 4.2
"""How far the wall of the ventricles has moved at 80 years, at most."""
FLUID_SHIFT = 7.0
"""How much darker than at the template's age fluid may still be, in its T1 units, at 80."""


def draw_age(rng: np.random.Generator) -> float:
    """Return the age of a patient of a memory clinic or stroke unit [years]."""
    return float(np.clip(rng.normal(72.0, 9.0), 45.0, 95.0))


def require_age(age_years: float) -> None:
    """Raise ParameterError unless an age is one of an adult."""
    if not 18.0 <= age_years <= 105.0:
        raise ParameterError(
            f"age_years = {age_years}",
            where="simulate",
            mend="Give 18 to 105 years, or None to draw one.",
        )


def iron_mg_per_100g(nucleus: str, age_years: float) -> float:
    """Return the mean non-haem iron of a nucleus; those without a fit age as the pallidum does."""
    full, rate, start = IRON_MG_PER_100G.get(nucleus, IRON_MG_PER_100G["pallidum"])
    return float(full * (1 - np.exp(-rate * age_years)) + start)


def iron_ppm(mg_per_100g: float) -> float:
    r"""Return the susceptibility of ferritin iron in tissue at body temperature [ppm].

    Curie's law, with :math:`p` the effective moment of an iron atom of ferritin in Bohr
    magnetons [2]_ and :math:`n` their number per volume:

    .. math:: \chi = \mu_0 \, n \, p^2 \mu_B^2 / (3 k T)

    which is 1.30 ppm for a milligram in a millilitre.

    Notes
    -----
    Measured slopes of brain tissue are about that or somewhat lower; not all of the iron is
    ferritin's.
    """
    kg_per_m3 = mg_per_100g / 100.0 * TISSUE_G_PER_ML
    atoms_per_m3 = kg_per_m3 / (IRON_G_PER_MOL * 1e-3) * constants.Avogadro
    moment = FERRITIN_MAGNETONS * constants.value("Bohr magneton")
    thermal = 3 * constants.k * BODY_K
    return float(1e6 * constants.mu_0 * atoms_per_m3 * moment**2 / thermal)


def nucleus_chi_ppm(nucleus: str, adult_ppm: float, age_years: float) -> float:
    """Return a nucleus' susceptibility at an age from that at `FULL_AGE`, both against water.

    What differs is the iron that came or has not come yet; the thalamus keeps its own.
    """
    if nucleus == "thalamus":
        return adult_ppm
    more = iron_mg_per_100g(nucleus, age_years) - iron_mg_per_100g(nucleus, FULL_AGE)
    return adult_ppm + iron_ppm(more)


def atrophy(age_years: float, rng: np.random.Generator) -> float:
    """Draw how far a brain has shrunk: 0 at the template's age, 1 at 80 on average."""
    mean = max(age_years - TEMPLATE_AGE, 0.0) / (80.0 - TEMPLATE_AGE)
    return float(np.clip(mean * rng.lognormal(0.0, 0.3), 0.0, 1.8))


def ventricle_pull(atlas: Atlas, shape: tuple[int, ...], node_mm: float) -> npt.NDArray[np.float32]:
    """Return the displacement that widens the ventricles, on nodes, at most 1 mm: (3, A, B, C).

    It points into the ventricle: what lies around it in the head is looked up deeper inside.
    """
    step = float(atlas.grid.spacing_mm[0])
    inside = np.isin(atlas.regions, VENTRICLES[:2]).astype(np.float32)
    smooth = ndimage.gaussian_filter(inside, 6.0 / step)
    stride = node_mm / step
    index = np.stack(np.meshgrid(*(np.arange(n) * stride for n in shape), indexing="ij"))
    around = [
        ndimage.map_coordinates(slope, index, order=1, mode="nearest")
        for slope in np.gradient(smooth)
    ]
    pull = np.stack(around)
    return np.asarray(pull / np.linalg.norm(pull, axis=0).max(), dtype=np.float32)
