"""Rows of an image as windows see them: with the zero padding around them, or in place where there is none."""

from libc.string cimport memcpy, memset

from cnnref.kernels.base.types cimport real


cdef inline void copy_padded(
    const real* image, Py_ssize_t height, Py_ssize_t width, Py_ssize_t channels,
    Py_ssize_t image_step, Py_ssize_t top, Py_ssize_t left, Py_ssize_t rows, Py_ssize_t columns, real* buffer,
) noexcept nogil:
    """Copy `rows` x `columns` pixels whose first is ``(top, left)`` of the image; what lies outside is zero.

    The image's pixels are `image_step` values apart, those of the copy `channels`.
    """
    cdef Py_ssize_t row, column, before, inside, line = columns * channels
    cdef const real* source
    before = min(max(-left, <Py_ssize_t>0), columns)
    inside = max(min(left + columns, width) - max(left, <Py_ssize_t>0), <Py_ssize_t>0)
    for row in range(rows):
        if top + row < 0 or top + row >= height or inside == 0:
            memset(buffer, 0, line * sizeof(real))
        else:
            memset(buffer, 0, before * channels * sizeof(real))
            source = image + ((top + row) * width + max(left, <Py_ssize_t>0)) * image_step
            if image_step == channels:
                memcpy(buffer + before * channels, source, inside * channels * sizeof(real))
            else:
                for column in range(inside):
                    memcpy(
                        buffer + (before + column) * channels, source + column * image_step, channels * sizeof(real)
                    )
            memset(
                buffer + (before + inside) * channels, 0,
                (columns - before - inside) * channels * sizeof(real),
            )
        buffer += line
