"""Extended lesions: their fields, their moments, how they look."""

import numpy as np
import pytest

from petechia.errors import ParameterError
from petechia.simulate.bodies import body_where
from petechia.simulate.embed import add_bodies
from petechia.simulate.fields import sphere_field
from petechia.simulate.head import sample_head
from petechia.simulate.hemorrhages import (
    STAGES,
    sample_cavernomas,
    sample_macrobleeds,
    sample_siderosis,
)
from petechia.simulate.mimics import sample_air_specks, sample_calcifications, sample_iron
from petechia.simulate.patient import SimulationParams
from petechia.simulate.render import CENTRE_MM, Pose
from petechia.simulate.signal import acquire, voxel_means
from petechia.simulate.sources import sample_microbleeds
from petechia.simulate.tissues import STAGE_CHI_PPM

UPRIGHT = Pose(turn=np.eye(3), shift_mm=np.zeros(3))


@pytest.fixture(scope="module")
def head(atlas):
    return sample_head(atlas, np.random.default_rng(0))


def ball(radius, chi, substance="hemosiderin", centre=CENTRE_MM):
    return body_where(
        lambda x: np.linalg.norm(x - centre, axis=-1) - radius, centre, radius + 2, chi, substance
    )


def test_the_field_of_a_round_body_is_that_of_a_sphere_inside_the_box_and_out(uniform):
    maps, protocol = uniform(shape=(64, 64, 64))
    turned = Pose(turn=np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1.0]]), shift_mm=np.zeros(3))
    body = ball(4.0, 0.8)
    add_bodies(maps, [body], turned, protocol)
    grid = maps.grid
    points = np.stack(np.indices(grid.shape), -1) * grid.spacing_mm + grid.origin_mm
    centre = grid.to_axis_mm(turned.to_scanner(body.centre_mm))
    away = np.linalg.norm(points - centre, axis=-1)
    radius = (body.volume_mm3 * 3 / (4 * np.pi)) ** (1 / 3)
    exact = sphere_field(points, centre, radius, 0.8)
    for low, high in ((5.5, 12.0), (16.0, 28.0)):
        ring = (away > low) & (away < high)
        error = np.sqrt(((maps.field_ppm - exact)[ring] ** 2).mean())
        assert error < 0.04 * np.sqrt((exact[ring] ** 2).mean())
    total = (voxel_means(maps.chi_ppm, grid).sum(dtype=float)) * protocol.grid.voxel_mm3
    assert total == pytest.approx(body.moment_ppm_mm3, rel=2e-3)


def brightness(uniform, stage, te):
    maps, protocol = uniform(te_s=(te,), tr_s=0.03)
    maps.s0[:] = 0.08  # white matter of this protocol
    add_bodies(maps, [ball(5.0, STAGE_CHI_PPM[stage][0], stage)], UPRIGHT, protocol)
    image = np.abs(acquire(maps, protocol, protocol.te_s)[0])
    return image[12, 12, 12]


def test_methemoglobin_is_bright_early_and_deoxyhemoglobin_dark_late(uniform):
    early = {stage: brightness(uniform, stage, 0.0005) for stage in STAGES}
    assert min(early["early subacute"], early["late subacute"]) > 1.5 * early["acute"]
    late = {stage: brightness(uniform, stage, 0.02) for stage in STAGES}
    assert late["late subacute"] > 2.5 * max(late["acute"], late["early subacute"], late["chronic"])


@pytest.mark.parametrize("stage", STAGES)
def test_hematomas_have_the_susceptibility_of_their_stage(atlas, head, stage):
    bleeds = sample_macrobleeds(3, atlas, head, np.random.default_rng(1), stage)
    mean, spread = STAGE_CHI_PPM[stage]
    core = [b.bodies[0].chi_ppm for b in bleeds]
    assert np.mean(core) == pytest.approx(mean, abs=1.8 * spread)
    assert all(9.0 < b.diameter_mm < 34.0 for b in bleeds)
    assert all(stage in b.title and b.kind == "macrobleed" for b in bleeds)


def test_cavernomas_have_blood_of_two_ages_in_a_rim(atlas, head):
    for one in sample_cavernomas(3, atlas, head, np.random.default_rng(2)):
        assert one.bodies[-1].substance == "hemosiderin"
        assert 4.0 < one.diameter_mm < 14.0
        assert one.moment_ppm_mm3 > 20


def test_siderosis_is_a_thin_layer(atlas, head):
    patches = sample_siderosis(3, atlas, head, np.random.default_rng(3))
    assert patches
    for patch in patches:
        filled = np.argwhere(patch.bodies[0].filling > 0.4) * 0.5
        assert np.ptp(filled, axis=0).max() > 2.0 * patch.diameter_mm
        assert patch.place.compartment in ("lobar", "deep")


def test_clusters_are_close_and_rows_are_long(atlas, head):
    rng = np.random.default_rng(4)
    close = sample_microbleeds(40, atlas, head, rng, clustered=1.0)
    places = np.array([b.centre_mm for b in close])
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1) + 1e3 * np.eye(40)
    assert np.median(apart.min(axis=1)) < 10.0
    for row in sample_microbleeds(8, atlas, head, rng, elongated=1.0):
        balls = np.array([s.centre_mm for s in row.spheres])
        length = np.linalg.norm(balls[-1] - balls[0])
        assert length > 2.0 * max(s.radius_mm for s in row.spheres)


def test_mimics_are_where_and_what_they_should_be(atlas, head):
    rng = np.random.default_rng(5)
    stones = sample_calcifications(7, atlas, head, rng)
    assert {"falx", "pineal", "choroid plexus", "pallidum"} <= {s.structure for s in stones}
    assert all(s.moment_ppm_mm3 < 0 for s in stones)
    for focus in sample_iron(4, atlas, head, rng):
        assert 0.15 <= focus.chi_ppm <= 0.4
    for speck in sample_air_specks(4, atlas, head, rng):
        assert speck.chi_ppm == pytest.approx(9.2)
        assert speck.place.site == "n/a"


@pytest.mark.parametrize(
    ("change", "says"),
    [({"stage": "old"}, "stage = 'old'.*chronic"), ({"clustered": 1.5}, "clustered = 1.5")],
)
def test_impossible_lesions_are_refused(change, says):
    with pytest.raises(ParameterError, match=says):
        SimulationParams(**change)
