"""Batch normalization: statistics of a batch, what is applied to each element, and the gradients.

The formulas, and which of them is computed in double, are in ``batch_norm.pyx``.
"""

from cython.parallel cimport prange
from libc.math cimport NAN, sqrt
from libc.stdlib cimport free

from cnnref.kernels.base.half cimport AS_COMPUTED, Storage, size_of, taken
from cnnref.kernels.base.memory cimport allocate
from cnnref.kernels.base.nontemporal cimport past_caches
from cnnref.kernels.base.types cimport multiply_add, real
from cnnref.kernels.reduce.channel_affine cimport apply_runs, at_row, in_double, per_element, run_length, table_of
from cnnref.kernels.reduce.channel_sums cimport PRODUCT, SQUARE, VALUE, chunk_rows, chunk_sums
from cnnref.threads cimport stopped, watch


cdef inline real* room_for(Storage storage, int arrays, Py_ssize_t rows, Py_ssize_t channels, real kind) noexcept nogil:
    """Memory to widen a chunk of each array in, if they are half; NULL where there is none, and where none is needed."""
    if storage == AS_COMPUTED:
        return NULL
    return <real*>allocate(arrays * min(chunk_rows(channels), rows) * channels, sizeof(real))


cdef inline int chunk_moments(
    Storage storage, const real* x, Py_ssize_t rows, Py_ssize_t channels, Py_ssize_t chunk, double* means, double* squares
) noexcept nogil:
    """One chunk's means, and its sums of squares about them; -1 if there is no memory."""
    cdef Py_ssize_t size = chunk_rows(channels)
    cdef Py_ssize_t count = min(size, rows - chunk * size), c
    cdef real* memory = room_for(storage, 1, rows, channels, <real>0)
    if storage != AS_COMPUTED and memory == NULL:
        return -1
    x = taken(storage, x, chunk * size * channels, count * channels, memory)
    means += chunk * channels
    squares += chunk * channels
    chunk_sums(VALUE, x, x, means, count, channels, means, means)
    for c in range(channels):
        means[c] = means[c] / count
    chunk_sums(SQUARE, x, x, means, count, channels, squares, squares)
    free(memory)
    return 0


