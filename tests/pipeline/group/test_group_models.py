"""Every model as a user asks for it: `petechia group` on output folders and tables of people.

What it writes is held against what is true of a made cohort, and against statsmodels called
directly on the same table of people. Two sessions of each person, four sites, two protocols that
do not go with anything else, values that are missing because of what the person has.
"""

import csv
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import statsmodels.api as sm
from statsmodels.miscmodels.ordinal_model import OrderedModel

DECADE, ILL = 1.5, 2.2
SITES = [("lobar", "frontal"), ("deep", "thalamus"), ("infratentorial", "cerebellum")]
N = 110


@pytest.fixture(scope="module")
def study(make, tmp_path_factory):
    """Return 110 people of two sessions: negative binomial counts, a tenth never have any."""
    rng = np.random.default_rng(31)
    people, scans, sessions = [], [], {}
    for n in range(N):
        age, ill = float(np.round(rng.uniform(45, 90), 1)), bool(rng.random() < 0.45)
        own = rng.gamma(2.0, 0.5) * (rng.random() > 0.1)
        label, site = f"{n + 1:03d}", "abcd"[n % 4]
        drug = "none" if rng.random() < 0.5 else "antiplatelet"
        total = 0
        for session in ("1", "2"):
            old = rng.random() < 0.4
            mean = 1.4 * DECADE ** ((age - 68) / 10) * ILL**ill * (0.6 if old else 1.0) * own
            count = int(rng.poisson(mean))
            total += count
            where = [SITES[k] for k in rng.integers(0, 3, count)]
            scans.append(
                make.scan(make.name(label, session), where, protocol="old" if old else "three",
                          extra=(), placed=False)
            )  # fmt: skip
        # who has many is asked more often
        hidden = rng.random() < (0.35 if total < 2 else 0.05)
        people.append(
            {"participant_id": f"sub-{label}", "age": age, "site": site, "antithrombotic": drug,
             "hypertension": "yes" if ill else "no", "told": "n/a" if hidden else "ny"[ill]}
        )  # fmt: skip
        sessions[label] = ill
    scans[0].refused = "7 mm slices: microbleeds cannot be told."
    root = tmp_path_factory.mktemp("study")
    output = make.write(root / "out", scans, seed=5)
    return SimpleNamespace(
        output=output, people=make.people(root / "raw" / "participants.tsv", people), rows=people
    )


@pytest.fixture
def ask(study, petechia, tmp_path, monkeypatch):
    """Call the command; return the rows of a table that it wrote."""
    monkeypatch.setitem(sys.modules, "duckdb", None)  # TSV alone: faster

    def call(*words, table="models"):
        said = petechia(
            "group", study.output, "--participants", study.people, "--out", tmp_path / "g",
            "--draws", 2, "--adjust", "none", "--by", "none", *words,
        )  # fmt: skip
        assert said.code == 0, said.err
        text = (tmp_path / "g" / f"{table}.tsv").read_text(encoding="utf-8")
        return list(csv.DictReader(text.splitlines(), delimiter="\t"))

    return call


def terms(rows, exposure, adjusted="1", part="n/a"):
    """Return (coefficient, se) of a regression by term, each of them fitted."""
    own = [r for r in rows if (r["exposure"], r["adjusted"]) == (exposure, adjusted)]
    assert {r["status"] for r in own} == {"fitted"}, own[0]["said"]
    return {r["term"]: (float(r["coefficient"]), float(r["se"])) for r in own if r["part"] == part}


def asked(rows, exposure):
    return next(
        r for r in rows
        if (r["exposure"], r["adjusted"], r["asked"], r["part"]) == (exposure, "1", "1", "n/a")
    )  # fmt: skip


@pytest.fixture
def data(study, ask):
    """Return the arrays of a user's own analysis: first scans, or all (count, x, person, site)."""
    scans = ask("--outcome", "presence", "--groups", "hypertension", table="scans")
    told = {row["participant_id"]: row for row in study.rows}

    def rows(every):
        kept = [r for r in scans if r["status"] == "assessed"]
        kept = kept if every else [r for r in kept if r["stands_for_person"] == "1"]
        who = [told[r["participant_id"]] for r in kept]
        x = np.array([[1, w["hypertension"] == "yes", w["age"] / 10] for w in who], dtype=float)
        y = np.array([int(r["count"]) for r in kept])
        return y, x, [r["participant_id"] for r in kept], [w["site"] for w in who]

    return rows


