"""The JSON API: each operation reads the request, asks the desk, and answers in `words`."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import JSONResponse

from petechia import __version__
from petechia.apps.review import words
from petechia.apps.review.access import Access
from petechia.apps.review.volumes import Volumes, packed, slabs
from petechia.errors import StaleError
from petechia.pipeline.review import events
from petechia.pipeline.review.cases import Case
from petechia.pipeline.review.desk import Desk, Numbers, QueueRow
from petechia.pipeline.review.export import decisions, without_opinion
from petechia.pipeline.review.images import Picture
from petechia.pipeline.review.kept import Kept
from petechia.pipeline.review.registered import WAITING, Placed
from petechia.pipeline.review.state import ScanState
from petechia.pipeline.review.told import as_json
from petechia.report.data import RESEARCH_USE
from petechia.report.volumes import meaning

LOG = logging.getLogger(__name__)
FOREVER = "private, max-age=31536000, immutable"
MOST_ROWS = 500
SHOWN_OF_SUMMARY = ("fitness", "not_assessable", "reading_te_s", "operating_point", "model")
OPINION_OF_SUMMARY = ("counts", "category", "count_bin", "count_interval_95")
"""Hidden from a blind reader."""

Scan = Annotated[str, Path(max_length=events.PREFIX_LONGEST, description="prefix, as in the queue")]
Slab = Annotated[int, Path(ge=0, le=10_000)]
ERRORS: dict[int | str, dict[str, Any]] = {
    code: {"model": words.Fault, "description": text}
    for code, text in {
        400: "the request is not what it may be",
        401: "no session",
        403: "not allowed",
        404: "not there",
        413: "too much at once",
        422: "not of the form asked for, or the scan cannot be read",
        503: "the log is in use; try again",
        507: "it could not be written: nothing was kept",
    }.items()
}

TABLE: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {"text/tab-separated-values": {}, "text/csv": {}},
        "description": "one row an event",
    }
}


class MissingError(Exception):
    """What was asked for is not there."""

    def __init__(self, where: str, what: str, mend: str) -> None:
        super().__init__(what)
        self.where, self.what, self.mend = where, what, mend


@dataclass(frozen=True, slots=True)
class Room:
    """What the operations work with.

    Attributes
    ----------
    desk : Desk
    access : Access
    volumes : Volumes
    drawn : Kept
        Outlines of the scans looked at last.
    language : str
        Of the pages at first: 'en' or 'zh'.
    """

    desk: Desk
    access: Access
    volumes: Volumes
    drawn: Kept[Numbers]
    language: str = "en"


def api(room: Room) -> APIRouter:
    """Return the operations below /api."""
    router = APIRouter(prefix="/api", responses=ERRORS)
    _add_queue(router, room)
    _add_scan(router, room)
    _add_images(router, room)
    _add_events(router, room)
    _add_readers(router, room)
    return router


def _reader(request: Request) -> str:
    return str(request.state.reader)


def _add_queue(router: APIRouter, room: Room) -> None:
    desk = room.desk

    @router.get("/session", response_model=words.Session)
    def session(request: Request) -> dict[str, Any]:
        """Return who reads, how, and what must be sent as X-CSRF with every POST."""
        reader = _reader(request)
        return {
            "reader": reader,
            "round": desk.rules.round,
            "blind": desk.rules.blind,
            "language": room.language,
            "version": __version__,
            "readers": [reader] if desk.rules.blind else _readers(room, reader),
            "csrf": room.access.csrf(reader),
            "research_use": RESEARCH_USE,
        }

    @router.get("/scans", response_model=words.QueuePage)
    def scans(
        request: Request,
        search: Annotated[str, Query(max_length=200)] = "",
        state: Literal["", "new", "open", "done"] = "",
        sort: Literal["attention", "name", "count"] = "attention",
        offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
        limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 100,
    ) -> dict[str, Any]:
        """Return the reader's queue: words of `search` must all be part of the prefix."""
        reader = _reader(request)
        rows, counts = desk.queue(reader, search=search, state=state, sort=sort)
        shown = [desk.finished_row(row, reader) for row in rows[offset : offset + limit]]
        if not search:
            following = (r for r in rows if r.state != "done" and not r.listed.problem)
            _open_ahead(room, next((row.listed.scan for row in following), None))
        return {"total": len(rows), "counts": counts, "scans": [_queued(row) for row in shown]}


def _readers(room: Room, reader: str) -> list[str]:
    return sorted({reader, *room.access.readers})


def _queued(row: QueueRow) -> dict[str, Any]:
    listed = row.listed
    of_all = ("scan", "subject", "session", "n_findings", "n_asked", "problem", "warning")
    of_reader = ("state", "n_undecided", "counted", "category", "seconds", "prior")
    out = {name: getattr(listed, name) for name in of_all}
    return out | {name: getattr(row, name) for name in of_reader}


