"""In which state a run leaves each operation: it agrees, disagrees, was compared too little, or is absent.

What was not answered shows nothing, so that an operation agrees only if enough of it was compared and nothing
was refused, unless the module says itself what it answers alone (`conformance.generation.rules`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from conformance.cases.case import Case
from conformance.faults import RAISED
from conformance.generation.explain import explanation
from conformance.generation.rules import otherwise, phrase, said
from conformance.implementations import ALONE, UNDECLARED
from conformance.operations import OPERATIONS
from conformance.report.forms import Forms
from conformance.verdict.record import Record

AGREES, DISAGREES, TOO_LITTLE, ABSENT = "agrees", "disagrees", "too-little", "absent"

#: Of a `ModelNew` beside a `Model` of several operations: nothing disagrees with the user's own reference.
COMPARED = "compared"

#: From the best to the worst.
STATES = (AGREES, COMPARED, TOO_LITTLE, DISAGREES, ABSENT)

#: Fewer outputs compared than these show too little of a dtype, if as many were asked for.
ENOUGH = 12

#: In a run of so many cases, less than this share of the known faults caught is too little.
MANY, SHARE = 200, 0.9

#: Cases of a kind that rules are found from.
KEPT = 300

#: An operation in a dtype.
Group = tuple[str, str]

#: How many cases were asked for: of every operation and dtype, or of each of them.
Asked = int | Mapping[Group, int]


def most(asked: Asked, op: str = "") -> int:
    """How many cases of an operation, or of any, were asked for in the dtype that has the most."""
    if isinstance(asked, int):
        return asked
    return max((count for (name, _), count in asked.items() if not op or name == op), default=0)


def _enough(asked: Asked, op: str, dtype: str) -> int:
    return min(ENOUGH, asked if isinstance(asked, int) else asked.get((op, dtype), 0))


@dataclass
class _Operation:
    """What was seen of one operation."""

    cases: int = 0
    compared: int = 0
    failed: int = 0
    refused: int = 0
    first: str = ""
    alone: str = ""
    #: Of each dtype that it takes, how often each output was compared.
    outputs: dict[str, Counter[str]] = field(default_factory=dict)
    answered: dict[str, list[str]] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)
    raised: dict[str, list[str]] = field(default_factory=dict)


class States:
    """The states of the operations of a run, gathered case by case."""

    def __init__(self) -> None:
        self._seen: dict[str, _Operation] = {}
        self._rules: dict[str, str] = {}
        self.forms = Forms()

    def add(self, case: Case, records: Sequence[Record]) -> None:
        """Count the records of one case."""
        seen = self._seen.setdefault(case.op, _Operation())
        seen.cases += 1
        first = records[0]
        if first.status == "absent":
            self._absent(seen, case, first.reason)
            return
        counts = seen.outputs.setdefault(case.dtype, Counter())
        wrong_form = self.forms.add(records)
        seen.failed += wrong_form or any(record.status == "failed" for record in records)
        if first.status == "refused":
            seen.refused += 1
            seen.first = seen.first or f"{case}: {first.reason}"
            _keep(seen.refusals, case)
        elif first.tier is None:
            if str(first.diagnosis).startswith(RAISED):
                _keep(seen.raised.setdefault(str(first.diagnosis), []), case)
        else:
            seen.compared += 1
            counts.update(record.output for record in records)
            _keep(seen.answered.setdefault(case.dtype, []), case)

    @staticmethod
    def _absent(seen: _Operation, case: Case, reason: str) -> None:
        """Count a case that is not asked; of a dtype that is declared, others should have been compared."""
        if reason.endswith(ALONE):
            seen.alone = reason.removeprefix(UNDECLARED).removesuffix(ALONE)
        if reason.startswith(UNDECLARED) and not reason.startswith(f"{UNDECLARED}no dtype"):
            seen.outputs.setdefault(case.dtype, Counter())

    def to_dict(self, asked: Asked, slips: Mapping[str, Any] | None = None) -> dict[str, dict[str, Any]]:
        """``summary.json``'s ``states``.

        Parameters
        ----------
        asked : Asked
            How many cases were asked for.
        slips : mapping, optional
            What the run would have caught, as `runs.power` has it.
        """
        return {op: self._state(op, asked, slips) for op in OPERATIONS if op in self._seen}

    def _state(self, op: str, asked: Asked, slips: Mapping[str, Any] | None) -> dict[str, Any]:
        seen = self._seen[op]
        state, rule = AGREES, seen.alone or None
        if not seen.outputs:
            state = ABSENT
        elif seen.failed:
            state = DISAGREES
        elif seen.refused or self._few(op, asked) or _weak(op, asked, slips):
            state = TOO_LITTLE
        return {
            "state": state,
            "compared": seen.compared,
            "refused": seen.refused,
            "rule": self._rule(op) if seen.refused else rule,
        }

    def _rule(self, op: str) -> str | None:
        """What explains the refusals; None if nothing does."""
        if op not in self._rules:
            seen = self._seen[op]
            self._rules[op] = said(explanation(_cases(seen.answered), _parsed(seen.refusals)))
        return self._rules[op] or None

    def _few(self, op: str, asked: Asked) -> dict[str, int]:
        """The dtypes of which too few outputs were compared, with how many were."""
        entry = OPERATIONS[op]
        least = {
            dtype: min(counts[output] for output in entry.outputs)
            for dtype, counts in self._seen[op].outputs.items()
        }
        return {dtype: count for dtype, count in least.items() if count < _enough(asked, op, dtype)}

    def conditions(self) -> dict[str, dict[str, str]]:
        """Where calls end in an error: by operation and diagnosis, ``only where h differs from w``."""
        found: dict[str, dict[str, str]] = {}
        for op, seen in self._seen.items():
            for diagnosis, texts in seen.raised.items():
                rules = explanation(_cases(seen.answered), _parsed(texts))
                if rules:
                    found.setdefault(op, {})[diagnosis] = f"only where {otherwise(rules)}"
        return found

    def doubts(self, asked: Asked, slips: Mapping[str, Any] | None = None) -> Iterator[str]:
        """Why of an operation too little was compared, in a sentence each."""
        for op, found in self.to_dict(asked, slips).items():
            if found["state"] != TOO_LITTLE:
                continue
            seen = self._seen[op]
            if seen.refused:
                yield f"{op}: too little: {_refusals(seen, found['rule'])}"
            elif few := self._few(op, asked):
                least = ", ".join(f"{count} in {dtype}" for dtype, count in few.items())
                expected = max(_enough(asked, op, dtype) for dtype in few)
                yield f"{op}: too little: outputs compared: {least}; expected {expected}."
            else:
                caught, of = _power(op, slips)
                yield (
                    f"{op}: too little: {caught} of {of} known faults would have been caught, expected "
                    f"{SHARE:.0%}: run more cases."
                )


def _refusals(seen: _Operation, rule: str | None) -> str:
    counts = f"{seen.compared} cases compared, {seen.refused} refused"
    if rule is None:
        return f"{counts}, and no rule tells which; the first: {seen.first}."
    said_so = f'accepts = "{rule}" in the module says so'
    dtypes = [part for part in rule.split(" and ") if part in ("f16", "bf16", "f32", "f64")]
    if dtypes:
        said_so = f"dtypes = {tuple(dtypes)!r} in the module says so"
    return f"answers {phrase(rule)} alone ({counts}, the first: {seen.first}); {said_so}."


def _weak(op: str, asked: Asked, slips: Mapping[str, Any] | None) -> bool:
    caught, of = _power(op, slips)
    return most(asked, op) >= MANY and caught < SHARE * of


def _power(op: str, slips: Mapping[str, Any] | None) -> tuple[int, int]:
    """How many faults of an operation would have been caught, and how many there are."""
    found = (slips or {}).get("operations", {}).get(op, {})
    return found.get("caught", 0), found.get("slips", 0)


def _keep(texts: list[str], case: Case) -> None:
    if len(texts) < KEPT:
        texts.append(str(case))


def _parsed(texts: Sequence[str]) -> list[Case]:
    return [Case.parse(text) for text in texts]


def _cases(answered: Mapping[str, Sequence[str]]) -> list[Case]:
    return [case for texts in answered.values() for case in _parsed(texts)]


def named(found: Mapping[str, Any]) -> str:
    """A state with what it is limited to: ``agrees (square alone)``."""
    state = str(found["state"]).replace("-", " ")
    return f"{state} ({found['rule']} alone)" if found["rule"] and found["state"] != ABSENT else state


def told(states: Mapping[str, Mapping[str, Any]]) -> str:
    """How many operations are in each state, in one line; none that is absent counts."""
    counts = Counter(str(found["state"]) for found in states.values())
    parts = [f"{counts[state]} {state.replace('-', ' ')}" for state in STATES if counts[state]]
    limited = [
        f"{op} ({found['rule']} alone)"
        for op, found in states.items()
        if found["state"] == AGREES and found["rule"]
    ]
    return ", ".join(parts) + (f"; {', '.join(limited)}" if limited else "")
