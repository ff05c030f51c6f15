"""Logarithm of the softmax of rows and its gradient.

    l[i, j] = x[i, j] - max_k x[i, k] - log(sum_k exp(x[i, k] - max_k x[i, k]))
    dx[i, j] = dl[i, j] - exp(l[i, j]) sum_k dl[i, k]

The sum of exponentials is that of `softmax`, but always of shifted ones; its logarithm and the two differences are
computed in double for both dtypes, and rounded once. The gradient sums dl as `softmax` sums exponentials, which here
are those of `softmax`, and divides that sum by theirs, rather than each of them; in float32 the quotient is rounded
before it is used, in rows of more than 64 columns. A row with NaN or +inf, or of nothing but -inf, gives NaN; a single
-inf stays -inf; as in PyTorch.

Source: Blanchard, Higham & Higham 2021, "Accurately computing the log-sum-exp and softmax functions".
"""

cimport numpy as cnp
from libc.math cimport fabs
from libc.string cimport memset
from numpy cimport ndarray

from cnnref.checks.loss cimport check_softmax, check_softmax_backward
from cnnref.kernels.base.types cimport multiply_add, real
from cnnref.kernels.vmath.elementwise cimport run
from cnnref.kernels.vmath.scalar cimport log
from cnnref.kernels.vmath.softmax_row cimport ALWAYS, IF_FAR, LANES, NOTHING, VALUES, Sums, exp_row, in_double
from cnnref.kernels.vmath.softmax_short_rows cimport GROUP, NARROW, add_pairwise, exp_group, transpose

cnp.import_array()

cdef double EXP_WORK = 12  # operations for each element, as `team_size` counts them


cdef void row_alone(const real* x, const real* dl, real* out, Py_ssize_t n) noexcept nogil:
    """The logarithms of one row, or the gradient where `dl` is given."""
    cdef Sums sums
    cdef double sum
    cdef real quotient
    cdef Py_ssize_t i
    if dl == NULL:
        exp_row(x, dl, out, n, ALWAYS, NOTHING, &sums)
        sum = log(sums.exps)
        for i in range(n):
            out[i] = <real>((<double>x[i] - sums.top) - sum)
        return
    exp_row(x, dl, out, n, IF_FAR, VALUES, &sums)
    if real is float and sums.beside - sums.beside != 0:  # too large for float32, perhaps
        sums.beside = in_double(dl, <const real*>NULL, n)
    sum = sums.beside / sums.exps
    if real is float and 1e-30 < fabs(sum) < 1e38:  # a float32 with all its digits
        quotient = <real>sum
        for i in range(n):
            out[i] = multiply_add(-out[i], quotient, dl[i])
    else:
        for i in range(n):
            out[i] = <real>multiply_add(-<double>out[i], sum, <double>dl[i])


cdef void group(const real* x, const real* dl, real* out, Py_ssize_t count, Py_ssize_t n) noexcept nogil:
    """As `row_alone` for `count` rows at once, each in a lane of its own: the same operations."""
    cdef real[NARROW * GROUP] p
    cdef real[NARROW * GROUP] other
    cdef double[LANES * GROUP] sums
    cdef double[LANES * GROUP] parts
    cdef real[GROUP] top
    cdef Py_ssize_t j, row
    transpose(x, p, count, n)
    exp_group(p, top, sums, n, True)
    if dl == NULL:
        transpose(x, other, count, n)
        for row in range(count):
            sums[row] = log(sums[row])
        for j in range(n):
            for row in range(GROUP):
                p[j * GROUP + row] = <real>((<double>other[j * GROUP + row] - <double>top[row]) - sums[row])
    else:
        transpose(dl, other, count, n)
        memset(parts, 0, sizeof(parts))
        for j in range(n):
            for row in range(GROUP):
                parts[j % LANES * GROUP + row] += other[j * GROUP + row]
        add_pairwise(parts)
        for row in range(GROUP):
            parts[row] = parts[row] / sums[row]
        for j in range(n):
            for row in range(GROUP):
                p[j * GROUP + row] = <real>multiply_add(
                    -<double>p[j * GROUP + row], parts[row], <double>other[j * GROUP + row]
                )
    for row in range(count):
        for j in range(n):
            out[row * n + j] = p[j * GROUP + row]


cdef void apply(
    int function, const real* x, const real* dl, real* out, Py_ssize_t count, double columns, double other
) noexcept nogil:
    """The logarithms of the rows in `count` elements, or the gradient where `dl` is given; there is one function."""
    cdef Py_ssize_t n = <Py_ssize_t>columns, at = 0, rows = count // n
    while at < rows:
        if n <= NARROW:
            group(x + at * n, dl + at * n if dl != NULL else NULL, out + at * n, min(GROUP, rows - at), n)
            at += GROUP
        else:
            row_alone(x + at * n, dl + at * n if dl != NULL else NULL, out + at * n, n)
            at += 1


def log_softmax(X):
    """Logarithm of the softmax of each row, which never overflows and never takes the logarithm of 0.

    Parameters
    ----------
    X : array_like, shape (m, n)
        Logits; half and float32 keep their dtype, everything else computes in float64.

    Returns
    -------
    logp : ndarray, shape (m, n)
        Logarithms of probabilities, at most 0; all NaN where the row holds NaN, +inf, or nothing but -inf. Off by at
        most 1 ULP and what one unit roundoff is of 1.
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
    P. Blanchard, D. Higham and N. Higham, "Accurately computing the log-sum-exp and softmax functions", 2021.

    Examples
    --------
    >>> logp, cache = cnnref.log_softmax([[0.0, 0.0], [0.0, np.log(3)]])
    >>> logp
    array([[-0.6931, -0.6931],
           [-1.3863, -0.2877]])
    """
    cdef ndarray x = check_softmax(X, "log_softmax")
    return run(apply[float], apply[double], 0, x, None, 0, EXP_WORK, True), x


def log_softmax_backward(dlogp, cache):
    """Gradient of `log_softmax`.

    Parameters
    ----------
    dlogp : array_like, shape (m, n)
        Gradient with respect to the logarithms.
    cache : array_like, shape (m, n)
        ``X`` as `log_softmax` returned it.

    Returns
    -------
    ndarray, shape (m, n)
        ``dX = dlogp - softmax(X) * sum(dlogp)``, the sum over each row.

    Raises
    ------
    TypeError
        If an argument does not hold floats of 16 to 64 bits, integers or booleans.
    ValueError
        If the shapes differ or are not two-dimensional.

    Examples
    --------
    >>> logp, cache = cnnref.log_softmax([[0.0, 0.0], [0.0, np.log(3)]])
    >>> cnnref.log_softmax_backward([[1, 0], [1, 0]], cache)
    array([[ 0.5 , -0.5 ],
           [ 0.75, -0.75]])
    """
    cdef ndarray dl, x
    dl, x = check_softmax_backward(dlogp, cache, "log_softmax_backward", "dlogp")
    return run(apply[float], apply[double], 0, x, dl, 0, EXP_WORK, True)
