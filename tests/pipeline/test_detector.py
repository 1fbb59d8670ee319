"""The model that is vendored: one for all slices, with trees and operating points for thin and thick ones."""

import numpy as np
import pytest

from petechia.assets.store import manifest
from petechia.core.counts import CountDoubt
from petechia.lesions.classification import METHODS
from petechia.pipeline.calibration import detector_sha256
from petechia.pipeline.detector import card, count_doubt, detector, operating_points, threshold
from petechia.pipeline.summary import model


def test_one_model_looks_at_all_slices_and_counts_from_points_of_their_own():
    thin, thick = detector(slice_mm=2.9), detector(slice_mm=3.0)
    for name, array in thin.bleed.arrays().items():
        np.testing.assert_array_equal(thick.bleed.arrays()[name], array)
    assert thin.bleed_thick.arrays()["root"].tolist() == thick.bleed_thick.arrays()["root"].tolist()
    assert not np.array_equal(thick.bleed_thick.value, thick.bleed.value)
    cubes = np.random.default_rng(0).uniform(0, 0.5, (2, 6, 20, 20, 20)).astype(np.float32)
    np.testing.assert_array_equal(thin.seen(cubes), thick.seen(cubes))
    assert thin.operating_points == operating_points(slice_mm=1.0)
    assert thick.operating_points == operating_points(slice_mm=5.0)
    assert thin.operating_points != thick.operating_points


def test_every_file_of_the_detector_is_in_the_hash():
    files = {name for name in manifest() if name.startswith("detector")} - {"detector_card"}
    assert set(detector_sha256()) == files == {"detector", "detector_network"}


def test_what_findings_share_is_known_for_thin_and_for_thick_slices():
    thin, thick = count_doubt(2.9), count_doubt(3.0)
    assert thin == CountDoubt(**card()["count_doubt"])
    assert thick == CountDoubt(**card()["thick_slices"]["count_doubt"])
    assert thin != thick


@pytest.mark.parametrize("row", list(METHODS))
@pytest.mark.parametrize(("slice_mm", "scans"), [(1.5, "all"), (5.0, "thick slices")])
def test_a_summary_tells_of_the_model_on_such_slices(row, slice_mm, scans):
    told = model(row, slice_mm=slice_mm)
    of = card()["refined"]["told_by_others"] if row == "refined" else card()["out_of_fold"]
    measured = of[f"{row}, {scans}"]
    assert f"expected calibration error {measured['ece']}" in told["says"]
    assert told["count_doubt"] == {
        name: getattr(count_doubt(slice_mm), name) for name in count_doubt().__slots__
    }
    assert told["operating_points"] == operating_points(None, slice_mm, row)


def test_thin_slices_without_a_sign_have_points_of_their_own():
    told, without = card(), operating_points(slice_mm=1.0, signed=False)
    assert without == told["without_sign"]["operating_points"]
    assert all(without[name] > p for name, p in told["operating_points"].items())
    assert detector(slice_mm=1.0, signed=False).operating_points == without
    assert threshold("balanced", slice_mm=1.0, signed=False) == without["balanced"]
    assert model("refined", slice_mm=1.0, signed=False)["operating_points"] == without
    assert operating_points(slice_mm=5.0, signed=False) == operating_points(slice_mm=5.0)
    row = "combined"
    assert operating_points(None, 1.0, row, signed=False) == operating_points(None, 1.0, row)
