"""What tissues are made of, and their signal in a spoiled gradient echo."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

GYROMAGNETIC_MHZ_T = 42.577
FIELDS_T = (1.5, 3.0, 7.0)
"""Fields at which relaxation is known here."""
AIR, FLUID, GREY, WHITE, NUCLEUS, BONE, MARROW, FAT, SOFT, DURA = range(10)
FAT_SHIFT_PPM = -3.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Tissue:
    """What one tissue is made of.

    Attributes
    ----------
    density : float
        Protons, water 1.
    chi_ppm : float
        Susceptibility against water.
    t1_s, r2star_hz : tuple of float
        At each of `FIELDS_T`.
    """

    density: float
    chi_ppm: float
    t1_s: tuple[float, float, float]
    r2star_hz: tuple[float, float, float]


def _alike(value: float) -> tuple[float, float, float]:
    return (value, value, value)


TISSUES = {
    AIR: Tissue(density=0.0, chi_ppm=9.05, t1_s=_alike(1.0), r2star_hz=_alike(0.0)),
    FLUID: Tissue(density=1.0, chi_ppm=0.0, t1_s=(4.3, 4.3, 4.4), r2star_hz=(5.0, 6.0, 8.5)),
    GREY: Tissue(density=0.82, chi_ppm=0.005, t1_s=(1.15, 1.6, 1.95), r2star_hz=(13.0, 17.0, 32.0)),
    WHITE: Tissue(density=0.70, chi_ppm=-0.03, t1_s=(0.65, 0.9, 1.2), r2star_hz=(15.5, 20.5, 37.0)),
    NUCLEUS: Tissue(
        density=0.78, chi_ppm=0.005, t1_s=(0.95, 1.25, 1.6), r2star_hz=(14.0, 19.0, 34.0)
    ),
    BONE: Tissue(density=0.06, chi_ppm=-2.1, t1_s=_alike(0.4), r2star_hz=_alike(250.0)),
    MARROW: Tissue(density=0.35, chi_ppm=-0.8, t1_s=_alike(0.4), r2star_hz=_alike(60.0)),
    FAT: Tissue(density=0.7, chi_ppm=0.6, t1_s=_alike(0.4), r2star_hz=_alike(35.0)),
    SOFT: Tissue(density=0.6, chi_ppm=0.0, t1_s=_alike(1.2), r2star_hz=_alike(32.0)),
    DURA: Tissue(density=0.35, chi_ppm=0.0, t1_s=_alike(0.9), r2star_hz=_alike(70.0)),
}
BLOOD = Tissue(density=0.85, chi_ppm=0.0, t1_s=_alike(1.65), r2star_hz=(12.0, 42.0, 140.0))
"""Venous blood; each vein has a susceptibility of its own."""
IRON_R2STAR_HZ_PPM = (70.0, 140.0, 308.0)
"""R2* that a ppm of iron in a nucleus adds, at each of `FIELDS_T`."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Contrast:
    """Tissues under one protocol; signals are those at an echo time of 0, white matter 1.

    Attributes
    ----------
    signal, r2star_hz, chi_ppm : (10,) ndarray of float32
        By tissue.
    blood_signal, blood_r2star_hz : float
        Of veins.
    iron_r2star_hz_ppm : float
        R2* that iron adds.
    """

    signal: npt.NDArray[np.float32]
    r2star_hz: npt.NDArray[np.float32]
    chi_ppm: npt.NDArray[np.float32]
    blood_signal: float
    blood_r2star_hz: float
    iron_r2star_hz_ppm: float


def spoiled_signal(density: float, t1_s: float, tr_s: float, flip_deg: float) -> float:
    r"""Return the steady state of a spoiled gradient echo at an echo time of 0.

    .. math:: \rho \sin\alpha \frac{1 - E_1}{1 - E_1 \cos\alpha}, \quad E_1 = e^{-TR/T_1}
    """
    left, flip = np.exp(-tr_s / t1_s), np.radians(flip_deg)
    return float(density * np.sin(flip) * (1 - left) / (1 - np.cos(flip) * left))


def contrast_of(b0_t: float, tr_s: float, flip_deg: float) -> Contrast:
    """Return what tissues look like at one of `FIELDS_T`."""
    at = FIELDS_T.index(b0_t)

    def signal(tissue: Tissue) -> float:
        return spoiled_signal(tissue.density, tissue.t1_s[at], tr_s, flip_deg)

    tissues = [TISSUES[n] for n in range(len(TISSUES))]
    white = signal(TISSUES[WHITE])
    return Contrast(
        signal=np.array([signal(t) / white for t in tissues], dtype=np.float32),
        r2star_hz=np.array([t.r2star_hz[at] for t in tissues], dtype=np.float32),
        chi_ppm=np.array([t.chi_ppm for t in tissues], dtype=np.float32),
        blood_signal=signal(BLOOD) / white,
        blood_r2star_hz=BLOOD.r2star_hz[at],
        iron_r2star_hz_ppm=IRON_R2STAR_HZ_PPM[at],
    )
