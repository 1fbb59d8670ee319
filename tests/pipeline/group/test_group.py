"""A whole cohort: known effects are found again, and what is written holds together."""

import csv
import hashlib
import json
import re
import sys

import numpy as np
import pytest

from petechia.core.counts import chance_of_any
from petechia.errors import DependencyError, OutputError, ParameterError
from petechia.files.nifti import read_nifti
from petechia.pipeline.group.plan import Plan
from petechia.pipeline.group.scans import in_template, read_scans
from petechia.pipeline.group.tables import Table, query, write_tables
from petechia.pipeline.group.write import analyse, write_group

PLAN = Plan(groups=("hypertension", "age"), outcome=("presence", "count", "deep"), draws=4)


@pytest.fixture(scope="module")
def group(cohort):
    return analyse(cohort.output, cohort.participants, PLAN)


@pytest.fixture(scope="module")
def written(group, cohort):
    return write_group(group, cohort.output)[0].parent


@pytest.fixture(scope="module")
def small(make, tmp_path_factory):
    """24 people, half of them of session 1 and 2, for what is about files alone."""
    root = tmp_path_factory.mktemp("small")
    people, scans = make.with_effects(24, seed=9)
    output = make.write(root / "out", scans)
    return output, make.people(root / "raw" / "participants.tsv", people)


def rows(folder, name):
    text = (folder / f"{name}.tsv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines(), delimiter="\t"))


def term(group, exposure, outcome="count", adjusted=1):
    return next(
        row for row in group.tables["models"].rows
        if (row["outcome"], row["exposure"], row["adjusted"], row["asked"])
        == (outcome, exposure, adjusted, 1)
    )  # fmt: skip


def test_known_effects_are_found_within_their_intervals(group, cohort):
    for exposure, true in (("age", cohort.per_decade), ("hypertension", cohort.hypertension)):
        found = term(group, exposure)
        assert found["status"] == "fitted"
        assert found["measure"] == "rate ratio"
        assert found["ratio_low"] < true < found["ratio_high"]
        assert found["ratio_low"] > 1
        assert found["q"] >= found["p"]
    assert term(group, "age")["per"] == "10 year"
    assert term(group, "hypertension")["term"] == "hypertension[yes]"


def test_protocols_that_cannot_be_told_apart_are_said_to_be_so(group):
    found = term(group, "hypertension")
    assert found["adjusted_for"] == "age, sex, b0_t, sequence, slice_thickness_mm"
    assert "left out" in found["notes"]
    told = {r["term"] for r in group.tables["models"].rows if r["exposure"] == "hypertension"}
    assert "b0_t" in told
    assert "slice_thickness_mm" not in told


def test_prevalence_is_that_of_the_summaries_counted_again(group, cohort):
    counted, n = 0, 0
    for path in cohort.output.glob("sub-*/anat/*_summary.json"):
        told = json.loads(path.read_text())
        if told["category"] != "not_assessable":
            n += 1
            counted += told["counts"]["total"] > 0
    whole = group.tables["prevalence"].rows[0]
    expected = [
        chance_of_any(s.probabilities, s.count_doubt)
        for s in read_scans(cohort.output)
        if s.assessed
    ]
    assert whole["with_detection"] == pytest.approx(np.mean(expected), rel=1e-5)
    assert whole["with_detection_low"] < whole["with_detection"] < whole["with_detection_high"]
    assert (whole["cases"], whole["n"], whole["not_assessable"]) == (counted, n, 1)
    assert whole["wilson_low"] < whole["share"] < whole["wilson_high"]
    assert n == 159
    groups = [
        r for r in group.tables["prevalence"].rows
        if (r["outcome"], r["factor"]) == ("presence", "hypertension")
    ]  # fmt: skip
    assert sum(r["n"] for r in groups) == n
    assert sum(r["cases"] for r in groups) == counted


def test_tables_agree_with_one_another(group):
    tables = {name: table.rows for name, table in group.tables.items()}
    total = sum(r["count"] for r in tables["scans"] if r.get("count") is not None)
    assert len(tables["lesions"]) == total == group.facts["n_lesions"]
    for kind in ("compartment", "site"):
        assert sum(r["count"] for r in tables["sites"] if r["kind"] == kind) == total
    two = next(r for r in tables["associations"] if r["outcome"] == "presence")
    share = {r["group"]: r for r in tables["prevalence"]
             if (r["outcome"], r["factor"]) == ("presence", "hypertension")}  # fmt: skip
    assert (two["cases"], two["n"]) == (share["yes"]["cases"], share["yes"]["n"])
    assert (two["cases_0"], two["n_0"]) == (share["no"]["cases"], share["no"]["n"])
    rise = next(r for r in tables["trends"] if r["factor"] == "age:10")
    assert rise["z"] > 2
    assert {r["scan"] for r in tables["left_out"] if r["scan"]} == {"sub-004", "sub-900"}


def test_a_lesions_place_in_the_template_is_its_own(cohort, make):
    for row in read_scans(cohort.output)[:20]:
        there = in_template(row)
        for lesion, place in zip(row.lesions, there, strict=True):
            x, y, z = make.places[(lesion.words["compartment"], lesion.words["site"])]
            x = -x if lesion.words["side"] == "left" else x
            assert np.linalg.norm(place - [x, y, z]) < 30  # 5 sd of 6 mm


def test_the_map_is_highest_where_most_lesions_were_put(group):
    told = group.lesions
    at = told.grid.to_mm(np.unravel_index(told.share.argmax(), told.share.shape))
    near = [np.linalg.norm(np.abs(at) - np.abs(place)) for place in
            ((35, 30, 30), (50, -20, -15), (10, -18, 8), (25, 2, 2))]  # fmt: skip
    assert min(near) < 12
    assert told.n_people == 159
    assert 0 < told.share.max() < 1


def test_carrying_uncertainty_along_pulls_no_certain_count_away(group):
    told = next(
        r for r in group.tables["uncertainty"].rows
        if (r["outcome"], r["exposure"]) == ("count", "hypertension")
    )  # fmt: skip
    assert told["said"].startswith("converged")
    assert 1 < told["with_detection"] < told["as_counted"] * 1.1  # extra findings are pure noise


def test_the_page_says_what_it_must_and_loads_nothing(written):
    page = (written / "group.html").read_text(encoding="utf-8")
    assert page.count("Research use only") >= 2
    assert "<script" not in page
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page)
    pictures = re.findall(r"<img [^>]*>", page)
    assert len(pictures) == 18
    assert all(re.search(r'alt="[^"]{10,}"', picture) for picture in pictures)
    assert all("aria-label" in svg for svg in re.findall(r"<svg [^>]*>", page))
    assert "told by nobody" not in page  # free text of people
    assert "85 of 159" in page
    assert "Left out of every denominator" in page
    for name in re.findall(r'<a href="([^"#]+)"', page):
        assert (written / name).is_file()


