"""A gradient-echo scan as arrays: what ring 1 and 2 know of a scan."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_b0
from petechia.core.grid import Grid
from petechia.errors import InputError, ParameterError

READING_BLOOM_TS = 0.06
"""Field times echo time at which readers look for microbleeds [T s]: 3 T x 20 ms."""


def reading_echo(te_s: tuple[float, ...], b0_t: float) -> int:
    """Return the index of the echo whose blooming is nearest to 20 ms at 3 T, by ratio."""
    bloom = np.asarray(te_s, dtype=np.float64) * b0_t
    return int(np.argmin(np.abs(np.log(bloom / READING_BLOOM_TS))))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Echoes:
    """Magnitude and phase of every echo on one grid.

    Attributes
    ----------
    magnitude : (E, I, J, K) ndarray of float32
        Never negative; arbitrary units.
    te_s : (E,) tuple of float
        Echo times, increasing [s].
    b0_t : float
        Main field [T].
    grid : Grid
        Shared geometry.
    phase_rad : (P, I, J, K) ndarray of float32, or None
        Phase of exp(+i 2 pi f te), wrapped or not [rad]. None for magnitude only.
    phase_te_s : (P,) tuple of float
        Time over which each phase image evolved [s]: `te_s` itself, or the single
        delta TE of a phase *difference* image. Empty without phase.
    """

    magnitude: npt.NDArray[np.float32]
    te_s: tuple[float, ...]
    b0_t: float
    grid: Grid
    phase_rad: npt.NDArray[np.float32] | None = None
    phase_te_s: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.magnitude.ndim != 4:
            raise InputError(
                f"magnitude of shape {self.magnitude.shape} is not (echo, i, j, k)",
                where="Echoes.magnitude",
                mend="Stack the echoes along a new first axis.",
            )
        self.grid.require(self.magnitude, "Echoes.magnitude")
        self.grid.require_square("Echoes.grid")
        check_echo_times(self.te_s, len(self.magnitude), "Echoes.te_s")
        require_b0(self.b0_t, "Echoes.b0_t")
        if self.phase_rad is not None:
            self.grid.require(self.phase_rad, "Echoes.phase_rad")
            times = self.phase_te_s or self.te_s
            object.__setattr__(self, "phase_te_s", tuple(float(t) for t in times))
            check_echo_times(times, len(self.phase_rad), "Echoes.phase_te_s")

    @property
    def n_echoes(self) -> int:
        """Number of magnitude echoes."""
        return len(self.te_s)

    @property
    def phase_is_difference(self) -> bool:
        """True when the phase is a difference of two echoes."""
        return self.phase_rad is not None and self.phase_te_s != self.te_s


def check_echo_times(te_s: tuple[float, ...], n_images: int, where: str) -> None:
    """Raise `ParameterError` unless `te_s` fits `n_images` and is sensible seconds."""
    if len(te_s) != n_images:
        raise ParameterError(
            f"{len(te_s)} echo times {tuple(te_s)} for {n_images} images",
            where=where,
            mend="Give one echo time for each echo.",
        )
    times = np.asarray(te_s, dtype=np.float64)
    if not np.isfinite(times).all() or (times <= 0).any() or (times > 0.5).any():
        raise ParameterError(
            f"echo times {tuple(te_s)} s",
            where=where,
            mend="Echo times are in seconds (20 ms is 0.02), above 0 and below 0.5.",
        )
    if (np.diff(times) <= 0).any():
        raise ParameterError(
            f"echo times {tuple(te_s)} do not increase",
            where=where,
            mend="Sort the echoes by echo time and give each one once.",
        )
