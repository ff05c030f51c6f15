"""Micro-kernels of two sums over a batch side by side in a vector: see ``sample_pairs.pxd``."""

from cnnref.kernels.base.isa cimport always_inline, noinline, unlikely
from cnnref.kernels.base.types cimport real
from cnnref.kernels.base.vector cimport add_product, add_rows, copy_row, registers, repeat_pair

cdef enum:
    # Columns of each of the two sums, and values of a vector: column j of one, then of the other.
    PAIRED_COLUMNS = 8
    PAIR = 16
    TWO = 2


cdef inline always_inline sum_pairs(
    const int side, const real* a, Py_ssize_t line, Py_ssize_t a_step, Py_ssize_t a_skip,
    const real* b, Py_ssize_t runs, Py_ssize_t length, real* out,
) noexcept nogil:
    """Go on with the pairs of sums of ``side * side`` taps in `out`, and with that of the gradient itself after them.

    `a` has pairs of values, `b` vectors of pairs. The taps of a row stand side by side, the rows `line` values apart.
    """
    cdef registers room
    cdef real* sums = <real*>room.bytes
    cdef real added[PAIR]
    cdef real left[PAIR]
    cdef Py_ssize_t _step, rest = length
    cdef int row, tap
    if runs * length <= 0:  # as in ``multiply_register_block``
        return
    for row in range(side):
        for tap in range(side):
            copy_row(PAIR, out + (row * side + tap) * PAIR, sums + (row * side + tap) * PAIR)
    copy_row(PAIR, out + side * side * PAIR, added)
    for _step in range(runs * length):
        for row in range(side):
            for tap in range(side):
                repeat_pair(<const float*>(a + row * line + tap * TWO), <float*>left)
                add_product(PAIR, left, b, sums + (row * side + tap) * PAIR)
        add_rows(PAIR, added, b, added)
        a += a_step
        b += PAIR
        rest -= 1
        if unlikely(rest == 0):
            rest = length
            a += a_skip
    for row in range(side):
        for tap in range(side):
            copy_row(PAIR, sums + (row * side + tap) * PAIR, out + (row * side + tap) * PAIR)
    copy_row(PAIR, added, out + side * side * PAIR)


cdef inline noinline pairs_of_9(
    const real* a, Py_ssize_t line, Py_ssize_t a_step, Py_ssize_t a_skip, const real* b, Py_ssize_t runs,
    Py_ssize_t length, real* out,
) noexcept nogil:
    """3 rows of 3 taps."""
    sum_pairs(3, a, line, a_step, a_skip, b, runs, length, out)


cdef inline noinline pairs_of_25(
    const real* a, Py_ssize_t line, Py_ssize_t a_step, Py_ssize_t a_skip, const real* b, Py_ssize_t runs,
    Py_ssize_t length, real* out,
) noexcept nogil:
    """5 rows of 5 taps."""
    sum_pairs(5, a, line, a_step, a_skip, b, runs, length, out)
