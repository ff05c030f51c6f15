"""Planes with one output a pixel, as the gradient of a grey image: the register blocks of ``micro_kernel_one_channel_out.pxd``.

The last register block of a row ends with the row and the last rows' register blocks with the last row, so that some pixels
are computed twice.
"""

from cnnref.kernels.base.register_block cimport lanes
from cnnref.kernels.base.types cimport real
from cnnref.kernels.conv.problem cimport Correlation
from cnnref.kernels.planar.macro_kernel cimport last_terms
from cnnref.kernels.planar.micro_kernel cimport Steps
from cnnref.kernels.planar.micro_kernel_one_channel_out cimport JAMMED_ROWS, VECTORS_OF_ROW, one_channel_micro_kernel


cdef inline void one_channel_macro_kernel(
    const Correlation* plan, const real* planes, Py_ssize_t plane, Py_ssize_t line, Py_ssize_t n_rows,
    const real* filters, const real* bias, real* out,
) noexcept nogil:
    """All outputs of `n_rows` output rows, whose first window starts at `planes`."""
    cdef Steps steps
    cdef real last[1]
    cdef Py_ssize_t lane = lanes(<real>0), pixel = 0, row, top, first, beside
    steps.window_h, steps.window_w, steps.channels = plan.window_h, plan.window_w, plan.channels
    steps.plane, steps.tap, steps.row = plane, plan.dilation_w, line
    last_terms(bias, 1, 1, last)
    while pixel < plan.n_W:
        first = max(min(pixel, plan.n_W - VECTORS_OF_ROW * lane), <Py_ssize_t>0)
        beside = min(lane, plan.n_W - lane - first)
        row = 0
        while row < n_rows:
            top = min(row, n_rows - JAMMED_ROWS)
            one_channel_micro_kernel(
                plan.window_h, planes + top * line + first, beside, &steps, filters, last[0],
                out + top * plan.row_step + first, plan.row_step,
            )
            row += JAMMED_ROWS
        pixel += VECTORS_OF_ROW * lane
