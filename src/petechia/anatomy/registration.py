"""Scan to template: an affine map by mutual information, and demons for what it leaves.

The only module that holds SimpleITK. World coordinates are RAS throughout (SimpleITK is told
so by origin, spacing and direction; nothing here depends on its own LPS habit). Every
registration runs on one thread over all voxels of the mask: with more, its sums depend on
their order, and on images this coarse it is not faster.

What an affine map cannot tell (ventricles, sulci, deep nuclei) is `deformation.deform`'s.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import SimpleITK
from scipy import ndimage

from petechia.anatomy.head import head_mask
from petechia.anatomy.resample import coarse_grid, to_grid
from petechia.anatomy.template import Template
from petechia.core.checks import require_finite, require_signal
from petechia.core.grid import Grid
from petechia.core.morphology import Mask, dilate_mm
from petechia.errors import ParameterError

log = logging.getLogger(__name__)
itk: Any = SimpleITK  # its wrappers carry no types
Volume = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]

AROUND_MM = 12.0
"""So much around head or brain is compared too: without its dark shell a homogeneous brain
can be stretched at will."""
LEAST_COVERED = 0.25
"""Less of a brain in the field of view than this is not registered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationParams:
    """Settings of `register`.

    Attributes
    ----------
    search_mm, affine_mm : float
        Voxels of the search over starts and of the affine fit [mm].
    bins : int
        Bins of the joint histogram.
    starts : int
        How many of the best starts are followed.
    iterations : int
        At most so many steps of the optimiser, per stage.
    accept : float
        Least `quality` that counts as registered.
    """

    search_mm: float = 8.0
    affine_mm: float = 4.0
    bins: int = 32
    starts: int = 3
    iterations: int = 80
    accept: float = 0.3

    def __post_init__(self) -> None:
        for name in ("search_mm", "affine_mm", "bins", "starts", "iterations"):
            if not getattr(self, name) > 0:
                raise ParameterError(
                    f"{name} = {getattr(self, name)}",
                    where="RegistrationParams",
                    mend="Give a value above 0.",
                )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Registration:
    """Where each voxel of the scan lies in the template.

    Attributes
    ----------
    matrix : (4, 4) ndarray of float
        Scan RAS to template RAS [mm].
    scan_grid, template_grid : Grid
        The two grids.
    quality : float
        How sharply scan and template agree: 1 less the entropy correlation coefficient when
        displaced by 15 mm (mean of six directions) over that of the fit, over the brain and
        12 mm around it. 0 for unrelated images; 0.4 and above for heads.
    ok : bool
        The fit is believable: quality, volume ratio and shear within bounds.
    says : str
        The reason, for people.
    displacement_vox : (3, I, J, K) ndarray of float32, optional
        On the template's grid: how much further than by `matrix` a place is moved, in
        template voxels.
    """

    matrix: Matrix
    scan_grid: Grid
    template_grid: Grid
    quality: float
    ok: bool
    says: str
    displacement_vox: Volume | None = None

    def to_scan(
        self,
        volume: npt.NDArray[np.generic],
        nearest: bool = True,
        grid: Grid | None = None,
        outside: float = 0.0,
    ) -> npt.NDArray[Any]:
        """Return a volume of the template on the scan's grid.

        Parameters
        ----------
        volume : (I, J, K) ndarray
            On the template's grid.
        nearest : bool
            True for labels and masks, False for intensities (linear).
        grid : Grid, optional
            Another grid of the same world as the scan's.
        outside : float
            Value beyond the template.
        """
        self.template_grid.require(volume, "volume")
        target = grid or self.scan_grid
        matrix = np.linalg.inv(self.template_grid.affine) @ self.matrix @ target.affine
        values = volume if nearest else np.asarray(volume, dtype=np.float32)
        if self.displacement_vox is not None:
            return self._warped(values, matrix, target, nearest, outside)
        out = ndimage.affine_transform(
            values,
            matrix[:3, :3],
            matrix[:3, 3],
            target.shape,
            order=0 if nearest else 1,
            mode="constant",
            cval=outside,
        )
        return cast("npt.NDArray[Any]", out)

    def _warped(
        self,
        values: npt.NDArray[Any],
        matrix: Matrix,
        target: Grid,
        nearest: bool,
        outside: float,
    ) -> npt.NDArray[Any]:
        """Sample through the displacement, a slab of the target at a time."""
        out = np.empty(target.shape, dtype=values.dtype)
        j, k = np.meshgrid(*(np.arange(n) for n in target.shape[1:]), indexing="ij")
        for i in range(target.shape[0]):
            place = np.stack([np.full_like(j, i), j, k]).reshape(3, -1)
            there = matrix[:3, :3] @ place + matrix[:3, 3:]
            step = [
                ndimage.map_coordinates(part, there, order=1, mode="nearest")
                for part in cast("Volume", self.displacement_vox)
            ]
            out[i] = ndimage.map_coordinates(
                values, there + step, order=0 if nearest else 1, mode="constant", cval=outside
            ).reshape(j.shape)
        return out


