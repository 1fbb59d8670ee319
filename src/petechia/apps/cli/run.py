"""`petechia run`: from a scanner's files to a report."""

import argparse
import os
import sys
from collections.abc import Callable, Iterable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from petechia.apps.cli.words import LEVELS, LIST, count, items, numbers
from petechia.errors import FileError, OutputError, ParameterError

if TYPE_CHECKING:
    from rich.progress import Progress

    from petechia.files.scan import ScanRef
    from petechia.pipeline.run import Outcome


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the words of this command."""
    add = parser.add_argument
    add("input", nargs="?", type=Path, help="BIDS dataset; DICOM folder, file or zip; NIfTI folder")
    add("output", nargs="?", type=Path, help="folder for the results")
    add("level", nargs="?", help="'participant', as BIDS Apps are called")
    add("--participant-label", action=LIST, metavar="L", help="only these participants")
    add("--session-label", action=LIST, metavar="L", help="only these sessions")
    add("--subject", metavar="S", help="name for DICOM and loose NIfTI (01)")
    files = parser.add_argument_group("files named one by one, instead of INPUT and OUTPUT")
    files.add_argument("--mag", action=LIST, metavar="F", help="magnitude, one per echo or 4-D")
    files.add_argument("--phase", action=LIST, metavar="F", help="phase, likewise")
    files.add_argument("--te", action=LIST, metavar="S", help="echo times [s] (else from JSON)")
    files.add_argument("--b0", type=float, metavar="T", help="main field [T] (else from JSON)")
    files.add_argument("--out", type=Path, metavar="DIR", help="folder for the results")
    add("--phase-scale", type=float, metavar="K", help="phase times K is radians")
    add("--phase-sign", choices=["auto", "+1", "-1"], help="handedness of the phase (auto)")
    add("--config", type=Path, metavar="FILE", help="settings.toml")
    add("--preset", help="fast, standard or best (standard)")
    add("--operating-point", help="screening, balanced or counting (balanced)")
    add("--calibration", metavar="FILE", help="probabilities and thresholds of your own site")
    add("--mask", type=Path, metavar="FILE", help="your own brain mask, on the scan's grid")
    add("--field", type=Path, metavar="FILE", help="your own total field (ppm, or Hz by sidecar)")
    add("--ct", type=Path, metavar="PATH", help="CT of the head: NIfTI in HU, or DICOM folder")
    add("--clinical", type=Path, metavar="FILE", help="clinical facts: .json, or .tsv of a cohort")
    add("--language", choices=["en", "zh"], default="en", help="of the report: en or zh (en)")
    add("--steps", action=LIST, metavar="STEP", help="only these steps and what they need")
    add("--save-intermediates", action="store_true", help="also unwrapped phase, fields, residual")
    add("--dicom", action="store_true", help="also DICOM for a PACS; it names the patient")
    add("--n-procs", type=count, default=1, metavar="N", help="scans at once (1)")
    add("--n-threads", type=count, metavar="N", help="threads of each scan (cores / n-procs)")
    add("--engine", default="local", help="local")
    add("--dry-run", action="store_true", help="say what would be run, and stop")
    add("--force", action="store_true", help="redo what is finished")


def positionals(words: list[str]) -> int:
    """Return how many positionals the command cannot do without."""
    return 0 if any(w == "--mag" or w.startswith("--mag=") for w in words) else 2


def run(args: argparse.Namespace) -> int:
    """Find the scans, run them, say how it went."""
    refs, root = _scans(args)  # before the imports below, which take seconds
    _require_one_scan(args, refs)
    from petechia.core.methods import choose
    from petechia.pipeline.clinical import clinical_table
    from petechia.pipeline.engines import METHODS as ENGINES
    from petechia.pipeline.run import Options, Outcome, run_all
    from petechia.pipeline.settings import Settings
    from petechia.pipeline.stages import closure
    from petechia.pipeline.tree import finish_tree, prepare_tree

    refs = _with_ct(args, refs)
    settings = Settings.build(
        preset=args.preset,
        config=args.config,
        phase_sign=args.phase_sign,
        operating_point=args.operating_point,
        calibration=args.calibration,
    )
    steps = tuple(items(args.steps))
    closure(steps)
    choose(ENGINES, args.engine, "--engine")
    clinical = clinical_table(args.clinical, [ref.name for ref in refs])
    if args.dicom and steps:
        raise ParameterError(
            f"--dicom with --steps {','.join(steps)}",
            where="petechia run",
            mend="DICOM is made from a whole run: leave one of them out.",
        )
    if args.dry_run:
        return _dry(refs, closure(steps))
    n_procs = min(args.n_procs, len(refs))
    options = Options(
        steps=steps,
        mask=args.mask,
        field=args.field,
        clinical=clinical,
        language=args.language,
        save_intermediates=args.save_intermediates,
        dicom=args.dicom,
        force=args.force,
        n_threads=args.n_threads or max(1, cores() // n_procs),
    )
    dataset = args.input if refs[0].kind == "BIDS" else None
    prepare_tree(root, dataset, intermediates=args.save_intermediates, dicom=_as_dicom(args, refs))
    outcomes: list[Outcome] = []
    try:
        with progress(len(refs), quiet=n_procs > 1) as tell:
            for outcome in run_all(
                refs, root, settings, options, engine=args.engine, n_procs=n_procs, tell=tell
            ):
                outcomes.append(outcome)
                if len(refs) > 1:
                    say_outcome(outcome)
    finally:  # also after Ctrl-C: the index lists what was finished
        failed = any(outcome.status == "failed" for outcome in outcomes)
        with suppress(OutputError) if failed else nullcontext():  # else it is told already
            finish_tree(root)
    return conclude(outcomes, root)


def _as_dicom(args: argparse.Namespace, refs: list["ScanRef"]) -> bool:
    """Return whether DICOM will be written; say why not, where it was asked for."""
    if args.dicom and refs[0].kind != "DICOM":
        print(
            f"no DICOM will be written: the input is {refs[0].kind}. When the run is done, "
            "`petechia dicom OUTPUT --reference FOLDER` makes it beside the images it was "
            "converted from.",
            file=sys.stderr,
        )
        return False
    return bool(args.dicom)


def cores() -> int:
    """Return the processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _scans(args: argparse.Namespace) -> tuple[list["ScanRef"], Path]:
    """Return the scans and the output folder that the words name."""
    from petechia.files.places import require_apart

    if args.level not in (None, LEVELS[0]):
        raise ParameterError(
            f"analysis level {args.level!r}",
            where="petechia run",
            mend="Only 'participant' is run here.",
        )
    if args.mag is not None:
        return _named_files(args)
    for option in ("phase", "te", "b0", "out"):
        if getattr(args, option) is not None:
            raise ParameterError(
                f"--{option} was given without --mag",
                where="petechia run",
                mend="Name the magnitude files too, or leave it out and give INPUT and OUTPUT.",
            )
    if args.input is None or args.output is None:
        raise ParameterError(
            "INPUT and OUTPUT are needed",
            where="petechia run",
            mend="Write: petechia run INPUT OUTPUT, or --mag ... --te ... --b0 ... --out ...",
        )
    from petechia.files.find import find_scans

    refs = find_scans(
        args.input,
        subject=args.subject or "01",
        participants=items(args.participant_label),
        sessions=items(args.session_label),
        phase_scale=args.phase_scale,
    )
    if args.subject is not None and refs[0].kind == "BIDS":
        raise ParameterError(
            f"{args.subject!r} for a BIDS dataset, whose scans have names",
            where="--subject",
            mend="Leave it out; --participant-label chooses among people.",
        )
    require_apart(args.output, [args.input], dataset=refs[0].kind == "BIDS")
    return refs, args.output


