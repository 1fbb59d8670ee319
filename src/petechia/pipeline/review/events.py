"""What a reader may do to a scan: one event each, its fields and payload checked.

An event is a fact of the past: it is never changed. `checked` is the one gate through
which events of the outside world (a browser, a file) come in.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from petechia.files.contract import contract
from petechia.lesions.criteria import extent as extent_of
from petechia.lesions.criteria.forms import BOMBS_ROWS, MARS_ROWS, SIDES
from petechia.pipeline.review.values import (
    fields_of,
    line_of,
    mm_of,
    number_of,
    place_of,
    refused,
    text_of,
    uuid_of,
    whole_of,
    word_of,
)

Runs = tuple[tuple[int, int], ...]
"""Voxels as (start, length) of the flattened grid, C order; ascending, apart."""

KINDS = (
    "decide", "site", "outline", "add", "split", "merge", "remove", "note", "form", "siderosis",
    "finish", "reopen", "undo", "adjudicate",
)  # fmt: skip
OF_A_FINDING = frozenset(
    ("decide", "site", "outline", "add", "split", "merge", "remove", "adjudicate")
)
"""Kinds that need a finding; `note` may have one."""
VERDICTS = ("accept", "reject", "clear")
ACCEPTED = ("microbleed",)
REJECTED = (
    "vessel", "calcification", "iron", "air_tissue", "macrobleed", "siderosis", "undetermined",
)  # fmt: skip
"""Classes that a reader may reject a finding as."""
GRADES = ("definite", "possible")
FORMS = ("mars", "bombs", "scale")
SCALES = ("boston_2", "aria_h", "total_svd", "caa_svd")
BOMBS_CELLS = tuple(
    f"{word}_{size}" for word in ("certain", "uncertain") for size in ("below_5_mm", "5_to_10_mm")
)
EXTENTS = ("none", "focal", "disseminated")

READER_LONGEST = 64
TEXT_LONGEST = 4000
REASON_LONGEST = 1000
MOST_RUNS = 50_000
MOST_MERGED = 100
MOST_VOXELS = 2**40
PAYLOAD_LONGEST = 2_000_000
"""Characters of a payload as JSON."""
ANCHOR_FIELDS = ("x_mm", "y_mm", "z_mm", "class", "moment", "shape", "with", "input")
MOST_MARKS = 16
_MARK = re.compile(r"[0-9a-f]{1,64}")
_READER = re.compile(r"[\w.@-](?:[\w.@ -]*[\w.@-])?", re.ASCII)
_LETTER = r"[^_/\\\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
PREFIX = re.compile(f"sub-{_LETTER}+(?:_(?!-){_LETTER}+?-{_LETTER}+)*")
"""A scan's prefix, as wide as names of files that `run` takes, and never a path: no separators,
nothing that a screen would not show."""
PREFIX_LONGEST = 240
"""A name of a file has at most 255 bytes, and ends with more than the prefix."""
MOST_SPLITS = 8
"""So often a finding may be split, part after part."""
_FINDING = re.compile(rf"(?:s[0-9]{{1,6}}|a[0-9a-f]{{8}})(?:\.[12]){{0,{MOST_SPLITS}}}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing a reader did.

    Attributes
    ----------
    uuid : str
        Made by whoever sends it: the same one twice is one event.
    reader : str
        Letters, digits, `- _ . @` and spaces, at most 64.
    round : int
        Rounds of a study are read apart; 1 outside of one.
    scan : str
        Prefix of the scan.
    fingerprint : str
        Of the summary of the results the reader saw.
    finding : str
        `s<index>` of the software's table, `a<8 hex>` added by a reader, `<key>.1` and
        `<key>.2` parts of a split; "" for what concerns the scan.
    kind : str
        One of `KINDS`.
    payload : mapping
        What the kind needs; see `checked`.
    seconds : float
        Time spent on it [s].
    anchor : mapping
        The finding as it was seen, so that a later run's table can be matched to it:
        `x_mm`, `y_mm`, `z_mm`, `class`, `moment`, `shape` of the grid, and of a merge `with`:
        the place of each finding that is taken in; `input`: marks of the scan that was read
        (`standing.marks_of`), which logs of before do not have.
    at : str
        When the log took it, UTC, ISO 8601 with milliseconds.
    version : str
        Version of petechia that took it.
    id : int
        Its place in the log, from 1; 0 while it is in none.
    """

    uuid: str
    reader: str
    round: int
    scan: str
    fingerprint: str
    finding: str
    kind: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    anchor: Mapping[str, Any] = field(default_factory=dict)
    at: str = ""
    version: str = ""
    id: int = 0


