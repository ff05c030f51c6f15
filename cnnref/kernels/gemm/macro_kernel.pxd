"""The register blocks of a box of pixels (``border.pxd``) and a panel of the matrix, for one depth block of the sum."""

from cnnref.kernels.base.isa cimport prefetch
from cnnref.kernels.base.register_block cimport MOST_COLUMNS, MOST_ROWS, block_rows, widest
from cnnref.kernels.base.types cimport real
from cnnref.kernels.conv.problem cimport Correlation, contiguous
from cnnref.kernels.conv.select cimport has_half_vector
from cnnref.kernels.gemm.blocking cimport DepthBlock
from cnnref.kernels.gemm.border cimport Box, Boxes
from cnnref.kernels.gemm.micro_kernel cimport PAIRED, half_vector_block, micro_kernel
from cnnref.kernels.gemm.pack cimport copy_values

cdef enum:
    # Fewer steps are done before what is foreseen has come; narrower register blocks have fewer multiply-adds for each line.
    LEAST_PREFETCHED = 64


cdef inline void prefetch_rows(const real* values, const Py_ssize_t* places, Py_ssize_t count, Py_ssize_t width) noexcept nogil:
    """Have `count` rows of `width` values brought into the cache: a register block's outputs, or the next block's pixels."""
    cdef Py_ssize_t r, j
    for r in range(count):
        for j in range(0, width, 16):
            prefetch(values + places[r] + j)


cdef inline void macro_kernel(
    const Correlation* plan, const Boxes* block, const Box* box, const DepthBlock* part, const real* images,
    const real* panel, int width, Py_ssize_t valid, const real* bias, real* out, real* scratch,
) noexcept nogil:
    """Take one depth block of the sum into one panel's outputs of all pixels of a box.

    `bias` is NULL where there is none; `scratch` has a register block's sums, then a row of zeros.
    """
    cdef Py_ssize_t own[MOST_ROWS]
    cdef Py_ssize_t same[MOST_ROWS]
    cdef Py_ssize_t line = plan.dilation_h * plan.width * plan.image_step
    cdef Py_ssize_t at = max(part.at, box.column * plan.channels)
    cdef Py_ssize_t length = min(part.end, box.end_column * plan.channels) - at
    cdef Py_ssize_t row = max(part.row, box.row)
    cdef Py_ssize_t rows = min(part.end_row, box.end_row) - row
    cdef Py_ssize_t run = part.end - part.at
    # Runs of values that stand side by side in the image, their distances, and as many in a piece as are alike.
    cdef Py_ssize_t side = length, a_skip = line - length, b_skip = (run - length) * width, runs = rows, pieces = 1
    cdef Py_ssize_t pixel = 0, count, piece
    cdef const Py_ssize_t* places = block.places + box.first
    cdef const Py_ssize_t* outs = block.outs + box.first
    cdef const Py_ssize_t* targets
    cdef const Py_ssize_t* starts
    cdef const real* start
    cdef real* target
    cdef int r, most_rows = block_rows(width, <real>0)
    cdef bint halved = has_half_vector(width, valid, <real>0), pairs
    cdef bint fresh = row == box.row and at == box.column * plan.channels
    cdef bint complete = row + rows == box.end_row and at + length == box.end_column * plan.channels
    if length <= 0 or rows <= 0:
        return
    if not contiguous(plan):
        side = min(length, plan.channels)
        a_skip = plan.dilation_w * plan.image_step - side
        b_skip = 0
        runs = length // side
        pieces = rows
    images += row * line + at // plan.channels * plan.dilation_w * plan.image_step + at % plan.channels
    panel += ((row - part.row) * run + at - part.at) * width
    for r in range(MOST_ROWS):
        own[r] = r * MOST_COLUMNS
        same[r] = 0
    while pixel < box.pixels:
        count = min(<Py_ssize_t>most_rows, box.pixels - pixel)
        pairs = halved and count == PAIRED
        if fresh and width == widest(<real>0) and length >= LEAST_PREFETCHED:
            prefetch_rows(out, outs + pixel, count, valid)
            if plan.window_h == 1 and plan.window_w == 1:
                prefetch_rows(
                    images, places + pixel + count, min(<Py_ssize_t>most_rows, box.pixels - pixel - count), length
                )
        target = out
        targets = outs + pixel
        if valid < width and not pairs:
            # The register block is wider than what is left of the outputs, so it works in `scratch`.
            target = scratch
            targets = own
            if not fresh:
                for r in range(<int>count):
                    copy_values(out + outs[pixel + r], valid, scratch + own[r])
        for piece in range(pieces):
            start = target
            starts = targets
            if fresh and piece == 0:
                start = scratch + MOST_ROWS * MOST_COLUMNS
                starts = same
            if pairs:
                half_vector_block(
                    width, images + piece * line, places + pixel, 1, a_skip, panel + piece * run * width, b_skip,
                    runs, side, start, starts, bias if complete and piece == pieces - 1 else NULL, target, targets,
                )
                continue
            micro_kernel(
                width, <int>count, images + piece * line, places + pixel, 1, a_skip, panel + piece * run * width, b_skip,
                runs, side, start, starts, bias if complete and piece == pieces - 1 else NULL, target, targets,
            )
        if target == scratch:
            for r in range(<int>count):
                copy_values(scratch + own[r], valid, out + outs[pixel + r])
        pixel += count


cdef inline void fill_box(
    const Boxes* block, const Box* box, Py_ssize_t valid, const real* bias, real* out
) noexcept nogil:
    """Outputs whose windows hold nothing of the image: empty sums."""
    cdef Py_ssize_t pixel, j
    for pixel in range(box.first, box.first + box.pixels):
        for j in range(valid):
            out[block.outs[pixel] + j] = <real>0 + bias[j] if bias != NULL else <real>0
