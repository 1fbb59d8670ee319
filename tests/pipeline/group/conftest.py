"""A made cohort: summaries and tables by the project's own writers, with effects that are known."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from petechia.anatomy.registration import Registration
from petechia.core.echoes import Echoes
from petechia.core.grid import Grid
from petechia.files.output import OutputTree
from petechia.files.scan import Header, Scan, ScanName
from petechia.lesions.detect import Detection
from petechia.lesions.findings import COLUMNS, EXTRA_COLUMNS, Finding
from petechia.pipeline.fitness.check import Check
from petechia.pipeline.provenance import Meter
from petechia.pipeline.settings import Settings
from petechia.pipeline.summary import build_summary
from petechia.pipeline.tree import finish_tree, prepare_tree
from petechia.pipeline.work import Work

GRID = Grid((6, 7, 5), np.diag([1.0, 1.0, 1.0, 1.0]))
TURN = np.array([[0.98, 0.1, 0, 3], [-0.1, 0.98, 0, -5], [0, 0, 1.02, 8], [0, 0, 0, 1.0]])
"""Scanner to template of every made scan."""
PLACES = {
    ("lobar", "frontal"): (35, 30, 30), ("lobar", "temporal"): (50, -20, -15),
    ("lobar", "occipital"): (25, -85, 10), ("deep", "thalamus"): (10, -18, 8),
    ("deep", "basal_ganglia"): (25, 2, 2), ("infratentorial", "cerebellum"): (20, -60, -38),
}  # fmt: skip
"""Where lesions of each site lie in the template, on the right."""
PROTOCOLS = {
    "three": {"b0_t": 3.0, "te": (0.005, 0.02), "phase": True, "thick": 1.0},
    "old": {"b0_t": 1.5, "te": (0.025,), "phase": False, "thick": 5.0},
}


@dataclass
class Made:
    """What a made scan is to hold."""

    name: ScanName
    sites: list = field(default_factory=list)
    protocol: str = "three"
    refused: str = ""
    extra: tuple = (0.3, 0.02)
    """Probabilities of findings that are not counted."""
    jitter: float = 6.0
    placed: bool = True
    sharp: float = 0.7


def scan_name(subject, session=None, acq=None):
    pairs = [("sub", subject), ("ses", session), ("acq", acq)]
    return ScanName(tuple(p for p in pairs if p[1] is not None))


def finding(index, made, site, rng, probability=0.97, counted=True):
    compartment, place = site
    x, y, z = PLACES[site]
    left = rng.random() < 0.5
    there = np.array([-x if left else x, y, z]) + rng.normal(0, made.jitter, 3)
    here = np.linalg.inv(TURN) @ [*there, 1.0]
    return Finding(
        index=index, name=f"microbleed {index}", class_="microbleed" if counted else "vessel",
        sign="paramagnetic", probability=probability, counted=counted,
        mars="definite" if counted else "n/a", x_mm=float(here[0]), y_mm=float(here[1]),
        z_mm=float(here[2]), volume_mm3=20.0, diameter_mm=3.4, moment_ppm_mm3=2.5,
        moment_se_ppm_mm3=0.3, chi_mean_ppm=0.2, side="left" if left else "right", site=place,
        compartment=compartment, parenchyma_fraction=0.9, sphericity=0.8,
        margin_sharpness=made.sharp, homogeneity=made.sharp, evidence="round",
    )  # fmt: skip


def work_of(made, rng):
    told = PROTOCOLS[made.protocol]
    n = len(told["te"])
    magnitude = np.ones((n, *GRID.shape), dtype=np.float32)
    echoes = Echoes(
        magnitude=magnitude,
        phase_rad=np.zeros_like(magnitude) if told["phase"] else None,
        te_s=told["te"], b0_t=told["b0_t"], grid=GRID,
    )  # fmt: skip
    header = Header(
        manufacturer="Petechia", model=made.protocol, acquisition_type="3D" if n > 1 else "2D",
        slice_thickness_mm=told["thick"],
    )  # fmt: skip
    scan = Scan(echoes=echoes, name=made.name, header=header, kind="BIDS", sources=())
    work = Work(scan=scan, settings=Settings.build())
    status = "refused" if made.refused else "ok"
    forbids = ("microbleeds",) if made.refused else ()
    work.checks = [
        Check(check="slices", status=status, value="x", says=made.refused or "Thin.",
              forbids=forbids)
    ]  # fmt: skip
    listed = [finding(i, made, site, rng) for i, site in enumerate(made.sites, 1)]
    for i, p in enumerate(made.extra, len(listed) + 1):
        listed.append(finding(i, made, ("lobar", "frontal"), rng, p, counted=False))
    labels = np.zeros(GRID.shape, dtype=np.int32)
    work.detection = Detection(findings=tuple(listed), labels=labels, says=())
    if made.placed:
        work.registration = Registration(
            matrix=TURN, scan_grid=GRID, template_grid=GRID, quality=0.8, ok=True, says=""
        )
        work.regions = SimpleNamespace(ok=True)
    return work


def write_made(root: Path, scans, seed=0) -> Path:
    """Write an output folder of made scans."""
    rng = np.random.default_rng(seed)
    prepare_tree(root, None)
    tree = OutputTree(root)
    provenance = {"fingerprint": "f" * 64, "software": {"petechia": "0"}}
    for made in scans:
        work = work_of(made, rng)
        rows = [f.row() for f in work.detection.findings]
        tree.write_table("findings", made.name, rows, [*COLUMNS, *EXTRA_COLUMNS])
        tree.write_json("summary", made.name, build_summary(work, Meter(), provenance))
    finish_tree(root)
    return root


def crash(root: Path, prefix: str, message="a truncated file"):
    path = root / "logs" / f"{prefix}_crash.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"scan": prefix, "stage": "read", "message": message}))


@dataclass
class Cohort:
    """A made cohort on disk, and what is true of it."""

    output: Path
    participants: Path
    per_decade: float
    hypertension: float


def people_with_effects(n, seed, per_decade=1.5, hypertension=2.2, shape=1.5):
    """Return rows of people and their made scans: counts are negative binomial."""
    rng = np.random.default_rng(seed)
    people, scans = [], []
    sites = list(PLACES)
    for i in range(n):
        age, high = float(rng.uniform(45, 90)), bool(rng.random() < 0.45)
        protocol = "old" if rng.random() < 0.4 else "three"
        mean = 0.9 * per_decade ** ((age - 68) / 10) * hypertension**high
        mean *= 0.6 if protocol == "old" else 1.0
        count = int(rng.poisson(rng.gamma(shape, mean / shape)))
        weights = np.array([3, 2, 1, 2 * (1 + high), 2 * (1 + high), 1.0])
        drawn = rng.choice(len(sites), size=count, p=weights / weights.sum())
        label = f"{i + 1:03d}"
        people.append(
            {
                "participant_id": f"sub-{label}",
                "age": f"{age:.1f}",
                "sex": "F" if rng.random() < 0.5 else "M",
                "hypertension": "yes" if high else "no",
                "homocysteine": "n/a" if rng.random() < 0.1 else f"{rng.normal(13, 3):.1f}",
                "neutrophils": f"{rng.uniform(2, 8):.2f}",
                "lymphocytes": f"{rng.uniform(1, 3):.2f}",
                "remark": f"told by nobody {i}",
            }
        )
        scans.append(Made(scan_name(label), [sites[d] for d in drawn], protocol))
    return people, scans


def write_people(path: Path, people) -> Path:
    names = list(people[0])
    lines = ["\t".join(names), *("\t".join(str(row[n]) for n in names) for row in people)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def cohort(tmp_path_factory) -> Cohort:
    """Return 160 people: a decade of age and hypertension raise the count by known ratios."""
    root = tmp_path_factory.mktemp("cohort")
    people, scans = people_with_effects(160, seed=4)
    scans[3].refused = "7 mm slices: microbleeds cannot be told."
    output = write_made(root / "out", scans)
    crash(output, "sub-900")
    return Cohort(output, write_people(root / "raw" / "participants.tsv", people), 1.5, 2.2)


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    """Return what makes output folders and tables of people."""
    return SimpleNamespace(
        scan=lambda name, sites=(), **more: Made(name, list(sites), **more),
        name=scan_name, write=write_made, people=write_people, crash=crash,
        with_effects=people_with_effects, places=PLACES, turn=TURN,
    )  # fmt: skip
