"""A real Orthanc on loopback, a proxy that can break, and small studies to move."""

import base64
import json
import os
import re
import shutil
import signal
import socket
import socketserver
import ssl
import subprocess
import threading
import time
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import pytest

from petechia.core.echoes import Echoes
from petechia.core.grid import Grid
from petechia.files.dicom.write import DicomStyle, write_dicom
from petechia.files.pacs import Access, Patience, connect, parse_address
from petechia.files.scan import Header

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
USER, PASSWORD = "reader", "s3cret-word"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(name="free_port")
def _free_port() -> int:
    """A port that nobody listens at."""
    return free_port()


@dataclass
class Orthanc:
    """A running server."""

    web_port: int
    dimse_port: int
    move_port: int

    @property
    def web(self) -> str:
        return f"http://127.0.0.1:{self.web_port}/dicom-web"

    @property
    def dimse(self) -> str:
        return f"dimse://ORTHANC@127.0.0.1:{self.dimse_port}"

    def ask(self, path: str, data: bytes | None = None, method: str | None = None):
        """Call the server's own interface."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.web_port}{path}", data=data, method=method
        )
        pair = f"{USER}:{PASSWORD}".encode()
        request.add_header("Authorization", "Basic " + base64.b64encode(pair).decode())
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or b"null")

    def stored(self, study: str) -> set[str]:
        """SOP instance UIDs that it has of a study."""
        found = self.ask(
            "/tools/find",
            json.dumps(
                {"Level": "Instance", "Query": {"StudyInstanceUID": study}, "Expand": True}
            ).encode(),
        )
        return {one["MainDicomTags"]["SOPInstanceUID"] for one in found}


@pytest.fixture(scope="session")
def orthanc(tmp_path_factory):
    """Orthanc with its DICOMweb plugin and a password, on free ports of loopback."""
    program = shutil.which("Orthanc")
    if program is None or not PLUGIN.exists():
        pytest.skip("no Orthanc with its DICOMweb plugin (apt-get install orthanc-dicomweb)")
    folder = tmp_path_factory.mktemp("orthanc")
    server = Orthanc(free_port(), free_port(), free_port())
    settings = {
        "Name": "test",
        "StorageDirectory": str(folder / "db"),
        "IndexDirectory": str(folder / "db"),
        "HttpPort": server.web_port,
        "DicomPort": server.dimse_port,
        "DicomAet": "ORTHANC",
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {USER: PASSWORD},
        "Plugins": [str(PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        "DicomModalities": {
            "us": ["PETECHIA", "127.0.0.1", server.move_port],
            "moved": {
                "AET": "MOVEONLY",
                "Host": "127.0.0.1",
                "Port": server.move_port,
                "AllowGet": False,
            },
        },
        "DicomCheckCalledAet": True,
        "SaveJobs": False,
    }
    config = folder / "orthanc.json"
    config.write_text(json.dumps(settings))
    with (folder / "log").open("wb") as log:
        # `timeout`, so that nothing is left even when the tests are killed
        process = subprocess.Popen(
            ["timeout", "-s", "KILL", "900", program, str(config)],
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        _wait_for(server, process, folder / "log")
        yield server
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_for(server: Orthanc, process: subprocess.Popen, log: Path) -> None:
    for _ in range(300):
        if process.poll() is not None:
            pytest.fail(f"Orthanc ended: {log.read_text()[-500:]}")
        try:
            server.ask("/dicom-web/studies")
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("Orthanc did not start")


@pytest.fixture
def client_of():
    """Maker of clients with the right password; all are closed at the end."""
    made = []

    def make(where: str, **words):
        if where.startswith("dimse"):
            pytest.importorskip("pynetdicom", reason="the extra `pacs` is not installed")
        words = {"user": USER, "password": PASSWORD, "timeout_s": 10.0} | words
        made.append(connect(parse_address(where), Access(**words)))
        return made[-1]

    yield make
    for client in made:
        client.close()


class Proxy(socketserver.ThreadingTCPServer):
    """Passes bytes on to a port; can break off after some, or speak TLS."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Passing)
        self.behind, self.tls = port, tls
        self.left: int | None = None
        self.delay_s = 0.0
        self.asked = bytearray()
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def port(self) -> int:
        return self.server_address[1]

    def requests(self, pattern: bytes) -> int:
        """How many requests had a first line like this."""
        return len(re.findall(pattern, bytes(self.asked)))

    def handle_error(self, request, client_address) -> None:
        """Say nothing: connections break here on purpose."""