def register(
    magnitude: npt.NDArray[np.floating],
    grid: Grid,
    template: Template,
    mask: Mask | None = None,
    params: RegistrationParams | None = None,
    initial: Registration | None = None,
) -> Registration:
    """Register a scan of any contrast and coverage to the template.

    Orientation comes from the scan's affine, so heads may be turned by some 25 degrees at
    most. Without `initial`, translations and pitches around the head's place are searched by
    mutual information; the best are followed rigidly, then by an affine map. With `mask` the
    last fit is over the brain and 12 mm around it, without face and neck.

    Parameters
    ----------
    magnitude : (I, J, K) ndarray of float
        One image, or the echoes combined.
    grid : Grid
        Geometry.
    template : Template
        What it is registered to.
    mask : (I, J, K) ndarray of bool, optional
        Brain of the scan.
    params : RegistrationParams, optional
        Settings.
    initial : Registration, optional
        Where to start, instead of searching.

    Returns
    -------
    Registration
        `ok` is False, with the reason in `says`, when the fit is not believable.

    References
    ----------
    Mattes et al. 2003, 10.1109/TMI.2003.809072; Astola and Virtanen 1983 (entropy correlation
    coefficient) in Maes et al. 1997, 10.1109/42.563664
    """
    chosen = params or RegistrationParams()
    grid.require(magnitude, "magnitude")
    require_finite(magnitude, "magnitude")
    require_signal(magnitude, "magnitude")
    with _one_thread():
        return _registered(magnitude, grid, template, mask, chosen, initial)


def _registered(
    magnitude: npt.NDArray[np.floating],
    grid: Grid,
    template: Template,
    mask: Mask | None,
    params: RegistrationParams,
    initial: Registration | None,
) -> Registration:
    there = _Moving.at(template, params.affine_mm)
    head = head_mask(magnitude, grid)
    if initial is None:
        matrix = _search(magnitude, head, grid, template, params)
        scan = _Fixed.of(magnitude, head, grid, params.affine_mm)
        matrix = _optimise(scan, there, matrix, "affine", params)
    else:
        matrix = initial.matrix
    scan = _Fixed.of(magnitude, head, grid, params.affine_mm, mask)
    if not scan.where.any():
        says = f"nothing of the brain mask is left at {params.affine_mm:g} mm: not registered"
        return Registration(
            matrix=matrix,
            scan_grid=grid,
            template_grid=template.grid,
            quality=0.0,
            ok=False,
            says=says,
        )
    judged = _judged(matrix, scan, there, grid, template, params)
    if mask is None:
        return judged
    matrix = _optimise(scan, there, matrix, "affine", params)
    closer = _judged(matrix, scan, there, grid, template, params)
    return closer if closer.ok or not judged.ok else judged


