"""The region table speaks the contract's words."""

import tomllib
from importlib.resources import files

import pytest

from petechia.anatomy.sites import COMPARTMENT_OF, REGIONS, VENTRICLE_LABELS, label_of


@pytest.fixture(scope="module")
def words():
    text = files("petechia.files").joinpath("contract.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)["findings"]


def test_sites_sides_and_compartments_are_the_contracts(words):
    assert [*COMPARTMENT_OF, "n/a"] == words["site"]
    for region in REGIONS:
        assert region.site in words["site"]
        assert region.side in words["side"]
        assert region.compartment in words["compartment"]


def test_every_site_has_both_sides_but_the_brainstem():
    for site in COMPARTMENT_OF:
        sides = {r.side for r in REGIONS if r.site == site}
        assert sides == ({"midline"} if site == "brainstem" else {"left", "right"})


def test_labels_and_names_are_unique_and_counted_from_one():
    assert [r.index for r in REGIONS] == list(range(1, len(REGIONS) + 1))
    assert len({r.name for r in REGIONS}) == len(REGIONS)
    assert label_of("frontal", "left") == 1
    assert REGIONS[label_of("thalamus", "right") - 1].name == "right thalamus"


def test_ventricles_have_no_site():
    assert all(REGIONS[n - 1].compartment == "n/a" for n in VENTRICLE_LABELS)
    with pytest.raises(KeyError, match="no region 'n/a'"):
        label_of("n/a", "left")
