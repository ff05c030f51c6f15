"""Cases like a given one that a module's rules admit: the case with what they ask for changed, other data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from conformance.cases.case import Case
from conformance.cases.options import Value
from conformance.cases.window import possible, window_of
from conformance.generation import feasible
from conformance.generation.acceptable import EXTENTS
from conformance.generation.arrays import array_shapes
from conformance.generation.families import FAMILIES
from conformance.generation.random import Stream
from conformance.generation.rules import Rule, admitted

#: The largest arrays and the most products of a case that is drawn, or those of the case that it is like.
_ELEMENTS, _PRODUCTS = 8_000, 300_000

#: So many draws look for a case with other extents than the given one, and so many for any.
_OTHER, _ANY = 24, 32

#: Rounds in which rules that stand in each other's way are met.
_MENDS = 4

_SEEDS = 10**9

Pools = Mapping[str, Sequence[int]]


def plain(case: Case) -> Case:
    """The case without the options in which it goes beyond the contract's calls."""
    operation = case.operation
    values: dict[str, Value] = dict(case.params)
    for key in case.beyond:
        option = next(option for option in operation.options if option.key == key)
        value = values.pop(option.name)
        if option.default is None:
            first = value[0] if isinstance(value, tuple) else 0 if isinstance(value, str) else value
            values[option.name] = first
    return Case.of(case.op, case.dtype, values, case.family, case.seed, case.file)


def alike(base: Case, rules: Sequence[Rule], stream: Stream, pools: Pools) -> Case | None:
    """A case like `base` that `rules` admit; None if there is none near it.

    Parameters
    ----------
    base : Case
        What it is like, in options and family of data.
    rules : sequence of Rule
        What it has to be.
    stream : Stream
        What chance there is.
    pools : mapping of str to sequence of int
        What extents are drawn from; they stay as they are without.
    """
    for attempt in range(_ANY):
        case = base.replace(seed=int(stream.integers(0, _SEEDS, (1,))[0]))
        if pools and attempt < _OTHER:
            case = _other_extents(case, stream, pools)
        found = _mended(case, rules)
        if found is not None and _drawable(found, base):
            return found
    return None


def _other_extents(case: Case, stream: Stream, pools: Pools) -> Case:
    """The case with half of its extents drawn anew."""
    grouped = case.get("g", 1) != 1
    names = [name for name in pools if name in EXTENTS and not (grouped and name in "ck")]
    picks = stream.integers(0, 1 << 20, (2 * len(names) + 1,))
    drawn = {
        name: pools[name][int(picks[2 * i + 1]) % len(pools[name])]
        for i, name in enumerate(names)
        if picks[2 * i] % 2
    }
    return case.replace(**drawn)


def _mended(case: Case, rules: Sequence[Rule]) -> Case | None:
    """The case made to be as the rules have it; None if they stand in each other's way."""
    for _ in range(_MENDS):
        if not FAMILIES[case.family].suits(case) or ("s" in case.operation.parameters and not possible(case)):
            return None
        broken = [rule for rule in rules if not rule.admits(case)]
        if not broken:
            return case
        for rule in broken:
            case = rule.mend(case)
    return case if admitted(rules, case) else None


def _drawable(case: Case, base: Case) -> bool:
    """Whether there is such a case, of a size that costs little."""
    if any(isinstance(value, int) and value < 0 for name, value in case.params if name in EXTENTS):
        return False
    try:
        feasible.check(case)
    except ValueError:
        return False
    if not FAMILIES[case.family].suits(case):
        return False
    elements, products = _size(case)
    most = _size(base)
    return elements <= max(_ELEMENTS, most[0]) and products <= max(_PRODUCTS, most[1])


def _size(case: Case) -> tuple[int, int]:
    """The elements of the largest array, and how many products a convolution takes."""
    shapes = array_shapes(case)
    largest = max((math.prod(shape) for shape in shapes.values()), default=0)
    if "s" not in case.operation.parameters or "W" not in shapes:
        return largest, 0
    return largest, case["m"] * math.prod(window_of(case).outputs) * math.prod(shapes["W"])
