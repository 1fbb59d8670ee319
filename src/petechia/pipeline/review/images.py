"""The images of a scan as its reader sees them: 8 bits, laid out, cropped to the brain.

What there is to see, and how numbers become values, follows from summary and file names
alone, so that a scan opens without one volume being read. Intensities are shown in per cent
of the brain's bright end; susceptibility and rates in their units, the same grey for the
same value in every scan.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from petechia.core.grid import Grid
from petechia.errors import FileError, InputError
from petechia.files.finished import read_volume
from petechia.files.nifti import require_same_grid
from petechia.files.scan import ScanRef, SeriesImage
from petechia.pipeline.review.cases import Case, ReviewFolder
from petechia.report.pictures import Window, intensity_window
from petechia.report.scene import CHI
from petechia.report.volumes import OUTSIDE, STORED_CHI, numbers_of

Bytes = npt.NDArray[np.uint8]
SHOWN = Window(0.0, 100.0, "%")
STORED = Window(0.0, 150.0, "%")
"""Intensities, of the brain's bright end: half more is kept than is shown at first."""
STORED_R2STAR = Window(0.0, 254.0, "1/s")
R2STAR_AT_3T = Window(0.0, 80.0, "1/s")
SAMPLE_STEP = 2
"""A window is found on every second voxel along each axis."""
OF_OUTPUT = {
    "swi": ("SWI", "swi"), "mip": ("mIP", "swi"), "chi": ("QSM", "chi"),
    "r2star": ("R2*", "r2star"),
}  # fmt: skip
"""Output files that are shown: title and group."""
BESIDE = {"t1w": ("T1w", "T1w"), "t2w": ("T2w", "T2w"), "flair": ("FLAIR", "FLAIR")}
MAGNITUDE, COMPUTED = "magnitude_", "computed"
BARE = ("mip", "chi", "r2star", COMPUTED)
"""Maps of the brain: black further from it. Images are shown whole, also where a mask may err."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One volume a reader can look at: value = number x slope + inter.

    Attributes
    ----------
    name, title, group : str
    stored, shown : Window
        Values of the numbers 1 and 255, and what is black and white at first.
    te_s : float or None
        Echo time [s].
    placed : str
        Of an image of another exam or contrast: 'registered', 'scanner' (by scanner
        coordinates only) or 'waiting' (so, until it is registered); "" for the scan's own.
    says : str
        How well it was registered, or why not.
    version : str
        Changes with how it is placed; "" for the scan's own.
    """

    name: str
    title: str
    group: str
    stored: Window
    shown: Window
    te_s: float | None = None
    placed: str = ""
    says: str = ""
    version: str = ""


def pictures(folder: ReviewFolder, case: Case, *, unfit: bool = False) -> list[Picture]:
    """Return what there is to see of a scan, in the order it is offered.

    Parameters
    ----------
    unfit : bool
        The images at hand turned out not to be those that were analysed.
    """
    ref = None if unfit else folder.input(case.scan)
    out = _magnitudes(case) if ref is not None else _computed(case)
    for key, (title, group) in OF_OUTPUT.items():
        if case.path(key).is_file():
            stored, shown = _windows(key, case)
            slab = (case.summary.get("settings") or {}).get("slab_mm")
            if key == "mip" and isinstance(slab, int | float):
                title = f"{title} of {slab:g} mm"
            out.append(Picture(name=key, title=title, group=group, stored=stored, shown=shown))
    return out


def intensity(name: str, title: str, group: str, te_s: float | None = None) -> Picture:
    """Return the picture of an image in per cent of the brain's bright end."""
    return Picture(name=name, title=title, group=group, stored=STORED, shown=SHOWN, te_s=te_s)


def _magnitudes(case: Case) -> list[Picture]:
    times = case.summary["protocol"]["te_s"]
    return [
        intensity(f"{MAGNITUDE}{n}", f"Magnitude, TE {1000 * te:.3g} ms", "magnitude", te)
        for n, te in enumerate(times, start=1)
    ]


