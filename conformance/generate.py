"""The cases of a run: every corner, every pair of options, then data families in turn on drawn shapes.

A drawn shape is kept only if no two of its extents are equal, where the operation leaves the choice: a
kernel that takes the width for the height, or the channels for the samples, then gives another answer.
Its windows give more than one output, and as many rows as columns in no case, so that the stride shows.

What goes beyond the contract's plain calls (`conformance.options`) is covered by the fewest cases that hold
every pair of kinds of options (`conformance.covering`), and then by one drawn case in `OPTIONS`: the plain
calls keep the rest.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping

from conformance import covering
from conformance.case import DTYPES, Case
from conformance.corner_shapes import WIDTHS
from conformance.corners import corners
from conformance.data import array_shapes
from conformance.families import FAMILIES
from conformance.family import Family
from conformance.operations import OPERATIONS, WORDS, Operation
from conformance.options import Value
from conformance.stream import Stream
from conformance.window import divisors, possible, window_of

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

#: The largest tensor and the largest number of products of a drawn case: a few tenths of a millisecond.
_ELEMENTS, _PRODUCTS = 6000, 250_000

#: A shape that meets the rules turns up within a handful of draws; this many without one is a defect.
_ATTEMPTS = 10_000


def generate(operations: Iterable[Operation], dtypes: Iterable[str], count: int, seed: int) -> Iterator[Case]:
    """Yield the cases of a run.

    Parameters
    ----------
    operations : iterable of Operation
        The functions, as `conformance.operations.select` gives them.
    dtypes : iterable of {"f32", "f64"}
        The dtypes of the arrays.
    count : int
        Cases per operation and dtype. Below the number of an operation's corners and of the cases that
        cover its options, some of them are taken.
    seed : int
        Seeds shapes and data; the corners are the same for every seed, their data are not.

    Yields
    ------
    Case
        ``count`` different ones for each operation and dtype, the corners first, then the pairs of options.

    Raises
    ------
    ValueError
        If `count` is below 1, `seed` is negative or too large for a case, or a dtype is unknown.
    """
    dtypes = list(dtypes)
    if count < 1:
        raise ValueError(f"generate: count is {count}, expected at least 1")
    if not 0 <= seed < 10**9:
        raise ValueError(f"generate: seed is {seed}, expected 0 to 999999999")
    for dtype in dtypes:
        if dtype not in DTYPES:
            raise ValueError(f"generate: dtype is {dtype!r}, expected one of {', '.join(DTYPES)}")
    for operation in operations:
        for dtype in dtypes:
            yield from _cases(operation, dtype, count, seed)


def _cases(operation: Operation, dtype: str, count: int, seed: int) -> Iterator[Case]:
    """`count` different cases of one operation in one dtype."""
    known = [corner.case(dtype, seed) for corner in corners(operation.name)]
    for turn, row in enumerate(covering.rows(operation.name)):
        known.append(_draw_options(operation, dtype, seed, turn, row))
    known = list(dict.fromkeys(known))
    if count < len(known):
        # A sample that does not depend on how the corners are ordered in their table.
        chosen = set(sorted(known, key=lambda case: int(Stream(f"{case}:sample").raw((1,))[0]))[:count])
        known = [case for case in known if case in chosen]
    yield from known
    seen = set(known)
    for case in _further(operation, dtype, seed):
        if len(seen) >= count:
            return
        if case not in seen:
            seen.add(case)
            yield case


def _further(operation: Operation, dtype: str, seed: int) -> Iterator[Case]:
    """Drawn cases without end: plain ones, and between them some with options."""
    for turn in itertools.count():
        yield _draw(operation, dtype, seed, turn)
        if operation.options and turn % OPTIONS == OPTIONS - 1:
            yield _draw_options(
                operation, dtype, seed, turn, covering.chance(operation, Stream(f"{seed}:{turn}"))
            )


def _draw(operation: Operation, dtype: str, seed: int, turn: int) -> Case:
    """The drawn plain case number `turn`: families and words in turn, shape and data seed at random."""
    pairs = _pairs(operation)
    family, words = pairs[turn % len(pairs)]
    stream = Stream(f"{operation.name}:{dtype}:{seed}:{turn}")
    for _ in range(_ATTEMPTS):
        *draws, data = _numbers(stream, len(operation.parameters) + 1)
        params = _extents(operation, draws, words)
        case = Case(operation.name, dtype, tuple(params.items()), family.name, data % 10**6)
        if acceptable(case) and family.suits(case):
            return case
    raise AssertionError(f"no shape for {operation.name} {words} with family {family.name}")


def _draw_options(operation: Operation, dtype: str, seed: int, turn: int, row: Mapping[str, str]) -> Case:
    """A case whose words and options are of the kinds of `row`; families in turn, the rest at random."""
    families = [family for family in FAMILIES.values() if operation.name in family.operations]
    families = families[turn % len(families) :] + families[: turn % len(families)]
    words = {name: kind for name, kind in row.items() if name in WORDS}
    stream = Stream(f"{operation.name}:{dtype}:{seed}:{turn}:options")
    for attempt in range(_ATTEMPTS):
        *draws, data = _numbers(stream, len(operation.parameters) + len(operation.options) + 1)
        params = _extents(operation, draws, words)
        for option, number in zip(operation.options, draws[len(params) :], strict=True):
            params.update(option.drawn(row[option.name], params, number))
        case = Case.of(operation.name, dtype, params, families[0].name, data % 10**6)
        if case.levels != row or not acceptable(case):
            continue
        # There may be no shape in which each of them makes a difference: padding none, border exclude.
        if attempt < _ATTEMPTS // 10 and not _all_show(case):
            continue
        suiting = (family.name for family in families if family.suits(case))
        return case.replace(family=next(suiting))
    raise AssertionError(f"no shape for {operation.name} {dict(row)}")


def _numbers(stream: Stream, count: int) -> list[int]:
    return [int(bits >> 11) for bits in stream.raw((count,))]


def _extents(operation: Operation, draws: list[int], words: Mapping[str, str]) -> dict[str, Value]:
    """The parameters of a plain case."""
    pools = {**_POOLS, **_OTHER_POOLS.get(operation.name, {})}
    return {
        name: words[name] if name in words else pools[name][draw % len(pools[name])]
        for name, draw in zip(operation.parameters, draws, strict=False)
    }


def _all_show(case: Case) -> bool:
    """Whether each option that has not its default makes a difference to where the windows read."""
    if "s" not in case.operation.parameters:
        return True
    right = window_of(case), divisors(case).tolist()
    for name, value in case.params:
        option = case.operation.option.get(name)
        if option is None or option.default in (None, value) or option.draw is not None:
            continue
        other = case.replace(**{name: option.default})
        if (window_of(other), divisors(other).tolist()) == right:
            return False
    return True


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


def acceptable(case: Case) -> bool:
    """Whether a fault in one parameter of `case` could be taken for right: see the module's first lines."""
    values = _extents_of(case)
    if len(set(values)) < len(values):
        return False
    if "s" in case.operation.parameters:
        window = window_of(case)
        axes = (window.rows, window.columns)
        if not possible(case) or any(max(axis.before, axis.after) > axis.span + 2 for axis in axes):
            return False
        rows, columns = window.outputs
        if rows == columns or not all(axis.inside().any(0).all() for axis in axes):
            return False
        if case.op.startswith("pool"):
            if window.size == 1:  # the modes do not differ
                return False
        elif case["m"] * rows * columns * math.prod(array_shapes(case)["W"]) > _PRODUCTS:
            return False
    return all(math.prod(shape) <= _ELEMENTS for shape in array_shapes(case).values())


def _extents_of(case: Case) -> list[int]:
    """The numbers of a case of which no two may be equal."""
    values = dict(case.params)
    if not case.beyond:
        return [value for value in values.values() if isinstance(value, int)]
    if values.get("g") == values["c"]:
        del values["k"]  # each channel has filters of its own: their numbers go together
    found = [value for name, value in values.items() if isinstance(value, int) and name in "mhwckfion"]
    window = values.get("f")
    return [*found, *window] if isinstance(window, tuple) else found
