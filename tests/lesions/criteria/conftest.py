"""Findings of a patient, told by where they lie."""

import pytest

from petechia.lesions.findings import Finding

PLACES = {
    "lobar": ("parietal", "lobar"),
    "deep": ("thalamus", "deep"),
    "brainstem": ("brainstem", "infratentorial"),
    "cerebellum": ("cerebellum", "infratentorial"),
    "unknown": ("n/a", "n/a"),
}


def bleed(
    place="lobar", *, class_="microbleed", counted=None, mars="definite", side="left", mm=3.0
):
    site, compartment = PLACES.get(place, (place, "lobar"))
    return Finding(
        index=1, name="one", class_=class_, sign="paramagnetic", probability=0.9,
        counted=class_ == "microbleed" if counted is None else counted, mars=mars,
        x_mm=0.0, y_mm=0.0, z_mm=0.0, volume_mm3=14.0, diameter_mm=mm, moment_ppm_mm3=3.0,
        moment_se_ppm_mm3=0.3, chi_mean_ppm=None, side=side, site=site, compartment=compartment,
        parenchyma_fraction=1.0, sphericity=0.8, margin_sharpness=0.5, homogeneity=0.6,
        evidence="round",
    )  # fmt: skip


@pytest.fixture(scope="session")
def make():
    return bleed
