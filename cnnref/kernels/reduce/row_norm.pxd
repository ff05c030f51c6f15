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
    TOGETHER = 16  # rows that wait for their sums together

cdef enum Term:
    VALUE  # x
    SQUARE  # (x - center)^2
    PRODUCT  # g gamma (x - center), and g gamma

cdef struct Norm:
    Storage storage
    Py_ssize_t rows
    Py_ssize_t channels
    double epsilon


cdef inline Py_ssize_t chunk_rows(Py_ssize_t channels) noexcept nogil:
    return max(<Py_ssize_t>LEAST, CHUNK // max(channels, <Py_ssize_t>1))


cdef inline Py_ssize_t chunks_of(const Norm* p) noexcept nogil:
    return (p.rows + chunk_rows(p.channels) - 1) // chunk_rows(p.channels)


cdef inline always_inline add(
    const Term term, const int lanes, const real* x, const real* g, const real* gamma, double center, double* sums,
    double* others
) noexcept nogil:
    """Add `lanes` columns, each to its accumulator."""
    cdef int lane
    for lane in range(lanes):
        if term == VALUE:
            sums[lane] += x[lane]
        elif term == SQUARE:
            sums[lane] = multiply_add(x[lane] - center, x[lane] - center, sums[lane])
        else:
            others[lane] += <double>g[lane] * gamma[lane]
            sums[lane] = multiply_add(<double>g[lane] * gamma[lane], x[lane] - center, sums[lane])


cdef inline always_inline row_sum(
    const Term term, const real* x, const real* g, const real* gamma, double center, Py_ssize_t n, double* sum, double* other
) noexcept nogil:
    """The sum of a row's terms; for PRODUCT that of ``g gamma`` in `other`."""
    cdef double[LANES] sums
    cdef double[LANES] others
    cdef Py_ssize_t at = 0
    memset(sums, 0, sizeof(sums))
    if term == PRODUCT:
        memset(others, 0, sizeof(others))
    while at + LANES <= n:
        add(term, LANES, x + at, g + at, gamma + at, center, sums, others)
        at += LANES
    if at + LANES // 2 <= n:
        add(term, LANES // 2, x + at, g + at, gamma + at, center, sums, others)
        at += LANES // 2
    while at < n:
        add(term, 1, x + at, g + at, gamma + at, center, sums + at % LANES, others + at % LANES)
        at += 1
    sum[0] = total(sums)
    if term == PRODUCT:
        other[0] = total(others)


cdef inline always_inline moments(
    const Norm* p, const real* x, Py_ssize_t rows, double* means, double* inverses
) noexcept nogil:
    """Of each row the mean, and ``1 / sqrt(variance + epsilon)``."""
    cdef Py_ssize_t n = p.channels, row
    for row in range(rows):
        row_sum(VALUE, x + row * n, x, x, 0, n, means + row, means)
    for row in range(rows):
        means[row] = means[row] / n
    for row in range(rows):
        row_sum(SQUARE, x + row * n, x, x, means[row], n, inverses + row, means)
    for row in range(rows):
        inverses[row] = 1 / sqrt(inverses[row] / n + p.epsilon)


cdef inline always_inline forward_rows(
    const Norm* p, const real* x, const real* gamma, const real* beta, real* out, Py_ssize_t rows
) noexcept nogil:
    cdef double[TOGETHER] means
    cdef double[TOGETHER] inverses
    cdef double mean, inverse
    cdef Py_ssize_t row, j, n = p.channels
    moments(p, x, rows, means, inverses)
    for row in range(rows):
        mean, inverse = means[row], inverses[row]
        for j in range(n):
            out[row * n + j] = <real>multiply_add((x[row * n + j] - mean) * inverse, <double>gamma[j], <double>beta[j])


cdef inline always_inline backward_rows(
    const Norm* p, const real* x, const real* g, const real* gamma, real* out, double* dgamma, double* dbeta,
    Py_ssize_t rows
) noexcept nogil:
    """Rows of the gradient; what they add to those of gamma and beta."""
    cdef double[TOGETHER] means
    cdef double[TOGETHER] inverses
    cdef double[TOGETHER] scaled
    cdef double[TOGETHER] products
    cdef double mean, inverse, through_mean, through_spread
    cdef Py_ssize_t row, j, n = p.channels
    moments(p, x, rows, means, inverses)
    for row in range(rows):
        row_sum(PRODUCT, x + row * n, g + row * n, gamma, means[row], n, products + row, scaled + row)
    for row in range(rows):
        mean, inverse = means[row], inverses[row]
        through_mean = scaled[row] / n
        through_spread = products[row] * inverse / n
        for j in range(n):
            out[row * n + j] = <real>(
                multiply_add(
                    -((x[row * n + j] - mean) * inverse), through_spread, <double>g[row * n + j] * gamma[j] - through_mean
                ) * inverse
            )
    for row in range(rows):
        mean, inverse = means[row], inverses[row]
        for j in range(n):
            dgamma[j] = multiply_add(<double>g[row * n + j], (x[row * n + j] - mean) * inverse, dgamma[j])
        for j in range(n):
            dbeta[j] += g[row * n + j]


cdef inline int one_chunk(
    const Norm* p, const real* x, const real* g, const real* gamma, const real* beta, real* out, double* sums,
    Py_ssize_t chunk
) noexcept nogil:
    """Forward, or backward where there is `g`: the sums for gamma, then those for beta; -1 if there is no memory."""
    cdef Py_ssize_t n = p.channels, at = chunk * chunk_rows(n) * n, row = 0, some
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
    if g != NULL:
        g = taken(p.storage, g, at, count * n, memory + count * n)
        memset(sums, 0, 2 * n * sizeof(double))
    while row < count:
        some = min(<Py_ssize_t>TOGETHER, count - row)
        if g == NULL:
            forward_rows(p, x + row * n, gamma, beta, to + row * n, some)
        else:
            backward_rows(p, x + row * n, g + row * n, gamma, to + row * n, sums, sums + n, some)
        row += TOGETHER
    if p.storage != AS_COMPUTED:
        put(p.storage, to, out, at, count * n)
        free(memory)
    return 0


cdef inline int all_chunks(
    const Norm* p, const real* x, const real* g, const real* gamma, const real* beta, real* out, double* sums,
    int threads
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
                p, x, g, gamma, beta, out, sums + chunk * 2 * p.channels if g != NULL else NULL, chunk
            )
    return status


cdef inline int forward_all(
    const Norm* p, const real* x, const real* gamma, const real* beta, real* out, int threads
) noexcept nogil:
    """Layer norm."""
    return all_chunks(p, x, <const real*>NULL, gamma, beta, out, <double*>NULL, threads)


cdef inline int backward_all(
    const Norm* p, const real* x, const real* g, const real* gamma, real* out, real* dgamma, real* dbeta, int threads
) noexcept nogil:
    """Its gradients."""
    cdef Py_ssize_t chunk, c, n = p.channels, chunks = chunks_of(p)
    cdef double* sums = <double*>allocate(2 * n * (chunks + 1), sizeof(double))
    cdef double* those
    cdef int status
    if sums == NULL:
        return -1
    status = all_chunks(p, x, g, gamma, gamma, out, sums, threads)
    if status == 0:
        those = sums + 2 * n * chunks
        memset(those, 0, 2 * n * sizeof(double))
        for chunk in range(chunks):
            for c in range(2 * n):
                those[c] += sums[chunk * 2 * n + c]
        for c in range(n):
            dgamma[c] = <real>those[c]
            dbeta[c] = <real>those[n + c]
    free(sums)
    return status
