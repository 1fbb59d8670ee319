"""What a term of a model is of: levels that are digits, odd names, covariates that fell away."""

import numpy as np
import pytest

from petechia.cohort.trend import cochran_armitage
from petechia.pipeline.group.models import COLUMNS
from petechia.pipeline.group.plan import Plan
from petechia.pipeline.group.write import analyse, write_group

N = 90
LOBAR = ("lobar", "frontal")


@pytest.fixture(scope="module")
def odd(make, tmp_path_factory):
    """Return an output and a table of people: sites 1 to 3, the middle one with many."""
    root = tmp_path_factory.mktemp("odd")
    rng = np.random.default_rng(3)
    site = 1 + np.arange(N) % 3
    counts = rng.poisson(rng.gamma(1.5, np.where(site == 2, 3.0, 0.5) / 1.5))
    ages = np.array([45, 75, 85])[np.arange(N) // 3 % 3]
    names = [f"{n:03d}" for n in range(1, N + 1)]
    output = make.write(
        root / "out",
        [make.scan(make.name(name), [LOBAR] * int(count), extra=(), placed=False)
         for name, count in zip(names, counts, strict=True)],
    )  # fmt: skip
    people = [
        {"participant_id": name, "site": int(site[n]), "age": int(ages[n]),
         "grade": "n/a" if n % 10 == 0 else "0123"[n % 4], "iron [ug/l]": round(rng.normal(9), 2)}
        for n, name in enumerate(names)
    ]  # fmt: skip
    dictionary = '{"grade": {"Levels": {"0": "", "1": "", "2": "", "3": ""}}}'
    path = make.people(root / "raw" / "participants.tsv", people)
    path.with_suffix(".json").write_text(dictionary)
    return output, path, ages, counts


def asked(group, exposure, adjusted=1):
    return [
        r for r in group.tables["models"].rows
        if (r["exposure"], r["adjusted"], r["asked"]) == (exposure, adjusted, 1)
    ]  # fmt: skip


@pytest.mark.parametrize("missing", ["complete", "impute"])
def test_levels_that_are_digits_are_levels(odd, missing):
    output, people, *_ = odd
    plan = Plan(groups=("site", "grade"), covariates=(), outcome=("count",), draws=2,
                adjust=("site",), missing=missing, imputations=3, by="")  # fmt: skip
    group = analyse(output, people, plan)
    (two, three) = asked(group, "site", 0)
    assert (two["term"], three["term"]) == ("site[2]", "site[3]")
    assert two["per"] == three["per"] == "against 1"
    assert two["ratio"] > 3
    assert three["ratio_low"] < 1 < three["ratio_high"]
    grades = asked(group, "grade")
    assert [r["term"] for r in grades] == ["grade[1]", "grade[2]", "grade[3]"]
    assert {r["adjusted_for"] for r in grades} == {"site"}
    assert {r["n"] for r in grades} == {N if missing == "impute" else N - N // 10}
    told = [r["term"] for r in group.tables["uncertainty"].rows if r["exposure"] == "grade"]
    assert told == ["grade[1]", "grade[2]", "grade[3]"]


def test_a_site_is_adjusted_for_that_is_no_factor_asked_about(odd):
    output, people, *_ = odd
    plan = Plan(groups=("age",), covariates=(), outcome=("count",), draws=2, adjust=("site",))
    group = analyse(output, people, plan)
    (row,) = asked(group, "age")
    assert row["adjusted_for"] == "site"
    assert {"site[2]", "site[3]"} <= {r["term"] for r in group.tables["models"].rows}


def test_columns_of_no_dictionary_are_named_on_the_page_also_where_there_are_no_others(
    odd, make, tmp_path
):
    people = make.people(
        tmp_path / "participants.tsv",
        [{"participant_id": f"{n:03d}", "Dose": n / 7} for n in range(1, N + 1)],
    )
    group = analyse(odd[0], people, Plan(outcome=("presence",), draws=2))
    page = write_group(group, odd[0])[0].read_text(encoding="utf-8")
    assert "used only when asked for: Dose." in page


def test_a_name_with_brackets_is_asked_about_and_what_varies_not_is_no_covariate(odd):
    output, people, *_ = odd
    plan = Plan(groups=("iron [ug/l]",), covariates=(), outcome=("presence", "count"), draws=2)
    group = analyse(output, people, plan)
    for row in asked(group, "iron [ug/l]"):
        assert row["term"] == "iron [ug/l]"
        assert row["per"].startswith("1 SD")
        assert row["q"] is not None
        assert row["adjusted_for"] == "nothing"  # one field, one sequence, one thickness
    assert len(asked(group, "iron [ug/l]")) == 2
    carried = group.tables["uncertainty"].rows
    assert [r["term"] for r in carried] == ["iron [ug/l]"] * 2
    assert all(r["as_counted"] is not None and r["with_detection"] is not None for r in carried)
    page = write_group(group, output)[0].read_text(encoding="utf-8")
    assert "iron [ug/l], per 1 SD" in page
    assert "adjusted for nothing" in page
    assert "Adjusted for" not in page
    assert COLUMNS["q"] in page


def test_the_law_of_counts_is_told_without_anything_to_explain_them(odd):
    output, people, _, counts = odd
    plan = Plan(groups=("site",), covariates=(), outcome=("count",), draws=2)
    rows = analyse(output, people, plan).tables["dispersion"].rows
    assert [r["status"] for r in rows if r["model"].startswith("negative")] == ["fitted"]
    assert sum(r["chosen"] for r in rows) == 1
    assert rows[0]["dispersion"] == pytest.approx(counts.var(ddof=1) / counts.mean(), rel=1e-5)
    assert rows[0]["zeros"] == (counts == 0).sum()


def test_bands_are_scored_by_where_they_lie(odd):
    output, people, ages, counts = odd
    plan = Plan(groups=("site",), covariates=(), outcome=("presence",), draws=2)
    group = analyse(output, people, plan)
    (row,) = [r for r in group.tables["trends"].rows if r["factor"] == "age:10"]
    assert row["groups"] == "40 to 50, 70 to 80, 80 to 90"
    assert row["scores"] == "0, 3, 4"
    cases = [int((counts[ages == age] > 0).sum()) for age in (45, 75, 85)]
    totals = [int((ages == age).sum()) for age in (45, 75, 85)]
    assert row["z"] == pytest.approx(cochran_armitage(cases, totals, [0, 3, 4]).z, rel=1e-5)
    assert "<td>0; 3; 4</td>" in write_group(group, output)[0].read_text(encoding="utf-8")
