"""Pooling backward: a pixel's gradient is the sum over the windows that contain it, in (row, column) order.

A window gives all of its gradient to the position of its maximum and 0 to the others, or ``dA / (f * f)``, rounded
once, to each pixel. The input rows are divided among the threads, so that no two add to one element; a window on
the border between two is looked at by both. The order of a sum does not depend on that.

The windows are taken in order; each adds to its pixels, LANES channels at once. With few channels the lanes are, as
in `cnnref.kernels.pool.forward`, the pixels of one phase, which have the same position in their windows, so that a row
of windows adds to a row of pixels.
"""

from libc.stdint cimport uint64_t
from libc.stdlib cimport free
from libc.string cimport memset

from cnnref.kernels.base.isa cimport always_inline
from cnnref.kernels.base.memory cimport allocate
from cnnref.kernels.base.types cimport real
from cnnref.kernels.base.vector cimport add_rows, copy_row
from cnnref.kernels.pool.axis cimport end_window, first_window
from cnnref.kernels.pool.forward cimport LANES, Pooling, by_phase, tap
from cnnref.threads cimport stopped


cdef enum:
    OFTEN = 16  # with windows larger than that, each row of them takes so long that `stopped` is asked before it


cdef inline always_inline spread_lanes(
    const real* shares, const real* where, const tap* argmax, bint is_max, Py_ssize_t f, Py_ssize_t begin,
    Py_ssize_t end, Py_ssize_t length, Py_ssize_t c, int lanes, bint alone, real* out,
) noexcept nogil:
    """`lanes` channels of one window, from row `begin` of it to `end`; `f`, `lanes`, `is_max`, `alone` are constants.

    `out` is the window's first pixel. With `alone` no other window has this one's pixels: they need not be 0 before.
    """
    cdef real[LANES] value
    cdef real[LANES] mark
    cdef Py_ssize_t row, column
    cdef int lane
    cdef real* pixel
    cdef real share
    cdef bint hit
    for lane in range(lanes):
        value[lane] = <real>0 + shares[lane] if alone else shares[lane]
        mark[lane] = where[lane]
    for row in range(begin, end):
        for column in range(f):
            pixel = out + row * length + column * c
            if is_max:
                for lane in range(lanes):
                    if tap is uint64_t:  # more positions than a float32 tells apart
                        hit = argmax[lane] == <uint64_t>(row * f + column)
                    else:
                        hit = mark[lane] == <real>(row * f + column)
                    share = value[lane] if hit else <real>0
                    pixel[lane] = share if alone else pixel[lane] + share
            elif lanes == 1:
                pixel[0] = value[0] if alone else pixel[0] + value[0]
            elif alone:
                copy_row(lanes, value, pixel)
            else:
                add_rows(lanes, pixel, value, pixel)


cdef inline always_inline spread_channels(
    const real* shares, const real* where, const tap* argmax, bint is_max, Py_ssize_t f, Py_ssize_t begin,
    Py_ssize_t end, Py_ssize_t length, Py_ssize_t c, bint alone, real* out,
) noexcept nogil:
    """All channels of one window; see `spread_lanes`."""
    cdef Py_ssize_t i = 0
    while i + LANES <= c:
        spread_lanes(shares + i, where + i, argmax + i, is_max, f, begin, end, length, c, LANES, alone, out + i)
        i += LANES
    if i + 8 <= c:
        spread_lanes(shares + i, where + i, argmax + i, is_max, f, begin, end, length, c, 8, alone, out + i)
        i += 8
    while i < c:
        spread_lanes(shares + i, where + i, argmax + i, is_max, f, begin, end, length, c, 1, alone, out + i)
        i += 1


cdef inline always_inline spread_row_of_windows(
    const Pooling* p, const real* shares, const real* where, const tap* argmax, bint is_max, Py_ssize_t f,
    Py_ssize_t begin, Py_ssize_t end, bint alone, real* out,
) noexcept nogil:
    """`spread_windows`, for constants."""
    cdef Py_ssize_t c = p.channels, length = p.width * p.channels, step = p.stride * p.channels, j
    for j in range(p.n_W):
        spread_channels(
            shares + j * c, where + j * c, argmax + j * c, is_max, f, begin, end, length, c, alone, out + j * step
        )


