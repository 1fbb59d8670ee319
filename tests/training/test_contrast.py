"""The contrast of a 2-D sequence on a scan of a 3-D one: whose head it is, and what it shows."""

import numpy as np
import pytest
from scipy import ndimage

from petechia.assets.store import load_arrays
from petechia.simulate.atlas import atlas_from
from petechia.simulate.patient import SimulationParams, sample_patient, scan_patient
from petechia.simulate.protocols import PROTOCOLS
from petechia.simulate.tissues import TISSUES, spoiled_gre


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
def person(contrast, atlas):
    """Return a scan as `petechia simulate` makes the first of a dataset, and who lay in it."""
    seed, name = 7, "3t_tiny"
    params = SimulationParams(protocol=name, n_microbleeds=0, n_calcifications=0)
    patient = sample_patient(params, atlas, np.random.default_rng([seed, 0]))
    rng = np.random.default_rng([seed, 0, 0, 0, 996])
    scan = scan_patient(patient, PROTOCOLS[name], atlas, rng)
    return scan, contrast.of_case(name, seed, atlas)


def test_a_case_is_the_person_that_was_scanned_and_lies_as_they_lay(contrast, atlas, person):
    scan, lying = person
    shares = lying.shares(scan.echoes.grid, atlas)
    brain = scan.truth.maps["desc-brain_mask"] > 0
    assert shares.min() >= 0
    assert shares.sum(axis=0).max() <= 1.001
    assert (shares.sum(axis=0)[brain] > 0.9).mean() > 0.97
    # every voxel's signal is what its tissues give, times a coil that is the same nearby
    magnitude = scan.echoes.magnitude[0]
    expected = sum(
        part
        * spoiled_gre(TISSUES[name].pd, TISSUES[name].t1_at(3.0), 0.03, 15.0)
        * np.exp(-scan.echoes.te_s[0] * TISSUES[name].r2star_at(3.0))
        for part, name in zip(shares, contrast.SEEN, strict=True)
    )

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


def test_a_head_of_ours_is_drawn_again_by_its_facts(contrast, heads, atlas):
    facts = {"person": "21000-3", "protocol": "random_3"}
    lying = contrast.of_head(facts, atlas)
    _, params = heads.drawn_params(np.random.default_rng([21000, 3, 990]))
    patient = heads.heads_patient(params, 21000, 3, atlas)
    assert lying.head.seed == patient.head.seed
    assert np.array_equal(lying.head.nodes_mm, patient.head.nodes_mm)
    assert lying.protocol == heads.protocol_of(3, 3, 21000)


def test_fluid_that_was_dark_is_bright_and_between_tissues_the_ratio_is_between(contrast):
    protocol = PROTOCOLS["3t_swi"]
    te_s = protocol.te_s[0]
    shares = np.zeros((3, 4, 1, 1), np.float32)
    for n in range(3):
        shares[n, n] = 1
    shares[:2, 3] = 0.5
    ratio = contrast.as_in_2d(shares, protocol, te_s, np.random.default_rng(0))[:, 0, 0]
    csf, _, wm, half = ratio
    before = [
        spoiled_gre(TISSUES[n].pd, TISSUES[n].t1_at(3.0), protocol.tr_s, protocol.flip_deg)
        * np.exp(-te_s * TISSUES[n].r2star_at(3.0))
        for n in contrast.SEEN
    ]
    assert before[0] < 0.7 * before[2]
    assert csf * before[0] > 1.1 * wm * before[2]
    # half fluid and half grey matter: the sum of both before and after
    assert half == pytest.approx(
        (csf * before[0] + ratio[1] * before[1]) / (before[0] + before[1]), rel=1e-5
    )


def test_where_no_tissue_is_known_the_contrast_is_that_of_the_nearest(contrast):
    shares = np.zeros((3, 5, 1, 1), np.float32)
    shares[0, 0], shares[2, 3] = 1, 1
    ratio = contrast.as_in_2d(shares, PROTOCOLS["7t_swi"], 0.012, np.random.default_rng(1))[:, 0, 0]
    assert ratio[1] == ratio[0]
    assert ratio[2] == ratio[4] == ratio[3]
    assert ratio[0] != ratio[3]
