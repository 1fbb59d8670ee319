"""Datasets of simulated people."""

import csv

import numpy as np
import pytest

from petechia.core.units import wrap
from petechia.files.dicom.write import DicomStyle
from petechia.files.find import find_scans
from petechia.pipeline.simulated import simulate_dataset
from petechia.simulate.patient import SimulationParams


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    root = tmp_path_factory.mktemp("pair")
    params = SimulationParams(protocol="3t_tiny", n_microbleeds=6, n_calcifications=1)
    names = simulate_dataset(root, params, seed=3, pairs=True, dicom=DicomStyle())
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
