"""Blood values: published examples, continuity at the knots, units, what is impossible."""

import numpy as np
import pytest

from petechia.cohort.biomarkers import egfr, nlr, plr, sii
from petechia.errors import ParameterError


def test_ratios():
    assert nlr([4.2, 3.0], [2.1, np.nan]).values == pytest.approx([2.0, np.nan], nan_ok=True)
    assert plr([250], [2.0]).values == pytest.approx([125])
    made = sii([250], [4.0], [2.0])
    assert made.values == pytest.approx([500])
    assert made.unit == "10^9/L"
    assert made.values == pytest.approx(250 * nlr([4.0], [2.0]).values)


def test_cells_per_microlitre_are_refused_and_said():
    made = nlr([4200.0, 4.2], [2.1, 2.1])
    assert np.isnan(made.values[0])
    assert made.values[1] == pytest.approx(2)
    assert "4200" in made.notes[0]
    assert "unit" in made.notes[0]


def test_no_lymphocytes_give_no_ratio():
    assert np.isnan(nlr([4.0], [0.0]).values[0])


@pytest.mark.parametrize(
    ("creatinine", "age", "sex", "value"),
    [(0.7, 20, "F", 142 * 0.9938**20 * 1.012), (0.9, 60, "M", 142 * 0.9938**60),
     (1.8, 60, "male", 142 * 2**-1.2 * 0.9938**60), (0.35, 40, "Female", 142 * 0.5**-0.241 * 0.9938**40 * 1.012)],
)  # fmt: skip
def test_the_equation_of_2021(creatinine, age, sex, value):
    assert egfr([creatinine], [age], [sex], "mg/dL").values == pytest.approx([value])
    assert egfr([creatinine * 88.42], [age], [sex]).values == pytest.approx([value])


def test_a_worked_example():
    # 50-year-old man, 1.0 mg/dL: 92 by the calculator of the National Kidney Foundation
    assert round(float(egfr([1.0], [50], ["M"], "mg/dL").values[0])) == 92


def test_it_falls_with_creatinine_and_age_without_a_jump():
    c = np.linspace(0.3, 5, 400)
    for sex in "FM":
        told = egfr(c, np.full(400, 65.0), [sex] * 400, "mg/dL").values
        assert (np.diff(told) < 0).all()
        assert np.abs(np.diff(told)).max() < 2.5


def test_units_children_and_unknown_sex():
    made = egfr([1.0, 80.0, 80.0, 80.0], [50, 12, 50, 50], ["F", "F", "x", "M"], "umol/L")
    assert np.isnan(made.values[:3]).all()  # 1 umol/L is 1 mg/dL written in another unit
    assert np.isfinite(made.values[3])
    assert len(made.notes) == 3
    with pytest.raises(ParameterError, match="mmol"):
        egfr([1.0], [50], ["F"], "mmol/L")
