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
from cython.parallel cimport prange
from libc.stdint cimport uint8_t, uint16_t, uint64_t
from numpy cimport ndarray

from cnnref.checks.arrays cimport elements, empty, held, memory, single, take_shape
from cnnref.checks.half cimport half, narrowed, widened
from cnnref.kernels.base.types cimport real
from cnnref.kernels.pool.forward cimport tap
from cnnref.kernels.pool.general cimport pool_rows, unpool_rows, unpool_ties
from cnnref.kernels.pool.window cimport PoolWindow
from cnnref.threads cimport fail, stopped, team_size, watch

cnp.import_array()


cdef int tap_type(const PoolWindow* p) noexcept:
    """The smallest unsigned type for a position in a window."""
    cdef Py_ssize_t size = p.h.f * p.w.f
    if size <= 256:
        return cnp.NPY_UINT8
    return cnp.NPY_UINT16 if size <= 65536 else cnp.NPY_UINT64


cdef Py_ssize_t piece(const PoolWindow* p, Py_ssize_t c) noexcept nogil:
    """Rows between looks at whether the call is to stop: some tenths of a millisecond."""
    cdef double row = <double>max(p.n_W, p.w.n) * max(c, <Py_ssize_t>1) * min(p.h.f, p.h.n) * min(p.w.f, p.w.n)
    return 1 + <Py_ssize_t>(1e6 / (row + 1))


cdef int pool_part(
    const PoolWindow* p, Py_ssize_t c, const real* x, real* out, tap* argmax, bint is_max, Py_ssize_t begin,
    Py_ssize_t end, const int* watched,
) noexcept nogil:
    """`pool_rows`, unless the call is to stop; then -1."""
    cdef Py_ssize_t last
    while begin < end:
        if stopped(watched):
            return -1
        last = min(begin + piece(p, c), end)
        pool_rows(p, c, x, out, argmax, is_max, begin, last)
        begin = last
    return 0


cdef int unpool_part(
    const PoolWindow* p, Py_ssize_t c, const real* da, const tap* argmax, real* out, Py_ssize_t begin, Py_ssize_t end,
    const int* watched,
) noexcept nogil:
    """`unpool_rows` in the same way."""
    cdef Py_ssize_t last
    while begin < end:
        if stopped(watched):
            return -1
        last = min(begin + piece(p, c), end)
        unpool_rows(p, c, da, argmax, out, begin, last)
        begin = last
    return 0


cdef int pool_all(
    const PoolWindow* p, Py_ssize_t m, Py_ssize_t c, const real* x, real* out, tap* argmax, bint is_max
) noexcept nogil:
    cdef Py_ssize_t lines = m * p.n_H, part
    cdef int threads = team_size(<double>lines * p.n_W * c * min(p.h.f, p.h.n) * min(p.w.f, p.w.n))
    cdef int failures = 0
    cdef const int* watched = watch()
    if threads == 1:
        return pool_part(p, c, x, out, argmax, is_max, 0, lines, watched)
    for part in prange(threads, num_threads=threads, schedule="static"):
        failures += pool_part(
            p, c, x, out, argmax, is_max, lines * part // threads, lines * (part + 1) // threads, watched
        )
    return failures


cdef int unpool_all(
    const PoolWindow* p, Py_ssize_t m, Py_ssize_t c, const real* da, const tap* argmax, real* out
) noexcept nogil:
    cdef Py_ssize_t lines = m * p.h.n, part
    cdef int threads = team_size(<double>m * p.n_H * p.n_W * c * min(p.h.f, p.h.n) * min(p.w.f, p.w.n))
    cdef int failures = 0
    cdef const int* watched = watch()
    if threads == 1:
        return unpool_part(p, c, da, argmax, out, 0, lines, watched)
    for part in prange(threads, num_threads=threads, schedule="static"):
        failures += unpool_part(
            p, c, da, argmax, out, lines * part // threads, lines * (part + 1) // threads, watched
        )
    return failures


cdef int ties_part(
    const PoolWindow* p, Py_ssize_t c, const real* x, const real* a, const real* da, real* out, Py_ssize_t begin,
    Py_ssize_t end, const int* watched,
) noexcept nogil:
    """`unpool_ties` in the same way."""
    cdef Py_ssize_t last
    while begin < end:
        if stopped(watched):
            return -1
        last = min(begin + piece(p, c), end)
        unpool_ties(p, c, x, a, da, out, begin, last)
        begin = last
    return 0


cdef int unpool_all_ties(
    const PoolWindow* p, Py_ssize_t m, Py_ssize_t c, const real* x, const real* a, const real* da, real* out
) noexcept nogil:
    cdef Py_ssize_t lines = m * p.h.n, part
    cdef int threads = team_size(<double>m * p.n_H * p.n_W * c * min(p.h.f, p.h.n) * min(p.w.f, p.w.n))
    cdef int failures = 0
    cdef const int* watched = watch()
    if threads == 1:
        return ties_part(p, c, x, a, da, out, 0, lines, watched)
    for part in prange(threads, num_threads=threads, schedule="static"):
        failures += ties_part(
            p, c, x, a, da, out, lines * part // threads, lines * (part + 1) // threads, watched
        )
    return failures


