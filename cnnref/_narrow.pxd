"""Correlations with few outputs a pixel: vectors run along the image instead of along the channels.

With one or three columns (the gradient of a grey or colour image) a tile as wide as a vector would be mostly
padding. So the image is taken apart into planes, one a channel, and a tile holds up to 3 columns of
neighbouring pixels: the filters are the scalars and the planes the vectors. Each output is the same chain in
the same order as in ``_correlate.pxd``.
"""

from libc.stdlib cimport free
from libc.string cimport memset

from cnnref._few_rows cimport rows_of_widest
from cnnref._memory cimport allocate
from cnnref._panels cimport Matrix, turn
from cnnref._plan cimport Correlation, span_h, span_w
from cnnref._tile cimport row_of_widest
from cnnref._tile_shapes cimport MOST_COLUMNS, widest
from cnnref._types cimport real
from cnnref.threads cimport stopped

cdef enum:
    MOST_NARROW = 3
    # Fewer taps do not pay for taking the image apart.
    LEAST_TAPS = 2
    # Bytes of planes that a block of rows may fill, for the second-level cache.
    PLANES_BYTES = 196608


cdef inline bint is_narrow(const Correlation* plan) noexcept nogil:
    """Whether this module's kernel is the one for `plan`."""
    return (
        plan.columns <= MOST_NARROW and plan.stride_h == 1 and plan.stride_w == 1
        and plan.window_h * plan.window_w >= LEAST_TAPS and plan.channels > 0
    )


cdef inline bint all_finite(const real* values, Py_ssize_t count) noexcept nogil:
    """Whether no value is infinite or NaN, by a count that vectorises.

    This kernel multiplies filters with the zeros around an image, which is harmless only then (0 * inf is NaN).
    """
    cdef Py_ssize_t j, others = 0
    for j in range(count):
        others += values[j] - values[j] != 0
    return others == 0


cdef inline void narrow_filters(
    const Correlation* plan, const Matrix* place, const real* matrix, real* filters
) noexcept nogil:
    """Lay the matrix out column by column, each in the order of its sum."""
    cdef Py_ssize_t column, row, pixel, channel
    cdef const real* source
    for column in range(plan.columns):
        for row in range(plan.window_h):
            for pixel in range(plan.window_w):
                source = matrix + row * place.row_step + pixel * place.pixel_step + column * place.column_step
                for channel in range(plan.channels):
                    filters[channel] = source[channel * place.channel_step]
                filters += plan.channels


