"""Batch normalization: statistics of a batch, what is applied to each element, and the gradients.

The formulas, and which of them is computed in double, are in ``batch_norm.pyx``.
"""

from cython.parallel cimport prange
from libc.math cimport NAN, sqrt
from libc.stdlib cimport free

from cnnref._memory cimport allocate
from cnnref._moments cimport PRODUCT, SQUARE, VALUE, chunk_rows, chunk_sums
from cnnref._types cimport multiply_add, real
from cnnref.threads cimport pieces, stopped, watch

cdef enum:
    RUN = 64  # elements of a run of whole pixels, at least

cdef inline void chunk_moments(
    const real* x, Py_ssize_t rows, Py_ssize_t channels, Py_ssize_t chunk, double* means, double* squares
) noexcept nogil:
    """One chunk's means, and its sums of squares about them."""
    cdef Py_ssize_t size = chunk_rows(channels)
    cdef Py_ssize_t count = min(size, rows - chunk * size), c
    x += chunk * size * channels
    means += chunk * channels
    squares += chunk * channels
    chunk_sums(VALUE, x, x, means, count, channels, means, means)
    for c in range(channels):
        means[c] = means[c] / count
    chunk_sums(SQUARE, x, x, means, count, channels, squares, squares)


cdef inline int batch_moments(
    const real* x, Py_ssize_t rows, Py_ssize_t channels, double* mean, double* variance, int threads
) noexcept nogil:
    """Mean and biased variance of each channel; -1 if there is no memory, or the call is to stop."""
    cdef Py_ssize_t size = chunk_rows(channels)
    cdef Py_ssize_t chunks = (rows + size - 1) // size
    cdef Py_ssize_t chunk, c, count
    cdef int status = 0
    cdef double* sums = <double*>allocate(2 * chunks * channels + 1, sizeof(double))
    cdef double* squares = sums + chunks * channels
    cdef double apart
    cdef const int* watched = watch()
    if sums == NULL:
        return -1
    if threads == 1 and chunks == 1:
        chunk_moments(x, rows, channels, 0, sums, squares)
    else:
        for chunk in prange(chunks, num_threads=threads, use_threads_if=threads > 1, schedule="static"):
            if stopped(watched):
                status += -1
            else:
                chunk_moments(x, rows, channels, chunk, sums, squares)
    if status < 0:
        free(sums)
        return -1
    for c in range(channels):
        mean[c] = variance[c] = 0
    for chunk in range(chunks):
        count = min(size, rows - chunk * size)
        for c in range(channels):
            mean[c] = multiply_add(sums[chunk * channels + c], <double>count, mean[c])
    for c in range(channels):
        mean[c] = mean[c] / rows if rows > 0 else NAN
    for chunk in range(chunks):
        count = min(size, rows - chunk * size)
        for c in range(channels):
            apart = sums[chunk * channels + c] - mean[c]
            variance[c] = multiply_add(apart * count, apart, variance[c] + squares[chunk * channels + c])
    for c in range(channels):
        variance[c] = variance[c] / rows if rows > 0 else NAN
    free(sums)
    return 0


cdef inline void chunk_products(
    const real* x, const real* g, const double* mean, Py_ssize_t rows, Py_ssize_t channels, Py_ssize_t chunk,
    double* sums, double* products
) noexcept nogil:
    """The sums of one chunk."""
    cdef Py_ssize_t size = chunk_rows(channels)
    cdef Py_ssize_t at = chunk * size * channels
    chunk_sums(
        PRODUCT, x + at, g + at, mean, min(size, rows - chunk * size), channels, products + chunk * channels,
        sums + chunk * channels,
    )


cdef inline int gradient_sums(
    const real* x, const real* g, const double* mean, Py_ssize_t rows, Py_ssize_t channels,
    double* sum, double* product, int threads
) noexcept nogil:
    """``sum dA`` and ``sum dA (x - mean)`` of each channel; -1 if there is no memory, or the call is to stop."""
    cdef Py_ssize_t size = chunk_rows(channels)
    cdef Py_ssize_t chunks = (rows + size - 1) // size
    cdef Py_ssize_t chunk, c
    cdef int status = 0
    cdef double* sums = <double*>allocate(2 * chunks * channels + 1, sizeof(double))
    cdef double* products = sums + chunks * channels
    cdef const int* watched = watch()
    if sums == NULL:
        return -1
    if threads == 1 and chunks == 1:
        chunk_products(x, g, mean, rows, channels, 0, sums, products)
    else:
        for chunk in prange(chunks, num_threads=threads, use_threads_if=threads > 1, schedule="static"):
            if stopped(watched):
                status += -1
            else:
                chunk_products(x, g, mean, rows, channels, chunk, sums, products)
    if status < 0:
        free(sums)
        return -1
    for c in range(channels):
        sum[c] = product[c] = 0
    for chunk in range(chunks):
        for c in range(channels):
            sum[c] += sums[chunk * channels + c]
            product[c] += products[chunk * channels + c]
    free(sums)
    return 0


cdef inline void normalize_run(
    const real* x, const real* table, real* out, Py_ssize_t n, Py_ssize_t whole
) noexcept nogil:
    """The tables, of `whole` elements each: mean, what is missing from it, factor, offset."""
    cdef Py_ssize_t i
    for i in range(n):
        out[i] = multiply_add(
            (x[i] - table[i]) - table[whole + i], table[2 * whole + i], table[3 * whole + i]
        )


