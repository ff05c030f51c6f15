"""Pooling forward and backward on a team of threads: each has rows of its own and looks whether the call is to stop.

Half images are taken a band of rows at a time, which is a pooling of its own in float32: what it reads is widened before it,
what it makes is narrowed after it.
"""

cimport numpy as cnp
from cython.parallel cimport prange
from libc.stdint cimport uint8_t, uint16_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memset

from cnnref.kernels.base.half cimport AS_COMPUTED, put, taken
from cnnref.kernels.base.memory cimport allocate
from cnnref.kernels.base.types cimport real
from cnnref.kernels.pool.axis cimport end_window, first_window
from cnnref.kernels.pool.backward cimport unpool_lines
from cnnref.kernels.pool.forward cimport Pooling, pool_lines, tap
from cnnref.threads cimport stopped, team_size, watch


cdef enum:
    # Bytes of the images in a band: near, or more of them where bands share rows.
    APART = 32768
    SHARING = 131072


cdef inline Py_ssize_t band_rows(const Pooling* p) noexcept nogil:
    """Rows of the images in a band of half ones."""
    cdef Py_ssize_t line = max(p.width * p.channels * <Py_ssize_t>sizeof(float), <Py_ssize_t>1)
    return (APART if p.f <= p.stride else SHARING) // line


cdef inline int pool_bands(
    const Pooling* p, const real* x, real* out, tap* argmax, bint is_max, Py_ssize_t begin, Py_ssize_t end
) noexcept nogil:
    """`pool_lines` of half."""
    cdef Py_ssize_t most = max((band_rows(p) - p.f) // p.stride, <Py_ssize_t>0) + 1, lines, rows, at
    cdef Py_ssize_t length = p.width * p.channels, windows = p.n_W * p.channels
    cdef Py_ssize_t room = (min(most, p.n_H) * p.stride + p.f) * length
    cdef real* memory = <real*>allocate(room + min(most, p.n_H) * windows, sizeof(real))
    cdef Pooling band = p[0]
    cdef int status = 0
    if memory == NULL:
        return -1
    band.m, band.storage = 1, AS_COMPUTED
    while begin < end and status == 0:
        lines = min(min(most, end - begin), p.n_H - begin % p.n_H)
        rows = (lines - 1) * p.stride + p.f
        at = (begin // p.n_H * p.height + begin % p.n_H * p.stride) * length
        band.height, band.n_H = rows, lines
        taken(p.storage, x, at, rows * length, memory)
        status = pool_lines(&band, memory, memory + room, argmax + begin * windows, is_max, 0, lines)
        put(p.storage, memory + room, out, begin * windows, lines * windows)
        begin += lines
    free(memory)
    return status


cdef inline int unpool_bands(
    const Pooling* p, const real* da, const tap* argmax, bint is_max, real* out, Py_ssize_t begin, Py_ssize_t end,
    const int* watched,
) noexcept nogil:
    """`unpool_lines` of half."""
    cdef Py_ssize_t length = p.width * p.channels, windows = p.n_W * p.channels, before = max(p.f, p.stride)
    # Bands end where windows do, as far as they can.
    cdef Py_ssize_t most = max(min(band_rows(p), p.height) // p.stride, <Py_ssize_t>1) * p.stride
    cdef Py_ssize_t room = (min(most, p.height) + min(before, p.height)) * length, sample, y, rows, first, last
    cdef Py_ssize_t lines = min(p.n_H, most // p.stride + p.f // p.stride + 3)
    cdef real* memory = <real*>allocate(room + lines * windows, sizeof(real))
    cdef Pooling band = p[0]
    cdef int status = 0
    if memory == NULL:
        return -1
    band.m, band.storage = 1, AS_COMPUTED
    while begin < end and status == 0:
        sample, y = begin // p.height, begin % p.height
        rows = min(min(most - y % p.stride, end - begin), p.height - y)
        last = end_window(y + rows - 1, p.stride, p.n_H)
        # The band's images start with the first window that has to do with it.
        first = min(first_window(y, p.f, p.stride), y // p.stride)
        if first >= last:
            memset(<char*>out + 2 * begin * length, 0, 2 * rows * length)
        else:
            taken(p.storage, da, (sample * p.n_H + first) * windows, (last - first) * windows, memory + room)
            y -= first * p.stride
            band.height, band.n_H = y + rows, last - first
            status = unpool_lines(
                &band, memory + room, argmax + (sample * p.n_H + first) * windows if argmax != NULL else argmax, is_max,
                memory, y, y + rows, watched,
            )
            put(p.storage, memory + y * length, out, begin * length, rows * length)
        begin += rows
    free(memory)
    return status


cdef inline int some_pooled(
    const Pooling* p, const real* x, real* out, tap* argmax, bint is_max, Py_ssize_t begin, Py_ssize_t end
) noexcept nogil:
    if p.storage == AS_COMPUTED:
        return pool_lines(p, x, out, argmax, is_max, begin, end)
    return pool_bands(p, x, out, argmax, is_max, begin, end)


cdef inline int some_unpooled(
    const Pooling* p, const real* da, const tap* argmax, bint is_max, real* out, Py_ssize_t begin, Py_ssize_t end,
    const int* watched,
) noexcept nogil:
    if p.storage == AS_COMPUTED:
        return unpool_lines(p, da, argmax, is_max, out, begin, end, watched)
    return unpool_bands(p, da, argmax, is_max, out, begin, end, watched)


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
        if stopped(watched) or some_pooled(p, x, out, argmax, is_max, begin, last) < 0:
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
        if stopped(watched) or some_unpooled(p, da, argmax, is_max, out, begin, last, watched) < 0:
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
