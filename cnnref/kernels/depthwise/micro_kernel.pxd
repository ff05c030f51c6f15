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
from cnnref.kernels.base.register_block cimport lanes, vector
from cnnref.kernels.base.types cimport real
from cnnref.kernels.base.vector cimport add_product, add_rows, copy_row, registers, spread_row, zero_row

cdef enum:
    # Pixels or taps, and sums, of the largest register block.
    MOST_DEPTHWISE_ROWS = 14
    MOST_DEPTHWISE_SUMS = 432
    MOST_DEPTHWISE_COLUMNS = 64
    # Pixels of the larger and of the smaller register block of groups: images are often multiples of 7 wide. The larger one
    # has no registers left for the shuffles of 8 terms, nor those of 2 where a vector has 16 or 32 bytes.
    GROUPED_PIXELS = 14
    FEW_GROUPED_PIXELS = 7


cdef inline always_inline add_term(
    const int terms, const int term, const int rows, const int columns, const int step, const real* values,
    const real* factors, real* sums,
) noexcept nogil:
    """Multiply one term of each row of values, where there are so many, into its sums, `step` rows apart."""
    cdef real spread[MOST_DEPTHWISE_COLUMNS]
    cdef int row
    if term < terms:
        for row in range(rows):
            spread_row(columns, terms, term, values + row * columns, spread)
            add_product(columns, spread, factors, sums + row * step * columns)


cdef inline always_inline multiply_depthwise(
    const int terms, const int rows, const int columns, Py_ssize_t tiles,
    const real** table, Py_ssize_t stride, Py_ssize_t gap, Py_ssize_t line, Py_ssize_t at,
    Py_ssize_t window_h, Py_ssize_t window_w, Py_ssize_t inner,
    const real* w, Py_ssize_t w_step, const real* last, real* out, Py_ssize_t out_step,
) noexcept nogil:
    """`tiles` times `rows` pixels, `stride` entries of the table and `out_step` values apart.

    The taps are `gap` entries, their rows `line` apart. Each tap has `inner` rows of `columns` values, `at` after where the
    table points to, and each value `terms`, itself and its neighbours in a group; `w` has a row for each of these, `w_step`
    apart. `last` is added to every pixel; NULL where there is nothing to add.
    """
    cdef registers room
    cdef real* sums = <real*>room.bytes
    cdef real values[MOST_DEPTHWISE_SUMS]
    cdef real own[MOST_DEPTHWISE_COLUMNS]
    cdef const real* weights
    cdef const real** entry
    cdef Py_ssize_t _tile, _step, offset, left, columns_left
    cdef int row
    for _tile in range(tiles):
        for row in range(rows):
            zero_row(columns, sums + row * columns)
        weights = w
        entry = table
        offset = at
        left = inner
        columns_left = window_w
        # One loop with counters inside: nested ones cost the sums their registers.
        for _step in range(window_h * window_w * inner):
            if terms == 1:
                for row in range(rows):
                    add_product(columns, entry[row * stride] + offset, weights, sums + row * columns)
            else:
                for row in range(rows):
                    copy_row(columns, entry[row * stride] + offset, values + row * columns)
                # A list of calls, since neither gcc nor clang would unroll a loop of that size: with it, 1.2 times the time.
                add_term(terms, 0, rows, columns, 1, values, weights + 0 * w_step, sums)
                add_term(terms, 1, rows, columns, 1, values, weights + 1 * w_step, sums)
                add_term(terms, 2, rows, columns, 1, values, weights + 2 * w_step, sums)
                add_term(terms, 3, rows, columns, 1, values, weights + 3 * w_step, sums)
                add_term(terms, 4, rows, columns, 1, values, weights + 4 * w_step, sums)
                add_term(terms, 5, rows, columns, 1, values, weights + 5 * w_step, sums)
                add_term(terms, 6, rows, columns, 1, values, weights + 6 * w_step, sums)
                add_term(terms, 7, rows, columns, 1, values, weights + 7 * w_step, sums)
            weights += terms * w_step
            offset += columns
            left -= 1
            if left == 0:
                left = inner
                offset = at
                entry += gap
                columns_left -= 1
                if unlikely(columns_left == 0):
                    columns_left = window_w
                    entry += line - window_w * gap
        if last == NULL:
            for row in range(rows):
                copy_row(columns, sums + row * columns, out + row * out_step)
        else:
            copy_row(columns, last, own)
            for row in range(rows):
                add_rows(columns, sums + row * columns, own, out + row * out_step)
        table += rows * stride
        out += rows * out_step


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


cdef inline always_inline multiply_either(
    const int most, const int few, const int columns, int pixels,
    Py_ssize_t tiles, const real** table, Py_ssize_t stride, Py_ssize_t gap, Py_ssize_t line,
    Py_ssize_t at, Py_ssize_t window_h, Py_ssize_t window_w, Py_ssize_t inner,
    const real* w, const real* last, real* out, Py_ssize_t out_step,
) noexcept nogil:
    """`multiply_depthwise` of `most` or `few` pixels."""
    if pixels == most:
        multiply_depthwise(
            1, most, columns, tiles, table, stride, gap, line, at, window_h, window_w, inner, w, columns, last, out, out_step
        )
    else:
        multiply_depthwise(
            1, few, columns, tiles, table, stride, gap, line, at, window_h, window_w, inner, w, columns, last, out, out_step
        )


