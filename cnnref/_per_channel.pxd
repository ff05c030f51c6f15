"""Apply four numbers per channel to each element: what batch normalization does once it has its sums.

The numbers stand in a table for runs of whole pixels, so that a run is as long as a vector with few channels too.
"""

from cython.parallel cimport prange

from cnnref._memory cimport allocate
from cnnref._stream cimport DOUBLES, settle, stream
from cnnref._types cimport multiply_add, real
from cnnref.threads cimport pieces, stopped, watch

cdef enum:
    RUN = 64  # elements of a run of whole pixels, at least
    BLOCK = 16384  # elements, in runs, that are taken from their first to their last


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


cdef inline void apply_run(
    const real* x, const real* g, const real* table, real* out, Py_ssize_t n, Py_ssize_t whole
) noexcept nogil:
    """Forward without `g`, the gradient in inference without `x`, else that in training."""
    if g == NULL:
        normalize_run(x, table, out, n, whole)
    elif x == NULL:
        scaled_run(g, table, out, n, whole)
    else:
        gradient_run(x, g, table, out, n, whole)


cdef inline void apply_runs(
    const real* x, const real* g, const real* table, real* out, Py_ssize_t n, Py_ssize_t whole, Py_ssize_t begin,
    Py_ssize_t end, bint streamed
) noexcept nogil:
    """Runs of `whole` elements from `begin` to `end`, of n elements; for `streamed` see ``_stream.pxd``."""
    cdef real[DOUBLES] buffer
    cdef Py_ssize_t at = begin * whole, last = min(end * whole, n), within = 0, count
    cdef real* place
    while at < last:
        count, place = min(whole - within, last - at), out + at
        if streamed:
            count, place = min(count, <Py_ssize_t>DOUBLES), buffer
        apply_run(x + at if x != NULL else x, g + at if g != NULL else g, table + within, place, count, whole)
        if streamed:
            stream(out + at, buffer, count * sizeof(real))
        at += count
        within = within + count if within + count < whole else 0
    if streamed:
        settle()


cdef inline void apply_backwards(
    const real* x, const real* g, const real* table, real* out, Py_ssize_t n, Py_ssize_t whole, Py_ssize_t begin,
    Py_ssize_t end, bint streamed
) noexcept nogil:
    """`apply_runs` a block at a time, the last one first: what the sums have read last is still in the cache."""
    # Images without channels have no runs at all.
    cdef Py_ssize_t runs = max(BLOCK // max(whole, <Py_ssize_t>1), <Py_ssize_t>1), first
    while begin < end:
        first = max(end - runs, begin)
        apply_runs(x, g, table, out, n, whole, first, end, streamed)
        end = first


cdef inline int per_element(
    const real* x, const real* g, const real* table, real* out, Py_ssize_t rows, Py_ssize_t channels, int threads,
    bint streamed
) noexcept nogil:
    """`apply_runs` to all elements; -1 if the call is to stop."""
    cdef Py_ssize_t whole = run_length(channels), n = rows * channels
    cdef Py_ssize_t runs = (n + whole - 1) // whole if whole > 0 else 0
    cdef Py_ssize_t parts = pieces(2 * n, threads)
    cdef Py_ssize_t share = parts // threads, part, place
    cdef int status = 0
    cdef const int* watched = watch()
    if parts == 1:
        apply_backwards(x, g, table, out, n, whole, 0, runs, streamed)
        return 0
    for part in prange(parts, num_threads=threads, use_threads_if=threads > 1, schedule="static"):
        # Each thread's own parts, the last one first.
        place = part // share * share + share - 1 - part % share
        if stopped(watched):
            status += -1
        else:
            apply_backwards(
                x, g, table, out, n, whole, runs * place // parts, runs * (place + 1) // parts, streamed
            )
    return status
