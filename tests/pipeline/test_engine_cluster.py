"""Where a cluster comes from: the table [cluster] and the job that SLURM is asked for."""

import pytest

from petechia.errors import FileError, ParameterError
from petechia.pipeline.engines.cluster import ClusterParams, read_cluster
from petechia.pipeline.engines.dask import DaskParams
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
    ],
)
def test_what_is_wrong_is_told(tmp_path, line, message):
    with pytest.raises(ParameterError, match=message):
        read_cluster(told(tmp_path, f"[cluster]\n{line}\n"))


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
