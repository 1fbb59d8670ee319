"""The page as a browser and a reader get it."""

import base64
import gzip
import hashlib
import io
import json
import re
import time
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.image import imread

from petechia.core.grid import Grid
from petechia.errors import GridMismatchError, InputError, ParameterError
from petechia.report.data import RESEARCH_USE, ReportData
from petechia.report.page import PAGE_BYTES, STILL_BYTES, render

VOID = {"meta", "link", "img", "br", "input", "hr", "col"}
INLINE = {"a", "b", "span"}


class Page(HTMLParser):
    """Elements in order, with their text; complains about tags that do not nest."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.open = [], []
        self.feed(html)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        element = {"tag": tag, "attrs": dict(attrs), "text": ""}
        self.elements.append(element)
        if tag not in INLINE:
            self.handle_data(" ")
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attrs):
        self.elements.append({"tag": tag, "attrs": dict(attrs), "text": ""})

    def handle_endtag(self, tag):
        assert self.open[-1]["tag"] == tag, f"</{tag}> closes <{self.open[-1]['tag']}>"
        self.open.pop()

    def handle_data(self, data):
        unseen = bool(self.open) and self.open[-1]["tag"] == "script"
        for element in self.open[-1:] if unseen else self.open:
            element["text"] += data

    def all(self, tag, **attrs):
        return [
            e
            for e in self.elements
            if e["tag"] == tag and all(e["attrs"].get(k) == v for k, v in attrs.items())
        ]

    def by_id(self, name):
        (found,) = [e for e in self.elements if e["attrs"].get("id") == name]
        return found

    @property
    def text(self):
        return " ".join(self.all("body")[0]["text"].split())


def pixels(uri):
    raw = base64.b64decode(uri.removeprefix("data:image/png;base64,"))
    picture = imread(io.BytesIO(raw), format="png")
    return picture if picture.ndim == 2 else picture[..., 0]


def thumbnails_of(html, index):
    """Address of every picture of a finding's row, by its caption."""
    row = html.split(f'<tr id="finding-{index}">')[1].split("</tr>")[0]
    uris = re.findall(r'<img src="([^"]+)"', row)
    names = re.findall(r"<figcaption>([^<]+)</figcaption>", row)
    return dict(zip(names, uris, strict=True))


@pytest.fixture(scope="module")
def html(data):
    return render(data)


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def without(data, *names):
    return {name: None if name in names else v for name, v in data.volumes.items()}


def test_nothing_is_loaded_from_outside(page, html):
    for element in page.elements:
        for name, value in element["attrs"].items():
            if name in ("src", "srcset", "poster", "data", "action", "xlink:href"):
                assert value.startswith("data:image/png;base64,")
            if name == "href":
                inside = value.startswith("#")
                assert inside or (element["tag"] == "a" and value.startswith("https://doi.org/"))
            assert not name.startswith("on")
    assert not {e["tag"] for e in page.elements} & {"link", "iframe", "object", "embed"}
    assert not re.search(r"url\((?!#)|@import", html.split("<script")[0])


