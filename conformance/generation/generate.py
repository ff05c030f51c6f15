"""The cases of a run: every corner, every pair of options, then data families in turn on drawn shapes.

A drawn shape is kept only if a fault in one parameter would show in it (`acceptable`).

What goes beyond the contract's plain calls (`conformance.cases.options`) is covered by the fewest cases that
hold every pair of kinds of options (`covering`), and then by one drawn case in `OPTIONS`: the plain calls
keep the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache, lru_cache

from conformance.cases.case import Case
from conformance.cases.dtypes import KNOWN
from conformance.cases.operation import WORDS
from conformance.cases.options import Option, Value
from conformance.generation import covering
from conformance.generation.acceptable import EXTENTS, acceptable, all_show, apart, fits, may_show
from conformance.generation.corners import corner_of, corners
from conformance.generation.families import FAMILIES, Family
from conformance.generation.random import Stream
from conformance.generation.sample import sample
from conformance.operations import OPERATIONS
from conformance.operations.corner_shapes import WIDTHS
from conformance.operations.entry import Entry

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

#: One drawn case in so many has options, of an operation that has any.
OPTIONS = 4

#: One case in so many is drawn, even where there are more corners than cases: the corners of some operations
#: have one row, or one channel, all of them.
DRAWN = 12

#: So many draws without a shape that meets the rules are a defect.
_ATTEMPTS = 10_000

#: So many draws look for a shape in which each option makes a difference.
_PREFERRED = 100

#: How many data seeds a case can have.
_SEEDS = 10**9


def generate(
    operations: Iterable[Entry],
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
    operations : iterable of Entry
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


def _cases(operation: Entry, dtype: str, count: int, seed: int, start: int, stop: int) -> Iterator[Case]:
    """Cases `start` to `stop` of the `count` different ones of one operation in one dtype."""
    known = len(corners(operation.name)) + len(covering.rows(operation.name))
    before = min(known, count - count // DRAWN)
    if start < before:
        yield from _first(operation.name, dtype, before, seed)[start:stop]
    if stop > before:
        yield from map(
            _drawing(operation.name, dtype, seed).further, range(max(start - before, 0), stop - before)
        )


@lru_cache(maxsize=2)  # the parts of a run that ask for them stand one behind another
def _first(op: str, dtype: str, count: int, seed: int) -> list[Case]:
    """`count` of the corners and of the cases that cover the options."""
    cases = [corner.case(dtype, seed) for corner in corners(op)]
    cases += map(_drawing(op, dtype, seed).covering, range(len(covering.rows(op))))
    return sample(cases, count)


@lru_cache(maxsize=2)
def _drawing(op: str, dtype: str, seed: int) -> Drawing:
    return Drawing(OPERATIONS[op], dtype, seed)


class Drawing:
    """The drawn cases of one operation in one dtype: any number of different ones, each by its number.

    No two are equal because no two have the same data seed.
    """

    def __init__(self, operation: Entry, dtype: str, seed: int) -> None:
        self._operation, self._dtype, self._seed = operation, dtype, seed
        self._text = f"{operation.name}:{dtype}:{seed}"
        self._first = int(Stream(self._text).raw((1,))[0]) % _SEEDS
        self._rows = covering.rows(operation.name)
        self._families = [family for family in FAMILIES.values() if operation.name in family.operations]
        if not self._families:
            raise AssertionError(f"no data family goes with {operation.name}")
        self._pairs = _pairs(operation.name)

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
        family, pools = self._pairs[turn % len(self._pairs)]
        operation, stream = self._operation, Stream(f"{self._text}:{turn}")
        places = tuple(range(len(pools)))
        for _ in range(_ATTEMPTS):
            _, drawn = stream.chosen(pools, places, _ATTEMPTS)
            params = tuple(zip(operation.parameters, drawn, strict=True))
            case = Case(operation.name, self._dtype, params, family.name, self._data(data))
            if fits(case) and family.suits(case) and not self._is_corner(case):
                return case
        raise AssertionError(f"no shape for {operation.name} {pools} with family {family.name}")

    def _with_options(self, turn: int, row: Mapping[str, str], data: int) -> Case:
        """A case whose words and options are of the kinds of `row`; families in turn, the rest at random."""
        operation = self._operation
        first = turn % len(self._families)
        families = self._families[first:] + self._families[:first]
        kinds = [(option, row[option.name]) for option in operation.options]
        beyond = not all(option.is_plain_kind(kind) for option, kind in kinds)
        pools = (*_pools(operation, row), *(option.pool(kind) for option, kind in kinds))
        places = _kept(operation, kinds)
        stream = Stream(f"{self._text}:{turn}:options")
        attempts = 0
        if not may_show(row):
            # There is no shape in which each of them makes a difference: padding none, border exclude.
            attempts = _PREFERRED
            stream.skip(attempts * len(pools))
        while attempts < _ATTEMPTS:
            more, drawn = stream.chosen(pools, places, _ATTEMPTS)
            attempts += more
            params: dict[str, Value] = dict(zip(operation.parameters, drawn, strict=False))
            for (option, kind), value in zip(kinds, drawn[len(params) :], strict=True):
                params.update(option.drawn(kind, params, value))
            if beyond and not apart(params):
                continue
            case = Case.of(operation.name, self._dtype, params, families[0].name, self._data(data))
            if not (fits(case) if beyond else acceptable(case)) or case.levels != row:
                continue
            if attempts <= _PREFERRED and not all_show(case):
                continue
            case = case.replace(family=next(family.name for family in families if family.suits(case)))
            if not self._is_corner(case):
                return case
        raise AssertionError(f"no shape for {operation.name} {dict(row)}")

    def _data(self, number: int) -> int:
        return (self._first + number) % _SEEDS

    def _is_corner(self, case: Case) -> bool:
        return case.seed == self._seed and corner_of(case) is not None


def _pools(operation: Entry, words: Mapping[str, str]) -> tuple[tuple[Value, ...], ...]:
    """What each parameter of a plain case with these words is drawn from."""
    pools = {**_POOLS, **operation.pools}
    return tuple((words[name],) if name in WORDS else pools[name] for name in operation.parameters)


def _kept(operation: Entry, kinds: Iterable[tuple[Option, str]]) -> tuple[int, ...]:
    """The places of the extents that no option of these kinds draws anew."""
    probe: dict[str, Value] = dict.fromkeys(operation.parameters, 4)
    anew = {
        name for option, kind in kinds for name in option.drawn(kind, probe, (option.pool(kind) or (0,))[0])
    }
    return tuple(i for i, name in enumerate(operation.parameters) if name in EXTENTS and name not in anew)


@cache
def _pairs(op: str) -> list[tuple[Family, tuple[tuple[Value, ...], ...]]]:
    """Each family with what the parameters are drawn from, for each word that it goes with."""
    operation = OPERATIONS[op]
    word = next((name for name in operation.parameters if name in WORDS), None)
    choices: list[dict[str, str]] = [{word: value} for value in WORDS[word]] if word else [{}]
    probe: dict[str, Value] = dict.fromkeys(operation.parameters, 4)
    probe.update({name: value for name, value in (("s", 1), ("p", 0)) if name in probe})
    return [
        (family, _pools(operation, chosen))
        for family in FAMILIES.values()
        for chosen in choices
        if family.suits(Case(op, "f32", tuple({**probe, **chosen}.items()), family.name, 0))
    ]
