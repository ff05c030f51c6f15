"""Quotients that are rounded up, multiples, and the greatest common divisor."""


cdef inline Py_ssize_t share(Py_ssize_t whole, Py_ssize_t parts) noexcept nogil:
    """One part of `whole`, rounded up."""
    return (whole + parts - 1) // parts


cdef inline Py_ssize_t multiple(Py_ssize_t count, Py_ssize_t unit) noexcept nogil:
    """`count` rounded up to a multiple."""
    return (count + unit - 1) // unit * unit


cdef inline Py_ssize_t divisor(Py_ssize_t a, Py_ssize_t b) noexcept nogil:
    """The greatest common divisor."""
    while b:
        a, b = b, a % b
    return a
