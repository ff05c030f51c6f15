"""Whether a fault is one of state: what failed is tried once more in a process that has made no call yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from conformance.faults.evidence import adds_up
from conformance.generation.arrays import draw
from conformance.generation.families import FAMILIES

if TYPE_CHECKING:
    from conformance.implementations.implementation import Implementation, Outcome
    from conformance.verdict.looks import Found, Look
    from conformance.verdict.right import Right

#: How often an output is tried in a fresh process; after that the first ones speak for the rest.
TRIES = 6

#: How often it is called again in the same process.
AGAIN = 3


class Confirmer:
    """Tries again what failed in one implementation.

    Parameters
    ----------
    implementation : Implementation
    """

    def __init__(self, implementation: Implementation) -> None:
        self._implementation = implementation
        self._tried = Counter[tuple[str, str]]()
        self._right = Counter[tuple[str, str]]()
        self._starts: dict[tuple[str, str], list[bool]] = {}
        self._sums: dict[tuple[str, str], list[bool]] = {}
        self._first: tuple[Right, Outcome] | None = None

    def alone(self, own: Right, name: str) -> bool | None:
        """Whether an output is right in a fresh process; None if there can be none."""
        key = own.case.op, name
        if self._tried[key] >= TRIES:
            return self._right[key] == self._tried[key]
        outcome = self._first_call(own)
        if outcome is None:
            return None
        self._tried[key] += 1
        if outcome.absent or outcome.error or name not in outcome.outputs:
            return False
        verdict = own.verdict(name, outcome.outputs[name])
        right = verdict.status == "passed" or verdict.suspect
        self._right[key] += right
        return right

    def starts_right(self, own: Right, name: str) -> bool:
        """Whether an output with a known fault is right in a fresh process: then the fault is another.

        Of an output whose first failure is wrong there too no other is tried.
        """
        known = self._starts.setdefault((own.case.op, name), [])
        if known and (len(known) >= TRIES or not known[0]):
            return all(known)
        outcome = self._first_call(own)
        got = None if outcome is None else outcome.outputs.get(name)
        known.append(got is not None and own.verdict(name, got).status == "passed")
        return known[-1]

    def _first_call(self, own: Right) -> Outcome | None:
        """What the first call of a fresh process gives: one process for all outputs of a case."""
        if self._first is None or self._first[0] is not own:
            fresh = self._implementation.fresh()
            self._first = None if fresh is None else (own, fresh.call(own.case, own.arrays))
        return self._first and self._first[1]

    def _wrong(self, own: Right, name: str) -> bool:
        """Whether an output is wrong by itself: in a fresh process, or where there is none twice in a row."""
        alone = self.alone(own, name)
        return not (self.changes(own, name, 2) if alone is None else alone)

    def changes(self, own: Right, name: str, times: int = AGAIN) -> bool:
        """Whether an output is right when the call is made again, in the same process."""
        for _ in range(times):
            outcome = self._implementation.call(own.case, own.arrays)
            if name in outcome.outputs and own.verdict(name, outcome.outputs[name]).status == "passed":
                return True
        return False

    def adds_up(self, own: Right, name: str) -> bool:
        """Whether each call gives what is right on top of what the one before it gave."""
        known = self._sums.setdefault((own.case.op, name), [])
        if len(known) >= TRIES and not any(known):
            return False
        values = []
        for _ in range(2):
            got = self._implementation.call(own.case, own.arrays).outputs.get(name)
            value = None if got is None else own.read(name, got).value
            if not isinstance(value, (float, np.ndarray)):
                return False
            values.append(np.asarray(value, np.float64))
        known.append(adds_up(own.case, own.arrays, name, own.expected[name], *values))
        return known[-1]

    def seen(self, asked: Look, name: str, found: Found, told: Callable[..., Any]) -> Found | None:
        """What a look has shown (`looks.told`), if each call alone is right; said of a fresh process, too."""
        if any(self._wrong(own, name) for own in asked.rights):
            return None
        own = asked.rights[0]
        first, fresh = self._first_call(own), self._implementation.fresh()
        if first is None or fresh is None:
            return found
        again = self._played(fresh, asked, told, first)
        if name in again:
            seen: Found = again[name]
            return seen._replace(reason=f"{seen.reason}; in a fresh process, too")
        if found.fault.startswith("nondeterministic"):
            return found
        kept = name in self._played(self._implementation, asked, told, first)
        if kept and asked.script.layers[0].form and self.changes(own, name, 1):
            fault = found.fault  # the plain call is right in this process, too: the form makes it wrong
        else:
            fault = "depends-on-earlier-calls" if kept else "nondeterministic"
        return found._replace(fault=fault, reason=f"{found.reason}; not in a fresh process")

    def _played(
        self, implementation: Implementation, asked: Look, told: Callable[..., Any], first: Outcome
    ) -> Mapping[str, Found]:
        """What the same look shows once more."""
        again: Mapping[str, Found] = told(asked, implementation.look(asked.cases[0], asked.script)(), first)[
            0
        ]
        return again

    def by_values(self, own: Right, note: str) -> bool:
        """Whether an output that shares memory with an input does so for some values alone."""
        key = own.case.op, note
        if self._tried[key] >= 3:
            return False
        self._tried[key] += 1
        for family in ("normal", "negative", "ties"):
            other = own.case.replace(family=family)
            if family != own.case.family and FAMILIES[family].suits(other):
                outcome = self._implementation.call(other, draw(other))
                if outcome.outputs and note not in outcome.notes:
                    return True
        return False
