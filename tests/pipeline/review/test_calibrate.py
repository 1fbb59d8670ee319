"""A site's calibration: fitted on known miscalibration, judged out of sample, refused when poor."""

import json
from dataclasses import replace

import numpy as np
import pytest

from petechia.core.logistic import Logistic, expit, logit
from petechia.errors import FileError, ParameterError, UnfitError
from petechia.pipeline.calibration import detector_sha256, read_calibration
from petechia.pipeline.detector import detector, points_of_slices, threshold
from petechia.pipeline.review.calibrate import lowest_threshold, recalibrate, write_calibration
from petechia.pipeline.review.decided import Decided, decisions_of, protocol_words
from petechia.pipeline.review.readings import Reading, Spot
from petechia.pipeline.settings import Settings
from petechia.pipeline.summary import fingerprint, model

DEFAULT = Settings().classification
POINTS = {
    "thin": {"screening": 0.4, "balanced": 0.75, "counting": 0.91},
    "thick": {"screening": 0.3, "balanced": 0.6, "counting": 0.7},
}


def spot(key, p, said, at=0.0):
    return Spot(
        key=key, x_mm=at, y_mm=0.0, z_mm=0.0, asked=p is None or p >= 0.05,
        decided=said is not None, counted=bool(said), class_="microbleed", site="frontal",
        side="left", compartment="lobar", probability=p,
    )  # fmt: skip


def decided(scan, spots, protocol="a", **changes):
    return Decided(
        reading=Reading(scan=scan, reader="ann", spots=tuple(spots), **changes),
        protocol=protocol,
        detector=detector_sha256(),
        classification="combined",
    )


def site(offset, slope, people, each=12, seed=0):
    """Finished scans where a finding is true as offset and slope say."""
    rng = np.random.default_rng(seed)
    out = []
    for n in range(people):
        p = np.round(rng.uniform(0.05, 0.999, each), 3)
        true = rng.random(each) < expit(offset + slope * logit(p, 0.0005))
        spots = [spot(f"s{k}", float(p[k]), bool(true[k])) for k in range(each)]
        out.append(decided(f"sub-{n:03d}", spots, protocol="ab"[n % 2]))
    return out


def test_a_miscalibrated_site_is_mended_out_of_sample():
    found = recalibrate(decisions_of(site(-1.5, 0.7, 40)), POINTS)
    assert found.refused == ()
    assert found.line.offset == pytest.approx(-1.5, abs=0.35)
    assert found.line.slope == pytest.approx(0.7, abs=0.2)
    whole = found.table[0]
    assert whole["brier_after"] < whole["brier_before"]
    assert whole["ece_after"] < 0.6 * whole["ece_before"]
    assert whole["slope_after"] == pytest.approx(1, abs=0.25)
    assert found.gain > found.gain_se
    assert [row["scans"] for row in found.table] == ["all", "a", "b"]
    assert {row["point"] for row in found.points} == set(POINTS["thin"])
    # the detector thought too much likely: fewer false findings now
    for row in found.points:
        assert row["false_after"] < row["false_before"]


def test_a_calibrated_site_is_left_alone_most_times():
    refused = [bool(recalibrate(decisions_of(site(0, 1, 20, seed=s)), POINTS).refused) for s in range(20)]  # fmt: skip
    assert np.mean(refused) >= 0.7


def test_too_few_decisions_say_how_many_are_needed(tmp_path):
    found = recalibrate(decisions_of(site(-3, 0.5, 3)), POINTS)
    assert any("too few people: 3, at least 5" in why for why in found.refused)
    assert any("accepted findings" in why and "at least 20" in why for why in found.refused)
    with pytest.raises(UnfitError, match="at least 20"):
        write_calibration(tmp_path / "a.json", found, classification="combined", decided_by="x")
    assert not (tmp_path / "a.json").exists()


def test_decisions_against_the_probabilities_are_refused():
    found = recalibrate(decisions_of(site(0, -1, 30)), POINTS)
    assert found.line is None
    assert any("run against" in why for why in found.refused)


def test_a_line_is_judged_at_the_values_it_was_fitted_to_and_run_moves_to_those():
    # lesions so sure that the table has 1.000, of which the readers take 6 in 10
    rng = np.random.default_rng(0)
    sure = rng.random((10, 14)) < 0.6
    raw = expit(np.where(sure, rng.uniform(7.7, 9.5, sure.shape), rng.uniform(-2.5, 1.5, sure.shape)))  # fmt: skip
    true = rng.random(sure.shape) < np.where(sure, 0.6, 0.15)

    def judged(p):
        scans = [
            decided(f"sub-{n}", [spot(f"s{k}", float(p[n, k]), bool(true[n, k])) for k in range(14)])
            for n in range(10)
        ]  # fmt: skip
        return recalibrate(decisions_of(scans), POINTS)

    told, found = judged(np.round(raw, 3)), judged(raw)
    assert told.table[0]["brier_after"] == pytest.approx(found.table[0]["brier_after"], abs=0.002)
    assert told.table[0]["brier_after"] < 0.18
    assert told.table[0]["ece_after"] < 0.1
    assert told.gain == pytest.approx(found.gain, rel=0.01)
    # what the detector gives these lesions, unrounded, becomes what the readers made of them
    moved = told.line.apply(raw[sure])
    assert moved == pytest.approx(np.full(sure.sum(), true[sure].mean()), abs=0.03)


