"""Micro-kernels of two sums over a batch side by side in a vector: see ``sample_pairs.pxd``."""

from cnnref.kernels.base.isa cimport always_inline, noinline, unlikely
from cnnref.kernels.base.types cimport multiply_add, real

cdef extern from "kernels/wgrad/broadcast_pair.h" nogil:
    always_inline repeat_pair "cnnref_repeat_pair"(const float* pair, float* vector)

cdef enum:
    # Columns of each of the two sums, and values of a vector: column j of one, then of the other.
    PAIRED_COLUMNS = 8
    PAIR = 16
    TWO = 2
    MOST_PAIRED_SUMS = 400


cdef inline always_inline sum_pairs(
    const int groups, const int rows, const real* a, Py_ssize_t line, Py_ssize_t a_step, Py_ssize_t a_skip,
    const real* b, Py_ssize_t runs, Py_ssize_t length, real* out,
) noexcept nogil:
    """Go on with the pairs of sums of ``groups * rows`` taps in `out`, and with that of the gradient itself after them.

    `a` has pairs of values, `b` vectors of pairs. The taps of a group stand side by side, the groups `line` values apart.
    """
    cdef real sums[MOST_PAIRED_SUMS]
    cdef real added[PAIR]
    cdef real left[PAIR]
    cdef const real* source
    cdef Py_ssize_t _step, rest = length
    cdef int group, row, j
    if runs * length <= 0:  # as in ``multiply_register_block``
        return
    for group in range(groups):
        for row in range(rows):
            for j in range(PAIR):
                sums[(group * rows + row) * PAIR + j] = out[(group * rows + row) * PAIR + j]
    for j in range(PAIR):
        added[j] = out[groups * rows * PAIR + j]
    for _step in range(runs * length):
        for group in range(groups):
            source = a + group * line
            for row in range(rows):
                repeat_pair(<const float*>(source + row * TWO), <float*>left)
                for j in range(PAIR):
                    sums[(group * rows + row) * PAIR + j] = multiply_add(
                        left[j], b[j], sums[(group * rows + row) * PAIR + j]
                    )
        for j in range(PAIR):
            added[j] += b[j]
        a += a_step
        b += PAIR
        rest -= 1
        if unlikely(rest == 0):
            rest = length
            a += a_skip
    for group in range(groups):
        for row in range(rows):
            for j in range(PAIR):
                out[(group * rows + row) * PAIR + j] = sums[(group * rows + row) * PAIR + j]
    for j in range(PAIR):
        out[groups * rows * PAIR + j] = added[j]


cdef inline noinline pairs_of_9(
    const real* a, Py_ssize_t line, Py_ssize_t a_step, Py_ssize_t a_skip, const real* b, Py_ssize_t runs,
    Py_ssize_t length, real* out,
) noexcept nogil:
    """3 rows of 3 taps."""
    sum_pairs(3, 3, a, line, a_step, a_skip, b, runs, length, out)


cdef inline noinline pairs_of_25(
    const real* a, Py_ssize_t line, Py_ssize_t a_step, Py_ssize_t a_skip, const real* b, Py_ssize_t runs,
    Py_ssize_t length, real* out,
) noexcept nogil:
    """5 rows of 5 taps."""
    sum_pairs(5, 5, a, line, a_step, a_skip, b, runs, length, out)