def test_a_policy_forbids_loading_and_all_scripts_but_the_two_known(page):
    (policy,) = [e for e in page.all("meta") if e["attrs"].get("http-equiv")]
    assert policy["attrs"]["http-equiv"] == "Content-Security-Policy"
    rules = dict(rule.split(" ", 1) for rule in policy["attrs"]["content"].split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    (own,) = [e["text"] for e in page.all("script") if not e["attrs"]]
    packed = next(e["text"] for e in page.all("script") if e["attrs"].get("id") == "viewer-library")
    library = gzip.decompress(base64.urlsafe_b64decode(packed))
    hashes = [
        "'sha256-" + base64.b64encode(hashlib.sha256(code).digest()).decode() + "'"
        for code in (own.encode(), library)
    ]
    assert rules["script-src"] == " ".join(hashes)
    assert {e["attrs"].get("type") for e in page.all("script")} == {
        None, "text/plain", "application/json",
    }  # fmt: skip


def test_every_picture_is_described(page):
    pictures = page.all("img")
    assert len(pictures) > 80
    assert all(len(e["attrs"].get("alt", "")) > 10 for e in pictures)
    assert all(
        e["attrs"].get("aria-hidden") == "true" or e["attrs"].get("aria-label")
        for e in page.all("svg")
    )


def test_structure_helps_a_screen_reader(page):
    (html_tag,) = page.all("html")
    assert html_tag["attrs"]["lang"] == "en"
    levels = [int(e["tag"][1]) for e in page.elements if re.fullmatch("h[1-6]", e["tag"])]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(e["attrs"].get("scope") for e in page.all("th"))
    ids = [e["attrs"]["id"] for e in page.elements if "id" in e["attrs"]]
    assert len(ids) == len(set(ids))
    for element in page.all("a") + page.all("use"):
        target = element["attrs"]["href"]
        assert not target.startswith("#") or target[1:] in ids


def test_research_sentence_opens_and_ends_the_page(page):
    assert [e["text"] for e in page.all("p", role="note")] == [RESEARCH_USE, RESEARCH_USE]
    start, end = page.text.index(RESEARCH_USE), page.text.rindex(RESEARCH_USE)
    assert start < page.text.index("microbleeds counted")
    assert end + len(RESEARCH_USE) == len(page.text)


def test_headline_states_the_summary(page):
    title = page.by_id("answer-title")["text"].split()
    assert title == ["6", "microbleeds", "counted", "95", "%", "interval", "4", "to", "7"]
    for words in ("Definite (MARS) 4", "Possible (MARS) 2", "Mixed: lobar, and deep", "5 or more"):
        assert words in page.text
    assert "Largest apparent diameter at TE 20 ms 5.2 mm" in page.text


def test_each_finding_has_its_row(data, page):
    for row in data.findings:
        text = " ".join(page.by_id(f"finding-{row['index']}")["text"].split())
        assert text.startswith(f"{row['index']}. {row['name']} {row['class'].capitalize()}")
        assert f"Probability {row['probability']}" in text
        assert f"Diameter {float(row['diameter_mm']):.1f} mm" in text
        assert row["side"] in text
        assert row["evidence"].replace("+-", "±").replace("mm3", "mm³") in text
    assert "Moment 2.31 ± 0.12 ppm mm³" in " ".join(page.by_id("finding-1")["text"].split())
    assert "\N{MINUS SIGN}1.80 ± 0.12" in page.by_id("finding-7")["text"]
    assert "Moment not measured" in " ".join(page.by_id("finding-9")["text"].split())


def test_counted_come_first_then_the_rejected_by_class(page):
    rows = [
        int(e["attrs"]["id"].split("-")[1])
        for e in page.all("tr")
        if e["attrs"].get("id", "").startswith("finding-")
    ]
    assert rows == [4, 1, 2, 6, 3, 5, 10, 7, 9, 8]
    titles = [" ".join(e["text"].split()) for e in page.all("summary")]
    assert titles[:3] == [
        "Macrobleed: 1 A bleed whose apparent diameter is above 10 mm.",
        "Calcification: 1 Diamagnetic: calcium, not blood.",
        "Vessels: 2 A tube in three dimensions: a vein or a flow void.",
    ]


def test_the_form_sums_to_the_count(page):
    rows = {}
    for element in page.all("tr"):
        if element["attrs"].get("class") in ("site", "compartment", "all"):
            words = element["text"].split()
            rows[" ".join(words[:-7])] = "".join(words[-7:])
    # definite right, left, midline; possible right, left, midline; all
    assert rows["Lobar"] == "1100103"
    assert rows["Thalamus"] == "1000001"
    assert rows["Brainstem"] == "0010001"
    assert rows["Infratentorial"] == "0011002"
    assert rows["All"] == "2111106"


def test_statuses_are_words_not_colours_alone(page):
    words = [" ".join(e["text"].split()) for e in page.all("span") if "status" in
             (e["attrs"].get("class") or "").split()]  # fmt: skip
    assert words == ["✓ OK", "✓ OK", "! Limited", "✓ OK", "? Unknown"]


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_words_stand_out_from_their_ground(html):
    """WCAG 2 AA: a contrast of at least 4.5 for statuses and for soft text on white."""
    pairs = re.findall(
        r"\.status\.\w+ { color: (#\w{6}); background: (#\w{6});", html.split("</style>")[0]
    )
    assert len(pairs) == 4
    soft = re.search(r"--soft: (#\w{6})", html)[1]
    zero = re.search(r"td\.zero { color: (#\w{6})", html)[1]
    for front, back in [*pairs, (soft, "#f4f6f8"), (zero, "#f7f9fa")]:
        low, high = sorted((luminance(front), luminance(back)))
        assert (high + 0.05) / (low + 0.05) >= 4.5, (front, back)


def test_no_place_or_name_of_a_file_is_shown(data):
    summary = {
        **data.summary,
        "warnings": ["/data/DOE_JANE/IM1: odd", r"C:\Scans\Doe\a.dcm is odd", "~/doe/x: odd",
                     "../doe/x.nii is odd", "file:///home/doe/a odd", "R2* of 20 1/s and ppm/mm"],
        "not_assessable": ["see /mnt/doe/scan"],
    }  # fmt: skip
    text = render(replace(data, summary=summary))
    body = re.sub(r"data:image/png;base64,[^\"]+|<script type=\"text/plain.*?</script>", "", text)
    assert not re.search(r"\bdoe|doe\b|jane|/data|/home|/mnt", re.sub("does", "", body), re.I)
    assert body.count("[path]") == 7  # the refusal stands in the short text too
    assert "R2* of 20 1/s and ppm/mm" in body
    assert "a file given by the user" in body


def test_hashes_are_shown_without_their_files(page, data):
    hashes = sorted(data.summary["input_sha256"].values())
    assert hashes[0] in page.text
    assert "16 more are in the summary file" in page.text
    # printf '%064x\n' $(seq 1 40) | sort | sha256sum
    assert "6b65d66a8b79cc8a25857ed9247f87d2de106666258789d580a19d2dece2f516" in page.text


N_SCRIPTS = 8
"""Four maps, the labels, the viewer's settings, NiiVue, and our own."""
HOSTILE = '<script>alert("x")</script><img src=x onerror=y> & \' " {{ 7*7 }}'


def test_strange_text_is_escaped(data, make):
    rows = [make.finding(1, evidence=HOSTILE, name=HOSTILE), make.finding(2, site="parietal")]
    rows[0] |= {"class": HOSTILE, "counted": "0", "sign": HOSTILE, "mars": HOSTILE}
    summary = make.summary(rows)
    summary["warnings"] = [HOSTILE]
    summary["not_assessable"] = [HOSTILE]
    summary["settings"] = {HOSTILE: HOSTILE}
    summary["software"] = {HOSTILE: HOSTILE}
    summary["seconds"] = {HOSTILE: 1.0}
    summary["fitness"] = [dict.fromkeys(("check", "status", "value", "says"), HOSTILE)]
    summary["source"] |= {"kind": HOSTILE, "phase_note": HOSTILE, "notes": [HOSTILE]}
    methods = [{"stage": HOSTILE, "method": HOSTILE, "summary": HOSTILE, "doi": HOSTILE}]
    text = render(
        replace(
            data, prefix=HOSTILE, findings=rows, summary=summary, methods=methods, says=(HOSTILE,)
        )
    )
    page = Page(text)
    assert len(page.all("script")) == N_SCRIPTS
    assert "<script>alert" not in text
    (settings,) = page.all("script", id="viewer-settings")
    assert json.loads(settings["text"])["findings"][0]["name"].startswith(HOSTILE)
    assert not [e for e in page.all("img") if not e["attrs"]["src"].startswith("data:")]
    assert HOSTILE in page.by_id("finding-1")["text"]
    assert "49" not in page.all("h1")[0]["text"]


def test_a_mark_on_the_patients_left_is_on_the_right_of_the_picture(make):
    """Through the whole page, for a volume stored left-right and front-back reversed."""
    shape, place = (41, 45, 39), (-12.0, 9.0, 6.0)
    affine = np.diag([-2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.asarray(shape) - 1) / 2)
    for stored in (affine, affine @ np.diag([-1.0, -1, 1, 1])):
        grid = Grid(shape, stored)
        grid = Grid(shape, _centred(grid))
        magnitude = np.zeros(shape, np.float32)
        magnitude[tuple(np.round(grid.to_index(place)).astype(int))] = 1
        row = make.finding(1, x_mm="0", y_mm="0", z_mm="6")
        brain = np.ones(shape, bool)
        text = render(
            ReportData(
                prefix="sub-01",
                summary=make.summary([row]),
                findings=[row],
                labels=None,
                volumes={"magnitude": magnitude, "brain_mask": brain},
                grid=grid,
            )
        )
        for name, uri in thumbnails_of(text, 1).items():
            picture = pixels(uri)
            ((r, c),) = np.argwhere(picture > 0.5)
            middle = (np.asarray(picture.shape) - 1) / 2
            assert c - middle[1] == pytest.approx(6), name  # 12 mm to the picture's right
            assert middle[0] - r == pytest.approx(9 / 2, abs=0.51), name


def _centred(grid):
    affine = grid.affine.copy()
    affine[:3, 3] = -affine[:3, :3] @ ((np.asarray(grid.shape) - 1) / 2)
    return affine


def test_pictures_keep_the_voxels_proportions(make):
    shape, spacing = (33, 65, 9), (2.0, 0.5, 6.0)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.asarray(shape) - 1) / 2)
    row = make.finding(1, x_mm="0", y_mm="0", z_mm="0")
    magnitude = np.ones(shape, np.float32)
    text = render(
        ReportData(
            prefix="sub-01", summary=make.summary([row]), findings=[row], labels=None,
            volumes={"magnitude": magnitude}, grid=Grid(shape, affine),
        )
    )  # fmt: skip
    ratios = re.findall(r"aspect-ratio:([\d.]+)/([\d.]+)", text.split('id="finding-1"')[1])
    whole, near = [(float(a), float(b)) for a, b in ratios[:2]]
    assert whole == (66.0, 32.5)
    assert near == (42.0, 40.5)
    assert pixels(thumbnails_of(text, 1)["Magnitude"]).shape == (81, 21)


