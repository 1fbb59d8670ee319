"""One scan down the road, and many of them."""

import logging
import shutil
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from petechia import __version__
from petechia.errors import FileError, InUseError, OutputError, PetechiaError
from petechia.files.nifti import sha256_of
from petechia.files.output import OutputTree
from petechia.files.scan import Scan, ScanName, ScanRef, SeriesImage
from petechia.files.writing import make_folder, output_error, without_places
from petechia.pipeline.clinical import NOTHING_TOLD, ClinicalTable
from petechia.pipeline.dicom_export import export_dicom, export_folder, is_stale
from petechia.pipeline.engines import METHODS as ENGINES
from petechia.pipeline.engines.ledger import Again, Care
from petechia.pipeline.faults import again
from petechia.pipeline.given import field_units, given_volumes
from petechia.pipeline.listing import EXPORT
from petechia.pipeline.memory import available_mb, need_mb
from petechia.pipeline.provenance import Meter, software, threads
from petechia.pipeline.reading import told_beside
from petechia.pipeline.results import intermediates_of, write_results
from petechia.pipeline.settings import Settings
from petechia.pipeline.stages import STAGES, walk
from petechia.pipeline.standing import (
    OtherScanError,
    finished,
    image_sha256,
    mark_of_steps,
    named_hashes,
    require_same_scan,
)
from petechia.pipeline.summary import fingerprint
from petechia.pipeline.tree import alone
from petechia.pipeline.work import Work

LOG = logging.getLogger(__name__)
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a run is carried out; no number depends on it, but for `mask`, `field`, `clinical`.

    Attributes
    ----------
    steps : tuple of str
        Only these stages are written; empty for the whole road.
    mask, field : Path or None
        A user's own brain mask and total field, on the scan's grid.
    clinical : ClinicalTable
        Clinical facts about the participants.
    language : str
        Of the report: 'en' or 'zh'.
    save_intermediates : bool
        Also write the unwrapped phase, total field, residual and high-pass phase.
    dicom : bool
        Also write the results as DICOM, where the scan came as DICOM.
    force : bool
        Redo what is finished.
    n_threads : int
        Threads of one scan.
    """

    steps: tuple[str, ...] = ()
    mask: Path | None = None
    field: Path | None = None
    clinical: ClinicalTable = NOTHING_TOLD
    language: str = "en"
    save_intermediates: bool = False
    dicom: bool = False
    force: bool = False
    n_threads: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one scan ended.

    Attributes
    ----------
    prefix : str
        The scan.
    status : str
        'done', 'skipped' (finished before) or 'failed'.
    message : str
        Why it failed.
    mendable : bool
        True when the user can mend the failure.
    again : str
        What may help without the user: 'no', 'later' or 'elsewhere' (on another computer).
    report : str or None
        Report, relative to the output folder.
    summary : dict
        The summary that was written, or the one found.
    """

    prefix: str
    status: str
    message: str = ""
    mendable: bool = True
    again: Again = "no"
    report: str | None = None
    summary: dict[str, Any] = field(default_factory=dict)


def run_scan(
    ref: ScanRef, root: Path, settings: Settings, options: Options, tell: Tell = lambda _: None
) -> Outcome:
    """Take one scan from its files to its report; never raises for a fault of the scan.

    A failure leaves `logs/<p>_crash.json`; nothing half-written stands under a final name.
    """
    tree = OutputTree(root)
    meter = Meter()
    stage = ["read"]

    def telling(name: str) -> None:
        stage[0] = name
        tell(name)

    with _logging_to(tree.path("log", ref.name)):
        LOG.info("%s: petechia %s", ref.name.prefix, __version__)
        try:
            with threads(options.n_threads):
                outcome = _down_the_road(ref, tree, settings, options, meter, telling)
                _forget(tree.path("crash", ref.name))  # a run that is killed from here on is whole
                if options.dicom:
                    with alone(tree, ref.name):
                        _export(ref, tree, outcome, telling)
        except (InUseError, OtherScanError) as error:
            # no crash file: what stands there is whole, or whoever writes it says how it went
            outcome = Outcome(prefix=ref.name.prefix, status="failed", message=str(error))
        except PetechiaError as error:
            outcome = _failed(ref.name, tree, stage[0], error, settings)
        except OSError as error:
            outcome = _failed(ref.name, tree, stage[0], _told(error, stage[0]), settings)
        except MemoryError as error:
            outcome = _failed(ref.name, tree, stage[0], error, settings)
        except Exception as error:
            outcome = _failed(ref.name, tree, stage[0], error, settings, mendable=False)
        LOG.info("%s: %s %s", ref.name.prefix, outcome.status, outcome.message)
    return outcome


