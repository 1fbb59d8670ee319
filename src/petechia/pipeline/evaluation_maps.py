"""Maps and masks of one scan against the true ones, where both sides have them."""

import csv
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from petechia.errors import PetechiaError
from petechia.evaluate.maps import (
    RateBias,
    RegionBias,
    Streaks,
    map_errors,
    rate_bias,
    region_bias,
    streaking,
)
from petechia.evaluate.masks import MaskScore, score_mask
from petechia.files.nifti import read_nifti, require_same_grid
from petechia.pipeline.evaluation_files import Side
from petechia.pipeline.evaluation_read import INSIDE, Spots, lesions_of, read_labels

DEEP_NUCLEI = ("basal_ganglia", "thalamus")
VEIN_FROM = 0.05


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class MapScores:
    """Everything that compares maps of one scan; None where a side lacks the map."""

    chi: dict[str, float] | None = None
    streaks: Streaks | None = None
    nuclei: list[RegionBias] = field(default_factory=list)
    nuclei_slope: float = float("nan")
    r2star: RateBias | None = None
    brain: MaskScore | None = None


def compare_maps(predicted: Side, truth: Side, true: Spots | None, notes: list[str]) -> MapScores:
    """Compare what both sides have; why something could not be goes into `notes`."""
    shared = [name for name in predicted.maps if name in truth.maps and name != "regions"]
    if not shared:
        return MapScores()
    try:
        return _compared(predicted, truth, true, notes)
    except PetechiaError as error:
        notes.append(f"maps were not compared: {error}")
        return MapScores()


def _compared(predicted: Side, truth: Side, true: Spots | None, notes: list[str]) -> MapScores:
    first = read_nifti(truth.maps["brain" if "brain" in truth.maps else "chi"])
    grid = first.grid

    def volume(side: Side, name: str) -> npt.NDArray[np.float32] | None:
        if name not in side.maps:
            return None
        read = read_nifti(side.maps[name])
        require_same_grid(read.grid, str(read.path), grid, "the truth")
        return read.only

    brain = volume(truth, "brain")
    own_brain, chi, true_chi = (
        volume(predicted, "brain"), volume(predicted, "chi"), volume(truth, "chi"),
    )  # fmt: skip
    if brain is None:
        notes.append("no true brain mask: maps are compared where the true map is not 0")
    mask = brain > INSIDE if brain is not None else np.asarray(true_chi) != 0
    tissue = _tissue(mask, true, volume(truth, "veins"))
    places = lesions_of(true).place_mm if true is not None else None
    scores: dict[str, Any] = {}
    if own_brain is not None and brain is not None:
        scores["brain"] = score_mask(own_brain > INSIDE, mask, grid, places)
    if chi is not None and true_chi is not None:
        scores["chi"] = map_errors(chi, true_chi, mask, tissue=tissue)
        if true is not None and true.labels is not None and true.labels.shape == mask.shape:
            scores["streaks"] = streaking(chi, true_chi, mask, true.labels > 0, grid)
        scores |= _nuclei(chi, true_chi, mask, truth)
    rate, true_rate = volume(predicted, "r2star"), volume(truth, "r2star")
    if rate is not None and true_rate is not None:
        covered = tissue & (rate > 0)
        if covered.any():
            scores["r2star"] = rate_bias(rate, true_rate, covered)
    return MapScores(**scores)


def _tissue(
    mask: npt.NDArray[np.bool_],
    true: Spots | None,
    veins: npt.NDArray[np.float32] | None,
) -> npt.NDArray[np.bool_]:
    """Return the brain without voids of true lesions, with a voxel around, and veins."""
    tissue = mask.copy()
    if true is not None and true.labels is not None and true.labels.shape == mask.shape:
        tissue &= ~ndimage.binary_dilation(true.labels > 0, np.ones((3, 3, 3), dtype=bool))
    if veins is not None:
        tissue &= veins < VEIN_FROM
    return tissue


def _nuclei(
    chi: npt.NDArray[np.float32],
    true_chi: npt.NDArray[np.float32],
    mask: npt.NDArray[np.bool_],
    truth: Side,
) -> dict[str, Any]:
    """Return bias of the deep nuclei's regions, where the truth names them."""
    image = truth.maps.get("regions")
    table = None if image is None else image.with_name(image.name.split(".nii")[0] + ".tsv")
    if image is None or table is None or not table.is_file():
        return {}
    labels, _ = read_labels(image)
    lines = table.read_text(encoding="utf-8").splitlines()
    names = {
        int(row["index"]): row["name"]
        for row in csv.DictReader(lines, delimiter="\t")
        if row.get("site") in DEEP_NUCLEI
    }
    rows, slope = region_bias(chi, true_chi, labels, names, mask)
    return {"nuclei": rows, "nuclei_slope": slope}
