"""A spread that a few values far off do not change."""

import numpy as np
import numpy.typing as npt

TO_SD = 1.4826
"""Standard deviation of normal values over the median of their distances to the middle."""
ENOUGH = 200_000


def robust_sd(
    values: npt.NDArray[np.floating], centre: float | None = None, most: int | None = None
) -> float:
    """Return the standard deviation that the median distance to the middle tells; 0 of nothing.

    Parameters
    ----------
    values : ndarray of float
        Finite.
    centre : float, optional
        The middle where it is known, 0 for noise and misfits; their median by default.
    most : int, optional
        Read on about so many of the values, evenly strided along the first axis.

    References
    ----------
    Rousseeuw and Croux 1993, 10.1080/01621459.1993.10476408

    Examples
    --------
    >>> round(robust_sd(np.array([1.0, 2.0, 3.0, 4.0, 1000.0])), 4)
    1.4826
    >>> robust_sd(np.array([]))
    0.0
    """
    some = values if most is None else values[:: max(1, len(values) // most)]
    if not some.size:
        return 0.0
    middle = np.median(some) if centre is None else centre
    away = some - middle if np.any(middle) else some
    return TO_SD * float(np.median(np.abs(away)))
