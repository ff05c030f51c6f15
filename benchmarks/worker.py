"""A peer in a process of its own, which times calls on request.

Requests and answers are pickled over the two pipes of the process, so that nothing of a peer (its thread
pool, its allocator) lives in the process that compares them.
"""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
import threading
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.measure import Turn
from benchmarks.row import Row

#: Where Linux tells of each thread whether it runs, and how long it had to wait for that.
_TASKS = Path("/proc/self/task")


class Worker:
    """The parent's end of a peer's process.

    Parameters
    ----------
    peer : str
        A key of `benchmarks.peers.PEERS`.
    threads : int
        How many threads its calls may use.
    environment : dict, optional
        Added to the environment of the process.
    tree : Path, optional
        Where another build of cnnref stands, which is the one to measure.
    """

    def __init__(
        self, peer: str, threads: int, environment: dict[str, str] | None = None, tree: Path | None = None
    ) -> None:
        count = str(threads)
        limits = {name: count for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", peer, count, *([str(tree)] if tree else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | limits | (environment or {}),
        )
        self.peer, self.threads = peer, threads
        self.version = str(self._receive())

    def _receive(self) -> Any:
        assert self.process.stdout is not None
        try:
            kind, value = pickle.load(self.process.stdout)
        except EOFError:
            raise EOFError(f"the process of {self.peer} ended, status {self.process.wait(60)}") from None
        if kind == "error":
            raise RuntimeError(value)
        return value

    def ask(self, request: str, *args: Any) -> Any:
        """Send a request and wait for its answer."""
        assert self.process.stdin is not None
        pickle.dump((request, args), self.process.stdin)
        self.process.stdin.flush()
        return self._receive()

    def prepare(self, row: Row, visit: int = 0) -> bool:
        """Make a row's call ready, on new arrays; False if the peer has none.

        `visit` decides where on a page the arrays start.
        """
        return bool(self.ask("prepare", row, visit))

    def turn(self, repetitions: int) -> Turn:
        """Make so many calls."""
        found = self.ask("turn", repetitions)
        assert isinstance(found, Turn)
        return found

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(timeout=60)
        self.process.stdout.close()


class Served:
    """The requests, in the peer's process."""

    def __init__(self, peer: str, threads: int) -> None:
        self.peer = import_module(f"benchmarks.peers.{peer}_peer")
        self.peer.start(threads)
        self.several = threads > 1
        self.row: Row | None = None
        self.call: Any = None

    def prepare(self, row: Row, visit: int = 0) -> bool:
        """Make `row` ready; False if the peer has no such call."""
        return self.prepare_truth(row, row, visit)

    def prepare_truth(self, row: Row, drawn: Row, visit: int = 0) -> bool:
        """Make `row` ready with the values of `drawn`, a row of the same sizes in another dtype."""
        from benchmarks.inputs import draw, numpy_dtype

        arrays = {
            key: x if x.dtype.kind == "i" else x.astype(numpy_dtype(row.dtype), copy=False)
            for key, x in draw(drawn, visit).items()
        }
        self.row, self.call = row, None
        self.call = self.peer.prepare(row, arrays)
        if self.call is not None:
            self.call()
        return self.call is not None

    def turn(self, repetitions: int) -> Turn:
        """`repetitions` calls, after one or two untimed."""
        call, clock = self.call, time.perf_counter
        began = clock()
        call()  # the other process had the caches meanwhile
        short = clock() - began < 0.02
        # The threads of the pool are awake: what waking them takes counts as waiting on some systems.
        waited = _waited()
        if short:
            call()
        steps = range(repetitions)
        began = clock()
        for _ in steps:
            call()
        taken = clock() - began
        waited = _waited() - waited
        if self.several:
            self._settle()
        return Turn(taken / repetitions, waited / taken)

    def arrays(self) -> list[Any]:
        """What the call returns, in the contract's layouts."""
        return list(self.peer.arrays(self.row, self.call()))

    def peak(self) -> int:
        """Bytes by which the resident memory peaks above what it was before the call."""
        import ctypes

        ctypes.CDLL(None).malloc_trim(0)
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
        before = _status("VmRSS")
        result = self.call()
        after = _status("VmHWM")
        del result
        return after - before

    def _settle(self) -> None:
        """Wait until the threads of the pool have stopped spinning: another process is timed next."""
        for _ in range(200):
            time.sleep(0.001)
            if not _others_run():
                return


def _others_run() -> bool:
    """Whether a thread of this process besides the calling one runs or waits for a processor.

    Asked of each thread: the process's clock counts a running one only at the kernel's ticks, 4 ms apart.
    """
    if not _TASKS.exists():  # not on Linux: as long as a pool may spin
        time.sleep(0.02)
        return False
    own = str(threading.get_native_id())
    for task in _TASKS.iterdir():
        with suppress(OSError):  # a thread that has just ended
            state = (task / "stat").read_text().rpartition(")")[2].split()[0]
            if state == "R" and task.name != own:
                return True
    return False


def _waited() -> float:
    """Seconds for which threads of this process were ready to run and could not, all together.

    Another thread had the processor, or the hypervisor had one of the machine's. 0 where the system does not
    tell.
    """
    nanoseconds = 0
    if _TASKS.exists():
        for task in _TASKS.iterdir():
            with suppress(OSError):  # a thread that has just ended, or a kernel that does not count
                nanoseconds += int((task / "schedstat").read_text().split()[1])
    return nanoseconds * 1e-9 + machine.stolen()


def _status(key: str) -> int:
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith(key + ":"):
                return 1024 * int(line.split()[1])
    raise OSError(f"/proc/self/status has no {key}")


def serve(peer: str, threads: int) -> None:
    """Answer requests until the parent closes the pipe."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a peer prints must not get among the answers
    served = Served(peer, threads)
    gc.collect()
    gc.disable()
    value: Any = served.peer.version()
    kind = "value"
    while True:
        pickle.dump((kind, value), answers, protocol=pickle.HIGHEST_PROTOCOL)
        answers.flush()
        try:
            request, args = pickle.load(requests)
        except EOFError:
            return
        try:
            kind, value = "value", getattr(served, request)(*args)
        except Exception as error:  # the parent decides what to make of it
            kind, value = "error", f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    for tree in sys.argv[3:]:  # its cnnref alone: the rows and what draws their arrays are those of this tree
        sys.path.insert(0, tree)
        import_module("cnnref")
        sys.path.remove(tree)
    serve(sys.argv[1], int(sys.argv[2]))