def checked(event: Event) -> Event:
    """Return the event with every field checked and its payload in its one form.

    Payloads by kind; what is not listed is refused, `?` may be left out:

    - `decide`, `adjudicate`: `verdict` accept, reject or clear; `class`? (microbleed, or one
      of `REJECTED`); `mars`? definite or possible; `reason`?
    - `site`: `site`, `side` in the contract's words
    - `outline`: `runs`
    - `add`: `x_mm`, `y_mm`, `z_mm`, `class`; `mars`?, `site`?, `side`?, `runs`?, `reason`?
    - `split`: `parts` (two lists of runs), or `at_mm` (two places)
    - `merge`: `with` (keys of the findings that are taken in)
    - `remove`, `finish`, `reopen`: nothing
    - `note`: `text`
    - `form`: `form`, `row` (one of `form_rows`), `value` (None: the computed one again),
      `reason`
    - `siderosis`: `extent`, `sulci`, `note`?
    - `undo`: `event`, an id

    Raises
    ------
    ParameterError
        Names the field and what it may be.
    """
    kind = word_of(event.kind, KINDS, "kind")
    finding = text_of(event.finding, "finding", 64)
    if kind in OF_A_FINDING and not finding:
        raise refused("finding", "", f"Name the finding that {kind!r} is about.")
    if kind not in OF_A_FINDING | {"note", "undo"} and finding:
        raise refused("finding", finding, f"{kind!r} is about the whole scan: leave it empty.")
    if finding:
        finding_key(finding)
    uuid = uuid_of(event.uuid)
    if kind == "add" and finding != added_key(uuid):
        raise refused("finding", finding, f"An added finding is called {added_key(uuid)}.")
    if kind == "remove" and not finding.startswith("a"):
        raise refused(
            "finding", finding, "Only what a reader added can be removed: reject it instead."
        )
    payload = _PAYLOADS[kind](fields_of(event.payload, "payload"))
    if kind == "merge" and finding in payload["with"]:
        raise refused("payload.with", finding, "A finding cannot be merged with itself.")
    if len(as_text(payload)) > PAYLOAD_LONGEST:
        raise refused("payload", "too long", f"Give at most {PAYLOAD_LONGEST} characters.")
    return replace(
        event,
        uuid=uuid,
        reader=reader_name(event.reader),
        round=whole_of(event.round, "round", 1, 999),
        scan=scan_prefix(event.scan),
        fingerprint=line_of(event.fingerprint, "fingerprint", 128),
        finding=finding,
        payload=payload,
        seconds=number_of(event.seconds, "seconds", 0.0, 86400.0),
        anchor=_anchor(event.anchor),
        at=line_of(event.at, "at", 40),
        version=line_of(event.version, "version", 40),
        id=whole_of(event.id, "id", 0, 2**62),
    )


def added_key(uuid: str) -> str:
    """Return the key of the finding that the `add` event `uuid` makes."""
    return f"a{uuid[:8]}"


def software_key(index: int | str) -> str:
    """Return the key of a row of the software's table."""
    return f"s{int(index)}"


def split_too_often(key: str) -> bool:
    """Return whether a finding cannot be split again: its parts would have no key."""
    return key.count(".") >= MOST_SPLITS


