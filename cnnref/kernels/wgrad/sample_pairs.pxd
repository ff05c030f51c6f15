"""Sums over a batch for at most 8 filters of float32, half a vector: the sums of two chunks are taken side by side.

For that the values of two samples are copied into pairs, those of the images and those of the gradients: a pair of an image,
as often as there are filters, is multiplied with a vector of pairs of the gradients. What is summed, in which order, is that of
``chunks.pxd``: every chunk by itself, the chunks' sums added in their order.
"""

from libc.stdlib cimport free
from libc.string cimport memset

from cnnref.kernels.base.integers cimport share
from cnnref.kernels.base.memory cimport allocate
from cnnref.kernels.base.types cimport real
from cnnref.kernels.base.vector cimport zip_halves
from cnnref.kernels.conv.problem cimport Correlation, span_h, span_w
from cnnref.kernels.conv.select cimport pair_taps
from cnnref.kernels.wgrad.chunks cimport BatchCut
from cnnref.kernels.wgrad.micro_kernel_sample_pairs cimport PAIR, PAIRED_COLUMNS, TWO, pairs_of_25, pairs_of_9
from cnnref.threads cimport stopped

cdef enum:
    # Pixels whose pairs stay in the first-level cache.
    PIXELS_AT_ONCE = 256


cdef struct PairBlocks:
    # Register blocks of `side` rows of `side` taps, so many of them side by side and on top of each other.
    Py_ssize_t side
    Py_ssize_t across
    Py_ssize_t down
    # Output rows at once; pairs of a row of the copy, its rows, a register block's sums.
    Py_ssize_t rows
    Py_ssize_t line
    Py_ssize_t height
    Py_ssize_t tile


