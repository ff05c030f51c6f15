"""What a run does when all cases are judged: failures looked into, its own power measured.

Both in child processes, side by side: the failures within a small share of the time that the run itself took,
the power over a fixed number of cases, so that no clock decides what it comes to.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from conformance.cases.case import Case
from conformance.conventions import Settings
from conformance.diagnosis.history import Histories
from conformance.generation.rules import parse_all
from conformance.implementations import ALONE, UNDECLARED
from conformance.implementations.processes import Question, context
from conformance.runs.options import SweepError
from conformance.verdict.record import Record

if TYPE_CHECKING:
    from conformance.diagnosis.findings import Finding

    #: Looks into failures for so many seconds.
    Finder = Callable[[Sequence[Record], float, Histories], list[Finding]]

#: Failures looked into; more kinds than these are one defect of the implementation, not so many.
GROUPS = 60

#: Slips not caught that a run names.
NAMED = 6

#: Cases of an operation and dtype in which slips are planted; more than there are corners.
PLANTED = 400

#: Processes that plant slips, twice as many as compute at a time, because one operation may take half of all;
#: and seconds after which they are taken for hung.
MEASURING, PATIENCE = 4, 1800.0

#: A part of what was answered, and of what is not declared: each case with the rules that are.
Part = tuple[list[str], list[tuple[str, str]]]

#: Seconds that are allowed whatever the run took, and the share of the run beyond that.
FINDINGS_SECONDS, FINDINGS_SHARE = 20.0, 0.25


class Seen:
    """What of a run is looked into afterwards, gathered record by record."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str, str], Record] = {}
        self.histories = Histories()
        self._answered: dict[tuple[str, str], list[str]] = {}
        self._outside: dict[tuple[str, str], list[tuple[str, str]]] = {}

    def add(self, records: Sequence[Record]) -> None:
        """Keep the first failure of each kind, what was answered, and which cases failed."""
        self.histories.add(records)
        first = records[0]
        key = first.op, first.dtype
        if first.tier is not None:
            _keep(self._answered.setdefault(key, []), first.case)
        elif first.status == "absent" and first.reason.endswith(ALONE):
            _keep(self._outside.setdefault(key, []), (first.case, _declared(first.reason)))
        elif first.status == "absent" and first.reason.startswith(f"{UNDECLARED}no option"):
            _keep(self._outside.setdefault(key, []), (first.case, ""))
        for record in records:
            if record.status == "failed" and len(self._first) < GROUPS:
                self._first.setdefault((record.op, record.output, str(record.diagnosis)), record)

    @property
    def failures(self) -> list[Record]:
        """The failures to look into."""
        return list(self._first.values())

    def parts(self, count: int) -> list[Part]:
        """The answered cases, and those that are not declared, in so many parts of whole operations."""
        operations = list(dict.fromkeys(op for op, _ in self._answered))
        mine = [set(operations[at::count]) for at in range(count)]
        return [
            (
                [text for (op, _), texts in self._answered.items() if op in part for text in texts],
                [pair for (op, _), pairs in self._outside.items() if op in part for pair in pairs],
            )
            for part in mine
            if part
        ]


def _keep(found: list[Any], item: Any) -> None:
    if len(found) < PLANTED:
        found.append(item)


def _declared(reason: str) -> str:
    """What the reason of a case says that the implementation answers alone."""
    return reason.removeprefix(UNDECLARED).removesuffix(ALONE)


def work(
    spec: str,
    settings: Settings,
    seen: Seen,
    processes: int,
    seconds: float,
    wrapped: tuple[str, ...] = (),
    found_here: Finder | None = None,
) -> dict[str, Any]:
    """The fields ``findings`` and ``slips`` of ``summary.json``.

    Parameters
    ----------
    spec : str
        The implementation.
    settings : Settings
        How strictly it is read.
    seen : Seen
        What came of the cases of the run.
    processes : int
        How many there may be.
    seconds : float
        What the run took so far.
    wrapped : tuple of str, optional
        The command of a sandbox.
    found_here : Finder, optional
        What looks into failures in this process, of an implementation that no other has.

    Raises
    ------
    SweepError
        If the power could not be measured.
    """
    parts = seen.parts(max(1, min(2 * processes, MEASURING)))
    measured = [Question(context(), _power, *part) for part in parts]
    patience = max(FINDINGS_SECONDS, FINDINGS_SHARE * seconds)
    try:
        if found_here is not None:
            found = found_here(seen.failures, patience, seen.histories)
        elif seen.failures:
            from conformance.diagnosis.findings import find_all  # imports torch, which children alone need

            others = max(1, processes - 1)
            found = find_all(spec, seen.failures, others, patience, settings, seen.histories, wrapped)
        else:
            found = []
        decoder = msgspec.msgpack.Decoder(dict[str, Any])
        slips = [question.answer(decoder, PATIENCE) for question in measured]
    finally:
        for question in measured:
            question.close()
    if None in slips:
        raise SweepError("the measurement of the run's power ended without a result; go on with --resume")
    return {"slips": _joined(slips), "findings": [finding.to_dict() for finding in found]}


def _joined(parts: Sequence[Any]) -> dict[str, Any]:
    """The power of a run from that of its parts."""
    return {
        **{name: sum(part[name] for part in parts) for name in ("slips", "caught", "cases")},
        "missed": sorted(name for part in parts for name in part["missed"]),
        "operations": {op: found for part in parts for op, found in part["operations"].items()},
    }


def told(slips: Mapping[str, Any]) -> str:
    """The power of a run in one line, with slips that it would not have caught."""
    text = f"{slips['caught']} of {slips['slips']} known faults would have been caught"
    missed = slips["missed"]
    if missed:
        text += f"; not {', '.join(missed[:NAMED])}"
        text += f" and {len(missed) - NAMED} more (summary.json)" if len(missed) > NAMED else ""
    return text


def _power(answered: list[str], outside: list[tuple[str, str]]) -> dict[str, Any]:
    from conformance.runs.power import measure

    cases = map(Case.parse, answered)
    beyond = [(Case.parse(text), parse_all(rules) if rules else ()) for text, rules in outside]
    return measure(cases, beyond).to_dict()
