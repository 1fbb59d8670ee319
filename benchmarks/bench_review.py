"""The reader's desk: time to list many scans, to the first image of a large one, of a decision.

usage: python benchmarks/bench_review.py OUTPUT WORK [--scans N]

OUTPUT is what `petechia run` (or `petechia demo`) wrote; its first scan's summary and table
are listed N times (10,000) under other names, and its volumes are brought to 256 x 256 x 160
voxels of noise, which packs worst. The whole command serves; times are those of a client on the
same machine.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
import uuid
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np

from petechia.core.grid import Grid
from petechia.files.finished import read_rows, read_summary
from petechia.files.output import OutputTree
from petechia.pipeline.review.queue import Queue, scan_name

SHAPE = (256, 256, 160)
START = "import sys; from petechia.apps.cli.main import entry; entry()"


def many(output: Path, work: Path, n: int) -> Path:
    """Make an output folder that lists one scan `n` times."""
    root = work / "many"
    if root.exists():
        return root
    tree = OutputTree(root)
    tree.write_dataset_description()
    summary = next(output.glob("sub-*/**/*_desc-petechia_summary.json"))
    name = scan_name(summary.name.removesuffix("_desc-petechia_summary.json"))
    table = OutputTree(output).table_path("findings", name)
    shutil.copy(summary, work / "summary.json")
    shutil.copy(table, work / "table.tsv")
    for number in range(n):
        new = scan_name(f"sub-{number:05d}")
        place = tree.path("summary", new)
        place.parent.mkdir(parents=True)
        os.link(work / "summary.json", place)
        os.link(work / "table.tsv", tree.table_path("findings", new))
    return root


def large(output: Path, work: Path) -> Path:
    """Make an output folder of one scan of `SHAPE`."""
    root = work / "large"
    if root.exists():
        return root
    tree = OutputTree(root)
    tree.write_dataset_description()
    summary = next(output.glob("sub-*/**/*_desc-petechia_summary.json"))
    name = scan_name(summary.name.removesuffix("_desc-petechia_summary.json"))
    grid = Grid.from_spacing(SHAPE, (0.9, 0.9, 1.0))
    rng = np.random.default_rng(1)
    mask = np.zeros(SHAPE, bool)
    mask[30:226, 25:235, 8:152] = True
    noise = rng.uniform(100, 900, SHAPE).astype(np.float32)
    sidecar = {"Sources": [], "Reference": "brain"}
    for key in ("swi", "mip", "chi", "r2star", "s0"):
        tree.write_volume(key, name, noise * mask if key != "swi" else noise, grid, sidecar)
    tree.write_volume("brain_mask", name, mask, grid, sidecar)
    rows = read_rows(OutputTree(output).table_path("findings", name))
    labels = np.zeros(SHAPE, np.int32)
    for row in rows:
        i, j, k = rng.integers(40, 140, 3)
        labels[i : i + 3, j : j + 3, k : k + 3] = int(row["index"])
    tree.write_volume("findings", name, labels, grid, sidecar)
    tree.write_table("findings", name, rows, list(rows[0]))
    tree.write_json("summary", name, dict(read_summary(summary)))
    return root


@contextmanager
def served(root: Path):
    """Serve a folder by the command; give a client with a session, and its headers."""
    words = [sys.executable, "-c", START, "review", str(root), "--no-browser", "--reader", "a"]
    begun = time.perf_counter()
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        said = ""
        while "Ctrl-C" not in said:
            said += process.stdout.readline()
        link = re.search(r"http://\S+", said).group()
        base, _, token = link.partition("/?token=")
        with httpx.Client(base_url=base, timeout=120) as client:
            client.get("/", params={"token": token})
            csrf = client.get("/api/session").json()["csrf"]
            client.headers |= {"x-csrf": csrf, "origin": base}
            print(f"{time.perf_counter() - begun:6.2f} s  from the command to the first answer")
            yield client
        process.terminate()


def timed(text: str, ask):
    """Print how long a question took; return the answer."""
    begun = time.perf_counter()
    answer = ask()
    print(f"{time.perf_counter() - begun:6.2f} s  {text}")
    return answer


def main() -> None:
    """Measure, and print one line for each time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--scans", type=int, default=10_000)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    root = many(args.output, args.work, args.scans)
    for cached in root.glob("review/index.json"):
        cached.unlink()
    timed(f"{args.scans} scans listed first", Queue(root, root / "review").refresh)
    timed("again, from the cache", Queue(root, root / "review").refresh)
    with served(root) as client:
        timed("first page of the queue", lambda: client.get("/api/scans"))
        timed("a search", lambda: client.get("/api/scans", params={"search": "77"}))
        timed("by count", lambda: client.get("/api/scans", params={"sort": "count"}))
    with served(large(args.output, args.work)) as client:
        scan = client.get("/api/scans").json()["scans"][0]["scan"]
        begun = time.perf_counter()
        told = timed(f"a scan of {SHAPE} opened", lambda: client.get(f"/api/scans/{scan}")).json()
        slab = f"/api/scans/{scan}/volumes/%s/%d?v={told['fingerprint']}"
        timed("first slab of the SWI", lambda: client.get(slab % ("swi", 4)))
        print(f"{time.perf_counter() - begun:6.2f} s  from the click to the first image")
        n = len(told["volumes"][1]["slabs"])
        timed("the rest of the SWI", lambda: [client.get(slab % ("swi", i)) for i in range(n)])
        timed("first slab of the QSM", lambda: client.get(slab % ("chi", 4)))
        timed("a slab of the outlines", lambda: client.get(f"/api/scans/{scan}/labels/4"))
        body = {"kind": "decide", "payload": {"verdict": "accept"}}
        body |= {"fingerprint": told["fingerprint"]}
        items = told["state"]["findings"][:50]
        begun = time.perf_counter()
        for item in items:
            event = body | {"uuid": str(uuid.uuid4()), "finding": item["key"]}
            assert client.post(f"/api/scans/{scan}/events", json=event).status_code == 200
        each = 1000 * (time.perf_counter() - begun) / len(items)
        print(f"{each:6.0f} ms a decision, of {len(told['state']['findings'])} findings")


if __name__ == "__main__":
    main()
