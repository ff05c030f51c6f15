"""Sums over pixels, channel by channel, in double, in an order that depends on the shape alone.

Pixels are summed in chunks of `chunk_rows`. In a chunk, pixel r of an image of up to 16 channels goes to accumulator
``r % 8`` of its channel, and these are added pairwise (4 apart, 2, 1 apart); with more channels there is one
accumulator for each. Sums of chunks are added in the order of the chunks.
"""

from libc.string cimport memcpy, memset

from cnnref.kernels.base.half cimport Storage, widen
from cnnref.kernels.base.isa cimport CNNREF_VECTOR_BYTES, always_inline
from cnnref.kernels.base.prefetch cimport ask
from cnnref.kernels.base.types cimport multiply_add, real

cdef enum:
    LANES = 8
    NARROW = 16  # channels up to which pixels are spread over LANES accumulators
    CHUNK = 16384  # elements of a chunk: it stays in the cache while it is read twice
    LEAST = 64  # pixels of a chunk
    HALF = 32  # values of half a block, which is as many accumulators as there are registers for
    FORESEEN = 2048  # bytes that are asked for at once, at most
    AHEAD = 8192  # bytes between what is read and what is asked for

    NEAR = 4096  # half elements that are widened at a time

cdef enum Term:
    VALUE  # x
    SQUARE  # (x - center)^2
    PRODUCT  # g (x - center), and g


