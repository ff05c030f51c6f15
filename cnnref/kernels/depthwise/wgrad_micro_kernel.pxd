"""Micro-kernels of the gradient of filters whose channels do not mix: some taps, summed over the pixels.

``out[t][j] = sum over pixels of x[j] * dZ[j]``, for small groups with each term of its group in place of ``x[j]``: values and
table are those of ``micro_kernel.pxd``, each element one chain of fused multiply-adds in the order of the pixels.
"""

from cnnref.kernels.base.isa cimport CNNREF_VECTOR_BYTES, always_inline, noinline
from cnnref.kernels.base.register_block cimport lanes, sum_registers, vector
from cnnref.kernels.base.types cimport real
from cnnref.kernels.base.vector cimport add_product, copy_row, registers, zero_row
from cnnref.kernels.depthwise.micro_kernel cimport (
    MOST_DEPTHWISE_ROWS,
    MOST_DEPTHWISE_SUMS,
    add_term,
    group_columns,
)


cdef inline always_inline sum_taps(
    const int terms, const int rows, const int columns, Py_ssize_t tiles,
    const real** table, const Py_ssize_t* taps, Py_ssize_t stride, Py_ssize_t skip, Py_ssize_t at, Py_ssize_t table_step,
    const real* dZ, Py_ssize_t dZ_step, Py_ssize_t pieces, Py_ssize_t n_rows, Py_ssize_t n_columns, real* out,
) noexcept nogil:
    """`tiles` times `rows` taps, at entries `taps` of the table, for ``pieces * n_rows * n_columns`` pixels.

    The pixels are `stride` entries apart; after each row the table skips on, the next piece's is `table_step` entries on.
    `dZ` has the pixels one after the other; a tap's `terms` follow one another.
    """
    cdef registers room
    cdef real* sums = <real*>room.bytes
    cdef real values[MOST_DEPTHWISE_SUMS]
    cdef const real* gradient
    cdef const real** entries[MOST_DEPTHWISE_ROWS]
    cdef Py_ssize_t _tile, piece, _y, _x, place
    cdef int row
    for _tile in range(tiles):
        for row in range(rows):
            entries[row] = table + taps[row]
        for row in range(rows * terms):
            zero_row(columns, sums + row * columns)
        gradient = dZ
        for piece in range(pieces):
            place = piece * table_step
            for _y in range(n_rows):
                for _x in range(n_columns):
                    if terms == 1:
                        for row in range(rows):
                            add_product(columns, entries[row][place] + at, gradient, sums + row * columns)
                    else:
                        for row in range(rows):
                            copy_row(columns, entries[row][place] + at, values + row * columns)
                        add_term(terms, 0, rows, columns, terms, values, gradient, sums + 0 * columns)
                        add_term(terms, 1, rows, columns, terms, values, gradient, sums + 1 * columns)
                        add_term(terms, 2, rows, columns, terms, values, gradient, sums + 2 * columns)
                        add_term(terms, 3, rows, columns, terms, values, gradient, sums + 3 * columns)
                        add_term(terms, 4, rows, columns, terms, values, gradient, sums + 4 * columns)
                        add_term(terms, 5, rows, columns, terms, values, gradient, sums + 5 * columns)
                        add_term(terms, 6, rows, columns, terms, values, gradient, sums + 6 * columns)
                        add_term(terms, 7, rows, columns, terms, values, gradient, sums + 7 * columns)
                    place += stride
                    gradient += dZ_step
                place += skip
        for row in range(rows * terms):
            copy_row(columns, sums + row * columns, out + row * columns)
        taps += rows
        out += rows * terms * columns


cdef inline int taps_width(Py_ssize_t columns, real kind) noexcept nogil:
    """Columns of the next block of `depthwise_wgrad_micro_kernel`: 3 vectors of 64 bytes leave room for 9 taps."""
    cdef int lane = lanes(kind)
    cdef int most = 3 * lane if CNNREF_VECTOR_BYTES == 64 else (16 if real is float else 8)
    if columns <= 8:
        return 8
    return most if columns >= most else lane * <int>((columns + lane - 1) // lane)


cdef inline int taps_of_block(int columns, real kind) noexcept nogil:
    """Taps of a register block of `depthwise_wgrad_micro_kernel`."""
    return 9 if CNNREF_VECTOR_BYTES == 64 else min(sum_registers() * vector(kind) // columns, 9)


cdef inline noinline depthwise_wgrad_micro_kernel(
    int columns, Py_ssize_t tiles, const real** table, const Py_ssize_t* taps, Py_ssize_t stride, Py_ssize_t skip,
    Py_ssize_t at, Py_ssize_t table_step, const real* dZ, Py_ssize_t dZ_step, Py_ssize_t pieces, Py_ssize_t n_rows,
    Py_ssize_t n_columns, real* out,
) noexcept nogil:
    """Run `sum_taps` for `taps_of_block` taps of `taps_width` columns."""
    if CNNREF_VECTOR_BYTES == 64 and columns == 3 * lanes(dZ[0]):
        sum_taps(
            1, 9, 3 * lanes(<real>0), tiles, table, taps, stride, skip, at, table_step, dZ, dZ_step, pieces, n_rows,
            n_columns, out
        )
    elif CNNREF_VECTOR_BYTES == 64 and columns == 2 * lanes(dZ[0]):
        sum_taps(
            1, 9, 2 * lanes(<real>0), tiles, table, taps, stride, skip, at, table_step, dZ, dZ_step, pieces, n_rows,
            n_columns, out
        )
    elif columns == 16:
        sum_taps(
            1, taps_of_block(16, <real>0), 16, tiles, table, taps, stride, skip, at, table_step, dZ, dZ_step, pieces, n_rows,
            n_columns, out
        )
    else:
        sum_taps(
            1, taps_of_block(8, <real>0), 8, tiles, table, taps, stride, skip, at, table_step, dZ, dZ_step, pieces, n_rows,
            n_columns, out
        )


cdef inline int grouped_taps(const Py_ssize_t terms, real kind) noexcept nogil:
    """Taps of a register block of groups: a row of the usual window, where there are registers for it."""
    return max(min(sum_registers() * vector(kind) // (<int>terms * group_columns(terms, kind)), 3), 1)


cdef inline noinline grouped_wgrad_micro_kernel(
    Py_ssize_t terms, Py_ssize_t tiles, const real** table, const Py_ssize_t* taps, Py_ssize_t stride, Py_ssize_t skip,
    Py_ssize_t at, Py_ssize_t table_step, const real* dZ, Py_ssize_t dZ_step, Py_ssize_t pieces, Py_ssize_t n_rows,
    Py_ssize_t n_columns, real* out,
) noexcept nogil:
    """Run `sum_taps` for `grouped_taps` taps of `group_columns` columns."""
    if terms == 2:
        sum_taps(
            2, grouped_taps(2, <real>0), group_columns(2, <real>0), tiles, table, taps, stride, skip, at, table_step, dZ,
            dZ_step, pieces, n_rows, n_columns, out
        )
    elif terms == 4:
        sum_taps(
            4, grouped_taps(4, <real>0), group_columns(4, <real>0), tiles, table, taps, stride, skip, at, table_step, dZ,
            dZ_step, pieces, n_rows, n_columns, out
        )
    elif real is float:
        sum_taps(
            8, grouped_taps(8, <real>0), group_columns(8, <real>0), tiles, table, taps, stride, skip, at, table_step, dZ,
            dZ_step, pieces, n_rows, n_columns, out
        )
