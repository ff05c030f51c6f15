"""The cases of a run: every corner, then data families in turn on drawn shapes.

A drawn shape is kept only if no two of its extents are equal, where the operation leaves the choice: a
kernel that takes the width for the height, or the channels for the samples, then gives another answer.
Its windows give more than one output, and as many rows as columns in no case, so that the stride shows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

from conformance.case import DTYPES, Case, Value
from conformance.corner_shapes import WIDTHS
from conformance.corners import corners
from conformance.data import array_shapes, output_extents
from conformance.families import FAMILIES
from conformance.family import Family
from conformance.operations import OPERATIONS, WORDS, Operation
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
        Cases per operation and dtype. Below the number of an operation's corners, some of them are taken.
    seed : int
        Seeds shapes and data; the corners are the same for every seed, their data are not.

    Yields
    ------
    Case
        ``count`` different ones for each operation and dtype, the corners first.

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
    if count < len(known):
        # A sample that does not depend on how the corners are ordered in their table.
        chosen = set(sorted(known, key=lambda case: int(Stream(f"{case}:sample").raw((1,))[0]))[:count])
        known = [case for case in known if case in chosen]
    yield from known
    seen = set(known)
    turn = 0
    while len(seen) < count:
        case = _draw(operation, dtype, seed, turn)
        turn += 1
        if case not in seen:
            seen.add(case)
            yield case


def _draw(operation: Operation, dtype: str, seed: int, turn: int) -> Case:
    """The drawn case number `turn`: families and words in turn, shape and data seed at random."""
    pairs = _pairs(operation)
    family, words = pairs[turn % len(pairs)]
    stream = Stream(f"{operation.name}:{dtype}:{seed}:{turn}")
    pools = {**_POOLS, **_OTHER_POOLS.get(operation.name, {})}
    names = operation.parameters
    for _ in range(_ATTEMPTS):
        *draws, data = (int(bits >> 11) for bits in stream.raw((len(names) + 1,)))
        params: tuple[tuple[str, Value], ...] = tuple(
            (name, words[name] if name in words else pools[name][draw % len(pools[name])])
            for name, draw in zip(names, draws, strict=True)
        )
        case = Case(operation.name, dtype, params, family.name, data % 10**6)
        if acceptable(case) and family.suits(case):
            return case
    raise AssertionError(f"no shape for {operation.name} {words} with family {family.name}")


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
    values = [value for _, value in case.params if isinstance(value, int)]
    if len(set(values)) < len(values):
        return False
    if "s" in case.operation.parameters:
        pad = 0 if case.op.startswith("pool") else case["p"]
        if min(case["h"], case["w"]) + 2 * pad < case["f"] or pad > case["f"] + 2:
            return False
        rows, columns = output_extents(case)
        if rows == columns or not (_reached(case, "h", rows, pad) and _reached(case, "w", columns, pad)):
            return False
        if case.op.startswith("pool"):
            if case["f"] == 1:  # the modes do not differ
                return False
        elif case["m"] * rows * columns * case["f"] ** 2 * case["c"] * case["k"] > _PRODUCTS:
            return False
    return all(math.prod(shape) <= _ELEMENTS for shape in array_shapes(case).values())


def _reached(case: Case, side: str, outputs: int, pad: int) -> bool:
    """Whether each row (column) of the window meets the image, not only padding, in some output."""
    return all(
        any(0 <= output * case["s"] + tap - pad < case[side] for output in range(outputs))
        for tap in range(case["f"])
    )