cdef inline void take_apart(
    const Correlation* plan, const real* image, Py_ssize_t top, Py_ssize_t rows, Py_ssize_t line,
    Py_ssize_t plane, real* planes,
) noexcept nogil:
    """Fill each channel's plane with `rows` rows of `line` pixels from row `top`, column ``-plan.left``."""
    cdef Py_ssize_t row, channel, column, turned, j
    cdef Py_ssize_t first = min(max(plan.left, <Py_ssize_t>0), line)
    cdef Py_ssize_t last = max(min(plan.width + plan.left, line), first)
    cdef const real* source
    cdef real* target
    memset(planes, 0, plan.channels * plane * sizeof(real))
    for row in range(rows):
        if top + row < 0 or top + row >= plan.height:
            continue
        source = image + ((top + row) * plan.width - plan.left) * plan.image_step
        target = planes + row * line
        turned = first + (last - first) // 16 * 16
        for column in range(first, turned, 16):
            for channel in range(0, plan.channels - 3, 4):
                turn(
                    source + column * plan.image_step + channel, plan.image_step,
                    target + channel * plane + column, plane,
                )
            for channel in range(plan.channels // 4 * 4, plan.channels):
                for j in range(column, column + 16):
                    target[channel * plane + j] = source[j * plan.image_step + channel]
        for channel in range(plan.channels):
            for column in range(turned, last):
                target[channel * plane + column] = source[column * plan.image_step + channel]


cdef inline void put(
    const Correlation* plan, const real* sums, const real* last, Py_ssize_t pixels, real* out
) noexcept nogil:
    """Store the columns of neighbouring pixels, where there are any, with the last term of each column added."""
    cdef Py_ssize_t pixel, c
    # Apart, so that the compiler knows that no output overwrites them.
    cdef real first = last[0], second = last[1], third = last[2]
    if plan.columns == 3 and plan.pixel_step == 3:
        # Apart, so that the compiler knows the distances and vectorises.
        for pixel in range(pixels):
            out[3 * pixel] = sums[pixel] + first
            out[3 * pixel + 1] = sums[MOST_COLUMNS + pixel] + second
            out[3 * pixel + 2] = sums[2 * MOST_COLUMNS + pixel] + third
    else:
        for c in range(plan.columns):
            first = last[c]
            for pixel in range(pixels):
                out[pixel * plan.pixel_step + c] = sums[c * MOST_COLUMNS + pixel] + first


cdef inline void multiply_planes(
    const Correlation* plan, const real* planes, Py_ssize_t plane, Py_ssize_t line, Py_ssize_t n_rows,
    const real* filters, const real* bias, real* out, real* sums,
) noexcept nogil:
    """All outputs of `n_rows` output rows from the planes."""
    cdef Py_ssize_t columns[MOST_NARROW]
    cdef Py_ssize_t places[MOST_NARROW]
    cdef int width = widest(<real>0)
    cdef Py_ssize_t run = plan.window_w * plan.channels
    cdef Py_ssize_t depth = plan.window_h * run
    cdef Py_ssize_t b_skip = plan.dilation_w - plan.channels * plane
    cdef Py_ssize_t place = 0, row = 0, column = 0, window_row, j
    cdef int c
    cdef Py_ssize_t count
    cdef real last[MOST_NARROW]
    for c in range(MOST_NARROW):
        columns[c] = min(c, <int>plan.columns - 1) * depth
        places[c] = c * MOST_COLUMNS
        # Without a bias -0, which changes no number that it is added to.
        last[c] = bias[c] if bias != NULL and c < plan.columns else <real>-0.0
    while place < n_rows * line:
        for c in range(<int>plan.columns):
            memset(sums + places[c], 0, width * sizeof(real))
        for window_row in range(plan.window_h):
            if plan.columns == 1:
                row_of_widest(
                    filters + window_row * run, columns, 1, 0,
                    planes + place + window_row * plan.dilation_h * line, plane, b_skip,
                    plan.window_w, plan.channels, sums, places, NULL, sums, places,
                )
            else:
                rows_of_widest(
                    filters + window_row * run, columns, 1, 0,
                    planes + place + window_row * plan.dilation_h * line, plane, b_skip,
                    plan.window_w, plan.channels, sums, places, NULL, sums, places,
                )
        # The ends of lines, where a window would run on into the next line, are no outputs.
        j = 0
        while j < min(<Py_ssize_t>width, n_rows * line - place):
            count = min(line - column, width - j)
            put(
                plan, sums + j, last, min(count, plan.n_W - column), out + row * plan.row_step + column * plan.pixel_step
            )
            j += count
            column += count
            if column == line:
                column = 0
                row += 1
        place += width


cdef inline int narrow_share(
    const Correlation* plan, const real* images, const real* filters, const real* bias, real* out,
    int member, int team, const int* watched,
) noexcept nogil:
    """The blocks of thread `member` of `team`; -1 where its planes could not be allocated or the call is stopped."""
    cdef Py_ssize_t line = plan.n_W + span_w(plan) - 1
    cdef Py_ssize_t fitting = PLANES_BYTES // max(line * plan.channels * <Py_ssize_t>sizeof(real), <Py_ssize_t>1)
    cdef Py_ssize_t rows = min(max(fitting - span_h(plan) + 1, <Py_ssize_t>4), plan.n_H)
    cdef Py_ssize_t blocks = (plan.n_H + rows - 1) // rows
    # The last tile reads up to a tile's width past the last window.
    cdef Py_ssize_t plane = (rows + span_h(plan) - 1) * line + span_w(plan) + MOST_COLUMNS
    cdef real* scratch = <real*>allocate(MOST_NARROW * MOST_COLUMNS + plan.channels * plane, sizeof(real))
    cdef Py_ssize_t task = member, sample, top, n_rows
    if scratch == NULL:
        return -1
    memset(scratch, 0, MOST_NARROW * MOST_COLUMNS * sizeof(real))
    while task < plan.samples * blocks:
        sample = task // blocks
        top = (task % blocks) * rows
        n_rows = min(rows, plan.n_H - top)
        take_apart(
            plan, images + sample * plan.height * plan.width * plan.image_step, top - plan.top,
            n_rows + span_h(plan) - 1, line, plane, scratch + MOST_NARROW * MOST_COLUMNS,
        )
        multiply_planes(
            plan, scratch + MOST_NARROW * MOST_COLUMNS, plane, line, n_rows, filters, bias,
            out + sample * plan.sample_step + top * plan.row_step, scratch,
        )
        if stopped(watched):
            break
        task += team
    free(scratch)
    return -1 if task < plan.samples * blocks else 0
