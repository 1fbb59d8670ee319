"""Find gradient-echo scans in a raw BIDS dataset, quickly and by plain listing.

Taken as scans, in `anat` (and the old `swi`) folders: `MEGRE`, `T2starw`, and the older
`GRE`, `T2star` and `swi`, whole or in parts (`part-mag|phase|real|imag`; without a part it
is the magnitude). A `T1w` or `PDw` is taken only when it has a phase and its sidecar tells of
a plain gradient echo, as some QSM datasets name theirs. Field maps (`phasediff`, `phase1`)
are taken only from a dataset that has nothing better. `derivatives`, `sourcedata` and `code`
are never entered.

The prefix of the outputs does not hold the suffix, so two images that differ in nothing else
would overwrite each other: the second gets its suffix added to `acq`, and a note.
"""

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from petechia.errors import FileError, ParameterError
from petechia.files.beside import find_beside
from petechia.files.bids_names import Named, name_of, parse_name
from petechia.files.echo_parts import Image
from petechia.files.images import scan_ref
from petechia.files.nifti import is_nifti
from petechia.files.scan import Beside, ScanName, ScanRef
from petechia.files.sidecars import (
    DIFFERENCE,
    IMAGINARY,
    MAGNITUDE,
    PHASE,
    REAL,
    applies,
    is_gradient_echo,
    merged,
)

log = logging.getLogger(__name__)

SUFFIXES = ("MEGRE", "GRE", "T2starw", "T2star", "swi")
"""Suffixes of gradient echoes; where two share a prefix, the first here keeps it."""
PAIR_SUFFIXES = ("T1w", "PDw")
FIELDMAP_ROLES = {
    "magnitude1": (MAGNITUDE, 1),
    "magnitude2": (MAGNITUDE, 2),
    "phase1": (PHASE, 1),
    "phase2": (PHASE, 2),
    "phasediff": (DIFFERENCE, None),
}
PART_ROLES = {"mag": MAGNITUDE, "phase": PHASE, "real": REAL, "imag": IMAGINARY}
PART_WORDS = {"magnitude": "mag", "imaginary": "imag"}
"""Spellings of parts outside BIDS that are understood, as are capitals."""
FOLDERS = ("anat", "swi")
_SHOWN_LABELS = 20


Groups = dict[ScanName, dict[str, list[Image]]]
"""For each prefix, the images by suffix."""


def is_bids(place: Path) -> bool:
    """Return True for a folder with dataset_description.json, or sub-* with NIfTI in it."""
    if (place / "dataset_description.json").is_file():
        return True
    subjects = _labels(_entries(place), "sub").values()
    folders = _data_folders(place, subjects, frozenset(), (*FOLDERS, "fmap"))
    return any(is_nifti(entry.name) for path, _ in folders for entry in _entries(path))


def find_bids_scans(
    dataset: Path,
    *,
    participants: Sequence[str] = (),
    sessions: Sequence[str] = (),
    phase_scale: float | None = None,
) -> list[ScanRef]:
    """List the gradient-echo scans of a BIDS dataset, sorted by prefix.

    Parameters
    ----------
    dataset : Path
        Root of a raw dataset.
    participants, sessions : sequence of str
        Labels to keep, with or without `sub-` and `ses-`; empty keeps all.
    phase_scale : float, optional
        Factor from phase values to radians, when the user states it.

    Raises
    ------
    ParameterError
        A label that the dataset does not have; the message lists those it has.
    FileError
        No gradient-echo image was found.
    """
    dataset = Path(dataset)
    there = _labels(_entries(dataset), "sub")
    chosen = _chosen(there, participants, "sub", str(dataset))
    wanted = frozenset(label.removeprefix("ses-") for label in sessions)
    if wanted:
        _require_sessions(chosen, wanted, str(dataset))
    subjects = chosen.values()
    seen: set[str] = set()
    groups = _collect(dataset, subjects, wanted, FOLDERS, _in_anat, seen)
    refs = [ref for name in groups for ref in _references(name, groups[name], phase_scale)]
    if not refs:
        groups = _collect(dataset, subjects, wanted, ("fmap",), _in_fmap, seen)
        refs = [ref for name in groups for ref in _fieldmaps(name, groups[name], phase_scale)]
    if not refs:
        raise _nothing_found(dataset, seen)
    found = sorted(_unlike(refs), key=lambda ref: ref.name.prefix)
    return [replace(ref, beside=_beside(dataset, ref)) for ref in found]


def _beside(dataset: Path, ref: ScanRef) -> Beside:
    """Return what lies beside a scan, but for images that are the scan itself."""
    beside = find_beside(dataset, ref.name)
    own = {str(path) for path in ref.paths}
    if str(beside.t1w) not in own:
        return beside
    return replace(beside, t1w=None, chosen=tuple(c for c in beside.chosen if c[0] != "T1w"))