MODEL = ("--groups", "hypertension", "--covariates", "age")
NAMES = ("intercept", "hypertension[yes]", "age")


def same(found, params, bse, rel=1e-3):
    for name, b, se in zip(NAMES, params, bse, strict=False):
        assert found[name] == pytest.approx((b, se), rel=rel, abs=1e-4), name


def test_counts_as_statsmodels_has_them(ask, data):
    y, x, _, _ = data(False)
    assert len(y) == N  # whoever lacks the first session is told by the second
    theirs = sm.NegativeBinomial(y, x).fit(disp=0, maxiter=200)
    found = terms(ask("--outcome", "count", *MODEL), "hypertension")
    same(found, theirs.params, theirs.bse)
    theirs = sm.Poisson(y, x).fit(disp=0, cov_type="HC1")
    found = terms(ask("--outcome", "count", "--model", "poisson", *MODEL), "hypertension")
    same(found, theirs.params, theirs.bse)


def test_inflated_and_hurdle_counts_as_statsmodels_has_them(ask, data):
    y, x, _, _ = data(False)
    theirs = sm.ZeroInflatedPoisson(y, x).fit(disp=0, maxiter=500, method="bfgs", gtol=1e-7)
    rows = ask("--outcome", "count", "--model", "zip", *MODEL)
    same(terms(rows, "hypertension"), theirs.params[1:], theirs.bse[1:], rel=5e-3)
    zeros = terms(rows, "hypertension", part="zeros")["intercept"]
    assert zeros[0] == pytest.approx(theirs.params[0], rel=5e-3)
    rows = ask("--outcome", "count", "--model", "hurdle-poisson", *MODEL)
    none = sm.Logit(y == 0, x).fit(disp=0)
    same(terms(rows, "hypertension", part="zeros"), none.params, none.bse)
    # the part of those with any: the score of its likelihood is 0 at the answer
    b = np.array([terms(rows, "hypertension")[name][0] for name in NAMES])
    mu = np.exp(x[y > 0] @ b)
    score = x[y > 0].T @ (y[y > 0] - mu / (1 - np.exp(-mu)))
    assert np.abs(score).max() < 1e-2
    rows = ask("--outcome", "count", "--model", "auto", *MODEL)
    told = {r["model"] for r in rows if r["status"] == "fitted"}
    assert told
    assert "Poisson regression, robust errors" not in told


def test_every_count_model_fits_or_says_why(ask):
    for model in ("zinb", "hurdle"):
        rows = ask("--outcome", "count", "--model", model, *MODEL)
        for row in rows:
            assert (row["status"] == "fitted") == (row["coefficient"] != "n/a")
            assert row["said"] != "n/a"
            if row["part"] == "spread":
                assert row["ratio"] == "n/a"  # a dispersion is no rate ratio


def test_presence_and_bins_as_statsmodels_has_them(ask, data):
    y, x, _, _ = data(False)
    theirs = sm.Logit(y > 0, x).fit(disp=0)
    rows = ask("--outcome", "presence,bin", *MODEL)
    same(terms([r for r in rows if r["outcome"] == "presence"], "hypertension"),
         theirs.params, theirs.bse)  # fmt: skip
    bins = np.digitize(y, [1, 5])
    theirs = OrderedModel(bins, x[:, 1:], distr="logit").fit(disp=0, method="bfgs", maxiter=500)
    rows = [r for r in rows if r["outcome"] == "bin"]
    found = terms(rows, "hypertension")
    assert found["hypertension[yes]"] == pytest.approx((theirs.params[0], theirs.bse[0]), rel=2e-3)
    cuts = [r for r in rows if r["part"] == "threshold"]
    assert cuts
    assert {r["ratio"] for r in cuts} == {"n/a"}


def test_patterns_fit_or_say_why(ask):
    rows = ask("--outcome", "category", *MODEL)
    own = [r for r in rows if r["adjusted"] == "1"]
    assert {r["status"] for r in own} == {"fitted"}, own[0]["said"]
    assert {"lobar_only", "deep_only", "mixed"} == {r["part"] for r in own}


