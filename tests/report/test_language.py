"""Every text a report can speak has its Chinese, and patterns keep their numbers."""

import ast
import re
from dataclasses import replace
from pathlib import Path
from string import Formatter

import pytest

from petechia.errors import ParameterError
from petechia.lesions.model import NAMES, words
from petechia.pipeline import stages
from petechia.pipeline.settings import FAMILIES
from petechia.report import (
    criteria,
    follow,
    group_words,
    maps,
    page,
    tables,
    thumbnails,
    viewer,
    wording,
)
from petechia.report.data import RESEARCH_USE
from petechia.report.findings import read_entries
from petechia.report.language import catalogue, said, speaking, t
from petechia.report.narrative import methods_text, short_text
from petechia.report.planes import PLANES

ROOM = Path(page.__file__).parent
OTHER_PAGES = {"evaluation.html.j2", "index.html.j2"}


def spoken_texts():
    """The texts in the templates and modules, and the words of the vocabularies."""
    found = {RESEARCH_USE}
    for path in (ROOM / "templates").glob("*.j2"):
        if path.name not in OTHER_PAGES:
            found |= set(re.findall(r'\bt\("((?:[^"\\]|\\.)*)"', path.read_text("utf-8")))
    for path in ROOM.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            named = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "t"
            if named and isinstance(node.args[0], ast.Constant):
                found.add(node.args[0].value)
    for table in (
        criteria.SCALES, criteria.SHORT, criteria.INPUTS, criteria.ANSWERS, criteria.SOURCES,
        criteria.BOMBS_PLACES, wording.CLASS_SAYS, wording.SIGNS, wording.MARS, wording.CATEGORIES,
        wording.BINS, wording.PHASES, maps.TITLES, thumbnails.NAMES, follow.STATES, follow.COMPARED,
        group_words.OUTCOMES, group_words.PATTERNS,
        group_words.STATUS,
    ):  # fmt: skip
        found |= set(table.values())
    found |= {word for pair in wording.CLASSES.values() for word in pair}
    found |= {word for _, word in wording.STATUSES.values()}
    found |= {title for title, _ in viewer.PANES.values()} | {plane.name for plane in PLANES}
    found |= {name.capitalize() for name in tables.COMPARTMENTS}
    found |= {site for sites in tables.COMPARTMENTS.values() for site in sites} - set(wording.SITES)
    found |= set(wording.SITES.values()) | set(page.JUDGED)
    return {text.replace("_", " ") if text.islower() else text for text in found}


def holes(text):
    return sorted(name for _, name, _, _ in Formatter().parse(text) if name is not None)


def test_every_text_has_its_chinese():
    missing = sorted(
        text
        for text in spoken_texts() | ROWS
        if text not in catalogue() and re.search("[a-z]{2}", text)
    )
    assert missing == []


def test_nothing_in_the_catalogue_is_left_over():
    own = list(catalogue())[: list(catalogue()).index(FIRST_OF_PIPELINE)]
    assert sorted(set(own) - spoken_texts() - ROWS) == []


def test_translations_have_the_same_holes_and_are_chinese():
    for english, chinese in catalogue().items():
        assert holes(english) == holes(chinese), english
        if re.search("[a-z]{3}", re.sub(r"\{\w*\}", "", english)) and english not in SAME:
            assert re.search("[\u4e00-\u9fff]", chinese), english


SAME = {"{n} {kind}", "r2star", "swi", "p (McNemar)"}
FIRST_OF_PIPELINE = "left"
"""From here on the catalogue holds what the pipeline writes."""
ROWS = {
    "Main field", "Echo times", "Echo read for dark spots", "Phase", "Voxel", "Matrix", "Acquisition",
    "Slice thickness", "Gap between slices", "Slice tilt", "Scanner", "Sequence", "Read from",
    "Lacunes", "White-matter hyperintensities (Fazekas)", "Perivascular spaces",
    *page.SPOKE,
}  # fmt: skip
"""Texts that reach `t` by a name, not as themselves."""


def test_english_is_itself():
    assert t("Findings") == "Findings"
    assert t("{n} more are in the summary file.", n=3) == "3 more are in the summary file."
    assert said("anything; at all") == "anything; at all"


