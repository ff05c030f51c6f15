"""Sums over a batch: the gradient of filters and biases, for conv and affine.

``dW[tap, j] = sum over samples and output pixels of window[pixel, tap] * dZ[pixel, j]``, where a tap is one
(row, column, channel) of the window. The pixels are cut into chunks, whole samples or whole output rows, of
about `CHUNK` pixels: a cut that depends on the shapes alone. Within a chunk each element is one chain of fused
multiply-adds in the order (sample, row, column), the padding left out (with fewer than 32 channels: taken as
zeros); the chunks' sums are added in order. A gradient too small to keep threads busy is summed in `groups` of
chunks first, and the groups' sums are added in order: the number of groups, too, depends on the shapes alone.
"""

from cython.parallel cimport prange
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from cnnref._memory cimport allocate
from cnnref._panels cimport pack_some_rows, padded_columns
from cnnref._plan cimport Correlation, in_place, span_h, span_w
from cnnref._rows cimport copy_padded
from cnnref._tile cimport MOST_COLUMNS, MOST_ROWS, panel_width, tile, tile_rows, widest
from cnnref._types cimport real
from cnnref.threads cimport stopped, watch

cdef enum:
    CHUNK = 512
    # Groups of chunks where the gradient has at most this many elements.
    SMALL = 32768
    MOST_GROUPS = 8


cdef struct Cut:
    # How the pixels of a batch are cut: chunks of `samples` whole samples, or of `rows` rows of one sample.
    Py_ssize_t samples
    Py_ssize_t rows
    Py_ssize_t per_sample
    Py_ssize_t chunks
    Py_ssize_t groups


