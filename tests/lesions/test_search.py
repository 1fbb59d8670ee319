"""Which finders run on which images."""

import logging
from dataclasses import replace

import pytest

from petechia.lesions.candidates import METHODS
from petechia.lesions.candidates.found import Candidates
from petechia.lesions.params import DetectParams
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
