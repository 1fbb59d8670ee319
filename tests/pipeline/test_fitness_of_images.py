import re

import pytest

from petechia.pipeline.fitness.images import check_coverage

WHOLE_MM = (190.0, 230.0, 170.0)


def test_a_head_of_two_centimetres_may_be_in_other_units():
    check = check_coverage((19.2, 23.0, 17.3), 5.0, cut=False)
    assert check.status == "limited"
    assert re.search("19 x 23 x 17 mm and holds 5.0 mL .* affine in millimetres", check.says)


@pytest.mark.parametrize(
    ("extent_mm", "brain_ml"), [((45.0, 45.0, 40.0), 40.0), ((190.0, 230.0, 12.0), 8.0)]
)
def test_a_piece_of_a_head_is_read(extent_mm, brain_ml):
    check = check_coverage(extent_mm, brain_ml, cut=False)
    assert check.status == "limited"
    assert "Only" in check.says


def test_a_given_mask_is_blamed_and_not_the_view():
    given = check_coverage(WHOLE_MM, 0.001, cut=False, given=True)
    assert given.status == "refused"
    assert "given mask holds 0.0 mL" in given.says
    cut = [check_coverage(WHOLE_MM, 1200.0, cut=True, given=given).says for given in (True, False)]
    assert cut[0].startswith("The given mask ends")
    assert cut[1].startswith("The field of view cuts")
