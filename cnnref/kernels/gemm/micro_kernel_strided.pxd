"""Micro-kernels of few columns whose rows stand evenly spaced: pixels along a line, or taps side by side.

As the register blocks of ``micro_kernel.pxd``, but one pointer serves four rows. With as many pointers as rows the compiler
runs out of registers for them, and fetches them back in every step: that cost 15% where a row is two vectors, and left no
room for the 16 rows that keep the multipliers busy where it is one. For 64-byte vectors; each output is the same chain.
"""

from cnnref.kernels.base.isa cimport always_inline, noinline, unlikely
from cnnref.kernels.base.register_block cimport lanes
from cnnref.kernels.base.types cimport multiply_add, real

cdef enum:
    # Rows of a pointer.
    ROWS_OF_POINTER = 4
    MOST_POINTERS = 4
    MOST_STRIDED_SUMS = 384
    MOST_STRIDED_COLUMNS = 48


cdef inline bint evenly_spaced(const Py_ssize_t* places, int count) noexcept nogil:
    """Whether `count` rows are groups of four at the same distances."""
    cdef Py_ssize_t stride = places[1] - places[0], others = 0
    cdef int group
    if count % ROWS_OF_POINTER:
        return False
    for group in range(0, count, 4):
        others |= (
            (places[group + 1] - places[group] - stride) | (places[group + 2] - places[group + 1] - stride)
            | (places[group + 3] - places[group + 2] - stride)
        )
    return others == 0


cdef inline always_inline multiply_strided(
    const int groups, const int columns,
    const real* a, const Py_ssize_t* places, Py_ssize_t a_step, Py_ssize_t a_skip,
    const real* b, const Py_ssize_t b_step, Py_ssize_t b_skip, Py_ssize_t runs, Py_ssize_t length,
    const real* start, const Py_ssize_t* start_places, const real* last, real* out, const Py_ssize_t* out_places,
) noexcept nogil:
    """``multiply_register_block`` of `groups` times four rows; the steps of `b` may lie apart."""
    cdef real sums[MOST_STRIDED_SUMS]
    cdef real own[MOST_STRIDED_COLUMNS]
    cdef const real* source[MOST_POINTERS]
    cdef real left
    cdef Py_ssize_t _step, offset = 0, rest = length, stride = places[1] - places[0]
    cdef int group, row, j
    if runs * length <= 0:
        return
    for group in range(groups):
        source[group] = a + places[group * ROWS_OF_POINTER]
        for row in range(ROWS_OF_POINTER):
            for j in range(columns):
                sums[(group * ROWS_OF_POINTER + row) * columns + j] = (start + start_places[group * ROWS_OF_POINTER + row])[j]
    for _step in range(runs * length):
        for group in range(groups):
            for row in range(ROWS_OF_POINTER):
                left = (source[group] + offset)[row * stride]
                for j in range(columns):
                    sums[(group * ROWS_OF_POINTER + row) * columns + j] = multiply_add(
                        left, b[j], sums[(group * ROWS_OF_POINTER + row) * columns + j]
                    )
        offset += a_step
        b += b_step
        rest -= 1
        if unlikely(rest == 0):
            rest = length
            offset += a_skip
            b += b_skip
    if last != NULL:
        # As in ``multiply_register_block``.
        for j in range(columns):
            own[j] = last[j]
        for group in range(groups):
            for row in range(ROWS_OF_POINTER):
                for j in range(columns):
                    (out + out_places[group * ROWS_OF_POINTER + row])[j] = (
                        sums[(group * ROWS_OF_POINTER + row) * columns + j] + own[j]
                    )
        return
    for group in range(groups):
        for row in range(ROWS_OF_POINTER):
            for j in range(columns):
                (out + out_places[group * ROWS_OF_POINTER + row])[j] = sums[(group * ROWS_OF_POINTER + row) * columns + j]


