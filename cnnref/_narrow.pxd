"""Correlations with few outputs a pixel: vectors run along the image instead of along the channels.

With one or three columns (the gradient of a grey or colour image) a tile as wide as a vector would be mostly padding; with 8
or 24 of float32 it would be a half or a quarter of it. So the image is taken apart into planes, one a channel
(``_planes.pxd``), and a tile holds some columns of neighbouring pixels (``_plane_tile.pxd``). Several correlations of the same
images, the phases of a gradient, share their planes. Each output is the same chain in the same order as in
``_correlate.pxd``, but what lies outside the image counts as zeros.
"""

from cython.parallel cimport prange
from libc.stdlib cimport free
from libc.string cimport memset

from cnnref._isa cimport apart, inlined
from cnnref._lane_correlate cimport Frame, Part, frame_of
from cnnref._memory cimport allocate
from cnnref._panels cimport Matrix, copy_8, copy_values
from cnnref._plan cimport Correlation, multiplications
from cnnref._plane_tile cimport (
    MOST_PLANE_PIXELS,
    MOST_PLANE_ROWS,
    MOST_PLANE_SUMS,
    Steps,
    plane_pixels,
    plane_rows,
    plane_tile,
)
from cnnref._planes cimport Planes, planes_of, take_apart
from cnnref._types cimport real
from cnnref.threads cimport stopped, team_size, watch

cdef enum:
    MOST_NARROW = 24
    # Taps, of all phases, that pay for taking the image apart: where a vector's values are never used, and where a part of
    # them is.
    LEAST_TAPS = 2
    MORE_TAPS = 4
    # float32 values of the widest vector.
    WIDEST_FLOATS = 16


cdef inline Py_ssize_t multiple(Py_ssize_t count, Py_ssize_t unit) noexcept nogil:
    """`count` rounded up to a multiple."""
    return (count + unit - 1) // unit * unit


cdef inline bint is_narrow(const Part* parts, Py_ssize_t count, real kind) noexcept nogil:
    """Whether this module's kernel is the one for all `parts`.

    On every instruction set alike: zeros around an image are terms here, which turn a -0 into 0.
    """
    cdef const Correlation* plan = &parts[0].plan
    cdef Frame frame
    cdef Py_ssize_t i, taps = 0
    if plan.columns > MOST_NARROW or plan.stride_h > 1 or plan.stride_w > 1 or plan.channels == 0:
        return False
    for i in range(count):
        taps += parts[i].plan.window_h * parts[i].plan.window_w
    if plan.columns <= 3:
        return taps >= LEAST_TAPS
    if real is double or taps < MORE_TAPS * count:
        return False
    frame = frame_of(parts, count)
    # What of a tile is used, here and where vectors run along the columns; a fifth more pays for the planes.
    return (
        6 * multiple(plan.columns, MOST_PLANE_ROWS) * (frame.n_W + frame.span_w - 1)
        <= 5 * multiple(plan.columns, WIDEST_FLOATS) * frame.n_W
    )


cdef inline bint all_finite(const real* values, Py_ssize_t count) noexcept nogil:
    """Whether no value is infinite or NaN, by a count that vectorises.

    This kernel multiplies filters with the zeros around an image, which is harmless only then (0 * inf is NaN).
    """
    cdef Py_ssize_t j, others = 0
    for j in range(count):
        others += values[j] - values[j] != 0
    return others == 0


cdef inline Py_ssize_t narrow_size(const Correlation* plan) noexcept nogil:
    """Values of a part's filters: those of the last columns are repeated until they fill a tile."""
    return plan.window_h * plan.window_w * plan.channels * multiple(plan.columns, plane_rows(plan.columns))


