"""Which finders run on which images."""

import logging
from dataclasses import replace

import numpy as np
import pytest

import petechia.lesions.search as searching
from petechia.core.grid import Grid
from petechia.lesions.candidates import METHODS
from petechia.lesions.candidates.found import Candidates
from petechia.lesions.inputs import LesionInputs
from petechia.lesions.params import DetectParams
from petechia.lesions.ring import RingParams
from petechia.lesions.search import search


@pytest.mark.parametrize(
    ("needs", "warned"),
    [
        (("relative_signal", "local_field_ppm", "mask"), True),
        (("relative_signal", "chi_ppm", "mask"), False),  # no map in this scan: left out, as said
        (("relative_signal", "mask"), False),
    ],
)
def test_a_finder_whose_arrays_are_never_together_is_told_of(
    phantom, monkeypatch, caplog, needs, warned
):
    monkeypatch.setitem(METHODS, "mine", replace(METHODS["blob"], needs=needs))
    monkeypatch.setattr(type(METHODS["blob"]), "__call__", lambda *_, **__: (Candidates.none(),))
    with caplog.at_level(logging.WARNING, logger="petechia.lesions.search"):
        search(phantom.inputs(), DetectParams(finders=("mine",)))
    told = "finder mine is left out: no image set holds relative_signal, local_field_ppm, mask"
    assert (told in caplog.text) is warned


@pytest.mark.parametrize(("widest_mm", "thickness_mm", "whole"), [
    (6.0, 5.0, True), (0.0, 5.0, False), (6.0, 0.9, False),
])  # fmt: skip
def test_a_ring_in_a_thick_slice_is_one_void_with_its_middle(widest_mm, thickness_mm, whole):
    """A strong source thinner than the slice: dark where its field bends, bright in the middle."""
    shape, spacing = (45, 45, 9), (0.9, 0.9, thickness_mm)
    grid = Grid.from_spacing(shape, spacing)
    x, y = ((np.indices(shape[:2])[axis] - 22) * 0.9 for axis in range(2))
    magnitude = np.random.default_rng(0).normal(1.0, 0.02, shape).astype(np.float32)
    ring = np.abs(np.hypot(x, y) - 2.7) < 0.9
    magnitude[ring, 4] = np.where(x < 0, 0.2, 0.3)[ring]
    inputs = LesionInputs(
        grid=grid, brain_mask=np.ones(shape, bool), b0_t=1.5, reading_te_s=0.025,
        magnitude=magnitude,
    )  # fmt: skip
    spots = search(inputs, DetectParams(ring=RingParams(widest_mm=widest_mm)))
    middle = np.array([22, 22, 4]) - spots.corner
    bodies = [v.body for v in spots.voids if (v.body == middle).all(axis=1).any()]
    assert len(bodies) == whole
    if whole:
        np.testing.assert_allclose(bodies[0].mean(axis=0), middle, atol=0.5)
        assert len(bodies[0]) > ring.sum()


@pytest.mark.parametrize("finders", [("blob", "dipole_match"), ("dipole_match", "blob")])
def test_places_come_in_the_order_of_the_finders_whichever_begins_first(make, finders, caplog):
    scan = make.build([make.Sphere((8.2, 9.1, 8.3), 1.3, 1.0)], (19, 19, 17), (1, 1, 1))
    with caplog.at_level("INFO", logger="petechia.lesions.search"):
        search(scan.inputs(), DetectParams(finders=finders))
    told = [record.message for record in caplog.records]
    runs = [m.split(": ") for m in told if m.endswith(" places")]
    assert list(dict.fromkeys(name for name, _ in runs)) == list(finders)
    counts = dict(runs)
    assert counts["dipole_match"] != counts["blob"]  # or the order would tell nothing
    alone = {}
    for name in finders:
        caplog.clear()
        with caplog.at_level("INFO", logger="petechia.lesions.search"):
            search(scan.inputs(), DetectParams(finders=(name,)))
        alone |= dict(
            r.message.split(": ") for r in caplog.records if r.message.endswith(" places")
        )
    assert counts == alone


def test_the_slow_finders_begin_first(make, monkeypatch):
    begun = []

    def noted(jobs):
        begun.append([getattr(getattr(job, "func", None), "load", "") for job in jobs])
        return [job() for job in jobs]

    monkeypatch.setattr(searching, "together", noted)
    scan = make.build([make.Sphere((8.2, 9.1, 8.3), 1.3, 1.0)], (19, 19, 17), (1, 1, 1))
    search(scan.inputs(), DetectParams(finders=("blob", "radial_symmetry", "dipole_match")))
    names = [load.rpartition(":")[2] for load in begun[-1]]
    assert set(names[:2]) == set(searching.SLOW)
    assert set(names[2:]) == {"blob"}
