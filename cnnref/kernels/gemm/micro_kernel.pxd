"""The micro-kernel: MR x NR sums that stay in registers.

A register block is ``rows x columns`` partial sums that stay in vector registers while two streams run past
them. Row ``r`` reads a scalar ``a[r]`` a step, all rows share one vector ``b`` of `columns` values, and

    out[r][j] = fma(a[r][k], b[k][j], ... fma(a[r][0], b[0][j], start[r][j])) + last[j]

is one chain of fused multiply-adds for each output, in the order of k, and an addition where there is a last term.
Storing a partial sum and taking it up again (``start = out``) is the same chain, so neither the shape of the register block nor
the blocking of k changes a bit.

Where the rows are is read from tables that were written long before: addresses stored just before the register block would
make its first loads wait for all of the last block's stores.

The loops have constant extents after inlining, so that the compiler keeps `sums` in registers (rows run in groups of
at most 7: see setup.py for the reason).
"""

from cnnref.kernels.base.isa cimport CNNREF_VECTOR_BYTES, always_inline, noinline, unlikely
from cnnref.kernels.base.register_block cimport MOST_COLUMNS, MOST_ROWS, MOST_SUMS, block_rows, lanes, widest
from cnnref.kernels.base.types cimport multiply_add, real
from cnnref.kernels.gemm.micro_kernel_strided cimport evenly_spaced, micro_kernel_strided
from cnnref.kernels.gemm.micro_kernel_tail cimport four_rows_of_2_vectors, four_rows_of_widest, three_rows_of_widest


cdef inline always_inline multiply_register_block(
    const int groups, const int rows, const int columns,
    const real* a, const Py_ssize_t* places, Py_ssize_t a_step, Py_ssize_t a_skip,
    const real* b, const Py_ssize_t b_step, const Py_ssize_t b_skip, Py_ssize_t runs, Py_ssize_t length,
    const real* start, const Py_ssize_t* start_places, const real* last, real* out, const Py_ssize_t* out_places,
) noexcept nogil:
    """Multiply ``runs * length`` steps, at least one, into a register block; after each run `a` and `b` skip on.

    Row r reads from ``a + places[r]`` on, starts at ``start + start_places[r]`` and ends at ``out + out_places[r]``.
    `last` is added to every row; NULL where there is nothing to add.
    """
    cdef real sums[MOST_SUMS]
    cdef real own[MOST_COLUMNS]
    cdef const real* source[MOST_ROWS]
    cdef real left
    cdef Py_ssize_t _step, offset = 0, rest = length
    cdef int group, row, j
    if runs * length <= 0:  # with this the compiler knows that the loop below runs, and keeps `sums` out of memory
        return
    for group in range(groups):
        for row in range(rows):
            source[group * rows + row] = a + places[group * rows + row]
            for j in range(columns):
                sums[(group * rows + row) * columns + j] = (start + start_places[group * rows + row])[j]
    for _step in range(runs * length):
        for group in range(groups):
            for row in range(rows):
                left = source[group * rows + row][offset]
                for j in range(columns):
                    sums[(group * rows + row) * columns + j] = multiply_add(
                        left, b[j], sums[(group * rows + row) * columns + j]
                    )
        offset += a_step
        b += b_step
        rest -= 1
        if unlikely(rest == 0):
            rest = length
            offset += a_skip
            b += b_skip
    if last != NULL:
        # Stored apart: `sums` would be forced into memory, were they changed on one way only.
        for j in range(columns):
            own[j] = last[j]
        for group in range(groups):
            for row in range(rows):
                for j in range(columns):
                    (out + out_places[group * rows + row])[j] = sums[(group * rows + row) * columns + j] + own[j]
        return
    for group in range(groups):
        for row in range(rows):
            for j in range(columns):
                (out + out_places[group * rows + row])[j] = sums[(group * rows + row) * columns + j]


