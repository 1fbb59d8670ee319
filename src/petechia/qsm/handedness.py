"""Which way a scanner counts phase: evidence from what is surely paramagnetic."""

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.core.blocks import Blocks
from petechia.core.checks import require_finite
from petechia.core.grid import Grid
from petechia.core.morphology import Mask, erode_mm, label_26
from petechia.core.robust import robust_sd
from petechia.phase.handedness import HandednessEvidence

Volume = npt.NDArray[np.float32]
SURROUND_MM = 2.5
"""Width of the surroundings that a structure is compared with: wider than veins, narrower
than the contrast between white and grey matter, where dark does not mean paramagnetic."""
EDGE_MM = 2.0
DARK = 4.0
"""Robust standard deviations of local darkness that make a voxel part of a structure."""
PIECE_MM = 10.0
"""A vein longer than this votes once for each piece: the venous tree is one structure."""
TISSUE_MM = 20.0
"""Blocks whose median is the tissue's: what stands out only against bright fluid is not dark."""
ELONGATED = 2.0
"""Length over width from which a piece is a tube's: veins vote, round spots (calcium among
them), edges and sheets do not."""
LEAST_STRUCTURES = 8
LEAST_T = 3.0
LEAST_SCORE = 0.15
CLEAR_TAILS = 0.2
"""Tails that lean so far the other way than the veins leave the sign unknown."""
CLIP = 3.0


def susceptibility_evidence(
    chi_ppm: npt.NDArray[np.floating],
    hypointensity: npt.NDArray[np.floating],
    mask: Mask,
    grid: Grid,
) -> HandednessEvidence:
    """Ask whether small dark tubes come out paramagnetic.

    Veins make most of the small dark tubes of a brain, and with iron the long tail of
    its susceptibility. Every piece of a tube that is darker than the tissue votes with its
    susceptibility above its surroundings, one vote however dark; the tails of the
    susceptibility must not lean clearly the other way. Round spots have no vote: they may all
    be calcifications. Tissue beside bright fluid has none either.

    Parameters
    ----------
    chi_ppm : (I, J, K) ndarray of float
        Susceptibility map from the phase in question [ppm]; any reference.
    hypointensity : (I, J, K) ndarray of float
        R2*, or magnitude of a late echo with its sign changed: larger is darker. Any unit.
    mask : (I, J, K) ndarray of bool
        Brain, where the map is valid.
    grid : Grid
        Geometry.

    Returns
    -------
    evidence : HandednessEvidence
        Turning the sign of `chi_ppm` turns sign and score and nothing else.

    Raises
    ------
    GridMismatchError
        If an array is not on `grid`.
    InputError
        If an array is not finite.
    """
    for name, array in (("chi_ppm", chi_ppm), ("hypointensity", hypointensity), ("mask", mask)):
        grid.require(array, name)
        require_finite(array, name)
    inside = erode_mm(mask, grid, EDGE_MM)
    if not inside.any() or not np.any(chi_ppm[inside]):
        return HandednessEvidence(sign=0, score=0.0, says="There is no susceptibility to judge by.")
    contrast = _above_surroundings(chi_ppm, mask, grid)
    votes, weights = _votes(*_darkness(hypointensity, mask, inside, grid), contrast, inside, grid)
    tails = _tail_asymmetry(chi_ppm[inside])
    if len(votes) < LEAST_STRUCTURES:
        says = f"Only {len(votes)} dark tubes, too few to tell the handedness of the phase."
        return HandednessEvidence(sign=0, score=0.0, says=says)
    mean = float(np.average(votes, weights=weights))
    spread = float(np.sqrt(np.sum((weights * (votes - mean)) ** 2)) / weights.sum())
    certain = abs(mean) >= LEAST_T * spread and abs(mean) >= LEAST_SCORE
    agree = mean * tails > 0
    alone = abs(mean) >= 2 * LEAST_SCORE and abs(tails) < CLEAR_TAILS
    sign = int(np.sign(mean)) if certain and (agree or alone) else 0
    paramagnetic = 100 * float(np.average(votes > 0, weights=weights))
    return HandednessEvidence(
        sign=sign,
        score=float(np.clip(0.75 * mean + 0.25 * tails, -1, 1)),
        says=f"{paramagnetic:.0f} % of {len(votes)} small dark tubes come out paramagnetic"
        f" (most veins do), and the tails of the susceptibility lean {tails:+.2f}: "
        + {1: "the phase follows the convention.", -1: "the phase must be negated.",
           0: "not certain."}[sign],
    )  # fmt: skip


