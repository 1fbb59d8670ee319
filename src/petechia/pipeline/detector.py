"""The detector's trained model, as it is vendored, and as it is calibrated at a site."""

import json
from dataclasses import replace
from functools import cache
from typing import Any

from petechia.assets.store import load_arrays, load_bytes, manifest
from petechia.core.counts import CountDoubt
from petechia.lesions.model import Model
from petechia.lesions.slices import is_thick
from petechia.pipeline.calibration import DETECTOR, SLICES, SiteCalibration


@cache
def card() -> dict[str, Any]:
    """Return the model's card: what it was trained on, how it did, its operating points."""
    told: dict[str, Any] = json.loads(load_bytes("detector_card"))
    return told


def slices_of(slice_mm: float) -> str:
    """Return which of `SLICES` a scan is one of."""
    return SLICES[int(is_thick(slice_mm))]


def points_of_slices(classification: str | None = None) -> dict[str, dict[str, float]]:
    """Return the detector's own operating points, for thin slices and for thick ones.

    In thin slices they are those of the card's default row of the classification table with a
    sign, and for any other row, whose probabilities are others, those of trees and network joined.
    """
    told = card()
    default = classification in (None, told["default"])
    thin = told["operating_points" if default else "points_of_combined"]
    own = (thin, told["thick_slices"]["operating_points"])
    return {
        slices: {name: float(p) for name, p in points.items()}
        for slices, points in zip(SLICES, own, strict=True)
    }


def operating_points(
    site: SiteCalibration | None = None,
    slice_mm: float = 0.0,
    classification: str | None = None,
    *,
    signed: bool = True,
) -> dict[str, float]:
    """Return the probability from which a microbleed counts, by the name of the point.

    Thick slices have points of their own: less is seen in them, so that the same number of
    false findings is not kept to at the same probability. So have thin ones whose phase gives no
    sign, with the card's default row. A site's points win over the detector's.
    `classification` is the row that gives the probabilities, None for the card's default.
    """
    slices, told = slices_of(slice_mm), card()
    if site is None and slices == SLICES[0] and classification in (None, told["default"]):
        return _points(told if signed else told["without_sign"])
    points = points_of_slices(classification) if site is None else site.operating_points
    return dict(points[slices])


def _points(told: dict[str, Any]) -> dict[str, float]:
    return {name: float(p) for name, p in told["operating_points"].items()}


def count_doubt(slice_mm: float = 0.0) -> CountDoubt:
    """Return what the detector's findings of one scan have in common, by its slices [mm].

    In thick slices more of it is shared, and more of what is found may be real.
    """
    thin, thick = SLICES
    told = {thin: card(), thick: card()["thick_slices"]}[slices_of(slice_mm)]
    return CountDoubt(**told["count_doubt"])


def detector(
    site: SiteCalibration | None = None,
    slice_mm: float = 0.0,
    classification: str | None = None,
    *,
    signed: bool = True,
) -> Model:
    """Return the model, with the points for slices of a thickness [mm] and all that a site has.

    `signed` tells whether the scan's phase gives moments with a sign.

    Raises
    ------
    FileError
        If a file is missing or its hash is not the manifest's.
    InputError
        If the model belongs to another version of the features.
    """
    arrays, network = DETECTOR
    model = Model.load(
        card()
        | {"operating_points": operating_points(site, slice_mm, classification, signed=signed)},
        load_arrays(arrays),
        load_bytes(network) if network in manifest() else None,
    )
    return model if site is None else replace(model, site=site.line)


def threshold(
    operating_point: str,
    site: SiteCalibration | None = None,
    slice_mm: float = 0.0,
    classification: str | None = None,
    *,
    signed: bool = True,
) -> float:
    """Return the probability from which a microbleed counts."""
    return operating_points(site, slice_mm, classification, signed=signed)[operating_point]
