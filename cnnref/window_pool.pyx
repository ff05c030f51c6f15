"""Pooling with the options that the post does not have: `pool` hands over what is no dense square window without padding.

    max:      A[i, y, x, c] = max over (r, q) of A_prev[i, y*s_h - top + r*d_h, x*s_w - left + q*d_w, c]
    average:  A[i, y, x, c] = 1/D[y, x] sum over (r, q) of the same, with d_h = d_w = 1

over the taps (r, q) in (f_h, f_w) that lie in the image. D counts the taps in the image and in its padding, or those in
the image alone (``count_include_pad``); what a last window that ``ceil_mode`` adds covers beyond the padding is never
counted. Extents and D are PyTorch's.

Ties and NaN are those of `pool`; a window of -inf gives its gradient to its first tap in the image. So is the order of
summation: the taps of an average in (row, column) order, then one division; a pixel's gradient from 0 over the windows
that read it in (row, column) order, each term of an average's gradient divided by its D first. An average of finite values
is finite, as in `pool`.
"""

cimport numpy as cnp
from cpython.pystate cimport PyThreadState
from libc.stdint cimport uint8_t, uint16_t, uint64_t
from numpy cimport ndarray, npy_intp

from cnnref.checks.arrays cimport empty, held, memory, single, take_shape
from cnnref.checks.half cimport half, rounded, wide
from cnnref.kernels.base.types cimport real
from cnnref.kernels.pool.forward cimport tap
from cnnref.kernels.pool.general cimport pool_rows, unpool_rows, unpool_ties
from cnnref.kernels.pool.window cimport PoolWindow
from cnnref.threads cimport fail, in_parts, let_go, take_back, team_size

cnp.import_array()


cdef int tap_type(const PoolWindow* p) noexcept:
    """The smallest unsigned type for a position in a window."""
    cdef Py_ssize_t size = p.h.f * p.w.f
    if size <= 256:
        return cnp.NPY_UINT8
    return cnp.NPY_UINT16 if size <= 65536 else cnp.NPY_UINT64


cdef enum Way:
    POOL
    UNPOOL
    UNPOOL_TIES


cdef struct Rows:
    # What the rows of a batch are computed from; of what its way does not have, NULL.
    Way way
    bint is_max
    bint is_single
    int taps
    Py_ssize_t m
    Py_ssize_t c
    PoolWindow p
    const void* x
    const void* tops
    const void* da
    void* argmax
    void* out


cdef void rows_by_taps(const Rows* s, Py_ssize_t begin, Py_ssize_t end, real kind, tap position) noexcept nogil:
    if s.way == POOL:
        pool_rows(&s.p, s.c, <const real*>s.x, <real*>s.out, <tap*>s.argmax, s.is_max, begin, end)
    else:
        unpool_rows(&s.p, s.c, <const real*>s.da, <const tap*>s.argmax, <real*>s.out, begin, end)


cdef void rows_of(const Rows* s, Py_ssize_t begin, Py_ssize_t end, real kind) noexcept nogil:
    if s.way == UNPOOL_TIES:
        unpool_ties(
            &s.p, s.c, <const real*>s.x, <const real*>s.tops, <const real*>s.da, <real*>s.out, begin, end
        )
    elif s.taps == cnp.NPY_UINT8:
        rows_by_taps(s, begin, end, kind, <uint8_t>0)
    elif s.taps == cnp.NPY_UINT16:
        rows_by_taps(s, begin, end, kind, <uint16_t>0)
    else:
        rows_by_taps(s, begin, end, kind, <uint64_t>0)


