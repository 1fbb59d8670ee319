"""The Dask engine: whatever dies on the way, every scan ends once and none is lost."""

import builtins
import errno
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path

import cloudpickle
import pytest

from petechia.errors import DependencyError, ParameterError, TransferError
from petechia.pipeline.engines.dask import DaskParams, dask
from petechia.pipeline.engines.ledger import Care

distributed = pytest.importorskip("distributed")
cloudpickle.register_pickle_by_value(sys.modules[__name__])

pytestmark = [
    pytest.mark.xdist_group("dask"),
    # of distributed's own threads and sockets, when a process of the cluster is killed
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]

# workers cannot import this test module: the job is a function they can, Python's own
JOB = builtins.eval
DIE = "__import__('os').kill(__import__('os').getpid(), 9)"
WORKER = "__import__('distributed').get_worker().name"


def care(**more):
    return Care(
        lost=lambda item, why: "lost",
        again=lambda outcome: outcome if outcome in ("later", "elsewhere") else "no",
        **{"pause_s": 0.05, **more},
    )


@pytest.fixture(scope="module")
def cluster():
    from petechia.pipeline.engines.cluster import local_cluster

    with local_cluster(2) as address:
        yield address


def at(cluster: str) -> DaskParams:
    with distributed.Client(cluster, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=120)  # a killed one comes back
    return DaskParams(scheduler=cluster, patience_s=120.0)


def counted(mark: Path, then: str) -> str:
    """Return an item that leaves a line in a file each time it is run."""
    return f"(open({str(mark)!r}, 'a').write('x'), {then})[1]"


def test_a_killed_worker_costs_nobody_else_and_poison_is_set_aside(cluster, tmp_path):
    mark, tried = tmp_path / "mark", tmp_path / "tried"
    once = f"4 if __import__('pathlib').Path({str(mark)!r}).exists() else "
    once += f"(__import__('pathlib').Path({str(mark)!r}).touch(), {DIE})"
    poison = counted(tried, DIE)
    fine = {f"{n}+{n}": 2 * n for n in range(8)}
    items = [*list(fine)[:2], poison, once, *list(fine)[2:]]
    got = list(dask(JOB, items, at(cluster), care=care()))
    assert len(got) == len(items)
    assert dict(got) == {**fine, poison: "lost", once: 4}
    assert tried.read_text() == "xx"  # two workers died of it, a third is not risked


def test_what_fails_at_one_node_is_done_at_another(cluster):
    where = at(cluster)
    with distributed.Client(cluster, set_as_default=False) as client:
        bad = min(client.run(lambda dask_worker: dask_worker.name).values())
    items = [f"'elsewhere' if {WORKER} == {bad!r} else {n}" for n in range(12)]
    got = dict(dask(JOB, items, where, care=care()))
    assert [got[item] for item in items] == list(range(12))


def test_a_fault_at_every_node_is_told(cluster, tmp_path):
    item = counted(tmp_path / "tried", "'elsewhere'")
    assert list(dask(JOB, [item], at(cluster), care=care())) == [(item, "elsewhere")]
    assert (tmp_path / "tried").read_text() == "xxx"


def test_on_one_computer_a_fault_of_it_is_told_once_and_one_that_may_pass_tried_again(tmp_path):
    full, slow = (counted(tmp_path / word, f"{word!r}") for word in ("elsewhere", "later"))
    got = list(dask(JOB, [full, slow], DaskParams(n_procs=2), care=care()))
    assert dict(got) == {full: "elsewhere", slow: "later"}
    assert (tmp_path / "elsewhere").read_text() == "x"
    assert (tmp_path / "later").read_text() == "xxx"


def started(*words) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "dask", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def end(processes) -> None:
    for process in processes:
        process.kill()
        process.wait(timeout=30)