def test_the_same_input_gives_the_same_page(data, html):
    assert render(data) == html


def test_not_assessable_says_so_first_and_gives_no_count(data, make):
    reason = "3.6 mm voxels, TE 7.65 ms: microbleeds not assessable."
    summary = make.summary([], category="not_assessable", count_interval_95=None,
                           not_assessable=[reason])  # fmt: skip
    page = Page(render(replace(data, findings=[], labels=None, summary=summary)))
    title = page.by_id("answer-title")["text"]
    assert title == "Microbleeds not assessable in this scan"
    assert page.text.index(reason) < page.text.index("What was scanned")
    assert "This is not a negative result" in page.text
    assert "microbleeds counted" not in page.text
    assert "no count by region is given" in page.text
    assert "Nothing is counted, because the scan cannot show microbleeds" in page.text
    assert "Macrobleeds above 10 mm not assessable in this scan" in page.text
    assert not [e for e in page.all("table") if e["attrs"].get("class") == "form"]


def test_not_assessable_without_a_reason_takes_it_from_the_checks(data, make):
    summary = make.summary([], category="not_assessable", count_interval_95=None)
    summary["fitness"][1] |= {"status": "refused", "says": "Too short to show anything."}
    page = Page(render(replace(data, findings=[], summary=summary)))
    assert page.text.index("Too short to show anything.") < page.text.index("What was scanned")


