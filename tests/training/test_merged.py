"""Thin slices merged into thick ones: what a thick slice of the same head shows."""

from types import SimpleNamespace

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
@pytest.mark.parametrize("way", range(2))
def test_a_thick_slice_lies_in_the_middle_of_its_thin_ones(merge, seed, way):
    turned = THIN[:, [2, 0, 1, 3]]  # the slice axis first
    for affine, axis in ((THIN, 2), (turned, 0)):
        grid = Grid((20, 20, 20), affine)
        cut = merge.Cut.drawn(grid, np.random.default_rng(seed), way)
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
    # one thin voxel among four or more is less than 30 % of a slice, ten of them are not
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


def test_of_what_is_merged_nothing_is_taken_from_beyond_a_slice_or_from_a_gap(merge, kept_type):
    """Each lesion's void stays where it is, and one in a gap is not visible."""
    grid = Grid((9, 9, 40), np.diag([1.0, 1.0, 1.0, 1.0]))
    cut = merge.Cut(grid, n=4, step=5, first=2)
    assert cut.grid.shape == (9, 9, 7)
    lines = np.broadcast_to(np.arange(40), (9, 9, 40))
    assert cut.mean(lines.astype(float))[0, 0].tolist() == [3.5 + 5 * k for k in range(7)]
    labels = np.zeros((9, 9, 40), np.int16)
    labels[4, 4, 6], labels[4, 4, 11:15], labels[4, 6, 12:19] = 1, 2, 3
    assert sorted(set(np.unique(cut.largest(labels)))) == [0, 2, 3]
    void = cut.mean((labels > 0).astype(float)) > 0.3
    found = merge._labels(labels, void, cut)
    assert np.argwhere(found == 2).tolist() == [[4, 4, 2]]
    assert np.argwhere(found == 3).tolist() == [[4, 6, 2], [4, 6, 3]]


def test_a_void_beside_a_label_is_the_lesion_s_and_one_far_from_it_nobody_s(merge):
    cut = merge.Cut(Grid((12, 12, 16), np.eye(4)), n=4, step=4, first=0)
    labels = np.zeros((12, 12, 16), np.int16)
    labels[5, 5, 4:8] = 7
    void = np.zeros(cut.grid.shape, bool)
    void[5, 4:7, 1], void[5, 9, 1] = True, True
    assert np.argwhere(merge._labels(labels, void, cut) == 7).tolist() == [
        [5, 4, 1],
        [5, 5, 1],
        [5, 6, 1],
    ]


def test_too_few_slices_are_refused(merge):
    with pytest.raises(SystemExit, match="3 slices are too few"):
        merge.Cut.drawn(Grid((9, 9, 3), THIN), np.random.default_rng(0))


def looks():
    """Return facts of two scans in thin and one in thick slices, and of what was merged of two."""
    of = {"person": "1-1", "protocol": "random_3"}
    thin, thick, merged = ({"spacing_mm": [1, 1, mm]} for mm in (1.5, 5.0, 4.5))
    one, many = {"te_s": [0.02]}, {"te_s": [0.01, 0.02]}
    return [
        of | thin | one | {"variant": "whole"},
        of | thin | many | {"variant": "no_phase"},
        of | thick | one | {"variant": "whole"},
        of | merged | one | {"variant": "merged"},
        of | merged | many | {"variant": "merged"},
    ]


def test_merged_slices_are_neither_thin_nor_thick_ones_and_of_their_scan_s_family(training):
    measures, facts = training("measures"), looks()
    assert measures.is_merged(facts).tolist() == [False] * 3 + [True] * 2
    assert measures.by_slices(facts) == ([0, 1], [2])
    assert [measures.family_of(f) for f in facts[2:]] == [
        "thick slices",
        "slices merged",
        "slices merged",
    ]
    assert [measures.family_of_scan(f) for f in facts] == [
        "single-echo",
        "multi-echo",
        "thick slices",
        "single-echo",
        "multi-echo",
    ]


