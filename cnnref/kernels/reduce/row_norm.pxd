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
from cnnref.kernels.base.isa cimport CNNREF_VECTOR_BYTES, always_inline
from cnnref.kernels.base.memory cimport allocate
from cnnref.kernels.base.types cimport multiply_add, real
from cnnref.kernels.base.vector cimport rounded_row, widened_row
from cnnref.kernels.vmath.softmax_row cimport LANES
from cnnref.threads cimport stopped, watch

cdef enum:
    CHUNK = 8192  # elements of a chunk: its rows stay in the nearest caches while they are read again
    LEAST = 32  # rows of a chunk, so that the sums of chunks are few
    HALF = 8  # accumulators that are left of a row's LANES
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
    bint centered  # layer norm; else the mean is taken for 0: RMS norm
    bint known  # whether the statistics of the rows are there

cdef struct Through:
    # Of rows: mean and inverse of the deviation, then what their gradient goes through the mean and through the spread.
    double[TOGETHER] means
    double[TOGETHER] inverses
    double[TOGETHER] mean
    double[TOGETHER] spread


cdef inline Py_ssize_t chunk_rows(Py_ssize_t channels) noexcept nogil:
    return max(<Py_ssize_t>LEAST, CHUNK // max(channels, <Py_ssize_t>1))


cdef inline Py_ssize_t chunks_of(const Norm* p) noexcept nogil:
    return (p.rows + chunk_rows(p.channels) - 1) // chunk_rows(p.channels)


cdef inline always_inline add(
    const Term term, const int lanes, const real* x, const real* g, const real* gamma, double center, double* sums,
    double* others
) noexcept nogil:
    """Add `lanes` columns, each to its accumulator."""
    cdef double[LANES] value
    cdef double[LANES] scaled
    cdef double[LANES] scale
    cdef int lane
    widened_row(lanes, x, value)
    if term == VALUE:
        for lane in range(lanes):
            sums[lane] += value[lane]
    elif term == SQUARE:
        for lane in range(lanes):
            sums[lane] = multiply_add(value[lane] - center, value[lane] - center, sums[lane])
    else:
        widened_row(lanes, g, scaled)
        widened_row(lanes, gamma, scale)
        for lane in range(lanes):
            scaled[lane] = scaled[lane] * scale[lane]
            others[lane] += scaled[lane]
            sums[lane] = multiply_add(scaled[lane], value[lane] - center, sums[lane])


cdef inline always_inline row_sum(
    const Term term, const real* x, const real* g, const real* gamma, double center, Py_ssize_t n, double* half,
    double* other_half
) noexcept nogil:
    """The sum of a row's terms, as far as the accumulators 8 apart are added; for PRODUCT that of ``g gamma`` too."""
    cdef double[LANES] sums
    cdef double[LANES] others
    cdef Py_ssize_t at = 0
    cdef int lane
    memset(sums, 0, sizeof(sums))
    if term == PRODUCT:
        memset(others, 0, sizeof(others))
    while at + LANES <= n:
        add(term, LANES, x + at, g + at, gamma + at, center, sums, others)
        at += LANES
    if at + HALF <= n:
        add(term, HALF, x + at, g + at, gamma + at, center, sums, others)
        at += HALF
    while at < n:
        add(term, 1, x + at, g + at, gamma + at, center, sums + at % LANES, others + at % LANES)
        at += 1
    for lane in range(HALF):
        half[lane] = sums[lane] + sums[lane + HALF]
    if term == PRODUCT:
        for lane in range(HALF):
            other_half[lane] = others[lane] + others[lane + HALF]


cdef inline always_inline totals(const double* halves, Py_ssize_t rows, double* sums) noexcept nogil:
    """What `row_sum` left of some rows, added up: a vector of rows at a time."""
    cdef Py_ssize_t row
    cdef const double* v
    for row in range(rows):
        v = halves + HALF * row
        sums[row] = ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]))


