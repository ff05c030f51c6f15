"""Calls in child processes and threads, interrupted runs, and how many threads are started."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import bits_table
import numpy as np
import pytest

import cnnref
from cnnref._limits import processors, quotas
from conformance.data import draw
from conformance.implementation import load
from conformance.operations import OPERATIONS

ROOT = Path(__file__).resolve().parents[1]
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


def run(code, timeout=60, **env):
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, **env}, capture_output=True, text=True,
        timeout=timeout,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


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
    implementation, calls = load("cnnref"), {}
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


# ------------------------------------------------------------------------------------------- how many threads


COUNT = "import cnnref; print(cnnref.get_num_threads())"


def test_omp_num_threads_is_respected():
    affinity = len(os.sched_getaffinity(0))
    assert run(COUNT, OMP_NUM_THREADS="1") == "1"
    assert run(COUNT, OMP_NUM_THREADS="1,4") == "1"
    assert run(COUNT, OMP_THREAD_LIMIT="1") == "1"
    assert int(run(COUNT, OMP_NUM_THREADS="4096")) <= affinity
    assert int(run(COUNT, OMP_NUM_THREADS="nonsense")) <= affinity


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity here")
def test_affinity_is_respected():
    code = f"import os; os.sched_setaffinity(0, {{{min(os.sched_getaffinity(0))}}}); {COUNT}"
    assert run(code) == "1"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, [2]),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, []),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/cpu.max": "300000 100000\n"}, [3]),
        (
            {
                "proc/self/cgroup": "4:memory:/x\n3:cpu,cpuacct:/x\n",
                "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "50000\n",
                "sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000\n",
            },
            [1],
        ),
        (
            {
                "proc/self/cgroup": "3:cpu:/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            [],
        ),
        ({"proc/self/cgroup": "0::/../../x\n", "sys/fs/cgroup/cpu.max": "1000 100000\n"}, [1]),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "damaged"}, []),
        ({"proc/self/cgroup": "nothing of the kind"}, []),
        ({}, []),
    ],
)
def test_container_quotas(tmp_path, files, expected):
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert list(quotas(tmp_path)) == expected
    assert processors({}, tmp_path) == min([len(os.sched_getaffinity(0)), *expected])


def test_threadpoolctl_is_respected():
    pytest.importorskip("threadpoolctl")
    if not cnnref.show_config("dicts")["openmp"]:
        pytest.skip("this build has no OpenMP")
    code = """
import cnnref, threadpoolctl
cnnref.set_num_threads(8)
with threadpoolctl.threadpool_limits(1): print(cnnref.get_num_threads())
print(cnnref.get_num_threads())
"""
    # A limit equal to the runtime's own count cannot be told from no limit, so that count is not 1 here.
    assert run(code, OMP_NUM_THREADS="2").split() == ["1", "8"]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="no /proc here")
def test_a_call_starts_no_more_threads_than_it_was_given():
    code = """
