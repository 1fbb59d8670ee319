"""Intervals of proportions, counts and resampled statistics."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import stats

from petechia.errors import ParameterError

Z95 = 1.959963984540054
"""So many standard errors on either side make a 95 % interval of a normal estimate."""


def _require_level(level: float) -> None:
    if not 0 < level < 1:
        raise ParameterError(
            f"level {level}", where="interval", mend="Give a level between 0 and 1, e.g. 0.95."
        )


def _check(successes: int, trials: int, level: float) -> None:
    if not 0 <= successes <= trials:
        raise ParameterError(
            f"{successes} of {trials}",
            where="interval of a proportion",
            mend="Successes lie between 0 and the number of trials.",
        )
    _require_level(level)


def wilson(successes: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Return Wilson's score interval of a proportion; (0, 1) without trials.

    References
    ----------
    .. [1] Wilson (1927), J. Am. Stat. Assoc. 22, 209-212,
       doi:10.1080/01621459.1927.10502953.
    """
    _check(successes, trials, level)
    if trials == 0:
        return 0.0, 1.0
    z = float(stats.norm.ppf(0.5 + level / 2))
    p, spread = successes / trials, z * z / trials
    centre = (p + spread / 2) / (1 + spread)
    half = z * np.sqrt(p * (1 - p) / trials + spread / (4 * trials)) / (1 + spread)
    return float(max(0.0, centre - half)), float(min(1.0, centre + half))


def clopper_pearson(successes: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of a proportion; (0, 1) without trials.

    References
    ----------
    .. [1] Clopper & Pearson (1934), Biometrika 26, 404-413, doi:10.1093/biomet/26.4.404.
    """
    _check(successes, trials, level)
    if trials == 0:
        return 0.0, 1.0
    tail = (1 - level) / 2
    low = stats.beta.ppf(tail, successes, trials - successes + 1) if successes else 0.0
    high = (
        stats.beta.ppf(1 - tail, successes + 1, trials - successes) if successes < trials else 1.0
    )
    return float(low), float(high)


def poisson(events: int, level: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of the mean of a count.

    References
    ----------
    .. [1] Garwood (1936), Biometrika 28, 437-442, doi:10.1093/biomet/28.3-4.437.
    """
    if events < 0 or not 0 < level < 1:
        raise ParameterError(
            f"{events} events, level {level}",
            where="interval of a count",
            mend="Events are 0 or more; give a level between 0 and 1, e.g. 0.95.",
        )
    tail = (1 - level) / 2
    low = float(stats.chi2.ppf(tail, 2 * events)) / 2 if events else 0.0
    return low, float(stats.chi2.isf(tail, 2 * events + 2)) / 2


def of_draws(
    draws: npt.NDArray[np.float64], n_units: int, level: float = 0.95
) -> tuple[float, float]:
    """Return the expanded percentile interval of a bootstrap's draws.

    Draws of few units vary too little, by (n - 1) / n of the variance, and do not know that it
    was estimated: the percentiles are taken as far out as Student's t and that ratio ask.

    Parameters
    ----------
    draws : (B,) ndarray of float
        One or more numbers.
    n_units : int
        Units (subjects) that were drawn, two or more.
    level : float
        Of the interval.

    Notes
    -----
    Of three units and fewer the asked percentiles (7e-8 and less at 0.95) lie beyond the draws:
    the interval is their range, and is too narrow.

    References
    ----------
    Hesterberg 2015, 10.1080/00031305.2015.1089789, section 4.1
    """
    if n_units < 2:
        raise ParameterError(
            f"{n_units} units", where="bootstrap", mend="An interval asks for two units or more."
        )
    _require_level(level)
    quantile = stats.t.ppf((1 - level) / 2, n_units - 1) * np.sqrt(n_units / (n_units - 1))
    beyond = float(stats.norm.cdf(quantile))
    low, high = np.quantile(draws, [beyond, 1 - beyond])
    return float(low), float(high)


def bootstrap(
    statistic: Callable[[npt.NDArray[np.intp]], float],
    n_units: int,
    rng: np.random.Generator,
    *,
    n_resamples: int = 2000,
    level: float = 0.95,
) -> tuple[float, float]:
    """Return the expanded percentile interval (`of_draws`) of `statistic` over resampled units.

    Parameters
    ----------
    statistic : callable
        Takes indices of units (subjects), drawn with replacement; returns a number, or NaN
        where it is not defined (those draws are left out).
    n_units : int
        Number of units, two or more.
    rng : numpy Generator
        The only source of randomness.

    Returns
    -------
    low, high : float
        NaN when no draw gave a number.
    """
    draws = [statistic(rng.integers(0, n_units, n_units)) for _ in range(n_resamples)]
    kept = np.asarray([d for d in draws if np.isfinite(d)])
    if not len(kept):
        return float("nan"), float("nan")
    return of_draws(kept, n_units, level)
