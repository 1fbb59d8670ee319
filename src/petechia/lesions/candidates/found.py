"""Places that a finder proposes."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from petechia.core.compiled import compiled

Places = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Candidates:
    """N proposed places, strongest first.

    Attributes
    ----------
    places_vox : (N, 3) ndarray of float32
        Voxel indices.
    radius_mm : (N,) ndarray of float32
        Scale at which each was found [mm].
    score : (N,) ndarray of float32
        Strength in robust standard deviations of the finder's own map, positive.
    sign : (N,) ndarray of int8
        +1 paramagnetic, -1 diamagnetic, 0 not known to this finder.
    """

    places_vox: Places
    radius_mm: npt.NDArray[np.float32]
    score: npt.NDArray[np.float32]
    sign: npt.NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.places_vox)

    @classmethod
    def none(cls) -> Self:
        """Return no candidates."""
        zero = np.zeros(0, dtype=np.float32)
        return cls(
            places_vox=np.zeros((0, 3), dtype=np.float32),
            radius_mm=zero,
            score=zero.copy(),
            sign=np.zeros(0, dtype=np.int8),
        )

    def strongest(self, count: int) -> Self:
        """Return the `count` best."""
        keep = np.argsort(-self.score, kind="stable")[:count]
        return type(self)(
            places_vox=self.places_vox[keep],
            radius_mm=self.radius_mm[keep],
            score=self.score[keep],
            sign=self.sign[keep],
        )


def local_maxima(
    response: npt.NDArray[np.float32], mask: npt.NDArray[np.bool_], threshold: float
) -> npt.NDArray[np.int64]:
    """Return indices (N, 3) of voxels above `threshold` that no 26-neighbour exceeds."""
    above = np.argwhere(mask & (response > threshold))
    top: npt.NDArray[np.bool_] = _is_top(response, above)
    return np.asarray(above[top], dtype=np.int64)


@compiled
def _is_top(response, places):  # type: ignore[no-untyped-def]
    out = np.ones(len(places), dtype=np.bool_)
    for n in range(len(places)):
        i, j, k = places[n, 0], places[n, 1], places[n, 2]
        for a in range(max(i - 1, 0), min(i + 2, response.shape[0])):
            for b in range(max(j - 1, 0), min(j + 2, response.shape[1])):
                for c in range(max(k - 1, 0), min(k + 2, response.shape[2])):
                    if response[a, b, c] > response[i, j, k]:
                        out[n] = False
    return out


def merge_scales(
    scales: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], float]],
    spacing_mm: npt.NDArray[np.float64],
    limit: int,
    signs: list[npt.NDArray[np.int8]] | None = None,
) -> Candidates:
    """Return the strongest of places found at several scales, one for each place.

    Parameters
    ----------
    scales : list of (places (N, 3), score (N,), radius_mm)
        One entry a scale.
    spacing_mm : (3,) ndarray of float
        Voxel size [mm].
    limit : int
        At most so many are kept.
    signs : list of (N,) ndarray of int8, optional
        In step with `scales`.
    """
    if sum(len(place) for place, _, _ in scales) == 0:
        return Candidates.none()
    places = np.concatenate([place for place, _, _ in scales]).astype(np.float32)
    score = np.concatenate([s for _, s, _ in scales]).astype(np.float32)
    radius = np.concatenate([np.full(len(p), r, dtype=np.float32) for p, _, r in scales])
    sign = np.zeros(len(places), dtype=np.int8) if signs is None else np.concatenate(signs)
    order = np.lexsort((*places.T, -score))[: 8 * limit]
    places, score, radius, sign = places[order], score[order], radius[order], sign[order]
    reach = np.maximum(0.8 * radius, 0.9 * spacing_mm.min())
    keep = _apart(places * spacing_mm, reach, limit)
    return Candidates(
        places_vox=places[keep],
        radius_mm=radius[keep],
        score=score[keep],
        sign=sign[keep],
    )


@compiled
def _apart(at_mm, reach_mm, limit):  # type: ignore[no-untyped-def]
    """Return indices of places that no stronger kept place has within its reach."""
    kept = np.zeros(limit, dtype=np.int64)
    count = 0
    for n in range(len(at_mm)):
        free = True
        for m in range(count):
            away = 0.0
            for a in range(3):
                away += (at_mm[n, a] - at_mm[kept[m], a]) ** 2
            if away <= reach_mm[kept[m]] ** 2:
                free = False
                break
        if free:
            kept[count] = n
            count += 1
            if count == limit:
                break
    return kept[:count]