def _named_files(args: argparse.Namespace) -> tuple[list["ScanRef"], Path]:
    from petechia.files.places import require_apart

    if args.input is not None:
        raise ParameterError(
            f"{str(args.input)!r} beside --mag",
            where="petechia run",
            mend="Give INPUT and OUTPUT, or files by --mag with --out DIR, not both.",
        )
    if args.out is None:
        raise ParameterError(
            "--out is missing",
            where="petechia run --mag",
            mend="Name the folder for the results: --out OUT.",
        )
    if not items(args.mag):
        raise ParameterError("no file given", where="--mag", mend="Name the magnitude.")
    ref = named_scan(args)
    require_files("--mag", items(args.mag))
    require_files("--phase", items(args.phase))
    require_apart(args.out, [Path(path) for path in ref.paths])
    return [ref], args.out


def require_files(option: str, names: Iterable[str]) -> None:
    """Raise `FileError` for the first that is not a file, before anything is begun."""
    for name in names:
        if not Path(name).is_file():
            is_what = "a folder, not a file" if Path(name).is_dir() else "no such file"
            raise FileError(is_what, where=f"{option} {name}", mend="Check the path.")


def _require_one_scan(args: argparse.Namespace, refs: list["ScanRef"]) -> None:
    for option in ("mask", "field"):
        path = getattr(args, option)
        if path is None:
            continue
        require_files(f"--{option}", [str(path)])
        if len(refs) > 1:
            raise ParameterError(
                f"one file for {len(refs)} scans",
                where=f"--{option} {path}",
                mend="Choose one scan: --participant-label, --session-label, or its own folder.",
            )


