"""Two sessions of one person brought to each other rigidly, neither of them favoured.

Both images are laid in the space halfway between them, so that both are interpolated alike,
and each is brought to the other: of the two maps, one of them turned round, and their mean, the
one on which they agree best is taken.
Exchanging the sessions gives the inverse map. Mutual information compares them, so that field,
echo time and voxel may differ. The fit is repeated on either half of the brain's blocks; how
far the two lie apart, and what coarse voxels hide from either half alike, is its uncertainty; a
fit that doesn't repeat is refused.
"""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.linalg import expm, logm

from petechia.anatomy.compared import Fixed, Moving, correlation, flattened, sampled
from petechia.anatomy.optimise import metric, one_thread, optimise
from petechia.anatomy.parts import parts_apart_mm
from petechia.anatomy.resample import brought, coarse_grid, through, to_grid
from petechia.anatomy.starts import turned
from petechia.core.checks import require_finite, require_signal
from petechia.core.grid import Grid
from petechia.core.morphology import Mask, dilate_mm, erode_mm
from petechia.errors import InputError, ParameterError

Volume = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]
Points = npt.NDArray[np.float64]

BLOCK_MM = 30.0
"""Repeats see every other block of this size."""
BESIDE_MM = 10.0
"""So far beside the fit the two must agree worse."""
NODS_DEG = (-24.0, -12.0, 0.0, 12.0, 24.0)
ROLLS_DEG = (-12.0, 0.0, 12.0)
"""Turns about x, and about y and z, from which the first fit begins."""
THIN_BELOW_MM = 4.0
"""Below this voxel every third one is enough to compare."""
ROUNDS = 3
"""At most so many fits on voxels of one size, each from where the last one ended."""
SETTLED_VOX = 0.05
"""A fit that moves no place further than this is the last [voxels]."""
FINE_MM = 2.0
"""Parts are compared on voxels no larger than this."""
RIM_MM = 3.0
"""The brain's rim is not asked whether parts lie elsewhere: masks differ there."""
MARGIN_MM = 20.0
"""So much around the brains the halfway space goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionParams:
    """Settings of `register_sessions`.

    Attributes
    ----------
    steps_mm : tuple of float
        Voxels of the halfway space, fit by fit [mm].
    around_mm : float
        So much around the brains is compared [mm].
    blur_vox : float
        Both images are smoothed by so much in the halfway space, so that neither is sharper
        where grids happen to meet [voxels, standard deviation].
    bins, iterations : int
        Of the joint histogram; most steps of a fit.
    least_peak : float
        Least loss of agreement 10 mm beside the fit, in parts of it.
    voxel_error : float
        Error that repeats in either half, in parts of the voxels' diagonal: on voxels the best
        agreement lies beside the true place. Set on simulated pairs.
    most_apart_mm : float
        A fit that repeats no better than this is refused [mm].
    least_overlap : float
        Least overlap (Dice) of the two brains, where both scans see.
    most_bent_mm : float
        Parts of one head lie where a rigid map puts them, up to this [mm]; in another head they
        do not. On simulated pairs one head gave at most 0.4, two gave at least 2.5.
    """

    steps_mm: tuple[float, ...] = (6.0, 3.0, 2.0)
    around_mm: float = 6.0
    blur_vox: float = 0.6
    bins: int = 32
    iterations: int = 40
    least_peak: float = 0.15
    voxel_error: float = 0.08
    most_apart_mm: float = 1.5
    least_overlap: float = 0.85
    most_bent_mm: float = 1.3

    def __post_init__(self) -> None:
        positive = (
            *self.steps_mm, self.bins, self.iterations, self.most_apart_mm, self.most_bent_mm
        )  # fmt: skip
        if (
            not self.steps_mm
            or min(positive) <= 0
            or min(self.around_mm, self.blur_vox, self.voxel_error) < 0
        ):
            raise ParameterError(
                f"{self}",
                where="SessionParams",
                mend="Steps, bins, iterations and most_*_mm above 0; the others at least 0.",
            )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SessionImage:
    """One session, as it is compared.

    Attributes
    ----------
    image : (I, J, K) ndarray of float
        A magnitude, or another image of the whole brain.
    mask : (I, J, K) ndarray of bool
        Brain.
    grid : Grid
        Of both.
    """

    image: npt.NDArray[np.floating]
    mask: Mask
    grid: Grid


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SessionFit:
    """Where the places of one session lie in the other, and whether to believe it.

    Attributes
    ----------
    matrix : (4, 4) ndarray of float
        RAS of the first session to RAS of the second, rigid [mm].
    uncertainty_mm : float
        Standard error of a place of the brain, all three directions together [mm].
    peak : float
        1 less the mean agreement 10 mm beside the fit over that at the fit.
    overlap : float
        Dice of the two brains where both scans see.
    ok : bool
        Whether the fit can be believed.
    says : str
        For people.
    bent_mm : float
        How far parts of the brain lie from where the map puts them, median [mm]; NaN when it
        was not asked.
    """

    matrix: Matrix
    uncertainty_mm: float
    peak: float
    overlap: float
    ok: bool
    says: str
    bent_mm: float = float("nan")

    @property
    def inverse(self) -> Self:
        """The same fit, seen from the other session."""
        return replace(self, matrix=_inverse(self.matrix))

    def to_second(self, places_mm: npt.ArrayLike) -> Points:
        """Return where places (N, 3) of the first session lie in the second [mm]."""
        return brought(self.matrix, np.asarray(places_mm, dtype=np.float64))

    def brought(
        self,
        volume: npt.NDArray[np.generic],
        source: Grid,
        target: Grid,
        *,
        order: int = 1,
        outside: float = 0.0,
    ) -> npt.NDArray[np.float32]:
        """Return a volume of the second session on a grid of the first's world.

        Parameters
        ----------
        volume : (L, M, N) ndarray
            On `source`, of the second session.
        source, target : Grid
        order : int
            0 for labels and masks (nearest), 1 for intensities (linear).
        outside : float
            Value beyond the second session's view.
        """
        source.require(volume, "volume")
        values = np.asarray(volume, dtype=np.float32)
        return through(values, source, self.matrix, target, order=order, outside=outside)


def register_sessions(
    first: SessionImage, second: SessionImage, params: SessionParams | None = None
) -> SessionFit:
    """Register two gradient echoes of one person, of whatever protocol.

    Parameters
    ----------
    first, second : SessionImage
        The two sessions. Neither their grids nor their scanner coordinates need agree.
    params : SessionParams, optional
        Settings.

    Returns
    -------
    SessionFit
        `ok` is False, with the reason in `says`, when the fit is not believable.

    Raises
    ------
    InputError
        An empty mask, or an image that is no image.

    Notes
    -----
    The head may have nodded by some 35 degrees and lie anywhere. Left and right are believed:
    a mirrored session cannot be told from a right one by its symmetric brain alone. What a
    rigid map cannot tell (distortion by the field, atrophy) is no part of the uncertainty.

    References
    ----------
    Reuter et al. 2012, 10.1016/j.neuroimage.2012.02.084 (unbiased halfway space); Mattes et
    al. 2003, 10.1109/TMI.2003.809072.
    """
    chosen = params or SessionParams()
    for name, session in (("first", first), ("second", second)):
        session.grid.require(session.image, name)
        session.grid.require(session.mask, f"{name}: mask")
        require_finite(session.image, name)
        require_signal(session.image, name)
        if not session.mask.any():
            raise InputError("no brain", where=name, mend="Sessions are compared in the brain.")
    with one_thread():
        return _registered(first, second, chosen)


def _registered(first: SessionImage, second: SessionImage, p: SessionParams) -> SessionFit:
    matrix = _started(first, second, p)
    middle = _some_places(first, 20.0)
    for step in p.steps_mm:
        for _ in range(ROUNDS):
            pair = _Halfway.of(first, second, matrix, step, p)
            if not pair.where.any():
                return _refused(matrix, "the two brains do not overlap: not registered")
            fit = _refined(pair, matrix, pair.where, p)
            moved = np.linalg.norm(brought(fit, middle) - brought(matrix, middle), axis=1).max()
            matrix = fit
            if moved < SETTLED_VOX * step:
                break
    repeats = [_refined(pair, matrix, half, p, stay=False) for half in _halves(pair)]
    return _judged(first, second, matrix, repeats, p)


def _refused(matrix: Matrix, says: str) -> SessionFit:
    far = float("inf")
    return SessionFit(matrix=matrix, uncertainty_mm=far, peak=0.0, overlap=0.0, ok=False, says=says)


def _inverse(matrix: Matrix) -> Matrix:
    return np.asarray(np.linalg.inv(matrix), dtype=np.float64)


def halfway(matrix: Matrix) -> Matrix:
    """Return the rigid map that, done twice, is `matrix`."""
    return np.asarray(np.real(expm(0.5 * np.real(logm(matrix)))), dtype=np.float64)


def mean_rigid(one: Matrix, other: Matrix) -> Matrix:
    """Return the rigid map between two that lie near each other."""
    return np.asarray(one @ halfway(_inverse(one) @ other), dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Halfway:
    """Both sessions in the space between them."""

    one: Volume
    other: Volume
    where: Mask
    inner: Mask
    grid: Grid

    @classmethod
    def of(
        cls,
        first: SessionImage,
        second: SessionImage,
        matrix: Matrix,
        step_mm: float,
        p: SessionParams,
    ) -> Self:
        half = halfway(matrix)
        ways = _inverse(half), half  # from halfway to the first, and to the second
        grid = _grid_around(first, second, ways, step_mm)
        laid = [
            _laid(s, way, grid, step_mm, p) for s, way in zip((first, second), ways, strict=True)
        ]
        (one, brain, seen), (other, brain_2, seen_2) = laid
        both = brain | brain_2
        where = dilate_mm(both, grid, p.around_mm) & seen & seen_2
        if step_mm < THIN_BELOW_MM:
            i, j, k = np.ogrid[tuple(slice(0, n) for n in grid.shape)]
            where &= (i + j + k) % 3 == 0
        return cls(one=one, other=other, where=where, inner=brain & brain_2, grid=grid)


def _grid_around(
    first: SessionImage, second: SessionImage, ways: tuple[Matrix, Matrix], step_mm: float
) -> Grid:
    """Return a grid of cubic voxels around both brains in the halfway space."""
    corners = np.concatenate(
        [
            brought(_inverse(way), _some_places(session))
            for session, way in zip((first, second), ways, strict=True)
        ]
    )
    low, high = corners.min(axis=0) - MARGIN_MM, corners.max(axis=0) + MARGIN_MM
    shape = np.ceil((high - low) / step_mm).astype(int)
    affine = np.diag([step_mm, step_mm, step_mm, 1.0])
    affine[:3, 3] = 0.5 * (low + high) - 0.5 * (shape - 1) * step_mm
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine)


def _some_places(session: SessionImage, every_mm: float = 6.0) -> Points:
    """Return places of the brain, about so far apart [mm]."""
    small = coarse_grid(session.grid, every_mm)
    inside = np.asarray(to_grid(session.mask, session.grid, small, order=0))
    if not inside.any():
        return session.grid.to_mm(np.argwhere(session.mask))
    return small.to_mm(np.argwhere(inside))


def _laid(
    session: SessionImage, way: Matrix, grid: Grid, step_mm: float, p: SessionParams
) -> tuple[Volume, Mask, Mask]:
    """Return image, brain and field of view of a session in the halfway space."""
    small = coarse_grid(session.grid, step_mm)
    image = np.asarray(to_grid(session.image, session.grid, small), dtype=np.float32)
    inside = np.asarray(to_grid(session.mask.astype(np.float32), session.grid, small)) > 0.5
    image = flattened(image, inside, small)
    image = sampled(image, small, way, grid)
    brain = sampled(inside.astype(np.float32), small, way, grid) > 0.5
    seen = sampled(np.ones(small.shape, dtype=np.float32), small, way, grid) > 0.99
    return np.asarray(ndimage.gaussian_filter(image, p.blur_vox)), brain, seen


def _refined(
    pair: _Halfway, matrix: Matrix, where: Mask, p: SessionParams, *, stay: bool = True
) -> Matrix:
    """Return the map after bringing each session to the other; `matrix` made the pair.

    A fit may stay where it is when nothing is better; a repeat, whose distance is asked, not.
    """
    one, other = (Fixed(volume=v, where=where, grid=pair.grid) for v in (pair.one, pair.other))
    first, second = (Moving(volume=v, grid=pair.grid) for v in (pair.one, pair.other))
    steps = {"bins": p.bins, "iterations": p.iterations, "step": 0.5}
    there = optimise(one, second, np.eye(4), "rigid", **steps)  # type: ignore[arg-type]
    here = optimise(other, first, np.eye(4), "rigid", **steps)  # type: ignore[arg-type]
    here = _inverse(here)

    def disagree(way: Matrix) -> float:
        return metric(one, second, way) + metric(other, first, _inverse(way))

    found = [mean_rigid(there, here), there, here]
    best = min([*found, np.eye(4)] if stay else found, key=disagree)
    half = halfway(matrix)
    return half @ best @ half


def _halves(pair: _Halfway) -> tuple[Mask, Mask]:
    """Return the black and the white blocks of a chequerboard of what is compared."""
    at = np.argwhere(pair.where)
    middle = 0.5 * (at.min(axis=0) + at.max(axis=0))
    steps = [
        np.floor((np.arange(n) - m) * d / BLOCK_MM).astype(int)
        for n, m, d in zip(pair.grid.shape, middle, pair.grid.spacing_mm, strict=True)
    ]
    odd = (steps[0][:, None, None] + steps[1][None, :, None] + steps[2][None, None, :]) % 2 == 1
    return pair.where & odd, pair.where & ~odd


def _started(first: SessionImage, second: SessionImage, p: SessionParams) -> Matrix:
    """Return the start on which the two agree best: as the scanner says, or brain upon brain."""
    step = p.steps_mm[0]
    middles = [_some_places(session).mean(axis=0) for session in (first, second)]
    looks = []
    for session in (first, second):
        small = coarse_grid(session.grid, step)
        inside = np.asarray(to_grid(session.mask.astype(np.float32), session.grid, small)) > 0.5
        image = np.asarray(to_grid(session.image, session.grid, small), dtype=np.float32)
        image = flattened(image, inside, small)
        fixed = Fixed(volume=image, where=dilate_mm(inside, small, p.around_mm), grid=small)
        looks.append((fixed, Moving(volume=image, grid=small)))
    turns = [(x, 0.0, 0.0) for x in NODS_DEG]
    turns += [(0.0, y, 0.0) for y in ROLLS_DEG if y] + [(0.0, 0.0, z) for z in ROLLS_DEG if z]
    starts = [np.eye(4)]
    for turn in turns:
        start = np.eye(4)
        start[:3, :3] = turned(turn)
        start[:3, 3] = middles[1] - start[:3, :3] @ middles[0]
        starts.append(start)

    def disagree(start: Matrix) -> float:
        back = _inverse(start)
        return metric(looks[0][0], looks[1][1], start) + metric(looks[1][0], looks[0][1], back)

    return min(starts, key=disagree)


def _judged(
    first: SessionImage,
    second: SessionImage,
    matrix: Matrix,
    repeats: list[Matrix],
    p: SessionParams,
) -> SessionFit:
    places = _some_places(first)
    apart = np.linalg.norm(brought(repeats[0], places) - brought(repeats[1], places), axis=1)
    # either half has twice the variance of the whole: their difference four times
    spread = 0.5 * float(np.sqrt(np.mean(apart**2)))
    uncertain = float(np.hypot(spread, p.voxel_error * _diagonal_mm(first, second)))
    pair = _Halfway.of(first, second, matrix, p.steps_mm[-1], p)
    peak, overlap = _peak(pair), _overlap(first, second, matrix, p.steps_mm[-1])
    fine = pair if p.steps_mm[-1] <= FINE_MM else _Halfway.of(first, second, matrix, FINE_MM, p)
    inner = erode_mm(fine.inner, fine.grid, RIM_MM)
    bent = parts_apart_mm(fine.one, fine.other, inner, fine.grid)
    faults = []
    if peak < p.least_peak:
        faults.append(f"they agree hardly better here than {BESIDE_MM:g} mm beside ({peak:.2f})")
    if overlap < p.least_overlap:
        faults.append(f"the two brains overlap by {overlap:.2f} only")
    if spread > p.most_apart_mm:
        faults.append(f"either half of the brain says otherwise by {2 * spread:.1f} mm")
    if bent > p.most_bent_mm:
        faults.append(
            f"parts of the brain lie {bent:.1f} mm from where a rigid map puts them (median): "
            "two people's heads, or one that was distorted"
        )
    told = f"rigid fit, uncertain by {uncertain:.2f} mm, peak {peak:.2f}, overlap {overlap:.2f}"
    told += f", parts within {bent:.1f} mm" if np.isfinite(bent) else ""
    return SessionFit(
        matrix=matrix,
        uncertainty_mm=uncertain,
        peak=peak,
        overlap=overlap,
        bent_mm=bent,
        ok=not faults,
        says=f"not registered: {'; '.join(faults)}" if faults else told,
    )


def _diagonal_mm(first: SessionImage, second: SessionImage) -> float:
    """Return the root mean square of the two voxels' diagonals [mm]."""
    squares = [float((s.grid.spacing_mm**2).sum()) for s in (first, second)]
    return float(np.sqrt(0.5 * sum(squares)))