cdef inline noinline block_6_by_4_vectors(
    const real* a, const Py_ssize_t* places, Py_ssize_t a_step, Py_ssize_t a_skip, const real* b, Py_ssize_t b_skip,
    Py_ssize_t runs, Py_ssize_t length,
    const real* start, const Py_ssize_t* start_places, const real* last, real* out, const Py_ssize_t* out_places,
) noexcept nogil:
    """6 rows of 4 vectors of 64 bytes."""
    multiply_register_block(
        1, 6, 4 * lanes(<real>0), a, places, a_step, a_skip, b, 4 * lanes(<real>0), b_skip, runs, length, start,
        start_places, last, out, out_places,
    )


cdef inline noinline block_8_by_3_vectors(
    const real* a, const Py_ssize_t* places, Py_ssize_t a_step, Py_ssize_t a_skip, const real* b, Py_ssize_t b_skip,
    Py_ssize_t runs, Py_ssize_t length,
    const real* start, const Py_ssize_t* start_places, const real* last, real* out, const Py_ssize_t* out_places,
) noexcept nogil:
    """8 rows of 3 vectors of 64 bytes."""
    multiply_register_block(
        2, 4, 3 * lanes(<real>0), a, places, a_step, a_skip, b, 3 * lanes(<real>0), b_skip, runs, length, start,
        start_places, last, out, out_places,
    )


cdef inline noinline block_8_by_2_vectors(
    const real* a, const Py_ssize_t* places, Py_ssize_t a_step, Py_ssize_t a_skip, const real* b, Py_ssize_t b_skip,
    Py_ssize_t runs, Py_ssize_t length,
    const real* start, const Py_ssize_t* start_places, const real* last, real* out, const Py_ssize_t* out_places,
) noexcept nogil:
    """8 rows of 2 vectors of 64 bytes."""
    multiply_register_block(
        2, 4, 2 * lanes(<real>0), a, places, a_step, a_skip, b, 2 * lanes(<real>0), b_skip, runs, length, start,
        start_places, last, out, out_places,
    )


cdef inline noinline block_of_16_columns(
    const real* a, const Py_ssize_t* places, Py_ssize_t a_step, Py_ssize_t a_skip, const real* b, Py_ssize_t b_skip,
    Py_ssize_t runs, Py_ssize_t length,
    const real* start, const Py_ssize_t* start_places, const real* last, real* out, const Py_ssize_t* out_places,
) noexcept nogil:
    """8 rows of 16 columns, or 6 where there are 16 registers."""
    if CNNREF_VECTOR_BYTES == 64:
        multiply_register_block(
            2, 4, 16, a, places, a_step, a_skip, b, 16, b_skip, runs, length,
            start, start_places, last, out, out_places,
        )
    else:
        multiply_register_block(
            1, 6, 16, a, places, a_step, a_skip, b, 16, b_skip, runs, length,
            start, start_places, last, out, out_places,
        )


cdef inline noinline block_of_8_columns(
    const real* a, const Py_ssize_t* places, Py_ssize_t a_step, Py_ssize_t a_skip, const real* b, Py_ssize_t b_skip,
    Py_ssize_t runs, Py_ssize_t length,
    const real* start, const Py_ssize_t* start_places, const real* last, real* out, const Py_ssize_t* out_places,
) noexcept nogil:
    """8 rows of 8 columns; 7, or 6 of two vectors, where there are 16 registers."""
    if CNNREF_VECTOR_BYTES == 64:
        multiply_register_block(
            2, 4, 8, a, places, a_step, a_skip, b, 8, b_skip, runs, length,
            start, start_places, last, out, out_places,
        )
    elif real is float:
        multiply_register_block(
            1, 7, 8, a, places, a_step, a_skip, b, 8, b_skip, runs, length,
            start, start_places, last, out, out_places,
        )
    else:
        multiply_register_block(
            1, 6, 8, a, places, a_step, a_skip, b, 8, b_skip, runs, length,
            start, start_places, last, out, out_places,
        )


