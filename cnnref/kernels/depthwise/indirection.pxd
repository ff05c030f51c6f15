"""The indirection buffer of ``micro_kernel.pxd``, a table of pointers to pixels: padding without a padded copy.

Entry (row, column) stands for pixel ``(from_row + row, column - plan.left)``: an address, or that of zeros outside the image.
Where the values that a vector of columns reads do not lie side by side in the image, or would run over its end, the rows are
copied into that order first.
"""

from cnnref.kernels.base.isa cimport noinline
from cnnref.kernels.base.types cimport real
from cnnref.kernels.conv.problem cimport Correlation


cdef inline void fill_indirection(
    const Correlation* plan, const real* pixels, Py_ssize_t pixel_step, Py_ssize_t from_row, Py_ssize_t rows,
    Py_ssize_t columns, const real* zeros, const real** table,
) noexcept nogil:
    """Fill ``rows x columns`` entries; `pixels` is where pixel ``(from_row, 0)`` stands or would stand."""
    cdef Py_ssize_t row, column
    cdef Py_ssize_t first = min(max(plan.left, <Py_ssize_t>0), columns)
    cdef Py_ssize_t last = min(max(plan.width + plan.left, first), columns)
    cdef const real* source
    for row in range(rows):
        if from_row + row < 0 or from_row + row >= plan.height:
            for column in range(columns):
                table[column] = zeros
        else:
            source = pixels + (row * plan.width - plan.left) * pixel_step
            for column in range(first):
                table[column] = zeros
            for column in range(first, last):
                table[column] = source + column * pixel_step
            for column in range(last, columns):
                table[column] = zeros
        table += columns


cdef inline void order_of_terms(
    const Correlation* plan, Py_ssize_t first, Py_ssize_t valid, Py_ssize_t width, Py_ssize_t* order
) noexcept nogil:
    """Which of a pixel's values stand at (term, column) for the columns from `first` on; for those over, the first."""
    cdef Py_ssize_t i, j
    for i in range(plan.channels):
        for j in range(width):
            order[i * width + j] = (first + j) // plan.sharing * plan.channels + i if j < valid else 0


cdef inline noinline copy_pixels_in_order(
    const float* source, Py_ssize_t step, Py_ssize_t count, const Py_ssize_t* order, Py_ssize_t size, float* target
) noexcept nogil:
    """Four pixels at a time: a place in the order is looked up once for them."""
    cdef Py_ssize_t _pixel, k
    cdef const float* place
    for _pixel in range(0, count - 3, 4):
        for k in range(size):
            place = source + order[k]
            target[k] = place[0]
            target[size + k] = place[step]
            target[2 * size + k] = place[2 * step]
            target[3 * size + k] = place[3 * step]
        source += 4 * step
        target += 4 * size
    for _pixel in range(count % 4):
        for k in range(size):
            target[k] = source[order[k]]
        source += step
        target += size


cdef inline void copy_in_order(
    const Correlation* plan, const real* image, Py_ssize_t from_row, Py_ssize_t rows, const Py_ssize_t* order,
    Py_ssize_t size, real* copy,
) noexcept nogil:
    """Copy the rows of `image` from `from_row` on, each pixel as `size` values in `order`; rows outside are left out."""
    cdef Py_ssize_t top = max(-from_row, <Py_ssize_t>0), _pixel, k
    cdef Py_ssize_t count = max(min(rows, plan.height - from_row) - top, <Py_ssize_t>0) * plan.width
    cdef const real* source = image + (from_row + top) * plan.width * plan.image_step
    cdef real* target = copy + top * plan.width * size
    if real is float:
        copy_pixels_in_order(source, plan.image_step, count, order, size, target)
    else:  # four doubles at a time took 1.14 to 1.32 of the time
        for _pixel in range(count):
            for k in range(size):
                target[k] = source[order[k]]
            source += plan.image_step
            target += size
