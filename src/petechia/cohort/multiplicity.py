"""Many tests at once: Benjamini-Hochberg's false discovery rate, Holm's familywise error."""

import numpy as np
import numpy.typing as npt
from statsmodels.stats.multitest import multipletests

from petechia.cohort.estimates import Floats
from petechia.errors import ParameterError

METHODS = ("fdr", "holm")


def adjusted_p(p: npt.ArrayLike, method: str = "fdr") -> Floats:
    """Return adjusted p-values; NaN stay NaN and are not counted among the tests.

    Parameters
    ----------
    p : (N,) array of float
        All tests of one question, also those that found nothing: leaving them out makes the rest
        look surer than they are.
    method : str
        'fdr': of those called, which part is expected to be false (step-up, valid when tests are
        independent or positively dependent); 'holm': the chance of any false one.

    References
    ----------
    .. [1] Benjamini & Hochberg (1995), J. R. Stat. Soc. B 57, 289-300,
       doi:10.1111/j.2517-6161.1995.tb02031.x.
    .. [2] Holm (1979), Scand. J. Stat. 6, 65-70.
    """
    if method not in METHODS:
        raise ParameterError(
            f"method {method!r}", where="adjusted_p", mend=f"Choose one of {', '.join(METHODS)}."
        )
    values = np.asarray(p, dtype=np.float64)
    if values.ndim != 1 or ((values < 0) | (values > 1)).any():
        raise ParameterError("p-values outside 0 to 1", where="adjusted_p", mend="Give a list.")
    told = np.full(values.shape, np.nan)
    there = np.isfinite(values)
    if there.any():
        name = "fdr_bh" if method == "fdr" else "holm"
        told[there] = multipletests(values[there], method=name)[1]
    return told
