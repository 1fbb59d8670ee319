"""NIfTI outside BIDS: a folder as dcm2niix writes it, or files named one by one.

In a folder, files are put together by series: a magnitude series takes the phase, real or
imaginary series on the same grid with the same echo times, of the same acquisition time
where the sidecars tell it, else nearest in series number. Projections, inversion recovery,
spin echo, echo planar images, localizers and masks are left out; so is a short-echo series
(all echo times below 4 ms) without phase, which has no contrast of susceptibility. Where
names or folders tell persons and sessions (`sub-101`, `ses-2`), nothing of two is put
together, and the scans are called by them.
"""

import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from petechia.core.checks import require_between
from petechia.core.echoes import check_echo_times
from petechia.core.grid import Grid
from petechia.errors import FileError, InputError, ParameterError, PetechiaError
from petechia.files.echo_parts import SAME_TE_S, Image
from petechia.files.images import check_scan, load_scan, scan_ref
from petechia.files.loose_names import parse_stem
from petechia.files.nifti import is_nifti, read_geometry, stem_of
from petechia.files.scan import Scan, ScanName, ScanRef, subject_name
from petechia.files.series import Found, by_series, pair
from petechia.files.sidecars import (
    DIFFERENCE,
    MAGNITUDE,
    PHASE,
    facts_of,
    is_gradient_echo,
    is_projection,
    read_json,
    role_in,
    text,
)
from petechia.files.walk import names_below

log = logging.getLogger(__name__)

SHOWN = 5
"""Files that are named of those left aside for one reason."""
_OTHER_IMAGES = frozenset(
    ("t1", "t1w", "t2", "t2w", "pd", "pdw", "flair", "dwi", "adc", "bold", "ct")
)
"""Last words of names of images that are no gradient echo, unless their sidecar says so."""
_MASKS = frozenset(("cmb", "mask", "seg", "dseg", "probseg"))
"""Last words of names of what was drawn on an image, `CMB` as the VALDO challenge has it."""
_LABELS = {key: re.compile(rf"(?:^|[/_]){key}-([0-9A-Za-z]+)") for key in ("sub", "ses")}
_LOCALIZER = re.compile(r"locali[sz]er|scout|survey", re.IGNORECASE)


def find_nifti_scans(
    folder: Path,
    *,
    subject: str | None = None,
    te_s: Sequence[float] = (),
    b0_t: float | None = None,
    phase_scale: float | None = None,
) -> list[ScanRef]:
    """List the gradient-echo scans in a folder of NIfTI + JSON.

    Parameters
    ----------
    folder : Path
        Searched with its subfolders.
    subject : str, optional
        What the scans are called; None takes it from `sub-*` in names or folders, else `01`.
        Several of one person and session become `run-<n>` by series order.
    te_s : sequence of float
        Echo times of the scans whose sidecars state none [s].
    b0_t : float, optional
        Field of the scans whose sidecars state none [T].
    phase_scale : float, optional
        Factor from phase values to radians, when the user states it.

    Raises
    ------
    FileError
        No NIfTI file, or none that is a gradient echo: the message says why each was left out;
        or a file of two persons.
    ParameterError
        One subject for several persons; echo times or a field that no scan lacks.
    """
    folder = Path(folder)
    paths = sorted(folder / name for name in names_below(folder)[0] if is_nifti(name))
    if not paths:
        raise FileError(
            "no .nii or .nii.gz files",
            where=str(folder),
            mend="Give a folder that dcm2niix wrote.",
        )
    scans = _scans(paths, folder, subject)
    times = tuple(float(t) for t in te_s)
    _require_wanted([files for _, files, _ in scans], times, b0_t)
    refs = []
    for name, files, notes in scans:
        images, given = _with_given(files, times, b0_t)
        told = given + notes
        refs.append(scan_ref(name, "NIfTI", images, phase_scale=phase_scale, notes=told))
    return refs


def scan_from_files(
    mag: Sequence[Path],
    phase: Sequence[Path] = (),
    te_s: Sequence[float] = (),
    b0_t: float | None = None,
    phase_scale: float | None = None,
    subject: str = "01",
) -> Scan:
    """Read one scan from files named one by one.

    Parameters
    ----------
    mag : sequence of Path
        One 3-D file per echo, or one 4-D file.
    phase : sequence of Path
        Likewise; empty for magnitude only.
    te_s : sequence of float
        Echo time of each echo, in the order of the files [s]. Empty takes them from the
        JSON beside the files.
    b0_t : float, optional
        Field [T]; None takes it from the JSON.
    phase_scale : float, optional
        Factor from phase values to radians; None finds out.
    subject : str
        What the scan is called.

    Raises
    ------
    FileError, InputError
        A file is missing, broken, empty, or does not fit the others.
    """
    name = subject_name(subject)
    images = _named_images(mag, phase, te_s, b0_t)
    notes = _given_notes(tuple(te_s), b0_t)
    return load_scan(images, name, "NIfTI", phase_scale=phase_scale, notes=notes)


