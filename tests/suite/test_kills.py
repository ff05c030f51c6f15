"""Runs whose processes are killed at random, then resumed: the bytes of a run that nobody touched.

``CNNREF_KILLS=30 pytest tests/suite/test_kills.py -s`` does it thirty times and says what was killed when.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROUNDS = int(os.environ.get("CNNREF_KILLS", "2"))

#: In the environment of a run, and so of all that it starts.
MARK = "CONFORMANCE_TEST_MARK"

#: Right, wrong in a way that has a name, and wrong without one: diagnoses depend on the cases before.
KERNELS = """
import numpy as np
from conformance.adapters.numpy_loops import affine_forward, pad3d
from conformance.adapters import numpy_loops
def affine_backward(dZ, cache):
    dA_prev, dW, db = numpy_loops.affine_backward(dZ, cache)
    return dA_prev, dW / max(len(dZ), 1), db
def relu(Z):
    return np.maximum(Z, 0) * Z.dtype.type(1 + 0.01 * (Z.shape[-1] == 4)), Z
"""


def command(path, out):
    # A shard: what follows when all cases are judged leaves no records.
    return [
        sys.executable, "-m", "conformance", "run", "--impl", str(path), "--cases", "400", "--seed", "3",
        "--ops", "affine_forward", "affine_backward", "relu", "pad3d", "--shard", "1/2",
        "--workers", "2", "--resume", "--out", str(out),
    ]  # fmt: skip


def start(path, out, mark):
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command(path, out), cwd=ROOT, env={**os.environ, MARK: mark}, **quiet)


def marked(mark):
    """The processes with that mark, by their parents' numbers."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            if f"{MARK}={mark}".encode() in path.read_bytes().split(b"\0"):
                fields = (path.parent / "stat").read_text().rpartition(")")[2].split()
                if fields[0] != "Z":
                    found[int(path.parent.name)] = int(fields[1])
    return found


def victims(run, mark):
    """The processes of a run, by what they are to it."""
    family = marked(mark)
    servers = [pid for pid, parent in family.items() if parent == run.pid]
    workers = [pid for pid, parent in family.items() if parent in servers]
    return {"the run": [run.pid], "a worker": workers, "the fork server": servers if workers else []}


def disturbed(dice, path, out, mark):
    """Carry a run through to its end while up to three of its processes are killed; what was killed."""
    killed = []
    kinds = dice.choices(["the run", "a worker", "the fork server"], [2, 3, 1], k=dice.randint(1, 3))
    run, until = start(path, out, mark), time.monotonic() + 600
    while time.monotonic() < until:
        if run.poll() in (0, 1):
            return killed
        if run.returncode is not None:  # killed, or without a process that it cannot do without
            assert killed
            assert run.returncode in (-signal.SIGKILL, 2)
            run = start(path, out, mark)
        found = victims(run, mark)[kinds[0]] if kinds else []
        if found:  # it is there: now, or after a part of the time that the cases take
            time.sleep(dice.choice([0.0, 0.5, 2.0, 5.0]) * dice.random())
            with contextlib.suppress(ProcessLookupError):
                os.kill(dice.choice(found), signal.SIGKILL)
                killed.append(kinds.pop(0))
        time.sleep(0.05)
    raise AssertionError(f"not at its end after ten minutes; killed {killed}")


def test_runs_whose_processes_are_killed_end_with_the_same_bytes(tmp_path):
    path, whole = tmp_path / "kernels.py", tmp_path / "whole"
    path.write_text(KERNELS)
    assert start(path, whole, "whole").wait(300) == 1
    expected = (whole / "results.jsonl").read_bytes()
    assert expected.count(b'"status": "failed"') > 50
    dice, equal, kinds = random.Random(os.urandom(8)), 0, Counter()
    for number in range(ROUNDS):
        out = tmp_path / str(number)
        killed = disturbed(dice, path, out, str(out))
        assert killed or ROUNDS > 1  # a run may end before it is killed; not all of them
        kinds.update(killed)
        until = time.monotonic() + 20
        while marked(str(out)) and time.monotonic() < until:
            time.sleep(0.1)
        left = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in marked(str(out))}
        assert not left
        equal += (out / "results.jsonl").read_bytes() == expected
        print(f"round {number + 1}: killed {', '.join(killed) or 'nothing'}; {equal} of {number + 1} equal")
    print(dict(kinds))
    assert equal == ROUNDS
    assert kinds