def test_merged_slices_teach_and_tell_nothing_of_probabilities_and_ranges(training):
    pytest.importorskip("sklearn", reason="needs the extra `train`")
    fit, facts = training("fit"), looks()
    n = 40
    scan = np.repeat(np.arange(len(facts)), n)
    rng = np.random.default_rng(2)
    table = rng.normal(size=(len(scan), len(fit.NAMES))).astype(np.float32)
    table[scan >= 3] *= 100
    e = SimpleNamespace(
        facts=facts,
        scan=scan,
        table=table,
        label=rng.integers(0, 4, len(scan)),
        diameter=np.full(len(scan), 3.0),
    )
    assert (fit.told_by_size(e) >= 0).all()
    assert (fit.told_to_join(e)[scan >= 3] == -1).all()
    assert (fit.told_to_join(e)[scan < 3] == 0).any()
    low, high, outside = fit.ranges_of(e)
    assert np.abs([low, high]).max() < 10
    assert len(outside) == 3


@pytest.mark.parametrize("chi", [1.0, -1.0])
def test_of_a_phase_that_is_kept_the_road_tells_the_sign(merge, chi):
    """The field of a sphere outside it, and no signal inside."""
    grid = Grid((44, 44, 22), np.diag([1.0, 1.0, 3.0, 1.0]))
    inputs = head(shape=grid.shape, affine=grid.affine)
    x, y, z = np.moveaxis(
        grid.to_mm(np.moveaxis(np.indices(grid.shape), 0, -1)) - grid.to_mm((22, 22, 11)), -1, 0
    )
    away = np.sqrt(x**2 + y**2 + z**2)
    outside = away > 2.5
    pole = (3 * z**2 - away**2) / np.maximum(away, 1) ** 5
    field = np.where(outside, chi / 3 * 2.5**3 * pole, 0)
    signal = 100 * outside * np.exp(1j * radians_per_ppm(B0_T, TE_S) * field)
    mask = ((x / 19) ** 2 + (y / 19) ** 2 + (z / 28) ** 2) < 1
    noisy = merge._with_noise(signal, mask, np.random.default_rng(0))
    found = merge._of_phase(noisy, mask, grid, inputs)
    assert set(found) == {*merge.OF_PHASE, "sign_trusted"} - {"filtered_field_ppm"}
    assert found["sign_trusted"]
    assert found["swi"] is not None
    assert np.sign(found["chi_ppm"][22, 22, 11]) == np.sign(chi)
    assert abs(found["chi_ppm"][22, 22, 11]) > 0.1


def test_noise_is_that_of_the_signal_and_of_both_its_parts(merge):
    signal = np.full((30, 30, 30), 50j, dtype=np.complex64)
    noisy = merge._with_noise(signal, np.ones(signal.shape, bool), np.random.default_rng(1))
    apart = noisy - signal
    assert 50 / 90 < apart.real.std() < 50 / 25
    assert apart.imag.std() == pytest.approx(apart.real.std(), rel=0.02)


def test_deep_inside_a_large_void_the_tissue_is_that_of_its_border(merge):
    labels = np.zeros((40, 40, 40), np.int16)
    labels[5:35, 5:35, 5:35] = 1
    magnitude = np.where(labels > 0, 3.0, 100.0).astype(np.float32)
    alone = merge._tissue_alone(magnitude, labels, Grid(labels.shape, np.eye(4)))
    assert alone == pytest.approx(np.full(labels.shape, 100.0), rel=1e-3)


def test_a_contrast_changes_the_signal_before_slices_are_merged(merge, kept_type):
    inputs = head()
    bright = np.arange(24) % 2 > 0
    inputs.magnitude[..., bright] = 20
    contrast = np.where(bright, 10.0, 0.5).astype(np.float32) * np.ones(inputs.grid.shape)
    thick, _ = merge.merged(
        inputs, truth(inputs, kept_type), np.random.default_rng(4), contrast.astype(np.float32)
    )
    cut = merge.Cut.drawn(inputs.grid, np.random.default_rng(4))
    expected = cut.mean(np.where(bright, 200.0, 50.0) * np.ones(inputs.grid.shape))
    assert np.abs(thick.magnitude / expected - 1).mean() < 0.05
    assert np.abs(cut.mean(inputs.magnitude) * cut.mean(contrast) / expected - 1).min() > 0.5