def test_the_chinese_page_is_chinese_and_its_tables_are_the_same(group, cohort, tmp_path):
    page, _ = write_group(group, cohort.output, tmp_path / "zh", "zh")
    text = re.sub(r"<style.*?</style>", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert '<html lang="zh-Hans">' in text
    assert text.count("仅供研究使用") >= 2
    assert "85 / 159" in text or "159 人中 85 人" in text
    told = re.sub(r"<(dl class=.small.|ul class=.plain.>\s*<li>[^<]*<a).*?</(dl|ul)>", "", text,
                  flags=re.DOTALL)  # fmt: skip
    words = [w.strip() for w in re.findall(r">([^<]+)<", told)]
    words = [re.sub(r"\[[^\]]*\]", "", w) for w in words]  # columns of a model by their names
    english = {w for w in words if re.search("[A-Za-z]{3,} [a-z]{2,}", w)}
    assert english == {
        "sub-004: 7 mm slices: microbleeds cannot be told.", "sub-900: read: a truncated file",
        "7 mm slices: microbleeds cannot be told.", "Petechia three", "Petechia old",
    }  # fmt: skip
    labels = re.findall(r'(?:aria-label|alt)="([^"]*)"', told)
    assert not [w for w in labels if re.search("[A-Za-z]{4,} [a-z]{3,}", w)]
    here = {p.name: p.read_bytes() for p in (tmp_path / "zh").glob("*.tsv")}
    write_group(group, cohort.output, tmp_path / "en")
    assert here == {p.name: p.read_bytes() for p in (tmp_path / "en").glob("*.tsv")}


def test_free_text_of_people_is_in_no_table(written):
    assert not [p for p in written.glob("*.tsv") if "told by nobody" in p.read_text()]


def test_parquet_says_what_tsv_says(written):
    duckdb = pytest.importorskip("duckdb")
    for path in sorted(written.glob("*.tsv")):
        found = duckdb.sql(f"select * from '{path.with_suffix('.parquet')}'")
        told = rows(written, path.stem)
        assert found.columns == path.read_text().splitlines()[0].split("\t")
        cells = found.fetchall()
        assert len(cells) == len(told)
        for row, line in zip(cells, told, strict=True):
            for value, text in zip(row, line.values(), strict=True):
                if value is None:
                    assert text == "n/a"
                elif isinstance(value, str):
                    assert value == text
                else:
                    assert float(text) == pytest.approx(value)


def test_the_map_is_written_on_the_template(written):
    volume = read_nifti(written / "lesion_frequency.nii.gz")
    assert volume.grid.shape == (97, 115, 97)
    assert json.loads((written / "lesion_frequency.json").read_text())["People"] == 159


def digests(folder):
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir())}


