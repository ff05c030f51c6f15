"""Calls in child processes and in many Python threads at once."""

import multiprocessing
import os
import threading
import time
from functools import partial
from pathlib import Path

import bits_table
import numpy as np
import pytest
from child import run

import cnnref
from conformance.generation.arrays import draw
from conformance.operations import OPERATIONS

ROOT = Path(__file__).resolve().parents[2]
FORKS = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # fork in a process with threads: the point


@pytest.fixture(autouse=True)
def _threads():
    before = cnnref.get_num_threads()
    yield
    cnnref.set_num_threads(before)


def work(seed=0):
    """A convolution large enough for a team, its bits."""
    rng = np.random.default_rng(seed)
    A_prev, W = rng.standard_normal((4, 24, 24, 16)), rng.standard_normal((3, 3, 16, 32))
    Z, cache = cnnref.conv_forward(A_prev, W, np.zeros((1, 1, 1, 32)), {"stride": 1, "pad": 1})
    return Z.tobytes() + b"".join(g.tobytes() for g in cnnref.conv_backward(Z, cache))


def worker(seed):
    return work(seed), cnnref.get_num_threads()


@FORKS
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_pool_works_after_the_parent_used_threads(method):
    cnnref.set_num_threads(4)
    expected = [work(seed) for seed in range(4)]  # the parent's team of threads exists now
    with multiprocessing.get_context(method).Pool(2) as pool:
        found = pool.map_async(worker, range(4)).get(60)
    assert [bits for bits, _ in found] == expected
    if method == "fork":
        assert {threads for _, threads in found} == {1}


@FORKS
def test_joblib():
    joblib = pytest.importorskip("joblib")
    expected = [work(seed) for seed in range(4)]
    for backend in ("loky", "multiprocessing", "threading"):
        found = joblib.Parallel(n_jobs=2, backend=backend, timeout=60)(
            joblib.delayed(work)(seed) for seed in range(4)
        )
        assert found == expected, backend


def test_dataloader_workers():
    pytest.importorskip("torch")
    code = """
import cnnref, numpy as np, torch
class Images(torch.utils.data.Dataset):
    def __len__(self): return 12
    def __getitem__(self, i):
        x = np.random.default_rng(i).standard_normal((4, 64, 64, 8)).astype(np.float32)
        return cnnref.pool_forward(x, {"f": 2, "stride": 2})[0]
cnnref.set_num_threads(3)
expected = [Images()[i] for i in range(12)]
loader = torch.utils.data.DataLoader(Images(), 1, num_workers=2, timeout=30, multiprocessing_context="fork")
for want, got in zip(expected, loader, strict=True):
    assert np.array_equal(want, got[0].numpy())
print("ok")
"""
    assert run(code).splitlines()[-1] == "ok"


def test_many_python_threads_at_once():
    """Every function, on arrays large enough for a team; losses with each of their options."""
    implementation, calls = bits_table.Here("cnnref"), {}
    for case in bits_table.cases():
        options = [name for name in ("smooth", "ignore") if case.levels.get(name, "none") != "none"]
        name = " ".join([case.op, *options])
        if case.seed == 7 and case.dtype == "f32" and name not in calls:
            calls[name] = partial(bits_table.digests, implementation, case, draw(case))
    names = sorted(calls)
    expected = {name: calls[name]() for name in names}
    assert set(OPERATIONS) <= set(names)
    assert not [name for name in names if "error" in expected[name]]
    wrong, done, until = [], [], time.monotonic() + float(os.environ.get("CNNREF_THREADS_SECONDS", "2"))

    def hammer(offset):
        turn = offset * 7
        while time.monotonic() < until:
            name = names[turn % len(names)]
            if calls[name]() != expected[name]:
                wrong.append(name)
            turn += 1
            if offset == 0:
                cnnref.set_num_threads(1 + turn % 4)  # while others compute
        done.append(turn - offset * 7)

    threads = [threading.Thread(target=hammer, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong
    assert len(done) == 8
    assert min(done) > 0
