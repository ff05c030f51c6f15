"""Where the windows of a convolution or a pool read: the one place that turns parameters into extents."""

from functools import lru_cache

import numpy as np

cimport cython
from libc.stdint cimport int64_t

from conformance.cases.axis cimport Axis


@cython.final
cdef class Window:
    """The windows of a case: one `Axis` for the rows, one for the columns."""

    cdef readonly Axis rows, columns

    def __init__(self, Axis rows not None, Axis columns not None):
        self.rows, self.columns = rows, columns

    def __eq__(self, other):
        if not isinstance(other, Window):
            return NotImplemented
        return self.rows == (<Window>other).rows and self.columns == (<Window>other).columns

    def __repr__(self):
        return f"Window({self.rows!r}, {self.columns!r})"

    def __hash__(self):
        return hash((self.rows, self.columns))

    def __reduce__(self):
        return Window, (self.rows, self.columns)

    @property
    def size(self):
        """Taps of a window."""
        return self.rows.f * self.columns.f

    @property
    def outputs(self):
        """Rows and columns of the output."""
        return self.rows.outputs, self.columns.outputs

    @property
    def padded(self):
        """Whether any side has padding."""
        return any((axis.before, axis.after) != (0, 0) for axis in (self.rows, self.columns))

    @property
    def dense(self):
        """Whether the taps of a window lie side by side."""
        return self.rows.d == 1 and self.columns.d == 1

    def taps(self):
        """All taps, last first: writing them in this order leaves what a row-major scan leaves."""
        return ((i, j) for i in reversed(range(self.rows.f)) for j in reversed(range(self.columns.f)))

    def shifted(self, int64_t by):
        """The window `by` elements further to the top and left."""
        return self.but(before=(self.rows.before + by, self.columns.before + by))

    def turned(self):
        """The window with what belongs to the rows and to the columns exchanged, the image as it is."""
        return Window(self.columns.but(n=self.rows.n), self.rows.but(n=self.columns.n))

    def but(self, **changes):
        """The same window with fields of its rows and columns changed: ``window.but(s=(1, 1))``."""
        first, second = ({name: pair[side] for name, pair in changes.items()} for side in (0, 1))
        return Window(self.rows.but(**first), self.columns.but(**second))

    def counts(self, padding):
        """``(rows, columns)``: by how many taps an average divides each output."""
        return np.outer(self.rows.counted(padding), self.columns.counted(padding))


def pair(value):
    """A number or a pair as a pair."""
    if isinstance(value, tuple) and len(value) == 2:
        return value
    if not isinstance(value, int):
        raise ValueError(f"{value!r} is no number and no pair")
    return value, value


@cython.cdivision(False)
cdef int64_t outputs_of(Axis axis, bint ceil) except? -1:
    """The number of windows along an axis; PyTorch's rule where it is rounded up.

    The last window starts inside the input or the padding before it.
    """
    cdef int64_t room = axis.n + axis.before + axis.after - (axis.d * (axis.f - 1) + 1), outputs
    if room < 0 and not (ceil and room + axis.s > 0):
        return 0
    outputs = (room + (axis.s - 1 if ceil else 0)) // axis.s + 1
    if ceil and (outputs - 1) * axis.s >= axis.n + axis.before:
        outputs -= 1
    return outputs


@cython.cdivision(False)
cdef int pad(Axis axis, value, int side) except -1:
    """Set the padding before and after along one axis.

    ``same`` gives ``ceil(n / s)`` outputs with as little padding as that needs, the odd element after the
    input (TensorFlow, ONNX SAME_UPPER; PyTorch for stride 1), ``same_lower`` before it (ONNX SAME_LOWER).
    """
    cdef int64_t total, less
    if isinstance(value, int):
        axis.before = axis.after = value
    elif value == "valid":
        pass
    elif value == "same" or value == "same_lower":
        total = max((-(-axis.n // axis.s) - 1) * axis.s + axis.d * (axis.f - 1) + 1 - axis.n, 0)
        less = total // 2
        axis.before, axis.after = (less, total - less) if value == "same" else (total - less, less)
    elif isinstance(value, tuple) and len(value) == 4:
        axis.before, axis.after = value[2 * side], value[2 * side + 1]
    else:
        axis.before = axis.after = pair(value)[side]
    return 0


def transposed(case):
    """Whether windows are written, as by a transposed convolution, and not read."""
    return "transposed" in case.operation.traits


@lru_cache(maxsize=8)  # asked for again and again while one case is judged
def window_of(case):
    """The window of a convolution or pooling case; of a transposed one that of the convolution it transposes,
    whose input is the output here.
    """
    cdef tuple f = pair(case.get("f", 1)), s = pair(case.get("s", 1)), d = pair(case.get("d", 1))
    cdef Axis rows = Axis(case["h"], f[0], s[0], d[0]), columns = Axis(case["w"], f[1], s[1], d[1])
    cdef bint ceil
    padding = case.get("p", 0)
    if transposed(case):
        more = pair(case.get("e", 0))
        write(rows, padding, 0, more[0])
        write(columns, padding, 1, more[1])
    else:
        ceil = case.get("rounding", "floor") == "ceil"
        pad(rows, padding, 0)
        pad(columns, padding, 1)
        rows.outputs, columns.outputs = outputs_of(rows, ceil), outputs_of(columns, ceil)
    return Window(rows, columns)


cdef int write(Axis axis, padding, int side, int64_t more) except -1:
    """Make an axis of `n` elements one of a transposed convolution that writes them.

    Its output is what the windows of the convolution read; 0 or below for none.
    """
    axis.outputs, axis.n = axis.n, 0
    pad(axis, padding, side)
    axis.n = (axis.outputs - 1) * axis.s + axis.d * (axis.f - 1) + 1 + more - axis.before - axis.after
    return 0


@lru_cache(maxsize=8)
def divisors(case):
    """``(rows, columns)``: by what average pooling divides each output; not to be written to."""
    found = window_of(case).counts(counts_padding(case))
    found.flags.writeable = False
    return found


def counts_padding(case):
    """Whether an average counts the padding."""
    return case.get("border", "include") == "include"


def divisors_of(case):
    """The different ones of `divisors`."""
    return set(divisors(case).reshape(-1).tolist())


def possible(case):
    """Whether there is such a convolution or pool: a window fits, groups divide the channels.

    A transposed convolution leaves some output, and its output padding is below the stride or the dilation.
    Pools hold to PyTorch's limits: no side is padded by more than half of the window's taps, except by a rule
    that PyTorch does not have; every window has a tap inside the image; and averages are dense.
    """
    cdef Window window = window_of(case)
    cdef Axis rows = window.rows, columns = window.columns, axis
    cdef int64_t rest
    if min(rows.outputs, columns.outputs) < 1:
        return False
    if "pool" in case.operation.traits:
        if not isinstance(case.get("p", 0), str):
            for axis in (rows, columns):
                if 2 * max(axis.before, axis.after) > axis.f:
                    return False
        if not window.dense and case.word("mode") == "average":
            return False
        return rows.all_outputs_read() and columns.all_outputs_read()
    if transposed(case):
        more = pair(case.get("e", 0))
        for axis, rest in ((rows, more[0]), (columns, more[1])):
            if axis.n < 1 or (rest >= axis.s and rest >= axis.d):
                return False
    groups = case.get("g", 1)
    return isinstance(groups, int) and not (case["c"] % groups or case["k"] % groups)
