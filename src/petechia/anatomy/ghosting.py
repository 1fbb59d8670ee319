"""Motion ghosts: signal beside the head that should be air."""

import numpy as np
import numpy.typing as npt

from petechia.core.grid import Grid
from petechia.core.morphology import Mask, dilate_mm


def ghosting(magnitude: npt.NDArray[np.floating], head: Mask, brain: Mask, grid: Grid) -> float:
    r"""Return the ghost-to-signal ratio of one magnitude image.

    Ghosts repeat the head along a phase-encoding axis, so the air beside the head along
    that axis is brighter than the air in the corners:
    :math:`\max_a |\bar S_{\text{beside},a} - \bar S_{\text{corner}}| / \bar S_{\text{brain}}`.

    Parameters
    ----------
    magnitude : (I, J, K) ndarray of float
        One echo.
    head, brain : (I, J, K) ndarray of bool
        Head (all that is not air) and brain.
    grid : Grid
        Shared geometry.

    Returns
    -------
    float
        Ratio; NaN when there is too little air to judge, or the vendor zeroed it.

    References
    ----------
    .. [1] Mortamet et al. (2009), Magn. Reson. Med. 62, 365-372, doi:10.1002/mrm.21992
       (artifacts read in the background air).
    """
    for name, array in (("magnitude", magnitude), ("head", head), ("brain", brain)):
        grid.require(array, name)
    if not brain.any():
        return float("nan")
    signal = float(magnitude[brain].mean())
    air = ~dilate_mm(head, grid, 6.0) & (magnitude > 0)
    axes = [axis for axis in range(3) if axis != grid.slice_axis]
    shadows = [np.broadcast_to(head.any(axis=axis, keepdims=True), head.shape) for axis in axes]
    corner = air & ~shadows[0] & ~shadows[1]
    enough = max(200, head.size // 1000)
    if corner.sum() < enough or signal <= 0:
        return float("nan")
    base = float(magnitude[corner].mean())
    ratios = [
        abs(float(magnitude[air & shadow].mean()) - base) / signal
        for shadow in shadows
        if (air & shadow).sum() >= enough
    ]
    return max(ratios, default=float("nan"))