@pytest.mark.parametrize(
    ("english", "numbers", "left"),
    [
        ("Slices of 5.2 mm: veins cut across look like microbleeds, and small microbleeds fade "
         "(partial volume).", "5.2", ""),
        ("field negative at the equator and positive at the poles over 190 border voxels, moment "
         "2.56 ± 0.42 ppm mm³: paramagnetic; round (sphericity 0.81), 2.9 mm; signal loss 87 % (8 sd)"
         "; no tube continues; 96 % of its border in parenchyma; 1.8 mm from a vein",
         "190 2.56 0.42 0.81 2.9 87 8 96 1.8", ""),
        ("round (sphericity 0.81), 2.9 mm; no such clause 7; 1.8 mm from a vein", "0.81 2.9 7 1.8",
         "no such clause"),
        ("CT registered (overlap of brain and the space within the skull 0.98, repeated fits 0.1 mm "
         "apart, 100% of the brain on the CT). Read at 120 of 150 findings; 2 not counted as a "
         "microbleed because of 100 HU or more. Density below that does not speak for blood.",
         "0.98 0.1 100 120 150 2 100", ""),
        ("microbleed 7", "7", ""),
        ("A sentence nobody knows.", "", "A sentence nobody knows."),
    ],
)  # fmt: skip
def test_sentences_of_the_pipeline_keep_their_numbers_in_order(english, numbers, left):
    with speaking("zh"):
        told = said(english)
    assert " ".join(re.findall(r"\d+(?:\.\d+)?", told)) == numbers
    assert left in told
    assert not re.search("[a-z]{4}", told.replace(left, ""))


def test_a_chinese_page_is_chinese(data):
    text = re.sub(
        r"<(script|style|pre class).*?</(script|style|pre)>",
        "",
        page.render(replace(data, language="zh")),
        flags=re.S,
    )
    assert '<html lang="zh-Hans">' in text
    words = re.sub(r"<[^>]+>", "\n", text)
    heads = re.findall(r"<(?:h[123]|th|dt|caption|button|summary)[^>]*>([^<]+)", text)
    assert len(heads) > 80
    english = {h.strip() for h in heads if re.search("[a-z]{4,} ", h)}
    assert english <= {"left frontal 1"} | {
        h for h in english if re.match(r"\d+\.|tv\.|method_settings", h)
    }, english
    assert "仅供研究使用" in words


DEMO = {
    "evidence": "model: likeness to a vessel (low) for it, magnitude: roundness within 3 mm (high) for "
    "it, moment by the void above that by the field in errors (high) against it; field negative at the equator and "
    "positive at the poles over 344 border voxels, moment 2.18 +- 0.36 ppm mm3 (2.16 by its field, "
    "2.22 by its void): paramagnetic; round (sphericity 0.76), 2.9 mm; signal loss 77 % (13 sd); no "
    "tube continues; 96 % of its border in parenchyma",
    "handedness": "Phase follows the convention (higher frequency, rising phase): correlation with "
    "the field of air around the brain +0.87, size 0.61 of it. 99 % of 867 small dark tubes "
    "come out paramagnetic (most veins do), and the tails of the susceptibility lean +0.22: the phase "
    "follows the convention.",
    "methods": {
        ("brain mask", "template"): "affine fit, peak of agreement 0.80, 100% of the brain",
        ("phase offsets", "MCPC-3D-S"): "phase offset from the first echoes, smoothed and removed. "
        "Echoes are read in one direction (monopolar): 0.00058 rad (rms) between odd and even "
        "echoes.",
        ("anatomical sites", "registration to ICBM 2009c"): "mutual information, then demons; "
        "labels grouped into MARS sites",
        ("fluid", "two classes"): "first and last echo and R2*. Fluid was learnt from the "
        "template's ventricles.",
    },
}
"""What a run of the demo wrote into its summary and table."""
SECTIONS = ("answer", "text", "scan", "regions", "findings", "markers", "criteria", "methods")
ALLOWED = re.compile(
    r"(left|right|midline) [a-z ]+ \d+|NiiVue[^<]*|petechia run --clinical|doi|Siemens \S+|Page (Up|Down)"
    r"|ICBM|MARS|BOMBS|ppm mm|microbleed \d+"
)
"""English that stays: names of findings, programs, scanners, keys, atlases, scales."""


