"""Task 2 (microbleeds) of the challenge "Where is VALDO?" as its public code counts.

The rules, read from the organisers' evaluation code (github.com/WhereIsValdo/
valdo-eval-2021) and written anew here:

- The prediction is cut at 0.5 (at least 0.5 is inside); elements of prediction and
  reference are connected components, 26-connected by the code's default.
- Each predicted element chooses the reference element whose centre of mass (unweighted) is
  nearest, provided it lies closer than the distance threshold; else it is false. Of several
  that chose one reference element the nearest is true and the others are false. Ties are
  all true. This is neither optimal matching nor any overlap: an element whose nearest
  reference is taken is false even when another reference lies within reach.
- F1 = 2 TP / (2 TP + FP + FN), FN = reference elements - TP. Not a number when the
  reference is empty, also when the prediction is empty too; 0 when only the prediction is.
- Count difference: |elements - reference elements|, always a number.
- Dice: mean over reference elements that were truly found; of all predicted elements that
  chose it, taken together. Not a number when the reference is empty; 0 when nothing is found.
- Volume difference: |sum of the prediction cut at the threshold but not made binary - sum of
  the reference| times the voxel volume, always a number.
- A scan without a result counts F1 0, Dice 0, count and volume difference 100000.
- Medians and quartiles over scans are told, those that are not a number left out.

Not settled by the code: the distance threshold and its unit. The code measures in voxels and
its command line leaves the number open. The paper is reported to say 5 mm and components
that are 6-connected; the paper itself was not at hand when this was written. Both are
parameters; the default is 5 mm and the code's connectivity.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial.distance import cdist

from petechia.core.grid import Grid
from petechia.errors import GridMismatchError, InputError, ParameterError

Volume = npt.NDArray[np.floating]
WORST = {"f1": 0.0, "dice": 0.0, "count_difference": 1e5, "volume_difference_mm3": 1e5}
"""What a scan without a result is given."""
_CONNECT = {6: 1, 18: 2, 26: 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class ValdoParams:
    """Open parameters of the rules.

    Attributes
    ----------
    threshold : float
        A voxel at or above it is inside.
    distance : float
        Centres must be closer than this.
    unit : str
        'mm', or 'voxel' as the public code measures.
    connectivity : int
        6, 18 or 26 neighbours.
    """

    threshold: float = 0.5
    distance: float = 5.0
    unit: str = "mm"
    connectivity: int = 26

    def __post_init__(self) -> None:
        if self.unit not in ("mm", "voxel") or self.connectivity not in _CONNECT:
            raise ParameterError(
                f"unit {self.unit!r}, connectivity {self.connectivity}",
                where="ValdoParams",
                mend="Choose 'mm' or 'voxel', and 6, 18 or 26.",
            )
        if not (0 < self.threshold <= 1 and self.distance > 0):
            raise ParameterError(
                f"threshold {self.threshold}, distance {self.distance}",
                where="ValdoParams",
                mend="The threshold lies in (0, 1], the distance is positive.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ValdoScore:
    """The four measures of one scan, and what they are made of."""

    f1: float
    dice: float
    count_difference: float
    volume_difference_mm3: float
    n_true: int = 0
    n_false: int = 0
    n_missed: int = 0


def valdo_scan(
    reference: Volume, prediction: Volume, grid: Grid, params: ValdoParams | None = None
) -> ValdoScore:
    """Return the measures of one scan.

    Parameters
    ----------
    reference : (I, J, K) ndarray
        Annotated mask; rounded to 0 and 1.
    prediction : (I, J, K) ndarray
        Mask or probability, 0 to 1.
    grid : Grid
        Of both.
    params : ValdoParams, optional

    Raises
    ------
    GridMismatchError
        The volumes do not share the grid.
    InputError
        The prediction is outside 0 to 1: the challenge refuses it.

    References
    ----------
    .. [1] Sudre et al. (2022), "Where is VALDO? VAscular Lesions Detection and segmentatiOn
       challenge at MICCAI 2021", doi:10.48550/arXiv.2208.07167.
    """
    p = params or ValdoParams()
    for name, volume in (("reference", reference), ("prediction", prediction)):
        if volume.shape != grid.shape:
            raise GridMismatchError(
                f"shape {volume.shape} is not {grid.shape}",
                where=name,
                mend="Resample onto one grid first.",
            )
    if prediction.min() < 0 or prediction.max() > 1:
        raise InputError(
            f"values from {prediction.min():g} to {prediction.max():g}",
            where="prediction",
            mend="Give a mask or probabilities, 0 to 1.",
        )
    inside = np.rint(reference) > 0
    clipped = np.where(prediction >= p.threshold, prediction, 0).astype(np.float64)
    structure = ndimage.generate_binary_structure(3, _CONNECT[p.connectivity])
    true_labels, n_true = ndimage.label(inside, structure)
    found_labels, n_found = ndimage.label(clipped > 0, structure)
    apart_mm3 = abs(float(clipped.sum()) - float(inside.sum())) * grid.voxel_mm3
    counts = float(abs(n_true - n_found))
    if not n_true or not n_found:
        nothing = 0.0 if n_true else float("nan")
        return ValdoScore(
            f1=nothing, dice=nothing, count_difference=counts, volume_difference_mm3=apart_mm3,
            n_false=n_found, n_missed=n_true,
        )  # fmt: skip
    chosen, right = _assigned(true_labels, found_labels, grid, p)
    tp = int(right.sum())
    fp, fn = n_found - tp, n_true - tp
    return ValdoScore(
        f1=2 * tp / (2 * tp + fp + fn),
        dice=_dice(true_labels, found_labels, chosen, right),
        count_difference=counts,
        volume_difference_mm3=apart_mm3,
        n_true=tp,
        n_false=fp,
        n_missed=fn,
    )


def _centres(labels: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
    n = int(labels.max())
    found = ndimage.center_of_mass(labels > 0, labels, np.arange(1, n + 1))
    return np.asarray(found, dtype=np.float64)


def _assigned(
    true_labels: npt.NDArray[np.integer],
    found_labels: npt.NDArray[np.integer],
    grid: Grid,
    params: ValdoParams,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return the reference each predicted element chose (-1 none), and who is true."""
    places = [_centres(found_labels), _centres(true_labels)]
    if params.unit == "mm":
        places = [grid.to_mm(place) for place in places]
    apart = cdist(*places)
    nearest = apart.min(axis=1)
    chosen = np.where(nearest < params.distance, apart.argmin(axis=1), -1)
    best = np.full(len(places[1]), np.inf)
    np.minimum.at(best, chosen[chosen >= 0], nearest[chosen >= 0])
    return chosen, (chosen >= 0) & (nearest == best[chosen])


