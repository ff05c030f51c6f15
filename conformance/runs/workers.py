"""Cases judged in child processes: a kernel that crashes or hangs is one failed case, not the end.

A worker judges, and the implementation has a process of its own, which the worker asks
(`conformance.implementations.child`). It answers case by case, in the order in which it was asked. Where the
implementation's process dies or hangs, it says so of the first case that has no answer; a worker that is lost
itself was at that case, too. The others are judged again. An answer counts if the process that was asked sent
it, and if it is that case's (`conformance.implementations.channel`).
"""

from __future__ import annotations

import contextlib
import os
import selectors
import sys
import time
from collections import Counter, deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from conformance.cases.case import Case
from conformance.conventions import Settings
from conformance.faults import KILLED
from conformance.generation.corners import corner_of
from conformance.implementations.channel import BrokenChannelError, Channel
from conformance.implementations.loading import LoadError
from conformance.implementations.processes import LOST, OUTSIDE, cause, context, end, start
from conformance.implementations.program import TIME_LIMIT
from conformance.runs.options import BATCH
from conformance.runs.share import KILLS, Numbered, Share
from conformance.runs.worker import MESSAGE, About, Answered, Holding, Lost, Unusable, work
from conformance.verdict.record import Record, blank

#: Seconds in which answers gather, so that not each wakes this process; cases a worker must have left then.
_GATHER, _FAR = 0.002, 15

#: Seconds until a process is dead that has nothing to answer on any more.
_DYING = 5.0

#: An operation is given up when the process was lost in so many cases of it, and in most of them; a case that
#: hangs counts for several, as it takes as long.
CAP, _HUNG = 20, 4

Batches = Iterator[list[Numbered]]

#: A case and its records, one for each output.
Answer = tuple[Case, list[Record]]
Judgement = tuple[int, Case, list[Record]]
Judged = Generator[Judgement, None, None]


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


