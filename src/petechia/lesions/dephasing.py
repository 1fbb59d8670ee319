"""The size of a moment from the signal that its field takes: the void itself is read."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.core.compiled import compiled
from petechia.core.grid import Grid
from petechia.core.robust import robust_sd
from petechia.errors import ParameterError
from petechia.lesions.around import box_within
from petechia.lesions.border import harmonics
from petechia.lesions.moment import FEWEST_VOXELS

Floats = npt.NDArray[np.float64]
ROUNDS = 12
TOLERANCE = 2.0
SHARED = 0.4
"""Correlation of the errors of both readings."""
FORM_LEFT = 0.3
"""What is left, beside a void's reading, of the field's error that stands for form and filters."""
CELL_MM = 0.4
"""Near the source a voxel is divided into cells at most so wide; each has a linear phase."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DephasingParams:
    """Settings of `fit_dephasing`.

    Attributes
    ----------
    reach_rad : float
        The signal is read out to where the phase at the poles is so large [rad].
    margin_mm, reach_max_mm : float
        And so far beyond, but never farther than the second [mm].
    model_error : float
        Part of the lost signal that the model may be wrong by.
    least_noise : float
        Standard deviation of the relative signal of tissue, at least.
    background_sd, slope_sd : float
        Prior standard deviation of the tissue's signal, and of its slope over the reach.
    shift_sd_mm : float
        Prior standard deviation of the source's offset from where its field puts it, besides a
        fifth of the void's radius and of the voxel [mm].
    floor : float
        Relative signal of noise in a void.
    huber : float
        Residuals beyond so many standard deviations are weighed down.
    error_scale : float
        Factor on the error from the residuals; set on simulated scans, as what follows.
    relative_error : float
        Part of the moment added to its error: what a source that is no point takes.
    other_ppm_mm3 : float
        Part of the error that does not depend on the moment: what else is dark around
        [ppm mm^3].
    """

    reach_rad: float = 0.4
    margin_mm: float = 1.0
    reach_max_mm: float = 9.0
    model_error: float = 0.08
    least_noise: float = 0.03
    background_sd: float = 0.05
    slope_sd: float = 0.1
    shift_sd_mm: float = 0.2
    floor: float = 0.05
    huber: float = 2.0
    error_scale: float = 1.5
    relative_error: float = 0.2
    other_ppm_mm3: float = 0.3

    def __post_init__(self) -> None:
        positive = (
            self.reach_rad, self.reach_max_mm, self.least_noise, self.background_sd,
            self.slope_sd, self.shift_sd_mm, self.huber,
        )  # fmt: skip
        others = (
            self.margin_mm, self.model_error, self.floor, self.error_scale,
            self.relative_error, self.other_ppm_mm3,
        )  # fmt: skip
        if min(positive) <= 0 or min(others) < 0:
            raise ParameterError(
                f"{self}",
                where="DephasingParams",
                mend="reach_rad, reach_max_mm, least_noise, the prior deviations and huber above "
                "0; others at least 0.",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Dephasing:
    """What the void says of its source.

    Attributes
    ----------
    moment_ppm_mm3, se_ppm_mm3 : float
        Size of the moment, without sign, and its standard error [ppm mm^3].
    n_voxels : int
        Voxels that were read.
    """

    moment_ppm_mm3: float
    se_ppm_mm3: float
    n_voxels: int


def both(
    field: tuple[float, float],
    void: tuple[float, float],
    tolerance: float = TOLERANCE,
    form: float = 0.0,
) -> tuple[float, float]:
    """Return one moment of two readings, and its standard error.

    Their mean by inverse variance. What form, unwrapping and filters may do to the field's is
    seldom that much: it has no part in the weights, and the void, which filters do not reach,
    vouches for seven tenths. What takes signal besides the field makes the void's the
    worse one: where the two differ by more than `tolerance` of their errors, the void's error
    is taken to be so much larger. What a lesion's form and its tissue do to one they in part do
    to the other, so that their errors are correlated (0.4 on simulated scans).

    Parameters
    ----------
    field, void : (moment, standard error)
        By the field around, above 0, and by the void [ppm mm^3].
    tolerance : float
        In standard errors of the difference.
    form : float
        That part of the field's standard error [ppm mm^3].
    """
    one, other = field[1] ** 2 - form**2, void[1] ** 2
    apart = (field[0] - void[0]) ** 2 / (one + other)
    other *= max(apart / tolerance**2, 1.0) ** 2
    weight = one / (one + other)
    moment = (1 - weight) * field[0] + weight * void[0]
    by_field = float(np.sqrt(one + (FORM_LEFT * form) ** 2))
    parts = (1 - weight) * by_field, weight * float(np.sqrt(other))
    return moment, float(np.sqrt(parts[0] ** 2 + parts[1] ** 2 + 2 * SHARED * parts[0] * parts[1]))


def remaining_signal(
    offset_mm: npt.NDArray[np.floating],
    b0_dir: npt.NDArray[np.floating],
    spacing_mm: npt.NDArray[np.floating],
    phase_mm3: float,
) -> Floats:
    r"""Return what a point dipole leaves of each voxel's signal, and how that changes.

    .. math:: S = \left| \left\langle \exp\, i a \frac{3\cos^2\theta - 1}{r^3}
        \right\rangle_{voxel} \right|, \quad a = \gamma B_0 T_E\, m / 4\pi

    Near the source a voxel is divided into cells, over each of which the phase is linear. The
    change is that of the cells' phases; what their own signal loses or gains is left out, which
    makes errors of a moment up to a quarter larger.

    Parameters
    ----------
    offset_mm : (N, 3) ndarray of float
        Voxel centres from the source, along the voxel axes [mm].
    b0_dir : (3,) ndarray of float
        Main field along the voxel axes, unit length.
    spacing_mm : (3,) ndarray of float
        Size of a voxel [mm].
    phase_mm3 : float
        a [rad mm^3].

    Returns
    -------
    (N, 5) ndarray of float
        Magnitude, 0 to 1; its change with a [1/(rad mm^3)] and with the source's place along
        each axis [1/mm].
    """
    offset = np.ascontiguousarray(offset_mm, dtype=np.float64)
    b = np.ascontiguousarray(b0_dir, dtype=np.float64)
    spacing = np.ascontiguousarray(spacing_mm, dtype=np.float64)
    most = np.maximum(np.ceil(spacing / CELL_MM), 2).astype(np.int64)
    out: Floats = _remaining(offset, b, spacing, most, float(phase_mm3))
    return out


def fit_dephasing(
    signal: npt.NDArray[np.floating],
    clear: npt.NDArray[np.bool_],
    own_vox: npt.NDArray[np.integer],
    place_vox: npt.NDArray[np.floating],
    radius_mm: float,
    grid: Grid,
    turn: float,
    start_ppm_mm3: float,
    noise: float,
    background: float = 1.0,
    params: DephasingParams | None = None,
) -> Dephasing | None:
    """Fit a point dipole to the magnitude in its void and around it.

    The phase that a dipole leaves inside the voxels takes their signal, the more the larger its
    moment; no phase image is asked, and no sign comes of it. Least squares over moment, place
    below the voxel (under a prior), signal of the tissue around and its slope; outliers are
    weighed down (Huber). What else is dark in the void's place (a vein, iron, a body without
    protons as large as the void) is taken for the moment: so it is a second reading beside
    the field's, with an error of its own.

    Parameters
    ----------
    signal : (I, J, K) ndarray of float
        Magnitude relative to its surroundings.
    clear : (I, J, K) ndarray of bool
        Brain without voids.
    own_vox : (N, 3) ndarray of int
        Voxels of the void [voxel indices].
    place_vox : (3,) ndarray of float
        Where the source is thought to be [voxel indices].
    radius_mm : float
        Of the void [mm].
    grid : Grid
        Geometry.
    turn : float
        Phase at the echo time for 1 ppm [rad].
    start_ppm_mm3 : float
        First guess of the moment's size, above 0 [ppm mm^3].
    noise : float
        Standard deviation of `signal` in undisturbed tissue.
    background : float
        Its value there.
    params : DephasingParams
        Settings.

    Returns
    -------
    Dephasing or None
        None where fewer than 20 usable voxels lie around.

    References
    ----------
    .. [1] Yablonskiy & Haacke (1994), Magn. Reson. Med. 32, 749-763,
       doi:10.1002/mrm.1910320610.
    .. [2] Cheng et al. (2015), Magn. Reson. Imaging 33, 829-839,
       doi:10.1016/j.mri.2014.11.003 (the complex signal summed over small spheres).
    """
    p = params or DephasingParams()
    moment, found = start_ppm_mm3, None
    for _ in range(2):  # the reach depends on what is found
        found = _fit_within(
            signal, clear, own_vox, np.asarray(place_vox, dtype=np.float64), radius_mm, grid,
            turn, moment, max(noise, p.least_noise), background, p,
        )  # fmt: skip
        if found is None:
            return None
        moment = found.moment_ppm_mm3
    return found


def _fit_within(
    signal: npt.NDArray[np.floating],
    clear: npt.NDArray[np.bool_],
    own_vox: npt.NDArray[np.integer],
    place_vox: Floats,
    radius_mm: float,
    grid: Grid,
    turn: float,
    start_ppm_mm3: float,
    noise: float,
    background: float,
    p: DephasingParams,
) -> Dephasing | None:
    spacing, b0_dir = grid.spacing_mm, np.asarray(grid.b0_dir, dtype=np.float64)
    to_phase = turn / (4 * np.pi)
    a = start_ppm_mm3 * to_phase
    reach = max(np.cbrt(2 * a / p.reach_rad), radius_mm) + p.margin_mm
    reach = max(min(reach, p.reach_max_mm), 2.0 * float(spacing.max()))
    box = box_within(place_vox, reach, grid)
    corner = np.array([s.start for s in box])
    usable, own = clear[box].copy(), own_vox - corner
    usable[tuple(own[((own >= 0) & (own < usable.shape)).all(axis=1)].T)] = True
    offset, value = _near(signal[box], usable, place_vox - corner, reach, spacing)
    if len(value) < FEWEST_VOXELS:
        return None
    slopes = harmonics(offset, 1)[:, 1:]
    # unknown: phase of the moment, shift, the tissue's signal, its slopes
    x = np.array([a, 0.0, 0.0, 0.0, background, 0.0, 0.0, 0.0])
    shift_sd = np.hypot(p.shift_sd_mm, 0.2 * np.maximum(radius_mm, spacing))
    held = np.concatenate([[np.inf], shift_sd, [p.background_sd], np.full(3, p.slope_sd)])
    target = np.concatenate([np.zeros(4), [background], np.zeros(3)])
    scale, inverse = 1.0, np.eye(8)
    for _ in range(ROUNDS):
        left = remaining_signal(offset - x[1:4], b0_dir, spacing, x[0])
        seen = np.hypot(left[:, 0], p.floor)
        tissue = x[4] + slopes @ x[5:]
        change = (tissue * left[:, 0] / seen)[:, None] * left[:, 1:]
        design = np.column_stack([change, seen, seen[:, None] * slopes])
        residual = value - tissue * seen
        sd = np.hypot(noise, p.model_error * (1 - seen))
        scale = max(robust_sd(residual / sd, 0.0), 0.3)
        weight = sd**-2.0 / np.maximum(np.abs(residual) / (sd * scale * p.huber), 1.0)
        weighted = design * weight[:, None]
        normal = weighted.T @ design + np.diag(held**-2.0)
        inverse = np.linalg.inv(normal + np.diag(1e-9 * np.diag(normal) + 1e-12))
        step = inverse @ (weighted.T @ residual + held**-2.0 * (target - x))
        step[0] = np.clip(step[0], -0.5 * x[0], x[0])
        step[1:4] = np.clip(step[1:4], -0.5 * shift_sd, 0.5 * shift_sd)
        x = x + step
        if abs(step[0]) < 1e-3 * x[0] and np.abs(step[1:4]).max() < 0.01:
            break
    moment = float(x[0] / to_phase)
    formal = float(np.sqrt(max(inverse[0, 0], 0.0))) * scale / to_phase
    error = np.hypot(p.error_scale * formal, p.relative_error * moment)
    return Dephasing(
        moment_ppm_mm3=moment,
        se_ppm_mm3=float(np.hypot(error, p.other_ppm_mm3)),
        n_voxels=len(value),
    )


def _near(
    signal: npt.NDArray[np.floating],
    usable: npt.NDArray[np.bool_],
    centre_vox: Floats,
    reach_mm: float,
    spacing_mm: Floats,
) -> tuple[Floats, Floats]:
    """Return offsets [mm] and signal of the usable voxels of a box within reach."""
    index = np.argwhere(usable)
    offset = (index - centre_vox) * spacing_mm
    near = (offset**2).sum(axis=1) <= reach_mm**2
    return offset[near], signal[tuple(index[near].T)].astype(np.float64)


@compiled
def _sinc(x):  # type: ignore[no-untyped-def]
    """Return sin(x)/x, 0 beyond its first zero."""
    size = abs(x)
    if size >= np.pi:
        return 0.0
    return 1.0 - size * size / 6 if size < 1e-2 else np.sin(size) / size


@compiled
def _remaining(offset, b, spacing, most, a):  # type: ignore[no-untyped-def]
    out = np.zeros((len(offset), 5))
    half = 0.5 * np.sqrt(spacing[0] ** 2 + spacing[1] ** 2 + spacing[2] ** 2)
    for m in range(len(offset)):
        r = np.sqrt(offset[m, 0] ** 2 + offset[m, 1] ** 2 + offset[m, 2] ** 2)
        nearest = max(r - half, 0.05)
        bend = 12.0 * abs(a) / nearest**5  # at least the curvature of the phase
        n0, n1, n2 = most[0], most[1], most[2]
        if bend * spacing[0] ** 2 < 1.0:
            n0 = 1
        if bend * spacing[1] ** 2 < 1.0:
            n1 = 1
        if bend * spacing[2] ** 2 < 1.0:
            n2 = 1
        h0, h1, h2 = spacing[0] / n0, spacing[1] / n1, spacing[2] / n2
        re, im = 0.0, 0.0
        da = np.zeros(2)
        dx = np.zeros((3, 2))
        for i in range(n0):
            x = offset[m, 0] + (i + 0.5) * h0 - 0.5 * spacing[0]
            for j in range(n1):
                y = offset[m, 1] + (j + 0.5) * h1 - 0.5 * spacing[1]
                for k in range(n2):
                    z = offset[m, 2] + (k + 0.5) * h2 - 0.5 * spacing[2]
                    r2 = x * x + y * y + z * z + 1e-9
                    along = b[0] * x + b[1] * y + b[2] * z
                    top = 3 * along * along - r2
                    r5 = r2 * r2 * np.sqrt(r2)
                    form = top / r5
                    g0 = a * (6 * along * b[0] - 2 * x - 5 * top * x / r2) / r5
                    g1 = a * (6 * along * b[1] - 2 * y - 5 * top * y / r2) / r5
                    g2 = a * (6 * along * b[2] - 2 * z - 5 * top * z / r2) / r5
                    w = _sinc(0.5 * g0 * h0) * _sinc(0.5 * g1 * h1) * _sinc(0.5 * g2 * h2)
                    if w == 0.0:
                        continue
                    c, s = w * np.cos(a * form), w * np.sin(a * form)
                    re += c
                    im += s
                    da[0] -= s * form
                    da[1] += c * form
                    # the source moves one way, the voxel the other
                    dx[0, 0] += s * g0
                    dx[0, 1] -= c * g0
                    dx[1, 0] += s * g1
                    dx[1, 1] -= c * g1
                    dx[2, 0] += s * g2
                    dx[2, 1] -= c * g2
        size = np.sqrt(re * re + im * im)
        cells = n0 * n1 * n2
        out[m, 0] = size / cells
        if size > 0:
            out[m, 1] = (re * da[0] + im * da[1]) / (size * cells)
            for axis in range(3):
                out[m, 2 + axis] = (re * dx[axis, 0] + im * dx[axis, 1]) / (size * cells)
    return out
