"""Micro-kernels of the gradient of filters whose channels do not mix: some taps, summed over the pixels.

``out[t][j] = sum over pixels of x[j] * dZ[j]``: values and table are those of ``micro_kernel.pxd``, each element one chain of
fused multiply-adds in the order of the pixels.
"""

from cnnref.kernels.base.isa cimport CNNREF_VECTOR_BYTES, always_inline, noinline
from cnnref.kernels.base.register_block cimport lanes
from cnnref.kernels.base.types cimport multiply_add, real
from cnnref.kernels.depthwise.micro_kernel cimport MOST_DEPTHWISE_ROWS, MOST_DEPTHWISE_SUMS


cdef inline always_inline sum_taps(
    const int groups, const int rows, const int columns, Py_ssize_t tiles,
    const real** table, const Py_ssize_t* taps, Py_ssize_t stride, Py_ssize_t skip, Py_ssize_t at, Py_ssize_t table_step,
    const real* dZ, Py_ssize_t dZ_step, Py_ssize_t pieces, Py_ssize_t n_rows, Py_ssize_t n_columns, real* out,
) noexcept nogil:
    """`tiles` times ``groups * rows`` taps, at entries `taps` of the table, for ``pieces * n_rows * n_columns`` pixels.

    The pixels are `stride` entries apart; after each row the table skips on, the next piece's is `table_step` entries on.
    `dZ` has the pixels one after the other.
    """
    cdef real sums[MOST_DEPTHWISE_SUMS]
    cdef const real* source
    cdef const real* gradient
    cdef const real** entries[MOST_DEPTHWISE_ROWS]
    cdef Py_ssize_t _tile, piece, _y, _x, place
    cdef int group, row, j
    for _tile in range(tiles):
        for group in range(groups):
            for row in range(rows):
                entries[group * rows + row] = table + taps[group * rows + row]
                for j in range(columns):
                    sums[(group * rows + row) * columns + j] = 0
        gradient = dZ
        for piece in range(pieces):
            place = piece * table_step
            for _y in range(n_rows):
                for _x in range(n_columns):
                    for group in range(groups):
                        for row in range(rows):
                            source = entries[group * rows + row][place] + at
                            for j in range(columns):
                                sums[(group * rows + row) * columns + j] = multiply_add(
                                    source[j], gradient[j], sums[(group * rows + row) * columns + j]
                                )
                    place += stride
                    gradient += dZ_step
                place += skip
        for group in range(groups):
            for row in range(rows):
                for j in range(columns):
                    out[(group * rows + row) * columns + j] = sums[(group * rows + row) * columns + j]
        taps += groups * rows
        out += groups * rows * columns


