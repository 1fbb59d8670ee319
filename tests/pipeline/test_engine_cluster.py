"""Where a cluster comes from: the table [cluster] and the job that SLURM is asked for."""

import builtins
import os
import subprocess
import sys

import pytest

from petechia.errors import DependencyError, FileError, ParameterError, TransferError
from petechia.pipeline.engines.cluster import Asked, ClusterParams, read_cluster
from petechia.pipeline.engines.dask import DaskParams, dask
from petechia.pipeline.engines.ledger import Care
from petechia.pipeline.settings import Settings

TABLE = """
preset = "fast"
[cluster]
jobs = 20
queue = "batch"
account = "imaging"
walltime = "02:00:00"
cores = 4
memory = "8GB"
directives = ["--constraint=cpu"]
prologue = ["module load python"]
"""


def told(tmp_path, text):
    path = tmp_path / "settings.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_table_is_read_and_is_no_setting_of_results(tmp_path):
    path = told(tmp_path, TABLE)
    params = read_cluster(path)
    assert (params.jobs, params.cores, params.directives) == (20, 4, ("--constraint=cpu",))
    assert Settings.build(config=path) == Settings.build(preset="fast")
    assert read_cluster(None) is None
    assert read_cluster(told(tmp_path, 'preset = "fast"')) is None


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("kind = 'pbs'", "Only 'slurm' is started here"),
        ("jobs = 0", "Give 1 or more"),
        ("jobs = 'many'", "Give a whole number"),
        ("jobs = true", "Give a whole number"),
        ("directives = '--x'", "Give a list of lines"),
        ("partition = 'a'", "unknown setting 'partition'"),
        ("walltime = '8 hours please'", r"walltime = '8 hours please'. Write '08:00:00'"),
        ("walltime = '08:00:00:00'", "Write '08:00:00'"),
        ("memory = 'lots'", "memory = 'lots'. Write '6GB'"),
        ("memory = '-6GB'", "Write '6GB'"),
    ],
)
def test_what_is_wrong_is_told(tmp_path, line, message):
    with pytest.raises(ParameterError, match=message):
        read_cluster(told(tmp_path, f"[cluster]\n{line}\n"))


@pytest.mark.parametrize("walltime", ["90", "90:00", "08:00:00", "1-12", "1-12:30:00", "UNLIMITED"])
@pytest.mark.parametrize("memory", ["6GB", "6 GiB", "512mb", "1.5g", "6000000000"])
def test_what_slurm_and_dask_understand_is_taken(walltime, memory):
    assert ClusterParams(walltime=walltime, memory=memory).memory == memory


def test_a_file_that_is_not_there_and_a_table_that_is_none(tmp_path):
    with pytest.raises(FileError, match="no such file"):
        read_cluster(tmp_path / "none.toml")
    with pytest.raises(ParameterError, match=r"Write \[cluster\]"):
        read_cluster(told(tmp_path, "cluster = 3"))
    with pytest.raises(ParameterError, match="Leave one of them out"):
        DaskParams(scheduler="tcp://x:1", cluster=ClusterParams())


@pytest.mark.filterwarnings("ignore")
def test_the_job_that_slurm_gets_holds_one_worker_of_one_thread(tmp_path):
    jobqueue = pytest.importorskip("dask_jobqueue")
    params = read_cluster(told(tmp_path, TABLE))
    with jobqueue.SLURMCluster(**params.as_slurm()) as cluster:
        script = cluster.job_script()
    lines = script.splitlines()
    for wanted in ("#SBATCH -p batch", "#SBATCH -A imaging", "#SBATCH --cpus-per-task=4",
                   "#SBATCH -t 02:00:00", "#SBATCH --constraint=cpu", "module load python"):  # fmt: skip
        assert wanted in lines, script
    assert "--nthreads 1" in script
    assert "--nworkers" not in script or "--nworkers 1" in script


CARE = Care(lost=lambda item, why: f"lost: {why}")
REFUSES = "echo 'sbatch: error: Batch job submission failed: Invalid account' >&2; exit 1\n"
TAKES_ONE = f"""cp "$1" "$0.job.$$"
mkdir "$0.taken" 2>/dev/null || {{ {REFUSES.strip()}; }}
sh "$0.job.$$" >/dev/null 2>&1 &
echo "Submitted batch job $!"
"""
"""Plays SLURM: the first job runs here, the others are refused."""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Puts a program that plays `sbatch` before all others."""

    pytest.importorskip("dask_jobqueue")

    def play(script):
        place = tmp_path / "bin"
        place.mkdir()
        for name, text in (("sbatch", script), ("scancel", 'kill "$1" 2>/dev/null\n')):
            (place / name).write_text(f"#!/bin/sh\n{text}")
            (place / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{place}{os.pathsep}{os.environ['PATH']}")
        return DaskParams(cluster=ClusterParams(jobs=2, memory="1GB"))

    return play


@pytest.mark.xdist_group("dask")
@pytest.mark.filterwarnings("ignore")
def test_a_refusal_of_every_job_ends_the_run_with_what_sbatch_said(slurm, caplog):
    params = slurm(REFUSES)
    with pytest.raises(TransferError, match=r"\[cluster\]: .*failed: Invalid account\)"):
        list(dask(builtins.eval, ["1+1"], params, care=CARE))
    assert "Traceback" not in caplog.text


@pytest.mark.xdist_group("dask")
@pytest.mark.filterwarnings("ignore")  # of distributed's own threads and sockets
def test_one_job_that_is_taken_is_enough(slurm):
    params = slurm(TAKES_ONE)
    assert list(dask(builtins.eval, ["1+1"], params, care=CARE)) == [("1+1", 2)]


@pytest.mark.xdist_group("dask")
@pytest.mark.filterwarnings("ignore")  # of distributed's own threads and sockets
def test_a_computer_without_sbatch_is_told(monkeypatch, tmp_path):
    pytest.importorskip("dask_jobqueue")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DependencyError, match=r"\[cluster\]: this computer has no sbatch"):
        list(dask(builtins.eval, ["1+1"], DaskParams(cluster=ClusterParams()), care=CARE))


STOPPED = """
import builtins, os, signal, sys, threading
signal.signal(signal.SIGINT, signal.default_int_handler)
from petechia.pipeline.engines.cluster import ClusterParams
from petechia.pipeline.engines.dask import _Carrier, DaskParams, dask
from petechia.pipeline.engines.ledger import Care
look = _Carrier._look
def looked(carrier):
    look(carrier)
    os.kill(os.getpid(), signal.SIGINT)
_Carrier._look = looked
params = DaskParams(cluster=ClusterParams(jobs=1, memory="1GB"))
try:
    list(dask(builtins.eval, ["1"], params, care=Care(lost=lambda item, why: why)))
except KeyboardInterrupt:
    print("stopped")
"""


def test_ctrl_c_stops_a_run_whose_jobs_wait(slurm):
    slurm("echo 'Submitted batch job 77'\n")  # and never begins
    done = subprocess.run([sys.executable, "-c", STOPPED], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "stopped\n", "")


def test_only_when_nothing_is_asked_any_more_all_is_refused():
    asked = Asked()
    assert asked.refusal() == ""
    asked.said = {"a": "no account", "b": ""}
    assert asked.refusal() == ""
    asked.said = {"a": "no account", "b": "no account"}
    assert asked.refusal() == "no account"
