"""Images of few channels with 4 to 8 columns a pixel: the tiles of ``micro_kernel_few_channels_in.pxd``.

Vectors of pixels start anywhere in a line; the last one of a line ends with it, so that some pixels are computed twice.
"""

from cnnref.kernels.base.register_block cimport lanes
from cnnref.kernels.base.types cimport real
from cnnref.kernels.conv.problem cimport Correlation, taps_of
from cnnref.kernels.planar.macro_kernel cimport last_terms, put
from cnnref.kernels.planar.micro_kernel_few_channels_in cimport ABREAST, MOST_VECTORS, abreast_tile, most_vectors


cdef inline void abreast_steps(
    const Correlation* plan, Py_ssize_t plane, Py_ssize_t line, Py_ssize_t* steps
) noexcept nogil:
    """How far after a pixel the value of each step of its sum stands."""
    cdef Py_ssize_t row, pixel, channel
    for row in range(plan.window_h):
        for pixel in range(plan.window_w):
            for channel in range(plan.channels):
                steps[channel] = channel * plane + row * plan.dilation_h * line + pixel * plan.dilation_w
            steps += plan.channels


cdef inline void multiply_vectors(
    const Correlation* plan, const real* planes, Py_ssize_t line, const Py_ssize_t* steps, Py_ssize_t n_rows,
    const real* filters, const real* bias, real* out, real* scratch,
) noexcept nogil:
    """All outputs of `n_rows` output rows, whose first window starts at `planes`; `scratch` has a tile of values."""
    cdef Py_ssize_t places[MOST_VECTORS]
    cdef Py_ssize_t out_places[MOST_VECTORS]
    cdef Py_ssize_t own[MOST_VECTORS]
    cdef real last[ABREAST]
    cdef Py_ssize_t depth = taps_of(plan)
    cdef Py_ssize_t lane = lanes(<real>0), row = 0, pixel = 0, ended
    cdef bint direct = plan.columns == ABREAST and plan.pixel_step == ABREAST and plan.n_W >= lane
    cdef int v, vectors
    last_terms(bias, plan.columns, ABREAST, last)
    for v in range(MOST_VECTORS):
        own[v] = v * lane * ABREAST
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
            abreast_tile(vectors, planes, places, steps, depth, filters, last, out, out_places)
        else:
            abreast_tile(vectors, planes, places, steps, depth, filters, last, scratch, own)
            for v in range(vectors):
                put(
                    scratch + own[v], ABREAST, plan.columns, min(lane, plan.n_W), plan.pixel_step, out + out_places[v]
                )
