"""From a simulated patient to the report, on the light grid of the demo: what is there is found."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow
PREFIX = "sub-01_acq-demoLight"
NEAR_MM = 5.0
MOMENT = 2.0
"""Microbleeds above this moment [ppm mm3] must be found."""


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    """What `petechia demo` leaves."""
    from petechia.apps.cli.main import main

    place = tmp_path_factory.mktemp("demo")
    assert main(["demo", "--out", str(place)]) == 0
    return place


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines(), delimiter="\t"))


def place_of(row: dict[str, str]) -> np.ndarray:
    return np.array([float(row[key]) for key in ("x_mm", "y_mm", "z_mm")])


def nearest(lesion: dict[str, str], findings: list[dict[str, str]]) -> tuple[float, dict[str, str]]:
    """Return the finding nearest to a lesion, and how far it is [mm]."""
    far = [float(np.linalg.norm(place_of(row) - place_of(lesion))) for row in findings]
    at = int(np.argmin(far))
    return far[at], findings[at]


@pytest.fixture(scope="module")
def findings(demo):
    return table(demo / "output" / "sub-01" / "anat" / f"{PREFIX}_desc-findings_dseg.tsv")


@pytest.fixture(scope="module")
def lesions(demo):
    truth = demo / "raw" / "derivatives" / "truth" / "sub-01" / "anat"
    return table(truth / f"{PREFIX}_desc-truth_dseg.tsv")


@pytest.mark.xdist_group("demo")
def test_every_clear_microbleed_is_counted_with_its_sign(lesions, findings):
    clear = [
        lesion
        for lesion in lesions
        if lesion["class"] == "microbleed"
        and lesion["visible"] == "1"
        and float(lesion["moment_ppm_mm3"]) > MOMENT
    ]
    assert len(clear) >= 3
    for lesion in clear:
        far, found = nearest(lesion, findings)
        assert far < NEAR_MM, lesion
        assert (found["class"], found["counted"]) == ("microbleed", "1"), (lesion, found)
        assert found["sign"] == "paramagnetic"
        told, error = float(found["moment_ppm_mm3"]), float(found["moment_se_ppm_mm3"])
        assert abs(told - float(lesion["moment_ppm_mm3"])) < max(0.4 * told, 4 * error)


@pytest.mark.xdist_group("demo")
def test_no_calcification_is_counted(lesions, findings):
    calcium = [lesion for lesion in lesions if lesion["class"] == "calcification"]
    assert calcium
    for lesion in calcium:
        far, found = nearest(lesion, findings)
        if far < NEAR_MM:
            assert found["counted"] == "0", (lesion, found)
            assert found["sign"] != "paramagnetic"


@pytest.mark.xdist_group("demo")
def test_little_is_counted_that_is_no_microbleed(lesions, findings):
    bleeds = [row for row in lesions if row["class"] == "microbleed"]
    counted = [row for row in findings if row["counted"] == "1"]
    false = [row for row in counted if nearest(row, bleeds)[0] > NEAR_MM]
    assert len(false) <= 2, [row["evidence"] for row in false]


@pytest.mark.xdist_group("demo")
def test_the_output_keeps_the_contract_and_is_valid_bids(demo, departures, bids_errors):
    assert departures(demo / "output") == []
    assert bids_errors(demo / "raw") == []
    assert bids_errors(demo / "output") == []


@pytest.mark.xdist_group("demo")
def test_the_report_shows_every_counted_finding(demo, findings):
    page = (demo / "output" / f"{PREFIX}.html").read_text(encoding="utf-8")
    folder = demo / "output" / "sub-01" / "anat"
    summary = json.loads((folder / f"{PREFIX}_desc-petechia_summary.json").read_text())
    counted = [row for row in findings if row["counted"] == "1"]
    assert summary["counts"]["total"] == len(counted)
    low, high = summary["count_interval_95"]
    assert 0 <= low <= high
    assert summary["category"] in ("strictly_lobar", "strictly_deep_or_infratentorial", "mixed")
    assert summary["research_use_only"] in page
    for row in counted:
        reasons = [part.strip() for part in row["evidence"].split(";")]
        measured = next(part for part in reasons if not part.startswith("model:"))
        assert measured[:20] in page