def check_files(
    mag: Sequence[Path], phase: Sequence[Path], te_s: Sequence[float], b0_t: float | None
) -> None:
    """Raise what `scan_from_files` would raise for headers and sidecars; no voxel is read."""
    check_scan(_named_images(mag, phase, te_s, b0_t), subject_name("01"), "NIfTI")


def ref_from_files(
    mag: Sequence[Path],
    phase: Sequence[Path] = (),
    te_s: Sequence[float] = (),
    b0_t: float | None = None,
    phase_scale: float | None = None,
    subject: str = "01",
) -> ScanRef:
    """Return the reference whose `load` calls `scan_from_files` with these arguments."""
    files = (tuple(mag), tuple(phase), tuple(te_s), b0_t)
    load = partial(scan_from_files, *files, phase_scale, subject)
    check = partial(check_files, *files)
    paths = tuple(str(p) for p in (*mag, *phase))
    return ScanRef(name=subject_name(subject), kind="NIfTI", paths=paths, load=load, check=check)


# --- files named one by one


def _named_images(
    mag: Sequence[Path], phase: Sequence[Path], te_s: Sequence[float], b0_t: float | None
) -> tuple[Image, ...]:
    """Return the images of files named one by one."""
    times = tuple(float(t) for t in te_s)
    _require_field(b0_t)
    shown = _shown([Path(path) for path in (*mag, *phase)])
    return tuple(
        replace(image, b0_t=b0_t, shown=shown[Path(image.path)])
        for paths, role in ((mag, MAGNITUDE), (phase, PHASE))
        for image in _named(paths, role, times)
    )


def _named(paths: Sequence[Path], role: str, times: tuple[float, ...]) -> list[Image]:
    """Return the images of one role with the echo times they are given."""
    chosen = [Path(p) for p in paths]
    if not chosen:
        if role == MAGNITUDE:
            raise InputError("no file given", where="--mag", mend="Give the magnitude.")
        return []
    if role == PHASE and len(chosen) == 1 and _is_difference(chosen[0]):
        role, times = DIFFERENCE, ()
    each = tuple((t,) for t in times) if len(chosen) > 1 else (times,)
    if times:
        if len(each) != len(chosen):
            raise InputError(
                f"{len(times)} echo times {times} for {len(chosen)} {role} files",
                where="--te",
                mend=_missing_mend(role, chosen, times),
            )
        check_echo_times(tuple(sorted(times)), len(times), "--te")
    return [
        Image(
            path=str(path),
            shown=path.name,
            role=role,
            echo=n if len(chosen) > 1 else None,
            sidecars=_beside(path),
            te_s=each[n - 1] if times else (),
        )
        for n, path in enumerate(chosen, start=1)
    ]


def _shown(paths: Sequence[Path]) -> dict[Path, str]:
    """Return what each file is called: its name, from the folder of all on where two share one."""
    chosen = dict.fromkeys(paths)
    if len({path.name for path in chosen}) == len(chosen):
        return {path: path.name for path in chosen}
    top = Path(os.path.commonpath([path.absolute().parent for path in chosen]))
    return {path: path.absolute().relative_to(top).as_posix() for path in chosen}


def _require_field(b0_t: float | None) -> None:
    if b0_t is not None:
        require_between(b0_t, 0.05, 25, "--b0", "Give the field in tesla, e.g. 1.5, 3 or 7.")


def _given_notes(te_s: tuple[float, ...], b0_t: float | None) -> tuple[str, ...]:
    """Return what of a scan was told by the user."""
    given = (("echo times", bool(te_s)), ("field", b0_t is not None))
    return tuple(f"{what} as given on the command line" for what, is_given in given if is_given)


def _is_difference(path: Path) -> bool:
    return any(role_in(read_json(Path(p)), PHASE) == DIFFERENCE for p in _beside(path))


def _missing_mend(role: str, paths: Sequence[Path], times: tuple[float, ...]) -> str:
    last = paths[-1].name
    few = f"echo {len(paths) + 1} has no {role} (the last is {last})"
    return f"Give one file per echo, or one 4-D file: {few if len(paths) < len(times) else last}."


