"""Thin slices merged into thick ones: what a thick slice of the same head shows."""

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.core.units import radians_per_ppm
from petechia.lesions.inputs import LesionInputs

THIN = np.diag([0.9, 1.1, 1.25, 1.0])
B0_T, TE_S = 3.0, 0.02


@pytest.fixture(scope="module")
def merge(training):
    return training("merged")


@pytest.fixture(scope="module")
def kept_type(training, merge):
    return merge.Kept


def head(shape=(15, 17, 24), affine=THIN, **more):
    """Return tissue of signal 100 all over."""
    given = {"magnitude": np.full(shape, 100.0, dtype=np.float32)} | more
    return LesionInputs(
        grid=Grid(shape, affine),
        brain_mask=np.ones(shape, bool),
        b0_t=B0_T,
        reading_te_s=TE_S,
        **given,
    )


def truth(inputs, kept_type, labels=None, lesions=()):
    shape = inputs.grid.shape
    arrays = {
        "truth_labels": np.zeros(shape, np.int16) if labels is None else labels,
        "truth_brain": np.ones(shape, np.uint8),
        "truth_veins": np.zeros(shape, np.float32),
    }
    return kept_type({"lesions": list(lesions), "b0_t": B0_T}, arrays, inputs.grid)


@pytest.mark.parametrize("seed", range(6))
def test_a_thick_slice_lies_in_the_middle_of_its_thin_ones(merge, seed):
    turned = THIN[:, [2, 0, 1, 3]]  # the slice axis first
    for affine, axis in ((THIN, 2), (turned, 0)):
        grid = Grid((20, 20, 20), affine)
        cut = merge.Cut.drawn(grid, np.random.default_rng(seed))
        place = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1)
        mm = [cut.mean(grid.to_mm(place)[..., a]) for a in range(3)]
        at = tuple(n - 1 for n in cut.grid.shape)
        assert np.allclose([m[at] for m in mm], cut.grid.to_mm(at))
        assert np.allclose([m[0, 0, 0] for m in mm], cut.grid.to_mm((0, 0, 0)))
        spacing = cut.grid.spacing_mm
        assert 3.0 <= spacing[axis] <= 6.5 * (1 + merge.GAP) + 1.25
        assert cut.n * 1.25 <= spacing[axis] + 1e-9
        centre = grid.to_index(cut.grid.to_mm(at))[axis]
        assert abs(cut.thin(at)[axis] - centre) <= 0.5


def test_what_is_out_of_phase_within_a_slice_cancels(merge, kept_type):
    # a field that rises along the slices by g ppm a voxel: n phasors in a row
    g = 0.02
    field = np.broadcast_to(g * np.arange(24, dtype=np.float32), (15, 17, 24)).copy()
    inputs = head(total_field_ppm=field, local_field_ppm=np.zeros_like(field))
    rng = np.random.default_rng(4)
    cut = merge.Cut.drawn(inputs.grid, np.random.default_rng(4))
    thick, _ = merge.merged(inputs, truth(inputs, kept_type), rng)
    half = radians_per_ppm(B0_T, TE_S) * g / 2
    expected = 100 * abs(np.sin(cut.n * half) / (cut.n * np.sin(half)))
    assert expected < 97
    # noise of 1 to 4 % and its Rician bias
    assert float(np.median(thick.magnitude)) == pytest.approx(expected, rel=0.01)
    assert thick.local_field_ppm is None
    assert not thick.sign_trusted


def test_without_a_field_magnitudes_are_averaged_and_a_void_keeps_its_share(merge, kept_type):
    labels = np.zeros((15, 17, 24), np.int16)
    labels[6:9, 7:10, 10:20], labels[3, 3, 5] = 1, 2
    magnitude = np.where(labels > 0, 0.0, 100.0).astype(np.float32)
    lesions = [
        {"index": n, "class": "microbleed", "visible": seen} for n, seen in ((1, 1), (2, 1), (3, 0))
    ]
    inputs = head(magnitude=magnitude)
    cut = merge.Cut.drawn(inputs.grid, np.random.default_rng(0))
    thick, kept = merge.merged(
        inputs, truth(inputs, kept_type, labels, lesions), np.random.default_rng(0)
    )
    # one thin voxel among three or more is 30 % or less of a slice, ten of them are not
    found = kept.arrays["truth_labels"]
    assert cut.n > 3
    assert [row["visible"] for row in kept.facts["lesions"]] == [1, 0, 0]
    assert set(np.unique(found)) == {0, 1}
    share = cut.mean((labels == 1).astype(float))
    assert np.array_equal(found == 1, share > 0.3)
    assert thick.magnitude[share == 1].max() < 20


def test_the_place_of_a_thick_voxel_is_that_of_the_thin_one_in_its_middle(merge, kept_type):
    asked = []
    inputs = head(region_of=lambda at: asked.append(at))
    thick, _ = merge.merged(inputs, truth(inputs, kept_type), np.random.default_rng(1))
    thick.region_of((3, 4, 2))
    mm = thick.grid.to_mm((3, 4, 2))
    assert np.abs(inputs.grid.to_index(mm) - asked[-1]).max() <= 0.5


def test_merged_slices_teach_and_tell_nothing_of_probabilities(training):
    measures = training("measures")
    facts = [{"variant": v, "spacing_mm": [1, 1, 4], "te_s": [0.02]} for v in ("whole", "merged")]
    assert measures.is_merged(facts).tolist() == [False, True]
    assert [measures.family_of(f) for f in facts] == ["thick slices", "slices merged"]
