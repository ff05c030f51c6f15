"""Pooling forward and backward on a team of threads: each has rows of its own and looks whether the call is to stop."""

cimport numpy as cnp
from cython.parallel cimport prange
from libc.stdint cimport uint8_t, uint16_t, uint64_t

from cnnref.kernels.base.types cimport real
from cnnref.kernels.pool.backward cimport unpool_lines
from cnnref.kernels.pool.forward cimport Pooling, pool_lines, tap
from cnnref.threads cimport stopped, team_size, watch


cdef inline Py_ssize_t piece(const Pooling* p) noexcept nogil:
    """Rows between looks at whether the call is to stop: some tenths of a millisecond."""
    cdef double row = <double>max(p.width, <Py_ssize_t>1) * max(p.channels, <Py_ssize_t>1) * p.f * p.f
    return 1 + <Py_ssize_t>(1e6 / row)


cdef inline int pool_part(
    const Pooling* p, const real* x, real* out, tap* argmax, bint is_max, Py_ssize_t begin, Py_ssize_t end,
    const int* watched,
) noexcept nogil:
    """`pool_lines`, unless the call is to stop; then and without memory -1."""
    cdef Py_ssize_t last
    while begin < end:
        last = min(begin + piece(p), end)
        if stopped(watched) or pool_lines(p, x, out, argmax, is_max, begin, last) < 0:
            return -1
        begin = last
    return 0


cdef inline int unpool_part(
    const Pooling* p, const real* da, const tap* argmax, bint is_max, real* out, Py_ssize_t begin, Py_ssize_t end,
    const int* watched,
) noexcept nogil:
    """`unpool_lines` in the same way."""
    cdef Py_ssize_t last
    while begin < end:
        # Windows that reach over the end of a piece are looked at twice: so pieces of several windows.
        last = min(begin + max(piece(p), 4 * p.f), end)
        if stopped(watched) or unpool_lines(p, da, argmax, is_max, out, begin, last, watched) < 0:
            return -1
        begin = last
    return 0


cdef inline int pool_all(const Pooling* p, const real* x, real* out, tap* argmax, bint is_max) noexcept nogil:
    cdef Py_ssize_t lines = p.m * p.n_H, part
    cdef int threads = team_size(<double>lines * p.n_W * p.channels * p.f * p.f)
    cdef int failures = 0
    cdef const int* watched = watch()
    if threads == 1:
        return pool_part(p, x, out, argmax, is_max, 0, lines, watched)
    for part in prange(threads, num_threads=threads, schedule="static"):
        failures += pool_part(
            p, x, out, argmax, is_max, lines * part // threads, lines * (part + 1) // threads, watched
        )
    return failures


cdef inline int unpool_all(const Pooling* p, const real* da, const tap* argmax, bint is_max, real* out) noexcept nogil:
    cdef Py_ssize_t lines = p.m * p.height, part
    cdef int threads = team_size(<double>lines * p.width * p.channels)
    cdef int failures = 0
    cdef const int* watched = watch()
    if threads == 1:
        return unpool_part(p, da, argmax, is_max, out, 0, lines, watched)
    for part in prange(threads, num_threads=threads, schedule="static"):
        failures += unpool_part(
            p, da, argmax, is_max, out, lines * part // threads, lines * (part + 1) // threads, watched
        )
    return failures


cdef inline int pool_taps(const Pooling* p, const real* x, real* out, void* argmax, int taps, bint is_max) noexcept nogil:
    if taps == cnp.NPY_UINT8:
        return pool_all(p, x, out, <uint8_t*>argmax, is_max)
    if taps == cnp.NPY_UINT16:
        return pool_all(p, x, out, <uint16_t*>argmax, is_max)
    return pool_all(p, x, out, <uint64_t*>argmax, is_max)


cdef inline int unpool_taps(const Pooling* p, const real* da, void* argmax, int taps, real* out) noexcept nogil:
    """The gradient of a maximum, or of an average where `argmax` is NULL."""
    if argmax == NULL:
        return unpool_all(p, da, <const uint8_t*>argmax, False, out)
    if taps == cnp.NPY_UINT8:
        return unpool_all(p, da, <const uint8_t*>argmax, True, out)
    if taps == cnp.NPY_UINT16:
        return unpool_all(p, da, <const uint16_t*>argmax, True, out)
    return unpool_all(p, da, <const uint64_t*>argmax, True, out)
