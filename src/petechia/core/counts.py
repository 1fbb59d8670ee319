"""How many of a scan's findings are there, given the probability of each."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.core.logistic import expit, logit
from petechia.errors import ParameterError

Floats = npt.NDArray[np.float64]
RATE_NODES, ERROR_NODES = 31, 9
RATE_REACH = 4.0
"""Standard deviations of the rate that are looked at."""
NEGLIGIBLE = 1e-5
"""Weight of what is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CountDoubt:
    """What all findings of a scan have in common, so that they are not independent.

    Attributes
    ----------
    usual_rate : float
        Share of real ones among findings for which the probabilities hold.
    rate_spread : float
        How far the log-odds of a scan's own rate may lie from the usual ones, as a standard
        deviation: somebody without microbleeds has as many dark spots as somebody with fifty.
    shared_error : float
        Standard deviation of an error of the log-odds that all findings of a scan share: one
        scanner's veins look more like bleeds than another's.
    most_rate : float
        Largest rate that is thought of. Where lesions are more than in any scan that the
        probabilities come from, what is listed beside them looks more like lesions, too, and
        their odds must not go up with the rate: of a scan with 200 all undecided ones would be
        taken for real.
    """

    usual_rate: float
    rate_spread: float
    shared_error: float
    most_rate: float = 1.0

    def __post_init__(self) -> None:
        if not (
            0 < self.usual_rate < 1
            and self.usual_rate <= self.most_rate <= 1
            and 0 <= self.rate_spread < np.inf
            and 0 <= self.shared_error < np.inf
        ):
            raise ParameterError(
                f"{self}",
                where="CountDoubt",
                mend="usual_rate between 0 and 1, most_rate from it to 1; rate_spread and "
                "shared_error 0 or more.",
            )

    def offsets(self, probabilities: Floats) -> tuple[Floats, Floats]:
        r"""Return weights (M,) and offsets (M,) of the log-odds, given a scan's findings.

        Notes
        -----
        A finding's probability is that of the usual rate :math:`\pi`; at another rate its odds
        are those times the ratio of the rates' odds ([1]_). How likely a rate is follows from the
        findings themselves: each is a draw from real ones and others in this ratio.

        References
        ----------
        .. [1] Saerens, Latinne & Decaestecker (2002), Neural Comput. 14, 21-41,
           doi:10.1162/089976602753284446.
        """
        own, usual = logit(probabilities), float(logit(self.usual_rate))
        rate = np.zeros(1)
        if self.rate_spread > 0:
            reach = RATE_REACH * self.rate_spread
            most = float(logit(self.most_rate)) - usual
            rate = np.linspace(-reach, min(most, reach), RATE_NODES)
        real = np.log(expit(usual + rate))[:, None] + (own - usual)
        other = np.log(expit(-usual - rate))[:, None]
        likely = np.logaddexp(real, other).sum(axis=1)
        if self.rate_spread > 0:
            likely -= 0.5 * (rate / self.rate_spread) ** 2
        weight = np.exp(likely - likely.max())
        nodes, error = np.polynomial.hermite_e.hermegauss(ERROR_NODES if self.shared_error else 1)
        both = (weight / weight.sum())[:, None] * (error / error.sum())
        offset = rate[:, None] + self.shared_error * nodes
        some = both > NEGLIGIBLE
        return both[some] / both[some].sum(), offset[some]


def checked(probabilities: npt.ArrayLike, where: str) -> Floats:
    """Return probabilities (N,) as an array.

    Raises
    ------
    ParameterError
        If one is no number between 0 and 1.
    """
    p = np.asarray(probabilities, dtype=np.float64).ravel()
    for wrong in p[~((p >= 0) & (p <= 1))][:1]:
        raise ParameterError(
            f"probability {wrong:g}", where=where, mend="Probabilities lie between 0 and 1."
        )
    return p


def shifted(probabilities: Floats, offsets: Floats) -> Floats:
    """Return probabilities (M, N) whose log-odds are moved by each of M offsets.

    What is certain (0 or 1) stays so.
    """
    moved = expit(logit(probabilities) + offsets[:, None])
    sure = (probabilities <= 0) | (probabilities >= 1)
    return np.where(sure, probabilities, moved)


def _possible(probabilities: Floats, doubt: CountDoubt | None) -> tuple[Floats, Floats]:
    """Return weights (M,), and the probabilities (M, N) that findings have with them."""
    if doubt is None or not len(probabilities):
        return np.ones(1), probabilities[None]
    weights, offsets = doubt.offsets(probabilities)
    return weights, shifted(probabilities, offsets)


def count_distribution(probabilities: npt.ArrayLike, doubt: CountDoubt | None = None) -> Floats:
    """Return P(count = 0 .. n) of findings.

    Parameters
    ----------
    probabilities : (N,) array
        Of each finding.
    doubt : CountDoubt, optional
        What they have in common; without it they are independent.

    Notes
    -----
    Given rate and error, the exact law of a sum of independent findings (Poisson-binomial,
    [1]_); over rates and errors, the mean by their weights.

    References
    ----------
    .. [1] Chen & Liu (1997), Stat. Sin. 7, 875-892.
    """
    p = checked(probabilities, "count_distribution")
    law = np.zeros(len(p) + 1)
    for weight, row in zip(*_possible(p, doubt), strict=True):
        one = np.ones(1)
        for q in row:
            one = np.convolve(one, [1 - q, q])
        law += weight * one
    return law


def chance_of_any(probabilities: npt.ArrayLike, doubt: CountDoubt | None = None) -> float:
    """Return the chance that at least one finding is there; see `count_distribution`."""
    weights, some = _possible(checked(probabilities, "chance_of_any"), doubt)
    return float(1 - weights @ np.prod(1 - some, axis=1))


def draw_count(
    probabilities: npt.ArrayLike,
    rng: np.random.Generator,
    n_draws: int,
    doubt: CountDoubt | None = None,
) -> npt.NDArray[np.int64]:
    """Return (n_draws,) counts of the law of `count_distribution`."""
    p = checked(probabilities, "draw_count")
    weights, some = _possible(p, doubt)
    row = rng.choice(len(weights), n_draws, p=weights)
    return np.asarray((rng.random((n_draws, len(p))) < some[row]).sum(axis=1), dtype=np.int64)
