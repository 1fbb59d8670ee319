"""The detector's trained model, as it is vendored."""

import json
from functools import cache
from typing import Any

from petechia.assets.store import load_arrays, load_bytes, manifest
from petechia.lesions.model import Model


@cache
def card() -> dict[str, Any]:
    """Return the model's card: what it was trained on, how it did, its operating points."""
    told: dict[str, Any] = json.loads(load_bytes("detector_card"))
    return told


def detector() -> Model:
    """Return the model.

    Raises
    ------
    FileError
        If a file is missing or its hash is not the manifest's.
    InputError
        If the model belongs to another version of the features.
    """
    network = load_bytes("detector_network") if "detector_network" in manifest() else None
    return Model.load(card(), load_arrays("detector"), network)


def threshold(operating_point: str) -> float:
    """Return the probability from which a microbleed counts."""
    return float(card()["operating_points"][operating_point])
