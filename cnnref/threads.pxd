"""The thread count, for kernels."""

cdef int team_size(double work) noexcept nogil
