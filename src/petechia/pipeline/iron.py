"""What else a susceptibility map tells: iron of nuclei, oxygen of veins, age of large bleeds."""

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from petechia.anatomy.parcellation import CEREBRA, RIGHT_TO_LEFT
from petechia.assets.store import load_arrays
from petechia.core.morphology import Mask, dilate_mm
from petechia.lesions.hematoma import likely_stage, look_of, size_of
from petechia.pipeline.work import Hematoma, Work
from petechia.qsm.iron import MAP_SLOPE, Nucleus, nuclei_table
from petechia.qsm.oxygenation import Oxygenation, OxygenationParams, venous_oxygenation

LOG = logging.getLogger(__name__)
NUCLEI = ("caudate", "putamen", "pallidum", "thalamus")
"""Those that the atlas has and a scan of 1 to 2 mm can show."""
AWAY_MM = 3.0
"""So near to a finding the map is that of the finding."""
WEAK = (
    f"On simulated heads the standard maps gave {MAP_SLOPE:g} of the true differences between "
    "nuclei: read them as too low. Not corrected here."
)
CURVES = (
    "Iron at that age: mean and standard deviation of autopsies (Hallgren & Sourander 1958), "
    "whatever the reference of the map. Its susceptibility is what it would make if all of it "
    "were ferritin's, against tissue without iron: an upper end, not a norm of this map."
)


def iron_stage(work: Work) -> None:
    """Read nuclei and veins off the map, and the stage of large bleeds, as far as it can be."""
    if work.chi_ppm is not None and not work.why_not("susceptibility"):
        clear = work.need("chi_mask") & ~_near_findings(work)
        work.nuclei = _nuclei(work, clear)
        work.oxygenation = _oxygenation(work, clear)
    work.hematomas = _hematomas(work)


def _near_findings(work: Work) -> Mask:
    """Return where blood, calcium or iron that was found spoils the map; veins do not."""
    if work.detection is None:
        return np.zeros(work.grid.shape, dtype=bool)
    told = [f.index for f in work.detection.findings if f.class_ not in ("vessel", "air_tissue")]
    return dilate_mm(np.isin(work.detection.labels, told), work.grid, AWAY_MM)


def nuclei_masks(work: Work) -> Mapping[tuple[str, str], Mask]:
    """Return each deep nucleus of the atlas on the scan; none without a precise registration."""
    if work.registration is None or not work.registration.precise:
        return {}
    cerebra = load_arrays("template")["cerebra"]
    labels = work.registration.to_scan(cerebra, grid=work.grid)
    return {
        (name, side): np.isin(labels, [n + shift for n in CEREBRA[name]])
        for name in NUCLEI
        for side, shift in (("left", RIGHT_TO_LEFT), ("right", 0))
    }


def _nuclei(work: Work, clear: Mask) -> tuple[Nucleus, ...]:
    age = work.facts.as_dict().get("age_years")
    known = None if age is None or not 18 <= float(age) <= 110 else float(age)
    rows = nuclei_table(work.need("chi_ppm"), nuclei_masks(work), clear, work.grid, known)
    if rows:
        work.cite(
            "iron of nuclei",
            "median of the map",
            "median inside nuclei of the atlas, without their rims; iron by age from autopsies",
            "10.1111/j.1471-4159.1958.tb12607.x",
        )
    return rows


def _oxygenation(work: Work, clear: Mask) -> Oxygenation | None:
    if work.veins is None or not work.sign_trusted:
        return None
    found = venous_oxygenation(
        work.need("chi_ppm"), work.veins.likeness, work.veins.length_mm, clear, work.grid
    )
    if found.saturation is not None:
        work.cite(
            "venous oxygenation",
            "cylinders in the map",
            "a blurred cylinder fitted to straight veins, which undoes the partial volume",
            "10.3389/fnins.2017.00089",
        )
    return found


