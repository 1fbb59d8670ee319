"""Protocols and tissues."""

import numpy as np
import pytest

from petechia.errors import ParameterError
from petechia.simulate.protocols import PROTOCOLS, Protocol, rotation
from petechia.simulate.render import fine_grid
from petechia.simulate.tissues import TISSUES, spoiled_gre, venous_chi_ppm


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_covers_the_brain_on_a_finer_grid(name):
    protocol = PROTOCOLS[name]
    extent = np.asarray(protocol.shape) * protocol.spacing_mm
    assert (extent >= (180, 215, 150)).all()
    fine = fine_grid(protocol)
    assert (fine.spacing_mm <= np.asarray(protocol.spacing_mm) / 2.0 + 1e-9).all()
    np.testing.assert_allclose(fine.spacing_mm * fine.shape, extent)
    assert protocol.reading_te_s in protocol.te_s


def test_an_oblique_protocol_tilts_the_main_field():
    tilted = PROTOCOLS["oblique_3t_swi"].grid.b0_dir
    assert np.degrees(np.arccos(tilted[2])) == pytest.approx(22.8, abs=0.5)
    np.testing.assert_allclose(PROTOCOLS["3t_swi"].grid.b0_dir, (0, 0, 1), atol=1e-12)
    # by the right hand: about +x, slices rise towards the front
    front = Protocol(
        b0_t=3.0, te_s=(0.02,), tr_s=0.03, flip_deg=15.0, shape=(9, 9, 9), spacing_mm=(1, 2, 3),
        tilt_deg=(10.0, 0.0),
    ).grid.affine[:3, 1]  # fmt: skip
    angle = np.deg2rad(10.0)
    np.testing.assert_allclose(front, 2 * np.array([0, np.cos(angle), np.sin(angle)]), atol=1e-12)
    turn = rotation(0.3, -0.2, 0.5)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"b0_t": 30.0}, "b0_t = 30.0"),
        ({"te_s": (0.04,)}, "tr_s = 0.03"),
        ({"te_s": (20.0,)}, "Echo times are in seconds"),
        ({"acquisition_type": "4D"}, "'4D'"),
        ({"fine": (0.5, 1, 1)}, "at least 1 point"),
        ({"snr": 0.0}, "snr = 0.0"),
    ],
)
def test_impossible_protocols_are_refused(change, says):
    facts = {
        "b0_t": 3.0, "te_s": (0.02,), "tr_s": 0.03, "flip_deg": 15.0, "shape": (9, 9, 9),
        "spacing_mm": (1, 1, 1),
    }  # fmt: skip
    with pytest.raises(ParameterError, match=says):
        Protocol(**(facts | change))


def test_relaxation_at_the_tabulated_fields_and_between():
    white = TISSUES["wm"]
    assert 1 / white.r2star_at(3.0) == pytest.approx(0.053)
    assert white.t1_at(1.5) == pytest.approx(0.646)
    assert white.t1_at(3.0) < white.t1_at(4.7) < white.t1_at(7.0)


def test_the_ernst_angle_is_the_brightest():
    ernst = np.degrees(np.arccos(np.exp(-0.03 / 0.838)))
    around = [spoiled_gre(1.0, 0.838, 0.03, a) for a in (ernst - 2, ernst, ernst + 2)]
    assert around[1] > max(around[0], around[2])


def test_deoxygenation_makes_blood_paramagnetic():
    assert venous_chi_ppm(0.0, 0.45) - venous_chi_ppm(1.0, 0.45) == pytest.approx(1.53)
    assert venous_chi_ppm(1.0, 0.45) < 0 < venous_chi_ppm(0.6, 0.45)
