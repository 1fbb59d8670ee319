"""Maps improved step by step: rigid and affine by mutual information, deformable by demons.

The only module that holds SimpleITK. World coordinates are RAS throughout (SimpleITK is told
so by origin, spacing and direction; nothing here depends on its own LPS habit). Everything
runs on one thread over all voxels of the mask: with more, its sums depend on their order, and
on images this coarse it is not faster.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import SimpleITK

from petechia.anatomy.compared import Fixed, Moving
from petechia.core.grid import Grid

log = logging.getLogger(__name__)
itk: Any = SimpleITK  # its wrappers carry no types
Volume = npt.NDArray[np.float32]
Matrix = npt.NDArray[np.float64]


def _image(volume: Volume, grid: Grid) -> Any:
    image = itk.GetImageFromArray(np.ascontiguousarray(volume.T, dtype=np.float32))
    image.SetSpacing([float(d) for d in grid.spacing_mm])
    image.SetDirection((grid.affine[:3, :3] / grid.spacing_mm).ravel().tolist())
    image.SetOrigin(grid.affine[:3, 3].tolist())
    return image


def _method(scan: Fixed, there: Moving, bins: int) -> Any:
    method = itk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(bins)
    where = itk.GetImageFromArray(np.ascontiguousarray(scan.where.T, dtype=np.uint8))
    where.CopyInformation(_image(scan.volume, scan.grid))
    method.SetMetricFixedMask(where)
    if there.where is not None:
        seen = itk.GetImageFromArray(np.ascontiguousarray(there.where.T, dtype=np.uint8))
        seen.CopyInformation(_image(there.volume, there.grid))
        method.SetMetricMovingMask(seen)
    method.SetMetricSamplingStrategy(method.NONE)
    method.SetInterpolator(itk.sitkLinear)
    return method


def _transform(matrix: Matrix, kind: str, scan: Fixed) -> Any:
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
def one_thread() -> Iterator[None]:
    """One ITK thread inside, and as many as before afterwards."""
    before = itk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    itk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        itk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)


def metric(scan: Fixed, there: Moving, matrix: Matrix) -> float:
    """Return the negative mutual information of scan and template; infinite without overlap."""
    method = _method(scan, there, 32)
    method.SetInitialTransform(_transform(matrix, "affine", scan))
    try:
        return float(
            method.MetricEvaluate(_image(scan.volume, scan.grid), _image(there.volume, there.grid))
        )
    except RuntimeError:  # nothing overlaps
        return float("inf")


def optimise(
    scan: Fixed,
    there: Moving,
    matrix: Matrix,
    kind: str,
    *,
    bins: int,
    iterations: int,
    step: float = 1.0,
) -> Matrix:
    """Return the map of most mutual information near a first one.

    Parameters
    ----------
    scan, there : Fixed, Moving
        What is compared.
    matrix : (4, 4) ndarray of float
        Scan RAS to template RAS [mm].
    kind : str
        'rigid' (`matrix` must be one) or 'affine'.
    bins : int
        Of the joint histogram.
    iterations : int
        At most so many steps.
    step : float
        The first of them [smallest side of a voxel].
    """
    method = _method(scan, there, bins)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=step * float(min(scan.grid.spacing_mm)),
        minStep=0.02,
        numberOfIterations=iterations,
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
    with one_thread():
        found = plain.Execute(
            itk.GetImageFromArray(np.ascontiguousarray(fixed.T, dtype=np.float32)),
            itk.GetImageFromArray(np.ascontiguousarray(moving.T, dtype=np.float32)),
            start,
        )
    return np.asarray(itk.GetArrayFromImage(found).transpose(3, 2, 1, 0), dtype=np.float32)