cdef inline always_inline moments(
    const Norm* p, const real* x, Py_ssize_t rows, double* means, double* inverses
) noexcept nogil:
    """Of each row the mean, or 0, and 1 over the root of the mean square of what is apart from it, and epsilon."""
    cdef double[HALF * TOGETHER] halves
    cdef Py_ssize_t n = p.channels, row
    if p.centered:
        for row in range(rows):
            row_sum(VALUE, x + row * n, x, x, 0, n, halves + HALF * row, halves)
        totals(halves, rows, means)
    for row in range(rows):
        means[row] = means[row] / n if p.centered else 0
    for row in range(rows):
        row_sum(SQUARE, x + row * n, x, x, means[row], n, halves + HALF * row, halves)
    totals(halves, rows, inverses)
    for row in range(rows):
        inverses[row] = 1 / sqrt(inverses[row] / n + p.epsilon)


cdef inline always_inline forward_columns(
    const int lanes, const real* x, const real* gamma, const real* beta, real* out, const double* means,
    const double* inverses, Py_ssize_t rows, Py_ssize_t n
) noexcept nogil:
    """`lanes` columns of some rows."""
    cdef double[LANES] scale
    cdef double[LANES] offset
    cdef double[LANES] found
    cdef double mean, inverse
    cdef Py_ssize_t row
    cdef int lane
    widened_row(lanes, gamma, scale)
    if beta != NULL:
        widened_row(lanes, beta, offset)
    for row in range(rows):
        mean, inverse = means[row], inverses[row]
        widened_row(lanes, x, found)
        for lane in range(lanes):
            found[lane] = (found[lane] - mean) * inverse
        if beta != NULL:
            for lane in range(lanes):
                found[lane] = multiply_add(found[lane], scale[lane], offset[lane])
        else:
            for lane in range(lanes):
                found[lane] = found[lane] * scale[lane]
        rounded_row(lanes, found, out)
        x, out = x + n, out + n


cdef inline always_inline forward_rows(
    const Norm* p, const real* x, const real* gamma, const real* beta, real* out, Py_ssize_t rows, double* means,
    double* inverses
) noexcept nogil:
    """Rows of the output."""
    cdef Py_ssize_t j = 0, n = p.channels
    moments(p, x, rows, means, inverses)
    while j + CNNREF_VECTOR_BYTES // 4 <= n:  # two vectors of doubles
        forward_columns(
            CNNREF_VECTOR_BYTES // 4, x + j, gamma + j, beta + j if beta != NULL else beta, out + j, means, inverses, rows, n
        )
        j += CNNREF_VECTOR_BYTES // 4
    while j < n:
        forward_columns(1, x + j, gamma + j, beta + j if beta != NULL else beta, out + j, means, inverses, rows, n)
        j += 1


cdef inline always_inline backward_columns(
    const int lanes, const real* x, const real* g, const real* gamma, real* out, double* dgamma, double* dbeta,
    const Through* t, Py_ssize_t rows, Py_ssize_t n
) noexcept nogil:
    """`lanes` columns of some rows of the gradient; what they add to those of gamma and beta waits in registers."""
    cdef double[LANES] scale
    cdef double[LANES] of_gamma
    cdef double[LANES] of_beta
    cdef double[LANES] normal
    cdef double[LANES] upstream
    cdef double mean, inverse, through_mean, through_spread, rest
    cdef Py_ssize_t row
    cdef int lane
    widened_row(lanes, gamma, scale)
    widened_row(lanes, <const double*>dgamma, of_gamma)
    widened_row(lanes, <const double*>dbeta, of_beta)
    for row in range(rows):
        mean, inverse, through_mean, through_spread = t.means[row], t.inverses[row], t.mean[row], t.spread[row]
        widened_row(lanes, x, normal)
        widened_row(lanes, g, upstream)
        for lane in range(lanes):
            normal[lane] = (normal[lane] - mean) * inverse
            of_gamma[lane] = multiply_add(upstream[lane], normal[lane], of_gamma[lane])
            of_beta[lane] += upstream[lane]
            if real is float:  # the product is a double: nothing is rounded twice
                rest = multiply_add(upstream[lane], scale[lane], -through_mean)
            else:
                rest = upstream[lane] * scale[lane] - through_mean
            normal[lane] = multiply_add(-normal[lane], through_spread, rest) * inverse
        rounded_row(lanes, normal, out)
        x, g, out = x + n, g + n, out + n
    rounded_row(lanes, of_gamma, dgamma)
    rounded_row(lanes, of_beta, dbeta)


