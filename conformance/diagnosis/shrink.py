"""The smallest case that still fails in the same way as a given one.

Parameters are made smaller one after another, and those that hold each other up (a window and the image it
has to fit in) together, for as long as the same output fails with the same diagnosis; without a diagnosis,
in the same manner (an exception of the same type, a wrong shape, NaN, wrong values).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from conformance.cases.case import Case
from conformance.cases.window import possible
from conformance.faults import Slip
from conformance.faults.catalogue import named
from conformance.faults.diagnose import BETWEEN_CALLS, DTYPE_NOT_KEPT, INPUT_MODIFIED, SHAPE_FLATTENED
from conformance.faults.evidence import Evidence
from conformance.faults.features import features
from conformance.faults.state import STATE
from conformance.generation.arrays import draw
from conformance.generation.families import FAMILIES
from conformance.verdict.looks import looked, looked_alike
from conformance.verdict.record import Record, number

if TYPE_CHECKING:
    from conformance.verdict.judge import Trial

Attempt = Callable[[Case], "Trial"]
Step = TypeVar("Step")

#: Errors up to so many times the bound may be rounding; no such error is a smaller case of a gross one.
_GROSS = 100.0

#: Diagnoses of a call rather than of the values it gives.
_CALLS = (BETWEEN_CALLS, DTYPE_NOT_KEPT, INPUT_MODIFIED, SHAPE_FLATTENED)

#: Seconds for one case.
PATIENCE = 4.0

#: What a parameter may come down to.
_LEAST = {"p": 0}

#: Parameters that hold each other up.
_TOGETHER = (
    ("h", "w"),
    *((name, "h", "w") for name in "fps"),
    ("c", "k"),
    ("g", "c", "k"),
    ("i", "o"),
)

#: Steps down from a number: to the least, by halves of the way that is left, by two and by one.
STEPS = 12

#: Seeds among which one is looked for that gives a case a look.
SEEDS = 2000

#: Families whose data are easiest to read, tried in this order.
_PLAIN = ("one-hot", "small", "normal")


def manner(record: Record) -> str:
    """In which way an output failed, apart from the figures."""
    reason = record.reason
    if reason.startswith("raised "):
        return re.sub(r"\d+", "0", reason.partition("\n")[0])[:200]
    for word in ("shape is", "dtype is", "nondeterministic", "changed its input", "returned", "is a "):
        if reason.startswith(word) or (word in ("nondeterministic", "changed its input") and word in reason):
            return word
    if record.max_bound_fraction is None:
        return "not finite"
    return "values" if number(record.max_bound_fraction) > _GROSS else "rounding"


class Same:
    """Whether a case fails in the same way as a record.

    Parameters
    ----------
    attempt : callable
        Tries a case on the implementation: ``partial(Trial, implementation)``.
    record : Record
        The failure.
    rule : frozenset of str, optional
        What has to be said of a case, by `faults.features`: the condition under which it fails.

    Attributes
    ----------
    failed, passed : list of Case
        What was tried, by what came of it; cases that fail in another way are in neither.
    """

    def __init__(self, attempt: Attempt, record: Record, rule: frozenset[str] = frozenset()) -> None:
        self._attempt, self._output, self._rule = attempt, record.output, rule
        self.failed: list[Case] = []
        self.passed: list[Case] = []
        self._manner, self._slip = manner(record), _slip(record.diagnosis)
        if record.reason.startswith("raised "):
            self._slip = None
        if self._slip is not None and not self(Case.parse(record.case)):
            self._slip = None  # the diagnosis rests on other cases: the manner has to do

    def __call__(self, case: Case) -> bool:
        """Whether the same output of `case` fails, in the same manner and by the same slip."""
        if not self._rule <= features(case).flags:
            return False
        trial = self._attempt(case)
        record = next(r for r in trial.records(None) if r.output == self._output)
        if record.status == "passed":
            self.passed.append(case)
        same = record.status == "failed" and self._same(case, trial, record)
        if same:
            self.failed.append(case)
        return same

    def _same(self, case: Case, trial: Trial, record: Record) -> bool:
        if self._slip is None:
            return manner(record) == self._manner
        got = trial.outcome.outputs.get(self._output)
        if got is None:
            return False
        try:
            evidence = Evidence(
                case, trial.arrays, self._output, np.asarray(got), trial.expected[self._output]
            )
            return bool(evidence.explained_by(self._slip) or evidence.closer_to(self._slip))
        except (TypeError, ValueError, OverflowError):
            return False


def _slip(diagnosis: str | None) -> Slip | None:
    """The slip that a diagnosis names; None for one that is not told from the values of the output."""
    return named(diagnosis) if diagnosis not in _CALLS else None


def shrink(attempt: Attempt, record: Record, seconds: float = PATIENCE, same: Same | None = None) -> Case:
    """The smallest case found that fails as `record` does.

    Parameters
    ----------
    attempt : callable
        Tries a case on the implementation: ``partial(Trial, implementation)``.
        What is wrong.
    record : Record
        A failure of it.
    seconds : float
        When to stop with the smallest so far.
    same : callable, optional
        Whether a case still fails in the same way.

    Returns
    -------
    Case
        The record's own case if nothing smaller fails.
    """
    case = Case.parse(record.case)
    smaller = partial(_with_look, case) if record.diagnosis in STATE and looked(case) else _possible_steps
    return descent(case, smaller, same or Same(attempt, record), time.monotonic() + seconds)


def descent(
    start: Step, smaller: Callable[[Step], Iterable[Step]], same: Callable[[Step], bool], end: float
) -> Step:
    """The last of the steps down from `start` that each fail in the same way; at `end` the last so far."""
    best, tried, progress = start, {start}, True
    while progress:
        progress = False
        for candidate in smaller(best):
            if time.monotonic() > end:
                return best
            if candidate in tried:
                continue
            tried.add(candidate)
            if same(candidate):
                best, progress = candidate, True
                break
    return best


def _possible_steps(case: Case) -> Iterator[Case]:
    return filter(_possible, _smaller(case))


def _with_look(start: Case, case: Case) -> Iterator[Case]:
    """The same, each with the first seed that gives it the look of `start`: which follows from its line."""
    for smaller in _possible_steps(case):
        seeded = (smaller.replace(seed=seed) for seed in range(SEEDS))
        yield from islice((case for case in seeded if looked_alike(start, case)), 1)


def _smaller(case: Case) -> Iterator[Case]:
    """Cases a step smaller, the boldest steps first."""
    yield from _plainer(case)
    numbers = {name: value for name, value in case.params if isinstance(value, int)}
    for step in range(STEPS):
        for names in (*_TOGETHER, *((name,) for name in numbers)):
            if not set(names) <= set(numbers):
                continue
            values = {name: lower(numbers[name], step, _LEAST.get(name, 1)) for name in names}
            if any(values[name] < numbers[name] for name in names):
                yield case.replace(**values)
    simpler = _PLAIN[: _PLAIN.index(case.family)] if case.family in _PLAIN else _PLAIN
    for family in simpler:
        yield case.replace(family=family)
    if case.seed:
        yield case.replace(seed=0)


def _plainer(case: Case) -> Iterator[Case]:
    """Cases with an option less, or with one number for rows and columns."""
    for name, value in case.params:
        option = case.operation.option.get(name)
        if option is None:
            continue
        if option.default is not None:
            yield case.replace(**{name: option.default})
        if isinstance(value, tuple):
            for one in sorted(set(value)):
                yield case.replace(**{name: one})
            if len(value) == 4:
                yield case.replace(**{name: (value[0], value[2])})
        elif isinstance(value, str) and name == "p":
            yield case.replace(p=0)


def lower(value: int, step: int, least: int = 1) -> int:
    """The least; then half of the way to it, a quarter, and so on; two less and one less at the end."""
    least = min(least, value)
    if step == 0:
        return least
    down = (value - least) >> step if step < STEPS - 2 else STEPS - step
    return max(least, value - down)


def _possible(case: Case) -> bool:
    """Whether there is such a case: a window that fits, a family that suits."""
    if not FAMILIES[case.family].suits(case):
        return False
    if "s" in case.operation.parameters and not possible(case):
        return False
    try:
        draw(case)
    except (ValueError, IndexError, ZeroDivisionError):
        return False
    return True
