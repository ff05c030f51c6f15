"""All outputs of some rows from planes (``deinterleave.pxd``): blocks of ``micro_kernel.pxd``, merged into pixels and stored."""

from cnnref.kernels.base.isa cimport always_inline, noinline
from cnnref.kernels.base.types cimport real
from cnnref.kernels.conv.problem cimport Correlation, taps_of
from cnnref.kernels.gemm.pack cimport copy_4, copy_8, copy_values
from cnnref.kernels.planar.micro_kernel cimport (
    MOST_PLANE_ROWS,
    MOST_PLANE_SUMS,
    Steps,
    plane_pixels,
    plane_rows,
    planar_micro_kernel,
)

cdef enum:
    # Columns of whole register blocks, for as many of a pixel as `is_planar` lets in.
    MOST_LAST = 24


cdef inline always_inline interleave(
    const int rows, Py_ssize_t pixels, const real* sums, const real* last, real* merged
) noexcept nogil:
    """The columns of each pixel side by side, each with its last term added."""
    cdef real own[MOST_PLANE_ROWS]
    cdef Py_ssize_t pixel
    cdef int c
    # Apart, so that the compiler knows that no output overwrites them.
    for c in range(rows):
        own[c] = last[c]
    for pixel in range(pixels):
        for c in range(rows):
            merged[pixel * rows + c] = sums[c * pixels + pixel] + own[c]


cdef inline noinline interleave_block(
    int rows, Py_ssize_t pixels, const real* sums, const real* last, real* merged
) noexcept nogil:
    """`interleave` for a register block's columns."""
    if rows == 8:
        interleave(8, pixels, sums, last, merged)
    elif rows == 3:
        interleave(3, pixels, sums, last, merged)
    else:
        interleave(1, pixels, sums, last, merged)


cdef inline void put(
    const real* merged, int rows, Py_ssize_t valid, Py_ssize_t pixels, Py_ssize_t pixel_step, real* out
) noexcept nogil:
    """Store `valid` of the `rows` columns of neighbouring pixels."""
    cdef Py_ssize_t pixel, c
    if valid == rows == pixel_step:
        copy_values(merged, pixels * rows, out)
    elif valid == 8:
        for pixel in range(pixels):
            copy_8(merged + 8 * pixel, out + pixel * pixel_step)
    elif valid >= 4:
        for pixel in range(pixels):
            copy_4(merged + rows * pixel, out + pixel * pixel_step)
            copy_4(merged + rows * pixel + valid - 4, out + pixel * pixel_step + valid - 4)
    elif valid == 3 and rows == 3:
        for pixel in range(pixels):
            out[pixel * pixel_step] = merged[3 * pixel]
            out[pixel * pixel_step + 1] = merged[3 * pixel + 1]
            out[pixel * pixel_step + 2] = merged[3 * pixel + 2]
    else:
        for pixel in range(pixels):
            for c in range(valid):
                out[pixel * pixel_step + c] = merged[pixel * rows + c]


cdef inline void last_terms(const real* bias, Py_ssize_t columns, int count, real* last) noexcept nogil:
    """What is added to the sums of `count` columns: without a bias -0, which changes no number that it is added to."""
    cdef int j
    for j in range(count):
        last[j] = bias[j] if bias != NULL and j < columns else <real>-0.0


cdef inline void planar_macro_kernel(
    const Correlation* plan, const real* planes, Py_ssize_t plane, Py_ssize_t line, Py_ssize_t n_rows,
    const real* filters, const real* bias, real* out, real* scratch,
) noexcept nogil:
    """All outputs of `n_rows` output rows, whose first window starts at `planes`; `scratch` has two register blocks of values."""
    cdef Steps steps
    cdef int rows = plane_rows(plan.columns), width
    cdef Py_ssize_t depth = taps_of(plan)
    cdef Py_ssize_t place = 0, row = 0, column = 0, group, first, end_row, end_column, j, count
    cdef Py_ssize_t end = (n_rows - 1) * line + plan.n_W
    cdef real* merged = scratch + MOST_PLANE_SUMS
    cdef real last[MOST_LAST]
    steps.window_h, steps.window_w, steps.channels = plan.window_h, plan.window_w, plan.channels
    steps.plane, steps.tap, steps.row = plane, plan.dilation_w, plan.dilation_h * line
    last_terms(bias, plan.columns, MOST_LAST, last)
    while place < end:
        width = plane_pixels(rows, end - place, <real>0)
        end_row, end_column = row, column
        for group in range((plan.columns + rows - 1) // rows):
            first = group * rows
            planar_micro_kernel(rows, width, filters + first * depth, planes + place, &steps, scratch)
            interleave_block(rows, width, scratch, last + first, merged)
            # The ends of lines, where a window would run on into the next line, are no outputs.
            end_row, end_column = row, column
            j = 0
            while j < min(<Py_ssize_t>width, end - place):
                count = min(line - end_column, width - j)
                put(
                    merged + j * rows, rows, min(plan.columns - first, <Py_ssize_t>rows),
                    max(min(min(count, plan.n_W - end_column), end - place - j), <Py_ssize_t>0), plan.pixel_step,
                    out + end_row * plan.row_step + end_column * plan.pixel_step + first,
                )
                j += count
                end_column += count
                if end_column == line:
                    end_column = 0
                    end_row += 1
        row, column = end_row, end_column
        place += width
