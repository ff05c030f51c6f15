"""The register blocks of three and four rows, as wide as the widest register block: the ends of other register blocks.

As the register blocks of ``micro_kernel.pxd``, but the vectors of a step are loaded in the step before. Where no more than
three rows use a vector the compiler would load it for each of them, and a vector that crosses a cache line, as those of
windows do, takes two loads each time: that kept the multipliers busy 40% of the time, this 90%.
"""

from cnnref.kernels.base.isa cimport always_inline, noinline, unlikely
from cnnref.kernels.base.register_block cimport lanes, widest
from cnnref.kernels.base.types cimport multiply_add, real

cdef enum:
    MOST_FEW_ROWS = 4
    MOST_FEW_COLUMNS = 64
    MOST_FEW_SUMS = 256


cdef inline always_inline multiply_tail(
    const int rows, const int columns,
    const real* a, const Py_ssize_t* places, Py_ssize_t a_step, Py_ssize_t a_skip,
    const real* b, const Py_ssize_t b_step, Py_ssize_t b_skip, Py_ssize_t runs, Py_ssize_t length,
    const real* start, const Py_ssize_t* start_places, const real* last, real* out, const Py_ssize_t* out_places,
) noexcept nogil:
    """``multiply_register_block`` of few rows."""
    cdef real sums[MOST_FEW_SUMS]
    cdef real right[MOST_FEW_COLUMNS]
    cdef real own[MOST_FEW_COLUMNS]
    cdef const real* source[MOST_FEW_ROWS]
    cdef real left
    cdef Py_ssize_t _step, offset = 0, rest = length
    cdef int row, j
    if runs * length <= 0:
        return
    for row in range(rows):
        source[row] = a + places[row]
        for j in range(columns):
            sums[row * columns + j] = (start + start_places[row])[j]
    for j in range(columns):
        right[j] = b[j]
    for _step in range(runs * length - 1):
        for row in range(rows):
            left = source[row][offset]
            for j in range(columns):
                sums[row * columns + j] = multiply_add(left, right[j], sums[row * columns + j])
        offset += a_step
        b += b_step
        rest -= 1
        if unlikely(rest == 0):
            rest = length
            offset += a_skip
            b += b_skip
        for j in range(columns):
            right[j] = b[j]
    if last != NULL:
        # As in ``multiply_register_block``.
        for j in range(columns):
            own[j] = last[j]
        for row in range(rows):
            left = source[row][offset]
            for j in range(columns):
                (out + out_places[row])[j] = multiply_add(left, right[j], sums[row * columns + j]) + own[j]
        return
    for row in range(rows):
        left = source[row][offset]
        for j in range(columns):
            (out + out_places[row])[j] = multiply_add(left, right[j], sums[row * columns + j])


cdef inline noinline three_rows_of_widest(
    const real* a, const Py_ssize_t* places, Py_ssize_t a_step, Py_ssize_t a_skip, const real* b, Py_ssize_t b_skip,
    Py_ssize_t runs, Py_ssize_t length,
    const real* start, const Py_ssize_t* start_places, const real* last, real* out, const Py_ssize_t* out_places,
) noexcept nogil:
    """3 rows."""
    multiply_tail(
        3, widest(<real>0), a, places, a_step, a_skip, b, widest(<real>0), b_skip, runs, length,
        start, start_places, last, out, out_places,
    )


cdef inline noinline four_rows_of_widest(
    const real* a, const Py_ssize_t* places, Py_ssize_t a_step, Py_ssize_t a_skip, const real* b, Py_ssize_t b_skip,
    Py_ssize_t runs, Py_ssize_t length,
    const real* start, const Py_ssize_t* start_places, const real* last, real* out, const Py_ssize_t* out_places,
) noexcept nogil:
    """4 rows: 196 pixels, four images of 7 x 7, are 32 full register blocks and these; the corners of four images too."""
    multiply_tail(
        4, 4 * lanes(<real>0), a, places, a_step, a_skip, b, 4 * lanes(<real>0), b_skip, runs, length, start,
        start_places, last, out, out_places,
    )


cdef inline noinline four_rows_of_2_vectors(
    const real* a, const Py_ssize_t* places, Py_ssize_t a_step, Py_ssize_t a_skip, const real* b, Py_ssize_t b_skip,
    Py_ssize_t runs, Py_ssize_t length,
    const real* start, const Py_ssize_t* start_places, const real* last, real* out, const Py_ssize_t* out_places,
) noexcept nogil:
    """4 rows of 2 vectors of 64 bytes: the sides of four images of 7 x 7, within their padding, are full blocks and these."""
    multiply_tail(
        4, 2 * lanes(<real>0), a, places, a_step, a_skip, b, 2 * lanes(<real>0), b_skip, runs, length, start,
        start_places, last, out, out_places,
    )