def _add_scan(router: APIRouter, room: Room) -> None:
    desk = room.desk

    @router.get("/scans/{scan}", response_model=words.Opened)
    def opened(request: Request, scan: Scan) -> dict[str, Any]:
        """Return a scan: its state, what there is to see, its geometry."""
        reader = _reader(request)
        case = _case(room, scan)
        listed = desk.folder.find(scan)
        told = [listed.warning] if listed is not None and listed.warning else []
        shown, says = room.volumes.pictures(case)
        room.volumes.begin(case, room.volumes.first(case))
        state = desk.state(case, reader)
        hidden = desk.hides(state)
        return {
            "scan": scan,
            "fingerprint": case.fingerprint,
            "state": _told(desk, state),
            "volumes": [_volume(picture, case) for picture in shown],
            "labels": _labels(case),
            **_geometry(case),
            "protocol": dict(case.summary["protocol"]),
            "summary": _summary(case, hidden=hidden),
            "warnings": [*([] if hidden else case.summary.get("warnings", [])), *told, *says],
            "prior": desk.folder.prior(scan),
            "next": desk.following(scan, reader),
        }


def _case(room: Room, scan: str) -> Case:
    if room.desk.folder.find(scan) is None:
        raise MissingError(scan[:60], "no such scan", "Choose one of the queue.")
    return room.desk.folder.case(scan)


def _told(desk: Desk, state: ScanState) -> dict[str, Any]:
    return as_json(state, blind=desk.hides(state))


def _volume(picture: Picture, case: Case) -> dict[str, Any]:
    slope, inter = meaning(picture.stored)
    shape = case.crop.shape
    return {
        "name": picture.name,
        "title": picture.title,
        "group": picture.group,
        "te_s": picture.te_s,
        "shape": shape,
        "spacing_mm": case.crop.layout.spacing_mm,
        "slope": slope,
        "inter": inter,
        "low": picture.shown.low,
        "high": picture.shown.high,
        "unit": picture.shown.unit,
        "slabs": slabs(shape[2]),
        "bytes": shape[0] * shape[1] * shape[2],
        "version": _version(picture, case),
        "placed": picture.placed,
        "says": picture.says,
    }


def _version(picture: Picture, case: Case) -> str:
    return ".".join(filter(None, (case.fingerprint, picture.version)))


def _labels(case: Case) -> dict[str, Any]:
    shape = case.crop.shape
    size = 2 * shape[0] * shape[1] * shape[2]
    return {"shape": shape, "slabs": slabs(shape[2]), "bytes": size}


def _geometry(case: Case) -> dict[str, Any]:
    layout = case.crop.layout
    return {
        "to_mm": case.crop.to_mm().tolist(),
        "to_native": {
            "order": layout.order,
            "flipped": layout.flipped,
            "low": case.crop.low,
            "native_shape": case.grid.shape,
        },
        "plane": layout.plane.name,
    }


def _summary(case: Case, *, hidden: bool) -> dict[str, Any]:
    names = SHOWN_OF_SUMMARY if hidden else (*SHOWN_OF_SUMMARY, *OPINION_OF_SUMMARY)
    return {name: case.summary[name] for name in names if name in case.summary}


def _add_images(router: APIRouter, room: Room) -> None:
    octets: dict[int | str, dict[str, Any]] = {
        200: {"content": {"application/octet-stream": {}}, "description": "gzip of the voxels"},
        409: {"model": words.Fault, "description": "the results are not those asked for"},
    }

    @router.get("/scans/{scan}/volumes/{name}/{slab}", response_class=Response, responses=octets)
    def volume(
        scan: Scan,
        name: Annotated[str, Path(max_length=40)],
        slab: Slab,
        v: Annotated[str, Query(max_length=160, description="`version` of the volume")] = "",
    ) -> Response:
        """Return a slab of a volume, one byte a voxel, for the browser to keep."""
        case = _case(room, scan)
        picture = room.volumes.find(case, name)
        stale = v and v.partition(".")[0] != case.fingerprint
        if stale or (picture is not None and v and v != _version(picture, case)):
            raise StaleError("the results are others by now", where=scan, mend="Load it again.")
        if picture is None:
            raise MissingError(scan, f"no volume {name!r}", "Choose one of `volumes`.")
        part = _slab(case, slab)
        content = packed(room.volumes.get(case, picture), part)
        return _octets(content, FOREVER if v else "no-store")

    @router.get("/scans/{scan}/labels/{slab}", response_class=Response, responses=octets)
    def labels(request: Request, scan: Scan, slab: Slab) -> Response:
        """Return a slab of the outlines as the reader left them: two bytes a voxel."""
        case = _case(room, scan)
        part = _slab(case, slab)
        state = room.desk.state(case, _reader(request))
        key = (scan, case.stamp, state.reader, state.last_event, room.desk.hides(state))
        drawn = room.drawn.get(key)
        if drawn is None:
            drawn = room.drawn.put(key, room.desk.outlines(case, state))
            _get_ready(room, case, state.reader)  # the first image is there: it came before
        return _octets(packed(drawn, part), "no-store")

    @router.get("/scans/{scan}/beside", response_model=words.Beside)
    def beside(scan: Scan) -> dict[str, Any]:
        """Return other images of the same head: other contrasts, and the exam before.

        They are registered to the scan in the background: `waiting` until then.
        """
        case = _case(room, scan)
        found, before = room.volumes.beside(case)
        return {
            "volumes": [_volume(picture, case) for picture in found],
            "prior": None if before is None else {"placed": before.how, "says": before.says},
            "waiting": any(how == WAITING for how in _how(found, before)),
        }


