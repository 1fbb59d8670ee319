"""Chromium, driven over its own pipe: no driver, no port, nothing to install."""

import json
import os
import select
import shutil
import subprocess
import sys
import time
from base64 import b64decode

import pytest

PATIENT_S = 240
"""A machine that does ten other things takes eight times as long; what fails at once fails still."""
RENAMED = """
import os, sys
into, out = (os.dup(os.dup(os.dup(int(word)))) for word in sys.argv[1:3])
os.dup2(into, 3)
os.dup2(out, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Chromium listens on descriptor 3 and answers on 4: ours are given these numbers."""


class NotNowError(AssertionError):
    """Chromium would not; while it goes to another page it answers nothing."""


class Browser:
    """One headless Chromium with one page, its clicks, its console and all it asks for."""

    def __init__(self, path, home):
        into, self._say = os.pipe()
        self._hear, out = os.pipe()
        self.process = subprocess.Popen(
            [
                sys.executable, "-c", RENAMED, str(into), str(out), path, "--headless=new",
                "--no-sandbox", "--disable-dev-shm-usage", "--no-first-run", "--disable-sync",
                "--disable-background-networking", "--disable-component-update",
                "--disable-extensions", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
                "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
                "--remote-debugging-pipe", f"--user-data-dir={home}", "about:blank",
            ],
            pass_fds=(into, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(into)
        os.close(out)
        self._number, self._rest, self.session = 0, b"", None
        self.console, self.asked = [], []

    def __enter__(self):
        """Open the page that is driven."""
        self.tab()
        return self

    def tab(self, known=None):
        """Open another page, or go back to `known`, and drive it; return its session."""
        if known:
            self.session = known
            self("Page.bringToFront")
            return known
        self.session = None
        target = self("Target.createTarget", url="about:blank")["targetId"]
        self.session = self("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self(f"{domain}.enable")
        return self.session

    def __exit__(self, *_):
        """End the process, whatever happened."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(60)
        os.close(self._say)
        os.close(self._hear)

    def __call__(self, method, seconds=PATIENT_S, **params):
        """Send a command of the DevTools protocol and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self._say, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + seconds
        while True:
            heard = self._heard(end)
            for said in heard:  # what comes with the answer, and after it, counts too
                if said.get("id") != self._number:
                    self._note(said)
            for said in heard:
                if said.get("id") == self._number:
                    if "error" in said:
                        raise NotNowError(said["error"]["message"])
                    return said["result"]

    def _heard(self, end):
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._hear], [], [], max(0, end - time.monotonic()))
            assert ready, "Chromium did not answer in time"
            some = os.read(self._hear, 1 << 20)
            assert some, "Chromium ended"
            self._rest += some
        *whole, self._rest = self._rest.split(b"\0")
        return [json.loads(one) for one in whole]

    def _note(self, said):
        method, params = said.get("method"), said.get("params", {})
        if method == "Network.requestWillBeSent":
            self.asked += [u for u in (params["request"]["url"],) if not u.startswith("data:")]
        elif method == "Runtime.exceptionThrown":
            self.console.append(str(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in (
            "error",
            "warning",
            "assert",
        ):
            self.console.append(" ".join(str(arg.get("value", arg)) for arg in params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.console.append(params["entry"]["text"])

    def open(self, page, width=1280, height=900):
        """Load a file or an address; what console and network say counts from here on."""
        self("Emulation.setDeviceMetricsOverride", width=width, height=height,
             deviceScaleFactor=1, mobile=False)  # fmt: skip
        self.console.clear()
        self.asked.clear()
        self("Page.navigate", url=page if isinstance(page, str) else page.as_uri())
        self.until("document.readyState === 'complete'")

    def run(self, script):
        """Return the value of JavaScript, a promise awaited."""
        found = self("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise NotNowError(str(found["exceptionDetails"]))
        return found["result"].get("value")

    def spent_ms(self, script, times=3):
        """Return the least time that the page's own thread spends on JavaScript [ms].

        Not by the clock: that tells of what else the machine does.
        """
        self("Performance.disable")
        self("Performance.enable", timeDomain="threadTicks")
        least = float("inf")
        for _ in range(times):
            before = self._task_s()
            self.run(script)
            least = min(least, self._task_s() - before)
        self("Performance.disable")
        return 1000 * least

    def _task_s(self):
        told = {one["name"]: one["value"] for one in self("Performance.getMetrics")["metrics"]}
        return told["TaskDuration"]

    def until(self, condition, seconds=PATIENT_S):
        """Wait until JavaScript says true."""
        end = time.monotonic() + seconds
        while True:
            why = ""
            try:
                if self.run(condition):
                    return
            except NotNowError as error:  # between two pages, or not all of one is there yet
                why = f" ({error})"
            assert time.monotonic() < end, f"never: {condition}{why}"
            time.sleep(0.05)

    def click(self, selector):
        """Press and release the left button in the middle of an element, of its first line."""
        x, y = self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            " e.scrollIntoView({block: 'center', behavior: 'instant'});"
            " const b = e.getClientRects()[0];"
            " return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def key(self, name, code=None):
        text = {"text": name} if len(name) == 1 else {"text": "\r"} if name == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            told = text if kind == "keyDown" else {}
            self("Input.dispatchKeyEvent", type=kind, key=name, code=code or name, **told)

    def press(self, x, y, *, modifiers=0, button="left", to=()):
        """Press at a point of the page, move to others, and release."""
        how = {"button": button, "modifiers": modifiers, "clickCount": 1}
        self("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        self("Input.dispatchMouseEvent", type="mousePressed", x=x, y=y, **how)
        for x, y in to:
            self("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y, button=button, buttons=1)
        self("Input.dispatchMouseEvent", type="mouseReleased", x=x, y=y, **how)

    def type(self, text):
        """Write into what has the focus."""
        self("Input.insertText", text=text)

    def touch(self, *fingers, to=()):
        """Put fingers down, move them through places (each as many as there are), and lift them."""

        def points(places):
            return [{"x": x, "y": y, "id": n} for n, (x, y) in enumerate(places)]

        for kind, places in [("Start", fingers), *(("Move", at) for at in to), ("End", ())]:
            self("Input.dispatchTouchEvent", type=f"touch{kind}", touchPoints=points(places))

    def picture(self, path, **how):
        """Write a screenshot."""
        path.write_bytes(b64decode(self("Page.captureScreenshot", format="png", **how)["data"]))


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of Chromium or Chrome."""
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if found := shutil.which(name):
            return found
    pytest.skip("no Chromium on this machine: the report was not opened in a browser")


@pytest.fixture(scope="module")
def browser(chromium, tmp_path_factory):
    """A running browser, closed at the end."""
    with Browser(chromium, tmp_path_factory.mktemp("chromium")) as made:
        yield made