class _Passing(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        server = self.server
        if server.left == 0:
            return
        near = self.request
        if server.tls is not None:
            near = server.tls.wrap_socket(near, server_side=True)
        with near, socket.create_connection(("127.0.0.1", server.behind)) as far:
            back = threading.Thread(target=self._pass, args=(far, near, False), daemon=True)
            back.start()
            self._pass(near, far, True)
            back.join()

    def _pass(self, source, sink, asking: bool) -> None:
        server = self.server
        with suppress(OSError):
            while data := source.recv(8192):
                if asking:
                    server.asked += data
                time.sleep(server.delay_s)
                if server.left is not None:
                    data = data[: server.left]
                    server.left -= len(data)
                sink.sendall(data)
                if server.left == 0:
                    break
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy():
    """Maker of proxies; all are closed at the end."""
    made = []

    def make(port: int, tls: ssl.SSLContext | None = None) -> Proxy:
        made.append(Proxy(port, tls))
        return made[-1]

    yield make
    for one in made:
        one.shutdown()
        one.server_close()


@dataclass
class Certificates:
    """Files of a self-signed certificate for 127.0.0.1 and of one for us."""

    server: Path
    server_key: Path
    ours: Path
    ours_key: Path
    other: Path

    def new_context(self) -> ssl.SSLContext:
        """What a server with this certificate uses."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server, self.server_key)
        return context


@pytest.fixture(scope="session")
def certificates(tmp_path_factory) -> Certificates:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make certificates with")
    folder = tmp_path_factory.mktemp("tls")
    files = []
    for name in ("server", "ours", "other"):
        pem, key = folder / f"{name}.pem", folder / f"{name}.key"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext",
             "subjectAltName=IP:127.0.0.1", "-out", str(pem), "-keyout", str(key)],
            check=True, capture_output=True,
        )  # fmt: skip
        files += [pem, key]
    return Certificates(*files[:5])


@dataclass
class StudyFiles:
    """A study in a folder."""

    folder: Path
    files: list[Path]
    study: str
    sops: set[str]


@pytest.fixture
def study(tmp_path):
    """Maker of studies of 8 small files; every seed is another patient."""

    def make(seed: int, name: str = "study", n_slices: int = 4) -> StudyFiles:
        rng = np.random.default_rng(seed)
        size = (1, 14, 15, n_slices)
        echoes = Echoes(
            magnitude=rng.uniform(400, 1000, size).astype(np.float32),
            phase_rad=rng.uniform(-3, 3, size).astype(np.float32),
            te_s=(0.02,),
            b0_t=3.0,
            grid=Grid.from_spacing(size[1:], (2.0, 2.0, 2.0)),
        )
        folder = tmp_path / f"{name}{seed}"
        files = write_dicom(folder, echoes, Header(), DicomStyle())
        for file in files:
            dataset = pydicom.dcmread(file)
            dataset.PatientID, dataset.PatientName = f"SECRET{seed}", "DOE^JANE"
            dataset.AccessionNumber = f"ACC{seed}"
            dataset.save_as(file)
        sops = {str(pydicom.dcmread(file).SOPInstanceUID) for file in files}
        return StudyFiles(folder, files, str(pydicom.dcmread(files[0]).StudyInstanceUID), sops)

    return make


@pytest.fixture
def contents():
    """Reader of a folder: pixels of its DICOM files by SOP instance UID."""

    def read(folder: Path) -> dict[str, bytes]:
        datasets = [pydicom.dcmread(path) for path in sorted(folder.rglob("*.dcm"))]
        return {str(d.SOPInstanceUID): d.PixelData for d in datasets}

    return read


@pytest.fixture
def quick() -> Patience:
    """Three tries without waits worth the name."""
    return Patience(retries=2, first_wait_s=0.01, longest_wait_s=0.05)


@pytest.fixture
def environment(monkeypatch) -> dict[str, str]:
    """The right credentials, set where the command line looks for them."""
    found = {"PETECHIA_PACS_USER": USER, "PETECHIA_PACS_PASSWORD": PASSWORD}
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    return found
