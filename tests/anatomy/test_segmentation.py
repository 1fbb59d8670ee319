"""FreeSurfer's numbers give the same sites as the template's atlas, wherever the head lies."""

import numpy as np
import pytest

from petechia.anatomy.parcellation import CEREBRA, RIGHT_TO_LEFT
from petechia.anatomy.regions import regions_from_segmentation
from petechia.anatomy.segmentation import (
    CORTEX,
    MIDDLE,
    PAIRS,
    has_parcels,
    regions_of_segmentation,
)
from petechia.anatomy.sites import REGIONS, VENTRICLE_LABELS
from petechia.anatomy.starts import turned
from petechia.core.grid import Grid
from petechia.errors import InputError

FRONT = {"frontal": 28, "parietal": 8, "temporal": 15, "occipital": 11, "insula": 35}


@pytest.fixture(scope="module")
def freesurfer(arrays):
    """The template's own atlas in FreeSurfer's numbers, every parcel present somewhere."""
    cerebra, brain = arrays["cerebra"], arrays["brain_mask"] > 0
    out = np.where(arrays["wm"] > 0.5, 2, 0)
    out[brain & (out == 0)] = 24
    half = out.shape[0] // 2
    out[half:][out[half:] == 2] = 41
    for name, right in CEREBRA.items():
        for codes, column in ((right, 1), ([n + RIGHT_TO_LEFT for n in right], 0)):
            where = np.isin(cerebra, codes)
            if name in CORTEX:
                out[where] = (1000, 2000)[column] + FRONT[name]
                parcels = np.argwhere(where)[:: len(np.argwhere(where)) // 20]
                for place, n in zip(parcels, CORTEX[name], strict=False):
                    out[tuple(place)] = (1000, 2000)[column] + n
            else:
                out[where] = PAIRS[name][-1][column] if name in PAIRS else MIDDLE[name][0]
    return np.where(brain, out, 0).astype(np.int32)


def agreement(found, template):
    inside = template.brain & (template.regions > 0) & ~np.isin(template.regions, VENTRICLE_LABELS)
    return float(np.mean(found[inside] == template.regions[inside]))


def test_every_site_comes_out_and_agrees_with_the_atlas(freesurfer, template):
    found = regions_of_segmentation(freesurfer, template.grid)
    assert {r.index for r in REGIONS} - set(VENTRICLE_LABELS) <= set(np.unique(found).tolist())
    assert agreement(found, template) > 0.93
    np.testing.assert_array_equal(found > 0, freesurfer > 0)


def test_the_head_may_lie_turned_and_be_stored_mirrored(freesurfer, template):
    turn = np.eye(4)
    turn[:3, :3] = turned((12, 8, -15))
    turn[:3, 3] = (30, -20, 11)
    affine = turn @ template.grid.affine
    affine[:3, 3] += affine[:3, 0] * (template.grid.shape[0] - 1)
    affine[:3, 0] *= -1
    found = regions_of_segmentation(freesurfer[::-1].copy(), Grid(template.grid.shape, affine))
    assert agreement(found[::-1], template) > 0.9


def test_cortex_without_parcels_is_refused(freesurfer, template):
    bare = np.where(freesurfer >= 2000, 42, np.where(freesurfer >= 1000, 3, freesurfer))
    assert has_parcels(freesurfer)
    assert not has_parcels(bare)
    with pytest.raises(InputError, match="cortical parcels"):
        regions_of_segmentation(bare, template.grid)


def test_a_parcel_belongs_to_one_lobe():
    numbers = [n for parts in CORTEX.values() for n in parts]
    assert sorted(numbers) == [*range(1, 4), *range(5, 36)]


def test_a_segmentation_follows_the_motion_and_another_head_is_refused(template):
    shift = np.eye(4)
    shift[0, 3] = 12.0  # 6 voxels: what the scan has at x the segmentation has at x + 12
    mask = np.roll(template.brain, -6, axis=0)
    moved = regions_from_segmentation(template.regions, template.grid, mask, template.grid, shift)
    assert moved.ok
    both = np.roll(template.brain & (template.regions > 0), -6, axis=0)
    np.testing.assert_array_equal(moved.labels[both], np.roll(template.regions, -6, axis=0)[both])
    shift[1, 3] = 60.0
    other = regions_from_segmentation(template.regions, template.grid, mask, template.grid, shift)
    assert not other.ok
    assert "overlap by a Dice of" in other.says
    assert not other.labels.any()
