"""What tissues are made of: proton density, T1, T2*, susceptibility at each main field."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

AIR_PPM = 9.2
"""Susceptibility of air against water; the field solver counts from air, where it is 0."""

FAT_SHIFT_PPM = -3.4
"""Chemical shift of fat from water."""

FIELDS_T = (1.5, 3.0, 7.0)
"""Main fields at which relaxation is tabulated."""

RELAXIVITY_HZ_PER_PPM = 137.0
"""R2' of finely spread iron at 3 T, per ppm; proportional to the field."""

STATIC_DEPHASING = 2 * np.pi / (9 * np.sqrt(3))
"""R2' of randomly placed strong spheres over gamma B0 chi (static dephasing)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tissue:
    """One substance.

    Attributes
    ----------
    pd : float
        Proton density against CSF, 0..1.
    t1_s, t2star_s : tuple of float
        At 1.5, 3 and 7 T [s].
    chi_ppm : float
        Against water.
    """

    pd: float
    t1_s: tuple[float, float, float]
    t2star_s: tuple[float, float, float]
    chi_ppm: float

    def t1_at(self, b0_t: float) -> float:
        """Return T1 at `b0_t` [s]; logarithmic between the tabulated fields."""
        return _log_log(b0_t, self.t1_s)

    def r2star_at(self, b0_t: float) -> float:
        """Return R2* at `b0_t` [1/s]; logarithmic between the tabulated fields."""
        return 1.0 / _log_log(b0_t, self.t2star_s)


def _log_log(b0_t: float, values: tuple[float, float, float]) -> float:
    return float(np.exp(np.interp(np.log(b0_t), np.log(FIELDS_T), np.log(values))))


# Brain: T1 and T2* of grey and white matter and CSF at three fields as collected in the
# project's physics reference (relaxometry reviews; sets of different laboratories disagree by
# 20 %), susceptibilities of the QSM phantom of Marques et al. 2021, 10.1002/mrm.28716.
# Outside the brain: typical values of textbooks; nothing is measured there.
TISSUES = {
    "soft": Tissue(pd=0.75, t1_s=(1.0, 1.4, 1.8), t2star_s=(0.035, 0.028, 0.015), chi_ppm=0.0),
    "fat": Tissue(pd=0.85, t1_s=(0.30, 0.37, 0.45), t2star_s=(0.040, 0.030, 0.015), chi_ppm=0.6),
    "bone": Tissue(pd=0.06, t1_s=(0.6, 0.8, 1.0), t2star_s=(0.0015, 0.0012, 0.0008), chi_ppm=-2.1),
    "csf": Tissue(
        pd=1.0, t1_s=(4.391, 4.391, 4.391), t2star_s=(0.158, 0.158, 0.120), chi_ppm=0.019
    ),
    "gm": Tissue(pd=0.82, t1_s=(1.197, 1.607, 1.939), t2star_s=(0.084, 0.066, 0.033), chi_ppm=0.02),
    "wm": Tissue(
        pd=0.70, t1_s=(0.646, 0.838, 1.126), t2star_s=(0.066, 0.053, 0.027), chi_ppm=-0.03
    ),
}
"""Order of the fractions of a `Head`."""

BLOOD = Tissue(pd=0.86, t1_s=(1.44, 1.65, 2.1), t2star_s=(0.070, 0.025, 0.0070), chi_ppm=0.0)
"""Venous blood; its susceptibility follows from oxygenation, see `venous_chi_ppm`."""

ARTERIAL = Tissue(pd=0.86, t1_s=(1.44, 1.65, 2.1), t2star_s=(0.20, 0.10, 0.05), chi_ppm=-0.035)
"""Arterial blood, saturated to 98 % at a hematocrit of 0.42."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Substance:
    """What a lesion is made of.

    Attributes
    ----------
    pd : float
        Proton density against CSF; with `t1_s` None, against the tissue around it.
    t1_s, t2_s : float or None
        Relaxation times at 3 T [s]; None keeps those of the tissue around it.
    grain : float
        Share of the susceptibility that sits in cells or grains and so dephases what is
        between them; the rest is dissolved and only shifts the frequency.
    """

    pd: float = 1.0
    t1_s: float | None = None
    t2_s: float | None = None
    grain: float = 1.0

    def signal(self, b0_t: float, tr_s: float, flip_deg: float) -> float | None:
        """Return its steady state before decay; None where that is a share of the tissue's."""
        if self.t1_s is None:
            return None
        t1 = self.t1_s * (b0_t / 3.0) ** T1_EXPONENT
        return float(spoiled_gre(self.pd, t1, tr_s, flip_deg))


T1_EXPONENT = 0.3
"""T1 of protein-rich fluids grows about so with the main field."""

SUBSTANCES = {
    "hemosiderin": Substance(),
    "calcium": Substance(pd=0.15),
    "air": Substance(pd=0.0, grain=0.0),
    "iron": Substance(grain=1.0),
    "hyperacute": Substance(pd=0.88, t1_s=1.6, t2_s=0.080, grain=0.6),
    "acute": Substance(pd=0.82, t1_s=1.5, t2_s=0.030),
    "early subacute": Substance(pd=0.80, t1_s=0.55, t2_s=0.030),
    "late subacute": Substance(pd=0.92, t1_s=0.45, t2_s=0.120, grain=0.0),
    "chronic": Substance(pd=0.75, t1_s=1.5, t2_s=0.040),
}
"""Of lesions, by name. Stages of a hematoma follow what is bright and dark in T1 and T2."""

STAGE_CHI_PPM = {
    "hyperacute": (0.57, 0.48),
    "acute": (1.30, 0.33),
    "early subacute": (1.14, 0.46),
    "late subacute": (0.40, 0.13),
    "chronic": (0.71, 0.31),
}
"""Mean and standard deviation of the susceptibility of hematomas by stage (Chang et al. 2016,
J. Magn. Reson. Imaging 44, 420-425, 10.1002/jmri.25143)."""


def venous_chi_ppm(saturation: float, hematocrit: float) -> float:
    """Return the susceptibility of venous blood against water [ppm].

    3.4 ppm x Hct x (1 - Y) of deoxygenation, and -0.10 ppm x Hct when oxygenated.

    References
    ----------
    .. [1] Jain, Abdulmalik, Propert & Wehrli (2012), Magn. Reson. Med., PMID 22162033.
    """
    return 3.4 * hematocrit * (1.0 - saturation) - 0.10 * hematocrit


def spoiled_gre(
    pd: npt.ArrayLike, t1_s: npt.ArrayLike, tr_s: float, flip_deg: float
) -> npt.NDArray[np.float64]:
    r"""Return the steady state of a spoiled gradient echo before its decay.

    .. math:: S = \rho \, \sin a \, (1 - E_1) / (1 - E_1 \cos a), \quad E_1 = e^{-TR/T_1}
    """
    e1 = np.exp(-tr_s / np.asarray(t1_s, dtype=np.float64))
    flip = np.deg2rad(flip_deg)
    out: npt.NDArray[np.float64] = (
        np.asarray(pd) * np.sin(flip) * (1.0 - e1) / (1.0 - e1 * np.cos(flip))
    )
    return out
