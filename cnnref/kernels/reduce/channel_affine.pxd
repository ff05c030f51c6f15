"""Apply four numbers per channel to each element: what batch normalization does once it has its sums; or, `leaky`, the
first of them to those where x is not above 0: PReLU.

The numbers stand in a table for runs of whole pixels, so that a run is as long as a vector with few channels too.

Numbers that float32 does not hold, or differences that it cannot form, come from values of 1e19 and more or of 1e-38 and
less. The elements of such a channel are computed once more, each in double and rounded once (`in_double`).
"""

from cython.parallel cimport prange
from libc.math cimport fabs, isfinite, sqrt
from libc.stdlib cimport free

from cnnref.kernels.base.half cimport AS_COMPUTED, BLOCK as HALF_BLOCK, Storage, put, size_of, taken
from cnnref.kernels.base.memory cimport allocate
from cnnref.kernels.base.nontemporal cimport DOUBLES, settle, stream, until_line
from cnnref.kernels.base.types cimport multiply_add, real
from cnnref.threads cimport pieces, stopped, watch

cdef enum:
    RUN = 64  # elements of a run of whole pixels, at least
    BLOCK = 16384  # elements, in runs, that are taken from their first to their last

cdef extern from *:
    """
    #define CNNREF_LEAST 0x1p-126  /* of the numbers that float32 has all its digits of */
    #define CNNREF_MOST 0x1p127
    #define CNNREF_NEAR 0x1p-204  /* the variance where what rounding took from the mean is subnormal */
    #define CNNREF_FAR 0x1p70  /* beside it no value of float32 is so large that their difference overflows */
    """
    const double LEAST "CNNREF_LEAST"
    const double MOST "CNNREF_MOST"
    const double FAR "CNNREF_FAR"
    const double NEAR "CNNREF_NEAR"