@pytest.fixture(scope="module")
def demo(data, make):
    """A report of a whole run, as the demo makes it."""
    rows = [row | {"evidence": DEMO["evidence"]} for row in make.findings()]
    fitness = [
        {"check": "phase", "status": "ok", "value": "4 echoes", "says": "Phase of every echo."},
        {"check": "handedness", "status": "ok", "value": "as given", "says": DEMO["handedness"]},
    ]
    methods = [
        {"stage": stage, "method": method, "summary": summary, "doi": ""}
        for (stage, method), summary in DEMO["methods"].items()
    ]
    source = data.summary["source"] | {"notes": []}
    model = {"calibrated": True, "says": "Not validated on scans of people with microbleeds."}
    summary = data.summary | {"fitness": fitness, "source": source, "model": model}
    return replace(data, findings=rows, summary=summary, methods=methods, language="zh")


def test_no_english_is_left_on_the_page_of_a_run(demo):
    html = page.render(demo)
    left = []
    for section in SECTIONS:
        found = re.search(rf'<section(?: id="{section}")? aria-labelledby="{section}-title".*?</section>',
                          html, re.S)  # fmt: skip
        text = ALLOWED.sub("", re.sub(r"<[^>]+>", "\n", found[0]))
        lines = text.splitlines()
        left += [line for line in lines if re.search("[A-Za-z]{3,}[ -][A-Za-z]{2,}", line)]
    assert left == []
    assert "据其场 2.16\uff0c据其低信号区 2.22" in html
    assert "实测的“似血管\uff08低\uff09”、“3 mm 内的圆度\uff08高\uff09”支持为微出血" in html


def test_lines_of_the_short_text_are_pointed_as_chinese(demo):
    with speaking("zh"):
        text = short_text(demo, read_entries(demo.findings))
    assert re.findall(r"[\u4e00-\u9fff\uff09][;:,.]|[\uff1b\u3002]\uff1b", text) == []


@pytest.mark.parametrize("name", NAMES)
def test_every_feature_of_the_model_has_a_chinese_name(name):
    for mark in ("for", "against"):
        with speaking("zh"):
            told = page._weighed(f"{words(name)} {mark} it")
        assert not re.search("[a-z]{3}", told), told


def cited():
    """Every stage, method and summary of the pipeline that stands as itself in its code."""
    rows = [
        {"stage": "unwrapping", "method": name, "summary": row.summary, "doi": row.doi}
        for family in FAMILIES.values()
        for name, row in family.items()
    ]
    for path in Path(stages.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if getattr(getattr(node, "func", None), "attr", "") not in ("cite", "used"):
                continue
            told = [a.value if isinstance(a, ast.Constant) else "" for a in node.args]
            named = node.func.attr == "cite"
            row = {"stage": told[0], "method": told[1] if named else "tv", "doi": ""}
            rows.append(row | {"summary": told[2] if named else ""})
    return rows


def test_the_methods_paragraph_is_chinese(data):
    rows = cited()
    assert len(rows) > 40
    with speaking("zh"):
        told = methods_text(replace(data, methods=rows, language="zh"))
    words = [told.opening, *(sentence.text for sentence in told.sentences)]
    english = [text for text in words if re.search("[a-z]{3,} [a-z]{2,}", text)]
    assert english == []


def test_a_language_ends_with_its_block():
    with speaking("zh"):
        assert t("Findings") != "Findings"
    assert t("Findings") == "Findings"
    with pytest.raises(ParameterError, match=r"no texts in 'fr'.*en, zh"), speaking("fr"):
        pass


@pytest.mark.parametrize(
    "text",
    [
        "likeness to a vessel (low)",
        "curvature at 1 mm (3) (high)",
        "voids nearby (not measured)",
        "negative moment, for its size no more than that of normal tissue",
        "negative moment, for its size more than calcium has",
        "negative moment, but a tube goes through it",
        "its field is that of two lobes",
        "its sign by an error of 2.90, without what edge and tails add",
        "its sign by the field alone, at 2.4 errors of the 3 asked for",
        "diamagnetic if the phase is as given",
        "Probabilities leave calcium out, and so does the interval of the count: without a sign "
        "it cannot be told from blood.",
        "Likely microbleeds are of opposite sign, 12 and 5: one of these two groups is no blood.",
    ],
)
def test_words_of_the_detector_have_their_chinese(text):
    with speaking("zh"):
        told = said(text)
    assert not re.search("[a-z]{3,}", told), told
