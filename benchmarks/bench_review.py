"""The reader's desk: time to list many scans, to the first image of a large one, of a decision.

usage: python benchmarks/bench_review.py OUTPUT WORK [--scans N]

OUTPUT is what `petechia run` (or `petechia demo`) wrote; its first scan's summary and table
are listed N times (10,000) under other names, and its volumes are brought to 256 x 256 x 160
voxels of noise, which packs worst, with five echoes of the same as its images. The whole command
serves, started anew for the large scan; times are those of a client on the same machine, which
asks for what the page asks for, in its order. "processor" is what the server used meanwhile: on a
machine that others use, the clock tells more of them.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np

from petechia.core.echoes import Echoes
from petechia.core.grid import Grid
from petechia.files.finished import read_rows, read_summary
from petechia.files.nifti import sha256_of
from petechia.files.output import OutputTree
from petechia.files.raw_bids import write_dataset, write_raw_scan
from petechia.files.scan import Header
from petechia.pipeline.review.events import added_key
from petechia.pipeline.review.queue import Queue, scan_name

SHAPE, SPACING_MM = (256, 256, 160), (0.9, 0.9, 1.0)
TE_S = (0.006, 0.012, 0.018, 0.024, 0.030)
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


def large(output: Path, work: Path) -> tuple[Path, Path]:
    """Make an output folder of one scan of `SHAPE`, and the images it might be of."""
    root, raw = work / "large", work / "large_raw"
    if root.exists():
        return root, raw
    tree = OutputTree(root)
    tree.write_dataset_description()
    summary = next(output.glob("sub-*/**/*_desc-petechia_summary.json"))
    name = scan_name(summary.name.removesuffix("_desc-petechia_summary.json"))
    grid = Grid.from_spacing(SHAPE, SPACING_MM)
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
    write_dataset(raw, [{"participant_id": f"sub-{name.get('sub')}"}], name="Raw")
    decay = np.exp(-np.array(TE_S, np.float32) / 0.04)[:, None, None, None]
    echoes = Echoes(magnitude=noise * decay, te_s=TE_S, b0_t=3.0, grid=grid)
    write_raw_scan(raw, name, echoes, Header())
    told = dict(read_summary(summary))
    protocol = {"te_s": list(TE_S), "n_echoes": len(TE_S), "shape": list(SHAPE)}
    told["protocol"] = dict(told["protocol"]) | protocol
    told["reading_te_s"] = TE_S[2]
    told["input_sha256"] = {path.name: sha256_of(path) for path in raw.rglob("*.nii.gz")}
    tree.write_json("summary", name, told)
    return root, raw


@contextmanager
def served(root: Path, *more: str):
    """Serve a folder by the command; give a client with a session, and the processor's seconds."""
    words = [sys.executable, "-c", START, "review", str(root), "--no-browser", "--reader", "a"]
    words += more
    begun = time.perf_counter()
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            said = ""
            while "token=" not in said:
                said += process.stdout.readline()
            link = re.search(r"http://\S+", said).group()
            base, _, token = link.partition("/?token=")
            with httpx.Client(base_url=base, timeout=120) as client:
                client.get("/", params={"token": token})
                csrf = client.get("/api/session").json()["csrf"]
                client.headers.update({"x-csrf": csrf, "origin": base})
                print(f"{time.perf_counter() - begun:6.2f} s  from the command to the first answer")
                yield client, lambda: busy_s(process.pid)
        finally:
            process.terminate()


def busy_s(pid: int) -> float:
    """Return the seconds of processor that a process has used (Linux)."""
    told = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")


def timed(text: str, ask):
    """Print how long a question took; return the answer."""
    begun = time.perf_counter()
    answer = ask()
    print(f"{time.perf_counter() - begun:6.2f} s  {text}")
    return answer


def rest(busy) -> None:
    """Wait until the server has done what it does ahead of its reader."""
    before = -1.0
    while busy() - before > 0.02:
        before = busy()
        time.sleep(1)


def first_image(client, busy) -> dict:
    """Open a scan that the server knows nothing of, as the page does; print until when."""
    scan = client.get("/api/scans?search=sub").json()["scans"][0]["scan"]
    begun, used = time.perf_counter(), busy()

    def said(text: str) -> None:
        seconds, processor = time.perf_counter() - begun, busy() - used
        print(f"{seconds:6.2f} s  from the click to {text} (processor {processor:.2f} s)")

    told = client.get(f"/api/scans/{scan}").json()
    said(f"the list of findings, of {SHAPE}")
    version = {volume["name"]: volume["version"] for volume in told["volumes"]}
    shown = ["magnitude_3", "swi", "mip", "chi", "r2star"]
    with ThreadPoolExecutor(4) as line:  # the page asks for four at once
        asked = {
            line.submit(client.get, f"/api/scans/{scan}/volumes/{name}/4?v={version[name]}"): name
            for name in shown
        }
        for n, done in enumerate(as_completed(asked)):
            assert done.result().status_code == 200, done.result().text
            said(f"{'the first image' if n == 0 else 'another image'}: {asked[done]}")
    return told


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
    with served(root) as (client, _):
        timed("first page of the queue", lambda: client.get("/api/scans"))
        timed("a search", lambda: client.get("/api/scans", params={"search": "77"}))
        timed("by count", lambda: client.get("/api/scans", params={"sort": "count"}))
    root, raw = large(args.output, args.work)
    with served(root, "--images", str(raw)) as (client, busy):
        told = first_image(client, busy)
        scan, fingerprint = told["scan"], told["fingerprint"]
        slab = f"/api/scans/{scan}/volumes/%s/%d?v={fingerprint}"
        n = len(told["volumes"][1]["slabs"])
        timed("the rest of the SWI", lambda: [client.get(slab % ("swi", i)) for i in range(n)])
        timed("another echo", lambda: client.get(slab % ("magnitude_5", 4)))
        timed("a slab of the outlines", lambda: client.get(f"/api/scans/{scan}/labels/4"))
        body = {"kind": "decide", "payload": {"verdict": "accept"}} | {"fingerprint": fingerprint}
        items = told["state"]["findings"][:50]
        begun = time.perf_counter()
        for item in items:
            event = body | {"uuid": str(uuid.uuid4()), "finding": item["key"]}
            assert client.post(f"/api/scans/{scan}/events", json=event).status_code == 200
        each = 1000 * (time.perf_counter() - begun) / len(items)
        print(f"{each:6.0f} ms a decision, of {len(told['state']['findings'])} findings")
        rest(busy)
        inside = Grid.from_spacing(SHAPE, SPACING_MM).to_mm(np.array(SHAPE) // 2).tolist()
        place = dict(zip(("x_mm", "y_mm", "z_mm"), inside, strict=True))
        new = str(uuid.uuid4())
        event = body | {"uuid": new, "finding": added_key(new), "kind": "add"}
        event |= {"payload": place | {"class": "microbleed"}}
        answer = timed(
            "the first finding added by a click",
            lambda: client.post(f"/api/scans/{scan}/events", json=event),
        )
        assert answer.status_code == 200, answer.text


if __name__ == "__main__":
    main()
