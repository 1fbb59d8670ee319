"""Places of several scales become one for each lesion."""

import numpy as np
import pytest

from petechia.lesions.candidates.found import merge_scales


@pytest.mark.parametrize(("apart_mm", "kept"), [(3.5, 1), (4.5, 2)])
def test_a_weaker_place_within_reach_of_a_stronger_one_is_the_same(apart_mm, kept):
    """Reach: 0.8 of the stronger one's radius, here 4 mm, whatever the weaker one's."""
    spacing = np.array([0.5, 1.0, 1.0])
    strong = (np.array([[20, 8, 8]]), np.array([9.0], np.float32), 5.0)
    weak = (np.array([[20 + round(apart_mm / 0.5), 8, 8]]), np.array([4.0], np.float32), 1.0)
    found = merge_scales([weak, strong], spacing, limit=10)
    assert len(found) == kept
    assert found.score[0] == 9.0
    assert found.radius_mm[0] == 5.0
