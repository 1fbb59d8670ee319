"""Datasets of simulated people."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from petechia.core.units import wrap
from petechia.errors import OutputError, ParameterError
from petechia.files.dicom.write import DicomStyle
from petechia.files.find import find_scans
from petechia.pipeline import simulated
from petechia.pipeline.simulated import simulate_dataset
from petechia.simulate import heads
from petechia.simulate.patient import SimulationParams

BUILT: list[int] = []
"""One for every head that was built for `pair`."""


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    root = tmp_path_factory.mktemp("pair")
    params = SimulationParams(protocol="3t_tiny", n_microbleeds=6, n_calcifications=1)
    make = heads.make_head
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(heads, "make_head", lambda *a: BUILT.append(1) or make(*a))
        names = simulate_dataset(
            root, params, seed=3, second=simulated.SecondVisit(), dicom=DicomStyle()
        )
    return root, names


def lesions(root, name):
    path = root / "derivatives/truth" / name.folder / f"{name.prefix}_desc-truth_dseg.tsv"
    with path.open() as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_a_pair_is_one_person_in_two_sessions(pair):
    root, names = pair
    assert [n.prefix for n in names] == ["sub-01_ses-1_acq-3tTiny", "sub-01_ses-2_acq-3tTiny"]
    first, second = (lesions(root, n) for n in names)
    assert len(second) >= len(first) == 7
    for a, b in zip(first, second, strict=False):
        assert (a["class"], a["site"]) == (b["class"], b["site"])
        assert (
            float(b["moment_ppm_mm3"]) >= float(a["moment_ppm_mm3"]) - 1e-3
            or a["class"] == "calcification"
        )
        moved = [abs(float(a[x]) - float(b[x])) for x in ("x_mm", "y_mm", "z_mm")]
        assert 0.05 < max(moved) < 40
    assert all("new microbleed" in row["name"] for row in second[len(first) :])


def test_dicom_beside_it_holds_the_same_scan(pair):
    root, names = pair
    bids = {ref.name.prefix: ref for ref in find_scans(root)}
    assert set(bids) == {n.prefix for n in names}
    (ref,) = find_scans(root / "sourcedata" / names[1].prefix)
    dicom, raw = ref.load().echoes, bids[names[1].prefix].load().echoes
    assert dicom.te_s == pytest.approx(raw.te_s)
    np.testing.assert_allclose(dicom.magnitude, raw.magnitude, atol=0.51)
    inside = raw.magnitude > 50
    assert np.abs(wrap(dicom.phase_rad - raw.phase_rad))[inside].max() < 0.002


def table(path):
    with path.open() as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_heads_that_are_kept_are_built_once_and_change_nothing(pair, tmp_path, monkeypatch):
    root, names = pair
    built = []
    make = heads.make_head
    monkeypatch.setattr(heads, "make_head", lambda *a: built.append(1) or make(*a))
    params = SimulationParams(protocol="3t_tiny", n_microbleeds=6, n_calcifications=1)
    simulate_dataset(tmp_path, params, seed=3, second=simulated.SecondVisit(), keep_heads=0)
    assert len(built) == 2
    assert BUILT == [1]  # the pair itself kept its head
    files = [f.relative_to(root) for n in names for f in (root / n.folder).glob("*")]
    assert len(files) == 24
    for file in files:
        assert (tmp_path / file).read_bytes() == (root / file).read_bytes()
    with pytest.raises(ParameterError, match="-1 heads kept"):
        simulate_dataset(tmp_path / "none", params, keep_heads=-1)


def test_everyone_s_age_is_that_of_their_head(pair, tmp_path, monkeypatch):
    root, _ = pair
    (one,) = table(root / "participants.tsv")
    about = json.loads((root / "participants.json").read_text())
    assert about["age"]["Units"] == "year"
    assert "iron" in about["age"]["Description"]
    scanned = []
    monkeypatch.setattr(simulated, "scan_patient", lambda p, *a, **k: scanned.append(p))
    monkeypatch.setattr(simulated, "write_simulated", lambda *a: None)
    params = SimulationParams(protocol="3t_tiny", n_microbleeds=1, n_calcifications=0)
    simulate_dataset(tmp_path / "drawn", params, seed=3, n_subjects=2)
    rows = table(tmp_path / "drawn" / "participants.tsv")
    assert [row["participant_id"] for row in rows] == ["sub-01", "sub-02"]
    assert [float(row["age"]) for row in rows] == [round(p.head.age_years, 1) for p in scanned]
    assert 45 <= float(rows[0]["age"]) <= 95
    assert rows[0]["age"] == one["age"] != rows[1]["age"]
    simulate_dataset(tmp_path / "given", replace(params, age_years=31.5))
    assert [row["age"] for row in table(tmp_path / "given" / "participants.tsv")] == ["31.5"]
    assert scanned[-1].head.age_years == 31.5


@pytest.fixture
def quick(monkeypatch):
    """No scan is computed: one file stands for each; 'broken' ones fail."""
    broken = set()

    def write(root, name, *_):
        if name.prefix in broken:
            raise RuntimeError(name.prefix)
        (root / name.folder).mkdir(parents=True, exist_ok=True)
        (root / name.folder / f"{name.prefix}.txt").write_text("a scan")

    monkeypatch.setattr(simulated, "scan_patient", lambda *a, **k: None)
    monkeypatch.setattr(simulated, "write_simulated", write)
    return broken


FEW = SimulationParams(protocol="3t_tiny", n_microbleeds=1, n_calcifications=0)


def test_people_of_another_seed_do_not_mix_with_those_that_are_there(quick, tmp_path):
    simulate_dataset(tmp_path, FEW, seed=3, n_subjects=2)
    before = (tmp_path / "participants.tsv").read_bytes()
    for more, said in (
        ({"seed": 4}, r"seed = 3, not 4\. .*new folder"),
        ({"seed": 3, "varied": True}, "varied = False, not True"),
        ({"seed": 3, "second": simulated.SecondVisit()}, "second_visit = None, not"),
        ({"seed": 3, "params": replace(FEW, n_microbleeds=2)}, "n_microbleeds = 1, not 2"),
    ):
        with pytest.raises(OutputError, match=said):
            simulate_dataset(tmp_path, **{"params": FEW, **more})
    assert (tmp_path / "participants.tsv").read_bytes() == before
    simulate_dataset(tmp_path, FEW, protocols=["3t_megre_1mm"], seed=3, n_subjects=3)  # the same
    assert len(table(tmp_path / "participants.tsv")) == 3
    described = tmp_path / "dataset_description.json"
    told = json.loads(described.read_text())
    del told[simulated.DRAWN_FROM]
    described.write_text(json.dumps(told))
    with pytest.raises(OutputError, match="does not tell with which seed"):
        simulate_dataset(tmp_path, FEW, seed=3)


def test_the_table_names_those_who_were_scanned_and_nobody_is_lost(quick, tmp_path):
    quick.add("sub-02_acq-3tTiny")
    with pytest.raises(RuntimeError):
        simulate_dataset(tmp_path, FEW, n_subjects=2)
    (first,) = table(tmp_path / "participants.tsv")
    assert first["participant_id"] == "sub-01"
    quick.clear()
    simulate_dataset(tmp_path, FEW, n_subjects=3)
    every = (tmp_path / "participants.tsv").read_bytes()
    simulate_dataset(tmp_path, FEW, n_subjects=1)
    assert (tmp_path / "participants.tsv").read_bytes() == every
    assert [row["participant_id"] for row in table(tmp_path / "participants.tsv")] == [
        "sub-01", "sub-02", "sub-03",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("bad", "said"),
    [({"grown": 2.0}, "2.0 grown.*--grown"), ({"grown": float("nan")}, "nan grown"),
     ({"n_new": -1}, "-1 new microbleeds.*--new")],
)  # fmt: skip
def test_a_second_visit_that_cannot_be_is_refused_before_anything_is_made(bad, said):
    with pytest.raises(ParameterError, match=said):
        simulated.SecondVisit(**bad)


def test_a_wrong_protocol_is_answered_with_all_there_are(tmp_path):
    with pytest.raises(ParameterError, match=r"no protocol '9t'.*3t_megre_1mm, .*random"):
        simulate_dataset(tmp_path / "none", SimulationParams(), protocols=["random", "9t"])
    assert not (tmp_path / "none").exists()


def test_a_head_does_not_lie_as_it_is_made():
    """Streams of the person and of the scan are apart."""
    params, person = SimulationParams(protocol="3t_tiny", n_microbleeds=0), object()
    scans = simulated._scans(params, person, ["3t_tiny"], None, 5, 3, None, None)
    ((_, _, make),) = scans
    lay = make.args[3].spawn(3)[0].normal(size=4)
    drawn = np.random.default_rng([5, 3]).spawn(3)[0].normal(size=4)
    assert np.abs(lay - drawn).min() > 1e-6


@pytest.mark.parametrize(("words", "said"), [(["--new", "3"], True), (["--pairs"], False)])
def test_that_people_come_twice_is_said_where_it_was_not_asked(
    petechia, tmp_path, monkeypatch, words, said
):
    asked = []
    monkeypatch.setattr(simulated, "simulate_dataset", lambda *_, **k: asked.append(k) or [])
    told = petechia("simulate", tmp_path / "out", *words)
    assert told.code == 0
    assert asked[0]["second"] is not None
    assert ("everyone comes twice, as with --pairs" in told.err) == said
