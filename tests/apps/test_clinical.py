"""`petechia run --clinical --language`: from the words of the command to summary and report."""

import json

import pytest


@pytest.fixture
def told(tmp_path):
    """Maker of a clinical JSON."""

    def make(**facts):
        path = tmp_path / "facts.json"
        path.write_text(json.dumps(facts))
        return path

    return make


def summary_of(out):
    (path,) = out.glob("sub-01/anat/*_summary.json")
    return json.loads(path.read_text(encoding="utf-8"))


def test_facts_and_language_reach_summary_and_report(petechia, noise_dataset, told, tmp_path):
    raw, out = noise_dataset(), tmp_path / "out"
    words = ("run", raw, out, "--clinical", told(age_years=49, lacunes=">2"))
    assert petechia(*words).code == 0
    criteria = summary_of(out)["criteria"]
    assert criteria["clinical_facts"] == {"age_years": "49", "lacunes": ">2"}
    assert criteria["boston_2"]["answer"] == "not_met"  # too young, whatever else
    # this scan cannot show microbleeds: their number is unknown, not 0
    assert criteria["total_svd"]["could_be"] == [1, 2, 3, 4]
    assert "microbleeds_on_scan" in criteria["total_svd"]["missing"]
    page = (out / "sub-01.html").read_text(encoding="utf-8")
    assert '<html lang="en">' in page
    # the same words again are skipped, other facts and another language are not
    stamp = (out / "sub-01.html").stat().st_mtime_ns
    petechia(*words)
    assert (out / "sub-01.html").stat().st_mtime_ns == stamp
    told(age_years=71)
    assert petechia(*words, "--language", "zh").code == 0
    assert summary_of(out)["criteria"]["boston_2"]["answer"] == "indeterminate"
    assert '<html lang="zh-Hans">' in (out / "sub-01.html").read_text(encoding="utf-8")
    assert summary_of(out)["category"] == "not_assessable"  # the summary stays English


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"age": 50}, r"facts.json: unknown clinical fact 'age'. Did you mean age_years?"),
        ({"css": "yes"}, "facts.json: css is 'yes'. Give one of none, focal, disseminated."),
    ],
)
def test_bad_facts_end_the_run_before_it_begins(
    petechia, noise_dataset, told, tmp_path, facts, message
):
    said = petechia("run", noise_dataset(), tmp_path / "out", "--clinical", told(**facts))
    assert said.code == 2
    assert message in said.err
    assert not (tmp_path / "out").exists()


def test_one_patients_facts_for_two_are_refused(petechia, noise_dataset, told, tmp_path):
    raw = noise_dataset(subjects=("01", "02"))
    said = petechia("run", raw, tmp_path / "out", "--clinical", told(age_years=60))
    assert said.code == 2
    assert "the facts of one patient for 2 participants" in said.err
