"""How scans ended, and how far a run is, told on the terminal."""

import sys
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress

    from petechia.pipeline.run import Outcome


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
        if only.status == "skipped":
            print(f"{only.prefix}: skipped: finished before (--force redoes it)")
        print(f"report: {root / only.report}" if only.report else f"results: {root}")
        return 0
    for outcome in failed:
        if outcome.again == "later":
            print(f"{outcome.prefix}: tried several times; run again later", file=sys.stderr)
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
    counts, interval = summary["counts"], summary["count_interval_95"]
    how = ["reviewed"] if summary.get("review") else []
    if interval:  # none once readers have decided on all that was asked
        how.append(f"95 % interval {interval[0]:g} to {interval[1]:g}")
    how.append(f"{counts['definite']} definite, {counts['possible']} possible")
    return (
        f"{counts['total']} microbleeds counted ({'; '.join(how)}); "
        f"{summary['category'].replace('_', ' ')}. Research use only."
    )


def time_left_s(elapsed_s: float, done: int, left: int) -> float | None:
    """Return the time that the rest will take [s]; None before anything was done.

    Parameters
    ----------
    elapsed_s : float
        Since the start.
    done : int
        Scans that ended after work; those finished before cost nothing and tell nothing.
    left : int
        Scans that have not ended.
    """
    return elapsed_s / done * left if done else None


class progress:  # noqa: N801  (used as a function)
    """Show scan, stage, how many are done and the time left on a terminal; nothing elsewhere."""

    def __init__(self, n_scans: int) -> None:
        self.n_scans = n_scans
        self.bar: Progress | None = None
        self.ends: list[str] = []
        self.began_s = time.monotonic()

    def __enter__(self) -> Callable[[str, str], None]:
        if not sys.stderr.isatty():
            return lambda *_: None
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.fields[count]}{task.description}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=Console(stderr=True),
            transient=True,
            redirect_stdout=sys.stdout.isatty(),  # else lines for a file would come here
        )
        bar.start()
        said = "starting" if self.n_scans == 1 else "scans"
        self.task = bar.add_task(said, count=self._count(), left="")
        self.bar = bar
        return lambda prefix, stage: bar.update(self.task, description=f"{prefix}: {stage}")

    def ended(self, status: str) -> None:
        """Count a scan that ended."""
        self.ends.append(status)
        if self.bar is not None:
            self.bar.update(self.task, count=self._count(), left=self._left())

    def _count(self) -> str:
        return f"{len(self.ends)}/{self.n_scans} " if self.n_scans > 1 else ""

    def _left(self) -> str:
        worked = sum(status != "skipped" for status in self.ends)
        elapsed = time.monotonic() - self.began_s
        seconds = time_left_s(elapsed, worked, self.n_scans - len(self.ends))
        return "" if seconds is None else f"about {timedelta(seconds=round(seconds))} left"

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()
