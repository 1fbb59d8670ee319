"""From an output and its log to agreement and a site's calibration, files and command line."""

import json
import shutil
import uuid

import numpy as np
import pytest

from petechia.apps.cli.main import main
from petechia.core.logistic import expit, logit
from petechia.errors import FileError
from petechia.files.output import OutputTree
from petechia.files.scan import ScanName
from petechia.lesions.criteria import CriteriaParams, summarise
from petechia.lesions.criteria.clinical import ClinicalFacts
from petechia.lesions.findings import Finding
from petechia.pipeline.calibration import detector_sha256, read_calibration
from petechia.pipeline.detector import operating_points
from petechia.pipeline.review.cases import ReviewFolder
from petechia.pipeline.review.decided import decisions_of, read_decided
from petechia.pipeline.review.desk import Desk, Rules
from petechia.pipeline.review.events import Event, added_key
from petechia.pipeline.review.log import ReviewLog, log_path
from petechia.pipeline.review.readings import open_scan
from petechia.pipeline.review.study import agreement, disagreements
from petechia.pipeline.settings import Settings

PEOPLE, EACH = 8, 14
FINGERPRINT = "f" * 64


def finding(index, probability):
    counted = probability >= 0.75
    return Finding(
        index=index, name=f"spot {index}", class_="microbleed" if probability >= 0.4 else "vessel",
        sign="paramagnetic", probability=probability, counted=counted,
        mars="definite" if counted else "n/a", x_mm=10.0 * index, y_mm=0.0, z_mm=0.0,
        volume_mm3=27.0, diameter_mm=4.0, moment_ppm_mm3=2.0, moment_se_ppm_mm3=0.2,
        chi_mean_ppm=0.3, side="left", site="frontal", compartment="lobar",
        parenchyma_fraction=0.9, sphericity=0.8, margin_sharpness=0.7, homogeneity=0.6,
        evidence="round",
    )  # fmt: skip


def write_scan(tree, subject, findings):
    name = ScanName((("sub", subject),))
    rows = [one.row() for one in findings]
    (tree.root / f"sub-{subject}" / "anat").mkdir(parents=True)
    tree.write_table("findings", name, rows, list(rows[0]))
    told = summarise(findings, CriteriaParams(), "not looked for", ClinicalFacts(), assessable=True)
    summary = {
        "source": {"name": name.prefix}, "settings": {}, "fingerprint": FINGERPRINT,
        "protocol": {"b0_t": 3.0, "n_echoes": 4, "spacing_mm": [1.2, 1.2, 7.0], "phase": "absolute",
                     "shape": [10, 10, 10], "te_s": [0.01, 0.02]},
        "reading_te_s": 0.02,
        "model": {"sha256": detector_sha256(), "classification": Settings().classification},
        "operating_point": {"name": "balanced", "threshold": 0.75}, **told,
    }  # fmt: skip
    tree.write_json("summary", name, summary)


class Pen:
    def __init__(self, log, reader, round=1):
        self.log, self.reader, self.round = log, reader, round

    def __call__(self, scan, kind, finding="", seconds=0.0, **payload):
        made = str(uuid.uuid4())
        self.log.append(
            Event(
                uuid=made,
                reader=self.reader,
                round=self.round,
                scan=scan,
                fingerprint=FINGERPRINT,
                finding=added_key(made) if kind == "add" else finding,
                kind=kind,
                payload=payload,
                seconds=seconds,
            )
        )


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory):
    """Two readers who read alike but for sub-01: all true by offset -1.5 on the log-odds."""
    tree = OutputTree(tmp_path_factory.mktemp("reviewed") / "out")
    tree.write_dataset_description()
    rng = np.random.default_rng(4)
    with ReviewLog(log_path(tree.root)) as log:
        ann, ben, judge = (Pen(log, name) for name in ("ann", "ben", "judge"))
        for n in range(1, PEOPLE + 1):
            scan = f"sub-{n:02d}"
            p = np.sort(np.round(rng.uniform(0.06, 0.99, EACH), 3))[::-1]
            write_scan(tree, f"{n:02d}", [finding(k + 1, float(v)) for k, v in enumerate(p)])
            true = rng.random(EACH) < expit(-1.5 + logit(p))
            for pen in (ann, ben):
                for k in range(EACH):
                    word = (
                        {"verdict": "accept"} if true[k] else {"verdict": "reject", "class": "iron"}
                    )
                    pen(scan, "decide", f"s{k + 1}", seconds=1.5, **word)
                pen(scan, "finish")
        place = {"x_mm": 200.0, "y_mm": 0.0, "z_mm": 0.0, "class": "microbleed"}
        ann("sub-01", "add", **place)
        ben("sub-01", "add", **(place | {"y_mm": 6.0}))  # within a slice of 7 mm
        ben("sub-02", "add", **place)
        ben("sub-03", "reopen")
        key = next(e.finding for e in log.events("sub-02", reader="ben") if e.kind == "add")
        judge("sub-02", "adjudicate", key, verdict="accept")
    return tree.root


def readings_of(root):
    with ReviewLog(log_path(root)) as log:
        return Desk(ReviewFolder(root), log, Rules(adjudicators=("judge",))).readings("judge")


