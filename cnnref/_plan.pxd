"""What a correlation is: images, windows, outputs, and where they lie in memory."""


cdef struct Correlation:
    # The images: `samples` of height x width x channels.
    Py_ssize_t samples
    Py_ssize_t height
    Py_ssize_t width
    Py_ssize_t channels
    # Window (0, 0) starts at row -top, column -left; neighbours are `stride` apart.
    Py_ssize_t top
    Py_ssize_t left
    Py_ssize_t stride
    Py_ssize_t window_h
    Py_ssize_t window_w
    # The outputs: n_H x n_W pixels of `columns` values, with their distances in memory.
    Py_ssize_t n_H
    Py_ssize_t n_W
    Py_ssize_t columns
    Py_ssize_t sample_step
    Py_ssize_t row_step
    Py_ssize_t pixel_step


cdef inline bint in_place(const Correlation* plan) noexcept nogil:
    """Whether every window lies inside the image."""
    return (
        plan.top <= 0 and plan.left <= 0
        and (plan.n_H - 1) * plan.stride - plan.top + plan.window_h <= plan.height
        and (plan.n_W - 1) * plan.stride - plan.left + plan.window_w <= plan.width
    )


cdef inline double multiplications(const Correlation* plan) noexcept nogil:
    """Multiply-adds in the whole of a correlation."""
    cdef double outputs = <double>plan.samples * plan.n_H * plan.n_W * plan.columns
    return outputs * plan.window_h * plan.window_w * plan.channels