def _how(found: Sequence[Picture], before: Placed | None) -> list[str]:
    return [*(picture.placed for picture in found), *([before.how] if before else [])]


def _get_ready(room: Room, case: Case, reader: str) -> None:
    """Do ahead what the reader will ask for: a finding added by a click, the next scan."""
    room.volumes.ahead(("warm", case.scan, case.stamp), partial(room.desk.warm, case))
    _open_ahead(room, room.desk.following(case.scan, reader))


def _open_ahead(room: Room, scan: str | None) -> None:
    listed = None if scan is None else room.desk.folder.find(scan)
    if listed is not None:
        key = ("open", listed.scan, listed.fingerprint)
        room.volumes.ahead(key, partial(room.volumes.open_ahead, listed.scan))


def _slab(case: Case, number: int) -> tuple[int, int]:
    parts = slabs(case.crop.shape[2])
    if number >= len(parts):
        raise MissingError(case.scan, f"no slab {number}", f"There are {len(parts)}, from 0.")
    return parts[number]


def _octets(content: bytes, keep: str) -> Response:
    headers = {"content-encoding": "gzip", "cache-control": keep}
    return Response(content, media_type="application/octet-stream", headers=headers)


def _add_events(router: APIRouter, room: Room) -> None:
    desk = room.desk
    stale: dict[int | str, dict[str, Any]] = {
        409: {"model": words.Conflict, "description": "the scan is not as it was shown"}
    }

    @router.get("/scans/{scan}/events", response_model=words.Events)
    def listed(request: Request, scan: Scan) -> dict[str, Any]:
        """Return the reader's own log of a scan."""
        reader = _reader(request)
        if desk.folder.find(scan) is None:
            raise MissingError(scan[:60], "no such scan", "Choose one of the queue.")
        own = desk.log.events(scan, reader=reader, round=desk.rules.round)
        return {"events": [_event(event) for event in _seen(desk, own, reader)]}

    @router.post("/scans/{scan}/events", response_model=words.Taken, responses=stale)
    def post(request: Request, scan: Scan, sent: words.Post) -> Any:
        """Take one decision. It is on the disk when this answers."""
        case = _case(room, scan)
        event = events.Event(
            **sent.model_dump(exclude={"after"}),
            reader=_reader(request),
            round=desk.rules.round,
            scan=scan,
        )
        try:
            taken, state = desk.take(event, after=sent.after)
        except StaleError as error:
            state = desk.state(case, event.reader)
            told = {"where": error.where, "what": error.what, "mend": error.mend}
            return JSONResponse({"error": told, "state": _told(desk, state)}, 409)
        LOG.info("%s: %s", scan, taken.kind)
        (shown,) = _seen(desk, [taken], event.reader)
        return {"event": _event(shown), "state": _told(desk, state)}


def _seen(desk: Desk, found: Sequence[events.Event], reader: str) -> list[events.Event]:
    """Return events as a reader may see them."""
    hidden = desk.hidden_from(reader, {event.scan for event in found})
    return [without_opinion(event) if event.scan in hidden else event for event in found]


def _event(event: events.Event) -> Mapping[str, Any]:
    out = asdict(event)
    out["payload"], out["anchor"] = dict(event.payload), dict(event.anchor)
    return out


def _add_readers(router: APIRouter, room: Room) -> None:
    desk = room.desk
    number = Annotated[int, Query(ge=1, le=999)]

    @router.get("/agreement", response_model=words.Agreement)
    def agreed(request: Request, round: number | None = None) -> dict[str, Any]:
        """Return how far readers agree, over the scans this reader may see all of."""
        from petechia.pipeline.review.study import agreement  # brings statistics

        found = desk.readings(_reader(request))
        told = agreement(found.readings, round=round)
        return told | {"notes": [*told["notes"], *found.notes]}

    @router.get("/export/decisions.{form}", response_class=Response, responses=TABLE)
    def exported(request: Request, form: Literal["tsv", "csv"]) -> Response:
        """Return the events this reader may see, as a table: an adjudicator's are all."""
        reader = _reader(request)
        every = reader in desk.rules.adjudicators
        own = _seen(desk, desk.log.events(reader=None if every else reader), reader)
        kind = {"tsv": "text/tab-separated-values", "csv": "text/csv"}[form]
        headers = {"content-disposition": f'attachment; filename="decisions.{form}"'}
        return Response(decisions(own, form), media_type=kind, headers=headers)

    @router.get("/disagreements", response_model=list[words.Disagreement])
    def disagreed(request: Request, round: number | None = None) -> list[dict[str, Any]]:
        """Return what is left to settle, of the scans this reader may see all of."""
        from petechia.pipeline.review.study import chosen_round, disagreements

        readings = desk.readings(_reader(request)).readings
        shown = chosen_round(readings) if round is None else round
        settled = desk.settled({reading.scan for reading in readings}, shown)
        return disagreements(readings, round=shown, settled=settled)
