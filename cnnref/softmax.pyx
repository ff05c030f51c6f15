"""Softmax of rows and its gradient.

    p[i, j] = exp(x[i, j] - max_k x[i, k]) / sum_k exp(x[i, k] - max_k x[i, k])
    dx[i, j] = p[i, j] * (dp[i, j] - sum_k p[i, k] dp[i, k])

Order of summation, the same for every thread count, batch and instruction set: a sum over a row runs in 16 double
accumulators, column j in accumulator ``j % 16``, which are then added pairwise (8 apart, 4, 2, 1 apart); by
fused multiply-adds for the gradient. A row with NaN or +inf gives NaN, as in PyTorch.

Source: "R for Deep Learning (IV)", ``softmax``; the gradient is not in the post.
"""

cimport numpy as cnp
from cython.parallel cimport prange
from libc.math cimport INFINITY
from numpy cimport ndarray

from cnnref._arrays cimport empty, single
from cnnref._check_elements cimport check_softmax, check_softmax_backward
from cnnref._elementary cimport exp, exp_nonpositive
from cnnref._types cimport multiply_add, real
from cnnref.threads cimport team_size

cnp.import_array()

cdef enum:
    LANES = 16
    BLOCK = 2048  # elements that stay in the first-level cache between the passes over them

cdef double EXP_WORK = 12  # operations for each element, as `team_size` counts them


cdef inline double total(double* lanes) noexcept nogil:
    cdef Py_ssize_t lane
    for lane in range(8):
        lanes[lane] += lanes[lane + 8]
    for lane in range(4):
        lanes[lane] += lanes[lane + 4]
    return (lanes[0] + lanes[2]) + (lanes[1] + lanes[3])


