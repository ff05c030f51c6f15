"""Cases judged in child processes: a kernel that crashes or hangs is one failed case, not the end.

A worker says in shared memory which case it is at, so that a process that dies or hangs names its case. The
other cases of its batch that it has not answered go to a new process.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
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
from conformance.subprocess_adapter import TIME_LIMIT

#: Seconds after which a worker sends what it has, though its batch is not done.
_SEND = 0.5

#: Cases handed out at a time, all of one operation and dtype. Diagnoses start anew with each batch, so
#: that they do not depend on which worker got which batch.
BATCH = 50

Numbered = tuple[int, Case]
Batches = Iterator[list[Numbered]]

#: A case and its records, one for each output.
Answer = tuple[Case, list[Record]]
Judged = Generator[tuple[int, Case, list[Record]], None, None]


@dataclass(frozen=True)
class About:
    """What a worker says of the implementation it has loaded."""

    arithmetic: str
    version: str | None


def batches(cases: Iterable[Case]) -> Batches:
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


def _work(connection: Connection, at: Any, spec: str, settings: Settings, time_limit: float) -> None:
    """A worker's life: load the implementation, judge batches until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    silence = os.open(os.devnull, os.O_WRONLY)  # an implementation that prints megabytes drowns nothing
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    warnings.simplefilter("ignore")  # an implementation's warnings would drown the run
    from conformance.judge import Judge

    try:
        implementation = load(spec, settings, time_limit)
    except LoadError as error:
        connection.send(("unusable", str(error)))
        return
    version = getattr(implementation.target, "__version__", None)
    connection.send(("ready", About(implementation.arithmetic.name, version and str(version))))
    judge = Judge(implementation)
    settle()
    while True:
        try:
            batch: list[Numbered] = connection.recv()
        except EOFError:
            return
        judge.forget()
        found, sent = [], time.monotonic()
        for number, case in batch:
            at.value = number
            found.append(judge(case))
            if time.monotonic() - sent > _SEND:
                connection.send(("some", found))
                found, sent = [], time.monotonic()
        connection.send(("done", found))


def settle() -> None:
    """Take all that is loaded out of the garbage collector's sight: it goes through it again and again."""
    gc.collect()
    gc.freeze()


@dataclass
class _Worker:
    process: Any
    connection: Connection
    at: Any  # shared: the number of the case it is at
    since: float
    batch: deque[Numbered] = field(default_factory=deque)
    seen: int = -1
    ready: bool = False
    idle: bool = False


