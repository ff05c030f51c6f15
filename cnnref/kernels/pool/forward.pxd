"""Pooling forward: maximum (with its position) or average of each window, over runs of lanes.

A *run* is a stretch of outputs whose taps lie at the same distances from each other and side by side in memory: the
channels of one pixel, or, with stride 1, a whole row of outputs. With few channels and a larger stride the
input rows are first split by phase (pixel x goes to phase ``x % stride``), which makes a whole row of
outputs one run again:

    stride 2, C = 1:    a0 a1 a2 a3 a4 a5 ..  ->  a0 a2 a4 ..| a1 a3 a5 ..

Taps are taken in (row, column) order. A tap replaces the maximum if it is greater or NaN, so the first
maximum stays, and the last NaN. A sum of taps is divided by their number, rounded once. Where a sum of finite taps overflows,
the mean of these does not: it is taken again, in double, of taps a power of two smaller.
"""

from libc.float cimport DBL_MAX, FLT_MAX
from libc.math cimport INFINITY, frexp, isfinite, ldexp
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from cnnref.kernels.base.caches cimport last_level
from cnnref.kernels.base.half cimport Storage
from cnnref.kernels.base.isa cimport always_inline
from cnnref.kernels.base.memory cimport allocate
from cnnref.kernels.base.prefetch cimport ask
from cnnref.kernels.base.types cimport real

ctypedef fused tap:
    # The position of a maximum in its window, row * f + column; the first type that holds f * f values.
    uint8_t
    uint16_t
    uint64_t

cdef enum:
    LANES = 16
    FAR = 8  # images larger than one part of these of the last cache come from memory rather than from it


cdef struct Pooling:
    # A pooling's extents.
    Py_ssize_t m
    Py_ssize_t height
    Py_ssize_t width
    Py_ssize_t channels
    Py_ssize_t f
    Py_ssize_t stride
    Py_ssize_t n_H
    Py_ssize_t n_W
    Storage storage


cdef inline bint by_phase(const Pooling* p) noexcept nogil:
    """Whether the lanes of a run are pixels of one phase rather than the channels of a pixel."""
    return p.channels < 8


cdef inline always_inline max_lanes(
    const real* x, Py_ssize_t pitch, const Py_ssize_t* columns, Py_ssize_t f, int lanes, real* out, real* where,
    tap* argmax,
) noexcept nogil:
    """`lanes` (a constant, at most LANES) outputs of a run; see `pool_runs`."""
    cdef real[LANES] best
    cdef real[LANES] at
    cdef int64_t[LANES] far  # a float32 does not count far enough for the largest windows
    cdef Py_ssize_t row, column
    cdef int lane
    cdef const real* taps
    cdef real value
    cdef bint take
    for lane in range(lanes):
        best[lane] = -INFINITY
        at[lane] = 0
        far[lane] = 0
    for row in range(f):
        for column in range(f):
            taps = x + row * pitch + columns[column]
            for lane in range(lanes):
                value = taps[lane]
                take = (value > best[lane]) | (value != value)
                best[lane] = value if take else best[lane]
                if tap is uint64_t:
                    far[lane] = row * f + column if take else far[lane]
                else:
                    at[lane] = <real>(row * f + column) if take else at[lane]
    for lane in range(lanes):
        out[lane] = best[lane]
        if tap is uint64_t:
            argmax[lane] = <uint64_t>far[lane]
        else:
            where[lane] = at[lane]


cdef inline always_inline mean_lanes(
    const real* x, Py_ssize_t pitch, const Py_ssize_t* columns, Py_ssize_t f, int lanes, real* out
) noexcept nogil:
    """`lanes` (a constant, at most LANES) outputs of a run; see `pool_runs`."""
    cdef real[LANES] sums
    cdef Py_ssize_t row, column
    cdef int lane
    cdef const real* taps
    for lane in range(lanes):
        sums[lane] = 0
    for row in range(f):
        for column in range(f):
            taps = x + row * pitch + columns[column]
            for lane in range(lanes):
                sums[lane] += taps[lane]
    for lane in range(lanes):
        out[lane] = sums[lane] / <real>(f * f)


