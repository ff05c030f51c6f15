"""Groups of a convolution that are convolutions by themselves: large enough to fill register blocks, one after the other.

Threads share the groups, where there are enough of them for each to have as many: every one packs and reads what it needs
alone. The values of a group's pixels lie as far apart as those of all groups together: each a cache line of its own, that the
processor does not foresee, and at distances of large powers of two, which fall on few lines of a cache. So images, filters
and gradients of some neighbouring groups at a time are gathered beforehand where windows read them several times.
"""

from cython.parallel cimport prange
from libc.stdlib cimport free

from cnnref.kernels.base.caches cimport second_level
from cnnref.kernels.base.memory cimport allocate
from cnnref.kernels.base.types cimport real
from cnnref.kernels.conv.problem cimport ConvPart, Correlation, multiplications, taps_of
from cnnref.kernels.conv.select cimport is_planar
from cnnref.kernels.gemm.driver cimport bias_from, implicit_gemm
from cnnref.kernels.gemm.pack cimport copy_values
from cnnref.kernels.planar.driver cimport correlate_planar, place_planar
from cnnref.kernels.wgrad.driver cimport wgrad
from cnnref.threads cimport stopped, team_size, watch

cdef enum:
    # Bytes of a pixel that are gathered at a time, of as many groups as have so many.
    PIXEL_BYTES = 512
    # Of the second-level cache, what all that is gathered at a time may fill, one part of these; at least a sample and one group.
    GATHERED = 2


cdef inline void gather(
    const real* rows, Py_ssize_t count, Py_ssize_t step, Py_ssize_t groups, Py_ssize_t width, real* target
) noexcept nogil:
    """Copy `count` rows of `width` values of each of some groups, `step` apart, group by group."""
    cdef Py_ssize_t _row, group
    for _row in range(count):
        for group in range(groups):
            copy_values(rows + group * width, width, target + group * count * width)
        rows += step
        target += width


cdef inline void scatter(
    const real* source, Py_ssize_t count, Py_ssize_t step, Py_ssize_t groups, Py_ssize_t width, real* rows
) noexcept nogil:
    """What `gather` does, back."""
    cdef Py_ssize_t _row, group
    for _row in range(count):
        for group in range(groups):
            copy_values(source + group * count * width, width, rows + group * width)
        rows += step
        source += width


