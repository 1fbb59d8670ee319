"""Training: trees as arrays are those of the library, networks as ONNX those of torch."""

from types import SimpleNamespace

import numpy as np
import pytest

from petechia.core.grid import Grid

NEED = "needs the extra `train`"


@pytest.fixture(scope="module")
def fit(training):
    pytest.importorskip("sklearn", reason=NEED)
    return training("fit")


@pytest.fixture(scope="module")
def network(training):
    pytest.importorskip("torch", reason=NEED)
    return training("network")


def table(n=400, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 6)).astype(np.float32)
    x[rng.random(x.shape) < 0.1] = np.nan
    y = (np.nan_to_num(x[:, 0]) + 0.3 * np.nan_to_num(x[:, 1]) > 0.2).astype(int)
    return x, y


@pytest.mark.parametrize(("mm", "thick"), [(2.99, False), (2.9995, True), (3.0, True)])
def test_training_calls_those_slices_thick_that_the_detector_does(fit, training, mm, thick):
    kept = training("kept").Kept({}, {}, Grid((3, 3, 3), np.diag([0.9, 0.9, mm, 1.0])))
    fact = {
        "variant": "whole",
        "te_s": [0.02],
        "protocol": "random_1",
        "spacing_mm": [0.9, 0.9, mm],
    }
    weight = fit.weights(SimpleNamespace(facts=[fact], scan=np.array([0])))
    assert kept.thick == thick
    assert fit.family_of(fact) == ("thick slices" if thick else "single-echo")
    assert weight.tolist() == [fit.THICK_WEIGHT if thick else 1.0]


def test_trees_as_arrays_score_as_the_library_s(fit):
    x, y = table()
    library = fit.grown(x, y, np.ones(len(y)), 3, 20)
    ours = fit.plain(library)
    assert np.allclose(ours.scores(x)[:, 0], library.decision_function(x), atol=1e-9)


def test_trees_of_names_may_be_those_of_another_fit(fit, tmp_path):
    x, y = table()
    trees = fit.plain(fit.grown(x, y, np.ones(len(y)), 3, 5))
    np.savez(tmp_path / "detector.npz", **trees.arrays("other_"), bleed_root=np.zeros(1))
    names = fit.names_of(tmp_path / "detector.npz")
    assert names.keys() == trees.arrays("other_").keys()
    assert np.array_equal(names["other_threshold"], trees.threshold)
    np.savez(tmp_path / "none.npz", bleed_root=np.zeros(1))
    with pytest.raises(SystemExit, match=r"none\.npz: no trees"):
        fit.names_of(tmp_path / "none.npz")


def test_trees_of_classes_leave_room_for_those_never_seen(fit):
    x, y = table()
    label = np.where(y == 1, 2, np.where(np.nan_to_num(x[:, 2]) > 0, 3, 5))
    library = fit.grown(x, label, np.ones(len(y)), 3, 10)
    ours = fit.plain(library, [1, 2, 3, 4, 5])
    scores = ours.scores(x)
    assert np.allclose(scores[:, [1, 2, 4]], library.decision_function(x), atol=1e-9)
    assert (scores[:, [0, 3]] < -10).all()


def test_the_same_seed_grows_the_same_trees(fit):
    x, y = table()
    one, two = (fit.plain(fit.grown(x, y, np.ones(len(y)), 3, 5)).arrays() for _ in range(2))
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_a_poorer_scan_lacks_what_it_must(fit):
    from petechia.lesions.features import NAMES
    from petechia.lesions.findings import CLASSES

    whole = np.ones((2, len(NAMES)), np.float32)
    whole[:, NAMES.index("phase")] = 2
    label = np.array([0, CLASSES.index("calcification")])
    poor, told, row = fit.degraded(whole, label)
    assert len(poor) == 6
    assert row.tolist() == [0, 1] * 3
    no_phase = poor[:2]
    assert np.isnan(no_phase[:, NAMES.index("field_explained")]).all()
    assert (no_phase[:, NAMES.index("phase")] == 0).all()
    # calcium is neither right nor wrong where its sign cannot be seen
    assert told.tolist() == [0, -1, 0, -1, 0, CLASSES.index("calcification")]


def test_people_are_kept_apart(fit):
    facts = [{"person": f"{n // 3}"} for n in range(30)]
    fold = fit.folds_of(facts, 1)
    assert all(len(set(fold[3 * n : 3 * n + 3])) == 1 for n in range(10))
    assert set(fold) == set(range(fit.FOLDS))