cdef inline bint all_finite(const real* x, Py_ssize_t n) noexcept nogil:
    """Whether none of `n` values is infinite or NaN."""
    cdef Py_ssize_t i
    cdef int found = 0
    for i in range(n):
        found |= not x[i] - x[i] == 0
    return not found


cdef inline real mean_again(
    const real* x, Py_ssize_t rows, Py_ssize_t columns, Py_ssize_t down, Py_ssize_t across, double divisor, real first
) noexcept nogil:
    """The mean of taps whose sum was not finite; `first`, what it was, if it is NaN."""
    cdef double most = FLT_MAX if real is float else DBL_MAX, sum = 0, scale
    cdef Py_ssize_t row, column
    cdef int exponent
    frexp(<double>rows * columns, &exponent)
    scale = ldexp(1, -exponent)
    for row in range(rows):
        for column in range(columns):
            sum += x[row * down + column * across] * scale
            if sum != sum:
                return first
    if not isfinite(sum):
        return <real>sum
    # No mean is larger than the largest tap; only rounding could take it beyond.
    return <real>max(-most, min(ldexp(sum / divisor, exponent), most))


cdef inline void finite_line(const Pooling* p, const real* x, real* out) noexcept nogil:
    """A row of outputs: means where only their sums are not finite; the windows start at `x`."""
    cdef Py_ssize_t c = p.channels, i
    if all_finite(out, p.n_W * c):
        return
    for i in range(p.n_W * c):
        if not isfinite(out[i]):
            out[i] = mean_again(
                x + i // c * p.stride * c + i % c, p.f, p.f, p.width * c, c, <double>p.f * p.f, out[i]
            )


cdef inline always_inline lanes_of_run(
    const real* x, Py_ssize_t pitch, const Py_ssize_t* columns, Py_ssize_t f, int lanes, bint is_max, real* out,
    real* where, tap* argmax,
) noexcept nogil:
    if is_max:
        max_lanes(x, pitch, columns, f, lanes, out, where, argmax)
    else:
        mean_lanes(x, pitch, columns, f, lanes, out)


cdef inline always_inline pool_runs(
    const real* x, Py_ssize_t pitch, const Py_ssize_t* columns, Py_ssize_t f, Py_ssize_t runs, Py_ssize_t step,
    Py_ssize_t n, bint is_max, Py_ssize_t ahead, real* out, real* where, tap* argmax,
) noexcept nogil:
    """`runs` runs of `n` outputs; tap (row, column) of output i of run j is ``x[j * step + row * pitch + columns[column] + i]``.

    The last lanes are computed twice where `n` is no multiple of LANES. Positions go to `where`, those of uint64
    to `argmax`. `f`, where it is 2 or 3, and `is_max` are constants. The next `ahead` rows are asked for.
    """
    cdef Py_ssize_t i, j, at
    for j in range(runs):  # no-cython-lint
        for at in range(ahead):
            ask(x + (f + at) * pitch, step * <Py_ssize_t>sizeof(real))
        i = 0
        while i < n:
            if n >= LANES:
                at = min(i, n - LANES)
                lanes_of_run(x + at, pitch, columns, f, LANES, is_max, out + at, where + at, argmax + at)
                i += LANES
            elif n >= 8:
                at = min(i, n - 8)
                lanes_of_run(x + at, pitch, columns, f, 8, is_max, out + at, where + at, argmax + at)
                i += 8
            else:
                lanes_of_run(x + i, pitch, columns, f, 1, is_max, out + i, where + i, argmax + i)
                i += 1
        x += step
        out += n
        where += n
        argmax += n


cdef inline always_inline split_pixels(
    const real* row, Py_ssize_t count, Py_ssize_t step, Py_ssize_t channels, real* out
) noexcept nogil:
    """Every `step`-th of the pixels from `row` on, side by side; inlined with constants."""
    cdef Py_ssize_t pixel, c
    for pixel in range(count):
        for c in range(channels):
            out[pixel * channels + c] = row[pixel * step * channels + c]


