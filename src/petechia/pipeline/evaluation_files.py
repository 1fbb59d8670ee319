"""Which file of a tool belongs to which truth: folders and files to pairs of scans."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from petechia.errors import FileError, InputError
from petechia.files.bids_names import in_bids_order, parse_name
from petechia.files.contract import contract, ending
from petechia.files.nifti import is_nifti, stem_of
from petechia.files.raw_bids import TRUTH_FOLDER
from petechia.pipeline.review.log import FOLDER as REVIEW

OURS = stem_of(ending(contract().file("findings").name))
TRUE = stem_of(ending(contract().truth.labels))
VALDO = "_CMB"
TABLE_ENDINGS = (".tsv", ".csv")
MAPS = {
    name: stem_of(ending(contract().file(key).name))
    for name, key in (("chi", "chi"), ("r2star", "r2star"), ("brain", "brain_mask"))
}
"""Maps that are compared where both sides have them, by the end of their names."""
TRUE_MAPS = {"veins": "_desc-veins_probseg", "regions": "_desc-regions_dseg"}
"""What the truth may have besides, for strata of the maps."""
PLACES = {"x_mm", "y_mm", "z_mm"}
_DROPPED = {"desc", "space", "res", "den", "label", "echo", "part"}
_NO_LESIONS = (
    *MAPS.values(), *TRUE_MAPS.values(), "map", "_swi", "_minIP", "_MEGRE", "_T2starw", "_T1w",
    "_T2w", "_FLAIR", "_T1", "_T2", "_T2S",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """The files of one scan of a tool, or of the truth.

    Attributes
    ----------
    key : str
        What it is matched by.
    entities : frozenset of (key, value)
        BIDS entities of the key; empty for other names.
    table, labels : Path or None
        Rows of lesions; their voxels. One of them may be alone.
    maps : dict of str to Path
        By the names of `MAPS` and `TRUE_MAPS`.
    summary : Path or None
        Of a run of this program.
    """

    key: str
    entities: frozenset[tuple[str, str]] = frozenset()
    table: Path | None = None
    labels: Path | None = None
    maps: dict[str, Path] = field(default_factory=dict)
    summary: Path | None = None

    @property
    def has_lesions(self) -> bool:
        """True when it says anything of lesions."""
        return self.table is not None or self.labels is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """Scans of both sides: those with a partner and those without."""

    pairs: tuple[tuple[Side, Side], ...]
    """(predicted, truth)."""
    truth_alone: tuple[Side, ...]
    predicted_alone: tuple[Side, ...]


def pair_up(
    predicted: Path,
    truth: Path,
    *,
    predicted_pattern: str | None = None,
    truth_pattern: str | None = None,
) -> Pairing:
    """Match the scans of a tool with those of the truth.

    Parameters
    ----------
    predicted, truth : Path
        A file (image or table), or a folder of them, searched to the bottom. Two files are
        a pair whatever their names.
    predicted_pattern, truth_pattern : str, optional
        Which files of a folder to take, e.g. '*_pred.nii.gz'; what the first star stands
        for is then the name that scans are matched by.

    Raises
    ------
    FileError
        A place that does not exist.
    InputError
        Nothing to read, or several files of one scan.
    """
    ours = find_sides(predicted, predicted_pattern, truth=False)
    theirs = find_sides(truth, truth_pattern, truth=True)
    if predicted.is_file() and truth.is_file():
        return Pairing(pairs=((ours[0], theirs[0]),), truth_alone=(), predicted_alone=())
    chosen = _matched(ours, theirs)
    taken = {id(one) for pair in chosen for one in pair}
    return Pairing(
        pairs=tuple(chosen),
        truth_alone=tuple(s for s in theirs if id(s) not in taken),
        predicted_alone=tuple(s for s in ours if id(s) not in taken),
    )


def _matched(ours: Sequence[Side], theirs: Sequence[Side]) -> list[tuple[Side, Side]]:
    by_key = {side.key: side for side in ours}
    pairs = [(by_key[true.key], true) for true in theirs if true.key in by_key]
    left_ours = [s for s in ours if s.key not in {p.key for p, _ in pairs}]
    left_true = [s for s in theirs if s.key not in {t.key for _, t in pairs}]
    # sub-101 against sub-101_acq-swi: one name holds the other, and only one does
    for true in left_true:
        near = [s for s in left_ours if _holds(s, true)]
        if len(near) == 1 and sum(_holds(near[0], other) for other in left_true) == 1:
            pairs.append((near[0], true))
    return sorted(pairs, key=lambda pair: pair[1].key)


def _holds(one: Side, other: Side) -> bool:
    a, b = one.entities, other.entities
    return bool(a and b) and (a <= b or b <= a)


def find_sides(place: Path, pattern: str | None, *, truth: bool) -> list[Side]:
    """Return the scans at `place`, in the order of their keys.

    Without a pattern a folder is read as the first of these that it holds: results of this
    program (or truth of its simulator), tables with x_mm, y_mm and z_mm, VALDO's masks
    (`*_CMB.nii.gz`, truth only), other NIfTI images, maps alone.
    """
    if not place.exists():
        raise FileError("no such place", where=str(place), mend="Check the spelling of the path.")
    if place.is_file():
        return [_with_neighbours(place)]
    root = place / TRUTH_FOLDER if truth and (place / TRUTH_FOLDER).is_dir() else place
    files = sorted(p for p in root.rglob("*") if p.is_file() and not p.name.startswith("."))
    if root.name != REVIEW:  # what the software said before its readers is not the result
        files = [p for p in files if REVIEW not in p.relative_to(root).parts[:-1]]
    if pattern is not None:
        sides = [_with_neighbours(p, _starred(p.name, pattern)) for p in files if p.match(pattern)]
    else:
        sides = [_with_neighbours(p) for p in _lesion_files(files, truth=truth)]
        sides = _told_apart(sides, root)
    if not sides:
        raise InputError(
            f"no table or image of lesions{f' named {pattern}' if pattern else ''}",
            where=str(place),
            mend="Give label images, probability images, or tables with x_mm, y_mm, z_mm.",
        )
    keys = [side.key for side in sides]
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        raise InputError(
            f"several files of {twice[0]}",
            where=str(place),
            mend="Choose with --predicted-pattern or --truth-pattern, e.g. '*_CMB.nii.gz'.",
        )
    return sorted(sides, key=lambda side: side.key)


def _lesion_files(files: Sequence[Path], *, truth: bool) -> list[Path]:
    ours = [p for p in files if p.name.endswith((TRUE if truth else OURS) + ".tsv")]
    if ours:
        return ours
    tables = [p for p in files if p.name.endswith(TABLE_ENDINGS) and _has_places(p)]
    if tables:
        return tables
    images = [p for p in files if is_nifti(p.name)]
    marked = [p for p in images if stem_of(p.name).endswith(VALDO)]
    if truth and marked:
        return marked
    lesions = [p for p in images if not stem_of(p.name).endswith(_NO_LESIONS)]
    alone = ([p for p in images if stem_of(p.name).endswith(end)] for end in MAPS.values())
    return lesions or next((maps for maps in alone if maps), [])


def _has_places(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8-sig") as stream:
            header = stream.readline()
    except (OSError, UnicodeDecodeError):
        return False
    return set(header.lower().strip().replace(",", "\t").split("\t")) >= PLACES


def _starred(name: str, pattern: str) -> str | None:
    """Return what the first star of `pattern` stands for in `name`, without edge marks."""
    before, star, after = pattern.rpartition("/")[2].partition("*")
    if not star or not name.startswith(before):
        return None
    rest = name.removeprefix(before)
    tail = after.rpartition("*")[2]
    return (rest.removesuffix(tail) if tail else rest).strip("_-. ") or None


def _told_apart(sides: list[Side], root: Path) -> list[Side]:
    """Return sides whose keys differ: `case1/pred.nii.gz` is called by its folder."""
    keys = [side.key for side in sides]
    out = []
    for side in sides:
        path = side.table or side.labels
        if keys.count(side.key) > 1 and path is not None and path.parent != root:
            side = _renamed(side, path.parent.name)
        out.append(side)
    return out


def _renamed(side: Side, key: str) -> Side:
    return Side(
        key=key, entities=_entities(key), table=side.table, labels=side.labels, maps=side.maps,
        summary=side.summary,
    )  # fmt: skip


def _with_neighbours(path: Path, key: str | None = None) -> Side:
    """Return the side that a file is the heart of: its table or labels, its maps.

    A table of the same name beside an image says what its labels are, and which count.
    """
    stem = stem_of(path.name)
    for suffix in TABLE_ENDINGS:
        stem = stem.removesuffix(suffix)
    prefix = stem
    for end in (OURS, TRUE, *MAPS.values()):
        prefix = prefix.removesuffix(end)
    is_table = path.name.endswith(TABLE_ENDINGS)
    is_map = stem.endswith(tuple(MAPS.values()))
    labels = _first(path.with_name(stem + end) for end in (".nii.gz", ".nii"))
    tables = (path.with_name(stem + end) for end in TABLE_ENDINGS)
    table = path if is_table else None if is_map else _first(t for t in tables if _has_places(t))
    maps = {
        name: found
        for name, end in {**MAPS, **TRUE_MAPS}.items()
        if (found := _first(path.with_name(prefix + end + e) for e in (".nii.gz", ".nii")))
    }
    name = key or _key(prefix)
    summary = path.with_name(prefix + ending(contract().file("summary").name))
    return Side(
        key=name,
        entities=_entities(name),
        table=table,
        labels=None if is_map else labels if is_table else path,
        maps=maps,
        summary=summary if summary.is_file() else None,
    )


def _first(paths: Iterable[Path]) -> Path | None:
    return next((path for path in paths if path.is_file()), None)


def _key(stem: str) -> str:
    """Return the part of a BIDS name that tells the scan; other names as they are."""
    entities = _entities(stem)
    if not entities:
        return stem
    return "_".join(f"{key}-{value}" for key, value in in_bids_order(dict(entities)))


def _entities(stem: str) -> frozenset[tuple[str, str]]:
    # the suffix is optional here: a prefix has none
    named = parse_name(stem) if not _is_pair(stem.rpartition("_")[2]) else parse_name(f"{stem}_x")
    if named is None or "sub" not in named.entities:
        return frozenset()
    return frozenset((k, v) for k, v in named.entities.items() if k not in _DROPPED)


def _is_pair(part: str) -> bool:
    key, dash, value = part.partition("-")
    return bool(key and dash and value)
