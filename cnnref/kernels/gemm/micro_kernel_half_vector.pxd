"""Micro-kernels of pairs of pixels, for columns that fill half of their last vector: 24 or 40 of float32.

Two pixels share that vector, a half for each: its columns stand twice in the panel (``pack.pxd``), and a blend of the two
pixels' values is multiplied with them. A pair of pixels of 24 columns is three vectors in place of four. Otherwise these are
the register blocks of ``micro_kernel.pxd`` and ``micro_kernel_strided.pxd``, of 8 pixels; each output is the same chain.
"""

from cnnref.kernels.base.isa cimport always_inline, noinline, unlikely
from cnnref.kernels.base.types cimport multiply_add, real
from cnnref.kernels.gemm.micro_kernel_strided cimport evenly_spaced

cdef extern from "kernels/gemm/half_vector.h" nogil:
    always_inline pair_numbers "cnnref_pair_numbers"(float one, float other, float* both)
    always_inline join_halves "cnnref_join_halves"(const float* one, const float* other, float* both)
    always_inline part_halves "cnnref_part_halves"(const float* both, float* one, float* other)

cdef enum:
    LANE = 16
    HALF = 8
    PAIRED = 8
    # Groups of pixels, and the pixels of each: one pointer serves them where they are evenly spaced.
    GROUPS = 2
    GROUP = 4
    MOST_WHOLE_SUMS = 256
    SHARED_SUMS = 64
    MOST_PAIRED_COLUMNS = 48


