"""A brain-like phantom made of formulas, and a report's data around it."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import ndimage

from petechia.core.grid import Grid
from petechia.report.data import ReportData

SITES = {
    "frontal": ("lobar", (28.0, 42.0, 22.0)),
    "parietal": ("lobar", (32.0, -38.0, 34.0)),
    "temporal": ("lobar", (46.0, -8.0, -18.0)),
    "occipital": ("lobar", (14.0, -66.0, 4.0)),
    "thalamus": ("deep", (10.0, -14.0, 8.0)),
    "basal_ganglia": ("deep", (22.0, 6.0, 2.0)),
    "cerebellum": ("infratentorial", (20.0, -54.0, -30.0)),
    "brainstem": ("infratentorial", (0.0, -22.0, -28.0)),
}
FITNESS = [
    ("main field", "ok", "3 T", "A usual field."),
    ("echo time", "ok", "TE 20 ms", "A usual echo time."),
    ("slices", "limited", "2 mm", "Thicker than 1.5 mm: small microbleeds may be averaged out."),
    ("handedness", "ok", "+1", "Veins and deep nuclei come out paramagnetic."),
    ("motion ghosting", "unknown", "", "No air beside the head to measure ghosts in."),
]


def affine_of(spacing, shape, axes=(0, 1, 2), signs=(1, 1, 1)):
    """Storage axis n runs along patient axis axes[n] with signs[n]; the middle is at 0."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for column, (axis, sign) in enumerate(zip(axes, signs, strict=True)):
        affine[axis, column] = sign * spacing[column]
    affine[:3, 3] = -affine[:3, :3] @ ((np.asarray(shape) - 1) / 2)
    return affine


def places_of(grid):
    """World x, y, z of every voxel [mm]."""
    index = np.indices(grid.shape, dtype=np.float32)
    return np.tensordot(grid.affine[:3, :3].astype(np.float32), index, 1) + grid.affine[
        :3, 3
    ].astype(np.float32).reshape(3, 1, 1, 1)


def ellipsoid(place, centre, radii):
    return sum(((axis - c) / r) ** 2 for axis, c, r in zip(place, centre, radii, strict=True))


def make_phantom(grid, lesions, seed=1):
    """Volumes of a formula brain: skull, cortex folds, ventricles, nuclei, veins, lesions."""
    rng = np.random.default_rng(seed)
    p = places_of(grid)
    head = ellipsoid(p, (0, -12, 0), (80, 100, 82)) < 1
    bone = ellipsoid(p, (0, -12, 0), (74, 93, 76)) < 1
    brain_r = ellipsoid(p, (0, -12, 4), (66, 84, 62))
    brain = (brain_r < 1) & ~((np.abs(p[0]) < 1.0) & (p[2] > 10) & (brain_r > 0.45))
    wave = np.sin(p[0] / 5 + 2 * np.sin(p[1] / 9)) * np.sin(p[1] / 6 + np.sin(p[2] / 8))
    cortex = brain_r + 0.12 * wave > 0.72
    csf = (brain_r + 0.1 * wave > 0.97) | (
        np.minimum(ellipsoid(p, (9, 2, 12), (5, 24, 7)), ellipsoid(p, (-9, 2, 12), (5, 24, 7))) < 1
    )
    magnitude = np.where(head, 160.0, 0.0)
    magnitude[bone & head] = 25
    magnitude[brain] = 205
    magnitude[brain & cortex] = 240
    magnitude[brain & csf] = 285
    chi = (
        np.where(brain, -0.02, 0.0)
        + np.where(brain & cortex, 0.04, 0)
        + np.where(csf & brain, 0.01, 0)
    )
    r2star = (
        np.where(brain, 21.0, 0) - np.where(brain & csf, 14, 0) - np.where(brain & cortex, 2, 0)
    )
    for side in (-1, 1):
        for centre, radii, ppm in (
            ((18 * side, 0, 0), (6, 9, 6), 0.15),
            ((26 * side, 4, 2), (6, 14, 9), 0.06),
            ((11 * side, 8, 14), (5, 12, 6), 0.05),
        ):
            inside = (ellipsoid(p, centre, radii) < 1) & brain
            chi[inside] = ppm
            r2star[inside] = 21 + 130 * ppm
            magnitude[inside] *= 1 - 1.2 * ppm
    for x in np.arange(-56, 60, 9):
        bend = x + 6 * np.sin(p[2] / 13 + x)
        vein = ((p[0] - bend) ** 2 + (p[1] - (20 * np.sin(x) - 10 + p[2] / 3)) ** 2 < 1.0) & brain
        chi[vein], r2star[vein] = 0.28, 55
        magnitude[vein] *= 0.6
    for row in lesions:
        centre = [float(row[f"{a}_mm"]) for a in "xyz"]
        radius = float(row["diameter_mm"]) / 2
        away = ellipsoid(p, centre, (1, 1, 1))
        blob = np.exp(-0.7 * away / radius**2)
        sign = -1 if row["sign"] == "diamagnetic" else 1
        magnitude *= 1 - 0.97 * np.minimum(1, 1.6 * blob)
        chi += sign * 0.5 * blob
        r2star += 90 * blob * (r2star > 0)
    field = ndimage.gaussian_filter(chi, 1.2) * 0.2 - ndimage.gaussian_filter(chi, 5) * 0.18
    noise = rng.normal(size=(4, *grid.shape)).astype(np.float32)
    magnitude = np.abs(magnitude + 5 * noise[0])
    chi = (chi + 0.012 * noise[1]) * brain
    swi = magnitude * np.clip(1 - 2.2 * np.maximum(chi, 0), 0, 1) ** 2
    size = [
        max(1, round(9 / s)) if n == grid.slice_axis else 1 for n, s in enumerate(grid.spacing_mm)
    ]
    regions = np.where(brain_r < 0.3, 2, 1) * brain
    regions[brain & (p[2] < -22) & (p[1] < -10)] = 3
    volumes = {
        "magnitude": magnitude,
        "swi": swi * brain,
        "mip": ndimage.minimum_filter(swi, size) * brain,
        "chi": chi,
        "r2star": (r2star + noise[2]) * brain,
        "local_field": (field + 0.002 * noise[3]) * brain,
    }
    volumes = {name: v.astype(np.float32) for name, v in volumes.items()}
    return {**volumes, "brain_mask": brain, "regions": regions.astype(np.int16)}