def _dice(
    true_labels: npt.NDArray[np.integer],
    found_labels: npt.NDArray[np.integer],
    chosen: npt.NDArray[np.int64],
    right: npt.NDArray[np.bool_],
) -> float:
    each = []
    sizes = [np.bincount(labels.ravel()) for labels in (true_labels, found_labels)]
    for r in np.unique(chosen[right]).tolist():
        members = np.flatnonzero(chosen == r) + 1
        shared = int(np.isin(found_labels[true_labels == r + 1], members).sum())
        each.append(2 * shared / (sizes[0][r + 1] + sizes[1][members].sum()))
    return float(np.mean(each)) if each else 0.0


def valdo_summary(
    scores: Sequence[ValdoScore], n_missing: int = 0
) -> dict[str, tuple[float, float, float]]:
    """Return median, first and third quartile of each measure over scans.

    Parameters
    ----------
    scores : sequence of ValdoScore
    n_missing : int
        Scans without a result, given the `WORST` values.
    """
    found = {}
    for name, worst in WORST.items():
        values = np.array([getattr(s, name) for s in scores] + [worst] * n_missing, dtype=float)
        values = values[np.isfinite(values)]
        quantiles = np.quantile(values, [0.5, 0.25, 0.75]) if len(values) else [np.nan] * 3
        found[name] = (float(quantiles[0]), float(quantiles[1]), float(quantiles[2]))
    return found
