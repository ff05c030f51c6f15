"""Images of few channels with 4 to 8 columns a pixel: the register blocks of ``micro_kernel_few_channels_in.pxd``.

Vectors of pixels start anywhere in a line; the last one of a line ends with it, so that some pixels are computed twice.
"""

from cnnref.kernels.base.register_block cimport lanes
from cnnref.kernels.base.types cimport real
from cnnref.kernels.conv.problem cimport Correlation, taps_of
from cnnref.kernels.planar.macro_kernel cimport last_terms, put
from cnnref.kernels.planar.micro_kernel_few_channels_in cimport (
    COLUMNS_ABREAST,
    MOST_VECTORS,
    few_channels_micro_kernel,
    most_vectors,
)


cdef inline void tap_offsets(
    const Correlation* plan, Py_ssize_t plane, Py_ssize_t line, Py_ssize_t* steps
) noexcept nogil:
    """How far after a pixel the value of each step of its sum stands."""
    cdef Py_ssize_t row, pixel, channel
    for row in range(plan.window_h):
        for pixel in range(plan.window_w):
            for channel in range(plan.channels):
                steps[channel] = channel * plane + row * plan.dilation_h * line + pixel * plan.dilation_w
            steps += plan.channels


cdef inline void few_channels_macro_kernel(
    const Correlation* plan, const real* planes, Py_ssize_t line, const Py_ssize_t* steps, Py_ssize_t n_rows,
    const real* filters, const real* bias, real* out, real* scratch,
) noexcept nogil:
    """All outputs of `n_rows` output rows, whose first window starts at `planes`; `scratch` has a register block of values."""
    cdef Py_ssize_t places[MOST_VECTORS]
    cdef Py_ssize_t out_places[MOST_VECTORS]
    cdef Py_ssize_t own[MOST_VECTORS]
    cdef real last[COLUMNS_ABREAST]
    cdef Py_ssize_t depth = taps_of(plan)
    cdef Py_ssize_t lane = lanes(<real>0), row = 0, pixel = 0, ended
    cdef bint direct = plan.columns == COLUMNS_ABREAST and plan.pixel_step == COLUMNS_ABREAST and plan.n_W >= lane
    cdef int v, vectors
    last_terms(bias, plan.columns, COLUMNS_ABREAST, last)
    for v in range(MOST_VECTORS):
        own[v] = v * lane * COLUMNS_ABREAST
    while row < n_rows:
        vectors = 0
        while vectors < most_vectors(<real>0) and row < n_rows:
            ended = max(min(pixel, plan.n_W - lane), <Py_ssize_t>0)
            places[vectors] = row * line + ended
            out_places[vectors] = row * plan.row_step + ended * plan.pixel_step
            vectors += 1
            pixel += lane
            if pixel >= plan.n_W:
                pixel = 0
                row += 1
        if direct:
            few_channels_micro_kernel(vectors, planes, places, steps, depth, filters, last, out, out_places)
        else:
            few_channels_micro_kernel(vectors, planes, places, steps, depth, filters, last, scratch, own)
            for v in range(vectors):
                put(
                    scratch + own[v], COLUMNS_ABREAST, plan.columns, min(lane, plan.n_W), plan.pixel_step, out + out_places[v]
                )
