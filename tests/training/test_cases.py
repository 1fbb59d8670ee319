"""Cases of the validation as examples: what they are taken for, with phase and without."""

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.lesions.inputs import LesionInputs

SHAPE = (12, 12, 12)


@pytest.fixture(scope="module")
def cases(training):
    pytest.importorskip("sklearn", reason="needs the extra `train`")
    return training("cases")


def test_a_scan_without_phase_has_no_image_made_of_it(cases):
    some = np.ones(SHAPE, np.float32)
    inputs = LesionInputs(
        grid=Grid(SHAPE, np.eye(4)), brain_mask=some > 0, b0_t=3.0, reading_te_s=0.02,
        magnitude=some, swi=some, local_field_ppm=some, total_field_ppm=some, chi_ppm=some,
        field_noise_ppm=some, field_mask=some > 0, vessel=2 * some, sign_trusted=True,
    )  # fmt: skip
    left = cases.without_phase(inputs)
    assert not left.has_field
    assert not left.sign_trusted
    assert left.swi is left.chi_ppm is left.total_field_ppm is left.field_mask is None
    assert left.vessel.max() < 2  # found anew, on the magnitude


def test_a_case_names_its_lesions_by_the_numbers_of_its_labels(cases):
    """So that a void on voxels of 2 is of the second lesion, and nothing is called a vein."""
    labels = np.zeros(SHAPE, np.int16)
    labels[3, 3, 3], labels[8, 8, 8] = 1, 2
    inputs = LesionInputs(
        grid=Grid(SHAPE, np.eye(4)), brain_mask=labels >= 0, b0_t=3.0, reading_te_s=0.02,
        magnitude=np.ones(SHAPE, np.float32),
    )  # fmt: skip
    rows = [{"class": "calcification", "visible": "1"}, {"class": "microbleed", "visible": "1"}]
    for row, place in zip(rows, (3.0, 8.0), strict=True):
        row |= dict.fromkeys(("x_mm", "y_mm", "z_mm"), str(place))
    kept = cases.kept_of(cases.Case(inputs=inputs, labels=labels, lesions=rows))
    assert [(row["index"], row["class"]) for row in kept.facts["lesions"]] == [
        (1, "calcification"), (2, "microbleed"),
    ]  # fmt: skip
    examples = cases.sys.modules["examples"]
    assert examples.visible_of(kept) == [2]
    assert not kept.arrays["truth_veins"].any()
