"""Boxes: the output pixels of a correlation in groups whose windows are cut off alike by the image's border.

What of a window lies outside the image is left out of its sum. Inside the image there is one large box, along the
border there are narrow ones; a box spans all samples of its block, so that register blocks run across rows and samples.
"""

from libc.stdlib cimport free

from cnnref.kernels.base.memory cimport allocate
from cnnref.kernels.base.register_block cimport MOST_ROWS
from cnnref.kernels.conv.problem cimport Correlation, alike, taps_of
from cnnref.kernels.gemm.micro_kernel cimport ROWS_OF_POINTER

cdef enum:
    # Columns of register blocks whose rows are better evenly spaced.
    FEW_COLUMNS = 48
    # Values of a window of which the first-level cache holds those of several samples.
    FEW_TAPS = 512


cdef struct Box:
    # The window rows and columns [row, end_row) x [column, end_column) that lie in the image: none where one is empty.
    Py_ssize_t row
    Py_ssize_t end_row
    Py_ssize_t column
    Py_ssize_t end_column
    # Its pixels stand in the tables of its block from `first` on.
    Py_ssize_t first
    Py_ssize_t pixels


cdef struct Boxes:
    # The boxes of a block, and of each pixel where in the images its window starts (perhaps before the image,
    # where the window is cut off) and where its outputs stand.
    Box* boxes
    Py_ssize_t count
    Py_ssize_t* places
    Py_ssize_t* outs


cdef inline Py_ssize_t count_runs(
    Py_ssize_t outputs, Py_ssize_t before, Py_ssize_t extent, Py_ssize_t window, Py_ssize_t stride, Py_ssize_t dilation
) noexcept nogil:
    """The number of runs of outputs on one axis whose windows are cut off alike."""
    cdef Py_ssize_t place = 0, runs = 0, first, last
    while place < outputs:
        place = alike(place, outputs, before, extent, window, stride, dilation, &first, &last)
        runs += 1
    return runs


cdef inline int allocate_boxes(
    const Correlation* plan, Py_ssize_t samples, Py_ssize_t rows, Boxes* block
) noexcept nogil:
    """Memory for the boxes of any block of `samples` samples and `rows` output rows; -1 where there is none."""
    cdef Py_ssize_t most = min(
        rows, count_runs(plan.n_H, plan.top, plan.height, plan.window_h, plan.stride_h, plan.dilation_h)
    ) * count_runs(plan.n_W, plan.left, plan.width, plan.window_w, plan.stride_w, plan.dilation_w)
    cdef Py_ssize_t entries = samples * rows * plan.n_W + most * MOST_ROWS
    block.places = <Py_ssize_t*>allocate(2 * entries, sizeof(Py_ssize_t))
    block.boxes = <Box*>allocate(most, sizeof(Box))
    block.outs = block.places + entries
    block.count = 0
    if block.places == NULL or block.boxes == NULL:
        free_boxes(block)
        return -1
    return 0


cdef inline void free_boxes(Boxes* block) noexcept nogil:
    free(block.places)
    free(block.boxes)


cdef inline void place_boxes(
    const Correlation* plan, Py_ssize_t samples, Py_ssize_t top, Py_ssize_t bottom, Boxes* block
) noexcept nogil:
    """Find the boxes of output rows [top, bottom) of `samples` samples, places counted from the first sample."""
    cdef Box box
    cdef Py_ssize_t y = top, end_y, x, end_x, entry = 0
    block.count = 0
    while y < bottom:
        end_y = alike(
            y, bottom, plan.top, plan.height, plan.window_h, plan.stride_h, plan.dilation_h, &box.row, &box.end_row
        )
        x = 0
        while x < plan.n_W:
            end_x = alike(
                x, plan.n_W, plan.left, plan.width, plan.window_w, plan.stride_w, plan.dilation_w,
                &box.column, &box.end_column,
            )
            box.first = entry
            box.pixels = samples * (end_y - y) * (end_x - x)
            place_pixels(plan, samples, y, end_y, x, end_x, block, entry)
            entry += box.pixels + MOST_ROWS
            block.boxes[block.count] = box
            block.count += 1
            x = end_x
        y = end_y


cdef inline bint by_samples(const Correlation* plan, Py_ssize_t samples, Py_ssize_t across) noexcept nogil:
    """Whether a box is gone through sample by sample at each place, rather than place by place in each sample.

    Register blocks of few columns want rows in evenly spaced fours: those of a line that is no multiple of four are not.
    """
    return (
        plan.columns <= FEW_COLUMNS and samples % ROWS_OF_POINTER == 0 and across % ROWS_OF_POINTER
        and taps_of(plan) <= FEW_TAPS
    )


cdef inline void count_on(Py_ssize_t place, Py_ssize_t step, Py_ssize_t count, Py_ssize_t* places) noexcept nogil:
    """Fill a table with `count` places, `step` apart."""
    cdef Py_ssize_t x
    for x in range(count):
        places[x] = place
        place += step


cdef inline void place_pixels(
    const Correlation* plan, Py_ssize_t samples, Py_ssize_t top, Py_ssize_t bottom, Py_ssize_t left, Py_ssize_t right,
    Boxes* block, Py_ssize_t entry,
) noexcept nogil:
    """Fill the tables for one box; the last pixel is repeated for register blocks that reach beyond it."""
    cdef Py_ssize_t sample, y, x, place, out, repeat
    cdef Py_ssize_t next_pixel = 1, next_row = right - left, next_sample = (bottom - top) * (right - left)
    cdef Py_ssize_t* places = block.places + entry
    cdef Py_ssize_t* outs = block.outs + entry
    if by_samples(plan, samples, right - left):
        next_pixel, next_row, next_sample = samples, samples * (right - left), 1
    for sample in range(samples):
        for y in range(top, bottom):
            place = (
                (sample * plan.height + y * plan.stride_h - plan.top) * plan.width + left * plan.stride_w - plan.left
            ) * plan.image_step
            out = sample * plan.sample_step + y * plan.row_step + left * plan.pixel_step
            entry = sample * next_sample + (y - top) * next_row
            if next_pixel == 1:
                count_on(place, plan.stride_w * plan.image_step, right - left, places + entry)
                count_on(out, plan.pixel_step, right - left, outs + entry)
                continue
            for x in range(right - left):
                places[entry + x * next_pixel] = place + x * plan.stride_w * plan.image_step
                outs[entry + x * next_pixel] = out + x * plan.pixel_step
    entry = samples * (bottom - top) * (right - left)
    for repeat in range(MOST_ROWS):
        places[entry + repeat] = places[entry - 1]
        outs[entry + repeat] = outs[entry - 1]