cdef inline int batch_moments(
    Storage storage, const real* x, Py_ssize_t rows, Py_ssize_t channels, double* mean, double* variance, int threads
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
        status = chunk_moments(storage, x, rows, channels, 0, sums, squares)
    else:
        for chunk in prange(chunks, num_threads=threads, use_threads_if=threads > 1, schedule="static"):
            if stopped(watched):
                status += -1
            else:
                status += chunk_moments(storage, x, rows, channels, chunk, sums, squares)
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


cdef inline void zero_above(const real* x, const real* values, real* out, Py_ssize_t n) noexcept nogil:
    """`values`, but 0 where x is above 0, which of a product both factors have to be: either may be infinite."""
    cdef Py_ssize_t i
    for i in range(n):
        out[i] = <real>0 if x[i] > 0 else values[i]


cdef inline int chunk_products(
    bint leaky, Storage storage, const real* x, const real* g, const double* mean, Py_ssize_t rows, Py_ssize_t channels,
    Py_ssize_t chunk, double* sums, double* products, const real* table, real* out, bint streamed
) noexcept nogil:
    """The sums of one chunk; its gradient too, where there is a `table`: in inference, of `leaky`. -1 if there is no memory."""
    cdef Py_ssize_t size = chunk_rows(channels)
    cdef Py_ssize_t at = chunk * size * channels
    cdef Py_ssize_t count = min(size, rows - chunk * size)
    cdef Py_ssize_t whole = run_length(channels)
    cdef real* memory = room_for(storage, 2, rows, channels, <real>0)
    cdef real* left = NULL
    cdef const real* x_chunk
    cdef const real* g_chunk
    if leaky:
        left = <real*>allocate(2 * count * channels, sizeof(real))
    if (storage != AS_COMPUTED and memory == NULL) or (leaky and left == NULL):
        free(memory)
        free(left)
        return -1
    x_chunk = taken(storage, x, at, count * channels, memory)
    g_chunk = taken(storage, g, at, count * channels, memory + count * channels)
    if leaky:
        zero_above(x_chunk, g_chunk, left + count * channels, count * channels)
        zero_above(x_chunk, x_chunk, left, count * channels)
        x_chunk, g_chunk = left, left + count * channels
    chunk_sums(
        PRODUCT, x_chunk, g_chunk, mean, count, channels, products + chunk * channels, sums + chunk * channels
    )
    free(memory)
    free(left)
    if table != NULL and whole > 0:
        at = chunk * size
        apply_runs(
            leaky, storage, at_row(storage, x, at, channels) if leaky else <const real*>NULL,
            at_row(storage, g, at, channels), table,
            <real*>at_row(storage, out, at, channels), count * channels, whole, 0,
            (count * channels + whole - 1) // whole, streamed,
        )
    return 0


cdef inline int gradient_sums(
    bint leaky, Storage storage, const real* x, const real* g, const double* mean, Py_ssize_t rows, Py_ssize_t channels,
    double* sum, double* product, const real* table, real* out, int threads, bint streamed
) noexcept nogil:
    """``sum dA`` and ``sum dA (x - mean)`` of each channel, `leaky` where x is not above 0; -1 if there is no memory, or the
    call is to stop.

    Where there is a `table`, in inference and `leaky`, the gradient of `x` too: it does not wait for the sums.
    """
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
        status = chunk_products(leaky, storage, x, g, mean, rows, channels, 0, sums, products, table, out, streamed)
    else:
        for chunk in prange(chunks, num_threads=threads, use_threads_if=threads > 1, schedule="static"):
            if stopped(watched):
                status += -1
            else:
                status += chunk_products(
                    leaky, storage, x, g, mean, rows, channels, chunk, sums, products, table, out, streamed
                )
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


cdef inline int forward_all(
    Storage storage, const real* x, const real* gamma, const real* beta, const real* running_mean, const real* running_var,
    double* work, real* out, Py_ssize_t rows, Py_ssize_t channels, double epsilon, bint training, int threads
) noexcept nogil:
    """`work` is left with the mean and the variance of each channel first."""
    cdef double* mean = work
    cdef double* variance = work + channels
    cdef double* numbers = work + 2 * channels
    cdef bint streamed = past_caches(2.0 * rows * channels * size_of(storage, <real>0), threads)
    cdef Py_ssize_t c
    if training:
        if batch_moments(storage, x, rows, channels, mean, variance, threads) < 0:
            return -1
    else:
        for c in range(channels):
            mean[c] = running_mean[c]
            variance[c] = running_var[c]
    for c in range(channels):
        numbers[c] = mean[c]
        numbers[channels + c] = mean[c] - <double>(<real>mean[c])
        numbers[2 * channels + c] = gamma[c] / sqrt(variance[c] + epsilon)
        numbers[3 * channels + c] = beta[c]
    return every_element(storage, x, <const real*>NULL, numbers, variance, out, rows, channels, threads, streamed)


cdef inline int backward_all(
    Storage storage, const real* x, const real* g, const real* gamma, const double* mean, const double* variance, double* work,
    real* out, real* dgamma, real* dbeta, Py_ssize_t rows, Py_ssize_t channels, double epsilon, bint training,
    int threads
) noexcept nogil:
    cdef double* sum = work
    cdef double* product = work + channels
    cdef double* numbers = work + 2 * channels
    cdef double inverse, rest
    cdef bint streamed = past_caches(3.0 * rows * channels * size_of(storage, <real>0), threads)
    cdef real* table = NULL
    cdef Py_ssize_t c
    cdef int status
    for c in range(channels):
        numbers[c] = mean[c]
        numbers[channels + c] = numbers[3 * channels + c] = 0
        numbers[2 * channels + c] = gamma[c] * (1 / sqrt(variance[c] + epsilon))
    if not training:
        table = table_of(numbers, channels, <real>0)
        if table == NULL:
            return -1
    status = gradient_sums(False, storage, x, g, mean, rows, channels, sum, product, table, out, threads, streamed)
    free(table)
    if status < 0:
        return -1
    for c in range(channels):
        inverse = 1 / sqrt(variance[c] + epsilon)
        dbeta[c] = <real>sum[c]
        dgamma[c] = <real>(product[c] * inverse) if rows > 0 else 0
        numbers[channels + c] = product[c] * inverse * inverse / rows
        numbers[3 * channels + c] = sum[c] / rows
        # The run subtracts the mean as the dtype has it: here is what that leaves.
        rest = mean[c] - <double>(<real>mean[c])
        if rest != 0:
            numbers[3 * channels + c] -= rest * numbers[channels + c]
    if not training:
        return in_double(storage, <const real*>NULL, g, numbers, variance, out, rows, channels)
    return every_element(storage, x, g, numbers, variance, out, rows, channels, threads, streamed)


cdef inline int every_element(
    Storage storage, const real* x, const real* g, const double* numbers, const double* variance, real* out, Py_ssize_t rows,
    Py_ssize_t channels, int threads, bint streamed
) noexcept nogil:
    """`per_element`, then `in_double`; -1 if there is no memory, or the call is to stop."""
    cdef real* table = table_of(numbers, channels, <real>0)
    cdef int status
    if table == NULL:
        return -1
    status = per_element(False, storage, x, g, table, out, rows, channels, threads, streamed)
    free(table)
    return status if status < 0 else in_double(storage, x, g, numbers, variance, out, rows, channels)


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