import os, numpy as np, cnnref, threading
cnnref.set_num_threads({n})
x = np.ones((8, 64, 64, 16))
before = len(os.listdir("/proc/self/task"))
for _ in range(5): cnnref.relu(x); cnnref.pool_forward(x, {{"f": 2, "stride": 2}})
print(len(os.listdir("/proc/self/task")) - before)
"""
    for n in (1, 3):
        assert int(run(code.format(n=n))) <= n - 1


# ----------------------------------------------------------------------------------------------- interruption


def test_an_interrupted_run_stops_promptly_and_keeps_what_it_recorded(tmp_path):
    command = [sys.executable, "-m", "conformance", "run", "--impl", "numpy_loops", "--cases", "500"]
    process = subprocess.Popen(
        [*command, "--out", str(tmp_path)], cwd=ROOT, stderr=subprocess.PIPE, start_new_session=True
    )
    results, until = tmp_path / "results.jsonl", time.monotonic() + 60
    while time.monotonic() < until and not (results.exists() and results.stat().st_size > 20_000):
        time.sleep(0.02)
    started = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole group
    _, said = process.communicate(timeout=30)
    assert time.monotonic() - started < 5
    assert process.returncode == 2
    assert b"interrupted" in said
    assert b"Traceback" not in said
    lines = results.read_text().splitlines()
    assert len(lines) > 20
    assert all(json.loads(line)["status"] for line in lines)


LONG = """
import json, os, signal, sys, threading, time
import numpy as np, cnnref
x, w, b = (np.full(s, 0.5, np.float32) for s in ((32, 160, 160, 64), (5, 5, 64, 128), (1, 1, 1, 128)))
same, dZ = {"stride": 1, "pad": 2}, np.full((32, 160, 160, 128), 0.5, np.float32)
m, n = np.full((7000, 7000), 0.5), np.full((1, 7000), 0.5)
image = x.reshape(8, 320, 320, 64)
pool, wide = {"f": 60, "stride": 1}, np.full((8, 261, 261, 64), 0.5, np.float32)
calls = {
    "conv_forward": lambda: cnnref.conv_forward(x, w, b, same),
    "dW": lambda: cnnref.conv_backward(dZ, (x, w, b, same)),
    "dA_prev": lambda: cnnref.conv_backward(x, (dZ, w.reshape(5, 5, 128, 64), b[..., :64], same)),
    "affine_forward": lambda: cnnref.affine_forward(m, m, n),
    "affine_backward": lambda: cnnref.affine_backward(m, (m, m, n)),
    "pool_forward": lambda: cnnref.pool_forward(image, pool),
    "pool_backward": lambda: cnnref.pool_backward(wide, (image, pool), "average"),
}
small = lambda: cnnref.conv_forward(x[:1], w, b, same)[0].tobytes()
before, found = small(), {}
for name, call in calls.items():
    sent = []
    interrupt = lambda: (sent.append(time.process_time()), os.kill(os.getpid(), signal.SIGINT))
    timer = threading.Timer(0.2, interrupt)
    timer.start()
    try:
        call()
        timer.join()
        found[name] = "returned"
        time.sleep(0.1)
    except KeyboardInterrupt:
        found[name] = time.process_time() - sent[0]
assert small() == before
print(json.dumps(found))
"""


@pytest.mark.parametrize("threads", ["1", "2"])
def test_ctrl_c_ends_a_long_call(threads):
    """Each call takes several seconds of processor time, of which little is spent after the signal."""
    found = json.loads(run(LONG, timeout=240, OMP_NUM_THREADS=threads))
    assert len(found) == 7
    assert not [name for name, seconds in found.items() if seconds == "returned"]
    assert max(found.values()) < 2, found


PENDING = """
import ctypes, functools, json, signal, time
import numpy as np, cnnref
rng = np.random.default_rng(0)
x = rng.random((16, 128, 128, 32), np.float32)
rows, labels = x.reshape(65536, 128), np.zeros(65536, int)
channel, w = x[:1, :1, :1], rng.random((3, 3, 32, 32), np.float32)
norm, same = {"training": True}, {"stride": 1, "pad": 1}
pools = {"plain": {"f": 2, "stride": 2}, "padded": {"f": 3, "stride": 1, "pad": 1}}
losses = {"label_smoothing": 0.1}
entropy = cnnref.cross_entropy_cost(rows, labels, **losses)[1]
part = functools.partial
calls = {
    "pad3d": part(cnnref.pad3d, x), "pad3d_backward": part(cnnref.pad3d_backward, x),
    "arr2col": part(cnnref.arr2col, x), "col2arr": part(cnnref.col2arr, x.reshape(16, -1), x),
    "conv_forward": part(cnnref.conv_forward, x, w, channel, same),
    "conv_backward": part(cnnref.conv_backward, x, (x, w, channel, same)),
    "conv_transpose_forward": part(cnnref.conv_transpose_forward, x, w, channel, same),
    "conv_transpose_backward": part(cnnref.conv_transpose_backward, x, (x, w, channel, same)),
    "affine_forward": part(cnnref.affine_forward, rows, rows[:128], rows[:1]),
    "affine_backward": part(cnnref.affine_backward, rows, (rows, rows[:128], rows[:1])),
    "global_average_pool_forward": part(cnnref.global_average_pool_forward, x),
    "global_average_pool_backward": part(cnnref.global_average_pool_backward, x[:, :1, :1], x),
    "batch_norm_forward": part(cnnref.batch_norm_forward, x, channel, channel, None, None, norm),
    "batch_norm_forward, inference": part(
        cnnref.batch_norm_forward, x, channel, channel, channel, channel, {"training": False}
    ),
    "batch_norm_backward": part(
        cnnref.batch_norm_backward, x, (x, channel, channel, channel, None, None, norm)
    ),
    "softmax": part(cnnref.softmax, rows), "softmax_backward": part(cnnref.softmax_backward, rows, rows),
    "narrow softmax": part(cnnref.softmax, x.reshape(-1, 32)),
    "log_softmax": part(cnnref.log_softmax, rows),
    "log_softmax_backward": part(cnnref.log_softmax_backward, rows, rows),
    "cross_entropy_cost": part(cnnref.cross_entropy_cost, rows, labels, **losses),
    "cross_entropy_backward": part(cnnref.cross_entropy_backward, entropy, **losses),
    "softmax_cross_entropy_backward": part(cnnref.softmax_cross_entropy_backward, entropy, **losses),
}
for name in ("sigmoid", "relu", "tanh", "silu", "gelu", "leaky_relu"):
    calls[name] = part(getattr(cnnref, name), x)
    calls[f"{name}_backward"] = part(getattr(cnnref, f"{name}_backward"), x, x)
