"""Where a Dask cluster comes from: an address, this computer, or SLURM."""

import logging
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import Any, get_type_hints

from petechia.errors import DependencyError, ParameterError
from petechia.pipeline.engines.ctrl_c import kept_ctrl_c, leave_ctrl_c
from petechia.pipeline.settings import read_config

LOG = logging.getLogger(__name__)
MISSING = "Install it with: pip install 'petechia[cluster]'"
_WALLTIME = re.compile(r"\d+(:\d+){0,2}|\d+-\d+(:\d+){0,2}|unlimited|infinite", re.IGNORECASE)
_MEMORY = re.compile(r"\d+(\.\d+)? ?([kmgtp]i?)?b?", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterParams:
    """The table [cluster] of a settings file: jobs that SLURM is asked for.

    Attributes
    ----------
    kind : str
        'slurm'.
    jobs : int
        How many jobs; each holds one worker, which runs one scan at a time.
    queue, account : str
        Partition and account; empty for the site's own.
    walltime : str
        Of a job, as SLURM writes it: '08:00:00', '1-12' (days-hours), '90' (minutes).
    cores : int
        Of a job; a scan uses as many threads.
    memory : str
        Of a job, as '6GB'.
    interface : str
        Network interface that nodes reach each other by, as 'ib0'; empty: the default one.
    local_directory : str
        Scratch of a node for Dask itself; empty for the default.
    directives : tuple of str
        Further lines for sbatch, as '--constraint=cpu'.
    prologue : tuple of str
        Shell lines before the worker starts, as 'module load python'.
    """

    kind: str = "slurm"
    jobs: int = 1
    queue: str = ""
    account: str = ""
    walltime: str = "04:00:00"
    cores: int = 1
    memory: str = "6GB"
    interface: str = ""
    local_directory: str = ""
    directives: tuple[str, ...] = ()
    prologue: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind != "slurm":
            raise ParameterError(
                f"kind = {self.kind!r}",
                where="[cluster]",
                mend="Only 'slurm' is started here; give --scheduler for any other Dask cluster.",
            )
        if self.jobs < 1 or self.cores < 1:
            raise ParameterError(
                f"{self.jobs} jobs of {self.cores} cores", where="[cluster]", mend="Give 1 or more."
            )
        for name, form, example in (
            ("walltime", _WALLTIME, "'08:00:00' or '1-12' (days-hours)"),
            ("memory", _MEMORY, "'6GB'"),
        ):
            if not form.fullmatch(getattr(self, name)):
                raise ParameterError(
                    f"{name} = {getattr(self, name)!r}", where="[cluster]", mend=f"Write {example}."
                )

    def as_slurm(self) -> dict[str, Any]:
        """Return what `dask_jobqueue.SLURMCluster` is called with."""
        told: dict[str, Any] = {
            "queue": self.queue,
            "account": self.account,
            "interface": self.interface,
            "local_directory": self.local_directory,
        }
        return {
            **{key: value for key, value in told.items() if value},
            "cores": 1,  # threads of the worker: one scan at a time
            "job_cpu": self.cores,
            "memory": self.memory,
            "processes": 1,
            "walltime": self.walltime,
            "job_extra_directives": list(self.directives),
            "job_script_prologue": list(self.prologue),
            "scheduler_options": {"dashboard_address": ":0"},
        }


def read_cluster(config: Path | None) -> ClusterParams | None:
    """Return the table [cluster] of a settings file; None without one."""
    table = (read_config(config) if config else {}).get("cluster")
    if table is None:
        return None
    where = f"[cluster] of {config.name if config else 'settings'}"
    if not isinstance(table, Mapping):
        raise ParameterError(f"{table!r} is not a table", where=where, mend="Write [cluster].")
    kinds = get_type_hints(ClusterParams)
    known = [f.name for f in fields(ClusterParams)]
    given: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            raise ParameterError(
                f"unknown setting {key!r}", where=where, mend=f"Known: {', '.join(known)}."
            )
        wanted = kinds[key] if kinds[key] in (str, int) else list
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise ParameterError(
                f"{key} = {value!r}", where=where, mend=f"Give {_IN_WORDS[wanted]}."
            )
        given[key] = tuple(map(str, value)) if wanted is list else value
    return ClusterParams(**given)


_IN_WORDS = {str: "text", int: "a whole number", list: "a list of lines"}


def require_distributed() -> Any:
    """Return the module `distributed`; `DependencyError` says how to get it."""
    try:
        import distributed
    except ImportError:
        raise DependencyError(
            "the package distributed is not installed", where="--engine dask", mend=MISSING
        ) from None
    return distributed


@contextmanager
def local_cluster(n_workers: int) -> Iterator[str]:
    """Start processes on this computer; yield the address of their scheduler."""
    distributed = require_distributed()
    import dask

    # Dask gives up a worker that is not back within 15 s, which a busy computer needs to start one
    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": "1 hour"}),
        distributed.LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            processes=True,
            memory_limit=0,
            dashboard_address=":0",
            silence_logs="CRITICAL",
            preload=[leave_ctrl_c.__module__],
        ) as cluster,
    ):
        yield str(cluster.scheduler_address)


class Asked:
    """What SLURM last said to each job it was asked for; "" where it took the job."""

    def __init__(self) -> None:
        self.said: dict[str, str] = {}

    def refusal(self) -> str:
        """Return what was said when every job was refused, else ""."""
        return next(iter(self.said.values()), "") if all(self.said.values()) else ""


def _asking(base: Any, asked: Asked) -> Any:
    """Return dask-jobqueue's class of a job, which notes a refusal instead of raising it.

    What is raised there ends in a log as a traceback, and the cluster cannot be closed any more.
    """
    status: Any = import_module("distributed.core").Status

    class Job(base):  # type: ignore[misc]
        async def start(self) -> None:
            asked.said[self.name] = ""
            try:
                await super().start()
            except (OSError, RuntimeError, ValueError) as error:
                words = str(error).rpartition("stderr:\n")[2].split()
                asked.said[self.name] = " ".join(words) or type(error).__name__
                LOG.warning("SLURM refused a job: %s", asked.said[self.name])
                self.status = status.running  # until it is closed

        async def close(self) -> None:
            await super().close()
            self.status = status.closed

    return Job


@contextmanager
def slurm_cluster(params: ClusterParams) -> Iterator[tuple[str, Callable[[], str]]]:
    """Ask SLURM for jobs; yield the address of their scheduler, which runs here.

    And a function that returns what SLURM said, once it has refused every job.

    Raises
    ------
    DependencyError
        dask-jobqueue is not installed, or this computer has no sbatch.
    """
    require_distributed()
    try:
        with kept_ctrl_c():
            jobqueue: Any = import_module("dask_jobqueue")
    except ImportError:
        raise DependencyError(
            "the package dask-jobqueue is not installed", where="[cluster]", mend=MISSING
        ) from None
    if shutil.which("sbatch") is None:
        raise DependencyError(
            "this computer has no sbatch",
            where="[cluster]",
            mend="Start the run where SLURM takes jobs, most often on a login node; or start "
            "workers yourself and give --scheduler.",
        )
    asked = Asked()
    job = _asking(jobqueue.slurm.SLURMJob, asked)
    with jobqueue.SLURMCluster(job_cls=job, **params.as_slurm()) as cluster:
        # not `scale`: jobs that end, by their time or a fault, are asked for again
        cluster.adapt(minimum_jobs=params.jobs, maximum_jobs=params.jobs)
        yield str(cluster.scheduler_address), asked.refusal
