"""A straight line on the log-odds: how probabilities are moved to fit outcomes."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from petechia.errors import ParameterError

Floats = npt.NDArray[np.float64]
LEAST = 1e-9
"""Probabilities nearer to 0 or 1 are taken for this near: their log-odds have no end."""
ROUNDED = 0.0005
"""Half the last digit of a probability in the table. A line is fitted to such, and is not known
nearer to 0 or 1."""
OFFSET_SD, SLOPE_SD = 1.0, 0.5
"""How far a line is thought to lie from the identity before anything is seen."""


def logit(p: npt.ArrayLike, least: float = LEAST) -> Floats:
    """Return log-odds; probabilities are held `least` away from 0 and 1."""
    held = np.clip(np.asarray(p, dtype=np.float64), least, 1 - least)
    return np.asarray(special.logit(held), dtype=np.float64)


def expit(z: npt.ArrayLike) -> Floats:
    """Return the probability of log-odds."""
    return np.asarray(special.expit(np.asarray(z, dtype=np.float64)), dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Logistic:
    r"""The map :math:`p' = \sigma(a + b\,\mathrm{logit}\,p)`; it keeps the order.

    Probabilities nearer to 0 or 1 than `ROUNDED` are taken for that near, as in the fit.

    Attributes
    ----------
    offset, slope : float
        a and b > 0; 0 and 1 change nothing.
    """

    offset: float = 0.0
    slope: float = 1.0

    def __post_init__(self) -> None:
        if not (np.isfinite([self.offset, self.slope]).all() and self.slope > 0):
            raise ParameterError(
                f"offset {self.offset}, slope {self.slope}",
                where="Logistic",
                mend="Give finite numbers and a slope above 0: the order of findings is kept.",
            )

    def apply(self, p: npt.ArrayLike) -> Floats:
        """Return the moved probabilities."""
        return expit(self.offset + self.slope * logit(p, ROUNDED))

    def undo(self, p: npt.ArrayLike) -> Floats:
        """Return the probabilities that `apply` moved to `p`."""
        return expit((logit(p) - self.offset) / self.slope)


def fit_logistic(
    p: npt.ArrayLike,
    y: npt.ArrayLike,
    *,
    offset_sd: float = OFFSET_SD,
    slope_sd: float = SLOPE_SD,
) -> tuple[float, float]:
    """Return offset and slope that fit outcomes best, drawn towards 0 and 1.

    The likeliest line given a normal prior about the identity: few outcomes move it little, and
    outcomes that are all alike leave it finite.

    Parameters
    ----------
    p : (N,) array of float
        Probabilities; nearer to 0 or 1 than `ROUNDED` they are taken for that near.
    y : (N,) array of bool
        What came true.
    offset_sd, slope_sd : float
        Standard deviations of the prior; large ones let the data alone speak.

    Notes
    -----
    The slope may come out as 0 or below: outcomes run against the probabilities. No `Logistic`
    can be made of it then.

    References
    ----------
    .. [1] Platt (1999), in Advances in Large Margin Classifiers, 61-74, MIT Press.
    .. [2] Cox (1958), Biometrika 45, 562-565, doi:10.1093/biomet/45.3-4.562 (slope and offset).
    """
    z, t = logit(p, ROUNDED), np.asarray(y, dtype=np.float64)
    if z.shape != t.shape or z.ndim != 1:
        raise ParameterError(
            f"{z.shape} probabilities, {t.shape} outcomes",
            where="fit_logistic",
            mend="Give one outcome for each probability.",
        )
    x = np.stack([np.ones_like(z), z], axis=1)
    centre, hold = np.array([0.0, 1.0]), np.array([offset_sd, slope_sd]) ** -2.0

    def cost(line: Floats) -> float:
        u = x @ line
        own = np.logaddexp(0, u) - t * u
        return float(own.sum() + 0.5 * (hold * (line - centre) ** 2).sum())

    line = centre.copy()
    for _ in range(50):
        told = expit(x @ line)
        pull = x.T @ (told - t) + hold * (line - centre)
        bend = (x * (told * (1 - told))[:, None]).T @ x + np.diag(hold)
        step = np.linalg.solve(bend, pull)
        before, size = cost(line), 1.0
        while cost(line - size * step) > before and size > 1e-6:
            size /= 2
        line = line - size * step
        if np.abs(size * step).max() < 1e-10:
            break
    return float(line[0]), float(line[1])
