"""Arrays of numbers as the compiled passes of the suite read them."""

cimport numpy as cnp
from libc.math cimport INFINITY, isnan
from numpy cimport ndarray

cdef ndarray plain(object x)
cdef ndarray like(ndarray x)
cdef double greatest(ndarray x)
cdef double greatest_number(ndarray x)
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


cdef inline double* data(ndarray x):
    """Where the elements of a float64 array are."""
    return <double*> cnp.PyArray_DATA(x)


cdef inline double known(double limit) noexcept nogil:
    """A limit; infinite where it is NaN, as 0 times infinity is: nothing can be asked there."""
    return INFINITY if isnan(limit) else limit
