"""``summary.json``: what a run came to, gathered record by record."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from conformance.cases.case import Case
from conformance.cases.operation import WORDS
from conformance.cases.window import window_of
from conformance.implementations import LEFT_OUT, UNDECLARED
from conformance.operations import OPERATIONS
from conformance.report.coverage import Coverage
from conformance.report.digest import SHARP as SHARP
from conformance.report.states import ENOUGH, MANY, Asked, States, most
from conformance.report.text import counted
from conformance.verdict.form import fault
from conformance.verdict.record import STATUSES, TAILS, Number, Record, case_status
from conformance.verdict.schema import SCHEMA

Kind = tuple[str, ...]


@dataclass
class Output:
    """The figures of one output of one operation."""

    statuses: Counter[str] = field(default_factory=Counter)
    max_error_ulp: float | None = None
    max_bound_fraction: float | None = None
    worst_case: str | None = None
    diagnoses: Counter[str] = field(default_factory=Counter)
    sharp: int = 0
    seeing: int = 0

    def add(self, record: Record) -> None:
        """Count a record of this output."""
        self.statuses[record.status] += 1
        for diagnosis in (record.diagnosis, fault(record.form)):
            if diagnosis:
                self.diagnoses[diagnosis] += 1
        if record.detectability is not None:
            self.sharp += record.detectability >= SHARP
            self.seeing += record.detectability > 0
        fraction, ulp = _number(record.max_bound_fraction), _number(record.max_error_ulp)
        if ulp is not None:
            self.max_error_ulp = max(self.max_error_ulp or 0.0, ulp)
        if fraction is not None and (self.max_bound_fraction is None or fraction > self.max_bound_fraction):
            self.max_bound_fraction, self.worst_case = fraction, record.case

    def to_dict(self) -> dict[str, Any]:
        """What ``summary.json`` says of it."""
        return {
            "cases": sum(self.statuses.values()),
            **{status: self.statuses[status] for status in STATUSES},
            "max_error_ulp": _json(self.max_error_ulp),
            "max_bound_fraction": _json(self.max_bound_fraction),
            "worst_case": self.worst_case,
            "diagnoses": dict(sorted(self.diagnoses.items())),
        }


class Summary:
    """Counts the records of a run; `to_dict` is ``summary.json``."""

    def __init__(self) -> None:
        self.statuses: Counter[str] = Counter()
        self.comparisons = 0
        self._outputs: dict[str, dict[str, Output]] = {}
        self._tiers: dict[str, list[float]] = {}
        #: Outputs and kinds of geometry with a case that would have shown a dropped term, by the exact
        #: tier and by any; and for each dim case those of its outputs that it would not have shown.
        self._exact: set[Kind] = set()
        self._sharp: set[Kind] = set()
        self._dim: list[tuple[Kind, ...]] = []
        self._coverage = Coverage()
        self.states = States()
        #: What the implementation does not declare, of what was asked for.
        self.undeclared: dict[str, None] = {}
        #: Of each operation the outputs that passed, and would not under a stricter accuracy of the tails.
        self.tails: Counter[str] = Counter()
        #: Of each operation why cases were left out that would have taken too long.
        self._left_out: dict[str, list[str]] = {}

    def add(self, case: Case, records: list[Record]) -> None:
        """Count the records of one case."""
        status = case_status(records)
        self.statuses[status] += 1
        self._coverage.add(case, status)
        self.states.add(case, records)
        if records and records[0].reason.startswith(LEFT_OUT):
            self._left_out.setdefault(case.op, []).append(records[0].reason)
        dim: list[Kind] = []
        shape = _shape(case)
        for record in records:
            outputs = self._outputs.setdefault(record.op, {})
            outputs.setdefault(record.output, Output()).add(record)
            self.tails[record.op] += record.reason.startswith(TAILS)
            if record.tier is None:
                if record.reason.startswith(UNDECLARED):
                    self.undeclared[record.reason.removeprefix(UNDECLARED)] = None
                continue
            self.comparisons += 1
            if record.detectability is None:
                continue
            total = self._tiers.setdefault(record.tier, [0.0, 0.0])
            total[0] += record.detectability
            total[1] += 1
            kind = (f"{record.op}.{record.output}", *shape)
            if record.detectability < SHARP:
                dim.append(kind)
            else:
                self._sharp.add(kind)
                if record.tier == "exact":
                    self._exact.add(kind)
        if dim:
            self._dim.append(tuple(dim))

    def _absences(self) -> Iterator[str]:
        """Why cases of a function that is there are absent."""
        for op, reasons in self._left_out.items():
            first = "" if len(reasons) == 1 else "the first "
            yield f"{op}: {counted(len(reasons), 'case')} absent, {first}{reasons[0]}"

    @property
    def blind(self) -> int:
        """The number of cases that would show too few dropped terms (below 95 %), and that nothing covers.

        A case is covered by an exact case of the same operation, output and shape (see `_shape`). Operations
        that have no exact case, because they take an exponential or divide, are covered by any case that
        would show 95 %.
        """
        with_exact = {kind[:2] for kind in self._exact}
        return sum(
            any(kind not in (self._exact if kind[:2] in with_exact else self._sharp) for kind in kinds)
            for kinds in self._dim
        )

    def to_dict(self, **about: Any) -> dict[str, Any]:
        """The summary; `about` holds what the records do not say (implementation, seed, versions, ...).

        Raises
        ------
        AssertionError
            If the statuses do not add up to the number of cases listed.
        """
        listed, asked = about.pop("listed"), about.pop("asked", 0)
        cases = sum(self.statuses.values())
        if cases != listed or any(status not in STATUSES for status in self.statuses):
            raise AssertionError(
                f"{listed} cases were listed, the statuses {dict(self.statuses)} add up to {cases}"
            )
        return {
            "schema": SCHEMA,
            "implementation": about.pop("implementation"),
            "versions": about.pop("versions"),
            "oracle": about.pop("oracle"),
            "seed": about.pop("seed"),
            "cases": cases,
            **{status: self.statuses[status] for status in STATUSES},
            "comparisons": self.comparisons,
            "states": self.states.to_dict(asked, about.get("slips")),
            "conditions": self.states.conditions(),
            "faults": self.states.forms.faults(),
            "remarks": [*self.states.forms.remarks(), *self._absences()],
            **about,
            "tails": dict(+self.tails),
            "detectability": {tier: total / count for tier, (total, count) in sorted(self._tiers.items())},
            "blind": self.blind,
            "coverage": self._coverage.to_dict(),
            "operations": {
                name: {output: found.to_dict() for output, found in self._outputs[name].items()}
                for name in OPERATIONS
                if name in self._outputs
            },
        }

    def powerless(self, asked: Asked) -> list[str]:
        """The outputs that were compared and of which no case could have shown a dropped term.

        Of a handful of cases any that could have shown some is enough.
        """
        return [
            f"{op}.{output}"
            for op, outputs in self._outputs.items()
            for output, found in outputs.items()
            if not (found.sharp or (most(asked, op) < ENOUGH and found.seeing)) and found.statuses["passed"]
        ]


def problems(summary: Summary, asked: Asked = MANY) -> list[str]:
    """Why a run in which nothing failed proves nothing all the same; one sentence each.

    `asked` is how many cases were asked for: few cannot all cover each other.
    """
    found = []
    if not summary.comparisons:
        why = "the implementation has none of the operations asked for"
        if summary.statuses["failed"]:
            why = "no call came back with an answer of the right form"
        elif summary.undeclared:
            lacking = " and ".join(list(summary.undeclared)[:4])
            why = f"the implementation declares {lacking} (`dtypes` and `options` in it say what it takes)"
        elif summary.statuses["refused"]:
            why = "the implementation refused every case"
        found.append(f"Nothing was compared: {why}.")
    for name in summary.powerless(asked):
        found.append(
            f"No case of {name} could have shown a dropped term (detectability below {SHARP:.0%}): "
            "run more cases or other operations."
        )
    if summary.blind and most(asked) >= MANY:
        found.append(
            f"{summary.blind} cases would have shown fewer than {SHARP:.0%} of single dropped terms, and "
            "no exact case of their kind covers them: run more cases."
        )
    return found


def _shape(case: Case) -> Kind:
    """Mode or activation, dtype, and what decides which loops run: padding or none, windows one apart or
    further, windows that overlap or leave gaps. With operation and output it is a case's kind.
    """
    names = case.operation.parameters
    words = " ".join(case.word(name) for name in WORDS if name in names)
    geometry: tuple[bool, ...] = ()
    if "s" in names:
        window = window_of(case)
        both = (window.rows, window.columns)
        geometry = (window.padded, any(a.s > 1 for a in both), any(a.s > a.f for a in both))
    return (words, case.dtype, *map(str, geometry))


def _number(value: Number) -> float | None:
    number = None if value is None else float(value)
    return math.inf if number is not None and math.isnan(number) else number


def _json(value: float | None) -> Number:
    return value if value is None or math.isfinite(value) else str(value)