def finding(index, *, site="frontal", side="left", kind="microbleed", counted="1", **more):
    """One row with the contract's columns."""
    compartment, (x, y, z) = SITES[site]
    sign = {"left": -1, "right": 1, "midline": 0}[side]
    row = {
        "index": str(index), "name": f"{side} {site.replace('_', ' ')} {index}", "class": kind,
        "sign": "diamagnetic" if kind == "calcification" else "paramagnetic",
        "probability": "0.93", "counted": counted,
        "mars": "definite" if kind == "microbleed" else "n/a",
        "x_mm": f"{sign * x:.2f}", "y_mm": f"{y:.2f}", "z_mm": f"{z:.2f}",
        "volume_mm3": "31.0", "diameter_mm": "4.1", "moment_ppm_mm3": "2.31",
        "moment_se_ppm_mm3": "0.12", "chi_mean_ppm": "0.31", "side": side, "site": site,
        "compartment": compartment, "parenchyma_fraction": "0.97", "sphericity": "0.88",
        "margin_sharpness": "0.71", "homogeneity": "0.90",
        "evidence": "round, sharp, dipole of the field fits (R² 0.91); 97 % within parenchyma",
    }  # fmt: skip
    return {**row, **more}


def some_findings():
    """Six counted microbleeds and what was rejected."""
    return [
        finding(1, site="frontal", side="left"),
        finding(2, site="parietal", side="right", probability="0.88", diameter_mm="5.2"),
        finding(3, site="temporal", side="left", probability="0.74", mars="possible"),
        finding(4, site="thalamus", side="right", probability="0.97", diameter_mm="3.0"),
        finding(5, site="cerebellum", side="right", probability="0.66", mars="possible"),
        finding(6, site="brainstem", side="midline", probability="0.81"),
        finding(7, site="basal_ganglia", side="left", kind="calcification", counted="0",
                probability="0.04", moment_ppm_mm3="-1.80",
                evidence="diamagnetic: moment -1.80 +- 0.10 ppm mm3, 18 times its error"),
        finding(8, site="occipital", side="right", kind="vessel", counted="0", probability="0.12",
                x_mm="20.0", evidence="a tube: 11 mm long, 1.8 mm wide"),
        finding(9, site="parietal", side="left", kind="vessel", counted="0", probability="0.31",
                moment_ppm_mm3="n/a", moment_se_ppm_mm3="n/a", evidence="a tube: 7 mm long"),
        finding(10, site="occipital", side="left", kind="macrobleed", counted="0",
                probability="0.20", diameter_mm="13.4", evidence="13.4 mm is above 10 mm"),
    ]  # fmt: skip