cdef inline void narrow_filters(
    const Correlation* plan, const Matrix* place, const real* matrix, real* filters
) noexcept nogil:
    """Lay the matrix out for tiles: some columns side by side, in the order of their sums."""
    cdef Py_ssize_t group, row, pixel, channel, r, column
    cdef Py_ssize_t rows = plane_rows(plan.columns)
    cdef const real* source
    for group in range((plan.columns + rows - 1) // rows):
        for row in range(plan.window_h):
            for pixel in range(plan.window_w):
                for r in range(rows):
                    column = min(group * rows + r, plan.columns - 1)
                    source = matrix + row * place.row_step + pixel * place.pixel_step + column * place.column_step
                    for channel in range(plan.channels):
                        filters[channel * rows + r] = source[channel * place.channel_step]
                filters += plan.channels * rows


cdef inline inlined interleave(
    const int rows, const int pixels, const real* sums, const real* last, real* merged
) noexcept nogil:
    """The columns of each pixel side by side, each with its last term added."""
    cdef real own[MOST_PLANE_ROWS]
    cdef int pixel, c
    # Apart, so that the compiler knows that no output overwrites them.
    for c in range(rows):
        own[c] = last[c]
    for pixel in range(pixels):
        for c in range(rows):
            merged[pixel * rows + c] = sums[c * pixels + pixel] + own[c]


cdef inline apart interleave_tile(
    int rows, int pixels, const real* sums, const real* last, real* merged
) noexcept nogil:
    """`interleave` for a tile's shape."""
    if rows == 8:
        if pixels == 48:
            interleave(8, 48, sums, last, merged)
        elif pixels == 16:
            interleave(8, 16, sums, last, merged)
        elif pixels == 24:
            interleave(8, 24, sums, last, merged)
        else:
            interleave(8, 8, sums, last, merged)
    elif rows == 3:
        if pixels == 96:
            interleave(3, 96, sums, last, merged)
        elif pixels == 48:
            interleave(3, 48, sums, last, merged)
        elif pixels == 32:
            interleave(3, 32, sums, last, merged)
        elif pixels == 16:
            interleave(3, 16, sums, last, merged)
        else:
            interleave(3, 8, sums, last, merged)
    elif pixels == 96:
        interleave(1, 96, sums, last, merged)
    elif pixels == 48:
        interleave(1, 48, sums, last, merged)
    else:
        interleave(1, 24, sums, last, merged)


cdef inline void put(
    const real* merged, int rows, Py_ssize_t valid, Py_ssize_t pixels, Py_ssize_t pixel_step, real* out
) noexcept nogil:
    """Store `valid` of the `rows` columns of neighbouring pixels."""
    cdef Py_ssize_t pixel, c
    if valid == rows == pixel_step:
        copy_values(merged, pixels * rows, out)
    elif valid == 8:
        for pixel in range(pixels):
            copy_8(merged + 8 * pixel, out + pixel * pixel_step)
    elif valid == 3 and rows == 3:
        for pixel in range(pixels):
            out[pixel * pixel_step] = merged[3 * pixel]
            out[pixel * pixel_step + 1] = merged[3 * pixel + 1]
            out[pixel * pixel_step + 2] = merged[3 * pixel + 2]
    else:
        for pixel in range(pixels):
            for c in range(valid):
                out[pixel * pixel_step + c] = merged[pixel * rows + c]


cdef inline void multiply_planes(
    const Correlation* plan, const real* planes, Py_ssize_t plane, Py_ssize_t line, Py_ssize_t n_rows,
    const real* filters, const real* bias, real* out, real* scratch,
) noexcept nogil:
    """All outputs of `n_rows` output rows, whose first window starts at `planes`; `scratch` has two tiles of values."""
    cdef Steps steps
    cdef int rows = plane_rows(plan.columns), width
    cdef Py_ssize_t depth = plan.window_h * plan.window_w * plan.channels
    cdef Py_ssize_t place = 0, row = 0, column = 0, group, first, end_row, end_column, j, count
    cdef Py_ssize_t end = (n_rows - 1) * line + plan.n_W
    cdef real* merged = scratch + MOST_PLANE_SUMS
    cdef real last[MOST_NARROW]
    steps.window_h, steps.window_w, steps.channels = plan.window_h, plan.window_w, plan.channels
    steps.plane, steps.tap, steps.row = plane, plan.dilation_w, plan.dilation_h * line
    for j in range(MOST_NARROW):
        # Without a bias -0, which changes no number that it is added to.
        last[j] = bias[j] if bias != NULL and j < plan.columns else <real>-0.0
    while place < end:
        width = plane_pixels(rows, end - place, <real>0)
        end_row, end_column = row, column
        for group in range((plan.columns + rows - 1) // rows):
            first = group * rows
            plane_tile(rows, width, filters + first * depth, planes + place, &steps, scratch)
            interleave_tile(rows, width, scratch, last + first, merged)
            # The ends of lines, where a window would run on into the next line, are no outputs.
            end_row, end_column = row, column
            j = 0
            while j < min(<Py_ssize_t>width, end - place):
                count = min(line - end_column, width - j)
                put(
                    merged + j * rows, rows, min(plan.columns - first, <Py_ssize_t>rows),
                    max(min(min(count, plan.n_W - end_column), end - place - j), <Py_ssize_t>0), plan.pixel_step,
                    out + end_row * plan.row_step + end_column * plan.pixel_step + first,
                )
                j += count
                end_column += count
                if end_column == line:
                    end_column = 0
                    end_row += 1
        row, column = end_row, end_column
        place += width


cdef inline int narrow_share(
    const Part* parts, Py_ssize_t count, const real* images, const real* filters, const real* bias, real* out,
    int member, int team, const int* watched,
) noexcept nogil:
    """The blocks of thread `member` of `team`; -1 where its planes could not be allocated or the call is stopped."""
    cdef const Correlation* plan = &parts[0].plan
    cdef const Correlation* own
    cdef Frame frame = frame_of(parts, count)
    cdef Planes planes
    cdef Py_ssize_t task = member, sample, top, i, n_rows, blocks, size
    cdef real* scratch
    cdef real* values
    if frame.n_H == 0 or frame.n_W == 0:
        return 0
    planes = planes_of(plan, &frame, <real>0)
    blocks = (frame.n_H + planes.rows - 1) // planes.rows
    # A tile reads beyond the last window: on to the next plane, and beyond the last one a line more.
    size = plan.channels * planes.plane + planes.line * plan.dilation_h + MOST_PLANE_PIXELS
    scratch = <real*>allocate(2 * MOST_PLANE_SUMS + size, sizeof(real))
    if scratch == NULL:
        return -1
    values = scratch + 2 * MOST_PLANE_SUMS
    memset(values, 0, plan.channels * planes.plane * sizeof(real))
    while task < plan.samples * blocks:
        sample = task // blocks
        top = (task % blocks) * planes.rows
        n_rows = min(planes.rows, frame.n_H - top)
        take_apart(
            plan, &frame, &planes, images + sample * plan.height * plan.width * plan.image_step, top - frame.top,
            n_rows + frame.span_h - 1, values,
        )
        for i in range(count):
            own = &parts[i].plan
            if top < own.n_H:
                multiply_planes(
                    own, values + (frame.top - own.top) * planes.line + frame.left - own.left, planes.plane, planes.line,
                    min(n_rows, own.n_H - top), filters + parts[i].panels, bias,
                    out + parts[i].out + sample * own.sample_step + top * own.row_step, scratch,
                )
        if stopped(watched):
            break
        task += team
    free(scratch)
    return -1 if task < plan.samples * blocks else 0


cdef inline int correlate_narrow(
    Part* parts, Py_ssize_t count, const real* images, const real* matrix, const real* bias, real* out
) noexcept nogil:
    """As ``correlate`` for all `parts`; 1, and nothing done, where a filter is infinite or NaN."""
    cdef Py_ssize_t i, size = 0
    cdef double work = 0
    cdef int member, team, failed = 0
    cdef const int* watched = watch()
    cdef real* filters
    for i in range(count):
        parts[i].panels = size
        size += narrow_size(&parts[i].plan)
        work += multiplications(&parts[i].plan)
    filters = <real*>allocate(size, sizeof(real))
    if filters == NULL:
        return -1
    for i in range(count):
        narrow_filters(&parts[i].plan, &parts[i].place, matrix + parts[i].matrix, filters + parts[i].panels)
    if not all_finite(filters, size):
        free(filters)
        return 1
    team = team_size(work)
    if team == 1:
        failed = -narrow_share(parts, count, images, filters, bias, out, 0, 1, watched)
    else:
        for member in prange(team, num_threads=team, schedule="static", chunksize=1):
            failed += -narrow_share(parts, count, images, filters, bias, out, member, team, watched)
    free(filters)
    return -1 if failed else 0