cdef inline Py_ssize_t run_length(Py_ssize_t channels) noexcept nogil:
    """Elements of a run: pixels that together have RUN elements, or one."""
    return channels * max(<Py_ssize_t>1, RUN // max(channels, <Py_ssize_t>1))


cdef inline real* table_of(const double* numbers, Py_ssize_t channels, real kind) noexcept nogil:
    """Four numbers per channel, `channels` of each after the other, repeated for a run; NULL if there is no memory."""
    cdef Py_ssize_t whole = run_length(channels), number, at, c
    cdef real* table = <real*>allocate(4 * whole + 1, sizeof(real))
    if table == NULL:
        return NULL
    for number in range(4):
        at = 0
        while at < whole:
            for c in range(channels):
                table[number * whole + at + c] = <real>numbers[number * channels + c]
            at += channels
    return table


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


cdef inline void leaky_run(const real* x, const real* g, const real* table, real* out, Py_ssize_t n) noexcept nogil:
    """``x``, or `g` where that is given, times the table where x is not above 0."""
    cdef Py_ssize_t i
    if g == NULL:
        for i in range(n):
            out[i] = x[i] if x[i] > 0 else table[i] * x[i]
    else:
        for i in range(n):
            out[i] = g[i] if x[i] > 0 else table[i] * g[i]


cdef inline void apply_run(
    bint leaky, const real* x, const real* g, const real* table, real* out, Py_ssize_t n, Py_ssize_t whole
) noexcept nogil:
    """Forward without `g`, the gradient in inference without `x`, else that in training."""
    if leaky:
        leaky_run(x, g, table, out, n)
    elif g == NULL:
        normalize_run(x, table, out, n, whole)
    elif x == NULL:
        scaled_run(g, table, out, n, whole)
    else:
        gradient_run(x, g, table, out, n, whole)


cdef inline const real* at_row(Storage storage, const real* x, Py_ssize_t row, Py_ssize_t channels) noexcept nogil:
    """Where a row of `channels` elements starts."""
    return <const real*>(<const char*>x + row * channels * size_of(storage, <real>0))


cdef inline void half_runs(
    bint leaky, Storage storage, const real* x, const real* g, const real* table, real* out, Py_ssize_t at, Py_ssize_t last,
    Py_ssize_t whole, bint streamed
) noexcept nogil:
    """`apply_runs` of half, elements from `at`, where a run starts, to `last`: widened and narrowed a block at a time."""
    cdef real[3 * HALF_BLOCK] near
    cdef char[2 * HALF_BLOCK] lines
    cdef const real* x_near = NULL
    cdef const real* g_near = NULL
    cdef real* made = near + 2 * HALF_BLOCK
    cdef Py_ssize_t within = 0, count, done, some
    # Blocks but for the first start at a line.
    cdef Py_ssize_t most = HALF_BLOCK - 32 + until_line(<char*>out + 2 * at) // 2
    while at < last:
        count, done = min(most, last - at), 0
        if x != NULL:
            x_near = taken(storage, x, at, count, near)
        if g != NULL:
            g_near = taken(storage, g, at, count, near + HALF_BLOCK)
        while done < count:
            some = min(whole - within, count - done)
            apply_run(
                leaky, x_near + done if x != NULL else x, g_near + done if g != NULL else g, table + within, made + done,
                some, whole,
            )
            done += some
            within = within + some if within + some < whole else 0
        if streamed:
            put(storage, made, <real*>lines, 0, count)
            stream(<char*>out + 2 * at, lines, 2 * count)
        else:
            put(storage, made, out, at, count)
        at += count
        most = HALF_BLOCK
    if streamed:
        settle()


cdef inline void apply_runs(
    bint leaky, Storage storage, const real* x, const real* g, const real* table, real* out, Py_ssize_t n, Py_ssize_t whole,
    Py_ssize_t begin, Py_ssize_t end, bint streamed
) noexcept nogil:
    """Runs of `whole` elements from `begin` to `end`, of n elements; for `streamed` see ``base/nontemporal.pxd``."""
    cdef real[DOUBLES] buffer
    cdef Py_ssize_t at = begin * whole, last = min(end * whole, n), within = 0, count
    cdef real* place
    if storage != AS_COMPUTED:
        half_runs(leaky, storage, x, g, table, out, at, last, whole, streamed)
        return
    while at < last:
        count, place = min(whole - within, last - at), out + at
        if streamed:
            count, place = min(count, <Py_ssize_t>DOUBLES), buffer
        apply_run(leaky, x + at if x != NULL else x, g + at if g != NULL else g, table + within, place, count, whole)
        if streamed:
            stream(out + at, buffer, count * sizeof(real))
        at += count
        within = within + count if within + count < whole else 0
    if streamed:
        settle()


cdef inline void apply_backwards(
    bint leaky, Storage storage, const real* x, const real* g, const real* table, real* out, Py_ssize_t n, Py_ssize_t whole,
    Py_ssize_t begin, Py_ssize_t end, bint streamed
) noexcept nogil:
    """`apply_runs` a block at a time, the last one first: what the sums have read last is still in the cache."""
    # Images without channels have no runs at all.
    cdef Py_ssize_t runs = max(BLOCK // max(whole, <Py_ssize_t>1), <Py_ssize_t>1), first
    while begin < end:
        first = max(end - runs, begin)
        apply_runs(leaky, storage, x, g, table, out, n, whole, first, end, streamed)
        end = first


cdef inline int per_element(
    bint leaky, Storage storage, const real* x, const real* g, const real* table, real* out, Py_ssize_t rows,
    Py_ssize_t channels, int threads, bint streamed
) noexcept nogil:
    """`apply_runs` to all elements; -1 if the call is to stop."""
    cdef Py_ssize_t whole = run_length(channels), n = rows * channels
    cdef Py_ssize_t runs = (n + whole - 1) // whole if whole > 0 else 0
    cdef Py_ssize_t parts = pieces(2 * n, threads)
    cdef Py_ssize_t share = parts // threads, part, place
    cdef int status = 0
    cdef const int* watched = watch()
    if parts == 1:
        apply_backwards(leaky, storage, x, g, table, out, n, whole, 0, runs, streamed)
        return 0
    for part in prange(parts, num_threads=threads, use_threads_if=threads > 1, schedule="static"):
        # Each thread's own parts, the last one first.
        place = part // share * share + share - 1 - part % share
        if stopped(watched):
            status += -1
        else:
            apply_backwards(
                leaky, storage, x, g, table, out, n, whole, runs * place // parts, runs * (place + 1) // parts, streamed
            )
    return status


cdef inline bint short_of_digits(double x) noexcept nogil:
    """Whether float32 has not all its digits of a number."""
    return x != 0 and not LEAST <= fabs(x) <= MOST


cdef inline bint beyond(
    const double* numbers, double variance, Py_ssize_t channels, bint with_x, bint with_g
) noexcept nogil:
    """Whether float32 goes wrong on a channel, whose first number is at `numbers`.

    Not where a number is NaN or infinite: double has no better answer.
    """
    cdef double mean = numbers[0], second = numbers[channels]
    cdef double factor = numbers[2 * channels], last = numbers[3 * channels]
    if not with_x:
        return isfinite(factor) and short_of_digits(factor)
    if not (isfinite(mean) and isfinite(second) and isfinite(factor) and isfinite(last) and isfinite(variance)):
        return False
    if short_of_digits(factor) or fabs(mean) > FAR or 0 < variance < NEAR:
        return True
    # The gradient's terms: of N values none is further from the mean than sqrt(N variance).
    return with_g and (
        short_of_digits(second) or short_of_digits(last) or fabs(last) > FAR or fabs(second) * sqrt(variance) > FAR
    )


cdef inline double element(
    double x, double g, const double* numbers, Py_ssize_t channels, bint with_x, bint with_g
) noexcept nogil:
    """What `apply_run` computes, in double; `x` less the mean as float32 has it, in the gradient."""
    if not with_x:
        return numbers[2 * channels] * g
    if not with_g:
        return multiply_add(x - numbers[0], numbers[2 * channels], numbers[3 * channels])
    return numbers[2 * channels] * multiply_add(
        -(x - <double>(<float>numbers[0])), numbers[channels], g - numbers[3 * channels]
    )


cdef inline int in_double(
    Storage storage, const real* x, const real* g, const double* numbers, const double* variance, real* out, Py_ssize_t rows,
    Py_ssize_t channels
) noexcept nogil:
    """The elements of channels that are `beyond` float32; -1 if there is no memory, or the call is to stop."""
    cdef Py_ssize_t found = 0, row, i, at, c
    cdef Py_ssize_t* those
    cdef const int* watched
    cdef real x_value, g_value, value
    if real is double:
        return 0
    for c in range(channels):
        found += beyond(numbers + c, variance[c], channels, x != NULL, g != NULL)
    if found == 0:
        return 0
    those = <Py_ssize_t*>allocate(found, sizeof(Py_ssize_t))
    if those == NULL:
        return -1
    found = 0
    for c in range(channels):
        if beyond(numbers + c, variance[c], channels, x != NULL, g != NULL):
            those[found] = c
            found += 1
    watched = watch()
    for row in range(rows):
        if row % BLOCK == 0 and stopped(watched):
            free(those)
            return -1
        for i in range(found):
            c = those[i]
            at = row * channels + c
            value = <real>element(
                taken(storage, x, at, 1, &x_value)[0] if x != NULL else 0,
                taken(storage, g, at, 1, &g_value)[0] if g != NULL else 0, numbers + c, channels, x != NULL, g != NULL,
            )
            if storage == AS_COMPUTED:
                out[at] = value
            else:
                put(storage, &value, out, at, 1)
    free(those)
    return 0
