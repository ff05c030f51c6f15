"""Geometry of a sliding window along one axis, shared by convolution and pooling.

The window of output `i` starts at ``i * stride - pad`` and covers `f` elements of an input of extent `n`::

    pad     input (n)      pad
    . . | a b c d e f g | . .        f = 3, stride = 2, pad = 2, n = 7
    [---]                            window 0: elements -2 .. 0
        [---]                        window 1: elements  0 .. 2
                    ...
                     [---]           window 4: elements  6 .. 8

`cnnref.checks.pool_affine` has made sure that nothing here overflows: ``n + 2 * pad`` fits, and so do all products of
an index with the stride.
"""


cdef inline Py_ssize_t output_extent(Py_ssize_t n, Py_ssize_t f, Py_ssize_t stride, Py_ssize_t pad) noexcept nogil:
    """How many windows fit; 0 where the window is larger than the padded input."""
    cdef Py_ssize_t room = n + 2 * pad - f
    return room // stride + 1 if room >= 0 else 0


cdef inline Py_ssize_t first_window(Py_ssize_t x, Py_ssize_t f, Py_ssize_t stride) noexcept nogil:
    """First window that covers element `x`, counted with the padding (``x + pad``)."""
    return (x - f) // stride + 1 if x >= f else 0


cdef inline Py_ssize_t end_window(Py_ssize_t x, Py_ssize_t stride, Py_ssize_t windows) noexcept nogil:
    """One past the last of `windows` windows that covers element `x`, counted with the padding.

    At most `first_window` where the element lies in no window (stride above the window).
    """
    cdef Py_ssize_t end = x // stride + 1
    return end if end < windows else windows
