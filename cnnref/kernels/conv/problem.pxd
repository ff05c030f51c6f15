"""What a correlation is: images, windows, outputs, and where they lie in memory."""


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
