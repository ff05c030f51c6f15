"""A run on a Dask cluster: batches judged on its workers, in child processes of theirs.

A task is some batches. What a kernel does to the process that runs it stays in a child of the Dask worker;
a worker that is lost takes its tasks with it, which the scheduler gives to others. A task that keeps losing
workers, too much memory say, is judged here. A case's records count once: when its task's result arrives.
"""

from __future__ import annotations

import multiprocessing
import time
from typing import Any

from conformance.conventions import Settings
from conformance.implementations.loading import LoadError
from conformance.implementations.program import TIME_LIMIT
from conformance.runs.options import BATCH, SweepError
from conformance.runs.share import Numbered
from conformance.runs.worker import About, belong
from conformance.runs.workers import Batches, Judged, Workers
from conformance.verdict.record import Record

#: Batches in a task, once every worker has had one: starting a process is then a few hundredths of it.
TASK = 20

#: Tasks that each thread of the cluster has, waiting or at work.
_QUEUED = 2

#: Seconds to wait for the scheduler, and between looks at how large the cluster is.
PATIENCE, _REFRESH = 10, 5.0


class Cluster:
    """The workers of a Dask scheduler.

    Parameters
    ----------
    address : str
        The scheduler's, ``tcp://host:8786`` say.
    spec : str
        The implementation, which must be importable on the workers too.
    time_limit : float, optional
        Seconds after which a case is taken for hung.
    settings : Settings, optional
        How strictly the implementation is read.
    isolate : bool, optional
        Whether each case has a process of its own.
    """

    def __init__(
        self,
        address: str,
        spec: str,
        time_limit: float = TIME_LIMIT,
        settings: Settings | None = None,
        isolate: bool = False,
    ) -> None:
        self._address = address
        self._asked = (spec, time_limit, settings or Settings(), isolate)
        self.about: About | None = None
        self.ahead = TASK * BATCH

    def judge_batches(self, queue: Batches) -> Judged:
        """As `Workers.judge_batches`.

        Raises
        ------
        SweepError
            If there is no scheduler, or it is lost.
        LoadError
            If the implementation cannot be used on the workers.
        """
        client = _connect(self._address)
        try:
            yield from self._judge(client, queue)
        finally:
            client.close(timeout=5)

    def _judge(self, client: Any, queue: Batches) -> Judged:
        held: dict[str, tuple[Any, list[list[Numbered]]]] = {}  # a future that nobody holds is given up
        done, more, sent = _distributed().as_completed(loop=client.loop), True, 0
        threads, known = 0, 0.0
        while more or held:
            if time.monotonic() - known > _REFRESH:
                threads, known = max(1, sum(client.nthreads().values())), time.monotonic()
                self.ahead = 2 * _QUEUED * threads * TASK * BATCH
            while more and len(held) < (_QUEUED * threads or 1):
                # Short tasks first, so that a small run is spread as well.
                task, more = _next(queue, min(TASK, 1 + sent // threads))
                if not task:
                    break
                future = client.submit(_judge_task, *self._asked, task, pure=False)
                held[future.key] = future, task
                done.add(future)
                sent += 1
            if held:
                future = next(done)
                task = held.pop(future.key)[1]
                yield from self._result(future, task)

    def _result(self, future: Any, task: list[list[Numbered]]) -> Judged:
        """The records of a task that has ended, in whatever way."""
        if future.status == "finished":
            self.about, found = future.result()
        elif future.status == "error" and isinstance(future.exception(), _distributed().KilledWorker):
            self.about, found = _judge_task(*self._asked, task)
        elif future.status == "error":
            error = future.exception()
            if isinstance(error, LoadError):
                raise error
            raise SweepError(f"--dask {self._address}: a task raised {type(error).__name__}: {error}")
        else:
            raise SweepError(f"--dask {self._address}: the scheduler was lost; go on with --resume")
        cases = dict(numbered for batch in task for numbered in batch)
        mine = sorted(number for number, _ in found) == sorted(cases)
        if not mine or not all(belong(records, cases[number]) for number, records in found):
            raise SweepError(f"--dask {self._address}: a task answered other cases than it was given")
        for number, records in found:
            yield number, cases[number], records


def _next(queue: Batches, most: int) -> tuple[list[list[Numbered]], bool]:
    """Up to `most` batches, fewer where there are none at the moment; whether more may come."""
    task: list[list[Numbered]] = []
    while len(task) < most:
        batch = next(queue, None)
        if not batch:
            return task, batch is not None
        task.append(batch)
    return task, True


def _judge_task(
    spec: str, time_limit: float, settings: Settings, isolate: bool, task: list[list[Numbered]]
) -> tuple[About | None, list[tuple[int, list[Record]]]]:
    """Judge some batches; runs in a Dask worker."""
    # Dask's workers are daemons, whose children multiprocessing refuses; these end with their task.
    multiprocessing.current_process().daemon = False
    workers = Workers(spec, 1, time_limit, settings, isolate)
    found = [(number, records) for number, _, records in workers.judge_batches(iter(task))]
    return workers.about, found


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise SweepError("--dask needs the package distributed: pip install 'cnnref[dask]'") from error
    return distributed


def _connect(address: str) -> Any:
    try:
        return _distributed().Client(address, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise SweepError(f"--dask {address}: no scheduler answers there ({error})") from error