@pytest.mark.filterwarnings("ignore::FutureWarning")  # of torch's exporter, about torch
def test_a_tiny_network_is_made_again_and_is_the_same_as_onnx(network):
    from petechia.lesions.features.patches import CHANNELS, SIDE
    from petechia.lesions.model import _session, run_network

    rng = np.random.default_rng(0)
    cubes = rng.normal(0, 0.1, (160, len(CHANNELS), SIDE, SIDE, SIDE)).astype(np.float16)
    label = np.arange(160) % 2 * 3
    cubes[label == 0, 0, 8:12, 8:12, 8:12] += 1
    hard, rows = np.ones(160, bool), np.arange(160)
    one, two = (network.train_network(cubes, label, hard, rows, 5, 2, width=4) for _ in range(2))
    a, b = (network.answers(n, cubes[:20]) for n in (one, two))
    assert np.allclose(a, b, atol=1e-4)
    content = network.to_onnx(network.Mean([one, two]).eval())
    assert len(content) < 1_000_000
    seen = run_network(_session(content), cubes[:20].astype(np.float32))
    assert np.allclose(seen, 0.5 * (a + b), atol=1e-3)
    half = network.halved(content)
    assert len(half) < 0.7 * len(content)
    again = run_network(_session(half), cubes[:20].astype(np.float32))
    assert np.allclose(again, seen, atol=0.01)


def test_a_varied_batch_is_the_same_picture_turned_louder_and_with_images_missing(network):
    import torch

    from petechia.lesions.features.patches import CHANNELS, SIDE
    from petechia.lesions.findings import CLASSES

    cubes = np.random.default_rng(1).uniform(0.5, 1, (64, len(CHANNELS), SIDE, SIDE, SIDE))
    cubes = cubes.astype(np.float16)
    cubes[:8, CHANNELS.index("decay")] = 0
    calcium = CLASSES.index("calcification")
    label = torch.from_numpy(np.arange(64) % 2 * calcium)
    made, weight = network.varied(cubes, label, np.random.default_rng(2))
    again, _ = network.varied(cubes, label, np.random.default_rng(2))
    assert torch.equal(made, again)
    assert made.is_contiguous(memory_format=torch.channels_last_3d)
    louder = made.mean(dim=(2, 3, 4)).numpy() / np.maximum(cubes.mean(axis=(2, 3, 4)), 1e-3)
    gone = louder == 0
    assert gone[:8, CHANNELS.index("decay")].all()  # no noise where there is no image
    assert 0 < gone.mean() < 0.5
    assert not gone[:, CHANNELS.index("dark")].any()
    assert ((louder > 0.78) & (louder < 1.27))[~gone].all()
    np.testing.assert_allclose(louder[:, CHANNELS.index("brain")], 1, atol=0.01)
    # noise is there, small and of each cube's own, and no point is left out or repeated
    rest = (made[:, 0] - made[:, 0].mean(dim=(1, 2, 3), keepdim=True)).flatten(1)[-2:]
    assert abs(torch.corrcoef(rest)[0, 1]) < 0.1
    for n, c in zip(*np.nonzero(~gone), strict=True):
        old, new = (np.sort(a[n, c].ravel().astype(np.float64)) for a in (cubes, made.numpy()))
        assert np.abs(new - louder[n, c] * old).mean() < 0.06
    signless = gone[:, [CHANNELS.index("field"), CHANNELS.index("chi")]].all(axis=1)
    assert signless.any()
    expected = np.where(signless & (label.numpy() == calcium), 0, 1)
    np.testing.assert_array_equal(weight.numpy(), expected)


def test_all_images_of_a_cube_are_turned_alike_and_not_always(network):
    import torch

    from petechia.lesions.features.patches import CHANNELS, SIDE

    cubes = np.zeros((2, len(CHANNELS), SIDE, SIDE, SIDE), np.float16)
    cubes[:, :, 3, 5, 16] = 100
    places = set()
    for seed in range(12):
        made, _ = network.varied(cubes, torch.zeros(2), np.random.default_rng(seed))
        peak = made.abs().flatten(2).argmax(dim=2).numpy()
        peaks = set(peak[made.abs().amax(dim=(2, 3, 4)).numpy() > 50].tolist())
        assert len(peaks) == 1
        places |= peaks
    assert len(places) > 6


