"""Which drawn shapes are kept: those in which a fault in one parameter shows.

No two of its extents are equal, where the operation leaves the choice: a kernel that takes the width for the
height, or the channels for the samples, then gives another answer. Its windows give more than one output,
and as many rows as columns in no case, so that the stride shows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from conformance.cases.case import Case
from conformance.cases.options import Params
from conformance.cases.window import divisors, possible, window_of
from conformance.generation.arrays import array_shapes

#: The largest tensor and the largest number of products of a drawn case: a few tenths of a millisecond.
_ELEMENTS, _PRODUCTS = 6000, 250_000

#: The parameters that are extents.
EXTENTS = frozenset("mhwckfion")


def acceptable(case: Case) -> bool:
    """Whether a fault in one parameter of `case` could be taken for right: see the module's first lines."""
    if not (apart(dict(case.params)) if case.beyond else distinct(_numbers(case))):
        return False
    return fits(case)


def fits(case: Case) -> bool:
    """Whether that is so of its windows and sizes, whatever its extents."""
    if "s" in case.operation.parameters:
        window = window_of(case)
        axes = (window.rows, window.columns)
        if not possible(case) or any(max(axis.before, axis.after) > axis.span + 2 for axis in axes):
            return False
        rows, columns = window.outputs
        if rows == columns or not all(axis.all_taps_read() for axis in axes):
            return False
        if "pool" in case.operation.traits:
            if window.size == 1:  # the modes do not differ
                return False
        elif case["m"] * rows * columns * math.prod(array_shapes(case)["W"]) > _PRODUCTS:
            return False
    return all(math.prod(shape) <= _ELEMENTS for shape in array_shapes(case).values())


def distinct(values: Sequence[object]) -> bool:
    """Whether no two are equal."""
    return len(set(values)) == len(values)


def apart(params: Params) -> bool:
    """Whether no two extents are equal in a case with such parameters, which goes beyond the plain calls."""
    depthwise = params.get("g", 1) == params.get("c") == params.get("k") != 1  # as many filters as channels
    found = [
        value
        for name, value in params.items()
        if type(value) is int and name in EXTENTS and not (depthwise and name == "k")
    ]
    window = params.get("f")
    return distinct([*found, *window] if isinstance(window, tuple) else found)


def _numbers(case: Case) -> list[int]:
    """The numbers of a plain case."""
    return [value for _, value in case.params if isinstance(value, int)]


def may_show(row: Mapping[str, str]) -> bool:
    """Whether there is any shape in which each option of these kinds makes a difference (`all_show`)."""
    padding, bare = row.get("p"), ("none", "valid")
    if row.get("rounding") == "ceil" and (row["s"] == "one" or padding in ("same", "same-lower")):
        return False  # nothing is left over that could be rounded up
    # No padding is no padding, however it is said, and there is none to count.
    return not ("border" in row and (padding == "valid" or (row["border"] == "exclude" and padding in bare)))


def all_show(case: Case) -> bool:
    """Whether each option that does not have its default makes a difference to where the windows read."""
    if "s" not in case.operation.parameters:
        return True
    right = window_of(case)
    for name, value in case.params:
        option = case.operation.option.get(name)
        if option is None or option.default in (None, value) or option.draw is not None:
            continue
        other = case.replace(**{name: option.default})
        if window_of(other) == right and divisors(other).tolist() == divisors(case).tolist():
            return False
    return True
