"""Where the time of a sweep goes, case by case in one process: ``python -m benchmarks.sweep [CASES]``.

The oracle's time is that of every call of it, those for the bounds included; the implementation's that of its
calls; the suite's own is the rest: listing, drawing, bounds, comparing, recording. Processor time, so that
other work on the machine counts little; what reading the clock takes is measured first and taken off. As in a
worker of a run on as many processors as it has workers, the implementation has one thread.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # read when the libraries are loaded

from conformance.bounds import affine_activation, sums
from conformance.generation import generate
from conformance.implementations import perform
from conformance.implementations.implementation import Implementation, here
from conformance.operations import OPERATIONS
from conformance.runs.worker import settle
from conformance.verdict import judge, right
from conformance.verdict.record import Record

#: Name, and where the function is looked up that takes the time.
_PARTS: tuple[tuple[str, Any, str], ...] = (
    ("oracle", right, "evaluate"),
    ("oracle, for bounds", sums, "evaluate"),
    ("oracle, for bounds", affine_activation, "evaluate"),
    ("drawing", judge, "draw"),
    ("bounds", right, "bounds"),
    ("comparing", right, "compare"),
    ("recording", judge, "from_verdict"),
    ("recording", Record, "line"),
    ("implementation", perform, "before"),
    ("implementation", perform, "last"),
    ("calling", Implementation, "ask"),
)
_THEIRS = ("oracle", "oracle, for bounds", "implementation")


class Clock:
    """Processor time by part; a part's time holds neither that of the parts it calls nor the clock's own."""

    def __init__(self) -> None:
        self.spent: dict[str, float] = {}
        self._inner: list[float] = []
        self._inside = self._outside = 0.0
        self._inside, self._outside = self._own()

    def _own(self, calls: int = 20_000) -> tuple[float, float]:
        """What one timed call adds to its own part, and to that of its caller."""
        nothing = self.timed("nothing", lambda: None)

        def several() -> None:
            for _ in range(calls):
                nothing()

        def bare() -> None:
            for _ in range(calls):
                pass

        self.timed("bare", bare)()
        self.timed("several", several)()
        found = {name: self.spent.pop(name) / calls for name in ("nothing", "several", "bare")}
        return found["nothing"], found["several"] - found["bare"]

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, its time counted as `name`."""

        def run(*arguments: Any, **named: Any) -> Any:
            started = time.process_time()
            self._inner.append(0.0)
            try:
                return function(*arguments, **named)
            finally:
                taken, inner = time.process_time() - started, self._inner.pop()
                self.spent[name] = self.spent.get(name, 0.0) + taken - inner - self._inside
                if self._inner:
                    self._inner[-1] += taken + self._outside

        return run


def main(count: int = 100) -> None:
    """Print one line for each part."""
    warnings.simplefilter("ignore")
    clock, judged = Clock(), judge.Judge(here("cnnref"))
    for case in generate.generate(OPERATIONS.values(), ("f32", "f64"), 4, 1):
        judged(case)  # what is done once
    settle()
    for name, place, attribute in _PARTS:
        setattr(place, attribute, clock.timed(name, getattr(place, attribute)))

    def listed() -> Iterator[Any]:
        cases = generate.generate(OPERATIONS.values(), ("f32", "f64"), count, 0)
        draw = clock.timed("listing", lambda: next(cases, None))
        while (case := draw()) is not None:
            yield case

    def everything() -> tuple[int, int]:
        cases = size = 0
        for case in listed():
            cases += 1
            size += sum(len(record.line()) + 1 for record in judged(case))
        return cases, size

    cases, size = clock.timed("the rest", everything)()
    total = sum(clock.spent.values())
    oracle = clock.spent["oracle"] + clock.spent["oracle, for bounds"]
    for name, spent in sorted(clock.spent.items(), key=lambda item: -item[1]):
        print(f"{name:<20}{spent / cases * 1e6:8.1f} us a case {spent / total:7.1%}")
    own = total - sum(clock.spent[name] for name in _THEIRS)
    print(f"{cases} cases, {cases / total:.0f} a second of one processor, {size / cases:.0f} bytes a case")
    print(f"The suite's own work is {own / oracle:.2f} times the oracle's")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