def _beside(path: Path) -> tuple[str, ...]:
    json = path.with_name(stem_of(path.name) + ".json")
    return (str(json),) if json.is_file() else ()


# --- a folder

Listed = tuple[ScanName, list[Found], tuple[str, ...]]
"""A scan of a folder: its name, its files, notes on what was left aside."""
Person = tuple[str | None, str | None]
"""Labels of subject and session; None where names and folders tell none."""


def _scans(paths: Sequence[Path], folder: Path, subject: str | None) -> list[Listed]:
    """Return the scans of every person and session in a folder."""
    people, lost = _by_person(paths, folder)
    _require_one_person(subject, people)
    scans: list[Listed] = []
    every: dict[str, str] = {}
    for (sub, ses), own in people.items():
        left_out = dict(lost)
        looked = [one for path in own if (one := _look(path, folder, left_out)) is not None]
        found = _echoes_or_runs(looked)
        paired = pair(by_series(found), left_out)
        if not paired and len(people) > 1:
            told = "; ".join(_left_out(left_out))
            log.warning(
                "%s: no gradient echo: %s", subject_name(sub or "01", session=ses).prefix, told
            )
        for n, files in enumerate(paired, start=1):
            run = n if len(paired) > 1 else None
            name = subject_name(subject or sub or "01", run, session=ses)
            scans.append((name, files, _left_out(left_out)))
        every |= left_out
    for shown, why in every.items():
        log.info("%s left out: %s", shown, why)
    if not scans:
        raise _none_usable(folder, every)
    return scans


def _by_person(
    paths: Sequence[Path], folder: Path
) -> tuple[dict[Person, list[Path]], dict[str, str]]:
    """Return files by person and session, and those left out for want of a person.

    Where all names tell of one person, files that tell of none are that person's too.
    """
    named = {path: _person_of(path.relative_to(folder).as_posix(), path) for path in paths}
    subs = sorted({sub for sub, _ in named.values() if sub is not None})
    people: dict[Person, list[Path]] = {}
    lost: dict[str, str] = {}
    for path, (sub, ses) in named.items():
        if sub is None and len(subs) > 1:
            lost[str(path.relative_to(folder))] = "of no person (sub-*), among files of several"
        else:
            people.setdefault((sub or next(iter(subs), None), ses), []).append(path)
    return dict(sorted(people.items(), key=lambda one: [label or "" for label in one[0]])), lost


def _person_of(shown: str, path: Path) -> Person:
    labels: list[str | None] = []
    for key, pattern in _LABELS.items():
        told = sorted(set(pattern.findall(shown)))
        if len(told) > 1:
            both = " and ".join(f"{key}-{label}" for label in told)
            raise FileError(
                f"its name and folders tell of {both}",
                where=str(path),
                mend="Nothing of two is put together: rename it, or take it out.",
            )
        labels.append(told[0] if told else None)
    return labels[0], labels[1]


def _require_one_person(subject: str | None, people: Mapping[Person, Any]) -> None:
    subs = {sub for sub, _ in people}
    if subject is not None and len(subs) > 1:
        raise ParameterError(
            f"{subject!r} for {len(subs)} persons",
            where="--subject",
            mend="Leave it out: they are called by their own names (sub-*).",
        )


def _require_wanted(
    scans: Sequence[Sequence[Found]], te_s: tuple[float, ...], b0_t: float | None
) -> None:
    """Raise `ParameterError` for times or a field that are none, or that no scan lacks."""
    if te_s:
        check_echo_times(tuple(sorted(te_s)), len(te_s), "--te")
    _require_field(b0_t)
    for option, given, known in (
        ("--te", bool(te_s), all(any(one.te_s for one in files) for files in scans)),
        ("--b0", b0_t is not None, all(any(one.b0_t for one in files) for files in scans)),
    ):
        if given and known:
            raise ParameterError(
                "the JSON beside the files tells it of every scan",
                where=option,
                mend="Leave it out; correct the JSON where it is wrong.",
            )


def _with_given(
    files: Sequence[Found], te_s: tuple[float, ...], b0_t: float | None
) -> tuple[list[Image], tuple[str, ...]]:
    """Return the images of a scan with what its sidecars lack and the user told; and notes."""
    images = [one.image for one in files]
    times = () if any(one.te_s for one in files) else te_s
    field = None if any(one.b0_t for one in files) else b0_t
    for role in dict.fromkeys(image.role for image in images) if times else ():
        if role == DIFFERENCE:
            continue
        own = sorted((i for i in images if i.role == role), key=lambda i: i.echo or 0)
        each = [(t,) for t in times] if len(own) == len(times) else [times] * len(own)
        for image, its in zip(own, each, strict=True):
            images[images.index(image)] = replace(image, te_s=its)
    return [replace(image, b0_t=field) for image in images], _given_notes(times, field)


