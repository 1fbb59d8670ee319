"""BIDS file names: their parts, their order, and the name of a scan."""

from collections.abc import Mapping
from dataclasses import dataclass

from petechia.files.contract import contract
from petechia.files.nifti import stem_of
from petechia.files.scan import ENTITY_ORDER, ScanName


@dataclass(frozen=True, slots=True)
class Named:
    """A file name in its BIDS parts."""

    path: str
    suffix: str
    entities: Mapping[str, str]


def parse_name(name: str, path: str = "") -> Named | None:
    """Return the parts of `sub-01_echo-1_MEGRE.nii.gz`, or None for other names."""
    *pairs, suffix = stem_of(name).split("_")
    entities: dict[str, str] = {}
    for pair in pairs:
        key, _, value = pair.partition("-")
        if not key or not value:
            return None
        entities[key] = value
    return Named(path or name, suffix, entities)


def name_of(entities: Mapping[str, str]) -> ScanName:
    """Return the name of the scan: every entity but echo and part, in BIDS order."""
    dropped = contract().dropped_entities
    return ScanName(tuple(p for p in in_bids_order(entities) if p[0] not in dropped))


def in_bids_order(entities: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return (key, value) pairs as they stand in a file name; unknown keys come last."""
    known = {key: n for n, key in enumerate(ENTITY_ORDER)}
    return sorted(entities.items(), key=lambda pair: known.get(pair[0], len(known)))
