"""Windows along one axis, for the compiled modules that hold them."""

cimport cython
from libc.stdint cimport int64_t


@cython.final
cdef class Axis:
    cdef readonly int64_t n, f, s, d, before, after, outputs
