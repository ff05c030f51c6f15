"""Planes: images taken apart, one plane a channel, so that neighbouring pixels of a channel are a vector.

A row of a plane is a line of pixels from the first column that a window reaches, zeros where that is outside the image.
"""

from libc.string cimport memcpy, memset

from cnnref.kernels.base.caches cimport second_level
from cnnref.kernels.base.isa cimport noinline, prefetch
from cnnref.kernels.base.types cimport real
from cnnref.kernels.base.vector cimport turn_block
from cnnref.kernels.conv.problem cimport Correlation, Frame

cdef enum:
    # Pixels that are turned at a time.
    TRANSPOSED = 16
    # Of the second-level cache, what the planes of a block of rows may fill: so many eighths.
    PLANES = 3


cdef struct Planes:
    # Pixels of a line, output rows that a block has at most, values from one plane to the next.
    Py_ssize_t line
    Py_ssize_t rows
    Py_ssize_t plane


cdef inline Planes planes_of(const Correlation* plan, const Frame* frame, real kind) noexcept nogil:
    """The planes of a block of output rows, of equal size rather than with a small one at the end."""
    cdef Planes planes
    cdef Py_ssize_t fitting, blocks
    planes.line = frame.n_W + frame.span_w - 1
    fitting = second_level() // 8 * PLANES // max(planes.line * plan.channels * <Py_ssize_t>sizeof(kind), <Py_ssize_t>1)
    planes.rows = min(max(fitting - frame.span_h + 1, <Py_ssize_t>4), frame.n_H)
    blocks = (frame.n_H + planes.rows - 1) // planes.rows
    planes.rows = (frame.n_H + blocks - 1) // blocks
    planes.plane = (planes.rows + frame.span_h - 1) * planes.line + 2 * TRANSPOSED
    # An odd number of cache lines: planes an even one apart would share few sets of the first-level cache.
    planes.plane = (planes.plane + 15) // 16 * 16 + (planes.plane + 15) // 16 % 2 * 16 + 16
    return planes


cdef inline noinline transpose_pixels(
    const real* source, Py_ssize_t step, Py_ssize_t channels, real* target, Py_ssize_t plane
) noexcept nogil:
    """Lay `TRANSPOSED` pixels, `step` apart, out in planes."""
    cdef Py_ssize_t channel
    cdef const real* ahead = source + TRANSPOSED * step
    cdef int j
    for channel in range(0, channels - 3, 4):
        # A quarter of the lines that hold these channels of the pixels to come.
        for j in range(4):
            prefetch(ahead + j * step)
        ahead += 4 * step if (channel + 4) % 16 else 16 - 12 * step
        turn_block(TRANSPOSED, source + channel, step, target, plane)
        target += 4 * plane
    for channel in range(channels // 4 * 4, channels):
        for j in range(TRANSPOSED):
            target[j] = source[j * step + channel]
        target += plane


cdef inline void transpose_row(
    const real* source, Py_ssize_t step, Py_ssize_t channels, Py_ssize_t count, bint beyond, real* target,
    Py_ssize_t plane,
) noexcept nogil:
    """Lay the channels of `count` pixels, `step` apart, out in planes, with zeros after them where they are few.

    `beyond`: `TRANSPOSED` pixels can be read in any case.
    """
    cdef Py_ssize_t column = 0, channel, j
    if step == 1:  # a row of a grey image is a line as it is
        memcpy(target, source, count * sizeof(real))
        return
    if count < TRANSPOSED and not beyond:
        for j in range(count):
            for channel in range(channels):
                target[channel * plane + j] = source[j * step + channel]
        return
    while column < count:
        # The last ones once more rather than one by one.
        column = max(min(column, count - TRANSPOSED), <Py_ssize_t>0)
        transpose_pixels(source + column * step, step, channels, target + column, plane)
        column += TRANSPOSED
    for channel in range(channels if count < TRANSPOSED else 0):
        for j in range(count, count + TRANSPOSED):
            target[channel * plane + j] = 0


cdef inline void deinterleave(
    const Correlation* plan, const Frame* frame, const Planes* planes, const real* image, Py_ssize_t top,
    Py_ssize_t rows, real* target,
) noexcept nogil:
    """Fill planes with `rows` rows from row `top` of the image on, which may be outside of it.

    Left and right of the image, the planes must be zeros before; they are afterwards.
    """
    cdef Py_ssize_t row, channel, place
    cdef Py_ssize_t line = planes.line
    cdef Py_ssize_t first = min(max(frame.left, <Py_ssize_t>0), line)
    cdef Py_ssize_t last = max(min(plan.width + frame.left, line), first)
    for row in range(top, top + rows):
        if row < 0 or row >= plan.height:
            for channel in range(plan.channels):
                memset(target + channel * planes.plane, 0, line * sizeof(real))
        else:
            place = row * plan.width + first - frame.left
            transpose_row(
                image + place * plan.image_step, plan.image_step, plan.channels, last - first,
                place + TRANSPOSED <= plan.height * plan.width, target + first, planes.plane,
            )
        target += line