def _look(path: Path, folder: Path, left_out: dict[str, str]) -> Found | None:
    """Return what a file is; None, with the reason in `left_out`, when it is no use."""
    shown = str(path.relative_to(folder))
    sidecars = _beside(path)
    sidecar: Mapping[str, Any] = {}
    grid: Grid | None = None
    te_s: tuple[float, ...] = ()
    b0_t: float | None = None
    try:
        sidecar = read_json(Path(sidecars[0])) if sidecars else {}
        if reason := _why_not(sidecar, stem_of(path.name)):
            left_out[shown] = reason
            return None
        facts = facts_of(sidecar, shown)
        te_s, b0_t = facts.te_s, facts.b0_t
        grid = read_geometry(path)
    except PetechiaError as error:
        log.warning("%s", error)  # and again from `load`, should this scan be wanted
    base, echo, role = parse_stem(stem_of(path.name))
    image = Image(
        path=str(path),
        shown=shown,
        role=role_in(sidecar, role),
        echo=echo,
        sidecars=sidecars,
    )
    base = str(path.parent / base)
    return Found(image=image, base=base, sidecar=sidecar, grid=grid, te_s=te_s, b0_t=b0_t)


def _echoes_or_runs(found: Sequence[Found]) -> list[Found]:
    """Return files whose numbered roles (`mag1`, `mag_2`) are echoes; else they are of series.

    Echoes count from 1 (or 0) without a gap, and no two have the same echo time.
    """
    groups: dict[tuple[str, str], list[Found]] = {}
    for one in found:
        groups.setdefault((one.base, one.image.role), []).append(one)
    series = {
        base
        for (base, role), files in groups.items()
        if role != DIFFERENCE and not _are_echoes(files)
    }
    return [_as_series(one) if one.base in series else one for one in found]


def _are_echoes(files: Sequence[Found]) -> bool:
    numbers = [one.image.echo for one in files]
    told = sorted(number for number in numbers if number is not None)
    if len(told) < len(numbers) or told[0] > 1 or told != list(range(told[0], told[0] + len(told))):
        return False
    times = sorted(te for one in files for te in one.te_s)
    return all(b - a >= SAME_TE_S for a, b in pairwise(times))


def _as_series(one: Found) -> Found:
    """Return a file with the number of its role left in its base."""
    path = Path(one.image.path)
    base, echo, _ = parse_stem(stem_of(path.name), numbered=False)
    image = replace(one.image, echo=echo)
    return replace(one, image=image, base=str(path.parent / base))


def _why_not(sidecar: Mapping[str, Any], stem: str) -> str | None:
    last = re.split(r"[_.]", stem)[-1]
    if last.lower() in _MASKS:
        return f"a mask by its name ({last})"
    if is_projection(sidecar):
        return "an intensity projection"
    if is_gradient_echo(sidecar) is False:
        said = sidecar.get("ScanningSequence") or sidecar.get("PulseSequenceType")
        return f"not a plain gradient echo ({said or 'inversion recovery'})"
    if last.lower() in _OTHER_IMAGES and is_gradient_echo(sidecar) is None:
        return f"no gradient echo by its name ({last}), nor by a sidecar"
    named = f"{text(sidecar.get('SeriesDescription'))} {text(sidecar.get('ProtocolName'))}"
    if _LOCALIZER.search(named):
        return "a localizer"
    return None


def _left_out(left_out: Mapping[str, str]) -> tuple[str, ...]:
    """Return the notes on files that are part of no scan, those of one reason together."""
    files: dict[str, list[str]] = {}
    for name, why in left_out.items():
        files.setdefault(why, []).append(name)
    return tuple(f"left aside: {_some(names)}: {why}" for why, names in files.items())


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _none_usable(folder: Path, left_out: Mapping[str, str]) -> FileError:
    first = "; ".join(f"{name}: {why}" for name, why in list(left_out.items())[:5])
    more = f"; and {len(left_out) - 5} more" if len(left_out) > 5 else ""
    return FileError(
        f"no gradient-echo scan among its NIfTI files ({first}{more})",
        where=str(folder),
        mend="Give the folder of the gradient echo, or its files by --mag, --phase, --te, --b0.",
    )
