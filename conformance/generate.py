"""The cases of a run: every corner, every pair of options, then data families in turn on drawn shapes.

A drawn shape is kept only if a fault in one parameter would show in it (`conformance.acceptable`).

What goes beyond the contract's plain calls (`conformance.options`) is covered by the fewest cases that hold
every pair of kinds of options (`conformance.covering`), and then by one drawn case in `OPTIONS`: the plain
calls keep the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache

import numpy as np

from conformance import covering
from conformance.acceptable import acceptable, all_show, distinct
from conformance.case import Case
from conformance.corner_shapes import WIDTHS
from conformance.corners import corner_of, corners
from conformance.families import FAMILIES
from conformance.family import Family
from conformance.formats import KNOWN
from conformance.operations import OPERATIONS, WORDS, Operation
from conformance.options import Value
from conformance.sample import sample
from conformance.stream import Stream

#: What each parameter is drawn from.
_POOLS: Mapping[str, tuple[int, ...]] = {
    "m": (1, 2, 3, 4, 5, 7),
    "h": (2, 3, 4, 5, 6, 7, 8, 9, 11, 13),
    "w": (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 17),
    "c": (1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 15, 16, 17, 31, 33, 65),
    "f": (1, 2, 3, 4, 5, 7),
    "k": (1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 15, 16, 17, 31, 33, 65),
    "s": (1, 1, 2, 2, 3, 4, 5),
    "p": (0, 0, 1, 1, 2, 3, 4, 6),
    "i": (2, 4, 5, 6, *WIDTHS, 24, 40),
    "o": (1, 2, 4, 5, 6, *WIDTHS, 12, 23),
    "n": (2, 4, 5, 6, *WIDTHS[1:], 10, 100),
}

#: Where other extents than those of an image are needed.
_OTHER_POOLS: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "conv_single_step": {"f": (1, 2, 3, 4, 5, 6, 7), "c": (*_POOLS["c"], 10, 11, 14, 20, 24, 40, 64)},
    "create_mask_from_window": {"h": tuple(range(1, 15)), "w": tuple(range(1, 19))},
    "distribute_value": {"h": tuple(range(1, 17)), "w": tuple(range(1, 19))},
    **{
        op: {"m": (1, 2, 3, 4, 5, 6, 7, 10, 19, 34)}
        for op in OPERATIONS
        if op.startswith(("affine", "soft", "cross"))
    },
}

#: One drawn case in so many has options, of an operation that has any.
OPTIONS = 4

#: One case in so many is drawn, even where there are more corners than cases: the corners of some operations
#: have one row, or one channel, all of them.
DRAWN = 12

#: So many draws without a shape that meets the rules are a defect.
_ATTEMPTS = 10_000

#: So many draws look for a shape in which each option makes a difference.
_PREFERRED = 100

#: Shapes drawn at a time.
_AT_ONCE = 4

#: How many data seeds a case can have.
_SEEDS = 10**9


def generate(
    operations: Iterable[Operation],
    dtypes: Iterable[str],
    count: int,
    seed: int,
    start: int = 0,
    stop: int | None = None,
) -> Iterator[Case]:
    """Yield the cases of a run, or those from number `start` to before `stop` of it.

    Every case is drawn by its number alone, so that a part costs what its own cases cost.

    Parameters
    ----------
    operations : iterable of Operation
        The functions, as `conformance.operations.select` gives them.
    dtypes : iterable of {"f32", "f64", "f16", "bf16"}
        The dtypes of the arrays.
    count : int
        Cases per operation and dtype. Where that leaves less than one in `DRAWN` beside an operation's
        corners and the cases that cover its options, some of them are taken.
    seed : int
        Seeds shapes and data; the corners are the same for every seed, their data are not.
    start, stop : int, optional
        Numbers of cases, counted through the run from 0.

    Yields
    ------
    Case
        ``count`` different ones for each operation and dtype, the corners first, then the pairs of options.

    Raises
    ------
    ValueError
        If `count` is not 1 to 10**9, `seed` is negative or too large for a case, or a dtype is unknown.
    """
    dtypes = list(dtypes)
    if not 1 <= count <= _SEEDS:
        raise ValueError(f"generate: count is {count}, expected 1 to {_SEEDS}")
    if not 0 <= seed < _SEEDS:
        raise ValueError(f"generate: seed is {seed}, expected 0 to 999999999")
    for dtype in dtypes:
        if dtype not in KNOWN:
            raise ValueError(f"generate: dtype is {dtype!r}, expected one of {', '.join(KNOWN)}")
    first = 0
    for operation in operations:
        for dtype in dtypes:
            end = count if stop is None else min(stop - first, count)
            if max(start - first, 0) < end:
                yield from _cases(operation, dtype, count, seed, max(start - first, 0), end)
            first += count


def _cases(operation: Operation, dtype: str, count: int, seed: int, start: int, stop: int) -> Iterator[Case]:
    """Cases `start` to `stop` of the `count` different ones of one operation in one dtype."""
    drawing = Drawing(operation, dtype, seed)
    known = len(corners(operation.name)) + len(covering.rows(operation.name))
    before = min(known, count - count // DRAWN)
    if start < before:
        cases = [corner.case(dtype, seed) for corner in corners(operation.name)]
        cases += map(drawing.covering, range(known - len(cases)))
        yield from sample(cases, before)[start:stop]
    yield from map(drawing.further, range(max(start - before, 0), stop - before))


class Drawing:
    """The drawn cases of one operation in one dtype: any number of different ones, each by its number.

    No two are equal because no two have the same data seed.
    """

    def __init__(self, operation: Operation, dtype: str, seed: int) -> None:
        self._operation, self._dtype, self._seed = operation, dtype, seed
        self._text = f"{operation.name}:{dtype}:{seed}"
        self._first = int(Stream(self._text).raw((1,))[0]) % _SEEDS
        self._rows = covering.rows(operation.name)
        self._families = [family for family in FAMILIES.values() if operation.name in family.operations]
        if not self._families:
            raise AssertionError(f"no data family goes with {operation.name}")
        self._pairs = _pairs(operation)

    def covering(self, number: int) -> Case:
        """The case of row `number` of those that cover the options."""
        return self._with_options(number, self._rows[number], number)

    def further(self, number: int) -> Case:
        """One of the drawn cases without end: plain ones, and between them some with options."""
        data = len(self._rows) + number
        if not self._operation.options:
            return self._plain(number, data)
        block, place = divmod(number, OPTIONS + 1)
        if place < OPTIONS:
            return self._plain(block * OPTIONS + place, data)
        turn = block * OPTIONS + OPTIONS - 1
        row = covering.chance(self._operation, Stream(f"{self._seed}:{turn}"))
        return self._with_options(turn, row, data)

    def _plain(self, turn: int, data: int) -> Case:
        """A plain case: families and words in turn, shape at random."""
        family, words = self._pairs[turn % len(self._pairs)]
        operation, stream = self._operation, Stream(f"{self._text}:{turn}")
        for draws in _numbers(stream, len(operation.parameters)):
            params = _extents(operation, draws, words)
            if not distinct([value for value in params.values() if isinstance(value, int)]):
                continue
            case = Case(operation.name, self._dtype, tuple(params.items()), family.name, self._data(data))
            if acceptable(case) and family.suits(case) and not self._is_corner(case):
                return case
        raise AssertionError(f"no shape for {operation.name} {words} with family {family.name}")

    def _with_options(self, turn: int, row: Mapping[str, str], data: int) -> Case:
        """A case whose words and options are of the kinds of `row`; families in turn, the rest at random."""
        operation, dtype = self._operation, self._dtype
        first = turn % len(self._families)
        families = self._families[first:] + self._families[:first]
        words = {name: kind for name, kind in row.items() if name in WORDS}
        stream = Stream(f"{self._text}:{turn}:options")
        for attempt, draws in enumerate(_numbers(stream, len(operation.parameters) + len(operation.options))):
            params = _extents(operation, draws, words)
            for option, number in zip(operation.options, draws[len(params) :], strict=True):
                params.update(option.drawn(row[option.name], params, number))
            if not distinct([params[name] for name in "mhwcf" if name in params]):
                continue
            case = Case.of(operation.name, dtype, params, families[0].name, self._data(data))
            if case.levels != row or not acceptable(case):
                continue
            # There may be no shape in which each of them makes a difference: padding none, border exclude.
            if attempt < _PREFERRED and not all_show(case):
                continue
            case = case.replace(family=next(family.name for family in families if family.suits(case)))
            if not self._is_corner(case):
                return case
        raise AssertionError(f"no shape for {operation.name} {dict(row)}")

    def _data(self, number: int) -> int:
        return (self._first + number) % _SEEDS

    def _is_corner(self, case: Case) -> bool:
        return case.seed == self._seed and corner_of(case) is not None


def _numbers(stream: Stream, count: int) -> Iterator[list[int]]:
    """`count` numbers for each attempt; a shape that meets the rules turns up within a handful."""
    for _ in range(_ATTEMPTS // _AT_ONCE):
        yield from (stream.raw((_AT_ONCE, count)) >> np.uint64(11)).tolist()


@cache
def _pools(op: str) -> Mapping[str, tuple[int, ...]]:
    return {**_POOLS, **_OTHER_POOLS.get(op, {})}


def _extents(operation: Operation, draws: list[int], words: Mapping[str, str]) -> dict[str, Value]:
    """The parameters of a plain case."""
    pools = _pools(operation.name)
    return {
        name: words[name] if name in words else pools[name][draw % len(pools[name])]
        for name, draw in zip(operation.parameters, draws, strict=False)
    }


def _pairs(operation: Operation) -> list[tuple[Family, dict[str, str]]]:
    """Each family with each word (mode, activation) that it may go with."""
    word = next((name for name in operation.parameters if name in WORDS), None)
    choices: list[dict[str, str]] = [{word: value} for value in WORDS[word]] if word else [{}]
    probe: dict[str, Value] = dict.fromkeys(operation.parameters, 4)
    probe.update({name: value for name, value in (("s", 1), ("p", 0)) if name in probe})
    return [
        (family, chosen)
        for family in FAMILIES.values()
        for chosen in choices
        if family.suits(Case(operation.name, "f32", tuple({**probe, **chosen}.items()), family.name, 0))
    ]