cdef inline PairBlocks pair_blocks_of(const Correlation* plan, const BatchCut* cut) noexcept nogil:
    cdef PairBlocks blocks
    # A register block of 9 taps waits for its loads.
    blocks.side = 3 if 11 * pair_taps(plan, 3) <= 10 * pair_taps(plan, 5) else 5
    blocks.down = share(plan.window_h, blocks.side)
    blocks.across = share(plan.window_w * plan.channels, blocks.side)
    blocks.rows = min(max(PIXELS_AT_ONCE // plan.n_W, <Py_ssize_t>1), cut.rows)
    blocks.line = ((plan.n_W - 1) * plan.stride_w + span_w(plan)) * plan.channels
    # Register blocks may reach beyond the window.
    blocks.height = (blocks.rows - 1) * plan.stride_h + (blocks.down * blocks.side - 1) * plan.dilation_h + 2
    blocks.tile = blocks.side * blocks.side + 1
    return blocks


cdef inline void pair(const real* one, const real* other, Py_ssize_t count, real* pairs) noexcept nogil:
    """Lay the values of both out in pairs."""
    cdef Py_ssize_t i
    for i in range(count):
        pairs[TWO * i] = one[i]
        pairs[TWO * i + 1] = other[i]


cdef inline void pair_pixels(
    const Correlation* plan, const real* one, const real* other, Py_ssize_t top, Py_ssize_t rows, Py_ssize_t line,
    real* pairs,
) noexcept nogil:
    """Copy `rows` rows from row `top` of two images into pairs; what lies outside is zero."""
    cdef Py_ssize_t row, place, column
    cdef Py_ssize_t width = line // plan.channels
    cdef Py_ssize_t first = min(max(plan.left, <Py_ssize_t>0), width)
    cdef Py_ssize_t last = max(min(plan.width + plan.left, width), first)
    for row in range(top, top + rows):
        if row < 0 or row >= plan.height:
            memset(pairs, 0, line * TWO * sizeof(real))
        else:
            memset(pairs, 0, first * plan.channels * TWO * sizeof(real))
            place = (row * plan.width + first - plan.left) * plan.image_step
            if plan.image_step == plan.channels:
                pair(
                    one + place, other + place, (last - first) * plan.channels, pairs + first * plan.channels * TWO
                )
            else:
                for column in range(first, last):
                    pair(one + place, other + place, plan.channels, pairs + column * plan.channels * TWO)
                    place += plan.image_step
            memset(
                pairs + last * plan.channels * TWO, 0, (width - last) * plan.channels * TWO * sizeof(real)
            )
        pairs += line * TWO


cdef inline void pair_gradients(
    const Correlation* plan, const real* one, const real* other, Py_ssize_t pixels, real* pairs
) noexcept nogil:
    """Copy the gradients of two samples into pairs, whose lanes beyond the columns stay as they are."""
    cdef Py_ssize_t _pixel
    for _pixel in range(pixels):
        if plan.columns == PAIRED_COLUMNS:
            zip_halves(<const float*>one, <const float*>other, <float*>pairs)
        else:
            pair(one, other, plan.columns, pairs)
        one += plan.pixel_step
        other += plan.pixel_step
        pairs += PAIR


cdef inline void sum_chunks(
    const Correlation* plan, const PairBlocks* blocks, const real* one, const real* other, Py_ssize_t distance, const real* dZ,
    const real* other_dZ, Py_ssize_t pieces, Py_ssize_t top, Py_ssize_t n_rows, real* sums, real* gradients, real* pixels,
) noexcept nogil:
    """Both chunks' sums, each of rows [top, top + n_rows) of `pieces` samples that are `distance` values apart."""
    cdef Py_ssize_t tile_row, tile, piece, y, rows
    cdef Py_ssize_t line = blocks.line * TWO, step = plan.stride_w * plan.channels * TWO
    cdef Py_ssize_t skip = plan.stride_h * line - plan.n_W * step
    cdef const real* window
    cdef real* out
    memset(sums, 0, blocks.across * blocks.down * blocks.tile * PAIR * sizeof(real))
    for piece in range(pieces):
        y = 0
        while y < n_rows:
            rows = min(blocks.rows, n_rows - y)
            pair_pixels(
                plan, one + piece * distance, other + piece * distance, (top + y) * plan.stride_h - plan.top,
                (rows - 1) * plan.stride_h + span_h(plan), blocks.line, pixels,
            )
            pair_gradients(plan, dZ, other_dZ, rows * plan.n_W, gradients)
            dZ += rows * plan.n_W * plan.pixel_step
            other_dZ += rows * plan.n_W * plan.pixel_step
            y += rows
            out = sums
            for tile_row in range(blocks.down):
                for tile in range(blocks.across):
                    window = pixels + tile_row * blocks.side * plan.dilation_h * line + tile * blocks.side * TWO
                    if blocks.side == 3:
                        pairs_of_9(window, plan.dilation_h * line, step, skip, gradients, rows, plan.n_W, out)
                    else:
                        pairs_of_25(window, plan.dilation_h * line, step, skip, gradients, rows, plan.n_W, out)
                    out += blocks.tile * PAIR


cdef inline void add_chunk(
    const Correlation* plan, const PairBlocks* blocks, const real* sums, bint fresh, real* dW, Py_ssize_t dW_step, real* db
) noexcept nogil:
    """Add one chunk's sums, the first of each pair from `sums` on, to the gradients, or set these where `fresh`.

    `db` may be NULL.
    """
    cdef Py_ssize_t row, tap, j, run = plan.window_w * plan.channels, place
    for row in range(plan.window_h):
        for tap in range(run):
            place = (row // blocks.side * blocks.across + tap // blocks.side) * blocks.tile
            place = (place + row % blocks.side * blocks.side + tap % blocks.side) * PAIR
            for j in range(plan.columns):
                dW[j] = sums[place + TWO * j] if fresh else dW[j] + sums[place + TWO * j]
            dW += dW_step
    if db != NULL:
        place = (blocks.tile - 1) * PAIR
        for j in range(plan.columns):
            db[j] = sums[place + TWO * j] if fresh else db[j] + sums[place + TWO * j]


cdef inline int sum_sample_pairs(
    const Correlation* plan, const BatchCut* cut, const real* images, const real* dZ, Py_ssize_t group, real* dW,
    Py_ssize_t dW_step, real* db, const int* watched,
) noexcept nogil:
    """As ``sum_group`` for all taps."""
    cdef PairBlocks blocks = pair_blocks_of(plan, cut)
    cdef Py_ssize_t distance = plan.height * plan.width * plan.image_step
    cdef Py_ssize_t size = blocks.across * blocks.down * blocks.tile * PAIR
    cdef Py_ssize_t gradients = blocks.rows * plan.n_W * PAIR
    # Register blocks may reach beyond the last tap of the last pixel.
    cdef Py_ssize_t pixels = (blocks.height * blocks.line + blocks.side) * TWO
    cdef Py_ssize_t chunk = group * cut.chunks // cut.groups, last = (group + 1) * cut.chunks // cut.groups
    cdef Py_ssize_t end, number, other, sample, other_sample, top, n_rows, pieces
    cdef bint fresh = True
    # The sums of a sample's chunks, which are those of the sample after it too.
    cdef real* memory = <real*>allocate(cut.per_sample * size + gradients + pixels, sizeof(real))
    cdef real* sums
    if memory == NULL:
        return -1
    memset(memory, 0, (cut.per_sample * size + gradients + pixels) * sizeof(real))
    while chunk < last and not stopped(watched):
        end = min(chunk + cut.per_sample, last)
        for number in range(chunk, end):
            sums = memory + (number - chunk) * size
            sample = number // cut.per_sample * cut.samples
            top = number % cut.per_sample * cut.rows
            n_rows = min(cut.rows, plan.n_H - top)
            pieces = min(cut.samples, plan.samples - sample)
            other = number + cut.per_sample
            other_sample = other // cut.per_sample * cut.samples
            if other >= last or other_sample + pieces > plan.samples:
                other_sample = sample
            sum_chunks(
                plan, &blocks, images + sample * distance, images + other_sample * distance, distance,
                dZ + (sample * plan.n_H + top) * plan.n_W * plan.pixel_step,
                dZ + (other_sample * plan.n_H + top) * plan.n_W * plan.pixel_step, pieces, top, n_rows, sums,
                memory + cut.per_sample * size, memory + cut.per_sample * size + gradients,
            )
            add_chunk(plan, &blocks, sums, fresh, dW, dW_step, db)
            fresh = False
        chunk = end
        for number in range(chunk, min(chunk + cut.per_sample, last)):
            if (number // cut.per_sample + 1) * cut.samples > plan.samples:
                break
            add_chunk(plan, &blocks, memory + (number - chunk) * size + 1, False, dW, dW_step, db)
            end = number + 1
        chunk = end
    free(memory)
    return -1 if stopped(watched) else 0
