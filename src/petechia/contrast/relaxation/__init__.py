"""Transverse relaxation methods. To add one: write its module, add its row here."""

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_between, require_finite
from petechia.core.methods import Method

METHODS: dict[str, Method] = {
    "arlo": Method(
        load="petechia.contrast.relaxation.arlo:arlo",
        params="ArloParams",
        needs=("magnitude", "te_s"),
        gives=("r2star", "s0"),
        summary="auto-regression on linear operations (Simpson); needs three equally spaced echoes",
        doi="10.1002/mrm.25137",
    ),
    "loglinear": Method(
        load="petechia.contrast.relaxation.loglinear:loglinear",
        params="LoglinearParams",
        needs=("magnitude", "te_s"),
        gives=("r2star", "s0"),
        summary="logarithm fitted by a line, weighted by squared magnitude; two echoes or more",
        doi="10.1016/j.neuroimage.2013.05.028",
    ),
    "nonlinear": Method(
        load="petechia.contrast.relaxation.nonlinear:nonlinear",
        params="NonlinearParams",
        needs=("magnitude", "te_s", "noise_sd", "field_ppm", "b0_t", "acquisition_type"),
        gives=("r2star", "s0"),
        summary="above the noise floor, without echoes that field gradients dephased; two or more",
        doi="10.1002/mrm.23306",
    ),
}


def t2star_from(
    r2star: npt.NDArray[np.floating], t2star_max_s: float = 1.0
) -> npt.NDArray[np.float32]:
    """Return T2* = 1 / R2* [s], at most `t2star_max_s`.

    Where R2* is 0 there was no decay to be seen (air, or noise above the signal's fall):
    T2* is unknown there, and 0 says so.

    Parameters
    ----------
    r2star : (I, J, K) ndarray of float
        Relaxation rate, not negative [1/s].
    t2star_max_s : float
        Longest time given [s].

    Raises
    ------
    InputError
        If a rate is negative or not finite, or the longest time is not positive.
    """
    require_between(t2star_max_s, 1e-3, 1e3, "t2star_max_s", "Give seconds, e.g. 1.")
    require_finite(r2star, "r2star")
    low = float(np.min(r2star, initial=0.0))
    require_between(low, 0.0, np.inf, "r2star", "Rates are not negative: clip the map at 0.")
    slowest = 1.0 / t2star_max_s
    limited = 1.0 / np.maximum(r2star, slowest)
    return np.where(r2star > 0, limited, 0).astype(np.float32)