for name, given in pools.items():
    for mode in ("max", "average"):
        A, cache = cnnref.pool_forward(x, given, mode)
        calls[f"{name} {mode} pool_forward"] = part(cnnref.pool_forward, x, given, mode)
        calls[f"{name} {mode} pool_backward"] = part(cnnref.pool_backward, A, cache, mode)
signalled = part(getattr(ctypes.CDLL(None), "raise"), signal.SIGINT)
unanswered = []
for name, call in calls.items():
    returned = part(unanswered.append, name)
    time.sleep(0.11)  # a call looks for signals ten times a second
    try:  # one after the other without Python code between them, which would answer the signal itself
        list(map(part.__call__, (signalled, call, returned)))
    except KeyboardInterrupt:
        continue
    raise AssertionError("no KeyboardInterrupt at all")
print(json.dumps([sorted(calls), unanswered]))
"""

#: Composed of others (with Python code between them), or of one window only.
NOT_LONG = {
    "affine_activation_forward", "affine_activation_backward", "conv_single_step", "create_mask_from_window",
    "distribute_value",
}  # fmt: skip


@pytest.mark.parametrize("threads", ["1", "2"])
def test_every_function_asks_whether_it_is_to_stop(threads):
    """A signal that has come when a call starts ends it before it returns, whatever the time that takes."""
    called, unanswered = json.loads(run(PENDING, timeout=120, OMP_NUM_THREADS=threads))
    assert unanswered == []
    functions = {name.split(",")[0].split()[-1] for name in called}
    assert functions | NOT_LONG >= set(OPERATIONS)


def test_a_signal_handler_may_call_and_a_call_goes_on_when_it_returns():
    code = """
import os, signal, threading, numpy as np, cnnref
x, w, b = (np.full(s, 0.5, np.float32) for s in ((16, 160, 160, 64), (5, 5, 64, 64), (1, 1, 1, 64)))
call = lambda x: cnnref.conv_forward(x, w, b, {"stride": 1, "pad": 2})[0].tobytes()
whole, part, seen = call(x), call(x[:1]), []
signal.signal(signal.SIGINT, lambda number, frame: seen.append(call(x[:1]) == part))
threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
while not seen:
    assert call(x) == whole
print(seen)
"""
    assert run(code) == "[True]"


def test_a_call_in_another_thread_is_not_stopped():
    code = """
import os, signal, threading, numpy as np, cnnref
x, w, b = (np.full(s, 0.5, np.float32) for s in ((16, 160, 160, 64), (5, 5, 64, 64), (1, 1, 1, 64)))
call = lambda: cnnref.conv_forward(x, w, b, {"stride": 1, "pad": 2})[0].tobytes()
whole, found = call(), []
other = threading.Thread(target=lambda: found.extend(call() == whole for _ in range(3)))
other.start()
threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
try:
    while True: call()
except KeyboardInterrupt:
    pass
other.join()
print(found)
"""
    assert run(code) == "[True, True, True]"
