"""Micro-kernels of correlations whose channels do not mix: depthwise, and grouped with few channels a group.

Neighbouring columns read neighbouring channels, so a vector of columns is multiplied with a vector of the image, value by
value, where a register block of ``gemm/micro_kernel.pxd`` multiplies it with one number. Which pixel a tap reads is looked
up in a table of pointers (``indirection.pxd``), whose entries for the padding left and right of the image point to zeros.
This is the register block of some pixels of a row, ``out[p][j] = sum over (row, column, i) of x[j] * w[j] + last[j]``; that
of some taps, for the gradient of the filters, stands in ``wgrad_micro_kernel.pxd``.

Each element is one chain of fused multiply-adds from 0 in that order and one addition. The loops have constant extents
after inlining, as in ``gemm/micro_kernel.pxd``.
"""

from cnnref.kernels.base.isa cimport CNNREF_VECTOR_BYTES, always_inline, noinline, unlikely
from cnnref.kernels.base.register_block cimport lanes
from cnnref.kernels.base.types cimport multiply_add, real

cdef enum:
    # Pixels or taps, and sums, of the largest register block.
    MOST_DEPTHWISE_ROWS = 12
    MOST_DEPTHWISE_SUMS = 432


cdef inline always_inline multiply_depthwise(
    const int groups, const int rows, const int columns, Py_ssize_t tiles,
    const real** table, Py_ssize_t stride, Py_ssize_t gap, Py_ssize_t line, Py_ssize_t at,
    Py_ssize_t window_h, Py_ssize_t window_w, Py_ssize_t inner,
    const real* w, const real* last, real* out, Py_ssize_t out_step,
) noexcept nogil:
    """`tiles` times ``groups * rows`` pixels, `stride` entries of the table and `out_step` values apart.

    The taps are `gap` entries, their rows `line` apart. Each tap has `inner` terms of `columns` values, `at` after where the
    table points to, which `w` has one after the other. `last` is added to every pixel; NULL where there is nothing to add.
    """
    cdef real sums[MOST_DEPTHWISE_SUMS]
    cdef real own[64]
    cdef const real* source
    cdef const real* weights
    cdef const real** entry
    cdef Py_ssize_t _tile, _step, offset, terms, columns_left
    cdef int group, row, j
    # The loops below would not be unrolled, and the sums not kept in registers, were they not inside of this one.
    for _tile in range(tiles):
        for group in range(groups):
            for row in range(rows):
                for j in range(columns):
                    sums[(group * rows + row) * columns + j] = 0
        weights = w
        entry = table
        offset = at
        terms = inner
        columns_left = window_w
        # One loop with counters inside: nested ones cost the sums their registers.
        for _step in range(window_h * window_w * inner):
            for group in range(groups):
                for row in range(rows):
                    source = entry[(group * rows + row) * stride] + offset
                    for j in range(columns):
                        sums[(group * rows + row) * columns + j] = multiply_add(
                            source[j], weights[j], sums[(group * rows + row) * columns + j]
                        )
            weights += columns
            offset += columns
            terms -= 1
            if terms == 0:
                terms = inner
                offset = at
                entry += gap
                columns_left -= 1
                if unlikely(columns_left == 0):
                    columns_left = window_w
                    entry += line - window_w * gap
        if last == NULL:
            for group in range(groups):
                for row in range(rows):
                    for j in range(columns):
                        out[(group * rows + row) * out_step + j] = sums[(group * rows + row) * columns + j]
        else:
            for j in range(columns):
                own[j] = last[j]
            for group in range(groups):
                for row in range(rows):
                    for j in range(columns):
                        out[(group * rows + row) * out_step + j] = sums[(group * rows + row) * columns + j] + own[j]
        table += groups * rows * stride
        out += groups * rows * out_step


cdef inline int pixels_of_block(Py_ssize_t left, int columns, real kind) noexcept nogil:
    """How many pixels the next register block of `depthwise_micro_kernel` has when `left` of a row are still to do."""
    cdef int lane = lanes(kind)
    cdef int most = 7, few = 4
    if CNNREF_VECTOR_BYTES == 64:
        if columns == 4 * lane:
            most = 6
        elif columns == 3 * lane:
            most = 9
        elif columns == 2 * lane:
            most, few = 12, 7
    elif columns == 16 or real is double:
        most = 6
    return most if left > 2 * few or few < left <= most else few


cdef inline noinline depthwise_4_vectors(
    int pixels, Py_ssize_t tiles, const real** table, Py_ssize_t stride, Py_ssize_t gap, Py_ssize_t line, Py_ssize_t at,
    Py_ssize_t window_h, Py_ssize_t window_w, Py_ssize_t inner,
    const real* w, const real* last, real* out, Py_ssize_t out_step,
) noexcept nogil:
    """6 or 4 pixels of 4 vectors of 64 bytes."""
    if pixels == 6:
        multiply_depthwise(
            1, 6, 4 * lanes(<real>0), tiles, table, stride, gap, line, at, window_h, window_w, inner, w, last, out, out_step
        )
    else:
        multiply_depthwise(
            1, 4, 4 * lanes(<real>0), tiles, table, stride, gap, line, at, window_h, window_w, inner, w, last, out, out_step
        )


