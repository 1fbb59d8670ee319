"""A small output folder of one scan, oblique, whose table is measured from its labels."""

import json
import shutil
import uuid
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from petechia.core.grid import Grid
from petechia.files.finished import read_rows
from petechia.files.output import OutputTree
from petechia.files.scan import ScanName
from petechia.lesions.criteria import summarise
from petechia.lesions.findings import Finding
from petechia.pipeline.review.events import Event, added_key, checked
from petechia.pipeline.review.outline import Canvas
from petechia.pipeline.review.state import Outline, basis_of
from petechia.report.page import environment

SCAN = "sub-01_ses-2"
NAME = ScanName((("sub", "01"), ("ses", "2")))
FINGERPRINT = "f" * 64
SHAPE = (27, 25, 19)
KINDS = (
    ("microbleed", 0.99), ("microbleed", 0.80), ("microbleed", 0.55), ("vessel", 0.40),
    ("undetermined", 0.06), ("calcification", 0.02),
)  # fmt: skip
CENTRES = ((6, 6, 5), (12, 7, 9), (18, 8, 12), (8, 17, 10), (15, 18, 6), (20, 17, 9))


def oblique() -> Grid:
    turn = np.deg2rad(20.0)
    c, s = np.cos(turn), np.sin(turn)
    rotation = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    axes = np.array([[-1, 0, 0], [0, 0, 1], [0, 1, 0]]).T
    affine = np.eye(4)
    affine[:3, :3] = rotation @ axes * np.array([1.5, 1.0, 2.0])
    affine[:3, 3] = (11.0, -20.0, 7.0)
    return Grid(SHAPE, affine)


def label_volume(centres=CENTRES):
    labels = np.zeros(SHAPE, np.int32)
    for n, (i, j, k) in enumerate(centres, 1):
        labels[i - 1 : i + 2, j - 1 : j + 2, k] = n
    return labels


def findings_of(labels, grid, kinds=KINDS):
    canvas = Canvas(labels, grid)
    out = []
    for n, (kind, p) in enumerate(kinds, 1):
        micro = kind == "microbleed"
        out.append(
            Finding(
                index=n, name=f"{kind} {n}", class_=kind, sign="paramagnetic", probability=p,
                counted=micro and p > 0.5, mars="definite" if micro else "n/a",
                **canvas.measure(Outline(labels=(n,))), moment_ppm_mm3=2.0 + n,
                moment_se_ppm_mm3=0.2, chi_mean_ppm=0.3, side="left", site="frontal",
                compartment="lobar", parenchyma_fraction=0.9, sphericity=0.8,
                margin_sharpness=0.7, homogeneity=0.6, evidence="round; no tube",
            )
        )  # fmt: skip
    return out


def write_scan(tree, *, centres=CENTRES, kinds=KINDS, fingerprint=FINGERPRINT, name=NAME):
    grid = oblique()
    labels = label_volume(centres)
    findings = findings_of(labels, grid, kinds)
    sidecar = {"Sources": [], "Reference": "brain"}
    mask = np.zeros(SHAPE, bool)
    mask[2:-2, 2:-2, 1:-1] = True
    i, j, k = np.indices(SHAPE, dtype=np.float32)
    swi = (300 + 3 * i + 2 * j + k) * np.where(labels > 0, 0.3, 1.0)
    tree.write_volume("brain_mask", name, mask, grid, sidecar)
    tree.write_volume("swi", name, swi.astype(np.float32) * mask, grid, sidecar)
    tree.write_volume("findings", name, labels, grid, sidecar)
    rows = [f.row() for f in findings]
    tree.write_table("findings", name, rows, list(rows[0]))
    counted = [f.index for f in findings if f.counted]
    tree.write_volume("microbleeds", name, np.isin(labels, counted), grid, sidecar)
    tree.write_text("report", name, "<p>software</p>")
    tree.root.joinpath("logs").mkdir(exist_ok=True)
    tree.write_text("log", name, "log")
    summary = {
        "version": "0.1.0", "contract_version": 1,
        "source": {"kind": "BIDS", "name": name.prefix, "n_files": 0, "notes": []},
        "protocol": {
            "b0_t": 3.0, "te_s": [0.02], "n_echoes": 1, "phase": "absolute",
            "spacing_mm": grid.spacing_mm.tolist(), "shape": list(SHAPE),
        },
        "fitness": [], "reading_te_s": 0.02,
        "operating_point": {"name": "balanced", "threshold": 0.5},
        **summarise(findings, None, "not looked for", None),
        "not_assessable": [], "settings": {"slab_mm": 9.0}, "input_sha256": {},
        "fingerprint": fingerprint, "software": {}, "seconds": {}, "peak_memory_mb": {},
        "model": {"says": "calibrated"}, "warnings": [], "research_use_only": "Research use only.",
        "report": {"methods": [], "says": [], "language": "en"},
    }  # fmt: skip
    tree.write_json("summary", name, summary)


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    environment()
    tree = OutputTree(tmp_path_factory.mktemp("review") / "out")
    tree.write_dataset_description()
    write_scan(tree)
    return tree.root


@pytest.fixture
def output(written, tmp_path):
    return shutil.copytree(written, tmp_path / "out")


def read_summary_of(root):
    return json.loads(
        (root / "sub-01/ses-2/anat" / f"{SCAN}_desc-petechia_summary.json").read_text()
    )


def table_of(root):
    return read_rows(root / "sub-01/ses-2/anat" / f"{SCAN}_desc-findings_dseg.tsv")


@pytest.fixture(scope="session")
def basis(written):
    canvas = Canvas(label_volume(), oblique())
    return basis_of(read_summary_of(written), table_of(written), canvas.measure)


class Hand:
    """Makes events as readers would."""

    def __init__(self, reader="ann", log=None, round=1, fingerprint=FINGERPRINT):
        self.reader, self.log, self.round, self.fingerprint = reader, log, round, fingerprint
        self.events = []

    def __call__(self, kind, finding="", anchor=None, **payload):
        if "class_" in payload:
            payload["class"] = payload.pop("class_")
        if "with_" in payload:
            payload["with"] = payload.pop("with_")
        name = str(uuid.uuid4())
        event = Event(
            uuid=name, reader=self.reader, round=self.round, scan=SCAN,
            fingerprint=self.fingerprint, finding=added_key(name) if kind == "add" else finding,
            kind=kind, payload=payload, seconds=1.0, anchor=anchor or {},
        )  # fmt: skip
        if self.log is not None:
            event = self.log.append(event)
        else:
            event = replace(
                checked(event),
                id=Hand.next_id,
                at=f"2026-01-01T00:00:00.{Hand.next_id % 1000:03d}Z",
            )
            Hand.next_id += 1
        self.events.append(event)
        return event

    next_id = 1


@pytest.fixture
def hand_of():
    """Return the class whose instances make events as a reader would."""
    return Hand


@pytest.fixture
def scan_of():
    """Return the functions that write and read a scan of results."""
    return SimpleNamespace(
        name=NAME, prefix=SCAN, grid=oblique(), labels=label_volume(), centres=CENTRES, kinds=KINDS,
        write=write_scan, summary=read_summary_of, table=table_of,
    )  # fmt: skip