cdef int pool_taps(
    const PoolWindow* p, Py_ssize_t m, Py_ssize_t c, const real* x, real* out, void* argmax, int taps, bint is_max
) noexcept nogil:
    if taps == cnp.NPY_UINT8:
        return pool_all(p, m, c, x, out, <uint8_t*>argmax, is_max)
    if taps == cnp.NPY_UINT16:
        return pool_all(p, m, c, x, out, <uint16_t*>argmax, is_max)
    return pool_all(p, m, c, x, out, <uint64_t*>argmax, is_max)


cdef int unpool_taps(
    const PoolWindow* p, Py_ssize_t m, Py_ssize_t c, const real* da, void* argmax, int taps, real* out
) noexcept nogil:
    if taps == cnp.NPY_UINT8:
        return unpool_all(p, m, c, da, <const uint8_t*>argmax, out)
    if taps == cnp.NPY_UINT16:
        return unpool_all(p, m, c, da, <const uint16_t*>argmax, out)
    return unpool_all(p, m, c, da, <const uint64_t*>argmax, out)


cdef int take_images(ndarray A_prev, const PoolWindow* p, cnp.npy_intp* shape) except -1:
    """The extents of `A_prev` with those that the window was worked out for."""
    take_shape(A_prev, 4, shape)
    shape[1], shape[2] = p.h.n, p.w.n
    return 0


cdef Py_ssize_t size(const cnp.npy_intp* shape) noexcept:
    return shape[0] * shape[1] * shape[2] * shape[3]


def pooled(ndarray A_prev, PoolWindow window, bint is_max):
    """(A, the position of each maximum or None); the arguments as their checks give them."""
    cdef cnp.npy_intp[4] images
    cdef cnp.npy_intp[4] shape
    if half(A_prev):
        values, where = pooled(widened(A_prev), window, is_max)
        return narrowed(values, A_prev), where
    take_images(A_prev, &window, images)
    cdef Py_ssize_t m = images[0], c = images[3]
    shape[0], shape[1], shape[2], shape[3] = m, window.n_H, window.n_W, c
    cdef ndarray A = empty(A_prev, 4, shape)
    cdef int taps = tap_type(&window)
    cdef object argmax = cnp.PyArray_EMPTY(4, shape, taps, 0) if is_max else None
    cdef bint is_single = single(A)
    cdef object _held = held(A_prev)
    cdef void* x = elements(A_prev, is_single, size(images))
    cdef void* out = elements(A, is_single, size(shape))
    cdef void* positions = cnp.PyArray_DATA(<ndarray>argmax) if is_max else NULL
    cdef int failures
    with nogil:
        if is_single:
            failures = pool_taps(&window, m, c, <const float*>x, <float*>out, positions, taps, is_max)
        else:
            failures = pool_taps(&window, m, c, <const double*>x, <double*>out, positions, taps, is_max)
    if failures:
        fail("pool_forward: stopped")
    return A, argmax


def usable(object argmax, ndarray dA, PoolWindow window):
    """Whether `argmax` holds positions that `pooled` left for an output of this shape."""
    return (
        type(argmax) is ndarray
        and cnp.PyArray_TYPE(<ndarray>argmax) == tap_type(&window)
        and cnp.PyArray_IS_C_CONTIGUOUS(<ndarray>argmax)
        and cnp.PyArray_SAMESHAPE(<ndarray>argmax, dA)
    )


def unpooled(ndarray dA, ndarray A_prev, PoolWindow window, object argmax):
    """``dA_prev`` from the positions that `pooled` gave, or of an average where there are none."""
    cdef cnp.npy_intp[4] images
    take_images(A_prev, &window, images)
    cdef ndarray out = empty(A_prev, 4, images)
    cdef Py_ssize_t m = images[0], c = images[3]
    cdef int taps = tap_type(&window)
    cdef bint is_single = single(out)
    cdef object _held = held(dA, argmax)
    cdef void* positions = NULL if argmax is None else memory(argmax, taps, m * window.n_H * window.n_W * c)
    cdef void* da = elements(dA, is_single, m * window.n_H * window.n_W * c)
    cdef void* out_data = elements(out, is_single, size(images))
    cdef int failures
    with nogil:
        if is_single:
            failures = unpool_taps(&window, m, c, <const float*>da, positions, taps, <float*>out_data)
        else:
            failures = unpool_taps(&window, m, c, <const double*>da, positions, taps, <double*>out_data)
    if failures:
        fail("pool_backward: stopped")
    return out


def post_unpooled(ndarray dA, ndarray A_prev, PoolWindow window):
    """``dA_prev`` of a maximum as the post has it: every maximum of a window takes all of its gradient."""
    cdef cnp.npy_intp[4] images
    take_images(A_prev, &window, images)
    cdef ndarray out = empty(A_prev, 4, images)
    cdef ndarray maxima = pooled(A_prev, window, True)[0]
    cdef Py_ssize_t m = images[0], c = images[3], windows = m * window.n_H * window.n_W * c
    cdef bint is_single = single(out)
    cdef object _held = held(A_prev, dA)
    cdef void* x = elements(A_prev, is_single, size(images))
    cdef void* tops = elements(maxima, is_single, windows)
    cdef void* da = elements(dA, is_single, windows)
    cdef void* out_data = elements(out, is_single, size(images))
    cdef int failures
    with nogil:
        if is_single:
            failures = unpool_all_ties(&window, m, c, <const float*>x, <const float*>tops, <const float*>da, <float*>out_data)
        else:
            failures = unpool_all_ties(
                &window, m, c, <const double*>x, <const double*>tops, <const double*>da, <double*>out_data
            )
    if failures:
        fail("pool_backward: stopped")
    return out