cdef inline Py_ssize_t chunk_rows(Py_ssize_t channels) noexcept nogil:
    """Pixels of a chunk."""
    return max(<Py_ssize_t>LEAST, CHUNK // max(channels, <Py_ssize_t>1) // LANES * LANES)


cdef inline void foresee(const real* x, Py_ssize_t n) noexcept nogil:
    """Ask for what stands some lines after `n` values, where they are few: the processor foresees longer rows itself."""
    if n * <Py_ssize_t>sizeof(real) <= FORESEEN:
        ask(<const char*>x + AHEAD, n * <Py_ssize_t>sizeof(real))


cdef inline always_inline add_together(
    Term term, int count, const real* x, const real* g, const double* center, Py_ssize_t step, double* sums,
    double* others
) noexcept nogil:
    """Add `count` (a constant) rows of `step` values, one after the other, to the accumulators."""
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


cdef inline always_inline add_half(
    Term term, const real* x, const real* g, const double* center, double* sums, double* others
) noexcept nogil:
    """Add one row of HALF columns."""
    cdef Py_ssize_t lane
    for lane in range(HALF):
        if term == VALUE:
            sums[lane] += x[lane]
        elif term == SQUARE:
            sums[lane] = multiply_add(x[lane] - center[lane], x[lane] - center[lane], sums[lane])
        else:
            sums[lane] = multiply_add(<double>g[lane], x[lane] - center[lane], sums[lane])
    if term == PRODUCT:
        for lane in range(HALF):
            others[lane] += g[lane]


cdef inline always_inline add_block(
    Term term, const real* x, const real* g, const double* center, Py_ssize_t rows, Py_ssize_t step, double* sums,
    double* others
) noexcept nogil:
    """Add `rows` rows of 2 HALF columns, whose accumulators stay in registers: only constants index them."""
    cdef double[HALF] low
    cdef double[HALF] high
    cdef double[HALF] other_low
    cdef double[HALF] other_high
    cdef Py_ssize_t row, lane
    for lane in range(HALF):
        low[lane] = sums[lane]
    for lane in range(HALF):
        high[lane] = sums[HALF + lane]
    if term == PRODUCT:
        for lane in range(HALF):
            other_low[lane] = others[lane]
        for lane in range(HALF):
            other_high[lane] = others[HALF + lane]
    for row in range(rows):
        if term != SQUARE:  # the second reading
            foresee(x + row * step, 2 * HALF)
        if term == PRODUCT:
            foresee(g + row * step, 2 * HALF)
        add_half(term, x + row * step, g + row * step, center, low, other_low)
        add_half(term, x + row * step + HALF, g + row * step + HALF, center + HALF, high, other_high)
    for lane in range(HALF):
        sums[lane] = low[lane]
    for lane in range(HALF):
        sums[HALF + lane] = high[lane]
    if term == PRODUCT:
        for lane in range(HALF):
            others[lane] = other_low[lane]
        for lane in range(HALF):
            others[HALF + lane] = other_high[lane]


cdef inline always_inline add_rows(
    Term term, const real* x, const real* g, const double* center, Py_ssize_t rows, Py_ssize_t step, double* sums,
    double* others
) noexcept nogil:
    """Add `rows` rows of `step` values to as many accumulators: all values of a few rows at a time, as they lie in memory."""
    cdef Py_ssize_t row = 0, block, at
    # Of values and squares the other instruction sets have too few registers.
    if (term == PRODUCT or CNNREF_VECTOR_BYTES == 64) and step <= 4 * HALF and step % (2 * HALF) == 0:
        for block in range(step // (2 * HALF)):
            at = block * 2 * HALF
            add_block(term, x + at, g + at, center + at, rows, step, sums + at, others + at)
        return
    if term == PRODUCT and real is double:
        # Of more rows at a time the compiler cannot tell that they do not lie among the accumulators.
        for row in range(rows):
            foresee(x + row * step, step)
            foresee(g + row * step, step)
            add_together(term, 1, x + row * step, g + row * step, center, step, sums, others)
        return
    while row + 4 <= rows:
        if term == VALUE:
            foresee(x + row * step, 4 * step)
        add_together(term, 4, x + row * step, g + row * step, center, step, sums, others)
        row += 4
    while row < rows:
        add_together(term, 1, x + row * step, g + row * step, center, step, sums, others)
        row += 1


cdef inline always_inline fold(double* sums, Py_ssize_t width) noexcept nogil:
    """`add_up`; inlined with constants."""
    cdef Py_ssize_t c
    for c in range(4 * width):
        sums[c] += sums[c + 4 * width]
    for c in range(2 * width):
        sums[c] += sums[c + 2 * width]
    for c in range(width):
        sums[c] += sums[c + width]


cdef inline void add_up(double* sums, Py_ssize_t width) noexcept nogil:
    """LANES accumulators of `width` channels pairwise, into the first."""
    if width == 8:
        fold(sums, 8)
    elif width == 16:
        fold(sums, 16)
    else:
        fold(sums, width)


cdef inline void narrow_sums(
    Term term, const real* x, const real* g, const double* center, Py_ssize_t rows, Py_ssize_t width,
    double* out, double* other
) noexcept nogil:
    """`chunk_sums` of up to NARROW channels: LANES pixels, side by side, are one run."""
    cdef double[LANES * NARROW] sums
    cdef double[LANES * NARROW] others
    cdef double[LANES * NARROW] centers
    cdef Py_ssize_t row, lane
    memset(sums, 0, LANES * width * sizeof(double))
    if term == PRODUCT:
        memset(others, 0, LANES * width * sizeof(double))
    if term != VALUE:
        for lane in range(LANES):
            memcpy(centers + lane * width, center, width * sizeof(double))
    add_rows(term, x, g, centers, rows // LANES, LANES * width, sums, others)
    for lane in range(rows % LANES):
        row = rows - rows % LANES + lane
        add_together(
            term, 1, x + row * width, g + row * width, centers, width, sums + lane * width, others + lane * width
        )
    add_up(sums, width)
    memcpy(out, sums, width * sizeof(double))
    if term == PRODUCT:
        add_up(others, width)
        memcpy(other, others, width * sizeof(double))


cdef inline always_inline wide_sums(
    Term term, const real* x, const real* g, const double* center, Py_ssize_t rows, Py_ssize_t channels,
    double* out, double* other
) noexcept nogil:
    """`chunk_sums` with an accumulator for each channel."""
    memset(out, 0, channels * sizeof(double))
    if term == PRODUCT:
        memset(other, 0, channels * sizeof(double))
    add_rows(term, x, g, center, rows, channels, out, other)


cdef inline void chunk_sums(
    Term term, const real* x, const real* g, const double* center, Py_ssize_t rows, Py_ssize_t channels,
    double* out, double* other
) noexcept nogil:
    """Sums over `rows` pixels of all channels; for PRODUCT those of g in `other`."""
    if channels <= NARROW:
        narrow_sums(term, x, g, center, rows, channels, out, other)
    else:
        wide_sums(term, x, g, center, rows, channels, out, other)


cdef inline void half_sums(
    Storage storage, const char* x, Py_ssize_t rows, Py_ssize_t channels, double* out
) noexcept nogil:
    """`chunk_sums` of the values of half, which are widened a few rows, or a part of one, at a time."""
    cdef float[NEAR] near
    cdef double[LANES * NARROW] lanes
    cdef double* sums = out
    cdef Py_ssize_t width = channels * (LANES if channels <= NARROW else 1)
    cdef Py_ssize_t most = max(NEAR // max(width, <Py_ssize_t>1), <Py_ssize_t>1)
    cdef Py_ssize_t whole = rows * channels // max(width, <Py_ssize_t>1)
    cdef Py_ssize_t row = 0, at, some, count
    if channels <= NARROW:
        sums = lanes
    memset(sums, 0, width * sizeof(double))
    while row < whole:
        some, at = min(most, whole - row), 0
        while at < width:
            count = min(<Py_ssize_t>NEAR, width - at)
            widen(storage, x + 2 * (row * width + at), near, some * count)
            add_rows(VALUE, near, near, sums, some, count, sums + at, sums)
            at += count
        row += some
    if channels <= NARROW:
        count = rows * channels - whole * width
        widen(storage, x + 2 * whole * width, near, count)
        for at in range(count):
            sums[at] += near[at]
        add_up(sums, channels)
        memcpy(out, sums, channels * sizeof(double))
