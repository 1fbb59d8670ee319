"""Distances and neighbours of a void, by geometry."""

from dataclasses import replace

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.lesions.context import Context, contexts, longest_mm
from petechia.lesions.inputs import LesionInputs

GRID = Grid((40, 44, 30), np.diag([1.0, 1.0, 1.5, 1.0]))


def inputs(**more):
    mask = np.zeros(GRID.shape, dtype=bool)
    mask[5:35, 5:39, 4:26] = True
    return LesionInputs(
        grid=GRID,
        brain_mask=mask,
        b0_t=3.0,
        reading_te_s=0.02,
        magnitude=mask.astype(np.float32),
        **more,
    )


def ball(at, radius_mm=2.0):
    away = np.linalg.norm((np.indices(GRID.shape).T - at) * GRID.spacing_mm, axis=-1).T
    return np.argwhere(away <= radius_mm)


def slab(**where):
    out = np.zeros(GRID.shape, dtype=bool)
    out[tuple(where.get(axis, slice(None)) for axis in "ijk")] = True
    return out


def test_nothing_given_is_nothing_told():
    (found,) = contexts([ball((20, 20, 15))], inputs())
    assert found.to_surface_mm == pytest.approx(15.0, abs=1.1)
    assert (found.to_vein_mm, found.csf_around, found.in_sulcus, found.structure) == (None,) * 4
    features = found.features()
    assert np.isnan(features["vein_beyond_mm"])
    assert np.isnan(features["in_pineal"])
    assert set(features) == set(Context().features())
    assert contexts([], inputs()) == []


def test_distances_are_millimetres_along_every_axis():
    at = (20, 20, 15)
    given = inputs(
        air_mask=slab(k=slice(21, 23)),
        ventricle_mask=slab(i=slice(27, 29)),
        vein_length_mm=np.where(slab(j=slice(10, 12)), 20.0, 0.0).astype(np.float32),
    )
    (found,) = contexts([ball(at)], given)
    assert found.to_air_mm == pytest.approx(9.0)
    assert found.to_ventricle_mm == pytest.approx(7.0)
    assert found.to_vein_mm == pytest.approx(9.0)


def test_a_vein_through_the_void_is_longer_than_the_void():
    body = ball((20, 20, 15))
    long = slab(i=20, j=20)
    through = inputs(vein_length_mm=np.where(long, 25.0, 0).astype(np.float32))
    own = np.zeros(GRID.shape, dtype=np.float32)
    own[tuple(body.T)] = 4.0  # a blob followed to its own extent
    (runs,), (alone,) = contexts([body], through), contexts([body], inputs(vein_length_mm=own))
    assert runs.continues
    assert runs.vein_beyond_mm == pytest.approx(25.0 - longest_mm(body, GRID))
    assert not alone.continues
    assert alone.vein_beyond_mm < 1.0


def test_a_void_in_a_sulcus_and_one_beside_a_ventricle():
    at = ball((20, 20, 15), 1.2)
    fluid = slab(i=slice(17, 24)).astype(np.float32)
    (sulcal,) = contexts([at], inputs(csf=fluid))
    assert sulcal.in_sulcus
    assert sulcal.csf_around == 1.0
    (plexus,) = contexts([at], inputs(csf=fluid, ventricle_mask=fluid > 0))
    assert not plexus.in_sulcus
    (tissue,) = contexts([ball((10, 20, 15), 1.2)], inputs(csf=fluid))
    assert not tissue.in_sulcus
    assert tissue.csf_around == 0.0


def test_structures_are_named_by_where_most_of_the_void_lies():
    given = inputs(structures={"pallidum": slab(i=slice(19, 40)), "pineal": slab(i=slice(0, 10))})
    (found, other) = contexts([ball((20, 20, 15)), ball((14, 20, 15))], given)
    assert (found.structure, other.structure) == ("pallidum", "")
    assert found.features()["in_pallidum"] == 1.0


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_flips_change_nothing(axis):
    given = inputs(
        csf=slab(i=slice(12, 16)).astype(np.float32),
        air_mask=slab(k=slice(20, 22)),
        vein_length_mm=np.where(slab(j=slice(14, 16)), 12.0, 0).astype(np.float32),
    )
    body = ball((17, 20, 13))
    (one,) = contexts([body], given)
    turned = body.copy()
    turned[:, axis] = GRID.shape[axis] - 1 - turned[:, axis]
    names = ("brain_mask", "magnitude", "csf", "air_mask", "vein_length_mm")
    (other,) = contexts(
        [turned],
        replace(given, **{name: np.flip(getattr(given, name), axis).copy() for name in names}),
    )
    assert other.features() == pytest.approx(one.features(), nan_ok=True)
