"""Correlations whose channels do not mix, vectorised over the columns: see ``micro_kernel.pxd`` for the register block.

Each output is the chain of ``gemm/driver.pxd``, but for the padding left and right of the image, which counts as zeros here;
what lies above and below is left out. Work is split into blocks of output rows. Several correlations of the same images, the
phases of a gradient, are taken block by block, so that their outputs, which lie between each other's, are written together.
"""

from cython.parallel cimport prange
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from cnnref.kernels.base.caches cimport second_level
from cnnref.kernels.base.memory cimport allocate
from cnnref.kernels.base.register_block cimport MOST_COLUMNS, panel_width, widest
from cnnref.kernels.base.types cimport real
from cnnref.kernels.conv.problem cimport ConvPart, Correlation, Frame, alike, frame_of, taps_of
from cnnref.kernels.conv.select cimport (
    SHUFFLED,
    SLIDING,
    Kernel,
    depthwise_kernel,
    shuffles,
    side_by_side,
    sliding_columns,
)
from cnnref.kernels.depthwise.grouped_rows cimport grouped_rows
from cnnref.kernels.depthwise.indirection cimport copy_in_order, fill_indirection, order_of_terms
from cnnref.kernels.depthwise.micro_kernel cimport MOST_DEPTHWISE_ROWS, depthwise_micro_kernel, pixels_of_block
from cnnref.kernels.depthwise.micro_kernel_sliding cimport SLIDING_PIXELS, slide_rows
from cnnref.kernels.depthwise.read_ahead cimport far, read_ahead, read_rows
from cnnref.kernels.gemm.pack cimport padded_columns
from cnnref.threads cimport stopped, watch

cdef enum:
    # Of the second-level cache, what image and outputs that a block spans may fill: one part of these.
    BLOCK_SHARE = 2
    # Bytes of pixels that are read as a whole where images come from memory.
    SHORT_PIXEL = 512
    # Pixels of a row that all panels are done with before the next ones: memory is then read in one go.
    DEPTHWISE_PIXELS = 28


