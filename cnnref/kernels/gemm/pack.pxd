"""Panels: a matrix cut into strips as wide as a register block, each strip contiguous, the last one padded.

A matrix of ``depth x columns`` becomes strips of ``depth x width``; strip after strip, so that a register block reads its
vectors one after another.
"""

from libc.string cimport memcpy

from cnnref.kernels.base.isa cimport prefetch
from cnnref.kernels.base.register_block cimport panel_width, widest
from cnnref.kernels.base.types cimport real
from cnnref.kernels.base.vector cimport copy_row, turn_block
from cnnref.kernels.conv.problem cimport Matrix
from cnnref.kernels.gemm.micro_kernel cimport HALF

cdef enum:
    # Rows ahead of the one being copied: they are too far apart in memory for the processor to foresee.
    AHEAD = 8


cdef inline Py_ssize_t padded_columns(Py_ssize_t columns, real kind) noexcept nogil:
    """The columns of all panels together."""
    cdef Py_ssize_t whole = columns - columns % widest(kind)
    cdef Py_ssize_t rest = columns - whole
    return whole + (panel_width(rest, kind) if rest else 0)


cdef inline void pack(
    const Matrix* place, const real* matrix, Py_ssize_t channels, Py_ssize_t row, Py_ssize_t end_row,
    Py_ssize_t at, Py_ssize_t end, Py_ssize_t valid, Py_ssize_t width, real* target,
) noexcept nogil:
    """Pack the values [at, end) of the window rows [row, end_row) of `valid` columns into a panel `width` wide."""
    cdef Py_ssize_t pixel, channel, count, done
    cdef const real* source
    for row in range(row, end_row):
        done = at
        while done < end:
            pixel = done // channels
            channel = done % channels
            count = min(channels - channel, end - done)
            source = matrix + row * place.row_step + pixel * place.pixel_step + channel * place.channel_step
            if place.column_step == 1:
                copy_panel(source, count, place.channel_step, valid, width, target)
            else:
                transpose_panel(source, count, place.column_step, valid, width, target)
            target += count * width
            done += count


cdef inline void fill_up(real* row, Py_ssize_t valid, Py_ssize_t width) noexcept nogil:
    """The columns of a panel beyond the matrix: zeros, but half a vector stands twice (``micro_kernel.pxd``)."""
    cdef Py_ssize_t j
    if width - valid == HALF:
        copy_8(row + valid - HALF, row + valid)
        return
    for j in range(valid, width):
        row[j] = 0


cdef inline void copy_panel(
    const real* matrix, Py_ssize_t depth, Py_ssize_t row_step, Py_ssize_t valid, Py_ssize_t width, real* target
) noexcept nogil:
    """Fill `depth` rows of a panel with ``matrix[k, j]``, rows `row_step` apart."""
    cdef Py_ssize_t _k, j
    for _k in range(depth):
        if valid == width and width % 16 == 0:
            for j in range(0, width, 16):
                prefetch(matrix + AHEAD * row_step + j)
                copy_16(matrix + j, target + j)
        else:
            for j in range(valid):
                target[j] = matrix[j]
            fill_up(target, valid, width)
        matrix += row_step
        target += width


cdef inline void copy_16(const real* source, real* target) noexcept nogil:
    copy_row(16, source, target)


cdef inline void copy_8(const real* source, real* target) noexcept nogil:
    copy_row(8, source, target)


cdef inline void copy_4(const real* source, real* target) noexcept nogil:
    memcpy(target, source, 4 * sizeof(real))


cdef inline void copy_values(const real* source, Py_ssize_t count, real* target) noexcept nogil:
    """Copy at most a register block's row, in place of a call of memcpy: pieces of one size, the last of which may overlap."""
    cdef Py_ssize_t j
    if count >= 16:
        for j in range(0, count - 15, 16):
            copy_16(source + j, target + j)
        if count % 16:
            copy_16(source + count - 16, target + count - 16)
    elif count >= 8:
        copy_8(source, target)
        copy_8(source + count - 8, target + count - 8)
    elif count >= 4:
        copy_4(source, target)
        copy_4(source + count - 4, target + count - 4)
    else:
        for j in range(count):
            target[j] = source[j]


cdef inline void transpose_panel(
    const real* matrix, Py_ssize_t depth, Py_ssize_t column_step, Py_ssize_t valid, Py_ssize_t width, real* target
) noexcept nogil:
    """Fill `depth` rows of a panel with ``matrix[j, k]``, the panel's columns `column_step` apart."""
    cdef Py_ssize_t block, k, j, turned = depth - depth % 16
    # 16 x 16 values at a time: whole cache lines are read, in float32, and stay until they are used up.
    for block in range(0, turned, 16):
        for j in range(0, valid - valid % 16, 16):
            for k in range(j, j + 16):
                prefetch(matrix + k * column_step + block + 16)
            for k in range(block, block + 16, 4):
                turn_block(16, matrix + j * column_step + k, column_step, target + k * width + j, width)
        for j in range(valid - valid % 16, valid):
            for k in range(block, block + 16):
                target[k * width + j] = matrix[j * column_step + k]
    for k in range(turned, depth):
        for j in range(valid):
            target[k * width + j] = matrix[j * column_step + k]
    for k in range(depth):
        fill_up(target + k * width, valid, width)
