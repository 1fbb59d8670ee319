"""An output folder against the contract, as an outside reader would check it."""

import csv
import json
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from petechia.files.contract import contract

MACHINE = re.compile(r"(?:/(?:home|root|tmp|mnt|srv|Users|var)/|[A-Z]:\\\\)[\w./-]+")


@pytest.fixture
def departures():
    """Return the places where an output folder departs from the contract; [] is right."""
    return contract_departures


def contract_departures(out: Path) -> list[str]:
    """Check names, grids, tables, labels, sidecars and summary of every scan below `out`."""
    said = [f"no {name}" for name in ("dataset_description.json", "index.html", ".bidsignore")
            if not (out / name).is_file()]  # fmt: skip
    summaries = sorted(out.glob("sub-*/**/*_desc-petechia_summary.json"))
    for path in summaries or [None]:
        said += _of_scan(path, out) if path else ["no scan at all"]
    for path in [
        p for kind in ("json", "tsv", "html", "log", "md") for p in out.rglob(f"*.{kind}")
    ]:
        found = MACHINE.search(path.read_text(encoding="utf-8"))
        if found:
            said.append(f"{path.name} names a place of the machine: {found[0]}")
    return said + [f"half-written {path}" for path in out.rglob("*.part")]


def _of_scan(path: Path, out: Path) -> list[str]:
    prefix = path.name.removesuffix("_desc-petechia_summary.json")
    promised = contract()

    def at(key: str) -> Path:
        name = promised.file(key).name.replace("<p>", prefix)
        return out / name.removeprefix("OUTPUT/") if "OUTPUT/" in name else path.parent / name

    summary = json.loads(path.read_text(encoding="utf-8"))
    said = [f"summary lacks {key}" for key in promised.summary_keys if key not in summary]
    always = ("brain_mask", "findings", "microbleeds", "report", "log")
    said += [f"no {at(key).name}" for key in always if not at(key).is_file()]
    images = {key: nib.load(at(key)) for key, file in promised.files.items()
              if file.is_image and at(key).is_file()}  # fmt: skip
    labels = images["findings"]
    for key, image in images.items():
        if image.shape != labels.shape or not np.array_equal(image.affine, labels.affine):
            said.append(f"{key} lies on another grid")
        said += _sidecar(key, at(key), image)
    table = at("findings").with_name(at("findings").name.replace(".nii.gz", ".tsv"))
    rows = list(csv.DictReader(table.read_text("utf-8").splitlines(), delimiter="\t"))
    value, mask = np.asarray(labels.dataobj), np.asarray(images["microbleeds"].dataobj)
    return said + _table(rows, value, mask, labels.affine) + _counts(summary, rows)


def _sidecar(key: str, path: Path, image: nib.Nifti1Image) -> list[str]:
    file = contract().file(key)
    beside = path.with_name(path.name.replace(".nii.gz", ".json"))
    if not beside.is_file():
        return [f"{key} has no sidecar"]
    facts = json.loads(beside.read_text(encoding="utf-8"))
    said = [f"sidecar of {key} lacks {name}" for name in file.sidecar if name not in facts]
    if file.units and facts.get("Units") != file.units:
        said.append(f"Units of {key} are {facts.get('Units')!r}")
    if not np.isfinite(np.asarray(image.dataobj)).all():
        said.append(f"{key} is not finite")
    return said


def _table(rows, value, mask, affine) -> list[str]:
    words, said = contract().words, []
    if rows and tuple(rows[0])[: len(contract().finding_columns)] != contract().finding_columns:
        said.append("the columns are others")
    if {int(row["index"]) for row in rows} != set(np.unique(value).tolist()) - {0}:
        said.append("labels and table hold different findings")
    counted = [int(row["index"]) for row in rows if row["counted"] == "1"]
    if not np.array_equal(np.isin(value, counted), mask > 0):
        said.append("the microbleed mask is not the union of what is counted")
    for row in rows:
        who = f"finding {row['index']}"
        said += [f"{who}: {key} is {row[key]!r}" for key, allowed in words.items()
                 if row[key] not in allowed]  # fmt: skip
        if row["counted"] == "1" and row["class"] != "microbleed":
            said.append(f"{who} is counted, a {row['class']}")
        if row["class"] == "microbleed" and float(row["diameter_mm"]) > 10:
            said.append(f"{who}: a microbleed of {row['diameter_mm']} mm")
        chance = row["probability"].replace("n/a", "0")  # what only a reader saw has none
        if not 0 <= float(chance) <= 1 or len(row["evidence"]) < 5:
            said.append(f"{who}: probability {row['probability']}, evidence {row['evidence']!r}")
        voxels = np.argwhere(value == int(row["index"]))
        centre = nib.affines.apply_affine(affine, voxels.mean(0))
        told = [float(row[key]) for key in ("x_mm", "y_mm", "z_mm")]
        volume = len(voxels) * abs(np.linalg.det(affine[:3, :3]))
        if np.linalg.norm(centre - told) > 0.1:
            said.append(f"{who} lies at {centre}, the table says {told}")
        if abs(volume - float(row["volume_mm3"])) > 0.02 * volume + 0.1:
            said.append(f"{who} has {volume} mm3, the table says {row['volume_mm3']}")
    return said


def _counts(summary, rows) -> list[str]:
    counted = [row for row in rows if row["counted"] == "1"]
    told = {
        "total": len(counted),
        "definite": sum(row["mars"] == "definite" for row in counted),
        "possible": sum(row["mars"] == "possible" for row in counted),
        "left": sum(row["side"] == "left" for row in counted),
        "right": sum(row["side"] == "right" for row in counted),
    }
    return [
        f"the summary counts {key} {summary['counts'][key]}, the table {number}"
        for key, number in told.items()
        if summary["counts"][key] != number
    ]


@pytest.fixture(scope="session")
def bids_errors():
    """Return the errors that the BIDS validator finds in a dataset."""
    validator = shutil.which("bids-validator-deno", path=sysconfig.get_path("scripts"))
    if validator is None:
        pytest.skip("no bids-validator-deno (it comes with the extra `test`)")

    def check(dataset: Path) -> list[str]:
        done = subprocess.run(
            [validator, str(dataset), "--format", "json"], capture_output=True, text=True
        )
        issues = json.loads(done.stdout)["issues"]["issues"]
        return [
            f"{issue['code']} {issue.get('subCode', '')} {issue.get('location', '')}"
            for issue in issues
            if issue.get("severity") == "error"
        ]

    return check
