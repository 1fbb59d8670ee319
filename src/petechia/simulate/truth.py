"""The truth beside a simulated scan: lesions as they are and as they look, and maps."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial.distance import pdist

from petechia.core.grid import Grid
from petechia.simulate.sources import Source

Volume = npt.NDArray[np.float32]
VOID_LOSS = 0.30
"""Signal loss at the reading echo from which a voxel belongs to a void."""
WORDS = {"n/a": "ventricle or unlabelled"}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Truth:
    """What is really there.

    Attributes
    ----------
    lesions : list of dict
        A row for each lesion, with the truth columns of the output contract; places are
        scanner RAS [mm], sizes millimetres.
    labels : (I, J, K) ndarray of int16
        Void of each lesion: voxels that lose 30 % or more of their signal at the reading
        echo, and always the voxel at its centre. Value = index of its row.
    maps : dict of str to (I, J, K) ndarray
        'Chimap' [ppm], mean over the brain 0, 0 outside; 'R2starmap' [1/s];
        'desc-field_fieldmap' [ppm] with shim; 'desc-brain_mask', 'desc-regions_dseg' (uint8,
        int16); 'desc-veins_probseg', the part of each voxel that is venous blood.
    reading_te_s : float
        Echo at which voids were read [s].
    """

    lesions: list[dict[str, Any]]
    labels: npt.NDArray[np.int16]
    maps: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    reading_te_s: float


def void_labels(
    with_lesions: Volume,
    without: Volume,
    spots: npt.NDArray[np.floating],
    owners: npt.NDArray[np.integer],
    grid: Grid,
) -> npt.NDArray[np.int16]:
    """Return each lesion's void: loss of 30 % and more, connected, of the source that rules there.

    Parameters
    ----------
    with_lesions, without : (I, J, K) ndarray of float32
        Noise-free magnitudes at the reading echo.
    spots : (N, 4) ndarray
        Places all over the lesions in voxels, and the cube root of the moment at each.
    owners : (N,) ndarray of int
        To which lesion, from 0, each belongs.
    grid : Grid
        Of the magnitudes.

    Returns
    -------
    labels : (I, J, K) ndarray of int16
        1..N; 0 elsewhere. Unlike the truth's labels, empty for an invisible lesion.
    """
    labels = np.zeros(grid.shape, dtype=np.int16)
    tissue = without > 0.15 * np.percentile(without, 98)
    void = tissue & (with_lesions < (1 - VOID_LOSS) * without)
    if not len(spots) or not void.any():
        return labels
    voxels = np.argwhere(void)
    nearest, ruling = _nearest_spot(voxels, np.asarray(spots, dtype=np.float64), grid)
    near = nearest <= 3.0 * spots[ruling, 3] + 1.5 * grid.spacing_mm.max()
    labels[tuple(voxels[near].T)] = owners[ruling[near]] + 1
    for n, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is not None:
            corner = [edge.start for edge in box]
            _keep_nearest_part(labels[box], n, spots[owners == n - 1, :3] - corner, grid)
    return labels


def _nearest_spot(
    voxels: npt.NDArray[np.integer], spots: npt.NDArray[np.float64], grid: Grid
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Return each voxel's distance [mm] to the spot that is nearest for its size, and which."""
    nearest = np.full(len(voxels), np.inf)
    least = np.full(len(voxels), np.inf)
    ruling = np.zeros(len(voxels), dtype=np.int64)
    for n, (*place, size) in enumerate(spots):
        away = np.linalg.norm((voxels - place) * grid.spacing_mm, axis=1)
        closer = away / size < least
        least[closer], nearest[closer], ruling[closer] = away[closer] / size, away[closer], n
    return nearest, ruling


def _keep_nearest_part(
    labels: npt.NDArray[np.int16], n: int, spots: npt.NDArray[np.floating], grid: Grid
) -> None:
    """Leave label `n` only in the connected parts nearest to a spot of its lesion."""
    parts, count = ndimage.label(labels == n, structure=np.ones((3, 3, 3)))
    if count < 2:
        return
    voxels = np.argwhere(parts)
    kept = set()
    for spot in spots:
        away = np.linalg.norm((voxels - spot) * grid.spacing_mm, axis=1)
        kept.add(int(parts[tuple(voxels[np.argmin(away)])]))
    labels[(parts > 0) & ~np.isin(parts, list(kept))] = 0


def longest_in_plane_mm(voxels: npt.NDArray[np.integer], grid: Grid) -> float:
    """Return the longest diameter within a slice, over all slices of a void [mm].

    Between voxel centres, and one in-plane voxel more; 0 for an empty void.
    """
    if not len(voxels):
        return 0.0
    axis = grid.slice_axis
    in_plane = [a for a in range(3) if a != axis]
    spacing = grid.spacing_mm[in_plane]
    longest = 0.0
    for number in np.unique(voxels[:, axis]):
        places = voxels[voxels[:, axis] == number][:, in_plane] * spacing
        if len(places) > 1:
            longest = max(longest, float(pdist(places).max()))
    return longest + float(spacing.mean())


def lesion_rows(
    sources: Sequence[Source],
    places_mm: npt.NDArray[np.floating],
    labels: npt.NDArray[np.int16],
    grid: Grid,
) -> list[dict[str, Any]]:
    """Return the truth table: a row for each source, with how its void looks."""
    rows = []
    for n, (source, place) in enumerate(zip(sources, places_mm, strict=True), start=1):
        voxels = np.argwhere(labels == n)
        x, y, z = (round(float(v), 3) for v in place)
        spot = source.place
        where = source.structure or WORDS.get(spot.site, spot.site.replace("_", " "))
        side = "" if spot.side in ("n/a", "midline") or where == "pineal" else f"{spot.side} "
        rows.append(
            {
                "index": n,
                "name": f"{source.title or source.kind.replace('_', ' ')}, {side}{where}",
                "class": source.kind,
                "x_mm": x,
                "y_mm": y,
                "z_mm": z,
                "true_diameter_mm": round(source.diameter_mm, 3),
                "apparent_diameter_mm": round(longest_in_plane_mm(voxels, grid), 3),
                "apparent_volume_mm3": round(len(voxels) * grid.voxel_mm3, 3),
                "chi_ppm": round(source.chi_ppm, 4),
                "moment_ppm_mm3": round(source.moment_ppm_mm3, 4),
                "side": spot.side,
                "site": spot.site,
                "compartment": spot.compartment,
                "visible": int(len(voxels) > 0),
            }
        )
    return rows


def with_centres(
    labels: npt.NDArray[np.int16], centres_index: npt.NDArray[np.floating]
) -> npt.NDArray[np.int16]:
    """Return labels in which also lesions without a void have the voxel at their centre."""
    out = labels.copy()
    for n, centre in enumerate(np.asarray(centres_index), start=1):
        index = np.round(centre).astype(int)
        if (index >= 0).all() and (index < labels.shape).all() and not out[tuple(index)]:
            out[tuple(index)] = n
    return out