cdef inline void gradient_run(
    const real* x, const real* g, const real* table, real* out, Py_ssize_t n, Py_ssize_t whole
) noexcept nogil:
    """The tables, of `whole` elements each: mean, ``r^2 S/N``, ``gamma r``, ``dbeta/N``."""
    cdef Py_ssize_t i
    for i in range(n):
        out[i] = table[2 * whole + i] * multiply_add(
            -(x[i] - table[i]), table[whole + i], g[i] - table[3 * whole + i]
        )


cdef inline void scaled_run(const real* g, const real* table, real* out, Py_ssize_t n, Py_ssize_t whole) noexcept nogil:
    """As `gradient_run` where the statistics do not depend on the batch."""
    cdef Py_ssize_t i
    for i in range(n):
        out[i] = table[2 * whole + i] * g[i]


cdef inline void some_elements(
    const real* x, const real* g, const real* table, real* out, Py_ssize_t n, Py_ssize_t whole, Py_ssize_t begin,
    Py_ssize_t end
) noexcept nogil:
    """Runs of `whole` elements from `begin` to `end`, of n elements."""
    cdef Py_ssize_t run, at
    for run in range(begin, end):
        at = run * whole
        if g == NULL:
            normalize_run(x + at, table, out + at, min(whole, n - at), whole)
        elif x == NULL:
            scaled_run(g + at, table, out + at, min(whole, n - at), whole)
        else:
            gradient_run(x + at, g + at, table, out + at, min(whole, n - at), whole)


cdef inline int per_element(
    const real* x, const real* g, const double* channel, real* out, Py_ssize_t rows, Py_ssize_t channels, int threads
) noexcept nogil:
    """Apply four numbers per channel to each element, in runs of whole pixels: forward without `g`, the gradient in
    inference without `x`, else that in training.
    """
    cdef Py_ssize_t pixels = max(<Py_ssize_t>1, RUN // max(channels, <Py_ssize_t>1))
    cdef Py_ssize_t whole = pixels * channels
    cdef Py_ssize_t n = rows * channels
    cdef Py_ssize_t runs, part, i, parts = pieces(2 * n, threads)
    cdef int status = 0
    cdef const int* watched = watch()
    cdef real* table = <real*>allocate(4 * whole + 1, sizeof(real))
    if table == NULL:
        return -1
    for i in range(4 * whole):
        table[i] = <real>channel[i // whole * channels + i % whole % channels] if channels > 0 else 0
    runs = (n + whole - 1) // whole if whole > 0 else 0
    if parts == 1:
        some_elements(x, g, table, out, n, whole, 0, runs)
    else:
        for part in prange(parts, num_threads=threads, use_threads_if=threads > 1, schedule="static"):
            if stopped(watched):
                status += -1
            else:
                some_elements(x, g, table, out, n, whole, runs * part // parts, runs * (part + 1) // parts)
    free(table)
    return status


cdef inline int forward_all(
    const real* x, const real* gamma, const real* beta, const real* running_mean, const real* running_var,
    double* work, real* out, Py_ssize_t rows, Py_ssize_t channels, double epsilon, bint training, int threads
) noexcept nogil:
    """`work` is left with the mean and the variance of each channel first."""
    cdef double* mean = work
    cdef double* variance = work + channels
    cdef double* table = work + 2 * channels
    cdef Py_ssize_t c
    if training:
        if batch_moments(x, rows, channels, mean, variance, threads) < 0:
            return -1
    else:
        for c in range(channels):
            mean[c] = running_mean[c]
            variance[c] = running_var[c]
    for c in range(channels):
        table[c] = mean[c]
        table[channels + c] = mean[c] - <double>(<real>mean[c])
        table[2 * channels + c] = gamma[c] / sqrt(variance[c] + epsilon)
        table[3 * channels + c] = beta[c]
    return per_element(x, <const real*>NULL, table, out, rows, channels, threads)


cdef inline int backward_all(
    const real* x, const real* g, const real* gamma, const real* mean, const real* variance, double* work, real* out,
    real* dgamma, real* dbeta, Py_ssize_t rows, Py_ssize_t channels, double epsilon, bint training, int threads
) noexcept nogil:
    cdef double* center = work
    cdef double* sum = work + channels
    cdef double* product = work + 2 * channels
    cdef double* table = work + 3 * channels
    cdef double inverse
    cdef Py_ssize_t c
    for c in range(channels):
        center[c] = mean[c]
    if gradient_sums(x, g, center, rows, channels, sum, product, threads) < 0:
        return -1
    for c in range(channels):
        inverse = 1 / sqrt(variance[c] + epsilon)
        dbeta[c] = <real>sum[c]
        dgamma[c] = <real>(product[c] * inverse) if rows > 0 else 0
        table[c] = center[c]
        table[channels + c] = product[c] * inverse * inverse / rows
        table[2 * channels + c] = gamma[c] * inverse
        table[3 * channels + c] = sum[c] / rows
    return per_element(x if training else <const real*>NULL, g, table, out, rows, channels, threads)


cdef inline void updated(
    const real* old_mean, const real* old_variance, const double* moments, real* new_mean, real* new_variance,
    Py_ssize_t rows, Py_ssize_t channels, double momentum, bint training
) noexcept nogil:
    """The running statistics after a batch in training; as they were after an empty one and in inference."""
    cdef double unbiased = <double>rows / <double>(rows - 1)
    cdef Py_ssize_t c
    for c in range(channels):
        if rows == 0 or not training:
            new_mean[c], new_variance[c] = old_mean[c], old_variance[c]
        else:
            new_mean[c] = <real>((1 - momentum) * old_mean[c] + momentum * moments[c])
            new_variance[c] = <real>(
                (1 - momentum) * old_variance[c] + momentum * (moments[channels + c] * unbiased)
            )
