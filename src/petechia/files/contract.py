"""The output contract, typed: file names, columns, vocabularies, exit codes.

Reads `contract.toml` beside this module, which the writer, the evaluator, the
documentation and the tests share: names of the promised files come from here. The table of
findings has more columns behind the promised ones (`lesions.findings.EXTRA_COLUMNS`).
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from petechia.errors import ParameterError
from petechia.files.scan import ScanName

VOCABULARIES = ("class", "sign", "mars", "side", "site", "compartment")


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFile:
    """One promised output.

    Attributes
    ----------
    key : str
        What the contract calls it: 'chi', 'findings', ...
    name : str
        Template with `<p>` for the prefix; 'OUTPUT/...' is relative to the output root.
    units : str or None
        Units of the map.
    sidecar : tuple of str
        Keys its sidecar must have.
    table : str or None
        Template of the table that goes with a label image.
    sidecar_for_both : str or None
        Template of the one sidecar that describes image and table.
    bidsignore : bool
        True when BIDS does not know this kind of file.
    """

    key: str
    name: str
    units: str | None = None
    sidecar: tuple[str, ...] = ()
    table: str | None = None
    sidecar_for_both: str | None = None
    bidsignore: bool = False

    @property
    def is_image(self) -> bool:
        """True for a NIfTI volume."""
        return self.name.endswith(".nii.gz")


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What the simulator promises to write beside its raw data."""

    table: str
    columns: tuple[str, ...]
    labels: str
    maps: tuple[str, ...]
    visible: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowUp:
    """What is promised of each subject with several sessions; `<p>` is `sub-01`.

    Attributes
    ----------
    table, summary, page : str
        Templates of the files.
    columns, state : tuple of str
        Columns of the table; words for what became of a lesion.
    """

    table: str
    summary: str
    page: str
    columns: tuple[str, ...]
    state: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """The whole contract."""

    version: int
    default_subject: str
    dropped_entities: tuple[str, ...]
    """Entities of the source file that the prefix does not keep."""
    files: Mapping[str, OutputFile]
    finding_columns: tuple[str, ...]
    words: Mapping[str, tuple[str, ...]]
    """Allowed words of the columns class, sign, mars, side, site, compartment."""
    meaning: Mapping[str, str]
    summary_keys: tuple[str, ...]
    truth: Truth
    follow: FollowUp
    exit_codes: Mapping[str, int]

    def file(self, key: str) -> OutputFile:
        """Return the promised file `key`; `ParameterError` lists the keys otherwise."""
        try:
            return self.files[key]
        except KeyError:
            raise ParameterError(
                f"no output is called {key!r}",
                where="contract",
                mend=f"Use one of {', '.join(self.files)}.",
            ) from None

    def relative_path(self, key: str, name: ScanName | None = None) -> str:
        """Return the path below OUTPUT of output `key` of the scan `name`."""
        return place(self.file(key).name, name)

    def ignore_patterns(self) -> tuple[str, ...]:
        """Return the lines of `.bidsignore`: what the standard does not know, and no more."""
        patterns: list[str] = []
        for file in self.files.values():
            if file.bidsignore:
                pattern = file.name.removeprefix("OUTPUT/").replace("<p>", "*")
                patterns.append(pattern)
                if file.is_image:
                    patterns.append(pattern.replace(".nii.gz", ".json"))
        for name in (self.follow.table, self.follow.summary):
            patterns.append(name.removeprefix("OUTPUT/").replace("<p>/<p>", "sub-*/*"))
        return tuple(p for p in patterns if p != "index.html" or "*.html" not in patterns)


def place(template: str, name: ScanName | None) -> str:
    """Return `template` with the prefix filled in, below the folder it belongs in."""
    if "<p>" in template and name is None:
        raise ParameterError(
            f"{template} needs the name of a scan", where="contract", mend="Give a ScanName."
        )
    filled = template if name is None else template.replace("<p>", name.prefix)
    if filled.startswith("OUTPUT/"):
        return filled.removeprefix("OUTPUT/")
    return filled if name is None else f"{name.folder}/{filled}"


def ending(template: str) -> str:
    """Return what follows the prefix in a promised name: `_Chimap.nii.gz`."""
    return template.rpartition("<p>")[2]


def follow_path(root: Path, key: str, subject: str) -> Path:
    """Return where `table`, `summary` or `page` of a person's follow-up (`sub-01`) lies."""
    template: str = getattr(contract().follow, key)
    return root / template.removeprefix("OUTPUT/").replace("<p>", subject)


@cache
def contract() -> Contract:
    """Return the contract this version of the package was built with."""
    text = resources.files("petechia.files").joinpath("contract.toml").read_text("utf-8")
    raw: dict[str, Any] = tomllib.loads(text)
    truth = raw["truth"]
    return Contract(
        version=raw["version"],
        default_subject=raw["prefix"]["default_subject"],
        dropped_entities=tuple(raw["prefix"]["drop"]),
        files={key: _output_file(key, row) for key, row in raw["files"].items()},
        finding_columns=tuple(raw["findings"]["columns"]),
        words={key: tuple(raw["findings"][key]) for key in VOCABULARIES},
        meaning=raw["findings"]["meaning"],
        summary_keys=tuple(raw["summary"]["keys"]),
        truth=Truth(
            table=truth["lesions"]["name"],
            columns=tuple(truth["lesions"]["columns"]),
            labels=truth["labels"]["name"],
            maps=tuple(truth["maps"]),
            visible=truth["visible"],
        ),
        follow=FollowUp(
            table=raw["follow"]["table"],
            summary=raw["follow"]["summary"],
            page=raw["follow"]["page"],
            columns=tuple(raw["follow"]["columns"]),
            state=tuple(raw["follow"]["state"]),
        ),
        exit_codes=raw["exit"],
    )


def _output_file(key: str, row: Mapping[str, Any]) -> OutputFile:
    return OutputFile(**{**row, "key": key, "sidecar": tuple(row.get("sidecar", ()))})
