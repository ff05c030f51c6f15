"""The gradient of filters and biases where channels do not mix: see ``wgrad_micro_kernel.pxd`` for the register block.

The batch is cut, and the sums of chunks and of groups of chunks are added, as in ``wgrad/chunks.pxd``. Within a chunk each
element of `dW` is one chain over its pixels in the order (sample, row, column), the padding taken as zeros.
"""

from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from cnnref.kernels.base.integers cimport share
from cnnref.kernels.base.memory cimport allocate
from cnnref.kernels.base.register_block cimport MOST_COLUMNS, lanes
from cnnref.kernels.base.types cimport real
from cnnref.kernels.conv.problem cimport Correlation, span_h, span_w, taps_of
from cnnref.kernels.conv.select cimport SHUFFLED, SLIDING, depthwise_wgrad_kernel, panel_of_sums, shuffles, side_by_side
from cnnref.kernels.depthwise.indirection cimport copy_in_order, fill_indirection, order_of_terms
from cnnref.kernels.depthwise.micro_kernel cimport MOST_DEPTHWISE_ROWS, group_columns
from cnnref.kernels.depthwise.read_ahead cimport far, read_rows
from cnnref.kernels.depthwise.wgrad_micro_kernel cimport (
    depthwise_wgrad_micro_kernel,
    grouped_taps,
    grouped_wgrad_micro_kernel,
    taps_of_block,
)
from cnnref.kernels.depthwise.wgrad_micro_kernel_sliding cimport (
    slide_taps,
    sliding_rows,
    sliding_vectors,
    sums_gradients,
)
from cnnref.kernels.wgrad.chunks cimport BatchCut, add_columns
from cnnref.kernels.wgrad.macro_kernel cimport put_sums
from cnnref.threads cimport stopped


cdef inline Py_ssize_t wgrad_panels(const Correlation* plan, real kind) noexcept nogil:
    """Panels of columns."""
    return share(plan.columns, panel_of_sums(plan, plan.columns, kind))


cdef inline Py_ssize_t fill_offsets(
    const Correlation* plan, Py_ssize_t line, Py_ssize_t rows, Py_ssize_t* offsets
) noexcept nogil:
    """Each tap's place in the table; how many blocks of `rows` taps they are, the last one filled up with the first tap."""
    cdef Py_ssize_t taps = plan.window_h * plan.window_w
    cdef Py_ssize_t tiles = (taps + rows - 1) // rows
    cdef Py_ssize_t tap
    for tap in range(tiles * rows):
        offsets[tap] = 0
        if tap < taps:
            offsets[tap] = tap // plan.window_w * plan.dilation_h * line + tap % plan.window_w * plan.dilation_w
    return tiles


cdef inline void depthwise_chunk(
    const Correlation* plan, const real** table, Py_ssize_t table_rows, Py_ssize_t line, Py_ssize_t* offsets,
    Py_ssize_t pieces, Py_ssize_t n_rows, Py_ssize_t at, const real* dZ, Py_ssize_t dZ_step, int width, Py_ssize_t valid,
    bint fresh, real* dW, Py_ssize_t dW_step, real* db, real* scratch,
) noexcept nogil:
    """Add one chunk's sums of one panel to `dW`, or set them where `fresh`.

    `table` has `table_rows` rows of `line` entries for each of the chunk's samples, `dZ` its pixels.
    """
    cdef Py_ssize_t i, tiles
    if depthwise_wgrad_kernel(plan, valid, width, dZ[0]) == SLIDING:
        slide_chunk(
            plan, table, table_rows, line, pieces, n_rows, at, dZ, dZ_step, width, valid, fresh, dW, dW_step, db, scratch
        )
        return
    tiles = fill_offsets(plan, line, taps_of_block(width, dZ[0]), offsets)
    for i in range(plan.channels):
        depthwise_wgrad_micro_kernel(
            width, tiles, table, offsets, plan.stride_w, plan.stride_h * line - plan.n_W * plan.stride_w,
            at + i * width, table_rows * line, dZ, dZ_step, pieces, n_rows, plan.n_W, scratch,
        )
        put_sums(
            plan.window_h * plan.window_w, scratch, width, valid, fresh, dW + i * dW_step, plan.channels * dW_step
        )


