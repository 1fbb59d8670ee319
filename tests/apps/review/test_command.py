"""The command itself, in a process of its own: killed between decisions, nothing is lost."""

import os
import re
import select
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

SCAN = "sub-02"
START = "import sys; from petechia.apps.cli.main import entry; entry()"


class Served:
    """A running server, and a reader's session with it."""

    def __init__(self, output, *words):
        src = Path(__file__).parents[3] / "src"
        environment = {**os.environ, "PYTHONPATH": str(src), "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", START, "review", str(output), "--no-browser", *words],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment,
        )  # fmt: skip
        self.said = ""
        link = self._link(time.monotonic() + 60)
        self.base, _, token = link.partition("/?token=")
        self.http = httpx.Client(base_url=self.base, timeout=240)
        assert self.http.get("/", params={"token": token}).status_code == 303
        self.csrf = self.http.get("/api/session").json()["csrf"]

    def _link(self, end):
        """Return the link it prints; read from the pipe itself, so that nothing waits unseen."""
        while "Ctrl-C" not in self.said:
            ready, _, _ = select.select([self.process.stdout], [], [], end - time.monotonic())
            assert ready, f"no link in time: {self.said}"
            some = os.read(self.process.stdout.fileno(), 1 << 16)
            assert some, f"the server ended: {self.said}"
            self.said += some.decode()
        return re.search(r"http://\S+", self.said).group()

    def decide(self, finding, uuid, verdict="accept"):
        body = {
            "uuid": uuid, "kind": "decide", "finding": finding, "payload": {"verdict": verdict},
            "seconds": 1, "fingerprint": "f" * 64,
        }  # fmt: skip
        headers = {"x-csrf": self.csrf, "origin": self.base}
        return self.http.post(f"/api/scans/{SCAN}/events", json=body, headers=headers)

    def events(self):
        return self.http.get(f"/api/scans/{SCAN}/events").json()["events"]


@contextmanager
def served(output, *words):
    made = Served(output, *words)
    try:
        yield made
    finally:
        made.http.close()
        made.process.kill()
        made.process.wait(20)
        made.process.stdout.close()


def test_killed_between_decisions_nothing_is_lost(output, make):
    taken, addresses = [], set()
    for round_ in range(2):
        with served(output, "--reader", "anna") as server:
            addresses.add(server.base)
            for n in range(1, 4):
                answer = server.decide(f"s{n + 3 * round_}", make.uuid())
                assert answer.status_code == 200
                taken.append(answer.json()["event"])
            os.kill(server.process.pid, signal.SIGKILL)  # no time to say goodbye
            server.process.wait(20)
    assert len(addresses) == 1  # what waits in a browser finds the server again
    with served(output, "--reader", "anna") as server:
        assert server.events() == taken
        again = server.decide("s1", taken[0]["uuid"])  # sent again by a page that was not told
        assert again.json()["event"] == taken[0]
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(20) == 0
        rest = server.process.stdout.read().decode()
        assert "every decision is kept" in rest
        assert "Traceback" not in rest
        for word in (SCAN, "anna", server.csrf):
            assert word not in rest


def test_the_disk_is_full_for_true(output, make):
    """Files of the server may grow to a bound: beyond it the system refuses, as a full disk does."""
    resource = pytest.importorskip("resource")
    with served(output, "--reader", "anna") as server:
        assert server.decide("s1", make.uuid()).status_code == 200
        wal = output / "review" / "review.sqlite-wal"
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (wal.stat().st_size,) * 2)
        full = server.decide("s2", make.uuid())
        assert full.status_code == 507
        assert full.json()["error"]["mend"]
    with served(output, "--reader", "anna") as server:
        assert [event["finding"] for event in server.events()] == ["s1"]
        assert server.decide("s2", make.uuid()).status_code == 200
