"""The widest register block, for sums over a batch: 6 taps side by side, and what comes next is asked for in advance.

In an image of many channels neighbouring pixels lie so far apart that the processor does not foresee them; nor does it the
next panel of the gradient, which is copied between two register blocks while nothing is multiplied. So in each step the
register block asks for a pixel to come, and for one line of the next panel. Each output is the chain of
``gemm/micro_kernel.pxd``.
"""

from cnnref.kernels.base.isa cimport always_inline, noinline, prefetch, unlikely
from cnnref.kernels.base.register_block cimport lanes
from cnnref.kernels.base.types cimport multiply_add, real

cdef enum:
    # Taps side by side.
    SIDE = 6
    # Steps, of 12 cycles each, from asking for a pixel to its use.
    STEPS_AHEAD = 16
    # Pixels as many bytes apart share a set of the first-level cache: few of them would stay there until they are used.
    ALIASED = 4096


cdef inline always_inline multiply_prefetching(
    const int columns, const real* a, Py_ssize_t a_step, Py_ssize_t a_skip, const real* b, Py_ssize_t b_skip,
    Py_ssize_t runs, Py_ssize_t length, const real* start, const Py_ssize_t* start_places,
    real* out, const Py_ssize_t* out_places, const real* next_line, Py_ssize_t next_step,
) noexcept nogil:
    """``multiply_register_block`` of 6 rows that are neighbours in `a`; lines from `next_line` on are asked for."""
    cdef real sums[384]
    cdef real left
    cdef Py_ssize_t _step, rest = length
    cdef Py_ssize_t ahead = STEPS_AHEAD * a_step if a_step * <Py_ssize_t>sizeof(real) % ALIASED else 0
    cdef int row, j
    if runs * length <= 0:
        return
    for row in range(SIDE):
        for j in range(columns):
            sums[row * columns + j] = (start + start_places[row])[j]
    for _step in range(runs * length):
        prefetch(a + ahead)
        prefetch(next_line)
        next_line += next_step
        for row in range(SIDE):
            left = a[row]
            for j in range(columns):
                sums[row * columns + j] = multiply_add(left, b[j], sums[row * columns + j])
        a += a_step
        b += columns
        rest -= 1
        if unlikely(rest == 0):
            rest = length
            a += a_skip
            b += b_skip
    for row in range(SIDE):
        for j in range(columns):
            (out + out_places[row])[j] = sums[row * columns + j]


cdef inline noinline prefetching_6_by_4_vectors(
    const real* a, Py_ssize_t a_step, Py_ssize_t a_skip, const real* b, Py_ssize_t b_skip,
    Py_ssize_t runs, Py_ssize_t length, const real* start, const Py_ssize_t* start_places,
    real* out, const Py_ssize_t* out_places, const real* next_line, Py_ssize_t next_step,
) noexcept nogil:
    """6 rows of 4 vectors of 64 bytes."""
    multiply_prefetching(
        4 * lanes(<real>0), a, a_step, a_skip, b, b_skip, runs, length, start, start_places, out, out_places, next_line,
        next_step,
    )
