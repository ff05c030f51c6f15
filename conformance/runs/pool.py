"""What judges batches of cases, and its records in the order of the cases."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from contextlib import closing
from itertools import count
from typing import Protocol

from conformance.cases.case import Case
from conformance.runs.chain import Chain
from conformance.runs.options import SweepError
from conformance.runs.share import Numbered
from conformance.runs.worker import About
from conformance.runs.workers import Answer, Batches, Judged
from conformance.verdict.record import Record

#: From here on further cases are numbered, beyond any that a run can have of its own.
FURTHER = 1 << 52


class Pool(Protocol):
    """What judges batches of cases: processes here, or a cluster.

    ``ahead`` is how many cases may be judged while one before them is not: they wait in memory.
    """

    ahead: int

    @property
    def about(self) -> About | None:
        """What is known of the implementation, once there are records."""

    def judge_batches(self, queue: Batches) -> Judged:
        """Number, case and records of each case of `queue`, in the order in which they finish."""


class _Order:
    """Chains in the order of their batches, and what was answered before its turn."""

    def __init__(self, follow: Callable[[], bool]) -> None:
        self._follow = follow
        self._chains: deque[tuple[Chain, list[int]]] = deque()
        self._at = 0  # of the first chain: the first case that is not handed on
        self._open: dict[int, tuple[Chain, list[int], int]] = {}
        self._waiting: dict[int, list[Record]] = {}
        self._numbers = count(FURTHER)
        self.planned: deque[list[Numbered]] = deque()

    @property
    def due(self) -> int:
        """How many cases are handed out and not handed on."""
        return sum(len(numbers) for _, numbers in self._chains) - self._at

    def handed(self, batch: list[Numbered]) -> None:
        """Take note of a batch."""
        self._note(Chain([case for _, case in batch]), [], batch)

    def _note(self, chain: Chain, numbers: list[int], batch: list[Numbered]) -> None:
        if not numbers:
            self._chains.append((chain, numbers))
        for number, _ in batch:
            self._open[number] = chain, numbers, len(numbers)
            numbers.append(number)

    def answered(self, number: int, case: Case, records: list[Record]) -> None:
        """Take note of an answer; it may lead to further cases."""
        chain, numbers, place = self._open.pop(number, (None, [], 0))
        if chain is None or chain.cases[place] != case:
            raise SweepError(f"an answer to {case}, number {number}, which was not asked or is there")
        self._waiting[number] = records
        chain.tell(place, records)
        if chain.complete and self._follow() and (more := chain.plan()):
            batch = list(zip(self._numbers, more, strict=False))
            self._note(chain, numbers, batch)
            self.planned.append(batch)

    def ready(self) -> Generator[Answer, None, None]:
        """The answers whose turn it is."""
        while self._chains:
            chain, numbers = self._chains[0]
            while self._at < len(numbers) and numbers[self._at] in self._waiting:
                yield chain.cases[self._at], self._waiting.pop(numbers[self._at])
                self._at += 1
            if self._at < len(numbers):
                return
            self._chains.popleft()
            self._at = 0


def always() -> bool:
    """Yes."""
    return True


def in_order(
    workers: Pool, queue: Batches, follow: Callable[[], bool] = always
) -> Generator[Answer, None, None]:
    """Each case and its records, in the order of the cases, as soon as those before it are there.

    Parameters
    ----------
    workers : Pool
        What judges.
    queue : iterator of list of Numbered
        The batches of the run.
    follow : callable, optional
        Whether further cases are asked for those that are not answered (`chain`); they follow their batch.

    Raises
    ------
    SweepError
        If a case was not judged, twice, or without having been handed out.
    """
    order = _Order(follow)

    def handed() -> Batches:
        more = True
        while more or order.due:
            batch: list[Numbered] | None = []  # none at the moment
            if order.planned:
                batch = order.planned.popleft()
            elif more and order.due <= workers.ahead:  # a case that hangs must not fill the memory
                batch = next(queue, None)
                if batch:
                    order.handed(batch)
                more = batch is not None
            yield batch or []

    # Closing ends the processes when the caller stops early.
    with closing(workers.judge_batches(handed())) as judged:
        for number, case, records in judged:
            order.answered(number, case, records)
            yield from order.ready()
    if order.due:
        raise SweepError(f"{order.due} cases were handed out and not judged: the run shows nothing")