def test_what_gets_worse_is_named_protocols_and_operating_points():
    found = recalibrate(decisions_of(site(-1.5, 0.7, 40)), POINTS)
    falls = [row for row in found.points if row["f1_after"] < row["f1_before"] - 0.001]
    assert [row["point"] for row in falls] == ["balanced", "counting"]
    (note,) = [note for note in found.notes if note.startswith("F1 falls at")]
    for row in falls:
        assert f"{row['point']} ({row['f1_before']:.3f} to {row['f1_after']:.3f})" in note
    assert "screening" not in note
    better = recalibrate(decisions_of(site(1.5, 1.0, 40)), POINTS)
    assert all(row["f1_after"] >= row["f1_before"] for row in better.points)
    assert not any("F1 falls" in note for note in better.notes)


def test_people_are_left_out_whole():
    # two scans of everyone, alike: the line of a person never sees the other scan
    scans = site(-1.5, 0.7, 20)
    twice = [replace(s, reading=replace(s.reading, scan=f"{s.reading.scan}_ses-{k}")) for s in scans for k in (1, 2)]  # fmt: skip
    told = decisions_of(twice)
    assert (len(set(told.person.tolist())), len(told.person)) == (20, 40)
    one, two = recalibrate(decisions_of(scans), POINTS), recalibrate(told, POINTS)
    assert two.gain == pytest.approx(2 * one.gain, rel=0.2)


def test_what_speaks_and_what_does_not():
    told = decisions_of(
        [
            decided(
                "sub-01",
                [
                    spot("s1", 0.9, True), spot("s2", 0.8, None), spot("s3", 0.02, None),
                    spot("s4.1", 0.6, True), spot("s4.2", 0.6, True), spot("s5.1", 0.3, False),
                    spot("s5.2", 0.3, None), spot("a00000000", None, True),
                    spot("a00000001", None, False), spot("s6", 0.03, True),
                ],
            ),
            decided("sub-02", [spot("s1", 0.9, False)], finished=False),
        ]
    )  # fmt: skip
    assert sorted(zip(told.p.tolist(), told.y.tolist(), strict=True)) == [(0.6, True), (0.9, True)]
    assert told.left == 2  # s2, and the half decided s5
    assert told.missed.tolist() == [3]  # the second part of s4, what was added, the unlikely s6


def test_what_was_calibrated_already_is_taken_back_first():
    line = Logistic(offset=-1.0, slope=0.5)
    plain = site(-1.5, 0.7, 10)
    moved = [
        replace(
            s,
            site=line,
            reading=replace(
                s.reading,
                spots=tuple(replace(x, probability=float(line.apply(x.probability))) for x in s.reading.spots),
            ),
        )
        for s in plain
    ]  # fmt: skip
    kept = [spot.asked for s in moved for spot in s.reading.spots]
    assert all(kept)
    one, other = decisions_of(plain), decisions_of(moved)
    there = {round(p, 6) for p in other.p.tolist()}
    assert there <= {round(p, 6) for p in one.p.tolist()}


def test_a_scan_that_comes_twice_is_refused():
    scans = site(-1.5, 0.7, 8)
    with pytest.raises(UnfitError, match=r"8 of the scans come twice, e.g. sub-000"):
        decisions_of([*scans, *scans])
    # in one of the outputs it was only begun
    begun = replace(scans[0], reading=replace(scans[0].reading, finished=False))
    assert len(decisions_of([*scans, begun]).person) == 8


def test_reviewed_scans_that_do_not_speak_are_counted_with_the_reason():
    begun = [decided(f"sub-9{n}", [spot("s1", 0.9, True)], finished=False) for n in range(2)]
    lost = Decided(reading=Reading(scan="sub-99", reader="ann"), lost=True)
    told = decisions_of([*site(-1.5, 0.7, 40), *begun, lost])
    assert told.left_out == {"not finished": 2, "no results here": 1}
    (note,) = [note for note in recalibrate(told, POINTS).notes if "are left out:" in note]
    assert note == "Reviewed scans that are left out: no results here (1), not finished (2)."
    assert not any("are left out:" in n for n in recalibrate(decisions_of(site(-1.5, 0.7, 40)), POINTS).notes)  # fmt: skip