def _above_surroundings(volume: npt.NDArray[np.floating], mask: Mask, grid: Grid) -> Volume:
    """Return `volume` less its Gaussian mean over the nearby part of the mask."""
    sigma = SURROUND_MM / grid.spacing_mm
    inside = mask.astype(np.float32)
    values = np.where(mask, volume, 0).astype(np.float32)
    total = ndimage.gaussian_filter(inside, sigma, mode="constant")
    mean = ndimage.gaussian_filter(values, sigma, mode="constant") / np.maximum(total, 1e-6)
    return np.asarray((values - mean) * inside, dtype=np.float32)


def _darkness(
    hypointensity: npt.NDArray[np.floating], mask: Mask, inside: Mask, grid: Grid
) -> tuple[Volume, float]:
    """Return how much darker voxels are than tissue and surroundings, and what is dark.

    What is brighter than the tissue's median counts as tissue, so that nothing is dark because
    fluid is bright beside it.
    """
    blocks = Blocks.of(grid, TISSUE_MM)
    level = blocks.median(hypointensity, mask)
    level[np.isnan(level)] = np.median(hypointensity[mask])
    usual = _above_surroundings(hypointensity, mask, grid)[inside]
    darkness = _above_surroundings(np.maximum(hypointensity, blocks.expand(level)), mask, grid)
    return darkness, DARK * _spread(usual)


def _votes(
    darkness: Volume, least: float, contrast: Volume, inside: Mask, grid: Grid
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the vote, -1 to 1, and the weight of each dark tube or piece of one."""
    labels, n = label_26(inside & (darkness > least))
    where = np.nonzero(labels)
    pieces = np.zeros(where[0].size, dtype=np.int64)
    for index, size, spacing in zip(where, grid.shape, grid.spacing_mm, strict=True):
        pieces = pieces * size + (index * spacing / PIECE_MM).astype(np.int64)
    _, piece = np.unique(pieces * (n + 1) + labels[where], return_inverse=True)
    sizes = np.bincount(piece)
    means = np.bincount(piece, weights=contrast[where]) / np.maximum(sizes, 1)
    votes = np.clip(means / _spread(contrast[inside]), -CLIP, CLIP) / CLIP
    # a single voxel is noise more often than not
    seen = (sizes > 1) & (_elongation(piece, np.stack(where, axis=1), grid) > ELONGATED)
    return votes[seen], np.sqrt(sizes[seen].astype(np.float64))


def _elongation(
    piece: npt.NDArray[np.int64], places_vox: npt.NDArray[np.int64], grid: Grid
) -> npt.NDArray[np.float64]:
    """Return the length of each piece over its width, the larger one of a sheet."""
    sizes = np.bincount(piece)
    place = places_vox * grid.spacing_mm
    middle = np.stack([np.bincount(piece, weights=x) for x in place.T], axis=1) / sizes[:, None]
    away = place - middle[piece]
    spread = np.zeros((len(sizes), 3, 3))
    for a, b in np.ndindex(3, 3):
        spread[:, a, b] = np.bincount(piece, weights=away[:, a] * away[:, b]) / sizes
    spread += np.diag(grid.spacing_mm**2 / 12)  # of the voxels themselves
    _, width, length = np.linalg.eigvalsh(spread).T
    return np.asarray(np.sqrt(length / width))


def _spread(values: npt.NDArray[np.floating]) -> float:
    """Return the robust standard deviation, never 0."""
    return robust_sd(values) or float(np.std(values)) or 1.0


def _tail_asymmetry(values: npt.NDArray[np.floating]) -> float:
    """Return how much farther the upper 1 % reaches than the lower 1 %, -1 to 1."""
    low, middle, high = (float(q) for q in np.quantile(values, [0.01, 0.5, 0.99]))
    return ((high - middle) - (middle - low)) / max(high - low, 1e-12)