cdef inline noinline depthwise_3_vectors(
    int pixels, Py_ssize_t tiles, const real** table, Py_ssize_t stride, Py_ssize_t gap, Py_ssize_t line, Py_ssize_t at,
    Py_ssize_t window_h, Py_ssize_t window_w, Py_ssize_t inner,
    const real* w, const real* last, real* out, Py_ssize_t out_step,
) noexcept nogil:
    """9 or 4 pixels of 3 vectors of 64 bytes."""
    if pixels == 9:
        multiply_depthwise(
            3, 3, 3 * lanes(<real>0), tiles, table, stride, gap, line, at, window_h, window_w, inner, w, last, out, out_step
        )
    else:
        multiply_depthwise(
            1, 4, 3 * lanes(<real>0), tiles, table, stride, gap, line, at, window_h, window_w, inner, w, last, out, out_step
        )


cdef inline noinline depthwise_2_vectors(
    int pixels, Py_ssize_t tiles, const real** table, Py_ssize_t stride, Py_ssize_t gap, Py_ssize_t line, Py_ssize_t at,
    Py_ssize_t window_h, Py_ssize_t window_w, Py_ssize_t inner,
    const real* w, const real* last, real* out, Py_ssize_t out_step,
) noexcept nogil:
    """12 or 7 pixels of 2 vectors of 64 bytes."""
    if pixels == 12:
        multiply_depthwise(
            2, 6, 2 * lanes(<real>0), tiles, table, stride, gap, line, at, window_h, window_w, inner, w, last, out, out_step
        )
    else:
        multiply_depthwise(
            1, 7, 2 * lanes(<real>0), tiles, table, stride, gap, line, at, window_h, window_w, inner, w, last, out, out_step
        )


cdef inline noinline depthwise_16_columns(
    int pixels, Py_ssize_t tiles, const real** table, Py_ssize_t stride, Py_ssize_t gap, Py_ssize_t line, Py_ssize_t at,
    Py_ssize_t window_h, Py_ssize_t window_w, Py_ssize_t inner,
    const real* w, const real* last, real* out, Py_ssize_t out_step,
) noexcept nogil:
    """7 (6 where there are 16 registers) or 4 pixels of 16 columns."""
    if pixels == 4:
        multiply_depthwise(
            1, 4, 16, tiles, table, stride, gap, line, at, window_h, window_w, inner, w, last, out, out_step
        )
    elif CNNREF_VECTOR_BYTES == 64:
        multiply_depthwise(
            1, 7, 16, tiles, table, stride, gap, line, at, window_h, window_w, inner, w, last, out, out_step
        )
    else:
        multiply_depthwise(
            1, 6, 16, tiles, table, stride, gap, line, at, window_h, window_w, inner, w, last, out, out_step
        )


cdef inline noinline depthwise_8_columns(
    int pixels, Py_ssize_t tiles, const real** table, Py_ssize_t stride, Py_ssize_t gap, Py_ssize_t line, Py_ssize_t at,
    Py_ssize_t window_h, Py_ssize_t window_w, Py_ssize_t inner,
    const real* w, const real* last, real* out, Py_ssize_t out_step,
) noexcept nogil:
    """7 (6 where 8 columns are two of 16 registers) or 4 pixels of 8 columns."""
    if pixels == 4:
        multiply_depthwise(
            1, 4, 8, tiles, table, stride, gap, line, at, window_h, window_w, inner, w, last, out, out_step
        )
    elif real is float or CNNREF_VECTOR_BYTES == 64:
        multiply_depthwise(
            1, 7, 8, tiles, table, stride, gap, line, at, window_h, window_w, inner, w, last, out, out_step
        )
    else:
        multiply_depthwise(
            1, 6, 8, tiles, table, stride, gap, line, at, window_h, window_w, inner, w, last, out, out_step
        )


cdef inline void depthwise_micro_kernel(
    int pixels, int columns, Py_ssize_t tiles, const real** table, Py_ssize_t stride, Py_ssize_t gap, Py_ssize_t line,
    Py_ssize_t at, Py_ssize_t window_h, Py_ssize_t window_w, Py_ssize_t inner,
    const real* w, const real* last, real* out, Py_ssize_t out_step,
) noexcept nogil:
    """Run `multiply_depthwise` for `pixels_of_block` pixels of a panel's width of columns."""
    cdef int lane = lanes(w[0])
    if CNNREF_VECTOR_BYTES == 64 and columns == 4 * lane:
        depthwise_4_vectors(
            pixels, tiles, table, stride, gap, line, at, window_h, window_w, inner, w, last, out, out_step
        )
    elif CNNREF_VECTOR_BYTES == 64 and columns == 3 * lane:
        depthwise_3_vectors(
            pixels, tiles, table, stride, gap, line, at, window_h, window_w, inner, w, last, out, out_step
        )
    elif CNNREF_VECTOR_BYTES == 64 and columns == 2 * lane:
        depthwise_2_vectors(
            pixels, tiles, table, stride, gap, line, at, window_h, window_w, inner, w, last, out, out_step
        )
    elif columns == 16:
        depthwise_16_columns(
            pixels, tiles, table, stride, gap, line, at, window_h, window_w, inner, w, last, out, out_step
        )
    else:
        depthwise_8_columns(
            pixels, tiles, table, stride, gap, line, at, window_h, window_w, inner, w, last, out, out_step
        )
