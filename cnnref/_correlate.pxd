"""Windows of images times a packed matrix: conv forward, its `dA_prev`, and both affine products.

Every output pixel is a window of `window_h` rows of `window_w` taps of `channels` values; its outputs are the chains

    out[j] = start[j] + sum over (row, column, channel of the window, in C order) of value * panels[step][j]

with fused multiply-adds. What of a window lies outside the image is left out of the chain, so the image is read
in place, without a padded copy. Work is split into blocks of output rows, or of whole small samples. Within a
block the sum is cut into stretches whose panels stay in the cache. The output pixels of a block fall into boxes
whose windows are cut off alike by the image's border (one large box inside, narrow ones along the border), and
tiles run across all pixels of a box, whatever row or sample they are in.
"""

from cython.parallel cimport prange
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from cnnref._memory cimport allocate
from cnnref._narrow cimport narrow_share
from cnnref._plan cimport Correlation, contiguous
from cnnref._tile cimport MOST_COLUMNS, MOST_ROWS, panel_width, tile, tile_rows, widest
from cnnref._types cimport real
from cnnref.threads cimport stopped, watch

cdef enum:
    # Steps of the sum whose panel (64 floats wide: 96 KiB) stays in a 512 KiB to 1 MiB second-level cache.
    STRETCH = 384
    # Bytes of image and outputs that a block may span, for the same cache.
    BLOCK_BYTES = 196608


cdef struct Block:
    # Samples and output rows of one piece of work, and how many there are of each in a full one.
    Py_ssize_t samples
    Py_ssize_t rows
    Py_ssize_t row_blocks
    Py_ssize_t count


cdef struct Box:
    # Output pixels [top, bottom) x [left, right), whose windows hold the window rows and columns
    # [row, end_row) x [column, end_column) of the image.
    Py_ssize_t top
    Py_ssize_t bottom
    Py_ssize_t left
    Py_ssize_t right
    Py_ssize_t row
    Py_ssize_t end_row
    Py_ssize_t column
    Py_ssize_t end_column


cdef struct Stretch:
    # Window rows [row, end_row), and of each the values [at, end).
    Py_ssize_t row
    Py_ssize_t end_row
    Py_ssize_t at
    Py_ssize_t end


