"""A run on a Dask cluster whose workers are killed: the records of a run here, none lost, none twice."""

import os
import signal
import threading
import time

import pytest

from conformance.cli import main
from conformance.runs.options import Options, Shard, Sweep, SweepError
from conformance.runs.run import run

distributed = pytest.importorskip("distributed")

OPTIONS = Options("numpy_loops", ("affine_backward", "relu", "softmax"), ("f32", "f64"), 500, 5)

#: A part: what a run does when all cases are judged has no place here.
HALF = Shard(1, 2)

#: What distributed leaves to the collector when its processes are killed.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
    ) as running:
        yield running


def test_workers_killed_while_it_runs_lose_nothing_and_count_nothing_twice(cluster, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    run(OPTIONS, here, sweep=Sweep(shard=HALF))
    killed, finished = [], threading.Event()
    results = there / "results.jsonl"

    def kill():
        """One worker after the other, each when more has been recorded."""
        for share in (0.02, 0.2, 0.4):
            wanted = share * (here / "results.jsonl").stat().st_size
            while not finished.is_set() and not (results.exists() and results.stat().st_size > wanted):
                time.sleep(0.01)
            pids = [nanny.pid for nanny in cluster.workers.values() if nanny.pid]
            if pids and not finished.is_set():
                os.kill(pids[len(killed) % len(pids)], signal.SIGKILL)
                killed.append(pids)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        result = run(OPTIONS, there, sweep=Sweep(shard=HALF, dask=cluster.scheduler_address))
    finally:
        finished.set()
        killer.join()
    assert len(killed) >= 2
    assert results.read_bytes() == (here / "results.jsonl").read_bytes()
    assert result.agrees
    assert result.summary["cases"] == 6 * 250
    assert len({line.split(b'"')[3] for line in results.read_bytes().splitlines()}) == 6 * 250


def test_a_kernel_that_crashes_is_one_failed_case_there_too(cluster, tmp_path):
    path = tmp_path / "bad.py"
    path.write_text(
        "import os, numpy as np\n"
        "def relu(Z):\n"
        "    if Z.shape[-1] == 9: os.abort()\n"
        "    return np.maximum(Z, 0), Z\n"
    )
    options = Options(str(path), ("relu",), ("f32",), 100, 0)
    results = []
    for name, dask in (("here", None), ("there", cluster.scheduler_address)):
        run(options, tmp_path / name, sweep=Sweep(shard=HALF, dask=dask))
        results.append((tmp_path / name / "results.jsonl").read_bytes())
    assert results[0] == results[1]
    assert b"SIGABRT" in results[0]


def test_no_scheduler_is_said_so(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("conformance.runs.dask.PATIENCE", 1)
    with pytest.raises(SweepError, match="no scheduler answers there"):
        run(OPTIONS, tmp_path, sweep=Sweep(dask="tcp://127.0.0.1:9"))
    arguments = ["run", "--dask", "nonsense", "--out", str(tmp_path / "out")]
    assert main(arguments) == 2
    assert "--dask nonsense: no scheduler answers there" in capsys.readouterr().err
