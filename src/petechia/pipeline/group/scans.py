"""All scans of an output folder: what was counted, by what protocol, how fit, and what failed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from petechia.core.counts import CountDoubt
from petechia.errors import FileError
from petechia.files.bids_names import parse_name
from petechia.files.contract import contract, ending
from petechia.pipeline.listing import standing_of

TABLE = ending(str(contract().file("findings").table))
ASSESSED, REFUSED, FAILED, UNREADABLE = "assessed", "not_assessable", "failed", "unreadable"
COMPARTMENTS = ("lobar", "deep", "infratentorial")
NUMBERS = (
    "x_mm", "y_mm", "z_mm", "volume_mm3", "diameter_mm", "moment_ppm_mm3", "moment_se_ppm_mm3",
    "chi_mean_ppm", "probability", "sphericity", "margin_sharpness", "homogeneity",
)  # fmt: skip
WORDS = ("class", "sign", "mars", "side", "site", "compartment")


@dataclass(frozen=True, slots=True, eq=False)
class Lesion:
    """One counted microbleed: numbers (NaN where not measured) and words of the table."""

    index: int
    numbers: Mapping[str, float]
    words: Mapping[str, str]

    @property
    def place_mm(self) -> tuple[float, float, float]:
        """Scanner RAS [mm]."""
        n = self.numbers
        return n["x_mm"], n["y_mm"], n["z_mm"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ScanRow:
    """One scan as the cohort sees it.

    Attributes
    ----------
    prefix : str
        Its name.
    entities : mapping
        BIDS entities of it.
    status : str
        'assessed'; 'not_assessable', 'failed' or 'unreadable', with `reason`.
    summary : mapping
        What of the summary is used, {} unless it was read.
    lesions : tuple of Lesion
        Counted microbleeds.
    probabilities : tuple of float
        Of all findings; 0 or 1 where a reader decided or a CT showed calcium.
    folder : Path
        Where its files lie.
    """

    prefix: str
    entities: Mapping[str, str]
    status: str
    reason: str = ""
    summary: Mapping[str, Any] = field(default_factory=dict)
    lesions: tuple[Lesion, ...] = ()
    probabilities: tuple[float, ...] = ()
    folder: Path = Path()

    @property
    def count_doubt(self) -> CountDoubt | None:
        """What its findings have in common, as its detector told; None in older results."""
        told = (self.summary.get("model") or {}).get("count_doubt")
        return CountDoubt(**told) if told else None

    @property
    def subject(self) -> str:
        """Label of the participant."""
        return self.entities.get("sub", "")

    @property
    def session(self) -> str | None:
        """Label of the session."""
        return self.entities.get("ses")

    @property
    def assessed(self) -> bool:
        """True when its count means something, be it 0."""
        return self.status == ASSESSED

    @property
    def reviewed(self) -> bool:
        """True when readers decided on all that they were asked about."""
        return bool((self.summary.get("review") or {}).get("readers")) and not self.undecided

    @property
    def undecided(self) -> int:
        """Findings that the readers have not decided on."""
        return int((self.summary.get("review") or {}).get("undecided") or 0)

    @property
    def protocol(self) -> Mapping[str, Any]:
        """Of the summary."""
        return self.summary.get("protocol") or {}

    def count(self, compartment: str = "", site: str = "", mars: str = "") -> int:
        """Return how many were counted, of a compartment, a site or a grade."""
        wanted = {"compartment": compartment, "site": site, "mars": mars}
        return sum(
            all(not word or lesion.words[key] == word for key, word in wanted.items())
            for lesion in self.lesions
        )


def read_scans(output: Path) -> list[ScanRow]:
    """Return every scan of an output folder, by name; also those that failed.

    Raises
    ------
    FileError
        There is no scan in it.
    """
    if not output.is_dir():
        raise _unreadable(output, "no such folder")
    found = standing_of(output, _refuse)
    if not found:
        raise FileError(
            "no scan is in it",
            where=str(output),
            mend="Give the output folder of `petechia run`: it holds sub-*/.../"
            f"*{ending(contract().file('summary').name)}. A raw dataset is run first.",
        )
    return [
        (_crashed if found[scan].failed else _read)(scan, found[scan].told_in)
        for scan in sorted(found)
    ]


def _refuse(error: OSError) -> None:
    raise _unreadable(Path(str(error.filename)), str(error.strerror)) from error


def _unreadable(folder: Path, why: str) -> FileError:
    return FileError(
        f"cannot be read ({why})",
        where=str(folder),
        mend="Give the output folder of `petechia run`, every folder of it readable.",
    )


def _read(prefix: str, path: Path) -> ScanRow:
    entities = _entities(prefix)

    def out(reason: str) -> ScanRow:
        return ScanRow(prefix=prefix, entities=entities, status=UNREADABLE, reason=reason)

    try:
        summary = json.loads(path.read_bytes())
        category, counts = summary["category"], summary["counts"]
        if int(summary["contract_version"]) > contract().version:
            return out("written by a newer version: its contract is not known here")
        why = "; ".join(map(str, summary["not_assessable"]))
        total = int(counts["total"])
    except (OSError, ValueError, KeyError, TypeError):
        return out("its summary cannot be read: run this scan again")
    kept = {key: summary.get(key) for key in _KEPT}
    if category == "not_assessable":
        return ScanRow(
            prefix=prefix, entities=entities, status=REFUSED, reason=why, summary=kept,
            folder=path.parent,
        )  # fmt: skip
    try:
        lesions, probabilities = _findings(path.with_name(prefix + TABLE))
    except (OSError, ValueError, KeyError, IndexError):
        return out("its table of findings cannot be read: run this scan again")
    if len(lesions) != total:
        return out(f"its table counts {len(lesions)}, its summary {total}: run this scan again")
    return ScanRow(
        prefix=prefix, entities=entities, status=ASSESSED, summary=kept, lesions=lesions,
        probabilities=probabilities, folder=path.parent,
    )  # fmt: skip


_KEPT = (
    "version", "protocol", "fitness", "reading_te_s", "operating_point", "category", "count_bin",
    "count_interval_95", "template", "review", "model",
)  # fmt: skip


def _entities(prefix: str) -> Mapping[str, str]:
    named = parse_name(f"{prefix}_x.json")
    return dict(named.entities) if named else {"sub": prefix.removeprefix("sub-")}


def _findings(path: Path) -> tuple[tuple[Lesion, ...], tuple[float, ...]]:
    """Return counted lesions and every probability.

    A table holds long sentences, a cohort a million rows: of what is not counted only the
    first and last cells are cut off.
    """
    head, *lines = path.read_text(encoding="utf-8").split("\n")
    names = head.split("\t")
    at = {name: n for n, name in enumerate(names)}
    chance_at, counted_at = at["probability"], at["counted"]
    first = max(chance_at, counted_at) + 1
    after = [at[name] for name in ("reader", "ct_calcified") if name in at]
    last = len(names) - min(after) if after else 0
    lesions, chances = [], []
    for line in lines:
        if not line:
            continue
        front = line.split("\t", first)
        counted = front[counted_at] == "1"
        if counted:
            lesions.append(_lesion(line.split("\t"), at))
        back = line.rsplit("\t", last)[1:] if last else []
        told = {name: back[at[name] - len(names)] for name in ("reader", "ct_calcified")
                if name in at}  # fmt: skip
        if told.get("reader", "n/a") != "n/a":
            chances.append(float(counted))
        elif told.get("ct_calcified") == "1":
            chances.append(0.0)
        else:
            text = front[chance_at]
            chances.append(float(counted) if text == "n/a" else float(text))
    return tuple(lesions), tuple(chances)


def _lesion(cells: list[str], at: Mapping[str, int]) -> Lesion:
    def number(name: str) -> float:
        text = cells[at[name]] if name in at else "n/a"
        return float("nan") if text == "n/a" else float(text)

    return Lesion(
        index=int(cells[at["index"]]),
        numbers={name: number(name) for name in NUMBERS},
        words={name: cells[at[name]] for name in WORDS},
    )


def _crashed(prefix: str, path: Path) -> ScanRow:
    try:
        crash = json.loads(path.read_bytes())
        reason = f"{crash.get('stage', 'run')}: {crash['message']}"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        reason = "it failed, and its crash file cannot be read: run this scan again"
    return ScanRow(prefix=prefix, entities=_entities(prefix), status=FAILED, reason=reason)


def sequence_of(protocol: Mapping[str, Any]) -> str:
    """Return what kind of gradient echo a scan is, in words that compare across scanners."""
    kind = str(protocol.get("acquisition_type") or "")
    echoes = int(protocol.get("n_echoes") or 0)
    phase = "magnitude only" if protocol.get("phase") == "none" else "with phase"
    many = "multi-echo" if echoes > 1 else "single-echo"
    return f"{kind} {many} {phase}".strip()


def in_template(row: ScanRow) -> np.ndarray:
    """Return the places of a scan's lesions in the template (n, 3), RAS mm; NaN without a map."""
    places = np.array([lesion.place_mm for lesion in row.lesions], dtype=float).reshape(-1, 3)
    told = row.summary.get("template")
    if not told:
        return np.full_like(places, np.nan)
    matrix = np.asarray(told["scan_to_template"], dtype=float)
    return np.asarray(places @ matrix[:3, :3].T + matrix[:3, 3])