def _with_ct(args: argparse.Namespace, refs: list["ScanRef"]) -> list["ScanRef"]:
    """Return the scan with the CT that the words name beside it."""
    if args.ct is None:
        return refs
    from dataclasses import replace

    if not args.ct.exists():
        raise FileError("no such file or folder", where=f"--ct {args.ct}", mend="Check the path.")
    if len(refs) > 1:
        raise ParameterError(
            f"one CT for {len(refs)} scans",
            where=f"--ct {args.ct}",
            mend="Choose one scan, or lay CTs as sub-X/ct/sub-X_ct.nii.gz into the BIDS dataset.",
        )
    return [replace(refs[0], beside=replace(refs[0].beside, ct=args.ct))]


def named_scan(args: argparse.Namespace) -> "ScanRef":
    """Return the scan whose files are named one by one."""
    from petechia.files.loose import ref_from_files

    return ref_from_files(
        [Path(word) for word in items(args.mag)],
        [Path(word) for word in items(getattr(args, "phase", None))],
        te_s=numbers(args.te, "--te"),
        b0_t=args.b0,
        phase_scale=getattr(args, "phase_scale", None),
        subject=getattr(args, "subject", None) or "01",
    )


def _dry(refs: list["ScanRef"], stages: list[str]) -> int:
    for ref in refs:
        print(f"{ref.name.prefix}  {ref.kind}  {len(ref.paths)} files")
    print(f"{len(refs)} scans; stages: {', '.join(stages)}; nothing was run")
    return 0


def say_outcome(outcome: "Outcome") -> None:
    """Print one line about a scan that ended."""
    print(f"{outcome.prefix}: {outcome.status} {outcome.message}".rstrip(), flush=True)


def conclude(outcomes: Iterable["Outcome"], root: Path) -> int:
    """Print where the results are; return the exit code of the contract."""
    ended = list(outcomes)
    failed = [outcome for outcome in ended if outcome.status == "failed"]
    if len(ended) == 1:
        only = ended[0]
        if failed:
            print(f"error: {only.message}", file=sys.stderr)
            return 2 if only.mendable else 1
        if only.summary:
            print(headline(only.summary))
        print(f"report: {root / only.report}" if only.report else f"results: {root}")
        return 0
    done = len(ended) - len(failed)
    index = root / "index.html"
    place = index if index.is_file() else root
    print(f"{done} of {len(ended)} scans done, {len(failed)} failed; {place}")
    if _several_sessions(root):
        print(f"people with several sessions are there: petechia follow {root}")
    return 3 if failed else 0


def _several_sessions(root: Path) -> bool:
    """Return whether somebody has two sessions in an output folder."""
    return any(len(list(subject.glob("ses-*"))) > 1 for subject in root.glob("sub-*"))


def headline(summary: dict[str, Any]) -> str:
    """Return the one line that a person waits for."""
    if summary["category"] == "not_assessable":
        return f"microbleeds not assessable: {summary['not_assessable'][0]} Research use only."
    counts, (low, high) = summary["counts"], summary["count_interval_95"]
    return (
        f"{counts['total']} microbleeds counted (95 % interval {low:g} to {high:g}; "
        f"{counts['definite']} definite, {counts['possible']} possible); "
        f"{summary['category'].replace('_', ' ')}. Research use only."
    )


class progress:  # noqa: N801  (used as a function)
    """Show the scan and its stage on a terminal; say nothing elsewhere."""

    def __init__(self, n_scans: int, *, quiet: bool = False) -> None:
        self.n_scans = n_scans
        self.bar: Progress | None = None
        self.quiet = quiet or not sys.stderr.isatty()

    def __enter__(self) -> Callable[[str, str], None]:
        if self.quiet:
            return lambda *_: None
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        bar.start()
        task = bar.add_task("starting")
        self.bar = bar
        return lambda prefix, stage: bar.update(task, description=f"{prefix}: {stage}")

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()