def demons(
    fixed: Volume,
    moving: Volume,
    displacement_vox: Volume,
    grid: Grid,
    *,
    iterations: int,
    stiffness_mm: float,
) -> Volume:
    """Return the displacement after some steps of symmetric-forces demons.

    Parameters
    ----------
    fixed, moving : (I, J, K) ndarray of float32
        Two images of one contrast, in units of their noise.
    displacement_vox : (3, I, J, K) ndarray of float32
        Where to start: `fixed` at x looks like `moving` at x + displacement.
    grid : Grid
        Of all of them.
    iterations : int
        Steps.
    stiffness_mm : float
        Standard deviation of the Gaussian that smooths the field after every step [mm].

    References
    ----------
    Thirion 1998, 10.1016/S1361-8415(98)80022-4; Vercauteren et al. 2009,
    10.1016/j.neuroimage.2008.10.040
    """
    # a grid of plain voxels: the filter then works in their units, whatever the directions
    plain = itk.FastSymmetricForcesDemonsRegistrationFilter()
    plain.SetNumberOfIterations(iterations)
    plain.SetStandardDeviations((stiffness_mm / grid.spacing_mm).tolist())
    plain.SetSmoothDisplacementField(True)
    start = itk.GetImageFromArray(
        np.ascontiguousarray(displacement_vox.transpose(3, 2, 1, 0), dtype=np.float64),
        isVector=True,
    )
    with _one_thread():
        found = plain.Execute(
            itk.GetImageFromArray(np.ascontiguousarray(fixed.T, dtype=np.float32)),
            itk.GetImageFromArray(np.ascontiguousarray(moving.T, dtype=np.float32)),
            start,
        )
    return np.asarray(itk.GetArrayFromImage(found).transpose(3, 2, 1, 0), dtype=np.float32)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Fixed:
    """The coarse scan, its shading flattened, and where to compare."""

    volume: Volume
    where: Mask
    grid: Grid

    @classmethod
    def of(
        cls,
        magnitude: npt.NDArray[np.floating],
        head: Mask,
        grid: Grid,
        spacing_mm: float,
        mask: Mask | None = None,
    ) -> "_Fixed":
        small = coarse_grid(grid, spacing_mm)
        image = np.asarray(to_grid(magnitude, grid, small), dtype=np.float32)
        head = np.asarray(to_grid(head, grid, small, order=0))
        level = flattened(image, head, small)
        if mask is None:
            where = dilate_mm(head, small, AROUND_MM)
        else:
            where = dilate_mm(np.asarray(to_grid(mask, grid, small, order=0)), small, AROUND_MM)
        return cls(volume=level, where=where, grid=small)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Moving:
    """The coarse template."""

    volume: Volume
    grid: Grid

    @classmethod
    def at(cls, template: Template, spacing_mm: float) -> "_Moving":
        small = coarse_grid(template.grid, spacing_mm)
        image = np.asarray(to_grid(template.t1, template.grid, small), dtype=np.float32)
        return cls(volume=image, grid=small)


def flattened(image: Volume, head: Mask, grid: Grid, width_mm: float = 25.0) -> Volume:
    """Return `image` over its own smooth mean within the head, clipped to 0..3."""
    sigma = width_mm / grid.spacing_mm
    top = np.percentile(image[head], 99) if head.any() else 1.0
    held = np.minimum(image, top) * head
    mean = ndimage.gaussian_filter(held, sigma) / np.maximum(
        ndimage.gaussian_filter(head.astype(np.float32), sigma), 1e-3
    )
    out = image / np.maximum(mean, 0.05 * top + np.finfo(np.float32).tiny)
    return np.asarray(np.clip(out, 0, 3), dtype=np.float32)


def _search(
    magnitude: npt.NDArray[np.floating],
    head: Mask,
    grid: Grid,
    template: Template,
    params: RegistrationParams,
) -> Matrix:
    scan = _Fixed.of(magnitude, head, grid, params.search_mm)
    there = _Moving.at(template, params.search_mm)
    scored = [(_metric(scan, there, start), n, start) for n, start in enumerate(_starts(scan))]
    best = sorted(scored)[: params.starts]
    fitted = [_optimise(scan, there, start, "rigid", params) for _, _, start in best]
    return min(fitted, key=lambda matrix: _metric(scan, there, matrix))