cdef inline int taps_width(Py_ssize_t columns, real kind) noexcept nogil:
    """Columns of the next block of `depthwise_wgrad_micro_kernel`: 3 vectors of 32 registers leave room for 9 taps."""
    cdef int lane = lanes(kind)
    cdef int most = 3 * lane if CNNREF_VECTOR_BYTES == 64 else (16 if real is float else 8)
    if columns <= 8:
        return 8
    return most if columns >= most else lane * <int>((columns + lane - 1) // lane)


cdef inline noinline taps_of_3_vectors(
    Py_ssize_t tiles, const real** table, const Py_ssize_t* taps, Py_ssize_t stride, Py_ssize_t skip, Py_ssize_t at,
    Py_ssize_t table_step, const real* dZ, Py_ssize_t dZ_step, Py_ssize_t pieces, Py_ssize_t n_rows,
    Py_ssize_t n_columns, real* out,
) noexcept nogil:
    """9 taps of 3 vectors of 64 bytes."""
    sum_taps(
        3, 3, 3 * lanes(<real>0), tiles, table, taps, stride, skip, at, table_step, dZ, dZ_step, pieces, n_rows,
        n_columns, out,
    )


cdef inline noinline taps_of_2_vectors(
    Py_ssize_t tiles, const real** table, const Py_ssize_t* taps, Py_ssize_t stride, Py_ssize_t skip, Py_ssize_t at,
    Py_ssize_t table_step, const real* dZ, Py_ssize_t dZ_step, Py_ssize_t pieces, Py_ssize_t n_rows,
    Py_ssize_t n_columns, real* out,
) noexcept nogil:
    """9 taps of 2 vectors of 64 bytes."""
    sum_taps(
        3, 3, 2 * lanes(<real>0), tiles, table, taps, stride, skip, at, table_step, dZ, dZ_step, pieces, n_rows,
        n_columns, out,
    )


cdef inline noinline taps_of_16_columns(
    Py_ssize_t tiles, const real** table, const Py_ssize_t* taps, Py_ssize_t stride, Py_ssize_t skip, Py_ssize_t at,
    Py_ssize_t table_step, const real* dZ, Py_ssize_t dZ_step, Py_ssize_t pieces, Py_ssize_t n_rows,
    Py_ssize_t n_columns, real* out,
) noexcept nogil:
    """9 taps of 16 columns, or 6 where there are 16 registers."""
    if CNNREF_VECTOR_BYTES == 64:
        sum_taps(
            3, 3, 16, tiles, table, taps, stride, skip, at, table_step, dZ, dZ_step, pieces, n_rows, n_columns, out
        )
    else:
        sum_taps(
            1, 6, 16, tiles, table, taps, stride, skip, at, table_step, dZ, dZ_step, pieces, n_rows, n_columns, out
        )


cdef inline noinline taps_of_8_columns(
    Py_ssize_t tiles, const real** table, const Py_ssize_t* taps, Py_ssize_t stride, Py_ssize_t skip, Py_ssize_t at,
    Py_ssize_t table_step, const real* dZ, Py_ssize_t dZ_step, Py_ssize_t pieces, Py_ssize_t n_rows,
    Py_ssize_t n_columns, real* out,
) noexcept nogil:
    """9 taps of 8 columns, or 6 where those are two of 16 registers."""
    if real is float or CNNREF_VECTOR_BYTES == 64:
        sum_taps(
            3, 3, 8, tiles, table, taps, stride, skip, at, table_step, dZ, dZ_step, pieces, n_rows, n_columns, out
        )
    else:
        sum_taps(
            1, 6, 8, tiles, table, taps, stride, skip, at, table_step, dZ, dZ_step, pieces, n_rows, n_columns, out
        )


cdef inline int taps_of_block(int columns, real kind) noexcept nogil:
    """Taps of a register block of `depthwise_wgrad_micro_kernel`."""
    if CNNREF_VECTOR_BYTES == 64 or (columns == 8 and real is float):
        return 9
    return 6


cdef inline void depthwise_wgrad_micro_kernel(
    int columns, Py_ssize_t tiles, const real** table, const Py_ssize_t* taps, Py_ssize_t stride, Py_ssize_t skip, Py_ssize_t at,
    Py_ssize_t table_step, const real* dZ, Py_ssize_t dZ_step, Py_ssize_t pieces, Py_ssize_t n_rows,
    Py_ssize_t n_columns, real* out,
) noexcept nogil:
    """Run `sum_taps` for `taps_of_block` taps of `taps_width` columns."""
    cdef int lane = lanes(dZ[0])
    if CNNREF_VECTOR_BYTES == 64 and columns == 3 * lane:
        taps_of_3_vectors(
            tiles, table, taps, stride, skip, at, table_step, dZ, dZ_step, pieces, n_rows, n_columns, out
        )
    elif CNNREF_VECTOR_BYTES == 64 and columns == 2 * lane:
        taps_of_2_vectors(
            tiles, table, taps, stride, skip, at, table_step, dZ, dZ_step, pieces, n_rows, n_columns, out
        )
    elif columns == 16:
        taps_of_16_columns(
            tiles, table, taps, stride, skip, at, table_step, dZ, dZ_step, pieces, n_rows, n_columns, out
        )
    else:
        taps_of_8_columns(
            tiles, table, taps, stride, skip, at, table_step, dZ, dZ_step, pieces, n_rows, n_columns, out
        )
