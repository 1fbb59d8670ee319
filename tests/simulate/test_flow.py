"""Arteries and perivascular spaces."""

from dataclasses import replace

import numpy as np
import pytest

from petechia.simulate.flow import displaced, filled_tubes, sample_flow
from petechia.simulate.head import sample_head, to_template
from petechia.simulate.protocols import PROTOCOLS
from petechia.simulate.tissues import BLOOD, spoiled_gre


@pytest.fixture(scope="module")
def head(atlas):
    return sample_head(atlas, np.random.default_rng(0), 70.0)


@pytest.fixture(scope="module")
def flow(atlas, head):
    return sample_flow(atlas, head, np.random.default_rng(1))


def test_arteries_and_spaces_lie_in_the_head(atlas, head, flow):
    for vessels, brainy in ((flow.arteries, 0.5), (flow.spaces, 0.95)):
        middle = 0.5 * (vessels.segments[:, :3] + vessels.segments[:, 3:6])
        index = np.round(atlas.grid.to_index(to_template(middle, head, atlas))).astype(int)
        assert (atlas.brain[tuple(index.T)] > 0.5).mean() > brainy
    assert 0.1 < flow.arteries.segments[:, 6].min() < flow.arteries.segments[:, 6].max() < 3.0


def test_old_people_have_more_perivascular_spaces(atlas):
    counts = [
        np.mean(
            [
                len(
                    sample_flow(
                        atlas,
                        sample_head(atlas, np.random.default_rng(s), age),
                        np.random.default_rng(s),
                    ).spaces.segments
                )
                for s in range(2)
            ]
        )
        for age in (30.0, 85.0)
    ]
    assert counts[1] > 1.5 * counts[0]


def test_blood_is_bright_only_where_flow_is_compensated(flow):
    protocol = PROTOCOLS["3t_tiny"]
    still = spoiled_gre(BLOOD.pd, BLOOD.t1_at(3.0), protocol.tr_s, protocol.flip_deg)
    void = filled_tubes(flow, lambda x: x, protocol)[-1]
    fresh = filled_tubes(flow, lambda x: x, replace(protocol, flow_compensated=True))[-1]
    assert void.s0 < 0.3 * still
    assert fresh.s0 > 1.5 * still


def test_blood_along_the_phase_axis_is_drawn_behind_where_it_is():
    protocol = replace(PROTOCOLS["3t_tiny"], phase_axis=1)
    tubes = np.array([[0.0, 0, 0, 0, 10, 0, 1.0], [0, 0, 0, 10, 0, 0, 1.0]])
    shift = displaced(tubes, 200.0, protocol)[:, :3] - tubes[:, :3]
    np.testing.assert_allclose(shift[0], (0, -200.0 * (0.020 - 0.003), 0), atol=1e-9)
    np.testing.assert_allclose(shift[1], 0, atol=1e-9)
