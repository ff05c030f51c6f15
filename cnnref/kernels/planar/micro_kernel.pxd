"""Micro-kernels of planes (``deinterleave.pxd``): some columns of neighbouring pixels.

The filters are the scalars, the same ones for all pixels, and the planes the vectors. Each output is the chain of
``gemm/driver.pxd`` over all of a window, from 0.
"""

from cnnref.kernels.base.isa cimport CNNREF_VECTOR_BYTES, always_inline, noinline, unlikely
from cnnref.kernels.base.register_block cimport lanes, widest
from cnnref.kernels.base.types cimport real
from cnnref.kernels.base.vector cimport add_scaled, copy_row, registers, zero_row

cdef enum:
    # Pixels, columns and sums of the largest register blocks.
    MOST_PLANE_PIXELS = 96
    MOST_PLANE_ROWS = 8
    MOST_PLANE_SUMS = 384


cdef struct Steps:
    # The taps of a window and its channels; values from one plane, one tap and one row of taps to the next.
    Py_ssize_t window_h
    Py_ssize_t window_w
    Py_ssize_t channels
    Py_ssize_t plane
    Py_ssize_t tap
    Py_ssize_t row


cdef inline always_inline multiply_planes_block(
    const int rows, const int pixels, const real* filters, const real* planes, const Steps* steps,
    real* out,
) noexcept nogil:
    """`rows` columns of `pixels` outputs, one after the other; `filters` has a value of each for every step."""
    cdef registers room
    cdef real* sums = <real*>room.bytes
    cdef real right[MOST_PLANE_PIXELS]
    cdef Py_ssize_t _step, channels = steps.channels, columns = steps.window_w
    # From a tap's last channel on to the first one of the next tap, and from there to that of the next row.
    cdef Py_ssize_t next_tap = steps.tap - steps.channels * steps.plane
    cdef Py_ssize_t next_row = steps.row - steps.window_w * steps.tap
    cdef Py_ssize_t count = steps.window_h * steps.window_w * steps.channels
    cdef int row
    if count <= 0:  # as in ``multiply_register_block``
        return
    for row in range(rows):
        zero_row(pixels, sums + row * pixels)
    copy_row(pixels, planes, right)
    for _step in range(count):
        for row in range(rows):
            add_scaled(pixels, filters[row], right, sums + row * pixels)
        filters += rows
        planes += steps.plane
        channels -= 1
        if unlikely(channels == 0):
            channels = steps.channels
            planes += next_tap
            columns -= 1
            if unlikely(columns == 0):
                columns = steps.window_w
                planes += next_row
        # Here, for the next step (after the last one for nothing): at the start gcc does not keep the sums in 16 registers.
        copy_row(pixels, planes, right)
    for row in range(rows):
        copy_row(pixels, sums + row * pixels, out + row * pixels)


cdef inline int plane_rows(Py_ssize_t columns) noexcept nogil:
    """Columns of the register blocks for so many."""
    return 1 if columns == 1 else 3 if columns <= 3 else 8


cdef inline int plane_pixels(int rows, Py_ssize_t left, real kind) noexcept nogil:
    """Pixels of the next register block of `rows` columns when `left` are still to do."""
    cdef int lane = lanes(kind)
    if CNNREF_VECTOR_BYTES < 64:
        # 8 sums of a vector of 32 bytes stay in its 16 registers.
        if rows == 8:
            return 8
        return widest(kind) * (3 if rows == 1 else 1)
    if rows == 8:
        return 3 * lane if left > 2 * lane else lane
    return 6 * lane if rows == 1 or left > 4 * lane else 2 * lane


cdef inline noinline plane_of_8(
    int pixels, const real* filters, const real* planes, const Steps* steps, real* out
) noexcept nogil:
    """8 columns of 3 vectors of 64 bytes, or of one; of 8 values where there are 16 registers."""
    if CNNREF_VECTOR_BYTES < 64:
        if real is float:  # of float64 planes have at most 3 columns
            multiply_planes_block(8, 8, filters, planes, steps, out)
    elif pixels == 3 * lanes(<real>0):
        multiply_planes_block(8, 3 * lanes(<real>0), filters, planes, steps, out)
    else:
        multiply_planes_block(8, lanes(<real>0), filters, planes, steps, out)


cdef inline noinline plane_of_3(
    int pixels, const real* filters, const real* planes, const Steps* steps, real* out
) noexcept nogil:
    """3 columns of 6 vectors of 64 bytes or 2; of 2 where there are 16 registers."""
    if CNNREF_VECTOR_BYTES < 64:
        multiply_planes_block(3, widest(<real>0), filters, planes, steps, out)
    elif pixels == 6 * lanes(<real>0):
        multiply_planes_block(3, 6 * lanes(<real>0), filters, planes, steps, out)
    else:
        multiply_planes_block(3, 2 * lanes(<real>0), filters, planes, steps, out)


cdef inline noinline plane_of_1(const real* filters, const real* planes, const Steps* steps, real* out) noexcept nogil:
    """One column of 6 vectors."""
    if CNNREF_VECTOR_BYTES < 64:
        multiply_planes_block(1, 3 * widest(<real>0), filters, planes, steps, out)
    else:
        multiply_planes_block(1, 6 * lanes(<real>0), filters, planes, steps, out)


cdef inline void planar_micro_kernel(
    int rows, int pixels, const real* filters, const real* planes, const Steps* steps, real* out
) noexcept nogil:
    """Run the register block of `plane_rows` columns and `plane_pixels` pixels."""
    if rows == 8:
        plane_of_8(pixels, filters, planes, steps, out)
    elif rows == 3:
        plane_of_3(pixels, filters, planes, steps, out)
    else:
        plane_of_1(filters, planes, steps, out)
