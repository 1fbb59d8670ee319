"""First-order statistics of intensities in a region, after the IBSI's definitions."""

import numpy as np
import numpy.typing as npt

NAMES = ("mean", "variance", "skewness", "kurtosis", "cov", "qcod", "p10", "p90", "robust_mad")


def first_order(values: npt.ArrayLike) -> dict[str, float]:
    """Return IBSI intensity statistics of the values of a region.

    Parameters
    ----------
    values : (N,) array_like of float
        At least one value.

    Returns
    -------
    dict of str to float
        mean, variance, skewness, (excess) kurtosis, median, minimum, p10, p90, maximum,
        interquartile_range, range, mean_absolute_deviation, robust_mad,
        median_absolute_deviation, cov (coefficient of variation), qcod (quartile
        coefficient of dispersion), energy, rms. Skewness and kurtosis of equal values are 0.

    References
    ----------
    .. [1] Zwanenburg et al. (2020), Radiology 295, 328-338, doi:10.1148/radiol.2020191145.
    """
    x = np.asarray(values, dtype=np.float64).ravel()
    mean, median = float(x.mean()), float(np.median(x))
    away = x - mean
    variance = float((away**2).mean())
    p10, p25, p75, p90 = (float(v) for v in np.percentile(x, [10, 25, 75, 90]))
    robust = x[(x >= p10) & (x <= p90)]
    flat = variance <= 1e-12 * max(mean * mean, 1e-12)
    return {
        "mean": mean,
        "variance": variance,
        "skewness": 0.0 if flat else float((away**3).mean() / variance**1.5),
        "kurtosis": 0.0 if flat else float((away**4).mean() / variance**2 - 3),
        "median": median,
        "minimum": float(x.min()),
        "p10": p10,
        "p90": p90,
        "maximum": float(x.max()),
        "interquartile_range": p75 - p25,
        "range": float(x.max() - x.min()),
        "mean_absolute_deviation": float(np.abs(away).mean()),
        "robust_mad": float(np.abs(robust - robust.mean()).mean()) if len(robust) else 0.0,
        "median_absolute_deviation": float(np.abs(x - median).mean()),
        "cov": float(np.sqrt(variance) / mean) if mean else float("nan"),
        "qcod": (p75 - p25) / (p75 + p25) if p75 + p25 else float("nan"),
        "energy": float((x**2).sum()),
        "rms": float(np.sqrt((x**2).mean())),
    }
