"""Register tile of a sliding window: each value of the image is loaded once for all taps of a window row.

The tile of ``_lanes.pxd`` loads a vector of the image for each multiplication. Where neighbouring windows are one or two
pixels apart and 3, 5 or 7 pixels wide, the pixel that is the last tap of one output is an earlier one of the next: here it
is loaded once and multiplied with every tap. Each output is the same chain in the same order.
"""

from cnnref._isa cimport CNNREF_VECTOR_BYTES, apart, inlined
from cnnref._tile_shapes cimport lanes
from cnnref._types cimport multiply_add, real

cdef enum:
    # Output pixels of a tile: images are often multiples of 7 wide, and 7 chains a vector keep the multipliers busy.
    SLIDING_PIXELS = 7
    MOST_SLIDING_SUMS = 224


cdef inline inlined take_pixel(
    const int stride, const int taps, const int columns, const int place, const real** entry, Py_ssize_t at,
    const real* weights, Py_ssize_t w_step, real* sums,
) noexcept nogil:
    """Multiply the pixel at `place` of a tile's window row into every output that it is a tap of."""
    cdef const real* source
    cdef int tap, j
    if place < (SLIDING_PIXELS - 1) * stride + taps:
        source = entry[place] + at
        for tap in range(taps):
            if 0 <= place - tap < SLIDING_PIXELS * stride and (place - tap) % stride == 0:
                for j in range(columns):
                    sums[(place - tap) // stride * columns + j] = multiply_add(
                        source[j], weights[tap * w_step + j], sums[(place - tap) // stride * columns + j]
                    )


cdef inline inlined slide_tiles(
    const int stride, const int taps, const int columns, Py_ssize_t tiles, const real** table, Py_ssize_t line,
    Py_ssize_t at, Py_ssize_t window_h, const real* w, Py_ssize_t w_step, const real* last, real* out,
    Py_ssize_t out_step,
) noexcept nogil:
    """`tiles` times 7 pixels of `columns` values, for window rows of `taps` taps, `stride` entries apart.

    The table is that of ``_lanes.pxd``, its rows `line` entries apart; the filters' taps are `w_step` values apart.
    """
    cdef real sums[MOST_SLIDING_SUMS]
    cdef real own[32]
    cdef const real* weights
    cdef const real** entry
    cdef Py_ssize_t _tile, _window_row
    cdef int pixel, j
    for _tile in range(tiles):
        for pixel in range(SLIDING_PIXELS):
            for j in range(columns):
                sums[pixel * columns + j] = 0
        weights = w
        entry = table
        for _window_row in range(window_h):
            # Written out, since the compiler would not unroll a loop of that size.
            take_pixel(stride, taps, columns, 0, entry, at, weights, w_step, sums)
            take_pixel(stride, taps, columns, 1, entry, at, weights, w_step, sums)
            take_pixel(stride, taps, columns, 2, entry, at, weights, w_step, sums)
            take_pixel(stride, taps, columns, 3, entry, at, weights, w_step, sums)
            take_pixel(stride, taps, columns, 4, entry, at, weights, w_step, sums)
            take_pixel(stride, taps, columns, 5, entry, at, weights, w_step, sums)
            take_pixel(stride, taps, columns, 6, entry, at, weights, w_step, sums)
            take_pixel(stride, taps, columns, 7, entry, at, weights, w_step, sums)
            take_pixel(stride, taps, columns, 8, entry, at, weights, w_step, sums)
            take_pixel(stride, taps, columns, 9, entry, at, weights, w_step, sums)
            take_pixel(stride, taps, columns, 10, entry, at, weights, w_step, sums)
            take_pixel(stride, taps, columns, 11, entry, at, weights, w_step, sums)
            take_pixel(stride, taps, columns, 12, entry, at, weights, w_step, sums)
            take_pixel(stride, taps, columns, 13, entry, at, weights, w_step, sums)
            take_pixel(stride, taps, columns, 14, entry, at, weights, w_step, sums)
            take_pixel(stride, taps, columns, 15, entry, at, weights, w_step, sums)
            take_pixel(stride, taps, columns, 16, entry, at, weights, w_step, sums)
            take_pixel(stride, taps, columns, 17, entry, at, weights, w_step, sums)
            take_pixel(stride, taps, columns, 18, entry, at, weights, w_step, sums)
            weights += taps * w_step
            entry += line
        if last == NULL:
            for pixel in range(SLIDING_PIXELS):
                for j in range(columns):
                    out[pixel * out_step + j] = sums[pixel * columns + j]
        else:
            for j in range(columns):
                own[j] = last[j]
            for pixel in range(SLIDING_PIXELS):
                for j in range(columns):
                    out[pixel * out_step + j] = sums[pixel * columns + j] + own[j]
        table += SLIDING_PIXELS * stride
        out += SLIDING_PIXELS * out_step


cdef inline inlined slide_windows(
    Py_ssize_t stride, Py_ssize_t taps, const int columns, Py_ssize_t tiles, const real** table, Py_ssize_t line,
    Py_ssize_t at, Py_ssize_t window_h, const real* w, Py_ssize_t w_step, const real* last, real* out,
    Py_ssize_t out_step,
) noexcept nogil:
    """Run the tile of this stride and these taps."""
    if stride == 1:
        if taps == 3:
            slide_tiles(1, 3, columns, tiles, table, line, at, window_h, w, w_step, last, out, out_step)
        elif taps == 5:
            slide_tiles(1, 5, columns, tiles, table, line, at, window_h, w, w_step, last, out, out_step)
        else:
            slide_tiles(1, 7, columns, tiles, table, line, at, window_h, w, w_step, last, out, out_step)
    elif taps == 3:
        slide_tiles(2, 3, columns, tiles, table, line, at, window_h, w, w_step, last, out, out_step)
    elif taps == 5:
        slide_tiles(2, 5, columns, tiles, table, line, at, window_h, w, w_step, last, out, out_step)
    else:
        slide_tiles(2, 7, columns, tiles, table, line, at, window_h, w, w_step, last, out, out_step)


cdef inline apart slide_2_vectors(
    Py_ssize_t stride, Py_ssize_t taps, Py_ssize_t tiles, const real** table, Py_ssize_t line, Py_ssize_t at,
    Py_ssize_t window_h, const real* w, Py_ssize_t w_step, const real* last, real* out, Py_ssize_t out_step,
) noexcept nogil:
    slide_windows(
        stride, taps, 2 * lanes(<real>0), tiles, table, line, at, window_h, w, w_step, last, out, out_step
    )


cdef inline apart slide_1_vector(
    Py_ssize_t stride, Py_ssize_t taps, Py_ssize_t tiles, const real** table, Py_ssize_t line, Py_ssize_t at,
    Py_ssize_t window_h, const real* w, Py_ssize_t w_step, const real* last, real* out, Py_ssize_t out_step,
) noexcept nogil:
    slide_windows(
        stride, taps, lanes(<real>0), tiles, table, line, at, window_h, w, w_step, last, out, out_step
    )


cdef inline bint can_slide(
    Py_ssize_t stride, Py_ssize_t dilation, Py_ssize_t taps, Py_ssize_t inner, int columns, real kind
) noexcept nogil:
    """Whether there is a tile for windows of `taps` columns of `inner` terms, on a panel of whole vectors."""
    return (
        1 <= stride <= 2 and dilation == 1 and inner == 1 and (taps == 3 or taps == 5 or taps == 7)
        and columns % lanes(kind) == 0
    )


cdef inline void slide(
    Py_ssize_t stride, Py_ssize_t taps, int columns, Py_ssize_t tiles, const real** table, Py_ssize_t line,
    Py_ssize_t at, Py_ssize_t window_h, const real* w, const real* last, real* out, Py_ssize_t out_step,
) noexcept nogil:
    """Run `slide_tiles` for all `columns` of a panel, as many at a time as the registers hold."""
    cdef int vector = lanes(w[0])
    cdef int first = 0
    cdef const real* some = last
    while first < columns:
        if last != NULL:
            some = last + first
        if CNNREF_VECTOR_BYTES == 64 and columns - first >= 2 * vector:
            slide_2_vectors(
                stride, taps, tiles, table, line, at + first, window_h, w + first, columns, some,
                out + first, out_step,
            )
            first += 2 * vector
        else:
            slide_1_vector(
                stride, taps, tiles, table, line, at + first, window_h, w + first, columns, some,
                out + first, out_step,
            )
            first += vector
