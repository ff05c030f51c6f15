"""Windows along one axis of an image: which elements they read.

An input of `n` elements, padded by `before` and `after`, has windows of ``d (f - 1) + 1`` elements from tap to tap, `s`
apart: tap i of output y reads element ``y s - before + i d``.
"""

import numpy as np

cimport cython
from libc.stdint cimport int64_t


cdef class Axis:
    """Windows along one axis: tap i of output y reads element ``y s - before + i d`` of `n`.

    `outputs` is their number, 0 or below where no window fits.
    """

    def __init__(
        self, int64_t n, int64_t f, int64_t s=1, int64_t d=1, int64_t before=0, int64_t after=0, int64_t outputs=0
    ):
        self.n, self.f, self.s, self.d = n, f, s, d
        self.before, self.after, self.outputs = before, after, outputs

    def __eq__(self, other):
        cdef Axis axis
        if not isinstance(other, Axis):
            return NotImplemented
        axis = other
        return (
            self.n == axis.n
            and self.f == axis.f
            and self.s == axis.s
            and self.d == axis.d
            and self.before == axis.before
            and self.after == axis.after
            and self.outputs == axis.outputs
        )

    def __repr__(self):
        return f"Axis({', '.join(f'{name}={value}' for name, value in self.fields().items())})"

    def __hash__(self):
        return hash(tuple(self.fields().values()))

    def __reduce__(self):
        return Axis, tuple(self.fields().values())

    def fields(self):
        """Its fields by name."""
        return {
            "n": self.n,
            "f": self.f,
            "s": self.s,
            "d": self.d,
            "before": self.before,
            "after": self.after,
            "outputs": self.outputs,
        }

    def but(self, **changes):
        """The same axis with some fields changed."""
        return Axis(**{**self.fields(), **changes})

    @property
    def span(self):
        """Elements from the first tap to the last."""
        return self.d * (self.f - 1) + 1

    def starts(self):
        """Where the first tap of each output reads; negative in the padding."""
        return np.arange(max(self.outputs, 0)) * self.s - self.before

    def reads(self):
        """``(outputs, f)``: which element each tap reads, outside ``0 .. n - 1`` in the padding."""
        return np.asarray(self.starts()[:, None] + np.arange(self.f) * self.d, np.int64)

    def inside(self):
        """``(outputs, f)``: whether a tap reads an element and no padding."""
        reads = self.reads()
        return np.asarray((reads >= 0) & (reads < self.n))

    @cython.cdivision(False)
    def all_taps_read(self):
        """Whether each tap reads an element of the input somewhere."""
        cdef int64_t i, first, output
        for i in range(self.f):
            first = i * self.d - self.before  # what the tap reads at the first output
            output = max(-(first // self.s), 0)  # at the first one that is not before the input
            if output >= self.outputs or first + output * self.s >= self.n:
                return False
        return True

    @cython.cdivision(False)
    def all_outputs_read(self):
        """Whether each output reads an element of the input."""
        cdef int64_t output, first, tap
        for output in range(self.outputs):
            first = output * self.s - self.before
            tap = max(-(first // self.d), 0)  # the first one that is not before the input
            if tap >= self.f or first + tap * self.d >= self.n:
                return False
        return True

    def counted(self, padding):
        """How many taps of each output an average counts: those inside, or in the padding as well.

        What a rounded-up last window covers beyond the padding is never counted.
        """
        reads = self.reads()
        counted = reads < self.n + self.after if padding else self.inside()
        return np.asarray(counted.sum(1), np.int64)

    def tap(self, int64_t output, int64_t element):
        """Which tap of an output reads the element; None if none does."""
        tap, rest = divmod(<object>(element + self.before - output * self.s), <object>self.d)
        return tap if rest == 0 and 0 <= tap < self.f else None
