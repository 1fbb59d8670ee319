"""Which way a scanner counts phase: evidence from the field of air around the head."""

from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
from scipy import optimize

from petechia.core.blocks import Blocks
from petechia.core.checks import require_finite
from petechia.core.grid import Grid
from petechia.core.kernels import forward_field
from petechia.core.morphology import (
    close_mm,
    fill_holes,
    fill_slices,
    largest_component,
    open_mm,
)
from petechia.phase.images import Mask, checked_mask

TISSUE_IN_AIR_PPM = -9.4
"""Susceptibility of soft tissue (about that of water, -9.05) less that of air (0.36) [ppm]."""
SHAPE_MM, BLOCK_MM = 2.0, 4.0
"""Blocks on which the head is shaped, and on which its field is computed [mm]."""
BEYOND_MM = 80.0
"""How far a head cut by the field of view is taken to go on [mm]."""
BONE_MM, GAP_MM = 4.0, 12.0
"""Dark gaps thinner than twice the first are bone; openings of twice the second are closed."""
ENOUGH_BLOCKS = 100
SURE, MARGIN = 0.45, 0.2
"""Correlation from which a sign is given, and how far it must be above the other sign's."""

Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class HandednessEvidence:
    """What one look at the data says about the handedness of the phase.

    Attributes
    ----------
    sign : int
        +1: the phase obeys signal = |S| exp(+i 2 pi f t). -1: it must be negated.
        0: unknown.
    score : float
        Strength of the evidence, -1 to 1; its sign points the same way as `sign`.
    says : str
        The finding in one sentence.
    """

    sign: int
    score: float
    says: str


def air_evidence(
    field_ppm: npt.NDArray[np.floating],
    head_mask: npt.NDArray[np.bool_],
    brain_mask: npt.NDArray[np.bool_],
    grid: Grid,
) -> HandednessEvidence:
    r"""Compare the measured total field with the one that the air around it must make.

    Tissue is 9.4 ppm below air, so the field in the brain holds
    :math:`a\,d * (-9.4\,\mathrm{head}) + b\,d * (9.4\,\mathrm{cavities})` with a and b not
    negative; cavities are the sinuses and ear canals, dark spaces too wide for bone. What
    shim coils can make (harmonic polynomials up to second order) is removed from all
    three; the sign with which a and b fit best is that of the phase convention.

    Parameters
    ----------
    field_ppm : (I, J, K) ndarray of float
        *Total* field, before background removal [ppm].
    head_mask : (I, J, K) ndarray of bool
        What gives signal: brain, face, scalp; air cavities and bone False. Where it
        touches the border of the volume it is taken to go on for 80 mm.
    brain_mask : (I, J, K) ndarray of bool
        Where `field_ppm` is known.
    grid : Grid

    Returns
    -------
    HandednessEvidence
        `score` is the correlation of measured and fitted field. A sign is given from 0.45
        on, if the other sign fits worse by 0.2 and the field has the size expected (an
        eighth to eight times). 0 on noise, filtered fields, small crops and heads whose
        shape makes no field but what shims undo (an ellipsoid).

    Raises
    ------
    InputError
        If shapes disagree, a mask is empty or the field is not finite.

    Notes
    -----
    Without cavities in `head_mask` (a filled one) little is left to compare. About 0.5 s.
    """
    grid.require(field_ppm, "field_ppm")
    require_finite(field_ppm, "field_ppm")
    head, brain = checked_mask(head_mask, grid), checked_mask(brain_mask, grid)
    fine = Blocks.of(grid, SHAPE_MM)
    blocks = Blocks.of(fine.coarse, BLOCK_MM)
    whole = fine.reduce(np.ones(grid.shape, dtype=np.bool_))
    signal = fine.reduce(head | brain) > 0.5 * whole
    part = blocks.reduce(fine.reduce(brain))
    inside = part > 0.5 * blocks.reduce(whole)
    if np.count_nonzero(inside) < ENOUGH_BLOCKS:
        return HandednessEvidence(
            sign=0, score=0.0, says="Handedness unknown from air: the brain mask is too small."
        )
    known = blocks.reduce(fine.reduce(np.where(brain, field_ppm, 0)))
    shims = _shim_fields(blocks.coarse.to_mm(np.argwhere(inside)))
    measured = _unshimmed((known / np.maximum(part, 1e-6))[inside], shims)
    expected = [
        sign * _unshimmed(_field_of(shape, blocks)[inside], shims)
        for sign, shape in zip((1, -1), _shapes(signal, fine.coarse), strict=True)
    ]
    return _judged(measured, np.stack(expected, axis=1))


