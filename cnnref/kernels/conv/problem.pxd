"""What a correlation is: images, windows, outputs and filters, where they lie in memory, and what the border cuts off."""


cdef struct Correlation:
    # The images: `samples` of height x width pixels, `image_step` values apart, of which a window reads `channels`.
    Py_ssize_t samples
    Py_ssize_t height
    Py_ssize_t width
    Py_ssize_t channels
    Py_ssize_t image_step
    # Window (0, 0) starts at row -top, column -left; neighbours are a stride apart, the taps of one a dilation.
    Py_ssize_t top
    Py_ssize_t left
    Py_ssize_t stride_h
    Py_ssize_t stride_w
    Py_ssize_t dilation_h
    Py_ssize_t dilation_w
    Py_ssize_t window_h
    Py_ssize_t window_w
    # The outputs: n_H x n_W pixels of `columns` values, with their distances in memory.
    Py_ssize_t n_H
    Py_ssize_t n_W
    Py_ssize_t columns
    # Column j reads the channels from ``(j // sharing) * channels`` on: all the same ones unless groups are taken at once.
    Py_ssize_t sharing
    Py_ssize_t sample_step
    Py_ssize_t row_step
    Py_ssize_t pixel_step


cdef struct Matrix:
    # Where the matrix that windows are multiplied with lies in memory: the distances between the window rows,
    # between the pixels of a window row, between channels and between columns. Channels or columns are neighbours.
    Py_ssize_t row_step
    Py_ssize_t pixel_step
    Py_ssize_t channel_step
    Py_ssize_t column_step


cdef struct ConvPart:
    # One of several correlations of the same images that differ in their windows' taps and in their outputs: where its
    # filters lie in the matrix, and where those that are packed, and its outputs, start.
    Correlation plan
    Matrix place
    Py_ssize_t matrix
    Py_ssize_t panels
    Py_ssize_t out


cdef struct Frame:
    # What the windows of all parts lie in: the rows and columns before the image, those that windows at one place span
    # together, the outputs.
    Py_ssize_t top
    Py_ssize_t left
    Py_ssize_t span_h
    Py_ssize_t span_w
    Py_ssize_t n_H
    Py_ssize_t n_W


cdef inline Py_ssize_t span_h(const Correlation* plan) noexcept nogil:
    """Rows from a window's first to its last."""
    return (plan.window_h - 1) * plan.dilation_h + 1


cdef inline Py_ssize_t span_w(const Correlation* plan) noexcept nogil:
    """Columns from a window's first to its last."""
    return (plan.window_w - 1) * plan.dilation_w + 1


cdef inline bint mixed(const Correlation* plan) noexcept nogil:
    """Whether all columns read the same channels."""
    return plan.sharing == plan.columns


cdef inline bint contiguous(const Correlation* plan) noexcept nogil:
    """Whether each row of a window is one stretch of memory."""
    return plan.image_step == plan.channels and (plan.dilation_w == 1 or plan.window_w == 1)


cdef inline bint in_place(const Correlation* plan) noexcept nogil:
    """Whether every window lies inside the image."""
    return (
        plan.top <= 0 and plan.left <= 0
        and (plan.n_H - 1) * plan.stride_h - plan.top + span_h(plan) <= plan.height
        and (plan.n_W - 1) * plan.stride_w - plan.left + span_w(plan) <= plan.width
    )


cdef inline Py_ssize_t taps_of(const Correlation* plan) noexcept nogil:
    """Multiply-adds of each output, the rows of its filter: the taps of a window, of every channel."""
    return plan.window_h * plan.window_w * plan.channels


cdef inline double multiplications(const Correlation* plan) noexcept nogil:
    """Multiply-adds in the whole of a correlation."""
    cdef double outputs = <double>plan.samples * plan.n_H * plan.n_W * plan.columns
    return outputs * plan.window_h * plan.window_w * plan.channels


cdef inline Frame frame_of(const ConvPart* parts, Py_ssize_t count) noexcept nogil:
    cdef Frame frame
    cdef const Correlation* plan
    cdef Py_ssize_t i
    frame.top = frame.left = -((<size_t>-1) >> 2)
    frame.span_h = frame.span_w = frame.n_H = frame.n_W = 0
    for i in range(count):
        frame.top = max(frame.top, parts[i].plan.top)
        frame.left = max(frame.left, parts[i].plan.left)
    for i in range(count):
        plan = &parts[i].plan
        frame.span_h = max(frame.span_h, frame.top - plan.top + span_h(plan))
        frame.span_w = max(frame.span_w, frame.left - plan.left + span_w(plan))
        frame.n_H = max(frame.n_H, plan.n_H)
        frame.n_W = max(frame.n_W, plan.n_W)
    return frame


cdef inline Py_ssize_t alike(
    Py_ssize_t place, Py_ssize_t end, Py_ssize_t before, Py_ssize_t extent, Py_ssize_t window, Py_ssize_t stride,
    Py_ssize_t dilation, Py_ssize_t* first, Py_ssize_t* last,
) noexcept nogil:
    """The end of the run of outputs from `place` on, up to `end`, whose windows are cut off alike on one axis.

    `first` and `last` become the part of the window that lies in the image: empty where `last` is not above `first`.
    """
    cdef Py_ssize_t outside = before - place * stride
    cdef Py_ssize_t left = extent + outside
    if dilation == 1:
        first[0] = max(outside, <Py_ssize_t>0)
        last[0] = min(left, window)
    else:
        first[0] = (outside + dilation - 1) // dilation if outside > 0 else 0
        last[0] = min((left - 1) // dilation + 1, window) if left > 0 else 0
    if first[0] == 0 and last[0] == window:
        return min(end, (extent + before - (window - 1) * dilation - 1) // stride + 1)
    return place + 1