cdef inline Py_ssize_t rows_of_block(
    const Correlation* plan, const Frame* frame, Py_ssize_t count, int team, real kind
) noexcept nogil:
    """Output rows of a piece of work: few enough for the cache and for every thread to have some."""
    cdef Py_ssize_t row_bytes = (
        plan.stride_h * plan.width * plan.image_step + count * frame.n_W * plan.columns
    ) * <Py_ssize_t>sizeof(kind)
    cdef Py_ssize_t rows = max(second_level() // BLOCK_SHARE // max(row_bytes, <Py_ssize_t>1), <Py_ssize_t>1)
    cdef Py_ssize_t shared = max((frame.n_H * plan.samples + team - 1) // team, <Py_ssize_t>1)
    rows = min(min(rows, shared), frame.n_H)
    # Blocks of equal size, rather than a small one at the end.
    return (frame.n_H + (frame.n_H + rows - 1) // rows - 1) // ((frame.n_H + rows - 1) // rows)


cdef inline void depthwise_rows(
    const Correlation* plan, Py_ssize_t top, Py_ssize_t bottom, const real** table, Py_ssize_t line, Py_ssize_t at,
    Py_ssize_t from_x, Py_ssize_t to_x, const real* panel, int width, int valid, const real* last, real* out,
    real* scratch,
) noexcept nogil:
    """One panel's columns of the pixels [from_x, to_x) of output rows [top, bottom).

    The table starts at the window of the first pixel of row `top`.
    """
    cdef Py_ssize_t depth = plan.window_w * plan.channels
    cdef Py_ssize_t y, x, row, end_row, tiles, left
    cdef real* target
    cdef int pixels, p
    cdef bint fits
    for y in range(top, bottom):
        alike(y, y + 1, plan.top, plan.height, plan.window_h, plan.stride_h, plan.dilation_h, &row, &end_row)
        x = from_x
        while x < to_x:
            left = to_x - x
            pixels = pixels_of_block(left, width, <real>0)
            # A register block works in `scratch` where it is larger than what is left of the output.
            fits = pixels <= left and valid == width
            tiles = 1
            while fits and left > tiles * pixels and pixels_of_block(left - tiles * pixels, width, <real>0) == pixels:
                tiles += 1
            if left < tiles * pixels:
                tiles -= 1
                fits = tiles > 0
                tiles = max(tiles, <Py_ssize_t>1)
            target = out + y * plan.row_step + x * plan.pixel_step
            depthwise_micro_kernel(
                pixels, width, tiles,
                table + ((y - top) * plan.stride_h + row * plan.dilation_h) * line + x * plan.stride_w,
                plan.stride_w, plan.dilation_w, plan.dilation_h * line, at,
                max(end_row - row, <Py_ssize_t>0), plan.window_w, plan.channels, panel + row * depth * width, last,
                target if fits else scratch, plan.pixel_step if fits else <Py_ssize_t>MOST_COLUMNS,
            )
            if not fits:
                for p in range(<int>min(<Py_ssize_t>pixels, left)):
                    memcpy(target + p * plan.pixel_step, scratch + p * MOST_COLUMNS, valid * sizeof(real))
            x += tiles * pixels


cdef inline int depthwise_share(
    const ConvPart* parts, Py_ssize_t count, const real* images, const real* panels, const real* last, real* out, int member,
    int team, const int* watched,
) noexcept nogil:
    """The blocks of thread `member` of `team`; -1 where its memory could not be allocated or the call is stopped."""
    cdef Frame frame = frame_of(parts, count)
    # What all parts have in common; the columns before the image are the table's.
    cdef Correlation plan = parts[0].plan
    cdef bint direct = shuffles(plan.channels, plan.sharing, <real>0) or plan.channels == plan.sharing == 1
    cdef bint plain
    cdef Py_ssize_t most = rows_of_block(&plan, &frame, count, team, <real>0)
    cdef Py_ssize_t blocks = (frame.n_H + most - 1) // most
    cdef Py_ssize_t tasks = plan.samples * blocks
    # A register block may look up entries for pixels beyond the last.
    cdef Py_ssize_t line = (frame.n_W - 1 + MOST_DEPTHWISE_ROWS) * plan.stride_w + frame.span_w
    cdef Py_ssize_t table_rows = (most - 1) * plan.stride_h + frame.span_h
    cdef Py_ssize_t size = plan.channels * widest(<real>0)
    cdef Py_ssize_t zeros = max(padded_columns(plan.columns, <real>0), size)
    cdef bint copies = not side_by_side(&plan, plan.columns, padded_columns(plan.columns, <real>0), <real>0)
    cdef Py_ssize_t copied = table_rows * plan.width * size if copies else 0
    cdef Py_ssize_t values = plan.samples * plan.height * plan.width * plan.image_step
    # Whether register blocks take whole pixels: a panel's part of one is too short a piece of memory to be read on its own.
    cdef bint whole = far(values, <real>0) and plan.image_step <= SHORT_PIXEL // <Py_ssize_t>sizeof(real)
    # Of the images that one thread reads: several threads wait for memory at the same time as it is.
    cdef bint distant = far(values // team, <real>0)
    cdef bint writes = far(plan.samples * plan.sample_step, <real>0)
    cdef Py_ssize_t read = 0, written
    cdef Py_ssize_t task, sample, top, bottom, from_row, first, width, valid, from_x, to_x, x, end_x, tiles, i
    cdef Kernel kernel
    cdef const Correlation* own
    cdef const real* image
    cdef const real** entry
    cdef const real** table = <const real**>allocate(table_rows * line, sizeof(void*))
    cdef Py_ssize_t* order = <Py_ssize_t*>allocate(size, sizeof(Py_ssize_t))
    cdef real* scratch = <real*>allocate(MOST_DEPTHWISE_ROWS * MOST_COLUMNS + zeros + copied, sizeof(real))
    cdef real* copy
    cdef int status = -1
    plan.left = frame.left
    if table != NULL and order != NULL and scratch != NULL:
        status = 0
        memset(scratch, 0, (MOST_DEPTHWISE_ROWS * MOST_COLUMNS + zeros) * sizeof(real))
        copy = scratch + MOST_DEPTHWISE_ROWS * MOST_COLUMNS + zeros
        for task in range(member * tasks // team, (member + 1) * tasks // team):
            sample = task // blocks
            top = task % blocks * most
            bottom = min(top + most, frame.n_H)
            from_row = top * plan.stride_h - frame.top
            image = images + sample * plan.height * plan.width * plan.image_step
            table_rows = (bottom - top - 1) * plan.stride_h + frame.span_h
            if distant:
                # What the block before has read is still there.
                read = read_rows(
                    &plan, image, max(from_row, read if top else <Py_ssize_t>0),
                    min(from_row + table_rows, plan.height), scratch,
                )
            if writes:
                # Outputs as well: the phases of a gradient would wait for each line that they write a part of.
                written = sample * plan.sample_step + top * plan.row_step
                read_ahead(
                    out + written, min((bottom - top) * plan.row_step, plan.samples * plan.sample_step - written), scratch
                )
            if direct:
                fill_indirection(
                    &plan, image + from_row * plan.width * plan.image_step, plan.image_step, from_row, table_rows, line,
                    scratch + MOST_DEPTHWISE_ROWS * MOST_COLUMNS, table,
                )
            first = 0
            from_x = 0
            while from_x < frame.n_W:
                width = panel_width(plan.columns - first, <real>0)
                valid = min(width, plan.columns - first)
                plain = side_by_side(&plan, valid, width, <real>0)
                to_x = frame.n_W if copies or distant or whole else min(from_x + DEPTHWISE_PIXELS, frame.n_W)
                if not plain:
                    order_of_terms(&plan, first, valid, width, order)
                    copy_in_order(&plan, image, from_row, table_rows, order, plan.channels * width, copy)
                    fill_indirection(
                        &plan, copy, plan.channels * width, from_row, table_rows, line,
                        scratch + MOST_DEPTHWISE_ROWS * MOST_COLUMNS, table,
                    )
                for i in range(count):
                    own = &parts[i].plan
                    entry = table + (frame.top - own.top) * line + frame.left - own.left
                    x = from_x
                    end_x = min(to_x, own.n_W)
                    kernel = depthwise_kernel(own, first, valid, width, end_x - x, <real>0)
                    if kernel == SHUFFLED:
                        grouped_rows(
                            own, top, min(bottom, own.n_H), entry, line, first, x, end_x,
                            panels + parts[i].panels + first * taps_of(own), <int>width,
                            last + first if last != NULL else NULL,
                            out + parts[i].out + sample * own.sample_step + first, scratch,
                        )
                        continue
                    if kernel == SLIDING:
                        tiles = (end_x - x) // SLIDING_PIXELS
                        if first == 0 or not whole:
                            slide_rows(
                                own, top, min(bottom, own.n_H), entry + x * own.stride_w, line, tiles, first,
                                sliding_columns(own, <real>0) if whole else first + width, panels + parts[i].panels, last,
                                out + parts[i].out + sample * own.sample_step + x * own.pixel_step,
                            )
                        x += tiles * SLIDING_PIXELS
                    if x < end_x:
                        depthwise_rows(
                            own, top, min(bottom, own.n_H), entry, line, first if plain else 0, x, end_x,
                            panels + parts[i].panels + first * taps_of(own), <int>width,
                            <int>valid, last + first if last != NULL else NULL,
                            out + parts[i].out + sample * own.sample_step + first, scratch,
                        )
                first += width
                if first >= plan.columns:
                    first = 0
                    from_x = to_x
            if stopped(watched):
                status = -1
                break
    free(table)
    free(order)
    free(scratch)
    return status


cdef inline int correlate_depthwise(
    const ConvPart* parts, Py_ssize_t count, const real* images, const real* panels, const real* last, real* out, int team
) noexcept nogil:
    """All outputs, with up to `team` threads; -1 where memory ran out or the call is stopped.

    `panels` are those of ``implicit_gemm``; `last` is added to each column's sums, for all columns of the panels; NULL where
    there is nothing to add.
    """
    cdef int member, failed = 0
    cdef const int* watched = watch()
    cdef Frame frame = frame_of(parts, count)
    if parts[0].plan.samples == 0 or frame.n_H == 0 or frame.n_W == 0 or parts[0].plan.columns == 0:
        return 0
    if team == 1:
        return depthwise_share(parts, count, images, panels, last, out, 0, 1, watched)
    for member in prange(team, num_threads=team, schedule="static", chunksize=1):
        failed += -depthwise_share(parts, count, images, panels, last, out, member, team, watched)
    return -1 if failed else 0
