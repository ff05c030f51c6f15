"""The register block, MR x NR: how many rows and columns it has, and how columns are cut into panels as wide.

They depend on the instruction set only: at most 24 vector registers of sums where there are 32, 12 of 16, which leaves
room for vectors and a scalar, and at most 8 rows, whose addresses stay in registers too (16 where they are evenly spaced).
"""

from cnnref.kernels.base.isa cimport CNNREF_REGISTERS, CNNREF_VECTOR_BYTES
from cnnref.kernels.base.types cimport real

cdef enum:
    MOST_ROWS = 16
    MOST_COLUMNS = 64


cdef inline int sum_registers() noexcept nogil:
    """Vector registers for sums: the others are for what they are multiplied with."""
    return CNNREF_REGISTERS * 3 // 4


cdef inline int vector(real kind) noexcept nogil:
    """Values of a vector register."""
    return CNNREF_VECTOR_BYTES // <int>sizeof(kind)


cdef inline int lanes(real kind) noexcept nogil:
    """Values that panels are made of: a vector register, at least 8."""
    return max(vector(kind), 8)


cdef inline int widest(real kind) noexcept nogil:
    """Columns of the widest register block: 4 vectors of 64 bytes, 2 of 32, 4 of 16."""
    return 4 * lanes(kind) if CNNREF_VECTOR_BYTES == 64 else (16 if real is float else 8)


cdef inline int panel_width(Py_ssize_t columns, real kind) noexcept nogil:
    """NR: columns of the next register block when `columns` of them are still to do."""
    cdef int lane = lanes(kind)
    if columns <= 8:
        return 8
    if columns >= widest(kind):
        return widest(kind)
    return lane * <int>((columns + lane - 1) // lane)


cdef inline int block_rows(int columns, real kind) noexcept nogil:
    """MR: rows of a full block of `columns` columns: as many as there are registers for, and pointers (16 evenly spaced)."""
    cdef int vectors = max(columns // vector(kind), 1)
    if CNNREF_VECTOR_BYTES == 64 and vectors == 1:
        return 16
    return min(sum_registers() // vectors, 8)
