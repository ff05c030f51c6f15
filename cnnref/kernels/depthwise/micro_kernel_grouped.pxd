"""Micro-kernels of correlations in small groups: neighbouring columns share a few neighbouring channels.

Where a group has as many columns as channels, 2, 4 or 8, a vector of columns reads one vector of the image. For each of its
terms the register blocks of ``micro_kernel.pxd`` would read a copy in which that term stands once for every column of its
group; here the vector is loaded once and the term is spread over its group by a shuffle. Tables, register blocks and chains
are those of ``micro_kernel.pxd`` and ``wgrad_micro_kernel.pxd``, but a register block is one vector wide.
"""

from cnnref.kernels.base.isa cimport CNNREF_VECTOR_BYTES, always_inline, noinline, unlikely
from cnnref.kernels.base.register_block cimport lanes
from cnnref.kernels.base.types cimport multiply_add, real

cdef extern from "kernels/depthwise/group_shuffle.h" nogil:
    always_inline spread_floats "cnnref_spread_floats"(int terms, int term, const float* values, float* spread)
    always_inline spread_doubles "cnnref_spread_doubles"(int terms, int term, const double* values, double* spread)

cdef enum:
    # Pixels of the larger and of the smaller register block: images are often multiples of 7 wide. The larger one has no
    # registers left for the shuffles of 8 terms, nor where there are 16 of them.
    GROUPED_PIXELS = 14
    FEW_GROUPED_PIXELS = 7
    # Taps of a register block of sums: a row of the usual window.
    GROUPED_TAPS = 3
    MOST_GROUPED = 16
    MOST_GROUPED_SUMS = 384


cdef inline always_inline spread_term(const int terms, const int term, const real* values, real* spread) noexcept nogil:
    """Spread one term of each group of a vector over its group."""
    if real is float:
        spread_floats(terms, term, values, spread)
    else:
        spread_doubles(terms, term, values, spread)


cdef inline always_inline take_term(
    const int terms, const int term, const int groups, const int rows, const int columns, const real* values,
    const real* weights, real* sums,
) noexcept nogil:
    """Multiply one term of every pixel into its sums."""
    cdef real spread[MOST_GROUPED]
    cdef int group, row, j
    if term < terms:
        for group in range(groups):
            for row in range(rows):
                spread_term(terms, term, values + (group * rows + row) * columns, spread)
                for j in range(columns):
                    sums[(group * rows + row) * columns + j] = multiply_add(
                        spread[j], weights[j], sums[(group * rows + row) * columns + j]
                    )


cdef inline always_inline multiply_grouped(
    const int terms, const int groups, const int rows, const int columns, Py_ssize_t tiles, const real** table,
    Py_ssize_t stride, Py_ssize_t gap, Py_ssize_t line, Py_ssize_t at, Py_ssize_t window_h, Py_ssize_t window_w,
    const real* w, Py_ssize_t w_step, const real* last, real* out, Py_ssize_t out_step,
) noexcept nogil:
    """``multiply_depthwise`` of a vector; the rows of `w` are `w_step` values apart."""
    cdef real sums[MOST_GROUPED_SUMS]
    cdef real values[MOST_GROUPED_SUMS]
    cdef real own[MOST_GROUPED]
    cdef const real* source
    cdef const real* weights
    cdef const real** entry
    cdef Py_ssize_t _tile, _step, columns_left
    cdef int group, row, j
    for _tile in range(tiles):
        for group in range(groups):
            for row in range(rows):
                for j in range(columns):
                    sums[(group * rows + row) * columns + j] = 0
        weights = w
        entry = table
        columns_left = window_w
        for _step in range(window_h * window_w):
            for group in range(groups):
                for row in range(rows):
                    source = entry[(group * rows + row) * stride] + at
                    for j in range(columns):
                        values[(group * rows + row) * columns + j] = source[j]
            # Written out, since the compiler would not unroll a loop of that size.
            take_term(terms, 0, groups, rows, columns, values, weights, sums)
            take_term(terms, 1, groups, rows, columns, values, weights + w_step, sums)
            take_term(terms, 2, groups, rows, columns, values, weights + 2 * w_step, sums)
            take_term(terms, 3, groups, rows, columns, values, weights + 3 * w_step, sums)
            take_term(terms, 4, groups, rows, columns, values, weights + 4 * w_step, sums)
            take_term(terms, 5, groups, rows, columns, values, weights + 5 * w_step, sums)
            take_term(terms, 6, groups, rows, columns, values, weights + 6 * w_step, sums)
            take_term(terms, 7, groups, rows, columns, values, weights + 7 * w_step, sums)
            weights += terms * w_step
            entry += gap
            columns_left -= 1
            if unlikely(columns_left == 0):
                columns_left = window_w
                entry += line - window_w * gap
        if last == NULL:
            for group in range(groups):
                for row in range(rows):
                    for j in range(columns):
                        out[(group * rows + row) * out_step + j] = sums[(group * rows + row) * columns + j]
        else:
            for j in range(columns):
                own[j] = last[j]
            for group in range(groups):
                for row in range(rows):
                    for j in range(columns):
                        out[(group * rows + row) * out_step + j] = sums[(group * rows + row) * columns + j] + own[j]
        table += groups * rows * stride
        out += groups * rows * out_step