# --- walking


def _entries(folder: str | Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise FileError(
            f"cannot be listed ({error.strerror})",
            where=str(folder),
            mend="Check that the folder exists and that you may read it.",
        ) from error


def _labels(entries: Iterable[os.DirEntry[str]], key: str) -> dict[str, str]:
    """Return label -> folder of the `sub-*` or `ses-*` folders among `entries`."""
    start = f"{key}-"
    return {
        entry.name.removeprefix(start): entry.path
        for entry in entries
        if entry.name.startswith(start) and entry.is_dir()
    }


def _sidecars(entries: Iterable[os.DirEntry[str]]) -> list[Named]:
    found = (parse_name(e.name, e.path) for e in entries if e.name.endswith(".json"))
    return [named for named in found if named is not None]


def _data_folders(
    dataset: Path, subjects: Iterable[str], sessions: frozenset[str], names: Sequence[str]
) -> Iterator[tuple[str, list[Named]]]:
    """Yield each data folder with the sidecars above it, the nearest last."""
    above_all = _sidecars(_entries(dataset))
    for subject in subjects:
        entries = _entries(subject)
        above = above_all + _sidecars(entries)
        if not sessions:
            yield from ((e.path, above) for e in entries if e.name in names and e.is_dir())
        for label, path in _labels(entries, "ses").items():
            if not sessions or label in sessions:
                inside = _entries(path)
                here = above + _sidecars(inside)
                yield from ((e.path, here) for e in inside if e.name in names and e.is_dir())


def _collect(
    dataset: Path,
    subjects: Iterable[str],
    sessions: frozenset[str],
    folders: Sequence[str],
    to_image: Callable[[Named, str, tuple[str, ...]], Image | None],
    seen: set[str],
) -> Groups:
    """Return the wanted images of a dataset; the suffixes met go into `seen`."""
    groups: Groups = {}
    root = os.path.join(os.fspath(dataset), "")  # noqa: PTH118 - strings, for speed
    for folder, above in _data_folders(dataset, subjects, sessions, folders):
        entries = [e for e in _entries(folder) if not e.name.startswith(".")]
        sidecars = above + _sidecars(entries)
        for entry in entries:
            named = parse_name(entry.name, entry.path) if is_nifti(entry.name) else None
            if named is None or "sub" not in named.entities or "desc" in named.entities:
                continue
            seen.add(named.suffix)
            image = to_image(named, entry.path.removeprefix(root), _inherited(named, sidecars))
            if image is None and named.suffix in SUFFIXES:
                seen.add(f"{named.suffix} of unknown part-{named.entities.get('part')}")
            if image is not None:
                by_suffix = groups.setdefault(name_of(named.entities), {})
                by_suffix.setdefault(named.suffix, []).append(image)
    return groups


def _inherited(image: Named, sidecars: Iterable[Named]) -> tuple[str, ...]:
    # the list runs from the root inwards; in one folder, fewer entities are less specific
    found = [
        sidecar
        for sidecar in sidecars
        if applies(sidecar.entities, sidecar.suffix, image.entities, image.suffix)
    ]
    found.sort(key=lambda sidecar: (sidecar.path.count(os.sep), len(sidecar.entities)))
    return tuple(sidecar.path for sidecar in found)


def _in_anat(named: Named, shown: str, sidecars: tuple[str, ...]) -> Image | None:
    if named.suffix not in SUFFIXES + PAIR_SUFFIXES:
        return None
    role = PART_ROLES.get(_part_of(named))
    if role is None:
        log.warning("%s: unknown part-%s, left out", shown, named.entities["part"])
        return None
    echo = named.entities.get("echo", "")
    return Image(
        path=named.path,
        shown=shown,
        role=role,
        echo=int(echo) if echo.isdecimal() else None,
        sidecars=sidecars,
    )


def _part_of(named: Named) -> str:
    """Return the part as BIDS spells it."""
    part = named.entities.get("part", "mag").lower()
    return PART_WORDS.get(part, part)


def _misspelt(images: Iterable[Image]) -> tuple[str, ...]:
    """Return notes on parts that are not spelt as BIDS has them."""
    named = [parse_name(Path(image.path).name) for image in images]
    odd = {(n.entities["part"], _part_of(n)) for n in named if n and "part" in n.entities}
    return tuple(f"part-{said} was read as part-{is_}" for said, is_ in sorted(odd) if said != is_)


def _in_fmap(named: Named, shown: str, sidecars: tuple[str, ...]) -> Image | None:
    if named.suffix not in FIELDMAP_ROLES:
        return None
    role, echo = FIELDMAP_ROLES[named.suffix]
    return Image(path=named.path, shown=shown, role=role, echo=echo, sidecars=sidecars)


# --- choosing


def _references(
    name: ScanName, by_suffix: Mapping[str, list[Image]], phase_scale: float | None
) -> Iterator[ScanRef]:
    """Yield the scans of one prefix; a second suffix goes into `acq`."""
    scans = {suffix: by_suffix[suffix] for suffix in SUFFIXES if suffix in by_suffix}
    for suffix in PAIR_SUFFIXES:
        if suffix in by_suffix and _is_gradient_echo_pair(by_suffix[suffix]):
            scans[suffix] = by_suffix[suffix]
    notes: tuple[str, ...] = ()
    if len(scans) > 1 and "swi" in scans and _is_whole(scans["swi"]):
        weighted = ", ".join(image.shown for image in scans.pop("swi"))
        notes = (f"{weighted} was weighted by the scanner (SWI) and is not used",)
    for n, (suffix, images) in enumerate(scans.items()):
        kept = name if n == 0 else _with_suffix(name, suffix)
        if n > 0:
            notes = (f"acq-{kept.get('acq')} tells the {suffix} images from another scan's",)
        if suffix == "swi" and _is_whole(images):
            notes += ("a weighted image (SWI), not a plain magnitude, if the scanner made it so",)
        told = (*notes, *_misspelt(images))
        yield scan_ref(kept, "BIDS", images, phase_scale=phase_scale, notes=told)


def _fieldmaps(
    name: ScanName, by_suffix: Mapping[str, list[Image]], phase_scale: float | None
) -> Iterator[ScanRef]:
    images = [image for group in by_suffix.values() for image in group]
    if {MAGNITUDE} < {image.role for image in images}:
        notes = ("read from a field map (fmap): the dataset has no other gradient echo",)
        yield scan_ref(name, "BIDS", images, phase_scale=phase_scale, notes=notes)


def _is_whole(images: Iterable[Image]) -> bool:
    return all("_part-" not in image.shown for image in images)


def _is_gradient_echo_pair(images: Iterable[Image]) -> bool:
    """Return True for a magnitude and phase whose sidecars tell of a plain gradient echo."""
    phases = [image for image in images if image.role != MAGNITUDE]
    if not phases:
        return False
    try:
        return is_gradient_echo(merged(Path(p) for p in phases[0].sidecars)) is True
    except FileError as error:
        log.warning("left out: %s", error)
        return False


def _with_suffix(name: ScanName, suffix: str) -> ScanName:
    entities = dict(name.entities)
    entities["acq"] = entities.get("acq", "") + suffix
    return name_of(entities)


def _unlike(refs: Sequence[ScanRef]) -> list[ScanRef]:
    """Return `refs`; `FileError` when two would write to the same names, or one to no name."""
    seen: dict[str, ScanRef] = {}
    for ref in refs:
        if not ref.name.prefix.isprintable():  # also bytes of a name that are no text here
            raise FileError(
                f"{ref.name.prefix!r} is no name for results",
                where=repr(ref.paths[0]),
                mend="Rename it: BIDS labels are letters and digits.",
            )
        if other := seen.get(ref.name.prefix):
            raise FileError(
                f"would be written under the same name as {other.paths[0]}",
                where=ref.paths[0],
                mend="Give one of the two another run or acq.",
            )
        seen[ref.name.prefix] = ref
    return list(refs)


# --- what is not there


def _chosen(
    there: Mapping[str, str], wanted: Sequence[str], key: str, where: str
) -> Mapping[str, str]:
    labels = dict.fromkeys(label.removeprefix(f"{key}-") for label in wanted)
    for label in labels:
        if label not in there:
            raise _no_label(label, key, there, where)
    return {label: there[label] for label in labels} if labels else there


def _require_sessions(subjects: Mapping[str, str], wanted: Iterable[str], where: str) -> None:
    there = {label for path in subjects.values() for label in _labels(_entries(path), "ses")}
    for label in sorted(wanted):
        if label not in there:
            raise _no_label(label, "ses", there, where)


def _no_label(label: str, key: str, there: Iterable[str], where: str) -> ParameterError:
    labels = sorted(there)
    shown = ", ".join(labels[:_SHOWN_LABELS]) or "none"
    more = f" and {len(labels) - _SHOWN_LABELS} more" if len(labels) > _SHOWN_LABELS else ""
    return ParameterError(f"no {key}-{label}", where=where, mend=f"There is: {shown}{more}.")


def _nothing_found(dataset: Path, seen: Iterable[str]) -> FileError:
    has = ", ".join(sorted(seen)) or "none at all"
    return FileError(
        f"no gradient-echo images; looked in sub-*/[ses-*/]anat for {', '.join(SUFFIXES)}; "
        f"suffixes found: {has}",
        where=str(dataset),
        mend="Name the images as BIDS does, or give their folder or files instead.",
    )