cdef inline always_inline multiply_half_vectors(
    const bint spaced, const int vectors, const float* a, const Py_ssize_t* places, Py_ssize_t a_step, Py_ssize_t a_skip,
    const float* b, Py_ssize_t b_skip, Py_ssize_t runs, Py_ssize_t length,
    const float* start, const Py_ssize_t* start_places, const float* last, float* out, const Py_ssize_t* out_places,
) noexcept nogil:
    """``multiply_register_block`` of 8 pixels, evenly `spaced` or not, of `vectors` whole vectors of columns and a half."""
    cdef float sums[MOST_WHOLE_SUMS]
    cdef float shared[SHARED_SUMS]
    cdef float both[LANE]
    cdef float own[MOST_PAIRED_COLUMNS]
    cdef const float* source[PAIRED]
    cdef float one, other
    cdef Py_ssize_t _step, offset = 0, rest = length, stride = places[1] - places[0]
    cdef int group, pair, row, first, pixel, j
    if runs * length <= 0:  # as in ``multiply_register_block``
        return
    for group in range(GROUPS):
        for pair in range(GROUP // 2):
            first = group * GROUP + 2 * pair
            for row in range(2):
                pixel = first + row
                source[pixel] = a + places[pixel]
                for j in range(vectors * LANE):
                    sums[pixel * vectors * LANE + j] = (start + start_places[pixel])[j]
            join_halves(
                start + start_places[first] + vectors * LANE, start + start_places[first + 1] + vectors * LANE,
                shared + first * HALF,
            )
    for _step in range(runs * length):
        for group in range(GROUPS):
            for pair in range(GROUP // 2):
                first = group * GROUP + 2 * pair
                if spaced:
                    one = (source[group * GROUP] + offset)[2 * pair * stride]
                    other = (source[group * GROUP] + offset)[(2 * pair + 1) * stride]
                else:
                    one = source[first][offset]
                    other = source[first + 1][offset]
                for j in range(vectors * LANE):
                    sums[first * vectors * LANE + j] = multiply_add(one, b[j], sums[first * vectors * LANE + j])
                for j in range(vectors * LANE):
                    sums[(first + 1) * vectors * LANE + j] = multiply_add(
                        other, b[j], sums[(first + 1) * vectors * LANE + j]
                    )
                pair_numbers(one, other, both)
                for j in range(LANE):
                    shared[first * HALF + j] = multiply_add(both[j], b[vectors * LANE + j], shared[first * HALF + j])
        offset += a_step
        b += (vectors + 1) * LANE
        rest -= 1
        if unlikely(rest == 0):
            rest = length
            offset += a_skip
            b += b_skip
    if last != NULL:
        # As in ``multiply_register_block``.
        for j in range(vectors * LANE):
            own[j] = last[j]
        join_halves(last + vectors * LANE, last + vectors * LANE, own + vectors * LANE)
        for group in range(GROUPS):
            for pair in range(GROUP // 2):
                first = group * GROUP + 2 * pair
                for row in range(2):
                    pixel = first + row
                    for j in range(vectors * LANE):
                        (out + out_places[pixel])[j] = sums[pixel * vectors * LANE + j] + own[j]
                for j in range(LANE):
                    both[j] = shared[first * HALF + j] + own[vectors * LANE + j]
                part_halves(
                    both, out + out_places[first] + vectors * LANE, out + out_places[first + 1] + vectors * LANE
                )
        return
    for group in range(GROUPS):
        for pair in range(GROUP // 2):
            first = group * GROUP + 2 * pair
            for row in range(2):
                pixel = first + row
                for j in range(vectors * LANE):
                    (out + out_places[pixel])[j] = sums[pixel * vectors * LANE + j]
            part_halves(
                shared + first * HALF, out + out_places[first] + vectors * LANE,
                out + out_places[first + 1] + vectors * LANE,
            )


cdef inline noinline pairs_by_24(
    const float* a, const Py_ssize_t* places, Py_ssize_t a_step, Py_ssize_t a_skip, const float* b, Py_ssize_t b_skip,
    Py_ssize_t runs, Py_ssize_t length,
    const float* start, const Py_ssize_t* start_places, const float* last, float* out, const Py_ssize_t* out_places,
) noexcept nogil:
    """8 pixels of 24 columns."""
    multiply_half_vectors(
        False, 1, a, places, a_step, a_skip, b, b_skip, runs, length, start, start_places, last, out, out_places
    )


cdef inline noinline even_pairs_by_24(
    const float* a, const Py_ssize_t* places, Py_ssize_t a_step, Py_ssize_t a_skip, const float* b, Py_ssize_t b_skip,
    Py_ssize_t runs, Py_ssize_t length,
    const float* start, const Py_ssize_t* start_places, const float* last, float* out, const Py_ssize_t* out_places,
) noexcept nogil:
    """8 pixels of 24 columns, evenly spaced."""
    multiply_half_vectors(
        True, 1, a, places, a_step, a_skip, b, b_skip, runs, length, start, start_places, last, out, out_places
    )


cdef inline noinline pairs_by_40(
    const float* a, const Py_ssize_t* places, Py_ssize_t a_step, Py_ssize_t a_skip, const float* b, Py_ssize_t b_skip,
    Py_ssize_t runs, Py_ssize_t length,
    const float* start, const Py_ssize_t* start_places, const float* last, float* out, const Py_ssize_t* out_places,
) noexcept nogil:
    """8 pixels of 40 columns."""
    multiply_half_vectors(
        False, 2, a, places, a_step, a_skip, b, b_skip, runs, length, start, start_places, last, out, out_places
    )


cdef inline void micro_kernel_half_vector(
    int width, const real* a, const Py_ssize_t* places, Py_ssize_t a_step, Py_ssize_t a_skip,
    const real* b, Py_ssize_t b_skip, Py_ssize_t runs, Py_ssize_t length,
    const real* start, const Py_ssize_t* start_places, const real* last, real* out, const Py_ssize_t* out_places,
) noexcept nogil:
    """Run the register block of 8 pixels for a panel `width` wide whose last vector is a half, twice."""
    if real is float:
        if width == 3 * LANE:
            pairs_by_40(
                a, places, a_step, a_skip, b, b_skip, runs, length, start, start_places, last, out, out_places
            )
        elif evenly_spaced(places, PAIRED):
            even_pairs_by_24(
                a, places, a_step, a_skip, b, b_skip, runs, length, start, start_places, last, out, out_places
            )
        else:
            pairs_by_24(
                a, places, a_step, a_skip, b, b_skip, runs, length, start, start_places, last, out, out_places
            )
