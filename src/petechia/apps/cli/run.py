"""`petechia run`: from a scanner's files to a report."""

import argparse
import os
import sys
from collections.abc import Iterable
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from petechia.apps.cli.outcomes import conclude, progress, say_outcome
from petechia.apps.cli.words import LEVELS, LIST, count, items, numbers, require_named, several
from petechia.errors import FileError, OutputError, ParameterError, PetechiaError

if TYPE_CHECKING:
    from petechia.files.scan import ScanRef, SeriesImage


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
    which = "NIfTI, DICOM folder, number of a series of INPUT, or 'none' (found by itself)"
    add("--flair", metavar="WHICH", help=f"FLAIR of the same session: {which}")
    add("--t2w", metavar="WHICH", help="T2w likewise")
    add("--t1w", metavar="WHICH", help="T1w likewise")
    add("--ct", metavar="WHICH", help="CT of the head likewise, NIfTI in HU")
    add("--clinical", type=Path, metavar="FILE", help="clinical facts: .json, or .tsv of a cohort")
    add("--language", choices=["en", "zh"], default="en", help="of the report: en or zh (en)")
    add("--steps", action=LIST, metavar="STEP", help="only these steps and what they need")
    add("--save-intermediates", action="store_true", help="also unwrapped phase, fields, residual")
    add("--dicom", action="store_true", help="also DICOM for a PACS; it names the patient")
    add("--n-procs", type=count, default=1, metavar="N", help="scans at once (1)")
    add("--n-threads", type=count, metavar="N", help="threads of each scan (cores / n-procs)")
    add("--engine", default="local", help="local or dask (local)")
    add("--scheduler", metavar="ADDRESS", help="of a Dask scheduler (else --n-procs workers here)")
    add("--dry-run", action="store_true", help="say what would be run or fail by its headers")
    add("--force", action="store_true", help="redo what is finished")


def positionals(words: list[str]) -> int:
    """Return how many positionals the command cannot do without."""
    return 0 if any(w == "--mag" or w.startswith("--mag=") for w in words) else 2


def run(args: argparse.Namespace) -> int:
    """Find the scans, run them, say how it went."""
    require_named(args, "steps", "participant_label", "session_label", "phase", "te")
    if args.engine != "local":
        _make_absolute(args)
    refs, root = _scans(args)  # before the imports below, which take seconds
    _require_one_scan(args, refs)
    from petechia.core.methods import choose
    from petechia.pipeline.clinical import clinical_table
    from petechia.pipeline.engines import METHODS as ENGINES
    from petechia.pipeline.run import Options, Outcome, run_all
    from petechia.pipeline.settings import Settings, without_effect
    from petechia.pipeline.stages import closure
    from petechia.pipeline.tree import finish_tree, prepare_tree

    refs = _with_others(args, refs)
    settings = Settings.build(
        preset=args.preset,
        config=args.config,
        phase_sign=args.phase_sign,
        operating_point=args.operating_point,
        calibration=args.calibration,
    )
    for words in without_effect(args.config, settings):
        print(words, file=sys.stderr)
    steps = tuple(items(args.steps))
    closure(steps)
    choose(ENGINES, args.engine, "--engine")
    where = _engine_words(args)
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
        n_threads=_threads_of_a_scan(args, n_procs, where),
    )
    dataset = args.input if refs[0].kind == "BIDS" else None
    prepare_tree(root, dataset, intermediates=args.save_intermediates, dicom=_as_dicom(args, refs))
    outcomes: list[Outcome] = []
    try:
        shown = progress(len(refs))
        with shown as tell:
            for outcome in run_all(
                refs, root, settings, options, engine=args.engine, n_procs=n_procs, tell=tell,
                **where,
            ):  # fmt: skip
                outcomes.append(outcome)
                shown.ended(outcome.status)
                if len(refs) > 1:
                    say_outcome(outcome)
    finally:  # also after Ctrl-C: the index lists what was finished
        failed = any(outcome.status == "failed" for outcome in outcomes)
        with suppress(OutputError) if failed else nullcontext():  # else it is told already
            finish_tree(root)
    return conclude(outcomes, root)


PLACES = (
    "input", "output", "out", "config", "mask", "field", "ct", "flair", "t2w", "t1w", "clinical",
    "calibration",
)  # fmt: skip
"""Words that name places; workers have other working folders."""


def _make_absolute(args: argparse.Namespace) -> None:
    for name in PLACES:
        place = getattr(args, name)
        if place is not None and not (name in OTHERS and _no_place(place)):
            setattr(args, name, type(place)(Path(place).absolute()))
    for name in ("mag", "phase"):
        given = items(getattr(args, name))
        if given:
            setattr(args, name, [str(Path(word).absolute()) for word in given])


