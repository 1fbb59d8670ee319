"""The template head: what scans are registered to."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.core.grid import Grid
from petechia.core.morphology import Mask
from petechia.errors import InputError

NEEDED = ("t1", "t2", "brain_mask", "regions", "affine")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Template:
    """A head with its brain and regions on one grid.

    Attributes
    ----------
    t1, t2 : (I, J, K) ndarray of float32
        Whole heads, arbitrary units.
    brain : (I, J, K) ndarray of bool
        Brain with sulcal fluid, down to the foramen magnum.
    regions : (I, J, K) ndarray of int16
        Labels of `petechia.anatomy.sites.REGIONS`.
    grid : Grid
        Template RAS [mm], midline at x = 0.
    """

    t1: npt.NDArray[np.float32]
    t2: npt.NDArray[np.float32]
    brain: Mask
    regions: npt.NDArray[np.int16]
    grid: Grid

    def __post_init__(self) -> None:
        for name in ("t1", "t2", "brain", "regions"):
            self.grid.require(getattr(self, name), f"Template.{name}")


def template_from(arrays: Mapping[str, npt.NDArray[Any]]) -> Template:
    """Return the template made of vendored arrays.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        With `t1`, `t2`, `brain_mask`, `regions` of one shape and a (4, 4) `affine`.

    Raises
    ------
    InputError
        When one of them is missing.
    """
    missing = [name for name in NEEDED if name not in arrays]
    if missing:
        raise InputError(
            f"no {', '.join(missing)} among {', '.join(sorted(arrays)) or 'nothing'}",
            where="template_from",
            mend=f"Give {', '.join(NEEDED)}.",
        )
    i, j, k = arrays["t1"].shape
    return Template(
        t1=arrays["t1"].astype(np.float32),
        t2=arrays["t2"].astype(np.float32),
        brain=arrays["brain_mask"] > 0,
        regions=arrays["regions"].astype(np.int16),
        grid=Grid((i, j, k), arrays["affine"]),
    )