def summary_of(findings, **more):
    """A summary that agrees with the findings."""
    counted = [row for row in findings if row["counted"] == "1"]

    def n(key, value):
        return sum(row[key] == value for row in counted)

    summary = {
        "version": "0.1.0",
        "contract_version": 1,
        "source": {"kind": "DICOM", "name": "DOE^JANE", "n_files": 320,
                   "phase_note": "Siemens 0..4095", "notes": ["2 repeated instances dropped"]},
        "protocol": {"b0_t": 3.0, "te_s": [0.004, 0.008, 0.012, 0.016, 0.02], "n_echoes": 5,
                     "phase": "absolute", "spacing_mm": [1.0, 1.0, 2.0], "shape": [256, 256, 80],
                     "oblique_deg": 0.0, "acquisition_type": "3D", "slice_thickness_mm": 2.0,
                     "slice_gap_mm": 0.0, "manufacturer": "Siemens", "model": "Prisma",
                     "sequence": "gre"},
        "fitness": [dict(zip(("check", "status", "value", "says"), f, strict=True)) for f in FITNESS],
        "reading_te_s": 0.02,
        "operating_point": {"name": "balanced", "threshold": 0.5},
        "counts": {"total": len(counted), "definite": n("mars", "definite"),
                   "possible": n("mars", "possible"), "left": n("side", "left"),
                   "right": n("side", "right"), "midline": n("side", "midline")},
        "count_interval_95": [len(counted) - 2, len(counted) + 1] if counted else [0, 1],
        "category": "mixed" if counted else "none",
        "count_bin": ">=5" if len(counted) > 4 else "1-4" if counted else "0",
        "criteria": {"mars": {}, "largest_diameter_mm": 5.2, "total_moment_ppm_mm3": 13.9},
        "not_assessable": [],
        "settings": {"preset": "standard", "inversion": "tv", "slab_mm": 9.0,
                     "mask": "/home/jane/mask.nii.gz",
                     "method_settings": {"tv": {"weight": 2e-4, "max_iterations": 80}}},
        "input_sha256": {f"DOE_JANE/IM{i:04d}": f"{i:064x}" for i in range(1, 41)},
        "software": {"petechia": "0.1.0", "python": "3.11.9", "numpy": "2.1.0"},
        "seconds": {"mask": 9.4, "unwrap": 12.1, "invert": 41.0, "detect": 15.3},
        "peak_memory_mb": {"mask": 1400, "unwrap": 2100, "invert": 3000, "detect": 1800},
        "model": {"name": "transparent rules", "calibrated": False,
                  "says": "Rules on measured features, not fitted to readers."},
        "warnings": [],
    }  # fmt: skip
    return {**summary, **more}


METHODS = (
    {"stage": "brain mask", "method": "shape model", "summary": "The mask is whole.", "doi": ""},
    {"stage": "unwrapping", "method": "romeo", "summary": "path by quality", "doi": "10.1002/mrm.28563"},
    {"stage": "background removal", "method": "vsharp", "summary": "spherical means of varying radius", "doi": "10.1016/j.neuroimage.2010.10.070"},
    {"stage": "dipole inversion", "method": "tv", "summary": "total variation by ADMM", "doi": "10.1002/mrm.25029"},
)  # fmt: skip


def make_data(shape=(59, 71, 43), spacing=(3.0, 3.0, 4.0), findings=None, **more):
    grid = Grid(shape, affine_of(spacing, shape))
    findings = some_findings() if findings is None else findings
    volumes = make_phantom(grid, findings)
    p = places_of(grid)
    labels = np.zeros(shape, np.int32)
    for row in findings:
        centre = [float(row[f"{a}_mm"]) for a in "xyz"]
        radius = max(float(row["diameter_mm"]) / 2, 0.6 * max(spacing))
        labels[ellipsoid(p, centre, (1, 1, 1)) <= radius**2] = int(row["index"])
    data = ReportData(
        prefix="sub-01_run-1",
        summary=summary_of(findings),
        findings=findings,
        labels=labels,
        volumes=volumes,
        grid=grid,
        methods=METHODS,
        region_table=[
            {"index": 1, "compartment": "lobar"},
            {"index": 2, "compartment": "deep"},
            {"index": 3, "compartment": "infratentorial"},
        ],
    )
    return replace(data, **more)


@pytest.fixture(scope="session")
def make():
    """The makers above, for tests that need other data."""
    return SimpleNamespace(
        data=make_data, finding=finding, findings=some_findings, summary=summary_of
    )


@pytest.fixture(scope="session")
def data():
    """A finished scan with findings of many kinds, on a coarse grid."""
    return make_data()