def test_the_same_cohort_gives_the_same_bytes(small, tmp_path):
    output, people = small
    plan = Plan(groups=("hypertension",), outcome=("count",), draws=3)
    for name in ("one", "two"):
        write_group(analyse(output, people, plan), output, tmp_path / name)
    one, two = digests(tmp_path / "one"), digests(tmp_path / "two")
    assert one == two
    assert len(one) > 20


def test_the_folder_is_known_to_bidsignore_and_old_tables_go(small, make, petechia):
    output, people = small
    said = petechia("group", output, "--participants", people, "--outcome", "presence",
                    "--groups", "hypertension")  # fmt: skip
    assert said.code == 0, said.err
    assert "24 scans of 24 people: 24 assessed" in said.out
    assert said.out.rstrip().endswith(f"report: {output / 'group' / 'group.html'}")
    assert "group" in (output / ".bidsignore").read_text().splitlines()
    assert (output / "group" / "models.tsv").is_file()
    assert petechia("group", output).code == 0  # without people: no models
    assert not (output / "group" / "models.tsv").exists()
    assert not (output / "group" / "models.parquet").exists()


def test_another_folder_is_not_written_into(small, tmp_path):
    output, _ = small
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tsv").write_text("x")
    with pytest.raises(OutputError, match=r"something else in it"):
        write_group(analyse(output, None, Plan()), output, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.tsv").read_text() == "x"


def test_a_query_answers_and_reaches_nothing_else(small, petechia, tmp_path):
    output, people = small
    pytest.importorskip("duckdb")
    select = "select count(*) as n, sum(count) as total from scans"
    said = petechia("group", output, "--out", tmp_path / "g", "--sql", select)
    total = sum(len(row.lesions) for row in read_scans(output))
    assert said.out == f"n\ttotal\n24\t{total}\n"
    table = Table("t", "title", {"a": "meaning"}, [{"a": 1.5}])
    write_tables(tmp_path, [table])
    assert query(tmp_path, [table], "select a from t") == (["a"], [(1.5,)])
    for wrong in (
        f"select * from read_csv('{people}')", "copy t to 'x.tsv'", "select 1; select 2",
        "select nothing from t", "install httpfs", "set enable_external_access = true",
    ):  # fmt: skip
        with pytest.raises(ParameterError, match=r"^--sql: "):
            query(tmp_path, [table], wrong)


def test_without_duckdb_tables_are_tsv_and_it_is_said(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    table = Table("t", "title", {"a": "meaning"}, [{"a": 1.5}, {"a": None}])
    names, note = write_tables(tmp_path, [table])
    assert names == ["t.tsv", "tables.json"]
    assert "petechia[cohort]" in note
    assert (tmp_path / "t.tsv").read_text() == "a\n1.5\nn/a\n"
    with pytest.raises(DependencyError, match=r"petechia\[cohort\]"):
        query(tmp_path, [table], "select 1")


def test_a_model_that_has_no_answer_says_so_in_table_and_page(make, tmp_path):
    rng = np.random.default_rng(2)
    scans, people = [], []
    for n in range(40):
        ill = n < 12  # whoever had thrombolysis has microbleeds, and nobody else
        label = f"{n:02d}"
        scans.append(make.scan(make.name(label), [("deep", "thalamus")] * ill))
        people.append({"participant_id": label, "age": f"{rng.uniform(50, 80):.0f}",
                       "thrombolysis": "yes" if ill else "no"})  # fmt: skip
    output = make.write(tmp_path / "out", scans)
    path = make.people(tmp_path / "participants.tsv", people)
    plan = Plan(groups=("thrombolysis",), outcome=("count",), draws=2)
    group = analyse(output, path, plan)
    found = term(group, "thrombolysis")
    assert found["status"] != "fitted"
    assert found["ratio"] is None
    assert found["p"] is None
    page = write_group(group, output)[0].read_text(encoding="utf-8")
    assert "Models that were not fitted" in page
    assert "not fitted" in page


def test_words_that_cannot_be_followed_are_told_in_one_line(small, petechia, tmp_path):
    output, people = small
    for words, said in (
        (["--groups", "hypertention"], "Did you mean hypertension"),
        (["--model", "magic"], "Known: logistic"),
        (["--by", "age:0"], "age:10"),
        (["--compare", "acq"], "acq has: no values"),
        (["--repeated", "gees"], "Did you mean gee"),
    ):
        found = petechia("group", output, "--participants", people, "--out", tmp_path / "g", *words)
        assert found.code == 2
        assert said in found.err
        assert found.err.count("\n") == 1
    said = petechia("group", output, "--groups", "hypertension")
    assert "Give --participants" in said.err
    assert petechia("group").code == 2
    said = petechia("group", "--write-dictionary", tmp_path / "participants.json")
    assert said.code == 0
    assert "hypertension_grade" in json.loads((tmp_path / "participants.json").read_text())
    with pytest.raises(ParameterError, match=r"level"):
        Plan(level=1.5)