def _hematomas(work: Work) -> tuple[Hematoma, ...]:
    if work.detection is None:
        return ()
    large = [f for f in work.detection.findings if f.is_hematoma]
    if not large:
        return ()
    images = _beside(work)
    tissue = work.need("mask") & (work.detection.labels == 0)
    if work.tissue is not None and work.tissue.told:
        tissue &= work.tissue.csf < 0.5
    out = []
    for finding in large:
        label = work.detection.labels == finding.index
        looks = {name: look_of(image, label, tissue, work.grid) for name, image in images.items()}
        signed = finding.sign in ("paramagnetic", "diamagnetic") and work.sign_trusted
        chi = _above(work, label, tissue) if signed else None
        staging = likely_stage(looks.get("T1w"), looks.get("T2w"), chi)
        size = size_of(label, work.grid)
        out.append(Hematoma(index=finding.index, name=finding.name, size=size, staging=staging))
    work.cite(
        "size of large bleeds",
        "ABC/2",
        "volume by voxels and by half the product of diameters",
        "10.1161/01.STR.27.8.1304",
    )
    work.cite(
        "stage of large bleeds",
        "looks",
        "by T1w, T2w and susceptibility against tissue around",
        "10.1148/radiology.189.1.8372185",
    )
    return tuple(out)


def _above(work: Work, label: Mask, tissue: Mask) -> float | None:
    """Return how far the middle of a bleed lies above the tissue around it [ppm]."""
    if work.chi_ppm is None:
        return None
    inside = label & work.need("chi_mask")
    around = dilate_mm(label, work.grid, 10.0) & ~dilate_mm(label, work.grid, 3.0) & tissue
    around &= work.need("chi_mask")
    if not inside.any() or not around.any():
        return None
    return float(work.chi_ppm[inside].mean() - np.median(work.chi_ppm[around]))


def _beside(work: Work) -> dict[str, np.ndarray]:
    """Return the T1w and T2w images of the person on the scan's grid; NaN where they end."""
    others = work.companions
    out: dict[str, np.ndarray] = {}
    for kind in ("T1w", "T2w"):
        if kind not in others.sources:
            continue
        found = others.judged(kind, work.tissue, work.need("mask"))
        if isinstance(found, str):
            name = others.sources[kind].name
            work.warnings.append(f"{name} was not used for the stage of bleeds: {found}.")
            continue
        image, agrees = found
        out[kind] = image.on(work.grid)
        if np.isnan(agrees) and others.unchecked(kind) not in work.warnings:
            work.warnings.append(others.unchecked(kind))
    return out


def iron_rows(work: Work) -> dict[str, Any]:
    """Return what was read, as the keys that follow the contract's in the summary."""
    out: dict[str, Any] = {}
    if work.nuclei:
        out["nuclei"] = {
            "rows": [_nucleus_row(row) for row in work.nuclei],
            "reference": work.chi_reference,
            "says": f"{WEAK} {CURVES}",
        }
    if work.oxygenation is not None:
        out["venous_oxygenation"] = _oxygen_row(work.oxygenation)
    if work.hematomas:
        out["hematomas"] = [_hematoma_row(row) for row in work.hematomas]
    return out


def _nucleus_row(row: Nucleus) -> dict[str, Any]:
    pairs = {"expected_iron_mg_per_100g": (row.expected_mg_per_100g, 1)}
    pairs["expected_ppm"] = (row.expected_ppm, 3)
    return {
        "name": row.name,
        "side": row.side,
        "n_voxels": row.n_voxels,
        "volume_mm3": round(row.volume_mm3, 1),
        "chi_ppm": round(row.chi_ppm, 3),
        "quartiles_ppm": [round(row.low_ppm, 3), round(row.high_ppm, 3)],
        **{
            name: None if pair is None else [round(v, digits) for v in pair]
            for name, (pair, digits) in pairs.items()
        },
    }


def _oxygen_row(found: Oxygenation) -> dict[str, Any]:
    assumed = OxygenationParams()

    def digits(value: float | None, n: int) -> float | None:
        return None if value is None else round(value, n)

    return {
        "saturation": digits(found.saturation, 2),
        "interval_95": None
        if found.interval_95 is None
        else [round(v, 2) for v in found.interval_95],
        "vein_ppm": digits(found.vein_ppm, 3),
        "diameter_mm": digits(found.diameter_mm, 1),
        "n_places": found.n_places,
        "n_veins": found.n_veins,
        "hematocrit": assumed.hematocrit,
        "says": found.says,
    }


def _hematoma_row(row: Hematoma) -> dict[str, Any]:
    return {
        "index": row.index,
        "name": row.name,
        "volume_ml": round(row.size.voxels_ml, 2),
        "abc2_ml": round(row.size.abc2_ml, 2),
        "diameters_mm": [round(v, 1) for v in (row.size.a_mm, row.size.b_mm, row.size.c_mm)],
        "stage": row.staging.stage,
        "chances": {name: round(chance, 2) for name, chance in row.staging.chances.items()},
        "says": row.staging.says,
    }
