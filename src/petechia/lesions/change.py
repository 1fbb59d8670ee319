"""Whether a lesion's moment changed: two measurements, and what is no error of their difference.

The standard error of a moment holds what noise and unlike surroundings do to it, and what may
be wrong with it every time: the share for unwrapping, background removal and the extent of
the source, what the tissue around adds, what edges and tails hide. Under one protocol the same
lesion is wrong by the same each time, and that is gone from the difference.
"""

from dataclasses import dataclass

import numpy as np

from petechia.core.intervals import Z95
from petechia.errors import ParameterError
from petechia.lesions.dephasing import FORM_LEFT
from petechia.lesions.findings import Finding
from petechia.lesions.moment import MomentParams


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeParams:
    """What of two moments' errors is an error of their difference, under one protocol.

    Attributes
    ----------
    residual_share : float
        Of the error that the field's residuals, edges and tails make: most of it is anatomy
        that comes again.
    retest_share : float
        Part of the moment by which a measurement differs when the head lies otherwise: other
        voxels are void and border.
    retest_ppm_mm3 : float
        And whatever the moment [ppm mm^3].
    """

    residual_share: float = 0.4
    retest_share: float = 0.02
    retest_ppm_mm3: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.residual_share <= 1 or min(self.retest_share, self.retest_ppm_mm3) < 0:
            raise ParameterError(
                f"{self}",
                where="ChangeParams",
                mend="residual_share from 0 to 1, the others at least 0.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Difference of two moments.

    Attributes
    ----------
    value, low, high : float
        Later less earlier, and its 95 % interval [ppm mm^3].
    reliable : bool
        Whether the interval leaves out 0.
    """

    value: float
    low: float
    high: float

    @property
    def reliable(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0


def change_of(
    first: Finding,
    second: Finding,
    *,
    same_protocol: bool = False,
    params: ChangeParams | None = None,
) -> Change | None:
    r"""Return the change of a lesion's moment; None unless both sessions measured it.

    .. math:: \sigma^2 = f^2 (r_1^2 + r_2^2) + 2 (q\,\bar m)^2 + 2 a^2 + (p\,\Delta m)^2, \qquad
        r^2 = s^2 - (l\,p\,m)^2

    for moments m with standard errors s. p m is the part of `MomentParams` that belongs to the
    lesion: a share that every moment is wrong by is a share that the change is wrong by. Of it
    at least l, `FORM_LEFT`, is in s, all of it where the void was not read. f, q and a are those
    of `ChangeParams`. Never more than both errors together, which is what is taken when the
    protocols differ.

    Parameters
    ----------
    first, second : Finding
        Earlier and later.
    same_protocol : bool
        Whether both were measured by one protocol.
    params : ChangeParams, optional
        Settings.

    References
    ----------
    Jacobson and Truax 1991, 10.1037/0022-006X.59.1.12 (reliable change: by more than 1.96
    standard errors of the difference).
    """
    p = params or ChangeParams()
    m1, se1 = first.moment_ppm_mm3, first.moment_se_ppm_mm3
    m2, se2 = second.moment_ppm_mm3, second.moment_se_ppm_mm3
    if m1 is None or m2 is None or se1 is None or se2 is None:
        return None
    variance = se1**2 + se2**2
    if same_protocol:
        residuals = p.residual_share**2 * (_residuals(m1, se1) + _residuals(m2, se2))
        retest = 2 * ((p.retest_share * 0.5 * (m1 + m2)) ** 2 + p.retest_ppm_mm3**2)
        wrong = (MomentParams().relative_error * (m2 - m1)) ** 2
        variance = min(variance, residuals + retest + wrong)
    half = Z95 * float(np.sqrt(variance))
    return Change(value=m2 - m1, low=m2 - m1 - half, high=m2 - m1 + half)


def _residuals(moment_ppm_mm3: float, se_ppm_mm3: float) -> float:
    """Return the variance that is left of a moment's without what belongs to the lesion.

    Of that only what is in the error whether the void was read or not.
    """
    lasting = FORM_LEFT * MomentParams().relative_error * moment_ppm_mm3
    return max(se_ppm_mm3**2 - lasting**2, 0.0)
