"""Sums over a row, for the other passes."""

cdef double total(double* x, Py_ssize_t n) noexcept nogil
