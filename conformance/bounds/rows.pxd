"""Rows of numbers for the compiled bounds."""

cimport cython
from numpy cimport ndarray


cdef struct Form:
    # Unit roundoff, smallest subnormal number, the largest one and the accuracy of exp.
    double u, w, largest, E


cdef Form constants(object form)
cdef ndarray empty(Py_ssize_t m, Py_ssize_t n)
cdef double total(double* x, Py_ssize_t n) noexcept nogil


@cython.final
cdef class Softmax:
    cdef readonly ndarray below, y, e, sums, shift, logarithms, added
    cdef Py_ssize_t m, n
