"""The micro-kernel of pixels abreast: vectors of neighbouring pixels, 8 columns of each.

Where an image has few channels and few columns (8 filters on a grey image) a vector of columns would be half empty, and
each multiplication would have to fetch a pixel. Here the pixels are the vectors and the filters the scalars, each fetched
once for all vectors of a register block. The sums are turned by shuffles as they are stored: a pixel's columns lie side by side.

Each output is one chain of fused multiply-adds from 0 in the order of the steps, and an addition.
"""

from cnnref.kernels.base.isa cimport CNNREF_VECTOR_BYTES, always_inline, noinline
from cnnref.kernels.base.register_block cimport lanes
from cnnref.kernels.base.types cimport real
from cnnref.kernels.base.vector cimport add_scaled, registers, zero_row

cdef enum:
    COLUMNS_ABREAST = 8
    MOST_VECTORS = 3


cdef inline int most_vectors(real kind) noexcept nogil:
    """Vectors of a register block: 24 registers of sums of 32, 8 of 16."""
    return MOST_VECTORS if CNNREF_VECTOR_BYTES == 64 else 1


cdef inline always_inline multiply_few_channels(
    const int vectors, const int lane, const real* planes, const Py_ssize_t* places, const Py_ssize_t* offsets,
    Py_ssize_t steps, const real* filters, const real* last, real* out, const Py_ssize_t* out_places,
) noexcept nogil:
    """`lane` pixels from each of the `vectors` places on, their outputs from each of the `out_places` on.

    Step k multiplies what stands ``offsets[k]`` after a pixel with 8 values from ``filters[8 * k]`` on; `last` is added.
    """
    cdef registers room
    cdef real* sums = <real*>room.bytes
    cdef real own[COLUMNS_ABREAST]
    cdef const real* source[MOST_VECTORS]
    cdef real* target
    cdef Py_ssize_t step, offset
    cdef int c, v, j
    if steps <= 0:  # with this the compiler keeps `sums` out of memory
        return
    for v in range(vectors):
        source[v] = planes + places[v]
    for c in range(COLUMNS_ABREAST):
        zero_row(vectors * lane, sums + c * vectors * lane)
    for step in range(steps):
        offset = offsets[step]
        for c in range(COLUMNS_ABREAST):
            for v in range(vectors):
                add_scaled(lane, filters[c], source[v] + offset, sums + (c * vectors + v) * lane)
        filters += COLUMNS_ABREAST
    for c in range(COLUMNS_ABREAST):
        own[c] = last[c]
    for v in range(vectors):
        target = out + out_places[v]
        # Written out, so that the compiler sees eight streams that it can turn together.
        for j in range(lane):
            target[COLUMNS_ABREAST * j] = sums[v * lane + j] + own[0]
            target[COLUMNS_ABREAST * j + 1] = sums[(vectors + v) * lane + j] + own[1]
            target[COLUMNS_ABREAST * j + 2] = sums[(2 * vectors + v) * lane + j] + own[2]
            target[COLUMNS_ABREAST * j + 3] = sums[(3 * vectors + v) * lane + j] + own[3]
            target[COLUMNS_ABREAST * j + 4] = sums[(4 * vectors + v) * lane + j] + own[4]
            target[COLUMNS_ABREAST * j + 5] = sums[(5 * vectors + v) * lane + j] + own[5]
            target[COLUMNS_ABREAST * j + 6] = sums[(6 * vectors + v) * lane + j] + own[6]
            target[COLUMNS_ABREAST * j + 7] = sums[(7 * vectors + v) * lane + j] + own[7]


cdef inline noinline three_vectors_of_pixels(
    const real* planes, const Py_ssize_t* places, const Py_ssize_t* offsets, Py_ssize_t steps, const real* filters,
    const real* last, real* out, const Py_ssize_t* out_places,
) noexcept nogil:
    multiply_few_channels(3, lanes(<real>0), planes, places, offsets, steps, filters, last, out, out_places)


cdef inline noinline one_vector_of_pixels(
    const real* planes, const Py_ssize_t* places, const Py_ssize_t* offsets, Py_ssize_t steps, const real* filters,
    const real* last, real* out, const Py_ssize_t* out_places,
) noexcept nogil:
    multiply_few_channels(1, lanes(<real>0), planes, places, offsets, steps, filters, last, out, out_places)


cdef inline void few_channels_micro_kernel(
    int vectors, const real* planes, const Py_ssize_t* places, const Py_ssize_t* offsets, Py_ssize_t steps,
    const real* filters, const real* last, real* out, const Py_ssize_t* out_places,
) noexcept nogil:
    """At most `most_vectors` vectors of pixels."""
    cdef int v
    if CNNREF_VECTOR_BYTES == 64 and vectors == MOST_VECTORS:
        three_vectors_of_pixels(planes, places, offsets, steps, filters, last, out, out_places)
    else:
        for v in range(vectors):
            one_vector_of_pixels(planes, places + v, offsets, steps, filters, last, out, out_places + v)
