"""Time to list a large dataset and to write the index page of a large output folder.

usage: python benchmarks/bench_index.py [--subjects 10000] [--echoes 4] [--place DIR]

Makes a BIDS tree of empty images (`part-mag` and `part-phase` of each echo, with sidecars)
and a tree of summaries as `petechia run` leaves them, in DIR or a temporary folder, and
removes both. Three times are told: `find_scans` (what `petechia run` does before anything
else), the check of fingerprints is not among them, for it hashes images; `finish_tree` (the
index page); and `prepare_tree` (what is left of killed runs is looked for).
"""

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from petechia.files.find import find_scans
from petechia.files.output import OutputTree
from petechia.pipeline.tree import finish_tree, prepare_tree

SIDECAR = json.dumps({"EchoTime": 0.02, "MagneticFieldStrength": 3})
SUMMARY = {
    "counts": {"total": 2, "definite": 1, "possible": 1, "lobar": 2, "deep": 0,
               "infratentorial": 0, "left": 1, "right": 1},
    "category": "strictly_lobar",
    "count_bin": "2-4",
    "not_assessable": [],
}  # fmt: skip


def main() -> None:
    """Make, time, print, remove."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subjects", type=int, default=10_000)
    parser.add_argument("--echoes", type=int, default=4)
    parser.add_argument("--place", type=Path)
    args = parser.parse_args()
    work = Path(tempfile.mkdtemp(dir=args.place))
    try:
        raw, out = work / "raw", work / "out"
        images = make_raw(raw, args.subjects, args.echoes)
        print(f"{args.subjects} subjects, {images} images")
        refs = timed("find_scans", lambda: find_scans(raw))
        OutputTree(out).write_dataset_description(raw, ())
        for ref in refs:
            summary = {**SUMMARY, "source": {"name": ref.name.prefix}}
            path = out / ref.name.folder / f"{ref.name.prefix}_desc-petechia_summary.json"
            path.parent.mkdir(parents=True)
            path.write_text(json.dumps(summary), encoding="utf-8")
        timed("prepare_tree", lambda: prepare_tree(out, raw))
        timed("finish_tree", lambda: finish_tree(out))
    finally:
        shutil.rmtree(work)


def timed(name: str, call: Callable[[], Any]) -> Any:
    """Print wall and processor time of a call; return what it returns."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = call()
    print(f"{name}: {time.perf_counter() - wall:.1f} s, {time.process_time() - cpu:.1f} s of CPU")
    return result


def make_raw(raw: Path, n_subjects: int, n_echoes: int) -> int:
    """Write the tree; return how many images it holds."""
    raw.mkdir(parents=True)
    (raw / "dataset_description.json").write_text('{"Name": "n", "BIDSVersion": "1.10.0"}')
    n = 0
    for subject in range(n_subjects):
        folder = raw / f"sub-{subject:05d}" / "anat"
        folder.mkdir(parents=True)
        for echo in range(1, n_echoes + 1):
            for part in ("mag", "phase"):
                stem = f"sub-{subject:05d}_echo-{echo}_part-{part}_MEGRE"
                (folder / f"{stem}.nii.gz").touch()
                (folder / f"{stem}.json").write_text(SIDECAR)
                n += 1
    return n


if __name__ == "__main__":
    main()
