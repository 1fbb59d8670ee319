"""DIMSE: C-FIND asks, C-GET (or C-MOVE) fetches, C-STORE stores; one object at a time.

C-GET brings objects over the connection that we opened. A server that only knows C-MOVE opens
one of its own to us and must know our title, host and port: that is used when C-GET is refused
and `--listen` names the port. The object under way may be held in memory; what is sent
is read from its file in pieces and its bytes are not changed, unless the server only takes
Implicit VR.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, cast

import pydicom
from pydicom.dataset import Dataset
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import (
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from petechia.errors import TransferError
from petechia.files.dicom.headers import quietly
from petechia.files.pacs.access import Access
from petechia.files.pacs.address import Address
from petechia.files.pacs.association import Line
from petechia.files.pacs.local import LocalFile
from petechia.files.pacs.patience import CannotAsk, Passing, Refused
from petechia.files.pacs.records import (
    INSTANCE_KEYWORDS,
    SERIES_KEYWORDS,
    STUDY_KEYWORDS,
    Answer,
    Instance,
    Query,
    Series,
    Study,
    instance_of,
    matches,
    series_of,
    study_of,
)

FIND, MOVE, GET = (f"1.2.840.10008.5.1.4.1.2.2.{n}" for n in (1, 2, 3))
"""Study root query and retrieve."""

SYNTAXES = (
    ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGLosslessSV1, JPEGLossless, JPEGLSLossless,
    JPEG2000Lossless, RLELossless, HTJ2KLossless, DeflatedExplicitVRLittleEndian,
    JPEGLSNearLossless, JPEG2000, JPEGBaseline8Bit, JPEGExtended12Bit, ExplicitVRBigEndian,
)  # fmt: skip
"""Forms in which objects are taken; each is offered by itself, so that none is recoded."""

USUAL = (
    "1.2.840.10008.5.1.4.1.1.4",  # MR
    "1.2.840.10008.5.1.4.1.1.4.1",  # enhanced MR
    "1.2.840.10008.5.1.4.1.1.4.4",  # legacy converted enhanced MR
    "1.2.840.10008.5.1.4.1.1.2",  # CT
    "1.2.840.10008.5.1.4.1.1.7",  # secondary capture
    "1.2.840.10008.5.1.4.1.1.66.4",  # segmentation
    "1.2.840.10008.5.1.4.1.1.88.33",  # comprehensive SR
    "1.2.840.10008.5.1.4.1.1.30",  # parametric map
)
"""Kinds that are offered when the server does not say what an object is."""

MAX_ANSWERS = 500_000
_PENDING = (0xFF00, 0xFF01)
_RESOURCES = range(0xA700, 0xA800)
_NOT_SENT = 0xA702
_NOT_DONE_HERE = {0x0122, 0x0124, 0x0211}


class DimseClient:
    """Speaks with one application entity; see `Client`."""

    def __init__(self, address: Address, access: Access) -> None:
        self.where = str(address)
        self._access = access
        self._line = Line(address, access, self._take)
        self._taking = threading.Lock()
        self._wanted: tuple[str, BinaryIO] | None = None
        self._fault: OSError | None = None
        self._listener: Any = None
        self._moves = self._reached = False

    def studies(self, query: Query) -> list[Study]:
        """Return the studies that match."""
        found = [a for a in self._find("STUDY", query.keys, STUDY_KEYWORDS) if matches(a, query)]
        return [study_of(answer, self.where) for answer in found]

    def series(self, study: str) -> list[Series]:
        """Return the series of a study."""
        keys = {"StudyInstanceUID": study}
        return [series_of(a, self.where) for a in self._find("SERIES", keys, SERIES_KEYWORDS)]

    def instances(self, study: str, series: str) -> list[Instance]:
        """Return the instances of a series."""
        keys = {"StudyInstanceUID": study, "SeriesInstanceUID": series}
        answers = self._find("IMAGE", keys, INSTANCE_KEYWORDS)
        return [instance_of(answer, study, series, self.where) for answer in answers]

    def fetch(self, instance: Instance, stream: BinaryIO) -> None:
        """Write one instance to `stream`, by C-GET, or by C-MOVE when that is refused."""
        self._wanted, self._fault = (instance.uid, stream), None
        try:
            if not self._moves and not self._by_get(instance):
                if self._access.listen is None:
                    raise TransferError(
                        "the server does not give objects by C-GET",
                        where=self.where,
                        mend="Let it know our title, host and a port for C-MOVE, and name that "
                        "port with --listen.",
                    )
                self._moves = True
            if self._moves:
                self._by_move(instance)
            if self._fault is not None:
                raise self._fault
            if self._wanted is not None:
                raise Refused("the server lists it but did not send it")
        finally:
            self._wanted = None

    def send(self, file: LocalFile) -> str:
        """Store one file; return the server's note."""
        syntaxes = {file.syntax: None}
        if file.syntax == ExplicitVRLittleEndian:
            syntaxes[ImplicitVRLittleEndian] = None
        key = ("store", file.sop_class, file.syntax)
        accepted = self._line.agreed(file.sop_class, key, {file.sop_class: list(syntaxes)})
        if file.syntax in accepted:
            what: Any = file.path
        elif accepted:
            with quietly():
                what = pydicom.dcmread(file.path)
        else:
            raise Refused(f"the server does not take this kind ({_name(file.sop_class)})")
        try:
            with self._line.request() as association:
                status = self._line.status(association.send_c_store(what))
        except (ValueError, AttributeError) as error:
            raise Refused(f"it cannot be encoded ({type(error).__name__})") from None
        if status in _RESOURCES:
            raise Passing("the server is out of resources")
        if status == 0 or 0xB000 <= status <= 0xBFFF:
            return f"warning {status:#06x}" if status else ""
        raise Refused(f"the server will not store it (status {status:#06x})")

    def close(self) -> None:
        """End the association and stop listening."""
        self._line.leave()
        if self._listener is not None:
            self._listener.shutdown()
            self._listener = None

    # --- asking

    def _find(self, level: str, keys: Mapping[str, str], wanted: Sequence[str]) -> list[Answer]:
        if not self._line.agreed(FIND, "find", {FIND: SYNTAXES[:2]}):
            raise CannotAsk("the server answers no queries")
        asked = _identifier(level, dict.fromkeys(wanted, "") | dict(keys))
        found: list[Answer] = []
        status = 0
        with self._line.request() as association:
            for reply, match in association.send_c_find(asked, FIND):
                status = self._line.status(reply)
                if status in _PENDING and match is not None and len(found) < MAX_ANSWERS:
                    found.append(_plain(match, [*wanted, *keys], self.where))
        if status in _NOT_DONE_HERE:
            raise CannotAsk("the server answers no queries of this kind")
        if status in _RESOURCES:
            raise Passing("the server is out of resources")
        if status != 0:
            raise TransferError(
                f"the query failed (status {status:#06x})",
                where=self.where,
                mend="Check that this server answers study root queries.",
            )
        unique = {tuple(sorted(answer.items())): answer for answer in found}
        return list(unique.values())

    # --- fetching

    def _by_get(self, instance: Instance) -> bool:
        """Fetch by C-GET; return False when the server does not do that."""
        kinds = (instance.sop_class,) if instance.sop_class else USUAL
        offered = {GET: SYNTAXES[:2], **dict.fromkeys(kinds, SYNTAXES)}
        if not self._line.agreed(GET, ("get", kinds), offered, kinds):
            return False
        asked = _identifier("IMAGE", _keys(instance))
        try:
            with self._line.request() as association:
                status = self._last(association.send_c_get(asked, GET))
        except Passing:
            if self._reached or self._fault is not None:
                raise  # it does give objects
            if self._access.listen is None:
                raise Passing(
                    "the server broke off C-GET or is silent, as some are that do not allow it "
                    "(then ask for that right, or name a port for C-MOVE with --listen)"
                ) from None
            return False
        return self._retrieved(status)

    def _by_move(self, instance: Instance) -> None:
        self._listen()
        if not self._line.agreed(MOVE, "move", {MOVE: SYNTAXES[:2]}):
            raise self._not_given("neither C-GET nor C-MOVE is offered")
        asked = _identifier("IMAGE", _keys(instance))
        with self._line.request() as association:
            status = self._last(association.send_c_move(asked, self._access.calling_aet, MOVE))
        if not self._retrieved(status):
            raise self._not_given("C-MOVE is refused")

    def _last(self, replies: Iterator[tuple[Dataset, Dataset | None]]) -> int:
        """Wait for the end of a retrieval; return its status."""
        status = 0
        for reply, _ in replies:
            status = self._line.status(reply)
        return status

    def _retrieved(self, status: int) -> bool:
        """Judge the status of a retrieval; return False when the server does not do that."""
        if status == 0 or (self._wanted is None and status == 0xB000):
            return True  # the second: it came, with a doubt of the server
        if status in _NOT_DONE_HERE:
            return False
        if status == 0xA801:
            raise TransferError(
                "the server does not know where to send to (our title)",
                where=self.where,
                mend=f"Let it know {self._access.calling_aet!r} with this host and the port "
                "of --listen, or give the title it knows with --aet.",
            )
        if self._fault is not None:
            return True  # ours: `fetch` raises it
        if self._moves and not self._reached:
            raise TransferError(
                f"the server could not send to us (status {status:#06x})",
                where=self.where,
                mend="Check the host and port it knows for our title, and the way through "
                "firewalls to the port of --listen.",
            )
        if status in _RESOURCES and status != _NOT_SENT:
            raise Passing("the server is out of resources")
        raise Refused(f"the server could not send it (status {status:#06x})")

    def _take(self, event: Any) -> int:
        """Store what the server sends, if it is what was asked for; called by pynetdicom."""
        with self._taking:  # one at a time, should an earlier C-MOVE still be sending
            wanted = self._wanted
            if wanted is None or str(event.request.AffectedSOPInstanceUID) != wanted[0]:
                return 0xA900
            try:
                stream = wanted[1]
                stream.write(b"\0" * 128 + b"DICM")
                write_file_meta_info(cast("Any", stream), event.file_meta)
                stream.write(event.request.DataSet.getbuffer())
            except OSError as error:
                self._fault = error
                return 0xA700
            self._wanted, self._reached = None, True
            return 0

    def _listen(self) -> None:
        if self._listener is not None:
            return
        net = self._line.net
        every = [cx.abstract_syntax for cx in net.AllStoragePresentationContexts]
        contexts = [net.build_context(kind, list(SYNTAXES)) for kind in every]
        try:
            self._listener = self._line.entity().start_server(
                self._access.listen,
                block=False,
                contexts=contexts,
                evt_handlers=[(net.evt.EVT_C_STORE, self._take)],
            )
        except OSError as error:
            host, port = self._access.listen or ("", 0)
            raise TransferError(
                f"cannot listen there ({error.strerror or type(error).__name__})",
                where=f"--listen {host}:{port}",
                mend="Name a free port of this machine.",
            ) from None

    def _not_given(self, what: str) -> TransferError:
        return TransferError(what, where=self.where, mend="Ask for that right at the server.")