def test_a_scheduler_that_is_restarted_loses_nothing_and_repeats_nothing(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    scheduler = ("scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")
    worker = (
        "worker",
        f"tcp://127.0.0.1:{port}",
        "--nthreads",
        "1",
        "--no-nanny",
        "--no-dashboard",
    )
    items = [
        counted(tmp_path / f"{n}", f"(__import__('time').sleep(0.1), {n})[1]") for n in range(20)
    ]
    params = DaskParams(scheduler=f"tcp://127.0.0.1:{port}", patience_s=120.0)
    running, got, when_it_fell = [started(*scheduler), started(*worker)], [], 0
    try:
        for outcome in dask(JOB, items, params, care=care()):
            got.append(outcome)
            if len(got) == 6:
                end(running)
                when_it_fell = len(got)
                running = [started(*scheduler), started(*worker)]
    finally:
        end(running)
    assert when_it_fell == 6
    assert sorted(value for _, value in got) == list(range(20))
    runs = Counter(len((tmp_path / f"{n}").read_text()) for n in range(20))
    assert set(runs) <= {1, 2}
    assert runs[2] <= 1  # at most what ran when the scheduler fell
    ended = [int(value) for _, value in got[:6]]
    assert all(len((tmp_path / f"{n}").read_text()) == 1 for n in ended)


def test_no_scheduler_is_told_with_its_address():
    with pytest.raises(TransferError, match=r"tcp://127.0.0.1:9.*dask scheduler"):
        list(
            dask(JOB, ["1"], DaskParams(scheduler="tcp://127.0.0.1:9", patience_s=0.0), care=care())
        )
    with pytest.raises(TransferError, match="--scheduler nonsense"):
        list(dask(JOB, ["1"], DaskParams(scheduler="nonsense://x", patience_s=0.0), care=care()))
    # one that never answered is waited for less long than one that is gone
    hasty = DaskParams(scheduler="tcp://127.0.0.1:9", first_patience_s=0.0)
    with pytest.raises(TransferError, match=r"tcp://127.0.0.1:9.*dask scheduler"):
        list(dask(JOB, ["1"], hasty, care=care()))
    with pytest.raises(ParameterError, match="--n-procs: 0 workers"):
        DaskParams(n_procs=0)


def test_without_the_extra_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(DependencyError, match=r"pip install 'petechia\[cluster\]'"):
        list(dask(JOB, ["1"], DaskParams(), care=care()))


# --- scans, from files to reports


def tables(out: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.name.endswith((".tsv", ".nii.gz"))
    }


def no_space(dask_worker) -> None:
    """Let every volume that this worker writes meet a full disk."""
    from petechia.files import writing

    def full(*_: object, **__: object) -> None:
        error = OSError(errno.ENOSPC, "No space left on device")
        raise writing.output_error(error, Path("volume")) from error

    dask_worker.kept, writing.write_nifti = writing.write_nifti, full


def space_again(dask_worker) -> None:
    from petechia.files import writing

    writing.write_nifti = dask_worker.kept


def test_tables_are_the_same_bytes_as_here_with_a_corrupt_scan_and_a_node_without_disk(
    cluster, petechia, noise_dataset, tmp_path, monkeypatch
):
    raw = noise_dataset(subjects=("01", "02", "03", "04"))
    torn = raw / "sub-02" / "anat" / "sub-02_echo-2_part-mag_MEGRE.nii.gz"
    torn.write_bytes(torn.read_bytes()[:-3000])
    assert petechia("run", raw, tmp_path / "here").code == 3
    monkeypatch.chdir(tmp_path)  # relative places reach workers whose folder is another
    address = at(cluster).scheduler
    with distributed.Client(cluster, set_as_default=False) as client:
        bad = [min(client.nthreads())]
        client.run(no_space, workers=bad)
        try:
            said = petechia("run", "raw", "there", "--engine", "dask", "--scheduler", address)
        finally:
            client.run(space_again, workers=bad)
    assert said.code == 3
    assert "3 of 4 scans done, 1 failed" in said.out
    assert "truncated or corrupt NIfTI" in said.out
    assert tables(tmp_path / "there") == tables(tmp_path / "here")
    assert len(tables(tmp_path / "there")) > 10
    crashes = sorted(path.name for path in (tmp_path / "there" / "logs").glob("*_crash.json"))
    assert crashes == ["sub-02_crash.json"]  # the full disk left no trace: another did the work
    logs = sorted(path.name for path in (tmp_path / "there" / "logs").glob("*.log"))
    assert len(logs) == 4
    again = petechia("run", "raw", "there", "--engine", "dask", "--scheduler", address)
    assert [line.split()[1] for line in sorted(again.out.splitlines()) if line[:4] == "sub-"] == [
        "skipped", "failed", "skipped", "skipped",
    ]  # fmt: skip


def test_a_worker_without_the_output_folder_or_with_another_version_is_told():
    from petechia.files.scan import ScanName, ScanRef
    from petechia.pipeline.run import _far_job

    ref = ScanRef(name=ScanName((("sub", "01"),)), kind="BIDS", load=int)
    nowhere = _far_job(ref, None, Path("/nowhere"), __import__("petechia").__version__)
    assert (nowhere.status, nowhere.again) == ("failed", "elsewhere")
    assert "a disk that all nodes mount" in nowhere.message
    other = _far_job(ref, None, Path("/nowhere"), "0.0.1")
    assert (other.status, other.again) == ("failed", "no")
    assert "same version on all nodes" in other.message


def test_scheduler_words_need_the_engine(petechia, noise_dataset, tmp_path):
    said = petechia("run", noise_dataset(), tmp_path / "out", "--scheduler", "tcp://x:1")
    assert said.code == 2
    assert "--engine dask" in said.err
