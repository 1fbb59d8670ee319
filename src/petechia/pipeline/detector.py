"""The detector's trained model, as it is vendored, and as it is calibrated at a site."""

import json
from dataclasses import replace
from functools import cache
from typing import Any

from petechia.assets.store import load_arrays, load_bytes, manifest
from petechia.lesions.model import Model
from petechia.pipeline.calibration import SiteCalibration


@cache
def card() -> dict[str, Any]:
    """Return the model's card: what it was trained on, how it did, its operating points."""
    told: dict[str, Any] = json.loads(load_bytes("detector_card"))
    return told


def operating_points(site: SiteCalibration | None = None) -> dict[str, float]:
    """Return the probability from which a microbleed counts, by the name of the point."""
    told = card()["operating_points"] if site is None else site.operating_points
    return {name: float(p) for name, p in told.items()}


def detector(site: SiteCalibration | None = None) -> Model:
    """Return the model, with the probabilities and thresholds of a site when one is given.

    Raises
    ------
    FileError
        If a file is missing or its hash is not the manifest's.
    InputError
        If the model belongs to another version of the features.
    """
    network = load_bytes("detector_network") if "detector_network" in manifest() else None
    model = Model.load(card(), load_arrays("detector"), network)
    if site is None:
        return model
    points = {"operating_points": operating_points(site)}
    return replace(model, card={**model.card, **points}, site=site.line)


def threshold(operating_point: str, site: SiteCalibration | None = None) -> float:
    """Return the probability from which a microbleed counts."""
    return operating_points(site)[operating_point]
