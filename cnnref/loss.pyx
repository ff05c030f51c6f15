"""Softmax, cross entropy and their gradients, on rows.

    softmax:        p[i, j] = exp(x[i, j] - max_k x[i, k]) / sum_k exp(x[i, k] - max_k x[i, k])
    its gradient:   dx[i, j] = p[i, j] * (dp[i, j] - sum_k p[i, k] dp[i, k])
    cross entropy:  loss = -(1/m) sum_i log(AL[i, y_i])
    its gradient:   dAL[i, y_i] = (-1/m) / AL[i, y_i], and 0 elsewhere
    both together:  dx = (p - onehot(y)) / m

Order of summation, the same for every thread count, batch and instruction set. Sums over a row run in 16 double
accumulators, column j in accumulator ``j % 16``, which are then added pairwise (8 apart, 4, 2, 1 apart);
for the gradient of softmax by fused multiply-adds. The loss is a double sum over chunks of 256 rows in
order, whatever the dtype of AL; ``log(AL)`` is that of the value as a double. A row with NaN or +inf gives NaN, as in PyTorch.

Source: "R for Deep Learning (IV)", ``softmax``, ``cross_entropy_cost``; the gradients are not in the post.
"""

cimport numpy as cnp
from cython.parallel cimport prange
from libc.math cimport INFINITY
from libc.stdlib cimport free
from numpy cimport ndarray

from cnnref._arrays cimport empty, single, zeros
from cnnref._check_elements cimport (
    check_cross_entropy_cache, check_cross_entropy_cost, check_softmax, check_softmax_backward,
)
from cnnref._elementary cimport exp, exp_nonpositive, log
from cnnref._memory cimport allocate
from cnnref._types cimport multiply_add, real
from cnnref.threads cimport team_size

from cnnref.caches import CrossEntropyCache

cnp.import_array()

cdef enum:
    LANES = 16
    BLOCK = 2048  # elements that stay in the first-level cache between the passes over them
    CHUNK = 256  # rows whose losses are added up first

cdef double EXP_WORK = 12  # operations for each element, as `team_size` counts them
cdef object new_tuple = tuple.__new__


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


cdef double chunk_loss(const real* al, const cnp.npy_intp* y, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t n) noexcept nogil:
    cdef double loss = 0
    cdef Py_ssize_t row
    for row in range(begin, end):
        loss -= log(al[row * n + y[row]])
    return loss


cdef double mean_loss(const real* al, const cnp.npy_intp* y, Py_ssize_t m, Py_ssize_t n, int threads) noexcept nogil:
    """The loss; -1 if memory runs out (only the logarithm of a number above e^m gives a loss below -1)."""
    cdef Py_ssize_t chunks = (m + CHUNK - 1) // CHUNK
    cdef Py_ssize_t chunk
    cdef double loss = 0
    cdef double* partial
    if threads == 1:
        for chunk in range(chunks):
            loss += chunk_loss(al, y, chunk * CHUNK, min((chunk + 1) * CHUNK, m), n)
        return loss / m
    partial = <double*>allocate(chunks, sizeof(double))
    if partial == NULL:
        return mean_loss(al, y, m, n, 1)
    for chunk in prange(chunks, num_threads=threads, schedule="static"):
        partial[chunk] = chunk_loss(al, y, chunk * CHUNK, min((chunk + 1) * CHUNK, m), n)
    for chunk in range(chunks):
        loss += partial[chunk]
    free(partial)
    return loss / m


cdef void loss_gradient(const real* al, const cnp.npy_intp* index, real* dal, Py_ssize_t m, Py_ssize_t n) noexcept nogil:
    cdef double share = -1.0 / <double>m
    cdef Py_ssize_t row, i
    for row in range(m):
        i = row * n + index[2 * row + 1]
        dal[i] = <real>(share / al[i])


cdef void logit_gradient(
    const real* al, const cnp.npy_intp* index, real* dx, Py_ssize_t m, Py_ssize_t n, int threads
) noexcept nogil:
    cdef Py_ssize_t part, begin, end, i
    for part in prange(threads, num_threads=threads, use_threads_if=threads > 1, schedule="static"):
        begin = m * part // threads
        end = m * (part + 1) // threads
        for i in range(begin * n, end * n):
            dx[i] = al[i] / <real>m
        for i in range(begin, end):
            dx[i * n + index[2 * i + 1]] = (al[i * n + index[2 * i + 1]] - 1) / <real>m


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