class Workers:
    """A pool of processes that judge cases of one implementation.

    Parameters
    ----------
    spec : str
        The implementation, as ``--impl`` names it.
    count : int
        How many processes.
    time_limit : float, optional
        Seconds after which a case is taken for hung.
    settings : Settings, optional
        How strictly the implementation is read.
    isolate : bool, optional
        Whether each case has a process of its own, so that nothing one leaves behind reaches the next.
    """

    def __init__(
        self,
        spec: str,
        count: int,
        time_limit: float = TIME_LIMIT,
        settings: Settings | None = None,
        isolate: bool = False,
    ) -> None:
        self._settings = settings or Settings()
        self._spec, self._count, self._limit, self._isolate = spec, count, time_limit, isolate
        method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
        self._context: Any = multiprocessing.get_context(method)
        if method == "forkserver":
            self._context.set_forkserver_preload(["conformance.judge"])
        self._workers: list[_Worker] = []
        self._again = deque[list[Numbered]]()
        self.about: About | None = None
        #: How many cases may be judged ahead of one that is not.
        self.ahead = 200 * BATCH * count

    def judge(self, cases: Iterable[Case]) -> Judged:
        """Judge `cases`; yields number, case and records in the order in which they finish.

        Raises
        ------
        LoadError
            If the implementation cannot be used.
        """
        yield from self.judge_batches(batches(cases))

    def judge_batches(self, queue: Batches) -> Judged:
        """As `judge`, for cases that are numbered and in batches already; takes them as they are needed.

        An empty batch says that there is none at the moment.
        """
        # Threads of the implementation's own would only compete with the other workers.
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // self._count)))
        try:
            self._workers = [self._start() for _ in range(self._count)]
            while self._workers:
                for worker in [w for w in self._workers if w.idle]:
                    self._hand(worker, queue)
                connections = [w.connection for w in self._workers]
                ready = wait(connections, timeout=min(1.0, self._limit / 4)) if connections else []
                for worker in [w for w in self._workers if w.connection in ready]:
                    yield from self._hear(worker)
                yield from self._stop_hung()
        finally:
            self.close()

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        at = self._context.RawValue(ctypes.c_longlong, -1)
        process = self._context.Process(
            target=_work, args=(theirs, at, self._spec, self._settings, self._limit), daemon=True
        )
        process.start()
        theirs.close()
        return _Worker(process, ours, at, time.monotonic())

    def _hand(self, worker: _Worker, queue: Batches) -> None:
        """Give an idle worker its next batch; end it if there is none left."""
        batch = self._again.popleft() if self._again else next(queue, None)
        if batch is None:
            self._end(worker)
            return
        if self._isolate and len(batch) > 1:
            self._again.appendleft(batch[1:])
            batch = batch[:1]
        if batch:
            worker.batch, worker.idle, worker.since = deque(batch), False, time.monotonic()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it died idle: heard of below
                worker.connection.send(batch)

    def _hear(self, worker: _Worker) -> Iterator[tuple[int, Case, list[Record]]]:
        """Act on one message of a worker, or on its death."""
        try:
            kind, said = worker.connection.recv()
        except (EOFError, ConnectionResetError):
            yield from self._bury(worker, "")
            return
        worker.since = time.monotonic()
        if kind == "unusable":
            raise LoadError(said)
        if kind == "ready":
            worker.ready, self.about = True, said
        else:
            for records in said:
                number, case = worker.batch.popleft()
                yield number, case, records
        worker.idle = kind != "some"
        if kind == "done" and self._isolate:
            self._end(worker)
            self._workers.append(self._start())

    def _end(self, worker: _Worker) -> None:
        worker.connection.close()
        self._workers.remove(worker)
        worker.process.join(5)

    def _stop_hung(self) -> Iterator[tuple[int, Case, list[Record]]]:
        now = time.monotonic()
        for worker in list(self._workers):
            if worker.at.value != worker.seen:
                worker.seen, worker.since = worker.at.value, now
                continue
            # Loading takes as long as it takes, however short a case's limit.
            limit = self._limit if worker.ready else max(self._limit, TIME_LIMIT)
            if now - worker.since > limit and not worker.idle:
                worker.process.kill()
                yield from self._bury(worker, f"no answer within {limit:g} seconds from")

    def _bury(self, worker: _Worker, why: str) -> Iterator[tuple[int, Case, list[Record]]]:
        """Report the case a dead worker was at, and start another for the others of its batch."""
        worker.process.join(5)
        self._workers.remove(worker)
        why = why or f"the process died of {cause(worker.process.exitcode)} in"
        if not worker.ready:
            raise LoadError(f"--impl {self._spec}: {why} loading it")
        if worker.batch:
            number, case = next((n for n in worker.batch if n[0] == worker.at.value), worker.batch[0])
            worker.batch.remove((number, case))
            yield number, case, _dead(case, f"{why} this case")
        if worker.batch:
            self._again.append(list(worker.batch))
        self._workers.append(self._start())

    def close(self) -> None:
        """End every process."""
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join(5)
        self._workers = []


def _dead(case: Case, why: str) -> list[Record]:
    """The records of a case whose process was ended."""
    corner = corner_of(case)
    return [
        blank(case, output, "failed", corner, why).but(diagnosis="unexplained")
        for output in case.operation.outputs
    ]


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