cdef inline void split_phases(const Pooling* p, const real* row, Py_ssize_t phase_length, real* out) noexcept nogil:
    """One input row by phase: pixel ``stride * k + q`` to pixel k of phase q."""
    cdef Py_ssize_t q, count, c = p.channels
    cdef const real* start
    cdef real* phase
    for q in range(min(p.f, p.stride)):
        count = p.n_W + (p.f - 1 - q) // p.stride
        start = row + q * c
        phase = out + q * phase_length
        if c == 1 and p.stride == 2:
            split_pixels(start, count, 2, 1, phase)
        elif c == 1:
            split_pixels(start, count, p.stride, 1, phase)
        elif c == 3:
            split_pixels(start, count, p.stride, 3, phase)
        else:
            split_pixels(start, count, p.stride, c, phase)


cdef inline void narrow_row(const real* where, Py_ssize_t n, tap* argmax) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        argmax[i] = <tap><int32_t>where[i]


cdef inline int pool_lines(
    const Pooling* p, const real* x, real* out, tap* argmax, bint is_max, Py_ssize_t begin, Py_ssize_t end
) noexcept nogil:
    """Output rows from `begin` to `end`, counted through the batch; -1 if memory runs out."""
    cdef Py_ssize_t c = p.channels, line_length = p.n_W * c, pitch = p.width * c
    cdef Py_ssize_t phase_length = (p.n_W + (p.f - 1) // p.stride) * c
    cdef bint split = by_phase(p) and p.stride > 1 and p.n_W > 1
    cdef bint short = split and line_length < LANES
    cdef Py_ssize_t line, row, j, run, runs, step, ahead = 0
    cdef const real* start
    cdef real* result
    cdef tap* positions
    cdef real* buffer = NULL
    cdef real[LANES] short_out
    cdef tap[LANES] short_argmax
    cdef Py_ssize_t* columns = <Py_ssize_t*>allocate(p.f, sizeof(Py_ssize_t))
    cdef real* where = <real*>allocate(line_length + LANES if is_max else 0, sizeof(real))
    if split:
        pitch = min(p.f, p.stride) * phase_length
        buffer = <real*>allocate(p.f * pitch + LANES, sizeof(real))
    if columns == NULL or where == NULL or (split and buffer == NULL):
        free(columns)
        free(where)
        free(buffer)
        return -1
    for j in range(p.f):
        columns[j] = j % p.stride * phase_length + j // p.stride * c if split else j * c
    if split:
        memset(buffer, 0, (p.f * pitch + LANES) * sizeof(real))
    if split or p.stride == 1:
        runs, run, step = 1, LANES if short else line_length, 0
    else:
        runs, run, step = p.n_W, c, p.stride * c
        # Rows of the next windows lie too far apart for the processor to foresee them.
        ahead = p.stride if FAR * p.m * p.height * pitch * <double>sizeof(real) > last_level() else 0
    for line in range(begin, end):
        start = x + (line // p.n_H * p.height + line % p.n_H * p.stride) * p.width * c
        if split:
            for row in range(p.f):
                split_phases(p, start + row * p.width * c, phase_length, buffer + row * pitch)
            start = buffer
        result, positions = out + line * line_length, argmax + line * line_length
        if short:  # all lanes at once, with what happens to stand behind the row in the buffer
            result, positions = short_out, short_argmax
        if not is_max:
            if p.f == 2:
                pool_runs(start, pitch, columns, 2, runs, step, run, False, ahead, result, where, positions)
            elif p.f == 3:
                pool_runs(start, pitch, columns, 3, runs, step, run, False, ahead, result, where, positions)
            else:
                pool_runs(start, pitch, columns, p.f, runs, step, run, False, ahead, result, where, positions)
        elif p.f == 2:
            pool_runs(start, pitch, columns, 2, runs, step, run, True, ahead, result, where, positions)
        elif p.f == 3:
            pool_runs(start, pitch, columns, 3, runs, step, run, True, ahead, result, where, positions)
        else:
            pool_runs(start, pitch, columns, p.f, runs, step, run, True, ahead, result, where, positions)
        if is_max and tap is not uint64_t:
            narrow_row(where, line_length, argmax + line * line_length)
        elif is_max and short:
            memcpy(argmax + line * line_length, short_argmax, line_length * sizeof(tap))
        if short:
            memcpy(out + line * line_length, short_out, line_length * sizeof(real))
        if not is_max:
            finite_line(
                p, x + (line // p.n_H * p.height + line % p.n_H * p.stride) * p.width * c, out + line * line_length
            )
    free(buffer)
    free(where)
    free(columns)
    return 0
