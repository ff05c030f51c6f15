"""Sums over pixels, channel by channel, in double, in an order that depends on the shape alone.

Pixels are summed in chunks of `chunk_rows`. In a chunk, pixel r of an image of up to 16 channels goes to accumulator
``r % 8`` of its channel, and these are added pairwise (4 apart, 2, 1 apart); with more channels there is one
accumulator for each. Sums of chunks are added in the order of the chunks.
"""

from libc.string cimport memset

from cnnref._types cimport inlined, multiply_add, real

cdef enum:
    LANES = 8
    NARROW = 16  # channels up to which pixels are spread over LANES accumulators
    CHUNK = 16384  # elements of a chunk: it stays in the cache while it is read twice
    LEAST = 64  # pixels of a chunk

cdef enum Term:
    VALUE  # x
    SQUARE  # (x - center)^2
    PRODUCT  # g (x - center), and g


cdef inline Py_ssize_t chunk_rows(Py_ssize_t channels) noexcept nogil:
    """Pixels of a chunk."""
    return max(<Py_ssize_t>LEAST, CHUNK // max(channels, <Py_ssize_t>1) // LANES * LANES)


cdef inline void add_run(
    Term term, const real* x, const real* g, const double* center, Py_ssize_t n, double* sums, double* others
) noexcept nogil:
    """Add a run of n values to as many accumulators, of which `others` are for the second sum of PRODUCT."""
    cdef Py_ssize_t i
    for i in range(n):
        if term == VALUE:
            sums[i] += x[i]
        elif term == SQUARE:
            sums[i] = multiply_add(x[i] - center[i], x[i] - center[i], sums[i])
        else:
            sums[i] = multiply_add(<double>g[i], x[i] - center[i], sums[i])
            others[i] += g[i]


cdef inline void add_up(double* sums, Py_ssize_t width) noexcept nogil:
    """LANES accumulators of `width` channels pairwise, into the first."""
    cdef Py_ssize_t half = LANES // 2, c
    while half > 0:
        for c in range(half * width):
            sums[c] += sums[c + half * width]
        half = half // 2


cdef inline void narrow_sums(
    Term term, const real* x, const real* g, const double* center, Py_ssize_t rows, Py_ssize_t width,
    double* out, double* other
) noexcept nogil:
    """`chunk_sums` of up to NARROW channels: LANES pixels, side by side, are one run."""
    cdef double[LANES * NARROW] sums
    cdef double[LANES * NARROW] others
    cdef double[LANES * NARROW] centers
    cdef Py_ssize_t row = 0, lane, c
    memset(sums, 0, sizeof(sums))
    memset(others, 0, sizeof(others))
    for lane in range(LANES):
        for c in range(width):
            centers[lane * width + c] = center[c] if term != VALUE else 0
    for row in range(rows // LANES):
        add_run(term, x + row * LANES * width, g + row * LANES * width, centers, LANES * width, sums, others)
    for lane in range(rows % LANES):
        row = rows - rows % LANES + lane
        add_run(term, x + row * width, g + row * width, centers, width, sums + lane * width, others + lane * width)
    add_up(sums, width)
    add_up(others, width)
    for c in range(width):
        out[c] = sums[c]
        if term == PRODUCT:
            other[c] = others[c]


cdef inline inlined add_rows(
    Term term, int count, const real* x, const real* g, const double* center, Py_ssize_t step, double* sums,
    double* others
) noexcept nogil:
    """Add `count` (a constant) pixels of `step` channels, one after the other, to the accumulators."""
    cdef Py_ssize_t c
    cdef int row
    cdef double sum, other
    for c in range(step):
        sum = sums[c]
        if term == PRODUCT:
            other = others[c]
        for row in range(count):
            if term == VALUE:
                sum += x[row * step + c]
            elif term == SQUARE:
                sum = multiply_add(x[row * step + c] - center[c], x[row * step + c] - center[c], sum)
            else:
                sum = multiply_add(<double>g[row * step + c], x[row * step + c] - center[c], sum)
                other += g[row * step + c]
        sums[c] = sum
        if term == PRODUCT:
            others[c] = other


cdef inline inlined wide_sums(
    Term term, const real* x, const real* g, const double* center, Py_ssize_t rows, Py_ssize_t channels,
    double* out, double* other
) noexcept nogil:
    """`chunk_sums` with an accumulator for each channel: all channels of a few pixels at a time, as they lie in memory."""
    cdef Py_ssize_t row = 0
    memset(out, 0, channels * sizeof(double))
    if term == PRODUCT:
        memset(other, 0, channels * sizeof(double))
    while row + 4 <= rows:
        add_rows(term, 4, x + row * channels, g + row * channels, center, channels, out, other)
        row += 4
    while row < rows:
        add_rows(term, 1, x + row * channels, g + row * channels, center, channels, out, other)
        row += 1


cdef inline void chunk_sums(
    Term term, const real* x, const real* g, const double* center, Py_ssize_t rows, Py_ssize_t channels,
    double* out, double* other
) noexcept nogil:
    """Sums over `rows` pixels of all channels; for PRODUCT those of g in `other`."""
    if channels <= NARROW:
        narrow_sums(term, x, g, center, rows, channels, out, other)
    else:
        wide_sums(term, x, g, center, rows, channels, out, other)
