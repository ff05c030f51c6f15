"""One case judged: data drawn, oracle and implementation run, every output compared."""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from conformance.bounds import Bound
from conformance.bounds.table import bounds
from conformance.cases.case import Case
from conformance.cases.dtypes import HALF, KNOWN, working
from conformance.conventions import adjusted, read
from conformance.faults import diagnose
from conformance.generation.arrays import draw
from conformance.generation.corners import corner_of
from conformance.implementations.implementation import Implementation, Outcome
from conformance.operations import OPERATIONS
from conformance.oracle.torch_oracle import evaluate
from conformance.verdict.compare import Verdict, compare, fitted
from conformance.verdict.declared import marked
from conformance.verdict.record import REMARK, Record, blank, from_verdict

Arrays = Mapping[str, NDArray[Any]]

#: One case in so many is called twice, over memory filled with other values, and compared bit by bit.
REPEATED = 8

#: What memory holds before the first call and the second.
FILLS = (np.nan, -7.0)

#: Cases that are asked for before the first of them is judged.
AHEAD = 16


def output_dtype(case: Case, output: str) -> np.dtype[Any] | None:
    """The dtype an output must have; None for a Python float."""
    return _forms(case.op, case.dtype)[output][0]


@cache
def _forms(op: str, dtype: str) -> dict[str, tuple[np.dtype[Any] | None, np.dtype[Any] | None]]:
    """Of each output the dtype it must have, and the half dtype it is stored in."""
    entry, stored = OPERATIONS[op], np.dtype(KNOWN[dtype])
    found: dict[str, tuple[np.dtype[Any] | None, np.dtype[Any] | None]] = {}
    for output in entry.outputs:
        form: np.dtype[Any] | None = stored
        if output in entry.forms:
            name = entry.forms[output].dtype
            form = None if name is None else working(dtype) if name == "working" else np.dtype(name)
        found[output] = form, stored if dtype in HALF and entry.rounds(output) else None
    return found


class Judge:
    """Judges the cases of one implementation.

    Parameters
    ----------
    implementation : Implementation
    """

    def __init__(self, implementation: Implementation) -> None:
        self.implementation = implementation
        self.diagnoser = diagnose.Diagnoser(self._rerun)

    def forget(self) -> None:
        """Drop what earlier diagnoses established, so that the next do not depend on them."""
        self.diagnoser = diagnose.Diagnoser(self._rerun)

    def __call__(self, case: Case) -> list[Record]:
        """The records of a case, one for each output."""
        return self._ended(self._begun(case))

    def each(self, cases: Iterable[Case]) -> Iterator[list[Record]]:
        """The records of each case, in order; the implementation answers while what is right is computed."""
        waiting = deque[Trial | list[Record]]()
        for case in cases:
            waiting.append(self._begun(case))
            if len(waiting) > AHEAD:
                yield self._ended(waiting.popleft())
        while waiting:
            yield self._ended(waiting.popleft())

    def _begun(self, case: Case) -> Trial | list[Record]:
        """A case whose answer is on its way, or the records of one that nothing answers."""
        if self.implementation.has(case.op):
            return Trial(self.implementation, case)
        reason, corner = f"the implementation has no {case.op}", corner_of(case)
        return [blank(case, output, "absent", corner, reason) for output in case.operation.outputs]

    def _ended(self, begun: Trial | list[Record]) -> list[Record]:
        if isinstance(begun, list):
            return begun
        records = begun.records(self.diagnoser)
        declared = self.implementation.differs
        return [marked(declared, r, begun) if declared and r.status == "failed" else r for r in records]

    def _rerun(self, case: Case) -> Mapping[str, NDArray[Any]]:
        outcome = self.implementation.call(case, draw(case))
        if outcome.error:
            raise RuntimeError(outcome.error)
        return outcome.outputs


