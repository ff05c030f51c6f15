"""Memory that is read soon, asked for in advance.

The processor foresees one stream that runs through memory. A window reads several rows at a time and part of each pixel at
a time: where the images come from memory, it waits for most of them. So rows are read once from first to last, which
brings them into the second-level cache, before windows read them; and so are outputs that are written piece by piece.
"""

from cnnref.kernels.base.caches cimport last_level
from cnnref.kernels.base.isa cimport noinline
from cnnref.kernels.base.types cimport real
from cnnref.kernels.conv.problem cimport Correlation

cdef enum:
    # Values that are read at a time, whole cache lines.
    AT_ONCE = 64
    # Eighths of the last cache that images may fill for it to hold outputs too, so that reading them twice does not pay.
    HELD = 3


cdef inline noinline read_ahead(const real* values, Py_ssize_t count, real* spare) noexcept nogil:
    """Read `count` values from `values` on; `spare` takes ``AT_ONCE`` values, so that the reads are not left out."""
    cdef real largest[AT_ONCE]
    cdef Py_ssize_t _step
    cdef int j
    for j in range(AT_ONCE):
        largest[j] = 0
    for _step in range(count // AT_ONCE):
        for j in range(AT_ONCE):
            largest[j] = values[j] if values[j] > largest[j] else largest[j]
        values += AT_ONCE
    for j in range(AT_ONCE):
        spare[j] = largest[j]


cdef inline bint far(Py_ssize_t count, real kind) noexcept nogil:
    """Whether images of `count` values are more than a cache holds."""
    return count > last_level() // 8 * HELD // <Py_ssize_t>sizeof(kind)


cdef inline Py_ssize_t read_rows(
    const Correlation* plan, const real* image, Py_ssize_t row, Py_ssize_t end_row, real* spare
) noexcept nogil:
    """`read_ahead` the rows [row, end_row) of an image, from the plan's first channel to its last; the row after them.

    The plan may be one of some channels of each pixel: no others follow those of the last pixel.
    """
    cdef Py_ssize_t line = plan.width * plan.image_step
    cdef Py_ssize_t others = plan.image_step - plan.columns // plan.sharing * plan.channels
    if row < end_row:
        read_ahead(image + row * line, (end_row - row) * line - others, spare)
    return end_row