cdef inline noinline grouped_14_pixels(
    Py_ssize_t terms, Py_ssize_t tiles, const real** table, Py_ssize_t stride, Py_ssize_t gap, Py_ssize_t line,
    Py_ssize_t at, Py_ssize_t window_h, Py_ssize_t window_w, const real* w, Py_ssize_t w_step, const real* last,
    real* out, Py_ssize_t out_step,
) noexcept nogil:
    if terms == 2:
        multiply_grouped(
            2, 2, 7, lanes(<real>0), tiles, table, stride, gap, line, at, window_h, window_w, w, w_step, last, out, out_step
        )
    else:
        multiply_grouped(
            4, 2, 7, lanes(<real>0), tiles, table, stride, gap, line, at, window_h, window_w, w, w_step, last, out, out_step
        )


cdef inline noinline grouped_7_pixels(
    Py_ssize_t terms, Py_ssize_t tiles, const real** table, Py_ssize_t stride, Py_ssize_t gap, Py_ssize_t line,
    Py_ssize_t at, Py_ssize_t window_h, Py_ssize_t window_w, const real* w, Py_ssize_t w_step, const real* last,
    real* out, Py_ssize_t out_step,
) noexcept nogil:
    if terms == 2:
        multiply_grouped(
            2, 1, 7, lanes(<real>0), tiles, table, stride, gap, line, at, window_h, window_w, w, w_step, last, out, out_step
        )
    elif terms == 4:
        multiply_grouped(
            4, 1, 7, lanes(<real>0), tiles, table, stride, gap, line, at, window_h, window_w, w, w_step, last, out, out_step
        )
    elif real is float:
        multiply_grouped(
            8, 1, 7, lanes(<real>0), tiles, table, stride, gap, line, at, window_h, window_w, w, w_step, last, out, out_step
        )


cdef inline int grouped_pixels(Py_ssize_t left, Py_ssize_t terms) noexcept nogil:
    """How many pixels the next register block has when `left` of a row are still to do."""
    return GROUPED_PIXELS if CNNREF_VECTOR_BYTES == 64 and terms < 8 and left >= GROUPED_PIXELS else FEW_GROUPED_PIXELS


cdef inline void grouped_micro_kernel(
    Py_ssize_t terms, int pixels, int columns, Py_ssize_t tiles, const real** table, Py_ssize_t stride, Py_ssize_t gap,
    Py_ssize_t line, Py_ssize_t at, Py_ssize_t window_h, Py_ssize_t window_w, const real* w, const real* last, real* out,
    Py_ssize_t out_step,
) noexcept nogil:
    """Run `multiply_grouped` for all `columns`, whole vectors, of a panel on `tiles` times `pixels` pixels."""
    cdef int vector = lanes(w[0]), first = 0
    cdef const real* some = last
    while first < columns:
        if last != NULL:
            some = last + first
        if pixels == GROUPED_PIXELS:
            grouped_14_pixels(
                terms, tiles, table, stride, gap, line, at + first, window_h, window_w, w + first, columns, some,
                out + first, out_step,
            )
        else:
            grouped_7_pixels(
                terms, tiles, table, stride, gap, line, at + first, window_h, window_w, w + first, columns, some,
                out + first, out_step,
            )
        first += vector


