"""What a run does when all cases are judged: failures looked into, its own power measured.

Both in child processes, side by side, within a small share of the time that the run itself took.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from conformance.cases.case import Case
from conformance.conventions import Settings
from conformance.generation.generate import generate
from conformance.implementations.processes import Question, context
from conformance.operations import OPERATIONS
from conformance.runs.options import SweepError
from conformance.verdict.record import Record

#: Failures looked into; more kinds than these are one defect of the implementation, not so many.
GROUPS = 60

#: Slips not caught that a run names.
NAMED = 6

#: Cases of an operation and dtype in which slips are planted; more than there are corners.
PLANTED = 400

#: Seconds that are allowed whatever the run took, and the share of the run beyond that.
POWER_SECONDS, POWER_SHARE = 2.0, 0.05
FINDINGS_SECONDS, FINDINGS_SHARE = 20.0, 0.25


class Seen:
    """What of a run is looked into afterwards, gathered record by record."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str, str], Record] = {}
        self._present: set[str] = set()

    def add(self, records: Iterable[Record]) -> None:
        """Keep the first failure of each operation, output and diagnosis."""
        for record in records:
            if record.status != "absent":
                self._present.add(record.op)
            if record.status == "failed" and len(self._first) < GROUPS:
                self._first.setdefault((record.op, record.output, str(record.diagnosis)), record)

    @property
    def failures(self) -> list[Record]:
        """The failures to look into."""
        return list(self._first.values())

    @property
    def operations(self) -> list[str]:
        """The functions that the implementation has."""
        return sorted(self._present)


@dataclass(frozen=True)
class Drawn:
    """How the cases of a run were drawn."""

    dtypes: tuple[str, ...]
    count: int
    seed: int

    def cases(self, operations: list[str]) -> list[Case]:
        """The first cases of a run, for these functions; all of them if it is not very long."""
        chosen = [OPERATIONS[name] for name in operations]
        return list(generate(chosen, self.dtypes, min(self.count, PLANTED), self.seed))


def work(
    spec: str,
    settings: Settings,
    drawn: Drawn,
    seen: Seen,
    processes: int,
    seconds: float,
    wrapped: tuple[str, ...] = (),
) -> dict[str, Any]:
    """The fields ``findings`` and ``slips`` of ``summary.json``.

    Parameters
    ----------
    spec : str
        The implementation.
    settings : Settings
        How strictly it is read.
    drawn : Drawn
        The cases of the run.
    seen : Seen
        What came of them.
    processes : int
        How many there may be.
    seconds : float
        What the run took so far.
    wrapped : tuple of str, optional
        The command of a sandbox.

    Raises
    ------
    SweepError
        If the power could not be measured.
    """
    from conformance.diagnosis.findings import (
        find_all,  # imports torch, which only children of a run need otherwise
    )

    allowed = max(POWER_SECONDS, POWER_SHARE * seconds)
    power = Question(context(), _power, drawn, seen.operations, allowed)
    try:
        found = find_all(
            spec,
            seen.failures,
            max(1, processes - 1),
            max(FINDINGS_SECONDS, FINDINGS_SHARE * seconds),
            settings,
            wrapped,
        )
        # Loading torch may take longer than the measuring.
        slips = power.answer(msgspec.msgpack.Decoder(dict[str, Any]), 10 * allowed + 60.0)
    finally:
        power.close()
    if slips is None:
        raise SweepError("the measurement of the run's power ended without a result; go on with --resume")
    return {"slips": slips, "findings": [finding.to_dict() for finding in found]}


def told(slips: Mapping[str, Any]) -> str:
    """The power of a run in one line, with slips that it would not have caught."""
    text = f"{slips['caught']} of {slips['slips']} known slips would have been caught"
    if not slips["complete"]:
        text += f" by the {slips['cases']} cases there was time for"
    missed = slips["missed"]
    if missed:
        text += f"; not {', '.join(missed[:NAMED])}"
        text += f" and {len(missed) - NAMED} more (summary.json)" if len(missed) > NAMED else ""
    return text


def _power(drawn: Drawn, operations: list[str], seconds: float) -> dict[str, Any]:
    from conformance.runs.power import measure

    return measure(drawn.cases(operations), seconds).to_dict()
