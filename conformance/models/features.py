"""What is said of a case of a pair, for the condition under which it fails: its shapes and its data."""

from __future__ import annotations

import math
from collections.abc import Iterator

from conformance.faults.features import BLOCKS, Features
from conformance.models.line import Line

#: Of each family what is so of its data.
_DATA = {
    "normal": ("where a value is negative",),
    "small": ("where a value is negative", "where all values are whole numbers"),
    "ties": (
        "where a value is negative",
        "where all values are whole numbers",
        "where a value is 0",
        "where values are equal",
    ),
    "positive": ("where no value is negative",),
}


def features(line: Line) -> Features:
    """The features of a case."""
    numbers: dict[str, float] = {"elements": sum(map(math.prod, line.shapes))}
    first = line.shapes[0] if line.shapes else ()
    if len(first) > 1:
        numbers["samples"] = first[0]
    if len(first) == 4:
        numbers |= {"channels": first[1], "rows": first[2], "columns": first[3]}
    elif len(first) > 1:
        numbers |= {f"entries along axis {axis}": n for axis, n in enumerate(first[1:], 1)}
    return Features(frozenset(_flags(line, numbers)), frozenset(_DATA[line.family]), numbers, {})


def _flags(line: Line, numbers: dict[str, float]) -> Iterator[str]:
    yield f"in {line.dtype}"
    if "rows" in numbers:
        yield "where h differs from w" if numbers["rows"] != numbers["columns"] else "where h equals w"
    for name, value in numbers.items():
        if name == "elements":
            continue
        if value % 2 == 0:
            yield f"where the {name} are even in number"
        for block in BLOCKS:
            if value % block:
                many = f"are no multiple of {block}" if block > 2 else "are odd in number"
                yield f"where the {name} {many}"