def finding_key(text: str) -> str:
    """Return a finding's key; `ParameterError` when it is none."""
    if not isinstance(text, str) or not _FINDING.fullmatch(text):
        raise refused(
            "finding", text, "Keys are s<index>, a<8 hex digits>, and .1 or .2 after a split."
        )
    return text


def reader_name(text: Any) -> str:
    """Return a reader's name; `ParameterError` when it is none."""
    name = " ".join(text.split(" ")) if isinstance(text, str) else ""
    if not 1 <= len(name) <= READER_LONGEST or not _READER.fullmatch(name):
        raise refused(
            "reader",
            text,
            f"Use letters, digits, - _ . @ and spaces inside, at most {READER_LONGEST}.",
        )
    return name


def scan_prefix(text: Any) -> str:
    """Return a scan's prefix; `ParameterError` when it is none (a path, say)."""
    if not isinstance(text, str) or len(text) > PREFIX_LONGEST or not PREFIX.fullmatch(text):
        raise refused("scan", text, "Give the prefix of a scan, as sub-01_ses-2_run-1.")
    return text


def form_rows(form: str) -> tuple[str, ...]:
    """Return the cells of a form that can be overridden.

    `mars`: `<site>/<definite or possible>/<side>`; `bombs`: `<place>/<certain_below_5_mm, ...>
    /<side>`; `scale`: the names of the scales.
    """
    if form == "mars":
        sites = [site for row in MARS_ROWS.values() for site in row]
        return tuple(f"{s}/{g}/{side}" for s in sites for g in GRADES for side in SIDES)
    if form == "bombs":
        return tuple(f"{p}/{c}/{side}" for p in BOMBS_ROWS for c in BOMBS_CELLS for side in SIDES)
    return SCALES


