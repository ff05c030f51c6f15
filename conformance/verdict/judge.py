"""One case judged: data drawn, oracle and implementation run, every output compared."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.cases.case import Case
from conformance.cases.request import REMARKED
from conformance.faults import diagnose
from conformance.faults.state import STATE
from conformance.generation.arrays import draw
from conformance.generation.corners import corner_of
from conformance.generation.effort import size_of
from conformance.implementations.handed import CHANGED, EARLIER
from conformance.implementations.implementation import Implementation, Outcome
from conformance.verdict.confirm import Confirmer
from conformance.verdict.declared import marked
from conformance.verdict.form import Form
from conformance.verdict.looks import Found, Look, bits, look, stressed, told, unlike
from conformance.verdict.pace import Pace
from conformance.verdict.record import NOTED, Record, blank, from_verdict
from conformance.verdict.right import formed, output_dtype, right

Arrays = Mapping[str, NDArray[Any]]

#: One case in so many is called three times, over memory filled with other values, and compared bit by bit.
REPEATED = 16
#: Of these, one in so many is compiled under ``--stress``, which takes seconds.
COMPILED = 4

#: What memory holds before each call.
FILLS = (np.nan, -7.0, 1.5)

#: Cases that are asked for before the first of them is judged.
AHEAD = 16

#: What says of calls already what is wrong with them.
_OF_CALLS = (diagnose.BETWEEN_CALLS, diagnose.INPUT_MODIFIED)

#: Of an output whose values are right, in a call that is wrong.
_CALL: dict[str, Any] = {"status": "failed", "index": None, "expected": None, "got": None}


class Judge:
    """Judges the cases of one implementation.

    Parameters
    ----------
    implementation : Implementation
    isolated : bool, optional
        Whether no case is called in a process in which another one was.
    """

    def __init__(self, implementation: Implementation, isolated: bool = False) -> None:
        self.implementation, self._isolated = implementation, isolated
        self._pace, self.confirmer = Pace(self._seconds), Confirmer(implementation)
        self.diagnoser = diagnose.Diagnoser(self._rerun)

    def forget(self) -> None:
        """Drop what earlier diagnoses established, so that the next do not depend on them."""
        self.diagnoser.forget()

    def __call__(self, case: Case) -> list[Record]:
        """The records of a case, one for each output."""
        return self._ended(self._begun(case))

    def each(self, cases: Iterable[Case]) -> Iterator[list[Record]]:
        """The records of each case, in order; the implementation answers while what is right is computed."""
        waiting = deque[Trial | list[Record]]()
        for case in cases:
            if size_of(case) is not None:  # a call decides whether it is asked: it would wait for all of them
                yield from self._rest(waiting)
            waiting.append(self._begun(case))
            if len(waiting) > AHEAD:
                yield self._ended(waiting.popleft())
        yield from self._rest(waiting)

    def _rest(self, waiting: deque[Trial | list[Record]]) -> Iterator[list[Record]]:
        while waiting:
            yield self._ended(waiting.popleft())

    def _begun(self, case: Case) -> Trial | list[Record]:
        """A case whose answer is on its way, or the records of one that nothing answers."""
        has, corner = self.implementation.has(case.op), corner_of(case)
        reason = self._pace.too_slow(case) if has else f"the implementation has no {case.op}"
        if reason is None:
            return Trial(self.implementation, case)
        return [blank(case, output, "absent", corner, reason) for output in case.operation.outputs]

    def _ended(self, begun: Trial | list[Record]) -> list[Record]:
        if isinstance(begun, list):
            return begun
        records = begun.records(self.diagnoser, self.confirmer)
        self._pace.took(begun.case, begun.outcome.seconds)
        declared = self.implementation.differs
        return [marked(declared, r, begun) if declared and r.status == "failed" else r for r in records]

    def _seconds(self, case: Case) -> float:
        seconds = self.implementation.call(case, draw(case)).seconds
        if self._isolated:
            self.implementation.renew()
        return seconds

    def _rerun(self, case: Case) -> Mapping[str, NDArray[Any]]:
        arrays = draw(case)
        outcome = self.implementation.call(case, arrays)
        if outcome.error:
            raise RuntimeError(outcome.error)
        found, wanted = {}, case.operation.wanted
        for name, got in outcome.outputs.items():
            shape = arrays[wanted[name]].shape if name in wanted else np.shape(got)
            found[name] = formed(case, name, got, shape).value
        return found


class Trial:
    """One case with everything that is known of it; ``conformance repro`` shows it.

    Attributes
    ----------
    arrays, expected, limits, outcome
        The data, the oracle's outputs, the bound of each output, what the implementation gave, in the form
        asked for wherever it can be put so.
    """

    def __init__(self, implementation: Implementation, case: Case) -> None:
        self.implementation, self.case = implementation, case
        self.arrays: Arrays = draw(case)
        self.settings = implementation.settings
        self._right = right(implementation, case, self.arrays)
        self.expected, self.limits = self._right.expected, self._right.limits
        sizes = [np.size(value) for value in self.expected.values()]  # a loss under a convention is a number
        self._number = zlib.crc32(str(case).encode())
        self._repeated = self._number % REPEATED == 0
        self._seen_of: dict[str, Found] = {}
        self._answer = implementation.ask(case, self.arrays, sizes, FILLS if self._repeated else FILLS[:1])
        self._look = self._looked(implementation)

    def _looked(self, implementation: Implementation) -> Look | None:
        """The look that is asked for, if the case has one and the function is called at all."""
        case = self.case
        if implementation.lacks(case) or case.dtype not in implementation.dtypes:
            return None
        if self.settings.stress and self._repeated:
            return stressed(implementation, self._right, self._number // REPEATED % COMPILED == 0)
        forward = case.operation.forward
        before = forward is not None and implementation.has(forward)
        return look(implementation, self._right, before, partial(right, implementation))

    @cached_property
    def _answered(self) -> tuple[Outcome, ...]:
        """What came of each call; waits for it."""
        return self._answer()

    @cached_property
    def _forms(self) -> dict[str, Form]:
        """Each output as it is read."""
        return {name: self._right.read(name, got) for name, got in self._answered[0].outputs.items()}

    @cached_property
    def outcome(self) -> Outcome:
        """What the implementation gave, in the form that is compared; waits for it."""
        return replace(self._answered[0], outputs={name: form.value for name, form in self._forms.items()})

    def dtype(self, output: str) -> np.dtype[Any] | None:
        """The dtype that an output must have; None for a Python float."""
        return output_dtype(self.case, output)

    def compared(self, output: str) -> tuple[Any, NDArray[np.float64], NDArray[np.float64]]:
        """What was given for an output, what is right and the limit: of the look, where that was wrong."""
        seen = self._seen_of.get(output)
        got, own = (self.outcome.outputs.get(output), self._right) if seen is None else (seen.got, seen.own)
        assert own is not None
        expected = own.expected[output]
        return got, expected, np.broadcast_to(own.limits[output].limit, expected.shape)

    def records(
        self, diagnoser: diagnose.Diagnoser | None, confirmer: Confirmer | None = None
    ) -> list[Record]:
        """The records of the case; failures are diagnosed if there is a diagnoser, confirmed as well."""
        corner, names = corner_of(self.case), self.case.operation.outputs
        if self.outcome.absent is not None:
            return [blank(self.case, n, "absent", corner, self.outcome.absent) for n in names]
        if self.outcome.refused is not None:
            return [blank(self.case, n, "refused", corner, self.outcome.refused) for n in names]
        if self.outcome.error:
            reason = self.outcome.error
            why = diagnose.of_error(reason, self.case)
            return [blank(self.case, n, "failed", corner, reason).but(diagnosis=why) for n in names]
        found, remark = self._found(confirmer)
        records = []
        for name in names:
            verdict = self._right.verdict(name, self._answered[0].outputs[name])
            if verdict.suspect and not self._confirmed(name):
                verdict = replace(verdict, status="passed", reason="", suspect=False)
            verdict = self._right.of_tails(name, self.outcome.outputs[name], verdict)
            record = from_verdict(self.case, name, verdict, self.limits[name].detectability, corner)
            said = [self._forms[name].said, *(self._remarked if name == names[0] else ())]
            record.form = "; ".join(filter(None, said)) or None
            if self.outcome.changed and verdict.status == "passed":
                record = record.but(**_CALL, reason=self._modified)
            if name in found and record.status == "passed":
                record = self._seen(record, found[name])
            elif record.status == "failed" and diagnoser is not None:
                record = self._explained(record, diagnoser, confirmer)
            elif remark and record.status == "passed":
                record = record.but(reason="; ".join(filter(None, (record.reason, f"{NOTED}{remark}"))))
            if confirmer is not None and record.diagnosis in STATE and confirmer.adds_up(self._right, name):
                record = record.but(diagnosis=diagnose.BETWEEN_CALLS)
            records.append(record)
        return records

    def _seen(self, record: Record, found: Found) -> Record:
        """The record of an output whose values are right, and wrong in a look: with what it gave there."""
        record = record.but(**_CALL)
        if found.own is not None:
            self._seen_of[record.output] = found
            verdict = found.own.verdict(record.output, found.got)
            form, detectability = record.form, record.detectability
            record = from_verdict(self.case, record.output, verdict, detectability, record.corner)
            record.form = form
        return record.but(reason=found.reason, diagnosis=found.fault)

    @property
    def _remarked(self) -> list[str]:
        """What the dialect of the implementation has to remark."""
        return [note for note in self.outcome.notes if note.startswith(REMARKED)]

    def _found(self, confirmer: Confirmer | None) -> tuple[dict[str, Found], str]:
        """What is wrong with outputs whose values are right, by name; and a remark."""
        found, remark = {}, ""
        if self._look is not None:
            seen, remark = told(self._look, self._look.answer(), self.outcome)
            for name, fault in seen.items():
                if self._right.verdict(name, self.outcome.outputs[name]).status == "passed":
                    confirmed = fault if confirmer is None else confirmer.seen(self._look, name, fault, told)
                    if confirmed is not None:
                        found[name] = confirmed
        for note in self.outcome.notes:
            if note.startswith((REMARKED, EARLIER)):
                continue
            name, _, argument = note.partition(" in ")
            if note == CHANGED:
                reason = "changed the caller's hyperparameters"
                found |= {n: Found("hyperparameters-changed", reason) for n in self.expected}
            elif confirmer is not None and confirmer.by_values(self._right, note):
                reason = f"shares the memory of {argument} here, and not for other values of that shape"
                found[name] = Found("output-sometimes-its-input", reason)
            else:
                remark = remark or f"{name} shares the memory of {argument}"
        return {**self._differing(), **found}, remark

    def _explained(
        self, record: Record, diagnoser: diagnose.Diagnoser, confirmer: Confirmer | None
    ) -> Record:
        """A failure with its diagnosis.

        What no known fault explains is tried in a fresh process, and so are the first with a name: what is
        right there is no fault of the formula.
        """
        why = self._diagnosis(diagnoser, record.output)
        if why == diagnose.UNEXPLAINED and self.outcome.changed and not record.reason.startswith("changed"):
            return record.but(diagnosis=diagnose.INPUT_MODIFIED, reason=f"{record.reason}; {self._modified}")
        if confirmer is None:
            return record.but(diagnosis=why)
        if why in _OF_CALLS:
            return record.but(diagnosis=why)
        tried = confirmer.alone if why == diagnose.UNEXPLAINED else confirmer.starts_right
        if tried(self._right, record.output):
            why, where = "depends-on-earlier-calls", "right in a fresh process"
            if confirmer.changes(self._right, record.output):
                why, where = "nondeterministic", "right when it is called again"
            return record.but(diagnosis=why, reason=f"{record.reason}; {where}")
        return record.but(diagnosis=why)

    @property
    def _modified(self) -> str:
        """Which function changed which of its inputs."""
        earlier = [n.removeprefix(EARLIER).split() for n in self.outcome.notes if n.startswith(EARLIER)]
        own = [name for name in self.outcome.changed if name not in [argument for _, argument in earlier]]
        said = [f"{function} changed its input {argument}" for function, argument in earlier]
        return "; ".join([*said, *([f"changed its input {', '.join(own)}"] if own else [])])

    def _differing(self) -> dict[str, Found]:
        """The outputs that further calls, over memory with other contents, give other bits for."""
        if not self._repeated:
            return {}
        found: dict[str, Found] = {}
        for name, value in self._answered[0].outputs.items():
            others = [outcome.outputs.get(name) for outcome in self._answered[1:]]
            again = [bits(other) for other in others]
            if all(other == bits(value) for other in again) and len(again) == len(FILLS) - 1:
                continue
            kept = len(set(again)) == 1 and len(again) == len(FILLS) - 1
            fault = "depends-on-earlier-calls" if kept else "nondeterministic"
            where = next((text for other in others if (text := unlike(name, other, value))), "")
            reason = f"called {len(FILLS)} times on the same arrays, it gave different bits{where}"
            found[name] = Found(fault, reason)
        return found

    def _confirmed(self, name: str) -> bool:
        """Whether two fresh draws of the same case exceed the statistical limit again."""
        for step in (1, 2):
            fresh = Trial(self.implementation, self.case.replace(seed=(self.case.seed + step) % 10**9))
            got = fresh.outcome.outputs
            if name not in got or fresh._right.verdict(name, got[name]).status == "passed":
                return False
        return True

    def _diagnosis(self, diagnoser: diagnose.Diagnoser, name: str) -> str:
        got = self.outcome.outputs[name]
        changed = bool(self.outcome.changed)
        try:
            value = np.asarray(got)
            return diagnoser.diagnose(
                self.case, self.arrays, name, value, self.expected[name], modified=changed
            )
        except (TypeError, ValueError, OverflowError):  # what came back is not an array of numbers
            return diagnose.UNEXPLAINED