def test_an_empty_table_on_a_fit_scan_says_why_it_can_be_trusted(data, make):
    rejected = [row for row in make.findings() if row["counted"] == "0"]
    summary = make.summary(rejected)
    for check in summary["fitness"]:
        check["status"] = "ok"
    says = ("Every voxel of the mask was searched.",)
    page = Page(render(replace(data, findings=rejected, summary=summary, says=says)))
    (box,) = [e for e in page.all("div") if (e["attrs"].get("class") or "") == "trust trusted"]
    assert "the scan was fit to show them" in box["text"]
    assert says[0] in box["text"]
    assert (
        "examined 4 dark or field-disturbing spots (1 calcification, 1 macrobleed, 2 vessels)"
        in box["text"]
    )
    assert page.by_id("answer-title")["text"].split()[:3] == ["0", "microbleeds", "counted"]


def test_an_empty_table_on_a_limited_scan_says_why_not(data, make):
    page = Page(render(replace(data, findings=[], summary=make.summary([]))))
    (box,) = [e for e in page.all("div") if (e["attrs"].get("class") or "") == "trust caution"]
    assert "Slices: Thicker than 1.5 mm" in box["text"]
    assert "Motion ghosting: No air beside the head" in box["text"]
    assert "Not one candidate was found" in box["text"]


