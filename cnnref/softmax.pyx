"""Softmax of rows and its gradient.

    p[i, j] = exp(x[i, j] - max_k x[i, k]) / sum_k exp(x[i, k] - max_k x[i, k])
    dx[i, j] = p[i, j] * (dp[i, j] - sum_k p[i, k] dp[i, k])

Order of summation, the same for every thread count, batch and instruction set: a sum over a row runs in 16 double
accumulators, column j in accumulator ``j % 16``, which are then added pairwise (8 apart, 4, 2, 1 apart); by fused
multiply-adds for the gradient. In rows of more than 64 columns of float32, four columns that go to one accumulator are
summed in float32 first (``kernels/vmath/softmax_row.pxd``), and no maximum is subtracted, in either dtype, where all of the
row is between -40 and 40: the quotient is the same.

The gradient takes ``d = sum_k e[k] dp[k] / S``, e the exponentials and S their sum, and ``e[j] / S * (dp[j] - d)``
(``e[j] * ((dp[j] - d) / S)`` in rows of up to 64); 1/S and d are doubles, in float32 sums of two. Only where the sum
overflows, each e is divided by S first. A row with NaN or +inf gives NaN, as in PyTorch.

Source: "R for Deep Learning (IV)", ``softmax``; the gradient is not in the post.
"""

cimport numpy as cnp
from libc.string cimport memset
from numpy cimport ndarray

from cnnref.checks.loss cimport check_softmax, check_softmax_backward
from cnnref.kernels.base.types cimport multiply_add, real
from cnnref.kernels.vmath.elementwise cimport run
from cnnref.kernels.vmath.softmax_row cimport IF_FAR, LANES, NEVER, NOTHING, PRODUCTS, Sums, exp_row, in_double
from cnnref.kernels.vmath.softmax_short_rows cimport GROUP, NARROW, add_pairwise, exp_group, transpose

cnp.import_array()

cdef double EXP_WORK = 12  # operations for each element, as `team_size` counts them


cdef inline void normalize(real* p, Py_ssize_t n, real divisor) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(n):
        p[i] = p[i] / divisor


cdef inline real share(real p, real dp, double dot, double inverse) noexcept nogil:
    """An element of the gradient from its exponential and the inverse of their sum."""
    return p * <real>((dp - dot) * inverse)


cdef inline void shares(real* p, const real* dp, Py_ssize_t n, double dot, double inverse) noexcept nogil:
    """The gradient of a row from its exponentials, in place; for float32, each double is a sum of two of them."""
    cdef real dot_high = <real>dot, inverse_high = <real>inverse
    cdef real dot_low = <real>(dot - dot_high), inverse_low = <real>(inverse - inverse_high)
    cdef Py_ssize_t i
    if real is float:
        for i in range(n):
            p[i] = multiply_add(p[i], inverse_high, p[i] * inverse_low) * ((dp[i] - dot_high) - dot_low)
    else:
        for i in range(n):
            p[i] = p[i] * inverse * (dp[i] - dot)


cdef void softmax_row(const real* x, real* out, Py_ssize_t n, bint shift) noexcept nogil:
    """Softmax of one row."""
    cdef Sums sums
    exp_row(x, <const real*>NULL, out, n, IF_FAR if shift else NEVER, NOTHING, &sums)
    normalize(out, n, <real>sums.exps)


cdef void gradient_row(const real* x, const real* dp, real* out, Py_ssize_t n, bint shift) noexcept nogil:
    """The gradient of one row."""
    cdef Sums sums
    cdef double dot, inverse
    cdef Py_ssize_t i
    exp_row(x, dp, out, n, IF_FAR if shift else NEVER, PRODUCTS, &sums)
    if real is float and sums.exps < 1:  # products in float32 may have underflowed, which the division makes visible
        sums.beside = in_double(out, dp, n)
    dot, inverse = sums.beside / sums.exps, 1 / sums.exps
    if sums.beside - sums.beside != 0:  # too large, unless the sum is divided first; or not finite at all
        normalize(out, n, <real>sums.exps)
        dot = in_double(out, dp, n)
        for i in range(n):
            out[i] = <real>(out[i] * (dp[i] - dot))
    elif shift and not sums.huge:
        shares(out, dp, n, dot, inverse)
    else:
        for i in range(n):
            out[i] = <real>(out[i] * inverse * (dp[i] - dot))


