"""DICOMweb: QIDO-RS asks, WADO-RS fetches, STOW-RS stores; one object at a time.

By the standard library alone, so that objects are streamed to the disk as they come, no
redirect or proxy takes credentials elsewhere, and no file of the user's home adds any.
"""

import base64
import http.client
import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO
from urllib.parse import quote, urlencode

from petechia import __version__
from petechia.errors import TransferError
from petechia.files.pacs import faults
from petechia.files.pacs.access import Access
from petechia.files.pacs.address import Address
from petechia.files.pacs.local import CHUNK_BYTES, LocalFile
from petechia.files.pacs.multipart import MAX_BYTES, boundary_of, single_part, wrapped
from petechia.files.pacs.patience import CannotAsk, Passing, Refused
from petechia.files.pacs.records import (
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

PAGE = 1000
"""Matches asked for at once."""

OF_THE_OBJECT = {400, 409, 413, 415, 422}
"""HTTP statuses that speak of the object that was sent, not of us or the server."""

MAX_ANSWER_BYTES = 64 * 1024**2
MAX_PAGES = 1000
_TAGS = {
    "00080016": "SOPClassUID", "00080018": "SOPInstanceUID", "00080020": "StudyDate",
    "00080050": "AccessionNumber", "00080060": "Modality", "00080061": "ModalitiesInStudy",
    "00081030": "StudyDescription", "0008103E": "SeriesDescription", "00100020": "PatientID",
    "0020000D": "StudyInstanceUID", "0020000E": "SeriesInstanceUID", "00200011": "SeriesNumber",
    "00200013": "InstanceNumber", "00201206": "NumberOfStudyRelatedSeries",
    "00201208": "NumberOfStudyRelatedInstances",
    "00201209": "NumberOfSeriesRelatedInstances",
}  # fmt: skip
_JSON = "application/dicom+json, application/json;q=0.5"
_DICOM = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_RECODED = 'multipart/related; type="application/dicom"'
_Headers = Mapping[str, str]


class WebClient:
    """Speaks with one DICOMweb service over one connection; see `Client`."""

    def __init__(self, address: Address, access: Access) -> None:
        self.where = str(address)
        self._address, self._access = address, access
        self._tls = access.tls() if address.encrypted else None
        self._connection: http.client.HTTPConnection | None = None
        self._accept = _DICOM

    def studies(self, query: Query) -> list[Study]:
        """Return the studies that match."""
        keys = {**query.keys, "includefield": "StudyDescription"}
        found = [a for a in self._answers("/studies", keys) if matches(a, query)]
        return [study_of(answer, self.where) for answer in found]

    def series(self, study: str) -> list[Series]:
        """Return the series of a study."""
        keys = {"includefield": "SeriesDescription"}
        return [series_of(a, self.where) for a in self._answers(f"/studies/{study}/series", keys)]

    def instances(self, study: str, series: str) -> list[Instance]:
        """Return the instances of a series."""
        answers = self._answers(f"/studies/{study}/series/{series}/instances", {})
        return [instance_of(answer, study, series, self.where) for answer in answers]

    def fetch(self, instance: Instance, stream: BinaryIO) -> None:
        """Write one instance to `stream`, as the server keeps it."""
        path = f"/studies/{instance.study}/series/{instance.series}/instances/{instance.uid}"
        with self._asked("GET", path, {"Accept": self._accept}) as response:
            if response.status == 406 and self._accept != _RECODED:
                self._accept = _RECODED  # it does not give objects as it keeps them
                raise Passing("the server answered 406 Not Acceptable", wait_s=0.0)
            if response.status == 404:
                raise Refused("the server lists it but does not have it")
            self._require_ok(response)
            kind = response.headers.get("Content-Type", "")
            if kind.lower().startswith("multipart/"):
                boundary = boundary_of(kind)
                if not boundary:
                    raise Refused("it sent a multipart message without a boundary")
                single_part(response.read, boundary, stream)
                response.read(CHUNK_BYTES)  # what is left of the frame, to use the connection on
            elif kind.lower().startswith("application/dicom") and (
                response.length is not None or response.chunked
            ):
                _copy(response, stream)
            else:
                raise Refused("it sent something else than DICOM")

    def send(self, file: LocalFile) -> str:
        """Store one file; return the server's note."""
        boundary = uuid.uuid4().hex
        with file.path.open("rb") as stream:
            body, n_bytes = wrapped(stream, file.n_bytes, boundary)
            headers = {
                "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
                "Content-Length": str(n_bytes),
                "Accept": "application/dicom+json",
            }
            with self._asked("POST", "/studies", headers, body) as response:
                text = response.read(MAX_ANSWER_BYTES)
                said = _stored(text)
                if response.status in OF_THE_OBJECT or said.failed:
                    _raise_not_stored(response.status, said)
                self._require_ok(response)
                sure = response.status != http.client.ACCEPTED and said.readable
        if not sure and file.sop not in said.stored:
            self._require_shown(file, response.status)
        return said.note

    def _require_shown(self, file: LocalFile, status: int) -> None:
        """Raise `Refused` unless the server shows a file whose storing it did not confirm."""
        with suppress(CannotAsk):
            if any(one.uid == file.sop for one in self.instances(file.study, file.series)):
                return
        raise Refused(f"the server answered {status} but did not confirm that it stored it")

    def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _answers(self, path: str, keys: Mapping[str, str]) -> list[Answer]:
        """Return all matches of a query, page by page, each once."""
        found: dict[str, Answer] = {}
        for _ in range(MAX_PAGES):
            asked = urlencode({**keys, "limit": str(PAGE), "offset": str(len(found))})
            page = self._page(f"{path}?{asked}")
            new = {_identity(answer): answer for answer in page}
            if not new.keys() - found.keys():
                break
            found |= new
        return list(found.values())

    def _page(self, path: str) -> list[Answer]:
        with self._asked("GET", path, {"Accept": _JSON}) as response:
            if response.status in (204, 404):
                response.read(CHUNK_BYTES)
                return []
            if response.status in (405, 501):
                raise CannotAsk("the server answers no queries")
            self._require_ok(response)
            data = _whole(response)
        try:
            answers = json.loads(data) if data else []
            return [_plain(answer) for answer in answers]
        except (ValueError, TypeError, AttributeError, RecursionError):
            raise TransferError(
                "the answer to the query is no DICOM JSON",
                where=self.where,
                mend="Check that the address is that of the DICOMweb service (often /dicom-web).",
            ) from None

    @contextmanager
    def _asked(
        self, method: str, path: str, headers: _Headers, body: Iterator[bytes] | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        """Ask, and read the answer inside the block; a connection is used on only when whole."""
        whole = False
        try:
            with faults.of_the_network(self.where):
                response = self._response(method, path, headers, body)
                yield response
            whole = response.isclosed()
        finally:
            if not whole:
                self.close()

    def _response(
        self, method: str, path: str, headers: _Headers, body: Iterator[bytes] | None
    ) -> http.client.HTTPResponse:
        used = self._connection is not None
        try:
            return self._exchange(method, path, headers, body)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            if not used or body is not None:
                raise
            self.close()  # the server had closed a connection that lay idle: no fault
            return self._exchange(method, path, headers, body)

    def _exchange(
        self, method: str, path: str, headers: _Headers, body: Iterator[bytes] | None
    ) -> http.client.HTTPResponse:
        connection = self._connection = self._connection or self._open()
        target = quote(self._address.path, safe="/%") + path
        agent = {"User-Agent": f"petechia/{__version__}", "Accept-Encoding": "identity"}
        every = {**agent, **self._credentials(), **headers}
        try:
            connection.request(method, target, body=body, headers=every)
        except (BrokenPipeError, ConnectionResetError):
            if body is None:
                raise
            if connection.sock is None:
                raise
            return self._early_answer(connection)
        return connection.getresponse()

    def _early_answer(self, connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
        """Return the answer of a server that hung up before it had all: it says why."""
        response = http.client.HTTPResponse(connection.sock, method="POST")
        self.close()  # for requests; the answer keeps what it reads from
        response.begin()
        return response

    def _open(self) -> http.client.HTTPConnection:
        host, port, timeout = self._address.host, self._address.port, self._access.timeout_s
        if self._tls is not None:
            return http.client.HTTPSConnection(host, port, timeout=timeout, context=self._tls)
        return http.client.HTTPConnection(host, port, timeout=timeout)

    def _credentials(self) -> dict[str, str]:
        access = self._access
        if access.token:
            return {"Authorization": f"Bearer {access.token}"}
        if access.user:
            pair = base64.b64encode(f"{access.user}:{access.password}".encode()).decode()
            return {"Authorization": f"Basic {pair}"}
        return {}

    def _require_ok(self, response: http.client.HTTPResponse) -> None:
        if not 200 <= response.status < 300:
            raise faults.of_status(
                response.status, response.headers.get("Retry-After", ""), self.where
            )


class _Stored:
    """What a server says about an object that was sent to it."""

    def __init__(self, answer: Mapping[str, Any]) -> None:
        failed = answer.get("00081198", {}).get("Value") or []
        accepted = answer.get("00081199", {}).get("Value") or []
        self.readable = True
        self.stored = {_text(item, "00081155") for item in accepted}
        self.failed = bool(failed)
        self.reason = _number(failed, "00081197")
        warning = _number(accepted, "00081196")
        self.note = f"warning {warning:#06x}" if warning else ""


def _stored(text: bytes) -> _Stored:
    try:
        answer = json.loads(text) if text.strip() else {}
        return _Stored(answer if isinstance(answer, dict) else answer[0])
    except (ValueError, AttributeError, TypeError, LookupError, RecursionError):
        said = _Stored({})
        said.readable = False
        return said


def _raise_not_stored(status: int, said: _Stored) -> None:
    """Raise what a refusal means: busy servers may take it later."""
    if said.reason is not None and 0xA700 <= said.reason <= 0xA7FF:
        raise Passing("the server is out of resources")
    name = f"{status} {http.client.responses.get(status, '')}".strip()
    reason = f"reason {said.reason:#06x}" if said.reason else name
    raise Refused(f"the server will not store it ({reason})")


def _text(item: Any, tag: str) -> str:
    try:
        return str(item[tag]["Value"][0])
    except (LookupError, TypeError):
        return ""


def _number(items: Any, tag: str) -> int | None:
    try:
        return int(items[0][tag]["Value"][0])
    except (LookupError, TypeError, ValueError):
        return None


def _whole(response: http.client.HTTPResponse) -> bytes:
    data = response.read(MAX_ANSWER_BYTES + 1)
    if len(data) > MAX_ANSWER_BYTES:
        raise Refused("its answer is too large")
    if response.length:  # http.client says nothing when less came than was announced
        raise Passing("the server broke off within an answer")
    return data


def _copy(response: http.client.HTTPResponse, stream: BinaryIO) -> None:
    if (response.length or 0) > MAX_BYTES:
        raise Refused(f"it is larger than {MAX_BYTES} bytes")
    n_bytes = 0
    while chunk := response.read(CHUNK_BYTES):
        n_bytes += len(chunk)
        if n_bytes > MAX_BYTES:  # one that comes in pieces does not tell its size
            raise Refused(f"it is larger than {MAX_BYTES} bytes")
        stream.write(chunk)
    if response.length:
        raise Passing("the server broke off within an object")


def _identity(answer: Answer) -> str:
    levels = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    return "/".join(answer.get(keyword, "") for keyword in levels)


def _plain(answer: Mapping[str, Any]) -> Answer:
    """Return the attributes we know of one match in the DICOM JSON model."""
    found = {}
    for tag, keyword in _TAGS.items():
        values = answer.get(tag, {}).get("Value") or []
        found[keyword] = "\\".join(str(v) for v in values if isinstance(v, str | int | float))
    return found