cdef inline always_inline spread_windows(
    const Pooling* p, const real* shares, const real* where, const tap* argmax, bint is_max, Py_ssize_t begin,
    Py_ssize_t end, real* out,
) noexcept nogil:
    """A row of windows, from row `begin` of the windows to `end`."""
    cdef bint whole = begin == 0 and end == p.f
    if p.f == 2 and p.stride == 2 and whole:
        spread_row_of_windows(p, shares, where, argmax, is_max, 2, 0, 2, True, out)
    elif p.f == p.stride:
        spread_row_of_windows(p, shares, where, argmax, is_max, p.f, begin, end, True, out)
    elif p.f == 3 and whole:
        spread_row_of_windows(p, shares, where, argmax, is_max, 3, 0, 3, False, out)
    else:
        spread_row_of_windows(p, shares, where, argmax, is_max, p.f, begin, end, False, out)


cdef inline void widen_row(const tap* argmax, Py_ssize_t n, real* where) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        where[i] = <real>argmax[i]


cdef inline void divide_row(const real* da, real area, Py_ssize_t n, real* shares) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        shares[i] = da[i] / area


cdef inline void clear_lines(const Pooling* p, real* image, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    """Set to 0 what `spread_windows` will add to, or leave as it is, in the image's rows from `begin` to `end`."""
    cdef Py_ssize_t length = p.width * p.channels, y, covered
    for y in range(begin, end):
        covered = p.n_W * p.f * p.channels if p.f == p.stride and y < p.n_H * p.f else 0
        memset(image + y * length + covered, 0, (length - covered) * sizeof(real))


cdef inline void unpool_rows(
    const Pooling* p, const real* da, const tap* argmax, bint is_max, real* buffer, real* image, Py_ssize_t begin,
    Py_ssize_t end, const int* watched,
) noexcept nogil:
    """The rows of one image from `begin` to `end`, unless `stopped`; `buffer` has room for a row of windows."""
    cdef Py_ssize_t length = p.width * p.channels, windows = p.n_W * p.channels
    cdef Py_ssize_t clear = begin, ready, i, top, first, last
    for i in range(first_window(begin, p.f, p.stride), end_window(end - 1, p.stride, p.n_H)):
        if p.f > OFTEN and stopped(watched):
            return
        top = i * p.stride
        first, last = max(begin - top, <Py_ssize_t>0), min(end - top, p.f)
        ready = top + last
        if clear < ready:
            clear_lines(p, image, clear, ready)
            clear = ready
        if is_max:
            widen_row(argmax + i * windows, windows, buffer)
            spread_windows(
                p, da + i * windows, buffer, argmax + i * windows, True, first, last, image + top * length
            )
        else:
            divide_row(da + i * windows, <real>(p.f * p.f), windows, buffer)
            spread_windows(p, buffer, buffer, argmax, False, first, last, image + top * length)
    clear_lines(p, image, clear, end)


cdef inline void add_row(
    const real* shares, const real* where, const tap* argmax, bint is_max, Py_ssize_t position, Py_ssize_t n, real* sums
) noexcept nogil:
    """Add to `n` pixels side by side, each at `position` in its window."""
    cdef Py_ssize_t i
    if not is_max:
        for i in range(n):
            sums[i] += shares[i]
    elif tap is uint64_t:
        for i in range(n):
            sums[i] += shares[i] if argmax[i] == <uint64_t>position else <real>0
    else:
        for i in range(n):
            sums[i] += shares[i] if where[i] == <real>position else <real>0


cdef inline always_inline join_pixels(
    const real* phase, Py_ssize_t count, Py_ssize_t step, Py_ssize_t channels, real* out
) noexcept nogil:
    """Pixels side by side to every `step`-th pixel from `out` on; inlined with constants."""
    cdef Py_ssize_t pixel, c
    for pixel in range(count):
        for c in range(channels):
            out[pixel * step * channels + c] = phase[pixel * channels + c]


cdef inline void unpool_phases(
    const Pooling* p, const real* da, const tap* argmax, bint is_max, Py_ssize_t y, real* buffer, real* sums, real* out,
    const int* watched,
) noexcept nogil:
    """Row `y` of an image, unless `stopped`; `buffer` has room for a row of windows, `sums` for the pixels of all phases."""
    cdef Py_ssize_t c = p.channels, phases = min(p.stride, p.width), windows = p.n_W * p.channels
    cdef Py_ssize_t room = (p.width // p.stride + 1) * c
    cdef Py_ssize_t q, i, back, count
    cdef const real* shares
    if p.stride == 1:
        sums = out
    memset(sums, 0, (p.width * c if p.stride == 1 else phases * room) * sizeof(real))
    for i in range(first_window(y, p.f, p.stride), end_window(y, p.stride, p.n_H)):
        if p.f > OFTEN and stopped(watched):
            return
        if is_max:
            widen_row(argmax + i * windows, windows, buffer)
            shares = da + i * windows
        else:
            divide_row(da + i * windows, <real>(p.f * p.f), windows, buffer)
            shares = buffer
        for q in range(min(phases, p.f)):
            count = (p.width - q + p.stride - 1) // p.stride
            for back in range((p.f - 1 - q) // p.stride, -1, -1):
                # Pixel k of the phase is at column q + stride * back of window k - back.
                if back < count:
                    add_row(
                        shares, buffer, argmax + i * windows, is_max,
                        (y - i * p.stride) * p.f + q + p.stride * back, min(p.n_W, count - back) * c,
                        sums + q * room + back * c,
                    )
    if p.stride == 1:
        return
    for q in range(phases):
        count = (p.width - q + p.stride - 1) // p.stride
        if c == 1 and p.stride == 2:
            join_pixels(sums + q * room, count, 2, 1, out + q)
        elif c == 1:
            join_pixels(sums + q * room, count, p.stride, 1, out + q)
        elif c == 3:
            join_pixels(sums + q * room, count, p.stride, 3, out + q * 3)
        else:
            join_pixels(sums + q * room, count, p.stride, c, out + q * c)


cdef inline int unpool_lines(
    const Pooling* p, const real* da, const tap* argmax, bint is_max, real* out, Py_ssize_t begin, Py_ssize_t end,
    const int* watched,
) noexcept nogil:
    """Input rows from `begin` to `end`, counted through the batch; -1 if memory runs out or the call is to stop."""
    cdef Py_ssize_t length = p.width * p.channels, windows = p.n_H * p.n_W * p.channels
    cdef Py_ssize_t line = begin, y, last, sample
    cdef real* buffer = <real*>allocate(p.n_W * p.channels, sizeof(real))
    cdef real* sums = NULL
    if by_phase(p) and p.stride > 1:
        sums = <real*>allocate(min(p.stride, p.width) * (p.width // p.stride + 1) * p.channels, sizeof(real))
    if buffer == NULL or (by_phase(p) and p.stride > 1 and sums == NULL):
        free(buffer)
        free(sums)
        return -1
    while line < end:  # one sample, or the part of it that lies between begin and end
        sample, y = line // p.height, line % p.height
        last = min(p.height, y + end - line)
        line += last - y
        if by_phase(p):
            for y in range(y, last):
                unpool_phases(
                    p, da + sample * windows, argmax + sample * windows, is_max, y, buffer, sums,
                    out + (sample * p.height + y) * length, watched,
                )
        else:
            unpool_rows(
                p, da + sample * windows, argmax + sample * windows, is_max, buffer,
                out + sample * p.height * length, y, last, watched,
            )
    free(sums)
    free(buffer)
    return -1 if p.f > OFTEN and stopped(watched) else 0
