"""The road on plain arrays: `qsm`, `swi`, `r2star`, `detect`.

Each call returns a `Result`: arrays by name, and a record of what was done and what the
data cannot answer. Nothing is read from or written to disk. Research use only.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.core.checks import require_signal
from petechia.core.echoes import Echoes, check_echo_times
from petechia.core.grid import Grid
from petechia.errors import InputError, ParameterError, UnfitError
from petechia.files.scan import Header, Scan, ScanName
from petechia.phase.coils import CoilStack
from petechia.phase.coils import combine_coils as combine
from petechia.phase.evolution import McpcParams
from petechia.pipeline.arrays import (
    affine_of,
    array_of,
    grid_of,
    last_three,
    magnitude_of,
    mask_of,
    number,
    phase_of,
    require_not_swapped,
    require_ppm,
    stacked,
    times_of,
    volume_of,
)
from petechia.pipeline.fitness.acquisition import check_acquisition
from petechia.pipeline.fitness.check import require_assessable
from petechia.pipeline.provenance import threads
from petechia.pipeline.referenced import reference_note
from petechia.pipeline.settings import Settings
from petechia.pipeline.stages import walk
from petechia.pipeline.summary import counted, warnings
from petechia.pipeline.work import Work


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Result:
    """What a call made.

    Attributes
    ----------
    arrays : dict of str to ndarray
        Volumes (I, J, K), named with their units.
    record : dict
        Methods with their papers, fitness checks, settings.
    findings : list of dict
        Rows of the findings table (`detect` only).
    """

    arrays: dict[str, npt.NDArray[Any]]
    record: dict[str, Any]
    findings: list[dict[str, str]] = field(default_factory=list)

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """Return an array by name."""
        return self.arrays[name]


def qsm(
    phase_rad: npt.ArrayLike,
    magnitude: npt.ArrayLike,
    *,
    te_s: float | tuple[float, ...],
    b0_t: float,
    spacing_mm: npt.ArrayLike | None = None,
    b0_dir: npt.ArrayLike = (0.0, 0.0, 1.0),
    affine: npt.ArrayLike | None = None,
    mask: npt.ArrayLike | None = None,
    reference_mask: npt.ArrayLike | None = None,
    n_threads: int = 1,
    **settings: Any,
) -> Result:
    """Return susceptibility from the phase and magnitude of one or more echoes.

    Parameters
    ----------
    phase_rad : (E, I, J, K) or (I, J, K) array of float
        Phase of exp(+i 2 pi f te) [rad].
    magnitude : array of the same shape
        Magnitude; arbitrary units.
    te_s : float or tuple of float
        Echo times, increasing [s].
    b0_t : float
        Main field [T].
    spacing_mm : (3,) array
        Voxel size along i, j, k [mm].
    b0_dir : (3,) array
        Main field in voxel axes.
    affine : (4, 4) array, or None
        Voxel to scanner RAS mm, in place of `spacing_mm` and `b0_dir`. The map then does not
        depend on the order and direction in which the axes are stored.
    mask : (I, J, K) array of bool, or None
        Brain; found when None.
    reference_mask : (I, J, K) array of bool, or None
        Region whose mean susceptibility is 0; its part inside the brain counts. None leaves
        it to the setting `reference`: 'brain' or 'csf'.
    n_threads : int
        Threads to use.
    **settings
        Fields of `petechia.pipeline.settings.Settings`: `preset`, `inversion`,
        `phase_sign`, ...

    Returns
    -------
    Result
        Arrays `chi_ppm`, `local_field_ppm`, `total_field_ppm`, `mask`, and of bool
        `chi_mask` and `local_field_mask`, where these maps were made; in the record
        `reference`, the region used and the value taken off.

    Raises
    ------
    InputError
        If arrays, times or settings do not fit each other.
    UnfitError
        If susceptibility cannot be had from this phase (e.g. it is high-pass filtered), or
        `reference_mask` holds no voxel of the brain.
    """
    if affine is None:
        work = _work(phase_rad, magnitude, te_s, b0_t, spacing_mm, b0_dir, mask, settings)
    else:
        _require_one_geometry(spacing_mm, b0_dir)
        grid = Grid(last_three(np.shape(magnitude)), affine_of(affine))
        work = _work_on(grid, phase_rad, magnitude, te_s, b0_t, mask, settings, oriented=True)
    if reference_mask is not None:
        work.given_reference = mask_of(reference_mask, "reference_mask", work.grid)
    _run(work, "invert", n_threads)
    if work.chi_ppm is None:
        raise UnfitError(
            " ".join(work.why_not("susceptibility")) or "no susceptibility was made",
            where="qsm",
            mend="It takes the scanner's unfiltered phase and a mask of the brain that is wider "
            "than a few voxels.",
        )
    result = _result(work, ("chi_ppm", "local_field_ppm", "total_field_ppm", "mask", "chi_mask"))
    result.arrays["local_field_mask"] = work.need("local_mask")
    result.record["reference"] = reference_note(work)
    return result


def combine_coils(
    phase_rad: npt.ArrayLike,
    magnitude: npt.ArrayLike,
    *,
    te_s: tuple[float, ...],
    spacing_mm: npt.ArrayLike,
    mask: npt.ArrayLike | None = None,
    bipolar: str = "auto",
    n_threads: int = 1,
) -> Result:
    """Return one image per echo from uncombined coils, for `qsm`, `swi` and `detect`.

    Parameters
    ----------
    phase_rad, magnitude : (E, C, I, J, K) array of float
        Echoes, two or more, then coils; memory-mapped files are read coil by coil.
    te_s : tuple of float
        Echo times, increasing [s].
    spacing_mm : (3,) array
        Voxel size along i, j, k [mm].
    mask : (I, J, K) array of bool, or None
        Where there is signal; found when None.
    bipolar : str
        Whether even echoes are read backwards: "no", "yes", or "auto" by the data.
    n_threads : int
        Threads to use.

    Returns
    -------
    Result
        Arrays `phase_rad`, free of the coils' offsets, and `magnitude`: (E, I, J, K).

    Raises
    ------
    InputError, ParameterError
        If arrays and times do not fit each other.
    UnfitError
        With one echo.
    """
    _require_threads(n_threads, "combine_coils")
    times = times_of(te_s)
    phase, size = array_of(phase_rad, "phase_rad"), array_of(magnitude, "magnitude")
    stack = CoilStack(phase, size)
    check_echo_times(times, len(size), "te_s")
    grid = grid_of(size.shape[1:], spacing_mm)
    inside = None if mask is None else mask_of(mask, "mask", grid)
    for coil in range(len(stack)):
        require_not_swapped(magnitude_of(size[:, coil]), phase_of(phase[:, coil]))
    with threads(n_threads):
        found = combine(stack, times, grid, inside, McpcParams(bipolar=bipolar))
    record = {"alternation_rad": found.alternation_rad, "bipolar": found.bipolar_rad is not None}
    return Result(
        arrays={"phase_rad": found.phase_rad, "magnitude": found.magnitude}, record=record
    )


def swi(
    phase_rad: npt.ArrayLike,
    magnitude: npt.ArrayLike,
    *,
    te_s: float | tuple[float, ...],
    b0_t: float,
    spacing_mm: npt.ArrayLike,
    b0_dir: npt.ArrayLike = (0.0, 0.0, 1.0),
    mask: npt.ArrayLike | None = None,
    n_threads: int = 1,
    **settings: Any,
) -> Result:
    """Return the susceptibility-weighted image and its minimum projection.

    Parameters are those of `qsm`. Arrays: `swi`, `mip`, `highpass_rad`, `mask`. Phase that
    was high-pass filtered by the scanner will do.

    Raises
    ------
    InputError
        If there is no phase, or arrays, times or settings do not fit each other.
    UnfitError
        If the phase is noise.
    """
    if phase_rad is None:
        raise InputError("no phase", where="swi", mend="SWI needs magnitude and phase.")
    work = _work(phase_rad, magnitude, te_s, b0_t, spacing_mm, b0_dir, mask, settings)
    _run(work, "swi", n_threads)
    work.require_swi("swi")
    return _result(work, ("swi", "mip", "highpass_rad", "mask"))


def r2star(
    magnitude: npt.ArrayLike,
    *,
    te_s: tuple[float, ...],
    spacing_mm: npt.ArrayLike,
    b0_t: float = 3.0,
    field_ppm: npt.ArrayLike | None = None,
    mask: npt.ArrayLike | None = None,
    n_threads: int = 1,
    **settings: Any,
) -> Result:
    """Return R2*, T2* and the signal at echo time 0 from the magnitude of echoes.

    Parameters are those of `qsm`, and `field_ppm`, the total field (`qsm` returns it): with it,
    echoes that its gradients have dephased do not count as decay, and `b0_t` matters. Arrays:
    `r2star` [1/s], `t2star_s`, `s0`, `mask`.

    Raises
    ------
    InputError
        If arrays, times or settings do not fit each other.
    UnfitError
        If there is only one echo.
    """
    work = _work(None, magnitude, te_s, b0_t, spacing_mm, (0, 0, 1), mask, settings)
    if field_ppm is not None:
        work.given_field_ppm = volume_of(field_ppm, "field_ppm", work.grid).astype(np.float32)
    _run(work, "r2star", n_threads)
    if work.given_field_ppm is not None:
        mend = "Is it in Hz or rad/s? Give ppm: `qsm` returns it as total_field_ppm."
        require_ppm(work.given_field_ppm[work.need("mask")], "field_ppm", mend)
    if work.r2star is None:
        raise UnfitError(
            "one echo", where="r2star", mend="R2* needs the magnitude of two echoes or more."
        )
    return _result(work, ("r2star", "t2star_s", "s0", "mask"), unasked="phase")


def detect(
    magnitude: npt.ArrayLike,
    phase_rad: npt.ArrayLike | None = None,
    *,
    te_s: float | tuple[float, ...],
    b0_t: float,
    affine: npt.ArrayLike,
    mask: npt.ArrayLike | None = None,
    n_threads: int = 1,
    **settings: Any,
) -> Result:
    """Return every dark spot of one scan, found, measured and named.

    Parameters are those of `qsm`, but for the (4, 4) `affine` (voxel to scanner RAS mm),
    which sites and orientation need. Without phase, no sign and no moment.

    Returns
    -------
    Result
        Array `labels` and the rows of the findings table. The record has, besides, the
        `operating_point`, `counts`, the `count_interval_95`, `category`, `count_bin` and
        `criteria` of the summary; its `warnings` say what the scan limits, what the detector says
        of it, and of an empty table why it is empty.

    Raises
    ------
    InputError
        If arrays, times or settings do not fit each other.
    UnfitError
        If microbleeds cannot be assessed in this scan.
    """
    grid = Grid(last_three(np.shape(magnitude)), affine_of(affine))
    work = _work_on(grid, phase_rad, magnitude, te_s, b0_t, mask, settings, oriented=True)
    require_assessable(check_acquisition(work.echoes, work.scan.header), "detect")
    _run(work, "detect", n_threads)
    require_assessable(work.checks, "detect")
    result = _result(work, ("mask",))
    result.record.update(counted(work))
    limited = [check.says for check in work.checks if check.status == "limited"]
    result.record["warnings"] = [*limited, *result.record["warnings"]]
    detection = work.need("detection")
    result.arrays["labels"] = detection.labels
    result.findings.extend(finding.row() for finding in detection.findings)
    return result


def _work(
    phase_rad: npt.ArrayLike | None,
    magnitude: npt.ArrayLike,
    te_s: float | tuple[float, ...],
    b0_t: float,
    spacing_mm: npt.ArrayLike | None,
    b0_dir: npt.ArrayLike,
    mask: npt.ArrayLike | None,
    settings: dict[str, Any],
) -> Work:
    if spacing_mm is None:
        raise InputError(
            "no voxel size",
            where="spacing_mm",
            mend="Give spacing_mm [mm] and b0_dir, or the affine.",
        )
    grid = grid_of(np.shape(magnitude), spacing_mm, b0_dir)
    return _work_on(grid, phase_rad, magnitude, te_s, b0_t, mask, settings, oriented=False)


def _require_one_geometry(spacing_mm: npt.ArrayLike | None, b0_dir: npt.ArrayLike) -> None:
    if spacing_mm is not None or not np.array_equal(b0_dir, (0, 0, 1)):
        raise InputError(
            "given together with spacing_mm or b0_dir",
            where="affine",
            mend="It holds both: give either it or these.",
        )


def _work_on(
    grid: Grid,
    phase_rad: npt.ArrayLike | None,
    magnitude: npt.ArrayLike,
    te_s: float | tuple[float, ...],
    b0_t: float,
    mask: npt.ArrayLike | None,
    settings: dict[str, Any],
    *,
    oriented: bool,
) -> Work:
    times = times_of(te_s)
    size = magnitude_of(magnitude)
    require_signal(size, "magnitude")
    if phase_rad is not None:
        require_not_swapped(size, stacked(phase_rad, "phase_rad"))
    echoes = Echoes(
        magnitude=size,
        phase_rad=None if phase_rad is None else phase_of(phase_rad),
        te_s=times,
        b0_t=number(b0_t, "b0_t", "Give the main field in tesla, e.g. 1.5, 3 or 7."),
        grid=grid,
    )
    if echoes.phase_rad is not None:
        require_signal(echoes.phase_rad, "phase_rad")
    name = ScanName((("sub", "01"),))
    scan = Scan(echoes=echoes, name=name, header=Header(), kind="arrays", sources=())
    work = Work(scan=scan, settings=Settings.build(**settings), oriented=oriented)
    if mask is not None:
        work.given_mask = mask_of(mask, "mask", grid)
    return work


def _require_threads(n_threads: int, step: str) -> None:
    if not isinstance(n_threads, int | np.integer) or n_threads < 1:
        raise ParameterError(
            f"{n_threads!r} threads", where=f"{step}.n_threads", mend="Give 1 or more."
        )


def _run(work: Work, step: str, n_threads: int) -> None:
    _require_threads(n_threads, step)
    with threads(n_threads):
        walk(work, [step])


def _result(work: Work, names: tuple[str, ...], unasked: str = "") -> Result:
    """Return what was made; refused checks warn, but for that of what is not taken."""
    refused = [c.says for c in work.checks if c.status == "refused" and c.check != unasked]
    record = {
        "methods": work.methods,
        "fitness": [check.as_dict() for check in work.checks],
        "phase_sign": work.phase_sign,
        "warnings": [*refused, *warnings(work)],
        "settings": work.settings.as_dict(),
    }
    return Result(arrays={name: work.need(name) for name in names}, record=record)
