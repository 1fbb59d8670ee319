"""A report in a real browser, offline: it shows itself, its viewer runs, and it asks for nothing."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from petechia.report.page import render

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("road")]

READY = "['ready', 'failed'].includes(document.querySelector('#viewer').dataset.state)"


@pytest.fixture(scope="module")
def phantom():
    """The maker of the report's tests: a head of formulas with ten findings."""
    place = Path(__file__).parents[1] / "report" / "conftest.py"
    spec = importlib.util.spec_from_file_location("report_phantom", place)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@pytest.fixture(scope="module")
def report(phantom, tmp_path_factory):
    """The page of the phantom, on disk."""
    page = tmp_path_factory.mktemp("report") / "sub-01.html"
    page.write_text(render(phantom.make_data()), encoding="utf-8")
    return page


@pytest.fixture(scope="module")
def viewer(browser, report):
    """The browser with the phantom's report open and its viewer running."""
    browser.open(report, height=1200)
    browser.run("document.querySelector('#viewer').scrollIntoView({behavior: 'instant'})")
    browser.until(READY, seconds=180)  # shaders are compiled without a graphics card
    assert browser.run("document.querySelector('#viewer').dataset.state") == "ready"
    return browser


def at(browser):
    """The place that the viewer says it shows [mm]."""
    return np.array(
        [float(x) for x in browser.run("document.querySelector('#viewer').dataset.at").split()]
    )


def test_the_report_shows_its_message_and_loads_nothing(browser, tiny_output):
    page = next(tiny_output.glob("sub-*.html"))
    browser.open(page)
    text = browser.run("document.body.innerText")
    assert "not assessable" in text
    assert "2.4 mm voxels" in text
    assert "Research use only" in text
    assert browser.run("document.querySelectorAll('img').length") >= 3
    assert browser.console == []
    assert browser.asked == [page.as_uri()]


def test_the_index_leads_to_the_report(browser, tiny_output):
    browser.open(tiny_output / "index.html")
    browser.click("tbody a")
    browser.until("document.title.includes('microbleed report')")
    assert browser.console == []


def test_a_page_that_asks_the_network_would_be_seen(browser, tmp_path):
    """The net that the tests here fish with holds."""
    page = tmp_path / "bad.html"
    page.write_text('<img src="http://petechia.example/a.png"><script>nothing()</script>')
    browser.open(page)
    browser.until("document.images[0].complete")
    for _ in range(100):  # what the console says may come after the page is complete
        if any("nothing" in line for line in browser.console):
            break
        browser.run("new Promise(done => setTimeout(done, 50))")
    assert "http://petechia.example/a.png" in browser.asked
    assert any("nothing" in line for line in browser.console)


def test_every_pane_is_drawn_and_nothing_is_asked_for(viewer, report):
    box = viewer.run(
        "[...document.querySelectorAll('.panes canvas')].map(c => { const b = "
        "c.getBoundingClientRect(); return [c.id, b.x + scrollX, b.y + scrollY, b.width, b.height]; })"
    )
    assert [name for name, *_ in box] == [
        f"canvas-{name}" for name in ("magnitude", "swi", "mip", "chi", "labels")
    ]
    viewer.run("document.querySelector('.panes').scrollIntoView({behavior: 'instant'})")
    left, top = min(x for _, x, *_ in box), min(y for _, _, y, *_ in box)
    wide = max(x + width for _, x, _, width, _ in box) - left
    tall = max(y + height for _, _, y, _, height in box) - top
    shot = viewer("Page.captureScreenshot", format="png",
                  clip={"x": left, "y": top, "width": wide, "height": tall, "scale": 0.5})  # fmt: skip
    whole = decoded(shot["data"])
    for name, x, y, width, height in box:
        rows, columns = (
            slice(int(a / 2) + 8, int((a + b) / 2) - 8)
            for a, b in ((y - top, height), (x - left, width))
        )
        picture = whole[rows, columns]
        assert picture.std() > 0.1, name
        assert len(np.unique((picture * 32).astype(int))) > 8, name
    assert viewer.console == []
    assert viewer.asked == [report.as_uri()]


def decoded(base64_png):
    """Green channel of a PNG, 0 to 1."""
    import io
    from base64 import b64decode

    from matplotlib.image import imread

    return imread(io.BytesIO(b64decode(base64_png)), format="png")[..., 1]


