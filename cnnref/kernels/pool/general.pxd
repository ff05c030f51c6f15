"""Kernels of pooling with options: forward by output rows, backward by input rows, over lanes of channels.

Only taps that read an element of the input take part, in (row, column) order, so that padding costs nothing and
never wins. Along a row the windows whose columns are all inside and that are one pixel apart make one run of lanes;
elsewhere the lanes are the channels of one pixel.

Backward, each input row belongs to one thread and gathers from the windows that read it, in (row, column) order of
the windows.
"""

from libc.math cimport INFINITY, isfinite
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memset

from cnnref.checks.hyper cimport span
from cnnref.kernels.base.types cimport real
from cnnref.kernels.pool.axis cimport end_window, first_window
from cnnref.kernels.pool.forward cimport LANES, all_finite, mean_again, tap
from cnnref.kernels.pool.window cimport PoolWindow, counted_taps, inner_tap, outer_tap, window_start


cdef struct Taps:
    # Taps of a window that read the input: rows from r to r_end, columns from q to q_end, of windows f_w wide; a tap
    # further down and across lies `down` and `across` further in memory.
    Py_ssize_t r
    Py_ssize_t r_end
    Py_ssize_t q
    Py_ssize_t q_end
    Py_ssize_t f_w
    Py_ssize_t down
    Py_ssize_t across


cdef inline void max_taps(const real* x, Taps t, int lanes, real* out, tap* argmax) noexcept nogil:
    """`lanes` (a constant, at most LANES) maxima side by side; tap (0, 0) of the first is at `x`."""
    cdef real[LANES] best
    cdef real[LANES] where
    cdef int64_t[LANES] far  # a float32 does not count far enough for the largest windows
    cdef Py_ssize_t r, q
    cdef int lane
    cdef const real* values
    cdef real value
    cdef bint take
    for lane in range(lanes):
        best[lane] = -INFINITY
        where[lane] = <real>(t.r * t.f_w + t.q)
        far[lane] = t.r * t.f_w + t.q
    for r in range(t.r, t.r_end):
        for q in range(t.q, t.q_end):
            values = x + r * t.down + q * t.across
            for lane in range(lanes):
                value = values[lane]
                take = (value > best[lane]) | (value != value)
                best[lane] = value if take else best[lane]
                if tap is uint64_t:
                    far[lane] = r * t.f_w + q if take else far[lane]
                else:
                    where[lane] = <real>(r * t.f_w + q) if take else where[lane]
    for lane in range(lanes):
        out[lane] = best[lane]
        if tap is uint64_t:
            argmax[lane] = <uint64_t>far[lane]
        else:
            argmax[lane] = <tap>where[lane]


cdef inline void mean_taps(const real* x, Taps t, real divisor, int lanes, real* out) noexcept nogil:
    """As `max_taps`: sums of taps, each divided once."""
    cdef real[LANES] sums
    cdef Py_ssize_t r, q
    cdef int lane
    cdef const real* values
    for lane in range(lanes):
        sums[lane] = 0
    for r in range(t.r, t.r_end):
        for q in range(t.q, t.q_end):
            values = x + r * t.down + q * t.across
            for lane in range(lanes):
                sums[lane] += values[lane]
    for lane in range(lanes):
        out[lane] = sums[lane] / divisor


cdef inline void max_run(const real* x, Taps t, Py_ssize_t n, real* out, tap* argmax) noexcept nogil:
    """`n` maxima side by side; the last lanes are computed twice where `n` is no multiple of LANES."""
    cdef Py_ssize_t i = 0, at
    cdef Taps three = t
    cdef bint whole = t.r == 0 and t.q == 0 and t.f_w == 3 and t.r_end == 3 and t.q_end == 3
    three.r, three.r_end, three.q, three.q_end, three.f_w = 0, 3, 0, 3, 3
    while i < n:
        if n >= LANES:
            at = min(i, n - LANES)
            if whole:
                max_taps(x + at, three, LANES, out + at, argmax + at)
            else:
                max_taps(x + at, t, LANES, out + at, argmax + at)
            i += LANES
        elif n >= 4:
            at = min(i, n - 4)
            max_taps(x + at, t, 4, out + at, argmax + at)
            i += 4
        else:
            max_taps(x + i, t, 1, out + i, argmax + i)
            i += 1


cdef inline void mean_run(const real* x, Taps t, real divisor, Py_ssize_t n, real* out) noexcept nogil:
    """As `max_run`, for the mean."""
    cdef Py_ssize_t i = 0, at
    while i < n:
        if n >= LANES:
            at = min(i, n - LANES)
            mean_taps(x + at, t, divisor, LANES, out + at)
            i += LANES
        elif n >= 4:
            at = min(i, n - 4)
            mean_taps(x + at, t, divisor, 4, out + at)
            i += 4
        else:
            mean_taps(x + i, t, divisor, 1, out + i)
            i += 1
    if all_finite(out, n):
        return
    for i in range(n):
        if not isfinite(out[i]):  # a sum that overflowed, it may be
            out[i] = mean_again(
                x + t.r * t.down + t.q * t.across + i, t.r_end - t.r, t.q_end - t.q, t.down, t.across, divisor, out[i]
            )