@dataclass(eq=False)
class _Worker:
    process: Any
    channel: Channel
    since: float
    reserved: Share | None = None
    share: Share | None = None
    ready: bool = False
    closed: bool = False

    @property
    def idle(self) -> bool:
        return self.ready and self.share is None

    @property
    def far(self) -> bool:
        """Whether it has enough to do for now."""
        return self.share is not None and len(self.share.cases) - self.share.at > _FAR


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
    wrapped : tuple of str, optional
        The command of a sandbox that the implementation's processes run in.
    """

    def __init__(
        self,
        spec: str,
        count: int,
        time_limit: float = TIME_LIMIT,
        settings: Settings | None = None,
        isolate: bool = False,
        wrapped: tuple[str, ...] = (),
    ) -> None:
        self._spec, self._count, self._isolate = spec, count, isolate
        self._holding = Holding(time_limit, isolate, wrapped)
        #: A worker ends an implementation that hangs; one that says nothing for so long is stopped itself.
        self._limit = 2 * time_limit + TIME_LIMIT
        self._settings = settings or Settings()
        self._context = context()
        self._context.set_forkserver_preload(["conformance.verdict.judge"])
        self._workers: list[_Worker] = []
        self._selector = selectors.DefaultSelector()
        self._again = deque[Share]()
        self._unloaded = 0
        # By operation: cases with records, those at which the process was lost, and what that is worth.
        self._judged, self._losses, self._lost = Counter[str](), Counter[str](), Counter[str]()
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
            for _ in range(self._count):
                self._start()
            while self._workers:
                for worker in [w for w in self._workers if w.idle]:
                    yield from self._hand(worker, queue)
                ready = self._selector.select(min(1.0, self._limit / 4))
                if all(worker.far for worker in self._workers):
                    time.sleep(_GATHER)
                for key, _ in ready:
                    yield from self._hear(key.data, dead=key.fileobj is not key.data.channel)
                yield from self._stop_hung()
        finally:
            self.close()

    def _start(self, reserved: Share | None = None) -> None:
        """Start a worker; `reserved` is what it is handed first."""
        channel = Channel()
        process = self._context.Process(
            target=work, args=(channel.theirs, self._spec, self._settings, self._holding), daemon=True
        )
        start(process)
        channel.theirs.close()
        worker = _Worker(process, channel, time.monotonic(), reserved)
        self._workers.append(worker)
        self._selector.register(channel, selectors.EVENT_READ, worker)
        self._selector.register(process.sentinel, selectors.EVENT_READ, worker)

    def _hand(self, worker: _Worker, queue: Batches) -> Judged:
        """Give an idle worker its next share; end it if there is none left."""
        share, worker.reserved = worker.reserved or self._next(queue), None
        while share is not None and share.cases and self._hopeless(share.cases[0][1].op):
            yield from self._give_up(share)
            share = self._next(queue)
        if share is None:
            self._end(worker)
        elif share.cases:
            worker.share, share.at, worker.since = share, 0, time.monotonic()
            with contextlib.suppress(OSError):  # it died idle: heard of in a moment
                lines = [(number, str(case)) for number, case in share.cases]
                worker.channel.send(msgspec.msgpack.encode(lines))

    def _next(self, queue: Batches) -> Share | None:
        if self._again:
            share = self._again.popleft()
        else:
            batch = next(queue, None)
            if batch is None:
                return None
            share = Share(batch)
        if self._isolate and len(share.cases) > 1:
            self._again.appendleft(Share(share.cases[1:]))
            share = Share(share.cases[:1])
        return share

    def _hear(self, worker: _Worker, dead: bool) -> Judged:
        """Act on what a worker has sent, and then on its death."""
        try:
            while worker in self._workers and not worker.closed:
                message = worker.channel.receive(worker.process.pid, MESSAGE)
                if message is None:
                    break
                yield from self._take(worker, message)
        except EOFError:  # it is dead, as a rule
            worker.closed, worker.since = True, time.monotonic()
            self._selector.unregister(worker.channel)
        except BrokenChannelError as error:
            yield from self._bury(worker, f"the process broke the channel it answers on ({error}) in")
        if dead and worker in self._workers:
            yield from self._bury(worker)

    def _take(self, worker: _Worker, message: About | Unusable | Answered | Lost) -> Judged:
        """Act on one message."""
        share = worker.share
        if isinstance(message, Answered):
            if share is None or not message.belongs_to(*share.cases[share.at]):
                raise BrokenChannelError("it answered what it was not asked")
            case = share.cases[share.at][1]
            share.at, worker.since = share.at + 1, time.monotonic()
            if share.at == len(share.cases):
                self._answered(worker, share)
            if share.at > share.told and share.trial_of is None:
                share.told = share.at
                self._judged[case.op] += 1
                yield message.number, case, message.records
        elif isinstance(message, Lost):
            if share is None or (message.number, message.case) != (
                share.cases[share.at][0],
                str(share.cases[share.at][1]),
            ):
                raise BrokenChannelError("it answered what it was not asked")
            worker.share, worker.since = None, time.monotonic()
            worker.reserved = yield from self._held(share, message.why, message.code)
        elif isinstance(message, Unusable):
            raise LoadError(message.reason)
        elif worker.ready:
            raise BrokenChannelError("it was loaded twice")
        else:
            worker.ready, self.about, self._unloaded = True, message, 0

    def _hopeless(self, op: str) -> bool:
        """Whether the process has been lost in so many cases of an operation that no more are tried."""
        return self._lost[op] >= CAP and 2 * self._losses[op] > self._judged[op]

    def _give_up(self, share: Share) -> Judged:
        """Fail every case of a share that has no records."""
        op = share.cases[0][1].op
        lost = f"{self._losses[op]} of {self._judged[op]} cases of {op}"
        why = f"not called: the process was lost in {lost} before it"
        for at in range(share.told, len(share.cases)):
            number, case = share.cases[at]
            yield number, case, _failed(case, why, "unexplained")

    def _answered(self, worker: _Worker, share: Share) -> None:
        """A worker has answered all that it was handed."""
        worker.share = None
        if share.trial_of is not None:
            self._again.appendleft(share.trial_of)

    def _end(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        if not worker.closed:
            self._selector.unregister(worker.channel)
        self._selector.unregister(worker.process.sentinel)
        end(worker.process)
        worker.channel.close()

    def _stop_hung(self) -> Judged:
        now = time.monotonic()
        for worker in list(self._workers):
            # Loading takes as long as it takes, however short a case's limit.
            limit = self._limit if worker.ready else max(self._limit, TIME_LIMIT)
            if worker.closed and now - worker.since > _DYING:
                yield from self._bury(worker, "the process closed the channel it answers on in")
            elif now - worker.since > limit and not worker.idle:
                yield from self._bury(worker, f"no answer within {limit:g} seconds from")

    def _bury(self, worker: _Worker, why: str = "") -> Judged:
        """Report the case at which a worker died, or is to; start another for the cases after it."""
        self._end(worker)
        share, code = worker.share, None if why else worker.process.exitcode
        why = why or f"the process died of {cause(code)} in"
        if share is None:
            self._unloaded += not worker.ready
            if not worker.ready and (code not in OUTSIDE or self._unloaded == KILLS):
                raise LoadError(f"--impl {self._spec}: {why} loading it")
            self._start(worker.reserved)
        else:
            self._start((yield from self._held(share, why, code)))

    def _held(self, share: Share, why: str, code: int | None) -> Generator[Judgement, None, Share | None]:
        """Hold what became of a process against the case it was at, unless something else ended it.

        What is to be judged next is returned.
        """
        killed = code in OUTSIDE
        if killed and share.doubtful():
            return share.trial()
        diagnosis = "unexplained"
        if killed and code != LOST:
            how = (
                "and each time when it was judged alone"
                if share.trial_of
                else f"{KILLS} times, but not alone"
            )
            why = f"the process was killed by {cause(code)} in this case, {how}; too little memory, mostly"
            diagnosis = KILLED
        else:
            why = f"{why} this case"
        yield from self._fail(share.trial_of or share, why, diagnosis)
        return None

    def _fail(self, share: Share, reason: str, diagnosis: str) -> Judged:
        """Record that a case ends its process; the cases after it are judged by another."""
        number, case = share.cases[share.at]
        if share.at >= share.told:  # else it was answered once, and that stands
            self._judged[case.op] += 1
            self._losses[case.op] += 1
            self._lost[case.op] += _HUNG if reason.startswith("no answer") else 1
            yield number, case, _failed(case, reason, diagnosis)
        after = share.at + 1
        if after < len(share.cases):
            self._again.append(Share(share.cases[after:], told=max(0, share.told - after)))

    def close(self) -> None:
        """End every process."""
        for worker in list(self._workers):
            self._end(worker)


def _failed(case: Case, reason: str, diagnosis: str) -> list[Record]:
    """The records of a case that nothing answered."""
    corner = corner_of(case)
    failed = [blank(case, output, "failed", corner, reason) for output in case.operation.outputs]
    return [record.but(diagnosis=diagnosis) for record in failed]


def cores() -> int:
    """How many processors this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