def _down_the_road(
    ref: ScanRef, tree: OutputTree, settings: Settings, options: Options, meter: Meter, tell: Tell
) -> Outcome:
    given = _given_hashes(options, ref)
    marked = partial(fingerprint, settings=settings, given=given, told=told_beside(ref))
    before = None if options.force or options.steps else finished(ref, tree, marked)
    if before and not (options.save_intermediates and _lacks_intermediates(before, tree, ref)):
        return Outcome(
            prefix=ref.name.prefix,
            status="skipped",
            report=_report_name(tree, ref.name),
            summary=before,
        )
    make_folder(tree.path("brain_mask", ref.name).parent)
    tell("read")
    with meter.stage("read"):
        scan = ref.load()
    facts = {
        "fingerprint": marked(named_hashes(scan)),
        "software": software(),
        "image_sha256": image_sha256(scan),
    }
    _require_room(scan, tree, options, facts)  # refuses before the work
    for note in scan.notes:
        LOG.info("read: %s", note)
    for kind, which in ref.beside.chosen:
        LOG.info("beside: %s is %s", kind, which)
    for text in ref.beside.left:
        LOG.info("beside: %s", text)
    work = Work(scan=scan, settings=settings, beside=ref.beside)
    work.facts, work.language = options.clinical.of(scan.name), options.language
    work.warnings += options.clinical.notes(scan.name)
    work.given_mask, work.given_field_ppm = given_volumes(options.mask, options.field, scan)

    @contextmanager
    def around(name: str) -> Iterator[None]:
        tell(name)
        with meter.stage(name):
            yield
        LOG.info("%s: %.1f s", name, meter.seconds[name])

    walk(work, options.steps, around)
    tell("write")
    keys = {key for step in options.steps or STAGES for key in STAGES[step].writes}
    with alone(tree, ref.name), meter.stage("write"):
        summary = _write(work, tree, options, keys, meter, facts)
    return Outcome(
        prefix=ref.name.prefix,
        status="done",
        report=_report_name(tree, ref.name) if "report" in keys else None,
        summary=summary,
    )


def _lacks_intermediates(before: dict[str, Any], tree: OutputTree, ref: ScanRef) -> bool:
    """Return whether a finished scan has no intermediates, though it has phase."""
    return before["protocol"]["phase"] != "none" and not intermediates_of(tree, ref.name)


def _require_room(
    scan: Scan, tree: OutputTree, options: Options, facts: dict[str, Any]
) -> dict[str, Any]:
    """Return the provenance to write; refuse to mix with, or write over, another's results."""
    if not options.force:
        require_same_scan(scan, facts["image_sha256"], tree, scan.name)
    if not options.steps:
        return facts
    mark = mark_of_steps(facts["fingerprint"], tree, scan.name, force=options.force)
    return facts | {"fingerprint": mark}


def _write(
    work: Work,
    tree: OutputTree,
    options: Options,
    keys: set[str],
    meter: Meter,
    facts: dict[str, Any],
) -> dict[str, Any]:
    """Write what a run made, while nobody else writes the scan; return its summary."""
    name = work.scan.name
    # asked once more: another run may have ended meanwhile
    provenance = _require_room(work.scan, tree, options, facts)
    if options.force or not options.steps:  # until the new one stands, nothing says "finished"
        _forget(tree.path("summary", name))
        shutil.rmtree(export_folder(tree.root, name), ignore_errors=True)
        for path in intermediates_of(tree, name):
            _forget(path)
    return write_results(work, tree, keys, meter, provenance, options.save_intermediates)


def _export(ref: ScanRef, tree: OutputTree, outcome: Outcome, tell: Tell) -> None:
    """Write the results as DICOM too, unless they are there; say why when it cannot be."""
    there = export_folder(tree.root, ref.name).is_dir()
    if outcome.status == "skipped" and there and not is_stale(tree, ref.name):
        return
    if ref.origin is None:
        LOG.warning(
            "dicom: not written, the scan came as %s; `petechia dicom OUTPUT --reference FOLDER` "
            "makes it beside the images it was converted from",
            ref.kind,
        )
        return
    tell(EXPORT)
    export_dicom(tree, ref.name, ref.origin())


