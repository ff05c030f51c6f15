"""Memory that is asked for before it is read, where the processor does not foresee what comes next."""

from cnnref.kernels.base.isa cimport prefetch

cdef enum:
    LINE = 64  # bytes of a cache line


cdef inline void ask(const void* start, Py_ssize_t bytes) noexcept nogil:
    """Have the lines that `bytes` from `start` on fill brought into the cache; there need be no memory at all."""
    cdef Py_ssize_t line
    for line in range(bytes // LINE):
        prefetch(<const char*>start + line * LINE)
