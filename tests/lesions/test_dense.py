"""A CT may take a microbleed away, and never make one."""

from dataclasses import replace

import pytest

from petechia.lesions.dense import CtReading, with_ct
from petechia.lesions.findings import CLASSES, Finding

DENSE = CtReading(hu=310.0, calcified=True)
NOT_DENSE = CtReading(hu=38.0, calcified=False)
UNREAD = CtReading(hu=None, calcified=None, says="beside bone")


@pytest.fixture
def bleed():
    return Finding(
        index=1, name="microbleed 1", class_="microbleed", sign="unclear", probability=0.9,
        counted=True, mars="definite", x_mm=0.0, y_mm=0.0, z_mm=0.0, volume_mm3=20.0,
        diameter_mm=3.0, moment_ppm_mm3=None, moment_se_ppm_mm3=None, chi_mean_ppm=None,
        side="left", site="frontal", compartment="lobar", parenchyma_fraction=1.0,
        sphericity=0.9, margin_sharpness=1.0, homogeneity=1.0, evidence="round",
    )  # fmt: skip


def test_calcium_is_not_counted_and_says_why(bleed):
    old = replace(bleed, index=2, name="calcification 1", class_="calcification", counted=False)
    told, same = with_ct((bleed, old), {1: DENSE})
    assert (told.class_, told.name, told.counted, told.mars) == (
        "calcification", "calcification 2", False, "n/a",
    )  # fmt: skip
    assert told.evidence == "round; CT 310 HU here: calcification"
    assert told.probability == bleed.probability
    assert (told.row()["ct_hu"], told.row()["ct_calcified"]) == ("310", "1")
    assert same is old
    assert (old.row()["ct_hu"], old.row()["ct_calcified"]) == ("n/a", "n/a")


@pytest.mark.parametrize("reading", [NOT_DENSE, UNREAD])
@pytest.mark.parametrize("kind", CLASSES)
def test_what_is_not_dense_keeps_its_class(bleed, reading, kind):
    finding = replace(bleed, class_=kind, counted=kind == "microbleed")
    (told,) = with_ct((finding,), {1: reading})
    assert (told.class_, told.counted, told.name) == (kind, finding.counted, finding.name)
    assert told.evidence.startswith("round; CT ")


def test_only_a_microbleed_changes_its_class(bleed):
    for kind in CLASSES:
        (told,) = with_ct((replace(bleed, class_=kind, counted=False),), {1: DENSE})
        assert told.class_ == ("calcification" if kind == "microbleed" else kind)
        assert not told.counted


def test_phase_that_says_blood_is_told_of(bleed):
    (told,) = with_ct((replace(bleed, sign="paramagnetic"),), {1: DENSE})
    assert "against its phase" in told.evidence
