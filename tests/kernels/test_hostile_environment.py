"""Environment variables and the system's files are input from outside: nothing in them stops the import."""

import os
import subprocess
import sys

import pytest

from cnnref._limits import CACHE, cache_sizes, processors, quotas

HUGE = "9" * 5000
AFFINITY = processors({})
#: Values of a variable, and how many threads it leaves.
VALUES = {
    HUGE: AFFINITY,
    "0" * 5000 + "1": 1,
    f"1,{HUGE}": 1,
    "+1": 1,
    " 1 ": 1,
    "": AFFINITY,
    ",": AFFINITY,
    "-1": AFFINITY,
    "+-1": AFFINITY,
    "0": AFFINITY,
    "1.5": AFFINITY,
    "1e0": AFFINITY,
    "0x1": AFFINITY,
    "1_0": AFFINITY,
    "\u0661": AFFINITY,  # 1 in Arabic digits, which is none to the OpenMP runtime
    "\u00b9": AFFINITY,
    "\udcff": AFFINITY,
    "1\udcff": AFFINITY,
}


@pytest.mark.parametrize("variable", ["OMP_NUM_THREADS", "OMP_THREAD_LIMIT"])
@pytest.mark.parametrize("value", VALUES, ids=lambda value: ascii(value[:8]))
def test_values_of_variables(variable, value):
    assert processors({variable: value}) == VALUES[value]


CALLED_AND_FORKED = """
import os
import numpy as np
import cnnref


def call():
    A, W, b = np.ones((8, 40, 40, 16)), np.ones((3, 3, 16, 8)), np.ones((1, 1, 1, 8))
    return cnnref.conv_forward(A, W, b, {"stride": 1, "pad": 1})[0].max()


print(cnnref.get_num_threads())
print(call(), flush=True)
child = os.fork()
if child == 0:
    print(call(), flush=True)
    os._exit(0)
print(os.waitpid(child, 0)[1])
"""


@pytest.mark.parametrize("value", [HUGE, "\udcff", "-1", "+", ",,,", "", "9" * 8, "9" * 30])
def test_import_call_and_fork_survive(value):
    names = ("OMP_NUM_THREADS", "OMP_THREAD_LIMIT")
    done = subprocess.run(
        [sys.executable, "-c", CALLED_AND_FORKED],
        env=os.environ | dict.fromkeys(names, value),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    threads, *said = done.stdout.splitlines()
    assert 1 <= int(threads) <= AFFINITY
    assert said == ["145.0", "145.0", "0"]


@pytest.mark.parametrize("value", [HUGE, "\udcff", "avx512\u00b9", "../avx2"])
def test_an_instruction_set_that_is_none_is_named(value):
    done = subprocess.run(
        [sys.executable, "-c", "import cnnref"],
        env=os.environ | {"CNNREF_ISA": value},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert "ImportError: cnnref: CNNREF_ISA is " in done.stderr
    assert len(done.stderr.splitlines()[-1]) < 300


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1024K", 1 << 20),
        ("32M\n", 32 << 20),
        (f"{HUGE}K", CACHE),
        ("9" * 400 + "M", CACHE),
        ("-1K", CACHE),
        ("0K", CACHE),
        ("\u0661K", CACHE),
        ("K", CACHE),
        ("", CACHE),
        (b"\xff\xfeK", CACHE),
        ("12G", CACHE),
    ],
)
def test_sizes_of_caches(tmp_path, text, size):
    path = tmp_path / "sys/devices/system/cpu/cpu0/cache/index0/size"
    path.parent.mkdir(parents=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert cache_sizes(tmp_path)[1] == size


@pytest.mark.parametrize(
    "text",
    [f"{HUGE} 1", f"1 {HUGE}", "9" * 400 + " 1", "-1 -1", "1 0", "\u0661 1", "1", "", "max max", b"\xff 1"],
)
def test_quotas_of_groups(tmp_path, text):
    group = tmp_path / "sys/fs/cgroup"
    for path, content in (
        (tmp_path / "proc/self/cgroup", "0::/\n3:cpu:/\n"),
        (group / "cpu.max", text),
        (group / "cpu/cpu.cfs_quota_us", text),
        (group / "cpu/cpu.cfs_period_us", text),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert all(quota >= 1 for quota in quotas(tmp_path))
    assert processors({}, tmp_path) >= 1


@pytest.mark.parametrize(
    "line", ["0::/\0x", "0::/" + "a/" * 5000, "0::/" + "a" * 5000, "0::/../" * 50, "::", "0::"]
)
def test_paths_of_groups(tmp_path, line):
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(line)
    assert list(quotas(tmp_path)) == []
