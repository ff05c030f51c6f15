"""Windows of images times a packed matrix: conv forward, its `dA_prev`, and both affine products.

Every output pixel is a window of `window_h` rows of ``window_w * channels`` contiguous values; its outputs are the chains

    out[j] = start[j] + sum over (row, column, channel of the window, in C order) of value * panels[step][j]

with fused multiply-adds. Work is split into blocks of output rows of one sample. A block reads the image in place,
or, where its windows reach outside, a padded copy of only the rows it needs. Within a block the sum is cut into stretches whose
panels stay in the cache, and tiles run across output pixels whatever row they are in.
"""

from cython.parallel cimport prange
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from cnnref._memory cimport allocate
from cnnref._narrow cimport is_narrow, narrow_share
from cnnref._plan cimport Correlation, in_place, multiplications
from cnnref._rows cimport copy_padded
from cnnref._tile cimport MOST_COLUMNS, MOST_ROWS, panel_width, tile, tile_rows, widest
from cnnref._types cimport real

cdef enum:
    # Steps of the sum whose panel (64 floats wide: 96 KiB) stays in a 512 KiB to 1 MiB second-level cache.
    STRETCH = 384
    # Bytes of image that a block of output rows may span, for the same cache.
    BLOCK_BYTES = 196608


cdef inline Py_ssize_t rows_per_block(const Correlation* plan, int team, real kind) noexcept nogil:
    """Output rows in a block: few enough for the cache and for every thread to have work, enough to fill tiles."""
    cdef Py_ssize_t line = max(plan.width, (plan.n_W - 1) * plan.stride + plan.window_w) * plan.channels
    cdef Py_ssize_t row_bytes = (plan.stride * line + plan.n_W * plan.columns) * <Py_ssize_t>sizeof(kind)
    cdef Py_ssize_t rows = max(BLOCK_BYTES // max(row_bytes, <Py_ssize_t>1), <Py_ssize_t>1)
    cdef Py_ssize_t shared = (plan.n_H * plan.samples + 4 * team - 1) // (4 * team)
    cdef Py_ssize_t filled = (4 * MOST_ROWS + plan.n_W - 1) // plan.n_W
    if team > 1 and rows > shared:
        rows = max(shared, filled)
    rows = min(max(rows, <Py_ssize_t>1), plan.n_H)
    # Blocks of equal size, rather than a small one at the end.
    cdef Py_ssize_t blocks = (plan.n_H + rows - 1) // rows
    return (plan.n_H + blocks - 1) // blocks


cdef inline void multiply_block(
    const Correlation* plan, const real* base, Py_ssize_t line, Py_ssize_t n_rows,
    const real* panels, const real* start, real* out, real* scratch,
) noexcept nogil:
    """All outputs of `n_rows` output rows; `base` is the first window, `line` the distance of image rows."""
    cdef const real* a[MOST_ROWS]
    cdef const real* starts[MOST_ROWS]
    cdef real* outs[MOST_ROWS]
    cdef real* wanted[MOST_ROWS]
    cdef Py_ssize_t run = plan.window_w * plan.channels
    cdef Py_ssize_t depth = plan.window_h * run
    cdef Py_ssize_t pixels = n_rows * plan.n_W
    cdef Py_ssize_t from_row = 0, at = 0, n_runs, length, first, width, valid, pixel, row, column, k
    cdef int rows, r, count
    cdef bint single
    while from_row < plan.window_h:
        # The next stretch of the sum: some whole window rows, or a part of one.
        if run <= STRETCH:
            n_runs = min(max(STRETCH // max(run, <Py_ssize_t>1), <Py_ssize_t>1), plan.window_h - from_row)
            length = run
        else:
            n_runs = 1
            length = min(run - at, <Py_ssize_t>STRETCH)
        k = from_row * run + at
        first = 0
        while first < plan.columns:
            width = panel_width(plan.columns - first, <real>0)
            valid = min(width, plan.columns - first)
            rows = tile_rows(<int>width, <real>0)
            pixel = 0
            row = 0
            column = 0
            while pixel < pixels:
                count = <int>min(<Py_ssize_t>rows, pixels - pixel)
                # The last pixels run one by one where a whole tile would be mostly idle.
                single = width == widest(<real>0) and count * 4 < rows
                if single:
                    count = 1
                for r in range(1 if single else rows):
                    if r < count:
                        a[r] = base + row * plan.stride * line + column * plan.stride * plan.channels
                        a[r] += from_row * line + at
                        wanted[r] = out + row * plan.row_step + column * plan.pixel_step + first
                        column += 1
                        if column == plan.n_W:
                            column = 0
                            row += 1
                    else:
                        a[r] = a[0]
                    # A tile works in `scratch` where it is larger than what is left of the output.
                    outs[r] = wanted[r] if r < count and valid == width else scratch + r * MOST_COLUMNS
                    starts[r] = start + first if k == 0 else outs[r]
                    if r < count and k > 0 and valid < width:
                        memcpy(outs[r], wanted[r], valid * sizeof(real))
                tile(
                    <int>width, single, a, 1, line - length,
                    panels + first * depth + k * width, n_runs, length, starts, outs,
                )
                if valid < width:
                    for r in range(count):
                        memcpy(wanted[r], outs[r], valid * sizeof(real))
                pixel += count
            first += width
        at += length
        if at >= run:
            from_row += n_runs
            at = 0


cdef inline int correlate_share(
    const Correlation* plan, const real* images, const real* panels, const real* start, real* out,
    int member, int team,
) noexcept nogil:
    """The blocks of thread `member` of `team`; -1 where its buffers could not be allocated."""
    cdef bint direct = in_place(plan)
    cdef Py_ssize_t rows = rows_per_block(plan, team, <real>0)
    cdef Py_ssize_t blocks = (plan.n_H + rows - 1) // rows
    cdef Py_ssize_t buffer_w = (plan.n_W - 1) * plan.stride + plan.window_w
    cdef Py_ssize_t buffer_h = (rows - 1) * plan.stride + plan.window_h
    cdef Py_ssize_t line = (plan.width if direct else buffer_w) * plan.channels
    cdef Py_ssize_t task, sample, n_rows, top
    cdef const real* image
    cdef real* scratch = <real*>allocate(
        MOST_ROWS * MOST_COLUMNS + (0 if direct else buffer_h * buffer_w * plan.channels), sizeof(real)
    )
    cdef real* buffer
    if scratch == NULL:
        return -1
    memset(scratch, 0, MOST_ROWS * MOST_COLUMNS * sizeof(real))
    buffer = scratch + MOST_ROWS * MOST_COLUMNS
    task = member
    while task < plan.samples * blocks:
        sample = task // blocks
        top = (task % blocks) * rows
        n_rows = min(rows, plan.n_H - top)
        image = images + sample * plan.height * plan.width * plan.channels
        if direct:
            image += ((top * plan.stride - plan.top) * plan.width - plan.left) * plan.channels
        else:
            copy_padded(
                image, plan.height, plan.width, plan.channels, top * plan.stride - plan.top, -plan.left,
                (n_rows - 1) * plan.stride + plan.window_h, buffer_w, buffer,
            )
            image = buffer
        multiply_block(
            plan, image, line, n_rows, panels, start,
            out + sample * plan.sample_step + top * plan.row_step, scratch,
        )
        task += team
    free(scratch)
    return 0


cdef inline int correlate(
    const Correlation* plan, const real* images, const real* panels, const real* start, real* out, int team
) noexcept nogil:
    """All outputs, with up to `team` threads; -1 where memory ran out.

    `start` holds the first term of each column's chain, padded to the panels' width. Where `is_narrow`, `panels` is
    the plain transpose of the matrix instead: a row a column.
    """
    cdef int member, failed = 0
    if plan.samples == 0 or plan.n_H == 0 or plan.n_W == 0 or plan.columns == 0:
        return 0
    for member in prange(
        team, num_threads=team, use_threads_if=team > 1, schedule="static", chunksize=1
    ):
        if is_narrow(plan):
            failed += -narrow_share(plan, images, panels, start, out, member, team)
        else:
            failed += -correlate_share(plan, images, panels, start, out, member, team)
    return -1 if failed else 0
