"""Where a cohort's lesions lie: the share of people with one near each place of the template."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from petechia.core.grid import Grid
from petechia.errors import InputError, ParameterError


def lesion_frequency(
    places_mm: Sequence[npt.ArrayLike], grid: Grid, radius_mm: float
) -> npt.NDArray[np.float32]:
    """Return the share of people who have a lesion within `radius_mm` of each voxel.

    Parameters
    ----------
    places_mm : sequence of (n, 3) array of float
        For each person the places of the lesions in the template, RAS [mm]; (0, 3) for a
        person without any, who belongs to the denominator too.
    grid : Grid
        Of the template.
    radius_mm : float
        Above 0. A person counts once at a voxel, however many lesions are near.

    Returns
    -------
    (I, J, K) ndarray of float32
        0 to 1; all 0 without people. A lesion beyond the grid marks nothing.

    Raises
    ------
    InputError
        A place that is not finite.
    """
    if not radius_mm > 0:
        raise ParameterError(
            f"radius_mm = {radius_mm}", where="lesion_frequency", mend="Give a length above 0."
        )
    people = np.zeros(grid.shape, dtype=np.int32)
    reach = np.ceil(radius_mm / np.asarray(grid.spacing_mm)).astype(int) + 1
    steps = np.stack(
        np.meshgrid(*(np.arange(-r, r + 1) for r in reach), indexing="ij"), axis=-1
    ).reshape(-1, 3)
    turn = np.asarray(grid.affine)[:3, :3]
    shape = np.asarray(grid.shape)
    for person in places_mm:
        lesions = np.asarray(person, dtype=np.float64).reshape(-1, 3)
        if not np.isfinite(lesions).all():
            raise InputError(
                "a place is not finite",
                where="lesion_frequency",
                mend="Leave out people whose scan has no place in the template.",
            )
        near = []
        for place in lesions:
            centre = np.asarray(grid.to_index(place))
            voxels = np.rint(centre).astype(int) + steps
            apart = np.linalg.norm((voxels - centre) @ turn.T, axis=1)
            inside = ((voxels >= 0) & (voxels < shape)).all(axis=1) & (apart <= radius_mm)
            near.append(np.ravel_multi_index(tuple(voxels[inside].T), grid.shape))
        if near:
            people.ravel()[np.unique(np.concatenate(near))] += 1
    return np.asarray(people / max(1, len(places_mm)), dtype=np.float32)
