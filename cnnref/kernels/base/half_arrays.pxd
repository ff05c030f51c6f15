"""Parts of half arrays widened, and float32 narrowed, on a team of threads."""

from cnnref.kernels.base.half cimport Storage, narrow, widen
from cnnref.threads cimport in_parts, team_size


cdef struct Conversion:
    Storage storage
    const char* source
    char* out


cdef inline void some_widened(const void* job, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const Conversion* c = <const Conversion*>job
    widen(c.storage, c.source + 2 * begin, <float*>c.out + begin, end - begin)


cdef inline void some_narrowed(const void* job, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const Conversion* c = <const Conversion*>job
    narrow(c.storage, <const float*>c.source + begin, c.out + 2 * begin, end - begin)


cdef inline int widen_all(Storage storage, const void* source, float* out, Py_ssize_t n) noexcept nogil:
    """`widen`; -1 where the call is to stop."""
    cdef Conversion c
    c.storage, c.source, c.out = storage, <const char*>source, <char*>out
    return in_parts(some_widened, &c, n, n, team_size(n))


cdef inline int narrow_all(Storage storage, const float* source, void* out, Py_ssize_t n) noexcept nogil:
    """`narrow`; -1 where the call is to stop."""
    cdef Conversion c
    c.storage, c.source, c.out = storage, <const char*>source, <char*>out
    return in_parts(some_narrowed, &c, n, n, team_size(n))