def test_what_is_merged_twice_is_cut_otherwise_and_its_phase_may_be_kept(
    merge, kept_type, monkeypatch
):
    monkeypatch.setattr(merge, "WITH_PHASE", 1.0)
    shape = (44, 44, 44)
    x, y, z = np.indices(shape) - 21.5
    field = (0.002 * z).astype(np.float32)
    inputs = head(shape, total_field_ppm=field, local_field_ppm=np.zeros_like(field))
    inputs.brain_mask[:] = (x**2 + y**2 + z**2) < 20**2
    one, two = (
        merge.merged(inputs, truth(inputs, kept_type), np.random.default_rng(way), way=way)
        for way in range(2)
    )
    assert one[0].grid.spacing_mm[2] >= 4 > two[0].grid.spacing_mm[2]
    assert [kept.facts["merged"]["phase"] for _, kept in (one, two)] == [False, True]
    assert one[0].local_field_ppm is None
    assert one[0].sign_trusted is False
    assert two[0].sign_trusted
    assert two[0].chi_ppm.shape == two[0].magnitude.shape


def test_ways_to_merge_one_head_take_turns_and_share_one_weight(training):
    pytest.importorskip("torch", reason="needs the extra `train`")
    measures, fit, network = (training(name) for name in ("measures", "fit", "network"))
    thick = {"protocol": "random_3", "spacing_mm": [1, 1, 5]}
    facts = [
        thick | {"look": look, "variant": variant}
        for look, variant in (
            ("1_000_3.whole", "whole"),
            ("case_1.5t_swi_3.merged", "merged"),
            ("case_1.5t_swi_3.merged_again", "merged"),
        )
    ]
    assert measures.turn_of(facts).tolist() == [-1, 0, 1]
    e = SimpleNamespace(facts=facts, scan=np.array([0, 1, 1, 2]))
    whole, *merged = fit.weights(e)
    assert merged == [whole / 2] * 3
    # and so do the poorer pictures of each
    table = np.zeros((4, len(fit.NAMES)), np.float32)
    table[:, fit.PHASE] = 2
    asked = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "grown", lambda table, label, weight, *_: asked.append(weight))
        patch.setattr(fit, "plain", lambda _: None)
        fit.fit_bleed(table, np.zeros(4, np.int64), fit.weights(e), fit.shares(e), 0)
    assert asked[0].tolist() == [whole, *merged, *2 * [0.4, 0.2, 0.2, 0.2]]
    n = 8 * network.BATCH
    turn = np.repeat([-1, 0, 1], [2 * network.BATCH, 3 * network.BATCH, 3 * network.BATCH])
    hard, easy = np.arange(0, n, 2), np.arange(1, n, 2)
    batches = list(network._batches(hard, easy, np.random.default_rng(0), 2, turn))
    middle = len(batches) // 2
    first, second = (np.concatenate(part) for part in (batches[:middle], batches[middle:]))
    assert set(turn[first]) == {-1, 0}
    assert set(turn[second]) == {-1, 1}
    assert len(batches) == 2 * (int((hard < 5 * network.BATCH).sum() * 1.2) // network.BATCH)


def test_trees_of_thin_and_of_thick_slices_learn_little_of_the_others(training):
    pytest.importorskip("sklearn", reason="needs the extra `train`")
    fit = training("fit")
    facts = [
        {"protocol": "random_3", "spacing_mm": [1, 1, mm], "variant": "whole"} for mm in (1.5, 5.0)
    ]
    e = SimpleNamespace(
        facts=facts,
        scan=np.array([0, 0, 1, 1]),
        table=np.arange(4.0)[:, None] * np.ones(len(fit.NAMES)),
        label=np.array([0, 1, 0, 1]),
        diameter=np.full(4, 3.0),
    )
    asked = []

    def told(table, label, weight, share, seed):
        asked.append((table[:, 0].tolist(), weight.tolist(), share.tolist()))
        return SimpleNamespace(scores=lambda t, n=len(asked): t[:, :1] * 10**n)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "fit_bleed", told)
        trees = fit.fit_bleeds(e, np.array([True, True, True, False]), 0)
    a, b = fit.THICK_IN_THIN, fit.THIN_IN_THICK
    assert list(trees) == ["bleed_", "bleed_thick_"]
    assert asked == [
        ([0, 1, 2], [2, 2, 2 * fit.THICK_WEIGHT * a], [1, 1, a]),
        ([0, 1, 2], [4 * b, 4 * b, 2], [b, b, 1]),
    ]
    assert a < 1
    assert b < 1
    thick = np.array([False, False, True, True])
    assert fit.scores_of(trees, e.table, thick).tolist() == [0, 10, 200, 300]
