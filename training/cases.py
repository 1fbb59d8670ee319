"""Turn cases that `validation/detection.py` keeps into examples, beside those of `examples.py`.

usage: python training/cases.py WORK INPUTS ...

They are people as `petechia simulate` makes them, by named protocols. Each is looked at as it is,
once more without its phase if it has one, and twice more in thick slices if its own are thin.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from contrast import of_case
from examples import VARIANTS, examples_of, make_merged, write
from kept import Kept
from measures import MERGED_LOOKS
from merged import OF_PHASE
from orders import Orders

from petechia.anatomy.tracking import track_veins
from petechia.assets.store import load_arrays
from petechia.lesions.features import pipeline_hash
from petechia.lesions.inputs import LesionInputs
from petechia.lesions.look import look
from petechia.lesions.params import DetectParams
from petechia.lesions.slices import is_thick
from petechia.pipeline.provenance import threads
from petechia.simulate.atlas import atlas_from
from petechia.simulate.protocols import PROTOCOLS

sys.path.insert(0, str(Path(__file__).parents[1] / "validation"))
from detection import Case, load


def kept_of(case: Case) -> Kept:
    """Return a case of `validation/detection.py` as a scan of `heads.py`, as far as it is asked.

    It keeps no veins: what is no lesion and not at the edge has no name of its own.
    """
    lesions = [{**row, "index": n} for n, row in enumerate(case.lesions, start=1)]
    none = np.zeros(case.inputs.grid.shape, dtype=np.float32)
    arrays = {
        "truth_labels": case.labels, "brain_mask": case.inputs.brain_mask,
        "truth_brain": case.inputs.brain_mask, "truth_veins": none,
    }  # fmt: skip
    facts = {
        "lesions": lesions, "b0_t": case.inputs.b0_t, "reading_te_s": case.inputs.reading_te_s,
    }  # fmt: skip
    return Kept(facts, arrays, case.inputs.grid)


def named(path: Path) -> tuple[str, str]:
    """Return the protocol and the seed of a case by its name."""
    name, _, seed = path.stem.rpartition("_")
    protocol = name.removesuffix("-clean")
    if protocol not in PROTOCOLS:
        raise SystemExit(f"{path}: no case <protocol>[-clean]_<seed>.npz of a named protocol")
    return protocol, seed


def person_of(path: Path) -> str:
    """Return who a case is."""
    return f"case-{named(path)[1]}"


def without_phase(inputs: LesionInputs) -> LesionInputs:
    """Return what the detector would be given of a scan had its phase not been stored."""
    dark = inputs.magnitude
    veins = track_veins(None, dark, inputs.brain_mask, inputs.grid)
    return replace(
        inputs,
        **dict.fromkeys(OF_PHASE),
        sign_trusted=False,
        vessel=veins.likeness,
        vein_length_mm=veins.length_mm,
    )


def make_cases(work: Path, folders: Sequence[Path]) -> Iterator[str]:
    """Look at the cases in each way that they were not looked at; yield what was."""
    out = work / f"examples_{pipeline_hash()}"
    out.mkdir(parents=True, exist_ok=True)
    atlas, orders = atlas_from(load_arrays("template")), Orders.read(work)
    paths = [p for folder in folders for p in sorted(folder.glob("*.npz"))]
    if len({p.name for p in paths}) < len(paths):
        raise SystemExit(f"{[str(f) for f in folders]}: cases of one name in two folders")
    for path in paths:
        ways, thicks = (
            {name: out / f"case_{path.stem}.{name}.npz" for name in looks}
            for looks in (VARIANTS, MERGED_LOOKS)
        )
        if ".part" in path.name:
            continue
        protocol, seed = named(path)
        if not PROTOCOLS[protocol].phase:
            del ways["no_phase"]
        if is_thick(max(PROTOCOLS[protocol].spacing_mm)):
            thicks = {}
        if all(at.exists() for at in (ways | thicks).values()):
            continue
        facts = {
            "person": person_of(path), "protocol": protocol,
            "te_s": PROTOCOLS[protocol].te_s,
        }  # fmt: skip
        case = load(path)
        kept = kept_of(case)
        for variant, at in ways.items():
            if at.exists():
                continue
            inputs = without_phase(case.inputs) if variant == "no_phase" else case.inputs
            order = orders.of(kept.grid, person_of(path))
            made = examples_of(kept, look(inputs, DetectParams(), order))
            write(at, made, kept, variant=variant, scan=path.stem, orders=orders.digest, **facts)
            yield f"{at.name}: {len(made['label'])} described"
        if any(not at.exists() for at in thicks.values()):
            lying, outs = of_case(protocol, int(seed), atlas), list(thicks.values())
            yield from make_merged(
                case.inputs, kept, outs, path.stem, lying, atlas, orders, **facts
            )


def main() -> None:
    """Make what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("inputs", type=Path, nargs="+")
    args = parser.parse_args()
    with threads(1):
        for text in make_cases(args.work, args.inputs):
            print(text, flush=True)


if __name__ == "__main__":
    main()
