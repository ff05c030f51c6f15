"""How many threads a call starts: what affinity, quotas, the environment and threadpoolctl leave."""

import os
from pathlib import Path

import pytest
from child import run

import cnnref
from cnnref._limits import processors, quotas

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


def test_a_build_without_openmp_says_so():
    """To a person, in the dictionary and in the report."""
    code = """
import sys, types
sys.modules["cnnref._processor"] = types.ModuleType("cnnref._processor")
sys.modules["cnnref._processor"].__dict__.update(
    runnable=lambda: ("baseline",), compiler=lambda: "none", openmp=lambda: {date}
)
import cnnref
cnnref.show_config()
print(cnnref.show_config("dicts")["openmp"], cnnref.build)
"""
    said = run(code.format(date=0))
    assert '"openmp": "not in this build: one thread"' in said
    assert said.endswith("None built without OpenMP: one thread")
    said = run(code.format(date=201511))
    assert '"openmp": 201511' in said
    assert said.endswith("201511")


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
