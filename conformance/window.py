"""Where the windows of a convolution or a pool read: the one place that turns parameters into extents.

Along one axis an input of `n` elements, padded by `before` and `after`, has windows of ``d (f - 1) + 1``
elements from tap to tap, `s` apart: tap i of output y reads element ``y s - before + i d``.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from conformance.case import Case
from conformance.options import Value

Indices = NDArray[np.int64]


class Axis(NamedTuple):
    """Windows along one axis: tap i of output y reads element ``y s - before + i d`` of `n`.

    `outputs` is their number, 0 or below where no window fits.
    """

    n: int
    f: int
    s: int = 1
    d: int = 1
    before: int = 0
    after: int = 0
    outputs: int = 0

    @property
    def span(self) -> int:
        """Elements from the first tap to the last."""
        return self.d * (self.f - 1) + 1

    def starts(self) -> Indices:
        """Where the first tap of each output reads; negative in the padding."""
        return np.arange(max(self.outputs, 0)) * self.s - self.before

    def reads(self) -> Indices:
        """``(outputs, f)``: which element each tap reads, outside ``0 .. n - 1`` in the padding."""
        return np.asarray(self.starts()[:, None] + np.arange(self.f) * self.d, np.int64)

    def inside(self) -> NDArray[np.bool_]:
        """``(outputs, f)``: whether a tap reads an element and no padding."""
        reads = self.reads()
        return np.asarray((reads >= 0) & (reads < self.n))

    def all_taps_read(self) -> bool:
        """Whether each tap reads an element of the input somewhere."""
        for i in range(self.f):
            first = i * self.d - self.before  # what the tap reads at the first output
            output = max(-(first // self.s), 0)  # at the first one that is not before the input
            if output >= self.outputs or first + output * self.s >= self.n:
                return False
        return True

    def all_outputs_read(self) -> bool:
        """Whether each output reads an element of the input."""
        for first in range(-self.before, self.outputs * self.s - self.before, self.s):
            tap = max(-(first // self.d), 0)  # the first one that is not before the input
            if tap >= self.f or first + tap * self.d >= self.n:
                return False
        return True

    def counted(self, padding: bool) -> Indices:
        """How many taps of each output an average counts: those inside, or in the padding as well.

        What a rounded-up last window covers beyond the padding is never counted.
        """
        reads = self.reads()
        counted = reads < self.n + self.after if padding else self.inside()
        return np.asarray(counted.sum(1), np.int64)

    def tap(self, output: int, element: int) -> int | None:
        """Which tap of an output reads the element; None if none does."""
        distance = element + self.before - output * self.s
        tap, rest = divmod(distance, self.d)
        return tap if rest == 0 and 0 <= tap < self.f else None


class Window(NamedTuple):
    """The windows of a case: one `Axis` for the rows, one for the columns."""

    rows: Axis
    columns: Axis

    @property
    def size(self) -> int:
        """Taps of a window."""
        return self.rows.f * self.columns.f

    @property
    def outputs(self) -> tuple[int, int]:
        """Rows and columns of the output."""
        return self.rows.outputs, self.columns.outputs

    @property
    def padded(self) -> bool:
        """Whether any side has padding."""
        return any((axis.before, axis.after) != (0, 0) for axis in (self.rows, self.columns))

    @property
    def dense(self) -> bool:
        """Whether the taps of a window lie side by side."""
        return self.rows.d == self.columns.d == 1

    def taps(self) -> Iterator[tuple[int, int]]:
        """All taps, last first: writing them in this order leaves what a row-major scan leaves."""
        return ((i, j) for i in reversed(range(self.rows.f)) for j in reversed(range(self.columns.f)))

    def shifted(self, by: int) -> Window:
        """The window `by` elements further to the top and left."""
        return self.but(before=(self.rows.before + by, self.columns.before + by))

    def turned(self) -> Window:
        """The window with what belongs to the rows and to the columns exchanged, the image as it is."""
        return Window(self.columns._replace(n=self.rows.n), self.rows._replace(n=self.columns.n))

    def but(self, **changes: tuple[int, int]) -> Window:
        """The same window with fields of its rows and columns changed: ``window.but(s=(1, 1))``."""
        first, second = ({name: pair[side] for name, pair in changes.items()} for side in (0, 1))
        return Window(self.rows._replace(**first), self.columns._replace(**second))

    def counts(self, padding: bool) -> Indices:
        """``(rows, columns)``: by how many taps an average divides each output."""
        return np.outer(self.rows.counted(padding), self.columns.counted(padding))


def pair(value: Value) -> tuple[int, int]:
    """A number or a pair as a pair."""
    if isinstance(value, tuple) and len(value) == 2:
        return value[0], value[1]
    if not isinstance(value, int):
        raise ValueError(f"{value!r} is no number and no pair")
    return value, value


def outputs_of(axis: Axis, ceil: bool = False) -> int:
    """The number of windows along an axis; PyTorch's rule where it is rounded up.

    The last window starts inside the input or the padding before it.
    """
    room = axis.n + axis.before + axis.after - axis.span
    if room < 0 and not (ceil and room + axis.s > 0):
        return 0
    outputs = (room + (axis.s - 1 if ceil else 0)) // axis.s + 1
    if ceil and (outputs - 1) * axis.s >= axis.n + axis.before:
        outputs -= 1
    return outputs


def _padding(pad: Value, side: int, axis: Axis) -> tuple[int, int]:
    """Padding before and after along one axis.

    ``same`` gives ``ceil(n / s)`` outputs with as little padding as that needs, the odd element after the
    input (TensorFlow, ONNX SAME_UPPER; PyTorch for stride 1), ``same_lower`` before it (ONNX SAME_LOWER).
    """
    if pad == "valid":
        return 0, 0
    if pad in ("same", "same_lower"):
        total = max((-(-axis.n // axis.s) - 1) * axis.s + axis.span - axis.n, 0)
        less, more = total // 2, total - total // 2
        return (less, more) if pad == "same" else (more, less)
    if isinstance(pad, tuple) and len(pad) == 4:
        return pad[2 * side], pad[2 * side + 1]
    return (pair(pad)[side],) * 2


def transposed(case: Case) -> bool:
    """Whether windows are written, as by a transposed convolution, and not read."""
    return case.op.startswith("conv_transpose")


@lru_cache(maxsize=8)  # asked for again and again while one case is judged
def window_of(case: Case) -> Window:
    """The window of a convolution or pooling case; of a transposed one that of the convolution it transposes,
    whose input is the output here.
    """
    f, s, d = pair(_value(case, "f", 1)), pair(_value(case, "s", 1)), pair(_value(case, "d", 1))
    if transposed(case):
        return Window(
            _written(case, 0, Axis(0, f[0], s[0], d[0], outputs=case["h"])),
            _written(case, 1, Axis(0, f[1], s[1], d[1], outputs=case["w"])),
        )
    pad, ceil = _value(case, "p", 0), _value(case, "rounding", "floor") == "ceil"
    return Window(
        _read(pad, 0, Axis(case["h"], f[0], s[0], d[0]), ceil),
        _read(pad, 1, Axis(case["w"], f[1], s[1], d[1]), ceil),
    )


def _read(pad: Value, side: int, bare: Axis, ceil: bool) -> Axis:
    """An axis of a convolution or a pool."""
    before, after = _padding(pad, side, bare)
    padded = Axis(bare.n, bare.f, bare.s, bare.d, before, after)
    return Axis(*padded[:-1], outputs_of(padded, ceil))


def _written(case: Case, side: int, bare: Axis) -> Axis:
    """An axis of a transposed convolution: its output, n, is what the windows read; 0 or below for none."""
    before, after = _padding(case.value("p"), side, bare)
    more = pair(_value(case, "e", 0))[side]
    n = (bare.outputs - 1) * bare.s + bare.span + more - before - after
    return Axis(n, bare.f, bare.s, bare.d, before, after, bare.outputs)


def _value(case: Case, name: str, default: Value) -> Value:
    """A parameter or option that not every operation has."""
    return case.get(name, default)


def divisors(case: Case) -> Indices:
    """``(rows, columns)``: by what average pooling divides each output."""
    return window_of(case).counts(counts_padding(case))


def counts_padding(case: Case) -> bool:
    """Whether an average counts the padding."""
    return _value(case, "border", "include") == "include"


def divisors_of(case: Case) -> set[int]:
    """The different ones of `divisors`."""
    return {int(divisor) for divisor in np.unique(divisors(case))}


def possible(case: Case) -> bool:
    """Whether there is such a convolution or pool: a window fits, groups divide the channels.

    A transposed convolution leaves some output, and its output padding is below the stride or the dilation.
    Pools hold to PyTorch's limits: no side is padded by more than half of the window's taps, except by a rule
    that PyTorch has not; every window has a tap inside the image; and averages are dense.
    """
    window = window_of(case)
    if min(window.outputs) < 1:
        return False
    if case.op.startswith("pool"):
        axes = (window.rows, window.columns)
        by_rule = isinstance(_value(case, "p", 0), str)
        if not by_rule and any(2 * max(axis.before, axis.after) > axis.f for axis in axes):
            return False
        if case.word("mode") == "average" and not window.dense:
            return False
        return window.rows.all_outputs_read() and window.columns.all_outputs_read()
    if transposed(case):
        more = pair(_value(case, "e", 0))
        for axis, rest in zip((window.rows, window.columns), more, strict=True):
            if axis.n < 1 or (rest >= axis.s and rest >= axis.d):
                return False
    groups = _value(case, "g", 1)
    return isinstance(groups, int) and not (case["c"] % groups or case["k"] % groups)
