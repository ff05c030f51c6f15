"""Micro-kernel of the gradient of filters whose channels do not mix, where windows overlap: all taps of some window rows.

The register block of ``wgrad_micro_kernel.pxd`` loads a vector of the image, and looks up where, for each multiplication. Where
neighbouring windows are one or two pixels apart and 3, 5 or 7 pixels wide, a pixel is a tap of several of them: here it is
loaded once and multiplied with the gradients of all their outputs, which stay in registers while the windows have pixels in
common. Each element is the same chain of fused multiply-adds in the same order of the outputs, and that of a bias the same
chain of additions: with few taps, reading the gradients for it once more would take a tenth of the time.
"""

from cnnref.kernels.base.isa cimport CNNREF_VECTOR_BYTES, always_inline, noinline
from cnnref.kernels.base.register_block cimport lanes
from cnnref.kernels.base.types cimport real
from cnnref.kernels.base.vector cimport add_product, add_rows, copy_row, registers, zero_row
from cnnref.kernels.conv.problem cimport Correlation

cdef enum:
    MOST_GRADIENTS = 112
    MOST_TOTALS = 32


cdef inline always_inline add_pixels(
    const int stride, const int rows, const int taps, const int columns, const int place, const int first,
    const int end, const real** entry, Py_ssize_t line, Py_ssize_t at, const real* gradients, real* sums,
) noexcept nogil:
    """Multiply the pixel at `place` of each of an output's window rows with `gradients`, of that output and those before it.

    Of those that are from `first` to less than `end` before, and have the pixel as a tap.
    """
    cdef real value[MOST_TOTALS]
    cdef int row, before
    if place < stride and first * stride + place < taps:
        for row in range(rows):
            copy_row(columns, entry[row * line + place] + at, value)
            for before in range(taps):
                if first <= before < end and before * stride + place < taps:
                    add_product(
                        columns, value, gradients + before * columns, sums + (row * taps + before * stride + place) * columns
                    )


cdef inline always_inline add_windows(
    const int stride, const int rows, const int taps, const int columns, const int first, const int end,
    const real** entry, Py_ssize_t line, Py_ssize_t at, const real* dZ, real* gradients, real* totals, real* sums,
) noexcept nogil:
    """Take the pixels that the window of one output has and that of the one before does not have: a stride of them.

    Where windows are 3 pixels wide, there is a register for the sum of all outputs' gradients too.
    """
    cdef int before
    for before in range(taps - 1):
        if (taps - 1 - before) * stride < taps:
            copy_row(columns, gradients + (taps - 2 - before) * columns, gradients + (taps - 1 - before) * columns)
    if first == 0:
        copy_row(columns, dZ, gradients)
        if taps == 3:
            add_rows(columns, totals, dZ, totals)
    add_pixels(stride, rows, taps, columns, 0, first, end, entry, line, at, gradients, sums)
    add_pixels(stride, rows, taps, columns, 1, first, end, entry, line, at, gradients, sums)


cdef inline always_inline first_windows(
    const int stride, const int rows, const int taps, const int columns, const int x,
    const real** entry, Py_ssize_t line, Py_ssize_t at, const real* dZ, Py_ssize_t dZ_step, real* gradients,
    real* totals, real* sums,
) noexcept nogil:
    """`add_windows` for output `x` of a row, if the first output's window reaches that far."""
    if x * stride + stride < taps:
        add_windows(
            stride, rows, taps, columns, 0, x + 1, entry + x * stride, line, at, dZ + x * dZ_step, gradients,
            totals, sums
        )


cdef inline always_inline last_windows(
    const int stride, const int rows, const int taps, const int columns, const int beyond,
    const real** entry, Py_ssize_t line, Py_ssize_t at, real* gradients, real* totals, real* sums,
) noexcept nogil:
    """`add_windows` as if for an output `beyond` the last one of a row, if the last one's window reaches that far."""
    if beyond * stride < taps:
        add_windows(
            stride, rows, taps, columns, beyond, taps, entry + (beyond - 1) * stride, line, at, <const real*>NULL,
            gradients, totals, sums,
        )


