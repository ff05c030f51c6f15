"""Arrays of numbers as the compiled passes of the suite read them."""

from numpy cimport ndarray

cdef ndarray plain(object x)
cdef ndarray limits(object limit, ndarray expected)


cdef struct Numbers:
    # Elements one after the other, of float32 or float64.
    bint single
    void* data


cdef inline double number(Numbers x, Py_ssize_t i) noexcept nogil:
    """One of them."""
    if x.single:
        return (<float*> x.data)[i]
    return (<double*> x.data)[i]


cdef ndarray readable(object x)
cdef Numbers numbers(ndarray x)