class Trial:
    """One case with everything that is known of it; ``conformance repro`` shows it.

    Attributes
    ----------
    arrays, expected, limits, outcome
        The data, the oracle's outputs, the bound of each output, what the implementation gave.
    """

    def __init__(self, implementation: Implementation, case: Case) -> None:
        self.implementation, self.case = implementation, case
        self.arrays: Arrays = draw(case)
        self.settings = implementation.settings
        self.expected: dict[str, NDArray[np.float64]]
        self.limits: dict[str, Bound]
        arithmetic = implementation.arithmetic
        if not self.settings.conventions:
            self.expected = evaluate(case, self.arrays)
            self.limits = bounds(case, self.arrays, self.expected, arithmetic)
        else:
            seen = read(case, self.arrays, self.settings)
            expected = evaluate(case, seen)
            limits = bounds(case, seen, expected, arithmetic)
            self.expected, self.limits = adjusted(case, seen, expected, limits, self.settings)
        sizes = [np.size(value) for value in self.expected.values()]  # a loss under a convention is a number
        self._repeated = zlib.crc32(str(case).encode()) % REPEATED == 0
        self._answer = implementation.ask(case, self.arrays, sizes, FILLS if self._repeated else FILLS[:1])

    @cached_property
    def _outcomes(self) -> tuple[Outcome, ...]:
        return self._answer()

    @property
    def outcome(self) -> Outcome:
        """What the implementation gave; waits for it."""
        return self._outcomes[0]

    def dtype(self, output: str) -> np.dtype[Any] | None:
        """The dtype that an output must have; None for a Python float."""
        return output_dtype(self.case, output)

    def records(self, diagnoser: diagnose.Diagnoser | None) -> list[Record]:
        """The records of the case; failures are diagnosed if there is a diagnoser."""
        corner, names = corner_of(self.case), self.case.operation.outputs
        if self.outcome.absent is not None:
            return [blank(self.case, n, "absent", corner, self.outcome.absent) for n in names]
        if self.outcome.error:
            reason = self.outcome.error
            why = diagnose.of_error(reason)
            return [blank(self.case, n, "failed", corner, reason).but(diagnosis=why) for n in names]
        verdicts = {name: self._verdict(name) for name in names}
        repeated = self._differing()
        records = []
        for name in names:
            verdict = verdicts[name]
            if verdict.suspect and not self._confirmed(name):
                verdict = replace(verdict, status="passed", reason="", suspect=False)
            record = from_verdict(self.case, name, verdict, self.limits[name].detectability, corner)
            if self.outcome.changed and verdict.status == "passed":
                record = record.but(
                    status="failed", reason=f"changed its input {', '.join(self.outcome.changed)}"
                )
            if name in repeated:
                why = "nondeterministic: called twice on the same arrays, it gave different bits"
                reason = f"{record.reason}; {why}" if record.reason else why
                record = record.but(status="failed", reason=reason)
            if record.status == "failed" and diagnoser is not None:
                record = record.but(diagnosis=self._diagnosis(diagnoser, name))
            records.append(record)
        return records

    def _verdict(self, name: str) -> Verdict:
        got, (dtype, form) = self.outcome.outputs[name], _forms(self.case.op, self.case.dtype)[name]
        if not self.settings.lenient_shapes:
            return compare(got, self.expected[name], self.limits[name], dtype, form)
        fitting = fitted(got, self.expected[name].shape)
        verdict = compare(fitting, self.expected[name], self.limits[name], dtype, form)
        if fitting is got or verdict.status != "passed":
            return verdict
        return replace(verdict, reason=f"{REMARK}{np.shape(got)}, expected {np.shape(fitting)}")

    def _differing(self) -> tuple[str, ...]:
        """The outputs that a second call, over memory with other contents, gives other bits for."""
        if not self._repeated:
            return ()
        again = self._outcomes[1] if len(self._outcomes) > 1 else Outcome()
        return tuple(n for n, x in self.outcome.outputs.items() if _bits(x) != _bits(again.outputs.get(n)))

    def _confirmed(self, name: str) -> bool:
        """Whether two fresh draws of the same case exceed the statistical limit again."""
        for step in (1, 2):
            fresh = Trial(self.implementation, self.case.replace(seed=(self.case.seed + step) % 10**9))
            if fresh.outcome.error or fresh._verdict(name).status == "passed":
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


def _bits(value: Any) -> bytes:
    return np.asarray(value).tobytes()