cdef inline void pool_rows(
    const PoolWindow* p, Py_ssize_t c, const real* x, real* out, tap* argmax, bint is_max, Py_ssize_t begin,
    Py_ssize_t end,
) noexcept nogil:
    """Output rows from `begin` to `end`, counted through the batch."""
    cdef Py_ssize_t line, j, top, left, count, rows, at, inside = 0, beyond = 0
    cdef const real* image
    cdef Taps t
    t.f_w, t.down, t.across = p.w.f, p.h.dilation * p.w.n * c, p.w.dilation * c
    if p.w.stride == 1:
        # Windows `inside` to `beyond` have all of their columns in the input.
        inside = min(p.w.before, p.n_W)
        beyond = max(inside, min(p.n_W, p.w.n - span(&p.w) + p.w.before + 1))
    for line in range(begin, end):
        top = window_start(&p.h, line % p.n_H)
        t.r, t.r_end = inner_tap(&p.h, top), outer_tap(&p.h, top)
        rows = counted_taps(&p.h, top, p.counted)
        image = x + (line // p.n_H * p.h.n + top) * p.w.n * c
        j = 0
        while j < p.n_W:
            count = beyond - inside if j == inside and beyond > inside else 1
            left, at = window_start(&p.w, j), (line * p.n_W + j) * c
            t.q, t.q_end = inner_tap(&p.w, left), outer_tap(&p.w, left)
            if is_max:
                max_run(image + left * c, t, count * c, out + at, argmax + at)
            else:
                mean_run(
                    image + left * c, t, <real>rows * <real>counted_taps(&p.w, left, p.counted), count * c, out + at
                )
            j += count


cdef inline void add_chosen(
    const real* da, const tap* argmax, tap position, Py_ssize_t n, real* sums
) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        sums[i] += da[i] if argmax[i] == position else 0


cdef inline void add_shares(const real* da, real divisor, Py_ssize_t n, real* sums) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        sums[i] += da[i] / divisor


cdef inline void unpool_rows(
    const PoolWindow* p, Py_ssize_t c, const real* da, const tap* argmax, real* out, Py_ssize_t begin, Py_ssize_t end
) noexcept nogil:
    """The gradient of input rows from `begin` to `end`, counted through the batch; of an average where `argmax` is NULL."""
    cdef Py_ssize_t line, padded, i, j, r, q, left, at, rows
    cdef real* sums
    cdef real divisor
    for line in range(begin, end):
        sums = out + line * p.w.n * c
        memset(sums, 0, p.w.n * c * sizeof(real))
        padded = line % p.h.n + p.h.before
        for i in range(first_window(padded, span(&p.h), p.h.stride), end_window(padded, p.h.stride, p.n_H)):
            r = padded - i * p.h.stride
            if r % p.h.dilation:
                continue
            r = r // p.h.dilation
            rows = counted_taps(&p.h, window_start(&p.h, i), p.counted)
            for j in range(p.n_W):
                left = window_start(&p.w, j)
                at = ((line // p.h.n * p.n_H + i) * p.n_W + j) * c
                divisor = <real>rows * <real>counted_taps(&p.w, left, p.counted)
                for q in range(inner_tap(&p.w, left), outer_tap(&p.w, left)):
                    if argmax == NULL:
                        add_shares(da + at, divisor, c, sums + (left + q * p.w.dilation) * c)
                    else:
                        add_chosen(
                            da + at, argmax + at, <tap>(r * p.w.f + q), c, sums + (left + q * p.w.dilation) * c
                        )


cdef inline void unpool_ties(
    const PoolWindow* p, Py_ssize_t c, const real* x, const real* a, const real* da, real* out, Py_ssize_t begin,
    Py_ssize_t end,
) noexcept nogil:
    """The post's gradient of a maximum: every maximum takes all of it, a window with NaN spreads NaN."""
    cdef Py_ssize_t line, i, j, k, q, r, left, at, pixel
    cdef Py_ssize_t padded
    cdef real marked
    for line in range(begin, end):
        memset(out + line * p.w.n * c, 0, p.w.n * c * sizeof(real))
        padded = line % p.h.n + p.h.before
        for i in range(first_window(padded, span(&p.h), p.h.stride), end_window(padded, p.h.stride, p.n_H)):
            r = padded - i * p.h.stride
            if r % p.h.dilation:
                continue
            for j in range(p.n_W):
                left = window_start(&p.w, j)
                at = ((line // p.h.n * p.n_H + i) * p.n_W + j) * c
                for q in range(inner_tap(&p.w, left), outer_tap(&p.w, left)):
                    pixel = (line * p.w.n + left + q * p.w.dilation) * c
                    for k in range(c):
                        marked = <real>(x[pixel + k] == a[at + k]) if a[at + k] == a[at + k] else a[at + k]
                        out[pixel + k] += marked * da[at + k]