def test_magnitude_only_says_what_is_absent(data, make):
    volumes = without(data, "swi", "chi", "local_field", "r2star", "regions")
    summary = make.summary(data.findings)
    summary["protocol"] |= {"phase": "none", "n_echoes": 1, "te_s": [0.02]}
    text = render(replace(data, volumes=volumes, summary=summary, region_table=()))
    page = Page(text)
    assert (
        "Quantitative susceptibility map (QSM): it needs phase, and this scan has none."
        in page.text
    )
    assert "R2*: it needs several echoes, and this scan has one." in page.text
    assert "Minimum-intensity projection (mIP) of the magnitude" in page.text
    assert list(thumbnails_of(text, 1)) == ["Where", "Magnitude", "mIP"]


def test_a_scan_without_any_volume_still_reports(data):
    bare = replace(data, volumes={}, labels=None, region_table=())
    page = Page(render(bare))
    assert "No map was made in this run." in page.text
    assert page.by_id("finding-1")["text"].count("No pictures") == 1


def test_a_hundred_and_fifty_findings_stay_bounded(data, make):
    rng = np.random.default_rng(3)
    rows = []
    for index in range(1, 151):
        x, y, z = rng.uniform((-50, -60, -30), (50, 60, 40))
        counted = index % 3 == 0
        rows.append(
            make.finding(
                index, kind="microbleed" if counted else "vessel", counted=str(int(counted)),
                x_mm=f"{x:.2f}", y_mm=f"{y:.2f}", z_mm=f"{z:.2f}",
                probability=f"{rng.uniform(0.5, 1) if counted else rng.uniform(0, 0.5):.3f}",
            )
        )  # fmt: skip
    text = render(replace(data, findings=rows, summary=make.summary(rows), labels=None))
    assert len(text) < PAGE_BYTES
    with_pictures = {i for i in range(1, 151) if thumbnails_of(text, i)}
    counted = {int(row["index"]) for row in rows if row["counted"] == "1"}
    assert counted <= with_pictures
    uncounted = sorted(
        (row for row in rows if row["counted"] == "0"), key=lambda r: -float(r["probability"])
    )
    assert {int(row["index"]) for row in uncounted[:24]} == with_pictures - counted
    assert "76 findings are listed without pictures" in text


def test_pictures_give_way_when_the_page_would_grow_too_big(data, monkeypatch):
    monkeypatch.setattr("petechia.report.page.TEXT_BYTES", STILL_BYTES)
    text = render(data)
    assert "listed without pictures to keep this page small" in text


