"""Where the windows of a pool with options read: padding, dilation, two extents, extents rounded up."""

from cnnref.checks.hyper cimport Axis, outputs, padded_extent, span


cdef struct PoolWindow:
    # A window along both axes, how many there are, and whether an average counts the padding.
    Axis h
    Axis w
    Py_ssize_t n_H
    Py_ssize_t n_W
    bint counted


cdef inline Py_ssize_t pool_outputs(const Axis* axis, bint ceil) noexcept nogil:
    """How many windows there are; rounded up, the last one starts inside the input or the padding before it."""
    cdef Py_ssize_t found = outputs(axis), room = padded_extent(axis) - span(axis)
    if not ceil:
        return found
    if room < 0:
        # A window larger than the padded input, that reaches beyond it by less than a stride.
        return 1 if room > -axis.stride else 0
    if room % axis.stride and found * axis.stride < axis.n + axis.before:
        return found + 1
    return found


cdef inline Py_ssize_t window_start(const Axis* axis, Py_ssize_t window) noexcept nogil:
    """The element that the first tap of a window reads; negative in the padding."""
    return window * axis.stride - axis.before


cdef inline Py_ssize_t inner_tap(const Axis* axis, Py_ssize_t start) noexcept nogil:
    """The first tap of a window at `start` that reads element 0 or after; `f` if none does."""
    if start >= 0:
        return 0
    return min((-start - 1) // axis.dilation + 1, axis.f)


cdef inline Py_ssize_t outer_tap(const Axis* axis, Py_ssize_t start) noexcept nogil:
    """One past the last tap of a window at `start` that reads an element before the end; 0 if none does."""
    if start >= axis.n:
        return 0
    return min((axis.n - start - 1) // axis.dilation + 1, axis.f)


cdef inline Py_ssize_t counted_taps(const Axis* axis, Py_ssize_t start, bint padding) noexcept nogil:
    """How many taps an average counts: those in the input, or in its padding as well, but never what lies beyond."""
    if padding:
        return min(axis.f, axis.n + axis.after - start)
    return outer_tap(axis, start) - inner_tap(axis, start)
