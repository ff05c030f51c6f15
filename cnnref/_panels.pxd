"""Panels: a matrix cut into strips as wide as a tile, each strip contiguous, the last one padded with zeros.

A matrix of ``depth x columns`` becomes strips of ``depth x width``; strip after strip, so that a tile reads its
vectors one after another. `panels_size` values are needed for all of them.
"""

from cython.parallel cimport prange

from cnnref._tile cimport panel_width, widest
from cnnref._types cimport real


cdef inline Py_ssize_t padded_columns(Py_ssize_t columns, real kind) noexcept nogil:
    """The columns of all panels together."""
    cdef Py_ssize_t whole = columns - columns % widest(kind)
    cdef Py_ssize_t rest = columns - whole
    return whole + (panel_width(rest, kind) if rest else 0)


cdef inline void pack_some_rows(
    const real* matrix, Py_ssize_t depth, Py_ssize_t columns, Py_ssize_t row_step, Py_ssize_t panel_depth,
    real* panels,
) noexcept nogil:
    """Pack ``matrix[k, j]`` (rows `row_step` apart) into the first `depth` rows of panels of `panel_depth`."""
    cdef Py_ssize_t first = 0, k, j, width, valid
    cdef real* target
    cdef const real* source
    while first < columns:
        width = panel_width(columns - first, <real>0)
        valid = min(width, columns - first)
        for k in range(depth):
            source = matrix + k * row_step + first
            target = panels + first * panel_depth + k * width
            for j in range(valid):
                target[j] = source[j]
            for j in range(valid, width):
                target[j] = 0
        first += width


cdef inline void pack_columns(
    const real* matrix, Py_ssize_t depth, Py_ssize_t columns, Py_ssize_t row_step, real* panels, int team
) noexcept nogil:
    """Pack ``matrix[k, j]`` (rows `row_step` apart), with up to `team` threads."""
    cdef Py_ssize_t block, whole = columns - columns % widest(<real>0)
    cdef Py_ssize_t last = panel_width(columns - whole, <real>0)
    # Some rows at a time, so that the matrix is read nearly in order.
    for block in prange((depth + 7) // 8, num_threads=team, use_threads_if=team > 1, schedule="static"):
        # The whole panels, then the last one: they differ in width, so in where row 8 * block is.
        if whole > 0:
            pack_some_rows(
                matrix + 8 * block * row_step, min(depth - 8 * block, <Py_ssize_t>8), whole, row_step, depth,
                panels + 8 * block * widest(<real>0),
            )
        if whole < columns:
            pack_some_rows(
                matrix + 8 * block * row_step + whole, min(depth - 8 * block, <Py_ssize_t>8), columns - whole,
                row_step, depth, panels + whole * depth + 8 * block * last,
            )


cdef inline void turn(const real* source, Py_ssize_t column_step, real* target, Py_ssize_t width) noexcept nogil:
    """Transpose 16 rows of 4 values into 4 rows of 16, through a block that the compiler turns by shuffles."""
    cdef real block[64]
    cdef int j, k
    for j in range(16):
        for k in range(4):
            block[4 * j + k] = source[j * column_step + k]
    for j in range(16):
        for k in range(4):
            target[k * width + j] = block[4 * j + k]


cdef inline void pack_rows(
    const real* matrix, Py_ssize_t depth, Py_ssize_t columns, Py_ssize_t column_step,
    Py_ssize_t panel_depth, Py_ssize_t at, real* panels, int team,
) noexcept nogil:
    """Pack the transpose ``matrix[j, k]`` (rows, the panel's columns, `column_step` apart) into rows `at` and on.

    The panels have a depth of `panel_depth`; up to `team` threads.
    """
    cdef Py_ssize_t panel
    for panel in prange(
        (columns + widest(<real>0) - 1) // widest(<real>0), num_threads=team, use_threads_if=team > 1,
        schedule="static",
    ):
        turn_panel(
            matrix + panel * widest(<real>0) * column_step, depth, columns - panel * widest(<real>0), column_step,
            panels + panel * widest(<real>0) * panel_depth, at,
        )


cdef inline void turn_panel(
    const real* matrix, Py_ssize_t depth, Py_ssize_t columns, Py_ssize_t column_step, real* panel, Py_ssize_t at
) noexcept nogil:
    cdef Py_ssize_t block, k, j, turned = depth - depth % 16
    cdef Py_ssize_t width = panel_width(columns, <real>0)
    cdef Py_ssize_t valid = min(width, columns)
    cdef real* target = panel + at * width
    # 16 x 16 values at a time: whole cache lines are read, in float32, and stay until they are used up.
    for block in range(0, turned, 16):
        for j in range(0, valid - valid % 16, 16):
            for k in range(block, block + 16, 4):
                turn(matrix + j * column_step + k, column_step, target + k * width + j, width)
        for j in range(valid - valid % 16, valid):
            for k in range(block, block + 16):
                target[k * width + j] = matrix[j * column_step + k]
    for k in range(turned, depth):
        for j in range(valid):
            target[k * width + j] = matrix[j * column_step + k]
    for k in range(depth):
        for j in range(valid, width):
            target[k * width + j] = 0
