"""Numbers made of blood values: NLR, PLR, SII, eGFR; with units and what is possible."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy.typing as npt

from petechia.cohort.estimates import Floats

DERIVED = ("nlr", "plr", "sii", "egfr")


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """A derived column.

    Attributes
    ----------
    name, unit : str
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
    """Return neutrophils over lymphocytes [10^9/L]."""
    raise NotImplementedError


def plr(platelets_e9_l: npt.ArrayLike, lymphocytes_e9_l: npt.ArrayLike) -> Derived:
    """Return platelets over lymphocytes [10^9/L]."""
    raise NotImplementedError


def sii(
    platelets_e9_l: npt.ArrayLike,
    neutrophils_e9_l: npt.ArrayLike,
    lymphocytes_e9_l: npt.ArrayLike,
) -> Derived:
    """Return the systemic immune-inflammation index, platelets x neutrophils / lymphocytes."""
    raise NotImplementedError


def egfr(
    creatinine: npt.ArrayLike,
    age_years: npt.ArrayLike,
    sex: Sequence[str],
    unit: str = "umol/L",
) -> Derived:
    """Return CKD-EPI 2021 (without race) [mL/min/1.73 m2]; creatinine in 'umol/L' or 'mg/dL'."""
    raise NotImplementedError