def as_text(value: Any) -> str:
    """Return a payload or anchor as the one JSON text it has."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def as_runs(value: Any, where: str = "payload.runs") -> Runs:
    """Return runs as sorted tuples that do not touch; `ParameterError` when they are none."""
    if not isinstance(value, Sequence) or isinstance(value, str) or not len(value) >= 1:
        raise refused(where, value, "Give [[start, length], ...], one voxel at least.")
    if len(value) > MOST_RUNS:
        raise refused(where, f"{len(value)} runs", f"Give at most {MOST_RUNS}.")
    runs = []
    for run in value:
        if not isinstance(run, Sequence) or isinstance(run, str) or len(run) != 2:
            raise refused(where, run, "Each run is [start, length].")
        start, length = run
        if type(start) is not int or type(length) is not int:
            raise refused(where, run, "Start and length are whole numbers.")
        if start < 0 or length < 1 or start + length > MOST_VOXELS:
            raise refused(where, run, "Start is 0 or more and length 1 or more.")
        runs.append((start, length))
    return joined_runs(runs)


def joined_runs(runs: Iterable[tuple[int, int]]) -> Runs:
    """Return the union of runs: ascending, apart."""
    out: list[tuple[int, int]] = []
    for start, length in sorted(runs):
        if out and start <= sum(out[-1]):
            first = out[-1][0]
            out[-1] = (first, max(sum(out[-1]), start + length) - first)
        else:
            out.append((start, length))
    return tuple(out)


# --- payloads -------------------------------------------------------------------------------


def _decision(given: dict[str, Any]) -> dict[str, Any]:
    _only(given, ("verdict",), ("class", "mars", "reason"))
    verdict = word_of(given["verdict"], VERDICTS, "payload.verdict")
    out: dict[str, Any] = {"verdict": verdict}
    if verdict == "clear":
        _only(given, ("verdict",), ("reason",))
    else:
        words = ACCEPTED if verdict == "accept" else REJECTED
        usual = "microbleed" if verdict == "accept" else "undetermined"
        out["class"] = word_of(given.get("class", usual), words, "payload.class")
    if verdict != "accept" and "mars" in given:
        raise refused("payload.mars", given["mars"], "Only an accepted finding has a grade.")
    _maybe(given, out, "mars", lambda v: word_of(v, GRADES, "payload.mars"))
    _maybe(given, out, "reason", lambda v: text_of(v, "payload.reason", REASON_LONGEST))
    return out


def _site(given: dict[str, Any]) -> dict[str, Any]:
    _only(given, ("site", "side"))
    return {word: word_of(given[word], contract().words[word], f"payload.{word}") for word in given}


def _outline(given: dict[str, Any]) -> dict[str, Any]:
    _only(given, ("runs",))
    return {"runs": _listed(as_runs(given["runs"]))}


def _add(given: dict[str, Any]) -> dict[str, Any]:
    _only(given, ("x_mm", "y_mm", "z_mm", "class"), ("mars", "site", "side", "runs", "reason"))
    out: dict[str, Any] = {
        axis: mm_of(given[axis], f"payload.{axis}") for axis in ("x_mm", "y_mm", "z_mm")
    }
    out |= {"class": word_of(given["class"], (*ACCEPTED, *REJECTED), "payload.class")}
    if "mars" in given and given["class"] != "microbleed":
        raise refused("payload.mars", given["mars"], "Only a microbleed has a grade.")
    _maybe(given, out, "mars", lambda v: word_of(v, GRADES, "payload.mars"))
    for word in (w for w in ("site", "side") if given.get(w) is not None):
        out[word] = word_of(given[word], contract().words[word], f"payload.{word}")
    _maybe(given, out, "runs", lambda v: _listed(as_runs(v)))
    _maybe(given, out, "reason", lambda v: text_of(v, "payload.reason", REASON_LONGEST))
    return out


def _split(given: dict[str, Any]) -> dict[str, Any]:
    _only(given, (), ("parts", "at_mm"))
    if len(given) != 1:
        raise refused("payload", sorted(given), "Give either parts or at_mm.")
    ((name, pair),) = given.items()
    if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
        raise refused(f"payload.{name}", pair, "A split has two parts.")
    if name == "at_mm":
        return {"at_mm": [place_of(place, "payload.at_mm") for place in pair]}
    parts = [as_runs(part, "payload.parts") for part in pair]
    if joined_length(joined_runs([*parts[0], *parts[1]])) < sum(map(joined_length, parts)):
        raise refused("payload.parts", "overlapping", "The parts of a split share no voxel.")
    return {"parts": [_listed(part) for part in parts]}


def joined_length(runs: Runs) -> int:
    """Return the number of voxels of runs that are apart."""
    return sum(length for _, length in runs)


def _merge(given: dict[str, Any]) -> dict[str, Any]:
    _only(given, ("with",))
    keys = given["with"]
    if not isinstance(keys, Sequence) or isinstance(keys, str):
        raise refused("payload.with", keys, "Give a list of keys.")
    if not 1 <= len(keys) <= MOST_MERGED:
        raise refused("payload.with", f"{len(keys)} keys", f"Give 1 to {MOST_MERGED}.")
    return {"with": sorted({finding_key(key) for key in keys})}


def _nothing(given: dict[str, Any]) -> dict[str, Any]:
    _only(given, ())
    return {}


def _note(given: dict[str, Any]) -> dict[str, Any]:
    _only(given, ("text",))
    return {"text": text_of(given["text"], "payload.text", TEXT_LONGEST)}


def _form(given: dict[str, Any]) -> dict[str, Any]:
    _only(given, ("form", "row", "value", "reason"))
    form = word_of(given["form"], FORMS, "payload.form")
    row = word_of(given["row"], form_rows(form), "payload.row")
    reason = text_of(given["reason"], "payload.reason", REASON_LONGEST)
    if not reason:
        raise refused("payload.reason", reason, "Say why the computed value does not hold.")
    value = given["value"]
    if value is not None:
        value = (
            line_of(str(value), "payload.value", 100)
            if form == "scale"
            else whole_of(value, "payload.value", 0, 9999)
        )
        if value == "":
            raise refused("payload.value", value, "Give a value, or null for the computed one.")
    return {"form": form, "row": row, "value": value, "reason": reason}


def _siderosis(given: dict[str, Any]) -> dict[str, Any]:
    _only(given, ("extent", "sulci"), ("note",))
    extent, sulci = word_of(given["extent"], EXTENTS, "payload.extent"), given["sulci"]
    if sulci is not None:
        sulci = whole_of(sulci, "payload.sulci", 0, 99)
        usual = extent_of(sulci)
        if extent != usual:
            raise refused("payload.sulci", sulci, f"That is called {usual!r}, not {extent!r}.")
    out = {"extent": extent, "sulci": sulci}
    _maybe(given, out, "note", lambda v: text_of(v, "payload.note", TEXT_LONGEST))
    return out


def _undo(given: dict[str, Any]) -> dict[str, Any]:
    _only(given, ("event",))
    return {"event": whole_of(given["event"], "payload.event", 1, 2**62)}


_PAYLOADS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "decide": _decision,
    "site": _site,
    "outline": _outline,
    "add": _add,
    "split": _split,
    "merge": _merge,
    "remove": _nothing,
    "note": _note,
    "form": _form,
    "siderosis": _siderosis,
    "finish": _nothing,
    "reopen": _nothing,
    "undo": _undo,
    "adjudicate": _decision,
}


# --- their parts ----------------------------------------------------------------------------


def _only(given: dict[str, Any], needed: Sequence[str], may: Sequence[str] = ()) -> None:
    known = ", ".join((*needed, *(f"{m}?" for m in may))) or "nothing"
    for name in given:
        if name not in (*needed, *may):
            raise refused(f"payload.{name}"[:60], given[name], f"It may hold: {known}.")
    for name in needed:
        if name not in given:
            raise refused(f"payload.{name}", "missing", f"It needs: {known}.")


def _maybe(
    given: dict[str, Any], out: dict[str, Any], name: str, read: Callable[[Any], Any]
) -> None:
    if given.get(name) is not None:
        out[name] = read(given[name])


def _listed(runs: Runs) -> list[list[int]]:
    return [list(run) for run in runs]


def _anchor(value: Any) -> dict[str, Any]:
    given = fields_of(value, "anchor")
    out: dict[str, Any] = {}
    for name, item in given.items():
        if name not in ANCHOR_FIELDS:
            raise refused(f"anchor.{name}"[:60], item, f"It may hold {', '.join(ANCHOR_FIELDS)}.")
        if item is None:
            continue
        if name == "class":
            out[name] = word_of(item, contract().words["class"], "anchor.class")
        elif name == "moment":
            out[name] = number_of(item, "anchor.moment", -1e9, 1e9)
        elif name == "with":
            places = fields_of(item, "anchor.with")
            if len(places) > MOST_MERGED:
                raise refused("anchor.with", f"{len(places)} places", f"At most {MOST_MERGED}.")
            out[name] = {finding_key(key): place_of(v, "anchor.with") for key, v in places.items()}
        elif name == "shape":
            if not isinstance(item, Sequence) or isinstance(item, str) or len(item) != 3:
                raise refused("anchor.shape", item, "Give three whole numbers.")
            out[name] = [whole_of(n, "anchor.shape", 1, 100_000) for n in item]
        elif name == "input":
            out[name] = _marks(item)
        else:
            out[name] = mm_of(item, f"anchor.{name}")
    return out


def _marks(value: Any) -> list[str]:
    listed = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else []
    fits = all(isinstance(mark, str) and _MARK.fullmatch(mark) for mark in listed)
    if not listed or not fits or len(listed) > MOST_MARKS:
        raise refused("anchor.input", value, f"Give 1 to {MOST_MARKS} hashes.")
    return listed