def _judged(measured: Values, expected: Values) -> HandednessEvidence:
    """Return which sign of `measured` the columns of `expected` add up to."""
    fits = [_fit(sign * measured, expected) for sign in (1, -1)]
    better = 0 if fits[0][0] >= fits[1][0] else 1
    match, size = fits[better]
    sure = match >= SURE and match - fits[1 - better][0] >= MARGIN and 0.12 <= size <= 8
    score = match * (1 - 2 * better)
    sign = (1 - 2 * better) if sure else 0
    verdict = {
        1: "Phase follows the convention (higher frequency, rising phase)",
        -1: "Phase has the opposite handedness and must be negated",
        0: "Handedness unknown from air",
    }[sign]
    found = (
        f"correlation with the field of air around the brain {score:+.2f}, size {size:.2g} of it"
    )
    return HandednessEvidence(sign=sign, score=round(score, 4), says=f"{verdict}: {found}.")


def _fit(measured: Values, expected: Values) -> tuple[float, float]:
    """Return correlation and largest coefficient of a fit without negative coefficients."""
    weights, _ = optimize.nnls(expected, measured)
    fitted = expected @ weights
    power = float(np.linalg.norm(fitted) * np.linalg.norm(measured))
    # a field below 0.01 ppm is the rounding of the head's surface to blocks
    strong = expected.std(axis=0) > 0.01
    size = float(weights[strong].max(initial=0.0))
    return (float(np.dot(fitted, measured)) / power if power > 0 else 0.0), size


def _shapes(signal: Mask, grid: Grid) -> tuple[Mask, Mask]:
    """Return the head with everything in it, and the wide spaces in it without signal."""
    # as it goes on beyond the volume, or the border would close the air beside the head
    beyond = [int(np.ceil(GAP_MM / d)) + 1 for d in grid.spacing_mm]
    longer = np.pad(largest_component(signal), [(n, n) for n in beyond], mode="edge")
    wide = Grid(cast("tuple[int, int, int]", longer.shape), grid.affine)
    head = fill_slices(fill_holes(close_mm(longer, wide, GAP_MM)))
    cavities = open_mm(head & ~longer, wide, BONE_MM)
    i, j, k = (slice(n, -n) for n in beyond)
    return head[i, j, k], cavities[i, j, k]


def _field_of(shape: Mask, blocks: Blocks) -> npt.NDArray[np.float32]:
    """Return the field of tissue of a shape in air, going on where the volume cuts it [ppm]."""
    coarse = blocks.coarse
    part = blocks.reduce(shape) / blocks.reduce(np.ones(shape.shape, dtype=np.bool_))
    beyond = [int(np.ceil(BEYOND_MM / d)) for d in coarse.spacing_mm]
    longer = np.pad(part, [(n, n) for n in beyond], mode="edge")
    size = cast("tuple[int, int, int]", longer.shape)
    field = forward_field(
        longer * np.float32(TISSUE_IN_AIR_PPM), Grid(size, coarse.affine), pad_mm=BEYOND_MM
    )
    i, j, k = (slice(n, n + m) for n, m in zip(beyond, part.shape, strict=True))
    return field[i, j, k]


def _shim_fields(place_mm: Values) -> Values:
    """Return an orthonormal basis of the harmonic polynomials up to second order."""
    x, y, z = ((place_mm - place_mm.mean(axis=0)) / place_mm.std(axis=0).max()).T
    columns = [np.ones_like(x), x, y, z, x * y, y * z, z * x, x * x - y * y]
    columns.append(2 * z * z - x * x - y * y)
    # a basis of the range, also where blocks lie in one plane
    u, s, _ = np.linalg.svd(np.stack(columns, axis=1), full_matrices=False)
    return cast("Values", u[:, s > 1e-9 * s[0]])


def _unshimmed(values: npt.NDArray[np.floating], shims: Values) -> Values:
    """Return `values` less their shim fields, the strongest hundredth at either end held in."""
    rest = values - shims @ (shims.T @ values)
    rest = np.clip(rest, *np.percentile(rest, [1, 99]))
    return cast("Values", rest - rest.mean())
