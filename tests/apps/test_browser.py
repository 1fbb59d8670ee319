"""A report in a real browser, offline: it shows itself and asks for nothing."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("road")]


@pytest.fixture(scope="module")
def chromium() -> str:
    """The path of Chromium or Chrome."""
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if found := shutil.which(name):
            return found
    pytest.skip("no Chromium on this machine: the report was not opened in a browser")


def opened(browser: str, page: Path, home: Path, *more: str) -> tuple[str, str]:
    """Return the page as the browser holds it after loading, and what the browser logged."""
    done = subprocess.run(
        [
            browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", "--disable-extensions", "--host-resolver-rules=MAP * ~NOTFOUND",
            "--enable-logging=stderr", "--v=0", f"--user-data-dir={home}",
            "--virtual-time-budget=5000", *more, "--dump-dom", page.as_uri(),
        ],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout, done.stderr


def asked_for(traffic: Path, host: str = "") -> set[str]:
    """Return the addresses in the browser's record of its network, its own makers' left out."""
    record = traffic.read_text(encoding="utf-8", errors="replace")
    found = set(re.findall(r"https?://[^\s\"\\\\]+", record))
    own = re.compile(r"//([\w.-]*(google|gstatic)|~notfound)")  # the last stands for nowhere
    return {url for url in found if host in url and not own.search(url)}


def test_the_report_shows_its_message_and_loads_nothing(chromium, tiny_output, tmp_path):
    page = next(tiny_output.glob("sub-*.html"))
    traffic = tmp_path / "net.json"
    dom, said = opened(chromium, page, tmp_path / "home", f"--log-net-log={traffic}")
    assert "not assessable" in dom
    assert "2.4 mm voxels" in dom
    assert "Research use only" in dom
    assert dom.count("<img") + dom.count("<svg") >= 3
    assert [line for line in said.splitlines() if "CONSOLE" in line] == []
    assert asked_for(traffic) == set()


def test_the_index_leads_to_the_report(chromium, tiny_output, tmp_path):
    dom, said = opened(chromium, tiny_output / "index.html", tmp_path / "home")
    assert next(tiny_output.glob("sub-*.html")).name in dom
    assert "CONSOLE" not in said


def test_a_page_that_asks_the_network_would_be_seen(chromium, tmp_path):
    """The net that the tests above fish with holds."""
    page = tmp_path / "bad.html"
    page.write_text(
        '<p>hello</p><img src="http://petechia.example/a.png"><script>nothing()</script>'
    )
    traffic = tmp_path / "net.json"
    _, said = opened(chromium, page, tmp_path / "home", f"--log-net-log={traffic}")
    assert asked_for(traffic, "petechia.example")
    assert "CONSOLE" in said