def test_worst_case_noise_at_full_size_stays_small_and_fast(make):
    """256 x 256 x 140 of pure noise: nothing compresses, and still < 15 MB and < 8 s."""
    shape = (256, 256, 140)
    rng = np.random.default_rng(0)
    noise = rng.random(shape, dtype=np.float32)
    affine = np.diag([0.8, 0.8, 1.2, 1.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.asarray(shape) - 1) / 2)
    rows = [make.finding(i, x_mm=str(2 * i - 40), y_mm="5", z_mm=str(i - 20)) for i in range(1, 41)]
    names = ("magnitude", "swi", "mip", "chi", "r2star", "local_field")
    volumes = dict.fromkeys(names, noise) | {"brain_mask": noise >= 0}
    data = ReportData(
        prefix="sub-01", summary=make.summary(rows), findings=rows, labels=None,
        volumes=volumes, grid=Grid(shape, affine),
    )  # fmt: skip
    begin = time.process_time()
    text = render(data)
    assert time.process_time() - begin < 8
    assert len(text) < PAGE_BYTES


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 3), (5, 40, 2)])
def test_tiny_volumes(make, shape):
    row = make.finding(1, x_mm="0", y_mm="0", z_mm="0")
    volume = np.ones(shape, np.float32)
    data = ReportData(
        prefix="sub-01", summary=make.summary([row]), findings=[row],
        labels=np.ones(shape, np.int32),
        volumes={"magnitude": volume, "chi": volume, "brain_mask": volume > 0},
        grid=Grid(shape),
    )  # fmt: skip
    assert thumbnails_of(render(data), 1).keys() == {"Where", "Magnitude", "QSM"}


def test_not_a_number_and_empty_masks_do_no_harm(data):
    volumes = dict(data.volumes)
    volumes["chi"] = np.full(data.grid.shape, np.nan, np.float32)
    volumes["brain_mask"] = np.zeros(data.grid.shape, bool)
    Page(render(replace(data, volumes=volumes)))


def test_findings_outside_or_unplaced_have_a_row_without_pictures(data, make):
    rows = [make.finding(1, x_mm="n/a"), make.finding(2, x_mm="900", site="parietal")]
    page = Page(render(replace(data, findings=rows, summary=make.summary(rows), labels=None)))
    for index in (1, 2):
        assert "No pictures" in page.by_id(f"finding-{index}")["text"]


def test_the_picture_is_of_a_slice_that_holds_the_label(make):
    """A finding whose centre lies in a slice without any of its voxels."""
    grid = Grid((9, 9, 9))
    labels, magnitude = np.zeros(grid.shape, np.int32), np.zeros(grid.shape, np.float32)
    labels[4, 4, [1, 6]] = 1
    magnitude[4, 4, 6] = 1
    row = make.finding(1, x_mm="4", y_mm="4", z_mm="4")
    data = ReportData(
        prefix="sub-01", summary=make.summary([row]), findings=[row], labels=labels,
        volumes={"magnitude": magnitude}, grid=grid,
    )  # fmt: skip
    assert pixels(thumbnails_of(render(data), 1)["Magnitude"]).max() > 0.5


def test_methods_cite_each_paper_once(data):
    rows = [
        {
            "stage": "unwrapping",
            "method": "romeo",
            "summary": "a path.",
            "doi": "10.1002/mrm.28563",
        },
        {"stage": "field map", "method": "fit", "summary": "", "doi": "not a doi"},
        {"stage": "again", "method": "romeo", "summary": "b", "doi": "10.1002/mrm.28563"},
    ]
    page = Page(render(replace(data, methods=rows)))
    text = " ".join(page.by_id("methods")["text"].split())
    assert "Unwrapping: ROMEO (a path) [1]. Field map: fit. Again: ROMEO (b) [1]." in text
    assert [e["attrs"]["href"] for e in page.all("a") if "doi" in e["attrs"]["href"]] == [
        "https://doi.org/10.1002/mrm.28563"
    ]
    assert "A gradient-echo scan (3 T; 5 echoes, TE 4, 8, 12, 16, 20 ms; voxel 1.00" in text


def test_only_what_is_wrong_with_the_probabilities_is_said(data):
    assert "Probabilities are not calibrated" in render(data)
    model = {"name": "m", "calibrated": True, "says": ""}
    text = render(replace(data, summary={**data.summary, "model": model}))
    assert "Probabilities are calibrated." in text
    assert "not calibrated" not in text


