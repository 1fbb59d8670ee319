"""The voids of a scan as sources of its field: each fitted with all others as its neighbours."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from petechia.core.morphology import distance_inside_mm
from petechia.core.robust import ENOUGH, robust_sd
from petechia.lesions.around import Around
from petechia.lesions.inputs import LesionInputs
from petechia.lesions.lobes import lobes
from petechia.lesions.moment import (
    MomentFit,
    MomentParams,
    Parts,
    fit_moments,
    noise_floor,
)
from petechia.lesions.shape import Shape
from petechia.lesions.void import Void

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Sources:
    """What `fit_moments` is asked of a scan.

    Attributes
    ----------
    near : LesionInputs
        The inputs, cut to the brain: noise of the field, susceptibility, where both count.
    field_ppm : (I, J, K) ndarray of float
        Field that is read [ppm].
    usable : (I, J, K) ndarray of bool
        Where it is read.
    places_vox, radii_mm : (N, 3), (N,) ndarray of float
        Of all voids, the candidates first.
    edge_mm : (N,) ndarray of float
        Distance to the edge of the field [mm].
    tails : (M,) ndarray of float
        Share of each candidate's dark region that lies beyond the body and in no other's.
    spread_ppm : float
        Of the filtered field in tissue [ppm].
    floor_ppm : float
        Added to every voxel's noise, in squares [ppm].
    params : MomentParams
        Settings.
    around : Around or None
        The susceptibility map and its field.
    """

    near: LesionInputs
    field_ppm: npt.NDArray[np.floating]
    usable: npt.NDArray[np.bool_]
    places_vox: Floats
    radii_mm: Floats
    edge_mm: Floats
    tails: Floats
    spread_ppm: float
    floor_ppm: float
    params: MomentParams
    around: Around | None

    @classmethod
    def of(
        cls,
        near: LesionInputs,
        field_ppm: npt.NDArray[np.floating] | None,
        voids: Sequence[Void],
        shapes: Sequence[Shape],
        every: tuple[Floats, Floats],
        usable: npt.NDArray[np.bool_],
        params: MomentParams,
    ) -> Self | None:
        """Return the sources of a field, or None without field or candidates.

        Of a local field the one before background removal is read, where it is known. Tails of
        `voids` are without the bodies of others. `every` is centres and radii of all voids; those
        that are no candidates are neighbours only.
        """
        if field_ppm is None or not shapes:
            return None
        centres = np.array([s.centre_vox for s in shapes])
        gap = np.abs(every[0][:, None] - centres[None]).max(axis=-1)
        others = gap.min(axis=1) > 1e-6
        places = np.concatenate([centres, every[0][others]])
        whole = near.total_field_ppm if field_ppm is near.local_field_ppm else None
        usable = near.trusted & usable
        edge = distance_inside_mm(near.trusted, near.grid)
        spread = robust_sd(field_ppm[usable], most=ENOUGH)
        return cls(
            near=near,
            field_ppm=field_ppm if whole is None else whole,
            usable=usable,
            places_vox=places,
            radii_mm=np.concatenate([np.array([s.radius_mm for s in shapes]), every[1][others]]),
            edge_mm=edge[tuple(places.round().astype(int).T)],
            tails=np.array([v.unread for v in voids]),
            spread_ppm=spread,
            floor_ppm=noise_floor(near.field_noise_ppm, spread, usable, params.anatomy),
            params=params,
            around=None
            if near.chi_ppm is None
            else Around.of(near.chi_ppm, near.trusted, near.grid),
        )

    def fit(self, parts: Parts | None = None) -> list[MomentFit | None]:
        """Fit every candidate; `parts` are the points of the first."""
        return fit_moments(
            self.field_ppm,
            self.near.field_noise_ppm,
            self.usable,
            self.places_vox,
            self.radii_mm,
            self.near.grid,
            self.params,
            np.arange(len(self.tails)),
            self.edge_mm,
            tails=self.tails,
            spread_ppm=self.spread_ppm,
            parts=parts,
            around=self.around,
            floor_ppm=self.floor_ppm,
        )[: len(self.tails)]

    def fit_together(self, pieces: Sequence[int], whole: Void) -> MomentFit | None:
        """Fit candidates as one source, its moment spread over them about as their volumes.

        In static dephasing a void's volume goes with its moment; the shares may give way to what
        the field says. `whole` is the void that they are together, its tail without the bodies of
        others.
        """
        some = np.asarray(pieces)
        volumes = self.radii_mm[some] ** 3
        share = volumes / volumes.sum()
        return self._fit_as(some, self.places_vox[some], share, whole.unread)

    def fit_lobes(
        self, n: int, void: Void, signal: npt.NDArray[np.floating]
    ) -> tuple[MomentFit, npt.NDArray[np.int64]] | None:
        """Fit a candidate as two lobes of its void, in the way that explains the field best.

        Returns
        -------
        fit, voxels
            Where the tail is read as a part of a lobe it adds no error; where it is not, it
            does. None where no field can be read.
        """
        some, out = np.array([n]), []
        for voxels, places, share in lobes(void, signal, self.near.grid):
            unread = 1 - len(voxels) / (len(void.body) + len(void.tail))
            fit = self._fit_as(some, places, share, unread)
            if fit is not None:
                out.append((fit, voxels))
        return max(out, key=lambda told: told[0].explained, default=None)

    def _fit_as(
        self, some: npt.NDArray[np.intp], places_vox: Floats, share: Floats, tail: float
    ) -> MomentFit | None:
        """Fit candidates as one source, its moment spread over points."""
        centre = share @ places_vox
        own = self.radii_mm[some] ** 3
        others = np.setdiff1d(np.arange(len(self.places_vox)), some)
        whole = replace(
            self,
            places_vox=np.concatenate([centre[None], self.places_vox[others]]),
            radii_mm=np.concatenate([np.cbrt([own.sum()]), self.radii_mm[others]]),
            edge_mm=np.concatenate([[own @ self.edge_mm[some] / own.sum()], self.edge_mm[others]]),
            tails=np.array([tail]),
        )
        return whole.fit(Parts(offset_vox=places_vox - centre, share=share))[0]