def _identifier(level: str, keys: Mapping[str, str]) -> Dataset:
    asked = Dataset()
    if not all(value.isascii() for value in keys.values()):
        asked.SpecificCharacterSet = "ISO_IR 192"
    asked.QueryRetrieveLevel = level
    with quietly():
        for keyword, value in keys.items():
            setattr(asked, keyword, value)
    return asked


def _keys(instance: Instance) -> dict[str, str]:
    return {
        "StudyInstanceUID": instance.study,
        "SeriesInstanceUID": instance.series,
        "SOPInstanceUID": instance.uid,
    }


def _plain(match: Dataset, keywords: Sequence[str], where: str) -> Answer:
    """Return attributes of one match as text."""
    try:
        found = {}
        for keyword in keywords:
            value = match.get(keyword)
            many = value if isinstance(value, Sequence) and not isinstance(value, str) else [value]
            found[keyword] = "\\".join("" if v is None else str(v) for v in many)
        return found
    except Exception as error:  # what a server sends can fail in any way inside the parser
        raise TransferError(
            f"a match cannot be read ({type(error).__name__})",
            where=where,
            mend="Nothing was taken from that answer. Have the server looked at.",
        ) from None


def _name(kind: str) -> str:
    name = UID(kind).name
    return name if name != kind else "unknown to us"