def _peak(pair: _Halfway) -> float:
    """Return how sharply the two agree within the brain: outlines of any two heads agree."""
    inner = erode_mm(pair.inner, pair.grid, BESIDE_MM)
    inner = inner if inner.any() else pair.where

    def agreement(shift_mm: npt.NDArray[np.float64]) -> float:
        moved = np.eye(4)
        moved[:3, 3] = shift_mm
        values = sampled(pair.other, pair.grid, moved, pair.grid)
        return correlation(pair.one[inner], values[inner], 16)

    fit = agreement(np.zeros(3))
    beside = [agreement(sign * BESIDE_MM * axis) for axis in np.eye(3) for sign in (-1, 1)]
    return float(np.clip(1 - np.mean(beside) / fit, 0, 1)) if fit > 0 else 0.0


def _overlap(first: SessionImage, second: SessionImage, matrix: Matrix, step_mm: float) -> float:
    """Return the Dice of the two brains where both scans see."""
    small = coarse_grid(first.grid, step_mm)
    own = np.asarray(to_grid(first.mask.astype(np.float32), first.grid, small)) > 0.5
    other = sampled(second.mask.astype(np.float32), second.grid, matrix, small)
    seen = sampled(np.ones(second.grid.shape, dtype=np.float32), second.grid, matrix, small) > 0.99
    there = other > 0.5
    total = float((own & seen).sum() + (there & seen).sum())
    return 2 * float((own & there & seen).sum()) / total if total else 0.0
