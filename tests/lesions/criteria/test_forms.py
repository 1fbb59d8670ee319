"""Every counted finding stands once in each form."""

from petechia.lesions.criteria import SITES, summarise
from petechia.lesions.criteria.forms import BOMBS_ROWS, MARS_ROWS, bombs_form, mars_form


def cells(row):
    return {
        (name, side): n
        for name, value in row.items()
        if isinstance(value, dict)
        for side, n in value.items()
        if n
    }


def test_forms_have_a_row_for_every_site():
    for rows in (MARS_ROWS, BOMBS_ROWS):
        assert sorted(site for sites in rows.values() for site in sites) == sorted(SITES)


def test_a_finding_stands_where_it_belongs(make):
    findings = [
        make("lobar", side="left", mm=4.94),
        make("deep", side="right", mm=4.96, mars="possible"),
        make("brainstem", side="midline", mm=10.0),
        make("unknown", side="n/a"),
        make("deep", class_="vessel"),
    ]
    mars = {row["site"]: cells(row) for row in mars_form(findings)}
    assert mars["parietal"] == {("definite", "left"): 1}
    assert mars["thalamus"] == {("possible", "right"): 1}
    assert mars["brainstem"] == {("definite", "midline"): 1}
    assert mars["n/a"] == {("definite", "n/a"): 1}
    bombs = {row["place"]: cells(row) for row in bombs_form(findings)}
    assert bombs["lobar"] == {("certain_below_5_mm", "left"): 1}
    assert bombs["thalamus"] == {("uncertain_5_to_10_mm", "right"): 1}
    assert bombs["brainstem"] == {("certain_5_to_10_mm", "midline"): 1}
    assert bombs["no_row"] == {("certain_below_5_mm", "n/a"): 1}
    for form in (mars, bombs):
        assert sum(sum(row.values()) for row in form.values()) == 4


def test_the_summary_carries_forms_scales_and_facts(make):
    out = summarise([make("lobar"), make("deep")])["criteria"]
    assert out["boston_2"]["answer"] == "not_met"
    assert out["total_svd"]["could_be"] == [1, 2, 3, 4]
    assert out["clinical_facts"] == {}
    assert len(out["mars"]["form"]) == len(SITES)
    assert out["count_bins"] == {
        "0, 1-4, >=5": "1-4",
        "0, 1, 2-4, >=5": "2-4",
        "high_burden": False,
    }