cdef inline Py_ssize_t groups_at_once(Py_ssize_t groups, Py_ssize_t width, Py_ssize_t size, real kind) noexcept nogil:
    """How many of `groups` are gathered at a time: pixels have `width` values of a group, all of a group's are `size`."""
    cdef Py_ssize_t fitting = second_level() // GATHERED // max(size * <Py_ssize_t>sizeof(kind), <Py_ssize_t>1)
    cdef Py_ssize_t most = min(fitting, PIXEL_BYTES // (width * <Py_ssize_t>sizeof(kind)))
    return min(max(most, <Py_ssize_t>1), groups)


cdef inline bint is_gathered(const Correlation* plan, Py_ssize_t groups) noexcept nogil:
    """Whether windows read values several times, and there are such that lie apart."""
    return groups > 1 and plan.window_h * plan.window_w > 1 and plan.channels > 0


cdef inline int sharing_team(Py_ssize_t groups, double work) noexcept nogil:
    """The threads that share groups of `work` operations each; 1 where each group has its own threads instead."""
    cdef int team = team_size(groups * work)
    return team if groups % team == 0 or groups >= 4 * team else 1


cdef inline ConvPart gathered_part(const ConvPart* part, Py_ssize_t samples, Py_ssize_t width) noexcept nogil:
    """The part of a group whose images, and whose filters' rows of `width` values, are gathered."""
    cdef ConvPart own = part[0]
    cdef Py_ssize_t step = max(own.place.channel_step, own.place.column_step)
    own.plan.samples = samples
    own.plan.image_step = own.plan.channels
    own.place.row_step = own.place.row_step // step * width
    own.place.pixel_step = own.place.pixel_step // step * width
    if own.place.channel_step == step:
        own.place.channel_step = width
    else:
        own.place.column_step = width
    own.matrix = own.matrix // step * width
    return own


cdef inline int correlate_part(
    const ConvPart* part, const real* images, const real* matrix, const real* bias, real* out
) noexcept nogil:
    """One part by itself: along the image where that is the plan and its filters are finite, else by the GEMM."""
    cdef int status = 1
    cdef ConvPart own
    if is_planar(part, 1, <real>0):
        own = part[0]  # other threads have it among all parts, placed as one of these
        own.panels = 0
        status = correlate_planar(&own, 1, images, matrix, bias, out)
    if status > 0:
        status = implicit_gemm(&part.plan, images, &part.place, matrix + part.matrix, bias, out + part.out)
    return status


cdef inline int correlate_parts(
    const ConvPart* parts, Py_ssize_t count, const real* images, const real* matrix, const real* bias, real* out
) noexcept nogil:
    """All parts of one group; together where they have few columns."""
    cdef Py_ssize_t i
    cdef int status = 1
    if is_planar(parts, count, <real>0):
        status = correlate_planar(parts, count, images, matrix, bias, out)
    for i in range(count if status > 0 else 0):
        status = correlate_part(parts + i, images, matrix, bias, out)
        if status < 0:
            break
    return status


cdef inline int correlate_gathered(
    const ConvPart* parts, Py_ssize_t count, Py_ssize_t groups, Py_ssize_t filter_rows, Py_ssize_t width,
    const real* images, const real* matrix, const real* bias, real* out, Py_ssize_t most, real* memory,
) noexcept nogil:
    """Some groups with everything gathered in `memory`, the images `most` samples at a time; -1 as `correlate_some`."""
    cdef const Correlation* plan = &parts[0].plan
    cdef Py_ssize_t pixels = plan.height * plan.width
    cdef Py_ssize_t sample = 0, samples, group, i
    cdef real* filters = memory + groups * most * pixels * plan.channels
    cdef ConvPart own
    gather(matrix, filter_rows, max(parts[0].place.channel_step, parts[0].place.column_step), groups, width, filters)
    while sample < plan.samples:
        samples = min(most, plan.samples - sample)
        gather(
            images + sample * pixels * plan.image_step, samples * pixels, plan.image_step, groups, plan.channels, memory
        )
        for group in range(groups):
            for i in range(count):
                own = gathered_part(parts + i, samples, width)
                if correlate_part(
                    &own, memory + group * samples * pixels * plan.channels, filters + group * filter_rows * width,
                    bias_from(bias, group * plan.columns),
                    out + sample * own.plan.sample_step + group * plan.columns,
                ) < 0:
                    return -1
        sample += samples
    return 0


cdef inline int correlate_some(
    const ConvPart* parts, Py_ssize_t count, Py_ssize_t group, Py_ssize_t end_group, Py_ssize_t filter_rows, Py_ssize_t width,
    const real* images, const real* matrix, const real* bias, real* out, const int* watched,
) noexcept nogil:
    """The groups [group, end_group); -1 where memory ran out or the call is stopped."""
    cdef const Correlation* plan = &parts[0].plan
    cdef Py_ssize_t pixels = plan.height * plan.width
    cdef Py_ssize_t sample_bytes = max(pixels * plan.channels * <Py_ssize_t>sizeof(real), <Py_ssize_t>1)
    cdef Py_ssize_t samples = min(max(second_level() // GATHERED // sample_bytes, <Py_ssize_t>1), plan.samples)
    cdef Py_ssize_t size = samples * pixels * plan.channels + filter_rows * width
    cdef Py_ssize_t most = 1, some
    cdef real* memory = NULL
    cdef int status = 0
    if is_gathered(plan, end_group - group) and not is_planar(parts, count, <real>0):
        most = groups_at_once(end_group - group, plan.channels, size, <real>0)
        memory = <real*>allocate(most * size, sizeof(real))
        if memory == NULL:
            return -1
    while group < end_group and status >= 0:
        some = min(most, end_group - group)
        if memory != NULL:
            status = correlate_gathered(
                parts, count, some, filter_rows, width, images + group * plan.channels, matrix + group * width,
                bias_from(bias, group * plan.columns), out + group * plan.columns, samples, memory,
            )
        else:
            status = correlate_parts(
                parts, count, images + group * plan.channels, matrix + group * width,
                bias_from(bias, group * plan.columns), out + group * plan.columns,
            )
        group += some
        if stopped(watched):
            status = -1
    free(memory)
    return status


cdef inline int correlate_each(
    ConvPart* parts, Py_ssize_t count, Py_ssize_t groups, Py_ssize_t filter_rows, Py_ssize_t width, const real* images,
    const real* matrix, const real* bias, real* out,
) noexcept nogil:
    """All groups; -1 where memory ran out or the call is stopped.

    The matrix has `filter_rows` rows, each with `width` values of every group.
    """
    cdef double work = 0
    cdef Py_ssize_t i
    cdef int team, member, failed = 0
    cdef const int* watched = watch()
    for i in range(count):
        work += multiplications(&parts[i].plan)
    place_planar(parts, count)
    team = sharing_team(groups, work)
    if team == 1:
        return correlate_some(parts, count, 0, groups, filter_rows, width, images, matrix, bias, out, watched)
    for member in prange(team, num_threads=team, schedule="static", chunksize=1):
        failed += correlate_some(
            parts, count, member * groups // team, (member + 1) * groups // team, filter_rows, width, images, matrix,
            bias, out, watched,
        ) < 0
    return -1 if failed else 0


cdef inline int sum_gathered(
    const Correlation* plan, Py_ssize_t groups, const real* images, const real* dZ, real* dW, real* db, real* memory
) noexcept nogil:
    """The gradients of some groups with everything gathered in `memory`; -1 as `correlate_some`."""
    cdef Py_ssize_t taps = taps_of(plan)
    cdef Py_ssize_t pixels = plan.samples * plan.height * plan.width, outputs = plan.samples * plan.n_H * plan.n_W
    cdef real* gradients = memory + groups * pixels * plan.channels
    cdef real* sums = gradients + groups * outputs * plan.columns
    cdef Py_ssize_t group
    cdef Correlation own = plan[0]
    own.image_step = plan.channels
    own.pixel_step = plan.columns
    gather(images, pixels, plan.image_step, groups, plan.channels, memory)
    gather(dZ, outputs, plan.pixel_step, groups, plan.columns, gradients)
    for group in range(groups):
        if wgrad(
            &own, memory + group * pixels * plan.channels, gradients + group * outputs * plan.columns,
            sums + group * taps * plan.columns, db + group * plan.columns, team_size(multiplications(plan)),
        ) < 0:
            return -1
    scatter(sums, taps, plan.pixel_step, groups, plan.columns, dW)
    return 0


cdef inline int sum_some_groups(
    const Correlation* plan, Py_ssize_t group, Py_ssize_t end_group, const real* images, const real* dZ, real* dW,
    real* db, const int* watched,
) noexcept nogil:
    """The gradients of the groups [group, end_group); -1 as `correlate_some`."""
    cdef Py_ssize_t size = (
        plan.samples * (plan.height * plan.width * plan.channels + plan.n_H * plan.n_W * plan.columns)
        + taps_of(plan) * plan.columns
    )
    cdef Py_ssize_t most = 1, some
    cdef real* memory = NULL
    cdef int status = 0
    # A group's sums are those of the whole batch.
    if is_gathered(plan, end_group - group) and size * <Py_ssize_t>sizeof(real) <= second_level() // GATHERED:
        most = groups_at_once(end_group - group, max(plan.channels, plan.columns), size, <real>0)
        memory = <real*>allocate(most * size, sizeof(real))
        if memory == NULL:
            return -1
    while group < end_group and status == 0:
        some = min(most, end_group - group)
        if memory != NULL:
            status = sum_gathered(
                plan, some, images + group * plan.channels, dZ + group * plan.columns, dW + group * plan.columns,
                db + group * plan.columns, memory,
            )
        else:
            status = wgrad(
                plan, images + group * plan.channels, dZ + group * plan.columns, dW + group * plan.columns,
                db + group * plan.columns, team_size(multiplications(plan)),
            )
        group += some
        if stopped(watched):
            status = -1
    free(memory)
    return status


cdef inline int sum_each(
    const Correlation* plan, Py_ssize_t groups, const real* images, const real* dZ, real* dW, real* db
) noexcept nogil:
    """The gradients of the filters and biases of all groups; -1 as `correlate_each`."""
    cdef int team = sharing_team(groups, multiplications(plan))
    cdef int member, failed = 0
    cdef const int* watched = watch()
    if team == 1:
        return sum_some_groups(plan, 0, groups, images, dZ, dW, db, watched)
    for member in prange(team, num_threads=team, schedule="static", chunksize=1):
        failed += sum_some_groups(
            plan, member * groups // team, (member + 1) * groups // team, images, dZ, dW, db, watched
        ) < 0
    return -1 if failed else 0