cdef inline noinline strided_8_by_3_vectors(
    const real* a, const Py_ssize_t* places, Py_ssize_t a_step, Py_ssize_t a_skip, const real* b, Py_ssize_t b_skip,
    Py_ssize_t runs, Py_ssize_t length,
    const real* start, const Py_ssize_t* start_places, const real* last, real* out, const Py_ssize_t* out_places,
) noexcept nogil:
    """8 rows of 3 vectors."""
    multiply_strided(
        2, 3 * lanes(<real>0), a, places, a_step, a_skip, b, 3 * lanes(<real>0), b_skip, runs, length, start,
        start_places, last, out, out_places,
    )


cdef inline noinline unpacked_8_by_3_vectors(
    const real* a, const Py_ssize_t* places, Py_ssize_t a_step, Py_ssize_t a_skip,
    const real* b, Py_ssize_t b_step, Py_ssize_t b_skip, Py_ssize_t runs, Py_ssize_t length,
    const real* start, const Py_ssize_t* start_places, real* out, const Py_ssize_t* out_places,
) noexcept nogil:
    """8 rows of 3 vectors of a matrix that is not packed, its steps `b_step` apart."""
    multiply_strided(
        2, 3 * lanes(<real>0), a, places, a_step, a_skip, b, b_step, b_skip, runs, length, start, start_places, NULL, out,
        out_places,
    )


cdef inline noinline strided_8_by_2_vectors(
    const real* a, const Py_ssize_t* places, Py_ssize_t a_step, Py_ssize_t a_skip, const real* b, Py_ssize_t b_skip,
    Py_ssize_t runs, Py_ssize_t length,
    const real* start, const Py_ssize_t* start_places, const real* last, real* out, const Py_ssize_t* out_places,
) noexcept nogil:
    """8 rows of 2 vectors."""
    multiply_strided(
        2, 2 * lanes(<real>0), a, places, a_step, a_skip, b, 2 * lanes(<real>0), b_skip, runs, length, start,
        start_places, last, out, out_places,
    )


cdef inline noinline strided_16_by_vector(
    const real* a, const Py_ssize_t* places, Py_ssize_t a_step, Py_ssize_t a_skip, const real* b, Py_ssize_t b_skip,
    Py_ssize_t runs, Py_ssize_t length,
    const real* start, const Py_ssize_t* start_places, const real* last, real* out, const Py_ssize_t* out_places,
) noexcept nogil:
    """16 rows of a vector."""
    multiply_strided(
        4, lanes(<real>0), a, places, a_step, a_skip, b, lanes(<real>0), b_skip, runs, length, start, start_places, last,
        out, out_places,
    )


cdef inline noinline strided_16_by_8(
    const real* a, const Py_ssize_t* places, Py_ssize_t a_step, Py_ssize_t a_skip, const real* b, Py_ssize_t b_skip,
    Py_ssize_t runs, Py_ssize_t length,
    const real* start, const Py_ssize_t* start_places, const real* last, real* out, const Py_ssize_t* out_places,
) noexcept nogil:
    """16 rows of 8 columns."""
    multiply_strided(
        4, 8, a, places, a_step, a_skip, b, 8, b_skip, runs, length, start, start_places, last, out, out_places
    )


cdef inline void micro_kernel_strided(
    int columns, int lane,
    const real* a, const Py_ssize_t* places, Py_ssize_t a_step, Py_ssize_t a_skip, const real* b, Py_ssize_t b_skip,
    Py_ssize_t runs, Py_ssize_t length,
    const real* start, const Py_ssize_t* start_places, const real* last, real* out, const Py_ssize_t* out_places,
) noexcept nogil:
    """Run the full block of `columns` columns, at most three vectors of `lane`, on rows that are `evenly_spaced`."""
    if columns == 3 * lane:
        strided_8_by_3_vectors(
            a, places, a_step, a_skip, b, b_skip, runs, length, start, start_places, last, out, out_places
        )
    elif columns == 2 * lane:
        strided_8_by_2_vectors(
            a, places, a_step, a_skip, b, b_skip, runs, length, start, start_places, last, out, out_places
        )
    elif columns == lane:
        strided_16_by_vector(
            a, places, a_step, a_skip, b, b_skip, runs, length, start, start_places, last, out, out_places
        )
    else:
        strided_16_by_8(
            a, places, a_step, a_skip, b, b_skip, runs, length, start, start_places, last, out, out_places
        )