def test_all_scans_by_gee_as_statsmodels_has_them_and_as_it_is(ask, data):
    y, x, person, site = data(True)
    assert len(y) == 2 * N - 1
    rows = ask("--outcome", "presence,count", "--repeated", "gee", *MODEL)
    _, who = np.unique(person, return_inverse=True)
    theirs = sm.GEE(
        y > 0, x, groups=who, family=sm.families.Binomial(), cov_struct=sm.cov_struct.Exchangeable()
    ).fit()
    same(terms([r for r in rows if r["outcome"] == "presence"], "hypertension"),
         theirs.params, theirs.bse, rel=5e-3)  # fmt: skip
    counts = [r for r in rows if r["outcome"] == "count"]
    own = asked(counts, "hypertension")
    assert float(own["ratio_low"]) < ILL < float(own["ratio_high"])
    assert float(own["ratio_low"]) > 1
    assert int(own["n"]) == 2 * N - 1
    age = terms(counts, "hypertension")["age"]
    assert abs(age[0] - np.log(DECADE)) < 2 * age[1]
    # people who come together by site: four groups are too few, and that is said
    rows = ask("--outcome", "count", "--repeated", "gee", "--cluster", "site", *MODEL)
    assert {r["status"] for r in rows} == {"too_few"}
    assert {r["said"] for r in rows if r["adjusted"] == "1"} == {"4 groups for 3 coefficients"}
    assert len(set(site)) == 4


def test_all_scans_by_a_mixed_model_are_as_it_is(ask):
    rows = ask("--outcome", "count", "--repeated", "mixed", *MODEL)
    found = terms(rows, "hypertension")
    for name, true in (("hypertension[yes]", ILL), ("age", DECADE)):
        b, se = found[name]
        assert abs(b - np.log(true)) < 2.2 * se
    (spread,) = [r for r in rows if r["part"] == "spread" and r["adjusted"] == "1"]
    assert 0.4 < float(spread["coefficient"]) < 1.6  # sd of the log of what is a person's own
    assert spread["ratio"] == "n/a"


def test_a_wrong_cluster_is_one_clear_line(study, petechia, tmp_path):
    for words, said in (
        (["--cluster", "site"], "--repeated gee or mixed"),
        (["--cluster", "sites", "--repeated", "gee"], "Did you mean site"),
    ):
        found = petechia("group", study.output, "--participants", study.people, "--out",
                         tmp_path / "g", "--groups", "hypertension", *words)  # fmt: skip
        assert found.code == 2
        assert said in found.err
        assert found.err.count("\n") == 1


def test_missing_values_are_completed_and_what_complete_rows_hide_is_found(ask):
    words = ("--outcome", "count", "--groups", "told", "--covariates", "age", "--imputations", 5)
    alone = asked(ask(*words), "told")
    whole = asked(ask(*words, "--missing", "impute"), "told")
    assert int(alone["left_out"]) > 15
    assert (int(whole["n"]), int(whole["left_out"])) == (N, 0)
    assert "pooled over 5 sets by Rubin's rules" in whole["notes"]
    assert float(whole["ratio_low"]) < ILL < float(whole["ratio_high"])
    both = ask(*words, "--missing", "impute", "--repeated", "gee")
    own = asked(both, "told")
    assert own["status"] == "fitted", own["said"]
    assert int(own["n"]) == 2 * N - 1
    assert float(own["ratio_low"]) < ILL < float(own["ratio_high"])
    (told,) = [r for r in ask(*words, table="missing") if r["factor"] == "told"]
    assert float(told["p_with_outcome"]) < 0.05


def test_the_detectors_doubt_is_carried_into_every_kind_of_model(ask):
    for words in ((), ("--repeated", "gee"), ("--missing", "impute", "--groups", "told")):
        rows = ask("--outcome", "presence,count", *MODEL, *words, table="uncertainty")
        assert {r["outcome"] for r in rows} == {"presence", "count"}
        for row in rows:
            assert row["said"].startswith("converged"), row
            # counted findings have 0.97, and there are no others: little is moved
            ratio = float(row["with_detection"]) / float(row["as_counted"])
            assert 0.7 < ratio < 1.4
            assert float(row["share_of_doubt"]) < 0.5


def test_none_is_a_level_and_no_missing_value(ask):
    rows = ask("--outcome", "count", "--groups", "antithrombotic", "--covariates", "none")
    own = [r for r in rows if r["adjusted"] == "0" and r["asked"] == "1"]
    assert [r["term"] for r in own] == ["antithrombotic[antiplatelet]"]
    assert own[0]["per"] == "against none"
    assert (int(own[0]["n"]), own[0]["left_out"]) == (N, "0")
