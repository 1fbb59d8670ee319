"""What is told about a scan beside the bytes of its images: words given, and sidecars.

With the images' own bytes it settles all that reading makes of a scan: echo times, field,
which image is phase and how it comes to radians, facts of the header. No image is opened, so
that a finished scan of a large cohort is known as such in the time its hashes take.
"""

from collections.abc import Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from petechia.files.echo_parts import Image
from petechia.files.nifti import stem_of
from petechia.files.scan import ScanRef
from petechia.files.sidecars import facts_of, merged, read_json

OWN_WORDS = ("ImageType", "EchoTime1", "EchoTime2")
"""What a sidecar says of the role of its own image, which no other hands down."""


def told_beside(ref: ScanRef) -> list[Any]:
    """Return the words and facts of sidecars that `ref` will be read by, ready for JSON.

    Places on disk are cut to the name of the file: a dataset that moved is the same one.
    Headers of DICOM are bytes of the images; only words count there.

    Raises
    ------
    FileError, MetadataError
        A sidecar cannot be read or says what cannot be, as when the scan is read.
    """
    load = ref.load
    if not isinstance(load, partial):
        return []
    words = sorted(load.keywords.keys() - {"notes"})  # they tell of the scan and change nothing
    given = [*load.args, *(load.keywords[word] for word in words)]
    if ref.kind == "DICOM":
        return [value for value in given if value is None or isinstance(value, float)]
    return [_told(value, frozenset(ref.paths)) for value in given]


def _told(value: Any, paths: frozenset[str]) -> Any:
    """Return one word, or what is told of each image among the words."""
    if isinstance(value, Image):
        sidecars = [Path(path) for path in value.sidecars]
        return [Path(value.path).name, value.role, value.echo, value.te_s,
                *_facts(sidecars, value.path)]  # fmt: skip
    if isinstance(value, str | Path) and str(value) in paths:
        beside = Path(value).with_name(stem_of(Path(value).name) + ".json")
        return [Path(value).name, *_facts([beside] if beside.is_file() else [], str(value))]
    if isinstance(value, list | tuple):
        return [_told(one, paths) for one in value]
    return value if value is None or isinstance(value, str | int | float) else str(value)


def _facts(sidecars: Iterable[Path], image: str) -> list[Any]:
    """Return the facts that sidecars state together, and each one's words on its own image."""
    there = list(sidecars)
    facts = facts_of(merged(there), str(there[-1]) if there else image)
    own = [[read.get(word) for word in OWN_WORDS] for read in map(read_json, there)]
    return [asdict(facts), own]
