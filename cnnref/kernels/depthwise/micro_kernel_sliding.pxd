"""Micro-kernel of a sliding window: each value of the image is loaded once for all taps of a window row.

The register block of ``micro_kernel.pxd`` loads a vector of the image for each multiplication. Where neighbouring windows
are one or two pixels apart and 3, 5 or 7 pixels wide, the pixel that is the last tap of one output is an earlier one of the
next: here it is loaded once and multiplied with every tap. Each output is the same chain in the same order. Columns are
taken register block by register block, all of them before the next pixels: those of a panel, or of a whole pixel.
"""

from cnnref.kernels.base.isa cimport CNNREF_REGISTERS, always_inline, noinline
from cnnref.kernels.base.register_block cimport vector, widest
from cnnref.kernels.base.types cimport real
from cnnref.kernels.base.vector cimport add_product, add_rows, copy_row, registers, zero_row
from cnnref.kernels.conv.problem cimport Correlation, alike, taps_of

cdef enum:
    # Output pixels of a register block: images are often multiples of 7 wide, and 7 chains a vector keep the multipliers busy.
    SLIDING_PIXELS = 7
    SLIDING_COLUMNS = 32


cdef inline always_inline take_pixel(
    const int stride, const int taps, const int columns, const int place, const real** entry, Py_ssize_t at,
    const real* weights, Py_ssize_t w_step, real* sums,
) noexcept nogil:
    """Multiply the pixel at `place` of a register block's window row into every output that it is a tap of."""
    cdef real value[SLIDING_COLUMNS]
    cdef int tap
    if place < (SLIDING_PIXELS - 1) * stride + taps:
        copy_row(columns, entry[place] + at, value)
        for tap in range(taps):
            if 0 <= place - tap < SLIDING_PIXELS * stride and (place - tap) % stride == 0:
                add_product(columns, value, weights + tap * w_step, sums + (place - tap) // stride * columns)


cdef inline const real* weights_of(
    const real* panels, Py_ssize_t column, Py_ssize_t all_columns, Py_ssize_t all_taps, Py_ssize_t tap, Py_ssize_t* width
) noexcept nogil:
    """Where in the panels the weights of `column` start, at `tap`; `width` becomes its panel's."""
    cdef Py_ssize_t panel = column - column % widest(<real>0)
    width[0] = min(<Py_ssize_t>widest(<real>0), all_columns - panel)
    return panels + panel * all_taps + tap * width[0] + column - panel


cdef inline always_inline multiply_sliding(
    const int stride, const int taps, const int columns, Py_ssize_t tiles, const real** table, Py_ssize_t line,
    Py_ssize_t window_h, const real* panels, Py_ssize_t all_taps, Py_ssize_t skipped, Py_ssize_t all_columns,
    Py_ssize_t from_column, Py_ssize_t end_column, const real* last, real* out, Py_ssize_t out_step,
) noexcept nogil:
    """`tiles` register blocks of 7 pixels, `columns` of the columns [from_column, end_column) at a time.

    The table is that of ``micro_kernel.pxd``, its rows `line` entries apart. The panels are of `all_columns` columns and
    `all_taps` taps, of which the first `skipped` are left out.
    """
    cdef registers room
    cdef real* sums = <real*>room.bytes
    cdef real own[SLIDING_COLUMNS]
    cdef const real* weights
    cdef const real** entry
    cdef Py_ssize_t first = from_column
    cdef Py_ssize_t _step, _window_row, w_step
    cdef const real* w = weights_of(panels, first, all_columns, all_taps, skipped, &w_step)
    cdef bint several = end_column - from_column > columns
    cdef int pixel
    # One loop over register blocks and columns: nested ones would cost the sums their registers.
    for _step in range((end_column - from_column) // columns * tiles):
        for pixel in range(SLIDING_PIXELS):
            zero_row(columns, sums + pixel * columns)
        weights = w
        entry = table
        for _window_row in range(window_h):
            # A list of calls: in place of a loop that runs 19 times neither gcc nor clang unrolls it, and the sums are in memory.
            take_pixel(stride, taps, columns, 0, entry, first, weights, w_step, sums)
            take_pixel(stride, taps, columns, 1, entry, first, weights, w_step, sums)
            take_pixel(stride, taps, columns, 2, entry, first, weights, w_step, sums)
            take_pixel(stride, taps, columns, 3, entry, first, weights, w_step, sums)
            take_pixel(stride, taps, columns, 4, entry, first, weights, w_step, sums)
            take_pixel(stride, taps, columns, 5, entry, first, weights, w_step, sums)
            take_pixel(stride, taps, columns, 6, entry, first, weights, w_step, sums)
            take_pixel(stride, taps, columns, 7, entry, first, weights, w_step, sums)
            take_pixel(stride, taps, columns, 8, entry, first, weights, w_step, sums)
            take_pixel(stride, taps, columns, 9, entry, first, weights, w_step, sums)
            take_pixel(stride, taps, columns, 10, entry, first, weights, w_step, sums)
            take_pixel(stride, taps, columns, 11, entry, first, weights, w_step, sums)
            take_pixel(stride, taps, columns, 12, entry, first, weights, w_step, sums)
            take_pixel(stride, taps, columns, 13, entry, first, weights, w_step, sums)
            take_pixel(stride, taps, columns, 14, entry, first, weights, w_step, sums)
            take_pixel(stride, taps, columns, 15, entry, first, weights, w_step, sums)
            take_pixel(stride, taps, columns, 16, entry, first, weights, w_step, sums)
            take_pixel(stride, taps, columns, 17, entry, first, weights, w_step, sums)
            take_pixel(stride, taps, columns, 18, entry, first, weights, w_step, sums)
            weights += taps * w_step
            entry += line
        if last == NULL:
            for pixel in range(SLIDING_PIXELS):
                copy_row(columns, sums + pixel * columns, out + pixel * out_step + first)
        else:
            copy_row(columns, last + first, own)
            for pixel in range(SLIDING_PIXELS):
                add_rows(columns, sums + pixel * columns, own, out + pixel * out_step + first)
        first += columns
        if first == end_column:
            first = from_column
            table += SLIDING_PIXELS * stride
            out += SLIDING_PIXELS * out_step
        # Here, not where they are used: the next block's first loads would wait for them.
        if several:
            w = weights_of(panels, first, all_columns, all_taps, skipped, &w_step)


cdef inline always_inline slide_windows(
    Py_ssize_t stride, Py_ssize_t taps, const int columns, Py_ssize_t tiles, const real** table, Py_ssize_t line,
    Py_ssize_t window_h, const real* panels, Py_ssize_t all_taps, Py_ssize_t skipped, Py_ssize_t all_columns,
    Py_ssize_t from_column, Py_ssize_t end_column, const real* last, real* out, Py_ssize_t out_step,
) noexcept nogil:
    """Run the register block of this stride and these taps."""
    if stride == 1:
        if taps == 3:
            multiply_sliding(
                1, 3, columns, tiles, table, line, window_h, panels, all_taps, skipped, all_columns, from_column, end_column,
                last, out, out_step,
            )
        elif taps == 5:
            multiply_sliding(
                1, 5, columns, tiles, table, line, window_h, panels, all_taps, skipped, all_columns, from_column, end_column,
                last, out, out_step,
            )
        else:
            multiply_sliding(
                1, 7, columns, tiles, table, line, window_h, panels, all_taps, skipped, all_columns, from_column, end_column,
                last, out, out_step,
            )
    elif taps == 3:
        multiply_sliding(
            2, 3, columns, tiles, table, line, window_h, panels, all_taps, skipped, all_columns, from_column, end_column,
            last, out, out_step,
        )
    elif taps == 5:
        multiply_sliding(
            2, 5, columns, tiles, table, line, window_h, panels, all_taps, skipped, all_columns, from_column, end_column,
            last, out, out_step,
        )
    else:
        multiply_sliding(
            2, 7, columns, tiles, table, line, window_h, panels, all_taps, skipped, all_columns, from_column, end_column,
            last, out, out_step,
        )


cdef inline noinline slide_2_vectors(
    Py_ssize_t stride, Py_ssize_t taps, Py_ssize_t tiles, const real** table, Py_ssize_t line, Py_ssize_t window_h,
    const real* panels, Py_ssize_t all_taps, Py_ssize_t skipped, Py_ssize_t all_columns, Py_ssize_t from_column,
    Py_ssize_t end_column, const real* last, real* out, Py_ssize_t out_step,
) noexcept nogil:
    slide_windows(
        stride, taps, 2 * vector(<real>0), tiles, table, line, window_h, panels, all_taps, skipped, all_columns,
        from_column, end_column, last, out, out_step,
    )


cdef inline noinline slide_1_vector(
    Py_ssize_t stride, Py_ssize_t taps, Py_ssize_t tiles, const real** table, Py_ssize_t line, Py_ssize_t window_h,
    const real* panels, Py_ssize_t all_taps, Py_ssize_t skipped, Py_ssize_t all_columns, Py_ssize_t from_column,
    Py_ssize_t end_column, const real* last, real* out, Py_ssize_t out_step,
) noexcept nogil:
    slide_windows(
        stride, taps, vector(<real>0), tiles, table, line, window_h, panels, all_taps, skipped, all_columns,
        from_column, end_column, last, out, out_step,
    )


cdef inline void slide_rows(
    const Correlation* plan, Py_ssize_t top, Py_ssize_t bottom, const real** table, Py_ssize_t line, Py_ssize_t tiles,
    Py_ssize_t from_column, Py_ssize_t end_column, const real* panels, const real* last, real* out,
) noexcept nogil:
    """`tiles` blocks of the columns [from_column, end_column) of output rows [top, bottom), all columns of a block at a time.

    The table starts at the window of the first block's first pixel, `out` at that pixel of row 0.
    """
    cdef Py_ssize_t skip = plan.dilation_h * line, pairs = 0, taps = taps_of(plan), y, row, end_row, rows, skipped
    cdef const real** entry
    cdef real* target
    if CNNREF_REGISTERS == 32:
        pairs = (end_column - from_column) // (2 * vector(<real>0)) * (2 * vector(<real>0))
    for y in range(top, bottom):
        alike(y, y + 1, plan.top, plan.height, plan.window_h, plan.stride_h, plan.dilation_h, &row, &end_row)
        rows = max(end_row - row, <Py_ssize_t>0)
        skipped = row * plan.window_w
        entry = table + (y - top) * plan.stride_h * line + row * skip
        target = out + y * plan.row_step
        if pairs > 0:
            slide_2_vectors(
                plan.stride_w, plan.window_w, tiles, entry, skip, rows, panels, taps, skipped, plan.columns, from_column,
                from_column + pairs, last, target, plan.pixel_step,
            )
        if from_column + pairs < end_column:
            slide_1_vector(
                plan.stride_w, plan.window_w, tiles, entry, skip, rows, panels, taps, skipped, plan.columns,
                from_column + pairs, end_column, last, target, plan.pixel_step,
            )
