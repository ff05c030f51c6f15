"""The register tile of planes with one output a pixel: some output rows of two vectors of pixels, one on top of the other.

Where each value of a plane meets one filter only, a tile of a single row waits for its loads, most of which cross two cache
lines. Here a vector is loaded once for all rows of the tile whose windows contain it. Each output is the chain of
``micro_kernel.pxd``: the rows of the image come one after the other, for each of them its taps and channels.
"""

from cnnref.kernels.base.isa cimport apart, inlined, unlikely
from cnnref.kernels.base.register_block cimport lanes
from cnnref.kernels.base.types cimport multiply_add, real
from cnnref.kernels.planar.micro_kernel cimport Steps

cdef enum:
    # Output rows, vectors of each and sums of the tile.
    STACKED = 7
    BESIDE = 2
    MOST_STACKED_SUMS = 224
    MOST_STACKED_PIXELS = 32


cdef inline inlined meet(
    const int window, const int reached, const int lane, const real* planes, Py_ssize_t beside, const Steps* steps,
    const real* filters, real* sums,
) noexcept nogil:
    """Go on with the sums of each output row whose window contains the image row `reached` rows below the first one's.

    `planes` is at that row. The second vector stands `beside` values after the first.
    """
    cdef real right[MOST_STACKED_PIXELS]
    cdef real left
    cdef Py_ssize_t _step, rest = steps.channels, depth = steps.window_w * steps.channels
    cdef Py_ssize_t next_tap = steps.tap - steps.channels * steps.plane
    cdef int row, j
    for j in range(lane):
        right[j] = planes[j]
    for j in range(lane):
        right[lane + j] = (planes + beside)[j]
    for _step in range(depth):
        for row in range(STACKED):
            if row <= reached < row + window:
                left = filters[(reached - row) * depth]
                for j in range(BESIDE * lane):
                    sums[row * BESIDE * lane + j] = multiply_add(left, right[j], sums[row * BESIDE * lane + j])
        filters += 1
        planes += steps.plane
        rest -= 1
        if unlikely(rest == 0):
            rest = steps.channels
            planes += next_tap
        # As in ``micro_kernel.pxd``.
        for j in range(lane):
            right[j] = planes[j]
        for j in range(lane):
            right[lane + j] = (planes + beside)[j]


cdef inline inlined multiply_stacked(
    const int window, const int lane, const real* planes, Py_ssize_t beside, const Steps* steps, const real* filters,
    const real last, real* out, Py_ssize_t row_step,
) noexcept nogil:
    """`STACKED` rows of two vectors of outputs, `last` added; `filters` has the window's values in the order of the sum."""
    cdef real sums[MOST_STACKED_SUMS]
    cdef int row, j
    for row in range(STACKED):
        for j in range(BESIDE * lane):
            sums[row * BESIDE * lane + j] = 0
    meet(window, 0, lane, planes, beside, steps, filters, sums)
    meet(window, 1, lane, planes + steps.row, beside, steps, filters, sums)
    meet(window, 2, lane, planes + 2 * steps.row, beside, steps, filters, sums)
    meet(window, 3, lane, planes + 3 * steps.row, beside, steps, filters, sums)
    meet(window, 4, lane, planes + 4 * steps.row, beside, steps, filters, sums)
    meet(window, 5, lane, planes + 5 * steps.row, beside, steps, filters, sums)
    meet(window, 6, lane, planes + 6 * steps.row, beside, steps, filters, sums)
    meet(window, 7, lane, planes + 7 * steps.row, beside, steps, filters, sums)
    meet(window, 8, lane, planes + 8 * steps.row, beside, steps, filters, sums)
    if window == 5:
        meet(window, 9, lane, planes + 9 * steps.row, beside, steps, filters, sums)
        meet(window, 10, lane, planes + 10 * steps.row, beside, steps, filters, sums)
    for row in range(STACKED):
        for j in range(lane):
            (out + row * row_step)[j] = sums[row * BESIDE * lane + j] + last
        for j in range(lane):
            (out + row * row_step + beside)[j] = sums[(row * BESIDE + 1) * lane + j] + last


cdef inline apart stacked_of_3(
    const real* planes, Py_ssize_t beside, const Steps* steps, const real* filters, real last, real* out,
    Py_ssize_t row_step,
) noexcept nogil:
    """Windows of 3 rows."""
    multiply_stacked(3, lanes(<real>0), planes, beside, steps, filters, last, out, row_step)


cdef inline apart stacked_of_5(
    const real* planes, Py_ssize_t beside, const Steps* steps, const real* filters, real last, real* out,
    Py_ssize_t row_step,
) noexcept nogil:
    """Windows of 5 rows."""
    multiply_stacked(5, lanes(<real>0), planes, beside, steps, filters, last, out, row_step)


cdef inline void stacked_tile(
    Py_ssize_t window, const real* planes, Py_ssize_t beside, const Steps* steps, const real* filters, real last,
    real* out, Py_ssize_t row_step,
) noexcept nogil:
    """Run the tile for windows of 3 or 5 rows."""
    if window == 3:
        stacked_of_3(planes, beside, steps, filters, last, out, row_step)
    else:
        stacked_of_5(planes, beside, steps, filters, last, out, row_step)
