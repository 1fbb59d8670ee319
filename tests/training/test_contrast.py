"""The contrast of a 2-D sequence on a scan of a 3-D one: whose head it is, and what it shows."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import ndimage

from petechia.assets.store import load_arrays
from petechia.core.grid import Grid
from petechia.evaluate.masks import dice
from petechia.pipeline.simulated import scan_stream
from petechia.simulate.atlas import atlas_from
from petechia.simulate.patient import SimulationParams, sample_patient, scan_patient
from petechia.simulate.protocols import PROTOCOLS
from petechia.simulate.render import sample_pose
from petechia.simulate.tissues import BLOOD, TISSUES, spoiled_gre

TINY, SEED = "3t_tiny", 7


@pytest.fixture(scope="module")
def heads(training):
    return training("heads")


@pytest.fixture(scope="module")
def contrast(training, heads):
    return training("contrast")


@pytest.fixture(scope="module")
def atlas():
    return atlas_from(load_arrays("template"))


@pytest.fixture(scope="module")
def scan(atlas):
    """Return a scan as `petechia simulate` makes the first of a dataset."""
    params = SimulationParams(protocol=TINY, n_microbleeds=0, n_calcifications=0)
    patient = sample_patient(params, atlas, np.random.default_rng([SEED, 0]))
    return scan_patient(patient, PROTOCOLS[TINY], atlas, scan_stream(SEED, 0))


@pytest.fixture(scope="module")
def held(contrast, atlas, scan):
    return contrast.Held(contrast.of_case(TINY, SEED, atlas), scan.echoes.grid, atlas)


def test_a_case_is_the_person_that_was_scanned_and_lies_as_they_lay(contrast, atlas, scan, held):
    brain = scan.truth.maps["desc-brain_mask"] > 0
    assert dice(held.brain, brain) > 0.999
    veins = scan.truth.maps["desc-veins_probseg"]
    assert held.veins.sum() == pytest.approx(veins.sum(), rel=0.05)
    assert np.corrcoef(held.veins.ravel(), veins.ravel())[0, 1] > 0.9
    # every voxel's signal is what its tissue gives, times a coil that is the same nearby
    protocol, magnitude = PROTOCOLS[TINY], scan.echoes.magnitude[0]
    expected = held.signal(protocol.tr_s, protocol.flip_deg, scan.echoes.te_s[0])

    def apart(told):
        ratio = np.log(magnitude[brain] / np.maximum(told[brain], 1e-3))
        wide = np.zeros(brain.shape)
        wide[brain] = ratio
        weight = ndimage.gaussian_filter(brain.astype(float), 3)[brain]
        wide = ndimage.gaussian_filter(wide, 3)[brain] / weight
        return float(np.median(np.abs(ratio - wide)))

    assert apart(expected) < 0.04
    for axis in range(3):
        assert apart(np.roll(expected, 1, axis=axis)) > 1.5 * apart(expected)


@pytest.mark.parametrize("part", [3, 6])
def test_a_head_of_ours_is_the_one_that_is_scanned(contrast, heads, atlas, monkeypatch, part):
    class AskedError(Exception):
        pass

    def asked(patient, protocol, atlas, rng, **_):
        raise AskedError(patient, protocol, sample_pose(rng.spawn(3)[0]))

    monkeypatch.setattr(heads, "scan_patient", asked)
    with pytest.raises(AskedError) as told:
        heads.make(None, 3, part, 21000, atlas, None)
    patient, protocol, pose = told.value.args
    lying = contrast.of_head({"person": "21000-3", "protocol": f"random_{part}"}, atlas)
    assert lying.protocol == protocol
    assert np.array_equal(lying.pose.turn, pose.turn)
    assert np.array_equal(lying.pose.shift_mm, pose.shift_mm)
    assert np.array_equal(lying.patient.head.nodes_mm, patient.head.nodes_mm)
    assert lying.patient.head.seed == patient.head.seed
    if part != heads.VEINS:  # their veins are drawn too: such people are never merged
        assert np.array_equal(lying.patient.vessels.segments, patient.vessels.segments)


def test_somebody_else_s_head_is_refused(training, contrast, atlas, scan):
    pytest.importorskip("sklearn", reason="needs the extra `train`")
    examples = training("examples")
    kept = examples.Kept(
        {"lesions": []}, {"truth_brain": scan.truth.maps["desc-brain_mask"]}, scan.echoes.grid
    )
    other = contrast.of_case(TINY, SEED + 1, atlas)
    with pytest.raises(SystemExit, match="not the one scanned"):
        list(examples.make_merged(None, kept, [], "it", other, atlas, None))


def flat(contrast, tissue, protocol, veins=0.0):
    """Return voxels of some tissues alone, on axes that are the head's."""
    shape = (len(tissue), 1, 1)
    grid = Grid(shape, np.eye(4))
    fractions = {
        name: np.array([name in of for of in tissue], np.float32).reshape(shape)
        / np.array([max(len(of), 1) for of in tissue], np.float32).reshape(shape)
        for name in TISSUES
    }
    made = object.__new__(contrast.Held)
    made.lying = SimpleNamespace(protocol=protocol)
    made.grid = grid
    made.head = SimpleNamespace(fractions=fractions)
    made.veins = np.full(shape, veins, np.float32)
    made._matrix, made._shift = np.eye(3), np.zeros(3)
    return made