cdef inline real largest(const real* x, Py_ssize_t n) noexcept nogil:
    """The largest of `n` values; NaN is passed over."""
    cdef real[LANES] lanes
    cdef real most = -INFINITY
    cdef Py_ssize_t i, lane
    if n >= LANES:
        for lane in range(LANES):
            lanes[lane] = -INFINITY
        for i in range(n // LANES):
            for lane in range(LANES):
                lanes[lane] = x[i * LANES + lane] if x[i * LANES + lane] > lanes[lane] else lanes[lane]
        for lane in range(LANES):
            most = lanes[lane] if lanes[lane] > most else most
    for i in range(n - n % LANES, n):
        most = x[i] if x[i] > most else most
    return most


cdef inline double sum_of_row(const real* x, Py_ssize_t n) noexcept nogil:
    cdef double[LANES] lanes
    cdef Py_ssize_t i, lane
    for lane in range(LANES):
        lanes[lane] = 0
    for i in range(n // LANES):
        for lane in range(LANES):
            lanes[lane] += x[i * LANES + lane]
    i = n // LANES
    for lane in range(n % LANES):
        lanes[lane] += x[i * LANES + lane]
    return total(lanes)


cdef inline double dot_of_rows(const real* x, const real* y, Py_ssize_t n) noexcept nogil:
    cdef double[LANES] lanes
    cdef Py_ssize_t i, lane
    for lane in range(LANES):
        lanes[lane] = 0
    for i in range(n // LANES):
        for lane in range(LANES):
            lanes[lane] = multiply_add(<double>x[i * LANES + lane], <double>y[i * LANES + lane], lanes[lane])
    i = n // LANES
    for lane in range(n % LANES):
        lanes[lane] = multiply_add(<double>x[i * LANES + lane], <double>y[i * LANES + lane], lanes[lane])
    return total(lanes)


cdef inline Py_ssize_t rows_at_a_time(Py_ssize_t rows, Py_ssize_t n) noexcept nogil:
    if n == 0:
        return rows
    return BLOCK // n if n < BLOCK else 1


cdef void softmax_rows(const real* x, real* p, Py_ssize_t rows, Py_ssize_t n, bint shift) noexcept nogil:
    cdef Py_ssize_t block = rows_at_a_time(rows, n)
    cdef Py_ssize_t begin = 0, row, i, count
    cdef real value
    while begin < rows:
        count = min(block, rows - begin)
        if shift:
            for row in range(begin, begin + count):
                value = largest(x + row * n, n)
                for i in range(row * n, row * n + n):
                    p[i] = x[i] - value
            for i in range(begin * n, (begin + count) * n):
                p[i] = exp_nonpositive(p[i])
        else:
            for i in range(begin * n, (begin + count) * n):
                p[i] = exp(x[i])
        for row in range(begin, begin + count):
            value = <real>sum_of_row(p + row * n, n)
            for i in range(row * n, row * n + n):
                p[i] = p[i] / value
        begin += count


cdef void softmax_gradient_rows(
    const real* x, const real* dp, real* dx, Py_ssize_t rows, Py_ssize_t n, bint shift
) noexcept nogil:
    cdef Py_ssize_t block = rows_at_a_time(rows, n)
    cdef Py_ssize_t begin = 0, row, i, count
    cdef double dot
    while begin < rows:
        count = min(block, rows - begin)
        softmax_rows(x + begin * n, dx + begin * n, count, n, shift)
        for row in range(begin, begin + count):
            dot = dot_of_rows(dx + row * n, dp + row * n, n)
            for i in range(row * n, row * n + n):
                dx[i] = <real>(dx[i] * (dp[i] - dot))
        begin += count


cdef void softmax_all(
    const real* x, const real* dp, real* out, Py_ssize_t rows, Py_ssize_t n, bint shift, int threads
) noexcept nogil:
    """Softmax, or its gradient where `dp` is given."""
    cdef Py_ssize_t part, begin, count
    for part in prange(threads, num_threads=threads, use_threads_if=threads > 1, schedule="static"):
        begin = rows * part // threads
        count = rows * (part + 1) // threads - begin
        if dp == NULL:
            softmax_rows(x + begin * n, out + begin * n, count, n, shift)
        else:
            softmax_gradient_rows(x + begin * n, dp + begin * n, out + begin * n, count, n, shift)


cdef ndarray run_softmax(ndarray x, ndarray dp, bint shift):
    cdef ndarray out = empty(x, 2, cnp.PyArray_DIMS(x))
    cdef Py_ssize_t rows = x.shape[0]
    cdef Py_ssize_t n = x.shape[1]
    cdef int threads = team_size(rows * n * EXP_WORK)
    cdef void* x_data = cnp.PyArray_DATA(x)
    cdef void* dp_data = NULL if dp is None else cnp.PyArray_DATA(dp)
    cdef void* out_data = cnp.PyArray_DATA(out)
    cdef bint is_single = single(x)
    with nogil:
        if is_single:
            softmax_all(<const float*>x_data, <const float*>dp_data, <float*>out_data, rows, n, shift, threads)
        else:
            softmax_all(<const double*>x_data, <const double*>dp_data, <double*>out_data, rows, n, shift, threads)
    return out


def softmax(X):
    """Softmax of each row, shifted by the row's maximum so that it never overflows.

    Parameters
    ----------
    X : array_like, shape (m, n)
        Logits; float32 stays float32, everything else computes in float64.

    Returns
    -------
    probs : ndarray, shape (m, n)
        Rows that sum to 1; all NaN where the row holds NaN, +inf, or nothing but -inf.
    cache : ndarray, shape (m, n)
        `X` itself (converted where it had to be).

    Raises
    ------
    TypeError
        If `X` does not hold float32, float64, integers or booleans.
    ValueError
        If `X` is not two-dimensional.

    References
    ----------
    "R for Deep Learning (IV)", ``softmax``.
    """
    cdef ndarray x = check_softmax(X)
    return run_softmax(x, None, True), x


def softmax_backward(dprobs, cache):
    """Gradient of `softmax`.

    Parameters
    ----------
    dprobs : array_like, shape (m, n)
        Gradient with respect to the probabilities.
    cache : array_like, shape (m, n)
        ``X`` as `softmax` returned it.

    Returns
    -------
    ndarray, shape (m, n)
        ``dX``. The dot product of each row and the difference are computed in double for both dtypes.

    Raises
    ------
    TypeError
        If an argument does not hold float32, float64, integers or booleans.
    ValueError
        If the shapes differ or are not two-dimensional.
    """
    cdef ndarray dp, x
    dp, x = check_softmax_backward(dprobs, cache)
    return run_softmax(x, dp, True)


def post_softmax(X):
    """`softmax` as the post has it: no shift, so that it overflows to NaN."""
    cdef ndarray x = check_softmax(X)
    return run_softmax(x, None, False), x


def post_softmax_backward(dprobs, cache):
    """Gradient of `post_softmax`."""
    cdef ndarray dp, x
    dp, x = check_softmax_backward(dprobs, cache)
    return run_softmax(x, dp, False)