@pytest.mark.parametrize("index", [2, 7, 6])
def test_a_finding_is_shown_at_its_place_in_all_panes(viewer, phantom, index):
    row = next(r for r in phantom.some_findings() if r["index"] == str(index))
    viewer.run(
        f"document.querySelector('#finding-{index}').closest('details')?.setAttribute('open', '')"
    )
    viewer.click(f"#finding-{index} button.go")
    viewer.until(f"document.querySelector('#viewer').dataset.finding === '{index}'")
    assert np.abs(at(viewer) - [float(row[f"{axis}_mm"]) for axis in "xyz"]).max() < 0.2
    told = viewer.run("document.querySelector('#viewer-finding').textContent")
    assert told.startswith(f"{index}. {row['name']}")
    assert viewer.run(f"document.querySelector('#finding-{index}').classList.contains('shown')")
    # blood is dark where it is, in the value of each pane too; calcium is negative
    values = viewer.run(
        "Object.fromEntries([...document.querySelectorAll('.value')].map(e => [e.id, e.textContent]))"
    )
    chi = float(values["value-chi"].replace("\N{MINUS SIGN}", "-").split()[0])
    assert (chi < -0.1) if row["sign"] == "diamagnetic" else (chi > 0.1)


def test_a_click_in_a_row_and_in_a_pane_move_the_place(viewer):
    viewer.click("#finding-1 p.evidence")
    viewer.until("document.querySelector('#viewer').dataset.finding === '1'")
    before = at(viewer)
    viewer.click("#canvas-swi")
    viewer.until(
        f"document.querySelector('#viewer').dataset.at !== {json.dumps(' '.join(f'{v:.1f}' for v in before))}"
    )
    moved = at(viewer)
    assert moved[2] == pytest.approx(before[2], abs=0.1)  # the plane is axial
    assert np.abs(moved - before)[:2].max() > 5


def test_keys_move_the_place_along_the_patient(viewer):
    viewer.click("#finding-1 button.go")
    viewer.until("document.querySelector('#viewer').dataset.finding === '1'")
    viewer.run("document.querySelector('#canvas-magnitude').focus({preventScroll: true})")
    start = at(viewer)
    for key, axis, sign in (
        ("PageUp", 2, 1),
        ("ArrowUp", 1, 1),
        ("ArrowLeft", 0, 1),
        ("ArrowRight", 0, -1),
    ):
        before = at(viewer)
        viewer.key(key)
        step = at(viewer) - before
        assert np.argmax(np.abs(step)) == axis, key
        assert np.sign(step[axis]) == sign, key
        assert np.abs(step[axis]) <= 4.1, key
    assert np.abs(at(viewer) - start).max() < 6
    viewer.key("n")
    viewer.until("document.querySelector('#viewer').dataset.finding !== '1'")
    assert viewer.console == []


def test_the_text_is_copied_by_its_button(viewer):
    text = viewer.run("document.querySelector('#short-text').textContent")
    viewer(
        "Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"]
    )
    viewer.click("#copy-text")
    viewer.until("document.querySelector('#copy-state').textContent.length > 3")
    assert "6 microbleeds counted" in text


def test_without_webgl_the_pictures_stay(browser, report):
    made = browser(
        "Page.addScriptToEvaluateOnNewDocument",
        source="HTMLCanvasElement.prototype.getContext = () => null;",
    )
    browser.open(report)
    browser.run("document.querySelector('#viewer').scrollIntoView({behavior: 'instant'})")
    browser.until(READY, seconds=120)
    browser("Page.removeScriptToEvaluateOnNewDocument", identifier=made["identifier"])
    assert browser.run("document.querySelector('#viewer').dataset.state") == "failed"
    assert "WebGL2" in browser.run("document.querySelector('#viewer-state').textContent")
    assert "All pictures below stay" in browser.run(
        "document.querySelector('#viewer-state').textContent"
    )
    assert browser.run("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert browser.console == []


def test_without_scripts_nothing_empty_is_shown(browser, report):
    browser("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(report)
    browser("Emulation.setScriptExecutionDisabled", value=False)
    shown = "e => e.getClientRects().length > 0"
    assert not browser.run(f"[...document.querySelectorAll('button, #viewer')].some({shown})")
    assert browser.run(f"[...document.querySelectorAll('.thumb img')].filter({shown}).length") > 20


def test_print_has_the_pictures_and_not_the_viewer(browser, report):
    browser.open(report)
    browser("Emulation.setEmulatedMedia", media="print")
    shown = "e => e.getClientRects().length > 0"
    assert not browser.run(f"[...document.querySelectorAll('button, #viewer, nav')].some({shown})")
    assert (
        browser.run(
            f"[...document.querySelectorAll('.thumb img, .cell img')].filter({shown}).length"
        )
        > 80
    )
    browser("Emulation.setEmulatedMedia", media="")


@pytest.mark.parametrize("width", [390, 1000])
def test_a_narrow_window_needs_no_sideways_scrolling(browser, report, width):
    browser.open(report, width=width)
    assert browser.run("document.documentElement.scrollWidth") <= width
