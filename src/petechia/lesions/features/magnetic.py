"""What the field around says: moment, pattern, sign; and what the susceptibility map says."""

import numpy as np
import numpy.typing as npt

from petechia.lesions.dephasing import Dephasing
from petechia.lesions.features.patches import BALL, Cubes
from petechia.lesions.moment import MomentFit

Floats = npt.NDArray[np.float64]
FIT_NAMES = (
    "log_moment", "signed_significance", "size_of_significance", "explained", "log_error",
    "poles_over_equator", "depth_over_expected", "log_volume_over_expected", "shift",
)  # fmt: skip
VOID_NAMES = ("log_moment", "log_over_field", "errors_above")
MAP_NAMES = (
    "dipole_near", "dipole_far", "chi_core", "chi_contrast", "chi_lowest", "chi_moment",
)  # fmt: skip
SIGNED = (
    "signed_significance", "poles_over_equator", "dipole_near", "dipole_far", "chi_core",
    "chi_contrast", "chi_lowest", "chi_moment",
)  # fmt: skip
"""Of no use when the handedness of the phase is unknown."""
NEAR_MM, FAR_MM = (1.6, 3.6), (3.6, 7.0)
FULL = 0.064
"""Depth of a point's void, for each unit of moment times phase over the voxel's volume."""


def fit_features(
    fit: MomentFit | None,
    depth: float,
    volume_mm3: float,
    voxel_mm3: float,
    radians_per_ppm: float,
    shift_mm: float,
) -> Floats:
    """Return `FIT_NAMES` of one void; NaN where the field could not be read.

    Parameters
    ----------
    fit : MomentFit or None
        Of the field around.
    depth, volume_mm3 : float
        Of the void: loss of signal, 0 to 1, and apparent volume [mm^3].
    voxel_mm3 : float
        Of a voxel [mm^3].
    radians_per_ppm : float
        Phase that 1 ppm gathers until the reading echo [rad].
    shift_mm : float
        From the void's centre to the fitted source [mm].
    """
    if fit is None:
        return np.full(len(FIT_NAMES), np.nan)
    moment = fit.moment_ppm_mm3
    turned = abs(moment) * radians_per_ppm  # [mm^3 rad]: what makes the void
    expected = float(np.clip(FULL * turned / voxel_mm3, 0.05, 1.0))
    poles = np.nan_to_num(fit.poles_ppm) - np.nan_to_num(fit.equator_ppm)
    size = abs(np.nan_to_num(fit.poles_ppm)) + abs(np.nan_to_num(fit.equator_ppm))
    return np.array(
        [
            np.log(max(abs(moment), 1e-3)),
            np.clip(fit.significance, -30, 30),
            min(abs(fit.significance), 30),
            fit.explained,
            np.log(max(fit.se_ppm_mm3, 1e-3)),
            poles / max(size, 1e-6),
            depth / expected,
            np.log(max(volume_mm3, 1e-3)) - np.log(max(turned, 1e-2)),
            shift_mm,
        ]
    )


def void_features(void: Dephasing | None, fit: MomentFit | None) -> Floats:
    """Return `VOID_NAMES` of one void; NaN where either moment could not be had.

    What makes a microbleed dark is the field of its moment: a point's dephasing, fitted to the
    void, gives the moment that the field around it has. Where iron lies spread over some
    millimetres its own decay darkens it, and the void asks for two or three times that moment.

    Parameters
    ----------
    void : Dephasing or None
        Of the void.
    fit : MomentFit or None
        Of the field around.
    """
    if void is None or fit is None or fit.moment_ppm_mm3 <= 0:
        return np.full(len(VOID_NAMES), np.nan)
    more = void.moment_ppm_mm3 - fit.moment_ppm_mm3
    error = max(float(np.hypot(void.se_ppm_mm3, fit.se_ppm_mm3)), 1e-9)
    log_moment = np.log(max(void.moment_ppm_mm3, 1e-3))
    ratio = log_moment - np.log(max(fit.moment_ppm_mm3, 1e-3))
    return np.array([log_moment, np.clip(ratio, -5, 5), np.clip(more / error, -30, 30)])


def _pattern(shell_mm: tuple[float, float]) -> tuple[npt.NDArray[np.bool_], Floats]:
    inside = (BALL.radius_mm >= shell_mm[0]) & (BALL.radius_mm < shell_mm[1])
    r, z = BALL.radius_mm[inside], BALL.offset_mm[inside, 2]
    return inside, (3 * (z / r) ** 2 - 1) / r**3


_PATTERNS = [_pattern(NEAR_MM), _pattern(FAR_MM)]
_CORE = BALL.radius_mm < 1.2
_RING = (BALL.radius_mm > 4.0) & (BALL.radius_mm < 6.0)
_BODY = BALL.radius_mm < 4.0


def map_features(field: Cubes, chi: Cubes) -> Floats:
    """Return `MAP_NAMES` of cubes of the field and the susceptibility, in rows.

    Parameters
    ----------
    field, chi : (N, 20, 20, 20) ndarray of float32
        Channels of `cut_cubes`.

    Returns
    -------
    table : (N, len(MAP_NAMES)) ndarray
        Correlation of the field with a dipole's pattern in two shells, -1 to 1, a constant and
        slopes taken off; susceptibility in the middle, above its surroundings, its lowest,
        and its sum above the surroundings.
    """
    flat, x = field.reshape(len(field), -1).astype(np.float64), chi.reshape(len(chi), -1)
    columns = []
    for inside, pattern in _PATTERNS:
        values = flat[:, inside]
        rest = np.column_stack([np.ones(inside.sum()), BALL.offset_mm[inside]])
        # both freed from constant and slopes
        project = rest @ np.linalg.pinv(rest)
        values = values - values @ project
        own = pattern - project @ pattern
        size = np.linalg.norm(values, axis=1) * np.linalg.norm(own)
        columns.append(values @ own / np.maximum(size, 1e-9))
    ring = np.median(x[:, _RING], axis=1)
    core = x[:, _CORE].mean(axis=1)
    columns += [
        core,
        core - ring,
        np.percentile(x[:, _BODY], 2, axis=1) - ring,
        (x[:, _BODY] - ring[:, None]).sum(axis=1) / 100.0,
    ]
    return np.stack(columns, axis=1)