def test_nothing_finished_and_another_detector_are_told():
    with pytest.raises(UnfitError, match="no finished scan"):
        decisions_of([decided("sub-01", [], finished=False)])
    other = replace(decided("sub-01", [spot("s1", 0.5, True)]), detector={"detector": "0"})
    with pytest.raises(UnfitError, match="another detector"):
        decisions_of([other])
    trees = replace(decided("sub-02", [spot("s1", 0.5, True)]), classification="trees")
    with pytest.raises(UnfitError, match="combined, trees"):
        decisions_of([decided("sub-01", [spot("s1", 0.5, True)]), trees])


def test_nothing_counts_that_nobody_was_asked_about():
    line = Logistic(offset=4.0, slope=1.0)
    assert line.apply(0.049) < lowest_threshold(line)
    found = recalibrate(decisions_of(site(4.0, 0.9, 60)), POINTS)
    assert (
        min(min(some.values()) for some in found.operating_points.values())
        >= lowest_threshold(found.line)
        > 0.4
    )
    assert any("raised" in note for note in found.notes)


def test_thick_slices_are_judged_and_counted_at_their_own_points(tmp_path):
    scans = [replace(s, slices="thick" if n % 3 == 0 else "thin") for n, s in enumerate(site(-1.5, 0.7, 40))]  # fmt: skip
    found = recalibrate(decisions_of(scans), POINTS)
    rows = {row["point"]: row for row in found.points}
    assert rows["balanced"]["from_before"] == 0.75
    assert rows["balanced, thick slices"]["from_before"] == 0.6
    thick = [spot for s in scans if s.slices == "thick" for spot in s.reading.spots]
    false = sum(spot.probability >= 0.6 and not spot.counted for spot in thick)
    assert rows["balanced, thick slices"]["false_before"] == pytest.approx(false / 14)
    path = write_calibration(
        tmp_path / "site.json", found, classification="combined", decided_by="one reader"
    )
    own = read_calibration(path)
    assert threshold("balanced", own, slice_mm=1.0) == found.operating_points["thin"]["balanced"]
    assert threshold("balanced", own, slice_mm=5.0) == found.operating_points["thick"]["balanced"]
    assert threshold("balanced", own, 5.0) < threshold("balanced", own, 1.0)


@pytest.fixture
def written(tmp_path):
    found = recalibrate(decisions_of(site(-1.5, 0.7, 40)), points_of_slices())
    path = tmp_path / "site.json"
    return write_calibration(path, found, classification=DEFAULT, decided_by="one reader")


def test_the_file_moves_probabilities_and_thresholds_and_is_told(written):
    found = read_calibration(written)
    assert found.line.offset < 0
    raw, moved = detector(), detector(found)
    assert moved.site == found.line
    assert raw.site is None
    assert moved.least_probability == threshold("screening", found)
    told = model(DEFAULT, found)["site_calibration"]
    assert told["sha256"] == found.sha256
    assert found.sha256[:12] in told["says"]
    assert "40 scans" in told["says"]
    assert model(DEFAULT)["site_calibration"] is None
    assert json.loads(written.read_text())["table"][0]["brier_before"] > 0
    assert "ann" not in written.read_text().replace("annot", "")


def test_the_settings_know_it_and_a_changed_file_is_another_run(written, tmp_path):
    settings = Settings.build(calibration=str(written))
    assert settings.as_dict()["calibration"] == "site.json"
    assert str(tmp_path) not in json.dumps(settings.as_dict())
    before = fingerprint(["0"], settings)
    assert before != fingerprint(["0"], Settings())
    told = json.loads(written.read_text())
    written.write_text(json.dumps({**told, "offset": -1.25}))
    assert read_calibration(written).line.offset == -1.25
    assert fingerprint(["0"], settings) != before
    config = tmp_path / "settings.toml"
    config.write_text('calibration = "site.json"\n')
    assert Settings.build(config=config).site().name == "site.json"
    with pytest.raises(ParameterError, match=f"was made with {DEFAULT!r}"):
        Settings.build(calibration=str(written), classification="trees")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"form": "other"}, "no 'petechia site calibration 2'"),
        ({"detector_sha256": {"detector": "0"}}, "another detector"),
        ({"slope": -1.0}, "no number of its range"),
        ({"offset": "0"}, "no number of its range"),
        ({"operating_points": {"balanced": 0.5}}, "no number of its range"),
        (
            {"operating_points": {key: {"balanced": 1.5} for key in POINTS}},
            "no number of its range",
        ),
        ({"made": {}}, "missing"),
    ],
)
def test_files_that_are_none_are_refused(written, change, says):
    told = json.loads(written.read_text())
    written.write_text(json.dumps({**told, **change}))
    with pytest.raises(FileError, match=says):
        read_calibration(written)


def test_a_missing_file_is_told_at_once(tmp_path):
    with pytest.raises(FileError, match="no calibration"):
        Settings.build(calibration=str(tmp_path / "none.json"))


def test_protocols_have_words():
    told = {"b0_t": 3.0, "n_echoes": 5, "spacing_mm": [1, 1, 1.2], "phase": "absolute"}
    assert protocol_words(told) == "3.0 T, 5 echoes, 1.0 x 1.0 x 1.2 mm, phase"
