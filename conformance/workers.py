"""Cases judged in child processes: a kernel that crashes or hangs is one failed case, not the end.

Every worker says which case it starts before it starts it, so that a process that dies names its case.
The cases behind it go to a new process.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
import warnings
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

from conformance.case import Case
from conformance.conventions import Settings
from conformance.corners import corner_of
from conformance.implementation import LoadError, load
from conformance.record import Record, blank

#: A case takes milliseconds; one that has not answered after so many seconds is taken for hung.
PATIENCE = 60.0

#: Cases handed out at a time, all of one operation and dtype. Diagnoses start anew with each batch, so
#: that they do not depend on which worker got which batch.
BATCH = 50

Numbered = tuple[int, Case]


@dataclass(frozen=True)
class About:
    """What a worker says of the implementation it has loaded."""

    arithmetic: str
    version: str | None


def batches(cases: Iterable[Case]) -> Iterator[list[Numbered]]:
    """The numbered cases in batches of at most `BATCH`, each of one operation and dtype."""
    batch: list[Numbered] = []
    for numbered in enumerate(cases):
        case = numbered[1]
        if batch and (len(batch) == BATCH or (batch[0][1].op, batch[0][1].dtype) != (case.op, case.dtype)):
            yield batch
            batch = []
        batch.append(numbered)
    if batch:
        yield batch


def _work(connection: Connection, spec: str, settings: Settings) -> None:
    """A worker's life: load the implementation, judge batches until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    silence = os.open(os.devnull, os.O_WRONLY)  # an implementation that prints megabytes drowns nothing
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    warnings.simplefilter("ignore")  # an implementation's warnings would drown the run
    from conformance.judge import Judge

    try:
        implementation = load(spec, settings)
    except LoadError as error:
        connection.send(("unusable", str(error)))
        return
    version = getattr(implementation.target, "__version__", None)
    connection.send(("ready", About(implementation.arithmetic.name, version and str(version))))
    judge = Judge(implementation)
    while True:
        try:
            batch: list[Numbered] = connection.recv()
        except EOFError:
            return
        judge.forget()
        for number, case in batch:
            connection.send(("start", number))
            connection.send(("done", number, judge(case)))
        connection.send(("idle",))


@dataclass
class _Worker:
    process: Any
    connection: Connection
    batch: deque[Numbered] = field(default_factory=deque)
    running: Numbered | None = None
    since: float = 0.0
    ready: bool = False


class Workers:
    """A pool of processes that judge cases of one implementation.

    Parameters
    ----------
    spec : str
        The implementation, as ``--impl`` names it.
    count : int
        How many processes.
    patience : float, optional
        Seconds after which a case is taken for hung.
    settings : Settings, optional
        How strictly the implementation is read.
    """

    def __init__(
        self, spec: str, count: int, patience: float = PATIENCE, settings: Settings | None = None
    ) -> None:
        self._settings = settings or Settings()
        self._spec, self._count, self._patience = spec, count, patience
        method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
        self._context: Any = multiprocessing.get_context(method)
        if method == "forkserver":
            self._context.set_forkserver_preload(["conformance.judge"])
        self._workers: list[_Worker] = []
        self.about: About | None = None

    def judge(self, cases: Iterable[Case]) -> Generator[tuple[int, Case, list[Record]], None, None]:
        """Judge `cases`; yields number, case and records in the order in which they finish.

        Raises
        ------
        LoadError
            If the implementation cannot be used.
        """
        yield from self.judge_batches(batches(cases))

    def judge_batches(
        self, queue: Iterator[list[Numbered]]
    ) -> Generator[tuple[int, Case, list[Record]], None, None]:
        """As `judge`, for cases that are numbered and in batches already; takes them as they are needed."""
        again = deque[list[Numbered]]()
        # Threads of the implementation's own would only compete with the other workers.
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // self._count)))
        try:
            self._workers = [self._start() for _ in range(self._count)]
            while self._workers:
                ready = wait([w.connection for w in self._workers], timeout=1.0)
                for worker in [w for w in self._workers if w.connection in ready]:
                    yield from self._hear(worker, queue, again)
                yield from self._stop_hung(again)
        finally:
            self.close()

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_work, args=(theirs, self._spec, self._settings), daemon=True)
        process.start()
        theirs.close()
        return _Worker(process, ours, since=time.monotonic())

    def _hear(
        self, worker: _Worker, queue: Iterator[list[Numbered]], again: deque[list[Numbered]]
    ) -> Iterator[tuple[int, Case, list[Record]]]:
        """Act on one message of a worker, or on its death."""
        try:
            message = worker.connection.recv()
        except (EOFError, ConnectionResetError):
            yield from self._bury(worker, again, "")
            return
        worker.since = time.monotonic()
        if message[0] == "unusable":
            raise LoadError(message[1])
        if message[0] == "start":
            worker.running = worker.batch[0]
        elif message[0] == "done":
            number, case = worker.batch.popleft()
            worker.running = None
            yield number, case, message[2]
        else:  # ready or idle
            if message[0] == "ready":
                worker.ready, self.about = True, message[1]
            batch = again.popleft() if again else next(queue, None)
            if batch is None:
                worker.connection.close()
                self._workers.remove(worker)
                worker.process.join(5)
                return
            worker.batch = deque(batch)
            worker.connection.send(batch)

    def _stop_hung(self, again: deque[list[Numbered]]) -> Iterator[tuple[int, Case, list[Record]]]:
        now = time.monotonic()
        for worker in list(self._workers):
            if now - worker.since > self._patience and (worker.running or not worker.ready):
                worker.process.kill()
                yield from self._bury(worker, again, f"no answer within {self._patience:g} seconds from")

    def _bury(
        self, worker: _Worker, again: deque[list[Numbered]], why: str
    ) -> Iterator[tuple[int, Case, list[Record]]]:
        """Report the case a dead worker was running, and start another for the cases behind it."""
        worker.process.join(5)
        self._workers.remove(worker)
        why = why or f"the process died of {cause(worker.process.exitcode)} in"
        if not worker.ready:
            raise LoadError(f"--impl {self._spec}: {why} loading it")
        if worker.running is not None:
            number, case = worker.batch.popleft()
            corner = corner_of(case)
            yield (
                number,
                case,
                [
                    blank(case, output, "failed", corner, f"{why} this case").but(diagnosis="unexplained")
                    for output in case.operation.outputs
                ],
            )
        if worker.batch:
            again.append(list(worker.batch))
        self._workers.append(self._start())

    def close(self) -> None:
        """End every process."""
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join(5)
        self._workers = []


def cores() -> int:
    """How many processors this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cause(exitcode: int | None) -> str:
    """How a process ended, in words."""
    if exitcode is not None and exitcode < 0:
        try:
            return f"signal {-exitcode} ({signal.Signals(-exitcode).name})"
        except ValueError:
            return f"signal {-exitcode}"
    return f"exit status {exitcode}"
