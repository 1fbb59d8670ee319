"""T1w, T2w and FLAIR of a simulated head: contrasts by the signal equation, signs where drawn."""

import numpy as np
import pytest

from petechia.errors import ParameterError
from petechia.simulate.companions import (
    COMPANIONS,
    LABELS,
    NULLED_T1_S,
    seen,
    simulate_companion,
    sliced,
    truth_labels,
)
from petechia.simulate.head import make_head, sample_head
from petechia.simulate.render import Pose
from petechia.simulate.signs import SignsParams, sample_signs, tube_shares
from petechia.simulate.tissues import TISSUES


@pytest.fixture(scope="module")
def head(atlas):
    return make_head(sample_head(atlas, np.random.default_rng(3), 75.0), atlas, 2.5)


@pytest.fixture(scope="module")
def signs(head, atlas):
    wanted = SignsParams(periventricular=3, deep=2, lacunes=2, edema=True, centrum_spaces=40)
    return sample_signs(head, atlas, np.random.default_rng(4), wanted)


def test_an_inversion_leaves_no_fluid():
    flair = COMPANIONS["FLAIR"]
    assert seen(1.0, NULLED_T1_S, 2.0, flair) == pytest.approx(0, abs=1e-12)
    # 1 - 2 exp(-TI/T1) + exp(-TR/T1) = 0
    rest = 1 - 2 * np.exp(-flair.inversion_s / NULLED_T1_S) + np.exp(-flair.tr_s / NULLED_T1_S)
    assert rest == pytest.approx(0, abs=1e-12)


def test_contrasts_are_those_of_the_scanner():
    def level(kind, name, t2_s):
        tissue = TISSUES[name]
        return seen(tissue.pd, tissue.t1_at(3.0), t2_s, COMPANIONS[kind])

    white, grey, fluid = (
        {k: level(k, name, t2) for k in COMPANIONS}
        for name, t2 in (("wm", 0.072), ("gm", 0.095), ("csf", 1.5))
    )
    assert white["T1w"] > grey["T1w"] > fluid["T1w"]
    assert fluid["T2w"] > grey["T2w"] > white["T2w"]
    assert grey["FLAIR"] > white["FLAIR"] > fluid["FLAIR"]


def test_grades_and_edema_are_drawn_as_asked(head, atlas, signs):
    none = sample_signs(
        head, atlas, np.random.default_rng(4),
        SignsParams(periventricular=0, deep=0, lacunes=0, centrum_spaces=0, ganglia_spaces=0,
                    edema=False),
    )  # fmt: skip
    assert none.hyperintense.max() == 0
    assert none.edema.max() == 0
    assert none.fluid.max() == 0
    assert signs.edema.sum() * head.grid.voxel_mm3 > 1000
    near = signs.hyperintense > 0.5
    assert near.any()
    assert (signs.near_ventricle_mm[near] < 9).any()
    total = signs.hyperintense + signs.edema + signs.fluid
    assert total.max() < 1 + 1e-5
    again = sample_signs(
        head, atlas, np.random.default_rng(4),
        SignsParams(periventricular=3, deep=2, lacunes=2, edema=True, centrum_spaces=40),
    )  # fmt: skip
    assert np.array_equal(again.hyperintense, signs.hyperintense)


def test_tubes_keep_their_volume(head):
    tube = np.array([[0.0, -20.0, 30.0, 6.0, -14.0, 38.0, 0.9]])
    length = np.linalg.norm(tube[0, 3:6] - tube[0, :3])
    volume = tube_shares(tube, head).sum() * head.grid.voxel_mm3
    assert volume == pytest.approx(np.pi * 0.9**2 * length, rel=0.02)


def test_hyperintensity_is_bright_on_flair_and_fluid_is_dark(head, signs):
    pose = Pose(turn=np.eye(3), shift_mm=np.zeros(3))
    protocol = sliced(COMPANIONS["FLAIR"], 5.0)
    image = simulate_companion(head, signs, pose, protocol, np.random.default_rng(1))
    labels = truth_labels(signs, head.grid, pose, protocol.grid)
    assert image.shape == labels.shape == protocol.grid.shape
    halo = np.median(image[labels == LABELS["periventricular"]])
    swollen = np.median(image[labels == LABELS["edema"]])
    assert halo > 1.3 * 300
    assert swollen > 1.3 * 300


def test_what_cannot_be_is_refused():
    with pytest.raises(ParameterError, match="Grades go from 0 to 3"):
        SignsParams(deep=4)
    with pytest.raises(ParameterError, match="1 to 8 mm"):
        sliced(COMPANIONS["T2w"], 20.0)