cdef inline always_inline slide_sums(
    const int stride, const int rows, const int taps, const int columns, const Correlation* plan, const real** table,
    Py_ssize_t line, Py_ssize_t table_step, Py_ssize_t at, const real* dZ, Py_ssize_t dZ_step, Py_ssize_t pieces,
    Py_ssize_t n_rows, real* out,
) noexcept nogil:
    """The sums of `taps` taps of `rows` window rows, for `n_rows` rows of outputs of each piece.

    Where windows are 3 pixels wide, those of the outputs' gradients themselves follow.

    The table is that of ``micro_kernel.pxd``, its rows `line` entries apart, those of the pieces `table_step`. `dZ` has the
    outputs' gradients one after the other. A row has at least as many outputs as there are before one with a tap in common.
    """
    cdef registers room
    cdef real* sums = <real*>room.bytes
    cdef real gradients[MOST_GRADIENTS]
    cdef real totals[MOST_TOTALS]
    cdef Py_ssize_t gap = plan.dilation_h * line
    cdef int before = (taps + stride - 1) // stride - 1
    cdef const real** entry
    cdef Py_ssize_t piece, _y, _x
    cdef int row, tap
    for row in range(rows):
        for tap in range(taps):
            zero_row(columns, sums + (row * taps + tap) * columns)
    for tap in range(taps):
        zero_row(columns, gradients + tap * columns)
    zero_row(columns, totals)
    for piece in range(pieces):
        for _y in range(n_rows):
            entry = table + (piece * table_step + _y * plan.stride_h * line)
            # Written out, since the compiler would not unroll loops of that size.
            first_windows(stride, rows, taps, columns, 0, entry, gap, at, dZ, dZ_step, gradients, totals, sums)
            first_windows(stride, rows, taps, columns, 1, entry, gap, at, dZ, dZ_step, gradients, totals, sums)
            first_windows(stride, rows, taps, columns, 2, entry, gap, at, dZ, dZ_step, gradients, totals, sums)
            first_windows(stride, rows, taps, columns, 3, entry, gap, at, dZ, dZ_step, gradients, totals, sums)
            first_windows(stride, rows, taps, columns, 4, entry, gap, at, dZ, dZ_step, gradients, totals, sums)
            first_windows(stride, rows, taps, columns, 5, entry, gap, at, dZ, dZ_step, gradients, totals, sums)
            entry += before * stride
            dZ += before * dZ_step
            for _x in range(plan.n_W - before):
                add_windows(stride, rows, taps, columns, 0, taps, entry, gap, at, dZ, gradients, totals, sums)
                entry += stride
                dZ += dZ_step
            last_windows(stride, rows, taps, columns, 1, entry, gap, at, gradients, totals, sums)
            last_windows(stride, rows, taps, columns, 2, entry, gap, at, gradients, totals, sums)
            last_windows(stride, rows, taps, columns, 3, entry, gap, at, gradients, totals, sums)
            last_windows(stride, rows, taps, columns, 4, entry, gap, at, gradients, totals, sums)
            last_windows(stride, rows, taps, columns, 5, entry, gap, at, gradients, totals, sums)
            last_windows(stride, rows, taps, columns, 6, entry, gap, at, gradients, totals, sums)
    for row in range(rows):
        for tap in range(taps):
            copy_row(columns, sums + (row * taps + tap) * columns, out + (row * taps + tap) * columns)
    if taps == 3:
        copy_row(columns, totals, out + rows * taps * columns)


cdef inline always_inline slide_either(
    const int rows, const int taps, const int columns, const Correlation* plan, const real** table,
    Py_ssize_t line, Py_ssize_t table_step, Py_ssize_t at, const real* dZ, Py_ssize_t dZ_step, Py_ssize_t pieces,
    Py_ssize_t n_rows, real* out,
) noexcept nogil:
    """`slide_sums` for a stride of 1 or 2."""
    if plan.stride_w == 1:
        slide_sums(1, rows, taps, columns, plan, table, line, table_step, at, dZ, dZ_step, pieces, n_rows, out)
    else:
        slide_sums(2, rows, taps, columns, plan, table, line, table_step, at, dZ, dZ_step, pieces, n_rows, out)


cdef inline noinline slide_3_taps(
    int vectors, const Correlation* plan, const real** table, Py_ssize_t line, Py_ssize_t table_step, Py_ssize_t at,
    const real* dZ, Py_ssize_t dZ_step, Py_ssize_t pieces, Py_ssize_t n_rows, real* out,
) noexcept nogil:
    """3 rows of 3 taps."""
    if CNNREF_VECTOR_BYTES == 64 and vectors == 2:
        slide_either(3, 3, 2 * lanes(<real>0), plan, table, line, table_step, at, dZ, dZ_step, pieces, n_rows, out)
    else:
        slide_either(3, 3, lanes(<real>0), plan, table, line, table_step, at, dZ, dZ_step, pieces, n_rows, out)


