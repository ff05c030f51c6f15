"""Rows normalized by themselves, one pixel's channels each, and the gradients; the formulas are in ``row_norm.pyx``.

All is double, for every dtype, and each result is rounded once. A sum over a row runs in 16 accumulators, column j in
``j % 16``, which are added pairwise (8 apart, 4, 2, 1 apart). Sums over rows run in chunks of `chunk_rows`, one accumulator
for each column, row by row; those of chunks are added in the order of the chunks.
"""

from cython.parallel cimport prange
from libc.math cimport sqrt
from libc.stdlib cimport free
from libc.string cimport memset

from cnnref.kernels.base.half cimport AS_COMPUTED, Storage, put, taken
from cnnref.kernels.base.isa cimport always_inline
from cnnref.kernels.base.memory cimport allocate
from cnnref.kernels.base.types cimport multiply_add, real
from cnnref.kernels.vmath.softmax_row cimport LANES, total
from cnnref.threads cimport stopped, watch

cdef enum:
    CHUNK = 8192  # elements of a chunk: its rows stay in the nearest caches while they are read again
    LEAST = 32  # rows of a chunk, so that the sums of chunks are few

cdef enum Term:
    VALUE  # x
    SQUARE  # (x - center)^2
    SCALED  # g gamma
    PRODUCT  # g gamma (x - center)

cdef struct Norm:
    Storage storage
    Py_ssize_t rows
    Py_ssize_t channels
    double epsilon


