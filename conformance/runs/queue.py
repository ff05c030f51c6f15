"""What a run hands out, until its clock has run out, and what it has met with."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator

from conformance.cases.case import Case
from conformance.report.states import Asked, Group
from conformance.report.summary import Summary
from conformance.runs.after_run import Seen
from conformance.runs.options import Options, Sweep, SweepError
from conformance.runs.share import Numbered
from conformance.runs.turns import in_turn
from conformance.verdict.record import REMARK, Record

#: The share of a budget that goes into cases; failures are looked into in the rest.
_CASES = 0.8


class Queue:
    """The batches of a run, as they are asked for.

    Parameters
    ----------
    options, sweep
        The run.
    started : float
        When its clock began to run.
    """

    def __init__(self, options: Options, sweep: Sweep, started: float) -> None:
        self._options, self._sweep = options, sweep
        self._end = started + _CASES * sweep.budget if sweep.budget else None
        self._handed: Counter[Group] = Counter()
        self._cut = False
        self.total = sweep.shard.size(options.sizes)

    def going(self) -> bool:
        """Whether there is time left."""
        self._cut = self._cut or (self._end is not None and time.monotonic() >= self._end)
        return not self._cut

    def __iter__(self) -> Iterator[list[Numbered]]:
        """The batches."""
        sizes, shard = self._options.sizes, self._sweep.shard
        timed = self._end is not None
        for batch in in_turn(self._options, self.going) if timed else shard.of(sizes, self._options.generate):
            case = batch[0][1]
            self._handed[case.op, case.dtype] += len(batch)
            yield batch

    @property
    def asked(self) -> Asked:
        """How many cases were asked for; what no clock and no failure allowed was not."""
        cut = self._cut or self._sweep.fail_fast
        return {group: self._handed[group] for group in self._options.asked} if cut else self._options.asked

    def share(self, seconds: float) -> float:
        """The seconds of a run by which it is decided how long failures are looked into."""
        return seconds if self._end is None else min(seconds, self._sweep.budget)

    def problems(self, failed: bool) -> list[str]:
        """Why the counts are not those of the whole run, if that is a reason not to trust them."""
        if self._sweep.fail_fast and failed:
            return ["Stopped at the first failure: the cases after it were not compared."]
        return []

    def check(self, judged: int) -> None:
        """See that all was judged that was handed out.

        Raises
        ------
        SweepError
            If it was not, or not all was handed out though there was time.
        """
        handed = self._handed.total()
        if judged < handed or not (handed == self.total or self._cut):
            raise SweepError(f"{self.total} cases were asked for and {judged} judged: the run shows nothing")


class Met:
    """What a run has met with, case by case."""

    def __init__(self, observe: Callable[[list[Record]], None] | None) -> None:
        self._observe = observe
        self.summary, self.seen = Summary(), Seen()
        self.cases = self.remarks = 0
        self.failed = False

    def add(self, case: Case, records: list[Record]) -> None:
        """Count a case."""
        self.cases += 1
        self.summary.add(case, records)
        self.seen.add(records)
        self.remarks += sum(r.status == "passed" and r.reason.startswith(REMARK) for r in records)
        self.failed = self.failed or any(record.status == "failed" for record in records)
        if self._observe is not None:
            self._observe(records)
