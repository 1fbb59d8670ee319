"""Numbers made of blood values: NLR, PLR, SII, eGFR; with units and what is possible."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.cohort.estimates import Floats
from petechia.errors import ParameterError

POSSIBLE = {
    "neutrophils_e9_l": (0.0, 100.0),
    "lymphocytes_e9_l": (0.02, 200.0),
    "platelets_e9_l": (1.0, 3000.0),
    "creatinine_mg_dl": (0.1, 30.0),
    "age_years": (18.0, 120.0),
}
"""Values outside are refused as written in another unit, or mistaken."""
UMOL_PER_MG_DL = 88.42
UNITS = ("umol/L", "mg/dL")
FEMALE, MALE = ("f", "female", "woman"), ("m", "male", "man")


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """A derived column.

    Attributes
    ----------
    name, unit : str
        What it is, and in what.
    values : (N,) array of float
        NaN where something is missing or impossible.
    notes : tuple of str
        How many values were refused, and why.
    """

    name: str
    unit: str
    values: Floats
    notes: tuple[str, ...] = ()


def nlr(neutrophils_e9_l: npt.ArrayLike, lymphocytes_e9_l: npt.ArrayLike) -> Derived:
    """Return neutrophils over lymphocytes, both in 10^9/L."""
    notes: list[str] = []
    n = _possible("neutrophils_e9_l", neutrophils_e9_l, notes)
    lymph = _possible("lymphocytes_e9_l", lymphocytes_e9_l, notes)
    return Derived(name="nlr", unit="1", values=n / lymph, notes=tuple(notes))


def plr(platelets_e9_l: npt.ArrayLike, lymphocytes_e9_l: npt.ArrayLike) -> Derived:
    """Return platelets over lymphocytes, both in 10^9/L."""
    notes: list[str] = []
    p = _possible("platelets_e9_l", platelets_e9_l, notes)
    lymph = _possible("lymphocytes_e9_l", lymphocytes_e9_l, notes)
    return Derived(name="plr", unit="1", values=p / lymph, notes=tuple(notes))


def sii(
    platelets_e9_l: npt.ArrayLike,
    neutrophils_e9_l: npt.ArrayLike,
    lymphocytes_e9_l: npt.ArrayLike,
) -> Derived:
    """Return the systemic immune-inflammation index, platelets x neutrophils / lymphocytes.

    References
    ----------
    .. [1] Hu et al. (2014), Clin. Cancer Res. 20, 6212-6222,
       doi:10.1158/1078-0432.CCR-14-0442.
    """
    notes: list[str] = []
    p = _possible("platelets_e9_l", platelets_e9_l, notes)
    n = _possible("neutrophils_e9_l", neutrophils_e9_l, notes)
    lymph = _possible("lymphocytes_e9_l", lymphocytes_e9_l, notes)
    return Derived(name="sii", unit="10^9/L", values=p * n / lymph, notes=tuple(notes))


def egfr(
    creatinine: npt.ArrayLike,
    age_years: npt.ArrayLike,
    sex: Sequence[str],
    unit: str = "umol/L",
) -> Derived:
    r"""Return CKD-EPI 2021 (without race) [mL/min/1.73 m2].

    .. math:: 142 \min(S/\kappa, 1)^{\alpha} \max(S/\kappa, 1)^{-1.2} 0.9938^{age}
        (1.012 \text{ if female})

    Parameters
    ----------
    creatinine : (N,) array of float
        Of serum, in `unit`.
    age_years : (N,) array of float
        From 18 on: the equation is for adults.
    sex : sequence of str
        'F' or 'M' ('female', 'male'); others are missing.
    unit : str
        'umol/L' or 'mg/dL'.

    References
    ----------
    .. [1] Inker et al. (2021), N. Engl. J. Med. 385, 1737-1749, doi:10.1056/NEJMoa2102953.
    """
    if unit not in UNITS:
        raise ParameterError(
            f"unit {unit!r}", where="egfr", mend=f"Choose one of {', '.join(UNITS)}."
        )
    notes: list[str] = []
    given = np.asarray(creatinine, dtype=np.float64)
    mg = _possible("creatinine_mg_dl", given / (UMOL_PER_MG_DL if unit == "umol/L" else 1.0), notes)
    age = _possible("age_years", age_years, notes)
    words = [str(word).strip().lower() for word in sex]
    if not len(words) == len(mg) == len(age):
        raise ParameterError(
            f"{len(mg)} creatinines, {len(age)} ages, {len(words)} sexes", where="egfr",
            mend="Give one of each for each person.",
        )  # fmt: skip
    female = np.array([word in FEMALE for word in words])
    odd = ~female & ~np.array([word in MALE for word in words])
    if odd.any():
        notes.append(f"sex: {odd.sum()} neither F nor M, left out")
    kappa, alpha = np.where(female, 0.7, 0.9), np.where(female, -0.241, -0.302)
    ratio = mg / kappa
    told = 142 * np.minimum(ratio, 1) ** alpha * np.maximum(ratio, 1) ** -1.2 * 0.9938**age
    told = np.where(female, 1.012 * told, told)
    told[odd] = np.nan
    return Derived(name="egfr", unit="mL/min/1.73 m2", values=told, notes=tuple(notes))


def _possible(name: str, values: npt.ArrayLike, notes: list[str]) -> Floats:
    """Return values with those outside what is possible as NaN, and a note of how many."""
    told = np.array(values, dtype=np.float64)
    low, high = POSSIBLE[name]
    bad = np.isfinite(told) & ((told < low) | (told > high))
    if bad.any():
        first = told[bad][0]
        notes.append(
            f"{name}: {bad.sum()} outside {low:g}-{high:g} (the first is {first:g}), left out; "
            "is the unit right?"
        )
    told[bad] = np.nan
    return told
