from dataclasses import replace

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.core.units import radians_per_ppm
from petechia.errors import ParameterError
from petechia.lesions import detect
from petechia.lesions.dephasing import fit_dephasing
from petechia.lesions.diffuse import DiffuseParams, diffuseness
from petechia.lesions.params import DetectParams


@pytest.fixture
def spots(phantom):
    """Microbleeds of point-like iron, as they were measured."""
    measured, _ = detect.measure(phantom.inputs(), DetectParams())
    return [m for m in measured if m.features.dephasing and m.verdict.class_ == "microbleed"]


def test_point_like_iron_is_not_spread_out(spots):
    assert len(spots) == 3
    assert all(diffuseness(m.features) == 0 for m in spots)


def test_iron_that_darkens_by_its_own_decay_is(spots):
    """A ball of 1.5 mm with 0.06 ppm and much decay: its void is deeper than its field says."""
    grid = Grid((25, 25, 25), np.eye(4))
    place = np.array([12.2, 11.9, 12.0])
    away = np.linalg.norm(np.moveaxis(np.indices(grid.shape), 0, -1) - place, axis=-1)
    moment, turn = 4 / 3 * np.pi * 1.5**3 * 0.06, radians_per_ppm(3.0, 0.02)
    rng = np.random.default_rng(2)
    signal = 1 - 0.9 * np.exp(-0.5 * (away / 1.5) ** 2) + rng.normal(0, 0.02, grid.shape)
    void, clear = np.argwhere(signal < 0.5), signal > 0.5
    told = fit_dephasing(
        signal.astype(np.float32), clear, void, place, 1.7, grid, turn, moment, 0.02
    )
    assert told.moment_ppm_mm3 > 2 * moment
    f = spots[0].features
    fit = replace(f.fit, moment_ppm_mm3=moment, se_ppm_mm3=0.1 * moment)
    assert diffuseness(replace(f, fit=fit, dephasing=told)) > 0.5


@pytest.mark.parametrize(
    ("more", "error", "expected"),
    [(1.4, 0.01, 0.0), (1.75, 0.01, 0.5), (3.0, 0.01, 1.0), (3.0, 2.0, 0.0), (2.0, 0.5, 0.5)],
)
def test_both_must_speak_for_it(spots, more, error, expected):
    """The void's moment is `more` times the field's, their difference has this relative error."""
    f = spots[0].features
    fit = replace(f.fit, moment_ppm_mm3=2.0, se_ppm_mm3=0.0)
    told = replace(f.dephasing, moment_ppm_mm3=2.0 * more, se_ppm_mm3=2.0 * error)
    assert diffuseness(replace(f, fit=fit, dephasing=told)) == pytest.approx(expected)
    assert diffuseness(replace(f, fit=fit, dephasing=None)) == 0


def test_it_takes_from_the_odds_and_becomes_iron(phantom, monkeypatch):
    params = DetectParams()
    before = detect.detect(phantom.inputs(), params)
    one = next(f for f in before.findings if f.counted)
    for likeness in (0.1, 1.0):
        monkeypatch.setattr(detect, "diffuseness", lambda *_, s=likeness: s)
        after = detect.detect(phantom.inputs(), replace(params, diffuse=DiffuseParams(log_odds=9)))
        same = next(f for f in after.findings if f.x_mm == one.x_mm and f.y_mm == one.y_mm)
        sure = min(one.probability, 1 - 5e-4)
        odds = sure / (1 - sure) * np.exp(-9.0 * likeness)
        assert same.probability == pytest.approx(odds / (1 + odds), abs=0.02)
        assert same.class_ == ("microbleed" if likeness < 1 else "iron")
        assert "times the moment of its field, as iron spread out" in same.evidence
        assert same.moment_ppm_mm3 == one.moment_ppm_mm3
    assert sum(f.class_ == "calcification" for f in after.findings) == 1


@pytest.mark.parametrize("wrong", [{"more": (0.5, 2.0)}, {"errors": (2.0, 2.0)}, {"log_odds": -1}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ParameterError, match=next(iter(wrong))):
        DiffuseParams(**wrong)
