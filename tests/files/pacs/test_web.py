"""A DICOMweb server that is busy, broken, wrong or hostile."""

import io
import json
import re
import shutil
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pydicom
import pytest

from petechia.errors import TransferError
from petechia.files.pacs import Patience, Query, pull, push
from petechia.files.pacs.pulling import list_studies


class Fake(ThreadingHTTPServer):
    """Keeps what it is sent; `first` may answer a request in its stead."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.kept: dict[str, tuple[str, str, bytes]] = {}
        self.n_posts, self.largest = 0, 1 << 30
        self.page = 1000
        self.first = lambda handler: False
        self.seen: list[str] = []
        self.headers_seen: list = []
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def where(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/dicom-web"

    def handle_error(self, request, client_address) -> None:
        """Say nothing: connections break here on purpose."""

    def keep(self, data: bytes) -> str:
        dataset = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True)
        sop = str(dataset.SOPInstanceUID)
        self.kept[sop] = (str(dataset.StudyInstanceUID), str(dataset.SeriesInstanceUID), data)
        return sop


def tagged(**values) -> dict:
    tags = {
        "study": "0020000D", "series": "0020000E", "sop": "00080018", "date": "00080020",
        "description": "00081030", "accession": "00080050",
    }  # fmt: skip
    return {tags[k]: {"vr": "LO", "Value": [v]} for k, v in values.items()}


class Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_) -> None:
        """Keep quiet."""

    def say(self, status: int, body: bytes = b"", kind: str = "application/dicom+json", **more):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in more.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.server.seen.append(self.path)
        self.server.headers_seen.append(self.headers)
        if self.server.first(self):
            return
        parts = urlsplit(self.path)
        asked = {k: v[0] for k, v in parse_qs(parts.query).items()}
        kept = self.server.kept
        levels = re.fullmatch(
            r"/dicom-web/studies(?:/([^/]+)/series(?:/([^/]+)/instances(?:/([^/]+))?)?)?",
            parts.path,
        )
        study, series, sop = levels.groups()
        if sop:
            data = kept[sop][2]
            body = b"--b\r\nContent-Type: application/dicom\r\n\r\n" + data + b"\r\n--b--"
            self.say(200, body, 'multipart/related; type="application/dicom"; boundary="b"')
            return
        if series:
            found = [tagged(sop=k) for k, v in kept.items() if v[:2] == (study, series)]
        elif study:
            found = [tagged(series=s) for s in {v[1] for v in kept.values() if v[0] == study}]
        else:
            wanted = asked.get("StudyInstanceUID")
            studies = {v[0] for v in kept.values() if wanted in (None, v[0])}
            found = [tagged(study=s, description="a\x1b[31mb") for s in studies]
        start = int(asked["offset"])
        self.say(200, json.dumps(found[start : start + self.server.page]).encode())

    def do_POST(self) -> None:
        if int(self.headers["Content-Length"]) > self.server.largest:
            self.say(413)
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.n_posts += 1
        boundary = re.search(r"boundary=(\w+)", self.headers["Content-Type"])[1].encode()
        self.data = body.split(b"\r\n\r\n", 1)[1].rsplit(b"\r\n--" + boundary, 1)[0]
        if not self.server.first(self):
            self.server.keep(self.data)
            self.say(200, b"{}")


@pytest.fixture
def fake():
    server = Fake()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def filled(fake, study):
    """The server with a study of 8 objects."""
    one = study(1)
    for file in one.files:
        fake.keep(file.read_bytes())
    fake.study = one
    return fake


@pytest.fixture
def fetched(client_of, tmp_path, quick):
    """Pull the study of a server into a folder of its own."""

    def act(server, **words):
        query = Query(study=server.study.study)
        return pull(client_of(server.where, **words), query, tmp_path / "x", patience=quick)

    return act


def is_object(path: str) -> bool:
    return re.search(r"/instances/[^?]+$", path) is not None


def test_small_pages_are_all_read(filled, fetched, tmp_path, contents):
    filled.page = 3
    assert fetched(filled).n_fetched == 8
    assert contents(tmp_path / "x") == contents(filled.study.folder)


HOSTILE = ["../../../../tmp/x", "1.2/../../3", "1.2.3\r\nX: y", "", "1" * 65, "1.2?x=y", "/etc/passwd", 7]  # fmt: skip


@pytest.mark.parametrize("level", ["series", "sop"])
def test_what_is_no_uid_is_refused_before_it_is_used(filled, fetched, tmp_path, level):
    ending, answers = "/series" if level == "series" else "/instances", []

    def first(handler):
        if handler.path.partition("?")[0].endswith(ending):
            handler.say(200, json.dumps(answers).encode())
            return True
        return False

    filled.first = first
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    for uid in HOSTILE:
        answers[:] = [tagged(**{level: uid})]
        with pytest.raises(TransferError, match="something else than a UID"):
            fetched(filled)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == before
    assert not any(is_object(path) for path in filled.seen)


def test_an_object_other_than_the_one_asked_for_is_not_kept(filled, fetched, tmp_path, study):
    stranger = study(2)
    data = stranger.files[0].read_bytes()
    sop = next(iter(filled.kept))
    filled.kept[sop] = (*filled.kept[sop][:2], data)
    with pytest.raises(TransferError, match="1 of 8 objects could not be had: the server sent ano"):
        fetched(filled)
    assert len(list((tmp_path / "x").rglob("*.dcm"))) == 7
    assert not list((tmp_path / "x").rglob("*.part"))


@pytest.mark.parametrize(
    ("body", "kind", "reason"),
    [
        (b"--b\r\n\r\nDICM", "multipart/related; boundary=b", "broke off"),
        (b"--b--", "multipart/related; boundary=b", "empty message"),
        (
            b"--b\r\n\r\nx\r\n--b\r\n\r\ny\r\n--b--",
            "multipart/related; boundary=b",
            "several objec",
        ),
        (b"x", "multipart/related", "without a boundary"),
        (b"<html>log in</html>", "text/html", "something else than DICOM"),
        (b"not it", "application/dicom", "another object, or one that is not whole"),
    ],
)
def test_an_object_that_is_not_whole_or_not_alone_is_refused(filled, fetched, body, kind, reason):
    filled.first = lambda handler: (
        is_object(handler.path) and (handler.say(200, body, kind) or True)
    )
    with pytest.raises(TransferError, match=reason):
        fetched(filled)


def test_a_cut_off_object_is_fetched_once_more(filled, fetched):
    cut = []

    def first(handler):
        if not is_object(handler.path) or len(cut) == 2:
            return False
        cut.append(1)
        handler.send_response(200)
        handler.send_header("Content-Type", "multipart/related; boundary=b")
        handler.send_header("Content-Length", "5000")
        handler.end_headers()
        handler.wfile.write(b"--b\r\n\r\n" + b"x" * 900)
        handler.close_connection = True
        return True

    filled.first = first
    assert fetched(filled).n_fetched == 8


def test_a_file_without_a_frame_around_it_is_taken_too(filled, fetched, contents, tmp_path):
    def first(handler):
        if is_object(handler.path):
            data = filled.kept[handler.path.rpartition("/")[2]][2]
            handler.say(200, data, "application/dicom")
            return True
        return False

    filled.first = first
    fetched(filled)
    assert contents(tmp_path / "x") == contents(filled.study.folder)


def test_a_server_that_gives_objects_in_one_form_only_is_asked_for_that(filled, fetched):
    filled.first = lambda handler: (
        "transfer-syntax" in handler.headers["Accept"] and (handler.say(406) or True)
    )
    assert fetched(filled).n_fetched == 8


def in_pieces(handler, data: bytes, *, whole: bool = True) -> bool:
    """Answer with an object in chunks, whose size is not said beforehand."""
    handler.send_response(200)
    handler.send_header("Content-Type", "application/dicom")
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    for at in range(0, len(data), 1000):
        piece = data[at : at + 1000]
        handler.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
    if whole:
        handler.wfile.write(b"0\r\n\r\n")
    handler.close_connection = not whole
    return True


def test_an_object_in_pieces_is_taken_and_one_without_end_refused(
    filled, fetched, contents, tmp_path, monkeypatch
):
    cut = []

    def first(handler):
        if not is_object(handler.path):
            return False
        data = filled.kept[handler.path.rpartition("/")[2]][2]
        if not cut:
            cut.append(handler.path)
            return in_pieces(handler, data[:-1000], whole=False)
        return in_pieces(handler, data)

    filled.first = first
    assert fetched(filled).n_fetched == 8
    assert contents(tmp_path / "x") == contents(filled.study.folder)
    assert sum(path == cut[0] for path in filled.seen) == 2
    monkeypatch.setattr("petechia.files.pacs.web.MAX_BYTES", 500)
    shutil.rmtree(tmp_path / "x")
    with pytest.raises(TransferError, match=r"8 of 8 .* larger than 500 bytes"):
        fetched(filled)


def test_a_busy_server_is_waited_for_as_long_as_it_asks(filled, client_of, tmp_path):
    waits, busy = [], [503, 429, 500]

    def first(handler):
        if busy:
            handler.say(busy.pop(), Retry_After="7")
            return True
        return False

    filled.first = first
    patience = Patience(retries=3, first_wait_s=1.0, longest_wait_s=5.0, sleep=waits.append)
    query = Query(study=filled.study.study)
    pulled = pull(client_of(filled.where), query, tmp_path / "x", patience=patience)
    assert pulled.n_fetched == 8
    assert waits == [5.0, 5.0, 5.0]


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, "PETECHIA_PACS_USER"),
        (403, "Ask for the right"),
        (302, "302 Found.*it is not followed"),
        (400, "400 Bad Request"),
        (500, r"500 Internal.*tried 3 times"),
    ],
)
def test_a_status_is_told_with_its_mend_and_no_identifier(fake, client_of, quick, status, reason):
    elsewhere = "http://127.0.0.1:9/login?who=SECRET77"
    fake.first = lambda handler: handler.say(status, b"SECRET77", Location=elsewhere) or True
    client = client_of(fake.where, password="hidden-word")
    with pytest.raises(TransferError, match=reason) as told:
        list_studies(client, Query(patient_id="SECRET77"), quick)
    assert "SECRET77" not in str(told.value)
    assert "hidden" not in str(told.value)


@pytest.mark.parametrize("body", [b"<html>", b"{}x", b"[3]", b'[["a"]]', b'"x"', b"[" * 100_000])
def test_an_answer_that_is_no_dicom_json_is_told(fake, client_of, quick, body):
    fake.first = lambda handler: handler.say(200, body) or True
    with pytest.raises(TransferError, match="no DICOM JSON"):
        list_studies(client_of(fake.where), Query(study="1.2"), quick)


def test_an_answer_without_end_is_refused(fake, client_of, quick, monkeypatch):
    monkeypatch.setattr("petechia.files.pacs.web.MAX_ANSWER_BYTES", 1000)
    fake.first = lambda handler: handler.say(200, b" " * 5000) or True
    with pytest.raises(TransferError, match="too large"):
        list_studies(client_of(fake.where), Query(study="1.2"), quick)


def test_a_server_that_ignores_what_was_asked_finds_nothing(filled, client_of, quick):
    filled.first = lambda handler: (
        handler.say(200, json.dumps([tagged(study="1.2.3")]).encode()) or True
    )
    with pytest.raises(TransferError, match="no study there"):
        list_studies(client_of(filled.where), Query(study="1.2.4"), quick)


def test_text_of_a_server_cannot_steer_a_terminal(filled, client_of, quick):
    (one,) = list_studies(client_of(filled.where), Query(study=filled.study.study), quick)
    assert one.description == "a[31mb"


def test_the_password_goes_only_into_its_header(filled, fetched, caplog):
    caplog.set_level("DEBUG")
    fetched(filled, password="hidden-word")
    assert all("hidden" not in path for path in filled.seen)
    assert filled.headers_seen[0]["Authorization"].startswith("Basic ")
    assert "hidden-word" not in caplog.text
    assert not any(uid in caplog.text for uid in filled.kept)
    filled.headers_seen.clear()
    fetched(filled, user=None, password=None, token="a-token")
    assert filled.headers_seen[0]["Authorization"] == "Bearer a-token"


def test_an_object_that_is_refused_does_not_stop_the_others(fake, client_of, study, quick):
    one = study(3)
    failed = {"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [0xA900]}}]}}

    def first(handler):
        if handler.command == "POST" and fake.n_posts == 3:
            handler.say(409, json.dumps(failed).encode())
            return True
        return False

    fake.first = first
    pushed = push(client_of(fake.where), [one.folder], patience=quick)
    assert (pushed.n_sent, list(pushed.refused.values())) == (
        7, ["the server will not store it (reason 0xa900)"],
    )  # fmt: skip
    assert push(client_of(fake.where), [one.folder], patience=quick).n_sent == 1


def test_a_server_that_hangs_up_on_a_large_object_is_heard(fake, client_of, study, quick):
    one = study(7)
    dataset = pydicom.dcmread(one.files[0])
    dataset.NumberOfFrames = 40_000
    dataset.PixelData = bytes(40_000 * 420)
    dataset.save_as(one.files[0])
    fake.largest = 1_000_000
    pushed = push(client_of(fake.where), [one.folder], patience=quick)
    (reason,) = pushed.refused.values()
    assert reason.startswith("the server will not store it (413 ")
    assert (pushed.n_sent, len(fake.kept)) == (7, 7)


def test_a_stored_object_whose_answer_is_lost_is_not_sent_again(fake, client_of, study, quick):
    one, lost = study(4), []

    def first(handler):
        if handler.command == "POST" and fake.n_posts == 3 and not lost:
            lost.append(fake.keep(handler.data))
            handler.connection.shutdown(socket.SHUT_RDWR)
            handler.close_connection = True
            return True
        return False

    fake.first = first
    pushed = push(client_of(fake.where), [one.folder], patience=quick)
    assert (pushed.n_sent, fake.n_posts, len(fake.kept)) == (8, 8, 8)
    assert lost


def test_a_server_without_queries_is_sent_each_file_once(fake, client_of, study, quick):
    one = study(5)
    fake.first = lambda handler: handler.command == "GET" and (handler.say(501) or True)
    for n_sent, n_there in ((8, 0), (0, 8)):
        pushed = push(client_of(fake.where), [one.folder], patience=quick)
        assert (pushed.n_sent, pushed.n_there) == (n_sent, n_there)
        assert "cannot be asked" in pushed.notes[0]
    assert fake.n_posts == 8


def test_a_server_that_files_later_is_not_sent_the_same_again(fake, client_of, study, quick):
    one = study(6)
    fake.first = lambda handler: handler.command == "GET" and (handler.say(200, b"[]") or True)
    pushed = push(client_of(fake.where), [one.folder], patience=quick)
    assert pushed.notes == ["the server took 8 files that it does not show (yet)"]
    pushed = push(client_of(fake.where), [one.folder], patience=quick)
    assert (pushed.n_sent, pushed.n_unseen, fake.n_posts) == (0, 8, 8)


UNSURE = [(202, b"<NativeDicomModel/>"), (202, b"{}"), (200, b"<html>Sign in</html>")]


@pytest.mark.parametrize("queries", [True, False])
@pytest.mark.parametrize(("status", "body"), UNSURE)
def test_what_a_server_does_not_confirm_counts_as_sent_only_when_it_shows_it(
    fake, client_of, study, quick, status, body, queries
):
    one, lost = study(8), []

    def first(handler):
        if handler.command == "GET":
            return not queries and (handler.say(501) or True)
        if lost:
            fake.keep(handler.data)
        lost.append(handler)
        handler.say(status, body)
        return True

    fake.first = first
    pushed = push(client_of(fake.where), [one.folder], patience=quick)
    reason = f"the server answered {status} but did not confirm that it stored it"
    assert set(pushed.refused.values()) == {reason}
    assert (pushed.n_sent, len(pushed.refused)) == ((7, 1) if queries else (0, 8))
    assert not pushed.complete
    fake.first = lambda handler: False
    again = push(client_of(fake.where), [one.folder], patience=quick)
    assert again.complete
    assert again.n_sent == 1


def test_a_server_that_names_what_it_took_need_not_be_asked(fake, client_of, study, quick):
    def first(handler):
        if handler.command == "GET":
            return handler.say(501) or True
        taken = {"00081155": {"vr": "UI", "Value": [fake.keep(handler.data)]}}
        handler.say(202, json.dumps([{"00081199": {"vr": "SQ", "Value": [taken]}}]).encode())
        return True

    fake.first = first
    pushed = push(client_of(fake.where), [study(9).folder], patience=quick)
    assert (pushed.n_sent, pushed.complete) == (8, True)


def test_what_does_not_speak_http_is_told(client_of, quick):
    with socket.create_server(("127.0.0.1", 0)) as door:

        def speak():
            near, _ = door.accept()
            with near:
                near.recv(1000)
                near.sendall(b"220 mail.example ESMTP\r\n")

        threading.Thread(target=speak, daemon=True).start()
        where = f"http://127.0.0.1:{door.getsockname()[1]}"
        with pytest.raises(TransferError, match="does not speak HTTP"):
            list_studies(client_of(where), Query(study="1.2"), quick)
    with pytest.raises(TransferError, match=r"nothing answers there \(tried 3 times\)"):
        list_studies(client_of(where), Query(study="1.2"), quick)


def test_a_silent_server_is_not_waited_for_without_end(client_of, quick):
    with socket.create_server(("127.0.0.1", 0)) as door:
        where = f"http://127.0.0.1:{door.getsockname()[1]}"
        with pytest.raises(TransferError, match="silent"):
            list_studies(client_of(where, timeout_s=0.05), Query(study="1.2"), quick)
