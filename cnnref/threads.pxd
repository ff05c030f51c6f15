"""The thread count, for kernels, and whether the call in progress is to stop."""

cdef int team_size(double work) noexcept nogil
cdef Py_ssize_t pieces(double work, int threads) noexcept nogil

cdef const int* watch() noexcept nogil
cdef bint stopped(const int* watched) noexcept nogil
cdef int fail(str message) except -1
