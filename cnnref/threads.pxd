"""The thread count, for kernels, and whether the call in progress is to stop."""

cdef int team_size(double work) noexcept nogil
cdef int ready(int team) noexcept nogil
cdef Py_ssize_t pieces(double work, int threads) noexcept nogil


cdef inline bint brief(double work) noexcept nogil:
    """Whether a call with so many operations is over before letting go of the interpreter's lock would pay."""
    return work < 20e3


cdef const int* watch() noexcept nogil
cdef bint stopped(const int* watched) noexcept nogil
cdef int fail(str message) except -1
