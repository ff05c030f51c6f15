"""Output rows of a correlation in small groups, by the register blocks of ``micro_kernel_grouped.pxd``."""

from libc.string cimport memcpy

from cnnref.kernels.base.register_block cimport MOST_COLUMNS
from cnnref.kernels.base.types cimport real
from cnnref.kernels.conv.problem cimport Correlation, alike
from cnnref.kernels.depthwise.micro_kernel cimport grouped_micro_kernel, grouped_pixels


cdef inline void grouped_rows(
    const Correlation* plan, Py_ssize_t top, Py_ssize_t bottom, const real** table, Py_ssize_t line, Py_ssize_t at,
    Py_ssize_t from_x, Py_ssize_t to_x, const real* panel, int width, const real* last, real* out, real* scratch,
) noexcept nogil:
    """Whole vectors of columns, `at` in the images, of the pixels [from_x, to_x) of output rows [top, bottom).

    The table starts at the window of the first pixel of row `top`; `scratch` takes a register block.
    """
    cdef Py_ssize_t depth = plan.window_w * plan.channels
    cdef Py_ssize_t y, x, row, end_row, tiles
    cdef real* target
    cdef int pixels, p
    cdef bint fits
    for y in range(top, bottom):
        alike(y, y + 1, plan.top, plan.height, plan.window_h, plan.stride_h, plan.dilation_h, &row, &end_row)
        x = from_x
        while x < to_x:
            pixels = grouped_pixels(to_x - x, plan.channels)
            tiles = max((to_x - x) // pixels, <Py_ssize_t>1)
            fits = True
            if x + pixels > to_x:
                # The last pixels once more, unless there are no more than them.
                fits = to_x >= pixels
                x = max(to_x - pixels, <Py_ssize_t>0)
            target = out + y * plan.row_step + x * plan.pixel_step
            grouped_micro_kernel(
                plan.channels, pixels, width, tiles,
                table + ((y - top) * plan.stride_h + row * plan.dilation_h) * line + x * plan.stride_w,
                plan.stride_w, plan.dilation_w, plan.dilation_h * line, at, max(end_row - row, <Py_ssize_t>0),
                plan.window_w, panel + row * depth * width, last,
                target if fits else scratch, plan.pixel_step if fits else <Py_ssize_t>MOST_COLUMNS,
            )
            if not fits:
                for p in range(<int>to_x):
                    memcpy(target + p * plan.pixel_step, scratch + p * MOST_COLUMNS, width * sizeof(real))
            x += tiles * pixels
