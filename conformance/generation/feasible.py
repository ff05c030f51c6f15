"""Whether there is such a case as somebody wrote: its parameters go together, and its arrays into memory.

The cases of a run all do. What does not is refused here, by the name of the parameter.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator

from conformance.cases.case import Case
from conformance.cases.options import written
from conformance.cases.window import Window, pair, possible, transposed, window_of
from conformance.generation.arrays import array_shapes

#: How many times a case's arrays are there in double, at least: for the oracle, the bounds, the copies that
#: are handed out and the answer.
_TIMES = 6

_SIDES = ("h", "w")


def check(case: Case) -> None:
    """Refuse a case that no right implementation could answer.

    Raises
    ------
    ValueError
        If there is no such case; the message names the parameter.
    """
    reason = next(_reasons(case), None)
    if reason is not None:
        raise ValueError(f"case {case}: {reason}")


def exists(case: Case) -> bool:
    """Whether there is such a case."""
    return next(_reasons(case), None) is None


def _reasons(case: Case) -> Iterator[str]:
    """What is wrong with the parameters, what the others are worked out from first."""
    yield from _single(case)
    if "s" in case.operation.parameters:
        window = window_of(case)
        yield from _transposed(case, window) if transposed(case) else _windows(case, window)
        yield from _memory(case)
        if "pool" in case.operation.traits:
            yield from _pool(case, window)
        if not possible(case):
            yield "no such window, stride and padding go together"
    yield from _memory(case)


def _single(case: Case) -> Iterator[str]:
    """Parameters that are wrong whatever the others are."""
    values = dict(case.params)
    for name, what in (("s", "stride"), ("d", "dilation")):
        if name in values and min(pair(values[name])) < 1:
            yield f"{name} (the {what}) is {written(values[name])}, expected at least 1"
    if "pool" in case.operation.traits and min(pair(values["f"])) < 1:
        yield f"f (the window) is {written(values['f'])}, expected at least 1"
    groups = values.get("g", 1)
    if not isinstance(groups, int) or groups < 1:
        yield f"g (the groups) is {written(groups)}, expected at least 1"
    for name in ("c", "k"):
        if "g" in values and case[name] % case["g"]:
            yield f"g (the groups) is {case['g']}, which does not divide {name} = {case[name]} channels"
    smoothing = values.get("smooth", 0)
    if isinstance(smoothing, int | float) and not 0 <= smoothing <= 1:
        yield f"smooth is {smoothing}, expected 0 to 1"
    if "mask" in case.operation.traits and not case["h"] * case["w"]:
        yield f"h and w are {case['h']} and {case['w']}: an empty window has no maximum"
    if values.get("n") == 0 and "Y" in case.operation.arrays:
        yield "n is 0: there is no class that a label could name"


def _windows(case: Case, window: Window) -> Iterator[str]:
    for name, axis in zip(_SIDES, (window.rows, window.columns), strict=True):
        if axis.outputs < 1:
            yield (
                f"f (the window) spans {axis.d * (axis.f - 1) + 1} along {name}, where the padded image has "
                f"{axis.n + axis.before + axis.after}"
            )


def _transposed(case: Case, window: Window) -> Iterator[str]:
    more = pair(case.value("e"))
    for name, axis, rest in zip(_SIDES, (window.rows, window.columns), more, strict=True):
        if rest >= max(axis.s, axis.d):
            yield f"e (the output padding) is {rest} along {name}, expected below the stride or the dilation"
        if case[name] < 1 or axis.n < 1:
            yield f"p (the padding) takes off all that there is along {name}"


def _pool(case: Case, window: Window) -> Iterator[str]:
    if not window.dense and case.word("mode") == "average":
        yield "d (the dilation) goes with max alone, not with average"
    if case.word("mode") == "max" and case.value("border") == "exclude":
        yield "exclude goes with average alone: a maximum divides by nothing"
    for name, axis in zip(_SIDES, (window.rows, window.columns), strict=True):
        if not isinstance(case.value("p"), str) and 2 * max(axis.before, axis.after) > axis.f:
            yield f"p (the padding) is more than half of the window's {axis.f} along {name}"
        if not axis.all_outputs_read():
            yield f"p (the padding) leaves a window without a tap inside the image along {name}"


def _memory(case: Case) -> Iterator[str]:
    needed = 8 * _TIMES * sum(math.prod(shape) for shape in array_shapes(case).values())
    if "s" in case.operation.parameters:
        window, channels = window_of(case), case["k"] if "k" in case.operation.parameters else case["c"]
        outputs = (window.rows.n, window.columns.n) if transposed(case) else window.outputs
        needed += 8 * _TIMES * case["m"] * math.prod(outputs) * channels
    elif "p" in case.operation.parameters:
        needed += (
            8 * _TIMES * case["m"] * case["c"] * (case["h"] + 2 * case["p"]) * (case["w"] + 2 * case["p"])
        )
    try:
        there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # not every system says
        return
    if needed > there:
        yield f"its arrays would take {needed / 2**30:.0f} GiB in all, the machine has {there / 2**30:.0f}"
