"""Pooling backward: every input pixel gathers from the windows that contain it, in (row, column) order.

No two threads add to one element, and the order of a sum does not depend on how the work is divided. A window
gives all of its gradient to the position of its maximum, or ``dA / (f * f)``, rounded once, to each pixel.

As in `cnnref._pooling`, the lanes are the channels of a pixel or, with few channels, the pixels of one
phase: those have the same position in their windows, so that a row of windows adds to a row of pixels.
"""

from libc.stdlib cimport free
from libc.string cimport memset

from cnnref._memory cimport allocate
from cnnref._pooling cimport LANES, Pooling, by_phase, tap
from cnnref._types cimport real
from cnnref._window cimport end_window, first_window


cdef inline void add_max(real* sums, const real* da, const tap* argmax, tap position, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        sums[i] += da[i] if argmax[i] == position else <real>0


cdef inline void add_shares(real* sums, const real* da, real area, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        sums[i] += da[i] / area


cdef inline void gather_lanes(
    const Pooling* p, const real* da, const tap* argmax, bint is_max, Py_ssize_t row, Py_ssize_t column,
    Py_ssize_t rows, Py_ssize_t columns, int lanes, real* out,
) noexcept nogil:
    """`lanes` (a constant) channels of one pixel.

    `da` and `argmax` start at the first of `rows` x `columns` windows that contain the pixel, and (`row`, `column`)
    is its position in that one.
    """
    cdef real[LANES] sums
    cdef Py_ssize_t i, j, at
    cdef tap position
    cdef real area = <real>(p.f * p.f)
    cdef int lane
    for lane in range(lanes):
        sums[lane] = 0
    for i in range(rows):
        for j in range(columns):
            at = (i * p.n_W + j) * p.channels
            if is_max:
                position = <tap>((row - i * p.stride) * p.f + column - j * p.stride)
                for lane in range(lanes):
                    sums[lane] += da[at + lane] if argmax[at + lane] == position else <real>0
            else:
                for lane in range(lanes):
                    sums[lane] += da[at + lane] / area
    for lane in range(lanes):
        out[lane] = sums[lane]


cdef inline void unpool_pixels(
    const Pooling* p, const real* da, const tap* argmax, bint is_max, Py_ssize_t row, Py_ssize_t rows, real* out
) noexcept nogil:
    """One input row, pixel by pixel; `da` and `argmax` start at the first of `rows` rows of windows."""
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
            gather_lanes(
                p, da + first * p.channels + at, argmax + first * p.channels + at if is_max else NULL, is_max,
                row, x - first * p.stride, rows, end - first, LANES, out + x * p.channels + at,
            )


cdef inline void join_pixels(
    const real* phase, Py_ssize_t count, Py_ssize_t step, Py_ssize_t channels, real* out
) noexcept nogil:
    """Pixels side by side to every `step`-th pixel from `out` on; inlined with constants."""
    cdef Py_ssize_t pixel, c
    for pixel in range(count):
        for c in range(channels):
            out[pixel * step * channels + c] = phase[pixel * channels + c]


cdef inline void unpool_phases(
    const Pooling* p, const real* da, const tap* argmax, bint is_max, Py_ssize_t row, Py_ssize_t rows, real* sums,
    real* out,
) noexcept nogil:
    """As `unpool_pixels`, phase by phase; `sums` has room for the pixels of one phase."""
    cdef Py_ssize_t c = p.channels, q, i, back, count, windows, at
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
                    if windows <= 0:
                        continue
                    at = i * p.n_W * c
                    if is_max:
                        add_max(
                            phase + back * c, da + at, argmax + at,
                            <tap>((row - i * p.stride) * p.f + q + p.stride * back), windows * c,
                        )
                    else:
                        add_shares(phase + back * c, da + at, <real>(p.f * p.f), windows * c)
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


cdef inline int unpool_lines(
    const Pooling* p, const real* da, const tap* argmax, bint is_max, real* out, Py_ssize_t begin, Py_ssize_t end
) noexcept nogil:
    """Input rows from `begin` to `end`, counted through the batch; -1 if memory runs out."""
    cdef Py_ssize_t line, y, first, rows, at
    cdef real* sums = NULL
    if by_phase(p) and p.stride > 1:
        sums = <real*>allocate((p.width // p.stride + 1) * p.channels, sizeof(real))
        if sums == NULL:
            return -1
    for line in range(begin, end):
        y = line % p.height
        first = first_window(y, p.f, p.stride)
        rows = end_window(y, p.stride, p.n_H) - first
        if rows <= 0:
            memset(out + line * p.width * p.channels, 0, p.width * p.channels * sizeof(real))
            continue
        at = (line // p.height * p.n_H + first) * p.n_W * p.channels
        if by_phase(p):
            unpool_phases(
                p, da + at, argmax + at if is_max else NULL, is_max, y - first * p.stride, rows, sums,
                out + line * p.width * p.channels,
            )
        else:
            unpool_pixels(
                p, da + at, argmax + at if is_max else NULL, is_max, y - first * p.stride, rows,
                out + line * p.width * p.channels,
            )
    free(sums)
    return 0