cdef inline Block cut_outputs(const Correlation* plan, int team, real kind) noexcept nogil:
    """Blocks small enough for the cache and for every thread to have work, large enough to fill tiles."""
    cdef Block block
    cdef Py_ssize_t row_bytes = (
        plan.stride_h * plan.width * plan.channels + plan.n_W * plan.columns
    ) * <Py_ssize_t>sizeof(kind)
    cdef Py_ssize_t shared = (plan.n_H * plan.samples + 4 * team - 1) // (4 * team)
    cdef Py_ssize_t filled = (4 * MOST_ROWS + plan.n_W - 1) // plan.n_W
    cdef Py_ssize_t rows = max(BLOCK_BYTES // max(row_bytes, <Py_ssize_t>1), <Py_ssize_t>1)
    if team > 1 and rows > shared:
        rows = max(shared, filled)
    block.samples = max(min(rows // plan.n_H, plan.samples), <Py_ssize_t>1)
    # Blocks of equal size, rather than a small one at the end.
    block.row_blocks = (plan.n_H + min(rows, plan.n_H) - 1) // min(rows, plan.n_H)
    block.rows = (plan.n_H + block.row_blocks - 1) // block.row_blocks
    block.count = (plan.samples + block.samples - 1) // block.samples * block.row_blocks
    return block


cdef inline Py_ssize_t alike(
    Py_ssize_t place, Py_ssize_t end, Py_ssize_t before, Py_ssize_t extent, Py_ssize_t window, Py_ssize_t stride,
    Py_ssize_t dilation, Py_ssize_t* first, Py_ssize_t* last,
) noexcept nogil:
    """The end of the run of outputs from `place` on, up to `end`, whose windows are cut off alike on one axis.

    `first` and `last` become the part of the window that lies in the image: empty where `last` is not above `first`.
    """
    cdef Py_ssize_t outside = before - place * stride
    cdef Py_ssize_t left = extent + outside
    if dilation == 1:
        first[0] = max(outside, <Py_ssize_t>0)
        last[0] = min(left, window)
    else:
        first[0] = (outside + dilation - 1) // dilation if outside > 0 else 0
        last[0] = min((left - 1) // dilation + 1, window) if left > 0 else 0
    if first[0] == 0 and last[0] == window:
        return min(end, (extent + before - (window - 1) * dilation - 1) // stride + 1)
    return place + 1


cdef inline void multiply_box(
    const Correlation* plan, const Box* box, const Stretch* part, Py_ssize_t samples, const real* images,
    const real* panel, int width, int valid, const real* start, real* out, real* scratch,
) noexcept nogil:
    """Take one stretch of the sum into one panel's outputs of all pixels of a box."""
    cdef const real* a[MOST_ROWS]
    cdef const real* starts[MOST_ROWS]
    cdef real* outs[MOST_ROWS]
    cdef real* wanted[MOST_ROWS]
    cdef bint whole = contiguous(plan)
    cdef Py_ssize_t line = plan.dilation_h * plan.width * plan.image_step
    cdef Py_ssize_t run = plan.window_w * plan.channels
    cdef Py_ssize_t at = max(part.at, box.column * plan.channels)
    cdef Py_ssize_t length = min(part.end, box.end_column * plan.channels) - at
    cdef Py_ssize_t row = max(part.row, box.row)
    cdef Py_ssize_t end_row = min(part.end_row, box.end_row)
    cdef Py_ssize_t offset = at
    # The values that stand side by side in the image, and how many such stretches a window row has.
    cdef Py_ssize_t side = length, stretches = 1
    cdef Py_ssize_t pixels = samples * (box.bottom - box.top) * (box.right - box.left)
    cdef Py_ssize_t pixel, sample, y, x, window_row
    cdef int rows = tile_rows(width, <real>0)
    cdef int r, count
    cdef bint single, fresh
    if length > 0 and row < end_row:
        if not whole:
            offset = at // plan.channels * plan.dilation_w * plan.image_step + at % plan.channels
            side = min(length, plan.channels)
            stretches = length // side
        fresh = row == box.row and at == box.column * plan.channels
        pixel = 0
        sample = 0
        y = box.top
        x = box.left
        while pixel < pixels:
            count = <int>min(<Py_ssize_t>rows, pixels - pixel)
            # The last pixels run one by one where a whole tile would be mostly idle.
            single = width == widest(<real>0) and count * 4 <= rows
            if single:
                count = 1
            for r in range(1 if single else rows):
                if r < count:
                    a[r] = images + (
                        (sample * plan.height + y * plan.stride_h - plan.top + row * plan.dilation_h) * plan.width
                        + x * plan.stride_w - plan.left
                    ) * plan.image_step + offset
                    wanted[r] = out + sample * plan.sample_step + y * plan.row_step + x * plan.pixel_step
                    x += 1
                    if x == box.right:
                        x = box.left
                        y += 1
                        if y == box.bottom:
                            y = box.top
                            sample += 1
                else:
                    a[r] = a[0]
                # A tile works in `scratch` where it is larger than what is left of the output.
                outs[r] = wanted[r] if r < count and valid == width else scratch + r * MOST_COLUMNS
                starts[r] = start if fresh else outs[r]
                if r < count and not fresh and valid < width:
                    memcpy(outs[r], wanted[r], valid * sizeof(real))
            if whole:
                tile(
                    width, single, a, 1, line - length, panel + (row * run + at) * width, (run - length) * width,
                    end_row - row, length, starts, outs,
                )
            else:
                for window_row in range(row, end_row):
                    tile(
                        width, single, a, 1, plan.dilation_w * plan.image_step - side,
                        panel + (window_row * run + at) * width, 0, stretches, side, starts, outs,
                    )
                    for r in range(1 if single else rows):
                        a[r] += line
                        starts[r] = outs[r]
            if valid < width:
                for r in range(count):
                    memcpy(wanted[r], outs[r], valid * sizeof(real))
            pixel += count


cdef inline void fill_box(
    const Correlation* plan, const Box* box, Py_ssize_t samples, const real* start, real* out
) noexcept nogil:
    """Outputs whose windows hold nothing of the image: their chains are their first terms."""
    cdef Py_ssize_t sample, y, x
    for sample in range(samples):
        for y in range(box.top, box.bottom):
            for x in range(box.left, box.right):
                memcpy(
                    out + sample * plan.sample_step + y * plan.row_step + x * plan.pixel_step,
                    start, plan.columns * sizeof(real),
                )


cdef inline void multiply_block(
    const Correlation* plan, Py_ssize_t samples, Py_ssize_t top, Py_ssize_t bottom, const real* images,
    const real* panels, const real* start, real* out, real* scratch, const int* watched,
) noexcept nogil:
    """All outputs of output rows [top, bottom) of some samples, unless `stopped`."""
    cdef Box box
    cdef Stretch part
    cdef Py_ssize_t run = plan.window_w * plan.channels
    cdef Py_ssize_t depth = plan.window_h * run
    cdef Py_ssize_t first, width, tap
    part.row = part.at = 0
    while part.row < plan.window_h:
        # The next stretch of the sum: some whole window rows, or a part of one.
        part.end_row = part.row + 1
        part.end = run
        if run > STRETCH:
            part.end = min(part.at + STRETCH, run)
            if not contiguous(plan):
                # Whole taps, or a part of one.
                tap = part.at // plan.channels * plan.channels
                part.end = min(part.end, tap + max(STRETCH // plan.channels, <Py_ssize_t>1) * plan.channels)
        elif run > 0:
            part.end_row = min(part.row + STRETCH // run, plan.window_h)
        first = 0
        while first < plan.columns:
            if stopped(watched):
                return
            width = panel_width(plan.columns - first, <real>0)
            box.top = top
            while box.top < bottom:
                box.bottom = alike(
                    box.top, bottom, plan.top, plan.height, plan.window_h, plan.stride_h, plan.dilation_h,
                    &box.row, &box.end_row,
                )
                box.left = 0
                while box.left < plan.n_W:
                    box.right = alike(
                        box.left, plan.n_W, plan.left, plan.width, plan.window_w, plan.stride_w, plan.dilation_w,
                        &box.column, &box.end_column,
                    )
                    if box.row < box.end_row and box.column < box.end_column and run > 0:
                        multiply_box(
                            plan, &box, &part, samples, images, panels + first * depth, <int>width,
                            <int>min(width, plan.columns - first), start + first, out + first, scratch,
                        )
                    elif part.row == 0 and part.at == 0 and first == 0:
                        fill_box(plan, &box, samples, start, out)
                    box.left = box.right
                box.top = box.bottom
            first += width
        part.at = part.end
        if part.at >= run:
            part.row = part.end_row
            part.at = 0


cdef inline int correlate_share(
    const Correlation* plan, const real* images, const real* panels, const real* start, real* out,
    int member, int team, const int* watched,
) noexcept nogil:
    """The blocks of thread `member` of `team`; -1 where its memory could not be allocated or the call is stopped."""
    cdef Block block = cut_outputs(plan, team, <real>0)
    cdef Py_ssize_t task = member, sample, top
    cdef real* scratch = <real*>allocate(MOST_ROWS * MOST_COLUMNS, sizeof(real))
    if scratch == NULL:
        return -1
    memset(scratch, 0, MOST_ROWS * MOST_COLUMNS * sizeof(real))
    while task < block.count:
        sample = task // block.row_blocks * block.samples
        top = task % block.row_blocks * block.rows
        multiply_block(
            plan, min(block.samples, plan.samples - sample), top, min(top + block.rows, plan.n_H),
            images + sample * plan.height * plan.width * plan.image_step, panels, start,
            out + sample * plan.sample_step, scratch, watched,
        )
        if stopped(watched):
            break
        task += team
    free(scratch)
    return -1 if task < block.count else 0


cdef inline int correlate(
    const Correlation* plan, const real* images, const real* panels, const real* start, real* out,
    bint narrow, int team,
) noexcept nogil:
    """All outputs, with up to `team` threads; -1 where memory ran out or the call is stopped.

    `start` holds the first term of each column's chain, padded to the panels' width. Where `narrow`, the kernel
    is that of ``_narrow.pxd`` and `panels` the plain transpose of the matrix: a row a column.
    """
    cdef int member, failed = 0
    cdef const int* watched = watch()
    if plan.samples == 0 or plan.n_H == 0 or plan.n_W == 0 or plan.columns == 0:
        return 0
    for member in prange(
        team, num_threads=team, use_threads_if=team > 1, schedule="static", chunksize=1
    ):
        if narrow:
            failed += -narrow_share(plan, images, panels, start, out, member, team, watched)
        else:
            failed += -correlate_share(plan, images, panels, start, out, member, team, watched)
    return -1 if failed else 0