def test_readings_of_an_output(reviewed):
    readings = readings_of(reviewed).readings
    assert {r.reader for r in readings} == {"ann", "ben"}  # who only adjudicates reads nothing
    assert len(readings) == 2 * PEOPLE - 1  # sub-03 was opened again
    assert {r.near_mm for r in readings} == {7.0}
    told = agreement(readings)
    (pair,) = told["pairs"]
    assert pair["scans"] == PEOPLE - 1
    assert (pair["lesions"]["only_first"], pair["lesions"]["only_second"]) == (0, 1)
    assert told["seconds"]["ann"]["median"] == 1.5
    (row,) = disagreements(readings)
    assert row["scan"] == "sub-02"
    assert row["by_reader"]["ann"]["verdict"] == "not_marked"


def test_decisions_by_one_reader_and_by_all(reviewed):
    ann = decisions_of(read_decided(reviewed, "ann"))
    assert len(ann.y) == PEOPLE * EACH
    assert ann.missed.sum() == 1
    whole = decisions_of(read_decided(reviewed))
    assert len(whole.y) == (PEOPLE - 1) * EACH  # not finished by all: sub-03
    assert whole.protocol[0] == "3.0 T, 4 echoes, 1.2 x 1.2 x 7.0 mm, phase"
    # sub-02's was adjudicated; sub-01's lie 6 mm apart
    assert whole.missed.tolist()[1] == 1


def test_a_later_round_speaks_once_it_is_finished(reviewed, tmp_path, capsys):
    root = shutil.copytree(reviewed, tmp_path / "out")
    with ReviewLog(log_path(root)) as log:
        again = Pen(log, "ann", round=2)
        again("sub-01", "note", text="just looking")
        again("sub-02", "decide", "s1", verdict="reject", **{"class": "iron"})
        for k in range(EACH):
            again("sub-04", "decide", f"s{k + 1}", verdict="accept")
        again("sub-04", "finish")
    for reader, n in (("ann", PEOPLE), ("", PEOPLE - 1)):
        scans = read_decided(root, reader)
        rounds = {one.reading.scan: one.reading.round for one in scans}
        assert {scan for scan, number in rounds.items() if number == 2} == {"sub-04"}
        told = decisions_of(scans)
        assert len(told.person) == n
        speaking = [one.reading.scan for one in scans if not one.why_not]
        assert told.y[told.scan == speaking.index("sub-04")].all()
    # asked for by its number it is taken as it is
    assert [one.why_not for one in read_decided(root, "ann", round=2)][:2] == ["not finished"] * 2
    shutil.rmtree(root / "sub-05")
    assert main(["calibrate", str(root), "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "left out: sub-03 (not finished)\nleft out: sub-05 (no results here)\n" in out
    assert "note: Reviewed scans that are left out: no results here (1), not finished (1)." in out


def test_one_output_given_twice_is_refused(reviewed, tmp_path, capsys):
    link = tmp_path / "link"
    link.symlink_to(reviewed)
    for other in (reviewed, link):
        assert main(["calibrate", str(reviewed), str(other), "--dry-run"]) == 2
        assert "7 of the scans come twice, e.g. sub-01" in capsys.readouterr().err


def test_the_command_prints_writes_and_is_used(reviewed, tmp_path, capsys):
    path = tmp_path / "site.json"
    assert main(["calibrate", str(reviewed), "--reader", "ann", "--write", str(path)]) == 0
    told = capsys.readouterr().out
    assert "| all | 8 | 112 |" in told
    point = operating_points(slice_mm=7.0)["balanced"]
    assert f"| balanced, thick slices | {point:.3f} | {point:.3f} |" in told
    assert "written" in told
    found = read_calibration(path)
    assert found.line.offset < -0.5
    assert found.made["decided_by"] == "one reader"
    assert "ann" not in json.loads(path.read_text())["made"].values()
    assert Settings.build(calibration=str(path)).site() == found


def test_a_dry_run_and_refusals(reviewed, tmp_path, capsys):
    assert main(["calibrate", str(reviewed), "--dry-run"]) == 0
    assert "nothing was written" in capsys.readouterr().out
    path = tmp_path / "site.json"
    assert main(["calibrate", str(reviewed)]) == 2
    assert "--write FILE or --dry-run" in capsys.readouterr().err
    assert main(["calibrate", str(reviewed), "--reader", "zoe", "--write", str(path)]) == 2
    assert "no finished scan" in capsys.readouterr().err
    assert not path.exists()


def test_an_output_that_nobody_reviewed(tmp_path):
    tree = OutputTree(tmp_path / "out")
    tree.write_dataset_description()
    with pytest.raises(FileError, match="nothing has been decided"):
        read_decided(tree.root)
    with pytest.raises(FileError, match="has no results of it"):
        open_scan(ReviewFolder(tree.root), "sub-01")


def test_a_scan_that_cannot_be_read_is_named_with_the_reason(reviewed, tmp_path):
    root = shutil.copytree(reviewed, tmp_path / "out")
    (root / "sub-02/anat/sub-02_desc-findings_dseg.tsv").unlink()
    shutil.rmtree(root / "sub-04")
    found = readings_of(root)
    assert {r.scan for r in found.readings}.isdisjoint({"sub-02", "sub-04"})
    assert "cannot be read" in found.unread["sub-02"]
    assert "no results" in found.unread["sub-04"]
    assert len(found.notes) == 2
