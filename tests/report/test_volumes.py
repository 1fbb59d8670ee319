"""What the viewer is given: the voxels themselves in 8 bits, at their places, within a budget."""

import base64
import gzip
import json
from dataclasses import replace

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.report.data import ReportData
from petechia.report.findings import read_entries
from petechia.report.scene import Scene
from petechia.report.viewer import make_viewer
from petechia.report.volumes import LOOKS, OUTSIDE, means, pack

MUCH = 100_000_000


def scene_of(data):
    return Scene(data, read_entries(data.findings))


def unpacked(volume):
    content = gzip.decompress(base64.urlsafe_b64decode(volume.text))
    return np.frombuffer(content, np.uint8).reshape(volume.shape, order="F")


@pytest.fixture(scope="module")
def scene(data):
    return scene_of(data)


def cropped(scene, name):
    return scene.laid[name][tuple(slice(a, b) for a, b in scene.extent)]


def test_numbers_give_the_values_back_to_half_a_step(scene):
    for volume in pack(scene, MUCH)[:-1]:
        numbers = unpacked(volume)
        kept = numbers != OUTSIDE
        values = numbers * volume.slope + volume.inter
        low, high = 1 * volume.slope + volume.inter, 255 * volume.slope + volume.inter
        true = np.clip(cropped(scene, volume.name), low, high)
        assert np.abs(values - true)[kept].max() <= 0.51 * volume.slope, volume.name
        inside = cropped(scene, "brain_mask")
        assert kept[inside].all()
        assert not kept.all()


def test_labels_hold_how_a_finding_was_judged(scene, data):
    labels = pack(scene, MUCH)[-1]
    assert labels.name == "labels"
    numbers, found = unpacked(labels), scene.labels[tuple(slice(a, b) for a, b in scene.extent)]
    labelled = [e for e in read_entries(data.findings) if (found == e.index).any()]
    assert len(labelled) > 6
    for entry in labelled:
        assert set(np.unique(numbers[found == entry.index])) == {LOOKS[entry.look]}
    assert not numbers[found == 0].any()


@pytest.mark.parametrize("budget", [120_000, 40_000])
def test_a_smaller_budget_makes_volumes_coarser_and_is_kept(scene, budget):
    fine, coarse = pack(scene, MUCH), pack(scene, budget)
    assert sum(len(v.text) for v in coarse) <= budget < sum(len(v.text) for v in fine)
    for one, other in zip(fine, coarse, strict=True):
        whole = np.multiply(one.shape, one.spacing_mm)
        again = np.multiply(other.shape, other.spacing_mm)
        assert (again >= whole - 1e-6).all()
        assert (again - whole < np.asarray(other.spacing_mm)).all()
    assert np.prod(coarse[-1].shape) == np.prod(fine[-1].shape)  # labels are never joined


def test_nothing_is_shown_where_nothing_fits_or_nothing_is(scene, data):
    assert pack(scene, 100) == []
    assert make_viewer(scene, 1_000_000, {}, lambda e: e.name) is None
    bare = scene_of(replace(data, volumes={}, labels=None, region_table=()))
    assert pack(bare, MUCH) == []


def test_blocks_are_joined_by_their_means():
    volume = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    assert means(volume, (1, 1, 1)) is volume
    joined = means(volume, (2, 2, 1))
    assert joined.shape == (2, 1, 2)
    assert joined[0, 0, 0] == volume[:2, :, 0].mean()
    assert joined[1, 0, 1] == volume[2, :, 1].mean()  # the last slice is repeated


@pytest.mark.parametrize("turn_deg", [0.0, 25.0])
@pytest.mark.parametrize("stored", [(1, 1, 1), (-1, 1, -1)])
def test_the_script_is_told_where_voxels_are(make, turn_deg, stored):
    """For stored axes reversed and slices tilted: places of the script are the scanner's."""
    c, s = np.cos(np.deg2rad(turn_deg)), np.sin(np.deg2rad(turn_deg))
    affine = np.eye(4)
    affine[:3, :3] = np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ np.diag(
        np.multiply(stored, (2.0, 2.0, 3.0))
    )
    grid = Grid((30, 34, 20), affine)
    at = grid.to_mm(np.array([12.0, 20.0, 7.0]))
    row = make.finding(1, **{f"{axis}_mm": f"{v:.4f}" for axis, v in zip("xyz", at, strict=True)})
    brain = np.zeros(grid.shape, bool)
    brain[5:25, 6:30, 3:17] = True
    data = ReportData(
        prefix="sub-01", summary=make.summary([row]), findings=[row], labels=None,
        volumes={"magnitude": brain.astype(np.float32), "brain_mask": brain}, grid=grid,
    )  # fmt: skip
    viewer = make_viewer(scene_of(data), MUCH, {}, lambda entry: entry.name)
    told = json.loads(viewer.settings)
    (finding,) = told["findings"]
    matrix = np.array(told["to_mm"])
    assert matrix[:, :3] @ finding["at"] + matrix[:, 3] == pytest.approx(at, abs=0.05)
    # axes run nearest to right, anterior, superior, whatever the file does
    assert (np.diag(matrix[:, :3]) > 0).all()
    assert told["panes"]["labels"]["volumes"] == ["magnitude", "labels"]
    assert "<" not in viewer.settings
