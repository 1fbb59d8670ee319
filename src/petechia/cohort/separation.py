"""Whether a line in the explanatory columns parts the classes without fail.

If so the likelihood has no maximum: coefficients run away, and a program that stops somewhere
prints a huge ratio with a huge interval. Found by linear programming before anything is fitted.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.optimize import linprog

from petechia.cohort.estimates import Floats

LEAST = 1e-7


def separating_direction(x: Floats, y: Floats) -> Floats:
    """Return a direction b with (2y - 1) x b >= 0 everywhere and > 0 somewhere; zeros if none.

    Parameters
    ----------
    x : (N, K) array of float
        Columns with the intercept.
    y : (N,) array of float
        0 or 1.

    References
    ----------
    .. [1] Albert & Anderson (1984), Biometrika 71, 1-10, doi:10.1093/biomet/71.1.1.
    .. [2] Konis (2007), Linear programming algorithms for detecting separated data in binary
       logistic regression models, DPhil thesis, University of Oxford.
    """
    size = np.abs(x).max(axis=0)
    size[size == 0] = 1.0
    signed = (2 * y - 1)[:, None] * (x / size)
    b: Floats = _parting(signed) / size
    return b


def blamed(
    direction: Callable[[Floats, Floats], Floats], x: Floats, y: Floats, names: Sequence[str]
) -> str:
    """Return the columns that a separation hangs on, in words; '' where there is none.

    A column without which there is none is to blame; where several would each do, all that the
    direction found holds are named.
    """
    found = direction(x, y)
    if not found.any():
        return ""
    held = [n for n, b in enumerate(found) if b and names[n] != "intercept"]
    alone = [n for n in held if not direction(np.delete(x, n, axis=1), y).any()]
    return ", ".join(names[n] for n in alone or held) or "the intercept"


def separating_classes(x: Floats, y: Floats, n_classes: int) -> Floats:
    """Return (n_classes - 1, K) directions that part classes 1.. from 0 and one another.

    For multinomial models: the linear predictor of a row's own class is nowhere below that of
    another class, and somewhere above.
    """
    k = x.shape[1]
    size = np.abs(x).max(axis=0)
    size[size == 0] = 1.0
    z = x / size
    parts = []
    for own in range(n_classes):
        of_own = z[y == own]
        for other in range(n_classes):
            if other == own:
                continue
            rows = np.zeros((len(of_own), (n_classes - 1) * k))
            if own:
                rows[:, (own - 1) * k : own * k] = of_own
            if other:
                rows[:, (other - 1) * k : other * k] = -of_own
            parts.append(rows)
    b: Floats = _parting(np.concatenate(parts)).reshape(n_classes - 1, k) / size
    return b


def emptying_direction(x: Floats, y: Floats) -> Floats:
    """Return a direction with x b = 0 where y > 0 and x b <= 0 (< 0 somewhere) where y is 0.

    Along it the mean of a count goes to 0 where none was counted and nothing else changes: a
    level of a factor in which nobody has any. Zeros if there is none.

    References
    ----------
    .. [1] Santos Silva & Tenreyro (2010), Econ. Lett. 107, 310-312,
       doi:10.1016/j.econlet.2010.02.020.
    """
    size = np.abs(x).max(axis=0)
    size[size == 0] = 1.0
    z = x / size
    some = np.unique(z[y > 0], axis=0)
    b: Floats = _parting(-z[y <= 0], equal=some) / size
    return b


def _parting(signed: Floats, equal: Floats | None = None) -> Floats:
    """Return b in [-1, 1] of the greatest sum of signed @ b, none of which is negative."""
    if not len(signed):
        return np.zeros(signed.shape[1])
    rows = np.unique(signed, axis=0)
    held = {} if equal is None else {"A_eq": equal, "b_eq": np.zeros(len(equal))}
    found = linprog(
        -signed.sum(axis=0), A_ub=-rows, b_ub=np.zeros(len(rows)), bounds=(-1, 1), method="highs",
        **held,
    )  # fmt: skip
    if found.status != 0 or -found.fun < LEAST:
        return np.zeros(signed.shape[1])
    b = np.asarray(found.x, dtype=np.float64)
    b[np.abs(b) < LEAST] = 0.0
    return b
