"""The models that are vendored: one for thin slices, one for thick ones."""

import numpy as np
import pytest

from petechia.pipeline.calibration import detector_sha256
from petechia.pipeline.detector import card_of, count_doubt, detector, operating_points
from petechia.pipeline.summary import model


@pytest.fixture(scope="module")
def both():
    return detector(slice_mm=2.9), detector(slice_mm=3.0)


def test_thick_slices_have_a_model_of_their_own(both):
    thin, thick = both
    assert not np.array_equal(thin.bleed.value, thick.bleed.value)
    assert thin.operating_points == operating_points(slice_mm=1.0)
    assert thick.operating_points == operating_points(slice_mm=5.0)
    assert thin.card["trained_on"]["scans"] != thick.card["trained_on"]["scans"]
    assert count_doubt(1.0) != count_doubt(5.0)
    cubes = np.random.default_rng(0).uniform(0, 0.5, (2, 6, 20, 20, 20)).astype(np.float32)
    assert not np.allclose(thin.seen(cubes), thick.seen(cubes))


def test_the_files_of_both_are_in_the_hash():
    assert set(detector_sha256()) == {
        "detector", "detector_network", "detector_thick", "detector_thick_network",
    }  # fmt: skip


@pytest.mark.parametrize(("slice_mm", "scans"), [(1.5, "all"), (5.0, "thick slices")])
def test_a_summary_tells_of_the_model_that_looked(slice_mm, scans):
    told = model("combined", slice_mm=slice_mm)
    measured = card_of(slice_mm)["out_of_fold"][f"combined, {scans}"]
    assert f"expected calibration error {measured['ece']}" in told["says"]
    assert told["count_doubt"] == card_of(slice_mm)["count_doubt"]
    assert told["operating_points"] == operating_points(slice_mm=slice_mm)