def cross_entropy_cost(AL, Y, batch_size=None):
    """Mean cross entropy of probabilities and class indices.

    Parameters
    ----------
    AL : array_like, shape (m, n)
        Probabilities of each class.
    Y : array_like of int, shape (m,) or (m, 1)
        Class indices from 0 to n - 1.
    batch_size : int, optional
        The number of rows m, where given.

    Returns
    -------
    loss : float
        ``-(1/m) sum_i log(AL[i, Y[i]])``; inf where a probability is 0, NaN for an empty batch.
    cache : CrossEntropyCache
        `AL` and `Y_index`, an (m, 2) array of (row, column).

    Raises
    ------
    TypeError
        If `AL` does not hold float32, float64, integers or booleans, or `Y` or `batch_size` no integers.
    ValueError
        If a shape is wrong, a class index is out of range, or `batch_size` is not the number of rows.

    References
    ----------
    "R for Deep Learning (IV)", ``cross_entropy_cost``.
    """
    cdef ndarray al, y, index
    cdef cnp.npy_intp[2] shape
    cdef Py_ssize_t row, n
    cdef cnp.npy_intp* pairs
    cdef cnp.npy_intp* columns
    cdef void* al_data
    cdef bint is_single
    cdef int threads
    cdef double loss
    al, y = check_cross_entropy_cost(AL, Y, batch_size)
    shape[0], shape[1], n = al.shape[0], 2, al.shape[1]
    index = cnp.PyArray_EMPTY(2, shape, cnp.NPY_INTP, 0)
    pairs = <cnp.npy_intp*>cnp.PyArray_DATA(index)
    columns = <cnp.npy_intp*>cnp.PyArray_DATA(y)
    al_data = cnp.PyArray_DATA(al)
    is_single = single(al)
    threads = team_size(shape[0] * 40.0)
    with nogil:
        for row in range(shape[0]):
            pairs[2 * row] = row
            pairs[2 * row + 1] = columns[row]
        if is_single:
            loss = mean_loss(<const float*>al_data, columns, shape[0], n, threads)
        else:
            loss = mean_loss(<const double*>al_data, columns, shape[0], n, threads)
    return loss, new_tuple(CrossEntropyCache, (al, index))


def cross_entropy_backward(cache):
    """Gradient of `cross_entropy_cost` with respect to the probabilities.

    Parameters
    ----------
    cache : CrossEntropyCache
        As `cross_entropy_cost` returned it; or a tuple or mapping with its fields.

    Returns
    -------
    ndarray, shape (m, n)
        ``dAL``: ``(-1/m) / AL`` at each label (computed in double, then rounded), 0 elsewhere.

    Raises
    ------
    TypeError
        If `cache` is no such cache, or holds arrays of a wrong type.
    ValueError
        If a field is missing or has a wrong shape, or `Y_index` does not hold each row in order with a column
        in range.
    """
    cdef ndarray al, index, out
    al, index = check_cross_entropy_cache("cross_entropy_backward", cache)
    out = zeros(al, 2, cnp.PyArray_DIMS(al))
    cdef Py_ssize_t m = al.shape[0]
    cdef Py_ssize_t n = al.shape[1]
    cdef const cnp.npy_intp* pairs = <cnp.npy_intp*>cnp.PyArray_DATA(index)
    cdef void* al_data = cnp.PyArray_DATA(al)
    cdef void* out_data = cnp.PyArray_DATA(out)
    cdef bint is_single = single(al)
    with nogil:
        if is_single:
            loss_gradient(<const float*>al_data, pairs, <float*>out_data, m, n)
        else:
            loss_gradient(<const double*>al_data, pairs, <double*>out_data, m, n)
    return out


def softmax_cross_entropy_backward(cache):
    """Gradient of `cross_entropy_cost` of `softmax` with respect to the logits.

    Parameters
    ----------
    cache : CrossEntropyCache
        As `cross_entropy_cost` returned it for the output of `softmax`; or a tuple or mapping with its fields.

    Returns
    -------
    ndarray, shape (m, n)
        ``dX = (probs - onehot) / m``.

    Raises
    ------
    TypeError
        If `cache` is no such cache, or holds arrays of a wrong type.
    ValueError
        If a field is missing or has a wrong shape, or `Y_index` does not hold each row in order with a column
        in range.
    """
    cdef ndarray al, index, out
    al, index = check_cross_entropy_cache("softmax_cross_entropy_backward", cache)
    out = empty(al, 2, cnp.PyArray_DIMS(al))
    cdef Py_ssize_t m = al.shape[0]
    cdef Py_ssize_t n = al.shape[1]
    cdef int threads = team_size(<double>m * n)
    cdef const cnp.npy_intp* pairs = <cnp.npy_intp*>cnp.PyArray_DATA(index)
    cdef void* al_data = cnp.PyArray_DATA(al)
    cdef void* out_data = cnp.PyArray_DATA(out)
    cdef bint is_single = single(al)
    with nogil:
        if is_single:
            logit_gradient(<const float*>al_data, pairs, <float*>out_data, m, n, threads)
        else:
            logit_gradient(<const double*>al_data, pairs, <double*>out_data, m, n, threads)
    return out
