"""DIMSE: C-FIND asks, C-GET (or C-MOVE) fetches, C-STORE stores; one object at a time.

C-GET brings objects over the connection that we opened. A server that only knows C-MOVE opens
one of its own to us and must know our title, host and port: that is used when C-GET is refused
and `--listen` names the port. The object under way may be held in memory; what is sent
is read from its file in pieces and its bytes are not changed, unless the server only takes
Implicit VR.
"""

import logging
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
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

from petechia.errors import DependencyError, TransferError
from petechia.files.dicom.headers import quietly
from petechia.files.pacs import faults
from petechia.files.pacs.access import USER, Access
from petechia.files.pacs.address import Address
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

VERIFICATION = "1.2.840.10008.1.1"
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
    """Speaks with one application entity over one association at a time; see `Client`."""

    def __init__(self, address: Address, access: Access) -> None:
        self.where = str(address)
        self._address, self._access = address, access
        self._net = _library()
        self._tls = access.tls() if address.encrypted else None
        self._ae = self._entity()
        self._association: Any = None
        self._proposed: object = None
        self._busy = False
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
        self._associate(("store", file.sop_class, file.syntax), {file.sop_class: list(syntaxes)})
        accepted = self._accepted(file.sop_class)
        if file.syntax in accepted:
            what: Any = file.path
        elif accepted:
            with quietly():
                what = pydicom.dcmread(file.path)
        else:
            raise Refused(f"the server does not take this kind ({_name(file.sop_class)})")
        try:
            with self._request() as association:
                status = self._status(association.send_c_store(what))
        except (ValueError, AttributeError) as error:
            raise Refused(f"it cannot be encoded ({type(error).__name__})") from None
        if status in _RESOURCES:
            raise Passing("the server is out of resources")
        if status == 0 or 0xB000 <= status <= 0xBFFF:
            return f"warning {status:#06x}" if status else ""
        raise Refused(f"the server will not store it (status {status:#06x})")

    def close(self) -> None:
        """End the association and stop listening."""
        self._leave()
        if self._listener is not None:
            self._listener.shutdown()
            self._listener = None

    # --- asking

    def _find(self, level: str, keys: Mapping[str, str], wanted: Sequence[str]) -> list[Answer]:
        self._associate("find", {FIND: SYNTAXES[:2]})
        if not self._accepted(FIND):
            raise CannotAsk("the server answers no queries")
        asked = _identifier(level, dict.fromkeys(wanted, "") | dict(keys))
        found: list[Answer] = []
        status = 0
        with self._request() as association:
            for reply, match in association.send_c_find(asked, FIND):
                status = self._status(reply)
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
        self._associate(("get", kinds), offered, kinds)
        if not self._accepted(GET):
            return False
        asked = _identifier("IMAGE", _keys(instance))
        with self._request() as association:
            status = self._last(association.send_c_get(asked, GET))
        return self._retrieved(status)

    def _by_move(self, instance: Instance) -> None:
        self._listen()
        self._associate("move", {MOVE: SYNTAXES[:2]})
        if not self._accepted(MOVE):
            raise self._not_given("neither C-GET nor C-MOVE is offered")
        asked = _identifier("IMAGE", _keys(instance))
        with self._request() as association:
            status = self._last(association.send_c_move(asked, self._access.calling_aet, MOVE))
        if not self._retrieved(status):
            raise self._not_given("C-MOVE is refused")

    def _last(self, replies: Iterator[tuple[Dataset, Dataset | None]]) -> int:
        """Wait for the end of a retrieval; return its status."""
        status = 0
        for reply, _ in replies:
            status = self._status(reply)
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
        every = [cx.abstract_syntax for cx in self._net.AllStoragePresentationContexts]
        contexts = [self._net.build_context(kind, list(SYNTAXES)) for kind in every]
        try:
            self._listener = self._entity().start_server(
                self._access.listen,
                block=False,
                contexts=contexts,
                evt_handlers=[(self._net.evt.EVT_C_STORE, self._take)],
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

    # --- associations

    def _entity(self) -> Any:
        ae = self._net.AE(ae_title=self._access.calling_aet)
        for name in ("acse_timeout", "dimse_timeout", "network_timeout", "connection_timeout"):
            setattr(ae, name, self._access.timeout_s)
        return ae

    def _associate(
        self, key: object, offered: Mapping[str, Sequence[str]], provided: Sequence[str] = ()
    ) -> None:
        """Have an association that offers these kinds, each form of them by itself."""
        made = self._association
        fit = made is not None and made.is_established and not self._busy
        if fit and self._proposed == key:
            return
        self._leave()
        build = self._net.build_context
        contexts = [build(VERIFICATION)]  # so that it stands when all others are declined
        for kind, syntaxes in offered.items():
            contexts += [build(kind, syntax) for syntax in syntaxes]
        words: dict[str, Any] = {
            "contexts": contexts[:128],
            "ae_title": self._address.aet,
            "ext_neg": [self._net.build_role(kind, scp_role=True) for kind in provided],
            "evt_handlers": [
                (self._net.evt.EVT_C_STORE, self._take),
                (self._net.evt.EVT_CONN_OPEN, _at_once),
                (self._net.evt.EVT_DATA_RECV, _at_once),
                (self._net.evt.EVT_DATA_SENT, _at_once),
            ],
        }
        if self._access.user is not None:
            words["ext_neg"].append(self._identity())
        if self._tls is not None:
            words["tls_args"] = (self._tls, self._address.host)
        made = self._ae.associate(self._address.host, self._address.port, **words)
        if not made.is_established:
            _drop(made)
            self._explain(made)
        made._reactor_checkpoint = _Gate(made)
        self._association, self._proposed = made, key

    def _identity(self) -> Any:
        from pynetdicom.pdu_primitives import UserIdentityNegotiation

        item = UserIdentityNegotiation()
        item.user_identity_type = 2
        item.positive_response_requested = False
        item.primary_field = str(self._access.user).encode()
        item.secondary_field = str(self._access.password).encode()
        return item

    def _explain(self, made: Any) -> None:
        """Raise why an association was not made."""
        answer = made.acceptor.primitive
        if made.is_rejected:
            raise self._rejection(answer)
        if made.rejected_contexts:
            raise CannotAsk("the server offers nothing of what was asked for")
        with faults.of_the_network(self.where):
            self._knock()
        raise Passing("the server broke off the connection")

    def _rejection(self, answer: Any) -> Exception:
        source, reason = answer.result_source, answer.diagnostic
        if answer.result == 2 or source == 3:
            more = "" if self._access.user is None else f", or not with this {USER}"
            return Passing(f"the server takes no association now{more}")
        titles = {
            3: (f"our title {self._access.calling_aet!r}", "Give the one it knows with --aet."),
            7: (f"the title {self._address.aet!r}", "Check the title in the address."),
        }
        if source == 1 and reason in titles:
            what, mend = titles[reason]
            return TransferError(f"the server does not know {what}", where=self.where, mend=mend)
        if self._access.user is not None:
            return faults.not_known(self.where)
        return TransferError(
            "the server declined the association",
            where=self.where,
            mend="Check the titles (--aet, and the one in the address) and whether it asks for "
            f"a user ({USER}).",
        )

    def _knock(self) -> None:
        """Connect by hand: pynetdicom does not tell why it could not."""
        place = (self._address.host, self._address.port)
        with socket.create_connection(place, self._access.timeout_s) as plain:
            if self._tls is not None:
                with self._tls.wrap_socket(plain, server_hostname=self._address.host) as safe:
                    safe.settimeout(1.0)
                    with suppress(TimeoutError):  # a server that wants more says so at once
                        safe.recv(1)

    def _accepted(self, kind: str) -> set[str]:
        """Return the forms in which a kind was accepted."""
        return {
            str(cx.transfer_syntax[0])
            for cx in self._association.accepted_contexts
            if cx.abstract_syntax == kind
        }

    def _status(self, reply: Dataset) -> int:
        if "Status" not in reply:
            self._leave()
            raise Passing(
                "the server broke off or is silent, as some are to a title they do not know"
            )
        return int(reply.Status)

    def _leave(self) -> None:
        made, self._association = self._association, None
        busy, self._busy = self._busy, False
        if made is None:
            return
        if made.is_established and not busy:
            made._reactor_checkpoint.hold()
            made.release()
        else:
            made.abort()
        _drop(made)

    @contextmanager
    def _request(self) -> Iterator[Any]:
        """Give the association for one request, its own thread standing still.

        When the request does not come to its end, the association is not used again.
        """
        self._association._reactor_checkpoint.hold()
        self._busy = True
        with quietly():
            yield self._association
        self._busy = False


class _Gate:
    """The door at which the thread of an association waits while a request is under way.

    pynetdicom's own lets that thread slip through when one request follows another at once, and
    it then takes an answer that was meant for us: a match or an object would be lost without a
    word. Through this one nobody passes after `hold` has returned and before `set`.
    """

    def __init__(self, thread: threading.Thread) -> None:
        self._thread, self._free = thread, threading.Condition()
        self._open, self._waiting = True, False

    def set(self) -> None:
        with self._free:
            self._open = True
            self._free.notify_all()

    def clear(self) -> None:
        with self._free:
            self._open = False

    def wait(self) -> None:
        with self._free:
            self._waiting = True
            self._free.notify_all()
            while not self._open:
                self._free.wait()
            self._waiting = False

    def hold(self) -> None:
        """Close the door and return when the thread stands before it, or has ended."""
        with self._free:
            self._open = False
            while not self._waiting and self._thread.is_alive():
                self._free.wait(0.01)


def _library() -> Any:
    """Return pynetdicom, told to keep identifiers out of its log."""
    try:
        import pynetdicom
        from pynetdicom import _config
    except ImportError:
        raise DependencyError(
            "pynetdicom is not installed",
            where="petechia pacs by DIMSE",
            mend="Install it with: pip install 'petechia[pacs]'.",
        ) from None
    _config.LOG_REQUEST_IDENTIFIERS = _config.LOG_RESPONSE_IDENTIFIERS = False
    _config.STORE_SEND_CHUNKED_DATASET = True
    logging.getLogger("pynetdicom").addHandler(logging.NullHandler())
    return pynetdicom


def _drop(made: Any) -> None:
    """Close the socket of an association that has ended, which pynetdicom may leave open."""
    wrapped = made.dul.socket
    if wrapped is not None and wrapped.socket is not None:
        with suppress(OSError):
            wrapped.socket.close()


def _at_once(event: Any) -> None:
    """Send small messages and acknowledge those that come at once; called by pynetdicom.

    Else each message of two parts waits some 40 ms, on both sides, for an acknowledgement that
    the other delays.
    """
    wrapped = event.assoc.dul.socket
    if wrapped is None or wrapped.socket is None:
        return
    for option in ("TCP_NODELAY", "TCP_QUICKACK"):  # the second is Linux's, and wears off
        if hasattr(socket, option):
            with suppress(OSError):
                wrapped.socket.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), 1)


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
