r"""Susceptibility of deep nuclei beside the iron that people of that age have in them.

The age curves are chemistry of autopsies, which knows no reference of susceptibility:

.. math:: c(t) = a \, (1 - e^{-b t}) + c_0

References
----------
.. [1] Hallgren & Sourander (1958), J. Neurochem. 3, 41-51,
   doi:10.1111/j.1471-4159.1958.tb12607.x: 81 autopsies.
.. [2] Schenck & Zimmerman (2004), NMR Biomed. 17, 433-445, doi:10.1002/nbm.922: moment of an
   iron atom of ferritin.
.. [3] Langkammer, Schweser, Krebs et al. (2012), NeuroImage 62, 1593-1599,
   doi:10.1016/j.neuroimage.2012.05.049: susceptibility against chemical iron in 13 brains.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_between, require_finite
from petechia.core.grid import Grid
from petechia.core.morphology import Mask, erode_mm

IRON_CURVE = {
    "pallidum": (21.41, 0.09, 0.37, 3.49),
    "putamen": (14.62, 0.04, 0.46, 3.43),
    "caudate": (9.66, 0.05, 0.33, 2.14),
}
"""a, b [1/year], c_0, and the standard deviation between adults [mg per 100 g, wet] [1]_."""
THALAMUS_IRON = (4.76, 1.16)
"""Mean and standard deviation over adults; it falls in old age, and no curve was fitted [1]_."""
PPM_PER_MG_ML = 1.30
"""Ferritin's iron at 37 C, by Curie's law from its moment [2]_ [ppm per mg/ml]. Tissue in situ
agrees with theory [3]_; living brains mapped at body temperature mostly give less."""
G_PER_ML = 1.04
MAP_SLOPE = 0.74
"""Of deep nuclei in our standard maps over the truth, on simulated heads: they come out a
quarter too weak (docs/concepts/choosing-a-method.md)."""
RIM_MM = 1.0
LEAST_VOXELS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Nucleus:
    """What a map tells of one nucleus.

    Attributes
    ----------
    name, side : str
        'pallidum', 'putamen', 'caudate', 'thalamus'; 'left' or 'right'.
    n_voxels : int
        Read, without the rim.
    volume_mm3 : float
        Of the label, with its rim.
    chi_ppm, low_ppm, high_ppm : float
        Median and quartiles, relative to the map's reference [ppm].
    expected_mg_per_100g : tuple of float or None
        Mean iron of people of that age, and the standard deviation between them; None where the
        age is not known.
    expected_ppm : tuple of float or None
        What that iron would make if all of it were ferritin's, and its deviation, against
        tissue without iron [ppm].
    """

    name: str
    side: str
    n_voxels: int
    volume_mm3: float
    chi_ppm: float
    low_ppm: float
    high_ppm: float
    expected_mg_per_100g: tuple[float, float] | None
    expected_ppm: tuple[float, float] | None


def expected_iron(nucleus: str, age_years: float) -> tuple[float, float]:
    """Return the mean non-haem iron of a nucleus at an age, and its spread [mg per 100 g].

    Raises
    ------
    ParameterError
        If the age is not one of an adult.
    KeyError
        If there is no curve of that nucleus.
    """
    require_between(age_years, 18.0, 110.0, "age_years", "The curves are of adults, 18 to 100.")
    if nucleus == "thalamus":
        return THALAMUS_IRON
    full, rate, start, spread = IRON_CURVE[nucleus]
    return float(full * (1 - np.exp(-rate * age_years)) + start), spread


def iron_ppm(mg_per_100g: float) -> float:
    """Return the susceptibility of so much iron, were all of it ferritin's [ppm]."""
    return PPM_PER_MG_ML * mg_per_100g / 100.0 * G_PER_ML


def nuclei_table(
    chi_ppm: npt.NDArray[np.floating],
    nuclei: Mapping[tuple[str, str], Mask],
    mask: Mask,
    grid: Grid,
    age_years: float | None = None,
) -> tuple[Nucleus, ...]:
    """Read the susceptibility of nuclei, without their rims.

    Parameters
    ----------
    chi_ppm : (I, J, K) ndarray of float
        Referenced susceptibility [ppm].
    nuclei : mapping of (name, side) to (I, J, K) ndarray of bool
        Where each nucleus is.
    mask : (I, J, K) ndarray of bool
        Where the map is valid, less lesions and veins.
    grid : Grid
        Geometry.
    age_years : float, optional
        Of the person.

    Returns
    -------
    tuple of Nucleus
        In the order given; without those of fewer than 20 voxels inside.

    Raises
    ------
    GridMismatchError
        If an array is not on `grid`.
    InputError
        If the susceptibility is not finite inside the mask.

    Notes
    -----
    A rim of 1 mm is left out, where there is enough inside: registration is no better, and
    neighbours would be read along. The median takes no notice of a vein or calcification.
    """
    grid.require(chi_ppm, "chi_ppm")
    grid.require(mask, "mask")
    require_finite(np.where(mask, chi_ppm, 0), "chi_ppm")
    rows = []
    for (name, side), where in nuclei.items():
        grid.require(where, f"{side} {name}")
        inner = erode_mm(where, grid, RIM_MM) & mask
        inside = inner if inner.sum() >= LEAST_VOXELS else where & mask
        if inside.sum() < LEAST_VOXELS:
            continue
        low, middle, high = (float(v) for v in np.percentile(chi_ppm[inside], [25, 50, 75]))
        iron = None if age_years is None else expected_iron(name, age_years)
        rows.append(
            Nucleus(
                name=name,
                side=side,
                n_voxels=int(inside.sum()),
                volume_mm3=float(where.sum()) * grid.voxel_mm3,
                chi_ppm=middle,
                low_ppm=low,
                high_ppm=high,
                expected_mg_per_100g=iron,
                expected_ppm=None if iron is None else (iron_ppm(iron[0]), iron_ppm(iron[1])),
            )
        )
    return tuple(rows)