cdef inline Cut cut_batch(const Correlation* plan) noexcept nogil:
    """Cut the batch; a function of the shapes alone."""
    cdef Cut cut
    cdef Py_ssize_t pixels = max(plan.n_H * plan.n_W, <Py_ssize_t>1)
    cdef Py_ssize_t elements = plan.window_h * plan.window_w * plan.channels * plan.columns
    if pixels >= CHUNK:
        cut.samples = 1
        cut.rows = max(CHUNK // max(plan.n_W, <Py_ssize_t>1), <Py_ssize_t>1)
        cut.per_sample = (plan.n_H + cut.rows - 1) // cut.rows
        cut.chunks = plan.samples * cut.per_sample
    else:
        cut.samples = CHUNK // pixels
        cut.rows = plan.n_H
        cut.per_sample = 1
        cut.chunks = (plan.samples + cut.samples - 1) // cut.samples
    cut.groups = 1 if elements > SMALL else max(min(cut.chunks, <Py_ssize_t>MOST_GROUPS), <Py_ssize_t>1)
    return cut


cdef inline bint tap_by_tap(const Correlation* plan) noexcept nogil:
    """Whether tiles keep to one (row, column) of the window, so that pixels where it is padding can be left out.

    With few channels tiles run across taps instead, over padded copies.
    """
    return plan.channels >= 32 and not in_place(plan)


cdef inline void reach(
    Py_ssize_t tap, Py_ssize_t before, Py_ssize_t extent, Py_ssize_t stride, Py_ssize_t outputs,
    Py_ssize_t* first, Py_ssize_t* end,
) noexcept nogil:
    """The outputs on one axis whose windows have the element `tap` after their first inside the image."""
    first[0] = max((before - tap + stride - 1) // stride, <Py_ssize_t>0) if before > tap else 0
    end[0] = min((extent - 1 + before - tap) // stride + 1, outputs) if extent + before > tap else 0


cdef inline void multiply_chunk(
    const Correlation* plan, const real** bases, Py_ssize_t pieces, Py_ssize_t image_step, Py_ssize_t line,
    Py_ssize_t chunk_top, Py_ssize_t n_rows, const real* panels, bint fresh, Py_ssize_t from_tap, Py_ssize_t to_tap,
    real* dW, Py_ssize_t dW_step, real* scratch, const int* watched,
) noexcept nogil:
    """Add one chunk's sums for taps `from_tap` to `to_tap` to `dW`, or set them where `fresh`, unless `stopped`.

    `bases` are the first windows of the chunk's samples, their pixels `image_step` and their rows `line` values apart;
    `panels` is its packed `dZ`. The taps of `dW` are `dW_step` values apart.
    """
    cdef const real* a[MOST_ROWS]
    cdef const real* starts[MOST_ROWS]
    cdef real* sums[MOST_ROWS]
    cdef Py_ssize_t offsets[MOST_ROWS]
    cdef bint apart = tap_by_tap(plan)
    cdef Py_ssize_t depth = pieces * n_rows * plan.n_W
    cdef Py_ssize_t step = plan.stride_w * image_step
    cdef Py_ssize_t first = 0, width, valid, tap, row, column, channel, piece, j
    cdef Py_ssize_t top = chunk_top, bottom = chunk_top + n_rows, left = 0, right = plan.n_W
    cdef int rows, r, count, taken
    cdef bint single
    cdef real* target
    if from_tap == to_tap:
        return
    for r in range(MOST_ROWS):
        sums[r] = scratch + (r + 1) * MOST_COLUMNS
    while first < plan.columns:
        if stopped(watched):
            return
        width = panel_width(plan.columns - first, <real>0)
        valid = min(width, plan.columns - first)
        rows = tile_rows(<int>width, <real>0)
        tap = from_tap
        channel = tap % plan.channels
        column = tap // plan.channels % plan.window_w
        row = tap // plan.channels // plan.window_w
        while tap < to_tap:
            count = <int>min(<Py_ssize_t>rows, to_tap - tap)
            if apart:
                count = <int>min(<Py_ssize_t>count, plan.channels - channel)
                reach(row * plan.dilation_h, plan.top, plan.height, plan.stride_h, plan.n_H, &top, &bottom)
                top = max(top, chunk_top)
                bottom = min(bottom, chunk_top + n_rows)
                reach(column * plan.dilation_w, plan.left, plan.width, plan.stride_w, plan.n_W, &left, &right)
            single = width == widest(<real>0) and count * 4 <= rows
            if single:
                count = 1
            for r in range(1 if single else rows):
                if r >= count:
                    offsets[r] = offsets[0]
                    continue
                offsets[r] = row * plan.dilation_h * line + column * plan.dilation_w * image_step + channel
                channel += 1
                if channel == plan.channels:
                    channel = 0
                    column += 1
                    if column == plan.window_w:
                        column = 0
                        row += 1
            taken = 0
            for piece in range(pieces if top < bottom and left < right else 0):
                for r in range(1 if single else rows):
                    a[r] = bases[piece] + (top - chunk_top) * plan.stride_h * line + left * step + offsets[r]
                    # The first row of `scratch` holds zeros.
                    starts[r] = scratch if taken == 0 else sums[r]
                tile(
                    <int>width, single, a, step, plan.stride_h * line - (right - left) * step,
                    panels + first * depth + ((piece * n_rows + top - chunk_top) * plan.n_W + left) * width,
                    (plan.n_W - right + left) * width, bottom - top, right - left, starts, sums,
                )
                taken += 1
            for r in range(count):
                target = dW + (tap + r) * dW_step + first
                if fresh:
                    memcpy(target, sums[r] if taken else scratch, valid * sizeof(real))
                elif taken:
                    for j in range(valid):
                        target[j] += sums[r][j]
            tap += count
        first += width


cdef inline void add_columns(
    const real* dZ, Py_ssize_t pixels, Py_ssize_t columns, Py_ssize_t pixel_step, bint fresh, real* db, real* partial
) noexcept nogil:
    """Add one chunk's column sums to `db`, or set them where `fresh`."""
    cdef Py_ssize_t pixel, j
    memset(partial, 0, columns * sizeof(real))
    for pixel in range(pixels):
        for j in range(columns):
            partial[j] += dZ[pixel * pixel_step + j]
    if fresh:
        memcpy(db, partial, columns * sizeof(real))
    else:
        for j in range(columns):
            db[j] += partial[j]


cdef inline int outer_sums(
    const Correlation* plan, const Cut* cut, const real* images, const real* dZ,
    Py_ssize_t group, Py_ssize_t from_tap, Py_ssize_t to_tap, real* dW, Py_ssize_t dW_step, real* db,
    const int* watched,
) noexcept nogil:
    """The sums of one group of chunks, for taps `from_tap` to `to_tap`; `db` too unless NULL.

    -1 where working memory could not be allocated or the call is stopped.
    """
    cdef bint direct = in_place(plan) or tap_by_tap(plan)
    cdef Py_ssize_t buffer_w = (plan.n_W - 1) * plan.stride_w + span_w(plan)
    cdef Py_ssize_t buffer_h = (cut.rows - 1) * plan.stride_h + span_h(plan)
    cdef Py_ssize_t image_step = plan.image_step if direct else plan.channels
    cdef Py_ssize_t line = (plan.width if direct else buffer_w) * image_step
    cdef Py_ssize_t image_size = plan.height * plan.width * plan.image_step
    cdef Py_ssize_t most = min(cut.samples, plan.samples)
    cdef Py_ssize_t padded = padded_columns(plan.columns, <real>0)
    cdef Py_ssize_t buffer_size = 0 if direct else buffer_h * buffer_w * plan.channels
    cdef Py_ssize_t chunk, last, sample, piece, pieces, top, n_rows, pixels
    cdef const real* chunk_dZ
    cdef bint fresh = True
    cdef int status = -1
    cdef const real** bases = <const real**>allocate(most, sizeof(void*))
    cdef real* memory = <real*>allocate(
        (MOST_ROWS + 1) * MOST_COLUMNS + padded + most * buffer_size
        + most * cut.rows * plan.n_W * padded, sizeof(real),
    )
    cdef real* partial
    cdef real* buffer
    cdef real* panels
    if bases != NULL and memory != NULL:
        memset(memory, 0, MOST_COLUMNS * sizeof(real))
        partial = memory + (MOST_ROWS + 1) * MOST_COLUMNS
        panels = partial + padded
        buffer = panels + most * cut.rows * plan.n_W * padded
        last = (group + 1) * cut.chunks // cut.groups
        for chunk in range(group * cut.chunks // cut.groups, last):
            sample = (chunk // cut.per_sample) * cut.samples
            pieces = min(cut.samples, plan.samples - sample)
            top = (chunk % cut.per_sample) * cut.rows
            n_rows = min(cut.rows, plan.n_H - top)
            for piece in range(pieces):
                bases[piece] = images + (sample + piece) * image_size
                if direct:
                    bases[piece] += ((top * plan.stride_h - plan.top) * plan.width - plan.left) * image_step
                else:
                    copy_padded(
                        bases[piece], plan.height, plan.width, plan.channels, plan.image_step,
                        top * plan.stride_h - plan.top, -plan.left,
                        (n_rows - 1) * plan.stride_h + span_h(plan), buffer_w, buffer + piece * buffer_size,
                    )
                    bases[piece] = buffer + piece * buffer_size
            pixels = pieces * n_rows * plan.n_W
            chunk_dZ = dZ + (sample * plan.n_H + top) * plan.n_W * plan.pixel_step
            pack_some_rows(chunk_dZ, pixels, plan.columns, plan.pixel_step, pixels, panels)
            multiply_chunk(
                plan, bases, pieces, image_step, line, top, n_rows, panels, fresh, from_tap, to_tap, dW, dW_step, memory,
                watched,
            )
            if db != NULL:
                add_columns(chunk_dZ, pixels, plan.columns, plan.pixel_step, fresh, db, partial)
            fresh = False
            if stopped(watched):
                break
        status = -1 if stopped(watched) else 0
    free(bases)
    free(memory)
    return status


cdef inline int outer_product(
    const Correlation* plan, const real* images, const real* dZ, real* dW, real* db, int team
) noexcept nogil:
    """`dW` and `db` of the whole batch with up to `team` threads; -1 where memory ran out or the call is stopped.

    The pixels of `dZ`, and so the taps of `dW`, are `pixel_step` values apart: the columns of a grouped convolution are a
    part of all.
    """
    cdef Cut cut = cut_batch(plan)
    cdef Py_ssize_t taps = plan.window_h * plan.window_w * plan.channels
    cdef Py_ssize_t size = taps * plan.columns
    cdef Py_ssize_t parts = min((team + cut.groups - 1) // cut.groups, max(taps // MOST_ROWS, <Py_ssize_t>1))
    cdef Py_ssize_t task, group, part, j
    cdef int failed = 0
    cdef const int* watched = watch()
    # Group 0 sums in the outputs themselves; the others in memory of their own.
    cdef real* sums = NULL
    if cut.chunks == 0:
        for task in range(taps):
            memset(dW + task * plan.pixel_step, 0, plan.columns * sizeof(real))
        memset(db, 0, plan.columns * sizeof(real))
        return 0
    if cut.groups > 1:
        sums = <real*>allocate((cut.groups - 1) * (size + plan.columns), sizeof(real))
        if sums == NULL:
            return -1
    for task in prange(
        cut.groups * parts, num_threads=team, use_threads_if=team > 1, schedule="dynamic", chunksize=1
    ):
        group = task // parts
        part = task % parts
        failed += -outer_sums(
            plan, &cut, images, dZ, group, part * taps // parts, (part + 1) * taps // parts,
            dW if group == 0 else sums + (group - 1) * (size + plan.columns),
            plan.pixel_step if group == 0 else plan.columns,
            NULL if part > 0 else (db if group == 0 else sums + (group - 1) * (size + plan.columns) + size),
            watched,
        )
    for group in range(1, cut.groups if failed == 0 else 1):
        for task in range(taps):
            for j in range(plan.columns):
                dW[task * plan.pixel_step + j] += sums[(group - 1) * (size + plan.columns) + task * plan.columns + j]
        for j in range(plan.columns):
            db[j] += sums[(group - 1) * (size + plan.columns) + size + j]
    free(sums)
    return -1 if failed else 0
