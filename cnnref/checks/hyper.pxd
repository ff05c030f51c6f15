"""Hyperparameters of a sliding window, read once for convolution, its transpose and pooling."""


cdef struct Pair:
    Py_ssize_t h
    Py_ssize_t w


cdef struct Axis:
    # A window along one axis: `f` taps `dilation` apart over `n` elements with `before` and `after` zeros.
    Py_ssize_t n
    Py_ssize_t f
    Py_ssize_t stride
    Py_ssize_t dilation
    Py_ssize_t before
    Py_ssize_t after


cdef struct Window:
    Axis h
    Axis w


cdef inline Py_ssize_t span(const Axis* axis) noexcept nogil:
    """Elements from the window's first tap to its last."""
    return (axis.f - 1) * axis.dilation + 1


cdef inline Py_ssize_t padded_extent(const Axis* axis) noexcept nogil:
    """The input with its zeros."""
    return axis.n + axis.before + axis.after


cdef inline Py_ssize_t outputs(const Axis* axis) noexcept nogil:
    """How many windows fit; 0 where the window is larger than the padded input."""
    cdef Py_ssize_t room = padded_extent(axis) - span(axis)
    return room // axis.stride + 1 if room >= 0 else 0


cdef object settled(str function, str name, object value, int depth=*)
cpdef Pair pair(str function, str name, object value, Py_ssize_t least) except *
cdef int read_window(
    str function, Py_ssize_t n_h, Py_ssize_t n_w, Pair f, object stride, object pad, object dilation, bint words,
    Window* window,
) except -1
cpdef Window window(
    str function, Py_ssize_t n_h, Py_ssize_t n_w, object f, object stride, object pad, object dilation=*, bint words=*
) except *
