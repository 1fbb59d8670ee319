"""Which findings are staged as hematomas."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from petechia.lesions.findings import Finding
from petechia.pipeline.iron import _hematomas

LARGE = Finding(
    index=1, name="macrobleed 1", class_="macrobleed", sign="paramagnetic", probability=0.02,
    counted=False, mars="n/a", x_mm=0.0, y_mm=0.0, z_mm=0.0, volume_mm3=900.0, diameter_mm=12.0,
    moment_ppm_mm3=None, moment_se_ppm_mm3=None, chi_mean_ppm=None, side="left", site="frontal",
    compartment="lobar", parenchyma_fraction=0.9, sphericity=0.8, margin_sharpness=0.5,
    homogeneity=0.5, evidence="wider than 10 mm",
)  # fmt: skip


class ImagesAskedError(Exception):
    """The staging has begun."""


def work(finding):
    def need(name):
        raise ImagesAskedError(name)

    return SimpleNamespace(
        detection=SimpleNamespace(findings=[finding]), need=need
    )  # fmt: skip


def test_what_ct_shows_to_be_calcium_is_not_staged(monkeypatch):
    monkeypatch.setattr("petechia.pipeline.iron._beside", lambda work: None)
    stone = replace(LARGE, ct_hu=400.0, ct_calcified=True)
    assert _hematomas(work(stone)) == ()
    for bleed in (LARGE, replace(LARGE, ct_hu=38.0, ct_calcified=False)):
        with pytest.raises(ImagesAskedError, match="mask"):
            _hematomas(work(bleed))