cdef inline Py_ssize_t chunk_rows(Py_ssize_t channels) noexcept nogil:
    return max(<Py_ssize_t>LEAST, CHUNK // max(channels, <Py_ssize_t>1))


cdef inline Py_ssize_t chunks_of(const Norm* p) noexcept nogil:
    return (p.rows + chunk_rows(p.channels) - 1) // chunk_rows(p.channels)


cdef inline double added(
    const Term term, double sum, const real* x, const real* g, const real* gamma, double center, Py_ssize_t j
) noexcept nogil:
    """`sum` with the term of column j."""
    if term == VALUE:
        return sum + x[j]
    if term == SQUARE:
        return multiply_add(x[j] - center, x[j] - center, sum)
    if term == SCALED:
        return multiply_add(<double>g[j], <double>gamma[j], sum)
    return multiply_add(<double>g[j] * gamma[j], x[j] - center, sum)


cdef inline double row_sum(
    const Term term, const real* x, const real* g, const real* gamma, double center, Py_ssize_t n
) noexcept nogil:
    """The sum of a row's terms."""
    cdef double[LANES] sums
    cdef Py_ssize_t i, lane
    memset(sums, 0, sizeof(sums))
    for i in range(n // LANES):
        for lane in range(LANES):
            sums[lane] = added(term, sums[lane], x, g, gamma, center, i * LANES + lane)
    for lane in range(n % LANES):
        sums[lane] = added(term, sums[lane], x, g, gamma, center, n - n % LANES + lane)
    return total(sums)


cdef inline double moments(const Norm* p, const real* x, const bint centered, double* mean) noexcept nogil:
    """``1 / sqrt(variance + epsilon)`` of a row, and its mean, which is 0 where it is not `centered`."""
    cdef Py_ssize_t n = p.channels
    mean[0] = row_sum(VALUE, x, x, x, 0, n) / n if centered else 0
    return 1 / sqrt(row_sum(SQUARE, x, x, x, mean[0], n) / n + p.epsilon)


cdef inline void forward_row(
    const Norm* p, const real* x, const real* gamma, const real* beta, real* out, const bint centered
) noexcept nogil:
    cdef double mean, inverse = moments(p, x, centered, &mean)
    cdef Py_ssize_t j
    for j in range(p.channels):
        if centered:
            out[j] = <real>multiply_add((x[j] - mean) * inverse, <double>gamma[j], <double>beta[j])
        else:
            out[j] = <real>(x[j] * inverse * gamma[j])


cdef inline void backward_row(
    const Norm* p, const real* x, const real* g, const real* gamma, real* out, double* dgamma, double* dbeta,
    const bint centered
) noexcept nogil:
    """A row of the gradient; what it adds to those of gamma and beta."""
    cdef double mean, normal, inverse = moments(p, x, centered, &mean)
    cdef Py_ssize_t j, n = p.channels
    cdef double through_mean = row_sum(SCALED, x, g, gamma, mean, n) / n if centered else 0
    cdef double through_spread = row_sum(PRODUCT, x, g, gamma, mean, n) * inverse / n
    for j in range(n):
        normal = (x[j] - mean) * inverse
        out[j] = <real>(multiply_add(-normal, through_spread, <double>g[j] * gamma[j] - through_mean) * inverse)
    for j in range(n):
        dgamma[j] = multiply_add(<double>g[j], (x[j] - mean) * inverse, dgamma[j])
        if centered:
            dbeta[j] += g[j]


cdef inline int one_chunk(
    const Norm* p, const real* x, const real* g, const real* gamma, const real* beta, real* out, double* sums,
    Py_ssize_t chunk, const bint centered
) noexcept nogil:
    """Forward, or backward where there is `g`: the sums for gamma, then those for beta; -1 if there is no memory."""
    cdef Py_ssize_t n = p.channels, at = chunk * chunk_rows(n) * n, row
    cdef Py_ssize_t count = min(chunk_rows(n), p.rows - chunk * chunk_rows(n))
    cdef real* memory = NULL
    cdef real* to
    if p.storage == AS_COMPUTED:
        to = out + at
    else:
        memory = <real*>allocate(3 * count * n, sizeof(real))
        if memory == NULL:
            return -1
        to = memory + 2 * count * n
    x = taken(p.storage, x, at, count * n, memory)
    if g == NULL:
        for row in range(count):
            forward_row(p, x + row * n, gamma, beta, to + row * n, centered)
    else:
        g = taken(p.storage, g, at, count * n, memory + count * n)
        memset(sums, 0, 2 * n * sizeof(double))
        for row in range(count):
            backward_row(p, x + row * n, g + row * n, gamma, to + row * n, sums, sums + n, centered)
    if p.storage != AS_COMPUTED:
        put(p.storage, to, out, at, count * n)
        free(memory)
    return 0


cdef inline int all_chunks(
    const Norm* p, const real* x, const real* g, const real* gamma, const real* beta, real* out, double* sums,
    const bint centered, int threads
) noexcept nogil:
    """`one_chunk` of each, ``2 channels`` of `sums` for each; -1 if there is no memory, or the call is to stop."""
    cdef Py_ssize_t chunk, chunks = chunks_of(p)
    cdef int status = 0
    cdef const int* watched = watch()
    for chunk in prange(chunks, num_threads=threads, use_threads_if=threads > 1, schedule="static"):
        if stopped(watched):
            status += -1
        else:
            status += one_chunk(
                p, x, g, gamma, beta, out, sums + chunk * 2 * p.channels if g != NULL else NULL, chunk, centered
            )
    return status


cdef inline int forward_all(
    const Norm* p, const real* x, const real* gamma, const real* beta, real* out, int threads
) noexcept nogil:
    """Layer norm, or without `beta` RMS norm."""
    if beta != NULL:
        return all_chunks(p, x, <const real*>NULL, gamma, beta, out, <double*>NULL, True, threads)
    return all_chunks(p, x, <const real*>NULL, gamma, beta, out, <double*>NULL, False, threads)


cdef inline int backward_all(
    const Norm* p, const real* x, const real* g, const real* gamma, real* out, real* dgamma, real* dbeta, int threads
) noexcept nogil:
    """The gradients of layer norm, or without `dbeta` those of RMS norm."""
    cdef Py_ssize_t chunk, c, n = p.channels, chunks = chunks_of(p)
    cdef double* sums = <double*>allocate(2 * n * (chunks + 1), sizeof(double))
    cdef double* those
    cdef int status
    if sums == NULL:
        return -1
    if dbeta != NULL:
        status = all_chunks(p, x, g, gamma, gamma, out, sums, True, threads)
    else:
        status = all_chunks(p, x, g, gamma, gamma, out, sums, False, threads)
    if status == 0:
        those = sums + 2 * n * chunks
        memset(those, 0, 2 * n * sizeof(double))
        for chunk in range(chunks):
            for c in range(2 * n):
                those[c] += sums[chunk * 2 * n + c]
        for c in range(n):
            dgamma[c] = <real>those[c]
            if dbeta != NULL:
                dbeta[c] = <real>those[n + c]
    free(sums)
    return status
