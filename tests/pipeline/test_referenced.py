"""The reference of a map: what was asked for, what was used, and what was said."""

import re

import numpy as np
import pytest

from petechia.core.echoes import Echoes
from petechia.core.grid import Grid
from petechia.errors import ParameterError
from petechia.files.scan import Header, Scan, ScanName
from petechia.pipeline.field import settle_sign
from petechia.pipeline.referenced import BRAIN, CSF, REGION, reference_note, referenced
from petechia.pipeline.settings import Settings
from petechia.pipeline.work import Work

GRID = Grid.from_spacing((31, 33, 29), (2.0, 2.0, 2.0))
TE_S = (0.005, 0.015, 0.030)
R = 2 * np.linalg.norm(
    np.indices(GRID.shape) - (np.array(GRID.shape)[:, None, None, None] - 1) / 2, axis=0
)
MASK, FLUID = R < 26, R < 8
CHI = np.where(FLUID, 0.05, 0.02).astype(np.float32)


def work_of(*, te_s=TE_S, fluid_rate=2.0, given=None, **settings) -> Work:
    rate = np.where(FLUID, fluid_rate, 20.0)
    magnitude = np.stack([1000 * np.exp(-te * rate) for te in te_s]).astype(np.float32)
    echoes = Echoes(magnitude=magnitude, phase_rad=None, te_s=te_s, b0_t=3.0, grid=GRID)
    name = ScanName((("sub", "01"),))
    scan = Scan(echoes=echoes, name=name, header=Header(), kind="arrays", sources=())
    return Work(scan=scan, settings=Settings.build(**settings), given_reference=given)


def test_the_brain_by_default():
    work = work_of()
    chi = referenced(work, CHI, MASK)
    assert abs(chi[MASK].mean()) < 1e-6
    note = reference_note(work)
    assert note["Reference"] == BRAIN
    assert note["ReferenceValue"] == pytest.approx(CHI[MASK].mean(), abs=1e-6)
    assert not work.warnings


def test_csf_is_found_by_its_slow_decay():
    work = work_of(reference="csf")
    chi = referenced(work, CHI, MASK)
    assert abs(chi[FLUID].mean()) < 1e-6
    assert chi[MASK & ~FLUID].mean() == pytest.approx(-0.03, abs=1e-6)
    assert reference_note(work) == {"Reference": CSF, "ReferenceValue": 0.05}
    assert not work.warnings
    (cited,) = [row for row in work.methods if row["stage"] == "reference"]
    assert cited["doi"] == "10.1002/mrm.26946"


def test_a_fit_at_hand_is_used():
    work = work_of(reference="csf", fluid_rate=20.0)
    work.r2star = np.where(FLUID, 1.0, 20.0).astype(np.float32)
    referenced(work, CHI, MASK)
    assert work.chi_reference == CSF


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"te_s": (0.020,)}, r"No reference to CSF: .*one echo"),
        ({"fluid_rate": 9.0}, r"No reference to CSF: the largest part .* is 0 mm3"),
    ],
)
def test_without_csf_the_brain_takes_its_place_and_a_warning_says_so(given, says):
    work = work_of(reference="csf", **given)
    chi = referenced(work, CHI, MASK)
    assert abs(chi[MASK].mean()) < 1e-6
    assert reference_note(work)["Reference"] == BRAIN
    (warning,) = work.warnings
    assert re.match(says, warning), warning
    assert warning.endswith(f"Susceptibility is relative to the {BRAIN}.")


def test_dead_signal_is_no_fluid():
    """A flat line of noise has no decay either."""
    work = work_of(reference="csf")
    work.echoes.magnitude[:, FLUID] = 20.0
    referenced(work, CHI, MASK)
    assert work.chi_reference == BRAIN


def test_a_given_region_wins_over_the_setting():
    region = np.zeros(GRID.shape, bool)
    region[10:12] = True
    work = work_of(reference="csf", given=region)
    chi = referenced(work, CHI, MASK)
    assert abs(chi[region & MASK].mean()) < 1e-6
    assert reference_note(work)["Reference"] == REGION


def test_the_value_turns_with_the_map_when_the_sign_is_settled():
    """Map plus value is what the inversion made, on the side that the map is on."""
    work = work_of(phase_sign="-1")
    work.phase_sign = -1  # as the mask stage sets it
    work.chi_ppm = referenced(work, CHI, MASK)
    settle_sign(work)
    np.testing.assert_allclose(
        (work.chi_ppm + reference_note(work)["ReferenceValue"])[MASK], -CHI[MASK], atol=1e-5
    )


def test_a_word_that_is_no_reference_is_named():
    with pytest.raises(ParameterError, match=r"settings\.reference: 'wm' .*brain, csf"):
        Settings.build(reference="wm")
