"""What judges batches of cases, and its records in the order of the cases."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from contextlib import closing
from typing import Protocol

from conformance.cases.case import Case
from conformance.runs.options import SweepError
from conformance.runs.worker import About
from conformance.runs.workers import Answer, Batches, Judged


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


def in_order(workers: Pool, queue: Batches) -> Generator[Answer, None, None]:
    """Each case and its records, in the order of the cases, as soon as those before it are there.

    Raises
    ------
    SweepError
        If a case was not judged, twice, or without having been handed out.
    """
    waiting: dict[int, Answer] = {}
    due: deque[int] = deque()
    asked: dict[int, Case] = {}

    def handed() -> Batches:
        for batch in queue:
            while len(due) > workers.ahead:  # a case that hangs must not fill the memory with those behind it
                yield []
            due.extend(number for number, _ in batch)
            asked.update(batch)
            yield batch

    # Closing ends the processes when the caller stops early.
    with closing(workers.judge_batches(handed())) as judged:
        for number, case, records in judged:
            if asked.pop(number, None) != case:
                raise SweepError(f"an answer to {case}, number {number}, which was not asked or is there")
            waiting[number] = case, records
            while due and due[0] in waiting:
                yield waiting.pop(due.popleft())
    if due:
        raise SweepError(f"{len(due)} cases were handed out and not judged: the run shows nothing")