cdef inline noinline one_row_of_widest(
    const real* a, const Py_ssize_t* places, Py_ssize_t a_step, Py_ssize_t a_skip, const real* b, Py_ssize_t b_skip,
    Py_ssize_t runs, Py_ssize_t length,
    const real* start, const Py_ssize_t* start_places, const real* last, real* out, const Py_ssize_t* out_places,
) noexcept nogil:
    """One row as wide as the widest register block."""
    multiply_register_block(
        1, 1, widest(<real>0), a, places, a_step, a_skip, b, widest(<real>0), b_skip, runs, length,
        start, start_places, last, out, out_places,
    )


cdef inline void some_of_a_vector(
    int columns,
    const real* a, const Py_ssize_t* places, Py_ssize_t a_step, Py_ssize_t a_skip, const real* b, Py_ssize_t b_skip,
    Py_ssize_t runs, Py_ssize_t length,
    const real* start, const Py_ssize_t* start_places, const real* last, real* out, const Py_ssize_t* out_places,
) noexcept nogil:
    """Up to 8 rows of 16 or 8 columns."""
    if columns == 16:
        block_of_16_columns(
            a, places, a_step, a_skip, b, b_skip, runs, length, start, start_places, last, out, out_places
        )
    else:
        block_of_8_columns(
            a, places, a_step, a_skip, b, b_skip, runs, length, start, start_places, last, out, out_places
        )


cdef inline void micro_kernel(
    int columns, int count,
    const real* a, const Py_ssize_t* places, Py_ssize_t a_step, Py_ssize_t a_skip, const real* b, Py_ssize_t b_skip,
    Py_ssize_t runs, Py_ssize_t length,
    const real* start, const Py_ssize_t* start_places, const real* last, real* out, const Py_ssize_t* out_places,
) noexcept nogil:
    """Run the register block for `columns` columns of a panel `b` on `count` rows.

    All of the places must be readable that a register block of `block_rows` rows has: the rows beyond `count` may be run too.
    """
    cdef int lane = lanes(a[0]), first
    if columns == widest(a[0]) and count == 1:
        one_row_of_widest(
            a, places, a_step, a_skip, b, b_skip, runs, length, start, start_places, last, out, out_places
        )
    elif columns == widest(a[0]) and count <= 3:
        three_rows_of_widest(
            a, places, a_step, a_skip, b, b_skip, runs, length, start, start_places, last, out, out_places
        )
    elif CNNREF_VECTOR_BYTES == 64 and columns == 4 * lane and count == 4:
        four_rows_of_widest(
            a, places, a_step, a_skip, b, b_skip, runs, length, start, start_places, last, out, out_places
        )
    elif CNNREF_VECTOR_BYTES == 64 and columns == 4 * lane:
        block_6_by_4_vectors(
            a, places, a_step, a_skip, b, b_skip, runs, length, start, start_places, last, out, out_places
        )
    elif CNNREF_VECTOR_BYTES == 64 and count == block_rows(columns, a[0]) and evenly_spaced(places, count):
        micro_kernel_strided(
            columns, lane, a, places, a_step, a_skip, b, b_skip, runs, length, start, start_places, last, out, out_places
        )
    elif CNNREF_VECTOR_BYTES == 64 and columns == 3 * lane:
        block_8_by_3_vectors(
            a, places, a_step, a_skip, b, b_skip, runs, length, start, start_places, last, out, out_places
        )
    elif CNNREF_VECTOR_BYTES == 64 and columns == 2 * lane and count <= 4:
        four_rows_of_2_vectors(
            a, places, a_step, a_skip, b, b_skip, runs, length, start, start_places, last, out, out_places
        )
    elif CNNREF_VECTOR_BYTES == 64 and columns == 2 * lane:
        block_8_by_2_vectors(
            a, places, a_step, a_skip, b, b_skip, runs, length, start, start_places, last, out, out_places
        )
    else:
        for first in range(0, count, 8):
            some_of_a_vector(
                columns, a, places + first, a_step, a_skip, b, b_skip, runs, length,
                start, start_places + first, last, out, out_places + first,
            )
