"""The micro-kernel of planes with one output a pixel: some output rows of two vectors of pixels, one on top of the other.

Where each value of a plane meets one filter only, a register block of a single row waits for its loads, most of which cross
two cache lines. Here a vector is loaded once for all rows of the register block whose windows contain it. Each output is
the chain of ``micro_kernel.pxd``: the rows of the image come one after the other, for each of them its taps and channels.
"""

from cnnref.kernels.base.isa cimport always_inline, noinline, unlikely
from cnnref.kernels.base.register_block cimport lanes
from cnnref.kernels.base.types cimport real
from cnnref.kernels.base.vector cimport add_rows, add_scaled, fill_row, hold_row, registers, zero_row
from cnnref.kernels.planar.micro_kernel cimport Steps

cdef enum:
    # Output rows, vectors of each and sums of the register block.
    JAMMED_ROWS = 7
    VECTORS_OF_ROW = 2
    MOST_JAMMED_PIXELS = 32


cdef inline always_inline accumulate_row(
    const int window, const int reached, const int lane, const real* planes, Py_ssize_t beside, const Steps* steps,
    const real* filters, real* sums,
) noexcept nogil:
    """Go on with the sums of each output row whose window contains the image row `reached` rows below the first one's.

    `planes` is at that row. The second vector stands `beside` values after the first.
    """
    cdef real right[MOST_JAMMED_PIXELS]
    cdef Py_ssize_t _step, rest = steps.channels, depth = steps.window_w * steps.channels
    cdef Py_ssize_t next_tap = steps.tap - steps.channels * steps.plane
    cdef int row
    for _step in range(depth):
        hold_row(lane, planes, right)
        hold_row(lane, planes + beside, right + lane)
        for row in range(JAMMED_ROWS):
            if row <= reached < row + window:
                add_scaled(
                    VECTORS_OF_ROW * lane, filters[(reached - row) * depth], right, sums + row * VECTORS_OF_ROW * lane
                )
        filters += 1
        planes += steps.plane
        rest -= 1
        if unlikely(rest == 0):
            rest = steps.channels
            planes += next_tap


cdef inline always_inline multiply_jammed(
    const int window, const int lane, const real* planes, Py_ssize_t beside, const Steps* steps, const real* filters,
    const real last, real* out, Py_ssize_t row_step,
) noexcept nogil:
    """`JAMMED_ROWS` rows of two vectors of outputs, `last` added; `filters` has the window's values in the order of the sum."""
    cdef registers room
    cdef real* sums = <real*>room.bytes
    cdef real own[MOST_JAMMED_PIXELS]
    cdef int row
    for row in range(JAMMED_ROWS):
        zero_row(VECTORS_OF_ROW * lane, sums + row * VECTORS_OF_ROW * lane)
    accumulate_row(window, 0, lane, planes, beside, steps, filters, sums)
    accumulate_row(window, 1, lane, planes + steps.row, beside, steps, filters, sums)
    accumulate_row(window, 2, lane, planes + 2 * steps.row, beside, steps, filters, sums)
    accumulate_row(window, 3, lane, planes + 3 * steps.row, beside, steps, filters, sums)
    accumulate_row(window, 4, lane, planes + 4 * steps.row, beside, steps, filters, sums)
    accumulate_row(window, 5, lane, planes + 5 * steps.row, beside, steps, filters, sums)
    accumulate_row(window, 6, lane, planes + 6 * steps.row, beside, steps, filters, sums)
    accumulate_row(window, 7, lane, planes + 7 * steps.row, beside, steps, filters, sums)
    accumulate_row(window, 8, lane, planes + 8 * steps.row, beside, steps, filters, sums)
    if window == 5:
        accumulate_row(window, 9, lane, planes + 9 * steps.row, beside, steps, filters, sums)
        accumulate_row(window, 10, lane, planes + 10 * steps.row, beside, steps, filters, sums)
    fill_row(lane, last, own)
    for row in range(JAMMED_ROWS):
        add_rows(lane, sums + row * VECTORS_OF_ROW * lane, own, out + row * row_step)
        add_rows(lane, sums + (row * VECTORS_OF_ROW + 1) * lane, own, out + row * row_step + beside)


cdef inline noinline jammed_3_rows(
    const real* planes, Py_ssize_t beside, const Steps* steps, const real* filters, real last, real* out,
    Py_ssize_t row_step,
) noexcept nogil:
    """Windows of 3 rows."""
    multiply_jammed(3, lanes(<real>0), planes, beside, steps, filters, last, out, row_step)


cdef inline noinline jammed_5_rows(
    const real* planes, Py_ssize_t beside, const Steps* steps, const real* filters, real last, real* out,
    Py_ssize_t row_step,
) noexcept nogil:
    """Windows of 5 rows."""
    multiply_jammed(5, lanes(<real>0), planes, beside, steps, filters, last, out, row_step)


cdef inline void one_channel_micro_kernel(
    Py_ssize_t window, const real* planes, Py_ssize_t beside, const Steps* steps, const real* filters, real last,
    real* out, Py_ssize_t row_step,
) noexcept nogil:
    """Run the register block for windows of 3 or 5 rows."""
    if window == 3:
        jammed_3_rows(planes, beside, steps, filters, last, out, row_step)
    else:
        jammed_5_rows(planes, beside, steps, filters, last, out, row_step)