cdef inline noinline depthwise_micro_kernel(
    int pixels, int columns, Py_ssize_t tiles, const real** table, Py_ssize_t stride, Py_ssize_t gap, Py_ssize_t line,
    Py_ssize_t at, Py_ssize_t window_h, Py_ssize_t window_w,
    Py_ssize_t inner, const real* w, const real* last, real* out, Py_ssize_t out_step,
) noexcept nogil:
    """Run `multiply_depthwise` for `pixels_of_block` pixels of a panel's width of columns."""
    if CNNREF_VECTOR_BYTES == 64 and columns == 4 * lanes(w[0]):
        multiply_either(
            6, 4, 4 * lanes(<real>0), pixels, tiles, table, stride, gap, line, at, window_h, window_w, inner, w, last, out,
            out_step
        )
    elif CNNREF_VECTOR_BYTES == 64 and columns == 3 * lanes(w[0]):
        multiply_either(
            9, 4, 3 * lanes(<real>0), pixels, tiles, table, stride, gap, line, at, window_h, window_w, inner, w, last, out,
            out_step
        )
    elif CNNREF_VECTOR_BYTES == 64 and columns == 2 * lanes(w[0]):
        multiply_either(
            12, 7, 2 * lanes(<real>0), pixels, tiles, table, stride, gap, line, at, window_h, window_w, inner, w, last, out,
            out_step
        )
    elif columns == 16:
        multiply_either(
            7 if CNNREF_VECTOR_BYTES == 64 else 6, 4, 16, pixels, tiles, table, stride, gap, line, at, window_h, window_w,
            inner, w, last, out, out_step
        )
    else:
        multiply_either(
            7 if real is float or CNNREF_VECTOR_BYTES == 64 else 6, 4, 8, pixels, tiles, table, stride, gap, line, at,
            window_h, window_w, inner, w, last, out, out_step
        )


cdef inline int group_columns(const Py_ssize_t terms, real kind) noexcept nogil:
    """Columns of a register block of groups: one vector, unless a group is larger."""
    return max(vector(kind), <int>terms)


cdef inline int grouped_pixels(Py_ssize_t left, Py_ssize_t terms) noexcept nogil:
    """How many pixels the next register block has when `left` of a row are still to do."""
    return GROUPED_PIXELS if CNNREF_VECTOR_BYTES == 64 and terms < 8 and left >= GROUPED_PIXELS else FEW_GROUPED_PIXELS


cdef inline noinline multiply_group(
    Py_ssize_t terms, Py_ssize_t tiles, const real** table, Py_ssize_t stride, Py_ssize_t gap, Py_ssize_t line,
    Py_ssize_t at, Py_ssize_t window_h, Py_ssize_t window_w,
    const real* w, Py_ssize_t w_step, const real* last, real* out, Py_ssize_t out_step,
) noexcept nogil:
    """`multiply_depthwise` of `GROUPED_PIXELS` pixels of `group_columns` columns."""
    if terms == 2:
        multiply_depthwise(
            2, GROUPED_PIXELS, group_columns(2, <real>0), tiles, table, stride, gap, line, at, window_h, window_w, 1, w,
            w_step, last, out, out_step
        )
    else:
        multiply_depthwise(
            4, GROUPED_PIXELS, group_columns(4, <real>0), tiles, table, stride, gap, line, at, window_h, window_w, 1, w,
            w_step, last, out, out_step
        )


cdef inline noinline multiply_group_few(
    Py_ssize_t terms, Py_ssize_t tiles, const real** table, Py_ssize_t stride, Py_ssize_t gap, Py_ssize_t line,
    Py_ssize_t at, Py_ssize_t window_h, Py_ssize_t window_w,
    const real* w, Py_ssize_t w_step, const real* last, real* out, Py_ssize_t out_step,
) noexcept nogil:
    """`multiply_depthwise` of `FEW_GROUPED_PIXELS` pixels of `group_columns` columns."""
    if terms == 2:
        multiply_depthwise(
            2, FEW_GROUPED_PIXELS, group_columns(2, <real>0), tiles, table, stride, gap, line, at, window_h, window_w, 1, w,
            w_step, last, out, out_step
        )
    elif terms == 4:
        multiply_depthwise(
            4, FEW_GROUPED_PIXELS, group_columns(4, <real>0), tiles, table, stride, gap, line, at, window_h, window_w, 1, w,
            w_step, last, out, out_step
        )
    elif real is float:
        multiply_depthwise(
            8, FEW_GROUPED_PIXELS, group_columns(8, <real>0), tiles, table, stride, gap, line, at, window_h, window_w, 1, w,
            w_step, last, out, out_step
        )


cdef inline void grouped_micro_kernel(
    Py_ssize_t terms, int pixels, int columns, Py_ssize_t tiles, const real** table, Py_ssize_t stride, Py_ssize_t gap,
    Py_ssize_t line,
    Py_ssize_t at, Py_ssize_t window_h, Py_ssize_t window_w,
    const real* w, const real* last, real* out, Py_ssize_t out_step,
) noexcept nogil:
    """Run `multiply_depthwise` for all `columns`, whole vectors, of a panel on `tiles` times `pixels` pixels."""
    cdef int first = 0
    while first < columns:
        if CNNREF_VECTOR_BYTES == 64 and pixels == GROUPED_PIXELS:
            multiply_group(
                terms, tiles, table, stride, gap, line, at + first, window_h, window_w, w + first, columns,
                last + first if last != NULL else last, out + first, out_step,
            )
        else:
            multiply_group_few(
                terms, tiles, table, stride, gap, line, at + first, window_h, window_w, w + first, columns,
                last + first if last != NULL else last, out + first, out_step,
            )
        first += group_columns(terms, <real>0)
