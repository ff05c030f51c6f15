"""A case called again and again in one process: what is kept between calls shows in none but later ones."""

from __future__ import annotations

from typing import NamedTuple

from conformance.cases.case import Case
from conformance.faults import diagnose
from conformance.faults.state import STATE
from conformance.implementations.implementation import Implementation
from conformance.verdict.confirm import Confirmer
from conformance.verdict.judge import Trial
from conformance.verdict.record import Record, case_status


class Called(NamedTuple):
    """One call of a case.

    Attributes
    ----------
    trial : Trial
    records : list of Record
    number : int
        Which call of the process it was, from 1 on.
    """

    trial: Trial
    records: list[Record]
    number: int

    @property
    def failed(self) -> bool:
        """Whether an output of it is wrong."""
        return case_status(self.records) == "failed"


def of_calls(diagnosis: str | None) -> bool:
    """Whether a diagnosis is of what is kept between calls, or of chance: one call need not show it."""
    return diagnosis == diagnose.BETWEEN_CALLS or diagnosis in STATE


def first_failing(
    implementation: Implementation,
    case: Case,
    diagnoser: diagnose.Diagnoser | None = None,
    confirmer: Confirmer | None = None,
) -> Called:
    """The first call that fails, or else the first of all.

    The case is called twice, and once more after one of the same shape with other values.
    """
    first = None
    for number, called in enumerate((case, case, case.replace(seed=(case.seed + 1) % 10**9), case), 1):
        trial = Trial(implementation, called)
        now = Called(trial, trial.records(diagnoser, confirmer), number)
        first = first or now
        if called is case and now.failed:
            return now
        if case_status(now.records) in ("absent", "refused"):
            break
    assert first is not None
    return first
