"""Under which circumstances something fails: a condition on the cases, or which call of a process it is.

The cases are those that a run has seen, or without a run those of a list, with those that were tried to find
the smallest one. That it is the call and not the case is found by calling it again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from conformance.cases.case import Case
from conformance.diagnosis.history import History
from conformance.faults.catalogue import Slip, named
from conformance.faults.conditions import Condition, condition
from conformance.faults.evidence import Evidence
from conformance.faults.state import STATE
from conformance.generation.arrays import draw
from conformance.generation.generate import generate
from conformance.verdict.record import Record

if TYPE_CHECKING:
    from conformance.verdict.judge import Trial

Attempt = Callable[[Case], "Trial"]

#: Cases that are tried where no run has seen any, and seconds for them.
TRIED, SECONDS = 48, 2.0

#: Calls of one case.
CALLS = 16

#: Failures from which a condition holds a smaller case to itself.
_FIRM = 8

#: Cases that passed in which a known fault is looked for.
_ASKED = 40


@dataclass
class Circumstances:
    """What is known of the circumstances of a failure.

    Attributes
    ----------
    failed, passed : list of Case
        Those that a run, or the list, has seen.
    calls : str
        What calling it again says; empty if that changes nothing.
    rule : frozenset of str
        What a smaller case has to keep to.
    slip : Slip or None
        The fault that was named.
    state : bool
        Whether the fault is one that a single call does not show: of those that passed few were looked at.
    """

    failed: list[Case]
    passed: list[Case]
    calls: str
    rule: frozenset[str]
    slip: Slip | None
    output: str
    state: bool = False

    def sentence(self, failed: Sequence[Case] = (), passed: Sequence[Case] = ()) -> str:
        """The circumstances in words, empty if there are none.

        Those that were tried since decide the condition too; its numbers are of those that were seen.
        """
        if self.calls:
            return self.calls
        if self.state or (self.slip is not None and self.slip.own is not None):
            return ""  # where rounding happens to show is no condition, nor is what was looked at
        found = condition([*self.failed, *failed], [*self.passed, *passed])
        if found is None or (self.slip is not None and self._shown_by(self.slip, found, passed)):
            return ""
        return found.of(self.failed, self.passed).sentence()

    def _shown_by(self, slip: Slip, found: Condition, passed: Sequence[Case]) -> bool:
        """Whether a fault changes nothing where the condition does not hold: it needs none then."""
        others = [case for case in (*self.passed, *passed) if not found.holds(case)][:_ASKED]
        return not any(_shows(slip, case, self.output) for case in others)


def _shows(slip: Slip, case: Case, output: str) -> bool:
    with np.errstate(all="ignore"):
        arrays = draw(case)
        finite = all(bool(a.size and np.isfinite(a).all()) for a in arrays.values())
        # What the data must look like besides says nothing where there are none.
        plain = replace(slip, signature=None)
        return finite and Evidence(case, arrays, output, None, None).shows(plain)


def circumstances(attempt: Attempt, record: Record, history: History | None) -> Circumstances:
    """The circumstances of a failure, from what a run has seen or from cases tried for them."""
    case = Case.parse(record.case)
    calls = _calls(attempt, case, record)
    failed, passed = ([], []) if history is None else history.cases(str(record.diagnosis))
    if history is None and not calls:
        failed, passed = _tried(attempt, case, record.output)
    firm = condition(failed, passed) if len(failed) >= _FIRM else None
    rule = firm.flags if firm is not None else frozenset()
    state = record.diagnosis in STATE
    return Circumstances(failed or [case], passed, calls, rule, named(record.diagnosis), record.output, state)


def _tried(attempt: Attempt, case: Case, output: str) -> tuple[list[Case], list[Case]]:
    """Cases of the operation and dtype, by what comes of them."""
    failed, passed = [case], list[Case]()
    end = time.monotonic() + SECONDS
    for other in generate([case.operation], [case.dtype], TRIED, 0):
        if time.monotonic() > end:
            break
        status = _status(attempt(other), output)
        if status in ("passed", "failed"):
            (passed if status == "passed" else failed).append(other)
    return failed, passed


def _status(trial: Trial, output: str) -> str:
    return next(r.status for r in trial.records(None) if r.output == output)


def _calls(attempt: Attempt, case: Case, record: Record) -> str:
    """What calling the case again and again says of it."""
    statuses = [_status(attempt(case), record.output) for _ in range(2)]
    chance = "nondeterministic" in record.reason
    if statuses == ["failed", "failed"] and not chance:
        return ""
    statuses += [_status(attempt(case), record.output) for _ in range(CALLS - 2)]
    wrong = statuses.count("failed")
    runs = [status for status, _ in groupby(statuses)]
    if not wrong:
        return (
            ""
            if record.diagnosis in STATE
            else (
                f"only after other calls: called {CALLS} times in a process of its own, the case is right "
                "(something is kept between calls, or it is chance)"
            )
        )
    if runs == ["passed", "failed"]:
        first = statuses.index("failed") + 1
        return f"only from call {first} of a process on: something is kept between calls"
    if wrong < CALLS:
        return f"only now and then: {wrong} of {CALLS} calls with the same arrays are wrong"
    return ""
