"""Every text a report can speak has its Chinese, and patterns keep their numbers."""

import ast
import re
from dataclasses import replace
from pathlib import Path
from string import Formatter

import pytest

from petechia.errors import ParameterError
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
from petechia.report.language import catalogue, said, speaking, t
from petechia.report.narrative import methods_text
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
    "for: {names}", "against: {names}",
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
