"""From a finished `Work` to files: volumes, tables, summary, report."""

from typing import Any

import numpy as np

from petechia.files.contract import CONTRACT
from petechia.files.output import OutputTree
from petechia.pipeline.provenance import Meter
from petechia.pipeline.summary import build_summary
from petechia.pipeline.work import Work
from petechia.report.data import ReportData
from petechia.report.page import render


def write_results(
    work: Work,
    tree: OutputTree,
    keys: set[str],
    meter: Meter,
    provenance: dict[str, Any],
    intermediates: bool,
) -> dict[str, Any]:
    """Write the files `keys` of the contract; return the summary ({} when not asked for).

    Volumes and tables come first, the report next and the summary last: a summary
    on disk says that everything beside it is whole.
    """
    _write_maps(work, tree, keys)
    if intermediates:
        _write_intermediates(work, tree)
    if "regions" in keys and work.regions is not None:
        _write_regions(work, tree)
    if "findings" not in keys:
        return {}
    rows = _write_findings(work, tree)
    summary = build_summary(work, meter, provenance)
    page = render(
        ReportData(
            prefix=work.scan.name.prefix,
            summary=summary,
            findings=rows,
            labels=_labels(work),
            volumes=_pictured(work),
            grid=work.grid,
            methods=work.methods,
            says=work.detection.says if work.detection else (),
            region_table=_region_rows(work),
        )
    )
    tree.write_text(tree.path("report", work.scan.name), page)
    tree.write_json(tree.path("summary", work.scan.name), summary)
    return summary


def _sources(work: Work) -> list[str]:
    """Return the inputs as BIDS URIs for datasets, bare relative paths else."""
    scheme = "bids:raw:" if work.scan.kind == "BIDS" else ""
    return [f"{scheme}{source.path}" for source in work.scan.sources if ".json" not in source.path]


def _write_maps(work: Work, tree: OutputTree, keys: set[str]) -> None:
    sources = {"Sources": _sources(work)}
    maps: dict[str, tuple[Any, dict[str, Any]]] = {
        "brain_mask": (work.mask, {"Type": "Brain"}),
        "chi": (
            work.chi_ppm,
            {"Units": "ppm", "SkullStripped": True, "Reference": "mean over the brain mask"},
        ),
        "chi_noise": (work.chi_noise_ppm, {"Units": "ppm", "SkullStripped": True}),
        "local_field": (work.local_field_ppm, {"Units": "ppm", "SkullStripped": True}),
        "r2star": (work.r2star, {"Units": "1/s", "SkullStripped": True}),
        "t2star": (work.t2star_s, {"Units": "s", "SkullStripped": True}),
        "s0": (work.s0, {"Units": "arbitrary", "SkullStripped": True}),
        "swi": (work.swi, {"Units": "arbitrary", "SkullStripped": False}),
        "mip": (
            work.mip,
            {"Units": "arbitrary", "SkullStripped": True, "SlabThickness": work.settings.slab_mm},
        ),
    }
    for key, (volume, sidecar) in maps.items():
        if key not in keys:
            continue
        if volume is None:  # a map of an earlier run with other settings must not stay
            tree.remove_volume(key, work.scan.name)
        else:
            tree.write_volume(key, work.scan, volume, sidecar | sources)


def _write_intermediates(work: Work, tree: OutputTree) -> None:
    for desc, volume, units in (
        ("unwrapped_phase", work.unwrapped_rad, "rad"),
        ("total_fieldmap", work.total_field_ppm, "ppm"),
        ("residual_phase", work.field_residual_rad, "rad"),
        ("noise_fieldmap", work.field_noise_ppm, "ppm"),
        ("highpass_phase", work.highpass_rad, "rad"),
    ):
        if volume is not None:
            tree.write_intermediate(desc, work.scan, volume, {"Units": units})


def _region_rows(work: Work) -> list[dict[str, Any]]:
    if work.regions is None or not work.regions.ok:
        return []
    return [
        {
            "index": region.index,
            "name": region.name,
            "site": region.site,
            "side": region.side,
            "compartment": region.compartment,
        }
        for region in work.regions.table
    ]


def _write_regions(work: Work, tree: OutputTree) -> None:
    regions = work.need("regions")
    sidecar = {"Sources": _sources(work), "Atlas": "CerebrA grouped into MARS sites"}
    tree.write_volume("regions", work.scan, regions.labels, sidecar)
    columns = ["index", "name", "site", "side", "compartment"]
    tree.write_table("regions", work.scan.name, _region_rows(work), columns)


def _labels(work: Work) -> np.ndarray:
    if work.detection is None:
        return np.zeros(work.grid.shape, dtype=np.int32)
    return work.detection.labels


def _write_findings(work: Work, tree: OutputTree) -> list[dict[str, str]]:
    rows = [finding.row() for finding in work.detection.findings] if work.detection else []
    labels = _labels(work)
    counted = [int(row["index"]) for row in rows if row["counted"] == "1"]
    sources = {"Sources": _sources(work)}
    tree.write_volume("findings", work.scan, labels, {})
    tree.write_table("findings", work.scan.name, rows, list(CONTRACT.finding_columns))
    tree.write_findings_sidecar(work.scan, sources)
    mask = np.isin(labels, counted)
    tree.write_volume("microbleeds", work.scan, mask, {"Type": "Lesion"} | sources)
    return rows


def _pictured(work: Work) -> dict[str, Any]:
    regions = work.regions.labels if work.regions is not None and work.regions.ok else None
    return {
        "magnitude": work.echoes.magnitude[work.reading_echo],
        "swi": work.swi,
        "mip": work.mip,
        "chi": work.chi_ppm,
        "r2star": work.r2star,
        "local_field": work.local_field_ppm,
        "brain_mask": work.mask,
        "regions": regions,
    }