def test_a_batch_in_thick_slices_loses_detail_across_them_alone(network):
    import torch

    from petechia.lesions.features.patches import CHANNELS, SIDE

    cubes = np.zeros((8, len(CHANNELS), SIDE, SIDE, SIDE), np.float16)
    cubes[:, 0, 6:14, 6:14, 6:14:2] = 1
    label = torch.zeros(8)
    thick, _ = network.varied(cubes, label, np.random.default_rng(0), thick=1.0)
    thin, _ = network.varied(cubes, label, np.random.default_rng(0))
    rough = [(made[:, 0].diff(dim=3).abs().mean(), made[:, 0].diff(dim=1).abs().mean())
             for made in (thick, thin)]  # fmt: skip
    assert rough[0][0] < 0.5 * rough[1][0]
    assert rough[0][1] > 0.5 * rough[1][1]


def test_hard_rows_are_seen_in_every_epoch_but_for_what_is_no_batch_and_others_in_turn(network):
    always, sometimes, epochs = np.arange(150), np.arange(1000, 1640), 3
    turn = np.full(1640, -1)
    batches = list(network._batches(always, sometimes, np.random.default_rng(0), epochs, turn))
    in_epoch = (150 + 128) // network.BATCH
    assert len(batches) == epochs * in_epoch
    for n in range(epochs):
        rows = np.concatenate(batches[n * in_epoch : (n + 1) * in_epoch])
        assert len(np.unique(rows)) == len(rows)
        assert (rows < 1000).sum() >= 150 - (150 + 128) % network.BATCH
    assert len(np.unique(np.concatenate(batches))) > 150 + 2 * 128


def test_too_few_examples_for_a_batch_are_told(network):
    with pytest.raises(SystemExit, match="2 examples in an epoch, and a batch has 64"):
        network.train_network(
            np.zeros((2, 6, 20, 20, 20), np.float16), np.zeros(2, int), np.ones(2, bool),
            np.arange(2), 1, 1,
        )  # fmt: skip


def test_thick_slices_show_the_mean_of_what_lies_in_them(network):
    from petechia.lesions.features.patches import AXIS_MM, SIDE

    flat = np.ones((SIDE, SIDE), np.float32)
    for slice_mm, shift in ((3.0, 0.0), (4.4, 1.3), (6.5, -3.2)):
        across = network.in_slices(slice_mm, shift)
        np.testing.assert_allclose(flat @ across, flat, atol=1e-5)
        # something thin is spread over two slices at most, and none of it is lost or made
        thin = (np.abs(AXIS_MM) < 0.5).astype(np.float32)
        seen = thin @ across
        # a slice's share of it, on both its sides down to nothing
        assert seen.max() <= 1.6 / slice_mm + 0.08
        assert seen.sum() == pytest.approx(thin.sum(), rel=0.1)
        assert (seen[np.abs(AXIS_MM) > 2 * slice_mm] < 1e-6).all()


def test_what_thick_slices_hide_teaches_nothing(network):
    import torch

    from petechia.lesions.features.patches import CHANNELS, SIDE

    cubes = torch.zeros((2, len(CHANNELS), SIDE, SIDE, SIDE))
    cubes[0, 0, 9:11, 9:11, 9:11] = 0.3
    cubes[1, 0, 7:13, 7:13, 7:13] = 1.0
    made, weight = network.thickened(cubes, np.random.default_rng(0))
    assert weight.tolist() == [0.0, 1.0]
    # along the slices nothing moves, across them the edge is no longer sharp
    assert (made[1, 0, :7] == 0).all()
    assert 0 < made[1, 0, 10, 10, 6] < 1


@pytest.mark.parametrize(("protocol", "whole", "drawn"), [
    ("random_0", False, True), ("random_2", False, True), ("random_4", True, True),
    ("3t_swi", True, False),
])  # fmt: skip
def test_whole_heads_count_twice_whoever_drew_them(fit, protocol, whole, drawn):
    fact = {"protocol": protocol, "spacing_mm": [0.9, 0.9, 1.5], "variant": "whole"}
    weight = fit.weights(SimpleNamespace(facts=[fact], scan=np.array([0, 0])))
    assert weight.tolist() == [fit.WHOLE_WEIGHT if whole else 1.0] * 2
    assert (fit.is_whole_head(fact), fit.is_drawn(fact)) == (whole, drawn)