def _starts(scan: _Fixed) -> list[Matrix]:
    """Return maps that bring the scan's field of view and head over the template's brain."""
    head = scan.grid.to_mm(np.argwhere(scan.where))
    top = float(np.percentile(head[:, 2], 99))
    cranium = head[head[:, 2] > top - 110.0]
    centre = np.array([*np.median(cranium[:, :2], axis=0), top])
    goal = np.array([0.0, -18.0, 92.0])  # the template's vertex, 12 mm of air above it
    out = []
    for pitch, dz, dy in product((-18, 0, 18), (-60, -40, -20, 0, 20), (-16, 0, 16)):
        c, s = np.cos(np.deg2rad(pitch)), np.sin(np.deg2rad(pitch))
        matrix = np.eye(4)
        matrix[1:3, 1:3] = [[c, -s], [s, c]]
        pivot = centre - (0, 0, 70)
        matrix[:3, 3] = goal - (0, 0, 70) + (0, dy, dz) - matrix[:3, :3] @ pivot
        out.append(matrix)
    return out


def _image(volume: Volume, grid: Grid) -> Any:
    image = itk.GetImageFromArray(np.ascontiguousarray(volume.T, dtype=np.float32))
    image.SetSpacing([float(d) for d in grid.spacing_mm])
    image.SetDirection((grid.affine[:3, :3] / grid.spacing_mm).ravel().tolist())
    image.SetOrigin(grid.affine[:3, 3].tolist())
    return image


def _method(scan: _Fixed, bins: int) -> Any:
    method = itk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(bins)
    where = itk.GetImageFromArray(np.ascontiguousarray(scan.where.T, dtype=np.uint8))
    where.CopyInformation(_image(scan.volume, scan.grid))
    method.SetMetricFixedMask(where)
    method.SetMetricSamplingStrategy(method.NONE)
    method.SetInterpolator(itk.sitkLinear)
    return method


def _transform(matrix: Matrix, kind: str, scan: _Fixed) -> Any:
    out = itk.AffineTransform(3) if kind == "affine" else itk.Euler3DTransform()
    centre = scan.grid.to_mm(np.argwhere(scan.where).mean(axis=0))
    out.SetCenter(centre.tolist())
    out.SetMatrix(matrix[:3, :3].ravel().tolist(), *(() if kind == "affine" else (1e-6,)))
    shift = matrix[:3, :3] @ centre + matrix[:3, 3] - centre
    out.SetTranslation(shift.tolist())
    return out


def _matrix(transform: Any) -> Matrix:
    out = np.eye(4)
    out[:3, :3] = np.reshape(transform.GetMatrix(), (3, 3))
    centre = np.array(transform.GetCenter())
    out[:3, 3] = np.array(transform.GetTranslation()) + centre - out[:3, :3] @ centre
    return out


@contextmanager
def _one_thread() -> Iterator[None]:
    """One ITK thread inside, and as many as before afterwards."""
    before = itk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    itk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        itk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)


def _metric(scan: _Fixed, there: _Moving, matrix: Matrix) -> float:
    method = _method(scan, 32)
    method.SetInitialTransform(_transform(matrix, "affine", scan))
    try:
        return float(
            method.MetricEvaluate(_image(scan.volume, scan.grid), _image(there.volume, there.grid))
        )
    except RuntimeError:  # nothing overlaps
        return float("inf")