def _computed(case: Case) -> list[Picture]:
    """Return the magnitude that S0 and R2* give at the reading echo, when both are there."""
    if not (case.path("s0").is_file() and case.path("r2star").is_file()):
        return []
    te = float(case.summary["reading_te_s"])
    title = f"Computed magnitude, TE {1000 * te:.3g} ms (the images are not at hand)"
    return [intensity(COMPUTED, title, "magnitude", te)]


def _windows(key: str, case: Case) -> tuple[Window, Window]:
    """Return what the numbers mean, and what is shown at first."""
    if key == "chi":
        return STORED_CHI, CHI
    if key == "r2star":
        share = max(0.5, float(case.summary["protocol"]["b0_t"]) / 3)
        shown = Window(0.0, round(min(R2STAR_AT_3T.high * share, 254.0), -1), "1/s")
        return STORED_R2STAR, shown
    return STORED, SHOWN


def image_beside(folder: ReviewFolder, case: Case, name: str) -> Path | SeriesImage | None:
    """Return an anatomical image of the same session or exam, or None."""
    ref = folder.input(case.scan)
    found: Path | SeriesImage | None = None if ref is None else getattr(ref.beside, name)
    return found


# --- volumes --------------------------------------------------------------------------------


def numbers(folder: ReviewFolder, case: Case, name: str) -> Mapping[str, Bytes]:
    """Return the volume `name` in 8 bits, and those that were read with it.

    Numbers are laid out in the case's crop, axes towards right, anterior and superior; 0 is
    what is not shown, 1 to 255 the values of the picture's `stored`.

    Raises
    ------
    FileError
        It cannot be read, or is not of the images that were analysed.
    """
    if name.startswith(MAGNITUDE):
        found = echoes_of(_input(folder, case), case, _te_s(case, name))
        return {key: eight_bits(volume, key, case) for key, volume in found.items()}
    return {name: eight_bits(_volume(folder, case, name), name, case)}


def volume_of(folder: ReviewFolder, case: Case, name: str) -> npt.NDArray[Any]:
    """Return the volume `name` of a scan (I, J, K) as it is stored; `FileError` as `numbers`."""
    if not name.startswith(MAGNITUDE):
        return _volume(folder, case, name)
    found = echoes_of(_input(folder, case), case, _te_s(case, name))
    if name not in found:
        raise FileError("there is no such echo", where=case.scan, mend="Load the scan again.")
    return found[name]


def _volume(folder: ReviewFolder, case: Case, name: str) -> npt.NDArray[Any]:
    return decayed(case) if name == COMPUTED else _on_grid(case, name)


def _input(folder: ReviewFolder, case: Case) -> ScanRef:
    ref = folder.input(case.scan)
    if ref is None:
        raise FileError("the images are not at hand", where=case.scan, mend="Give --images.")
    return ref


def _te_s(case: Case, name: str) -> float:
    """Return the echo time of `magnitude_<n>` [s]."""
    times, number = case.summary["protocol"]["te_s"], name.removeprefix(MAGNITUDE)
    if not number.isdecimal() or not 1 <= int(number) <= len(times):
        raise FileError("there is no such echo", where=case.scan, mend="Load the scan again.")
    return float(times[int(number) - 1])


def eight_bits(volume: npt.NDArray[Any], name: str, case: Case) -> Bytes:
    """Return a volume on the case's grid as its numbers for the screen, laid in its crop."""
    laid = case.crop.cut(volume)
    stored, _ = _windows(name, case)
    out: Bytes = numbers_of(laid, _relative(laid, case) if stored is STORED else stored)
    if name in BARE and case.rim is not None:
        out[~case.rim] = OUTSIDE
    return out