cdef void softmax_group(const real* x, real* out, Py_ssize_t count, Py_ssize_t n, bint shift) noexcept nogil:
    """As `softmax_row` for `count` rows at once, each in a lane of its own: the same operations."""
    cdef real[NARROW * GROUP] p
    cdef double[LANES * GROUP] sums
    cdef real[GROUP] top
    cdef Py_ssize_t j, row
    transpose(x, p, count, n)
    exp_group(p, top, sums, n, shift)
    for row in range(GROUP):
        top[row] = <real>sums[row]
    for j in range(n):
        for row in range(GROUP):
            p[j * GROUP + row] = p[j * GROUP + row] / top[row]
    for row in range(count):
        for j in range(n):
            out[row * n + j] = p[j * GROUP + row]


cdef void gradient_group(
    const real* x, const real* dp, real* out, Py_ssize_t count, Py_ssize_t n, bint shift
) noexcept nogil:
    """The gradient of `count` rows at once."""
    cdef real[NARROW * GROUP] p
    cdef real[NARROW * GROUP] gradient
    cdef double[LANES * GROUP] sums
    cdef double[LANES * GROUP] dots
    cdef real[GROUP] top
    cdef Py_ssize_t j, row
    cdef bint[GROUP] finite
    transpose(x, p, count, n)
    transpose(dp, gradient, count, n)
    exp_group(p, top, sums, n, shift)
    memset(dots, 0, sizeof(dots))
    for j in range(n):
        for row in range(GROUP):
            dots[j % LANES * GROUP + row] = multiply_add(
                <double>p[j * GROUP + row], <double>gradient[j * GROUP + row], dots[j % LANES * GROUP + row]
            )
    add_pairwise(dots)
    for row in range(GROUP):
        finite[row] = dots[row] - dots[row] == 0
    for row in range(GROUP):
        dots[row], sums[row] = dots[row] / sums[row], 1 / sums[row]
    for j in range(n):
        for row in range(GROUP):
            p[j * GROUP + row] = share(p[j * GROUP + row], gradient[j * GROUP + row], dots[row], sums[row])
    for row in range(count):
        if finite[row]:
            for j in range(n):
                out[row * n + j] = p[j * GROUP + row]
        else:
            gradient_row(x + row * n, dp + row * n, out + row * n, n, shift)


cdef void apply(
    int shift, const real* x, const real* dp, real* out, Py_ssize_t count, double columns, double other
) noexcept nogil:
    """Softmax of the rows in `count` elements, shifted or as the post has it, or the gradient where `dp` is given."""
    cdef Py_ssize_t n = <Py_ssize_t>columns, at = 0, rows = count // n
    while at < rows:
        if n <= NARROW and dp == NULL:
            softmax_group(x + at * n, out + at * n, min(GROUP, rows - at), n, shift)
        elif n <= NARROW:
            gradient_group(x + at * n, dp + at * n, out + at * n, min(GROUP, rows - at), n, shift)
        elif dp == NULL:
            softmax_row(x + at * n, out + at * n, n, shift)
        else:
            gradient_row(x + at * n, dp + at * n, out + at * n, n, shift)
        at += GROUP if n <= NARROW else 1


cdef ndarray run_softmax(ndarray x, ndarray dp, bint shift):
    return run(apply[float], apply[double], shift, x, dp, 0, EXP_WORK, True)


def softmax(X):
    """Softmax of each row, shifted by the row's maximum so that it never overflows.

    Parameters
    ----------
    X : array_like, shape (m, n)
        Logits; half and float32 keep their dtype, everything else computes in float64.

    Returns
    -------
    probs : ndarray, shape (m, n)
        Rows that sum to 1; all NaN where the row holds NaN, +inf, or nothing but -inf.
    cache : ndarray, shape (m, n)
        `X` itself (converted where it had to be).

    Raises
    ------
    TypeError
        If `X` does not hold floats of 16 to 64 bits, integers or booleans.
    ValueError
        If `X` is not two-dimensional.

    References
    ----------
    "R for Deep Learning (IV)", ``softmax``.

    Examples
    --------
    >>> probs, cache = cnnref.softmax([[0.0, 0.0], [0.0, np.log(3)]])
    >>> probs
    array([[0.5 , 0.5 ],
           [0.25, 0.75]])
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
        ``dX``. The dot product of each row is rounded to double for both dtypes.

    Raises
    ------
    TypeError
        If an argument does not hold floats of 16 to 64 bits, integers or booleans.
    ValueError
        If the shapes differ or are not two-dimensional.

    Examples
    --------
    >>> probs, cache = cnnref.softmax([[0.0, 0.0], [0.0, np.log(3)]])
    >>> cnnref.softmax_backward([[1, 0], [1, 0]], cache)
    array([[ 0.25  , -0.25  ],
           [ 0.1875, -0.1875]])
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