cdef inline void slide_chunk(
    const Correlation* plan, const real** table, Py_ssize_t table_rows, Py_ssize_t line, Py_ssize_t pieces,
    Py_ssize_t n_rows, Py_ssize_t at, const real* dZ, Py_ssize_t dZ_step, int width, Py_ssize_t valid,
    bint fresh, real* dW, Py_ssize_t dW_step, real* db, real* scratch,
) noexcept nogil:
    """As `depthwise_chunk`, for windows that overlap; to `db` as well where register blocks sum that."""
    cdef int vector = lanes(dZ[0]), first = 0, columns, rows
    cdef Py_ssize_t row, taps = plan.window_w
    while first < valid:
        columns = sliding_vectors(taps, (width - first) // vector) * vector
        row = 0
        while row < plan.window_h:
            rows = sliding_rows(taps, plan.window_h - row)
            slide_taps(
                rows, columns // vector, plan, table + row * plan.dilation_h * line, line, table_rows * line, at + first,
                dZ + first, dZ_step, pieces, n_rows, scratch,
            )
            put_sums(
                rows * taps, scratch, columns, min(<Py_ssize_t>columns, valid - first), fresh,
                dW + row * taps * dW_step + first, dW_step,
            )
            row += rows
        if sums_gradients(plan):
            put_sums(
                1, scratch + taps * taps * columns, columns, min(<Py_ssize_t>columns, valid - first), fresh, db + first,
                columns,
            )
        first += columns


cdef inline void grouped_chunk(
    const Correlation* plan, const real** table, Py_ssize_t table_rows, Py_ssize_t line, Py_ssize_t* offsets,
    Py_ssize_t pieces, Py_ssize_t n_rows, Py_ssize_t at, const real* dZ, Py_ssize_t dZ_step, int width,
    bint fresh, real* dW, Py_ssize_t dW_step, real* scratch,
) noexcept nogil:
    """As `depthwise_chunk`, for whole vectors of small groups."""
    cdef Py_ssize_t tiles = fill_offsets(plan, line, grouped_taps(plan.channels, dZ[0]), offsets)
    cdef int vector = group_columns(plan.channels, dZ[0]), first = 0
    while first < width:
        grouped_wgrad_micro_kernel(
            plan.channels, tiles, table, offsets, plan.stride_w, plan.stride_h * line - plan.n_W * plan.stride_w,
            at + first, table_rows * line, dZ + first, dZ_step, pieces, n_rows, plan.n_W, scratch,
        )
        put_sums(taps_of(plan), scratch, vector, vector, fresh, dW + first, dW_step)
        first += vector


cdef inline int depthwise_wgrad(
    const Correlation* plan, const BatchCut* cut, const real* images, const real* dZ, Py_ssize_t group, real* dW,
    Py_ssize_t dW_step, real* db, const int* watched,
) noexcept nogil:
    """The sums of one group of chunks; -1 where working memory could not be allocated or the call is stopped."""
    cdef bint direct = shuffles(plan.channels, plan.sharing, <real>0) or plan.channels == plan.sharing == 1
    cdef bint plain
    cdef Py_ssize_t panels = wgrad_panels(plan, <real>0)
    cdef int most = panel_of_sums(plan, plan.columns, <real>0)
    cdef Py_ssize_t line = (plan.n_W - 1) * plan.stride_w + span_w(plan)
    cdef Py_ssize_t table_rows = (cut.rows - 1) * plan.stride_h + span_h(plan)
    cdef Py_ssize_t image_size = plan.height * plan.width * plan.image_step
    cdef Py_ssize_t pieces = min(cut.samples, plan.samples)
    cdef Py_ssize_t size = plan.channels * most
    cdef Py_ssize_t zeros = max(plan.columns + MOST_COLUMNS, size)
    cdef Py_ssize_t pixels = pieces * cut.rows * plan.n_W
    cdef Py_ssize_t copied = pieces * table_rows * plan.width * size
    cdef Py_ssize_t chunk, panel, sample, piece, top, n_rows, from_row, first, width, valid, summed, j
    cdef const real* image
    cdef const real* chunk_dZ
    cdef const real** table = <const real**>allocate(pieces * table_rows * line, sizeof(void*))
    # At most so many taps are summed at once, the last block's filled up.
    cdef Py_ssize_t taps = plan.window_h * plan.window_w + MOST_DEPTHWISE_ROWS
    cdef Py_ssize_t* order = <Py_ssize_t*>allocate(size + taps, sizeof(Py_ssize_t))
    cdef Py_ssize_t* offsets = order + size
    # Their sums: of all columns of a panel, or of all terms of a vector.
    cdef Py_ssize_t most_sums = taps * max(<Py_ssize_t>MOST_COLUMNS, plan.channels * lanes(<real>0))
    cdef real* memory
    cdef real* copy
    cdef real* packed
    cdef bint distant = far(plan.samples * image_size, <real>0)
    cdef bint filled, fresh = True
    cdef int status = -1
    if direct and plan.columns % lanes(<real>0) == 0:
        copied = 0
    memory = <real*>allocate(most_sums + zeros + plan.columns + pixels * most + copied, sizeof(real))
    if table != NULL and order != NULL and memory != NULL:
        status = 0
        memset(memory, 0, (most_sums + zeros) * sizeof(real))
        packed = memory + most_sums + zeros + plan.columns
        copy = packed + pixels * most
        for chunk in range(group * cut.chunks // cut.groups, (group + 1) * cut.chunks // cut.groups):
            sample = chunk // cut.per_sample * cut.samples
            pieces = min(cut.samples, plan.samples - sample)
            top = chunk % cut.per_sample * cut.rows
            n_rows = min(cut.rows, plan.n_H - top)
            from_row = top * plan.stride_h - plan.top
            chunk_dZ = dZ + (sample * plan.n_H + top) * plan.n_W * plan.pixel_step
            if distant:
                for piece in range(pieces):
                    read_rows(
                        plan, images + (sample + piece) * image_size, max(from_row, <Py_ssize_t>0),
                        min(from_row + table_rows, plan.height), memory,
                    )
            filled = False
            summed = 0
            for panel in range(panels):
                first = panel * most
                width = panel_of_sums(plan, plan.columns - first, <real>0)
                valid = min(width, plan.columns - first)
                plain = side_by_side(plan, valid, width, <real>0)
                if not plain:
                    order_of_terms(plan, first, valid, width, order)
                    size = plan.channels * width
                    for piece in range(pieces):
                        image = images + (sample + piece) * image_size
                        copy_in_order(
                            plan, image, from_row, table_rows, order, size, copy + piece * table_rows * plan.width * size
                        )
                        fill_indirection(
                            plan, copy + piece * table_rows * plan.width * size, size, from_row, table_rows, line,
                            memory + most_sums, table + piece * table_rows * line,
                        )
                elif not filled:
                    for piece in range(pieces):
                        image = images + (sample + piece) * image_size
                        fill_indirection(
                            plan, image + from_row * plan.width * plan.image_step, plan.image_step, from_row, table_rows,
                            line, memory + most_sums, table + piece * table_rows * line,
                        )
                    filled = True
                if depthwise_wgrad_kernel(plan, valid, width, <real>0) == SHUFFLED:
                    grouped_chunk(
                        plan, table, table_rows, line, offsets, pieces, n_rows, first, chunk_dZ + first,
                        plan.pixel_step, <int>width, fresh, dW + first, dW_step, memory,
                    )
                elif valid < width:
                    for j in range(pieces * n_rows * plan.n_W):
                        memcpy(packed + j * width, chunk_dZ + j * plan.pixel_step + first, valid * sizeof(real))
                        memset(packed + j * width + valid, 0, (width - valid) * sizeof(real))
                    depthwise_chunk(
                        plan, table, table_rows, line, offsets, pieces, n_rows, 0, packed, width, <int>width, valid, fresh,
                        dW + first, dW_step, db + first, memory,
                    )
                else:
                    depthwise_chunk(
                        plan, table, table_rows, line, offsets, pieces, n_rows, first if plain else 0, chunk_dZ + first,
                        plan.pixel_step, <int>width, valid, fresh, dW + first, dW_step, db + first, memory,
                    )
                if sums_gradients(plan) and depthwise_wgrad_kernel(plan, valid, width, <real>0) == SLIDING:
                    summed = first + valid
            add_columns(
                chunk_dZ + summed, pieces * n_rows * plan.n_W, plan.columns - summed, plan.pixel_step, fresh, db + summed,
                memory + most_sums + zeros,
            )
            fresh = False
            if stopped(watched):
                status = -1
                break
    free(table)
    free(order)
    free(memory)
    return status
