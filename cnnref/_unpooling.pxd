"""Pooling backward: a pixel's gradient is the sum over the windows that contain it, in (row, column) order.

A window gives all of its gradient to the position of its maximum, or ``dA / (f * f)``, rounded once, to each pixel.
The input rows are divided among the threads, so that no two add to one element; a window on the border between two
is looked at by both. The order of a sum does not depend on that.

Maxima are scattered: each window, in order, adds to one pixel. Averages are gathered: as in `cnnref._pooling`,
the lanes are the channels of a pixel or, with few channels, the pixels of one phase, which have the same
position in their windows, so that a row of windows adds to a row of pixels.
"""

from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memset

from cnnref._memory cimport allocate
from cnnref._pooling cimport LANES, Pooling, by_phase, tap
from cnnref._types cimport real
from cnnref._window cimport end_window, first_window


cdef inline void add_shares(real* sums, const real* da, real area, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        sums[i] += da[i] / area


cdef inline void gather_lanes(
    const Pooling* p, const real* da, Py_ssize_t rows, Py_ssize_t columns, real* out
) noexcept nogil:
    """LANES channels of one pixel; `da` starts at the first of `rows` x `columns` windows that contain it."""
    cdef real[LANES] sums
    cdef Py_ssize_t i, j, at
    cdef real area = <real>(p.f * p.f)
    cdef int lane
    for lane in range(LANES):
        sums[lane] = 0
    for i in range(rows):
        for j in range(columns):
            at = (i * p.n_W + j) * p.channels
            for lane in range(LANES):
                sums[lane] += da[at + lane] / area
    for lane in range(LANES):
        out[lane] = sums[lane]


cdef inline void unpool_pixels(const Pooling* p, const real* da, Py_ssize_t rows, real* out) noexcept nogil:
    """One input row, pixel by pixel; `da` starts at the first of `rows` rows of windows."""
    cdef Py_ssize_t x, c, at, first = 0, end = 0
    for x in range(p.width):
        while first * p.stride + p.f <= x:
            first += 1
        while end < p.n_W and end * p.stride <= x:
            end += 1
        if first >= end:
            memset(out + x * p.channels, 0, p.channels * sizeof(real))
            continue
        for c in range((p.channels + LANES - 1) // LANES):
            at = min(c * LANES, p.channels - LANES)
            gather_lanes(p, da + first * p.channels + at, rows, end - first, out + x * p.channels + at)


cdef inline void join_pixels(
    const real* phase, Py_ssize_t count, Py_ssize_t step, Py_ssize_t channels, real* out
) noexcept nogil:
    """Pixels side by side to every `step`-th pixel from `out` on; inlined with constants."""
    cdef Py_ssize_t pixel, c
    for pixel in range(count):
        for c in range(channels):
            out[pixel * step * channels + c] = phase[pixel * channels + c]


cdef inline void unpool_phases(
    const Pooling* p, const real* da, Py_ssize_t rows, real* sums, real* out
) noexcept nogil:
    """As `unpool_pixels`, phase by phase; `sums` has room for the pixels of one phase."""
    cdef Py_ssize_t c = p.channels, q, i, back, count, windows
    cdef real* phase
    for q in range(min(p.stride, p.width)):
        count = (p.width - q + p.stride - 1) // p.stride
        phase = out if p.stride == 1 else sums
        memset(phase, 0, count * c * sizeof(real))
        if q < p.f:
            for i in range(rows):
                for back in range((p.f - 1 - q) // p.stride, -1, -1):
                    # Pixel k of the phase is at column q + stride * back of window k - back.
                    windows = min(p.n_W, count - back)
                    if windows > 0:
                        add_shares(phase + back * c, da + i * p.n_W * c, <real>(p.f * p.f), windows * c)
        if p.stride == 1:
            continue
        if c == 1 and p.stride == 2:
            join_pixels(phase, count, 2, 1, out + q)
        elif c == 1:
            join_pixels(phase, count, p.stride, 1, out + q)
        elif c == 3:
            join_pixels(phase, count, p.stride, 3, out + q * 3)
        elif c == 8:
            join_pixels(phase, count, p.stride, 8, out + q * 8)
        else:
            join_pixels(phase, count, p.stride, c, out + q * c)


cdef inline int unpool_means(
    const Pooling* p, const real* da, real* out, Py_ssize_t begin, Py_ssize_t end
) noexcept nogil:
    """Input rows from `begin` to `end`, counted through the batch; -1 if memory runs out."""
    cdef Py_ssize_t line, y, first, rows, length = p.width * p.channels
    cdef const real* start
    cdef real* sums = NULL
    if by_phase(p) and p.stride > 1:
        sums = <real*>allocate((p.width // p.stride + 1) * p.channels, sizeof(real))
        if sums == NULL:
            return -1
    for line in range(begin, end):
        y = line % p.height
        first = first_window(y, p.f, p.stride)
        rows = end_window(y, p.stride, p.n_H) - first
        start = da + (line // p.height * p.n_H + first) * p.n_W * p.channels
        if rows <= 0:
            memset(out + line * length, 0, length * sizeof(real))
        elif by_phase(p):
            unpool_phases(p, start, rows, sums, out + line * length)
        else:
            unpool_pixels(p, start, rows, out + line * length)
    free(sums)
    return 0


cdef inline void scatter(
    const real* da, const tap* argmax, Py_ssize_t n, const Py_ssize_t* offsets, Py_ssize_t taps, real* out
) noexcept nogil:
    """Add each of `n` gradients at the offset of its position; a position that is none counts as the first."""
    cdef Py_ssize_t i
    for i in range(n):
        if tap is uint8_t:
            out[i + offsets[argmax[i]]] += da[i]
        else:
            out[i + offsets[argmax[i] if <uint64_t>argmax[i] < <uint64_t>taps else 0]] += da[i]


cdef inline void scatter_within(
    const real* da, const tap* argmax, Py_ssize_t n, const Py_ssize_t* offsets, Py_ssize_t taps, real* out,
    Py_ssize_t least, Py_ssize_t end,
) noexcept nogil:
    """As `scatter`, where the offset is at least `least` and below `end`."""
    cdef Py_ssize_t i, at
    for i in range(n):
        at = offsets[argmax[i] if <uint64_t>argmax[i] < <uint64_t>taps else 0]
        if least <= at < end:
            out[i + at] += da[i]


cdef inline int unpool_maxima(
    const Pooling* p, const real* da, const tap* argmax, real* out, Py_ssize_t begin, Py_ssize_t end
) noexcept nogil:
    """As `unpool_means`, for the positions that `argmax` holds."""
    cdef Py_ssize_t c = p.channels, length = p.width * c, taps = p.f * p.f
    cdef Py_ssize_t line = begin, last, y, i, j, at, top
    # A table for every value that a uint8 has.
    cdef Py_ssize_t* offsets = <Py_ssize_t*>allocate(max(taps, <Py_ssize_t>256), sizeof(Py_ssize_t))
    if offsets == NULL:
        return -1
    for i in range(max(taps, <Py_ssize_t>256)):
        offsets[i] = i // p.f * length + i % p.f * c if i < taps else 0
    while line < end:  # one sample, or the part of it that lies between begin and end
        y = line % p.height
        last = min(p.height, y + end - line)
        memset(out + line * length, 0, (last - y) * length * sizeof(real))
        for i in range(first_window(y, p.f, p.stride), end_window(last - 1, p.stride, p.n_H)):
            top = i * p.stride
            for j in range(p.n_W):
                at = ((line // p.height * p.n_H + i) * p.n_W + j) * c
                if y <= top and top + p.f <= last:
                    scatter(
                        da + at, argmax + at, c, offsets, taps, out + (line - y + top) * length + j * p.stride * c
                    )
                else:
                    scatter_within(
                        da + at, argmax + at, c, offsets, taps, out + (line - y + top) * length + j * p.stride * c,
                        (y - top) * length, (last - top) * length,
                    )
        line += last - y
    free(offsets)
    return 0
