"""Correlations with few outputs a pixel: vectors run along the image instead of along the channels.

With one or three columns (the gradient of a grey or colour image) a register block as wide as a vector would be mostly
padding; with 8 or 20 of float32 it would be a half or a quarter of it. So the image is taken apart into planes, one a
channel (``deinterleave.pxd``), and a register block holds some columns of neighbouring pixels (``macro_kernel.pxd``; of few
channels ``few_channels_in.pxd``, of one column ``one_channel_out.pxd``). Several correlations of the same images, the
phases of a gradient, share their planes. Each output is the same chain in the same order as in ``gemm/driver.pxd``, but
what lies outside the image counts as zeros.
"""

from cython.parallel cimport prange
from libc.stdlib cimport free
from libc.string cimport memset

from cnnref.kernels.base.integers cimport multiple
from cnnref.kernels.base.memory cimport allocate
from cnnref.kernels.base.types cimport real
from cnnref.kernels.conv.problem cimport ConvPart, Correlation, Frame, Matrix, frame_of, multiplications, taps_of
from cnnref.kernels.conv.select cimport FEW_CHANNELS_IN, ONE_CHANNEL_OUT, Kernel, few_channels_in, planar_kernel
from cnnref.kernels.planar.deinterleave cimport Planes, deinterleave, planes_of
from cnnref.kernels.planar.few_channels_in cimport few_channels_macro_kernel, tap_offsets
from cnnref.kernels.planar.macro_kernel cimport planar_macro_kernel
from cnnref.kernels.planar.micro_kernel cimport MOST_PLANE_PIXELS, MOST_PLANE_SUMS, plane_rows
from cnnref.kernels.planar.one_channel_out cimport one_channel_macro_kernel
from cnnref.threads cimport stopped, team_size, watch


cdef inline bint all_finite(const real* values, Py_ssize_t count) noexcept nogil:
    """Whether no value is infinite or NaN, by a count that vectorises.

    This kernel multiplies filters with the zeros around an image, which is harmless only then (0 * inf is NaN).
    """
    cdef Py_ssize_t j, others = 0
    for j in range(count):
        others += values[j] - values[j] != 0
    return others == 0


cdef inline Py_ssize_t planar_size(const Correlation* plan) noexcept nogil:
    """Values of a part's filters: those of the last columns are repeated until they fill a register block."""
    return taps_of(plan) * multiple(plan.columns, plane_rows(plan.columns))


cdef inline void planar_filters(
    const Correlation* plan, const Matrix* place, const real* matrix, real* filters
) noexcept nogil:
    """Lay the matrix out for register blocks: some columns side by side, in the order of their sums."""
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


cdef inline int planar_share(
    const ConvPart* parts, Py_ssize_t count, const real* images, const real* filters, const real* bias, real* out,
    int member, int team, const int* watched,
) noexcept nogil:
    """The blocks of thread `member` of `team`; -1 where its planes could not be allocated or the call is stopped."""
    cdef const Correlation* plan = &parts[0].plan
    cdef const Correlation* own
    cdef Frame frame = frame_of(parts, count)
    cdef Planes planes
    cdef Py_ssize_t task = member, sample, top, i, n_rows, rows, blocks, size
    cdef Py_ssize_t start, offset, depth = 0
    cdef Py_ssize_t* steps
    cdef Kernel kernel
    cdef real* scratch
    cdef real* values
    if frame.n_H == 0 or frame.n_W == 0:
        return 0
    planes = planes_of(plan, &frame, <real>0)
    blocks = (frame.n_H + planes.rows - 1) // planes.rows
    # A register block reads beyond the last window: on to the next plane, and beyond the last one a line more.
    size = plan.channels * planes.plane + planes.line * plan.dilation_h + MOST_PLANE_PIXELS
    for i in range(count):
        depth += taps_of(&parts[i].plan)
    scratch = <real*>allocate(2 * MOST_PLANE_SUMS + size, sizeof(real))
    steps = <Py_ssize_t*>allocate(depth, sizeof(Py_ssize_t))
    if scratch == NULL or steps == NULL:
        free(scratch)
        free(steps)
        return -1
    depth = 0
    for i in range(count):
        if few_channels_in(&parts[i].plan, <real>0):
            tap_offsets(&parts[i].plan, planes.plane, planes.line, steps + depth)
        depth += taps_of(&parts[i].plan)
    values = scratch + 2 * MOST_PLANE_SUMS
    memset(values, 0, plan.channels * planes.plane * sizeof(real))
    while task < plan.samples * blocks:
        sample = task // blocks
        top = (task % blocks) * planes.rows
        n_rows = min(planes.rows, frame.n_H - top)
        deinterleave(
            plan, &frame, &planes, images + sample * plan.height * plan.width * plan.image_step, top - frame.top,
            n_rows + frame.span_h - 1, values,
        )
        depth = 0
        for i in range(count):
            own = &parts[i].plan
            start = (frame.top - own.top) * planes.line + frame.left - own.left
            offset = parts[i].out + sample * own.sample_step + top * own.row_step
            rows = min(n_rows, own.n_H - top)
            kernel = planar_kernel(own, rows, <real>0)
            if kernel == FEW_CHANNELS_IN:
                few_channels_macro_kernel(
                    own, values + start, planes.line, steps + depth, rows, filters + parts[i].panels, bias,
                    out + offset, scratch,
                )
            elif kernel == ONE_CHANNEL_OUT:
                one_channel_macro_kernel(
                    own, values + start, planes.plane, planes.line, rows, filters + parts[i].panels, bias, out + offset,
                )
            else:
                planar_macro_kernel(
                    own, values + start, planes.plane, planes.line, rows, filters + parts[i].panels, bias,
                    out + offset, scratch,
                )
            depth += taps_of(own)
        if stopped(watched):
            break
        task += team
    free(steps)
    free(scratch)
    return -1 if task < plan.samples * blocks else 0


cdef inline void place_planar(ConvPart* parts, Py_ssize_t count) noexcept nogil:
    """Where the filters of each of `parts` start among those that `correlate_planar` takes; before threads share them."""
    cdef Py_ssize_t i, size = 0
    for i in range(count):
        parts[i].panels = size
        size += planar_size(&parts[i].plan)


cdef inline int correlate_planar(
    const ConvPart* parts, Py_ssize_t count, const real* images, const real* matrix, const real* bias, real* out
) noexcept nogil:
    """As ``implicit_gemm`` for all `parts`, which are placed; 1, and nothing done, where a filter is infinite or NaN."""
    cdef Py_ssize_t i, size = 0
    cdef double work = 0
    cdef int member, team, failed = 0
    cdef const int* watched = watch()
    cdef real* filters
    for i in range(count):
        size += planar_size(&parts[i].plan)
        work += multiplications(&parts[i].plan)
    filters = <real*>allocate(size, sizeof(real))
    if filters == NULL:
        return -1
    for i in range(count):
        planar_filters(&parts[i].plan, &parts[i].place, matrix + parts[i].matrix, filters + parts[i].panels)
    if not all_finite(filters, size):
        free(filters)
        return 1
    team = team_size(work)
    if team == 1:
        failed = -planar_share(parts, count, images, filters, bias, out, 0, 1, watched)
    else:
        for member in prange(team, num_threads=team, schedule="static", chunksize=1):
            failed += -planar_share(parts, count, images, filters, bias, out, member, team, watched)
    free(filters)
    return -1 if failed else 0
