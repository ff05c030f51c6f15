"""Threads that cannot be started, for want of processes or memory: the right values or MemoryError."""

import os
import subprocess
import sys

import pytest

from cnnref._limits import stack_size

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits as Linux has them")

CHILD = """
import hashlib, os, resource, sys, threading
import numpy as np
import cnnref

threads, kind, amount, callers, small_first = sys.argv[1:]
amount, callers = int(amount), int(callers)
rng = np.random.default_rng(0)
A, W = rng.standard_normal((8, 40, 40, 16)).astype("f"), rng.standard_normal((3, 3, 16, 32)).astype("f")
b, rows = np.ones((1, 1, 1, 32), "f"), rng.standard_normal((9000, 10))
cnnref.set_num_threads(int(threads))


def value():
    try:
        # A team that is smaller between two that are not, and the other way round.
        Z = cnnref.conv_forward(A, W, b, {"stride": 1, "pad": 1})[0]
        P = cnnref.softmax(rows)[0]
        G = cnnref.conv_backward(Z, (A, W, b, {"stride": 1, "pad": 1}))[1]
    except MemoryError:
        return "MemoryError"
    return hashlib.sha256(Z.tobytes() + P.tobytes() + G.tobytes()).hexdigest()


def call(number):
    if small_first == "small":
        cnnref.softmax(rows[:1300])  # a team of two
    ready.wait()
    go.wait()
    found[number] = [value() for _ in range(3)]


found, ready, go = [None] * callers, threading.Barrier(callers + 1), threading.Event()
team = [threading.Thread(target=call, args=(i,)) for i in range(callers)]
for thread in team:
    thread.start()
ready.wait()
if kind == "processes":
    if os.getuid() == 0:
        os.setresuid(64123, 64123, 0)
    resource.setrlimit(resource.RLIMIT_NPROC, (amount, amount))
elif kind == "memory":
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + amount * 2**20,) * 2)
go.set()
for thread in team:
    thread.join()
print(*sorted({v for values in found for v in values}))
if 0 in os.getresuid():
    os.setresuid(0, 0, 0)  # LLVM's runtime asserts, as it leaves, that it is the user it began as
"""


def child(program, *arguments, **environment):
    """What a process that must not end early has printed."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("OMP_")} | environment
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, check=False)
    assert done.returncode == 0, (done.returncode, done.stderr)
    return done.stdout.split()


def run(threads, kind, amount, callers=1, small_first="no", **environment):
    return child(CHILD, threads, kind, amount, callers, small_first, **environment)


@pytest.fixture(scope="module")
def wanted():
    """The one value, on one thread."""
    (value,) = run(1, "none", 0)
    return value


def test_threads_without_a_limit(wanted):
    assert run(5, "none", 0, callers=2) == [wanted]


@pytest.mark.parametrize("small_first", ["no", "small"])
@pytest.mark.parametrize("callers", [1, 6])
@pytest.mark.parametrize("threads", [2, 7, 60])
def test_no_further_process_is_allowed(wanted, threads, callers, small_first):
    assert run(threads, "processes", 1, callers, small_first) == [wanted]


@pytest.mark.skipif(os.getuid() != 0, reason="counts the threads of a user of its own")
@pytest.mark.parametrize("callers", [1, 5])
@pytest.mark.parametrize("allowed", [3, 8, 20])
def test_a_call_runs_on_the_threads_that_it_gets(wanted, allowed, callers):
    assert run(30, "processes", allowed, callers) == [wanted]


@pytest.mark.parametrize("room", [0, 3, 9, 20, 40, 90, 300])
@pytest.mark.parametrize(("threads", "callers"), [(2, 1), (40, 1), (9, 4)])
def test_little_address_space(wanted, room, threads, callers):
    assert set(run(threads, "memory", room, callers)) <= {wanted, "MemoryError"}


def test_the_stack_that_the_runtime_would_take(wanted):
    """Threads of 1 GB: what is tried is what the runtime starts."""
    assert set(run(8, "memory", 3000, OMP_STACKSIZE="1G")) <= {wanted, "MemoryError"}


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("", 0),
        ("512", 2**19),
        (" 8 m ", 2**23),
        ("3B", 3),
        ("1g", 2**30),
        ("x", 0),
        ("-1", 0),
        ("9" * 5000, 0),
        ("1 k k", 0),
    ],
)
def test_stack_sizes_as_the_runtime_reads_them(text, size):
    assert stack_size({"OMP_STACKSIZE": text}) == size
    assert stack_size({"OMP_STACKSIZE": "?", "GOMP_STACKSIZE": text}) == size


REFUSED = """
import os, resource, time
import numpy as np
import cnnref

rows = np.ones((9000, 10))
cnnref.set_num_threads(4)
if os.getuid() == 0:
    os.setresuid(64123, 64123, 0)
before = len(os.listdir("/proc/self/task"))  # an emulator has one of its own
hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
resource.setrlimit(resource.RLIMIT_NPROC, (1, hard))
for limit in (1, hard):
    resource.setrlimit(resource.RLIMIT_NPROC, (limit, hard))
    cnnref.softmax(rows)
    print(len(os.listdir("/proc/self/task")) - before)
    time.sleep(1.5)
cnnref.softmax(rows)
print(len(os.listdir("/proc/self/task")) - before)
if 0 in os.getresuid():
    os.setresuid(0, 0, 0)
"""


def test_the_team_grows_again_after_a_refusal():
    """What was refused once is asked for again, a second later."""
    assert child(REFUSED, OPENBLAS_NUM_THREADS="1") == ["0", "3", "3"]
