"""Which way a scanner counts phase: evidence from the field of air around the head."""

from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_finite
from petechia.core.grid import Grid
from petechia.core.kernels import forward_field
from petechia.phase.coarse import Blocks
from petechia.phase.images import checked_mask

TISSUE_IN_AIR_PPM = -9.4
"""Susceptibility of soft tissue (about that of water, -9.05) less that of air (0.36) [ppm]."""
BLOCK_MM = 4.0
BEYOND_MM = 80.0
"""How far a head cut by the field of view is taken to go on [mm]."""
ENOUGH_BLOCKS = 100
SURE = 0.45
"""Correlation from which a sign is given."""


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
    r"""Compare the measured total field with the one that a head in air must have.

    Tissue is 9.4 ppm below air, so the shape of the head and its sinuses alone give the
    field :math:`d * (-9.4\,\mathrm{head})` in the brain. What shim coils can make
    (harmonic polynomials up to second order) is removed from both; the correlation of
    the rest has the sign of the phase convention.

    Parameters
    ----------
    field_ppm : (I, J, K) ndarray of float
        *Total* field, before background removal [ppm].
    head_mask : (I, J, K) ndarray of bool
        Everything that gives signal: brain, face, scalp; air cavities False. Where it
        touches the border of the volume it is taken to go on for 80 mm.
    brain_mask : (I, J, K) ndarray of bool
        Where `field_ppm` is known.
    grid : Grid

    Returns
    -------
    HandednessEvidence
        `score` is the correlation; a sign is given from 0.45 on, if the field is also of
        the size expected (an eighth to eight times). 0 on noise, filtered fields, small crops
        and heads whose shape makes no field but what shims undo (an ellipsoid).

    Raises
    ------
    InputError
        If shapes disagree, a mask is empty or the field is not finite.

    Notes
    -----
    Bone (2 ppm below tissue) is not in the model. Works on blocks of 4 mm: about 0.3 s.
    """
    grid.require(field_ppm, "field_ppm")
    require_finite(field_ppm, "field_ppm")
    head, brain = checked_mask(head_mask, grid), checked_mask(brain_mask, grid)
    blocks = Blocks.of(grid, BLOCK_MM)
    coarse = blocks.coarse
    whole = blocks.reduce(np.ones(grid.shape, dtype=np.bool_))
    part = blocks.reduce(brain)
    inside = part > 0.5 * whole
    if np.count_nonzero(inside) < ENOUGH_BLOCKS:
        return HandednessEvidence(
            sign=0, score=0.0, says="Handedness unknown from air: the brain mask is too small."
        )
    expected = _field_of_head(blocks.reduce(head | brain) / whole, coarse)[inside]
    measured = (blocks.reduce(np.where(brain, field_ppm, 0)) / np.maximum(part, 1e-6))[inside]
    shims = _shim_fields(coarse.to_mm(np.argwhere(inside)))
    a, b = (_unshimmed(values, shims) for values in (expected, measured))
    power = float(np.sqrt(np.dot(a, a) * np.dot(b, b)))
    score = float(np.dot(a, b)) / power if power > 0 else 0.0
    size = abs(float(np.dot(a, b))) / max(float(np.dot(a, a)), 1e-12)
    return _judged(score, size, float(a.std()))


def _judged(score: float, size: float, expected_ppm: float) -> HandednessEvidence:
    """Return the verdict on a correlation, a regression slope and a model's strength."""
    found = f"correlation with the field of a head in air {score:+.2f}, size {size:.2g} of it"
    sure = abs(score) >= SURE and 0.12 <= size <= 8 and expected_ppm > 0.01
    sign = int(np.sign(score)) if sure else 0
    verdict = {
        1: "Phase follows the convention (higher frequency, rising phase)",
        -1: "Phase has the opposite handedness and must be negated",
        0: "Handedness unknown from air",
    }[sign]
    return HandednessEvidence(sign=sign, score=round(score, 4), says=f"{verdict}: {found}.")


def _field_of_head(part: npt.NDArray[np.float32], coarse: Grid) -> npt.NDArray[np.float32]:
    """Return the field of a head given as the part of each block that is tissue [ppm]."""
    beyond = [int(np.ceil(BEYOND_MM / d)) for d in coarse.spacing_mm]
    longer = np.pad(part, [(n, n) for n in beyond], mode="edge")
    shape = cast("tuple[int, int, int]", longer.shape)
    field = forward_field(
        longer * np.float32(TISSUE_IN_AIR_PPM), Grid(shape, coarse.affine), pad_mm=BEYOND_MM
    )
    i, j, k = (slice(n, n + size) for n, size in zip(beyond, part.shape, strict=True))
    return field[i, j, k]


def _shim_fields(place_mm: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return an orthonormal basis of the harmonic polynomials up to second order."""
    x, y, z = ((place_mm - place_mm.mean(axis=0)) / place_mm.std(axis=0).max()).T
    columns = [np.ones_like(x), x, y, z, x * y, y * z, z * x, x * x - y * y]
    columns.append(2 * z * z - x * x - y * y)
    # a basis of the range, also where blocks lie in one plane
    u, s, _ = np.linalg.svd(np.stack(columns, axis=1), full_matrices=False)
    return cast("npt.NDArray[np.float64]", u[:, s > 1e-9 * s[0]])


def _unshimmed(
    values: npt.NDArray[np.floating], shims: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return `values` less their shim fields, the strongest hundredth at either end held in."""
    rest = values - shims @ (shims.T @ values)
    rest = np.clip(rest, *np.percentile(rest, [1, 99]))
    return cast("npt.NDArray[np.float64]", rest - rest.mean())