def _optimise(
    scan: _Fixed, there: _Moving, matrix: Matrix, kind: str, params: RegistrationParams
) -> Matrix:
    method = _method(scan, params.bins)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=float(min(scan.grid.spacing_mm)),
        minStep=0.02,
        numberOfIterations=params.iterations,
        relaxationFactor=0.6,
        gradientMagnitudeTolerance=1e-6,
    )
    method.SetOptimizerScalesFromPhysicalShift()
    transform = _transform(matrix, kind, scan)
    method.SetInitialTransform(transform, inPlace=True)
    try:
        method.Execute(_image(scan.volume, scan.grid), _image(there.volume, there.grid))
    except RuntimeError as error:  # the image moved off the template
        log.info("registration stage %s stopped: %s", kind, error)
        return matrix
    log.debug("%s: %s", kind, method.GetOptimizerStopConditionDescription())
    return _matrix(transform)


def _judged(
    matrix: Matrix,
    scan: _Fixed,
    there: _Moving,
    grid: Grid,
    template: Template,
    params: RegistrationParams,
) -> Registration:
    """Return the registration with its quality and whether it can be believed."""
    plain = Registration(
        matrix=matrix,
        scan_grid=grid,
        template_grid=template.grid,
        quality=0.0,
        ok=False,
        says="not yet judged",
    )
    brain = plain.to_scan(template.brain.astype(np.uint8), grid=scan.grid) > 0
    scale = np.linalg.det(matrix[:3, :3])
    stretch = np.linalg.svd(matrix[:3, :3])[1]
    covered = float(brain.sum() * scan.grid.voxel_mm3 * scale)
    covered /= float(template.brain.sum() * template.grid.voxel_mm3)
    if covered < LEAST_COVERED:
        return replace(
            plain, says=f"only {covered:.0%} of a brain lies in the field of view: not registered"
        )
    around = dilate_mm(brain, scan.grid, AROUND_MM)  # the skull tells where the brain is, even
    quality = _peak(matrix, scan, there, around, params)  # where tissues look alike
    plain = replace(plain, quality=quality)
    if stretch.max() > 1.45 or stretch.min() < 0.7:
        says = f"the fit stretches the head by {stretch.min():.2f} to {stretch.max():.2f}"
    elif quality < params.accept:
        says = f"scan and template agree hardly better here than elsewhere ({quality:.2f})"
    else:
        says = f"affine fit, peak of agreement {quality:.2f}, {min(covered, 1):.0%} of the brain"
        return replace(plain, ok=True, says=says)
    return replace(plain, says=f"{says}: not believed")


def _peak(
    matrix: Matrix, scan: _Fixed, there: _Moving, where: Mask, params: RegistrationParams
) -> float:
    here = Registration(
        matrix=matrix, scan_grid=scan.grid, template_grid=there.grid, quality=0, ok=True, says=""
    )

    def agreement(shift_mm: npt.NDArray[np.float64]) -> float:
        moved = matrix.copy()
        moved[:3, 3] += shift_mm
        values = replace(here, matrix=moved).to_scan(there.volume, nearest=False)
        return correlation(scan.volume[where], values[where], params.bins // 2)

    fit = agreement(np.zeros(3))
    beside = [agreement(sign * 15.0 * axis) for axis in np.eye(3) for sign in (-1, 1)]
    return float(np.clip(1 - np.mean(beside) / fit, 0, 1)) if fit > 0 else 0.0


def correlation(
    one: npt.NDArray[np.floating], other: npt.NDArray[np.floating], bins: int = 32
) -> float:
    """Return the entropy correlation coefficient 2 I(A;B) / (H(A) + H(B)), 0 to 1."""
    ranges = [np.percentile(v, (1, 99)) for v in (one, other)]
    clipped = [np.clip(v, *r) for v, r in zip((one, other), ranges, strict=True)]
    counts = np.histogram2d(clipped[0].ravel(), clipped[1].ravel(), bins=bins)[0]
    joint = counts / max(float(counts.sum()), 1.0)

    def entropy(p: npt.NDArray[np.float64]) -> float:
        p = p[p > 0]
        return float(-(p * np.log(p)).sum())

    single = entropy(joint.sum(axis=0)) + entropy(joint.sum(axis=1))
    return 2 * (single - entropy(joint.ravel())) / single if single > 0 else 0.0