cdef inline always_inline add_term(
    const int terms, const int term, const int rows, const int columns, const real* values, const real* gradient,
    real* sums,
) noexcept nogil:
    """Multiply one term of every tap's pixel into its sums."""
    cdef real spread[MOST_GROUPED]
    cdef int row, j
    if term < terms:
        for row in range(rows):
            spread_term(terms, term, values + row * columns, spread)
            for j in range(columns):
                sums[(row * terms + term) * columns + j] = multiply_add(
                    spread[j], gradient[j], sums[(row * terms + term) * columns + j]
                )


cdef inline always_inline sum_grouped(
    const int terms, const int rows, const int columns, Py_ssize_t tiles, const real** table, const Py_ssize_t* taps,
    Py_ssize_t stride, Py_ssize_t skip, Py_ssize_t at, Py_ssize_t table_step, const real* dZ, Py_ssize_t dZ_step,
    Py_ssize_t pieces, Py_ssize_t n_rows, Py_ssize_t n_columns, real* out,
) noexcept nogil:
    """``sum_taps`` of a vector, for all terms of each tap, one after the other."""
    cdef real sums[MOST_GROUPED_SUMS]
    cdef real values[GROUPED_TAPS * MOST_GROUPED]
    cdef const real* source
    cdef const real* gradient
    cdef const real** entries[GROUPED_TAPS]
    cdef Py_ssize_t _tile, piece, _y, _x, place
    cdef int row, j
    for _tile in range(tiles):
        for row in range(rows):
            entries[row] = table + taps[row]
        for row in range(rows):
            for j in range(terms * columns):
                sums[row * terms * columns + j] = 0
        gradient = dZ
        for piece in range(pieces):
            place = piece * table_step
            for _y in range(n_rows):
                for _x in range(n_columns):
                    for row in range(rows):
                        source = entries[row][place] + at
                        for j in range(columns):
                            values[row * columns + j] = source[j]
                    add_term(terms, 0, rows, columns, values, gradient, sums)
                    add_term(terms, 1, rows, columns, values, gradient, sums)
                    add_term(terms, 2, rows, columns, values, gradient, sums)
                    add_term(terms, 3, rows, columns, values, gradient, sums)
                    add_term(terms, 4, rows, columns, values, gradient, sums)
                    add_term(terms, 5, rows, columns, values, gradient, sums)
                    add_term(terms, 6, rows, columns, values, gradient, sums)
                    add_term(terms, 7, rows, columns, values, gradient, sums)
                    place += stride
                    gradient += dZ_step
                place += skip
        for row in range(rows):
            for j in range(terms * columns):
                out[row * terms * columns + j] = sums[row * terms * columns + j]
        taps += rows
        out += rows * terms * columns


cdef inline noinline grouped_wgrad_micro_kernel(
    Py_ssize_t terms, Py_ssize_t tiles, const real** table, const Py_ssize_t* taps, Py_ssize_t stride, Py_ssize_t skip,
    Py_ssize_t at, Py_ssize_t table_step, const real* dZ, Py_ssize_t dZ_step, Py_ssize_t pieces, Py_ssize_t n_rows,
    Py_ssize_t n_columns, real* out,
) noexcept nogil:
    """Run `sum_grouped` for `GROUPED_TAPS` taps a register block."""
    if terms == 2:
        sum_grouped(
            2, GROUPED_TAPS, lanes(<real>0), tiles, table, taps, stride, skip, at, table_step, dZ, dZ_step, pieces,
            n_rows, n_columns, out,
        )
    elif terms == 4:
        sum_grouped(
            4, GROUPED_TAPS, lanes(<real>0), tiles, table, taps, stride, skip, at, table_step, dZ, dZ_step, pieces,
            n_rows, n_columns, out,
        )
    elif real is float:
        sum_grouped(
            8, GROUPED_TAPS, lanes(<real>0), tiles, table, taps, stride, skip, at, table_step, dZ, dZ_step, pieces,
            n_rows, n_columns, out,
        )
