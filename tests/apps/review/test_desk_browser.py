"""The reader's desk in headless Chromium: real clicks and keys against a real server."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from importlib.resources import files
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("desk")]

STATIC = Path(str(files("petechia.apps.review").joinpath("static")))
SCAN = "sub-02"
MANY = 500
READY = "document.body?.dataset.state === 'ready' && !!document.body.dataset.first"
SAVED = "document.getElementById('saved').dataset.kept === 'saved'"
QUEUE = "document.body?.dataset.state === 'ready'"
SHIFT = 8


class Server:
    """`petechia review` in a process of its own, always at the same port."""

    def __init__(self, output, *words):
        self.output, self.words, self.port = output, words, 0
        self.start()

    def start(self):
        self.process = subprocess.Popen(
            [
                sys.executable, "-m", "petechia", "review", str(self.output), "--reader", "AB",
                "--no-browser", "--port", str(self.port), *self.words,
            ],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1",
                 "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )  # fmt: skip
        self.links = {}
        for line in self.process.stdout:
            if "token=" in line:
                name, link = line.strip().split(": ", 1)
                self.links[name] = link
            if "Ctrl-C" in line:
                break
        assert self.links, "the server did not start"
        self.link = next(iter(self.links.values()))
        self.base = self.link.split("/?")[0]
        self.port = int(self.base.rsplit(":", 1)[1])

    def kill(self, how=signal.SIGKILL):
        self.process.send_signal(how)
        self.process.wait(60)
        self.process.stdout.close()


def many(root):
    """Give sub-03 a table of 500 findings, one third of them to be decided."""
    for path in (root / SCAN / "anat").iterdir():
        other = root / "sub-03" / "anat" / path.name.replace(SCAN, "sub-03")
        other.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, other)
    table = root / "sub-03" / "anat" / "sub-03_desc-findings_dseg.tsv"
    head, *rows = table.read_text().splitlines()
    cells = [row.split("\t") for row in rows]
    out = [head]
    for n in range(1, MANY + 1):
        row = list(cells[n % len(cells)])
        row[0] = str(n)
        out.append("\t".join(row))
    table.write_text("\n".join(out) + "\n")
    summary = root / "sub-03" / "anat" / "sub-03_desc-petechia_summary.json"
    told = json.loads(summary.read_text().replace(SCAN, "sub-03"))
    columns = [dict(zip(head.split("\t"), row.split("\t"), strict=True)) for row in out[1:]]
    told["counts"]["total"] = sum(row["counted"] == "1" for row in columns)
    told["counts"]["by_class"] = Counter(row["class"] for row in columns)
    summary.write_text(json.dumps(told))


@pytest.fixture(scope="module")
def server(chromium, written, tmp_path_factory):
    root = shutil.copytree(written, tmp_path_factory.mktemp("desk") / "out")
    many(root)
    made = Server(root)
    yield made
    made.kill()


@pytest.fixture
def desk(browser, server):
    """The scan on the desk, opened by the link, nothing waiting in the browser."""
    browser.open(server.link, 1280, 800)
    browser.until(QUEUE)
    browser.run("localStorage.clear(); sessionStorage.clear()")
    opened(browser, server)
    yield browser
    assert browser.console == []
    strange = [url for url in browser.asked if not url.startswith((server.base, "blob:"))]
    assert strange == []


def opened(browser, server, scan=SCAN):
    browser.open(f"{server.base}/scan/{scan}", 1280, 800)
    browser.until(READY)
    browser.until("petechiaDesk.labels !== null")


def log_of(browser, scan=SCAN):
    return browser.run(f"fetch('/api/scans/{scan}/events').then((r) => r.json())")["events"]


def current(browser):
    return browser.run("petechiaDesk.current")


def finding(browser, key):
    return browser.run(f"petechiaDesk.byKey({json.dumps(key)}) ?? null")


def saved(browser):
    browser.until(SAVED)


def middle(browser, nth=1):
    """The middle of a pane, where the crosshair is."""
    return browser.run(
        f"(() => {{ const b = document.querySelectorAll('.pane')[{nth}].getBoundingClientRect();"
        " return [b.x + b.width / 2, b.y + b.height / 2]; })()"
    )


def test_from_the_link_to_decisions_by_keys(desk, server):
    desk.open(server.link, 1280, 800)
    desk.until(QUEUE)
    assert "token" not in desk.run("location.href")
    desk.click(f'tr[data-scan="{SCAN}"] a')
    desk.until(READY)
    before = len(log_of(desk))
    first = current(desk)
    desk.key("a")
    second = current(desk)
    assert second != first  # a decision goes on by itself
    desk.key("v")
    third = current(desk)
    saved(desk)
    assert [finding(desk, key)["class"] for key in (first, second)] == ["microbleed", "vessel"]
    new = log_of(desk)[before:]
    assert [(e["finding"], e["kind"], e["payload"]["verdict"]) for e in new] == [
        (first, "decide", "accept"), (second, "decide", "reject"),
    ]  # fmt: skip
    assert all(0 <= e["seconds"] < 60 for e in new)
    desk.key("f")
    saved(desk)
    assert finding(desk, third)["mars"] == "possible"
    desk.key("u")
    desk.until(f"petechiaDesk.byKey('{third}').decision === null && {SAVED}")
    assert current(desk) == third
    opened(desk, server)  # a reload keeps all
    assert [finding(desk, key)["class"] for key in (first, second)] == ["microbleed", "vessel"]
    assert current(desk) == third


def test_images_are_drawn_and_panes_share_one_place(desk):
    bright = (  # read from a copy: reading the panes themselves would slow them
        "[...document.querySelectorAll('.pane canvas.image')].map((c) => { const copy ="
        " new OffscreenCanvas(c.width, c.height).getContext('2d', { willReadFrequently: true });"
        " copy.drawImage(c, 0, 0); const d = copy.getImageData(0, 0, c.width, c.height).data;"
        " return d.reduce((most, v, n) => (n % 4 ? most : Math.max(most, v)), 0); })"
    )
    desk.until(f"Math.min(...{bright}) > 40")
    titles = desk.run("[...document.querySelectorAll('.caption .title')].map((e) => e.textContent)")
    assert len(titles) == 6
    before = desk.run("document.getElementById('panes').dataset.at")
    x, y = middle(desk)
    desk.press(x + 40, y)
    desk.until(f"document.getElementById('panes').dataset.at !== {json.dumps(before)}")
    moved = [float(v) for v in desk.run("document.getElementById('panes').dataset.at").split()]
    # radiological: to the right on the screen is to the patient's left
    assert moved[0] < float(before.split()[0])
    desk.key("ArrowUp")
    desk.until(f"document.getElementById('panes').dataset.at !== '{' '.join(map(str, moved))}'")
    desk.key("1")
    desk.until("document.querySelectorAll('.pane:not([hidden])').length === 1")
    desk.key("Escape")
    desk.until("document.querySelectorAll('.pane:not([hidden])').length === 6")
    desk.click('[data-plane="sagittal"]')
    assert desk.run("petechiaDesk.panes.plane") == "sagittal"


def test_a_missed_one_is_added_by_a_click_and_taken_away(desk):
    n = desk.run("petechiaDesk.state.findings.length")
    x, y = middle(desk)
    desk.press(x + 30, y + 30, modifiers=SHIFT)
    saved(desk)
    key = current(desk)
    assert key.startswith("a")
    added = finding(desk, key)
    assert added["origin"] == "reader"
    assert added["counted"]
    assert added["volume_mm3"] > 0  # grown from the click by the server
    desk.until(f"petechiaDesk.labels.keys.includes('{key}')")
    desk.key("Delete")
    desk.until(f"petechiaDesk.state.findings.length === {n} && {SAVED}")
    assert [e["kind"] for e in log_of(desk)][-2:] == ["add", "remove"]


def test_the_brush_draws_an_outline_and_undo_takes_it_back(desk):
    desk.key("n")
    key = current(desk)
    desk.key("b")
    desk.until("document.body.dataset.mode === 'brush'")
    desk.key("]")
    x, y = middle(desk)
    desk.press(x, y, to=[(x + 15, y), (x + 30, y)])
    painted = desk.run(
        "petechiaDesk.labels.numbers.reduce((n, v) => n + (v === petechiaDesk.brush.number), 0)"
    )
    assert painted > 2
    desk.key("Enter")
    saved(desk)
    event = log_of(desk)[-1]
    assert (event["kind"], event["finding"]) == ("outline", key)
    assert sum(length for _, length in event["payload"]["runs"]) == painted
    assert finding(desk, key)["outline_changed"]
    desk.until(f"petechiaDesk.labels.keys.includes('{key}')")
    number = f"petechiaDesk.labels.keys.indexOf('{key}') + 1"
    shown = f"petechiaDesk.labels.numbers.reduce((n, v) => n + (v === {number}), 0)"
    desk.until(f"{shown} === {painted}")  # what was sent comes back as it was drawn
    desk.key("u")
    desk.until(f"!petechiaDesk.byKey('{key}').outline_changed && {SAVED}")


def test_split_merge_and_site_by_keys_and_clicks(desk):
    key = current(desk)
    one, other = desk.run(
        "(() => { const { numbers, keys } = petechiaDesk.labels, g = petechiaDesk.side.geometry;"
        " const n = keys.indexOf(petechiaDesk.current) + 1, out = [], [a, b] = g.shape;"
        " numbers.forEach((v, i) => { if (v === n) out.push([i % a, Math.floor(i / a) % b, Math.floor(i / a / b)]); });"
        " return [out[0], out[out.length - 1]].map((v) => g.mmOfVoxel(v)); })()"
    )
    desk.run(f"petechiaDesk.panes.go({one})")
    (axis,) = (n for n in range(3) if one[n] != other[n])
    desk.run(f"petechiaDesk.plane({json.dumps('coronal' if axis == 2 else 'axial')})")
    away = [0, 0]
    scale = desk.run("petechiaDesk.panes.view(petechiaDesk.panes.panes[1]).scale")
    away[0 if axis == 0 else 1] = (one[axis] - other[axis]) * scale
    x, y = middle(desk)
    desk.key("x")
    desk.press(x, y)
    desk.press(x + away[0], y + away[1])  # the place clicked first stands in the middle
    desk.until(f"!!petechiaDesk.byKey('{key}.2') && {SAVED}")
    assert current(desk) == f"{key}.1"
    desk.key("u")
    desk.until(f"!!petechiaDesk.byKey('{key}') && {SAVED}")
    desk.run(f"petechiaDesk.go('{key}')")
    other = desk.run(
        "petechiaDesk.shown().map((f) => f.key).find((k) => k !== petechiaDesk.current)"
    )
    desk.key("m")
    desk.click(f'#findings [data-key="{other}"]')
    desk.until(f"!petechiaDesk.byKey('{other}') && {SAVED}")
    desk.key("u")
    desk.until(f"!!petechiaDesk.byKey('{other}') && {SAVED}")
    desk.run(f"petechiaDesk.go('{key}')")
    desk.key("s")
    desk.until("!!document.querySelector('dialog[open]')")
    desk.key("r")
    desk.key("7")
    desk.until(f"petechiaDesk.byKey('{key}').site === 'thalamus' && {SAVED}")
    assert finding(desk, key)["side"] == "right"
    assert finding(desk, key)["compartment"] == "deep"


def test_forms_fill_themselves_and_take_an_override_with_its_reason(desk):
    desk.click("#below summary")
    cell = '[data-cell="mars/frontal/definite/left"]'
    desk.until(f"!!document.querySelector('{cell}')")
    desk.click('[data-cell="mars/cerebellum/possible/right"]')
    desk.until("!!document.querySelector('dialog[open]')")
    desk.run("document.querySelector('dialog input[type=number]').select()")
    desk.type("2")
    desk.run("document.querySelector('dialog input[type=text]').focus()")
    desk.type("seen on T2")
    desk.key("Enter")
    desk.until(f"petechiaDesk.told.forms.mars['cerebellum/possible/right']?.value === 2 && {SAVED}")
    over = '[data-cell="mars/cerebellum/possible/right"].over'
    desk.until(f"document.querySelector('{over}')?.textContent === '2'")


def test_a_server_killed_between_decisions_gets_the_waiting_one_once(desk, server):
    desk.key("a")
    saved(desk)
    before = len(log_of(desk))
    server.kill()
    key = current(desk)
    desk.key("c")
    desk.until("document.getElementById('saved').dataset.kept === 'unsaved'")
    assert finding(desk, key)["class"] == "calcification"  # shown at once
    server.start()
    assert "Failed to load resource" in " ".join(desk.console)
    desk.open(server.link, 1280, 800)  # a new start has a new link
    desk.until(QUEUE)
    opened(desk, server)
    saved(desk)
    new = log_of(desk)[before:]
    assert [(e["finding"], e["kind"], e["payload"]["class"]) for e in new] == [
        (key, "decide", "calcification")
    ]
    assert finding(desk, key)["class"] == "calcification"


def test_two_tabs_hear_of_each_other_and_a_conflict_asks(desk, server):
    first = desk.session
    key = current(desk)
    second = desk.tab()
    opened(desk, server)
    desk.run(f"petechiaDesk.go('{key}')")
    desk.key("i")
    saved(desk)
    desk.tab(first)
    desk.until(f"petechiaDesk.byKey('{key}').class === 'iron'")  # heard
    desk.run("petechiaDesk.channel.onmessage = null")  # and now deaf
    desk.tab(second)
    desk.run(f"petechiaDesk.go('{key}')")
    desk.key("v")
    saved(desk)
    desk.tab(first)
    desk.run(f"petechiaDesk.go('{key}')")
    desk.key("c")
    desk.until("!!document.querySelector('dialog[open]')")
    assert "Vessel" in desk.run("document.querySelector('dialog').textContent")
    desk.key("1")  # mine
    desk.until(f"petechiaDesk.byKey('{key}').class === 'calcification' && {SAVED}")
    assert [e["payload"]["class"] for e in log_of(desk) if e["finding"] == key][-3:] == [
        "iron", "vessel", "calcification",
    ]  # fmt: skip
    assert all("409" in line for line in desk.console)
    desk.console.clear()
    desk.tab(second)
    desk("Page.close")
    desk.tab(first)


def test_five_hundred_findings_stay_quick(desk, server):
    opened(desk, server, "sub-03")
    desk.click("#unlikely")
    desk.until(f"document.querySelectorAll('#findings button').length === {MANY}")
    whole = desk.spent_ms(
        "(() => { const d = petechiaDesk; d.list.rows.clear(); d.list.order = ''; d.show(); })()"
    )
    one = desk.spent_ms("petechiaDesk.step(1)")
    assert min(one, whole) > 0
    assert whole < 100  # all rows made anew
    assert one < 100


def test_the_prior_exam_stands_beside_at_the_same_place_and_says_it_is_not_registered(desk, server):
    opened(desk, server, "sub-01_ses-2")
    desk.key("y")
    desk.until("document.querySelectorAll('.pane[data-old=\"1\"]').length === 4")
    assert "Not registered" in desk.run("document.getElementById('mode').textContent")
    desk.until("petechiaDesk.panes.panes.every((p) => p.slice.meta)")
    now, old = desk.run(
        "[0, 4].map((n) => { const p = petechiaDesk.panes, one = p.panes[n];"
        " return one.side.geometry.worldOfMm(p.here(one.side)); })"
    )
    assert now == pytest.approx(old, abs=1e-6)


def test_a_finding_has_the_number_of_table_and_report(desk):
    x, y = middle(desk)
    desk.press(x + 30, y + 30, modifiers=SHIFT)
    saved(desk)
    new = current(desk)
    rows = desk.run(
        "[...document.querySelectorAll('#findings button')].map((b) =>"
        " [b.dataset.key, b.querySelector('.n').textContent])"
    )
    told = dict(rows)
    own = {key: n for key, n in told.items() if key.startswith("s")}
    assert len(own) > 2
    assert all(key == f"s{n}" for key, n in own.items())
    added = [n for key, n in rows if not key.startswith("s")]
    assert added == [f"+{n + 1}" for n in range(len(added))] != []
    for key in (rows[0][0], new):
        desk.run(f"petechiaDesk.go({json.dumps(key)})")
        assert desk.run("document.querySelector('#card h2').textContent").startswith(
            told[key] + ". "
        )
    desk.key("Delete")
    desk.until(f"!petechiaDesk.byKey('{new}') && {SAVED}")


def test_the_queue_fits_a_telephone(desk, server):
    desk.open(f"{server.base}/", 360, 740)
    desk.until(QUEUE)
    assert desk.run("document.documentElement.scrollWidth") <= 360


def test_queue_searches_and_filters(desk, server):
    desk.open(server.base, 1024, 768)
    desk.until(QUEUE)
    rows = "document.querySelectorAll('#scans tr[data-scan]').length"
    assert desk.run(rows) == 4
    desk.click("#search")
    desk.type("02")
    desk.until(f"{rows} === 1")
    desk.click("#states button:nth-child(4)")
    desk.until(f"{rows} === 0")


def test_finish_goes_to_the_next_scan_and_chinese_is_kept(desk, server):
    opened(desk, server, "sub-01_ses-1")
    desk.run(
        "(() => { const l = document.getElementById('language'); l.value = 'zh';"
        " l.dispatchEvent(new Event('change')); })()"
    )
    desk.until("document.documentElement.lang === 'zh-Hans'")
    assert "仅供研究" in desk.run("document.getElementById('research').textContent")
    titles = desk.run("[...document.querySelectorAll('.pane .title')].map((e) => e.textContent)")
    assert "幅度图" in titles[0]
    assert "mIP of" not in " ".join(titles)
    names = (
        "[...document.querySelectorAll('canvas.image')].map((e) => e.getAttribute('aria-label'))"
    )
    assert desk.run(names) == titles
    desk.run("document.getElementById('below').open = true")
    desk.until("!!document.querySelector('[data-cell=\"scale/boston_2\"]')")
    answers = desk.run(
        "[...document.querySelectorAll('[data-cell^=\"scale/\"]')].map((e) => e.textContent)"
    )
    assert answers
    assert not re.search(r"[a-z]", " ".join(answers))
    assert desk.run("document.querySelector('[data-cell=scan-note]').ariaLabel") == "本例备注"
    desk.run("document.getElementById('below').open = false")
    desk.key("Enter")
    desk.until("!!document.querySelector('dialog[open]')")  # some are undecided: it asks
    desk.key("1")
    desk.until(f"!location.pathname.includes('ses-1') && {READY}")
    assert log_of(desk, "sub-01_ses-1")[-1]["kind"] == "finish"
    assert desk.run("document.documentElement.lang") == "zh-Hans"
    desk.run("localStorage.clear()")


CONTRAST = """
(() => {
  const parse = (text) => { const n = text.match(/[\\d.]+/g).map(Number); return [...n.slice(0, 3), n[3] ?? 1]; };
  const over = (top, below) => [0, 1, 2].map((c) => top[c] * top[3] + below[c] * (1 - top[3]));
  const light = (c) => c.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)).reduce((s, v, n) => s + v * [0.2126, 0.7152, 0.0722][n], 0);
  const ground = (e) => {
    if (e.classList?.contains("pane")) { return [255, 255, 255]; } /* an image may be white there */
    const own = parse(getComputedStyle(e).backgroundColor);
    if (own[3] === 1) { return own.slice(0, 3); }
    return over(own, e.parentElement ? ground(e.parentElement) : [255, 255, 255]);
  };
  const found = [];
  for (const e of document.querySelectorAll("body *")) {
    const text = [...e.childNodes].filter((n) => n.nodeType === 3).map((n) => n.textContent.trim()).join("");
    if (!text || !e.checkVisibility() || e.closest("[disabled]") || e.tagName === "OPTION") { continue; }
    const below = ground(e), ink = over(parse(getComputedStyle(e).color), below), [a, b] = [light(ink), light(below)].sort((x, y) => y - x);
    found.push([(a + 0.05) / (b + 0.05), text.slice(0, 40), e.className]);
  }
  return found.sort((x, y) => x[0] - y[0]);
})()
"""
AA = 4.5
"""WCAG 2.2, 1.4.3: text against what is behind it."""


def test_text_stands_out_from_what_is_behind_it(desk, server):
    desk.key("a")
    saved(desk)
    desk.key("b")  # a mode speaks
    desk.run("document.getElementById('below').open = true; petechiaDesk.showForms()")
    seen = desk.run(CONTRAST)
    desk.key("Escape")
    desk.key("y")
    desk.run("petechiaDesk.say('bad news', 'bad')")
    seen += desk.run(CONTRAST)
    desk.run("petechiaDesk.say('good news', 'good')")
    seen += desk.run(CONTRAST)
    desk.key("?")
    desk.until("!!document.querySelector('dialog[open]')")
    seen += desk.run(CONTRAST)
    opened(desk, server, "sub-01_ses-2")
    desk.key("y")
    desk.until("document.querySelectorAll('.pane[data-old=\"1\"]').length === 4")
    seen += desk.run(CONTRAST)
    desk.open(server.base, 1280, 800)
    desk.until(QUEUE)
    seen += desk.run(CONTRAST)
    desk.open(f"{server.base}/agreement", 1280, 800)
    desk.until(QUEUE)
    seen += desk.run(CONTRAST)
    assert len(seen) > 300
    assert [one for one in seen if one[0] < AA] == []


@pytest.mark.parametrize("kept", ["saved", "saving", "unsaved"])
def test_whether_it_is_saved_is_told_in_words_on_a_narrow_screen(desk, server, kept):
    opened(desk, server)
    desk("Emulation.setDeviceMetricsOverride", width=800, height=900, deviceScaleFactor=1,
         mobile=False)  # fmt: skip
    desk.until("innerWidth === 800")
    desk.run(f"petechiaDesk.outbox.state = () => {json.dumps(kept)}; petechiaDesk.show()")
    state, needs, has = desk.run(
        "(() => { const e = document.getElementById('saved');"
        " return [e.dataset.kept, e.scrollWidth, e.clientWidth]; })()"
    )
    assert state == kept
    assert needs <= has  # not cut: colour alone tells too little
    assert desk.run("document.documentElement.scrollWidth") <= 800


def test_fingers_on_a_tablet(desk, server):
    desk("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=5)
    try:
        opened(desk, server)
        desk("Emulation.setDeviceMetricsOverride", width=1024, height=768, deviceScaleFactor=2,
             mobile=True)  # fmt: skip
        desk.until("innerWidth === 1024 && document.querySelector('.pane').clientWidth > 100")
        assert desk.run("document.documentElement.scrollWidth") <= 1024
        before = desk.run("document.getElementById('panes').dataset.at")
        x, y = middle(desk)
        desk.touch((x + 30, y + 20))
        desk.until(f"document.getElementById('panes').dataset.at !== {json.dumps(before)}")
        field = desk.run("petechiaDesk.panes.field")
        apart = [((x - d, y), (x + d, y)) for d in (30, 40, 50, 60)]
        desk.touch(*((x - 20, y), (x + 20, y)), to=apart)
        desk.until(f"petechiaDesk.panes.field < {field} / 2")
        assert desk.run("petechiaDesk.panes.field") == pytest.approx(field / 3, rel=0.05)
        assert desk.run("visualViewport.scale") == 1  # the image was zoomed, not the page
        desk.touch(*((x - 60, y), (x + 60, y)), to=apart[::-1])
        desk.until(f"petechiaDesk.panes.field > {field} / 2")
        small = desk.run(
            "[...document.querySelectorAll('button')].filter((b) => b.checkVisibility())"
            ".map((b) => b.getBoundingClientRect()).filter((b) => b.width < 24 || b.height < 24).length"
        )
        assert small == 0  # WCAG 2.2, 2.5.8
        key, n = current(desk), len(log_of(desk))
        box = desk.run(
            "(() => { const b = document.querySelector('[data-action=possible]').getBoundingClientRect();"
            " return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        desk.touch(box)
        desk.until(f"petechiaDesk.byKey('{key}').decision?.mars === 'possible' && {SAVED}")
        assert len(log_of(desk)) == n + 1  # once, not also as a mouse
    finally:
        desk("Emulation.setTouchEmulationEnabled", enabled=False)


def read_all(browser, first):
    """Decide everything that is asked, the first one by `first`, and finish."""
    browser.key(first)
    while browser.run("petechiaDesk.state.n_undecided"):
        browser.key("a")
    saved(browser)
    browser.key("Enter")
    browser.until(f"!location.pathname.endsWith('/{SCAN}') && {QUEUE}")


def enter(browser, server, name):
    browser.open(server.links[name], 1280, 800)
    browser.until(QUEUE)
    browser.run("localStorage.clear(); sessionStorage.clear()")


def test_two_blind_readers_disagree_and_an_adjudicator_settles(browser, written, tmp_path):
    words = ("--readers", "CD", "--adjudicator", "EF", "--blind")
    study = Server(shutil.copytree(written, tmp_path / "out"), *words)
    try:
        enter(browser, study, "AB")
        opened(browser, study)
        disputed = current(browser)
        read_all(browser, "a")
        enter(browser, study, "CD")
        opened(browser, study)
        assert browser.run("petechiaDesk.state.findings.every((f) => !f.decision)")
        assert current(browser) == disputed
        read_all(browser, "v")
        browser.open(f"{study.base}/agreement", 1280, 800)  # who is no adjudicator sees nothing
        browser.until(QUEUE)
        seen = browser.run("document.getElementById('tables').innerText")
        assert "AB" not in seen
        assert "No scan was finished by two readers yet" in seen
        other = Server(study.output, *words, "--round", "2")
        try:  # what that server takes belongs to its own round
            enter(browser, other, "EF")
            browser.open(f"{other.base}/agreement", 1280, 800)
            browser.until(QUEUE)
            seen = browser.run("document.getElementById('tables').innerText")
            assert "Only round 2 is settled here." in seen
            assert not browser.run("document.querySelector('#tables a[href*=adjudicate]')")
        finally:
            browser.run("localStorage.clear(); sessionStorage.clear()")
            other.kill()
        enter(browser, study, "EF")
        browser.open(f"{study.base}/agreement", 1280, 800)
        browser.until(QUEUE)
        pair = browser.run(
            "[...document.querySelectorAll('#tables table')][1].querySelector('tbody tr').innerText"
        ).split("\t")
        assert pair[:5] == ["AB / CD", "1", "4", "1", "0"]
        assert pair[5].startswith("0.89")  # F1 of 4 in common of 5 and 4: 2 x 4 / 9
        assert "(both said one and the same word everywhere)" in pair[6]  # one scan
        seen = browser.run(
            "[...document.querySelectorAll('#tables table')].slice(2, 4).map((e) => e.innerText)"
        )
        rows = [[line.split("\t") for line in one.splitlines()] for one in seen]
        assert "Positive agreement" in rows[0][0][1]
        assert rows[0][1][1].startswith("1.00 (no interval")
        assert "(neither rater called one negative)" in rows[0][1][2]
        assert rows[0][1][3] == "−0.24 (n = 1)"  # noqa: RUF001 (roots of 4 and 5, a true minus)
        assert [row[1] for row in rows[1][1:]] == ["1", "5"]  # a scan, and its five findings
        link = "#tables a[href*='adjudicate=1']"
        assert browser.run(f'document.querySelectorAll("{link}").length') == 1
        browser.click(link)
        browser.until(READY)
        votes = browser.run("document.querySelector('.votes').innerText")
        assert "AB: " in votes
        assert "CD: " in votes
        browser.key("a")
        saved(browser)
        browser.open(f"{study.base}/agreement", 1280, 800)
        browser.until(QUEUE)
        assert browser.run(f'document.querySelectorAll("{link}").length') == 0
        assert "✓" in browser.run("document.getElementById('tables').innerText")
        assert browser.console == []
    finally:
        browser.run("localStorage.clear(); sessionStorage.clear()")
        study.kill()


def test_a_blind_reader_sees_nothing_of_the_software(browser, written, tmp_path):
    blind = Server(shutil.copytree(written, tmp_path / "out"), "--blind")
    try:
        browser.open(blind.link, 1280, 800)
        browser.until(QUEUE)
        opened(browser, blind)
        browser.run("document.getElementById('below').open = true")
        seen = browser.run("document.body.innerText")
        assert "blind" in seen
        assert "Probability" not in seen
        assert "paramagnetic" not in seen
        assert "0 counted" in seen
        rows = browser.run("document.getElementById('findings').textContent")
        assert "Microbleed" not in rows
        browser.key("a")
        saved(browser)
        assert "Microbleed" in browser.run("document.getElementById('findings').textContent")
        browser.run("petechiaDesk.put('finish', '', {})")
        saved(browser)
        assert browser.run("document.getElementById('finish').hidden")  # it stands as it is
        browser.key("Enter")
        browser.until("document.getElementById('message').innerText.includes('another round')")
        assert log_of(browser)[-1]["kind"] == "finish"
        assert browser.console == []
    finally:
        browser.run("localStorage.clear(); sessionStorage.clear()")
        blind.kill()


# --- what needs no browser ------------------------------------------------------------------


def texts(language):
    return json.loads((STATIC / "texts" / f"{language}.json").read_text(encoding="utf-8"))


def test_both_languages_have_every_word_that_is_used():
    english, chinese = texts("en"), texts("zh")
    assert english.keys() == chinese.keys()
    places = re.compile(r"\{\w+\}")
    for key in english:
        assert sorted(places.findall(english[key])) == sorted(places.findall(chinese[key])), key
    pages = [path.read_text(encoding="utf-8") for path in STATIC.glob("*.html")]
    scripts = [path.read_text(encoding="utf-8") for path in STATIC.glob("*.js")]
    used = {
        key for text in pages for key in re.findall(r'data-(?:t|title|label|hint)="([^"]+)"', text)
    }
    used |= {key for text in scripts for key in re.findall(r'\bt\("([^"]+)"', text)}
    assert used <= english.keys()
    actions = {a for text in scripts for a in re.findall(r'\], "(\w+)"\]', text)}
    assert {f"do.{action}" for action in actions - {"fieldset"}} <= english.keys()


def test_pages_hold_no_script_or_style_of_their_own():
    for path in STATIC.glob("*.html"):
        page = path.read_text(encoding="utf-8")
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\bsrc=\"/static/)", page), (
            path
        )
        assert not re.search(r"https?://", page), path


def test_modules_stay_small():
    for path in STATIC.glob("*.js"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, path
