"""From a finished `Work` to files: volumes, tables, summary, report."""

from pathlib import Path
from typing import Any

import numpy as np

from petechia.files import writing
from petechia.files.contract import contract, place
from petechia.files.output import OutputTree, source_uris
from petechia.files.scan import ScanName
from petechia.pipeline.provenance import Meter
from petechia.pipeline.referenced import reference_note
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
    summary |= {"image_sha256": provenance["image_sha256"]}
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
            language=work.language,
            region_table=_region_rows(work),
        )
    )
    tree.write_text("report", work.scan.name, page)
    tree.write_json("summary", work.scan.name, summary)
    return summary


def _sources(work: Work) -> dict[str, Any]:
    """Return the images a result was made from, as its sidecar names them."""
    return {"Sources": [uri for uri in source_uris(work.scan) if not uri.endswith(".json")]}


def _write_maps(work: Work, tree: OutputTree, keys: set[str]) -> None:
    maps: dict[str, tuple[Any, dict[str, Any]]] = {
        "brain_mask": (work.mask, {}),
        "chi": (work.chi_ppm, reference_note(work)),
        "chi_noise": (work.chi_noise_ppm, {}),
        "local_field": (work.local_field_ppm, {}),
        "r2star": (work.r2star, {"SkullStripped": True}),
        "t2star": (work.t2star_s, {"SkullStripped": True}),
        "s0": (work.s0, {"SkullStripped": True}),
        "swi": (work.swi, {}),
        "mip": (work.mip, {"SkullStripped": True, "SlabThickness": work.settings.slab_mm}),
    }
    name = work.scan.name
    for key, (volume, sidecar) in maps.items():
        if key not in keys:
            continue
        if volume is None:  # a map of an earlier run with other settings must not stay
            tree.path(key, name).unlink(missing_ok=True)
            tree.sidecar_path(key, name).unlink(missing_ok=True)
        else:
            tree.write_volume(key, name, volume, work.scan, sidecar | _sources(work))


INTERMEDIATE = "intermediate"
"""Folder of a subject or session for what BIDS has no names for."""

INTERMEDIATES = {
    "unwrapped": ("unwrapped_rad", "rad"),
    "totalfield": ("total_field_ppm", "ppm"),
    "residual": ("field_residual_rad", "rad"),
    "fieldnoise": ("field_noise_ppm", "ppm"),
    "highpass": ("highpass_rad", "rad"),
}
"""Files `intermediate/<p>_desc-<name>.nii.gz`: attribute of `Work`, units."""


def intermediates_of(tree: OutputTree, name: ScanName) -> list[Path]:
    """Return the intermediates of a scan that are there, images and sidecars."""
    folder = tree.root / name.folder.removesuffix("anat") / INTERMEDIATE
    return sorted(folder.glob(f"{name.prefix}_desc-*"))


def _write_intermediates(work: Work, tree: OutputTree) -> None:
    for desc, (attribute, units) in INTERMEDIATES.items():
        volume = getattr(work, attribute)
        if volume is None:
            continue
        stem = f"{work.scan.name.folder.removesuffix('anat')}{INTERMEDIATE}/<p>_desc-{desc}"
        path = tree.root / place(f"OUTPUT/{stem}.nii.gz", work.scan.name)
        writing.write_nifti(path, volume, work.grid, work.scan.nifti_header)
        sidecar = path.with_name(path.name.replace(".nii.gz", ".json"))
        writing.write_json(sidecar, {"Units": units} | _sources(work))


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
    atlas = {"Atlas": "CerebrA grouped into MARS sites"}
    labels = work.need("regions").labels
    tree.write_volume("regions", work.scan.name, labels, work.scan, atlas | _sources(work))
    tree.write_table("regions", work.scan.name, _region_rows(work))


def _labels(work: Work) -> np.ndarray:
    if work.detection is None:
        return np.zeros(work.grid.shape, dtype=np.int32)
    return work.detection.labels


def _write_findings(work: Work, tree: OutputTree) -> list[dict[str, str]]:
    rows = [finding.row() for finding in work.detection.findings] if work.detection else []
    name, labels = work.scan.name, _labels(work)
    counted = [int(row["index"]) for row in rows if row["counted"] == "1"]
    more = [column for column in (rows[0] if rows else {}) if column not in _promised()]
    tree.write_volume("findings", name, labels, work.scan, _sources(work))
    tree.write_table("findings", name, rows, [*_promised(), *more])
    tree.write_volume("microbleeds", name, np.isin(labels, counted), work.scan, _sources(work))
    return rows


def _promised() -> tuple[str, ...]:
    return contract().finding_columns


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