cdef inline noinline slide_5_taps(
    int rows, const Correlation* plan, const real** table, Py_ssize_t line, Py_ssize_t table_step, Py_ssize_t at,
    const real* dZ, Py_ssize_t dZ_step, Py_ssize_t pieces, Py_ssize_t n_rows, real* out,
) noexcept nogil:
    """5 rows of 5 taps, or 2 or 1 where there are 16 registers."""
    if CNNREF_VECTOR_BYTES == 64:
        slide_either(5, 5, lanes(<real>0), plan, table, line, table_step, at, dZ, dZ_step, pieces, n_rows, out)
    elif rows == 2:
        slide_either(2, 5, lanes(<real>0), plan, table, line, table_step, at, dZ, dZ_step, pieces, n_rows, out)
    else:
        slide_either(1, 5, lanes(<real>0), plan, table, line, table_step, at, dZ, dZ_step, pieces, n_rows, out)


cdef inline noinline slide_7_taps(
    int rows, const Correlation* plan, const real** table, Py_ssize_t line, Py_ssize_t table_step, Py_ssize_t at,
    const real* dZ, Py_ssize_t dZ_step, Py_ssize_t pieces, Py_ssize_t n_rows, real* out,
) noexcept nogil:
    """4 or 3 rows of 7 taps, or 1 where there are 16 registers."""
    if CNNREF_VECTOR_BYTES == 64 and rows == 4:
        slide_either(4, 7, lanes(<real>0), plan, table, line, table_step, at, dZ, dZ_step, pieces, n_rows, out)
    elif CNNREF_VECTOR_BYTES == 64:
        slide_either(3, 7, lanes(<real>0), plan, table, line, table_step, at, dZ, dZ_step, pieces, n_rows, out)
    else:
        slide_either(1, 7, lanes(<real>0), plan, table, line, table_step, at, dZ, dZ_step, pieces, n_rows, out)


cdef inline bint slides(real kind) noexcept nogil:
    """Whether there are registers for a row of sums and one of gradients."""
    return CNNREF_VECTOR_BYTES == 64 or (CNNREF_VECTOR_BYTES == 32 and real is float)


cdef inline bint sums_gradients(const Correlation* plan) noexcept nogil:
    """Whether the plan's register blocks sum the outputs' gradients too, for the biases."""
    return plan.window_w == 3


cdef inline int sliding_vectors(Py_ssize_t taps, Py_ssize_t vectors) noexcept nogil:
    """How many of the `vectors` that are still to do the next register block has."""
    return <int>min(vectors, <Py_ssize_t>2) if CNNREF_VECTOR_BYTES == 64 and taps == 3 else 1


cdef inline int sliding_rows(Py_ssize_t taps, Py_ssize_t left) noexcept nogil:
    """How many of the `left` window rows that are still to do the next register block has."""
    if taps == 3:
        return 3
    if CNNREF_VECTOR_BYTES == 64:
        return 5 if taps == 5 else 4 if left == 7 else 3
    return 2 if taps == 5 and left > 1 else 1


cdef inline void slide_taps(
    int rows, int vectors, const Correlation* plan, const real** table, Py_ssize_t line, Py_ssize_t table_step,
    Py_ssize_t at, const real* dZ, Py_ssize_t dZ_step, Py_ssize_t pieces, Py_ssize_t n_rows, real* out,
) noexcept nogil:
    """Run `slide_sums` for all taps of `sliding_rows` rows of `sliding_vectors` vectors."""
    if not slides(<real>0):  # a constant: there is no such kernel, then
        return
    if plan.window_w == 3:
        slide_3_taps(vectors, plan, table, line, table_step, at, dZ, dZ_step, pieces, n_rows, out)
    elif plan.window_w == 5:
        slide_5_taps(rows, plan, table, line, table_step, at, dZ, dZ_step, pieces, n_rows, out)
    else:
        slide_7_taps(rows, plan, table, line, table_step, at, dZ, dZ_step, pieces, n_rows, out)