def test_a_summary_with_nothing_in_it_is_no_crash(data):
    Page(render(replace(data, summary={}, findings=[])))


def test_bad_input_is_refused(data, make):
    with pytest.raises(GridMismatchError, match=r"volumes\['chi'\].*does not end in"):
        replace(data, volumes={"chi": np.zeros((3, 3, 3))})
    with pytest.raises(GridMismatchError, match=r"ReportData\.labels"):
        replace(data, labels=np.zeros((3, 3, 3), int))
    with pytest.raises(ParameterError, match=r"unknown volume 'qsm'.*A report shows magnitude"):
        replace(data, volumes={"qsm": data.volumes["chi"]})
    with pytest.raises(
        InputError, match=r"6 findings are marked as counted but counts\.total is 0"
    ):
        replace(data, summary=make.summary([]))


def test_what_the_model_weighed_is_told_apart_from_the_evidence(data, make):
    evidence = (
        "model: magnitude: roundness within 3 mm for it, susceptibility: curvature at 1 mm (3) "
        "against it; round (sphericity 0.81), 2.9 mm"
    )
    criteria = "2 to 10 mm: met; round or oval: not met; no edema: not assessed"
    rows = [make.finding(1, evidence=evidence, criteria=criteria, probability="0.999")]
    page = Page(render(replace(data, findings=rows, summary=make.summary(rows))))
    text = " ".join(page.by_id("finding-1")["text"].split())
    assert "Evidence: round (sphericity 0.81), 2.9 mm Definition:" in text
    assert "met: 2 to 10 mm; not met: round or oval; not assessed: no edema" in text
    assert (
        "in the model: the measured “roundness within 3 mm” spoke for it; the measured “curvature at "
        "1 mm (3)” spoke against it" in text
    )
    assert "Probability above 0.99" in text  # never a certainty


def claim(answer, could_be, missing=(), **inputs):
    return {
        "answer": answer, "claimed": len(could_be) == 1, "could_be": list(could_be),
        "missing": list(missing), "doi": "10.1000/x", "note": "",
        "inputs": {k: {"value": v, "source": "clinical"} for k, v in inputs.items()},
    }  # fmt: skip


def test_scales_stand_in_the_page_and_in_the_short_text(data):
    criteria = {
        **data.summary["criteria"],
        "boston_2": claim("at_least_possible", ("possible", "probable"), ["css_foci"], age_years="74"),
        "total_svd": claim("at_least_1", (1, 2, 3, 4), ["lacunes"], fazekas_deep="2"),
        "aria_h": claim("indeterminate", ("not_applicable", "none", "mild"), ["amyloid_immunotherapy"]),
        "clinical_facts": {"age_years": "74", "fazekas_deep": "2"},
    }  # fmt: skip
    page = Page(render(replace(data, summary={**data.summary, "criteria": criteria})))
    text = " ".join(page.by_id("criteria")["text"].split())
    assert "At least possible still possible: possible or probable" in text
    assert "Age: 74 (clinical file)" in text
    assert "still possible: 1 to 4" in text
    short = page.by_id("short-text")["text"]
    assert (
        "Boston 2.0: At least possible (possible: possible or probable); missing: foci of cortical"
        in short
    )
    assert "ARIA-H: Indeterminate; missing: treatment with antibodies against amyloid." in short
    assert "6 microbleeds counted (95 % interval 4 to 7) at the operating point" in short
    assert RESEARCH_USE in short
    assert "Deep Fazekas grade 2" in page.by_id("markers")["text"].replace("deep", "Deep")


def test_the_short_text_of_a_refused_scan_gives_no_count(data):
    summary = {**data.summary, "category": "not_assessable", "not_assessable": ["Too coarse."]}
    short = Page(render(replace(data, summary=summary))).by_id("short-text")["text"]
    assert "Microbleeds not assessable in this scan: Too coarse." in short
    assert "counted (" not in short
