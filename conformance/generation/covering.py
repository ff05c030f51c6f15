"""A covering array: few rows in which every pair of kinds of two options occurs.

Built greedily and without chance, so that the rows of an operation are the same in every run: each row
starts from the first pair that is missing, and every other option takes the kind that adds most pairs to
those chosen already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from itertools import combinations

from conformance.cases.operation import Level, Operation
from conformance.generation.random import Stream
from conformance.operations import OPERATIONS

Pair = tuple[Level, Level]


@cache
def pairs(op: str) -> tuple[Pair, ...]:
    """Every pair of kinds of two factors of an operation that some case can have, in the table's order."""
    operation = OPERATIONS[op]
    return tuple(
        ((one, first), (other, second))
        for (one, kinds), (other, others) in combinations(operation.factors.items(), 2)
        for first in kinds
        for second in others
        if _together(operation, (one, first), (other, second))
        and _completed(operation, {one: first, other: second}, lambda level, row: 0)
    )


@cache
def rows(op: str) -> tuple[dict[str, str], ...]:
    """The rows for the operation `op`: a kind of each of its factors.

    None for an operation without options: its words are drawn in turn anyway.
    """
    operation = OPERATIONS[op]
    return tuple(_rows(operation)) if operation.options else ()


def _rows(operation: Operation) -> Iterator[dict[str, str]]:
    factors = operation.factors
    if len(factors) == 1:
        yield from ({name: kind} for name, kinds in factors.items() for kind in kinds)
    missing = dict.fromkeys(pairs(operation.name))

    def gain(level: Level, row: dict[str, str]) -> int:
        """How many missing pairs a kind makes with those of the row."""
        return sum((level, chosen) in missing or (chosen, level) in missing for chosen in row.items())

    while missing:
        row = _completed(operation, dict(next(iter(missing))), gain)
        ordered = [(name, row[name]) for name in factors]
        for pair in combinations(ordered, 2):
            missing.pop(pair, None)
        yield dict(ordered)


def _completed(
    operation: Operation, row: dict[str, str], gain: Callable[[Level, dict[str, str]], int]
) -> dict[str, str]:
    """The row with a kind of every factor, each of the largest gain that leaves one for the others.

    Empty if there is none.
    """
    name = next((name for name in operation.factors if name not in row), None)
    if name is None:
        return row
    fitting = [kind for kind in operation.factors[name] if _fits(operation, row, (name, kind))]
    for kind in sorted(fitting, key=lambda kind: -gain((name, kind), row)):
        found = _completed(operation, {**row, name: kind}, gain)
        if found:
            return found
    return {}


def chance(operation: Operation, stream: Stream) -> dict[str, str]:
    """A row drawn at random."""
    draws = {name: stream.integers(0, 1 << 20, (len(kinds),)) for name, kinds in operation.factors.items()}

    def gain(level: Level, row: dict[str, str]) -> int:
        name, kind = level
        return int(draws[name][operation.factors[name].index(kind)])

    return _completed(operation, {}, gain)


def _together(operation: Operation, one: Level, other: Level) -> bool:
    return (one, other) not in operation.apart and (other, one) not in operation.apart


def _fits(operation: Operation, row: dict[str, str], level: Level) -> bool:
    return all(_together(operation, chosen, level) for chosen in row.items())