def gives(name, protocol, te_s, tr_s=None, flip_deg=None):
    of = (TISSUES | {"blood": BLOOD})[name]
    steady = spoiled_gre(
        of.pd, of.t1_at(protocol.b0_t), tr_s or protocol.tr_s, flip_deg or protocol.flip_deg
    )
    return float(steady * np.exp(-te_s * of.r2star_at(protocol.b0_t)))


def test_fluid_that_was_dark_is_bright_and_a_mixture_is_the_sum_of_its_parts(contrast):
    protocol, te_s = PROTOCOLS["3t_swi"], PROTOCOLS["3t_swi"].te_s[0]
    made = flat(contrast, (["csf"], ["wm"], ["csf", "gm"], ["fat"], []), protocol)
    sequence = contrast.Sequence2D(0.7, 17.0)
    csf, wm, half, fat, air = made.in_2d(sequence, te_s)[:, 0, 0]
    before = {name: gives(name, protocol, te_s) for name in TISSUES}
    after = {name: gives(name, protocol, te_s, 0.7, 17.0) for name in TISSUES}
    assert before["csf"] < 0.7 * before["wm"]
    assert csf * before["csf"] == pytest.approx(after["csf"], rel=1e-4)
    assert after["csf"] > 1.1 * after["wm"]
    assert wm == pytest.approx(after["wm"] / before["wm"], rel=1e-4)
    assert fat == pytest.approx(after["fat"] / before["fat"], rel=1e-4)
    assert half == pytest.approx(
        (after["csf"] + after["gm"]) / (before["csf"] + before["gm"]), rel=1e-4
    )
    assert air == 1


def test_a_vein_in_fluid_that_was_as_bright_is_dark_in_2d(contrast):
    protocol, te_s = PROTOCOLS["3t_swi"], PROTOCOLS["3t_swi"].te_s[0]
    sequence = contrast.Sequence2D(0.7, 17.0)
    fluid, vein = (
        float(flat(contrast, (["csf"],), protocol, veins).in_2d(sequence, te_s)[0, 0, 0])
        for veins in (0.0, 1.0)
    )
    before = gives("blood", protocol, te_s) / gives("csf", protocol, te_s)
    assert before > 0.8
    assert before * vein / fluid < 0.6


def test_a_contrast_that_is_not_drawn_stays(contrast, held):
    assert held.in_2d(None, 0.02) is None
    drawn = [contrast.Sequence2D.drawn(np.random.default_rng(n)) for n in range(200)]
    kept = sum(one is None for one in drawn)
    assert 20 < kept < 60
    assert {0.4 < one.tr_s < 1.0 and 10 < one.flip_deg < 25 for one in drawn if one} == {True}
