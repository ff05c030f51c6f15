"""How much there is to compute in a case, and the same case smaller: what a call's time is predicted from."""

from __future__ import annotations

import math
from functools import lru_cache

from conformance.cases.case import Case
from conformance.cases.options import Value
from conformance.cases.window import window_of
from conformance.generation import feasible
from conformance.generation.arrays import array_shapes
from conformance.generation.corners import corner_of
from conformance.operations.corner_sizes import SIZE

#: Extents from this one on are made smaller, so many times.
_LONG, _TIMES = 64, 16


def size_of(case: Case) -> str | None:
    """The name of the size of a real network that `case` has; None if it is no such corner."""
    name = corner_of(case)
    return name if name is not None and name.startswith(SIZE) else None


@lru_cache(maxsize=64)  # a case is asked for it when it is drawn, when it is looked at, when it is answered
def effort(case: Case) -> int:
    """About how many products, comparisons or copies an answer takes."""
    shapes = array_shapes(case)
    elements = sum(math.prod(shape) for shape in shapes.values())
    if "s" not in case.operation.parameters:
        if "o" in case.operation.parameters:
            return elements + case["m"] * case["i"] * case["o"]
        return max(elements, math.prod(case[name] for name in "mhwcn" if name in case.operation.parameters))
    window = window_of(case)
    taps = math.prod(shapes["W"]) if "W" in shapes else window.size * case["c"]
    return elements + case["m"] * math.prod(window.outputs) * taps


def smaller(case: Case) -> Case | None:
    """The same case with its long extents a sixteenth as long; None if there is no such case."""
    less: dict[str, Value] = {
        name: value // _TIMES for name, value in case.params if type(value) is int and value >= _LONG
    }
    found = case.replace(**less) if less else None
    if found is None or not feasible.exists(found):
        return None
    return found