cdef inline always_inline backward_rows(
    const Norm* p, const real* x, const real* g, const real* gamma, real* out, double* dgamma, double* dbeta,
    Py_ssize_t rows, double* means, double* inverses
) noexcept nogil:
    """Rows of the gradient; what they add to those of gamma and beta."""
    cdef double[HALF * TOGETHER] halves
    cdef double[HALF * TOGETHER] other_halves
    cdef Through t
    cdef Py_ssize_t row, j = 0, n = p.channels
    if not p.known:
        moments(p, x, rows, means, inverses)
    for row in range(rows):
        row_sum(
            PRODUCT, x + row * n, g + row * n, gamma, means[row], n, halves + HALF * row,
            other_halves + HALF * row
        )
    totals(halves, rows, t.spread)
    totals(other_halves, rows, t.mean)
    for row in range(rows):
        t.means[row], t.inverses[row] = means[row], inverses[row]
        t.mean[row] = t.mean[row] / n if p.centered else 0
        t.spread[row] = t.spread[row] * inverses[row] / n
    while j + CNNREF_VECTOR_BYTES // 4 <= n:  # two vectors of doubles
        backward_columns(CNNREF_VECTOR_BYTES // 4, x + j, g + j, gamma + j, out + j, dgamma + j, dbeta + j, &t, rows, n)
        j += CNNREF_VECTOR_BYTES // 4
    while j < n:
        backward_columns(1, x + j, g + j, gamma + j, out + j, dgamma + j, dbeta + j, &t, rows, n)
        j += 1


cdef inline int one_chunk(
    const Norm* p, const real* x, const real* g, const real* gamma, const real* beta, real* out, double* sums,
    double* kept, Py_ssize_t chunk
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
    kept += chunk * chunk_rows(n)
    while row < count:
        some = min(<Py_ssize_t>TOGETHER, count - row)
        if g == NULL:
            forward_rows(p, x + row * n, gamma, beta, to + row * n, some, kept + row, kept + p.rows + row)
        else:
            backward_rows(p, x + row * n, g + row * n, gamma, to + row * n, sums, sums + n, some, kept + row, kept + p.rows + row)
        row += TOGETHER
    if p.storage != AS_COMPUTED:
        put(p.storage, to, out, at, count * n)
        free(memory)
    return 0


cdef inline int all_chunks(
    const Norm* p, const real* x, const real* g, const real* gamma, const real* beta, real* out, double* sums,
    double* kept, int threads
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
                p, x, g, gamma, beta, out, sums + chunk * 2 * p.channels if g != NULL else NULL, kept, chunk
            )
    return status


cdef inline int forward_all(
    const Norm* p, const real* x, const real* gamma, const real* beta, real* out, double* kept, int threads
) noexcept nogil:
    """The normalized rows; without `beta` nothing is added."""
    return all_chunks(p, x, <const real*>NULL, gamma, beta, out, <double*>NULL, kept, threads)


cdef inline int backward_all(
    const Norm* p, const real* x, const real* g, const real* gamma, real* out, real* dgamma, real* dbeta, double* kept,
    int threads
) noexcept nogil:
    """Its gradients."""
    cdef Py_ssize_t chunk, c, n = p.channels, chunks = chunks_of(p)
    cdef double* sums = <double*>allocate(2 * n * (chunks + 1), sizeof(double))
    cdef double* those
    cdef int status
    if sums == NULL:
        return -1
    status = all_chunks(p, x, g, gamma, gamma, out, sums, kept, threads)
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
