"""Panels: a matrix cut into strips as wide as a tile, each strip contiguous, the last one padded with zeros.

A matrix of ``depth x columns`` becomes strips of ``depth x width``; strip after strip, so that a tile reads its
vectors one after another. `panels_size` values are needed for all of them.
"""

from cnnref._tile cimport panel_width, widest
from cnnref._types cimport real


cdef inline Py_ssize_t padded_columns(Py_ssize_t columns, real kind) noexcept nogil:
    """The columns of all panels together."""
    cdef Py_ssize_t whole = columns - columns % widest(kind)
    cdef Py_ssize_t rest = columns - whole
    return whole + (panel_width(rest, kind) if rest else 0)


cdef inline void pack_columns(
    const real* matrix, Py_ssize_t depth, Py_ssize_t columns, Py_ssize_t row_step,
    Py_ssize_t panel_depth, Py_ssize_t at, real* panels,
) noexcept nogil:
    """Pack ``matrix[k, j]`` (rows `row_step` apart) into rows `at` and on of panels of depth `panel_depth`."""
    cdef Py_ssize_t block, end, first, k, j, width, valid
    cdef real* target
    cdef const real* source
    # Some rows at a time, so that the matrix is read nearly in order.
    for block in range(0, depth, 8):
        end = min(block + 8, depth)
        first = 0
        while first < columns:
            width = panel_width(columns - first, <real>0)
            valid = min(width, columns - first)
            for k in range(block, end):
                source = matrix + k * row_step + first
                target = panels + first * panel_depth + (at + k) * width
                for j in range(valid):
                    target[j] = source[j]
                for j in range(valid, width):
                    target[j] = 0
            first += width


cdef inline void pack_rows(
    const real* matrix, Py_ssize_t depth, Py_ssize_t columns, Py_ssize_t column_step,
    Py_ssize_t panel_depth, Py_ssize_t at, real* panels,
) noexcept nogil:
    """Pack the transpose: ``matrix[j, k]`` (rows, the panel's columns, `column_step` apart)."""
    cdef Py_ssize_t first = 0, block, k, j, width, valid, end
    cdef real* target
    cdef const real* source
    while first < columns:
        width = panel_width(columns - first, <real>0)
        valid = min(width, columns - first)
        # Blocks of a few cache lines' depth: what is read comes in order, what is written stays in the first cache.
        for block in range(0, depth, 64):
            end = min(block + 64, depth)
            target = panels + first * panel_depth + at * width
            for j in range(valid):
                source = matrix + (first + j) * column_step
                for k in range(block, end):
                    target[k * width + j] = source[k]
            for k in range(block, end):
                for j in range(valid, width):
                    target[k * width + j] = 0
        first += width