def _forget(path: Path) -> None:
    """Remove a file that no longer tells the truth."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise output_error(error, path) from error


def _told(error: OSError, stage: str) -> FileError:
    """Return what the system said about a file as our own error."""
    told = FileError(
        f"{error.strerror or error}",
        where=str(error.filename or stage),
        mend="Check that place and its disk, and run again.",
    )
    return told.with_traceback(error.__traceback__)


def _given_hashes(options: Options, ref: ScanRef) -> list[str]:
    beside = ref.beside
    given = {
        "mask": options.mask, "field": options.field, "T1w": beside.t1w, "T2w": beside.t2w,
        "segmentation": beside.segmentation, "CT": beside.ct, "FLAIR": beside.flair,
    }  # fmt: skip
    told = [f"{name}: {_hash_of(path)}" for name, path in given.items() if path is not None]
    told += [] if options.field is None else [f"field in {field_units(options.field)}"]
    told += [f"{k}: {v}" for k, v in options.clinical.of(ref.name).as_dict().items()]
    return told + ([f"report: {options.language}"] if options.language != "en" else [])


def _hash_of(path: Path | SeriesImage) -> str:
    """Return the hash of a file, of all that a folder holds, or of a series of an exam."""
    if not isinstance(path, Path):
        return path.sha256()
    if path.is_file():
        return sha256_of(path)
    return " ".join(sha256_of(file) for file in sorted(path.rglob("*")) if file.is_file())


def _report_name(tree: OutputTree, name: ScanName) -> str:
    return tree.path("report", name).relative_to(tree.root).as_posix()


def _failed(
    name: ScanName,
    tree: OutputTree,
    stage: str,
    error: BaseException,
    settings: Settings,
    *,
    mendable: bool = True,
) -> Outcome:
    message = str(error) or type(error).__name__
    if isinstance(error, MemoryError):
        message = f"{name.prefix}: out of memory in {stage}. Run fewer scans at once (--n-procs 1)."
    crash = {
        "scan": name.prefix,
        "stage": stage,
        "error": type(error).__name__,
        "message": message,
        "what": getattr(error, "what", message),
        "where": getattr(error, "where", stage),
        "mend": getattr(error, "mend", "Please report this fault with this file."),
        "traceback": _bare_traceback(error),
        "settings": settings.as_dict(),
        "software": software(),
    }
    with suppress(OutputError):  # a full disk may have no room for this either
        tree.write_json("crash", name, crash)
    LOG.error("%s: %s", stage, message)
    return Outcome(
        prefix=name.prefix,
        status="failed",
        message=message,
        mendable=mendable,
        again=again(error),
    )


def _bare_traceback(error: BaseException) -> list[str]:
    """Return the traceback without a path of the machine: module file, line, function."""
    return [
        f"{'/'.join(Path(frame.filename).parts[-3:])}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
    ]


class _Log(logging.FileHandler):
    """A log that is no reason to stop: a full disk costs lines of it only."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Say nothing about a line that could not be written."""


class _Placeless(logging.Formatter):
    """Cuts paths of this machine to their last part: logs travel with the results."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line of the log."""
        return without_places(super().format(record))


@contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    """Send the package's log to a file inside the block."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = _Log(path, mode="a", encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise output_error(error, path) from error
    handler.setFormatter(_Placeless("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("petechia")
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        with suppress(OSError):
            handler.close()


def run_all(
    refs: Sequence[ScanRef],
    root: Path,
    settings: Settings,
    options: Options,
    *,
    engine: str = "local",
    n_procs: int = 1,
    tell: Callable[[str, str], None] = lambda *_: None,
    **params: Any,
) -> Iterator[Outcome]:
    """Run every scan; yield outcomes as they end.

    Parameters
    ----------
    refs : sequence of ScanRef
        What to run.
    root : Path
        Output folder, made by `prepare_tree`.
    settings, options
        As for `run_scan`.
    engine : str
        Row of the engines table.
    n_procs : int
        Scans at once.
    tell : callable
        Called with (prefix, stage) when the scans run in this process.
    params
        Further settings of the engine.
    """
    row = ENGINES[engine]
    in_process = engine == "local" and (n_procs == 1 or len(refs) == 1)
    job = partial(_job, root=root, settings=settings, options=options)
    if in_process:
        job = partial(job, tell=tell)
    if engine == "local":
        params = {"memory_mb": available_mb(), **params}
    else:
        job = partial(_far_job, job=job, root=root, version=__version__)
    care = Care(lost=partial(_lost, root=root, settings=settings), again=_again, need_mb=need_mb)
    for _, outcome in row.run(job, list(refs), row.settings(n_procs=n_procs, **params), care=care):
        yield outcome


def _again(outcome: Outcome) -> Again:
    return outcome.again


_ONE_AT_A_TIME = threading.Lock()
"""Log, threads and memory of a scan are of its process: a worker with several waits."""


def _far_job(ref: ScanRef, job: Callable[[ScanRef], Outcome], root: Path, version: str) -> Outcome:
    """Run a scan in a worker that may be on another computer, when it is fit for it."""
    prefix = ref.name.prefix
    if version != __version__:
        return Outcome(
            prefix=prefix,
            status="failed",
            message=f"{prefix}: the worker has petechia {__version__}, not {version}. Install the "
            "same version on all nodes.",
        )
    if not (root / "dataset_description.json").is_file():
        return Outcome(
            prefix=prefix,
            status="failed",
            message=f"{prefix}: the worker does not see the output folder. Put it on a disk that "
            "all nodes mount at the same place.",
            again="elsewhere",
        )
    with _ONE_AT_A_TIME:
        return job(ref)


def _job(
    ref: ScanRef,
    root: Path,
    settings: Settings,
    options: Options,
    tell: Callable[[str, str], None] = lambda *_: None,
) -> Outcome:
    try:
        return run_scan(ref, root, settings, options, partial(tell, ref.name.prefix))
    except OutputError as error:  # nothing can be written, the crash file neither
        return Outcome(
            prefix=ref.name.prefix, status="failed", message=str(error), again=again(error)
        )


def _lost(ref: ScanRef, why: str, root: Path, settings: Settings) -> Outcome:
    error = PetechiaError(
        why,
        where=ref.name.prefix,
        mend="It was killed, most often for want of memory: run fewer scans at once (--n-procs), "
        "or give workers more memory.",
    )
    return _failed(ref.name, OutputTree(root), "run", error, settings)
