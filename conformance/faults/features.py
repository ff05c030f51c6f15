"""What can be said of a case in a few words: its shape, its options and its data, as flags and numbers.

A flag is the sentence's own ending, ``where h differs from w``; a number is named, ``input channels``, so
that a bound on it can be.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from conformance.cases.case import Case
from conformance.cases.dtypes import HALF, finfo
from conformance.cases.options import Value, written
from conformance.cases.patches import patches
from conformance.cases.window import Window, window_of
from conformance.faults.core import Array, Arrays
from conformance.generation.arrays import draw

#: What the extents of a case are called.
EXTENTS = {
    "m": "samples",
    "h": "rows",
    "w": "columns",
    "c": "input channels",
    "k": "filters",
    "i": "inputs",
    "o": "outputs",
    "n": "classes",
}
#: The extents whose remainders decide which loops of a kernel run.
_COUNTED = ("c", "k", "i", "o", "n", "m", "w")
BLOCKS = (2, 4, 8, 16, 32)

#: Said of a case that shows nothing.
EMPTY = "where an array is empty"

#: Data of more elements are not looked at: ties and extremes are found in smaller cases.
LOOKED_AT = 40_000


@dataclass(frozen=True)
class Features:
    """What is said of one case.

    Attributes
    ----------
    flags : frozenset of str
        What is so: ``where h differs from w``, ``with groups``, ``in f32``.
    data : frozenset of str or None
        What is so of its data; None where they are too many to look at.
    numbers : mapping of str to float
        Counts of the shape.
    sizes : mapping of str to float
        Magnitudes of the data.
    """

    flags: frozenset[str]
    data: frozenset[str] | None
    numbers: dict[str, float]
    sizes: dict[str, float]


@cache
def features(case: Case) -> Features:
    """The features of a case; its data are drawn for them."""
    flags = {f"in {case.dtype}"}
    if case.dtype in HALF:
        flags.add("in half precision")
    numbers: dict[str, float] = {
        EXTENTS[name]: case[name] for name in case.operation.parameters if name in EXTENTS
    }
    flags.update(_options(case))
    if {"h", "w"} <= set(case.operation.parameters):
        numbers["pixels of an image"] = case["h"] * case["w"]
        flags.add("where h differs from w" if case["h"] != case["w"] else "where h equals w")
    positions = ""
    if "windows" in case.operation.traits or "s" in case.operation.parameters:
        window = window_of(case)
        flags.update(_windows(case, window))
        transposed = "transposed" in case.operation.traits
        extents = (window.rows.n, window.columns.n) if transposed else window.outputs
        pixels = case["m"] * math.prod(extents)
        positions = "output positions"
        numbers["output columns"] = extents[1]
        numbers["taps of a window"] = window.size
        numbers[positions] = pixels
        numbers["output elements"] = pixels * case["k" if "k" in case.operation.parameters else "c"]
    if "g" in case.operation.option:
        numbers["channels of a group"] = case["c"] // case["g"]
        numbers["filters of a group"] = case["k"] // case["g"]
    flags.update(_remainders(case, numbers, positions))
    sizes: dict[str, float] = {}
    elements = math.prod(max(case[name], 1) for name in case.operation.parameters if name in EXTENTS)
    numbers["elements"] = elements
    if elements > LOOKED_AT:
        return Features(frozenset(flags), None, numbers, sizes)
    arrays = draw(case)
    sizes.update(_sizes(arrays))
    return Features(frozenset(flags), frozenset(_values(case, arrays)), numbers, sizes)


def _options(case: Case) -> Iterator[str]:
    """The words, and of each option what it is."""
    options = case.operation.option
    for name, kind in case.levels.items():
        if name not in options:
            yield f"with {name} {kind}"
            continue
        option, value = options[name], case.value(name)
        yield f"with {option.key} {written(value)}"
        if name == "s" or option.default is not None:
            yield from _departs(option.key, value, option.default if name != "s" else 1)
        if name == "g" and kind != "one":
            yield "with groups"
            if kind != "several":
                yield "with groups of one channel"


def _departs(key: str, value: Value, default: Value | None) -> Iterator[str]:
    """Whether an option has its default, and if it is a number or two whether it exceeds it."""
    if value == default:
        yield f"with {key} {written(value)}"
        return
    yield f"with {key} other than {written(default or 0)}"
    if isinstance(value, tuple) and len(value) == 2:
        yield f"where the two of {key} differ"
        if isinstance(default, int):
            if min(value) > default:
                yield f"with {key} above {default}"
            yield f"with {key} above {default} on an axis"
    elif isinstance(value, int) and isinstance(default, int) and value > default:
        yield f"with {key} above {default}"
        yield f"with {key} above {default} on an axis"


def _windows(case: Case, window: Window) -> Iterator[str]:
    both = (window.rows, window.columns)
    yield "with padding" if window.padded else "without padding"
    yield "with windows that are square" if both[0].f == both[1].f else "with windows that are not square"
    if any(a.before != a.after for a in both):
        yield "with more padding on one side than on the other"
    if any(a.f % 2 == 0 for a in both):
        yield "with windows of an even extent"
    yield "where windows overlap" if any(a.s < a.span for a in both) else "where windows do not overlap"
    if any(a.s > a.span for a in both):
        yield "where windows leave gaps"
    if all(a.f == 3 and a.s == 1 and a.d == 1 for a in both):
        yield "with windows of 3x3 at stride 1"
    if any((a.n + a.before + a.after - a.span) % a.s for a in both):
        yield "where windows leave a remainder"
    else:
        yield "where windows leave no remainder"
    if any((a.outputs - 1) * a.s + a.span > a.n + a.before + a.after for a in both):
        yield "where a last window hangs over"
    if window.outputs[0] != window.outputs[1]:
        yield "where the output's height differs from its width"


def _remainders(case: Case, numbers: dict[str, float], positions: str) -> Iterator[str]:
    counted = [EXTENTS[name] for name in _COUNTED if name in case.operation.parameters]
    of_windows = ("channels of a group", "output columns", positions)
    for name in (*counted, *(n for n in of_windows if n in numbers)):
        for block in BLOCKS:
            rest = numbers[name] % block
            if rest:
                yield (
                    f"where the {name} are no multiple of {block}"
                    if block > 2
                    else (f"where the {name} are odd in number")
                )
            # The fullest and the emptiest tail of a tile. Of channels, which are drawn next to multiples
            # above all, it would be said of what holds from a number on.
            if name == "output columns" and block > 4 and rest in (1, block - 1):
                side = "beyond" if rest == 1 else "short of"
                yield f"where the {name} are one {side} a multiple of {block}"
        if numbers[name] % 2 == 0:
            yield f"where the {name} are even in number"


def _values(case: Case, arrays: Arrays) -> Iterator[str]:
    floats = [np.asarray(a, np.float64) for name, a in arrays.items() if name != "Y"]
    if not all(a.size for a in floats):
        yield EMPTY
        return
    if any(np.isnan(a).any() for a in floats):
        yield "where a value is NaN"
    if any(np.isinf(a).any() for a in floats):
        yield "where a value is infinite"
    tiny = float(finfo(case.numpy_dtype).tiny)
    if any(((a != 0) & (np.abs(a) < tiny)).any() for a in floats):
        yield "where a value is subnormal"
    if any((a == 0).any() for a in floats):
        yield "where a value is 0"
    if any((a < 0).any() for a in floats):
        yield "where a value is negative"
    if all(np.array_equal(a, np.rint(a)) for a in floats):
        yield "where all values are whole numbers"
    if "Y" in arrays:
        ignored = case.value("ignore") if "ignore" in case.operation.option else "none"
        if isinstance(ignored, int) and (arrays["Y"] == ignored).any():
            yield "where a label is ignored"
            if (arrays["Y"] == ignored).all():
                yield "where all labels are ignored"
        if len(np.unique(arrays["Y"])) < case["n"]:
            yield "where a class has no sample"
    if "pool" in case.operation.traits:
        yield from _ties(patches(np.asarray(arrays["A_prev"], np.float64), window_of(case), -np.inf))


def _ties(taken: Array) -> Iterator[str]:
    """How many elements of a window share its maximum."""
    flat = taken.reshape(*taken.shape[:3], -1, taken.shape[-1])
    most = int((flat == flat.max(3, keepdims=True)).sum(3).max(initial=0)) if flat.size else 0
    if most > 1:
        yield "where elements of a window share the maximum"
    if most > 2:
        yield "where three or more elements of a window share the maximum"


def _sizes(arrays: Arrays) -> dict[str, float]:
    """The largest and the smallest magnitude of the data, and how far their mean is from 0."""
    found = {}
    floats = [np.asarray(a, np.float64).reshape(-1) for name, a in arrays.items() if name != "Y"]
    values = np.abs(np.concatenate(floats)) if floats else np.zeros(0)
    values = values[np.isfinite(values)]
    if values.size:
        found["a magnitude"] = float(values.max())
    if (values != 0).any():
        found["a magnitude other than 0"] = float(values[values != 0].min())
    return found