def _engine_words(args: argparse.Namespace) -> dict[str, Any]:
    """Return what the engine is told beside the number of processes."""
    from petechia.pipeline.engines.cluster import read_cluster, require_distributed

    cluster = read_cluster(args.config)  # a mistake in it is told wherever scans run
    if args.engine == "local":
        if args.scheduler:
            raise ParameterError(
                args.scheduler, where="--scheduler", mend="It goes with --engine dask."
            )
        return {}
    require_distributed()
    return {"scheduler": args.scheduler or "", "cluster": None if args.scheduler else cluster}


def _threads_of_a_scan(args: argparse.Namespace, n_procs: int, where: dict[str, Any]) -> int:
    """Return --n-threads, or what the place where scans run gives each."""
    if args.n_threads:
        return int(args.n_threads)
    if where.get("cluster") is not None:
        return int(where["cluster"].cores)
    return 1 if where.get("scheduler") else max(1, cores() // n_procs)


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
        of_folder = option in ("te", "b0") and args.input is not None
        if getattr(args, option) is not None and not of_folder:
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
        subject=args.subject,
        participants=items(args.participant_label),
        sessions=items(args.session_label),
        te_s=numbers(args.te, "--te"),
        b0_t=args.b0,
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


OTHERS = {
    "ct": "lay CTs as sub-X/ct/sub-X_ct.nii.gz into the BIDS dataset",
    "flair": "lay it as sub-X/anat/sub-X_FLAIR.nii.gz into the BIDS dataset",
    "t2w": "lay it as sub-X/anat/sub-X_T2w.nii.gz into the BIDS dataset",
    "t1w": "lay it as sub-X/anat/sub-X_T1w.nii.gz into the BIDS dataset",
}
"""Scans of another kind that words name, and how several are given."""


NONE = "none"
"""What is said of an image that is not to be used."""


def _with_others(args: argparse.Namespace, refs: list["ScanRef"]) -> list["ScanRef"]:
    """Return the scans with the other images that the words name beside them, or without any."""
    from dataclasses import replace

    named = {name: getattr(args, name) for name in OTHERS if getattr(args, name) is not None}
    for name, word in named.items():
        told = name.upper() if name in ("ct", "flair") else name.capitalize()
        if len(refs) > 1 and not _no_place(word):
            raise ParameterError(
                f"one {told} for {len(refs)} scans",
                where=f"--{name} {word}",
                mend=f"Choose one scan, or {OTHERS[name]}.",
            )
        image = _named_image(args, refs, name, told, word)
        what = "none" if image is None else image.name
        for n, ref in enumerate(refs):
            chosen = [pair for pair in ref.beside.chosen if pair[0] != told]
            chosen.append((told, f"{what}: as asked"))
            taken: dict[str, Any] = {name: image}
            beside = replace(ref.beside, **taken, chosen=tuple(chosen))
            refs[n] = replace(ref, beside=beside)
    return refs


def _no_place(word: str) -> bool:
    """Whether a word is 'none' or a number, and no path."""
    return word == NONE or (word.isdigit() and not Path(word).exists())


def _named_image(
    args: argparse.Namespace, refs: list["ScanRef"], name: str, kind: str, word: str
) -> "Path | SeriesImage | None":
    """Return the image that a word names: a file, a series, or none."""
    from petechia.files.nifti import is_nifti

    if word == NONE:
        return None
    where = f"--{name} {word}"
    if _no_place(word):
        if refs[0].kind != "DICOM":
            raise ParameterError(
                f"number of a series for a {refs[0].kind} input",
                where=where,
                mend="Only DICOM has series: name the file.",
            )
        from petechia.files.dicom.companions import series_at

        return series_at(args.input, kind, int(word))
    path = Path(word)
    if not path.exists():
        raise FileError("no such file or folder", where=where, mend="Check the path.")
    if name == "ct" or (path.is_file() and is_nifti(path.name)):
        return path
    from petechia.files.dicom.companions import series_at

    return series_at(path, kind)


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
    """List the scans and what their headers and sidecars tell of mistakes; nothing is run.

    The exit code is that of `run` for scans that fail.
    """
    n_bad = 0
    for ref in refs:
        print(f"{ref.name.prefix}  {ref.kind}  {len(ref.paths)} files")
        if problem := _problem(ref):
            n_bad += 1
            print(f"    would fail: {problem}")
        for kind, which in ref.beside.chosen:
            print(f"    beside it, {kind}: {which}")
        for text in ref.beside.left:
            print(f"    {text}")
    bad = f"; {n_bad} would fail" if n_bad else ""
    print(f"{several(len(refs), 'scan')}{bad}; stages: {', '.join(stages)}; nothing was run")
    if not n_bad:
        return 0
    return 2 if len(refs) == 1 else 3


def _problem(ref: "ScanRef") -> str:
    """Return what the headers and sidecars of a scan tell against it, or nothing."""
    try:
        if ref.check is not None:
            ref.check()
    except PetechiaError as error:
        return str(error)
    return ""