cdef void some_rows(const void* job, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    if (<const Rows*>job).is_single:
        rows_of(<const Rows*>job, begin, end, <float>0)
    else:
        rows_of(<const Rows*>job, begin, end, <double>0)


cdef Rows rows_for(Way way, ndarray A_prev, const PoolWindow* p, npy_intp* images) except *:
    """The extents of `A_prev`, with those that the window was worked out for, which `images` is set to."""
    cdef Rows s
    take_shape(A_prev, 4, images)
    images[1], images[2] = p.h.n, p.w.n
    s.way, s.p, s.m, s.c, s.is_single, s.taps = way, p[0], images[0], images[3], single(A_prev), tap_type(p)
    s.is_max = way != UNPOOL
    s.x = s.tops = s.da = s.argmax = s.out = NULL
    return s


cdef Py_ssize_t pixels_of(const Rows* s) noexcept:
    return s.m * s.p.h.n * s.p.w.n * s.c


cdef Py_ssize_t windows_of(const Rows* s) noexcept:
    return s.m * s.p.n_H * s.p.n_W * s.c


cdef int every_row(const Rows* s) except -1:
    cdef double taps = <double>min(s.p.h.f, s.p.h.n) * min(s.p.w.f, s.p.w.n)
    cdef Py_ssize_t lines = s.m * (s.p.n_H if s.way == POOL else s.p.h.n)
    cdef double work = lines * (max(s.p.n_W, s.p.w.n) * <double>max(s.c, <Py_ssize_t>1) * taps + 1)
    cdef int threads = team_size(windows_of(s) * taps)
    cdef PyThreadState* state = let_go(work)
    # The taps of a window are no multiply-adds: more pieces than of as many of those.
    cdef int status = in_parts(some_rows, s, lines, 4 * work, threads)
    take_back(state)
    if status < 0:
        fail("pool_forward: stopped" if s.way == POOL else "pool_backward: stopped")
    return 0


def pooled(ndarray A_prev, PoolWindow window, bint is_max):
    """(A, the position of each maximum or None); the arguments as their checks give them."""
    cdef npy_intp[4] images
    cdef npy_intp[4] shape
    if half(A_prev):
        values, where = pooled(wide(A_prev), window, is_max)
        return rounded(values, A_prev), where
    cdef Rows s = rows_for(POOL, A_prev, &window, images)
    shape[0], shape[1], shape[2], shape[3] = s.m, window.n_H, window.n_W, s.c
    cdef ndarray A = empty(A_prev, 4, shape)
    cdef object argmax = cnp.PyArray_EMPTY(4, shape, s.taps, 0) if is_max else None
    cdef object _held = held(A_prev)
    s.is_max = is_max
    cdef int kind = cnp.NPY_FLOAT if s.is_single else cnp.NPY_DOUBLE
    s.x = memory(A_prev, kind, pixels_of(&s))
    s.out = memory(A, kind, windows_of(&s))
    s.argmax = cnp.PyArray_DATA(<ndarray>argmax) if is_max else NULL
    every_row(&s)
    return A, argmax


def usable(object argmax, ndarray dA, PoolWindow window):
    """Whether `argmax` holds positions that `pooled` left for an output of this shape."""
    return (
        type(argmax) is ndarray
        and cnp.PyArray_TYPE(<ndarray>argmax) == tap_type(&window)
        and cnp.PyArray_IS_C_CONTIGUOUS(<ndarray>argmax)
        and cnp.PyArray_SAMESHAPE(<ndarray>argmax, dA)
    )


def unpooled(ndarray dA, ndarray A_prev, PoolWindow window, object argmax, bint ties=False):
    """``dA_prev`` from the positions that `pooled` gave, or of an average where there are none.

    As the post has it, with `ties`, every maximum of a window takes all of its gradient.
    """
    cdef npy_intp[4] images
    cdef Rows s = rows_for(UNPOOL_TIES if ties else UNPOOL, A_prev, &window, images)
    cdef int kind = cnp.NPY_FLOAT if s.is_single else cnp.NPY_DOUBLE
    cdef ndarray out = empty(A_prev, 4, images)
    cdef ndarray maxima = pooled(A_prev, window, True)[0] if ties else None
    cdef object _held = held(dA, argmax, A_prev)
    if ties:
        s.x = memory(A_prev, kind, pixels_of(&s))
        s.tops = memory(maxima, kind, windows_of(&s))
    elif argmax is not None:
        s.argmax = memory(argmax, s.taps, windows_of(&s))
    s.da = memory(dA, kind, windows_of(&s))
    s.out = memory(out, kind, pixels_of(&s))
    every_row(&s)
    return out