def _relative(laid: npt.NDArray[Any], case: Case) -> Window:
    """Return the values of `STORED`'s ends in the volume's own units."""
    some = (slice(None, None, SAMPLE_STEP),) * 3
    inside = None if case.mask is None else case.crop.cut(case.mask)[some]
    bright = intensity_window(laid[some], inside).high
    return Window(0.0, bright * STORED.high / SHOWN.high, "a.u.")


def _on_grid(case: Case, key: str) -> npt.NDArray[Any]:
    volume, grid = read_volume(case.path(key))
    _require_grid(grid, case, case.path(key).name)
    return volume


def decayed(case: Case) -> npt.NDArray[Any]:
    """Return the magnitude that S0 and R2* give at the reading echo (I, J, K)."""
    s0, r2star = _on_grid(case, "s0"), _on_grid(case, "r2star")
    te = np.float32(case.summary["reading_te_s"])
    signal: npt.NDArray[Any] = s0 * np.exp(-te * r2star)
    return signal


def echoes_of(ref: ScanRef, case: Case, te_s: float | None = None) -> dict[str, npt.NDArray[Any]]:
    """Return the magnitude of each echo, checked to be that of the analysed images.

    With an echo time [s], of that echo and of those that its file holds beside it.
    """
    load = ref.load_magnitude or ref.load
    if te_s is not None and ref.load_echo is not None:
        load = partial(ref.load_echo, te_s)
    try:
        scan = load()
    except InputError as error:
        raise FileError(error.what, where=error.where, mend=error.mend) from error
    known = set(case.summary.get("input_sha256", {}).values())
    strange = [source.path for source in scan.sources if source.sha256 not in known]
    if strange:
        raise FileError(
            f"{len(strange)} of {len(scan.sources)} files are not those that were analysed",
            where=case.scan,
            mend="Give the input of the run as --images, or run this scan again.",
        )
    _require_grid(scan.echoes.grid, case, case.scan)
    times = np.asarray(case.summary["protocol"]["te_s"], dtype=float)
    names = [int(np.abs(times - time).argmin()) + 1 for time in scan.echoes.te_s]
    return {f"{MAGNITUDE}{n}": echo for n, echo in zip(names, scan.echoes.magnitude, strict=True)}


def reading_name(case: Case) -> str:
    """Return the name of the echo that dark spots are read at."""
    times = np.asarray(case.summary["protocol"]["te_s"], dtype=float)
    nearest = int(np.abs(times - float(case.summary["reading_te_s"])).argmin())
    return f"{MAGNITUDE}{nearest + 1}"


def reading_echo(ref: ScanRef, case: Case) -> npt.NDArray[Any]:
    """Return the magnitude that dark spots are read at (I, J, K); `FileError` without it."""
    name = reading_name(case)
    found = echoes_of(ref, case, _te_s(case, name))
    if name not in found:
        raise FileError("there is no such echo", where=case.scan, mend="Give --images.")
    return found[name]


def _require_grid(grid: Grid, case: Case, where: str) -> None:
    try:
        require_same_grid(grid, where, case.grid, "the findings")
    except InputError as error:
        mend = "A run may be writing them: wait for its end, or run the scan again."
        raise FileError(error.what, where=where, mend=mend) from error


def dark_image(folder: ReviewFolder, case: Case) -> npt.NDArray[Any] | None:
    """Return an image in which bleeds are dark; None when there is none.

    The magnitude that the maps give, else that of the images, else the SWI.
    """
    if case.path("s0").is_file() and case.path("r2star").is_file():
        return decayed(case)
    return whole_image(folder, case)


def whole_image(folder: ReviewFolder, case: Case) -> npt.NDArray[Any] | None:
    """Return an image with all of the head: the reading echo, else the SWI; None without any."""
    ref = folder.input(case.scan)
    if ref is not None:
        with suppress(FileError):
            return reading_echo(ref, case)
    return _on_grid(case, "swi") if case.path("swi").is_file() else None
